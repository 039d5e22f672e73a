/*
 * The pair of 8259A interrupt controllers: who may interrupt the CPU now, and with which vector?
 *
 *   IR0..7 --> IRR (requested) --> priority resolver --> INT        slave's INT --> IR2 of the master
 *                    ^ IMR (masked)        ^ ISR (in service: blocks its own and lower levels until EOI)
 *
 * Commands are told apart by address and bits: A0=0 with bit 4 is ICW1, with bit 3 OCW3, else OCW2; A0=1 is OCW1 (the
 * mask), or ICW2..4 during initialisation. Edge or level sensing is chosen for each line by ELCR (4d0, 4d1), as in the
 * PIIX; the LTIM bit of ICW1 is ignored, as it is there.
 *
 * As the data sheet has it, a line must stay high until it is acknowledged: a request whose line falls before is gone,
 * and an acknowledge that finds no request gives level 7 without marking it in service (the spurious interrupt).
 * Only the 8086 vector mode exists; ICW4's uPM bit is not looked at.
 */
#include "core/dev/dev.h"
#include "core/dev/i8259.h"
#include "core/dev/lapic.h"

#define ICW1_INIT 0x10u
#define ICW1_SINGLE 0x02u
#define ICW1_NEED_ICW4 0x01u
#define ICW4_AEOI 0x02u
#define ICW4_SFNM 0x10u
#define OCW3_SELECT 0x08u
#define CASCADE_LINE 2u
#define SPURIOUS_LEVEL 7u

enum { CHIP_MASTER, CHIP_SLAVE };
enum { REGION_MASTER, REGION_SLAVE, REGION_ELCR };

static const uint8_t elcr_writable[2] = {0xf8, 0xde}; /* IRQ 0, 1, 2, 8 and 13 are always edge-triggered */

/* 0 = served first. */
static unsigned rank_of(const struct i8259_chip *c, unsigned level)
{
	return (level - c->lowest - 1u) & 7u;
}

/* The level in set that is served first, or -1. */
static int first_of(const struct i8259_chip *c, unsigned set)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned level = (c->lowest + i) & 7u;

		if (set & (1u << level))
			return (int)level;
	}
	return -1;
}

/* The request that INT stands for, or -1. Fully nested: a level in service blocks itself and what comes after it. In
 * special mask mode a masked level blocks nothing; in special fully nested mode a slave may interrupt its own line. */
static int chip_request(const struct i8259_chip *c, bool master)
{
	int req = first_of(c, c->irr & ~c->imr & 0xffu);
	int top = first_of(c, c->smm ? c->isr & ~c->imr & 0xffu : c->isr);

	if (req < 0 || !c->ready)
		return -1;
	if (top < 0)
		return req;
	if (req == top)
		return c->sfnm && master && (c->icw3 & (1u << req)) ? req : -1;
	return rank_of(c, (unsigned)req) < rank_of(c, (unsigned)top) ? req : -1;
}

static void chip_set_line(struct i8259_chip *c, unsigned level, bool high)
{
	uint8_t bit = (uint8_t)(1u << level);
	bool rose = high && !(c->line & bit);

	c->line = (uint8_t)(high ? c->line | bit : c->line & ~bit);
	if (!high)
		c->irr &= (uint8_t)~bit;
	else if (rose || (c->elcr & bit))
		c->irr |= bit;
}

/* Level lines request as long as they are high, also after an acknowledge. */
static void chip_refresh(struct i8259_chip *c)
{
	c->irr |= c->line & c->elcr;
}

static void update(struct device *d)
{
	struct i8259_state *s = d->state;
	struct i8259_chip *m = &s->chip[CHIP_MASTER], *sl = &s->chip[CHIP_SLAVE];

	chip_refresh(sl);
	chip_set_line(m, CASCADE_LINE, chip_request(sl, false) >= 0);
	chip_refresh(m);
	s->intr = chip_request(m, true) >= 0;
	lapic_lint0(d->vm, s->intr);
}

/* The INTA cycle inside one chip. */
static void chip_intack(struct i8259_chip *c, unsigned level)
{
	c->irr &= (uint8_t) ~(1u << level);
	if (!c->aeoi)
		c->isr |= (uint8_t)(1u << level);
	else if (c->rot_aeoi)
		c->lowest = (uint8_t)level;
}

uint8_t i8259_ack(struct device *d)
{
	struct i8259_state *s = d->state;
	struct i8259_chip *m = &s->chip[CHIP_MASTER], *sl = &s->chip[CHIP_SLAVE];
	int level = chip_request(m, true);
	uint8_t vector;

	if (level < 0)
		return (uint8_t)(m->base | SPURIOUS_LEVEL);
	chip_intack(m, (unsigned)level);
	vector = (uint8_t)(m->base | (unsigned)level);
	if (level == (int)CASCADE_LINE && !m->single && (m->icw3 & (1u << CASCADE_LINE))) {
		int sub = chip_request(sl, false);

		if (sub >= 0)
			chip_intack(sl, (unsigned)sub);
		vector = (uint8_t)(sl->base | (sub >= 0 ? (unsigned)sub : SPURIOUS_LEVEL));
		chip_set_line(m, CASCADE_LINE, false); /* a slave drops INT during INTA: its next request is an edge */
	}
	update(d);
	return vector;
}

