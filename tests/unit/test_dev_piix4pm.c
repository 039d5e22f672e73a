/*
 * Power management: the ACPI timer, its interrupt, the movable block, and power-off.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/dev_fixture.h"

static struct dev_fixture f;

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	dev_open(&f, 2 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dev_close(&f);
	return 0;
}

#define HZ 3579545ull
#define S 1000000000ull

static void cfg(unsigned reg, uint32_t v)
{
	dev_outl(&f, 0xcf8, 0x80000b00u | reg);
	dev_outl(&f, 0xcfc, v);
}

static void out16(uint16_t port, uint16_t v)
{
	bus_pio_write(&f.vm.bus, port, 2, v);
}

static uint16_t in16(uint16_t port)
{
	return (uint16_t)bus_pio_read(&f.vm.bus, port, 2);
}

static void the_timer_counts_3579545_in_a_second_and_wraps_at_24_bits(void **state)
{
	(void)state;
	for (uint64_t s = 0; s < 100; s += 7) {
		dev_pass_to(&f, s * S);
		assert_int_equal(dev_inl(&f, 0x608), s * HZ % (1u << 24));
	}
	dev_outl(&f, 0x608, 0x123456); /* read-only */
	assert_int_equal(dev_inl(&f, 0x608), 98 * HZ % (1u << 24));
	assert_int_equal(dev_in(&f, 0x609), 98 * HZ % (1u << 24) >> 8 & 0xff);
}

static void an_hour_of_steps_is_an_hour(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3600 * 100; i++)
		dev_pass(&f, 10000000);
	assert_int_equal(dev_inl(&f, 0x608), 3600 * HZ % (1u << 24));
}

static void the_status_is_set_when_bit_23_changes_and_cleared_by_writing_one(void **state)
{
	const uint64_t half = ((1ull << 23) * S + HZ - 1) / HZ;

	(void)state;
	dev_pass_to(&f, half - 1);
	assert_int_equal(in16(0x600), 0);
	dev_pass_to(&f, half);
	assert_int_equal(in16(0x600), 1);
	out16(0x600, 0);
	assert_int_equal(in16(0x600), 1);
	out16(0x600, 1);
	assert_int_equal(in16(0x600), 0);
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER); /* nobody wants to know */
}

static void the_sci_needs_both_enables_and_lasts_until_cleared(void **state)
{
	(void)state;
	dev_init_pic(&f);
	dev_out(&f, 0x4d1, 0x02); /* IRQ 9 by level */
	out16(0x602, 1);
	dev_pass(&f, 3 * S);
	assert_int_equal(dev_take_irq(&f), -1);
	out16(0x604, 1);
	assert_int_equal(dev_take_irq(&f), 0x71);
	assert_int_equal(dev_take_irq(&f), 0x71);
	out16(0x600, 1);
	assert_int_equal(dev_take_irq(&f), -1);
	dev_pass(&f, 3 * S);
	assert_int_equal(dev_take_irq(&f), 0x71);
}

static void apm_commands_switch_acpi_mode(void **state)
{
	(void)state;
	dev_out(&f, 0xb2, 0xf1);
	assert_int_equal(in16(0x604) & 1, 1);
	dev_out(&f, 0xb2, 0xf0);
	assert_int_equal(in16(0x604) & 1, 0);
	dev_out(&f, 0xb3, 0x42);
	assert_int_equal(dev_in(&f, 0xb2), 0xf0);
	assert_int_equal(dev_in(&f, 0xb3), 0x42);
	assert_int_equal(in16(0x604) & 1, 0);
}

static void firmware_finds_smm_set_up(void **state)
{
	(void)state;
	dev_outl(&f, 0xcf8, 0x80000b58u);
	assert_int_equal(dev_inl(&f, 0xcfc), 0x02000000);
}

static void sleep_type_0_switches_off_and_the_others_do_nothing(void **state)
{
	(void)state;
	out16(0x604, 0x0001);
	out16(0x604, 0x2401); /* type 1 */
	out16(0x604, 0x0001);
	assert_false(f.vm.ended);
	assert_int_equal(in16(0x604), 0x0001); /* the sleep bit reads as zero */
	out16(0x604, 0x2001);
	assert_true(f.vm.ended);
	assert_int_equal(f.vm.end.kind, END_POWEROFF);
}

static void a_wider_or_narrower_write_switches_off_too(void **state)
{
	static const struct {
		uint16_t port;
		unsigned size;
		uint32_t value;
	} row[] = {{0x604, 4, 0x2000}, {0x605, 1, 0x20}, {0x604, 2, 0x2000}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		dev_close(&f);
		dev_open(&f, 2 << 20);
		bus_pio_write(&f.vm.bus, row[i].port, row[i].size, row[i].value);
		assert_int_equal(f.vm.end.kind, END_POWEROFF);
	}
	dev_close(&f);
	dev_open(&f, 2 << 20);
	dev_out(&f, 0x604, 0x20); /* bit 5 is not bit 13 */
	assert_false(f.vm.ended);
}

static void the_block_goes_where_pmbase_says(void **state)
{
	(void)state;
	dev_pass(&f, S);
	cfg(0x40, 0xb001);
	assert_int_equal(dev_inl(&f, 0x608), 0xffffffffu);
	assert_int_equal(dev_inl(&f, 0xb008), HZ);
	cfg(0x80, 0);
	assert_int_equal(dev_inl(&f, 0xb008), 0xffffffffu);
	cfg(0x80, 1);
	assert_int_equal(dev_inl(&f, 0xb008), HZ);
	cfg(0x40, 0x03c1); /* onto the VGA: refused, it is nowhere */
	assert_int_equal(dev_inl(&f, 0xb008), 0xffffffffu);
	assert_int_equal(dev_in(&f, 0x3cc), 0x67);
	machine_reset(&f.vm);
	assert_int_not_equal(dev_inl(&f, 0x608), 0xffffffffu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_timer_counts_3579545_in_a_second_and_wraps_at_24_bits, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_hour_of_steps_is_an_hour, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_status_is_set_when_bit_23_changes_and_cleared_by_writing_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_sci_needs_both_enables_and_lasts_until_cleared, setup, teardown),
	    cmocka_unit_test_setup_teardown(apm_commands_switch_acpi_mode, setup, teardown),
	    cmocka_unit_test_setup_teardown(firmware_finds_smm_set_up, setup, teardown),
	    cmocka_unit_test_setup_teardown(sleep_type_0_switches_off_and_the_others_do_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_wider_or_narrower_write_switches_off_too, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_block_goes_where_pmbase_says, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
