/*
 * The application with views and an engine that are only data: for tests of tui/app*.c. Included once by a program.
 */
#ifndef VMSCOPE_TESTS_TUI_APP_FIXTURE_H
#define VMSCOPE_TESTS_TUI_APP_FIXTURE_H

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

static inline void list_collect(struct app *a, struct view *v, struct view_model *m, int w, int h)
{
	struct list *l = v->state;

	(void)a;
	assert_true(m->locked && w > 0 && h > 0);
	l->collected++;
	fake_now += hold_takes_ns;
}

static inline void list_draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	struct list *l = v->state;

	(void)a;
	for (int i = 0; i < 20; i++)
		screen_printf(s, r->x, r->y + i, r->w, i == l->cursor ? STYLE_SELECTED : STYLE_NORMAL, "%s line %d",
		    v->ops->name, i);
	/* A view cannot draw outside its place. */
	screen_text(s, 0, 0, -1, STYLE_NORMAL, "outside");
}

static inline json_t *list_json(struct app *a, struct view *v)
{
	(void)a;
	return json_pack("{s:i}", "cursor", ((struct list *)v->state)->cursor);
}

static inline void list_move(struct app *a, struct view *v, int lines)
{
	struct list *l = v->state;

	(void)a;
	l->cursor = lines == INT_MIN ? 0 : lines == INT_MAX ? 19 : l->cursor + lines;
	l->cursor = l->cursor < 0 ? 0 : l->cursor > 19 ? 19 : l->cursor;
}

static inline bool list_search(struct app *a, struct view *v, const char *text, int dir)
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

static inline enum err list_enter(struct app *a, struct view *v, struct errmsg *why)
{
	(void)v;
	return app_command(a, "view two", why);
}

static inline void list_click(struct app *a, struct view *v, int x, int y)
{
	(void)a;
	(void)x;
	((struct list *)v->state)->cursor = y;
}

static inline void list_close(struct app *a, struct view *v)
{
	(void)a;
	(void)v;
	n_closed++;
}

static inline enum err list_sort(struct app *a, struct view *v, const char *args, struct errmsg *why)
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

static inline struct table *two_table(struct view *v)
{
	(void)v;
	return &table;
}

static const struct command two_commands[] = {
    {"vm stop", "[N]", "Stops one.", list_sort, NULL}, {NULL, NULL, NULL, NULL, NULL}};
static const struct view_ops two = {.name = "two",
    .title = "Two",
    .about = "The second.",
    .commands = two_commands,
    .state_size = sizeof(struct list),
    .close = list_close,
    .collect = list_collect,
    .from_log = true,
    .table = two_table,
    .draw = list_draw};
const struct view_ops *const views[] = {&one, &two, NULL};

/* --- the fixture -------------------------------------------------------------------------------------------------- */
static inline uint64_t now_ns(void *arg)
{
	(void)arg;
	return fake_now;
}

static struct view_model model;
static struct view_exit exits[100];
static struct engine engine;
static struct app *app;
static struct screen screen;

static inline void start(bool with_engine)
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

static inline void stop(void)
{
	app_close(app);
	screen_fini(&screen);
	free(model.filter);
	assert_int_equal(model.locked, 0);
	assert_int_equal(engine.held, 0);
}

static inline void key(const char *name)
{
	struct key_event k = {.key = key_by_name(name)};

	assert_int_not_equal(k.key, KEY_NONE);
	app_key(app, &k);
	app_draw(app, &screen);
}

static inline void type(const char *text)
{
	for (; *text; text++)
		key(*text == ' ' ? "Space" : (char[]){*text, 0});
}

static inline bool shows(const char *text)
{
	char *dump = screen_dump(&screen, false);
	bool there = strstr(dump, text);

	free(dump);
	return there;
}

static inline enum err command(const char *line, struct errmsg *why)
{
	why->text[0] = '\0';
	return app_command(app, line, why);
}

#define OK(line) assert_int_equal(command(line, &(struct errmsg){""}), ERR_OK)

static inline void wrong(const char *line, const char *text)
{
	struct errmsg why;

	assert_int_not_equal(command(line, &why), ERR_OK);
	if (!strstr(why.text, text))
		fail_msg("'%s' said: %s", line, why.text);
	assert_null(strchr(why.text, '\n'));
}

#endif
