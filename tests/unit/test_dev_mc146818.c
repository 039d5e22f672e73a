/*
 * The real-time clock: date arithmetic against a plain calendar, update cycle, alarm, periodic interrupt, memory.
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

#define S 1000000000ull

static uint8_t rd(uint8_t index)
{
	dev_out(&f, 0x70, index);
	return dev_in(&f, 0x71);
}

static void wr(uint8_t index, uint8_t v)
{
	dev_out(&f, 0x70, index);
	dev_out(&f, 0x71, v);
}

static void set_time(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s)
{
	wr(0x0b, 0x86); /* SET, binary, 24 hours */
	wr(0, (uint8_t)s);
	wr(2, (uint8_t)mi);
	wr(4, (uint8_t)h);
	wr(7, (uint8_t)d);
	wr(8, (uint8_t)mo);
	wr(9, (uint8_t)y);
	wr(0x0b, 0x06);
}

static void assert_time(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s)
{
	char want[40], got[40];

	snprintf(want, sizeof(want), "%02u-%02u-%02u %02u:%02u:%02u", y, mo, d, h, mi, s);
	snprintf(got, sizeof(got), "%02u-%02u-%02u %02u:%02u:%02u", rd(9), rd(8), rd(7), rd(4), rd(2), rd(0));
	assert_string_equal(got, want);
}

static void it_starts_on_monday_2024_01_01_in_bcd(void **state)
{
	static const uint8_t want[10] = {0x00, 0, 0x00, 0, 0x00, 0, 0x02, 0x01, 0x01, 0x24};

	(void)state;
	for (uint8_t i = 0; i < 10; i++)
		assert_int_equal(rd(i), want[i]);
	assert_int_equal(rd(0x0a) & 0x7f, 0x26);
	assert_int_equal(rd(0x0b), 0x02);
	assert_int_equal(rd(0x0d), 0x80);
	assert_int_equal(rd(0x32), 0x20);
}

static void it_runs_in_bcd_over_the_leap_day(void **state)
{
	(void)state;
	dev_pass(&f, (31 + 28) * 86400 * S + 13 * 3600 * S + 59 * S);
	assert_int_equal(rd(0), 0x59);
	assert_int_equal(rd(2), 0x00);
	assert_int_equal(rd(4), 0x13);
	assert_int_equal(rd(7), 0x29);
	assert_int_equal(rd(8), 0x02);
	assert_int_equal(rd(6), 5); /* Thursday */
}

static void twelve_hours_have_noon_and_midnight(void **state)
{
	static const uint8_t want[24] = {0x12, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11, 0x92,
	    0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91};

	(void)state;
	wr(0x0b, 0x00);
	wr(4, 0x12);
	for (unsigned h = 0; h < 24; h++) {
		assert_int_equal(rd(4), want[h]);
		dev_pass(&f, 3600 * S);
	}
	assert_int_equal(rd(7), 0x02);
}

static void any_jump_equals_a_plain_calendar(void **state)
{
	unsigned y = 23, mo = 11, d = 17, h = 5, mi = 58, s = 30;
	uint32_t seed = 1;

	(void)state;
	set_time(y, mo, d, h, mi, s);
	for (unsigned i = 0; i < 300; i++) {
		uint32_t r = dev_random(&seed);
		uint64_t n = r % 3 == 0 ? r / 3 % 100 : r % 3 == 1 ? r / 3 % 100000 : r / 3 % 5000000;

		dev_pass(&f, n * S);
		for (uint64_t k = 0; k < n; k++) {
			static const unsigned days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

			if (++s < 60)
				continue;
			s = 0;
			if (++mi < 60)
				continue;
			mi = 0;
			if (++h < 24)
				continue;
			h = 0;
			if (++d <= days[mo] + (mo == 2 && y % 4 == 0))
				continue;
			d = 1;
			if (++mo <= 12)
				continue;
			mo = 1;
			y = (y + 1) % 100;
		}
		assert_time(y, mo, d, h, mi, s);
	}
}

static void the_century_of_two_digits_wraps(void **state)
{
	(void)state;
	set_time(99, 12, 31, 23, 59, 59);
	dev_pass(&f, S);
	assert_time(0, 1, 1, 0, 0, 0);
}

