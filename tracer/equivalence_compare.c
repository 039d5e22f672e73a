/*
 * What is compared, field by field, and what a difference looks like on paper.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/x86/insn.h"
#include "tracer/equivalence_impl.h"
#include "tracer/exit_fields.h"

/* Architectural bits outside the status flags; RF is left to the instruction in progress. */
#define FLAGS_COMPARED                                                                                                \
	(FLAGS_STATUS | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP | \
	    FLAG_ID)

static const char *const gpr_names[16] = {
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};

static void registers_text(const struct x86_state *s, char *buf, size_t n)
{
	size_t at = 0;

	if (!s) {
		snprintf(buf, n, "(not readable)");
		return;
	}
	for (unsigned i = 0; i < 16 && at < n; i++)
		at += (size_t)snprintf(buf + at, n - at, "%-3s %016llx%s", gpr_names[i], (unsigned long long)s->gpr[i],
		    i % 4 == 3 ? "\n" : "  ");
	if (at < n)
		snprintf(buf + at, n - at,
		    "rip %016llx  rflags %08llx  cr0 %08llx  cr2 %llx  cr3 %llx  cr4 %llx  efer %llx\n"
		    "cs %04x base %llx  ss %04x base %llx  ds %04x base %llx  es %04x base %llx\n",
		    (unsigned long long)s->rip, (unsigned long long)s->rflags, (unsigned long long)s->cr0,
		    (unsigned long long)s->cr2, (unsigned long long)s->cr3, (unsigned long long)s->cr4,
		    (unsigned long long)s->efer, s->seg[X86_CS].sel, (unsigned long long)s->seg[X86_CS].base,
		    s->seg[X86_SS].sel, (unsigned long long)s->seg[X86_SS].base, s->seg[X86_DS].sel,
		    (unsigned long long)s->seg[X86_DS].base, s->seg[X86_ES].sel,
		    (unsigned long long)s->seg[X86_ES].base);
}

/* Bytes and mnemonic of the instruction at rip, from the reference's memory. */
static void disassemble(struct equivalence *q, uint64_t rip, char *buf, size_t n)
{
	uint8_t bytes[15];
	struct x86_insn i;
	size_t got = x86_peek(&q->r->cpu, q->r->cpu.s.seg[X86_CS].base + rip, bytes, sizeof bytes), at = 0;

	if (!got || x86_decode(bytes, got, q->r->cpu.code_size, (enum x86_mode)q->r->cpu.mode, &i) != DECODE_OK) {
		snprintf(buf, n, "(no instruction can be read there)");
		return;
	}
	for (unsigned k = 0; k < i.len && at < n; k++)
		at += (size_t)snprintf(buf + at, n - at, "%02x ", bytes[k]);
	if (at < n)
		snprintf(buf + at, n - at, " %s", x86_insn_name(i.id));
}

void diverge(struct equivalence *q, const char *field, uint64_t rip)
{
	struct equivalence_divergence *d = &q->out->first;

	if (d->found)
		return;
	d->found = true;
	d->index = q->index;
	d->rip = rip;
	snprintf(d->field, sizeof d->field, "%s", field);
	registers_text(vcpu_state(q->s), d->subject_regs, sizeof d->subject_regs);
	registers_text(vcpu_state(q->r), d->reference_regs, sizeof d->reference_regs);
	disassemble(q, rip, d->disassembly, sizeof d->disassembly);
}

static uint64_t flags_mask(const struct equivalence *q)
{
	return FLAGS_COMPARED & ~(uint64_t)q->undefined;
}

bool registers_equal(const struct equivalence *q, const struct x86_state *a, const struct x86_state *b)
{
	return memcmp(a->gpr, b->gpr, sizeof a->gpr) == 0 && a->rip == b->rip &&
	       ((a->rflags ^ b->rflags) & flags_mask(q)) == 0;
}

static uint64_t count_of(const struct vcpu *v, const struct vm_exit *e)
{
	uint64_t rcx = v->cpu.s.gpr[X86_RCX];
	unsigned size = e->io.addr_size;

	return size == 2 ? (uint16_t)rcx : size == 4 ? (uint32_t)rcx : rcx;
}

/* A REP whose last iteration is done, but whose rip has not moved: the next entry does only that. */
static bool rep_tail(const struct equivalence *q, const struct vm_exit *s, const struct x86_state *a)
{
	bool string =
	    s && ((s->reason == EXIT_IO_INSTRUCTION && s->io.rep) || (s->reason == EXIT_EPT_VIOLATION && q->last_rep));

	if (!string || a->rip != s->rip)
		return false;
	return s->reason == EXIT_IO_INSTRUCTION
		   ? count_of(q->s, s) == 0
		   : (a->gpr[X86_RCX] & (q->s->cpu.code_size == 2 ? 0xffffu : UINT64_MAX)) == 0;
}

