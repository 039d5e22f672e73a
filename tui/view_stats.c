/*
 * Statistics: the table of exits by reason, instruction, vCPU or port; the histogram of what they cost; when they
 * happened; and where they come from.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/event_text.h"
#include "tui/stats_state.h"
#include "tui/view.h"

#define WIDE_W 140 /* from here on all charts are shown */
#define TALL_H 34
#define TIME_H 7 /* a timeline of fewer rows says nothing */
#define ZOOM_MAX 1048576.0

static struct table *table_of(struct stats_state *st)
{
	return &st->rows[st->by].table;
}

static enum err open_view(struct app *a, struct view *v, struct errmsg *why)
{
	struct stats_state *st = v->state;

	(void)a;
	(void)why;
	for (unsigned by = 0; by < ROWS_BY_COUNT; by++)
		stats_rows_init(&st->rows[by], (enum rows_by)by);
	st->zoom = 1;
	st->centre = 0.5;
	st->panel = PANE_COST;
	return ERR_OK;
}

static void close_view(struct app *a, struct view *v)
{
	struct stats_state *st = v->state;

	(void)a;
	for (unsigned by = 0; by < ROWS_BY_COUNT; by++)
		stats_rows_fini(&st->rows[by]);
	stats_log_fini(&st->log);
}

/* --- collecting ----------------------------------------------------------------------------------------------------
 */

static const struct exit_stats *source(struct stats_state *st, struct view_model *m)
{
	static const enum stats_by by[] = {
	    [ROWS_BY_REASON] = STATS_BY_REASON, [ROWS_BY_RIP] = STATS_BY_RIP, [ROWS_BY_VCPU] = STATS_BY_VCPU};

	return st->by == ROWS_BY_PORT ? st->log.ports : view_stats(m, by[st->by]);
}

static void collect_row(struct stats_state *st, const struct exit_stats *s)
{
	const struct stats_line *l = table_row(table_of(st), st->rows[st->by].lines);

	st->has_row = l != NULL;
	hist_copy_of(&st->hist, NULL);
	if (!l)
		return;
	st->row = *l;
	for (size_t i = 0; s && i < s->n_rows; i++) {
		const struct stats_row *g = &s->rows[i];

		if (g->key == l->key && g->isa == l->isa && g->child == l->child && g->observed == l->observed)
			hist_copy_of(&st->hist, &g->hist);
	}
}

/* Is the histogram that of the cursor's row? */
static bool same_row(struct stats_state *st)
{
	const struct stats_line *l = table_row(table_of(st), st->rows[st->by].lines);

	return l ? st->has_row && l->key == st->hist_key : !st->has_row;
}

/* The tree of places is made anew with the log; the old one says what the cursor was at. True: there is news. */
static bool collect_log(struct app *a, struct stats_state *st, struct view_model *m)
{
	struct places before = st->log.places;

	memset(&st->log.places, 0, sizeof(st->log.places));
	if (!stats_log_collect(&st->log, m, app_symbols(a), app_threaded(a))) {
		st->log.places = before;
		return false;
	}
	stats_place_keep(st, &before);
	places_free(&before);
	return true;
}

/* By reason the tracer counts; all else is counted from the log, which takes time while the guest stands still. */
static void collect(struct app *a, struct view *v, struct view_model *m, int w, int h)
{
	struct stats_state *st = v->state;
	struct table *t = table_of(st);
	struct stats_order order = {.sort = t->sort, .invert = t->invert};
	bool news = collect_log(a, st, m);
	const struct exit_stats *s;

	(void)w;
	(void)h;
	st->info = *view_info(m);
	st->now = *view_now(m);
	for (unsigned by = 0; news && by < ROWS_BY_COUNT; by++)
		st->made[by] = false;
	if (st->by == ROWS_BY_REASON || !st->made[st->by] || memcmp(&order, &st->order[st->by], sizeof(order)) != 0) {
		uint64_t begin = stats_host_ns();

		s = source(st, m);
		stats_rows_collect(&st->rows[st->by], s, m, app_symbols(a));
		if (st->by != ROWS_BY_REASON)
			st->log.cost_ns += stats_host_ns() - begin;
		st->made[st->by] = true;
		st->order[st->by] = order;
		collect_row(st, s);
		st->hist_by = st->by;
		st->hist_key = st->row.key;
	} else if (st->hist_by != st->by || !same_row(st)) {
		collect_row(st, source(st, m));
		st->hist_by = st->by;
		st->hist_key = st->row.key;
	}
}

