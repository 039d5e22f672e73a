/*
 * The debug consoles.
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

static void both_ports_write_to_the_person_and_read_e9(void **state)
{
	(void)state;
	for (const char *s = "Sea"; *s; s++)
		dev_out(&f, 0x402, (uint8_t)*s);
	for (const char *s = "BIOS"; *s; s++)
		dev_out(&f, 0xe9, (uint8_t)*s);
	assert_string_equal(f.debugcon, "SeaBIOS");
	assert_string_equal(f.uart, "");
	assert_int_equal(dev_in(&f, 0x402), 0xe9);
	assert_int_equal(dev_in(&f, 0xe9), 0xe9);
}

static void nobody_needs_to_listen(void **state)
{
	(void)state;
	f.vm.cfg.console = NULL;
	dev_out(&f, 0xe9, 'x');
	dev_out(&f, 0x3f8, 'x');
	assert_false(f.vm.ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(both_ports_write_to_the_person_and_read_e9, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_needs_to_listen, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
