/*
 * A device: state in one pointer-free, versioned struct, and an ops table. Devices are named by part number, sit on the
 * bus by the one table of core/machine.c, and know neither mode nor host.
 */
#ifndef VMSCOPE_CORE_DEVICE_H
#define VMSCOPE_CORE_DEVICE_H

#include "core/err.h"

struct vm;
struct device;

struct device_ops {
	const char *name;	/* "uart16550" */
	uint32_t state_version; /* moves when the layout of the state struct does */
	size_t state_size;
	enum err (*init)(
	    struct device *d, struct errmsg *why); /* once; may use d->vm (clock timers, irq lines, memory) */
	void (*reset)(struct device *d);	   /* power-on values; also after init */
	/* off is the offset from the start of the region, region the index the machine table gave it.
	 * len is 1, 2, 4 or 8 and never more than max_access (the bus splits, little-endian). */
	uint64_t (*read)(struct device *d, unsigned region, uint32_t off, unsigned len);
	void (*write)(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value);
	unsigned max_access; /* 1, 2, 4 or 8 */
	bool stays;	     /* keeps its ports when bus_take_pio() wants them */
	/* State was replaced: re-arm timers, renew memory views. May be NULL. Interrupt lines came with the state of
	 * their controllers, and others may hold them, too. */
	void (*restored)(struct device *d);
};

struct device {
	const struct device_ops *ops;
	struct vm *vm;
	void *state;	/* state_size bytes, owned by the machine */
	unsigned timer; /* clock handle, for a device that has a timer */
};

#endif
