/* Names and source lines of the bundled guests, and files that lie about themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <elf.h>

#include "tracer/symbols.h"

static char path[4096];

/* Images are built beside the tests. */
static const char *guest(const char *name)
{
	char exe[2048];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);

	assert_true(len > 0);
	exe[len] = 0;
	*strrchr(exe, '/') = 0;
	assert_true(snprintf(path, sizeof path, "%s/../../guests/%s", exe, name) < (int)sizeof path);
	return path;
}

static uint8_t *read_guest(const char *name, size_t *n)
{
	FILE *f = fopen(guest(name), "rb");
	uint8_t *data = malloc(1 << 20);

	if (!f)
		fail_msg("%s is not built: make guests", path);
	*n = fread(data, 1, 1 << 20, f);
	fclose(f);
	return data;
}

static struct symbols *load(const char *name)
{
	struct symbols *s;
	struct errmsg why;

	if (symbols_load_guest(guest(name), &s, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return s;
}

/* 64-bit ELF with lines, the 32-bit container with names only, and a flat image with a file beside it. */
static void guests_have_names_and_lines(void **state)
{
	static const struct {
		const char *image, *symbol, *source;
	} cases[] = {{"hello.elf", "guest_main", "labs/guests/hello.c"},
	    {"paging.elf", "_start", "labs/guests/lib/start64.S"}, {"boot16.bin", "_start", "labs/guests/boot16.S"},
	    {"modes.bin", "_start", "labs/guests/modes.S"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct symbols *s = load(cases[i].image);
		uint64_t addr, offset;
		const char *file, *name;
		unsigned line;
		char text[64];

		assert_true(symbols_by_name(s, cases[i].symbol, &addr));
		name = symbols_find(s, addr, &offset);
		assert_non_null(name);
		assert_int_equal(offset, 0);
		assert_true(symbols_line(s, addr, &file, &line));
		assert_string_equal(file, cases[i].source);
		assert_true(line > 0);
		assert_non_null(symbols_find(s, addr + 1, &offset));
		symbols_format(s, addr + 1, text, sizeof text);
		assert_true(strstr(text, "+0x1") || offset == 0);
		symbols_free(s);
	}
}

static void the_32_bit_container_has_the_same_names(void **state)
{
	struct symbols *wide = load("paging.elf"), *narrow;
	struct errmsg why;
	uint64_t a, b;
	size_t n, common = 0;
	uint8_t *image = read_guest("paging.elf", &n);
	const char *name, *file;
	unsigned line;

	(void)state;
	assert_int_equal(image[EI_CLASS], ELFCLASS32);
	assert_int_equal(symbols_load(image, n, &narrow, &why), ERR_OK);
	free(image);
	for (size_t i = 0; (name = symbols_at(narrow, i, &a)); i++, common++) {
		const char *next = symbols_at(narrow, i + 1, &b);

		assert_true(!next || strcmp(name, next) <= 0);
		if (!next || strcmp(name, next) != 0)
			assert_true(symbols_by_name(wide, name, &b));
	}
	assert_true(common > 20);
	assert_true(symbols_by_name(narrow, "guest_main", &a));
	assert_true(symbols_by_name(wide, "guest_main", &b));
	assert_int_equal(a, b);
	assert_false(symbols_line(narrow, a, &file, &line));
	symbols_free(narrow);
	symbols_free(wide);
}

static void an_address_outside_every_section_has_no_name(void **state)
{
	struct symbols *s = load("hello.elf");
	uint64_t offset;
	const char *file;
	unsigned line;
	char text[32];

	(void)state;
	assert_null(symbols_find(s, 0, &offset));
	assert_null(symbols_find(s, UINT64_MAX, &offset));
	assert_null(symbols_find(s, 0x170000, &offset)); /* between code and page tables */
	assert_false(symbols_line(s, 0x170000, &file, &line));
	assert_string_equal(symbols_format(s, 0x170000, text, sizeof text), "");
	assert_null(symbols_find(NULL, 0x100000, &offset));
	assert_false(symbols_by_name(NULL, "x", &offset));
	assert_null(symbols_at(NULL, 0, &offset));
	symbols_free(s);
	symbols_free(NULL);
}

/* Headers, one section of code, strings and two symbols. */
struct tiny {
	Elf64_Ehdr h;
	Elf64_Shdr s[4];
	Elf64_Sym sym[3];
	char names[32];
};

static struct tiny tiny(void)
{
	struct tiny t = {.h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			     .e_shoff = offsetof(struct tiny, s),
			     .e_shentsize = sizeof(Elf64_Shdr),
			     .e_shnum = 4}};

	t.s[1] = (Elf64_Shdr){.sh_type = SHT_NOBITS, .sh_addr = 0x1000, .sh_size = 0x1000};
	t.s[2] =
	    (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = offsetof(struct tiny, names), .sh_size = sizeof t.names};
	t.s[3] = (Elf64_Shdr){
	    .sh_type = SHT_SYMTAB, .sh_offset = offsetof(struct tiny, sym), .sh_size = sizeof t.sym, .sh_link = 2};
	memcpy(t.names + 1, "\033[2Jclear\xff\0plain", 16);
	t.sym[1] = (Elf64_Sym){.st_name = 1,
	    .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
	    .st_shndx = 1,
	    .st_value = 0x1000,
	    .st_size = 0x10};
	t.sym[2] = (Elf64_Sym){
	    .st_name = 12, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), .st_shndx = 1, .st_value = 0x1800};
	return t;
}

static void escape_codes_in_names_become_visible_marks(void **state)
{
	struct tiny t = tiny();
	struct symbols *s;
	struct errmsg why;
	uint64_t offset;

	(void)state;
	assert_int_equal(symbols_load(&t, sizeof t, &s, &why), ERR_OK);
	assert_string_equal(symbols_find(s, 0x1004, &offset), "?[2Jclear?");
	assert_int_equal(offset, 4);
	assert_string_equal(symbols_find(s, 0x1fff, &offset), "plain");
	assert_int_equal(offset, 0x7ff);
	assert_null(symbols_find(s, 0x2000, &offset));
	symbols_free(s);
}

static void what_is_no_elf_file_or_has_no_names_is_refused_with_a_reason(void **state)
{
	struct tiny t = tiny();
	struct symbols *s;
	struct errmsg why;

	(void)state;
	assert_int_equal(symbols_load("text", 4, &s, &why), ERR_FORMAT);
	assert_non_null(strstr(why.text, "ELF"));
	assert_null(s);
	t.h.e_shnum = 3;
	assert_int_equal(symbols_load(&t, sizeof t, &s, &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "no symbol table"));
	assert_int_equal(symbols_load_guest("/nowhere/guest.bin", &s, &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "/nowhere/guest.bin"));
}

/* Lengths and offsets that point nowhere, one field at a time. */
static void no_field_of_the_headers_leads_outside_the_file(void **state)
{
	static const uint64_t wild[] = {0, 1, 7, 0x7fffffff, 0xffffffff, 1ull << 63, UINT64_MAX, UINT64_MAX - 16};
	struct symbols *s;
	struct errmsg why;

	(void)state;
	for (size_t at = 0; at + 8 <= sizeof(struct tiny); at += 4)
		for (size_t k = 0; k < ARRAY_LEN(wild); k++) {
			struct tiny t = tiny();
			uint64_t offset;

			memcpy((uint8_t *)&t + at, &wild[k], 8);
			if (symbols_load(&t, sizeof t, &s, &why) == ERR_OK)
				symbols_find(s, 0x1004, &offset);
			symbols_free(s);
		}
}

/* Damaged bytes and cut ends of a real file, its line programs included. */
static void damaged_images_give_an_error_or_symbols(void **state)
{
	uint64_t seed = 88172645463325252ull;
	size_t n;
	uint8_t *image = read_guest("hello.debug", &n), *copy;
	unsigned loaded = 0;

	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		struct symbols *s;
		struct errmsg why;
		size_t len;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		len = round % 4 ? n : (size_t)(seed >> 20) % n;
		copy = malloc(len + 1); /* its own block: reading past its end is seen by ASan */
		memcpy(copy, image, len);
		for (unsigned k = 0; k < 40 && len; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			/* Most of it in the last part, where tables and debug sections are. */
			copy[len - 1 - (seed >> 40) % (len < 24000 ? len : 24000)] = (uint8_t)(seed >> 8);
		}
		loaded += symbols_load(copy, len, &s, &why) == ERR_OK;
		free(copy);
		for (uint64_t addr = 0xfffff; s && addr < 0x101000; addr += 37) {
			const char *file;
			char text[40];
			unsigned line;

			symbols_format(s, addr, text, sizeof text);
			symbols_line(s, addr, &file, &line);
		}
		symbols_free(s);
	}
	assert_true(loaded > 100);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(guests_have_names_and_lines),
	    cmocka_unit_test(the_32_bit_container_has_the_same_names),
	    cmocka_unit_test(an_address_outside_every_section_has_no_name),
	    cmocka_unit_test(escape_codes_in_names_become_visible_marks),
	    cmocka_unit_test(what_is_no_elf_file_or_has_no_names_is_refused_with_a_reason),
	    cmocka_unit_test(no_field_of_the_headers_leads_outside_the_file),
	    cmocka_unit_test(damaged_images_give_an_error_or_symbols),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
