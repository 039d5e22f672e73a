/*
 * Registers both ways between a VMCS and struct x86_state. General registers lie in struct x86_state itself, where
 * vmx_enter() finds and leaves them; what the VMCS has is read by VMREAD when somebody asks; the rest stays in the
 * processor while the VMM runs.
 *
 * Concept: for a masked bit of CR0 and CR4 the guest reads the shadow and the processor obeys the real register. The
 * architectural state is the guest's view; the real register is that plus what VMX operation insists on.
 */
#include "modes/virtualize/vmx_priv.h"

#include "core/lib.h"
#include "core/x86/paging.h"
#include "modes/virtualize/vmx_asm.h"

#define DBG_BREAKPOINTS 0xfu
#define DBG_ENABLED_BREAKPOINT (1u << 12) /* pending debug exceptions: one of bits 3:0 is enabled in DR7 */
#define DBG_KNOWN 0x400fu

/* --- Out of the VMCS --------------------------------------------------------------------------------------------- */

/* Encodings of one register's parts lie 2 apart from those of the next. */
static void get_segment(struct x86_seg *s, unsigned n)
{
	s->sel = (uint16_t)vmread(VMCS_GUEST_ES_SEL + 2 * n);
	s->base = vmread(VMCS_GUEST_ES_BASE + 2 * n);
	s->limit = vmread32(VMCS_GUEST_ES_LIMIT + 2 * n);
	s->attr = vmread32(VMCS_GUEST_ES_AR + 2 * n);
	if (UNLIKELY(s->attr & SEG_UNUSABLE)) { /* what else the processor left there means nothing */
		s->attr &= SEG_UNUSABLE | SEG_DPL;
		s->limit = 0;
		if (n != X86_FS && n != X86_GS)
			s->base = 0;
	}
}

static void get_segments(struct x86_state *s)
{
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		get_segment(&s->seg[n], n);
	get_segment(&s->ldtr, 6);
	get_segment(&s->tr, 7);
	s->gdtr.base = vmread(VMCS_GUEST_GDTR_BASE);
	s->gdtr.limit = vmread32(VMCS_GUEST_GDTR_LIMIT);
	s->idtr.base = vmread(VMCS_GUEST_IDTR_BASE);
	s->idtr.limit = vmread32(VMCS_GUEST_IDTR_LIMIT);
}

static uint64_t guest_view(uint64_t real, uint64_t shadow, uint64_t mask)
{
	return (real & ~mask) | (shadow & mask);
}

static void get_control_registers(const struct vmx_vcpu *x, struct x86_state *s)
{
	s->cr0 = guest_view(vmread(VMCS_GUEST_CR0), vmread(VMCS_CR0_SHADOW), x->cr0_mask);
	s->cr4 = guest_view(vmread(VMCS_GUEST_CR4), vmread(VMCS_CR4_SHADOW), x->cr4_mask);
	s->cr3 = vmread(VMCS_GUEST_CR3);
	s->efer = vmread(VMCS_GUEST_EFER);
	if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA))
		for (unsigned n = 0; n < 4; n++)
			s->pdpte[n] = vmread(VMCS_GUEST_PDPTE0 + 2 * n);
}

static void get_msrs(struct x86_state *s)
{
	s->sysenter_cs = vmread32(VMCS_GUEST_SYSENTER_CS);
	s->sysenter_esp = vmread(VMCS_GUEST_SYSENTER_ESP);
	s->sysenter_eip = vmread(VMCS_GUEST_SYSENTER_EIP);
	s->pat = vmread(VMCS_GUEST_PAT);
}

static uint32_t get_shadow(void)
{
	return vmread32(VMCS_GUEST_INTERRUPTIBILITY) & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS | INTR_SHADOW_NMI);
}

/* The short path: most exits need no more than this. Mode and size of the code follow from six values; while those are
 * what they were, what the core derived from them stands. */
