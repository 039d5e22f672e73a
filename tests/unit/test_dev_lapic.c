/*
 * Local APICs: registers by page and by MSR, priorities, destinations, signals, the timer, and the modes that
 * IA32_APIC_BASE switches between. The CPUs are real ones of the emulate engine that never run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/dev/lapic.h"
#include "core/env.h"
#include "core/irq.h"
#include "core/snapshot.h"
#include "core/vm.h"

#define PAGE 0xfee00000u
#define BASE 0x1bu
#define TSC 0x10u
#define DEADLINE 0x6e0u
#define X2(off) (0x800u + (off) / 16u)
#define CPUS 3u

enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0,
};
#define BY_1 0xbu
#define PERIODIC 0x20000u
#define TSC_DEADLINE 0x40000u
#define MASKED 0x10000u

static struct vm *vm;

static struct vcpu *cpu(unsigned n)
{
	return &vm->vcpus[n];
}

static uint32_t get(unsigned n, unsigned reg)
{
	return (uint32_t)vcpu_mmio_read(cpu(n), PAGE + reg, 4);
}

static void set(unsigned n, unsigned reg, uint32_t v)
{
	vcpu_mmio_write(cpu(n), PAGE + reg, 4, v);
}

static uint64_t msr(unsigned n, uint32_t index)
{
	uint64_t v = 0;

	assert_true(vcpu_rdmsr(cpu(n), index, &v));
	return v;
}

static bool put_msr(unsigned n, uint32_t index, uint64_t v)
{
	return vcpu_wrmsr(cpu(n), index, v);
}

/* Every APIC on, in xAPIC mode, enabled by software. */
static int setup(void **state)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .mem_size = 2u << 20,
	    .n_vcpus = CPUS,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	for (unsigned i = 0; i < CPUS; i++) {
		assert_true(put_msr(i, BASE, msr(i, BASE) | APIC_BASE_EN));
		set(i, SVR, 0x1ff);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	return 0;
}

static void pass(uint64_t ns)
{
	struct clock *c = &vm->clock;
	uint64_t end = clock_now_ns(c) + ns;

	for (unsigned n = 0; clock_next_deadline(c) <= end; n++) {
		assert_true(n < 100000); /* no timer may hold time up */
		if (clock_next_deadline(c) > clock_now_ns(c))
			c->skipped_ns += clock_next_deadline(c) - clock_now_ns(c);
		clock_run_due(c);
	}
	c->skipped_ns += end - clock_now_ns(c);
}

/* The vector that CPU n would take now; -1: none. */
static int take(unsigned n)
{
	return irq_vcpu_pending(cpu(n)) ? irq_vcpu_ack(cpu(n)) : -1;
}

static void ipi(unsigned from, uint32_t dest, uint32_t low)
{
	set(from, ICR_HIGH, dest << 24);
	set(from, ICR, low);
}

static void send_all(uint8_t vector, uint32_t dest, bool logical, unsigned mode)
{
	const struct apic_message m = {.dest = dest, .vector = vector, .mode = (uint8_t)mode, .logical = logical};

	(void)lapic_send(vm, &m);
}

/* --- Registers --------------------------------------------------------------------------------------------------- */

static void registers_after_power_on(void **state)
{
	(void)state;
	assert_true(put_msr(1, BASE, PAGE));
	assert_true(put_msr(1, BASE, PAGE | APIC_BASE_EN));
	assert_int_equal(get(1, ID), 1u << 24);
	assert_int_equal(get(1, VERSION) & 0xff, 0x14);
	assert_int_equal(get(1, VERSION) >> 16, 5);
	assert_int_equal(get(1, SVR), 0xff);
	assert_int_equal(get(1, DFR), 0xffffffff);
	assert_int_equal(get(1, LDR), 0);
	assert_int_equal(get(1, TPR), 0);
	for (unsigned r = LVT_TIMER; r <= LVT_ERROR; r += 0x10)
		assert_int_equal(get(1, r), MASKED);
	assert_int_equal(msr(0, BASE) & APIC_BASE_BSP, APIC_BASE_BSP);
	assert_int_equal(msr(1, BASE) & APIC_BASE_BSP, 0);
}

