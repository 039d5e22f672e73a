/*
 * Interrupt lines: the face of the interrupt controllers towards the rest of the core. Devices set lines; the loop asks
 * whether INTR is asserted and fetches the vector, as a CPU does with an INTA cycle.
 *
 * Read core/dev/i8259.c next.
 */
#include "core/irq.h"

#include "core/dev/dev.h"

void irq_set_line(struct vm *vm, unsigned irq, bool level)
{
	i8259_set_line(dev_get(vm, DEV_I8259), irq, level);
}

bool irq_pending(const struct vm *vm)
{
	return vm->machine && i8259_intr(dev_get(vm, DEV_I8259));
}

uint8_t irq_ack(struct vm *vm)
{
	return i8259_ack(dev_get(vm, DEV_I8259));
}
