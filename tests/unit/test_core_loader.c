/* core/loader*.c: minimal valid images, built here byte by byte, and the same images truncated and damaged. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/loader.h"
#include "core/vm.h"
#include "tests/fake_host.h"
#include "tests/fake_mode.h"

#define MIB 0x100000u

static struct vm *vm;
static uint8_t image[8192];
static struct errmsg why;

static int setup(void **state)
{
	const struct vm_config cfg = {
	    .host = &fake_host_ops, .mode = &fake_mode_ops, .guest = "test", .mem_size = 4 * MIB, .n_vcpus = 1};

	(void)state;
	fake_host_reset();
	fake_mode_reset();
	memset(image, 0, sizeof(image));
	why.text[0] = '\0';
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vm_destroy(vm);
	assert_int_equal(fake_host.live, 0);
	return 0;
}

static void put(size_t at, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++)
		image[at + i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(gpa_t gpa, unsigned n)
{
	uint8_t b[8];
	uint64_t v = 0;

	assert_int_equal(mem_read(&vm->mem, gpa, b, n), ERR_OK);
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)b[i] << (8 * i);
	return v;
}

static const char *text_at(gpa_t gpa)
{
	static char s[128];

	assert_int_equal(mem_read(&vm->mem, gpa, s, sizeof(s) - 1), ERR_OK);
	return s;
}

static enum err load_with(size_t len, const struct load_module *modules, size_t n)
{
	const struct load_request r = {
	    .image = image, .len = len, .name = "dir/prog", .cmdline = "a=1 b", .modules = modules, .n_modules = n};

	return image_load(vm, &r, &why);
}

static enum err load(size_t len)
{
	return load_with(len, NULL, 0);
}

static const struct x86_state *cpu(void)
{
	return &vm->vcpus[0].cpu.s;
}

/* --- The images -------------------------------------------------------------------------------------------------- */

#define ELF_LEN 0x200u
#define NOTE_AT 0xb0u

/* One segment: the file's bytes 0x100..0x200 at 1 MiB, 0x300 bytes in memory; entry at 1 MiB + 0x20. */
static void build_elf(bool wide)
{
	memcpy(image, "\177ELF", 4);
	image[4] = wide ? 2 : 1;
	image[5] = 1;
	put(16, 2, 2);
	put(18, 2, wide ? 62 : 3);
	put(24, wide ? 8 : 4, MIB + 0x20);
	put(wide ? 32 : 28, wide ? 8 : 4, 0x40);
	put(wide ? 54 : 42, 2, wide ? 56 : 32);
	put(wide ? 56 : 44, 2, 1);
	put(0x40, 4, 1);
	if (wide) {
		put(0x40 + 8, 8, 0x100);
		put(0x40 + 24, 8, MIB);
		put(0x40 + 32, 8, 0x100);
		put(0x40 + 40, 8, 0x300);
	} else {
		put(0x40 + 4, 4, 0x100);
		put(0x40 + 12, 4, MIB);
		put(0x40 + 16, 4, 0x100);
		put(0x40 + 20, 4, 0x300);
	}
	for (unsigned i = 0x100; i < ELF_LEN; i++)
		image[i] = (uint8_t)i;
}

static void build_multiboot(size_t at, uint32_t flags)
{
	put(at, 4, 0x1badb002);
	put(at + 4, 4, flags);
	put(at + 8, 4, 0 - (0x1badb002u + flags));
}

/* A flat multiboot image with addresses: header at 0x10, loaded at 1 MiB, 0x80 bytes of bss. */
static void build_kludge(void)
{
	build_multiboot(0x10, 1u << 16 | 3);
	put(0x10 + 12, 4, MIB + 0x10);
	put(0x10 + 16, 4, MIB);
	put(0x10 + 20, 4, MIB + 0x100);
	put(0x10 + 24, 4, MIB + 0x180);
	put(0x10 + 28, 4, MIB + 0x40);
	for (unsigned i = 0x40; i < 0x100; i++)
		image[i] = 0x90;
}

