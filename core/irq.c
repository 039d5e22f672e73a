/*
 * Interrupt lines: the face of the interrupt controllers towards the rest of the core. Devices set lines; the loop asks
 * whether something waits for a CPU and fetches the vector, as a CPU does with an INTA cycle.
 *
 *   line --+--> PIC pair --INTR--> LINT0 of the local APICs (ExtINT) ----+
 *          +--> IOAPIC --message--> IRR of the local APICs named in it --+--> CPU
 *
 * Read core/dev/i8259.c, core/dev/ioapic.c and core/dev/lapic_irq.c next.
 */
#include "core/irq.h"

#include "core/dev/dev.h"
#include "core/dev/ioapic.h"
#include "core/dev/lapic.h"

#define ISA_LINES 16u
#define TIMER_LINE 0u
#define CASCADE_LINE 2u /* of the PIC pair; pin 2 is free for another one */
#define TIMER_PIN 2u	/* where a PC has the line of the interval timer */

void irq_set_line(struct vm *vm, unsigned irq, bool level)
{
	if (irq < ISA_LINES)
		i8259_set_line(dev_get(vm, DEV_I8259), irq, level);
	if (irq != CASCADE_LINE)
		ioapic_set_pin(dev_get(vm, DEV_IOAPIC), irq == TIMER_LINE ? TIMER_PIN : irq, level);
}

bool irq_makes(const struct vm *vm, unsigned mode)
{
	return ioapic_makes(dev_get(vm, DEV_IOAPIC), mode) || lapic_lint0_makes(vm, mode);
}

bool irq_pending(const struct vm *vm)
{
	return vm->machine && i8259_intr(dev_get(vm, DEV_I8259));
}

uint8_t irq_ack(struct vm *vm)
{
	return i8259_ack(dev_get(vm, DEV_I8259));
}

static bool extint_pending(struct vcpu *v)
{
	return lapic_extint_pending(v) || (irq_pending(v->vm) && lapic_takes_extint(v));
}

bool irq_vcpu_pending(struct vcpu *v)
{
	return v->vm->machine && (extint_pending(v) || lapic_pending(v));
}

uint8_t irq_vcpu_ack(struct vcpu *v)
{
	if (!extint_pending(v))
		return lapic_ack(v);
	lapic_extint_taken(v);
	return irq_ack(v->vm);
}
