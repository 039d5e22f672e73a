/*
 * Processors and memory of a VM as Lua objects. While the guest stands still they are asked of the session; inside a
 * handler they are those of the exit that is being answered.
 */
#include <stddef.h>
#include <string.h>

#include "core/env.h"
#include "core/lib.h"
#include "labs/lab_impl.h"
#include "tracer/pagewalk.h"

#define CPU_CLASS "vmscope.cpu"
#define MSR_CLASS "vmscope.msr"
#define MEM_CLASS "vmscope.mem"
#define MEM_READ_MAX (16u << 20)

/* --- Objects that keep their VM ----------------------------------------------------------------------------------- */

static void push_object(lua_State *L, int vm, unsigned n, const char *class)
{
	unsigned *o;

	vm = lua_absindex(L, vm);
	o = lua_newuserdatauv(L, sizeof *o, 1);
	*o = n;
	lua_pushvalue(L, vm);
	lua_setiuservalue(L, -2, 1);
	luaL_setmetatable(L, class);
}

static struct lab_vm *object_vm(lua_State *L, const char *class, unsigned *n)
{
	const unsigned *o = luaL_checkudata(L, 1, class);

	*n = *o;
	lua_getiuservalue(L, 1, 1);
	struct lab_vm *lv = lab_check_vm(L, -1);
	lua_pop(L, 1);
	return lv;
}

void lab_push_cpu(lua_State *L, int vm, unsigned vcpu)
{
	push_object(L, vm, vcpu, CPU_CLASS);
}

void lab_push_cpus(lua_State *L, int vm)
{
	const struct lab_vm *lv = lab_check_vm(L, vm);

	vm = lua_absindex(L, vm);
	lua_createtable(L, (int)lv->vm->n_vcpus, 0);
	for (unsigned i = 0; i < lv->vm->n_vcpus; i++) {
		lab_push_cpu(L, vm, i);
		lua_rawseti(L, -2, i + 1);
	}
}

void lab_push_mem(lua_State *L, int vm)
{
	push_object(L, vm, 0, MEM_CLASS);
}

/* --- Registers ---------------------------------------------------------------------------------------------------- */

#define REG(name_, field_)                                                                         \
	{                                                                                          \
		name_, offsetof(struct x86_state, field_), sizeof(((struct x86_state *)0)->field_) \
	}
#define GPR(n_, r_, e_, w_)                                                                         \
	{r_, offsetof(struct x86_state, gpr[n_]), 8}, {e_, offsetof(struct x86_state, gpr[n_]), 4}, \
	{                                                                                           \
		w_, offsetof(struct x86_state, gpr[n_]), 2                                          \
	}

static const struct reg {
	const char *name;
	size_t at, size; /* size 4 and 2 of a general register: its low part */
} regs[] = {
    /* clang-format off */
    GPR(X86_RAX, "rax", "eax", "ax"), GPR(X86_RCX, "rcx", "ecx", "cx"), GPR(X86_RDX, "rdx", "edx", "dx"),
    GPR(X86_RBX, "rbx", "ebx", "bx"), GPR(X86_RSP, "rsp", "esp", "sp"), GPR(X86_RBP, "rbp", "ebp", "bp"),
    GPR(X86_RSI, "rsi", "esi", "si"), GPR(X86_RDI, "rdi", "edi", "di"), GPR(X86_R8, "r8", "r8d", "r8w"),
    GPR(X86_R9, "r9", "r9d", "r9w"), GPR(X86_R10, "r10", "r10d", "r10w"), GPR(X86_R11, "r11", "r11d", "r11w"),
    GPR(X86_R12, "r12", "r12d", "r12w"), GPR(X86_R13, "r13", "r13d", "r13w"), GPR(X86_R14, "r14", "r14d", "r14w"),
    GPR(X86_R15, "r15", "r15d", "r15w"),
    REG("rip", rip), REG("rflags", rflags), REG("cr0", cr0), REG("cr2", cr2), REG("cr3", cr3), REG("cr4", cr4),
    REG("cr8", cr8), REG("dr0", dr[0]), REG("dr1", dr[1]), REG("dr2", dr[2]), REG("dr3", dr[3]), REG("dr6", dr6),
    REG("dr7", dr7), REG("efer", efer), REG("star", star), REG("lstar", lstar), REG("cstar", cstar),
    REG("fmask", fmask), REG("kernel_gs_base", kernel_gs_base), REG("sysenter_cs", sysenter_cs),
    REG("sysenter_esp", sysenter_esp), REG("sysenter_eip", sysenter_eip), REG("pat", pat),
    REG("apic_base", apic_base), REG("xcr0", xcr0),
    /* clang-format on */
};

