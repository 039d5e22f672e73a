/*
 * The processes that grade: forked once, each with the grader that was opened before, and given one submission after
 * the other. One that dies, or takes too long, costs its submission's result, and is replaced.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "labs/batch_impl.h"
#include "labs/export.h"

#define JOBS_MAX 256
#define ANSWER_MAX (256u << 20)

struct worker {
	pid_t pid;
	int to, from;
	struct member *at; /* NULL: it waits */
	double since;
	char *answer; /* what came so far: the length (4 bytes), then JSON */
	size_t n, room;
};

struct pool {
	const struct batch_config *cfg;
	struct journal *journal;
	struct class_data *class;
	struct worker workers[JOBS_MAX];
	unsigned n;
	size_t next; /* member */
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- In a worker ----------------------------------------------------------------------------------------------------
 */

static bool get(int fd, void *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t got = read(fd, (char *)buf + done, n - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static bool put(int fd, const void *buf, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t wrote = write(fd, (const char *)buf + done, n - done);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return false;
		done += (size_t)wrote;
	}
	return true;
}

static bool answer(const struct pool *p, const struct member *m, int fd)
{
	struct lab_result r;
	struct errmsg why = {""};
	char *json = NULL;
	size_t n = 0;

	result_init(&r);
	enum err e = p->cfg->grader.grade(p->cfg->grader.arg, m->path, &r, &why);
	if (e)
		batch_not_gradable(&r, p->cfg, m->name, why.text[0] ? why.text : err_sentence(e));
	FILE *f = open_memstream(&json, &n);
	bool good = f && export_find("json")->print(&r, NULL, f, &why) == ERR_OK;
	good = f && fclose(f) == 0 && good;
	result_free(&r);
	uint32_t length = (uint32_t)n;
	good = good && n < ANSWER_MAX && put(fd, &length, sizeof length) && put(fd, json, n);
	free(json);
	return good;
}

static void work(struct pool *p, int from, int to, pid_t parent)
{
	uint32_t i;

	/* Ctrl-C is the parent's; its end is ours. */
	signal(SIGINT, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	journal_forget(p->journal);
	for (unsigned k = 0; k < p->n; k++) {
		if (p->workers[k].pid <= 0)
			continue;
		close(p->workers[k].to);
		close(p->workers[k].from);
	}
	while (get(from, &i, sizeof i))
		if (i >= p->class->n || !answer(p, &p->class->members[i], to))
			_exit(1);
	_exit(0);
}

/* --- In the parent --------------------------------------------------------------------------------------------------
 */

static enum err start(struct pool *p, struct worker *w, struct errmsg *why)
{
	int to[2], from[2];
	pid_t self = getpid();

	*w = (struct worker){0};
	if (pipe(to) != 0)
		return err_set(why, ERR_IO, "no pipe for a process that grades: %s", strerror(errno));
	if (pipe(from) != 0) {
		close(to[0]);
		close(to[1]);
		return err_set(why, ERR_IO, "no pipe for a process that grades: %s", strerror(errno));
	}
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(to[1]);
		close(from[0]);
		work(p, to[0], from[1], self);
	}
	close(to[0]);
	close(from[1]);
	if (pid < 0) {
		close(to[1]);
		close(from[0]);
		return err_set(why, ERR_IO, "no process to grade in: %s", strerror(errno));
	}
	*w = (struct worker){.pid = pid, .to = to[1], .from = from[0]};
	return ERR_OK;
}

/* Ends it; returns its wait status. */
static int end(struct worker *w, bool by_force)
{
	int status = 0;

	if (w->pid <= 0)
		return 0;
	close(w->to);
	close(w->from);
	if (by_force)
		kill(w->pid, SIGKILL);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	free(w->answer);
	*w = (struct worker){0};
	return status;
}

static struct member *next_member(struct pool *p)
{
	while (p->next < p->class->n)
		if (p->class->members[p->next++].todo)
			return &p->class->members[p->next - 1];
	return NULL;
}

/* Gives a waiting worker something to do. */
static void feed(struct pool *p, struct worker *w)
{
	struct member *m = next_member(p);
	if (!m)
		return;
	uint32_t i = (uint32_t)(m - p->class->members);

	w->at = m;
	w->since = now_s();
	/* When it is dead already, its pipe will say so. */
	if (!put(w->to, &i, sizeof i))
		return;
}

/* Reads what there is. False: the worker is at its end. */
static bool take(struct worker *w)
{
	if (w->n == w->room) {
		size_t room = w->room ? 2 * w->room : 65536;
		char *more = room > 2 * (size_t)ANSWER_MAX ? NULL : realloc(w->answer, room);
		if (!more)
			return false;
		w->answer = more;
		w->room = room;
	}
	ssize_t got = read(w->from, w->answer + w->n, w->room - w->n);
	if (got < 0 && errno == EINTR)
		return true;
	if (got <= 0)
		return false;
	w->n += (size_t)got;
	return true;
}

/* Is there a whole answer? */
static bool whole(const struct worker *w, uint32_t *length)
{
	if (w->n < sizeof *length)
		return false;
	memcpy(length, w->answer, sizeof *length);
	return w->n >= sizeof *length + *length;
}

/* The worker died, or was killed for taking too long: another takes its place. */
static enum err lost(struct pool *p, struct worker *w, bool late, struct errmsg *why)
{
	struct member *m = w->at;
	char text[160];
	int status = end(w, true);

	if (late)
		snprintf(text, sizeof text, "the grader took longer than %u s", p->cfg->limit_s);
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "the grader was ended by signal %d (%s)", WTERMSIG(status),
		    strsignal(WTERMSIG(status)));
	else
		snprintf(text, sizeof text, "the grader ended with status %d", WEXITSTATUS(status));
	if (m)
		batch_not_gradable(&m->result, p->cfg, m->name, text);
	else
		return err_set(why, ERR_IO, "%s before it had something to do", text);
	return start(p, w, why);
}

static enum err serve(struct pool *p, struct worker *w, struct member **ready, struct errmsg *why)
{
	uint32_t length;
	bool alive = take(w);

