/*
 * A source of runs for the terminal UI. See tui_source.h, and cli/runner.c for how a run is made.
 */
#include "cli/tui_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/runner_impl.h"
#include "tracer/symbols.h"

#define WORDS_MAX 64
/* A reference beside every stop must not be felt: a longer run is compared by "compare", or in the modes view. */
#define VERIFY_EXITS_MAX 20000u
#define VERIFY_STOP_NS 200000000u /* at a stop, whoever made it waits for it; at the end nobody does */
#define VERIFY_END_NS 2000000000u

struct source_guest {
	struct run run;
	struct run_result result;
	struct run_options options;
	struct runner_extra extra;
	struct view_model *model;
	char words[GUEST_PATH_MAX]; /* of --also */
	bool silent;		    /* what the console gets now, it got before */
	uint64_t verified;	    /* exits that the verdict on equivalence is about */
	struct pg_verdict equivalence;
};

/* Shared with the sources of other backends, which may outlive the guest that was opened here. One thread. */
struct words {
	unsigned refs;
	char text[];
};

struct tui_source {
	struct run_options options, chosen;
	bool has_chosen, has_symbols;
	struct words *words, *chosen_words; /* texts of :open; the options point into them */
	const struct mode_ops *ops;
	struct source_guest guests[ENGINE_VMS_MAX];
	unsigned n;
	struct symbols *symbols[ENGINE_VMS_MAX]; /* of each guest; NULL: none */
};

/* --- options ------------------------------------------------------------------------------------------------------ */

static enum err check(const struct run_options *o, const struct mode_ops **ops, struct errmsg *why)
{
	struct run_options one = *o;
	const char *controls;
	enum clock_kind clock;

	*ops = modes_find(o->mode, o->type);
	if (!*ops)
		return err_set(why, ERR_NODEV, "%s/%s is not built", mode_name(o->mode), type_name(o->type));
	one.n_also = 0; /* here every backend runs several */
	enum err e = runner_check(&one, *ops, &controls, &clock, why);
	return e ? e : runner_probe(o, *ops, why);
}

enum err tui_source_new(const struct run_options *o, struct tui_source **out, struct errmsg *why)
{
	const struct mode_ops *ops;
	enum err e = check(o, &ops, why);

	*out = NULL;
	if (e)
		return e;
	*out = calloc(1, sizeof **out);
	if (!*out)
		return err_set(why, ERR_NOMEM, "no memory for a session");
	(*out)->options = *o;
	(*out)->ops = ops;
	return ERR_OK;
}

static struct words *words_new(const char *text)
{
	struct words *w = malloc(sizeof *w + strlen(text) + 1);

	if (!w)
		return NULL;
	w->refs = 1;
	strcpy(w->text, text);
	return w;
}

static void words_drop(struct words *w)
{
	if (w && --w->refs == 0)
		free(w);
}

static void drop_symbols(struct tui_source *s)
{
	for (unsigned i = 0; i < ENGINE_VMS_MAX; i++) {
		symbols_free(s->symbols[i]);
		s->symbols[i] = NULL;
	}
	s->has_symbols = false;
}

void tui_source_free(struct tui_source *s)
{
	if (!s)
		return;
	words_drop(s->words);
	words_drop(s->chosen_words);
	drop_symbols(s);
	free(s);
}

const struct symbols *tui_source_symbols(const struct tui_source *s, unsigned vm)
{
	return vm < ENGINE_VMS_MAX ? s->symbols[vm] : NULL;
}

/* Splits at blanks, in place; "double quotes" hold words together. */
static int split(char *text, char **argv, int max)
{
	int n = 0;

	for (char *p = text; *p && n < max;) {
		while (*p == ' ')
			p++;
		if (!*p)
			break;
		char *to = p;
		argv[n++] = p;
		for (bool quoted = false; *p && (quoted || *p != ' '); p++)
			if (*p == '"')
				quoted = !quoted;
			else
				*to++ = *p;
		if (*p)
			p++;
		*to = 0;
	}
	argv[n] = NULL;
	return n;
}

