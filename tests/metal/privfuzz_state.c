/*
 * The random machine state of a case: mode, control registers, flags, segments, descriptor tables, task-state segments,
 * page tables, debug registers. Well-formed for the most part, so that cases get beyond the first check; each table
 * spoilt here and there. VM entry refuses what it cannot accept; those cases are not counted.
 */
#include "core/lib.h"
#include "core/x86/paging.h"
#include "core/x86/segment.h"
#include "tests/metal/privfuzz.h"

#define G 0x8000u
#define DB 0x4000u
#define L 0x2000u
#define BASE16 PF_BASE /* 16-bit segments cannot reach above 64 KiB */

uint64_t pf_value(struct pf_case *k)
{
	uint64_t v = pf_u64(k);

	switch (pf_below(k, 8)) {
	case 0:
		return v & 0xff;
	case 1:
		return (uint16_t)v;
	case 2:
		return (uint32_t)v;
	case 3:
		return 1ull << (v & 63);
	case 4:
		return PF_BASE + v % PF_SIZE;
	case 5:
		return ~0ull << (v & 63);
	case 6:
		return 0xffff800000000000ull | (v & 0xffff);
	default:
		return v;
	}
}

uint64_t pf_address(struct pf_case *k)
{
	static const uint32_t pages[] = {PF_DATA, PF_DATA, PF_DATA, PF_STACK, PF_GDT, PF_CODE + 0x2000, PF_IDT};
	uint64_t at = pages[pf_below(k, ARRAY_LEN(pages))];

	if (pf_percent(k, 4))
		return PF_CODE_END - 16 + pf_below(k, 32); /* the end of what is mapped */
	if (pf_percent(k, 8))
		return at + 0x1000 - pf_below(k, 12);
	return at + (pf_percent(k, 70) ? pf_below(k, 0xfc0) & ~7u : pf_below(k, 0xfc0));
}

uint64_t pf_code_target(struct pf_case *k, uint64_t base)
{
	if (pf_percent(k, 4))
		return pf_value(k);
	return PF_CODE + 0x800 + pf_below(k, 0x1800) - base;
}

uint64_t pf_stack_target(struct pf_case *k, uint64_t base)
{
	if (pf_percent(k, 3))
		return pf_value(k);
	return PF_STACK + 0x400 + (pf_below(k, 0x800) & (pf_percent(k, 90) ? ~7u : ~0u)) - base;
}

/* --- Descriptors ------------------------------------------------------------------------------------------------- */

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
	uint32_t l = attr & G ? limit >> 12 : limit;

	return (l & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xf0ff) << 40 |
	       (uint64_t)(l >> 16 & 0xf) << 48 | (uint64_t)(base >> 24) << 56;
}

static void put_desc(struct pf_case *k, uint64_t table, unsigned slot, uint64_t d)
{
	pf_put(k, table + 8ull * slot, 8, d);
}

static uint32_t code_attr(unsigned size, unsigned dpl)
{
	return 0x9au | dpl << 5 | (size == 8 ? G | L : size == 4 ? G | DB : 0);
}

static void put_code(struct pf_case *k, uint64_t table, unsigned slot, unsigned size, uint32_t attr)
{
	bool small = size == 2;

	put_desc(k, table, slot, descriptor(small ? BASE16 : 0, small ? 0xffff : UINT32_MAX, attr));
}

static void put_data(struct pf_case *k, uint64_t table, unsigned slot, unsigned size, uint32_t attr)
{
	bool small = size == 2;

	put_desc(
	    k, table, slot, descriptor(small ? BASE16 : 0, small ? 0xffff : UINT32_MAX, attr | (small ? 0 : G | DB)));
}

