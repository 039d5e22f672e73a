/*
 * The table of machines, and what those that we start have in common.
 */
#include "session/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct machine_ops *const table[] = {&machine_bochs_ops, &machine_qemu_ops};

static bool is_device(const char *name)
{
	return strchr(name, '/') || strncmp(name, "tcp:", 4) == 0 || strncmp(name, "unix:", 5) == 0;
}

bool machine_program(const char *name)
{
	const char *path = getenv("PATH");
	char buf[512];
	for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
		size_t n = strcspn(p, ":");
		if (snprintf(buf, sizeof buf, "%.*s/%s", (int)n, p, name) < (int)sizeof buf && access(buf, X_OK) == 0)
			return true;
		p += n + (p[n] == ':');
	}
	return false;
}

static enum err choose_best(
    const struct machine_want *w, const struct machine_ops **ops, struct machine_facts *f, struct errmsg *why)
{
	struct errmsg said[ARRAY_LEN(table)] = {0};
	*ops = NULL;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct machine_facts one = {.name = table[i]->name};
		if (table[i]->probe(w, &one, &said[i]) == ERR_OK && (!*ops || one.rank > f->rank)) {
			*ops = table[i];
			*f = one;
		}
	}
	if (*ops)
		return ERR_OK;
	return err_set(why, ERR_NODEV, "%s; %s", said[0].text, said[1].text);
}

enum err machine_choose(const char *name, const struct machine_want *w, const struct machine_ops **ops,
    struct machine_facts *f, struct errmsg *why)
{
	*f = (struct machine_facts){0};
	if (!name)
		return choose_best(w, ops, f, why);
	*ops = is_device(name) ? &machine_device_ops : NULL;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(table[i]->name, name) == 0)
			*ops = table[i];
	if (!*ops)
		return err_set(why, ERR_NOENT,
		    "--machine %s: not bochs, qemu, or a serial line: a path, unix:PATH or tcp:HOST:PORT", name);
	f->name = (*ops)->name;
	enum err e = (*ops)->probe(w, f, why);
	if (*ops != &machine_device_ops)
		snprintf(f->why, sizeof f->why, "asked for by --machine");
	return e;
}

enum err machine_start(
    const struct machine_ops *ops, const struct machine_want *w, struct machine_run *m, struct errmsg *why)
{
	*m = (struct machine_run){.ops = ops, .line = -1, .bulk = -1, .keeper.ctl = -1};
	enum err e = ops->start(w, m, why);
	if (!e) {
		int flags = fcntl(m->line, F_GETFL);
		if (flags < 0 || fcntl(m->line, F_SETFL, flags | O_NONBLOCK))
			e = err_set(why, ERR_IO, "%s: the serial line: %s", ops->name, strerror(errno));
		/* A command does not wait for company; where the line is no TCP connection, this fails and nobody
		 * minds. */
		const int one = 1;
		(void)setsockopt(m->line, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	}
	if (e)
		machine_stop(m);
	return e;
}

/* A file of size bytes that takes no room before it is written. */
static enum err make_bulk(struct machine_run *m, const char *path, uint64_t size, struct errmsg *why)
{
	m->bulk = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (m->bulk < 0 || ftruncate(m->bulk, (off_t)size))
		return err_set(why, errno == ENOSPC || errno == EFBIG ? ERR_NOSPC : ERR_IO,
		    "%s: the disk for the records cannot be made: %s", path, strerror(errno));
	return ERR_OK;
}

enum err machine_start_kept(
    const struct machine_want *w, const struct keeper_spec *spec, struct machine_run *m, struct errmsg *why)
{
	char path[KEEPER_PATH_MAX];
	int line = -1;
	enum err e = keeper_open(&m->keeper, spec, why);
	if (e)
		return e;
	m->kept = true;
	e = w->make_disk(w->arg, keeper_path(&m->keeper, "boot.img", path), why);
	if (!e && w->bulk_size)
		e = make_bulk(m, keeper_path(&m->keeper, "bulk.img", path), w->bulk_size, why);
	if (!e)
		e = keeper_start(&m->keeper, w->stopped, w->arg, &line, why);
	if (line >= 0)
		m->line = line;
	if (e && e != ERR_AGAIN) {
		char words[160];
		machine_last_words(m, words, sizeof words);
		if (words[0])
			return err_set(why, e, "%s did not start: %s", m->ops->name, words);
	}
	return e;
}

bool machine_runs(struct machine_run *m)
{
	return !m->kept || !keeper_machine_ended(&m->keeper);
}

/* The last line of a file of the directory that has needle; false: none. */
static bool last_line(struct machine_run *m, const char *file, const char *needle, char *buf, size_t n)
{
	char path[KEEPER_PATH_MAX], line[256];
	bool found = false;
	FILE *f = fopen(keeper_path(&m->keeper, file, path), "re");
	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\r\n")] = 0;
		if (!line[0] || !strstr(line, needle))
			continue;
		snprintf(buf, n, "%s", line);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

void machine_last_words(struct machine_run *m, char *buf, size_t n)
{
	buf[0] = 0;
	if (!m->kept || !m->keeper.dir[0])
		return;
	if (last_line(m, "bochs.log", ">>PANIC<<", buf, n) || last_line(m, "bochs.log", "[E", buf, n))
		return;
	(void)(last_line(m, "machine.out", "PANIC", buf, n) || last_line(m, "machine.out", "rror", buf, n) ||
	       last_line(m, "machine.out", "qemu", buf, n));
}

void machine_stop(struct machine_run *m)
{
	if (m->line >= 0)
		close(m->line);
	if (m->bulk >= 0)
		close(m->bulk);
	m->line = m->bulk = -1;
	if (m->kept)
		keeper_close(&m->keeper);
	m->kept = false;
}
