/*
 * The i440FX host bridge: the way to PCI configuration space (mechanism 1), and the ROM shadow.
 *
 *   cf8  CONFADDR, 32-bit accesses only:  31 enable | 23-16 bus | 15-11 device | 10-8 function | 7-2 register
 *   cfc  CONFDATA: that register, by 1, 2 or 4 bytes
 *   cf9  reset control (of the PIIX3, but between the two): bit 2 going from 0 to 1 resets the machine
 *
 * ROM shadow: registers 59..5f (PAM) say for 13 segments of C0000..FFFFF whether a read goes to RAM (bit 0 of four) or
 * to what is behind PCI, which is the firmware at E0000..FFFFF and nothing below it, and whether a write goes to RAM
 * (bit 1) or is dropped. Firmware copies itself into the RAM behind it and then makes that read-only. Each change
 * retargets a memory slot. Without firmware the machine comes up as firmware would have left it: all of it plain RAM.
 */
#include "core/dev/pci.h"

#define CONFADDR_ENABLE 0x80000000u
#define RESET_CPU 0x04u
#define RESET_WRITABLE 0x06u
#define PAM_FIRST 0x59u
#define PAM_LAST 0x5fu
#define PAM_READ 1u
#define PAM_WRITE 2u
#define PAM_SEGMENTS 13u
#define ROM_VIEW_BASE 0xe0000u
#define ROM_VIEW_SIZE 0x20000u

struct i440fx_state {
	struct pci_config config; /* first: struct pci_config */
	uint32_t address;
	uint8_t reset_control;
	uint8_t pad[3];
};

static const struct pci_function *const functions[] = {&i440fx_function, &piix3_function, &piix4pm_function};

static unsigned pam_attributes(const struct i440fx_state *s, unsigned segment)
{
	const uint8_t *pam = &s->config.byte[PAM_FIRST];

	if (segment == PAM_SEGMENTS - 1) /* F0000: upper half of the first register */
		return pam[0] >> 4 & 3u;
	return pam[1 + segment / 2] >> (segment & 1 ? 4 : 0) & 3u;
}

/* What a read of gpa finds on PCI. The last 128 KiB of the firmware, ending at 1 MiB. */
static uint8_t *rom_view(const struct machine *m, gpa_t gpa)
{
	size_t view = m->rom_len < ROM_VIEW_SIZE ? m->rom_len : ROM_VIEW_SIZE;
	gpa_t base = ROM_VIEW_BASE + ROM_VIEW_SIZE - view;

	return m->rom && gpa >= base ? m->rom + (m->rom_len - view) + (gpa - base) : NULL;
}

static void retarget(struct device *d, unsigned segment)
{
	struct vm *vm = d->vm;
	unsigned slot = vm->machine->pam_slot + segment, attr = pam_attributes(d->state, segment);
	const struct mem_slot *m = &vm->mem.slots[slot];
	uint8_t *ram = vm->mem.ram + m->gpa;
	uint8_t *read = attr & PAM_READ ? ram : rom_view(vm->machine, m->gpa), *write = attr & PAM_WRITE ? ram : NULL;
	struct errmsg why = {{0}};

	if (m->read == read && m->write == write)
		return;
	if (mem_retarget(&vm->mem, slot, read, write, &why) != ERR_OK)
		vm_kill(vm, END_HOST_ERROR, 0, "ROM shadow: %s", why.text);
}

static void retarget_all(struct device *d)
{
	for (unsigned i = 0; i < PAM_SEGMENTS; i++)
		retarget(d, i);
}

static void config_written(struct device *d, unsigned offset)
{
	if (offset == PAM_FIRST)
		retarget(d, PAM_SEGMENTS - 1);
	else if (offset > PAM_FIRST && offset <= PAM_LAST)
		for (unsigned i = 0; i < 2; i++)
			retarget(d, (offset - PAM_FIRST - 1) * 2 + i);
}

