/* tui/app*.c: what keys and commands do to the run, its exits and its console. */
#include "tests/tui_app_fixture.h"

static void run_control_goes_to_the_engine(void **state)
{
	static const struct {
		const char *line;
		enum engine_verb verb;
		uint64_t n;
	} rows[] = {
	    {"step", ENGINE_STEP_INSN, 1}, {"step 12", ENGINE_STEP_INSN, 12}, {"step exit", ENGINE_STEP_EXIT, 1},
	    {"step exit 3", ENGINE_STEP_EXIT, 3}, {"over", ENGINE_STEP_OVER, 0}, {"finish", ENGINE_FINISH, 0},
	    {"run", ENGINE_RUN, 0}, {"continue", ENGINE_RUN, 0}, {"vmexit cpuid", ENGINE_TO_REASON, 10},
	    {"vmexit 30", ENGINE_TO_REASON, 30}, {"back", ENGINE_BACK_INSN, 1}, {"back 0x10", ENGINE_BACK_INSN, 16},
	    {"back exit 2", ENGINE_BACK_EXIT, 2}, {"back break", ENGINE_BACK_BREAK, 0},
	    {"goto exit 0", ENGINE_GOTO_EXIT, 0}, {"goto insn 5", ENGINE_GOTO_INSN, 5}, {"slow", ENGINE_SLOW, 4},
	    {"slow 20", ENGINE_SLOW, 20}, {"restart", ENGINE_RESTART, 0}, {"turbo", ENGINE_RUN, 0},
	    {"cont", ENGINE_RUN, 0}, /* the beginning of a name */
	};

	(void)state;
	start(true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		OK(rows[i].line);
		assert_int_equal(engine.n_do, i + 1);
		assert_int_equal(engine.verb, rows[i].verb);
		assert_int_equal(engine.n, rows[i].n);
	}
	wrong("step x", "'x' is not a number");
	wrong("step 0", "at least 1");
	wrong("finish now", "one word too many");
	wrong("vmexit nonsense", "no exit reason 'nonsense'");
	wrong("goto exit", "goto exit K");
	wrong("frobnicate", "no command 'frobnicate'");
	wrong("s", "may be: sort, step, slow");
	engine.result = ERR_UNSUPPORTED;
	strcpy(engine.why.text, "this backend cannot go back");
	wrong("back", "this backend cannot go back");
	assert_int_equal(engine.n_do, ARRAY_LEN(rows) + 1);
	stop();
}

static void what_runs_in_the_background_is_news_later(void **state)
{
	(void)state;
	start(true);
	engine.threaded = true;
	assert_false(app_dirty(app));
	assert_int_equal(app_wait_ms(app), -1);
	key("c");
	assert_true(shows("> running"));
	assert_true(shows("p Pause"));
	assert_true(app_dirty(app)); /* 60 times a second */
	assert_true(app_wait_ms(app) > 0);
	key("s");
	assert_true(shows("the guest is running"));
	key("p");
	assert_int_equal(engine.n_pause, 1);
	key("Z");
	app_draw(app, &screen);
	assert_false(app_dirty(app)); /* frozen */
	assert_true(shows("FROZEN"));
	key("Z");
	fake_engine_done(&engine, ERR_IO, "the line is dead");
	assert_true(app_dirty(app));
	app_draw(app, &screen);
	assert_true(shows("the line is dead"));
	assert_false(app_dirty(app));
	key("t");
	assert_true(app_turbo(app));
	assert_false(app_dirty(app));
	assert_int_equal(app_wait_ms(app), -1);
	fake_engine_done(&engine, ERR_OK, "");
	assert_true(app_dirty(app));
	assert_false(app_turbo(app));
	stop();
}

