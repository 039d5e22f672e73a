/*
 * Exit handlers of the script: asked before the effect of an exit (vm_config.user), newest first, until one of them has
 * a verdict. The default handler is what the VMM would have done: exit:default() does it now, so that its results can
 * be looked at and changed; the verdict "default" leaves it to the VMM.
 *
 * Nothing of Lua may leave a handler but by its protected call: below it stands the VM's loop.
 */
#include "core/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib.h"
#include "labs/lab_impl.h"

#define EXIT_CLASS "vmscope.exit"

/* A Lua userdata: the exit that is being answered. */
struct lab_exit {
	struct lab_vm *lv;
	struct vcpu *v; /* NULL: it is over */
	struct vm_exit *e;
	int fn;		   /* the handler that is asked, in the registry */
	bool changed;	   /* the script has set a result */
	bool works;	   /* the default handler runs now */
	bool done;	   /* it has run, */
	enum verdict said; /* and this is what it said */
};

/* --- Errors ------------------------------------------------------------------------------------------------------- */

/* The registry has a place for it since the VM was made: keeping it allocates nothing. */
void lab_keep_error(struct lab_vm *lv, lua_State *L)
{
	if (lv->error) {
		lua_pop(L, 1);
	} else {
		lua_rawsetp(L, LUA_REGISTRYINDEX, &lv->error);
		lv->error = true;
	}
	vm_kill(lv->vm, END_KILLED, 0, "a handler of the script failed");
}

void lab_raise_kept(struct lab_vm *lv, lua_State *L)
{
	if (!lv->error)
		return;
	lv->error = false;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &lv->error);
	lua_pushboolean(L, 0);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &lv->error);
	lua_error(L);
}

/* --- Which exits -------------------------------------------------------------------------------------------------- */

static uint64_t range_end(lua_State *L, const char *text, char **rest)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (end == text || *text == '-')
		luaL_error(L, "vm:on_exit: %s: a number is needed, such as 0x3f8, or a range 0x3f8-0x3ff", text);
	*rest = end;
	return n;
}

static void parse_range(lua_State *L, struct lab_handler *h, const char *text, uint64_t max)
{
	char *rest;

	h->lo = h->hi = range_end(L, text, &rest);
	if (*rest == '-')
		h->hi = range_end(L, rest + 1, &rest);
	if (*rest || h->hi < h->lo || h->hi > max)
		luaL_error(
		    L, "vm:on_exit: %s: a range LOW-HIGH is needed, none of them above %I", text, (LUAI_UACINT)max);
}

static void parse_what(lua_State *L, const char *text, struct lab_handler *h)
{
	if (strncmp(text, "port ", 5) == 0) {
		h->what = LAB_PORT;
		parse_range(L, h, text + 5, 0xffff);
	} else if (strncmp(text, "msr ", 4) == 0) {
		h->what = LAB_MSR;
		parse_range(L, h, text + 4, UINT32_MAX);
	} else if (strncmp(text, "gpa ", 4) == 0) {
		h->what = LAB_GPA;
		parse_range(L, h, text + 4, UINT64_MAX);
	} else {
		int reason = exit_reason_by_name(text);
		if (reason < 0 || (unsigned)reason >= EXIT_SDM_COUNT)
			luaL_error(L,
			    "vm:on_exit: %s: give an exit reason (docs/exit-contract.md lists them), \"port N\", "
			    "\"msr N\" or \"gpa N\", where N may be a range LOW-HIGH",
			    text);
		h->what = LAB_ANY;
		h->reason = (uint32_t)reason;
	}
}

static bool about(const struct lab_handler *h, const struct vm_exit *e)
{
	switch (h->what) {
	case LAB_PORT:
		return e->reason == EXIT_IO_INSTRUCTION && e->io.port >= h->lo && e->io.port <= h->hi;
	case LAB_MSR:
		return (e->reason == EXIT_MSR_READ || e->reason == EXIT_MSR_WRITE) && e->msr.index >= h->lo &&
		       e->msr.index <= h->hi;
	case LAB_GPA:
		return e->reason == EXIT_EPT_VIOLATION && e->gpa >= h->lo && e->gpa <= h->hi;
	case LAB_ANY:
	default:
		return e->reason == h->reason;
	}
}

