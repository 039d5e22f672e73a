/*
 * The ISA bridge: a function that holds the interrupt routing.
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

static uint32_t cfg(unsigned reg)
{
	dev_outl(&f, 0xcf8, 0x80000800u | reg);
	return dev_inl(&f, 0xcfc);
}

static void interrupt_routing_comes_up_disabled_and_keeps_what_is_written(void **state)
{
	(void)state;
	assert_int_equal(cfg(0x60), 0x80808080);
	dev_outl(&f, 0xcfc, 0xffffffff);
	assert_int_equal(cfg(0x60), 0x8f8f8f8f);
	dev_outl(&f, 0xcfc, 0x0b0a0b0a);
	assert_int_equal(cfg(0x60), 0x0b0a0b0a);
	machine_reset(&f.vm);
	assert_int_equal(cfg(0x60), 0x80808080);
}

static void what_no_table_row_names_reads_zero(void **state)
{
	(void)state;
	assert_int_equal(cfg(0x10), 0);
	dev_outl(&f, 0xcfc, 0xffffffff);
	assert_int_equal(cfg(0x10), 0);
	assert_int_equal(cfg(0xf0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		interrupt_routing_comes_up_disabled_and_keeps_what_is_written, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_no_table_row_names_reads_zero, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
