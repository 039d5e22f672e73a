/*
 * The Lua state of a model: enough language to describe a guest, and nothing that could reach the host or make two runs
 * differ. No io, os, debug, load, require, pcall or coroutine; pairs() has a defined order; math.random is our own,
 * from the run's seed; tables print without their address; memory and time between two guest instructions are limited.
 */
#include "modes/simulate/simulate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "core/lib.h"
#include "modes/simulate/prelude.lua.h"

#define HOOK_INSNS 10000

static void *bounded_alloc(void *arg, void *p, size_t old, size_t n)
{
	struct sim_vcpu *m = arg;
	if (!p)
		old = 0; /* Lua passes the kind of object there */
	if (n == 0) {
		free(p);
		m->lua_bytes -= old;
		return NULL;
	}
	if (n > old && m->lua_bytes + (n - old) > SIM_LUA_BYTES_MAX)
		return NULL;
	void *q = realloc(p, n);
	if (q)
		m->lua_bytes += n - old;
	return q;
}

/* Between two guest instructions a model may think, but not for ever. A kick makes it stop at once and go on later. */
static void count_hook(lua_State *L, lua_Debug *ar)
{
	struct sim_vcpu *m = sim_of(L);
	(void)ar;
	m->lua_insns += HOOK_INSNS;
	if (m->lua_insns > SIM_LUA_INSNS_MAX) {
		luaL_where(L, 0); /* in a hook, level 0 is the function that it interrupts */
		lua_pushfstring(L,
		    "no guest instruction for %d million Lua instructions, an endless loop? Call a primitive in it",
		    (int)(SIM_LUA_INSNS_MAX / 1000000));
		lua_concat(L, 2);
		lua_error(L);
	}
	if (m->kicked && lua_isyieldable(L))
		lua_yield(L, 0);
}

/* splitmix64 */
static uint64_t next_random(struct sim_vcpu *m)
{
	uint64_t z = m->rng += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* random() in [0, 1); random(m) in 1..m; random(m, n) in m..n. */
static int l_random(lua_State *L)
{
	uint64_t r = next_random(sim_of(L));
	int args = lua_gettop(L);
	if (args == 0) {
		lua_pushnumber(L, (lua_Number)(r >> 11) * 0x1p-53);
		return 1;
	}
	lua_Integer low = args == 1 ? 1 : luaL_checkinteger(L, 1);
	lua_Integer high = luaL_checkinteger(L, args == 1 ? 1 : 2);
	luaL_argcheck(L, low <= high, args == 1 ? 1 : 2, "the interval is empty");
	uint64_t span = (uint64_t)high - (uint64_t)low;
	uint64_t pick = (uint64_t)low + (span == UINT64_MAX ? r : r % (span + 1));
	lua_pushinteger(L, (lua_Integer)pick);
	return 1;
}

/* Tables and functions would print their host address: their type's name instead. */
static int l_tostring(lua_State *L)
{
	luaL_checkany(L, 1);
	int type = lua_type(L, 1);
	bool own = luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL;
	if (!own && (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA || type == LUA_TTHREAD))
		lua_pushstring(L, luaL_typename(L, 1));
	else
		luaL_tolstring(L, 1, NULL);
	return 1;
}

/* string.format: the original, with %p refused and such arguments turned to text first. */
static int l_format(lua_State *L)
{
	int n = lua_gettop(L);
	const char *fmt = luaL_checkstring(L, 1);
	for (const char *p = fmt; (p = strchr(p, '%')) != NULL; p++) {
		p += 1 + strspn(p + 1, "-+ #0123456789.");
		if (*p == 'p')
			return luaL_argerror(L, 1, "%p prints a host address: no two runs would agree");
		if (!*p)
			break;
	}
	for (int i = 2; i <= n; i++)
		if (lua_type(L, i) > LUA_TSTRING) {
			lua_pushcfunction(L, l_tostring);
			lua_pushvalue(L, i);
			lua_call(L, 1, 1);
			lua_replace(L, i);
		}
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, n, 1);
	return 1;
}

/* A finalizer would run at a moment of the collector's choosing, and outside the limits. */
static int l_setmetatable(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
	if (lua_istable(L, 2)) {
		lua_pushliteral(L, "__gc");
		luaL_argcheck(L, lua_rawget(L, 2) == LUA_TNIL, 2, "a model has no finalizers: remove __gc");
		lua_pop(L, 1);
	}
	luaL_argcheck(L, luaL_getmetafield(L, 1, "__metatable") == LUA_TNIL, 1, "the metatable is protected");
	lua_settop(L, 2);
	lua_setmetatable(L, 1);
	return 1;
}

static int l_print(lua_State *L)
{
	char line[512];
	size_t used = 0;
	int n = lua_gettop(L);
	for (int i = 1; i <= n; i++) {
		lua_pushcfunction(L, l_tostring);
		lua_pushvalue(L, i);
		lua_call(L, 1, 1);
		used += (size_t)fmt_snprintf(
		    line + used, sizeof(line) - used, "%s%s", i > 1 ? "\t" : "", lua_tostring(L, -1));
		if (used >= sizeof(line))
			used = sizeof(line) - 1;
		lua_pop(L, 1);
	}
	if (!n)
		line[0] = 0;
	sim_of(L)->v->vm->cfg.host->log(LOG_INFO, line);
	return 0;
}

