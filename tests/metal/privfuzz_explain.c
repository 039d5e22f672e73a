/*
 * The differences that are known and explained: docs/PRIVILEGED.md. Each rule asks for the instruction, the state and
 * the difference that it explains. Where it can, it makes b's field what ours is, and the comparison goes on; where the
 * two have gone different ways from there, it ends the comparison.
 */
#include "core/x86/segment.h"
#include "tests/metal/privfuzz_explain.h"

static const char *const explanations[] = {
    [DIFFERENT] = "",
    [BOCHS_SMAP_AC] = "Bochs: RFLAGS.AC opens user pages to implicit supervisor accesses",
    [BOCHS_SHADOW] = "Bochs: an exit in the shadow of STI or MOV SS says that there is none",
    [BOCHS_IRET64] = "Bochs: IRET in 64-bit mode with 16 or 32 bits does not pop SS:RSP in the same ring",
    [BOCHS_IRET_V86] = "Bochs: IRET to virtual-8086 mode cuts EIP to 16 bits where it is beyond the limit",
    [BOCHS_SYSCALL_TF] = "Bochs: SYSCALL and SYSRET trap by TF as it was before them",
    [BOCHS_SYSCALL_SS] = "Bochs: SYSCALL clears the RPL of SS",
    [BOCHS_PENDING_BS] = "Bochs: an exit of a single-stepped instruction leaves BS pending",
    [BOCHS_INT_V86] = "Bochs: #GP of INT n by IOPL has IDT-vectoring information",
    [BOCHS_PUSHED] = "Bochs: an instruction that faults in its last check has pushed or stored already",
    [BOCHS_ORDER] = "Bochs: the second part of a far pointer or pseudo-descriptor is read first",
    [BOCHS_MOV_DR] = "Bochs: MOV DR without privilege is #UD or #DB before it is #GP",
    [BOCHS_GD_BS] = "Bochs: a general-detect fault of a single-stepped MOV DR has BS, too",
    [BOCHS_SS_DPL] = "Bochs: the DPL of a null SS is 0 whatever the CPL",
    [BOCHS_FMASK] = "Bochs: WRMSR of IA32_FMASK ignores reserved bits",
    [BOCHS_AC_V86] = "Bochs: no alignment check in virtual-8086 mode after a VM entry",
    [BOCHS_SS_ERROR] = "Bochs: #SS of an inner stack has the selector of the old one",
    [BOCHS_SYSRET_SS] = "Bochs: SYSRET leaves base and limit of SS as they were",
    [BOCHS_XSETBV] = "Bochs: XSETBV exits before its privilege is checked",
    [BOCHS_LAR_COMPAT] = "Bochs: LAR, LSL, LLDT and LTR in compatibility mode see 8 bytes of a system descriptor",
    [BOCHS_CONFORMING] = "Bochs: a frame for conforming code is pushed with the privilege of its DPL",
    [BOCHS_POP_SREG] = "Bochs: POP of a segment register in 64-bit mode reads 64 bits",
    [BOCHS_DB_MERGED] = "Bochs: a pending trap and an instruction breakpoint are one #DB",
    [BOCHS_POPF_V86] = "Bochs: POPF in virtual-8086 mode reads the stack before it looks at IOPL",
    [BOCHS_ESP16] = "Bochs: an inner stack of 16 bits gets SP, and not ESP, from the TSS",
    [BOCHS_IRET_NP] = "Bochs: IRET to a stack segment that is not present is #NP, not #SS",
    [BOCHS_SP0] =
	"Bochs: a far transfer across the end of a stack of 64 KiB is #SS instead of going on at the other end",
    [BOCHS_LD_ORDER] = "Bochs: code with L and D that is not present is #NP, not #GP",
    [LEFT_LONG64] = "leaving 64-bit mode: the upper half of RSP is undefined",
    [NO_PSE36] = "PSE-36, which our CPUID does not offer",
    [EPT_RMW] = "EPT violation of a read-modify-write: read and write, or write",
    [BOCHS_ARPL] = "Bochs: ARPL that changes nothing needs a writable operand",
    [BOCHS_CMPS] = "Bochs: CMPS reads DS:rSI first",
    [BOCHS_REP_FLAGS] = "Bochs: REP CMPS and REP SCAS change the flags in every iteration",
    [BOCHS_INT_SHADOW] = "Bochs: INT n in the shadow of MOV SS forgets a pending single-step trap",
    [LIMIT_4G] = "a stack access across 4 GiB, which may or may not be a limit violation",
    [BOCHS_TSS_LIMIT] = "Bochs: SS of an inner stack is 4 bytes of the TSS, not 2, when it is compared with the limit",
    [BOCHS_BOUND] = "Bochs: BOUND reads the upper bound even below the lower one",
    [BOCHS_V86_DPL] = "Bochs: an interrupt of virtual-8086 mode looks at the TSS before the DPL of its handler",
    [BOCHS_NULL_SS] = "Bochs: a return to 64-bit code of an outer ring takes a null SS of any RPL",
    [WANDERED] = "both executed data behind the same transfer, where flags are undefined and lead elsewhere",
    [FRAME_OVER_TABLE] = "a frame pushed over the descriptor that becomes accessed: which store is the last",
    [BOCHS_DF_AC] = "Bochs: #AC in the delivery of a double fault is a shutdown",
    [BOCHS_PARAMS] = "Bochs: a call gate's parameters are read from the last on, after SS:ESP has been pushed",
    [BOCHS_BUSY] = "Bochs: LTR loads TR, then makes the descriptor busy, by four bytes",
    [GLOBAL_KEPT] = "MOV CR3: a global translation of the code may have been kept, or not",
    [BOCHS_DF_RF] = "Bochs: the image that a double fault pushes has RF",
    [BOCHS_GATE_TYPE] = "Bochs: a 64-bit gate with a bad upper half that is not present is #NP, not #GP",
    [BOCHS_RSP_EDGE] = "Bochs: a stack pointer of the TSS just above the lower half is #SS before anything is pushed",
    [BOCHS_ACCESSED] = "Bochs: an outer return that cannot make SS accessed has changed CS and flags",
    [BOCHS_AC_FIRST] = "Bochs: an alignment check comes before the page fault of the same access",
};

