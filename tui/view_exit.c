/*
 * The exit view: one exit explained, the selected one. What it is and why it came are tracer/explain.h's; here it is
 * chosen, and put on the screen.
 */
#include "tui/exit_view.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- collect -------------------------------------------------------------------------------------------------- */

static void say_missing(struct exit_state *st, struct view_model *m)
{
	const struct view_now *now = view_now(m);
	unsigned long long n = now->selected;
	uint64_t first, last;

	st->have = false;
	if (!now->exits && st->info.source == VIEW_TRACE)
		snprintf(st->missing, sizeof(st->missing), "This trace holds no exit.");
	else if (!now->exits)
		snprintf(st->missing, sizeof(st->missing),
		    "No exit yet: the guest has not needed the VMM so far. Press e to run to its first exit.");
	else if (!view_log_numbers(m, &first, &last) || n > last)
		snprintf(st->missing, sizeof(st->missing), "Exit #%llu is not in the log yet.", n);
	else if (now->exits - 1 == n)
		snprintf(st->missing, sizeof(st->missing),
		    "Exit #%llu is not in the log any more: it keeps the newest, #%llu to #%llu, and the guest stands "
		    "before "
		    "them. R starts it again, and all is recorded anew.",
		    n, (unsigned long long)first, (unsigned long long)last);
	else
		snprintf(st->missing, sizeof(st->missing),
		    "Exit #%llu is not in the log any more: it keeps the newest, #%llu to #%llu. Press F for the "
		    "newest.",
		    n, (unsigned long long)first, (unsigned long long)last);
}

/* How usual exits of this reason are, and what they cost. */
static void count_same(struct exit_state *st, struct view_model *m)
{
	const struct exit_stats *all = view_stats(m, STATS_BY_REASON);

	st->same = 1; /* this one, which may not be over yet */
	st->mean_ns = 0;
	for (size_t i = 0; all && i < all->n_rows; i++)
		if (all->rows[i].reason == st->e.reason && all->rows[i].isa == st->e.isa) {
			st->same = all->rows[i].samples ? all->rows[i].samples : 1;
			st->mean_ns = all->rows[i].timed ? (uint64_t)all->rows[i].mean : 0;
		}
}

/*
 * The bytes at RIP. Memory has no history: what is there now is what was there then only while the guest stands right
 * behind this exit; otherwise it is said.
 */
static void read_bytes(struct exit_state *st, struct view_model *m, unsigned *code_bits)
{
	const struct view_now *now = view_now(m);
	const struct x86_state *s;
	struct errmsg why = {""};
	gva_t at = st->e.rip;

	st->n_bytes = 0;
	st->bytes_when[0] = 0;
	*code_bits = 64;
	if (!(st->e.has & VIEW_HAS_RIP) || st->info.source == VIEW_TRACE)
		return;
	s = view_cpu_state(m, st->e.vcpu, &why);
	if (!s) {
		snprintf(st->bytes_when, sizeof(st->bytes_when), "%.90s", why.text);
		return;
	}
	*code_bits = disasm_code_bits(s);
	if (*code_bits != 64)
		at = (uint32_t)(at + s->seg[X86_CS].base);
	if (view_read_linear(m, st->e.vcpu, at, st->bytes, sizeof(st->bytes), &st->n_bytes, &why) != ERR_OK &&
	    !st->n_bytes)
		snprintf(st->bytes_when, sizeof(st->bytes_when), "%.90s", why.text);
	else if (now->run == VIEW_RUNNING || now->exits != st->e.number + 1)
		snprintf(st->bytes_when, sizeof(st->bytes_when), "bytes of now");
}

static void add_neighbour(struct exit_state *st, struct app *a, struct view_model *m, const struct view_exit *e)
{
	struct exit_neighbour *n = &st->list[st->n_list++];
	char buf[48];

	*n = (struct exit_neighbour){.number = e->number,
	    .ts_ns = e->ts_ns,
	    .rip = e->rip,
	    .cost_ns = e->cost_ns,
	    .reason = e->reason,
	    .has = e->has,
	    .verdict = e->verdict,
	    .shown = view_log_shown(m, e),
	    .marked = e->number != UINT64_MAX && app_marked(a, e->number),
	    .selected = e->number == st->selected};
	snprintf(n->name, sizeof(n->name), "%s", view_exit_name(e, buf, sizeof(buf)));
}

