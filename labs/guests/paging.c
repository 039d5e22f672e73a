/*
 * paging: page faults that the guest handles and resumes, address spaces that it switches, translations that it drops.
 * With nested paging (vtx-ept) all this is the guest's own business and nothing exits; with the controls of shadow
 * paging (vtx-shadow) each fault, CR3 load and INVLPG does.  Parameters: pages=16 switches=10
 */
#include "lib/rt.h"

#define AREA 0x8000000000ul /* the second entry of the top table */
#define PAGES_MAX 128
#define PAGE 4096ul
#define P 1ul
#define W 2ul
#define ACCESSED 0x20ul
#define DIRTY 0x40ul
#define CR0_WP (1ul << 16)

struct space {
	uint64_t top[512], pdpt[512], pd[512], pt[512];
};

/* Beside the first tables, at a fixed place: CR3 has the same values whatever the compiler. */
static struct space spaces[2] __attribute__((aligned(4096), section(".tables.more")));
static uint8_t frames[PAGES_MAX * 4096] __attribute__((aligned(4096)));
static volatile uint32_t demand_faults;
static volatile uint32_t write_faults;

static void write_cr3(const void *top)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(top) : "memory");
}

static void invlpg(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static uint32_t load(uint64_t va)
{
	return *(volatile uint32_t *)va;
}

static void store(uint64_t va, uint32_t v)
{
	*(volatile uint32_t *)va = v;
}

static uint64_t frame(uint32_t i)
{
	return (uint64_t)frames + i * PAGE;
}

static void space_init(struct space *s)
{
	s->top[0] = pml4[0];
	s->top[AREA >> 39] = (uint64_t)s->pdpt | P | W;
	s->pdpt[0] = (uint64_t)s->pd | P | W;
	s->pd[0] = (uint64_t)s->pt | P | W;
}

/* Not present: map a frame. Present and written: it was read-only; let the write through. */
static void on_page_fault(struct trap_frame *f)
{
	uint64_t va;
	__asm__ volatile("movq %%cr2, %0" : "=r"(va));
	uint32_t i = (uint32_t)((va - AREA) / PAGE);
	if (va < AREA || i >= PAGES_MAX) {
		put("page fault outside the area\n");
		guest_exit(2);
	}
	uint64_t *pte = &spaces[0].pt[i];
	if (f->error & P) {
		write_faults++;
		*pte |= W;
		invlpg(va);
	} else {
		demand_faults++;
		*pte = frame(i) | P | W;
	}
}

static void show(const char *what, uint32_t n)
{
	put(what);
	put_dec(n);
	put_char('\n');
}

static void demand(uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++)
		store(AREA + i * PAGE, i * 3);
	uint32_t sum = 0;
	uint32_t flags = 0;
	for (uint32_t i = 0; i < pages; i++) {
		sum += load(AREA + i * PAGE);
		flags += (spaces[0].pt[i] & (ACCESSED | DIRTY)) == (ACCESSED | DIRTY);
	}
	show("demand faults: ", demand_faults);
	show("sum read back: ", sum);
	show("accessed and dirty: ", flags);
}

static void protect(uint32_t pages)
{
	uint64_t cr0;
	__asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("movq %0, %%cr0" : : "r"(cr0 | CR0_WP)); /* the kernel obeys read-only pages, too */
	for (uint32_t i = 0; i < pages; i += 2) {
		spaces[0].pt[i] &= ~W;
		invlpg(AREA + i * PAGE);
	}
	for (uint32_t i = 0; i < pages; i++)
		store(AREA + i * PAGE, i);
	show("write faults: ", write_faults);
}

static void switch_spaces(uint32_t switches)
{
	uint32_t sum = 0;
	spaces[1].pt[0] = frame(1) | P | W; /* the same address, another frame */
	for (uint32_t i = 0; i < switches; i++) {
		write_cr3(spaces[i & 1].top);
		sum = sum * 2 + load(AREA);
	}
	write_cr3(spaces[0].top);
	show("switches: ", switches);
	show("seen through them: ", sum);
}

static void remap(uint32_t pages)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < pages; i++) {
		spaces[0].pt[0] = frame(i) | P | W;
		invlpg(AREA);
		sum += load(AREA);
	}
	show("after INVLPG: ", sum);
}

void guest_main(void)
{
	uint32_t pages = arg("pages", 16);
	uint32_t switches = arg("switches", 10);
	if (pages < 2 || pages > PAGES_MAX) {
		put("paging: pages must be 2 to 128\n");
		guest_exit(1);
	}
	idt_init();
	trap_set(14, on_page_fault);
	space_init(&spaces[0]);
	space_init(&spaces[1]);
	write_cr3(spaces[0].top);
	demand(pages);
	protect(pages);
	switch_spaces(switches);
	remap(pages);
}
