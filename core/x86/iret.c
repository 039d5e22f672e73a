/*
 * IRET and the instructions that enter and leave a kernel: INT n, SYSCALL, SYSENTER and their returns [SDM 2A "IRET",
 * SDM 2B "SYSCALL"]. Concept: returning is the delicate half. IRET restores flags only as far as the *current*
 * privilege allows, and SYSRET trusts two registers.
 *
 * Read before: event.c, far.c. Read after: task.c.
 */
#include "core/x86/far.h"

#include "core/x86/event.h"
#include "core/x86/exec.h"
#include "core/x86/sys.h"

static unsigned iopl(const struct x86_cpu *c)
{
	return c->s.rflags >> 12 & 3;
}

/* RFLAGS after IRET or POPF of an image of size bytes, at CPL cpl with the IOPL that is in force. */
uint64_t x86_flags_merge(const struct x86_cpu *c, uint64_t image, unsigned size, unsigned cpl, bool iret)
{
	uint64_t old = x86_flags_get(c);
	uint64_t may = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT;
	bool v86 = c->mode == X86_MODE_V86;
	unsigned io = iopl(c);

	if (x86_depriv(c)) { /* the real ones: IOPL 0 at CPL 3. IF and IOPL silently stay */
		cpl = 3;
		io = 0;
	}
	if (size > 2)
		may |= FLAG_AC | FLAG_ID | (iret ? FLAG_RF : 0);
	if (cpl <= io)
		may |= FLAG_IF;
	if (cpl == 0 && !v86) {
		may |= FLAG_IOPL;
		if (size > 2 && iret && c->mode >= X86_MODE_PROT)
			may |= FLAG_VIF | FLAG_VIP;
	}
	old = (old & ~may) | (image & may) | FLAG_R1;
	if (!iret)
		old &= ~(uint64_t)FLAG_RF;
	return old;
}

/* Ends the block: interrupts may have become deliverable, single-step or alignment checking may have been switched. */
void x86_flags_load(struct x86_cpu *c, uint64_t v)
{
	x86_flags_write(c, v);
	c->block_end = true;
	x86_mode_changed(c);
}

/* With "NMI exiting" NMIs are the VMM's, and IRET does not unblock them; with "virtual NMIs" there are those of the
 * guest beside them, which it does [SDM 3C "Changes to Instruction Behavior in VMX Non-Root Operation"]. */
static void unblock_nmi(struct x86_cpu *c)
{
	if (!c->ctl || c->ctl->ring != RING_HW || (c->ctl->pin & (PIN_NMI_EXIT | PIN_VIRTUAL_NMIS)) != PIN_NMI_EXIT)
		c->s.intr_shadow &= ~INTR_SHADOW_NMI;
}

static void leave_nmi(struct x86_cpu *c)
{
	unblock_nmi(c);
	c->dbg.keep_rf = true;
}

struct image {
	uint64_t rip, cs, flags, rsp, ss, sp_after;
};

static enum x86_rc pop_stack(struct x86_cpu *c, unsigned size, struct image *m)
{
	return x86_pop_two(c, &m->sp_after, size, &m->rsp, &m->ss);
}

static enum x86_rc iret_real(struct x86_cpu *c, const struct x86_insn *i, struct image *m)
{
	bool v86 = c->mode == X86_MODE_V86;

	if (m->rip > c->s.seg[X86_CS].limit)
		return x86_fault_ec(c, VEC_GP, 0);
	x86_set_sp(c, m->sp_after);
	c->s.seg[X86_CS] = x86_real_seg(c, &c->s.seg[X86_CS], (uint16_t)m->cs, true);
	c->s.rip = m->rip;
	/* IOPL cannot be changed from virtual-8086 mode; x86_flags_merge() knows. */
	x86_flags_load(c, x86_flags_merge(c, m->flags, i->opsize, v86 ? 3 : 0, true));
	leave_nmi(c);
	return X86_OK;
}

