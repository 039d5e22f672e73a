/*
 * The DMA page registers and the POST port.
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

static void each_register_keeps_its_byte_until_reset(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 16; i++)
		dev_out(&f, (uint16_t)(0x80 + i), (uint8_t)(i * 17));
	for (uint16_t i = 0; i < 16; i++)
		assert_int_equal(dev_in(&f, (uint16_t)(0x80 + i)), i * 17);
	machine_reset(&f.vm);
	assert_int_equal(dev_in(&f, 0x80), 0);
}

static void the_delay_port_takes_anything_and_is_nobodys_mistake(void **state)
{
	(void)state;
	dev_out(&f, 0xed, 0x55);
	assert_int_equal(dev_in(&f, 0xed), 0xff);
	assert_int_equal(f.vm.bus.unclaimed_pio, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_register_keeps_its_byte_until_reset, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_delay_port_takes_anything_and_is_nobodys_mistake, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
