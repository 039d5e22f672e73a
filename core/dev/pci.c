/*
 * PCI configuration space by table: what is not in a function's table reads as zero and ignores writes.
 */
#include "core/dev/pci.h"

void pci_config_reset(struct device *d, const struct pci_function *f)
{
	struct pci_config *c = d->state;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < f->n_fields; i++)
		c->byte[f->fields[i].offset] = f->fields[i].reset;
}

uint32_t pci_config_read(const struct device *d, unsigned offset, unsigned len)
{
	const struct pci_config *c = d->state;
	uint32_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (uint32_t)c->byte[(offset + i) & 0xffu] << (8 * i);
	return v;
}

static uint8_t writable_bits(const struct pci_function *f, unsigned offset)
{
	for (size_t i = 0; i < f->n_fields; i++)
		if (f->fields[i].offset == offset)
			return f->fields[i].writable;
	return 0;
}

void pci_config_write(struct device *d, const struct pci_function *f, unsigned offset, unsigned len, uint32_t value)
{
	struct pci_config *c = d->state;

	for (unsigned i = 0; i < len; i++) {
		unsigned at = (offset + i) & 0xffu;
		uint8_t bits = writable_bits(f, at), v = (uint8_t)(value >> (8 * i));

		c->byte[at] = (uint8_t)((c->byte[at] & ~bits) | (v & bits));
		if (bits && f->written)
			f->written(d, at);
	}
}
