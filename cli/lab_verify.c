/*
 * vmscope lab verify LAB: does it tell right from wrong?
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/grading.h"
#include "cli/lab_cmds.h"
#include "labs/verify.h"

struct verify_options {
	const char *lab;
	unsigned jobs, seeds, mutants;
};

enum { KEY_SEEDS = 256, KEY_MUTANTS };

static const struct argp_option options[] = {
    {.name = "jobs", .key = 'j', .arg = "N", .doc = "processes at a time (as many as processors)"},
    {.name = "seeds", .key = KEY_SEEDS, .arg = "N", .doc = "try seeds 1 to N (3)"},
    {.name = "mutants", .key = KEY_MUTANTS, .arg = "N", .doc = "only N of them, spread over the solution"},
    {0},
};

static int set_number(const char *name, const char *arg, unsigned max, unsigned *out)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (!*arg || *end || *arg == '-' || n < 1 || n > max)
		return cli_usage("%s %s: a number of 1 to %u is needed", name, arg, max);
	*out = (unsigned)n;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct verify_options *o = state->input;

	switch (key) {
	case 'j':
		return set_number("-j", arg, 256, &o->jobs);
	case KEY_SEEDS:
		return set_number("--seeds", arg, VERIFY_SEEDS_MAX, &o->seeds);
	case KEY_MUTANTS:
		return set_number("--mutants", arg, 1000000, &o->mutants);
	case ARGP_KEY_ARG:
		if (o->lab)
			return cli_usage("lab verify: %s: one LAB at a time", arg);
		o->lab = arg;
		return 0;
	case ARGP_KEY_END:
		return o->lab ? 0 : cli_usage("lab verify: name a LAB (04, or its folder)");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "LAB",
    .doc =
	"Grade the solution of LAB, what students begin with, and mutants of the solution: its text with one thing "
	"wrong.\vThe exit status is 0 when the solution has full marks with every seed, the starter has not, and every "
	"mutant loses points (but those that lab.lua declares equivalent), 1 when not.",
};

static void progress(void *arg, size_t done, size_t all)
{
	(void)arg;
	fprintf(stderr, "\r%zu / %zu mutants%s", done, all, done == all ? "\n" : "");
}

static int print(const struct lab_place *lab, const struct verify_report *r, unsigned seeds)
{
	char got[24], max[24];

	for (size_t i = 0; i < r->n_problems; i++)
		printf("%s\n", r->problems[i]);
	printf("%s: solution %s / %s (seeds 1 to %u), starter ", lab->id, grading_points(r->points, got),
	    grading_points(r->max, max), seeds);
	puts(r->starter_points < 0 ? "missing" : grading_points(r->starter_points, got));
	if (r->mutants)
		printf("%zu of %zu mutants: %zu killed, %zu equivalent, %zu left: %.1f %%\n", r->mutants, r->made,
		    r->killed, r->equivalent, r->mutants - r->killed - r->equivalent,
		    100.0 * (double)(r->killed + r->equivalent) / (double)r->mutants);
	if (r->predictions)
		printf("%zu predictions changed: %zu lose points\n", r->predictions, r->predictions_killed);
	return r->n_problems ? CLI_FAILED : CLI_OK;
}

int cmd_lab_verify(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct verify_options o = {.jobs = cpus > 0 && cpus <= 256 ? (unsigned)cpus : 1, .seeds = 3};
	struct verify_report r = {0};
	struct grading_host host;
	struct lab_place lab;
	struct errmsg why = {""};
	int bad = cli_parse(&argp, argc, argv, &o);

	if (bad)
		return bad;
	struct verify_config cfg = {.lab = &lab,
	    .version = VMSCOPE_VERSION,
	    .jobs = o.jobs,
	    .seeds = o.seeds,
	    .mutants = o.mutants,
	    .progress = isatty(2) ? progress : NULL};
	enum err e = lab_find(o.lab, &lab, &why);
	if (!e)
		e = grading_host(&host, &cfg.host, &why);
	if (!e)
		e = lab_verify(&cfg, &r, &why);
	int status = e ? cli_fail_err(e, &why) : print(&lab, &r, o.seeds);
	verify_free(&r);
	return status;
}
