/*
 * Checks an event filter before libtraceevent gets it. The library takes an unknown field for "never true", and some
 * unfinished conditions for a reason to crash; here each is one line with the place of the error.
 *
 *   filter = event {"," event} [":" condition]      event = [system "/"] name
 *   condition: comparisons of a field with a number or a "string" (== != < <= > >=, and =~ !~ with a regular
 *   expression), joined by && and ||, turned by !( ), grouped by ( ); at most 4096 characters in all
 */
#ifndef VMSCOPE_TRACER_FILTER_H
#define VMSCOPE_TRACER_FILTER_H

#include "core/err.h"

struct tep_handle;

enum err filter_check(struct tep_handle *tep, const char *filter, struct errmsg *why) MUST_CHECK;

#endif
