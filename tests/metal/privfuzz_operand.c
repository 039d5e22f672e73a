/* Rules for operands in memory: which part is looked at first, and what needs to be writable. */
#include "tests/metal/privfuzz_explain.h"

/* The other part of the same operand: whether it is written, by whom and for what is the same. Of two pages one may be
 * absent and the other one closed. At the same address only the page of the part that was read before is accessed. */
bool pf_other_address(const struct pf_result *a, const struct pf_result *b)
{
	uint64_t d = pf_ept(a) ? a->e.gla - b->e.gla : a->e.qual - b->e.qual;
	bool faults = pf_is(a, VEC_PF) && pf_is(b, VEC_PF), alike;

	if (a->e.reason != b->e.reason || d + 16 > 32 || !(pf_ept(a) || faults) || !pf_same_state(a, b))
		return false;
	if (pf_ept(a))
		alike = !((a->e.qual ^ b->e.qual) & (d ? QUAL_EPT_WRITE | QUAL_EPT_FETCH : UINT64_MAX));
	else
		alike = !((a->e.intr_error ^ b->e.intr_error) & (d ? 0x16u : UINT32_MAX));
	return alike && (d || pf_only_accessed(a, b));
}

bool pf_decode(const struct pf_case *k, struct x86_insn *i)
{
	enum x86_mode mode = k->mode == PF_REAL	    ? X86_MODE_REAL
			     : k->mode == PF_V86    ? X86_MODE_V86
			     : k->mode == PF_LONG64 ? X86_MODE_LONG64
			     : k->lma		    ? X86_MODE_COMPAT
						    : X86_MODE_PROT;

	return x86_decode(k->code, k->len, k->size, mode, i) == DECODE_OK;
}

static uint64_t linear(const struct pf_case *k, const struct x86_insn *i, unsigned sreg, uint64_t offset)
{
	offset = i->addrsize == 2 ? (uint16_t)offset : i->addrsize == 4 ? (uint32_t)offset : offset;
	if (k->mode == PF_LONG64)
		return sreg < X86_FS ? offset : offset + k->s.seg[sreg].base;
	return (uint32_t)(offset + k->s.seg[sreg].base);
}

/* What is at bytes behind the start of the operand, going on at the other end of the address size. */
static uint64_t operand_part(const struct pf_case *k, const struct x86_insn *i, unsigned at)
{
	uint64_t offset = (uint64_t)(int64_t)i->disp + at;

	if (i->base != INSN_NO_REG)
		offset += k->s.gpr[i->base];
	else if (i->flags & INSN_RIP_REL)
		offset += k->s.rip + i->len;
	if (i->index != INSN_NO_REG)
		offset += k->s.gpr[i->index] << i->scale;
	return linear(k, i, i->seg, offset);
}

uint64_t pf_operand(const struct pf_case *k, const struct x86_insn *i)
{
	return operand_part(k, i, 0);
}

uint64_t pf_string_operand(const struct pf_case *k, const struct x86_insn *i, unsigned sreg, unsigned reg)
{
	return linear(k, i, sreg, k->s.gpr[reg]);
}

/* Nothing but dirty bits in the page table. */
static bool only_dirty(const struct pf_result *a, const struct pf_result *b)
{
	for (unsigned n = 0; n < PF_SIZE; n++)
		if (((a->area[n] ^ b->area[n]) & ~0x40u) || (a->area[n] != b->area[n] && PF_BASE + n - PF_PT >= 0x1000))
			return false;
	return true;
}

/*
 * ARPL writes only if the RPL is raised (ZF is 1 then). b wanted to write all the same: what it met is a write's fault
 * where a has a read's, a later one or none; or the page is dirty.
 */
static bool is_arpl(
    const struct pf_case *k, const struct x86_insn *i, const struct pf_result *a, const struct pf_result *b)
{
	bool a_done = a->s.rip == k->s.rip + i->len || pf_is(a, VEC_DB);

	if (i->id != INSN_ARPL || !(i->flags & INSN_MEM) || (a_done && (a->s.rflags & FLAG_ZF)))
		return false;
	if (a->e.reason == b->e.reason && a->e.intr_info == b->e.intr_info && a->e.qual == b->e.qual && a_done)
		return pf_same_state(a, b) && only_dirty(a, b);
	if (pf_is(b, VEC_GP) && !b->e.intr_error)
		return !(k->s.seg[i->seg].attr & 2) || (k->s.seg[i->seg].attr & 8);
	if (!pf_met_at(b, pf_operand(k, i), 2) || !(pf_ept(b) ? b->e.qual & QUAL_EPT_WRITE : b->e.intr_error & 2))
		return false;
	if (a_done || pf_is(a, VEC_AC))
		return true;
	return pf_met_at(a, pf_operand(k, i), 2) && !(pf_ept(a) ? a->e.qual & QUAL_EPT_WRITE : a->e.intr_error & 2);
}

