/*
 * The local APICs, one a virtual CPU, as the rest of the core sees them: the register page and the MSRs that a CPU
 * reaches, the messages that arrive, and what waits for the CPU [SDM 3A "Local APIC"].
 *
 * The page belongs to a CPU and not to the bus: IA32_APIC_BASE says for each one where it is, and each one sees its own
 * APIC there. One struct for all of them is the device's state (lapic.c).
 */
#ifndef VMSCOPE_CORE_DEV_LAPIC_H
#define VMSCOPE_CORE_DEV_LAPIC_H

#include "core/vm.h"

#define APIC_BASE_BSP 0x100ull
#define APIC_BASE_EXTD 0x400ull
#define APIC_BASE_EN 0x800ull
#define APIC_BASE_ADDRESS 0xfffffff000ull /* 40 physical address bits */

enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST,
	APIC_SMI,
	APIC_NMI = 4,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT,
};

/* What travels between APICs. */
struct apic_message {
	uint32_t dest;
	uint8_t vector;
	uint8_t mode;	 /* enum apic_delivery */
	uint8_t logical; /* dest is a logical destination */
	uint8_t level;	 /* level-triggered: its EOI goes to the IOAPIC */
};

/* Delivers to every APIC that the destination names. True when at least one accepted it. */
bool lapic_send(struct vm *vm, const struct apic_message *m);
/* The interrupt output of the PIC went up or down. */
void lapic_lint0(struct vm *vm, bool level);

/* Is gpa in the register page of this CPU's own APIC? */
static inline bool lapic_is_at(const struct vcpu *v, gpa_t gpa)
{
	uint64_t base = v->cpu.s.apic_base;

	return gpa - (base & APIC_BASE_ADDRESS) < PAGE_SIZE_4K &&
	       (base & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN && v->vm->machine;
}
uint64_t lapic_mmio_read(struct vcpu *v, gpa_t gpa, unsigned n);
void lapic_mmio_write(struct vcpu *v, gpa_t gpa, unsigned n, uint64_t value);

/* Is LINT0 of some CPU open in this delivery mode (enum apic_delivery)? */
bool lapic_lint0_makes(const struct vm *vm, unsigned mode);

/* IA32_APIC_BASE, IA32_TSC_DEADLINE and 800H-8FFH. rdmsr, wrmsr: false is #GP. */
bool lapic_has_msr(uint32_t msr);
bool lapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool lapic_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);
/* The TSC of this CPU was set: a TSC deadline moves. */
void lapic_tsc_set(struct vcpu *v);
/* IA32_APIC_BASE of this CPU is another one than old: what lapic_wrmsr() does by itself, where a host's kernel took the
 * write. */
void lapic_base_written(struct vcpu *v, uint64_t old);

/* CR8 was loaded: TPR[3:0] are 0 then [SDM 3A "Interaction of Task Priorities between CR8 and APIC"]. */
void lapic_cr8_written(struct vcpu *v);

/* A vector is above the processor priority: lapic_ack() takes it. */
bool lapic_pending(struct vcpu *v);
/* A vector waits and only CR8 holds it back: the value of CR8 below which it is free; else 0. */
unsigned lapic_tpr_threshold(struct vcpu *v);
uint8_t lapic_ack(struct vcpu *v);
/* Does the PIC's output reach this CPU (virtual wire, or no APIC in between)? */
bool lapic_takes_extint(const struct vcpu *v);
/* An ExtINT message came: its vector is the PIC's. */
bool lapic_extint_pending(const struct vcpu *v);
void lapic_extint_taken(struct vcpu *v);

/* Signals that are no vectors. Taking one ends it. */
struct lapic_signals {
	bool nmi, init, startup;
	uint8_t vector; /* startup */
};
struct lapic_signals lapic_signals(const struct vcpu *v);
/* Nothing waits here, not even masked: one look before each entry, instead of one for each kind. */
bool lapic_idle(const struct vcpu *v);
void lapic_nmi_taken(struct vcpu *v);
void lapic_startup_taken(struct vcpu *v);
/* INIT: everything but the ID and IA32_APIC_BASE is as after power-on. */
void lapic_init_taken(struct vcpu *v);

#endif
