/* What the two files of the modes view share: view_modes.c (what it does), modes_draw.c (what it looks like). */
#ifndef VMSCOPE_TUI_VIEW_MODES_H
#define VMSCOPE_TUI_VIEW_MODES_H

#include "tui/modes_matrix.h"

#define MODES_COLUMNS 2 /* beside the main run */

/* A line of the picture: one exit of the main run, or an exit that only others have. */
struct modes_line {
	int32_t main; /* -1: none */
	int32_t sub[MODES_COLUMNS];
	uint8_t state[MODES_COLUMNS]; /* enum modes_state, or LINE_PENDING */
};
#define LINE_PENDING 255 /* that column has not got there, or nothing is compared there */

struct modes {
	struct modes_track main;
	char label[24], guest[64], controls[16]; /* of the main run */
	bool has_run, recorded;			 /* recorded: it is a trace */
	struct modes_column column[MODES_COLUMNS];
	unsigned n;
	struct modes_line *lines; /* owned */
	size_t n_lines, room;
	int64_t cursor, top;
	int page;	   /* lines that were drawn last */
	uint64_t selected; /* exit number, as the model had it last */
	uint64_t position; /* exits of the main run before where it stands; less than it has seen after going back */
	bool matrix_shown;
	int matrix_cursor;
	struct modes_matrix matrix;
	char note[160];
};

/* Is this line a difference? */
bool modes_line_differs(const struct modes *t, const struct modes_line *l);
/* The line of the first difference of column c; -1: none. */
int64_t modes_first_line(const struct modes *t, unsigned c);
/* One difference in a sentence; false: none in that column. */
bool modes_sentence(const struct modes *t, const struct modes_line *l, unsigned c, char *buf, size_t n);
/* The item that a line is about; of the first that has it. */
const struct modes_item *modes_line_item(const struct modes *t, const struct modes_line *l);
/* Cells of the matrix in the order of the screen. */
const struct modes_cell *matrix_shown_cell(const struct modes *t, int row);

void modes_draw(struct app *a, struct modes *t, struct screen *s, const struct rect *r);
json_t *modes_json(struct modes *t);

#endif
