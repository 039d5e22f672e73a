/*
 * VMs: the guests of this session under one VMM, and how they share it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/engine.h"
#include "tui/stats_rows.h"
#include "tui/table.h"
#include "tui/view.h"

struct vm_line {
	struct engine_vm vm;
	unsigned index;	  /* the engine's */
	double cpu_share; /* negative: not known */
};

struct vms_state {
	struct vm_line lines[ENGINE_VMS_MAX];
	unsigned n;
	struct table table;
	bool live;
	/* a trace: what it holds */
	struct view_info info;
	struct view_now now;
	uint64_t log_n;
};

/* --- table ---------------------------------------------------------------------------------------------------------
 */

enum {
	COL_CURRENT,
	COL_NUM,
	COL_GUEST,
	COL_STATE,
	COL_MODE,
	COL_TYPE,
	COL_CPU,
	COL_RAM,
	COL_EXITS,
	COL_RATE,
	COL_INSNS,
	COL_TIME,
	COL_END,
	COL_COUNT
};

static const struct table_column columns[COL_COUNT] = {
    [COL_CURRENT] = {.name = "current", .head = "", .width = 1, .fixed = true},
    [COL_NUM] = {.name = "number", .head = "vm", .width = 3, .ascending = true},
    [COL_GUEST] =
	{.name = "guest", .head = "guest", .width = 10, .left = true, .ascending = true, .flex = true, .flex_max = 40},
    [COL_STATE] = {.name = "state", .head = "state", .width = 9, .left = true, .ascending = true},
    [COL_MODE] = {.name = "mode", .head = "mode", .width = 10, .left = true, .ascending = true},
    [COL_TYPE] = {.name = "type", .head = "type", .width = 5, .left = true, .ascending = true, .drop = 2},
    [COL_CPU] = {.name = "cpu", .head = "CPU", .width = 6},
    [COL_RAM] = {.name = "ram", .head = "RAM", .width = 5},
    [COL_EXITS] = {.name = "exits", .head = "exits", .width = 6},
    [COL_RATE] = {.name = "rate", .head = "exits/s", .width = 8},
    [COL_INSNS] = {.name = "insns", .head = "insns", .width = 6},
    [COL_TIME] = {.name = "time", .head = "guest time", .width = 11, .drop = 3},
    [COL_END] = {.name = "end", .head = "how it ended", .width = 24, .left = true, .fixed = true, .drop = 4},
};

static const char *state_word(const struct engine_vm *vm)
{
	if (vm->run == VIEW_ENDED)
		return "ended";
	if (vm->paused)
		return "paused";
	return vm->run == VIEW_RUNNING ? "running" : "stopped";
}

static enum glyph state_glyph(const struct engine_vm *vm)
{
	if (vm->run == VIEW_ENDED)
		return GLYPH_ENDED;
	return vm->run == VIEW_RUNNING && !vm->paused ? GLYPH_RUNNING : GLYPH_STOPPED;
}

static void text_end(const struct engine_vm *vm, char *buf, size_t n)
{
	if (vm->run == VIEW_ENDED)
		snprintf(buf, n, "%s%s%s", end_name(vm->end.kind), vm->end.detail[0] ? ": " : "", vm->end.detail);
}

static void text_number(const struct vm_line *l, unsigned column, char *buf, size_t n)
{
	const struct engine_vm *vm = &l->vm;
	char b[16];

	switch (column) {
	case COL_CPU:
		if (l->cpu_share < 0)
			snprintf(buf, n, "-");
		else
			snprintf(buf, n, "%.1f%%", 100 * l->cpu_share);
		break;
	case COL_RAM:
		snprintf(buf, n, "%s", fmt_bytes(vm->mem_size, b));
		break;
	case COL_EXITS:
		snprintf(buf, n, "%s", fmt_count(vm->exits, b));
		break;
	case COL_RATE:
		snprintf(buf, n, "%s", fmt_rate(vm->exits_per_s, b));
		break;
	case COL_INSNS:
		snprintf(buf, n, "%s", vm->counts_insns ? fmt_count(vm->insns, b) : "-");
		break;
	case COL_TIME:
		snprintf(buf, n, "%s", fmt_ns(vm->guest_ns, b));
		break;
	default:
		break;
	}
}

static enum style cell_text(const void *arg, const void *row, unsigned column, char *buf, size_t n)
{
	const struct vm_line *l = row;
	const struct engine_vm *vm = &l->vm;

