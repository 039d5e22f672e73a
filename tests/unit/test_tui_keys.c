/* tui/keys.c: names to keys and back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tui/keys.h"

static void every_name_is_a_key_and_every_key_has_a_name(void **state)
{
	static const struct {
		const char *name;
		uint32_t key;
	} rows[] = {
	    {"a", 'a'},
	    {"A", 'A'},
	    {"?", '?'},
	    {"-", '-'},
	    {"\\", '\\'},
	    {"<", '<'},
	    {"Space", ' '},
	    {"Enter", KEY_N_ENTER},
	    {"Esc", KEY_N_ESC},
	    {"Tab", KEY_N_TAB},
	    {"S-Tab", KEY_N_TAB | KEY_SHIFT},
	    {"C-l", 'l' | KEY_CTRL},
	    {"M-x", 'x' | KEY_META},
	    {"C-M-x", 'x' | KEY_CTRL | KEY_META},
	    {"M-Up", KEY_N_UP | KEY_META},
	    {"M--", '-' | KEY_META},
	    {"F1", KEY_N_F1},
	    {"F10", KEY_N_F1 + 9},
	    {"F12", KEY_N_F12},
	    {"PgUp", KEY_N_PGUP},
	    {"PgDn", KEY_N_PGDN},
	    {"Home", KEY_N_HOME},
	    {"End", KEY_N_END},
	    {"Insert", KEY_N_INSERT},
	    {"Delete", KEY_N_DELETE},
	    {"Backspace", KEY_N_BACKSPACE},
	    {"Mouse", KEY_N_MOUSE},
	    {"\u00e4", 0xe4},
	    {"\u20ac", 0x20ac},
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(key_by_name(rows[i].name), rows[i].key);
		assert_string_equal(key_to_name(rows[i].key, buf), rows[i].name);
	}
	assert_int_equal(key_by_name("C-L"), 'l' | KEY_CTRL); /* terminals cannot tell them apart */
	assert_int_equal(key_by_name("C-C"), 'c' | KEY_CTRL);
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const names[] = {"", "ab", "F0", "F13", "F1x", "X-a", "C-C-a", "S-a", "Up ", "up", "\xff",
	    "\xc3", "\xc0\x80", "\x1b", " ", "\xc2\x9b", "M-", "C-"};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(key_by_name(names[i]), KEY_NONE);
	/* Any number has a name that fits. */
	for (uint32_t k = 0; k < 0x8000000; k += 997)
		assert_int_not_equal(key_to_name(k, buf)[0], '\0');
	assert_string_equal(key_to_name(0x1b, buf), "None");
	assert_string_equal(key_to_name(KEY_N_END_ + 5, buf), "None");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_name_is_a_key_and_every_key_has_a_name),
	    cmocka_unit_test(what_is_no_key_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
