/*
 * Checkpoints and events. Read first: history.h, then history_pages.c.
 *
 * How many checkpoints: each costs time, so that the next one comes when the guest has run SPACING_FACTOR times as
 * long; each costs memory, and when that is used up the one is given up whose absence lengthens the ways back least,
 * for its age and for the memory that it frees. Way back: from a place to the checkpoint before it, GAP_FELT_NS at most
 * as long as there is another choice.
 */
#include "session/history.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/env.h"
#include "core/lib.h"
#include "core/machine.h"
#include "core/snapshot.h"
#include "session/history_pages.h"

#define BYTES_MIN (256ull << 20)
#define BYTES_MAX (1ull << 30)
#define RAM_PART 8 /* of this machine's memory, between these two */
#define GAP_FELT_NS 1000000000ull
#define SPACING_MIN_NS 100000000ull /* so long a way back is not felt */
#define SPACING_MAX_NS 700000000ull
#define SPACING_FACTOR 50u /* checkpoints cost at most 2 % of the run */

/* What a vCPU has beside what a snapshot keeps of it: for people, and where it was between two exits. */
struct vcpu_side {
	struct vm_exit exit, history[VM_HISTORY];
	uint64_t leave_at, entered_ns, fault_at;
	uint32_t barren;
	bool inside;
};

struct event {
	struct vm_position at;
	enum history_event kind;
	uint64_t arg;
	size_t n;
	void *data; /* owned */
};

struct checkpoint {
	struct vm_position at;
	struct history_mark mark;
	uint64_t ran_ns; /* processor time that the guest had run */
	size_t event;	 /* number of its flush */
	uint64_t bytes;	 /* that it keeps alone, nearly */
	struct ram_version ram;
	uint8_t *machine; /* owned */
	size_t machine_len;
	struct vcpu_side *side; /* owned, one a vCPU */
};

struct history {
	struct vm *vm;
	uint64_t limit, spacing_ns;
	struct ram_pages pages;
	struct checkpoint *checkpoints;
	unsigned n_checkpoints, room_checkpoints;
	struct event *events;
	size_t n_events, room_events;
	size_t next; /* event that is to happen again next; n_events: none */
	struct vm_position last;
	uint64_t ran_ns; /* processor time that the guest ran, at the frontier */
	uint64_t due_ns; /* ran_ns at which the next checkpoint is due */
	uint64_t bytes;	 /* without pages.bytes */
	uint64_t taken, cost_ns;
};

bool position_before(const struct vm_position *a, const struct vm_position *b)
{
	if (a->insns != b->insns)
		return a->insns < b->insns;
	if (a->exits != b->exits)
		return a->exits < b->exits;
	if (a->moves != b->moves)
		return a->moves < b->moves;
	if (a->ns != b->ns)
		return a->ns < b->ns;
	return !a->ended && b->ended;
}

bool position_same(const struct vm_position *a, const struct vm_position *b)
{
	return !position_before(a, b) && !position_before(b, a);
}

static struct vm_position here(const struct history *h)
{
	struct vm_position p;

	vm_position(h->vm, &p);
	return p;
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

static enum err add_event(
    struct history *h, enum history_event kind, uint64_t arg, const void *data, size_t n, struct errmsg *why)
{
	void *copy = n ? malloc(n) : NULL;

	if (h->n_events == h->room_events) {
		size_t room = h->room_events ? 2 * h->room_events : 64;
		struct event *more = realloc(h->events, room * sizeof(*more));

		if (more) {
			h->events = more;
			h->room_events = room;
		}
	}
	if ((n && !copy) || h->n_events == h->room_events) {
		free(copy);
		return err_set(why, ERR_NOMEM, "no memory for the log of inputs");
	}
	if (n)
		memcpy(copy, data, n);
	h->events[h->n_events++] = (struct event){here(h), kind, arg, n, copy};
	h->next = h->n_events;
	return ERR_OK;
}

static enum err apply(struct history *h, const struct event *e)
{
	struct vm *vm = h->vm;
	struct x86_state *s;
	struct history_msr msr;

