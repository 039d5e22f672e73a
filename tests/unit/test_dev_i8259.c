/*
 * The interrupt controllers: rule by rule, then against a naive model under random operations.
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

/* Initialises both, then masks nothing. */
static void init(uint8_t master_icw4, uint8_t slave_icw4)
{
	dev_out(&f, 0x20, 0x11);
	dev_out(&f, 0x21, 0x20);
	dev_out(&f, 0x21, 0x04);
	dev_out(&f, 0x21, master_icw4);
	dev_out(&f, 0xa0, 0x11);
	dev_out(&f, 0xa1, 0x28);
	dev_out(&f, 0xa1, 0x02);
	dev_out(&f, 0xa1, slave_icw4);
}

static void line(unsigned irq, bool level)
{
	irq_set_line(&f.vm, irq, level);
}

static void pulse(unsigned irq)
{
	line(irq, false);
	line(irq, true);
}

static int ack(void)
{
	return irq_pending(&f.vm) ? irq_ack(&f.vm) : -1;
}

static void nothing_interrupts_before_initialisation(void **state)
{
	(void)state;
	pulse(1);
	assert_false(irq_pending(&f.vm));
	dev_out(&f, 0x20, 0x11);
	dev_out(&f, 0x21, 0x20);
	pulse(1);
	assert_false(irq_pending(&f.vm));
}

static void the_vector_is_icw2_and_the_level(void **state)
{
	(void)state;
	init(1, 1);
	dev_out(&f, 0x20, 0x11);
	dev_out(&f, 0x21, 0x57); /* the low three bits do not count */
	dev_out(&f, 0x21, 0x04);
	dev_out(&f, 0x21, 0x01);
	pulse(5);
	assert_int_equal(ack(), 0x55);
}

static void without_icw4_two_or_three_words_complete_it(void **state)
{
	(void)state;
	dev_out(&f, 0x20, 0x10); /* cascade, no ICW4 */
	dev_out(&f, 0x21, 0x40);
	dev_out(&f, 0x21, 0x04);
	dev_out(&f, 0x21, 0xfe); /* now the mask */
	assert_int_equal(dev_in(&f, 0x21), 0xfe);
	dev_out(&f, 0x20, 0x12); /* single */
	dev_out(&f, 0x21, 0x40);
	dev_out(&f, 0x21, 0x7f);
	assert_int_equal(dev_in(&f, 0x21), 0x7f);
	pulse(7);
	assert_int_equal(ack(), 0x47);
}

static void a_lower_level_waits_for_the_eoi_of_a_higher_one(void **state)
{
	(void)state;
	init(1, 1);
	pulse(1);
	assert_int_equal(ack(), 0x21);
	pulse(3);
	assert_int_equal(ack(), -1);
	pulse(0); /* a higher one does not wait */
	assert_int_equal(ack(), 0x20);
	dev_out(&f, 0x20, 0x20); /* ends level 0 */
	assert_int_equal(ack(), -1);
	dev_out(&f, 0x20, 0x20); /* ends level 1 */
	assert_int_equal(ack(), 0x23);
}

static void an_edge_line_interrupts_once_and_must_fall_first(void **state)
{
	(void)state;
	init(1, 1);
	line(4, true);
	assert_int_equal(ack(), 0x24);
	dev_out(&f, 0x20, 0x20);
	assert_int_equal(ack(), -1);
	line(4, true);
	assert_int_equal(ack(), -1);
	pulse(4);
	assert_int_equal(ack(), 0x24);
}

static void a_level_line_interrupts_as_long_as_it_is_high(void **state)
{
	(void)state;
	dev_out(&f, 0x4d0, 0xff);
	dev_out(&f, 0x4d1, 0xff);
	assert_int_equal(dev_in(&f, 0x4d0), 0xf8);
	assert_int_equal(dev_in(&f, 0x4d1), 0xde);
	init(1, 1);
	line(5, true);
	line(10, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ack(), 0x2a);
		dev_out(&f, 0xa0, 0x20);
		dev_out(&f, 0x20, 0x20);
	}
	line(10, false);
	assert_int_equal(ack(), 0x25);
	line(5, false);
	dev_out(&f, 0x20, 0x20);
	assert_int_equal(ack(), -1);
}

static void a_request_that_falls_before_the_acknowledge_is_gone(void **state)
{
	(void)state;
	init(1, 1);
	line(3, true);
	assert_true(irq_pending(&f.vm));
	line(3, false);
	assert_false(irq_pending(&f.vm));
	assert_int_equal(irq_ack(&f.vm), 0x27); /* a CPU that acknowledges anyhow gets level 7 */
	dev_out(&f, 0x20, 0x0b);
	assert_int_equal(dev_in(&f, 0x20), 0); /* which is not in service */
}

