/*
 * Private to grading: one submission at work. grade.c drives, check.c is the object t, memo.c runs scenes once.
 */
#ifndef VMSCOPE_LABS_GRADE_IMPL_H
#define VMSCOPE_LABS_GRADE_IMPL_H

#include <sha2.h>

#include "labs/grade.h"

struct memo_run {
	char *key; /* scene and arguments */
	struct job_answer answer;
};

struct memo {
	struct memo_run *runs;
	size_t n, room;
	uint64_t cpu_ms; /* of all */
};

struct grader {
	struct grader_config cfg;
	struct lab_place place;
	struct lab_file file; /* for its info */
	struct job_lab job_lab;
	struct submission reference;
	bool has_reference;
	struct memo memo; /* of the reference */
	char *printed;
};

/* Why a check did not come to its end. */
enum fault {
	FAULT_NONE,
	FAULT_SUBMISSION, /* a scene ended by the submission's fault */
	FAULT_LAB	  /* by the lab's or the host's */
};

struct grading {
	struct grader *g;
	const struct submission *sub;
	struct lab_result *out;
	struct lab_file file; /* its own Lua state: nothing is left of the submission before */
	struct memo memo;
	SHA2_CTX trace;
	/* The check at work: */
	struct result_task *task; /* where lines go; NULL: an answer to a prediction, which makes none */
	double weight;
	uint64_t rng;
	bool as_reference; /* t:run() is the reference's, too */
	enum fault fault;
	char *why;
};

/* --- memo.c --- */
void memo_free(struct memo *m);
/* The answer to a scene, run now or before; never NULL but when memory is used up. It stays the memo's. */
const struct job_answer *grading_run(struct grading *gr, bool reference, const char *scene, const json_t *args);

/* --- check.c --- */
void check_open(lua_State *L); /* the class of t; protected */
void check_push(lua_State *L); /* t */
/* Text for a result, owned by the caller: one line, of at most 240 bytes. */
char *check_show(lua_State *L, int index, bool quoted);
bool check_equal(lua_State *L, int a, int b);
bool check_add_line(struct grading *gr, const struct result_line *line); /* takes its texts; false: no memory */

#endif
