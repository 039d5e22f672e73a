/*
 * What a grader looks at: everything about a VM as plain data, made here from the VM itself, so that a submission
 * that drives the same VM has no hand in it.
 */
#include <inttypes.h>
#include <sha256.h>
#include <stdlib.h>
#include <string.h>

#include "core/lib.h"
#include "labs/lab_impl.h"
#include "tracer/symbols.h"

#define CONSOLE_MAX (64u << 10)

static void integer(lua_State *L, const char *name, uint64_t value)
{
	lua_pushinteger(L, (lua_Integer)value);
	lua_setfield(L, -2, name);
}

/* --- The log ------------------------------------------------------------------------------------------------------ */

/* Where exits of a reason come from. */
struct origin {
	uint32_t reason;
	uint64_t rip, n;
};

struct seen {
	struct origin *origins; /* NULL: no memory; only where the log has RIPs */
	size_t n_origins;
};

static void hash_u64(SHA2_CTX *c, uint64_t v)
{
	SHA256Update(c, (const uint8_t *)&v, sizeof v);
}

/* What is the same in every run. Costs are the VMM's own; on host time, times differ. */
static void hash_exit(SHA2_CTX *c, const struct view_exit *e, bool virtual_time)
{
	const uint64_t fields[] = {e->number, e->reason, e->vcpu, e->rip, e->qual, e->info2, e->gpa, e->raw[0],
	    e->raw[1], e->raw[2], e->raw[3], e->intr_info, e->intr_error, e->insn_len, e->verdict, e->inject_type,
	    e->inject_vector, e->inject_error};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		hash_u64(c, fields[i]);
	hash_u64(c, virtual_time ? e->ts_ns : 0);
	hash_u64(c, virtual_time ? e->insns : 0);
}

/* The exits that the log holds: all, but of a very long run. */
static void read_log(struct lab_vm *lv, struct seen *s, char hash[65])
{
	bool virtual_time = lv->vm->cfg.clock == CLOCK_VIRTUAL;
	struct view_model *m = lv->model;
	SHA2_CTX c;

	SHA256Init(&c);
	view_model_lock(m);
	uint64_t first = view_log_first(m), n = view_log_n(m);
	s->origins = calloc(n ? n : 1, sizeof *s->origins);
	hash_u64(&c, first);
	for (uint64_t i = 0; i < n; i++) {
		const struct view_exit *e = view_log_at(m, first + i);
		if (!e)
			continue;
		hash_exit(&c, e, virtual_time);
		if (s->origins && e->has & VIEW_HAS_RIP && e->reason < EXIT_SDM_COUNT)
			s->origins[s->n_origins++] = (struct origin){e->reason, e->rip, 1};
	}
	view_model_unlock(m);
	SHA256End(&c, hash);
}

/* By reason, then address. */
static int compare_origins(const void *a, const void *b)
{
	const struct origin *x = a, *y = b;

	if (x->reason != y->reason)
		return x->reason < y->reason ? -1 : 1;
	return x->rip < y->rip ? -1 : x->rip > y->rip;
}

/* Of each reason, the address that most exits come from; the lowest, where two are equal. Pushes a table. */
static void push_rip_of(lua_State *L, struct lab_vm *lv, struct seen *s)
{
	lua_newtable(L);
	if (!s->origins)
		return;
	qsort(s->origins, s->n_origins, sizeof *s->origins, compare_origins);
	uint64_t best = 0;
	for (size_t i = 0, k; i < s->n_origins; i = k) {
		const struct origin *o = &s->origins[i];
		for (k = i; k < s->n_origins && compare_origins(o, &s->origins[k]) == 0; k++)
			;
		if (i == 0 || s->origins[i - 1].reason != o->reason)
			best = 0;
		if (k - i <= best)
			continue;
		char text[256];
		best = k - i;
		symbols_format(lv->machine.symbols, o->rip, text, sizeof text);
		if (!text[0])
			snprintf(text, sizeof text, "%#" PRIx64, o->rip);
		lua_pushstring(L, text);
		lua_setfield(L, -2, exit_name(o->reason));
	}
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

static void push_exits_by(lua_State *L, struct lab_vm *lv)
{
	const struct exit_stats *s = view_stats(lv->model, STATS_BY_REASON);

	lua_newtable(L);
	for (unsigned i = 0; i < EXIT_SDM_COUNT; i++)
		if (exit_desc(i))
			integer(L, exit_name(i), 0);
	for (size_t i = 0; i < s->n_rows; i++)
		if (exit_reason_by_name(s->rows[i].name) >= 0 && !s->rows[i].child)
			integer(L, s->rows[i].name, s->rows[i].samples);
}

/* The states alone: their evidence is words. */
static void push_states(lua_State *L, struct lab_vm *lv)
{
	static const char *const names[] = {"equivalence", "safety", "efficiency"};

	lua_newtable(L);
	lab_push_verdicts(L, lv);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		lua_getfield(L, -1, names[i]);
		lua_getfield(L, -1, "state");
		lua_setfield(L, -4, names[i]);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void push_regs(lua_State *L, int vm)
{
	static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10",
	    "r11", "r12", "r13", "r14", "r15", "rip", "rflags", "cr0", "cr2", "cr3", "cr4", "efer", "cpl"};

	lua_newtable(L);
	lab_push_cpu(L, vm, 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		lua_getfield(L, -1, names[i]);
		lua_setfield(L, -3, names[i]);
	}
	lua_pop(L, 1);
}

/* Fields of the VM that are plain already. */
static void copy_fields(lua_State *L, int vm)
{
	static const char *const names[] = {"mode", "controls", "exits", "insns", "time_ns", "ended", "stats"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		lua_getfield(L, vm, names[i]);
		lua_setfield(L, -2, names[i]);
	}
}

static void push_console(lua_State *L, struct lab_vm *lv)
{
	size_t n = lv->n_console < CONSOLE_MAX ? lv->n_console : CONSOLE_MAX;

	lua_pushlstring(L, n ? lv->console : "", n);
	lua_setfield(L, -2, "console");
	integer(L, "console_bytes", lv->n_console);
}

void lab_push_observed(lua_State *L, int vm, char hash[65], char run[64])
{
	struct lab_vm *lv = lab_still_vm(L, vm);
	struct seen s = {0};

	vm = lua_absindex(L, vm);
	lab_sync(lv);
	lua_newtable(L);
	copy_fields(L, vm);
	lua_pushstring(L, lv->vm->cfg.mode->type == VMM_TYPE_I ? "I" : "II"); /* vm.type is a method */
	lua_setfield(L, -2, "type");
	push_console(L, lv);
	push_exits_by(L, lv);
	lua_setfield(L, -2, "exits_by");
	push_states(L, lv);
	lua_setfield(L, -2, "verdicts");
	if (!(lv->vm->cfg.mode->caps & MODE_CAP_MODEL)) {
		push_regs(L, vm);
		lua_setfield(L, -2, "regs");
	}
	read_log(lv, &s, hash);
	push_rip_of(L, lv, &s);
	lua_setfield(L, -2, "rip_of");
	free(s.origins);
	lua_pushstring(L, hash);
	lua_setfield(L, -2, "hash");
	snprintf(run, 64, "%s/%s %s", mode_name(lv->vm->cfg.mode->mode),
	    lv->vm->cfg.mode->type == VMM_TYPE_I ? "I" : "II", lv->vm->controls.name);
}
