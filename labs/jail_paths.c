/*
 * What a jailed program may see: itself, its libraries, the assembler, and what the caller names. Made before the fork.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/types.h"
#include "labs/jail_impl.h"

static enum err add(struct jail_paths *p, const char *path, enum jail_access access, bool optional)
{
	struct stat st;

	if (path[0] != '/' || stat(path, &st) != 0)
		return optional ? ERR_OK : ERR_IO;
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->all[i].path, path) == 0)
			return ERR_OK;
	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 32;
		struct jail_path *all = realloc(p->all, room * sizeof *all);
		if (!all)
			return ERR_NOMEM;
		p->all = all;
		p->room = room;
	}
	char *copy = strdup(path);
	if (!copy)
		return ERR_NOMEM;
	p->all[p->n++] = (struct jail_path){copy, access, S_ISDIR(st.st_mode), optional};
	return ERR_OK;
}

/* A library of this process, as the loader opened it. */
static int add_loaded(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	return info->dlpi_name && add(arg, info->dlpi_name, JAIL_EXECUTE, true) ? 1 : 0;
}

/* The loader, the C library, and those of binutils. */
static const char *const needed[] = {"ld-linux*", "libc.so*", "libm.so*", "libdl.so*", "libpthread.so*", "libbfd*",
    "libopcodes*", "libctf*", "libsframe*", "libz.so*", "libzstd.so*", "libjansson.so*"};

static enum err add_needed(struct jail_paths *p, const char *folder)
{
	char path[600];
	enum err e = ERR_OK;
	DIR *d = opendir(folder);

	for (const struct dirent *at = d ? readdir(d) : NULL; at && !e; at = readdir(d))
		for (size_t i = 0; i < ARRAY_LEN(needed) && !e; i++)
			if (fnmatch(needed[i], at->d_name, 0) == 0) {
				snprintf(path, sizeof path, "%s/%s", folder, at->d_name);
				e = add(p, path, JAIL_EXECUTE, true);
			}
	if (d)
		closedir(d);
	return e;
}

/* A folder of libraries as a whole; but one in which vmscope itself is installed, with its labs, file by file. */
static enum err add_libraries(struct jail_paths *p, const char *folder)
{
	char own[300];

	snprintf(own, sizeof own, "%s/vmscope", folder);
	return access(own, F_OK) == 0 ? add_needed(p, folder) : add(p, folder, JAIL_EXECUTE, true);
}

static enum err add_tool(struct jail_paths *p, const char *name)
{
	static const char *const folders[] = {"/usr/local/bin", "/usr/bin", "/bin"};
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof path, "%s/%s", folders[i], name);
		if (access(path, X_OK) == 0)
			return add(p, path, JAIL_EXECUTE, true);
	}
	return ERR_OK;
}

static int shorter_first(const void *a, const void *b)
{
	size_t x = strlen(((const struct jail_path *)a)->path), y = strlen(((const struct jail_path *)b)->path);

	return x < y ? -1 : x > y;
}

enum err jail_list_paths(struct jail_job *j, struct errmsg *why)
{
	static const char *const libraries[] = {
	    "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"};
	struct jail_paths *p = &j->paths;
	enum err e = add(p, j->program, JAIL_EXECUTE, false);

	if (e)
		return err_set(why, e, "%s: it is not there", j->program);
	for (size_t i = 0; i < ARRAY_LEN(libraries) && !e; i++)
		e = add_libraries(p, libraries[i]);
	if (!e && dl_iterate_phdr(add_loaded, p))
		e = ERR_NOMEM;
	if (!e)
		e = add(p, "/etc/ld.so.cache", JAIL_READ, true);
	if (!e)
		e = add(p, "/dev/null", JAIL_WRITE, true);
	if (!e)
		e = add_tool(p, "as");
	if (!e)
		e = add_tool(p, "ld");
	for (const char *const *at = j->cfg->read_only; at && *at && !e; at++) {
		char *real = realpath(*at, NULL);
		e = real ? add(p, real, JAIL_READ, true) : ERR_OK;
		free(real);
	}
	/* A folder comes before what lies in it. */
	if (!e)
		qsort(p->all, p->n, sizeof *p->all, shorter_first);
	return e ? err_set(why, e, "no memory for the list of what %s may read", j->program) : ERR_OK;
}

void jail_free_paths(struct jail_paths *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->all[i].path);
	free(p->all);
	*p = (struct jail_paths){0};
}