static void want(struct vm *vm, uint32_t reason)
{
	vm->user_reasons[reason / 64] |= 1ull << reason % 64;
}

static void tell_reasons(struct lab_vm *lv)
{
	memset(lv->vm->user_reasons, 0, sizeof lv->vm->user_reasons);
	for (unsigned i = 0; i < lv->n_handlers; i++)
		switch (lv->handlers[i].what) {
		case LAB_PORT:
			want(lv->vm, EXIT_IO_INSTRUCTION);
			break;
		case LAB_MSR:
			want(lv->vm, EXIT_MSR_READ);
			want(lv->vm, EXIT_MSR_WRITE);
			break;
		case LAB_GPA:
			want(lv->vm, EXIT_EPT_VIOLATION);
			break;
		case LAB_ANY:
		default:
			want(lv->vm, lv->handlers[i].reason);
		}
}

int lab_on_exit(lua_State *L)
{
	struct lab_vm *lv = lab_still_vm(L, 1);
	struct lab_handler h = {.id = lv->next_handler};

	parse_what(L, luaL_checkstring(L, 2), &h);
	luaL_checktype(L, 3, LUA_TFUNCTION);
	if (lv->n_handlers == LAB_HANDLERS_MAX)
		return luaL_error(
		    L, "vm:on_exit: all %d handlers are in use: remove one with vm:off_exit(id)", LAB_HANDLERS_MAX);
	lua_settop(L, 3);
	h.fn = luaL_ref(L, LUA_REGISTRYINDEX);
	lv->handlers[lv->n_handlers++] = h;
	lv->next_handler++;
	tell_reasons(lv);
	lua_pushinteger(L, h.id);
	return 1;
}

int lab_off_exit(lua_State *L)
{
	struct lab_vm *lv = lab_still_vm(L, 1);
	lua_Integer id = luaL_checkinteger(L, 2);

	for (unsigned i = 0; i < lv->n_handlers; i++) {
		if (lv->handlers[i].id != id)
			continue;
		luaL_unref(L, LUA_REGISTRYINDEX, lv->handlers[i].fn);
		memmove(&lv->handlers[i], &lv->handlers[i + 1], (--lv->n_handlers - i) * sizeof lv->handlers[0]);
		tell_reasons(lv);
		return 0;
	}
	return luaL_error(L, "vm:off_exit: no handler has the number %d: vm:on_exit gives it", (int)id);
}

/* --- The exit object ---------------------------------------------------------------------------------------------- */

static struct lab_exit *check_exit(lua_State *L)
{
	struct lab_exit *x = luaL_checkudata(L, 1, EXIT_CLASS);

	if (!x->v)
		luaL_error(L, "this exit is over: keep what you need of it in variables of your own");
	return x;
}

/* Operands that live in registers where the backend does not hand them over. */
static bool fill_operands(struct vcpu *v, struct vm_exit *e)
{
	const struct x86_state *s;

	if (vcpu_completes(v))
		return true;
	s = vcpu_state(v);
	if (!s)
		return false;
	if (e->reason == EXIT_CPUID) {
		e->cpuid.leaf = (uint32_t)s->gpr[X86_RAX];
		e->cpuid.subleaf = (uint32_t)s->gpr[X86_RCX];
	} else if (e->reason == EXIT_MSR_READ || e->reason == EXIT_MSR_WRITE) {
		e->msr.index = (uint32_t)s->gpr[X86_RCX];
		e->msr.write = e->reason == EXIT_MSR_WRITE;
		if (e->msr.write)
			e->msr.value = (uint32_t)s->gpr[X86_RAX] | s->gpr[X86_RDX] << 32;
	} else if (e->reason == EXIT_CR_ACCESS) {
		e->cr.cr = e->qual & QUAL_CR_NUM_MASK;
		e->cr.type = e->qual >> QUAL_CR_TYPE_SHIFT & 3;
		e->cr.gpr = e->qual >> QUAL_CR_GPR_SHIFT & 15;
		if (e->cr.type == 0)
			e->cr.value = s->gpr[e->cr.gpr];
	} else if (e->reason == EXIT_DR_ACCESS && !(e->qual & QUAL_DR_READ)) {
		e->dr.value = s->gpr[e->qual >> QUAL_DR_GPR_SHIFT & 15];
	} else if (e->reason == EXIT_VMCALL) {
		e->value = s->gpr[X86_RAX];
	}
	return true;
}

