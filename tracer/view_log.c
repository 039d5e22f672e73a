/*
 * The log of exits, and what is counted of it: statistics by reason as the exits come; by rip and by vCPU from the log
 * when somebody looks; and counts over guest time for sparklines.
 */
#include <stdlib.h>
#include <string.h>

#include "tracer/view_impl.h"

struct view_exit *view_slot(struct view_model *m, uint64_t pos)
{
	return &m->log[LIKELY(m->mask) ? pos & m->mask : pos % m->cap];
}

static void advance_end(struct view_model *m, uint64_t end)
{
	while (m->end < end) {
		struct view_exit *e = view_slot(m, m->end++);

		memset(e, 0, sizeof(*e));
		e->number = UINT64_MAX;
		e->verdict = VERDICT_COUNT;
	}
	if (m->end - m->first > m->cap)
		m->first = m->end - m->cap;
}

struct view_exit *view_append(struct view_model *m)
{
	advance_end(m, m->end + 1);
	return view_slot(m, m->end - 1);
}

/* --- over time --------------------------------------------------------------------------------------------------- */

static void merge_pairs(uint32_t *count, uint64_t last)
{
	uint32_t merged[VIEW_SPARKS] = {0};
	uint64_t from = last >= VIEW_SPARKS ? last - VIEW_SPARKS + 1 : 0;

	for (uint64_t b = from; b <= last; b++)
		merged[b / 2 % VIEW_SPARKS] += count[b % VIEW_SPARKS];
	memcpy(count, merged, sizeof(merged));
}

static void merge_marks(uint64_t *at, uint64_t last)
{
	uint64_t merged[VIEW_SPARKS] = {0}, from = last >= VIEW_SPARKS ? last - VIEW_SPARKS + 1 : 0;

	for (uint64_t b = from; b <= last; b++)
		merged[b / 2 % VIEW_SPARKS] = at[b % VIEW_SPARKS];
	memcpy(at, merged, sizeof(merged));
}

/* A bucket twice as long: the picture then covers twice the time. */
static void widen(struct view_model *m)
{
	for (unsigned i = 0; i < m->n_series; i++)
		merge_pairs(m->series[i].count, m->last_bucket);
	merge_pairs(m->total.count, m->last_bucket);
	merge_marks(m->bucket_insns, m->last_bucket);
	merge_marks(m->bucket_ts, m->last_bucket);
	m->last_bucket /= 2;
	m->bucket_ns *= 2;
}

static void clear_bucket(struct view_model *m, uint64_t b)
{
	for (unsigned i = 0; i < m->n_series; i++)
		m->series[i].count[b % VIEW_SPARKS] = 0;
	m->total.count[b % VIEW_SPARKS] = 0;
	m->bucket_insns[b % VIEW_SPARKS] = m->bucket_insns[m->last_bucket % VIEW_SPARKS];
	m->bucket_ts[b % VIEW_SPARKS] = m->bucket_ts[m->last_bucket % VIEW_SPARKS];
}

/* The bucket of a time; UINT64_MAX: too long ago. */
static uint64_t bucket_at(struct view_model *m, uint64_t ts)
{
	uint64_t b;

	if (LIKELY(ts - m->last_bucket * m->bucket_ns < m->bucket_ns))
		return m->last_bucket;
	b = ts / m->bucket_ns;
	while (b > m->last_bucket && b >= VIEW_SPARKS && m->bucket_ns < VIEW_BUCKET_MAX_NS) {
		widen(m);
		b = ts / m->bucket_ns;
	}
	if (b > m->last_bucket + VIEW_SPARKS) { /* nothing of what there was is in the picture any more */
		for (uint64_t i = 0; i < VIEW_SPARKS; i++)
			clear_bucket(m, i);
		m->last_bucket = b;
	}
	while (m->last_bucket < b) {
		clear_bucket(m, m->last_bucket + 1);
		m->last_bucket++;
	}
	return m->last_bucket - b < VIEW_SPARKS ? b : UINT64_MAX;
}

static struct view_series *series_of(struct view_model *m, uint32_t reason, uint8_t isa)
{
	for (unsigned i = 0; i < m->n_series; i++)
		if (m->series[i].reason == reason && m->series[i].isa == isa)
			return &m->series[i];
	if (m->n_series == VIEW_REASONS_MAX)
		return NULL;
	m->series[m->n_series] = (struct view_series){.reason = reason, .isa = isa};
	return &m->series[m->n_series++];
}

