/*
 * vmscope audit: is this guest hard to virtualize, and what does each profile do about it? One run of emulate, in which
 * every instruction is counted, held against the table of sensitive instructions.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/result.h"
#include "tracer/audit.h"

#define PROFILES_MAX 8

static const struct argp audit_argp = {.options = options_audit,
    .parser = options_parse,
    .args_doc = "GUEST",
    .doc = "Count the innocuous, privileged and sensitive instructions that a guest executes in kernel and user mode, "
	   "and say what each profile of controls traps."};

struct audit {
	const struct controls_profile *profiles;
	size_t n_profiles;
	struct vm_controls *controls; /* n_profiles, owned */
	struct census census;
};

static bool audit_init(struct audit *a)
{
	struct errmsg why;
	a->profiles = controls_profiles(&a->n_profiles);
	if (a->n_profiles > PROFILES_MAX)
		return false;
	a->controls = calloc(a->n_profiles, sizeof *a->controls);
	for (size_t i = 0; a->controls && i < a->n_profiles; i++)
		if (controls_set(&a->controls[i], a->profiles[i].name, &why))
			return false;
	return a->controls != NULL;
}

static json_t *count_json(struct census_count n)
{
	return json_pack("{s:I, s:I}", "kernel", (json_int_t)n.kernel, "user", (json_int_t)n.user);
}

static json_t *row_json(const struct audit *a, unsigned i)
{
	const struct sensitive_row *row = &sensitive_rows()[i];
	json_t *traps = json_object();
	for (size_t k = 0; k < a->n_profiles; k++)
		json_object_set_new(traps, a->profiles[k].name,
		    json_string(sensitive_traps_name(sensitive_traps(row, &a->controls[k]))));
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:I, s:I, s:o, s:s, s:s}", "name", row->name, "form",
	    row->form, "class", sensitive_class(row) == PG_SENSITIVE ? "sensitive" : "privileged", "group",
	    sensitive_group_name((enum sensitive_group)row->group), "control_sensitive",
	    (row->sens & SENS_CONTROL) != 0, "behaviour_sensitive", (row->sens & SENS_BEHAVIOUR) != 0, "control",
	    sensitive_control_name(row), "kernel", (json_int_t)a->census.rows[i].kernel, "user",
	    (json_int_t)a->census.rows[i].user, "traps", traps, "sentence", row->sentence, "source", row->source);
}

static json_t *audit_json(const struct audit *a, const struct run_result *r)
{
	json_t *rows = json_array(), *run = result_json(r);
	for (unsigned i = 0; i < SENSITIVE_COUNT; i++)
		json_array_append_new(rows, row_json(a, i));
	json_t *j = json_pack("{s:O, s:O, s:O, s:O, s:{s:o, s:o, s:o}, s:o}", "guest", json_object_get(run, "guest"),
	    "controls", json_object_get(run, "controls"), "end", json_object_get(run, "end"), "instructions",
	    json_object_get(run, "instructions"), "classes", "innocuous",
	    count_json(census_class(&a->census, PG_INNOCUOUS)), "privileged",
	    count_json(census_class(&a->census, PG_PRIVILEGED)), "sensitive",
	    count_json(census_class(&a->census, PG_SENSITIVE)), "rows", rows);
	json_decref(run);
	return j;
}

static void print_class(const struct audit *a, enum pg_class class, uint64_t total)
{
	struct census_count n = census_class(&a->census, class);
	uint64_t both = n.kernel + n.user;
	printf("%-22s%15llu%15llu%11.4f %%\n", pg_class_name(class), (unsigned long long)n.kernel,
	    (unsigned long long)n.user, total ? 100.0 * (double)both / (double)total : 0.0);
}

static void print_rows(const struct audit *a, enum pg_class class)
{
	static const char mark[] = {[TRAPS_NEVER] = '-', [TRAPS_SOMETIMES] = 's', [TRAPS_ALWAYS] = 'T'};
	for (unsigned i = 0; i < SENSITIVE_COUNT; i++) {
		const struct sensitive_row *row = &sensitive_rows()[i];
		const struct census_count *n = &a->census.rows[i];
		if (sensitive_class(row) != class || !(n->kernel || n->user))
			continue;
		printf(
		    "%-22.22s%11llu%11llu   ", row->form, (unsigned long long)n->kernel, (unsigned long long)n->user);
		for (size_t k = 0; k < a->n_profiles; k++)
			printf("%4c", mark[sensitive_traps(row, &a->controls[k])]);
		putchar('\n');
	}
}

static void audit_print(const struct audit *a, const struct run_result *r)
{
	uint64_t total = 0;
	for (int class = PG_INNOCUOUS; class <= PG_SENSITIVE; class ++) {
		struct census_count n = census_class(&a->census, (enum pg_class) class);
		total += n.kernel + n.user;
	}
	printf("%s: %llu instructions begun in emulate/II, profile %s, end %s\n\n", r->guest, (unsigned long long)total,
	    r->controls, end_name(r->end.kind));
	printf("%-22s%15s%15s%13s\n", "class", "kernel mode", "user mode", "share");
	print_class(a, PG_INNOCUOUS, total);
	print_class(a, PG_PRIVILEGED, total);
	print_class(a, PG_SENSITIVE, total);
	printf("\nWhat a guest kernel's instruction does under each profile: T traps, s depends on the\n"
	       "operand, - runs without the VMM.\n\n");
	for (size_t k = 0; k < a->n_profiles; k++)
		printf("%*s%zu %s: %s\n", 2, "", k + 1, a->profiles[k].name, a->profiles[k].meaning);
	printf("\n%-22s%11s%11s   ", "sensitive, unprivileged", "kernel", "user");
	for (size_t k = 0; k < a->n_profiles; k++)
		printf("%4zu", k + 1);
	putchar('\n');
	print_rows(a, PG_SENSITIVE);
	printf("\nprivileged\n");
	print_rows(a, PG_PRIVILEGED);
}

int cmd_audit(int argc, char **argv)
{
	static struct audit a;
	struct run_options o;
	struct run_result r;
	options_init(&o);
	int status = cli_parse(&audit_argp, argc, argv, &o);
	if (status)
		return status;
	if (!audit_init(&a))
		return cli_fail(CLI_BUG, "audit: the profiles could not be set up");
	struct runner_extra x = {.probe = &census_probe, .probe_arg = &a.census};
	enum err e = runner_run(&o, modes_find(MODE_EMULATE, VMM_TYPE_II), &x, &r);
	if (e) {
		status = cli_fail_err(e, &r.why);
	} else if (o.json) {
		status = json_print(audit_json(&a, &r));
	} else {
		audit_print(&a, &r);
	}
	if (!status)
		status = run_result_status(&r);
	run_result_free(&r);
	free(a.controls);
	return status;
}
