/*
 * NMI, INIT and what wakes a halted CPU, by guests of a few bytes that really run: under every profile of the emulate
 * engine an NMI is blocked until the IRET of its handler, and not longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "core/dev/lapic.h"
#include "core/env.h"
#include "core/irq.h"
#include "core/vm.h"
#include "core/vm_smp.h"
#include "core/x86/sys.h"

#define PAGE 0xfee00000u
#define CODE 0x7c00u
#define HANDLER 0x7d00u
#define COUNT 0x5000u
#define HANGS_S 10u

enum { TPR = 0x80, SVR = 0xf0, ICR = 0x300, ICR_HIGH = 0x310, LVT_LINT0 = 0x350 };

static const char *const profiles[] = {"vtx-ept", "vtx-shadow", "all", "kvm-user"};

static struct vm *make(const char *profile, unsigned cpus, const uint8_t *p, size_t n)
{
	const uint8_t vector[] = {HANDLER & 0xff, HANDLER >> 8, 0, 0};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = profile,
	    .mem_size = 2u << 20,
	    .n_vcpus = cpus,
	    .clock = CLOCK_VIRTUAL,
	    .max_insns = 100000};
	struct errmsg why = {""};
	struct vm *vm;

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, CODE, p, n), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, 8, vector, sizeof(vector)), ERR_OK);
	for (unsigned i = 0; i < cpus; i++) {
		assert_true(vcpu_wrmsr(&vm->vcpus[i], 0x1b, vm->vcpus[i].cpu.s.apic_base | APIC_BASE_EN));
		vcpu_mmio_write(&vm->vcpus[i], PAGE + SVR, 4, 0x1ff);
	}
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->seg[X86_CS].sel = 0;
	s->seg[X86_CS].base = 0;
	s->rip = CODE;
	s->gpr[X86_RSP] = 0x7000;
	x86_state_changed(&vm->vcpus[0].cpu);
	alarm(HANGS_S);
	return vm;
}

static void put(struct vm *vm, gpa_t at, const uint8_t *p, size_t n)
{
	assert_int_equal(mem_write(&vm->mem, at, p, n), ERR_OK);
}

static void set(struct vm *vm, unsigned cpu, unsigned reg, uint32_t v)
{
	vcpu_mmio_write(&vm->vcpus[cpu], PAGE + reg, 4, v);
}

static uint32_t get(struct vm *vm, unsigned cpu, unsigned reg)
{
	return (uint32_t)vcpu_mmio_read(&vm->vcpus[cpu], PAGE + reg, 4);
}

static unsigned word(struct vm *vm, gpa_t at)
{
	uint16_t v = 0;

	assert_int_equal(mem_read(&vm->mem, at, &v, sizeof(v)), ERR_OK);
	return v;
}

static void send_nmi(struct vm *vm)
{
	const struct apic_message m = {.dest = 0, .mode = APIC_NMI};

	assert_true(lapic_send(vm, &m));
}

static void done(struct vm *vm)
{
	alarm(0);
	vm_destroy(vm);
}

#define X2APIC_ON                                                                                               \
	0x31, 0xc0, 0x8e, 0xd8,							 /* ds = 0 */                   \
	    0x66, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x80, 0xcc, 0x0c, 0x0f, 0x30, /* IA32_APIC_BASE: EN, EXTD */ \
	    0x66, 0x31, 0xd2							 /* edx = 0 */
#define SEND_NMI_TO_SELF 0x66, 0xb9, 0x30, 0x08, 0, 0, 0x66, 0xb8, 0, 0x44, 0, 0, 0x0f, 0x30
#define END 0xa0, 0x00, 0x50, 0xe6, 0xf4 /* debug exit with the count */

static void each_of_five_nmis_is_taken(void **state)
{
	static const uint8_t p[] = {X2APIC_ON, 0xbf, 5, 0, /* di = 5 */
	    SEND_NMI_TO_SELF, 0x90, 0x90, 0x4f, 0x75, 0xed, END};
	static const uint8_t handler[] = {0xff, 0x06, 0x00, 0x50, 0xcf}; /* inc word [5000]; iret */

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(profiles); i++) {
		struct vm *vm = make(profiles[i], 1, p, sizeof(p));

		put(vm, HANDLER, handler, sizeof(handler));
		assert_int_equal(vm_run(vm), ERR_OK);
		assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
		assert_int_equal(word(vm, COUNT), 5);
		done(vm);
	}
}

