/*
 * The pages of a trace.dat, and how they reach the disk.
 *
 * A page of the kernel's ring buffer is: u64 time stamp; u64 commit (bytes used; bit 31: events were lost before this
 * page; bit 30: their number stands behind the data); then events. An event is one 32-bit word (5 bits type_len, 27
 * bits nanoseconds since the event before it) and its data. type_len 1..28: that many 32-bit words of data; 0: the
 * size is in the next word; 30: a time extension, which adds the next word times 2^27 ns; 29: padding.
 *
 * Disk space is reserved (posix_fallocate) some pages ahead of the writing, and an event is taken only into a page that
 * has its space. When the disk is full, the last pages therefore still fit, and the table of lanes was written first.
 */
#include "tracer/trace_dat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE TRACE_DAT_PAGE
#define PAGE_HEAD 16u
#define PAGE_DATA (PAGE - PAGE_HEAD)
#define COMMIT_LOST (1u << 31)
#define COMMIT_LOST_STORED (1u << 30)
#define DELTA_BITS 27
#define TYPE_TIME_EXTEND 30u
#define TYPE_LEN_MAX 28u
#define RESERVE_AHEAD (64 * PAGE)
#define COPY_CHUNK (64 * PAGE)
#define BATCH 16u /* full pages wait for so many, to be written at once */

struct lane {
	int fd;
	char *spool; /* path of the spool file; NULL for lane 0 */
	off_t base;  /* where the first page lies in fd */
	off_t done;  /* bytes of full pages written */
	off_t room;  /* bytes reserved */
	uint64_t last_ts;
	uint64_t lost;	   /* of the page being filled */
	uint32_t fill;	   /* bytes of data in it */
	uint32_t n_events; /* in it and in the full pages before it */
	uint32_t n_full;   /* full pages that are not written yet */
	bool open;	   /* a page is being filled */
	uint8_t pages[BATCH * PAGE];
};

struct trace_dat {
	char *path;
	int fd;
	const struct trace_dat_io *io;
	void *io_arg;
	off_t table; /* where the table of lanes lies */
	uint64_t events;
	int error; /* errno of the first failure; 0: none */
	unsigned n_lanes;
	struct lane *lanes;
};

static ssize_t sys_pwrite(void *arg, int fd, const void *buf, size_t n, off_t off)
{
	(void)arg;
	return pwrite(fd, buf, n, off);
}

static int sys_reserve(void *arg, int fd, off_t off, off_t len)
{
	(void)arg;
	return posix_fallocate(fd, off, len);
}

static const struct trace_dat_io system_io = {.pwrite = sys_pwrite, .reserve = sys_reserve};

static int write_all(struct trace_dat *td, int fd, const void *buf, size_t n, off_t off)
{
	const char *p = buf;

	while (n > 0) {
		ssize_t w = td->io->pwrite(td->io_arg, fd, p, n, off);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? errno : EIO;
		p += w;
		off += w;
		n -= (size_t)w;
	}
	return 0;
}

static int reserve(struct trace_dat *td, int fd, off_t off, off_t len)
{
	int e;

	do
		e = td->io->reserve(td->io_arg, fd, off, len);
	while (e == EINTR);
	return e;
}