void view_count(struct view_model *m, const struct view_exit *e)
{
	struct exit_row row;
	uint64_t b = bucket_at(m, e->ts_ns);
	struct view_series *s = series_of(m, e->reason, e->isa);

	view_exit_row(e, &row);
	stats_add(m->by_reason, &row);
	if (b == UINT64_MAX)
		return;
	if (s)
		s->count[b % VIEW_SPARKS]++;
	if (!(e->has & VIEW_CHILD))
		m->total.count[b % VIEW_SPARKS]++;
	m->bucket_insns[b % VIEW_SPARKS] = e->insns;
	m->bucket_ts[b % VIEW_SPARKS] = e->ts_ns;
	if (e->ts_ns > m->newest_ns)
		m->newest_ns = e->ts_ns;
}

uint64_t view_bucket_ns(struct view_model *m)
{
	return m->bucket_ns;
}

/* Per second of guest time, over the newest eighth of the picture; the last bucket is not over yet. */
static double series_rate(const struct view_model *m, const struct view_series *s)
{
	uint64_t n = m->last_bucket + 1 < VIEW_SPARK / 8 ? m->last_bucket + 1 : VIEW_SPARK / 8, sum = 0;
	uint64_t from = (m->last_bucket + 1 - n) * m->bucket_ns, to = m->newest_ns;

	for (uint64_t i = 0; i < n; i++)
		sum += s->count[(m->last_bucket - i) % VIEW_SPARKS];
	return to > from ? (double)sum * 1e9 / (double)(to - from) : 0;
}

void view_spark(struct view_model *m, uint32_t reason, uint8_t isa, uint32_t out[VIEW_SPARK], double *rate)
{
	const struct view_series *s = NULL;

	for (unsigned i = 0; i < m->n_series && !s; i++)
		if (m->series[i].reason == reason && m->series[i].isa == isa)
			s = &m->series[i];
	*rate = s ? series_rate(m, s) : 0;
	for (uint64_t i = 0; i < VIEW_SPARK; i++) {
		uint64_t back = VIEW_SPARK - 1 - i;

		out[i] = s && back <= m->last_bucket ? s->count[(m->last_bucket - back) % VIEW_SPARKS] : 0;
	}
}

static double insns_rate(const struct view_model *m)
{
	uint64_t n = VIEW_SPARK / 8 < m->last_bucket ? VIEW_SPARK / 8 : m->last_bucket;
	uint64_t b = (m->last_bucket - n) % VIEW_SPARKS, from = n ? m->bucket_ts[b] : 0,
		 insns = n ? m->bucket_insns[b] : 0;
	uint64_t newest = m->bucket_insns[m->last_bucket % VIEW_SPARKS];

	if (m->now.seen_insns > newest)
		newest = m->now.seen_insns;
	return m->newest_ns > from ? (double)(newest - insns) * 1e9 / (double)(m->newest_ns - from) : 0;
}

void view_rates(struct view_model *m)
{
	if (m->now.guest_ns > m->newest_ns)
		m->newest_ns = m->now.guest_ns;
	m->now.exits_per_s = series_rate(m, &m->total);
	m->now.insns_per_s = insns_rate(m);
}

/* --- records ----------------------------------------------------------------------------------------------------- */

static void set_cost(struct view_model *m, struct view_exit *e, uint64_t cost, bool modelled)
{
	e->cost_ns = cost;
	if (m->knows_cost && (modelled || cost))
		e->has |= VIEW_HAS_COST | (modelled ? VIEW_COST_MODELLED : 0);
}

static void fill_exit(struct view_model *m, struct view_exit *e, const struct trace_rec *r)
{
	e->ts_ns = r->ts - m->start_ns;
	e->insns = r->exit.insns;
	e->rip = r->rip;
	e->qual = r->exit.info1;
	e->info2 = r->exit.info2;
	e->gpa = r->exit.gpa;
	memcpy(e->raw, r->exit.raw, sizeof(e->raw));
	e->reason = r->reason;
	e->intr_info = r->exit.intr_info;
	e->intr_error = r->exit.intr_error;
	e->isa = ISA_VMX;
	e->observed = r->observed;
	e->verdict = r->verdict;
	e->insn_len = r->insn_len;
	e->inject_type = e->inject_vector = 0;
	e->inject_error = 0;
	e->has = (uint8_t)((m->has_rip ? VIEW_HAS_RIP : 0) | (r->verdict != VERDICT_COUNT ? VIEW_HAS_VALUES : 0));
	set_cost(m, e, r->exit.cost_ns, r->modelled);
}

