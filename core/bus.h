/*
 * The port and MMIO bus: which device answers where. An access nobody claims reads all ones, is ignored on write, and
 * is counted. Registration checks overlap. One instance a VM; one thread at a time (KVM: under the device lock).
 */
#ifndef VMSCOPE_CORE_BUS_H
#define VMSCOPE_CORE_BUS_H

#include "core/device.h"

#define BUS_REGIONS_MAX 64

struct bus_region {
	uint64_t base, len;
	struct device *dev;
	unsigned region;
};

struct bus {
	struct bus_region pio[BUS_REGIONS_MAX], mmio[BUS_REGIONS_MAX];
	unsigned n_pio, n_mmio;
	uint8_t port_map[65536]; /* 0 = nobody, else index into pio + 1 */
	uint64_t unclaimed_pio, unclaimed_mmio;
};

void bus_init(struct bus *b);
enum err bus_add_pio(
    struct bus *b, uint16_t base, uint32_t len, struct device *d, unsigned region, struct errmsg *why) MUST_CHECK;
/* Moves a region that bus_add_pio() added, or takes it off the bus (base BUS_NOWHERE, or where it does not fit or
 * another device is). False when it is now nowhere. */
#define BUS_NOWHERE 0x10000u
bool bus_move_pio(struct bus *b, const struct device *d, unsigned region, uint32_t base);
/* As bus_add_pio(), and devices that sit on one of these ports leave the bus with that region; where one of them stays
 * (device_ops.stays), or no region is left, ERR_BUSY or ERR_NOMEM, and nothing has moved. */
enum err bus_take_pio(
    struct bus *b, uint16_t base, uint32_t len, struct device *d, unsigned region, struct errmsg *why) MUST_CHECK;
enum err bus_add_mmio(
    struct bus *b, gpa_t base, uint64_t len, struct device *d, unsigned region, struct errmsg *why) MUST_CHECK;
struct device *bus_pio_owner(const struct bus *b, uint16_t port); /* NULL: nobody */
uint64_t bus_pio_read(struct bus *b, uint16_t port, unsigned size);
void bus_pio_write(struct bus *b, uint16_t port, unsigned size, uint64_t value);
uint64_t bus_mmio_read(struct bus *b, gpa_t gpa, unsigned size);
void bus_mmio_write(struct bus *b, gpa_t gpa, unsigned size, uint64_t value);

#endif
