/*
 * The event tail of the scope.
 */
#include "tui/scope_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/probe.h"
#include "tui/event_text.h"
#include "tui/stats_rows.h"
#include "tui/view.h"

/* A filter that nothing passes must not hold up a guest that runs: so many exits are looked at in a frame. */
#define SEARCH_RUNNING 2048u

enum { COL_MARK, COL_EXIT, COL_TIME, COL_NUM, COL_NAME, COL_PLACE, COL_OPERANDS, COL_OUTCOME, COL_COUNT };

static const struct table_column columns[COL_COUNT] = {
    [COL_MARK] = {.name = "mark", .head = "", .width = 1, .fixed = true},
    [COL_EXIT] = {.name = "exit", .head = "exit", .width = 7, .fixed = true},
    [COL_TIME] = {.name = "time", .head = "guest time", .width = 13, .fixed = true, .drop = 3},
    [COL_NUM] = {.name = "number", .head = "#", .width = 4, .fixed = true, .drop = 1},
    [COL_NAME] = {.name = "name", .head = "reason", .width = 14, .fixed = true, .left = true},
    [COL_PLACE] = {.name = "rip", .head = "at", .width = 16, .fixed = true, .left = true},
    [COL_OPERANDS] =
	{.name = "operands", .head = "asked and answered", .width = 18, .fixed = true, .left = true, .flex = true},
    [COL_OUTCOME] = {.name = "outcome", .head = "the VMM", .width = 16, .fixed = true, .left = true},
};

static enum style text_mark(const struct event_line *l, char *buf, size_t n)
{
	snprintf(buf, n, "%s", l->marked ? "*" : l->selected ? ">" : "");
	return l->marked ? STYLE_MARKED : STYLE_STRONG;
}

static enum style cell_text(const void *arg, const void *row, unsigned column, char *buf, size_t n)
{
	const struct events *ev = arg;
	const struct event_line *l = row;
	bool child = l->e.has & VIEW_CHILD;

	switch (column) {
	case COL_MARK:
		return text_mark(l, buf, n);
	case COL_EXIT:
		if (l->e.number == UINT64_MAX || child)
			snprintf(buf, n, "(+)");
		else
			snprintf(buf, n, "%" PRIu64, l->e.number);
		return STYLE_DIM;
	case COL_TIME:
		event_time(l->e.ts_ns, buf, n);
		return STYLE_DIM;
	case COL_NUM:
		event_reason_number(&l->e, buf, n);
		return STYLE_DIM;
	case COL_NAME:
		snprintf(buf, n, "%s", l->name);
		return child ? STYLE_DIM : STYLE_STRONG;
	case COL_PLACE:
		event_place(&l->e, ev->syms, buf, n);
		return STYLE_ADDRESS;
	case COL_OPERANDS:
		event_operands(&l->e, buf, n);
		return STYLE_NORMAL;
	default:
		event_outcome(&l->e, buf, n);
		return l->e.has & VIEW_INJECTED ? STYLE_CHANGED : STYLE_NORMAL;
	}
}

static uint64_t line_id(const void *row)
{
	return ((const struct event_line *)row)->pos;
}

static const struct table_ops table_ops = {
    .columns = columns,
    .n_columns = COL_COUNT,
    .row_size = sizeof(struct event_line),
    .text = cell_text,
    .id = line_id,
};

/* One past the last position that the run has reached: all of the log, unless the run went back; nothing of it, when it
 * went back to before all that is kept. */
static uint64_t log_end(struct events *ev, struct view_model *m)
{
	uint64_t first = view_log_first(m), end = first + view_log_n(m), pos = end, oldest, newest;
	const struct view_now *now = view_now(m);

	if (now->seen_exits > now->exits && !view_log_find(m, now->exits, &pos))
		pos = view_log_numbers(m, &oldest, &newest) && oldest > now->exits ? first : end;
	ev->later = end - pos;
	return pos;
}

static void find_lines(struct events *ev, struct view_model *m, uint64_t first, uint64_t end)
{
	uint64_t budget = view_now(m)->run == VIEW_RUNNING ? SEARCH_RUNNING : UINT64_MAX, pos = end;
	size_t n = EVENTS_MAX;

	while (pos > first && n > 0 && end - pos < budget) {
		const struct view_exit *e = view_log_at(m, --pos);

		if (!e || !view_log_shown(m, e))
			continue;
		n--;
		ev->lines[n].e = *e;
		ev->lines[n].pos = pos;
	}
	ev->n = EVENTS_MAX - n;
	memmove(ev->lines, ev->lines + n, ev->n * sizeof(ev->lines[0]));
	ev->searched = end - pos;
}

/* view_exit_name() may return a constant instead of filling the buffer. */
static void name_lines(struct events *ev)
{
	for (size_t i = 0; i < ev->n; i++) {
		struct event_line *l = &ev->lines[i];
		char buf[32];
		const char *name = view_exit_name(&l->e, buf, sizeof(buf));

		snprintf(l->name, sizeof(l->name), "%s", name);
	}
}

