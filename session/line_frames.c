/*
 * What the VMM says on the line, frame by frame: replies go to the command that waits, the log and the last words to
 * the facts of the session, and what belongs to guests in the queue that the driving thread empties.
 *
 * Read line.c before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/remote_impl.h"

static void queue_item(struct remote *r, const struct wire_frame *f)
{
	struct item *it = malloc(sizeof *it + f->len);
	if (!it) {
		line_dead(r, "no memory for what the VMM said");
		return;
	}
	*it = (struct item){.type = f->type, .vm = f->vm, .len = f->len};
	memcpy(it->data, f->payload, f->len);
	*r->items_end = it;
	r->items_end = &it->next;
	line_kick(r);
}

static void got_hello(struct remote *r, const struct wire_frame *f)
{
	struct msg_hello *h = &r->facts.hello;
	char last[400];
	if (f->len < 2 * sizeof(uint32_t))
		return;
	memset(h, 0, sizeof *h);
	memcpy(h, f->payload, f->len < sizeof *h ? f->len : sizeof *h);
	r->hello_seen = true;
	if (h->version != REMOTE_VERSION)
		line_dead(r,
		    "the VMM speaks version %u of the protocol, this program version %u: boot the image that "
		    "was built with it",
		    h->version, REMOTE_VERSION);
	else if (f->len != sizeof *h || h->size != sizeof(struct x86_state))
		line_dead(r,
		    "the VMM has another CPU state (%u bytes, here %zu): boot the image that was built with "
		    "this program",
		    h->size, sizeof(struct x86_state));
	else if (r->guests_started && !h->started)
		line_dead(r, "the machine started anew in the middle of the session%s%s",
		    r->facts.log[0] ? "; the VMM last wrote: " : "", line_last_log(r, last));
	pthread_cond_broadcast(&r->changed);
}

static void got_reply(struct remote *r, const struct wire_frame *f)
{
	struct msg_reply m;
	if (f->len < sizeof m)
		return;
	memcpy(&m, f->payload, sizeof m);
	struct command *c = r->held && r->held->head.tag == m.tag ? r->held : r->current;
	if (!c || c->head.tag != m.tag)
		return; /* of a command that nobody waits for, or a second one */
	uint32_t n = f->len - (uint32_t)sizeof m;
	c->value = m.value;
	c->out_len = n < c->out_max ? n : c->out_max;
	if (c->out_len)
		memcpy(c->out, f->payload + sizeof m, c->out_len);
	line_finish(r, c, m.err < ERR_COUNT ? (enum err)m.err : ERR_BUG);
}

static void copy_text(char *buf, size_t n, const struct wire_frame *f)
{
	snprintf(buf, n, "%.*s", (int)f->len, (const char *)f->payload);
	for (char *p = buf; *p; p++)
		if (((unsigned char)*p < ' ' && *p != '\n') || *p == 0x7f)
			*p = '.';
}

/* The oldest lines go when there is no room. */
static void keep_log(struct remote *r, const struct wire_frame *f)
{
	char *log = r->facts.log, line[400];
	copy_text(line, sizeof line - 1, f);
	size_t n = strlen(line), used = strlen(log);
	while (n && line[n - 1] == '\n')
		n--;
	line[n++] = '\n';
	while (used + n >= sizeof r->facts.log) {
		size_t first = strcspn(log, "\n") + 1;
		memmove(log, log + first, used - first + 1);
		used -= first;
	}
	memcpy(log + used, line, n);
	log[used + n] = 0;
}

const char *line_last_log(const struct remote *r, char buf[400])
{
	const char *log = r->facts.log;
	size_t end = strlen(log);
	end -= end != 0;
	size_t from = end;
	while (from && log[from - 1] != '\n')
		from--;
	snprintf(buf, 400, "%.*s", (int)(end - from), log + from);
	return buf;
}

static void got_panic(struct remote *r, const struct wire_frame *f)
{
	if (!r->facts.panic[0])
		copy_text(r->facts.panic, sizeof r->facts.panic, f);
	static const char prefix[] = "vmscope-metal: ";
	const char *from = r->facts.panic + strspn(r->facts.panic, "\n");
	if (strncmp(from, prefix, sizeof prefix - 1) == 0)
		from += sizeof prefix - 1;
	line_dead(r, "the bare-metal VMM stopped: %.*s", (int)strcspn(from, "\n"), from);
}

void line_copy_counts(struct remote *r)
{
	r->facts.frames = r->rx.frames;
	r->facts.lost_frames = r->rx.lost;
	r->facts.noise_bytes = r->rx.noise_bytes;
	r->facts.bad_frames = r->rx.bad_frames;
}

void line_got_frame(void *arg, const struct wire_frame *f)
{
	struct remote *r = arg;
	r->heard_ns = session_now_ns();
	switch (f->type) { /* enum msg_type */
	case MSG_HELLO:
		got_hello(r, f);
		break;
	case MSG_REPLY:
		got_reply(r, f);
		break;
	case MSG_LOG:
		keep_log(r, f);
		break;
	case MSG_PANIC:
		got_panic(r, f);
		line_copy_counts(r); /* the same as text follows: not noise of the line */
		break;
	case MSG_BYE:
		r->bye = true;
		pthread_cond_broadcast(&r->changed);
		break;
	case MSG_CONSOLE:
	case MSG_EVENTS:
	case MSG_BULK:
	case MSG_STATE:
	case MSG_END:
	case MSG_USER:
		queue_item(r, f);
		break;
	default:
		break; /* a later version may say more */
	}
}
