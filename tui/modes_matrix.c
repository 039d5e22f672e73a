/*
 * Filling the matrix: read modes_matrix.h first. The reference is emulate/II, so it runs first; the others are laid
 * beside it exit by exit, and held against it by docs/exit-contract.md, "What is compared".
 */
#include "tui/modes_matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/engine.h"

#define REFERENCE 0
#define CONSOLE_MAX (256u << 10) /* bytes that are compared, the newest */

static const struct {
	enum vmm_mode mode;
	enum vmm_type type;
} order[MATRIX_CELLS] = {
    {MODE_EMULATE, VMM_TYPE_II},
    {MODE_SIMULATE, VMM_TYPE_I},
    {MODE_SIMULATE, VMM_TYPE_II},
    {MODE_EMULATE, VMM_TYPE_I},
    {MODE_VIRTUALIZE, VMM_TYPE_I},
    {MODE_VIRTUALIZE, VMM_TYPE_II},
};

const char *cell_state_name(enum cell_state s)
{
	static const char *const names[] = {[CELL_EMPTY] = "not run",
	    [CELL_WAITS] = "waits",
	    [CELL_RUNS] = "runs",
	    [CELL_DONE] = "done",
	    [CELL_NONE] = "unavailable"};

	return names[s];
}

void matrix_init(struct modes_matrix *x)
{
	*x = (struct modes_matrix){.running = -1};
	for (unsigned i = 0; i < MATRIX_CELLS; i++) {
		x->cell[i].mode = order[i].mode;
		x->cell[i].type = order[i].type;
		modes_label(order[i].mode, order[i].type, x->cell[i].label, sizeof x->cell[i].label);
	}
}

static void stop_running(struct app *a, struct modes_matrix *x)
{
	if (x->running >= 0)
		column_close(a, &x->column);
	x->running = -1;
}

void matrix_close(struct app *a, struct modes_matrix *x)
{
	stop_running(a, x);
	modes_track_free(&x->reference);
	free(x->console);
	x->console = NULL;
	x->n_console = 0;
}

bool matrix_works(const struct modes_matrix *x)
{
	if (x->running >= 0)
		return true;
	for (unsigned i = 0; i < MATRIX_CELLS; i++)
		if (x->cell[i].state == CELL_WAITS)
			return true;
	return false;
}

/* --- equivalence ------------------------------------------------------------------------------------------------- */

static const char *register_that_differs(const struct x86_state *a, const struct x86_state *b)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10",
	    "r11", "r12", "r13", "r14", "r15"};

	for (unsigned i = 0; i < 16; i++)
		if (a->gpr[i] != b->gpr[i])
			return names[i];
	return a->rip != b->rip ? "rip" : NULL;
}

static bool profile_leaks(const struct modes_track *t)
{
	return t->profile && t->profile->ring != RING_HW;
}

/* NULL: a difference is a violation. Otherwise why it cannot be held against this backend here. */
static const char *excuse(const struct modes_column *c)
{
	if (c->host_time)
		return "on host time interrupts come, and clocks are read, at other places: \"vmscope compare\" feeds "
		       "both sides the same inputs and decides";
	if (c->track.model && profile_leaks(&c->track))
		return "models do not play the faults that a kernel meets at CPL 3";
	return NULL;
}

static void say_difference(
    const struct modes_matrix *x, const struct modes_column *c, const struct modes_pair *p, struct pg_verdict *out)
{
	const struct modes_row *row = &p->rows[p->first];
	const struct modes_item *a = row->main >= 0 ? &x->reference.items[row->main] : NULL;
	const struct modes_item *b = row->sub >= 0 ? &c->track.items[row->sub] : NULL;
	struct modes_difference d = {"", "", ""};
	const char *why = excuse(c);
	char text[208] = "";

	if (a && b && modes_differ(&x->reference, a, &c->track, b, &d))
		snprintf(text, sizeof text, "%s: reference %s, here %s", d.field, d.main, d.sub);
	else
		snprintf(text, sizeof text, "%s is %s",
		    exit_name(a	  ? a->e.reason
			      : b ? b->e.reason
				  : 0),
		    a ? "missing here" : "not in the reference");
	out->state = why ? PG_UNKNOWN : PG_VIOLATED;
	snprintf(out->evidence, sizeof out->evidence, "%zu exits agree, then they part: %s%s%s", p->equal, text,
	    why ? "; " : "", why ? why : "");
}

