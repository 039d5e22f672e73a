/*
 * isa-debug-exit: a write to port f4 ends the guest; 0 is success. The access may have any size. A value that does not
 * fit in a byte counts as 255, so that no failure can look like success by losing its upper bits.
 */
#include "core/dev/dev.h"

struct debug_exit_state {
	uint32_t written; /* writes so far */
	uint32_t last;
};

static enum err debug_exit_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void debug_exit_reset(struct device *d)
{
	struct debug_exit_state *s = d->state;

	*s = (struct debug_exit_state){0};
}

static uint64_t debug_exit_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	(void)d, (void)region, (void)off, (void)len;
	return 0;
}

static void debug_exit_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct debug_exit_state *s = d->state;

	(void)region, (void)len;
	if (off != 0)
		return;
	s->written++;
	s->last = value > 0xff ? 0xff : (uint32_t)value;
	vm_kill(d->vm, END_DEBUG_EXIT, s->last, "the guest wrote %u to port f4", s->last);
}

const struct device_ops debug_exit_ops = {
    .name = "isa-debug-exit",
    .state_version = 1,
    .state_size = sizeof(struct debug_exit_state),
    .init = debug_exit_init,
    .reset = debug_exit_reset,
    .read = debug_exit_read,
    .write = debug_exit_write,
    .max_access = 4,
};