static void tpr_and_cr8_are_one_register(void **state)
{
	(void)state;
	set(0, TPR, 0x5a);
	assert_int_equal(cpu(0)->cpu.s.cr8, 5);
	assert_int_equal(get(0, TPR), 0x5a);
	assert_int_equal(get(0, PPR), 0x5a);
	assert_int_equal(x86_set_cr8(&cpu(0)->cpu, 9), X86_OK);
	assert_int_equal(get(0, TPR), 0x90);
}

static void a_software_disabled_apic_masks_its_vectors_and_takes_none(void **state)
{
	(void)state;
	set(0, LVT_TIMER, 0x30);
	assert_int_equal(get(0, LVT_TIMER), 0x30);
	set(0, SVR, 0xff);
	assert_int_equal(get(0, LVT_TIMER), 0x30 | MASKED);
	set(0, LVT_TIMER, 0x31);
	assert_int_equal(get(0, LVT_TIMER), 0x31 | MASKED);
	send_all(0x40, 0, false, APIC_FIXED);
	set(0, SVR, 0x1ff);
	assert_int_equal(take(0), -1);
	assert_int_equal(get(0, LVT_TIMER), 0x31 | MASKED);
}

static void errors_are_shown_by_a_write_and_raise_their_vector_once(void **state)
{
	(void)state;
	set(0, LVT_ERROR, 0xfe);
	ipi(0, 1, 0x4005); /* vector 5 cannot be sent */
	ipi(0, 1, 0x4005);
	assert_int_equal(get(0, ESR), 0);
	set(0, ESR, 0);
	assert_int_equal(get(0, ESR), 0x20);
	assert_int_equal(take(0), 0xfe);
	set(0, EOI, 0);
	assert_int_equal(take(0), -1);
	set(0, ESR, 0);
	assert_int_equal(get(0, ESR), 0);
	send_all(0x0f, 0, false, APIC_FIXED);
	set(0, ESR, 0);
	assert_int_equal(get(0, ESR), 0x40);
	(void)get(0, 0x3f0);
	set(0, ESR, 0);
	assert_int_equal(get(0, ESR), 0x80);
}

/* --- Priorities: against a naive model -----------------------------------------------------------------------------
 */

struct naive {
	bool requested[256], serving[256];
	unsigned tpr;
};

static int top_of(const bool *set)
{
	for (int k = 255; k >= 0; k--)
		if (set[k])
			return k;
	return -1;
}

static unsigned naive_ppr(const struct naive *m)
{
	int top = top_of(m->serving);
	unsigned class = top < 0 ? 0 : (unsigned)top & 0xf0;

	return (m->tpr & 0xf0) >= class ? m->tpr : class;
}

static void vectors_are_taken_by_class(void **state)
{
	struct naive m = {.tpr = 0};
	uint32_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned v = 16 + (seed >> 8) % 240;
		int want = -1, top = top_of(m.requested);

		switch (seed >> 28 & 3) {
		case 0:
			ipi(0, 0, 0x40000u | v); /* to itself */
			m.requested[v] = true;
			break;
		case 1:
			m.tpr = v;
			set(0, TPR, v);
			break;
		case 2:
			set(0, EOI, 0);
			if (top_of(m.serving) >= 0)
				m.serving[top_of(m.serving)] = false;
			break;
		default:
			if (top >= 0 && ((unsigned)top & 0xf0) > (naive_ppr(&m) & 0xf0)) {
				want = top;
				m.requested[top] = false;
				m.serving[top] = true;
			}
			assert_int_equal(take(0), want);
		}
		assert_int_equal(get(0, PPR), naive_ppr(&m));
		assert_int_equal(get(0, IRR + v / 32 * 16) >> v % 32 & 1, m.requested[v]);
		assert_int_equal(get(0, ISR + v / 32 * 16) >> v % 32 & 1, m.serving[v]);
	}
}

