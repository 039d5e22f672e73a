/*
 * The agent of the bare-metal image as a process: it serves a session on a pseudo-terminal, with the emulate engine,
 * and stands in for a real machine at the end of a serial line. With noise it changes, drops and inserts bytes in both
 * directions, from a seed. For tests of "--machine DEVICE".
 *
 * usage: agent_server [--noise PER_MILLION] [--seed N]     prints the name of the terminal to open, then serves once
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/lib.h"
#include "metal/agent.h"
#include "modes/emulate/emulate.h"

static int line = -1;
static uint64_t rng = 1, noise;

static uint64_t draw(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* One byte through the bad cable: what comes out, 0 to 2 bytes. */
static size_t cable(uint8_t in, uint8_t out[2])
{
	out[0] = in;
	if (!noise || draw() % 1000000 >= noise)
		return 1;
	switch (draw() % 3) {
	case 0:
		return 0;
	case 1:
		out[0] ^= (uint8_t)(1u << draw() % 8);
		return 1;
	default:
		out[1] = (uint8_t)draw();
		return 2;
	}
}

static void write_all(const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t k = write(line, p, n);

		if (k < 0 && (errno == EINTR || errno == EAGAIN)) {
			struct pollfd f = {.fd = line, .events = POLLOUT};
			(void)poll(&f, 1, 100);
			continue;
		}
		if (k <= 0)
			_exit(0); /* the other end is gone */
		p += k;
		n -= (size_t)k;
	}
}

static void put(const void *p, size_t n)
{
	const uint8_t *in = p;
	uint8_t buf[512];
	size_t have = 0;

	for (size_t i = 0; i < n; i++) {
		have += cable(in[i], buf + have);
		if (have > sizeof(buf) - 2) {
			write_all(buf, have);
			have = 0;
		}
	}
	write_all(buf, have);
}

static int get(void)
{
	static uint8_t buf[4096];
	static size_t have, at;
	static uint8_t waiting;
	static bool more;
	uint8_t out[2];

	if (more) {
		more = false;
		return waiting;
	}
	for (;;) {
		if (at == have) {
			ssize_t n = read(line, buf, sizeof(buf));

			if (n <= 0)
				return -1;
			have = (size_t)n;
			at = 0;
		}
		size_t n = cable(buf[at++], out);
		if (n == 2) {
			waiting = out[1];
			more = true;
		}
		if (n)
			return out[0];
	}
}

static const struct mode_ops *engine(enum vmm_mode mode, uint32_t which, struct errmsg *why)
{
	(void)which;
	if (mode == MODE_EMULATE)
		return &mode_metal_emulate_ops;
	(void)!err_set(why, ERR_NODEV, "this stand-in for a machine has no virtualization");
	return NULL;
}

static void off(void)
{
	_exit(0);
}

static bool open_line(void)
{
	struct termios t;

	line = posix_openpt(O_RDWR | O_NOCTTY);
	if (line < 0 || grantpt(line) || unlockpt(line))
		return false;
	int slave = open(ptsname(line), O_RDWR | O_NOCTTY);
	if (slave < 0 || tcgetattr(slave, &t))
		return false;
	cfmakeraw(&t); /* the descriptor stays open: a reader that comes late finds what was said */
	if (tcsetattr(slave, TCSANOW, &t) || fcntl(line, F_SETFL, O_NONBLOCK))
		return false;
	printf("%s\n", ptsname(line));
	fflush(stdout);
	return true;
}

int main(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--noise") == 0)
			noise = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "--seed") == 0)
			rng = strtoull(argv[i + 1], NULL, 0) * 2654435761u + 1;
	}
	if (!open_line()) {
		perror("agent_server: pseudo-terminal");
		return 1;
	}
	alarm(300); /* never left behind */
	struct agent_boot boot = {.host = &host_posix_ops, .put = put, .get = get, .engine = engine, .off = off};
	snprintf(boot.facts.cpu_vendor, sizeof(boot.facts.cpu_vendor), "stand-in");
	snprintf(boot.facts.boot, sizeof(boot.facts.boot), "process");
	snprintf(boot.facts.no_vmx, sizeof(boot.facts.no_vmx), "a stand-in for a machine has no VT-x");
	snprintf(boot.facts.no_svm, sizeof(boot.facts.no_svm), "a stand-in for a machine has no AMD-V");
	boot.facts.memory = host_posix_ops.mem_limit();
	agent_main(&boot);
	return 0;
}
