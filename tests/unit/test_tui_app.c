/* tui/app*.c: views, keys, commands, the mouse: what is shown. */
#include "tests/tui_app_fixture.h"

static void a_frame_has_title_view_message_and_bar(void **state)
{
	(void)state;
	start(true);
	assert_true(shows("hello  emulate/II  vtx-ept  = stopped  100 exits"));
	assert_true(shows("one line 0"));
	assert_false(shows("outside"));
	assert_true(shows("F1 Help F6 Sort s Insn e Exit"));
	assert_true(shows("q Quit"));
	stop();
	assert_int_equal(n_closed, 1); /* the second was never opened */
}

static void a_title_leaves_out_whole_parts(void **state)
{
	(void)state;
	start(true);
	model.now.exits = 98;
	model.now.insns = 127;
	app_draw(app, &screen);
	assert_true(shows("hello  emulate/II  = stopped  in the past  98 exits  127 insns  cpu 0"));
	screen_resize(&screen, 100, 24);
	app_draw(app, &screen);
	assert_true(shows("hello  emulate/II  vtx-ept  = stopped  in the past  98 exits  127 insns  cpu 0"));
	screen_resize(&screen, 80, 24);
	snprintf(model.info.guest, sizeof(model.info.guest), "a-name-that-is-not-short");
	app_draw(app, &screen);
	assert_true(shows("a-name-that-is-not-short  = stopped  in the past  98 exits  127 insns"));
	stop();
}

static void what_follows_a_guest_that_runs_is_in_the_log(void **state)
{
	(void)state;
	start(true);
	model.now.exits = 250; /* the tracer is behind */
	model.now.run = VIEW_RUNNING;
	app_draw(app, &screen);
	assert_int_equal(model.now.selected, 99);
	model.now.exits = 50; /* in the past: the log has later ones */
	app_draw(app, &screen);
	assert_int_equal(model.now.selected, 49);
	stop();
}

static void a_guest_that_has_ended_says_what_can_be_done(void **state)
{
	(void)state;
	start(true);
	assert_false(shows("the guest has ended"));
	model.now.run = VIEW_ENDED;
	app_draw(app, &screen);
	assert_true(shows("the guest has ended   R: again"));
	model.now.can_back = true;
	app_draw(app, &screen);
	assert_true(shows("the guest has ended   U: back an exit   R: again"));
	stop();
}

static void below_the_minimum_it_says_what_it_needs(void **state)
{
	(void)state;
	start(true);
	screen_resize(&screen, 60, 20);
	app_draw(app, &screen);
	assert_true(shows("vmscope needs 80x24."));
	assert_true(shows("This terminal is 60x20."));
	key("s");
	assert_int_equal(engine.n_do, 0); /* not what cannot be seen */
	screen_resize(&screen, 80, 24);
	app_draw(app, &screen);
	assert_true(shows("one line 0"));
	screen_resize(&screen, 10, 3);
	app_draw(app, &screen);
	key("q");
	assert_true(app_quit(app));
	stop();
}

static void views_switch_drill_in_and_go_back(void **state)
{
	(void)state;
	start(true);
	key("Down");
	key("Down");
	key("Enter");
	assert_true(shows("two line 0"));
	key("Esc");
	assert_true(shows("one line 2"));
	key("2");
	assert_true(shows("two line 0"));
	key("Esc"); /* a digit goes elsewhere, there is nothing to go back to */
	assert_true(shows("two line 0"));
	key("Tab");
	assert_true(shows("one line 0"));
	key("S-Tab");
	assert_true(shows("two line 0"));
	key("Enter");
	assert_true(shows("Enter goes nowhere from here"));
	key("9");
	assert_true(shows("there is no view 9: they are 1 to 2"));
	key("q");
	assert_true(app_quit(app));
	stop();
}

static void help_is_made_of_the_tables(void **state)
{
	(void)state;
	start(true);
	key("F1");
	assert_true(shows("One: The first."));
	assert_true(shows("F6           sort time            Sorts."));
	assert_true(shows("Run control"));
	key("/");
	type("screen to a file");
	key("Enter");
	assert_true(shows("Writes the screen to a file."));
	key("Esc"); /* the search */
	key("Esc"); /* the help */
	assert_true(shows("one line 0"));
	key("?");
	key("h");
	assert_true(shows("one line 0"));
	stop();
}

