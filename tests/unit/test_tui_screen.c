/* tui/screen*.c: what is put where, and that nothing a guest wrote reaches a terminal as a control. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen.h"

static struct screen s;

static void start(int w, int h, bool ascii)
{
	assert_true(screen_init(&s, w, h, ascii));
}

static void is(const char *want)
{
	char *got = screen_dump(&s, false);

	assert_string_equal(got, want);
	free(got);
}

static void text_is_cut_at_its_room_and_at_the_clip(void **state)
{
	(void)state;
	start(10, 2, false);
	assert_int_equal(screen_text(&s, 0, 0, -1, STYLE_NORMAL, "0123456789abc"), 10);
	assert_int_equal(screen_text(&s, 0, 1, 4, STYLE_NORMAL, "abcdef"), 4);
	assert_int_equal(screen_text(&s, 8, 1, -1, STYLE_NORMAL, "x\ny"), 1);
	is("0123456789\nabcd    x\n");
	screen_clear(&s);
	screen_clip(&s, &(struct rect){2, 0, 3, 1});
	screen_text(&s, 0, 0, -1, STYLE_NORMAL, "0123456789");
	screen_text(&s, 0, 1, -1, STYLE_NORMAL, "0123456789");
	screen_put(&s, -1, -1, 'x', STYLE_NORMAL);
	screen_put(&s, INT_MAX, INT_MAX, 'x', STYLE_NORMAL);
	assert_int_equal(screen_text(&s, 9, 0, -1, STYLE_NORMAL, "zz"), 0);
	is("  234\n\n");
	screen_clip(&s, &(struct rect){-5, -5, 7, 7});
	screen_text(&s, 0, 1, -1, STYLE_NORMAL, "abc");
	is("  234\nab\n");
	screen_fini(&s);
}

static void what_a_guest_writes_is_shown_and_not_obeyed(void **state)
{
	static const struct {
		const char *text, *utf, *ascii;
	} rows[] = {
	    {"a\x1b[2Jb", "a\u241b[2Jb\n", "a?[2Jb\n"},
	    {"\x07\x7f\r", "\u2407\u2421\u240d\n", "???\n"},
	    {"a\tb", "a b\n", "a b\n"},
	    {"\xff\xfe", "\ufffd\ufffd\n", "??\n"},
	    {"\xc0\x80x", "\ufffd\ufffdx\n", "??x\n"},			     /* overlong */
	    {"\xed\xa0\x80x", "\ufffd\ufffd\ufffdx\n", "???x\n"},	     /* surrogate */
	    {"\xf4\x90\x80\x80x", "\ufffd\ufffd\ufffd\ufffdx\n", "????x\n"}, /* above U+10FFFF */
	    {"\xe2\x82", "\ufffd\ufffd\n", "??\n"},			     /* cut short */
	    {"\xc2\x9b"
	     "31m",
		"\ufffd31m\n", "?31m\n"},     /* CSI as one character */
	    {"e\u0301", "e\ufffd\n", "e?\n"}, /* combining */
	    {"\u4e2d|", "\ufffd|\n", "?|\n"}, /* two columns */
	    {"\u202e|", "\ufffd|\n", "?|\n"}, /* turns the direction of writing */
	    {"\U0001f600|", "\ufffd|\n", "?|\n"},
	    {"\u00e4\u03c0\u0416\u2260\u263a", "\u00e4\u03c0\u0416\u2260\u263a\n", "?????\n"},
	    {"\u2192", "\u2192\n", "?\n"},
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		start(20, 1, i & 1);
		screen_text(&s, 0, 0, -1, STYLE_GUEST, rows[i / 2].text);
		is(i & 1 ? rows[i / 2].ascii : rows[i / 2].utf);
		screen_fini(&s);
	}
	assert_int_equal(screen_columns("\x1b\u4e2d"
					"ab\ncd"),
	    4);
}

static void no_cell_ever_holds_a_control(void **state)
{
	(void)state;
	start(1, 1, false);
	for (uint32_t ch = 0; ch < 0x30000; ch++) {
		screen_put(&s, 0, 0, ch, STYLE_NORMAL);
		assert_true(s.cells[0].ch >= ' ' && (s.cells[0].ch < 0x7f || s.cells[0].ch >= 0xa0));
	}
	s.ascii = true;
	for (uint32_t ch = 0; ch < 0x30000; ch++) {
		screen_put(&s, 0, 0, ch, STYLE_NORMAL);
		assert_true(s.cells[0].ch >= ' ' && s.cells[0].ch < 0x7f);
	}
	for (unsigned g = 0; g < GLYPH_COUNT; g++) {
		s.ascii = false;
		screen_put(&s, 0, 0, screen_glyph(&s, (enum glyph)g), STYLE_NORMAL);
		assert_int_equal(s.cells[0].ch, screen_glyph(&s, (enum glyph)g)); /* one column, by our own rule */
		s.ascii = true;
		assert_in_range(screen_glyph(&s, (enum glyph)g), ' ', '~');
	}
	screen_fini(&s);
}

static void words_wrap_and_scroll(void **state)
{
	struct rect r = {1, 0, 10, 3};

	(void)state;
	start(12, 3, false);
	assert_int_equal(screen_wrap(&s, &r, 0, STYLE_NORMAL, "the quick brown fox jumps"), 3);
	is(" the quick\n brown fox\n jumps\n");
	screen_clear(&s);
	assert_int_equal(screen_wrap(&s, &r, 2, STYLE_NORMAL, "the quick brown fox jumps"), 3);
	is(" jumps\n\n\n");
	screen_clear(&s);
	assert_int_equal(screen_wrap(&s, &r, 0, STYLE_NORMAL, "a\n\n0123456789abcde"), 4);
	is(" a\n\n 0123456789\n");
	assert_int_equal(screen_wrap(&s, &r, 0, STYLE_NORMAL, ""), 0);
	screen_fini(&s);
}

