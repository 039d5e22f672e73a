/*
 * The jail, the caller's side: what the child needs is made, the child is watched, and everything of it goes away.
 * Read first: jail_impl.h, then this file, then jail_child.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/types.h"
#include "labs/jail_impl.h"
#include "labs/tree.h"

struct pump {
	int fd;
	char *text;
	size_t n, room, max; /* up to max + 1 are read: then it is known to be too much */
	bool failed;
};

/* Processes beside those of this user that run already: the kernel may count them, too. */
static unsigned long process_limit(uid_t uid)
{
	unsigned long total = 0;
	FILE *f = uid ? fopen("/proc/loadavg", "re") : NULL;

	if (f && fscanf(f, "%*s %*s %*s %*[0-9]/%lu", &total) != 1)
		total = 0;
	if (f)
		fclose(f);
	return total + 64;
}

static void make_texts(struct jail_job *j)
{
	static atomic_uint count;
	static const char *const said[] = {"", "landlock", "mounts", "landlock,mounts"};
	size_t room = j->cfg->file_max < (1u << 20) ? 1u << 20 : j->cfg->file_max;

	j->caller = getpid();
	j->uid = geteuid();
	j->gid = getegid();
	/* One that nobody has, and that no other jail has now. */
	j->own_uid = (1u << 30) | ((uid_t)j->caller & 0x3fffff) << 7 | (atomic_fetch_add(&count, 1) & 127);
	snprintf(j->uid_map, sizeof j->uid_map, "%u %u 1", j->uid, j->uid);
	snprintf(j->gid_map, sizeof j->gid_map, "%u %u 1", j->gid, j->gid);
	for (int user_ns = 0; user_ns < 2; user_ns++) {
		bool own = j->uid == 0 && !user_ns;
		snprintf(j->tmp_options[user_ns], sizeof j->tmp_options[0],
		    "size=%zu,nr_inodes=1024,mode=700,uid=%u,gid=%u", 4 * room, own ? j->own_uid : j->uid,
		    own ? j->own_uid : j->gid);
	}
	snprintf(j->env_path, sizeof j->env_path, "PATH=/usr/local/bin:/usr/bin:/bin");
	snprintf(j->env_lang, sizeof j->env_lang, "LANG=C.UTF-8");
	snprintf(j->env_tmp[0], sizeof j->env_tmp[0], "TMPDIR=%s", j->dir);
	snprintf(j->env_tmp[1], sizeof j->env_tmp[1], "TMPDIR=/tmp");
	for (size_t i = 0; i < ARRAY_LEN(said); i++)
		snprintf(j->env_layers[i], sizeof j->env_layers[i], JAIL_VARIABLE "=%s", said[i]);
	j->nproc = process_limit(j->uid);
}

static enum err make_folder(struct jail_job *j, struct errmsg *why)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || tmp[0] != '/' || strlen(tmp) > 80)
		tmp = "/tmp";
	snprintf(j->dir, sizeof j->dir, "%s/vmscope-jail.XXXXXX", tmp);
	if (!mkdtemp(j->dir)) {
		enum err e = err_set(why, ERR_IO, "no temporary folder %s: %s", j->dir, strerror(errno));
		j->dir[0] = 0;
		return e;
	}
	return ERR_OK;
}