/* A second program header: a note segment that names the PVH entry point. 32-bit ELF. */
static void build_pvh(void)
{
	build_elf(false);
	put(44, 2, 2);
	put(0x60, 4, 4);
	put(0x60 + 4, 4, NOTE_AT);
	put(0x60 + 16, 4, 0x34);
	put(NOTE_AT, 4, 4); /* another of Xen's notes first */
	put(NOTE_AT + 4, 4, 6);
	put(NOTE_AT + 8, 4, 6);
	memcpy(image + NOTE_AT + 12, "Xen\0guest", 10);
	put(NOTE_AT + 24, 4, 4);
	put(NOTE_AT + 28, 4, 4);
	put(NOTE_AT + 32, 4, 18);
	memcpy(image + NOTE_AT + 36, "Xen", 4);
	put(NOTE_AT + 40, 4, MIB + 0x30);
}

#define LINUX_LEN (1024 + 0x400)

static void build_linux(unsigned version, bool entry64)
{
	image[0x1f1] = 1;
	put(0x1f4, 4, 0x40);
	put(0x1fe, 2, 0xaa55);
	image[0x200] = 0xeb;
	image[0x201] = 0x66;
	memcpy(image + 0x202, "HdrS", 4);
	put(0x206, 2, version);
	image[0x211] = 1;
	put(0x214, 4, MIB);
	put(0x22c, 4, 0x37ffffff);
	put(0x236, 2, entry64 ? 1 : 0);
	put(0x238, 4, 255);
	put(0x258, 8, MIB);
	put(0x260, 4, 0x10000);
	for (unsigned i = 1024; i < LINUX_LEN; i++)
		image[i] = (uint8_t)(i * 3);
}

/* --- What they leave --------------------------------------------------------------------------------------------- */

static void kinds_are_told_apart_by_content(void **state)
{
	enum image_kind kind;

	(void)state;
	assert_int_equal(image_identify(image, 512, &kind, &why), ERR_OK);
	assert_int_equal(kind, IMAGE_FLAT16);
	build_linux(0x20c, true);
	assert_int_equal(image_identify(image, LINUX_LEN, &kind, &why), ERR_OK);
	assert_int_equal(kind, IMAGE_LINUX);
	memset(image, 0, sizeof(image));
	build_pvh();
	assert_int_equal(image_identify(image, ELF_LEN, &kind, &why), ERR_OK);
	assert_int_equal(kind, IMAGE_PVH);
	build_multiboot(0x100, 0);
	assert_int_equal(image_identify(image, ELF_LEN, &kind, &why), ERR_OK);
	assert_int_equal(kind, IMAGE_MULTIBOOT);
	assert_string_equal(image_kind_name(kind), "multiboot");
}

static void what_has_no_boot_protocol_is_refused(void **state)
{
	static uint8_t large[0x10001];
	enum image_kind kind;

	(void)state;
	assert_int_equal(image_identify(image, 0, &kind, &why), ERR_FORMAT);
	assert_int_equal(image_identify(large, sizeof(large), &kind, &why), ERR_FORMAT);
	assert_int_equal(image_identify(large, sizeof(large) - 1, &kind, &why), ERR_OK);
	build_elf(true);
	assert_int_equal(image_identify(image, ELF_LEN, &kind, &why), ERR_FORMAT);
	assert_non_null(strstr(why.text, "PVH"));
}

static void a_multiboot_header_counts_only_in_the_first_8_kib(void **state)
{
	static uint8_t far_image[9000];
	enum image_kind kind;

	(void)state;
	build_multiboot(0, 0);
	memcpy(far_image + 8192 - 12, image, 12);
	assert_int_equal(image_identify(far_image, sizeof(far_image), &kind, &why), ERR_OK);
	assert_int_equal(kind, IMAGE_MULTIBOOT);
	memset(far_image, 0, sizeof(far_image));
	memcpy(far_image + 8192 - 8, image, 12);
	assert_int_equal(image_identify(far_image, sizeof(far_image), &kind, &why), ERR_OK);
	assert_int_equal(kind, IMAGE_FLAT16);
}

