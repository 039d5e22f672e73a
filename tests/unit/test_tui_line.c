/* tui/line.c: editing, history, completion. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/line.h"

static void words(void *arg, const char *text, struct line_words *out)
{
	static const char *const all[] = {"step", "step exit", "stop", "view"};
	static const char *const names[] = {"scope", "stats", "st\u00e4rke"};

	(void)arg;
	if (!strncmp(text, "view ", 5)) {
		out->from = 5;
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			line_words_add(out, text, names[i]);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		line_words_add(out, text, all[i]);
}

static struct line l;

static enum line_result keys(const char *names)
{
	enum line_result r = LINE_IGNORED;
	char one[16];

	while (*names) {
		size_t n = strcspn(names, " ");

		memcpy(one, names, n);
		one[n] = '\0';
		assert_int_not_equal(key_by_name(one), KEY_NONE);
		r = line_key(&l, key_by_name(one));
		names += n + (names[n] == ' ');
	}
	return r;
}

static void start(const char *text)
{
	l = (struct line){.complete = words};
	line_open(&l, LINE_COMMAND, text);
}

static void is(const char *text, size_t at)
{
	assert_string_equal(l.text, text);
	assert_int_equal(l.n, strlen(text));
	assert_int_equal(l.at, at);
}

static void editing(void **state)
{
	(void)state;
	start("");
	keys("a b \u00e4 c");
	is("ab\u00e4c", 5);
	keys("Left Left X");
	is("abX\u00e4c", 3);
	keys("Right Backspace");
	is("abXc", 3);
	keys("Home Delete");
	is("bXc", 0);
	keys("Left End Right z C-a y C-e C-b C-b C-f");
	is("ybXcz", 4);
	keys("C-d C-d");
	is("ybXc", 4);
	keys("Home Right C-k");
	is("y", 1);
	keys("Space w o r d Space Space C-w");
	is("y ", 2);
	keys("C-w C-w");
	is("", 0);
	assert_int_equal(keys("x C-u"), LINE_EDITED);
	is("", 0);
	assert_int_equal(keys("Backspace"), LINE_CANCELLED); /* out of the empty line */
	assert_int_equal(keys("Esc"), LINE_CANCELLED);
	assert_int_equal(keys("C-c"), LINE_CANCELLED);
	assert_int_equal(keys("F5"), LINE_IGNORED);
	assert_int_equal(keys("M-x"), LINE_IGNORED);
	assert_int_equal(keys("Enter"), LINE_DONE);
}

static void a_full_line_takes_no_more(void **state)
{
	(void)state;
	start("");
	for (int i = 0; i < LINE_MAX_BYTES * 2; i++)
		keys(i % 3 ? "x" : "\u20ac");
	assert_true(l.n < LINE_MAX_BYTES && l.n > LINE_MAX_BYTES - 4);
	assert_int_equal(l.text[l.n], '\0');
	keys("Home \u20ac");
	assert_int_equal(l.text[l.n], '\0');
}

static void history_keeps_what_was_being_typed(void **state)
{
	char text[32];

	(void)state;
	start("");
	line_remember(&l, LINE_COMMAND, "one");
	line_remember(&l, LINE_COMMAND, "two");
	line_remember(&l, LINE_COMMAND, "two");
	line_remember(&l, LINE_COMMAND, "");
	line_remember(&l, LINE_SEARCH, "other");
	assert_int_equal(l.history[LINE_COMMAND].n, 2);
	keys("n e w Up");
	is("two", 3);
	keys("Up Up Up");
	is("one", 3);
	keys("Down");
	is("two", 3);
	keys("Down Down");
	is("new", 3);
	for (int i = 0; i < 3 * LINE_HISTORY; i++) {
		snprintf(text, sizeof(text), "line %d", i);
		line_remember(&l, LINE_COMMAND, text);
	}
	assert_int_equal(l.history[LINE_COMMAND].n, LINE_HISTORY);
	assert_string_equal(l.history[LINE_COMMAND].item[LINE_HISTORY - 1], text);
	line_free(&l);
}

static void completion_goes_as_far_as_it_is_sure_and_then_around(void **state)
{
	(void)state;
	start("");
	keys("v Tab");
	is("view ", 5);
	keys("s Tab");
	is("view s", 6);
	assert_int_equal(l.words.n, 3);
	keys("t Tab");
	is("view st", 7);
	assert_int_equal(l.words.n, 2);
	keys("Tab");
	is("view stats", 10);
	keys("Tab");
	is("view st\u00e4rke", 12);
	keys("Tab");
	is("view stats", 10);
	keys("x");
	assert_int_equal(l.words.n, 0);
	start("zz");
	keys("Tab");
	is("zz", 2);
	start("stop here");
	keys("Home Right Tab"); /* in the middle: what is behind the caret stays */
	is("sttop here", 2);
	start("step e");
	keys("Tab");
	is("step exit ", 10);
}

static void the_caret_stays_in_sight(void **state)
{
	struct screen s;

	(void)state;
	assert_true(screen_init(&s, 20, 1, true));
	start("0123456789012345678901234567890123456789");
	line_draw(&l, &s, 0, 0, 20);
	assert_in_range(s.cursor_x, 1, 19);
	assert_int_equal(s.cells[s.cursor_x - 1].ch, '9');
	keys("Home");
	line_draw(&l, &s, 0, 0, 20);
	assert_int_equal(s.cursor_x, 1);
	assert_int_equal(s.cells[0].ch, ':');
	assert_int_equal(s.cells[1].ch, '0');
	line_draw(&l, &s, 0, 0, 2); /* no room: nothing */
	screen_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(editing),
	    cmocka_unit_test(a_full_line_takes_no_more),
	    cmocka_unit_test(history_keeps_what_was_being_typed),
	    cmocka_unit_test(completion_goes_as_far_as_it_is_sure_and_then_around),
	    cmocka_unit_test(the_caret_stays_in_sight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
