/*
 * A whole class: every folder of a folder is graded, by several processes at once, and what is finished is in a journal
 * (journal.h) before the next begins. Killed at any moment and started again, it goes on where it was. The folder of
 * the results has
 *
 *   journal            what was graded, and the only thing that counts; the rest is made from it
 *   results/NAME.json  a result with everything in it, for the teacher
 *   reports/NAME.txt   the same for the student
 *   class.csv          a line for each submission
 *   class.html         the class on one page
 *
 * and is the same bytes (but for the order of lines in the journal) however often it was interrupted.
 */
#ifndef VMSCOPE_LABS_BATCH_H
#define VMSCOPE_LABS_BATCH_H

#include <signal.h>

#include "core/err.h"
#include "labs/result.h"

/* Who grades. identify() is called first, in this process, and gives a hash that is another one when the submission is;
 * grade() is called in processes that were forked from this one, for one submission after the other. Both say by an
 * error, in one line, why they cannot. */
struct batch_grader {
	enum err (*identify)(void *arg, const char *path, char hash[65], struct errmsg *why);
	enum err (*grade)(void *arg, const char *path, struct lab_result *out, struct errmsg *why);
	void *arg;
};

enum batch_step {
	BATCH_NOTE,  /* text: about the journal, or why name cannot even be read */
	BATCH_BEGIN, /* n submissions of total are to be graded; the others were before */
	BATCH_AGAIN, /* name was graded before: text says why it is again */
	BATCH_DONE   /* name is graded, as the n-th of total; result */
};

struct batch_event {
	enum batch_step step;
	const char *name, *text;
	unsigned n, total;
	const struct lab_result *result;
};

struct batch_config {
	const char *dir, *out;
	unsigned jobs;	    /* at least 1 */
	const char *engine; /* hash of what grades */
	const char *lab;    /* hash of the lab */
	uint64_t seed;
	unsigned limit_s; /* for one submission, on the clock; 0: an hour */
	struct batch_grader grader;
	void (*say)(void *arg, const struct batch_event *e);
	void *say_arg;
	const volatile sig_atomic_t *stop; /* not 0: end now, with what is finished */
};

struct batch_summary {
	unsigned total, kept, graded;
	unsigned not_gradable; /* of all */
	bool stopped;
};

/* ERR_OK, too, when some could not be graded, or it was stopped. ERR_NOENT: there is no submission in dir. */
enum err batch_run(const struct batch_config *cfg, struct batch_summary *out, struct errmsg *why) MUST_CHECK;

#endif