static void a_flat_image_starts_at_7c00_as_from_a_bios(void **state)
{
	(void)state;
	image[0] = 0xf4;
	image[511] = 0xaa;
	assert_int_equal(load(512), ERR_OK);
	assert_int_equal(get(0x7c00, 1), 0xf4);
	assert_int_equal(get(0x7dff, 1), 0xaa);
	assert_int_equal(cpu()->rip, 0x7c00);
	assert_int_equal(cpu()->seg[X86_CS].base, 0);
	assert_int_equal(cpu()->seg[X86_CS].limit, 0xffff);
	assert_int_equal(cpu()->gpr[X86_RDX], 0x80);
	assert_int_equal(cpu()->gpr[X86_RSP], 0x7c00);
	assert_true(cpu()->rflags & FLAG_IF);
	assert_int_equal(cpu()->cr0 & (CR0_PE | CR0_PG), 0);
	assert_int_equal(get(4 * 0x10, 4), 0xf000ff53); /* INT 10h returns */
	assert_int_equal(get(0xfff53, 1), 0xcf);
	assert_int_equal(get(0x413, 2), 639);
}

static void check_flat32(uint64_t rip)
{
	assert_int_equal(cpu()->rip, rip);
	assert_int_equal(cpu()->cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(cpu()->rflags, 2);
	assert_int_equal(cpu()->seg[X86_CS].attr, 0xb | SEG_S | SEG_P | SEG_G | SEG_DB);
	assert_true(cpu()->seg[X86_CS].limit == 0xffffffff && cpu()->seg[X86_SS].limit == 0xffffffff);
	/* The selectors name what the hidden parts hold: code and data in a GDT in memory. */
	assert_true(get(cpu()->gdtr.base + cpu()->seg[X86_CS].sel, 8) == 0x00cf9b000000ffffull);
	assert_true(get(cpu()->gdtr.base + cpu()->seg[X86_DS].sel, 8) == 0x00cf93000000ffffull);
}

static void check_segment(void)
{
	assert_int_equal(get(MIB + 1, 1), 1);
	assert_int_equal(get(MIB + 0xff, 1), 0xff);
	assert_int_equal(get(MIB + 0x100, 8), 0); /* bss */
	assert_int_equal(get(MIB + 0x2ff, 1), 0);
	assert_int_equal(get(MIB + 0x300, 1), 0x77); /* not ours */
}

static void check_multiboot_info(unsigned n_mods)
{
	uint32_t info = (uint32_t)cpu()->gpr[X86_RBX], map, len;

	assert_int_equal(cpu()->gpr[X86_RAX], 0x2badb002);
	assert_int_equal(get(info, 4), 1 | 4 | 8 | 64 | 512);
	assert_int_equal(get(info + 4, 4), 639);
	assert_int_equal(get(info + 8, 4), 3 * 1024);
	assert_string_equal(text_at(get(info + 16, 4)), "prog a=1 b");
	assert_int_equal(get(info + 20, 4), n_mods);
	assert_string_equal(text_at(get(info + 64, 4)), "vmscope");
	map = (uint32_t)get(info + 48, 4);
	len = (uint32_t)get(info + 44, 4);
	assert_int_equal(len, 4 * 24);
	assert_int_equal(get(map, 4), 20);
	assert_int_equal(get(map + 4 + 8, 8), 0x9fc00);
	assert_int_equal(get(map + 3 * 24 + 4, 8), MIB);
	assert_int_equal(get(map + 3 * 24 + 12, 8), 3 * MIB);
	assert_int_equal(get(map + 3 * 24 + 20, 4), 1);
}

static void a_multiboot_elf_of_either_width_starts_in_flat_32_bit_mode(void **state)
{
	(void)state;
	for (int wide = 0; wide < 2; wide++) {
		memset(vm->mem.ram + MIB, 0x77, 0x400);
		memset(image, 0, sizeof(image));
		build_elf(wide);
		build_multiboot(0x100, 3);
		assert_int_equal(load(ELF_LEN), ERR_OK);
		assert_int_equal(get(MIB, 4), 0x1badb002);
		assert_int_equal(get(MIB + 0xff, 1), 0xff);
		assert_int_equal(get(MIB + 0x100, 8), 0);
		assert_int_equal(get(MIB + 0x300, 1), 0x77);
		check_flat32(MIB + 0x20);
		check_multiboot_info(0);
	}
}

static void an_entry_point_in_the_higher_half_is_the_physical_one_of_its_segment(void **state)
{
	const uint64_t base[] = {0xc0100000, 0xffffffff80100000};

	(void)state;
	for (int wide = 0; wide < 2; wide++) {
		unsigned n = wide ? 8 : 4;
		size_t vaddr = wide ? 0x40 + 16 : 0x40 + 8;

		build_elf(wide);
		build_multiboot(0x100, 3);
		put(vaddr, n, base[wide]);
		put(24, n, base[wide] + 0x2ff);
		assert_int_equal(load(ELF_LEN), ERR_OK);
		check_flat32(MIB + 0x2ff);
		put(24, n, MIB + 0x24); /* a physical one stays as it is */
		assert_int_equal(load(ELF_LEN), ERR_OK);
		check_flat32(MIB + 0x24);
		put(24, n, MIB + 0x300);
		put(vaddr, n, MIB); /* outside the segment: nothing to translate by */
		assert_int_equal(load(ELF_LEN), ERR_OK);
		check_flat32(MIB + 0x300);
	}
}

static void a_multiboot_image_with_addresses_needs_no_elf(void **state)
{
	(void)state;
	memset(vm->mem.ram + MIB, 0x77, 0x400);
	build_kludge();
	assert_int_equal(load(0x100), ERR_OK);
	assert_int_equal(get(MIB + 0x40, 1), 0x90);
	assert_int_equal(get(MIB + 0x17f, 1), 0);
	assert_int_equal(get(MIB + 0x180, 1), 0x77);
	check_flat32(MIB + 0x40);
}

static void multiboot_modules_follow_the_image_page_by_page(void **state)
{
	const struct load_module mods[] = {{"first", 5, "one x"}, {"second!", 7, NULL}};
	uint32_t list;

	(void)state;
	build_kludge();
	assert_int_equal(load_with(0x100, mods, 2), ERR_OK);
	check_multiboot_info(2);
	list = (uint32_t)get(cpu()->gpr[X86_RBX] + 24, 4);
	assert_int_equal(get(list, 4), MIB + 0x1000);
	assert_int_equal(get(list + 4, 4), MIB + 0x1005);
	assert_string_equal(text_at(get(list + 8, 4)), "one x");
	assert_int_equal(get(list + 16, 4), MIB + 0x2000);
	assert_string_equal(text_at(get(list + 16, 4)), "second!");
	assert_string_equal(text_at(get(list + 24, 4)), "");
}

static void multiboot_features_that_are_not_known_are_refused(void **state)
{
	(void)state;
	build_kludge();
	build_multiboot(0x10, 1u << 16 | 1u << 5);
	assert_int_equal(load(0x100), ERR_UNSUPPORTED);
}

static void pvh_gets_its_start_information(void **state)
{
	const struct load_module mod = {"initrd", 6, "args"};
	uint32_t info, list, map;

	(void)state;
	memset(vm->mem.ram + MIB, 0x77, 0x400);
	build_pvh();
	assert_int_equal(load_with(ELF_LEN, &mod, 1), ERR_OK);
	check_segment();
	check_flat32(MIB + 0x30);
	info = (uint32_t)cpu()->gpr[X86_RBX];
	assert_int_equal(get(info, 4), 0x336ec578);
	assert_int_equal(get(info + 4, 4), 1);
	assert_int_equal(get(info + 12, 4), 1);
	list = (uint32_t)get(info + 16, 8);
	assert_int_equal(get(list + 8, 8), 6);
	assert_string_equal(text_at(get(list, 8)), "initrd");
	assert_string_equal(text_at(get(list + 16, 8)), "args");
	assert_string_equal(text_at(get(info + 24, 8)), "a=1 b");
	assert_int_equal(get(info + 48, 4), 4);
	map = (uint32_t)get(info + 40, 8);
	assert_int_equal(get(map + 24, 8), 0x9fc00);
	assert_int_equal(get(map + 24 + 16, 4), 2);
	assert_int_equal(get(map + 3 * 24 + 8, 8), 3 * MIB);
}

static void linux_with_a_64_bit_entry_starts_in_long_mode(void **state)
{
	const struct load_module initrd = {"ramdisk", 7, NULL};
	uint64_t zp, pml4, pdpt, pd;

	(void)state;
	build_linux(0x20c, true);
	assert_int_equal(load_with(LINUX_LEN, &initrd, 1), ERR_OK);
	assert_int_equal(cpu()->rip, MIB + 0x200);
	assert_int_equal(cpu()->efer, EFER_LME | EFER_LMA);
	assert_int_equal(cpu()->cr4, CR4_PAE);
	assert_true(cpu()->cr0 & CR0_PG);
	assert_true(cpu()->seg[X86_CS].attr & SEG_L);
	assert_false(cpu()->seg[X86_CS].attr & SEG_DB);
	assert_int_equal(cpu()->seg[X86_CS].sel, 0x10);
	assert_int_equal(cpu()->seg[X86_DS].sel, 0x18);
	/* the last byte of 4 GiB is mapped to itself */
	pml4 = cpu()->cr3;
	pdpt = get(pml4, 8) & ~0xfffull;
	pd = get(pdpt + 3 * 8, 8) & ~0xfffull;
	assert_int_equal(get(pd + 511 * 8, 8), 0xffe00000ull | 0x83);
	assert_int_equal(get(MIB, 1), (uint8_t)(1024 * 3));
	zp = cpu()->gpr[X86_RSI];
	assert_int_equal(get(zp + 0x202, 4), 0x53726448);
	assert_int_equal(get(zp + 0x210, 1), 0xff);
	assert_string_equal(text_at(get(zp + 0x228, 4)), "a=1 b");
	assert_int_equal(get(zp + 0x1e8, 1), 4);
	assert_int_equal(get(zp + 0x2d0 + 3 * 20, 8), MIB);
	assert_int_equal(get(zp + 0x2d0 + 3 * 20 + 8, 8), 3 * MIB);
	assert_int_equal(get(zp + 0x1e0, 4), 3 * 1024);
	assert_string_equal(text_at(get(zp + 0x218, 4)), "ramdisk");
	assert_int_equal(get(zp + 0x21c, 4), 7);
	assert_int_equal(get(zp + 0x218, 4), 4 * MIB - 4096); /* as high as it can be */
	assert_int_equal(get(zp, 4) & 0xffff, 0);
}

static void an_older_linux_starts_in_32_bit_mode(void **state)
{
	(void)state;
	build_linux(0x204, true); /* the flag means nothing before 2.12 */
	assert_int_equal(load(LINUX_LEN), ERR_OK);
	check_flat32(MIB);
	assert_int_equal(cpu()->gpr[X86_RSI], 0x90000);
	assert_int_equal(cpu()->gpr[X86_RBP], 0);
}

static void linux_that_does_not_fit_is_refused(void **state)
{
	static char big[2 * MIB];
	const struct load_module initrd[2] = {{big, sizeof(big), NULL}, {big, 1, NULL}};

	(void)state;
	build_linux(0x20c, true);
	put(0x260, 4, 4 * MIB); /* needs more than there is while it unpacks */
	assert_int_equal(load(LINUX_LEN), ERR_RANGE);
	put(0x260, 4, 2 * MIB);
	assert_int_equal(load(LINUX_LEN), ERR_OK);
	assert_int_equal(load_with(LINUX_LEN, initrd, 1), ERR_RANGE);
	assert_int_equal(load_with(LINUX_LEN, initrd, 2), ERR_UNSUPPORTED);
	put(0x238, 4, 3);
	assert_int_equal(load(LINUX_LEN), ERR_RANGE); /* command line */
	put(0x206, 2, 0x201);
	assert_int_equal(load(LINUX_LEN), ERR_UNSUPPORTED);
}

static void a_kernel_rounded_up_to_a_paragraph_is_whole(void **state)
{
	(void)state;
	build_linux(0x20c, true);
	assert_int_equal(load(LINUX_LEN - 15), ERR_OK);
	assert_int_equal(load(LINUX_LEN - 16), ERR_FORMAT);
}

/* --- Damage ------------------------------------------------------------------------------------------------------ */

/* Truncated anywhere, and the buffer really ends there: an error with one line, or (where nothing is missing) success.
 */
static void truncate_everywhere(size_t len, size_t needed)
{
	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		struct load_request r = {.image = copy, .len = n, .name = "cut"};
		enum image_kind kind;

		memcpy(copy, image, n);
		why.text[0] = '\0';
		enum err e = image_load(vm, &r, &why);
		if (e != ERR_OK)
			assert_true(why.text[0] && !strchr(why.text, '\n'));
		else if (n < needed) /* what is left of it is a valid flat image */
			assert_true(image_identify(copy, n, &kind, &why) == ERR_OK && kind == IMAGE_FLAT16);
		free(copy);
	}
}

