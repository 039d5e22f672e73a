/*
 * Judges an event's format text before libtraceevent gets it. The library was written for texts that a kernel made: a
 * damaged one can make it crash, or read outside a record when it prints. Fields must be declared exactly as tracefs
 * does it; a print format must be one that can only read inside the record.
 */
#ifndef VMSCOPE_TRACER_FORMAT_CHECK_H
#define VMSCOPE_TRACER_FORMAT_CHECK_H

#include "core/types.h"

/* Printing a record that was accepted reads at most so far behind its start. */
#define FORMAT_REACH (1u << 20)
#define FORMAT_FIELDS_MAX 160

enum format_verdict {
	FORMAT_BAD,    /* not usable */
	FORMAT_FIELDS, /* the fields are; printing is not */
	FORMAT_GOOD
};

enum format_verdict format_check(const char *text, size_t n);
/* A text with the same fields, and a print format that just lists them. malloc'ed; NULL: out of memory. For a text that
 * is at least FORMAT_FIELDS. */
char *format_plain(const char *text, size_t n);

#endif
