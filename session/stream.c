/*
 * What came over the line, in its order, on the thread that drives the mirrors: console bytes, questions, ends, and the
 * stream of records, which lies on the second disk (the line only says up to where) or comes in frames. Records of a
 * guest that nobody is waiting for are kept in its queue.
 *
 * Read after line.c; next run.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session/remote_impl.h"

static void broken(struct remote *r, const char *what)
{
	r->broken = true;
	pthread_mutex_lock(&r->lock);
	line_dead(r, "the stream of records cannot be read: %s, at byte %llu", what,
	    (unsigned long long)r->facts.record_bytes);
	pthread_mutex_unlock(&r->lock);
}

/* --- Records ----------------------------------------------------------------------------------------------------- */

static bool length_fits(const struct rec_head *h)
{
	static const uint32_t len[] = {[REC_EXIT] = sizeof(struct rec_exit),
	    [REC_DONE] = sizeof(struct rec_done),
	    [REC_INJECT] = sizeof(struct rec_inject),
	    [REC_PAGE] = sizeof(struct rec_page),
	    [REC_CHECKPOINT] = sizeof(struct rec_checkpoint),
	    [REC_LOST] = sizeof(struct rec_lost)};

	return h->type < ARRAY_LEN(len) && h->len && h->len == len[h->type];
}

static bool queue_record(struct mirror *m, const struct rec_head *h)
{
	if (m->q_head > m->q_cap / 2 || m->q_head == m->q_tail) {
		if (m->q_head != m->q_tail)
			memmove(m->queue, m->queue + m->q_head, m->q_tail - m->q_head);
		m->q_tail -= m->q_head;
		m->q_head = 0;
	}
	if (m->q_tail + h->len > m->q_cap) {
		size_t cap = m->q_cap ? m->q_cap * 2 : REC_BUF;
		uint8_t *more = realloc(m->queue, cap);
		if (!more)
			return false;
		m->queue = more;
		m->q_cap = cap;
	}
	memcpy(m->queue + m->q_tail, h, h->len);
	m->q_tail += h->len;
	return true;
}

bool stream_pop(struct mirror *m, void *buf)
{
	if (m->q_head == m->q_tail)
		return false;
	struct rec_head h;
	memcpy(&h, m->queue + m->q_head, sizeof h);
	memcpy(buf, m->queue + m->q_head, h.len);
	m->q_head += h.len;
	return true;
}

/* One whole record from the buffer into the queue of its guest. */
static bool take_record(struct remote *r)
{
	struct rec_head h;
	size_t have = r->rec_n - r->rec_at;

	if (have < sizeof h)
		return false;
	memcpy(&h, r->rec + r->rec_at, sizeof h);
	if (!length_fits(&h) || h.vm >= r->n) {
		broken(r, "a record of an unknown kind");
		return false;
	}
	if (have < h.len)
		return false;
	struct mirror *m = &r->mirrors[h.vm];
	if (!queue_record(m, (const struct rec_head *)(const void *)(r->rec + r->rec_at))) {
		broken(r, "no memory for it");
		return false;
	}
	m->got_bytes += h.len;
	r->rec_at += h.len;
	return true;
}

static void make_room(struct remote *r)
{
	r->rec_n -= r->rec_at;
	memmove(r->rec, r->rec + r->rec_at, r->rec_n);
	r->rec_at = 0;
}

/* The VMM may write over what was read. A quarter of the disk at a time, and whenever it waits. */
static void give_credit(struct remote *r, bool now)
{
	if (!now && r->bulk_read - r->credit < r->bulk_size / 4)
		return;
	r->credit = r->bulk_read;
	line_post_once(r, 0, CMD_CREDIT, (const uint64_t[3]){r->credit}, NULL, 0);
}

