/*
 * vmscope tui: explore a run, or a recorded trace, in the terminal; or print the views as text or JSON (--batch,
 * --json), after a script of commands (--script).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/tui_source.h"
#include "core/session.h"
#include "modes/simulate/costs.h"
#include "tui/app.h"
#include "tui/config.h"
#include "tui/term.h"
#include "tui/views.h"

struct tui_options {
	struct run_options run; /* first: options_parse() gets this struct */
	const char *script, *view, *config;
	const char *for_guests; /* the first option that was given and that a trace cannot take */
	bool batch, ascii, no_config, no_guest;
	unsigned width;
};

#define LARGE_TRACE (32 << 20)

enum { KEY_BATCH = 1024, KEY_SCRIPT, KEY_VIEW, KEY_ASCII, KEY_CONFIG, KEY_WIDTH };

static const struct argp_option own_options[] = {
    {.doc = "The terminal interface:"},
    {.name = "batch", .key = KEY_BATCH, .doc = "no terminal: run, and print the view as text (with --json: as JSON)"},
    {.name = "view", .key = KEY_VIEW, .arg = "NAME", .doc = "begin with this view; batch: print it (scope); all: each"},
    {.name = "script", .key = KEY_SCRIPT, .arg = "FILE", .doc = "batch: commands instead of \"run\"; - is stdin"},
    {.name = "width", .key = KEY_WIDTH, .arg = "COLUMNS", .doc = "batch: columns of the text (80)"},
    {.name = "ascii", .key = KEY_ASCII, .doc = "borders and marks in plain ASCII"},
    {.name = "config",
	.key = KEY_CONFIG,
	.arg = "FILE",
	.doc = "keys and colours (~/.config/vmscope/tui.lua); - for none"},
    {.doc = "The guest and its machine, as in \"vmscope run\":"},
};

/* A file that trace-cmd or vmscope wrote, or the text of trace-cmd report: by content. */
static bool is_trace(const char *path)
{
	static const char magic[] = "\x17\x08\x44tracing";
	char head[4096];
	FILE *f = path ? fopen(path, "re") : NULL;
	size_t n = f ? fread(head, 1, sizeof head - 1, f) : 0;

	if (f)
		fclose(f);
	head[n] = 0;
	return (n >= sizeof magic - 1 && memcmp(head, magic, sizeof magic - 1) == 0) ||
	       (n && strlen(head) == n && (strncmp(head, "cpus=", 5) == 0 || strstr(head, ": kvm_e")));
}

/* The option of a run that means nothing to a trace; NULL: another option, or none. */
static const char *name_of(int key)
{
	static const char *const both[] = {"json", "timeout"};

	for (const struct argp_option *p = options_run; p->name; p++) {
		if (p->key != key)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(both); i++)
			if (strcmp(p->name, both[i]) == 0)
				return NULL;
		return p->name;
	}
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct tui_options *o = state->input;
	char *end;

	switch (key) {
	case KEY_BATCH:
		o->batch = true;
		return 0;
	case KEY_SCRIPT:
		o->script = arg;
		o->batch = true;
		return 0;
	case KEY_VIEW:
		o->view = arg;
		return 0;
	case KEY_ASCII:
		o->ascii = true;
		return 0;
	case KEY_CONFIG:
		o->config = arg;
		return 0;
	case KEY_WIDTH:
		o->width = (unsigned)strtoul(arg, &end, 10);
		if (*end || o->width < APP_MIN_W || o->width > 1000)
			return cli_usage("--width %s: a number of columns, %d to 1000", arg, APP_MIN_W);
		return 0;
	case ARGP_KEY_END:
		if (is_trace(o->run.guest) && o->for_guests)
			return cli_usage("--%s: %s is a trace, which has this already: the option is for guests",
			    o->for_guests, o->run.guest);
		if (o->script && strcmp(o->script, "-") != 0 && access(o->script, R_OK) < 0)
			return cli_usage("--script %s: %s", o->script, strerror(errno));
		if (o->config && strcmp(o->config, "-") != 0 && access(o->config, R_OK) < 0)
			return cli_usage("--config %s: %s", o->config, strerror(errno));
		o->no_guest = !o->run.guest && !o->run.kernel && !o->run.firmware;
		if (o->no_guest)
			o->run.guest = "hello";
		return options_parse(key, arg, state);
	default:
		if (!o->for_guests)
			o->for_guests = name_of(key);
		return options_parse(key, arg, state);
	}
}

