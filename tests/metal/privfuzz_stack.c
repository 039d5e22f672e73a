/* Rules for stacks, events, transfers and returns. */
#include "core/x86/segment.h"
#include "tests/metal/privfuzz_explain.h"

/* Nothing but the stack, which ours has left alone, and the accessed and dirty bits of its page. */
static bool only_stack(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	for (unsigned n = 0; n < PF_SIZE; n++) {
		unsigned at = PF_BASE + n, x = a->area[n] ^ b->area[n];

		if (x && at - PF_STACK < PAGE_SIZE_4K && (a->area[n] == k->area[n] || k->exceptions != UINT32_MAX))
			continue;
		if (x && (!(k->s.cr0 & CR0_PG) || at - PF_PT >= PAGE_SIZE_4K || (x & ~0x60u)))
			return false;
	}
	return true;
}

/* Also where the guest got the page fault: then it shows in CR2. */
static bool failed_to_push(const struct pf_case *k, const struct pf_result *b)
{
	if (pf_ept(b))
		return b->e.qual & QUAL_EPT_WRITE;
	return pf_is(b, VEC_SS) || (pf_is(b, VEC_PF) && (b->e.intr_error & 2)) ||
	       (!(k->exceptions & 1u << VEC_PF) && b->s.cr2 != k->s.cr2);
}

/* What IRET finds at the n-th place of the stack. */
static uint64_t popped(const struct pf_case *k, unsigned n, unsigned op)
{
	bool other = pf_has_prefix(k, op, 0x66);
	unsigned size = (k->size == 2) == other ? 4 : 2;
	uint64_t sp = k->s.gpr[X86_RSP], v = 0, at;

	if (k->mode != PF_LONG64)
		sp = k->s.seg[X86_SS].base + (k->s.seg[X86_SS].attr & SEG_DB ? (uint32_t)sp : (uint16_t)sp);
	at = sp + n * size - PF_BASE;
	if (at + size <= PF_SIZE)
		memcpy(&v, k->area + at, size);
	return v;
}

/* The descriptor that both refuse, by #GP and by #NP: not present, and of a kind that is #GP whether present or not. */
static int explain_not_present(const struct pf_case *k, unsigned sel)
{
	uint64_t d[2];

	if (!pf_desc_at(k, sel & 0xfffc, d) || (d[0] >> 47 & 1))
		return DIFFERENT;
	if ((d[0] >> 43 & 3) == 3 && (d[0] >> 53 & 3) == 3)
		return BOCHS_LD_ORDER;
	if (d[0] >> 44 & 1)
		return DIFFERENT;
	return (d[1] >> 40 & 0x1f) || (sel & 0xfff8) + 15 > (sel & 4 ? k->s.ldtr.limit : k->s.gdtr.limit)
		   ? BOCHS_GATE_TYPE
		   : DIFFERENT;
}

/* The gate of an event or of INT n, as it was before; zeros where there is none. */
static void gate_of(const struct pf_case *k, const struct pf_result *a, unsigned op, uint64_t gate[2])
{
	unsigned vector = k->s.pending_event ? k->s.pending_event & 0xff : k->code[op + 1], size = k->lma ? 16 : 8;
	uint64_t at;

	if (a->e.idt_info & INTR_INFO_VALID) /* the event that was being delivered */
		vector = a->e.idt_info & 0xff;
	at = k->s.idtr.base + vector * size - PF_BASE;
	gate[0] = gate[1] = 0;
	if (at + size <= PF_SIZE)
		memcpy(gate, k->area + at, size);
}

/* Does it lead beyond its segment, or to an address that is not canonical? */
static bool is_bad_target(const struct pf_case *k, const struct pf_result *a, unsigned op)
{
	uint64_t gate[2], d[2], offset, limit;

	gate_of(k, a, op, gate);
	offset = (uint16_t)gate[0] | gate[0] >> 48 << 16 | gate[1] << 32;
	if (k->lma)
		return (uint64_t)((int64_t)(offset << 16) >> 16) != offset;
	if (!(gate[0] >> 43 & 1))
		offset = (uint16_t)offset;
	if (!pf_desc_at(k, (unsigned)(gate[0] >> 16) & 0xffff, d))
		return false;
	limit = (d[0] & 0xffff) | (d[0] >> 32 & 0xf0000);
	return offset > (d[0] >> 55 & 1 ? limit << 12 | 0xfff : limit);
}

