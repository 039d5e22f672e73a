/*
 * The writer's side of the tracer: a thread that turns records into events and statistics, at its leisure.
 */
#include "tracer/tracer_impl.h"

void tracer_deadline(struct timespec *ts, long ns)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_nsec += ns;
	if (ts->tv_nsec >= 1000000000l) {
		ts->tv_nsec -= 1000000000l;
		ts->tv_sec++;
	}
}

static void count_exit(struct tracer *t, unsigned vcpu, const struct trace_rec *r, uint64_t direct)
{
	const struct exit_row row = {.ts = r->ts,
	    .rip = r->rip,
	    .reason = r->reason,
	    .vcpu = vcpu,
	    .pid = (int32_t)vcpu + 1,
	    .isa = ISA_VMX,
	    .observed = r->observed,
	    .has_rip = t->has_rip,
	    .child = !exit_is_hw(r->reason) || t->as != ENCODE_EXITS,
	    .has_direct = t->counts_insns && exit_is_hw(r->reason),
	    .direct = direct,
	    .cost_ns = r->exit.cost_ns,
	    .has_cost = t->knows_cost && (r->modelled || r->exit.cost_ns),
	    .modelled = r->modelled};

	if (t->stats)
		stats_add(t->stats, &row);
}

/* Host time: what there is to know of the exit before is known. */
static void settle_held(struct tracer *t, unsigned vcpu)
{
	struct pending *p = &t->pending[vcpu];

	if (!p->held)
		return;
	if (t->td)
		encode_verdict(t->td, vcpu, &p->exit);
	count_exit(t, vcpu, &p->exit, p->direct);
	p->held = false;
}

static void take_exit(struct tracer *t, unsigned vcpu, const struct trace_rec *r)
{
	struct pending *p = &t->pending[vcpu];
	uint64_t direct = r->exit.insns - p->prev_insns;

	if (exit_is_hw(r->reason))
		p->prev_insns = r->exit.insns;
	settle_held(t, vcpu);
	if (t->host_time) {
		if (t->td)
			encode_exit(t->td, t->as, vcpu, r);
		p->exit = *r;
		p->direct = direct;
		p->held = true;
		return;
	}
	if (t->td)
		encode_rec(t->td, t->as, vcpu, r);
	count_exit(t, vcpu, r, direct);
}

static void take_rec(struct tracer *t, unsigned vcpu, const struct trace_rec *r)
{
	struct pending *p = &t->pending[vcpu];

	if (r->kind == TRACE_REC_EXIT) {
		take_exit(t, vcpu, r);
		return;
	}
	if (r->kind == TRACE_REC_ENTRY) { /* an injection comes between verdict and entry */
		if (p->held && p->exit.exit.index == r->entry.index)
			p->exit.exit.cost_ns = r->entry.cost_ns;
		settle_held(t, vcpu);
	}
	if (t->td)
		encode_rec(t->td, t->as, vcpu, r);
}

/* At most so many records under the locks at once: who wants to look at the result waits no longer than they take. */
#define STRETCH 1024u

static void take_stretch(struct tracer *t, unsigned vcpu, const struct trace_rec *r, uint32_t n)
{
	pthread_mutex_lock(&t->out_lock);
	for (uint32_t k = 0; k < n && (t->td || t->stats); k++)
		take_rec(t, vcpu, &r[k]);
	if (t->sink)
		t->sink(t->sink_arg, vcpu, r, n);
	pthread_mutex_unlock(&t->out_lock);
}

/* Whoever waits for room goes on long before the writer has come to the end of a full ring. */
static void tell_room(struct tracer *t)
{
	if (LIKELY(!atomic_exchange(&t->full, false)))
		return;
	pthread_mutex_lock(&t->lock);
	pthread_cond_broadcast(&t->space);
	pthread_mutex_unlock(&t->lock);
}

/* One pass over all rings; true when there was anything. */
static bool drain(struct tracer *t)
{
	bool any = false;

	for (unsigned i = 0; i < t->n; i++) {
		uint32_t n;
		const struct trace_rec *r = ring_peek(&t->rings[i], &n);

		for (uint32_t at = 0, part; at < n; at += part) {
			part = n - at < STRETCH ? n - at : STRETCH;
			take_stretch(t, i, r + at, part);
			ring_release(&t->rings[i], part);
			any = true;
			if (at >= 4 * STRETCH)
				tell_room(t);
		}
	}
	return any;
}

static void finish_output(struct tracer *t)
{
	const struct vm *vm = t->vm;
	uint64_t ts = trace_time(vm, clock_now_ns(&vm->clock));

	for (unsigned i = 0; i < t->n; i++) {
		settle_held(t, i);
		if (t->td && t->rings[i].lost_pending)
			encode_lost(t->td, i, ts, t->rings[i].lost_pending);
	}
	if (t->stats) {
		t->stats->lost = tracer_lost(t);
		stats_sort(t->stats);
	}
	if (t->td) {
		encode_end(t->td, vm, ts);
		t->result = trace_dat_close(t->td, &t->why);
		t->td = NULL;
	}
}

void *tracer_writer_main(void *arg)
{
	struct tracer *t = arg;
	bool stop = false;

	while (!stop) {
		struct timespec until;

		/* stop is read before the pass: what was pushed before it was set is drained. */
		pthread_mutex_lock(&t->lock);
		stop = t->stop;
		pthread_mutex_unlock(&t->lock);
		bool any = drain(t);

		tracer_deadline(&until, TRACER_IDLE_NS);
		pthread_mutex_lock(&t->lock);
		t->rounds++;
		pthread_cond_broadcast(&t->space);
		if (!any && !t->wanted && !t->stop)
			pthread_cond_timedwait(&t->data, &t->lock, &until);
		t->wanted = false;
		pthread_mutex_unlock(&t->lock);
	}
	while (drain(t))
		;
	finish_output(t);
	return NULL;
}
