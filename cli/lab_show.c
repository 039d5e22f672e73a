/*
 * What "vmscope lab check" prints. See lab_show.h.
 */
#include "cli/lab_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/grading.h"
#include "labs/clean.h"

#define WIDTH 80
#define TEXT_MAX 4096
#define TITLE_COLUMN 30
#define LINE_COLUMN 11	/* behind "  MISSING  " */
#define VALUE_COLUMN 20 /* behind "expected " */

/* --- Lines -------------------------------------------------------------------------------------------------------- */

/* Clean text that is to be freed; "" where there is none. */
static char *clean(const char *s)
{
	char *text = clean_text(s, TEXT_MAX);

	return text ? text : strdup("");
}

static void put(const char *text, size_t column, size_t hang)
{
	clean_wrap(stdout, text ? text : "", column, hang, WIDTH);
}

/* In one line, cut where it ends. */
static void put_cut(const char *text, size_t column)
{
	size_t room = WIDTH - column;

	if (clean_columns(text) <= room)
		printf("%s\n", text);
	else
		printf("%.*s...\n", (int)clean_fit(text, room - 3), text);
}

/* A value under the line, so that what was expected stands above what was seen. */
static void put_value(const char *name, const char *value)
{
	printf("%*s%-9s", LINE_COLUMN, "", name);
	put(value, VALUE_COLUMN, VALUE_COLUMN);
}

/* What it lacks: in one line if there is room, else in three. */
static void put_bad(const struct result_line *l, const char *what, const char *expected, const char *seen)
{
	bool bad = l->kind == LINE_BAD;
	char part[40] = "", *one = NULL;

	if (bad && l->share > 0)
		snprintf(part, sizeof part, " (%.0f %% of its points)", 100 * l->share);
	if (asprintf(&one, "%s: expected %s%s%s%s", what, expected, bad ? ", seen " : "", bad ? seen : "", part) < 0)
		return;
	if (clean_columns(one) <= WIDTH - LINE_COLUMN) {
		printf("%s\n", one);
	} else {
		put(what, LINE_COLUMN, LINE_COLUMN);
		put_value("expected", expected);
		if (bad)
			put_value("seen", seen);
		if (*part)
			printf("%*s%s\n", LINE_COLUMN - 1, "", part);
	}
	free(one);
}

static void show_line(const struct result_line *l)
{
	static const char *const kinds[] = {"GOOD   ", "BAD    ", "MISSING", "       "};
	char *what = clean(l->what), *expected = clean(l->expected), *seen = clean(l->seen), *one = NULL;

	printf("  %s  ", kinds[l->kind]);
	if (l->kind != LINE_GOOD && l->expected) {
		put_bad(l, what, expected, seen);
	} else if (asprintf(&one, "%s%s%s", what, l->seen ? ": " : "", seen) >= 0) {
		if (l->kind == LINE_GOOD)
			put_cut(one, LINE_COLUMN);
		else
			put(one, LINE_COLUMN, LINE_COLUMN);
		free(one);
	}
	if (l->context && l->kind != LINE_GOOD) {
		char *context = clean(l->context);
		printf("%*s", LINE_COLUMN, "");
		put(context, LINE_COLUMN, LINE_COLUMN);
		free(context);
	}
	free(what);
	free(expected);
	free(seen);
}

/* --- Tasks -------------------------------------------------------------------------------------------------------- */

bool lab_show_all_missing(const struct result_task *t)
{
	size_t missing = 0;

	for (size_t i = 0; i < t->n_lines; i++) {
		missing += t->lines[i].kind == LINE_MISSING;
		if (t->lines[i].kind == LINE_GOOD || t->lines[i].kind == LINE_BAD)
			return false;
	}
	return missing > 0;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_lines(const struct result_task *a, const struct result_task *b)
{
	for (size_t i = 0; i < a->n_lines && i < b->n_lines; i++) {
		const struct result_line *x = &a->lines[i], *y = &b->lines[i];
		if (x->kind != y->kind || !same_text(x->what, y->what) || !same_text(x->expected, y->expected) ||
		    !same_text(x->seen, y->seen))
			return false;
	}
	return a->n_lines == b->n_lines;
}

static bool begun(const struct lab_shown *s, const struct result_task *t)
{
	if (t->points > 0 || s->all)
		return true;
	if (lab_show_all_missing(t))
		return false;
	for (size_t i = 0; i < s->starter->n_tasks; i++) {
		const struct result_task *own = &s->starter->tasks[i];
		if (own->state == TASK_GRADED && strcmp(own->id, t->id) == 0)
			return !same_lines(own, t);
	}
	return true;
}

/* What words in the table of tasks are to be explained. */
struct legend {
	const char *first; /* task that was not begun */
	bool gated, hidden;
};

static void show_head(const char *id, const char *score, const char *title)
{
	int used = printf("%-16s %-12s ", id, score);

	put(title, used > TITLE_COLUMN ? (size_t)used : TITLE_COLUMN, TITLE_COLUMN);
}

/* "Title", or of a task that waits for others "Title (after this, that)"; to be freed. */
static char *title_of(const struct lab_shown *s, const struct result_task *t)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs(t->title, f);
	for (size_t i = 0; t->state == TASK_GATED && i < s->lab->n_tasks; i++) {
		const struct lab_task *task = &s->lab->tasks[i];
		for (size_t k = 0; strcmp(task->id, t->id) == 0 && k < task->n_after; k++)
			fprintf(f, "%s%s%s", k ? ", " : " (after ", task->after[k], k + 1 == task->n_after ? ")" : "");
	}
	fclose(f);
	return text;
}