static const struct pci_field fields[] = {
    PCI_HEADER(0x1237, 0x06, 0x00, 0x02, 0x02, 0x06, 0x00, 0x00), {0x05, 0x00, 0x01}, /* SERR# enable */
    {0x0d, 0x00, 0xf8},								      /* latency timer */
    {0x50, 0x00, 0xff},								      /* PMC configuration */
    {0x51, 0x01, 0xff}, {0x52, 0x00, 0xff}, {0x53, 0x80, 0xff},
    {0x57, 0x01, 0xff},			    /* DRAM control and timing: kept, without effect */
    {0x58, 0x10, 0xff}, {0x59, 0x00, 0x30}, /* PAM */
    {0x5a, 0x00, 0x33}, {0x5b, 0x00, 0x33}, {0x5c, 0x00, 0x33}, {0x5d, 0x00, 0x33}, {0x5e, 0x00, 0x33},
    {0x5f, 0x00, 0x33}, {0x60, 0x01, 0xff}, /* DRAM row boundaries: kept, without effect */
    {0x61, 0x01, 0xff}, {0x62, 0x01, 0xff}, {0x63, 0x01, 0xff}, {0x64, 0x01, 0xff}, {0x65, 0x01, 0xff},
    {0x66, 0x01, 0xff}, {0x67, 0x01, 0xff}, {0x72, 0x02, 0x00}, /* SMRAM: this machine has no system management mode */
};

const struct pci_function i440fx_function = {
    .devfn = PCI_DEVFN(0, 0),
    .dev = DEV_I440FX,
    .fields = fields,
    .n_fields = ARRAY_LEN(fields),
    .written = config_written,
};

/* The function that CONFADDR selects, or NULL. */
static const struct pci_function *selected(const struct i440fx_state *s)
{
	if ((s->address & CONFADDR_ENABLE) && (s->address >> 16 & 0xffu) == 0)
		for (unsigned i = 0; i < ARRAY_LEN(functions); i++)
			if (functions[i]->devfn == (s->address >> 8 & 0xffu))
				return functions[i];
	return NULL;
}

static uint64_t i440fx_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct i440fx_state *s = d->state;
	const struct pci_function *f = selected(s);

	(void)region;
	if (off == 0 && len == 4)
		return s->address;
	if (off == 1 && len == 1)
		return s->reset_control;
	if (off < 4 || !f)
		return UINT32_MAX;
	return pci_config_read(dev_get(d->vm, f->dev), (s->address & 0xfcu) + (off & 3u), len);
}

static void i440fx_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct i440fx_state *s = d->state;
	const struct pci_function *f = selected(s);

	(void)region;
	if (off == 0 && len == 4) {
		s->address = (uint32_t)value & 0x80fffffcu;
	} else if (off == 1 && len == 1) {
		if ((value & RESET_CPU) && !(s->reset_control & RESET_CPU))
			dev_request_reset(d->vm);
		s->reset_control = value & RESET_WRITABLE;
	} else if (off >= 4 && f) {
		pci_config_write(dev_get(d->vm, f->dev), f, (s->address & 0xfcu) + (off & 3u), len, (uint32_t)value);
	}
}

static enum err i440fx_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void i440fx_reset(struct device *d)
{
	struct i440fx_state *s = d->state;

	s->address = 0;
	s->reset_control = 0;
	pci_config_reset(d, &i440fx_function);
	if (!d->vm->machine->rom) {
		s->config.byte[PAM_FIRST] = 0x30;
		memset(&s->config.byte[PAM_FIRST + 1], 0x33, PAM_LAST - PAM_FIRST);
	}
	retarget_all(d);
}

const struct device_ops i440fx_ops = {
    .name = "i440fx",
    .state_version = 1,
    .state_size = sizeof(struct i440fx_state),
    .init = i440fx_init,
    .reset = i440fx_reset,
    .read = i440fx_read,
    .write = i440fx_write,
    .max_access = 4,
    .restored = retarget_all,
};
