/* The scope: what it shows of a run that is made of trace records, as cells and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include <limits.h>

#include "tests/view_fixture.h"

extern const struct view_ops view_scope_ops;

struct fixture {
	struct app app;
	struct fake_run run;
	struct view view;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_run_open(&f->run, 4096);
	f->app.model = f->run.model;
	f->app.marked = UINT64_MAX;
	fake_open(&f->app, &f->view, &view_scope_ops);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_close(&f->app, &f->view);
	fake_run_close(&f->run);
	free(f);
	return 0;
}

static void has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%s\" is not in:\n%s", what, text);
}

static void has_not(const char *text, const char *what)
{
	if (strstr(text, what))
		fail_msg("\"%s\" is in:\n%s", what, text);
}

/* The line that contains what, without its end; in a static buffer. */
static const char *line_with(const char *text, const char *what)
{
	static char line[1024];
	const char *p = strstr(text, what), *b = p;

	if (!p)
		fail_msg("no line with \"%s\" in:\n%s", what, text);
	while (b > text && b[-1] != '\n')
		b--;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(b, "\n"), b);
	return line;
}

static unsigned lines_of(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void set_verdicts(struct fixture *f)
{
	struct view_verdicts v = {.equivalence = {PG_HOLDS, "300 exits and their registers were the same"},
	    .safety = {PG_UNKNOWN, "the audit has not run"},
	    .efficiency = {PG_VIOLATED, "only 12.0 % of the instructions ran directly"},
	    .direct_fraction = 0.12,
	    .guest_time_fraction = -1};

	view_model_set_verdicts(f->run.model, &v);
}

static void a_small_screen_has_every_part(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	set_verdicts(f);
	for (const char *p = "Hello from the guest\r\n# "; *p; p++)
		view_model_console(f->run.model, "uart", (uint8_t)*p);
	view_model_set_run(f->run.model, VIEW_STOPPED, NULL, "breakpoint 1: vmexit HLT");
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "guest hello");
	has(t, "mode emulate");
	has(t, "type II");
	has(t, "controls vtx-ept");
	has(t, "virtual clock");
	has(t, "= stopped  exits 133, ");
	has(t, "why breakpoint 1: vmexit HLT");
	has(t, "insns 97.1k, ");
	has(t, "per guest second");
	has(t, "guest time 971us");
	has(t, "+ equivalence      holds    300 exits");
	has(t, "? resource control unknown  the audit has not run");
	has(t, "x efficiency       violated only 12.0 %");
	has(t, "Hello from the guest");
	has(line_with(t, "IO_INSTRUCTION  "), "30 IO_INSTRUCTION");
	has(t, "  12 HLT ");
	has(t, "sort: samples, largest first");
	has(t, "halt");
	has(t, "reflect + #GP");
	assert_true(lines_of(t) <= 21);
	free(t);
}

static void a_row_says_count_share_and_times(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);
	const char *row = line_with(t, "EPT_VIOLATION  ");

	/* 10 of 133 exits, 310000 ns of 554290 */
	has(row, "48 EPT_VIOLATION");
	has(row, "    10   7.5%  ");
	has(row, "31.0us 31.0us 31.0us   0.0");
	free(t);
}

static void the_sort_key_is_seen_and_changes_the_order(void **state)
{
	struct fixture *f = *state;
	struct errmsg why = {0};

	fake_story(&f->run, 100);
	assert_int_equal(fake_command(&f->app, &f->view, "sort time", &why), ERR_OK);
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "sort: time, largest first");
	assert_true(strstr(t, " 48 EPT_VIOLATION ") < strstr(t, " 30 IO_INSTRUCTION "));
	assert_true(strstr(t, " 30 IO_INSTRUCTION ") < strstr(t, " 10 CPUID "));
	free(t);
	assert_int_equal(fake_command(&f->app, &f->view, "sort invert", &why), ERR_OK);
	t = fake_frame(&f->app, &f->view, 80, 21, true);
	has(t, "sort: time, smallest first");
	assert_true(strstr(t, " 12 HLT ") < strstr(t, " 10 CPUID "));
	free(t);
	assert_int_not_equal(fake_command(&f->app, &f->view, "sort colour", &why), ERR_OK);
	has(why.text, "no column \"colour\"");
	has(why.text, "samples");
}

static void rates_are_per_second_of_guest_time(void **state)
{
	struct fixture *f = *state;
	struct errmsg why;
	double rate;
	uint32_t spark[VIEW_SPARK];
	char b[16];

	fake_story(&f->run, 1000);
	assert_int_equal(fake_command(&f->app, &f->view, "count rate", &why), ERR_OK);
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "per s");
	view_model_lock(f->run.model);
	view_spark(f->run.model, EXIT_IO_INSTRUCTION, ISA_VMX, spark, &rate);
	view_model_unlock(f->run.model);
	/* about one exit in 760 instructions of 10 ns */
	assert_true(rate > 100000 && rate < 200000);
	has(line_with(t, "30 IO_INSTRUCTION"), fmt_rate(rate, b));
	free(t);
}