/* Sealed: who gets it can read it, and nothing else. */
static int input_file(const struct jail_config *cfg)
{
	int fd = memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const char *at = cfg->input;
	size_t left = cfg->n_input;

	while (fd >= 0 && left) {
		ssize_t n = write(fd, at, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			close(fd);
			return -1;
		}
		at += n;
		left -= (size_t)n;
	}
	if (fd >= 0 && (lseek(fd, 0, SEEK_SET) != 0 ||
			   fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int make_pipe(int *write_end)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*write_end = fds[1];
	return fds[0];
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Reads what is there. false: the end. */
static bool pump(struct pump *p)
{
	char rest[4096];

	for (;;) {
		size_t want = p->max + 1 - p->n;
		if (want && p->n == p->room) {
			size_t room = p->room ? 2 * p->room : 4096;
			char *more = realloc(p->text, room + 1);
			p->failed |= !more;
			p->text = more ? more : p->text;
			p->room = more ? room : p->room;
		}
		if (p->failed)
			want = 0;
		if (want > p->room - p->n)
			want = p->room - p->n;
		/* What is too much is thrown away, so that nobody waits for a reader. */
		ssize_t n = want ? read(p->fd, p->text + p->n, want) : read(p->fd, rest, sizeof rest);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		p->n += want ? (size_t)n : 0;
		if (!want || p->n > p->max)
			return true; /* the caller looks whether this is to go on */
	}
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* All that is known of a child that runs. */
struct watch {
	const struct jail_config *cfg;
	pid_t keeper;
	struct pump out, err;
	int status;
	struct jail_message started, last; /* last: how it ended, or that it broke */
	bool has_last, stopped;
	enum jail_end reason; /* when stopped */
};

static void stop(struct watch *w, enum jail_end reason)
{
	if (!w->stopped)
		(void)kill(w->keeper, SIGTERM);
	w->stopped = true;
	w->reason = reason;
}

/* false: the keeper is gone, and with it everything. */
static bool take_status(struct watch *w)
{
	struct jail_message m;
	ssize_t n;

	while ((n = read(w->status, &m, sizeof m)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n != sizeof m)
			return false;
		if (m.what == JAIL_IS_STARTED) {
			w->started = m;
		} else if (!w->has_last) {
			w->last = m;
			w->has_last = true;
		}
	}
	return false;
}

static void watch(struct watch *w)
{
	int64_t deadline = now_ms() + (int64_t)w->cfg->wall_s * 1000;
	struct pollfd fds[3] = {{.fd = w->status, .events = POLLIN}, {.fd = w->out.fd, .events = POLLIN},
	    {.fd = w->err.fd, .events = POLLIN}};

	for (;;) {
		int64_t left = w->stopped ? 1000 : deadline - now_ms();
		int n = poll(fds, 3, left < 0 ? 0 : left > 60000 ? 60000 : (int)left);
		if (n == 0 && !w->stopped && now_ms() >= deadline)
			stop(w, JAIL_WALL);
		if (fds[1].revents && !pump(&w->out))
			fds[1].fd = -1;
		if (fds[2].revents && !pump(&w->err))
			fds[2].fd = -1;
		if (!w->stopped && (w->out.n > w->out.max || w->err.n > w->err.max))
			stop(w, JAIL_OUTPUT);
		if (!w->stopped && now_ms() >= deadline)
			stop(w, JAIL_WALL);
		if (fds[0].revents && !take_status(w))
			break;
	}
	while (waitpid(w->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	/* What it had written before it died. */
	for (struct pump *p = &w->out;; p = &w->err) {
		size_t before;
		do
			before = p->n;
		while (pump(p) && p->n != before && p->n <= p->max);
		if (p == &w->err)
			break;
	}
}

static enum err judge(struct watch *w, struct jail_result *out, struct errmsg *why)
{
	static const struct {
		unsigned layer;
		const char *name;
	} names[] = {{JAIL_SECCOMP, "seccomp"}, {JAIL_RLIMITS, "rlimits"}, {JAIL_LANDLOCK, "landlock"},
	    {JAIL_NAMESPACES, "namespaces"}, {JAIL_MOUNTS, "own root"}, {JAIL_USER, "own user"}};
	size_t at = 0;

	if (w->out.failed || w->err.failed)
		return err_set(why, ERR_NOMEM, "no memory for the output of %s", w->cfg->argv[0]);
	if (w->has_last && w->last.what == JAIL_IS_BROKEN)
		return err_set(why, ERR_IO, "%s cannot be jailed: %s: %s", w->cfg->argv[0], w->last.step,
		    strerror(w->last.number));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (w->started.layers & names[i].layer)
			at += (size_t)snprintf(
			    out->layers + at, sizeof out->layers - at, "%s%s", at ? ", " : "", names[i].name);
	bool much = w->out.n > w->out.max || w->err.n > w->err.max;
	if (much || w->stopped) {
		out->end = much ? JAIL_OUTPUT : w->reason;
		return ERR_OK;
	}
	if (!w->has_last)
		return err_set(why, ERR_IO, "%s: the process that watches it was killed", w->cfg->argv[0]);
	int status = w->last.number;
	out->cpu_ms = w->last.cpu_ms > 0 ? (unsigned)w->last.cpu_ms : 0;
	out->status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	out->end = WIFSIGNALED(status) ? JAIL_SIGNALLED : JAIL_EXITED;
	if (WIFSIGNALED(status) &&
	    (out->status == SIGXCPU || (out->status == SIGKILL && w->last.cpu_ms >= (long)w->cfg->cpu_s * 1000)))
		out->end = JAIL_CPU;
	return ERR_OK;
}

static void hand_over(struct pump *p, char **text, size_t *n)
{
	*n = p->n > p->max ? p->max : p->n;
	if (!p->text)
		p->text = malloc(1);
	if (p->text)
		p->text[*n] = 0;
	*text = p->text;
	p->text = NULL;
}

/* Forks with every signal blocked: no handler of ours runs in there. */
static pid_t fork_keeper(const struct jail_job *j)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t pid = fork();
	if (pid == 0)
		jail_keeper(j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

static enum err run(struct jail_job *j, struct jail_result *out, struct errmsg *why)
{
	int theirs[4] = {-1, -1, -1, -1}, ours[3] = {-1, -1, -1};
	struct watch w = {.cfg = j->cfg, .out.max = j->cfg->out_max, .err.max = j->cfg->err_max};
	enum err e = ERR_OK;

	theirs[0] = input_file(j->cfg);
	for (int i = 0; i < 3; i++)
		ours[i] = make_pipe(&theirs[i + 1]);
	if (theirs[0] < 0 || ours[0] < 0 || ours[1] < 0 || ours[2] < 0)
		e = err_set(why, ERR_IO, "no pipes for %s: %s", j->cfg->argv[0], strerror(errno));
	if (!e) {
		j->in = theirs[0], j->out = theirs[1], j->err = theirs[2], j->status = theirs[3];
		w.keeper = fork_keeper(j);
		if (w.keeper < 0)
			e = err_set(why, ERR_IO, "no process for %s: %s", j->cfg->argv[0], strerror(errno));
	}
	close_all(theirs, 4);
	if (!e) {
		w.out.fd = ours[0];
		w.err.fd = ours[1];
		w.status = ours[2];
		watch(&w);
		e = judge(&w, out, why);
	}
	hand_over(&w.out, &out->out, &out->n_out);
	hand_over(&w.err, &out->err, &out->n_err);
	if (!e && (!out->out || !out->err))
		e = err_set(why, ERR_NOMEM, "no memory for the output of %s", j->cfg->argv[0]);
	close_all(ours, 3);
	return e;
}

enum err jail_run(const struct jail_config *cfg, struct jail_result *out, struct errmsg *why)
{
	struct jail_job j = {.cfg = cfg};
	enum err e = ERR_OK;

	*out = (struct jail_result){0};
	j.program = realpath(cfg->argv[0], NULL);
	if (!j.program)
		return err_set(why, ERR_IO, "%s: %s", cfg->argv[0], strerror(errno));
	e = make_folder(&j, why);
	if (!e) {
		make_texts(&j);
		/* Where there is no root of its own the folder itself is the program's. */
		if (j.uid == 0)
			(void)!chown(j.dir, j.own_uid, j.own_uid);
		e = jail_list_paths(&j, why);
	}
	if (!e)
		e = run(&j, out, why);
	if (e) {
		free(out->out);
		free(out->err);
		out->out = out->err = NULL;
	}
	if (j.dir[0])
		tree_remove(j.dir);
	jail_free_paths(&j.paths);
	free(j.program);
	return e;
}
