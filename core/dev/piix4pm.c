/*
 * The PIIX4's power management function, 00:01.3: the ACPI timer, power-off, and the switch to ACPI mode.
 *
 * Its I/O block of 64 ports is where firmware puts it (PMBASE, register 40) once it is enabled (register 80, bit 0).
 * Without firmware the machine comes up with the block at 600:
 *
 *   +0  PM1 status   (bit 0: timer bit 23 changed; write 1 to clear)     +8  24-bit timer, 3579545 Hz, read-only
 *   +2  PM1 enable   (bit 0: that status raises the SCI, IRQ 9)          the rest reads 0
 *   +4  PM1 control  (bit 0 SCI enable; bits 12-10 sleep type, 13 sleep: type 0 is soft off and ends the guest)
 *
 * Ports b2 and b3 (APM control and status): on a board, a write to b2 is a system management interrupt, whose handler
 * turns ACPI mode on (f1) or off (f0). This machine has no system management mode and does these two at once; the
 * configuration register at 58 says that SMM has been set up already, so that firmware does not try. Sleep types other
 * than 0 are not offered and do nothing. No other status bit is ever set: there is no power button and no wake-up.
 */
#include "core/dev/pci.h"
#include "core/dev/ticks.h"

#define SCI_IRQ 9u
#define TIMER_BITS 0xffffffu
#define PM1_TMR 0x0001u
#define PM1_ENABLES 0x0521u /* timer, global, power button, RTC */
#define CNT_SCI_EN 0x0001u
#define CNT_KEPT 0x1c03u
#define CNT_SLP_TYPE(v) ((v) >> 10 & 7u)
#define CNT_SLP_EN 0x2000u
#define ACPI_ENABLE 0xf1u
#define ACPI_DISABLE 0xf0u

#define CFG_PMBASE 0x40u
#define CFG_PMREGMISC 0x80u
#define PMBASE_DEFAULT 0x600u

enum { REGION_PM, REGION_APM };
enum { PM1_STS = 0, PM1_EN = 2, PM1_CNT = 4, PM_TMR = 8 };

struct piix4pm_state {
	struct pci_config config; /* first: struct pci_config */
	uint16_t enable, control;
	uint8_t apm[2];
	uint8_t timer_status;
	uint8_t pad;
	uint64_t seen; /* timer ticks up to which timer_status is right; not cut to 24 bits */
};

static const struct pci_field fields[] = {
    PCI_HEADER(0x7113, 0x01, 0x01, 0x02, 0x03, 0x06, 0x80, 0x00),
    {0x3c, 0x09, 0xff}, /* interrupt line */
    {0x3d, 0x01, 0x00}, /* interrupt pin A */
    {0x40, 0x01, 0xc0}, /* PMBASE, bits 15..6 */
    {0x41, 0x00, 0xff},
    {0x58, 0x00, 0xff}, /* device activity B */
    {0x59, 0x00, 0xff},
    {0x5a, 0x00, 0xff},
    {0x5b, 0x02, 0xff}, /* bit 25: APMC writes are handled, SMM has been set up */
    {0x80, 0x00, 0x01}, /* PMREGMISC: the block is decoded */
    {0x90, 0x01, 0xff}, /* SMBus base and host configuration: kept, there is no SMBus */
    {0x91, 0x00, 0xff},
    {0xd2, 0x00, 0x0f},
};

/* Puts the block where the configuration registers say. */
static void place(struct device *d)
{
	const uint8_t *c = ((struct piix4pm_state *)d->state)->config.byte;
	uint32_t base = (uint32_t)(c[CFG_PMBASE + 1] << 8 | (c[CFG_PMBASE] & 0xc0u));

	bus_move_pio(&d->vm->bus, d, REGION_PM, (c[CFG_PMREGMISC] & 1u) && base ? base : BUS_NOWHERE);
}

unsigned piix4pm_base(const struct device *d)
{
	const uint8_t *c = ((const struct piix4pm_state *)d->state)->config.byte;
	unsigned base = (unsigned)(c[CFG_PMBASE + 1] << 8 | (c[CFG_PMBASE] & 0xc0u));

	return base ? base : PMBASE_DEFAULT;
}

static void config_written(struct device *d, unsigned offset)
{
	if (offset == CFG_PMBASE || offset == CFG_PMBASE + 1 || offset == CFG_PMREGMISC)
		place(d);
}

const struct pci_function piix4pm_function = {
    .devfn = PCI_DEVFN(1, 3),
    .dev = DEV_PIIX4PM,
    .fields = fields,
    .n_fields = ARRAY_LEN(fields),
    .written = config_written,
};

static uint64_t now_tick(const struct device *d)
{
	return ticks_at(clock_now_ns(&d->vm->clock), PMTIMER_HZ);
}

/* The timer status is set whenever bit 23 of the timer changes. */
static void sync(struct device *d)
{
	struct piix4pm_state *s = d->state;
	uint64_t now = now_tick(d);

	if (now >> 23 != s->seen >> 23)
		s->timer_status = 1;
	s->seen = now;
}

