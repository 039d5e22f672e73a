/*
 * Mutants of a program in Lua: the text with one thing wrong. What a lab's tasks do not notice, they do not ask for.
 */
#ifndef VMSCOPE_LABS_MUTATE_H
#define VMSCOPE_LABS_MUTATE_H

#include <stddef.h>

#include "core/err.h"

struct mutant {
	char *name; /* "cpuid.lua:12: 31 -> 32"; of several that would have the same: "... (2)" */
	char *text;
	size_t n;
};

struct mutants {
	struct mutant *list;
	size_t n, room;
};

/* Adds those of a file that still are Lua. ERR_FORMAT: the text is none. */
enum err mutants_add(struct mutants *m, const char *file, const char *text, size_t n, struct errmsg *why) MUST_CHECK;
void mutants_free(struct mutants *m);

#endif
