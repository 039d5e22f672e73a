/* Local APICs: registers by page and by MSR, priorities, and the modes that IA32_APIC_BASE switches between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/env.h"
#include "core/irq.h"
#include "core/snapshot.h"
#include "tests/lapic_fixture.h"

/* --- Registers --------------------------------------------------------------------------------------------------- */

static void registers_after_power_on(void **state)
{
	(void)state;
	assert_true(apic_put_msr(1, BASE, PAGE));
	assert_true(apic_put_msr(1, BASE, PAGE | APIC_BASE_EN));
	assert_int_equal(apic_get(1, ID), 1u << 24);
	assert_int_equal(apic_get(1, VERSION) & 0xff, 0x14);
	assert_int_equal(apic_get(1, VERSION) >> 16, 5);
	assert_int_equal(apic_get(1, SVR), 0xff);
	assert_int_equal(apic_get(1, DFR), 0xffffffff);
	assert_int_equal(apic_get(1, LDR), 0);
	assert_int_equal(apic_get(1, TPR), 0);
	for (unsigned r = LVT_TIMER; r <= LVT_ERROR; r += 0x10)
		assert_int_equal(apic_get(1, r), MASKED);
	assert_int_equal(apic_msr(0, BASE) & APIC_BASE_BSP, APIC_BASE_BSP);
	assert_int_equal(apic_msr(1, BASE) & APIC_BASE_BSP, 0);
}

static void tpr_and_cr8_are_one_register(void **state)
{
	(void)state;
	apic_set(0, TPR, 0x5a);
	assert_int_equal(apic_cpu(0)->cpu.s.cr8, 5);
	assert_int_equal(apic_get(0, TPR), 0x5a);
	assert_int_equal(apic_get(0, PPR), 0x5a);
	assert_int_equal(x86_set_cr8(&apic_cpu(0)->cpu, 9), X86_OK);
	assert_int_equal(apic_get(0, TPR), 0x90);
}

static void a_software_disabled_apic_masks_its_vectors_and_takes_none(void **state)
{
	(void)state;
	apic_set(0, LVT_TIMER, 0x30);
	assert_int_equal(apic_get(0, LVT_TIMER), 0x30);
	apic_set(0, SVR, 0xff);
	assert_int_equal(apic_get(0, LVT_TIMER), 0x30 | MASKED);
	apic_set(0, LVT_TIMER, 0x31);
	assert_int_equal(apic_get(0, LVT_TIMER), 0x31 | MASKED);
	apic_send_all(0x40, 0, false, APIC_FIXED);
	apic_set(0, SVR, 0x1ff);
	assert_int_equal(apic_take(0), -1);
	assert_int_equal(apic_get(0, LVT_TIMER), 0x31 | MASKED);
}

static void errors_are_shown_by_a_write_and_raise_their_vector_once(void **state)
{
	(void)state;
	apic_set(0, LVT_ERROR, 0xfe);
	apic_ipi(0, 1, 0x4005); /* vector 5 cannot be sent */
	apic_ipi(0, 1, 0x4005);
	assert_int_equal(apic_get(0, ESR), 0);
	apic_set(0, ESR, 0);
	assert_int_equal(apic_get(0, ESR), 0x20);
	assert_int_equal(apic_take(0), 0xfe);
	apic_set(0, EOI, 0);
	assert_int_equal(apic_take(0), -1);
	apic_set(0, ESR, 0);
	assert_int_equal(apic_get(0, ESR), 0);
	apic_send_all(0x0f, 0, false, APIC_FIXED);
	apic_set(0, ESR, 0);
	assert_int_equal(apic_get(0, ESR), 0x40);
	(void)apic_get(0, 0x3f0);
	apic_set(0, ESR, 0);
	assert_int_equal(apic_get(0, ESR), 0x80);
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
			apic_ipi(0, 0, 0x40000u | v); /* to itself */
			m.requested[v] = true;
			break;
		case 1:
			m.tpr = v;
			apic_set(0, TPR, v);
			break;
		case 2:
			apic_set(0, EOI, 0);
			if (top_of(m.serving) >= 0)
				m.serving[top_of(m.serving)] = false;
			break;
		default:
			if (top >= 0 && ((unsigned)top & 0xf0) > (naive_ppr(&m) & 0xf0)) {
				want = top;
				m.requested[top] = false;
				m.serving[top] = true;
			}
			assert_int_equal(apic_take(0), want);
		}
		assert_int_equal(apic_get(0, PPR), naive_ppr(&m));
		assert_int_equal(apic_get(0, IRR + v / 32 * 16) >> v % 32 & 1, m.requested[v]);
		assert_int_equal(apic_get(0, ISR + v / 32 * 16) >> v % 32 & 1, m.serving[v]);
	}
}

