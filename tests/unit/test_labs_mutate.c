/* labs/lua_tokens.c and labs/mutate.c: a program with one thing wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "labs/lua_tokens.h"
#include "labs/mutate.h"

static void tokens_are(const char *text, const char *want)
{
	struct lua_token *t;
	char seen[400] = "";
	size_t n;

	assert_int_equal(lua_tokens(text, strlen(text), &t, &n), ERR_OK);
	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(seen);
		snprintf(
		    seen + used, sizeof seen - used, "%s%u%.*s", i ? " " : "", t[i].line, (int)t[i].n, text + t[i].at);
	}
	free(t);
	assert_string_equal(seen, want);
}

static void text_is_read_as_lua_does(void **state)
{
	struct lua_token *t;
	size_t n;

	(void)state;
	tokens_are("a=b..c", "1a 1= 1b 1.. 1c");
	tokens_are("-- x\n--[[ y\n]] x --[==[ ]] \n]==] y", "3x 4y");
	tokens_are("0x1fp-2 3e+4 5..6 .5 1", "10x1fp-2 13e+4 15..6 1.5 11");
	tokens_are("'a\\'b' \"\\\"\" [[x\ny]] z", "1'a\\'b' 1\"\\\"\" 1[[x\ny]] 2z");
	tokens_are("#!/bin/lua\nx ~= y // z << 2", "2x 2~= 2y 2// 2z 2<< 22");
	tokens_are("'\\z  \n  x' y", "1'\\z  \n  x' 2y");
	assert_int_equal(lua_tokens("'a", 2, &t, &n), ERR_FORMAT);
	assert_int_equal(lua_tokens("[[a", 3, &t, &n), ERR_FORMAT);
	assert_int_equal(lua_tokens("a ? b", 5, &t, &n), ERR_FORMAT);
}

static void mutants_are(const char *text, const char *want)
{
	struct mutants m = {0};
	struct errmsg why = {""};
	char seen[2000] = "";

	if (mutants_add(&m, "f.lua", text, strlen(text), &why) != ERR_OK)
		fail_msg("%s", why.text);
	for (size_t i = 0; i < m.n; i++) {
		size_t used = strlen(seen);
		snprintf(seen + used, sizeof seen - used, "%s|%s\n", m.list[i].name, m.list[i].text);
		assert_int_equal(strlen(m.list[i].text), m.list[i].n);
	}
	mutants_free(&m);
	assert_string_equal(seen, want);
}

static void each_kind_changes_one_thing(void **state)
{
	(void)state;
	mutants_are("x = 0x0f", "f.lua:1: 0x0f -> 0x10|x =  0x10 \n");
	mutants_are("x = 1 + 1", "f.lua:1: 1 -> 2|x =  2  + 1\nf.lua:1: + -> -|x = 1  -  1\n"
				 "f.lua:1: 1 -> 2 (2)|x = 1 +  2 \n");
	mutants_are("x = a < b", "f.lua:1: < -> <=|x = a  <=  b\n");
	mutants_are("x = 'next'", "f.lua:1: 'next' -> \"again\"|x =  \"again\" \n");
	mutants_are("x = \"reflect #GP 0\"", "f.lua:1: \"reflect #GP 0\" -> \"next\"|x =  \"next\" \n");
	mutants_are("x = 'nextdoor'", "");
	mutants_are("x = r.eax", "f.lua:1: eax -> ebx|x = r. ebx \n");
	mutants_are("eax = x", "");
	mutants_are("return a, function() return end",
	    "f.lua:1: return ... -> return nil| return nil \n"
	    "f.lua:1: a function without its body|return a, function()  end \n");
	mutants_are("if a then return b else return nil end",
	    "f.lua:1: return ... -> return nil|if a then  return nil  else return nil end\n");
	mutants_are("vm:on_exit('CPUID', f(1)) y()", "f.lua:1: a handler dropped|   y()\n"
						     "f.lua:1: 1 -> 2|vm:on_exit('CPUID', f( 2 )) y()\n");
	mutants_are("local i = s.vm:on_exit('CPUID', f)", "f.lua:1: a handler dropped|local i =  nil \n");
	/* Not what is in comments and texts; and what does not parse does not count: "+1" is no number. */
	mutants_are("-- 1 and true\nx = '1 and true' y = -z", "");
}

static void text_that_is_no_lua_has_none(void **state)
{
	struct mutants m = {0};
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(mutants_add(&m, "f.lua", "x = = 1", 7, &why), ERR_FORMAT);
	assert_string_equal(why.text, "f.lua: it is no Lua");
	assert_int_equal(m.n, 0);
	mutants_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_is_read_as_lua_does),
	    cmocka_unit_test(each_kind_changes_one_thing),
	    cmocka_unit_test(text_that_is_no_lua_has_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
