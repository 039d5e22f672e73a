/*
 * See keeper.h. The keeper is a fork of this program that never returns: it closes everything that it inherited, leads
 * a session of its own (a terminal's Ctrl-C is for us, who then end the run in order), starts the machine as its child,
 * reports how that ended, and tidies up at the end.
 */
#include "session/keeper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CTL_FD 3
#define INHERIT_FD_MIN 4 /* the machine's line stays where it is; it is never below this */
#define CONNECT_MS 20000
#define ASK_MS 50 /* how long a start goes on unseen after the user has given up */

enum report_kind { REPORT_STARTED, REPORT_FAILED, REPORT_ENDED };

/* From the keeper to us; the line comes along as a descriptor. */
struct report {
	enum report_kind kind;
	int status; /* of the machine; REPORT_FAILED: errno, or 0 */
	char text[200];
};

const char *keeper_path(const struct keeper *k, const char *name, char buf[KEEPER_PATH_MAX])
{
	snprintf(buf, KEEPER_PATH_MAX, "%s/%s", k->dir, name);
	return buf;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

static void remove_dir(const char *dir)
{
	(void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- In the keeper ----------------------------------------------------------------------------------------------- */

static void tell(const struct report *r, int fd)
{
	struct iovec iov = {(void *)(uintptr_t)r, sizeof *r};
	union {
		struct cmsghdr head;
		char buf[CMSG_SPACE(sizeof(int))];
	} c;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	memset(&c, 0, sizeof c);
	if (fd >= 0) {
		m.msg_control = c.buf;
		m.msg_controllen = sizeof c.buf;
		c.head = (struct cmsghdr){
		    .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&c.head), &fd, sizeof fd);
	}
	(void)!sendmsg(CTL_FD, &m, MSG_NOSIGNAL);
}

static void failed(const char *what, int e)
{
	struct report r = {.kind = REPORT_FAILED, .status = e};
	snprintf(r.text, sizeof r.text, "%s%s%s", what, e ? ": " : "", e ? strerror(e) : "");
	tell(&r, -1);
}

/* A network of our own: the display port of an emulator is then open to nobody. Root may; others by a user namespace,
 * where the system permits that. Otherwise the run goes on without. */
static void leave_network(void)
{
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {.ifr_flags = IFF_UP | IFF_RUNNING};
	strcpy(r.ifr_name, "lo");
	if (s >= 0) {
		(void)ioctl(s, SIOCSIFFLAGS, &r);
		close(s);
	}
}

static int listen_loopback(unsigned *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&a, n) || listen(s, 1) || getsockname(s, (struct sockaddr *)&a, &n)) {
		if (s >= 0)
			close(s);
		return -1;
	}
	*port = ntohs(a.sin_port);
	return s;
}

/* Becomes the machine. */
static void run_machine(const struct keeper *k, const struct keeper_spec *spec, pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || chdir(k->dir))
		_exit(126);
	int out = open(spec->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (out >= 0) {
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
	}
	if (spec->inherit_fd >= 0)
		fcntl(spec->inherit_fd, F_SETFD, 0);
	setenv("TMPDIR", k->dir, 1);
	execvp(spec->argv[0], (char *const *)(uintptr_t)spec->argv);
	fprintf(stderr, "%s: %s\n", spec->argv[0], strerror(errno));
	_exit(127);
}

static int ended_within(pid_t pid, int *status, int ms)
{
	for (; ms > 0 && waitpid(pid, status, WNOHANG) != pid; ms -= 20)
		usleep(20000);
	return ms > 0;
}

/* The connection; -1: *why says what came instead. */
static int accept_line(int listener, int pidfd, const char **why)
{
	struct pollfd p[] = {{listener, POLLIN, 0}, {pidfd, POLLIN, 0}, {CTL_FD, POLLIN, 0}};
	int n = poll(p, 3, CONNECT_MS), s = -1;
	if (n == 0)
		*why = "the machine did not open its serial line within 20 seconds";
	else if (n > 0 && p[0].revents & POLLIN && (s = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		*why = "its serial line cannot be accepted";
	return s;
}

/* Until the machine ends, then until we do. */
static void watch(pid_t pid, int pidfd)
{
	struct pollfd p[] = {{CTL_FD, POLLIN, 0}, {pidfd, POLLIN, 0}};
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents) /* nothing more is ever sent this way: it is the end of file */
			break;
		if (p[1].revents) {
			struct report r = {.kind = REPORT_ENDED};
			(void)waitpid(pid, &r.status, 0);
			tell(&r, -1);
			p[1].fd = -1;
		}
	}
	if (p[1].fd >= 0) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
}

static void keep(const struct keeper *k, const struct keeper_spec *spec)
{
	unsigned port = 0;
	int listener = -1, line = -1, status = 0;
	const char *why = "the machine ended before it had begun";
	if (spec->no_network)
		leave_network();
	if (spec->listening && (listener = listen_loopback(&port)) < 0) {
		failed("no loopback port for the serial line", errno);
		return;
	}
	if (spec->listening && spec->listening(spec->arg, k->dir, port)) {
		failed("the machine's configuration cannot be written", errno);
		return;
	}
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		run_machine(k, spec, parent);
	int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pidfd < 0) {
		failed("the machine cannot be started", errno);
		return;
	}
	if (listener >= 0) {
		line = accept_line(listener, pidfd, &why);
		close(listener);
	}
	if ((listener >= 0 && line < 0) || ended_within(pid, &status, listener >= 0 || spec->job ? 0 : 60)) {
		failed(WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "the program is not there" : why, 0);
		kill(-pid, SIGKILL);
		(void)waitpid(pid, NULL, WNOHANG);
		return;
	}
	struct report r = {.kind = REPORT_STARTED};
	tell(&r, line);
	if (line >= 0)
		close(line);
	watch(pid, pidfd);
}

