/*
 * The IOAPIC, an 82093AA of version 20H with 24 pins at FEC00000: which interrupt line becomes which message to which
 * local APIC? Two registers (select at 00H, window at 10H) lead to an id, a version, an arbitration id and one 64-bit
 * redirection entry a pin; a third (EOI at 40H, of version 20H) ends a level-triggered interrupt by its vector.
 *
 *   line -> pin active (polarity) -> edge: rising sends once, unless masked (then it is lost)
 *                                 -> level: sends while active, unmasked and Remote IRR is clear;
 *                                    Remote IRR: accepted by a local APIC; cleared by that APIC's EOI
 */
#include "core/dev/ioapic.h"

#include "core/dev/dev.h"
#include "core/dev/lapic.h"

#define VERSION (0x20u | (IOAPIC_PINS - 1u) << 16)
#define ID_WRITABLE 0x0f000000u

enum { OFF_SELECT = 0x00, OFF_WINDOW = 0x10, OFF_EOI = 0x40 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_REDIRECTION = 0x10 };

#define RTE_WRITABLE 0xff0000000001afffull /* not: delivery status, Remote IRR, reserved */

static bool is_active(const struct ioapic_state *s, unsigned pin)
{
	bool high = s->high >> pin & 1;

	return high != ((s->redirection[pin] & RTE_ACTIVE_LOW) != 0);
}

static bool send(struct device *d, unsigned pin)
{
	const struct ioapic_state *s = d->state;
	uint64_t e = s->redirection[pin];
	const struct apic_message m = {.dest = (uint32_t)(e >> RTE_DEST_SHIFT),
	    .vector = (uint8_t)(e & RTE_VECTOR),
	    .mode = e >> RTE_MODE_SHIFT & 7,
	    .logical = (e & RTE_LOGICAL) != 0,
	    .level = (e & RTE_LEVEL) != 0};

	return lapic_send(d->vm, &m);
}

/* What a pin has to say after its wire, its entry or its Remote IRR changed. */
static void look(struct device *d, unsigned pin)
{
	struct ioapic_state *s = d->state;
	uint64_t e = s->redirection[pin];
	bool was = s->active >> pin & 1, is = is_active(s, pin);

	s->active = (s->active & ~(1u << pin)) | (uint32_t)is << pin;
	if (!is || (e & RTE_MASKED))
		return;
	if (!(e & RTE_LEVEL)) {
		if (!was)
			(void)send(d, pin);
	} else if (!(e & RTE_REMOTE_IRR) && send(d, pin)) {
		s->redirection[pin] |= RTE_REMOTE_IRR;
	}
}

void ioapic_set_pin(struct device *d, unsigned pin, bool level)
{
	struct ioapic_state *s = d->state;

	if (pin >= IOAPIC_PINS)
		return;
	s->high = (s->high & ~(1u << pin)) | (uint32_t)level << pin;
	look(d, pin);
}

void ioapic_eoi(struct device *d, uint8_t vector)
{
	struct ioapic_state *s = d->state;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = s->redirection[pin];

		if ((e & RTE_VECTOR) != vector || !(e & RTE_LEVEL) || !(e & RTE_REMOTE_IRR))
			continue;
		s->redirection[pin] &= ~RTE_REMOTE_IRR;
		look(d, pin);
	}
}

bool ioapic_makes(const struct device *d, unsigned mode)
{
	const struct ioapic_state *s = d->state;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if (!(s->redirection[pin] & RTE_MASKED) && (s->redirection[pin] >> RTE_MODE_SHIFT & 7) == mode)
			return true;
	return false;
}

/* Half of an entry. An entry that becomes edge-triggered forgets its Remote IRR. A change of polarity alone is no edge
 * of the line. */
static void write_redirection(struct device *d, unsigned pin, bool high_half, uint32_t v)
{
	struct ioapic_state *s = d->state;
	unsigned shift = high_half ? 32 : 0;
	uint64_t writable = RTE_WRITABLE & 0xffffffffull << shift;
	uint64_t e = (s->redirection[pin] & ~writable) | ((uint64_t)v << shift & writable);

	if (!(e & RTE_LEVEL))
		e &= ~RTE_REMOTE_IRR;
	s->redirection[pin] = e;
	s->active = (s->active & ~(1u << pin)) | (uint32_t)is_active(s, pin) << pin;
	look(d, pin);
}

static uint32_t read_register(const struct ioapic_state *s)
{
	unsigned at = s->select - REG_REDIRECTION;

	if (s->select == REG_ID || s->select == REG_ARBITRATION)
		return s->id;
	if (s->select == REG_VERSION)
		return VERSION;
	if (at < 2 * IOAPIC_PINS)
		return (uint32_t)(s->redirection[at / 2] >> (at & 1 ? 32 : 0));
	return 0;
}

static void write_register(struct device *d, uint32_t v)
{
	struct ioapic_state *s = d->state;
	unsigned at = s->select - REG_REDIRECTION;

	if (s->select == REG_ID)
		s->id = v & ID_WRITABLE;
	else if (at < 2 * IOAPIC_PINS)
		write_redirection(d, at / 2, at & 1, v);
}

static enum err ioapic_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void ioapic_reset(struct device *d)
{
	struct ioapic_state *s = d->state;
	uint32_t high = s->high; /* the wires are the devices' */

	*s = (struct ioapic_state){.high = high, .active = high};
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		s->redirection[pin] = RTE_MASKED;
}

/* The registers are 32 bits wide; a narrower read gets its part, a narrower write is the low part of a whole one. */
static uint64_t ioapic_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	const struct ioapic_state *s = d->state;
	uint32_t v = 0;

	(void)region, (void)len;
	if ((off & ~3u) == OFF_SELECT)
		v = s->select;
	else if ((off & ~3u) == OFF_WINDOW)
		v = read_register(s);
	return v >> (8 * (off & 3u));
}

static void ioapic_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct ioapic_state *s = d->state;

	(void)region, (void)len;
	if (off == OFF_SELECT)
		s->select = value & 0xffu;
	else if (off == OFF_WINDOW)
		write_register(d, (uint32_t)value);
	else if (off == OFF_EOI)
		ioapic_eoi(d, (uint8_t)value);
}

const struct device_ops ioapic_ops = {
    .name = "ioapic",
    .state_version = 1,
    .state_size = sizeof(struct ioapic_state),
    .init = ioapic_init,
    .reset = ioapic_reset,
    .read = ioapic_read,
    .write = ioapic_write,
    .max_access = 4,
};
