/*
 * Private to cli/runner*.c: one run while it happens.
 */
#ifndef VMSCOPE_CLI_RUNNER_IMPL_H
#define VMSCOPE_CLI_RUNNER_IMPL_H

#include <signal.h>

#include "cli/console.h"
#include "cli/kernel_view.h"
#include "cli/runner.h"
#include "core/session.h"
#include "tracer/tracer.h"

/* Everything that one run needs and that is taken down in reverse order. */
struct run {
	const struct run_options *o;
	const struct mode_ops *ops;
	const struct runner_extra *x;
	struct run_result *r;
	unsigned index; /* in its group */
	struct guest guest;
	struct console console;
	struct vm *vm;
	struct session *session;
	struct remote *remote; /* type I: of the whole group */
	struct tracer *tracer;
	struct kernel_view kernel;
	struct cost_model cost; /* outlives vm */
};

/* Guest and VM, at the first instruction; what a failed one leaves, runner_take_down() removes. */
enum err runner_create(struct run *run) MUST_CHECK;
/* The tracer, with the trace file and the observers that the caller asked for. */
enum err runner_attach(struct run *run) MUST_CHECK;
/* What the run has come to at this moment, while the guest stands still: counts, safety, efficiency, into run->r. */
void runner_decide(struct run *run);
void runner_take_down(struct run *run);

struct run_watch {
	struct sigaction old_int, old_term, old_alarm;
};
void runner_watch(struct run_watch *w, struct run *runs, unsigned n, uint64_t timeout_ms);
void runner_unwatch(const struct run_watch *w);

/* runner_remote.c: a group of guests under one bare-metal VMM. */
/* Starts the machine for runs that are created; lockstep: registers and memory come with the exits. */
enum err runner_remote_open(struct run *runs, unsigned n, bool lockstep) MUST_CHECK;
enum err runner_remote_drive(struct run *runs, unsigned n) MUST_CHECK;
void runner_remote_decide(struct run *run);
void runner_remote_guest(const struct run *run, struct remote_guest *g); /* what the session needs of it */
/* The options of the k-th further guest ("NAME ARGS": args are its command line); words keeps its texts. */
void runner_also(const struct run_options *o, unsigned k, struct run_options *out, char words[GUEST_PATH_MAX]);

#endif
