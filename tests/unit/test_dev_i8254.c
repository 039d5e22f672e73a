/*
 * The interval timer: the counter's closed form against a model that does one tick at a time, then the device.
 */
#include "core/dev/i8254.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/dev_fixture.h"

#define HZ 1193182ull

/* --- A naive 8254 counter: every rule of the data sheet, one CLK pulse at a time ------------------------------------
 */

struct naive {
	unsigned mode, modulus, ce, cr;
	bool gate, out, null, have, load, armed, odd, held, written, strobe;
};

static void naive_control(struct naive *n, unsigned mode, bool bcd)
{
	n->mode = mode;
	n->modulus = bcd ? 10000 : 65536;
	n->ce %= n->modulus;
	n->cr %= n->modulus;
	n->out = mode != 0;
	n->null = true;
	n->have = n->load = n->armed = n->odd = n->held = n->written = n->strobe = false;
}

static void naive_write(struct naive *n, unsigned v, bool half)
{
	if (n->mode == 0) {
		n->out = false;
		n->held = half;
	}
	if (half)
		return;
	n->cr = v;
	n->null = n->written = true;
	if (n->mode == 0 || n->mode == 4 || ((n->mode == 2 || n->mode == 3) && !n->have))
		n->load = true;
}

static void naive_gate(struct naive *n, bool gate)
{
	if (!gate && (n->mode == 2 || n->mode == 3))
		n->out = true;
	if (gate && !n->gate && n->written && n->mode != 0 && n->mode != 4)
		n->load = true;
	n->gate = gate;
}

static void naive_take(struct naive *n)
{
	n->ce = n->cr;
	n->null = false;
	n->have = true;
	n->odd = n->cr % 2;
	if (n->mode == 3 && n->odd && n->cr != 1)
		n->ce--;
}

static void naive_down(struct naive *n, unsigned by)
{
	n->ce = (n->ce + n->modulus - by) % n->modulus;
}

static void naive_tick(struct naive *n)
{
	bool was_strobe = n->strobe;

	if (was_strobe) { /* a strobe lasts one tick, whatever else happens */
		n->strobe = false;
		n->out = true;
	}
	if (n->load) {
		n->load = false;
		naive_take(n);
		n->armed = true;
		n->out = n->mode >= 2;
		return;
	}
	if (!n->have || n->held)
		return;
	if (!n->gate && n->mode != 1 && n->mode != 5)
		return;
	switch (n->mode) {
	case 2:
		if (n->cr == 1 && n->ce == 1 && n->out)
			return;
		if (n->ce == 1) {
			naive_take(n);
			n->out = true;
		} else {
			naive_down(n, 1);
			n->out = n->ce != 1;
		}
		return;
	case 3:
		if (n->cr == 1 && n->ce == 1 && n->out)
			return;
		if (n->odd && n->out ? n->ce <= 1 /* 1: the illegal count */ : n->ce == 2) {
			naive_take(n);
			n->out = !n->out || n->cr == 1;
		} else {
			naive_down(n, 2);
		}
		return;
	default:
		naive_down(n, 1);
		if (n->ce != 0 || !n->armed)
			return;
		n->armed = false;
		n->out = n->mode < 4;
		n->strobe = n->mode >= 4;
		return;
	}
}

static void assert_same(const struct i8254_counter *c, const struct naive *n, unsigned step)
{
	if (c->count != n->ce || c->out != n->out || c->null_count != n->null)
		fail_msg("step %u, mode %u, reload %u: count %u, out %u, null %u; the model has %u, %u, %u", step,
		    c->mode, c->reload, c->count, c->out, c->null_count, n->ce, n->out, n->null);
}

static unsigned some_count(uint32_t *seed, unsigned modulus)
{
	uint32_t r = dev_random(seed);

	return r % 4 ? r / 4 % 12 : r / 4 % modulus;
}

