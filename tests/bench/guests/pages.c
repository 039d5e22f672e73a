/*
 * pages: memory through 4 KiB pages, more of them than any TLB holds: 8192 pages (32 MiB), touched in an order that
 * defeats locality, and in order.
 */
#include "bench.h"

#define PAGES 8192u
#define PER_TABLE 512u

static uint64_t top[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[512] __attribute__((aligned(4096)));
static uint64_t pt[PAGES] __attribute__((aligned(4096)));
static uint8_t frames[PAGES * PAGE] __attribute__((aligned(4096)));

static void map(void)
{
	top[0] = pml4[0];
	top[AREA >> 39] = (uint64_t)pdpt | PTE_PRESENT | PTE_WRITE;
	pdpt[0] = (uint64_t)pd | PTE_PRESENT | PTE_WRITE;
	for (uint32_t i = 0; i < PAGES / PER_TABLE; i++)
		pd[i] = (uint64_t)(pt + i * PER_TABLE) | PTE_PRESENT | PTE_WRITE;
	for (uint32_t i = 0; i < PAGES; i++)
		pt[i] = (uint64_t)frames + i * PAGE + 3; /* present, writable */
	write_cr3(top);
}

void guest_main(void)
{
	uint32_t n = arg("n", 1000000), seed = 1, sum = 0;
	volatile uint32_t *area = (volatile uint32_t *)AREA;

	map();
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = next_random(&seed) % (PAGES * 1024);

		sum += area[at];
		area[at] = sum ^ i;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i * 264 % (PAGES * 1024);

		area[at] += i;
		sum = sum * 5 + area[at];
	}
	result(sum);
}
