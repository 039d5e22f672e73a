/*
 * Two disks on the first ATA channel, in programmed I/O. Slow on hardware, where DMA is made for this; in an emulator
 * REP INSW and REP OUTSW move a sector in one instruction, and this is the fastest way in and out of the machine.
 *
 * A command of up to 128 sectors: the drive asks for each sector (DRQ) and takes 256 words. Every wait has a bound.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"

#define ATA 0x1f0u
enum { REG_DATA, REG_ERROR, REG_COUNT, REG_LBA0, REG_LBA1, REG_LBA2, REG_DEVICE, REG_COMMAND };
#define ATA_CONTROL 0x3f6u
#define CONTROL_NIEN 0x02u
#define ST_BSY 0x80u
#define ST_DRDY 0x40u
#define ST_DF 0x20u
#define ST_DRQ 0x08u
#define ST_ERR 0x01u
#define DEVICE_LBA 0xe0u
#define CMD_READ 0x20u
#define CMD_READ_EXT 0x24u
#define CMD_WRITE 0x30u
#define CMD_WRITE_EXT 0x34u
#define CMD_IDENTIFY 0xecu
#define SECTOR 512u
#define COMMAND_SECTORS 128u
#define LBA28_END (1ull << 28)
#define PATIENCE 5000000u /* status reads: seconds on hardware */

static struct ata_disk disks[2];

static uint8_t in(unsigned r)
{
	return cpu_in8((uint16_t)(ATA + r));
}

static void out(unsigned r, uint64_t v)
{
	cpu_out8((uint16_t)(ATA + r), (uint8_t)v);
}

/* Until not busy; then bits of want. ERR_IO: an error, or never. FF: no drive pulls the bus down. */
static enum err wait_for(uint8_t want)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		uint8_t s = in(REG_COMMAND);

		if (s == 0xff)
			return ERR_IO;
		if (s & ST_BSY)
			continue;
		if (s & (ST_ERR | ST_DF))
			return ERR_IO;
		if ((s & want) == want)
			return ERR_OK;
	}
	return ERR_IO;
}

/* 400 ns for the status to follow the device register: four reads of the alternate status. */
static void select(uint8_t device)
{
	out(REG_DEVICE, device);
	for (unsigned i = 0; i < 4; i++)
		(void)cpu_in8(ATA_CONTROL);
}

const struct ata_disk *ata_identify(unsigned unit)
{
	struct ata_disk *d = &disks[unit & 1];
	uint16_t id[SECTOR / 2];

	*d = (struct ata_disk){0};
	cpu_out8(ATA_CONTROL, CONTROL_NIEN);
	select((uint8_t)(0xa0 | (unit & 1) << 4));
	if (in(REG_COMMAND) == 0 || in(REG_COMMAND) == 0xff)
		return d;
	out(REG_COUNT, 0);
	out(REG_LBA0, 0);
	out(REG_LBA1, 0);
	out(REG_LBA2, 0);
	out(REG_COMMAND, CMD_IDENTIFY);
	if (in(REG_COMMAND) == 0 || wait_for(ST_DRQ) != ERR_OK) /* an ATAPI drive aborts it */
		return d;
	cpu_ins16(ATA + REG_DATA, id, ARRAY_LEN(id));
	d->present = true;
	d->lba48 = id[83] & (1u << 10);
	memcpy(&d->sectors, &id[d->lba48 ? 100 : 60], d->lba48 ? 8 : 4);
	return d;
}

static void set_address(unsigned unit, uint64_t lba, unsigned n, bool ext)
{
	const uint8_t device = (uint8_t)(DEVICE_LBA | (unit & 1) << 4);

	select(ext ? device : (uint8_t)(device | (lba >> 24 & 15)));
	if (ext) { /* the upper halves first, through the same registers */
		out(REG_COUNT, n >> 8);
		out(REG_LBA0, lba >> 24);
		out(REG_LBA1, lba >> 32);
		out(REG_LBA2, lba >> 40);
	}
	out(REG_COUNT, n);
	out(REG_LBA0, lba);
	out(REG_LBA1, lba >> 8);
	out(REG_LBA2, lba >> 16);
}

static enum err command(unsigned unit, uint64_t lba, uint8_t *to, const uint8_t *from, unsigned n)
{
	const bool ext = lba + n > LBA28_END;
	enum err e = wait_for(0);

	if (e != ERR_OK)
		return e;
	set_address(unit, lba, n, ext);
	if ((e = wait_for(ST_DRDY)) != ERR_OK)
		return e;
	out(REG_COMMAND, to ? (ext ? CMD_READ_EXT : CMD_READ) : (ext ? CMD_WRITE_EXT : CMD_WRITE));
	for (unsigned i = 0; i < n; i++) {
		if ((e = wait_for(ST_DRQ)) != ERR_OK)
			return e;
		if (to)
			cpu_ins16(ATA + REG_DATA, to + i * SECTOR, SECTOR / 2);
		else
			cpu_outs16(ATA + REG_DATA, from + i * SECTOR, SECTOR / 2);
	}
	return wait_for(0);
}

static enum err transfer(unsigned unit, uint64_t lba, uint8_t *to, const uint8_t *from, unsigned sectors)
{
	const struct ata_disk *d = &disks[unit & 1];

	if (!d->present)
		return ERR_NODEV;
	if (lba > d->sectors || sectors > d->sectors - lba)
		return ERR_RANGE;
	while (sectors > 0) {
		unsigned n = sectors < COMMAND_SECTORS ? sectors : COMMAND_SECTORS;
		enum err e = command(unit, lba, to, from, n);

		if (e != ERR_OK)
			return e;
		lba += n;
		sectors -= n;
		to = to ? to + n * SECTOR : NULL;
		from = from ? from + n * SECTOR : NULL;
	}
	return ERR_OK;
}

enum err ata_read(unsigned unit, uint64_t lba, void *p, unsigned sectors)
{
	return transfer(unit, lba, p, NULL, sectors);
}

enum err ata_write(unsigned unit, uint64_t lba, const void *p, unsigned sectors)
{
	return transfer(unit, lba, NULL, p, sectors);
}
