/*
 * A guest as the thread that drives its mirror sees it: remote_next() waits for the next thing that happened to it, and
 * on the way lets the guest run, pauses it, or lets it do one step, as the caller wants. mode_ops.next of both Type I
 * modes.
 *
 * Read after stream.c; core/vm_remote.c is the caller.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lib.h"
#include "session/remote_impl.h"

#define SILENT_MS 1000 /* then the VMM is asked whether something was lost */

/* --- Commands to the guest --------------------------------------------------------------------------------------- */

static bool busy(const struct mirror *m)
{
	return m->cmd.head.op != 0;
}

static void post(struct mirror *m, enum remote_cmd op)
{
	m->cmd = (struct command){.head = {.op = op, .arg = {op != CMD_SYNC}}, .vm = (uint8_t)m->index};
	if (op == CMD_CONTINUE || op == CMD_STEP)
		m->expect_end = true;
	line_post(m->r, &m->cmd);
}

/* The command that was posted is done, and everything that came before its reply was taken from the queue. */
static enum err finish_command(struct mirror *m)
{
	uint32_t op = m->cmd.head.op;
	m->cmd.head.op = 0;
	switch (op) { /* enum remote_cmd */
	case CMD_CONTINUE:
		m->running = m->cmd.err == ERR_OK && m->expect_end;
		break;
	case CMD_PAUSE:
		m->running = false;
		break;
	case CMD_STEP:
		if (m->cmd.err ==
		    ERR_AGAIN) /* not yet: it was answered a moment ago, and comes to the end of its exit */
			return ERR_BUSY;
		m->stepped = true;
		break;
	default: /* CMD_SYNC: what is still missing behind an end is lost */
		m->synced = m->end_waits;
		return ERR_OK;
	}
	/* "Not yet" is no answer to the others: the VMM has begun anew. */
	return m->cmd.err == ERR_AGAIN ? ERR_IO : m->cmd.err;
}

/* What the VMM is to hand over may have changed on this side. */
static enum err tell_reasons(struct mirror *m)
{
	for (unsigned n = 0; n < EXIT_SDM_COUNT; n++) {
		uint64_t bit = 1ull << n % 64, now = m->vm->user_reasons[n / 64] & bit;
		if (now == (m->told_reasons[n / 64] & bit))
			continue;
		struct command c = {.head = {.op = CMD_INTERCEPT, .arg = {n, now != 0}}, .vm = (uint8_t)m->index};
		enum err e = line_call(m->r, &c);
		if (e)
			return e;
		m->told_reasons[n / 64] ^= bit;
	}
	return ERR_OK;
}

/* --- Events ------------------------------------------------------------------------------------------------------ */

static void apply_page(struct mirror *m, const struct rec_page *p)
{
	struct guest_mem *mem = &m->vm->mem;
	if (p->offset % PAGE_SIZE_4K == 0 && p->offset + PAGE_SIZE_4K <= mem->ram_size)
		memcpy(mem->ram + p->offset, p->data, PAGE_SIZE_4K);
}

void run_apply(struct mirror *m, const void *rec)
{
	const struct rec_head *h = rec;
	if (h->type == REC_PAGE)
		apply_page(m, rec);
	else
		m->vm->mem_stale = false;
}

/* True: it is one that the caller of next() gets. */
static bool event_of(struct mirror *m, const void *rec, struct remote_event *ev)
{
	const struct rec_head *h = rec;
	switch (h->type) { /* enum rec_type */
	case REC_EXIT:
		ev->kind = REMOTE_EXIT;
		memcpy(&ev->exit, rec, sizeof ev->exit);
		return true;
	case REC_DONE:
		ev->kind = REMOTE_DONE;
		memcpy(&ev->done, rec, sizeof ev->done);
		return true;
	case REC_INJECT:
		ev->kind = REMOTE_INJECT;
		memcpy(&ev->inject, rec, sizeof ev->inject);
		return true;
	case REC_PAGE:
	case REC_CHECKPOINT:
		run_apply(m, rec);
		return false;
	default:
		return false; /* REC_LOST: the VMM counts them, too (msg_end.lost) */
	}
}

