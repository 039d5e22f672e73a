/*
 * Grading: what a submission comes to by a lab's tasks. The grader reads the lab once; each submission is run in
 * processes of its own (job.h), and judged here. docs/labs.md says how tasks, lines and points work.
 */
#ifndef VMSCOPE_LABS_GRADE_H
#define VMSCOPE_LABS_GRADE_H

#include "labs/book.h"
#include "labs/job.h"
#include "labs/lab_file.h"
#include "labs/result.h"

struct grader;

struct grader_config {
	const struct lab_place *lab;
	struct job_host host;
	uint64_t seed;
	bool hidden;		  /* run hidden tasks, too */
	const char *const *tasks; /* run only those with such names (*, ? and [] stand for others); NULL-terminated;
				   * NULL: all */
	bool until_loss;	  /* tasks behind the first that lost points are not run; predictions when none did */
	bool brief;		  /* tighter limits on what scenes compute */
	const char *version;	  /* of vmscope */
};

/* Copies what it needs but the texts in cfg, which stay. ERR_FORMAT: the lab is wrong; ERR_NOENT: no task has one of
 * the names. */
enum err grader_open(const struct grader_config *cfg, struct grader **out, struct errmsg *why) MUST_CHECK;
void grader_close(struct grader *g);
const struct lab_info *grader_info(const struct grader *g);

/* out is to be freed in any case. ERR_OK, too, when it could not be graded (out->gradable). Answers of the reference
 * are kept for the next submission. From one thread at a time; a process that was forked has a grader of its own. */
enum err grader_run(
    struct grader *g, const struct submission *s, struct lab_result *out, struct errmsg *why) MUST_CHECK;
/* What the submission of the last grader_run() printed, all its scenes; "" when nothing. */
const char *grader_printed(const struct grader *g);

#endif
