/*
 * ELF files, as far as a boot loader needs them: program headers, the entry point, and Xen's note. Both widths through
 * one set of accessors; every offset and size is checked against the file before use.
 */
#include "core/lib.h"
#include "core/loader_priv.h"

#define PT_LOAD 1u
#define PT_NOTE 4u
#define XEN_NOTE_PHYS32_ENTRY 18u
#define EM_386 3u
#define EM_X86_64 62u
#define ET_EXEC 2u

struct phdr {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz;
};

static bool is_64(const struct image *im)
{
	return im->len > 4 && im->p[4] == 2;
}

bool elf_is(const struct image *im)
{
	return image_u32(im, 0) == 0x464c457fu && image_has(im, 0, is_64(im) ? 64 : 52);
}

static unsigned phdr_count(const struct image *im)
{
	return image_u16(im, is_64(im) ? 56 : 44);
}

/* False: the program header lies outside the file. */
static bool phdr_get(const struct image *im, unsigned i, struct phdr *ph)
{
	bool wide = is_64(im);
	uint64_t size = image_u16(im, wide ? 54 : 42);
	uint64_t table = wide ? image_get(im, 32, 8) : image_u32(im, 28);
	uint64_t at = table + i * size;

	if (size < (wide ? 56u : 32u) || table > im->len || !image_has(im, at, size))
		return false;
	ph->type = image_u32(im, at);
	ph->offset = image_get(im, at + (wide ? 8 : 4), wide ? 8 : 4);
	ph->vaddr = image_get(im, at + (wide ? 16 : 8), wide ? 8 : 4);
	ph->paddr = image_get(im, at + (wide ? 24 : 12), wide ? 8 : 4);
	ph->filesz = image_get(im, at + (wide ? 32 : 16), wide ? 8 : 4);
	ph->memsz = image_get(im, at + (wide ? 40 : 20), wide ? 8 : 4);
	return true;
}

/* A kernel in the higher half may be linked with a virtual entry point, and starts without paging: GRUB and QEMU, too,
 * take the physical address of the same byte. */
uint64_t elf_entry(const struct image *im)
{
	uint64_t entry = is_64(im) ? image_get(im, 24, 8) : image_u32(im, 24);
	struct phdr ph;

	for (unsigned i = 0; i < phdr_count(im) && phdr_get(im, i, &ph); i++)
		if (ph.type == PT_LOAD && entry >= ph.vaddr && entry - ph.vaddr < ph.memsz)
			return entry - ph.vaddr + ph.paddr;
	return entry;
}

static enum err load_segment(
    struct vm *vm, const struct image *im, unsigned i, const struct phdr *ph, struct errmsg *why)
{
	if (ph->filesz > ph->memsz)
		return err_set(why, ERR_FORMAT, "%s: segment %u is larger in the file than in memory", im->name, i);
	if (!image_has(im, ph->offset, ph->filesz))
		return err_set(
		    why, ERR_FORMAT, "%s: truncated: segment %u ends after the file's %zu bytes", im->name, i, im->len);
	if (!loader_is_free(vm, ph->paddr, ph->memsz))
		return err_set(why, ERR_RANGE, "%s: segment %u (%#llx, %#llx bytes) %s", im->name, i,
		    (unsigned long long)ph->paddr, (unsigned long long)ph->memsz,
		    loader_why_not_free(ph->paddr, ph->memsz));
	enum err e = loader_put(vm, ph->paddr, im->p + ph->offset, (size_t)ph->filesz, im->name, why);
	if (e == ERR_OK)
		e = loader_zero(vm, ph->paddr + ph->filesz, ph->memsz - ph->filesz, im->name, why);
	return e;
}

enum err elf_load(struct vm *vm, const struct image *im, uint64_t *end, struct errmsg *why)
{
	unsigned n = phdr_count(im), loaded = 0, machine = image_u16(im, 18);
	struct phdr ph;

	*end = 0;
	if (im->p[5] != 1 || (machine != EM_386 && machine != EM_X86_64) || image_u16(im, 16) != ET_EXEC)
		return err_set(why, ERR_FORMAT, "%s: not an x86 executable (ELF type %u, machine %u)", im->name,
		    image_u16(im, 16), machine);
	for (unsigned i = 0; i < n; i++) {
		if (!phdr_get(im, i, &ph))
			return err_set(
			    why, ERR_FORMAT, "%s: truncated: program header %u is outside the file", im->name, i);
		if (ph.type != PT_LOAD || ph.memsz == 0)
			continue;
		enum err e = load_segment(vm, im, i, &ph, why);
		if (e != ERR_OK)
			return e;
		loaded++;
		if (ph.paddr + ph.memsz > *end && ph.paddr < MEM_HIGH_BASE)
			*end = ph.paddr + ph.memsz;
	}
	return loaded ? ERR_OK : err_set(why, ERR_FORMAT, "%s: the ELF file has no segment to load", im->name);
}

/* A note: name size, descriptor size, type, then name and descriptor, each padded to 4 bytes. */
static bool note_entry(const struct image *im, const struct phdr *ph, uint64_t *entry)
{
	uint64_t at = ph->offset, end = ph->offset + ph->filesz;

	if (!image_has(im, ph->offset, ph->filesz))
		return false;
	while (end - at >= 12) {
		uint64_t namesz = image_u32(im, at), descsz = image_u32(im, at + 4);
		uint64_t desc = at + 12 + ((namesz + 3) & ~3ull), next = desc + ((descsz + 3) & ~3ull);

		if (desc + descsz > end)
			return false;
		if (image_u32(im, at + 8) == XEN_NOTE_PHYS32_ENTRY && namesz == 4 &&
		    image_u32(im, at + 12) == 0x6e6558u && (descsz == 4 || descsz == 8)) {
			*entry = image_get(im, desc, (unsigned)descsz);
			return true;
		}
		if (next > end)
			return false;
		at = next;
	}
	return false;
}

bool elf_pvh_entry(const struct image *im, uint64_t *entry)
{
	struct phdr ph;

	for (unsigned i = 0; i < phdr_count(im); i++)
		if (phdr_get(im, i, &ph) && ph.type == PT_NOTE && note_entry(im, &ph, entry))
			return true;
	return false;
}