static void a_slave_request_that_falls_takes_the_masters_with_it(void **state)
{
	(void)state;
	init(0x01, 0x01);
	line(9, true);
	line(9, false); /* the slave withdraws INT, and with it the master's request */
	assert_false(irq_pending(&f.vm));
	assert_int_equal(irq_ack(&f.vm), 0x27);
}

static void a_slave_request_that_is_polled_away_takes_the_masters_with_it(void **state)
{
	(void)state;
	init(0x01, 0x01);
	dev_out(&f, 0xa1, 0xff);
	line(9, true);
	dev_out(&f, 0xa1, 0xfd);
	assert_true(irq_pending(&f.vm));
	dev_out(&f, 0xa0, 0x0c); /* polled away between INT and INTA */
	dev_in(&f, 0xa0);
	assert_false(irq_pending(&f.vm));
	assert_int_equal(irq_ack(&f.vm), 0x27);
}

static void a_slave_interrupt_needs_two_eois(void **state)
{
	(void)state;
	init(1, 1);
	pulse(12);
	assert_int_equal(ack(), 0x2c);
	pulse(14);
	dev_out(&f, 0x20, 0x20);
	assert_int_equal(ack(), -1); /* the slave still serves level 4 */
	dev_out(&f, 0xa0, 0x20);
	assert_int_equal(ack(), 0x2e);
}

static void slave_levels_come_before_the_masters_level_3(void **state)
{
	(void)state;
	init(1, 1);
	pulse(3);
	pulse(15);
	pulse(8);
	pulse(1);
	assert_int_equal(dev_take_irq(&f), 0x21);
	assert_int_equal(ack(), 0x28);
	dev_out(&f, 0xa0, 0x20);
	dev_out(&f, 0x20, 0x20);
	assert_int_equal(ack(), 0x2f);
	dev_out(&f, 0xa0, 0x20);
	dev_out(&f, 0x20, 0x20);
	assert_int_equal(ack(), 0x23);
}

static void special_fully_nested_mode_lets_a_higher_slave_level_through(void **state)
{
	(void)state;
	init(0x01, 1);
	pulse(12);
	assert_int_equal(ack(), 0x2c);
	pulse(9);
	assert_int_equal(ack(), -1);
	init(0x11, 1);
	pulse(12);
	assert_int_equal(ack(), 0x2c);
	pulse(9);
	assert_int_equal(ack(), 0x29);
	pulse(4); /* but nothing behind the cascade */
	assert_int_equal(ack(), -1);
}

static void a_mask_hides_and_keeps_a_request(void **state)
{
	(void)state;
	init(1, 1);
	dev_out(&f, 0x21, 0x10);
	line(4, true);
	assert_int_equal(ack(), -1);
	dev_out(&f, 0x20, 0x0a);
	assert_int_equal(dev_in(&f, 0x20), 0x10);
	dev_out(&f, 0x21, 0x00);
	assert_int_equal(ack(), 0x24);
}

static void special_mask_mode_lets_lower_levels_through(void **state)
{
	(void)state;
	init(1, 1);
	pulse(1);
	assert_int_equal(ack(), 0x21);
	pulse(6);
	dev_out(&f, 0x21, 0x02);
	assert_int_equal(ack(), -1);
	dev_out(&f, 0x20, 0x68);
	assert_int_equal(ack(), 0x26);
	dev_out(&f, 0x20, 0x20); /* ends level 6: the masked one is protected */
	dev_out(&f, 0x20, 0x0b);
	assert_int_equal(dev_in(&f, 0x20), 0x02);
	dev_out(&f, 0x20, 0x61); /* a specific EOI does end it */
	assert_int_equal(dev_in(&f, 0x20), 0x00);
}

static void a_specific_eoi_ends_the_named_level(void **state)
{
	(void)state;
	init(1, 1);
	pulse(5);
	assert_int_equal(ack(), 0x25);
	pulse(1);
	assert_int_equal(ack(), 0x21);
	dev_out(&f, 0x20, 0x65);
	dev_out(&f, 0x20, 0x0b);
	assert_int_equal(dev_in(&f, 0x20), 0x02);
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
	(void)state;
	init(0x03, 0x03);
	pulse(6);
	pulse(9);
	pulse(11);
	assert_int_equal(ack(), 0x29);
	assert_int_equal(ack(), 0x2b);
	assert_int_equal(ack(), 0x26);
	dev_out(&f, 0x20, 0x0b);
	assert_int_equal(dev_in(&f, 0x20), 0);
	assert_int_equal(ack(), -1);
}

