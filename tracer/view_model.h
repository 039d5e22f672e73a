/*
 * The view model: what screens, scripts and reports see of a run. One struct for a live run of any backend and for a
 * recorded trace, so that no view knows the difference; what a source cannot give is said in words (`why`), never
 * invented.
 *
 *   live    the tracer's writer thread feeds the log (view_model_feed() as its sink); state and memory are asked of the
 *           session while the guest stands still
 *   trace   view_model_open_trace() fills the log from a file; there is no state and no memory
 *
 * Thread rule: the log is written by the writer thread and read under view_model_lock(). Everything that asks the guest
 * (view_cpu_*, view_read_*) may be called only while the guest stands still (tui/engine.h sees to that).
 */
#ifndef VMSCOPE_TRACER_VIEW_MODEL_H
#define VMSCOPE_TRACER_VIEW_MODEL_H

#include "core/session.h"
#include "core/x86/state.h"
#include "tracer/ring.h"
#include "tracer/row.h"
#include "tracer/stats.h"
#include "tracer/verdict.h"

struct view_model;
struct cost_model;

/* One exit of the log. */
struct view_exit {
	uint64_t number; /* hardware exits: from 0, over all vCPUs, in order; UINT64_MAX for the VMM's own codes */
	uint64_t ts_ns;	 /* guest time */
	uint64_t insns;	 /* retired before it */
	uint64_t direct; /* instructions since the exit before it on this vCPU */
	uint64_t rip;
	uint64_t qual, info2; /* exit qualification; trace of another: kvm_exit's info1 and info2 */
	uint64_t gpa, cost_ns;
	uint64_t raw[4]; /* the union of struct vm_exit: operands and results */
	uint32_t reason, intr_info, intr_error;
	uint16_t vcpu;
	uint8_t isa;	  /* enum exit_isa */
	uint8_t observed; /* enum exit_observed */
	uint8_t verdict;  /* enum verdict; VERDICT_COUNT: not known (a trace of another, or the exit is not over) */
	uint8_t insn_len;
	uint8_t has; /* VIEW_HAS_* */
	/* the event that was injected after it, before the next entry */
	uint8_t inject_type, inject_vector;
	uint32_t inject_error;
};
#define VIEW_HAS_RIP (1u << 0)
#define VIEW_HAS_COST (1u << 1)
#define VIEW_COST_MODELLED (1u << 2)
#define VIEW_HAS_DIRECT (1u << 3)
#define VIEW_HAS_VALUES (1u << 4) /* raw, gpa */
#define VIEW_INJECTED (1u << 5)
#define VIEW_CHILD (1u << 6) /* not counted in totals (struct exit_row) */

/* Fills a struct vm_exit for the functions that explain one (fields that the log does not have are 0). */
void view_exit_to_vm_exit(const struct view_exit *e, struct vm_exit *out);
void view_exit_row(const struct view_exit *e, struct exit_row *out);
const char *view_exit_name(const struct view_exit *e, char *buf, size_t n);

enum view_source { VIEW_LIVE, VIEW_TRACE };
enum view_run { VIEW_STOPPED, VIEW_RUNNING, VIEW_ENDED };

struct view_info {
	enum view_source source;
	char guest[64], path[256];			      /* path: of the trace */
	char mode[16], engine[24], controls[16], machine[48]; /* "emulate", "interpreter", "vtx-ept"; "" when unknown */
	unsigned type;					      /* 1, 2; 0: unknown */
	enum clock_kind clock;
	unsigned n_vcpus;
	uint64_t mem_size;
	bool counts_insns;
	const struct vm_controls *profile; /* NULL: not known (a trace of another) */
	const struct cost_model *cost;	   /* NULL: costs are measured, or not known */
	char cost_name[48];		   /* of a trace: the profile that its costs are of; "" */
	struct vm *vm; /* live: the VM, or the mirror of one on another machine; NULL: the session's */
};

struct view_verdicts {
	struct pg_verdict equivalence, safety, efficiency;
	double direct_fraction, guest_time_fraction; /* negative: not known */
};

/* Where the run is, and how fast. Rates are per second of guest time on virtual time (so that they are the same
 * everywhere), of host time on host time; host_* always of host time, and only while it runs. */
struct view_now {
	enum view_run run;
	struct vm_end end; /* VIEW_ENDED */
	char stop[96];	   /* why it stands still, for people: "breakpoint 2: vmexit CPUID" */
	uint64_t insns, exits, guest_ns, lost;
	uint64_t seen_insns, seen_exits; /* the furthest that was reached; more than the above after going back */
	double exits_per_s, insns_per_s;
	double host_exits_per_s, host_insns_per_s;
	bool can_back;	       /* live: the past can be gone to */
	bool counts_forgotten; /* the statistics have exits of a future that was given up, too */
	uint64_t selected;     /* number of the exit that the views are about */
};

#define VIEW_SPARK 32 /* buckets of a sparkline, oldest first; one is view_bucket_ns() of guest time */

struct view_config {
	size_t log_exits;	       /* how many exits the log keeps; 0: a default (262144) */
	uint64_t (*now_ns)(void *arg); /* host time for rates; NULL: the monotonic clock. Tests give their own */
	void *now_arg;
};

