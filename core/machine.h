/*
 * The PC: one const table (core/machine.c) says which device sits where. The same for every mode and for bare metal.
 */
#ifndef VMSCOPE_CORE_MACHINE_H
#define VMSCOPE_CORE_MACHINE_H

#include "core/device.h"

struct vm;
struct machine;

/* Creates RAM slots (0..640K, PAM slots C0000..FFFFF, 1M.., above 4G), devices in table order, bus regions. */
enum err machine_create(struct vm *vm, struct errmsg *why) MUST_CHECK;
void machine_destroy(struct vm *vm);
void machine_reset(struct vm *vm);
/* Maps image at the top of 4 GiB and its last 128 KiB (or less) at the end of the first MiB; vCPU 0 starts at the reset
 * vector. Size: 4 KiB multiple, 64 KiB..1 MiB (padded to the right is not done: ERR_FORMAT says what is wrong). */
enum err machine_set_firmware(struct vm *vm, const void *image, size_t n, struct errmsg *why) MUST_CHECK;
/* Bytes typed by the user: to the UART and, as scan codes, to the i8042. Returns how many were taken. */
size_t machine_type(struct vm *vm, const uint8_t *text, size_t n);
/* The text screen: 25 lines of 80 cells from B8000 (ASCII, others '.'), terminated. False when no VGA text mode. */
bool machine_screen(struct vm *vm, char lines[25][81]);

size_t machine_n_devices(const struct vm *vm);
struct device *machine_device(const struct vm *vm, size_t i);
struct device *machine_find(const struct vm *vm, const char *name); /* NULL: none */

#endif
