/* The ring: order, loss, and what each policy promises, with a real second thread. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tracer/ring.h"

#define MANY 3000000u
#define SLOTS 1024u

static void give_way(void *arg)
{
	(void)arg;
	sched_yield();
}

static void count_call(void *arg)
{
	++*(unsigned *)arg;
}

struct consumer {
	struct ring *ring;
	atomic_bool done;
	uint64_t seen, wrong, lost_sum, last;
	bool slow;
};

/* Takes everything; a record out of order, or a gap that lost_before does not explain, is wrong. */
static uint32_t consume(struct consumer *c)
{
	uint32_t n;
	const struct trace_rec *r = ring_peek(c->ring, &n);

	for (uint32_t i = 0; i < n; i++) {
		c->wrong += r[i].ts != c->last + 1 + r[i].slot.lost_before || r[i].rip != ~r[i].ts;
		c->last = r[i].ts;
		c->lost_sum += r[i].slot.lost_before;
		c->seen++;
	}
	ring_release(c->ring, n);
	return n;
}

static void *consumer_main(void *arg)
{
	struct consumer *c = arg;

	for (;;) {
		bool done = atomic_load(&c->done);

		if (consume(c) == 0) {
			if (done)
				return NULL;
			sched_yield();
		}
		if (c->slow && c->seen % 7 == 0)
			sched_yield();
	}
}

static void push_many(struct ring *r, uint64_t n)
{
	for (uint64_t i = 1; i <= n; i++) {
		struct trace_rec *p = ring_reserve(r);

		if (!p)
			continue;
		p->ts = i;
		p->rip = ~i;
		ring_commit(r);
	}
}

static struct consumer run_both(struct ring *r, enum ring_policy policy)
{
	static struct trace_rec slots[SLOTS];
	struct consumer c = {.ring = r, .slow = policy == RING_DROP};
	pthread_t thread;

	ring_init(r, slots, sizeof(slots[0]), SLOTS, policy, give_way, NULL, NULL);
	assert_int_equal(pthread_create(&thread, NULL, consumer_main, &c), 0);
	push_many(r, MANY);
	atomic_store(&c.done, true);
	pthread_join(thread, NULL);
	return c;
}

static void under_block_millions_arrive_in_order_and_none_is_lost(void **state)
{
	struct ring r;
	struct consumer c = run_both(&r, RING_BLOCK);

	(void)state;
	assert_int_equal(c.wrong, 0);
	assert_int_equal(c.seen, MANY);
	assert_int_equal(ring_lost(&r), 0);
}

static void under_drop_what_arrived_and_what_was_lost_is_everything(void **state)
{
	struct ring r;
	struct consumer c = run_both(&r, RING_DROP);

	(void)state;
	assert_int_equal(c.wrong, 0);
	assert_int_equal(c.seen + ring_lost(&r), MANY);
	/* Each gap was reported where it was, except the one behind the last record. */
	assert_int_equal(c.lost_sum + r.lost_pending, ring_lost(&r));
}

static void a_full_ring_drops_the_newest_and_counts_exactly(void **state)
{
	struct trace_rec slots[8];
	struct ring r;
	const struct trace_rec *first;
	uint32_t n;
	struct consumer c = {.ring = &r};

	(void)state;
	ring_init(&r, slots, sizeof(slots[0]), 8, RING_DROP, NULL, NULL, NULL);
	push_many(&r, 13);
	assert_int_equal(ring_lost(&r), 5);
	first = ring_peek(&r, &n);
	assert_int_equal(n, 8);
	assert_int_equal(first[7].ts, 8);
	assert_int_equal(consume(&c), 8);
	assert_int_equal(c.wrong, 0);

	struct trace_rec *p = ring_reserve(&r);

	assert_non_null(p);
	assert_int_equal(p->slot.lost_before, 5);
	ring_commit(&r);
	assert_int_equal(r.lost_pending, 0);
}

static void an_empty_ring_has_nothing_to_peek(void **state)
{
	struct trace_rec slots[2];
	struct ring r;
	uint32_t n;

	(void)state;
	ring_init(&r, slots, sizeof(slots[0]), 2, RING_DROP, NULL, NULL, NULL);
	(void)ring_peek(&r, &n);
	assert_int_equal(n, 0);
	push_many(&r, 1);
	(void)ring_peek(&r, &n);
	assert_int_equal(n, 1);
	ring_release(&r, 1);
	(void)ring_peek(&r, &n);
	assert_int_equal(n, 0);
}

static void records_that_wrap_come_in_two_pieces(void **state)
{
	struct trace_rec slots[8];
	struct ring r;
	uint32_t n;
	struct consumer c = {.ring = &r};

	(void)state;
	ring_init(&r, slots, sizeof(slots[0]), 8, RING_DROP, NULL, NULL, NULL);
	push_many(&r, 6);
	assert_int_equal(consume(&c), 6);
	for (uint64_t i = 7; i <= 12; i++) {
		struct trace_rec *p = ring_reserve(&r);

		p->ts = i;
		p->rip = ~i;
		ring_commit(&r);
	}
	(void)ring_peek(&r, &n);
	assert_int_equal(n, 2);
	assert_int_equal(consume(&c), 2);
	assert_int_equal(consume(&c), 4);
	assert_int_equal(c.wrong, 0);
}

static void the_counters_may_wrap_around(void **state)
{
	struct trace_rec slots[8];
	struct ring r;
	struct consumer c = {.ring = &r};

	(void)state;
	ring_init(&r, slots, sizeof(slots[0]), 8, RING_DROP, NULL, NULL, NULL);
	/* as after 2^32 - 3 records */
	r.head_local = r.tail_seen = UINT32_MAX - 2;
	atomic_store(&r.head, UINT32_MAX - 2);
	atomic_store(&r.tail, UINT32_MAX - 2);
	push_many(&r, 10);
	while (consume(&c) > 0)
		;
	assert_int_equal(c.seen, 8);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(ring_lost(&r), 2);
}

static void the_consumer_is_woken_when_the_ring_is_half_full(void **state)
{
	struct trace_rec slots[16];
	struct ring r;
	unsigned calls = 0;

	(void)state;
	ring_init(&r, slots, sizeof(slots[0]), 16, RING_DROP, NULL, count_call, &calls);
	push_many(&r, 7);
	assert_int_equal(calls, 0);
	push_many(&r, 1);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_ring_has_nothing_to_peek),
	    cmocka_unit_test(records_that_wrap_come_in_two_pieces),
	    cmocka_unit_test(a_full_ring_drops_the_newest_and_counts_exactly),
	    cmocka_unit_test(the_counters_may_wrap_around),
	    cmocka_unit_test(the_consumer_is_woken_when_the_ring_is_half_full),
	    cmocka_unit_test(under_block_millions_arrive_in_order_and_none_is_lost),
	    cmocka_unit_test(under_drop_what_arrived_and_what_was_lost_is_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
