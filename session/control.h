/*
 * Run control of one guest, in every backend: steps, breakpoints, runs to the next exit of a reason, and, where the
 * engine is repeatable (emulate on virtual time), going back. The one mechanism that TUI, labs and debuggers drive.
 *
 * Going back is real: the state is restored from a checkpoint (core/snapshot.h) and the guest runs forward again to the
 * point that was asked for. A run on virtual time is a function of its start and its inputs, so everything that came
 * from outside (console input, states written by the user) is logged with the instruction count at which it was given,
 * and given again at the same count.
 *
 *   position       an instruction boundary, named by the retired instructions before it (clock.insns)
 *   exit number k  counted over all vCPUs from 0, in the order in which they happened; only exits that the tracer
 * counts (exit_is_hw()). "At exit k" is the point right after its effect (the lockstep point).
 *
 * Thread rule: all calls but control_interrupt() come from the thread that drives the session. Calls return when the
 * guest stands still.
 */
#ifndef VMSCOPE_SESSION_CONTROL_H
#define VMSCOPE_SESSION_CONTROL_H

#include "core/session.h"

struct control;

enum control_stop {
	CONTROL_DONE,	     /* the step, or the way to a position, is complete */
	CONTROL_BREAK,	     /* a breakpoint: control_where()->breakpoint */
	CONTROL_END,	     /* the guest has ended: session->ops->end() says how */
	CONTROL_INTERRUPTED, /* control_interrupt(), or the slice is over (control_run_for) */
	CONTROL_LIMIT,	     /* --max-exits, --max-insns, --timeout */
	CONTROL_BEGIN,	     /* going back: the first instruction was reached before what was looked for */
};
const char *control_stop_name(enum control_stop s);

enum break_kind {
	BREAK_INSN, /* before the instruction at lo..hi (linear address) executes */
	BREAK_EXIT, /* reason lo; hi unused */
	BREAK_PORT, /* an IO_INSTRUCTION exit with a port in lo..hi */
	BREAK_MSR,  /* MSR_READ, MSR_WRITE exits with an index in lo..hi */
	BREAK_MEM,  /* an access to linear addresses lo..hi: right after the instruction that made it */
	BREAK_KINDS
};
#define BREAK_READ (1u << 0)  /* BREAK_PORT: IN; BREAK_MSR: RDMSR */
#define BREAK_WRITE (1u << 1) /* BREAK_PORT: OUT; BREAK_MSR: WRMSR */
#define CONTROL_BREAKS_MAX 32

struct breakpoint {
	enum break_kind kind;
	unsigned access; /* BREAK_READ | BREAK_WRITE; 0 means both */
	uint64_t lo, hi;
	uint64_t skip; /* so many hits are passed over before it stops */
	bool once;     /* removed when it stopped */
	bool disabled;
	char text[48]; /* as the user wrote it: "vmexit CPUID" */
	/* set by control */
	unsigned id; /* from 1; 0: free */
	uint64_t hits;
};

struct control_config {
	/* Going back: memory that checkpoints may use; 0: an eighth of this machine's, 256 MiB to 1 GiB. Where the
	 * backend cannot go back it is not used. */
	uint64_t history_bytes;
	uint64_t spacing_ns; /* processor time from one checkpoint to the next; 0: so that they cost about 1.5 % */
	/* Called on this thread around a way back, or forward through what is known already: with true before it, with
	 * false when the guest stands in the past; insns, exits: the position then. Between the two neither the VM's
	 * other probes nor its console see anything: what happens was seen before. Afterwards the run goes on from
	 * there as if it had never been further, and probes and console see again what follows: who keeps what he saw
	 * drops what lies beyond this position (and beyond control_where()->console_bytes), or knows it. May be NULL.
	 */
	void (*replaying)(void *arg, bool silent, uint64_t insns, uint64_t exits);
	void *arg;
};

