/* core/clock.c: guest time. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "tests/fake_host.h"

static struct clock c;
static char fired[200];
static unsigned handles[4];

struct timer_arg {
	char name;
	uint64_t period; /* re-arms itself */
	unsigned handle;
};
static struct timer_arg args[4];

static void fire(void *arg, uint64_t deadline)
{
	const struct timer_arg *t = arg;
	size_t n = strlen(fired);

	snprintf(fired + n, sizeof(fired) - n, "%c%llu ", t->name, (unsigned long long)deadline);
	if (t->period)
		clock_arm(&c, t->handle, deadline + t->period);
}

static void start(enum clock_kind kind)
{
	fake_host_reset();
	clock_init(&c, &fake_host_ops, kind);
	fired[0] = '\0';
	for (unsigned i = 0; i < 4; i++) {
		args[i] = (struct timer_arg){.name = (char)('a' + i)};
		assert_int_equal(clock_add_timer(&c, fire, &args[i], &handles[i]), ERR_OK);
		args[i].handle = handles[i];
	}
}

static void virtual_time_is_instructions_and_nothing_of_the_host(void **state)
{
	(void)state;
	start(CLOCK_VIRTUAL);
	fake_host.step_ns = 12345;
	assert_int_equal(clock_now_ns(&c), 0);
	c.insns = 100;
	assert_int_equal(clock_now_ns(&c), 1000);
	assert_int_equal(clock_tsc(&c), 1000);
	assert_int_equal(fake_host.now_ns, 1000);
}

static void timers_fire_in_order_of_deadline_then_of_handle(void **state)
{
	(void)state;
	start(CLOCK_VIRTUAL);
	clock_arm(&c, handles[3], 50);
	clock_arm(&c, handles[2], 30);
	clock_arm(&c, handles[1], 50);
	clock_arm(&c, handles[0], 70);
	c.insns = 5;
	assert_int_equal(clock_next_deadline(&c), 30);
	clock_run_due(&c);
	assert_string_equal(fired, "c30 b50 d50 ");
	assert_int_equal(clock_next_deadline(&c), 70);
}

static void a_periodic_timer_catches_up(void **state)
{
	(void)state;
	start(CLOCK_VIRTUAL);
	args[0].period = 100;
	clock_arm(&c, handles[0], 100);
	c.insns = 35;
	clock_run_due(&c);
	assert_string_equal(fired, "a100 a200 a300 ");
	clock_run_due(&c);
	assert_string_equal(fired, "a100 a200 a300 ");
}

static void a_disarmed_timer_is_silent(void **state)
{
	(void)state;
	start(CLOCK_VIRTUAL);
	clock_arm(&c, handles[0], 10);
	clock_arm(&c, handles[0], CLOCK_NEVER);
	clock_arm(&c, 99, 1); /* no such handle */
	c.insns = 1000;
	clock_run_due(&c);
	assert_string_equal(fired, "");
	assert_true(clock_insns_until_deadline(&c) == UINT64_MAX);
	assert_false(clock_wait(&c));
}

static void the_distance_in_instructions_rounds_up(void **state)
{
	(void)state;
	start(CLOCK_VIRTUAL);
	clock_arm(&c, handles[0], 101);
	assert_int_equal(clock_insns_until_deadline(&c), 11);
	c.insns = 10;
	assert_int_equal(clock_insns_until_deadline(&c), 1);
	c.insns = 11;
	assert_int_equal(clock_insns_until_deadline(&c), 0);
}

static void hlt_jumps_to_the_deadline_exactly(void **state)
{
	(void)state;
	start(CLOCK_VIRTUAL);
	c.insns = 3;
	clock_arm(&c, handles[0], 1234);
	assert_true(clock_wait(&c));
	assert_int_equal(clock_now_ns(&c), 1234);
	assert_true(clock_wait(&c)); /* due: no further */
	assert_int_equal(clock_now_ns(&c), 1234);
	clock_run_due(&c);
	assert_string_equal(fired, "a1234 ");
	assert_int_equal(fake_host.idles, 0);
}

static void host_time_starts_at_zero_and_idles(void **state)
{
	(void)state;
	start(CLOCK_HOST);
	assert_int_equal(clock_now_ns(&c), 0);
	fake_host.now_ns += 500;
	assert_int_equal(clock_now_ns(&c), 500);
	clock_arm(&c, handles[0], 2000);
	assert_true(clock_wait(&c));
	assert_int_equal(fake_host.idles, 1);
	assert_int_equal(clock_now_ns(&c), 2000);
}

static void a_long_idle_looks_up_now_and_then(void **state)
{
	(void)state;
	start(CLOCK_HOST);
	clock_arm(&c, handles[0], 3600000000000ull);
	assert_true(clock_wait(&c));
	assert_true(clock_now_ns(&c) < 1000000000ull);
}

static void the_table_of_timers_is_finite(void **state)
{
	unsigned h;

	(void)state;
	start(CLOCK_VIRTUAL);
	for (unsigned i = c.n_timers; i < CLOCK_TIMERS_MAX; i++)
		assert_int_equal(clock_add_timer(&c, fire, &args[0], &h), ERR_OK);
	assert_int_equal(clock_add_timer(&c, fire, &args[0], &h), ERR_NOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(virtual_time_is_instructions_and_nothing_of_the_host),
	    cmocka_unit_test(timers_fire_in_order_of_deadline_then_of_handle),
	    cmocka_unit_test(a_periodic_timer_catches_up),
	    cmocka_unit_test(a_disarmed_timer_is_silent),
	    cmocka_unit_test(the_distance_in_instructions_rounds_up),
	    cmocka_unit_test(hlt_jumps_to_the_deadline_exactly),
	    cmocka_unit_test(host_time_starts_at_zero_and_idles),
	    cmocka_unit_test(a_long_idle_looks_up_now_and_then),
	    cmocka_unit_test(the_table_of_timers_is_finite),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
