/*
 * vmscope lab COMMAND: the table of its commands, and "run FILE.lua": a script that makes, drives and is the VMM.
 * docs/lua.md is its reference; docs/labs.md that of the others.
 */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/lab_cmds.h"
#include "cli/lab_source.h"

struct lab_options {
	const char *path;
	int argc; /* of the script */
	char **argv;
	uint64_t seed, cpu_s;
};

#define CPU_S 600
#define CPU_S_MAX 1000000000

enum { KEY_SEED = 256, KEY_CPU };

static const struct argp_option options[] = {
    {.name = "seed", .key = KEY_SEED, .arg = "N", .doc = "of the script's math.random (0)"},
    {.name = "cpu",
	.key = KEY_CPU,
	.arg = "SECONDS",
	.doc = "of processor time, and the script is ended (600; 0: none)"},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct lab_options *o = state->input;
	char *end;

	switch (key) {
	case KEY_SEED:
		o->seed = strtoull(arg, &end, 0);
		return *arg && *arg != '-' && !*end ? 0 : cli_usage("--seed %s: a whole number is needed", arg);
	case KEY_CPU:
		o->cpu_s = strtoull(arg, &end, 0);
		return *arg && *arg != '-' && !*end ? 0 : cli_usage("--cpu %s: a number of seconds is needed", arg);
	case ARGP_KEY_END:
		return o->path ? 0 : cli_usage("lab run: no script: name a Lua file");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "FILE.lua [ARGUMENT...]",
    .doc =
	"Run a Lua script that makes virtual machines, drives them, and answers their exits. docs/lua.md is the "
	"reference.\vARGUMENTs are in the script's table arg. What it prints goes to stdout. The exit status is 0, or "
	"1 when the script raises an error, 4 when it has used its processor time.",
};

/* --- The limit that no script can catch --------------------------------------------------------------------------- */

static char out_of_time[200];

static void on_cpu_limit(int sig)
{
	(void)sig;
	(void)!write(STDERR_FILENO, out_of_time, strlen(out_of_time));
	_exit(CLI_LIMIT);
}

/* A pattern that never ends is inside of one instruction of Lua: only the kernel's clock sees it. */
static void limit_cpu(const struct lab_options *o)
{
	const struct sigaction act = {.sa_handler = on_cpu_limit};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU};
	const struct itimerspec at = {.it_value.tv_sec = o->cpu_s < CPU_S_MAX ? (time_t)o->cpu_s : CPU_S_MAX};
	timer_t timer;

	if (!o->cpu_s)
		return;
	snprintf(out_of_time, sizeof out_of_time,
	    "vmscope: %.100s: the script has used its %llu s of processor time: see --cpu\n", o->path,
	    (unsigned long long)o->cpu_s);
	/* Of this process: a limit of resources would be that of the machine that a type I VMM runs in, too. */
	if (sigaction(SIGXCPU, &act, NULL) == 0 && timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &timer) == 0)
		(void)timer_settime(timer, 0, &at, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0); /* what was printed until then is out */
}

int cmd_lab_run(int argc, char **argv)
{
	struct lab_options o = {.cpu_s = CPU_S};
	struct errmsg why = {""};
	int own = 1;

	/* What follows the script is the script's. */
	while (own < argc && argv[own][0] == '-')
		own += strcmp(argv[own], "--seed") == 0 || strcmp(argv[own], "--cpu") == 0 ? 2 : 1;
	if (own < argc) {
		o.path = argv[own];
		o.argc = argc - own - 1;
		o.argv = argv + own + 1;
		argc = own;
	}
	int status = cli_parse(&argp, argc, argv, &o);

	if (status)
		return status;
	limit_cpu(&o);
	struct lab_config cfg = {
	    .maker = &lab_source_maker, .path = o.path, .argc = o.argc, .argv = o.argv, .seed = o.seed, .out = stdout};
	enum err e = lab_run(&cfg, &why);
	if (e == ERR_FORMAT)
		return cli_fail(CLI_FAILED, "%s", why.text);
	return e ? cli_fail_err(e, &why) : CLI_OK;
}

static const struct lab_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *args, *doc; /* NULL: not for people */
} commands[] = {
    {"list", cmd_lab_list, "", "the labs: time, points, what they need"},
    {"show", cmd_lab_show, "LAB", "what a lab asks, and how it is graded"},
    {"start", cmd_lab_start, "LAB DIR", "begin a lab in a new folder"},
    {"run", cmd_lab_run, "FILE.lua", "a script that makes, drives and is the VMM"},
    {"check", cmd_lab_check, "[DIR] [TASK...]", "how far a submission is: the visible tasks"},
    {"new", cmd_lab_new, "NAME [DIR]", "a small lab that works, to be made into one of yours"},
    {"bundle", cmd_lab_bundle, "LAB", "an autograder to be uploaded"},
    {"verify", cmd_lab_verify, "LAB", "does a lab tell right from wrong? Its solution, and mutants of it"},
    {"worker", cmd_lab_worker, NULL, NULL},
};

static void print_help(void)
{
	puts("usage: vmscope lab COMMAND ...\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].doc)
			printf("  %-8s %-17s %s\n", commands[i].name, commands[i].args, commands[i].doc);
	puts("\n\"vmscope lab COMMAND --help\" lists the options; \"vmscope grade\" grades a submission.");
}

int cmd_lab(int argc, char **argv)
{
	static char name[40];

	if (argc < 2)
		return cli_usage("lab: say what: see \"vmscope lab --help\"");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0) {
		print_help();
		return CLI_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0) {
			snprintf(name, sizeof name, "vmscope lab %s", commands[i].name);
			argv[1] = name;
			return commands[i].run(argc - 1, argv + 1);
		}
	return cli_usage("lab %s: no such command: see \"vmscope lab --help\"", argv[1]);
}
