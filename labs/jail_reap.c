/*
 * Without a process namespace: everything that descends from the keeper, which inherits every orphan, is killed until
 * nothing is left.
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

/* Of /proc/NAME/stat: "pid (any text) state parent ..."; 0: none. */
static pid_t parent_of(int proc, const char *name)
{
	char path[32], text[512];
	size_t i = 0, n;

	for (; name[i] && i < 16; i++)
		path[i] = name[i];
	for (const char *s = "/stat"; *s; s++)
		path[i++] = *s;
	path[i] = 0;
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return 0;
	n = (size_t)got;
	while (n > 0 && text[n - 1] != ')')
		n--;
	pid_t parent = 0;
	for (n += 3; n < (size_t)got && text[n] >= '0' && text[n] <= '9'; n++)
		parent = parent * 10 + (text[n] - '0');
	return n < (size_t)got ? parent : 0;
}

static void kill_children(pid_t self)
{
	_Alignas(struct entry) char buf[8192];
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	while (proc >= 0 && (n = syscall(SYS_getdents64, proc, buf, sizeof buf)) > 0)
		for (long at = 0; at < n;) {
			const struct entry *e = (const struct entry *)(const void *)(buf + at);
			pid_t pid = number(e->name);
			if (pid > 0 && parent_of(proc, e->name) == self)
				(void)kill(pid, SIGKILL);
			at += e->length;
		}
	if (proc >= 0)
		close(proc);
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

	for (unsigned round = 0; round < 10000; round++) {
		if (j->uid == 0 && j->own_uid)
			kill_user(j->own_uid);
		kill_children(getpid());
		pid_t got;
		while ((got = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (got < 0 && errno == ECHILD)
			return;
		nanosleep(&pause, NULL);
	}
}
