/*
 * The table of vmscope.vm{} and vmscope.compare{}, as argument 1: looked at once, and made the words of "vmscope run".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/lib.h"
#include "labs/lab_impl.h"

#define DEFAULT_MEM (64u << 20)

/* Fields of vmscope.vm{} that are options of "vmscope run" by (nearly) the same name. */
static const struct {
	const char *field, *option;
} options[] = {{"mode", "--mode"}, {"type", "--type"}, {"controls", "--controls"}, {"mem", "--mem"}, {"cpus", "--cpus"},
    {"clock", "--clock"}, {"seed", "--seed"}, {"append", "--append"}, {"keys", "--keys"}, {"model", "--model"},
    {"kernel", "--kernel"}, {"initrd", "--initrd"}, {"firmware", "--firmware"}, {"machine", "--machine"},
    {"engine", "--engine"}, {"max_exits", "--max-exits"}, {"max_insns", "--max-insns"}};

static bool known_field(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(name, options[i].field) == 0)
			return true;
	return strcmp(name, "guest") == 0 || strcmp(name, "image") == 0 || strcmp(name, "devices") == 0 ||
	       strcmp(name, "model_text") == 0;
}

static int no_such_field(lua_State *L, const char *name)
{
	luaL_Buffer known;

	luaL_buffinit(L, &known);
	luaL_addstring(&known, "guest, image, devices, model_text");
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		luaL_addstring(&known, ", ");
		luaL_addstring(&known, options[i].field);
	}
	luaL_pushresult(&known);
	return luaL_error(L, "vmscope.vm: no field %s: there are %s", name, lua_tostring(L, -1));
}

/* Argument 1 becomes a copy that nobody else has, and that has no metatable: it says the same whenever it is asked. The
 * order in which Lua gives its fields is another one in each process: of several unknown ones the first by name is
 * told. */
void lab_check_fields(lua_State *L)
{
	const char *unknown = NULL; /* held by the table */

	lua_newtable(L); /* 2 */
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, 2);
		const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(a number)";
		if (!(lua_type(L, -1) == LUA_TSTRING && known_field(name)) && (!unknown || strcmp(name, unknown) < 0))
			unknown = name;
	}
	if (unknown)
		no_such_field(L, unknown);
	lua_replace(L, 1);
}

static void check_word(lua_State *L, const char *field)
{
	if (lua_type(L, -1) != LUA_TSTRING && !lua_isinteger(L, -1))
		luaL_error(
		    L, "vmscope.vm: %s: a text or a whole number is needed, not a %s", field, luaL_typename(L, -1));
}

static char *keep_word(lua_State *L, int words)
{
	union {
		const char *in;
		char *out;
	} word = {lua_tostring(L, -1)};

	lua_rawseti(L, words, (lua_Integer)lua_rawlen(L, words) + 1);
	return word.out;
}

/* The words of "vmscope run"; their texts stay in the table that is left on top of the stack. */
int lab_make_words(lua_State *L, char *argv[LAB_WORDS_MAX])
{
	static char dashes[] = "--";
	int argc = 0;

	lua_newtable(L);
	int words = lua_gettop(L);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (lua_getfield(L, 1, options[i].field) != LUA_TNIL) {
			check_word(L, options[i].field);
			const char *text = lua_tostring(L, -1);
			if (strncmp(text, "fd:", 3) == 0)
				luaL_error(L, "vmscope.vm: %s: %s is no file", options[i].field, text);
			if (strcmp(options[i].field, "type") == 0)
				text = strcmp(text, "I") == 0 ? "1" : strcmp(text, "II") == 0 ? "2" : text;
			lua_pushfstring(L, "%s=%s", options[i].option, text);
			argv[argc++] = keep_word(L, words);
		}
		lua_settop(L, words);
	}
	if (lua_getfield(L, 1, "guest") != LUA_TNIL) {
		check_word(L, "guest");
		lua_tostring(L, -1);
		argv[argc++] = dashes;
		argv[argc++] = keep_word(L, words);
	}
	lua_settop(L, words);
	return argc;
}

/* The text of a behaviour model, for those who open files: one that leaves nothing behind, or -1. Leaves the table of
 * its word. */
int lab_add_model_text(lua_State *L, char **argv, int *argc)
{
	int fd = -1;
	size_t n;

	lua_newtable(L);
	int words = lua_gettop(L);

	if (lua_getfield(L, 1, "model_text") != LUA_TNIL) {
		luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "model_text is the text of a behaviour model");
		const char *text = lua_tolstring(L, -1, &n);
		fd = memfd_create("model", MFD_CLOEXEC);
		if (fd < 0 || write(fd, text, n) != (ssize_t)n)
			luaL_error(L, "model_text cannot be kept: %s", strerror(errno));
		lua_pushfstring(L, "--model=fd:%d", fd);
		argv[(*argc)++] = keep_word(L, words);
	}
	lua_settop(L, words);
	return fd;
}

/* The field "mem" as "--mem" reads it. What is no size is 0: the options will say so. */
static uint64_t wanted_mem(lua_State *L)
{
	static const char suffixes[] = "KMG";
	uint64_t bytes = DEFAULT_MEM;
	const char *text;
	char *end;

	if (lua_getfield(L, 1, "mem") != LUA_TNIL) {
		check_word(L, "mem");
		text = lua_tostring(L, -1);
		unsigned long long n = strtoull(text, &end, 0);
		const char *at = *end ? strchr(suffixes, *end & ~0x20) : NULL;
		unsigned shift = at ? 10 * (unsigned)(at - suffixes + 1) : 0;
		bytes = end == text ? 0 : n > UINT64_MAX >> shift ? UINT64_MAX : (uint64_t)n << shift;
	}
	lua_pop(L, 1);
	return bytes;
}

/* A grader's results are the same on every machine. */
void lab_check_clock(lua_State *L)
{
	if (lua_getfield(L, 1, "clock") != LUA_TNIL && lab_of(L)->cfg.virtual_time &&
	    (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "virtual") != 0))
		luaL_error(L, "vmscope.vm: clock: here it is \"virtual\": no result depends on how fast the host is");
	lua_pop(L, 1);
}

/* Where a grader bounds memory nothing depends on how much of it the host has. */
uint64_t lab_bound_mem(lua_State *L)
{
	struct lab *lab = lab_of(L);
	uint64_t max = lab->cfg.guest_mem_max, mem = max ? wanted_mem(L) : 0;

	if (mem <= max && lab->mem > max - mem)
		lua_gc(L, LUA_GCCOLLECT);
	if (mem > max || lab->mem > max - mem)
		luaL_error(L,
		    "vmscope.vm: mem: all VMs together have %I MiB here: ask for less, or end some with vm:close()",
		    (LUAI_UACINT)(max >> 20));
	return mem;
}