static void help_of_a_trace_has_the_keys_of_a_trace(void **state)
{
	(void)state;
	start(false);
	screen_resize(&screen, 80, 60);
	key("F1");
	app_draw(app, &screen);
	assert_true(shows("e ]          select next          The next exit."));
	assert_true(shows("v            line vmexit          The next exit of a reason"));
	assert_true(shows("g            line goto exit       Exit K."));
	assert_false(shows("  ]            select next")); /* it is there */
	assert_false(shows("Run control"));
	assert_false(shows("steps over"));
	stop();
}

static void a_view_s_keys_and_commands_come_first(void **state)
{
	(void)state;
	start(true);
	key("f"); /* finish elsewhere */
	assert_int_equal(engine.n_do, 0);
	key("x");
	assert_true(shows("no column 'bad'"));
	key("Down");
	assert_false(shows("no column 'bad'")); /* until the next key */
	assert_true(shows("one line 1"));
	OK("view two");
	key("f");
	assert_int_equal(engine.verb, ENGINE_FINISH);
	OK("help");
	key(">");
	app_draw(app, &screen);
	assert_true(shows("has nothing to sort"));
	OK("leave");
	key("Insert");
	assert_true(shows("Insert does nothing here"));
	stop();
}

/* What another view would take is no abbreviation of something else. */
static void a_command_of_another_view_says_which(void **state)
{
	(void)state;
	start(true);
	wrong("vm stop 2", "'vm stop' is a command of the view two: 'view two' first");
	assert_int_equal(engine.n_do, 0);
	OK("vm CPUID"); /* vmexit */
	assert_int_equal(engine.verb, ENGINE_TO_REASON);
	OK("view two");
	OK("vm stop 2");
	wrong("vmexit", "which exit reason?");
	stop();
}

static void completion_offers_all_that_may_follow(void **state)
{
	(void)state;
	start(true);
	key(":");
	type("break ");
	key("Tab");
	app_draw(app, &screen);
	assert_true(shows("list  delete  enable  disable  insn  exit  port  msr  mem"));
	assert_true(shows("..."));
	key("Esc");
	key(":");
	type("v");
	key("Tab");
	app_draw(app, &screen);
	assert_true(shows("vmexit  view"));
	assert_false(shows("..."));
	stop();
}

static void a_view_with_a_table_is_sorted(void **state)
{
	(void)state;
	start(true);
	table_init(&table, &table_ops, NULL, 0);
	OK("view two");
	key(">");
	assert_int_equal(table.sort, 1);
	OK("sort size");
	assert_int_equal(table.sort, 0);
	key("<");
	assert_int_equal(table.sort, 1);
	key("I");
	assert_true(table.invert);
	wrong("sort colour", "one of size, name");
	key(":");
	type("sort na");
	key("Tab");
	key("Enter");
	assert_int_equal(table.sort, 1);
	assert_false(table.invert);
	stop();
}

static void the_mouse_does_what_keys_do(void **state)
{
	struct key_event k = {.key = KEY_N_MOUSE, .x = 5, .y = 4, .mouse = MOUSE_CLICK};
	char *dump;

	(void)state;
	start(true);
	app_key(app, &k);
	app_draw(app, &screen);
	assert_int_equal(screen.cells[4 * 80].style, STYLE_SELECTED);
	k.mouse = MOUSE_WHEEL_DOWN;
	app_key(app, &k);
	app_draw(app, &screen);
	assert_int_equal(screen.cells[7 * 80].style, STYLE_SELECTED);
	dump = screen_dump(&screen, false);
	k = (struct key_event){.key = KEY_N_MOUSE, .y = 23, .mouse = MOUSE_CLICK};
	for (char *p = dump; (p = strchr(p, '\n')); p++)
		if (!strncmp(p + 1, " F1 Help", 8))
			k.x = (int)(strstr(p, "s Insn") - p - 1);
	free(dump);
	app_key(app, &k);
	assert_int_equal(engine.verb, ENGINE_STEP_INSN);
	assert_int_equal(engine.n_do, 1);
	k = (struct key_event){.key = KEY_N_MOUSE, .x = 5, .y = 4, .mouse = MOUSE_DOUBLE};
	app_key(app, &k);
	app_draw(app, &screen);
	assert_true(shows("two line 0"));
	key("M");
	assert_false(app_wants_mouse(app));
	stop();
}

static void a_long_message_is_seen_to_its_end(void **state)
{
	(void)state;
	start(true);
	app_message(app, "%s",
	    "this message is longer than one row of eighty columns, so that the rest of it stands in the next row");
	app_draw(app, &screen);
	assert_true(shows("in the next row"));
	assert_false(shows("F1 Help"));
	key("j");
	app_draw(app, &screen);
	assert_true(shows("F1 Help"));
	stop();
}

