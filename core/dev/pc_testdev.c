/*
 * A test device, as kvm-unit-tests know it: ports and memory with which a guest tries out its own interrupts and the
 * widths of accesses, without a device that means anything.
 *
 *   e0-e3      four bytes that keep what was written, accesses of 1, 2 or 4 bytes
 *   e4-e7      a write asks the VMM to give the page at this address anew: nothing to do here, nothing goes stale
 *   e8         the first of the same four bytes
 *   2000-2017  a write of 1 raises interrupt line 0..23, of 0 lowers it
 *   ff000000   4 KiB of memory that is a device, sixteen times: each access exits
 */
#include "core/dev/dev.h"

#define MEMORY_SIZE 0x1000u

enum { REGION_PORTS, REGION_FLUSH, REGION_BYTES, REGION_LINES };

struct pc_testdev_state {
	uint8_t port[4];
	uint8_t pad[4];
	uint8_t memory[MEMORY_SIZE];
};

/* The byte at off; NULL: this region keeps nothing. */
static uint8_t *byte_at(struct device *d, unsigned region, uint32_t off)
{
	struct pc_testdev_state *s = d->state;

	if (region == REGION_PORTS || region == REGION_BYTES)
		return &s->port[off];
	return region == DEV_REGION_MMIO ? &s->memory[off % MEMORY_SIZE] : NULL;
}

static enum err pc_testdev_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void pc_testdev_reset(struct device *d)
{
	memset(d->state, 0, sizeof(struct pc_testdev_state));
}

static uint64_t pc_testdev_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len; i++) {
		const uint8_t *p = byte_at(d, region, off + i);

		v |= (uint64_t)(p ? *p : 0) << (8 * i);
	}
	return v;
}

static void pc_testdev_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	for (unsigned i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i)), *p = byte_at(d, region, off + i);

		if (region == REGION_LINES)
			irq_set_line(d->vm, off + i, byte);
		if (p)
			*p = byte;
	}
}

const struct device_ops pc_testdev_ops = {
    .name = "pc-testdev",
    .state_version = 1,
    .state_size = sizeof(struct pc_testdev_state),
    .init = pc_testdev_init,
    .reset = pc_testdev_reset,
    .read = pc_testdev_read,
    .write = pc_testdev_write,
    .max_access = 8,
};