	(void)arg;
	switch (column) {
	case COL_CURRENT:
		snprintf(buf, n, "%s", vm->current ? ">" : "");
		return STYLE_STRONG;
	case COL_NUM:
		snprintf(buf, n, "%u", l->index + 1);
		return STYLE_DIM;
	case COL_GUEST:
		snprintf(buf, n, "%s", vm->guest);
		return STYLE_STRONG;
	case COL_STATE:
		snprintf(buf, n, "  %s", state_word(vm));
		return STYLE_NORMAL;
	case COL_MODE:
		snprintf(buf, n, "%s", vm->mode);
		return STYLE_NORMAL;
	case COL_TYPE:
		snprintf(buf, n, "%s", vm->type == 1 ? "I" : vm->type == 2 ? "II" : "?");
		return STYLE_NORMAL;
	case COL_END:
		text_end(vm, buf, n);
		return STYLE_NORMAL;
	default:
		text_number(l, column, buf, n);
		return STYLE_NORMAL;
	}
}

/* The state is a glyph and a word. */
static bool cell_draw(const void *arg, const void *row, unsigned column, struct screen *s, int x, int y, int w)
{
	const struct vm_line *l = row;

	(void)arg;
	if (column != COL_STATE)
		return false;
	screen_put(s, x, y, screen_glyph(s, state_glyph(&l->vm)), STYLE_STRONG);
	screen_text(s, x + 2, y, w - 2, STYLE_NORMAL, state_word(&l->vm));
	return true;
}

static int order(double a, double b)
{
	return a < b ? -1 : a > b;
}

static int compare_lines(const void *pa, const void *pb, unsigned column)
{
	const struct vm_line *a = pa, *b = pb;

	switch (column) {
	case COL_GUEST:
		return strcmp(a->vm.guest, b->vm.guest);
	case COL_STATE:
		return strcmp(state_word(&a->vm), state_word(&b->vm));
	case COL_MODE:
		return strcmp(a->vm.mode, b->vm.mode);
	case COL_TYPE:
		return (int)a->vm.type - (int)b->vm.type;
	case COL_CPU:
		return order(a->cpu_share, b->cpu_share);
	case COL_RAM:
		return order((double)a->vm.mem_size, (double)b->vm.mem_size);
	case COL_EXITS:
		return order((double)a->vm.exits, (double)b->vm.exits);
	case COL_RATE:
		return order(a->vm.exits_per_s, b->vm.exits_per_s);
	case COL_INSNS:
		return order((double)a->vm.insns, (double)b->vm.insns);
	case COL_TIME:
		return order((double)a->vm.guest_ns, (double)b->vm.guest_ns);
	default:
		return (int)a->index - (int)b->index;
	}
}

static uint64_t line_id(const void *row)
{
	return ((const struct vm_line *)row)->index;
}

static const struct table_ops table_ops = {
    .columns = columns,
    .n_columns = COL_COUNT,
    .row_size = sizeof(struct vm_line),
    .text = cell_text,
    .draw = cell_draw,
    .compare = compare_lines,
    .id = line_id,
};

/* --- view ----------------------------------------------------------------------------------------------------------
 */

static enum err open_view(struct app *a, struct view *v, struct errmsg *why)
{
	(void)a;
	(void)why;
	table_init(&((struct vms_state *)v->state)->table, &table_ops, NULL, COL_NUM);
	return ERR_OK;
}

static void collect_vms(struct vms_state *st, struct engine *e)
{
	uint64_t cpu_ns = 0;

	st->n = engine_n_vms(e);
	if (st->n > ENGINE_VMS_MAX)
		st->n = ENGINE_VMS_MAX;
	for (unsigned i = 0; i < st->n; i++) {
		st->lines[i].index = i;
		engine_vm(e, i, &st->lines[i].vm);
		cpu_ns += st->lines[i].vm.cpu_ns;
	}
	for (unsigned i = 0; i < st->n; i++)
		st->lines[i].cpu_share = cpu_ns ? (double)st->lines[i].vm.cpu_ns / (double)cpu_ns : -1;
	table_arrange(&st->table, st->lines, st->n);
}

static void collect(struct app *a, struct view *v, struct view_model *m, int w, int h)
{
	struct vms_state *st = v->state;
	struct engine *e = app_engine(a);

	(void)w;
	(void)h;
	st->live = e != NULL;
	st->info = *view_info(m);
	st->now = *view_now(m);
	st->log_n = view_log_n(m);
	st->n = 0;
	if (e) {
		/* The engine looks into the models of all guests, this one too; all of them stand still. */
		view_model_unlock(m);
		collect_vms(st, e);
		view_model_lock(m);
	}
}

