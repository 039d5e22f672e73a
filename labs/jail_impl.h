/*
 * Private to the jail. Between fork and exec only system calls are made: the process may have had other threads, so
 * what needs memory (paths, texts) is made before.
 *
 *   caller ── keeper (kills all, when told or when the caller dies) ── [init, process 1 of a namespace] ── program
 */
#ifndef VMSCOPE_LABS_JAIL_IMPL_H
#define VMSCOPE_LABS_JAIL_IMPL_H

#include <stdbool.h>
#include <sys/types.h>

#include "labs/jail.h"

/* What holds the program. */
enum jail_layer {
	JAIL_SECCOMP = 1,
	JAIL_RLIMITS = 2,
	JAIL_LANDLOCK = 4,
	JAIL_NAMESPACES = 8, /* processes, network, IPC */
	JAIL_MOUNTS = 16,    /* a root of its own: with or without Landlock, no file but those of the list is seen */
	JAIL_USER = 32	     /* a user id of its own, where the caller is root */
};

/* The variable that says so to jail_lock_down(): "landlock", "mounts", both, "". */
#define JAIL_VARIABLE "VMSCOPE_JAIL"

enum jail_access { JAIL_READ, JAIL_EXECUTE, JAIL_WRITE };

struct jail_path {
	char *path; /* absolute; what is there may be a symbolic link */
	enum jail_access access;
	bool folder, optional;
};

struct jail_paths {
	struct jail_path *all;
	size_t n, room;
};

/* What the child needs, made before the fork. */
struct jail_job {
	const struct jail_config *cfg;
	char *program; /* its resolved path */
	char dir[128]; /* the folder of its own; in the new root it is /tmp */
	struct jail_paths paths;
	int in, out, err, status;
	pid_t caller;
	uid_t uid, own_uid; /* the caller's, and the one to become where that is root */
	gid_t gid;
	char uid_map[40], gid_map[40], tmp_options[2][96]; /* of /tmp; [1]: in a user namespace */
	unsigned long nproc;
	char env_tmp[2][160], env_layers[4][40], env_path[80], env_lang[24];
};

/* What comes through the status pipe; each is one write. */
struct jail_message {
	enum { JAIL_IS_STARTED, JAIL_IS_BROKEN, JAIL_IS_ENDED } what;
	unsigned layers; /* STARTED */
	int number;	 /* BROKEN: errno; ENDED: as from waitpid */
	long cpu_ms;	 /* ENDED */
	char step[40];	 /* BROKEN */
};

/* --- jail_paths.c: the caller's side --- */
enum err jail_list_paths(struct jail_job *j, struct errmsg *why);
void jail_free_paths(struct jail_paths *p);

/* --- jail_child.c --- */
_Noreturn void jail_keeper(const struct jail_job *j);

/* --- jail_reap.c: in the keeper --- */
/* Kills all that descends from this process, until nothing is left. */
void jail_kill_descendants(const struct jail_job *j);

/* --- jail_mounts.c --- */
enum jail_root {
	JAIL_ROOT_NEW,	  /* with nothing but the paths */
	JAIL_ROOT_OLD,	  /* this host does not let us; nothing has changed */
	JAIL_ROOT_BROKEN, /* half way */
};
enum jail_root jail_new_root(const struct jail_job *j, const char *tmp_options);

/* --- jail_landlock.c --- */
/* No file but the list; tmp is the folder that may be written. false: this kernel has none. */
bool jail_landlock(const struct jail_job *j, const char *tmp);
/* No execution, no file that is written or made, from here on. */
bool jail_landlock_final(void);

/* --- jail_filter.c: seccomp --- */
/* Before exec: what no program of ours needs is refused. */
bool jail_filter_start(void);
/* Lock-down: an allow-list. files: files may be opened to be read. */
bool jail_filter_final(bool files);

#endif
