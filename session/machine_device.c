/*
 * A machine that runs already: real hardware behind a serial device, or anything behind a pseudo-terminal or a socket.
 * It was booted by somebody else, from GRUB or an ISO; the bundle goes to it over the line.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "session/machine.h"

static enum err device_probe(const struct machine_want *w, struct machine_facts *f, struct errmsg *why)
{
	(void)w;
	(void)why;
	snprintf(f->cpu, sizeof f->cpu, "known when it answers");
	snprintf(f->why, sizeof f->why, "it was named");
	return ERR_OK;
}

static int open_unix(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof a.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(a.sun_path, path);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s >= 0 && connect(s, (struct sockaddr *)&a, sizeof a)) {
		int saved = errno;
		close(s);
		errno = saved;
		return -1;
	}
	return s;
}

/* HOST:PORT */
static int open_tcp(const char *where, const char **why)
{
	char host[128];
	const char *colon = strrchr(where, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	int s = -1;
	errno = EINVAL;
	if (!colon || snprintf(host, sizeof host, "%.*s", (int)(colon - where), where) >= (int)sizeof host)
		return -1;
	int r = getaddrinfo(host, colon + 1, &hints, &list);
	if (r) {
		*why = r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r);
		return -1;
	}
	for (a = list; a && s < 0; a = a->ai_next) {
		s = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (s >= 0 && connect(s, a->ai_addr, a->ai_addrlen)) {
			int saved = errno;
			close(s);
			s = -1;
			errno = saved;
		}
	}
	freeaddrinfo(list);
	return s;
}

/* 115200 8N1, every byte as it is [what core/metal programs into its UART]. Nothing but a terminal is ever opened for
 * writing: the first frame of a session would overwrite the beginning of a file or a disk. */
static int open_tty(const char *path)
{
	struct termios t;
	struct stat st;
	if (stat(path, &st))
		return -1;
	if (!S_ISCHR(st.st_mode)) {
		errno = ENOTTY;
		return -1;
	}
	int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fd;
	if (tcgetattr(fd, &t) == 0) {
		cfmakeraw(&t);
		t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSTOPB | CRTSCTS | PARENB)) | CLOCAL | CREAD;
		t.c_cc[VMIN] = 1;
		t.c_cc[VTIME] = 0;
		cfsetspeed(&t, B115200);
		if (tcsetattr(fd, TCSANOW, &t) == 0)
			return fd;
	}
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static enum err device_start(const struct machine_want *w, struct machine_run *m, struct errmsg *why)
{
	const char *d = w->device, *said = NULL;
	if (strncmp(d, "unix:", 5) == 0)
		m->line = open_unix(d + 5);
	else if (strncmp(d, "tcp:", 4) == 0)
		m->line = open_tcp(d + 4, &said);
	else
		m->line = open_tty(d);
	if (m->line < 0 && !said && errno == ENOTTY)
		return err_set(why, ERR_INVAL,
		    "--machine %s: not a serial device: give a terminal such as /dev/ttyS0, unix:PATH or tcp:HOST:PORT",
		    d);
	if (m->line < 0)
		return err_set(why, ERR_NODEV, "--machine %s: cannot be opened: %s", d, said ? said : strerror(errno));
	return ERR_OK;
}

const struct machine_ops machine_device_ops = {.name = "device", .probe = device_probe, .start = device_start};