size_t pf_explanations(void)
{
	return ARRAY_LEN(explanations);
}

const char *pf_explanation(size_t n)
{
	return explanations[n];
}

unsigned pf_opcode_at(const struct pf_case *k)
{
	unsigned n = 0;

	for (; n < k->len; n++) {
		unsigned b = k->code[n];

		if (b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || b == 0x64 || b == 0x65 || b == 0x66 ||
		    b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || (k->size == 8 && (b & 0xf0) == 0x40))
			continue;
		break;
	}
	return n;
}

static bool is_null_ss(const struct x86_state *s)
{
	return (s->efer & EFER_LMA) && (s->seg[X86_SS].attr & SEG_UNUSABLE);
}

bool pf_has_prefix(const struct pf_case *k, unsigned op, unsigned prefix)
{
	while (op)
		if (k->code[--op] == prefix)
			return true;
	return false;
}

bool pf_has_rex_w(const struct pf_case *k, unsigned op)
{
	return k->size == 8 && op && (k->code[op - 1] & 0xf8) == 0x48;
}

static bool has_rex_r(const struct pf_case *k, unsigned op)
{
	return k->size == 8 && op && (k->code[op - 1] & 0xf4) == 0x44;
}

/* --- Descriptors, as they were before ------------------------------------------------------------------------------
 */

bool pf_desc_at(const struct pf_case *k, unsigned sel, uint64_t d[2])
{
	uint64_t base = sel & 4 ? k->s.ldtr.base : k->s.gdtr.base;
	uint64_t limit = sel & 4 ? k->s.ldtr.limit : k->s.gdtr.limit, at = base + (sel & 0xfff8) - PF_BASE;

	d[0] = d[1] = 0;
	if ((sel & 0xfff8) + 7u > limit || at + 8 > PF_SIZE)
		return false;
	memcpy(&d[0], k->area + at, 8);
	if (at + 16 <= PF_SIZE)
		memcpy(&d[1], k->area + at + 8, 8);
	return true;
}

