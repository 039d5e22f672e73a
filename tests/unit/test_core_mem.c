/* core/mem.c: guest-physical memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/lib.h"
#include "core/mem.h"
#include "tests/fake_host.h"

#define RAM 0x10000u

static struct guest_mem m;
static uint8_t rom[2 * PAGE_SIZE_4K];
static unsigned changes;
static enum err change_err;

static enum err on_change(void *arg, unsigned slot, struct errmsg *why)
{
	(void)arg;
	(void)slot;
	(void)why;
	changes++;
	return change_err;
}

/* RAM at 0..4000 and 8000..c000, ROM at 4000..6000, a hole from 6000 to 8000. */
static int setup(void **state)
{
	struct errmsg why;

	(void)state;
	fake_host_reset();
	memset(rom, 0x5a, sizeof(rom));
	changes = 0;
	change_err = ERR_OK;
	assert_int_equal(mem_init(&m, &fake_host_ops, RAM, &why), ERR_OK);
	assert_int_equal(mem_add_slot(&m, 0, 0x4000, m.ram, m.ram, "low", &why), ERR_OK);
	assert_int_equal(mem_add_slot(&m, 0x4000, 0x2000, rom, NULL, "rom", &why), ERR_OK);
	assert_int_equal(mem_add_slot(&m, 0x8000, 0x4000, m.ram + 0x4000, m.ram + 0x4000, "high", &why), ERR_OK);
	m.on_change = on_change;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mem_fini(&m);
	assert_int_equal(fake_host.live, 0);
	assert_int_equal(fake_host.bad_frees, 0);
	return 0;
}

static void sizes_that_cannot_be_are_refused_with_a_line(void **state)
{
	struct guest_mem g;
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(mem_init(&g, &fake_host_ops, 0, &why), ERR_RANGE);
	assert_int_equal(mem_init(&g, &fake_host_ops, 100, &why), ERR_RANGE);
	fake_host.limit = 1 << 20;
	assert_int_equal(mem_init(&g, &fake_host_ops, 2 << 20, &why), ERR_NOMEM);
	assert_non_null(strstr(why.text, "this machine can give 1 MiB"));
	fake_host.limit = UINT64_MAX;
	fake_host.fail_at = fake_host.allocations + 1;
	assert_int_equal(mem_init(&g, &fake_host_ops, 1 << 20, &why), ERR_NOMEM);
	assert_null(g.ram);
}

static void slots_may_touch_but_not_overlap(void **state)
{
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(mem_add_slot(&m, 0x6000, 0x1000, rom, NULL, "fits", &why), ERR_OK);
	assert_int_equal(mem_add_slot(&m, 0x3000, 0x1000, rom, NULL, "inside", &why), ERR_RANGE);
	assert_non_null(strstr(why.text, "low"));
	assert_int_equal(mem_add_slot(&m, 0x7000, 0x2000, rom, NULL, "end", &why), ERR_RANGE);
	assert_int_equal(mem_add_slot(&m, 0x0, 0x10000, rom, NULL, "around", &why), ERR_RANGE);
	assert_int_equal(mem_add_slot(&m, 0x7010, 0x1000, rom, NULL, "askew", &why), ERR_RANGE);
	assert_int_equal(mem_add_slot(&m, 0x7000, 0, rom, NULL, "empty", &why), ERR_RANGE);
	assert_int_equal(mem_add_slot(&m, ~0xfffull, 0x2000, rom, NULL, "wraps", &why), ERR_RANGE);
	assert_int_equal(m.n_slots, 4);
}

static void the_table_is_finite(void **state)
{
	struct errmsg why;

	(void)state;
	for (unsigned i = m.n_slots; i < MEM_SLOTS_MAX; i++)
		assert_int_equal(mem_add_slot(&m, 0x100000 + i * 0x1000ull, 0x1000, rom, NULL, "x", &why), ERR_OK);
	assert_int_equal(mem_add_slot(&m, 0x900000, 0x1000, rom, NULL, "x", &why), ERR_NOMEM);
}

