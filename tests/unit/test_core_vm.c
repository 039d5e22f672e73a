/* core/vm.c, core/vm_life.c: the loop on a fake mode, with no guest and no CPU feature. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/handlers.h"
#include "core/irq.h"
#include "core/machine.h"
#include "core/vm.h"
#include "tests/fake_host.h"
#include "tests/fake_mode.h"

static struct vm *vm;
static struct vcpu *v;
static struct vm_config cfg;

static struct vm_config base_config(void)
{
	return (struct vm_config){
	    .host = &fake_host_ops, .mode = &fake_mode_ops, .guest = "test", .mem_size = 1 << 20, .n_vcpus = 1};
}

static void create(void)
{
	struct errmsg why = {""};

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	v = &vm->vcpus[0];
}

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	fake_mode_reset();
	cfg = base_config();
	vm = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	assert_int_equal(fake_host.live, 0);
	assert_int_equal(fake_host.bad_frees, 0);
	assert_int_equal(fake_mode.inits, fake_mode.finis);
	return 0;
}

#define PLAY(...)                                              \
	static const struct fake_step steps[] = {__VA_ARGS__}; \
	fake_mode_script(steps, ARRAY_LEN(steps))

#define EXIT_PAUSE                                                                     \
	{                                                                              \
		.exit = {.reason = EXIT_PAUSE_INSTRUCTION, .insn_len = 2}, .insns = 10 \
	}
#define EXIT_SLICE                                                     \
	{                                                              \
		.exit = {.reason = EXIT_PREEMPTION_TIMER}, .insns = 10 \
	}

/* Programs the PIC: vectors 20h and 28h, nothing masked. */
static void open_pic(void)
{
	static const uint8_t writes[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0x00}};

	for (size_t i = 0; i < ARRAY_LEN(writes); i++)
		bus_pio_write(&vm->bus, writes[i][0], 1, writes[i][1]);
}

/* --- Verdicts ---------------------------------------------------------------------------------------------------- */

static void next_moves_rip_over_the_instruction_and_retires_it(void **state)
{
	(void)state;
	create();
	PLAY(EXIT_PAUSE);
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
	PLAY(EXIT_PAUSE);
	assert_true(v->cpu.ip_mask == 0xffffffff); /* not 64-bit mode */
	v->cpu.s.rip = 0xfffffffe;
	vm_step_exit(vm, v);
	assert_int_equal(v->cpu.s.rip, 0);
}

static void next_under_the_trap_flag_leaves_a_debug_trap_pending(void **state)
{
	(void)state;
	create();
	PLAY(EXIT_PAUSE);
	v->cpu.s.rflags |= FLAG_TF;
	vm_step_exit(vm, v);
	assert_int_equal(v->cpu.s.pending_dbg, 1u << 14);
}

static void again_leaves_everything_where_it_is(void **state)
{
	(void)state;
	create();
	PLAY(EXIT_SLICE);
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
	PLAY({.exit = {.reason = EXIT_VMXON, .insn_len = 4}});
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
	PLAY(EXIT_PAUSE, {.exit = {.reason = EXIT_SIPI, .rip = 0xabc}});
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
	PLAY({.exit = {.reason = 0x1ffff}});
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
	PLAY(EXIT_PAUSE, EXIT_PAUSE);
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
	PLAY(EXIT_PAUSE);
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
	PLAY(EXIT_PAUSE, EXIT_PAUSE);
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

/* --- Interrupts and HLT ------------------------------------------------------------------------------------------ */

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
	PLAY(EXIT_SLICE);
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
	PLAY(EXIT_SLICE, {.exit = {.reason = EXIT_INTERRUPT_WINDOW}}, EXIT_SLICE);
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
	PLAY(EXIT_HALT, EXIT_SLICE);
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
	PLAY(EXIT_HALT, EXIT_SLICE);
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
	PLAY(EXIT_HALT);
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
	PLAY(EXIT_HALT);
	assert_int_equal(clock_add_timer(&vm->clock, raise_irq0, vm, &h), ERR_OK);
	clock_arm(&vm->clock, h, 5000);
	fake_mode.not_interruptible = true;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_HALT);
	assert_int_equal(clock_now_ns(&vm->clock), 11 * CLOCK_NS_PER_INSN);
}

static unsigned tick_handle;
static void tick(void *arg, uint64_t deadline)
{
	struct vm *m = arg;

	clock_arm(&m->clock, tick_handle, deadline + 55000000);
}

