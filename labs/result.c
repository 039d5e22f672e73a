/*
 * The result of a grading. See result.h.
 */
#include "labs/result.h"

#include <stdlib.h>

void result_init(struct lab_result *r)
{
	*r = (struct lab_result){0};
}

static void free_task(struct result_task *t)
{
	for (size_t i = 0; i < t->n_lines; i++) {
		free(t->lines[i].what);
		free(t->lines[i].expected);
		free(t->lines[i].seen);
		free(t->lines[i].context);
	}
	free(t->lines);
	free(t->id);
	free(t->title);
	free(t->why);
}

void result_free(struct lab_result *r)
{
	for (size_t i = 0; i < r->n_tasks; i++)
		free_task(&r->tasks[i]);
	free(r->tasks);
	for (size_t i = 0; i < r->n_predictions; i++) {
		free(r->predictions[i].id);
		free(r->predictions[i].ask);
		free(r->predictions[i].predicted);
		free(r->predictions[i].answer);
	}
	free(r->predictions);
	free(r->prediction_problem);
	free(r->lab);
	free(r->title);
	free(r->submission);
	free(r->version);
	free(r->runs);
	free(r->why);
	result_init(r);
}