/* By the limit or the kind of a data segment, or by alignment. */
static bool is_segment_fault(const struct pf_result *r)
{
	return (pf_is(r, VEC_GP) || pf_is(r, VEC_SS) || pf_is(r, VEC_AC)) && !r->e.intr_error;
}

/* LDS to LSS: ours reads the offset and then the selector, b the selector first; one of the two cannot be read. */
static bool is_pointer_order(
    const struct pf_case *k, const struct x86_insn *i, const struct pf_result *a, const struct pf_result *b)
{
	uint64_t sel = operand_part(k, i, i->opsize);
	bool b_sel = pf_met_at(b, sel, 2) || is_segment_fault(b), a_sel = pf_met_at(a, sel, 2) || is_segment_fault(a);

	return pf_same_state(a, b) && pf_only_accessed(a, b) && b_sel &&
	       (a_sel || pf_met_at(a, pf_operand(k, i), i->opsize));
}

static bool is_far_load(const struct x86_insn *i)
{
	return i->id == INSN_LDS || i->id == INSN_LES || i->id == INSN_LFS || i->id == INSN_LGS || i->id == INSN_LSS;
}

static int explain_string(
    const struct pf_case *k, const struct x86_insn *i, const struct pf_result *a, struct pf_result *b)
{
	const uint64_t arithmetic = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF;

	if (i->id == INSN_CMPS && (pf_met_at(a, pf_string_operand(k, i, X86_ES, X86_RDI), 8) || is_segment_fault(a)) &&
	    (pf_met_at(b, pf_string_operand(k, i, i->seg, X86_RSI), 8) || is_segment_fault(b)) && pf_same_state(a, b))
		return BOCHS_CMPS;
	if (i->id == INSN_CMPS && a->e.intr_info == b->e.intr_info && a->e.qual == b->e.qual && pf_same_state(a, b) &&
	    pf_only_accessed(a, b))
		return BOCHS_CMPS;
	if ((i->flags & (INSN_REP | INSN_REPNE)) && a->s.rip == k->s.rip && b->s.rip == k->s.rip &&
	    !((a->s.rflags ^ k->s.rflags) & arithmetic) && ((a->s.rflags ^ b->s.rflags) & arithmetic)) {
		b->s.rflags = (b->s.rflags & ~arithmetic) | (a->s.rflags & arithmetic);
		return -BOCHS_REP_FLAGS;
	}
	return DIFFERENT;
}

/* Ours has used the page of what is not aligned, b has not: accessed bits. */
static bool has_walked(const struct pf_result *a, const struct pf_result *b)
{
	for (unsigned n = PF_PT - PF_BASE; n < PF_PT - PF_BASE + PAGE_SIZE_4K; n++)
		if (b->area[n] & ~a->area[n])
			return false;
	return pf_only_accessed(a, b);
}

int pf_explain_operand(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned opcode)
{
	struct x86_insn i;

	if (!pf_decode(k, &i))
		return DIFFERENT;
	if (opcode == 0x63 && k->mode != PF_LONG64 && is_arpl(k, &i, a, b))
		return BOCHS_ARPL;
	if (i.id == INSN_BOUND && pf_is(a, VEC_BR) && !pf_is(b, VEC_BR) && pf_same_state(a, b))
		return BOCHS_BOUND;
	if (opcode == 0xa6 || opcode == 0xa7 || opcode == 0xae || opcode == 0xaf)
		return explain_string(k, &i, a, b);
	if (is_far_load(&i) && is_pointer_order(k, &i, a, b))
		return BOCHS_ORDER;
	if (k->cpl == 3 && (k->s.cr0 & CR0_AM) && (k->s.rflags & FLAG_AC) && pf_is(b, VEC_AC) && pf_same_state(a, b) &&
	    (pf_is(a, VEC_PF) || pf_ept(a) || (pf_is(a, VEC_AC) && a->e.idt_info == b->e.idt_info && has_walked(a, b))))
		return BOCHS_AC_FIRST;
	return DIFFERENT;
}
