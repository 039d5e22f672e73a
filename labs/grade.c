/*
 * From a submission to a result: tasks with their gates, and predictions. See grade.h.
 */
#include "labs/grade.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "labs/grade_impl.h"
#include "labs/plain.h"

/* --- The grader --------------------------------------------------------------------------------------------------- */

static enum err check_names(const struct grader *g, struct errmsg *why)
{
	const struct lab_info *info = &g->file.info;

	for (const char *const *p = g->cfg.tasks; p && *p; p++) {
		bool found = false;
		for (size_t i = 0; i < info->n_tasks; i++)
			found = found || fnmatch(*p, info->tasks[i].id, 0) == 0;
		if (found)
			continue;
		char ids[240] = "";
		for (size_t i = 0; i < info->n_tasks; i++) {
			size_t n = strlen(ids);
			snprintf(ids + n, sizeof ids - n, "%s%s", n ? ", " : "", info->tasks[i].id);
		}
		return err_set(why, ERR_NOENT, "%s: no task of this lab is called like this: there are %s", *p, ids);
	}
	return ERR_OK;
}

static enum err open_all(struct grader *g, struct errmsg *why)
{
	const struct lab_info *info = &g->file.info;
	enum err e = lab_file_open(&g->file, g->place.dir, g, g->cfg.seed, why);

	if (!e)
		e = job_lab_read(&g->job_lab, g->place.dir, why);
	if (!e)
		e = check_names(g, why);
	if (!e && g->place.solution[0]) {
		e = submission_read(g->place.solution, info->files, info->n_files, &g->reference, why);
		g->has_reference = !e;
	}
	return e;
}

enum err grader_open(const struct grader_config *cfg, struct grader **out, struct errmsg *why)
{
	struct grader *g = calloc(1, sizeof *g);

	*out = NULL;
	if (!g)
		return err_set(why, ERR_NOMEM, "no memory for a grader");
	g->cfg = *cfg;
	g->place = *cfg->lab;
	enum err e = open_all(g, why);
	if (e) {
		grader_close(g);
		return e;
	}
	*out = g;
	return ERR_OK;
}

void grader_close(struct grader *g)
{
	if (!g)
		return;
	lab_file_close(&g->file);
	job_lab_free(&g->job_lab);
	submission_free(&g->reference);
	memo_free(&g->memo);
	free(g->printed);
	free(g);
}

const struct lab_info *grader_info(const struct grader *g)
{
	return &g->file.info;
}

const char *grader_printed(const struct grader *g)
{
	return g->printed ? g->printed : "";
}

/* --- One check ---------------------------------------------------------------------------------------------------- */

/* A sequence of its own for each task, so that no other changes it. */
static uint64_t seed_of(uint64_t seed, const char *id)
{
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a */

	for (; *id; id++)
		h = (h ^ (uint8_t)*id) * 0x100000001b3ull;
	return seed ^ h;
}

static void begin(struct grading *gr, const char *id, struct result_task *task, bool as_reference)
{
	gr->task = task;
	gr->weight = 1;
	gr->rng = seed_of(gr->g->cfg.seed, id);
	gr->as_reference = as_reference;
	gr->fault = FAULT_NONE;
	gr->file.box.insns = 0;
}

/* Calls the function on top of the stack with t; leaves one result, or notes what went wrong and leaves nothing. */
static bool call(struct grading *gr)
{
	lua_State *L = gr->file.box.L;
	char text[400];

	check_push(L);
	int bad = lua_pcall(L, 1, 1, 0);
	if (bad == LUA_OK)
		return true;
	if (gr->fault == FAULT_NONE) {
		gr->fault = FAULT_LAB;
		sandbox_error_line(L, text, sizeof text);
		free(gr->why);
		gr->why = strdup(bad == LUA_ERRMEM ? "lab.lua has used its memory" : text);
	}
	lua_pop(L, 1);
	return false;
}

static void weigh(const struct result_task *t, double *all, double *earned)
{
	*all = *earned = 0;
	for (size_t i = 0; i < t->n_lines; i++) {
		*all += t->lines[i].weight;
		*earned += t->lines[i].weight * t->lines[i].share;
	}
}

