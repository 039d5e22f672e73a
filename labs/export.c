/*
 * The table of formats, and what they share.
 */
#include "labs/export_impl.h"

#include <stdlib.h>
#include <string.h>

#include "labs/clean.h"

const struct export_format export_formats[] = {
    {"text", "for people, 80 columns", export_text},
    {"json", "everything, for programs and the teacher", export_json},
    {"gradescope", "results.json of Gradescope", export_gradescope},
    {"classroom50", "result.json of Classroom 50", export_classroom50},
    {"prairielearn", "results.json of PrairieLearn", export_prairielearn},
    {"junit", "JUnit XML, for continuous integration", export_junit},
    {"tap", "TAP version 13", export_tap},
    {"csv", "a line for a spreadsheet, under a header", export_csv},
    {NULL, NULL, NULL},
};

const struct export_format *export_find(const char *name)
{
	for (const struct export_format *f = export_formats; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static const char *variable(const char *name)
{
	const char *s = getenv(name);
	return s && s[0] ? s : NULL;
}

void export_extra_from_environment(struct export_extra *x)
{
	const char *owner = variable("OWNER");

	x->classroom = variable("CLASSROOM");
	x->assignment = variable("ASSIGNMENT");
	x->assignment_type = variable("ASSIGNMENT_TYPE");
	x->owner = owner ? owner : variable("USERNAME");
	x->submission_tag = variable("SUBMISSION_TAG");
	x->commit_url = variable("COMMIT_URL");
	x->release_url = variable("RELEASE_URL");
	x->review_url = variable("REVIEW_URL");
	x->datetime = variable("COMMIT_DATETIME");
}

const char *export_points(int64_t hundredths, char buf[32])
{
	uint64_t v = hundredths < 0 ? -(uint64_t)hundredths : (uint64_t)hundredths;
	int n = snprintf(buf, 32, "%s%llu.%02llu", hundredths < 0 ? "-" : "", (unsigned long long)(v / 100),
	    (unsigned long long)(v % 100));

	while (n > 0 && buf[n - 1] == '0')
		buf[--n] = 0;
	if (n > 0 && buf[n - 1] == '.')
		buf[n - 1] = 0;
	return buf;
}

char *export_clean(const char *s, size_t max)
{
	char *copy = clean_text(s, max);
	return copy ? copy : calloc(1, 1);
}

const char *export_withheld(const struct result_task *t, const struct export_extra *x)
{
	return t->hidden && !(x && x->teacher) ? "the checks of this task are hidden" : NULL;
}

bool export_passed(const struct result_task *t)
{
	return t->state == TASK_GRADED && t->points >= t->max;
}

const char *export_kind_name(enum line_kind k)
{
	static const char *const names[] = {
	    [LINE_GOOD] = "good", [LINE_BAD] = "bad", [LINE_MISSING] = "missing", [LINE_INFO] = "info"};
	return names[k];
}

const char *export_state_name(enum task_state s)
{
	static const char *const names[] = {[TASK_GRADED] = "graded",
	    [TASK_GATED] = "gated",
	    [TASK_FILTERED] = "filtered",
	    [TASK_UNGRADED] = "ungraded"};
	return names[s];
}

enum err export_finish(FILE *out, struct errmsg *why)
{
	if (fflush(out) != 0 || ferror(out))
		return err_set(
		    why, ERR_IO, "the result could not be written: the disk is full, or nobody reads it any more");
	return ERR_OK;
}

void export_markup(FILE *out, const char *s)
{
	static const char special[] = "&<>\"'";
	static const char *const words[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};

	for (; *s; s++) {
		const char *at = strchr(special, *s);

		if (at)
			fputs(words[at - special], out);
		else
			fputc(*s, out);
	}
}