static void a_change_is_told_and_a_refused_one_undone(void **state)
{
	struct errmsg why;
	uint64_t generation = m.generation;

	(void)state;
	assert_int_equal(mem_add_slot(&m, 0x6000, 0x1000, rom, NULL, "new", &why), ERR_OK);
	assert_int_equal(changes, 1);
	assert_true(m.generation > generation);
	change_err = ERR_IO;
	assert_int_equal(mem_add_slot(&m, 0x7000, 0x1000, rom, NULL, "refused", &why), ERR_IO);
	assert_int_equal(mem_find(&m, 0x7000), -1);
	change_err = ERR_OK;
	changes = 0;
	assert_int_equal(mem_retarget(&m, 1, rom, rom, &why), ERR_OK);
	assert_int_equal(mem_retarget(&m, 1, rom, rom, &why), ERR_OK); /* no change, nobody is told */
	assert_int_equal(changes, 1);
	assert_int_equal(mem_retarget(&m, 99, rom, rom, &why), ERR_RANGE);
}

static void a_page_is_direct_only_where_reads_and_writes_agree(void **state)
{
	struct errmsg why;

	(void)state;
	assert_ptr_equal(mem_page(&m, 0x3abc, true), m.ram + 0x3000);
	assert_ptr_equal(mem_page(&m, 0x8001, false), m.ram + 0x4000);
	assert_ptr_equal(mem_page(&m, 0x5fff, false), rom + 0x1000);
	assert_null(mem_page(&m, 0x5fff, true));
	assert_null(mem_page(&m, 0x6000, false));
	assert_null(mem_page(&m, 0xc000, false));
	assert_int_equal(mem_retarget(&m, 1, rom, m.ram + 0x8000, &why), ERR_OK); /* ROM shadow: read ROM, write RAM */
	assert_ptr_equal(mem_page(&m, 0x4000, false), rom);
	assert_null(mem_page(&m, 0x4000, true));
	assert_int_equal(mem_retarget(&m, 1, NULL, m.ram + 0x8000, &why), ERR_OK); /* write only */
	assert_null(mem_page(&m, 0x4000, false));
	assert_null(mem_page(&m, 0x4000, true));
}

static void copies_cross_pages_and_slots(void **state)
{
	uint8_t in[0x3000], out[0x3000];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	assert_int_equal(mem_write(&m, 0x1800, in, 0x2000), ERR_OK);
	assert_memory_equal(m.ram + 0x1800, in, 0x2000);
	assert_int_equal(mem_write(&m, 0x3ff0, in, 0x20), ERR_OK); /* half RAM, half ROM: loaders may */
	assert_memory_equal(rom, in + 0x10, 0x10);
	assert_int_equal(mem_read(&m, 0x3ff0, out, 0x20), ERR_OK);
	assert_memory_equal(out, in, 0x20);
}

static void a_hole_reads_as_ones_and_is_reported(void **state)
{
	uint8_t out[0x20];

	(void)state;
	assert_int_equal(mem_read(&m, 0x5ff0, out, 0x20), ERR_RANGE);
	assert_int_equal(out[0x0f], 0x5a);
	assert_int_equal(out[0x10], 0xff);
	assert_int_equal(out[0x1f], 0xff);
	assert_true(m.hole_reads > 0);
	assert_int_equal(mem_read(&m, 0x7ff0, out, 0x20), ERR_RANGE);
	assert_int_equal(out[0x10], 0);
	assert_int_equal(mem_write(&m, 0x7ff0, "0123456789abcdefXY", 18), ERR_RANGE);
	assert_memory_equal(m.ram + 0x4000, "XY", 2);
	assert_int_equal(mem_read(&m, UINT64_MAX - 3, out, 3), ERR_RANGE);
}

static void the_hash_is_fnv_over_all_ram(void **state)
{
	(void)state;
	assert_true(mem_hash(&m) == fnv64(FNV64_INIT, m.ram, RAM)); /* all pages zero: the shortcut */
	m.ram[0x2345] = 9;
	m.ram[RAM - 1] = 1;
	assert_true(mem_hash(&m) == fnv64(FNV64_INIT, m.ram, RAM));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(sizes_that_cannot_be_are_refused_with_a_line),
	    T(slots_may_touch_but_not_overlap),
	    T(the_table_is_finite),
	    T(a_change_is_told_and_a_refused_one_undone),
	    T(a_page_is_direct_only_where_reads_and_writes_agree),
	    T(copies_cross_pages_and_slots),
	    T(a_hole_reads_as_ones_and_is_reported),
	    T(the_hash_is_fnv_over_all_ram),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