static void what_only_cr8_holds_back_is_told(void **state)
{
	(void)state;
	ipi(0, 0, 0x40000u | 0x63);
	set(0, TPR, 0x70);
	assert_int_equal(take(0), -1);
	assert_int_equal(lapic_tpr_threshold(cpu(0)), 6);
	set(0, TPR, 0x50);
	assert_int_equal(take(0), 0x63);
	ipi(0, 0, 0x40000u | 0x62); /* held back by 63 in service, whatever CR8 is */
	assert_int_equal(lapic_tpr_threshold(cpu(0)), 0);
}

/* --- Destinations --------------------------------------------------------------------------------------------------
 */

/* Bit n: CPU n got the vector. */
static unsigned who(uint8_t vector)
{
	unsigned got = 0;

	for (unsigned i = 0; i < CPUS; i++) {
		int v = take(i);

		if (v == vector)
			got |= 1u << i;
		else
			assert_int_equal(v, -1);
		if (v >= 0)
			set(i, EOI, 0);
	}
	return got;
}

static void physical_destinations_and_shorthands(void **state)
{
	(void)state;
	ipi(0, 2, 0x4041);
	assert_int_equal(who(0x41), 4);
	ipi(0, 0xff, 0x4041);
	assert_int_equal(who(0x41), 7);
	ipi(0, 9, 0x4041);
	assert_int_equal(who(0x41), 0);
	ipi(1, 0, 0x44041);
	assert_int_equal(who(0x41), 2);
	ipi(1, 0, 0x84041);
	assert_int_equal(who(0x41), 7);
	ipi(1, 0, 0xc4041);
	assert_int_equal(who(0x41), 5);
	set(2, ID, 9u << 24); /* an ID can be changed */
	ipi(0, 9, 0x4041);
	assert_int_equal(who(0x41), 4);
}

static void logical_destinations_flat_and_cluster(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CPUS; i++)
		set(i, LDR, 1u << (24 + i));
	ipi(0, 5, 0x4841);
	assert_int_equal(who(0x41), 5);
	ipi(0, 0xff, 0x4841);
	assert_int_equal(who(0x41), 7);
	ipi(0, 0x30, 0x4841);
	assert_int_equal(who(0x41), 0);
	for (unsigned i = 0; i < CPUS; i++) {
		set(i, DFR, 0x0fffffff);
		set(i, LDR, (i == 2 ? 0x21u : 0x11u) << 24);
	}
	set(1, LDR, 0x12u << 24);
	ipi(0, 0x13, 0x4841);
	assert_int_equal(who(0x41), 3);
	ipi(0, 0x23, 0x4841);
	assert_int_equal(who(0x41), 4);
	ipi(0, 0xf1, 0x4841); /* all clusters */
	assert_int_equal(who(0x41), 5);
}

static void lowest_priority_takes_the_least_busy(void **state)
{
	(void)state;
	set(0, TPR, 0x40);
	set(1, TPR, 0x20);
	set(2, TPR, 0x30);
	send_all(0x91, 0xff, false, APIC_LOWEST);
	assert_int_equal(who(0x91), 2);
	set(1, SVR, 0xff);
	send_all(0x91, 0xff, false, APIC_LOWEST);
	assert_int_equal(who(0x91), 4);
}

static void signals_wait_for_the_loop(void **state)
{
	(void)state;
	ipi(0, 1, 0x4400);
	assert_true(lapic_signals(cpu(1)).nmi);
	ipi(0, 1, 0x4500);
	assert_true(lapic_signals(cpu(1)).init);
	ipi(0, 1, 0x4612);
	assert_true(lapic_signals(cpu(1)).startup);
	assert_int_equal(lapic_signals(cpu(1)).vector, 0x12);
	ipi(0, 2, 0x8500); /* level de-assert means nothing */
	assert_false(lapic_signals(cpu(2)).init);
	/* The bootstrap CPU waits for nothing. */
	ipi(1, 0, 0x4612);
	assert_false(lapic_signals(cpu(0)).startup);
}