/* The selector that an event, INT n or a far CALL leads to; 0: none that is known. */
static unsigned target_of(const struct pf_case *k, const struct pf_result *a, unsigned op)
{
	uint64_t at = 0, d[2];
	unsigned sel = 0;
	struct x86_insn i;

	if (k->s.pending_event || k->code[op] == 0xcd) {
		gate_of(k, a, op, d);
		return (unsigned)(d[0] >> 16) & 0xffff;
	}
	if (!pf_decode(k, &i))
		return 0;
	at = pf_operand(k, &i) + i.opsize - PF_BASE;
	if (!(i.flags & INSN_MEM))
		sel = i.imm2;
	else if (at + 2 <= PF_SIZE)
		memcpy(&sel, k->area + at, 2);
	if (pf_desc_at(k, sel, d) && (d[0] >> 40 & 0x17) == 4) /* a call gate */
		sel = (unsigned)(d[0] >> 16) & 0xffff;
	return sel;
}

/* A call gate with parameters? */
static bool has_parameters(const struct pf_case *k)
{
	uint64_t at, d[2];
	unsigned sel = 0;
	struct x86_insn i;

	if (k->lma || !pf_decode(k, &i))
		return false;
	at = pf_operand(k, &i) + i.opsize - PF_BASE;
	if (!(i.flags & INSN_MEM))
		sel = i.imm2;
	else if (at + 2 <= PF_SIZE)
		memcpy(&sel, k->area + at, 2);
	return pf_desc_at(k, sel, d) && (d[0] >> 40 & 0x17) == 4 && (d[0] >> 32 & 0x1f);
}

/* Is the target conforming code of an inner ring? */
static bool is_conforming_target(const struct pf_case *k, const struct pf_result *a, unsigned op)
{
	uint64_t d[2];

	return pf_desc_at(k, target_of(k, a, op), d) && (d[0] >> 42 & 7) == 7 && (d[0] >> 45 & 3) < k->cpl;
}

/* A target beyond the limit, or not canonical. */
static bool is_target_fault(const struct pf_result *r)
{
	return pf_is(r, VEC_GP) && r->e.intr_error <= 1;
}

/* The write of an accessed bit met a page that is closed. */
static bool is_marking(const struct pf_case *k, const struct pf_result *r)
{
	uint64_t la = pf_ept(r) ? r->e.gla : r->e.qual, gdt = la - k->s.gdtr.base, ldt = la - k->s.ldtr.base;
	bool write = pf_ept(r) ? r->e.qual & QUAL_EPT_WRITE : pf_is(r, VEC_PF) && (r->e.intr_error & 2);

	return write && ((gdt <= k->s.gdtr.limit && gdt % 8 == 5) || (ldt <= k->s.ldtr.limit && ldt % 8 == 5));
}

/* A transfer to conforming code got beyond its frame. */
static bool has_pushed(const struct pf_case *k, const struct pf_result *r)
{
	return is_target_fault(r) || is_marking(k, r) || x86_is_conforming(r->s.seg[X86_CS].attr);
}

/* A frame for conforming code: pushed by b with the privilege of its DPL, on a page that is closed to the CPL. */
static int explain_conforming(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned op)
{
	if (!is_conforming_target(k, a, op))
		return DIFFERENT;
	if (pf_is(a, VEC_PF) && pf_is(b, VEC_PF) && (a->e.intr_error & 6) == 6 && a->e.qual == b->e.qual &&
	    (a->e.intr_error ^ b->e.intr_error) == 4) {
		b->e.intr_error = a->e.intr_error;
		return -BOCHS_CONFORMING;
	}
	/* b's push as a supervisor fails where the user's does not, or is not aligned */
	if (k->cpl == 3 && (pf_ept(b) ? b->e.qual & QUAL_EPT_WRITE : pf_is(b, VEC_PF) && (b->e.intr_error & 6) == 2) &&
	    b->s.rip == k->s.rip && (pf_is(a, VEC_AC) || has_pushed(k, a)))
		return BOCHS_CONFORMING;
	/* the user's fails where the supervisor's does not */
	if (!has_pushed(k, b))
		return DIFFERENT;
	if (pf_is(a, VEC_AC) || (pf_is(a, VEC_PF) && (a->e.intr_error & 7) == 7 && a->e.qual - PF_STACK < PAGE_SIZE_4K))
		return BOCHS_CONFORMING;
	return !(k->exceptions & 1u << VEC_PF) && a->s.cr2 != k->s.cr2 && a->s.cr2 - PF_STACK < PAGE_SIZE_4K
		   ? BOCHS_CONFORMING
		   : DIFFERENT;
}