/* Everything inherited but the control socket (as CTL_FD) and the machine's line is closed. */
static void close_inherited(int ctl, int keep_fd)
{
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; null >= 0 && fd < CTL_FD; fd++)
		dup2(null, fd);
	dup3(ctl, CTL_FD, O_CLOEXEC);
	if (keep_fd >= INHERIT_FD_MIN) {
		if (keep_fd > INHERIT_FD_MIN)
			close_range(INHERIT_FD_MIN, (unsigned)keep_fd - 1, 0);
		close_range((unsigned)keep_fd + 1, ~0u, 0);
	} else {
		close_range(INHERIT_FD_MIN, ~0u, 0);
	}
}

static ssize_t wait_for_us(char *go)
{
	ssize_t n;
	while ((n = recv(CTL_FD, go, 1, 0)) < 0 && errno == EINTR)
		;
	return n;
}

static void become_keeper(const struct keeper *k, const struct keeper_spec *spec, int ctl)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL}, ign = {.sa_handler = SIG_IGN};
	setsid();
	prctl(PR_SET_NAME, "vmscope-keeper");
	for (int s = 1; s < SIGRTMIN; s++)
		(void)sigaction(s, s == SIGINT || s == SIGHUP || s == SIGPIPE || s == SIGTERM ? &ign : &dfl, NULL);
	close_inherited(ctl, spec->inherit_fd);
	char go;
	if (wait_for_us(&go) == 1) {
		keep(k, spec);
		/* Whatever failed was told; the directory stays until we have read the logs in it. */
		while (wait_for_us(&go) > 0)
			;
	}
	remove_dir(k->dir);
	_exit(0);
}

/* --- On our side ------------------------------------------------------------------------------------------------- */

static bool hear(struct keeper *k, struct report *r, int *fd, int flags)
{
	*r = (struct report){0};
	struct iovec iov = {r, sizeof *r};
	union {
		struct cmsghdr head;
		char buf[CMSG_SPACE(sizeof(int))];
	} c;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = sizeof c.buf};
	ssize_t n;
	while ((n = recvmsg(k->ctl, &m, MSG_CMSG_CLOEXEC | flags)) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof *r)
		return false;
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	if (fd && h && h->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(h), sizeof *fd);
	return true;
}

static enum err make_dir(struct keeper *k, struct errmsg *why)
{
	const char *tmp = getenv("TMPDIR");
	if (!tmp || !tmp[0])
		tmp = "/tmp";
	if (snprintf(k->dir, sizeof k->dir, "%s/vmscope-XXXXXX", tmp) < (int)sizeof k->dir && mkdtemp(k->dir))
		return ERR_OK;
	k->dir[0] = 0;
	return err_set(why, ERR_IO, "%s: a directory for the machine's files cannot be made: %s", tmp, strerror(errno));
}

enum err keeper_open(struct keeper *k, const struct keeper_spec *spec, struct errmsg *why)
{
	int pair[2];
	*k = (struct keeper){.ctl = -1};
	snprintf(k->program, sizeof k->program, "%s", spec->argv[0]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return err_set(why, ERR_IO, "%s: cannot be started: %s", k->program, strerror(errno));
	enum err e = make_dir(k, why);
	pid_t pid = e ? -1 : fork();
	if (pid == 0)
		become_keeper(k, spec, pair[1]);
	close(pair[1]);
	if (pid > 0) {
		k->ctl = pair[0];
		k->pid = pid;
		return ERR_OK;
	}
	close(pair[0]);
	keeper_close(k);
	return e ? e : err_set(why, ERR_IO, "%s: cannot be started: %s", k->program, strerror(errno));
}

/* False: the user gave up before the keeper had anything to say. */
static bool wait_for_report(const struct keeper *k, bool (*stopped)(void *arg), void *arg)
{
	struct pollfd p = {k->ctl, POLLIN, 0};
	while (!stopped || !stopped(arg)) {
		int n = poll(&p, 1, stopped ? ASK_MS : -1);
		if (n > 0 || (n < 0 && errno != EINTR))
			return true;
	}
	return false;
}

enum err keeper_start(struct keeper *k, bool (*stopped)(void *arg), void *arg, int *line, struct errmsg *why)
{
	struct report r;
	*line = -1;
	bool sent = send(k->ctl, "", 1, MSG_NOSIGNAL) == 1;
	if (sent && !wait_for_report(k, stopped, arg))
		return err_set(why, ERR_AGAIN, "stopped before %s had started", k->program);
	if (!sent || !hear(k, &r, line, 0))
		return err_set(why, ERR_IO, "%s: the process that watches over it died", k->program);
	if (r.kind == REPORT_FAILED)
		return err_set(why, ERR_IO, "%s: %s", k->program, r.text);
	k->started = true;
	return ERR_OK;
}

bool keeper_machine_ended(struct keeper *k)
{
	struct report r;
	if (k->started && !k->ended) {
		struct pollfd p = {k->ctl, POLLIN, 0};
		if (poll(&p, 1, 0) == 1) {
			k->ended = true;
			k->wait_status = hear(k, &r, NULL, MSG_DONTWAIT) ? r.status : -1;
		}
	}
	return k->ended;
}

void keeper_close(struct keeper *k)
{
	if (k->ctl >= 0) {
		close(k->ctl);
		while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	k->ctl = -1;
	if (k->dir[0]) /* also when the keeper was killed */
		remove_dir(k->dir);
	k->dir[0] = 0;
}
