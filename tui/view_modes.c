/*
 * The modes view: the same guest in two or three backends, exit by exit (tui/modes_align.h), each other backend as an
 * engine of its own that follows the main run (tui/modes_column.h); and the matrix of verdicts (tui/modes_matrix.h).
 */
#include "tui/view_modes.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/engine.h"

const struct modes_cell *matrix_shown_cell(const struct modes *t, int row)
{
	/* As the two axes have it: simulate, emulate, virtualize by type. The order in which they run is another. */
	for (int i = 0; i < MATRIX_CELLS; i++)
		if ((int)t->matrix.cell[i].mode == row / 2 && (int)t->matrix.cell[i].type == row % 2 + 1)
			return &t->matrix.cell[i];
	return &t->matrix.cell[0];
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

static struct modes_line *new_line(struct modes *t)
{
	if (t->n_lines == t->room) {
		size_t room = t->room ? t->room * 2 : 1024;
		struct modes_line *more = realloc(t->lines, room * sizeof *more);
		if (!more)
			return NULL;
		t->lines = more;
		t->room = room;
	}
	struct modes_line *l = &t->lines[t->n_lines++];
	l->main = -1;
	for (unsigned c = 0; c < MODES_COLUMNS; c++) {
		l->sub[c] = -1;
		l->state[c] = LINE_PENDING;
	}
	return l;
}

static void take_row(struct modes_line *l, const struct modes *t, unsigned c, size_t *at)
{
	const struct modes_row *row = &t->column[c].pair.rows[(*at)++];
	l->sub[c] = row->sub;
	l->state[c] = row->state;
}

/* Is the next row of column c one that only that column has? */
static bool only_sub(const struct modes *t, unsigned c, size_t at)
{
	const struct modes_pair *p = &t->column[c].pair;
	return at < p->n && p->rows[at].main < 0;
}

/* The rows of all pairs as one list: what only others have comes before the exit of the main run that follows it. */
static void make_lines(struct modes *t)
{
	size_t at[MODES_COLUMNS] = {0};

	t->n_lines = 0;
	for (int32_t i = 0;; i++) {
		for (;;) {
			bool any = false;
			for (unsigned c = 0; c < t->n; c++)
				any |= only_sub(t, c, at[c]);
			struct modes_line *extra = any ? new_line(t) : NULL;
			if (!extra)
				break;
			for (unsigned c = 0; c < t->n; c++)
				if (only_sub(t, c, at[c]))
					take_row(extra, t, c, &at[c]);
		}
		struct modes_line *l = i < (int32_t)t->main.n ? new_line(t) : NULL;
		if (!l)
			return;
		l->main = i;
		for (unsigned c = 0; c < t->n; c++)
			if (at[c] < t->column[c].pair.n && t->column[c].pair.rows[at[c]].main == i)
				take_row(l, t, c, &at[c]);
	}
}

/* The line of exit `number` of the main run, or the last one before it. */
static int64_t line_of(const struct modes *t, uint64_t number)
{
	int64_t lo = 0, hi = (int64_t)t->n_lines - 1, best = 0;

	while (lo <= hi) {
		int64_t mid = lo + (hi - lo) / 2, at = mid;
		while (at >= lo && t->lines[at].main < 0)
			at--;
		if (at < lo)
			lo = mid + 1;
		else if (t->main.items[t->lines[at].main].number <= number) {
			best = at;
			lo = mid + 1;
		} else
			hi = at - 1;
	}
	return best;
}

/* --- columns ----------------------------------------------------------------------------------------------------- */

static void open_columns(struct app *a, struct modes *t)
{
	for (unsigned c = 0; c < t->n; c++)
		column_open(a, &t->column[c]);
}

static void close_columns(struct app *a, struct modes *t)
{
	for (unsigned c = 0; c < t->n; c++)
		column_close(a, &t->column[c]);
}

static void add_column(struct app *a, struct modes *t, enum vmm_mode mode, enum vmm_type type)
{
	struct modes_column *c = &t->column[t->n++];

	column_init(c, mode, type);
	column_open(a, c);
}

static bool is_main(const struct modes *t, enum vmm_mode mode, unsigned type)
{
	char label[24];
	return strcmp(modes_label(mode, type, label, sizeof label), t->label) == 0;
}

/* Who is the main run? True when it is another guest, or the same one begun anew. */
static bool know_main(struct modes *t, struct view_model *m)
{
	const struct view_info *info = view_info(m);
	char label[sizeof t->label] = "";
	bool other;

	if (info->mode[0] && info->type)
		snprintf(label, sizeof label, "%.16s/%s", info->mode, info->type == VMM_TYPE_I ? "I" : "II");
	else
		snprintf(label, sizeof label, "%s", info->source == VIEW_TRACE ? "trace" : "");
	other = strcmp(label, t->label) != 0 || strcmp(info->guest, t->guest) != 0 ||
		strcmp(info->controls, t->controls) != 0;
	/* The log is empty, and was not: it was opened again. */
	other |= t->main.next_pos > 0 && view_log_n(m) == 0 && view_now(m)->exits == 0;
	memcpy(t->label, label, sizeof label);
	memcpy(t->guest, info->guest, sizeof t->guest);
	snprintf(t->controls, sizeof t->controls, "%s", info->controls);
	t->recorded = info->source == VIEW_TRACE;
	t->has_run = t->recorded || info->guest[0];
	return other;
}

static void make_note(struct modes *t)
{
	t->note[0] = 0;
	for (unsigned c = 0; c < t->n; c++) {
		const struct modes_column *col = &t->column[c];
		if (!col->e || strcmp(col->track.profile_name, t->main.profile_name) == 0)
			continue;
		snprintf(t->note, sizeof t->note,
		    "%s runs under %s, this run under %s: \"no exit here\" is no difference", col->label,
		    col->track.profile_name, t->main.profile_name);
	}
	for (unsigned c = 0; c < t->n && !t->note[0]; c++)
		if (t->column[c].host_time && t->column[c].pair.first >= 0)
			snprintf(t->note, sizeof t->note,
			    "%s runs on host time: interrupts and clocks may explain a difference (vmscope compare "
			    "decides)",
			    t->column[c].label);
	for (unsigned c = 0; c < t->n && !t->note[0]; c++)
		if (t->column[c].track.model && t->column[c].pair.first >= 0 && t->main.profile &&
		    t->main.profile->ring != RING_HW)
			snprintf(t->note, sizeof t->note,
			    "%s: a model does not play the faults that a kernel meets at CPL 3 (%s)",
			    t->column[c].label, t->controls);
	if (t->main.full && !t->note[0])
		snprintf(t->note, sizeof t->note, "the first %u exits are kept and compared", MODES_ITEMS_MAX);
	if (!t->n && !t->note[0])
		snprintf(t->note, sizeof t->note, "%s",
		    t->position == UINT64_MAX
			? "a recorded trace holds exits only: there is no guest for another backend"
			: "no other backend is shown: + adds one");
}

static void modes_collect(struct app *a, struct view *v, struct view_model *m, int w, int h)
{
	struct modes *t = v->state;
	uint64_t selected = view_now(m)->selected;

	t->position = view_info(m)->source == VIEW_LIVE ? view_now(m)->exits : UINT64_MAX;

	(void)w;
	(void)h;
	if (know_main(t, m)) {
		close_columns(a, t);
		modes_track_free(&t->main);
		open_columns(a, t);
		matrix_close(a, &t->matrix);
		matrix_init(&t->matrix);
	}
	modes_track_read(&t->main, m);
	for (unsigned c = 0; c < t->n; c++)
		column_follow(a, &t->column[c], &t->main);
	if (t->matrix_shown)
		matrix_tick(a, &t->matrix);
	make_lines(t);
	make_note(t);
	/* The main run, or another view, went elsewhere. */
	if (app_following(a) || selected != t->selected)
		t->cursor = t->position ? line_of(t, selected) : 0;
	t->selected = selected;
	if (t->cursor >= (int64_t)t->n_lines)
		t->cursor = t->n_lines ? (int64_t)t->n_lines - 1 : 0;
}

static void modes_view_draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	modes_draw(a, v->state, s, r);
}

