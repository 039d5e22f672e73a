/*
 * A result as a line of a spreadsheet (RFC 4180). What could not be graded has no points, rather than 0.
 */
#include <stdlib.h>
#include <string.h>

#include "labs/export_impl.h"

/* Would a spreadsheet take it for a formula? Where full-width characters are typed they begin one, too. */
static bool is_formula(const char *s)
{
	static const char *const begins[] = {
	    "=", "+", "-", "@", "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"};

	for (size_t i = 0; i < ARRAY_LEN(begins); i++)
		if (strncmp(s, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

/* A quoted field. A text that a spreadsheet would take for a formula begins with an apostrophe. */
static void print_text(FILE *out, const char *s, size_t max)
{
	char *clean = export_clean(s, max);

	fputs(is_formula(clean) ? "\"'" : "\"", out);
	for (const char *p = clean; *p; p++) {
		if (*p == '"')
			fputc('"', out);
		fputc(*p, out);
	}
	fputc('"', out);
	free(clean);
}

static void print_points(FILE *out, bool known, int64_t hundredths)
{
	char buf[32];
	fprintf(out, ",%s", known ? export_points(hundredths, buf) : "");
}

void export_csv_header(const struct lab_result *r, FILE *out)
{
	fputs("submission,gradable,points,max,prediction_points,prediction_max", out);
	for (size_t i = 0; i < r->n_tasks; i++) {
		char *name = NULL;
		if (asprintf(&name, "task:%s", r->tasks[i].id ? r->tasks[i].id : "") < 0)
			name = NULL;
		fputc(',', out);
		print_text(out, name, EXPORT_TITLE_MAX);
		free(name);
	}
	fputs(",lab,version,seed,submission_hash,trace_hash,why\r\n", out);
}

static const struct result_task *find_task(const struct lab_result *r, const char *id)
{
	for (size_t i = 0; i < r->n_tasks; i++)
		if (strcmp(r->tasks[i].id ? r->tasks[i].id : "", id ? id : "") == 0)
			return &r->tasks[i];
	return NULL;
}

void export_csv_row(const struct lab_result *r, const struct lab_result *like, FILE *out)
{
	print_text(out, r->submission, EXPORT_TITLE_MAX);
	fprintf(out, ",%s", r->gradable ? "yes" : "no");
	print_points(out, r->gradable, r->points);
	print_points(out, true, r->max);
	print_points(out, r->gradable, r->prediction_points);
	print_points(out, true, r->prediction_max);
	for (size_t i = 0; i < like->n_tasks; i++) {
		const struct result_task *t = r == like ? &r->tasks[i] : find_task(r, like->tasks[i].id);
		print_points(out, t && (t->state == TASK_GRADED || t->state == TASK_GATED), t ? t->points : 0);
	}
	fputc(',', out);
	print_text(out, r->lab, EXPORT_TITLE_MAX);
	fputc(',', out);
	print_text(out, r->version, EXPORT_TITLE_MAX);
	fprintf(out, ",%llu,", (unsigned long long)r->seed);
	print_text(out, r->submission_hash, 64);
	fputc(',', out);
	print_text(out, r->trace_hash, 64);
	fputc(',', out);
	print_text(out, r->why, EXPORT_WHY_MAX);
	fputs("\r\n", out);
}

enum err export_csv(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why)
{
	(void)x;
	export_csv_header(r, out);
	export_csv_row(r, r, out);
	return export_finish(out, why);
}
