/*
 * Does a lab tell right from wrong? Its solution has full marks whatever the seed, what students begin with has not,
 * and each mutant of the solution (mutate.h) loses points.
 */
#ifndef VMSCOPE_LABS_VERIFY_H
#define VMSCOPE_LABS_VERIFY_H

#include "labs/grade.h"

#define VERIFY_SEEDS_MAX 16

struct verify_config {
	const struct lab_place *lab;
	struct job_host host;
	const char *version;
	unsigned jobs;	  /* processes at a time, 1 or more */
	unsigned seeds;	  /* 1 .. seeds are tried */
	unsigned mutants; /* only so many of them, spread over the solution; 0: all */
	/* Called now and then; may be NULL. */
	void (*progress)(void *arg, size_t done, size_t all);
	void *arg;
};

struct verify_report {
	char **problems; /* one line each; none: the lab is good */
	size_t n_problems;
	size_t made;			    /* mutants in all; tried: */
	size_t mutants, killed, equivalent; /* that are declared: not in killed */
	size_t predictions, predictions_killed;
	int64_t points, max;	/* of the solution */
	int64_t starter_points; /* -1: there is no starter */
};

/* An error: it could not be found out. r is to be freed in any case. */
enum err lab_verify(const struct verify_config *cfg, struct verify_report *r, struct errmsg *why) MUST_CHECK;
void verify_free(struct verify_report *r);

#endif
