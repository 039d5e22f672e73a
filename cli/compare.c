/*
 * vmscope compare: one guest in every backend of this machine. The reference is emulate/II: it runs first, counts the
 * instructions, and records the sequence of exits that the models are held against. What runs guest bytes elsewhere is
 * held against it in lockstep.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/compare.h"
#include "tracer/classes.h"
#include "tracer/sequence.h"

static const struct argp compare_argp = {.options = options_compare,
    .parser = options_parse,
    .args_doc = "GUEST",
    .doc = "Run a guest in every backend that this machine has, and compare.\v"
	   "The status is 1 when a comparison finds a difference, or an access outside the guest's memory. That an "
	   "interpreter violates efficiency is its nature, and no failure."};

static void describe_divergence(struct equivalence_row *row, const struct equivalence_divergence *d)
{
	snprintf(row->first_divergence, sizeof row->first_divergence, "exit %llu at rip %#llx: %s",
	    (unsigned long long)d->index, (unsigned long long)d->rip, d->field);
	snprintf(row->detail, sizeof row->detail, "instruction: %s\nsubject: %s\n%s\nreference: %s\n%s\n",
	    d->disassembly, d->exit, d->subject_regs, d->reference_exit, d->reference_regs);
	size_t used = strlen(row->detail);
	if (d->memory_differs)
		snprintf(row->detail + used, sizeof row->detail - used,
		    "memory differs first at %#llx: subject %02x, reference %02x\n", (unsigned long long)d->memory_gpa,
		    d->memory_subject, d->memory_reference);
}

/*
 * A host that could not run the guest to its end may have gone wrong before it said so (a kernel emulator that gives
 * the guest #UD for an instruction it lacks): a difference met on the way is then not held against anybody.
 */
static void excuse_host(const struct run_result *r, struct equivalence_row *row, uint64_t agree)
{
	if (row->verdict.state != PG_VIOLATED || r->end.kind != END_HOST_KVM)
		return;
	char text[sizeof row->verdict.evidence];

	snprintf(text, sizeof text,
	    "%llu exits agree; then they part (%.80s), on a host that cannot run this guest: %.200s",
	    (unsigned long long)agree, row->first_divergence, r->end.detail);
	row->verdict.state = PG_UNKNOWN;
	memcpy(row->verdict.evidence, text, sizeof text);
}

/* What runs guest bytes elsewhere, against emulate under the same profile, exit by exit. */
static void run_lockstep(struct comparison *c, size_t i, const struct run_options *o)
{
	static struct equivalence_report report;
	struct equivalence_row *row = &c->rows[c->n_rows++];
	struct errmsg why = {{0}};
	row->subject = i;
	if (runner_lockstep(o, c->backends[i], c->backends[c->reference], 0, &report, &why)) {
		row->verdict.state = PG_UNKNOWN;
		snprintf(row->verdict.evidence, sizeof row->verdict.evidence, "no lockstep: %.400s", why.text);
		return;
	}
	row->verdict = report.verdict;
	row->exits_compared = report.exits_compared;
	for (unsigned k = 0; k < EXEMPT_COUNT; k++)
		if (report.exempt[k])
			row->exempt[row->n_exempt++] = equivalence_exempt_text((enum equivalence_exempt)k);
	if (report.first.found)
		describe_divergence(row, &report.first);
	excuse_host(&c->runs[i], row, report.exits_compared);
	/* A guest that prints what CPUID told it may print other things on a host that cannot give it the model. The
	 * lockstep has compared every byte it wrote, with the reference seeing the same CPUID. */
	if (!report.exempt[EXEMPT_CPUID_HOST])
		compare_consoles(&c->runs[c->reference], &c->runs[i], row);
}

/* The reference on a CPU that lacks what the subject's processor lacks: a guest that asks takes another way there. */
static bool run_lesser_reference(struct comparison *c, const struct run_options *o, struct run_result *out)
{
	const struct runner_extra x = {.no_pcid = true};
	struct run_options hosted = *o;

	hosted.machine = NULL;
	hosted.engine = NULL;
	hosted.trace = NULL;
	(void)runner_run(&hosted, c->backends[c->reference], &x, out);
	return out->ran;
}

