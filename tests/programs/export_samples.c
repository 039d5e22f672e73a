/*
 * Made results in every format, as files DIR/SAMPLE.FORMAT, for tests/e2e/export_schemas.sh; what a format cannot say
 * is DIR/SAMPLE.FORMAT.why. With "class N", N results of a class as JSON, DIR/NAME.json.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "labs/export.h"
#include "tests/result_fixture.h"

static FILE *open_file(const char *dir, const char *name, const char *format, const char *more)
{
	char path[1000];

	snprintf(path, sizeof path, "%s/%s.%s%s", dir, name, format, more);
	FILE *f = fopen(path, "w");
	if (!f) {
		perror(path);
		exit(1);
	}
	return f;
}

static void print_sample(const char *dir, const struct lab_result *r, const char *name, const struct export_extra *x)
{
	for (const struct export_format *f = export_formats; f->name; f++) {
		struct errmsg why = {""};
		FILE *out = open_file(dir, name, f->name, "");
		enum err e = f->print(r, x, out, &why);

		fclose(out);
		if (!e)
			continue;
		FILE *reason = open_file(dir, name, f->name, ".why");
		fprintf(reason, "%s\n", why.text);
		fclose(reason);
		if (e != ERR_UNSUPPORTED)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	static const struct export_extra extra = {.classroom = "os-2026",
	    .assignment = "cpuid",
	    .owner = "alice",
	    .submission_tag = "submit/2026-11-26T20-40-22Z-abc1234",
	    .commit_url = "https://example.org/os/commit/abc1234",
	    .release_url = "https://example.org/os/releases/tag/x",
	    .datetime = "2026-11-26T20:40:22Z"};
	struct export_extra hostile = extra;
	struct lab_result r;

	if (argc < 2)
		return 2;
	hostile.classroom = hostile.assignment = hostile.owner = hostile.commit_url = hostile.release_url =
	    hostile_text;
	for (int i = 0; argc == 2 && i < SAMPLE_LARGE; i++) {
		result_sample(&r, (enum result_sample)i);
		print_sample(
		    argv[1], &r, result_sample_name((enum result_sample)i), i == SAMPLE_HOSTILE ? &hostile : &extra);
		result_free(&r);
	}
	for (unsigned i = 0; argc == 4 && i < (unsigned)atoi(argv[3]); i++) {
		struct errmsg why;
		result_of_class(&r, i);
		FILE *out = open_file(argv[1], r.submission, "json", "");
		if (export_find("json")->print(&r, NULL, out, &why))
			return 1;
		fclose(out);
		result_free(&r);
	}
	return 0;
}