static void put_segments(struct pf_case *k, uint64_t table)
{
	unsigned size = k->lma ? 8 : k->size, other = size == 2 ? 4 : 2, data = size == 2 ? 2 : 4;

	if (k->lma && pf_percent(k, 50))
		other = 4;
	put_code(k, table, PF_S_CODE0, size, code_attr(size, 0));
	put_data(k, table, PF_S_DATA0, data, 0x92);
	put_code(k, table, PF_S_CODE3, size, code_attr(size, 3));
	put_data(k, table, PF_S_DATA3, data, 0xf2);
	put_code(k, table, PF_S_OTHER3, other, code_attr(other, 3));
	put_code(k, table, PF_S_OTHER0, other, code_attr(other, 0));
	put_data(k, table, PF_S_DATA16, 2, 0x92);
	put_code(k, table, PF_S_CONFORM0, size, code_attr(size, pf_below(k, 4)) | 4);
	put_code(k, table, PF_S_CODE1, size, code_attr(size, 1));
	put_data(k, table, PF_S_DATA1, data, 0xb2);
	put_code(k, table, PF_S_CODE2, size, code_attr(size, 2));
	put_data(k, table, PF_S_DATA2, data, 0xd2);
	put_data(k, table, PF_S_READ_ONLY, data, 0xf0);
	put_code(k, table, PF_S_EXEC_ONLY, size, code_attr(size, 3) & ~2u);
	put_desc(k, table, PF_S_DOWN, descriptor(size == 2 ? BASE16 : 0, 0x0fff, 0xf6u | (size == 2 ? 0 : DB)));
}

static void put_system(struct pf_case *k, unsigned slot, uint32_t base, uint32_t limit, unsigned type, unsigned dpl)
{
	put_desc(k, PF_GDT, slot, descriptor(base, limit, 0x80 | type | dpl << 5));
	put_desc(k, PF_GDT, slot + 1, k->lma && pf_percent(k, 4) ? pf_u64(k) : 0);
}

static uint16_t code_selector(struct pf_case *k)
{
	static const uint8_t codes[] = {PF_S_CODE0, PF_S_CODE0, PF_S_CODE3, PF_S_CONFORM0, PF_S_CODE1, PF_S_CODE2,
	    PF_S_OTHER0, PF_S_OTHER3, PF_S_EXEC_ONLY};

	if (pf_percent(k, 4))
		return (uint16_t)(pf_below(k, PF_GDT_SLOTS) * 8 + pf_below(k, 8));
	return (uint16_t)(codes[pf_below(k, ARRAY_LEN(codes))] * 8u + pf_below(k, 4));
}

static uint64_t target_for(struct pf_case *k)
{
	return pf_code_target(k, !k->lma && k->size == 2 ? BASE16 : 0);
}

/* A gate of 8 bytes, or 16 in IA-32e mode. extra: parameters, or the IST. */
static void put_gate(struct pf_case *k, uint64_t at, uint16_t sel, uint64_t off, unsigned access, unsigned extra)
{
	pf_put(k, at, 8,
	    (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)(extra & 0xff) << 32 | (uint64_t)access << 40 |
		(off >> 16 & 0xffff) << 48);
	if (k->lma)
		pf_put(k, at + 8, 8, off >> 32);
}

static unsigned gate_type(struct pf_case *k, const uint8_t *types, unsigned n)
{
	return pf_percent(k, 3) ? pf_below(k, 32) : types[pf_below(k, n)];
}

static void put_gdt(struct pf_case *k)
{
	static const uint8_t legacy_gates[] = {DESC_CALL16, DESC_CALL32, DESC_CALL32}, long_gates[] = {DESC_CALL32};
	const uint8_t *types = k->lma ? long_gates : legacy_gates;
	unsigned n = k->lma ? 1 : 3, tss = k->lma || pf_percent(k, 80) ? 8 : 0;

	put_segments(k, PF_GDT);
	put_system(k, PF_S_TSS_A, PF_TSS_A, 0x1ff, DESC_TSS16_BUSY | tss, 0);
	put_system(k, PF_S_TSS_B, PF_TSS_B, 0x67 + pf_below(k, 64), DESC_TSS32, pf_percent(k, 60) ? 3 : 0);
	put_system(k, PF_S_TSS_C, PF_TSS_C, 0x2b + pf_below(k, 64), DESC_TSS16, pf_percent(k, 60) ? 3 : 0);
	put_system(k, PF_S_LDT, PF_LDT, PF_LDT_SLOTS * 8 - 1, DESC_LDT, pf_below(k, 4));
	put_system(k, PF_S_TSS_BUSY, PF_TSS_B, 0x67 + pf_below(k, 64), DESC_TSS32_BUSY, 0);
	for (unsigned slot = PF_S_GATE0; slot <= PF_S_GATE1; slot += 2)
		put_gate(k, PF_GDT + 8 * slot, code_selector(k), target_for(k),
		    (pf_percent(k, 92) ? 0x80u : 0) | (pf_percent(k, 70) ? 0x60 : pf_below(k, 4) << 5) |
			gate_type(k, types, n),
		    pf_percent(k, 60) ? pf_below(k, 6) : pf_below(k, 256));
	put_desc(k, PF_GDT, PF_S_TASK_GATE,
	    (uint64_t)(pf_percent(k, 90) ? PF_S_TSS_B * 8 : pf_below(k, 320)) << 16 |
		(uint64_t)(0x80 | DESC_TASK | (pf_percent(k, 70) ? 0x60 : 0)) << 40);
	put_desc(k, PF_GDT, PF_S_TASK_GATE + 1, 0);
	for (unsigned slot = PF_S_RANDOM; slot < PF_GDT_SLOTS; slot++)
		put_desc(k, PF_GDT, slot, pf_u64(k));
	put_segments(k, PF_LDT);
}

