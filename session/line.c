/*
 * The line's thread: frames in, commands out. A command is sent, sent again when no reply comes (the line may have lost
 * it, or the reply), and given up when the VMM has been silent for long. The VMM remembers the last tag only, so there
 * is one command on its way at a time; what must overtake it (an answer, a credit) is sent once and not waited for.
 *
 * Read core/wire.h and core/remote.h before; next line_frames.c, stream.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "session/remote_impl.h"

#define MS 1000000ull
#define RESEND_FIRST (250 * MS)
#define RESEND_BYTE (MS / 5) /* more for each byte: twice what it takes at 115200 baud */
#define RESEND_MAX (2000 * MS)
#define SILENCE (20000 * MS)	 /* no frame for so long, and a command unanswered: nobody is there */
#define SILENCE_STOP (5000 * MS) /* the same when somebody waits for the end */
#define ASK (50 * MS)		 /* whether the user has stopped it */
#define GIVE_UP (60000 * MS)	 /* frames come, but never the reply */

uint64_t session_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void raise_event(int fd)
{
	const uint64_t one = 1;
	(void)!write(fd, &one, sizeof one);
}

static void clear_event(int fd)
{
	uint64_t n;
	(void)!read(fd, &n, sizeof n);
}

void line_kick(struct remote *r)
{
	raise_event(r->news);
}

static void tell_all(struct remote *r)
{
	pthread_cond_broadcast(&r->changed);
	raise_event(r->news);
}

/* --- Out --------------------------------------------------------------------------------------------------------- */

static void put(void *arg, const void *p, size_t n)
{
	struct remote *r = arg;
	if (r->out_n + n > r->out_cap) {
		size_t cap = (r->out_n + n) * 2;
		uint8_t *more = realloc(r->out, cap);
		if (!more)
			return; /* as if the line had lost it: it is sent again */
		r->out = more;
		r->out_cap = cap;
	}
	memcpy(r->out + r->out_n, p, n);
	r->out_n += n;
}

/* A VMM that is asked questions listens all the time. */
static void wake_up(struct remote *r, enum remote_cmd op, uint64_t now)
{
	static const uint8_t wake = WIRE_WAKE;
	if (r->machine.kept || !r->guests_started || op == CMD_ANSWER || r->out_n)
		return;
	(void)!write(r->machine.line, &wake, 1);
	r->hold_until_ns = now + WIRE_WAKE_NS;
}

static void flush(struct remote *r, uint64_t now)
{
	while (r->out_n && now >= r->hold_until_ns) {
		ssize_t n = write(r->machine.line, r->out, r->out_n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			r->out_n = 0; /* reading says what happened */
			return;
		}
		r->out_n -= (size_t)n;
		memmove(r->out, r->out + n, r->out_n);
	}
}

static void send_command(struct remote *r, struct command *c, uint64_t now)
{
	struct {
		struct msg_cmd head;
		uint8_t data[CMD_DATA_MAX];
	} m;
	m.head = c->head;
	if (c->n)
		memcpy(m.data, c->data, c->n);
	wake_up(r, c->head.op, now);
	wire_send(&r->tx, MSG_CMD, c->vm, &m, sizeof m.head + c->n);
	if (!c->tries++) {
		c->sent_ns = now;
		c->wait_ns = RESEND_FIRST + c->n * RESEND_BYTE;
	} else {
		c->wait_ns = c->wait_ns * 3 / 2 < RESEND_MAX ? c->wait_ns * 3 / 2 : RESEND_MAX;
		r->facts.resent++;
	}
	c->again_ns = now + c->wait_ns;
}

void line_finish(struct remote *r, struct command *c, enum err e)
{
	c->err = e;
	c->active = false;
	c->done = true;
	if (r->current == c)
		r->current = NULL;
	if (r->held == c)
		r->held = NULL;
	tell_all(r);
}

/* Whoever waits for a reply waits no longer. */
static void finish_all(struct remote *r, enum err e)
{
	if (r->current)
		line_finish(r, r->current, e);
	if (r->held)
		line_finish(r, r->held, e);
	for (struct command *c; (c = r->first);) {
		r->first = c->next;
		if (c->once)
			free(c);
		else
			line_finish(r, c, e);
	}
	r->last = NULL;
}

void line_dead(struct remote *r, const char *fmt, ...)
{
	va_list ap;
	if (!r->dead) {
		va_start(ap, fmt);
		vsnprintf(r->dead_why.text, sizeof r->dead_why.text, fmt, ap);
		va_end(ap);
	}
	r->dead = true;
	finish_all(r, ERR_IO);
	tell_all(r);
}

/* --- In ---------------------------------------------------------------------------------------------------------- */