static void free_lines(struct result_task *t)
{
	for (size_t i = 0; i < t->n_lines; i++) {
		free(t->lines[i].what);
		free(t->lines[i].expected);
		free(t->lines[i].seen);
		free(t->lines[i].context);
	}
	free(t->lines);
	t->lines = NULL;
	t->n_lines = 0;
}

/* What all lines of this check weigh, when it comes to its end; 0: nobody knows. */
static double full_weight(struct grading *gr, size_t i)
{
	struct result_task scratch = {0};
	double all = 0, earned;

	if (!gr->g->has_reference)
		return 0;
	begin(gr, gr->g->file.info.tasks[i].id, &scratch, true);
	lab_file_check(&gr->file, i);
	if (call(gr)) {
		lua_pop(gr->file.box.L, 1);
		weigh(&scratch, &all, &earned);
	}
	free_lines(&scratch);
	return all;
}

static void ungraded(struct grading *gr, struct result_task *t, const char *why)
{
	char text[500];

	t->state = TASK_UNGRADED;
	t->points = 0;
	free(t->why);
	t->why = strdup(why ? why : "no memory");
	if (!gr->out->gradable)
		return;
	gr->out->gradable = false;
	snprintf(text, sizeof text, "task %s: %s", t->id, t->why ? t->why : "no memory");
	gr->out->why = strdup(text);
}

/* A scene has failed by the submission's fault: the lines that did not come count as lost. */
static void cut_short(struct grading *gr, size_t i, struct result_task *t)
{
	double all, earned;

	gr->task = t;
	check_add_line(
	    gr, &(struct result_line){
		    .kind = LINE_BAD, .weight = gr->weight, .what = strdup("ended by an error"), .seen = gr->why});
	gr->why = NULL;
	weigh(t, &all, &earned);
	double full = full_weight(gr, i);
	if (gr->g->has_reference && full == 0) {
		char *why = gr->why ? strdup(gr->why) : NULL;
		ungraded(gr, t, why);
		free(why);
		return;
	}
	/* Who does not know what was still to come gives nothing. */
	t->points = full == 0 ? 0 : llround((double)t->max * earned / fmax(all, full));
}

static void run_task(struct grading *gr, size_t i, struct result_task *t)
{
	double all, earned;

	begin(gr, t->id, t, false);
	lab_file_check(&gr->file, i);
	if (!call(gr)) {
		if (gr->fault == FAULT_SUBMISSION)
			cut_short(gr, i, t);
		else
			ungraded(gr, t, gr->why);
		return;
	}
	lua_pop(gr->file.box.L, 1);
	weigh(t, &all, &earned);
	if (all == 0)
		ungraded(gr, t, "the check has looked at nothing: use t:equal and the like in it");
	else
		t->points = llround((double)t->max * earned / all);
}

/* --- Tasks -------------------------------------------------------------------------------------------------------- */

static bool chosen(const struct grader *g, const struct lab_task *task)
{
	if (task->hidden && !g->cfg.hidden)
		return false;
	for (const char *const *p = g->cfg.tasks; p && *p; p++)
		if (fnmatch(*p, task->id, 0) == 0)
			return true;
	return !g->cfg.tasks || !g->cfg.tasks[0];
}

/* The tasks before it have at least half of their points; those that are not run hold nobody up. */
static bool gate(struct grading *gr, const struct lab_task *task, struct result_task *t)
{
	char text[200];

	for (size_t i = 0; i < task->n_after; i++)
		for (size_t k = 0; k < gr->out->n_tasks; k++) {
			const struct result_task *before = &gr->out->tasks[k];
			if (strcmp(before->id, task->after[i]) != 0 || before->state == TASK_FILTERED)
				continue;
			if (before->state == TASK_UNGRADED) {
				snprintf(text, sizeof text, "it comes after %s, which could not be graded", before->id);
				ungraded(gr, t, text);
				return false;
			}
			if (before->points * 2 >= before->max)
				continue;
			snprintf(
			    text, sizeof text, "it comes after %s: that has less than half of its points", before->id);
			t->state = TASK_GATED;
			t->why = strdup(text);
			return false;
		}
	return true;
}

