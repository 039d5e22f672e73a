/*
 * vmscope lab check: how far a submission is. The visible part of what the grader will say.
 */
#include <argp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/grading.h"
#include "cli/lab_cmds.h"
#include "cli/lab_show.h"

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

/* --- What the starter comes to ------------------------------------------------------------------------------------ */

static bool open_question(const struct result_task *t)
{
	return t->state == TASK_GRADED && t->points == 0 && !lab_show_all_missing(t);
}

/* The tasks without points, with the files that the lab begins with: what comes out the same was not begun. */
static void run_starter(const struct check_options *o, struct grader_config cfg, const struct lab_result *r,
    const struct lab_info *info, struct lab_result *out)
{
	const char *names[TASKS_MAX + 1] = {NULL};
	char dir[PATH_MAX];
	struct submission s = {0};
	struct errmsg none = {""};
	struct grader *g = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < r->n_tasks && n < TASKS_MAX; i++)
		if (open_question(&r->tasks[i]))
			names[n++] = r->tasks[i].id;
	if (!n || o->n_tasks || snprintf(dir, sizeof dir, "%s/starter", cfg.lab->dir) >= (int)sizeof dir)
		return;
	cfg.tasks = names;
	enum err e = grader_open(&cfg, &g, &none);
	if (!e)
		e = submission_read(dir, info->files, info->n_files, &s, &none);
	if (!e)
		e = grader_run(g, &s, out, &none);
	if (e) {
		result_free(out);
		result_init(out);
	}
	submission_free(&s);
	grader_close(g);
}

/* --- The command -------------------------------------------------------------------------------------------------- */

static const char *prediction_problem(struct submission *s, const struct lab_result *r)
{
	const struct submission_file *f = submission_find(s, PREDICTIONS_FILE);

	return r->prediction_problem ? r->prediction_problem : f ? f->problem : NULL;
}

static int check(const struct check_options *o, const struct lab_place *lab)
{
	struct submission s = {0};
	struct grading_host host;
	struct grader_config cfg = {
	    .lab = lab, .seed = o->seed, .tasks = o->n_tasks ? o->tasks : NULL, .version = VMSCOPE_VERSION};
	struct lab_result r, starter;
	struct errmsg why = {""};
	struct grader *g = NULL;
	int status = CLI_OK;

	result_init(&r);
	result_init(&starter);
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
		run_starter(o, cfg, &r, grader_info(g), &starter);
		lab_show_result(&(struct lab_shown){.lab = grader_info(g),
		    .result = &r,
		    .starter = &starter,
		    .dir = o->dir,
		    .all = o->n_tasks > 0,
		    .printed = grader_printed(g),
		    .prediction_problem = prediction_problem(&s, &r)});
		bool full = r.points == r.max && r.prediction_points == r.prediction_max;
		status = !r.gradable ? CLI_UNAVAILABLE : full ? CLI_OK : CLI_FAILED;
	}
	result_free(&r);
	result_free(&starter);
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
	bool named = o.dir != NULL;
	if (!named)
		o.dir = ".";
	if (!named && !o.lab && o.n_tasks && access(".lab", F_OK) != 0)
		return cli_usage(
		    "lab check: %s: no such folder; and this one has no file .lab, so no task is meant", o.tasks[0]);
	enum err e = o.lab ? lab_find(o.lab, &lab, &why) : lab_of_folder(o.dir, &lab, &why);
	return e ? cli_fail_err(e, &why) : check(&o, &lab);
}