static void truncated_images_never_crash_and_never_load(void **state)
{
	(void)state;
	build_elf(false);
	build_multiboot(0x100, 3);
	truncate_everywhere(ELF_LEN, ELF_LEN);
	memset(image, 0, sizeof(image));
	build_kludge();
	truncate_everywhere(0x100, 0x100);
	memset(image, 0, sizeof(image));
	build_pvh();
	truncate_everywhere(ELF_LEN, ELF_LEN);
	memset(image, 0, sizeof(image));
	build_linux(0x20c, true);
	truncate_everywhere(LINUX_LEN, LINUX_LEN - 15);
}

/* Every byte of the headers set to values that overflow: no crash, no write outside the guest's memory. */
static void damage(size_t from, size_t to, size_t len)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

	for (size_t at = from; at < to; at++)
		for (size_t k = 0; k < ARRAY_LEN(values); k++) {
			uint8_t old = image[at];
			image[at] = values[k];
			why.text[0] = '\0';
			if (load(len) != ERR_OK)
				assert_true(why.text[0]);
			image[at] = old;
		}
}

static void damaged_headers_never_crash(void **state)
{
	(void)state;
	build_pvh();
	damage(0, 0x100, ELF_LEN);
	build_elf(true);
	build_multiboot(0x100, 3);
	damage(0, 0x110, ELF_LEN);
	memset(image, 0, sizeof(image));
	build_kludge();
	damage(0x10, 0x30, 0x100);
	memset(image, 0, sizeof(image));
	build_linux(0x20c, true);
	damage(0x1f1, 0x268, LINUX_LEN);
}