/* NULL: equal, or nobody knows. */
static const char *beside_the_exits(const struct modes_matrix *x, const struct modes_column *c, char *buf, size_t n)
{
	static char console[CONSOLE_MAX];
	uint64_t total;

	if (x->differs_at) {
		snprintf(buf, n, "%s differs after exit %llu", x->differs_in, (unsigned long long)x->differs_at);
		return buf;
	}
	if (!x->reference.ended || !c->track.ended)
		return NULL;
	struct view_model *m = engine_model(c->e);
	view_model_lock(m);
	size_t have = view_console(m, console, sizeof console, &total);
	view_model_unlock(m);
	if (have == x->n_console && memcmp(console, x->console, have) == 0)
		return NULL;
	snprintf(buf, n, "the consoles differ (%zu and %zu bytes)", x->n_console, have);
	return buf;
}

static void say_equal(
    const struct modes_matrix *x, const struct modes_column *c, const struct modes_pair *p, struct pg_verdict *out)
{
	unsigned long long exempt = x->reference.others + c->track.others;
	char differs[120], registers[96] = "";
	const char *why = beside_the_exits(x, c, differs, sizeof differs);

	out->state = p->equal ? PG_HOLDS : PG_UNKNOWN;
	if (!p->equal)
		snprintf(out->evidence, sizeof out->evidence, "no exit to compare");
	else if (why) {
		out->state = excuse(c) ? PG_UNKNOWN : PG_VIOLATED;
		snprintf(out->evidence, sizeof out->evidence, "%zu exits agree, but %s", p->equal, why);
	} else if (c->track.model)
		snprintf(out->evidence, sizeof out->evidence,
		    "%zu exits equal in reason, order and values, and the console; %llu timer and interrupt exits "
		    "of both runs exempt",
		    p->equal, exempt);
	else {
		if (x->checks_equal)
			snprintf(registers, sizeof registers, "; registers at %u exits", x->checks_equal);
		snprintf(out->evidence, sizeof out->evidence,
		    "%zu exits agree in reason, rip and values, and the console%s; %llu timer and interrupt exits "
		    "of both runs exempt "
		    "(registers at each exit, and memory: \"vmscope compare\")",
		    p->equal, registers, exempt);
	}
}

static void decide_equivalence(struct modes_matrix *x, struct modes_column *c, struct pg_verdict *out)
{
	struct modes_pair p = {.first = -1};

	*out = (struct pg_verdict){.state = PG_UNKNOWN};
	if (strcmp(c->engine, "svm") == 0) {
		snprintf(out->evidence, sizeof out->evidence,
		    "AMD-V has other exits than VT-x and is compared by class: \"vmscope compare\" does");
		return;
	}
	if (x->cell[REFERENCE].state != CELL_DONE) {
		snprintf(out->evidence, sizeof out->evidence, "the reference, emulate/II, did not run");
		return;
	}
	/* A limit ends a run where the other one may go on. */
	bool cut = !x->reference.ended || !c->track.ended;
	struct modes_track reference = x->reference, sub = c->track;
	reference.ended = sub.ended = !cut;
	modes_pair_update(&p, &reference, &sub);
	if (p.first >= 0)
		say_difference(x, c, &p, out);
	else
		say_equal(x, c, &p, out);
	modes_pair_free(&p);
}

/* --- running ----------------------------------------------------------------------------------------------------- */

static void begin_cell(struct app *a, struct modes_matrix *x, int i)
{
	struct modes_cell *cell = &x->cell[i];

	column_init(&x->column, cell->mode, cell->type);
	column_open(a, &x->column);
	if (!x->column.e) {
		cell->state = CELL_NONE;
		snprintf(cell->note, sizeof cell->note, "%.199s", x->column.why);
		column_close(a, &x->column);
		return;
	}
	cell->state = CELL_RUNS;
	x->running = i;
	x->checks_equal = 0;
	x->differs_at = 0;
	x->started_ns = modes_now_ns();
}

static void keep_reference(struct modes_matrix *x)
{
	struct view_model *m = engine_model(x->column.e);
	uint64_t total;

	free(x->console);
	x->console = malloc(CONSOLE_MAX);
	view_model_lock(m);
	x->n_console = x->console ? view_console(m, x->console, CONSOLE_MAX, &total) : 0;
	view_model_unlock(m);
	modes_track_free(&x->reference);
	x->reference = x->column.track;
	x->column.track = (struct modes_track){0};
}

static uint64_t check_exits(unsigned k)
{
	return 16ull << (2 * k);
}

