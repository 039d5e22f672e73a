/*
 * What must be equal after a case, and how a difference is told.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"
#include "core/x86/segment.h"
#include "tests/metal/privfuzz.h"
#include "tracer/exit_fields.h"

void pf_say(const char *fmt, ...)
{
	char line[240];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fmt_vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	serial_text(line, (size_t)n);
}

/* --- Registers --------------------------------------------------------------------------------------------------- */

#define FIELD(name, member)                                                                       \
	{                                                                                         \
		name, offsetof(struct x86_state, member), sizeof(((struct x86_state *)0)->member) \
	}
static const struct field {
	const char *name;
	size_t at, size;
} fields[] = {
    FIELD("rip", rip),
    FIELD("rflags", rflags),
    FIELD("rax", gpr[0]),
    FIELD("rcx", gpr[1]),
    FIELD("rdx", gpr[2]),
    FIELD("rbx", gpr[3]),
    FIELD("rsp", gpr[4]),
    FIELD("rbp", gpr[5]),
    FIELD("rsi", gpr[6]),
    FIELD("rdi", gpr[7]),
    FIELD("r8", gpr[8]),
    FIELD("r9", gpr[9]),
    FIELD("r10", gpr[10]),
    FIELD("r11", gpr[11]),
    FIELD("r12", gpr[12]),
    FIELD("r13", gpr[13]),
    FIELD("r14", gpr[14]),
    FIELD("r15", gpr[15]),
    FIELD("cr0", cr0),
    FIELD("cr2", cr2),
    FIELD("cr3", cr3),
    FIELD("cr4", cr4),
    FIELD("efer", efer),
    FIELD("dr0", dr[0]),
    FIELD("dr1", dr[1]),
    FIELD("dr2", dr[2]),
    FIELD("dr3", dr[3]),
    FIELD("dr6", dr6),
    FIELD("dr7", dr7),
    FIELD("star", star),
    FIELD("lstar", lstar),
    FIELD("cstar", cstar),
    FIELD("fmask", fmask),
    FIELD("kernel_gs_base", kernel_gs_base),
    FIELD("sysenter_cs", sysenter_cs),
    FIELD("sysenter_esp", sysenter_esp),
    FIELD("sysenter_eip", sysenter_eip),
    FIELD("pat", pat),
    FIELD("intr_shadow", intr_shadow),
    FIELD("pending_dbg", pending_dbg),
    FIELD("gdtr.base", gdtr.base),
    FIELD("gdtr.limit", gdtr.limit),
    FIELD("idtr.base", idtr.base),
    FIELD("idtr.limit", idtr.limit),
};

static uint64_t value(const struct x86_state *s, const struct field *f)
{
	uint64_t v = 0;

	memcpy(&v, (const uint8_t *)s + f->at, f->size);
	return v;
}

static const char *const segment_names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

static const struct x86_seg *segment(const struct x86_state *s, unsigned n)
{
	return n < X86_SREG_COUNT ? &s->seg[n] : n == X86_SREG_COUNT ? &s->ldtr : &s->tr;
}

/* Of an unusable register only the selector means something; of SS the DPL too, and of FS and GS the base. */
static bool same_segment(const struct x86_seg *a, const struct x86_seg *b, unsigned n, bool lma)
{
	if (a->sel != b->sel || (a->attr ^ b->attr) & SEG_UNUSABLE)
		return false;
	if (lma && (a->attr & SEG_UNUSABLE) && (n == X86_FS || n == X86_GS) && a->base != b->base)
		return false;
	if (a->attr & SEG_UNUSABLE)
		return n != X86_SS || !((a->attr ^ b->attr) & SEG_DPL);
	/* L and D/B of a system segment mean nothing */
	return a->base == b->base && a->limit == b->limit &&
	       !((a->attr ^ b->attr) & (n < X86_SREG_COUNT ? 0xf0ff : 0x90ff));
}

static const char *compare_state(const struct x86_state *a, const struct x86_state *b)
{
	for (size_t n = 0; n < ARRAY_LEN(fields); n++)
		if (value(a, &fields[n]) != value(b, &fields[n]))
			return fields[n].name;
	for (unsigned n = 0; n < ARRAY_LEN(segment_names); n++)
		if (!same_segment(segment(a, n), segment(b, n), n, a->efer & EFER_LMA))
			return segment_names[n];
	return NULL;
}

static size_t first_difference(const struct pf_result *a, const struct pf_result *b)
{
	size_t n = 0;

	while (n < PF_SIZE && a->area[n] == b->area[n])
		n++;
	return n;
}

/* --- What is not compared ---------------------------------------------------------------------------------------- */

/* RF after an exit says how the processor counts its own way to the exit [SDM 3C "Saving RIP, RSP, RFLAGS, and SSP"]:
 * 1 after a fault and an EPT violation, 0 after an instruction that exits. Ours leaves it as it was, Bochs has 0.
 * Whoever injects the fault sets it. CS in real mode: Bochs has a data type there, ours what was loaded last. */