static const struct {
	const char *name;
	size_t at;
} segments[] = {{"es", offsetof(struct x86_state, seg[X86_ES])}, {"cs", offsetof(struct x86_state, seg[X86_CS])},
    {"ss", offsetof(struct x86_state, seg[X86_SS])}, {"ds", offsetof(struct x86_state, seg[X86_DS])},
    {"fs", offsetof(struct x86_state, seg[X86_FS])}, {"gs", offsetof(struct x86_state, seg[X86_GS])},
    {"ldtr", offsetof(struct x86_state, ldtr)}, {"tr", offsetof(struct x86_state, tr)}};

static const struct {
	const char *name;
	unsigned bit;
} flags[] = {{"cf", 0}, {"pf", 2}, {"af", 4}, {"zf", 6}, {"sf", 7}, {"tf", 8}, {"if_", 9}, {"df", 10}, {"of", 11},
    {"nt", 14}, {"rf", 16}, {"vm", 17}, {"ac", 18}, {"id", 21}};

/* Of the VM as it is now. */
static void get_state(lua_State *L, struct lab_vm *lv, unsigned vcpu, struct x86_state *out)
{
	struct session *s = lv->machine.session;

	if (lv->at) {
		const struct x86_state *now = vcpu_state(&lv->vm->vcpus[vcpu]);
		if (!now)
			luaL_error(L, "the processor's state cannot be read: %s", lv->vm->end.detail);
		*out = *now;
		return;
	}
	enum err e = s->ops->get_state(s, vcpu, out);
	if (e)
		lab_raise(L, "the processor's state cannot be read", e, NULL);
}

static int device_sets_nothing(lua_State *L)
{
	return luaL_error(L, "a device does not set registers: give back a value, or use vm:on_exit");
}

static void set_state(lua_State *L, struct lab_vm *lv, unsigned vcpu, const struct x86_state *in)
{
	if (lv->in_device)
		(void)device_sets_nothing(L);
	if (lv->at) {
		struct x86_state *now = vcpu_state_for_write(&lv->vm->vcpus[vcpu], DIRTY_ALL);
		if (!now)
			luaL_error(L, "the processor's state cannot be set: %s", lv->vm->end.detail);
		*now = *in;
		return;
	}
	lab_begin_future(lv);
	enum err e = control_set_state(lv->control, vcpu, in);
	if (e)
		lab_raise(L, "the processor's state cannot be set (has the guest ended?)", e, NULL);
}

static const struct reg *find_reg(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(regs); i++)
		if (strcmp(regs[i].name, name) == 0)
			return &regs[i];
	return NULL;
}

static void field(lua_State *L, const char *name, uint64_t value)
{
	lua_pushinteger(L, (lua_Integer)value);
	lua_setfield(L, -2, name);
}

static void push_segment(lua_State *L, const struct x86_seg *seg)
{
	lua_newtable(L);
	field(L, "sel", seg->sel);
	field(L, "base", seg->base);
	field(L, "limit", seg->limit);
	field(L, "attr", seg->attr);
}

static void push_table(lua_State *L, const struct x86_dtable *t)
{
	lua_newtable(L);
	field(L, "base", t->base);
	field(L, "limit", t->limit);
}

static void push_flags(lua_State *L, uint64_t rflags)
{
	lua_newtable(L);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		lua_pushboolean(L, rflags >> flags[i].bit & 1);
		lua_setfield(L, -2, flags[i].name);
	}
	field(L, "iopl", rflags >> 12 & 3);
}

static bool push_special(lua_State *L, const struct x86_state *s, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(segments); i++)
		if (strcmp(segments[i].name, name) == 0) {
			struct x86_seg seg;
			memcpy(&seg, (const char *)s + segments[i].at, sizeof seg);
			push_segment(L, &seg);
			return true;
		}
	if (strcmp(name, "gdtr") == 0)
		push_table(L, &s->gdtr);
	else if (strcmp(name, "idtr") == 0)
		push_table(L, &s->idtr);
	else if (strcmp(name, "flags") == 0)
		push_flags(L, s->rflags);
	else if (strcmp(name, "cpl") == 0)
		lua_pushinteger(L, s->seg[X86_SS].attr >> SEG_DPL_SHIFT & 3);
	else
		return false;
	return true;
}

static int no_register(lua_State *L, const char *name)
{
	return luaL_error(L,
	    "a cpu has no %s: there are rax .. r15 (eax, ax), rip, rflags, flags, cr0 .. cr8, dr0 .. dr7, es .. gs, "
	    "ldtr, tr, gdtr, idtr, cpl, efer, star, lstar, cstar, fmask, kernel_gs_base, sysenter_*, pat, apic_base, "
	    "xcr0, msr[number], id",
	    name);
}