/* A system descriptor of 16 bytes whose second half is not there, or means something. */
static bool is_upper_half_seen(const struct pf_case *k, unsigned sel)
{
	uint64_t d[2], limit = sel & 4 ? k->s.ldtr.limit : k->s.gdtr.limit;

	if (!pf_desc_at(k, sel, d) || (d[0] >> 44 & 1))
		return false;
	return (sel & 0xfff8) + 15u > limit || (uint32_t)d[1] || (d[1] >> 40 & 0x1f);
}

static bool in_tables(const struct pf_case *k, uint64_t la)
{
	return la - k->s.gdtr.base <= k->s.gdtr.limit || la - k->s.ldtr.base <= k->s.ldtr.limit ||
	       la - k->s.idtr.base <= k->s.idtr.limit || la - k->s.tr.base <= k->s.tr.limit;
}

/* --- System instructions -------------------------------------------------------------------------------------------
 */

/* Which of both traps after SYSCALL and SYSRET, by TF as it is at their end and as it was at their start. */
static bool is_syscall_tf(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b, bool sysret)
{
	bool ours = pf_is(a, VEC_DB), theirs = pf_is(b, VEC_DB);

	bool fetch = pf_ept(a) || (pf_is(a, VEC_PF) && a->e.qual == a->s.rip);

	if (ours == theirs || !(ours || pf_is(a, VEC_BP) || fetch)) /* what the target begins with */
		return false;
	if (!sysret)
		return theirs && (k->s.rflags & FLAG_TF) && (k->s.fmask & FLAG_TF);
	return ((k->s.rflags ^ k->s.gpr[X86_R11]) & FLAG_TF) && ours == !!(k->s.gpr[X86_R11] & FLAG_TF);
}

static int explain_fast(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, bool sysret)
{
	struct x86_seg *ss = &b->s.seg[X86_SS];

	if (is_syscall_tf(k, a, b, sysret))
		return BOCHS_SYSCALL_TF;
	if (!sysret && (a->s.seg[X86_SS].sel ^ ss->sel) == (k->s.star >> 32 & 3) && a->s.seg[X86_SS].sel != ss->sel) {
		ss->sel = a->s.seg[X86_SS].sel;
		return -BOCHS_SYSCALL_SS;
	}
	if (sysret && ss->limit == k->s.seg[X86_SS].limit && ss->base == k->s.seg[X86_SS].base &&
	    (ss->limit != a->s.seg[X86_SS].limit || ss->base != a->s.seg[X86_SS].base)) {
		*ss = a->s.seg[X86_SS];
		return -BOCHS_SYSRET_SS;
	}
	return DIFFERENT;
}

static int explain_mov_dr(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned reg)
{
	bool general_detect = pf_is(b, VEC_DB) && (k->s.dr7 & 1u << 13);

	if (k->cpl && pf_is(a, VEC_GP) && !a->e.intr_error && pf_same_end(a, b) &&
	    (general_detect || (pf_is(b, VEC_UD) && (k->s.cr4 & CR4_DE) && (reg & 6) == 4)))
		return BOCHS_MOV_DR;
	if (pf_is(a, VEC_DB) && general_detect && (k->s.rflags & FLAG_TF) && a->e.qual == 0x2000 &&
	    b->e.qual == 0x6000) {
		b->e.qual = a->e.qual;
		return -BOCHS_GD_BS;
	}
	return DIFFERENT;
}

/* LLDT and LTR that both accept: b has the lower half of the base. */
static bool cut_base(const struct pf_case *k, const struct x86_seg *a, struct x86_seg *b)
{
	if (a->sel != k->sel || b->sel != k->sel || a->base == b->base || b->base != (uint32_t)a->base)
		return false;
	b->base = a->base;
	return true;
}