bool i8259_intr(const struct device *d)
{
	const struct i8259_state *s = d->state;

	return s->intr != 0;
}

void i8259_set_line(struct device *d, unsigned irq, bool level)
{
	struct i8259_state *s = d->state;

	if (irq > 15 || irq == CASCADE_LINE)
		return;
	chip_set_line(&s->chip[irq >> 3], irq & 7u, level);
	update(d);
}

static void chip_icw1(struct i8259_chip *c, uint8_t v)
{
	c->irr = c->isr = c->imr = 0;
	c->lowest = 7;
	c->smm = c->rot_aeoi = c->read_isr = c->poll = 0;
	c->aeoi = c->sfnm = 0;
	c->need_icw4 = v & ICW1_NEED_ICW4;
	c->single = (v & ICW1_SINGLE) != 0;
	c->ready = 0;
	c->icw_next = 2;
}

static void chip_icw_next(struct i8259_chip *c, uint8_t v)
{
	switch (c->icw_next) {
	case 2:
		c->base = v & 0xf8u;
		c->icw_next = !c->single ? 3 : c->need_icw4 ? 4 : 0;
		break;
	case 3:
		c->icw3 = v;
		c->icw_next = c->need_icw4 ? 4 : 0;
		break;
	default:
		c->aeoi = (v & ICW4_AEOI) != 0;
		c->sfnm = (v & ICW4_SFNM) != 0;
		c->icw_next = 0;
		break;
	}
	c->ready = c->icw_next == 0;
}

/* OCW2, bits 7..5: rotate, specific, EOI. */
static void chip_ocw2(struct i8259_chip *c, uint8_t v)
{
	bool rotate = v & 0x80u, specific = v & 0x40u, eoi = v & 0x20u;
	int level = (int)(v & 7u);

	if (!eoi) {
		if (!specific)
			c->rot_aeoi = rotate;
		else if (rotate)
			c->lowest = (uint8_t)level;
		return; /* 010 is no operation */
	}
	if (!specific) /* a non-specific EOI ends the level served first; special mask mode protects masked ones */
		level = first_of(c, c->smm ? c->isr & ~c->imr & 0xffu : c->isr);
	if (level < 0)
		return;
	c->isr &= (uint8_t) ~(1u << level);
	if (rotate)
		c->lowest = (uint8_t)level;
}

static void chip_ocw3(struct i8259_chip *c, uint8_t v)
{
	if (v & 0x40u)
		c->smm = (v & 0x20u) != 0;
	if (v & 0x04u)
		c->poll = 1;
	else if (v & 0x02u)
		c->read_isr = v & 1u;
}

static uint8_t chip_read(struct i8259_state *s, unsigned n, bool a0)
{
	struct i8259_chip *c = &s->chip[n];
	int level;

	if (c->poll) { /* a poll is an acknowledge: bit 7 says that there was a request */
		c->poll = 0;
		level = chip_request(c, n == CHIP_MASTER);
		if (level < 0)
			return SPURIOUS_LEVEL;
		chip_intack(c, (unsigned)level);
		if (n == CHIP_SLAVE)
			chip_set_line(&s->chip[CHIP_MASTER], CASCADE_LINE, false);
		return (uint8_t)(0x80u | (unsigned)level);
	}
	if (a0)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static enum err i8259_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void i8259_reset(struct device *d)
{
	struct i8259_state *s = d->state;

	*s = (struct i8259_state){0};
	s->chip[CHIP_MASTER].lowest = s->chip[CHIP_SLAVE].lowest = 7;
}

static uint64_t i8259_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct i8259_state *s = d->state;
	uint8_t v;

	(void)len;
	if (region == REGION_ELCR)
		return s->chip[off].elcr;
	v = chip_read(s, region, off);
	update(d);
	return v;
}

static void i8259_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct i8259_state *s = d->state;
	uint8_t v = (uint8_t)value;

	(void)len;
	if (region == REGION_ELCR) {
		s->chip[off].elcr = v & elcr_writable[off];
	} else {
		struct i8259_chip *c = &s->chip[region];

		if (off && c->icw_next)
			chip_icw_next(c, v);
		else if (off)
			c->imr = v;
		else if (v & ICW1_INIT)
			chip_icw1(c, v);
		else if (v & OCW3_SELECT)
			chip_ocw3(c, v);
		else
			chip_ocw2(c, v);
	}
	update(d);
}

const struct device_ops i8259_ops = {
    .name = "i8259",
    .state_version = 1,
    .state_size = sizeof(struct i8259_state),
    .init = i8259_init,
    .reset = i8259_reset,
    .read = i8259_read,
    .write = i8259_write,
    .max_access = 1,
};
