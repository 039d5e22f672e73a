/*
 * A process with pipes and limits, and no walls: see jail.h.
 */
#include "labs/jail.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct pipe_end {
	int fd;
	char *buf;
	size_t n, max;
};

static void child(const struct jail_config *cfg, int in, int out, int err)
{
	union {
		const char *const *in;
		char **out;
	} argv = {cfg->argv};
	struct rlimit cpu = {cfg->cpu_s, cfg->cpu_s}, mem = {cfg->mem_max, cfg->mem_max};

	setpgid(0, 0);
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	setrlimit(RLIMIT_CPU, &cpu);
	if (cfg->mem_max)
		setrlimit(RLIMIT_AS, &mem);
	execv(argv.out[0], argv.out);
	_exit(127);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool take(struct pipe_end *p)
{
	char *more = realloc(p->buf, p->n + 65537);

	if (!more)
		return false;
	p->buf = more;
	ssize_t got = read(p->fd, p->buf + p->n, 65536);
	if (got <= 0) {
		close(p->fd);
		p->fd = -1;
		got = 0;
	}
	p->n += (size_t)got;
	p->buf[p->n] = 0;
	return p->n <= p->max;
}

static enum jail_end pump(const struct jail_config *cfg, int in, struct pipe_end *out, struct pipe_end *err)
{
	int64_t until = now_ms() + (int64_t)cfg->wall_s * 1000;
	size_t sent = 0;

	while (out->fd >= 0 || err->fd >= 0) {
		struct pollfd p[3] = {{out->fd, POLLIN, 0}, {err->fd, POLLIN, 0}, {in, POLLOUT, 0}};
		int64_t left = until - now_ms();
		if (left <= 0)
			return JAIL_WALL;
		if (poll(p, 3, (int)left) < 0 && errno != EINTR)
			break;
		if (in >= 0 && p[2].revents) {
			ssize_t n = write(in, (const char *)cfg->input + sent, cfg->n_input - sent);
			sent += n > 0 ? (size_t)n : 0;
			if (n <= 0 || sent == cfg->n_input) {
				close(in);
				in = -1;
			}
		}
		if ((p[0].revents && !take(out)) || (p[1].revents && !take(err)))
			return JAIL_OUTPUT;
	}
	if (in >= 0)
		close(in);
	return JAIL_EXITED;
}

enum err jail_run(const struct jail_config *cfg, struct jail_result *out, struct errmsg *why)
{
	int in[2], o[2], e[2], status = 0;

	*out = (struct jail_result){0};
	if (pipe2(in, 02000000) || pipe2(o, 02000000) || pipe2(e, 02000000))
		return err_set(why, ERR_IO, "no pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		return err_set(why, ERR_NOMEM, "no process: %s", strerror(errno));
	if (pid == 0)
		child(cfg, in[0], o[1], e[1]);
	close(in[0]);
	close(o[1]);
	close(e[1]);
	struct pipe_end to = {o[0], calloc(1, 1), 0, cfg->out_max}, err = {e[0], calloc(1, 1), 0, cfg->err_max};
	out->end = pump(cfg, in[1], &to, &err);
	if (out->end != JAIL_EXITED)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	out->out = to.buf;
	out->n_out = to.n;
	out->err = err.buf;
	out->n_err = err.n;
	if (out->end == JAIL_EXITED && WIFSIGNALED(status)) {
		out->end = WTERMSIG(status) == SIGXCPU ? JAIL_CPU : JAIL_SIGNALLED;
		out->status = WTERMSIG(status);
	} else {
		out->status = WEXITSTATUS(status);
	}
	return ERR_OK;
}

enum err jail_lock_down(struct errmsg *why)
{
	why->text[0] = 0;
	return ERR_OK;
}