static void set_pair(struct x86_state *s, uint64_t value)
{
	s->gpr[X86_RAX] = (uint32_t)value;
	s->gpr[X86_RDX] = value >> 32;
}

static void set_low(struct x86_state *s, uint64_t value, unsigned size)
{
	uint64_t mask = size == 1 ? 0xff : size == 2 ? 0xffff : 0;

	s->gpr[X86_RAX] = mask ? (s->gpr[X86_RAX] & ~mask) | (value & mask) : (uint32_t)value;
}

/* The results in e become the guest's registers, where the backend leaves that to the VMM. */
static bool give_results(struct vcpu *v, const struct vm_exit *e)
{
	struct x86_state *s = vcpu_completes(v) ? NULL : vcpu_state_for_write(v, DIRTY_GPR);

	if (vcpu_completes(v))
		return true;
	if (!s)
		return false;
	switch (e->reason) {
	case EXIT_CPUID:
		s->gpr[X86_RAX] = e->cpuid.eax;
		s->gpr[X86_RBX] = e->cpuid.ebx;
		s->gpr[X86_RCX] = e->cpuid.ecx;
		s->gpr[X86_RDX] = e->cpuid.edx;
		break;
	case EXIT_IO_INSTRUCTION:
		if (e->io.in && !e->io.string)
			set_low(s, e->io.value, e->io.size);
		break;
	case EXIT_MSR_READ:
		set_pair(s, e->msr.value);
		break;
	case EXIT_RDTSC:
	case EXIT_RDTSCP:
	case EXIT_RDPMC:
		set_pair(s, e->value);
		break;
	case EXIT_VMCALL:
		s->gpr[X86_RAX] = e->value;
		break;
	case EXIT_CR_ACCESS:
		if ((e->qual >> QUAL_CR_TYPE_SHIFT & 3) == 1)
			s->gpr[e->qual >> QUAL_CR_GPR_SHIFT & 15] = e->cr.value;
		break;
	default:
		break;
	}
	return true;
}

static bool set_result(struct vm_exit *e, const char *name, uint64_t value)
{
	struct {
		const char *name;
		uint32_t *to;
	} const cpuid[] = {
	    {"eax", &e->cpuid.eax}, {"ebx", &e->cpuid.ebx}, {"ecx", &e->cpuid.ecx}, {"edx", &e->cpuid.edx}};

	if (e->reason == EXIT_CPUID) {
		for (size_t i = 0; i < ARRAY_LEN(cpuid); i++)
			if (strcmp(name, cpuid[i].name) == 0) {
				*cpuid[i].to = (uint32_t)value;
				return true;
			}
		return false;
	}
	if (strcmp(name, "value") != 0)
		return false;
	if (e->reason == EXIT_IO_INSTRUCTION && !e->io.string)
		e->io.value = value;
	else if (e->reason == EXIT_MSR_READ)
		e->msr.value = value;
	else if (e->reason == EXIT_CR_ACCESS && (e->qual >> QUAL_CR_TYPE_SHIFT & 3) == 1)
		e->cr.value = value;
	else if (e->reason == EXIT_RDTSC || e->reason == EXIT_RDTSCP || e->reason == EXIT_RDPMC ||
		 e->reason == EXIT_VMCALL)
		e->value = value;
	else
		return false;
	return true;
}