static void hlt_under_a_timer_that_never_interrupts_ends_after_an_hour_of_guest_time(void **state)
{
	(void)state;
	create();
	PLAY(EXIT_HALT);
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
	PLAY({.exit = {.reason = EXIT_EXTERNAL_INTERRUPT, .idt_info = INFO(0x80, INTR_TYPE_SW_INT, 0), .insn_len = 2}},
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

/* --- Limits and ends --------------------------------------------------------------------------------------------- */

static void limits_end_the_run_and_more_of_them_go_on(void **state)
{
	(void)state;
	cfg.max_exits = 2;
	create();
	PLAY(EXIT_PAUSE, EXIT_PAUSE, EXIT_PAUSE);
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
	PLAY(EXIT_SLICE, EXIT_SLICE, EXIT_SLICE);
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
	PLAY({.exit = {.reason = EXIT_PAUSE_INSTRUCTION, .insn_len = 2}, .during = stop_in_run}, EXIT_PAUSE);
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
	PLAY({.exit = {.reason = EXIT_IO_INSTRUCTION, .insn_len = 2, .io = {.port = 0xf4, .size = 1, .value = 3}}});
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
	PLAY({.err = ERR_AGAIN}, {.err = ERR_IO});
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
	PLAY({.exit = {.reason = EXIT_VMXON}});
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

/* --- What is recorded -------------------------------------------------------------------------------------------- */

static char order[200];

static void on_entry(void *arg, struct vcpu *cpu)
{
	(void)cpu;
	strcat(order, arg);
	strcat(order, "entry ");
}
static void on_exit_(void *arg, struct vcpu *cpu, const struct vm_exit *e)
{
	(void)cpu;
	strcat(order, arg);
	strcat(order, e->cpuid.eax ? "exit+result " : "exit ");
}
static void on_verdict(void *arg, struct vcpu *cpu, const struct vm_exit *e, enum verdict verdict)
{
	(void)cpu;
	strcat(order, arg);
	strcat(order, verdict_name(verdict));
	strcat(order, e->cpuid.eax ? "+result " : " ");
}
static void on_done(void *arg, struct vcpu *cpu, const struct vm_exit *e)
{
	(void)e;
	strcat(order, arg);
	strcat(order, cpu->applying ? "done while applying " : "done ");
}
static void on_inject(void *arg, struct vcpu *cpu, const struct x86_event *ev)
{
	assert_true(cpu->applying);
	size_t n = strlen(order);
	snprintf(order + n, sizeof(order) - n, "%sinject%u ", (const char *)arg, ev->vector);
}

static void probes_see_entry_exit_verdict_and_injection_in_order(void **state)
{
	static const struct probe_ops probe = {.name = "p",
					  .on_entry = on_entry,
					  .on_exit = on_exit_,
					  .on_verdict = on_verdict,
					  .on_done = on_done,
					  .on_inject = on_inject},
				      quiet = {.name = "quiet"};
	static char a[] = "a.", b[] = "b.";

	(void)state;
	create();
	order[0] = '\0';
	assert_int_equal(vm_add_probe(vm, &probe, a), ERR_OK);
	assert_int_equal(vm_add_probe(vm, &quiet, NULL), ERR_OK);
	assert_int_equal(vm_add_probe(vm, &probe, b), ERR_OK);
	assert_int_equal(vm_add_probe(vm, &quiet, NULL), ERR_OK);
	assert_int_equal(vm_add_probe(vm, &quiet, NULL), ERR_NOMEM);
	PLAY({.exit = {.reason = EXIT_CPUID, .insn_len = 2}}, {.exit = {.reason = EXIT_VMXON}});
	vm_step_exit(vm, v);
	assert_string_equal(order, "a.entry b.entry a.exit b.exit a.next+result b.next+result a.done b.done ");
	order[0] = '\0';
	vm_step_exit(vm, v);
	assert_string_equal(
	    order, "a.entry b.entry a.exit b.exit a.reflect b.reflect a.inject6 b.inject6 a.done b.done ");
}

static struct cost_model cost;

static void on_virtual_time_costs_are_modelled_and_take_no_guest_time(void **state)
{
	(void)state;
	cost.by_reason[EXIT_PAUSE_INSTRUCTION].total_ns = 777;
	cfg.cost = &cost;
	create();
	fake_host.step_ns = 1000000;
	PLAY(EXIT_PAUSE, EXIT_PAUSE);
	vm_step_exit(vm, v);
	vm_step_exit(vm, v);
	assert_int_equal(v->exit.cost_ns, 777);
	assert_int_equal(v->exit.cost_modelled, 1);
	assert_int_equal(v->exit.time_ns, (10 + 1 + 10) * CLOCK_NS_PER_INSN);
	assert_int_equal(v->exit.insns, 21);
	assert_int_equal(v->exit.index, 1);
	assert_int_equal(v->counts.vmm_ns, 2 * 777);
	assert_int_equal(v->counts.guest_ns, 20 * CLOCK_NS_PER_INSN);
	assert_int_equal(v->counts.longest_guest_ns, 10 * CLOCK_NS_PER_INSN);
}

static void without_a_cost_model_there_is_no_cost(void **state)
{
	(void)state;
	create();
	PLAY(EXIT_PAUSE);
	vm_step_exit(vm, v);
	assert_int_equal(v->exit.cost_ns, 0);
	assert_int_equal(v->exit.cost_modelled, 0);
}

static void spend_70(struct vcpu *cpu)
{
	(void)cpu;
	fake_host.now_ns += 70;
}
static void spend_30_in_probe(void *arg, struct vcpu *cpu, const struct vm_exit *e)
{
	(void)arg;
	(void)cpu;
	(void)e;
	fake_host.now_ns += 30;
}

static void on_host_time_the_vmms_part_is_measured(void **state)
{
	static const struct probe_ops slow = {.name = "slow", .on_exit = spend_30_in_probe};

	(void)state;
	cfg.clock = CLOCK_HOST;
	create();
	assert_int_equal(vm_add_probe(vm, &slow, NULL), ERR_OK);
	static const struct fake_step steps[] = {
	    {.exit = {.reason = EXIT_PAUSE_INSTRUCTION, .insn_len = 2}, .during = spend_70},
	    {.exit = {.reason = EXIT_PREEMPTION_TIMER}, .during = spend_70}};
	fake_mode_script(steps, 2);
	vm_step_exit(vm, v);
	assert_int_equal(v->counts.guest_ns, 70);
	vm_step_exit(vm, v);
	assert_int_equal(v->history[0].cost_ns, 30); /* known when the guest runs again */
	assert_int_equal(v->history[0].cost_modelled, 0);
	assert_int_equal(v->counts.vmm_ns, 30);
	assert_int_equal(v->counts.guest_ns, 140);
	assert_int_equal(v->exit.time_ns, 170);
	assert_true(fake_mode.bounds[0].deadline_ns == VM_CONTROL_INTERVAL_NS);
}

#define MS 1000000u

static void run_200_ms(struct vcpu *cpu)
{
	(void)cpu;
	fake_host.now_ns += 200 * MS;
}

static void wait_200_ms(struct vcpu *cpu)
{
	run_200_ms(cpu);
	fake_host.waited_ns += 195 * MS;
}

/* A guest that waits for a processor of the host has not kept control from the VMM; one that runs has. */
static void only_what_ran_counts_as_a_stretch_without_the_vmm(void **state)
{
	(void)state;
	cfg.clock = CLOCK_HOST;
	create();
	static const struct fake_step steps[] = {{.exit = {.reason = EXIT_PREEMPTION_TIMER}, .during = spend_70},
	    {.exit = {.reason = EXIT_PREEMPTION_TIMER}, .during = wait_200_ms},
	    {.exit = {.reason = EXIT_PREEMPTION_TIMER}, .during = run_200_ms}};
	fake_mode_script(steps, 3);
	vm_step_exit(vm, v);
	vm_step_exit(vm, v);
	assert_in_range(v->counts.longest_guest_ns, 5 * MS, 16 * MS);
	vm_step_exit(vm, v);
	assert_in_range(v->counts.longest_guest_ns, 200 * MS, 211 * MS);
	assert_int_equal(v->counts.guest_ns, 400 * MS + 70);
}

static void the_last_exits_are_kept(void **state)
{
	static struct fake_step many[40];

	(void)state;
	create();
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct fake_step){.exit = {.reason = EXIT_PAUSE_INSTRUCTION, .rip = i}};
	fake_mode_script(many, ARRAY_LEN(many));
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		vm_step_exit(vm, v);
	assert_int_equal(v->history[39 % VM_HISTORY].rip, 39);
	assert_int_equal(v->history[8 % VM_HISTORY].rip, 8);
	assert_int_equal(v->history[7 % VM_HISTORY].rip, 39);
}

/* --- Modes that keep the state themselves ------------------------------------------------------------------------ */

static void state_that_lives_elsewhere_is_fetched_only_when_asked_for(void **state)
{
	(void)state;
	create();
	fake_mode_ops.caps &= ~MODE_CAP_STATE_LIVE;
	fake_mode.stale = true;
	fake_mode.elsewhere = v->cpu.s;
	PLAY(EXIT_SLICE, EXIT_PAUSE, EXIT_SLICE, EXIT_SLICE);
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
	PLAY({.exit = {.reason = EXIT_IO_INSTRUCTION, .io = {.port = 0x1230, .size = 2, .in = 1}}},
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
	PLAY({.exit = {.reason = EXIT_MSR_WRITE, .msr = {.index = 0x12345}}});
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
	PLAY({.exit = {.reason = EXIT_VMM_DEBUG}, .insns = 1}, EXIT_SLICE);
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
	cfg = base_config();
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
	refused(ERR_UNSUPPORTED, "local APIC");
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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
	    T(limits_end_the_run_and_more_of_them_go_on),
	    T(a_run_is_bounded_by_timer_limit_and_control_interval),
	    T(a_stop_is_heard_after_the_exit_and_can_be_continued),
	    T(a_timeout_is_told_from_a_stop),
	    T(a_device_may_end_the_machine_and_its_instruction_still_completes),
	    T(the_first_reason_for_an_end_wins),
	    T(a_failing_mode_is_a_host_error),
	    T(a_failing_injection_is_a_host_error),
	    T(every_end_has_a_name_and_a_status),
	    T(probes_see_entry_exit_verdict_and_injection_in_order),
	    T(on_virtual_time_costs_are_modelled_and_take_no_guest_time),
	    T(without_a_cost_model_there_is_no_cost),
	    T(on_host_time_the_vmms_part_is_measured),
	    T(only_what_ran_counts_as_a_stretch_without_the_vmm),
	    T(the_last_exits_are_kept),
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
