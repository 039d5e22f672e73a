/* See vm_fixture.h. */
#include "tests/vm_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct vm *vm;
struct vcpu *v;
struct vm_config cfg;
unsigned tick_handle;

struct vm_config vm_fix_config(void)
{
	return (struct vm_config){
	    .host = &fake_host_ops, .mode = &fake_mode_ops, .guest = "test", .mem_size = 1 << 20, .n_vcpus = 1};
}

void create(void)
{
	struct errmsg why = {""};

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	v = &vm->vcpus[0];
}

int vm_fix_setup(void **state)
{
	(void)state;
	fake_host_reset();
	fake_mode_reset();
	cfg = vm_fix_config();
	vm = NULL;
	return 0;
}

int vm_fix_teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	assert_int_equal(fake_host.live, 0);
	assert_int_equal(fake_host.bad_frees, 0);
	assert_int_equal(fake_mode.inits, fake_mode.finis);
	return 0;
}

void tick(void *arg, uint64_t deadline)
{
	struct vm *m = arg;

	clock_arm(&m->clock, tick_handle, deadline + 55000000);
}
