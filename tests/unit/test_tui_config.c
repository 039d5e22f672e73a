/* tui/config.c: tui.lua, good and bad. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui/config.h"

static char path[64];
static struct tui_config c;
static struct errmsg why;

static enum err load(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	why.text[0] = '\0';
	return config_load(&c, path, &why);
}

static void wrong(const char *text, unsigned line, const char *says)
{
	char want[128];

	assert_int_equal(load(text), ERR_FORMAT);
	snprintf(want, sizeof(want), line ? "tui.lua:%u:" : "tui.lua:", line);
	if (!strstr(why.text, want) || !strstr(why.text, says) || strchr(why.text, '\n'))
		fail_msg("%s\nsaid: %s\nnot: %s ... %s", text, why.text, want, says);
	/* Nothing of it counts. */
	assert_true(!c.n_keys && !c.theme[0] && c.ascii == -1 && !c.colors.set[STYLE_HOLDS]);
}

static void all_that_may_be_said(void **state)
{
	(void)state;
	assert_int_equal(load("local step = 'st' .. 'ep'\n"
			      "keys = { ['C-n'] = step, F9 = '' }\n"
			      "keys_exit = { ['C-n'] = 'over' }\n"
			      "theme = 'light'\n"
			      "colors = { holds = 'green,bold', a = 'sky' }\n"
			      "ascii = true\n"
			      "mouse = false\n"),
	    ERR_OK);
	assert_string_equal(config_key(&c, "scope", 'n' | KEY_CTRL), "step");
	assert_string_equal(config_key(&c, "exit", 'n' | KEY_CTRL), "over");
	assert_string_equal(config_key(&c, "exit", KEY_N_F1 + 8), "");
	assert_null(config_key(&c, "exit", 'n'));
	assert_string_equal(c.theme, "light");
	assert_true(c.colors.set[STYLE_HOLDS] && !c.colors.set[STYLE_VIOLATED]);
	assert_int_equal(c.colors.look[STYLE_HOLDS].fg, COLOR_GREEN_);
	assert_int_equal(c.colors.look[STYLE_HOLDS].attrs, LOOK_BOLD);
	assert_int_equal(c.ascii, 1);
	assert_int_equal(c.mouse, 0);
	config_free(&c);
	assert_int_equal(load(""), ERR_OK);
	assert_true(c.ascii == -1 && c.mouse == -1 && !c.theme[0] && !c.n_keys);
	config_free(&c);
}

static void mistakes_have_a_line(void **state)
{
	(void)state;
	wrong("\nkeys = {\n", 3, "near <eof>");
	wrong("theme = 'light'\nkeys = { ['C-x'] = 'step',\n  ['Ctrl-y'] = 'over' }\n", 3, "'Ctrl-y' is no key");
	wrong("keys = 5\n", 1, "has to be a table");
	wrong("keys = { 'step' }\n", 1, "each entry is");
	wrong("keys = { s = 5 }\n", 1, "each entry is");
	wrong("\ntheme = 'pink'\n", 2, "theme is");
	wrong("theme = 5\n", 1, "theme is");
	wrong("colors = { nothing = 'red' }\n", 1, "there is no 'nothing'");
	wrong("colors = {\n holds = 'redish' }\n", 2, "'redish' is no colour");
	wrong("ascii = 1\n", 1, "ascii is true or false");
	wrong("keys_averyveryverylongname = { s = 'step' }\n", 1, "no view of that name");
	wrong("error('mine')\n", 1, "mine");
	wrong("error({})\n", 0, "");
}

static void the_sandbox_holds(void **state)
{
	(void)state;
	wrong("io.open('/etc/passwd')\n", 1, "global 'io'");
	wrong("os.exit(3)\n", 1, "global 'os'");
	wrong("debug.sethook()\n", 1, "global 'debug'");
	wrong("load('x')\n", 1, "global 'load'");
	wrong("require('x')\n", 1, "global 'require'");
	wrong("print('x')\n", 1, "global 'print'");
	wrong("\nwhile true do end\n", 2, "endless loop");
	wrong("local t = {} for i = 1, 1e9 do t[i] = i end\n", 0, "");
	wrong("s = ('x'):rep(1 << 30)\n", 0, "");
	wrong("\x1bLua", 0, "");
}

static void where_the_file_is(void **state)
{
	char buf[128];

	(void)state;
	setenv("XDG_CONFIG_HOME", "/x", 1);
	setenv("HOME", "/h", 1);
	assert_string_equal(config_path(buf, sizeof(buf)), "/x/vmscope/tui.lua");
	setenv("XDG_CONFIG_HOME", "relative", 1);
	assert_string_equal(config_path(buf, sizeof(buf)), "/h/.config/vmscope/tui.lua");
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("HOME");
	assert_null(config_path(buf, sizeof(buf)));
	assert_int_equal(config_load(&c, "/nowhere/tui.lua", &why), ERR_NOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_that_may_be_said),
	    cmocka_unit_test(mistakes_have_a_line),
	    cmocka_unit_test(the_sandbox_holds),
	    cmocka_unit_test(where_the_file_is),
	};
	char dir[] = "/tmp/vmscope-test-XXXXXX";
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/tui.lua", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return failed;
}