/* Its place in the log; NULL: it is not kept any more. */
static struct view_exit *take_exit(struct view_model *m, unsigned vcpu, const struct trace_rec *r)
{
	struct view_open *o = &m->open[vcpu];
	/* number + own modulo 2^32: the nearest position to the end that it can be. */
	uint64_t pos = m->end + (uint64_t)(int32_t)((uint32_t)r->exit.number + r->exit.own - (uint32_t)m->end);
	struct view_exit *e;

	/* Several vCPUs: a later one may have come first; its place is kept. */
	if (pos > m->end)
		advance_end(m, pos);
	if (pos == m->end && ++m->end - m->first > m->cap)
		m->first = m->end - m->cap;
	o->pos = 0;
	if (pos < m->first)
		return NULL;
	e = view_slot(m, pos);
	fill_exit(m, e, r);
	e->vcpu = (uint16_t)vcpu;
	e->direct = r->exit.insns - o->prev_insns;
	if (exit_is_hw(r->reason)) {
		e->number = r->exit.number;
		e->has |= m->info.counts_insns ? VIEW_HAS_DIRECT : 0;
		o->prev_insns = r->exit.insns;
		if (r->exit.number >= m->next_number)
			m->next_number = r->exit.number + 1;
	} else {
		e->number = UINT64_MAX;
		e->has |= VIEW_CHILD;
	}
	o->pos = pos + 1;
	o->index = r->exit.index;
	return e;
}

static void count_once(struct view_model *m, struct view_open *o, const struct view_exit *e)
{
	if (!o->counted)
		view_count(m, e);
	o->counted = true;
}

void view_count_open(struct view_model *m)
{
	for (unsigned i = 0; i < VIEW_VCPUS_MAX; i++) {
		struct view_open *o = &m->open[i];

		if (o->pos > m->first && o->pos <= m->end && !o->counted &&
		    view_slot(m, o->pos - 1)->verdict != VERDICT_COUNT && m->vm && m->vm->ended)
			count_once(m, o, view_slot(m, o->pos - 1));
	}
}

static void feed_one(struct view_model *m, unsigned vcpu, const struct trace_rec *r)
{
	struct view_open *o = &m->open[vcpu];
	struct view_exit *e;

	m->now.lost += r->slot.lost_before;
	if (r->kind == TRACE_REC_EXIT) {
		e = take_exit(m, vcpu, r);
		o->counted = !e || !m->host_time;
		if (e && !m->host_time)
			view_count(m, e);
		return;
	}
	e = o->pos > m->first && o->pos <= m->end ? view_slot(m, o->pos - 1) : NULL;
	if (e && r->kind == TRACE_REC_INJECT) {
		e->has |= VIEW_INJECTED;
		e->inject_type = r->inject.type;
		e->inject_vector = r->inject.vector;
		e->inject_error = r->inject.error;
	} else if (e && r->kind == TRACE_REC_ENTRY && m->host_time && o->index == r->entry.index) {
		set_cost(m, e, r->entry.cost_ns, false);
		count_once(m, o, e);
	}
}

/* As fast as a guest can exit: what it does not keep up with, the guest waits for. */
void view_model_feed(void *arg, unsigned vcpu, const struct trace_rec *r, size_t n)
{
	struct view_model *m = arg;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < n; i++)
		feed_one(m, vcpu % VIEW_VCPUS_MAX, &r[i]);
	pthread_mutex_unlock(&m->lock);
}

/* --- looking ----------------------------------------------------------------------------------------------------- */

uint64_t view_log_first(struct view_model *m)
{
	return m->first;
}

uint64_t view_log_n(struct view_model *m)
{
	return m->end - m->first;
}

const struct view_exit *view_log_at(struct view_model *m, uint64_t pos)
{
	return pos >= m->first && pos < m->end ? view_slot(m, pos) : NULL;
}

