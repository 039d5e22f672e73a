/*
 * What the boot loader says: memory and the bundle, from a multiboot loader or from our own boot sector. Copied before
 * anything else uses memory, because these structures lie wherever the loader liked.
 */
#include "core/lib.h"
#include "core/metal/metal_priv.h"

/* The Multiboot Specification, "Boot information format" */
#define MB_MEM (1u << 0)
#define MB_MODS (1u << 3)
#define MB_MMAP (1u << 6)
#define MAP_RAM 1u

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr;
};
struct mb_module {
	uint32_t start, end, string, reserved;
};

static void add_ram(struct boot_info *b, uint64_t base, uint64_t len)
{
	if (b->n_ram < METAL_RANGES_MAX && len)
		b->ram[b->n_ram++] = (struct mem_range){base, len};
}

static const void *at(uint64_t addr)
{
	return (const void *)(uintptr_t)addr;
}

/* An entry begins with its own size, which does not count itself. */
static void read_mmap(struct boot_info *b, uint32_t addr, uint32_t len)
{
	for (uint64_t p = addr, end = (uint64_t)addr + len; p + 24 <= end;) {
		uint32_t size, type;
		uint64_t base, n;

		memcpy(&size, at(p), 4);
		memcpy(&base, at(p + 4), 8);
		memcpy(&n, at(p + 12), 8);
		memcpy(&type, at(p + 20), 4);
		if (type == MAP_RAM)
			add_ram(b, base, n);
		p += (uint64_t)size + 4;
	}
}

static void from_multiboot(struct boot_info *b, const struct mb_info *m)
{
	b->loader = "multiboot";
	if (m->flags & MB_MMAP)
		read_mmap(b, m->mmap_addr, m->mmap_length);
	else if (m->flags & MB_MEM)
		add_ram(b, 0x100000, (uint64_t)m->mem_upper << 10);
	if ((m->flags & MB_MODS) && m->mods_count) {
		const struct mb_module *mod = at(m->mods_addr);
		b->bundle = mod->start;
		b->bundle_len = mod->end - mod->start;
	}
}

static void from_boot_sector(struct boot_info *b, const struct bootdisk_info *d)
{
	b->loader = "boot sector";
	b->bundle = d->bundle;
	b->bundle_len = d->bundle_len;
	for (uint32_t i = 0; i < d->n_e820 && i < BOOTDISK_E820_MAX; i++)
		if (d->e820[i].type == MAP_RAM)
			add_ram(b, d->e820[i].base, d->e820[i].len);
}

bool boot_info_read(struct boot_info *b, uint32_t magic, uint32_t addr)
{
	memset(b, 0, sizeof(*b));
	if (magic == MULTIBOOT_MAGIC)
		from_multiboot(b, at(addr));
	else if (magic == BOOTDISK_MAGIC)
		from_boot_sector(b, at(addr));
	return b->loader != NULL;
}
