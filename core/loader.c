/*
 * Loaders, the common part: what kind of image is it, where may it go, and the CPU states at the entry points. Booting
 * a kernel directly skips the firmware, so the loader has to leave memory and CPU as the boot protocol says that a boot
 * loader would. Nothing in an image is believed before it was checked.
 */
#include "core/loader_priv.h"

#include "core/acpi.h"
#include "core/lib.h"
#include "core/mptable.h"

#define FLAT16_MAX 0x10000u
#define LINUX_MAGIC 0x53726448u /* "HdrS" */

const char *image_kind_name(enum image_kind k)
{
	switch (k) {
	case IMAGE_FLAT16:
		return "flat 16-bit";
	case IMAGE_MULTIBOOT:
		return "multiboot";
	case IMAGE_PVH:
		return "PVH ELF";
	case IMAGE_LINUX:
		return "Linux bzImage";
	default:
		return "unknown";
	}
}

static enum err identify(const struct image *im, enum image_kind *kind, struct errmsg *why)
{
	uint64_t at;

	if (im->len == 0)
		return err_set(why, ERR_FORMAT, "%s: the image is empty", im->name);
	if (multiboot_find(im, &at)) {
		*kind = IMAGE_MULTIBOOT;
		return ERR_OK;
	}
	if (elf_is(im)) {
		*kind = IMAGE_PVH;
		if (elf_pvh_entry(im, &at))
			return ERR_OK;
		return err_set(why, ERR_FORMAT,
		    "%s: an ELF file with neither a multiboot header nor a PVH note: it has no boot protocol",
		    im->name);
	}
	if (image_u32(im, 0x202) == LINUX_MAGIC && image_u16(im, 0x1fe) == 0xaa55) {
		*kind = IMAGE_LINUX;
		return ERR_OK;
	}
	if (im->len > FLAT16_MAX)
		return err_set(why, ERR_FORMAT,
		    "%s: neither multiboot, PVH ELF nor Linux bzImage, and %zu bytes are too many for a flat 16-bit "
		    "image "
		    "(at most 65536)",
		    im->name, im->len);
	*kind = IMAGE_FLAT16;
	return ERR_OK;
}

enum err image_identify(const void *image, size_t len, enum image_kind *kind, struct errmsg *why)
{
	const struct image im = {image, len, "image"};

	return identify(&im, kind, why);
}

enum err image_load(struct vm *vm, const struct load_request *r, struct errmsg *why)
{
	const struct image im = {r->image, r->len, r->name ? r->name : "image"};
	enum image_kind kind;
	enum err e = identify(&im, &kind, why);

	if (e != ERR_OK)
		return e;
	if (r->n_modules > BOOT_MODS_MAX)
		return err_set(why, ERR_RANGE, "%s: %zu modules; at most %u", im.name, r->n_modules, BOOT_MODS_MAX);
	e = loader_tables(vm, why);
	if (e != ERR_OK)
		return e;
	switch (kind) {
	case IMAGE_MULTIBOOT:
		return load_multiboot(vm, &im, r, why);
	case IMAGE_PVH:
		return load_pvh(vm, &im, r, why);
	case IMAGE_LINUX:
		return load_linux(vm, &im, r, why);
	case IMAGE_FLAT16:
	default:
		return load_flat16(vm, &im, r, why);
	}
}

/* --- Memory ------------------------------------------------------------------------------------------------------ */

uint64_t loader_low_end(const struct vm *vm)
{
	return vm->mem.ram_size < MEM_LOW_MAX ? vm->mem.ram_size : MEM_LOW_MAX;
}

size_t loader_map(const struct vm *vm, struct map_entry out[MAP_MAX])
{
	uint64_t low_end = loader_low_end(vm), high = vm->mem.ram_size - low_end;
	size_t n = 0;

	out[n++] = (struct map_entry){0, LOW_END, MAP_RAM};
	out[n++] = (struct map_entry){LOW_END, LOW_RAM_END - LOW_END, MAP_RESERVED};
	out[n++] = (struct map_entry){0xf0000, 0x10000, MAP_RESERVED};
	if (low_end > MIB)
		out[n++] = (struct map_entry){MIB, low_end - MIB, MAP_RAM};
	if (high)
		out[n++] = (struct map_entry){MEM_HIGH_BASE, high, MAP_RAM};
	return n;
}

static bool inside(uint64_t gpa, uint64_t len, uint64_t start, uint64_t end)
{
	return gpa >= start && gpa <= end && len <= end - gpa;
}

bool loader_is_free(const struct vm *vm, uint64_t gpa, uint64_t len)
{
	uint64_t low_end = loader_low_end(vm);

	return inside(gpa, len, 0, BOOT_AREA) || inside(gpa, len, MIB, low_end) ||
	       inside(gpa, len, MEM_HIGH_BASE, MEM_HIGH_BASE + vm->mem.ram_size - low_end);
}