/* CPL 0 returns to a virtual-8086 task: six more words, and all segments as in real mode. */
static enum x86_rc iret_to_v86(struct x86_cpu *c, struct image *m)
{
	static const uint8_t order[] = {X86_ES, X86_DS, X86_FS, X86_GS};
	uint64_t sel[ARRAY_LEN(order)];
	enum x86_rc rc = pop_stack(c, 4, m);

	for (unsigned n = 0; n < ARRAY_LEN(order) && rc == X86_OK; n++)
		rc = x86_pop_tmp(c, &m->sp_after, 4, &sel[n]);
	if (rc != X86_OK)
		return rc;
	if (m->rip > 0xffff)
		return x86_fault_ec(c, VEC_GP, 0);
	x86_flags_write(c, (m->flags & 0x3f7fd5u) | FLAG_R1);
	c->mode = X86_MODE_V86; /* for x86_real_seg() */
	for (unsigned n = 0; n < ARRAY_LEN(order); n++)
		c->s.seg[order[n]] = x86_real_seg(c, NULL, (uint16_t)sel[n], false);
	c->s.seg[X86_SS] = x86_real_seg(c, NULL, (uint16_t)m->ss, false);
	c->s.seg[X86_CS] = x86_real_seg(c, NULL, (uint16_t)m->cs, true);
	c->s.gpr[X86_RSP] = (uint32_t)m->rsp;
	c->s.rip = (uint16_t)m->rip;
	x86_mode_changed(c);
	leave_nmi(c);
	return X86_OK;
}

static enum x86_rc iret_prot(struct x86_cpu *c, const struct x86_insn *i, struct image *m)
{
	unsigned old_cpl = c->cpl, cpl;
	uint16_t sel = (uint16_t)m->cs;
	struct x86_seg ss;
	struct x86_desc cs = {0};
	uint64_t flags;
	bool stack;
	enum x86_rc rc = x86_check_return_cs(c, &sel, &cs);

	if (rc != X86_OK)
		return rc;
	cpl = sel & 3;
	stack = c->mode == X86_MODE_LONG64 || cpl > c->cpl;
	if (stack) {
		rc = pop_stack(c, i->opsize, m);
		if (rc == X86_OK && x86_depriv(c) && !x86_is_null((uint16_t)m->ss)) {
			if ((m->ss & 3) != 3)
				return x86_fault_sel(c, VEC_GP, (uint16_t)m->ss);
			m->ss = (m->ss & 0xfffc) | cpl;
		}
		if (rc == X86_OK)
			rc = x86_check_return_ss(c, (uint16_t)m->ss, cpl, &cs, &ss);
		if (rc != X86_OK)
			return rc;
	}
	rc = x86_finish_return(c, &cs, stack ? &ss : NULL, &m->rip);
	if (rc != X86_OK)
		return rc;
	flags = x86_flags_merge(c, m->flags, i->opsize, old_cpl, true);
	if (!stack)
		x86_set_sp(c, m->sp_after);
	else
		c->s.seg[X86_SS] = ss;
	c->s.seg[X86_CS] = x86_desc_seg(&cs, sel);
	c->s.rip = m->rip;
	x86_flags_load(c, flags);
	if (stack)
		x86_set_sp(c, m->rsp);
	if (cpl > old_cpl) {
		x86_drop_inner_segs(c, cpl);
		x86_mode_changed(c);
	}
	leave_nmi(c);
	return X86_OK;
}