static void uip_announces_an_update_early_enough(void **state)
{
	(void)state;
	dev_pass(&f, S - 2228000 - 1000);
	assert_int_equal(rd(0x0a) & 0x80, 0);
	dev_pass(&f, 2000);
	assert_int_equal(rd(0x0a) & 0x80, 0x80);
	assert_int_equal(rd(0), 0x00);
	dev_pass(&f, 2228000);
	assert_int_equal(rd(0x0a) & 0x80, 0);
	assert_int_equal(rd(0), 0x01);
	wr(0x0b, 0x82); /* with SET there is no update */
	dev_pass(&f, S - 1000000);
	assert_int_equal(rd(0x0a) & 0x80, 0);
}

static void set_stops_the_calendar_but_not_the_divider(void **state)
{
	(void)state;
	dev_pass(&f, S / 2);
	wr(0x0b, 0x82);
	dev_pass(&f, 10 * S);
	assert_int_equal(rd(0), 0x00);
	wr(0x0b, 0x02);
	dev_pass(&f, S / 2 + 1);
	assert_int_equal(rd(0), 0x01);
}

static void releasing_the_divider_gives_the_first_update_after_half_a_second(void **state)
{
	(void)state;
	wr(0x0a, 0x76);
	dev_pass(&f, 7 * S);
	assert_int_equal(rd(0), 0x00);
	wr(0x0a, 0x26);
	dev_pass(&f, S / 2 - 1);
	assert_int_equal(rd(0), 0x00);
	dev_pass(&f, 1);
	assert_int_equal(rd(0), 0x01);
}

static void the_update_interrupt_comes_every_second_and_reading_c_ends_it(void **state)
{
	(void)state;
	dev_init_pic(&f);
	wr(0x0b, 0x12);
	for (unsigned i = 0; i < 3; i++) {
		dev_pass(&f, S - 1);
		assert_int_equal(dev_take_irq(&f), -1);
		dev_pass(&f, 1);
		assert_int_equal(dev_take_irq(&f), 0x70);
		assert_int_equal(rd(0x0c) & 0x90, 0x90);
		assert_int_equal(rd(0x0c), 0);
	}
	dev_pass(&f, 5 * S); /* not read: the line stays, there is no further edge */
	assert_int_equal(dev_take_irq(&f), 0x70);
	assert_int_equal(dev_take_irq(&f), -1);
}

static void periodic_rates_are_those_of_the_data_sheet(void **state)
{
	static const uint32_t hz[16] = {0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2};

	(void)state;
	dev_init_pic(&f);
	for (uint8_t rate = 1; rate < 16; rate++) {
		unsigned n = 0;
		uint64_t end;

		wr(0x0a, 0x70);
		wr(0x0a, 0x20 | rate);
		wr(0x0b, 0x42);
		rd(0x0c);
		end = dev_now(&f) + S;
		while (clock_next_deadline(&f.vm.clock) <= end) {
			dev_pass_to(&f, clock_next_deadline(&f.vm.clock));
			assert_int_equal(dev_take_irq(&f), 0x70);
			assert_int_equal(rd(0x0c) & 0xc0, 0xc0);
			n++;
		}
		assert_int_equal(n, hz[rate]);
	}
	wr(0x0a, 0x20);
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
}

static void the_periodic_flag_is_set_without_its_interrupt(void **state)
{
	(void)state;
	dev_pass(&f, 1000000);
	assert_int_equal(rd(0x0c), 0x40);
	assert_int_equal(rd(0x0c), 0x00);
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
}

static void the_alarm_matches_its_time_and_ff_matches_all(void **state)
{
	static const struct {
		uint8_t h, m, s;
		unsigned seconds; /* from 00:00:00; 0: never */
	} row[] = {{0x00, 0x00, 0x01, 1}, {0x00, 0x01, 0x00, 60}, {0x23, 0x59, 0x59, 86399}, {0x00, 0x00, 0x00, 86400},
	    {0xff, 0x00, 0x00, 3600}, {0xff, 0xff, 0x30, 30}, {0xff, 0xff, 0xff, 1}, {0x07, 0xc0, 0x05, 7 * 3600 + 5},
	    {0x24, 0x00, 0x00, 0}, {0x00, 0x00, 0x61, 0}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		dev_close(&f);
		dev_open(&f, 2 << 20);
		dev_init_pic(&f);
		wr(1, row[i].s);
		wr(3, row[i].m);
		wr(5, row[i].h);
		wr(0x0b, 0x22);
		if (row[i].seconds == 0) {
			assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
			continue;
		}
		dev_pass(&f, row[i].seconds * S - 1);
		assert_int_equal(dev_take_irq(&f), -1);
		dev_pass(&f, 1);
		assert_int_equal(dev_take_irq(&f), 0x70);
		assert_int_equal(rd(0x0c) & 0xb0, 0xb0);
	}
}

