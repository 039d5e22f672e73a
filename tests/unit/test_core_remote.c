/* core/vm_remote.c, vm_run_slice() and VERDICT_USER: a VM whose loop runs elsewhere, and VMs that share a CPU. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/handlers.h"
#include "core/machine.h"
#include "core/remote.h"
#include "tests/fake_host.h"
#include "tests/fake_mode.h"

static struct vm *vm;
static struct vcpu *v;
static struct vm_config cfg;
static struct mode_ops mode;
static char seen[400];

/* What the other machine says, in order. */
static struct remote_event script[8];
static size_t n_script, at;
static enum err script_end;

static enum err next(struct vcpu *cpu, struct remote_event *ev)
{
	(void)cpu;
	if (at == n_script)
		return script_end;
	*ev = script[at++];
	return ERR_OK;
}

static void note(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void note(const char *fmt, ...)
{
	va_list ap;
	size_t n = strlen(seen);

	va_start(ap, fmt);
	vsnprintf(seen + n, sizeof(seen) - n, fmt, ap);
	va_end(ap);
}

static void on_entry(void *arg, struct vcpu *cpu)
{
	(void)arg;
	note("entry@%llu rip %llx; ", (unsigned long long)clock_now_ns(&cpu->vm->clock),
	    (unsigned long long)cpu->cpu.s.rip);
}
static void on_exit_(void *arg, struct vcpu *cpu, const struct vm_exit *e)
{
	(void)arg;
	note("exit %s@%llu; ", exit_name(e->reason), (unsigned long long)clock_now_ns(&cpu->vm->clock));
}
static void on_verdict(void *arg, struct vcpu *cpu, const struct vm_exit *e, enum verdict verdict)
{
	(void)arg;
	(void)cpu;
	(void)e;
	note("%s; ", verdict_name(verdict));
}
static void on_done(void *arg, struct vcpu *cpu, const struct vm_exit *e)
{
	(void)arg;
	(void)e;
	note("done rax %llx; ", (unsigned long long)cpu->cpu.s.gpr[X86_RAX]);
}
static void on_inject(void *arg, struct vcpu *cpu, const struct x86_event *ev)
{
	(void)arg;
	note(
	    "inject %u%s rip %llx; ", ev->vector, cpu->applying ? " applying" : "", (unsigned long long)cpu->cpu.s.rip);
}
static const struct probe_ops probe = {.name = "p",
    .on_entry = on_entry,
    .on_exit = on_exit_,
    .on_verdict = on_verdict,
    .on_done = on_done,
    .on_inject = on_inject};

static void create(unsigned caps)
{
	struct errmsg why = {""};

	mode = fake_mode_ops;
	mode.caps = caps;
	mode.next = next;
	cfg.mode = &mode;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	v = &vm->vcpus[0];
}

static int setup(void **state)
{
	(void)state;
	fake_host_reset();
	fake_mode_reset();
	cfg = (struct vm_config){
	    .host = &fake_host_ops, .mem_size = 1 << 20, .n_vcpus = 1, .guest = "test", .clock = CLOCK_HOST};
	vm = NULL;
	seen[0] = '\0';
	n_script = at = 0;
	script_end = ERR_IO;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	assert_int_equal(fake_host.live, 0);
	return 0;
}

static struct remote_event exit_event(uint32_t reason, uint64_t index, bool has_done)
{
	struct remote_event ev = {.kind = REMOTE_EXIT};

	ev.exit = (struct rec_exit){.entered_ns = 100 * (index + 1),
	    .entry_rip = 0x1000,
	    .verdict = VERDICT_NEXT,
	    .has_done = has_done,
	    .exit = {.reason = reason, .index = index, .time_ns = 100 * (index + 1) + 50, .insns = 7}};
	return ev;
}

static void the_probes_see_what_happened_elsewhere_in_its_order(void **state)
{
	(void)state;
	create(MODE_CAP_REMOTE | MODE_CAP_HOST_TIME);
	assert_int_equal(vm_add_probe(vm, &probe, NULL), ERR_OK);
	script[0] = exit_event(EXIT_CPUID, 0, true);
	script[1] = (struct remote_event){
	    .kind = REMOTE_INJECT, .inject = {.event = {.vector = 13}, .applying = 1, .time_ns = 150}};
	script[2] = (struct remote_event){.kind = REMOTE_DONE, .done = {.regs = {.gpr = {0xabc}, .rip = 0x1002}}};
	script[3] = exit_event(EXIT_HLT, 1, false);
	n_script = 4;
	assert_int_equal(vm_step_exit(vm, v), ERR_OK);
	assert_string_equal(
	    seen, "entry@100 rip 1000; exit CPUID@150; next; inject 13 applying rip 1000; done rax abc; ");
	assert_true(vm->mem_stale);
	assert_int_equal(vcpu_state(v)->rip, 0x1002);
	assert_int_equal(v->counts.exits, 1);
	assert_int_equal(vm->clock.insns, 7);
	assert_int_equal(vm_step_exit(vm, v), ERR_OK);
	assert_int_equal(at, 4); /* without a done record the exit is the turn */
	assert_int_equal(v->exit.reason, EXIT_HLT);
	assert_false(v->applying);
}

static void an_interrupt_between_two_exits_comes_with_the_registers_before_it(void **state)
{
	(void)state;
	create(MODE_CAP_REMOTE | MODE_CAP_HOST_TIME);
	assert_int_equal(vm_add_probe(vm, &probe, NULL), ERR_OK);
	script[0] = (struct remote_event){.kind = REMOTE_INJECT,
	    .inject = {.event = {.vector = 32}, .time_ns = 90, .has_regs = 1, .regs = {.rip = 0x77}}};
	script[1] = exit_event(EXIT_CPUID, 0, false);
	n_script = 2;
	assert_int_equal(vm_step_exit(vm, v), ERR_OK);
	assert_string_equal(seen, "inject 32 rip 77; entry@100 rip 1000; exit CPUID@150; next; ");
}

static void the_end_brings_its_accounts(void **state)
{
	(void)state;
	create(MODE_CAP_REMOTE | MODE_CAP_HOST_TIME);
	script[0] = (struct remote_event){.kind = REMOTE_END,
	    .end = {.end = {.kind = END_DEBUG_EXIT, .code = 3}, .counts = {.exits = 9}, .now_ns = 777, .insns = 5}};
	n_script = 1;
	vm_run(vm);
	assert_true(vm->ended);
	assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(vm->end.code, 3);
	assert_int_equal(v->counts.exits, 9);
	assert_int_equal(clock_now_ns(&vm->clock), 777);
}

static void a_machine_that_is_lost_ends_the_run_as_the_hosts_failure(void **state)
{
	(void)state;
	create(MODE_CAP_REMOTE | MODE_CAP_HOST_TIME);
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_HOST_ERROR);
}

