/*
 * What "lab check", "grade" and "lab verify" share: where workers and their data are, and numbers of points.
 */
#ifndef VMSCOPE_CLI_GRADING_H
#define VMSCOPE_CLI_GRADING_H

#include "labs/grade.h"

struct grading_host {
	char program[1024], guests[1024], costs[1024];
	const char *read_only[4];
};

/* Fills h and, pointing into it, out. */
enum err grading_host(struct grading_host *h, struct job_host *out, struct errmsg *why) MUST_CHECK;
/* Hundredths as "12.5" or "12". */
const char *grading_points(int64_t hundredths, char buf[24]);
/* "--seed N"; 0, or a usage error that was printed. */
int grading_seed(const char *arg, uint64_t *seed);

#endif
