/*
 * Scope: the whole run on one screen. What runs and how, how fast it exits and why, what the three verdicts say, what
 * the guest prints, and what has just happened.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/engine.h"
#include "tui/event_text.h"
#include "tui/scope_events.h"
#include "tui/scope_state.h"
#include "tui/stats_rows.h"
#include "tui/view.h"

#define CONSOLE_W 82 /* a PC's screen and its frame */
#define WIDE_W 160   /* from here on the console stands beside the rest */

/* --- what is copied ------------------------------------------------------------------------------------------------
 */

static enum err open_view(struct app *a, struct view *v, struct errmsg *why)
{
	struct scope_state *st = v->state;

	(void)a;
	(void)why;
	stats_rows_init(&st->rows, ROWS_BY_REASON);
	return ERR_OK;
}

static void close_view(struct app *a, struct view *v)
{
	struct scope_state *st = v->state;

	(void)a;
	stats_rows_fini(&st->rows);
}

static void collect_console(struct scope_state *st, struct view_model *m)
{
	st->console_n = view_console(m, st->console, sizeof(st->console), &st->console_total);
	st->has_vga = view_screen(m, st->vga);
}

static void collect(struct app *a, struct view *v, struct view_model *m, int w, int h)
{
	struct scope_state *st = v->state;

	(void)w;
	(void)h;
	st->info = *view_info(m);
	st->now = *view_now(m);
	st->verdicts = *view_verdicts(m);
	st->bucket_ns = view_bucket_ns(m);
	stats_rows_collect(&st->rows, view_stats(m, STATS_BY_REASON), m, NULL);
	events_collect(&st->events, a, m);
	collect_console(st, m);
}

/* --- head ----------------------------------------------------------------------------------------------------------
 */

/* Label and value, in the next place where both fit. */
struct flow {
	struct screen *s;
	struct rect r;
	int x, y;
};

static void flow_field(struct flow *f, const char *label, enum style style, const char *value)
{
	int w = (int)(strlen(label) + strlen(value)) + (*label && *value ? 1 : 0);

	if (f->x > 0 && f->x + w > f->r.w) {
		f->x = 0;
		f->y++;
	}
	if (f->y >= f->r.h)
		return;
	int x = f->r.x + f->x, y = f->r.y + f->y;

	if (*label)
		x += screen_text(f->s, x, y, f->r.x + f->r.w - x, STYLE_DIM, label) + 1;
	x += screen_text(f->s, x, y, f->r.x + f->r.w - x, style, value);
	f->x = x - f->r.x + 2;
}

static void draw_what(struct flow *f, const struct scope_state *st)
{
	const struct view_info *i = &st->info;
	char buf[80], b[16];

	flow_field(f, "guest", STYLE_STRONG, i->guest[0] ? i->guest : "not known");
	if (i->source == VIEW_TRACE)
		flow_field(f, "trace", STYLE_NORMAL, i->path);
	flow_field(f, "mode", STYLE_STRONG, i->mode[0] ? i->mode : "not known");
	flow_field(f, "type", STYLE_STRONG, i->type == 1 ? "I" : i->type == 2 ? "II" : "?");
	flow_field(f, "controls", STYLE_NORMAL, i->controls[0] ? i->controls : "not known");
	flow_field(f, "", STYLE_NORMAL, i->clock == CLOCK_VIRTUAL ? "virtual clock" : "host clock");
	if (i->engine[0] && f->r.w >= WIDE_W)
		flow_field(f, "engine", STYLE_NORMAL, i->engine);
	if (i->n_vcpus > 1) {
		snprintf(buf, sizeof(buf), "%u vCPUs", i->n_vcpus);
		flow_field(f, "", STYLE_NORMAL, buf);
	}
	if (i->mem_size) {
		snprintf(buf, sizeof(buf), "%s RAM", fmt_bytes(i->mem_size, b));
		flow_field(f, "", STYLE_NORMAL, buf);
	}
}

