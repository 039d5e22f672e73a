/* core/vm.c: what the loop injects, and what it does while the CPU halts. On a fake mode, with no guest. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/irq.h"
#include "core/vm.h"
#include "tests/vm_fixture.h"

/* --- Interrupts and HLT ------------------------------------------------------------------------------------------ */

/* Programs the PIC: vectors 20h and 28h, nothing masked. */
static void open_pic(void)
{
	static const uint8_t writes[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0x00}};

	for (size_t i = 0; i < ARRAY_LEN(writes); i++)
		bus_pio_write(&vm->bus, writes[i][0], 1, writes[i][1]);
}

static void raise_irq0(void *arg, uint64_t deadline)
{
	(void)deadline;
	irq_set_line(arg, 0, true);
}

static void an_interrupt_is_acknowledged_and_injected_when_the_guest_can_take_it(void **state)
{
	(void)state;
	create();
	open_pic();
	SCRIPT(EXIT_SLICE);
	irq_set_line(vm, 0, true);
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.n_injected, 1);
	assert_int_equal(fake_mode.injected[0].vector, 0x20);
	assert_int_equal(fake_mode.injected[0].type, INTR_TYPE_EXTERNAL);
	assert_false(fake_mode.bounds[0].irq_window);
	assert_false(irq_pending(vm));
}

static void an_interrupt_waits_for_its_window(void **state)
{
	(void)state;
	create();
	open_pic();
	SCRIPT(EXIT_SLICE, {.exit = {.reason = EXIT_INTERRUPT_WINDOW}}, EXIT_SLICE);
	fake_mode.not_interruptible = true;
	vm_step_exit(vm, v);
	assert_false(fake_mode.bounds[0].irq_window); /* nothing waits */
	irq_set_line(vm, 0, true);
	vm_step_exit(vm, v);
	assert_true(fake_mode.bounds[1].irq_window);
	assert_int_equal(fake_mode.n_injected, 0);
	assert_true(irq_pending(vm));
	fake_mode.not_interruptible = false;
	vm_step_exit(vm, v);
	assert_false(fake_mode.bounds[2].irq_window);
	assert_int_equal(fake_mode.n_injected, 1);
}

#define EXIT_HALT                                                        \
	{                                                                \
		.exit = {.reason = EXIT_HLT, .insn_len = 1}, .insns = 10 \
	}

static void hlt_with_a_pending_interrupt_does_not_sleep(void **state)
{
	(void)state;
	create();
	open_pic();
	SCRIPT(EXIT_HALT, EXIT_SLICE);
	v->cpu.s.rip = 0x100;
	vm_step_exit(vm, v);
	assert_true(v->halted);
	assert_int_equal(v->cpu.s.rip, 0x101);
	irq_set_line(vm, 0, true);
	vm_step_exit(vm, v);
	assert_false(v->halted);
	assert_int_equal(vm->clock.skipped_ns, 0);
	assert_int_equal(fake_mode.n_injected, 1);
}

static void hlt_jumps_to_the_timer_that_wakes_it(void **state)
{
	unsigned h;

	(void)state;
	create();
	open_pic();
	SCRIPT(EXIT_HALT, EXIT_SLICE);
	assert_int_equal(clock_add_timer(&vm->clock, raise_irq0, vm, &h), ERR_OK);
	clock_arm(&vm->clock, h, 5000);
	vm_step_exit(vm, v);
	vm_step_exit(vm, v);
	assert_int_equal(v->exit.reason, EXIT_PREEMPTION_TIMER);
	assert_int_equal(v->exit.time_ns, 5000 + 10 * CLOCK_NS_PER_INSN);
	assert_int_equal(fake_mode.n_injected, 1);
	assert_int_equal(fake_mode.runs, 2);
}

static void hlt_that_nothing_can_wake_ends_well(void **state)
{
	(void)state;
	create();
	SCRIPT(EXIT_HALT);
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_HALT);
	assert_int_equal(end_status(vm->end.kind, 0), 0);
	assert_int_equal(fake_mode.runs, 1);
}

static void hlt_with_interrupts_off_ends_even_with_timers(void **state)
{
	unsigned h;

	(void)state;
	create();
	SCRIPT(EXIT_HALT);
	assert_int_equal(clock_add_timer(&vm->clock, raise_irq0, vm, &h), ERR_OK);
	clock_arm(&vm->clock, h, 5000);
	fake_mode.not_interruptible = true;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_HALT);
	assert_int_equal(clock_now_ns(&vm->clock), 11 * CLOCK_NS_PER_INSN);
}

static void hlt_under_a_timer_that_never_interrupts_ends_after_an_hour_of_guest_time(void **state)
{
	(void)state;
	create();
	SCRIPT(EXIT_HALT);
	assert_int_equal(clock_add_timer(&vm->clock, tick, vm, &tick_handle), ERR_OK);
	clock_arm(&vm->clock, tick_handle, 1);
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_HALT);
	assert_true(clock_now_ns(&vm->clock) > 3600000000000ull);
	assert_int_equal(fake_mode.runs, 1);
}

/* --- IDT vectoring ----------------------------------------------------------------------------------------------- */

