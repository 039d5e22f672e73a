/*
 * The MC146818 real-time clock and its 128 bytes of battery-backed memory, ports 70 and 71, IRQ 8.
 *
 * The date at power-on is always Monday 2024-01-01 00:00:00, in every mode and on every clock: it runs on guest time,
 * so that a run can be repeated. The registers hold what was written in the format chosen then (BCD or binary, 12 or 24
 * hours); an update reads them in that format, adds, and writes them back; fields out of range are clamped first.
 *
 *   one second:   |<------------------ registers stable ------------------>|<-- UIP: 244 us + 1984 us -->|
 *                 second_ns                                                                 next second, UF
 *
 * Nothing runs between accesses. A clock timer is armed only for an event whose interrupt is enabled and whose flag is
 * not set yet. The chip runs with the 32768 Hz divider (register A, bits 6..4 = 010); with any other it stands.
 *
 * The memory holds what a PC's firmware expects: memory sizes, equipment, boot order, checksum.
 */
#include "core/dev/dev.h"
#include "core/dev/mc146818.h"
#include "core/dev/ticks.h"

#define RTC_IRQ 8u
#define SECONDS_A_DAY 86400u
#define DAYS_A_CYCLE 36525u /* the chip knows two digits of the year, and every fourth has a leap day */
#define UIP_NS 2228000u

enum { SEC, SEC_ALARM, MIN, MIN_ALARM, HOUR, HOUR_ALARM, WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D };

#define A_UIP 0x80u
#define B_SET 0x80u
#define B_PIE 0x40u
#define B_AIE 0x20u
#define B_UIE 0x10u
#define B_SQWE 0x08u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define C_IRQF 0x80u
#define C_FLAGS 0x70u /* PF AF UF: where PIE AIE UIE are in B */
#define C_PF 0x40u
#define C_AF 0x20u
#define C_UF 0x10u
#define D_VALID 0x80u
#define HOUR_PM 0x80u

static uint8_t decode(const struct mc146818_state *s, uint8_t v)
{
	return s->cmos[REG_B] & B_BINARY ? v : (uint8_t)((v >> 4) * 10 + (v & 15));
}

static uint8_t encode(const struct mc146818_state *s, unsigned v)
{
	return (uint8_t)(s->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static uint8_t encode_hour(const struct mc146818_state *s, unsigned h)
{
	if (s->cmos[REG_B] & B_24H)
		return encode(s, h);
	return (uint8_t)(encode(s, h % 12 ? h % 12 : 12) | (h >= 12 ? HOUR_PM : 0));
}

static unsigned at_most(unsigned v, unsigned max)
{
	return v > max ? max : v;
}

static unsigned decode_hour(const struct mc146818_state *s)
{
	uint8_t v = s->cmos[HOUR];

	if (s->cmos[REG_B] & B_24H)
		return at_most(decode(s, v), 23);
	return at_most(decode(s, v & 0x7fu), 12) % 12 + (v & HOUR_PM ? 12 : 0);
}

static unsigned time_of_day(const struct mc146818_state *s)
{
	return decode_hour(s) * 3600 + at_most(decode(s, s->cmos[MIN]), 59) * 60 + at_most(decode(s, s->cmos[SEC]), 59);
}

static unsigned month_days(unsigned month, unsigned year)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month] + (month == 1 && year % 4 == 0);
}

/* n days on from the date in the registers. */
static void add_days(struct mc146818_state *s, uint64_t n)
{
	unsigned year = at_most(decode(s, s->cmos[YEAR]), 99), month = decode(s, s->cmos[MONTH]);
	unsigned day = decode(s, s->cmos[DAY]), weekday = decode(s, s->cmos[WEEKDAY]);

	month = month ? at_most(month, 12) - 1 : 0;
	day = day ? at_most(day, month_days(month, year)) - 1 : 0;
	s->cmos[WEEKDAY] = encode(s, (unsigned)(((weekday ? weekday - 1 : 0) + n) % 7 + 1));
	for (n = n % DAYS_A_CYCLE + day; n >= month_days(month, year);) {
		n -= month_days(month, year);
		month = (month + 1) % 12;
		year = (year + (month == 0)) % 100;
	}
	s->cmos[DAY] = encode(s, (unsigned)n + 1);
	s->cmos[MONTH] = encode(s, month + 1);
	s->cmos[YEAR] = encode(s, year);
}

static void add_seconds(struct mc146818_state *s, uint64_t n)
{
	uint64_t t = time_of_day(s) + n;
	unsigned tod = (unsigned)(t % SECONDS_A_DAY);

	if (t >= SECONDS_A_DAY)
		add_days(s, t / SECONDS_A_DAY);
	s->cmos[SEC] = encode(s, tod % 60);
	s->cmos[MIN] = encode(s, tod / 60 % 60);
	s->cmos[HOUR] = encode_hour(s, tod / 3600);
}

