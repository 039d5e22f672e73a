/*
 * The jail's other side: the keeper, the first process of a namespace, and the program up to its exec. Nothing here
 * takes memory (jail_impl.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "labs/jail_impl.h"

#define STATUS_FD 3
#define STACK_BYTES (8u << 20)
#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static void tell(const struct jail_message *m)
{
	ssize_t n;

	do
		n = write(STATUS_FD, m, sizeof *m);
	while (n < 0 && errno == EINTR);
}

static _Noreturn void broken(const char *step)
{
	struct jail_message m = {.what = JAIL_IS_BROKEN, .number = errno};

	strncat(m.step, step, sizeof m.step - 1);
	tell(&m);
	_exit(127);
}

static void ended(int status, const struct rusage *used)
{
	struct jail_message m = {.what = JAIL_IS_ENDED, .number = status};

	m.cpu_ms = (used->ru_utime.tv_sec + used->ru_stime.tv_sec) * 1000 +
		   (used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1000;
	tell(&m);
}

/* stdin, stdout, stderr and the status pipe; every other descriptor is closed. */
static void own_descriptors(const struct jail_job *j)
{
	int from[4] = {j->in, j->out, j->err, j->status};

	for (int i = 0; i < 4; i++)
		from[i] = fcntl(from[i], F_DUPFD, 16);
	for (int i = 0; i < 4; i++)
		if (from[i] < 0 || dup3(from[i], i, i == STATUS_FD ? O_CLOEXEC : 0) < 0)
			_exit(127); /* nobody can be told */
	if (syscall(SYS_close_range, STATUS_FD + 1, ~0u, 0) == 0)
		return;
	struct rlimit lim = {0};
	(void)getrlimit(RLIMIT_NOFILE, &lim);
	for (int fd = STATUS_FD + 1; fd < 65536 && (rlim_t)fd < lim.rlim_cur; fd++)
		close(fd);
}

/* Handlers of the caller are not ours; signals stay blocked, as they were at the fork. */
static void own_signals(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};

	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &sa, NULL);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);
	bool good = fd >= 0 && write(fd, text, n) == (ssize_t)n;

	if (fd >= 0)
		close(fd);
	return good;
}

enum namespaces { NS_NONE, NS_ROOT, NS_USER };

/* As root as it is; else by means of a user namespace, in which we are who we are, with rights over the rest. */
static enum namespaces new_namespaces(const struct jail_job *j)
{
	if (unshare(NAMESPACES) == 0)
		return NS_ROOT;
	if (unshare(NAMESPACES | CLONE_NEWUSER) != 0)
		return NS_NONE;
	(void)write_file("/proc/self/setgroups", "deny");
	if (!write_file("/proc/self/gid_map", j->gid_map) || !write_file("/proc/self/uid_map", j->uid_map))
		broken("the map of the user namespace");
	return NS_USER;
}

static bool limit(__rlimit_resource_t what, rlim_t soft, rlim_t hard)
{
	struct rlimit now;

	if (getrlimit(what, &now) != 0)
		return false;
	now.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
	now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
	return setrlimit(what, &now) == 0;
}

static bool limits(const struct jail_job *j)
{
	const struct jail_config *c = j->cfg;
	bool good = limit(RLIMIT_CPU, c->cpu_s, c->cpu_s + 1ull) && limit(RLIMIT_FSIZE, c->file_max, c->file_max) &&
		    limit(RLIMIT_NOFILE, 256, 256) && limit(RLIMIT_CORE, 0, 0) && limit(RLIMIT_MSGQUEUE, 0, 0) &&
		    limit(RLIMIT_MEMLOCK, 0, 0) && limit(RLIMIT_NPROC, j->nproc, j->nproc) &&
		    /* of each thread, too: as many of them fit as anywhere */
		    limit(RLIMIT_STACK, STACK_BYTES, STACK_BYTES);

#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes of addresses */
	good = good && (!c->mem_max || limit(RLIMIT_AS, c->mem_max, c->mem_max));
#endif
	return good;
}

/* As the user that the program will be: whether it can be run, and its files read. */
static bool reachable(const struct jail_job *j)
{
	bool good = seteuid(j->own_uid) == 0;

	for (size_t i = 0; good && i < j->paths.n; i++) {
		const struct jail_path *p = &j->paths.all[i];
		good = p->optional || faccessat(AT_FDCWD, p->path, R_OK | (p->folder ? X_OK : 0), AT_EACCESS) == 0;
	}
	return seteuid(0) == 0 && good;
}

