/*
 * Single-producer, single-consumer ring. Freestanding: part of the bare-metal image.
 *
 * Two counters that only grow: head (committed by the producer) and tail (released by the consumer). Each side writes
 * one and reads the other, so no lock is needed: a release store publishes what was written before it, an acquire load
 * sees it. The producer keeps the last tail that it saw and asks for a newer one only when the ring looks full; so the
 * cache line of the consumer rarely travels.
 */
#include "tracer/ring.h"

void ring_init(struct ring *r, void *slots, uint32_t slot_size, uint32_t n, enum ring_policy policy,
    void (*wait)(void *), void (*notify)(void *), void *arg)
{
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
	atomic_init(&r->lost, 0);
	r->head_local = r->tail_seen = r->lost_pending = 0;
	r->slots = slots;
	r->slot_size = slot_size;
	r->mask = n - 1;
	r->policy = policy;
	r->wait = wait;
	r->notify = notify;
	r->arg = arg;
}

bool ring_make_room(struct ring *r)
{
	for (;;) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (r->head_local - r->tail_seen <= r->mask) {
			/* Past the middle already: ring_commit() will not pass it. */
			if (r->head_local - r->tail_seen > r->mask >> 1 && r->notify)
				r->notify(r->arg);
			return true;
		}
		if (r->policy == RING_DROP)
			break;
		r->wait(r->arg);
	}
	if (r->lost_pending != UINT32_MAX)
		r->lost_pending++;
	atomic_fetch_add_explicit(&r->lost, 1, memory_order_relaxed);
	return false;
}

const void *ring_peek(struct ring *r, uint32_t *n)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint32_t all = head - tail, to_end = r->mask + 1 - (tail & r->mask);

	*n = all < to_end ? all : to_end;
	return r->slots + (size_t)(tail & r->mask) * r->slot_size;
}

void ring_release(struct ring *r, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + n, memory_order_release);
}

uint64_t ring_lost(struct ring *r)
{
	return atomic_load_explicit(&r->lost, memory_order_relaxed);
}
