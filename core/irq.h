/*
 * Interrupt lines of the machine and the one question the loop asks: is an interrupt waiting, and which vector is it?
 * Backed by the i8259 pair (the local APIC and IOAPIC come with the CPU issue and plug in here).
 */
#ifndef VMSCOPE_CORE_IRQ_H
#define VMSCOPE_CORE_IRQ_H

#include "core/types.h"

struct vm;

void irq_set_line(struct vm *vm, unsigned irq, bool level); /* 0..15; edge or level as the PIC is programmed */
bool irq_pending(const struct vm *vm);			    /* INTR is asserted */
uint8_t irq_ack(struct vm *vm);				    /* INTA cycle: vector, moves IRR to ISR */

#endif
