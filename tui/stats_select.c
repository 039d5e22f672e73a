/*
 * The statistics view: what is selected in its charts, and its JSON twin.
 */
#include <stdio.h>
#include <string.h>

#include "tui/event_text.h"
#include "tui/stats_state.h"

/* --- exits of a row or a place -------------------------------------------------------------------------------------
 */

static bool of_row(void *arg, const struct view_exit *e)
{
	const struct stats_state *st = arg;
	const struct stats_line *l = &st->row;
	unsigned port;
	bool in;

	if (e->number == UINT64_MAX)
		return false;
	switch (st->by) {
	case ROWS_BY_RIP:
		return e->has & VIEW_HAS_RIP && e->rip == l->key;
	case ROWS_BY_VCPU:
		return e->vcpu == l->key;
	case ROWS_BY_PORT:
		return event_port(e, &port, &in) && ROWS_PORT_KEY(port, in) == l->key;
	case ROWS_BY_REASON:
	case ROWS_BY_COUNT:
		break;
	}
	return e->reason == l->reason && e->isa == l->isa;
}

static bool below(const struct places *p, struct place_at at, unsigned level, uint32_t index)
{
	for (; level > at.level; level--)
		index = p->at[level][index].parent;
	return index == at.index;
}

/* Is it one of the leaves below the cursor? */
static bool of_place(void *arg, const struct view_exit *e)
{
	const struct stats_state *st = arg;
	const struct places *p = &st->log.places;
	bool has_rip = e->has & VIEW_HAS_RIP;

	if (e->number == UINT64_MAX)
		return false;
	for (uint32_t i = 0; i < p->n[PLACES_REASON]; i++) {
		const struct place *l = &p->at[PLACES_REASON][i];

		if (l->reason == e->reason && l->isa == e->isa && l->has_rip == has_rip &&
		    (!has_rip || l->rip == e->rip))
			return below(p, st->cursor, PLACES_REASON, i);
	}
	return false;
}

bool stats_newest(struct stats_state *st, struct view_model *m, uint64_t *number)
{
	uint64_t pos = view_log_first(m) + view_log_n(m), found;
	bool places = st->focus == PANE_PLACES;

	if (places ? st->log.places.n[PLACES_ALL] == 0 : !st->has_row)
		return false;
	if (view_now(m)->seen_exits > view_now(m)->exits)
		view_log_find(m, view_now(m)->exits, &pos);
	if (!view_log_search(m, pos, -1, places ? of_place : of_row, st, &found))
		return false;
	*number = view_log_at(m, found)->number;
	return true;
}

/* --- moving in the places ------------------------------------------------------------------------------------------
 */

void stats_place_move(struct stats_state *st, int dx, int dy)
{
	const struct places *p = &st->log.places;
	struct place_at *c = &st->cursor;

	if (p->n[PLACES_ALL] == 0)
		return;
	if (dy < 0 && c->level > st->root.level) {
		c->index = p->at[c->level][c->index].parent;
		c->level--;
	} else if (dy > 0 && c->level + 1 < PLACES_LEVELS && p->at[c->level][c->index].n) {
		c->index = p->at[c->level][c->index].first;
		c->level++;
	}
	if (dx < 0 && c->index > 0 && below(p, st->root, c->level, c->index - 1))
		c->index--;
	if (dx > 0 && c->index + 1 < p->n[c->level] && below(p, st->root, c->level, c->index + 1))
		c->index++;
}

void stats_place_zoom(struct stats_state *st, bool in)
{
	const struct places *p = &st->log.places;

	if (p->n[PLACES_ALL] == 0)
		return;
	if (in) {
		st->root = st->cursor;
	} else if (st->root.level > 0) {
		st->root.index = p->at[st->root.level][st->root.index].parent;
		st->root.level--;
	}
}

static struct place_at find_again(const struct places *now, const struct places *before, struct place_at at)
{
	struct place_at none = {0}, to = {0};
	uint32_t path[PLACES_LEVELS] = {0};

	if (at.level >= PLACES_LEVELS || at.index >= before->n[at.level] || now->n[PLACES_ALL] == 0)
		return none;
	path[at.level] = at.index;
	for (unsigned l = at.level; l > 0; l--)
		path[l - 1] = before->at[l][path[l]].parent;
	for (unsigned l = 1; l <= at.level; l++) {
		const struct place *parent = &now->at[l - 1][to.index];
		uint32_t k = 0;

		while (k < parent->n && strcmp(now->at[l][parent->first + k].label, before->at[l][path[l]].label) != 0)
			k++;
		if (k == parent->n)
			break;
		to = (struct place_at){.level = l, .index = parent->first + k};
	}
	return to;
}

