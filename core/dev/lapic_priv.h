/*
 * Inside the local APICs: the state of one, and what its three files call of each other. lapic.c has the registers,
 * lapic_irq.c the interrupts, lapic_timer.c the timer.
 */
#ifndef VMSCOPE_CORE_DEV_LAPIC_PRIV_H
#define VMSCOPE_CORE_DEV_LAPIC_PRIV_H

#include "core/dev/dev.h"
#include "core/dev/lapic.h"

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_VECTOR 0xffu
#define LVT_MODE(v) ((v) >> 8 & 7u)
#define LVT_MASKED (1u << 16)
#define LVT_TIMER_MODE(v) ((v) >> 17 & 3u)
#define SVR_ENABLED (1u << 8)
#define DFR_FLAT 0xffffffffu

#define ESR_SEND_ILLEGAL (1u << 5)
#define ESR_RECEIVED_ILLEGAL (1u << 6)
#define ESR_ILLEGAL_REGISTER (1u << 7)

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE, TIMER_RESERVED };

/* One local APIC. The upper half of the TPR is CR8, which is the CPU's: tpr counts only while it agrees with that. */
struct lapic_cpu {
	uint32_t id; /* of xAPIC mode; in x2APIC mode it is the number of the CPU */
	uint32_t tpr, ldr, dfr, svr;
	uint32_t esr, esr_next; /* what a read gives; what the next write to it will show */
	uint32_t icr_high, icr_low;
	uint32_t lvt[LVT_COUNT];
	uint32_t irr[8], isr[8], tmr[8];
	uint32_t initial, divide;
	uint64_t start_ns; /* guest time at which the counter was (or would have been) at the initial count */
	uint64_t deadline; /* TSC value; 0: none */
	uint64_t fire_ns;  /* the next expiry that matters; CLOCK_NEVER: none */
	uint8_t stopped;   /* the counter is at 0 until the initial count is written */
	uint8_t nmi, init, extint;
	uint8_t startup, startup_vector;
	uint8_t pad[2];
};

struct lapic_state {
	struct lapic_cpu cpu[VM_VCPUS_MAX];
	uint32_t lint0; /* level of the PIC's output */
	uint32_t pad;
};

static inline struct lapic_cpu *lapic_of(const struct vcpu *v)
{
	return &((struct lapic_state *)dev_state(v->vm, DEV_LAPIC))->cpu[v->id];
}

static inline bool lapic_is_x2(const struct vcpu *v)
{
	return (v->cpu.s.apic_base & (APIC_BASE_EN | APIC_BASE_EXTD)) == (APIC_BASE_EN | APIC_BASE_EXTD);
}

static inline bool lapic_is_on(const struct vcpu *v)
{
	return v->cpu.s.apic_base & APIC_BASE_EN;
}

/* lapic_irq.c */
uint32_t lapic_tpr(struct vcpu *v);
uint32_t lapic_ppr(struct vcpu *v);
void lapic_eoi(struct vcpu *v);
void lapic_error(struct vcpu *v, uint32_t bits);
void lapic_local(struct vcpu *v, enum lapic_lvt which);
/* The ICR of v was written: sends what it says. */
void lapic_send_icr(struct vcpu *v);
void lapic_self_ipi(struct vcpu *v, uint8_t vector);
/* Logical destination of x2APIC mode: the cluster, and one bit in it. */
uint32_t lapic_x2_ldr(const struct vcpu *v);

/* lapic_timer.c */
uint32_t lapic_timer_count(const struct vcpu *v);
void lapic_timer_start(struct vcpu *v, uint32_t initial);
void lapic_timer_divide(struct vcpu *v, uint32_t divide);
void lapic_timer_lvt(struct vcpu *v, uint32_t lvt);
uint64_t lapic_timer_deadline(const struct vcpu *v);
void lapic_timer_set_deadline(struct vcpu *v, uint64_t tsc);
/* When does this CPU's timer have to do something? Sets fire_ns, and the clock's timer to the first of all. */
void lapic_timer_arm(struct vcpu *v);
void lapic_timer_arm_clock(struct vm *vm);
void lapic_timer_fire(void *device, uint64_t deadline_ns);

#endif