static bool next_record(struct mirror *m, struct remote_event *ev)
{
	_Alignas(8) uint8_t rec[REC_LEN_MAX];
	while (stream_pop(m, rec))
		if (event_of(m, rec, ev))
			return true;
	return false;
}

static bool end_is_due(const struct mirror *m)
{
	return m->end_waits && (m->got_bytes >= m->end.record_bytes || m->synced);
}

static void deliver_end(struct mirror *m, struct remote_event *ev)
{
	struct remote *r = m->r;
	pthread_mutex_lock(&r->lock);
	if (m->end.record_bytes > m->got_bytes) {
		r->facts.lost_record_bytes += m->end.record_bytes - m->got_bytes;
		m->got_bytes = m->end.record_bytes;
	}
	snprintf(r->facts.engine, sizeof r->facts.engine, "%s", m->end.engine);
	r->facts.engine[sizeof r->facts.engine - 1] = 0;
	pthread_mutex_unlock(&r->lock);
	m->end_waits = m->synced = false;
	m->running = false;
	m->vm->vcpus[0].state_valid = false; /* what is asked from here on comes from there */
	ev->kind = REMOTE_END;
	ev->end = m->end;
}

/* --- The decision ------------------------------------------------------------------------------------------------ */

enum err run_dead(struct mirror *m)
{
	struct remote *r = m->r;
	pthread_mutex_lock(&r->lock);
	struct errmsg why = r->dead_why;
	pthread_mutex_unlock(&r->lock);
	vm_kill(m->vm, END_HOST_ERROR, ERR_IO, "%s", why.text);
	return ERR_IO;
}

/* Nothing is there: what has to happen that something comes? ERR_BUSY: wait. ERR_AGAIN: the guest stands still, as the
 * caller wished; a step that is asked for after that is another one. */
static enum err decide(struct mirror *m, bool silent)
{
	struct vm *vm = m->vm;
	enum err e = ERR_OK;
	if (m->end_waits || (silent && m->running)) {
		post(m, CMD_SYNC);
	} else if (vm->stop || m->step) {
		if (m->running) {
			post(m, CMD_PAUSE);
		} else if (vm->stop || m->stepped) {
			m->stepped = false;
			return ERR_AGAIN;
		} else if (!(e = tell_reasons(m))) {
			post(m, CMD_STEP);
		}
	} else if (!m->running) {
		e = tell_reasons(m);
		if (!e)
			post(m, CMD_CONTINUE);
	} else {
		return ERR_BUSY;
	}
	return e;
}

enum err remote_next(struct vcpu *v, struct remote_event *ev)
{
	struct mirror *m = v->vm->mode_priv;
	bool silent = false;
	if (!m)
		return ERR_NODEV; /* a mirror that no session has taken */
	for (;;) {
		if (next_record(m, ev))
			return ERR_OK;
		/* Whether a command is done is asked first: what came before its reply is then in the queue. */
		bool done = busy(m) && line_done(m->r, &m->cmd);
		if (stream_pump(m->r))
			continue;
		if (end_is_due(m)) {
			deliver_end(m, ev);
			return ERR_OK;
		}
		enum err e = ERR_BUSY;
		if (done)
			e = finish_command(m);
		else if (line_is_dead(m->r))
			return run_dead(m);
		else if (!busy(m))
			e = decide(m, silent);
		if (e == ERR_AGAIN)
			v->state_valid = false;
		if (e != ERR_OK && e != ERR_BUSY)
			return line_is_dead(m->r) ? run_dead(m) : e;
		silent = false;
		if (e == ERR_BUSY) {
			uint64_t t = session_now_ns();
			line_wait_news(m->r, SILENT_MS);
			silent = session_now_ns() - t > SILENT_MS * 900000ull;
		}
	}
}

enum err remote_pause(struct mirror *m)
{
	while (busy(m)) { /* left over by an event that came first */
		bool done = line_done(m->r, &m->cmd);
		while (stream_pump(m->r))
			;
		if (done)
			(void)finish_command(m);
		else
			line_wait_news(m->r, SILENT_MS);
	}
	if (!m->running)
		return ERR_OK;
	post(m, CMD_PAUSE);
	return remote_pause(m);
}