static void store(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static int write_table_row(struct trace_dat *td, unsigned lane, off_t off, off_t size)
{
	uint8_t row[16];

	store(row, (uint64_t)off, 8);
	store(row + 8, (uint64_t)size, 8);
	return write_all(td, td->fd, row, sizeof(row), td->table + (off_t)(lane * sizeof(row)));
}

static uint8_t *page_of(struct lane *l)
{
	return l->pages + l->n_full * PAGE;
}

/* Makes sure that the next page of the lane has its place on the disk. */
static int lane_reserve(struct trace_dat *td, unsigned i)
{
	struct lane *l = &td->lanes[i];
	off_t next = l->done + (off_t)(l->n_full * PAGE);
	int e;

	if (l->room >= next + PAGE)
		return 0;
	e = reserve(td, l->fd, l->base + next, RESERVE_AHEAD);
	if (e == 0) {
		l->room = next + RESERVE_AHEAD;
		/* Now and then the table follows lane 0, for the case that the process is killed. */
		return i == 0 && l->done > 0 ? write_table_row(td, 0, l->base, l->done) : 0;
	}
	if (e != ENOSPC && e != EFBIG && e != EDQUOT)
		return e;
	e = reserve(td, l->fd, l->base + next, PAGE); /* the very last pages */
	if (e == 0)
		l->room = next + PAGE;
	return e;
}

/* Opens the lane's spool file at its first event. */
static int lane_open(struct trace_dat *td, unsigned i)
{
	struct lane *l = &td->lanes[i];

	if (l->fd)
		return 0;
	if (asprintf(&l->spool, "%s.cpu%u", td->path, i) < 0) {
		l->spool = NULL;
		return ENOMEM;
	}
	l->fd = open(l->spool, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (l->fd < 0) {
		l->fd = 0;
		return errno;
	}
	return 0;
}

static int page_start(struct trace_dat *td, unsigned i, uint64_t ts, uint64_t lost)
{
	struct lane *l = &td->lanes[i];
	int e = lane_open(td, i);

	if (e == 0)
		e = lane_reserve(td, i);
	if (e != 0)
		return e;
	memset(page_of(l), 0, PAGE);
	store(page_of(l), ts, 8);
	l->last_ts = ts;
	l->lost = lost;
	l->fill = 0;
	l->open = true;
	return 0;
}

/* Writes the full pages. */
static int lane_write(struct trace_dat *td, unsigned i)
{
	struct lane *l = &td->lanes[i];
	size_t n = l->n_full * (size_t)PAGE;
	int e = n ? write_all(td, l->fd, l->pages, n, l->base + l->done) : 0;

	if (e == 0)
		l->done += (off_t)n;
	else
		td->events -= l->n_events;
	l->n_full = l->n_events = 0;
	return e;
}

/* The page is full: gives it its header. */
static int page_close(struct trace_dat *td, unsigned i)
{
	struct lane *l = &td->lanes[i];
	uint32_t commit = l->fill;

	if (!l->open)
		return 0;
	if (l->lost) {
		commit |= COMMIT_LOST | COMMIT_LOST_STORED;
		store(page_of(l) + PAGE_HEAD + l->fill, l->lost, 8);
	}
	store(page_of(l) + 8, commit, 8);
	l->open = false;
	return ++l->n_full == BATCH ? lane_write(td, i) : 0;
}

/* The failure stands: from now on nothing is accepted. */
static enum err fail(struct trace_dat *td, int e)
{
	if (!td->error)
		td->error = e;
	return td->error == ENOSPC || td->error == EFBIG || td->error == EDQUOT ? ERR_NOSPC : ERR_IO;
}

static void emit_word(struct lane *l, uint32_t v)
{
	store(page_of(l) + PAGE_HEAD + l->fill, v, 4);
	l->fill += 4;
}

enum err trace_dat_write(struct trace_dat *td, unsigned lane, uint64_t ts, const void *data, size_t n, uint64_t lost)
{
	struct lane *l = &td->lanes[lane];
	uint32_t words = (uint32_t)((n + 3) / 4);
	uint32_t need = 4 + words * 4 + (words > TYPE_LEN_MAX ? 4 : 0);
	int e = 0;

	if (td->error)
		return fail(td, td->error);
	if (n == 0 || n > TRACE_DAT_EVENT_MAX || lane >= td->n_lanes)
		return ERR_INVAL;
	if (ts < l->last_ts)
		ts = l->last_ts;
	uint64_t delta = ts - l->last_ts;
	uint32_t extend = delta >> DELTA_BITS ? 8 : 0;

	/* The number of lost events needs eight bytes behind the data. */
	if (l->open && (lost || l->fill + extend + need + (l->lost ? 8 : 0) > PAGE_DATA || delta >> 59))
		e = page_close(td, lane);
	if (e == 0 && !l->open) {
		e = page_start(td, lane, ts, lost);
		delta = extend = 0;
	}
	if (e != 0)
		return fail(td, e);
	if (extend) {
		emit_word(l, (uint32_t)(delta & ((1u << DELTA_BITS) - 1)) << 5 | TYPE_TIME_EXTEND);
		emit_word(l, (uint32_t)(delta >> DELTA_BITS));
		delta = 0;
	}
	emit_word(l, (uint32_t)delta << 5 | (words > TYPE_LEN_MAX ? 0 : words));
	if (words > TYPE_LEN_MAX)
		emit_word(l, words * 4 + 4);
	memcpy(page_of(l) + PAGE_HEAD + l->fill, data, n);
	l->fill += words * 4;
	l->last_ts = ts;
	l->n_events++;
	td->events++;
	return ERR_OK;
}

uint64_t trace_dat_events(const struct trace_dat *td)
{
	return td->events;
}

/*
 * Moves a spool file to base in the main file, last piece first: each piece is cut off the spool before it is written,
 * so that it needs no space that was not there, even on a full disk. On failure *from is where the moved part starts.
 */
static int move_spool(struct trace_dat *td, struct lane *l, off_t base, off_t *from)
{
	char *buf = malloc(COPY_CHUNK);
	int e = buf ? 0 : ENOMEM;

	for (*from = l->done; e == 0 && *from > 0;) {
		size_t n = (size_t)(*from % COPY_CHUNK ? *from % COPY_CHUNK : COPY_CHUNK);
		off_t at = *from - (off_t)n;

		for (size_t got = 0; e == 0 && got < n;) {
			ssize_t r = pread(l->fd, buf + got, n - got, at + (off_t)got);

			if (r > 0)
				got += (size_t)r;
			else if (r == 0 || errno != EINTR)
				e = r == 0 ? EIO : errno;
		}
		if (e == 0 && ftruncate(l->fd, at) != 0)
			e = errno;
		if (e == 0)
			e = write_all(td, td->fd, buf, n, base + at);
		if (e == 0)
			*from = at;
	}
	free(buf);
	return e;
}

/* Lane i goes behind what is there; *end moves. */
static void finish_lane(struct trace_dat *td, unsigned i, off_t *end)
{
	struct lane *l = &td->lanes[i];
	off_t from = 0;
	int e = page_close(td, i);

	if (e != 0 || (e = lane_write(td, i)) != 0)
		fail(td, e);
	e = 0;
	if (i > 0 && l->done > 0 && (e = move_spool(td, l, *end, &from)) != 0)
		fail(td, e);
	if ((e = write_table_row(td, i, (i > 0 ? *end : l->base) + from, l->done - from)) != 0)
		fail(td, e);
	if (i > 0)
		*end += l->done;
	if (l->spool && from == 0)
		unlink(l->spool); /* else the rest of the lane stays there: nothing is thrown away */
}

static enum err describe(const struct trace_dat *td, struct errmsg *why)
{
	if (td->error == 0)
		return ERR_OK;
	if (td->error == ENOSPC || td->error == EFBIG || td->error == EDQUOT)
		return err_set(why, ERR_NOSPC,
		    "%s: %s after %llu events; what was recorded is readable. Free some space, or trace to another "
		    "disk",
		    td->path,
		    td->error == ENOSPC	 ? "disk full"
		    : td->error == EFBIG ? "file size limit reached"
					 : "disk quota reached",
		    (unsigned long long)td->events);
	return err_set(why, ERR_IO, "%s: write failed (%s) after %llu events; what was recorded is readable", td->path,
	    strerror(td->error), (unsigned long long)td->events);
}

static void free_all(struct trace_dat *td)
{
	for (unsigned i = 0; td->lanes && i < td->n_lanes; i++) {
		if (i > 0 && td->lanes[i].fd > 0)
			close(td->lanes[i].fd);
		free(td->lanes[i].spool);
	}
	if (td->fd > 0)
		close(td->fd);
	free(td->lanes);
	free(td->path);
	free(td);
}

enum err trace_dat_close(struct trace_dat *td, struct errmsg *why)
{
	off_t end;
	enum err err;

	if (!td)
		return ERR_OK;
	/* Lane 0 first: then the space reserved ahead can be given back to those that move in behind it. */
	end = 0;
	finish_lane(td, 0, &end);
	end = td->lanes[0].base + td->lanes[0].done;
	if (ftruncate(td->fd, end) != 0)
		fail(td, errno);
	for (unsigned i = 1; i < td->n_lanes; i++)
		finish_lane(td, i, &end);
	err = describe(td, why);
	if (close(td->fd) != 0 && err == ERR_OK)
		err = err_set(why, ERR_IO, "%s: closing it failed (%s)", td->path, strerror(errno));
	td->fd = 0;
	free_all(td);
	return err;
}

/* Header, empty table, clock text, then padding up to the first page. */
static int write_head(struct trace_dat *td, const struct trace_dat_config *cfg)
{
	size_t n, clock_len = strlen(cfg->clock) + 3, total;
	char *head = trace_dat_header(cfg, &n);
	int e = ENOMEM;

	if (!head)
		return e;
	td->table = (off_t)n;
	n += 16 * cfg->lanes;
	total = (n + 8 + clock_len + PAGE - 1) / PAGE * PAGE;
	uint8_t *all = calloc(1, total);

	if (all) {
		memcpy(all, head, (size_t)td->table);
		for (unsigned i = 0; i < cfg->lanes; i++)
			store(all + td->table + 16 * i, total, 8);
		store(all + n, clock_len, 8);
		snprintf((char *)all + n + 8, clock_len + 1, "[%s]\n", cfg->clock);
		td->lanes[0].base = (off_t)total;
		e = reserve(td, td->fd, 0, (off_t)total);
		if (e == 0)
			e = write_all(td, td->fd, all, total, 0);
	}
	free(all);
	free(head);
	return e;
}

/* What a failed open means: the user's path, the host's permission, or the host's disk. */
static enum err err_of_open(int e)
{
	switch (e) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOENT;
	case EISDIR:
	case ENAMETOOLONG:
		return ERR_INVAL;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERM;
	case ENOSPC:
	case EDQUOT:
		return ERR_NOSPC;
	default:
		return ERR_IO;
	}
}

static enum err open_regular(const char *path, int *fd, struct errmsg *why)
{
	struct stat st;

	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
	if (*fd < 0) {
		*fd = 0;
		return err_set(why, err_of_open(errno), "cannot write the trace %s: %s", path, strerror(errno));
	}
	if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode) || ftruncate(*fd, 0) != 0)
		return err_set(why, ERR_INVAL, "cannot write the trace %s: it must be a regular file", path);
	return ERR_OK;
}