static void machine_gone(struct remote *r)
{
	char words[160];
	if (r->dead)
		return;
	machine_last_words(&r->machine, words, sizeof words);
	if (r->bye)
		line_dead(r, "the machine was switched off");
	else
		line_dead(r, "the machine (%s) ended %s%s%s", r->machine.kept ? r->facts.machine.name : r->want.device,
		    r->hello_seen ? "in the middle of the session" : "before the VMM had started", words[0] ? ": " : "",
		    words);
}

/* A loopback connection whose other end sends byte by byte waits for our acknowledgement, which the kernel holds back
 * for 40 ms unless it is told each time. On any other line this call fails, and nobody minds. */
static void acknowledge_now(int fd)
{
	const int one = 1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

/* False: the line is at its end. */
static bool receive(struct remote *r)
{
	static _Thread_local uint8_t buf[65536];
	for (;;) {
		ssize_t n = read(r->machine.line, buf, sizeof buf);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		acknowledge_now(r->machine.line);
		pthread_mutex_lock(&r->lock);
		wire_rx_feed(&r->rx, buf, (size_t)n, line_got_frame, r);
		if (!r->dead)
			line_copy_counts(r);
		pthread_mutex_unlock(&r->lock);
	}
}

/* --- The thread -------------------------------------------------------------------------------------------------- */

/* A credit would make the VMM forget the last tag: not while one is out that must not be done twice. */
static bool may_overtake(const struct remote *r, const struct command *c)
{
	const struct command *cur = r->current;
	if (r->questions && !c->once && !c->under_question)
		return false;
	if (!cur)
		return true;
	return c->once && (c->head.op == CMD_ANSWER || (cur->head.op != CMD_STEP && cur->head.op != CMD_TYPE));
}

static void send_what_may(struct remote *r, uint64_t now)
{
	struct command **at = &r->first, *prev = NULL;
	while (*at) {
		struct command *c = *at;
		if (!may_overtake(r, c)) {
			prev = c;
			at = &c->next;
			continue;
		}
		*at = c->next;
		if (r->last == c)
			r->last = prev;
		send_command(r, c, now);
		if (c->once) {
			free(c);
		} else {
			c->active = true;
			r->current = c;
		}
	}
}

/* Somebody has stopped a guest, and waits for it. */
static bool user_waits(const struct remote *r)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->mirrors[i].vm && r->mirrors[i].vm->stop)
			return true;
	return false;
}

static void check_reply(struct remote *r, uint64_t now)
{
	struct command *c = r->current;
	char last[400];
	if (!c || now < c->again_ns)
		return;
	uint64_t heard = r->heard_ns > c->sent_ns ? r->heard_ns : c->sent_ns;
	uint64_t silence = user_waits(r) ? SILENCE_STOP : SILENCE;
	if (now - heard > silence || now - c->sent_ns > GIVE_UP)
		line_dead(r, "the VMM does not answer: %s for %llu seconds%s%s",
		    now - heard > silence ? "silent" : "no reply",
		    (unsigned long long)((now - (now - heard > silence ? heard : c->sent_ns)) / 1000000000u),
		    r->facts.log[0] ? "; it last wrote: " : "", line_last_log(r, last));
	else
		send_command(r, c, now);
}

static int next_timeout(const struct remote *r, uint64_t now)
{
	if (r->out_n && r->hold_until_ns > now)
		return (int)((r->hold_until_ns - now) / MS) + 1;
	if (!r->current)
		return 1000;
	return r->current->again_ns > now ? (int)((r->current->again_ns - now) / MS) + 1 : 0;
}

static void *line_thread(void *arg)
{
	struct remote *r = arg;
	bool open = true;
	for (;;) {
		uint64_t now = session_now_ns();
		pthread_mutex_lock(&r->lock);
		if (!r->dead) {
			send_what_may(r, now);
			check_reply(r, now);
		}
		int timeout = next_timeout(r, now);
		bool closing = r->closing;
		pthread_mutex_unlock(&r->lock);
		if (closing)
			return NULL;
		flush(r, now);
		struct pollfd p[] = {{r->wake, POLLIN, 0},
		    {open ? r->machine.line : -1, (short)(POLLIN | (r->out_n && now >= r->hold_until_ns ? POLLOUT : 0)),
			0},
		    {r->machine.kept && open ? r->machine.keeper.ctl : -1, POLLIN, 0}};
		if (poll(p, 3, timeout) < 0 && errno != EINTR)
			return NULL;
		if (p[0].revents)
			clear_event(r->wake);
		bool ended = p[2].revents && !machine_runs(&r->machine);
		if (p[1].revents & (POLLIN | POLLHUP | POLLERR) || ended)
			open = receive(r) && !ended;
		if (!open && !r->dead) {
			pthread_mutex_lock(&r->lock);
			machine_gone(r);
			pthread_mutex_unlock(&r->lock);
		}
	}
}

