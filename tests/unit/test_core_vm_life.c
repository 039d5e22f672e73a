/* core/vm_life.c, and what the loop asks of modes that keep the state themselves. On a fake mode, with no guest. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/vm.h"
#include "tests/vm_fixture.h"

/* --- Modes that keep the state themselves ------------------------------------------------------------------------ */

static void state_that_lives_elsewhere_is_fetched_only_when_asked_for(void **state)
{
	(void)state;
	create();
	fake_mode_ops.caps &= ~MODE_CAP_STATE_LIVE;
	fake_mode.stale = true;
	fake_mode.elsewhere = v->cpu.s;
	SCRIPT(EXIT_SLICE, EXIT_PAUSE, EXIT_SLICE, EXIT_SLICE);
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.set_states, 1); /* the reset state */
	fake_mode.elsewhere.rip = 0x2000;
	vm_step_exit(vm, v); /* AGAIN needed none; NEXT moves rip */
	assert_int_equal(fake_mode.get_states, 1);
	assert_int_equal(v->cpu.s.rip, 0x2002);
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.elsewhere.rip, 0x2002);
	assert_int_equal(fake_mode.set_states, 2);
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.get_states, 1);
	assert_int_equal(fake_mode.set_states, 2);
	assert_int_equal(vcpu_state(v)->rip, 0x2002);
	assert_int_equal(fake_mode.get_states, 2);
	assert_int_equal(vcpu_state(v)->rip, 0x2002);
	assert_int_equal(fake_mode.get_states, 2);
}

static void a_mode_that_completes_gets_the_results_and_moves_rip_itself(void **state)
{
	(void)state;
	create();
	fake_mode_ops.caps = (fake_mode_ops.caps | MODE_CAP_COMPLETES) & ~(MODE_CAP_STATE_LIVE | MODE_CAP_COUNTS_INSNS);
	SCRIPT({.exit = {.reason = EXIT_IO_INSTRUCTION, .io = {.port = 0x1230, .size = 2, .in = 1}}},
	    {.exit = {.reason = EXIT_MSR_READ, .msr = {.index = 0x12345}}});
	v->cpu.s.rip = 0x300;
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.completes, 1);
	assert_int_equal(fake_mode.completed.io.value, 0xffff);
	assert_int_equal(v->cpu.s.rip, 0x300);
	assert_int_equal(v->counts.insns_vmm, 1);
	assert_int_equal(v->exit.insns, 0); /* nobody counts them */
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.completes, 2);
	assert_int_equal(fake_mode.completed.msr.fault, 1);
	assert_int_equal(fake_mode.n_injected, 0);
	assert_int_equal(v->counts.unknown_msr, 1);
}

static void a_model_gets_its_exceptions_by_injection_and_is_labelled(void **state)
{
	(void)state;
	create();
	fake_mode_ops.caps |= MODE_CAP_COMPLETES | MODE_CAP_MODEL;
	SCRIPT({.exit = {.reason = EXIT_MSR_WRITE, .msr = {.index = 0x12345}}});
	vm_step_exit(vm, v);
	assert_int_equal(v->exit.observed, OBSERVED_MODEL);
	assert_int_equal(fake_mode.n_injected, 1);
	assert_int_equal(fake_mode.injected[0].vector, VEC_GP);
	assert_int_equal(fake_mode.completes, 0);
}

static void one_instruction_at_a_time_where_the_mode_can(void **state)
{
	(void)state;
	create();
	SCRIPT({.exit = {.reason = EXIT_VMM_DEBUG}, .insns = 1}, EXIT_SLICE);
	assert_int_equal(vm_step_insn(vm, v), ERR_OK);
	assert_true(fake_mode.bounds[0].single_step);
	assert_int_equal(vm_step_exit(vm, v), ERR_OK);
	assert_false(fake_mode.bounds[1].single_step);
	fake_mode_ops.caps &= ~MODE_CAP_STEP_INSN;
	assert_int_equal(vm_step_insn(vm, v), ERR_UNSUPPORTED);
}