/* --- drawing -------------------------------------------------------------------------------------------------------
 */

/* What the numbers rest on. */
static void draw_basis(const struct stats_state *st, struct screen *s, const struct rect *r)
{
	const struct stats_rows *rows = &st->rows[st->by];
	const struct stats_log *l = &st->log;
	char text[320], b[16], c[16], t[16];
	size_t used;

	used = (size_t)snprintf(text, sizeof(text), "%s %sexit%s", fmt_count(rows->total, b),
	    st->by == ROWS_BY_PORT ? "port " : "", rows->total == 1 ? "" : "s");
	if (rows->timed)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ", %s in the VMM (%s)",
		    fmt_ns(rows->total_ns, t), stats_cost_source(rows->timed, rows->modelled));
	else if (rows->total)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ", cost unknown");
	if (l->counted < l->run_exits)
		used += (size_t)snprintf(
		    text + used, sizeof(text) - used, "; log: only the newest %s", fmt_count(l->counted, c));
	if (rows->lost && used < sizeof(text))
		used += (size_t)snprintf(text + used, sizeof(text) - used, "; %s events lost%s",
		    fmt_count(rows->lost, b), rows->lost_unknown ? " and more" : "");
	if (rows->left_out && used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, "; %zu rows more", rows->left_out);
	screen_text(s, r->x, r->y, r->w, STYLE_DIM, text);
}

static void draw_table(struct app *a, struct stats_state *st, struct screen *s, const struct rect *r)
{
	struct stats_rows *rows = &st->rows[st->by];
	char title[120], sort[64];

	snprintf(title, sizeof(title), "%sby %s (%s)%s", st->focus == PANE_TABLE ? "> " : "", rows_by_name(st->by),
	    table_sort_text(&rows->table, sort, sizeof(sort)), st->by == ROWS_BY_REASON ? "" : ", from the log");
	struct rect in = screen_section(s, r, title);

	if (rows->n == 0)
		screen_text(s, in.x, in.y + 1, in.w, STYLE_DIM,
		    st->by == ROWS_BY_PORT ? "no exit of a port yet" : "no exit yet");
	/* In every pane but the places, up and down move in the table. */
	table_draw(&rows->table, s, &in, rows->lines, st->focus != PANE_PLACES, app_search_text(a));
}

static void draw_panel(struct stats_state *st, enum stats_pane pane, struct screen *s, const struct rect *r)
{
	struct timeline t;

	st->panes[pane] = *r;
	switch (pane) {
	case PANE_TIME:
		t = stats_timeline(st);
		panel_timeline(s, r, &st->log, &t, st->focus == PANE_TIME);
		break;
	case PANE_PLACES:
		panel_places(s, r, &st->log.places, st->root, st->cursor, st->focus == PANE_PLACES);
		break;
	case PANE_TABLE:
	case PANE_COST:
	case PANE_COUNT:
		panel_histogram(s, r, &st->hist, st->has_row ? st->row.name : "nothing",
		    st->has_row ? stats_cost_source(st->row.timed, st->row.modelled) : "unknown",
		    st->focus == PANE_COST);
		break;
	}
}

static struct rect take(struct rect *r, int h)
{
	struct rect top = *r;

	top.h = h < r->h ? h : r->h;
	r->y += top.h;
	r->h -= top.h;
	return top;
}

/* The rows that a chart does not need. A histogram has as many as it has steps: the timeline takes the rest. */
static void draw_charts(struct stats_state *st, struct screen *s, struct rect *r)
{
	struct hist_bin bins[HIST_BINS_MAX];
	struct rect part;
	unsigned per;
	int need;

	if (st->panel != PANE_COST || !st->log.counted) {
		draw_panel(st, st->panel, s, r);
		return;
	}
	need = 1 + (int)hist_bins(&st->hist, HIST_BINS_MAX, bins, &per);
	need = need < 2 ? 2 : need;
	part = take(r, r->h - need >= TIME_H ? need : r->h);
	draw_panel(st, PANE_COST, s, &part);
	if (r->h > 0)
		draw_panel(st, PANE_TIME, s, r);
}

