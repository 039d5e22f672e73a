/*
 * What continuous integration reads: JUnit XML and TAP. A task is a test; it passes with full points. Predictions are
 * told apart, and fail nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "labs/export_impl.h"

/* --- JUnit ---------------------------------------------------------------------------------------------------------
 */

static void print_attribute(FILE *out, const char *name, const char *value, size_t max)
{
	char *clean = export_clean(value, max);

	fprintf(out, " %s=\"", name);
	export_markup(out, clean);
	fputc('"', out);
	free(clean);
}

static void print_property(FILE *out, const char *name, const char *value, size_t max)
{
	fputs("      <property", out);
	print_attribute(out, "name", name, EXPORT_TITLE_MAX);
	print_attribute(out, "value", value, max);
	fputs("/>\n", out);
}

static void print_properties(const struct lab_result *r, FILE *out)
{
	char a[32], b[32], text[80], *summary = export_summary(r);

	fputs("    <properties>\n", out);
	print_property(out, "summary", summary ? summary : "", EXPORT_VALUE_MAX);
	snprintf(text, sizeof text, "%s/%s", export_points(r->points, a), export_points(r->max, b));
	print_property(out, "points", r->gradable ? text : "", EXPORT_VALUE_MAX);
	snprintf(
	    text, sizeof text, "%s/%s", export_points(r->prediction_points, a), export_points(r->prediction_max, b));
	if (r->n_predictions)
		print_property(out, "predictions", r->gradable ? text : "", EXPORT_VALUE_MAX);
	print_property(out, "submission", r->submission, EXPORT_VALUE_MAX);
	print_property(out, "submission_hash", r->submission_hash, 64);
	print_property(out, "trace_hash", r->trace_hash, 64);
	print_property(out, "runs", r->runs, EXPORT_VALUE_MAX);
	snprintf(text, sizeof text, "%llu", (unsigned long long)r->seed);
	print_property(out, "seed", text, EXPORT_VALUE_MAX);
	print_property(out, "version", r->version, EXPORT_VALUE_MAX);
	fputs("    </properties>\n", out);
	free(summary);
}

/* An element that says how a test ended, with the lines in it. */
static void print_outcome(FILE *out, const char *element, const char *type, const char *message, const char *lines)
{
	fprintf(out, "      <%s", element);
	print_attribute(out, "message", message, EXPORT_WHY_MAX);
	fprintf(out, " type=\"%s\">", type);
	export_markup(out, lines);
	fprintf(out, "</%s>\n", element);
}

static void print_testcase(
    const struct lab_result *r, const struct result_task *t, const struct export_extra *x, FILE *out)
{
	const char *withheld = export_withheld(t, x);
	char *lines = withheld ? strdup(withheld) : export_lines_text(t, EXPORT_TASK_MAX), *name = NULL, a[32], b[32],
	     text[80];
	const char *shown = lines ? lines : "";

	if (asprintf(&name, "%s.%s", r->lab ? r->lab : "", t->id ? t->id : "") < 0)
		name = NULL;
	fputs("    <testcase", out);
	print_attribute(out, "name", t->title && t->title[0] ? t->title : t->id, EXPORT_TITLE_MAX);
	print_attribute(out, "classname", name, EXPORT_TITLE_MAX);
	fputs(">\n", out);
	snprintf(text, sizeof text, "%s of %s points", export_points(t->points, a), export_points(t->max, b));
	if (t->state == TASK_UNGRADED)
		print_outcome(out, "error", "grading", t->why ? t->why : "could not be graded", shown);
	else if (t->state == TASK_FILTERED)
		print_outcome(out, "skipped", "filter", "not asked for", "");
	else if (t->state == TASK_GATED)
		print_outcome(out, "failure", "gate", t->why ? t->why : "not run", shown);
	else if (!export_passed(t))
		print_outcome(out, "failure", "points", text, shown);
	else if (shown[0]) {
		fputs("      <system-out>", out);
		export_markup(out, shown);
		fputs("</system-out>\n", out);
	}
	fputs("    </testcase>\n", out);
	free(lines);
	free(name);
}

static void print_testcases(const struct lab_result *r, const struct export_extra *x, FILE *out)
{
	for (size_t i = 0; i < r->n_tasks; i++)
		print_testcase(r, &r->tasks[i], x, out);
	if (!r->gradable) {
		fputs("    <testcase name=\"grading\"", out);
		print_attribute(out, "classname", r->lab, EXPORT_TITLE_MAX);
		fputs(">\n", out);
		print_outcome(out, "error", "grading", r->why ? r->why : "could not be graded", "");
		fputs("    </testcase>\n", out);
	}
}

