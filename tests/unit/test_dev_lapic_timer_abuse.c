/*
 * Timers as a hostile guest programs them: the reserved mode, periods of a nanosecond, a device that arms itself for
 * the past. The VMM must come back from each of them, and soon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <unistd.h>

#include "core/dev/lapic.h"
#include "core/env.h"
#include "core/irq.h"
#include "core/vm.h"
#include "core/vm_smp.h"

#define PAGE 0xfee00000u
#define VECTOR 0x50u
#define ONE_SHOT 0u
#define PERIODIC 0x20000u
#define TSC_DEADLINE 0x40000u
#define RESERVED 0x60000u
#define BY_1 0xbu
#define HANGS_S 10u

enum { TPR = 0x80, EOI = 0xb0, SVR = 0xf0, LVT_TIMER = 0x320, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0 };

static struct vm *vm;
static uint64_t host_ns;

static uint64_t given_now(void)
{
	return host_ns;
}

static uint64_t ticking_now(void)
{
	return host_ns += 1000; /* each look at the clock takes its time */
}

static void create(const struct host_ops *host, enum clock_kind kind)
{
	struct vm_config cfg = {.host = host,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = "vtx-ept",
	    .mem_size = 2u << 20,
	    .n_vcpus = 1,
	    .clock = kind,
	    .max_insns = 100000,
	    .max_exits = 100000};
	struct errmsg why = {""};

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	assert_true(vcpu_wrmsr(vm->vcpus, 0x1b, vm->vcpus[0].cpu.s.apic_base | APIC_BASE_EN));
	vcpu_mmio_write(vm->vcpus, PAGE + SVR, 4, 0x1ff);
	vcpu_mmio_write(vm->vcpus, PAGE + DIVIDE, 4, BY_1);
	alarm(HANGS_S); /* what is tested here is that things end */
}

static int setup(void **state)
{
	(void)state;
	create(&host_posix_ops, CLOCK_VIRTUAL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	alarm(0);
	vm_destroy(vm);
	return 0;
}

static uint32_t get(unsigned reg)
{
	return (uint32_t)vcpu_mmio_read(vm->vcpus, PAGE + reg, 4);
}

static void set(unsigned reg, uint32_t v)
{
	vcpu_mmio_write(vm->vcpus, PAGE + reg, 4, v);
}

static void pass(uint64_t ns)
{
	vm->clock.skipped_ns += ns;
	host_ns += ns;
	clock_run_due(&vm->clock);
}

/* cs:ip at 7c00 in real mode */
static void load(const uint8_t *p, size_t n)
{
	struct x86_state *s = vcpu_state_for_write(vm->vcpus, DIRTY_ALL);

	assert_int_equal(mem_write(&vm->mem, 0x7c00, p, n), ERR_OK);
	s->seg[X86_CS].sel = 0;
	s->seg[X86_CS].base = 0;
	s->rip = 0x7c00;
	x86_state_changed(&vm->vcpus[0].cpu);
}

static void the_reserved_mode_has_no_timer(void **state)
{
	(void)state;
	set(LVT_TIMER, VECTOR | RESERVED);
	set(INITIAL, 1000);
	pass(2000);
	assert_false(irq_vcpu_pending(vm->vcpus));
	assert_int_equal(get(CURRENT), 0);
	assert_true(clock_next_deadline(&vm->clock) == CLOCK_NEVER);
}

static void to_and_from_the_reserved_mode_disarms(void **state)
{
	static const uint32_t modes[] = {ONE_SHOT, PERIODIC, TSC_DEADLINE};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		set(LVT_TIMER, VECTOR | modes[i]);
		set(INITIAL, 100000);
		if (modes[i] == TSC_DEADLINE)
			assert_true(vcpu_wrmsr(vm->vcpus, 0x6e0, vcpu_tsc(vm->vcpus) + 100000));
		assert_true(clock_next_deadline(&vm->clock) != CLOCK_NEVER);
		set(LVT_TIMER, VECTOR | RESERVED);
		assert_true(clock_next_deadline(&vm->clock) == CLOCK_NEVER);
		set(LVT_TIMER, VECTOR | modes[i]);
		assert_true(clock_next_deadline(&vm->clock) == CLOCK_NEVER);
		pass(200000);
		assert_false(irq_vcpu_pending(vm->vcpus));
	}
}