	*ready = NULL;
	if (alive && !whole(w, &length))
		return ERR_OK;
	*ready = w->at;
	if (!alive)
		return lost(p, w, false, why);
	struct errmsg bad = {""};
	if (result_from_json(w->answer + sizeof length, length, &w->at->result, &bad))
		batch_not_gradable(&w->at->result, p->cfg, w->at->name, bad.text);
	w->at = NULL;
	w->n = 0;
	return ERR_OK;
}

static enum err round_of(struct pool *p, enum err (*finished)(void *, struct member *, struct errmsg *), void *arg,
    unsigned *busy, struct errmsg *why)
{
	struct pollfd fds[JOBS_MAX];
	enum err e = ERR_OK;

	*busy = 0;
	for (unsigned i = 0; i < p->n; i++) {
		if (!p->workers[i].at)
			feed(p, &p->workers[i]);
		fds[i] = (struct pollfd){.fd = p->workers[i].at ? p->workers[i].from : -1, .events = POLLIN};
		*busy += p->workers[i].at != NULL;
	}
	if (!*busy || (poll(fds, p->n, 200) < 0 && errno != EINTR))
		return ERR_OK;
	for (unsigned i = 0; i < p->n && !e && !*p->cfg->stop; i++) {
		struct worker *w = &p->workers[i];
		struct member *ready = w->at;
		if (!w->at)
			continue;
		if (fds[i].revents)
			e = serve(p, w, &ready, why);
		else if (now_s() - w->since > p->cfg->limit_s)
			e = lost(p, w, true, why);
		else
			continue;
		if (!e && ready)
			e = finished(arg, ready, why);
	}
	return e;
}

enum err batch_pool(const struct batch_config *cfg, struct journal *j, struct class_data *c,
    enum err (*finished)(void *arg, struct member *m, struct errmsg *why), void *arg, struct errmsg *why)
{
	static const volatile sig_atomic_t never = 0;
	struct batch_config own = *cfg;
	struct pool *p = calloc(1, sizeof *p);
	unsigned todo = 0, busy = 1;
	enum err e = ERR_OK;

	if (!p)
		return err_set(why, ERR_NOMEM, "no memory for the processes that grade");
	own.limit_s = cfg->limit_s ? cfg->limit_s : 3600;
	own.stop = cfg->stop ? cfg->stop : &never;
	*p = (struct pool){.cfg = &own, .journal = j, .class = c};
	for (size_t i = 0; i < c->n; i++)
		todo += c->members[i].todo;
	unsigned jobs = cfg->jobs < 1 ? 1 : cfg->jobs > JOBS_MAX ? JOBS_MAX : cfg->jobs;
	for (; !e && p->n < jobs && p->n < todo; p->n += !e)
		e = start(p, &p->workers[p->n], why);
	while (!e && busy && !*own.stop)
		e = round_of(p, finished, arg, &busy, why);
	for (unsigned i = 0; i < p->n; i++)
		end(&p->workers[i], p->workers[i].at != NULL);
	free(p);
	return e;
}