static void a_stop_request_is_a_pause(void **state)
{
	(void)state;
	create(MODE_CAP_REMOTE | MODE_CAP_HOST_TIME);
	script_end = ERR_AGAIN;
	vm->stop = END_TIMEOUT;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_TIMEOUT);
	assert_true(vm_may_resume(vm));
	assert_int_equal(vm->stop, 0);
}

/* --- Several VMs on one CPU ----------------------------------------------------------------------------------------
 */

#define PAUSE                                                                          \
	{                                                                              \
		.exit = {.reason = EXIT_PAUSE_INSTRUCTION, .insn_len = 2}, .insns = 10 \
	}

static void a_slice_ends_on_time_and_bounds_each_entry(void **state)
{
	static const struct fake_step steps[] = {PAUSE, PAUSE, PAUSE, PAUSE, PAUSE, PAUSE};

	(void)state;
	create(MODE_CAP_HOST_TIME);
	fake_mode_script(steps, ARRAY_LEN(steps));
	fake_host.step_ns = 100;
	uint64_t until = fake_host.now_ns + 1000;
	assert_int_equal(vm_run_slice(vm, until), SLICE_OVER);
	assert_in_range(fake_mode.runs, 1, 5);
	assert_false(vm->ended);
	for (unsigned i = 0; i < fake_mode.runs; i++)
		assert_true(fake_mode.bounds[i].deadline_ns <= until - vm->clock.start_ns);
	assert_true(vm->slice_end_ns == CLOCK_NEVER);
}

