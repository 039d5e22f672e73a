/*
 * Finding labs. See book.h.
 */
#include "labs/book.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool join(char *to, size_t n, const char *a, const char *b)
{
	return snprintf(to, n, "%s/%s", a, b) < (int)n;
}

/* To a list for people, as far as there is room. */
static void append(char *list, size_t n, const char *item)
{
	size_t used = strlen(list);

	if (used + strlen(item) + 3 <= n)
		snprintf(list + used, n - used, "%s%s", used ? ", " : "", item);
}

static bool has_lab(const char *dir)
{
	char path[1100];
	struct stat st;

	return join(path, sizeof path, dir, "lab.lua") && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The i-th folder in which labs may be. */
static bool root(unsigned i, char *buf, size_t n)
{
	static const char *const beside[] = {"../../labs", "../lib/vmscope/labs"};
	const char *env = getenv("VMSCOPE_LABS");
	char exe[900];

	if (env && env[0] && i-- == 0)
		return snprintf(buf, n, "%s", env) < (int)n;
	if (i >= ARRAY_LEN(beside))
		return false;
	ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (len <= 0)
		return false;
	exe[len] = 0;
	char *slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = 0;
	return join(buf, n, exe, beside[i]);
}

/* dir is a lab: its id and solution. Fails when a path is too long. */
static bool fill(struct lab_place *p, const char *dir)
{
	char *full = realpath(dir, NULL);
	char *slash = full ? strrchr(full, '/') : NULL;
	bool good = slash && snprintf(p->dir, sizeof p->dir, "%s", full) < (int)sizeof p->dir &&
		    snprintf(p->id, sizeof p->id, "%s", slash + 1) < (int)sizeof p->id;

	p->solution[0] = 0;
	if (good) {
		*slash = 0;
		int n = snprintf(p->solution, sizeof p->solution, "%s/solutions/%s", full, p->id);
		if (n >= (int)sizeof p->solution || !is_dir(p->solution))
			p->solution[0] = 0;
	}
	free(full);
	return good;
}

static enum err list_root(const char *dir, struct lab_place **out, size_t *n, struct errmsg *why)
{
	struct dirent **names;
	char path[1100];
	int count = scandir(dir, &names, NULL, alphasort);
	enum err e = ERR_OK;

	*n = 0;
	*out = count > 0 ? calloc((size_t)count, sizeof **out) : NULL;
	if (count > 0 && !*out)
		e = err_set(why, ERR_NOMEM, "%s: no memory", dir);
	for (int i = 0; i < count; i++) {
		if (*out && names[i]->d_name[0] != '.' && join(path, sizeof path, dir, names[i]->d_name) &&
		    has_lab(path) && fill(&(*out)[*n], path))
			(*n)++;
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return e;
}

enum err lab_list(struct lab_place **out, size_t *n, struct errmsg *why)
{
	char dir[1024], looked[240] = "";

	*out = NULL;
	*n = 0;
	for (unsigned i = 0; root(i, dir, sizeof dir); i++) {
		enum err e = list_root(dir, out, n, why);
		if (e || *n)
			return e;
		free(*out);
		*out = NULL;
		append(looked, sizeof looked, dir);
	}
	return err_set(why, ERR_NOENT, "no labs in %s: set VMSCOPE_LABS to the folder that has them", looked);
}

/* "4" and "04" are the lab 04_cpuid, whatever else begins with a 4. */
static bool has_number(const char *id, const char *number)
{
	char *end, *id_end;
	unsigned long n = strtoul(number, &end, 10), own = strtoul(id, &id_end, 10);

	return *number >= '0' && *number <= '9' && !*end && *id_end == '_' && n == own;
}

/* Is it this lab by its whole id or its number (2), by how its id begins (1)? */
static int match(const char *id, const char *name)
{
	if (strcmp(id, name) == 0 || has_number(id, name))
		return 2;
	return *name && strncmp(id, name, strlen(name)) == 0;
}

static enum err find_by_id(const char *name, struct lab_place *out, struct errmsg *why)
{
	struct lab_place *labs;
	char ids[240] = "", begin[240] = "";
	size_t n, hits = 0;
	bool exact = false;
	enum err e = lab_list(&labs, &n, why);

	if (e)
		return e;
	for (size_t i = 0; i < n && !exact; i++) {
		int how = match(labs[i].id, name);
		append(ids, sizeof ids, labs[i].id);
		if (!how)
			continue;
		append(begin, sizeof begin, labs[i].id);
		*out = labs[i];
		exact = how == 2;
		hits++;
	}
	free(labs);
	if (exact || hits == 1)
		return ERR_OK;
	if (hits)
		return err_set(why, ERR_NOENT, "%s: several labs begin like this: %s", name, begin);
	return err_set(why, ERR_NOENT, "%s: no such lab: there are %s", name, ids);
}

enum err lab_find(const char *name, struct lab_place *out, struct errmsg *why)
{
	memset(out, 0, sizeof *out);
	if (!strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		return find_by_id(name, out, why);
	if (!is_dir(name))
		return err_set(why, ERR_NOENT, "%s: no such folder", name);
	if (!has_lab(name))
		return err_set(why, ERR_NOENT, "%s: this folder has no lab.lua, and so is no lab", name);
	return fill(out, name) ? ERR_OK : err_set(why, ERR_RANGE, "%s: the path is too long", name);
}

enum err lab_of_folder(const char *dir, struct lab_place *out, struct errmsg *why)
{
	char path[1100], id[200];
	struct stat st;

	/* A folder that was handed in may hold anything by this name: a link, a pipe that nobody writes to. */
	int fd = join(path, sizeof path, dir, ".lab")
		     ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
		     : -1;
	ssize_t n = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, id, sizeof id - 1) : 0;

	if (fd >= 0)
		close(fd);
	if (n > 0)
		id[n] = 0;
	if (n <= 0 || !id[strspn(id, "\r\n")])
		return err_set(why, ERR_NOENT,
		    "%s: no file .lab says which lab this is: make the folder with \"vmscope lab start\", or give "
		    "--lab ID",
		    dir);
	id[strcspn(id, "\r\n")] = 0;
	return lab_find(id, out, why);
}
