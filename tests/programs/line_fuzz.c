/*
 * Says everything wrong that can be said to the bare-metal VMM's agent, over the line of tests/programs/agent_server:
 * random bytes, frames with damage, and, with good checksums, commands that nobody would send, before there are guests
 * and while they run. The agent has to answer sensible questions in between, and to end when it is told to.
 *
 * usage: line_fuzz DEVICE BUNDLE SEED ROUNDS      status 0: it lived, answered, and said good-bye
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/bundle.h"
#include "core/host.h"
#include "core/remote.h"
#include "core/wire.h"

#define ANSWER_MS 20000
#define PIECE 4096u

static int line = -1;
static uint64_t rng = 1;
static struct wire_tx tx;
static struct wire_rx rx;
static uint8_t bundle[1 << 22];
static size_t bundle_len;

/* What was heard. */
static uint32_t reply_err;
static uint64_t replies, questions, question, answers;
static bool bye;
static struct x86_state state; /* the last that was asked for; size 0: none */

static uint64_t draw(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static void die(const char *what)
{
	fprintf(stderr, "line_fuzz: %s\n", what);
	exit(1);
}

static void got(void *arg, const struct wire_frame *f)
{
	const struct msg_reply *r = (const void *)f->payload;

	(void)arg;
	if (f->type == MSG_BYE)
		bye = true;
	if (f->type == MSG_PANIC)
		die("the VMM says that it has stopped");
	if (f->type == MSG_USER && f->len == sizeof(struct msg_user)) {
		const struct msg_user *m = (const void *)f->payload;
		questions += m->number != question;
		question = m->number;
	}
	if (f->type != MSG_REPLY || f->len < sizeof(*r))
		return;
	reply_err = r->err;
	replies++;
	if (f->len == sizeof(*r) + sizeof(state))
		memcpy(&state, f->payload + sizeof(*r), sizeof(state));
}

/* Listens until the line is quiet for ms, or for a second; true when the other end hung up. */
static bool listen_for(int ms)
{
	struct pollfd p = {.fd = line, .events = POLLIN};
	uint8_t buf[4096];
	uint64_t until = host_posix_ops.now_ns() + 1000000000;

	while (poll(&p, 1, ms) > 0 && host_posix_ops.now_ns() < until) {
		ssize_t n = read(line, buf, sizeof(buf));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return true;
		wire_rx_feed(&rx, buf, (size_t)n, got, NULL);
	}
	return false;
}

/* Always listens too: two ends that both only talk would wait for each other. */
static void say(void *arg, const void *data, size_t n)
{
	const uint8_t *p = data;
	struct pollfd f = {.fd = line, .events = POLLOUT | POLLIN};

	(void)arg;
	while (n) {
		if (poll(&f, 1, ANSWER_MS) <= 0)
			die("the agent does not listen any more");
		if (f.revents & POLLIN)
			(void)listen_for(0);
		if (!(f.revents & POLLOUT)) {
			if (f.revents & (POLLHUP | POLLERR))
				die("the agent is gone");
			continue;
		}
		ssize_t k = write(line, p, n > 512 ? 512 : n);
		if (k < 0 && errno != EAGAIN && errno != EINTR)
			die("the agent is gone");
		if (k > 0) {
			p += k;
			n -= (size_t)k;
		}
	}
}

static void command(uint32_t op, uint8_t vm, const uint64_t arg[3], const void *data, size_t n)
{
	static uint32_t tag;
	struct {
		struct msg_cmd c;
		uint8_t data[WIRE_PAYLOAD_MAX - sizeof(struct msg_cmd)];
	} m = {.c = {.tag = ++tag, .op = op, .arg = {arg[0], arg[1], arg[2]}}};

	if (n)
		memcpy(m.data, data, n);
	wire_send(&tx, MSG_CMD, vm, &m, sizeof(m.c) + n);
}

/* A sensible command, and its answer. The line towards the agent may end in half a frame: it is asked again then. */
static uint32_t ask(uint32_t op, uint64_t a0, uint64_t a1, const void *data, size_t n)
{
	const uint64_t arg[3] = {a0, a1, 0};

	for (int tries = 0; tries < 10; tries++) {
		uint64_t before = replies;
		command(op, 0, arg, data, n);
		for (int ms = 0; ms < ANSWER_MS / 10; ms += 20) {
			bool gone = listen_for(20);
			if (replies != before)
				return reply_err;
			if (gone)
				die("the agent hung up");
		}
	}
	die("no answer to a sensible command");
	return 0;
}

static void quiet(void)
{
	for (uint64_t before = replies + 1; before != replies;) {
		before = replies;
		(void)listen_for(200);
	}
	if (ask(CMD_HELLO, 0, 0, NULL, 0) != ERR_OK)
		die("a greeting is refused");
}

/* Without sense, but so that a receiver finds something to look at: sync bytes, half headers. */
static void random_bytes(void)
{
	uint8_t buf[256];
	size_t n = 1 + draw() % sizeof(buf);

	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)draw();
	for (size_t i = 0; i + 1 < n; i++)
		if (draw() % 16 == 0) {
			buf[i] = 0xd5;
			buf[i + 1] = 0xaa;
		}
	say(NULL, buf, n);
}