/* LAR, LSL, LLDT, LTR. */
static int explain_selector(
    const struct pf_case *k, const struct pf_result *a, struct pf_result *b, bool asks, unsigned reg)
{
	if (!k->lma || k->mode == PF_LONG64 || !is_upper_half_seen(k, k->sel))
		return DIFFERENT;
	if (asks && !(a->s.rflags & FLAG_ZF) && a->s.gpr[reg] == k->s.gpr[reg] && a->e.reason == b->e.reason &&
	    a->e.intr_info == b->e.intr_info && a->s.rip == b->s.rip &&
	    (a->s.gpr[reg] != b->s.gpr[reg] || ((a->s.rflags ^ b->s.rflags) & FLAG_ZF))) {
		b->s.gpr[reg] = a->s.gpr[reg];
		b->s.rflags = (b->s.rflags & ~(uint64_t)FLAG_ZF) | (a->s.rflags & FLAG_ZF);
		return -BOCHS_LAR_COMPAT;
	}
	if (asks && a->s.rip == b->s.rip)
		return DIFFERENT;
	if (!asks && cut_base(k, reg == 2 ? &a->s.ldtr : &a->s.tr, reg == 2 ? &b->s.ldtr : &b->s.tr))
		return -BOCHS_LAR_COMPAT;
	if (pf_is(a, VEC_PF) || pf_ept(a)) /* its second half */
		return pf_met_at(a, (k->sel & 4 ? k->s.ldtr.base : k->s.gdtr.base) + (k->sel & 0xfff8) + 8, 8)
			   ? BOCHS_LAR_COMPAT
			   : DIFFERENT;
	return (pf_is(a, VEC_GP) || pf_is(a, VEC_NP)) && (a->e.intr_error & 0xfffc) == (k->sel & 0xfffc)
		   ? BOCHS_LAR_COMPAT
		   : DIFFERENT;
}

/* LTR whose write of the busy bit is a page fault. */
static int explain_busy(const struct pf_case *k, const struct pf_result *a, struct pf_result *b)
{
	if (!pf_is(a, VEC_PF) || !pf_is(b, VEC_PF) || (a->e.intr_error & 2) == 0 ||
	    a->e.intr_error != b->e.intr_error || b->s.tr.sel == k->s.tr.sel)
		return DIFFERENT;
	b->s.tr = a->s.tr;
	if (b->e.qual == a->e.qual - 1)
		b->e.qual = a->e.qual;
	return -BOCHS_BUSY;
}

/* Is the page at la global, by the tables that were in force? */
static bool is_global(const struct pf_case *k, uint64_t la)
{
	bool wide = k->s.cr4 & CR4_PAE;
	uint64_t table = k->s.cr3 & (k->lma ? 0xffffffffff000ull : wide ? 0xffffffe0ull : 0xfffff000ull), e = 0;

	for (int level = k->lma ? 3 : wide ? 2 : 1; level >= 0; level--) {
		unsigned bits = wide ? 9 : 10;
		uint64_t at =
		    table + (wide ? 8 : 4) * (la >> (12 + bits * (unsigned)level) & ((1u << bits) - 1)) - PF_BASE;

		e = 0;
		if (at + 8 > PF_SIZE)
			return false;
		memcpy(&e, k->area + at, wide ? 8 : 4);
		if (!(e & 1))
			return false;
		if (level < 3 && level > 0 && (e & 0x80) && (wide || (k->s.cr4 & CR4_PSE)))
			break;
		table = e & 0xffffffffff000ull;
	}
	return e & 0x100;
}

/* The page of the next instruction is global, and the new page tables do not map it. */
static bool is_global_kept(
    const struct pf_case *k, const struct pf_result *a, const struct pf_result *b, unsigned modrm)
{
	return (modrm >> 3 & 7) == 3 && (k->s.cr4 & CR4_PGE) && is_global(k, k->at + k->len) && pf_is(a, VEC_BP) &&
	       a->s.cr3 != k->s.cr3 && a->s.cr3 == b->s.cr3 && pf_met_at(b, k->at + k->len, 16) &&
	       (pf_ept(b) || (b->e.intr_error & 0x10));
}

