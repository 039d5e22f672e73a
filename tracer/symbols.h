/*
 * Symbols and source lines of a guest image (ELF symbol table, DWARF lines through libdw). Read-only after loading.
 * Names may come from anywhere: they are shown, never obeyed.
 */
#ifndef VMSCOPE_TRACER_SYMBOLS_H
#define VMSCOPE_TRACER_SYMBOLS_H

#include "core/err.h"

struct symbols;

/* From an ELF image in memory; ERR_FORMAT: no ELF, ERR_NOENT: it has no symbols. image may be freed afterwards. */
enum err symbols_load(const void *image, size_t n, struct symbols **out, struct errmsg *why) MUST_CHECK;
/* Of a guest whose image is in this file: from NAME.debug beside it (the suffix of the image replaced; what flat images
 * and stripped ones need), else from the image itself. */
enum err symbols_load_guest(const char *image_path, struct symbols **out, struct errmsg *why) MUST_CHECK;
void symbols_free(struct symbols *s);
/* The symbol that addr lies in (or behind, within its section): name, and offset into it. NULL: none. s may be NULL. */
const char *symbols_find(const struct symbols *s, uint64_t addr, uint64_t *offset);
/* "name+0x12", "name", or "" */
const char *symbols_format(const struct symbols *s, uint64_t addr, char *buf, size_t n);
bool symbols_by_name(const struct symbols *s, const char *name, uint64_t *addr);
/* The i-th symbol by name, for completion; NULL: no more. */
const char *symbols_at(const struct symbols *s, size_t i, uint64_t *addr);
/* Source file and line; false: not known. *file lives as long as s. */
bool symbols_line(const struct symbols *s, uint64_t addr, const char **file, unsigned *line);

#endif
