/*
 * The primitives: methods of the object g that a model's function gets. Each is one guest instruction: it checks its
 * arguments, describes the instruction to step.c, and yields; when the instruction is done, the coroutine goes on with
 * the answer. An exception instead of an answer is "nil, vector, error code".
 */
#include "modes/simulate/simulate.h"

#include <lauxlib.h>

#include "core/lib.h"
#include "core/x86/exec.h"
#include "core/x86/sys.h"

static int answer(lua_State *L, int status, lua_KContext ctx)
{
	const struct sim_request *r = &sim_top(sim_of(L))->req;
	(void)status;
	(void)ctx;
	if (r->faulted) {
		lua_pushnil(L);
		lua_pushinteger(L, r->fault.vector);
		lua_pushinteger(L, r->fault.error);
		return 3;
	}
	switch (r->answer) {
	case SIM_ANSWER_CPUID:
		for (unsigned i = 0; i < 4; i++)
			lua_pushinteger(L, (lua_Integer)r->out[i]);
		return 4;
	case SIM_ANSWER_DATA:
		lua_pushlstring(L, (const char *)r->data, r->len);
		return 1;
	case SIM_ANSWER_RAX:
	case SIM_ANSWER_EDX_EAX:
		lua_pushinteger(L, (lua_Integer)r->out[0]);
		return 1;
	case SIM_ANSWER_NONE:
		break;
	}
	lua_pushboolean(L, 1);
	return 1;
}

static struct sim_request *ask(lua_State *L, enum sim_op op, enum sim_answer what)
{
	struct sim_vcpu *m = sim_of(L);
	if (!lua_istable(L, 1))
		luaL_error(L, "a primitive is a method: write g:name(...), with a colon");
	if (!m->depth || sim_top(m)->co != L)
		luaL_error(L, "a primitive outside the model's function: move it into \"return function(g) ... end\"");
	struct sim_request *r = &sim_top(m)->req;
	memset(r, 0, sizeof(*r));
	r->op = op;
	r->answer = what;
	return r;
}

static int go(lua_State *L)
{
	sim_top(sim_of(L))->busy = true;
	return lua_yieldk(L, 0, 0, answer);
}

static uint64_t check_range(lua_State *L, int arg, uint64_t max, const char *what)
{
	lua_Integer v = luaL_checkinteger(L, arg);
	luaL_argcheck(L, v >= 0 && (uint64_t)v <= max, arg, what);
	return (uint64_t)v;
}

static uint8_t opt_size(lua_State *L, int arg, unsigned max)
{
	lua_Integer v = luaL_optinteger(L, arg, max == 8 ? 4 : 1);
	luaL_argcheck(L, (v == 1 || v == 2 || v == 4 || v == 8) && v <= (lua_Integer)max, arg,
	    max == 8 ? "a size is 1, 2, 4 or 8 bytes" : "a size is 1, 2 or 4 bytes");
	return (uint8_t)v;
}

/* A decoded instruction whose only operands are registers; the general register is RAX. */
static struct sim_request *ask_insn(
    lua_State *L, x86_handler fn, enum x86_insn_id id, uint8_t len, enum sim_answer what)
{
	struct sim_request *r = ask(L, SIM_INSN, what);
	uint8_t mode_size = sim_of(L)->v->cpu.code_size;
	r->insn = (struct x86_insn){.fn = fn,
	    .id = (uint16_t)id,
	    .len = len,
	    .opsize = mode_size,
	    .addrsize = mode_size,
	    .seg = X86_DS,
	    .rm = X86_RAX,
	    .base = INSN_NO_REG,
	    .index = INSN_NO_REG,
	    .class = INSN_CLASS_SYSTEM};
	return r;
}

static int l_compute(lua_State *L)
{
	struct sim_request *r = ask(L, SIM_COMPUTE, SIM_ANSWER_NONE);
	r->n = check_range(L, 2, INT64_MAX, "a number of instructions, 0 or more");
	if (r->n == 0)
		return 0;
	return go(L);
}

static int l_out(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_out, INSN_OUT, 1, SIM_ANSWER_NONE);
	r->rdx = check_range(L, 2, 0xffff, "a port is 0 to 0xffff");
	r->rax = (uint64_t)luaL_checkinteger(L, 3);
	r->insn.opsize = opt_size(L, 4, 4);
	r->insn.class = INSN_CLASS_IO;
	return go(L);
}

