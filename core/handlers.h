/*
 * The exit handlers: what the VMM does about each reason. One const table, uniform for all modes: a backend that
 * completes instructions itself (MODE_CAP_COMPLETES) gets results in the exit record, for the others the handler also
 * writes the guest's registers. No entry: fail-stop.
 */
#ifndef VMSCOPE_CORE_HANDLERS_H
#define VMSCOPE_CORE_HANDLERS_H

#include "core/vm.h"

/* EXIT_SDM_COUNT entries. */
const exit_handler *handlers_default(void);
/* The handler of any reason, hardware or VMM code; NULL: nobody handles it. */
exit_handler handler_find(const struct vm *vm, uint32_t reason);

/* Executes the guest instruction at rip on the guest's behalf, with no intercepts: one REP iteration at most. */
enum verdict vcpu_execute(struct vcpu *v, struct vm_exit *e);
/* Finishes the event delivery that the exit interrupted (IDT-vectoring information valid). */
enum verdict vcpu_redeliver(struct vcpu *v, struct vm_exit *e);
/* The event in an interruption-information field; insn_len for software events. */
struct x86_event event_of_info(uint32_t info, uint32_t error, uint32_t insn_len);
/* Verdict REFLECT with this exception (error code 0 where the vector has one). */
enum verdict vcpu_reflect(struct vcpu *v, uint8_t vector);
/* True when the backend hands results over itself. */
bool vcpu_completes(const struct vcpu *v);

/* handlers_priv.c */
enum verdict handle_exception(struct vcpu *v, struct vm_exit *e);

#endif
