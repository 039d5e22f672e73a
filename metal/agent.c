/*
 * The session, from the VMM's side: commands come in frames, each is done once and answered. Read core/remote.h first.
 */
#include "metal/agent_impl.h"

#include "core/env.h"
#include "core/irq.h"
#include "core/lib.h"
#include "core/machine.h"

#define BYTE_NS 87000ull   /* at 115200 baud */
#define QUIET_NS 300000ull /* between two frames: a byte takes 87 us at 115200 baud */
#define POLL_BYTES 4096u   /* taken from the line at a time */
#define LOAD_MAX (512ull << 20)

void agent_log(struct agent *a, const char *fmt, ...)
{
	char line[400];
	va_list ap;

	va_start(ap, fmt);
	int n = fmt_vsnprintf(line, sizeof(line) - 2, fmt, ap);
	va_end(ap);
	size_t len = n < 0 ? 0 : n < (int)sizeof(line) - 2 ? (size_t)n : sizeof(line) - 3;
	if (a->session) {
		wire_send(&a->tx, MSG_LOG, 0, line, len);
		return;
	}
	line[len++] = '\n';
	a->boot->put(line, len);
}

/* What the VMM itself has to say would be noise between the frames. */
static void log_to_session(void *arg, enum log_level level, const char *line)
{
	static const char *const names[] = {
	    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warning", [LOG_ERROR] = "error"};

	agent_log(arg, "%s: %s", (unsigned)level < ARRAY_LEN(names) ? names[level] : "log", line);
}

static void say_hello(struct agent *a)
{
	struct msg_hello m = a->boot->facts;

	m.version = REMOTE_VERSION;
	m.size = sizeof(struct x86_state);
	m.has_bundle = a->boot->bundle != NULL;
	m.has_bulk = a->boot->disk_write != NULL;
	m.started = a->started;
	wire_send(&a->tx, MSG_HELLO, 0, &m, sizeof(m));
}

void agent_state(struct agent_guest *g)
{
	const struct msg_state m = {.running = g->running && !g->ended, .ended = g->ended};

	wire_send(&g->agent->tx, MSG_STATE, (uint8_t)g->index, &m, sizeof(m));
}

/* --- Commands ---------------------------------------------------------------------------------------------------- */

struct command {
	struct agent *a;
	struct agent_guest *g; /* that of the frame; NULL: no such guest */
	struct agent_reply *out;
	const struct msg_cmd *c;
	const uint8_t *data;
	size_t n;
};

static enum err do_load(const struct command *k)
{
	struct agent *a = k->a;
	uint64_t at = k->c->arg[0], all = k->c->arg[1];

	if (a->started || all < sizeof(struct bundle) || all > LOAD_MAX || at > all || k->n > all - at)
		return ERR_RANGE;
	if (a->loaded && a->loaded_len != all) {
		a->boot->host->page_free(a->loaded, a->loaded_len);
		a->loaded = NULL;
	}
	if (!a->loaded)
		a->loaded = a->boot->host->page_alloc(all);
	if (!a->loaded)
		return ERR_NOMEM;
	a->loaded_len = all;
	memcpy(a->loaded + at, k->data, k->n);
	return ERR_OK;
}

static enum err start(struct agent *a, const struct bundle *b)
{
	struct errmsg why = {{0}};

	a->bundle = b;
	enum err e = guests_create(a, &why);
	if (e != ERR_OK)
		agent_log(a, "%s", why.text);
	a->started = e == ERR_OK;
	return e;
}

static enum err do_start(const struct command *k)
{
	struct agent *a = k->a;
	const void *p = k->c->arg[0] ? (const void *)a->loaded : a->boot->bundle;
	uint64_t n = k->c->arg[0] ? a->loaded_len : a->boot->bundle ? a->boot->bundle->len : 0;
	struct errmsg why = {{0}};

	if (a->started)
		return ERR_OK;
	if (!p)
		return ERR_NOENT;
	enum err e = bundle_check(p, n, &why);
	if (e != ERR_OK) {
		agent_log(a, "%s", why.text);
		return e;
	}
	return start(a, p);
}

/* Can it go on? Then it has not ended, whatever was said. */
static bool revive(struct agent_guest *g)
{
	if (!g->vm || (g->ended && !vm_may_resume(g->vm)))
		return false;
	if (g->ended)
		g->ended = g->end_sent = false;
	return true;
}

static void set_running(struct agent_guest *g, bool on)
{
	g->running = on && revive(g);
}

static enum err do_run(const struct command *k, bool on)
{
	if (!k->a->started)
		return ERR_AGAIN;
	for (unsigned i = 0; i < k->a->n_guests; i++)
		if (!k->c->arg[0] || k->g == &k->a->guests[i]) {
			set_running(&k->a->guests[i], on);
			if (!on && k->a->asking && k->a->guests[i].vm)
				k->a->guests[i].vm->pause = 1; /* after this exit */
		}
	stream_flush(k->a);
	for (unsigned i = 0; i < k->a->n_guests; i++)
		console_flush(&k->a->guests[i]);
	return ERR_OK;
}

static enum err do_step(const struct command *k, uint64_t *value)
{
	struct agent_guest *g = k->g;
	uint64_t before = g->exits;

	if (k->a->asking) /* a guest still comes to the end of its exit */
		return ERR_AGAIN;
	if (g->running || k->a->writing)
		return ERR_BUSY;
	if (!revive(g)) { /* the message of its end was lost */
		guest_send_end(g);
		return ERR_OK;
	}
	enum err e = vm_step_exit(g->vm, &g->vm->vcpus[0]);
	*value = g->exits != before;
	g->ended = g->vm->ended;
	console_flush(g);
	stream_flush(k->a);
	if (g->ended)
		guest_send_end(g);
	return e;
}

static enum err do_get_state(const struct command *k)
{
	const struct x86_state *s = vcpu_state(&k->g->vm->vcpus[0]);

	_Static_assert(sizeof(*s) <= sizeof(k->out->data), "a state fits into a reply");
	if (!s)
		return ERR_IO;
	memcpy(k->out->data, s, sizeof(*s));
	k->out->len = sizeof(*s);
	return ERR_OK;
}

enum err agent_take_state(struct vcpu *v, const struct x86_state *in)
{
	struct x86_state *s;

	if (in->version != X86_STATE_VERSION || in->size != sizeof(*in))
		return ERR_FORMAT;
	s = vcpu_state_for_write(v, DIRTY_ALL);
	if (!s)
		return ERR_IO;
	*s = *in;
	x86_state_changed(&v->cpu);
	return ERR_OK;
}

static enum err do_set_state(const struct command *k)
{
	if (k->n != sizeof(struct x86_state))
		return ERR_FORMAT;
	return agent_take_state(&k->g->vm->vcpus[0], (const void *)k->data);
}

static enum err do_read_mem(const struct command *k)
{
	if (k->c->arg[1] > PAGE_SIZE_4K)
		return ERR_RANGE;
	k->out->len = (uint32_t)k->c->arg[1];
	return mem_read(&k->g->vm->mem, k->c->arg[0], k->out->data, k->c->arg[1]);
}

static enum err do_write_mem(const struct command *k)
{
	k->g->checkpoint_at = 0;
	return vm_write_mem(k->g->vm, k->c->arg[0], k->data, k->n);
}

static enum err do_msr(const struct command *k, uint64_t *value)
{
	struct vcpu *v = &k->g->vm->vcpus[0];
	bool is_write = k->c->op == CMD_WRMSR;

	if (k->c->arg[0] > UINT32_MAX)
		return ERR_NOENT;
	if (!(is_write ? vcpu_state_for_write(v, DIRTY_ALL) : vcpu_state(v)))
		return ERR_IO;
	bool there = is_write ? vcpu_set_msr(v, (uint32_t)k->c->arg[0], k->c->arg[1])
			      : vcpu_get_msr(v, (uint32_t)k->c->arg[0], value);
	return there ? ERR_OK : ERR_NOENT;
}

static enum err do_intercept(const struct command *k)
{
	uint64_t reason = k->c->arg[0];

	if (reason >= EXIT_SDM_COUNT)
		return ERR_RANGE;
	uint64_t *word = &k->g->vm->user_reasons[reason / 64], bit = 1ull << reason % 64;
	*word = k->c->arg[1] ? *word | bit : *word & ~bit;
	return ERR_OK;
}

static enum err do_answer(const struct command *k)
{
	struct agent *a = k->a;

	if (k->n != sizeof(a->answer_data) || k->c->arg[1] >= VERDICT_COUNT)
		return ERR_FORMAT;
	if (k->c->arg[0] != a->question)
		return ERR_OK; /* of a question that was answered before */
	memcpy(&a->answer_data, k->data, sizeof(a->answer_data));
	a->answer = (enum verdict)k->c->arg[1];
	a->answer_again = k->c->arg[2] == 1;
	a->answered = true;
	return ERR_OK;
}

static enum err do_sync(const struct command *k)
{
	stream_flush(k->a);
	for (unsigned i = 0; i < k->a->n_guests; i++) {
		struct agent_guest *g = &k->a->guests[i];
		console_flush(g);
		if (g->end_sent)
			guest_send_end(g);
		else
			agent_state(g);
	}
	return ERR_OK;
}

/* Commands about one guest need one that exists. */
static enum err do_guest(const struct command *k, uint64_t *value)
{
	if (!k->a->started || !k->g || !k->g->vm)
		return ERR_NOENT;
	switch (k->c->op) { /* enum remote_cmd */
	case CMD_STEP:
		return do_step(k, value);
	case CMD_GET_STATE:
		return do_get_state(k);
	case CMD_SET_STATE:
		return do_set_state(k);
	case CMD_READ_MEM:
		return do_read_mem(k);
	case CMD_WRITE_MEM:
		return do_write_mem(k);
	case CMD_TYPE:
		*value = machine_type(k->g->vm, k->data, k->n);
		return ERR_OK;
	case CMD_INTERCEPT:
		return do_intercept(k);
	case CMD_REPORT:
		if (k->g->running)
			return ERR_BUSY;
		_Static_assert(sizeof(k->g->end) <= sizeof(k->out->data), "a report fits into a reply");
		guest_report(k->g);
		memcpy(k->out->data, &k->g->end, sizeof(k->g->end));
		k->out->len = sizeof(k->g->end);
		return ERR_OK;
	case CMD_CHECKPOINT:
		stream_checkpoint(k->g);
		stream_flush(k->a);
		return ERR_OK;
	case CMD_CLAIM:
		return agent_claim(k->g, k->c->arg[0] == 1, k->c->arg[1], k->c->arg[2]);
	case CMD_IRQ:
		if (k->c->arg[0] >= 16)
			return ERR_RANGE;
		irq_set_line(k->g->vm, (unsigned)k->c->arg[0], k->c->arg[1] != 0);
		return ERR_OK;
	case CMD_RDMSR:
	case CMD_WRMSR:
		return do_msr(k, value);
	default:
		return ERR_INVAL;
	}
}

static enum err do_command(const struct command *k, uint64_t *value)
{
	struct agent *a = k->a;

	switch (k->c->op) { /* enum remote_cmd */
	case CMD_HELLO:
		say_hello(a);
		return ERR_OK;
	case CMD_LOAD:
		return do_load(k);
	case CMD_START:
		return do_start(k);
	case CMD_CONTINUE:
		return do_run(k, true);
	case CMD_PAUSE:
		return do_run(k, false);
	case CMD_ANSWER:
		return do_answer(k);
	case CMD_CREDIT:
		if (k->c->arg[0] > a->bulk_credit)
			a->bulk_credit = k->c->arg[0];
		return ERR_OK;
	case CMD_SYNC:
		return do_sync(k);
	case CMD_STOP:
		a->stop = true;
		return ERR_OK;
	default:
		return do_guest(k, value);
	}
}

static void send_reply(struct agent *a, uint8_t vm, const struct agent_reply *r)
{
	struct {
		struct msg_reply head;
		uint8_t data[sizeof(r->data)];
	} *m = (void *)a->events; /* the events were sent before: stream_flush() */

	_Static_assert(sizeof(*m) <= EVENTS_BUF, "a reply fits");
	if (a->events_n)
		stream_flush(a);
	m->head = r->head;
	memcpy(m->data, r->data, r->len);
	wire_send(&a->tx, MSG_REPLY, vm, m, sizeof(m->head) + r->len);
}

/* Only put aside: what a command starts may itself look at the line (a question, a full disk). */
static void got_frame(void *arg, const struct wire_frame *f)
{
	struct agent *a = arg;

	if (f->type != MSG_CMD || f->len < sizeof(struct msg_cmd))
		return;
	memcpy(a->inbox.payload, f->payload, f->len);
	a->inbox.len = f->len;
	a->inbox.vm = f->vm;
}

/* What was said to this tag before, or NULL. */
static const struct agent_reply *said_before(const struct agent *a, uint32_t tag)
{
	for (unsigned i = 0; i < ARRAY_LEN(a->replies); i++)
		if (a->replies[i].head.tag == tag)
			return &a->replies[i];
	return NULL;
}

static const struct agent_reply *execute_new(
    struct agent *a, const struct agent_inbox *in, const struct msg_cmd *c, uint32_t tag)
{
	/* Under a question the reply before it is kept: it may have been lost, and be asked for again. */
	struct agent_reply *r = &a->replies[a->asking];
	const struct command k = {.a = a,
	    .g = in->vm < a->n_guests ? &a->guests[in->vm] : NULL,
	    .out = r,
	    .c = c,
	    .data = in->payload + sizeof(*c),
	    .n = in->len - sizeof(*c)};
	uint32_t busy = a->busy_tag;
	uint64_t value = 0;

	a->busy_tag = tag;
	r->head.tag = 0;
	r->len = 0;
	enum err e = do_command(&k, &value);
	a->busy_tag = busy;
	r->head = (struct msg_reply){.tag = tag, .err = (uint32_t)e, .value = value};
	return r;
}

static void execute(struct agent *a)
{
	struct agent_inbox in;
	const struct msg_cmd *c = (const void *)in.payload;

	memcpy(in.payload, a->inbox.payload, a->inbox.len);
	in.len = a->inbox.len;
	in.vm = a->inbox.vm;
	a->inbox.len = 0;
	if (c->tag == 0 || c->tag == a->busy_tag) /* asked again while it is being done: the answer will come */
		return;
	const struct agent_reply *r = said_before(a, c->tag);
	send_reply(a, in.vm, r ? r : execute_new(a, &in, c, c->tag));
}

/* Is it a line whose bytes get lost when nobody takes them? A UART's FIFO is full after 1.4 ms. */
static bool must_listen(const struct agent *a)
{
	return a->session && a->started && !a->bulk_buf;
}

/* -1: none until then. */
static int next_byte(const struct agent *a, uint64_t until)
{
	const struct host_ops *host = a->boot->host;
	int byte = a->boot->get();

	while (byte < 0 && until && host->now_ns() < until)
		byte = a->boot->get();
	return byte;
}

/* How long to listen when a byte has come: no guest goes on once somebody has begun to speak. Noise gets one wait; more
 * only what has the header of a good frame. */
static uint64_t listen_until(const struct agent *a, uint64_t until, bool done)
{
	uint64_t now = a->boot->host->now_ns();

	if (done)
		return now + QUIET_NS;
	if (a->rx.need > WIRE_HEADER && a->rx.have >= WIRE_HEADER)
		return now + 2 * BYTE_NS * (a->rx.need - a->rx.have);
	return until ? until : now + 2 * WIRE_WAKE_NS;
}

void agent_poll(struct agent *a)
{
	const bool listen = must_listen(a);
	uint64_t until = 0;
	int byte;

	a->heard = false;
	for (unsigned n = 0; n < POLL_BYTES && (byte = next_byte(a, until)) >= 0; n++) {
		const uint8_t b = (uint8_t)byte;

		a->heard = true;
		wire_rx_feed(&a->rx, &b, 1, got_frame, a);
		const bool done = a->inbox.len != 0;
		if (done)
			execute(a);
		if (!listen)
			continue;
		until = listen_until(a, until, done);
		if (a->boot->host->now_ns() >= until)
			return;
	}
}

/* --- The program ------------------------------------------------------------------------------------------------- */

static void put_line(void *arg, const void *p, size_t n)
{
	const struct agent_boot *boot = arg;

	boot->put(p, n);
}

void agent_main(const struct agent_boot *boot)
{
	struct agent *a = boot->host->page_alloc(sizeof(*a));

	if (!a) {
		static const char text[] = "vmscope-metal: no memory for the session\n";
		boot->put(text, sizeof(text) - 1);
		boot->off();
		return;
	}
	a->boot = boot;
	wire_rx_init(&a->rx);
	a->tx = (struct wire_tx){.put = put_line, .arg = (void *)(uintptr_t)boot};
	a->session = !boot->bundle || (boot->bundle->flags & BUNDLE_SESSION);
	if (a->session) {
		if (boot->set_log)
			boot->set_log(log_to_session, a);
		say_hello(a);
	} else if (start(a, boot->bundle) == ERR_OK) {
		for (unsigned i = 0; i < a->n_guests; i++)
			set_running(&a->guests[i], true);
	} else {
		a->stop = true;
	}
	sched_run(a);
	if (a->session)
		wire_send(&a->tx, MSG_BYE, 0, NULL, 0);
	guests_destroy(a);
	if (boot->set_log)
		boot->set_log(NULL, NULL);
	boot->host->page_free(a, sizeof(*a));
	boot->off();
}