/* One field of a descriptor gets another value. */
void pf_spoil(struct pf_case *k, uint16_t sel)
{
	uint64_t at = (sel & 4 ? PF_LDT : PF_GDT) + (sel & 0xfff8u), access = at + 5;

	if (at - PF_BASE + 16 > PF_SIZE)
		return;
	switch (pf_below(k, 7)) {
	case 0: /* not present */
		k->area[access - PF_BASE] &= 0x7f;
		break;
	case 1:
		k->area[access - PF_BASE] ^= (uint8_t)(1u << pf_below(k, 8));
		break;
	case 2:
		k->area[access + 1 - PF_BASE] ^= (uint8_t)(1u << (4 + pf_below(k, 4)));
		break;
	case 3: /* the limit */
		pf_put(k, at, 2, pf_u64(k));
		k->area[access + 1 - PF_BASE] &= 0x70;
		break;
	case 4: /* the base */
		pf_put(k, at + 2, 2, pf_u64(k));
		break;
	case 5:
		k->area[access - PF_BASE] = (uint8_t)pf_u64(k);
		break;
	default:
		pf_put(k, at, 8, pf_u64(k));
		break;
	}
}

static unsigned plausible_rpl(struct pf_case *k)
{
	return pf_percent(k, 70) ? k->cpl : pf_below(k, 4);
}

uint16_t pf_selector_of(struct pf_case *k, const uint8_t *slots, unsigned n)
{
	uint16_t sel = (uint16_t)(slots[pf_below(k, n)] * 8u + plausible_rpl(k));

	if (sel < 16 * 8 && pf_percent(k, 10))
		sel |= 4;
	if (pf_percent(k, 30))
		pf_spoil(k, sel);
	return sel;
}

uint16_t pf_selector(struct pf_case *k)
{
	uint16_t sel = (uint16_t)(pf_below(k, PF_GDT_SLOTS + 2) * 8 + plausible_rpl(k));

	if (k->mode == PF_REAL || k->mode == PF_V86) {
		static const uint16_t real[] = {0x1000, 0x1400, 0x1600, 0x1700, 0x1800, 0x1234};

		return pf_percent(k, 90) ? real[pf_below(k, ARRAY_LEN(real))] : (uint16_t)pf_u64(k);
	}
	if (pf_percent(k, 5))
		return (uint16_t)pf_below(k, 4); /* null */
	if (pf_percent(k, 4))
		return (uint16_t)pf_u64(k);
	if (pf_percent(k, 15))
		sel = (uint16_t)(pf_below(k, PF_LDT_SLOTS + 1) * 8 + 4 + plausible_rpl(k));
	if (pf_percent(k, 25))
		pf_spoil(k, sel);
	return sel;
}

/* --- Tasks and interrupts ---------------------------------------------------------------------------------------- */

static uint16_t stack_selector(struct pf_case *k, unsigned cpl)
{
	static const uint8_t stacks[] = {PF_S_DATA0, PF_S_DATA1, PF_S_DATA2, PF_S_DATA3};

	if (pf_percent(k, 5))
		return pf_selector(k);
	return (uint16_t)(stacks[cpl] * 8u + cpl);
}