static void segments_outside_memory_are_refused_by_name(void **state)
{
	static const uint32_t bad[] = {0x9fc00, 0xa0000, 0xf0000, 0x90000, 4 * MIB, 4 * MIB - 0x100, 0xfffff000};

	(void)state;
	build_elf(false);
	build_multiboot(0x100, 3);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put(0x40 + 12, 4, bad[i]);
		assert_int_equal(load(ELF_LEN), ERR_RANGE);
		assert_non_null(strstr(why.text, "dir/prog"));
	}
	put(0x40 + 12, 4, 0x10000);
	assert_int_equal(load(ELF_LEN), ERR_OK);
	put(0x40 + 20, 4, 0xffffffff); /* memory size overflows */
	assert_int_equal(load(ELF_LEN), ERR_RANGE);
	put(0x40 + 20, 4, 0x10); /* less than in the file */
	assert_int_equal(load(ELF_LEN), ERR_FORMAT);
}

static void modules_that_do_not_fit_are_refused(void **state)
{
	static char big[3 * MIB];
	const struct load_module mod = {big, sizeof(big), NULL};
	static struct load_module many[65];

	(void)state;
	build_kludge();
	assert_int_equal(load_with(0x100, &mod, 1), ERR_RANGE);
	assert_int_equal(load_with(0x100, many, 65), ERR_RANGE);
}

