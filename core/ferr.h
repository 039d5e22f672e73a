/*
 * x87 exceptions that the processor reports by a pin (CR0.NE clear) instead of #MF: the CPU's side of it.
 */
#ifndef VMSCOPE_CORE_FERR_H
#define VMSCOPE_CORE_FERR_H

#include "core/vm.h"

/* Is this exit 0 such an exception? */
bool vcpu_is_ferr(struct vcpu *v, const struct vm_exit *e);
/* Its handler, in a machine: FERR# is asserted; then the instruction is executed (IGNNE#), or the CPU waits for an
 * interrupt. */
enum verdict vcpu_ferr(struct vcpu *v, struct vm_exit *e);
/* FERR# has dropped. */
void vcpu_ferr_dropped(struct vcpu *v);
/* Has it? For modes whose guest does not run in v->cpu. */
void vcpu_ferr_look(struct vcpu *v);

#endif
