/*
 * What the host's kernel says about a run on /dev/kvm, folded into the result of the run: exits that never reached this
 * process, and how many instructions the kernel emulated; into the trace, the kernel's records go as they are, with the
 * host's own formats. Without permission, or where the events do not exist, the run is unchanged and `why` says what is
 * missing.
 */
#ifndef VMSCOPE_CLI_KERNEL_VIEW_H
#define VMSCOPE_CLI_KERNEL_VIEW_H

#include <sys/types.h>

#include "core/vm.h"
#include "tracer/efficiency.h"
#include "tracer/kernel.h"
#include "tracer/stats.h"
#include "tracer/tracer.h"

#define KERNEL_FORMATS_MAX 128

struct kbuffer;

struct kernel_view {
	struct kernel_trace *trace; /* NULL: not available */
	struct kernel_totals totals;
	struct errmsg why; /* why not; else what is worth knowing */
	/* For the trace file. */
	struct tracer *tracer;
	struct kbuffer *pages;
	pid_t tid;
	struct trace_dat_format formats[KERNEL_FORMATS_MAX]; /* texts owned */
	size_t n_formats;
	char cmdline[32];
};

/* On the thread that will run the vCPU. Does nothing for a backend without a kernel under it. Adds what the trace file
 * needs to cfg. */
void kernel_view_open(struct kernel_view *k, const struct mode_ops *ops, struct tracer_config *cfg);
void kernel_view_start(struct kernel_view *k, struct tracer *t);
void kernel_view_stop(struct kernel_view *k);
/* After stop: the kernel's rows take the place of ours for the reasons it counted; ours become child rows. */
void kernel_view_merge(struct kernel_view *k, struct exit_stats *s);
/* After stop: the kernel gave the guest #UD for an instruction that every CPU has: end says so (host_kvm), because what
 * the guest did after it is the host's doing. Otherwise end stays as it is and the answer is false. */
bool kernel_view_refused(const struct kernel_view *k, struct vm_end *end);
/* The counts that the efficiency verdict needs, each with its source. */
void kernel_view_efficiency(const struct kernel_view *k, struct efficiency_input *in);
void kernel_view_close(struct kernel_view *k);

#endif
