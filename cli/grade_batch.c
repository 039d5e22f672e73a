/*
 * vmscope grade LAB --batch DIR: a whole class. labs/batch.h does it; here are the options, what is said while it goes
 * on, and what of the program and of the lab makes an old result an old one.
 */
#include <argp.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/grade_batch.h"
#include "cli/grading.h"
#include "labs/batch.h"
#include "labs/clean.h"
#include "labs/tree_hash.h"

struct batch_options {
	const char *lab, *dir, *out;
	unsigned jobs;
	uint64_t seed;
};

enum { KEY_BATCH = 256, KEY_OUT, KEY_SEED };

static const struct argp_option options[] = {
    {.name = "batch", .key = KEY_BATCH, .arg = "DIR", .doc = "grade every folder in DIR"},
    {.name = "jobs", .key = 'j', .arg = "N", .doc = "so many at once (as many as there are processors)"},
    {.name = "out", .key = KEY_OUT, .arg = "DIR", .doc = "where the results go (beside DIR, DIR-graded)"},
    {.name = "seed", .key = KEY_SEED, .arg = "N", .doc = "of the guests and values that a check draws (1)"},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct batch_options *o = state->input;
	char *end;

	switch (key) {
	case KEY_BATCH:
		o->dir = arg;
		return 0;
	case KEY_OUT:
		o->out = arg;
		return 0;
	case KEY_SEED:
		return grading_seed(arg, &o->seed);
	case 'j': {
		unsigned long n = strtoul(arg, &end, 10);
		if (*arg < '0' || *arg > '9' || *end || n < 1 || n > 256)
			return cli_usage("-j %s: a number from 1 to 256 is needed", arg);
		o->jobs = (unsigned)n;
		return 0;
	}
	case ARGP_KEY_ARG:
		if (o->lab)
			return cli_usage("grade: %s: with --batch, name a LAB and no SUBMISSION", arg);
		o->lab = arg;
		return 0;
	case ARGP_KEY_END:
		return o->lab ? 0 : cli_usage("grade: name a LAB (04, or its folder)");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "LAB",
    .doc = "Grade a class: every folder in DIR is a submission. The results are in class.html, class.csv, "
	   "reports/NAME.txt for students and results/NAME.json.\vInterrupted, or killed, and started again, it goes "
	   "on where it was: what is finished is in the file journal. What changed since is graded anew: a "
	   "submission, the lab, the seed, vmscope. The exit status is 0 when all were graded, whatever they came to, "
	   "2 for wrong usage or a wrong lab, 3 when one could not be graded, 4 when it was interrupted.",
};

/* --- What is said ---------------------------------------------------------------------------------------------------
 */

struct talk {
	bool terminal;
	bool bar; /* the line is not at its end */
};

static void end_bar(struct talk *t)
{
	if (t->bar)
		fputs("\r\x1b[K", stderr);
	t->bar = false;
}

static void print_done(struct talk *t, const struct batch_event *e, const char *name)
{
	const struct lab_result *r = e->result;
	char points[24], max[24], score[64], bar[31];

	if (r->gradable)
		snprintf(score, sizeof score, "%s/%s", grading_points(r->points, points), grading_points(r->max, max));
	else
		snprintf(score, sizeof score, "could not be graded");
	if (!t->terminal) {
		fprintf(stderr, "%u/%u %s: %s\n", e->n, e->total, name, score);
		return;
	}
	size_t full = e->total ? (size_t)30 * e->n / e->total : 30;
	memset(bar, '.', 30);
	memset(bar, '#', full);
	bar[30] = 0;
	fprintf(stderr, "\r[%s] %u/%u %.*s %s\x1b[K", bar, e->n, e->total, (int)clean_fit(name, 20), name, score);
	t->bar = true;
}

static void say(void *arg, const struct batch_event *e)
{
	struct talk *t = arg;
	char *name = clean_text(e->name, 200), *text = clean_text(e->text, 400);

	if (!name || !text) {
		free(name);
		free(text);
		return;
	}
	if (e->step != BATCH_DONE)
		end_bar(t);
	switch (e->step) {
	case BATCH_NOTE:
		fprintf(stderr, "%s%s%s\n", name, e->name ? ": could not be graded: " : "", text);
		break;
	case BATCH_AGAIN:
		fprintf(stderr, "%s: graded anew: %s\n", name, text);
		break;
	case BATCH_BEGIN:
		fprintf(stderr, "%u submissions, %u to be graded\n", e->total, e->n);
		break;
	case BATCH_DONE:
		print_done(t, e, name);
		break;
	}
	free(name);
	free(text);
}

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* --- Who grades -----------------------------------------------------------------------------------------------------
 */

static enum err read_submission(const struct grader *g, const char *path, struct submission *s, struct errmsg *why)
{
	const struct lab_info *info = grader_info(g);
	return submission_read(path, info->files, info->n_files, s, why);
}

static enum err identify(void *arg, const char *path, char hash[65], struct errmsg *why)
{
	struct submission s = {0};
	enum err e = read_submission(arg, path, &s, why);

	if (!e) {
		SHA2_CTX ctx;
		SHA256Init(&ctx);
		SHA256Update(&ctx, (const uint8_t *)s.hash, strlen(s.hash));
		/* A link and a file that is missing are told apart in the result. */
		for (size_t i = 0; i < s.n_files; i++)
			if (s.files[i].problem)
				SHA256Update(&ctx, (const uint8_t *)s.files[i].problem, strlen(s.files[i].problem));
		SHA256End(&ctx, hash);
	}
	submission_free(&s);
	return e;
}

static enum err grade(void *arg, const char *path, struct lab_result *out, struct errmsg *why)
{
	struct submission s = {0};
	enum err e = read_submission(arg, path, &s, why);

	if (!e)
		e = grader_run(arg, &s, out, why);
	submission_free(&s);
	return e;
}

struct part {
	const char *dir, *name;
};

static enum err hash_parts(const struct part *parts, size_t n, char hash[65], struct errmsg *why)
{
	SHA2_CTX ctx;
	enum err e = ERR_OK;

	SHA256Init(&ctx);
	for (size_t i = 0; i < n && !e; i++) {
		char *path;
		if (asprintf(&path, "%s%s%s", parts[i].dir, parts[i].name[0] ? "/" : "", parts[i].name) < 0)
			return err_set(why, ERR_NOMEM, "no memory");
		e = tree_hash_add(&ctx, path, parts[i].name, why);
		free(path);
	}
	SHA256End(&ctx, hash);
	return e;
}

/* Whatever grades: the program, and the guests and costs that it brings. */
static enum err hash_engine(const struct grading_host *h, char hash[65], struct errmsg *why)
{
	const struct part parts[] = {{h->program, ""}, {h->guests, ""}, {h->costs, ""}};
	return hash_parts(parts, ARRAY_LEN(parts), hash, why);
}

/* What of a lab makes a result: not its README, and not what students begin with. */
static enum err hash_lab(const struct lab_place *lab, char hash[65], struct errmsg *why)
{
	const struct part parts[] = {
	    {lab->dir, "lab.lua"}, {lab->dir, "scenes.lua"}, {lab->dir, "guests"}, {lab->solution, ""}};
	return hash_parts(parts, lab->solution[0] ? 4 : 3, hash, why);
}

/* --- All of it ------------------------------------------------------------------------------------------------------
 */

static int finish(const struct batch_options *o, const struct batch_summary *sum)
{
	printf("%u submissions: %u graded now, %u before; %u could not be graded\n%s/class.html\n", sum->total,
	    sum->graded, sum->kept, sum->not_gradable, o->out);
	if (fflush(stdout) != 0)
		return cli_fail(CLI_UNAVAILABLE, "stdout: it cannot be written");
	if (sum->stopped)
		return cli_fail(CLI_LIMIT, "interrupted: the same command goes on where it was");
	return sum->not_gradable ? CLI_UNAVAILABLE : CLI_OK;
}

static int run(const struct batch_options *o)
{
	struct talk talk = {.terminal = isatty(STDERR_FILENO)};
	struct lab_place lab;
	struct grading_host host;
	struct grader_config cfg = {.lab = &lab, .seed = o->seed, .hidden = true, .version = VMSCOPE_VERSION};
	struct grader *g = NULL;
	struct batch_summary sum;
	struct errmsg why = {""};
	char engine[65] = "", lab_hash[65] = "";

	enum err e = lab_find(o->lab, &lab, &why);
	if (!e)
		e = grading_host(&host, &cfg.host, &why);
	if (!e)
		e = grader_open(&cfg, &g, &why);
	if (!e)
		e = hash_engine(&host, engine, &why);
	if (!e)
		e = hash_lab(&lab, lab_hash, &why);
	struct sigaction act = {.sa_handler = on_signal};
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	if (!e)
		e = batch_run(&(struct batch_config){.dir = o->dir,
				  .out = o->out,
				  .jobs = o->jobs,
				  .engine = engine,
				  .lab = lab_hash,
				  .seed = o->seed,
				  .grader = {identify, grade, g},
				  .say = say,
				  .say_arg = &talk,
				  .stop = &stop},
		    &sum, &why);
	end_bar(&talk);
	grader_close(g);
	return e ? cli_fail_err(e, &why) : finish(o, &sum);
}

int cmd_grade_batch(int argc, char **argv)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct batch_options o = {.seed = 1,
	    .jobs = processors < 1     ? 1
		    : processors > 256 ? 256
				       : (unsigned)processors};
	int bad = cli_parse(&argp, argc, argv, &o);
	char *own = NULL;

	if (bad)
		return bad;
	if (!o.out) {
		char *full = realpath(o.dir, NULL); /* of ".", too */
		if (asprintf(&own, "%s-graded", full ? full : o.dir) < 0)
			own = NULL;
		free(full);
		o.out = own;
	}
	if (!o.out)
		return cli_fail(CLI_UNAVAILABLE, "no memory");
	int status = run(&o);
	free(own);
	return status;
}
