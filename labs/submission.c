/*
 * The files of a submission. See submission.h.
 */
#include "labs/submission.h"

#include <errno.h>
#include <fcntl.h>
#include <sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "labs/plain.h"

/* What the submission can do nothing about: it is no reason for 0 points. */
static bool is_hosts(int e)
{
	static const int those[] = {EIO, EMFILE, ENFILE, ENOMEM, ESTALE, ETIMEDOUT, ENOLCK, EINTR};

	for (size_t i = 0; i < sizeof those / sizeof *those; i++)
		if (e == those[i])
			return true;
	return false;
}

/* The file's problem; *host, too, when it is none of the submission's. */
static const char *read_text(int fd, struct submission_file *f, int *host)
{
	struct stat st;
	size_t room = SUBMISSION_FILE_MAX + 1;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return "it is no regular file";
	if (st.st_size > SUBMISSION_FILE_MAX)
		return "it is larger than 64 KiB";
	f->text = malloc(room + 1);
	if (!f->text) {
		*host = ENOMEM;
		return "there is no memory for it";
	}
	for (ssize_t got = 1; got > 0 && f->n < room; f->n += (size_t)got) {
		got = read(fd, f->text + f->n, room - f->n);
		if (got < 0) {
			*host = errno;
			return "it cannot be read";
		}
	}
	f->text[f->n] = 0;
	return f->n == room ? "it is larger than 64 KiB" : NULL;
}

/* 0, or the host's error. */
static int read_file(int dir, struct submission_file *f)
{
	int host = 0;

	int fd = openat(dir, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0) {
		f->problem = errno == ELOOP    ? "it is a symbolic link: hand in the file itself"
			     : errno == ENOENT ? "it is missing: hand it in"
					       : "it cannot be read";
		return is_hosts(errno) ? errno : 0;
	}
	f->problem = read_text(fd, f, &host);
	close(fd);
	if (f->problem) {
		free(f->text);
		f->text = NULL;
		f->n = 0;
	}
	return host;
}

/* Of names and contents, each with its length before it. */
static void make_hash(struct submission *s)
{
	SHA2_CTX c;

	SHA256Init(&c);
	for (size_t i = 0; i < s->n_files; i++) {
		const struct submission_file *f = &s->files[i];
		char head[160];
		int n = snprintf(head, sizeof head, "%s %lld\n", f->name, f->text ? (long long)f->n : -1ll);
		SHA256Update(&c, (const uint8_t *)head, (size_t)n);
		if (f->text)
			SHA256Update(&c, (const uint8_t *)f->text, f->n);
	}
	SHA256End(&c, s->hash);
}

static char *last_part(const char *dir)
{
	char *full = realpath(dir, NULL);
	const char *slash = full ? strrchr(full, '/') : NULL;
	const char *name = slash && slash[1] ? slash + 1 : dir;
	char *out = plain_clean(name, strlen(name));

	free(full);
	return out;
}

static bool add_name(struct submission *s, const char *name)
{
	for (size_t i = 0; i < s->n_files; i++)
		if (strcmp(s->files[i].name, name) == 0)
			return true;
	s->files[s->n_files].name = strdup(name);
	return s->files[s->n_files].name && ++s->n_files;
}

enum err submission_read(const char *dir, char *const *names, size_t n, struct submission *out, struct errmsg *why)
{
	*out = (struct submission){0};
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(why, errno == ENOENT ? ERR_NOENT : ERR_IO,
		    "%s: %s: give the folder with the files that are handed in", dir, strerror(errno));
	out->name = last_part(dir);
	out->files = calloc(n + 1, sizeof *out->files);
	bool good = out->name && out->files;
	for (size_t i = 0; good && i < n; i++)
		good = add_name(out, names[i]);
	good = good && add_name(out, PREDICTIONS_FILE);
	int host = 0;
	size_t at = 0;
	for (; good && !host && at < out->n_files; at++)
		host = read_file(fd, &out->files[at]);
	close(fd);
	if (!good)
		return err_set(why, ERR_NOMEM, "%s: no memory", dir);
	if (host)
		return err_set(
		    why, ERR_IO, "%s/%s: it cannot be read: %s", dir, out->files[at - 1].name, strerror(host));
	make_hash(out);
	return ERR_OK;
}

void submission_free(struct submission *s)
{
	for (size_t i = 0; i < s->n_files; i++) {
		free(s->files[i].name);
		free(s->files[i].text);
	}
	free(s->files);
	free(s->name);
	*s = (struct submission){0};
}

struct submission_file *submission_find(struct submission *s, const char *name)
{
	for (size_t i = 0; i < s->n_files; i++)
		if (strcmp(s->files[i].name, name) == 0)
			return &s->files[i];
	return NULL;
}

static char *copy_bytes(const char *text, size_t n)
{
	char *p = malloc(n + 1);

	if (p) {
		memcpy(p, text, n);
		p[n] = 0;
	}
	return p;
}

enum err submission_with(
    const struct submission *s, const char *name, const char *text, size_t n, struct submission *out)
{
	*out = (struct submission){.name = strdup(s->name), .files = calloc(s->n_files + 1, sizeof *out->files)};
	if (!out->name || !out->files)
		return ERR_NOMEM;
	for (size_t i = 0; i < s->n_files; i++) {
		const struct submission_file *from = &s->files[i];
		struct submission_file *to = &out->files[out->n_files++];
		bool other = strcmp(from->name, name) == 0;
		*to = (struct submission_file){.name = strdup(from->name), .problem = other ? NULL : from->problem};
		to->n = other ? n : from->n;
		if (other || from->text)
			to->text = copy_bytes(other ? text : from->text, to->n);
		if (!to->name || ((other || from->text) && !to->text))
			return ERR_NOMEM;
	}
	make_hash(out);
	return ERR_OK;
}

json_t *submission_json(const struct submission *s, json_t **problems)
{
	json_t *files = json_object();

	*problems = json_object();
	for (size_t i = 0; i < s->n_files; i++) {
		const struct submission_file *f = &s->files[i];
		json_object_set_new(files, f->name, f->text ? plain_string(f->text, f->n) : json_null());
		if (f->problem)
			json_object_set_new(*problems, f->name, json_string(f->problem));
	}
	return files;
}
