/*
 * The machine that an input describes: descriptor tables, page tables, handlers and a state of the processor that a
 * guest could have brought about by itself, with everything that is random in its bounds. A handler moves the return
 * address on by one and goes back, so that code runs past what it may not do; patches then break what they like.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "core/machine.h"

#define IDT 0x1000u
#define GDT 0x2000u
#define LDT 0x2800u
#define TSS 0x3000u
#define TSS_LIMIT 0x2fffu
#define TSS2 0x6000u
#define TSS3 0x6100u
#define TOP 0x8000u /* 4-level: top, then shared: pdpt, pd, pt; pd of 3-4 GiB */
#define PDPT 0x9000u
#define PD 0xa000u
#define PT 0xb000u
#define PD_HIGH 0xc000u
#define PDPT_PAE 0xd000u
#define PD32 0xe000u
#define PT32 0xf000u
#define HANDLERS 0x10000u
#define CODE 0x20000u
#define STACK0 0x3f000u
#define STACK3 0x4f000u
#define DATA 0x50000u
#define ROM_SIZE 0x10000u

/* Selectors of the GDT, by 8. */
enum {
	NIL,
	CODE64_0,
	DATA_0,
	CODE64_3,
	DATA_3,
	CODE32_0,
	DATA32_0,
	CODE32_3,
	DATA32_3,
	CODE16_0,
	DATA16_0,
	CODE16_3,
	DATA16_3,
	TR_LOW,
	TR_HIGH,
	LDTR,
	LDTR_HIGH,
	TR2,
	TR3,
	CALL32,
	CALL16,
	TASK,
	CONFORM,
	EXPDOWN,
	ABSENT,
	RO,
	GDT_ENTRIES
};

static void put(struct vm *vm, gpa_t at, uint64_t v, unsigned n)
{
	(void)mem_write(&vm->mem, at, &v, n);
}

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
	uint64_t l = attr & SEG_G ? limit >> 12 : limit;

	return (l & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 | (l & 0xf0000) << 32 |
	       (uint64_t)(attr & 0xf000) << 40 | (uint64_t)(base >> 24) << 56;
}

/* sel: index | RPL. */
static struct x86_seg segment(unsigned index, unsigned rpl, uint64_t base, uint32_t limit, uint32_t attr)
{
	return (struct x86_seg){.base = base, .limit = limit, .attr = attr, .sel = (uint16_t)(index * 8 | rpl)};
}

static bool is_long(const struct fuzz_head *h)
{
	return h->mode == FUZZ_COMPAT16 || h->mode == FUZZ_COMPAT32 || h->mode == FUZZ_LONG64;
}

static bool is_real(const struct fuzz_head *h)
{
	return h->mode == FUZZ_REAL || h->mode == FUZZ_RESET;
}

static void put_gdt(struct vm *vm, const struct fuzz_head *h)
{
	static const struct {
		uint8_t index;
		uint16_t attr;
		uint32_t limit;
	} rows[] = {{CODE64_0, 0xa09b, UINT32_MAX}, {DATA_0, 0xc093, UINT32_MAX}, {CODE64_3, 0xa0fb, UINT32_MAX},
	    {DATA_3, 0xc0f3, UINT32_MAX}, {CODE32_0, 0xc09b, UINT32_MAX}, {DATA32_0, 0xc093, UINT32_MAX},
	    {CODE32_3, 0xc0fb, UINT32_MAX}, {DATA32_3, 0xc0f3, UINT32_MAX}, {CODE16_0, 0x9b, 0xffff},
	    {DATA16_0, 0x93, 0xffff}, {CODE16_3, 0xfb, 0xffff}, {DATA16_3, 0xf3, 0xffff}, {CONFORM, 0xc09f, UINT32_MAX},
	    {EXPDOWN, 0xc0f7, 0xffff}, {ABSENT, 0xc073, UINT32_MAX}, {RO, 0xc0f1, UINT32_MAX}};

	for (unsigned k = 0; k < ARRAY_LEN(rows); k++) {
		uint32_t base = rows[k].index >= CODE16_0 && rows[k].index <= DATA16_3 ? CODE : 0;

		put(vm, GDT + rows[k].index * 8, descriptor(base, rows[k].limit, rows[k].attr), 8);
		put(vm, LDT + rows[k].index * 8, descriptor(base, rows[k].limit, rows[k].attr), 8);
	}
	put(vm, GDT + TR_LOW * 8, descriptor(TSS, TSS_LIMIT, 0x8b), 8);
	put(vm, GDT + LDTR * 8, descriptor(LDT, 0x7ff, 0x82), 8);
	put(vm, GDT + TR2 * 8, descriptor(TSS2, 0x67, 0x89), 8);
	put(vm, GDT + TR3 * 8, descriptor(TSS3, 0x2b, 0x81), 8);
	put(vm, GDT + CALL32 * 8, 0x0000ec0000000000ull | (is_long(h) ? CODE64_0 : CODE32_0) << 19 | 0x2000, 8);
	put(vm, GDT + CALL16 * 8, 0x0000e40000000000ull | CODE16_0 << 19 | 0x100, 8);
	put(vm, GDT + TASK * 8, 0x0000e50000000000ull | TR2 << 19, 8);
}

