/*
 * The timer of the local APIC [SDM 3A "APIC Timer"]. It counts nothing: its count is arithmetic on guest time, and the
 * clock is armed for the moment at which an interrupt is due. The crystal is a stated 1 GHz, one period a nanosecond of
 * guest time.
 *
 *   one-shot      counts down once, interrupts at 0 and stays there
 *   periodic      starts again from the initial count; periods that passed unseen become one interrupt
 *   TSC deadline  interrupts when the TSC reaches a value; the value is then 0
 *   reserved      the fourth encoding: no timer
 *
 * A periodic timer interrupts at a multiple of its period that is at least period_min_ns(). A guest may ask for a
 * period of a nanosecond, and a VMM that tried to follow would do nothing else. On virtual time the VMM's work takes
 * none, and a thousand instructions in between are enough; on host time the guest must come to run in between on a slow
 * host, too.
 */
#include "core/dev/lapic_priv.h"

#define VIRTUAL_PERIOD_MIN_NS 10000u

/* Bits 0, 1 and 3: 000 divides by 2, 001 by 4, ... 110 by 128, 111 by 1. */
static unsigned shift_of(uint32_t divide)
{
	return ((divide & 3u) + (divide >> 1 & 4u) + 1u) & 7u;
}

static enum timer_mode mode_of(const struct lapic_cpu *a)
{
	return (enum timer_mode)LVT_TIMER_MODE(a->lvt[LVT_TIMER]);
}

static uint64_t now_ns(const struct vcpu *v)
{
	return clock_now_ns(&v->vm->clock);
}

static uint64_t period_ns(const struct lapic_cpu *a)
{
	return (uint64_t)a->initial << shift_of(a->divide);
}

/* One-shot and periodic: there is a counter, and the initial count starts it. */
static bool counts(const struct lapic_cpu *a)
{
	return mode_of(a) == TIMER_ONE_SHOT || mode_of(a) == TIMER_PERIODIC;
}

static uint64_t period_min_ns(const struct vcpu *v)
{
	return v->vm->clock.kind == CLOCK_HOST ? CLOCK_HOST_PERIOD_MIN_NS : VIRTUAL_PERIOD_MIN_NS;
}

/* The phase stays: it is the expiries in between that pass unseen. */
static uint64_t next_period(const struct vcpu *v, uint64_t now)
{
	const struct lapic_cpu *a = lapic_of(v);
	uint64_t period = period_ns(a), step = (period_min_ns(v) + period - 1) / period * period;

	return a->start_ns + ((now - a->start_ns) / step + 1) * step;
}

uint32_t lapic_timer_count(const struct vcpu *v)
{
	const struct lapic_cpu *a = lapic_of(v);
	uint64_t passed = (now_ns(v) - a->start_ns) >> shift_of(a->divide);

	if (!a->initial || a->stopped || !counts(a))
		return 0;
	if (mode_of(a) == TIMER_PERIODIC)
		return a->initial - (uint32_t)(passed % a->initial);
	return passed >= a->initial ? 0 : a->initial - (uint32_t)passed;
}

/* Guest time at which the TSC of this CPU reaches a value: now, when it is there already. */
static uint64_t tsc_to_ns(const struct vcpu *v, uint64_t tsc)
{
	uint64_t now = clock_tsc(&v->vm->clock) + v->cpu.s.tsc_offset;
	uint64_t ns = tsc > now ? (tsc - now + CLOCK_TSC_PER_NS - 1) / CLOCK_TSC_PER_NS : 0;

	return ns < CLOCK_NEVER - now_ns(v) ? now_ns(v) + ns : CLOCK_NEVER - 1;
}