static int l_inp(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_in, INSN_IN, 1, SIM_ANSWER_RAX);
	r->rdx = check_range(L, 2, 0xffff, "a port is 0 to 0xffff");
	r->insn.opsize = opt_size(L, 3, 4);
	r->insn.class = INSN_CLASS_IO;
	return go(L);
}

/* outs(port, bytes [, size [, rep]]), ins(port, count [, size [, rep]]); without REP they move one element. */
static void check_rep(lua_State *L, struct sim_request *r, int arg)
{
	r->rep = lua_isnoneornil(L, arg) || lua_toboolean(L, arg);
	luaL_argcheck(L, r->rep || r->len == r->size, arg, "more than one element needs REP");
}

static int l_outs(lua_State *L)
{
	struct sim_request *r = ask(L, SIM_STRING, SIM_ANSWER_NONE);
	size_t len;
	const char *text = luaL_checklstring(L, 3, &len);
	r->port = (uint32_t)check_range(L, 2, 0xffff, "a port is 0 to 0xffff");
	r->size = opt_size(L, 4, 4);
	luaL_argcheck(L, len % r->size == 0 && len <= SIM_STRING_MAX, 3, "a whole number of elements, at most 1 MiB");
	if (!len)
		return 0;
	r->write = 1;
	r->len = (uint32_t)len;
	check_rep(L, r, 5);
	r->data = lua_newuserdatauv(L, len, 0); /* stays on this stack until the last byte is out */
	memcpy(r->data, text, len);
	return go(L);
}

static int l_ins(lua_State *L)
{
	struct sim_request *r = ask(L, SIM_STRING, SIM_ANSWER_DATA);
	r->port = (uint32_t)check_range(L, 2, 0xffff, "a port is 0 to 0xffff");
	r->size = opt_size(L, 4, 4);
	r->len = (uint32_t)check_range(L, 3, SIM_STRING_MAX / 4, "a count of elements, at most 256 Ki") * r->size;
	if (!r->len) {
		lua_pushliteral(L, "");
		return 1;
	}
	check_rep(L, r, 5);
	r->data = lua_newuserdatauv(L, r->len, 0);
	return go(L);
}

static int l_cpuid(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_cpuid, INSN_CPUID, 2, SIM_ANSWER_CPUID);
	r->rax = check_range(L, 2, UINT32_MAX, "a leaf has 32 bits");
	r->rcx = (uint64_t)luaL_optinteger(L, 3, 0);
	return go(L);
}

static int l_rdmsr(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_rdmsr, INSN_RDMSR, 2, SIM_ANSWER_EDX_EAX);
	r->rcx = check_range(L, 2, UINT32_MAX, "an MSR number has 32 bits");
	return go(L);
}

static void pair(struct sim_request *r, uint64_t value)
{
	r->rax = (uint32_t)value;
	r->rdx = value >> 32;
}

static int l_wrmsr(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_wrmsr, INSN_WRMSR, 2, SIM_ANSWER_NONE);
	r->rcx = check_range(L, 2, UINT32_MAX, "an MSR number has 32 bits");
	pair(r, (uint64_t)luaL_checkinteger(L, 3));
	return go(L);
}

static struct sim_request *ask_cr(lua_State *L, x86_handler fn, enum sim_answer what)
{
	struct sim_request *r = ask_insn(L, fn, INSN_MOV_CR, 3, what);
	uint64_t n = check_range(L, 2, 8, "a control register is 0, 2, 3, 4 or 8");
	luaL_argcheck(L, n == 0 || n == 8 || (n >= 2 && n <= 4), 2, "a control register is 0, 2, 3, 4 or 8");
	r->insn.reg = (uint8_t)n;
	return r;
}

static int l_mov_cr(lua_State *L)
{
	struct sim_request *r = ask_cr(L, x86_op_mov_to_cr, SIM_ANSWER_NONE);
	r->rax = (uint64_t)luaL_checkinteger(L, 3);
	return go(L);
}

static int l_read_cr(lua_State *L)
{
	ask_cr(L, x86_op_mov_from_cr, SIM_ANSWER_RAX);
	return go(L);
}

static struct sim_request *ask_dr(lua_State *L, x86_handler fn, enum sim_answer what)
{
	struct sim_request *r = ask_insn(L, fn, INSN_MOV_DR, 3, what);
	r->insn.reg = (uint8_t)check_range(L, 2, 7, "a debug register is 0 to 7");
	return r;
}