/* What a handler does: over the error code, on by one, back. */
static unsigned handler(const struct fuzz_head *h, bool error, uint8_t *p)
{
	static const uint8_t eoi[] = {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58};
	static const uint8_t real[] = {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf};
	static const uint8_t prot[] = {0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf};
	static const uint8_t wide[] = {0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
	unsigned n = 0, skip = error ? 0 : is_long(h) ? 4 : 3;

	if (h->style & FUZZ_EOI) {
		memcpy(p, eoi, sizeof(eoi));
		n = sizeof(eoi);
	}
	if (is_real(h)) {
		memcpy(p + n, real, sizeof(real));
		return n + sizeof(real);
	}
	const uint8_t *from = is_long(h) ? wide : prot;
	unsigned len = is_long(h) ? sizeof(wide) : sizeof(prot);

	memcpy(p + n, from + skip, len - skip);
	return n + len - skip;
}

static void put_gate(struct vm *vm, const struct fuzz_head *h, unsigned v)
{
	uint32_t to = HANDLERS + v * 32;
	uint64_t type = v & 1 ? 0xef : 0xee, sel = (is_long(h) ? CODE64_0 : CODE32_0) * 8;
	uint64_t gate = (to & 0xffff) | sel << 16 | type << 40 | (uint64_t)(to >> 16) << 48;

	if (is_real(h)) {
		put(vm, v * 4, (uint64_t)(HANDLERS >> 4) << 16 | v * 32, 4);
	} else if (is_long(h)) {
		uint64_t ist = v == VEC_NMI ? 1 : v == VEC_DF ? 2 : v == VEC_DB ? 3 : 0;

		put(vm, IDT + v * 16, gate | ist << 32, 8);
	} else if (h->style & FUZZ_GATES16 && v % 5 == 0) {
		put(vm, IDT + v * 8, 0x0000e60000000000ull | CODE16_0 << 19 | 0x200, 8);
	} else if (h->style & FUZZ_GATES16 && (v == VEC_DF || v % 7 == 3)) {
		put(vm, IDT + v * 8, 0x0000e50000000000ull | (uint64_t)(v % 2 ? TR2 : TR3) << 19, 8);
	} else {
		put(vm, IDT + v * 8, gate, 8);
	}
}

static void put_handlers(struct vm *vm, const struct fuzz_head *h)
{
	for (unsigned v = 0; v < 256; v++) {
		bool error = v == VEC_DF || (v >= VEC_TS && v <= VEC_PF) || v == VEC_AC;
		uint8_t p[32] = {0};

		(void)mem_write(&vm->mem, HANDLERS + v * 32, p, handler(h, error, p));
		put_gate(vm, h, v);
	}
	/* 16-bit gates lead to CODE + 200h. */
}

static void put_tss(struct vm *vm, const struct fuzz_head *h)
{
	if (is_long(h)) {
		for (unsigned k = 0; k < 3; k++)
			put(vm, TSS + 4 + k * 8, STACK0 + 0x800, 8);
		for (unsigned k = 0; k < 7; k++)
			put(vm, TSS + 36 + k * 8, STACK0 + 0x900 + k * 0x40, 8);
	} else {
		put(vm, TSS + 4, STACK0 + 0x800, 4);
		put(vm, TSS + 8, DATA32_0 * 8, 2);
	}
	put(vm, TSS + 102, 0x68, 2);
	/* Two tasks to switch to, of 32 and of 16 bits. */
	put(vm, TSS2 + 28, is_long(h) ? TOP : 0, 4);
	put(vm, TSS2 + 32, CODE + 0x40, 4);
	put(vm, TSS2 + 36, 2, 4);
	put(vm, TSS2 + 56, STACK0 + 0xe00, 4);
	for (unsigned k = 0; k < 6; k++)
		put(vm, TSS2 + 72 + k * 4, (k == X86_CS ? CODE32_0 : DATA32_0) * 8, 2);
	put(vm, TSS3 + 14, 0x40, 2);
	put(vm, TSS3 + 16, 2, 2);
	put(vm, TSS3 + 26, 0xf000, 2);
	for (unsigned k = 0; k < 4; k++)
		put(vm, TSS3 + 34 + k * 2, (k == X86_CS ? CODE16_0 : DATA16_0) * 8, 2);
}

/* Whose page is it? Handlers and tables are the kernel's, so that SMEP and SMAP have something to protect. */
static uint64_t rights(const struct fuzz_head *h, gpa_t gpa)
{
	bool kernel = gpa < CODE || (h->style & FUZZ_SUPERVISOR);

	if (gpa >= CODE && gpa < CODE + 0x10000)
		kernel = (h->cpl & 3) != 3 && h->mode != FUZZ_V86 && (h->cr4 & CR4_SMEP || h->style & FUZZ_SUPERVISOR);
	return kernel ? 3 : 7;
}

static void put_page_tables(struct vm *vm, const struct fuzz_head *h)
{
	bool small = h->style & FUZZ_SMALL_PAGES || h->cr4 & (CR4_SMEP | CR4_SMAP);

	put(vm, TOP, PDPT | 7, 8);
	put(vm, TOP + 511 * 8, PDPT | 7, 8);
	for (unsigned k = 0; k < 4; k++) {
		uint64_t e = k == 0 ? PD : k == 3 ? PD_HIGH : 0;

		put(vm, PDPT + k * 8, e ? e | 7 : (uint64_t)k << 30 | 0x87, 8);
		put(vm, PDPT_PAE + k * 8, e ? e | 1 : 0, 8);
	}
	put(vm, PD, small ? PT | 7 : 0x87, 8);
	for (unsigned k = 1; k < 512; k++) {
		put(vm, PD + k * 8, (uint64_t)k << 21 | 0x87, 8);
		put(vm, PD_HIGH + k * 8, 3ull << 30 | (uint64_t)k << 21 | 0x97, 8);
	}
	for (unsigned k = 0; k < 512; k++)
		put(vm, PT + k * 8, k * PAGE_SIZE_4K | rights(h, k * PAGE_SIZE_4K), 8);
	for (unsigned k = 0; k < 1024; k++)
		put(vm, PD32 + k * 4, (k << 22) | 0x87, 4);
	if (small || !(h->cr4 & CR4_PSE)) {
		put(vm, PD32, PT32 | 7, 4);
		for (unsigned k = 0; k < 1024; k++)
			put(vm, PT32 + k * 4, k * PAGE_SIZE_4K | rights(h, k * PAGE_SIZE_4K), 4);
	}
}

/* Values that a pointer, a counter or an operand may well have; b chooses. */
static uint64_t value(const struct fuzz_head *h, uint8_t b, unsigned n, uint64_t ram)
{
	uint64_t small = b >> 4, any = ((uint64_t)h->seed * 0x9e3779b97f4a7c15ull ^ n) * 0xbf58476d1ce4e5b9ull;

	switch (b & 15) {
	case 0:
		return small;
	case 1:
		return DATA + small * 0x110;
	case 2:
		return ram - small;
	case 3:
		return 0xa0000 - small;
	case 4:
		return 0xb8000 + small * 2;
	case 5:
		return 0xc0000 + small * 0x4000 - 4;
	case 6:
		return 0xfee00000ull + small * 0x30;
	case 7:
		return 0xfec00000ull + small;
	case 8:
		return 0xfffffff0ull + small;
	case 9:
		return any ^ any >> 31;
	case 10:
		return CODE + h->entry % 4096u + small * 4;
	case 11:
		return DATA + 0xff8 + small;
	case 12:
		return GDT + small * 8;
	case 13:
		return TOP + small * 0x800;
	case 14:
		return 0x7ffffffffff8ull + small;
	default:
		return 0 - small;
	}
}

static void set_control(struct x86_state *s, const struct fuzz_head *h)
{
	bool paging = is_long(h) || (!is_real(h) && h->paging % 3);

	s->cr0 = CR0_ET | (h->cr0 & (CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM));
	s->cr4 = h->cr4 & CR4_MODEL & ~(CR4_PAE | CR4_PCIDE);
	s->efer = h->efer & (EFER_SCE | EFER_NXE);
	if (!is_real(h))
		s->cr0 |= CR0_PE | (paging ? CR0_PG : 0);
	if (is_long(h)) {
		s->cr4 |= CR4_PAE;
		s->efer |= EFER_LME | EFER_LMA;
		s->cr3 = TOP;
	} else if (h->paging % 3 == 2) {
		s->cr4 |= CR4_PAE;
		s->cr3 = PDPT_PAE;
		for (unsigned k = 0; k < 4; k++)
			s->pdpte[k] = k == 0 ? PD | 1 : k == 3 ? PD_HIGH | 1 : 0;
	} else {
		s->cr3 = PD32;
	}
	s->xcr0 = 1 | (h->efer >> 16 & 1) << 1;
}

static void set_real_segments(struct x86_state *s, const struct fuzz_head *h)
{
	static const uint16_t sel[] = {0x5000, 0x9fff, 0xb800, 0xc000, 0xffff, 0x2000, 0, 0xf000};
	uint32_t attr = h->mode == FUZZ_V86 ? 0xf3 : 0x93, limit = 0xffff;

	for (unsigned n = 0; n < X86_SREG_COUNT; n++) {
		uint16_t v = n == X86_CS ? CODE >> 4 : n == X86_SS ? 0x3000 : sel[h->selectors >> n & 7];

		s->seg[n] = (struct x86_seg){.sel = v,
		    .base = (uint64_t)v << 4,
		    .limit = h->mode == FUZZ_REAL && h->style & FUZZ_LIMITS && n != X86_CS ? UINT32_MAX : limit,
		    .attr = n == X86_CS && h->mode != FUZZ_V86 ? 0x9b : attr};
	}
	s->rip = h->entry % 4096u;
}

static void set_segments(struct x86_state *s, const struct fuzz_head *h)
{
	unsigned cpl = h->cpl & 3 ? 3 : 0, size = fuzz_code_size(h);
	unsigned cs = size == 8 ? CODE64_0 : size == 4 ? CODE32_0 : CODE16_0, ds = size == 2 ? DATA16_0 : DATA32_0;
	uint32_t dpl = cpl << SEG_DPL_SHIFT, base = size == 2 ? CODE : 0;

	cs += cpl ? 2 : 0;
	ds += cpl ? 2 : 0;
	s->seg[X86_CS] = segment(cs, cpl, base, size == 2 ? 0xffff : UINT32_MAX,
	    dpl | (size == 8	  ? 0xa09b
		      : size == 4 ? 0xc09b
				  : 0x9b));
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		if (n != X86_CS)
			s->seg[n] =
			    segment(ds, cpl, base, size == 2 ? 0xffff : UINT32_MAX, dpl | (size == 2 ? 0x93 : 0xc093));
	if (h->style & FUZZ_LIMITS && size != 8)
		s->seg[X86_ES] = segment(EXPDOWN, 3, 0, 0xfffffff, 0xc0f7);
	if (h->selectors & 1 && size == 8)
		s->seg[X86_FS].base = 0xffff800000000000ull;
	s->rip = (size == 2 ? 0 : CODE) + h->entry % 4096u;
}

static void set_state(struct vcpu *v, const struct fuzz_input *in)
{
	const struct fuzz_head *h = &in->h;
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_ALL);
	bool v86 = h->mode == FUZZ_V86;

	if (!s)
		fuzz_fail("no state");
	for (unsigned n = 0; n < 16; n++)
		if (n < 8 || h->mode == FUZZ_LONG64)
			s->gpr[n] = value(h, h->gpr[n], n, v->vm->mem.ram_size);
	s->rflags = FLAG_R1 | (h->rflags & (FLAGS_STATUS | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID)) |
		    (uint64_t)(h->cpl >> 2 & 3) << 12 | (v86 ? FLAG_VM : 0);
	for (unsigned k = 0; k < 4; k++)
		s->dr[k] = (uint32_t)value(h, h->dr[k], k, v->vm->mem.ram_size);
	s->dr7 = 0x400 | (h->dr7 & 0xffff23ffu);
	if (h->mode == FUZZ_RESET)
		return; /* else as after power on */
	set_control(s, h);
	s->gpr[X86_RSP] = (is_real(h) || v86 ? 0xf000 : h->cpl & 3 ? STACK3 : STACK0) - v->id * 0x400;
	if (fuzz_code_size(h) == 2 && !is_real(h) && !v86)
		s->gpr[X86_RSP] = 0xf000;
	if (is_real(h) || v86)
		set_real_segments(s, h);
	else
		set_segments(s, h);
	if (!is_real(h)) {
		s->gdtr = (struct x86_dtable){.base = GDT, .limit = 0x7ff};
		s->idtr = (struct x86_dtable){.base = IDT, .limit = is_long(h) ? 0xfff : 0x7ff};
		s->tr = segment(TR_LOW, 0, TSS, TSS_LIMIT, 0x8b);
		s->ldtr = segment(LDTR, 0, LDT, 0x7ff, 0x82);
	}
	s->sysenter_cs = CODE64_0 * 8;
	s->sysenter_esp = STACK0 + 0x700;
	s->sysenter_eip = s->lstar = s->cstar = CODE + 0x100;
	s->star = (uint64_t)(CODE64_0 * 8) << 32 | (uint64_t)((CODE64_0 * 8) | 3) << 48;
	s->fmask = FLAG_IF | FLAG_TF;
}

