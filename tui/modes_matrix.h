/*
 * The matrix of verdicts: three for each of the six backends. Filled when it is asked for, by running the guest in one
 * backend after the other, within bounds that are named when they were reached.
 */
#ifndef VMSCOPE_TUI_MODES_MATRIX_H
#define VMSCOPE_TUI_MODES_MATRIX_H

#include "core/x86/state.h"
#include "tui/modes_column.h"

#define MATRIX_CELLS 6
#define MATRIX_EXITS 20000u	      /* of one run */
#define MATRIX_HOST_NS 10000000000ull /* the same, host time */

enum cell_state { CELL_EMPTY, CELL_WAITS, CELL_RUNS, CELL_DONE, CELL_NONE };

struct modes_cell {
	enum vmm_mode mode;
	enum vmm_type type;
	char label[24];
	enum cell_state state;
	struct pg_verdict equivalence, safety, efficiency;
	uint64_t exits;
	char note[200]; /* CELL_NONE: why not; else which limit was reached */
};

/* Registers are compared at these exits (the lockstep point), and the console at the end. */
#define MATRIX_CHECKS 6 /* exits 16, 64, 256, ... */

struct matrix_check {
	bool have;
	size_t n; /* predicted exits until then */
	struct x86_state state;
};

struct modes_matrix {
	struct modes_cell cell[MATRIX_CELLS];
	bool begun;
	int running; /* -1: none */
	struct modes_column column;
	uint64_t started_ns;
	struct modes_track reference;
	struct matrix_check check[MATRIX_CHECKS]; /* of the reference */
	char *console;				  /* of the reference; owned */
	size_t n_console;
	/* of the cell that runs */
	unsigned checks_equal;
	uint64_t differs_at; /* exit; 0: none */
	const char *differs_in;
};

void matrix_init(struct modes_matrix *x);
void matrix_begin(struct app *a, struct modes_matrix *x); /* all cells wait; not threaded: all are filled */
void matrix_tick(struct app *a, struct modes_matrix *x);
bool matrix_works(const struct modes_matrix *x);
void matrix_close(struct app *a, struct modes_matrix *x);
const char *cell_state_name(enum cell_state s);

#endif