/* An alarm byte with both upper bits set matches everything. */
static bool alarm_match(uint8_t alarm, uint8_t v)
{
	return alarm >= 0xc0u || alarm == v;
}

/* Seconds until the alarm matches, 1..86400; 0: never. Hours and minutes that do not match are skipped whole. */
static unsigned alarm_distance(const struct mc146818_state *s)
{
	unsigned from = time_of_day(s), t = from + 1;

	while (t <= from + SECONDS_A_DAY) {
		unsigned tod = t % SECONDS_A_DAY;

		if (!alarm_match(s->cmos[HOUR_ALARM], encode_hour(s, tod / 3600)))
			t += 3600 - tod % 3600;
		else if (!alarm_match(s->cmos[MIN_ALARM], encode(s, tod / 60 % 60)))
			t += 60 - tod % 60;
		else if (!alarm_match(s->cmos[SEC_ALARM], encode(s, tod % 60)))
			t++;
		else
			return t - from;
	}
	return 0;
}

static bool divider_runs(const struct mc146818_state *s)
{
	return (s->cmos[REG_A] & 0x70u) == 0x20u;
}

static bool updating(const struct mc146818_state *s)
{
	return divider_runs(s) && !(s->cmos[REG_B] & B_SET);
}

/* Crystal periods between two periodic events; 0: none. */
static uint64_t period_ticks(const struct mc146818_state *s)
{
	unsigned rate = s->cmos[REG_A] & 15u;

	if (rate == 0 || !divider_runs(s))
		return 0;
	return 1ull << (rate <= 2 ? rate + 6 : rate - 1);
}

static uint64_t periods_at(const struct mc146818_state *s, uint64_t now)
{
	uint64_t p = period_ticks(s);

	return p ? ticks_at(now - s->chain_ns, RTC_HZ) / p : 0;
}

/* Brings time and flags to now. */
static void sync(struct device *d)
{
	struct mc146818_state *s = d->state;
	uint64_t now = clock_now_ns(&d->vm->clock), n, periods = periods_at(s, now);

	if (periods > s->periods)
		s->cmos[REG_C] |= C_PF;
	s->periods = periods;
	if (!divider_runs(s))
		return;
	n = (now - s->second_ns) / NS_PER_S;
	s->second_ns += n * NS_PER_S;
	if (n && updating(s)) {
		unsigned alarm = alarm_distance(s);

		if (alarm && alarm <= n)
			s->cmos[REG_C] |= C_AF;
		s->cmos[REG_C] |= C_UF;
		add_seconds(s, n);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Interrupt line, and the timer for the next event that would raise it. */
static void arm(struct device *d)
{
	const struct mc146818_state *s = d->state;
	uint8_t wanted = s->cmos[REG_B] & C_FLAGS & (uint8_t)~s->cmos[REG_C];
	uint64_t next = CLOCK_NEVER;

	if ((wanted & C_PF) && period_ticks(s))
		next = s->chain_ns + ticks_ns((s->periods + 1) * period_ticks(s), RTC_HZ);
	if ((wanted & C_UF) && updating(s))
		next = earlier(next, s->second_ns + NS_PER_S);
	if ((wanted & C_AF) && updating(s) && alarm_distance(s))
		next = earlier(next, s->second_ns + alarm_distance(s) * NS_PER_S);
	clock_arm(&d->vm->clock, d->timer, next);
}

static void update(struct device *d)
{
	struct mc146818_state *s = d->state;

	s->cmos[REG_C] =
	    (uint8_t)((s->cmos[REG_C] & C_FLAGS) | (s->cmos[REG_C] & s->cmos[REG_B] & C_FLAGS ? C_IRQF : 0));
	irq_set_line(d->vm, RTC_IRQ, s->cmos[REG_C] & C_IRQF);
	arm(d);
}

static void fire(void *arg, uint64_t deadline_ns)
{
	(void)deadline_ns;
	sync(arg);
	update(arg);
}

static void write_a(struct device *d, uint8_t v)
{
	struct mc146818_state *s = d->state;
	bool ran = divider_runs(s);

	s->cmos[REG_A] = v & 0x7fu;
	if (!ran && divider_runs(s)) { /* the first update comes half a second after the divider is released */
		s->chain_ns = clock_now_ns(&d->vm->clock);
		s->second_ns = s->chain_ns - NS_PER_S / 2;
	}
	s->periods = periods_at(s, clock_now_ns(&d->vm->clock));
}

static uint8_t read_register(struct device *d, uint8_t index)
{
	struct mc146818_state *s = d->state;
	uint8_t v = s->cmos[index];

	if (index == REG_A && updating(s) && clock_now_ns(&d->vm->clock) + UIP_NS >= s->second_ns + NS_PER_S)
		v |= A_UIP;
	if (index == REG_C)
		s->cmos[REG_C] = 0;
	return v;
}

static void write_register(struct device *d, uint8_t index, uint8_t v)
{
	struct mc146818_state *s = d->state;

	if (index == REG_A)
		write_a(d, v);
	else if (index == REG_B)
		s->cmos[REG_B] = v & B_SET ? v & (uint8_t)~B_UIE : v; /* SET clears UIE */
	else if (index != REG_C && index != REG_D)
		s->cmos[index] = v;
}

static uint64_t mc146818_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct mc146818_state *s = d->state;
	uint8_t v;

	(void)region, (void)len;
	if (off == 0)
		return 0xff; /* the index is write-only */
	sync(d);
	update(d);
	v = read_register(d, s->index);
	update(d);
	return v;
}

static void mc146818_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct mc146818_state *s = d->state;

	(void)region, (void)len;
	if (off == 0) {
		s->index = value & 0x7fu; /* bit 7 masks NMI, of which there is none */
		return;
	}
	sync(d);
	write_register(d, s->index, (uint8_t)value);
	update(d);
}

