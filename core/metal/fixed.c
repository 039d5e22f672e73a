/*
 * What of the VMM must never change while guests run: its code, its constants, its descriptor tables, and its page
 * tables but for the accessed and dirty bits, which the processor sets. One number for all of it, taken before the
 * first guest runs and again at its end. The rest (data, stacks, heap) changes by the VMM's own work; what a guest is
 * confined by there (nested page tables, bitmaps, VMCS or VMCB) is read back entry by entry [tracer/safety.c].
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"

#define PTE_P (1ull << 0)
#define PTE_AD (3ull << 5)
#define PTE_LARGE (1ull << 7)
#define TABLES_MAX 65536u
#define PTE_ADDR 0x000ffffffffff000ull

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32; /* the high bits, too, must reach the others */
}

static uint64_t mix_words(uint64_t h, const void *p, size_t n)
{
	const uint64_t *w = p;

	for (size_t i = 0; i < n / 8; i++)
		h = mix(h, w[i]);
	return h;
}

/* level: 4 for the PML4 [SDM 3A "Paging"]. Tables that were changed are followed no further than there were tables. */
static uint64_t mix_tables(uint64_t h, uint64_t table, unsigned level, unsigned *left)
{
	const uint64_t *entry = (const void *)(uintptr_t)table;

	if (*left == 0 || !memory_is_ram(table))
		return mix(h, level);
	--*left;
	for (unsigned i = 0; i < 512; i++) {
		h = mix(h, entry[i] & ~PTE_AD);
		if (level > 1 && (entry[i] & PTE_P) && !(entry[i] & PTE_LARGE))
			h = mix_tables(h, entry[i] & PTE_ADDR, level - 1, left);
	}
	return h;
}

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* What the processor uses now. A VM exit under VT-x leaves limits of FFFFH, so the bases count. */
static uint64_t mix_registers(uint64_t h)
{
	struct table_register gdtr, idtr;
	uint16_t tr;

	__asm__("sgdt %0" : "=m"(gdtr));
	__asm__("sidt %0" : "=m"(idtr));
	__asm__("str %0" : "=r"(tr));
	h = mix(mix(h, gdtr.base), idtr.base);
	return mix(mix(h, tr), cpu_read_cr3());
}

uint64_t metal_fixed_hash(void)
{
	static unsigned tables; /* of the first time */
	unsigned left = tables ? tables : TABLES_MAX;
	struct metal_tables t;
	uint64_t h = FNV64_INIT;

	metal_tables(&t);
	h = mix_words(h, metal_text_start, (size_t)(metal_rodata_end - metal_text_start));
	h = mix_words(h, (const void *)(uintptr_t)t.gdt_base, t.gdt_limit + 1u);
	h = mix_words(h, (const void *)(uintptr_t)t.idt_base, t.idt_limit + 1u);
	h = mix_words(h, (const void *)(uintptr_t)t.tss_base, t.tss_limit + 1u);
	h = mix_tables(mix_registers(h), cpu_read_cr3() & PTE_ADDR, 4, &left);
	if (!tables)
		tables = TABLES_MAX - left;
	return h;
}

/* The gate of a vector that nothing uses points elsewhere. */
void metal_spoil_idt(void)
{
	struct metal_tables t;

	metal_tables(&t);
	((uint64_t *)(uintptr_t)t.idt_base)[2 * 200] ^= 0x10;
}
