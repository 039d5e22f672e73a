/*
 * What was handed in: files of given names in a folder, read once, with care: a symbolic link, a pipe or a file that is
 * too large is none.
 */
#ifndef VMSCOPE_LABS_SUBMISSION_H
#define VMSCOPE_LABS_SUBMISSION_H

#include <jansson.h>
#include <stddef.h>

#include "core/err.h"

#define SUBMISSION_FILE_MAX (64u << 10)
#define PREDICTIONS_FILE "predictions.lua"

struct submission_file {
	char *name, *text; /* text: NULL: it is not there, */
	size_t n;
	const char *problem; /* because of this */
};

struct submission {
	char *name; /* the last part of the folder's path, without control characters */
	struct submission_file *files;
	size_t n_files;
	char hash[65];
};

/* names, and predictions.lua. An error only where the folder cannot be read, or the host fails (no descriptors, a disk
 * that is gone): what is wrong with a file is its problem. out is to be freed in any case. */
enum err submission_read(
    const char *dir, char *const *names, size_t n, struct submission *out, struct errmsg *why) MUST_CHECK;
void submission_free(struct submission *s);
struct submission_file *submission_find(struct submission *s, const char *name); /* NULL: none */
/* A copy with another text in one of the files. */
enum err submission_with(
    const struct submission *s, const char *name, const char *text, size_t n, struct submission *out) MUST_CHECK;
/* {"name": text or null}, and in problems {"name": why null}; NULL: no memory. */
json_t *submission_json(const struct submission *s, json_t **problems);

#endif
