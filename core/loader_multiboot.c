/*
 * Multiboot 1: a header in the first 8 KiB of the image says where it wants to be, the loader leaves the CPU in flat
 * 32-bit mode with EAX = 2BADB002 and EBX pointing at what it knows about the machine. ELF images of either width, and
 * images of any other format that carry their load addresses in the header.
 */
#include "core/lib.h"
#include "core/loader_priv.h"

#define MB_SEARCH 8192u
#define MB_MAGIC 0x1badb002u
#define MB_BOOT_MAGIC 0x2badb002u
#define MB_ADDRESSES (1u << 16)
#define MB_KNOWN 0x7u /* page-aligned modules, memory information, video mode (the text mode stays) */
#define MB_INFO_SIZE 120u

bool multiboot_find(const struct image *im, uint64_t *header)
{
	for (uint64_t at = 0; at + 12 <= im->len && at + 12 <= MB_SEARCH; at += 4)
		if (image_u32(im, at) == MB_MAGIC &&
		    (uint32_t)(image_u32(im, at) + image_u32(im, at + 4) + image_u32(im, at + 8)) == 0) {
			*header = at;
			return true;
		}
	return false;
}

/* The header has the addresses: the file is copied from where the header's own address says that loading starts. */
static enum err load_by_header(
    struct vm *vm, const struct image *im, uint64_t header, uint64_t *entry, uint64_t *end, struct errmsg *why)
{
	if (!image_has(im, header, 32))
		return err_set(why, ERR_FORMAT, "%s: truncated inside the multiboot header", im->name);
	uint64_t header_addr = image_u32(im, header + 12), load = image_u32(im, header + 16);
	uint64_t load_end = image_u32(im, header + 20), bss_end = image_u32(im, header + 24);

	if (header_addr < load || header_addr - load > header)
		return err_set(why, ERR_FORMAT, "%s: the multiboot header's addresses contradict its place", im->name);
	uint64_t offset = header - (header_addr - load);
	uint64_t size = load_end ? load_end - load : im->len - offset;
	if ((load_end && load_end < load) || !image_has(im, offset, size))
		return err_set(why, ERR_FORMAT, "%s: truncated: the header promises %#llx bytes from %#llx on",
		    im->name, (unsigned long long)size, (unsigned long long)offset);
	uint64_t total = bss_end > load + size ? bss_end - load : size;
	if (!loader_is_free(vm, load, total))
		return err_set(why, ERR_RANGE, "%s: the image of %#llx bytes at %#llx %s", im->name,
		    (unsigned long long)total, (unsigned long long)load, loader_why_not_free(load, total));
	*entry = image_u32(im, header + 28);
	*end = load + total;
	enum err e = loader_put(vm, load, im->p + offset, (size_t)size, im->name, why);
	return e == ERR_OK ? loader_zero(vm, load + size, total - size, im->name, why) : e;
}

static enum err put_memory_map(struct vm *vm, uint32_t *bytes, struct errmsg *why)
{
	struct map_entry map[MAP_MAX];
	size_t n = loader_map(vm, map);
	uint8_t out[24 * MAP_MAX] = {0};

	for (size_t i = 0; i < n; i++) {
		put_le(out + 24 * i, 4, 20); /* size of the rest of the entry */
		put_le(out + 24 * i + 4, 8, map[i].base);
		put_le(out + 24 * i + 12, 8, map[i].len);
		put_le(out + 24 * i + 20, 4, map[i].type);
	}
	*bytes = (uint32_t)(24 * n);
	return loader_put(vm, BOOT_MAP, out, 24 * n, "memory map", why);
}

static enum err put_modules(struct vm *vm, const struct load_request *r, uint64_t end, struct errmsg *why)
{
	uint64_t where[BOOT_MODS_MAX], strings[BOOT_MODS_MAX];
	uint8_t list[16 * BOOT_MODS_MAX] = {0};
	enum err e = loader_modules(vm, r, end < MIB ? MIB : end, where, why);

	if (e == ERR_OK)
		e = loader_strings(vm, r, strings, why);
	for (size_t i = 0; i < r->n_modules && e == ERR_OK; i++) {
		put_le(list + 16 * i, 4, where[i]);
		put_le(list + 16 * i + 4, 4, where[i] + r->modules[i].len);
		put_le(list + 16 * i + 8, 4, strings[i]);
	}
	return e == ERR_OK ? loader_put(vm, BOOT_MODS, list, 16 * r->n_modules, "module list", why) : e;
}

static enum err put_info(struct vm *vm, const struct load_request *r, struct errmsg *why)
{
	static const char loader_name[] = "vmscope";
	uint8_t info[MB_INFO_SIZE + sizeof(loader_name)] = {0};
	uint32_t map_bytes, flags = 1u << 0 | 1u << 2 | 1u << 3 | 1u << 6 | 1u << 9;
	enum err e = put_memory_map(vm, &map_bytes, why);

	if (e != ERR_OK)
		return e;
	put_le(info + 0, 4, flags);
	put_le(info + 4, 4, LOW_END >> 10);
	put_le(info + 8, 4, (loader_low_end(vm) - MIB) >> 10);
	put_le(info + 16, 4, BOOT_CMDLINE);
	put_le(info + 20, 4, r->n_modules);
	put_le(info + 24, 4, BOOT_MODS);
	put_le(info + 44, 4, map_bytes);
	put_le(info + 48, 4, BOOT_MAP);
	put_le(info + 64, 4, BOOT_INFO + MB_INFO_SIZE);
	memcpy(info + MB_INFO_SIZE, loader_name, sizeof(loader_name));
	return loader_put(vm, BOOT_INFO, info, sizeof(info), "multiboot information", why);
}

enum err load_multiboot(struct vm *vm, const struct image *im, const struct load_request *r, struct errmsg *why)
{
	uint64_t header, entry = 0, end = 0;
	struct x86_state *s;
	enum err e;

	if (!multiboot_find(im, &header))
		return err_set(why, ERR_FORMAT, "%s: no multiboot header", im->name);
	uint32_t flags = image_u32(im, header + 4);
	if (flags & 0xffffu & ~MB_KNOWN)
		return err_set(why, ERR_UNSUPPORTED, "%s: the multiboot header asks for features %#x, not known here",
		    im->name, flags & 0xffffu & ~MB_KNOWN);
	if (flags & MB_ADDRESSES) {
		e = load_by_header(vm, im, header, &entry, &end, why);
	} else if (elf_is(im)) {
		e = elf_load(vm, im, &end, why);
		entry = elf_entry(im);
	} else {
		e = err_set(
		    why, ERR_FORMAT, "%s: a multiboot header without addresses, in a file that is not ELF", im->name);
	}
	if (e == ERR_OK && entry > UINT32_MAX)
		e = err_set(why, ERR_FORMAT,
		    "%s: the entry point %#llx is above 4 GiB, and multiboot starts in 32-bit mode", im->name,
		    (unsigned long long)entry);
	if (e == ERR_OK)
		e = put_modules(vm, r, end, why);
	if (e == ERR_OK)
		e = loader_cmdline(vm, im->name, r->cmdline, why);
	if (e == ERR_OK)
		e = put_info(vm, r, why);
	if (e == ERR_OK)
		e = loader_enter32(vm, entry, &s, why);
	if (e != ERR_OK)
		return e;
	s->gpr[X86_RAX] = MB_BOOT_MAGIC;
	s->gpr[X86_RBX] = BOOT_INFO;
	return ERR_OK;
}
