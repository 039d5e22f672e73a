/*
 * faults: exceptions and software interrupts, each delivered through the IDT and returned from by IRET: a page fault
 * that is repaired, #DE and #UD that are skipped, INT n.
 */
#include "bench.h"

struct space {
	uint64_t top[512], pdpt[512], pd[512], pt[512];
};

static struct space space __attribute__((aligned(4096)));
static uint8_t frames[64 * PAGE] __attribute__((aligned(4096)));
static uint32_t sum;

static void on_page_fault(struct trap_frame *f)
{
	uint64_t va;
	__asm__ volatile("movq %%cr2, %0" : "=r"(va));
	uint32_t i = (uint32_t)(va - AREA) / PAGE;

	sum = sum * 3 + (uint32_t)f->error;
	space.pt[i] = ((uint64_t)frames + i * PAGE) | PTE_PRESENT | PTE_WRITE;
}

static void on_skip2(struct trap_frame *f)
{
	sum = sum * 5 + (uint32_t)f->vector;
	f->rip += 2; /* DIV ECX and UD2 are two bytes long */
}

static void on_int(struct trap_frame *f)
{
	sum += (uint32_t)f->rax;
}

void guest_main(void)
{
	uint32_t n = arg("n", 120000);
	volatile uint32_t *area = (volatile uint32_t *)AREA;

	idt_init();
	trap_set(0, on_skip2);
	trap_set(6, on_skip2);
	trap_set(14, on_page_fault);
	trap_set(0x2f, on_int);
	space.top[0] = pml4[0];
	space.top[AREA >> 39] = (uint64_t)space.pdpt | PTE_PRESENT | PTE_WRITE;
	space.pdpt[0] = (uint64_t)space.pd | PTE_PRESENT | PTE_WRITE;
	space.pd[0] = (uint64_t)space.pt | PTE_PRESENT | PTE_WRITE;
	write_cr3(space.top);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i & 63;

		area[at * 1024] += i;
		space.pt[at] = 0;
		invlpg(AREA + at * PAGE);
		__asm__ volatile("int $0x2f" : : "a"(i) : "memory");
		__asm__ volatile("divl %%ecx" : : "a"(i), "c"(0), "d"(0) : "memory");
		__asm__ volatile("ud2" : : : "memory");
	}
	result(sum);
}
