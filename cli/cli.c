/*
 * What every subcommand shares: the one line that says what went wrong, and option parsing by argp with our own words.
 */
#include "cli/cli.h"

#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "labs/clean.h"

int cli_fail(enum cli_status status, const char *fmt, ...)
{
	va_list ap;
	char line[512];
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	/* One line is the contract; a message that was built from a file name may hold anything, and a terminal obeys.
	 */
	for (char *p = line; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	char *clean = clean_text(line, 8 * sizeof line);
	fflush(stdout);
	fprintf(stderr, "vmscope: %s\n", clean ? clean : err_sentence(ERR_NOMEM));
	free(clean);
	return status;
}

enum cli_status cli_status_of(enum err e)
{
	switch (e) {
	case ERR_OK:
		return CLI_OK;
	case ERR_INVAL:
	case ERR_NOENT:
	case ERR_FORMAT:
	case ERR_RANGE:
	case ERR_UNSUPPORTED:
		return CLI_USAGE;
	case ERR_NOMEM:
	case ERR_NODEV:
	case ERR_PERM:
	case ERR_IO:
	case ERR_NOSPC:
	case ERR_BUSY:
		return CLI_UNAVAILABLE;
	case ERR_AGAIN:
		return CLI_LIMIT;
	case ERR_BUG:
	case ERR_COUNT:
		break;
	}
	return CLI_BUG;
}

int cli_fail_err(enum err e, const struct errmsg *why)
{
	return cli_fail(cli_status_of(e), "%s", why && why->text[0] ? why->text : err_sentence(e));
}

int cli_fail_trace(enum err e, const struct errmsg *why)
{
	if (e == ERR_IO)
		return cli_usage("%s: make it a file that this user can read", why->text);
	if (cli_status_of(e) != CLI_USAGE)
		return cli_fail_err(e, why);
	return cli_usage("%s: record one with \"vmscope run GUEST --trace FILE\"", why->text);
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;
	char line[512];
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	return cli_fail(CLI_USAGE, "%s", line);
}

/* The option that "name" (n characters, a prefix is enough) means; NULL when there is none. */
static const struct argp_option *option_by_name(const struct argp_option *o, const char *name, size_t n)
{
	const struct argp_option *prefix = NULL;
	for (; o->name || o->key || o->doc; o++) {
		if (!o->name || strncmp(o->name, name, n) != 0)
			continue;
		if (o->name[n] == 0)
			return o;
		prefix = o;
	}
	return prefix;
}

static const struct argp_option *option_by_key(const struct argp_option *o, int key)
{
	for (; o->name || o->key || o->doc; o++)
		if (o->key == key)
			return o;
	return NULL;
}

/* What argp would do by itself, if it were allowed to print anything. Does not return when arg is one of them. */
static void help_and_exit(const struct argp *argp, const char *arg, char *name)
{
	bool help = strcmp(arg, "--help") == 0 || strcmp(arg, "-?") == 0;
	if (help || strcmp(arg, "--usage") == 0)
		argp_help(argp, stdout, help ? ARGP_HELP_STD_HELP : ARGP_HELP_USAGE, name);
	else if (strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0)
		puts(argp_program_version);
	else
		return;
	exit(fflush(stdout) ? CLI_UNAVAILABLE : CLI_OK);
}

/*
 * argp and getopt answer an unknown option with two lines of their own. So the words are checked here first, and argp
 * runs silently afterwards.
 */
static int check_options(const struct argp *argp, int argc, char **argv)
{
	const struct argp_option *opts = argp->options;
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *a = argv[i];
		if (a[0] != '-' || a[1] == 0)
			continue;
		help_and_exit(argp, a, argv[0]);
		bool is_long = a[1] == '-';
		const char *name = a + (is_long ? 2 : 1), *eq = is_long ? strchr(name, '=') : NULL;
		size_t n = eq ? (size_t)(eq - name) : strlen(name);
		const struct argp_option *o = is_long ? option_by_name(opts, name, n) : option_by_key(opts, a[1]);
		if (!o)
			return cli_usage(
			    "%.*s: no such option: see \"%s --help\"", (int)(n + (is_long ? 2 : 1)), a, argv[0]);
		if (!o->arg && eq)
			return cli_usage("--%s: takes no value", o->name);
		bool inline_value = eq || (!is_long && a[2]);
		if (!o->arg || inline_value)
			continue;
		if (++i >= argc)
			return cli_usage("%s: needs a value (%s)", a, o->arg);
	}
	return 0;
}

int cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	int bad = check_options(argp, argc, argv);
	if (bad)
		return bad;
	error_t e = argp_parse(argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, input);
	if (e == CLI_USAGE)
		return CLI_USAGE; /* the parser has said why */
	if (e)
		return cli_usage("the command line is not understood: see \"%s --help\"", argv[0]);
	return 0;
}

unsigned cli_columns(FILE *f)
{
	struct winsize ws;
	int fd = fileno(f);

	return fd >= 0 && isatty(fd) && ioctl(fd, TIOCGWINSZ, &ws) == 0 ? ws.ws_col : 0;
}
