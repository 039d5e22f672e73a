/*
 * The IOAPIC towards the interrupt lines and the local APICs. Read ioapic.c.
 */
#ifndef VMSCOPE_CORE_DEV_IOAPIC_H
#define VMSCOPE_CORE_DEV_IOAPIC_H

#include "core/device.h"

#define IOAPIC_PINS 24u

/* A redirection entry */
#define RTE_VECTOR 0xffull
#define RTE_MODE_SHIFT 8
#define RTE_LOGICAL (1ull << 11)
#define RTE_ACTIVE_LOW (1ull << 13)
#define RTE_REMOTE_IRR (1ull << 14)
#define RTE_LEVEL (1ull << 15)
#define RTE_MASKED (1ull << 16)
#define RTE_DEST_SHIFT 56

struct ioapic_state {
	uint64_t redirection[IOAPIC_PINS];
	uint32_t select;
	uint32_t id;
	uint32_t high;	 /* bit n: the wire of pin n is high */
	uint32_t active; /* bit n: pin n was active when it was last looked at */
};

/* level: the wire is high. The redirection entry's polarity says which level is active. */
void ioapic_set_pin(struct device *d, unsigned pin, bool level);
/* A CPU ended a level-triggered interrupt. */
void ioapic_eoi(struct device *d, uint8_t vector);
/* Is an entry open that has this delivery mode (enum apic_delivery)? */
bool ioapic_makes(const struct device *d, unsigned mode);

#endif
