/*
 * The DMA page registers of the PC/AT (a 74LS612): sixteen bytes at ports 80..8f that hold what was written. The first
 * one, port 80, drives no DMA channel; firmware shows its progress there ("POST codes"), and software writes it to wait
 * about a microsecond, as with port ed. There is no DMA controller in this machine, so no page is ever used.
 */
#include "core/dev/dev.h"

enum { REGION_PAGES, REGION_DELAY };

struct ls612_state {
	uint8_t page[16];
};

static enum err ls612_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void ls612_reset(struct device *d)
{
	struct ls612_state *s = d->state;

	*s = (struct ls612_state){{0}};
}

static uint64_t ls612_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct ls612_state *s = d->state;

	(void)len;
	return region == REGION_PAGES ? s->page[off] : 0xff;
}

static void ls612_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct ls612_state *s = d->state;

	(void)len;
	if (region == REGION_PAGES)
		s->page[off] = (uint8_t)value;
}

const struct device_ops ls612_ops = {
    .name = "ls612",
    .state_version = 1,
    .state_size = sizeof(struct ls612_state),
    .init = ls612_init,
    .reset = ls612_reset,
    .read = ls612_read,
    .write = ls612_write,
    .max_access = 1,
};