static uint64_t stack_base(const struct pf_case *k)
{
	return k->size == 2 ? BASE16 : 0;
}

/* Registers of a task that could run: offsets of the 32-bit TSS. */
static void put_task32(struct pf_case *k, uint32_t at)
{
	unsigned cpl = pf_below(k, 4);
	static const uint8_t code[] = {PF_S_CODE0, PF_S_CODE1, PF_S_CODE2, PF_S_CODE3};

	pf_put(k, at, 4, pf_percent(k, 80) ? PF_S_TSS_BUSY * 8 : pf_selector(k));
	for (unsigned n = 0; n < 3; n++) {
		pf_put(k, at + 4 + 8 * n, 4, pf_stack_target(k, stack_base(k)));
		pf_put(k, at + 8 + 8 * n, 4, stack_selector(k, n));
	}
	pf_put(k, at + 0x1c, 4, k->s.cr3);
	pf_put(k, at + 0x20, 4, target_for(k));
	pf_put(k, at + 0x24, 4, 2 | (pf_u64(k) & 0x257fd5));
	for (unsigned n = 0; n < 8; n++)
		pf_put(k, at + 0x28 + 4 * n, 4, n == X86_RSP ? pf_stack_target(k, stack_base(k)) : pf_value(k));
	for (unsigned n = 0; n < 6; n++)
		pf_put(k, at + 0x48 + 4 * n, 4, stack_selector(k, cpl));
	pf_put(k, at + 0x4c, 4, code[cpl] * 8u + cpl);
	pf_put(k, at + 0x60, 4, pf_percent(k, 60) ? 0 : PF_S_LDT * 8);
	pf_put(k, at + 0x64, 2, pf_percent(k, 10));
	pf_put(k, at + 0x66, 2, pf_percent(k, 90) ? 0x68 : pf_u64(k));
	for (unsigned n = 0; n < 16; n++) /* the start of the I/O bitmap */
		pf_put(k, at + 0x68 + 8 * n, 8, pf_percent(k, 40) ? 0 : pf_percent(k, 50) ? pf_u64(k) : ~0ull);
}

static void put_task16(struct pf_case *k, uint32_t at)
{
	for (unsigned n = 0; n < 0x2c; n += 2)
		pf_put(k, at + n, 2, pf_value(k));
	for (unsigned n = 0; n < 3; n++) {
		pf_put(k, at + 2 + 4 * n, 2, pf_stack_target(k, stack_base(k)));
		pf_put(k, at + 4 + 4 * n, 2, stack_selector(k, n));
	}
	pf_put(k, at + 0x0e, 2, target_for(k));
	pf_put(k, at + 0x22, 2, PF_S_DATA0 * 8);
	pf_put(k, at + 0x24, 2, PF_S_CODE0 * 8);
	pf_put(k, at + 0x26, 2, PF_S_DATA0 * 8);
	pf_put(k, at + 0x28, 2, PF_S_DATA0 * 8);
	pf_put(k, at + 0x2a, 2, 0);
}

static void put_tss64(struct pf_case *k)
{
	for (unsigned n = 4; n < 0x5c; n += 8)
		pf_put(k, PF_TSS_A + n, 8, pf_percent(k, 4) ? pf_u64(k) : pf_stack_target(k, 0));
	pf_put(k, PF_TSS_A + 0x66, 2, pf_percent(k, 90) ? 0x68 : pf_u64(k));
	for (unsigned n = 0; n < 16; n++)
		pf_put(k, PF_TSS_A + 0x68 + 8 * n, 8, pf_percent(k, 40) ? 0 : pf_percent(k, 50) ? pf_u64(k) : ~0ull);
}

