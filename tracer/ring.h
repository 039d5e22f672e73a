/*
 * The ring between a vCPU and the trace writer: lock-free, one producer (the thread that runs the vCPU), one consumer.
 * Slots are of one size, chosen by the owner (struct trace_rec hosted, core/remote.h's records on bare metal), begin
 * with struct ring_slot and hold no pointer, so that the same ring works in shared memory and on bare metal
 * (freestanding: C11 atomics only). The owner gives the memory; a ring allocates nothing.
 *
 * Producer: p = ring_reserve(); fill *p; ring_commit(). Consumer: ring_peek() gives a stretch of records,
 * ring_release() hands their slots back. What happens when the ring is full is its policy:
 *
 *   RING_BLOCK  the producer waits until there is room: virtual time, where nothing may ever be lost;
 *   RING_DROP   the newest record is dropped and counted: host time, where waiting would change what is measured.
 *               The next record that fits says in lost_before how many were dropped just before it.
 */
#ifndef VMSCOPE_TRACER_RING_H
#define VMSCOPE_TRACER_RING_H

#include <stdatomic.h>

#include "core/types.h"

enum ring_policy { RING_BLOCK, RING_DROP };

enum trace_rec_kind { TRACE_REC_ENTRY, TRACE_REC_EXIT, TRACE_REC_INJECT };

struct trace_rec_entry {
	uint32_t intr_info, intr_error;
	uint64_t index, cost_ns; /* of the exit that ends here: on host time its cost is known only now */
};
/* An exit and what became of it. */
struct trace_rec_exit {
	uint64_t info1, index, insns;
	uint64_t number; /* of hardware exits over all vCPUs, from 0 */
	uint64_t gpa, cost_ns;
	uint64_t raw[4]; /* operands and results: the union of struct vm_exit */
	uint32_t info2, intr_info, intr_error;
	uint32_t own; /* number + own, modulo 2^32: of all exits over all vCPUs, from 0, the VMM's own codes, too */
};
struct trace_rec_inject {
	uint32_t error;
	uint8_t vector, type, has_error;
};

/* What every slot begins with. */
struct ring_slot {
	uint32_t lost_before; /* set by the ring: dropped just before this one; saturates */
};

struct trace_rec {
	struct ring_slot slot;
	uint32_t reason;
	uint64_t ts; /* guest ns */
	uint64_t rip;
	uint8_t kind; /* enum trace_rec_kind */
	/* exits; verdict: VERDICT_COUNT: not known */
	uint8_t verdict, observed, modelled, insn_len;
	uint8_t pad[3];
	union {
		struct trace_rec_entry entry;
		struct trace_rec_exit exit;
		struct trace_rec_inject inject;
	};
};

_Static_assert(sizeof(struct trace_rec) == 128, "an exit is written in two lines of a cache");

struct ring {
	/* written by the producer */
	_Alignas(64) _Atomic uint32_t head; /* records ever committed, modulo 2^32 */
	uint32_t head_local, tail_seen;
	uint32_t lost_pending; /* dropped since the last record that fitted */
	_Atomic uint64_t lost; /* dropped in all */
	/* written by the consumer */
	_Alignas(64) _Atomic uint32_t tail;
	/* constant after ring_init() */
	_Alignas(64) uint8_t *slots;
	uint32_t slot_size, mask;
	enum ring_policy policy;
	void (*wait)(void *arg);   /* BLOCK: called until there is room; must let the consumer run */
	void (*notify)(void *arg); /* the ring is half full: wake the consumer. May be NULL */
	void *arg;
};

/* n slots of slot_size bytes (a multiple of 8); n is a power of two, 2 .. 2^30; wait may be NULL for RING_DROP. */
void ring_init(struct ring *r, void *slots, uint32_t slot_size, uint32_t n, enum ring_policy policy,
    void (*wait)(void *), void (*notify)(void *), void *arg);
/* Slow path of ring_reserve(): true when there is room after all. */
bool ring_make_room(struct ring *r);

/* The next free slot, to be filled by the caller; NULL: dropped (and counted). */
static inline void *ring_reserve(struct ring *r)
{
	if (UNLIKELY(r->head_local - r->tail_seen > r->mask) && !ring_make_room(r))
		return NULL;
	struct ring_slot *p = (struct ring_slot *)(void *)(r->slots + (size_t)(r->head_local & r->mask) * r->slot_size);

	p->lost_before = r->lost_pending;
	r->lost_pending = 0;
	return p;
}

static inline void ring_commit(struct ring *r)
{
	atomic_store_explicit(&r->head, ++r->head_local, memory_order_release);
	if (UNLIKELY(r->head_local - r->tail_seen == (r->mask >> 1) + 1) && r->notify)
		r->notify(r->arg);
}

/* The oldest record; *n says how many wait in one piece from there on. Consumer only. */
const void *ring_peek(struct ring *r, uint32_t *n);
void ring_release(struct ring *r, uint32_t n);
/* Any thread. */
uint64_t ring_lost(struct ring *r);

#endif