/* NT set: the back link of the current TSS says which task was interrupted. */
static enum x86_rc iret_task(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x86_desc tss = {0};
	uint64_t link;
	unsigned type;
	enum x86_rc rc = x86_load_sys(c, c->s.tr.base, 2, &link);

	if (rc != X86_OK)
		return rc;
	if (link & 4 || x86_is_null((uint16_t)link))
		return x86_fault_sel(c, VEC_TS, (uint16_t)link);
	rc = x86_desc_read(c, (uint16_t)link, VEC_TS, &tss);
	if (rc != X86_OK)
		return rc;
	type = x86_systype(tss.attr);
	if (type != DESC_TSS16_BUSY && type != DESC_TSS32_BUSY)
		return x86_fault_sel(c, VEC_TS, (uint16_t)link);
	if (!(tss.attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, (uint16_t)link);
	if (x86_depriv(c))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_check_tss_limit(c, &tss);
	if (rc != X86_OK)
		return rc;
	if (c->ctl && !(c->ctl->kernel & CTL_KERNEL_MISC))
		return x86_exit(c, EXIT_TASK_SWITCH, link | (uint64_t)X86_TASK_IRET << 30, i->len);
	rc = x86_task_switch(c, (uint16_t)link, X86_TASK_IRET, c->s.rip, false, 0);
	if (rc == X86_OK)
		leave_nmi(c);
	return rc;
}

static enum x86_rc iret(struct x86_cpu *c, const struct x86_insn *i)
{
	struct image m = {.sp_after = x86_sp(c)};
	enum x86_rc rc;

	if (c->mode < X86_MODE_PROT && (x86_depriv(c) || (c->mode == X86_MODE_V86 && iopl(c) < 3)))
		return x86_fault_ec(c, VEC_GP, 0);
	if (c->mode >= X86_MODE_PROT && (c->s.rflags & FLAG_NT))
		return x86_lma(c) ? x86_fault_ec(c, VEC_GP, 0) : iret_task(c, i);
	/* Flags first, then CS, then IP: the order shows in the address of a page fault, and this is the processors'.
	 */
	rc = x86_load(c, X86_SS, x86_sp_add(c, m.sp_after, 2 * (int64_t)i->opsize), i->opsize, &m.flags);
	if (rc == X86_OK)
		rc = x86_pop_two(c, &m.sp_after, i->opsize, &m.rip, &m.cs);
	m.sp_after = x86_sp_add(c, m.sp_after, i->opsize);
	if (rc != X86_OK)
		return rc;
	if (c->mode < X86_MODE_PROT)
		return iret_real(c, i, &m);
	if (c->mode == X86_MODE_PROT && (m.flags & FLAG_VM) && i->opsize == 4 && c->cpl == 0) {
		if (x86_depriv(c))
			return x86_fault_ec(c, VEC_GP, 0);
		return iret_to_v86(c, &m);
	}
	return iret_prot(c, i, &m);
}

enum x86_rc x86_op_iret(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = iret(c, i);

	c->iret_faulted = rc == X86_FAULT;
	return rc;
}

void x86_iret_faulted(struct x86_cpu *c)
{
	c->iret_faulted = false;
	unblock_nmi(c);
}

/* --- Software interrupts --------------------------------------------------------------------------------------- */

enum x86_rc x86_op_int_n(struct x86_cpu *c, const struct x86_insn *i)
{
	if (c->mode == X86_MODE_V86 && iopl(c) < 3 && !x86_depriv(c))
		return x86_fault_ec(c, VEC_GP, 0);
	return x86_software_event(c, (uint8_t)i->imm, INTR_TYPE_SW_INT, i->len);
}

enum x86_rc x86_op_int3(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_software_event(c, VEC_BP, INTR_TYPE_SW_EXCEPTION, i->len);
}

enum x86_rc x86_op_into(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_of(c) ? x86_software_event(c, VEC_OF, INTR_TYPE_SW_EXCEPTION, i->len) : X86_OK;
}

enum x86_rc x86_op_int1(struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_software_event(c, VEC_DB, INTR_TYPE_PRIV_SW_EXCEPTION, i->len);
}

/* --- Fast system calls ----------------------------------------------------------------------------------------- */

#define DR6_BS (1u << 14)
#define CODE64 0xa09bu
#define CODE32 0xc09bu
#define DATA32 0xc093u

/* Fixed flat segments: nothing is read from the descriptor tables. */
static void load_fixed(struct x86_cpu *c, unsigned cs, unsigned ss, unsigned cpl, bool code64)
{
	uint32_t dpl = cpl << SEG_DPL_SHIFT;

	c->s.seg[X86_CS] =
	    (struct x86_seg){.limit = UINT32_MAX, .attr = (code64 ? CODE64 : CODE32) | dpl, .sel = (uint16_t)cs};
	c->s.seg[X86_SS] = (struct x86_seg){.limit = UINT32_MAX, .attr = DATA32 | dpl, .sel = (uint16_t)ss};
}

enum x86_rc x86_op_syscall(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned base = c->s.star >> 32 & 0xffff;

	(void)i;
	if (c->mode != X86_MODE_LONG64 || !(c->s.efer & EFER_SCE) || x86_depriv(c))
		return x86_fault(c, VEC_UD);
	x86_flags_sync(c);
	c->s.gpr[X86_RCX] = c->s.rip;
	c->s.gpr[X86_R11] = c->s.rflags & ~(uint64_t)FLAG_RF;
	c->s.rip = c->s.lstar;
	load_fixed(c, base & 0xfffc, base + 8, 0, true);
	x86_flags_load(c, (c->s.rflags & ~(c->s.fmask | FLAG_RF)) | FLAG_R1);
	c->dbg.no_trap = !(c->s.rflags & FLAG_TF);
	return X86_OK;
}

enum x86_rc x86_op_sysret(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned base = (uint16_t)(c->s.star >> 48);
	bool to64 = i->opsize == 8;

	if (c->mode != X86_MODE_LONG64 || !(c->s.efer & EFER_SCE))
		return x86_fault(c, VEC_UD);
	if (x86_hw_cpl(c) != 0 || (to64 && !x86_canonical(c->s.gpr[X86_RCX])))
		return x86_fault_ec(c, VEC_GP, 0);
	c->s.rip = to64 ? c->s.gpr[X86_RCX] : (uint32_t)c->s.gpr[X86_RCX];
	load_fixed(c, (base + (to64 ? 16 : 0)) | 3, (base + 8) | 3, 3, to64);
	x86_flags_load(c, (c->s.gpr[X86_R11] & 0x3c7fd7u) | FLAG_R1);
	/* TF counts as it is at the end, as for SYSCALL: the system call was one instruction of the user's. */
	c->dbg.no_trap = true;
	if (c->s.rflags & FLAG_TF)
		c->s.pending_dbg |= DR6_BS;
	return X86_OK;
}

enum x86_rc x86_op_sysenter(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned cs = c->s.sysenter_cs & 0xfffc;

	(void)i;
	if (c->mode == X86_MODE_REAL || !cs || x86_depriv(c))
		return x86_fault_ec(c, VEC_GP, 0);
	x86_flags_sync(c);
	c->s.gpr[X86_RSP] = x86_lma(c) ? c->s.sysenter_esp : (uint32_t)c->s.sysenter_esp;
	c->s.rip = x86_lma(c) ? c->s.sysenter_eip : (uint32_t)c->s.sysenter_eip;
	load_fixed(c, cs, cs + 8, 0, x86_lma(c));
	x86_flags_load(c, c->s.rflags & ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF));
	return X86_OK;
}

enum x86_rc x86_op_sysexit(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned cs = c->s.sysenter_cs & 0xfffc;
	bool to64 = i->opsize == 8;

	if (c->mode == X86_MODE_REAL || !cs || x86_hw_cpl(c) != 0)
		return x86_fault_ec(c, VEC_GP, 0);
	if (to64 && (!x86_canonical(c->s.gpr[X86_RCX]) || !x86_canonical(c->s.gpr[X86_RDX])))
		return x86_fault_ec(c, VEC_GP, 0);
	c->s.rip = to64 ? c->s.gpr[X86_RDX] : (uint32_t)c->s.gpr[X86_RDX];
	c->s.gpr[X86_RSP] = to64 ? c->s.gpr[X86_RCX] : (uint32_t)c->s.gpr[X86_RCX];
	load_fixed(c, (cs + (to64 ? 32 : 16)) | 3, (cs + (to64 ? 40 : 24)) | 3, 3, to64);
	x86_mode_changed(c);
	return X86_OK;
}