static void draw_state(struct flow *f, const struct scope_state *st)
{
	static const struct {
		enum glyph glyph;
		const char *word;
	} states[] = {
	    [VIEW_STOPPED] = {GLYPH_STOPPED, "stopped"},
	    [VIEW_RUNNING] = {GLYPH_RUNNING, "running"},
	    [VIEW_ENDED] = {GLYPH_ENDED, "ended"},
	};
	unsigned run = st->now.run <= VIEW_ENDED ? st->now.run : VIEW_STOPPED;

	screen_put(f->s, f->r.x, f->r.y + f->y, screen_glyph(f->s, states[run].glyph), STYLE_STRONG);
	f->x = 2;
	flow_field(f, "", STYLE_STRONG, st->info.source == VIEW_TRACE ? "recorded" : states[run].word);
}

/* Why it stands still: last, for it may be long. */
static void draw_why(struct flow *f, const struct scope_state *st)
{
	char buf[400];

	if (st->info.source == VIEW_TRACE) {
		if (st->now.stop[0])
			flow_field(f, "damaged:", STYLE_ERROR, st->now.stop);
		return;
	}
	if (st->now.run == VIEW_ENDED) {
		snprintf(buf, sizeof(buf), "%s%s%s", end_name(st->now.end.kind), st->now.end.detail[0] ? ": " : "",
		    st->now.end.detail);
		flow_field(f, "ended by", STYLE_NORMAL, buf);
	} else if (st->now.run == VIEW_STOPPED && st->now.stop[0]) {
		flow_field(f, "why", STYLE_NORMAL, st->now.stop);
	}
}

static void draw_position(struct flow *f, const struct scope_state *st)
{
	const struct view_now *n = &st->now;
	const char *second = st->info.clock == CLOCK_VIRTUAL ? "per guest second" : "per second";
	char buf[80], seen[24] = "", b[16], c[16];

	if (n->seen_exits > n->exits)
		snprintf(seen, sizeof(seen), " of %s", fmt_count(n->seen_exits, b));
	snprintf(buf, sizeof(buf), "%s%s, %s %s", fmt_count(n->exits, b), seen, fmt_rate(n->exits_per_s, c), second);
	flow_field(f, "exits", STYLE_STRONG, buf);
	snprintf(buf, sizeof(buf), "%s, %s %s", fmt_count(n->insns, b), fmt_rate(n->insns_per_s, c), second);
	flow_field(f, "insns", st->info.counts_insns ? STYLE_STRONG : STYLE_DIM,
	    st->info.counts_insns ? buf : "not counted here");
	flow_field(f, "guest time", STYLE_NORMAL, fmt_ns(n->guest_ns, b));
	if (n->run == VIEW_RUNNING && st->info.clock == CLOCK_VIRTUAL) {
		snprintf(buf, sizeof(buf), "%s exits/s", fmt_rate(n->host_exits_per_s, b));
		flow_field(f, "host:", STYLE_NORMAL, buf);
	}
	if (n->lost)
		flow_field(f, "events lost", STYLE_ERROR, fmt_count(n->lost, b));
}

/* Returns the lines used. */
static int draw_head(const struct scope_state *st, struct screen *s, const struct rect *r)
{
	struct flow f = {.s = s, .r = *r};

	draw_what(&f, st);
	f.x = 0;
	f.y++;
	draw_state(&f, st);
	draw_position(&f, st);
	draw_why(&f, st);
	return f.y + 1 < r->h ? f.y + 1 : r->h;
}