void adopt_undefined_flags(struct equivalence *q, uint64_t rflags)
{
	uint64_t mask = FLAGS_STATUS & q->undefined;
	struct x86_state *b = vcpu_state(q->r);

	if (!b || !((rflags ^ b->rflags) & mask))
		return;
	b = vcpu_state_for_write(q->r, DIRTY_GPR);
	if (!b)
		return;
	b->rflags = (b->rflags & ~mask) | (rflags & mask);
	q->out->exempt[EXEMPT_UNDEFINED_FLAGS]++;
}

bool compare_registers(struct equivalence *q, const struct vm_exit *s, uint64_t rip)
{
	const struct x86_state *a = vcpu_state(q->s), *b = vcpu_state(q->r);
	uint64_t flags;

	if (!a || !b) {
		diverge(q, "state", rip);
		return false;
	}
	for (unsigned i = 0; i < 16; i++) {
		if (a->gpr[i] == b->gpr[i])
			continue;
		diverge(q, gpr_names[i], rip);
		return false;
	}
	if (a->rip != b->rip) {
		if (!rep_tail(q, s, a)) {
			diverge(q, "rip", rip);
			return false;
		}
		q->out->exempt[EXEMPT_REP_TAIL]++;
		q->rep_tail = true;
	}
	flags = a->rflags ^ b->rflags;
	if (flags & flags_mask(q)) {
		diverge(q, "rflags", rip);
		return false;
	}
	adopt_undefined_flags(q, a->rflags);
	return true;
}

static void describe(const struct vm_exit *e, char *buf, size_t n)
{
	struct sequence_item item = {.reason = e->reason};

	item.n = sequence_values(e, item.value);
	sequence_describe(&item, buf, n);
}

static bool exit_field(
    struct equivalence *q, const struct vm_exit *s, const struct vm_exit *r, bool equal, const char *field)
{
	struct equivalence_divergence *d = &q->out->first;

	if (equal)
		return true;
	diverge(q, field, s->rip);
	describe(s, d->exit, sizeof d->exit);
	describe(r, d->reference_exit, sizeof d->reference_exit);
	return false;
}

static bool compare_io(struct equivalence *q, const struct vm_exit *s, const struct vm_exit *r)
{
	return exit_field(q, s, r, s->io.port == r->io.port, "port") &&
	       exit_field(q, s, r, s->io.size == r->io.size, "size") &&
	       exit_field(q, s, r, s->io.in == r->io.in, "direction") &&
	       exit_field(q, s, r, s->io.value == r->io.value && !q->wrong_write, "value");
}

/* An instruction that reads and writes shows its first access under KVM, its last one elsewhere. */
static bool compare_mmio(struct equivalence *q, const struct vm_exit *s, const struct vm_exit *r)
{
	if (!exit_field(q, s, r, s->gpa == r->gpa, "gpa"))
		return false;
	if (s->mmio.n_accesses > 1 || r->mmio.n_accesses > 1)
		return exit_field(q, s, r, !q->wrong_write, "value");
	return exit_field(q, s, r, s->mmio.write == r->mmio.write, "direction") &&
	       exit_field(q, s, r, s->mmio.size == r->mmio.size, "size") &&
	       exit_field(q, s, r, s->mmio.value == r->mmio.value && !q->wrong_write, "value");
}

static bool compare_msr(struct equivalence *q, const struct vm_exit *s, const struct vm_exit *r)
{
	return exit_field(q, s, r, s->msr.index == r->msr.index, "msr") &&
	       exit_field(q, s, r, s->msr.fault == r->msr.fault, "fault") &&
	       exit_field(q, s, r, s->msr.fault || s->msr.value == r->msr.value, "value");
}

bool compare_exit(struct equivalence *q, const struct vm_exit *s, const struct vm_exit *r)
{
	if (!exit_field(q, s, r, s->reason == r->reason, "reason"))
		return false;
	if (s->reason == EXIT_TRIPLE_FAULT) {
		q->out->exempt[EXEMPT_SHUTDOWN_STATE]++;
		return true;
	}
	if (!exit_field(q, s, r, s->rip == r->rip, "rip"))
		return false;
	/* A host's kernel shows none of these; bare metal shows all of them. */
	if (q->subject->cfg.mode->type == VMM_TYPE_I) {
		const char *field = exit_fields_differ(s, r);
		if (!exit_field(q, s, r, field == NULL, field))
			return false;
	}
	switch (s->reason) {
	case EXIT_IO_INSTRUCTION:
		return compare_io(q, s, r);
	case EXIT_EPT_VIOLATION:
		return compare_mmio(q, s, r);
	case EXIT_MSR_READ:
	case EXIT_MSR_WRITE:
		return compare_msr(q, s, r);
	default:
		return true;
	}
}

/* --- Memory --------------------------------------------------------------------------------------------------------
 */

void note_root(struct equivalence *q, const struct x86_state *s)
{
	unsigned i;

	if (!s || !(s->cr0 & CR0_PG))
		return;
	for (i = 0; i < q->n_roots; i++)
		if (q->roots[i].cr3 == s->cr3 && q->roots[i].efer == s->efer && q->roots[i].cr4 == s->cr4)
			return;
	i = q->n_roots < ROOTS_MAX ? q->n_roots++ : q->next_root++ % ROOTS_MAX;
	q->roots[i].cr3 = s->cr3;
	q->roots[i].cr0 = s->cr0;
	q->roots[i].cr4 = s->cr4;
	q->roots[i].efer = s->efer;
}