/* AMD-V under bare metal: its exits are counted by class. */
static void run_classes(struct comparison *c, size_t i, const struct run_options *o)
{
	struct equivalence_row *row = &c->rows[c->n_rows++];
	const struct run_result *reference = &c->runs[c->reference];
	struct run_result lesser = {0};
	bool lacks = c->runs[i].has_session && !c->runs[i].session.hello.has_pcid;

	row->subject = i;
	if (lacks && run_lesser_reference(c, o, &lesser))
		reference = &lesser;
	classes_verdict(reference->stats, c->runs[i].stats, &row->verdict, row->exempt, EXEMPT_COUNT, &row->n_exempt,
	    &row->exits_compared);
	if (reference == &lesser && strcmp(lesser.console_sha256, c->runs[c->reference].console_sha256) != 0)
		row->exempt[row->n_exempt++] = "PCIDs and INVPCID, which this processor lacks: compared with a "
					       "reference without them";
	compare_consoles(reference, &c->runs[i], row);
	run_result_free(&lesser);
}

/* A run that a limit cut short has no more exits to compare: what there is of it was equal. */
static void excuse_limit(
    const struct comparison *c, const struct sequence_diff *diff, size_t i, struct pg_verdict *verdict)
{
	/* NULL is the end of the shorter sequence. */
	bool short_subject = !diff->subject && run_was_cut(&c->runs[i]);
	bool short_reference = !diff->reference && run_was_cut(&c->runs[c->reference]);

	if (!diff->differ || !(short_subject || short_reference))
		return;
	verdict->state = diff->compared ? PG_HOLDS : PG_UNKNOWN;
	snprintf(verdict->evidence, sizeof verdict->evidence,
	    "%llu exits equal in reason, order and values, up to where a limit ended a run",
	    (unsigned long long)diff->compared);
}

/* The profiles under which sensitive instructions leak what the VMM has, and the guest kernel does not run at CPL 0. */
static bool profile_leaks(const struct run_result *reference)
{
	return strcmp(reference->controls, "deprivileged") == 0 || strcmp(reference->controls, "umip") == 0;
}

/* Models play what a guest does, not the faults that its segment loads meet at CPL 3. */
static void excuse_profile(const struct run_result *reference, uint64_t equal, struct pg_verdict *verdict)
{
	if (verdict->state != PG_VIOLATED || !profile_leaks(reference))
		return;
	char text[sizeof verdict->evidence];

	snprintf(text, sizeof text,
	    "%llu exits are equal; models do not play the faults that segment loads and returns meet under %.16s",
	    (unsigned long long)equal, reference->controls);
	verdict->state = PG_UNKNOWN;
	memcpy(verdict->evidence, text, sizeof text);
}

static void run_one(struct comparison *c, size_t i)
{
	const struct mode_ops *ops = c->backends[i];
	struct run_options o = *c->o;
	struct sequence sequence = {0};
	struct runner_extra x = {.probe = &sequence_probe, .probe_arg = &sequence};
	bool reference = i == c->reference;
	/* The host's kernel keeps its own controls and clock, and counts no instructions. */
	if (ops->mode == MODE_VIRTUALIZE && ops->type == VMM_TYPE_II)
		o.controls = NULL;
	if (!(ops->caps & MODE_CAP_REMOTE))
		o.machine = NULL;
	if (!o.engine || !runner_metal_engine(ops, o.engine))
		o.engine = NULL;
	if (!(ops->caps & MODE_CAP_COUNTS_INSNS))
		o.max_insns = 0;
	const struct run_result *ref = &c->runs[c->reference];
	if (!reference && ref->ran)
		x.reference_insns = (struct measured){ref->insns, "retired in the reference run of emulate/II"};
	struct run_result *r = &c->runs[i];
	(void)runner_run(&o, ops, &x, r);
	if (reference) {
		c->sequence = sequence;
		return;
	}
	/* Under the leaking profiles devices are reached from the handler of an exception: there is no value to feed.
	 * The interpreter on bare metal is held to the sequence of exits then. */
	bool by_sequence = ops->mode == MODE_SIMULATE || (ops->mode == MODE_EMULATE && ref->ran && profile_leaks(ref));
	if (r->ran && ref->ran && by_sequence) {
		struct equivalence_row *row = &c->rows[c->n_rows++];
		struct sequence_diff diff;
		sequence_verdict(&c->sequence, &sequence, &row->verdict, &diff);
		excuse_limit(c, &diff, i, &row->verdict);
		if (ops->mode == MODE_SIMULATE)
			excuse_profile(ref, diff.compared, &row->verdict);
		row->subject = i;
		row->exits_compared = diff.compared;
		row->exempt[row->n_exempt++] = "arrival of timer and interrupt exits";
		sequence_describe(diff.subject, row->first_divergence, sizeof row->first_divergence);
		if (!diff.differ)
			row->first_divergence[0] = 0;
		compare_consoles(ref, r, row);
	}
	sequence_free(&sequence);
	if (r->ran && ref->ran && strcmp(r->backend, "svm") == 0)
		run_classes(c, i, &o);
	else if (r->ran && ref->ran && !by_sequence)
		run_lockstep(c, i, &o);
}

