/* labs/plain.c: data between Lua and JSON, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>

#include "labs/plain.h"

static lua_State *L;
static struct errmsg why;

static int open_state(void **state)
{
	(void)state;
	L = luaL_newstate();
	luaL_openlibs(L);
	return L == NULL;
}

static int close_state(void **state)
{
	(void)state;
	lua_close(L);
	return 0;
}

static enum err take(const char *expression, json_t **out)
{
	char text[400];

	lua_settop(L, 0);
	snprintf(text, sizeof text, "return %s", expression);
	assert_int_equal(LUA_OK, luaL_dostring(L, text));
	return plain_from_lua(L, 1, "it", out, &why);
}

/* To JSON text, and back: "same" in Lua is the judge. */
static void goes_and_comes(const char *expression, const char *json)
{
	json_t *j;

	assert_int_equal(take(expression, &j), ERR_OK);
	char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_string_equal(text, json);
	json_decref(j);
	j = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(j);
	free(text);
	assert_int_equal(
	    LUA_OK, luaL_dostring(L,
			"function same(a, b) if type(a) ~= 'table' or type(b) ~= 'table' then return a == b and "
			"math.type(a) == math.type(b) end for k, v in pairs(a) do if not same(v, b[k]) then return "
			"false end end for k in pairs(b) do if a[k] == nil then return false end end return true end"));
	lua_getglobal(L, "same");
	lua_pushvalue(L, 1);
	plain_to_lua(L, j);
	json_decref(j);
	assert_int_equal(lua_pcall(L, 2, 1, 0), LUA_OK);
	assert_true(lua_toboolean(L, -1));
}

static void data_comes_back_as_it_went(void **state)
{
	(void)state;
	goes_and_comes("nil", "null");
	goes_and_comes("true", "true");
	goes_and_comes("math.mininteger", "-9223372036854775808");
	goes_and_comes("2.0", "2.0");
	goes_and_comes("0.1", "0.10000000000000001");
	goes_and_comes("{}", "[]");
	goes_and_comes("{ 1, { 2 }, 'x' }", "[1,[2],\"x\"]");
	goes_and_comes("{ b = 1, a = { c = false } }", "{\"a\":{\"c\":false},\"b\":1}");
	goes_and_comes("{ [0] = 1, [0x40000000] = 2, x = 3 }", "{\"%pairs\":[[0,1],[1073741824,2],[\"x\",3]]}");
	goes_and_comes("{ ['%pairs'] = 1 }", "{\"%pairs\":[[\"%pairs\",1]]}");
	goes_and_comes("{ [''] = 1 }", "{\"\":1}");
}

static void strings_are_any_bytes(void **state)
{
	(void)state;
	goes_and_comes("'\\u{20ac}\\n\\0\\27'", "\"\xe2\x82\xac\\n\\u0000\\u001B\"");
	goes_and_comes("'a\\xff\\x80'", "\"a\xf4\x8f\xbf\xbf\xf4\x8f\xbe\x80\"");
	goes_and_comes("'\\u{10ffff}'", "\"\xf4\x8f\xbf\xb4\xf4\x8f\xbe\x8f\xf4\x8f\xbe\xbf\xf4\x8f\xbe\xbf\"");
	goes_and_comes("'\\xc0\\x80'", "\"\xf4\x8f\xbf\x80\xf4\x8f\xbe\x80\"");
	json_t *j;
	assert_int_equal(take("(function() local t = {} for i = 0, 255 do t[i + 1] = string.char(i) end return "
			      "table.concat(t) end)()",
			     &j),
	    ERR_OK);
	plain_to_lua(L, j);
	assert_true(lua_rawequal(L, 1, -1));
	json_decref(j);
}

static void refused(const char *expression, const char *words)
{
	json_t *j;

	assert_int_equal(take(expression, &j), ERR_FORMAT);
	assert_non_null(strstr(why.text, words));
}

static void what_is_no_data_is_named(void **state)
{
	(void)state;
	refused("{ a = { print } }", "it.a[1]: a function is no plain data");
	refused("{ a = 0/0 }", "it.a: it is no number");
	refused("{ [1.5] = 1 }", "it: a key is no text and no whole number");
	refused("(function() local t = {} t.t = t return t end)()", "too deep");
	refused("('x'):rep(2 << 20)", "more than 1 MiB");
	refused("(function() local t = {} for i = 1, 200000 do t[i] = 1 end return t end)()", "more than 1 MiB");
	/* Nothing of a metatable runs. */
	json_t *j;
	assert_int_equal(take("setmetatable({ 1 }, { __index = error, __pairs = error, __len = error })", &j), ERR_OK);
	json_decref(j);
}

static void people_see_no_control_characters(void **state)
{
	char buf[60];
	json_t *j;

	(void)state;
	assert_int_equal(take("{ '\\27[31m', 5000, { x = 'y' }, [9] = '\\u{9b}' }", &j), ERR_OK);
	plain_show(j, true, buf, sizeof buf);
	json_decref(j);
	assert_string_equal(buf, "{ [1] = \"\\x1b[31m\", [2] = 5000 (0x1388), [3] = { x = \"y\"...");
	char *clean = plain_clean("a\r\n\x1b\xff", 5);
	assert_string_equal(clean, "a\\x0d\n\\x1b\\xff");
	free(clean);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(data_comes_back_as_it_went, open_state, close_state),
	    cmocka_unit_test_setup_teardown(strings_are_any_bytes, open_state, close_state),
	    cmocka_unit_test_setup_teardown(what_is_no_data_is_named, open_state, close_state),
	    cmocka_unit_test_setup_teardown(people_see_no_control_characters, open_state, close_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