static void breakpoints_as_people_write_them(void **state)
{
	static const struct {
		const char *line;
		enum break_kind kind;
		unsigned access;
		uint64_t lo, hi;
	} rows[] = {
	    {"break main", BREAK_INSN, 0, 0x1000, 0x1000},
	    {"break 0x7c00", BREAK_INSN, 0, 0x7c00, 0x7c00},
	    {"break 7c00", BREAK_INSN, 0, 0x7c00, 0x7c00},
	    {"break mem 100-1ff", BREAK_MEM, 0, 0x100, 0x1ff},
	    {"break insn print+0x10", BREAK_INSN, 0, 0x1110, 0x1110},
	    {"break exit CPUID", BREAK_EXIT, 0, 10, 0},
	    {"break exit 28", BREAK_EXIT, 0, 28, 0},
	    {"break port 0x3f8-0x3ff out", BREAK_PORT, BREAK_WRITE, 0x3f8, 0x3ff},
	    {"break port 0x60 in", BREAK_PORT, BREAK_READ, 0x60, 0x60},
	    {"break msr 0x10", BREAK_MSR, 0, 0x10, 0x10},
	    {"break mem 0x2000-0x2fff w", BREAK_MEM, BREAK_WRITE, 0x2000, 0x2fff},
	};

	(void)state;
	start(true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct breakpoint *b = &engine.breaks[i];

		OK(rows[i].line);
		assert_int_equal(b->id, i + 1);
		assert_int_equal(b->kind, rows[i].kind);
		assert_int_equal(b->access, rows[i].access);
		assert_int_equal(b->lo, rows[i].lo);
		if (b->kind != BREAK_EXIT)
			assert_int_equal(b->hi, rows[i].hi);
		assert_string_equal(b->text, rows[i].line + strlen("break "));
	}
	wrong("break", "break ADDR|SYMBOL");
	wrong("break nowhere", "no symbol 'nowhere'");
	wrong("break cr_access", "cr_access is an exit reason: break exit cr_access");
	wrong("break msr c0000080", "hexadecimal ones begin with 0x");
	wrong("break port 0x60-0x50", "ends before it begins");
	wrong("break port 0x60 sideways", "not 'sideways'");
	wrong("break port 0x10000", "ports are 0 to 0xffff");
	wrong("break msr", "break ADDR|SYMBOL");
	wrong("break main main", "break ADDR|SYMBOL");
	OK("break disable 2");
	assert_true(engine.breaks[1].disabled);
	OK("break enable 2");
	assert_false(engine.breaks[1].disabled);
	OK("break delete 2");
	assert_int_equal(engine.breaks[1].id, 0);
	wrong("break delete 2", "there is no breakpoint 2");
	wrong("break delete", "not the number");
	OK("break list");
	app_draw(app, &screen);
	assert_true(shows("exit CPUID"));
	assert_true(shows("0 hits"));
	key("Esc");
	engine.break_result = ERR_UNSUPPORTED;
	wrong("break 1", "cannot stop there");
	key("b");
	type("0x10");
	key("Enter");
	assert_true(shows("cannot stop there"));
	stop();
}

static void exits_are_selected_marked_and_followed(void **state)
{
	(void)state;
	start(true);
	assert_true(app_following(app));
	OK("select 10"); /* IO_INSTRUCTION, as every third */
	assert_false(app_following(app));
	assert_int_equal(model.now.selected, 10);
	key("]");
	assert_int_equal(model.now.selected, 11);
	key("[");
	key("[");
	assert_int_equal(model.now.selected, 9);
	key("}");
	assert_int_equal(model.now.selected, 12);
	key("{");
	key("{");
	assert_int_equal(model.now.selected, 6);
	key("Space");
	assert_true(app_marked(app, 6));
	OK("mark 90");
	OK("mark 3");
	assert_true(app_marked(app, 3) && app_marked(app, 6) && app_marked(app, 90) && !app_marked(app, 4));
	OK("select next mark");
	assert_int_equal(model.now.selected, 90);
	wrong("select next mark", "no marked exit after this one");
	OK("mark 90");
	assert_false(app_marked(app, 90));
	OK("select prev mark");
	assert_int_equal(model.now.selected, 6);
	wrong("mark 1000", "no exit 1000");
	wrong("select 1000", "it has 0 to 99");
	wrong("select never", "select K, next");
	OK("select 0");
	wrong("select prev", "no exit before this one");
	key("F");
	app_draw(app, &screen);
	assert_int_equal(model.now.selected, 99);
	OK("select 5");
	OK("step");
	app_draw(app, &screen);
	assert_int_equal(model.now.selected, 99); /* who steps wants to see where to */
	stop();
}