static void put_idt(struct pf_case *k)
{
	static const uint8_t legacy[] = {DESC_INT32, DESC_TRAP32, DESC_INT32, DESC_INT16, DESC_TRAP16, DESC_TASK};
	static const uint8_t wide[] = {DESC_INT32, DESC_TRAP32};

	for (unsigned v = 0; v < PF_IDT_GATES; v++) {
		unsigned type = k->lma ? gate_type(k, wide, 2) : gate_type(k, legacy, ARRAY_LEN(legacy));
		uint16_t sel = type == DESC_TASK ? (uint16_t)(PF_S_TSS_B * 8) : code_selector(k);

		if (k->mode == PF_REAL) {
			pf_put(k, PF_IDT + 4 * v, 2, pf_code_target(k, PF_CODE));
			pf_put(k, PF_IDT + 4 * v + 2, 2, PF_CODE >> 4);
			continue;
		}
		put_gate(k, PF_IDT + (k->lma ? 16 : 8) * v, sel, target_for(k),
		    (pf_percent(k, 95) ? 0x80u : 0) | (pf_percent(k, 60) ? 0x60 : 0) | type,
		    pf_percent(k, 70) ? 0 : pf_below(k, 8));
	}
}

/* --- Paging ------------------------------------------------------------------------------------------------------ */

#define PT_FULL (PTE_P | PTE_W | PTE_U | PTE_A)

static uint64_t spoilt_entry(struct pf_case *k, uint64_t e)
{
	switch (pf_below(k, 9)) {
	case 0:
		return e & ~(uint64_t)PTE_P;
	case 1:
		return e & ~(uint64_t)PTE_W;
	case 2:
		return e ^ PTE_U;
	case 3:
		return e & ~(uint64_t)(PTE_A | PTE_D);
	case 4:
		return e | PTE_NX;
	case 5:
		return e | 1ull << (40 + pf_below(k, 24));
	case 6:
		return e ^ 1ull << pf_below(k, 12);
	case 7:
		return e | (uint64_t)pf_below(k, 16) << 59; /* protection key */
	default:
		return e | PTE_G;
	}
}

static void put_entry(struct pf_case *k, uint32_t table, unsigned n, unsigned size, uint64_t e, unsigned spoil)
{
	if (pf_percent(k, spoil))
		e = spoilt_entry(k, e);
	pf_put(k, table + size * n, size, e);
}

static void put_pages(struct pf_case *k)
{
	unsigned size = k->s.cr4 & CR4_PAE ? 8 : 4;
	uint64_t user = k->cpl == 3 || pf_percent(k, 30) ? PTE_U : 0, leaf = PTE_P | PTE_W | PTE_A | user;

	if (pf_percent(k, 60))
		leaf |= PTE_D;
	if (k->lma)
		put_entry(k, PF_PML4, 0, 8, PF_PDPT | PT_FULL, 1);
	if (k->lma)
		put_entry(k, PF_PDPT, 0, 8, PF_PD | PT_FULL, 1);
	else if (size == 8)
		put_entry(k, PF_PDPT, 0, 8, PF_PD | PTE_P, 1);
	put_entry(k, PF_PD, 0, size, PF_PT | PT_FULL, 1);
	for (unsigned n = PF_BASE >> 12; n < PF_CODE_END >> 12; n++)
		put_entry(k, PF_PT, n, size, (uint64_t)n << 12 | leaf, 3);
	k->s.cr3 = k->lma ? PF_PML4 : size == 8 ? PF_PDPT : PF_PD;
	for (unsigned n = 0; n < 4; n++)
		memcpy(&k->s.pdpte[n], k->area + PF_PDPT - PF_BASE + 8 * n, 8);
}

/* --- Registers --------------------------------------------------------------------------------------------------- */

static void choose_mode(struct pf_case *k)
{
	static const uint8_t weights[PF_MODES] = {8, 10, 10, 22, 6, 12, 32};
	unsigned n = pf_below(k, 100), mode = 0;

	while (n >= weights[mode])
		n -= weights[mode++];
	k->mode = (enum pf_mode)mode;
	k->lma = mode >= PF_COMPAT16;
	k->size = mode == PF_LONG64 ? 8 : mode == PF_PROT32 || mode == PF_COMPAT32 ? 4 : 2;
	k->cpl = mode == PF_REAL     ? 0
		 : mode == PF_V86    ? 3
		 : pf_percent(k, 55) ? 0
		 : pf_percent(k, 80) ? 3
				     : pf_below(k, 4);
}