/* The handler sends itself one more the first time: it comes after the IRET, by an exit of reason 8 where those are
 * asked for, and not inside. */
static void an_nmi_in_a_handler_waits_for_its_iret(void **state)
{
	static const uint8_t p[] = {X2APIC_ON, SEND_NMI_TO_SELF, 0x90, 0x90, END};
	static const uint8_t handler[] = {0xff, 0x06, 0x00, 0x50, /* inc word [5000] */
	    0x83, 0x3e, 0x02, 0x50, 0x00, 0x74, 1,		  /* inside of another one? */
	    0xf4,						  /* then stop here */
	    0xff, 0x06, 0x02, 0x50,				  /* inc word [5002] */
	    0x83, 0x3e, 0x00, 0x50, 0x01, 0x75, 14,		  /* the first: */
	    SEND_NMI_TO_SELF, 0xff, 0x0e, 0x02, 0x50,		  /* dec word [5002] */
	    0xcf};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(profiles); i++) {
		struct vm *vm = make(profiles[i], 1, p, sizeof(p));

		put(vm, HANDLER, handler, sizeof(handler));
		assert_int_equal(vm_run(vm), ERR_OK);
		assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
		assert_int_equal(word(vm, COUNT), 2);
		done(vm);
	}
}

static const uint8_t cli_hlt_end[] = {0xfa, 0xf4, END};
static const uint8_t count_iret[] = {0xff, 0x06, 0x00, 0x50, 0xcf};

static void a_blocked_nmi_does_not_wake(void **state)
{
	struct vm *vm = make("vtx-ept", 1, cli_hlt_end, sizeof(cli_hlt_end));

	(void)state;
	vcpu_state_for_write(&vm->vcpus[0], DIRTY_EVENTS)->intr_shadow |= INTR_SHADOW_NMI;
	send_nmi(vm);
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(vm->end.kind, END_HALT);
	assert_int_equal(word(vm, COUNT), 0);
	done(vm);
}

static void start_pit(struct vm *vm)
{
	bus_pio_write(&vm->bus, 0x43, 1, 0x34);
	bus_pio_write(&vm->bus, 0x40, 1, 0xa9);
	bus_pio_write(&vm->bus, 0x40, 1, 0x04);
}

/* A watchdog: the timer's pin sends NMIs, and the CPU sleeps with interrupts off. */
static void an_nmi_by_the_ioapic_wakes(void **state)
{
	struct vm *vm = make("vtx-ept", 1, cli_hlt_end, sizeof(cli_hlt_end));

	(void)state;
	put(vm, HANDLER, count_iret, sizeof(count_iret));
	start_pit(vm);
	bus_mmio_write(&vm->bus, 0xfec00000, 4, 0x15);
	bus_mmio_write(&vm->bus, 0xfec00010, 4, 0);
	bus_mmio_write(&vm->bus, 0xfec00000, 4, 0x14);
	bus_mmio_write(&vm->bus, 0xfec00010, 4, 0x400);
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(word(vm, COUNT), 1);
	done(vm);
}

static void an_nmi_by_lint0_wakes(void **state)
{
	struct vm *vm = make("vtx-ept", 1, cli_hlt_end, sizeof(cli_hlt_end));

	(void)state;
	put(vm, HANDLER, count_iret, sizeof(count_iret));
	start_pit(vm);
	bus_pio_write(&vm->bus, 0x20, 1, 0x11); /* the PIC, with line 0 open */
	bus_pio_write(&vm->bus, 0x21, 1, 0x20);
	bus_pio_write(&vm->bus, 0x21, 1, 0x04);
	bus_pio_write(&vm->bus, 0x21, 1, 0x01);
	bus_pio_write(&vm->bus, 0x21, 1, 0xfe);
	set(vm, 0, LVT_LINT0, 0x400);
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(word(vm, COUNT), 1);
	done(vm);
}

/* With nothing open that could make one, there is still nothing to wait for. */
static void no_source_of_nmis_is_the_end(void **state)
{
	struct vm *vm = make("vtx-ept", 1, cli_hlt_end, sizeof(cli_hlt_end));

	(void)state;
	start_pit(vm);
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(vm->end.kind, END_HALT);
	done(vm);
}

/* --- INIT -------------------------------------------------------------------------------------------------------- */