/* "They may or may not be set if the breakpoint is not enabled" [SDM 3B "Debug Status Register (DR6)"]. */
static uint64_t enabled_breakpoints(uint64_t dr7)
{
	uint64_t mask = 0;

	for (unsigned n = 0; n < 4; n++)
		mask |= dr7 >> (2 * n) & 3 ? 1u << n : 0;
	return mask;
}

static void normalise(const struct pf_case *k, struct pf_result *r)
{
	uint64_t noise = 0xf & ~enabled_breakpoints(k->s.dr7);
	bool is_db = r->e.reason == EXIT_EXCEPTION_NMI && (uint8_t)r->e.intr_info == VEC_DB;

	r->s.rflags &= ~(uint64_t)FLAG_RF;
	r->s.dr7 &= ~(uint64_t)0x800; /* RTM, which our processor does not have */
	r->s.dr6 &= ~(uint64_t)0x10000;
	if (!(r->s.cr0 & CR0_PE))
		r->s.seg[X86_CS].attr &= ~8u;
	if (is_db)
		r->e.qual &= ~noise;
	r->s.pending_dbg &= ~noise;
	if (k->code[0] == 0x0f && (k->code[1] == 0x31 || (k->code[1] == 0x01 && k->code[2] == 0xf9)))
		r->s.gpr[X86_RAX] = r->s.gpr[X86_RDX] = 0; /* RDTSC, RDTSCP: time */
}

/* --- Known and explained: docs/PRIVILEGED.md --------------------------------------------------------------------- */

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
	BOCHS_SYSRET_RSP,
	NO_PSE36,
	EPT_RMW,
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
    [BOCHS_SYSRET_RSP] = "SYSRET to compatibility mode: the upper half of RSP is undefined",
    [NO_PSE36] = "PSE-36, which our CPUID does not offer",
    [EPT_RMW] = "EPT violation of a read-modify-write: read and write, or write",
};

size_t pf_explanations(void)
{
	return ARRAY_LEN(explanations);
}

const char *pf_explanation(size_t n)
{
	return explanations[n];
}

static unsigned opcode_at(const struct pf_case *k)
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
	return a->e.reason == EXIT_EXCEPTION_NMI && b->e.reason == EXIT_EXCEPTION_NMI &&
	       a->e.intr_info == b->e.intr_info && a->e.intr_error == b->e.intr_error &&
	       a->e.idt_info == b->e.idt_info && !compare_state(&a->s, &b->s);
}