enum err trace_dat_create(const struct trace_dat_config *cfg, struct trace_dat **out, struct errmsg *why)
{
	struct trace_dat *td;
	enum err err;
	int e;

	*out = NULL;
	if (cfg->lanes == 0 || cfg->lanes > TRACE_DAT_LANES_MAX)
		return err_set(why, ERR_INVAL, "a trace has 1 to %u lanes, not %u", TRACE_DAT_LANES_MAX, cfg->lanes);
	td = calloc(1, sizeof(*td));
	if (!td || !(td->path = strdup(cfg->path)) || !(td->lanes = calloc(cfg->lanes, sizeof(*td->lanes)))) {
		if (td)
			free_all(td);
		return err_set(why, ERR_NOMEM, "no memory for the trace %s", cfg->path);
	}
	td->n_lanes = cfg->lanes;
	td->io = cfg->io ? cfg->io : &system_io;
	td->io_arg = cfg->io_arg;
	err = open_regular(cfg->path, &td->fd, why);
	if (err != ERR_OK) {
		free_all(td);
		return err;
	}
	td->lanes[0].fd = td->fd;
	e = write_head(td, cfg);
	if (e != 0) {
		err = err_set(
		    why, fail(td, e), "cannot write the trace %s: %s; nothing was recorded", cfg->path, strerror(e));
		unlink(cfg->path);
		free_all(td);
		return err;
	}
	*out = td;
	return ERR_OK;
}