static void only_level_deassert_is_no_init(void **state)
{
	static const struct {
		uint32_t icr;
		bool init;
	} cases[] = {{0x0500, true}, {0x4500, true}, {0xc500, true}, {0x8500, false}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct vm *vm = make("vtx-ept", 2, cli_hlt_end, sizeof(cli_hlt_end));

		set(vm, 0, ICR_HIGH, 1u << 24);
		set(vm, 0, ICR, cases[i].icr);
		assert_int_equal(lapic_signals(&vm->vcpus[1]).init, cases[i].init);
		done(vm);
	}
}

/* The bootstrap processor starts at the reset vector and waits for nobody: no start-up message stays with it. */
static void init_of_the_bootstrap_processor(void **state)
{
	struct vm *vm = make("vtx-ept", 2, cli_hlt_end, sizeof(cli_hlt_end));

	(void)state;
	set(vm, 0, LVT_LINT0, 0x10700);
	set(vm, 1, ICR_HIGH, 0);
	set(vm, 1, ICR, 0x4500);
	set(vm, 1, ICR, 0x4608);
	vcpu_take_signals(&vm->vcpus[0]);
	assert_false(vm->vcpus[0].wait_startup);
	assert_false(lapic_signals(&vm->vcpus[0]).startup);
	assert_true(lapic_idle(&vm->vcpus[0]));
	assert_int_equal(vm->vcpus[0].cpu.s.rip, 0xfff0);
	assert_int_equal(vm->vcpus[0].cpu.s.seg[X86_CS].base, 0xffff0000);
	assert_int_equal(get(vm, 0, LVT_LINT0), 0x10000); /* the virtual wire is the firmware's work at power-on */
	done(vm);
}

static void off_and_on_leaves_lint0_masked(void **state)
{
	struct vm *vm = make("vtx-ept", 1, cli_hlt_end, sizeof(cli_hlt_end));
	uint64_t base = vm->vcpus[0].cpu.s.apic_base;

	(void)state;
	assert_true(vcpu_wrmsr(vm->vcpus, 0x1b, base & ~APIC_BASE_EN));
	assert_true(vcpu_wrmsr(vm->vcpus, 0x1b, base));
	assert_int_equal(get(vm, 0, LVT_LINT0), 0x10000);
	done(vm);
}

static void mov_cr8_clears_the_low_half_of_tpr(void **state)
{
	struct vm *vm = make("vtx-ept", 1, cli_hlt_end, sizeof(cli_hlt_end));

	(void)state;
	set(vm, 0, TPR, 0x5a);
	assert_int_equal(get(vm, 0, TPR), 0x5a);
	assert_int_equal(x86_set_cr8(&vm->vcpus[0].cpu, 5), X86_OK);
	assert_int_equal(get(vm, 0, TPR), 0x50);
	set(vm, 0, TPR, 0x5a);
	assert_int_equal(x86_set_cr8(&vm->vcpus[0].cpu, 7), X86_OK);
	assert_int_equal(x86_set_cr8(&vm->vcpus[0].cpu, 5), X86_OK);
	assert_int_equal(get(vm, 0, TPR), 0x50);
	done(vm);
}

/* Line 2 is the cascade of the PICs: it is no wire to the pin that the timer has. */
static void line_2_is_not_the_timers_pin(void **state)
{
	struct vm *vm = make("vtx-ept", 1, cli_hlt_end, sizeof(cli_hlt_end));

	(void)state;
	bus_mmio_write(&vm->bus, 0xfec00000, 4, 0x14);
	bus_mmio_write(&vm->bus, 0xfec00010, 4, 0x41);
	irq_set_line(vm, 2, true);
	assert_false(irq_vcpu_pending(vm->vcpus));
	irq_set_line(vm, 0, false);
	irq_set_line(vm, 0, true);
	assert_true(irq_vcpu_pending(vm->vcpus));
	done(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_of_five_nmis_is_taken),
	    cmocka_unit_test(an_nmi_in_a_handler_waits_for_its_iret),
	    cmocka_unit_test(a_blocked_nmi_does_not_wake),
	    cmocka_unit_test(an_nmi_by_the_ioapic_wakes),
	    cmocka_unit_test(an_nmi_by_lint0_wakes),
	    cmocka_unit_test(no_source_of_nmis_is_the_end),
	    cmocka_unit_test(only_level_deassert_is_no_init),
	    cmocka_unit_test(init_of_the_bootstrap_processor),
	    cmocka_unit_test(off_and_on_leaves_lint0_masked),
	    cmocka_unit_test(mov_cr8_clears_the_low_half_of_tpr),
	    cmocka_unit_test(line_2_is_not_the_timers_pin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
