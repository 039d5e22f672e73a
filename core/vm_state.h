/*
 * Private to core/vm*.c: who holds the state of a vCPU. Between an exit and the next entry the VMM may read and write
 * v->cpu.s; what it changed (v->dirty) is handed over before the entry, and what it has not asked for since the exit is
 * stale (v->state_valid), unless the engine works in v->cpu.s itself.
 */
#ifndef VMSCOPE_CORE_VM_STATE_H
#define VMSCOPE_CORE_VM_STATE_H

#include "core/vm.h"

static inline bool vm_mode_has(const struct vm *vm, unsigned cap)
{
	return vm->cfg.mode->caps & cap;
}

/* True: the machine ends, since its mode could not do what. */
bool vm_mode_failed(struct vm *vm, enum err e, const char *what);
bool vcpu_hand_over(struct vcpu *v);

/* What the VMM changed in v->cpu.s becomes the mode's. False: it failed. */
static inline bool vcpu_flush_state(struct vcpu *v)
{
	return LIKELY(!v->dirty) || vcpu_hand_over(v);
}

/* The guest has run: the state is the mode's. */
static inline void vcpu_leave_state(struct vcpu *v)
{
	v->state_valid = v->regs_valid = vm_mode_has(v->vm, MODE_CAP_STATE_LIVE);
}

#endif