/* --- The PIC -------------------------------------------------------------------------------------------------------
 */

static void start_pic(void)
{
	static const uint8_t init[][2] = {{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xfe}};

	for (unsigned i = 0; i < ARRAY_LEN(init); i++)
		bus_pio_write(&vm->bus, init[i][0], 1, init[i][1]);
}

static void the_pic_reaches_the_bootstrap_cpu_by_virtual_wire(void **state)
{
	(void)state;
	vm_destroy(vm);
	setup(state);
	start_pic();
	set(0, LVT_LINT0, 0x700); /* as firmware leaves it */
	irq_set_line(vm, 0, true);
	assert_int_equal(take(1), -1);
	set(0, TPR, 0xff); /* ExtINT has no priority */
	assert_int_equal(take(0), 8);
	bus_pio_write(&vm->bus, 0x20, 1, 0x20);
	irq_set_line(vm, 0, false);
	set(0, LVT_LINT0, MASKED | 0x700);
	irq_set_line(vm, 0, true);
	assert_int_equal(take(0), -1);
	assert_true(put_msr(0, BASE, PAGE)); /* no APIC in between */
	assert_int_equal(take(0), 8);
}

static void lint0_as_nmi_sees_edges(void **state)
{
	(void)state;
	start_pic();
	set(1, LVT_LINT0, 0x400);
	irq_set_line(vm, 0, true);
	assert_true(lapic_signals(cpu(1)).nmi);
	lapic_nmi_taken(cpu(1));
	irq_set_line(vm, 0, true);
	assert_false(lapic_signals(cpu(1)).nmi);
}

/* --- The timer -----------------------------------------------------------------------------------------------------
 */

static void one_shot_counts_down_once(void **state)
{
	(void)state;
	set(0, LVT_TIMER, 0x50);
	set(0, DIVIDE, 0); /* by 2 */
	set(0, INITIAL, 1000);
	pass(500);
	assert_int_equal(get(0, CURRENT), 750);
	assert_int_equal(take(0), -1);
	pass(1499);
	assert_int_equal(take(0), -1);
	pass(1);
	assert_int_equal(get(0, CURRENT), 0);
	assert_int_equal(take(0), 0x50);
	set(0, EOI, 0);
	pass(1000000);
	assert_int_equal(take(0), -1);
	set(0, LVT_TIMER, 0x50 | PERIODIC); /* it stays at 0 until the count is written */
	assert_int_equal(get(0, CURRENT), 0);
}

static void every_divisor_divides(void **state)
{
	static const uint32_t code[8] = {0xb, 0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xa};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		set(1, DIVIDE, code[i]);
		set(1, INITIAL, 1000);
		pass(512);
		assert_int_equal(get(1, CURRENT), 1000 - (512 >> i));
	}
}

static void periodic_begins_again_and_keeps_its_phase(void **state)
{
	(void)state;
	set(0, LVT_TIMER, 0x51 | PERIODIC);
	set(0, DIVIDE, BY_1);
	set(0, INITIAL, 1000000);
	for (unsigned i = 0; i < 5; i++) {
		pass(999999);
		assert_int_equal(take(0), -1);
		pass(1);
		assert_int_equal(take(0), 0x51);
		set(0, EOI, 0);
	}
	pass(400000);
	set(0, LVT_TIMER, 0x51); /* one-shot: goes on from where it is */
	assert_int_equal(get(0, CURRENT), 600000);
	pass(600000);
	assert_int_equal(take(0), 0x51);
	set(0, EOI, 0);
	pass(5000);
	assert_int_equal(take(0), -1);
}

static void a_changed_divisor_leaves_the_count(void **state)
{
	(void)state;
	set(0, LVT_TIMER, 0x52);
	set(0, DIVIDE, BY_1);
	set(0, INITIAL, 1000);
	pass(200);
	set(0, DIVIDE, 0);
	assert_int_equal(get(0, CURRENT), 800);
	pass(1599);
	assert_int_equal(take(0), -1);
	pass(1);
	assert_int_equal(take(0), 0x52);
}

