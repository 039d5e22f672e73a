/*
 * What was observed, as Lua tables: statistics, verdicts, the log of exits, symbols.
 */
#include <string.h>

#include "core/lib.h"
#include "labs/lab_impl.h"
#include "tracer/symbols.h"
#include "tracer/tracer.h"

#define TRACE_CLASS "vmscope.trace"
#define STATS_CLASS "vmscope.stats"

static void integer(lua_State *L, const char *name, uint64_t value)
{
	lua_pushinteger(L, (lua_Integer)value);
	lua_setfield(L, -2, name);
}

static void real(lua_State *L, const char *name, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, name);
}

static void text(lua_State *L, const char *name, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, name);
}

/* --- Statistics --------------------------------------------------------------------------------------------------- */

static void push_row(lua_State *L, const struct exit_stats *s, const struct stats_row *r)
{
	static const unsigned percents[] = {50, 90, 99};
	char buf[64];

	lua_newtable(L);
	text(L, "name", r->name);
	integer(L, "samples", r->samples);
	real(L, "share", stats_share(s, r));
	lua_pushboolean(L, r->child);
	lua_setfield(L, -2, "child");
	text(L, "observed", stats_observed(r, buf, sizeof buf));
	text(L, "cost", stats_cost_source(r->timed, r->modelled));
	if (r->direct_n)
		real(L, "direct_insns", (double)r->direct_sum / (double)r->direct_n);
	if (!r->timed)
		return;
	integer(L, "sum_ns", r->sum_ns);
	integer(L, "min_ns", r->min_ns);
	integer(L, "max_ns", r->max_ns);
	real(L, "mean_ns", r->mean);
	real(L, "stddev_ns", stats_stddev(r));
	real(L, "time_share", stats_time_share(s, r));
	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		snprintf(buf, sizeof buf, "p%u_ns", percents[i]);
		uint64_t v = hist_percentile(&r->hist, percents[i]);
		integer(L, buf, v < r->min_ns ? r->min_ns : v > r->max_ns ? r->max_ns : v);
	}
}

/* A reason that never came has a row, too: with no samples. */
static int no_samples(lua_State *L)
{
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";

	if (exit_reason_by_name(name) < 0)
		return luaL_error(
		    L, "vm.stats has no %s: it has total, total_ns, lost, rows, and exit reasons by name", name);
	lua_newtable(L);
	text(L, "name", name);
	integer(L, "samples", 0);
	real(L, "share", 0);
	return 1;
}

int lab_push_stats(lua_State *L, struct lab_vm *lv)
{
	lab_sync(lv);
	/* The guest stands still, and the writer has nothing left: the model is nobody else's now. */
	const struct exit_stats *s = view_stats(lv->model, STATS_BY_REASON);

	lua_newtable(L);
	integer(L, "total", s->total);
	integer(L, "total_ns", s->total_ns);
	integer(L, "lost", s->lost);
	lua_createtable(L, (int)s->n_rows, 0);
	for (size_t i = 0; i < s->n_rows; i++) {
		push_row(L, s, &s->rows[i]);
		lua_pushvalue(L, -1);
		lua_setfield(L, -4, s->rows[i].name);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "rows");
	luaL_setmetatable(L, STATS_CLASS);
	return 1;
}

/* --- Verdicts ----------------------------------------------------------------------------------------------------- */

static void push_verdict(lua_State *L, const char *name, const struct pg_verdict *v)
{
	lua_newtable(L);
	text(L, "state", pg_state_name(v->state));
	text(L, "evidence", v->evidence);
	lua_setfield(L, -2, name);
}

int lab_push_verdicts(lua_State *L, struct lab_vm *lv)
{
	const struct lab_maker *maker = lv->lab->cfg.maker;
	struct view_verdicts v = {.direct_fraction = -1, .guest_time_fraction = -1};

	lab_sync(lv);
	maker->verdicts(maker->arg, &lv->machine, &v);
	/* The comparison runs the guest again under the VMM's own handlers. */
	if (lv->next_handler > 1 || lv->n_devices)
		v.equivalence = (struct pg_verdict){
		    PG_UNKNOWN, "handlers and devices of the script are a part of this VMM, and of no reference"};
	lua_newtable(L);
	push_verdict(L, "equivalence", &v.equivalence);
	push_verdict(L, "safety", &v.safety);
	push_verdict(L, "efficiency", &v.efficiency);
	if (v.direct_fraction >= 0)
		real(L, "direct_fraction", v.direct_fraction);
	if (v.guest_time_fraction >= 0)
		real(L, "guest_time_fraction", v.guest_time_fraction);
	return 1;
}

/* The rows of a comparison as a table by the backend's name. */
void lab_push_compared(lua_State *L, const struct lab_compared *rows, unsigned n)
{
	lua_newtable(L);
	for (unsigned i = 0; i < n; i++) {
		lua_newtable(L);
		text(L, "backend", rows[i].backend);
		lua_pushboolean(L, rows[i].ran);
		lua_setfield(L, -2, "ran");
		lua_pushboolean(L, rows[i].reference);
		lua_setfield(L, -2, "reference");
		if (rows[i].ran) {
			text(L, "ended", rows[i].end);
			integer(L, "exits", rows[i].exits);
			push_verdict(L, "equivalence", &rows[i].equivalence);
			push_verdict(L, "safety", &rows[i].safety);
			push_verdict(L, "efficiency", &rows[i].efficiency);
		} else {
			text(L, "why", rows[i].why);
		}
		lua_setfield(L, -2, rows[i].backend);
	}
}