static void codes_of_the_vmm_are_marked_and_not_added(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 10);
	for (unsigned i = 0; i < 500; i++)
		fake_exit(&f->run, &(struct fake_exit){.reason = EXIT_VMM_BASE + 1, .rip = 0x7c44, .insns = 1});
	char *t = fake_frame(&f->app, &f->view, 80, 30, true);
	const char *row = line_with(t, "vmm (+)");

	has(row, "   500      -      -");
	/* Most samples, and still last. */
	assert_true(strstr(t, "vmm (+)") > strstr(t, "12 HLT"));
	has(t, "16 exits by reason");
	free(t);
}

static void enter_on_a_row_shows_its_newest_exit(void **state)
{
	struct fixture *f = *state;
	struct errmsg why = {0};

	assert_int_not_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	has(why.text, "no exit yet");
	fake_story(&f->run, 100);
	free(fake_frame(&f->app, &f->view, 80, 21, true));
	/* samples: IO first */
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[0], "select 129");
	assert_string_equal(f->app.lines[1], "view exit");
	f->view.ops->move(&f->app, &f->view, 1);
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[2], "select 130");
}

static void the_cursor_stays_with_its_reason(void **state)
{
	struct fixture *f = *state;
	struct errmsg why;

	fake_story(&f->run, 10);
	free(fake_frame(&f->app, &f->view, 80, 21, true));
	f->view.ops->move(&f->app, &f->view, INT_MAX); /* one of the reasons that came once */
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	const char *before = f->app.lines[0];

	assert_int_equal(fake_command(&f->app, &f->view, "sort name", &why), ERR_OK);
	free(fake_frame(&f->app, &f->view, 80, 21, true));
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[2], before);
}

static void events_end_with_the_newest_and_enter_shows_one(void **state)
{
	struct fixture *f = *state;
	struct errmsg why;

	fake_story(&f->run, 100);
	assert_int_equal(fake_command(&f->app, &f->view, "pane events", &why), ERR_OK);
	f->app.marked = 131;
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(line_with(t, "reflect + #GP"), "*");
	has(line_with(t, "reflect + #GP"), "131");
	has(line_with(t, " halt"), "132");
	has(line_with(t, " halt"), "0x7c44");
	free(t);
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[0], "select 132");
	f->view.ops->move(&f->app, &f->view, -1);
	/* Off the newest it stays where it is, while others come. */
	fake_story(&f->run, 1);
	free(fake_frame(&f->app, &f->view, 80, 21, true));
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[2], "select 131");
	f->view.ops->move(&f->app, &f->view, INT_MAX);
	fake_story(&f->run, 1);
	free(fake_frame(&f->app, &f->view, 80, 21, true));
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[4], "select 140");
}

static void events_pass_the_filter(void **state)
{
	struct fixture *f = *state;
	struct errmsg why;
	size_t at;

	fake_story(&f->run, 100);
	assert_int_equal(view_filter_set(f->run.model, "exit_reason == 48", &at, &why), ERR_OK);
	json_t *j;
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "filter: exit_reason == 48");
	j = f->view.ops->json(&f->app, &f->view);
	assert_int_equal(json_array_size(json_object_get(json_object_get(j, "events"), "newest")), 10);
	json_decref(j);
	free(t);
	/* The table is of all exits. */
	t = fake_frame(&f->app, &f->view, 80, 21, true);
	has(t, "133 exits by reason");
	free(t);
}

static void after_going_back_the_tail_ends_where_the_run_is(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	view_model_position(f->run.model, 5000, 7);
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "exits 7 of 133");
	has(t, "126 later lie ahead");
	has_not(t, "0x7c44");
	free(t);
}

/* Before all that the log keeps there is nothing to show, least of all what came later. */
static void before_the_log_there_are_no_newest_exits(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 100; i++)
		fake_story(&f->run, 100);
	view_model_position(f->run.model, 500, 7);
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "the exits up to here are not kept any more");
	has(t, "newest exits; 4096 later lie ahead");
	free(t);
}

static void an_exit_that_is_not_over_is_not_counted_and_it_is_said(void **state)
{
	struct fixture *f = *state;

	view_model_position(f->run.model, 0, 1);
	char *t = fake_frame(&f->app, &f->view, 80, 21, true);

	has(t, "an exit is counted when it is over");
	free(t);
}

static void what_the_guest_prints_is_shown_and_not_obeyed(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "\x1b[2J\x1b]0;evil\x07ok\xff\xfe\r\nline two \x9b"
				   "31m\n";

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		view_model_console(f->run.model, "uart", (uint8_t)text[i]);
	for (int utf8 = 0; utf8 < 2; utf8++) {
		char *t = fake_frame(&f->app, &f->view, 80, 21, !utf8);

		for (const char *p = t; *p; p++)
			if ((unsigned char)*p < ' ' && *p != '\n')
				fail_msg("control byte 0x%02x on the screen", (unsigned char)*p);
		has(t, "[2J");
		has(t, "line two");
		free(t);
	}
	json_t *j = f->view.ops->json(&f->app, &f->view), *c = json_object_get(j, "console");

	assert_int_equal(json_integer_value(json_object_get(c, "bytes")), sizeof(text) - 1);
	has(json_string_value(json_object_get(c, "tail")), "\x1b[2J");
	json_decref(j);
}

