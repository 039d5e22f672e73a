/* core/lib.c: formatting and the checkpoint hash. The C library is the oracle for formatting. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/lib.h"

#define SAME(...)                                                      \
	do {                                                           \
		char ours[200], theirs[200];                           \
		int a = fmt_snprintf(ours, sizeof(ours), __VA_ARGS__); \
		int b = snprintf(theirs, sizeof(theirs), __VA_ARGS__); \
		assert_string_equal(ours, theirs);                     \
		assert_int_equal(a, b);                                \
	} while (0)

static void formatting_agrees_with_the_c_library(void **state)
{
	(void)state;
	SAME("plain");
	SAME("100%%");
	SAME("%d %i %u", -5, INT_MIN, UINT_MAX);
	SAME("%ld %lld %lu %llu %zu", LONG_MIN, LLONG_MIN, ULONG_MAX, ULLONG_MAX, (size_t)12);
	SAME("%hhu %hu %hhd", (unsigned char)200, (unsigned short)60000, (signed char)-3);
	SAME("%x %X %#x %#x %08x %#010llx", 0xbeefu, 0xbeefu, 0xbeefu, 0u, 0x12u, 0x1234ull);
	SAME("[%5d][%-5d][%05d][%+d][%.3d][%8.3d]", 42, 42, -42, 42, 7, 7);
	SAME("[%s][%10s][%-10s][%.2s][%*s][%.*s]", "abc", "abc", "abc", "abc", 6, "abc", 1, "abc");
	SAME("[%c][%3c][%-3c]|", 'x', 'y', 'z');
	SAME("%p", (void *)(uintptr_t)0x1234);
}

static void a_short_buffer_is_terminated_and_the_wanted_length_returned(void **state)
{
	char buf[6] = "zzzzz";

	(void)state;
	assert_int_equal(fmt_snprintf(buf, 4, "%s", "abcdef"), 6);
	assert_string_equal(buf, "abc");
	assert_int_equal(buf[4], 'z');
	assert_int_equal(fmt_snprintf(NULL, 0, "%d", 1234), 4);
}

static void a_conversion_outside_the_subset_is_shown_not_swallowed(void **state)
{
	char buf[20];
	const char *volatile fmt = "%q";

	(void)state;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
	fmt_snprintf(buf, sizeof(buf), fmt);
#pragma GCC diagnostic pop
	assert_string_equal(buf, "%q");
}

static void fnv_has_the_published_values_and_can_go_on(void **state)
{
	(void)state;
	assert_true(fnv64(FNV64_INIT, "", 0) == 0xcbf29ce484222325ull);
	assert_true(fnv64(FNV64_INIT, "a", 1) == 0xaf63dc4c8601ec8cull);
	assert_true(fnv64(FNV64_INIT, "foobar", 6) == 0x85944171f73967e8ull);
	assert_true(fnv64(fnv64(FNV64_INIT, "foo", 3), "bar", 3) == 0x85944171f73967e8ull);
}

static void every_error_has_a_sentence_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_COUNT; i++) {
		assert_true(strlen(err_sentence((enum err)i)) > 5);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(err_sentence((enum err)i), err_sentence((enum err)j));
	}
	assert_non_null(err_sentence(ERR_COUNT));
}

static void err_set_formats_and_returns_the_error(void **state)
{
	struct errmsg why;

	(void)state;
	assert_int_equal(err_set(&why, ERR_RANGE, "%s at %#x", "hole", 0x10), ERR_RANGE);
	assert_string_equal(why.text, "hole at 0x10");
	assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(formatting_agrees_with_the_c_library),
	    cmocka_unit_test(a_short_buffer_is_terminated_and_the_wanted_length_returned),
	    cmocka_unit_test(a_conversion_outside_the_subset_is_shown_not_swallowed),
	    cmocka_unit_test(fnv_has_the_published_values_and_can_go_on),
	    cmocka_unit_test(every_error_has_a_sentence_of_its_own),
	    cmocka_unit_test(err_set_formats_and_returns_the_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