/* exit:default(): what the VMM would have done, now; gives its verdict. */
static int exit_default(lua_State *L)
{
	struct lab_exit *x = check_exit(L);
	if (!x->done) {
		struct session *s = x->lv->machine.session;
		if (!handler_find(x->lv->vm, x->e->reason))
			return luaL_error(L, "exit:default(): nobody handles %s", exit_name(x->e->reason));
		/* A device of the script, when it comes to that, is called from here. */
		if (x->works)
			return luaL_error(
			    L, "exit:default(): it is at work: a device that it has come to asks for it again");
		lua_State *before = x->lv->L;
		x->lv->L = L;
		x->works = true;
		enum err e = s->ops->handle(s, x->v, x->e, &x->said);
		x->lv->L = before;
		x->works = false;
		if (e)
			return lab_raise(L, "exit:default()", e, NULL);
		x->done = true;
	}
	lua_pushstring(L, lab_verdict_name(x->said));
	return 1;
}

static int exit_index(lua_State *L)
{
	struct lab_exit *x = check_exit(L);
	const char *name = luaL_checkstring(L, 2);

	if (strcmp(name, "default") == 0)
		lua_pushcfunction(L, exit_default);
	else if (strcmp(name, "replayed") == 0)
		lua_pushboolean(L, x->lv->replaying);
	else if (!lab_exit_field(L, x->e, name))
		return luaL_error(L, "an exit of reason %s has no field %s", exit_name(x->e->reason), name);
	return 1;
}

static int exit_newindex(lua_State *L)
{
	struct lab_exit *x = check_exit(L);
	const char *name = luaL_checkstring(L, 2);

	if (!set_result(x->e, name, lab_check_value(L, 3, "exit", name)))
		return luaL_error(L,
		    "exit.%s of %s cannot be set: there are eax, ebx, ecx, edx of CPUID, and value of IN, OUT, RDMSR, "
		    "RDTSC, VMCALL and MOV from CR; anything else is in the cpu's registers",
		    name, exit_name(x->e->reason));
	x->changed = true;
	return 0;
}

/* --- Verdicts ----------------------------------------------------------------------------------------------------- */

static enum verdict reflect(lua_State *L, struct lab_exit *x, const char *text)
{
	static const char *const names[] = {"#DE", "#DB", "#NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#CSO",
	    "#TS", "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM"};
	char name[8] = "#UD";
	unsigned error = 0;

	if (*text && sscanf(text, " %7s %i", name, (int *)&error) < 1)
		lab_blame(L, x->fn, "a verdict \"reflect\" names an exception, such as \"reflect #GP 0\"");
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) != 0 || i == VEC_NMI || i == 15)
			continue;
		enum verdict said = vcpu_reflect(x->v, (uint8_t)i);
		if (x->v->reflect.has_error)
			x->v->reflect.error = error;
		return said;
	}
	(void)lab_blame(L, x->fn, "a verdict \"reflect\" of an exception that does not exist: #UD, #GP, ...");
	return VERDICT_KILL;
}

static enum verdict next(lua_State *L, struct lab_exit *x)
{
	if ((x->changed || !x->done) && !give_results(x->v, x->e))
		luaL_error(L, "the results cannot be given to the guest: %s", x->lv->vm->end.detail);
	return VERDICT_NEXT;
}

/* The text on top of the stack as a verdict; VERDICT_USER: this handler has none. */
static enum verdict verdict_of(lua_State *L, struct lab_exit *x)
{
	const char *said = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;