static void rotation_makes_the_served_level_the_lowest(void **state)
{
	(void)state;
	init(1, 1);
	pulse(4);
	assert_int_equal(ack(), 0x24);
	dev_out(&f, 0x20, 0xa0); /* rotate on non-specific EOI: now 5 is highest */
	pulse(4);
	pulse(6);
	assert_int_equal(ack(), 0x26);
	dev_out(&f, 0x20, 0xe6); /* rotate on specific EOI: now 7 */
	pulse(0);
	pulse(7);
	assert_int_equal(ack(), 0x27);
	dev_out(&f, 0x20, 0x20);
	dev_out(&f, 0x20, 0xc3); /* set priority: 3 is lowest, so 4 comes before 0 */
	assert_int_equal(ack(), 0x24);
}

static void rotation_on_automatic_eoi_is_switched(void **state)
{
	(void)state;
	init(3, 1);
	dev_out(&f, 0x20, 0x80);
	pulse(1);
	assert_int_equal(ack(), 0x21);
	pulse(1);
	pulse(5);
	assert_int_equal(ack(), 0x25);
	assert_int_equal(ack(), 0x21);
	dev_out(&f, 0x20, 0x00);
	pulse(0);
	assert_int_equal(ack(), 0x20);
	pulse(1);
	pulse(0); /* no rotation any more: 2 is first, then 3..7, 0, 1 */
	assert_int_equal(ack(), 0x20);
}

static void a_poll_is_an_acknowledge(void **state)
{
	(void)state;
	init(1, 1);
	dev_out(&f, 0x20, 0x0c);
	assert_int_equal(dev_in(&f, 0x20) & 0x80, 0);
	pulse(3);
	pulse(13);
	dev_out(&f, 0x20, 0x0c);
	assert_int_equal(dev_in(&f, 0x20), 0x82);
	dev_out(&f, 0xa0, 0x0c);
	assert_int_equal(dev_in(&f, 0xa0), 0x85);
	assert_int_equal(ack(), -1);
	dev_out(&f, 0xa0, 0x20);
	dev_out(&f, 0x20, 0x20);
	dev_out(&f, 0x20, 0x0c);
	assert_int_equal(dev_in(&f, 0x20), 0x83);
	assert_int_equal(dev_in(&f, 0x20), 0x00); /* the poll is over: this is IRR */
}

static void lines_2_and_16_do_not_exist(void **state)
{
	(void)state;
	init(1, 1);
	line(2, true);
	line(16, true);
	assert_false(irq_pending(&f.vm));
}

/* --- A naive model: priorities as an explicit list
 * --------------------------------------------------------------------- */

struct naive_chip {
	bool want[8], serving[8], masked[8], high[8], by_level[8];
	unsigned order[8]; /* first served first */
	bool special_mask, auto_eoi, rotate_auto;
};

static void naive_rotate(struct naive_chip *c, unsigned last)
{
	for (unsigned i = 0; i < 8; i++)
		c->order[i] = (last + 1 + i) % 8;
}

static int naive_request(const struct naive_chip *c)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned l = c->order[i];

		if (c->serving[l] && !(c->special_mask && c->masked[l]))
			return -1;
		if (c->want[l] && !c->masked[l])
			return (int)l;
	}
	return -1;
}

static void naive_line(struct naive_chip *c, unsigned l, bool high)
{
	if (!high)
		c->want[l] = false;
	else if (!c->high[l] || c->by_level[l])
		c->want[l] = true;
	c->high[l] = high;
}

static void naive_settle(struct naive_chip chip[2])
{
	for (unsigned n = 2; n-- > 0;) {
		for (unsigned l = 0; l < 8; l++)
			if (chip[n].by_level[l] && chip[n].high[l])
				chip[n].want[l] = true;
		if (n == 1)
			naive_line(&chip[0], 2, naive_request(&chip[1]) >= 0);
	}
}

static void naive_serve(struct naive_chip *c, unsigned l)
{
	c->want[l] = false;
	if (!c->auto_eoi)
		c->serving[l] = true;
	else if (c->rotate_auto)
		naive_rotate(c, l);
}

static int naive_ack(struct naive_chip chip[2])
{
	int l = naive_request(&chip[0]), sub;

	if (l < 0)
		return 0x27;
	naive_serve(&chip[0], (unsigned)l);
	if (l != 2)
		return 0x20 + l;
	sub = naive_request(&chip[1]);
	if (sub >= 0)
		naive_serve(&chip[1], (unsigned)sub);
	naive_line(&chip[0], 2, false);
	return 0x28 + (sub >= 0 ? sub : 7);
}