/* As many around it as a list of h lines shows, oldest first. */
static void collect_list(struct exit_state *st, struct app *a, struct view_model *m, uint64_t pos, int h)
{
	uint64_t want = h < 8 ? 8 : h > EXIT_NEIGHBOURS ? EXIT_NEIGHBOURS : (uint64_t)h;
	uint64_t first = view_log_first(m), end = first + view_log_n(m), from;

	from = pos - first > want / 2 ? pos - want / 2 : first;
	if (end - from < want)
		from = end - first > want ? end - want : first;
	st->n_list = 0;
	for (uint64_t p = from; p < end && p < from + want; p++) {
		const struct view_exit *e = view_log_at(m, p);
		if (e)
			add_neighbour(st, a, m, e);
	}
}

static void name_place(struct exit_state *st, const struct symbols *syms)
{
	const char *file, *slash;
	unsigned line;

	st->where[0] = st->source[0] = 0;
	if (!(st->e.has & VIEW_HAS_RIP))
		return;
	symbols_format(syms, st->e.rip, st->where, sizeof(st->where));
	if (!symbols_line(syms, st->e.rip, &file, &line))
		return;
	slash = strrchr(file, '/');
	snprintf(st->source, sizeof(st->source), "%.60s:%u", slash ? slash + 1 : file, line);
}

static void collect(struct app *a, struct view *v, struct view_model *m, int w, int h)
{
	struct exit_state *st = v->state;
	const struct view_exit *e = NULL;
	unsigned code_bits;
	uint64_t pos;

	(void)w;
	st->info = *view_info(m);
	st->exits = view_now(m)->exits;
	st->selected = view_now(m)->selected;
	st->following = app_following(a);
	if (st->exits && view_log_find(m, st->selected, &pos))
		e = view_log_at(m, pos);
	if (!e) {
		say_missing(st, m);
		return;
	}
	if (e->number >= st->exits) /* in the past: it lies ahead */
		st->exits = view_now(m)->seen_exits;
	st->have = true;
	st->e = *e;
	st->marked = app_marked(a, e->number);
	if (st->shown != e->number)
		st->skip = 0;
	st->shown = e->number;
	count_same(st, m);
	name_place(st, app_symbols(a));
	read_bytes(st, m, &code_bits);
	explain_exit(&st->e, &st->info, st->bytes, st->n_bytes, code_bits, app_symbols(a), &st->x);
	collect_list(st, a, m, pos, h);
	st->info.profile = NULL;
	st->info.cost = NULL;
}

static void draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	exit_draw(a, v->state, s, r);
}

static json_t *json(struct app *a, struct view *v)
{
	(void)a;
	return exit_json(v->state);
}

/* --- moving about ------------------------------------------------------------------------------------------------- */

static void move(struct app *a, struct view *v, int lines)
{
	struct exit_state *st = v->state;
	int last = st->lines > st->room ? st->lines - st->room : 0;

	(void)a;
	if (lines == INT_MIN)
		st->skip = 0;
	else if (lines == INT_MAX)
		st->skip = last;
	else
		st->skip += lines;
	st->skip = st->skip < 0 ? 0 : st->skip > last ? last : st->skip;
}

static enum err select_number(struct app *a, uint64_t number, struct errmsg *why)
{
	char line[40];

	snprintf(line, sizeof(line), "select %llu", (unsigned long long)number);
	return app_command(a, line, why);
}

static void click(struct app *a, struct view *v, int x, int y)
{
	struct exit_state *st = v->state;
	const struct rect *at = &st->list_at;
	struct errmsg why;
	unsigned i;

	x += v->at.x;
	y += v->at.y;
	if (x < at->x || x >= at->x + at->w || y < at->y || y >= at->y + at->h)
		return;
	i = st->list_first + (unsigned)(y - at->y);
	if (i < st->n_list && st->list[i].number != UINT64_MAX && select_number(a, st->list[i].number, &why) != ERR_OK)
		app_message(a, "%s", why.text);
}

