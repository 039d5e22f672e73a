/*
 * The keeper: a small process between us and the machine that we start. It makes the private directory's contents and
 * the machine end with us, however we end: it notices by the end of file on its control socket, which also kill -9
 * brings. The machine in turn is told by the kernel when the keeper dies. One private directory holds every file of a
 * run: disks, logs, lock files.
 */
#ifndef VMSCOPE_SESSION_KEEPER_H
#define VMSCOPE_SESSION_KEEPER_H

#include "core/err.h"

#define KEEPER_DIR_MAX 200
#define KEEPER_PATH_MAX 256

struct keeper_spec {
	const char *const *argv;
	const char *log; /* file of the directory that takes stdout and stderr */
	int inherit_fd;	 /* stays open in the machine, under the same number; -1: none */
	bool job;	 /* a program that may end at once, when its work is done */
	bool no_network; /* run it in a network namespace of its own, where that is permitted */
	/* Not NULL: the machine will connect to a loopback port, which is ours for that one connection. Called with its
	 * number before the machine starts, in the keeper (so it may only write files of the directory). */
	enum err (*listening)(void *arg, const char *dir, unsigned port);
	void *arg;
};

struct keeper {
	char dir[KEEPER_DIR_MAX];
	char program[64];
	int ctl;	     /* readable when the machine has ended; -1: nothing was started */
	int pid;	     /* of the keeper */
	bool started, ended; /* the machine */
	int wait_status;     /* as waitpid() has it */
};

/* The private directory, empty, and the keeper, which waits: from here on nothing of ours can be left behind. */
enum err keeper_open(struct keeper *k, const struct keeper_spec *spec, struct errmsg *why) MUST_CHECK;
/* Starts the machine. *line is the accepted connection when spec->listening, else -1. stopped(arg), asked meanwhile
 * (NULL: never): has the user given up? then ERR_AGAIN. */
enum err keeper_start(
    struct keeper *k, bool (*stopped)(void *arg), void *arg, int *line, struct errmsg *why) MUST_CHECK;
/* Has the machine ended? Never waits. */
bool keeper_machine_ended(struct keeper *k);
/* Ends the machine if it runs, waits for that, removes the directory. Safe after a failed start, and twice. */
void keeper_close(struct keeper *k);
/* DIR/name into buf. */
const char *keeper_path(const struct keeper *k, const char *name, char buf[KEEPER_PATH_MAX]);

#endif
