/*
 * The assembler and linker of this machine: a text in, bytes out. In a process that is locked down (jail.h) another
 * one does it, which was started before and may read no more than the jail lets it: it answers through two pipes.
 */
#ifndef VMSCOPE_LABS_ASM_H
#define VMSCOPE_LABS_ASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#define ASM_CODE_MAX (1u << 20)
#define ASM_TEXT_MAX (1u << 20)

struct asm_job {
	const char *text; /* n bytes */
	size_t n;
	int bits;
	uint64_t org;
	bool confine; /* the tools read their own files and no others, where the kernel has Landlock */
};

/* Here and now. The caller frees *out. */
enum err asm_assemble(const struct asm_job *a, char **out, size_t *len, struct errmsg *why) MUST_CHECK;
/* By whoever does it for this process. */
enum err asm_ask(const struct asm_job *a, char **out, size_t *len, struct errmsg *why) MUST_CHECK;

/* Before a lock-down: starts the process that will answer; or says that there will be none, and why not. Once in the
 * life of a process, which has one thread then. */
enum err asm_start_helper(struct errmsg *why) MUST_CHECK;
void asm_refuse(const char *why);

#endif
