/* script/sandbox.c: what a script has not, what it cannot do for ever, and that two runs are equal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <lauxlib.h>

#include "script/sandbox.h"

static char printed[4000];
static struct errmsg why;

static void print_line(void *owner, const char *line, size_t n)
{
	size_t at = strlen(printed);

	(void)owner;
	if (at + n + 2 < sizeof printed) {
		memcpy(printed + at, line, n);
		memcpy(printed + at + n, "\n", 2);
	}
}

static int prepare(lua_State *L)
{
	const char *path = lua_touserdata(L, 1);

	sandbox_libraries(L);
	sandbox_load(L, path, "name a file");
	lua_setfield(L, LUA_REGISTRYINDEX, "chunk");
	return 0;
}

static int call(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "chunk");
	lua_call(L, 0, 0);
	return 0;
}

/* LUA_OK or not; the error's line is in why. */
static int run(const char *text, bool catches, uint64_t seed)
{
	char path[] = "/tmp/vmscope-sandbox-XXXXXX";
	int fd = mkstemp(path), bad = LUA_ERRSYNTAX;
	struct sandbox b = {.bytes_max = 8u << 20,
	    .insns_max = 3000000,
	    .over_words = "more than %d million",
	    .seed = seed,
	    .catches = catches,
	    .print = print_line};

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	printed[0] = why.text[0] = 0;
	if (sandbox_open(&b, prepare, path, &why) == ERR_OK) {
		lua_pushcfunction(b.L, call);
		bad = lua_pcall(b.L, 0, 0, 0);
		if (bad != LUA_OK)
			sandbox_error_line(b.L, why.text, sizeof why.text);
	}
	sandbox_close(&b);
	assert_int_equal(b.bytes, 0);
	unlink(path);
	return bad;
}

static void nothing_reaches_the_host(void **state)
{
	static const char *const names[] = {"io", "os", "debug", "package", "require", "load", "loadfile", "dofile",
	    "collectgarbage", "next", "_G", "xpcall", "warn", "string.dump", "math.randomseed"};
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(text, sizeof text, "print(%s)", names[i]);
		assert_int_equal(run(text, true, 0), LUA_OK);
		assert_string_equal(printed, "nil\n");
	}
	assert_int_equal(run("print(pcall, coroutine)", false, 0), LUA_OK);
	assert_string_equal(printed, "nil\tnil\n");
	assert_int_not_equal(run("\x1bLua", true, 0), LUA_OK); /* bytecode */
	assert_int_not_equal(run("include('../../etc/passwd')", true, 0), LUA_OK);
	assert_int_not_equal(run("setmetatable({}, {__gc = print})", true, 0), LUA_OK);
	assert_int_not_equal(run("print(string.format('%p', {}))", true, 0), LUA_OK);
}

static void no_loop_is_endless(void **state)
{
	static const char *const loops[] = {"while true do end",
	    "while true do pcall(function() while true do end end) end",
	    "coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()",
	    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
	    "local t = setmetatable({}, {__index = function(t, k) while true do end end}) pcall(function() return t.x "
	    "end)",
	    "do local c <close> = setmetatable({}, {__close = function() while true do end end}) while true do end "
	    "end"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(loops); i++) {
		if (run(loops[i], true, 0) == LUA_OK)
			fail_msg("it ended well: %s", loops[i]);
		assert_non_null(strstr(why.text, "more than 3 million"));
	}
	assert_int_equal(run("print(pcall(error, 'x'))", true, 0), LUA_OK);
	assert_string_equal(printed, "false\tx\n");
}

static void memory_is_limited(void **state)
{
	(void)state;
	assert_int_equal(run("local s = 'x' while true do s = s .. s end", true, 0), LUA_ERRMEM);
	assert_int_equal(run("print(#string.rep('x', 1 << 30))", true, 0), LUA_ERRMEM);
	assert_int_not_equal(run("while true do pcall(string.rep, 'x', 1 << 30) end", true, 0), LUA_OK);
	assert_non_null(strstr(why.text, "although its memory is used up"));
	assert_int_equal(run("local t = {} for i = 1, 1e9 do t[i] = i end", true, 0), LUA_ERRMEM);
}

static void two_runs_are_equal(void **state)
{
	static const char text[] =
	    "for k, v in pairs{b = 1, a = 2, [3] = 3, [1] = 4, [2.5] = 5, [true] = 6} do print(k, v) end "
	    "print(math.random(1 << 40), {}, print, tostring(print)) "
	    "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) print(table.concat(t))";
	char first[sizeof printed];

	(void)state;
	assert_int_equal(run(text, true, 7), LUA_OK);
	assert_ptr_equal(strstr(printed, "1\t4\n2.5\t5\n3\t3\na\t2\nb\t1\ntrue\t6\n"), printed);
	assert_non_null(strstr(printed, "\ttable\tfunction\tfunction\n321\n"));
	strcpy(first, printed);
	assert_int_equal(run(text, true, 7), LUA_OK);
	assert_string_equal(first, printed);
	assert_int_equal(run(text, true, 8), LUA_OK);
	assert_string_not_equal(first, printed);

	/* Keys by address: what is said of them is the same wherever they lie. */
	assert_int_equal(run("local said, n = {}, 0 for i = 1, 200 do "
			     "local good, why = pcall(pairs, { [{}] = 1, [print] = 2, [coroutine.create(print)] = 3 }) "
			     "if not said[why] then said[why], n = true, n + 1 end end print(n)",
			     true, 0),
	    LUA_OK);
	assert_string_equal(printed, "1\n");
}

static void errors_are_one_line_with_the_place(void **state)
{
	(void)state;
	assert_int_not_equal(run("\n\nerror('a\\nb')", true, 0), LUA_OK);
	assert_non_null(strstr(why.text, ":3: a b"));
	assert_int_not_equal(run("error({})", true, 0), LUA_OK);
	assert_non_null(strstr(why.text, "no text"));
	assert_int_not_equal(run("x = = 1", true, 0), LUA_OK);
	assert_non_null(strstr(why.text, ":1: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_reaches_the_host),
	    cmocka_unit_test(no_loop_is_endless),
	    cmocka_unit_test(memory_is_limited),
	    cmocka_unit_test(two_runs_are_equal),
	    cmocka_unit_test(errors_are_one_line_with_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
