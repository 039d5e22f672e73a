#include "labs/tree_hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 16

/* With its length, so that no two lists of texts are the same bytes. */
static void add_bytes(SHA2_CTX *ctx, char kind, const void *p, size_t n)
{
	char head[32];
	int len = snprintf(head, sizeof head, "%c%zu:", kind, n);

	SHA256Update(ctx, (const uint8_t *)head, (size_t)len);
	SHA256Update(ctx, p, n);
}

static enum err failed(const char *path, struct errmsg *why)
{
	return err_set(why, errno == EACCES ? ERR_PERM : ERR_IO, "%s: %s", path, strerror(errno));
}

static enum err add_file(SHA2_CTX *ctx, const char *path, struct errmsg *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint8_t buf[65536];
	ssize_t got;

	if (fd < 0)
		return failed(path, why);
	while ((got = read(fd, buf, sizeof buf)) > 0)
		add_bytes(ctx, 'b', buf, (size_t)got);
	close(fd);
	return got < 0 ? failed(path, why) : ERR_OK;
}

static enum err add_any(SHA2_CTX *ctx, const char *path, const char *name, unsigned depth, struct errmsg *why);

static enum err add_folder(SHA2_CTX *ctx, const char *path, unsigned depth, struct errmsg *why)
{
	struct dirent **list;
	int n = scandir(path, &list, NULL, NULL);
	enum err e = ERR_OK;

	if (n < 0)
		return failed(path, why);
	/* By bytes, not by the locale. */
	for (int i = 1; i < n; i++)
		for (int k = i; k > 0 && strcmp(list[k - 1]->d_name, list[k]->d_name) > 0; k--) {
			struct dirent *d = list[k];
			list[k] = list[k - 1];
			list[k - 1] = d;
		}
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name;
		char *below;
		if (!e && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			if (asprintf(&below, "%s/%s", path, name) < 0) {
				e = err_set(why, ERR_NOMEM, "no memory for the files of %s", path);
			} else {
				e = add_any(ctx, below, name, depth + 1, why);
				free(below);
			}
		}
		free(list[i]);
	}
	free(list);
	return e;
}

static enum err add_any(SHA2_CTX *ctx, const char *path, const char *name, unsigned depth, struct errmsg *why)
{
	struct stat st;
	char target[4096];

	add_bytes(ctx, 'n', name, strlen(name));
	if (lstat(path, &st) != 0) {
		add_bytes(ctx, 'x', "", 0);
		return errno == ENOENT || errno == ENOTDIR ? ERR_OK : failed(path, why);
	}
	if (S_ISDIR(st.st_mode)) {
		enum err e = depth > DEPTH_MAX ? err_set(why, ERR_RANGE, "%s: folders in folders, without an end", path)
					       : ERR_OK;
		add_bytes(ctx, 'd', "", 0);
		if (!e)
			e = add_folder(ctx, path, depth, why);
		add_bytes(ctx, 'u', "", 0);
		return e;
	}
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(path, target, sizeof target);
		add_bytes(ctx, 'l', target, n < 0 ? 0 : (size_t)n);
		return n < 0 ? failed(path, why) : ERR_OK;
	}
	if (!S_ISREG(st.st_mode)) {
		add_bytes(ctx, 's', "", 0); /* a pipe, a device: nothing to read */
		return ERR_OK;
	}
	return add_file(ctx, path, why);
}

enum err tree_hash_add(SHA2_CTX *ctx, const char *path, const char *name, struct errmsg *why)
{
	return add_any(ctx, path, name, 0, why);
}