enum err vmx_get_regs(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	struct x86_state *s = &v->cpu.s;

	vmx_make_current(x);
	uint32_t cs = vmread32(VMCS_GUEST_CS_AR), ss = vmread32(VMCS_GUEST_SS_AR);
	uint64_t rflags = vmread(VMCS_GUEST_RFLAGS);
	uint64_t cr0 = guest_view(vmread(VMCS_GUEST_CR0), vmread(VMCS_CR0_SHADOW), x->cr0_mask);
	uint64_t efer = vmread(VMCS_GUEST_EFER);

	bool moved = s->seg[X86_CS].attr != cs || s->seg[X86_SS].attr != ss || s->cr0 != cr0 || s->efer != efer ||
		     ((s->rflags ^ rflags) & (FLAG_VM | FLAG_AC));
	s->rip = vmread(VMCS_GUEST_RIP);
	s->rflags = rflags;
	s->gpr[X86_RSP] = vmread(VMCS_GUEST_RSP);
	v->cpu.lazy.op = 0;
	s->cr4 = guest_view(vmread(VMCS_GUEST_CR4), vmread(VMCS_CR4_SHADOW), x->cr4_mask);
	s->intr_shadow = get_shadow();
	s->pending_dbg = vmread(VMCS_GUEST_PENDING_DBG) & DBG_KNOWN;
	if (UNLIKELY(moved)) { /* all of it, once: what is derived follows from more than those */
		enum err e = vmx_get_state(v);
		x86_state_changed(&v->cpu);
		return e;
	}
	return ERR_OK;
}

enum err vmx_get_state(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	struct x86_state *s = &v->cpu.s;

	vmx_make_current(x);
	s->rip = vmread(VMCS_GUEST_RIP);
	s->rflags = vmread(VMCS_GUEST_RFLAGS);
	s->gpr[X86_RSP] = vmread(VMCS_GUEST_RSP);
	v->cpu.lazy.op = 0;
	get_segments(s);
	get_control_registers(x, s);
	get_msrs(s);
	s->dr7 = vmread(VMCS_GUEST_DR7);
	s->intr_shadow = get_shadow();
	s->pending_dbg = vmread(VMCS_GUEST_PENDING_DBG) & DBG_KNOWN;
	if (LIKELY(vmx_is_resident(x))) {
		vmx_hand_registers_save(v);
		vmx_fxsave(s->fxsave);
	}
	return ERR_OK;
}

/* --- Into the VMCS ----------------------------------------------------------------------------------------------- */

static void set_segment(const struct x86_seg *s, unsigned n)
{
	vmwrite(VMCS_GUEST_ES_SEL + 2 * n, s->sel);
	vmwrite(VMCS_GUEST_ES_BASE + 2 * n, s->base);
	vmwrite(VMCS_GUEST_ES_LIMIT + 2 * n, s->limit);
	vmwrite(VMCS_GUEST_ES_AR + 2 * n, s->attr);
}

static void set_segments(const struct x86_state *s)
{
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		set_segment(&s->seg[n], n);
	set_segment(&s->ldtr, 6);
	set_segment(&s->tr, 7);
	vmwrite(VMCS_GUEST_GDTR_BASE, s->gdtr.base);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, s->gdtr.limit);
	vmwrite(VMCS_GUEST_IDTR_BASE, s->idtr.base);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, s->idtr.limit);
}

static void tell_hidden_bits(struct vmx_vcpu *x, uint64_t hidden)
{
	char line[160];

	if (x->hidden_bits_told)
		return;
	x->hidden_bits_told = true;
	fmt_snprintf(line, sizeof(line),
	    "vmx: the guest set CR4 bits %#llx, which this CPU lacks: they are kept in the read shadow and have no "
	    "effect",
	    (unsigned long long)hidden);
	x->v->vm->cfg.host->log(LOG_WARN, line);
}

static bool put_changed(uint32_t field, uint64_t value)
{
	if (vmread(field) == value)
		return false;
	vmwrite(field, value);
	return true;
}