static bool only_in_stack(const struct pf_result *a, const struct pf_result *b)
{
	for (unsigned n = 0; n < PF_SIZE; n++)
		if (a->area[n] != b->area[n] && PF_BASE + n - PF_STACK >= PAGE_SIZE_4K)
			return false;
	return true;
}

/* A parameter on the old stack cannot be read. */
static bool is_unread(const struct pf_case *k, const struct pf_result *r)
{
	uint64_t sp = k->s.gpr[X86_RSP];

	sp = k->s.seg[X86_SS].base + (k->s.seg[X86_SS].attr & SEG_DB ? (uint32_t)sp : (uint16_t)sp);
	return pf_met_at(r, sp, 128) || (pf_is(r, VEC_SS) && !r->e.intr_error) ||
	       (pf_is(r, VEC_AC) && k->cpl == 3 && (sp & 3));
}

/* Parameters of a call gate that cannot be read: which of them is told, and what has been pushed before. */
static bool is_parameter(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	if (!has_parameters(k) || !pf_same_state(a, b))
		return false;
	/* on a new stack that overlaps the old one */
	if (a->e.reason == b->e.reason && a->e.intr_info == b->e.intr_info && only_in_stack(a, b))
		return true;
	return is_unread(k, a) && (failed_to_push(k, b) || (is_unread(k, b) && only_stack(k, a, b)));
}

static int explain_event(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned op)
{
	int why = explain_conforming(k, a, b, op);

	if (why)
		return why;
	if (is_target_fault(a) && failed_to_push(k, b) && is_bad_target(k, a, op))
		return BOCHS_PUSHED;
	if (!(k->exceptions & 1u << VEC_PF) && a->s.cr2 == k->s.cr2 && b->s.cr2 != k->s.cr2 &&
	    a->e.reason == b->e.reason && (pf_is(a, VEC_DF) || a->e.reason == EXIT_TRIPLE_FAULT)) {
		b->s.cr2 = a->s.cr2; /* the page fault of the push became part of the double fault */
		return -BOCHS_PUSHED;
	}
	if (pf_same_fault(a, b) && only_stack(k, a, b) && !pf_equal(a->area, b->area, PF_SIZE))
		return BOCHS_PUSHED;
	if (k->mode == PF_V86 && pf_is(a, VEC_GP) && (a->e.intr_error & ~7u) && (a->e.idt_info & INTR_INFO_VALID) &&
	    pf_is(b, VEC_TS) && (b->e.intr_error & ~7u) == (k->s.tr.sel & ~7u))
		return BOCHS_V86_DPL;
	return DIFFERENT;
}

static int explain_int_n(const struct pf_case *k, const struct pf_result *a, struct pf_result *b)
{
	if (k->mode == PF_V86 && pf_is(a, VEC_GP) && pf_is(b, VEC_GP) && !(a->e.idt_info & INTR_INFO_VALID) &&
	    (b->e.idt_info & INTR_INFO_VALID) && (k->s.rflags >> 12 & 3) < 3) {
		b->e.idt_info = a->e.idt_info;
		b->e.idt_error = a->e.idt_error;
		b->e.insn_len = a->e.insn_len;
		return -BOCHS_INT_V86;
	}
	if ((k->s.intr_shadow & INTR_SHADOW_MOVSS) && k->s.pending_dbg == 0x4000 && pf_is(a, VEC_DB) &&
	    a->e.qual == 0x4000 && !pf_is(b, VEC_DB))
		return BOCHS_INT_SHADOW;
	return DIFFERENT;
}