/* --- The log of exits --------------------------------------------------------------------------------------------- */

void lab_push_trace(lua_State *L, int vm)
{
	vm = lua_absindex(L, vm);
	lua_newuserdatauv(L, 0, 1);
	lua_pushvalue(L, vm);
	lua_setiuservalue(L, -2, 1);
	luaL_setmetatable(L, TRACE_CLASS);
}

static struct lab_vm *trace_vm(lua_State *L)
{
	luaL_checkudata(L, 1, TRACE_CLASS);
	lua_getiuservalue(L, 1, 1);
	struct lab_vm *lv = lab_still_vm(L, -1);
	lua_pop(L, 1);
	lab_sync(lv);
	return lv;
}

static void push_view_exit(lua_State *L, const struct view_exit *e)
{
	struct vm_exit x;

	view_exit_to_vm_exit(e, &x);
	lab_push_exit_table(L, &x);
	lua_pushnil(L);
	lua_setfield(L, -2, "index");
	if (e->number != UINT64_MAX)
		integer(L, "number", e->number);
	if (e->verdict < VERDICT_COUNT)
		text(L, "verdict", lab_verdict_name((enum verdict)e->verdict));
	if (e->has & VIEW_HAS_DIRECT)
		integer(L, "direct_insns", e->direct);
	if (e->has & VIEW_INJECTED)
		integer(L, "injected", e->inject_vector);
}

/* One of the log, from 0; the lock is never held while Lua allocates. */
static bool log_at(struct view_model *m, uint64_t i, struct view_exit *out, bool *shown)
{
	view_model_lock(m);
	const struct view_exit *e = view_log_at(m, view_log_first(m) + i);
	if (e) {
		*out = *e;
		*shown = view_log_shown(m, e);
	}
	view_model_unlock(m);
	return e;
}

static uint64_t log_n(struct view_model *m)
{
	view_model_lock(m);
	uint64_t n = view_log_n(m);
	view_model_unlock(m);
	return n;
}

static enum err set_filter(struct view_model *m, const char *filter, struct errmsg *why)
{
	size_t at = 0;

	view_model_lock(m);
	enum err e = view_filter_set(m, filter, &at, why);
	view_model_unlock(m);
	return e;
}

static int trace_filter(lua_State *L)
{
	struct lab_vm *lv = trace_vm(L);
	const char *filter = luaL_optstring(L, 2, NULL);
	struct errmsg why = {""};
	struct view_exit e;
	bool shown;
	lua_Integer n = 0;

	enum err bad = set_filter(lv->model, filter, &why);
	if (bad)
		return lab_raise(L, "vm.trace:filter", bad, &why);
	lua_newtable(L);
	for (uint64_t i = 0; log_at(lv->model, i, &e, &shown); i++) {
		if (!shown)
			continue;
		push_view_exit(L, &e);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

static int trace_len(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)log_n(trace_vm(L)->model));
	return 1;
}

static int trace_index(lua_State *L)
{
	struct lab_vm *lv = trace_vm(L);
	struct view_exit e;
	bool shown;

	if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "filter") == 0) {
		lua_pushcfunction(L, trace_filter);
		return 1;
	}
	lua_Integer i = luaL_checkinteger(L, 2);
	if (i < 1 || !log_at(lv->model, (uint64_t)i - 1, &e, &shown))
		lua_pushnil(L);
	else
		push_view_exit(L, &e);
	return 1;
}

/* --- Symbols ------------------------------------------------------------------------------------------------------ */

int lab_push_symbols(lua_State *L, struct lab_vm *lv)
{
	const char *name;
	uint64_t addr;

	lua_newtable(L);
	for (size_t i = 0; lv->machine.symbols && (name = symbols_at(lv->machine.symbols, i, &addr)); i++)
		integer(L, name, addr);
	return 1;
}

/* vm:symbol(name) is its address, vm:symbol(address) "name+0x12"; nil: not known. */
int lab_symbol(lua_State *L)
{
	struct lab_vm *lv = lab_check_vm(L, 1);
	const struct symbols *s = lv->machine.symbols;
	uint64_t addr;
	char buf[256];

	if (lua_type(L, 2) == LUA_TSTRING) {
		if (s && symbols_by_name(s, lua_tostring(L, 2), &addr))
			lua_pushinteger(L, (lua_Integer)addr);
		else
			lua_pushnil(L);
		return 1;
	}
	symbols_format(s, lab_check_u64(L, 2), buf, sizeof buf);
	if (buf[0])
		lua_pushstring(L, buf);
	else
		lua_pushnil(L);
	return 1;
}

void lab_open_observe(lua_State *L)
{
	static const luaL_Reg trace[] = {{"__index", trace_index}, {"__len", trace_len}, {NULL, NULL}};
	static const luaL_Reg stats[] = {{"__index", no_samples}, {NULL, NULL}};

	lab_class(L, TRACE_CLASS, NULL, trace);
	lab_class(L, STATS_CLASS, NULL, stats);
}
