/* tui/app*.c: what keys and commands do, with views and an engine that are only data. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <unistd.h>

#include "tests/tui_fake.h"
#include "tui/app_impl.h"
#include "tui/table.h"

/* --- two views ---------------------------------------------------------------------------------------------------- */
struct list {
	int cursor, collected;
	char sorted[16];
};
static unsigned n_closed;
static uint64_t fake_now, hold_takes_ns;

static void list_collect(struct app *a, struct view *v, struct view_model *m, int w, int h)
{
	struct list *l = v->state;

	(void)a;
	assert_true(m->locked && w > 0 && h > 0);
	l->collected++;
	fake_now += hold_takes_ns;
}

static void list_draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	struct list *l = v->state;

	(void)a;
	for (int i = 0; i < 20; i++)
		screen_printf(s, r->x, r->y + i, r->w, i == l->cursor ? STYLE_SELECTED : STYLE_NORMAL, "%s line %d",
		    v->ops->name, i);
	/* A view cannot draw outside its place. */
	screen_text(s, 0, 0, -1, STYLE_NORMAL, "outside");
}

static json_t *list_json(struct app *a, struct view *v)
{
	(void)a;
	return json_pack("{s:i}", "cursor", ((struct list *)v->state)->cursor);
}

static void list_move(struct app *a, struct view *v, int lines)
{
	struct list *l = v->state;

	(void)a;
	l->cursor = lines == INT_MIN ? 0 : lines == INT_MAX ? 19 : l->cursor + lines;
	l->cursor = l->cursor < 0 ? 0 : l->cursor > 19 ? 19 : l->cursor;
}

static bool list_search(struct app *a, struct view *v, const char *text, int dir)
{
	struct list *l = v->state;
	char line[32];

	(void)a;
	for (int i = l->cursor + dir; i >= 0 && i < 20; i += dir) {
		snprintf(line, sizeof(line), "line %d", i);
		if (strstr(line, text)) {
			l->cursor = i;
			return true;
		}
	}
	return false;
}

static enum err list_enter(struct app *a, struct view *v, struct errmsg *why)
{
	(void)v;
	return app_command(a, "view two", why);
}

static void list_click(struct app *a, struct view *v, int x, int y)
{
	(void)a;
	(void)x;
	((struct list *)v->state)->cursor = y;
}

static void list_close(struct app *a, struct view *v)
{
	(void)a;
	(void)v;
	n_closed++;
}

static enum err list_sort(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)a;
	if (!strcmp(args, "bad"))
		return err_set(why, ERR_INVAL, "no column 'bad'");
	snprintf(((struct list *)v->state)->sorted, 16, "%s", args);
	return ERR_OK;
}

