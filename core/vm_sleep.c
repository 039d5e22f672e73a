/*
 * A vCPU that sleeps: what wakes it, how guest time goes on when all of them sleep, and when that is the end.
 */
#include "core/vm_smp.h"

/* Guest time after which a halted guest that only hears timers is given up (virtual time; an hour takes a moment). */
#define HALT_PATIENCE_NS 3600000000000ull
#define HALT_PATIENCE_EVENTS 1000000u /* and timer events, as they may come every nanosecond */
#define SLICE_EVENTS 1000u	      /* who runs in slices gets control back after so many */

static bool any_wakes(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		if (vcpu_wakes(&vm->vcpus[i]))
			return true;
	return false;
}

/* Every CPU sleeps: guest time goes on from timer to timer, until one of them wakes somebody. One that fires every
 * nanosecond, and that nobody hears, would keep us here for ever: hence the second bound. */
static void sleep_on(struct vm *vm, const struct vcpu *v, const char *why)
{
	struct clock *c = &vm->clock;

	for (unsigned n = 0; vm->slept < HALT_PATIENCE_EVENTS; n++, vm->slept++) {
		if ((vm->slice_end_ns != CLOCK_NEVER || vm->pausing) && n == SLICE_EVENTS) {
			vm->idle = vm->pausing;
			return;
		}
		if (!clock_wait(c)) {
			vm_kill(vm, END_HALT, 0, "%s with no timer armed: nothing can wake it", why);
			return;
		}
		if (c->kind == CLOCK_HOST)
			return;
		if (clock_now_ns(c) - v->halt_ns > HALT_PATIENCE_NS) {
			vm_kill(vm, END_HALT, 0, "%s, and no interrupt came in an hour of guest time", why);
			return;
		}
		clock_run_due(c);
		if (vm->stop || vm->ended || vm->want_reset || any_wakes(vm))
			return;
		if (vm->pausing && vm_pause_reached(vm)) {
			vm->idle = true;
			return;
		}
	}
	vm_kill(vm, END_HALT, 0, "%s, and no interrupt came of %u timer events", why, HALT_PATIENCE_EVENTS);
}

bool vm_wake(struct vm *vm, struct vcpu *v)
{
	const char *why = v->frozen ? "an x87 exception that is IRQ 13 (CR0.NE is clear)" : "HLT";

	if (vcpu_wakes(v)) {
		vm->slept = 0;
		v->halted = v->frozen = false;
	} else if (vm_any_runs(vm)) {
		return false;
	} else if (!vm_any_listens(vm)) {
		if (vm->n_vcpus == 1)
			vm_kill(vm, END_HALT, 0, "%s with interrupts off: nothing can wake it", why);
		else
			vm_kill(vm, END_HALT, 0, "every CPU is halted with interrupts off or was never started");
	} else if (vm->slice_end_ns != CLOCK_NEVER && vm->clock.kind == CLOCK_HOST &&
		   clock_next_deadline(&vm->clock) != CLOCK_NEVER) {
		vm->idle = true; /* others may use the CPU until then */
	} else {
		sleep_on(vm, v, why);
	}
	return vcpu_runs(v);
}