static void set_control_registers(struct vmx_vcpu *x, const struct x86_state *s)
{
	const struct vmx_caps *caps = vmx_caps();
	uint64_t must0 = caps->cr0_must & ~(uint64_t)(CR0_PE | CR0_PG); /* unrestricted guest: those two are free */
	uint64_t hidden = s->cr4 & ~caps->cr4_may;

	if (hidden)
		tell_hidden_bits(x, hidden);
	/* VM entry with a VPID keeps cached translations: after the VMM's own change they are not the guest's any more.
	 */
	x->tlb_stale |= put_changed(VMCS_GUEST_CR0, (s->cr0 & caps->cr0_may) | must0);
	x->tlb_stale |= put_changed(VMCS_GUEST_CR3, s->cr3);
	x->tlb_stale |= put_changed(VMCS_GUEST_CR4, (s->cr4 & caps->cr4_may) | caps->cr4_must);
	x->tlb_stale |= put_changed(VMCS_GUEST_EFER, s->efer);
	vmwrite(VMCS_CR0_SHADOW, s->cr0);
	/* The real CR0.NE is always set: what would be FERR# is an #MF, which is the VMM's then (core/ferr.c). */
	vmwrite(VMCS_EXCEPTION_BITMAP, x->v->vm->controls.exceptions | (s->cr0 & CR0_NE ? 0 : 1u << VEC_MF));
	vmwrite(VMCS_CR4_SHADOW, s->cr4);
	x->entry = (x->entry & ~ENTRY_IA32E) | (s->efer & EFER_LMA ? ENTRY_IA32E : 0);
	vmwrite(VMCS_ENTRY_CONTROLS, x->entry);
	if (x86_paging_mode(s) == X86_PAGING_PAE)
		for (unsigned n = 0; n < 4; n++)
			vmwrite(VMCS_GUEST_PDPTE0 + 2 * n, s->pdpte[n]);
}

static void set_msrs(const struct x86_state *s)
{
	vmwrite(VMCS_GUEST_SYSENTER_CS, s->sysenter_cs);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, s->sysenter_esp);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, s->sysenter_eip);
	vmwrite(VMCS_GUEST_PAT, s->pat);
	vmwrite(VMCS_GUEST_DEBUGCTL, s->debugctl);
}

static void set_events(const struct x86_state *s)
{
	uint64_t pending = s->pending_dbg;

	if (pending & DBG_BREAKPOINTS)
		pending |= DBG_ENABLED_BREAKPOINT;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, s->intr_shadow);
	vmwrite(VMCS_GUEST_PENDING_DBG, pending);
}

/* The executor may have changed FPU registers only where it ran an FPU instruction on device memory. */
static bool fpu_may_have_changed(const struct vcpu *v)
{
	return (v->dirty & DIRTY_FPU) || v->exit.reason == EXIT_EPT_VIOLATION;
}

enum err vmx_set_state(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	struct x86_state *s = &v->cpu.s;

	x86_flags_sync(&v->cpu);
	vmx_make_current(x);
	if (v->dirty & DIRTY_GPR) {
		vmwrite(VMCS_GUEST_RIP, s->rip);
		vmwrite(VMCS_GUEST_RFLAGS, s->rflags);
		vmwrite(VMCS_GUEST_RSP, s->gpr[X86_RSP]);
	}
	if (v->dirty & DIRTY_SREGS) {
		set_segments(s);
		set_control_registers(x, s);
	}
	if (v->dirty & (DIRTY_MSRS | DIRTY_SREGS))
		set_msrs(s);
	if (v->dirty & DIRTY_DEBUG)
		vmwrite(VMCS_GUEST_DR7, s->dr7);
	if (v->dirty & DIRTY_EVENTS)
		set_events(s);
	/* A vCPU that is not resident gets these when it becomes so. */
	if (vmx_is_resident(x)) {
		if (v->dirty & (DIRTY_MSRS | DIRTY_SREGS | DIRTY_DEBUG))
			vmx_hand_registers_load(v);
		if (fpu_may_have_changed(v))
			vmx_fxrstor(s->fxsave);
	}
	return ERR_OK;
}