enum err export_junit(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why)
{
	size_t failures = 0, errors = r->gradable ? 0 : 1, skipped = 0, tests = r->n_tasks + (r->gradable ? 0 : 1);
	char *predictions = export_predictions_text(r, EXPORT_TASK_MAX);

	for (size_t i = 0; i < r->n_tasks; i++) {
		const struct result_task *t = &r->tasks[i];
		errors += t->state == TASK_UNGRADED;
		skipped += t->state == TASK_FILTERED;
		failures += t->state == TASK_GATED || (t->state == TASK_GRADED && !export_passed(t));
	}
	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
	print_attribute(out, "name", "vmscope", EXPORT_TITLE_MAX);
	fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n  <testsuite", tests, failures, errors);
	print_attribute(out, "name", r->lab, EXPORT_TITLE_MAX);
	fprintf(
	    out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\">\n", tests, failures, errors, skipped);
	print_properties(r, out);
	print_testcases(r, x, out);
	if (predictions && predictions[0]) {
		fputs("    <system-out>Predictions\n", out);
		export_markup(out, predictions);
		fputs("</system-out>\n", out);
	}
	fputs("  </testsuite>\n</testsuites>\n", out);
	free(predictions);
	return export_finish(out, why);
}

/* --- TAP -----------------------------------------------------------------------------------------------------------
 */

/* A description: # would begin a directive. */
static void print_description(FILE *out, const char *s)
{
	char *clean = export_clean(s, EXPORT_TITLE_MAX);

	for (const char *p = clean; *p; p++) {
		if (*p == '#' || *p == '\\')
			fputc('\\', out);
		fputc(*p, out);
	}
	free(clean);
}

/* A string of YAML. */
static void print_yaml(FILE *out, const char *clean)
{
	fputc('"', out);
	for (; *clean; clean++) {
		if (*clean == '"' || *clean == '\\')
			fputc('\\', out);
		fputc(*clean, out);
	}
	fputs("\"\n", out);
}

static void print_diagnostic(const struct result_task *t, const struct export_extra *x, FILE *out)
{
	const char *withheld = export_withheld(t, x);
	char *lines = withheld ? strdup(withheld) : export_lines_text(t, EXPORT_TASK_MAX), *why = NULL, a[32];
	bool any = lines && lines[0];

	fprintf(out, "  ---\n  points: %s\n", t->state == TASK_UNGRADED ? "~" : export_points(t->points, a));
	fprintf(out, "  max: %s\n", export_points(t->max, a));
	if (t->why) {
		why = export_clean(t->why, EXPORT_WHY_MAX);
		fprintf(out, "  %s: ", t->state == TASK_UNGRADED ? "not_graded" : "not_run");
		print_yaml(out, why);
	}
	if (any)
		fputs("  lines:\n", out);
	for (char *line = any ? lines : NULL, *end; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = 0;
		fputs("    - ", out);
		print_yaml(out, line);
	}
	fputs("  ...\n", out);
	free(lines);
	free(why);
}

static void print_comment(FILE *out, const char *lines)
{
	fputs("# ", out);
	for (; *lines; lines++) {
		fputc(*lines, out);
		if (*lines == '\n')
			fputs("# ", out);
	}
	fputc('\n', out);
}

enum err export_tap(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why)
{
	char *summary = export_summary(r), *predictions = export_predictions_text(r, EXPORT_TASK_MAX);

	fprintf(out, "TAP version 13\n1..%zu\n", r->n_tasks);
	for (size_t i = 0; i < r->n_tasks; i++) {
		const struct result_task *t = &r->tasks[i];
		bool skip = t->state == TASK_FILTERED;

		fprintf(out, "%sok %zu - ", skip || export_passed(t) ? "" : "not ", i + 1);
		print_description(out, t->title && t->title[0] ? t->title : t->id);
		fputs(skip ? " # SKIP not asked for\n" : "\n", out);
		if (!skip)
			print_diagnostic(t, x, out);
	}
	if (predictions && predictions[0]) {
		print_comment(out, "Predictions");
		print_comment(out, predictions);
	}
	if (r->gradable)
		print_comment(out, summary ? summary : "");
	else
		fprintf(out, "Bail out! %s\n", summary ? summary : "could not be graded");
	free(summary);
	free(predictions);
	return export_finish(out, why);
}