/* Where the caller is root the program is nobody else's user. true: so it is. */
static bool change_user(const struct jail_job *j, bool mounts)
{
	if (j->uid != 0 || (!mounts && !reachable(j)))
		return false;
	return setgroups(0, NULL) == 0 && setresgid(j->own_uid, j->own_uid, j->own_uid) == 0 &&
	       setresuid(j->own_uid, j->own_uid, j->own_uid) == 0;
}

static void drop_rights(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {0};

	(void)syscall(SYS_capset, &head, none);
}

static _Noreturn void program(const struct jail_job *j, unsigned layers)
{
	bool mounts = layers & JAIL_MOUNTS;
	const char *tmp = mounts ? "/tmp" : j->dir;

	setsid();
	if (limits(j))
		layers |= JAIL_RLIMITS;
	/* Root without rights: exec gives none back. */
	for (int cap = 0; cap < 64; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED);
	if (change_user(j, mounts))
		layers |= JAIL_USER;
	else if (j->uid == 0 && !mounts)
		(void)!chown(j->dir, 0, 0); /* it was to be the other's */
	drop_rights();
	if (chdir(tmp) != 0)
		broken("its folder");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		broken("no_new_privs");
	if (jail_landlock(j, tmp))
		layers |= JAIL_LANDLOCK;
	if (!jail_filter_start())
		broken("seccomp");
	layers |= JAIL_SECCOMP;

	const char *said = j->env_layers[(layers & JAIL_LANDLOCK ? 1 : 0) + (mounts ? 2 : 0)];
	const char *const env[] = {j->env_path, j->env_lang, j->env_tmp[mounts], said, NULL};
	const struct jail_message m = {.what = JAIL_IS_STARTED, .layers = layers};
	sigset_t none;
	tell(&m);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* exec does not write to what it is given. */
	union {
		const char *const *in;
		char *const *out;
	} argv = {.in = j->cfg->argv}, envp = {.in = env};
	execve(j->program, argv.out, envp.out);
	broken("exec");
}

/* Process 1 of the namespace: when it ends, so does everything in there. */
static _Noreturn void init_process(const struct jail_job *j, enum namespaces ns)
{
	unsigned layers = JAIL_NAMESPACES;
	struct rusage used;
	int status;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	enum jail_root root = jail_new_root(j, j->tmp_options[ns == NS_USER]);
	if (root == JAIL_ROOT_BROKEN)
		broken("its root folder");
	if (root == JAIL_ROOT_NEW)
		layers |= JAIL_MOUNTS;
	pid_t child = fork();
	if (child < 0)
		broken("fork");
	if (child == 0)
		program(j, layers);
	for (;;) {
		pid_t got = wait4(-1, &status, 0, &used);
		if (got == child) {
			ended(status, &used);
			_exit(0);
		}
		if (got < 0 && errno != EINTR)
			broken("wait");
	}
}

/* Until the child has ended, or we are told to end it. true: it has ended, and this is how. */
static bool keep(pid_t child, int *status, struct rusage *used)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	for (;;) {
		/* Orphans stay unwaited for (jail_reap.c). */
		if (wait4(child, status, WNOHANG, used) == child)
			return true;
		if (sigwaitinfo(&set, NULL) == SIGTERM)
			return false;
	}
}

/* The folder that the program's own lies in, from before there is another root. */
static int open_parent(const struct jail_job *j)
{
	char parent[sizeof j->dir];

	memcpy(parent, j->dir, sizeof parent);
	*strrchr(parent, '/') = 0;
	return open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* A caller that was killed does not remove it. */
static _Noreturn void leave(const struct jail_job *j, int parent)
{
	if (getppid() != j->caller)
		(void)unlinkat(parent, strrchr(j->dir, '/') + 1, AT_REMOVEDIR);
	_exit(0);
}

_Noreturn void jail_keeper(const struct jail_job *j)
{
	struct rusage used;
	int status;

	own_descriptors(j);
	own_signals();
	setsid();
	(void)write_file("/proc/self/oom_score_adj", "1000");
	int parent = open_parent(j);
	enum namespaces ns = new_namespaces(j);
	/* The caller's death is the end of it, whatever it dies of. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != j->caller)
		leave(j, parent);
	/* Our memory is a copy of the caller's: nobody looks into it. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (ns == NS_NONE)
		(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t child = fork();
	if (child < 0)
		broken("fork");
	if (child == 0) {
		if (ns != NS_NONE)
			init_process(j, ns);
		program(j, 0);
	}
	bool over = keep(child, &status, &used);
	if (ns != NS_NONE) {
		if (!over) {
			(void)kill(child, SIGKILL);
			(void)waitpid(child, NULL, 0);
		}
		leave(j, parent);
	}
	if (over)
		ended(status, &used);
	jail_kill_descendants(j);
	leave(j, parent);
}