struct broken {
	uint8_t bytes[2 * WIRE_FRAME_MAX];
	size_t n;
};

static void keep(void *arg, const void *p, size_t n)
{
	struct broken *b = arg;

	memcpy(b->bytes + b->n, p, n);
	b->n += n;
}

/* A command to switch off with one bit turned: it must not be heard. */
static void damaged_frame(void)
{
	static struct broken b;
	struct wire_tx t = {.put = keep, .arg = &b};
	const struct msg_cmd c = {.tag = 0x7fffffff, .op = CMD_STOP};

	b.n = 0;
	wire_send(&t, MSG_CMD, 0, &c, sizeof(c));
	b.bytes[draw() % b.n] ^= (uint8_t)(1u << draw() % 8);
	say(NULL, b.bytes, b.n);
}

static uint64_t number(void)
{
	switch (draw() % 5) {
	case 0:
		return draw() % 4;
	case 1:
		return draw() % 8192;
	case 2:
		return ~0ull - draw() % 4096;
	case 3:
		return draw() & 0x7ffffff;
	default:
		return draw();
	}
}

static void turn_bits(void *p, size_t n, uint64_t times)
{
	for (uint64_t i = 0; i < times; i++)
		((uint8_t *)p)[draw() % n] ^= (uint8_t)(1u << draw() % 8);
}

static void send_answer(void)
{
	static struct msg_user_answer a;
	bool wild = draw() % 8 == 0; /* else: do what you would have done, and the guest lives on */
	const uint64_t arg[3] = {question, wild ? draw() % (VERDICT_COUNT + 1) : VERDICT_USER, draw() % 2};

	memset(&a, 0, sizeof(a));
	if (wild)
		turn_bits(&a, sizeof(a), draw() % 8);
	a.changed = wild && state.size;
	a.state = state;
	if (a.changed)
		turn_bits(&a.state, sizeof(a.state), draw() % 3);
	command(CMD_ANSWER, 0, arg, &a, sizeof(a));
	answers++;
}

static void random_command(void)
{
	uint8_t data[1024];
	uint64_t arg[3] = {number(), number(), number()};
	uint32_t op = (uint32_t)(draw() % (CMD_WRMSR + 4)); /* some that do not exist */
	size_t n = draw() % 2 ? draw() % sizeof(data) : 0;

	if (op == CMD_STOP || (op == CMD_SET_STATE && draw() % 4))
		op = CMD_STEP;
	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)draw();
	if (op == CMD_CLAIM && draw() % 2) { /* where the guest looks */
		arg[0] = 0;
		arg[1] = draw() % 0x400;
		arg[2] = 1 + draw() % 8;
	}
	if (op == CMD_INTERCEPT && draw() % 2) {
		arg[0] = draw() % EXIT_SDM_COUNT;
		arg[1] = draw() % 2;
	}
	if (op == CMD_SET_STATE && state.size) {
		struct x86_state s = state;
		turn_bits(&s, sizeof(s), 1 + draw() % 4);
		command(op, 0, arg, &s, sizeof(s));
	} else if (op == CMD_ANSWER && draw() % 4) {
		send_answer();
	} else {
		command(op, draw() % 4 ? 0 : (uint8_t)draw(), arg, data, n);
	}
}

/* One exit is asked about at a time: a guest does not go on under a question. */
static void step_under_question(void)
{
	const uint64_t none[3] = {0};

	command(CMD_STEP, 0, none, NULL, 0);
	for (int i = 0; i < 100 && !question; i++)
		(void)listen_for(20);
	if (!question)
		die("an exit that was to be handed over was not");
	if (ask(CMD_STEP, 0, 0, NULL, 0) != ERR_AGAIN)
		die("a guest was stepped while it waited for an answer");
	const struct msg_user_answer a = {0};
	const uint64_t arg[3] = {question, VERDICT_USER, 0};
	command(CMD_ANSWER, 0, arg, &a, sizeof(a));
	quiet();
}