static void themes_and_the_rest(void **state)
{
	(void)state;
	start(true);
	assert_string_equal(app_theme(app), "dark");
	key("T");
	assert_string_equal(app_theme(app), "light");
	OK("theme safe");
	assert_string_equal(app_theme(app), "safe");
	wrong("theme pink", "no colour scheme");
	assert_false(app_take_redraw(app));
	key("C-l");
	assert_true(app_take_redraw(app));
	assert_false(app_take_redraw(app));
	key("C-c");
	assert_true(shows("nothing is running"));
	key("F10");
	assert_true(app_quit(app));
	stop();
}

static struct list *state_of(void)
{
	return app_top(app)->state;
}

static void a_guest_that_runs_is_held_only_by_views_that_ask_it(void **state)
{
	(void)state;
	start(true);
	engine.runs = true;
	fake_now = 1000000000;
	app_draw(app, &screen);
	unsigned holds = engine.n_holds;
	int collected = state_of()->collected;
	app_draw(app, &screen); /* the hold took no time: again at once */
	assert_int_equal(engine.n_holds, holds + 1);
	assert_int_equal(state_of()->collected, collected + 1);
	key("2");
	assert_string_equal(app_top(app)->ops->name, "two");
	holds = engine.n_holds;
	collected = state_of()->collected;
	app_draw(app, &screen);
	assert_int_equal(engine.n_holds, holds);
	assert_int_equal(state_of()->collected, collected + 1);
	engine.runs = false; /* what stands still, or cannot be cut, is asked as ever */
	app_draw(app, &screen);
	assert_int_equal(engine.n_holds, holds + 1);
	stop();
}

static void a_hold_that_took_long_is_not_soon_repeated(void **state)
{
	(void)state;
	start(true);
	engine.runs = true;
	fake_now = 1000000000;
	hold_takes_ns = 1000000;
	app_draw(app, &screen);
	hold_takes_ns = 0;
	unsigned holds = engine.n_holds;
	int collected = state_of()->collected;
	fake_now += 16000000;
	model.now.exits = 77;
	app_draw(app, &screen);
	assert_int_equal(engine.n_holds, holds);
	assert_int_equal(state_of()->collected, collected);
	assert_true(shows("77 exits")); /* the title is of this frame */
	key("Down");			/* who presses a key does not wait */
	assert_int_equal(engine.n_holds, holds + 1);
	fake_now += 50000000;
	app_draw(app, &screen);
	assert_int_equal(engine.n_holds, holds + 2);
	stop();
}

static void twins_are_text_and_json(void **state)
{
	struct errmsg why;
	char *text;
	json_t *j;

	(void)state;
	start(true);
	key("Down");
	text = app_view_text(app, "two", 40, &why);
	assert_non_null(text);
	assert_non_null(strstr(text, "two line 1\ntwo line 2\n"));
	free(text);
	j = app_view_json(app, NULL, &why);
	assert_int_equal(json_integer_value(json_object_get(j, "cursor")), 1);
	json_decref(j);
	assert_null(app_view_json(app, "two", &why));
	assert_non_null(strstr(why.text, "has no JSON"));
	assert_null(app_view_text(app, "three", 80, &why));
	assert_non_null(strstr(why.text, "no view 'three'"));
	app_draw(app, &screen);
	assert_true(shows("one line 0")); /* what is seen has not changed */
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_frame_has_title_view_message_and_bar),
	    cmocka_unit_test(a_title_leaves_out_whole_parts),
	    cmocka_unit_test(what_follows_a_guest_that_runs_is_in_the_log),
	    cmocka_unit_test(a_guest_that_has_ended_says_what_can_be_done),
	    cmocka_unit_test(below_the_minimum_it_says_what_it_needs),
	    cmocka_unit_test(views_switch_drill_in_and_go_back),
	    cmocka_unit_test(help_is_made_of_the_tables),
	    cmocka_unit_test(help_of_a_trace_has_the_keys_of_a_trace),
	    cmocka_unit_test(a_view_s_keys_and_commands_come_first),
	    cmocka_unit_test(a_command_of_another_view_says_which),
	    cmocka_unit_test(completion_offers_all_that_may_follow),
	    cmocka_unit_test(a_view_with_a_table_is_sorted),
	    cmocka_unit_test(the_mouse_does_what_keys_do),
	    cmocka_unit_test(a_long_message_is_seen_to_its_end),
	    cmocka_unit_test(themes_and_the_rest),
	    cmocka_unit_test(a_guest_that_runs_is_held_only_by_views_that_ask_it),
	    cmocka_unit_test(a_hold_that_took_long_is_not_soon_repeated),
	    cmocka_unit_test(twins_are_text_and_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
