/*
 * A machine of CPUS real CPUs of the emulate engine that never run, for tests of their local APICs: the test reads and
 * writes registers, lets time pass, and takes interrupts in the CPUs' place.
 */
#ifndef VMSCOPE_TESTS_LAPIC_FIXTURE_H
#define VMSCOPE_TESTS_LAPIC_FIXTURE_H

#include "core/dev/lapic.h"
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

extern struct vm *apic_vm;

/* For cmocka: every APIC on, in xAPIC mode, enabled by software. */
int apic_setup(void **state);
int apic_teardown(void **state);

/* n: the number of the CPU. */
struct vcpu *apic_cpu(unsigned n);
/* Its registers by the page. */
uint32_t apic_get(unsigned n, unsigned reg);
void apic_set(unsigned n, unsigned reg, uint32_t v);
/* Its MSRs; reading must succeed. False: the write raises #GP. */
uint64_t apic_msr(unsigned n, uint32_t index);
bool apic_put_msr(unsigned n, uint32_t index, uint64_t v);
/* Guest time passes: timers fire at their deadlines on the way. */
void apic_pass(uint64_t ns);
/* The vector that the CPU takes now; -1: none. */
int apic_take(unsigned n);
/* A signal by the ICR: low is its lower half. */
void apic_ipi(unsigned from, uint32_t dest, uint32_t low);
/* A message of the I/O APIC's kind. */
void apic_send_all(uint8_t vector, uint32_t dest, bool logical, unsigned mode);

#endif