	switch (e->kind) {
	case HISTORY_FLUSH:
		snapshot_flush(vm);
		return ERR_OK;
	case HISTORY_TYPE:
		(void)machine_type(vm, e->data, e->n);
		return ERR_OK;
	case HISTORY_STATE:
		s = vcpu_state_for_write(&vm->vcpus[e->arg], DIRTY_ALL);
		if (!s)
			return ERR_IO;
		memcpy(s, e->data, sizeof(*s));
		x86_state_changed(&vm->vcpus[e->arg].cpu);
		return ERR_OK;
	case HISTORY_MSR:
		memcpy(&msr, e->data, sizeof(msr));
		if (!vcpu_state_for_write(&vm->vcpus[e->arg], DIRTY_ALL))
			return ERR_IO;
		(void)vcpu_set_msr(&vm->vcpus[e->arg], msr.msr, msr.value); /* as then, it may not take it */
		return ERR_OK;
	case HISTORY_MEM:
	default:
		return vm_write_mem(vm, e->arg, e->data, e->n);
	}
}

bool history_next(const struct history *h, struct vm_position *at)
{
	if (h->next == h->n_events)
		return false;
	*at = h->events[h->next].at;
	return true;
}

/* A checkpoint that is passed again must find the machine that it keeps. */
static bool as_recorded(struct history *h, size_t event)
{
	bool same = true;

	for (unsigned i = 0; i < h->n_checkpoints; i++) {
		const struct checkpoint *k = &h->checkpoints[i];
		uint8_t *now = k->event == event ? malloc(k->machine_len) : NULL;
		size_t used;
		struct errmsg why;

		if (!now)
			continue;
		same = snapshot_machine_save(h->vm, now, k->machine_len, &used, &why) == ERR_OK &&
		       used == k->machine_len && memcmp(now, k->machine, used) == 0;
		free(now);
		break;
	}
	return same;
}

enum err history_pass(struct history *h, struct errmsg *why)
{
	struct vm_position p = here(h);

	while (h->next < h->n_events && !position_before(&p, &h->events[h->next].at)) {
		const struct event *e = &h->events[h->next];

		if (!position_same(&p, &e->at) || (e->kind == HISTORY_FLUSH && !as_recorded(h, h->next)))
			return err_set(why, ERR_BUG,
			    "the replay left the recorded run: at instruction %llu, exit %llu, the machine is not what "
			    "it was",
			    (unsigned long long)p.insns, (unsigned long long)p.exits);
		enum err err = apply(h, e);
		if (err != ERR_OK)
			return err_set(why, err, "an input cannot be given again: %s", err_sentence(err));
		h->next++;
	}
	return ERR_OK;
}

void history_reached(struct history *h)
{
	struct vm_position p = here(h);

	if (position_before(&h->last, &p))
		h->last = p;
}

bool history_at_frontier(const struct history *h)
{
	struct vm_position p = here(h);

	return h->next == h->n_events && !position_before(&p, &h->last);
}

/* --- Checkpoints -------------------------------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct history *h, const struct checkpoint *k)
{
	return sizeof(*k) + k->machine_len + h->vm->n_vcpus * sizeof(*k->side);
}

static void free_checkpoint(struct history *h, struct checkpoint *k)
{
	h->bytes -= bytes_of(h, k);
	if (k->ram.chunks)
		ram_version_free(&h->pages, &k->ram);
	free(k->machine);
	free(k->side);
}

static void remove_checkpoint(struct history *h, unsigned i)
{
	free_checkpoint(h, &h->checkpoints[i]);
	h->n_checkpoints--;
	memmove(&h->checkpoints[i], &h->checkpoints[i + 1], (h->n_checkpoints - i) * sizeof(*h->checkpoints));
}

/* All ways back together are as long as the sum of the squares of the gaps: how much longer without i, by what that
 * frees. */
static double missed(const struct history *h, unsigned i)
{
	const struct checkpoint *k = h->checkpoints;
	double before = (double)(k[i].ran_ns - k[i - 1].ran_ns), after = (double)(k[i + 1].ran_ns - k[i].ran_ns);
	double age = (double)(h->ran_ns - k[i].ran_ns) + 1e9;

	return before * after / age / (double)k[i].bytes;
}

static bool gap_felt(const struct history *h, unsigned i)
{
	return h->checkpoints[i + 1].ran_ns - h->checkpoints[i - 1].ran_ns > GAP_FELT_NS;
}

/* Gives up the one that is missed least. Never the first, never the last. */
static bool thin_out(struct history *h)
{
	unsigned best = 0;

	for (unsigned i = 1; i + 1 < h->n_checkpoints; i++) {
		bool felt = gap_felt(h, i), best_felt = best && gap_felt(h, best);

		if (!best || felt < best_felt || (felt == best_felt && missed(h, i) < missed(h, best)))
			best = i;
	}
	if (!best)
		return false;
	uint64_t had = h->pages.bytes, bytes = h->checkpoints[best].bytes;

	remove_checkpoint(h, best);
	/* What it did not free the one behind it keeps alone now. */
	if (bytes > had - h->pages.bytes)
		h->checkpoints[best].bytes += bytes - (had - h->pages.bytes);
	return true;
}

static void side_save(const struct vm *vm, struct vcpu_side *side)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		const struct vcpu *v = &vm->vcpus[i];

