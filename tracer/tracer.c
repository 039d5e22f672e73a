/*
 * The tracer's two sides. The probe runs on the vCPU's thread, in the exit path, and does nothing but fill one record;
 * the writer thread turns records into events and statistics, at its leisure.
 *
 * Exits whose handling ends the machine are recorded like all others: their verdict comes before the end.
 */
#include "tracer/tracer.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/vm.h"
#include "tracer/encode.h"

#define RING_RECORDS 8192u
#define IDLE_NS 2000000l /* the writer looks at the rings at least so often */

/* One vCPU. On host time the cost of an exit comes with the next entry: its verdict waits for it. */
struct pending {
	struct trace_rec exit;
	uint64_t direct;     /* of it */
	uint64_t prev_insns; /* of the last hardware exit */
	bool held;
};

struct tracer {
	struct vm *vm;
	unsigned n; /* vCPUs, rings, our lanes */
	struct ring *rings;
	struct trace_rec *recs; /* of all rings */
	enum encode_as as;
	bool counts_insns, knows_cost, has_rip, host_time;
	pthread_t writer;
	bool running;
	pthread_mutex_t out_lock; /* td, stats, pending */
	struct trace_dat *td;
	struct exit_stats *stats;
	struct pending *pending;
	pthread_mutex_t lock; /* the rest */
	pthread_cond_t data, space;
	bool wanted;	  /* somebody waits for the writer */
	atomic_bool full; /* a vCPU waits for room */
	bool stop;
	void (*sink)(void *arg, unsigned vcpu, const struct trace_rec *r, size_t n);
	void *sink_arg;
	/* the driving side's */
	_Atomic uint64_t seq, number; /* of the next exit, the next hardware exit */
	uint64_t skip;		      /* so many hardware exits are known already */
	bool silent;
	uint64_t host_lost;
	uint64_t rounds; /* complete passes of the writer over all rings */
	bool finished;
	enum err result;
	struct errmsg why;
};

/* --- the vCPU's side ------------------------------------------------------------------------------------------- */

static void wake_writer(void *arg)
{
	struct tracer *t = arg;

	pthread_mutex_lock(&t->lock);
	t->wanted = true;
	pthread_cond_signal(&t->data);
	pthread_mutex_unlock(&t->lock);
}

static void deadline_after(struct timespec *ts, long ns)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_nsec += ns;
	if (ts->tv_nsec >= 1000000000l) {
		ts->tv_nsec -= 1000000000l;
		ts->tv_sec++;
	}
}

/* RING_BLOCK: the vCPU stands still until the writer has made room. */
static void wait_for_room(void *arg)
{
	struct tracer *t = arg;
	struct timespec until;

	deadline_after(&until, IDLE_NS);
	pthread_mutex_lock(&t->lock);
	t->wanted = true;
	atomic_store(&t->full, true);
	pthread_cond_signal(&t->data);
	pthread_cond_timedwait(&t->space, &t->lock, &until);
	pthread_mutex_unlock(&t->lock);
}

