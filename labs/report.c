/*
 * What is made from the journal: files for each submission, and for the class.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "labs/batch_impl.h"
#include "labs/export_impl.h"

/* Has the file exactly these bytes? */
static bool same(const char *path, const char *text, size_t n)
{
	struct stat st;
	FILE *f;
	bool equal = false;

	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size != n || !(f = fopen(path, "r")))
		return false;
	char *old = malloc(n + 1);
	if (old)
		equal = fread(old, 1, n, f) == n && memcmp(old, text, n) == 0;
	free(old);
	fclose(f);
	return equal;
}

static enum err failed(const char *path, struct errmsg *why)
{
	int e = errno;

	return err_set(why,
	    e == ENOSPC			? ERR_NOSPC
	    : e == EACCES || e == EROFS ? ERR_PERM
					: ERR_IO,
	    "%s: %s", path, strerror(e));
}

enum err report_file(const char *dir, const char *name, const char *text, size_t n, struct errmsg *why)
{
	char *path = NULL, *temporary = NULL;
	enum err e = ERR_OK;

	if (asprintf(&path, "%s/%s", dir, name) < 0 || asprintf(&temporary, "%s/.new", dir) < 0)
		return err_set(why, ERR_NOMEM, "no memory for a report");
	if (!same(path, text, n)) {
		unlink(temporary);
		int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
		if (!f) {
			e = failed(temporary, why);
		} else {
			bool good = fwrite(text, 1, n, f) == n;
			good = fclose(f) == 0 && good;
			if (!good || rename(temporary, path) != 0)
				e = failed(path, why);
		}
	}
	free(path);
	free(temporary);
	return e;
}

static enum err make_folder(const char *path, struct errmsg *why)
{
	return mkdir(path, 0777) == 0 || errno == EEXIST ? ERR_OK : failed(path, why);
}

/* A format's file of a submission. */
static enum err write_one(
    const struct member *m, const char *dir, const char *format, const char *ending, struct errmsg *why)
{
	char *text = NULL, *name = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	enum err e = f ? export_find(format)->print(&m->result, NULL, f, why) : ERR_NOMEM;

	if (f)
		fclose(f);
	if (!e && asprintf(&name, "%s.%s", m->file, ending) < 0)
		e = ERR_NOMEM;
	if (!e)
		e = report_file(dir, name, text, n, why);
	free(name);
	free(text);
	return e;
}

static enum err write_members(const struct class_data *c, const char *out, const char *folder, const char *format,
    const char *ending, struct errmsg *why)
{
	char *dir;

	if (asprintf(&dir, "%s/%s", out, folder) < 0)
		return err_set(why, ERR_NOMEM, "no memory for a report");
	enum err e = make_folder(dir, why);
	for (size_t i = 0; !e && i < c->n; i++)
		if (c->members[i].done)
			e = write_one(&c->members[i], dir, format, ending, why);
	free(dir);
	return e;
}

/* Who could not be graded at all has no tasks; the columns are those of the others. */
static void print_csv(const struct class_data *c, FILE *out)
{
	const struct lab_result nothing = {0}, *tasks = &nothing;

	for (size_t i = 0; i < c->n; i++)
		if (c->members[i].done && c->members[i].result.n_tasks > tasks->n_tasks)
			tasks = &c->members[i].result;
	export_csv_header(tasks, out);
	for (size_t i = 0; i < c->n; i++)
		if (c->members[i].done)
			export_csv_row(&c->members[i].result, tasks, out);
}

static enum err write_page(const struct class_data *c, const char *out, const char *name,
    void (*print)(const struct class_data *, FILE *), struct errmsg *why)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return err_set(why, ERR_NOMEM, "no memory for a report");
	print(c, f);
	enum err e = fclose(f) == 0 ? report_file(out, name, text, n, why) : ERR_NOMEM;
	free(text);
	return e;
}

enum err report_write(const struct class_data *c, const char *out, struct errmsg *why)
{
	enum err e = write_members(c, out, "results", "json", "json", why);

	if (!e)
		e = write_members(c, out, "reports", "text", "txt", why);
	if (!e)
		e = write_page(c, out, "class.csv", print_csv, why);
	if (!e)
		e = write_page(c, out, "class.html", report_html, why);
	return e;
}
