/*
 * Reading a cost profile. The file is a Lua table and gets no library at all; everything in it is checked, and a figure
 * without a source is an error.
 */
#include "modes/simulate/costs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "core/exit.h"

#define PATH_BYTES 1024
#define COST_LUA_INSNS 1000000
#define COST_NS_MAX 1000000000 /* a second: no step of an exit is slower */

static void stop_hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	luaL_error(L, "the profile does not end: it is a table, not a program");
}

static const char *text_field(lua_State *L, int table, const char *what, const char *field)
{
	table = lua_absindex(L, table);
	if (lua_getfield(L, table, field) != LUA_TSTRING || !lua_rawlen(L, -1))
		luaL_error(L, "%s: \"%s\" must be a text: every figure names its CPU and source", what, field);
	const char *s = lua_tostring(L, -1);
	lua_pop(L, 1); /* the table keeps it */
	return s;
}

static lua_Integer number_field(lua_State *L, int table, const char *what, const char *field, lua_Integer max)
{
	lua_getfield(L, table, field);
	if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0 || lua_tointeger(L, -1) > max)
		luaL_error(L, "%s: \"%s\" must be a whole number up to %d", what, field, (int)max);
	lua_Integer v = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return v;
}

/* Adds the step called name, from the table "steps" at index steps. */
static void add_step(lua_State *L, int steps, const char *name, struct cost_path *path)
{
	if (path->n_steps == COST_STEPS_MAX)
		luaL_error(L, "a path has at most %d steps", COST_STEPS_MAX);
	if (lua_getfield(L, steps, name) != LUA_TTABLE)
		luaL_error(L, "a path uses the step \"%s\", which \"steps\" does not have", name);
	int step = lua_gettop(L);
	struct cost_step *s = &path->steps[path->n_steps++];
	snprintf(s->name, sizeof s->name, "%s", text_field(L, step, name, "text"));
	s->ns = (uint32_t)number_field(L, step, name, "ns", COST_NS_MAX);
	path->total_ns += s->ns;
	(void)text_field(L, step, name, "cpu");
	(void)text_field(L, step, name, "source");
	(void)number_field(L, step, name, "year", 9999);
	lua_pop(L, 1);
}

/* The path on top of the stack; pops it. */
static void read_path(lua_State *L, int steps, struct cost_path *path)
{
	memset(path, 0, sizeof *path);
	int list = lua_gettop(L);
	lua_Integer n = luaL_len(L, list);
	for (lua_Integer i = 1; i <= n; i++) {
		if (lua_geti(L, list, i) != LUA_TSTRING)
			luaL_error(L, "a path is a list of names of steps");
		add_step(L, steps, lua_tostring(L, -1), path);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void read_paths(lua_State *L, int steps, int paths, struct cost_model *m)
{
	if (lua_getfield(L, paths, "default") != LUA_TTABLE)
		luaL_error(L, "\"%s\" needs a path \"default\"", m->stack);
	read_path(L, steps, &m->by_reason[0]);
	for (unsigned r = 1; r < EXIT_SDM_COUNT; r++)
		m->by_reason[r] = m->by_reason[0];
	lua_pushnil(L);
	while (lua_next(L, paths)) {
		if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1))
			luaL_error(L, "\"%s\" maps names of exit reasons to lists of steps", m->stack);
		const char *name = lua_tostring(L, -2);
		int reason = exit_reason_by_name(name);
		if (strcmp(name, "default") == 0) {
			lua_pop(L, 1);
		} else if (reason >= 0 && reason < (int)EXIT_SDM_COUNT) {
			read_path(L, steps, &m->by_reason[reason]);
		} else {
			luaL_error(L, "\"%s\": no exit reason is called %s", m->stack, name);
		}
	}
}

/* Protected: argument 1 is the path, argument 2 the model to fill; its stack says which type. */
static int read_profile(lua_State *L)
{
	const char *path = lua_touserdata(L, 1);
	struct cost_model *m = lua_touserdata(L, 2);
	lua_sethook(L, stop_hook, LUA_MASKCOUNT, COST_LUA_INSNS);
	if (luaL_loadfilex(L, path, "t") != LUA_OK)
		return lua_error(L);
	lua_call(L, 0, 1);
	if (!lua_istable(L, -1))
		return luaL_error(L, "the file must return a table");
	int profile = lua_gettop(L);
	snprintf(m->name, sizeof m->name, "%s", text_field(L, profile, "the profile", "name"));
	snprintf(m->cpu, sizeof m->cpu, "%s", text_field(L, profile, "the profile", "cpu"));
	(void)number_field(L, profile, "the profile", "year", 9999);
	if (lua_getfield(L, profile, "steps") != LUA_TTABLE)
		return luaL_error(L, "the profile has no table \"steps\"");
	int steps = lua_gettop(L);
	if (lua_getfield(L, profile, m->stack) != LUA_TTABLE)
		return luaL_error(L, "the profile has no table \"%s\"", m->stack);
	read_paths(L, steps, lua_gettop(L), m);
	return 0;
}

static bool exists(const char *path)
{
	return access(path, R_OK) == 0;
}

static bool find(const char *name, char *path)
{
	const char *env = getenv("VMSCOPE_COSTS");
	char exe[PATH_BYTES];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (strchr(name, '/') || strstr(name, ".lua"))
		return snprintf(path, PATH_BYTES, "%s", name) < PATH_BYTES;
	if (env && snprintf(path, PATH_BYTES, "%s/%s.lua", env, name) < PATH_BYTES && exists(path))
		return true;
	exe[n > 0 ? n : 0] = 0;
	char *slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = 0;
	if (snprintf(path, PATH_BYTES, "%s/costs/%s.lua", exe, name) < PATH_BYTES && exists(path))
		return true;
	return snprintf(path, PATH_BYTES, "%s/../lib/vmscope/costs/%s.lua", exe, name) < PATH_BYTES && exists(path);
}

enum err cost_load(const char *path_or_name, enum vmm_type type, struct cost_model *out, struct errmsg *why)
{
	char path[PATH_BYTES];
	if (!find(path_or_name, path))
		return err_set(why, ERR_NOENT, "%s: no such cost profile: name one of modes/simulate/costs, or a file",
		    path_or_name);
	/* Too large for a stack. */
	struct cost_model *m = calloc(1, sizeof *m);
	lua_State *L = m ? luaL_newstate() : NULL;
	if (!L) {
		free(m);
		return err_set(why, ERR_NOMEM, "no memory to read the cost profile");
	}
	snprintf(m->stack, sizeof m->stack, "%s", type == VMM_TYPE_I ? "type1" : "type2");
	lua_pushcfunction(L, read_profile);
	lua_pushlightuserdata(L, path);
	lua_pushlightuserdata(L, m);
	enum err e = ERR_OK;
	if (lua_pcall(L, 2, 0, 0) == LUA_OK) {
		*out = *m;
	} else {
		const char *text = lua_tostring(L, -1);
		e = err_set(why, ERR_FORMAT, "cost profile %s: %s", path, text ? text : "not readable");
	}
	lua_close(L);
	free(m);
	return e;
}
