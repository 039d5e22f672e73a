/*
 * A result for people: at most 80 columns, a line for each task, and under it what was looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "labs/clean.h"
#include "labs/export_impl.h"

static const char *const kind_words[] = {
    [LINE_GOOD] = "GOOD   ", [LINE_BAD] = "BAD    ", [LINE_MISSING] = "MISSING", [LINE_INFO] = "       "};
#define KIND_COLUMNS 8

/* "what: expected 1, seen 3 (half of it)"; the caller frees it. */
static char *line_words(const struct result_line *l)
{
	char *what = export_clean(l->what, EXPORT_VALUE_MAX), *expected = export_clean(l->expected, EXPORT_VALUE_MAX),
	     *seen = export_clean(l->seen, EXPORT_VALUE_MAX), *buf = NULL;
	size_t n;
	FILE *f = open_memstream(&buf, &n);

	if (f) {
		fputs(what, f);
		if (l->kind == LINE_GOOD && l->seen)
			fprintf(f, ": %s", seen);
		else if (l->expected && l->seen)
			fprintf(f, ": expected %s, seen %s", expected, seen);
		else if (l->expected)
			fprintf(f, ": expected %s%s", expected, l->kind == LINE_MISSING ? ", nothing seen" : "");
		else if (l->seen)
			fprintf(f, ": seen %s", seen);
		if (l->kind == LINE_BAD && l->share > 0)
			fprintf(f, " (%.0f %% of its points)", l->share * 100);
		if (fclose(f) != 0) {
			free(buf);
			buf = NULL;
		}
	}
	free(what);
	free(expected);
	free(seen);
	return buf;
}

static void print_line(const struct result_line *l, unsigned indent, unsigned width, FILE *out)
{
	char *words = line_words(l);
	size_t hang = indent + KIND_COLUMNS;

	fprintf(out, "%*s%s ", (int)indent, "", kind_words[l->kind]);
	clean_wrap(out, words ? words : "", hang, hang, width);
	free(words);
	if (l->context && l->context[0] && l->kind != LINE_GOOD) {
		char *context = export_clean(l->context, EXPORT_VALUE_MAX);
		fprintf(out, "%*sat ", (int)hang, "");
		clean_wrap(out, context, hang + 3, hang + 3, width);
		free(context);
	}
}

void export_lines(const struct result_task *t, unsigned indent, unsigned width, size_t max, FILE *out)
{
	size_t used = 0;

	for (size_t i = 0; i < t->n_lines; i++) {
		char *buf = NULL;
		size_t n = 0;
		FILE *f = open_memstream(&buf, &n);

		if (!f)
			return;
		print_line(&t->lines[i], indent, width, f);
		fclose(f);
		if (used + n > max) {
			fprintf(out, "%*s... and %zu more lines\n", (int)indent, "", t->n_lines - i);
			free(buf);
			return;
		}
		used += n;
		fwrite(buf, 1, n, out);
		free(buf);
	}
}

static char *finish_text(FILE *f, char **buf)
{
	if (fclose(f) != 0) {
		free(*buf);
		return NULL;
	}
	size_t n = strlen(*buf);
	if (n && (*buf)[n - 1] == '\n')
		(*buf)[n - 1] = 0;
	return *buf;
}

char *export_lines_text(const struct result_task *t, size_t max)
{
	char *buf = NULL;
	size_t n;
	FILE *f = open_memstream(&buf, &n);

	if (!f)
		return NULL;
	export_lines(t, 0, 0, max, f);
	return finish_text(f, &buf);
}

static void print_prediction(const struct result_prediction *p, unsigned indent, unsigned width, FILE *out)
{
	char *ask = export_clean(p->ask && p->ask[0] ? p->ask : p->id, EXPORT_VALUE_MAX),
	     *predicted = export_clean(p->predicted ? p->predicted : "", EXPORT_VALUE_MAX),
	     *answer = export_clean(p->answer ? p->answer : "not known", EXPORT_VALUE_MAX), points[32], max[32],
	     score[72], *words = NULL;
	size_t hang = indent + KIND_COLUMNS;

	snprintf(score, sizeof score, "%s/%s", export_points(p->points, points), export_points(p->max, max));
	fprintf(out, "%*s%-*s ", (int)indent, "", KIND_COLUMNS - 1, score);
	clean_wrap(out, ask, strlen(score) < KIND_COLUMNS ? hang : indent + strlen(score) + 1, hang, width);
	/* Who has not predicted is not told: it can still be done. */
	int n = !p->predicted ? asprintf(&words, "nothing predicted")
		: p->answer   ? asprintf(&words, "predicted %s; it is %s", predicted, answer)
			      : asprintf(&words, "predicted %s", predicted);
	if (n >= 0) {
		fprintf(out, "%*s", (int)hang, "");
		clean_wrap(out, words, hang, hang, width);
		free(words);
	}
	free(ask);
	free(predicted);
	free(answer);
}

