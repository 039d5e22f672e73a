/*
 * The IOAPIC: registers, edges and levels, Remote IRR and EOI, polarity, and the lines that it shares with the PIC.
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
#include "core/vm.h"

#define IOAPIC 0xfec00000u
#define PAGE 0xfee00000u
#define APIC_EOI 0xb0u
#define APIC_SVR 0xf0u
#define APIC_TMR 0x180u
#define MSR_APIC_BASE 0x1bu
#define ACTIVE_LOW (1u << 13)
#define REMOTE_IRR (1u << 14)
#define LEVEL (1u << 15)
#define MASKED (1u << 16)
#define LOGICAL (1u << 11)

static struct vm *vm;

static uint32_t get(unsigned reg)
{
	bus_mmio_write(&vm->bus, IOAPIC, 4, reg);
	return (uint32_t)bus_mmio_read(&vm->bus, IOAPIC + 0x10, 4);
}

static void set(unsigned reg, uint32_t v)
{
	bus_mmio_write(&vm->bus, IOAPIC, 4, reg);
	bus_mmio_write(&vm->bus, IOAPIC + 0x10, 4, v);
}

static void route(unsigned pin, uint32_t low, uint32_t dest)
{
	set(0x11 + 2 * pin, dest << 24);
	set(0x10 + 2 * pin, low);
}

static int setup(void **state)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .mem_size = 2u << 20,
	    .n_vcpus = 2,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	for (unsigned i = 0; i < 2; i++) {
		struct vcpu *v = &vm->vcpus[i];

		assert_true(vcpu_wrmsr(v, MSR_APIC_BASE, v->cpu.s.apic_base | APIC_BASE_EN));
		vcpu_mmio_write(v, PAGE + APIC_SVR, 4, 0x1ff);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	return 0;
}

static int take(unsigned n)
{
	return irq_vcpu_pending(&vm->vcpus[n]) ? irq_vcpu_ack(&vm->vcpus[n]) : -1;
}

static void eoi(unsigned n)
{
	vcpu_mmio_write(&vm->vcpus[n], PAGE + APIC_EOI, 4, 0);
}

static void registers_after_reset(void **state)
{
	(void)state;
	assert_int_equal(get(0), 0);
	assert_int_equal(get(1), 0x00170020);
	set(1, 0xffffffff);
	assert_int_equal(get(1), 0x00170020);
	set(0, 0xffffffff);
	assert_int_equal(get(0), 0x0f000000);
	assert_int_equal(get(2), 0x0f000000);
	for (unsigned pin = 0; pin < 24; pin++) {
		assert_int_equal(get(0x10 + 2 * pin), MASKED);
		set(0x10 + 2 * pin, MASKED | 0xffffu);
		assert_int_equal(get(0x10 + 2 * pin), MASKED | 0xafffu); /* not: delivery status, Remote IRR */
		set(0x11 + 2 * pin, 0xffffffff);
		assert_int_equal(get(0x11 + 2 * pin), 0xff000000);
	}
	assert_int_equal(get(0x40), 0);
}

static void an_edge_is_one_interrupt(void **state)
{
	(void)state;
	route(5, 0x45, 0);
	irq_set_line(vm, 5, true);
	irq_set_line(vm, 5, true);
	assert_int_equal(take(0), 0x45);
	eoi(0);
	assert_int_equal(take(0), -1);
	irq_set_line(vm, 5, false);
	assert_int_equal(take(0), -1);
	irq_set_line(vm, 5, true);
	assert_int_equal(take(0), 0x45);
	eoi(0);
	irq_set_line(vm, 5, false);
	route(5, MASKED | 0x45, 0);
	irq_set_line(vm, 5, true); /* an edge at a masked pin is lost */
	route(5, 0x45, 0);
	assert_int_equal(take(0), -1);
}

static void a_level_interrupts_until_it_falls(void **state)
{
	(void)state;
	route(11, LEVEL | 0x4b, 1);
	irq_set_line(vm, 11, true);
	assert_int_equal(get(0x10 + 22) & REMOTE_IRR, REMOTE_IRR);
	assert_int_equal(take(0), -1);
	assert_int_equal(take(1), 0x4b);
	assert_int_equal(vcpu_mmio_read(&vm->vcpus[1], PAGE + APIC_TMR + 0x20, 4), 1u << 11);
	assert_int_equal(take(1), -1);
	eoi(1); /* still high: again */
	assert_int_equal(take(1), 0x4b);
	irq_set_line(vm, 11, false);
	eoi(1);
	assert_int_equal(get(0x10 + 22) & REMOTE_IRR, 0);
	assert_int_equal(take(1), -1);
	route(11, LEVEL | MASKED | 0x4b, 1);
	irq_set_line(vm, 11, true); /* a level waits behind the mask */
	assert_int_equal(take(1), -1);
	route(11, LEVEL | 0x4b, 1);
	assert_int_equal(take(1), 0x4b);
}