static void shapes(void **state)
{
	struct rect in;
	const uint32_t values[] = {0, 1, 4, 8, 1000000, 0};

	(void)state;
	start(12, 4, true);
	in = screen_box(&s, &(struct rect){0, 0, 12, 4}, "T");
	assert_true(in.x == 1 && in.y == 1 && in.w == 10 && in.h == 2);
	screen_bar(&s, 1, 1, 10, 0.55, STYLE_A);
	screen_spark(&s, 1, 2, 10, values, 4, STYLE_A);
	is("+- T ------+\n|#####-    |\n|       _-#|\n+----------+\n");
	screen_bar(&s, 1, 1, 10, 0.0001, STYLE_A);
	screen_spark(&s, 1, 2, 3, values, 6, STYLE_A);
	screen_right(&s, 4, 2, 7, STYLE_NORMAL, "right");
	is("+- T ------+\n|.         |\n|_#   right|\n+----------+\n");
	screen_bar(&s, 1, 1, 10, 1.0 / 0.0, STYLE_A);
	screen_bar(&s, 1, 2, 10, 0.0 / 0.0, STYLE_A);
	is("+- T ------+\n|##########|\n|          |\n+----------+\n");
	screen_clear(&s);
	in = screen_section(&s, &(struct rect){0, 1, 12, 3}, "a very long title");
	assert_true(in.x == 0 && in.y == 2 && in.w == 12 && in.h == 2);
	is("\n-- a very --\n\n\n");
	screen_box(&s, &(struct rect){0, 0, 1, 1}, "x"); /* no room: nothing */
	is("\n-- a very --\n\n\n");
	screen_fini(&s);
}

static void a_dump_names_styles(void **state)
{
	char *text;

	(void)state;
	start(8, 2, false);
	screen_text(&s, 1, 0, -1, STYLE_HOLDS, "ok");
	screen_restyle(&s, &(struct rect){0, 1, 100, 100}, STYLE_SELECTED);
	s.cells[7].reverse = 1;
	text = screen_dump(&s, true);
	assert_string_equal(text, " ok\n\n--- styles\n0: 1-2 holds, 7-7 normal reversed\n1: 0-7 selected\n");
	free(text);
	screen_fini(&s);
}

static void sizes_change(void **state)
{
	(void)state;
	start(3, 3, false);
	screen_text(&s, 0, 0, -1, STYLE_NORMAL, "abc");
	assert_true(screen_resize(&s, 0, -7));
	assert_true(s.w == 1 && s.h == 1);
	is("\n");
	assert_true(screen_resize(&s, INT_MAX, 1));
	assert_true(s.w > 1000);
	screen_fini(&s);
}

static void numbers_take_at_most_seven_columns(void **state)
{
	char b[16];

	(void)state;
	assert_string_equal(fmt_count(1234, b), "1234");
	assert_string_equal(fmt_count(9999, b), "9999");
	assert_string_equal(fmt_count(12345, b), "12.3k");
	assert_string_equal(fmt_count(999999, b), "1.00M");
	assert_string_equal(fmt_count(4560000, b), "4.56M");
	assert_string_equal(fmt_rate(0, b), "0");
	assert_string_equal(fmt_rate(0.5, b), "0.50");
	assert_string_equal(fmt_rate(1234567, b), "1.23M");
	assert_string_equal(fmt_rate(-1, b), "-");
	assert_string_equal(fmt_ns(999, b), "999ns");
	assert_string_equal(fmt_ns(1234, b), "1.23us");
	assert_string_equal(fmt_ns(12345678, b), "12.3ms");
	assert_string_equal(fmt_ns(123456789012, b), "123s");
	assert_string_equal(fmt_ns(3600000000000, b), "60m00s");
	assert_string_equal(fmt_bytes(64 << 20, b), "64M");
	assert_string_equal(fmt_bytes(1536, b), "1.50K");
	assert_string_equal(fmt_bytes(512, b), "512");
	for (unsigned i = 0; i < 64; i++)
		for (int d = -1; d < 2; d++) {
			uint64_t n = (1ull << i) + (uint64_t)(int64_t)d;

			assert_true(strlen(fmt_count(n, b)) <= 7);
			assert_true(strlen(fmt_rate((double)n, b)) <= 7);
			assert_true(strlen(fmt_bytes(n, b)) <= 7);
			assert_true(strlen(fmt_ns(n, b)) <= 7);
		}
}

static void styles_have_names(void **state)
{
	enum style st;

	(void)state;
	for (unsigned i = 0; i < STYLE_COUNT; i++) {
		assert_true(style_by_name(style_name((enum style)i), &st));
		assert_int_equal(st, i);
	}
	assert_false(style_by_name("nothing", &st));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_is_cut_at_its_room_and_at_the_clip),
	    cmocka_unit_test(what_a_guest_writes_is_shown_and_not_obeyed),
	    cmocka_unit_test(no_cell_ever_holds_a_control),
	    cmocka_unit_test(words_wrap_and_scroll),
	    cmocka_unit_test(shapes),
	    cmocka_unit_test(a_dump_names_styles),
	    cmocka_unit_test(sizes_change),
	    cmocka_unit_test(numbers_take_at_most_seven_columns),
	    cmocka_unit_test(styles_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
