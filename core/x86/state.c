/*
 * What follows from the architectural state: mode, sizes, privilege, which segments need no check; and the ways to
 * raise a fault, an exit or a stop. Concept: an emulator is fast when it derives once, at the rare change, what each
 * instruction would have to ask.
 */
#include "core/x86/paging.h"
#include "core/x86/segment.h"

unsigned x86_cpl(const struct x86_state *s)
{
	if (!(s->cr0 & CR0_PE))
		return 0;
	return s->rflags & FLAG_VM ? 3 : x86_dpl(s->seg[X86_SS].attr);
}

static enum x86_mode mode_of(const struct x86_state *s)
{
	if (!(s->cr0 & CR0_PE))
		return X86_MODE_REAL;
	if (s->efer & EFER_LMA)
		return s->seg[X86_CS].attr & SEG_L ? X86_MODE_LONG64 : X86_MODE_COMPAT;
	return s->rflags & FLAG_VM ? X86_MODE_V86 : X86_MODE_PROT;
}

/* Base 0, 4 GiB, usable: nothing left to check but the type. */
static bool is_flat(const struct x86_seg *s)
{
	return !(s->attr & SEG_UNUSABLE) && s->base == 0 && s->limit == UINT32_MAX &&
	       (x86_is_code(s->attr) || !(s->attr & 4));
}

static void derive_segments(struct x86_cpu *c)
{
	bool align = c->cpl == 3 && (c->s.rflags & FLAG_AC) && (c->s.cr0 & CR0_AM);

	c->flat_read = c->flat_write = 0;
	for (unsigned n = 0; n < X86_SREG_COUNT; n++) {
		const struct x86_seg *s = &c->s.seg[n];
		bool based = c->mode != X86_MODE_LONG64 || n == X86_FS || n == X86_GS;
		bool flat = c->mode == X86_MODE_LONG64 || is_flat(s);
		bool typed = c->mode == X86_MODE_PROT || c->mode == X86_MODE_COMPAT;
		bool code = x86_is_code(s->attr), rw = s->attr & 2;

		c->eff_base[n] = based ? s->base : 0;
		if (align || !flat)
			continue;
		if (!typed || !code || rw)
			c->flat_read |= (uint8_t)(1u << n);
		if (!typed || (!code && rw))
			c->flat_write |= (uint8_t)(1u << n);
	}
}

void x86_mode_changed(struct x86_cpu *c)
{
	c->mode = (uint8_t)mode_of(&c->s);
	c->cpl = (uint8_t)x86_cpl(&c->s);
	c->user = c->cpl == 3;
	if (c->mode == X86_MODE_LONG64) {
		c->code_size = c->stack_size = 8;
		c->ip_mask = UINT64_MAX;
	} else {
		c->code_size = c->s.seg[X86_CS].attr & SEG_DB ? 4 : 2;
		c->stack_size = c->s.seg[X86_SS].attr & SEG_DB ? 4 : 2;
		c->ip_mask = UINT32_MAX; /* EIP has 32 bits in 16-bit code too; the limit stops it */
	}
	derive_segments(c);
	c->block_end = true;
}

/* Enabled breakpoints and their addresses: pages with data breakpoints stay out of the TLB. */
static bool breakpoints_moved(const struct x86_state *s, const struct x86_tlb *t)
{
	const uint64_t counts = 0xffff00ffu; /* enable bits, kinds and lengths */

	if (!(s->dr7 & 0xff) && !(t->dr7 & 0xff))
		return false;
	return ((s->dr7 ^ t->dr7) & counts) || memcmp(t->dr, s->dr, sizeof t->dr) != 0;
}

static bool paging_moved(const struct x86_cpu *c)
{
	const struct x86_state *s = &c->s;
	const struct x86_tlb *t = &c->tlb;

	return t->cr0 != (s->cr0 & (CR0_PE | CR0_PG | CR0_WP)) || t->cr3 != s->cr3 || t->cr4 != s->cr4 ||
	       t->efer != s->efer || memcmp(t->pdpte, s->pdpte, sizeof t->pdpte) != 0 || breakpoints_moved(s, t);
}

/* The TLB now belongs to the paging state as it is. */
void x86_paging_settled(struct x86_cpu *c)
{
	struct x86_tlb *t = &c->tlb;

	c->paging = (uint8_t)x86_paging_mode(&c->s);
	t->cr0 = c->s.cr0 & (CR0_PE | CR0_PG | CR0_WP);
	t->cr3 = c->s.cr3;
	t->cr4 = c->s.cr4;
	t->efer = c->s.efer;
	memcpy(t->pdpte, c->s.pdpte, sizeof t->pdpte);
	memcpy(t->dr, c->s.dr, sizeof t->dr);
	t->dr7 = c->s.dr7;
}

void x86_state_changed(struct x86_cpu *c)
{
	if (paging_moved(c) || !c->tlb.gen_tag) {
		x86_tlb_flush(c);
		x86_paging_settled(c);
	}
	x86_mode_changed(c);
}

void x86_set_controls(struct x86_cpu *c, const struct vm_controls *ctl)
{
	c->ctl = ctl;
}

enum x86_rc x86_fault(struct x86_cpu *c, uint8_t vector)
{
	c->fault = (struct x86_event){.vector = vector, .type = INTR_TYPE_HW_EXCEPTION};
	return X86_FAULT;
}

enum x86_rc x86_fault_ec(struct x86_cpu *c, uint8_t vector, uint32_t error)
{
	x86_fault(c, vector);
	c->fault.has_error = 1;
	c->fault.error = error | ((vector >= VEC_TS && vector <= VEC_GP) || vector == VEC_AC ? c->ext : 0);
	return X86_FAULT;
}

enum x86_rc x86_fault_pf(struct x86_cpu *c, gva_t gva, uint32_t error)
{
	x86_fault_ec(c, VEC_PF, error);
	c->fault.cr2 = gva;
	return X86_FAULT;
}

enum x86_rc x86_stop(struct x86_cpu *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(c->stop_reason, sizeof c->stop_reason, fmt, ap);
	va_end(ap);
	return X86_STOP;
}

enum x86_rc x86_exit(struct x86_cpu *c, uint32_t reason, uint64_t qual, unsigned insn_len)
{
	memset(c->exit, 0, sizeof *c->exit);
	c->exit->reason = reason;
	c->exit->qual = qual;
	c->exit->insn_len = insn_len;
	c->exit->rip = (c->s.rip - insn_len) & c->ip_mask;
	return X86_EXIT;
}
