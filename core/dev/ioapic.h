/*
 * The IOAPIC towards the interrupt lines and the local APICs. Read ioapic.c.
 */
#ifndef VMSCOPE_CORE_DEV_IOAPIC_H
#define VMSCOPE_CORE_DEV_IOAPIC_H

#include "core/device.h"

#define IOAPIC_PINS 24u

/* level: the wire is high. The redirection entry's polarity says which level is active. */
void ioapic_set_pin(struct device *d, unsigned pin, bool level);
/* A CPU ended a level-triggered interrupt. */
void ioapic_eoi(struct device *d, uint8_t vector);
/* Is an entry open that has this delivery mode (enum apic_delivery)? */
bool ioapic_makes(const struct device *d, unsigned mode);

#endif
