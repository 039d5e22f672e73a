/*
 * The sandboxed Lua state. See sandbox.h.
 */
#include "script/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>
#include <lualib.h>

#include "script/prelude.lua.h"

#define HOOK_INSNS 10000
#define REFUSED_MAX 64 /* requests for memory that there is not */

static void *bounded_alloc(void *arg, void *p, size_t old, size_t n)
{
	struct sandbox *b = arg;
	if (!p)
		old = 0; /* Lua passes the kind of object there */
	if (n == 0) {
		free(p);
		b->bytes -= old;
		return NULL;
	}
	if (n > old && b->bytes + (n - old) > b->bytes_max) {
		/* Each one costs a whole collection: who catches the error and goes on gets no more of them. */
		if (++b->refused > REFUSED_MAX)
			b->over = true;
		return NULL;
	}
	void *q = realloc(p, n);
	if (q)
		b->bytes += n - old;
	return q;
}

/* A script may think, but not for ever. One that catches the error meets it again at its next instruction, until no
 * pcall is left. */
static void count_hook(lua_State *L, lua_Debug *ar)
{
	struct sandbox *b = sandbox_of(L);
	(void)ar;
	b->insns += b->over ? 0 : HOOK_INSNS;
	if (b->over || b->insns > b->insns_max) {
		b->over = true;
		lua_sethook(L, count_hook, LUA_MASKCOUNT, 1);
		luaL_where(L, 0); /* in a hook, level 0 is the function that it interrupts */
		if (b->refused > REFUSED_MAX)
			lua_pushliteral(L, "the script goes on although its memory is used up");
		else
			lua_pushfstring(L, b->over_words, (int)(b->insns_max / 1000000));
		lua_concat(L, 2);
		lua_error(L);
	}
	if (b->pause && b->pause(b->owner) && lua_isyieldable(L))
		lua_yield(L, 0);
}

/* splitmix64 */
static uint64_t next_random(struct sandbox *b)
{
	uint64_t z = b->rng += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* random() in [0, 1); random(m) in 1..m; random(m, n) in m..n. */
static int l_random(lua_State *L)
{
	uint64_t r = next_random(sandbox_of(L));
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
		luaL_argcheck(L, lua_rawget(L, 2) == LUA_TNIL, 2, "a script has no finalizers: remove __gc");
		lua_pop(L, 1);
	}
	luaL_argcheck(L, luaL_getmetafield(L, 1, "__metatable") == LUA_TNIL, 1, "the metatable is protected");
	lua_settop(L, 2);
	lua_setmetatable(L, 1);
	return 1;
}

static int l_print(lua_State *L)
{
	struct sandbox *b = sandbox_of(L);
	int n = lua_gettop(L);
	luaL_Buffer line;
	luaL_buffinit(L, &line);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			luaL_addchar(&line, '\t');
		lua_pushcfunction(L, l_tostring);
		lua_pushvalue(L, i);
		lua_call(L, 1, 1);
		luaL_addvalue(&line);
	}
	luaL_pushresult(&line);
	size_t len;
	const char *text = lua_tolstring(L, -1, &len);
	b->print(b->owner, text, len);
	return 0;
}

/* Pushes the chunk of NAME.lua in the directory of path, or an error. */
static int load_beside(lua_State *L, const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	lua_pushlstring(L, path, slash ? (size_t)(slash - path) + 1 : 0);
	lua_pushfstring(L, "%s%s.lua", lua_tostring(L, -1), name);
	int bad = luaL_loadfilex(L, lua_tostring(L, -1), "t");
	lua_replace(L, -3);
	lua_pop(L, 1);
	return bad;
}

/* Pushes the chunk of a file, called by another name than its path, or an error. */
static int load_as(lua_State *L, const char *path, const char *label)
{
	FILE *f = fopen(path, "r");
	char part[4096];
	luaL_Buffer text;
	struct stat st;
	size_t n;

	/* A pipe may never end. */
	if (!f || fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
		lua_pushfstring(L, "cannot open %s: %s", label, f ? "it is no file" : strerror(errno));
		if (f)
			fclose(f);
		return LUA_ERRFILE;
	}
	luaL_buffinit(L, &text);
	while ((n = fread(part, 1, sizeof part, f)) > 0)
		luaL_addlstring(&text, part, n);
	fclose(f);
	luaL_pushresult(&text);
	lua_pushfstring(L, "=%s", label);
	int bad = luaL_loadbufferx(L, lua_tostring(L, -2), lua_rawlen(L, -2), lua_tostring(L, -1), "t");
	lua_replace(L, -3);
	lua_pop(L, 1);
	return bad;
}

/* include(name): the value of NAME.lua beside the script. Only a plain name: a script reads nothing else of the host.
 */
