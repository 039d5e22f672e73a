/*
 * The agent of the bare-metal image as a process (tests/fake_metal.h), for tests of "--machine DEVICE": prints the name
 * of the terminal to open, and serves one session. With noise the cable is bad, from a seed.
 *
 * usage: agent_server [--noise PER_MILLION] [--seed N]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fake_metal.h"

static struct fake_metal metal;

static void on_signal(int sig)
{
	(void)sig;
	kill(metal.pid, SIGKILL);
	_exit(1);
}

int main(int argc, char **argv)
{
	unsigned noise = 0;
	uint64_t seed = 1;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--noise") == 0)
			noise = (unsigned)strtoul(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	if (!fake_metal_start(&metal, FAKE_METAL_AGENT, noise, seed)) {
		perror("agent_server: pseudo-terminal");
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGALRM, on_signal);
	alarm(300); /* never left behind */
	printf("%s\n", metal.device);
	fflush(stdout);
	waitpid(metal.pid, NULL, 0);
	return 0;
}
