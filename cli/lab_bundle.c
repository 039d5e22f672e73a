/*
 * vmscope lab bundle LAB --for gradescope: all that grades a lab on a machine that has nothing but a C library: this
 * program with its libraries, the guests, the lab and its solution, and the two scripts that the service runs.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/grading.h"
#include "cli/lab_cmds.h"
#include "labs/book.h"
#include "labs/jail.h"
#include "labs/tree.h"

extern char **environ;

struct bundle_options {
	const char *lab, *service, *out;
};

enum { KEY_FOR = 256 };

static const struct argp_option options[] = {
    {.name = "for", .key = KEY_FOR, .arg = "SERVICE", .doc = "who will run it: gradescope"},
    {.name = "output", .key = 'o', .arg = "FILE.zip|DIR", .doc = "(LAB-gradescope.zip) a folder is left unpacked"},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bundle_options *o = state->input;

	switch (key) {
	case KEY_FOR:
		o->service = arg;
		return strcmp(arg, "gradescope") == 0 ? 0 : cli_usage("--for %s: there is gradescope", arg);
	case 'o':
		o->out = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->lab)
			return cli_usage("lab bundle: %s: one LAB", arg);
		o->lab = arg;
		return 0;
	case ARGP_KEY_END:
		return o->lab && o->service ? 0
					    : cli_usage("lab bundle: say \"vmscope lab bundle LAB --for gradescope\"");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "LAB --for gradescope",
    .doc =
	"Make the autograder of a lab, to be uploaded. It brings this program with its libraries, and needs Linux on "
	"x86-64 with the GNU C library; its setup.sh installs binutils, for vmscope.asm. docs/labs.md says what it "
	"was tried on.",
};

static const char setup[] = "#!/bin/bash\n"
			    "# Gradescope runs this once, as root, when it makes the image.\n"
			    "set -eu\n"
			    "export DEBIAN_FRONTEND=noninteractive\n"
			    "apt-get update -q\n"
			    "apt-get install -y -q --no-install-recommends binutils\n"
			    "\"${AUTOGRADER:-/autograder}/source/vmscope/bin/vmscope\" --version\n";

static const char runner[] =
    "#!/bin/bash\n"
    "# Gradescope runs this for each submission. Where it cannot be graded there is no result, which is not 0 points: "
    "the\n"
    "# service says that the autograder failed, and shows why.\n"
    "set -u\n"
    "top=${AUTOGRADER:-/autograder}\n"
    "mkdir -p \"$top/results\"\n"
    "exec \"$top/source/vmscope/bin/vmscope\" grade %s \"$top/submission\" --format gradescope \\\n"
    "\t-o \"$top/results/results.json\"\n";

/* --- What goes in ------------------------------------------------------------------------------------------------- */

struct libraries {
	const char *dir;
	struct errmsg *why;
	enum err err;
};

