/*
 * The grader's side of a scene: a job for a worker process, in its jail, and what came of it.
 */
#ifndef VMSCOPE_LABS_JOB_H
#define VMSCOPE_LABS_JOB_H

#include <jansson.h>
#include <stdbool.h>

#include "labs/submission.h"

/* Where workers are, and what they need. Texts are the caller's. */
struct job_host {
	const char *program;	      /* path of vmscope */
	const char *guests, *costs;   /* folders that it reads */
	const char *const *read_only; /* further ones, ended by NULL */
};

enum job_end {
	JOB_OK,
	JOB_SUBMISSION, /* the submission's fault: error says what, with file and line where there is one */
	JOB_LAB,	/* the scene's */
	JOB_HOST	/* this machine's: it could not be run */
};

struct job_answer {
	enum job_end end;
	json_t *result;	       /* JOB_OK */
	char *error;	       /* else; one line */
	bool stopped;	       /* by a limit of its process */
	unsigned cpu_ms;       /* processor time */
	char *printed;	       /* what the submission printed, cleaned; "" when nothing */
	json_t *runs, *hashes; /* lists of texts; hashes: 64 hexadecimal digits each */
};

/* The texts of a lab that workers get: scenes.lua, its guests, assembled, and what it hands out in Lua. */
struct job_lab {
	char *scenes;
	size_t n_scenes;
	json_t *guests;	 /* {"name": bytes} */
	json_t *starter; /* {"name.lua": text} */
};

/* Reads DIR/scenes.lua, DIR/guests and DIR/starter. To be freed in any case. */
enum err job_lab_read(struct job_lab *lab, const char *dir, struct errmsg *why) MUST_CHECK;
void job_lab_free(struct job_lab *lab);

/* scene NULL: the submission's predictions. args: NULL: nil. brief: with tighter limits. */
void job_run(const struct job_host *host, const struct job_lab *lab, const struct submission *s, const char *scene,
    const json_t *args, uint64_t seed, bool brief, struct job_answer *out);
void job_answer_free(struct job_answer *a);

/* The answer of a submission that a limit has stopped before: it waits no second time. why: which. */
void job_give_up(const char *why, struct job_answer *out);

#endif