/* argp's complaints go to stderr, which may be a screen of ours, or a script's: they are caught. */
enum err tui_source_parse(const char *what, int argc, char **argv, struct run_options *o, struct errmsg *why)
{
	static const struct argp argp = {.options = options_run, .parser = options_parse, .args_doc = "GUEST"};
	char *text = NULL;
	size_t len = 0;
	FILE *old = stderr, *caught = open_memstream(&text, &len);

	if (!caught)
		return err_set(why, ERR_NOMEM, "%s: no memory", what);
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0 || strcmp(argv[i], "--usage") == 0)
			argv[i] = "--no-help-here";
	options_init(o);
	stderr = caught;
	int status = cli_parse(&argp, argc, argv, o);
	stderr = old;
	fclose(caught);
	if (status) {
		const char *line = text && strncmp(text, "vmscope: ", 9) == 0 ? text + 9 : text ? text : "";
		err_set(why, ERR_INVAL, "%s: %.*s", what, (int)strcspn(line, "\n"), line);
	}
	free(text);
	return status ? ERR_INVAL : ERR_OK;
}

static enum err parse_words(char *words, struct run_options *o, struct errmsg *why)
{
	char *argv[WORDS_MAX + 2] = {"open"};
	int argc = 1 + split(words, argv + 1, WORDS_MAX);

	return tui_source_parse("open", argc, argv, o, why);
}

static enum err choose(void *arg, const char *words, struct errmsg *why)
{
	struct tui_source *s = arg;
	const struct mode_ops *ops;
	struct run_options o;
	struct words *copy = words_new(words);

	if (!copy)
		return err_set(why, ERR_NOMEM, "open: no memory");
	enum err e = parse_words(copy->text, &o, why);
	if (!e)
		e = check(&o, &ops, why);
	if (e) {
		words_drop(copy);
		return e;
	}
	words_drop(s->chosen_words);
	s->chosen_words = copy;
	s->chosen = o;
	s->has_chosen = true;
	return ERR_OK;
}

static void take_chosen(struct tui_source *s)
{
	if (!s->has_chosen)
		return;
	words_drop(s->words);
	s->words = s->chosen_words;
	s->chosen_words = NULL;
	s->options = s->chosen;
	s->ops = modes_find(s->options.mode, s->options.type);
	s->has_chosen = false;
}

enum err tui_source_backend(
    const struct tui_source *s, enum vmm_mode mode, enum vmm_type type, struct tui_source **out, struct errmsg *why)
{
	const struct mode_ops *ops = modes_find(mode, type);
	struct run_options o = s->options;
	size_t n;
	const struct controls_profile *p = controls_profiles(&n);
	const char *profile = s->n ? s->guests[0].run.vm->controls.name : o.controls;

	*out = NULL;
	if (!ops)
		return err_set(why, ERR_NODEV, "%s/%s is not built", mode_name(mode), type_name(type));
	o.mode = mode;
	o.type = type;
	o.n_also = 0;
	o.trace = o.engine = NULL;
	o.clock_set = false;
	o.fault = FAULT_NONE;
	o.controls = NULL;
	for (size_t i = 0; profile && i < n; i++)
		if (strcmp(p[i].name, profile) == 0 && p[i].backends & ops->profiles)
			o.controls = p[i].name;
	if (!(ops->caps & MODE_CAP_REMOTE))
		o.machine = NULL;
	if (!(ops->caps & MODE_CAP_COUNTS_INSNS))
		o.max_insns = 0;
	enum err e = tui_source_new(&o, out, why);
	if (!e && s->words) {
		s->words->refs++;
		(*out)->words = s->words;
	}
	return e;
}

/* --- runs --------------------------------------------------------------------------------------------------------- */

static void console(void *arg, const char *port, uint8_t byte)
{
	struct source_guest *g = arg;

	if (!g->silent)
		view_model_console(g->model, port, byte);
}