/* Two accesses of one instruction that both fail: which one is told differs. */
static bool same_but_for_address(const struct pf_result *a, const struct pf_result *b)
{
	uint64_t d = a->e.reason == EXIT_EPT_VIOLATION ? a->e.gla - b->e.gla : a->e.qual - b->e.qual;

	if (a->e.reason != b->e.reason || d + 16 > 32 || compare_state(&a->s, &b->s))
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
	if (second == 0x07 && !has_rex_w(k, op) && (uint32_t)a->s.gpr[X86_RSP] == b->s.gpr[X86_RSP] &&
	    a->s.gpr[X86_RSP] >> 32)
		return BOCHS_SYSRET_RSP;
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
	same = !compare_state(&a->s, &b->s);
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
	if (k->mode < PF_PROT16 && (opcode == 0xca || opcode == 0xcb || opcode == 0xcf) && same_but_for_address(a, b))
		return BOCHS_ORDER;
	if (far_call && k->lma && k->mode != PF_LONG64 && (k->s.seg[X86_SS].base || b->e.reason != a->e.reason))
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

static int explain_first(const struct pf_case *k, const struct pf_result *a, struct pf_result *b)
{
	unsigned op = opcode_at(k), opcode = k->code[op];
	int why = opcode == 0x0f ? explain_system(k, a, b, op) : explain_stack(k, a, b, op);

	if (why)
		return why;
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

static const char *first_difference_of(const struct pf_result *ours, const struct pf_result *theirs)
{
	const char *what;

	if (ours->e.reason != theirs->e.reason)
		return "reason";
	what = exit_fields_differ(&ours->e, &theirs->e);
	if (what)
		return what;
	if (ours->e.reason == EXIT_EPT_VIOLATION && ours->e.gpa != theirs->e.gpa)
		return "gpa";
	what = compare_state(&ours->s, &theirs->s);
	if (what)
		return what;
	return pf_equal(ours->area, theirs->area, PF_SIZE) ? NULL : "memory";
}

const char *pf_compare(const struct pf_case *k, struct pf_result *ours, struct pf_result *theirs, int *explained)
{
	const uint32_t shadow = INTR_SHADOW_STI | INTR_SHADOW_MOVSS;
	const char *what;
	int why = DIFFERENT;

	normalise(k, ours);
	normalise(k, theirs);
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
	what = first_difference_of(ours, theirs);
	*explained = what ? explain_first(k, ours, theirs) : why;
	return what ? what : why ? "explained" : NULL;
}

/* --- For people -------------------------------------------------------------------------------------------------- */

static const char *const mode_names[PF_MODES] = {"real", "v86", "prot16", "prot32", "compat16", "compat32", "long64"};

static void tell_exit(const char *who, const struct vm_exit *e)
{
	pf_say("  %s exit %u qual %llx intr %x:%x idt %x:%x len %u info %x gla %llx gpa %llx", who, e->reason,
	    (unsigned long long)e->qual, e->intr_info, e->intr_error, e->idt_info, e->idt_error, e->insn_len,
	    e->insn_info, (unsigned long long)e->gla, (unsigned long long)e->gpa);
}

static void tell_segment(const struct pf_case *k, unsigned n, const struct x86_seg *a, const struct x86_seg *b)
{
	const struct x86_seg *s = segment(&k->s, n);

	pf_say("  %s: before %x:%llx:%x:%x ours %x:%llx:%x:%x theirs %x:%llx:%x:%x", segment_names[n], s->sel,
	    (unsigned long long)s->base, s->limit, s->attr, a->sel, (unsigned long long)a->base, a->limit, a->attr,
	    b->sel, (unsigned long long)b->base, b->limit, b->attr);
}

static uint32_t word(const struct pf_case *k, uint64_t addr)
{
	uint32_t v = 0;

	if (addr - PF_BASE + 4 <= PF_SIZE)
		memcpy(&v, k->area + addr - PF_BASE, 4);
	return v;
}

void pf_tell(const struct pf_case *k, const struct pf_result *ours, const struct pf_result *theirs, const char *what)
{
	const struct x86_state *a = &ours->s, *b = &theirs->s, *s = &k->s;
	char code[3 * 16 + 1] = "";
	size_t at = first_difference(ours, theirs);

	for (unsigned n = 0; n < k->len && n < 16; n++)
		fmt_snprintf(code + 3 * n, 4, "%02x ", k->code[n]);
	pf_say("DIFF %llu %s %s cpl %u: %s", (unsigned long long)k->index, k->what, mode_names[k->mode], k->cpl, what);
	pf_say("  code %s at %llx cs %x:%llx:%x:%x rip %llx rsp %llx ss %x:%x flags %llx", code,
	    (unsigned long long)k->at, s->seg[X86_CS].sel, (unsigned long long)s->seg[X86_CS].base,
	    s->seg[X86_CS].limit, s->seg[X86_CS].attr, (unsigned long long)s->rip, (unsigned long long)s->gpr[X86_RSP],
	    s->seg[X86_SS].sel, s->seg[X86_SS].attr, (unsigned long long)s->rflags);
	pf_say("  cr0 %llx cr3 %llx cr4 %llx efer %llx dr6 %llx dr7 %llx shadow %x dbg %llx event %x:%x",
	    (unsigned long long)s->cr0, (unsigned long long)s->cr3, (unsigned long long)s->cr4,
	    (unsigned long long)s->efer, (unsigned long long)s->dr6, (unsigned long long)s->dr7, s->intr_shadow,
	    (unsigned long long)s->pending_dbg, s->pending_event, s->pending_error);
	pf_say("  rax %llx rcx %llx rdx %llx rbx %llx rsi %llx rdi %llx dr %llx %llx %llx %llx",
	    (unsigned long long)s->gpr[0], (unsigned long long)s->gpr[1], (unsigned long long)s->gpr[2],
	    (unsigned long long)s->gpr[3], (unsigned long long)s->gpr[6], (unsigned long long)s->gpr[7],
	    (unsigned long long)s->dr[0], (unsigned long long)s->dr[1], (unsigned long long)s->dr[2],
	    (unsigned long long)s->dr[3]);
	if (k->code[opcode_at(k)] == 0xcd)
		pf_say("  gates %08x %08x, %08x %08x", word(k, PF_IDT + 8 * k->code[opcode_at(k) + 1]),
		    word(k, PF_IDT + 4 + 8 * k->code[opcode_at(k) + 1]),
		    word(k, PF_IDT + 16 * k->code[opcode_at(k) + 1]),
		    word(k, PF_IDT + 4 + 16 * k->code[opcode_at(k) + 1]));
	tell_exit("ours  ", &ours->e);
	tell_exit("theirs", &theirs->e);
	for (size_t n = 0; n < ARRAY_LEN(fields); n++)
		if (value(a, &fields[n]) != value(b, &fields[n]))
			pf_say("  %s: before %llx ours %llx theirs %llx", fields[n].name,
			    (unsigned long long)value(s, &fields[n]), (unsigned long long)value(a, &fields[n]),
			    (unsigned long long)value(b, &fields[n]));
	for (unsigned n = 0; n < ARRAY_LEN(segment_names); n++)
		if (!same_segment(segment(a, n), segment(b, n), n, a->efer & EFER_LMA))
			tell_segment(k, n, segment(a, n), segment(b, n));
	if (at < PF_SIZE) {
		uint64_t x, y;

		at &= ~7ull;
		memcpy(&x, ours->area + at, 8);
		memcpy(&y, theirs->area + at, 8);
		pf_say("  memory at %llx: ours %016llx theirs %016llx", (unsigned long long)(PF_BASE + at),
		    (unsigned long long)x, (unsigned long long)y);
	}
}
