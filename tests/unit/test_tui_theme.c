/* tui/theme.c: schemes on every kind of terminal. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tui/theme.h"

static const int depths[] = {0, 8, 16, 88, 256};

static void every_scheme_has_colours_that_the_terminal_has(void **state)
{
	(void)state;
	for (unsigned t = 0; theme_at(t); t++)
		for (size_t d = 0; d < ARRAY_LEN(depths); d++)
			for (unsigned s = 0; s < STYLE_COUNT; s++) {
				struct paint p = theme_paint(theme_at(t), NULL, (enum style)s, depths[d]);

				assert_true(p.fg >= -1 && (p.fg < depths[d] || p.fg == -1));
				assert_true(p.bg >= -1 && (p.bg < depths[d] || p.bg == -1));
				if (!depths[d] || !strcmp(theme_at(t), "mono"))
					assert_true(p.fg == -1 && p.bg == -1);
				/* Something is always to be seen. */
				assert_true(p.fg != p.bg || p.fg == -1);
			}
}

static void no_dark_blue_on_black(void **state)
{
	struct theme_override o = {0};

	(void)state;
	o.set[STYLE_CODE] = o.set[STYLE_HOLDS] = true;
	o.look[STYLE_CODE] = (struct look){COLOR_BLUE_, COLOR_BLACK_, 0};
	o.look[STYLE_HOLDS] = (struct look){COLOR_BLUE_, COLOR_DEFAULT, 0};
	for (unsigned t = 0; theme_at(t); t++)
		for (size_t d = 0; d < ARRAY_LEN(depths); d++)
			for (unsigned s = 0; s < STYLE_COUNT; s++) {
				struct paint p = theme_paint(theme_at(t), &o, (enum style)s, depths[d]);
				bool black = p.bg == 0 || p.bg == 16 || (p.bg == -1 && strcmp(theme_at(t), "light"));

				assert_false(black && (p.fg == 4 || (p.fg >= 16 && p.fg <= 21)));
			}
	/* On white it can be read. */
	assert_int_equal(theme_paint("light", NULL, STYLE_CODE, 16).fg, 4);
}

/* Meanings that stand side by side differ by more than hue, or in a pair that all eyes tell apart. */
static void verdicts_differ_without_colour(void **state)
{
	struct paint h = theme_paint("mono", NULL, STYLE_HOLDS, 0), v = theme_paint("mono", NULL, STYLE_VIOLATED, 0),
		     u = theme_paint("mono", NULL, STYLE_UNKNOWN, 0);

	(void)state;
	assert_true(h.attrs != v.attrs && v.attrs != u.attrs && h.attrs != u.attrs);
	for (unsigned t = 0; theme_at(t); t++) {
		h = theme_paint(theme_at(t), NULL, STYLE_HOLDS, 256);
		v = theme_paint(theme_at(t), NULL, STYLE_VIOLATED, 256);
		assert_true(h.attrs != v.attrs);
		h = theme_paint(theme_at(t), NULL, STYLE_NORMAL, 8);
		v = theme_paint(theme_at(t), NULL, STYLE_SELECTED, 8);
		assert_true(h.fg != v.fg || h.bg != v.bg || h.attrs != v.attrs);
	}
}

static void looks_as_users_write_them(void **state)
{
	struct look l;
	struct errmsg why;

	(void)state;
	assert_int_equal(theme_parse_look("green, bold", &l, &why), ERR_OK);
	assert_true(l.fg == COLOR_GREEN_ && l.bg == COLOR_DEFAULT && l.attrs == LOOK_BOLD);
	assert_int_equal(theme_parse_look("bright-white,on red,underline,reverse,dim", &l, &why), ERR_OK);
	assert_true(l.fg == COLOR_BRIGHT_WHITE && l.bg == COLOR_RED_);
	assert_int_equal(l.attrs, LOOK_UNDERLINE | LOOK_REVERSE | LOOK_DIM);
	assert_int_equal(theme_parse_look("", &l, &why), ERR_OK);
	assert_int_equal(theme_parse_look("greenish", &l, &why), ERR_INVAL);
	assert_non_null(strstr(why.text, "'greenish'"));
	assert_int_equal(theme_parse_look("on", &l, &why), ERR_INVAL);
	assert_int_equal(theme_parse_look("a_word_that_is_longer_than_any_colour_could_be", &l, &why), ERR_INVAL);
}

static void schemes_go_around(void **state)
{
	const char *name = theme_at(0);
	unsigned n = 0;

	(void)state;
	do {
		name = theme_next(name);
		assert_true(theme_known(name));
		n++;
	} while (name != theme_at(0) && n < 100);
	assert_int_equal(n, 4);
	assert_false(theme_known("pink"));
	assert_true(theme_known(theme_next("pink")));
	unsetenv("NO_COLOR");
	assert_false(theme_no_color());
	setenv("NO_COLOR", "", 1);
	assert_false(theme_no_color());
	setenv("NO_COLOR", "1", 1);
	assert_true(theme_no_color());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_scheme_has_colours_that_the_terminal_has),
	    cmocka_unit_test(no_dark_blue_on_black),
	    cmocka_unit_test(verdicts_differ_without_colour),
	    cmocka_unit_test(looks_as_users_write_them),
	    cmocka_unit_test(schemes_go_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