static void draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	struct stats_state *st = v->state;
	struct rect left = *r, part, right;
	int need = (int)(st->rows[st->by].n < 100 ? st->rows[st->by].n : 100) + 2;

	memset(st->panes, 0, sizeof(st->panes));
	draw_basis(st, s, r);
	take(&left, 1);
	if (r->w < WIDE_W || r->h < TALL_H) {
		int most = left.h / 2;

		part = take(&left, need < 6 ? 6 : need < most ? need : most);
		draw_table(a, st, s, &part);
		draw_charts(st, s, &left);
		return;
	}
	part = take(&left, left.h * 2 / 5);
	right = part;
	right.w = (r->w - 1) * 2 / 5;
	part.w = r->w - right.w - 1;
	right.x = part.x + part.w + 1;
	draw_table(a, st, s, &part);
	screen_vline(s, right.x - 1, right.y, right.h);
	draw_panel(st, PANE_COST, s, &right);
	part = take(&left, left.h / 2);
	draw_panel(st, PANE_TIME, s, &part);
	draw_panel(st, PANE_PLACES, s, &left);
}

/* --- commands ------------------------------------------------------------------------------------------------------
 */

static enum err cmd_by(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct stats_state *st = v->state;

	(void)a;
	if (!*args) {
		st->by = (enum rows_by)((st->by + 1) % ROWS_BY_COUNT);
		return ERR_OK;
	}
	for (unsigned by = 0; by < ROWS_BY_COUNT; by++)
		if (strcmp(args, rows_by_name((enum rows_by)by)) == 0) {
			st->by = (enum rows_by)by;
			return ERR_OK;
		}
	return err_set(why, ERR_NOENT, "by: no \"%.40s\": reason, rip, vcpu or port", args);
}

static const char *complete_by(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return i < ROWS_BY_COUNT ? rows_by_name((enum rows_by)i) : NULL;
}

static const char *const pane_names[PANE_COUNT] = {"table", "cost", "time", "places"};

static void focus(struct stats_state *st, enum stats_pane pane)
{
	st->focus = pane;
	if (pane != PANE_TABLE)
		st->panel = pane;
}

static enum err cmd_pane(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct stats_state *st = v->state;

	(void)a;
	if (!*args) {
		/* From the table to the chart that is there. */
		focus(st, st->focus == PANE_TABLE && st->panel == PANE_COST ? PANE_TIME
			  : st->focus == PANE_TABLE			    ? st->panel
									    : (st->focus + 1) % PANE_COUNT);
		if (st->focus == PANE_TABLE)
			st->panel = PANE_COST;
		return ERR_OK;
	}
	for (unsigned i = 0; i < PANE_COUNT; i++)
		if (strcmp(args, pane_names[i]) == 0) {
			focus(st, (enum stats_pane)i);
			return ERR_OK;
		}
	return err_set(why, ERR_NOENT, "pane: no \"%.40s\": table, cost, time or places", args);
}

static const char *complete_pane(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return i < PANE_COUNT ? pane_names[i] : NULL;
}

static enum err cmd_zoom(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct stats_state *st = v->state;
	bool in = strcmp(args, "in") == 0;

	(void)a;
	if (strcmp(args, "all") == 0) {
		st->zoom = 1;
		st->centre = 0.5;
		st->root = (struct place_at){0};
		return ERR_OK;
	}
	if (!in && strcmp(args, "out") != 0)
		return err_set(why, ERR_NOENT, "zoom: in, out or all");
	if (st->focus == PANE_PLACES) {
		stats_place_zoom(st, in);
		return ERR_OK;
	}
	focus(st, PANE_TIME);
	st->zoom = in ? st->zoom * 2 : st->zoom / 2;
	st->zoom = st->zoom < 1 ? 1 : st->zoom > ZOOM_MAX ? ZOOM_MAX : st->zoom;
	/* At the edge the centre is where the stretch can be. */
	if (st->centre < 0.5 / st->zoom)
		st->centre = 0.5 / st->zoom;
	if (st->centre > 1 - 0.5 / st->zoom)
		st->centre = 1 - 0.5 / st->zoom;
	return ERR_OK;
}