static int cpu_index(lua_State *L)
{
	unsigned vcpu;
	struct lab_vm *lv = object_vm(L, CPU_CLASS, &vcpu);
	const char *name = luaL_checkstring(L, 2);
	const struct reg *r = find_reg(name);
	struct x86_state s;

	if (strcmp(name, "id") == 0) {
		lua_pushinteger(L, vcpu + 1);
		return 1;
	}
	if (strcmp(name, "msr") == 0) {
		lua_getiuservalue(L, 1, 1);
		push_object(L, -1, vcpu, MSR_CLASS);
		return 1;
	}
	get_state(L, lv, vcpu, &s);
	if (r) {
		uint64_t value = 0;
		memcpy(&value, (const char *)&s + r->at, r->size);
		lua_pushinteger(L, (lua_Integer)value);
		return 1;
	}
	return push_special(L, &s, name) ? 1 : no_register(L, name);
}

static int cpu_newindex(lua_State *L)
{
	unsigned vcpu;
	struct lab_vm *lv = object_vm(L, CPU_CLASS, &vcpu);
	const char *name = luaL_checkstring(L, 2);
	const struct reg *r = find_reg(name);
	uint64_t value = lab_check_value(L, 3, "cpu", name);
	struct x86_state s;

	if (!r)
		return no_register(L, name);
	get_state(L, lv, vcpu, &s);
	/* A 32-bit result clears the upper half, a 16-bit one does not. */
	if (r->size == 4)
		value = (uint32_t)value;
	memcpy((char *)&s + r->at, &value, r->size == 4 ? 8 : r->size);
	s.rflags |= FLAG_R1;
	set_state(L, lv, vcpu, &s);
	return 0;
}

static int msr_index(lua_State *L)
{
	unsigned vcpu;
	struct lab_vm *lv = object_vm(L, MSR_CLASS, &vcpu);
	uint64_t index = lab_check_u64(L, 2), value;
	struct session *s = lv->machine.session;
	enum err e = index > UINT32_MAX ? ERR_NOENT : s->ops->rdmsr(s, vcpu, (uint32_t)index, &value);

	if (e && e != ERR_NOENT)
		return lab_raise(L, "an MSR cannot be read", e, NULL);
	if (e)
		lua_pushnil(L);
	else
		lua_pushinteger(L, (lua_Integer)value);
	return 1;
}

static int msr_newindex(lua_State *L)
{
	unsigned vcpu;
	struct lab_vm *lv = object_vm(L, MSR_CLASS, &vcpu);
	uint64_t index = lab_check_u64(L, 2), value = lab_check_u64(L, 3);
	enum err e = ERR_NOENT;

	if (lv->in_device)
		return device_sets_nothing(L);
	if (index <= UINT32_MAX && lv->at) {
		e = lv->machine.session->ops->wrmsr(lv->machine.session, vcpu, (uint32_t)index, value);
	} else if (index <= UINT32_MAX) {
		lab_begin_future(lv);
		e = control_set_msr(lv->control, vcpu, (uint32_t)index, value);
	}
	char what[96];
	snprintf(what, sizeof what, "MSR %#llx", (unsigned long long)index);
	if (e == ERR_NOENT)
		return luaL_error(L, "%s: there is none, or it does not take this value: WRMSR would fault", what);
	if (e == ERR_UNSUPPORTED)
		return luaL_error(
		    L, "%s of a type I VMM cannot be set in an exit handler: set it between two runs", what);
	if (e == ERR_BUSY)
		return luaL_error(L, "%s: the guest has ended: its processor takes nothing any more", what);
	return e ? lab_raise(L, what, e, NULL) : 0;
}

/* --- Memory ------------------------------------------------------------------------------------------------------- */

static enum err read_mem(struct lab_vm *lv, gpa_t gpa, void *buf, size_t n)
{
	struct session *s = lv->machine.session;

	return s->ops->read_mem(s, gpa, buf, n);
}

static void get_mem(lua_State *L, struct lab_vm *lv, uint64_t gpa, void *buf, size_t n)
{
	char what[64];

	enum err e = read_mem(lv, gpa, buf, n);
	if (!e)
		return;
	snprintf(what, sizeof what, "memory at %#llx, %zu bytes", (unsigned long long)gpa, n);
	lab_raise(L, what, e, NULL);
}

static void put_mem(lua_State *L, struct lab_vm *lv, uint64_t gpa, const void *buf, size_t n)
{
	char what[80];
	enum err e;

	if (lv->at) {
		e = lv->machine.session->ops->write_mem(lv->machine.session, gpa, buf, n);
	} else {
		lab_begin_future(lv);
		e = control_write_mem(lv->control, gpa, buf, n);
	}
	if (!e)
		return;
	snprintf(what, sizeof what, "memory at %#llx, %zu bytes, cannot be written", (unsigned long long)gpa, n);
	lab_raise(L, what, e, NULL);
}

