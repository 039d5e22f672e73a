/*
 * Records on their way out. The probe fills one slot of the guest's ring in the exit path and does nothing else;
 * between two turns of the scheduler the ring is drained into the channel: the second disk, as a circular buffer, or
 * frames on the line. Where nothing may be lost, a full ring drains itself, and a full disk waits for the session's
 * credit.
 */
#include "core/lib.h"
#include "metal/agent_impl.h"

#define RING_SLOTS 256u
#define SECTOR 512u

/* --- Hashes ------------------------------------------------------------------------------------------------------ */

/* Eight bytes a step: only ever compared with itself. */
uint64_t agent_hash(const void *p, size_t n)
{
	const uint64_t *w = p;
	uint64_t h = FNV64_INIT;

	for (size_t i = 0; i < n / 8; i++) {
		h = (h ^ w[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 32; /* the high bits, too, must reach the others */
	}
	return h;
}

/* Most memory of most guests is zero. One instruction a word: under an emulated machine that is what counts. */
static bool page_is_zero(const uint8_t *p)
{
	const uint64_t *w = (const void *)p, *end = w + PAGE_SIZE_4K / 8;
	uint64_t any = 0;

	for (; w < end && !any; w += 16)
		any = w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7] | w[8] | w[9] | w[10] | w[11] | w[12] |
		      w[13] | w[14] | w[15];
	return any == 0;
}

#define ZERO_PAGE_HASH 0ull

static uint64_t hash_page(const uint8_t *p)
{
	return page_is_zero(p) ? ZERO_PAGE_HASH : agent_hash(p, PAGE_SIZE_4K);
}

uint64_t stream_memory_fnv(struct agent_guest *g)
{
	const struct guest_mem *m = &g->vm->mem;
	bool known = g->page_fnv && g->checkpoint_at == g->exits + 1;
	uint64_t h = FNV64_INIT;

	for (uint64_t i = 0; i < m->ram_size / PAGE_SIZE_4K; i++) {
		uint64_t page = known ? g->page_fnv[i] : hash_page(m->ram + i * PAGE_SIZE_4K);
		h = (h ^ page) * 0x9e3779b97f4a7c15ull;
	}
	return h ^ h >> 29;
}

/* --- The channel ------------------------------------------------------------------------------------------------- */

/* The circular disk is full up to what the session has read. */
static void wait_for_credit(struct agent *a)
{
	uint64_t size = a->bundle->bulk_size;

	while (a->bulk_done + BULK_BUF > a->bulk_credit + size && !a->stop) {
		const struct msg_bulk m = {.written = a->bulk_done};

		wire_send(&a->tx, MSG_BULK, 0, &m, sizeof(m));
		uint64_t until = a->boot->host->now_ns() + 2000000;
		while (a->boot->host->now_ns() < until)
			agent_poll(a);
	}
}

/* Whole sectors to the disk; the rest of the last one stays, and is written again when it is fuller. */
static void bulk_write(struct agent *a, bool all)
{
	uint64_t disk = a->bundle->bulk_size / SECTOR;

	wait_for_credit(a); /* which looks at the line: what is written is counted behind it */
	uint32_t sectors = (all ? a->bulk_n + SECTOR - 1 : a->bulk_n) / SECTOR, done = 0;
	while (done < sectors) {
		uint64_t lba = (a->bulk_done / SECTOR + done) % disk;
		uint64_t to_end = disk - lba;
		uint32_t n = sectors - done < to_end ? sectors - done : (uint32_t)to_end;

		if (a->boot->disk_write(lba, a->bulk_buf + done * SECTOR, n) != ERR_OK) {
			if (!a->bulk_failed)
				agent_log(a, "the record disk cannot be written at sector %llu: records are lost",
				    (unsigned long long)lba);
			a->bulk_failed = true;
			break;
		}
		done += n;
	}
	uint32_t whole = a->bulk_n / SECTOR * SECTOR;
	memmove(a->bulk_buf, a->bulk_buf + whole, a->bulk_n - whole);
	a->bulk_n -= whole;
	a->bulk_done += whole;
}

static void events_send(struct agent *a)
{
	if (a->events_n)
		wire_send(&a->tx, MSG_EVENTS, 0, a->events, a->events_n);
	a->events_n = 0;
}

/* A frame that noise hits is lost as a whole: short ones lose less. A page is longer than this, and goes alone. */
#define EVENTS_FRAME 1024u

static void channel_put(struct agent *a, const void *p, uint32_t n)
{
	const uint8_t *from = p;

	if (!a->bulk_buf) {
		if (a->events_n && a->events_n + n > EVENTS_FRAME)
			events_send(a);
		memcpy(a->events + a->events_n, p, n);
		a->events_n += n;
		return;
	}
	while (n) {
		uint32_t k = BULK_BUF - a->bulk_n < n ? BULK_BUF - a->bulk_n : n;

		memcpy(a->bulk_buf + a->bulk_n, from, k);
		a->bulk_n += k;
		from += k;
		n -= k;
		if (a->bulk_n == BULK_BUF)
			bulk_write(a, false);
	}
}

static void put_record(struct agent_guest *g, struct rec_head *h)
{
	struct agent *a = g->agent;

	if (!a->session)
		return;
	g->end.records++;
	g->end.record_bytes += h->len;
	channel_put(a, h, h->len);
}

/* --- The ring ---------------------------------------------------------------------------------------------------- */

/*
 * A full disk waits for the session's credit and looks at the line meanwhile; a command that comes then may ask for all
 * records to go out. They are going out: in the middle of one, neither a drain nor a flush may begin anew. What was
 * asked for is done when the outer one is over.
 */
static void drain_guest(struct agent_guest *g)
{
	uint32_t n;
	struct agent_slot *s;
	uint64_t start = g->agent->boot->host->cycles();

	if (g->agent->writing)
		return;
	g->agent->writing = true;

	while (s = (struct agent_slot *)(uintptr_t)ring_peek(&g->ring, &n), n) {
		for (uint32_t i = 0; i < n; i++) {
			if (s[i].slot.lost_before) {
				struct rec_lost lost = {
				    .head = {REC_LOST, (uint16_t)g->index, sizeof(lost)}, .n = s[i].slot.lost_before};
				put_record(g, &lost.head);
			}
			put_record(g, &s[i].head);
		}
		ring_release(&g->ring, n);
	}
	g->agent->writing = false;
	/* It may happen inside any other phase (a full ring): that one does not count it. After the end, none does. */
	uint64_t spent = g->agent->boot->host->cycles() - start;
	if (!g->ended)
		g->end.phase_ticks[PHASE_RECORDS] += spent;
	g->t_mark += spent;
}

static void ring_full(void *arg)
{
	drain_guest(arg);
}

enum err stream_open(struct agent_guest *g, struct errmsg *why)
{
	struct agent *a = g->agent;
	bool block = (a->bundle->flags & BUNDLE_BLOCK) || g->cfg->clock == CLOCK_VIRTUAL;
	uint64_t pages = g->vm->mem.ram_size / PAGE_SIZE_4K;

	g->slots = a->boot->host->page_alloc(RING_SLOTS * sizeof(*g->slots));
	if (!g->slots)
		return err_set(why, ERR_NOMEM, "no memory for the trace ring");
	ring_init(
	    &g->ring, g->slots, sizeof(*g->slots), RING_SLOTS, block ? RING_BLOCK : RING_DROP, ring_full, NULL, g);
	if (a->bundle->flags & BUNDLE_PAGES) {
		g->page_fnv = a->boot->host->page_alloc(pages * sizeof(*g->page_fnv));
		if (!g->page_fnv)
			return err_set(why, ERR_NOMEM, "no memory for the checkpoints");
		/* The session begins with memory of zeros, and so does this: the first checkpoint brings everything. */
	}
	enum err e = vm_add_probe(g->vm, &stream_probe, g);
	return e == ERR_OK ? e : err_set(why, e, "%s", err_sentence(e));
}

void stream_drain(struct agent *a)
{
	for (unsigned i = 0; i < a->n_guests; i++)
		if (a->guests[i].slots)
			drain_guest(&a->guests[i]);
}

void stream_flush(struct agent *a)
{
	if (a->writing) {
		a->flush_wanted = true;
		return;
	}
	stream_drain(a);
	if (!a->bulk_buf) {
		events_send(a);
		return;
	}
	a->writing = true;
	bulk_write(a, true);
	a->writing = false;
	uint64_t end = a->bulk_done + a->bulk_n;

	if (end != a->bulk_told) {
		const struct msg_bulk m = {.written = end};
		wire_send(&a->tx, MSG_BULK, 0, &m, sizeof(m));
		a->bulk_told = end;
	}
}

/* --- Checkpoints ------------------------------------------------------------------------------------------------- */

void stream_checkpoint(struct agent_guest *g)
{
	struct guest_mem *m = &g->vm->mem;

	if (!g->page_fnv || g->checkpoint_at == g->exits + 1) /* there is one of this moment */
		return;
	if (g->agent->writing) /* asked for in the middle of a record: the next one brings it */
		return;
	g->checkpoint_at = g->exits + 1;
	drain_guest(g);
	g->agent->writing = true;
	for (uint64_t i = 0; i < m->ram_size / PAGE_SIZE_4K; i++) {
		const uint8_t *p = m->ram + i * PAGE_SIZE_4K;
		uint64_t h = hash_page(p);

		if (h == g->page_fnv[i])
			continue;
		g->page_fnv[i] = h;
		struct rec_page page = {
		    .head = {REC_PAGE, (uint16_t)g->index, sizeof(page)}, .offset = i * PAGE_SIZE_4K};
		memcpy(page.data, p, sizeof(page.data));
		put_record(g, &page.head);
	}
	struct rec_checkpoint mark = {.head = {REC_CHECKPOINT, (uint16_t)g->index, sizeof(mark)}, .index = g->exits};
	put_record(g, &mark.head);
	g->agent->writing = false;
}

/* --- The probe --------------------------------------------------------------------------------------------------- */

static bool wants_regs(const struct agent_guest *g)
{
	return g->agent->bundle->flags & BUNDLE_REGS;
}

static void phase(struct agent_guest *g, enum remote_phase p, uint64_t now)
{
	g->end.phase_ticks[p] += now - g->t_mark;
	g->t_mark = now;
}

static void on_entry(void *arg, struct vcpu *v)
{
	struct agent_guest *g = arg;
	bool known = v->state_valid || v->regs_valid;

	g->entered_ns = v->vm->clock.kind == CLOCK_HOST ? v->entered_ns - v->vm->clock.start_ns : v->entered_ns;
	g->last_cost_ns = v->exit.cost_ns;
	g->entry_rip = known ? v->cpu.s.rip : 0;
	g->entry_intr = known ? v->cpu.s.pending_event : 0;
	g->entry_error = known ? v->cpu.s.pending_error : 0;
	phase(g, PHASE_OTHER, g->agent->boot->host->cycles());
}

static void on_exit_probe(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	struct agent_guest *g = arg;
	uint64_t now = g->agent->boot->host->cycles();

	(void)e;
	/* Where the mode knows, the guest's own time is not the VMM's: from VM exit to here, from here to VM entry. */
	if (v->left_ticks) {
		g->end.phase_ticks[PHASE_ENTRY] += v->entered_ticks - g->t_mark;
		if (!g->t_leave) /* what came before the first exit is starting, and not the way of an exit */
			memset(g->end.phase_ticks, 0, sizeof(g->end.phase_ticks));
		g->end.phase_ticks[PHASE_EXIT] += now - v->left_ticks;
		g->end.guest_ticks += v->left_ticks - v->entered_ticks;
		if (g->agent->bundle->flags & BUNDLE_TICK_INSN)
			g->end.guest_ticks -= v->stub_insns;
		if (g->t_leave)
			g->end.vmm_ticks += v->entered_ticks - g->t_leave;
		g->t_leave = v->left_ticks;
	} else if (!g->exits) {
		memset(g->end.phase_ticks, 0, sizeof(g->end.phase_ticks));
	}
	g->t_mark = now;
}

static void on_verdict(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	struct agent_guest *g = arg;

	(void)v;
	phase(g, PHASE_HANDLE, g->agent->boot->host->cycles());
	g->exits++;
	if (e->reason < EXIT_SDM_COUNT)
		g->by_reason[e->reason]++;
	struct agent_slot *s = ring_reserve(&g->ring);
	if (!s)
		return;
	s->exit.head = (struct rec_head){REC_EXIT, (uint16_t)g->index, sizeof(s->exit)};
	s->exit.entered_ns = g->entered_ns;
	s->exit.entry_rip = g->entry_rip;
	s->exit.entry_intr = g->entry_intr;
	s->exit.entry_error = g->entry_error;
	s->exit.verdict = verdict;
	s->exit.last_cost_ns = g->last_cost_ns;
	s->exit.has_done = wants_regs(g);
	s->exit.exit = *e;
	ring_commit(&g->ring);
	phase(g, PHASE_TRACE, g->agent->boot->host->cycles());
}

static void on_done(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	struct agent_guest *g = arg;
	uint32_t every = g->agent->bundle->checkpoint_every;

	(void)e;
	if (!wants_regs(g))
		return;
	if ((every && g->exits % every == 0) || v->vm->ended)
		stream_checkpoint(g);
	const struct x86_state *state = vcpu_state(v);
	struct agent_slot *s = ring_reserve(&g->ring);
	if (!s)
		return;
	memset(&s->done, 0, sizeof(s->done));
	s->done.head = (struct rec_head){REC_DONE, (uint16_t)g->index, sizeof(s->done)};
	s->done.insns = v->vm->cfg.mode->caps & MODE_CAP_COUNTS_INSNS ? v->vm->clock.insns : 0;
	if (state)
		rec_regs_from(&s->done.regs, state);
	ring_commit(&g->ring);
}

static void on_inject(void *arg, struct vcpu *v, const struct x86_event *ev)
{
	struct agent_guest *g = arg;
	struct agent_slot *s = ring_reserve(&g->ring);

	if (!s)
		return;
	memset(&s->inject, 0, sizeof(s->inject));
	s->inject.head = (struct rec_head){REC_INJECT, (uint16_t)g->index, sizeof(s->inject)};
	s->inject.time_ns = clock_now_ns(&v->vm->clock);
	s->inject.event = *ev;
	s->inject.applying = v->applying;
	s->inject.has_regs = wants_regs(g) && !v->applying;
	if (s->inject.has_regs) {
		const struct x86_state *state = vcpu_state(v);
		if (state)
			rec_regs_from(&s->inject.regs, state);
	}
	ring_commit(&g->ring);
}

const struct probe_ops stream_probe = {
    .name = "stream",
    .on_entry = on_entry,
    .on_exit = on_exit_probe,
    .on_verdict = on_verdict,
    .on_done = on_done,
    .on_inject = on_inject,
};

/* --- The guest's console ----------------------------------------------------------------------------------------- */

void console_flush(struct agent_guest *g)
{
	struct {
		struct msg_console head;
		uint8_t bytes[CONSOLE_BUF];
	} m;

	if (!g->console_n)
		return;
	if (!g->agent->session) {
		g->agent->boot->put(g->console, g->console_n);
	} else {
		memset(&m.head, 0, sizeof(m.head));
		m.head.offset = g->end.console_bytes - g->console_n;
		memcpy(m.head.port, g->console_port, sizeof(m.head.port));
		memcpy(m.bytes, g->console, g->console_n);
		wire_send(&g->agent->tx, MSG_CONSOLE, (uint8_t)g->index, &m, sizeof(m.head) + g->console_n);
	}
	g->console_n = 0;
}

void console_put(void *arg, const char *port, uint8_t byte)
{
	struct agent_guest *g = arg;

	if (g->console_n && strcmp(g->console_port, port) != 0)
		console_flush(g);
	if (!g->console_n)
		fmt_snprintf(g->console_port, sizeof(g->console_port), "%s", port);
	g->console[g->console_n++] = byte;
	g->end.console_bytes++;
	g->end.console_fnv = fnv64(g->end.console_fnv, &byte, 1);
	if (g->console_n == CONSOLE_BUF || (byte == '\n' && !g->agent->session))
		console_flush(g);
}
