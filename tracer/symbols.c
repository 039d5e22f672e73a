/*
 * Symbols: what an ELF file says about names and source lines, in two sorted arrays that are searched by address.
 * Everything is copied out at loading, so that no offset of an untrusted file is followed later: the symbol table with
 * our own checks, the lines through libdw, which decodes the line number programs of DWARF 2 to 5.
 *
 * Names are made printable here: what a guest calls its functions is shown, never obeyed.
 */
#include "tracer/symbols.h"

#include <elf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <libelf.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYMBOLS_MAX (1u << 20)
#define LINES_MAX (1u << 22)
#define FILE_BYTES_MAX (1ull << 30)

struct symbol {
	uint64_t addr, size, end; /* end: of its section */
	const char *name;
	uint8_t rank; /* of several at one address the highest is shown */
};

struct line {
	uint64_t addr;
	const char *file; /* NULL: behind the last line of a sequence */
	unsigned line;
};

struct symbols {
	struct symbol *sym, **by_name;
	size_t n;
	char *names; /* one string table, made printable */
	struct line *lines;
	size_t n_lines;
	void *files; /* tsearch() tree of strings */
};

/* --- The file: bounds-checked views of 32- and 64-bit ELF ------------------------------------------------------- */

struct elf {
	const uint8_t *image;
	size_t n;
	bool wide;
	uint64_t shoff;
	unsigned shnum, shentsize;
};

static bool inside(const struct elf *f, uint64_t off, uint64_t len)
{
	return off <= f->n && len <= f->n - off;
}

static bool elf_open(struct elf *f, const void *image, size_t n)
{
	Elf64_Ehdr h64;
	Elf32_Ehdr h32;

	*f = (struct elf){.image = image, .n = n};
	if (n < sizeof h32 || memcmp(image, ELFMAG, SELFMAG) != 0 || f->image[EI_DATA] != ELFDATA2LSB)
		return false;
	f->wide = f->image[EI_CLASS] == ELFCLASS64;
	if (f->wide) {
		if (n < sizeof h64)
			return false;
		memcpy(&h64, image, sizeof h64);
		f->shoff = h64.e_shoff;
		f->shnum = h64.e_shnum;
		f->shentsize = h64.e_shentsize;
		return f->shentsize >= sizeof(Elf64_Shdr) || !f->shnum;
	}
	if (f->image[EI_CLASS] != ELFCLASS32)
		return false;
	memcpy(&h32, image, sizeof h32);
	f->shoff = h32.e_shoff;
	f->shnum = h32.e_shnum;
	f->shentsize = h32.e_shentsize;
	return f->shentsize >= sizeof(Elf32_Shdr) || !f->shnum;
}

static bool elf_section(const struct elf *f, unsigned i, Elf64_Shdr *out)
{
	uint64_t at = f->shoff + (uint64_t)i * f->shentsize;
	Elf32_Shdr s;

	if (i >= f->shnum || f->shoff > f->n || !inside(f, at, f->wide ? sizeof *out : sizeof s))
		return false;
	if (f->wide) {
		memcpy(out, f->image + at, sizeof *out);
	} else {
		memcpy(&s, f->image + at, sizeof s);
		*out = (Elf64_Shdr){.sh_type = s.sh_type,
		    .sh_addr = s.sh_addr,
		    .sh_offset = s.sh_offset,
		    .sh_size = s.sh_size,
		    .sh_link = s.sh_link};
	}
	return out->sh_type == SHT_NOBITS || out->sh_type == SHT_NULL || inside(f, out->sh_offset, out->sh_size);
}

static void elf_symbol(const struct elf *f, const uint8_t *at, Elf64_Sym *out)
{
	Elf32_Sym s;

	if (f->wide) {
		memcpy(out, at, sizeof *out);
		return;
	}
	memcpy(&s, at, sizeof s);
	*out = (Elf64_Sym){s.st_name, s.st_info, s.st_other, s.st_shndx, s.st_value, s.st_size};
}

/* The symbol table, or of a stripped file the dynamic one. */
static bool find_table(const struct elf *f, Elf64_Shdr *table, Elf64_Shdr *strings)
{
	static const uint32_t types[] = {SHT_SYMTAB, SHT_DYNSYM};

	for (unsigned t = 0; t < ARRAY_LEN(types); t++)
		for (unsigned i = 0; i < f->shnum; i++)
			if (elf_section(f, i, table) && table->sh_type == types[t] &&
			    elf_section(f, table->sh_link, strings) && strings->sh_type == SHT_STRTAB &&
			    strings->sh_size > 1)
				return true;
	return false;
}

/* --- Names ------------------------------------------------------------------------------------------------------- */

static void make_printable(char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] && (text[i] < ' ' || text[i] > '~'))
			text[i] = '?';
}

static bool wanted(const Elf64_Sym *s, const char *name)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);

	return name[0] && strncmp(name, ".L", 2) != 0 && s->st_shndx != SHN_UNDEF && s->st_shndx < SHN_LORESERVE &&
	       (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE || type == STT_GNU_IFUNC);
}