static void put16(uint8_t *p, uint64_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static uint64_t in_units(uint64_t size, uint64_t from, uint64_t unit, uint64_t max)
{
	uint64_t n = size > from ? (size - from) / unit : 0;

	return n > max ? max : n;
}

/* What the firmware of a PC/AT, and of SeaBIOS' kind, finds in CMOS. */
static void fill_memory(struct device *d)
{
	struct mc146818_state *s = d->state;
	uint64_t size = d->vm->mem.ram_size, low = size < MEM_LOW_MAX ? size : MEM_LOW_MAX, high = size - low;
	uint8_t *c = s->cmos;
	unsigned sum = 0;

	c[0x14] = 0x02; /* equipment: a coprocessor, no floppy */
	put16(c + 0x15, 640);
	put16(c + 0x17, in_units(low, 1 << 20, 1 << 10, 0xffff)); /* KiB above 1 MiB */
	put16(c + 0x30, in_units(low, 1 << 20, 1 << 10, 0xffff));
	put16(c + 0x34, in_units(low, 16 << 20, 1 << 16, 0xffff)); /* 64 KiB units above 16 MiB */
	put16(c + 0x5b, high >> 16);				   /* and above 4 GiB */
	c[0x5d] = (uint8_t)(high >> 32);
	c[0x32] = 0x20; /* century */
	c[0x38] = 0x30; /* boot order, third: floppy; */
	c[0x3d] = 0x12; /* first: hard disk (2), second: CD or floppy (1) */
	c[0x5f] = (uint8_t)(d->vm->cfg.n_vcpus ? d->vm->cfg.n_vcpus - 1 : 0);
	for (unsigned i = 0x10; i < 0x2e; i++)
		sum += c[i];
	c[0x2e] = (uint8_t)(sum >> 8);
	c[0x2f] = (uint8_t)sum;
}

static void power_on(struct device *d)
{
	struct mc146818_state *s = d->state;

	s->powered = 1;
	s->cmos[WEEKDAY] = 2; /* 1 is Sunday */
	s->cmos[DAY] = 1;
	s->cmos[MONTH] = 1;
	s->cmos[YEAR] = 0x24;
	s->cmos[REG_A] = 0x26; /* 32768 Hz crystal, 1024 periodic events a second */
	s->cmos[REG_B] = B_24H;
	s->cmos[REG_D] = D_VALID;
	s->chain_ns = s->second_ns = clock_now_ns(&d->vm->clock);
	fill_memory(d);
}

static enum err mc146818_init(struct device *d, struct errmsg *why)
{
	return dev_add_timer(d, fire, why);
}

/* The RESET pin clears interrupt enables and flags; the clock goes on. */
static void mc146818_reset(struct device *d)
{
	struct mc146818_state *s = d->state;

	if (!s->powered)
		power_on(d);
	sync(d);
	s->cmos[REG_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
	s->cmos[REG_C] = 0;
	s->index = 0;
	update(d);
}

const struct device_ops mc146818_ops = {
    .name = "mc146818",
    .state_version = 1,
    .state_size = sizeof(struct mc146818_state),
    .init = mc146818_init,
    .reset = mc146818_reset,
    .read = mc146818_read,
    .write = mc146818_write,
    .max_access = 1,
    .restored = arm,
};
