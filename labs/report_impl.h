/*
 * Private to labs/report_html.c and labs/report_charts.c: the page of a class.
 */
#ifndef VMSCOPE_LABS_REPORT_IMPL_H
#define VMSCOPE_LABS_REPORT_IMPL_H

#include "labs/batch_impl.h"
#include "labs/export_impl.h"

/* The results that have points, and one of them that has all tasks. */
struct graded {
	const struct class_data *c;
	const struct lab_result **all;
	size_t n;
	const struct lab_result *like;
};

/* Clean text that means nothing to HTML. */
void report_put(FILE *out, const char *s, size_t max);
double report_percent(int64_t points, int64_t max);
const struct result_task *report_task(const struct lab_result *r, const char *id); /* NULL: it has none */
int report_by_value(const void *a, const void *b);				   /* doubles, for qsort() */

/* Each a heading and a chart; nothing where there is nothing to show. */
void report_totals(const struct graded *g, FILE *out);
void report_tasks(const struct graded *g, FILE *out);
void report_predictions(const struct graded *g, FILE *out);
void report_budgets(const struct graded *g, FILE *out); /* and what failed most */

#endif