static int l_mov_dr(lua_State *L)
{
	struct sim_request *r = ask_dr(L, x86_op_mov_to_dr, SIM_ANSWER_NONE);
	r->rax = (uint64_t)luaL_checkinteger(L, 3);
	return go(L);
}

static int l_read_dr(lua_State *L)
{
	ask_dr(L, x86_op_mov_from_dr, SIM_ANSWER_RAX);
	return go(L);
}

static int l_invlpg(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_invlpg, INSN_INVLPG, 3, SIM_ANSWER_NONE);
	r->rax = (uint64_t)luaL_checkinteger(L, 2);
	r->insn.base = X86_RAX;
	r->insn.flags = INSN_MEM;
	return go(L);
}

/* The descriptor, which the instruction has in memory, is in RCX and RDX. */
static enum x86_rc op_invpcid(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_invpcid_exits(c, i);

	return rc == X86_OK ? x86_invpcid(c, c->s.gpr[X86_RAX], c->s.gpr[X86_RCX], c->s.gpr[X86_RDX]) : rc;
}

static int l_invpcid(lua_State *L)
{
	struct sim_request *r = ask_insn(L, op_invpcid, INSN_INVPCID, 5, SIM_ANSWER_NONE);
	r->rax = (uint64_t)luaL_checkinteger(L, 2);
	r->rcx = (uint64_t)luaL_optinteger(L, 3, 0);
	r->rdx = (uint64_t)luaL_optinteger(L, 4, 0);
	r->insn.flags = INSN_MEM;
	return go(L);
}

static int l_xsetbv(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_xsetbv, INSN_XSETBV, 3, SIM_ANSWER_NONE);
	r->rcx = check_range(L, 2, UINT32_MAX, "an extended control register's number has 32 bits");
	pair(r, (uint64_t)luaL_checkinteger(L, 3));
	return go(L);
}

static int l_xgetbv(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_xgetbv, INSN_XGETBV, 3, SIM_ANSWER_EDX_EAX);
	r->rcx = (uint64_t)luaL_optinteger(L, 2, 0);
	return go(L);
}

static int l_rdpmc(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_rdpmc, INSN_RDPMC, 2, SIM_ANSWER_EDX_EAX);
	r->rcx = (uint64_t)luaL_checkinteger(L, 2);
	return go(L);
}

static int l_vmcall(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_vmx, INSN_VMCALL, 3, SIM_ANSWER_RAX);
	r->rax = (uint64_t)luaL_checkinteger(L, 2);
	r->rbx = (uint64_t)luaL_optinteger(L, 3, 0);
	r->rcx = (uint64_t)luaL_optinteger(L, 4, 0);
	r->rdx = (uint64_t)luaL_optinteger(L, 5, 0);
	return go(L);
}

static int l_lmsw(lua_State *L)
{
	struct sim_request *r = ask_insn(L, x86_op_lmsw, INSN_LMSW, 3, SIM_ANSWER_NONE);
	r->rax = (uint64_t)luaL_checkinteger(L, 2);
	r->insn.opsize = 2;
	return go(L);
}

