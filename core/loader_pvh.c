/*
 * PVH: an ELF file with a note that names a 32-bit entry point. Xen's "hardware virtual machine without a BIOS"; Linux
 * and the BSDs have it, because it is the shortest way into a kernel. EBX points at one small structure.
 */
#include "core/lib.h"
#include "core/loader_priv.h"

#define START_MAGIC 0x336ec578u
#define START_SIZE 56u

static enum err put_map(struct vm *vm, size_t *n, struct errmsg *why)
{
	struct map_entry map[MAP_MAX];
	uint8_t out[24 * MAP_MAX] = {0};

	*n = loader_map(vm, map);
	for (size_t i = 0; i < *n; i++) {
		put_le(out + 24 * i, 8, map[i].base);
		put_le(out + 24 * i + 8, 8, map[i].len);
		put_le(out + 24 * i + 16, 4, map[i].type);
	}
	return loader_put(vm, BOOT_MAP, out, 24 * *n, "memory map", why);
}

static enum err put_modules(struct vm *vm, const struct load_request *r, uint64_t end, struct errmsg *why)
{
	uint64_t where[BOOT_MODS_MAX], strings[BOOT_MODS_MAX];
	uint8_t list[32 * BOOT_MODS_MAX] = {0};
	enum err e = loader_modules(vm, r, end < MIB ? MIB : end, where, why);

	if (e == ERR_OK)
		e = loader_strings(vm, r, strings, why);
	for (size_t i = 0; i < r->n_modules && e == ERR_OK; i++) {
		put_le(list + 32 * i, 8, where[i]);
		put_le(list + 32 * i + 8, 8, r->modules[i].len);
		put_le(list + 32 * i + 16, 8, strings[i]);
	}
	return e == ERR_OK ? loader_put(vm, BOOT_MODS, list, 32 * r->n_modules, "module list", why) : e;
}

static enum err put_start_info(struct vm *vm, const struct load_request *r, struct errmsg *why)
{
	uint8_t info[START_SIZE] = {0};
	size_t n;
	enum err e = put_map(vm, &n, why);

	if (e != ERR_OK)
		return e;
	put_le(info + 0, 4, START_MAGIC);
	put_le(info + 4, 4, 1); /* version: with a memory map */
	put_le(info + 12, 4, r->n_modules);
	put_le(info + 16, 8, r->n_modules ? BOOT_MODS : 0);
	put_le(info + 24, 8, BOOT_CMDLINE);
	put_le(info + 32, 8, BOOT_ACPI_RSDP);
	put_le(info + 40, 8, BOOT_MAP);
	put_le(info + 48, 4, n);
	return loader_put(vm, BOOT_INFO, info, sizeof(info), "PVH start information", why);
}

enum err load_pvh(struct vm *vm, const struct image *im, const struct load_request *r, struct errmsg *why)
{
	uint64_t entry, end;
	struct x86_state *s;

	if (!elf_pvh_entry(im, &entry))
		return err_set(why, ERR_FORMAT, "%s: no PVH note", im->name);
	enum err e = elf_load(vm, im, &end, why);
	if (e == ERR_OK && entry > UINT32_MAX)
		e = err_set(why, ERR_FORMAT, "%s: the PVH entry point %#llx is above 4 GiB", im->name,
		    (unsigned long long)entry);
	if (e == ERR_OK)
		e = put_modules(vm, r, end, why);
	if (e == ERR_OK)
		e = loader_cmdline(vm, NULL, r->cmdline, why);
	if (e == ERR_OK)
		e = put_start_info(vm, r, why);
	if (e == ERR_OK)
		e = loader_enter32(vm, entry, &s, why);
	if (e == ERR_OK)
		s->gpr[X86_RBX] = BOOT_INFO;
	return e;
}