static bool enough(const struct grading *gr)
{
	return gr->g->cfg.until_loss && (gr->out->points < gr->out->max || !gr->out->gradable);
}

static enum err do_tasks(struct grading *gr, struct errmsg *why)
{
	const struct lab_info *info = &gr->file.info;
	struct lab_result *out = gr->out;

	out->tasks = calloc(info->n_tasks, sizeof *out->tasks);
	if (!out->tasks)
		return err_set(why, ERR_NOMEM, "no memory for a result");
	for (size_t i = 0; i < info->n_tasks; i++) {
		const struct lab_task *task = &info->tasks[i];
		struct result_task *t = &out->tasks[i];
		*t = (struct result_task){.id = strdup(task->id),
		    .title = strdup(task->title),
		    .state = chosen(gr->g, task) && !enough(gr) ? TASK_GRADED : TASK_FILTERED,
		    .hidden = task->hidden,
		    .max = task->max};
		if (!t->id || !t->title)
			return err_set(why, ERR_NOMEM, "no memory for a result");
		if (t->state == TASK_GRADED && gate(gr, task, t))
			run_task(gr, i, t);
		out->n_tasks++;
		if (t->state == TASK_FILTERED)
			continue;
		out->points += t->points;
		out->max += t->max;
	}
	return ERR_OK;
}

/* --- Predictions -------------------------------------------------------------------------------------------------- */

static int64_t score(lua_State *L, const struct lab_prediction *p, int predicted, int answer)
{
	if (lua_type(L, predicted) == LUA_TNUMBER && lua_type(L, answer) == LUA_TNUMBER) {
		double off = fabs(lua_tonumber(L, predicted) - lua_tonumber(L, answer));
		return off <= p->within ? p->max : off <= 2 * p->within ? p->max / 2 : 0;
	}
	return check_equal(L, predicted, answer) ? p->max : 0;
}

/* Protected: the table of what was predicted is argument 1, number and places are in the userdata behind it. */
struct one {
	struct grading *gr;
	const struct lab_prediction *p;
	struct result_prediction *out;
};

static int compare(lua_State *L)
{
	struct one *one = lua_touserdata(L, 2);

	if (lua_istable(L, 1)) { /* 3 is the answer */
		lua_pushstring(L, one->p->id);
		lua_rawget(L, 1);
	} else {
		lua_pushnil(L);
	}
	one->out->answer = check_show(L, 3, false);
	if (lua_isnil(L, 4))
		return 0;
	one->out->predicted = check_show(L, 4, false);
	one->out->points = score(L, one->p, 4, 3);
	return 0;
}

/* predicted: where the table is. */
static void do_prediction(struct grading *gr, size_t i, int predicted)
{
	lua_State *L = gr->file.box.L;
	struct result_prediction *out = &gr->out->predictions[i];
	struct one one = {gr, &gr->file.info.predictions[i], out};

	lua_pushcfunction(L, compare);
	lua_pushvalue(L, predicted);
	lua_pushlightuserdata(L, &one);
	begin(gr, one.p->id, NULL, false);
	lab_file_answer(&gr->file, i);
	if (lua_type(L, -1) == LUA_TFUNCTION && !call(gr)) {
		char text[500];
		lua_pop(L, 3);
		snprintf(text, sizeof text, "not known: %s", gr->why ? gr->why : "no memory");
		out->answer = strdup(text);
		if (gr->fault == FAULT_LAB && gr->out->gradable) {
			snprintf(text, sizeof text, "prediction %s: %s", one.p->id, gr->why ? gr->why : "no memory");
			gr->out->gradable = false;
			gr->out->why = strdup(text);
		}
		return;
	}
	if (lua_pcall(L, 3, 0, 0) != LUA_OK)
		lua_pop(L, 1);
}

static int push_predicted(lua_State *L)
{
	plain_to_lua(L, lua_touserdata(L, 1));
	return 1;
}

