/*
 * lab.lua, read and checked: what is data as a struct, what is a function in its Lua state.
 */
#ifndef VMSCOPE_LABS_LAB_FILE_H
#define VMSCOPE_LABS_LAB_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "script/sandbox.h"

struct lab_task {
	char *id, *title;
	int64_t max; /* hundredths of a point */
	bool hidden;
	char **after;
	size_t n_after;
};

struct lab_prediction {
	char *id, *ask;
	int64_t max;
	double within;
};

struct lab_info {
	char *id, *title;
	int minutes[2]; /* 0, 0: not said */
	char **files;
	size_t n_files;
	struct lab_task *tasks;
	size_t n_tasks;
	struct lab_prediction *predictions;
	size_t n_predictions;
	char **equivalent; /* mutants of the solution that change nothing: "cpuid.lua:12: ..." */
	size_t n_equivalent;
};

struct lab_file {
	struct sandbox box;
	struct lab_info info;
	char path[1100]; /* of lab.lua */
};

/* Runs DIR/lab.lua and checks what it returns. ERR_FORMAT: "lab.lua: field: what is wrong, what to do". f is to be
 * closed in any case. owner is what sandbox_of(L)->owner gives; seed that of math.random. */
enum err lab_file_open(struct lab_file *f, const char *dir, void *owner, uint64_t seed, struct errmsg *why) MUST_CHECK;
void lab_file_close(struct lab_file *f);
/* Push what tasks[i].check and predictions[i].answer are. */
void lab_file_check(struct lab_file *f, size_t task);
void lab_file_answer(struct lab_file *f, size_t prediction);

#endif