/* SGDT and SIDT: nothing but the bytes of the operand, and the bits of its page. */
static bool only_operand(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	unsigned bytes = k->mode == PF_LONG64 ? 10 : 6;
	struct x86_insn i;

	if (!pf_decode(k, &i) || !(i.flags & INSN_MEM))
		return false;
	for (unsigned n = 0; n < PF_SIZE; n++) {
		unsigned at = PF_BASE + n, x = a->area[n] ^ b->area[n];

		if (x && at - pf_operand(k, &i) < bytes && a->area[n] == k->area[n])
			continue;
		if (x && ((x & ~0x60u) || at - PF_PT >= PAGE_SIZE_4K))
			return false;
	}
	return true;
}

bool pf_same_fault(const struct pf_result *a, const struct pf_result *b)
{
	if (a->e.reason == EXIT_TRIPLE_FAULT && b->e.reason == EXIT_TRIPLE_FAULT)
		return pf_same_state(a, b);
	return a->e.reason == EXIT_EXCEPTION_NMI && b->e.reason == EXIT_EXCEPTION_NMI &&
	       a->e.intr_info == b->e.intr_info && a->e.intr_error == b->e.intr_error &&
	       a->e.idt_info == b->e.idt_info && pf_same_state(a, b);
}

static bool same_violation(const struct pf_result *a, const struct pf_result *b)
{
	return pf_ept(a) && pf_ept(b) && a->e.qual == b->e.qual && a->e.gla == b->e.gla && a->e.gpa == b->e.gpa &&
	       pf_same_state(a, b);
}

/* POP FS and GS without 66: a page fault in what 16 bits do not touch, or #AC of an even address. */
static bool is_wide_pop(const struct pf_case *k, const struct pf_result *b, unsigned op)
{
	uint64_t sp = k->s.gpr[X86_RSP];

	if (k->mode != PF_LONG64 || pf_has_prefix(k, op, 0x66))
		return false;
	return pf_is(b, VEC_AC) ? !(sp & 1) : pf_met_at(b, sp + 2, 6) && (sp & 0xfff) > 0xff8;
}

static int explain_system(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned op)
{
	unsigned second = k->code[op + 1], modrm = k->code[op + 2], reg = modrm >> 3 & 7;
	int why;

	switch (second) {
	case 0x00:
		why = reg == 3 ? explain_busy(k, a, b) : DIFFERENT;
		return why || (reg != 2 && reg != 3) ? why : explain_selector(k, a, b, false, reg);
	case 0x01:
		if (modrm == 0xd1 && k->cpl && pf_is(a, VEC_GP) && !a->e.intr_error && b->e.reason == EXIT_XSETBV)
			return pf_same_end(a, b) ? BOCHS_XSETBV : DIFFERENT;
		if (reg < 4 && pf_other_address(a, b))
			return BOCHS_ORDER;
		return reg < 2 && (pf_same_fault(a, b) || same_violation(a, b)) && only_operand(k, a, b) ? BOCHS_PUSHED
													 : DIFFERENT;
	case 0x02:
	case 0x03:
		return explain_selector(k, a, b, true, reg | (has_rex_r(k, op) ? 8 : 0));
	case 0x05:
	case 0x07:
		return explain_fast(k, a, b, second == 0x07);
	case 0x21:
	case 0x23:
		return explain_mov_dr(k, a, b, reg);
	case 0x22:
		return is_global_kept(k, a, b, modrm) ? GLOBAL_KEPT : DIFFERENT;
	case 0x30:
		return (uint32_t)k->s.gpr[X86_RCX] == 0xc0000084u && !k->cpl && (uint32_t)k->s.gpr[X86_RDX] &&
			       pf_is(a, VEC_GP) && b->s.fmask == (uint32_t)k->s.gpr[X86_RAX]
			   ? BOCHS_FMASK
			   : DIFFERENT;
	case 0xa1:
	case 0xa9:
		return is_wide_pop(k, b, op) ? BOCHS_POP_SREG : DIFFERENT;
	default:
		return DIFFERENT;
	}
}

