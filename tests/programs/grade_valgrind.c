/*
 * grade_valgrind LAB SUBMISSION [OPTION...]: "vmscope grade", with each worker under valgrind, and no jail around it:
 * in one, valgrind finds nothing of what it needs. What is graded, and what a scene computes, is the code of vmscope.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/lab_source.h"
#include "labs/jail.h"
#include "labs/scene.h"

/* The worker: what cmd_lab_worker() does behind the lock-down. */
static int worker(void)
{
	json_t *job = json_loadf(stdin, JSON_ALLOW_NUL, NULL);
	json_t *answer = job ? scene_run(&lab_source_maker, job) : NULL;

	if (!answer || json_dumpf(answer, stdout, JSON_COMPACT) != 0 || fflush(stdout) != 0)
		return 1;
	json_decref(answer);
	json_decref(job);
	return 0;
}

static char *read_all(FILE *f, size_t *n)
{
	char *buf = NULL;
	size_t room = 0;
	ssize_t got = getdelim(&buf, &room, -1, f); /* JSON has no byte 0xff */

	*n = got > 0 ? (size_t)got : 0;
	return buf;
}

/* In place of the one in labs/jail.c. The job lies in a file without a name, so that no pipe fills up. */
enum err jail_run(const struct jail_config *cfg, struct jail_result *out, struct errmsg *why)
{
	FILE *in = tmpfile();
	int to[2], status = 0;

	*out = (struct jail_result){.end = JAIL_EXITED, .err = strdup("")};
	if (!in || fwrite(cfg->input, 1, cfg->n_input, in) != cfg->n_input || fflush(in) != 0 || pipe(to) != 0)
		return err_set(why, ERR_IO, "no job: %s", strerror(errno));
	rewind(in);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fileno(in), 0);
		dup2(to[1], 1);
		close(to[0]);
		execlp("valgrind", "valgrind", "-q", "--error-exitcode=9", cfg->argv[0], "worker", NULL);
		_exit(127);
	}
	close(to[1]);
	fclose(in);
	FILE *f = fdopen(to[0], "r");
	out->out = f ? read_all(f, &out->n_out) : NULL;
	if (f)
		fclose(f);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	out->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	return pid > 0 ? ERR_OK : err_set(why, ERR_NOMEM, "no process");
}

int main(int argc, char **argv)
{
	return argc == 2 && strcmp(argv[1], "worker") == 0 ? worker() : cmd_grade(argc, argv);
}