static void control_registers(struct pf_case *k)
{
	struct x86_state *s = &k->s;
	uint64_t r = pf_u64(k);

	s->cr0 = CR0_ET | CR0_NE | (r & (CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM));
	if (pf_percent(k, 5))
		s->cr0 |= CR0_CD | (r & CR0_NW);
	if (k->mode != PF_REAL)
		s->cr0 |= CR0_PE;
	if (k->lma || (k->mode != PF_REAL && pf_percent(k, 60)))
		s->cr0 |= CR0_PG;
	s->cr4 = pf_u64(k) & k->cr4_may & ~(uint64_t)(CR4_PAE | CR4_PCIDE);
	if (k->lma || pf_percent(k, 50))
		s->cr4 |= CR4_PAE;
	if (k->mode == PF_LONG64 && pf_percent(k, 30))
		s->cr4 |= k->cr4_may & CR4_PCIDE;
	s->efer = (pf_percent(k, 80) ? EFER_SCE : 0) | (pf_percent(k, 70) ? EFER_NXE : 0);
	if (k->lma)
		s->efer |= EFER_LME | EFER_LMA;
	else if (!(s->cr0 & CR0_PG) && pf_percent(k, 20))
		s->efer |= EFER_LME;
	s->cr2 = pf_u64(k);
}

static void flags(struct pf_case *k)
{
	uint64_t r = pf_u64(k);
	uint64_t f = FLAG_R1 | (r & (FLAGS_STATUS | FLAG_IF | FLAG_AC | FLAG_ID | FLAG_IOPL));

	if (pf_percent(k, 12))
		f |= FLAG_DF;
	if (pf_percent(k, 15))
		f |= FLAG_NT;
	if (pf_percent(k, 8))
		f |= FLAG_TF;
	if (pf_percent(k, 8))
		f |= FLAG_RF;
	if (k->mode == PF_V86)
		f |= FLAG_VM;
	if ((k->s.cr4 & CR4_SMAP) && pf_percent(k, 85)) /* where Bochs is wrong, see privfuzz_cmp.c */
		f &= ~(uint64_t)FLAG_AC;
	k->s.rflags = f;
}

static struct x86_seg real_segment(uint16_t sel, uint32_t attr)
{
	return (struct x86_seg){.base = (uint64_t)sel << 4, .limit = 0xffff, .attr = attr, .sel = sel};
}

static void real_segments(struct pf_case *k, uint32_t attr)
{
	static const uint16_t code[] = {0x1000, 0x1800, 0x1700}, data[] = {0x1000, 0x1700, 0x1600, 0x1400};

	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		k->s.seg[n] = real_segment(data[pf_below(k, ARRAY_LEN(data))], attr);
	k->s.seg[X86_CS] = real_segment(code[pf_below(k, ARRAY_LEN(code))], attr);
	k->s.seg[X86_DS] = real_segment(0x1000, attr);
	k->s.seg[X86_SS] = real_segment(0x1000, attr);
}

