/* Local APICs: destinations of signals and messages, and the PIC behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/env.h"
#include "core/irq.h"
#include "tests/lapic_fixture.h"

/* --- Destinations --------------------------------------------------------------------------------------------------
 */

/* Bit n: CPU n got the vector. */
static unsigned who(uint8_t vector)
{
	unsigned got = 0;

	for (unsigned i = 0; i < CPUS; i++) {
		int v = apic_take(i);

		if (v == vector)
			got |= 1u << i;
		else
			assert_int_equal(v, -1);
		if (v >= 0)
			apic_set(i, EOI, 0);
	}
	return got;
}

static void physical_destinations_and_shorthands(void **state)
{
	(void)state;
	apic_ipi(0, 2, 0x4041);
	assert_int_equal(who(0x41), 4);
	apic_ipi(0, 0xff, 0x4041);
	assert_int_equal(who(0x41), 7);
	apic_ipi(0, 9, 0x4041);
	assert_int_equal(who(0x41), 0);
	apic_ipi(1, 0, 0x44041);
	assert_int_equal(who(0x41), 2);
	apic_ipi(1, 0, 0x84041);
	assert_int_equal(who(0x41), 7);
	apic_ipi(1, 0, 0xc4041);
	assert_int_equal(who(0x41), 5);
	apic_set(2, ID, 9u << 24); /* an ID can be changed */
	apic_ipi(0, 9, 0x4041);
	assert_int_equal(who(0x41), 4);
}

static void logical_destinations_flat_and_cluster(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CPUS; i++)
		apic_set(i, LDR, 1u << (24 + i));
	apic_ipi(0, 5, 0x4841);
	assert_int_equal(who(0x41), 5);
	apic_ipi(0, 0xff, 0x4841);
	assert_int_equal(who(0x41), 7);
	apic_ipi(0, 0x30, 0x4841);
	assert_int_equal(who(0x41), 0);
	for (unsigned i = 0; i < CPUS; i++) {
		apic_set(i, DFR, 0x0fffffff);
		apic_set(i, LDR, (i == 2 ? 0x21u : 0x11u) << 24);
	}
	apic_set(1, LDR, 0x12u << 24);
	apic_ipi(0, 0x13, 0x4841);
	assert_int_equal(who(0x41), 3);
	apic_ipi(0, 0x23, 0x4841);
	assert_int_equal(who(0x41), 4);
	apic_ipi(0, 0xf1, 0x4841); /* all clusters */
	assert_int_equal(who(0x41), 5);
}

static void lowest_priority_takes_the_least_busy(void **state)
{
	(void)state;
	apic_set(0, TPR, 0x40);
	apic_set(1, TPR, 0x20);
	apic_set(2, TPR, 0x30);
	apic_send_all(0x91, 0xff, false, APIC_LOWEST);
	assert_int_equal(who(0x91), 2);
	apic_set(1, SVR, 0xff);
	apic_send_all(0x91, 0xff, false, APIC_LOWEST);
	assert_int_equal(who(0x91), 4);
}

static void signals_wait_for_the_loop(void **state)
{
	(void)state;
	apic_ipi(0, 1, 0x4400);
	assert_true(lapic_signals(apic_cpu(1)).nmi);
	apic_ipi(0, 1, 0x4500);
	assert_true(lapic_signals(apic_cpu(1)).init);
	apic_ipi(0, 1, 0x4612);
	assert_true(lapic_signals(apic_cpu(1)).startup);
	assert_int_equal(lapic_signals(apic_cpu(1)).vector, 0x12);
	apic_ipi(0, 2, 0x8500); /* level de-assert means nothing */
	assert_false(lapic_signals(apic_cpu(2)).init);
	/* The bootstrap CPU waits for nothing. */
	apic_ipi(1, 0, 0x4612);
	assert_false(lapic_signals(apic_cpu(0)).startup);
}

/* --- The PIC -------------------------------------------------------------------------------------------------------
 */

static void start_pic(void)
{
	static const uint8_t init[][2] = {{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xfe}};

	for (unsigned i = 0; i < ARRAY_LEN(init); i++)
		bus_pio_write(&apic_vm->bus, init[i][0], 1, init[i][1]);
}

static void the_pic_reaches_the_bootstrap_cpu_by_virtual_wire(void **state)
{
	(void)state;
	vm_destroy(apic_vm);
	apic_setup(state);
	start_pic();
	apic_set(0, LVT_LINT0, 0x700); /* as firmware leaves it */
	irq_set_line(apic_vm, 0, true);
	assert_int_equal(apic_take(1), -1);
	apic_set(0, TPR, 0xff); /* ExtINT has no priority */
	assert_int_equal(apic_take(0), 8);
	bus_pio_write(&apic_vm->bus, 0x20, 1, 0x20);
	irq_set_line(apic_vm, 0, false);
	apic_set(0, LVT_LINT0, MASKED | 0x700);
	irq_set_line(apic_vm, 0, true);
	assert_int_equal(apic_take(0), -1);
	assert_true(apic_put_msr(0, BASE, PAGE)); /* no APIC in between */
	assert_int_equal(apic_take(0), 8);
}

static void lint0_as_nmi_sees_edges(void **state)
{
	(void)state;
	start_pic();
	apic_set(1, LVT_LINT0, 0x400);
	irq_set_line(apic_vm, 0, true);
	assert_true(lapic_signals(apic_cpu(1)).nmi);
	lapic_nmi_taken(apic_cpu(1));
	irq_set_line(apic_vm, 0, true);
	assert_false(lapic_signals(apic_cpu(1)).nmi);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, apic_setup, apic_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(physical_destinations_and_shorthands),
	    TEST(logical_destinations_flat_and_cluster),
	    TEST(lowest_priority_takes_the_least_busy),
	    TEST(signals_wait_for_the_loop),
	    TEST(the_pic_reaches_the_bootstrap_cpu_by_virtual_wire),
	    TEST(lint0_as_nmi_sees_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