static void a_long_line_of_the_console_is_folded(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 170; i++)
		view_model_console(f->run.model, "uart", i == 169 ? '!' : 'x');
	char *t = fake_frame(&f->app, &f->view, 80, 30, true);

	/* 80 + 80 + 10 */
	has(t, "\nxxxxxxxxx!\n");
	free(t);
}

static void a_large_screen_shows_more(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	set_verdicts(f);
	view_model_console(f->run.model, "uart", '$');
	char *t = fake_frame(&f->app, &f->view, 200, 47, false);

	has(t, "p50");
	has(t, "guest's console");
	has(t, "✓");
	assert_true(lines_of(t) <= 47);
	free(t);
}

static void any_size_and_no_exit_draw_something(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 2; round++) {
		for (int w = 1; w < 210; w += 13)
			for (int h = 1; h < 60; h += 3)
				free(fake_frame(&f->app, &f->view, w, h, true));
		fake_story(&f->run, 50);
	}
	assert_int_equal(fake_command(&f->app, &f->view, "evidence", NULL), ERR_OK);
	free(fake_frame(&f->app, &f->view, 80, 21, true));
}

static void json_says_what_the_screen_says(void **state)
{
	struct fixture *f = *state;

	fake_story(&f->run, 100);
	set_verdicts(f);
	free(fake_frame(&f->app, &f->view, 80, 21, true));
	json_t *j = f->view.ops->json(&f->app, &f->view), *exits = json_object_get(j, "exits");
	json_t *row = json_array_get(json_object_get(exits, "rows"), 0);

	assert_int_equal(json_integer_value(json_object_get(exits, "total")), 133);
	assert_string_equal(json_string_value(json_object_get(row, "name")), "IO_INSTRUCTION");
	assert_int_equal(json_integer_value(json_object_get(row, "count")), 120);
	assert_int_equal(json_integer_value(json_object_get(row, "min_ns")), 1900);
	assert_int_equal(json_integer_value(json_object_get(row, "max_ns")), 2060);
	assert_string_equal(json_string_value(json_object_get(row, "cost")), "modelled");
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(json_object_get(j, "verdicts"), "efficiency"), "state")),
	    "violated");
	assert_string_equal(json_string_value(json_object_get(json_object_get(j, "now"), "rate_time")), "guest");
	json_decref(j);
}

static void clicks_move_the_cursor_to_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct errmsg why;
	char *t;
	int y = 0;

	fake_story(&f->run, 100);
	t = fake_frame(&f->app, &f->view, 80, 21, true);
	/* the lines of the picture above the one that says "48 EPT_VIOLATION" */
	for (const char *p = t; p < strstr(t, " 48 EPT_VIOLATION"); p++)
		y += *p == '\n';
	free(t);
	f->view.ops->click(&f->app, &f->view, 10, y);
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[0], "select 130");
	f->view.ops->click(&f->app, &f->view, 10, 19); /* the last but one of the events */
	assert_int_equal(f->view.ops->enter(&f->app, &f->view, &why), ERR_OK);
	assert_string_equal(f->app.lines[2], "select 131");
}

static void while_it_runs_the_verdicts_are_those_of_the_last_stop(void **state)
{
	struct fixture *f = *state;
	char *t;

	set_verdicts(f);
	view_model_set_run(f->run.model, VIEW_RUNNING, NULL, NULL);
	t = fake_frame(&f->app, &f->view, 80, 21, true);
	has(t, "at the last stop: the audit has not run");
	has(t, "> running");
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_small_screen_has_every_part, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_row_says_count_share_and_times, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_sort_key_is_seen_and_changes_the_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(rates_are_per_second_of_guest_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(codes_of_the_vmm_are_marked_and_not_added, setup, teardown),
	    cmocka_unit_test_setup_teardown(enter_on_a_row_shows_its_newest_exit, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_cursor_stays_with_its_reason, setup, teardown),
	    cmocka_unit_test_setup_teardown(events_end_with_the_newest_and_enter_shows_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(events_pass_the_filter, setup, teardown),
	    cmocka_unit_test_setup_teardown(after_going_back_the_tail_ends_where_the_run_is, setup, teardown),
	    cmocka_unit_test_setup_teardown(before_the_log_there_are_no_newest_exits, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_exit_that_is_not_over_is_not_counted_and_it_is_said, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_the_guest_prints_is_shown_and_not_obeyed, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_long_line_of_the_console_is_folded, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_large_screen_shows_more, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_size_and_no_exit_draw_something, setup, teardown),
	    cmocka_unit_test_setup_teardown(json_says_what_the_screen_says, setup, teardown),
	    cmocka_unit_test_setup_teardown(clicks_move_the_cursor_to_what_is_there, setup, teardown),
	    cmocka_unit_test_setup_teardown(while_it_runs_the_verdicts_are_those_of_the_last_stop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
