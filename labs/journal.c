#include "labs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUM 32 /* digits */
#define HEAD "{\"journal\":\"vmscope grade --batch\",\"version\":1}"

struct record {
	struct journal_entry e;
	char *own[5]; /* its texts */
};

struct journal {
	int fd;
	off_t size; /* up to the last good line */
	struct record *records;
	size_t n, room;
	size_t torn, damaged;
};

static void checksum(const char *s, size_t n, char sum[SUM + 1])
{
	char whole[SHA256_DIGEST_STRING_LENGTH];

	SHA256Data((const uint8_t *)s, n, whole);
	memcpy(sum, whole, SUM);
	sum[SUM] = 0;
}

/* "CHECKSUM text\n"; the caller frees it. */
static char *make_line(const char *text)
{
	char sum[SUM + 1], *line = NULL;

	checksum(text, strlen(text), sum);
	return asprintf(&line, "%s %s\n", sum, text) < 0 ? NULL : line;
}

static bool line_is_good(const char *s, size_t n)
{
	char sum[SUM + 1];

	if (n < SUM + 2 || s[SUM] != ' ')
		return false;
	checksum(s + SUM + 1, n - SUM - 1, sum);
	return memcmp(s, sum, SUM) == 0;
}

static void free_record(struct record *r)
{
	for (size_t i = 0; i < ARRAY_LEN(r->own); i++)
		free(r->own[i]);
	*r = (struct record){0};
}

static bool keep(struct journal *j, struct record *r)
{
	bool whole = true;

	for (size_t i = 0; i < ARRAY_LEN(r->own); i++)
		whole = whole && r->own[i];
	if (whole && j->n == j->room) {
		size_t room = j->room ? 2 * j->room : 64;
		void *p = realloc(j->records, room * sizeof *j->records);
		if (p) {
			j->records = p;
			j->room = room;
		}
	}
	if (!whole || j->n == j->room) {
		free_record(r);
		return false;
	}
	j->records[j->n++] = *r;
	return true;
}

static char *copy_text(const json_t *o, const char *field)
{
	const char *s = json_string_value(json_object_get(o, field));
	return s ? strdup(s) : NULL;
}

