/* What goes into and comes out of the guest's console, and JSON text of any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "cli/console.h"
#include "cli/result.h"

static void check(const char *text, const char *want, size_t n)
{
	uint8_t buf[64];
	assert_int_equal(console_unescape(text, buf), n);
	assert_memory_equal(buf, want, n);
}

static void escapes_are_expanded(void **state)
{
	(void)state;
	check("a\\n\\r\\t\\e\\\\b", "a\n\r\t\x1b\\b", 7);
	check("\\x41\\x00\\xfF", "A\0\xff", 3);
}

static void what_is_no_escape_stays(void **state)
{
	(void)state;
	check("\\q\\x4", "\\q\\x4", 5);
	check("end\\", "end\\", 4);
}

static void a_wrong_hexadecimal_escape_is_found(void **state)
{
	(void)state;
	static const char text[] = "a\\x4g";
	assert_ptr_equal(console_bad_escape(text), text + 1);
	assert_non_null(console_bad_escape("\\x"));
	assert_non_null(console_bad_escape("\\\\\\xZZ"));
	assert_null(console_bad_escape("\\x41\\xfF\\\\xZZ\\q\\"));
}

static void every_byte_of_the_console_is_kept(void **state)
{
	(void)state;
	struct console c = {0};
	for (unsigned i = 0; i < 10000; i++)
		console_byte(&c, "uart", (uint8_t)(i * 7));
	assert_int_equal(c.n, 10000);
	assert_false(c.failed);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(c.bytes[i], (uint8_t)(i * 7));
	console_free(&c);
	assert_null(c.bytes);
}

static void text(const char *in, size_t n, const char *want)
{
	json_t *j = json_text((const uint8_t *)in, n);
	assert_non_null(j);
	assert_string_equal(json_string_value(j), want);
	json_decref(j);
}

static void bytes_that_are_no_utf8_become_the_replacement_character(void **state)
{
	(void)state;
	text("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
	text("\xff", 1, "\xef\xbf\xbd");
	text("\xc3", 1, "\xef\xbf\xbd");				 /* cut off */
	text("\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd");		 /* overlong */
	text("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* surrogate */
	text("\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80");
}

static void a_zero_byte_is_kept(void **state)
{
	(void)state;
	json_t *j = json_text((const uint8_t *)"a\0b", 3);
	assert_int_equal(json_string_length(j), 3);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(escapes_are_expanded),
	    cmocka_unit_test(what_is_no_escape_stays),
	    cmocka_unit_test(a_wrong_hexadecimal_escape_is_found),
	    cmocka_unit_test(every_byte_of_the_console_is_kept),
	    cmocka_unit_test(bytes_that_are_no_utf8_become_the_replacement_character),
	    cmocka_unit_test(a_zero_byte_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
