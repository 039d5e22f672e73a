/* See lapic_fixture.h. */
#include "tests/lapic_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/env.h"
#include "core/irq.h"

struct vm *apic_vm;

struct vcpu *apic_cpu(unsigned n)
{
	return &apic_vm->vcpus[n];
}

uint32_t apic_get(unsigned n, unsigned reg)
{
	return (uint32_t)vcpu_mmio_read(apic_cpu(n), PAGE + reg, 4);
}

void apic_set(unsigned n, unsigned reg, uint32_t v)
{
	vcpu_mmio_write(apic_cpu(n), PAGE + reg, 4, v);
}

uint64_t apic_msr(unsigned n, uint32_t index)
{
	uint64_t v = 0;

	assert_true(vcpu_rdmsr(apic_cpu(n), index, &v));
	return v;
}

bool apic_put_msr(unsigned n, uint32_t index, uint64_t v)
{
	return vcpu_wrmsr(apic_cpu(n), index, v);
}

int apic_setup(void **state)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .mem_size = 2u << 20,
	    .n_vcpus = CPUS,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(vm_create(&cfg, &apic_vm, &why), ERR_OK);
	for (unsigned i = 0; i < CPUS; i++) {
		assert_true(apic_put_msr(i, BASE, apic_msr(i, BASE) | APIC_BASE_EN));
		apic_set(i, SVR, 0x1ff);
	}
	return 0;
}

int apic_teardown(void **state)
{
	(void)state;
	vm_destroy(apic_vm);
	return 0;
}

void apic_pass(uint64_t ns)
{
	struct clock *c = &apic_vm->clock;
	uint64_t end = clock_now_ns(c) + ns;

	for (unsigned n = 0; clock_next_deadline(c) <= end; n++) {
		assert_true(n < 100000); /* no timer may hold time up */
		if (clock_next_deadline(c) > clock_now_ns(c))
			c->skipped_ns += clock_next_deadline(c) - clock_now_ns(c);
		clock_run_due(c);
	}
	c->skipped_ns += end - clock_now_ns(c);
}

int apic_take(unsigned n)
{
	return irq_vcpu_pending(apic_cpu(n)) ? irq_vcpu_ack(apic_cpu(n)) : -1;
}

void apic_ipi(unsigned from, uint32_t dest, uint32_t low)
{
	apic_set(from, ICR_HIGH, dest << 24);
	apic_set(from, ICR, low);
}

void apic_send_all(uint8_t vector, uint32_t dest, bool logical, unsigned mode)
{
	const struct apic_message m = {.dest = dest, .vector = vector, .mode = (uint8_t)mode, .logical = logical};

	(void)lapic_send(apic_vm, &m);
}
