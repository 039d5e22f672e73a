/*
 * Without a process namespace: everything that descends from the keeper, which inherits every orphan, is stopped until
 * nothing runs, and then killed. Who only kills loses against who forks; who is stopped, or dead and not yet waited
 * for, forks no more, and still counts against the limit of processes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "labs/jail_impl.h"

struct entry { /* of getdents64 */
	uint64_t ino;
	int64_t off;
	unsigned short length;
	unsigned char type;
	char name[];
};

static pid_t number(const char *text)
{
	pid_t n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (*text - '0');
	return *text ? 0 : n;
}

struct process {
	pid_t parent;
	char state;
};

/* Of /proc/NAME/stat: "pid (any text) state parent ..." */
static struct process look(int proc, const char *name)
{
	struct process p = {0};
	char path[32], text[512];
	size_t i = 0, n;

	for (; i < 16 && name[i]; i++)
		path[i] = name[i];
	for (const char *s = "/stat"; *s; s++)
		path[i++] = *s;
	path[i] = 0;
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
	if (fd >= 0)
		close(fd);
	n = got > 0 ? (size_t)got : 0;
	while (n > 0 && text[n - 1] != ')')
		n--;
	if (n == 0 || n + 3 >= (size_t)got)
		return p;
	p.state = text[n + 1];
	for (n += 3; n < (size_t)got && text[n] >= '0' && text[n] <= '9'; n++)
		p.parent = p.parent * 10 + (text[n] - '0');
	return p;
}

static bool descends(int proc, pid_t parent, pid_t from)
{
	char name[16];

	for (unsigned depth = 0; parent > 1 && depth < 4096; depth++) {
		size_t i = sizeof name - 1;
		if (parent == from)
			return true;
		name[i] = 0;
		for (pid_t n = parent; n > 0; n /= 10)
			name[--i] = (char)('0' + n % 10);
		parent = look(proc, name + i).parent;
	}
	return false;
}

/* Sends it to all descendants that are not in one of these states; how many. */
static unsigned signal_descendants(int sig, const char *but)
{
	_Alignas(struct entry) char buf[8192];
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned sent = 0;
	long n;

	while (proc >= 0 && (n = syscall(SYS_getdents64, proc, buf, sizeof buf)) > 0)
		for (long at = 0; at < n;) {
			const struct entry *e = (const struct entry *)(const void *)(buf + at);
			pid_t pid = number(e->name);
			at += e->length;
			if (pid <= 0)
				continue;
			const struct process p = look(proc, e->name);
			bool skip = p.parent == 0;
			for (const char *s = but; *s; s++)
				skip |= p.state == *s;
			if (!skip && descends(proc, p.parent, getpid()) && kill(pid, sig) == 0)
				sent++;
		}
	if (proc >= 0)
		close(proc);
	return sent;
}

/* Where the program has a user id of its own, all of that user die at once: who forks faster than /proc is read does
 * not get away. */
static void kill_user(uid_t uid)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (setresuid(uid, uid, uid) == 0)
			(void)kill(-1, SIGKILL);
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

void jail_kill_descendants(const struct jail_job *j)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	pid_t got = 0;

	if (j->uid == 0)
		kill_user(j->own_uid);
	for (unsigned round = 0; round < 1000 && signal_descendants(SIGSTOP, "TZX") > 0; round++)
		;
	for (unsigned round = 0; round < 10000; round++) {
		(void)signal_descendants(SIGKILL, "ZX");
		while ((got = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (got < 0 && errno == ECHILD)
			return;
		nanosleep(&pause, NULL);
	}
}