static size_t console_same(const struct run_result *a, const struct run_result *b)
{
	size_t same = 0;
	while (same < a->console_len && same < b->console_len && a->console[same] == b->console[same])
		same++;
	return same;
}

bool run_was_cut(const struct run_result *r)
{
	return r->end.kind == END_LIMIT_EXITS || r->end.kind == END_LIMIT_INSNS || r->end.kind == END_TIMEOUT ||
	       r->end.kind == END_STOPPED;
}

bool console_cut(const struct run_result *reference, const struct run_result *r)
{
	size_t same = console_same(reference, r);
	bool host_gave_up = r->end.kind == END_HOST_KVM || run_was_cut(r);

	return (host_gave_up && r->console_len == same) || (run_was_cut(reference) && reference->console_len == same);
}

void compare_consoles(const struct run_result *a, const struct run_result *b, struct equivalence_row *row)
{
	if (row->verdict.state == PG_VIOLATED || strcmp(a->console_sha256, b->console_sha256) == 0)
		return;
	if (console_cut(a, b)) /* a limit, or the host gave up on the guest: what there is of the console is equal */
		return;
	/* The reference column leaks there by design; lockstep under kvm-user has compared each byte written. */
	if (profile_leaks(a))
		return;
	/* It gave the guest #UD instead of running an instruction: what the guest printed after that is the host's
	 * doing. */
	if (b->end.kind == END_HOST_KVM && row->verdict.state == PG_UNKNOWN)
		return;
	size_t same = console_same(a, b);
	row->verdict.state = PG_VIOLATED;
	snprintf(row->first_divergence, sizeof row->first_divergence, "console byte %zu", same);
	snprintf(row->verdict.evidence, sizeof row->verdict.evidence,
	    "the consoles differ from byte %zu on (%zu and %zu bytes)", same, a->console_len, b->console_len);
}

static void set_equivalence(struct comparison *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct run_result *r = &c->runs[i];
		if (!r->ran)
			continue;
		r->equivalence_known = true;
		r->equivalence = (struct pg_verdict){.state = PG_UNKNOWN};
		snprintf(r->equivalence.evidence, sizeof r->equivalence.evidence, "%s",
		    i == c->reference ? "this is the reference that the others are held against"
				      : "nothing was compared");
		if (i == c->reference)
			r->equivalence.state = PG_NA;
	}
	for (size_t k = 0; k < c->n_rows; k++)
		c->runs[c->rows[k].subject].equivalence = c->rows[k].verdict;
}

/* 1 for a difference; else what the reference run says. */
static int status_of(const struct comparison *c)
{
	for (size_t k = 0; k < c->n_rows; k++)
		if (c->rows[k].verdict.state == PG_VIOLATED)
			return CLI_FAILED;
	for (size_t i = 0; i < c->n; i++)
		if (c->runs[i].ran && c->runs[i].safety.verdict.state == PG_VIOLATED)
			return CLI_FAILED;
	for (size_t i = 0; i < c->n; i++)
		if (c->runs[i].err == ERR_AGAIN || (c->runs[i].ran && run_was_cut(&c->runs[i])))
			return CLI_LIMIT;
	return run_result_status(&c->runs[c->reference]);
}