/* A good line's text. False: it says something else than it should. */
static bool read_entry(struct journal *j, const char *s, size_t n)
{
	json_t *o = json_loadb(s, n, 0, NULL);
	const char *seed = json_string_value(json_object_get(o, "seed"));
	json_t *result = json_object_get(o, "result");
	struct record r = {
	    .own = {copy_text(o, "name"), copy_text(o, "engine"), copy_text(o, "lab"), copy_text(o, "submission"),
		result ? json_dumps(result, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL}};

	r.e = (struct journal_entry){.name = r.own[0],
	    .engine = r.own[1],
	    .lab = r.own[2],
	    .submission = r.own[3],
	    .result = r.own[4],
	    .seed = seed ? strtoull(seed, NULL, 10) : 0};
	json_decref(o);
	return keep(j, &r);
}

static enum err read_file(int fd, char **text, size_t *n, struct errmsg *why)
{
	struct stat st;

	*text = NULL;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(why, ERR_FORMAT, "the journal is not a file");
	*text = malloc((size_t)st.st_size + 1);
	if (!*text)
		return err_set(why, ERR_NOMEM, "no memory for a journal of %lld bytes", (long long)st.st_size);
	for (*n = 0; *n < (size_t)st.st_size;) {
		ssize_t got = pread(fd, *text + *n, (size_t)st.st_size - *n, (off_t)*n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_set(why, ERR_IO, "the journal cannot be read: %s", strerror(errno));
		*n += (size_t)got;
	}
	return ERR_OK;
}

/* All of it at the end, and on the disk; else nothing of it. */
static enum err add(struct journal *j, const char *line, struct errmsg *why)
{
	size_t n = strlen(line), done = 0;
	int bad = 0;

	while (done < n && !bad) {
		ssize_t put = pwrite(j->fd, line + done, n - done, j->size + (off_t)done);
		if (put > 0)
			done += (size_t)put;
		else if (put == 0 || errno != EINTR)
			bad = put ? errno : EIO;
	}
	if (!bad && fdatasync(j->fd) != 0)
		bad = errno;
	if (!bad) {
		j->size += (off_t)n;
		return ERR_OK;
	}
	if (ftruncate(j->fd, j->size) != 0)
		bad = errno;
	return err_set(why, bad == ENOSPC ? ERR_NOSPC : ERR_IO, "the journal could not be written: %s", strerror(bad));
}

/* The file is new, or its first line was torn when it was made. */
static enum err begin(struct journal *j, const char *path, size_t torn, struct errmsg *why)
{
	char *head = make_line(HEAD), *copy = strdup(path);
	enum err e = ERR_NOMEM;

	j->torn = torn;
	if (head && copy && (!torn || ftruncate(j->fd, 0) == 0))
		e = add(j, head, why);
	if (!e) { /* the name, too, is on the disk */
		int dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0) {
			if (fsync(dir) != 0)
				e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
			close(dir);
		}
	}
	free(head);
	free(copy);
	return e;
}

static enum err read_all(struct journal *j, const char *path, struct errmsg *why)
{
	char *text = NULL, *head = make_line(HEAD);
	size_t n = 0, at = 0;
	enum err e = head ? read_file(j->fd, &text, &n, why) : ERR_NOMEM;

	if (e || !text) {
		free(text);
		free(head);
		return e ? e : ERR_NOMEM;
	}
	if (n < strlen(head) && memcmp(text, head, n) == 0) {
		e = begin(j, path, n, why);
	} else if (n < strlen(head) || memcmp(text, head, strlen(head)) != 0) {
		e = err_set(why, ERR_FORMAT, "%s is not a journal of this program: give another folder", path);
	} else {
		for (at = strlen(head); at < n;) {
			char *end = memchr(text + at, '\n', n - at);
			if (!end)
				break;
			size_t len = (size_t)(end - text) - at;
			if (!line_is_good(text + at, len) || !read_entry(j, text + at + SUM + 1, len - SUM - 1))
				j->damaged++;
			at += len + 1;
		}
		j->size = (off_t)at;
		j->torn = n - at;
		if (j->torn && ftruncate(j->fd, j->size) != 0)
			e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	}
	free(head);
	free(text);
	return e;
}

enum err journal_open(const char *path, struct journal **out, struct errmsg *why)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct journal *j = calloc(1, sizeof *j);
	enum err e;

	*out = NULL;
	if (!j)
		return err_set(why, ERR_NOMEM, "no memory for a journal");
	j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (j->fd < 0)
		e = err_set(
		    why, errno == EACCES || errno == EROFS ? ERR_PERM : ERR_IO, "%s: %s", path, strerror(errno));
	else if (fcntl(j->fd, F_SETLK, &lock) != 0) /* not that of a child: it ends with this process */
		e = err_set(why, ERR_BUSY, "%s: another \"vmscope grade --batch\" is at work here", path);
	else
		e = read_all(j, path, why);
	if (e) {
		journal_close(j);
		return e;
	}
	*out = j;
	return ERR_OK;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	for (size_t i = 0; i < j->n; i++)
		free_record(&j->records[i]);
	free(j->records);
	free(j);
}

void journal_forget(struct journal *j)
{
	close(j->fd);
	j->fd = -1;
}

size_t journal_torn(const struct journal *j)
{
	return j->torn;
}

size_t journal_damaged(const struct journal *j)
{
	return j->damaged;
}

size_t journal_count(const struct journal *j)
{
	return j->n;
}

const struct journal_entry *journal_find(const struct journal *j, const char *name)
{
	for (size_t i = j->n; i-- > 0;)
		if (strcmp(j->records[i].e.name, name) == 0)
			return &j->records[i].e;
	return NULL;
}

enum err journal_append(struct journal *j, const struct journal_entry *e, struct errmsg *why)
{
	char seed[24], *text = NULL, *line = NULL;
	json_t *result = json_loads(e->result, 0, NULL), *o;
	enum err bad = ERR_NOMEM;

	snprintf(seed, sizeof seed, "%llu", (unsigned long long)e->seed);
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "name", e->name, "engine", e->engine, "lab", e->lab, "seed",
	    seed, "submission", e->submission, "result", result);
	if (o)
		text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
	if (text)
		line = make_line(text);
	if (line)
		bad = add(j, line, why);
	else
		err_set(why, ERR_NOMEM, "no memory for a line of the journal");
	if (!bad && !read_entry(j, text, strlen(text)))
		bad = err_set(why, ERR_NOMEM, "no memory for a line of the journal");
	json_decref(o);
	free(text);
	free(line);
	return bad;
}
