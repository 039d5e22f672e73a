/*
 * What learning platforms read: Gradescope, Classroom 50, PrairieLearn. Their students see these files: the lines of
 * hidden tasks are left out. The score is that of the tasks; predictions are told apart. A result that is not gradable
 * is never a 0: where the platform has no word for it, no file is made.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "labs/export_impl.h"

/* What happened to a task, and its lines; a new reference. */
static json_t *task_output(const struct result_task *t, const struct export_extra *x, size_t max)
{
	const char *withheld = export_withheld(t, x);
	char *why = export_clean(t->why, EXPORT_WHY_MAX), *lines = withheld ? NULL : export_lines_text(t, max),
	     *text = NULL;
	const char *head = t->state == TASK_GATED      ? "not run: "
			   : t->state == TASK_UNGRADED ? "could not be graded: "
						       : "";
	json_t *j = NULL;

	if (asprintf(&text, "%s%s%s%s", head, head[0] ? why : "", head[0] && lines && lines[0] ? "\n" : "",
		withheld && t->state == TASK_GRADED ? withheld
		: lines				    ? lines
						    : "") >= 0) {
		j = json_string(text);
		free(text);
	}
	free(why);
	free(lines);
	return j;
}

/* The summary, the predictions, and where the result comes from; a new reference. */
static json_t *whole_output(const struct lab_result *r)
{
	char *summary = export_summary(r), *predictions = export_predictions_text(r, EXPORT_TASK_MAX),
	     *version = export_clean(r->version, EXPORT_TITLE_MAX), *runs = export_clean(r->runs, EXPORT_VALUE_MAX),
	     *trace = export_clean(r->trace_hash, 64), *text = NULL;
	json_t *j = NULL;

	if (asprintf(&text, "%s%s%s\n\nvmscope %s; runs %s; trace %s", summary ? summary : "",
		predictions && predictions[0] ? "\n\nPredictions\n" : "", predictions ? predictions : "", version,
		runs[0] ? runs : "none", trace[0] ? trace : "none") >= 0) {
		j = json_string(text);
		free(text);
	}
	free(summary);
	free(predictions);
	free(version);
	free(runs);
	free(trace);
	return j;
}

static json_t *provenance(const struct lab_result *r)
{
	char seed[24];

	snprintf(seed, sizeof seed, "%llu", (unsigned long long)r->seed);
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "lab", export_string(r->lab, EXPORT_TITLE_MAX),
	    "version", export_string(r->version, EXPORT_TITLE_MAX), "seed", seed, "submission_hash",
	    export_string(r->submission_hash, 64), "trace_hash", export_string(r->trace_hash, 64), "runs",
	    export_string(r->runs, EXPORT_VALUE_MAX), "prediction_points", export_real(r->prediction_points),
	    "prediction_max", export_real(r->prediction_max));
}

static enum err not_gradable(const struct lab_result *r, const char *format, const char *then, struct errmsg *why)
{
	char *reason = export_clean(r->why, 150);

	err_set(why, ERR_UNSUPPORTED, "%s has no word for a result that could not be graded (%s): %s", format, reason,
	    then);
	free(reason);
	return ERR_UNSUPPORTED;
}

/* A name that is never empty. */
static json_t *task_name(const struct result_task *t)
{
	const char *s = t->title && t->title[0] ? t->title : t->id && t->id[0] ? t->id : "task";
	return export_string(s, EXPORT_TITLE_MAX);
}

/* --- Gradescope ----------------------------------------------------------------------------------------------------
 * A test that is "hidden" there hides the total, too; so every test is visible, and hidden tasks have no lines. */
enum err export_gradescope(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why)
{
	struct export_extra student = x ? *x : (struct export_extra){0};
	json_t *tests = json_array();

	student.teacher = false;
	if (!r->gradable) {
		json_decref(tests);
		return not_gradable(
		    r, "gradescope", "end the autograder with an error, and Gradescope says that it failed", why);
	}
	for (size_t i = 0; i < r->n_tasks; i++) {
		const struct result_task *t = &r->tasks[i];
		char number[24];

		if (t->state == TASK_FILTERED)
			continue;
		snprintf(number, sizeof number, "%zu", i + 1);
		json_array_append_new(tests,
		    json_pack("{s:o, s:o, s:s, s:o, s:s, s:s, s:o, s:s, s:s}", "score", export_real(t->points),
			"max_score", export_real(t->max), "status", export_passed(t) ? "passed" : "failed", "name",
			task_name(t), "name_format", "text", "number", number, "output",
			task_output(t, &student, EXPORT_TASK_MAX), "output_format", "text", "visibility", "visible"));
	}
	return export_dump(json_pack("{s:o, s:o, s:s, s:s, s:s, s:o, s:o}", "score", export_real(r->points), "output",
			       whole_output(r), "output_format", "text", "visibility", "visible", "stdout_visibility",
			       "hidden", "tests", tests, "extra_data", provenance(r)),
	    out, why);
}

/* --- Classroom 50 --------------------------------------------------------------------------------------------------
 */

static bool is_datetime(const char *s)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";

	if (strlen(s) != sizeof shape - 1)
		return false;
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == 'd' ? !isdigit((unsigned char)s[i]) : s[i] != shape[i])
			return false;
	return atoi(s + 11) < 24 && s[14] < '6' && s[17] < '6';
}