/* Host time is written as the host's monotonic clock, so that a kernel's "mono" events merge with ours. */
static uint64_t trace_time(const struct vm *vm, uint64_t guest_ns)
{
	return vm->clock.kind == CLOCK_HOST ? guest_ns + vm->clock.start_ns : guest_ns;
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

static const struct probe_ops tracer_probe = {
    .name = "tracer",
    .on_entry = on_entry,
    .on_verdict = on_verdict,
    .on_inject = on_inject,
};
/* On virtual time an entry tells a file when it was, and nobody else anything: the cost came with the exit. */
static const struct probe_ops exits_probe = {
    .name = "tracer",
    .on_verdict = on_verdict,
    .on_inject = on_inject,
};

/* --- the writer's side ----------------------------------------------------------------------------------------- */

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
	if (t->td)
		encode_exit(t->td, t->as, vcpu, r);
	if (t->host_time) {
		p->exit = *r;
		p->direct = direct;
		p->held = true;
		return;
	}
	if (t->td)
		encode_verdict(t->td, vcpu, r);
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

static void *writer_main(void *arg)
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

		deadline_after(&until, IDLE_NS);
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

/* --- replays --------------------------------------------------------------------------------------------------- */

void tracer_silence(struct tracer *t)
{
	t->silent = true;
}

void tracer_resume(struct tracer *t, uint64_t exits)
{
	uint64_t known = tracer_exits(t);

	t->silent = false;
	t->skip = known > exits ? known - exits : 0;
}

void tracer_forget(struct tracer *t, uint64_t seq, uint64_t exits)
{
	tracer_sync(t);
	t->silent = false;
	t->skip = 0;
	atomic_store(&t->seq, seq);
	atomic_store(&t->number, exits);
}

uint64_t tracer_exits(const struct tracer *t)
{
	return atomic_load_explicit(&t->number, memory_order_relaxed);
}

/* --- open and close -------------------------------------------------------------------------------------------- */

static bool brings_userspace_exit(const struct tracer_config *cfg)
{
	for (size_t i = 0; i < cfg->n_formats; i++)
		if (strncmp(cfg->formats[i].text, "name: kvm_userspace_exit\n", 25) == 0)
			return true;
	return false;
}

static enum err open_file(struct tracer *t, const struct tracer_config *cfg, struct errmsg *why)
{
	const struct vm *vm = t->vm;
	const char *slash = vm->cfg.guest ? strrchr(vm->cfg.guest, '/') : NULL;
	struct trace_dat_config file = {
	    .path = cfg->path,
	    .lanes = t->n + cfg->host_lanes,
	    .clock = vm->clock.kind == CLOCK_VIRTUAL ? "mono_virtual" : "mono",
	    .writer = "vmscope " VMSCOPE_VERSION,
	    .comm = slash	    ? slash + 1
		    : vm->cfg.guest ? vm->cfg.guest
				    : "guest",
	    .pids = t->n,
	    .cmdlines = cfg->cmdlines,
	    .formats = cfg->formats,
	    .n_formats = cfg->n_formats,
	    .io = cfg->io,
	    .io_arg = cfg->io_arg,
	};
	const struct timespec now = {0};
	sigset_t xfsz, old;
	enum err e;

	/* A file size limit sends a signal besides the error; the error is enough. One that came is taken off again. */
	sigemptyset(&xfsz);
	sigaddset(&xfsz, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, &xfsz, &old);
	e = trace_dat_create(&file, &t->td, why);
	if (e == ERR_OK)
		encode_session(t->td, vm, trace_time(vm, clock_now_ns(&vm->clock)));
	if (!sigismember(&old, SIGXFSZ))
		(void)!sigtimedwait(&xfsz, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return e;
}

static enum err init_rings(struct tracer *t, const struct tracer_config *cfg, struct errmsg *why)
{
	uint32_t n = cfg->ring_records ? cfg->ring_records : RING_RECORDS;
	bool block =
	    cfg->policy == TRACER_BLOCK || (cfg->policy == TRACER_BY_CLOCK && t->vm->clock.kind == CLOCK_VIRTUAL);

	if (n < 2 || (n & (n - 1)) || n > 1u << 24)
		return err_set(why, ERR_INVAL, "a trace ring has 2 to 2^24 records, a power of two; not %u", n);
	t->sink = cfg->sink;
	t->sink_arg = cfg->sink_arg;
	t->rings = aligned_alloc(_Alignof(struct ring), t->n * sizeof(*t->rings));
	t->recs = calloc((size_t)t->n * n, sizeof(*t->recs));
	t->pending = calloc(t->n, sizeof(*t->pending));
	t->stats = cfg->stats ? stats_new(STATS_BY_REASON) : NULL;
	if (!t->rings || !t->recs || !t->pending || (cfg->stats && !t->stats))
		return err_set(why, ERR_NOMEM, "no memory for the trace rings");
	for (unsigned i = 0; i < t->n; i++)
		ring_init(&t->rings[i], t->recs + (size_t)i * n, sizeof(*t->recs), n, block ? RING_BLOCK : RING_DROP,
		    wait_for_room, wake_writer, t);
	return ERR_OK;
}

/* The writer takes no signals: they belong to the program's main thread; SIGXFSZ would kill it. */
static enum err start_writer(struct tracer *t, struct errmsg *why)
{
	sigset_t all, old;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&t->writer, NULL, writer_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e != 0)
		return err_set(why, ERR_NOMEM, "cannot start the trace writer: %s", strerror(e));
	t->running = true;
	return ERR_OK;
}

static void free_tracer(struct tracer *t)
{
	stats_free(t->stats);
	free(t->pending);
	free(t->recs);
	free(t->rings);
	pthread_cond_destroy(&t->data);
	pthread_cond_destroy(&t->space);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->out_lock);
	free(t);
}

