/* The timers of local APICs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/env.h"
#include "core/irq.h"
#include "tests/lapic_fixture.h"

/* --- The timer -----------------------------------------------------------------------------------------------------
 */

static void one_shot_counts_down_once(void **state)
{
	(void)state;
	apic_set(0, LVT_TIMER, 0x50);
	apic_set(0, DIVIDE, 0); /* by 2 */
	apic_set(0, INITIAL, 1000);
	apic_pass(500);
	assert_int_equal(apic_get(0, CURRENT), 750);
	assert_int_equal(apic_take(0), -1);
	apic_pass(1499);
	assert_int_equal(apic_take(0), -1);
	apic_pass(1);
	assert_int_equal(apic_get(0, CURRENT), 0);
	assert_int_equal(apic_take(0), 0x50);
	apic_set(0, EOI, 0);
	apic_pass(1000000);
	assert_int_equal(apic_take(0), -1);
	apic_set(0, LVT_TIMER, 0x50 | PERIODIC); /* it stays at 0 until the count is written */
	assert_int_equal(apic_get(0, CURRENT), 0);
}

static void every_divisor_divides(void **state)
{
	static const uint32_t code[8] = {0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		apic_set(1, DIVIDE, code[i]);
		apic_set(1, INITIAL, 1000);
		apic_pass(512);
		assert_int_equal(apic_get(1, CURRENT), 1000 - (512 >> i));
	}
}

static void periodic_begins_again_and_keeps_its_phase(void **state)
{
	(void)state;
	apic_set(0, LVT_TIMER, 0x51 | PERIODIC);
	apic_set(0, DIVIDE, BY_1);
	apic_set(0, INITIAL, 1000000);
	for (unsigned i = 0; i < 5; i++) {
		apic_pass(999999);
		assert_int_equal(apic_take(0), -1);
		apic_pass(1);
		assert_int_equal(apic_take(0), 0x51);
		apic_set(0, EOI, 0);
	}
	apic_pass(400000);
	apic_set(0, LVT_TIMER, 0x51); /* one-shot: goes on from where it is */
	assert_int_equal(apic_get(0, CURRENT), 600000);
	apic_pass(600000);
	assert_int_equal(apic_take(0), 0x51);
	apic_set(0, EOI, 0);
	apic_pass(5000);
	assert_int_equal(apic_take(0), -1);
}

static void a_changed_divisor_leaves_the_count(void **state)
{
	(void)state;
	apic_set(0, LVT_TIMER, 0x52);
	apic_set(0, DIVIDE, BY_1);
	apic_set(0, INITIAL, 1000);
	apic_pass(200);
	apic_set(0, DIVIDE, 0);
	assert_int_equal(apic_get(0, CURRENT), 800);
	apic_pass(1599);
	assert_int_equal(apic_take(0), -1);
	apic_pass(1);
	assert_int_equal(apic_take(0), 0x52);
}

static void tsc_deadline_fires_once_and_follows_the_tsc(void **state)
{
	(void)state;
	assert_true(apic_put_msr(0, DEADLINE, 12345)); /* not in this mode */
	assert_int_equal(apic_msr(0, DEADLINE), 0);
	apic_set(0, LVT_TIMER, 0x53 | TSC_DEADLINE);
	apic_set(0, INITIAL, 100);
	assert_int_equal(apic_get(0, CURRENT), 0);
	assert_true(apic_put_msr(0, TSC, 1000000));
	assert_true(apic_put_msr(0, DEADLINE, 1005000));
	apic_pass(4999);
	assert_int_equal(apic_take(0), -1);
	assert_int_equal(apic_msr(0, DEADLINE), 1005000);
	apic_pass(1);
	assert_int_equal(apic_take(0), 0x53);
	apic_set(0, EOI, 0);
	assert_int_equal(apic_msr(0, DEADLINE), 0);
	assert_true(apic_put_msr(0, DEADLINE, 1)); /* in the past: at once */
	clock_run_due(&apic_vm->clock);
	assert_int_equal(apic_take(0), 0x53);
	apic_set(0, EOI, 0);
	assert_true(apic_put_msr(0, DEADLINE, 2000000));
	assert_true(apic_put_msr(0, TSC, 1999000)); /* the TSC is set: the deadline comes nearer */
	apic_pass(1000);
	assert_int_equal(apic_take(0), 0x53);
	apic_set(0, EOI, 0);
	assert_true(apic_put_msr(0, DEADLINE, UINT64_MAX));
	apic_pass(1ull << 40);
	assert_int_equal(apic_take(0), -1);
	apic_set(0, LVT_TIMER, 0x53); /* leaving the mode disarms */
	assert_int_equal(apic_msr(0, DEADLINE), 0);
}

static void each_cpu_has_its_timer(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CPUS; i++) {
		apic_set(i, LVT_TIMER, 0x60 + i);
		apic_set(i, DIVIDE, BY_1);
		apic_set(i, INITIAL, 1000 * (CPUS - i));
	}
	for (unsigned i = CPUS; i-- > 0;) {
		apic_pass(1000);
		assert_int_equal(apic_take(i), 0x60 + i);
		if (i)
			assert_int_equal(apic_take(i - 1), -1);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, apic_setup, apic_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(one_shot_counts_down_once),
	    TEST(every_divisor_divides),
	    TEST(periodic_begins_again_and_keeps_its_phase),
	    TEST(a_changed_divisor_leaves_the_count),
	    TEST(tsc_deadline_fires_once_and_follows_the_tsc),
	    TEST(each_cpu_has_its_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