static void put_patches(struct vm *vm, const struct fuzz_input *in)
{
	static const struct {
		uint32_t at, len;
	} areas[AREA_COUNT] = {[AREA_GDT] = {GDT, 0x800},
	    [AREA_LDT] = {LDT, 0x800},
	    [AREA_IDT] = {IDT, 0x1000},
	    [AREA_TSS] = {TSS, 0x3200},
	    [AREA_TOP] = {TOP, 0x2000},
	    [AREA_PD] = {PD, 0x1000},
	    [AREA_PT] = {PT, 0x5000},
	    [AREA_DATA] = {DATA, 0x2000},
	    [AREA_STACK] = {STACK0 - 0x100, 0x200}};

	for (unsigned k = 0; k < in->n_patches; k++) {
		const struct fuzz_patch *p = &in->patch[k];
		unsigned size = 1u << (p->size & 3), area = p->area % AREA_COUNT;
		uint32_t at = (uint32_t)p->index * size % areas[area].len;

		put(vm, areas[area].at + at, p->low | (uint64_t)p->high << 32, size);
	}
}

const uint8_t *fuzz_firmware(const struct fuzz_input *in, size_t *n)
{
	static const uint8_t start[] = {0xea, 0x00, 0x00, 0x00, 0xf0}; /* jmp f000:0000 */
	static uint8_t rom[ROM_SIZE];

	*n = in->h.mode == FUZZ_RESET || in->h.style & FUZZ_FIRMWARE ? ROM_SIZE : 0;
	memset(rom, 0xf4, sizeof(rom));
	memcpy(rom + (in->h.entry & 0x1ff), in->code, in->n_code);
	memset(rom, 0x90, in->h.entry & 0x1ff);
	memcpy(rom + 0xfff0, start, sizeof(start));
	return rom;
}

