/*
 * The process that assembles for one that is locked down. It is a child of it, forked before: it has the jail, but not
 * the lock-down, which lets nothing be executed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "labs/asm.h"

/* Processor time after which no further assembler or linker is started. */
#define CPU_ALL_S 20

/* How this process assembles: a lock-down is of the process, so this is, too. */
static struct {
	enum { ASM_HERE, ASM_BY_HELPER, ASM_NEVER } how;
	int to, from;
	const char *why;
} asm_state;

struct request {
	uint64_t org;
	uint32_t n;
	int32_t bits;
};

struct reply {
	int32_t err;
	uint32_t n;
	struct errmsg why;
};

static bool put_all(int fd, const void *data, size_t n)
{
	const char *at = data;

	while (n) {
		ssize_t got = write(fd, at, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		n -= (size_t)got;
	}
	return true;
}

static bool get_all(int fd, void *data, size_t n)
{
	char *at = data;

	while (n) {
		ssize_t got = read(fd, at, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		n -= (size_t)got;
	}
	return true;
}

/* All that was assembled so far: nobody else counts it. */
static bool time_is_up(void)
{
	struct rusage used;

	return getrusage(RUSAGE_CHILDREN, &used) == 0 && used.ru_utime.tv_sec + used.ru_stime.tv_sec >= CPU_ALL_S;
}

static bool serve_one(int from, int to)
{
	struct reply r = {0};
	struct request q;
	size_t len = 0;
	char *text, *code = NULL;

	if (!get_all(from, &q, sizeof q) || q.n > ASM_TEXT_MAX || !(text = malloc(q.n + 1u)))
		return false;
	bool good = get_all(from, text, q.n);
	if (good) {
		const struct asm_job a = {.text = text, .n = q.n, .bits = q.bits, .org = q.org}; /* this process is */
		r.err = (int32_t)(time_is_up() ? err_set(&r.why, ERR_RANGE,
						     "the assembler has used its %d s of processor time", CPU_ALL_S)
					       : asm_assemble(&a, &code, &len, &r.why));
		r.n = r.err ? 0 : (uint32_t)len;
		good = put_all(to, &r, sizeof r) && put_all(to, code, r.n);
	}
	free(code);
	free(text);
	return good;
}

static _Noreturn void serve(int from, int to)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	while (serve_one(from, to))
		;
	_exit(0);
}

void asm_refuse(const char *why)
{
	asm_state.how = ASM_NEVER;
	asm_state.why = why;
}

enum err asm_start_helper(struct errmsg *why)
{
	int there[2], back[2];

	if (pipe2(there, O_CLOEXEC) != 0)
		return err_set(why, ERR_IO, "no pipe for the assembler: %s", strerror(errno));
	if (pipe2(back, O_CLOEXEC) != 0) {
		close(there[0]);
		close(there[1]);
		return err_set(why, ERR_IO, "no pipe for the assembler: %s", strerror(errno));
	}
	pid_t pid = fork();
	if (pid == 0) {
		close(there[1]);
		close(back[0]);
		serve(there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	if (pid < 0) {
		close(there[1]);
		close(back[0]);
		return err_set(why, ERR_IO, "no process for the assembler: %s", strerror(errno));
	}
	/* Should it die, a request fails: no signal. */
	(void)signal(SIGPIPE, SIG_IGN);
	asm_state.how = ASM_BY_HELPER;
	asm_state.to = there[1];
	asm_state.from = back[0];
	return ERR_OK;
}

enum err asm_ask(const struct asm_job *a, char **out, size_t *len, struct errmsg *why)
{
	const struct request q = {a->org, (uint32_t)a->n, a->bits};
	struct reply r;

	*out = NULL;
	*len = 0;
	if (a->n > ASM_TEXT_MAX)
		return err_set(why, ERR_RANGE, "the text is longer than %u bytes", ASM_TEXT_MAX);
	if (asm_state.how == ASM_NEVER)
		return err_set(why, ERR_NODEV, "%s", asm_state.why);
	if (asm_state.how == ASM_HERE) {
		struct asm_job here = *a;
		here.confine = true; /* a text of a script: ".incbin" reads no file of its user */
		return asm_assemble(&here, out, len, why);
	}
	if (!put_all(asm_state.to, &q, sizeof q) || !put_all(asm_state.to, a->text, a->n) ||
	    !get_all(asm_state.from, &r, sizeof r) || r.n > ASM_CODE_MAX) {
		asm_refuse("the process that assembles is gone");
		return err_set(why, ERR_IO, "%s", asm_state.why);
	}
	r.why.text[sizeof r.why.text - 1] = 0;
	if (r.err > 0 && r.err < ERR_COUNT)
		return err_set(why, (enum err)r.err, "%s", r.why.text);
	*out = malloc(r.n + 1u);
	if (!*out)
		return err_set(why, ERR_NOMEM, "no memory for the code");
	if (!get_all(asm_state.from, *out, r.n)) {
		free(*out);
		*out = NULL;
		asm_refuse("the process that assembles is gone");
		return err_set(why, ERR_IO, "%s", asm_state.why);
	}
	*len = r.n;
	return ERR_OK;
}
