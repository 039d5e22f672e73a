/*
 * The keyboard controller and the keyboard behind it.
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

static void command(uint8_t v)
{
	dev_out(&f, 0x64, v);
	assert_int_equal(dev_in(&f, 0x64) & 0x08, 0x08);
}

static uint8_t answer(void)
{
	assert_int_equal(dev_in(&f, 0x64) & 0x01, 0x01);
	return dev_in(&f, 0x60);
}

static void nothing_more(void)
{
	assert_int_equal(dev_in(&f, 0x64) & 0x01, 0x00);
}

/* To the keyboard, which acknowledges. */
static void keyboard(uint8_t v)
{
	dev_out(&f, 0x60, v);
	assert_int_equal(answer(), 0xfa);
}

static void command_byte(uint8_t v)
{
	command(0x60);
	dev_out(&f, 0x60, v);
}

static void type(const char *s)
{
	machine_type(&f.vm, (const uint8_t *)s, strlen(s));
}

static void controller_commands_answer(void **state)
{
	static const struct {
		uint8_t command, answer;
	} row[] = {{0xaa, 0x55}, {0xab, 0x00}, {0xa9, 0x04}, {0xc0, 0x80}, {0xd0, 0xc3}, {0xe0, 0x03}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		command(row[i].command);
		assert_int_equal(answer(), row[i].answer);
		nothing_more();
	}
}

static void the_command_byte_and_the_ram_keep_what_is_written(void **state)
{
	(void)state;
	command_byte(0x45);
	command(0x20);
	assert_int_equal(answer(), 0x65); /* the mouse port stays disabled */
	command(0xa8);
	command(0x20);
	assert_int_equal(answer() & 0x20, 0x20);
	command(0x65);
	dev_out(&f, 0x60, 0x99);
	command(0x25);
	assert_int_equal(answer(), 0x99);
	command(0xad);
	command(0x20);
	assert_int_equal(answer() & 0x10, 0x10);
	command(0xae);
	command(0x20);
	assert_int_equal(answer() & 0x10, 0x00);
}

static void the_status_tells_system_flag_and_last_write(void **state)
{
	(void)state;
	assert_int_equal(dev_in(&f, 0x64), 0x10);
	command(0xaa);
	assert_int_equal(dev_in(&f, 0x64), 0x1d);
	answer();
	dev_out(&f, 0x60, 0xee);
	assert_int_equal(dev_in(&f, 0x64), 0x15);
}

static void a_byte_for_the_mouse_comes_back_as_a_time_out(void **state)
{
	(void)state;
	command(0xd4);
	dev_out(&f, 0x60, 0xf2);
	assert_int_equal(dev_in(&f, 0x64) & 0x61, 0x61);
	assert_int_equal(answer(), 0xfe);
	command(0xd3);
	dev_out(&f, 0x60, 0x5a);
	nothing_more();
}

static void keyboard_commands_answer(void **state)
{
	(void)state;
	keyboard(0xff);
	assert_int_equal(answer(), 0xaa);
	dev_out(&f, 0x60, 0xee);
	assert_int_equal(answer(), 0xee);
	keyboard(0xf2);
	assert_int_equal(answer(), 0xab);
	assert_int_equal(answer(), 0x83);
	keyboard(0xed);
	keyboard(0x07);
	keyboard(0xf3);
	keyboard(0x20);
	keyboard(0xf4);
	keyboard(0xf5);
	keyboard(0xf6);
	dev_out(&f, 0x60, 0xe1); /* unknown */
	assert_int_equal(answer(), 0xfe);
	nothing_more();
}

static void resend_gives_the_last_byte_again(void **state)
{
	(void)state;
	dev_out(&f, 0x60, 0xee);
	assert_int_equal(answer(), 0xee);
	dev_out(&f, 0x60, 0xfe);
	assert_int_equal(answer(), 0xee);
}

static void translation_changes_the_id_but_not_the_acknowledge(void **state)
{
	(void)state;
	command_byte(0x40);
	keyboard(0xf2);
	assert_int_equal(answer(), 0xab);
	assert_int_equal(answer(), 0x41);
}

static void the_scan_code_set_is_1_or_2(void **state)
{
	(void)state;
	keyboard(0xf0);
	keyboard(0x00);
	assert_int_equal(answer(), 2);
	keyboard(0xf0);
	keyboard(0x01);
	keyboard(0xf0);
	keyboard(0x00);
	assert_int_equal(answer(), 1);
	keyboard(0xf0);
	dev_out(&f, 0x60, 0x03);
	assert_int_equal(answer(), 0xfe);
}

