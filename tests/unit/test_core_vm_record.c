/* core/vm.c: what the loop records of an exit: for probes, as cost and time, in the history. On a fake mode. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/vm.h"
#include "tests/vm_fixture.h"

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
	SCRIPT({.exit = {.reason = EXIT_CPUID, .insn_len = 2}}, {.exit = {.reason = EXIT_VMXON}},
	    {.exit = {.reason = EXIT_CPUID, .insn_len = 2}}, {.exit = {.reason = EXIT_CPUID, .insn_len = 2}});
	vm_step_exit(vm, v);
	assert_string_equal(order, "a.entry b.entry a.exit b.exit a.next+result b.next+result a.done b.done ");
	order[0] = '\0';
	vm_step_exit(vm, v);
	assert_string_equal(
	    order, "a.entry b.entry a.exit b.exit a.reflect b.reflect a.inject6 b.inject6 a.done b.done ");
	vm_probe_done(vm, a, false); /* it does not want to know */
	order[0] = '\0';
	vm_step_exit(vm, v);
	assert_string_equal(order, "a.entry b.entry a.exit b.exit a.next b.next b.done ");
	vm_probe_done(vm, a, true);
	vm_remove_probe(vm, b);
	order[0] = '\0';
	vm_step_exit(vm, v);
	assert_string_equal(order, "a.entry a.exit a.next+result a.done ");
}

static struct cost_model cost;

static void on_virtual_time_costs_are_modelled_and_take_no_guest_time(void **state)
{
	(void)state;
	cost.by_reason[EXIT_PAUSE_INSTRUCTION].total_ns = 777;
	cfg.cost = &cost;
	create();
	fake_host.step_ns = 1000000;
	SCRIPT(EXIT_PAUSE, EXIT_PAUSE);
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
	SCRIPT(EXIT_PAUSE);
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
	assert_int_equal(v->history[0].cost_ns, 30); /* known when the guest stands still, or runs again */
	fake_host.now_ns += 500;		     /* its user looks around, which costs it nothing */
	vm_step_exit(vm, v);
	assert_int_equal(v->history[0].cost_ns, 30);
	assert_int_equal(v->history[0].cost_modelled, 0);
	assert_int_equal(v->counts.vmm_ns, 60);
	assert_int_equal(v->counts.guest_ns, 140);
	assert_int_equal(v->exit.time_ns, 670);
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

#define T(name) cmocka_unit_test_setup_teardown(name, vm_fix_setup, vm_fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(probes_see_entry_exit_verdict_and_injection_in_order),
	    T(on_virtual_time_costs_are_modelled_and_take_no_guest_time),
	    T(without_a_cost_model_there_is_no_cost),
	    T(on_host_time_the_vmms_part_is_measured),
	    T(only_what_ran_counts_as_a_stretch_without_the_vmm),
	    T(the_last_exits_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