/* The guest stands at a lockstep point: is it one at which registers are compared? */
static void check_registers(struct modes_matrix *x, uint64_t exits)
{
	struct errmsg why;
	unsigned k = 0;

	while (k < MATRIX_CHECKS && check_exits(k) != exits)
		k++;
	if (k == MATRIX_CHECKS || x->column.track.ended || x->differs_at)
		return;
	const struct x86_state *s = view_cpu_state(engine_model(x->column.e), 0, &why);
	struct matrix_check *check = &x->check[k];
	if (!s)
		return;
	if (x->running == REFERENCE) {
		*check = (struct matrix_check){true, x->column.track.n, *s};
		return;
	}
	/* Another profile, or a timer's exit more: this is another place. */
	if (!check->have || check->n != x->column.track.n ||
	    strcmp(x->reference.profile_name, x->column.track.profile_name) != 0)
		return;
	x->differs_in = register_that_differs(&check->state, s);
	x->differs_at = x->differs_in ? exits : 0;
	x->checks_equal += !x->differs_in;
}

/* Exits to the next one at which registers are compared. */
static uint64_t to_next_check(uint64_t exits)
{
	for (unsigned k = 0; k < MATRIX_CHECKS; k++)
		if (exits < check_exits(k))
			return check_exits(k) - exits;
	return MATRIX_EXITS;
}

static void end_cell(struct app *a, struct modes_matrix *x)
{
	struct modes_cell *cell = &x->cell[x->running];
	struct view_model *m = engine_model(x->column.e);

	view_model_lock(m);
	cell->equivalence = view_verdicts(m)->equivalence;
	cell->safety = view_verdicts(m)->safety;
	cell->efficiency = view_verdicts(m)->efficiency;
	cell->exits = view_now(m)->exits;
	view_model_unlock(m);
	cell->state = CELL_DONE;
	if (x->running == REFERENCE) {
		cell->equivalence = (struct pg_verdict){.state = PG_NA};
		snprintf(cell->equivalence.evidence, sizeof cell->equivalence.evidence,
		    "this is the reference that the others are held against");
		keep_reference(x);
	} else if (cell->equivalence.state != PG_HOLDS && cell->equivalence.state != PG_VIOLATED) /* not compared yet */
		decide_equivalence(x, &x->column, &cell->equivalence);
	stop_running(a, x);
}

/* True: the run is over, or a limit ends it. */
static bool is_over(struct modes_matrix *x, struct modes_cell *cell)
{
	struct view_model *m = engine_model(x->column.e);

	column_read(&x->column);
	view_model_lock(m);
	uint64_t exits = view_now(m)->exits;
	view_model_unlock(m);
	cell->exits = exits;
	check_registers(x, exits);
	if (x->column.track.ended)
		return true;
	if (exits >= MATRIX_EXITS)
		snprintf(cell->note, sizeof cell->note, "stopped at %u exits: the limit of the matrix", MATRIX_EXITS);
	else if (modes_now_ns() - x->started_ns >= MATRIX_HOST_NS)
		snprintf(cell->note, sizeof cell->note, "stopped after %llu s: the limit of the matrix",
		    MATRIX_HOST_NS / 1000000000ull);
	else
		return false;
	return true;
}

void matrix_tick(struct app *a, struct modes_matrix *x)
{
	struct errmsg why = {{0}};

	for (int i = 0; x->running < 0 && i < MATRIX_CELLS; i++)
		if (x->cell[i].state == CELL_WAITS) {
			begin_cell(a, x, i);
			if (app_threaded(a))
				return; /* one opening a frame: it may take a while */
		}
	if (x->running < 0)
		return;
	struct modes_cell *cell = &x->cell[x->running];
	if (engine_busy(x->column.e)) {
		if (modes_now_ns() - x->started_ns >= MATRIX_HOST_NS)
			engine_pause(x->column.e);
		return;
	}
	if (is_over(x, cell)) {
		end_cell(a, x);
		return;
	}
	enum err e = column_step(a, &x->column, to_next_check(cell->exits), &why);
	if (e) {
		snprintf(cell->note, sizeof cell->note, "%.199s", why.text[0] ? why.text : err_sentence(e));
		end_cell(a, x);
	}
}

void matrix_begin(struct app *a, struct modes_matrix *x)
{
	stop_running(a, x);
	for (unsigned i = 0; i < MATRIX_CELLS; i++) {
		x->cell[i].state = CELL_WAITS;
		x->cell[i].note[0] = 0;
		x->cell[i].exits = 0;
	}
	memset(x->check, 0, sizeof x->check);
	x->begun = true;
	while (!app_threaded(a) && matrix_works(x))
		matrix_tick(a, x);
}
