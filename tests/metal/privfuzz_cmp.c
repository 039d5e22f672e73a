/*
 * What must be equal after a case, and how a difference is told.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"
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

const char *pf_state_differs(const struct x86_state *a, const struct x86_state *b)
{
	for (size_t n = 0; n < ARRAY_LEN(fields); n++)
		if (value(a, &fields[n]) != value(b, &fields[n]))
			return fields[n].name;
	for (unsigned n = 0; n < ARRAY_LEN(segment_names); n++)
		if (!same_segment(segment(a, n), segment(b, n), n, a->efer & EFER_LMA))
			return segment_names[n];
	if ((a->cr0 & CR0_PG) && (a->cr4 & CR4_PAE) && !(a->efer & EFER_LMA))
		for (unsigned n = 0; n < 4; n++)
			if (a->pdpte[n] != b->pdpte[n])
				return "pdpte";
	return NULL;
}

static size_t first_byte(const struct pf_result *a, const struct pf_result *b)
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

void pf_normalise(const struct pf_case *k, struct pf_result *r)
{
	uint64_t noise = 0xf & ~enabled_breakpoints(k->s.dr7);
	bool is_db = r->e.reason == EXIT_EXCEPTION_NMI && (uint8_t)r->e.intr_info == VEC_DB;
	const uint8_t *op = k->code + pf_opcode_at(k);

	r->s.rflags &= ~(uint64_t)FLAG_RF;
	r->s.dr7 &= ~(uint64_t)0x800; /* RTM, which our processor does not have */
	r->s.dr6 &= ~(uint64_t)0x10000;
	if (!(r->s.cr0 & CR0_PE))
		r->s.seg[X86_CS].attr &= ~8u;
	if (is_db)
		r->e.qual &= ~noise;
	r->s.pending_dbg &= ~noise;
	if (r->s.rip != k->s.rip && op[0] == 0x0f && (op[1] == 0x31 || (op[1] == 0x01 && op[2] == 0xf9)))
		r->s.gpr[X86_RAX] = r->s.gpr[X86_RDX] = 0; /* RDTSC, RDTSCP: time */
}

/* --- The comparison ----------------------------------------------------------------------------------------------- */

const char *pf_first_difference(const struct pf_result *ours, const struct pf_result *theirs)
{
	const char *what;

	if (ours->e.reason != theirs->e.reason)
		return "reason";
	what = exit_fields_differ(&ours->e, &theirs->e);
	if (what)
		return what;
	if (ours->e.reason == EXIT_EPT_VIOLATION && ours->e.gpa != theirs->e.gpa)
		return "gpa";
	what = pf_state_differs(&ours->s, &theirs->s);
	if (what)
		return what;
	return pf_equal(ours->area, theirs->area, PF_SIZE) ? NULL : "memory";
}

/* Rules until nothing differs, one ends the comparison, or none knows. Returns what is left; *why: the last rule used.
 */
const char *pf_reduce(const struct pf_case *k, struct pf_result *ours, struct pf_result *theirs, int *why)
{
	const char *what = pf_first_difference(ours, theirs);

	for (unsigned n = 0; n < 8 && what; n++) {
		int rule = pf_explain(k, ours, theirs);

		if (!rule)
			return what;
		*why = rule < 0 ? -rule : rule;
		if (rule > 0)
			return NULL;
		what = pf_first_difference(ours, theirs);
	}
	return what;
}

const char *pf_compare(const struct pf_case *k, struct pf_result *ours, struct pf_result *theirs, int *explained)
{
	const char *what;
	int why;

	pf_normalise(k, ours);
	pf_normalise(k, theirs);
	why = pf_explain_away(k, ours, theirs);
	what = pf_reduce(k, ours, theirs, &why);
	*explained = what ? 0 : why;
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
	size_t at = first_byte(ours, theirs);

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
	pf_say("  tr %x:%llx:%x:%x exceptions %x", s->tr.sel, (unsigned long long)s->tr.base, s->tr.limit, s->tr.attr,
	    k->exceptions);
	if (k->code[pf_opcode_at(k)] == 0xcd)
		pf_say("  gates %08x %08x, %08x %08x", word(k, PF_IDT + 8 * k->code[pf_opcode_at(k) + 1]),
		    word(k, PF_IDT + 4 + 8 * k->code[pf_opcode_at(k) + 1]),
		    word(k, PF_IDT + 16 * k->code[pf_opcode_at(k) + 1]),
		    word(k, PF_IDT + 4 + 16 * k->code[pf_opcode_at(k) + 1]));
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