static void a_filter_stays_open_where_it_is_wrong(void **state)
{
	(void)state;
	start(true);
	key("\\");
	type("CPUID & 1");
	key("Enter");
	assert_true(shows("\\CPUID & 1"));
	assert_true(shows("' & 1' is no name"));
	assert_int_equal(screen.cursor_x, 1 + 5);
	assert_int_equal(screen.cursor_y, 22);
	key("C-k");
	assert_false(shows("is no name"));
	key("Enter");
	assert_true(shows("filter: CPUID"));
	assert_string_equal(model.filter, "CPUID");
	OK("select 0");
	OK("select next"); /* exits that do not pass are passed over */
	assert_int_equal(model.now.selected, 3);
	wrong("filter 1", "filter: '1' is no name");
	assert_string_equal(model.filter, "CPUID"); /* the old one stays */
	OK("filter");
	assert_null(model.filter);
	stop();
}

static void search_goes_on_and_ends(void **state)
{
	(void)state;
	start(true);
	key("/");
	type("line 1");
	key("Enter");
	assert_string_equal(app_search_text(app), "line 1");
	assert_true(shows("n Next"));
	key("n");
	key("N");
	assert_int_equal(engine.n_do, 0);
	wrong("search nothing like it", "is not below this line");
	key("Esc");
	assert_null(app_search_text(app));
	key("n"); /* steps over again */
	assert_int_equal(engine.verb, ENGINE_STEP_OVER);
	wrong("search next", "/ begins a search");
	stop();
}

static void console_input_has_escapes(void **state)
{
	(void)state;
	start(true);
	OK("type ls\\n\\x1b\\\\");
	assert_int_equal(engine.n_typed, 5);
	assert_memory_equal(engine.typed, "ls\n\x1b\\", 5);
	OK("open timer --controls all");
	assert_string_equal(engine.loaded, "timer --controls all");
	engine.load_result = ERR_NOENT;
	wrong("open nothing", "'nothing' is no guest");
	OK("cpu 1");
	assert_int_equal(app_vcpu(app), 1);
	OK("cpu");
	assert_int_equal(app_vcpu(app), 0);
	wrong("cpu 2", "this guest has 0 to 1");
	stop();
}

static void a_trace_has_exits_but_does_not_run(void **state)
{
	(void)state;
	start(false);
	wrong("run", "recorded trace");
	wrong("break exit CPUID", "recorded trace");
	OK("select 10");
	key("e");
	assert_int_equal(model.now.selected, 11);
	OK("goto exit 30");
	assert_int_equal(model.now.selected, 30);
	OK("vmexit CR_ACCESS");
	assert_int_equal(model.now.selected, 32);
	OK("back exit 2");
	assert_int_equal(model.now.selected, 30);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(run_control_goes_to_the_engine),
	    cmocka_unit_test(what_runs_in_the_background_is_news_later),
	    cmocka_unit_test(breakpoints_as_people_write_them),
	    cmocka_unit_test(exits_are_selected_marked_and_followed),
	    cmocka_unit_test(a_filter_stays_open_where_it_is_wrong),
	    cmocka_unit_test(search_goes_on_and_ends),
	    cmocka_unit_test(console_input_has_escapes),
	    cmocka_unit_test(a_trace_has_exits_but_does_not_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
