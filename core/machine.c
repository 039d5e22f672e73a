/*
 * The PC, in one table: which device sits at which ports and addresses. Creation, reset and interrupt lines follow the
 * order of the table (core/dev/devices.def); the RAM layout is the other half of this file.
 *
 *   00000-9FFFF    RAM                      100000-BFFFFFFF   RAM, as much as there is
 *   A0000-BFFFF    VGA (B8000: text)        C0000000-...      PCI window: holes
 *   C0000-FFFFF    13 segments of ROM       ...-FFFFFFFF      firmware, when there is one
 *                  shadow (i440FX PAM)      100000000-        the RAM above 3 GiB
 *
 * RAM is one host block; guest-physical address and offset in it are the same below 3 GiB, so the ROM shadow has its
 * memory at C0000 and what lies under the VGA window is never seen.
 */
#include "core/machine.h"

#include "core/dev/dev.h"

#define LOW_RAM_END 0xa0000ull
#define SHADOW_BASE 0xc0000ull
#define SHADOW_SEGMENT 0x4000ull
#define SHADOW_SEGMENTS 12u /* of 16 KiB, then one of 64 KiB */
#define SHADOW_BIOS 0xf0000ull
#define MIB 0x100000ull
#define FIRMWARE_MIN 0x10000u
#define FIRMWARE_MAX 0x800000u
#define STATE_ALIGN 64u

struct port_range {
	uint16_t base;
	uint16_t len; /* 0 ends the list */
};
struct mmio_range {
	gpa_t base;
	uint64_t len;
};
struct machine_row {
	const struct device_ops *ops;
	struct port_range pio[6]; /* region 0, 1, ... */
	struct mmio_range mmio;	  /* region DEV_REGION_MMIO */
};

static const struct machine_row table[DEV_COUNT] = {
    [DEV_I8259] = {&i8259_ops, .pio = {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}}},
    [DEV_LAPIC] = {.ops = &lapic_ops}, /* its page belongs to the CPU: core/env.c */
    [DEV_IOAPIC] = {&ioapic_ops, .mmio = {0xfec00000, 0x1000}},
    [DEV_I8254] = {&i8254_ops, .pio = {{0x40, 4}, {0x61, 1}}},
    [DEV_MC146818] = {&mc146818_ops, .pio = {{0x70, 2}}},
    [DEV_UART16550] = {&uart16550_ops, .pio = {{0x3f8, 8}}},
    [DEV_I8042] = {&i8042_ops, .pio = {{0x60, 1}, {0x64, 1}, {0x92, 1}}},
    [DEV_I440FX] = {&i440fx_ops, .pio = {{0xcf8, 8}}},
    [DEV_PIIX3] = {.ops = &piix3_ops},
    [DEV_PIIX4PM] = {&piix4pm_ops, .pio = {{0x600, 64}, {0xb2, 2}}},
    [DEV_FW_CFG] = {&fw_cfg_ops, .pio = {{0x510, 2}}},
    [DEV_VGA] = {&vga_ops, .pio = {{0x3c0, 16}, {0x3d4, 2}, {0x3da, 1}}, .mmio = {0xb8000, 0x8000}},
    [DEV_LS612] = {&ls612_ops, .pio = {{0x80, 16}, {0xed, 1}}},
    [DEV_DEBUG_EXIT] = {&debug_exit_ops, .pio = {{0xf4, 4}}},
    [DEV_DEBUGCON] = {&debugcon_ops, .pio = {{0xe9, 1}, {0x402, 1}}},
    [DEV_COPROCESSOR] = {&coprocessor_ops, .pio = {{0xf0, 1}}},
    [DEV_PC_TESTDEV] = {&pc_testdev_ops, .pio = {{0xe0, 4}, {0xe4, 4}, {0xe8, 1}, {0x2000, 24}},
	.mmio = {0xff000000, 0x10000}},
};