static void interrupts_seldom_and_in_phase(uint32_t period, uint64_t least)
{
	uint64_t start = clock_now_ns(&vm->clock), last = start;

	set(LVT_TIMER, VECTOR | PERIODIC);
	set(INITIAL, period);
	for (unsigned k = 0; k < 10; k++) {
		uint64_t at = clock_next_deadline(&vm->clock);

		assert_true(at - last >= least);
		assert_true(at - last < least + period);
		assert_int_equal((at - start) % period, 0);
		pass(at - last);
		assert_true(irq_vcpu_pending(vm->vcpus));
		assert_int_equal(irq_vcpu_ack(vm->vcpus), VECTOR);
		set(EOI, 0);
		last = at;
	}
	assert_int_equal(get(CURRENT), period); /* the counter itself counts as it was told */
	pass(1);
	assert_int_equal(get(CURRENT), period == 1 ? 1 : period - 1);
	set(INITIAL, 0);
}

static void a_short_period_interrupts_seldom_and_in_phase(void **state)
{
	static const uint32_t periods[] = {1, 3, 20, 999, 9999, 10000, 10001, 199999, 200000, 200001, 1000000};
	struct host_ops host = host_posix_ops;

	host.now_ns = given_now;
	for (unsigned i = 0; i < ARRAY_LEN(periods); i++)
		interrupts_seldom_and_in_phase(periods[i], 10000);
	teardown(state);
	create(&host, CLOCK_HOST);
	for (unsigned i = 0; i < ARRAY_LEN(periods); i++)
		interrupts_seldom_and_in_phase(periods[i], 200000);
	teardown(state); /* before the host goes */
	setup(state);
}

/* Guest code runs between the interrupts of such a timer, on either clock. */
static void the_guest_goes_on(void **state)
{
	static const uint8_t spin[] = {0xfa, 0xeb, 0xfe}; /* cli; jmp . */
	static const struct host_ops *host = &host_posix_ops;
	struct host_ops ticking = *host;

	(void)state;
	ticking.now_ns = ticking_now;
	for (unsigned kind = 0; kind < 2; kind++) {
		create(kind ? &ticking : host, kind ? CLOCK_HOST : CLOCK_VIRTUAL);
		load(spin, sizeof(spin));
		set(LVT_TIMER, VECTOR | PERIODIC);
		set(INITIAL, 1);
		assert_int_equal(vm_run(vm), ERR_OK);
		assert_int_equal(vm->end.kind, END_LIMIT_INSNS);
		assert_true(vm_total_exits(vm) < 1000);
		teardown(NULL);
	}
}

static void fires_for_ever(void *arg, uint64_t deadline_ns)
{
	unsigned *handle = arg;

	clock_arm(&vm->clock, *handle, deadline_ns);
}

static void a_device_that_arms_itself_for_the_past_ends(void **state)
{
	unsigned handle;

	(void)state;
	assert_int_equal(clock_add_timer(&vm->clock, fires_for_ever, &handle, &handle), ERR_OK);
	clock_arm(&vm->clock, handle, 5);
	pass(10);
	assert_int_equal(clock_next_deadline(&vm->clock), 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_reserved_mode_has_no_timer),
	    TEST(to_and_from_the_reserved_mode_disarms),
	    TEST(a_short_period_interrupts_seldom_and_in_phase),
	    cmocka_unit_test(the_guest_goes_on),
	    TEST(a_device_that_arms_itself_for_the_past_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
