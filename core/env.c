/*
 * The executor's environment. Read core/x86/cpu.h (struct x86_env) first: everything that one instruction can reach
 * outside the CPU comes through these ten functions, so this file is where a software CPU is tied to a machine.
 */
#include "core/env.h"

#include "core/dev/lapic.h"
#include "core/ferr.h"
#include "core/lib.h"

#define MSR_TSC 0x10u

static uint8_t *env_page(void *arg, gpa_t gpa, bool write)
{
	struct vcpu *v = arg;

	/* The page of the local APIC hides what is under it. */
	if (UNLIKELY(lapic_is_at(v, gpa)))
		return NULL;
	return mem_page(&v->vm->mem, gpa, write);
}

static bool in_one_page(gpa_t gpa, unsigned n)
{
	return (gpa & (PAGE_SIZE_4K - 1)) + n <= PAGE_SIZE_4K;
}

uint64_t vcpu_mmio_read(struct vcpu *v, gpa_t gpa, unsigned n)
{
	struct guest_mem *m = &v->vm->mem;
	uint64_t value = 0;

	if (!in_one_page(gpa, n)) {
		value = vcpu_mmio_read(v, gpa, n / 2);
		return value | vcpu_mmio_read(v, gpa + n / 2, n / 2) << (4 * n);
	}
	if (lapic_is_at(v, gpa))
		return UNLIKELY(v->vm->fed) ? bus_mmio_read(&v->vm->bus, gpa, n) : lapic_mmio_read(v, gpa, n);
	int i = mem_find(m, gpa);
	if (i < 0)
		return bus_mmio_read(&v->vm->bus, gpa, n);
	const struct mem_slot *s = &m->slots[i];
	if (s->read) {
		memcpy(&value, s->read + (gpa - s->gpa), n);
		return value;
	}
	m->hole_reads++;
	return n >= 8 ? UINT64_MAX : (1ull << (8 * n)) - 1;
}

void vcpu_mmio_write(struct vcpu *v, gpa_t gpa, unsigned n, uint64_t value)
{
	struct guest_mem *m = &v->vm->mem;

	if (!in_one_page(gpa, n)) {
		vcpu_mmio_write(v, gpa, n / 2, value);
		vcpu_mmio_write(v, gpa + n / 2, n / 2, value >> (4 * n));
		return;
	}
	if (lapic_is_at(v, gpa)) {
		lapic_mmio_write(v, gpa, n, value); /* where fed, too: TPR is CR8 */
		if (UNLIKELY(v->vm->fed))
			bus_mmio_write(&v->vm->bus, gpa, n, value);
		return;
	}
	int i = mem_find(m, gpa);
	if (i < 0) {
		bus_mmio_write(&v->vm->bus, gpa, n, value);
		return;
	}
	const struct mem_slot *s = &m->slots[i];
	if (s->write) {
		mem_note_write(m, s->write + (gpa - s->gpa), n);
		memcpy(s->write + (gpa - s->gpa), &value, n);
	} else {
		m->dropped_writes++;
	}
}

enum err vm_write_mem(struct vm *vm, gpa_t gpa, const void *buf, size_t n)
{
	enum err e = mem_write(&vm->mem, gpa, buf, n);

	while (vm->code_written && n > 0) {
		size_t left = PAGE_SIZE_4K - (size_t)(gpa % PAGE_SIZE_4K), k = n < left ? n : left;

		vm->code_written(&vm->vcpus[0], gpa, (unsigned)k);
		gpa += k;
		n -= k;
	}
	return e;
}

static uint64_t env_mmio_read(void *arg, gpa_t gpa, unsigned n)
{
	return vcpu_mmio_read(arg, gpa, n);
}

static void env_mmio_write(void *arg, gpa_t gpa, unsigned n, uint64_t value)
{
	vcpu_mmio_write(arg, gpa, n, value);
}

/* INS and OUTS reach the port through here; the exit record keeps the value for whoever watches. */
static void note_io(struct vcpu *v, uint64_t value)
{
	if (v->executing && v->exit.reason == EXIT_IO_INSTRUCTION)
		v->exit.io.value = value;
}

static uint64_t env_io_read(void *arg, uint16_t port, unsigned n)
{
	struct vcpu *v = arg;
	uint64_t value = bus_pio_read(&v->vm->bus, port, n);

	note_io(v, value);
	return value;
}

static void env_io_write(void *arg, uint16_t port, unsigned n, uint64_t value)
{
	struct vcpu *v = arg;

	note_io(v, value);
	bus_pio_write(&v->vm->bus, port, n, value);
}

uint64_t vcpu_tsc(struct vcpu *v)
{
	return clock_tsc(&v->vm->clock) + v->cpu.s.tsc_offset;
}

bool vcpu_get_msr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	if (msr == MSR_TSC) {
		*value = vcpu_tsc(v);
		return true;
	}
	if (lapic_has_msr(msr))
		return v->vm->machine && lapic_rdmsr(v, msr, value);
	return x86_rdmsr(&v->cpu, msr, value);
}

bool vcpu_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	if (vcpu_get_msr(v, msr, value))
		return true;
	if (!lapic_has_msr(msr))
		v->counts.unknown_msr++;
	return false;
}

bool vcpu_set_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (msr == MSR_TSC) {
		v->cpu.s.tsc_offset = value - clock_tsc(&v->vm->clock);
		lapic_tsc_set(v);
		return true;
	}
	if (lapic_has_msr(msr))
		return v->vm->machine && lapic_wrmsr(v, msr, value);
	return x86_wrmsr(&v->cpu, msr, value);
}

bool vcpu_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint64_t old;

	if (vcpu_set_msr(v, msr, value))
		return true;
	if (!lapic_has_msr(msr) && !x86_rdmsr(&v->cpu, msr, &old)) /* a value that it rejects is not "unknown" */
		v->counts.unknown_msr++;
	return false;
}

static bool env_rdmsr(void *arg, uint32_t msr, uint64_t *value)
{
	return vcpu_rdmsr(arg, msr, value);
}

static bool env_wrmsr(void *arg, uint32_t msr, uint64_t value)
{
	return vcpu_wrmsr(arg, msr, value);
}

static void env_cpuid(void *arg, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	struct vcpu *v = arg;

	x86_cpuid(&v->cpu, leaf, subleaf, out);
}

static uint64_t env_tsc(void *arg)
{
	return vcpu_tsc(arg);
}

static void env_code_written(void *arg, gpa_t gpa, unsigned n)
{
	struct vcpu *v = arg;

	if (v->vm->code_written)
		v->vm->code_written(v, gpa, n);
}

static void env_ferr_dropped(void *arg)
{
	vcpu_ferr_dropped(arg);
}

static void env_cr8_written(void *arg)
{
	struct vcpu *v = arg;

	if (v->vm->machine)
		lapic_cr8_written(v);
}

const struct x86_env vcpu_env_ops = {
    .page = env_page,
    .mmio_read = env_mmio_read,
    .mmio_write = env_mmio_write,
    .io_read = env_io_read,
    .io_write = env_io_write,
    .rdmsr = env_rdmsr,
    .wrmsr = env_wrmsr,
    .cpuid = env_cpuid,
    .tsc = env_tsc,
    .code_written = env_code_written,
    .ferr_dropped = env_ferr_dropped,
    .cr8_written = env_cr8_written,
};
