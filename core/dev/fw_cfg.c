/*
 * fw_cfg, ports 510 (selector, 16 bits) and 511 (data): how firmware asks the VMM what machine this is. Selecting an
 * item starts it from its first byte; each data read gives the next one, and zeros after the end. An item that does not
 * exist is empty. Integers are little-endian, except in the directory of files, where they are big-endian.
 *
 * The traditional interface only: the id says so, and there is no DMA interface at 514. Items are read-only.
 */
#include "core/acpi.h"
#include "core/dev/dev.h"
#include "core/le.h"

enum {
	KEY_SIGNATURE = 0x00,
	KEY_ID = 0x01,
	KEY_UUID = 0x02,
	KEY_RAM_SIZE = 0x03,
	KEY_NOGRAPHIC = 0x04,
	KEY_NB_CPUS = 0x05,
	KEY_NUMA = 0x0d,
	KEY_BOOT_MENU = 0x0e,
	KEY_MAX_CPUS = 0x0f,
	KEY_DIRECTORY = 0x19,
	KEY_FILES = 0x20 /* the files, in the order of the directory */
};

#define ID_TRADITIONAL 1u
#define E820_RAM 1u
#define ITEM_MAX 4096u
#define FILE_NAME_SIZE 56u

enum { REGION_SELECTOR_DATA };

struct fw_cfg_state {
	uint16_t selector;
	uint16_t pad;
	uint32_t offset; /* of the next data byte */
};

struct item {
	uint8_t byte[ITEM_MAX];
	unsigned len;
};

static void put(struct item *it, uint64_t v, unsigned n)
{
	append_le(it->byte, &it->len, ITEM_MAX, n, v);
}

static void put_be(struct item *it, uint32_t v, unsigned n)
{
	while (n--)
		it->byte[it->len++] = (uint8_t)(v >> (8 * n));
}

static unsigned e820_entries(const struct vm *vm)
{
	return vm->mem.ram_size > MEM_LOW_MAX ? 2 : 1;
}

/* RAM as the VMM sees it; the firmware takes its own holes out. */
static void put_e820(struct item *it, const struct vm *vm)
{
	uint64_t size = vm->mem.ram_size, low = size < MEM_LOW_MAX ? size : MEM_LOW_MAX;

	put(it, 0, 8);
	put(it, low, 8);
	put(it, E820_RAM, 4);
	if (e820_entries(vm) < 2)
		return;
	put(it, MEM_HIGH_BASE, 8);
	put(it, size - low, 8);
	put(it, E820_RAM, 4);
}

/*
 * The ACPI tables, and what the firmware has to do with them when it has chosen their place: commands of 128 bytes,
 * each a number, then its operands.
 */
#define FILE_RSDP "etc/acpi/rsdp"
#define FILE_TABLES "etc/acpi/tables"
#define LOADER_COMMAND 128u

enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER, LOADER_ADD_CHECKSUM };
enum { ZONE_HIGH = 1, ZONE_F_SEGMENT };

static void put_name(struct item *it, const char *name)
{
	size_t n = strlen(name);

	for (unsigned c = 0; c < FILE_NAME_SIZE; c++)
		put(it, c < n ? (uint8_t)name[c] : 0, 1);
}

static void end_command(struct item *it)
{
	while (it->len % LOADER_COMMAND)
		put(it, 0, 1);
}

static void put_allocate(struct item *it, const char *file, unsigned align, unsigned zone)
{
	put(it, LOADER_ALLOCATE, 4);
	put_name(it, file);
	put(it, align, 4);
	put(it, zone, 1);
	end_command(it);
}

static void put_add_pointer(struct item *it, const char *file, unsigned at, unsigned size)
{
	put(it, LOADER_ADD_POINTER, 4);
	put_name(it, file);
	put_name(it, FILE_TABLES);
	put(it, at, 4);
	put(it, size, 1);
	end_command(it);
}

static void put_add_checksum(struct item *it, const char *file, unsigned at, unsigned start, unsigned len)
{
	put(it, LOADER_ADD_CHECKSUM, 4);
	put_name(it, file);
	put(it, at, 4);
	put(it, start, 4);
	put(it, len, 4);
	end_command(it);
}

static void put_table_loader(struct item *it, const struct vm *vm)
{
	struct acpi_tables t;

	acpi_build(vm, 0, &t);
	put_allocate(it, FILE_RSDP, 16, ZONE_F_SEGMENT);
	put_allocate(it, FILE_TABLES, 64, ZONE_HIGH);
	for (unsigned i = 0; i < t.n_pointers; i++)
		put_add_pointer(it, FILE_TABLES, t.pointer[i].at, t.pointer[i].size);
	for (unsigned i = 0; i < t.n_tables; i++)
		put_add_checksum(it, FILE_TABLES, t.table[i].at + ACPI_CHECKSUM, t.table[i].at, t.table[i].len);
	put_add_pointer(it, FILE_RSDP, ACPI_RSDP_RSDT, 4);
	put_add_pointer(it, FILE_RSDP, ACPI_RSDP_XSDT, 8);
	put_add_checksum(it, FILE_RSDP, 8, 0, 20);
	put_add_checksum(it, FILE_RSDP, 32, 0, ACPI_RSDP_SIZE);
}

