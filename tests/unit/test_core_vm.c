/* core/vm.c: the loop on a fake mode, with no guest and no CPU feature: verdicts, limits, ends. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/handlers.h"
#include "core/machine.h"
#include "core/vm.h"
#include "tests/vm_fixture.h"

/* --- Verdicts ---------------------------------------------------------------------------------------------------- */

static void next_moves_rip_over_the_instruction_and_retires_it(void **state)
{
	(void)state;
	create();
	SCRIPT(EXIT_PAUSE);
	v->cpu.s.rip = 0x1000;
	v->cpu.s.rflags |= FLAG_RF;
	v->cpu.s.intr_shadow = INTR_SHADOW_STI | INTR_SHADOW_NMI;
	assert_int_equal(vm_step_exit(vm, v), ERR_OK);
	assert_int_equal(v->cpu.s.rip, 0x1002);
	assert_int_equal(v->cpu.s.rflags & FLAG_RF, 0);
	assert_int_equal(v->cpu.s.intr_shadow, INTR_SHADOW_NMI);
	assert_int_equal(v->cpu.s.pending_dbg, 0);
	assert_int_equal(vm->clock.insns, 11);
	assert_int_equal(v->cpu.insns, 11);
	assert_int_equal(v->counts.insns_vmm, 1);
	assert_int_equal(fake_mode.completes, 0);
	assert_false(vm->ended);
}

static void next_wraps_rip_at_the_code_size(void **state)
{
	(void)state;
	create();
	SCRIPT(EXIT_PAUSE);
	assert_true(v->cpu.ip_mask == 0xffffffff); /* not 64-bit mode */
	v->cpu.s.rip = 0xfffffffe;
	vm_step_exit(vm, v);
	assert_int_equal(v->cpu.s.rip, 0);
}

static void next_under_the_trap_flag_leaves_a_debug_trap_pending(void **state)
{
	(void)state;
	create();
	SCRIPT(EXIT_PAUSE);
	v->cpu.s.rflags |= FLAG_TF;
	vm_step_exit(vm, v);
	assert_int_equal(v->cpu.s.pending_dbg, 1u << 14);
}

static void again_leaves_everything_where_it_is(void **state)
{
	(void)state;
	create();
	SCRIPT(EXIT_SLICE);
	v->cpu.s.rip = 0x1000;
	vm_step_exit(vm, v);
	assert_int_equal(v->cpu.s.rip, 0x1000);
	assert_int_equal(vm->clock.insns, 10);
	assert_int_equal(v->counts.insns_vmm, 0);
	assert_int_equal(fake_mode.n_injected, 0);
}

static void reflect_gives_the_guest_its_exception_at_the_same_rip(void **state)
{
	(void)state;
	create();
	SCRIPT({.exit = {.reason = EXIT_VMXON, .insn_len = 4}});
	v->cpu.s.rip = 0x1000;
	v->cpu.s.intr_shadow = INTR_SHADOW_MOVSS;
	vm_step_exit(vm, v);
	assert_int_equal(v->cpu.s.rip, 0x1000);
	assert_int_equal(fake_mode.n_injected, 1);
	assert_int_equal(fake_mode.injected[0].vector, VEC_UD);
	assert_int_equal(fake_mode.injected[0].type, INTR_TYPE_HW_EXCEPTION);
	assert_int_equal(fake_mode.injected[0].has_error, 0);
	assert_int_equal(v->cpu.s.intr_shadow, 0); /* over when the VMM injects */
	assert_int_equal(v->counts.injected, 1);
	assert_int_equal(v->counts.insns_vmm, 0);
}

static void an_exit_without_a_handler_stops_the_machine_and_dumps(void **state)
{
	(void)state;
	create();
	SCRIPT(EXIT_PAUSE, {.exit = {.reason = EXIT_SIPI, .rip = 0xabc}});
	vm_run(vm);
	assert_true(vm->ended);
	assert_int_equal(vm->end.kind, END_BUG);
	assert_non_null(strstr(vm->end.detail, "SIPI"));
	assert_non_null(strstr(vm->end.detail, "0xabc"));
	assert_int_equal(fake_host.logs, 2); /* both exits */
	assert_non_null(strstr(fake_host.last_log, "SIPI"));
	assert_int_equal(end_status(vm->end.kind, vm->end.code), 5);
}

