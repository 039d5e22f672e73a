/*
 * The serial port: registers, FIFO, interrupts and their priorities, loopback, time-out.
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

#define THR 0x3f8
#define IER 0x3f9
#define IIR 0x3fa
#define LCR 0x3fb
#define MCR 0x3fc
#define LSR 0x3fd
#define MSR 0x3fe
#define SCR 0x3ff

static void type(const char *s)
{
	assert_int_equal(machine_type(&f.vm, (const uint8_t *)s, strlen(s)), strlen(s));
}

static void what_is_written_reaches_the_console_at_once(void **state)
{
	(void)state;
	for (const char *s = "hello\n"; *s; s++) {
		assert_int_equal(dev_in(&f, LSR) & 0x60, 0x60);
		dev_out(&f, THR, (uint8_t)*s);
	}
	assert_string_equal(f.uart, "hello\n");
	assert_string_equal(f.debugcon, "");
}

static void registers_after_reset(void **state)
{
	(void)state;
	assert_int_equal(dev_in(&f, IER), 0);
	assert_int_equal(dev_in(&f, IIR), 0x01);
	assert_int_equal(dev_in(&f, LCR), 0);
	assert_int_equal(dev_in(&f, MCR), 0);
	assert_int_equal(dev_in(&f, LSR), 0x60);
	assert_int_equal(dev_in(&f, MSR), 0xb0);
}

static void dlab_shows_the_divisor(void **state)
{
	(void)state;
	dev_out(&f, IER, 0x05);
	dev_out(&f, LCR, 0x83);
	dev_out(&f, THR, 0x0c);
	dev_out(&f, IER, 0x01);
	assert_int_equal(dev_in(&f, THR), 0x0c);
	assert_int_equal(dev_in(&f, IER), 0x01);
	dev_out(&f, LCR, 0x03);
	assert_int_equal(dev_in(&f, IER), 0x05);
	assert_string_equal(f.uart, "");
}

static void the_scratch_register_keeps_and_upper_bits_read_zero(void **state)
{
	(void)state;
	dev_out(&f, SCR, 0xa5);
	dev_out(&f, IER, 0xf0);
	dev_out(&f, MCR, 0xe0);
	assert_int_equal(dev_in(&f, SCR), 0xa5);
	assert_int_equal(dev_in(&f, IER), 0);
	assert_int_equal(dev_in(&f, MCR), 0);
}

static void the_fifo_bits_tell_a_16550a(void **state)
{
	(void)state;
	dev_out(&f, IIR, 0x00);
	assert_int_equal(dev_in(&f, IIR) & 0xc0, 0);
	dev_out(&f, IIR, 0xc7);
	assert_int_equal(dev_in(&f, IIR) & 0xc0, 0xc0);
	dev_out(&f, IIR, 0xc6); /* without bit 0 the rest does not count */
	assert_int_equal(dev_in(&f, IIR) & 0xc0, 0);
}

static void typed_text_arrives_in_order_whatever_its_length(void **state)
{
	char text[300], got[300];

	(void)state;
	for (unsigned i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + i % 26);
	text[sizeof(text) - 1] = '\0';
	dev_out(&f, IIR, 0x01);
	type(text);
	for (unsigned i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(dev_in(&f, LSR) & 0x01, 0x01);
		got[i] = (char)dev_in(&f, THR);
	}
	got[sizeof(got) - 1] = '\0';
	assert_string_equal(got, text);
	assert_int_equal(dev_in(&f, LSR), 0x60);
}

static void typing_stops_when_both_queues_are_full(void **state)
{
	uint8_t text[8192];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_in_range(machine_type(&f.vm, text, sizeof(text)), 4096, 4096 + 16);
	assert_int_equal(machine_type(&f.vm, text, 1), 0);
}

static void the_empty_transmitter_interrupts_after_each_write_until_iir_is_read(void **state)
{
	(void)state;
	dev_init_pic(&f);
	dev_out(&f, IER, 0x02); /* already empty */
	assert_int_equal(dev_take_irq(&f), 0x0c);
	assert_int_equal(dev_in(&f, IIR), 0x02);
	assert_int_equal(dev_in(&f, IIR), 0x01);
	dev_out(&f, THR, 'a');
	assert_int_equal(dev_take_irq(&f), 0x0c);
	dev_out(&f, THR, 'b'); /* writing withdraws it, being empty again is a new edge */
	assert_int_equal(dev_take_irq(&f), 0x0c);
	assert_int_equal(dev_in(&f, IIR), 0x02);
	assert_int_equal(dev_take_irq(&f), -1);
}

