/*
 * The vCPU's side of the tracer: runs on its thread, in the exit path, and does nothing but fill one record.
 */
#include "tracer/tracer_impl.h"

void tracer_wake_writer(void *arg)
{
	struct tracer *t = arg;

	pthread_mutex_lock(&t->lock);
	t->wanted = true;
	pthread_cond_signal(&t->data);
	pthread_mutex_unlock(&t->lock);
}

/* RING_BLOCK: the vCPU stands still until the writer has made room. */
void tracer_wait_for_room(void *arg)
{
	struct tracer *t = arg;
	struct timespec until;

	tracer_deadline(&until, TRACER_IDLE_NS);
	pthread_mutex_lock(&t->lock);
	t->wanted = true;
	atomic_store(&t->full, true);
	pthread_cond_signal(&t->data);
	pthread_cond_timedwait(&t->space, &t->lock, &until);
	pthread_mutex_unlock(&t->lock);
}

static struct trace_rec *new_rec(struct ring *r, uint64_t ts, enum trace_rec_kind kind, uint64_t rip, uint32_t reason)
{
	struct trace_rec *p = ring_reserve(r);

	if (!p)
		return NULL;
	p->ts = ts;
	p->rip = rip;
	p->reason = reason;
	p->kind = (uint8_t)kind;
	return p;
}

static void on_entry(void *arg, struct vcpu *v)
{
	struct tracer *t = arg;
	struct ring *r = &t->rings[v->id];

	if (UNLIKELY(t->silent || t->skip))
		return;
	uint64_t ts = trace_time(v->vm, clock_now_ns(&v->vm->clock));
	/* Reading stale state would cost a system call an exit: then the rip is left out. */
	const struct x86_state *s = v->state_valid && t->has_rip ? &v->cpu.s : NULL;
	struct trace_rec *p = new_rec(r, ts, TRACE_REC_ENTRY, s ? s->rip : 0, 0);

	if (!p)
		return;
	p->entry = (struct trace_rec_entry){.intr_info = s ? s->pending_event : 0,
	    .intr_error = s ? s->pending_error : 0,
	    .index = v->exit.index,
	    .cost_ns = v->exit.cost_ns};
	ring_commit(r);
}

/* Several vCPUs of a host clock have a thread each. */
static uint64_t next_of(const struct tracer *t, _Atomic uint64_t *n, uint64_t add)
{
	uint64_t now;

	if (t->n > 1)
		return atomic_fetch_add_explicit(n, add, memory_order_relaxed);
	now = atomic_load_explicit(n, memory_order_relaxed);
	atomic_store_explicit(n, now + add, memory_order_relaxed);
	return now;
}

/* The handler is done: an exit is one record, of all that is known. */
static void on_verdict(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	struct tracer *t = arg;
	struct ring *r = &t->rings[v->id];

	if (UNLIKELY(t->silent || t->skip)) {
		t->skip -= !t->silent && exit_is_hw(e->reason);
		return;
	}
	struct trace_rec *p = new_rec(r, trace_time(v->vm, e->time_ns), TRACE_REC_EXIT, e->rip, e->reason);

	if (!p)
		return;
	p->verdict = (uint8_t)verdict;
	p->observed = e->observed;
	p->modelled = e->cost_modelled;
	p->insn_len = (uint8_t)e->insn_len;
	p->exit = (struct trace_rec_exit){.info1 = e->qual,
	    .index = e->index,
	    .insns = e->insns,
	    .number = next_of(t, &t->number, exit_is_hw(e->reason)),
	    .gpa = e->gpa,
	    .cost_ns = e->cost_ns,
	    .raw = {e->raw[0], e->raw[1], e->raw[2], e->raw[3]},
	    .info2 = e->idt_info,
	    .intr_info = e->intr_info,
	    .intr_error = e->intr_error};
	p->exit.own = (uint32_t)(next_of(t, &t->seq, 1) - p->exit.number);
	ring_commit(r);
}

static void on_inject(void *arg, struct vcpu *v, const struct x86_event *ev)
{
	struct tracer *t = arg;
	struct ring *r = &t->rings[v->id];

	if (UNLIKELY(t->silent || t->skip))
		return;
	uint64_t ts = trace_time(v->vm, clock_now_ns(&v->vm->clock));
	struct trace_rec *p = new_rec(r, ts, TRACE_REC_INJECT, 0, 0);

	if (!p)
		return;
	p->inject = (struct trace_rec_inject){
	    .error = ev->error, .vector = ev->vector, .type = ev->type, .has_error = ev->has_error};
	ring_commit(r);
}

const struct probe_ops tracer_probe = {
    .name = "tracer",
    .on_entry = on_entry,
    .on_verdict = on_verdict,
    .on_inject = on_inject,
};

const struct probe_ops tracer_exits_probe = {
    .name = "tracer",
    .on_verdict = on_verdict,
    .on_inject = on_inject,
};
