/*
 * Power-on and INIT state [SDM 3A "Processor State After Reset"]. Concept: a processor starts in real mode at
 * FFFFFFF0H, which real mode cannot address: the base of CS is loaded with FFFF0000H behind its selector's back.
 */
#include "core/x86/paging.h"

#define SIGNATURE 0x000706a1u /* as CPUID leaf 1 says: EDX after reset */
#define PAT_RESET 0x0007040600070406ull
/* Bootstrap processor, local APIC enabled. KVM derives the CPUID bit from this one. */
#define APIC_BASE_RESET 0xfee00900ull
#define FCW_RESET 0x40u
#define FCW_AT 0u
#define FTW_AT 4u
#define MXCSR_RESET 0x1f80u
#define MXCSR_AT 24u
#define MXCSR_MASK 0xffffu

static void core_registers(struct x86_state *s, uint64_t cd_nw)
{
	memset(s->gpr, 0, sizeof s->gpr);
	s->gpr[X86_RDX] = SIGNATURE;
	s->rip = 0xfff0;
	s->rflags = FLAG_R1;
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		s->seg[n] = (struct x86_seg){.limit = 0xffff, .attr = 0x93};
	s->seg[X86_CS] = (struct x86_seg){.base = 0xffff0000u, .limit = 0xffff, .attr = 0x9b, .sel = 0xf000};
	s->ldtr = (struct x86_seg){.limit = 0xffff, .attr = 0x82};
	s->tr = (struct x86_seg){.limit = 0xffff, .attr = 0x8b};
	s->gdtr = s->idtr = (struct x86_dtable){.limit = 0xffff};
	s->cr0 = CR0_ET | cd_nw;
	s->cr2 = s->cr3 = s->cr4 = s->cr8 = s->efer = 0;
	memset(s->dr, 0, sizeof s->dr);
	memset(s->pdpte, 0, sizeof s->pdpte);
	s->dr6 = 0xffff0ff0u;
	s->dr7 = 0x400;
	s->intr_shadow = s->pending_event = s->pending_error = s->pending_len = 0;
	s->pending_dbg = 0;
}

static void forget(struct x86_cpu *c)
{
	memset(&c->lazy, 0, sizeof c->lazy);
	memset(&c->dbg, 0, sizeof c->dbg);
	c->ext = 0;
	c->vectoring_valid = false;
	c->stop_reason[0] = 0;
	x86_tlb_flush(c);
	x86_paging_settled(c);
	x86_state_changed(c);
}

void x86_reset(struct x86_cpu *c)
{
	struct x86_state *s = &c->s;

	memset(s, 0, sizeof *s);
	c->ferr = false;
	s->version = X86_STATE_VERSION;
	s->size = sizeof *s;
	core_registers(s, CR0_CD | CR0_NW);
	s->pat = PAT_RESET;
	s->apic_base = APIC_BASE_RESET;
	s->misc_enable = 1; /* fast strings */
	s->xcr0 = 1;
	x86_put(s->fxsave + FCW_AT, 2, FCW_RESET);
	x86_put(s->fxsave + FTW_AT, 1, 0xff); /* all in use: the full tag word is 5555H */
	x86_put(s->fxsave + MXCSR_AT, 4, MXCSR_RESET);
	x86_put(s->fxsave + MXCSR_AT + 4, 4, MXCSR_MASK);
	forget(c);
}

/* INIT keeps caches, floating point, and the MSRs. */
void x86_init_signal(struct x86_cpu *c)
{
	core_registers(&c->s, c->s.cr0 & (CR0_CD | CR0_NW));
	forget(c);
}
