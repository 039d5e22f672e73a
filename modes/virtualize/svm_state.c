/*
 * The guest's registers, between struct x86_state and the control block. Concept: most of a guest's state is data in
 * the VMCB; what VMRUN does not switch (debug addresses, floating point) is in the processor itself while the guest
 * owns it, and svm.c moves it when another guest gets the processor.
 *
 * Read before: vmcb.h, core/x86/state.h. Read after: svm.c.
 */
#include "core/x86/event.h"
#include "core/lib.h"
#include "core/x86/paging.h"
#include "modes/virtualize/svm_priv.h"

#define EFER_SVME (1ull << 12)
#define SVM_SEG_TYPE 0xffu  /* type, S, DPL, P are where a descriptor has them */
#define SVM_SEG_HIGH 0xf00u /* AVL, L, D/B, G: four bits lower than in a descriptor */

/* What both have in the same form, by its name here and in the state-save area. */
#define SAME_FIELDS(F)                    \
	F(gpr[X86_RAX], rax)              \
	F(gpr[X86_RSP], rsp)              \
	F(rip, rip)                       \
	F(rflags, rflags)                 \
	F(cr0, cr0)                       \
	F(cr2, cr2)                       \
	F(cr3, cr3)                       \
	F(dr6, dr6)                       \
	F(dr7, dr7)                       \
	F(star, star)                     \
	F(lstar, lstar)                   \
	F(cstar, cstar)                   \
	F(fmask, sfmask)                  \
	F(kernel_gs_base, kernel_gs_base) \
	F(sysenter_cs, sysenter_cs)       \
	F(sysenter_esp, sysenter_esp)     \
	F(sysenter_eip, sysenter_eip)     \
	F(pat, g_pat)

/* --- Segments ---------------------------------------------------------------------------------------------------- */

static struct vmcb_seg seg_to(const struct x86_seg *s)
{
	struct vmcb_seg t = {.sel = s->sel, .limit = s->limit, .base = s->base};

	/* There is no "unusable" here: a segment that may not be used is not present. */
	t.attr = (uint16_t)((s->attr & SVM_SEG_TYPE) | (s->attr >> 4 & SVM_SEG_HIGH));
	if (s->attr & SEG_UNUSABLE)
		t.attr &= (uint16_t)~SEG_P;
	return t;
}

static struct x86_seg seg_from(const struct vmcb_seg *t)
{
	struct x86_seg s = {.base = t->base, .limit = t->limit, .sel = t->sel};

	s.attr = (t->attr & SVM_SEG_TYPE) | (uint32_t)(t->attr & SVM_SEG_HIGH) << 4;
	if (!(t->attr & SEG_P))
		s.attr |= SEG_UNUSABLE;
	return s;
}

/* In the VMCB's own order: ES CS SS DS FS GS, as in enum x86_sreg. */
static const struct vmcb_seg *seg_in(const struct vmcb *b, unsigned n)
{
	const struct vmcb_seg *const segs[X86_SREG_COUNT] = {
	    [X86_ES] = &b->s.es,
	    [X86_CS] = &b->s.cs,
	    [X86_SS] = &b->s.ss,
	    [X86_DS] = &b->s.ds,
	    [X86_FS] = &b->s.fs,
	    [X86_GS] = &b->s.gs,
	};

	return segs[n];
}

static void sregs_from(struct x86_state *s, const struct vmcb *b, uint64_t cr4_hidden)
{
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		s->seg[n] = seg_from(seg_in(b, n));
	/* The VMCB has the privilege level in a field of its own; here it is the DPL of SS. */
	s->seg[X86_SS].attr = (s->seg[X86_SS].attr & ~SEG_DPL) | (uint32_t)b->s.cpl << SEG_DPL_SHIFT;
	s->ldtr = seg_from(&b->s.ldtr);
	s->tr = seg_from(&b->s.tr);
	s->tr.attr |= 2; /* loaded means busy, also where the processor keeps it as it was read */
	s->gdtr = (struct x86_dtable){.base = b->s.gdtr.base, .limit = b->s.gdtr.limit};
	s->idtr = (struct x86_dtable){.base = b->s.idtr.base, .limit = b->s.idtr.limit};
	s->cr4 = b->s.cr4 | cr4_hidden;
	s->cr8 = b->c.int_ctl & 0xf;
	/* LMA is what LME and PG make it. Bochs clears it before a MOV to CR0 that clears PG exits. */
	s->efer = b->s.efer & ~(EFER_SVME | EFER_LMA);
	if ((s->efer & EFER_LME) && (s->cr0 & CR0_PG))
		s->efer |= EFER_LMA;
}

static void sregs_to(const struct x86_state *s, struct vmcb *b, uint64_t cr4_known)
{
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		*(struct vmcb_seg *)(uintptr_t)seg_in(b, n) = seg_to(&s->seg[n]);
	b->s.cpl = (uint8_t)x86_cpl(s);
	b->s.ldtr = seg_to(&s->ldtr);
	b->s.tr = seg_to(&s->tr);
	b->s.gdtr = (struct vmcb_seg){.base = s->gdtr.base, .limit = s->gdtr.limit};
	b->s.idtr = (struct vmcb_seg){.base = s->idtr.base, .limit = s->idtr.limit};
	b->s.cr4 = s->cr4 & cr4_known;
	b->c.int_ctl = (b->c.int_ctl & ~SVM_V_TPR_MASK) | (s->cr8 & 0xf);
	b->s.efer = s->efer | EFER_SVME;
}

/* --- All of it --------------------------------------------------------------------------------------------------- */