static void received_data_interrupts_at_the_trigger_level(void **state)
{
	static const uint8_t level[4] = {1, 4, 8, 14};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		dev_out(&f, IIR, (uint8_t)(0x07 | i << 6));
		dev_out(&f, IER, 0x01);
		for (unsigned n = 1; n <= 16; n++) {
			type("x");
			assert_int_equal(dev_in(&f, IIR) & 0x0f, n >= level[i] ? 0x04 : 0x01);
		}
		for (unsigned n = 15; n + 1 > 0; n--) {
			dev_in(&f, THR);
			assert_int_equal(dev_in(&f, IIR) & 0x0f, n >= level[i] ? 0x04 : 0x01);
			if (n == 0)
				break;
		}
	}
}

static void bytes_below_the_trigger_level_time_out_after_four_characters(void **state)
{
	const uint64_t character = 10ull * 12 * 1000000000ull / 115200; /* 8N1 at 9600 baud */

	(void)state;
	dev_init_pic(&f);
	dev_out(&f, LCR, 0x83);
	dev_out(&f, THR, 12);
	dev_out(&f, LCR, 0x03);
	dev_out(&f, IIR, 0xc1);
	dev_out(&f, IER, 0x01);
	type("ab");
	dev_pass(&f, 4 * character - 1000);
	assert_int_equal(dev_take_irq(&f), -1);
	assert_int_equal(dev_in(&f, IIR), 0xc1);
	dev_pass(&f, 2000);
	assert_int_equal(dev_take_irq(&f), 0x0c);
	assert_int_equal(dev_in(&f, IIR), 0xcc);
	assert_int_equal(dev_in(&f, THR), 'a');
	assert_int_equal(dev_in(&f, IIR), 0xc1); /* a read starts it again */
	dev_pass(&f, 4 * character + 1000);
	assert_int_equal(dev_in(&f, IIR), 0xcc);
	assert_int_equal(dev_in(&f, THR), 'b');
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
}

static void without_the_fifo_there_is_no_time_out_and_one_byte_interrupts(void **state)
{
	(void)state;
	dev_out(&f, IER, 0x01);
	type("ab");
	assert_int_equal(dev_in(&f, IIR), 0x04);
	assert_true(clock_next_deadline(&f.vm.clock) == CLOCK_NEVER);
	assert_int_equal(dev_in(&f, THR), 'a');
	assert_int_equal(dev_in(&f, THR), 'b');
	assert_int_equal(dev_in(&f, IIR), 0x01);
	assert_int_equal(dev_in(&f, THR), 'b'); /* the register keeps its last byte */
}

static void priorities_are_line_data_transmitter_modem(void **state)
{
	(void)state;
	dev_out(&f, MCR, 0x10);
	dev_out(&f, IER, 0x0f);
	dev_out(&f, THR, 'a');
	dev_out(&f, THR, 'b'); /* overrun */
	assert_int_equal(dev_in(&f, IIR), 0x06);
	assert_int_equal(dev_in(&f, LSR), 0x63);
	assert_int_equal(dev_in(&f, IIR), 0x04);
	assert_int_equal(dev_in(&f, THR), 'b');
	assert_int_equal(dev_in(&f, IIR), 0x02);
	assert_int_equal(dev_in(&f, IIR), 0x00); /* loopback changed the modem inputs */
	assert_int_equal(dev_in(&f, MSR) & 0x0f, 0x0b);
	assert_int_equal(dev_in(&f, IIR), 0x01);
	assert_string_equal(f.uart, "");
}