static void a_key_is_make_and_break_in_each_set(void **state)
{
	static const struct {
		const char *text;
		uint8_t command_byte, set;
		uint8_t want[12];
		unsigned n;
	} row[] = {
	    {"a", 0x00, 2, {0x1c, 0xf0, 0x1c}, 3}, {"a", 0x40, 2, {0x1e, 0x9e}, 2}, {"a", 0x00, 1, {0x1e, 0x9e}, 2},
	    {"A", 0x40, 2, {0x2a, 0x1e, 0x9e, 0xaa}, 4}, {"A", 0x00, 2, {0x12, 0x1c, 0xf0, 0x1c, 0xf0, 0x12}, 6},
	    {"\n", 0x40, 2, {0x1c, 0x9c}, 2}, {"\x03", 0x40, 2, {0x1d, 0x2e, 0xae, 0x9d}, 4},
	    {"\x1b", 0x40, 2, {0x01, 0x81}, 2}, {"\b", 0x40, 2, {0x0e, 0x8e}, 2},
	    {"1!", 0x40, 2, {0x02, 0x82, 0x2a, 0x02, 0x82, 0xaa}, 6},
	    {"~|", 0x40, 2, {0x2a, 0x29, 0xa9, 0xaa, 0x2a, 0x2b, 0xab, 0xaa}, 8},
	    {"\xe4q", 0x40, 2, {0x10, 0x90}, 2}, /* not on the keyboard: left out */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		dev_close(&f);
		dev_open(&f, 2 << 20);
		command_byte(row[i].command_byte);
		keyboard(0xf0);
		keyboard(row[i].set);
		type(row[i].text);
		for (unsigned k = 0; k < row[i].n; k++)
			assert_int_equal(answer(), row[i].want[k]);
		nothing_more();
	}
}

/* The US keyboard, written down a second time by rows and scan codes of set 1. */
static void every_printable_character_has_its_key(void **state)
{
	static const char *const rows[] = {"1234567890-=", "qwertyuiop[]", "asdfghjkl;'`", "\\zxcvbnm,./"};
	static const char *const shifted[] = {"!@#$%^&*()_+", "QWERTYUIOP{}", "ASDFGHJKL:\"~", "|ZXCVBNM<>?"};
	static const uint8_t first[] = {0x02, 0x10, 0x1e, 0x2b};
	unsigned seen = 0;

	(void)state;
	command_byte(0x40);
	for (unsigned r = 0; r < 4; r++) {
		for (unsigned i = 0; rows[r][i]; i++) {
			char text[3] = {rows[r][i], shifted[r][i], 0};
			uint8_t code = (uint8_t)(first[r] + i);

			type(text);
			assert_int_equal(answer(), code);
			assert_int_equal(answer(), code | 0x80);
			assert_int_equal(answer(), 0x2a);
			assert_int_equal(answer(), code);
			assert_int_equal(answer(), code | 0x80);
			assert_int_equal(answer(), 0xaa);
			seen += 2;
		}
	}
	type(" ");
	assert_int_equal(answer(), 0x39);
	assert_int_equal(answer(), 0xb9);
	assert_int_equal(seen + 1, 95);
}

static void each_byte_is_an_interrupt_when_enabled(void **state)
{
	(void)state;
	dev_init_pic(&f);
	command_byte(0x40);
	type("ab");
	assert_int_equal(dev_take_irq(&f), -1);
	command_byte(0x41);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(dev_take_irq(&f), 0x09);
		assert_int_equal(dev_take_irq(&f), -1);
		answer();
	}
	assert_int_equal(dev_take_irq(&f), -1);
	command(0xd2); /* a byte as from the keyboard */
	dev_out(&f, 0x60, 0x55);
	assert_int_equal(dev_take_irq(&f), 0x09);
	assert_int_equal(answer(), 0x55);
}

static void a_disabled_port_or_keyboard_keeps_typed_text_back(void **state)
{
	(void)state;
	type("x"); /* after power-on the port is disabled */
	nothing_more();
	command(0xae);
	assert_int_equal(answer(), 0x22);
	answer();
	answer();
	keyboard(0xf5); /* scanning off */
	type("y");
	nothing_more();
	keyboard(0xf4);
	assert_int_equal(answer(), 0x35);
}

static void a_command_enables_the_port_and_empties_the_keyboard(void **state)
{
	(void)state;
	command_byte(0x00);
	type("a");
	command(0xad);
	assert_int_equal(answer(), 0x1c); /* was in the output buffer already */
	keyboard(0xf4);
	nothing_more();
	command(0x20);
	assert_int_equal(answer() & 0x10, 0);
}

static void three_ways_lead_to_a_reset(void **state)
{
	(void)state;
	command(0xff);
	assert_false(f.vm.want_reset);
	command(0xfe);
	assert_true(f.vm.want_reset);
	f.vm.want_reset = false;
	command(0xd1);
	dev_out(&f, 0x60, 0x03);
	assert_false(f.vm.want_reset);
	command(0xd1);
	dev_out(&f, 0x60, 0x02);
	assert_true(f.vm.want_reset);
	f.vm.want_reset = false;
	dev_out(&f, 0x92, 0x01);
	assert_true(f.vm.want_reset);
}

static void a20_is_always_enabled(void **state)
{
	(void)state;
	dev_out(&f, 0x92, 0x00);
	assert_int_equal(dev_in(&f, 0x92) & 2, 2);
	command(0xd1);
	dev_out(&f, 0x60, 0xdd);
	command(0xd0);
	assert_int_equal(answer() & 2, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(controller_commands_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_command_byte_and_the_ram_keep_what_is_written, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_status_tells_system_flag_and_last_write, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_byte_for_the_mouse_comes_back_as_a_time_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(keyboard_commands_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(resend_gives_the_last_byte_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(translation_changes_the_id_but_not_the_acknowledge, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_scan_code_set_is_1_or_2, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_key_is_make_and_break_in_each_set, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_printable_character_has_its_key, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_byte_is_an_interrupt_when_enabled, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_disabled_port_or_keyboard_keeps_typed_text_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_command_enables_the_port_and_empties_the_keyboard, setup, teardown),
	    cmocka_unit_test_setup_teardown(three_ways_lead_to_a_reset, setup, teardown),
	    cmocka_unit_test_setup_teardown(a20_is_always_enabled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