/* Bytes from the circular disk. */
static bool read_bulk(struct remote *r)
{
	make_room(r);
	uint64_t at = r->bulk_read % r->bulk_size, n = r->bulk_end - r->bulk_read;
	if (n > REC_BUF - r->rec_n)
		n = REC_BUF - r->rec_n;
	if (n > r->bulk_size - at)
		n = r->bulk_size - at;
	if (n == 0)
		return false;
	ssize_t got = pread(r->machine.bulk, r->rec + r->rec_n, n, (off_t)at);
	if (got <= 0) {
		broken(r, got ? strerror(errno) : "the disk file is too short");
		return false;
	}
	r->rec_n += (size_t)got;
	r->bulk_read += (uint64_t)got;
	r->facts.record_bytes += (uint64_t)got;
	give_credit(r, false);
	return true;
}

/* --- The queue of the line --------------------------------------------------------------------------------------- */

static void take_bulk(struct remote *r, const struct item *it)
{
	struct msg_bulk b;
	if (it->len < sizeof b || r->machine.bulk < 0)
		return;
	memcpy(&b, it->data, sizeof b);
	if (b.written > r->bulk_read + r->bulk_size)
		broken(r, "the VMM wrote over records that were not read");
	else if (b.written > r->bulk_end)
		r->bulk_end = b.written;
	else if (r->credit < r->bulk_read) /* said again: it waits for room */
		give_credit(r, true);
}

static void take_events(struct remote *r, const struct item *it)
{
	make_room(r);
	if (it->len > REC_BUF - r->rec_n) {
		broken(r, "more in one frame than a record can be");
		return;
	}
	memcpy(r->rec + r->rec_n, it->data, it->len);
	r->rec_n += it->len;
	r->facts.record_bytes += it->len;
}

/* offset counts the bytes of all ports: what is missing was lost by the line. */
static void take_console(struct mirror *m, const struct item *it)
{
	struct msg_console c;
	if (it->len < sizeof c)
		return;
	memcpy(&c, it->data, sizeof c);
	c.port[sizeof c.port - 1] = 0;
	const uint8_t *p = it->data + sizeof c;
	uint64_t n = it->len - sizeof c;
	if (c.offset > m->console_at)
		m->lost_console += c.offset - m->console_at;
	uint64_t skip = c.offset < m->console_at ? m->console_at - c.offset : 0;
	for (uint64_t i = skip; i < n; i++)
		if (m->vm->cfg.console)
			m->vm->cfg.console(m->vm->cfg.console_arg, c.port, p[i]);
	if (c.offset + n > m->console_at)
		m->console_at = c.offset + n;
}

static void take_end(struct mirror *m, const struct item *it)
{
	if (it->len != sizeof m->end || !m->expect_end)
		return;
	memcpy(&m->end, it->data, sizeof m->end);
	m->expect_end = false;
	m->end_waits = m->end_known = true;
	m->running = false;
	if (m->end.console_bytes > m->console_at) {
		m->lost_console += m->end.console_bytes - m->console_at;
		m->console_at = m->end.console_bytes;
	}
}

static void take_question(struct mirror *m, const struct item *it)
{
	struct msg_user q;
	if (it->len != sizeof q)
		return;
	memcpy(&q, it->data, sizeof q);
	question_take(m, &q);
}

static void take_item(struct remote *r, const struct item *it)
{
	if (it->type == MSG_BULK)
		take_bulk(r, it);
	else if (it->type == MSG_EVENTS)
		take_events(r, it);
	if (it->vm >= r->n || !r->mirrors[it->vm].vm)
		return;
	struct mirror *m = &r->mirrors[it->vm];
	if (it->type == MSG_CONSOLE)
		take_console(m, it);
	else if (it->type == MSG_END)
		take_end(m, it);
	else if (it->type == MSG_USER)
		take_question(m, it);
}

bool stream_pump(struct remote *r)
{
	if (r->broken)
		return false;
	if (take_record(r))
		return true;
	if (!r->broken && r->machine.bulk >= 0 && r->bulk_end > r->bulk_read)
		return read_bulk(r);
	struct item *it = r->broken ? NULL : line_take(r);
	if (!it)
		return false;
	take_item(r, it);
	free(it);
	return true;
}
