/*
 * The differences that are known and explained: docs/PRIVILEGED.md. Each rule asks for the instruction, the state and
 * the difference that it explains; "a" is ours, "b" the processor.
 */
#include "core/x86/insn.h"
#include "core/x86/segment.h"
#include "tests/metal/privfuzz.h"

enum {
	DIFFERENT,
	BOCHS_SMAP_AC,
	BOCHS_SHADOW,
	BOCHS_IRET64,
	BOCHS_IRET_V86,
	BOCHS_SYSCALL_TF,
	BOCHS_SYSCALL_SS,
	BOCHS_PENDING_BS,
	BOCHS_INT_V86,
	BOCHS_PUSHED,
	BOCHS_ORDER,
	BOCHS_FRAME66,
	BOCHS_MOV_DR,
	BOCHS_GD_BS,
	BOCHS_SS_DPL,
	BOCHS_FMASK,
	BOCHS_AC_V86,
	BOCHS_CALL_LONG,
	BOCHS_SS_ERROR,
	BOCHS_SYSRET_SS,
	BOCHS_XSETBV,
	BOCHS_LAR_COMPAT,
	BOCHS_CONFORMING,
	BOCHS_POP_SREG,
	BOCHS_DB_MERGED,
	BOCHS_POPF_V86,
	BOCHS_ESP16,
	BOCHS_ENTER16,
	BOCHS_IRET_NP,
	BOCHS_SP0,
	BOCHS_LD_ORDER,
	LEFT_LONG64,
	NO_PSE36,
	EPT_RMW,
	BOCHS_ARPL,
	BOCHS_CMPS,
	BOCHS_REP_FLAGS,
	BOCHS_INT_SHADOW,
	LIMIT_4G,
	BOCHS_TSS_LIMIT,
	BOCHS_BOUND,
	BOCHS_V86_DPL,
	BOCHS_NULL_SS,
};

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
    [BOCHS_FRAME66] = "Bochs: ENTER and LEAVE with 66 in 64-bit mode move 64 bits",
    [BOCHS_MOV_DR] = "Bochs: MOV DR without privilege is #UD or #DB before it is #GP",
    [BOCHS_GD_BS] = "Bochs: a general-detect fault of a single-stepped MOV DR has BS, too",
    [BOCHS_SS_DPL] = "Bochs: the DPL of a null SS is 0 whatever the CPL",
    [BOCHS_FMASK] = "Bochs: WRMSR of IA32_FMASK ignores reserved bits",
    [BOCHS_AC_V86] = "Bochs: no alignment check in virtual-8086 mode after a VM entry",
    [BOCHS_CALL_LONG] = "Bochs: a far call from compatibility to 64-bit mode pushes on the flat stack of the new mode",
    [BOCHS_SS_ERROR] = "Bochs: #SS of an inner stack has the selector of the old one",
    [BOCHS_SYSRET_SS] = "Bochs: SYSRET leaves base and limit of SS as they were",
    [BOCHS_XSETBV] = "Bochs: XSETBV exits before its privilege is checked",
    [BOCHS_LAR_COMPAT] = "Bochs: LAR, LSL, LLDT and LTR in compatibility mode see 8 bytes of a system descriptor",
    [BOCHS_CONFORMING] = "Bochs: a frame for conforming code is pushed with the privilege of its DPL",
    [BOCHS_POP_SREG] = "Bochs: POP of a segment register in 64-bit mode reads 64 bits",
    [BOCHS_DB_MERGED] = "Bochs: a pending trap and an instruction breakpoint are one #DB",
    [BOCHS_POPF_V86] = "Bochs: POPF in virtual-8086 mode reads the stack before it looks at IOPL",
    [BOCHS_ESP16] = "Bochs: an inner stack of 16 bits gets SP, and not ESP, from the TSS",
    [BOCHS_ENTER16] = "Bochs: ENTER with 32 bits on a stack of 16 keeps the upper half of ESP in EBP",
    [BOCHS_IRET_NP] = "Bochs: IRET to a stack segment that is not present is #NP, not #SS",
    [BOCHS_SP0] = "Bochs: a far CALL with SP 0 is #SS instead of going on at the top",
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