static bool wants_sci(const struct piix4pm_state *s)
{
	return (s->enable & PM1_TMR) && (s->control & CNT_SCI_EN);
}

static void arm(struct device *d)
{
	const struct piix4pm_state *s = d->state;

	clock_arm(&d->vm->clock, d->timer,
	    wants_sci(s) && !s->timer_status ? ticks_ns(((s->seen >> 23) + 1) << 23, PMTIMER_HZ) : CLOCK_NEVER);
}

static void update(struct device *d)
{
	const struct piix4pm_state *s = d->state;

	irq_set_line(d->vm, SCI_IRQ, wants_sci(s) && s->timer_status);
	arm(d);
}

static void fire(void *arg, uint64_t deadline_ns)
{
	(void)deadline_ns;
	sync(arg);
	update(arg);
}

/* The whole block as bytes: accesses may have any size and place. */
static uint8_t block_byte(const struct device *d, uint32_t off)
{
	const struct piix4pm_state *s = d->state;
	uint32_t timer = (uint32_t)(now_tick(d) & TIMER_BITS);

	if (off < PM1_EN)
		return off == 0 ? s->timer_status : 0;
	if (off < PM1_CNT)
		return (uint8_t)(s->enable >> (8 * (off - PM1_EN)));
	if (off < PM1_CNT + 2)
		return (uint8_t)(s->control >> (8 * (off - PM1_CNT)));
	if (off >= PM_TMR && off < PM_TMR + 4)
		return (uint8_t)(timer >> (8 * (off - PM_TMR)));
	return 0;
}

static void block_write_byte(struct device *d, uint32_t off, uint8_t v)
{
	struct piix4pm_state *s = d->state;
	unsigned shift = 8 * (off & 1u);

	if (off == PM1_STS && (v & PM1_TMR))
		s->timer_status = 0;
	if (off == PM1_EN || off == PM1_EN + 1)
		s->enable = (uint16_t)(((s->enable & ~(0xffu << shift)) | (unsigned)v << shift) & PM1_ENABLES);
	if (off == PM1_CNT || off == PM1_CNT + 1)
		s->control = (uint16_t)(((s->control & ~(0xffu << shift)) | (unsigned)v << shift) & CNT_KEPT);
}

/* Sleep takes effect when the write is complete, so that type and enable may come in one access of any size. */
static void sleep(struct device *d, uint32_t off, unsigned len, uint64_t value)
{
	const struct piix4pm_state *s = d->state;

	if (off > PM1_CNT + 1 || off + len <= PM1_CNT + 1)
		return;
	if ((value >> (8 * (PM1_CNT + 1 - off)) & (CNT_SLP_EN >> 8)) && CNT_SLP_TYPE(s->control) == 0)
		vm_kill(d->vm, END_POWEROFF, 0, "the guest switched the machine off (ACPI S5)");
}

static void apm_write(struct device *d, uint32_t off, uint8_t v)
{
	struct piix4pm_state *s = d->state;

	s->apm[off] = v;
	if (off == 0 && v == ACPI_ENABLE)
		s->control |= CNT_SCI_EN;
	if (off == 0 && v == ACPI_DISABLE)
		s->control &= (uint16_t)~CNT_SCI_EN;
}

static uint64_t piix4pm_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	const struct piix4pm_state *s = d->state;
	uint64_t v = 0;

	sync(d);
	update(d);
	for (unsigned i = 0; i < len; i++)
		v |= (uint64_t)(region == REGION_APM ? s->apm[off + i] : block_byte(d, off + i)) << (8 * i);
	return v;
}

static void piix4pm_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	sync(d);
	for (unsigned i = 0; i < len; i++) {
		if (region == REGION_APM)
			apm_write(d, off + i, (uint8_t)(value >> (8 * i)));
		else
			block_write_byte(d, off + i, (uint8_t)(value >> (8 * i)));
	}
	if (region == REGION_PM)
		sleep(d, off, len, value);
	update(d);
}

static enum err piix4pm_init(struct device *d, struct errmsg *why)
{
	return dev_add_timer(d, fire, why);
}

static void piix4pm_reset(struct device *d)
{
	struct piix4pm_state *s = d->state;

	*s = (struct piix4pm_state){.seen = now_tick(d)};
	pci_config_reset(d, &piix4pm_function);
	if (!d->vm->machine->rom) {
		s->config.byte[CFG_PMBASE + 1] = PMBASE_DEFAULT >> 8;
		s->config.byte[CFG_PMREGMISC] = 1;
	}
	place(d);
	update(d);
}

static void piix4pm_restored(struct device *d)
{
	place(d);
	arm(d);
}

const struct device_ops piix4pm_ops = {
    .name = "piix4pm",
    .state_version = 1,
    .state_size = sizeof(struct piix4pm_state),
    .init = piix4pm_init,
    .reset = piix4pm_reset,
    .read = piix4pm_read,
    .write = piix4pm_write,
    .max_access = 4,
    .restored = piix4pm_restored,
};