static void what_only_cr8_holds_back_is_told(void **state)
{
	(void)state;
	apic_ipi(0, 0, 0x40000u | 0x63);
	apic_set(0, TPR, 0x70);
	assert_int_equal(apic_take(0), -1);
	assert_int_equal(lapic_tpr_threshold(apic_cpu(0)), 6);
	apic_set(0, TPR, 0x50);
	assert_int_equal(apic_take(0), 0x63);
	apic_ipi(0, 0, 0x40000u | 0x62); /* held back by 63 in service, whatever CR8 is */
	assert_int_equal(lapic_tpr_threshold(apic_cpu(0)), 0);
}

/* --- Modes ---------------------------------------------------------------------------------------------------------
 */

static void the_modes_of_apic_base(void **state)
{
	const uint64_t off = PAGE, on = off | APIC_BASE_EN, x2 = on | APIC_BASE_EXTD, bad = off | APIC_BASE_EXTD;

	(void)state;
	assert_false(apic_put_msr(1, BASE, bad));
	assert_true(apic_put_msr(1, BASE, x2));
	assert_false(apic_put_msr(1, BASE, on));
	assert_false(apic_put_msr(1, BASE, bad));
	assert_true(apic_put_msr(1, BASE, off));
	assert_false(apic_put_msr(1, BASE, x2));
	assert_false(apic_put_msr(1, BASE, bad));
	assert_true(apic_put_msr(1, BASE, on));
	assert_false(apic_put_msr(1, BASE, on | 1));
	assert_false(apic_put_msr(1, BASE, on | 1ull << 40));
	assert_true(apic_put_msr(1, BASE, on | APIC_BASE_BSP)); /* who is the first CPU is not the guest's to say */
	assert_int_equal(apic_msr(1, BASE), on);
}

static void the_page_moves_and_goes(void **state)
{
	(void)state;
	assert_true(apic_put_msr(0, BASE, 0xfed40000ull | APIC_BASE_EN));
	assert_int_equal(vcpu_mmio_read(apic_cpu(0), 0xfed40000 + VERSION, 4), apic_get(1, VERSION));
	assert_int_equal(apic_get(0, VERSION), 0xffffffff);
	/* Over RAM it hides what is there, for this CPU alone. */
	assert_true(apic_put_msr(0, BASE, 0x100000ull | APIC_BASE_EN));
	assert_null(apic_cpu(0)->cpu.env->page(apic_cpu(0), 0x100030, false));
	assert_non_null(apic_cpu(1)->cpu.env->page(apic_cpu(1), 0x100030, false));
	assert_int_equal(vcpu_mmio_read(apic_cpu(0), 0x100000 + VERSION, 4), apic_get(1, VERSION));
	assert_true(apic_put_msr(0, BASE, 0x100000));
	assert_non_null(apic_cpu(0)->cpu.env->page(apic_cpu(0), 0x100030, false));
	assert_int_equal(vcpu_mmio_read(apic_cpu(0), 0x100000 + VERSION, 4), 0);
}

static void x2apic_has_msrs_with_rules(void **state)
{
	uint64_t v;

	(void)state;
	assert_false(vcpu_rdmsr(apic_cpu(1), X2(ID), &v)); /* not in xAPIC mode */
	assert_true(apic_put_msr(1, BASE, PAGE | APIC_BASE_EN | APIC_BASE_EXTD));
	assert_int_equal(apic_get(1, VERSION), 0xffffffff);
	assert_int_equal(apic_msr(1, X2(ID)), 1);
	assert_int_equal(apic_msr(1, X2(LDR)), 2);
	assert_false(apic_put_msr(1, X2(ID), 2));
	assert_false(apic_put_msr(1, X2(LDR), 2));
	assert_false(vcpu_rdmsr(apic_cpu(1), X2(DFR), &v));
	assert_false(apic_put_msr(1, X2(DFR), 0));
	assert_false(apic_put_msr(1, X2(EOI), 1));
	assert_true(apic_put_msr(1, X2(EOI), 0));
	assert_false(apic_put_msr(1, X2(ESR), 1));
	assert_false(apic_put_msr(1, X2(TPR), 0x100));
	assert_true(apic_put_msr(1, X2(TPR), 0x30));
	assert_int_equal(apic_cpu(1)->cpu.s.cr8, 3);
	assert_false(apic_put_msr(1, X2(LVT_TIMER), 0x80000));
	assert_false(apic_put_msr(1, X2(SVR), 1ull << 32));
	assert_false(apic_put_msr(1, X2(ICR_HIGH), 0));
	assert_true(apic_put_msr(1, X2(0x3f0), 0x70)); /* self IPI */
	assert_int_equal(apic_take(1), 0x70);
	assert_true(apic_put_msr(1, X2(EOI), 0));
	assert_true(apic_put_msr(1, X2(ICR), 0x4045)); /* to CPU 0, which is in the other mode */
	assert_int_equal(apic_take(0), 0x45);
	assert_true(apic_put_msr(1, X2(ICR), 0xffffffff00004046));
	assert_int_equal(apic_msr(1, X2(ICR)), 0xffffffff00004046);
	assert_int_equal(apic_take(1), 0x46);
	assert_int_equal(apic_take(2), 0x46);
}