static int draw_verdict(struct screen *s, const struct rect *r, int y, const char *name, const struct pg_verdict *v,
    int lines, const char *when)
{
	static const struct {
		enum glyph glyph;
		enum style style;
	} looks[] = {
	    [PG_UNKNOWN] = {GLYPH_UNKNOWN, STYLE_UNKNOWN},
	    [PG_HOLDS] = {GLYPH_HOLDS, STYLE_HOLDS},
	    [PG_VIOLATED] = {GLYPH_VIOLATED, STYLE_VIOLATED},
	    [PG_NA] = {GLYPH_NA, STYLE_DIM},
	};
	unsigned i = v->state <= PG_NA ? v->state : PG_UNKNOWN;
	struct rect text = {.x = r->x + 28, .y = y, .w = r->w - 28, .h = lines};

	screen_put(s, r->x, y, screen_glyph(s, looks[i].glyph), looks[i].style);
	screen_text(s, r->x + 2, y, 16, STYLE_NORMAL, name);
	screen_text(s, r->x + 19, y, 8, looks[i].style, pg_state_name(v->state));
	char evidence[sizeof(v->evidence) + 40];

	snprintf(evidence, sizeof(evidence), "%s%s", when, v->evidence[0] ? v->evidence : "no evidence");
	int need = screen_wrap(s, &text, 0, STYLE_NORMAL, evidence);

	if (need > lines)
		screen_put(s, text.x + text.w - 1, y + lines - 1, screen_glyph(s, GLYPH_ELLIPSIS), STYLE_LINK);
	return need < 1 ? 1 : need < lines ? need : lines;
}

static int draw_verdicts(const struct scope_state *st, struct screen *s, const struct rect *r)
{
	int lines = st->evidence ? 8 : r->w >= WIDE_W ? 2 : 1, y = r->y;
	/* A verdict is reached while the guest stands still. */
	const char *when = st->now.run == VIEW_RUNNING ? "at the last stop: " : "";

	y += draw_verdict(s, r, y, "equivalence", &st->verdicts.equivalence, lines, when);
	y += draw_verdict(s, r, y, "resource control", &st->verdicts.safety, lines, when);
	y += draw_verdict(s, r, y, "efficiency", &st->verdicts.efficiency, lines, when);
	return y - r->y;
}

/* --- panels --------------------------------------------------------------------------------------------------------
 */

static struct rect take(struct rect *r, int h)
{
	struct rect top = *r;

	top.h = h < r->h ? h : r->h;
	r->y += top.h;
	r->h -= top.h;
	return top;
}

static void draw_table(struct app *a, struct scope_state *st, struct screen *s, const struct rect *r)
{
	char title[160], sort[64], b[16];
	const struct stats_rows *rows = &st->rows;

	snprintf(title, sizeof(title), "%s%s exit%s by reason%s%s (%s), cost %s", st->focus == SCOPE_TABLE ? "> " : "",
	    fmt_count(rows->total, b), rows->total == 1 ? "" : "s", rows->rates ? ", rates" : "",
	    st->now.counts_forgotten ? ", with those of a future given up" : "",
	    table_sort_text(&rows->table, sort, sizeof(sort)), stats_cost_source(rows->timed, rows->modelled));
	struct rect in = screen_section(s, r, title);

	/* What an exit costs by the host's clock is known when the guest goes on, and then it is counted. */
	if (rows->n == 0)
		screen_text(s, in.x, in.y + 1, in.w, STYLE_DIM,
		    st->now.exits ? "an exit is counted when it is over: when the guest goes on" : "no exit yet");
	table_draw(&st->rows.table, s, &in, st->rows.lines, st->focus == SCOPE_TABLE, app_search_text(a));
}

static void draw_events(struct app *a, struct scope_state *st, struct screen *s, const struct rect *r)
{
	char title[200], text[160];

	snprintf(title, sizeof(title), "%s%s", st->focus == SCOPE_EVENTS ? "> " : "",
	    events_title(&st->events, text, sizeof(text)));
	struct rect in = screen_section(s, r, title);

	if (st->events.n == 0)
		screen_text(s, in.x, in.y + 1, in.w, STYLE_DIM,
		    st->events.filter[0]			    ? "no exit passes the filter"
		    : st->now.exits && st->info.source == VIEW_LIVE ? "the exits up to here are not kept any more"
								    : "no exit yet");
	st->events.table.arg = &st->events;
	st->events.table.no_head = in.h < 8;
	if (st->events.opened)
		table_draw(&st->events.table, s, &in, st->events.lines, st->focus == SCOPE_EVENTS, app_search_text(a));
}

