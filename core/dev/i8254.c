/*
 * The 8254 interval timer at ports 40..43 and the part of port 61 that belongs to it.
 *
 * Three counters on one crystal of 1193182 Hz: counter 0 drives IRQ 0, counter 1 asked for memory refresh long ago,
 * counter 2 drives the speaker, its gate being bit 0 of port 61. Nothing runs here between accesses: a counter is
 * brought up to date when somebody looks, and a clock timer is armed for the next rising edge of counter 0's output.
 *
 * The falling edge of IRQ 0 in the middle of a square wave (mode 3) is not shown to the interrupt controller at its
 * time but with the next rising edge: a tick that was not yet acknowledged is not withdrawn half a period later.
 *
 * On host time a periodic counter 0 interrupts at most every CLOCK_HOST_PERIOD_MIN_NS, at a multiple of its period: a
 * period may be two ticks, and a VMM that tried to follow would never come to run the guest.
 *
 * Read core/dev/i8254_counter.c first.
 */
#include "core/dev/i8254.h"

#include "core/dev/dev.h"
#include "core/dev/ticks.h"

#define REFRESH_TICKS 18u /* 15.085 us between refreshes */

#define HOST_PERIOD_MIN ticks_at(CLOCK_HOST_PERIOD_MIN_NS, PIT_HZ)

#define P61_GATE2 0x01u
#define P61_WRITABLE 0x0fu
#define P61_REFRESH 0x10u
#define P61_OUT2 0x20u

enum { REGION_COUNTERS, REGION_PORT61 };

static uint64_t now_tick(const struct device *d)
{
	return ticks_at(clock_now_ns(&d->vm->clock), PIT_HZ);
}

/* Ticks from one rising edge to the next; 0: there is no period. */
static uint64_t period_of(const struct i8254_counter *c)
{
	uint64_t period = c->reload ? c->reload : c->bcd ? 10000u : 65536u;

	return (c->mode == 2 || c->mode == 3) && period > 1 ? period : 0;
}

/* Brings counter 0 to now, raising IRQ 0 for an edge on the way. Edges that were missed because the host was late
 * become one, as for a CPU that was not listening. */
static void sync_counter0(struct device *d, uint64_t now)
{
	struct i8254_state *s = d->state;
	struct i8254_counter *c = &s->ch[0].c;
	uint64_t rise;

	while ((rise = i8254_next_rise(c)) <= now) {
		uint64_t period = period_of(c);

		i8254_advance(c, rise);
		if (period)
			i8254_advance(c, rise + (now - rise) / period * period);
		irq_set_line(d->vm, 0, false);
		irq_set_line(d->vm, 0, true);
	}
	i8254_advance(c, now);
}

static void sync(struct device *d)
{
	struct i8254_state *s = d->state;
	uint64_t now = now_tick(d);

	sync_counter0(d, now);
	i8254_advance(&s->ch[1].c, now);
	i8254_advance(&s->ch[2].c, now);
}

static void arm(struct device *d)
{
	struct i8254_state *s = d->state;
	uint64_t rise = i8254_next_rise(&s->ch[0].c), period = period_of(&s->ch[0].c);

	/* sync_counter0() makes one edge of those that are passed over. */
	if (rise != UINT64_MAX && period && d->vm->clock.kind == CLOCK_HOST)
		rise += HOST_PERIOD_MIN / period * period;
	clock_arm(&d->vm->clock, d->timer, rise == UINT64_MAX ? CLOCK_NEVER : ticks_ns(rise, PIT_HZ));
}

static void fire(void *arg, uint64_t deadline_ns)
{
	struct device *d = arg;

	(void)deadline_ns;
	sync_counter0(d, now_tick(d));
	arm(d);
}

static void latch_count(struct i8254_channel *ch)
{
	if (ch->latched)
		return; /* the first latch stays until it is read */
	ch->latch = i8254_count(&ch->c);
	ch->latched = 1;
}

static void latch_status(struct i8254_channel *ch)
{
	const struct i8254_counter *c = &ch->c;

	if (ch->status_latched)
		return;
	ch->status = (uint8_t)(c->out << 7 | c->null_count << 6 | c->access << 4 | c->mode << 1 | c->bcd);
	ch->status_latched = 1;
}

