/*
 * isa-debug-exit: how a test guest ends.
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

static void the_byte_is_the_code_in_every_size(void **state)
{
	static const struct {
		unsigned size;
		uint32_t value, code;
	} row[] = {{1, 0, 0}, {1, 1, 1}, {1, 0xff, 0xff}, {2, 0x10, 0x10}, {4, 0x7f, 0x7f}, {4, 0x100, 0xff},
	    {2, 0x8000, 0xff}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		dev_close(&f);
		dev_open(&f, 1 << 20);
		bus_pio_write(&f.vm.bus, 0xf4, row[i].size, row[i].value);
		assert_true(f.vm.ended);
		assert_int_equal(f.vm.end.kind, END_DEBUG_EXIT);
		assert_int_equal(f.vm.end.code, row[i].code);
	}
}

static void its_other_ports_and_reads_do_nothing(void **state)
{
	(void)state;
	dev_out(&f, 0xf5, 1);
	dev_out(&f, 0xf7, 1);
	assert_int_equal(dev_in(&f, 0xf4), 0);
	assert_false(f.vm.ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_byte_is_the_code_in_every_size, setup, teardown),
	    cmocka_unit_test_setup_teardown(its_other_ports_and_reads_do_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