static void mark(uint8_t *tables, uint64_t pages, gpa_t gpa)
{
	if (gpa >> PAGE_SHIFT_4K < pages)
		tables[gpa >> PAGE_SHIFT_4K] = 1;
}

/* Marks every page of RAM that is a page table of this hierarchy [SDM 3A "Paging"]. width: bytes an entry. */
static void mark_tables(
    struct equivalence *q, uint8_t *tables, gpa_t table, unsigned level, unsigned width, unsigned entries)
{
	struct guest_mem *m = &q->reference->mem;

	mark(tables, m->ram_size >> PAGE_SHIFT_4K, table);
	if (level == 1)
		return;
	for (unsigned i = 0; i < entries; i++) {
		uint64_t pte = 0;

		if (mem_read(m, table + (gpa_t)i * width, &pte, width) != ERR_OK || !(pte & 1))
			continue;
		if (level < 4 && (pte & 0x80)) /* a large page; in the top level of 4 the bit is reserved */
			continue;
		mark_tables(q, tables, pte & 0x000ffffffffff000ull, level - 1, width, 4096 / width);
	}
}

static void mark_root(struct equivalence *q, uint8_t *tables, unsigned i)
{
	uint64_t cr3 = q->roots[i].cr3;

	if (q->roots[i].efer & EFER_LMA)
		mark_tables(q, tables, cr3 & 0x000ffffffffff000ull, 4, 8, 512);
	else if (q->roots[i].cr4 & CR4_PAE)
		mark_tables(q, tables, cr3 & 0xffffffe0u, 3, 8, 4);
	else
		mark_tables(q, tables, cr3 & 0xfffff000u, 2, 4, 1024);
}

/* RAM offset to guest-physical address. */
static gpa_t gpa_of(const struct guest_mem *m, uint64_t offset)
{
	for (unsigned i = 0; i < m->n_slots; i++) {
		const struct mem_slot *s = &m->slots[i];
		const uint8_t *p = s->read ? s->read : s->write;

		if (p && m->ram + offset >= p && m->ram + offset < p + s->len)
			return s->gpa + (gpa_t)(m->ram + offset - p);
	}
	return offset;
}

/* A flags image on a stack: bit 1 set, reserved bits clear, IF as all our guests' faults have it or not. */
static bool looks_like_flags(uint32_t v)
{
	return (v & 0xffc0802au) == 2;
}

/* Differences that are exempt by name. */
static bool exempt_word(struct equivalence *q, const uint8_t *tables, uint64_t offset, uint32_t x, uint32_t y)
{
	if ((x ^ y) == 0x20 && tables && tables[gpa_of(&q->reference->mem, offset) >> PAGE_SHIFT_4K]) {
		q->out->exempt[EXEMPT_ACCESSED_BIT]++;
		return true;
	}
	if ((x ^ y) == FLAG_RF && looks_like_flags(x) && looks_like_flags(y)) {
		q->out->exempt[EXEMPT_RESUME_FLAG]++;
		return true;
	}
	return false;
}

/* The first byte that differs for another reason than an accessed bit in a page table; ram_size when there is none. */
static uint64_t first_difference(struct equivalence *q)
{
	const struct guest_mem *a = &q->subject->mem, *b = &q->reference->mem;
	uint8_t *tables = NULL;
	uint64_t at = a->ram_size;

	for (uint64_t page = 0; page < a->ram_size && at == a->ram_size; page += PAGE_SIZE_4K) {
		if (memcmp(a->ram + page, b->ram + page, PAGE_SIZE_4K) == 0)
			continue;
		if (!tables) {
			tables = calloc(1, a->ram_size >> PAGE_SHIFT_4K);
			for (unsigned i = 0; tables && i < q->n_roots; i++)
				mark_root(q, tables, i);
		}
		for (uint64_t o = page; o < page + PAGE_SIZE_4K; o += 4) {
			uint32_t x, y;

			memcpy(&x, a->ram + o, 4);
			memcpy(&y, b->ram + o, 4);
			if (x == y || exempt_word(q, tables, o, x, y))
				continue;
			at = o;
			while (a->ram[at] == b->ram[at])
				at++;
			break;
		}
	}
	free(tables);
	return at;
}

bool compare_memory(struct equivalence *q)
{
	struct equivalence_divergence *d = &q->out->first;
	const struct guest_mem *a = &q->subject->mem, *b = &q->reference->mem;
	uint64_t at;

	q->out->checkpoints++;
	at = first_difference(q);
	if (at == a->ram_size)
		return true;
	if (!d->found)
		diverge(q, "memory", q->r->cpu.s.rip);
	d->memory_differs = true;
	d->memory_gpa = gpa_of(b, at);
	d->memory_subject = a->ram[at];
	d->memory_reference = b->ram[at];
	return false;
}
