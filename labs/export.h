/*
 * A result in the formats of others. Each prints one file; what a student may see of it leaves out the lines of hidden
 * tasks (their titles, points and the total stay). Control characters never reach a file.
 */
#ifndef VMSCOPE_LABS_EXPORT_H
#define VMSCOPE_LABS_EXPORT_H

#include <stdio.h>

#include "labs/result.h"

struct export_format {
	const char *name; /* "gradescope" */
	const char *what; /* one line for --help */
	/* ERR_UNSUPPORTED: this result cannot be said in this format: why. */
	enum err (*print)(const struct lab_result *r, FILE *out, struct errmsg *why);
};

/* "text", "json", "gradescope", "classroom50", "prairielearn", "junit", "tap", "csv"; ended by a NULL name. */
extern const struct export_format export_formats[];
const struct export_format *export_find(const char *name); /* NULL: none */

#endif