static void the_counter_in_closed_form_equals_a_model_tick_by_tick(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 6; mode++) {
		for (unsigned bcd = 0; bcd < 2; bcd++) {
			struct i8254_counter c = {.gate = 1};
			struct naive n = {.gate = true};
			uint32_t seed = mode * 2 + bcd + 1;
			uint64_t t = 0;

			i8254_control(&c, mode, 3, bcd);
			naive_control(&n, mode, bcd);
			for (unsigned step = 0; step < 4000; step++) {
				uint32_t r = dev_random(&seed);
				unsigned ticks = r % 5 == 0 ? r / 5 % 70000 % (step % 50 ? 40 : 70000) : r / 5 % 9;

				for (unsigned i = 0; i < ticks; i++)
					naive_tick(&n);
				t += ticks;
				i8254_advance(&c, t);
				assert_same(&c, &n, step);
				r = dev_random(&seed);
				if (r % 8 == 0) {
					bool gate = !n.gate;

					i8254_set_gate(&c, gate);
					naive_gate(&n, gate);
				} else if (r % 8 == 1) {
					unsigned v = some_count(&seed, n.modulus);
					bool half = r & 0x100;

					/* the value as the guest writes it */
					i8254_set_count(&c,
					    (uint16_t)(bcd ? v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 |
								 v % 10
							   : v),
					    half);
					naive_write(&n, v, half);
				}
				assert_same(&c, &n, step);
			}
		}
	}
}

static void the_next_rising_edge_is_predicted_exactly(void **state)
{
	(void)state;
	for (unsigned mode = 0; mode < 6; mode++) {
		uint32_t seed = 77 + mode;

		for (unsigned round = 0; round < 600; round++) {
			struct i8254_counter c = {.gate = 1};
			struct naive n = {.gate = true};
			unsigned before = dev_random(&seed) % 40, v = dev_random(&seed) % 30, t;
			uint64_t rise;

			i8254_control(&c, mode, 3, false);
			naive_control(&n, mode, false);
			i8254_set_count(&c, (uint16_t)v, false);
			naive_write(&n, v, false);
			if (mode == 1 || mode == 5)
				for (unsigned g = 0; g < 2; g++) {
					i8254_set_gate(&c, g);
					naive_gate(&n, g);
				}
			for (t = 0; t < before; t++)
				naive_tick(&n);
			i8254_advance(&c, t);
			rise = i8254_next_rise(&c);
			for (; t < 70000; t++) {
				bool low = !n.out;

				naive_tick(&n);
				if (low && n.out)
					break;
			}
			if (t < 70000 || v != 0 || mode != 3)
				assert_int_equal(t < 70000 ? t + 1 : UINT64_MAX, rise);
		}
	}
}

/* --- The device ------------------------------------------------------------------------------------------------------
 */

static struct dev_fixture f;

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	dev_open(&f, 2 << 20);
	dev_init_pic(&f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dev_close(&f);
	return 0;
}

