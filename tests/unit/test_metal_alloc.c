/* core/metal/alloc.c and clock.h: the page allocator over a fake memory map, and tick conversion. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/metal/clock.h"
#include "core/metal/metal_priv.h"

#define PAGES 64u

static uint8_t *arena;

static int setup(void **state)
{
	(void)state;
	alloc_reset();
	arena = aligned_alloc(PAGE_SIZE_4K, PAGES * PAGE_SIZE_4K);
	assert_non_null(arena);
	memset(arena, 0xa5, PAGES * PAGE_SIZE_4K);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(arena);
	return 0;
}

static uint64_t addr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static void give(unsigned first, unsigned n)
{
	alloc_add(addr(arena) + first * PAGE_SIZE_4K, n * PAGE_SIZE_4K);
}

static void pages_are_zeroed_and_aligned(void **state)
{
	static const uint8_t zeros[3 * PAGE_SIZE_4K];

	(void)state;
	give(0, PAGES);
	void *p = alloc_pages(2 * PAGE_SIZE_4K + 1);
	assert_non_null(p);
	assert_int_equal(addr(p) % PAGE_SIZE_4K, 0);
	assert_memory_equal(p, zeros, sizeof(zeros));
	assert_int_equal(alloc_total(), (PAGES - 3) * PAGE_SIZE_4K);
	alloc_free(p, 2 * PAGE_SIZE_4K + 1);
	assert_int_equal(alloc_largest(), PAGES * PAGE_SIZE_4K);
}

static void only_whole_pages_of_a_range_are_taken(void **state)
{
	(void)state;
	alloc_add(addr(arena) + 1, 3 * PAGE_SIZE_4K); /* pages 1 and 2 */
	assert_int_equal(alloc_total(), 2 * PAGE_SIZE_4K);
	alloc_add(addr(arena) + 8 * PAGE_SIZE_4K + 8, 100); /* none */
	assert_int_equal(alloc_total(), 2 * PAGE_SIZE_4K);
	assert_ptr_equal(alloc_pages(PAGE_SIZE_4K), arena + PAGE_SIZE_4K);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	assert_null(alloc_pages(1));
	assert_int_equal(alloc_largest(), 0);
	give(0, 4);
	give(8, 4);
	assert_null(alloc_pages(5 * PAGE_SIZE_4K)); /* 8 pages, but not in one piece */
	assert_null(alloc_pages(0));
	assert_null(alloc_pages(SIZE_MAX));
	assert_int_equal(alloc_largest(), 4 * PAGE_SIZE_4K);
	assert_non_null(alloc_pages(4 * PAGE_SIZE_4K));
	assert_non_null(alloc_pages(4 * PAGE_SIZE_4K));
	assert_null(alloc_pages(1));
}

static void freed_extents_join_their_neighbours(void **state)
{
	void *p[3];

	(void)state;
	give(0, 3);
	for (unsigned i = 0; i < 3; i++)
		p[i] = alloc_pages(PAGE_SIZE_4K);
	alloc_free(p[0], PAGE_SIZE_4K);
	alloc_free(p[2], PAGE_SIZE_4K);
	assert_int_equal(alloc_largest(), PAGE_SIZE_4K);
	alloc_free(p[1], PAGE_SIZE_4K);
	assert_int_equal(alloc_largest(), 3 * PAGE_SIZE_4K);
	alloc_free(NULL, PAGE_SIZE_4K);
	assert_int_equal(alloc_total(), 3 * PAGE_SIZE_4K);
}

/* Against a model: which page is taken by which allocation. */
static void random_sequences_keep_every_page_once(void **state)
{
	static struct {
		uint8_t *p;
		size_t n;
	} held[16];
	uint32_t seed = 12345;

	(void)state;
	memset(held, 0, sizeof(held));
	give(0, 20);
	give(24, PAGES - 24);
	for (unsigned i = 0; i < 20000; i++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned slot = seed >> 24 & 15;

		if (held[slot].p) {
			for (size_t k = 0; k < held[slot].n; k++)
				assert_int_equal(held[slot].p[k], slot + 1);
			alloc_free(held[slot].p, held[slot].n);
			held[slot].p = NULL;
			continue;
		}
		held[slot].n = (seed >> 8 & 0x7fff) + 1;
		held[slot].p = alloc_pages(held[slot].n);
		if (held[slot].p)
			memset(held[slot].p, (int)slot + 1, held[slot].n);
	}
	for (unsigned s = 0; s < 16; s++)
		if (held[s].p)
			alloc_free(held[s].p, held[s].n);
	assert_int_equal(alloc_total(), (PAGES - 4) * PAGE_SIZE_4K);
	assert_int_equal(alloc_largest(), (PAGES - 24) * PAGE_SIZE_4K);
}

static void products_of_128_bits_are_divided_exactly(void **state)
{
	(void)state;
	assert_int_equal(muldiv64(1, 1000000000, 3000000000), 0);
	assert_int_equal(muldiv64(10000000000ull, 1000000000, 4000000), 2500000000000ull);
	/* a year at 5 GHz, there and back */
	assert_int_equal(muldiv64(157680000000000000ull, 1000000000, 5000000000ull), 31536000000000000ull);
	assert_int_equal(muldiv64(31536000000000000ull, 5000000000ull, 1000000000), 157680000000000000ull);
	assert_int_equal(muldiv64(UINT64_MAX, UINT64_MAX, UINT64_MAX), UINT64_MAX);
	assert_int_equal(muldiv64(UINT64_MAX, 2, 1), UINT64_MAX); /* saturates */
	assert_int_equal(muldiv64(0, 7, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(pages_are_zeroed_and_aligned, setup, teardown),
	    cmocka_unit_test_setup_teardown(only_whole_pages_of_a_range_are_taken, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_extents_join_their_neighbours, setup, teardown),
	    cmocka_unit_test_setup_teardown(random_sequences_keep_every_page_once, setup, teardown),
	    cmocka_unit_test(products_of_128_bits_are_divided_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