static void loopback_connects_modem_outputs_to_inputs(void **state)
{
	static const struct {
		uint8_t mcr, msr;
	} row[] = {{0x10, 0x00}, {0x11, 0x20}, {0x12, 0x10}, {0x14, 0x40}, {0x18, 0x80}, {0x1f, 0xf0}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		dev_out(&f, MCR, row[i].mcr);
		assert_int_equal(dev_in(&f, MSR) & 0xf0, row[i].msr);
	}
	dev_out(&f, MCR, 0x10); /* RI falls with the others: TERI and three deltas */
	assert_int_equal(dev_in(&f, MSR) & 0x0f, 0x0f);
	dev_out(&f, MCR, 0x14); /* RI rises: no event */
	assert_int_equal(dev_in(&f, MSR), 0x40);
}

static void a_full_fifo_keeps_its_bytes_and_reports_the_overrun(void **state)
{
	(void)state;
	dev_out(&f, IIR, 0x01);
	dev_out(&f, MCR, 0x10);
	for (unsigned i = 0; i < 17; i++)
		dev_out(&f, THR, (uint8_t)i);
	assert_int_equal(dev_in(&f, LSR), 0x63);
	assert_int_equal(dev_in(&f, LSR), 0x61);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(dev_in(&f, THR), i);
	assert_int_equal(dev_in(&f, LSR), 0x60);
}

static void a_break_in_loopback_travels_with_its_byte(void **state)
{
	(void)state;
	dev_out(&f, IIR, 0x01);
	dev_out(&f, MCR, 0x10);
	dev_out(&f, THR, 'a');
	dev_out(&f, LCR, 0x43);
	dev_out(&f, THR, 'b');
	dev_out(&f, LCR, 0x03);
	assert_int_equal(dev_in(&f, LSR), 0xe1); /* an error somewhere in the FIFO, not at its front */
	assert_int_equal(dev_in(&f, THR), 'a');
	assert_int_equal(dev_in(&f, LSR), 0xf1);
	assert_int_equal(dev_in(&f, LSR), 0x61);
	assert_int_equal(dev_in(&f, THR), 0);
}

static void typed_text_waits_while_in_loopback(void **state)
{
	(void)state;
	dev_out(&f, MCR, 0x10);
	type("x");
	assert_int_equal(dev_in(&f, LSR) & 1, 0);
	dev_out(&f, MCR, 0x00);
	assert_int_equal(dev_in(&f, THR), 'x');
}

static void clearing_the_receiver_drops_what_it_holds(void **state)
{
	(void)state;
	dev_out(&f, IIR, 0x01);
	type("abc");
	dev_out(&f, IIR, 0x03);
	assert_int_equal(dev_in(&f, LSR) & 1, 0);
}

static void a_reset_keeps_what_was_typed_but_not_read(void **state)
{
	(void)state;
	dev_out(&f, MCR, 0x10);
	type("x");
	machine_reset(&f.vm);
	assert_int_equal(dev_in(&f, MCR), 0);
	assert_int_equal(dev_in(&f, THR), 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_is_written_reaches_the_console_at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(registers_after_reset, setup, teardown),
	    cmocka_unit_test_setup_teardown(dlab_shows_the_divisor, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_scratch_register_keeps_and_upper_bits_read_zero, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_fifo_bits_tell_a_16550a, setup, teardown),
	    cmocka_unit_test_setup_teardown(typed_text_arrives_in_order_whatever_its_length, setup, teardown),
	    cmocka_unit_test_setup_teardown(typing_stops_when_both_queues_are_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_empty_transmitter_interrupts_after_each_write_until_iir_is_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(received_data_interrupts_at_the_trigger_level, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		bytes_below_the_trigger_level_time_out_after_four_characters, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		without_the_fifo_there_is_no_time_out_and_one_byte_interrupts, setup, teardown),
	    cmocka_unit_test_setup_teardown(priorities_are_line_data_transmitter_modem, setup, teardown),
	    cmocka_unit_test_setup_teardown(loopback_connects_modem_outputs_to_inputs, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_full_fifo_keeps_its_bytes_and_reports_the_overrun, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_break_in_loopback_travels_with_its_byte, setup, teardown),
	    cmocka_unit_test_setup_teardown(typed_text_waits_while_in_loopback, setup, teardown),
	    cmocka_unit_test_setup_teardown(clearing_the_receiver_drops_what_it_holds, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_reset_keeps_what_was_typed_but_not_read, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
