/*
 * Shared by the commands that grade. See grading.h.
 */
#include "cli/grading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/guest.h"

/* The first of the folders that is there. */
static void first_folder(const char *what, const char *variable, char *buf, size_t n)
{
	for (unsigned i = 0; data_dir(i, what, variable, buf, n); i++) {
		char *full = access(buf, R_OK) == 0 ? realpath(buf, NULL) : NULL;
		if (full && snprintf(buf, n, "%s", full) < (int)n) {
			free(full);
			return;
		}
		free(full);
	}
	buf[0] = 0;
}

enum err grading_host(struct grading_host *h, struct job_host *out, struct errmsg *why)
{
	ssize_t len = readlink("/proc/self/exe", h->program, sizeof h->program - 1);

	if (len <= 0)
		return err_set(why, ERR_IO, "/proc/self/exe: %s: workers are started from it", strerror(errno));
	h->program[len] = 0;
	first_folder("guests", "VMSCOPE_GUESTS", h->guests, sizeof h->guests);
	first_folder("costs", "VMSCOPE_COSTS", h->costs, sizeof h->costs);
	size_t n = 0;
	if (h->guests[0])
		h->read_only[n++] = h->guests;
	if (h->costs[0])
		h->read_only[n++] = h->costs;
	h->read_only[n] = NULL;
	*out = (struct job_host){.program = h->program,
	    .guests = h->guests[0] ? h->guests : NULL,
	    .costs = h->costs[0] ? h->costs : NULL,
	    .read_only = h->read_only};
	return ERR_OK;
}

const char *grading_points(int64_t hundredths, char buf[24])
{
	int n = snprintf(buf, 24, "%" PRId64 ".%02" PRId64, hundredths / 100, hundredths % 100);

	while (n > 0 && buf[n - 1] == '0')
		buf[--n] = 0;
	if (n > 0 && buf[n - 1] == '.')
		buf[n - 1] = 0;
	return buf;
}

int grading_seed(const char *arg, uint64_t *seed)
{
	char *end;

	*seed = strtoull(arg, &end, 0);
	return *arg && *arg != '-' && !*end ? 0 : cli_usage("--seed %s: a whole number is needed", arg);
}