static int l_include(lua_State *L)
{
	const char *script = lua_tostring(L, lua_upvalueindex(1));
	const char *name = luaL_checkstring(L, 1);
	luaL_argcheck(L, *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")], 1,
	    "a plain name of small letters, digits and _");
	const char *beside = sandbox_of(L)->beside;
	lua_settop(L, 1);
	int bad = load_beside(L, script, name);
	if (bad == LUA_ERRFILE && beside) {
		lua_pop(L, 1);
		bad = load_beside(L, beside, name);
	}
	if (bad != LUA_OK)
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

void sandbox_forget(lua_State *L, const char *const *names)
{
	forget(L, NULL, names);
}

void sandbox_libraries(lua_State *L)
{
	static const luaL_Reg libs[] = {{LUA_GNAME, luaopen_base}, {LUA_STRLIBNAME, luaopen_string},
	    {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math}, {LUA_COLIBNAME, luaopen_coroutine}};
	static const char *const base[] = {"dofile", "load", "loadfile", "collectgarbage", "xpcall", "warn", NULL};
	static const char *const catching[] = {"pcall", LUA_COLIBNAME, NULL};
	static const char *const strings[] = {"dump", NULL};
	static const char *const math[] = {"randomseed", NULL};
	for (size_t i = 0; i < ARRAY_LEN(libs); i++) {
		luaL_requiref(L, libs[i].name, libs[i].func, 1);
		lua_pop(L, 1);
	}
	forget(L, NULL, base);
	if (!sandbox_of(L)->catches)
		forget(L, NULL, catching);
	forget(L, LUA_STRLIBNAME, strings);
	forget(L, LUA_MATHLIBNAME, math);
	replace(L, NULL, "tostring", l_tostring);
	replace(L, NULL, "setmetatable", l_setmetatable);
	replace(L, NULL, "print", l_print);
	replace(L, LUA_STRLIBNAME, "format", l_format);
	replace(L, LUA_MATHLIBNAME, "random", l_random);
	if (luaL_loadbufferx(L, script_prelude, sizeof(script_prelude) - 1, "=prelude", "t") != LUA_OK)
		lua_error(L);
	lua_call(L, 0, 0);
}

static void begin_limits(lua_State *L)
{
	static const char *const hidden[] = {"next", "_G", "require", "package", NULL};

	forget(L, NULL, hidden);
	lua_sethook(L, count_hook, LUA_MASKCOUNT, HOOK_INSNS);
}

void sandbox_load_text(lua_State *L, const char *text, size_t n, const char *name)
{
	begin_limits(L);
	lua_pushfstring(L, "@%s", name);
	int bad = luaL_loadbufferx(L, text, n, lua_tostring(L, -1), "t");
	lua_remove(L, -2);
	if (bad != LUA_OK)
		lua_error(L);
}

void sandbox_load(lua_State *L, const char *path, const char *hint)
{
	lua_pushstring(L, path);
	lua_pushcclosure(L, l_include, 1);
	lua_setglobal(L, "include");
	begin_limits(L);
	const char *label = sandbox_of(L)->label;
	int bad = label ? load_as(L, path, label) : luaL_loadfilex(L, path, "t");
	if (bad == LUA_ERRFILE)
		luaL_error(L, "%s: %s", lua_tostring(L, -1), hint);
	if (bad != LUA_OK)
		lua_error(L);
}

void sandbox_error_line(lua_State *L, char *buf, size_t n)
{
	const char *text = lua_tostring(L, -1);

	snprintf(buf, n, "%s", text ? text : "an error that is no text: error(\"...\") takes a string");
	for (char *p = buf; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
}

enum err sandbox_open(struct sandbox *b, lua_CFunction prepare, const char *path, struct errmsg *why)
{
	b->bytes = 0;
	b->insns = 0;
	b->over = false;
	b->refused = 0;
	b->rng = b->seed;
	b->L = lua_newstate(bounded_alloc, b);
	if (!b->L)
		return err_set(why, ERR_NOMEM, "no memory for a Lua state");
	*(struct sandbox **)lua_getextraspace(b->L) = b;
	lua_pushcfunction(b->L, prepare);
	union {
		const char *in;
		void *out;
	} light = {path};
	lua_pushlightuserdata(b->L, light.out);
	if (lua_pcall(b->L, 1, 0, 0) == LUA_OK)
		return ERR_OK;
	char line[sizeof why->text];
	sandbox_error_line(b->L, line, sizeof line);
	return err_set(why, ERR_FORMAT, "%s", line);
}

void sandbox_close(struct sandbox *b)
{
	if (b->L)
		lua_close(b->L);
	b->L = NULL;
}
