/*
 * Interrupt lines from a device to the CPU's question.
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

static void a_line_becomes_a_vector_once(void **state)
{
	(void)state;
	dev_init_pic(&f);
	assert_false(irq_pending(&f.vm));
	irq_set_line(&f.vm, 4, true);
	assert_true(irq_pending(&f.vm));
	assert_int_equal(irq_ack(&f.vm), 0x0c);
	assert_false(irq_pending(&f.vm));
}

static void a_vm_without_a_machine_has_no_interrupts(void **state)
{
	static struct vm empty;

	(void)state;
	assert_false(irq_pending(&empty));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_line_becomes_a_vector_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_vm_without_a_machine_has_no_interrupts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