static json_t *text_or_null(const char *s)
{
	return s[0] ? json_text((const uint8_t *)s, strlen(s)) : json_null();
}

static json_t *comparison_json(const struct comparison *c)
{
	json_t *runs = json_array(), *rows = json_array();
	char ref[32], subject[32];
	const struct run_result *reference = &c->runs[c->reference];
	backend_label(reference->mode, reference->type, ref, sizeof ref);
	for (size_t i = 0; i < c->n; i++)
		json_array_append_new(runs, result_json(&c->runs[i]));
	for (size_t k = 0; k < c->n_rows; k++) {
		const struct equivalence_row *row = &c->rows[k];
		const struct run_result *r = &c->runs[row->subject];
		backend_label(r->mode, r->type, subject, sizeof subject);
		json_t *exempt = json_array();
		for (size_t e = 0; e < row->n_exempt; e++)
			json_array_append_new(exempt, json_string(row->exempt[e]));
		json_array_append_new(
		    rows, json_pack("{s:s, s:s, s:s, s:o, s:I, s:o, s:o, s:o}", "reference", ref, "subject", subject,
			      "state", pg_state_name(row->verdict.state), "evidence",
			      text_or_null(row->verdict.evidence), "exits_compared", (json_int_t)row->exits_compared,
			      "first_divergence", text_or_null(row->first_divergence), "divergence_detail",
			      text_or_null(row->detail), "exemptions", exempt));
	}
	return json_pack("{s:o, s:o, s:o}", "guest", text_or_null(reference->guest), "runs", runs, "equivalence", rows);
}

/* A machine or an engine that is none is wrong input, not two empty columns. */
static int check_machine(const struct run_options *o)
{
	if (o->engine && strcmp(o->engine, "vmx") != 0 && strcmp(o->engine, "svm") != 0)
		return cli_usage("--engine %s: virtualize/I has vmx and svm", o->engine);
	struct machine_facts f = {0};
	struct errmsg why = {{0}};

	if (!o->machine)
		return 0;
	enum err e = remote_probe(MODE_EMULATE, o->machine, ENGINE_ANY, &f, &why);
	if (e)
		return cli_fail_err(e, &why);
	if (strcmp(f.name, "device") == 0)
		return cli_usage(
		    "--machine %s: a comparison needs several runs, and the VMM at the end of a line serves one "
		    "session a boot: use \"vmscope run\", or --machine bochs or qemu",
		    o->machine);
	return 0;
}

/* Fills a zeroed comparison. False: the guest did not run even in the reference, whose result says why. */
bool compare_runs(const struct run_options *o, struct comparison *c)
{
	c->o = o;
	c->backends = modes_all(&c->n);
	for (size_t i = 0; i < c->n; i++)
		if (c->backends[i]->mode == MODE_EMULATE && c->backends[i]->type == VMM_TYPE_II)
			c->reference = i;
	run_one(c, c->reference);
	/* Wrong input is wrong in every backend. */
	if (!c->runs[c->reference].ran)
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (i != c->reference)
			run_one(c, i);
	set_equivalence(c);
	return true;
}

void compare_free(struct comparison *c)
{
	for (size_t i = 0; i < c->n; i++)
		run_result_free(&c->runs[i]);
	sequence_free(&c->sequence);
}

static int compare_all(const struct run_options *o, struct comparison *c)
{
	if (!compare_runs(o, c)) {
		const struct run_result *ref = &c->runs[c->reference];

		return cli_fail_err(ref->err, &ref->why);
	}
	int bad = 0;
	if (o->json)
		bad = json_print(comparison_json(c));
	else
		compare_print(c, stdout);
	return bad ? bad : status_of(c);
}

int cmd_compare(int argc, char **argv)
{
	struct run_options o;
	struct comparison c = {.o = &o};
	size_t n;
	options_init(&o);
	int status = cli_parse(&compare_argp, argc, argv, &o);
	if (status)
		return status;
	status = check_machine(&o);
	if (status)
		return status;
	(void)modes_all(&n);
	if (n > COMPARE_MAX)
		return cli_fail(CLI_BUG, "compare: more backends than columns");
	status = compare_all(&o, &c);
	compare_free(&c);
	return status;
}