static void a_command_line_that_is_too_long_is_refused(void **state)
{
	static char line[3000];
	const struct load_request r = {.image = image, .len = 0x100, .name = "x", .cmdline = line};

	(void)state;
	build_kludge();
	memset(line, 'a', sizeof(line) - 1);
	assert_int_equal(image_load(vm, &r, &why), ERR_RANGE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(kinds_are_told_apart_by_content),
	    T(what_has_no_boot_protocol_is_refused),
	    T(a_multiboot_header_counts_only_in_the_first_8_kib),
	    T(a_flat_image_starts_at_7c00_as_from_a_bios),
	    T(a_multiboot_elf_of_either_width_starts_in_flat_32_bit_mode),
	    T(an_entry_point_in_the_higher_half_is_the_physical_one_of_its_segment),
	    T(a_multiboot_image_with_addresses_needs_no_elf),
	    T(multiboot_modules_follow_the_image_page_by_page),
	    T(multiboot_features_that_are_not_known_are_refused),
	    T(pvh_gets_its_start_information),
	    T(linux_with_a_64_bit_entry_starts_in_long_mode),
	    T(an_older_linux_starts_in_32_bit_mode),
	    T(linux_that_does_not_fit_is_refused),
	    T(a_kernel_rounded_up_to_a_paragraph_is_whole),
	    T(truncated_images_never_crash_and_never_load),
	    T(damaged_headers_never_crash),
	    T(segments_outside_memory_are_refused_by_name),
	    T(modules_that_do_not_fit_are_refused),
	    T(a_command_line_that_is_too_long_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