static void describe(const struct run *run, struct view_info *info)
{
	const struct vm *vm = run->vm;

	*info = (struct view_info){.source = VIEW_LIVE,
	    .type = run->ops->type,
	    .clock = vm->clock.kind,
	    .n_vcpus = vm->n_vcpus,
	    .mem_size = vm->cfg.mem_size,
	    .counts_insns = run->ops->caps & MODE_CAP_COUNTS_INSNS,
	    .profile = &vm->controls,
	    .cost = vm->cfg.cost,
	    .vm = run->vm};
	snprintf(info->guest, sizeof info->guest, "%s", run->guest.name);
	snprintf(info->mode, sizeof info->mode, "%s", mode_name(run->ops->mode));
	snprintf(info->engine, sizeof info->engine, "%s", run->ops->engine);
	snprintf(info->controls, sizeof info->controls, "%s", vm->controls.name);
	if (run->remote) {
		struct remote_facts f;

		remote_facts(run->remote, &f);
		snprintf(info->machine, sizeof info->machine, "%s, %.36s", f.machine.name, f.machine.cpu);
		if (f.engine[0])
			snprintf(info->engine, sizeof info->engine, "%s", f.engine);
	}
}

static enum err make_run(struct tui_source *s, unsigned i, struct view_model *model)
{
	struct source_guest *g = &s->guests[i];

	memset(g, 0, sizeof *g);
	g->options = s->options;
	if (i)
		runner_also(&s->options, i - 1, &g->options, g->words);
	g->options.n_also = 0;
	g->model = model;
	g->extra =
	    (struct runner_extra){.console = console, .console_arg = g, .sink = view_model_feed, .sink_arg = model};
	g->result = (struct run_result){.mode = s->ops->mode, .type = s->ops->type, .ops = s->ops};
	g->run = (struct run){.o = &g->options, .ops = s->ops, .x = &g->extra, .r = &g->result, .index = i};
	enum err e = runner_create(&g->run);
	return e ? e : runner_attach(&g->run);
}

static enum err open_sessions(struct tui_source *s, struct errmsg *why)
{
	struct run runs[ENGINE_VMS_MAX];
	enum err e = ERR_OK;

	if (!(s->ops->caps & MODE_CAP_REMOTE)) {
		for (unsigned i = 0; !e && i < s->n; i++)
			e = session_open_local(s->guests[i].run.vm, &s->guests[i].run.session, why);
		return e;
	}
	for (unsigned i = 0; i < s->n; i++)
		runs[i] = s->guests[i].run;
	e = runner_remote_open(runs, s->n, false);
	for (unsigned i = 0; i < s->n; i++) {
		s->guests[i].run.session = runs[i].session;
		s->guests[i].run.remote = runs[i].remote;
	}
	if (e)
		*why = s->guests[0].result.why;
	return e;
}

static void close_run(struct source_guest *g)
{
	struct errmsg ignore;

	if (g->run.tracer)
		(void)!tracer_close(g->run.tracer, &ignore);
	g->run.tracer = NULL;
}

static void close_all(void *arg, struct engine_guest *guests, unsigned n)
{
	struct tui_source *s = arg;
	struct remote *remote = s->n ? s->guests[0].run.remote : NULL;

	(void)guests;
	(void)n;
	for (unsigned i = 0; i < s->n; i++) {
		close_run(&s->guests[i]);
		s->guests[i].run.remote = NULL; /* closed once, below */
		runner_take_down(&s->guests[i].run);
		run_result_free(&s->guests[i].result);
	}
	if (remote)
		remote_close(remote);
	s->n = 0;
}

static void load_symbols(struct tui_source *s)
{
	struct errmsg ignore;

	for (unsigned i = 0; i < s->n; i++) {
		const char *path = s->guests[i].run.guest.path;

		if (path[0] && symbols_load_guest(path, &s->symbols[i], &ignore) != ERR_OK)
			s->symbols[i] = NULL;
	}
	s->has_symbols = true;
}

