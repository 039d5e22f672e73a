/*
 * What the loaders share: checked little-endian reads of an untrusted image, checked writes into guest memory, the
 * memory map that every boot protocol wants in its own format, and the CPU states at the entry points.
 *
 * Below 640 KiB the loaders keep the area 88000-9FBFF for what they hand to the guest (GDT, page tables, boot
 * information, command line); an image that wants that memory for itself is refused.
 */
#ifndef VMSCOPE_CORE_LOADER_PRIV_H
#define VMSCOPE_CORE_LOADER_PRIV_H

#include "core/le.h"
#include "core/loader.h"
#include "core/vm.h"

#define LOW_END 0x9fc00ull	/* conventional memory ends, the EBDA begins */
#define BDA_EBDA 0x40eull	/* words of the BIOS data area that say so: its segment, */
#define BDA_MEMORY_KIB 0x413ull /* and the KiB below it */
#define LOW_RAM_END 0xa0000ull	/* VGA begins */
#define BOOT_AREA 0x88000ull	/* of the loaders, up to LOW_END */
#define BOOT_GDT 0x88000ull	/* null, null, code, data: selectors 10 and 18 */
#define BOOT_TABLES 0x89000ull	/* identity page tables: 6 pages */
#define BOOT_INFO 0x90000ull	/* boot information of the protocol: one page */
#define BOOT_MAP 0x91000ull	/* its memory map, where it is not in the information: one page */
#define BOOT_CMDLINE 0x92000ull /* 8 KiB */
#define BOOT_CMDLINE_MAX 0x2000u
#define BOOT_MODS 0x94000ull /* module list: one page */
#define BOOT_STRINGS 0x95000ull
#define BOOT_MODS_MAX 64u
#define BOOT_ACPI_RSDP 0xf0000ull /* the ACPI tables: where an operating system looks for them, in the ROM's place */
#define BOOT_ACPI 0xf0040ull
#define BOOT_MP 0xf1000ull /* the MP table */
#define MIB 0x100000ull

#define SEL_CODE 0x10u
#define SEL_DATA 0x18u

/* The image as bytes that nobody trusts. */
struct image {
	const uint8_t *p;
	size_t len;
	const char *name;
};

static inline bool image_has(const struct image *im, uint64_t at, uint64_t n)
{
	return at <= im->len && n <= im->len - at;
}

/* Little-endian; 0 outside the image (check image_has() first where that matters). */
static inline uint64_t image_get(const struct image *im, uint64_t at, unsigned n)
{
	uint64_t v = 0;

	if (!image_has(im, at, n))
		return 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)im->p[at + i] << (8 * i);
	return v;
}

static inline uint16_t image_u16(const struct image *im, uint64_t at)
{
	return (uint16_t)image_get(im, at, 2);
}
static inline uint32_t image_u32(const struct image *im, uint64_t at)
{
	return (uint32_t)image_get(im, at, 4);
}

enum map_type { MAP_RAM = 1, MAP_RESERVED = 2 };
struct map_entry {
	uint64_t base, len;
	uint32_t type;
};
#define MAP_MAX 6u

/* loader.c */
size_t loader_map(const struct vm *vm, struct map_entry out[MAP_MAX]);
uint64_t loader_low_end(const struct vm *vm); /* end of the RAM below 3 GiB */
/* Is all of [gpa, gpa+len) RAM that an image may be loaded to (and not the loaders' own area)? */
bool loader_is_free(const struct vm *vm, uint64_t gpa, uint64_t len);
/* Why it is not, and what to do: the rest of a sentence. */
const char *loader_why_not_free(uint64_t gpa, uint64_t len);
enum err loader_put(struct vm *vm, uint64_t gpa, const void *p, size_t n, const char *what, struct errmsg *why);
enum err loader_zero(struct vm *vm, uint64_t gpa, uint64_t n, const char *what, struct errmsg *why);
/* Command line with its terminator at BOOT_CMDLINE. name may be NULL: then only the arguments. */
enum err loader_cmdline(struct vm *vm, const char *name, const char *args, struct errmsg *why);
/* Copies the modules to pages from gpa upwards; where[i] is filled. */
enum err loader_modules(
    struct vm *vm, const struct load_request *r, uint64_t gpa, uint64_t where[BOOT_MODS_MAX], struct errmsg *why);
/* Module arguments at BOOT_STRINGS; where[i] is the address of the i-th. */
enum err loader_strings(struct vm *vm, const struct load_request *r, uint64_t where[BOOT_MODS_MAX], struct errmsg *why);
/* What firmware would have left for an operating system: the ACPI tables with the pointer to them, the MP table,
 * and where conventional memory ends. */
enum err loader_tables(struct vm *vm, struct errmsg *why);
/* vCPU 0 in flat 32-bit protected mode without paging, or in 64-bit mode with 4 GiB of identity mapping; interrupts
 * off, general registers 0. */
enum err loader_enter32(struct vm *vm, uint64_t rip, struct x86_state **out, struct errmsg *why);
enum err loader_enter64(struct vm *vm, uint64_t rip, struct x86_state **out, struct errmsg *why);

/* loader_elf.c */
bool elf_is(const struct image *im);
/* Loads all PT_LOAD segments; *end is the end of the highest one below 4 GiB. */
enum err elf_load(struct vm *vm, const struct image *im, uint64_t *end, struct errmsg *why);
/* The physical address of the entry point. */
uint64_t elf_entry(const struct image *im);
/* The PVH entry point of a Xen note. False: there is none. */
bool elf_pvh_entry(const struct image *im, uint64_t *entry);

/* One a format. */
bool multiboot_find(const struct image *im, uint64_t *header);
enum err load_flat16(struct vm *vm, const struct image *im, const struct load_request *r, struct errmsg *why);
enum err load_multiboot(struct vm *vm, const struct image *im, const struct load_request *r, struct errmsg *why);
enum err load_pvh(struct vm *vm, const struct image *im, const struct load_request *r, struct errmsg *why);
enum err load_linux(struct vm *vm, const struct image *im, const struct load_request *r, struct errmsg *why);

#endif
