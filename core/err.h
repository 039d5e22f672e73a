/*
 * Errors. Three classes, three mechanisms:
 *  - the guest misbehaves: REFLECT the fault to it, or vm_kill() with a reason;
 *  - the host fails, or the user's input is bad: enum err to the caller, with one line in a struct errmsg that says
 *    what, where and what to do. Nothing below the cli directory prints it or exits;
 *  - vmscope has a bug: BUG_ON() stops the machine with end.kind "bug".
 */
#ifndef VMSCOPE_CORE_ERR_H
#define VMSCOPE_CORE_ERR_H

#include "core/types.h"

enum err {
#define ERR(name, sentence) ERR_##name,
#include "core/errors.def"
#undef ERR
	ERR_COUNT
};

/* One line for a person. Owned by the caller; text is always terminated; empty when there is nothing to say. */
struct errmsg {
	char text[320];
};

/* The sentence of errors.def. Never NULL. */
const char *err_sentence(enum err e);

/* Formats into why (which may be NULL) and returns e, so that "return err_set(...)" is one statement. */
enum err err_set(struct errmsg *why, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
