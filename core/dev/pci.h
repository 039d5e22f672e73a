/*
 * A PCI function's configuration space: 256 bytes, of which a table says what they hold after reset and which bits can
 * be written. The state struct of a device that is a PCI function begins with its struct pci_config.
 */
#ifndef VMSCOPE_CORE_DEV_PCI_H
#define VMSCOPE_CORE_DEV_PCI_H

#include "core/dev/dev.h"

#define PCI_DEVFN(device, function) ((uint8_t)((device) << 3 | (function)))

struct pci_config {
	uint8_t byte[256];
};

struct pci_field {
	uint8_t offset, reset, writable;
};

struct pci_function {
	uint8_t devfn; /* on bus 0 */
	enum dev_id dev;
	const struct pci_field *fields;
	size_t n_fields;
	void (*written)(struct device *d, unsigned offset); /* after a byte was written; may be NULL */
};

extern const struct pci_function i440fx_function, piix3_function, piix4pm_function;

void pci_config_reset(struct device *d, const struct pci_function *f);
uint32_t pci_config_read(const struct device *d, unsigned offset, unsigned len);
void pci_config_write(struct device *d, const struct pci_function *f, unsigned offset, unsigned len, uint32_t value);

/* Fields that every function has: vendor, device, command, status, revision, class, header type, subsystem 1af4:1100 */
#define PCI_HEADER(device_id, command, command_bits, status_high, revision, class_high, class_low, header)    \
	{0x00, 0x86, 0}, {0x01, 0x80, 0}, {0x02, (device_id)&0xff, 0}, {0x03, (device_id) >> 8, 0},           \
	    {0x04, command, command_bits}, {0x06, 0x80, 0}, {0x07, status_high, 0}, {0x08, revision, 0},      \
	    {0x0a, class_low, 0}, {0x0b, class_high, 0}, {0x0e, header, 0}, {0x2c, 0xf4, 0}, {0x2d, 0x1a, 0}, \
	    {0x2e, 0x00, 0},                                                                                  \
	{                                                                                                     \
		0x2f, 0x11, 0                                                                                 \
	}

#endif
