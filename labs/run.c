/*
 * The methods that drive a VM: forward, and where the backend is repeatable, back. All through run control.
 */
#include <string.h>

#include "core/lib.h"
#include "labs/lab_impl.h"
#include "tracer/tracer.h"

/* --- Around each call of run control ------------------------------------------------------------------------------ */

/* What comes from outside at a point in the past makes a new future. */
void lab_begin_future(struct lab_vm *lv)
{
	const struct control_where *w = control_where(lv->control);

	if (w->exits >= w->last_exits && w->insns >= w->last_insns)
		return;
	lv->traced = false;
	/* How far it had come, which the model may not have been told. */
	view_model_position(lv->model, w->last_insns, w->last_exits);
	lab_sync(lv);
	tracer_forget(lv->machine.tracer, view_model_forget_future(lv->model), w->exits);
}

static void begin(struct lab_vm *lv, lua_State *L)
{
	lv->L = L;
	lv->running = true;
	lv->traced = false;
	lua_pushvalue(L, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, lv);
}

/* Raises a handler's error, or that of run control. */
static void finish(struct lab_vm *lv, lua_State *L, const char *what, enum err e, const struct errmsg *why)
{
	const char *failure = control_where(lv->control)->failure;
	struct errmsg words = {""};

	lv->running = false;
	lv->L = NULL;
	lua_pushboolean(L, 0);
	lua_rawsetp(L, LUA_REGISTRYINDEX, lv);
	lab_raise_kept(lv, L);
	if (!e)
		return;
	if (why && why->text[0])
		words = *why;
	else if (failure && failure[0])
		err_set(&words, e, "%s", failure);
	lab_raise(L, what, e, &words);
}