static bool has_prefix(const struct pf_case *k, unsigned op, unsigned prefix)
{
	while (op)
		if (k->code[--op] == prefix)
			return true;
	return false;
}

static bool is_exception(const struct vm_exit *e, unsigned vector)
{
	return e->reason == EXIT_EXCEPTION_NMI && (uint8_t)e->intr_info == vector;
}

static bool has_rex_w(const struct pf_case *k, unsigned op)
{
	return k->size == 8 && op && (k->code[op - 1] & 0xf8) == 0x48;
}

/* Nothing but stack, an operand's memory, and the accessed and dirty bits of its page. */
static bool only_stores(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b, bool data)
{
	for (unsigned n = 0; n < PF_SIZE; n++) {
		unsigned at = PF_BASE + n, x = a->area[n] ^ b->area[n];

		if (!x || at - PF_STACK < PAGE_SIZE_4K || (data && at >= PF_GDT))
			continue;
		if (!(k->s.cr0 & CR0_PG) || at < PF_PT || at >= PF_PT + PAGE_SIZE_4K || (x & ~0x60u))
			return false;
	}
	return true;
}

static bool same_fault(const struct pf_result *a, const struct pf_result *b)
{
	if (a->e.reason == EXIT_TRIPLE_FAULT && b->e.reason == EXIT_TRIPLE_FAULT)
		return !pf_state_differs(&a->s, &b->s);
	return a->e.reason == EXIT_EXCEPTION_NMI && b->e.reason == EXIT_EXCEPTION_NMI &&
	       a->e.intr_info == b->e.intr_info && a->e.intr_error == b->e.intr_error &&
	       a->e.idt_info == b->e.idt_info && !pf_state_differs(&a->s, &b->s);
}

/* Two accesses of one instruction that both fail: which one is told differs. */
static bool same_but_for_address(const struct pf_result *a, const struct pf_result *b)
{
	uint64_t d = a->e.reason == EXIT_EPT_VIOLATION ? a->e.gla - b->e.gla : a->e.qual - b->e.qual;

	if (a->e.reason != b->e.reason || d + 16 > 32 || pf_state_differs(&a->s, &b->s))
		return false;
	return a->e.reason == EXIT_EPT_VIOLATION || (is_exception(&a->e, VEC_PF) && is_exception(&b->e, VEC_PF));
}

/* #AC or a page fault in what the narrow read does not touch. */
static bool pop_size_matters(const struct pf_result *wide)
{
	return is_exception(&wide->e, VEC_AC) || is_exception(&wide->e, VEC_PF);
}

static int explain_system(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b, unsigned op)
{
	unsigned second = k->code[op + 1], modrm = k->code[op + 2] >> 3 & 7;
	bool fast = second == 0x05 || second == 0x07;

	if (fast && (is_exception(&a->e, VEC_DB) != is_exception(&b->e, VEC_DB)))
		return BOCHS_SYSCALL_TF;
	if (second == 0x05 && (a->s.seg[X86_SS].sel ^ b->s.seg[X86_SS].sel) == (k->s.star >> 32 & 3) &&
	    (k->s.star >> 32 & 3))
		return BOCHS_SYSCALL_SS;
	if ((second == 0x21 || second == 0x23) && k->cpl && is_exception(&a->e, VEC_GP))
		return BOCHS_MOV_DR;
	if ((second == 0x21 || second == 0x23) && is_exception(&a->e, VEC_DB) && (k->s.rflags & FLAG_TF) &&
	    a->e.qual == 0x2000 && b->e.qual == 0x6000)
		return BOCHS_GD_BS;
	if (second == 0x07 && k->s.seg[X86_SS].limit != UINT32_MAX && b->s.seg[X86_SS].limit == k->s.seg[X86_SS].limit)
		return BOCHS_SYSRET_SS;
	if (second == 0x01 && k->code[op + 2] == 0xd1 && k->cpl && b->e.reason == EXIT_XSETBV)
		return BOCHS_XSETBV;
	if ((second == 0x02 || second == 0x03 || (second == 0x00 && (modrm == 2 || modrm == 3))) && k->lma &&
	    k->mode != PF_LONG64 && !is_exception(&b->e, VEC_PF))
		return BOCHS_LAR_COMPAT;
	if ((second == 0xa1 || second == 0xa9) && k->mode == PF_LONG64 && pop_size_matters(b))
		return BOCHS_POP_SREG;
	if (second == 0x30 && (uint32_t)k->s.gpr[X86_RCX] == 0xc0000084u && is_exception(&a->e, VEC_GP))
		return BOCHS_FMASK;
	if (second == 0x01 && modrm < 4 && same_but_for_address(a, b))
		return BOCHS_ORDER;
	if (second == 0x01 && modrm < 2 && same_fault(a, b) && only_stores(k, a, b, true))
		return BOCHS_PUSHED;
	if ((second == 0xb2 || second == 0xb4 || second == 0xb5) &&
	    (same_but_for_address(a, b) || (is_exception(&a->e, VEC_AC) && is_exception(&b->e, VEC_PF))))
		return BOCHS_ORDER;
	return DIFFERENT;
}