static void read_bundle(const char *path)
{
	FILE *f = fopen(path, "rbe");

	if (!f)
		die("the bundle cannot be read");
	bundle_len = fread(bundle, 1, sizeof(bundle), f);
	fclose(f);
}

/* Whole, and with a part turned around before and the checksum made good again: the pieces arrive, the rest is refused
 * in words or leads to guests. */
static uint32_t load(bool spoil)
{
	static uint8_t copy[sizeof(bundle)];
	struct bundle *b = (void *)copy;

	memcpy(copy, bundle, bundle_len);
	if (spoil) {
		size_t from = offsetof(struct bundle, len);
		turn_bits(copy + from, offsetof(struct bundle, vms[1]) - from, 1 + draw() % 4);
		b->crc = wire_crc32(0, copy + from, bundle_len - from);
	}
	for (size_t at = 0; at < bundle_len; at += PIECE) {
		size_t n = bundle_len - at < PIECE ? bundle_len - at : PIECE;
		if (ask(CMD_LOAD, at, bundle_len, copy + at, n) != ERR_OK)
			die("a piece of a bundle is refused");
	}
	return ask(CMD_START, bundle_len, 0, NULL, 0);
}

static void open_line(const char *path)
{
	struct termios t;

	line = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (line < 0 || tcgetattr(line, &t))
		die("the line cannot be opened");
	cfmakeraw(&t);
	if (tcsetattr(line, TCSANOW, &t))
		die("the line cannot be set up");
	tx = (struct wire_tx){.put = say};
	wire_rx_init(&rx);
}

/* An agent that holds a question waits for its answer, and does the rest afterwards. A terminal that is hung up may
 * drop the last frame: the hang-up itself is then the good-bye, and the test looks at how the process ended. */
static void good_bye(void)
{
	const uint64_t none[3] = {0};

	for (int i = 0; i < 50 && !bye; i++) {
		command(CMD_STOP, 0, none, NULL, 0);
		if (listen_for(200))
			bye = true;
	}
	if (!bye)
		die("it was told to end, and did not say good-bye");
}

int main(int argc, char **argv)
{
	if (argc != 5)
		die("usage: line_fuzz DEVICE BUNDLE SEED ROUNDS");
	rng = strtoull(argv[3], NULL, 0) * 2654435761u + 1;
	unsigned long rounds = strtoul(argv[4], NULL, 0);
	read_bundle(argv[2]);
	open_line(argv[1]);
	quiet();
	for (unsigned long i = 0; i < rounds; i++)
		random_bytes();
	quiet();
	for (unsigned long i = 0; i < rounds; i++)
		damaged_frame();
	quiet();
	for (unsigned long i = 0; i < rounds; i++)
		random_command();
	quiet();
	/* Odd seeds: a bundle that is wrong inside, until one leads to guests. */
	bool started = false;
	for (int i = 0; i < 20 && strtoull(argv[3], NULL, 0) % 2 && !started; i++)
		started = load(true) == ERR_OK;
	bool good = !started;
	if (good && load(false) != ERR_OK)
		die("a good bundle is refused after all that");
	(void)ask(CMD_GET_STATE, 0, 0, NULL, 0);
	for (unsigned reason = 0; reason < EXIT_SDM_COUNT; reason++)
		(void)ask(CMD_INTERCEPT, reason, 1, NULL, 0);
	if (good)
		step_under_question();
	for (unsigned long i = 0; i < rounds; i++) {
		random_command();
		if (draw() % 64 == 0)
			random_bytes();
		if (question && draw() % 4 == 0)
			send_answer();
	}
	quiet();
	good_bye();
	printf("%llu replies, %llu questions, %llu answers, %llu frames, %llu damaged, %llu noise bytes\n",
	    (unsigned long long)replies, (unsigned long long)questions, (unsigned long long)answers,
	    (unsigned long long)rx.frames, (unsigned long long)rx.bad_frames, (unsigned long long)rx.noise_bytes);
	if (rx.bad_frames || rx.noise_bytes || rx.lost)
		die("what the agent says is damaged");
	return 0;
}