static json_t *modes_view_json(struct app *a, struct view *v)
{
	(void)a;
	return modes_json(v->state);
}

static bool modes_works(struct app *a, struct view *v)
{
	struct modes *t = v->state;
	bool works = t->matrix_shown && matrix_works(&t->matrix);

	(void)a;
	for (unsigned c = 0; c < t->n; c++)
		works |= column_works(&t->column[c]);
	return works;
}

/* --- moving about ------------------------------------------------------------------------------------------------ */

static int64_t clamp(int64_t n, int64_t hi)
{
	return n > hi ? hi < 0 ? 0 : hi : n < 0 ? 0 : n;
}

/* The exit of the main run that this line is about, or behind which it stands, is selected for all views. */
static void go_to(struct app *a, struct modes *t, int64_t line)
{
	struct errmsg why = {{0}};
	char text[40];
	int64_t i = clamp(line, (int64_t)t->n_lines - 1);

	t->cursor = i;
	while (i > 0 && i < (int64_t)t->n_lines && t->lines[i].main < 0)
		i--;
	if (i >= (int64_t)t->n_lines || t->lines[i].main < 0)
		return;
	t->selected = t->main.items[t->lines[i].main].number;
	snprintf(text, sizeof text, "select %llu", (unsigned long long)t->selected);
	if (app_command(a, text, &why))
		app_message(a, "%s", why.text);
}