static uint64_t next_fire(const struct vcpu *v)
{
	const struct lapic_cpu *a = lapic_of(v);

	if (!lapic_is_on(v))
		return CLOCK_NEVER;
	if (mode_of(a) == TIMER_TSC_DEADLINE)
		return a->deadline ? tsc_to_ns(v, a->deadline) : CLOCK_NEVER;
	if (!a->initial || a->stopped || !counts(a))
		return CLOCK_NEVER;
	if (mode_of(a) == TIMER_PERIODIC) /* nobody hears a masked one */
		return a->lvt[LVT_TIMER] & LVT_MASKED ? CLOCK_NEVER : next_period(v, now_ns(v));
	return a->start_ns + period_ns(a);
}

void lapic_timer_arm(struct vcpu *v)
{
	lapic_of(v)->fire_ns = next_fire(v);
	lapic_timer_arm_clock(v->vm);
}

void lapic_timer_arm_clock(struct vm *vm)
{
	const struct device *d = dev_get(vm, DEV_LAPIC);
	uint64_t first = CLOCK_NEVER;

	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		uint64_t at = lapic_of(&vm->vcpus[i])->fire_ns;

		if (at < first)
			first = at;
	}
	clock_arm(&vm->clock, d->timer, first);
}

void lapic_timer_fire(void *device, uint64_t deadline_ns)
{
	struct vm *vm = ((struct device *)device)->vm;

	(void)deadline_ns;
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];
		struct lapic_cpu *a = lapic_of(v);

		if (a->fire_ns > now_ns(v))
			continue;
		if (mode_of(a) == TIMER_TSC_DEADLINE)
			a->deadline = 0;
		else if (mode_of(a) == TIMER_ONE_SHOT)
			a->stopped = 1;
		a->fire_ns = CLOCK_NEVER;
		lapic_local(v, LVT_TIMER);
	}
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		lapic_timer_arm(&vm->vcpus[i]);
}

void lapic_timer_start(struct vcpu *v, uint32_t initial)
{
	struct lapic_cpu *a = lapic_of(v);

	if (!counts(a))
		return;
	a->initial = initial;
	a->start_ns = now_ns(v);
	a->stopped = 0;
	lapic_timer_arm(v);
}

/* The counter goes on from where it is: start_ns moves to where the count would have begun. */
static void rebase(struct vcpu *v, uint32_t count)
{
	struct lapic_cpu *a = lapic_of(v);

	if (!count)
		a->stopped = 1;
	a->start_ns = now_ns(v) - ((uint64_t)(a->initial - count) << shift_of(a->divide));
}

void lapic_timer_divide(struct vcpu *v, uint32_t divide)
{
	struct lapic_cpu *a = lapic_of(v);
	uint32_t count = lapic_timer_count(v);

	a->divide = divide;
	if (a->initial && !a->stopped)
		rebase(v, count);
	lapic_timer_arm(v);
}

/* "A transition to or from TSC-deadline mode disarms the timer", and the reserved mode has none; between the other two
 * the counter goes on. */
void lapic_timer_lvt(struct vcpu *v, uint32_t lvt)
{
	struct lapic_cpu *a = lapic_of(v);
	uint32_t count = lapic_timer_count(v);
	enum timer_mode old = mode_of(a);
	bool counted = counts(a);

	a->lvt[LVT_TIMER] = lvt;
	if (old != mode_of(a) && !(counted && counts(a))) {
		a->initial = 0;
		a->deadline = 0;
	} else if (old != mode_of(a) && a->initial && !a->stopped) {
		rebase(v, count);
	}
	lapic_timer_arm(v);
}

uint64_t lapic_timer_deadline(const struct vcpu *v)
{
	const struct lapic_cpu *a = lapic_of(v);

	return mode_of(a) == TIMER_TSC_DEADLINE ? a->deadline : 0;
}

void lapic_timer_set_deadline(struct vcpu *v, uint64_t tsc)
{
	struct lapic_cpu *a = lapic_of(v);

	if (mode_of(a) != TIMER_TSC_DEADLINE)
		return;
	a->deadline = tsc;
	lapic_timer_arm(v);
}

void lapic_tsc_set(struct vcpu *v)
{
	if (v->vm->machine)
		lapic_timer_arm(v);
}
