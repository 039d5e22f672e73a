/*
 * Copies of folders. See tree.h.
 */
#include "labs/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (256u << 20) /* a program with all its symbols */
#define DEPTH_MAX 16
#define PLACE "@NAME@"

char *tree_read(const char *path, size_t max, size_t *n)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool good =
	    fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0 && (size_t)st.st_size <= max;
	char *text = good ? malloc((size_t)st.st_size + 1) : NULL;

	*n = 0;
	while (text && *n < (size_t)st.st_size) {
		ssize_t got = read(fd, text + *n, (size_t)st.st_size - *n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		*n += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	if (text && *n == (size_t)st.st_size) {
		text[*n] = 0;
		return text;
	}
	free(text);
	return NULL;
}

static enum err put(const char *path, const char *text, size_t n, bool executable, struct errmsg *why)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, executable ? 0777 : 0666);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (!f) {
		enum err e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return e;
	}
	bool good = fwrite(text, 1, n, f) == n;
	if (fclose(f) != 0 || !good)
		return err_set(why, ERR_IO, "%s: it cannot be written: %s", path, strerror(errno));
	return ERR_OK;
}

enum err tree_write(const char *path, const char *text, bool executable, struct errmsg *why)
{
	return put(path, text, strlen(text), executable, why);
}

/* Text with each PLACE replaced; n is its new length. */
static char *filled(char *text, const char *name, size_t *n)
{
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);
	const char *at = text, *end = text + *n, *hit;

	while (f && (hit = memmem(at, (size_t)(end - at), PLACE, strlen(PLACE)))) {
		fwrite(at, 1, (size_t)(hit - at), f);
		fputs(name, f);
		at = hit + strlen(PLACE);
	}
	if (f)
		fwrite(at, 1, (size_t)(end - at), f);
	if (!f || fclose(f) != 0) {
		free(out);
		out = NULL;
	}
	free(text);
	*n = out ? size : 0;
	return out;
}

enum err tree_copy_file(const char *from, const char *to, const char *name, struct errmsg *why)
{
	struct stat st;
	size_t n;
	char *text = tree_read(from, FILE_MAX_BYTES, &n);

	if (text && name)
		text = filled(text, name, &n);
	if (!text || stat(from, &st) != 0) {
		free(text);
		return err_set(why, ERR_IO, "%s: it cannot be read as a file", from);
	}
	enum err e = put(to, text, n, st.st_mode & 0111, why);
	free(text);
	return e;
}

static enum err make_folder(const char *path, struct errmsg *why)
{
	struct stat st;

	if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return ERR_OK;
	return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
}

static bool is_empty(const char *path)
{
	DIR *d = opendir(path);
	bool empty = d != NULL;

	for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
	if (d)
		closedir(d);
	return empty;
}

enum err tree_new_folder(const char *path, struct errmsg *why)
{
	char part[PATH_MAX];
	struct stat st;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) && is_empty(path)
			   ? ERR_OK
			   : err_set(
				 why, ERR_FORMAT, "%s: it is there, and not an empty folder: name another one", path);
	if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
		return err_set(why, ERR_RANGE, "%.60s...: the path is too long", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		enum err e = make_folder(part, why);
		if (e)
			return e;
		*slash = '/';
	}
	return make_folder(path, why);
}

static enum err copy(const char *from, const char *to, const char *name, unsigned depth, struct errmsg *why)
{
	char source[PATH_MAX], target[PATH_MAX];
	struct stat st;
	enum err e = ERR_OK;
	DIR *d = opendir(from);

	if (!d)
		return errno == ENOENT && depth == 0 ? ERR_OK : err_set(why, ERR_IO, "%s: %s", from, strerror(errno));
	e = depth < DEPTH_MAX ? make_folder(to, why) : err_set(why, ERR_RANGE, "%s: the folders are too deep", from);
	for (const struct dirent *at = readdir(d); at && !e; at = readdir(d)) {
		if (strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0)
			continue;
		if (snprintf(source, sizeof source, "%s/%s", from, at->d_name) >= (int)sizeof source ||
		    snprintf(target, sizeof target, "%s/%s", to, at->d_name) >= (int)sizeof target)
			e = err_set(why, ERR_RANGE, "%s: the path is too long", at->d_name);
		else if (lstat(source, &st) == 0 && S_ISDIR(st.st_mode))
			e = copy(source, target, name, depth + 1, why);
		else
			e = tree_copy_file(source, target, name, why);
	}
	closedir(d);
	return e;
}

enum err tree_copy(const char *from, const char *to, const char *name, struct errmsg *why)
{
	return copy(from, to, name, 0, why);
}

/* Removes what lies in d, which is open; stops at a folder that is not empty, and gives it opened, or -1. */
static int empty_until_folder(DIR *d)
{
	int at = dirfd(d);

	for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(at, e->d_name, 0) == 0 || unlinkat(at, e->d_name, AT_REMOVEDIR) == 0)
			continue;
		/* It may have been made so that nobody can read it. */
		(void)fchmodat(at, e->d_name, 0700, 0);
		int in = openat(at, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (in >= 0)
			return in;
	}
	return -1;
}

/* However deep it is, one folder is open at a time. */
void tree_remove(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	unsigned long depth = 0;

	while (fd >= 0) {
		DIR *d = fdopendir(fd);
		if (!d) {
			close(fd);
			break;
		}
		int next = empty_until_folder(d);
		if (next >= 0)
			depth++;
		else if (depth-- > 0)
			next = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		closedir(d);
		fd = next;
	}
	(void)rmdir(dir);
}