/* Instructions without an operand, or with RAX as their result: one line each. */
#define PLAIN(name, handler, ID, len, what)                          \
	static int l_##name(lua_State *L)                            \
	{                                                            \
		ask_insn(L, x86_op_##handler, INSN_##ID, len, what); \
		return go(L);                                        \
	}
PLAIN(clts, clts, CLTS, 2, SIM_ANSWER_NONE)
PLAIN(smsw, smsw, SMSW, 3, SIM_ANSWER_RAX)
PLAIN(sldt, sldt, SLDT, 3, SIM_ANSWER_RAX)
PLAIN(str, str, STR, 3, SIM_ANSWER_RAX)
PLAIN(hlt, hlt, HLT, 1, SIM_ANSWER_NONE)
PLAIN(sti, sti, STI, 1, SIM_ANSWER_NONE)
PLAIN(cli, cli, CLI, 1, SIM_ANSWER_NONE)
PLAIN(wbinvd, wbinvd, WBINVD, 2, SIM_ANSWER_NONE)
PLAIN(invd, invd, INVD, 2, SIM_ANSWER_NONE)
PLAIN(pause, pause, PAUSE, 2, SIM_ANSWER_NONE)
PLAIN(rdtsc, rdtsc, RDTSC, 2, SIM_ANSWER_EDX_EAX)
PLAIN(rdtscp, rdtscp, RDTSCP, 3, SIM_ANSWER_EDX_EAX)
#undef PLAIN

static int memory(lua_State *L, bool write, int size_arg)
{
	struct sim_request *r = ask(L, SIM_MEMORY, write ? SIM_ANSWER_NONE : SIM_ANSWER_RAX);
	r->addr = check_range(L, 2, (1ull << 52) - 1, "a guest-physical address has 52 bits");
	r->size = opt_size(L, size_arg, 8);
	r->write = write;
	if (write)
		r->value = (uint64_t)luaL_checkinteger(L, 3) & (r->size == 8 ? UINT64_MAX : (1ull << 8 * r->size) - 1);
	return go(L);
}

static int l_load(lua_State *L)
{
	return memory(L, false, 3);
}

static int l_store(lua_State *L)
{
	return memory(L, true, 4);
}

/* sgdt() and sidt(): the limit; lgdt(base, limit), lidt(base, limit), lldt(selector), ltr(selector). */
static int tables(lua_State *L, uint32_t which)
{
	struct sim_request *r = ask(L, SIM_TABLES, which < 2 ? SIM_ANSWER_RAX : SIM_ANSWER_NONE);
	r->port = which;
	if (which == 2 || which == 3) {
		r->addr = (uint64_t)luaL_checkinteger(L, 2);
		r->value = check_range(L, 3, 0xffff, "a limit has 16 bits");
	} else if (which >= 4) {
		r->value = check_range(L, 2, 0xffff, "a selector has 16 bits");
	}
	return go(L);
}

#define TABLES(name, which)               \
	static int l_##name(lua_State *L) \
	{                                 \
		return tables(L, which);  \
	}
TABLES(sgdt, 0)
TABLES(sidt, 1)
TABLES(lgdt, 2)
TABLES(lidt, 3)
TABLES(lldt, 6)
TABLES(ltr, 7)
#undef TABLES

/* fault(vector [, error code [, address]]): the guest raises an exception and handles it itself. */
static int l_fault(lua_State *L)
{
	struct sim_request *r = ask(L, SIM_FAULT, SIM_ANSWER_NONE);
	r->vector = (uint8_t)check_range(L, 2, 31, "an exception's vector is 0 to 31");
	r->has_error = !lua_isnoneornil(L, 3);
	r->error = (uint32_t)luaL_optinteger(L, 3, 0);
	r->addr = (uint64_t)luaL_optinteger(L, 4, 0);
	return go(L);
}

static int l_triple_fault(lua_State *L)
{
	ask(L, SIM_TRIPLE, SIM_ANSWER_NONE);
	return go(L);
}

/* on_irq(vector, function): what the guest's IDT says. No instruction: a model has no IDT in memory. */
static int l_on_irq(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	uint64_t vector = check_range(L, 2, 255, "a vector is 0 to 255");
	luaL_checktype(L, 3, LUA_TFUNCTION);
	lua_rawgeti(L, LUA_REGISTRYINDEX, sim_of(L)->irq_ref);
	lua_pushvalue(L, 3);
	lua_rawseti(L, -2, (lua_Integer)vector);
	return 0;
}

static struct x86_seg flat(uint16_t sel, uint32_t attr)
{
	return (struct x86_seg){.sel = sel, .limit = UINT32_MAX, .attr = attr | SEG_S | SEG_P | SEG_G};
}

/* The code and data segments of 16-, 32- or 64-bit code at CPL 0. */
static void set_segments(struct x86_cpu *c, unsigned bits, bool protected_mode)
{
	uint32_t size = bits == 64 ? SEG_L : bits == 32 ? SEG_DB : 0;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++) {
		if (!protected_mode) {
			c->s.seg[i] =
			    (struct x86_seg){.limit = 0xffff, .attr = (i == X86_CS ? 0xb : 3) | SEG_S | SEG_P};
			continue;
		}
		c->s.seg[i] = i == X86_CS ? flat(0x08, 0xb | size) : flat(0x10, 3 | SEG_DB);
	}
}

/*
 * start(how): the state in which a loader leaves the CPU. "multiboot": 32-bit protected mode, flat, no paging;
 * "boot": real mode. Costs no instruction.
 */