static int push_stop(lua_State *L, struct lab_vm *lv)
{
	lua_pushstring(L, control_stop_name(control_where(lv->control)->stop));
	return 1;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

struct goal {
	uint64_t exits, insns; /* at which it is over; UINT64_MAX: never */
	bool has_fn;	       /* at stack index 3 */
	struct breakpoint exit;
	bool has_exit;
};

static uint64_t limit(lua_State *L, const char *name, uint64_t now)
{
	uint64_t n = lab_field_u64(L, 2, name, UINT64_MAX);

	if (n > INT64_MAX && n != UINT64_MAX)
		luaL_error(L, "vm:run: %s: a number of 1 or more is needed", name);
	if (n == 0)
		luaL_error(L, "vm:run: %s: a number of 1 or more is needed", name);
	return n == UINT64_MAX ? n : now + n;
}

static void read_until(lua_State *L, struct goal *g)
{
	lua_pushliteral(L, "until_");
	int type = lua_rawget(L, 2); /* 3 */

	if (type == LUA_TFUNCTION) {
		g->has_fn = true;
		return;
	}
	const char *text = type == LUA_TNIL ? "end" : lua_tostring(L, 3);
	if (text && strcmp(text, "end") == 0)
		return;
	if (!text || strncmp(text, "exit ", 5) != 0)
		luaL_error(
		    L, "vm:run: until_: it is \"end\", \"exit REASON\", or a function that is called at each exit");
	int reason = exit_reason_by_name(text + 5);
	if (reason < 0)
		luaL_error(
		    L, "vm:run: until_: no exit reason is called %s: docs/exit-contract.md lists them", text + 5);
	g->has_exit = true;
	g->exit = (struct breakpoint){.kind = BREAK_EXIT, .lo = (uint64_t)reason};
}

static void read_goal(lua_State *L, struct lab_vm *lv, struct goal *g)
{
	const struct control_where *w = control_where(lv->control);

	*g = (struct goal){.exits = UINT64_MAX, .insns = UINT64_MAX};
	if (lua_isnil(L, 2)) {
		lua_pushnil(L);
		return;
	}
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_pushnil(L);
	while (lua_next(L, 2)) {
		static const char *const names[] = {"until_", "max_exits", "max_insns"};
		bool known = false;
		for (size_t i = 0; i < ARRAY_LEN(names) && lua_type(L, -2) == LUA_TSTRING; i++)
			known = known || strcmp(lua_tostring(L, -2), names[i]) == 0;
		if (!known)
			luaL_error(L,
			    "vm:run: it takes until_, max_exits and max_insns, and nothing else (\"until\" is "
			    "a word of Lua itself)");
		lua_pop(L, 1);
	}
	g->exits = limit(L, "max_exits", w->exits);
	g->insns = limit(L, "max_insns", w->insns);
	if (g->insns != UINT64_MAX && !(lv->vm->cfg.mode->caps & MODE_CAP_COUNTS_INSNS))
		luaL_error(
		    L, "vm:run: max_insns: %s does not count instructions: use max_exits", lv->vm->cfg.mode->name);
	if (g->insns != UINT64_MAX && lv->remote)
		luaL_error(L,
		    "vm:run: max_insns: the guest runs on another machine, which stops at exits only: use max_exits");
	read_until(L, g);
}

/* The function of the script, at an exit: does it want to stop? The guest stands still meanwhile, and may be driven on,
 * or closed. */
static bool ask(lua_State *L, struct lab_vm *lv)
{
	lua_pushvalue(L, 3);
	lab_push_exit_table(L, &lv->vm->vcpus[lv->last_vcpu].exit);
	lua_pushvalue(L, 1);
	lua_call(L, 2, 1);
	bool stop = lua_toboolean(L, -1);
	lua_pop(L, 1);
	lab_check_vm(L, 1);
	return stop;
}

static uint64_t left(uint64_t goal, uint64_t now)
{
	return goal == UINT64_MAX ? 0 : goal > now ? goal - now : 0;
}

static const char *stop_word(struct lab_vm *lv, const struct goal *g)
{
	const struct control_where *w = control_where(lv->control);

	if (w->stop == CONTROL_BREAK)
		return "done";
	if (w->stop == CONTROL_DONE && (w->exits >= g->exits || w->insns >= g->insns))
		return "limit";
	return control_stop_name(w->stop);
}

static int l_run(lua_State *L)
{
	struct lab_vm *lv = lab_still_vm(L, 1);
	struct errmsg why = {""};
	struct goal g;
	const char *word;

	lua_settop(L, 2);
	read_goal(L, lv, &g);
	if (g.has_exit) {
		enum err bad = control_break_add(lv->control, &g.exit, &why);
		if (bad)
			return lab_raise(L, "vm:run", bad, &why);
	}
	for (;;) {
		const struct control_where *w = control_where(lv->control);
		uint64_t before = w->exits, exits = g.has_fn ? 1 : left(g.exits, before);

		begin(lv, L);
		enum err e = control_run_within(lv->control, exits, left(g.insns, w->insns));
		if (g.has_exit)
			(void)!control_break_remove(lv->control, g.exit.id);
		finish(lv, L, "vm:run", e, NULL);
		word = stop_word(lv, &g);
		w = control_where(lv->control);
		if (!g.has_fn || w->exits == before)
			break;
		bool ended = strcmp(word, "done") != 0;
		if (ask(L, lv)) {
			word = "done";
			break;
		}
		if (ended)
			break;
	}
	lua_pushstring(L, word);
	return 1;
}

/* --- Steps and ways back ------------------------------------------------------------------------------------------ */

static uint64_t count(lua_State *L)
{
	lua_Integer n = luaL_optinteger(L, 2, 1);

	luaL_argcheck(L, n > 0, 2, "a number of 1 or more is needed");
	return (uint64_t)n;
}

static int l_step(lua_State *L)
{
	struct lab_vm *lv = lab_still_vm(L, 1);
	struct errmsg why = {""};
	uint64_t n = count(L);

	begin(lv, L);
	enum err e = control_step_insn(lv->control, n, &why);
	finish(lv, L, "vm:step", e, &why);
	return push_stop(L, lv);
}

static int l_step_exit(lua_State *L)
{
	struct lab_vm *lv = lab_still_vm(L, 1);
	uint64_t n = count(L);

	begin(lv, L);
	enum err e = control_step_exit(lv->control, n);
	finish(lv, L, "vm:step_exit", e, NULL);
	return push_stop(L, lv);
}

/* A way through the past: what a device in Lua holds is in Lua, and does not go along. */
static void check_past(lua_State *L, const struct lab_vm *lv, const char *what)
{
	if (lv->n_devices)
		luaL_error(L, "%s: this VM has devices of the script, whose state cannot be taken back", what);
}

static int go_back(
    lua_State *L, const char *what, enum err (*go)(struct control *, uint64_t, struct errmsg *), uint64_t n)
{
	struct lab_vm *lv = lab_still_vm(L, 1);
	struct errmsg why = {""};

	check_past(L, lv, what);
	begin(lv, L);
	enum err e = go(lv->control, n, &why);
	finish(lv, L, what, e, &why);
	return push_stop(L, lv);
}

static int l_back(lua_State *L)
{
	return go_back(L, "vm:back", control_back_insn, count(L));
}

static int l_back_exit(lua_State *L)
{
	return go_back(L, "vm:back_exit", control_back_exit, count(L));
}

static int l_goto_exit(lua_State *L)
{
	lua_Integer k = luaL_checkinteger(L, 2);

	luaL_argcheck(L, k >= 0, 2, "exits are numbered from 0");
	return go_back(L, "vm:goto_exit", control_goto_exit, (uint64_t)k);
}

static int l_snapshot(lua_State *L)
{
	struct lab_vm *lv = lab_still_vm(L, 1);
	const struct control_where *w = control_where(lv->control);

	if (!w->can_back)
		return luaL_error(L, "vm:snapshot: %s", w->why_not_back);
	check_past(L, lv, "vm:snapshot");
	lua_newtable(L);
	lua_pushinteger(L, (lua_Integer)w->insns);
	lua_setfield(L, -2, "insns");
	lua_pushinteger(L, (lua_Integer)w->exits);
	lua_setfield(L, -2, "exits");
	return 1;
}

static int l_restore(lua_State *L)
{
	luaL_checktype(L, 2, LUA_TTABLE);
	if (lua_getfield(L, 2, "insns") != LUA_TNUMBER)
		return luaL_argerror(L, 2, "what vm:snapshot() gave is needed");
	return go_back(L, "vm:restore", control_goto_insn, lab_check_u64(L, -1));
}

static int l_type(lua_State *L)
{
	struct lab_vm *lv = lab_still_vm(L, 1);
	size_t n;
	const char *text = luaL_checklstring(L, 2, &n);

	lab_begin_future(lv);
	lua_pushinteger(L, (lua_Integer)control_type(lv->control, (const uint8_t *)text, n));
	return 1;
}

const luaL_Reg lab_run_methods[] = {{"run", l_run}, {"step", l_step}, {"step_exit", l_step_exit}, {"back", l_back},
    {"back_exit", l_back_exit}, {"goto_exit", l_goto_exit}, {"snapshot", l_snapshot}, {"restore", l_restore},
    {"type", l_type}, {NULL, NULL}};