static int mem_number(lua_State *L, unsigned size)
{
	unsigned none;
	struct lab_vm *lv = object_vm(L, MEM_CLASS, &none);
	uint64_t gpa = lab_check_u64(L, 2), value = 0;

	if (!lua_isnoneornil(L, 3)) {
		value = lab_check_u64(L, 3);
		put_mem(L, lv, gpa, &value, size);
		return 0;
	}
	get_mem(L, lv, gpa, &value, size);
	lua_pushinteger(L, (lua_Integer)value);
	return 1;
}

static int mem_u8(lua_State *L)
{
	return mem_number(L, 1);
}
static int mem_u16(lua_State *L)
{
	return mem_number(L, 2);
}
static int mem_u32(lua_State *L)
{
	return mem_number(L, 4);
}
static int mem_u64(lua_State *L)
{
	return mem_number(L, 8);
}

static int memory_read(lua_State *L)
{
	unsigned none;
	struct lab_vm *lv = object_vm(L, MEM_CLASS, &none);
	uint64_t gpa = lab_check_u64(L, 2), n = lab_check_u64(L, 3);
	luaL_Buffer b;

	luaL_argcheck(L, n <= MEM_READ_MAX, 3, "at most 16 MiB at once");
	char *p = luaL_buffinitsize(L, &b, n);
	get_mem(L, lv, gpa, p, n);
	luaL_pushresultsize(&b, n);
	return 1;
}

static int memory_write(lua_State *L)
{
	unsigned none;
	struct lab_vm *lv = object_vm(L, MEM_CLASS, &none);
	uint64_t gpa = lab_check_u64(L, 2);
	size_t n;
	const char *bytes = luaL_checklstring(L, 3, &n);

	if (n)
		put_mem(L, lv, gpa, bytes, n);
	return 0;
}

static int mem_index(lua_State *L)
{
	if (lua_isinteger(L, 2)) {
		lua_settop(L, 2);
		return mem_number(L, 1);
	}
	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL)
		return luaL_error(L, "vm.mem: an address, or read, write, u8, u16, u32, u64");
	return 1;
}

/* --- Translation -------------------------------------------------------------------------------------------------- */

static bool read_table(void *arg, gpa_t gpa, void *buf, size_t n)
{
	return read_mem(arg, gpa, buf, n) == ERR_OK;
}

/* vm:translate(gva [, cpu]): guest-physical address and the entries on the way; or nil, why, entries. */
int lab_translate(lua_State *L)
{
	struct lab_vm *lv = lab_check_vm(L, 1);
	struct pagewalk_query q = {.gva = lab_check_u64(L, 2)};
	lua_Integer cpu = luaL_optinteger(L, 3, 1);
	struct pagewalk w;
	struct x86_state s;

	luaL_argcheck(L, cpu >= 1 && cpu <= lv->vm->n_vcpus, 3, "no such cpu");
	get_state(L, lv, (unsigned)cpu - 1, &s);
	pagewalk(&s, &q, read_table, lv, &w);
	if (w.result == PAGEWALK_OK) {
		lua_pushinteger(L, (lua_Integer)w.gpa);
	} else {
		lua_pushnil(L);
		lua_pushstring(L, w.why);
	}
	lua_createtable(L, (int)w.n, 0);
	for (unsigned i = 0; i < w.n; i++) {
		lua_newtable(L);
		lua_pushstring(L, w.entry[i].name);
		lua_setfield(L, -2, "name");
		field(L, "gpa", w.entry[i].gpa);
		field(L, "value", w.entry[i].value);
		field(L, "index", w.entry[i].index);
		lua_rawseti(L, -2, i + 1);
	}
	return w.result == PAGEWALK_OK ? 2 : 3;
}

void lab_open_state(lua_State *L)
{
	static const luaL_Reg cpu[] = {{"__index", cpu_index}, {"__newindex", cpu_newindex}, {NULL, NULL}};
	static const luaL_Reg msr[] = {{"__index", msr_index}, {"__newindex", msr_newindex}, {NULL, NULL}};
	static const luaL_Reg mem[] = {{"__newindex", mem_u8}, {NULL, NULL}};
	static const luaL_Reg methods[] = {{"read", memory_read}, {"write", memory_write}, {"u8", mem_u8},
	    {"u16", mem_u16}, {"u32", mem_u32}, {"u64", mem_u64}, {NULL, NULL}};

	lab_class(L, CPU_CLASS, NULL, cpu);
	lab_class(L, MSR_CLASS, NULL, msr);
	lab_class(L, MEM_CLASS, NULL, mem);
	luaL_getmetatable(L, MEM_CLASS);
	lua_newtable(L);
	luaL_setfuncs(L, methods, 0);
	lua_pushcclosure(L, mem_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}
