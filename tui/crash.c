/*
 * Restores the terminal in a crash. See crash.h. Everything was prepared before: the handler only writes bytes and
 * restores settings, both of which a signal handler may do [POSIX "Signal Concepts"].
 */
#include "tui/crash.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
static struct {
	volatile sig_atomic_t armed;
	struct termios saved;
	char reset[256];
	size_t n_reset;
	struct sigaction old[ARRAY_LEN(signals)];
	char stack[16384];
} crash;

static void give_back(void)
{
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &crash.old[i], NULL);
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (crash.armed) {
		crash.armed = 0;
		/* A terminal that cannot be written to is not told anything else either. */
		if (write(STDOUT_FILENO, crash.reset, crash.n_reset) >= 0)
			tcsetattr(STDIN_FILENO, TCSANOW, &crash.saved);
	}
	give_back();
	/* Who had the signal before gets it now: a core dump, a sanitizer's report. A fault happens again by itself
	 * when this returns; what was sent (abort(), kill()) would not. */
	if (info->si_code <= 0)
		raise(sig);
}

void crash_arm(const char *reset, size_t n, const struct termios *saved)
{
	struct sigaction sa = {.sa_sigaction = on_crash, .sa_flags = SA_ONSTACK | SA_SIGINFO};
	stack_t alt = {.ss_sp = crash.stack, .ss_size = sizeof(crash.stack)};
	stack_t now;

	if (n > sizeof(crash.reset))
		n = sizeof(crash.reset);
	memcpy(crash.reset, reset, n);
	crash.n_reset = n;
	crash.saved = *saved;
	sigemptyset(&sa.sa_mask);
	/* Of this thread; a sanitizer may have given it one. */
	if (!sigaltstack(NULL, &now) && (now.ss_flags & SS_DISABLE))
		sigaltstack(&alt, NULL);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &sa, &crash.old[i]);
	crash.armed = 1;
}

void crash_disarm(void)
{
	if (!crash.armed)
		return;
	crash.armed = 0;
	give_back();
}