static struct tracer *new_tracer(struct vm *vm)
{
	struct tracer *t = calloc(1, sizeof(*t));
	pthread_condattr_t mono;

	if (!t)
		return NULL;
	t->vm = vm;
	t->n = vm->n_vcpus;
	t->counts_insns = vm->cfg.mode->caps & MODE_CAP_COUNTS_INSNS;
	t->has_rip = !(vm->cfg.mode->caps & MODE_CAP_MODEL);
	t->host_time = vm->clock.kind == CLOCK_HOST;
	t->knows_cost = t->host_time || vm->cfg.cost;
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->out_lock, NULL);
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&t->data, &mono);
	pthread_cond_init(&t->space, &mono);
	pthread_condattr_destroy(&mono);
	return t;
}

enum err tracer_open(struct vm *vm, const struct tracer_config *cfg, struct tracer **out, struct errmsg *why)
{
	struct tracer *t = new_tracer(vm);
	enum err e;

	*out = NULL;
	if (!t)
		return err_set(why, ERR_NOMEM, "no memory for the tracer");
	if (cfg->n_formats)
		t->as = brings_userspace_exit(cfg) ? ENCODE_VERDICTS : ENCODE_USERSPACE;
	e = init_rings(t, cfg, why);
	if (e == ERR_OK && cfg->path)
		e = open_file(t, cfg, why);
	if (e == ERR_OK)
		e = start_writer(t, why);
	if (e == ERR_OK &&
	    (e = vm_add_probe(vm, cfg->path || t->host_time ? &tracer_probe : &exits_probe, t)) != ERR_OK)
		err_set(why, e, "the virtual machine takes no more probes");
	if (e == ERR_OK) {
		*out = t;
		return ERR_OK;
	}
	if (t->running)
		(void)!tracer_finish(t, NULL);
	else if (t->td)
		(void)!trace_dat_close(t->td, NULL);
	free_tracer(t);
	return e;
}

void tracer_raw(struct tracer *t, unsigned lane, uint64_t ts, const void *data, size_t n, uint64_t lost)
{
	pthread_mutex_lock(&t->out_lock);
	if (t->td)
		(void)!trace_dat_write(t->td, t->n + lane, ts, data, n, lost);
	t->host_lost += lost;
	pthread_mutex_unlock(&t->out_lock);
}

void tracer_count(struct tracer *t, const struct exit_row *row)
{
	pthread_mutex_lock(&t->out_lock);
	if (t->stats)
		stats_add(t->stats, row);
	pthread_mutex_unlock(&t->out_lock);
}

void tracer_sync(struct tracer *t)
{
	pthread_mutex_lock(&t->lock);
	/* The pass that is under way may have looked at a ring already; the one after it has not. */
	for (uint64_t until = t->rounds + 2; t->running && t->rounds < until;) {
		t->wanted = true;
		pthread_cond_signal(&t->data);
		pthread_cond_wait(&t->space, &t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	pthread_mutex_lock(&t->out_lock);
	if (t->stats && t->running) {
		t->stats->lost = tracer_lost(t);
		stats_sort(t->stats);
	}
	pthread_mutex_unlock(&t->out_lock);
}

enum err tracer_finish(struct tracer *t, struct errmsg *why)
{
	if (!t->finished) {
		pthread_mutex_lock(&t->lock);
		t->stop = true;
		pthread_cond_signal(&t->data);
		pthread_mutex_unlock(&t->lock);
		pthread_join(t->writer, NULL);
		t->running = false;
		t->finished = true;
	}
	if (why)
		*why = t->why;
	return t->result;
}

const struct exit_stats *tracer_stats(struct tracer *t)
{
	return t->stats;
}

struct exit_stats *tracer_take_stats(struct tracer *t)
{
	struct exit_stats *s = t->stats;

	t->stats = NULL;
	return s;
}

uint64_t tracer_lost(struct tracer *t)
{
	uint64_t lost = 0;

	for (unsigned i = 0; i < t->n; i++)
		lost += ring_lost(&t->rings[i]);
	return lost + t->host_lost;
}

enum err tracer_close(struct tracer *t, struct errmsg *why)
{
	enum err e;

	if (!t)
		return ERR_OK;
	e = tracer_finish(t, why);
	free_tracer(t);
	return e;
}
