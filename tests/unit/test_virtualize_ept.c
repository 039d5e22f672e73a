/*
 * Nested page tables against a model that cannot be wrong: an array with one entry a page. The tree is what a processor
 * would walk; no processor is needed to look at it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "modes/virtualize/ept.h"
#include "tests/fake_host.h"

#define PAGES 2048u /* 8 MiB */
#define SIZE_2M (1ull << 21)
#define HOST 0x7f0000000000ull

struct naive {
	uint64_t hpa[PAGES]; /* 0: not mapped */
	bool write[PAGES];
};

static const uint8_t *at(uint64_t hpa)
{
	return (const uint8_t *)(uintptr_t)hpa;
}

static void naive_map(struct naive *m, unsigned page, unsigned n, uint64_t hpa, bool write)
{
	for (unsigned i = 0; i < n; i++) {
		m->hpa[page + i] = hpa ? hpa + (uint64_t)i * PAGE_SIZE_4K : 0;
		m->write[page + i] = write;
	}
}

static void assert_same(const struct ept *t, const struct naive *m)
{
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t hpa = 0;
		bool write = false;
		bool mapped = ept_walk(t, (gpa_t)i * PAGE_SIZE_4K + 0x123, &hpa, &write);

		assert_int_equal(mapped, m->hpa[i] != 0);
		if (!mapped)
			continue;
		assert_int_equal(hpa, m->hpa[i] + 0x123);
		assert_int_equal(write, m->write[i]);
	}
}

/* Each mapping of the list is exact, and together they are all there is. */
static void assert_listed(const struct ept *t, const struct naive *m)
{
	static struct mode_mapping list[PAGES];
	size_t n = ept_list(t, list, PAGES), pages = 0, mapped = 0;

	assert_true(n <= PAGES);
	for (size_t i = 0; i < n; i++) {
		assert_true(i == 0 || list[i].gpa >= list[i - 1].gpa + list[i - 1].len);
		for (uint64_t off = 0; off < list[i].len; off += PAGE_SIZE_4K, pages++) {
			uint64_t page = (list[i].gpa + off) / PAGE_SIZE_4K;

			assert_true(page < PAGES);
			assert_ptr_equal(list[i].host + off, at(m->hpa[page]));
			assert_int_equal(list[i].write, m->write[page]);
		}
	}
	for (unsigned i = 0; i < PAGES; i++)
		mapped += m->hpa[i] != 0;
	assert_int_equal(pages, mapped);
}

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void random_maps_and_unmaps(enum ept_format f, bool large, uint32_t seed)
{
	static struct naive m;
	struct ept t;

	memset(&m, 0, sizeof m);
	fake_host_reset();
	assert_int_equal(ept_init(&t, &fake_host_ops, f, large), ERR_OK);
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = 1 + next(&seed) % (round % 4 ? 40 : 1500), page = next(&seed) % (PAGES - n + 1);
		bool write = next(&seed) & 1, unmap = next(&seed) % 4 == 0;
		uint64_t hpa = HOST + (uint64_t)(next(&seed) % 4096) * PAGE_SIZE_4K;

		if (round % 8 == 0) { /* aligned: a 2 MiB leaf can come, over whatever was there */
			page &= ~511u;
			hpa &= ~(SIZE_2M - 1);
		}
		naive_map(&m, page, n, unmap ? 0 : hpa, write);
		if (unmap)
			assert_int_equal(ept_unmap(&t, (gpa_t)page * PAGE_SIZE_4K, (uint64_t)n * PAGE_SIZE_4K), ERR_OK);
		else
			assert_int_equal(
			    ept_map(&t, (gpa_t)page * PAGE_SIZE_4K, (uint64_t)n * PAGE_SIZE_4K, at(hpa), write),
			    ERR_OK);
		assert_same(&t, &m);
		assert_listed(&t, &m);
	}
	assert_int_equal(fake_host.live, t.n_tables);
	ept_fini(&t);
	assert_int_equal(fake_host.live, 0);
	assert_int_equal(fake_host.bad_frees, 0);
}

static void any_sequence_of_maps_equals_the_model(void **state)
{
	(void)state;
	random_maps_and_unmaps(EPT_FORMAT_VMX, true, 1);
	random_maps_and_unmaps(EPT_FORMAT_NPT, true, 2);
	random_maps_and_unmaps(EPT_FORMAT_VMX, false, 3);
}

static uint64_t leaf_of(const struct ept *t, unsigned level)
{
	const uint64_t *table = t->root;

	for (unsigned i = 4; i > level; i--)
		table = (const uint64_t *)(uintptr_t)(table[0] & 0x000ffffffffff000ull);
	return table[0];
}