void stats_place_keep(struct stats_state *st, const struct places *before)
{
	st->root = find_again(&st->log.places, before, st->root);
	st->cursor = find_again(&st->log.places, before, st->cursor);
	if (st->cursor.level < st->root.level ||
	    (st->log.places.n[PLACES_ALL] && !below(&st->log.places, st->root, st->cursor.level, st->cursor.index)))
		st->cursor = st->root;
}

/* --- time ----------------------------------------------------------------------------------------------------------
 */

struct timeline stats_timeline(const struct stats_state *st)
{
	const struct stats_log *l = &st->log;
	double all = (double)(l->to_ns - l->from_ns) + 1, span = all / st->zoom;
	double from = st->centre * all - span / 2;
	struct timeline t = {.reason = UINT32_MAX};

	if (from > all - span)
		from = all - span;
	if (from < 0)
		from = 0;
	t.from = l->from_ns + (uint64_t)from;
	t.to = t.from + (uint64_t)span + (st->zoom > 1 ? 0 : 1);
	if (t.to <= t.from)
		t.to = t.from + 1;
	if (st->has_row && st->by == ROWS_BY_REASON) {
		t.reason = st->row.reason;
		t.isa = st->row.isa;
		snprintf(t.name, sizeof(t.name), "%.60s", st->row.name);
	}
	return t;
}

/* --- JSON ----------------------------------------------------------------------------------------------------------
 */

#define JSON_BUCKETS 64

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v ? v : json_null());
}

static json_t *hist_json(const struct stats_state *st)
{
	json_t *o = json_object(), *bins = json_array();

	for (unsigned i = 0; i < HIST_FLAT; i++) {
		if (!st->hist.slots[i])
			continue;
		json_t *bin = json_object();

		set(bin, "from_ns", json_integer((json_int_t)hist_step_low(i)));
		set(bin, "to_ns", json_integer((json_int_t)hist_step_low(i + 1)));
		set(bin, "count", json_integer((json_int_t)st->hist.slots[i]));
		json_array_append_new(bins, bin);
	}
	set(o, "of", st->has_row ? text_json(st->row.name) : json_null());
	set(o, "count", json_integer((json_int_t)st->hist.n));
	set(o, "steps", bins);
	return o;
}

static json_t *timeline_json(const struct stats_state *st)
{
	struct timeline t = stats_timeline(st);
	uint32_t counts[JSON_BUCKETS];
	json_t *o = json_object(), *a = json_array();

	stats_log_buckets(&st->log, t.from, t.to, UINT32_MAX, 0, counts, JSON_BUCKETS);
	for (unsigned i = 0; i < JSON_BUCKETS; i++)
		json_array_append_new(a, json_integer(counts[i]));
	set(o, "from_ns", json_integer((json_int_t)t.from));
	set(o, "to_ns", json_integer((json_int_t)t.to));
	set(o, "counts", a);
	return o;
}

static json_t *log_json(const struct stats_log *l)
{
	json_t *o = json_object();

	set(o, "exits", json_integer((json_int_t)l->counted));
	set(o, "of", json_integer((json_int_t)l->run_exits));
	set(o, "whole", json_boolean(l->counted >= l->run_exits));
	return o;
}

json_t *stats_view_json(struct stats_state *st, struct view_model *m, const struct symbols *syms)
{
	static const enum stats_by groupings[] = {STATS_BY_REASON, STATS_BY_RIP, STATS_BY_VCPU};
	json_t *o = json_object();
	char key[16];

	set(o, "view", json_string("stats"));
	set(o, "by", json_string(rows_by_name(st->by)));
	set(o, "total", json_integer((json_int_t)st->rows[st->by].total));
	set(o, "lost", json_integer((json_int_t)st->rows[st->by].lost));
	view_model_lock(m);
	for (unsigned by = 0; by < ROWS_BY_COUNT; by++) {
		struct stats_rows *r = &st->rows[by];
		const struct exit_stats *s = by == ROWS_BY_PORT ? st->log.ports : view_stats(m, groupings[by]);

		stats_rows_collect(r, s, m, syms);
		snprintf(key, sizeof(key), "by_%s", rows_by_name((enum rows_by)by));
		set(o, key, stats_rows_json(r));
	}
	view_model_unlock(m);
	set(o, "cost", hist_json(st));
	set(o, "log", log_json(&st->log));
	set(o, "timeline", timeline_json(st));
	set(o, "places", places_json(&st->log.places));
	return o;
}
