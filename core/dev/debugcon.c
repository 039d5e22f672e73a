/*
 * Two debug consoles: a byte written to port e9 (Bochs and QEMU) or 402 (SeaBIOS' log) goes to the person in front of
 * the machine at once. A read gives e9, which is how a guest finds out that somebody listens.
 */
#include "core/dev/dev.h"

#define DEBUGCON_PRESENT 0xe9u

struct debugcon_state {
	uint64_t bytes; /* written so far, both ports */
};

static enum err debugcon_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void debugcon_reset(struct device *d)
{
	(void)d; /* the count goes on: it belongs to the run */
}

static uint64_t debugcon_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	(void)d, (void)region, (void)off, (void)len;
	return DEBUGCON_PRESENT;
}

static void debugcon_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct debugcon_state *s = d->state;
	const struct vm_config *cfg = &d->vm->cfg;

	(void)region, (void)off, (void)len;
	s->bytes++;
	if (cfg->console)
		cfg->console(cfg->console_arg, "debugcon", (uint8_t)value);
}

const struct device_ops debugcon_ops = {
    .name = "debugcon",
    .state_version = 1,
    .state_size = sizeof(struct debugcon_state),
    .init = debugcon_init,
    .reset = debugcon_reset,
    .read = debugcon_read,
    .write = debugcon_write,
    .max_access = 1,
};