static void a_reason_outside_every_table_stops_the_machine(void **state)
{
	(void)state;
	create();
	SCRIPT({.exit = {.reason = 0x1ffff}});
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_BUG);
}

static enum verdict user_answer;
static unsigned user_asked;
static enum verdict user(void *arg, struct vcpu *cpu, struct vm_exit *e)
{
	(void)arg;
	(void)cpu;
	(void)e;
	user_asked++;
	return user_answer;
}
static enum verdict ask_user(struct vcpu *cpu, struct vm_exit *e)
{
	(void)cpu;
	(void)e;
	return VERDICT_USER;
}

static void user_asks_the_session_and_without_one_gives_up(void **state)
{
	static exit_handler handlers[EXIT_SDM_COUNT];

	(void)state;
	handlers[EXIT_PAUSE_INSTRUCTION] = ask_user;
	cfg.user = user;
	user_asked = 0;
	user_answer = VERDICT_NEXT;
	create();
	vm->handlers = handlers;
	SCRIPT(EXIT_PAUSE, EXIT_PAUSE);
	v->cpu.s.rip = 0x10;
	vm_step_exit(vm, v);
	assert_int_equal(user_asked, 1);
	assert_int_equal(v->cpu.s.rip, 0x12);
	vm->cfg.user = NULL;
	vm_step_exit(vm, v);
	assert_int_equal(vm->end.kind, END_KILLED);
	assert_int_equal(v->cpu.s.rip, 0x12);
}

static void a_reset_without_firmware_ends_the_run(void **state)
{
	(void)state;
	create();
	SCRIPT(EXIT_PAUSE);
	vm->want_reset = true;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_KILLED);
	assert_non_null(strstr(vm->end.detail, "firmware"));
}

static void a_reset_with_firmware_starts_again_at_the_reset_vector(void **state)
{
	static uint8_t firmware[0x10000];
	struct errmsg why;

	(void)state;
	create();
	SCRIPT(EXIT_PAUSE, EXIT_PAUSE);
	assert_int_equal(machine_set_firmware(vm, firmware, sizeof(firmware), &why), ERR_OK);
	v->cpu.s.rip = 0x1234;
	v->cpu.s.gpr[X86_RBX] = 77;
	v->halted = true;
	vm->clock.insns = 1000;
	vm_reset(vm);
	assert_false(vm->ended);
	assert_false(v->halted);
	assert_int_equal(v->cpu.s.rip, 0xfff0);
	assert_true(v->cpu.s.seg[X86_CS].base == 0xffff0000);
	assert_int_equal(v->cpu.s.gpr[X86_RBX], 0);
	assert_true(v->cpu.s.tsc_offset == 0 - 10000ull); /* guest time goes on, its TSC starts again */
	assert_int_equal(v->dirty, DIRTY_ALL);
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.set_states, 1);
}

/* --- Limits and ends --------------------------------------------------------------------------------------------- */

static void limits_end_the_run_and_more_of_them_go_on(void **state)
{
	(void)state;
	cfg.max_exits = 2;
	create();
	SCRIPT(EXIT_PAUSE, EXIT_PAUSE, EXIT_PAUSE);
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_LIMIT_EXITS);
	assert_int_equal(v->counts.exits, 2);
	assert_int_equal(end_status(vm->end.kind, 0), 4);
	vm_run(vm); /* the limit is still the limit */
	assert_int_equal(v->counts.exits, 2);
	vm->cfg.max_exits = 0;
	vm->cfg.max_insns = 30;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_LIMIT_INSNS);
	assert_int_equal(v->counts.exits, 3);
	vm->cfg.max_insns = 0;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_MODEL_END);
	vm_run(vm); /* a real end is final */
	assert_int_equal(v->counts.exits, 4);
}

static void a_run_is_bounded_by_timer_limit_and_control_interval(void **state)
{
	unsigned h;

	(void)state;
	create();
	SCRIPT(EXIT_SLICE, EXIT_SLICE, EXIT_SLICE);
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.bounds[0].max_insns, VM_CONTROL_INTERVAL_NS / CLOCK_NS_PER_INSN);
	assert_int_equal(clock_add_timer(&vm->clock, tick, vm, &h), ERR_OK);
	tick_handle = h;
	clock_arm(&vm->clock, h, 2000);
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.bounds[1].max_insns, 200 - 10);
	vm->cfg.max_insns = 50;
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.bounds[2].max_insns, 30);
	assert_false(fake_mode.bounds[2].single_step);
}