enum err view_model_new(const struct view_config *cfg, struct view_model **out, struct errmsg *why) MUST_CHECK;
void view_model_free(struct view_model *m);
/* Live: the session whose state and memory is asked; stays the caller's. info is copied. */
void view_model_attach(struct view_model *m, struct session *s, const struct view_info *info);
/* A sink of the tracer (tracer_config.sink); arg is the model. */
void view_model_feed(void *arg, unsigned vcpu, const struct trace_rec *r, size_t n);
/* Console bytes of the guest, any thread. */
void view_model_console(struct view_model *m, const char *port, uint8_t byte);
/* A recorded trace, ours or another's; reads it to the end. */
enum err view_model_open_trace(struct view_model *m, const char *path, struct errmsg *why) MUST_CHECK;
/* The cost profile that a trace names (view_info.cost_name), for whoever can read it; stays the caller's. */
void view_model_set_cost(struct view_model *m, const struct cost_model *cost);
/* The guest has written so many bytes up to where it stands; what it wrote later is kept, and not shown. */
void view_model_console_at(struct view_model *m, uint64_t bytes);
void view_model_can_back(struct view_model *m, bool can);
/* The run stands at this position; does not wait for who has the lock, and is seen by who takes it next. */
void view_model_position(struct view_model *m, uint64_t insns, uint64_t exits);
/* After an input in the past: what was known beyond the position is forgotten. Not with the lock held. Returns the
 * position at which the log goes on: for tracer_forget(). */
uint64_t view_model_forget_future(struct view_model *m);
/* What the owner knows better: run state, reasons, verdicts. */
void view_model_set_run(struct view_model *m, enum view_run run, const struct vm_end *end, const char *stop);
void view_model_set_verdicts(struct view_model *m, const struct view_verdicts *v);
void view_model_select(struct view_model *m, uint64_t number);

/* --- for views: all under the lock (who has it may take it again) ------------------------------------------- */
void view_model_lock(struct view_model *m);
void view_model_unlock(struct view_model *m);

const struct view_info *view_info(struct view_model *m);
const struct view_now *view_now(struct view_model *m);
const struct view_verdicts *view_verdicts(struct view_model *m);
const struct exit_stats *view_stats(struct view_model *m, enum stats_by by); /* STATS_BY_REASON, _RIP, _VCPU */
/* Of the row of view_stats(m, STATS_BY_REASON) with this reason and isa: the newest VIEW_SPARK buckets of counts, and
 * its rate per second as in view_now. */
void view_spark(struct view_model *m, uint32_t reason, uint8_t isa, uint32_t out[VIEW_SPARK], double *rate);
uint64_t view_bucket_ns(struct view_model *m);

/* The numbers of the first and the last exit in the log; false: it has none. */
bool view_log_numbers(struct view_model *m, uint64_t *first, uint64_t *last);

/* The log, by position: view_log_first() .. view_log_first() + view_log_n() - 1, oldest first. Children included. */
uint64_t view_log_first(struct view_model *m);
uint64_t view_log_n(struct view_model *m);
const struct view_exit *view_log_at(struct view_model *m, uint64_t pos); /* NULL: not kept */
/* Position of hardware exit number k; false when the log does not hold it. */
bool view_log_find(struct view_model *m, uint64_t number, uint64_t *pos);
/* The nearest position from pos (exclusive) in direction dir (+1, -1) that match() accepts; false: none. */
bool view_log_search(struct view_model *m, uint64_t pos, int dir, bool (*match)(void *arg, const struct view_exit *e),
    void *arg, uint64_t *found);
/* A filter in libtraceevent's syntax over kvm_exit's fields, where a reason may be its name in quotes; NULL removes it.
 * On error *at is the offset in text. Filtered-out exits stay in the log; view_log_shown() says whether one passes. */
enum err view_filter_set(struct view_model *m, const char *text, size_t *at, struct errmsg *why) MUST_CHECK;
const char *view_filter_text(struct view_model *m); /* NULL: none */
bool view_log_shown(struct view_model *m, const struct view_exit *e);

/* Guest console: the newest bytes, oldest first; returns how many were copied; *total of all. A guest that runs goes on
 * writing meanwhile. */
size_t view_console(struct view_model *m, char *buf, size_t n, uint64_t *total);
/* VGA text; false: none. While the guest runs: as it was at the last view_model_position() that was seen. */
bool view_screen(struct view_model *m, char lines[25][81]);

/* --- of the guest itself: only while it stands still. NULL or ERR_UNSUPPORTED: why says what is missing ------------
 */
/* For reading only: devices, TLB, mappings. NULL: a trace, or a VM on another machine. */
struct vm *view_vm(struct view_model *m);
/* Is the guest on another machine, which sends registers and memory and nothing else? */
bool view_remote(struct view_model *m);
/* What of a vCPU is no register. */
struct view_cpu {
	bool halted, wait_startup; /* waits in HLT; waits for its start */
	const struct x86_cpu *tlb; /* emulate: the interpreter's CPU, for its TLB; NULL: it is the processor's own */
	bool lapic_on, lapic_x2;
	uint32_t lapic_count; /* of the APIC's timer */
};
/* False: there is no such vCPU here; *out is zeroed. */
bool view_cpu(struct view_model *m, unsigned vcpu, struct view_cpu *out);
const struct x86_state *view_cpu_state(struct view_model *m, unsigned vcpu, struct errmsg *why);
/* The state at the stop before this one, for marking what changed; NULL: there was none. */
const struct x86_state *view_cpu_before(struct view_model *m, unsigned vcpu);
/* The owner: the guest has just stopped. Keeps the states above; an exit that no entry followed is counted. */
void view_model_stopped(struct view_model *m);
enum err view_read_phys(struct view_model *m, gpa_t gpa, void *buf, size_t n, struct errmsg *why);
/* Through the guest's page tables, without setting accessed bits; *done: bytes before the first one that is not
 * mapped. */
enum err view_read_linear(
    struct view_model *m, unsigned vcpu, gva_t gva, void *buf, size_t n, size_t *done, struct errmsg *why);

#endif
