/*
 * The command line: git style, one file a subcommand, cli/main.c dispatches. A subcommand gets its own argv (argv[0] is
 * "vmscope run") and returns the exit status of the process. Nothing below the cli folder prints or exits; here, the
 * guest's console goes to stdout and everything else to stderr, unless --json asks for one object on stdout.
 */
#ifndef VMSCOPE_CLI_CLI_H
#define VMSCOPE_CLI_CLI_H

#include <stdio.h>

#include "core/err.h"

/* Exit status, a contract that scripts depend on. */
enum cli_status {
	CLI_OK = 0,	     /* the guest ended well */
	CLI_FAILED = 1,	     /* the guest failed, or a verdict that was asked for is violated */
	CLI_USAGE = 2,	     /* the command line or its input is wrong */
	CLI_UNAVAILABLE = 3, /* not available on this machine */
	CLI_LIMIT = 4,	     /* a limit was reached */
	CLI_BUG = 5,	     /* a bug in vmscope */
};

int cmd_run(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_iso(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_tui(int argc, char **argv);
int cmd_lab(int argc, char **argv);
int cmd_grade(int argc, char **argv);

/* One line on stderr, "vmscope: " before it; returns status. */
int cli_fail(enum cli_status status, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same for an error that a function reported; falls back to the sentence of e when why is empty. */
int cli_fail_err(enum err e, const struct errmsg *why);
/* The same for a trace that could not be opened, with what to do about it: a wrong file is wrong usage. */
int cli_fail_trace(enum err e, const struct errmsg *why);
/* Columns of the terminal that f goes to; 0: it goes elsewhere, or has not said. */
unsigned cli_columns(FILE *f);
/* The exit status that an error means. */
enum cli_status cli_status_of(enum err e);

/*
 * argp, with our own words: an unknown option or a wrong value is one line and CLI_USAGE. An argp parser calls
 * cli_usage() and returns its value; cli_parse() then returns CLI_USAGE. --help and --usage print and exit 0.
 */
struct argp;
int cli_usage(const char *fmt, ...) PRINTF_LIKE(1, 2);
int cli_parse(const struct argp *argp, int argc, char **argv, void *input);

#endif
