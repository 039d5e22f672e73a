/*
 * The tracer: its life, and what is asked of it. tracer_probe.c fills records, tracer_writer.c takes them.
 *
 * Exits whose handling ends the machine are recorded like all others: their verdict comes before the end.
 */
#include "tracer/tracer_impl.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define RING_RECORDS 8192u

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
		    tracer_wait_for_room, tracer_wake_writer, t);
	return ERR_OK;
}

/* The writer takes no signals: they belong to the program's main thread; SIGXFSZ would kill it. */
static enum err start_writer(struct tracer *t, struct errmsg *why)
{
	sigset_t all, old;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&t->writer, NULL, tracer_writer_main, t);
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
	    (e = vm_add_probe(vm, cfg->path || t->host_time ? &tracer_probe : &tracer_exits_probe, t)) != ERR_OK)
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
