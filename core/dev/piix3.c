/*
 * The PIIX3 as PCI function 00:01.0: the bridge to the ISA devices of this machine. Its PIRQ routing registers hold
 * what firmware chooses; no device of this machine uses a PCI interrupt line yet. ELCR is in i8259.c, port cf9 in
 * i440fx.c.
 */
#include "core/dev/pci.h"

struct piix3_state {
	struct pci_config config; /* first: struct pci_config */
};

static const struct pci_field fields[] = {
    PCI_HEADER(0x7000, 0x07, 0x00, 0x02, 0x00, 0x06, 0x01, 0x80),
    {0x05, 0x00, 0x01}, /* SERR# enable */
    {0x4c, 0x4d, 0x7f}, /* ISA recovery timer */
    {0x4e, 0x03, 0xff}, /* X-bus chip selects */
    {0x4f, 0x00, 0x01},
    {0x60, 0x80, 0x8f}, /* PIRQ A..D: bit 7 off, else the IRQ */
    {0x61, 0x80, 0x8f},
    {0x62, 0x80, 0x8f},
    {0x63, 0x80, 0x8f},
    {0x69, 0x02, 0xfe}, /* top of memory */
    {0x6a, 0x00, 0x95}, /* miscellaneous status */
    {0x70, 0x80, 0xcf}, /* motherboard IRQ routing */
    {0x76, 0x0c, 0x8f}, /* motherboard DMA */
    {0x77, 0x0c, 0x8f},
    {0x78, 0x02, 0xff}, /* programmable chip select */
    {0xa0, 0x08, 0x1f}, /* SMI control and enables: kept, there is no system management mode */
    {0xa2, 0x00, 0xff},
    {0xa3, 0x00, 0x01},
    {0xa8, 0x0f, 0xff},
};

const struct pci_function piix3_function = {
    .devfn = PCI_DEVFN(1, 0),
    .dev = DEV_PIIX3,
    .fields = fields,
    .n_fields = ARRAY_LEN(fields),
};

static enum err piix3_init(struct device *d, struct errmsg *why)
{
	(void)d, (void)why;
	return ERR_OK;
}

static void piix3_reset(struct device *d)
{
	pci_config_reset(d, &piix3_function);
}

/* It has no ports or memory of its own: these are never called, and every member is mandatory. */
static uint64_t piix3_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	(void)d, (void)region, (void)off, (void)len;
	return UINT64_MAX;
}

static void piix3_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	(void)d, (void)region, (void)off, (void)len, (void)value;
}

const struct device_ops piix3_ops = {
    .name = "piix3",
    .state_version = 1,
    .state_size = sizeof(struct piix3_state),
    .init = piix3_init,
    .reset = piix3_reset,
    .read = piix3_read,
    .write = piix3_write,
    .max_access = 1,
};
