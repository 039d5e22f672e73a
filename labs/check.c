/*
 * The object t of lab.lua: what a check runs, and what it says about it.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "core/lib.h"
#include "labs/grade_impl.h"
#include "labs/plain.h"

#define CHECK_CLASS "vmscope.check"
#define SHOW_MAX 240
#define LINES_MAX 2000

static struct grading *grading_of(lua_State *L)
{
	luaL_checkudata(L, 1, CHECK_CLASS);
	return sandbox_of(L)->owner;
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

char *check_show(lua_State *L, int index, bool quoted)
{
	struct errmsg why;
	char buf[SHOW_MAX];
	json_t *j;

	if (plain_from_lua(L, index, "it", &j, &why) != ERR_OK)
		return strdup(luaL_typename(L, index));
	plain_show(j, quoted || (json_is_string(j) && !json_string_length(j)), buf, sizeof buf);
	json_decref(j);
	return strdup(buf);
}

/* Every field of a is in b; how many there are. */
static bool contains(lua_State *L, int a, int b, size_t *n)
{
	lua_pushnil(L);
	while (lua_next(L, a)) {
		lua_pushvalue(L, -2);
		lua_rawget(L, b);
		bool same = check_equal(L, -2, -1);
		lua_pop(L, 2);
		if (!same) {
			lua_pop(L, 1);
			return false;
		}
		(*n)++;
	}
	return true;
}

bool check_equal(lua_State *L, int a, int b)
{
	size_t n = 0, m = 0;

	a = lua_absindex(L, a);
	b = lua_absindex(L, b);
	luaL_checkstack(L, 8, "tables in tables");
	if (!lua_istable(L, a) || !lua_istable(L, b))
		return lua_rawequal(L, a, b);
	return contains(L, a, b, &n) && contains(L, b, a, &m) && n == m;
}

/* --- Lines -------------------------------------------------------------------------------------------------------- */

bool check_add_line(struct grading *gr, const struct result_line *line)
{
	struct result_task *t = gr->task;
	void *p = realloc(t->lines, (t->n_lines + 1) * sizeof *t->lines);

	if (!p) {
		free(line->what);
		free(line->expected);
		free(line->seen);
		free(line->context);
		return false;
	}
	t->lines = p;
	t->lines[t->n_lines++] = *line;
	return true;
}

/* The line with "what" at 2 and the context at index context; expected is taken. */
static int line(lua_State *L, double share, int seen, bool quoted, char *expected, int context)
{
	struct grading *gr = grading_of(L);
	struct result_line l = {.weight = gr->weight, .share = share, .expected = expected};
	bool missing = seen && lua_isnil(L, seen);

	l.kind = missing ? LINE_MISSING : share >= 1 ? LINE_GOOD : LINE_BAD;
	if (missing)
		l.share = 0;
	else if (seen)
		l.seen = check_show(L, seen, quoted);
	l.what = check_show(L, 2, false);
	if (lua_isinteger(L, context)) {
		char rip[32];
		snprintf(rip, sizeof rip, "RIP %#llx", (unsigned long long)lua_tointeger(L, context));
		l.context = strdup(rip);
	} else if (!lua_isnoneornil(L, context)) {
		l.context = check_show(L, context, false);
	}
	/* cppcheck-suppress memleak ; the task has the texts now */
	return check_add_line(gr, &l) ? 0 : luaL_error(L, "no memory");
}

/* What a function is given: "what" as text. Nothing is allocated before. */
static void check_what(lua_State *L, int args)
{
	struct grading *gr = grading_of(L);

	luaL_checktype(L, 2, LUA_TSTRING);
	lua_settop(L, args);
	if (!gr->task)
		luaL_error(L, "the answer to a prediction is a value: t:equal and the like are for tasks");
	if (gr->task->n_lines >= LINES_MAX)
		luaL_error(L, "this check has more than %d lines: sum some of them up", LINES_MAX);
}

static int t_equal(lua_State *L)
{
	check_what(L, 5);
	if (lua_isnil(L, 4))
		return luaL_error(
		    L, "t:equal: what is expected is nil: is there such a field in the reference's result?");
	bool quoted = lua_type(L, 3) != lua_type(L, 4);
	bool same = check_equal(L, 3, 4);
	return line(L, same, 3, quoted, check_show(L, 4, quoted), 5);
}

static int t_ok(lua_State *L)
{
	check_what(L, 4);
	return line(L, lua_toboolean(L, 3), 0, false, NULL, 4);
}