static uint8_t rank_of(const Elf64_Sym *s)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);

	return (uint8_t)((type == STT_FUNC	  ? 4
			     : type == STT_OBJECT ? 2
						  : 0) +
			 (ELF64_ST_BIND(s->st_info) != STB_LOCAL));
}

static int by_addr(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
	const struct symbol *const *x = a, *const *y = b;
	int order = strcmp((*x)->name, (*y)->name);

	return order ? order : by_addr(*x, *y);
}

static void add_symbol(struct symbols *s, const struct elf *f, const Elf64_Sym *from, uint64_t strings)
{
	Elf64_Shdr section;

	if (from->st_name >= strings || !wanted(from, s->names + from->st_name) ||
	    !elf_section(f, from->st_shndx, &section))
		return;
	s->sym[s->n++] = (struct symbol){.addr = from->st_value,
	    .size = from->st_size,
	    .end = section.sh_addr + section.sh_size,
	    .name = s->names + from->st_name,
	    .rank = rank_of(from)};
}

static enum err load_names(struct symbols *s, const struct elf *f, struct errmsg *why)
{
	size_t entry = f->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	Elf64_Shdr table, strings;
	uint64_t count;

	if (!find_table(f, &table, &strings))
		return err_set(why, ERR_NOENT, "the image has no symbol table: link it without -s to see names");
	count = table.sh_size / entry;
	if (count > SYMBOLS_MAX)
		count = SYMBOLS_MAX;
	s->names = malloc(strings.sh_size + 1);
	s->sym = calloc(count + 1, sizeof *s->sym);
	s->by_name = calloc(count + 1, sizeof *s->by_name);
	if (!s->names || !s->sym || !s->by_name)
		return err_set(why, ERR_NOMEM, "no memory for %llu symbols", (unsigned long long)count);
	memcpy(s->names, f->image + strings.sh_offset, strings.sh_size);
	s->names[strings.sh_size] = 0;
	make_printable(s->names, strings.sh_size);
	for (uint64_t i = 0; i < count; i++) {
		Elf64_Sym sym;

		elf_symbol(f, f->image + table.sh_offset + i * entry, &sym);
		add_symbol(s, f, &sym, strings.sh_size);
	}
	if (!s->n)
		return err_set(why, ERR_NOENT, "the image's symbol table has no names of code or data");
	qsort(s->sym, s->n, sizeof *s->sym, by_addr);
	for (size_t i = 0; i < s->n; i++)
		s->by_name[i] = &s->sym[i];
	qsort(s->by_name, s->n, sizeof *s->by_name, by_name);
	return ERR_OK;
}

/* --- Source lines ------------------------------------------------------------------------------------------------ */

static int compare_strings(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* One printable copy of each file name; NULL: out of memory. */
static const char *intern(struct symbols *s, const char *name)
{
	char *copy, **found;

	if (strncmp(name, "./", 2) == 0)
		name += 2;
	copy = strdup(name);
	if (!copy)
		return NULL;
	make_printable(copy, strlen(copy));
	found = (char **)tsearch(copy, &s->files, compare_strings);
	if (!found || *found != copy) {
		char *kept = found ? *found : NULL;

		free(copy);
		return kept;
	}
	return copy;
}

static bool add_line(struct symbols *s, size_t *room, Dwarf_Line *from)
{
	const char *name = dwarf_linesrc(from, NULL, NULL);
	Dwarf_Addr addr;
	bool ends = false;
	int line;

	if (!name || dwarf_lineaddr(from, &addr) || dwarf_lineno(from, &line) || dwarf_lineendsequence(from, &ends))
		return true;
	if (s->n_lines == *room) {
		size_t want = *room ? *room * 2 : 1024;
		struct line *more = want > LINES_MAX ? NULL : realloc(s->lines, want * sizeof *more);

		if (!more)
			return false;
		s->lines = more;
		*room = want;
	}
	s->lines[s->n_lines++] =
	    (struct line){.addr = addr, .file = ends ? NULL : intern(s, name), .line = line > 0 ? (unsigned)line : 0};
	return true;
}

/* The end of a sequence comes before the beginning of the next one at the same address. */
static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if ((x->file != NULL) != (y->file != NULL))
		return x->file ? 1 : -1;
	return x->line < y->line ? -1 : x->line > y->line;
}

/* What libdw cannot read is left out: lines are an extra, names remain. image: a copy that libelf may keep. */
static void load_lines(struct symbols *s, char *image, size_t n)
{
	Dwarf_Off at = 0, next;
	size_t header, room = 0;
	Elf *elf;
	Dwarf *dw;

	elf_version(EV_CURRENT);
	elf = elf_memory(image, n);
	dw = elf ? dwarf_begin_elf(elf, DWARF_C_READ, NULL) : NULL;
	while (dw && dwarf_nextcu(dw, at, &next, &header, NULL, NULL, NULL) == 0 && next > at) {
		Dwarf_Die die;
		Dwarf_Lines *lines;
		size_t count;

		if (dwarf_offdie(dw, at + header, &die) && dwarf_getsrclines(&die, &lines, &count) == 0)
			for (size_t i = 0; i < count; i++)
				if (!add_line(s, &room, dwarf_onesrcline(lines, i)))
					break;
		at = next;
	}
	dwarf_end(dw);
	elf_end(elf);
	if (s->n_lines)
		qsort(s->lines, s->n_lines, sizeof *s->lines, compare_lines);
}

