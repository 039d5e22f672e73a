/*
 * The gate before every system instruction: undefined, privileged, intercepted, in this order. Concept: Popek and
 * Goldberg's condition in one function: what is sensitive must trap, and here is the list of what traps, by control.
 *
 * Trap-and-emulate has no controls: there everything privileged faults because the guest's kernel is at CPL 3, and what
 * is sensitive without being privileged goes through.
 */
#include "core/x86/intercept.h"

#define X86_KERNEL_NONE 0u
#define X86_KERNEL_CPUID CTL_KERNEL_CPUID
#define X86_KERNEL_CR CTL_KERNEL_CR
#define X86_KERNEL_MISC CTL_KERNEL_MISC

const struct x86_intercept x86_intercepts[X86_ICPT_COUNT] = {
#define INTERCEPT(id, undefined, privilege, control, kernel, reason) \
	{X86_UD_##undefined, X86_PL_##privilege, X86_ON_##control, X86_KERNEL_##kernel, EXIT_##reason},
#include "core/x86/intercepts.def"
#undef INTERCEPT
};

static bool is_undefined(const struct x86_cpu *c, enum x86_icpt_ud when)
{
	switch (when) {
	case X86_UD_NEVER:
		return false;
	case X86_UD_ALWAYS:
		return true;
	case X86_UD_REAL_V86:
		return c->mode < X86_MODE_PROT;
	case X86_UD_NOT_64:
		return c->mode != X86_MODE_LONG64;
	case X86_UD_NO_OSXSAVE:
		return !(c->s.cr4 & CR4_OSXSAVE);
	case X86_UD_NO_FSGSBASE:
		return c->mode != X86_MODE_LONG64 || !(c->s.cr4 & CR4_FSGSBASE);
	case X86_UD_NO_RDTSCP:
		return c->ctl && c->ctl->ring == RING_HW && !(c->ctl->proc2 & PROC2_RDTSCP);
	case X86_UD_NO_VMM:
		return !c->ctl || c->ctl->ring != RING_HW;
	case X86_UD_NOT_VMX_MODE:
		return !c->ctl || c->ctl->ring != RING_HW || (c->ctl->kernel & CTL_KERNEL_MISC) ||
		       c->mode < X86_MODE_PROT || c->mode == X86_MODE_COMPAT;
	}
	return true;
}

/* The vector that the lack of privilege raises, 0: permitted. */
static unsigned privilege_vector(const struct x86_cpu *c, enum x86_icpt_priv need)
{
	unsigned cpl = x86_hw_cpl(c);
	bool depriv = x86_depriv(c);

	switch (need) {
	case X86_PL_ANY:
	case X86_PL_IO:
		return 0;
	case X86_PL_CPL0:
	case X86_PL_EXIT_FIRST:
		return cpl ? VEC_GP : 0;
	case X86_PL_CPL0_UD:
		return cpl ? VEC_UD : 0;
	case X86_PL_TSD: /* the VMM of trap-and-emulate leaves its own CR4.TSD clear */
		return !depriv && cpl && (c->s.cr4 & CR4_TSD) ? VEC_GP : 0;
	case X86_PL_PCE:
		return cpl && (depriv || !(c->s.cr4 & CR4_PCE)) ? VEC_GP : 0;
	case X86_PL_UMIP:
		if (depriv)
			return c->ctl->ring == RING_UMIP ? VEC_GP : 0;
		return cpl && (c->s.cr4 & CR4_UMIP) ? VEC_GP : 0;
	}
	return VEC_GP;
}

static bool control_on(const struct vm_controls *ctl, enum x86_icpt_control control)
{
	switch (control) {
	case X86_ON_NEVER:
	case X86_ON_SPECIAL:
		return false;
	case X86_ON_ALWAYS:
		return true;
	case X86_ON_WBINVD:
		return ctl->proc2 & PROC2_WBINVD_EXIT;
	case X86_ON_INVLPG:
		return ctl->proc & PROC_INVLPG_EXIT;
	case X86_ON_INVPCID:
		return (ctl->proc & PROC_INVLPG_EXIT) && (ctl->proc2 & PROC2_INVPCID);
	case X86_ON_RDTSC:
		return ctl->proc & PROC_RDTSC_EXIT;
	case X86_ON_RDPMC:
		return ctl->proc & PROC_RDPMC_EXIT;
	case X86_ON_MONITOR:
		return ctl->proc & PROC_MONITOR_EXIT;
	case X86_ON_MWAIT:
		return ctl->proc & PROC_MWAIT_EXIT;
	case X86_ON_PAUSE:
		return ctl->proc & PROC_PAUSE_EXIT;
	case X86_ON_MOV_DR:
		return ctl->proc & PROC_MOV_DR_EXIT;
	case X86_ON_DESC_TABLE:
		return ctl->proc2 & PROC2_DESC_TABLE_EXIT;
	}
	return false;
}

bool x86_intercept_on(const struct x86_cpu *c, enum x86_intercept_id id)
{
	return c->ctl && c->ctl->ring == RING_HW && !(c->ctl->kernel & x86_intercepts[id].kernel);
}

enum x86_rc x86_intercept_exit(struct x86_cpu *c, const struct x86_insn *i, enum x86_intercept_id id, uint64_t qual)
{
	return x86_exit(c, x86_intercepts[id].reason, qual, i->len);
}

enum x86_rc x86_intercept(struct x86_cpu *c, const struct x86_insn *i, enum x86_intercept_id id, uint64_t qual)
{
	const struct x86_intercept *row = &x86_intercepts[id];
	bool exits = x86_intercept_on(c, id) && control_on(c->ctl, row->control);
	unsigned vector;

	if (is_undefined(c, row->undefined))
		return x86_fault(c, VEC_UD);
	if (exits && row->privilege == X86_PL_EXIT_FIRST)
		return x86_intercept_exit(c, i, id, qual);
	vector = privilege_vector(c, row->privilege);
	if (vector == VEC_UD)
		return x86_fault(c, VEC_UD);
	if (vector)
		return x86_fault_ec(c, (uint8_t)vector, 0);
	return exits ? x86_intercept_exit(c, i, id, qual) : X86_OK;
}

/*
 *  31    28 27 26    23 22 21    18 17 15  11 10 9   7 6   3  1  0
 * +--------+--+--------+--+--------+-----+--+--+-----+-----+-----+
 * |  reg2  |nb|  base  |ni| index  | seg |os| r| addr| reg1|scale|
 * +--------+--+--------+--+--------+-----+--+--+-----+-----+-----+
 */
uint32_t x86_insn_info(const struct x86_insn *i, uint32_t extra)
{
	uint32_t info = extra | (uint32_t)(i->addrsize >> 2 & 3) << 7;

	if (!(i->flags & INSN_MEM))
		return info | 1u << 10 | (uint32_t)(i->rm & 15) << 3;
	info |= (uint32_t)(i->seg & 7) << 15;
	info |= i->index == INSN_NO_REG ? 1u << 22 : (uint32_t)i->index << 18 | i->scale;
	return info | (i->base == INSN_NO_REG ? 1u << 27 : (uint32_t)i->base << 23);
}

uint64_t x86_insn_displacement(const struct x86_cpu *c, const struct x86_insn *i)
{
	if (!(i->flags & INSN_MEM))
		return 0;
	return (uint64_t)(int64_t)i->disp + (i->flags & INSN_RIP_REL ? c->s.rip : 0);
}