static int t_verdict(lua_State *L)
{
	check_what(L, 5);
	luaL_checktype(L, 4, LUA_TSTRING);
	return line(L, lua_rawequal(L, 3, 4), 3, false, check_show(L, 4, false), 5);
}

/* string.find(seen, text, 1, plain); a pattern that is none finds nothing. */
static bool finds(lua_State *L, int seen, int text, bool plain)
{
	int top = lua_gettop(L);

	lua_getfield(L, seen, "find"); /* a string's own */
	lua_pushvalue(L, seen);
	lua_pushvalue(L, text);
	lua_pushinteger(L, 1);
	lua_pushboolean(L, plain);
	bool found = lua_pcall(L, 4, 1, 0) == LUA_OK && !lua_isnil(L, -1);
	lua_settop(L, top);
	return found;
}

static int t_text(lua_State *L)
{
	check_what(L, 5);
	luaL_checktype(L, 4, LUA_TSTRING);
	bool found = lua_type(L, 3) == LUA_TSTRING && (finds(L, 3, 4, true) || finds(L, 3, 4, false));
	return line(L, found, 3, true, check_show(L, 4, true), 5);
}

/* --- Bands -------------------------------------------------------------------------------------------------------- */

struct words {
	char text[SHOW_MAX];
};

static void add_words(struct words *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add_words(struct words *w, const char *fmt, ...)
{
	size_t n = strlen(w->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->text + n, sizeof w->text - n, fmt, ap);
	va_end(ap);
}

/* Number i of the list on top of the stack. */
static double item(lua_State *L, const char *what, int i)
{
	lua_rawgeti(L, -1, i);
	if (lua_type(L, -1) != LUA_TNUMBER)
		luaL_error(L, "%s", what);
	double d = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return d;
}

static double share_of(lua_State *L, const char *what, int i)
{
	double d = item(L, what, i);

	if (!(d >= 0 && d <= 1))
		luaL_error(L, "%s: a share lies between 0 and 1", what);
	return d;
}

/* Pushes band i, or returns false behind the last. */
static bool push_band(lua_State *L, int bands, int i, const char *what)
{
	if (lua_rawgeti(L, bands, i) == LUA_TTABLE)
		return true;
	if (i == 1 || !lua_isnil(L, -1))
		luaL_error(L, "%s", what);
	lua_pop(L, 1);
	return false;
}

static void say_share(struct words *w, double share)
{
	if (share < 1)
		add_words(w, " (%g %% of the points)", 100 * share);
}

/* What a submission gives may be anything; what is no number lies in no band. */
static double seen_number(lua_State *L)
{
	return lua_type(L, 3) == LUA_TNUMBER ? lua_tonumber(L, 3) : NAN;
}

static int t_band(lua_State *L)
{
	static const char words[] = "t:band: bands are { { LOW, HIGH, SHARE }, ... }";
	struct words w = {""};
	double best = 0;

	check_what(L, 5);
	luaL_checktype(L, 4, LUA_TTABLE);
	double seen = seen_number(L);
	for (int i = 1; push_band(L, 4, i, words); i++) {
		double lo = item(L, words, 1), hi = item(L, words, 2), share = share_of(L, words, 3);
		add_words(&w, i > 1 ? "; " : "");
		add_words(&w, lo < hi ? "%.10g to %.10g" : "%.10g", lo, hi);
		say_share(&w, share);
		if (seen >= lo && seen <= hi && share > best)
			best = share;
		lua_pop(L, 1);
	}
	return line(L, best, 3, false, strdup(w.text), 5);
}

static int t_budget(lua_State *L)
{
	static const char words[] = "t:budget: bands are { { FACTOR, SHARE }, ... }";
	struct words w = {""};
	double best = 0;

	check_what(L, 6);
	luaL_checktype(L, 4, LUA_TNUMBER);
	luaL_checktype(L, 5, LUA_TTABLE);
	double seen = seen_number(L), reference = lua_tonumber(L, 4);
	for (int i = 1; push_band(L, 5, i, words); i++) {
		double most = item(L, words, 1) * reference, share = share_of(L, words, 2);
		add_words(&w, "%s%.15g", i > 1 ? "; " : "at most ", floor(most));
		say_share(&w, share);
		if (seen <= most && share > best)
			best = share;
		lua_pop(L, 1);
	}
	return line(L, best, 3, false, strdup(w.text), 6);
}

/* --- The rest of t ------------------------------------------------------------------------------------------------ */

static int t_weight(lua_State *L)
{
	struct grading *gr = grading_of(L);
	double d = luaL_checknumber(L, 2);

	luaL_argcheck(L, d > 0 && d <= 1000, 2, "a number above 0 is needed");
	gr->weight = d;
	return 0;
}

static int t_say(lua_State *L)
{
	struct grading *gr = grading_of(L);

	luaL_checktype(L, 2, LUA_TSTRING);
	if (gr->task && gr->task->n_lines < LINES_MAX)
		check_add_line(gr, &(struct result_line){.kind = LINE_INFO, .what = check_show(L, 2, false)});
	return 0;
}

/* splitmix64 */
static uint64_t next_random(struct grading *gr)
{
	uint64_t z = gr->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static int t_random(lua_State *L)
{
	struct grading *gr = grading_of(L);
	lua_Integer lo = luaL_checkinteger(L, 2), hi = luaL_checkinteger(L, 3);

	luaL_argcheck(L, lo <= hi, 3, "the interval is empty");
	uint64_t r = next_random(gr), span = (uint64_t)hi - (uint64_t)lo,
		 drawn = span == UINT64_MAX ? r : r % (span + 1);
	drawn += (uint64_t)lo;
	lua_pushinteger(L, (lua_Integer)drawn);
	return 1;
}

static int fault(lua_State *L, enum fault f, const char *text)
{
	struct grading *gr = grading_of(L);

	gr->fault = f;
	free(gr->why);
	gr->why = strdup(text ? text : "no memory");
	return luaL_error(L, "%s", gr->why ? gr->why : "no memory");
}

static int run(lua_State *L, bool reference)
{
	struct grading *gr = grading_of(L);
	const char *scene = luaL_checkstring(L, 2), *name = reference ? "t:reference" : "t:run";
	struct errmsg why = {""};
	json_t *args = NULL;

	lua_settop(L, 3);
	if (reference && !gr->g->has_reference)
		return fault(L, FAULT_LAB, "this check needs the reference solution, which is not here");
	if (!lua_isnil(L, 3) && plain_from_lua(L, 3, "args", &args, &why) != ERR_OK)
		return luaL_error(L, "%s: %s", name, why.text);
	const struct job_answer *a = grading_run(gr, reference, scene, args);
	json_decref(args);
	if (a && a->end == JOB_OK) {
		plain_to_lua(L, a->result);
		return 1;
	}
	bool theirs = a && a->end == JOB_SUBMISSION && !reference;
	const char *error = a && a->error ? a->error : "no memory";
	if (theirs) /* who has written it knows files and lines, and nothing of scenes */
		lua_pushstring(L, error);
	else
		lua_pushfstring(L, "scene %s%s: %s", scene, reference ? " with the reference solution" : "", error);
	return fault(L, theirs ? FAULT_SUBMISSION : FAULT_LAB, lua_tostring(L, -1));
}

static int t_run(lua_State *L)
{
	return run(L, grading_of(L)->as_reference);
}

static int t_reference(lua_State *L)
{
	return run(L, true);
}

static int t_index(lua_State *L)
{
	static const luaL_Reg methods[] = {{"run", t_run}, {"reference", t_reference}, {"random", t_random},
	    {"equal", t_equal}, {"band", t_band}, {"budget", t_budget}, {"verdict", t_verdict}, {"text", t_text},
	    {"ok", t_ok}, {"say", t_say}, {"weight", t_weight}};
	struct grading *gr = grading_of(L);
	const char *name = luaL_checkstring(L, 2);

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (strcmp(methods[i].name, name) == 0) {
			lua_pushcfunction(L, methods[i].func);
			return 1;
		}
	if (strcmp(name, "seed") == 0)
		lua_pushinteger(L, (lua_Integer)gr->g->cfg.seed);
	else if (strcmp(name, "hidden") == 0)
		lua_pushboolean(L, gr->g->cfg.hidden);
	else
		return luaL_error(L,
		    "t has no %s: it has run, reference, random, seed, hidden, equal, band, budget, "
		    "verdict, text, ok, say, weight",
		    name);
	return 1;
}

void check_open(lua_State *L)
{
	luaL_newmetatable(L, CHECK_CLASS);
	lua_pushcfunction(L, t_index);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

void check_push(lua_State *L)
{
	lua_newuserdatauv(L, 0, 0);
	luaL_setmetatable(L, CHECK_CLASS);
}
