/*
 * A table: columns with a width, an alignment and an order, a cursor that stays with its row, scrolling, and a head
 * that shows by which column it is sorted. The one mechanism of all views that show rows.
 *
 * The rows are the view's own array of structs of one size; the table holds only how they are looked at. A frame:
 *
 *   collect()  fill the rows, table_arrange()
 *   draw()     table_draw()
 */
#ifndef VMSCOPE_TUI_TABLE_H
#define VMSCOPE_TUI_TABLE_H

#include "core/err.h"
#include "tui/screen.h"

struct table_column {
	const char *name; /* as "sort NAME" takes it */
	const char *head; /* what stands above it */
	uint8_t width;	  /* columns; of the one with `flex`: the least */
	uint8_t drop;	  /* 0: always there; otherwise left out where there is no room, the highest first */
	bool left;	  /* aligned left; numbers stand right */
	bool flex;	  /* takes the room that is left, at most flex_max; one column of a table */
	uint8_t flex_max; /* 0: any */
	bool ascending;	  /* sorted from the smallest on (names); otherwise from the largest */
	bool fixed;	  /* cannot be sorted by */
};

struct table_ops {
	const struct table_column *columns;
	unsigned n_columns; /* at most TABLE_COLUMNS_MAX */
	size_t row_size;
	/* Text of a cell, and its style. */
	enum style (*text)(const void *arg, const void *row, unsigned column, char *buf, size_t n);
	/* Draws a cell that is no text (sparkline, bar) into w columns; false: it is text. May be NULL. */
	bool (*draw)(const void *arg, const void *row, unsigned column, struct screen *s, int x, int y, int w);
	/* Which of two rows comes first when the column is sorted upwards: negative, 0, positive. NULL: the order is
	 * that of the array. */
	int (*compare)(const void *a, const void *b, unsigned column);
	/* What the row is, whatever its place: the cursor stays with it, and it decides between equals. */
	uint64_t (*id)(const void *row);
	/* Rows of a lower group come first in every order. May be NULL. */
	int (*group)(const void *row);
	/* Another head for a column than the table's own; NULL: no. May be NULL. */
	const char *(*head)(const void *arg, unsigned column);
};
#define TABLE_COLUMNS_MAX 24

struct table {
	const struct table_ops *ops;
	const void *arg; /* for text(), draw() and head() */
	unsigned sort;	 /* column */
	bool invert;
	bool no_head;	       /* where lines are dear */
	size_t cursor, top, n; /* row, first row shown, rows */
	bool stays;	       /* the cursor stays with the row `id`; otherwise with its place */
	uint64_t id;
	/* where it was drawn last */
	struct rect at;
	int x[TABLE_COLUMNS_MAX], w[TABLE_COLUMNS_MAX]; /* w 0: not shown */
};

void table_init(struct table *t, const struct table_ops *ops, const void *arg, unsigned sort);
/* Sorts the rows and finds the cursor again. */
void table_arrange(struct table *t, void *rows, size_t n);
/* Head and rows into r; focus: the cursor is shown. find: text to highlight, or NULL. */
void table_draw(
    struct table *t, struct screen *s, const struct rect *r, const void *rows, bool focus, const char *find);
/* As view_ops.move: INT_MIN, INT_MAX: the first, the last. */
void table_move(struct table *t, const void *rows, int lines);
/* As view_ops.search, in all columns. */
bool table_search(struct table *t, const void *rows, const char *text, int dir);
/* A click at screen coordinates: on the head sorts, on a row moves the cursor. True: it was on a row. */
bool table_click(struct table *t, const void *rows, int x, int y);
/* "sort": "next" or "", "prev", "invert", or a column's name. */
enum err table_sort(struct table *t, const char *word, struct errmsg *why) MUST_CHECK;
/* By the next column that can be sorted by, or the one before. */
void table_sort_step(struct table *t, int dir);
/* Words for completion; NULL: no more. */
const char *table_sort_name(const struct table *t, unsigned i);
/* The row of the cursor; NULL: there is none. */
const void *table_row(const struct table *t, const void *rows);
/* "sort: samples, largest first" */
const char *table_sort_text(const struct table *t, char *buf, size_t n);

#endif