bool view_log_numbers(struct view_model *m, uint64_t *first, uint64_t *last)
{
	uint64_t lo = m->first, hi = m->end;

	while (lo < hi && view_slot(m, lo)->number == UINT64_MAX)
		lo++;
	while (hi > lo && view_slot(m, hi - 1)->number == UINT64_MAX)
		hi--;
	if (lo == hi)
		return false;
	*first = view_slot(m, lo)->number;
	*last = view_slot(m, hi - 1)->number;
	return true;
}

bool view_log_find(struct view_model *m, uint64_t number, uint64_t *pos)
{
	uint64_t lo = m->first, hi = m->end;

	if (number == UINT64_MAX)
		return false;
	/* Numbers grow with positions; the VMM's own codes between them have none. */
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2, at = mid;

		while (at < hi && view_slot(m, at)->number == UINT64_MAX)
			at++;
		if (at == hi || view_slot(m, at)->number > number) {
			hi = mid;
		} else if (view_slot(m, at)->number == number) {
			*pos = at;
			return true;
		} else {
			lo = at + 1;
		}
	}
	return false;
}

bool view_log_search(struct view_model *m, uint64_t pos, int dir, bool (*match)(void *arg, const struct view_exit *e),
    void *arg, uint64_t *found)
{
	for (uint64_t at = pos + (uint64_t)(int64_t)dir; at >= m->first && at < m->end; at += (uint64_t)(int64_t)dir) {
		if (match(arg, view_slot(m, at))) {
			*found = at;
			return true;
		}
	}
	return false;
}

const struct exit_stats *view_stats(struct view_model *m, enum stats_by by)
{
	unsigned i = by == STATS_BY_RIP ? 0 : 1;

	if (by != STATS_BY_RIP && by != STATS_BY_VCPU) {
		m->by_reason->lost = m->now.lost;
		stats_sort(m->by_reason);
		return m->by_reason;
	}
	if (m->derived[i] && m->derived_end[i] == m->end && m->derived_first[i] == m->first)
		return m->derived[i];
	stats_free(m->derived[i]);
	m->derived[i] = stats_new(by);
	m->derived_end[i] = m->end;
	m->derived_first[i] = m->first;
	for (uint64_t pos = m->first; m->derived[i] && pos < m->end; pos++) {
		struct exit_row row;

		view_exit_row(view_slot(m, pos), &row);
		stats_add(m->derived[i], &row);
	}
	if (m->derived[i])
		stats_sort(m->derived[i]);
	return m->derived[i];
}

void view_exit_row(const struct view_exit *e, struct exit_row *out)
{
	*out = (struct exit_row){.ts = e->ts_ns,
	    .rip = e->rip,
	    .info1 = e->qual,
	    .info2 = e->info2,
	    .cost_ns = e->cost_ns,
	    .direct = e->direct,
	    .reason = e->reason,
	    .intr_info = e->intr_info,
	    .vcpu = e->vcpu,
	    .pid = e->vcpu + 1,
	    .isa = e->isa,
	    .observed = e->observed,
	    .child = e->has & VIEW_CHILD,
	    .has_rip = e->has & VIEW_HAS_RIP,
	    .has_cost = e->has & VIEW_HAS_COST,
	    .has_direct = e->has & VIEW_HAS_DIRECT,
	    .modelled = e->has & VIEW_COST_MODELLED};
}

void view_exit_to_vm_exit(const struct view_exit *e, struct vm_exit *out)
{
	memset(out, 0, sizeof(*out));
	out->reason = e->reason;
	out->insn_len = e->insn_len;
	out->rip = e->rip;
	out->qual = e->qual;
	out->gpa = e->gpa;
	out->intr_info = e->intr_info;
	out->intr_error = e->intr_error;
	out->idt_info = (uint32_t)e->info2;
	out->vcpu = e->vcpu;
	out->insns = e->insns;
	out->time_ns = e->ts_ns;
	out->cost_ns = e->cost_ns;
	out->observed = e->observed;
	out->cost_modelled = (e->has & VIEW_COST_MODELLED) != 0;
	memcpy(out->raw, e->raw, sizeof(out->raw));
}

const char *view_exit_name(const struct view_exit *e, char *buf, size_t n)
{
	struct exit_row row;

	view_exit_row(e, &row);
	return exit_row_name(&row, buf, n);
}
