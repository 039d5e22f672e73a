/*
 * An exit as Lua sees it: its fields by name, the same for a live one and for one of the log.
 */
#include <string.h>

#include "core/lib.h"
#include "labs/lab_impl.h"

static const char *const common[] = {"reason", "code", "rip", "qual", "gla", "gpa", "insn_len", "intr_info",
    "intr_error", "vcpu", "index", "insns", "time_ns", "cost_ns", NULL};
static const char *const of_io[] = {"port", "size", "write", "string", "rep", "count", "value", NULL};
static const char *const of_mmio[] = {"write", "size", "value", NULL};
static const char *const of_msr[] = {"msr", "write", "value", "fault", NULL};
static const char *const of_cpuid[] = {"leaf", "subleaf", "eax", "ebx", "ecx", "edx", NULL};
static const char *const of_cr[] = {"cr", "access", "gpr", "value", NULL};
static const char *const of_dr[] = {"dr", "write", "gpr", "value", NULL};
static const char *const of_others[] = {"value", NULL};

static const char *const *names_of(uint32_t reason)
{
	switch (reason) {
	case EXIT_IO_INSTRUCTION:
		return of_io;
	case EXIT_EPT_VIOLATION:
		return of_mmio;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		return of_msr;
	case EXIT_CPUID:
		return of_cpuid;
	case EXIT_CR_ACCESS:
		return of_cr;
	case EXIT_DR_ACCESS:
		return of_dr;
	default:
		return exit_is_hw(reason) ? of_others : of_others + 1;
	}
}

static bool number(lua_State *L, uint64_t value)
{
	lua_pushinteger(L, (lua_Integer)value);
	return true;
}

static bool truth(lua_State *L, bool value)
{
	lua_pushboolean(L, value);
	return true;
}

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool common_field(lua_State *L, const struct vm_exit *e, const char *name)
{
	if (is(name, "reason")) {
		lua_pushstring(L, exit_name(e->reason));
		return true;
	}
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {{"code", e->reason}, {"rip", e->rip}, {"qual", e->qual}, {"gla", e->gla}, {"gpa", e->gpa},
	    {"insn_len", e->insn_len}, {"intr_info", e->intr_info}, {"intr_error", e->intr_error},
	    {"vcpu", e->vcpu + 1}, {"index", e->index}, {"insns", e->insns}, {"time_ns", e->time_ns},
	    {"cost_ns", e->cost_ns}};
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (is(name, numbers[i].name))
			return number(L, numbers[i].value);
	return false;
}

static bool has_name(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (is(*names, name))
			return true;
	return false;
}

static uint64_t value_of(const struct vm_exit *e)
{
	switch (e->reason) {
	case EXIT_IO_INSTRUCTION:
		return e->io.value;
	case EXIT_EPT_VIOLATION:
		return e->mmio.value;
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		return e->msr.value;
	case EXIT_CR_ACCESS:
		return e->cr.value;
	case EXIT_DR_ACCESS:
		return e->dr.value;
	default:
		return e->value;
	}
}

static bool is_write(const struct vm_exit *e)
{
	switch (e->reason) {
	case EXIT_IO_INSTRUCTION:
		return !e->io.in;
	case EXIT_EPT_VIOLATION:
		return e->qual & QUAL_EPT_WRITE || e->mmio.write;
	case EXIT_DR_ACCESS:
		return !(e->qual & QUAL_DR_READ);
	default:
		return e->reason == EXIT_MSR_WRITE;
	}
}

static bool register_field(lua_State *L, const struct vm_exit *e, const char *name)
{
	static const char *const access[] = {"mov_to", "mov_from", "clts", "lmsw"};

	if (is(name, "cr"))
		return number(L, e->qual & QUAL_CR_NUM_MASK);
	if (is(name, "dr"))
		return number(L, e->qual & QUAL_DR_NUM_MASK);
	if (is(name, "gpr"))
		return number(L, e->qual >> QUAL_CR_GPR_SHIFT & 15); /* the same place in both */
	lua_pushstring(L, access[e->qual >> QUAL_CR_TYPE_SHIFT & 3]);
	return true;
}

static bool cpuid_field(lua_State *L, const struct exit_cpuid *c, const char *name)
{
	const uint32_t values[] = {c->leaf, c->subleaf, c->eax, c->ebx, c->ecx, c->edx};

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (is(name, of_cpuid[i]))
			return number(L, values[i]);
	return false;
}

bool lab_exit_field(lua_State *L, const struct vm_exit *e, const char *name)
{
	if (common_field(L, e, name))
		return true;
	if (!has_name(names_of(e->reason), name))
		return false;
	if (e->reason == EXIT_CPUID)
		return cpuid_field(L, &e->cpuid, name);
	if (is(name, "value"))
		return number(L, value_of(e));
	if (is(name, "write"))
		return truth(L, is_write(e));
	if (is(name, "msr"))
		return number(L, e->msr.index);
	if (is(name, "fault"))
		return truth(L, e->msr.fault);
	if (is(name, "port"))
		return number(L, e->io.port);
	if (is(name, "size"))
		return number(L, e->reason == EXIT_IO_INSTRUCTION ? e->io.size : e->mmio.size);
	if (is(name, "string"))
		return truth(L, e->io.string);
	if (is(name, "rep"))
		return truth(L, e->io.rep);
	if (is(name, "count"))
		return number(L, e->io.count);
	return register_field(L, e, name);
}

static void add_fields(lua_State *L, const struct vm_exit *e, const char *const *names)
{
	for (; *names; names++)
		if (lab_exit_field(L, e, *names))
			lua_setfield(L, -2, *names);
}

void lab_push_exit_table(lua_State *L, const struct vm_exit *e)
{
	lua_newtable(L);
	add_fields(L, e, common);
	add_fields(L, e, names_of(e->reason));
}

const char *lab_verdict_name(enum verdict v)
{
	return (unsigned)v < VERDICT_COUNT ? verdict_name(v) : NULL;
}
