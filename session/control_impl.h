/*
 * Private to session/control*.c: one guest under run control.
 */
#ifndef VMSCOPE_SESSION_CONTROL_IMPL_H
#define VMSCOPE_SESSION_CONTROL_IMPL_H

#include <stdatomic.h>

#include "session/control.h"
#include "session/history.h"

#define NO_GOAL UINT64_MAX

/* How this backend is driven. */
enum control_driver {
	DRIVER_EXACT,  /* counts instructions: vm_run_to(), to any one of them */
	DRIVER_SLICES, /* vm_run_slice(): by host time, and by exits */
	DRIVER_REMOTE, /* another machine runs it: session->ops, and a thread that stops it in time */
};

/* What the call in progress is after, beside the breakpoints. */
struct control_goal {
	uint64_t insns, exits; /* NO_GOAL; exits: hardware exits so far (vm.passed) */
	uint64_t reason;       /* NO_GOAL */
	uint64_t until_ns;     /* host time; CLOCK_NEVER */
	uint64_t steps;	       /* DRIVER_SLICES: single steps; 0: none */
	bool at_set;	       /* before the instruction at this linear address, where vcpu's stack is not below sp */
	unsigned vcpu;
	gva_t at;
	uint64_t sp;
	bool to_set; /* a position, DRIVER_EXACT */
	struct vm_position to;
	bool no_breaks; /* breakpoints do not count */
};

struct control {
	struct session *s;
	struct vm *vm; /* that the probe sits in: s->vm or s->mirror */
	struct control_config cfg;
	enum control_driver driver;
	struct history *history; /* NULL: this backend cannot go back */
	struct control_where where;
	atomic_int interrupt; /* a request that no call has answered yet */
	struct control_goal goal;
	bool met;	       /* of the goal: exits or reason */
	unsigned hit;	       /* breakpoint at which this call stops; 0: none */
	struct errmsg failure; /* of a run that went wrong inside */
	/* The console: bytes so far, and whose it is. silent: they were written before. */
	uint64_t console_bytes;
	void (*console)(void *arg, const char *port, uint8_t byte);
	void *console_arg;
	bool silent;
	/* Going back to a breakpoint: hits are counted and passed over, up to a number. */
	bool noting;
	struct vm_position note_end;  /* only those before it, */
	bool note_last;		      /* and at it */
	unsigned noted;		      /* breakpoint of the place in hand */
	uint64_t notes, stop_at_note; /* NO_GOAL: all */
	uint64_t chunk;		      /* instructions between two looks at the host's clock */

	struct breakpoint breaks[CONTROL_BREAKS_MAX];
	unsigned n_breaks; /* they are the first ones, in order of id */
	unsigned next_id;
	struct vm_breaks watch; /* what the engine is told */
	bool exit_breaks;	/* one of those that exits answer is enabled */
};

static inline struct control_goal control_no_goal(void)
{
	return (struct control_goal){.insns = NO_GOAL, .exits = NO_GOAL, .reason = NO_GOAL, .until_ns = CLOCK_NEVER};
}

/* control_break.c */
/* Tells the engine what to look for; the instruction that comes now does not count. */
void breaks_arm(struct control *c);
void breaks_disarm(struct control *c);
/* An exit is done: does one of them stop here? */
void breaks_exit(struct control *c, const struct vm_exit *e);
/* The engine stopped. */
void breaks_engine(struct control *c);

/* control.c: runs forward until the goal, a breakpoint, the end, a limit, an interrupt; where->stop says which. */
enum err control_go(struct control *c, const struct control_goal *goal); /* words of an error: c->failure */
enum err control_go_why(struct control *c, const struct control_goal *goal, struct errmsg *why);
/* The guest stands still: true: the call is over, where->stop says why. */
bool control_settle(struct control *c);
uint64_t control_exit_ns(const struct control *c);

/* control_remote.c */
enum err remote_go(struct control *c);

#endif