static void tsc_deadline_fires_once_and_follows_the_tsc(void **state)
{
	(void)state;
	assert_true(put_msr(0, DEADLINE, 12345)); /* not in this mode */
	assert_int_equal(msr(0, DEADLINE), 0);
	set(0, LVT_TIMER, 0x53 | TSC_DEADLINE);
	set(0, INITIAL, 100);
	assert_int_equal(get(0, CURRENT), 0);
	assert_true(put_msr(0, TSC, 1000000));
	assert_true(put_msr(0, DEADLINE, 1005000));
	pass(4999);
	assert_int_equal(take(0), -1);
	assert_int_equal(msr(0, DEADLINE), 1005000);
	pass(1);
	assert_int_equal(take(0), 0x53);
	set(0, EOI, 0);
	assert_int_equal(msr(0, DEADLINE), 0);
	assert_true(put_msr(0, DEADLINE, 1)); /* in the past: at once */
	clock_run_due(&vm->clock);
	assert_int_equal(take(0), 0x53);
	set(0, EOI, 0);
	assert_true(put_msr(0, DEADLINE, 2000000));
	assert_true(put_msr(0, TSC, 1999000)); /* the TSC is set: the deadline comes nearer */
	pass(1000);
	assert_int_equal(take(0), 0x53);
	set(0, EOI, 0);
	assert_true(put_msr(0, DEADLINE, UINT64_MAX));
	pass(1ull << 40);
	assert_int_equal(take(0), -1);
	set(0, LVT_TIMER, 0x53); /* leaving the mode disarms */
	assert_int_equal(msr(0, DEADLINE), 0);
}

static void each_cpu_has_its_timer(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CPUS; i++) {
		set(i, LVT_TIMER, 0x60 + i);
		set(i, DIVIDE, BY_1);
		set(i, INITIAL, 1000 * (CPUS - i));
	}
	for (unsigned i = CPUS; i-- > 0;) {
		pass(1000);
		assert_int_equal(take(i), 0x60 + i);
		if (i)
			assert_int_equal(take(i - 1), -1);
	}
}

/* --- Modes ---------------------------------------------------------------------------------------------------------
 */

static void the_modes_of_apic_base(void **state)
{
	const uint64_t off = PAGE, on = off | APIC_BASE_EN, x2 = on | APIC_BASE_EXTD, bad = off | APIC_BASE_EXTD;

	(void)state;
	assert_false(put_msr(1, BASE, bad));
	assert_true(put_msr(1, BASE, x2));
	assert_false(put_msr(1, BASE, on));
	assert_false(put_msr(1, BASE, bad));
	assert_true(put_msr(1, BASE, off));
	assert_false(put_msr(1, BASE, x2));
	assert_false(put_msr(1, BASE, bad));
	assert_true(put_msr(1, BASE, on));
	assert_false(put_msr(1, BASE, on | 1));
	assert_false(put_msr(1, BASE, on | 1ull << 40));
	assert_true(put_msr(1, BASE, on | APIC_BASE_BSP)); /* who is the first CPU is not the guest's to say */
	assert_int_equal(msr(1, BASE), on);
}

static void the_page_moves_and_goes(void **state)
{
	(void)state;
	assert_true(put_msr(0, BASE, 0xfed40000ull | APIC_BASE_EN));
	assert_int_equal(vcpu_mmio_read(cpu(0), 0xfed40000 + VERSION, 4), get(1, VERSION));
	assert_int_equal(get(0, VERSION), 0xffffffff);
	/* Over RAM it hides what is there, for this CPU alone. */
	assert_true(put_msr(0, BASE, 0x100000ull | APIC_BASE_EN));
	assert_null(cpu(0)->cpu.env->page(cpu(0), 0x100030, false));
	assert_non_null(cpu(1)->cpu.env->page(cpu(1), 0x100030, false));
	assert_int_equal(vcpu_mmio_read(cpu(0), 0x100000 + VERSION, 4), get(1, VERSION));
	assert_true(put_msr(0, BASE, 0x100000));
	assert_non_null(cpu(0)->cpu.env->page(cpu(0), 0x100030, false));
	assert_int_equal(vcpu_mmio_read(cpu(0), 0x100000 + VERSION, 4), 0);
}