static void protected_segments(struct pf_case *k)
{
	static const uint8_t code[] = {PF_S_CODE0, PF_S_CODE1, PF_S_CODE2, PF_S_CODE3};
	static const uint8_t data[] = {PF_S_DATA0, PF_S_DATA1, PF_S_DATA2, PF_S_DATA3};
	bool compat = k->lma && k->mode != PF_LONG64, small = k->size == 2;
	uint32_t dpl = k->cpl << 5, limit = small ? 0xffff : UINT32_MAX, base = small ? BASE16 : 0;
	uint32_t data_attr = 0x93 | dpl | (small ? 0 : G | DB);

	k->s.seg[X86_CS] = (struct x86_seg){.base = k->mode == PF_LONG64 ? 0 : base,
	    .limit = limit,
	    .attr = 0x9b | dpl |
		    (k->mode == PF_LONG64 ? G | L
			: small		  ? 0
					  : G | DB),
	    .sel = (uint16_t)((compat ? PF_S_OTHER0 : code[k->cpl]) * 8u + k->cpl)};
	for (unsigned n = 0; n < X86_SREG_COUNT; n++) {
		struct x86_seg *s = &k->s.seg[n];

		if (n == X86_CS)
			continue;
		*s = (struct x86_seg){
		    .base = base, .limit = limit, .attr = data_attr, .sel = (uint16_t)(data[k->cpl] * 8u + k->cpl)};
		if (n == X86_SS)
			continue;
		if (pf_percent(k, 12))
			*s = x86_null_seg((uint16_t)pf_below(k, 4), 0);
		else if (pf_percent(k, 10))
			s->attr = 0xf3u | (s->attr & (G | DB));
		else if (pf_percent(k, 6))
			s->attr = (s->attr & ~2u) | SEG_P;
		else if (pf_percent(k, 5))
			s->attr = (s->attr & 0xfff0u) | 0xbu; /* readable code */
	}
	if (k->mode == PF_LONG64 && k->cpl != 3 && pf_percent(k, 30))
		k->s.seg[X86_SS] = x86_null_seg((uint16_t)k->cpl, k->cpl);
	if (k->lma) {
		k->s.seg[X86_FS].base = pf_percent(k, 80) ? 0 : k->mode == PF_LONG64 ? PF_DATA : 0;
		if (k->mode == PF_LONG64 && pf_percent(k, 20))
			k->s.seg[X86_GS].base = 0xffff800000000000ull | pf_below(k, 0x10000);
	}
}

static void tables(struct pf_case *k)
{
	struct x86_state *s = &k->s;
	unsigned gate = k->mode == PF_REAL ? 4 : k->lma ? 16 : 8;

	s->gdtr = (struct x86_dtable){.base = PF_GDT, .limit = PF_GDT_SLOTS * 8 - 1};
	s->idtr = (struct x86_dtable){.base = PF_IDT, .limit = PF_IDT_GATES * gate - 1};
	if (pf_percent(k, 4))
		s->gdtr.limit = pf_below(k, PF_GDT_SLOTS * 8);
	if (pf_percent(k, 4))
		s->idtr.limit = pf_below(k, PF_IDT_GATES * gate);
	s->ldtr =
	    pf_percent(k, 15)
		? x86_null_seg(0, 0)
		: (struct x86_seg){.base = PF_LDT, .limit = PF_LDT_SLOTS * 8 - 1, .attr = 0x82, .sel = PF_S_LDT * 8};
	s->tr = (struct x86_seg){.base = PF_TSS_A, .limit = 0x1ff, .attr = 0x8b, .sel = PF_S_TSS_A * 8};
	if (!k->lma && pf_percent(k, 10))
		s->tr.attr = 0x83;
	if (pf_percent(k, 8))
		s->tr.limit = pf_below(k, 0x70);
}

static void msrs(struct pf_case *k)
{
	struct x86_state *s = &k->s;
	uint64_t high = pf_percent(k, 10) ? 0xffff800000000000ull : 0;

	s->star = (uint64_t)(uint16_t)(pf_percent(k, 80) ? pf_below(k, 40) * 8 + pf_below(k, 4) : pf_u64(k)) << 48 |
		  (uint64_t)(uint16_t)(pf_percent(k, 80) ? pf_below(k, 40) * 8 : pf_u64(k)) << 32;
	s->lstar = high | (PF_CODE + 0x900 + pf_below(k, 0x1000));
	s->cstar = high | (PF_CODE + 0x900 + pf_below(k, 0x1000));
	s->fmask = pf_percent(k, 50) ? (uint32_t)pf_u64(k) : 0x47700;
	s->kernel_gs_base = pf_percent(k, 50) ? PF_DATA : 0xffff800000000000ull | (uint32_t)pf_u64(k);
	s->sysenter_cs = pf_percent(k, 15) ? pf_below(k, 4) : pf_below(k, 40) * 8 + pf_below(k, 4);
	s->sysenter_esp = high | pf_stack_target(k, 0);
	if (!x86_canonical(s->sysenter_esp))
		s->sysenter_esp = PF_STACK;
	s->sysenter_eip = high | (PF_CODE + 0x900 + pf_below(k, 0x1000));
	s->pat = 0x0007040600070406ull;
}

