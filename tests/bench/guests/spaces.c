/*
 * spaces: two address spaces in turn. Each time CR3 is loaded, 16 pages of the area are read and written, some pages
 * that both have in common (and that are global) too, and one translation is dropped by INVLPG.
 */
#include "bench.h"

#define PAGES 16

struct space {
	uint64_t top[512], pdpt[512], pd[512], pt[512];
};

static struct space spaces[2] __attribute__((aligned(4096)));
static uint8_t frames[2 * PAGES * PAGE] __attribute__((aligned(4096)));

static void space_init(struct space *s, uint32_t first)
{
	s->top[0] = pml4[0];
	s->top[AREA >> 39] = (uint64_t)s->pdpt | PTE_PRESENT | PTE_WRITE;
	s->pdpt[0] = (uint64_t)s->pd | PTE_PRESENT | PTE_WRITE;
	s->pd[0] = (uint64_t)s->pt | PTE_PRESENT | PTE_WRITE;
	for (uint32_t i = 0; i < PAGES; i++)
		s->pt[i] = ((uint64_t)frames + (first + i) * PAGE) | PTE_PRESENT | PTE_WRITE;
}

void guest_main(void)
{
	uint32_t n = arg("n", 100000), sum = 0;
	volatile uint32_t *area = (volatile uint32_t *)AREA;

	space_init(&spaces[0], 0);
	space_init(&spaces[1], PAGES);
	for (uint32_t i = 0; i < n; i++) {
		write_cr3(spaces[i & 1].top);
		for (uint32_t k = 0; k < PAGES; k++) {
			area[k * 1024] += i + k;
			sum = sum * 3 + area[k * 1024];
		}
		invlpg(AREA);
		sum += area[0];
	}
	result(sum);
}
