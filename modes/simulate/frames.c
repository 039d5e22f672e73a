/*
 * Coroutines of a model. The main function runs in one; an interrupt handler gets its own on top of it, as a real
 * handler gets a stack frame on top of what it interrupts, and runs its own instructions with their own exits.
 */
#include "modes/simulate/simulate.h"

#include <lauxlib.h>

#include "core/lib.h"

/* Pushes a coroutine whose function is on top of m->L's stack. */
static bool push_frame(struct sim_vcpu *m)
{
	if (m->depth == SIM_FRAMES_MAX) {
		lua_pop(m->L, 1);
		vm_kill(m->v->vm, END_MODEL_ERROR, 0,
		    "model: %u interrupt handlers are nested: a handler must not call sti() before it is done",
		    SIM_FRAMES_MAX - 1);
		return false;
	}
	struct sim_frame *f = &m->frames[m->depth++];
	memset(f, 0, sizeof(*f));
	f->co = lua_newthread(m->L);
	lua_pushvalue(m->L, -2);
	lua_xmove(m->L, f->co, 1);
	f->ref = luaL_ref(m->L, LUA_REGISTRYINDEX);
	lua_pop(m->L, 1);
	f->saved_flags = m->v->cpu.s.rflags;
	f->saved_cpl = m->v->cpu.cpl;
	return true;
}

/* Out of memory while setting a frame up would otherwise have nobody to catch it. */
static int protected_push(lua_State *L)
{
	struct sim_vcpu *m = sim_of(L);
	lua_Integer vector = lua_tointeger(L, 1);
	bool pushed;
	lua_settop(L, 0);
	if (vector < 0) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, m->main_ref);
	} else {
		lua_rawgeti(L, LUA_REGISTRYINDEX, m->irq_ref);
		if (lua_rawgeti(L, -1, vector) != LUA_TFUNCTION) {
			char number[8];
			fmt_snprintf(number, sizeof(number), "0x%x", (unsigned)vector);
			return luaL_error(L,
			    "interrupt vector %s came and the model has no handler for it: g:on_irq(%s, function() ... "
			    "end)",
			    number, number);
		}
	}
	pushed = push_frame(m);
	if (pushed && vector < 0) {
		struct sim_frame *f = sim_top(m);
		lua_rawgeti(f->co, LUA_REGISTRYINDEX, m->g_ref);
	}
	lua_pushboolean(L, pushed);
	return 1;
}

static bool push(struct sim_vcpu *m, lua_Integer vector)
{
	lua_State *L = m->L;
	lua_settop(L, 0);
	lua_pushcfunction(L, protected_push);
	lua_pushinteger(L, vector);
	if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
		sim_model_error(m, L);
		return false;
	}
	return lua_toboolean(L, -1);
}

bool sim_push_main(struct sim_vcpu *m)
{
	return push(m, -1);
}

bool sim_push_handler(struct sim_vcpu *m, uint8_t vector)
{
	return push(m, vector);
}

void sim_pop(struct sim_vcpu *m)
{
	struct sim_frame *f = &m->frames[--m->depth];
	luaL_unref(m->L, LUA_REGISTRYINDEX, f->ref);
}

/* The message on top of L's stack, as one line with what to do. */
void sim_model_error(struct sim_vcpu *m, lua_State *L)
{
	char line[176];
	const char *text = lua_tostring(L, -1);
	fmt_snprintf(line, sizeof(line), "%s", text ? text : "an error that is no text: error(\"...\") takes a string");
	for (char *p = line; *p; p++)
		if (*p == '\n')
			*p = ' ';
	vm_kill(m->v->vm, END_MODEL_ERROR, 0, "model %s (primitives: labs/guests/README.md)", line);
}

bool sim_resume(struct sim_vcpu *m)
{
	struct sim_frame *f = sim_top(m);
	int args = f->started ? 0 : lua_gettop(f->co) - 1; /* below them: the function */
	int results;
	f->started = true;
	int rc = lua_resume(f->co, m->L, args, &results);
	if (rc == LUA_YIELD) {
		lua_pop(f->co, results);
		return true;
	}
	if (rc == LUA_OK) {
		f->finished = true;
		return m->depth > 1;
	}
	sim_model_error(m, f->co);
	return false;
}
