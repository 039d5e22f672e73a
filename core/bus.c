/*
 * The port and MMIO bus. An access goes to the one device whose region holds all of it and that takes its width;
 * otherwise it is halved, as a real bus does with an access that a narrow device cannot take at once. A byte nobody
 * claims floats: it reads as ones.
 */
#include "core/bus.h"

#include "core/lib.h"

void bus_init(struct bus *b)
{
	memset(b, 0, sizeof(*b));
}

static bool overlaps(const struct bus_region *r, uint64_t base, uint64_t len)
{
	return base < r->base + r->len && r->base < base + len;
}

static enum err add(
    struct bus_region *table, unsigned *n, const struct bus_region *new, const char *kind, struct errmsg *why)
{
	for (unsigned i = 0; i < *n; i++)
		if (overlaps(&table[i], new->base, new->len))
			return err_set(why, ERR_BUSY, "%s: %s %#llx is taken by %s", new->dev->ops->name, kind,
			    (unsigned long long)new->base, table[i].dev->ops->name);
	if (*n == BUS_REGIONS_MAX)
		return err_set(
		    why, ERR_NOMEM, "%s: all %u %s regions are in use", new->dev->ops->name, BUS_REGIONS_MAX, kind);
	table[(*n)++] = *new;
	return ERR_OK;
}

enum err bus_add_pio(struct bus *b, uint16_t base, uint32_t len, struct device *d, unsigned region, struct errmsg *why)
{
	const struct bus_region r = {base, len, d, region};

	if (len == 0 || (uint64_t)base + len > 0x10000u)
		return err_set(why, ERR_RANGE, "%s: ports %#x, %u of them, do not exist", d->ops->name, base, len);
	enum err e = add(b->pio, &b->n_pio, &r, "port", why);
	if (e == ERR_OK)
		memset(b->port_map + base, (int)b->n_pio, len);
	return e;
}

static bool ports_free(const struct bus *b, uint32_t base, uint64_t len)
{
	if (base + len > BUS_NOWHERE)
		return false;
	for (uint64_t i = 0; i < len; i++)
		if (b->port_map[base + i])
			return false;
	return true;
}

bool bus_move_pio(struct bus *b, const struct device *d, unsigned region, uint32_t base)
{
	for (unsigned i = 0; i < b->n_pio; i++) {
		struct bus_region *r = &b->pio[i];

		if (r->dev != d || r->region != region)
			continue;
		if (r->base < BUS_NOWHERE)
			memset(b->port_map + r->base, 0, r->len);
		r->base = ports_free(b, base, r->len) ? base : BUS_NOWHERE;
		if (r->base < BUS_NOWHERE)
			memset(b->port_map + r->base, (int)i + 1, r->len);
		return r->base < BUS_NOWHERE;
	}
	return false;
}

static bool has_stayer(const struct bus *b, uint64_t base, uint64_t len)
{
	for (unsigned i = 0; i < b->n_pio; i++)
		if (overlaps(&b->pio[i], base, len) && b->pio[i].dev->ops->stays)
			return true;
	return false;
}

enum err bus_take_pio(struct bus *b, uint16_t base, uint32_t len, struct device *d, unsigned region, struct errmsg *why)
{
	bool can = (uint64_t)base + len <= 0x10000u && b->n_pio < BUS_REGIONS_MAX && !has_stayer(b, base, len);

	for (unsigned i = 0; can && i < b->n_pio; i++) {
		const struct bus_region *r = &b->pio[i];

		if (overlaps(r, base, len))
			(void)bus_move_pio(b, r->dev, r->region, BUS_NOWHERE);
	}
	return bus_add_pio(b, base, len, d, region, why); /* it says why, where it cannot */
}

enum err bus_add_mmio(struct bus *b, gpa_t base, uint64_t len, struct device *d, unsigned region, struct errmsg *why)
{
	const struct bus_region r = {base, len, d, region};

	if (len == 0 || base + len < base)
		return err_set(why, ERR_RANGE, "%s: MMIO region %#llx, %#llx bytes, does not fit", d->ops->name,
		    (unsigned long long)base, (unsigned long long)len);
	return add(b->mmio, &b->n_mmio, &r, "address", why);
}

static const struct bus_region *pio_find(const struct bus *b, uint64_t port)
{
	uint8_t i = b->port_map[port & 0xffff];

	return i ? &b->pio[i - 1] : NULL;
}

static const struct bus_region *mmio_find(const struct bus *b, uint64_t gpa)
{
	for (unsigned i = 0; i < b->n_mmio; i++)
		if (gpa - b->mmio[i].base < b->mmio[i].len)
			return &b->mmio[i];
	return NULL;
}

struct device *bus_pio_owner(const struct bus *b, uint16_t port)
{
	const struct bus_region *r = pio_find(b, port);

	return r ? r->dev : NULL;
}

/* One of the two address spaces, so that splitting is written once. */
struct space {
	const struct bus_region *(*find)(const struct bus *b, uint64_t at);
	uint64_t *unclaimed;
	uint64_t mask; /* addresses wrap around after it */
};

static bool claimed(const struct bus *b, const struct space *s, uint64_t at, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (s->find(b, at + i))
			return true;
	return false;
}

static bool fits(const struct bus_region *r, uint64_t at, unsigned size)
{
	return r && at - r->base + size <= r->len && size <= r->dev->ops->max_access;
}

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

static uint64_t space_read(const struct bus *b, const struct space *s, uint64_t at, unsigned size)
{
	const struct bus_region *r = s->find(b, at);

	if (fits(r, at, size))
		return r->dev->ops->read(r->dev, r->region, (uint32_t)(at - r->base), size) & ones(size);
	if (size == 1 || !claimed(b, s, at, size)) {
		++*s->unclaimed;
		return ones(size);
	}
	unsigned half = size / 2;
	uint64_t low = space_read(b, s, at, half);
	return low | space_read(b, s, (at + half) & s->mask, half) << (8 * half);
}

static void space_write(const struct bus *b, const struct space *s, uint64_t at, unsigned size, uint64_t value)
{
	const struct bus_region *r = s->find(b, at);

	if (fits(r, at, size)) {
		r->dev->ops->write(r->dev, r->region, (uint32_t)(at - r->base), size, value & ones(size));
		return;
	}
	if (size == 1 || !claimed(b, s, at, size)) {
		++*s->unclaimed;
		return;
	}
	unsigned half = size / 2;
	space_write(b, s, at, half, value);
	space_write(b, s, (at + half) & s->mask, half, value >> (8 * half));
}

uint64_t bus_pio_read(struct bus *b, uint16_t port, unsigned size)
{
	const struct space s = {pio_find, &b->unclaimed_pio, 0xffff};

	return space_read(b, &s, port, size);
}

void bus_pio_write(struct bus *b, uint16_t port, unsigned size, uint64_t value)
{
	const struct space s = {pio_find, &b->unclaimed_pio, 0xffff};

	space_write(b, &s, port, size, value);
}

uint64_t bus_mmio_read(struct bus *b, gpa_t gpa, unsigned size)
{
	const struct space s = {mmio_find, &b->unclaimed_mmio, UINT64_MAX};

	return space_read(b, &s, gpa, size);
}

void bus_mmio_write(struct bus *b, gpa_t gpa, unsigned size, uint64_t value)
{
	const struct space s = {mmio_find, &b->unclaimed_mmio, UINT64_MAX};

	space_write(b, &s, gpa, size, value);
}
