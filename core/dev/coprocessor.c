/*
 * The PC's error logic of the coprocessor: how x87 exceptions reach software that leaves CR0.NE clear [SDM 1 "MS-DOS*
 * Compatibility Sub-mode"]. The PC/AT wired the 80287's ERROR# to a latch that raises IRQ 13; a write to port F0 clears
 * the latch. Since the 80486 the processor drives FERR#, and the latch answers with IGNNE#, which lets the handler use
 * the x87 unit: from the write to port F0 until FERR# drops.
 *
 *   FERR# ----+--> latch --> IRQ 13          port F0 written: latch = 0, and IGNNE# = FERR#
 *             +--> gate --> IGNNE#           FERR# drops:     IGNNE# = 0
 *
 * One wire for all CPUs, as open-collector pins are. When a CPU drives it: core/ferr.c.
 */
#include "core/dev/dev.h"

#define COPROCESSOR_LINE 13u

struct coprocessor_state {
	uint8_t ferr; /* one bit a CPU */
	uint8_t latch, ignne;
	uint8_t pad[5];
};
_Static_assert(VM_VCPUS_MAX <= 8, "one bit a CPU");

void coprocessor_set_ferr(struct device *d, unsigned cpu, bool level)
{
	struct coprocessor_state *s = d->state;
	uint8_t before = s->ferr;

	s->ferr = (uint8_t)(level ? before | 1u << cpu : before & ~(1u << cpu));
	if (s->ferr && !before) {
		s->latch = 1;
		irq_set_line(d->vm, COPROCESSOR_LINE, true);
	}
	if (!s->ferr)
		s->ignne = 0;
}

bool coprocessor_ignne(const struct device *d)
{
	const struct coprocessor_state *s = d->state;

	return s->ignne;
}

static enum err coprocessor_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void coprocessor_reset(struct device *d)
{
	struct coprocessor_state *s = d->state;

	*s = (struct coprocessor_state){0};
}

/* Nothing answers a read, as in the PIIX3. */
static uint64_t coprocessor_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	(void)d, (void)region, (void)off, (void)len;
	return 0xff;
}

static void coprocessor_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct coprocessor_state *s = d->state;

	(void)region, (void)off, (void)len, (void)value;
	s->latch = 0;
	irq_set_line(d->vm, COPROCESSOR_LINE, false);
	if (!s->ferr)
		return;
	s->ignne = 1;
	for (unsigned i = 0; i < d->vm->n_vcpus; i++)
		vcpu_thaw(&d->vm->vcpus[i]);
}

static void coprocessor_restored(struct device *d)
{
	const struct coprocessor_state *s = d->state;

	for (unsigned i = 0; i < d->vm->n_vcpus; i++)
		d->vm->vcpus[i].cpu.ferr = s->ferr >> i & 1;
}

const struct device_ops coprocessor_ops = {
    .name = "coprocessor",
    .state_version = 1,
    .state_size = sizeof(struct coprocessor_state),
    .init = coprocessor_init,
    .reset = coprocessor_reset,
    .read = coprocessor_read,
    .write = coprocessor_write,
    .max_access = 1,
    .restored = coprocessor_restored,
};