/* --- Birth ------------------------------------------------------------------------------------------------------- */

static void when_any_allocation_fails_creation_leaves_nothing_behind(void **state)
{
	struct errmsg why;
	unsigned n = 0;
	enum err e;

	(void)state;
	do {
		fake_host_reset();
		fake_host.fail_at = ++n;
		why.text[0] = '\0';
		e = vm_create(&cfg, &vm, &why);
		if (e != ERR_OK) {
			assert_int_equal(e, ERR_NOMEM);
			assert_null(vm);
			assert_true(why.text[0] != '\0');
			assert_int_equal(fake_host.live, 0);
			assert_int_equal(fake_host.bad_frees, 0);
		}
	} while (e != ERR_OK);
	assert_true(n > 4); /* the VM, its RAM, its CPUs, its machine and its mode at least */
}

static void a_mode_that_fails_is_taken_down_again(void **state)
{
	struct errmsg why;

	(void)state;
	fake_mode.init_err = ERR_NODEV;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_NODEV);
	assert_int_equal(fake_mode.finis, 1);
	fake_mode.init_err = ERR_OK;
	fake_mode.map_err = ERR_IO;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_IO);
	assert_int_equal(fake_mode.finis, 2);
	assert_int_equal(fake_host.live, 0);
}

static void the_mode_maps_every_slot_and_hears_of_changes(void **state)
{
	struct errmsg why;

	(void)state;
	create();
	assert_int_equal(fake_mode.maps, vm->mem.n_slots);
	unsigned before = fake_mode.maps;
	assert_int_equal(mem_retarget(&vm->mem, 0, vm->mem.ram, NULL, &why), ERR_OK);
	assert_int_equal(fake_mode.maps, before + 1);
}

static void refused(enum err want, const char *text)
{
	struct errmsg why = {""};

	assert_int_equal(vm_create(&cfg, &vm, &why), want);
	if (!strstr(why.text, text))
		fail_msg("'%s' does not say '%s'", why.text, text);
	assert_null(vm);
	cfg = vm_fix_config();
}

static void a_configuration_that_cannot_be_is_refused_with_a_line(void **state)
{
	(void)state;
	cfg.mem_size = 0;
	refused(ERR_RANGE, "MiB");
	cfg.mem_size = (1 << 20) + 4096;
	refused(ERR_RANGE, "MiB");
	cfg.mem_size = 1ull << 50;
	refused(ERR_NOMEM, "this machine can give");
	cfg.n_vcpus = 0;
	refused(ERR_RANGE, "CPU");
	cfg.n_vcpus = 2;
	refused(ERR_UNSUPPORTED, "takes one CPU");
	cfg.controls = "nonsense";
	refused(ERR_NOENT, "vtx-ept");
	fake_mode_ops.profiles = PROFILE_KVM;
	cfg.controls = "vtx-ept";
	refused(ERR_UNSUPPORTED, "vtx-ept");
	fake_mode_ops.profiles = PROFILE_EMULATE;
	fake_mode_ops.caps &= ~MODE_CAP_HOST_TIME;
	cfg.clock = CLOCK_HOST;
	refused(ERR_UNSUPPORTED, "virtual time only");
	fake_mode_ops.caps &= ~MODE_CAP_VIRTUAL_TIME;
	refused(ERR_UNSUPPORTED, "host time only");
}

#define T(name) cmocka_unit_test_setup_teardown(name, vm_fix_setup, vm_fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(state_that_lives_elsewhere_is_fetched_only_when_asked_for),
	    T(a_mode_that_completes_gets_the_results_and_moves_rip_itself),
	    T(a_model_gets_its_exceptions_by_injection_and_is_labelled),
	    T(one_instruction_at_a_time_where_the_mode_can),
	    T(when_any_allocation_fails_creation_leaves_nothing_behind),
	    T(a_mode_that_fails_is_taken_down_again),
	    T(the_mode_maps_every_slot_and_hears_of_changes),
	    T(a_configuration_that_cannot_be_is_refused_with_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
