/* tui/app_script.c: files of commands, dumps, expectations, waiting. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <unistd.h>

#include "tests/tui_fake.h"

static void draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	(void)v;
	screen_printf(s, r->x, r->y, r->w, STYLE_NORMAL, "a view of %d columns, CPU %u", r->w, app_vcpu(a));
}

static const struct view_ops only = {.name = "only", .title = "Only", .about = "The only one.", .draw = draw};
const struct view_ops *const views[] = {&only, NULL};

static struct view_model model;
static struct engine engine;
static struct app *app;
static struct errmsg why;
static char *out;
static size_t n_out;
static FILE *out_file;
static uint64_t clock_ns;
static char dir[] = "/tmp/vmscope-test-XXXXXX", path[64], other[64];

static uint64_t now(void *arg)
{
	(void)arg;
	return clock_ns += 1000000;
}

static void start(bool threaded)
{
	struct app_config cfg = {.engine = &engine, .now_ns = now};

	model = (struct view_model){.info = {.guest = "hello", .n_vcpus = 2}};
	engine = (struct engine){.model = &model, .threaded = threaded};
	out_file = open_memstream(&out, &n_out);
	cfg.out = out_file;
	assert_int_equal(app_open(&cfg, &app, &why), ERR_OK);
}

static void stop(void)
{
	app_close(app);
	fclose(out_file);
	free(out);
}

static void put(const char *file, const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static enum err script(const char *text)
{
	put(path, text);
	why.text[0] = '\0';
	return app_script(app, path, &why);
}

static void says(const char *want)
{
	char text[256];

	snprintf(text, sizeof(text), "%s:%s", path, want);
	assert_string_equal(why.text, text);
}

static void lines_are_commands(void **state)
{
	(void)state;
	start(false);
	assert_int_equal(script("# a comment\n\n   step exit 2\r\ntype hi\\n\n"
				"wait\nexpect a view of 80 columns\nresize 200 50\nexpect a view of 200 columns\n"
				"key M\nexpect the mouse is the terminal's\n"
				"cpu 1\nexpect CPU 1\necho done # this is text\ndump -"),
	    ERR_OK);
	assert_int_equal(engine.verb, ENGINE_STEP_EXIT);
	assert_int_equal(engine.n, 2);
	assert_int_equal(engine.n_typed, 3);
	fflush(out_file);
	assert_ptr_equal(strstr(out, "done # this is text\n hello"), out);
	assert_non_null(strstr(out, "a view of 200 columns, CPU 1\n"));
	stop();
}

static void the_first_error_ends_it_and_has_a_place(void **state)
{
	(void)state;
	start(false);
	assert_int_not_equal(script("cpu 1\nfrobnicate\ncpu 0\n"), ERR_OK);
	says("2: no command 'frobnicate' (F1 lists them)");
	assert_int_equal(app_vcpu(app), 1);
	assert_int_not_equal(script("expect nothing of the kind"), ERR_OK);
	says("1: 'nothing of the kind' is not on the screen");
	assert_int_not_equal(script("\nkey Ctrl-x"), ERR_OK);
	says("2: no key 'Ctrl-x': as help names them (a, F5, C-l, PgUp)");
	assert_int_not_equal(script("resize 0 0"), ERR_OK);
	assert_int_not_equal(script("sleep x"), ERR_OK);
	assert_int_not_equal(app_script(app, "/nowhere/at/all", &why), ERR_OK);
	assert_non_null(strstr(why.text, "/nowhere/at/all: cannot be read"));
	assert_int_equal(script("quit\nfrobnicate\n"), ERR_OK);
	assert_true(app_quit(app));
	stop();
}

static void scripts_call_scripts(void **state)
{
	char text[256];

	(void)state;
	start(false);
	put(other, "echo inner\nfrob\n");
	snprintf(text, sizeof(text), "echo outer\nsource %s\necho never\n", other);
	assert_int_not_equal(script(text), ERR_OK);
	snprintf(text, sizeof(text), "%s:2: no command 'frob' (F1 lists them)", other);
	assert_string_equal(why.text, text);
	fflush(out_file);
	assert_string_equal(out, "outer\ninner\n");
	snprintf(text, sizeof(text), "source %s\n", path); /* itself */
	assert_int_not_equal(script(text), ERR_OK);
	assert_non_null(strstr(why.text, "deep"));
	stop();
}

static void a_script_waits_without_holding_the_screen_up(void **state)
{
	char text[256];

	(void)state;
	start(true);
	put(path, "run\nwait\ncpu 1\nsleep 0.1\ncpu 0\n");
	snprintf(text, sizeof(text), "source %s", path);
	assert_int_equal(app_command(app, text, &why), ERR_OK);
	assert_int_equal(engine.n_do, 1);
	assert_int_equal(app_vcpu(app), 0);
	assert_true(app_wait_ms(app) > 0);
	app_dirty(app);
	assert_int_equal(app_vcpu(app), 0); /* it still runs */
	fake_engine_done(&engine, ERR_OK, "");
	app_dirty(app);
	assert_int_equal(app_vcpu(app), 1);
	for (int i = 0; i < 50; i++)
		app_dirty(app);
	assert_int_equal(app_vcpu(app), 1); /* it sleeps */
	for (int i = 0; i < 100; i++)
		app_dirty(app);
	assert_int_equal(app_vcpu(app), 0);
	assert_int_equal(app_wait_ms(app), -1);
	stop();
}

static void dumps_go_to_files(void **state)
{
	char text[256], line[64] = "";
	FILE *f;

	(void)state;
	start(false);
	snprintf(text, sizeof(text), "dump %s\n", other);
	assert_int_equal(script(text), ERR_OK);
	f = fopen(other, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_ptr_equal(strstr(line, " hello"), line);
	fclose(f);
	assert_int_not_equal(script("dump /nowhere/at/all\n"), ERR_OK);
	says("1: /nowhere/at/all: cannot be written: No such file or directory");
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(script("dump\ndump\n"), ERR_OK);
	assert_string_equal(app_last_message(app), "the screen is in vmscope-2.txt");
	assert_int_equal(unlink("vmscope-1.txt") | unlink("vmscope-2.txt"), 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_are_commands),
	    cmocka_unit_test(the_first_error_ends_it_and_has_a_place),
	    cmocka_unit_test(scripts_call_scripts),
	    cmocka_unit_test(a_script_waits_without_holding_the_screen_up),
	    cmocka_unit_test(dumps_go_to_files),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/script", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	unlink(other);
	rmdir(dir);
	return failed;
}