#define INFO(vector, type, error) \
	(INTR_INFO_VALID | (type) << INTR_INFO_TYPE_SHIFT | ((error) ? INTR_INFO_ERROR : 0) | (vector))
#define FAULT(vector) INFO(vector, INTR_TYPE_HW_EXCEPTION, (vector) >= VEC_TS && (vector) <= VEC_PF)

/* The exception `second` exits while `first` was being delivered. What does the guest get? -1: triple fault. */
static int merged(uint32_t first, uint32_t second)
{
	static struct fake_step step;

	step = (struct fake_step){
	    .exit = {
		.reason = EXIT_EXCEPTION_NMI, .idt_info = first, .intr_info = second, .intr_error = 5, .qual = 0x777}};
	fake_mode_script(&step, 1);
	fake_mode.n_injected = 0;
	vm_step_exit(vm, v);
	if (vm->ended) {
		assert_int_equal(vm->end.kind, END_TRIPLE_FAULT);
		vm->ended = false;
		return -1;
	}
	assert_int_equal(fake_mode.n_injected, 1);
	return fake_mode.injected[0].vector;
}

/* The table of the SDM, row by row. */
static void faults_during_a_delivery_merge_as_the_sdm_says(void **state)
{
	static const uint8_t contributory[] = {VEC_DE, VEC_TS, VEC_NP, VEC_SS, VEC_GP};

	(void)state;
	create();
	for (size_t i = 0; i < ARRAY_LEN(contributory); i++) {
		uint32_t c = contributory[i];
		assert_int_equal(merged(FAULT(VEC_UD), FAULT(c)), c);
		assert_int_equal(merged(FAULT(c), FAULT(VEC_UD)), VEC_UD);
		assert_int_equal(merged(FAULT(c), FAULT(VEC_GP)), VEC_DF);
		assert_int_equal(merged(FAULT(c), FAULT(VEC_PF)), VEC_PF);
		assert_int_equal(merged(FAULT(VEC_PF), FAULT(c)), VEC_DF);
		assert_int_equal(merged(FAULT(VEC_DF), FAULT(c)), -1);
		assert_int_equal(merged(INFO(0x20, INTR_TYPE_EXTERNAL, 0), FAULT(c)), c);
		assert_int_equal(merged(INFO(c, INTR_TYPE_SW_INT, 0), FAULT(VEC_GP)), VEC_GP); /* INT 13 is no #GP */
	}
	assert_int_equal(merged(FAULT(VEC_PF), FAULT(VEC_PF)), VEC_DF);
	assert_int_equal(merged(FAULT(VEC_DF), FAULT(VEC_PF)), -1);
	assert_int_equal(merged(FAULT(VEC_DF), FAULT(VEC_DB)), VEC_DB);
}

static void a_double_fault_has_error_code_zero_and_a_page_fault_its_address(void **state)
{
	(void)state;
	create();
	assert_int_equal(merged(FAULT(VEC_GP), FAULT(VEC_GP)), VEC_DF);
	assert_int_equal(fake_mode.injected[0].has_error, 1);
	assert_int_equal(fake_mode.injected[0].error, 0);
	assert_int_equal(merged(0, FAULT(VEC_PF)), VEC_PF);
	assert_int_equal(fake_mode.injected[0].error, 5);
	assert_int_equal(fake_mode.injected[0].cr2, 0x777);
}

static void an_interrupted_delivery_is_done_again(void **state)
{
	(void)state;
	create();
	SCRIPT(
	    {.exit = {.reason = EXIT_EXTERNAL_INTERRUPT, .idt_info = INFO(0x80, INTR_TYPE_SW_INT, 0), .insn_len = 2}},
	    {.exit = {.reason = EXIT_PREEMPTION_TIMER, .idt_info = FAULT(VEC_PF), .idt_error = 3}});
	v->cpu.s.cr2 = 0x5000;
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.injected[0].vector, 0x80);
	assert_int_equal(fake_mode.injected[0].type, INTR_TYPE_SW_INT);
	assert_int_equal(fake_mode.injected[0].insn_len, 2);
	vm_step_exit(vm, v);
	assert_int_equal(fake_mode.injected[1].vector, VEC_PF);
	assert_int_equal(fake_mode.injected[1].error, 3);
	assert_int_equal(fake_mode.injected[1].cr2, 0x5000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, vm_fix_setup, vm_fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(an_interrupt_is_acknowledged_and_injected_when_the_guest_can_take_it),
	    T(an_interrupt_waits_for_its_window),
	    T(hlt_with_a_pending_interrupt_does_not_sleep),
	    T(hlt_jumps_to_the_timer_that_wakes_it),
	    T(hlt_that_nothing_can_wake_ends_well),
	    T(hlt_with_interrupts_off_ends_even_with_timers),
	    T(hlt_under_a_timer_that_never_interrupts_ends_after_an_hour_of_guest_time),
	    T(faults_during_a_delivery_merge_as_the_sdm_says),
	    T(a_double_fault_has_error_code_zero_and_a_page_fault_its_address),
	    T(an_interrupted_delivery_is_done_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