		side[i].exit = v->exit;
		memcpy(side[i].history, v->history, sizeof(v->history));
		side[i].leave_at = v->leave_at;
		side[i].entered_ns = v->entered_ns;
		side[i].fault_at = v->fault_at;
		side[i].barren = v->barren;
		side[i].inside = v->inside;
	}
}

static void side_restore(struct vm *vm, const struct vcpu_side *side)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		v->exit = side[i].exit;
		memcpy(v->history, side[i].history, sizeof(v->history));
		v->leave_at = side[i].leave_at;
		v->entered_ns = side[i].entered_ns;
		v->fault_at = side[i].fault_at;
		v->barren = side[i].barren;
		v->inside = side[i].inside;
	}
}

static bool room_for_one(struct history *h)
{
	if (h->n_checkpoints < h->room_checkpoints)
		return true;
	unsigned room = h->room_checkpoints ? 2 * h->room_checkpoints : 32;
	struct checkpoint *more = realloc(h->checkpoints, room * sizeof(*more));

	if (!more)
		return false;
	h->checkpoints = more;
	h->room_checkpoints = room;
	return true;
}

static enum err fill_checkpoint(struct history *h, struct checkpoint *k, struct errmsg *why)
{
	size_t len = snapshot_machine_size(h->vm), used;
	enum err e;

	k->machine = malloc(len);
	k->side = calloc(h->vm->n_vcpus, sizeof(*k->side));
	k->machine_len = len;
	h->bytes += bytes_of(h, k);
	if (!k->machine || !k->side)
		return err_set(why, ERR_NOMEM, "no memory for a checkpoint");
	e = snapshot_machine_save(h->vm, k->machine, len, &used, why);
	if (e != ERR_OK)
		return e;
	side_save(h->vm, k->side);
	e = ram_pages_save(&h->pages, &k->ram);
	return e == ERR_OK ? e : err_set(why, e, "no memory for a checkpoint");
}

static enum err take(struct history *h, const struct history_mark *mark, struct errmsg *why)
{
	struct checkpoint k = {.at = here(h), .mark = *mark, .ran_ns = h->ran_ns, .event = h->n_events};
	uint64_t had = h->bytes + h->pages.bytes;
	enum err e;

	if (!room_for_one(h))
		return err_set(why, ERR_NOMEM, "no memory for a checkpoint");
	e = fill_checkpoint(h, &k, why);
	k.bytes = h->bytes + h->pages.bytes - had;
	if (e == ERR_OK)
		e = add_event(h, HISTORY_FLUSH, 0, NULL, 0, why);
	if (e != ERR_OK) {
		free_checkpoint(h, &k);
		/* Cleared bits of pages that a TLB can still write to. */
		memset(h->vm->mem.dirty, 0xff, h->vm->mem.ram_size / PAGE_SIZE_4K / 8);
		return e;
	}
	snapshot_flush(h->vm);
	h->checkpoints[h->n_checkpoints++] = k;
	return ERR_OK;
}

/* The memory that this one may need is there, or is made; false: a guest that changes too much. */
static bool make_room(struct history *h)
{
	uint64_t need = ram_pages_dirty(&h->pages) * (PAGE_SIZE_4K + 64) + (64u << 10);

	if (need > h->limit / 2)
		return false;
	while (h->bytes + h->pages.bytes + need > h->limit)
		if (!thin_out(h))
			return false;
	return true;
}

bool history_ran(struct history *h, uint64_t ns)
{
	if (!history_at_frontier(h))
		return false;
	history_reached(h);
	h->ran_ns += ns;
	return h->ran_ns >= h->due_ns;
}

/* A single dear one (the guest has just filled its memory) does not make a long gap, as long as all of them together
 * are cheap. */
static uint64_t spacing_after(const struct history *h, uint64_t cost)
{
	uint64_t ns = cost * SPACING_FACTOR;

	if (ns > SPACING_MAX_NS && h->cost_ns * SPACING_FACTOR <= h->ran_ns + SPACING_MAX_NS)
		ns = SPACING_MAX_NS;
	return ns > SPACING_MIN_NS ? ns : SPACING_MIN_NS;
}

enum err history_checkpoint(struct history *h, const struct history_mark *mark, struct errmsg *why)
{
	uint64_t start = h->vm->cfg.host->ran_ns(), cost;
	enum err e = h->n_checkpoints && !make_room(h) ? ERR_OK : take(h, mark, why);