static enum err open_all(
    void *arg, struct view_model *const models[], struct engine_guest *out, unsigned *n, struct errmsg *why)
{
	struct tui_source *s = arg;
	struct view_info info;
	enum err e = ERR_OK;

	/* A restart, on the engine's thread, keeps what the screen is looking at. */
	if (s->has_chosen)
		drop_symbols(s);
	take_chosen(s);
	for (unsigned i = 0; !e && i < 1 + s->options.n_also && i < ENGINE_VMS_MAX; i++) {
		s->n = i + 1;
		e = make_run(s, i, models[i]);
		if (e)
			*why = s->guests[i].result.why;
	}
	if (!e)
		e = open_sessions(s, why);
	if (e) {
		close_all(s, NULL, 0);
		return e;
	}
	for (unsigned i = 0; i < s->n; i++) {
		describe(&s->guests[i].run, &info);
		view_model_attach(models[i], s->guests[i].run.session, &info);
		out[i] = (struct engine_guest){.session = s->guests[i].run.session,
		    .tracer = s->guests[i].run.tracer,
		    .model = models[i],
		    .info = info};
	}
	*n = s->n;
	if (!s->has_symbols)
		load_symbols(s);
	return ERR_OK;
}

static void silent(void *arg, unsigned i, bool on)
{
	struct tui_source *s = arg;

	s->guests[i].silent = on;
}

/* --- verdicts -------------------------------------------------------------------------------------------------------
 */

/* The guest once more, in lockstep with a reference, as far as this run has come. */
static void verify(const struct tui_source *s, struct source_guest *g, uint64_t exits, bool over)
{
	const struct mode_ops *reference = modes_find(MODE_EMULATE, VMM_TYPE_II);
	struct equivalence_report report = {0};
	struct run_options o = g->options;
	struct errmsg why = {""};

	/* Again only when there is much more to say. */
	if (exits == g->verified || (!over && g->verified && exits < 2 * g->verified))
		return;
	g->verified = exits;
	o.max_exits = exits < VERIFY_EXITS_MAX ? exits : VERIFY_EXITS_MAX;
	o.trace = NULL;
	if (runner_lockstep(&o, s->ops, reference, over ? VERIFY_END_NS : VERIFY_STOP_NS, &report, &why) != ERR_OK) {
		g->equivalence.state = PG_UNKNOWN;
		snprintf(g->equivalence.evidence, sizeof g->equivalence.evidence, "%s", why.text);
		return;
	}
	g->equivalence = report.verdict;
}

static void equivalence(const struct tui_source *s, struct source_guest *g, struct pg_verdict *out)
{
	const struct vm *vm = g->run.vm;
	uint64_t exits = tracer_exits(g->run.tracer);
	const char *why = NULL;

	if (s->ops->mode == MODE_EMULATE && s->ops->type == VMM_TYPE_II) {
		*out = (struct pg_verdict){PG_NA, "this is the reference that the other backends are compared with"};
		return;
	}
	if (s->ops->caps & MODE_CAP_REMOTE)
		why = "a bare-metal run is compared by \"vmscope compare\", or in the view of the modes";
	else if (s->ops->caps & MODE_CAP_MODEL)
		why = "a model is compared by its sequence of exits, in the view of the modes";
	else if (exits == 0)
		why = "no exit yet";
	if (why) {
		*out = (struct pg_verdict){.state = PG_UNKNOWN};
		snprintf(out->evidence, sizeof out->evidence, "%s", why);
		return;
	}
	verify(s, g, exits, vm->ended && !vm_may_resume(vm));
	*out = g->equivalence;
}

static void verdicts(void *arg, unsigned i, struct view_verdicts *out)
{
	struct tui_source *s = arg;
	struct source_guest *g = &s->guests[i];

	snprintf(g->run.kernel.why.text, sizeof g->run.kernel.why.text,
	    "what the kernel does is not counted here: \"vmscope run\" asks it");
	runner_decide(&g->run);
	out->safety = g->result.safety.verdict;
	out->efficiency = g->result.efficiency.verdict;
	out->direct_fraction = g->result.efficiency.direct_fraction;
	out->guest_time_fraction = g->result.efficiency.guest_time_fraction;
	equivalence(s, g, &out->equivalence);
}

void tui_source_fill(struct tui_source *s, struct engine_source *out)
{
	*out = (struct engine_source){
	    .open = open_all, .close = close_all, .verdicts = verdicts, .silent = silent, .choose = choose, .arg = s};
}