static void draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	struct scope_state *st = v->state;
	struct rect left = *r, right = {0};

	take(&left, draw_head(st, s, &left));
	take(&left, draw_verdicts(st, s, &left));
	if (r->w >= WIDE_W) {
		right = left;
		right.x += left.w - CONSOLE_W;
		right.w = CONSOLE_W;
		left.w -= CONSOLE_W + 1;
		screen_vline(s, right.x - 1, right.y, right.h);
		scope_console_draw(st, s, &right);
	}
	/* The table gets what it needs, up to half; where the console has no place of its own it gets three lines. */
	int need = (int)st->rows.n + 2, half = (left.h + 1) / 2;
	struct rect part = take(&left, need < 5 ? 5 : need < half ? need : half);

	draw_table(a, st, s, &part);
	if (r->w < WIDE_W) {
		part = take(&left, left.h < 16 ? 3 : left.h / 3);
		scope_console_draw(st, s, &part);
	}
	draw_events(a, st, s, &left);
}

/* --- commands ------------------------------------------------------------------------------------------------------
 */

/* One of some words, or the next one when there is none. */
static enum err choose(
    const char *args, const char *const *words, unsigned n, unsigned *at, const char *what, struct errmsg *why)
{
	if (!*args) {
		*at = (*at + 1) % n;
		return ERR_OK;
	}
	for (unsigned i = 0; i < n; i++)
		if (strcmp(args, words[i]) == 0) {
			*at = i;
			return ERR_OK;
		}
	return err_set(why, ERR_NOENT, "%s: no \"%.40s\": %s or %s%s%s", what, args, words[0], words[1],
	    n > 2 ? " or " : "", n > 2 ? words[2] : "");
}

static const char *const rate_words[] = {"total", "rate"};
static const char *const pane_words[] = {"table", "events"};
static const char *const console_words[] = {"auto", "uart", "vga"};

static enum err cmd_rate(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct scope_state *st = v->state;
	unsigned at = st->rows.rates;
	enum err e = choose(args, rate_words, ARRAY_LEN(rate_words), &at, "count", why);

	(void)a;
	st->rows.rates = at;
	return e;
}

static const char *complete_rate(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return i < ARRAY_LEN(rate_words) ? rate_words[i] : NULL;
}

static enum err cmd_pane(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct scope_state *st = v->state;
	unsigned at = st->focus;
	enum err e = choose(args, pane_words, ARRAY_LEN(pane_words), &at, "pane", why);

	(void)a;
	st->focus = at;
	return e;
}

static const char *complete_pane(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return i < ARRAY_LEN(pane_words) ? pane_words[i] : NULL;
}

static enum err cmd_console(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct scope_state *st = v->state;
	unsigned at = st->which;
	enum err e = choose(args, console_words, ARRAY_LEN(console_words), &at, "console", why);

	(void)a;
	st->which = at;
	return e;
}

static const char *complete_console(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return i < ARRAY_LEN(console_words) ? console_words[i] : NULL;
}

static enum err cmd_evidence(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct scope_state *st = v->state;

	(void)a;
	(void)args;
	(void)why;
	st->evidence = !st->evidence;
	return ERR_OK;
}

static const struct command commands[] = {
    {"count", "[total|rate]", "Counts exits in total, or per second.", cmd_rate, complete_rate},
    {"pane", "[table|events]", "Moves the cursor to the exit table, or to the newest exits.", cmd_pane, complete_pane},
    {"console", "[auto|uart|vga]", "Shows what the guest prints, or its screen.", cmd_console, complete_console},
    {"evidence", "", "Shows the whole evidence of the verdicts, or one line of it.", cmd_evidence, NULL},
    {0},
};

static const struct binding bindings[] = {
    {"w", "pane", "Pane"},
    {">", "sort next", "Sort"},
    {"r", "count", "Rate"},
    {"E", "evidence", "Evid."},
    {"V", "console", "Consol"},
    {0},
};