static void entries_are_in_the_format_of_the_processor(void **state)
{
	struct ept t;

	(void)state;
	fake_host_reset();
	assert_int_equal(ept_init(&t, &fake_host_ops, EPT_FORMAT_VMX, true), ERR_OK);
	assert_int_equal(ept_map(&t, 0, SIZE_2M, at(HOST), true), ERR_OK);
	assert_int_equal(leaf_of(&t, 2), HOST | 1u << 7 | 6u << 3 | 7);
	assert_int_equal(leaf_of(&t, 3) & 0xfff, 7);
	assert_int_equal(ept_map(&t, 0, PAGE_SIZE_4K, at(HOST), false), ERR_OK);
	assert_int_equal(leaf_of(&t, 1), HOST | 6u << 3 | 5);
	ept_fini(&t);
	assert_int_equal(ept_init(&t, &fake_host_ops, EPT_FORMAT_NPT, true), ERR_OK);
	assert_int_equal(ept_map(&t, 0, SIZE_2M, at(HOST), true), ERR_OK);
	assert_int_equal(leaf_of(&t, 2), HOST | 1u << 7 | 7);
	ept_fini(&t);
}

static void large_pages_are_used_only_where_everything_is_aligned(void **state)
{
	struct ept t;

	(void)state;
	fake_host_reset();
	assert_int_equal(ept_init(&t, &fake_host_ops, EPT_FORMAT_VMX, true), ERR_OK);
	assert_int_equal(ept_map(&t, 0, 4 * SIZE_2M, at(HOST), true), ERR_OK);
	assert_int_equal(t.n_tables, 3);
	assert_int_equal(ept_map(&t, 0, SIZE_2M, at(HOST + PAGE_SIZE_4K), true), ERR_OK);
	assert_int_equal(t.n_tables, 4);
	assert_int_equal(ept_map(&t, 0, SIZE_2M, at(HOST), true), ERR_OK); /* and the small ones are freed again */
	assert_int_equal(t.n_tables, 3);
	ept_fini(&t);
	assert_int_equal(fake_host.live, 0);
}

static void what_is_not_whole_pages_is_refused(void **state)
{
	struct ept t;

	(void)state;
	fake_host_reset();
	assert_int_equal(ept_init(&t, &fake_host_ops, EPT_FORMAT_VMX, true), ERR_OK);
	assert_int_equal(ept_map(&t, 0x800, PAGE_SIZE_4K, at(HOST), true), ERR_RANGE);
	assert_int_equal(ept_map(&t, 0, 0x800, at(HOST), true), ERR_RANGE);
	assert_int_equal(ept_map(&t, 0, PAGE_SIZE_4K, at(HOST + 8), true), ERR_RANGE);
	assert_int_equal(ept_map(&t, 1ull << 48, PAGE_SIZE_4K, at(HOST), true), ERR_RANGE);
	assert_int_equal(ept_map(&t, (1ull << 48) - PAGE_SIZE_4K, 2 * PAGE_SIZE_4K, at(HOST), true), ERR_RANGE);
	assert_int_equal(ept_unmap(&t, 0x800, PAGE_SIZE_4K), ERR_RANGE);
	assert_int_equal(ept_list(&t, NULL, 0), 0);
	ept_fini(&t);
}

static enum err build(struct ept *t)
{
	enum err e = ept_init(t, &fake_host_ops, EPT_FORMAT_VMX, true);

	if (e == ERR_OK)
		e = ept_map(t, 0, SIZE_2M, at(HOST), true);
	if (e == ERR_OK)
		e = ept_map(t, 0xa0000, PAGE_SIZE_4K, at(HOST), false); /* splits */
	if (e == ERR_OK)
		e = ept_map(t, 0xfffff000ull, PAGE_SIZE_4K, at(HOST), false);
	if (e == ERR_OK)
		e = ept_map(t, 1ull << 40, SIZE_2M, at(HOST), false);
	if (e == ERR_OK)
		e = ept_unmap(t, (1ull << 40) + PAGE_SIZE_4K, PAGE_SIZE_4K);
	return e;
}

static void no_memory_at_any_point_leaves_a_sound_tree(void **state)
{
	struct ept t;
	unsigned n;

	(void)state;
	for (n = 1; n < 100; n++) {
		fake_host_reset();
		fake_host.fail_at = n;
		enum err e = build(&t);

		ept_fini(&t);
		assert_int_equal(fake_host.live, 0);
		assert_int_equal(fake_host.bad_frees, 0);
		if (e == ERR_OK)
			break;
		assert_int_equal(e, ERR_NOMEM);
	}
	assert_true(n > 5 && n < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_sequence_of_maps_equals_the_model),
	    cmocka_unit_test(entries_are_in_the_format_of_the_processor),
	    cmocka_unit_test(large_pages_are_used_only_where_everything_is_aligned),
	    cmocka_unit_test(what_is_not_whole_pages_is_refused),
	    cmocka_unit_test(no_memory_at_any_point_leaves_a_sound_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