/* --- Tables, limits, pages -----------------------------------------------------------------------------------------
 */

/* The limit of the TSS ends right behind SS0, SS1 or SS2, or in the padding of it. */
static bool cuts_ss(const struct pf_case *k)
{
	const struct x86_seg *tr = &k->s.tr;
	bool wide = tr->attr & 8;
	unsigned rest = wide ? tr->limit & 7 : tr->limit & 3;

	return !k->lma && tr->limit <= (wide ? 26u : 13u) && (rest == 1 || (wide && rest == 2));
}

/* Of a stack of 4 GiB, whose pointer is less than the largest frame below its end, or less than a push above its start.
 */
static bool crosses_4g(const struct pf_case *k)
{
	const struct x86_seg *ss = &k->s.seg[X86_SS];

	return k->size < 8 && ss->limit == UINT32_MAX && (ss->attr & SEG_DB) && !(ss->attr & 4) &&
	       ((uint32_t)k->s.gpr[X86_RSP] > UINT32_MAX - 40 || (uint32_t)k->s.gpr[X86_RSP] - 1 < 3);
}

/* An implicit access of ours to a table met a user page; if the guest itself delivers the fault, it shows in CR2. */
static bool is_table_fault(const struct pf_case *k, const struct pf_result *a)
{
	struct x86_insn i;

	if (pf_decode(k, &i) && (i.flags & INSN_MEM) && !k->s.pending_event && a->e.qual - pf_operand(k, &i) < 16)
		return false;
	if (pf_is(a, VEC_PF))
		return (a->e.intr_error & 5) == 1 && in_tables(k, a->e.qual);
	return !(k->exceptions & 1u << VEC_PF) && a->s.cr2 != k->s.cr2 && in_tables(k, a->s.cr2);
}

/* Bits 13 to 20 of a 4 MiB page's entry: ours are reserved, b's part of the address. */
static bool is_pse36(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	if (!pf_is(a, VEC_PF) || (a->e.intr_error & 9) != 9 || (k->s.cr4 & CR4_PAE) || !(k->s.cr4 & CR4_PSE))
		return false;
	return (pf_ept(b) && b->e.gpa >> 32) ||
	       (pf_is(b, VEC_PF) && b->e.qual == a->e.qual && b->e.intr_error == (a->e.intr_error & ~8u));
}

static int explain_memory(const struct pf_case *k, const struct pf_result *a, struct pf_result *b)
{
	if (cuts_ss(k) && !pf_is(a, VEC_TS) &&
	    (pf_is(b, VEC_TS) ? (b->e.intr_error & ~7u) == (k->s.tr.sel & ~7u)
			      : k->s.pending_event && !(k->exceptions & 1u << VEC_TS))) /* the guest got it */
		return BOCHS_TSS_LIMIT;
	if (crosses_4g(k) && pf_is(b, VEC_SS) && !b->e.intr_error &&
	    (pf_is(a, VEC_PF) || pf_ept(a) || pf_is(a, VEC_AC)))
		return LIMIT_4G;
	if (is_pse36(k, a, b))
		return NO_PSE36;
	if (pf_ept(a) && pf_ept(b) && a->e.gpa == b->e.gpa && (a->e.qual ^ b->e.qual) == QUAL_EPT_READ &&
	    (a->e.qual & QUAL_EPT_WRITE) && (a->e.qual & QUAL_EPT_READ)) {
		b->e.qual = a->e.qual;
		return -EPT_RMW;
	}
	return DIFFERENT;
}

/* --- All of them ---------------------------------------------------------------------------------------------------
 */