static int explain_iret(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned op)
{
	uint64_t d[2], at, its = b->s.gpr[X86_RSP];
	uint16_t sel;
	bool marked;

	if (pf_is(a, VEC_SS) && pf_is(b, VEC_NP) && a->e.intr_error == b->e.intr_error && pf_same_end(a, b))
		return BOCHS_IRET_NP;
	if (k->mode <= PF_PROT32 && pf_is(a, VEC_GP) && !a->e.intr_error && (b->s.rflags & FLAG_VM) &&
	    popped(k, 0, op) > 0xffff)
		return BOCHS_IRET_V86;
	if (k->mode != PF_LONG64 || pf_has_rex_w(k, op) || (popped(k, 1, op) & 3) != k->cpl)
		return DIFFERENT;
	sel = (uint16_t)popped(k, 4, op);
	if (a->s.rip == k->s.rip) { /* it faulted: by what b does not pop? */
		uint64_t sp = k->s.gpr[X86_RSP], size = pf_has_prefix(k, op, 0x66) ? 2 : 4;

		return ((pf_is(a, VEC_GP) || pf_is(a, VEC_SS) || pf_is(a, VEC_NP)) &&
			   (a->e.intr_error & 0xfffc) == (sel & 0xfffcu)) ||
			       (pf_desc_at(k, sel, d) &&
				   pf_met_at(a, (sel & 4 ? k->s.ldtr.base : k->s.gdtr.base) + (sel & 0xfff8), 8)) ||
			       pf_is(a, VEC_AC) || pf_met_at(a, sp + 3 * size, 2 * (unsigned)size)
			   ? BOCHS_IRET64
			   : DIFFERENT;
	}
	if (a->s.gpr[X86_RSP] != popped(k, 3, op) || a->s.seg[X86_SS].sel != sel)
		return DIFFERENT;
	at = (sel & 4 ? k->s.ldtr.base : k->s.gdtr.base) + (sel & 0xfff8) + 5 - PF_BASE;
	marked = (sel & 0xfffc) && pf_desc_at(k, sel, d) && !(b->area[at] & 1);
	if (!marked && its == a->s.gpr[X86_RSP] && sel == b->s.seg[X86_SS].sel)
		return DIFFERENT;
	if (marked) { /* accessed, and the page is dirty */
		uint64_t entry = PF_PT - PF_BASE + 8 * ((at + PF_BASE) >> PAGE_SHIFT_4K & 511);

		b->area[at] |= 1;
		b->area[entry] |= a->area[entry] & 0x40;
	}
	b->s.gpr[X86_RSP] = a->s.gpr[X86_RSP];
	b->s.seg[X86_SS] = a->s.seg[X86_SS];
	return -BOCHS_IRET64;
}

static int explain_return(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	if (k->lma && pf_is(a, VEC_GP) && !a->e.intr_error && (b->s.seg[X86_SS].attr & SEG_UNUSABLE) &&
	    (b->s.seg[X86_CS].attr & SEG_L) && (b->s.seg[X86_SS].sel ^ b->s.seg[X86_CS].sel) & 3)
		return BOCHS_NULL_SS;
	return k->mode < PF_PROT16 && pf_other_address(a, b) ? BOCHS_ORDER : DIFFERENT;
}

/* SP is 0 on a stack of 16 bits: the two pushes go on at the top. */
static bool is_sp0(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	uint16_t sp = (uint16_t)a->s.gpr[X86_RSP];
	bool done = pf_is(a, VEC_BP) && (sp == 0xfffc || sp == 0xfff8);

	return k->mode != PF_LONG64 && !(k->s.seg[X86_SS].attr & SEG_DB) && !(uint16_t)k->s.gpr[X86_RSP] &&
	       pf_is(b, VEC_SS) && (done || pf_met_at(a, k->s.seg[X86_SS].base + 0xfff8, 8));
}

/* A return whose frame goes across the end of a stack of 16 bits. */
static bool is_top(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	return k->mode != PF_LONG64 && !(k->s.seg[X86_SS].attr & SEG_DB) && (uint16_t)k->s.gpr[X86_RSP] > 0xffec &&
	       pf_is(b, VEC_SS) && !b->e.intr_error && !pf_is(a, VEC_SS);
}

/* Nothing but accessed bits in the page table. */
bool pf_only_accessed(const struct pf_result *a, const struct pf_result *b)
{
	for (unsigned n = 0; n < PF_SIZE; n++)
		if (a->area[n] != b->area[n] &&
		    ((a->area[n] ^ b->area[n]) != 0x20 || PF_BASE + n - PF_PT >= PAGE_SIZE_4K))
			return false;
	return true;
}

static bool is_popf_v86(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	return k->mode == PF_V86 && pf_is(a, VEC_GP) && !a->e.intr_error && (k->s.rflags >> 12 & 3) < 3 &&
	       (pf_is(b, VEC_SS) || pf_is(b, VEC_PF) || pf_is(b, VEC_AC) || pf_is(b, VEC_GP) || pf_ept(b)) &&
	       pf_same_state(a, b) && pf_only_accessed(a, b);
}