static void draw_trace(const struct vms_state *st, struct screen *s, const struct rect *r)
{
	const struct view_info *i = &st->info;
	struct rect in = screen_section(s, r, "a recorded trace: nothing runs");
	char b[16], c[16];

	screen_printf(s, in.x, in.y, in.w, STYLE_NORMAL, "guest     %s", i->guest[0] ? i->guest : "not known");
	screen_printf(s, in.x, in.y + 1, in.w, STYLE_NORMAL, "trace     %s", i->path);
	screen_printf(s, in.x, in.y + 2, in.w, STYLE_NORMAL, "mode      %s, type %s, controls %s",
	    i->mode[0] ? i->mode : "not known",
	    i->type == 1   ? "I"
	    : i->type == 2 ? "II"
			   : "not known",
	    i->controls[0] ? i->controls : "not known");
	screen_printf(s, in.x, in.y + 3, in.w, STYLE_NORMAL,
	    "holds     %s exits of %u vCPU%s, %s of time, %s of them kept here", fmt_count(st->now.exits, b),
	    i->n_vcpus, i->n_vcpus == 1 ? "" : "s", fmt_ns(st->now.guest_ns, c),
	    st->log_n >= st->now.exits ? "all" : "the newest");
	screen_text(s, in.x, in.y + 5, in.w, STYLE_DIM,
	    "Enter goes to its scope. To have VMs here, run a guest: vmscope tui GUEST");
}

static void draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	struct vms_state *st = v->state;
	char title[120], sort[64];

	if (!st->live) {
		draw_trace(st, s, r);
		return;
	}
	snprintf(title, sizeof(title), "%u VM%s of this session (%s)", st->n, st->n == 1 ? "" : "s",
	    table_sort_text(&st->table, sort, sizeof(sort)));
	struct rect in = screen_section(s, r, title), table = in;

	table.h = (int)st->n + 1 < in.h - 4 ? (int)st->n + 1 : in.h - 4;
	table_draw(&st->table, s, &table, st->lines, true, app_search_text(a));
	in.y += table.h + 1;
	in.h -= table.h + 1;
	screen_wrap(s, &in, 0, STYLE_DIM,
	    "> is the current VM: run control and all other views are about it. The others run beside it, in turn, "
	    "unless they "
	    "are paused. CPU is each one's part of the host's CPU time that all got (-: not known here); exits/s are "
	    "per second "
	    "of host time. Enter selects a VM and shows its scope.");
}

/* --- commands ------------------------------------------------------------------------------------------------------
 */

/* The VM that a command names: by the number that is shown, or the cursor's. */
static enum err named(struct app *a, struct view *v, const char *args, unsigned *index, struct errmsg *why)
{
	struct vms_state *st = v->state;
	const struct vm_line *l = table_row(&st->table, st->lines);
	struct engine *e = app_engine(a);
	char *end;
	unsigned long n;

	if (!e)
		return err_set(why, ERR_UNSUPPORTED, "a trace is a record: there is no VM to be driven");
	if (!*args) {
		if (!l || l->index >= engine_n_vms(e))
			return err_set(why, ERR_NOENT, "there is no VM");
		*index = l->index;
		return ERR_OK;
	}
	n = strtoul(args, &end, 10);
	if (*end || args[0] == '-' || n < 1 || n > engine_n_vms(e))
		return err_set(why, ERR_NOENT, "no VM \"%.20s\": they have the numbers 1 to %u", args, engine_n_vms(e));
	*index = (unsigned)n - 1;
	return ERR_OK;
}

static enum err cmd_start(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct engine_vm vm;
	unsigned i;
	enum err e = named(a, v, args, &i, why);

	if (e != ERR_OK)
		return e;
	engine_vm(app_engine(a), i, &vm);
	if (vm.run == VIEW_ENDED)
		return err_set(why, ERR_UNSUPPORTED, "VM %u has ended: restart the session to run it again", i + 1);
	e = engine_vm_pause(app_engine(a), i, false, why);
	if (e != ERR_OK || engine_busy(app_engine(a)))
		return e;
	return engine_do(app_engine(a), ENGINE_RUN, 0, why);
}

static enum err cmd_pause(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	unsigned i;
	enum err e = named(a, v, args, &i, why);

	return e == ERR_OK ? engine_vm_pause(app_engine(a), i, true, why) : e;
}

static enum err cmd_stop(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	unsigned i;
	enum err e = named(a, v, args, &i, why);

	return e == ERR_OK ? engine_vm_stop(app_engine(a), i, why) : e;
}

static enum err cmd_select(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	unsigned i;
	enum err e = named(a, v, args, &i, why);

	return e == ERR_OK ? engine_vm_select(app_engine(a), i, why) : e;
}