/* Ours once more, with bits of CR0 and CR4 clear: is that the whole of the difference? */
static bool is_without(const struct pf_case *k, const struct pf_result *b, uint64_t cr0, uint64_t cr4)
{
	static struct pf_case twin;
	static struct pf_result r, other;
	static uint8_t copy[PF_SIZE];
	int why;

	twin = *k;
	twin.s.cr0 &= ~cr0;
	twin.s.cr4 &= ~cr4;
	if (!pf_run_again(&twin, &r)) /* neither ends */
		return b->e.reason == EXIT_PREEMPTION_TIMER;
	other = *b;
	pf_copy(copy, b->area, PF_SIZE);
	other.area = copy;
	pf_normalise(k, &r);
	r.s.cr0 |= k->s.cr0 & cr0;
	r.s.cr4 |= k->s.cr4 & cr4;
	(void)pf_explain_away(&twin, &r, &other);
	return !pf_reduce(&twin, &r, &other, &why);
}

/* An operand or a stack that is not aligned. */
static bool is_misaligned(const struct pf_case *k, const struct x86_insn *i)
{
	return ((i->flags & INSN_MEM) && pf_operand(k, i) & (i->opsize - 1u)) || k->s.gpr[X86_RSP] & (i->opsize - 1u);
}

/* After a transfer b has gone on, and may check alignment again: nothing to compare. */
static bool has_gone_on(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	struct x86_insn i;

	return a->s.rip == k->s.rip && b->s.rip != k->s.rip && pf_decode(k, &i) && is_misaligned(k, &i) &&
	       (i.class == INSN_CLASS_BRANCH || i.class == INSN_CLASS_SYSTEM);
}

/* Nothing but bit 16 of what frames have, on whatever stack: bit 0 of a descriptor's type is another matter. */
static bool pushed_rf(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	for (unsigned at = 0; at < PF_SIZE; at++)
		if (a->area[at] != b->area[at] &&
		    ((a->area[at] ^ b->area[at]) != 1 || !(b->area[at] & 1) || in_tables(k, PF_BASE + at)))
			return false;
	return true;
}

/* Got away from its instruction, to where there are no INT3s. */
bool pf_is_away(const struct pf_case *k, const struct pf_result *r)
{
	uint64_t at = (r->s.efer & EFER_LMA && r->s.seg[X86_CS].attr & SEG_L ? 0 : r->s.seg[X86_CS].base) + r->s.rip;

	return r->s.rip != k->s.rip && at - PF_CODE >= PF_CODE_END - PF_CODE;
}

/* What data that are executed do not change, as a rule, and a transfer might. */
static bool same_system(const struct x86_state *a, const struct x86_state *b)
{
	return a->cr0 == b->cr0 && a->cr3 == b->cr3 && a->cr4 == b->cr4 && a->efer == b->efer &&
	       a->seg[X86_CS].sel == b->seg[X86_CS].sel && a->seg[X86_CS].attr == b->seg[X86_CS].attr &&
	       a->seg[X86_CS].base == b->seg[X86_CS].base && a->seg[X86_CS].limit == b->seg[X86_CS].limit &&
	       a->tr.sel == b->tr.sel && a->ldtr.sel == b->ldtr.sel && a->gdtr.base == b->gdtr.base &&
	       a->idtr.base == b->idtr.base && a->intr_shadow == b->intr_shadow &&
	       !((a->rflags ^ b->rflags) & (FLAG_IOPL | FLAG_VM | FLAG_NT | FLAG_TF));
}

static bool one_byte(const struct pf_result *a, const struct pf_result *b)
{
	unsigned n = 0;

	for (unsigned at = 0; at < PF_SIZE; at++)
		n += a->area[at] != b->area[at];
	return n == 1;
}

