/*
 * vmscope run: one guest, one backend.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/result.h"

static const struct argp run_argp = {.options = options_run,
    .parser = options_parse,
    .args_doc = "GUEST",
    .doc = "Run a guest, and say how it ended and what exited.\v"
	   "GUEST is a path, or the name of a bundled guest. The guest's console goes to stdout, everything else to "
	   "stderr; with --json one object on stdout holds both."};

/* The backend, or the one line that says why there is none. */
static int find_backend(const struct run_options *o, const struct mode_ops **ops)
{
	struct errmsg why = {{0}};
	*ops = modes_find(o->mode, o->type);
	if (!*ops)
		return cli_fail(CLI_UNAVAILABLE, "--mode %s --type %d: this backend is not built yet: use --type 2",
		    mode_name(o->mode), (int)o->type);
	const char *controls;
	enum clock_kind clock;
	enum err e = ERR_OK;
	/* Options that this backend never takes are wrong on every machine. */
	e = runner_check(o, *ops, &controls, &clock, &why);
	if (!e)
		e = runner_probe(o, *ops, &why);
	return e ? cli_fail_err(e, &why) : 0;
}

/* The exit status; a trace that is not whole is reported last, in its own line. */
static int status_of(const struct run_result *r)
{
	return r->trace_err ? cli_fail_err(r->trace_err, &r->why) : run_result_status(r);
}

static json_t *group_json(const struct run_result *r, unsigned n)
{
	json_t *j = result_json(&r[0]);
	if (n == 1 || !j)
		return j;
	json_t *others = json_array();
	for (unsigned i = 1; i < n; i++)
		json_array_append_new(others, result_json(&r[i]));
	json_object_set_new(j, "others", others);
	return j;
}

/* Several guests have several consoles: each is printed as a whole, under its name. */
static void print_consoles(const struct run_result *r, unsigned n)
{
	for (unsigned i = 0; n > 1 && i < n; i++) {
		printf("--- %s ---\n", r[i].guest);
		fwrite(r[i].console, 1, r[i].console_len, stdout);
	}
	fflush(stdout);
}

/* The worst of all guests. */
static int status_of_all(const struct run_result *r, unsigned n)
{
	int worst = 0;
	for (unsigned i = 0; i < n; i++) {
		int s = status_of(&r[i]);
		worst = s > worst ? s : worst;
	}
	return worst;
}

static int report(const struct run_options *o, const struct run_result *r, unsigned n)
{
	if (o->json) {
		int bad = json_print(group_json(r, n));
		return bad ? bad : status_of_all(r, n);
	}
	print_consoles(r, n);
	/* A wrong model is wrong input: one line that names the place in it, like any other. */
	if (r->end.kind == END_MODEL_ERROR)
		return cli_fail(CLI_USAGE, "%s", r->end.detail);
	for (unsigned i = 0; i < n; i++) {
		if (o->vga)
			result_print_screen(&r[i], stderr);
		result_print(&r[i], stderr);
	}
	return status_of_all(r, n);
}

int cmd_run(int argc, char **argv)
{
	struct run_options o;
	const struct mode_ops *ops;
	options_init(&o);
	int status = cli_parse(&run_argp, argc, argv, &o);
	if (!status && o.model && o.mode != MODE_SIMULATE)
		status =
		    cli_usage("--model %s: --model goes with --mode simulate: add it, or leave --model out", o.model);
	if (!status)
		status = find_backend(&o, &ops);
	if (status)
		return status;
	struct runner_extra x = {.console_live = !o.json};
	unsigned n = 1 + o.n_also;
	struct run_result *r = calloc(n, sizeof *r);
	if (!r)
		return cli_fail(CLI_UNAVAILABLE, "no memory for the results");
	enum err e = runner_run_group(&o, ops, &x, r, n);
	if (e)
		result_print_words(&r[0], stderr);
	status = e ? cli_fail_err(e, &r[0].why) : report(&o, r, n);
	for (unsigned i = 0; i < n; i++)
		run_result_free(&r[i]);
	free(r);
	return status;
}