static void the_eoi_register_and_a_change_to_edge_end_a_level(void **state)
{
	(void)state;
	route(11, LEVEL | 0x4b, 1);
	irq_set_line(vm, 11, true);
	irq_set_line(vm, 11, false);
	assert_int_equal(get(0x10 + 22) & REMOTE_IRR, REMOTE_IRR);
	bus_mmio_write(&vm->bus, IOAPIC + 0x40, 4, 0x4c);
	assert_int_equal(get(0x10 + 22) & REMOTE_IRR, REMOTE_IRR);
	bus_mmio_write(&vm->bus, IOAPIC + 0x40, 4, 0x4b);
	assert_int_equal(get(0x10 + 22) & REMOTE_IRR, 0);
	irq_set_line(vm, 11, true);
	route(11, MASKED | 0x4b, 1);
	assert_int_equal(get(0x10 + 22) & REMOTE_IRR, 0);
}

static void active_low_turns_the_wire_around(void **state)
{
	(void)state;
	irq_set_line(vm, 20, true);
	route(20, LEVEL | ACTIVE_LOW | 0x51, 0);
	assert_int_equal(take(0), -1);
	irq_set_line(vm, 20, false);
	assert_int_equal(take(0), 0x51);
	irq_set_line(vm, 20, true);
	eoi(0);
	assert_int_equal(take(0), -1);
}

static void line_0_is_pin_2_and_the_pic_has_the_lines_too(void **state)
{
	static const uint8_t init[][2] = {{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0x00}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(init); i++)
		bus_pio_write(&vm->bus, init[i][0], 1, init[i][1]);
	route(2, 0x42, 1);
	irq_set_line(vm, 0, true);
	assert_int_equal(take(1), 0x42);
	assert_true(irq_pending(vm));
	assert_int_equal(irq_ack(vm), 8);
	irq_set_line(vm, 17, true); /* a pin of its own */
	assert_false(irq_pending(vm));
	irq_set_line(vm, 24, true); /* no such line */
}

static void logical_destinations_and_signals(void **state)
{
	(void)state;
	vcpu_mmio_write(&vm->vcpus[0], PAGE + 0xd0, 4, 1u << 24);
	vcpu_mmio_write(&vm->vcpus[1], PAGE + 0xd0, 4, 2u << 24);
	route(7, LOGICAL | 0x47, 3);
	irq_set_line(vm, 7, true);
	assert_int_equal(take(0), 0x47);
	assert_int_equal(take(1), 0x47);
	route(6, 0x400, 1);
	irq_set_line(vm, 6, true);
	assert_true(lapic_signals(&vm->vcpus[1]).nmi);
	assert_false(lapic_signals(&vm->vcpus[0]).nmi);
}

/* A level that no APIC accepts leaves no Remote IRR that nobody would ever clear. */
static void a_message_that_nobody_accepts(void **state)
{
	(void)state;
	route(11, LEVEL | 0x4b, 9);
	irq_set_line(vm, 11, true);
	assert_int_equal(get(0x10 + 22) & REMOTE_IRR, 0);
	route(11, LEVEL | 0x4b, 1);
	assert_int_equal(take(1), 0x4b);
}

static void narrow_accesses(void **state)
{
	(void)state;
	bus_mmio_write(&vm->bus, IOAPIC, 1, 1);
	assert_int_equal(bus_mmio_read(&vm->bus, IOAPIC + 0x10, 1), 0x20);
	assert_int_equal(bus_mmio_read(&vm->bus, IOAPIC + 0x12, 1), 0x17);
	assert_int_equal(bus_mmio_read(&vm->bus, IOAPIC, 4), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(registers_after_reset),
	    TEST(an_edge_is_one_interrupt),
	    TEST(a_level_interrupts_until_it_falls),
	    TEST(the_eoi_register_and_a_change_to_edge_end_a_level),
	    TEST(active_low_turns_the_wire_around),
	    TEST(line_0_is_pin_2_and_the_pic_has_the_lines_too),
	    TEST(logical_destinations_and_signals),
	    TEST(a_message_that_nobody_accepts),
	    TEST(narrow_accesses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
