/*
 * Private to the tracer's files: tracer.c opens and closes it, tracer_probe.c is the vCPU's side, tracer_writer.c the
 * writer's.
 */
#ifndef VMSCOPE_TRACER_TRACER_IMPL_H
#define VMSCOPE_TRACER_TRACER_IMPL_H

#include <pthread.h>
#include <time.h>

#include "core/vm.h"
#include "tracer/encode.h"
#include "tracer/tracer.h"

#define TRACER_IDLE_NS 2000000l /* the writer looks at the rings at least so often */

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

/* Host time is written as the host's monotonic clock, so that a kernel's "mono" events merge with ours. */
static inline uint64_t trace_time(const struct vm *vm, uint64_t guest_ns)
{
	return vm->clock.kind == CLOCK_HOST ? guest_ns + vm->clock.start_ns : guest_ns;
}

/* --- tracer_probe.c --- */
extern const struct probe_ops tracer_probe;
/* On virtual time an entry tells a file when it was, and nobody else anything: the cost came with the exit. */
extern const struct probe_ops tracer_exits_probe;
/* For the rings: half full, and full. */
void tracer_wake_writer(void *arg);
void tracer_wait_for_room(void *arg);

/* --- tracer_writer.c --- */
/* CLOCK_MONOTONIC */
void tracer_deadline(struct timespec *ts, long ns);
/* A thread's main function; arg is the tracer. */
void *tracer_writer_main(void *arg);

#endif
