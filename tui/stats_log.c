/*
 * One pass over the log.
 */
#include "tui/stats_log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tui/event_text.h"
#include "tui/stats_rows.h"

#define LAZY_NS 1000000000ull

static uint64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void stats_log_fini(struct stats_log *l)
{
	stats_free(l->ports);
	free(l->times);
	places_free(&l->places);
	memset(l, 0, sizeof(*l));
}

static bool room_for_times(struct stats_log *l, uint64_t n)
{
	if (n <= l->cap_times)
		return true;
	struct log_time *p = realloc(l->times, (size_t)n * sizeof(*p));

	if (!p)
		return false;
	l->times = p;
	l->cap_times = (size_t)n;
	return true;
}

/* The grouping "by place" of the tracer's statistics, where the place is a port and a direction. */
static void add_port(struct stats_log *l, const struct view_exit *e)
{
	struct exit_row row;
	unsigned port;
	bool in;

	if (!event_port(e, &port, &in))
		return;
	view_exit_row(e, &row);
	row.rip = ROWS_PORT_KEY(port, in);
	row.has_rip = true;
	stats_add(l->ports, &row);
}

static void add_time(struct stats_log *l, const struct view_exit *e)
{
	if (l->n_times == 0 || e->ts_ns < l->from_ns)
		l->from_ns = e->ts_ns;
	if (l->n_times == 0 || e->ts_ns > l->to_ns)
		l->to_ns = e->ts_ns;
	l->times[l->n_times++] = (struct log_time){.ts = e->ts_ns, .reason = e->reason, .isa = e->isa};
}

static void make(struct stats_log *l, struct view_model *m, const struct symbols *syms)
{
	stats_free(l->ports);
	l->ports = stats_new(STATS_BY_RIP);
	l->n_times = 0;
	l->counted = 0;
	l->from_ns = l->to_ns = 0;
	l->nomem = !l->ports || !room_for_times(l, l->end - l->first);
	for (uint64_t pos = l->first; !l->nomem && pos < l->end; pos++) {
		const struct view_exit *e = view_log_at(m, pos);

		if (!e || e->has & VIEW_CHILD)
			continue;
		l->counted++;
		add_port(l, e);
		add_time(l, e);
	}
	l->nomem |= !places_build(&l->places, m, l->first, l->end, syms);
}

bool stats_log_collect(struct stats_log *l, struct view_model *m, const struct symbols *syms, bool lazy)
{
	uint64_t first = view_log_first(m), end = first + view_log_n(m);
	bool runs = view_now(m)->run == VIEW_RUNNING;

	if (l->made && l->first == first && l->end == end && !runs)
		return false;
	if (l->made && lazy && runs && host_ns() - l->made_ns < LAZY_NS)
		return false;
	l->first = first;
	l->end = end;
	l->run_exits = view_now(m)->exits;
	make(l, m, syms);
	l->made = true;
	l->made_ns = host_ns();
	return true;
}

void stats_log_buckets(
    const struct stats_log *l, uint64_t from, uint64_t to, uint32_t reason, uint8_t isa, uint32_t *out, int n)
{
	uint64_t span = to > from ? to - from : 1;

	memset(out, 0, (size_t)n * sizeof(*out));
	for (size_t i = 0; i < l->n_times; i++) {
		const struct log_time *t = &l->times[i];

		if (t->ts < from || t->ts >= to || (reason != UINT32_MAX && (t->reason != reason || t->isa != isa)))
			continue;
		out[(int)((double)(t->ts - from) / (double)span * n)]++;
	}
}
