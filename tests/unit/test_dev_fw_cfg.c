/*
 * fw_cfg: items byte by byte, the directory of files, and the memory map.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/dev_fixture.h"

static struct dev_fixture f;

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	dev_open(&f, 2 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dev_close(&f);
	return 0;
}

static void select_item(uint16_t key)
{
	bus_pio_write(&f.vm.bus, 0x510, 2, key);
}

static uint64_t little(unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)dev_in(&f, 0x511) << (8 * i);
	return v;
}

static uint32_t big(unsigned n)
{
	uint32_t v = 0;

	while (n--)
		v = v << 8 | dev_in(&f, 0x511);
	return v;
}

static void the_signature_names_the_interface_and_the_id_offers_no_dma(void **state)
{
	(void)state;
	select_item(0x00);
	assert_int_equal(big(4), 0x51454d55);
	assert_int_equal(little(4), 0); /* zeros after the end */
	select_item(0x01);
	assert_int_equal(little(4), 1);
	assert_int_equal(dev_inl(&f, 0x514), 0xffffffffu);
}

static void selecting_again_starts_over(void **state)
{
	(void)state;
	select_item(0x00);
	assert_int_equal(dev_in(&f, 0x511), 'Q');
	select_item(0x00);
	assert_int_equal(dev_in(&f, 0x511), 'Q');
	assert_int_equal(dev_in(&f, 0x511), 'E');
	dev_out(&f, 0x511, 'x'); /* items are read-only */
	assert_int_equal(dev_in(&f, 0x511), 'M');
}

static void memory_and_cpus_are_told(void **state)
{
	(void)state;
	select_item(0x03);
	assert_int_equal(little(8), 2 << 20);
	select_item(0x05);
	assert_int_equal(little(2), 1);
	select_item(0x0f);
	assert_int_equal(little(2), 1);
	select_item(0x04);
	assert_int_equal(little(2), 0);
	select_item(0x0d);
	assert_int_equal(little(8), 0);
}

static void an_unknown_item_is_empty(void **state)
{
	(void)state;
	select_item(0x7777);
	assert_int_equal(little(8), 0);
	assert_int_equal(dev_in(&f, 0x510), 0xff);
}

/* A file by its name: its size, 0 when it is not there. */
static unsigned find_file(const char *file, uint16_t *key)
{
	unsigned found = 0, n;

	select_item(0x19);
	n = big(4);
	for (unsigned i = 0; i < n; i++) {
		unsigned size = big(4), select = big(2);
		char name[57] = {0};

		assert_int_equal(big(2), 0);
		for (unsigned c = 0; c < 56; c++)
			name[c] = (char)dev_in(&f, 0x511);
		if (strcmp(name, file) == 0) {
			*key = (uint16_t)select;
			found = size;
		}
	}
	return found;
}

static void the_memory_map_is_one_range_below_3_gib(void **state)
{
	uint16_t key = 0;

	(void)state;
	assert_int_equal(find_file("etc/e820", &key), 20);
	select_item(key);
	assert_int_equal(little(8), 0);
	assert_int_equal(little(8), 2 << 20);
	assert_int_equal(little(4), 1);
}

static void memory_above_3_gib_is_a_second_range(void **state)
{
	uint16_t key = 0;

	(void)state;
	f.vm.mem.ram_size = 5ull << 30; /* the device only looks at the size */
	assert_int_equal(find_file("etc/e820", &key), 40);
	select_item(key);
	assert_int_equal(little(8), 0);
	assert_int_equal(little(8), 3ull << 30);
	assert_int_equal(little(4), 1);
	assert_int_equal(little(8), 4ull << 30);
	assert_int_equal(little(8), 2ull << 30);
	assert_int_equal(little(4), 1);
	f.vm.mem.ram_size = 2 << 20;
}

static void nothing_to_boot_means_waiting_for_ever(void **state)
{
	uint16_t key = 0;

	(void)state;
	assert_int_equal(find_file("etc/boot-fail-wait", &key), 4);
	select_item(key);
	assert_int_equal(little(4), 0xffffffff);
	assert_int_equal(find_file("etc/nothing", &key), 0);
	select_item(key + 1); /* behind the last file */
	assert_int_equal(little(4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		the_signature_names_the_interface_and_the_id_offers_no_dma, setup, teardown),
	    cmocka_unit_test_setup_teardown(selecting_again_starts_over, setup, teardown),
	    cmocka_unit_test_setup_teardown(memory_and_cpus_are_told, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_unknown_item_is_empty, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_memory_map_is_one_range_below_3_gib, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_to_boot_means_waiting_for_ever, setup, teardown),
	    cmocka_unit_test_setup_teardown(memory_above_3_gib_is_a_second_range, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
