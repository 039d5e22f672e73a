/*
 * vmscope lab check: how far a submission is. The visible part of what the grader will say.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/grading.h"
#include "cli/lab_cmds.h"

#define TASKS_MAX 64

struct check_options {
	const char *dir, *lab;
	const char *tasks[TASKS_MAX + 1];
	unsigned n_tasks;
	uint64_t seed;
};

enum { KEY_LAB = 256, KEY_SEED };

static const struct argp_option options[] = {
    {.name = "lab", .key = KEY_LAB, .arg = "LAB", .doc = "an id or a folder; else the folder's file .lab says which"},
    {.name = "seed", .key = KEY_SEED, .arg = "N", .doc = "of what a check draws (1)"},
    {0},
};

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct check_options *o = state->input;

	switch (key) {
	case KEY_LAB:
		o->lab = arg;
		return 0;
	case KEY_SEED:
		return grading_seed(arg, &o->seed);
	case ARGP_KEY_ARG:
		if (!o->dir && !o->n_tasks && (is_dir(arg) || strchr(arg, '/')))
			o->dir = arg;
		else if (o->n_tasks < TASKS_MAX)
			o->tasks[o->n_tasks++] = arg;
		else
			return cli_usage("lab check: more than %d tasks", TASKS_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[DIR] [TASK...]",
    .doc = "Judge the submission in DIR (.) by the visible tasks of its lab, or by those that are named. docs/labs.md "
	   "says how.\vThe exit status is 0 for full marks, 1 for less, 3 when it could not be graded.",
};

/* --- What is shown ------------------------------------------------------------------------------------------------ */

static void print_line(const struct result_line *l)
{
	static const char *const kinds[] = {"GOOD   ", "BAD    ", "MISSING", "       "};

	printf("  %s  %s", kinds[l->kind], l->what ? l->what : "");
	if (l->kind == LINE_GOOD && l->seen)
		printf(": %s", l->seen);
	else if (l->kind != LINE_GOOD && l->expected)
		printf(": expected %s%s%s", l->expected, l->kind == LINE_BAD ? ", seen " : "",
		    l->kind == LINE_BAD ? l->seen : "");
	else if (l->seen)
		printf(": %s", l->seen);
	if (l->kind == LINE_BAD && l->share > 0)
		printf(" (%.0f %% of its points)", 100 * l->share);
	if (l->context && l->kind != LINE_GOOD)
		printf("\n           %s", l->context);
	putchar('\n');
}

static void print_task(const struct result_task *t)
{
	char got[24], max[24], score[60];

	snprintf(score, sizeof score, "%s / %s", grading_points(t->points, got), grading_points(t->max, max));
	if (t->state == TASK_FILTERED && !t->hidden)
		return;
	if (t->state == TASK_FILTERED)
		snprintf(score, sizeof score, "hidden, %s", grading_points(t->max, max));
	else if (t->state == TASK_UNGRADED)
		snprintf(score, sizeof score, "not graded");
	printf("%-16s %-12s %s\n", t->id, score, t->title);
	for (size_t i = 0; i < t->n_lines; i++)
		print_line(&t->lines[i]);
	if (t->why)
		printf("  %s  %s\n", t->state == TASK_GATED ? "GATED  " : "       ", t->why);
}

/* An answer is shown to who has said something, right or wrong. */
static void print_prediction(const struct result_prediction *p)
{
	if (!p->predicted)
		printf("  MISSING  %s: %s\n", p->id, p->ask);
	else if (p->points == p->max)
		printf("  GOOD     %s: %s\n", p->id, p->predicted);
	else
		printf("  BAD      %s: predicted %s, it is %s%s\n", p->id, p->predicted, p->answer ? p->answer : "?",
		    p->points ? " (half of its points)" : "");
}

static void print_result(const struct lab_result *r, const char *printed)
{
	char got[24], max[24];

	printf("%s: %s\n\n", r->lab, r->title);
	for (size_t i = 0; i < r->n_tasks; i++)
		print_task(&r->tasks[i]);
	if (r->n_predictions) {
		printf("predictions\n");
		for (size_t i = 0; i < r->n_predictions; i++)
			print_prediction(&r->predictions[i]);
	}
	if (*printed)
		printf("\nprinted by the submission:\n%s", printed);
	if (!r->gradable)
		printf("\ncould not be graded: %s\n", r->why);
	printf("\ntotal %s / %s", grading_points(r->points, got), grading_points(r->max, max));
	if (r->n_predictions)
		printf(", predictions %s / %s", grading_points(r->prediction_points, got),
		    grading_points(r->prediction_max, max));
	putchar('\n');
}

/* --- The command -------------------------------------------------------------------------------------------------- */

static int check(const struct check_options *o, const struct lab_place *lab)
{
	struct submission s = {0};
	struct grading_host host;
	struct grader_config cfg = {
	    .lab = lab, .seed = o->seed, .tasks = o->n_tasks ? o->tasks : NULL, .version = VMSCOPE_VERSION};
	struct lab_result r;
	struct errmsg why = {""};
	struct grader *g = NULL;
	int status = CLI_OK;

	result_init(&r);
	enum err e = grading_host(&host, &cfg.host, &why);
	if (!e)
		e = grader_open(&cfg, &g, &why);
	if (!e)
		e = submission_read(o->dir, grader_info(g)->files, grader_info(g)->n_files, &s, &why);
	if (!e)
		e = grader_run(g, &s, &r, &why);
	if (e) {
		status = cli_fail_err(e, &why);
	} else {
		print_result(&r, grader_printed(g));
		bool full = r.points == r.max && r.prediction_points == r.prediction_max;
		status = !r.gradable ? CLI_UNAVAILABLE : full ? CLI_OK : CLI_FAILED;
	}
	result_free(&r);
	submission_free(&s);
	grader_close(g);
	return status;
}

int cmd_lab_check(int argc, char **argv)
{
	struct check_options o = {.seed = 1};
	struct lab_place lab;
	struct errmsg why = {""};
	int bad = cli_parse(&argp, argc, argv, &o);

	if (bad)
		return bad;
	if (!o.dir)
		o.dir = ".";
	enum err e = o.lab ? lab_find(o.lab, &lab, &why) : lab_of_folder(o.dir, &lab, &why);
	return e ? cli_fail_err(e, &why) : check(&o, &lab);
}
