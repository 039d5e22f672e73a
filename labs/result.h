/*
 * What grading a submission came to: one structure, from which every format is made (export.h). Plain data, owned by
 * whoever called result_init(); no time and no duration in it, so that it is the same on every machine.
 */
#ifndef VMSCOPE_LABS_RESULT_H
#define VMSCOPE_LABS_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum line_kind { LINE_GOOD, LINE_BAD, LINE_MISSING, LINE_INFO };

/* One thing that was looked at. */
struct result_line {
	enum line_kind kind;
	double weight, share;  /* of the points; INFO: 0 */
	char *what;	       /* "CPUID exits" */
	char *expected, *seen; /* NULL: nothing to show */
	char *context;	       /* the RIP that caused it, file and line; NULL */
};

enum task_state { TASK_GRADED, TASK_GATED, TASK_FILTERED, TASK_UNGRADED };

struct result_task {
	char *id, *title;
	enum task_state state;
	bool hidden;
	int64_t points, max; /* in hundredths of a point */
	struct result_line *lines;
	size_t n_lines;
	char *why; /* GATED, UNGRADED */
};

struct result_prediction {
	char *id, *ask;
	char *predicted, *answer; /* predicted: NULL: none was made */
	int64_t points, max;	  /* hundredths */
};

struct lab_result {
	char *lab, *title;
	char *submission; /* its name, for the eye: the last part of its path */
	char *version;	  /* of vmscope */
	uint64_t seed;
	char submission_hash[65]; /* SHA-256 of names and contents of its files */
	char trace_hash[65];	  /* SHA-256 of the hashes of all its runs, in order */
	char *runs;		  /* "emulate/II vtx-ept; ..." modes and profiles of its runs */
	bool gradable;
	char *why; /* not gradable */
	struct result_task *tasks;
	size_t n_tasks;
	struct result_prediction *predictions;
	size_t n_predictions;
	char *prediction_problem; /* predictions.lua is missing, or wrong: why; NULL */
	int64_t points, max;	  /* of the tasks, hundredths */
	int64_t prediction_points, prediction_max;
};

void result_init(struct lab_result *r);
void result_free(struct lab_result *r);

#endif
