/*
 * Interrupt lines of the machine, and the question that the loop asks for each CPU: is an interrupt waiting, and which
 * vector is it? A line goes to the PIC pair and to the IOAPIC at once; the local APIC of each CPU says what reaches it.
 */
#ifndef VMSCOPE_CORE_IRQ_H
#define VMSCOPE_CORE_IRQ_H

#include "core/types.h"

struct vm;
struct vcpu;

/* 0..15: the ISA lines, to both controllers (0 is pin 2 of the IOAPIC); 16..23: pins of the IOAPIC alone. Edge or level
 * as the controllers are programmed. */
void irq_set_line(struct vm *vm, unsigned irq, bool level);
/* The PIC by itself: INTR is asserted; INTA cycle. */
bool irq_pending(const struct vm *vm);
uint8_t irq_ack(struct vm *vm);
/* What this CPU would take if RFLAGS.IF let it. irq_vcpu_ack(): fetches the vector and moves it into service. */
bool irq_vcpu_pending(struct vcpu *v);
/* Could a line become a message of this delivery mode (enum apic_delivery), by an IOAPIC entry or LINT0 that is open?
 */
bool irq_makes(const struct vm *vm, unsigned mode);
uint8_t irq_vcpu_ack(struct vcpu *v);

#endif