void fuzz_place(struct vm *vm, const struct fuzz_input *in)
{
	struct fuzz_rng r = {in->h.seed};
	uint32_t data[256];

	for (unsigned k = 0; k < ARRAY_LEN(data); k++)
		data[k] = k % 4 ? fuzz_rnd(&r, UINT32_MAX)
				: (uint32_t)value(&in->h, (uint8_t)fuzz_rnd(&r, 256), k, vm->mem.ram_size);
	(void)mem_write(&vm->mem, DATA, data, sizeof(data));
	(void)mem_write(&vm->mem, DATA + 0xf80, data, sizeof(data));
	put_gdt(vm, &in->h);
	put_handlers(vm, &in->h);
	put_tss(vm, &in->h);
	if (!is_real(&in->h))
		put_page_tables(vm, &in->h);
	put_patches(vm, in);
	(void)mem_write(&vm->mem, CODE + in->h.entry % 4096u, in->code, in->n_code);
	for (unsigned k = 0; k < vm->n_vcpus; k++) {
		set_state(&vm->vcpus[k], in);
		if (in->h.style & FUZZ_APS_RUN)
			vm->vcpus[k].wait_startup = false;
	}
	if (in->h.style & FUZZ_TYPED)
		(void)machine_type(vm, (const uint8_t *)"Random bytes\n", 13);
}