void export_predictions(const struct lab_result *r, unsigned indent, unsigned width, size_t max, FILE *out)
{
	size_t used = 0;

	for (size_t i = 0; i < r->n_predictions; i++) {
		char *buf = NULL;
		size_t n = 0;
		FILE *f = open_memstream(&buf, &n);

		if (!f)
			return;
		print_prediction(&r->predictions[i], indent, width, f);
		fclose(f);
		if (used + n > max) {
			fprintf(out, "%*s... and %zu more predictions\n", (int)indent, "", r->n_predictions - i);
			free(buf);
			return;
		}
		used += n;
		fwrite(buf, 1, n, out);
		free(buf);
	}
}

char *export_predictions_text(const struct lab_result *r, size_t max)
{
	char *buf = NULL;
	size_t n;
	FILE *f = open_memstream(&buf, &n);

	if (!f)
		return NULL;
	export_predictions(r, 0, 0, max, f);
	return finish_text(f, &buf);
}

char *export_summary(const struct lab_result *r)
{
	char *why = export_clean(r->why, EXPORT_WHY_MAX), *buf = NULL, points[32], max[32];
	size_t n;
	FILE *f = open_memstream(&buf, &n);

	if (f) {
		if (!r->gradable)
			fprintf(
			    f, "Could not be graded: %s. This is not 0 points.", why[0] ? why : "no reason is known");
		else
			fprintf(
			    f, "Total %s of %s points", export_points(r->points, points), export_points(r->max, max));
		if (r->gradable && r->n_predictions)
			fprintf(f, "; predictions %s of %s", export_points(r->prediction_points, points),
			    export_points(r->prediction_max, max));
		fclose(f);
	}
	free(why);
	return buf;
}

/* The title, and the points at the right. */
static void print_title(const struct result_task *t, FILE *out)
{
	char *title = export_clean(t->title, EXPORT_TITLE_MAX), points[32], max[32], score[72];
	bool known = t->state == TASK_GRADED || t->state == TASK_GATED;
	size_t fit, room;

	snprintf(
	    score, sizeof score, "%s/%s", known ? export_points(t->points, points) : "-", export_points(t->max, max));
	room = EXPORT_WIDTH - 2 - strlen(score);
	fit = clean_fit(title, room);
	title[fit] = 0;
	fprintf(out, "%s%*s  %s\n", title, (int)(room - clean_columns(title)), "", score);
	free(title);
}

static void print_task(const struct result_task *t, const struct export_extra *x, FILE *out)
{
	char *why = export_clean(t->why, EXPORT_WHY_MAX);
	const char *withheld = export_withheld(t, x);

	print_title(t, out);
	if (t->state == TASK_FILTERED)
		fputs("  not asked for\n", out);
	if (t->state == TASK_GATED) {
		fputs("  not run: ", out);
		clean_wrap(out, why, 11, 4, EXPORT_WIDTH);
	} else if (t->state == TASK_UNGRADED) {
		fputs("  could not be graded: ", out);
		clean_wrap(out, why, 23, 4, EXPORT_WIDTH);
	}
	if (!withheld)
		export_lines(t, 2, EXPORT_WIDTH, EXPORT_TASK_MAX, out);
	else if (t->state == TASK_GRADED)
		fprintf(out, "  (%s)\n", withheld);
	free(why);
}

static void print_field(const char *name, const char *value, size_t max, FILE *out)
{
	char *clean = export_clean(value && value[0] ? value : "none", max);

	fprintf(out, "%-12s", name);
	clean_wrap(out, clean, 12, 12, EXPORT_WIDTH);
	free(clean);
}

enum err export_text(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why)
{
	char *title = export_clean(r->title, EXPORT_TITLE_MAX), *summary = export_summary(r), seed[24];

	clean_wrap(out, title, 0, 0, EXPORT_WIDTH);
	print_field("lab", r->lab, EXPORT_VALUE_MAX, out);
	print_field("submission", r->submission, EXPORT_VALUE_MAX, out);
	fputc('\n', out);
	for (size_t i = 0; i < r->n_tasks; i++)
		print_task(&r->tasks[i], x, out);
	if (r->n_predictions) {
		fputs("\nPredictions\n", out);
		export_predictions(r, 2, EXPORT_WIDTH, EXPORT_TASK_MAX, out);
	}
	fputc('\n', out);
	clean_wrap(out, summary ? summary : "", 0, 0, EXPORT_WIDTH);
	fputc('\n', out);
	snprintf(seed, sizeof seed, "%llu", (unsigned long long)r->seed);
	print_field("vmscope", r->version, EXPORT_VALUE_MAX, out);
	print_field("seed", seed, EXPORT_VALUE_MAX, out);
	print_field("runs", r->runs, EXPORT_VALUE_MAX, out);
	print_field("trace", r->trace_hash, 64, out);
	print_field("files", r->submission_hash, 64, out);
	free(title);
	free(summary);
	return export_finish(out, why);
}