static const struct command list_commands[] = {
    {"sort", "COLUMN", "Sorts.", list_sort, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static const struct binding list_bindings[] = {
    {"F6", "sort time", "Sort"}, {"x", "sort bad", NULL}, {"f", "sort mine", NULL}, {NULL, NULL, NULL}};

static const struct view_ops one = {.name = "one",
    .title = "One",
    .about = "The first.",
    .commands = list_commands,
    .bindings = list_bindings,
    .state_size = sizeof(struct list),
    .close = list_close,
    .collect = list_collect,
    .draw = list_draw,
    .json = list_json,
    .move = list_move,
    .search = list_search,
    .enter = list_enter,
    .click = list_click};
static const struct table_column columns[] = {{.name = "size"}, {.name = "name", .ascending = true}};
static const struct table_ops table_ops = {.columns = columns, .n_columns = 2};
static struct table table;

static struct table *two_table(struct view *v)
{
	(void)v;
	return &table;
}

static const struct view_ops two = {.name = "two",
    .title = "Two",
    .about = "The second.",
    .state_size = sizeof(struct list),
    .close = list_close,
    .collect = list_collect,
    .from_log = true,
    .table = two_table,
    .draw = list_draw};
const struct view_ops *const views[] = {&one, &two, NULL};

/* --- the fixture -------------------------------------------------------------------------------------------------- */
static uint64_t now_ns(void *arg)
{
	(void)arg;
	return fake_now;
}

static struct view_model model;
static struct view_exit exits[100];
static struct engine engine;
static struct app *app;
static struct screen screen;

static void start(bool with_engine)
{
	static const uint32_t reasons[] = {10, 30, 28}; /* CPUID, IO_INSTRUCTION, CR_ACCESS */
	struct app_config cfg = {.model = &model, .now_ns = now_ns};
	struct errmsg why;

	model = (struct view_model){.info = {.guest = "hello",
					.mode = "emulate",
					.type = 2,
					.controls = "vtx-ept",
					.counts_insns = true,
					.n_vcpus = 2}};
	fake_exits(&model, exits, 100, reasons, 3);
	engine = (struct engine){.model = &model};
	if (with_engine) {
		cfg.model = NULL;
		cfg.engine = &engine;
		cfg.symbols = (const void *)&engine;
	}
	n_closed = 0;
	assert_int_equal(app_open(&cfg, &app, &why), ERR_OK);
	assert_true(screen_init(&screen, 80, 24, true));
	app_draw(app, &screen);
}

static void stop(void)
{
	app_close(app);
	screen_fini(&screen);
	free(model.filter);
	assert_int_equal(model.locked, 0);
	assert_int_equal(engine.held, 0);
}

static void key(const char *name)
{
	struct key_event k = {.key = key_by_name(name)};

	assert_int_not_equal(k.key, KEY_NONE);
	app_key(app, &k);
	app_draw(app, &screen);
}

static void type(const char *text)
{
	for (; *text; text++)
		key(*text == ' ' ? "Space" : (char[]){*text, 0});
}

static bool shows(const char *text)
{
	char *dump = screen_dump(&screen, false);
	bool there = strstr(dump, text);

	free(dump);
	return there;
}

static enum err command(const char *line, struct errmsg *why)
{
	why->text[0] = '\0';
	return app_command(app, line, why);
}

#define OK(line) assert_int_equal(command(line, &(struct errmsg){""}), ERR_OK)

static void wrong(const char *line, const char *text)
{
	struct errmsg why;

	assert_int_not_equal(command(line, &why), ERR_OK);
	if (!strstr(why.text, text))
		fail_msg("'%s' said: %s", line, why.text);
	assert_null(strchr(why.text, '\n'));
}

/* --- tests ----------------------------------------------------------------------------------------------------------
 */
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
	assert_true(shows("Writes the screen to a file;"));
	key("Esc"); /* the search */
	key("Esc"); /* the help */
	assert_true(shows("one line 0"));
	key("?");
	key("h");
	assert_true(shows("one line 0"));
	stop();
}

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
	    cmocka_unit_test(below_the_minimum_it_says_what_it_needs),
	    cmocka_unit_test(views_switch_drill_in_and_go_back),
	    cmocka_unit_test(help_is_made_of_the_tables),
	    cmocka_unit_test(run_control_goes_to_the_engine),
	    cmocka_unit_test(what_runs_in_the_background_is_news_later),
	    cmocka_unit_test(breakpoints_as_people_write_them),
	    cmocka_unit_test(exits_are_selected_marked_and_followed),
	    cmocka_unit_test(a_filter_stays_open_where_it_is_wrong),
	    cmocka_unit_test(search_goes_on_and_ends),
	    cmocka_unit_test(a_view_s_keys_and_commands_come_first),
	    cmocka_unit_test(a_view_with_a_table_is_sorted),
	    cmocka_unit_test(the_mouse_does_what_keys_do),
	    cmocka_unit_test(a_long_message_is_seen_to_its_end),
	    cmocka_unit_test(console_input_has_escapes),
	    cmocka_unit_test(a_trace_has_exits_but_does_not_run),
	    cmocka_unit_test(themes_and_the_rest),
	    cmocka_unit_test(a_guest_that_runs_is_held_only_by_views_that_ask_it),
	    cmocka_unit_test(a_hold_that_took_long_is_not_soon_repeated),
	    cmocka_unit_test(twins_are_text_and_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
