/*
 * A process that is not trusted: a program, its input, and what it writes, within limits that it cannot lift. It sees
 * no file but what is needed to run, has no network, and is killed with everything that it started.
 */
#ifndef VMSCOPE_LABS_JAIL_H
#define VMSCOPE_LABS_JAIL_H

#include <stddef.h>

#include "core/err.h"

struct jail_config {
	const char *const *argv; /* argv[0] is the path of the program; ended by NULL */
	const void *input;	 /* for its stdin */
	size_t n_input;
	const char *const *read_only; /* further paths that may be read, ended by NULL; may be NULL */
	size_t out_max, err_max;      /* bytes kept of stdout and stderr; the program is killed when it writes more */
	unsigned cpu_s, wall_s;
	size_t mem_max;	 /* address space, bytes; 0: no limit */
	size_t file_max; /* of a file that it writes, bytes */
};

enum jail_end {
	JAIL_EXITED,	/* status is its exit status */
	JAIL_SIGNALLED, /* status is the signal */
	JAIL_CPU,	/* a limit: processor time */
	JAIL_WALL,	/* time on the clock */
	JAIL_OUTPUT	/* output */
};

struct jail_result {
	enum jail_end end;
	int status;
	char *out, *err; /* with a NUL behind; the caller frees them */
	size_t n_out, n_err;
	unsigned cpu_ms; /* processor time; of one that was stopped on the clock or for its output: 0 */
	char
	    layers[120]; /* what held it: "seccomp, rlimits, landlock, namespaces"; what this host lacks is not named */
};

/* ERR_OK: it ran, and out says how that ended. Anything else is the host's fault (no process, no pipe): why. Safe to be
 * called from several threads and processes at once. */
enum err jail_run(const struct jail_config *cfg, struct jail_result *out, struct errmsg *why) MUST_CHECK;
/* In the child, before anything that is not trusted: called by the worker itself once all that it needs is open. It has
 * one thread then. ERR_NODEV: this host cannot hold what comes now: it must not run. */
enum err jail_lock_down(struct errmsg *why) MUST_CHECK;

#endif