/* Both were to make a descriptor accessed, in a page that is closed: b has loaded CS and more before that of SS. */
static int explain_accessed(const struct pf_case *k, const struct pf_result *a, struct pf_result *b)
{
	struct pf_result before = *a, changed = *b;

	before.s.seg[X86_CS] = k->s.seg[X86_CS];
	before.s.seg[X86_SS] = k->s.seg[X86_SS];
	if (!is_marking(k, a) || a->e.reason != b->e.reason || a->e.intr_error != b->e.intr_error ||
	    !pf_met_at(b, pf_ept(a) ? a->e.gla : a->e.qual, 1) || a->s.rip != k->s.rip ||
	    !pf_same_state(a, &before)) /* ours has changed nothing */
		return DIFFERENT;
	b->s.seg[X86_CS] = a->s.seg[X86_CS];
	b->s.seg[X86_SS] = a->s.seg[X86_SS];
	b->s.rflags = a->s.rflags;
	b->s.gpr[X86_RSP] = a->s.gpr[X86_RSP];
	return pf_same_state(b, &changed) ? DIFFERENT : -BOCHS_ACCESSED;
}

int pf_explain_stack(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned op)
{
	unsigned opcode = k->code[op], modrm = k->code[op + 1] >> 3 & 7;
	bool far_call = opcode == 0x9a || (opcode == 0xff && modrm == 3), event = k->s.pending_event || opcode == 0xcd;
	bool ret = opcode == 0xca || opcode == 0xcb || opcode == 0xcf;
	uint64_t mine = a->s.gpr[X86_RSP], its = b->s.gpr[X86_RSP];
	int why = DIFFERENT;

	if (k->lma && pf_is(a, VEC_GP) && pf_is(b, VEC_NP) && a->e.intr_error == b->e.intr_error)
		return explain_not_present(k, a->e.intr_error);
	if (far_call ? is_sp0(k, a, b) : ret && is_top(k, a, b))
		return BOCHS_SP0;
	if (opcode == 0x9d && is_popf_v86(k, a, b))
		return BOCHS_POPF_V86;
	if ((far_call || event) && !k->lma && mine != its && !((mine ^ its) & ~0xffff0000ull) &&
	    !(b->s.seg[X86_SS].attr & SEG_DB)) {
		b->s.gpr[X86_RSP] = mine;
		return -BOCHS_ESP16;
	}
	if ((far_call || event) && k->lma && pf_is(a, VEC_SS) && pf_is(b, VEC_SS) && !(a->e.intr_error & 0xfffc) &&
	    (b->e.intr_error & 0xfffc) == (k->s.seg[X86_SS].sel & 0xfffcu) && a->e.intr_error != b->e.intr_error) {
		b->e.intr_error = a->e.intr_error;
		return -BOCHS_SS_ERROR;
	}
	if (event && k->lma && a->e.idt_info == b->e.idt_info && (uint8_t)a->e.idt_info == VEC_SS &&
	    !(a->e.idt_error & 0xfffc) && (b->e.idt_error & 0xfffc) == (k->s.seg[X86_SS].sel & 0xfffcu) &&
	    a->e.idt_error != b->e.idt_error) {
		b->e.idt_error = a->e.idt_error;
		return -BOCHS_SS_ERROR;
	}
	/* RSP itself is not canonical, all that is pushed below it is */
	if ((far_call || event) && k->lma && pf_is(a, VEC_PF) && a->e.qual == 0x800000000000 - 8 && pf_is(b, VEC_SS) &&
	    (b->e.intr_error & 0xfffc) == (k->s.seg[X86_SS].sel & 0xfffcu) && pf_same_end(a, b))
		return BOCHS_RSP_EDGE;
	if (far_call || event || ret)
		why = explain_accessed(k, a, b);
	if (why)
		return why;
	if (event)
		why = explain_event(k, a, b, op);
	else if (far_call)
		why = is_parameter(k, a, b) ? BOCHS_PARAMS : explain_conforming(k, a, b, op);
	if (!why && opcode == 0xcd)
		why = explain_int_n(k, a, b);
	if (!why && opcode == 0xcf)
		why = explain_iret(k, a, b, op);
	return why || !ret ? why : explain_return(k, a, b);
}