static int l_start(lua_State *L)
{
	static const char *const how[] = {"multiboot", "boot", NULL};
	luaL_checktype(L, 1, LUA_TTABLE);
	bool boot = luaL_checkoption(L, 2, NULL, how) == 1;
	struct x86_cpu *c = &sim_of(L)->v->cpu;
	c->s.cr0 = boot ? CR0_ET : CR0_ET | CR0_PE;
	c->s.rflags = boot ? FLAG_R1 | FLAG_IF : FLAG_R1; /* a BIOS leaves interrupts on */
	set_segments(c, boot ? 16 : 32, !boot);
	x86_state_changed(c);
	return 0;
}

/* code(bits): a far jump into 16-, 32- or 64-bit code at CPL 0; in real mode a plain one. One instruction. */
static int l_code(lua_State *L)
{
	struct x86_cpu *c = &sim_of(L)->v->cpu;
	struct sim_request *r = ask(L, SIM_COMPUTE, SIM_ANSWER_NONE);
	uint64_t bits = check_range(L, 2, 64, "code is 16, 32 or 64 bits wide");
	luaL_argcheck(L, bits == 16 || bits == 32 || bits == 64, 2, "code is 16, 32 or 64 bits wide");
	luaL_argcheck(
	    L, bits != 64 || (c->s.efer & EFER_LMA), 2, "64-bit code needs long mode: EFER.LME, CR4.PAE, CR0.PG");
	set_segments(c, (unsigned)bits, c->s.cr0 & CR0_PE);
	x86_state_changed(c);
	r->n = 1;
	return go(L);
}

/* cpl(n): an IRET to user mode (3), or an INT back to the kernel (0). An exception at CPL 3 gets there by itself. */
static int l_cpl(lua_State *L)
{
	struct x86_cpu *c = &sim_of(L)->v->cpu;
	struct sim_request *r = ask(L, SIM_COMPUTE, SIM_ANSWER_NONE);
	uint64_t cpl = check_range(L, 2, 3, "a privilege level is 0 to 3");
	luaL_argcheck(L, c->mode >= X86_MODE_PROT, 2, "real mode has no privilege levels");
	sim_set_cpl(c, (unsigned)cpl);
	r->n = 1;
	return go(L);
}

static const luaL_Reg methods[] = {{"compute", l_compute}, {"out", l_out}, {"inp", l_inp}, {"outs", l_outs},
    {"ins", l_ins}, {"cpuid", l_cpuid}, {"rdmsr", l_rdmsr}, {"wrmsr", l_wrmsr}, {"mov_cr", l_mov_cr},
    {"read_cr", l_read_cr}, {"mov_dr", l_mov_dr}, {"read_dr", l_read_dr}, {"clts", l_clts}, {"lmsw", l_lmsw},
    {"smsw", l_smsw}, {"sldt", l_sldt}, {"str", l_str}, {"sgdt", l_sgdt}, {"sidt", l_sidt}, {"lgdt", l_lgdt},
    {"lidt", l_lidt}, {"lldt", l_lldt}, {"ltr", l_ltr}, {"invlpg", l_invlpg}, {"invpcid", l_invpcid},
    {"xsetbv", l_xsetbv}, {"xgetbv", l_xgetbv}, {"vmcall", l_vmcall}, {"load", l_load}, {"store", l_store},
    {"fault", l_fault}, {"triple_fault", l_triple_fault}, {"hlt", l_hlt}, {"sti", l_sti}, {"cli", l_cli},
    {"wbinvd", l_wbinvd}, {"invd", l_invd}, {"pause", l_pause}, {"rdtsc", l_rdtsc}, {"rdtscp", l_rdtscp},
    {"rdpmc", l_rdpmc}, {"on_irq", l_on_irq}, {"start", l_start}, {"code", l_code}, {"cpl", l_cpl}, {NULL, NULL}};

void sim_prims_open(struct sim_vcpu *m)
{
	lua_State *L = m->L;
	const char *args = m->v->vm->cfg.cmdline;
	luaL_newlib(L, methods);
	lua_newtable(L); /* g */
	lua_pushstring(L, args ? args : "");
	lua_setfield(L, -2, "args");
	lua_newtable(L); /* its metatable */
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	m->g_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	m->methods_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	m->irq_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