void svm_state_from_vmcb(struct x86_state *s, const struct vmcb *b, uint64_t cr4_hidden)
{
#define F(ours, theirs) s->ours = b->s.theirs;
	SAME_FIELDS(F)
#undef F
	sregs_from(s, b, cr4_hidden);
	/* One bit for two causes: what blocked first does not matter any more. */
	s->intr_shadow &= INTR_SHADOW_NMI;
	s->intr_shadow |= b->c.int_state & SVM_SHADOW ? INTR_SHADOW_STI : 0;
}

void svm_state_to_vmcb(const struct x86_state *s, struct vmcb *b, uint64_t cr4_known)
{
#define F(ours, theirs) b->s.theirs = s->ours;
	SAME_FIELDS(F)
#undef F
	sregs_to(s, b, cr4_known);
	b->c.int_state = s->intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS) ? SVM_SHADOW : 0;
}

/* --- What VMRUN judges ------------------------------------------------------------------------------------------- */

#define OFFER_FIELDS(F)       \
	F(efer, s.efer)       \
	F(cr0, s.cr0)         \
	F(cr3, s.cr3)         \
	F(cr4, s.cr4)         \
	F(dr6, s.dr6)         \
	F(dr7, s.dr7)         \
	F(cs_attr, s.cs.attr) \
	F(event_inj, c.event_inj)

void svm_remember_offer(const struct vmcb *b, struct svm_offer *o)
{
#define F(ours, theirs) o->ours = b->theirs;
	OFFER_FIELDS(F)
#undef F
}

void svm_put_back_offer(struct vmcb *b, const struct svm_offer *o)
{
#define F(ours, theirs) b->theirs = o->ours;
	OFFER_FIELDS(F)
#undef F
}

/* --- mode_ops ---------------------------------------------------------------------------------------------------- */

/* AMD-V reads the page-directory pointers of PAE paging from memory at each walk; there is no register of them. */
static void read_pdptes(struct x86_cpu *c)
{
	uint64_t pdpte[4];

	if ((c->s.cr0 & CR0_PG) && (c->s.cr4 & CR4_PAE) && !(c->s.efer & EFER_LMA) &&
	    x86_read_pdptes(c, c->s.cr3, pdpte))
		memcpy(c->s.pdpte, pdpte, sizeof(pdpte));
}

enum err svm_get_state(struct vcpu *v)
{
	struct svm_vcpu *x = svm_vcpu(v);

	if (x->fresh)
		return ERR_OK;
	svm_state_from_vmcb(&v->cpu.s, x->vmcb, x->cr4_hidden);
	memset(&v->cpu.lazy, 0, sizeof(v->cpu.lazy));
	read_pdptes(&v->cpu);
	svm_resident_save(v);
	x->fresh = true;
	return ERR_OK;
}

/* Does what the VMM changed make cached translations wrong? */
static bool translations_moved(const struct x86_state *s, const struct vmcb *b)
{
	return s->cr0 != b->s.cr0 || s->cr3 != b->s.cr3 || s->cr4 != b->s.cr4 || (s->efer | EFER_SVME) != b->s.efer;
}

enum err svm_set_state(struct vcpu *v)
{
	struct svm_vcpu *x = svm_vcpu(v);
	const struct x86_state *s = &v->cpu.s;
	uint64_t known = svm_vm(v->vm)->cpu.cr4;

	x86_flags_sync(&v->cpu);
	x->flush |= translations_moved(s, x->vmcb);
	x->cr4_hidden = s->cr4 & ~known;
	svm_state_to_vmcb(s, x->vmcb, known);
	/* A read of CR4 must show what the guest wrote, also where this processor lacks the bit. */
	if (x->cr4_hidden)
		x->vmcb->c.cr_read |= 1u << 4;
	else
		x->vmcb->c.cr_read &= (uint16_t) ~(1u << 4);
	if (v->dirty & DIRTY_FPU)
		svm_resident_drop(v);
	x->fresh = true;
	return ERR_OK;
}

bool svm_interruptible(struct vcpu *v)
{
	const struct x86_state *s = &v->cpu.s;
	const struct vmcb *b = svm_vcpu(v)->vmcb;
	bool valid = v->state_valid || v->dirty;
	uint64_t rflags = valid ? s->rflags : b->s.rflags;
	bool shadow = valid ? s->intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS) : b->c.int_state & SVM_SHADOW;

	return (rflags & FLAG_IF) && !shadow && !s->pending_event && !s->pending_dbg;
}

/* Kept in the state until the entry, where it goes into EVENTINJ. CR2 and DR6 are in the VMCB. */
enum err svm_inject(struct vcpu *v, const struct x86_event *ev)
{
	struct x86_state *s = &v->cpu.s;
	struct vmcb *b = svm_vcpu(v)->vmcb;

	s->pending_event = INTR_INFO_VALID | (uint32_t)ev->type << INTR_INFO_TYPE_SHIFT | ev->vector |
			   (ev->has_error ? INTR_INFO_ERROR : 0);
	s->pending_error = ev->error;
	s->pending_len = ev->insn_len;
	if (ev->type == INTR_TYPE_HW_EXCEPTION && ev->vector == VEC_PF)
		b->s.cr2 = s->cr2 = ev->cr2;
	if (ev->type == INTR_TYPE_HW_EXCEPTION && ev->vector == VEC_DB) {
		b->s.dr6 = s->dr6 = x86_dr6_with(b->s.dr6, ev->dr6);
		b->s.dr7 = s->dr7 = b->s.dr7 & ~(uint64_t)(1u << 13); /* general detect */
	}
	return ERR_OK;
}