static void naive_ocw2(struct naive_chip *c, unsigned command, unsigned level)
{
	switch (command) {
	case 0:
	case 4:
		c->rotate_auto = command == 4;
		break;
	case 6:
		naive_rotate(c, level);
		break;
	case 1:
	case 5:
		for (unsigned i = 0; i < 8; i++) {
			unsigned l = c->order[i];

			if (c->serving[l] && !(c->special_mask && c->masked[l])) {
				c->serving[l] = false;
				if (command == 5)
					naive_rotate(c, l);
				break;
			}
		}
		break;
	case 3:
	case 7:
		c->serving[level] = false;
		if (command == 7)
			naive_rotate(c, level);
		break;
	default:
		break;
	}
}

static unsigned bits(const bool b[8])
{
	unsigned v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (unsigned)b[i] << i;
	return v;
}

static void random_operations_agree_with_a_naive_model(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct naive_chip chip[2] = {0};
		uint32_t seed = round + 1;
		uint8_t icw4[2];

		dev_close(&f);
		dev_open(&f, 2 << 20);
		for (unsigned n = 0; n < 2; n++) {
			icw4[n] = (uint8_t)(1 | (dev_random(&seed) % 4 == 0 ? 2 : 0));
			chip[n].auto_eoi = icw4[n] & 2;
			naive_rotate(&chip[n], 7);
			for (unsigned l = 0; l < 8; l++)
				chip[n].by_level[l] = (n == 0 ? l > 2 : l != 0 && l != 5) && dev_random(&seed) % 4 == 0;
			dev_out(&f, (uint16_t)(0x4d0 + n), (uint8_t)bits(chip[n].by_level));
		}
		init(icw4[0], icw4[1]);
		for (unsigned step = 0; step < 2000; step++) {
			uint32_t r = dev_random(&seed), n = r >> 12 & 1, l = r >> 8 & 7, op = r % 16;
			uint16_t port = n ? 0xa0 : 0x20;

			if (op < 7 && (n || l != 2)) {
				line(n * 8 + l, r & 0x800);
				naive_line(&chip[n], l, r & 0x800);
			} else if (op < 9) {
				dev_out(&f, port, (uint8_t)((r >> 13 & 7) << 5 | l));
				naive_ocw2(&chip[n], r >> 13 & 7, l);
			} else if (op == 9) {
				uint8_t mask = (uint8_t)(dev_random(&seed) & dev_random(&seed));

				dev_out(&f, (uint16_t)(port + 1), mask);
				for (unsigned i = 0; i < 8; i++)
					chip[n].masked[i] = mask >> i & 1;
			} else if (op == 10 && r & 0x2000) {
				chip[n].special_mask = r & 0x4000;
				dev_out(&f, port, (uint8_t)(0x48 | (r & 0x4000 ? 0x20 : 0)));
			} else if (op < 14) {
				naive_settle(chip);
				assert_int_equal(irq_ack(&f.vm), naive_ack(chip));
			}
			naive_settle(chip);
			assert_int_equal(irq_pending(&f.vm), naive_request(&chip[0]) >= 0);
			dev_out(&f, 0x20, 0x0a);
			dev_out(&f, 0xa0, 0x0b);
			assert_int_equal(dev_in(&f, 0x20), bits(chip[0].want));
			assert_int_equal(dev_in(&f, 0xa0), bits(chip[1].serving));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(nothing_interrupts_before_initialisation, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_vector_is_icw2_and_the_level, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_icw4_two_or_three_words_complete_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_lower_level_waits_for_the_eoi_of_a_higher_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_edge_line_interrupts_once_and_must_fall_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_level_line_interrupts_as_long_as_it_is_high, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_request_that_falls_before_the_acknowledge_is_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slave_request_that_falls_takes_the_masters_with_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_slave_request_that_is_polled_away_takes_the_masters_with_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slave_interrupt_needs_two_eois, setup, teardown),
	    cmocka_unit_test_setup_teardown(slave_levels_come_before_the_masters_level_3, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		special_fully_nested_mode_lets_a_higher_slave_level_through, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_mask_hides_and_keeps_a_request, setup, teardown),
	    cmocka_unit_test_setup_teardown(special_mask_mode_lets_lower_levels_through, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_specific_eoi_ends_the_named_level, setup, teardown),
	    cmocka_unit_test_setup_teardown(automatic_eoi_leaves_nothing_in_service, setup, teardown),
	    cmocka_unit_test_setup_teardown(rotation_makes_the_served_level_the_lowest, setup, teardown),
	    cmocka_unit_test_setup_teardown(rotation_on_automatic_eoi_is_switched, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_poll_is_an_acknowledge, setup, teardown),
	    cmocka_unit_test_setup_teardown(lines_2_and_16_do_not_exist, setup, teardown),
	    cmocka_unit_test_setup_teardown(random_operations_agree_with_a_naive_model, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