static bool failed_to_push(const struct pf_result *b)
{
	if (b->e.reason == EXIT_EPT_VIOLATION)
		return b->e.qual & QUAL_EPT_WRITE;
	return is_exception(&b->e, VEC_SS) || (is_exception(&b->e, VEC_PF) && (b->e.intr_error & 2));
}

static bool only_upper_half(const struct pf_result *a, struct pf_result *b, unsigned reg)
{
	uint64_t mine = a->s.gpr[reg], its = b->s.gpr[reg];
	bool same;

	if (((mine ^ its) & ~0xffff0000ull) || mine == its)
		return false;
	b->s.gpr[reg] = mine;
	same = !pf_state_differs(&a->s, &b->s);
	b->s.gpr[reg] = its;
	return same;
}

static int explain_stack(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned op)
{
	unsigned opcode = k->code[op], modrm = k->code[op + 1] >> 3 & 7;
	bool far_call = opcode == 0x9a || (opcode == 0xff && modrm == 3);
	bool pushes = far_call || (opcode == 0xff && modrm == 2) || opcode == 0xe8 || opcode == 0xcd || opcode == 0xc8;

	if (k->mode == PF_LONG64 && (opcode == 0xc8 || opcode == 0xc9) && op && has_prefix(k, op, 0x66))
		return BOCHS_FRAME66;
	if (far_call && k->mode == PF_LONG64 && is_null_ss(&k->s) && is_exception(&b->e, VEC_SS))
		return BOCHS_CALL_LONG;
	if (far_call && !(uint16_t)k->s.gpr[X86_RSP] && is_exception(&b->e, VEC_SS))
		return BOCHS_SP0;
	if (k->lma && is_exception(&a->e, VEC_GP) && is_exception(&b->e, VEC_NP) && a->e.intr_error == b->e.intr_error)
		return BOCHS_LD_ORDER;
	if (opcode == 0xcf && is_exception(&a->e, VEC_SS) && is_exception(&b->e, VEC_NP) &&
	    a->e.intr_error == b->e.intr_error)
		return BOCHS_IRET_NP;
	if ((k->s.pending_event || opcode == 0xcd || far_call) && is_exception(&a->e, VEC_PF) &&
	    (a->e.intr_error & 6) == 6 &&
	    (x86_is_conforming(b->s.seg[X86_CS].attr) ||
		(is_exception(&b->e, VEC_PF) && a->e.qual == b->e.qual && (a->e.intr_error ^ b->e.intr_error) == 4)))
		return BOCHS_CONFORMING;
	if (k->mode == PF_V86 && opcode == 0x9d && is_exception(&a->e, VEC_GP) && (k->s.rflags >> 12 & 3) < 3)
		return BOCHS_POPF_V86;
	if ((pushes || k->s.pending_event) && only_upper_half(a, b, X86_RSP) && !(b->s.seg[X86_SS].attr & SEG_DB))
		return BOCHS_ESP16;
	if (opcode == 0xc8 && k->size < 8 && only_upper_half(a, b, X86_RBP))
		return BOCHS_ENTER16;
	if ((opcode == 0xca || opcode == 0xcb || opcode == 0xcf) && k->lma && is_exception(&a->e, VEC_GP) &&
	    !a->e.intr_error && (b->s.seg[X86_SS].attr & SEG_UNUSABLE) && (b->s.seg[X86_CS].attr & SEG_L) &&
	    (b->s.seg[X86_SS].sel ^ b->s.seg[X86_CS].sel) & 3)
		return BOCHS_NULL_SS;
	if (k->mode < PF_PROT16 && (opcode == 0xca || opcode == 0xcb || opcode == 0xcf) && same_but_for_address(a, b))
		return BOCHS_ORDER;
	if (far_call && k->lma && k->mode != PF_LONG64 &&
	    (k->s.seg[X86_SS].base || b->e.reason != a->e.reason || is_exception(&a->e, VEC_AC)))
		return BOCHS_CALL_LONG;
	if ((far_call || k->s.pending_event || opcode == 0xcd) && k->lma && is_exception(&a->e, VEC_SS) &&
	    is_exception(&b->e, VEC_SS) && a->e.intr_error != b->e.intr_error)
		return BOCHS_SS_ERROR;
	if ((pushes || k->s.pending_event) && is_exception(&a->e, VEC_GP) && a->e.intr_error <= 1 && failed_to_push(b))
		return BOCHS_PUSHED;
	if ((pushes || k->s.pending_event) && same_fault(a, b) && only_stores(k, a, b, false))
		return BOCHS_PUSHED;
	return DIFFERENT;
}

