/* The system's assembler and linker, in processes of their own. */
#ifndef VMSCOPE_LABS_ASM_TEXT_H
#define VMSCOPE_LABS_ASM_TEXT_H

#include <stddef.h>

#include "core/err.h"

/* The bytes of text, bits 16, 32 or 64, at address org; the caller frees them, in any case. ERR_NODEV: there is no
 * assembler. */
enum err asm_text(
    const char *text, size_t n, int bits, uint64_t org, char **out, size_t *len, struct errmsg *why) MUST_CHECK;

#endif
