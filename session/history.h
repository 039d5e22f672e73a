/*
 * The history of a run on virtual time: checkpoints, from which it can be run again, and the events that have to happen
 * again on the way: what came from outside, and where the TLBs were flushed for a checkpoint (core/snapshot.h says why
 * that is an event). Events are kept for ever, also those of checkpoints that were given up for their memory.
 *
 * RAM is kept by page: a checkpoint has a table of pages, and shares with the one before it all that did not change.
 */
#ifndef VMSCOPE_SESSION_HISTORY_H
#define VMSCOPE_SESSION_HISTORY_H

#include "core/vm.h"

struct history;

/* What a checkpoint keeps for its owner. */
struct history_mark {
	uint64_t exits, exit_insns, exit_ns, exit_ended, console_bytes;
};

enum history_event { HISTORY_FLUSH, HISTORY_TYPE, HISTORY_STATE, HISTORY_MSR, HISTORY_MEM };

struct history_msr {
	uint64_t value;
	uint32_t msr;
};

/* Also makes the first checkpoint. bytes: what all of it may use; events, and the first checkpoint, beyond it if need
 * be. spacing_ns: processor time from one checkpoint to the next; 0: so that they cost little. */
enum err history_open(
    struct vm *vm, uint64_t bytes, uint64_t spacing_ns, struct history **out, struct errmsg *why) MUST_CHECK;
void history_close(struct history *h);

/* --- On the way forward --- */
/* Where the next event is to happen again; false: what comes was never seen. */
bool history_next(const struct history *h, struct vm_position *at);
/* Does what is to happen at this very place. ERR_BUG: this is not the run that was recorded. */
enum err history_pass(struct history *h, struct errmsg *why) MUST_CHECK;
void history_reached(struct history *h); /* the guest stands here: known from now on */
/* Nothing is known beyond this place. */
bool history_at_frontier(const struct history *h);
/* The guest ran for so long (processor time) up to here: time for a checkpoint? */
bool history_ran(struct history *h, uint64_t ns);
enum err history_checkpoint(struct history *h, const struct history_mark *mark, struct errmsg *why) MUST_CHECK;
/* Something comes from outside, now. Forgets what was known beyond. TYPE: bytes; STATE: arg is the vCPU, a struct
 * x86_state; MSR: arg is the vCPU, a struct history_msr; MEM: arg is the address. */
enum err history_input(struct history *h, enum history_event kind, uint64_t arg, const void *data, size_t n,
    struct errmsg *why) MUST_CHECK;
void history_forget(struct history *h); /* what is known beyond this place */

/* --- Back --- */
/* The last checkpoint before the first arrival at insns, before the lockstep point of exit number exits - 1, before a
 * position; always one. */
unsigned history_before_insns(const struct history *h, uint64_t insns);
unsigned history_before_exits(const struct history *h, uint64_t exits);
unsigned history_before(const struct history *h, const struct vm_position *p);
/* Position of checkpoint i; false: there is none. */
bool history_at(const struct history *h, unsigned i, struct vm_position *at);
enum err history_restore(struct history *h, unsigned i, struct history_mark *mark, struct errmsg *why) MUST_CHECK;

struct history_facts {
	uint64_t checkpoints, bytes, events;
	uint64_t taken, cost_ns; /* all checkpoints that were ever made, and what they cost together */
	struct vm_position last; /* the furthest position that is known */
};
void history_facts(const struct history *h, struct history_facts *f);
bool position_before(const struct vm_position *a, const struct vm_position *b);
bool position_same(const struct vm_position *a, const struct vm_position *b);
/* For tests: loses event i, as a bug might. */
void history_lose(struct history *h, unsigned i);

#endif