static int parse_command_line(int argc, char **argv, struct tui_options *o)
{
	struct argp_option options[64];
	size_t n = 0;
	struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "[GUEST|TRACE]",
	    .doc =
		"Explore a guest while it runs, or a recorded trace.\v"
		"Without GUEST, the built-in book opens, with the guest \"hello\" beside it. F1 in the terminal lists "
		"all keys and commands; each command is also a line for --script."};

	for (size_t i = 0; i < ARRAY_LEN(own_options); i++)
		options[n++] = own_options[i];
	for (size_t i = 0; n < ARRAY_LEN(options); i++) {
		options[n++] = options_run[i];
		if (!options_run[i].name)
			break;
	}
	options_init(&o->run);
	return cli_parse(&argp, argc, argv, o);
}

/* --- what the application asks for
 * ------------------------------------------------------------------------------------ */

static enum err backend(
    void *arg, enum vmm_mode mode, enum vmm_type type, struct engine_source *out, struct errmsg *why)
{
	struct tui_source *s;
	enum err e = tui_source_backend(arg, mode, type, &s, why);

	if (!e)
		tui_source_fill(s, out);
	return e;
}

static void backend_done(void *arg, struct engine_source *src)
{
	(void)arg;
	tui_source_free(src->arg);
}

static const struct symbols *symbols_now(void *arg, unsigned vm)
{
	return tui_source_symbols(arg, vm);
}

/* --- batch
 * ------------------------------------------------------------------------------------------------------------ */

static struct engine *volatile batch_engine;
/* What ends the application from outside, ends the process in the same way once all is closed. */
static volatile sig_atomic_t ended_by;

/* SIGALRM only stops what runs; the others end a script, too. */
static void on_signal(int sig)
{
	if (sig != SIGALRM)
		ended_by = sig;
	if (batch_engine)
		engine_pause(batch_engine);
}

static void watch(struct engine *e, uint64_t timeout_ms)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct itimerval t = {
	    .it_value = {.tv_sec = (time_t)(timeout_ms / 1000), .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)},
	    .it_interval = {.tv_usec = 50000}};

	batch_engine = e;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	if (timeout_ms)
		setitimer(ITIMER_REAL, &t, NULL);
}

static int print_text(struct app *a, const char *name, const struct tui_options *o, bool heading)
{
	struct errmsg why = {""};
	char *text = app_view_text(a, name, o->width ? (int)o->width : APP_MIN_W, &why);

	if (!text)
		return cli_fail_err(ERR_NOENT, &why);
	if (heading)
		printf("== %s ==\n", name);
	fputs(text, stdout);
	free(text);
	return 0;
}

static int print_views(struct app *a, const struct tui_options *o)
{
	struct errmsg why = {""};
	bool all = o->view && strcmp(o->view, "all") == 0;
	json_t *j = all ? json_object() : NULL;
	int status = 0;

	if (!all && !o->run.json)
		return print_text(a, o->view, o, false);
	if (!all)
		j = app_view_json(a, o->view, &why);
	for (unsigned i = 0; all && !status && views[i]; i++) {
		json_t *one;

		if (!o->run.json)
			status = print_text(a, views[i]->name, o, true);
		else if ((one = app_view_json(a, views[i]->name, &why)))
			json_object_set_new(j, views[i]->name, one);
		else
			status = cli_fail_err(ERR_NOMEM, &why);
	}
	if (!j)
		return cli_fail_err(ERR_NOENT, &why);
	if (!status && o->run.json) {
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(j);
	return status;
}

static int batch(struct app *a, struct engine *e, const struct tui_options *o)
{
	struct errmsg why = {""};
	enum err err = ERR_OK;
	int status;

	if (e)
		watch(e, o->run.timeout_ms);
	if (o->script)
		err = app_script(a, o->script, &why);
	else if (e)
		err = app_command(a, "run", &why);
	batch_engine = NULL;
	if (err)
		return o->script ? cli_fail(CLI_FAILED, "%s", why.text) : cli_fail_err(err, &why);
	/* A script says by itself what it wants to be seen; what a signal ended is shown as far as it came. */
	status = o->script && !o->view && !o->run.json ? 0 : print_views(a, o);
	if (!status && (fflush(stdout) || ferror(stdout)))
		status = cli_fail(CLI_UNAVAILABLE, "stdout: the view could not be written: is the disk or pipe full?");
	return status;
}

/* --- life
 * ------------------------------------------------------------------------------------------------------------- */

static int explore(struct app *a, struct terminal *t, const char *note, const struct tui_options *o)
{
	struct errmsg why = {""};
	char line[64];
	enum err e = ERR_OK;

	if (o->view || o->no_guest) {
		snprintf(line, sizeof line, "view %.40s", o->view ? o->view : "theory");
		e = app_command(a, line, &why);
	}
	/* What is wrong with tui.lua is there already. */
	if (note[0])
		app_message(a, "%s", note);
	else if (!app_last_message(a)[0])
		app_message(a, "%s",
		    o->no_guest	    ? "Enter opens a page; Enter again shows it on a running guest. F1: all keys"
		    : app_engine(a) ? "e: to the next exit   2: that exit explained   7: the book   F1: all keys"
				    : "[ and ]: from exit to exit   2: that exit explained   F1: all keys");
	if (!e)
		e = term_run(t, a, &why);
	ended_by = term_signal(t);
	term_close(t);
	return e ? cli_fail_err(e, &why) : CLI_OK;
}

static int with_app(struct app_config *cfg, const struct tui_options *o)
{
	char path[1024], note[160] = "";
	struct terminal *t = NULL;
	struct app *a;
	struct errmsg why = {""};
	bool utf8 = term_utf8();

	cfg->ascii = o->ascii || (!o->batch && !utf8);
	cfg->no_color = getenv("NO_COLOR") && *getenv("NO_COLOR");
	cfg->config_file = !o->config ? config_path(path, sizeof path) : strcmp(o->config, "-") == 0 ? NULL : o->config;
	cfg->out = o->batch ? stdout : NULL;
	cfg->ended = &ended_by;
	enum err e = app_open(cfg, &a, &why);
	if (e)
		return cli_fail_err(e, &why);
	/* What is wrong with tui.lua is a message on the screen; here, there is none. */
	if (o->batch && app_last_message(a)[0])
		fprintf(stderr, "vmscope: %s\n", app_last_message(a));
	if (!o->batch)
		e = term_open(&t, note, &why);
	int status = e		? cli_fail(CLI_UNAVAILABLE, "%s", why.text)
		     : o->batch ? batch(a, cfg->engine, o)
				: explore(a, t, note, o);
	app_close(a);
	return status;
}

/* A large trace takes seconds to read, in which there is no screen yet. */
static void say_reading(const char *path)
{
	struct stat st;

	if (isatty(STDERR_FILENO) && stat(path, &st) == 0 && st.st_size >= LARGE_TRACE)
		fprintf(stderr, "vmscope: reading %s, %lld MiB; C-c ends it\n", path, (long long)st.st_size >> 20);
}

/* The profile beside the program that the trace names. A name, and never a path: who wrote the trace chose it. */
static void take_cost(struct view_model *m, struct cost_model *room)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	struct errmsg ignore;

	view_model_lock(m);
	const struct view_info info = *view_info(m);
	view_model_unlock(m);
	if (info.cost_name[0] && !info.cost_name[strspn(info.cost_name, plain)] && info.type &&
	    !cost_load(info.cost_name, info.type == 1 ? VMM_TYPE_I : VMM_TYPE_II, room, &ignore))
		view_model_set_cost(m, room);
}