static void x2apic_has_msrs_with_rules(void **state)
{
	uint64_t v;

	(void)state;
	assert_false(vcpu_rdmsr(cpu(1), X2(ID), &v)); /* not in xAPIC mode */
	assert_true(put_msr(1, BASE, PAGE | APIC_BASE_EN | APIC_BASE_EXTD));
	assert_int_equal(get(1, VERSION), 0xffffffff);
	assert_int_equal(msr(1, X2(ID)), 1);
	assert_int_equal(msr(1, X2(LDR)), 2);
	assert_false(put_msr(1, X2(ID), 2));
	assert_false(put_msr(1, X2(LDR), 2));
	assert_false(vcpu_rdmsr(cpu(1), X2(DFR), &v));
	assert_false(put_msr(1, X2(DFR), 0));
	assert_false(put_msr(1, X2(EOI), 1));
	assert_true(put_msr(1, X2(EOI), 0));
	assert_false(put_msr(1, X2(ESR), 1));
	assert_false(put_msr(1, X2(TPR), 0x100));
	assert_true(put_msr(1, X2(TPR), 0x30));
	assert_int_equal(cpu(1)->cpu.s.cr8, 3);
	assert_false(put_msr(1, X2(LVT_TIMER), 0x80000));
	assert_false(put_msr(1, X2(SVR), 1ull << 32));
	assert_false(put_msr(1, X2(ICR_HIGH), 0));
	assert_true(put_msr(1, X2(0x3f0), 0x70)); /* self IPI */
	assert_int_equal(take(1), 0x70);
	assert_true(put_msr(1, X2(EOI), 0));
	assert_true(put_msr(1, X2(ICR), 0x4045)); /* to CPU 0, which is in the other mode */
	assert_int_equal(take(0), 0x45);
	assert_true(put_msr(1, X2(ICR), 0xffffffff00004046));
	assert_int_equal(msr(1, X2(ICR)), 0xffffffff00004046);
	assert_int_equal(take(1), 0x46);
	assert_int_equal(take(2), 0x46);
}

static void init_keeps_the_id_and_the_mode(void **state)
{
	(void)state;
	set(1, ID, 7u << 24);
	set(1, TPR, 0x40);
	set(1, LVT_TIMER, 0x44);
	ipi(1, 7, 0x4050);
	lapic_init_taken(cpu(1));
	assert_int_equal(get(1, ID), 7u << 24);
	assert_int_equal(get(1, SVR), 0xff);
	assert_int_equal(get(1, LVT_TIMER), MASKED);
	assert_int_equal(take(1), -1);
}

/* --- Anything, in any order ------------------------------------------------------------------------------------------
 */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 4;
}

