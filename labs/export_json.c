/*
 * The whole result as JSON (schema vmscope/result/v1), and back.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "labs/export_impl.h"

#define SCHEMA "vmscope/result/v1"
#define WHOLE_MAX 65536 /* of a text: enough for any console that a scene hands out */

json_t *export_string(const char *s, size_t max)
{
	if (!s)
		return json_null();
	char *clean = export_clean(s, max);
	json_t *j = json_string(clean);
	free(clean);
	return j;
}

json_t *export_real(int64_t hundredths)
{
	return json_real((double)hundredths / 100);
}

/* JSON has no infinity. */
static double finite_or_0(double v)
{
	return isfinite(v) ? v : 0;
}

static json_t *line_object(const struct result_line *l)
{
	return json_pack("{s:s, s:f, s:f, s:o, s:o, s:o, s:o}", "kind", export_kind_name(l->kind), "weight",
	    finite_or_0(l->weight), "share", finite_or_0(l->share), "what", export_string(l->what, WHOLE_MAX),
	    "expected", export_string(l->expected, WHOLE_MAX), "seen", export_string(l->seen, WHOLE_MAX), "context",
	    export_string(l->context, WHOLE_MAX));
}

static json_t *task_object(const struct result_task *t)
{
	json_t *lines = json_array();

	for (size_t i = 0; lines && i < t->n_lines; i++)
		json_array_append_new(lines, line_object(&t->lines[i]));
	return json_pack("{s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:o}", "id", export_string(t->id, WHOLE_MAX), "title",
	    export_string(t->title, WHOLE_MAX), "state", export_state_name(t->state), "hidden", t->hidden, "points",
	    export_real(t->points), "max", export_real(t->max), "why", export_string(t->why, WHOLE_MAX), "lines",
	    lines);
}

static json_t *prediction_object(const struct result_prediction *p)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "id", export_string(p->id, WHOLE_MAX), "ask",
	    export_string(p->ask, WHOLE_MAX), "predicted", export_string(p->predicted, WHOLE_MAX), "answer",
	    export_string(p->answer, WHOLE_MAX), "points", export_real(p->points), "max", export_real(p->max));
}

json_t *export_json_object(const struct lab_result *r)
{
	json_t *tasks = json_array(), *predictions = json_array();
	char seed[24];

	snprintf(seed, sizeof seed, "%llu", (unsigned long long)r->seed);
	for (size_t i = 0; tasks && i < r->n_tasks; i++)
		json_array_append_new(tasks, task_object(&r->tasks[i]));
	for (size_t i = 0; predictions && i < r->n_predictions; i++)
		json_array_append_new(predictions, prediction_object(&r->predictions[i]));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "schema", SCHEMA, "lab", export_string(r->lab, WHOLE_MAX), "title", export_string(r->title, WHOLE_MAX),
	    "submission", export_string(r->submission, WHOLE_MAX), "version", export_string(r->version, WHOLE_MAX),
	    "seed", seed, "submission_hash", export_string(r->submission_hash, 64), "trace_hash",
	    export_string(r->trace_hash, 64), "runs", export_string(r->runs, WHOLE_MAX), "gradable", r->gradable, "why",
	    export_string(r->why, WHOLE_MAX), "points", export_real(r->points), "max", export_real(r->max),
	    "prediction_points", export_real(r->prediction_points), "prediction_max", export_real(r->prediction_max),
	    "tasks", tasks, "predictions", predictions);
}