static int tui_trace(const struct tui_options *o)
{
	struct app_config cfg = {0};
	const struct view_config log = {.log_exits = 1u << 20};
	struct cost_model cost;
	struct errmsg why = {""};
	enum err e = view_model_new(&log, &cfg.model, &why);

	if (e)
		return cli_fail_err(e, &why);
	if (!o->batch)
		say_reading(o->run.guest);
	e = view_model_open_trace(cfg.model, o->run.guest, &why);
	if (!e)
		take_cost(cfg.model, &cost);
	/* Only now: what reads can be ended as any program. */
	if (!e && !o->batch)
		term_block_signals();
	int status = e ? cli_fail_trace(e, &why) : with_app(&cfg, o);
	view_model_free(cfg.model);
	return status;
}

static int tui_guest(const struct tui_options *o)
{
	struct tui_source *s;
	struct engine_source src;
	struct errmsg why = {""};
	struct app_config cfg = {.backend = backend, .backend_done = backend_done, .symbols_now = symbols_now};
	enum err e = tui_source_new(&o->run, &s, &why);

	if (e)
		return cli_fail_err(e, &why);
	tui_source_fill(s, &src);
	e = engine_open(&src, !o->batch, &cfg.engine, &why);
	cfg.arg = s;
	int status = e ? cli_fail_err(e, &why) : 0;
	if (!e) {
		cfg.symbols = tui_source_symbols(s, 0);
		status = with_app(&cfg, o);
		engine_close(cfg.engine);
	}
	tui_source_free(s);
	return status;
}

int cmd_tui(int argc, char **argv)
{
	struct tui_options o = {0};
	int status = parse_command_line(argc, argv, &o);

	if (status)
		return status;
	if (o.run.json)
		o.batch = true;
	if (!o.batch && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return cli_usage("tui: standard input and output are no terminal: use --batch, --json or --script");
	/* Before there are threads. */
	if (!o.batch && !is_trace(o.run.guest))
		term_block_signals();
	status = is_trace(o.run.guest) ? tui_trace(&o) : tui_guest(&o);
	if (ended_by) {
		sigset_t one;

		sigemptyset(&one);
		sigaddset(&one, ended_by);
		signal(ended_by, SIG_DFL);
		raise(ended_by);
		sigprocmask(SIG_UNBLOCK, &one, NULL);
	}
	return status;
}