/* include(name): the value of NAME.lua beside the model. Only a plain name: a model reads nothing else of the host. */
static int l_include(lua_State *L)
{
	const char *model = lua_tostring(L, lua_upvalueindex(1));
	const char *name = luaL_checkstring(L, 1);
	luaL_argcheck(L, *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")], 1,
	    "a plain name of small letters, digits and _");
	const char *slash = strrchr(model, '/');
	lua_settop(L, 1);
	lua_pushlstring(L, model, slash ? (size_t)(slash - model) + 1 : 0);
	lua_pushfstring(L, "%s%s.lua", lua_tostring(L, 2), name);
	if (luaL_loadfilex(L, lua_tostring(L, 3), "t") != LUA_OK)
		return lua_error(L);
	lua_call(L, 0, 1);
	return 1;
}

static void forget(lua_State *L, const char *table, const char *const *names)
{
	if (table)
		lua_getglobal(L, table);
	else
		lua_pushglobaltable(L);
	for (; *names; names++) {
		lua_pushnil(L);
		lua_setfield(L, -2, *names);
	}
	lua_pop(L, 1);
}

static void replace(lua_State *L, const char *table, const char *name, lua_CFunction fn)
{
	if (table)
		lua_getglobal(L, table);
	else
		lua_pushglobaltable(L);
	lua_getfield(L, -1, name); /* the original is the first upvalue */
	lua_pushcclosure(L, fn, 1);
	lua_setfield(L, -2, name);
	lua_pop(L, 1);
}

static void open_libraries(lua_State *L)
{
	static const luaL_Reg libs[] = {{LUA_GNAME, luaopen_base}, {LUA_STRLIBNAME, luaopen_string},
	    {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math}};
	static const char *const base[] = {
	    "dofile", "load", "loadfile", "collectgarbage", "pcall", "xpcall", "warn", NULL};
	static const char *const strings[] = {"dump", NULL};
	static const char *const math[] = {"randomseed", NULL};
	for (size_t i = 0; i < ARRAY_LEN(libs); i++) {
		luaL_requiref(L, libs[i].name, libs[i].func, 1);
		lua_pop(L, 1);
	}
	forget(L, NULL, base);
	forget(L, LUA_STRLIBNAME, strings);
	forget(L, LUA_MATHLIBNAME, math);
	replace(L, NULL, "tostring", l_tostring);
	replace(L, NULL, "setmetatable", l_setmetatable);
	replace(L, NULL, "print", l_print);
	replace(L, LUA_STRLIBNAME, "format", l_format);
	replace(L, LUA_MATHLIBNAME, "random", l_random);
}

/* Protected: argument 1 is the model's path. Leaves the main function in the registry. */
static int open_model(lua_State *L)
{
	static const char *const hidden[] = {"next", "_G", "require", "package", "coroutine", NULL};
	struct sim_vcpu *m = sim_of(L);
	const char *path = lua_touserdata(L, 1);

	open_libraries(L);
	sim_prims_open(m);
	if (luaL_loadbufferx(L, prelude, sizeof(prelude) - 1, "=prelude", "t") != LUA_OK)
		return lua_error(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, m->methods_ref);
	lua_call(L, 1, 0);
	forget(L, NULL, hidden);
	lua_pushstring(L, path);
	lua_pushcclosure(L, l_include, 1);
	lua_setglobal(L, "include");
	lua_sethook(L, count_hook, LUA_MASKCOUNT, HOOK_INSNS);
	int bad = luaL_loadfilex(L, path, "t");
	if (bad == LUA_ERRFILE)
		return luaL_error(L, "%s: give --model the path of a Lua file that can be read", lua_tostring(L, -1));
	if (bad != LUA_OK)
		return lua_error(L);
	lua_call(L, 0, 1);
	if (!lua_isfunction(L, -1))
		return luaL_error(
		    L, "%s:1: the model gives no function: end it with \"return function(g) ... end\"", path);
	m->main_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

enum err sim_sandbox_open(struct sim_vcpu *m, const char *path, struct errmsg *why)
{
	m->L = lua_newstate(bounded_alloc, m);
	if (!m->L)
		return err_set(why, ERR_NOMEM, "no memory for a Lua state");
	*(struct sim_vcpu **)lua_getextraspace(m->L) = m;
	m->rng = m->v->vm->cfg.seed;
	m->lua_insns = 0;
	lua_pushcfunction(m->L, open_model);
	union {
		const char *in;
		void *out;
	} light = {path};
	lua_pushlightuserdata(m->L, light.out);
	if (lua_pcall(m->L, 1, 0, 0) == LUA_OK)
		return ERR_OK;
	const char *text = lua_tostring(m->L, -1);
	return err_set(why, ERR_FORMAT, "model %s", text ? text : path);
}

void sim_sandbox_close(struct sim_vcpu *m)
{
	if (m->L)
		lua_close(m->L);
	m->L = NULL;
}