	cost = h->vm->cfg.host->ran_ns() - start;
	h->taken++;
	h->cost_ns += cost;
	h->due_ns = h->ran_ns + (h->spacing_ns ? h->spacing_ns : spacing_after(h, cost));
	return e;
}

/* --- Open, forget, go back ---------------------------------------------------------------------------------------- */

static uint64_t default_bytes(void)
{
	uint64_t part = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / RAM_PART;

	return part < BYTES_MIN ? BYTES_MIN : part > BYTES_MAX ? BYTES_MAX : part;
}

enum err history_open(struct vm *vm, uint64_t bytes, uint64_t spacing_ns, struct history **out, struct errmsg *why)
{
	const struct history_mark start = {0};
	struct history *h = calloc(1, sizeof(*h));
	enum err e = h ? ram_pages_open(&h->pages, &vm->mem) : ERR_NOMEM;

	*out = NULL;
	if (e != ERR_OK) {
		free(h);
		return err_set(why, e, "no memory for going back");
	}
	h->vm = vm;
	h->limit = bytes ? bytes : default_bytes();
	h->spacing_ns = spacing_ns;
	h->last = here(h);
	e = history_checkpoint(h, &start, why);
	if (e != ERR_OK) {
		history_close(h);
		return e;
	}
	*out = h;
	return ERR_OK;
}

static void drop_events(struct history *h, size_t from)
{
	for (size_t i = from; i < h->n_events; i++)
		free(h->events[i].data);
	h->n_events = from;
	while (h->n_checkpoints && h->checkpoints[h->n_checkpoints - 1].event >= from)
		remove_checkpoint(h, h->n_checkpoints - 1);
}

void history_close(struct history *h)
{
	if (!h)
		return;
	drop_events(h, 0);
	ram_pages_close(&h->pages);
	free(h->checkpoints);
	free(h->events);
	free(h);
}

void history_forget(struct history *h)
{
	drop_events(h, h->next);
	h->last = here(h);
	if (h->n_checkpoints)
		h->ran_ns = h->checkpoints[h->n_checkpoints - 1].ran_ns;
	h->due_ns = h->ran_ns + (h->spacing_ns ? h->spacing_ns : SPACING_MIN_NS);
}

enum err history_input(
    struct history *h, enum history_event kind, uint64_t arg, const void *data, size_t n, struct errmsg *why)
{
	if (!history_at_frontier(h))
		history_forget(h);
	return add_event(h, kind, arg, data, n, why);
}

bool history_at(const struct history *h, unsigned i, struct vm_position *at)
{
	if (i >= h->n_checkpoints)
		return false;
	*at = h->checkpoints[i].at;
	return true;
}

unsigned history_before_insns(const struct history *h, uint64_t insns)
{
	unsigned i = h->n_checkpoints - 1;

	while (i && h->checkpoints[i].at.insns >= insns)
		i--;
	return i;
}

unsigned history_before_exits(const struct history *h, uint64_t exits)
{
	unsigned i = h->n_checkpoints - 1;

	while (i && h->checkpoints[i].mark.exits >= exits)
		i--;
	return i;
}

unsigned history_before(const struct history *h, const struct vm_position *p)
{
	unsigned i = h->n_checkpoints - 1;

	while (i && !position_before(&h->checkpoints[i].at, p))
		i--;
	return i;
}

enum err history_restore(struct history *h, unsigned i, struct history_mark *mark, struct errmsg *why)
{
	const struct checkpoint *k = &h->checkpoints[i];
	enum err e;

	ram_pages_restore(&h->pages, &k->ram);
	e = snapshot_machine_restore(h->vm, k->machine, k->machine_len, why);
	if (e != ERR_OK)
		return e;
	side_restore(h->vm, k->side);
	h->next = k->event + 1;
	*mark = k->mark;
	return ERR_OK;
}

void history_facts(const struct history *h, struct history_facts *f)
{
	*f = (struct history_facts){
	    h->n_checkpoints, h->bytes + h->pages.bytes, h->n_events, h->taken, h->cost_ns, h->last};
}

void history_lose(struct history *h, unsigned i)
{
	for (unsigned k = 0; k < h->n_checkpoints; k++)
		if (h->checkpoints[k].event == i)
			remove_checkpoint(h, k);
	free(h->events[i].data);
	h->n_events--;
	memmove(&h->events[i], &h->events[i + 1], (h->n_events - i) * sizeof(*h->events));
	for (unsigned k = 0; k < h->n_checkpoints; k++)
		h->checkpoints[k].event -= h->checkpoints[k].event > i;
	h->next -= h->next > i;
}
