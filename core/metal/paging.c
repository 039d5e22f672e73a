/*
 * The VMM's own page tables: every address maps to itself, and nothing is more permitted than it needs to be. Code runs
 * and is read, constants are read, everything else does not run; page 0 and the page under each stack are not there, so
 * that a null pointer and a stack overflow are page faults. Concept: W^X for the program that has to be trusted most.
 *
 * RAM is cached; the rest of the first 4 GiB is devices and is not. 2 MiB pages where a whole one has the same rights,
 * else 4 KiB [SDM 3A "Paging"].
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_UC (3ull << 3) /* PWT and PCD: PAT entry 3 after reset, uncacheable */
#define PTE_LARGE (1ull << 7)
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull
#define SIZE_2M 0x200000ull
#define GIB4 0x100000000ull
#define CR0_WP (1ull << 16)
#define CR0_MP (1ull << 1)
#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define EFER_NXE (1ull << 11)

static uint64_t *pml4, nx;

static uint64_t *table(uint64_t *entry)
{
	if (!(*entry & PTE_P)) {
		void *p = alloc_pages(PAGE_SIZE_4K);

		if (!p)
			metal_panic("no memory for the VMM's own page tables");
		*entry = metal_hpa(p) | PTE_P | PTE_W;
	}
	return (uint64_t *)(uintptr_t)(*entry & PTE_ADDR);
}

static uint64_t *directory_entry(uint64_t a)
{
	uint64_t *pdpt = table(&pml4[a >> 39 & 511]);

	return &table(&pdpt[a >> 30 & 511])[a >> 21 & 511];
}

/* 2 MiB of it become 512 pages with the same rights. */
static uint64_t *page_entry(uint64_t a)
{
	uint64_t *pde = directory_entry(a), large = *pde;

	if (large & PTE_LARGE) {
		*pde = 0;
		uint64_t *pt = table(pde);
		for (unsigned i = 0; i < 512; i++)
			pt[i] = (large & ~PTE_LARGE) + i * PAGE_SIZE_4K;
	}
	return &table(pde)[a >> 12 & 511];
}

static void protect(const uint8_t *start, const uint8_t *end, uint64_t rights)
{
	for (uint64_t a = metal_hpa(start); a < metal_hpa(end); a += PAGE_SIZE_4K)
		*page_entry(a) = rights ? a | rights : 0;
}

/* Everything below 4 GiB is a device until it is known to be RAM. */
static void map_low(void)
{
	for (uint64_t a = 0; a < GIB4; a += SIZE_2M)
		*directory_entry(a) = a | PTE_P | PTE_W | PTE_UC | PTE_LARGE | nx;
}

static void map_ram(uint64_t base, uint64_t end)
{
	base = (base + PAGE_SIZE_4K - 1) & ~(uint64_t)(PAGE_SIZE_4K - 1);
	end &= ~(uint64_t)(PAGE_SIZE_4K - 1);
	while (base < end) {
		uint64_t *pde = directory_entry(base);
		bool split = (*pde & PTE_P) && !(*pde & PTE_LARGE);

		if (base % SIZE_2M == 0 && end - base >= SIZE_2M && !split) {
			*pde = base | PTE_P | PTE_W | PTE_LARGE | nx;
			base += SIZE_2M;
		} else {
			*page_entry(base) = base | PTE_P | PTE_W | nx;
			base += PAGE_SIZE_4K;
		}
	}
}

static void protect_image(void)
{
	protect(metal_text_start, metal_text_end, PTE_P);
	protect(metal_rodata_start, metal_rodata_end, PTE_P | nx);
	protect(metal_data_start, metal_bss_end, PTE_P | PTE_W | nx);
	for (unsigned i = 0; i < STACK_COUNT; i++)
		protect(metal_stacks[i].guard, metal_stacks[i].guard + PAGE_SIZE_4K, 0);
	*page_entry(0) = 0;
}

static bool has_nx(void)
{
	uint32_t r[4];

	cpu_cpuid(0x80000001u, 0, r);
	return r[3] & (1u << 20);
}

void paging_init(const struct boot_info *b)
{
	pml4 = alloc_pages(PAGE_SIZE_4K);
	if (!pml4)
		metal_panic("no memory at all: the boot loader's memory map has %u pieces", b->n_ram);
	nx = has_nx() ? PTE_NX : 0;
	if (nx)
		cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_NXE);
	map_low();
	for (unsigned i = 0; i < b->n_ram; i++)
		map_ram(b->ram[i].base, b->ram[i].base + b->ram[i].len);
	protect_image();
	cpu_write_cr3(metal_hpa(pml4));
	cpu_write_cr0(cpu_read_cr0() | CR0_WP | CR0_MP);
	cpu_write_cr4(cpu_read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT); /* FXSAVE of a guest's SSE registers */
}