struct control_where {
	enum control_stop stop;		 /* of the last call */
	unsigned breakpoint;		 /* id; 0: none */
	uint64_t insns;			 /* retired instructions; 0 where nobody counts */
	uint64_t exits;			 /* hardware exits so far, over all vCPUs: the next one has this number */
	uint64_t last_insns, last_exits; /* the furthest position that is known */
	uint64_t console_bytes;		 /* that the guest has written up to here */
	bool can_back;			 /* false: why_not_back says why, for people */
	char why_not_back[160];
	uint64_t checkpoints, history_bytes; /* held now */
	const char *failure;		     /* when a call returned an error without words: what went wrong, or "" */
};

/* The session stays the caller's, and open until control_close(); its VM has not run yet, for going back to work. */
enum err control_open(
    struct session *s, const struct control_config *cfg, struct control **out, struct errmsg *why) MUST_CHECK;
void control_close(struct control *c);
const struct control_where *control_where(struct control *c);

/* All return an error only when the host or the backend failed; where things went is in control_where()->stop. An error
 * always has words: in *why, or, of a call without one, in control_where()->failure. */
enum err control_run(struct control *c); /* until a breakpoint, the end, a limit, an interrupt */
/* The same, but back after about ns of host time (CONTROL_INTERRUPTED): for a loop that also draws. */
enum err control_run_for(struct control *c, uint64_t ns);
/* The same, but at most so many exits and so many instructions (where the engine counts them); 0: no bound. */
enum err control_run_within(struct control *c, uint64_t exits, uint64_t insns);
enum err control_step_insn(struct control *c, uint64_t n, struct errmsg *why); /* ERR_UNSUPPORTED: not in this mode */
enum err control_step_exit(struct control *c, uint64_t n);
enum err control_step_over(struct control *c, struct errmsg *why); /* a CALL, REP or INT n as one step */
enum err control_finish(struct control *c, struct errmsg *why);	   /* until the current function has returned */
/* Until the next exit of this reason (forward). */
enum err control_run_to_exit(struct control *c, uint32_t reason);
/* Going back; ERR_UNSUPPORTED with the reason where the backend cannot. */
enum err control_back_insn(struct control *c, uint64_t n, struct errmsg *why);
enum err control_back_exit(struct control *c, uint64_t n, struct errmsg *why); /* to the lockstep point n exits ago */
/* Backwards to the newest position at which a breakpoint would have stopped. */
enum err control_back_to_break(struct control *c, struct errmsg *why);
/* To a position in the past, or forward to one that was not reached yet. */
enum err control_goto_exit(struct control *c, uint64_t k, struct errmsg *why);
enum err control_goto_insn(struct control *c, uint64_t insns, struct errmsg *why);
/* Back to the first instruction; the log of inputs is empty then. Where the backend cannot go back: ERR_UNSUPPORTED
 * (the owner opens a new session instead). */
enum err control_restart(struct control *c, struct errmsg *why);
/* Any thread, signal handler: a running call returns soon; when none runs, the next one does at once. */
void control_interrupt(struct control *c);
/* Takes a request back that no call has answered: it was about what is over. */
void control_no_interrupt(struct control *c);

/* Breakpoints. b->id is set; ERR_UNSUPPORTED: this backend cannot stop there, why says which could. */
enum err control_break_add(struct control *c, struct breakpoint *b, struct errmsg *why) MUST_CHECK;
enum err control_break_remove(struct control *c, unsigned id) MUST_CHECK;
enum err control_break_enable(struct control *c, unsigned id, bool on) MUST_CHECK;
/* The i-th that is set; NULL: no more. */
const struct breakpoint *control_break_at(struct control *c, unsigned i);

/* What comes from outside goes through here, so that it is in the log. After going back, an input makes a new future:
 * what had been reached beyond this point is forgotten. */
size_t control_type(struct control *c, const uint8_t *text, size_t n);
enum err control_set_state(struct control *c, unsigned vcpu, const struct x86_state *in);
/* ERR_NOENT: there is no such MSR, or it does not take this value. */
enum err control_set_msr(struct control *c, unsigned vcpu, uint32_t msr, uint64_t value);
enum err control_write_mem(struct control *c, gpa_t gpa, const void *buf, size_t n);

#endif