/* Pushes the submission's table, or nil; *problem is its, when it is wrong. */
static void read_predicted(struct grading *gr, const char **problem)
{
	lua_State *L = gr->file.box.L;
	const struct submission_file *f = NULL;

	*problem = NULL;
	for (size_t i = 0; i < gr->sub->n_files; i++)
		if (strcmp(gr->sub->files[i].name, PREDICTIONS_FILE) == 0)
			f = &gr->sub->files[i];
	const struct job_answer *a = f && f->text ? grading_run(gr, false, NULL, NULL) : NULL;
	if (a && a->end == JOB_OK) {
		lua_pushcfunction(L, push_predicted);
		lua_pushlightuserdata(L, a->result);
		if (lua_pcall(L, 1, 1, 0) == LUA_OK)
			return;
		lua_pop(L, 1);
	} else if (a && a->end == JOB_HOST && gr->out->gradable) {
		gr->out->gradable = false;
		gr->out->why = strdup(a->error ? a->error : "no memory");
	} else if (a) {
		*problem = a->error ? a->error : "no memory";
	}
	lua_pushnil(L);
}

static enum err do_predictions(struct grading *gr, struct errmsg *why)
{
	const struct lab_info *info = &gr->file.info;
	struct lab_result *out = gr->out;
	const char *problem = NULL;

	if (!info->n_predictions || enough(gr) || (gr->g->cfg.tasks && gr->g->cfg.tasks[0]))
		return ERR_OK;
	out->predictions = calloc(info->n_predictions, sizeof *out->predictions);
	if (!out->predictions)
		return err_set(why, ERR_NOMEM, "no memory for a result");
	read_predicted(gr, &problem);
	out->prediction_problem = problem ? strdup(problem) : NULL;
	int predicted = lua_gettop(gr->file.box.L);
	for (size_t i = 0; i < info->n_predictions; i++) {
		struct result_prediction *p = &out->predictions[out->n_predictions++];
		*p = (struct result_prediction){.id = strdup(info->predictions[i].id),
		    .ask = strdup(info->predictions[i].ask),
		    .max = info->predictions[i].max};
		do_prediction(gr, i, predicted);
		if (out->prediction_problem) { /* it can still be mended: the answer is not told */
			free(p->answer);
			p->answer = NULL;
			p->predicted = strdup(out->prediction_problem);
		}
		out->prediction_points += p->points;
		out->prediction_max += p->max;
	}
	return ERR_OK;
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

static int open_check(lua_State *L)
{
	check_open(L);
	return 0;
}

static enum err fill_head(struct grading *gr, struct errmsg *why)
{
	const struct lab_info *info = &gr->file.info;
	struct lab_result *out = gr->out;

	out->lab = strdup(info->id);
	out->title = strdup(info->title);
	out->submission = strdup(gr->sub->name);
	out->version = strdup(gr->g->cfg.version);
	out->seed = gr->g->cfg.seed;
	memcpy(out->submission_hash, gr->sub->hash, sizeof out->submission_hash);
	out->gradable = true;
	return out->lab && out->title && out->submission && out->version
		   ? ERR_OK
		   : err_set(why, ERR_NOMEM, "no memory for a result");
}

enum err grader_run(struct grader *g, const struct submission *s, struct lab_result *out, struct errmsg *why)
{
	struct grading *gr = calloc(1, sizeof *gr);

	result_init(out);
	if (!gr)
		return err_set(why, ERR_NOMEM, "no memory for a grading");
	free(g->printed);
	g->printed = NULL;
	*gr = (struct grading){.g = g, .sub = s, .out = out};
	SHA256Init(&gr->trace);
	enum err e = lab_file_open(&gr->file, g->place.dir, gr, g->cfg.seed, why);
	if (!e) {
		lua_pushcfunction(gr->file.box.L, open_check);
		if (lua_pcall(gr->file.box.L, 0, 0, 0) != LUA_OK)
			e = err_set(why, ERR_NOMEM, "no memory for a grading");
	}
	if (!e)
		e = fill_head(gr, why);
	if (!e)
		e = do_tasks(gr, why);
	if (!e)
		e = do_predictions(gr, why);
	SHA256End(&gr->trace, out->trace_hash);
	if (!out->runs)
		out->runs = strdup("");
	lab_file_close(&gr->file);
	memo_free(&gr->memo);
	free(gr->why);
	free(gr);
	return e;
}
