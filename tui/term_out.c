/*
 * A frame in one write. See term_out.h. The memory file is given up for good when it does not take a frame (a file size
 * limit holds for it, too): then curses writes to the terminal itself.
 */
#include "tui/term_out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#define FRAME_MAX (1u << 20) /* no frame is as large */

/* A limit of the size of files is one of memory files, too, and its signal ends the process. */
static bool may_be_large(void)
{
	struct rlimit l;

	return getrlimit(RLIMIT_FSIZE, &l) == 0 && (l.rlim_cur == RLIM_INFINITY || l.rlim_cur > FRAME_MAX);
}

bool term_out_open(struct term_out *o, int tty)
{
	int fd = fcntl(tty, F_DUPFD_CLOEXEC, 3);

	o->tty = tty;
	o->file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!o->file) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	o->memory = may_be_large() ? memfd_create("frame", MFD_CLOEXEC) : -1;
	return true;
}

void term_out_close(struct term_out *o)
{
	if (o->memory >= 0)
		close(o->memory);
	if (o->file)
		fclose(o->file);
	o->file = NULL;
	o->memory = -1;
}

/* All of it, however slowly the terminal takes it: what is lost is not drawn again. */
static bool write_all(int fd, const char *data, size_t n)
{
	while (n) {
		struct pollfd room = {.fd = fd, .events = POLLOUT};
		ssize_t done = write(fd, data, n);

		if (done < 0 && errno == EAGAIN)
			(void)!poll(&room, 1, -1);
		else if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			data += done;
			n -= (size_t)done;
		}
	}
	return true;
}

void term_out_begin(struct term_out *o)
{
	if (o->memory < 0)
		return;
	(void)!lseek(o->memory, 0, SEEK_SET);
	(void)!dup3(o->memory, fileno(o->file), O_CLOEXEC);
}

void term_out_end(struct term_out *o)
{
	char part[32768];
	off_t size, at = 0;
	bool ok = true;

	if (o->memory < 0)
		return;
	(void)!dup3(o->tty, fileno(o->file), O_CLOEXEC);
	size = lseek(o->memory, 0, SEEK_CUR);
	while (ok && at < size) {
		size_t want = size - at < (off_t)sizeof(part) ? (size_t)(size - at) : sizeof(part);
		ssize_t n = pread(o->memory, part, want, at);

		ok = n > 0 && write_all(o->tty, part, (size_t)n);
		at += n > 0 ? n : 0;
	}
}