uint64_t pf_defined_dr7(const struct pf_case *k, uint64_t dr7)
{
	for (unsigned n = 0; n < 4; n++) {
		unsigned at = 16 + 4 * n, kind = (unsigned)(dr7 >> at & 3);

		if (kind == 0)
			dr7 &= ~(0xcull << at);
		if (kind == 2 && !(k->s.cr4 & CR4_DE))
			dr7 &= ~(0xfull << at);
		if ((dr7 >> (at + 2) & 3) == 2 && !k->lma)
			dr7 &= ~(0xcull << at);
	}
	return dr7;
}

static void debug_registers(struct pf_case *k)
{
	struct x86_state *s = &k->s;

	s->dr6 = 0xffff0ff0u | (pf_percent(k, 30) ? pf_u64(k) & 0xe00f : 0);
	s->dr7 = 0x400;
	for (unsigned n = 0; n < 4; n++)
		s->dr[n] = pf_percent(k, 50) ? pf_address(k) : pf_percent(k, 50) ? k->at : pf_value(k);
	if (pf_percent(k, 12))
		s->dr7 |= pf_u64(k) & 0xffff03ffu;
	s->dr7 = pf_defined_dr7(k, s->dr7);
	if (pf_percent(k, 6))
		s->dr7 |= 1u << 13;
}

static void shadows(struct pf_case *k)
{
	struct x86_state *s = &k->s;

	if (pf_percent(k, 4))
		s->intr_shadow = INTR_SHADOW_MOVSS;
	else if (pf_percent(k, 4) && (s->rflags & FLAG_IF))
		s->intr_shadow = INTR_SHADOW_STI;
	if (pf_percent(k, 3))
		s->intr_shadow |= INTR_SHADOW_NMI;
	if ((s->intr_shadow & (INTR_SHADOW_MOVSS | INTR_SHADOW_STI)) && (s->rflags & FLAG_TF))
		s->pending_dbg = 1u << 14; /* VM entry insists */
}

static void fill_memory(struct pf_case *k)
{
	uint64_t *stack = (void *)(k->area + PF_STACK - PF_BASE), *data = (void *)(k->area + PF_DATA - PF_BASE);
	uint64_t some[16], r = pf_u64(k);

	for (unsigned n = 0; n < 16; n++)
		some[n] = n < 10 ? pf_selector(k) : pf_value(k);
	for (unsigned n = 0; n < PAGE_SIZE_4K / 8; n++, r = r * 6364136223846793005ull + 1442695040888963407ull) {
		stack[n] = some[r >> 60];
		data[n] = r;
	}
	pf_fill(k->area + PF_CODE - PF_BASE, PF_CODE_FILL, PF_CODE_END - PF_CODE);
}

void pf_make_state(struct pf_case *k)
{
	struct x86_state *s = &k->s;

	memset(s->gpr, 0, sizeof(s->gpr));
	choose_mode(k);
	control_registers(k);
	flags(k);
	pf_fill(k->area, 0, PF_STACK - PF_BASE);
	put_gdt(k);
	fill_memory(k);
	put_idt(k);
	put_pages(k);
	if (k->lma)
		put_tss64(k);
	else
		put_task32(k, PF_TSS_A);
	put_task32(k, PF_TSS_B);
	put_task16(k, PF_TSS_C);
	if (k->mode == PF_REAL)
		real_segments(k, 0x93);
	else if (k->mode == PF_V86)
		real_segments(k, 0xf3);
	else
		protected_segments(k);
	tables(k);
	msrs(k);
	for (unsigned n = 0; n < 16; n++)
		s->gpr[n] = pf_value(k);
	s->gpr[X86_RSP] = pf_stack_target(k, k->mode == PF_LONG64 ? 0 : s->seg[X86_SS].base);
	if (pf_percent(k, 90) && k->size < 8)
		s->gpr[X86_RSP] = (uint32_t)s->gpr[X86_RSP];
	k->at = PF_CODE + 0x100 + pf_below(k, 0x400);
	if (pf_percent(k, 3))
		k->at = PF_CODE + 0x1000 - pf_below(k, 8);
	s->rip = k->at - s->seg[X86_CS].base;
	debug_registers(k);
	s->intr_shadow = 0;
	s->pending_dbg = s->pending_event = 0;
	shadows(k);
	s->cr8 = 0;
}