enum err dev_add_timer(struct device *d, void (*fire)(void *, uint64_t), struct errmsg *why)
{
	enum err e = clock_add_timer(&d->vm->clock, fire, d, &d->timer);

	return e == ERR_OK ? e : err_set(why, e, "%s: the clock has no timer left", d->ops->name);
}

void dev_request_reset(struct vm *vm)
{
	vm->want_reset = true;
}

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static enum err add_ram(struct vm *vm, gpa_t gpa, uint64_t len, uint64_t offset, const char *name, struct errmsg *why)
{
	uint8_t *p = vm->mem.ram + offset;

	return len ? mem_add_slot(&vm->mem, gpa, len, p, p, name, why) : ERR_OK;
}

static enum err add_shadow(struct vm *vm, struct errmsg *why)
{
	enum err e = ERR_OK;

	vm->machine->pam_slot = vm->mem.n_slots;
	for (unsigned i = 0; i < SHADOW_SEGMENTS && e == ERR_OK; i++) {
		gpa_t gpa = SHADOW_BASE + i * SHADOW_SEGMENT;
		char name[16];

		fmt_snprintf(name, sizeof(name), "shadow-%05x", (unsigned)gpa);
		e = add_ram(vm, gpa, SHADOW_SEGMENT, gpa, name, why);
	}
	return e == ERR_OK ? add_ram(vm, SHADOW_BIOS, MIB - SHADOW_BIOS, SHADOW_BIOS, "shadow-f0000", why) : e;
}

static enum err add_memory(struct vm *vm, struct errmsg *why)
{
	uint64_t size = vm->mem.ram_size, low = size < MEM_LOW_MAX ? size : MEM_LOW_MAX;
	enum err e;

	if (size < MIB || size % MIB)
		return err_set(why, ERR_RANGE, "memory of %llu bytes: a PC has a whole number of MiB, at least one",
		    (unsigned long long)size);
	e = add_ram(vm, 0, LOW_RAM_END, 0, "ram-low", why);
	if (e == ERR_OK)
		e = add_shadow(vm, why);
	if (e == ERR_OK)
		e = add_ram(vm, MIB, low - MIB, MIB, "ram", why);
	if (e == ERR_OK)
		e = add_ram(vm, MEM_HIGH_BASE, size - low, low, "ram-high", why);
	return e;
}

/* A row is wrong only by a mistake in this program: every member but the last is mandatory. */
static enum err check_row(const struct machine_row *r, struct errmsg *why)
{
	const struct device_ops *o = r->ops;

	if (!o || !o->name || !o->init || !o->reset || !o->read || !o->write || !o->state_size || !o->state_version ||
	    !o->max_access)
		return err_set(why, ERR_BUG, "the device table has an incomplete row");
	return ERR_OK;
}

static enum err add_device(struct vm *vm, struct device *d, const struct machine_row *r, struct errmsg *why)
{
	enum err e = d->ops->init(d, why);

	for (unsigned i = 0; i < ARRAY_LEN(r->pio) && r->pio[i].len && e == ERR_OK; i++)
		e = bus_add_pio(&vm->bus, r->pio[i].base, r->pio[i].len, d, i, why);
	if (e == ERR_OK && r->mmio.len)
		e = bus_add_mmio(&vm->bus, r->mmio.base, r->mmio.len, d, DEV_REGION_MMIO, why);
	return e;
}

/* One allocation: the machine, then every device's state. */
static enum err alloc_states(struct vm *vm, struct errmsg *why)
{
	size_t total = round_up(sizeof(struct machine), STATE_ALIGN), at = total;
	struct machine *m;