int pf_explain(const struct pf_case *k, const struct pf_result *a, struct pf_result *b)
{
	unsigned op = pf_opcode_at(k), opcode = k->code[op];
	int why = opcode == 0x0f ? explain_system(k, a, b, op) : pf_explain_stack(k, a, b, op);

	if (!why)
		why = explain_memory(k, a, b);
	if (!why)
		why = pf_explain_operand(k, a, b, opcode);
	if (why)
		return why;
	if (k->mode == PF_LONG64 && !(a->s.seg[X86_CS].attr & SEG_L) && a->s.gpr[X86_RSP] >> 32 &&
	    b->s.gpr[X86_RSP] == (uint32_t)a->s.gpr[X86_RSP]) {
		b->s.gpr[X86_RSP] = a->s.gpr[X86_RSP];
		return -LEFT_LONG64;
	}
	if (pf_is(a, VEC_DB) && pf_is(b, VEC_DB) && k->s.pending_dbg && a->e.qual != b->e.qual &&
	    (a->e.qual & b->e.qual) == a->e.qual && !((a->e.qual ^ b->e.qual) & ~0xfull)) {
		b->e.qual = a->e.qual;
		return -BOCHS_DB_MERGED;
	}
	if (k->mode == PF_V86 && pf_is(a, VEC_AC) && (is_without(k, b, CR0_AM, 0) || has_gone_on(k, a, b)))
		return BOCHS_AC_V86;
	if ((k->s.cr4 & CR4_SMAP) && (k->s.rflags & FLAG_AC) && is_table_fault(k, a) &&
	    (is_table_fault(k, b) || is_without(k, b, 0, CR4_SMAP) ||
		(k->exceptions != UINT32_MAX && !pf_is(a, VEC_PF)))) /* the guest got it, and more came of it */
		return BOCHS_SMAP_AC;
	if (pf_is_away(k, a) && pf_is_away(k, b) && same_system(&a->s, &b->s))
		return WANDERED;
	if (in_tables(k, a->s.gpr[X86_RSP]) && pf_same_state(a, b) && one_byte(a, b))
		return FRAME_OVER_TABLE;
	if (!(k->exceptions & (1u << VEC_DF | 1u << VEC_AC)) && (k->s.cr0 & CR0_AM) && (k->s.rflags & FLAG_AC) &&
	    k->cpl == 3 && b->e.reason == EXIT_TRIPLE_FAULT && a->e.reason != EXIT_TRIPLE_FAULT)
		return BOCHS_DF_AC;
	if (!(k->exceptions & 1u << VEC_DF) && pf_same_state(a, b) && pushed_rf(k, a, b))
		return BOCHS_DF_RF;
	return DIFFERENT;
}

/* STI, MOV SS, POP SS, or what stood in the shadow of one and did not complete. */
static bool may_have_shadow(const struct pf_case *k, const struct pf_result *r)
{
	unsigned op = k->code[pf_opcode_at(k)];

	return op == 0xfb || op == 0x17 || op == 0x8e || ((k->s.intr_shadow & 3) && r->s.rip == k->s.rip);
}

int pf_explain_away(const struct pf_case *k, struct pf_result *ours, struct pf_result *theirs)
{
	const uint32_t shadow = INTR_SHADOW_STI | INTR_SHADOW_MOVSS;
	int why = DIFFERENT;

	if ((ours->s.intr_shadow & shadow) && !(theirs->s.intr_shadow & shadow) && may_have_shadow(k, ours)) {
		ours->s.intr_shadow &= ~shadow;
		why = BOCHS_SHADOW;
	}
	if (((k->s.rflags | ours->s.rflags) & FLAG_TF) && theirs->s.pending_dbg == 0x4000 && !ours->s.pending_dbg) {
		theirs->s.pending_dbg = 0;
		why = BOCHS_PENDING_BS;
	}
	if ((k->s.intr_shadow & shadow) && (ours->s.pending_dbg & k->s.pending_dbg) && !theirs->s.pending_dbg) {
		ours->s.pending_dbg = 0;
		why = BOCHS_SHADOW;
	}
	if (is_null_ss(&ours->s) && is_null_ss(&theirs->s) && !(theirs->s.seg[X86_SS].attr & SEG_DPL) &&
	    (ours->s.seg[X86_SS].attr & SEG_DPL) &&
	    (ours->s.seg[X86_SS].attr >> 5 & 3) == (ours->s.seg[X86_CS].sel & 3u)) {
		ours->s.seg[X86_SS].attr &= ~SEG_DPL;
		why = BOCHS_SS_DPL;
	}
	return why;
}