static void program(unsigned channel, unsigned control, unsigned count)
{
	dev_out(&f, 0x43, (uint8_t)(channel << 6 | control));
	dev_out(&f, (uint16_t)(0x40 + channel), (uint8_t)count);
	dev_out(&f, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static void nothing_ticks_before_it_is_programmed(void **state)
{
	(void)state;
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
	dev_pass(&f, 10000000000ull);
	assert_int_equal(dev_take_irq(&f), -1);
}

static void a_rate_of_100_hz_gives_exactly_the_ticks_of_an_hour(void **state)
{
	unsigned irqs = 0;
	uint64_t end;

	(void)state;
	program(0, 0x34, 11932);
	end = dev_now(&f) + 3600ull * 1000000000ull;
	while (clock_next_deadline(&f.vm.clock) <= end) {
		dev_pass_to(&f, clock_next_deadline(&f.vm.clock));
		assert_int_equal(dev_take_irq(&f), 0x08);
		irqs++;
	}
	/* no drift: the number of whole periods in the ticks of an hour, the first one loaded one tick late */
	assert_int_equal(irqs, (3600ull * HZ - 1) / 11932);
}

static void each_edge_comes_at_the_first_nanosecond_of_its_tick(void **state)
{
	(void)state;
	program(0, 0x34, 1000);
	for (unsigned i = 1; i < 50; i++) {
		uint64_t tick = 1 + 1000ull * i, ns = (tick * 1000000000ull + HZ - 1) / HZ;

		assert_int_equal(clock_next_deadline(&f.vm.clock), ns);
		dev_pass_to(&f, ns);
	}
}

static void mode_0_interrupts_once(void **state)
{
	(void)state;
	program(0, 0x30, 100);
	dev_pass(&f, 101 * 1000000000ull / HZ);
	assert_int_equal(dev_take_irq(&f), -1);
	dev_pass(&f, 2000);
	assert_int_equal(dev_take_irq(&f), 0x08);
	dev_pass(&f, 1000000000ull);
	assert_int_equal(dev_take_irq(&f), -1);
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
}

static void a_latched_count_stays_until_both_bytes_are_read(void **state)
{
	unsigned first;

	(void)state;
	program(0, 0x34, 50000);
	dev_pass(&f, 5000000);
	dev_out(&f, 0x43, 0x00);
	dev_pass(&f, 5000000);
	dev_out(&f, 0x43, 0x00); /* a second latch changes nothing */
	first = dev_in(&f, 0x40);
	first |= (unsigned)dev_in(&f, 0x40) << 8;
	assert_int_equal(first, 50000 - (5000000ull * HZ / 1000000000ull - 1));
	first = dev_in(&f, 0x40);
	first |= (unsigned)dev_in(&f, 0x40) << 8;
	assert_int_equal(first, 50000 - (10000000ull * HZ / 1000000000ull - 1));
}

static void read_back_gives_status_before_count(void **state)
{
	unsigned count;

	(void)state;
	program(2, 0xb6 & 0x3f, 4000);
	dev_out(&f, 0x61, 1);
	dev_pass(&f, 10000);
	dev_out(&f, 0x43, 0xc8);				  /* count and status of counter 2 */
	assert_int_equal(dev_in(&f, 0x42), 0x80 | 0x30 | 3 << 1); /* OUT high, loaded, two bytes, mode 3 */
	count = dev_in(&f, 0x42);
	count |= (unsigned)dev_in(&f, 0x42) << 8;
	assert_int_equal(count, 4000 - 2 * (10000ull * HZ / 1000000000ull - 1));
}

static void a_count_not_loaded_yet_is_shown_as_null(void **state)
{
	(void)state;
	program(2, 0x36, 4000);
	dev_out(&f, 0x43, 0xe8);
	assert_int_equal(dev_in(&f, 0x42) & 0x40, 0x40);
	dev_pass(&f, 2000);
	dev_out(&f, 0x43, 0xe8);
	assert_int_equal(dev_in(&f, 0x42) & 0x40, 0);
}

static void bcd_counts_decimal(void **state)
{
	(void)state;
	program(0, 0x35, 0x1000);
	dev_pass(&f, 2000000); /* 2386 ticks, the first loads */
	dev_out(&f, 0x43, 0x00);
	assert_int_equal(dev_in(&f, 0x40), 0x15);
	assert_int_equal(dev_in(&f, 0x40), 0x06); /* 1000 - 2385 % 1000 = 615 */
}

static void port_61_shows_gate_speaker_output_and_refresh(void **state)
{
	unsigned toggles = 0;
	uint8_t last;

	(void)state;
	dev_out(&f, 0x61, 0xf3);
	assert_int_equal(dev_in(&f, 0x61) & 0xcf, 0x03);
	program(2, 0x30, 1000);
	assert_int_equal(dev_in(&f, 0x61) & 0x20, 0);
	dev_out(&f, 0x61, 0x02); /* gate low: counting stops */
	dev_pass(&f, 10000000);
	assert_int_equal(dev_in(&f, 0x61) & 0x20, 0);
	dev_out(&f, 0x61, 0x03);
	dev_pass(&f, 1000000);
	assert_int_equal(dev_in(&f, 0x61) & 0x20, 0x20);
	last = dev_in(&f, 0x61);
	for (unsigned i = 0; i < 1000; i++) {
		dev_pass(&f, 1000);
		toggles += (last ^ dev_in(&f, 0x61)) >> 4 & 1;
		last = dev_in(&f, 0x61);
	}
	assert_in_range(toggles, 65, 67); /* every 15.085 us */
}

static void ticks_missed_on_a_late_host_become_one(void **state)
{
	(void)state;
	program(0, 0x34, 1193);
	f.vm.clock.skipped_ns += 1000000000; /* nobody ran the timers for a second */
	clock_run_due(&f.vm.clock);
	assert_int_equal(dev_take_irq(&f), 0x08);
	assert_int_equal(dev_take_irq(&f), -1);
	assert_true(clock_next_deadline(&f.vm.clock) > dev_now(&f));
	assert_true(clock_next_deadline(&f.vm.clock) <= dev_now(&f) + 1000000);
}

static void a_count_written_in_mode_2_takes_effect_after_the_period(void **state)
{
	uint64_t first;

	(void)state;
	program(0, 0x34, 2000);
	dev_pass(&f, 100000);
	first = clock_next_deadline(&f.vm.clock);
	dev_out(&f, 0x40, 500 & 0xff);
	dev_out(&f, 0x40, 500 >> 8);
	assert_int_equal(clock_next_deadline(&f.vm.clock), first);
	dev_pass_to(&f, first);
	assert_in_range(
	    clock_next_deadline(&f.vm.clock) - first, 500 * 1000000000ull / HZ - 1, 500 * 1000000000ull / HZ + 1);
}

static uint64_t ns_of_tick(uint64_t tick)
{
	return (tick * 1000000000ull + HZ - 1) / HZ;
}

/* One interrupt at each deadline, which is an edge; how many ticks apart they are. */
static uint64_t ticks_between_interrupts(unsigned control, unsigned count)
{
	uint64_t start, step = 0;

	program(0, control, count);
	start = dev_now(&f) * HZ / 1000000000ull + 1; /* loaded */
	for (uint64_t k = 1; k < 20; k++) {
		uint64_t at = clock_next_deadline(&f.vm.clock);

		if (k == 1)
			step = at * HZ / 1000000000ull - start;
		assert_int_equal(step % count, 0);
		assert_int_equal(at, ns_of_tick(start + k * step));
		fake_host.now_ns = at;
		clock_run_due(&f.vm.clock);
		assert_int_equal(dev_take_irq(&f), 0x08);
		assert_int_equal(dev_take_irq(&f), -1);
		dev_out(&f, 0x43, 0x00); /* the counter itself counts as it was told */
		uint64_t low = dev_in(&f, 0x40);
		assert_int_equal(low | (uint64_t)dev_in(&f, 0x40) << 8, count);
	}
	return step;
}

static void on_host_time_a_short_period_interrupts_seldom_and_in_phase(void **state)
{
	static const struct {
		unsigned count, ticks; /* 200 us: 238.6 ticks */
	} row[] = {{2, 240}, {3, 240}, {100, 300}, {119, 357}, {120, 240}, {238, 476}, {239, 239}, {1193, 1193}};

	(void)state;
	f.vm.clock.kind = CLOCK_HOST;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++)
		assert_int_equal(ticks_between_interrupts(0x34, row[i].count), row[i].ticks);
	assert_int_equal(ticks_between_interrupts(0x36, 4), 240);
	program(0, 0x30, 10); /* what happens once happens in time */
	assert_true(clock_next_deadline(&f.vm.clock) <= dev_now(&f) + 12 * 1000000000ull / HZ);
}

static void on_virtual_time_each_period_interrupts(void **state)
{
	(void)state;
	program(0, 0x34, 2);
	for (unsigned k = 1; k < 20; k++) {
		assert_int_equal(clock_next_deadline(&f.vm.clock), ns_of_tick(1 + 2 * k));
		dev_pass_to(&f, clock_next_deadline(&f.vm.clock));
		assert_int_equal(dev_take_irq(&f), 0x08);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_counter_in_closed_form_equals_a_model_tick_by_tick),
	    cmocka_unit_test(the_next_rising_edge_is_predicted_exactly),
	    cmocka_unit_test_setup_teardown(nothing_ticks_before_it_is_programmed, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_rate_of_100_hz_gives_exactly_the_ticks_of_an_hour, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_edge_comes_at_the_first_nanosecond_of_its_tick, setup, teardown),
	    cmocka_unit_test_setup_teardown(mode_0_interrupts_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_latched_count_stays_until_both_bytes_are_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(read_back_gives_status_before_count, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_count_not_loaded_yet_is_shown_as_null, setup, teardown),
	    cmocka_unit_test_setup_teardown(bcd_counts_decimal, setup, teardown),
	    cmocka_unit_test_setup_teardown(port_61_shows_gate_speaker_output_and_refresh, setup, teardown),
	    cmocka_unit_test_setup_teardown(ticks_missed_on_a_late_host_become_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_count_written_in_mode_2_takes_effect_after_the_period, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		on_host_time_a_short_period_interrupts_seldom_and_in_phase, setup, teardown),
	    cmocka_unit_test_setup_teardown(on_virtual_time_each_period_interrupts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