/* --- cursor --------------------------------------------------------------------------------------------------------
 */

static void move(struct app *a, struct view *v, int lines)
{
	struct scope_state *st = v->state;

	(void)a;
	if (st->focus == SCOPE_EVENTS)
		table_move(&st->events.table, st->events.lines, lines);
	else
		table_move(&st->rows.table, st->rows.lines, lines);
}

static bool search(struct app *a, struct view *v, const char *text, int dir)
{
	struct scope_state *st = v->state;

	(void)a;
	if (st->focus == SCOPE_EVENTS)
		return table_search(&st->events.table, st->events.lines, text, dir);
	return table_search(&st->rows.table, st->rows.lines, text, dir);
}

static void click(struct app *a, struct view *v, int x, int y)
{
	struct scope_state *st = v->state;

	(void)a;
	x += v->at.x;
	y += v->at.y;
	if (y >= st->events.table.at.y && st->events.opened && x < st->events.table.at.x + st->events.table.at.w) {
		if (table_click(&st->events.table, st->events.lines, x, y))
			st->focus = SCOPE_EVENTS;
	} else if (table_click(&st->rows.table, st->rows.lines, x, y)) {
		st->focus = SCOPE_TABLE;
	}
}

static bool same_reason(void *arg, const struct view_exit *e)
{
	const struct stats_line *l = arg;

	return e->reason == l->reason && e->isa == l->isa && e->number != UINT64_MAX;
}

/* The newest exit of a row, as far as the run has come. */
static bool newest_of(struct view_model *m, struct stats_line *l, uint64_t *number)
{
	uint64_t pos = view_log_first(m) + view_log_n(m), found;
	bool ok;

	if (view_now(m)->seen_exits > view_now(m)->exits)
		view_log_find(m, view_now(m)->exits, &pos);
	ok = view_log_search(m, pos, -1, same_reason, l, &found);
	if (ok)
		*number = view_log_at(m, found)->number;
	return ok;
}

static enum err enter(struct app *a, struct view *v, struct errmsg *why)
{
	struct scope_state *st = v->state;
	struct view_model *m = app_model(a);
	const struct stats_line *l = table_row(&st->rows.table, st->rows.lines);
	const struct event_line *ev = table_row(&st->events.table, st->events.lines);
	uint64_t number = UINT64_MAX;

	if (st->focus == SCOPE_EVENTS ? !st->events.opened || !ev : !l)
		return err_set(why, ERR_NOENT, "there is no exit yet: run the guest");
	if (st->focus == SCOPE_EVENTS) {
		number = ev->e.number;
	} else {
		struct stats_line row = *l;

		view_model_lock(m);
		newest_of(m, &row, &number);
		view_model_unlock(m);
	}
	if (number == UINT64_MAX)
		return err_set(why, ERR_NOENT,
		    st->focus == SCOPE_EVENTS ? "this event has no exit number of its own: it is no hardware exit"
					      : "the log holds no numbered exit of this reason any more");
	return view_show_exit(a, number, why);
}

/* --- JSON ----------------------------------------------------------------------------------------------------------
 */

static json_t *json(struct app *a, struct view *v)
{
	(void)a;
	return scope_json(v->state);
}

static struct table *sorted_table(struct view *v)
{
	return &((struct scope_state *)v->state)->rows.table;
}

const struct view_ops view_scope_ops = {
    .name = "scope",
    .title = "Scope",
    .about =
	"The whole run on one screen: how fast it exits and why, the three verdicts, the console, the newest exits.",
    .table = sorted_table,
    .commands = commands,
    .bindings = bindings,
    .state_size = sizeof(struct scope_state),
    .open = open_view,
    .close = close_view,
    .collect = collect,
    .from_log = true,
    .draw = draw,
    .json = json,
    .move = move,
    .search = search,
    .enter = enter,
    .click = click,
};
