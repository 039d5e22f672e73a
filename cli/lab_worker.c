/*
 * vmscope lab worker: the process in which a submission runs (labs/scene.h). Started by the grader, not by people.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/lab_cmds.h"
#include "cli/lab_source.h"
#include "labs/jail.h"
#include "labs/scene.h"

/* Folders that this process would look for beside its program, whose path it may not see. */
static void set_folders(const json_t *job)
{
	static const char *const names[] = {"VMSCOPE_GUESTS", "VMSCOPE_COSTS"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *dir = json_string_value(json_object_get(json_object_get(job, "folders"), names[i]));
		if (dir)
			setenv(names[i], dir, 1);
	}
}

/* The job is nobody's guest: what is behind descriptor 0 from now on is empty. */
static bool forget_job(void)
{
	int ends[2];

	if (pipe(ends) < 0)
		return false;
	bool done = dup2(ends[0], STDIN_FILENO) >= 0;
	close(ends[0]);
	close(ends[1]);
	return done;
}

int cmd_lab_worker(int argc, char **argv)
{
	struct errmsg why = {""};
	json_error_t bad;

	(void)argv;
	if (argc != 1)
		return cli_usage("lab worker: it takes no arguments: a job comes on stdin");
	json_t *job = json_loadf(stdin, JSON_ALLOW_NUL, &bad);
	if (!job)
		return cli_usage("lab worker: the job is no JSON: line %d: %s", bad.line, bad.text);
	if (!forget_job())
		return cli_fail(CLI_UNAVAILABLE, "lab worker: no pipe");
	set_folders(job);
	enum err e = jail_lock_down(&why);
	if (e)
		return cli_fail(CLI_UNAVAILABLE, "%s", why.text[0] ? why.text : err_sentence(e));
	json_t *answer = scene_run(&lab_source_maker, job);
	if (!answer || json_dumpf(answer, stdout, JSON_COMPACT) != 0 || fflush(stdout) != 0)
		return cli_fail(CLI_UNAVAILABLE, "lab worker: the answer cannot be written");
	json_decref(answer);
	json_decref(job);
	return CLI_OK;
}
