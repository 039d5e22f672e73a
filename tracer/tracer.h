/*
 * The tracer: a probe on a VM that records every exit into a trace.dat, into statistics, or both.
 *
 *   vCPU thread: probe -> ring of the vCPU        writer thread: rings -> trace.dat and statistics
 *
 * On virtual time a full ring makes the vCPU wait (nothing is ever lost, and two runs give the same file, byte by
 * byte); on host time it drops the newest and counts them. Open after vm_create(), before the first run; finish after
 * the last; close before vm_destroy().
 */
#ifndef VMSCOPE_TRACER_TRACER_H
#define VMSCOPE_TRACER_TRACER_H

#include "core/err.h"
#include "tracer/ring.h"
#include "tracer/stats.h"
#include "tracer/trace_dat.h"

struct vm;
struct tracer;

enum tracer_policy { TRACER_BY_CLOCK, TRACER_BLOCK, TRACER_DROP };

struct tracer_config {
	const char *path; /* of the trace.dat; NULL: none */
	bool stats;	  /* keep statistics by reason */
	enum tracer_policy policy;
	uint32_t ring_records; /* a power of two; 0: the default */
	/* Kernel events go into the same file (tracer_raw): their formats, verbatim, and how many lanes they need. Our
	 * own exits are then written as kvm_userspace_exit, unless the host's formats bring that event. */
	const struct trace_dat_format *formats;
	size_t n_formats;
	unsigned host_lanes;
	const char *cmdlines;	       /* "pid name" lines for them */
	const struct trace_dat_io *io; /* NULL: the system's; tests */
	void *io_arg;
	/* Sees every record, on the writer's thread, each vCPU's in order, n at once: the view model. May be NULL. On
	 * virtual time, without a file, there are none of entries. */
	void (*sink)(void *arg, unsigned vcpu, const struct trace_rec *r, size_t n);
	void *sink_arg;
};

enum err tracer_open(
    struct vm *vm, const struct tracer_config *cfg, struct tracer **out, struct errmsg *why) MUST_CHECK;
/* One record of a kernel's ring buffer, as it is, into host lane i. Any thread. */
void tracer_raw(struct tracer *t, unsigned lane, uint64_t ts, const void *data, size_t n, uint64_t lost);
/* An exit that somebody else saw (a kernel's tracepoint), for the statistics. Any thread. */
void tracer_count(struct tracer *t, const struct exit_row *row);
/* Waits until everything pushed so far is in the statistics. Not to be called on a vCPU's thread while it runs. */
void tracer_sync(struct tracer *t);
/* Drains, writes how the VM ended, and finishes the file: the error is the file's. Once; later calls return the same
 * code. The statistics stay. */
enum err tracer_finish(struct tracer *t, struct errmsg *why);
/*
 * A past that is replayed is not recorded again. silence(): nothing is, from now on. resume(): the guest stands behind
 * the hardware exit number exits - 1; what was recorded already is left out until there is something new.
 * tracer_forget(): the guest will do something else from here on, and all of it is recorded; seq is the
 * next number among all exits, exits the next among hardware exits (struct trace_rec_exit).
 * Called on the thread that drives the vCPUs, while they stand still.
 */
void tracer_silence(struct tracer *t);
void tracer_resume(struct tracer *t, uint64_t exits);
void tracer_forget(struct tracer *t, uint64_t seq, uint64_t exits);
/* Hardware exits recorded so far, over all vCPUs. */
uint64_t tracer_exits(const struct tracer *t);
/* Of tracer_config.stats; NULL without. Stable (and sorted) after tracer_finish() or, while the VM stands still, after
 * tracer_sync(). Owned by the tracer. */
const struct exit_stats *tracer_stats(struct tracer *t);
/* The same, finished, handed over: the caller frees them with stats_free(), and the tracer has none any more. */
struct exit_stats *tracer_take_stats(struct tracer *t);
uint64_t tracer_lost(struct tracer *t);
/* Finishes when that was not done, and frees. */
enum err tracer_close(struct tracer *t, struct errmsg *why);

#endif
