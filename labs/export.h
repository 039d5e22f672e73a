/*
 * A result in the formats of others. Each prints one file. What a student may see of it leaves out the lines of hidden
 * tasks (their titles, points and the total stay); "json" is the teacher's and has everything. No control character and
 * no invalid UTF-8 ever reaches a file (labs/clean.h). The same result gives the same bytes.
 */
#ifndef VMSCOPE_LABS_EXPORT_H
#define VMSCOPE_LABS_EXPORT_H

#include <stdio.h>

#include "labs/result.h"

/* What a result does not know and a format asks for. Texts are the caller's, and NULL where there is nothing. */
struct export_extra {
	bool teacher; /* text, junit, tap: with the lines of hidden tasks */
	/* classroom50 */
	const char *classroom, *assignment;
	const char *assignment_type; /* NULL: "individual" */
	const char *owner;
	const char *submission_tag; /* "submit/..." */
	const char *commit_url, *release_url;
	const char *review_url; /* NULL: commit_url */
	const char *datetime;	/* of the commit: "2026-11-26T20:40:22Z" */
};

/* From the variables that the runner of Classroom 50 sets (docs/labs.md, "Formats"); teacher stays as it is. The texts
 * belong to the environment. */
void export_extra_from_environment(struct export_extra *x);

struct export_format {
	const char *name; /* "gradescope" */
	const char *what; /* one line for --help */
	/* x may be NULL. ERR_UNSUPPORTED: this result cannot be said in this format: why. ERR_IO: out did not take it.
	 */
	enum err (*print)(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);
};

/* "text", "json", "gradescope", "classroom50", "prairielearn", "junit", "tap", "csv"; ended by a NULL name. */
extern const struct export_format export_formats[];
const struct export_format *export_find(const char *name); /* NULL: none */

/* The result that "json" printed. ERR_FORMAT: text is none. result_init() and result_free() are the caller's. */
enum err result_from_json(const char *text, size_t n, struct lab_result *r, struct errmsg *why) MUST_CHECK;

#endif