static void modes_move(struct app *a, struct view *v, int lines)
{
	struct modes *t = v->state;

	if (t->matrix_shown) {
		t->matrix_cursor = (int)clamp((int64_t)t->matrix_cursor + lines, MATRIX_CELLS - 1);
		return;
	}
	go_to(a, t, t->cursor + lines);
}

static bool line_contains(const struct modes *t, const struct modes_line *l, const char *text)
{
	const struct modes_item *i = modes_line_item(t, l);
	char buf[96];

	if (!i)
		return false;
	if (strcasestr(exit_name(i->e.reason), text))
		return true;
	modes_item_text(i, buf, sizeof buf);
	if (strcasestr(buf, text))
		return true;
	for (unsigned c = 0; c < t->n; c++)
		if (l->state[c] != LINE_PENDING && strcasestr(modes_state_name((enum modes_state)l->state[c]), text))
			return true;
	return false;
}

static bool modes_search(struct app *a, struct view *v, const char *text, int dir)
{
	struct modes *t = v->state;

	for (int64_t i = t->cursor + dir; i >= 0 && i < (int64_t)t->n_lines; i += dir)
		if (line_contains(t, &t->lines[i], text)) {
			go_to(a, t, i);
			return true;
		}
	return false;
}

static bool is_shown(const struct modes *t, enum vmm_mode mode, enum vmm_type type)
{
	for (unsigned c = 0; c < t->n; c++)
		if (t->column[c].mode == mode && t->column[c].type == type)
			return true;
	return is_main(t, mode, type);
}

static enum err modes_enter(struct app *a, struct view *v, struct errmsg *why)
{
	struct modes *t = v->state;

	if (t->matrix_shown) { /* that backend as a column beside this run */
		char line[48];
		const struct modes_cell *cell = matrix_shown_cell(t, t->matrix_cursor);
		t->matrix_shown = false;
		if (is_shown(t, cell->mode, cell->type))
			return ERR_OK;
		if (t->n == MODES_COLUMNS) /* in the place of the last one */
			column_close(a, &t->column[--t->n]);
		snprintf(line, sizeof line, "column add %s", cell->label);
		return app_command(a, line, why);
	}
	if (t->cursor >= (int64_t)t->n_lines)
		return err_set(why, ERR_NOENT, "there is no exit yet");
	go_to(a, t, t->cursor);
	return app_command(a, "view exit", why);
}

