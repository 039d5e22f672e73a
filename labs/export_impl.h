/*
 * Private to labs/export*.c, batch.c and report*.c.
 */
#ifndef VMSCOPE_LABS_EXPORT_IMPL_H
#define VMSCOPE_LABS_EXPORT_IMPL_H

#include <jansson.h>

#include "labs/export.h"

/* Bytes that are kept of a text: a title or a name, what was expected or seen, a reason. */
#define EXPORT_TITLE_MAX 200
#define EXPORT_VALUE_MAX 2000
#define EXPORT_WHY_MAX 1000
#define EXPORT_TASK_MAX 20000 /* bytes of the lines of one task, where a file is for reading */
#define EXPORT_WIDTH 80

enum err export_text(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);
enum err export_json(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);
enum err export_gradescope(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);
enum err export_classroom50(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);
enum err export_prairielearn(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);
enum err export_junit(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);
enum err export_tap(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);
enum err export_csv(const struct lab_result *r, const struct export_extra *x, FILE *out, struct errmsg *why);

/* "12.5" of 1250. */
const char *export_points(int64_t hundredths, char buf[32]);
/* A clean copy for one expression; the caller frees it. Never NULL: without memory, it is "" that must be freed, too.
 */
char *export_clean(const char *s, size_t max);
/* Clean text as XML and HTML take it, between tags and in attributes. */
void export_markup(FILE *out, const char *s);
/* What stands in the place of lines that are not shown; NULL: the lines are shown. */
const char *export_withheld(const struct result_task *t, const struct export_extra *x);
/* Full points, in a state that says so. */
bool export_passed(const struct result_task *t);
const char *export_kind_name(enum line_kind k);
const char *export_state_name(enum task_state s);

/* The lines of a task as text, after so many spaces; nothing when there are none. At most max bytes, and then a
 * line that says how many are not there. width 0: as long as they are. */
void export_lines(const struct result_task *t, unsigned indent, unsigned width, size_t max, FILE *out);
/* The same in memory, without the last line's end; the caller frees it. NULL: no memory. */
char *export_lines_text(const struct result_task *t, size_t max);
/* The predictions as text. */
void export_predictions(const struct lab_result *r, unsigned indent, unsigned width, size_t max, FILE *out);
char *export_predictions_text(const struct lab_result *r, size_t max);
/* "Total 62.5 of 80 points; predictions 8 of 10", or that it could not be graded and why. Freed by the caller. */
char *export_summary(const struct lab_result *r);

/* The whole result; a new reference, NULL: no memory. */
json_t *export_json_object(const struct lab_result *r);
json_t *export_string(const char *s, size_t max); /* NULL: null */
json_t *export_real(int64_t hundredths);
/* Prints and releases it. */
enum err export_dump(json_t *j, FILE *out, struct errmsg *why);
enum err export_finish(FILE *out, struct errmsg *why);

/* The first line, and that of a result. The columns are the tasks of the first argument, and of like. */
void export_csv_header(const struct lab_result *r, FILE *out);
void export_csv_row(const struct lab_result *r, const struct lab_result *like, FILE *out);

#endif