static void show_lines(const struct result_task *t)
{
	for (size_t i = 0; i < t->n_lines; i++)
		show_line(&t->lines[i]);
	if (t->state == TASK_UNGRADED && t->why) {
		char *why = clean(t->why);
		printf("%*s", LINE_COLUMN, "");
		put(why, LINE_COLUMN, LINE_COLUMN);
		free(why);
	}
}

static void show_task(const struct lab_shown *s, const struct result_task *t, struct legend *legend)
{
	char got[24], max[24], score[60];
	bool not_begun = t->state == TASK_GRADED && !begun(s, t);
	char *title = title_of(s, t);

	grading_points(t->max, max);
	if (t->state == TASK_FILTERED)
		snprintf(score, sizeof score, "hidden, %s", max);
	else if (t->state == TASK_UNGRADED)
		snprintf(score, sizeof score, "not graded");
	else if (t->state == TASK_GATED)
		snprintf(score, sizeof score, "gated, %s", max);
	else if (not_begun)
		snprintf(score, sizeof score, "not begun");
	else
		snprintf(score, sizeof score, "%s / %s", grading_points(t->points, got), max);
	show_head(t->id, score, title ? title : "");
	free(title);
	if (not_begun && !legend->first)
		legend->first = t->id;
	legend->gated |= t->state == TASK_GATED;
	legend->hidden |= t->state == TASK_FILTERED;
	if (!not_begun)
		show_lines(t);
}

/* --- Predictions -------------------------------------------------------------------------------------------------- */

/* An answer is shown to who has said something, right or wrong. */
static void show_prediction(const struct result_prediction *p)
{
	char *text = NULL, *words;
	int n;

	if (!p->predicted)
		n = asprintf(&text, "%s: %s", p->id, p->ask);
	else if (p->points == p->max)
		n = asprintf(&text, "%s: %s", p->id, p->predicted);
	else
		n = asprintf(&text, "%s: predicted %s, it is %s%s", p->id, p->predicted, p->answer ? p->answer : "?",
		    p->points ? " (half of its points)" : "");
	if (n < 0)
		return;
	words = clean(text);
	printf("  %s  ", !p->predicted ? "MISSING" : p->points == p->max ? "GOOD   " : "BAD    ");
	put(words, LINE_COLUMN, LINE_COLUMN);
	free(words);
	free(text);
}

static void show_predictions(const struct lab_shown *s)
{
	const struct lab_result *r = s->result;
	size_t made = 0;

	for (size_t i = 0; i < r->n_predictions; i++)
		made += r->predictions[i].predicted != NULL;
	if (!r->n_predictions)
		return;
	if (s->prediction_problem) {
		char *why = clean(s->prediction_problem);
		show_head("predictions", "none counts", why);
		free(why);
	} else if (!made) {
		show_head("predictions", "not made", "fill in predictions.lua before you run anything");
	} else {
		puts("predictions");
		for (size_t i = 0; i < r->n_predictions; i++)
			show_prediction(&r->predictions[i]);
	}
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

/* A name that needs no quotes in a shell, and does nothing to a terminal; else a word for it. */
static const char *plain_dir(const char *dir)
{
	return dir[strspn(dir, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-")] ? "DIR" : dir;
}

static void show_legend(const struct lab_shown *s, const struct legend *l)
{
	const char *dir = strcmp(s->dir, ".") == 0 ? "" : plain_dir(s->dir);

	if (s->all)
		return;
	if (l->first || l->gated || l->hidden)
		putchar('\n');
	if (l->first)
		printf("not begun: as the lab begins; \"vmscope lab check %s%s%s\" shows what is asked\n", dir,
		    *dir ? " " : "", l->first);
	if (l->gated)
		puts("gated: it is looked at when what it comes after has half of its points");
	if (l->hidden)
		printf("hidden: looked at by \"vmscope grade %s %s\"\n", s->result->lab, plain_dir(s->dir));
}

void lab_show_result(const struct lab_shown *s)
{
	const struct lab_result *r = s->result;
	struct legend legend = {0};
	char got[24], max[24];

	printf("%s: %s\n\n", r->lab, r->title);
	for (size_t i = 0; i < r->n_tasks; i++)
		if (r->tasks[i].state != TASK_FILTERED || r->tasks[i].hidden)
			show_task(s, &r->tasks[i], &legend);
	show_predictions(s);
	show_legend(s, &legend);
	if (*s->printed)
		printf("\nprinted by the submission:\n%s", s->printed);
	if (!r->gradable)
		printf("\ncould not be graded: %s\n", r->why);
	printf("\ntotal %s / %s", grading_points(r->points, got), grading_points(r->max, max));
	if (r->n_predictions)
		printf(", predictions %s / %s", grading_points(r->prediction_points, got),
		    grading_points(r->prediction_max, max));
	putchar('\n');
}