static bool is_read(const struct vm_exit *e)
{
	return e->reason == EXIT_EPT_VIOLATION ? !(e->qual & QUAL_EPT_WRITE)
					       : is_exception(e, VEC_PF) && !(e->intr_error & 2);
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
static bool is_arpl(const struct pf_case *k, const struct pf_result *a, const struct pf_result *b)
{
	struct x86_insn i;
	bool a_done;

	if (x86_decode(k->code, k->len, k->size, k->lma ? X86_MODE_COMPAT : X86_MODE_PROT, &i) != DECODE_OK ||
	    i.id != INSN_ARPL || !(i.flags & INSN_MEM))
		return false;
	a_done = a->s.rip == k->s.rip + i.len || is_exception(&a->e, VEC_DB);
	if (a_done && (a->s.rflags & FLAG_ZF))
		return false;
	if (a->e.reason == b->e.reason && a->e.intr_info == b->e.intr_info && a->e.qual == b->e.qual && a_done)
		return !pf_state_differs(&a->s, &b->s) && only_dirty(a, b);
	if (is_exception(&b->e, VEC_GP) && !b->e.intr_error)
		return !(k->s.seg[i.seg].attr & 2) || (k->s.seg[i.seg].attr & 8);
	if (b->e.reason == EXIT_EPT_VIOLATION ? !(b->e.qual & QUAL_EPT_WRITE)
					      : !is_exception(&b->e, VEC_PF) || !(b->e.intr_error & 2))
		return false;
	return a_done || is_read(&a->e) || is_exception(&a->e, VEC_AC);
}

static bool is_compare(unsigned opcode)
{
	return opcode == 0xa6 || opcode == 0xa7;
}

static bool faults_at(const struct pf_result *r, uint64_t la)
{
	uint64_t at = r->e.reason == EXIT_EPT_VIOLATION ? r->e.gla : r->e.qual;

	return (is_exception(&r->e, VEC_PF) || r->e.reason == EXIT_EPT_VIOLATION) && at - la < 8;
}

/* By the limit or the kind of a data segment. */
static bool is_segment_fault(const struct pf_result *r)
{
	return (is_exception(&r->e, VEC_GP) || is_exception(&r->e, VEC_SS)) && !r->e.intr_error;
}

static uint64_t string_address(const struct pf_case *k, const struct x86_insn *i, unsigned sreg, unsigned reg)
{
	uint64_t offset = k->s.gpr[reg];

	offset = i->addrsize == 2 ? (uint16_t)offset : i->addrsize == 4 ? (uint32_t)offset : offset;
	if (k->mode == PF_LONG64 && sreg < X86_FS)
		return offset;
	offset += k->s.seg[sreg].base;
	return k->mode == PF_LONG64 ? offset : (uint32_t)offset;
}

static int explain_string(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned opcode)
{
	const uint64_t arithmetic = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF;
	uint64_t flags = b->s.rflags;
	struct x86_insn i;
	bool same;

	if (x86_decode(k->code, k->len, k->size, k->size == 8 ? X86_MODE_LONG64 : X86_MODE_PROT, &i) != DECODE_OK)
		return DIFFERENT;
	if (is_compare(opcode) && (faults_at(a, string_address(k, &i, X86_ES, X86_RDI)) || is_segment_fault(a)) &&
	    (faults_at(b, string_address(k, &i, i.seg, X86_RSI)) || is_segment_fault(b)))
		return BOCHS_CMPS;
	if (!(i.flags & (INSN_REP | INSN_REPNE)) || a->s.rip != k->s.rip || (a->s.rflags ^ k->s.rflags) & arithmetic)
		return DIFFERENT;
	b->s.rflags = (flags & ~arithmetic) | (a->s.rflags & arithmetic);
	same = !pf_state_differs(&a->s, &b->s);
	b->s.rflags = flags;
	return same ? BOCHS_REP_FLAGS : DIFFERENT;
}

/* The limit of the TSS ends right behind SS0, SS1 or SS2, or in the padding of it. */
static bool cuts_ss(const struct pf_case *k)
{
	const struct x86_seg *tr = &k->s.tr;
	bool wide = tr->attr & 8;
	unsigned rest = wide ? tr->limit & 7 : tr->limit & 3;

	return !k->lma && tr->limit <= (wide ? 26u : 13u) && (rest == 1 || (wide && rest == 2));
}

static bool is_tss_fault(const struct pf_case *k, const struct pf_result *r)
{
	return is_exception(&r->e, VEC_TS) && (r->e.intr_error & ~7u) == (k->s.tr.sel & ~7u);
}

/* A page fault on a descriptor table that the guest itself delivers: it shows in CR2 only. */
static bool delivered_table_fault(const struct pf_case *k, const struct pf_result *r)
{
	return !(k->exceptions & 1u << VEC_PF) && r->s.cr2 != k->s.cr2 && r->s.cr2 - PF_GDT < PF_STACK - PF_GDT;
}

/* Of a stack of 4 GiB, whose pointer is less than the largest frame below its end. */
static bool crosses_4g(const struct pf_case *k)
{
	const struct x86_seg *ss = &k->s.seg[X86_SS];

	return k->size < 8 && ss->limit == UINT32_MAX && (ss->attr & SEG_DB) && !(ss->attr & 4) &&
	       (uint32_t)k->s.gpr[X86_RSP] > UINT32_MAX - 40;
}

int pf_explain(const struct pf_case *k, const struct pf_result *a, struct pf_result *b)
{
	unsigned op = pf_opcode_at(k), opcode = k->code[op];
	int why = opcode == 0x0f ? explain_system(k, a, b, op) : explain_stack(k, a, b, op);

	if (why)
		return why;
	if (opcode == 0x63 && k->mode != PF_LONG64 && is_arpl(k, a, b))
		return BOCHS_ARPL;
	if (opcode == 0x62 && k->mode != PF_LONG64 && is_exception(&a->e, VEC_BR) && !is_exception(&b->e, VEC_BR) &&
	    !pf_state_differs(&a->s, &b->s))
		return BOCHS_BOUND;
	if (k->mode == PF_LONG64 && !(a->s.seg[X86_CS].attr & SEG_L) && a->s.gpr[X86_RSP] >> 32 &&
	    b->s.gpr[X86_RSP] == (uint32_t)a->s.gpr[X86_RSP])
		return LEFT_LONG64;
	if (is_compare(opcode) || opcode == 0xae || opcode == 0xaf)
		why = explain_string(k, a, b, opcode);
	if (why)
		return why;
	if (opcode == 0xcd && (k->s.intr_shadow & INTR_SHADOW_MOVSS) && k->s.pending_dbg == 0x4000 &&
	    is_exception(&a->e, VEC_DB) && a->e.qual == 0x4000 && !is_exception(&b->e, VEC_DB))
		return BOCHS_INT_SHADOW;
	if (cuts_ss(k) && is_tss_fault(k, b) && !is_exception(&a->e, VEC_TS))
		return BOCHS_TSS_LIMIT;
	if (k->mode == PF_V86 && is_exception(&a->e, VEC_GP) && (a->e.intr_error & ~7u) &&
	    (a->e.idt_info & INTR_INFO_VALID) && is_tss_fault(k, b))
		return BOCHS_V86_DPL;
	if ((k->s.cr4 & CR4_SMAP) && (k->s.rflags & FLAG_AC) && delivered_table_fault(k, a))
		return BOCHS_SMAP_AC;
	if (crosses_4g(k) && is_exception(&b->e, VEC_SS) && !b->e.intr_error &&
	    (is_exception(&a->e, VEC_PF) || a->e.reason == EXIT_EPT_VIOLATION))
		return LIMIT_4G;
	if (is_exception(&a->e, VEC_DB) && is_exception(&b->e, VEC_DB) && k->s.pending_dbg &&
	    (a->e.qual & b->e.qual) == a->e.qual && !((a->e.qual ^ b->e.qual) & ~0xfull))
		return BOCHS_DB_MERGED;
	if (is_exception(&a->e, VEC_PF) && (a->e.intr_error & 5) == 1 && (k->s.cr4 & CR4_SMAP) &&
	    (k->s.rflags & FLAG_AC) && (!is_exception(&b->e, VEC_PF) || a->e.qual != b->e.qual))
		return BOCHS_SMAP_AC;
	if (is_exception(&a->e, VEC_PF) && (a->e.intr_error & 9) == 9 && !(k->s.cr4 & CR4_PAE) &&
	    (k->s.cr4 & CR4_PSE) && b->e.reason == EXIT_EPT_VIOLATION && b->e.gpa >> 32)
		return NO_PSE36;
	if (k->mode == PF_LONG64 && opcode == 0xcf && !has_rex_w(k, op))
		return BOCHS_IRET64;
	if (k->mode <= PF_PROT32 && opcode == 0xcf && is_exception(&a->e, VEC_GP) && (b->s.rflags & FLAG_VM))
		return BOCHS_IRET_V86;
	if (k->mode == PF_V86 && opcode == 0xcd && is_exception(&a->e, VEC_GP) && is_exception(&b->e, VEC_GP) &&
	    !(a->e.idt_info & INTR_INFO_VALID) && (k->s.rflags >> 12 & 3) < 3)
		return BOCHS_INT_V86;
	if (k->mode == PF_V86 && is_exception(&a->e, VEC_AC) && (k->s.cr0 & CR0_AM) && (k->s.rflags & FLAG_AC))
		return BOCHS_AC_V86;
	if ((opcode == 0xc4 || opcode == 0xc5) && same_but_for_address(a, b))
		return BOCHS_ORDER;
	if (a->e.reason == EXIT_EPT_VIOLATION && b->e.reason == EXIT_EPT_VIOLATION && a->e.gpa == b->e.gpa &&
	    (a->e.qual ^ b->e.qual) == QUAL_EPT_READ && (a->e.qual & QUAL_EPT_WRITE))
		return EPT_RMW;
	return DIFFERENT;
}

int pf_explain_away(const struct pf_case *k, struct pf_result *ours, struct pf_result *theirs)
{
	const uint32_t shadow = INTR_SHADOW_STI | INTR_SHADOW_MOVSS;
	int why = DIFFERENT;

	if ((ours->s.intr_shadow & shadow) && !(theirs->s.intr_shadow & shadow)) {
		ours->s.intr_shadow &= ~shadow;
		why = BOCHS_SHADOW;
	}
	if (((k->s.rflags | ours->s.rflags) & FLAG_TF) && theirs->s.pending_dbg == 0x4000 && !ours->s.pending_dbg) {
		theirs->s.pending_dbg = 0;
		why = BOCHS_PENDING_BS;
	}
	if ((k->s.intr_shadow & shadow) && ours->s.pending_dbg && !theirs->s.pending_dbg) {
		ours->s.pending_dbg = 0;
		why = BOCHS_SHADOW;
	}
	if (is_null_ss(&ours->s) && is_null_ss(&theirs->s) && !(theirs->s.seg[X86_SS].attr & SEG_DPL) &&
	    (ours->s.seg[X86_SS].attr & SEG_DPL)) {
		ours->s.seg[X86_SS].attr &= ~SEG_DPL;
		why = BOCHS_SS_DPL;
	}
	return why;
}
