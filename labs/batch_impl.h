/*
 * Private to labs/batch*.c and labs/report*.c.
 */
#ifndef VMSCOPE_LABS_BATCH_IMPL_H
#define VMSCOPE_LABS_BATCH_IMPL_H

#include <stdio.h>

#include "labs/batch.h"
#include "labs/journal.h"

/* One submission of the class. */
struct member {
	char *name; /* of its folder */
	char *path;
	char *file; /* its name as that of a file: no byte in it that needs care anywhere */
	char hash[65];
	bool todo, done, kept;	  /* kept: the journal had it */
	struct lab_result result; /* done */
};

struct class_data {
	struct member *members; /* sorted by name */
	size_t n;
};

/* Grades all that are todo; finished() gets each at its end, and ends it by an error. */
enum err batch_pool(const struct batch_config *cfg, struct journal *j, struct class_data *c,
    enum err (*finished)(void *arg, struct member *m, struct errmsg *why), void *arg, struct errmsg *why) MUST_CHECK;

/* The result of a submission that cannot be graded. */
void batch_not_gradable(struct lab_result *r, const struct batch_config *cfg, const char *name, const char *why);

/* --- report.c --- */
/* Everything but the journal. A file that is as it should be stays; the others are replaced at once. */
enum err report_write(const struct class_data *c, const char *out, struct errmsg *why) MUST_CHECK;
/* Replaces DIR/NAME by these bytes, unless it has them. */
enum err report_file(const char *dir, const char *name, const char *text, size_t n, struct errmsg *why) MUST_CHECK;

/* --- report_html.c --- */
void report_html(const struct class_data *c, FILE *out);

#endif
