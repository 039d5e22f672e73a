/*
 * A lab script from its file to its end: the sandboxed state, the global "vmscope", arguments, output, errors.
 */
#include <stdlib.h>
#include <string.h>

#include "core/lib.h"
#include "labs/lab_impl.h"

/* --- Helpers for everybody ---------------------------------------------------------------------------------------- */

int lab_raise(lua_State *L, const char *what, enum err e, const struct errmsg *why)
{
	return luaL_error(L, "%s: %s", what, why && why->text[0] ? why->text : err_sentence(e));
}

uint64_t lab_check_u64(lua_State *L, int arg)
{
	return (uint64_t)luaL_checkinteger(L, arg);
}

uint64_t lab_check_value(lua_State *L, int arg, const char *of, const char *name)
{
	int is_number;
	lua_Integer value = lua_tointegerx(L, arg, &is_number);

	if (!is_number)
		luaL_error(L, "%s.%s: a whole number is needed, not %s", of, name,
		    lua_type(L, arg) == LUA_TNUMBER ? "one with a fraction" : luaL_typename(L, arg));
	return (uint64_t)value;
}

uint64_t lab_field_u64(lua_State *L, int table, const char *name, uint64_t fallback)
{
	uint64_t value = fallback;
	int is_number = 1;

	lua_pushstring(L, name);
	if (lua_rawget(L, table) != LUA_TNIL)
		value = (uint64_t)lua_tointegerx(L, -1, &is_number);
	if (!is_number)
		luaL_error(L, "%s: a whole number is needed, not a %s", name, luaL_typename(L, -1));
	lua_pop(L, 1);
	return value;
}

void lab_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta)
{
	luaL_newmetatable(L, name);
	if (meta)
		luaL_setfuncs(L, meta, 0);
	if (methods) {
		lua_newtable(L);
		luaL_setfuncs(L, methods, 0);
		lua_setfield(L, -2, "__index");
	}
	lua_pushboolean(L, 0); /* a script does not get at it */
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

int lab_blame(lua_State *L, int fn, const char *text)
{
	lua_Debug ar;

	lua_rawgeti(L, LUA_REGISTRYINDEX, fn);
	if (lua_isfunction(L, -1) && lua_getinfo(L, ">S", &ar))
		return luaL_error(L, "%s:%d: %s", ar.short_src, ar.linedefined, text);
	return luaL_error(L, "%s", text);
}

/* --- Output ------------------------------------------------------------------------------------------------------- */

/* Length of the printable UTF-8 character at p; 0: none. C1 controls are none. */
static size_t character(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	if (len == 1)
		return (p[0] >= ' ' && p[0] != 0x7f) || p[0] == '\n' || p[0] == '\t';
	if (len > n || (p[0] == 0xc2 && p[1] < 0xa0))
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* What comes from a guest may hold escape codes: shown, never obeyed. */
void lab_print_line(void *owner, const char *line, size_t n)
{
	struct lab *lab = owner;
	const unsigned char *p = (const unsigned char *)line;

	for (size_t i = 0, len; i < n; i += len ? len : 1) {
		len = character(p + i, n - i);
		if (len)
			fwrite(p + i, 1, len, lab->cfg.out);
		else
			fprintf(lab->cfg.out, "\\x%02x", p[i]);
	}
	fputc('\n', lab->cfg.out);
}

/* --- The state ---------------------------------------------------------------------------------------------------- */

static void push_arguments(lua_State *L, const struct lab_config *cfg)
{
	lua_createtable(L, cfg->argc, 0);
	for (int i = 0; i < cfg->argc; i++) {
		lua_pushstring(L, cfg->argv[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setglobal(L, "arg");
}

/* A linear congruential generator modulo 2^64 (multiplier and increment of MMIX [Knuth, TAOCP 2, 3.3.4]), its upper
 * 31 bits. Upvalue 1 is the state. */
static int draw(lua_State *L)
{
	uint64_t x = (uint64_t)lua_tointeger(L, lua_upvalueindex(1));
	lua_Integer lo = luaL_checkinteger(L, 1), hi = luaL_checkinteger(L, 2);
	uint64_t span = (uint64_t)hi - (uint64_t)lo + 1, drawn;

	luaL_argcheck(L, lo <= hi && span, 2, "it is not below the first");
	x = x * 6364136223846793005u + 1442695040888963407u;
	drawn = (uint64_t)lo + (x >> 33) % span;
	lua_pushinteger(L, (lua_Integer)x);
	lua_replace(L, lua_upvalueindex(1));
	lua_pushinteger(L, (lua_Integer)drawn);
	return 1;
}

/* vmscope.random(seed): a function of two whole numbers that draws from between them. */
static int l_random(lua_State *L)
{
	uint64_t state = (uint64_t)luaL_checkinteger(L, 1) * 2654435761u + 12345;

	lua_pushinteger(L, (lua_Integer)state);
	lua_pushcclosure(L, draw, 1);
	return 1;
}

void lab_open_api(lua_State *L)
{
	lua_newtable(L);
	lab_open_vm(L);
	lab_open_state(L);
	lab_open_handlers(L);
	lab_open_observe(L);
	lab_open_device(L);
	lua_pushcfunction(L, lab_asm);
	lua_setfield(L, -2, "asm");
	lua_pushcfunction(L, l_random);
	lua_setfield(L, -2, "random");
	lua_setglobal(L, "vmscope");
}

/* Protected; argument 1 is the path. Leaves the chunk in the registry, under the lab's address. */
static int prepare(lua_State *L)
{
	struct lab *lab = lab_of(L);
	const char *path = lua_touserdata(L, 1);

	sandbox_libraries(L);
	lab_open_api(L);
	push_arguments(L, &lab->cfg);
	sandbox_load(L, path, "give the path of a Lua file that can be read");
	lua_rawsetp(L, LUA_REGISTRYINDEX, lab);
	return 0;
}

static int run_chunk(lua_State *L)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, lab_of(L));
	lua_call(L, 0, 0);
	return 0;
}

enum err lab_run(const struct lab_config *cfg, struct errmsg *why)
{
	struct lab lab = {.cfg = *cfg};

	lab.box = (struct sandbox){.owner = &lab,
	    .bytes_max = cfg->bytes_max ? cfg->bytes_max : LAB_BYTES_MAX,
	    .insns_max = cfg->insns_max ? cfg->insns_max : LAB_INSNS_MAX,
	    .over_words = LAB_OVER_WORDS,
	    .seed = cfg->seed,
	    .catches = true,
	    .print = lab_print_line};
	enum err e = sandbox_open(&lab.box, prepare, cfg->path, why);
	if (!e) {
		lua_pushcfunction(lab.box.L, run_chunk);
		int bad = lua_pcall(lab.box.L, 0, 0, 0);
		if (bad == LUA_ERRMEM) {
			e = err_set(why, ERR_FORMAT, "%s: the script has used its %llu MiB of memory: keep less",
			    cfg->path, (unsigned long long)(lab.box.bytes_max >> 20));
		} else if (bad != LUA_OK) {
			char line[sizeof why->text];
			sandbox_error_line(lab.box.L, line, sizeof line);
			e = err_set(why, ERR_FORMAT, "%s", line);
		}
	}
	sandbox_close(&lab.box);
	if (fflush(cfg->out) != 0 && !e)
		e = err_set(why, ERR_IO, "what the script prints cannot be written");
	return e;
}