static void init_keeps_the_id_and_the_mode(void **state)
{
	(void)state;
	apic_set(1, ID, 7u << 24);
	apic_set(1, TPR, 0x40);
	apic_set(1, LVT_TIMER, 0x44);
	apic_ipi(1, 7, 0x4050);
	lapic_init_taken(apic_cpu(1));
	assert_int_equal(apic_get(1, ID), 7u << 24);
	assert_int_equal(apic_get(1, SVR), 0xff);
	assert_int_equal(apic_get(1, LVT_TIMER), MASKED);
	assert_int_equal(apic_take(1), -1);
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
		(void)apic_put_msr(n, BASE, modes[v % 4]);
		break;
	case 1:
	case 2:
		apic_pass(v % 5000);
		break;
	case 3:
		irq_set_line(apic_vm, free_lines[v % ARRAY_LEN(free_lines)], v >> 8 & 1);
		break;
	case 4:
		bus_mmio_write(&apic_vm->bus, 0xfec00000, 4, v % 0x42);
		bus_mmio_write(&apic_vm->bus, 0xfec00010, 1u << (v >> 10 & 3), v);
		break;
	case 5:
		(void)apic_take(n);
		break;
	case 6:
	case 7:
	case 8:
		(void)apic_put_msr(n, 0x800 + (v & 0xff), next_random(seed) & 0x707ff);
		break;
	case 9:
	case 12: /* the timer, in each of its four modes, often with a count that is very short */
		apic_set(n, SVR, 0x1ff);
		apic_set(n, LVT_TIMER, 0x50 | (v & 3) << 17);
		apic_set(n, DIVIDE, v >> 2);
		apic_set(n, INITIAL, next_random(seed) >> (v >> 8 & 31));
		break;
	case 13:
		(void)apic_put_msr(n, v & 1 ? DEADLINE : TSC, next_random(seed) * 1000ull);
		break;
	case 10:
		apic_set(n, SVR, 0x1ff);
		break;
	case 11:
		lapic_init_taken(apic_cpu(n));
		break;
	default:
		vcpu_mmio_write(
		    apic_cpu(n), PAGE + (v & 0xfff & ~(v >> 20 & 15)), 1u << (v >> 12 & 3), next_random(seed));
		(void)vcpu_mmio_read(apic_cpu(n), PAGE + (r >> 12 & 0xfff), 1u << (r >> 24 & 3));
	}
	(void)irq_vcpu_pending(apic_cpu(n));
}

static void save(uint8_t *to, size_t max, size_t *n)
{
	struct errmsg why = {""};

	assert_true(snapshot_size(apic_vm) <= max);
	assert_int_equal(snapshot_save(apic_vm, to, max, n, &why), ERR_OK);
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
		apic_teardown(state);
		apic_setup(state);
		assert_int_equal(snapshot_restore(apic_vm, middle, n, &why), ERR_OK);
		for (unsigned i = 0; i < 400; i++)
			random_step(&at_middle);
		save(copy, sizeof(copy), &copy_n);
		assert_int_equal(whole_n, copy_n);
		assert_memory_equal(whole, copy, whole_n);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, apic_setup, apic_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(registers_after_power_on),
	    TEST(tpr_and_cr8_are_one_register),
	    TEST(a_software_disabled_apic_masks_its_vectors_and_takes_none),
	    TEST(errors_are_shown_by_a_write_and_raise_their_vector_once),
	    TEST(vectors_are_taken_by_class),
	    TEST(what_only_cr8_holds_back_is_told),
	    TEST(the_modes_of_apic_base),
	    TEST(the_page_moves_and_goes),
	    TEST(x2apic_has_msrs_with_rules),
	    TEST(init_keeps_the_id_and_the_mode),
	    TEST(a_copy_of_any_state_goes_on_like_the_original),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