static const char *complete_zoom(struct app *a, struct view *v, unsigned i)
{
	static const char *const words[] = {"in", "out", "all"};

	(void)a;
	(void)v;
	return i < ARRAY_LEN(words) ? words[i] : NULL;
}

static enum err pan(struct view *v, int dir)
{
	struct stats_state *st = v->state;
	double edge = 0.5 / st->zoom;

	if (st->focus == PANE_PLACES) {
		stats_place_move(st, dir, 0);
		return ERR_OK;
	}
	st->centre += dir * 0.25 / st->zoom;
	st->centre = st->centre < edge ? edge : st->centre > 1 - edge ? 1 - edge : st->centre;
	return ERR_OK;
}

static enum err cmd_left(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)a;
	(void)args;
	(void)why;
	return pan(v, -1);
}

static enum err cmd_right(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)a;
	(void)args;
	(void)why;
	return pan(v, 1);
}

static const struct command commands[] = {
    {"by", "[reason|rip|vcpu|port]", "Counts by exit reason, instruction, vCPU or port.", cmd_by, complete_by},
    {"pane", "[table|cost|time|places]", "Moves the keys to the table or to a chart.", cmd_pane, complete_pane},
    {"zoom", "in|out|all", "Shows less of the time (or of the places), or more.", cmd_zoom, complete_zoom},
    {"pan left", "", "Earlier exits; in the places: the node to the left.", cmd_left, NULL},
    {"pan right", "", "Later exits; in the places: the node to the right.", cmd_right, NULL},
    {0},
};

static const struct binding bindings[] = {
    {"y", "by", "By"},
    {"w", "pane", "Pane"},
    {"z", "zoom in", "Zoom"},
    {"x", "zoom out", NULL},
    {"+", "zoom in", NULL},
    {"-", "zoom out", NULL},
    {"0", "zoom all", NULL},
    {"Left", "pan left", NULL},
    {"Right", "pan right", NULL},
    {">", "sort next", "Sort"},
    {0},
};

/* --- cursor --------------------------------------------------------------------------------------------------------
 */

static void move(struct app *a, struct view *v, int lines)
{
	struct stats_state *st = v->state;

	(void)a;
	if (st->focus == PANE_PLACES)
		stats_place_move(st, 0, lines);
	else
		table_move(table_of(st), st->rows[st->by].lines, lines);
}

static bool search(struct app *a, struct view *v, const char *text, int dir)
{
	struct stats_state *st = v->state;

	(void)a;
	return table_search(table_of(st), st->rows[st->by].lines, text, dir);
}

static void click(struct app *a, struct view *v, int x, int y)
{
	struct stats_state *st = v->state;

	(void)a;
	x += v->at.x;
	y += v->at.y;
	if (table_click(table_of(st), st->rows[st->by].lines, x, y)) {
		focus(st, PANE_TABLE);
		return;
	}
	for (unsigned i = PANE_COST; i < PANE_COUNT; i++) {
		const struct rect *r = &st->panes[i];

		if (r->h && x >= r->x && x < r->x + r->w && y >= r->y && y < r->y + r->h) {
			focus(st, (enum stats_pane)i);
			if (i == PANE_PLACES)
				(void)panel_places_at(r, &st->log.places, st->root, x, y, &st->cursor);
			return;
		}
	}
}

static enum err enter(struct app *a, struct view *v, struct errmsg *why)
{
	struct stats_state *st = v->state;
	struct view_model *m = app_model(a);
	uint64_t number;
	bool found;

	view_model_lock(m);
	found = stats_newest(st, m, &number);
	view_model_unlock(m);
	if (!found)
		return err_set(why, ERR_NOENT,
		    st->has_row ? "the log holds no numbered exit of this row any more"
				: "there is no exit yet: run the guest");
	return view_show_exit(a, number, why);
}

static json_t *json(struct app *a, struct view *v)
{
	return stats_view_json(v->state, app_model(a), app_symbols(a));
}

static struct table *sorted_table(struct view *v)
{
	return table_of(v->state);
}

const struct view_ops view_stats_ops = {
    .name = "stats",
    .title = "Statistics",
    .about = "Exits by reason, instruction, vCPU or port: what they cost, when they happened, where they come from.",
    .table = sorted_table,
    .commands = commands,
    .bindings = bindings,
    .state_size = sizeof(struct stats_state),
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