static void never(void *arg, uint64_t deadline_ns)
{
	(void)arg;
	(void)deadline_ns;
}

static void a_halted_guest_gives_its_slice_away(void **state)
{
	static const struct fake_step steps[] = {{.exit = {.reason = EXIT_HLT, .insn_len = 1}}};
	unsigned timer;

	(void)state;
	create(MODE_CAP_HOST_TIME);
	fake_mode_script(steps, ARRAY_LEN(steps));
	assert_int_equal(clock_add_timer(&vm->clock, never, NULL, &timer), ERR_OK);
	clock_arm(&vm->clock, timer, 5000000);
	v->cpu.s.rflags |= FLAG_IF;
	assert_int_equal(vm_run_slice(vm, fake_host.now_ns + 1000000), SLICE_IDLE);
	assert_int_equal(fake_host.idles, 0);
	assert_true(v->halted);
}

/* --- Exits that the session decides --------------------------------------------------------------------------------
 */

static unsigned asked;
static enum verdict say;

static enum verdict answer(void *arg, struct vcpu *cpu, struct vm_exit *e)
{
	(void)arg;
	asked++;
	if (say == VERDICT_NEXT)
		vcpu_state_for_write(cpu, DIRTY_GPR)->gpr[X86_RAX] = 0x1234 + e->reason;
	return say;
}

static void an_exit_that_was_asked_for_goes_to_the_session_first(void **state)
{
	static const struct fake_step steps[] = {{.exit = {.reason = EXIT_CPUID, .insn_len = 2}}, PAUSE};

	(void)state;
	cfg.user = answer;
	create(MODE_CAP_HOST_TIME);
	fake_mode_script(steps, ARRAY_LEN(steps));
	vm->user_reasons[0] = 1ull << EXIT_CPUID;
	asked = 0;
	say = VERDICT_NEXT;
	v->cpu.s.rip = 0x1000;
	vm_step_exit(vm, v);
	assert_int_equal(asked, 1);
	assert_int_equal(v->cpu.s.gpr[X86_RAX], 0x1234 + EXIT_CPUID);
	assert_int_equal(v->cpu.s.rip, 0x1002);
	vm_step_exit(vm, v);
	assert_int_equal(asked, 1); /* PAUSE was not asked for */
}

static void a_session_that_has_no_opinion_gets_the_default(void **state)
{
	static const struct fake_step steps[] = {{.exit = {.reason = EXIT_CPUID, .insn_len = 2}}};

	(void)state;
	cfg.user = answer;
	create(MODE_CAP_HOST_TIME);
	fake_mode_script(steps, ARRAY_LEN(steps));
	vm->user_reasons[0] = 1ull << EXIT_CPUID;
	say = VERDICT_USER;
	v->cpu.s.gpr[X86_RAX] = 0;
	vm_step_exit(vm, v);
	assert_false(vm->ended);
	assert_int_not_equal(v->cpu.s.gpr[X86_RBX], 0); /* the vendor's name */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_probes_see_what_happened_elsewhere_in_its_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		an_interrupt_between_two_exits_comes_with_the_registers_before_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_end_brings_its_accounts, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_machine_that_is_lost_ends_the_run_as_the_hosts_failure, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_stop_request_is_a_pause, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slice_ends_on_time_and_bounds_each_entry, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_halted_guest_gives_its_slice_away, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_exit_that_was_asked_for_goes_to_the_session_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_session_that_has_no_opinion_gets_the_default, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