static void stop_in_run(struct vcpu *cpu)
{
	vm_stop(cpu->vm);
}

static void a_stop_is_heard_after_the_exit_and_can_be_continued(void **state)
{
	(void)state;
	create();
	SCRIPT({.exit = {.reason = EXIT_PAUSE_INSTRUCTION, .insn_len = 2}, .during = stop_in_run}, EXIT_PAUSE);
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_STOPPED);
	assert_int_equal(fake_mode.kicks, 1);
	assert_int_equal(v->counts.exits, 1);
	assert_true(vm_may_resume(vm));
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_MODEL_END);
	assert_int_equal(v->counts.exits, 3);
	assert_false(vm_may_resume(vm));
}

static void a_timeout_is_told_from_a_stop(void **state)
{
	(void)state;
	create();
	vm_timeout(vm);
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_TIMEOUT);
	assert_int_equal(v->counts.exits, 0);
}

static void a_device_may_end_the_machine_and_its_instruction_still_completes(void **state)
{
	(void)state;
	create();
	SCRIPT({.exit = {.reason = EXIT_IO_INSTRUCTION, .insn_len = 2, .io = {.port = 0xf4, .size = 1, .value = 3}}});
	v->cpu.s.rip = 0x500;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(vm->end.code, 3);
	assert_int_equal(v->cpu.s.rip, 0x502);
	assert_int_equal(vm->clock.insns, 1);
	assert_int_equal(end_status(END_DEBUG_EXIT, 3), 1);
	assert_int_equal(end_status(END_DEBUG_EXIT, 0), 0);
}

static void the_first_reason_for_an_end_wins(void **state)
{
	(void)state;
	create();
	vm_kill(vm, END_POWEROFF, 7, "first %d", 1);
	vm_kill(vm, END_BUG, 8, "second");
	assert_int_equal(vm->end.kind, END_POWEROFF);
	assert_int_equal(vm->end.code, 7);
	assert_string_equal(vm->end.detail, "first 1");
}

static void a_failing_mode_is_a_host_error(void **state)
{
	(void)state;
	create();
	SCRIPT({.err = ERR_AGAIN}, {.err = ERR_IO});
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_HOST_ERROR);
	assert_int_equal(v->counts.exits, 0);
	assert_int_equal(fake_mode.runs, 2); /* interrupted, then failed */
	assert_non_null(strstr(vm->end.detail, err_sentence(ERR_IO)));
}

static void a_failing_injection_is_a_host_error(void **state)
{
	(void)state;
	create();
	SCRIPT({.exit = {.reason = EXIT_VMXON}});
	fake_mode.inject_err = ERR_IO;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_HOST_ERROR);
}

static void every_end_has_a_name_and_a_status(void **state)
{
	(void)state;
	for (int k = 0; k < END_COUNT; k++) {
		assert_true(strlen(end_name((enum end_kind)k)) > 2);
		assert_in_range(end_status((enum end_kind)k, 0), 0, 5);
		for (int j = 0; j < k; j++)
			assert_string_not_equal(end_name((enum end_kind)k), end_name((enum end_kind)j));
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, vm_fix_setup, vm_fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(next_moves_rip_over_the_instruction_and_retires_it),
	    T(next_wraps_rip_at_the_code_size),
	    T(next_under_the_trap_flag_leaves_a_debug_trap_pending),
	    T(again_leaves_everything_where_it_is),
	    T(reflect_gives_the_guest_its_exception_at_the_same_rip),
	    T(an_exit_without_a_handler_stops_the_machine_and_dumps),
	    T(a_reason_outside_every_table_stops_the_machine),
	    T(user_asks_the_session_and_without_one_gives_up),
	    T(a_reset_without_firmware_ends_the_run),
	    T(a_reset_with_firmware_starts_again_at_the_reset_vector),
	    T(limits_end_the_run_and_more_of_them_go_on),
	    T(a_run_is_bounded_by_timer_limit_and_control_interval),
	    T(a_stop_is_heard_after_the_exit_and_can_be_continued),
	    T(a_timeout_is_told_from_a_stop),
	    T(a_device_may_end_the_machine_and_its_instruction_still_completes),
	    T(the_first_reason_for_an_end_wins),
	    T(a_failing_mode_is_a_host_error),
	    T(a_failing_injection_is_a_host_error),
	    T(every_end_has_a_name_and_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
