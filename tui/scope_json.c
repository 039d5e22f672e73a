/*
 * The scope as data.
 */
#include <string.h>

#include "core/vm.h"
#include "tui/scope_state.h"

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v ? v : json_null());
}

static json_t *text_or_null(const char *text)
{
	return text[0] ? text_json(text) : json_null();
}

static json_t *real_or_null(double v)
{
	return v >= 0 ? json_real(v) : json_null();
}

static json_t *what_json(const struct scope_state *st)
{
	const struct view_info *i = &st->info;
	json_t *o = json_object();

	set(o, "source", json_string(i->source == VIEW_TRACE ? "trace" : "live"));
	set(o, "guest", text_or_null(i->guest));
	set(o, "path", text_or_null(i->path));
	set(o, "mode", text_or_null(i->mode));
	set(o, "engine", text_or_null(i->engine));
	set(o, "type", i->type ? json_integer(i->type) : json_null());
	set(o, "controls", text_or_null(i->controls));
	set(o, "machine", text_or_null(i->machine));
	set(o, "clock", json_string(i->clock == CLOCK_VIRTUAL ? "virtual" : "host"));
	set(o, "vcpus", json_integer(i->n_vcpus));
	set(o, "ram_bytes", json_integer((json_int_t)i->mem_size));
	return o;
}

static json_t *now_json(const struct scope_state *st)
{
	static const char *const runs[] = {"stopped", "running", "ended"};
	const struct view_now *n = &st->now;
	bool insns = st->info.counts_insns;
	json_t *o = json_object(), *end = json_null();

	if (n->run == VIEW_ENDED) {
		end = json_object();
		set(end, "kind", json_string(end_name(n->end.kind)));
		set(end, "code", json_integer(n->end.code));
		set(end, "detail", text_json(n->end.detail));
	}
	set(o, "state", json_string(n->run <= VIEW_ENDED ? runs[n->run] : "stopped"));
	set(o, "stop", text_or_null(n->stop));
	set(o, "end", end);
	set(o, "exits", json_integer((json_int_t)n->exits));
	set(o, "seen_exits", json_integer((json_int_t)n->seen_exits));
	set(o, "insns", insns ? json_integer((json_int_t)n->insns) : json_null());
	set(o, "seen_insns", insns ? json_integer((json_int_t)n->seen_insns) : json_null());
	set(o, "guest_ns", json_integer((json_int_t)n->guest_ns));
	set(o, "lost", json_integer((json_int_t)n->lost));
	set(o, "rate_time", json_string(st->info.clock == CLOCK_VIRTUAL ? "guest" : "host"));
	set(o, "exits_per_s", real_or_null(n->exits_per_s));
	set(o, "insns_per_s", insns ? real_or_null(n->insns_per_s) : json_null());
	set(o, "host_exits_per_s", n->run == VIEW_RUNNING ? real_or_null(n->host_exits_per_s) : json_null());
	set(o, "host_insns_per_s", n->run == VIEW_RUNNING && insns ? real_or_null(n->host_insns_per_s) : json_null());
	set(o, "selected", json_integer((json_int_t)n->selected));
	return o;
}

static json_t *verdict_json(const struct pg_verdict *v)
{
	json_t *o = json_object();

	set(o, "state", json_string(pg_state_name(v->state)));
	set(o, "evidence", text_or_null(v->evidence));
	return o;
}

static json_t *verdicts_json(const struct view_verdicts *v)
{
	json_t *o = json_object();

	set(o, "equivalence", verdict_json(&v->equivalence));
	set(o, "safety", verdict_json(&v->safety));
	set(o, "efficiency", verdict_json(&v->efficiency));
	set(o, "direct_fraction", real_or_null(v->direct_fraction));
	set(o, "guest_time_fraction", real_or_null(v->guest_time_fraction));
	return o;
}

static json_t *exits_json(const struct scope_state *st)
{
	const struct stats_rows *r = &st->rows;
	json_t *o = json_object();

	set(o, "total", json_integer((json_int_t)r->total));
	set(o, "time_ns", r->timed ? json_integer((json_int_t)r->total_ns) : json_null());
	set(o, "cost", json_string(stats_cost_source(r->timed, r->modelled)));
	set(o, "lost", json_integer((json_int_t)r->lost));
	set(o, "lost_unknown", json_boolean(r->lost_unknown));
	set(o, "sort", json_string(r->table.ops->columns[r->table.sort].name));
	set(o, "count", json_string(r->rates ? "rate" : "total"));
	set(o, "trend_bucket_ns", json_integer((json_int_t)st->bucket_ns));
	set(o, "rows", stats_rows_json(r));
	return o;
}

json_t *scope_json(const struct scope_state *st)
{
	json_t *o = json_object();

	set(o, "view", json_string("scope"));
	set(o, "run", what_json(st));
	set(o, "now", now_json(st));
	set(o, "verdicts", verdicts_json(&st->verdicts));
	set(o, "exits", exits_json(st));
	set(o, "console", scope_console_json(st));
	set(o, "events", events_json(&st->events));
	return o;
}