/* A search through the whole log for a filter that few exits pass is not repeated while nothing has changed. */
static bool made_already(struct events *ev, struct view_model *m, uint64_t first, uint64_t end, const char *filter)
{
	bool same = filter && ev->n < EVENTS_MAX && view_now(m)->run != VIEW_RUNNING && ev->made_first == first &&
		    ev->made_end == end && strcmp(ev->made_filter, filter) == 0;

	ev->made_first = first;
	ev->made_end = view_now(m)->run == VIEW_RUNNING ? UINT64_MAX : end;
	snprintf(ev->made_filter, sizeof(ev->made_filter), "%s", filter ? filter : "");
	return same;
}

void events_collect(struct events *ev, struct app *a, struct view_model *m)
{
	const char *filter = view_filter_text(m);
	uint64_t first = view_log_first(m), end = log_end(ev, m), selected = view_now(m)->selected;
	bool newest = ev->table.cursor + 1 >= ev->n;

	if (!ev->opened) {
		table_init(&ev->table, &table_ops, ev, 0);
		ev->opened = true;
	}
	ev->table.arg = ev;
	ev->syms = app_symbols(a);
	ev->kept = view_log_n(m);
	snprintf(ev->filter, sizeof(ev->filter), "%s", filter ? filter : "");
	if (!made_already(ev, m, first, end, filter)) {
		find_lines(ev, m, first, end);
		name_lines(ev);
	}
	for (size_t i = 0; i < ev->n; i++) {
		struct event_line *l = &ev->lines[i];
		bool counted = l->e.number != UINT64_MAX && !(l->e.has & VIEW_CHILD);

		l->marked = counted && app_marked(a, l->e.number);
		l->selected = counted && l->e.number == selected;
	}
	table_arrange(&ev->table, ev->lines, ev->n);
	if (newest) {
		ev->table.cursor = ev->n ? ev->n - 1 : 0;
		ev->table.stays = false;
	}
}

const char *events_title(const struct events *ev, char *buf, size_t n)
{
	size_t used = (size_t)snprintf(buf, n, "newest exits");

	if (ev->filter[0])
		used += (size_t)snprintf(buf + used, n - used, ", filter: %.60s", ev->filter);
	if (ev->filter[0] && used < n && ev->n < EVENTS_MAX && ev->searched < ev->kept - ev->later)
		used += (size_t)snprintf(buf + used, n - used, " (in the last %" PRIu64 ")", ev->searched);
	if (ev->later && used < n)
		snprintf(buf + used, n - used, "; %" PRIu64 " later lie%s ahead", ev->later, ev->later == 1 ? "s" : "");
	return buf;
}

static json_t *line_json(const struct events *ev, const struct event_line *l)
{
	json_t *o = json_object();
	bool counted = l->e.number != UINT64_MAX && !(l->e.has & VIEW_CHILD);
	char buf[160];

	json_object_set_new(o, "exit", counted ? json_integer((json_int_t)l->e.number) : json_null());
	json_object_set_new(o, "vcpu", json_integer(l->e.vcpu));
	json_object_set_new(o, "guest_ns", json_integer((json_int_t)l->e.ts_ns));
	json_object_set_new(o, "reason", json_integer(l->e.reason));
	json_object_set_new(o, "name", text_json(l->name));
	json_object_set_new(o, "rip", l->e.has & VIEW_HAS_RIP ? json_integer((json_int_t)l->e.rip) : json_null());
	json_object_set_new(o, "at", text_json(event_place(&l->e, ev->syms, buf, sizeof(buf))));
	json_object_set_new(o, "operands", text_json(event_operands(&l->e, buf, sizeof(buf))));
	json_object_set_new(o, "outcome", text_json(event_outcome(&l->e, buf, sizeof(buf))));
	json_object_set_new(
	    o, "cost_ns", l->e.has & VIEW_HAS_COST ? json_integer((json_int_t)l->e.cost_ns) : json_null());
	json_object_set_new(o, "child", json_boolean(l->e.has & VIEW_CHILD));
	json_object_set_new(o, "marked", json_boolean(l->marked));
	json_object_set_new(o, "selected", json_boolean(l->selected));
	return o;
}

json_t *events_json(const struct events *ev)
{
	json_t *o = json_object(), *lines = json_array();

	for (size_t i = 0; i < ev->n; i++)
		json_array_append_new(lines, line_json(ev, &ev->lines[i]));
	json_object_set_new(o, "filter", ev->filter[0] ? text_json(ev->filter) : json_null());
	json_object_set_new(o, "kept", json_integer((json_int_t)ev->kept));
	json_object_set_new(o, "searched", json_integer((json_int_t)ev->searched));
	json_object_set_new(o, "later", json_integer((json_int_t)ev->later));
	json_object_set_new(o, "newest", lines);
	return o;
}
