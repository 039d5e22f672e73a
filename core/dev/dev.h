/*
 * What the devices and core/machine.c share: the identity of each device, its ops, and the few calls from one device to
 * another (interrupt lines, the typed text, the reset request). Private to core/dev, core/machine.c and core/irq.c.
 */
#ifndef VMSCOPE_CORE_DEV_DEV_H
#define VMSCOPE_CORE_DEV_DEV_H

#include "core/device.h"
#include "core/irq.h"
#include "core/lib.h"
#include "core/vm.h"

/* In order of creation and reset: a device may rely on those before it. */
enum dev_id {
#define DEV(id, ops) DEV_##id,
#include "core/dev/devices.def"
#undef DEV
	DEV_COUNT
};

#define DEV(id, ops) extern const struct device_ops ops;
#include "core/dev/devices.def"
#undef DEV

#define DEV_REGION_MMIO 16u /* number of a device's first MMIO region; port regions count from 0 */

struct machine {
	struct device dev[DEV_COUNT];
	size_t block_len; /* of the one allocation that holds this struct and all device states */
	uint8_t *rom;	  /* firmware, or NULL; owned */
	size_t rom_len;
	unsigned pam_slot; /* memory slot of C0000; the 12 slots of 16 KiB and the 64 KiB one follow in order */
};

static inline struct device *dev_get(const struct vm *vm, enum dev_id id)
{
	return &vm->machine->dev[id];
}
static inline void *dev_state(const struct vm *vm, enum dev_id id)
{
	return vm->machine->dev[id].state;
}

/* Takes a clock handle for a device that has one timer; fire gets the device. */
enum err dev_add_timer(struct device *d, void (*fire)(void *, uint64_t), struct errmsg *why) MUST_CHECK;
/* A device asks for a machine reset: applied by the loop, after the instruction that caused it. */
void dev_request_reset(struct vm *vm);

/* i8259.c */
void i8259_set_line(struct device *d, unsigned irq, bool level);
bool i8259_intr(const struct device *d);
uint8_t i8259_ack(struct device *d);
/* uart16550.c, i8042.c: false when there is no room for the byte. */
bool uart16550_type(struct device *d, uint8_t byte);
bool i8042_type(struct device *d, uint8_t byte);
/* piix4pm.c: where its I/O block is, or would be without an owner. */
unsigned piix4pm_base(const struct device *d);
/* coprocessor.c: FERR# of a CPU, which asserts it while an x87 exception waits; is IGNNE# asserted? */
void coprocessor_set_ferr(struct device *d, unsigned cpu, bool level);
bool coprocessor_ignne(const struct device *d);
/* vga.c */
bool vga_screen(const struct device *d, char lines[25][81]);

#endif