static bool overlaps(uint64_t gpa, uint64_t len, uint64_t start, uint64_t end)
{
	return gpa < end && (gpa >= start || len > start - gpa);
}

const char *loader_why_not_free(uint64_t gpa, uint64_t len)
{
	if (overlaps(gpa, len, LOW_RAM_END, MIB))
		return "overlaps a0000-fffff (video memory and ROM): link it at 1 MiB or above, with ld -n";
	if (overlaps(gpa, len, BOOT_AREA, LOW_RAM_END))
		return "overlaps 88000-9ffff (used while booting): link it at 1 MiB or above, with ld -n";
	return "is outside the guest's memory; try a larger --mem";
}

enum err loader_put(struct vm *vm, uint64_t gpa, const void *p, size_t n, const char *what, struct errmsg *why)
{
	if (n == 0 || mem_write(&vm->mem, gpa, p, n) == ERR_OK)
		return ERR_OK;
	return err_set(why, ERR_RANGE, "%s: no memory at %#llx for %zu bytes", what, (unsigned long long)gpa, n);
}

enum err loader_zero(struct vm *vm, uint64_t gpa, uint64_t n, const char *what, struct errmsg *why)
{
	static const uint8_t zeros[PAGE_SIZE_4K];
	enum err e = ERR_OK;

	while (n > 0 && e == ERR_OK) {
		size_t k = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);
		e = loader_put(vm, gpa, zeros, k, what, why);
		gpa += k;
		n -= k;
	}
	return e;
}

enum err loader_tables(struct vm *vm, struct errmsg *why)
{
	uint8_t rsdp[ACPI_RSDP_SIZE], mp[MPTABLE_MAX], word[2];
	struct acpi_tables t;
	unsigned mp_len = mptable_build(vm, BOOT_MP, mp);

	acpi_build(vm, BOOT_ACPI, &t);
	acpi_build_rsdp(&t, BOOT_ACPI, rsdp);
	enum err e = loader_put(vm, BOOT_ACPI_RSDP, rsdp, sizeof(rsdp), "ACPI tables", why);
	if (e == ERR_OK)
		e = loader_put(vm, BOOT_ACPI, t.byte, t.len, "ACPI tables", why);
	if (e == ERR_OK)
		e = loader_put(vm, BOOT_MP, mp, mp_len, "MP table", why);
	put_le(word, 2, LOW_END >> 4);
	if (e == ERR_OK)
		e = loader_put(vm, BDA_EBDA, word, 2, "BIOS data area", why);
	put_le(word, 2, LOW_END >> 10);
	return e == ERR_OK ? loader_put(vm, BDA_MEMORY_KIB, word, 2, "BIOS data area", why) : e;
}