struct looked_for {
	const char *text;
	struct view_model *m;
};

static bool matches(void *arg, const struct view_exit *e)
{
	const struct looked_for *l = arg;
	char buf[48];

	return e->number != UINT64_MAX && view_log_shown(l->m, e) &&
	       strcasestr(view_exit_name(e, buf, sizeof(buf)), l->text);
}

/* The next exit whose name contains the text. */
static bool search(struct app *a, struct view *v, const char *text, int dir)
{
	struct exit_state *st = v->state;
	struct view_model *m = app_model(a);
	struct looked_for l = {text, m};
	const struct view_exit *e = NULL;
	uint64_t pos, number = 0;
	struct errmsg why;

	if (!m)
		return false;
	view_model_lock(m);
	if (view_log_find(m, st->selected, &pos) && view_log_search(m, pos, dir, matches, &l, &pos))
		e = view_log_at(m, pos);
	if (e)
		number = e->number;
	view_model_unlock(m);
	return e && select_number(a, number, &why) == ERR_OK;
}

/* The selected exit as it is now: a script may have chosen another since the last frame. */
static enum err selected(struct app *a, struct view_exit *out, struct errmsg *why)
{
	struct view_model *m = app_model(a);
	const struct view_exit *e = NULL;
	uint64_t pos;

	if (m) {
		view_model_lock(m);
		if (view_now(m)->exits && view_log_find(m, view_now(m)->selected, &pos))
			e = view_log_at(m, pos);
		if (e)
			*out = *e;
		view_model_unlock(m);
	}
	return e ? ERR_OK : err_set(why, ERR_NOENT, "no exit is selected");
}

static enum err enter(struct app *a, struct view *v, struct errmsg *why)
{
	struct view_exit e;
	char line[40];
	enum err err = selected(a, &e, why);

	(void)v;
	if (err == ERR_OK)
		err = app_command(a, "view machine", why);
	if (err != ERR_OK || !(e.has & VIEW_HAS_RIP))
		return err;
	snprintf(line, sizeof(line), "code %#llx", (unsigned long long)e.rip);
	return app_command(a, line, why);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

static enum err cmd_raw(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct exit_state *st = v->state;

	(void)a;
	if (*args && strcmp(args, "on") != 0 && strcmp(args, "off") != 0)
		return err_set(why, ERR_INVAL, "'on' or 'off', not '%s'", args);
	st->raw = *args ? !strcmp(args, "on") : !st->raw;
	st->skip = 0;
	return ERR_OK;
}

/* Back (or forward) in time, to the moment of this exit. */
static enum err cmd_then(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct view_exit e;
	char line[40];
	enum err err = *args ? err_set(why, ERR_INVAL, "'%s' is one word too many here", args) : selected(a, &e, why);

	(void)v;
	if (err != ERR_OK)
		return err;
	if (!app_engine(a))
		return err_set(why, ERR_UNSUPPORTED, "this is a recorded trace: no guest can be taken there");
	snprintf(line, sizeof(line), "goto exit %llu", (unsigned long long)e.number);
	return app_command(a, line, why);
}

static const struct command commands[] = {
    {"raw", "[on|off]", "Shows the fields of the exit as they were recorded.", cmd_raw, NULL},
    {"then", "", "Takes the guest to the moment of this exit.", cmd_then, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct binding bindings[] = {
    {"Left", "select prev", "Prev"},
    {"Right", "select next", "Next"},
    {"}", "select next same", "Same"},
    {"{", "select prev same", NULL},
    {"#", "line select ", "Jump"},
    {"G", "then", "GoTo"},
    {"r", "raw", "Raw"},
    {NULL, NULL, NULL},
};

const struct view_ops view_exit_ops = {
    .name = "exit",
    .title = "Exit",
    .about = "One exit explained: what it is, why it came, what the VMM did, what it cost. / finds a reason by name.",
    .commands = commands,
    .bindings = bindings,
    .state_size = sizeof(struct exit_state),
    .collect = collect,
    .draw = draw,
    .json = json,
    .move = move,
    .search = search,
    .enter = enter,
    .click = click,
};
