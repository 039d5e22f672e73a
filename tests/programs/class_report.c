/*
 * A class that was never graded: made results through the batch mode, "class_report DIR OUT N [SECONDS]". DIR gets N
 * folders when it has none; SECONDS: so long takes each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "labs/batch.h"
#include "tests/result_fixture.h"

static double seconds;

static enum err identify(void *arg, const char *path, char hash[65], struct errmsg *why)
{
	(void)arg;
	(void)why;
	snprintf(hash, 65, "%s", strrchr(path, '/') + 1);
	return ERR_OK;
}

static enum err grade(void *arg, const char *path, struct lab_result *out, struct errmsg *why)
{
	const char *name = strrchr(path, '/') + 1;

	(void)arg;
	(void)why;
	usleep((useconds_t)(seconds * 1e6));
	result_of_class(out, (unsigned)atoi(name + strcspn(name, "0123456789")));
	free(out->submission);
	out->submission = strdup(name);
	return ERR_OK;
}

static void say(void *arg, const struct batch_event *e)
{
	(void)arg;
	static const char *const steps[] = {"note", "begin", "again", "done"};
	fprintf(stderr, "%s %s %s %u/%u\n", steps[e->step], e->name ? e->name : "-", e->text ? e->text : "-", e->n,
	    e->total);
}

int main(int argc, char **argv)
{
	struct batch_config cfg = {.jobs = 2, .engine = "e", .lab = "l", .grader = {identify, grade, NULL}, .say = say};
	struct batch_summary sum;
	struct errmsg why = {""};
	char path[1000];

	if (argc < 4)
		return 2;
	cfg.dir = argv[1];
	cfg.out = argv[2];
	seconds = argc > 4 ? atof(argv[4]) : 0;
	if (mkdir(cfg.dir, 0777) == 0)
		for (int i = 0; i < atoi(argv[3]); i++) {
			snprintf(path, sizeof path, "%s/student%03d", cfg.dir, i);
			mkdir(path, 0777);
		}
	if (batch_run(&cfg, &sum, &why)) {
		fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	printf(
	    "%u submissions, %u kept, %u graded, %u not gradable\n", sum.total, sum.kept, sum.graded, sum.not_gradable);
	return 0;
}