static const char *base_name(const char *path)
{
	const char *base = path;

	for (; *path; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

enum err loader_cmdline(struct vm *vm, const char *name, const char *args, struct errmsg *why)
{
	const char *space = name && args ? " " : "";
	char line[2048];
	int n = fmt_snprintf(line, sizeof(line), "%s%s%s", name ? base_name(name) : "", space, args ? args : "");

	if ((size_t)n >= sizeof(line))
		return err_set(why, ERR_RANGE, "the command line has %d bytes; at most %zu", n, sizeof(line) - 1);
	return loader_put(vm, BOOT_CMDLINE, line, (size_t)n + 1, "command line", why);
}

enum err loader_modules(
    struct vm *vm, const struct load_request *r, uint64_t gpa, uint64_t where[BOOT_MODS_MAX], struct errmsg *why)
{
	enum err e = ERR_OK;

	for (size_t i = 0; i < r->n_modules && e == ERR_OK; i++) {
		gpa = (gpa + PAGE_SIZE_4K - 1) & ~(uint64_t)(PAGE_SIZE_4K - 1);
		if (!loader_is_free(vm, gpa, r->modules[i].len))
			return err_set(why, ERR_RANGE,
			    "module %zu has %zu bytes and does not fit at %#llx: give the guest more memory", i,
			    r->modules[i].len, (unsigned long long)gpa);
		where[i] = gpa;
		e = loader_put(vm, gpa, r->modules[i].data, r->modules[i].len, "module", why);
		gpa += r->modules[i].len;
	}
	return e;
}

enum err loader_strings(struct vm *vm, const struct load_request *r, uint64_t where[BOOT_MODS_MAX], struct errmsg *why)
{
	uint64_t at = BOOT_STRINGS;
	enum err e = ERR_OK;

	for (size_t i = 0; i < r->n_modules && e == ERR_OK; i++) {
		const char *args = r->modules[i].args ? r->modules[i].args : "";
		size_t n = strlen(args) + 1;

		if (n > LOW_END - at)
			return err_set(why, ERR_RANGE, "the modules' arguments are too long: at most %llu bytes in all",
			    (unsigned long long)(LOW_END - BOOT_STRINGS));
		where[i] = at;
		e = loader_put(vm, at, args, n, "module arguments", why);
		at += n;
	}
	return e;
}

/* --- CPU states at the entry points ------------------------------------------------------------------------------ */

#define ATTR_CODE (0xbu | SEG_S | SEG_P | SEG_G)
#define ATTR_DATA (0x3u | SEG_S | SEG_P | SEG_G | SEG_DB)
#define ATTR_TSS_BUSY (0xbu | SEG_P)

static enum err put_gdt(struct vm *vm, uint32_t code_attr, struct errmsg *why)
{
	/* Base 0, limit FFFFF pages: access byte at bits 40-47, flags at 52-55. */
	uint64_t code =
	    0x000f00000000ffffull | (uint64_t)(code_attr & 0xff) << 40 | (uint64_t)(code_attr >> 12 & 0xf) << 52;
	uint64_t data =
	    0x000f00000000ffffull | (uint64_t)(ATTR_DATA & 0xff) << 40 | (uint64_t)(ATTR_DATA >> 12 & 0xf) << 52;
	uint8_t gdt[32] = {0};

	put_le(gdt + SEL_CODE, 8, code);
	put_le(gdt + SEL_DATA, 8, data);
	return loader_put(vm, BOOT_GDT, gdt, sizeof(gdt), "GDT", why);
}

static void flat_segments(struct x86_state *s, uint32_t code_attr)
{
	const struct x86_seg data = {.limit = UINT32_MAX, .attr = ATTR_DATA, .sel = SEL_DATA};

	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i] = data;
	s->seg[X86_CS] = (struct x86_seg){.limit = UINT32_MAX, .attr = code_attr, .sel = SEL_CODE};
	s->tr = (struct x86_seg){.limit = 0x67, .attr = ATTR_TSS_BUSY};
	s->ldtr = (struct x86_seg){.attr = SEG_UNUSABLE};
	s->gdtr = (struct x86_dtable){.base = BOOT_GDT, .limit = 31};
	s->idtr = (struct x86_dtable){.base = 0, .limit = 0};
}

static enum err enter(struct vm *vm, uint64_t rip, uint32_t code_attr, struct x86_state **out, struct errmsg *why)
{
	enum err e = put_gdt(vm, code_attr, why);
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	if (e != ERR_OK)
		return e;
	if (!s)
		return err_set(why, ERR_IO, "%s", vm->end.detail);
	memset(s->gpr, 0, sizeof(s->gpr));
	flat_segments(s, code_attr);
	s->rip = rip;
	s->rflags = FLAG_R1;
	s->cr0 = CR0_PE | CR0_ET;
	s->cr4 = 0;
	s->efer = 0;
	*out = s;
	return ERR_OK;
}

enum err loader_enter32(struct vm *vm, uint64_t rip, struct x86_state **out, struct errmsg *why)
{
	enum err e = enter(vm, rip, ATTR_CODE | SEG_DB, out, why);

	if (e == ERR_OK)
		x86_state_changed(&vm->vcpus[0].cpu);
	return e;
}

/* Identity mapping of 4 GiB: one PML4, one PDPT, four page directories of 2 MiB pages. */
static enum err put_page_tables(struct vm *vm, struct errmsg *why)
{
	enum { PRESENT = 1, WRITE = 2, LARGE = 0x80 };
	uint8_t page[PAGE_SIZE_4K];
	enum err e;

	memset(page, 0, sizeof(page));
	put_le(page, 8, (BOOT_TABLES + PAGE_SIZE_4K) | PRESENT | WRITE);
	e = loader_put(vm, BOOT_TABLES, page, sizeof(page), "page tables", why);
	for (unsigned i = 0; i < 4; i++)
		put_le(page + 8 * i, 8, (BOOT_TABLES + (2 + i) * PAGE_SIZE_4K) | PRESENT | WRITE);
	if (e == ERR_OK)
		e = loader_put(vm, BOOT_TABLES + PAGE_SIZE_4K, page, sizeof(page), "page tables", why);
	for (unsigned d = 0; d < 4 && e == ERR_OK; d++) {
		for (unsigned i = 0; i < 512; i++)
			put_le(page + 8 * i, 8, ((uint64_t)(512 * d + i) << 21) | PRESENT | WRITE | LARGE);
		e = loader_put(vm, BOOT_TABLES + (2 + d) * PAGE_SIZE_4K, page, sizeof(page), "page tables", why);
	}
	return e;
}

enum err loader_enter64(struct vm *vm, uint64_t rip, struct x86_state **out, struct errmsg *why)
{
	enum err e = put_page_tables(vm, why);

	if (e == ERR_OK)
		e = enter(vm, rip, ATTR_CODE | SEG_L, out, why);
	if (e != ERR_OK)
		return e;
	(*out)->cr0 |= CR0_PG;
	(*out)->cr3 = BOOT_TABLES;
	(*out)->cr4 = CR4_PAE;
	(*out)->efer = EFER_LME | EFER_LMA;
	x86_state_changed(&vm->vcpus[0].cpu);
	return ERR_OK;
}