/* One step of a guest that knows nothing: any register of any CPU by page or MSR, the IOAPIC, lines, time. */
static void random_step(uint32_t *seed)
{
	static const uint8_t free_lines[] = {2, 3, 5, 6, 7, 10, 11, 12, 14, 15, 16, 20, 23, 24}; /* of no device */
	static const uint32_t modes[] = {PAGE, PAGE | 0x800, PAGE | 0xc00, PAGE | 0x400};
	uint32_t r = next_random(seed), v = next_random(seed) << 16 ^ next_random(seed);
	unsigned n = r % CPUS;

	switch (r >> 8 & 15) {
	case 0:
		(void)put_msr(n, BASE, modes[v % 4]);
		break;
	case 1:
	case 2:
		pass(v % 5000);
		break;
	case 3:
		irq_set_line(vm, free_lines[v % ARRAY_LEN(free_lines)], v >> 8 & 1);
		break;
	case 4:
		bus_mmio_write(&vm->bus, 0xfec00000, 4, v % 0x42);
		bus_mmio_write(&vm->bus, 0xfec00010, 1u << (v >> 10 & 3), v);
		break;
	case 5:
		(void)take(n);
		break;
	case 6:
	case 7:
	case 8:
		(void)put_msr(n, 0x800 + (v & 0xff), next_random(seed) & 0x707ff);
		break;
	case 9:
	case 12: /* the timer, in each of its four modes, often with a count that is very short */
		set(n, SVR, 0x1ff);
		set(n, LVT_TIMER, 0x50 | (v & 3) << 17);
		set(n, DIVIDE, v >> 2);
		set(n, INITIAL, next_random(seed) >> (v >> 8 & 31));
		break;
	case 13:
		(void)put_msr(n, v & 1 ? DEADLINE : TSC, next_random(seed) * 1000ull);
		break;
	case 10:
		set(n, SVR, 0x1ff);
		break;
	case 11:
		lapic_init_taken(cpu(n));
		break;
	default:
		vcpu_mmio_write(cpu(n), PAGE + (v & 0xfff & ~(v >> 20 & 15)), 1u << (v >> 12 & 3), next_random(seed));
		(void)vcpu_mmio_read(cpu(n), PAGE + (r >> 12 & 0xfff), 1u << (r >> 24 & 3));
	}
	(void)irq_vcpu_pending(cpu(n));
}

static void save(uint8_t *to, size_t max, size_t *n)
{
	struct errmsg why = {""};

	assert_true(snapshot_size(vm) <= max);
	assert_int_equal(snapshot_save(vm, to, max, n, &why), ERR_OK);
}

/* And a copy made at any moment goes on like the original. */
static void a_copy_of_any_state_goes_on_like_the_original(void **state)
{
	static uint8_t middle[1 << 20], whole[1 << 20], copy[1 << 20];
	size_t n, whole_n, copy_n;

	for (uint32_t run = 0; run < 40; run++) {
		uint32_t seed = run, at_middle;
		struct errmsg why = {""};

		for (unsigned i = 0; i < 400 + run; i++)
			random_step(&seed);
		save(middle, sizeof(middle), &n);
		at_middle = seed;
		for (unsigned i = 0; i < 400; i++)
			random_step(&seed);
		save(whole, sizeof(whole), &whole_n);
		teardown(state);
		setup(state);
		assert_int_equal(snapshot_restore(vm, middle, n, &why), ERR_OK);
		for (unsigned i = 0; i < 400; i++)
			random_step(&at_middle);
		save(copy, sizeof(copy), &copy_n);
		assert_int_equal(whole_n, copy_n);
		assert_memory_equal(whole, copy, whole_n);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(registers_after_power_on),
	    TEST(tpr_and_cr8_are_one_register),
	    TEST(a_software_disabled_apic_masks_its_vectors_and_takes_none),
	    TEST(errors_are_shown_by_a_write_and_raise_their_vector_once),
	    TEST(vectors_are_taken_by_class),
	    TEST(what_only_cr8_holds_back_is_told),
	    TEST(physical_destinations_and_shorthands),
	    TEST(logical_destinations_flat_and_cluster),
	    TEST(lowest_priority_takes_the_least_busy),
	    TEST(signals_wait_for_the_loop),
	    TEST(the_pic_reaches_the_bootstrap_cpu_by_virtual_wire),
	    TEST(lint0_as_nmi_sees_edges),
	    TEST(one_shot_counts_down_once),
	    TEST(every_divisor_divides),
	    TEST(periodic_begins_again_and_keeps_its_phase),
	    TEST(a_changed_divisor_leaves_the_count),
	    TEST(tsc_deadline_fires_once_and_follows_the_tsc),
	    TEST(each_cpu_has_its_timer),
	    TEST(the_modes_of_apic_base),
	    TEST(the_page_moves_and_goes),
	    TEST(x2apic_has_msrs_with_rules),
	    TEST(init_keeps_the_id_and_the_mode),
	    TEST(a_copy_of_any_state_goes_on_like_the_original),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