static void put_acpi_tables(struct item *it, const struct vm *vm)
{
	struct acpi_tables t;

	acpi_build(vm, 0, &t);
	for (unsigned i = 0; i < t.len; i++)
		put(it, t.byte[i], 1);
}

static void put_acpi_rsdp(struct item *it, const struct vm *vm)
{
	uint8_t rsdp[ACPI_RSDP_SIZE];
	struct acpi_tables t;

	acpi_build(vm, 0, &t);
	acpi_build_rsdp(&t, 0, rsdp);
	for (unsigned i = 0; i < ACPI_RSDP_SIZE; i++)
		put(it, rsdp[i], 1);
}

/* How long to wait before the next try when nothing can be booted: for ever, instead of a reset after a minute. */
static void put_boot_fail_wait(struct item *it, const struct vm *vm)
{
	(void)vm;
	put(it, UINT32_MAX, 4);
}

static const struct {
	char name[FILE_NAME_SIZE];
	void (*put)(struct item *it, const struct vm *vm);
} files[] = {
    {"etc/e820", put_e820},
    {FILE_RSDP, put_acpi_rsdp},
    {FILE_TABLES, put_acpi_tables},
    {"etc/table-loader", put_table_loader},
    {"etc/boot-fail-wait", put_boot_fail_wait},
};

static void put_directory(struct item *it, const struct vm *vm)
{
	put_be(it, ARRAY_LEN(files), 4);
	for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
		struct item content;

		content.len = 0;
		files[i].put(&content, vm);
		put_be(it, content.len, 4);
		put_be(it, KEY_FILES + i, 2);
		put_be(it, 0, 2);
		put_name(it, files[i].name);
	}
}

static void fill_item(struct item *it, const struct vm *vm, unsigned key)
{
	unsigned cpus = vm->cfg.n_vcpus ? vm->cfg.n_vcpus : 1;

	it->len = 0;
	switch (key) {
	case KEY_SIGNATURE:
		put_be(it, 0x51454d55, 4); /* "QEMU" */
		break;
	case KEY_ID:
		put(it, ID_TRADITIONAL, 4);
		break;
	case KEY_UUID: /* none */
		put(it, 0, 8);
		put(it, 0, 8);
		break;
	case KEY_RAM_SIZE:
		put(it, vm->mem.ram_size, 8);
		break;
	case KEY_NOGRAPHIC: /* there is a screen; SeaBIOS would else mix its text, doubled, into the serial console */
		put(it, 0, 2);
		break;
	case KEY_NB_CPUS:
	case KEY_MAX_CPUS:
		put(it, cpus, 2);
		break;
	case KEY_NUMA: /* no nodes; then the node of each CPU */
		put(it, 0, 8);
		for (unsigned i = 0; i < cpus; i++)
			put(it, 0, 8);
		break;
	case KEY_BOOT_MENU:
		put(it, 0, 2);
		break;
	case KEY_DIRECTORY:
		put_directory(it, vm);
		break;
	default:
		if (key >= KEY_FILES && key - KEY_FILES < ARRAY_LEN(files))
			files[key - KEY_FILES].put(it, vm);
		break;
	}
}

static enum err fw_cfg_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void fw_cfg_reset(struct device *d)
{
	struct fw_cfg_state *s = d->state;

	*s = (struct fw_cfg_state){0};
}

static uint64_t fw_cfg_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct fw_cfg_state *s = d->state;
	struct item it;

	(void)region;
	if (off == 0 || len != 1)
		return UINT64_MAX; /* the selector cannot be read */
	fill_item(&it, d->vm, s->selector);
	return s->offset < it.len ? it.byte[s->offset++] : 0;
}

static void fw_cfg_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct fw_cfg_state *s = d->state;

	(void)region;
	if (off == 0 && len == 2)
		*s = (struct fw_cfg_state){.selector = (uint16_t)value};
}

const struct device_ops fw_cfg_ops = {
    .name = "fw_cfg",
    .state_version = 1,
    .state_size = sizeof(struct fw_cfg_state),
    .init = fw_cfg_init,
    .reset = fw_cfg_reset,
    .read = fw_cfg_read,
    .write = fw_cfg_write,
    .max_access = 2,
};
