/*
 * Why VMRUN refused: the rules of [APM 2 "Canonicalization and Consistency Checks"], one after the other, in words.
 * Concept: the processor answers every broken rule with the same exit code (-1); a VMM that explains it saves an
 * evening. Pure: a control block in, a sentence out.
 *
 * Read before: vmcb.h.
 */
#include "core/lib.h"
#include "core/x86/state.h"
#include "modes/virtualize/svm_priv.h"

#define EFER_SVME (1ull << 12)
#define EFER_KNOWN 0xfd01ull /* SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR, TCE */
#define CR3_RESERVED 0xfff0000000000000ull
#define CR4_RESERVED 0xffffffffff08e000ull /* above CET; key locker, VMXE, SMXE */
#define PHYS_LIMIT (1ull << 52)
#define PAT_TYPES 0xf3u /* UC WC WT WP WB UC-: the values 0, 1, 4 to 7 */

struct finding {
	char *text;
	size_t n;
};

static bool broken(struct finding *f, bool is_broken, const char *rule, const char *field, uint64_t value)
{
	if (is_broken)
		fmt_snprintf(f->text, f->n, "%s (%s is %#llx)", rule, field, (unsigned long long)value);
	return is_broken;
}

static bool registers(const struct vmcb_save *s, struct finding *f)
{
	return broken(f, !(s->efer & EFER_SVME), "EFER.SVME must be set", "EFER", s->efer) ||
	       broken(f, (s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD), "CR0.NW needs CR0.CD", "CR0", s->cr0) ||
	       broken(f, s->cr0 >> 32, "CR0 has no bits above 31", "CR0", s->cr0) ||
	       broken(f, s->cr3 & CR3_RESERVED, "a reserved bit of CR3 is set", "CR3", s->cr3) ||
	       broken(f, s->cr4 & CR4_RESERVED, "a reserved bit of CR4 is set", "CR4", s->cr4) ||
	       broken(f, s->dr6 >> 32, "DR6 has no bits above 31", "DR6", s->dr6) ||
	       broken(f, s->dr7 >> 32, "DR7 has no bits above 31", "DR7", s->dr7) ||
	       broken(f, s->efer & ~EFER_KNOWN, "a reserved bit of EFER is set", "EFER", s->efer);
}

static bool long_mode(const struct vmcb_save *s, struct finding *f)
{
	uint64_t l_and_d = 1u << 9 | 1u << 10;

	if (!(s->efer & EFER_LME) || !(s->cr0 & CR0_PG))
		return false;
	return broken(f, !(s->cr4 & CR4_PAE), "EFER.LME and CR0.PG need CR4.PAE", "CR4", s->cr4) ||
	       broken(f, !(s->cr0 & CR0_PE), "EFER.LME and CR0.PG need CR0.PE", "CR0", s->cr0) ||
	       broken(f, (s->cs.attr & l_and_d) == l_and_d, "CS.L and CS.D exclude each other", "CS attributes",
		   s->cs.attr);
}

static bool pat_is_valid(uint64_t pat)
{
	for (; pat; pat >>= 8)
		if ((pat & 0xff) > 7 || !(PAT_TYPES >> (pat & 0xff) & 1))
			return false;
	return true;
}

static bool controls(const struct vmcb *b, uint32_t n_asids, struct finding *f)
{
	const struct vmcb_control *c = &b->c;

	return broken(f, !(c->icpt[1] & SVM_ICPT2_VMRUN), "VMRUN must be intercepted", "second intercept vector",
		   c->icpt[1]) ||
	       broken(f, c->asid == 0, "ASID 0 is the host's", "ASID", c->asid) ||
	       broken(f, n_asids && c->asid >= n_asids, "the processor has fewer address spaces", "ASID", c->asid) ||
	       broken(f, c->iopm > PHYS_LIMIT - SVM_IOPM_SIZE, "the I/O permission map is outside memory",
		   "IOPM_BASE_PA", c->iopm) ||
	       broken(f, c->msrpm > PHYS_LIMIT - SVM_MSRPM_SIZE, "the MSR permission map is outside memory",
		   "MSRPM_BASE_PA", c->msrpm) ||
	       broken(f, (c->np_enable & SVM_NP_ENABLE) && (c->n_cr3 & CR3_RESERVED), "a reserved bit of nCR3 is set",
		   "N_CR3", c->n_cr3) ||
	       broken(f, (c->np_enable & SVM_NP_ENABLE) && !pat_is_valid(b->s.g_pat),
		   "G_PAT has an unknown memory type", "G_PAT", b->s.g_pat);
}

static bool event(const struct vmcb *b, struct finding *f)
{
	uint64_t inj = b->c.event_inj;
	unsigned type = inj >> SVM_EVENT_TYPE_SHIFT & 7, vector = inj & 0xff;
	bool is_exception = type == SVM_EVENT_EXCEPTION;
	bool bits64 = (b->s.efer & EFER_LMA) && (b->s.cs.attr & 1u << 9);

	if (!(inj & SVM_EVENT_VALID))
		return false;
	return broken(f, type == 1 || type > SVM_EVENT_SOFT_INT, "no such type of event", "EVENTINJ", inj) ||
	       broken(f, is_exception && (vector > 31 || vector == VEC_NMI), "an injected exception has no such vector",
		   "EVENTINJ", inj) ||
	       broken(f, is_exception && bits64 && (vector == VEC_OF || vector == VEC_BR),
		   "64-bit mode has no #OF and no #BR to inject", "EVENTINJ", inj);
}

bool svm_check_vmcb(const struct vmcb *b, uint32_t n_asids, char *text, size_t n)
{
	struct finding f = {text, n};

	return registers(&b->s, &f) || long_mode(&b->s, &f) || controls(b, n_asids, &f) || event(b, &f);
}