static enum err classroom_facts(const struct export_extra *x, struct errmsg *why)
{
	static const struct export_extra nothing;
	const struct export_extra *e = x ? x : &nothing;
	const struct {
		const char *value, *field, *variable;
	} needed[] = {{e->classroom, "classroom", "CLASSROOM"}, {e->assignment, "assignment", "ASSIGNMENT"},
	    {e->owner, "owner", "OWNER"}, {e->submission_tag, "submission", "SUBMISSION_TAG"},
	    {e->commit_url, "commit", "COMMIT_URL"}, {e->release_url, "release", "RELEASE_URL"},
	    {e->datetime, "datetime", "COMMIT_DATETIME"}};

	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (!needed[i].value || !needed[i].value[0])
			return err_set(why, ERR_UNSUPPORTED, "classroom50 needs %s: set %s, which its runner does%s",
			    needed[i].field, needed[i].variable,
			    strcmp(needed[i].field, "datetime") ? ""
								: " not: TZ=UTC git show -s --format=%cd "
								  "--date=format-local:%Y-%m-%dT%H:%M:%SZ");
	if (strncmp(e->submission_tag, "submit/", 7) != 0)
		return err_set(why, ERR_UNSUPPORTED, "classroom50: SUBMISSION_TAG does not begin with \"submit/\"");
	if (!is_datetime(e->datetime))
		return err_set(why, ERR_UNSUPPORTED, "classroom50: COMMIT_DATETIME is not like 2026-11-26T20:40:22Z");
	const char *type = e->assignment_type ? e->assignment_type : "individual";
	if (strcmp(type, "individual") != 0 && strcmp(type, "group") != 0 && strcmp(type, "team") != 0)
		return err_set(
		    why, ERR_UNSUPPORTED, "classroom50: ASSIGNMENT_TYPE is none of individual, group and team");
	return ERR_OK;
}

/* Its scores are whole: to the nearest point. */
static json_t *whole_points(int64_t hundredths)
{
	return json_integer(hundredths <= 0 ? 0 : (hundredths + 50) / 100);
}

static json_t *classroom_test(const struct result_task *t, const struct export_extra *student)
{
	char points[32], max[32], exact[72];

	snprintf(exact, sizeof exact, "%s of %s", export_points(t->points, points), export_points(t->max, max));
	return json_pack("{s:o, s:b, s:o, s:o, s:s, s:o}", "test-name", task_name(t), "passed", export_passed(t),
	    "score", whole_points(t->points), "max-score", whole_points(t->max), "points", exact, "output",
	    task_output(t, student, EXPORT_TASK_MAX));
}

enum err export_classroom50(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why)
{
	enum err e = classroom_facts(x, why);

	if (e)
		return e;
	if (!r->gradable)
		return not_gradable(r, "classroom50",
		    "end the autograder with a status that is not 0, and the runner records an error", why);
	struct export_extra student = *x;
	json_t *tests = json_array();

	student.teacher = false;
	for (size_t i = 0; i < r->n_tasks; i++)
		if (r->tasks[i].state != TASK_FILTERED)
			json_array_append_new(tests, classroom_test(&r->tasks[i], &student));
	return export_dump(
	    json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "schema",
		"classroom50/result/v1", "classroom", export_string(x->classroom, EXPORT_TITLE_MAX), "assignment",
		export_string(x->assignment, EXPORT_TITLE_MAX), "assignment_type",
		x->assignment_type ? x->assignment_type : "individual", "owner",
		export_string(x->owner, EXPORT_TITLE_MAX), "submission",
		export_string(x->submission_tag, EXPORT_TITLE_MAX), "commit",
		export_string(x->commit_url, EXPORT_VALUE_MAX), "release",
		export_string(x->release_url, EXPORT_VALUE_MAX), "review",
		export_string(x->review_url ? x->review_url : x->commit_url, EXPORT_VALUE_MAX), "datetime", x->datetime,
		"score", whole_points(r->points), "max-score", whole_points(r->max), "tests", tests),
	    out, why);
}

/* --- PrairieLearn --------------------------------------------------------------------------------------------------
 */

#define PRAIRIELEARN_MAX 1000000 /* bytes of the file */

static json_t *prairielearn_object(const struct lab_result *r, const struct export_extra *student, size_t max)
{
	json_t *tests = json_array();
	char *summary = export_summary(r);
	double score = r->max > 0 ? (double)r->points / (double)r->max : 0;

	for (size_t i = 0; i < r->n_tasks; i++) {
		const struct result_task *t = &r->tasks[i];
		if (t->state == TASK_FILTERED)
			continue;
		json_array_append_new(tests, json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", task_name(t), "points",
						 export_real(t->points), "max_points", export_real(t->max), "message",
						 json_string(t->state == TASK_GATED ? "not run"
							     : export_passed(t)	    ? "all right"
										    : ""),
						 "output", task_output(t, student, max)));
	}
	json_t *j = json_pack("{s:b, s:f, s:s, s:o, s:o}", "gradable", 1, "score",
	    score < 0	? 0
	    : score > 1 ? 1
			: score,
	    "message", summary ? summary : "", "output", whole_output(r), "tests", tests);
	free(summary);
	return j;
}

enum err export_prairielearn(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why)
{
	struct export_extra student = x ? *x : (struct export_extra){0};

	student.teacher = false;
	if (!r->gradable) {
		char *summary = export_summary(r);
		json_t *j = json_pack("{s:b, s:[s], s:s}", "gradable", 0, "format_errors", summary ? summary : "",
		    "message", summary ? summary : "");
		free(summary);
		return export_dump(j, out, why);
	}
	for (size_t max = EXPORT_TASK_MAX;; max /= 2) {
		json_t *j = prairielearn_object(r, &student, max);
		char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : NULL;
		size_t n = text ? strlen(text) : 0;
		free(text);
		if (n < PRAIRIELEARN_MAX)
			return export_dump(j, out, why);
		json_decref(j);
		if (max < 16)
			return err_set(why, ERR_UNSUPPORTED, "prairielearn takes at most 1 MB, and there are %zu tasks",
			    r->n_tasks);
	}
}
