/*
 * The Lua state of a model: the sandbox that scripts share (script/sandbox.h), with the primitives. A model has no
 * pcall and no coroutines of its own, and its limit of instructions is between two guest instructions.
 */
#include "modes/simulate/simulate.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "core/lib.h"
#include "modes/simulate/prelude.lua.h"

static void print_line(void *owner, const char *text, size_t n)
{
	const struct sim_vcpu *m = owner;
	char line[512];
	(void)n;
	fmt_snprintf(line, sizeof(line), "%s", text);
	m->v->vm->cfg.host->log(LOG_INFO, line);
}

/* A kick makes a model stop at once and go on later. */
static bool kicked(void *owner)
{
	const struct sim_vcpu *m = owner;
	return m->kicked;
}

/* Protected: argument 1 is the model's path. Leaves the main function in the registry. */
static int open_model(lua_State *L)
{
	struct sim_vcpu *m = sim_of(L);
	const char *path = lua_touserdata(L, 1);

	m->L = L;
	sandbox_libraries(L);
	sim_prims_open(m);
	if (luaL_loadbufferx(L, prelude, sizeof(prelude) - 1, "=prelude", "t") != LUA_OK)
		return lua_error(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, m->methods_ref);
	lua_call(L, 1, 0);
	sandbox_load(L, path, "give --model the path of a Lua file that can be read");
	lua_call(L, 0, 1);
	if (!lua_isfunction(L, -1))
		return luaL_error(L, "%s:1: the model gives no function: end it with \"return function(g) ... end\"",
		    sandbox_of(L)->label ? sandbox_of(L)->label : path);
	m->main_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

/* "fd:N" or "fd:N:PATH": a text that is no file, and stands beside PATH. */
static const char *open_text(struct sim_vcpu *m, const char *path, char buf[40])
{
	unsigned fd = 0;
	const char *p = path + 3;

	if (strncmp(path, "fd:", 3) != 0)
		return path;
	while (*p >= '0' && *p <= '9')
		fd = fd * 10 + (unsigned)(*p++ - '0');
	m->box.label = "model_text";
	m->box.beside = *p == ':' ? p + 1 : NULL;
	snprintf(buf, 40, "/proc/self/fd/%u", fd);
	return buf;
}

enum err sim_sandbox_open(struct sim_vcpu *m, const char *path, struct errmsg *why)
{
	struct errmsg inner = {""};
	char text[40];

	m->box = (struct sandbox){.owner = m,
	    .bytes_max = SIM_LUA_BYTES_MAX,
	    .insns_max = SIM_LUA_INSNS_MAX,
	    .over_words =
		"no guest instruction for %d million Lua instructions, an endless loop? Call a primitive in it",
	    .seed = m->v->vm->cfg.seed,
	    .print = print_line,
	    .pause = kicked};
	path = open_text(m, path, text);
	enum err e = sandbox_open(&m->box, open_model, path, &inner);
	m->L = m->box.L;
	if (e)
		err_set(why, e, e == ERR_FORMAT ? "model %s" : "%s", inner.text);
	return e;
}

void sim_sandbox_close(struct sim_vcpu *m)
{
	sandbox_close(&m->box);
	m->L = NULL;
}