enum err line_start(struct remote *r, struct errmsg *why)
{
	sigset_t all, old;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	r->items_end = &r->items;
	r->next_tag = (uint32_t)session_now_ns() | 1; /* not the tags of the session before, on the same line */
	r->tx = (struct wire_tx){.put = put, .arg = r};
	wire_rx_init(&r->rx);
	r->heard_ns = session_now_ns();
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* Signals are for the thread that drives. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r->thread_runs = r->wake >= 0 && r->news >= 0 && pthread_create(&r->thread, NULL, line_thread, r) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r->thread_runs ? ERR_OK : err_set(why, ERR_NOMEM, "no thread for the serial line");
}

void line_stop(struct remote *r)
{
	if (!r->thread_runs)
		return;
	pthread_mutex_lock(&r->lock);
	r->closing = true;
	pthread_mutex_unlock(&r->lock);
	raise_event(r->wake);
	pthread_join(r->thread, NULL);
	r->thread_runs = false;
	close(r->wake);
	close(r->news);
	for (struct item *it; (it = r->items);) {
		r->items = it->next;
		free(it);
	}
	for (struct command *c; (c = r->first);) {
		r->first = c->next;
		if (c->once)
			free(c);
	}
	free(r->out);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

/* --- For the other threads --------------------------------------------------------------------------------------- */

/* False: the machine is gone, nobody will look at it. */
static bool append(struct remote *r, struct command *c)
{
	pthread_mutex_lock(&r->lock);
	if (++r->next_tag == 0)
		r->next_tag = 1;
	c->head.tag = r->next_tag;
	c->under_question = r->questions != 0;
	c->next = NULL;
	bool taken = !r->dead;
	if (taken && r->last)
		r->last->next = c;
	else if (taken)
		r->first = c;
	if (taken)
		r->last = c;
	pthread_mutex_unlock(&r->lock);
	raise_event(r->wake);
	return taken;
}

void line_post(struct remote *r, struct command *c)
{
	c->once = c->active = c->done = false;
	c->tries = 0;
	if (!append(r, c)) {
		c->err = ERR_IO;
		c->done = true;
	}
}

void line_post_once(struct remote *r, uint8_t vm, enum remote_cmd op, const uint64_t arg[3], const void *data, size_t n)
{
	struct command *c = malloc(sizeof *c + n);
	if (!c)
		return;
	*c = (struct command){.head = {.op = op, .arg = {arg[0], arg[1], arg[2]}}, .vm = vm, .once = true};
	if (n) {
		memcpy(c + 1, data, n);
		c->data = c + 1;
		c->n = (uint32_t)n;
	}
	if (!append(r, c))
		free(c);
}

bool line_done(struct remote *r, struct command *c)
{
	pthread_mutex_lock(&r->lock);
	bool done = c->done;
	pthread_mutex_unlock(&r->lock);
	return done;
}

void line_wait_change(struct remote *r, uint64_t until)
{
	uint64_t soon = session_now_ns() + ASK;
	if (soon < until)
		until = soon;
	const struct timespec t = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
	(void)pthread_cond_timedwait(&r->changed, &r->lock, &t);
	if (!r->dead && remote_was_stopped(r))
		finish_all(r, ERR_AGAIN); /* the line lives, so that the VMM can be told to go off */
}

enum err line_wait(struct remote *r, struct command *c)
{
	pthread_mutex_lock(&r->lock);
	while (!c->done)
		line_wait_change(r, UINT64_MAX);
	pthread_mutex_unlock(&r->lock);
	return c->err;
}

enum err line_call(struct remote *r, struct command *c)
{
	line_post(r, c);
	return line_wait(r, c);
}

bool line_is_dead(struct remote *r)
{
	pthread_mutex_lock(&r->lock);
	bool is = r->dead;
	pthread_mutex_unlock(&r->lock);
	return is;
}

void line_under_question(struct remote *r)
{
	pthread_mutex_lock(&r->lock);
	if (r->questions++ == 0) {
		r->held = r->current;
		r->current = NULL;
	}
	pthread_mutex_unlock(&r->lock);
}

void line_question_over(struct remote *r)
{
	pthread_mutex_lock(&r->lock);
	if (--r->questions == 0 && r->held) {
		r->current = r->held;
		r->held = NULL;
		r->current->sent_ns = session_now_ns(); /* its patience begins anew */
		r->current->again_ns = r->current->sent_ns + r->current->wait_ns;
	}
	pthread_mutex_unlock(&r->lock);
	raise_event(r->wake);
}

struct item *line_take(struct remote *r)
{
	pthread_mutex_lock(&r->lock);
	struct item *it = r->items;
	if (it) {
		r->items = it->next;
		if (!r->items)
			r->items_end = &r->items;
	}
	pthread_mutex_unlock(&r->lock);
	return it;
}

void line_wait_news(struct remote *r, int timeout_ms)
{
	struct pollfd p = {r->news, POLLIN, 0};
	(void)poll(&p, 1, timeout_ms);
	clear_event(r->news);
}
