/*
 * Results of a grading that was never done, for tests of the exports and of the class report.
 */
#ifndef VMSCOPE_TESTS_RESULT_FIXTURE_H
#define VMSCOPE_TESTS_RESULT_FIXTURE_H

#include "labs/result.h"

enum result_sample {
	SAMPLE_FULL,	 /* all points */
	SAMPLE_PARTIAL,	 /* lines of every kind, points in hundredths */
	SAMPLE_GATED,	 /* a task that was not run, one that was not asked for */
	SAMPLE_UNGRADED, /* a task that could not be graded */
	SAMPLE_NOTHING,	 /* nothing could be graded: no task at all */
	SAMPLE_HIDDEN,	 /* SAMPLE_SECRET is in the lines of a hidden task */
	SAMPLE_HOSTILE,	 /* every text is as bad as can be */
	SAMPLE_LARGE,	 /* many lines, long texts */
	SAMPLE_COUNT
};
#define SAMPLE_SECRET "SECRET-7f3a"

/* result_free() is the caller's. */
void result_sample(struct lab_result *r, enum result_sample which);
const char *result_sample_name(enum result_sample which);
/* Submission i of a class: the same i is the same result. */
void result_of_class(struct lab_result *r, unsigned i);

/* As bad as a text can be: escapes, turned directions, markup of every format, no UTF-8. */
extern const char hostile_text[];

#endif