static void modes_click(struct app *a, struct view *v, int x, int y)
{
	struct modes *t = v->state;

	(void)x;
	if (t->matrix_shown)
		t->matrix_cursor = (int)clamp(y - 1, MATRIX_CELLS - 1);
	else if (y >= 2 && y < 2 + t->page)
		go_to(a, t, t->top + y - 2);
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static const char *backend_word(struct app *a, struct view *v, unsigned i)
{
	static const char *const words[] = {
	    "simulate/I", "simulate/II", "emulate/I", "emulate/II", "virtualize/I", "virtualize/II"};
	(void)a;
	(void)v;
	return i < ARRAY_LEN(words) ? words[i] : NULL;
}

/* "emulate/II", "emulate/2". */
static bool parse_backend(const char *text, enum vmm_mode *mode, enum vmm_type *type)
{
	char label[24], digit[24];

	for (int i = 0; i < MATRIX_CELLS; i++) {
		*mode = (enum vmm_mode)(i / 2);
		*type = (enum vmm_type)(i % 2 + 1);
		modes_label(*mode, *type, label, sizeof label);
		snprintf(digit, sizeof digit, "%.*s/%d", (int)strcspn(label, "/"), label, (int)*type);
		if (strcasecmp(text, label) == 0 || strcasecmp(text, digit) == 0)
			return true;
	}
	return false;
}

/* Without a name: the first that is not there and that costs nothing to open. */
static bool next_backend(const struct modes *t, enum vmm_mode *mode, enum vmm_type *type)
{
	static const struct {
		enum vmm_mode mode;
		enum vmm_type type;
	} order[] = {{MODE_EMULATE, VMM_TYPE_II}, {MODE_SIMULATE, VMM_TYPE_II}, {MODE_VIRTUALIZE, VMM_TYPE_II},
	    {MODE_SIMULATE, VMM_TYPE_I}, {MODE_EMULATE, VMM_TYPE_I}, {MODE_VIRTUALIZE, VMM_TYPE_I}};

	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		if (!is_shown(t, order[i].mode, order[i].type)) {
			*mode = order[i].mode;
			*type = order[i].type;
			return true;
		}
	return false;
}

static enum err cmd_add(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct modes *t = v->state;
	enum vmm_mode mode = MODE_EMULATE;
	enum vmm_type type = VMM_TYPE_II;

	if (!(args[0] ? parse_backend(args, &mode, &type) : next_backend(t, &mode, &type)))
		return err_set(why, ERR_INVAL,
		    "column add %.32s: not a backend; simulate, emulate or virtualize, a slash, and I or II", args);
	if (is_shown(t, mode, type))
		return err_set(why, ERR_INVAL, "column add %.32s: it is shown already", args);
	if (t->n == MODES_COLUMNS)
		return err_set(
		    why, ERR_RANGE, "there is room for %d columns beside this run: remove one first", MODES_COLUMNS);
	add_column(a, t, mode, type);
	t->matrix_shown = false;
	return ERR_OK;
}

static enum err cmd_remove(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct modes *t = v->state;
	unsigned n = args[0] ? (unsigned)atoi(args) : t->n;

	if (n < 1 || n > t->n)
		return err_set(
		    why, ERR_RANGE, "column remove %.20s: columns beside this run are numbered 1 to %u", args, t->n);
	column_close(a, &t->column[n - 1]);
	for (unsigned c = n; c < t->n; c++)
		t->column[c - 1] = t->column[c];
	t->n--;
	return ERR_OK;
}

static int64_t next_difference(const struct modes *t, int64_t from)
{
	for (int64_t i = from; i < (int64_t)t->n_lines; i++)
		if (modes_line_differs(t, &t->lines[i]))
			return i;
	return -1;
}

static enum err cmd_next(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct modes *t = v->state;
	int64_t line = next_difference(t, t->cursor + 1);

	(void)args;
	if (line < 0) {
		line = next_difference(t, 0);
		if (line < 0)
			return err_set(why, ERR_NOENT, "no difference in what was compared");
		app_message(a, "no more differences: this is the first one");
	}
	go_to(a, t, line);
	return ERR_OK;
}

static enum err run_main(struct app *a, struct errmsg *why)
{
	char line[32];

	if (!app_engine(a)) /* a trace is all there */
		return ERR_OK;
	if (app_threaded(a))
		return engine_busy(app_engine(a)) ? ERR_OK : app_command(a, "continue", why);
	/* Nothing could stop it: as far as is compared. */
	snprintf(line, sizeof line, "step exit %u", MODES_ITEMS_MAX);
	return app_command(a, line, why);
}

static enum err cmd_run_all(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct modes *t = v->state;

	(void)args;
	for (unsigned c = 0; c < t->n; c++) {
		t->column[c].to_end = t->column[c].e != NULL;
		t->column[c].out_of_time = false;
		t->column[c].until_ns = modes_now_ns() + COLUMN_HOST_NS;
	}
	return run_main(a, why);
}

static enum err cmd_matrix(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct modes *t = v->state;
	const struct app_config *cfg = app_config(a);

	if (!cfg || !cfg->backend)
		return err_set(why, ERR_UNSUPPORTED, "matrix: a recorded trace has no guest that could be run");
	if (args[0] && strcmp(args, "again") != 0)
		return err_set(why, ERR_INVAL, "matrix %.20s: only \"again\" can follow", args);
	t->matrix_shown = args[0] || !t->matrix_shown;
	if (t->matrix_shown && (args[0] || !t->matrix.begun))
		matrix_begin(a, &t->matrix);
	return ERR_OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static enum err modes_open(struct app *a, struct view *v, struct errmsg *why)
{
	struct modes *t = v->state;
	struct view_model *m = app_model(a);

	(void)why;
	t->page = 10;
	matrix_init(&t->matrix);
	view_model_lock(m);
	(void)know_main(t, m);
	enum view_source source = view_info(m)->source;
	view_model_unlock(m);
	/* One to begin with: what a model makes of the guest; beside a model or a processor, the reference. */
	if (source == VIEW_LIVE && t->has_run) {
		bool emulate = strncmp(t->label, "emulate", 7) == 0;
		add_column(a, t, emulate ? MODE_SIMULATE : MODE_EMULATE, VMM_TYPE_II);
	}
	return ERR_OK;
}

static void modes_close(struct app *a, struct view *v)
{
	struct modes *t = v->state;

	close_columns(a, t);
	matrix_close(a, &t->matrix);
	modes_track_free(&t->main);
	free(t->lines);
}

static const struct command commands[] = {
    {"column add", "[MODE/TYPE]", "Runs the guest in another backend beside this run.", cmd_add, backend_word},
    {"column remove", "[N]", "Takes column N away (the last one).", cmd_remove, NULL},
    {"next difference", "", "Goes to the next line in which a backend differs.", cmd_next, NULL},
    {"run all", "", "Runs this run and the columns to the end, or for ten seconds.", cmd_run_all, NULL},
    {"matrix", "[again]", "The three verdicts of all six backends, and back.", cmd_matrix, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct binding bindings[] = {
    {"+", "column add", "Add"},
    {"-", "column remove", "Remove"},
    {"d", "next difference", "Differ"},
    {"a", "run all", "RunAll"},
    {"m", "matrix", "Matrix"},
    {NULL, NULL, NULL},
};

const struct view_ops view_modes_ops = {
    .name = "modes",
    .title = "Modes",
    .about = "The same guest in several backends, exit by exit, and the verdicts on all six.",
    .commands = commands,
    .bindings = bindings,
    .state_size = sizeof(struct modes),
    .open = modes_open,
    .close = modes_close,
    .collect = modes_collect,
    .draw = modes_view_draw,
    .json = modes_view_json,
    .move = modes_move,
    .search = modes_search,
    .enter = modes_enter,
    .click = modes_click,
    .works = modes_works,
};
