/* See fake_metal.h. */
#include "tests/fake_metal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "core/wire.h"
#include "metal/agent.h"
#include "modes/emulate/emulate.h"

static int line = -1;
static uint64_t rng, noise;
static enum fake_metal_kind kind;

static uint64_t draw(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* One byte through the bad cable: 0 to 2 bytes. */
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
	for (size_t at = 0; at < n;) {
		ssize_t w = write(line, p + at, n - at);
		struct pollfd f = {line, POLLOUT, 0};
		if (w > 0)
			at += (size_t)w;
		else if (errno == EAGAIN || errno == EINTR)
			(void)poll(&f, 1, 100);
		else
			_exit(0);
	}
}

static void put(const void *p, size_t n)
{
	const uint8_t *in = p;
	uint8_t out[512];
	size_t have = 0;
	for (size_t i = 0; i < n; i++) {
		have += cable(in[i], out + have);
		if (have > sizeof out - 2 || i + 1 == n) {
			write_all(out, have);
			have = 0;
		}
	}
}

static void put_frame(void *arg, const void *p, size_t n)
{
	(void)arg;
	put(p, n);
}

static void (*log_sink)(void *arg, enum log_level level, const char *line);
static void *log_arg;

static void set_log(void (*sink)(void *arg, enum log_level level, const char *line), void *arg)
{
	log_sink = sink;
	log_arg = arg;
}

static void misbehave(void)
{
	static const char text[] = "vmscope-metal: panic: a test of panics\nrip 0000000000001234\n";
	static const uint8_t nonsense[64] = {99, 0, 0, 0, 64};
	struct wire_tx tx = {.seq = 1000, .put = put_frame};
	log_sink(log_arg, LOG_WARN, "a first line");
	log_sink(log_arg, LOG_INFO, "a second one");
	if (kind == FAKE_METAL_PANICS)
		wire_send(&tx, MSG_PANIC, 0, text, sizeof text - 1);
	if (kind == FAKE_METAL_BAD_RECORDS)
		wire_send(&tx, MSG_EVENTS, 0, nonsense, sizeof nonsense);
	if (kind != FAKE_METAL_DIES)
		sleep(20);
	_exit(0);
}

static void looked_at(void *arg, const struct wire_frame *f)
{
	struct msg_cmd c;
	(void)arg;
	if (f->type != MSG_CMD)
		return;
	memcpy(&c, f->payload, sizeof c);
	if (c.op == CMD_CONTINUE)
		misbehave();
}

static int get(void)
{
	static struct wire_rx rx;
	static uint8_t buf[4096], waiting, out[2];
	static size_t have, at;
	static bool more;
	if (more) {
		more = false;
		return waiting;
	}
	for (;;) {
		if (at == have) {
			ssize_t n = read(line, buf, sizeof buf);
			if (n <= 0)
				return -1;
			if (rx.need == 0)
				wire_rx_init(&rx);
			if (kind != FAKE_METAL_AGENT && kind != FAKE_METAL_SLOW)
				wire_rx_feed(&rx, buf, (size_t)n, looked_at, NULL);
			have = (size_t)n;
			at = 0;
		}
		size_t n = cable(buf[at++], out);
		more = n == 2;
		waiting = out[1];
		if (n)
			return out[0];
	}
}

static const struct mode_ops *engine(enum vmm_mode mode, uint32_t which, struct errmsg *why)
{
	(void)which;
	if (kind == FAKE_METAL_SLOW)
		sleep(1);
	if (mode == MODE_EMULATE)
		return &mode_metal_emulate_ops;
	(void)!err_set(why, ERR_NODEV, "no virtualization here");
	return NULL;
}

static void off(void)
{
	_exit(0);
}

static void other_hello(void)
{
	struct msg_hello h = {.version = REMOTE_VERSION, .size = sizeof(struct x86_state)};
	struct wire_tx tx = {.put = put_frame};
	if (kind == FAKE_METAL_OTHER_VERSION)
		h.version = REMOTE_VERSION + 1;
	else
		h.size += 8;
	for (;;) {
		wire_send(&tx, MSG_HELLO, 0, &h, sizeof h);
		usleep(50000);
	}
}

static void serve(void)
{
	struct agent_boot boot = {
	    .host = &host_posix_ops, .put = put, .get = get, .engine = engine, .off = off, .set_log = set_log};
	boot.facts.memory = host_posix_ops.mem_limit();
	snprintf(boot.facts.cpu_model, sizeof boot.facts.cpu_model, "a child process");
	snprintf(boot.facts.no_vmx, sizeof boot.facts.no_vmx, "it has no VT-x");
	snprintf(boot.facts.no_svm, sizeof boot.facts.no_svm, "it has no AMD-V");
	alarm(60); /* never left behind */
	if (kind == FAKE_METAL_OTHER_VERSION || kind == FAKE_METAL_OTHER_STATE)
		other_hello();
	agent_main(&boot);
	_exit(0);
}

bool fake_metal_start(struct fake_metal *f, enum fake_metal_kind what, unsigned per_million, uint64_t seed)
{
	struct termios t;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -1;
	if (master < 0 || grantpt(master) || unlockpt(master) || ptsname_r(master, f->device, sizeof f->device))
		return false;
	slave = open(f->device, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &t))
		return false;
	cfmakeraw(&t);
	if (tcsetattr(slave, TCSANOW, &t) || fcntl(master, F_SETFL, O_NONBLOCK))
		return false;
	f->pid = fork();
	if (f->pid == 0) {
		line = master;
		kind = what;
		noise = per_million;
		rng = seed * 0x9e3779b97f4a7c15ull + 1;
		serve();
	}
	close(master);
	close(slave); /* the child's stays open: who comes late finds what was said */
	return f->pid > 0;
}

bool fake_metal_went_off(struct fake_metal *f, unsigned ms)
{
	for (; ms > 0 && f->pid > 0; ms--) {
		if (waitpid(f->pid, NULL, WNOHANG) == f->pid)
			f->pid = 0;
		else
			usleep(1000);
	}
	return f->pid == 0;
}

void fake_metal_stop(struct fake_metal *f)
{
	if (f->pid <= 0)
		return;
	kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, NULL, 0);
	f->pid = 0;
}