static const char *complete_vm(struct app *a, struct view *v, unsigned i)
{
	static const char *const numbers[ENGINE_VMS_MAX] = {"1", "2", "3", "4", "5", "6", "7", "8"};

	(void)v;
	return app_engine(a) && i < engine_n_vms(app_engine(a)) ? numbers[i] : NULL;
}

static const struct command commands[] = {
    {"vm start", "[N]", "Lets a VM run (again) with the others.", cmd_start, complete_vm},
    {"vm pause", "[N]", "Keeps a VM from running while the others do.", cmd_pause, complete_vm},
    {"vm stop", "[N]", "Switches a VM off, for good.", cmd_stop, complete_vm},
    {"vm select", "[N]", "Makes a VM the one that views and run control are about.", cmd_select, complete_vm},
    {0},
};

static const struct binding bindings[] = {
    {"S", "vm start", "Start"},
    {"W", "vm pause", "Pause"},
    {"K", "vm stop", "Stop"},
    {">", "sort next", "Sort"},
    {0},
};

static void move(struct app *a, struct view *v, int lines)
{
	struct vms_state *st = v->state;

	(void)a;
	table_move(&st->table, st->lines, lines);
}

static bool search(struct app *a, struct view *v, const char *text, int dir)
{
	struct vms_state *st = v->state;

	(void)a;
	return table_search(&st->table, st->lines, text, dir);
}

static void click(struct app *a, struct view *v, int x, int y)
{
	struct vms_state *st = v->state;

	(void)a;
	if (st->live)
		table_click(&st->table, st->lines, x + v->at.x, y + v->at.y);
}

static enum err enter(struct app *a, struct view *v, struct errmsg *why)
{
	enum err e = app_engine(a) ? cmd_select(a, v, "", why) : ERR_OK;

	return e == ERR_OK ? app_command(a, "view scope", why) : e;
}

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v ? v : json_null());
}

static json_t *line_json(const struct vm_line *l)
{
	const struct engine_vm *vm = &l->vm;
	json_t *o = json_object(), *end = json_null();

	if (vm->run == VIEW_ENDED) {
		end = json_object();
		set(end, "kind", json_string(end_name(vm->end.kind)));
		set(end, "code", json_integer(vm->end.code));
		set(end, "detail", text_json(vm->end.detail));
	}
	set(o, "vm", json_integer(l->index + 1));
	set(o, "guest", text_json(vm->guest));
	set(o, "mode", text_json(vm->mode));
	set(o, "type", vm->type ? json_integer(vm->type) : json_null());
	set(o, "state", json_string(state_word(vm)));
	set(o, "current", json_boolean(vm->current));
	set(o, "cpu_ns", vm->cpu_ns ? json_integer((json_int_t)vm->cpu_ns) : json_null());
	set(o, "cpu_share", l->cpu_share >= 0 ? json_real(l->cpu_share) : json_null());
	set(o, "ram_bytes", json_integer((json_int_t)vm->mem_size));
	set(o, "exits", json_integer((json_int_t)vm->exits));
	set(o, "host_exits_per_s", json_real(vm->exits_per_s));
	set(o, "insns", vm->counts_insns ? json_integer((json_int_t)vm->insns) : json_null());
	set(o, "guest_ns", json_integer((json_int_t)vm->guest_ns));
	set(o, "end", end);
	return o;
}

static json_t *json(struct app *a, struct view *v)
{
	const struct vms_state *st = v->state;
	json_t *o = json_object(), *vms = json_array();

	(void)a;
	for (unsigned i = 0; i < st->n; i++)
		json_array_append_new(vms, line_json(&st->lines[i]));
	set(o, "view", json_string("vms"));
	set(o, "live", json_boolean(st->live));
	set(o, "vms", vms);
	if (!st->live) {
		set(o, "trace", st->info.path[0] ? text_json(st->info.path) : json_null());
		set(o, "guest", st->info.guest[0] ? text_json(st->info.guest) : json_null());
		set(o, "vcpus", json_integer(st->info.n_vcpus));
		set(o, "exits", json_integer((json_int_t)st->now.exits));
		set(o, "kept", json_integer((json_int_t)st->log_n));
	}
	return o;
}

static struct table *sorted_table(struct view *v)
{
	return &((struct vms_state *)v->state)->table;
}

const struct view_ops view_vms_ops = {
    .name = "vms",
    .title = "VMs",
    .about = "The VMs of this session: state, share of CPU time, RAM, exits; start, pause, stop.",
    .table = sorted_table,
    .commands = commands,
    .bindings = bindings,
    .state_size = sizeof(struct vms_state),
    .open = open_view,
    .collect = collect,
    .draw = draw,
    .json = json,
    .move = move,
    .search = search,
    .enter = enter,
    .click = click,
};
