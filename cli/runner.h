/*
 * One run of one guest in one backend, from options to a result: create, load, attach observers, run, measure, decide.
 * run, compare and audit are built on it; text and JSON are made from the result (cli/result.c, cli/result_json.c).
 */
#ifndef VMSCOPE_CLI_RUNNER_H
#define VMSCOPE_CLI_RUNNER_H

#include "cli/guest.h"
#include "cli/options.h"
#include "core/vm.h"
#include "session/session.h"
#include "tracer/efficiency.h"
#include "tracer/equivalence.h"
#include "tracer/ring.h"
#include "tracer/safety.h"
#include "tracer/stats.h"

/* Observers and other wishes of the caller. */
struct runner_extra {
	const struct probe_ops *probe; /* may be NULL */
	void *probe_arg;
	bool console_live; /* copy the console to stdout while it runs */
	bool no_pcid;	   /* the guest's CPU has no PCIDs and no INVPCID */
	/* Sees every console byte (port and byte, on the vCPU's thread). May be NULL. */
	void (*console)(void *arg, const char *port, uint8_t byte);
	/* Sees every record of the tracer, which then does not count the exits itself. May be NULL. */
	void (*sink)(void *arg, unsigned vcpu, const struct trace_rec *r, size_t n);
	void *console_arg, *sink_arg;
	struct measured reference_insns; /* how many instructions a counting engine retired for this guest */
};

struct run_result {
	char guest[64];
	enum vmm_mode mode;
	enum vmm_type type;
	const struct mode_ops *ops; /* NULL: no such backend */
	bool ran;		    /* false: err and why say what stopped it before the first instruction */
	enum err err;
	struct errmsg why;
	const char *backend; /* "interpreter", "kvm", "model": ops->engine */
	char controls[16];
	enum clock_kind clock;
	struct vm_end end;
	bool insns_known;
	uint64_t insns, virtual_ns, wall_ns;
	uint8_t *console; /* owned */
	size_t console_len;
	char console_sha256[65];
	bool has_screen;
	char screen[25][81];
	enum err trace_err;	  /* the trace could not be written whole: why says where */
	struct exit_stats *stats; /* owned; NULL when it did not run */
	struct safety safety;
	struct efficiency efficiency;
	bool equivalence_known; /* only compare fills it */
	struct pg_verdict equivalence;
	/* Type I: the machine, the line, and what the bare-metal VMM said at the end. */
	bool has_session;
	struct remote_facts session;
	struct msg_end metal;
};

/* ERR_OK also when the guest failed: end says so. Whatever is returned, run_result_free() is needed. */
enum err runner_run(
    const struct run_options *o, const struct mode_ops *ops, const struct runner_extra *x, struct run_result *r);
/* The guest of o and those of o->also under one VMM; r has n = 1 + o->n_also members, each of which needs
 * run_result_free(). */
enum err runner_run_group(const struct run_options *o, const struct mode_ops *ops, const struct runner_extra *x,
    struct run_result *r, unsigned n);
/* Runs the guest in subject and in reference side by side, exit by exit, under the subject's profile. */
/* for_ns: not 0, for so much host time at most, and then no signal and no --timeout ends it. */
enum err runner_lockstep(const struct run_options *o, const struct mode_ops *subject, const struct mode_ops *reference,
    uint64_t for_ns, struct equivalence_report *out, struct errmsg *why) MUST_CHECK;
void run_result_free(struct run_result *r);
/* Can this machine do it, with the machine and engine that o asks for? ERR_NODEV: why has one precise line. */
enum err runner_probe(const struct run_options *o, const struct mode_ops *ops, struct errmsg *why) MUST_CHECK;
/* Which profile and clock a backend would run with, or why it cannot. */
enum err runner_check(const struct run_options *o, const struct mode_ops *ops, const char **controls,
    enum clock_kind *clock, struct errmsg *why) MUST_CHECK;
/* The exit status of the process that this result means. */
int run_result_status(const struct run_result *r);
/* Is it one of the engines that bare metal has for this backend: "vmx", "svm"? */
bool runner_metal_engine(const struct mode_ops *ops, const char *engine);
const char *type_name(enum vmm_type t); /* "I", "II" */

#endif