static void read_back(struct i8254_state *s, uint8_t v)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(v & (2u << i)))
			continue;
		if (!(v & 0x20u))
			latch_count(&s->ch[i]);
		if (!(v & 0x10u))
			latch_status(&s->ch[i]);
	}
}

static void control_word(struct device *d, uint8_t v)
{
	struct i8254_state *s = d->state;
	unsigned select = v >> 6, access = v >> 4 & 3u;
	struct i8254_channel *ch;

	if (select == 3) {
		read_back(s, v);
		return;
	}
	ch = &s->ch[select];
	if (access == 0) {
		latch_count(ch);
		return;
	}
	i8254_control(&ch->c, v >> 1 & 7u, access, v & 1u);
	ch->latched = ch->status_latched = ch->read_high = ch->write_high = 0;
	if (select == 0)
		irq_set_line(d->vm, 0, ch->c.out);
}

static void write_count(struct device *d, unsigned n, uint8_t v)
{
	struct i8254_state *s = d->state;
	struct i8254_channel *ch = &s->ch[n];

	if (ch->c.access == 1) {
		i8254_set_count(&ch->c, v, false);
	} else if (ch->c.access == 2) {
		i8254_set_count(&ch->c, (uint16_t)(v << 8), false);
	} else if (ch->c.access == 3 && !ch->write_high) {
		ch->low = v;
		ch->write_high = 1;
		i8254_set_count(&ch->c, 0, true);
	} else if (ch->c.access == 3) {
		ch->write_high = 0;
		i8254_set_count(&ch->c, (uint16_t)(v << 8 | ch->low), false);
	}
	if (n == 0 && !ch->c.out)
		irq_set_line(d->vm, 0, false);
}

static uint8_t read_count(struct i8254_channel *ch)
{
	uint16_t value = ch->latched ? ch->latch : i8254_count(&ch->c);
	bool high = ch->c.access == 2 || (ch->c.access == 3 && ch->read_high);

	if (ch->status_latched) {
		ch->status_latched = 0;
		return ch->status;
	}
	if (ch->c.access == 3)
		ch->read_high = !ch->read_high;
	if (ch->c.access != 3 || high)
		ch->latched = 0;
	return (uint8_t)(high ? value >> 8 : value);
}

static enum err i8254_init(struct device *d, struct errmsg *why)
{
	return dev_add_timer(d, fire, why);
}

/* Nothing counts before it is programmed. */
static void i8254_reset(struct device *d)
{
	struct i8254_state *s = d->state;
	uint64_t now = now_tick(d);

	*s = (struct i8254_state){0};
	for (unsigned i = 0; i < 3; i++) {
		s->ch[i].c.at = now;
		s->ch[i].c.gate = i != 2;
		s->ch[i].c.access = 3;
		s->ch[i].c.out = 0;
	}
	irq_set_line(d->vm, 0, false);
	arm(d);
}

static uint64_t i8254_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct i8254_state *s = d->state;

	(void)len;
	sync(d);
	if (region == REGION_COUNTERS) {
		arm(d);
		return off < 3 ? read_count(&s->ch[off]) : 0xff; /* the control word cannot be read */
	}
	return s->port61 | (now_tick(d) / REFRESH_TICKS & 1u ? P61_REFRESH : 0) | (s->ch[2].c.out ? P61_OUT2 : 0);
}

static void i8254_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct i8254_state *s = d->state;

	(void)len;
	sync(d);
	if (region == REGION_PORT61) {
		s->port61 = value & P61_WRITABLE;
		i8254_set_gate(&s->ch[2].c, s->port61 & P61_GATE2);
	} else if (off == 3) {
		control_word(d, (uint8_t)value);
	} else {
		write_count(d, off, (uint8_t)value);
	}
	arm(d);
}

const struct device_ops i8254_ops = {
    .name = "i8254",
    .state_version = 1,
    .state_size = sizeof(struct i8254_state),
    .init = i8254_init,
    .reset = i8254_reset,
    .read = i8254_read,
    .write = i8254_write,
    .max_access = 1,
    .restored = arm,
};
