/*
 * The 8254's counting element. Each mode is a small machine that does one thing a tick; counting is a straight line
 * between its *events* (load, end of count, end of a strobe), so that any distance can be jumped in constant time: what
 * is left of a periodic mode after the first event is taken modulo the period.
 *
 *   mode 0  OUT low from the write, high at zero            mode 3  square wave: counts by two, toggles at the end
 *   mode 1  gate starts a low pulse of N ticks              mode 4  low for one tick, N + 1 ticks after the write
 *   mode 2  low for one tick in N                           mode 5  as 4, but started by the gate
 *
 * A count of 1 is illegal in modes 2 and 3: OUT then stays high. Registers are written between ticks: a count written
 * at tick t is loaded at t + 1.
 */
#include "core/dev/i8254.h"

static uint32_t modulus(const struct i8254_counter *c)
{
	return c->bcd ? 10000u : 65536u;
}

static uint32_t or_modulus(const struct i8254_counter *c, uint32_t n)
{
	return n ? n : modulus(c);
}

static bool periodic(const struct i8254_counter *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Does a tick change anything but a pending load? */
static bool counting(const struct i8254_counter *c)
{
	if (!c->loaded || c->stopped)
		return false;
	if (periodic(c) && c->reload == 1 && c->count == 1 && c->out)
		return false; /* the illegal count */
	return c->gate || c->mode == 1 || c->mode == 5;
}

static void take_reload(struct i8254_counter *c)
{
	c->null_count = 0;
	c->loaded = 1;
	c->count = c->reload;
	if (c->mode != 3)
		return;
	c->odd = c->reload & 1u;
	c->count -= c->odd && c->reload != 1;
}

static void load(struct i8254_counter *c)
{
	c->load_next = 0;
	take_reload(c);
	c->armed = 1;
	if (periodic(c) || c->mode == 4 || c->mode == 5)
		c->out = 1;
	else
		c->out = 0;
}

/* Ticks until the next event, at least 1. */
static uint64_t event_distance(const struct i8254_counter *c)
{
	if (c->load_next || (c->mode >= 4 && !c->out))
		return 1;
	if (c->mode != 3)
		return or_modulus(c, c->count);
	if (c->odd && c->out)
		return c->count / 2u + 1;
	return or_modulus(c, c->count) / 2u;
}

/* k < event_distance() ticks without an event. */
static void count_down(struct i8254_counter *c, uint64_t k)
{
	uint64_t n = c->mode == 3 ? 2 * k : k;

	c->count = (uint32_t)((c->count + modulus(c) - n % modulus(c)) % modulus(c));
	if (c->mode == 2 && k)
		c->out = c->count != 1;
}

/* The tick of the event itself. */
static void event(struct i8254_counter *c)
{
	bool strobe_ends = c->mode >= 4 && !c->out;

	if (c->load_next) {
		load(c);
		return;
	}
	if (c->mode == 2) {
		take_reload(c);
		c->out = 1;
	} else if (c->mode == 3) {
		take_reload(c);
		c->out = !c->out || c->reload == 1;
	} else if (strobe_ends) {
		c->out = 1;
		c->count = c->count ? c->count - 1 : modulus(c) - 1;
	} else {
		c->count = 0;
		if (c->armed)
			c->out = c->mode < 4;
		c->armed = 0;
	}
}

void i8254_advance(struct i8254_counter *c, uint64_t tick)
{
	uint64_t k = tick > c->at ? tick - c->at : 0;

	c->at += k;
	while (k) {
		uint64_t d;

		if (!c->load_next && !counting(c)) {
			if (c->mode >= 4 && !c->out) /* a strobe ends whatever the gate does */
				c->out = 1;
			return;
		}
		d = event_distance(c);
		if (k < d) {
			count_down(c, k);
			return;
		}
		event(c);
		k -= d;
		if (periodic(c) && counting(c))
			k %= or_modulus(c, c->reload); /* whole periods change nothing */
		else if (!c->armed && c->out)
			k %= modulus(c); /* a spent counter just wraps */
	}
}

void i8254_control(struct i8254_counter *c, unsigned mode, unsigned access, bool bcd)
{
	c->mode = (uint8_t)(mode > 5 ? mode - 4 : mode); /* bit 2 of the mode does not count in modes 2 and 3 */
	c->access = (uint8_t)access;
	c->bcd = bcd;
	c->out = c->mode != 0;
	c->loaded = c->load_next = c->armed = c->stopped = c->odd = 0;
	c->written = 0;
	c->null_count = 1;
	c->count %= modulus(c);
	c->reload %= modulus(c);
}

void i8254_set_gate(struct i8254_counter *c, bool gate)
{
	bool rose = gate && !c->gate;

	c->gate = gate;
	if (periodic(c) && !gate)
		c->out = 1;
	/* A rising gate starts modes 1 and 5, and restarts 2 and 3, with the next tick. */
	if (rose && c->mode != 0 && c->mode != 4 && c->written)
		c->load_next = 1;
}

static uint32_t from_bcd(uint16_t v)
{
	return (v >> 12) * 1000u + (v >> 8 & 15u) * 100u + (v >> 4 & 15u) * 10u + (v & 15u);
}

void i8254_set_count(struct i8254_counter *c, uint16_t value, bool half)
{
	if (c->mode == 0) { /* the first byte already stops the old count and lowers OUT */
		c->out = 0;
		c->stopped = half;
	}
	if (half)
		return;
	c->reload = c->bcd ? from_bcd(value) % 10000u : value;
	c->null_count = c->written = 1;
	if (c->mode == 0 || c->mode == 4 || (periodic(c) && !c->loaded))
		c->load_next = 1;
}

uint16_t i8254_count(const struct i8254_counter *c)
{
	uint32_t n = c->count;

	if (!c->bcd)
		return (uint16_t)n;
	return (uint16_t)(n / 1000u << 12 | n / 100u % 10u << 8 | n / 10u % 10u << 4 | n % 10u);
}

uint64_t i8254_next_rise(const struct i8254_counter *c)
{
	struct i8254_counter s = *c;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t to;
		bool was;

		if (!s.load_next && !counting(&s))
			return s.mode >= 4 && !s.out ? s.at + 1 : UINT64_MAX;
		if (!s.load_next && !periodic(&s) && !s.armed && s.out)
			return UINT64_MAX;
		to = event_distance(&s);
		was = s.out && (s.mode != 2 || s.load_next); /* mode 2 is low in the tick before */
		i8254_advance(&s, s.at + to);
		if (!was && s.out)
			return s.at;
	}
	return UINT64_MAX;
}
