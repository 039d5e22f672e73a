/*
 * Several virtual CPUs on one thread: whose turn it is, and the signals between CPUs. Private to core/vm*.c.
 */
#ifndef VMSCOPE_CORE_VM_SMP_H
#define VMSCOPE_CORE_VM_SMP_H

#include "core/vm.h"

/* The CPU that runs now, by the round-robin; when all sleep, the one that went to sleep last. */
struct vcpu *vm_whose_turn(struct vm *vm);
/* Neither halted nor waiting for a start-up message. */
static inline bool vcpu_runs(const struct vcpu *v)
{
	return !v->halted && !v->wait_startup;
}
/* Would this halted CPU go on: an interrupt that it accepts, an NMI? */
bool vcpu_wakes(struct vcpu *v);
/* Does, or would, any CPU run? May any of those that sleep be woken by an interrupt at all? */
bool vm_any_runs(struct vm *vm);
bool vm_any_listens(struct vm *vm);
/* vm_sleep.c: of a CPU that does not run: an interrupt wakes it; otherwise, when all sleep, guest time goes on to the
 * next timer. True when it is awake. */
bool vm_wake(struct vm *vm, struct vcpu *v);
/* INIT and start-up messages, at an instruction boundary. */
void vcpu_take_signals(struct vcpu *v);
/* Instructions that vm->turn may run before it is another one's turn; UINT64_MAX: no other one is ready. */
uint64_t vm_turn_left(struct vm *vm);
/* An exception that exited was given back to the guest: time must not stand still when nothing else happens. */
void vm_note_reflected(struct vm *vm, struct vcpu *v);
uint64_t vm_total_exits(const struct vm *vm);
#endif
