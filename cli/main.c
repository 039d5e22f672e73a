/*
 * The program's entry: finds the subcommand and hands over. Read cli/run.c next.
 */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

const char *argp_program_version = "vmscope " VMSCOPE_VERSION;

struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* NULL: comes with a later version */
	const char *args, *doc;
};

static const struct command commands[] = {
    {"run", cmd_run, "GUEST", "run a guest and say what happened"},
    {"tui", cmd_tui, "[GUEST|TRACE]", "explore in the terminal"},
    {"compare", cmd_compare, "GUEST", "every backend of this machine, side by side, with the three verdicts"},
    {"stat", cmd_stat, "TRACE", "exits by reason, as a table"},
    {"report", cmd_report, "TRACE", "one line per event"},
    {"audit", cmd_audit, "GUEST", "innocuous, privileged and sensitive instructions executed"},
    {"iso", cmd_iso, "GUEST -o FILE", "a bootable CD: the bare-metal VMM with this guest"},
    {"doctor", cmd_doctor, "", "what this machine offers, and why not the rest"},
    {"lab", cmd_lab, "COMMAND", "exercises, and Lua scripts that make, drive and are the VMM"},
    {"grade", cmd_grade, "LAB SUBMISSION", "what a submission comes to"},
    {"export", NULL, "TRACE", "traces for other tools"},
    {"model", NULL, "learn|check|show", "behaviour models"},
    {"pool", NULL, "SCENARIO", "many virtual machines on many hosts"},
    {"image", NULL, "create|info", "disk images"},
};

static void print_help(FILE *f)
{
	fputs("vmscope runs the same x86 guest simulated, emulated and virtualized, and records every VM exit.\n\n"
	      "usage: vmscope COMMAND ...\n\n",
	    f);
	for (int later = 0; later < 2; later++) {
		if (later)
			fputs("\nwith a later version:\n", f);
		for (size_t i = 0; i < ARRAY_LEN(commands); i++)
			if ((commands[i].run == NULL) == (later != 0))
				fprintf(f, "  %-8s %-17s %s\n", commands[i].name, commands[i].args, commands[i].doc);
	}
	fputs("\nGUEST is a path, or the name of a bundled guest such as \"hello\".\n"
	      "\"vmscope tui\" is the place to begin: a short book whose pages run guests.\n"
	      "\"vmscope COMMAND --help\" lists the options; the manual page is vmscope(1).\n\n"
	      "exit status: 0 the guest ended well; 1 it failed, or a verdict is violated; 2 usage;\n"
	      "3 not available here; 4 a limit was reached, or the run was stopped; 5 a bug in vmscope\n",
	    f);
}

static int dispatch(const struct command *c, int argc, char **argv)
{
	static char name[32];
	if (!c->run)
		return cli_usage(
		    "%s: this command comes with a later version: see \"vmscope --help\" for what is here", c->name);
	snprintf(name, sizeof name, "vmscope %s", c->name);
	argv[0] = name;
	return c->run(argc, argv);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN); /* a reader that went away is a write error, which is reported */
	if (argc < 2)
		return cli_usage("no command: see \"vmscope --help\"");
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0 || strcmp(name, "help") == 0) {
		print_help(stdout);
		return CLI_OK;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts(argp_program_version);
		return CLI_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return dispatch(&commands[i], argc - 1, argv + 1);
	return cli_usage("%s: no such command: see \"vmscope --help\"", name);
}