/* --- Loading ----------------------------------------------------------------------------------------------------- */

enum err symbols_load(const void *image, size_t n, struct symbols **out, struct errmsg *why)
{
	struct symbols *s;
	struct elf f;
	char *copy;
	enum err e;

	*out = NULL;
	if (!elf_open(&f, image, n))
		return err_set(why, ERR_FORMAT, "no symbols: the image is no little-endian ELF file");
	s = calloc(1, sizeof *s);
	if (!s)
		return err_set(why, ERR_NOMEM, "no memory for symbols");
	e = load_names(s, &f, why);
	copy = e == ERR_OK ? malloc(n) : NULL;
	if (copy) {
		memcpy(copy, image, n);
		load_lines(s, copy, n);
		free(copy);
	}
	if (e != ERR_OK)
		symbols_free(s);
	else
		*out = s;
	return e;
}

static enum err load_file(const char *path, struct symbols **out, struct errmsg *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	enum err e = ERR_OK;
	size_t got = 0;
	char *data;

	*out = NULL;
	if (fd < 0)
		return err_set(why, ERR_NOENT, "%s: cannot be read for symbols: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_BYTES_MAX) {
		close(fd);
		return err_set(why, ERR_FORMAT, "%s: no symbols: not a regular file of at most 1 GiB", path);
	}
	data = malloc((size_t)st.st_size + 1);
	while (data && got < (size_t)st.st_size) {
		ssize_t r = read(fd, data + got, (size_t)st.st_size - got);

		if (r <= 0 && !(r < 0 && errno == EINTR))
			break;
		got += r > 0 ? (size_t)r : 0;
	}
	close(fd);
	e = data ? symbols_load(data, got, out, why) : err_set(why, ERR_NOMEM, "%s: no memory for it", path);
	free(data);
	return e;
}

enum err symbols_load_guest(const char *image_path, struct symbols **out, struct errmsg *why)
{
	const char *slash = strrchr(image_path, '/'), *name = slash ? slash + 1 : image_path, *dot = strrchr(name, '.');
	size_t stem = dot && dot > name ? (size_t)(dot - image_path) : strlen(image_path);
	char beside[4096];
	struct errmsg ignored;

	if (snprintf(beside, sizeof beside, "%.*s.debug", (int)stem, image_path) < (int)sizeof beside &&
	    load_file(beside, out, &ignored) == ERR_OK)
		return ERR_OK;
	return load_file(image_path, out, why);
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	tdestroy(s->files, free);
	free(s->lines);
	free(s->by_name);
	free(s->sym);
	free(s->names);
	free(s);
}

/* --- Asking ------------------------------------------------------------------------------------------------------ */

const char *symbols_find(const struct symbols *s, uint64_t addr, uint64_t *offset)
{
	size_t lo = 0, hi = s ? s->n : 0;

	while (lo < hi) { /* lo: how many begin at or before addr */
		size_t mid = lo + (hi - lo) / 2;

		if (s->sym[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	const struct symbol *found = &s->sym[lo - 1];
	/* A symbol without a size reaches to the end of its section, and one that ends there or has ended, too. */
	if (addr != found->addr && addr - found->addr >= found->size && addr >= found->end)
		return NULL;
	*offset = addr - found->addr;
	return found->name;
}

const char *symbols_format(const struct symbols *s, uint64_t addr, char *buf, size_t n)
{
	uint64_t offset;
	const char *name = symbols_find(s, addr, &offset);

	if (!name)
		snprintf(buf, n, "%s", "");
	else if (offset)
		snprintf(buf, n, "%s+0x%llx", name, (unsigned long long)offset);
	else
		snprintf(buf, n, "%s", name);
	return buf;
}

bool symbols_by_name(const struct symbols *s, const char *name, uint64_t *addr)
{
	size_t lo = 0, hi = s ? s->n : 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(s->by_name[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!s || lo >= s->n || strcmp(s->by_name[lo]->name, name) != 0)
		return false;
	*addr = s->by_name[lo]->addr;
	return true;
}

const char *symbols_at(const struct symbols *s, size_t i, uint64_t *addr)
{
	if (!s || i >= s->n)
		return NULL;
	*addr = s->by_name[i]->addr;
	return s->by_name[i]->name;
}

bool symbols_line(const struct symbols *s, uint64_t addr, const char **file, unsigned *line)
{
	size_t lo = 0, hi = s ? s->n_lines : 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->lines[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || !s->lines[lo - 1].file || !s->lines[lo - 1].line)
		return false;
	*file = s->lines[lo - 1].file;
	*line = s->lines[lo - 1].line;
	return true;
}