	for (unsigned i = 0; i < DEV_COUNT; i++) {
		enum err e = check_row(&table[i], why);

		if (e != ERR_OK)
			return e;
		total += round_up(table[i].ops->state_size, STATE_ALIGN);
	}
	m = vm->cfg.host->page_alloc(total);
	if (!m)
		return err_set(why, ERR_NOMEM, "no memory for the devices (%u KiB)", (unsigned)(total >> 10));
	m->block_len = total;
	for (unsigned i = 0; i < DEV_COUNT; i++) {
		m->dev[i] = (struct device){.ops = table[i].ops, .vm = vm, .state = (uint8_t *)m + at};
		at += round_up(table[i].ops->state_size, STATE_ALIGN);
	}
	vm->machine = m;
	return ERR_OK;
}

enum err machine_create(struct vm *vm, struct errmsg *why)
{
	enum err e = alloc_states(vm, why);

	if (e == ERR_OK)
		e = add_memory(vm, why);
	for (unsigned i = 0; i < DEV_COUNT && e == ERR_OK; i++)
		e = add_device(vm, &vm->machine->dev[i], &table[i], why);
	if (e != ERR_OK) {
		machine_destroy(vm);
		return e;
	}
	machine_reset(vm);
	return ERR_OK;
}

/* The bus holds nothing but this machine's devices, the slots nothing but its memory. */
void machine_destroy(struct vm *vm)
{
	struct machine *m = vm->machine;

	if (!m)
		return;
	bus_init(&vm->bus);
	vm->mem.n_slots = 0;
	if (m->rom)
		vm->cfg.host->page_free(m->rom, m->rom_len);
	vm->machine = NULL;
	vm->cfg.host->page_free(m, m->block_len);
}

void machine_reset(struct vm *vm)
{
	for (unsigned i = 0; i < DEV_COUNT; i++)
		table[i].ops->reset(&vm->machine->dev[i]);
}

enum err machine_set_firmware(struct vm *vm, const void *image, size_t n, struct errmsg *why)
{
	struct machine *m = vm->machine;
	enum err e;

	if (n < FIRMWARE_MIN || n > FIRMWARE_MAX || n % PAGE_SIZE_4K)
		return err_set(
		    why, ERR_FORMAT, "firmware of %zu bytes: it must be a multiple of 4096, 64 KiB to 8 MiB", n);
	if (m->rom)
		return err_set(why, ERR_BUSY, "the machine has a firmware already");
	m->rom = vm->cfg.host->page_alloc(n);
	if (!m->rom)
		return err_set(why, ERR_NOMEM, "no memory for the firmware (%zu KiB)", n >> 10);
	m->rom_len = n;
	memcpy(m->rom, image, n);
	e = mem_add_slot(&vm->mem, MEM_HIGH_BASE - n, n, m->rom, NULL, "firmware", why);
	if (e != ERR_OK) {
		vm->cfg.host->page_free(m->rom, n);
		m->rom = NULL;
		return e;
	}
	machine_reset(vm); /* the host bridge now comes up with the ROM in front of its shadow */
	return vm->ended ? err_set(why, ERR_IO, "%s", vm->end.detail) : ERR_OK;
}

size_t machine_type(struct vm *vm, const uint8_t *text, size_t n)
{
	size_t i;

	/* A guest listens to one of the two: a byte is taken when either has room. */
	for (i = 0; i < n; i++) {
		bool serial = uart16550_type(dev_get(vm, DEV_UART16550), text[i]);
		bool keyboard = i8042_type(dev_get(vm, DEV_I8042), text[i]);

		if (!serial && !keyboard)
			break;
	}
	return i;
}

bool machine_screen(struct vm *vm, char lines[25][81])
{
	return vga_screen(dev_get(vm, DEV_VGA), lines);
}

size_t machine_n_devices(const struct vm *vm)
{
	return vm->machine ? DEV_COUNT : 0;
}

struct device *machine_device(const struct vm *vm, size_t i)
{
	return &vm->machine->dev[i];
}

struct device *machine_find(const struct vm *vm, const char *name)
{
	for (unsigned i = 0; i < DEV_COUNT; i++)
		if (strcmp(table[i].ops->name, name) == 0)
			return &vm->machine->dev[i];
	return NULL;
}