/* Of the C library there is one already, and it goes with the kernel's loader. */
static bool is_system(const char *name)
{
	static const char *const names[] = {
	    "libc.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux", "linux-vdso"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static int add_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct libraries *l = arg;
	const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
	char to[PATH_MAX], *from;

	(void)size;
	if (!slash || is_system(slash + 1))
		return 0;
	from = realpath(info->dlpi_name, NULL);
	if (!from || snprintf(to, sizeof to, "%s%s", l->dir, slash) >= (int)sizeof to)
		l->err = err_set(l->why, ERR_IO, "%s: %s", info->dlpi_name, strerror(errno));
	else
		l->err = tree_copy_file(from, to, NULL, l->why);
	free(from);
	return l->err != ERR_OK;
}

static bool below(char buf[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(buf, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

static enum err add_program(const char *dir, struct grading_host *h, struct errmsg *why)
{
	static const struct {
		const char *to;
		size_t from;
	} folders[] = {{"vmscope/lib/vmscope/guests", offsetof(struct grading_host, guests)},
	    {"vmscope/lib/vmscope/costs", offsetof(struct grading_host, costs)}};
	char to[PATH_MAX];
	enum err e = ERR_OK;

	if (!below(to, dir, "vmscope/bin"))
		return err_set(why, ERR_RANGE, "%.60s...: the path is too long", dir);
	e = tree_new_folder(to, why);
	(void)below(to, dir, "vmscope/bin/vmscope");
	if (!e)
		e = tree_copy_file(h->program, to, NULL, why);
	(void)below(to, dir, "vmscope/lib/vmscope/lib");
	if (!e)
		e = tree_new_folder(to, why);
	if (!e) {
		struct libraries l = {to, why, ERR_OK};
		(void)dl_iterate_phdr(add_library, &l);
		e = l.err;
	}
	for (size_t i = 0; i < ARRAY_LEN(folders) && !e; i++) {
		(void)below(to, dir, folders[i].to);
		e = tree_copy((const char *)h + folders[i].from, to, NULL, why);
	}
	return e;
}

static enum err add_lab(const char *dir, const struct lab_place *p, struct errmsg *why)
{
	char name[160], to[PATH_MAX], text[1024];
	enum err e = ERR_OK;

	snprintf(name, sizeof name, "vmscope/lib/vmscope/labs/solutions/%s", p->id);
	if (!below(to, dir, name))
		return err_set(why, ERR_RANGE, "%.60s...: the path is too long", dir);
	e = tree_new_folder(to, why);
	if (!e && p->solution[0])
		e = tree_copy(p->solution, to, NULL, why);
	snprintf(name, sizeof name, "vmscope/lib/vmscope/labs/%s", p->id);
	(void)below(to, dir, name);
	if (!e)
		e = tree_copy(p->dir, to, NULL, why);
	(void)below(to, dir, "setup.sh");
	if (!e)
		e = tree_write(to, setup, true, why);
	(void)below(to, dir, "run_autograder");
	snprintf(text, sizeof text, runner, p->id); // NOLINT
	return e ? e : tree_write(to, text, true, why);
}

/* --- Out ---------------------------------------------------------------------------------------------------------- */

static enum err zip(const char *dir, const char *out, struct errmsg *why)
{
	static char program[] = "zip", quiet[] = "-qrX", all[] = ".";
	char *cwd = out[0] == '/' ? strdup("") : getcwd(NULL, 0), *full = NULL;
	posix_spawn_file_actions_t fa;
	int status = 0;
	pid_t pid;

	if (!cwd || asprintf(&full, "%s%s%s", cwd, *cwd ? "/" : "", out) < 0 ||
	    posix_spawn_file_actions_init(&fa) != 0) {
		free(cwd);
		return err_set(why, ERR_NOMEM, "no memory");
	}
	char *const argv[] = {program, quiet, full, all, NULL};
	posix_spawn_file_actions_addchdir_np(&fa, dir);
	int bad = posix_spawnp(&pid, program, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	free(cwd);
	free(full);
	if (bad)
		return err_set(
		    why, ERR_NODEV, "this machine has no zip (%s): install it, or give -o a folder", strerror(bad));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0 ? ERR_OK : err_set(why, ERR_IO, "%s: zip failed", out);
}

static enum err make(const char *dir, const struct lab_place *p, struct errmsg *why)
{
	struct grading_host h;
	struct job_host host;
	enum err e = grading_host(&h, &host, why);

	if (!e && !h.guests[0])
		e = err_set(why, ERR_NOENT, "the bundled guests are not there: \"make\" builds them");
	if (!e)
		e = add_program(dir, &h, why);
	return e ? e : add_lab(dir, p, why);
}

static enum err make_zip(const char *out, const struct lab_place *p, struct errmsg *why)
{
	char dir[] = "/tmp/vmscope-bundle.XXXXXX";

	if (access(out, F_OK) == 0)
		return err_set(why, ERR_FORMAT, "%s: it is there: name another one", out);
	if (!mkdtemp(dir))
		return err_set(why, ERR_IO, "%s: %s", dir, strerror(errno));
	enum err e = make(dir, p, why);
	if (!e)
		e = zip(dir, out, why);
	tree_remove(dir);
	return e;
}

int cmd_lab_bundle(int argc, char **argv)
{
	struct bundle_options o = {0};
	struct errmsg why = {""};
	struct lab_place p;
	char out[100];
	int status = cli_parse(&argp, argc, argv, &o);

	if (status)
		return status;
	enum err e = lab_find(o.lab, &p, &why);
	if (!e && !o.out) {
		snprintf(out, sizeof out, "%s-gradescope.zip", p.id);
		o.out = out;
	}
	size_t n = o.out ? strlen(o.out) : 0;
	if (!e && n > 4 && strcmp(o.out + n - 4, ".zip") == 0) {
		e = make_zip(o.out, &p, &why);
	} else if (!e) {
		e = tree_new_folder(o.out, &why);
		if (!e)
			e = make(o.out, &p, &why);
	}
	if (e)
		return cli_fail_err(e, &why);
	printf("%s: setup.sh, run_autograder, and vmscope with lab %s\n", o.out, p.id);
	return CLI_OK;
}