static void the_alarm_flag_is_found_in_a_long_jump(void **state)
{
	(void)state;
	wr(1, 0x00);
	wr(3, 0x30);
	wr(5, 0x12);
	rd(0x0c);
	dev_pass(&f, 12 * 3600 * S);
	assert_int_equal(rd(0x0c) & 0x20, 0);
	dev_pass(&f, 3600 * S);
	assert_int_equal(rd(0x0c) & 0x20, 0x20);
}

static void read_only_bits_stay(void **state)
{
	(void)state;
	wr(0x0d, 0x00);
	assert_int_equal(rd(0x0d), 0x80);
	wr(0x0c, 0xff);
	assert_int_equal(rd(0x0c), 0x00);
	wr(0x0a, 0xa6);
	assert_int_equal(rd(0x0a), 0x26);
	assert_int_equal(dev_in(&f, 0x70), 0xff);
	wr(0x8e, 0x5a); /* bit 7 of the index is the NMI mask */
	assert_int_equal(rd(0x0e), 0x5a);
	wr(0x0b, 0x92); /* SET clears the update interrupt enable */
	assert_int_equal(rd(0x0b), 0x82);
}

static void a_reset_clears_interrupts_and_keeps_time_and_memory(void **state)
{
	(void)state;
	wr(0x40, 0x77);
	wr(0x0b, 0x72);
	dev_pass(&f, 100 * S);
	machine_reset(&f.vm);
	assert_int_equal(rd(0x40), 0x77);
	assert_int_equal(rd(0), 0x40);
	assert_int_equal(rd(0x0b), 0x02);
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
}

static void the_memory_bytes_tell_the_size(void **state)
{
	static const struct {
		uint64_t mib;
		unsigned ext_kib, above16, high;
	} row[] = {{1, 0, 0, 0}, {2, 1024, 0, 0}, {64, 63 * 1024, 768, 0}, {128, 0xffff, 1792, 0}};
	unsigned sum = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		dev_close(&f);
		dev_open(&f, row[i].mib << 20);
		assert_int_equal(rd(0x15) | rd(0x16) << 8, 640);
		assert_int_equal(rd(0x17) | rd(0x18) << 8, row[i].ext_kib);
		assert_int_equal(rd(0x30) | rd(0x31) << 8, row[i].ext_kib);
		assert_int_equal(rd(0x34) | rd(0x35) << 8, row[i].above16);
		assert_int_equal(rd(0x5b) | rd(0x5c) << 8 | rd(0x5d) << 16, row[i].high);
	}
	for (uint8_t i = 0x10; i < 0x2e; i++)
		sum += rd(i);
	assert_int_equal(rd(0x2e) << 8 | rd(0x2f), sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(it_starts_on_monday_2024_01_01_in_bcd, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_runs_in_bcd_over_the_leap_day, setup, teardown),
	    cmocka_unit_test_setup_teardown(twelve_hours_have_noon_and_midnight, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_jump_equals_a_plain_calendar, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_century_of_two_digits_wraps, setup, teardown),
	    cmocka_unit_test_setup_teardown(uip_announces_an_update_early_enough, setup, teardown),
	    cmocka_unit_test_setup_teardown(set_stops_the_calendar_but_not_the_divider, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		releasing_the_divider_gives_the_first_update_after_half_a_second, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_update_interrupt_comes_every_second_and_reading_c_ends_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(periodic_rates_are_those_of_the_data_sheet, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_periodic_flag_is_set_without_its_interrupt, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_alarm_matches_its_time_and_ff_matches_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_alarm_flag_is_found_in_a_long_jump, setup, teardown),
	    cmocka_unit_test_setup_teardown(read_only_bits_stay, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_reset_clears_interrupts_and_keeps_time_and_memory, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_memory_bytes_tell_the_size, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
