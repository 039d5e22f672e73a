/* See handlers_fixture.h. */
#include "tests/handlers_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct x86_state *s;
uint64_t *gpr;

int handlers_setup(void **state, const char *profile)
{
	vm_fix_setup(state);
	cfg.controls = profile;
	create();
	s = &v->cpu.s;
	gpr = s->gpr;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i] = (struct x86_seg){.limit = 0xffff, .attr = 0x93};
	s->seg[X86_CS].attr = 0x9b;
	s->rip = CODE;
	gpr[X86_RSP] = 0x8000;
	x86_state_changed(&v->cpu);
	return 0;
}

struct vm_exit *play(struct vm_exit e)
{
	static struct fake_step step;

	step = (struct fake_step){.exit = e};
	step.exit.rip = s->rip;
	fake_mode_script(&step, 1);
	fake_mode.n_injected = 0;
	assert_int_equal(vm_step_exit(vm, v), ERR_OK);
	return &v->exit;
}

void code(const char *bytes, size_t n)
{
	assert_int_equal(mem_write(&vm->mem, CODE, bytes, n), ERR_OK);
	s->rip = CODE;
}

void got_fault(uint8_t vector)
{
	assert_int_equal(fake_mode.n_injected, 1);
	assert_int_equal(fake_mode.injected[0].vector, vector);
	assert_int_equal(fake_mode.injected[0].type, INTR_TYPE_HW_EXCEPTION);
}

void completes(void)
{
	fake_mode_ops.caps |= MODE_CAP_COMPLETES;
}
