/*
 * vmscope grade LAB SUBMISSION: what a submission comes to, all tasks, in the format of who asks.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/grade_batch.h"
#include "cli/grading.h"
#include "labs/export.h"

#define TASKS_MAX 64

struct grade_options {
	const char *lab, *submission, *format, *out;
	const char *tasks[TASKS_MAX + 1];
	unsigned n_tasks;
	uint64_t seed;
	bool teacher;
};

enum { KEY_SEED = 256, KEY_TASK, KEY_FORMAT, KEY_TEACHER };

static const struct argp_option options[] = {
    {.name = "seed", .key = KEY_SEED, .arg = "N", .doc = "of the guests and values that a check draws (1)"},
    {.name = "task", .key = KEY_TASK, .arg = "NAME", .doc = "only tasks of this name; * ? [] as in a shell"},
    {.name = "format", .key = KEY_FORMAT, .arg = "NAME", .doc = "of the result (text)"},
    {.name = "teacher", .key = KEY_TEACHER, .doc = "text, junit, tap: with what was seen in hidden tasks"},
    {.name = "output", .key = 'o', .arg = "FILE", .doc = "write it to FILE, and not to stdout"},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct grade_options *o = state->input;

	switch (key) {
	case KEY_SEED:
		return grading_seed(arg, &o->seed);
	case KEY_TASK:
		if (o->n_tasks == TASKS_MAX)
			return cli_usage("--task: more than %d", TASKS_MAX);
		o->tasks[o->n_tasks++] = arg;
		return 0;
	case KEY_FORMAT:
		o->format = arg;
		return 0;
	case KEY_TEACHER:
		o->teacher = true;
		return 0;
	case 'o':
		o->out = strcmp(arg, "/dev/stdout") == 0 ? NULL : arg; /* which is open already */
		return 0;
	case ARGP_KEY_ARG:
		if (o->submission)
			return cli_usage("grade: %s: one LAB and one SUBMISSION", arg);
		*(o->lab ? &o->submission : &o->lab) = arg;
		return 0;
	case ARGP_KEY_END:
		return o->submission ? 0
				     : cli_usage("grade: name a LAB (04, or its folder) and a SUBMISSION (a folder)");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *list_formats(int key, const char *text, void *input)
{
	char *buf = NULL;
	size_t n;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)(uintptr_t)text;
	FILE *f = open_memstream(&buf, &n);
	if (!f)
		return (char *)(uintptr_t)text;
	fputs("Formats:\n", f);
	for (const struct export_format *x = export_formats; x->name; x++)
		fprintf(f, "  %-14s %s\n", x->name, x->what);
	fputs("\nThe exit status is 0 when it was graded, whatever it came to, 2 for wrong usage or a wrong lab, 3 "
	      "when it "
	      "could not be graded.",
	    f);
	return fclose(f) == 0 ? buf : NULL;
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "LAB SUBMISSION",
    .help_filter = list_formats,
    .doc = "Grade the folder SUBMISSION by all tasks of LAB: an id (04, 04_cpuid) or the folder of a lab. "
	   "docs/labs.md says how. A whole class: \"vmscope grade LAB --batch DIR\", see \"vmscope grade --batch "
	   "DIR --help\".\v-",
};

/* A device or a pipe is written to: /dev/null, /dev/stderr, a FIFO. Everything else is replaced, links included (but
 * those of the system): where the result goes may be a folder whose links a submission has made. */
static bool is_written_to(const char *path)
{
	bool system = strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
	struct stat st;

	return (system ? stat(path, &st) : lstat(path, &st)) == 0 &&
	       (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISBLK(st.st_mode));
}

/* Nobody waits for the reader of a FIFO. */
static FILE *open_special(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fcntl(fd, F_SETFL, 0) != 0) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	return fdopen(fd, "w");
}

/* A new file beside it, of a name that nobody knows before, with the rights that a file has here. */
static FILE *open_part(const char *path, char *part, size_t n)
{
	mode_t mask = umask(0);

	(void)umask(mask);
	if (snprintf(part, n, "%s.XXXXXX", path) >= (int)n) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	int fd = mkostemp(part, O_CLOEXEC);
	if (fd >= 0)
		(void)!fchmod(fd, 0666 & ~mask);
	return fd < 0 ? NULL : fdopen(fd, "w");
}

/* A file is there whole, or not at all. */
static enum err write_result(
    const struct grade_options *o, const struct export_format *format, const struct lab_result *r, struct errmsg *why)
{
	struct export_extra extra = {.teacher = o->teacher};
	const char *path = o->out;
	char part[1100] = "";
	bool special = path && is_written_to(path);
	FILE *f = !path ? stdout : special ? open_special(path) : open_part(path, part, sizeof part);

	if (!f)
		return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	export_extra_from_environment(&extra);
	enum err e = format->print(r, &extra, f, why);
	if (fflush(f) != 0 && !e)
		e = err_set(why, ERR_IO, "%s: it cannot be written: %s", path ? path : "stdout", strerror(errno));
	if (!path)
		return e;
	if (fclose(f) != 0 && !e)
		e = err_set(why, ERR_IO, "%s: it cannot be written: %s", path, strerror(errno));
	if (special)
		return e;
	if (!e && rename(part, path) != 0)
		e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	if (e)
		remove(part);
	return e;
}

static int grade(const struct grade_options *o, const struct export_format *format)
{
	struct lab_place lab;
	struct submission s = {0};
	struct grading_host host;
	struct grader_config cfg = {.lab = &lab,
	    .seed = o->seed,
	    .hidden = true,
	    .tasks = o->n_tasks ? o->tasks : NULL,
	    .version = VMSCOPE_VERSION};
	struct lab_result r;
	struct errmsg why = {""};
	struct grader *g = NULL;

	result_init(&r);
	enum err e = lab_find(o->lab, &lab, &why);
	if (!e)
		e = grading_host(&host, &cfg.host, &why);
	if (!e)
		e = grader_open(&cfg, &g, &why);
	if (!e)
		e = submission_read(o->submission, grader_info(g)->files, grader_info(g)->n_files, &s, &why);
	if (!e)
		e = grader_run(g, &s, &r, &why);
	if (!e)
		e = write_result(o, format, &r, &why);
	int status = CLI_OK;
	if (e)
		status = cli_fail_err(e, &why);
	else if (!r.gradable)
		status = cli_fail(CLI_UNAVAILABLE, "%s could not be graded: %s", r.submission, r.why);
	result_free(&r);
	submission_free(&s);
	grader_close(g);
	return status;
}

/* "vmscope grade LAB --batch DIR" has options of its own. */
static bool is_batch(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--batch", 7) == 0 && (!argv[i][7] || argv[i][7] == '='))
			return true;
	return false;
}

int cmd_grade(int argc, char **argv)
{
	if (is_batch(argc, argv))
		return cmd_grade_batch(argc, argv);
	struct grade_options o = {.seed = 1, .format = "text"};
	int bad = cli_parse(&argp, argc, argv, &o);

	if (bad)
		return bad;
	const struct export_format *format = export_find(o.format);
	if (!format)
		return cli_usage("--format %s: no such format: see \"vmscope grade --help\"", o.format);
	return grade(&o, format);
}