	if (lua_isnil(L, -1) || (said && strcmp(said, "default") == 0)) {
		if (!x->done)
			return VERDICT_USER;
		if (x->said == VERDICT_NEXT || x->said == VERDICT_HALT)
			(void)next(L, x);
		return x->said;
	}
	if (said && strcmp(said, "next") == 0)
		return next(L, x);
	if (said && strcmp(said, "again") == 0)
		return VERDICT_AGAIN;
	if (said && strcmp(said, "halt") == 0)
		return VERDICT_HALT;
	if (said && strcmp(said, "reset") == 0)
		return VERDICT_RESET;
	if (said && strncmp(said, "reflect", 7) == 0 && (said[7] == ' ' || !said[7]))
		return reflect(L, x, said + 7);
	if (said && strcmp(said, "kill") == 0) {
		vm_kill(x->lv->vm, END_KILLED, 0, "the script's handler of %s said \"kill\"", exit_name(x->e->reason));
		return VERDICT_KILL;
	}
	lua_pushfstring(L,
	    "this handler of %s gave %s%s: a verdict is \"next\", \"again\", \"default\", \"halt\", \"reset\", "
	    "\"kill\" or \"reflect #GP 0\"",
	    exit_name(x->e->reason), said ? said : "a ", said ? "" : luaL_typename(L, -1));
	(void)lab_blame(L, x->fn, lua_tostring(L, -1));
	return VERDICT_KILL;
}

struct question {
	struct lab_vm *lv;
	struct vcpu *v;
	struct vm_exit *e;
	enum verdict verdict;
	struct lab_exit *x;
};

/* Protected; argument 1 is the question. */
static int answer(lua_State *L)
{
	struct question *q = lua_touserdata(L, 1);
	struct lab_vm *lv = q->lv;

	luaL_checkstack(L, 10, NULL);
	struct lab_exit *x = lua_newuserdatauv(L, sizeof *x, 0); /* 2 */
	*x = (struct lab_exit){.lv = lv, .v = q->v, .e = q->e};
	luaL_setmetatable(L, EXIT_CLASS);
	q->x = x;
	lua_rawgetp(L, LUA_REGISTRYINDEX, lv); /* 3: the VM */
	lab_push_cpu(L, 3, q->v->id);	       /* 4 */
	for (unsigned i = lv->n_handlers; i-- && q->verdict == VERDICT_USER;) {
		if (!about(&lv->handlers[i], q->e))
			continue;
		x->fn = lv->handlers[i].fn;
		lua_rawgeti(L, LUA_REGISTRYINDEX, x->fn);
		lua_pushvalue(L, 2);
		lua_pushvalue(L, 4);
		lua_call(L, 2, 1);
		q->verdict = verdict_of(L, x);
		lua_settop(L, 4);
	}
	x->v = NULL;
	return 0;
}

enum verdict lab_user(void *arg, struct vcpu *v, struct vm_exit *e)
{
	struct lab_vm *lv = arg;
	struct question q = {.lv = lv, .v = v, .e = e, .verdict = VERDICT_USER};
	bool mine = false;

	if (lv->error)
		return VERDICT_KILL;
	if (!lv->L || !fill_operands(v, e))
		return VERDICT_USER;
	for (unsigned i = 0; i < lv->n_handlers; i++)
		mine = mine || about(&lv->handlers[i], e);
	if (!mine || !lua_checkstack(lv->L, 3))
		return VERDICT_USER;
	struct vcpu *before = lv->at;
	lv->at = v;
	lua_pushcfunction(lv->L, answer);
	lua_pushlightuserdata(lv->L, &q);
	int bad = lua_pcall(lv->L, 1, 0, 0);
	lv->at = before;
	if (bad == LUA_OK)
		return q.verdict;
	if (q.x) /* the script may have kept it */
		q.x->v = NULL;
	lab_keep_error(lv, lv->L);
	return VERDICT_KILL;
}

void lab_open_handlers(lua_State *L)
{
	static const luaL_Reg meta[] = {{"__index", exit_index}, {"__newindex", exit_newindex}, {NULL, NULL}};

	lab_class(L, EXIT_CLASS, NULL, meta);
}