enum err export_dump(json_t *j, FILE *out, struct errmsg *why)
{
	int failed = j ? json_dumpf(j, out, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : 0;

	if (!j)
		return err_set(why, ERR_NOMEM, "no memory for the result as JSON");
	json_decref(j);
	fputc('\n', out);
	return failed ? err_set(why, ERR_IO,
			    "the result could not be written: the disk is full, or nobody reads it any more")
		      : export_finish(out, why);
}

enum err export_json(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why)
{
	(void)x;
	return export_dump(export_json_object(r), out, why);
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

/* The first thing that was wrong: every reader goes on, and the end looks here. */
struct reader {
	const char *wrong;
	const char *field;
};

static void wrong(struct reader *rd, const char *what, const char *field)
{
	if (!rd->wrong) {
		rd->wrong = what;
		rd->field = field;
	}
}

static char *take_text(struct reader *rd, const json_t *o, const char *field, bool may_be_null)
{
	const json_t *v = json_object_get(o, field);

	if (json_is_null(v) && may_be_null)
		return NULL;
	if (!json_is_string(v)) {
		wrong(rd, "a text is needed", field);
		return NULL;
	}
	char *s = strdup(json_string_value(v));
	if (!s)
		wrong(rd, "no memory", field);
	return s;
}

static void take_hash(struct reader *rd, const json_t *o, const char *field, char hash[65])
{
	const char *s = json_string_value(json_object_get(o, field));

	if (!s || strlen(s) > 64)
		wrong(rd, "a hash is needed", field);
	else
		memcpy(hash, s, strlen(s) + 1);
}

static double take_number(struct reader *rd, const json_t *o, const char *field)
{
	const json_t *v = json_object_get(o, field);
	double d = json_number_value(v);

	if (!json_is_number(v) || !(fabs(d) < 1e12)) {
		wrong(rd, "a number is needed", field);
		return 0;
	}
	return d;
}

static int64_t take_points(struct reader *rd, const json_t *o, const char *field)
{
	return llround(take_number(rd, o, field) * 100);
}

static bool take_bool(struct reader *rd, const json_t *o, const char *field)
{
	const json_t *v = json_object_get(o, field);

	if (!json_is_boolean(v))
		wrong(rd, "true or false is needed", field);
	return json_is_true(v);
}

/* The index of a word; name(i) gives it. */
static unsigned take_word(struct reader *rd, const json_t *o, const char *field, const char *const *names, unsigned n)
{
	const char *s = json_string_value(json_object_get(o, field));

	for (unsigned i = 0; s && i < n; i++)
		if (strcmp(s, names[i]) == 0)
			return i;
	wrong(rd, "this word is not known", field);
	return 0;
}

/* Room for the members of an array; sets *n. */
static void *take_array(struct reader *rd, const json_t *o, const char *field, size_t size, size_t *n, json_t **array)
{
	*array = json_object_get(o, field);
	*n = 0;
	if (!json_is_array(*array)) {
		wrong(rd, "a list is needed", field);
		return NULL;
	}
	void *room = calloc(json_array_size(*array) + 1, size);
	if (!room)
		wrong(rd, "no memory", field);
	else
		*n = json_array_size(*array);
	return room;
}

static void read_line(struct reader *rd, const json_t *o, struct result_line *l)
{
	static const char *const kinds[] = {"good", "bad", "missing", "info"};

	l->kind = (enum line_kind)take_word(rd, o, "kind", kinds, 4);
	l->weight = take_number(rd, o, "weight");
	l->share = take_number(rd, o, "share");
	l->what = take_text(rd, o, "what", true);
	l->expected = take_text(rd, o, "expected", true);
	l->seen = take_text(rd, o, "seen", true);
	l->context = take_text(rd, o, "context", true);
}

static void read_task(struct reader *rd, const json_t *o, struct result_task *t)
{
	static const char *const states[] = {"graded", "gated", "filtered", "ungraded"};
	json_t *lines;

	t->id = take_text(rd, o, "id", true);
	t->title = take_text(rd, o, "title", true);
	t->state = (enum task_state)take_word(rd, o, "state", states, 4);
	t->hidden = take_bool(rd, o, "hidden");
	t->points = take_points(rd, o, "points");
	t->max = take_points(rd, o, "max");
	t->why = take_text(rd, o, "why", true);
	t->lines = take_array(rd, o, "lines", sizeof *t->lines, &t->n_lines, &lines);
	for (size_t i = 0; i < t->n_lines; i++)
		read_line(rd, json_array_get(lines, i), &t->lines[i]);
}

static void read_prediction(struct reader *rd, const json_t *o, struct result_prediction *p)
{
	p->id = take_text(rd, o, "id", true);
	p->ask = take_text(rd, o, "ask", true);
	p->predicted = take_text(rd, o, "predicted", true);
	p->answer = take_text(rd, o, "answer", true);
	p->points = take_points(rd, o, "points");
	p->max = take_points(rd, o, "max");
}

static uint64_t take_seed(struct reader *rd, const json_t *o)
{
	const char *s = json_string_value(json_object_get(o, "seed"));
	char *end = NULL;
	uint64_t v = s ? strtoull(s, &end, 10) : 0;

	if (!s || *s < '0' || *s > '9' || *end)
		wrong(rd, "a whole number, as a text, is needed", "seed");
	return v;
}

static void read_result(struct reader *rd, const json_t *o, struct lab_result *r)
{
	json_t *tasks, *predictions;
	const char *schema = json_string_value(json_object_get(o, "schema"));

	if (!schema || strcmp(schema, SCHEMA) != 0)
		wrong(rd, "\"" SCHEMA "\" is needed", "schema");
	r->lab = take_text(rd, o, "lab", true);
	r->title = take_text(rd, o, "title", true);
	r->submission = take_text(rd, o, "submission", true);
	r->version = take_text(rd, o, "version", true);
	r->seed = take_seed(rd, o);
	take_hash(rd, o, "submission_hash", r->submission_hash);
	take_hash(rd, o, "trace_hash", r->trace_hash);
	r->runs = take_text(rd, o, "runs", true);
	r->gradable = take_bool(rd, o, "gradable");
	r->why = take_text(rd, o, "why", true);
	r->points = take_points(rd, o, "points");
	r->max = take_points(rd, o, "max");
	r->prediction_points = take_points(rd, o, "prediction_points");
	r->prediction_max = take_points(rd, o, "prediction_max");
	r->tasks = take_array(rd, o, "tasks", sizeof *r->tasks, &r->n_tasks, &tasks);
	for (size_t i = 0; i < r->n_tasks; i++)
		read_task(rd, json_array_get(tasks, i), &r->tasks[i]);
	r->predictions = take_array(rd, o, "predictions", sizeof *r->predictions, &r->n_predictions, &predictions);
	for (size_t i = 0; i < r->n_predictions; i++)
		read_prediction(rd, json_array_get(predictions, i), &r->predictions[i]);
}

enum err result_from_json(const char *text, size_t n, struct lab_result *r, struct errmsg *why)
{
	struct reader rd = {0};
	json_error_t bad;
	json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &bad);

	if (!o)
		return err_set(why, ERR_FORMAT, "no result: line %d: %s", bad.line, bad.text);
	read_result(&rd, o, r);
	json_decref(o);
	return rd.wrong ? err_set(why, ERR_FORMAT, "no result: %s: %s", rd.field, rd.wrong) : ERR_OK;
}
