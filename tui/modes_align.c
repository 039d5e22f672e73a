/*
 * Reading runs and laying them side by side. Read modes_align.h first.
 */
#include "tui/modes_align.h"

#include <stdlib.h>
#include <string.h>

#include "tracer/exit_fields.h"
#include "tui/modes_impl.h"

/* How far one side may be ahead when equal exits are looked for after a difference. */
#define WINDOW 16

/* --- a run ------------------------------------------------------------------------------------------------------- */

static void forget(struct modes_track *t)
{
	t->n = 0;
	t->others = 0;
	t->next_pos = 0;
	t->full = t->late = false;
	t->generation++;
}

void modes_track_free(struct modes_track *t)
{
	free(t->items);
	free(t->profile);
	*t = (struct modes_track){.generation = t->generation + 1};
}

/* After going back and another input, or a restart, the log holds other exits at the same places. */
static bool still_true(const struct modes_track *t, struct view_model *m)
{
	if (t->next_pos == 0)
		return true;
	const struct view_exit *last = view_log_at(m, t->next_pos - 1);
	if (!last)
		return t->next_pos - 1 < view_log_first(m) && view_log_n(m) > 0;
	return last->number == t->last_number && last->insns == t->last_insns;
}

static void set_kind(struct modes_track *t, const struct view_info *info)
{
	t->model = strcmp(info->mode, "simulate") == 0;
	bool kvm = strcmp(info->mode, "virtualize") == 0 && info->type == 2;
	t->fields = !t->model && !kvm && strcmp(info->engine, "svm") != 0 && info->source == VIEW_LIVE;
	if (strcmp(t->profile_name, info->controls) == 0)
		return;
	snprintf(t->profile_name, sizeof t->profile_name, "%s", info->controls);
	free(t->profile);
	t->profile = info->profile ? malloc(sizeof *t->profile) : NULL;
	if (t->profile)
		*t->profile = *info->profile;
	t->generation++;
}

static bool add(struct modes_track *t, const struct view_exit *e)
{
	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 1024;
		struct modes_item *more = realloc(t->items, room * sizeof *more);
		if (!more)
			return false;
		t->items = more;
		t->room = room;
	}
	struct modes_item *i = &t->items[t->n++];
	*i = (struct modes_item){.number = e->number, .has_rip = (e->has & VIEW_HAS_RIP) != 0};
	view_exit_to_vm_exit(e, &i->e);
	i->values.reason = e->reason;
	i->values.n = e->has & VIEW_HAS_VALUES ? sequence_values(&i->e, i->values.value) : 0;
	return true;
}

void modes_track_read(struct modes_track *t, struct view_model *m)
{
	const struct view_info *info = view_info(m);
	uint64_t first = view_log_first(m), end = first + view_log_n(m);

	set_kind(t, info);
	if (!still_true(t, m))
		forget(t);
	t->ended = view_now(m)->run == VIEW_ENDED || info->source == VIEW_TRACE;
	if (t->next_pos < first && end > first) { /* the log lost what was not read yet */
		bool none = t->n == 0;
		t->late |= none;
		t->full |= !none;
	}
	for (; t->next_pos < end && !t->late && !t->full; t->next_pos++) {
		const struct view_exit *e = view_log_at(m, t->next_pos);
		/* The newest one may not be over yet: its values come with its end. */
		if (!e || (info->source == VIEW_LIVE && e->verdict == VERDICT_COUNT && e->number != UINT64_MAX))
			break;
		t->last_number = e->number;
		t->last_insns = e->insns;
		if (e->has & VIEW_CHILD || !exit_is_hw(e->reason))
			continue;
		if (!exit_is_predicted(e->reason))
			t->others++;
		else if (t->n == MODES_ITEMS_MAX || !add(t, e))
			t->full = true;
	}
}

/* --- which exits are compared ------------------------------------------------------------------------------------ */

static bool same_values(const struct modes_item *a, const struct modes_item *b)
{
	return a->values.reason == b->values.reason && a->values.n == b->values.n &&
	       memcmp(a->values.value, b->values.value, a->values.n * sizeof a->values.value[0]) == 0;
}

bool modes_same(const struct modes_track *main, const struct modes_item *a, const struct modes_track *sub,
    const struct modes_item *b)
{
	if (!same_values(a, b))
		return false;
	if (!a->has_rip || !b->has_rip)
		return true;
	if (a->e.rip != b->e.rip)
		return false;
	return !main->fields || !sub->fields || !exit_fields_differ(&a->e, &b->e);
}

/* The same event with another value: one row, whatever comes after it. */
static bool same_event(const struct modes_item *a, const struct modes_item *b)
{
	bool direction = a->e.reason == EXIT_IO_INSTRUCTION || a->e.reason == EXIT_EPT_VIOLATION;

	if (a->e.reason != b->e.reason)
		return false;
	if (a->has_rip && b->has_rip)
		return a->e.rip == b->e.rip;
	if (a->values.n < 2 || b->values.n < 2)
		return true;
	return a->values.value[0] == b->values.value[0] && (!direction || a->values.value[1] == b->values.value[1]);
}

/* --- laying ------------------------------------------------------------------------------------------------------ */

struct laying {
	struct modes_pair *p;
	const struct modes_track *main, *sub;
	size_t i, k; /* the next items of main and sub */
};

static bool push(struct laying *l, bool main, bool sub, enum modes_state state)
{
	struct modes_pair *p = l->p;

	if (p->n == p->room) {
		size_t room = p->room ? p->room * 2 : 1024;
		struct modes_row *more = realloc(p->rows, room * sizeof *more);
		if (!more)
			return false;
		p->rows = more;
		p->room = room;
	}
	if (p->first < 0 && (state == MODES_DIFFER || state == MODES_MISSING || state == MODES_EXTRA))
		p->first = (int32_t)p->n;
	p->rows[p->n++] = (struct modes_row){
	    .main = main ? (int32_t)l->i++ : -1, .sub = sub ? (int32_t)l->k++ : -1, .state = (uint8_t)state};
	if (state == MODES_EQUAL && p->first < 0)
		p->equal++;
	return true;
}

static bool items_same(const struct laying *l, size_t i, size_t k)
{
	return modes_same(l->main, &l->main->items[i], l->sub, &l->sub->items[k]);
}

/* Equal from here on, as far as one can see: two in a row, or one at the end. */
static bool meet(const struct laying *l, size_t i, size_t k)
{
	if (i >= l->main->n || k >= l->sub->n || !items_same(l, i, k))
		return false;
	return i + 1 >= l->main->n || k + 1 >= l->sub->n || items_same(l, i + 1, k + 1);
}

/* Must an exit of main be in sub as well (main = true), or one of sub in main? */
static enum modes_exits expected(const struct laying *l, bool main, const struct modes_item *i)
{
	if (strcmp(l->main->profile_name, l->sub->profile_name) == 0)
		return MODES_ALWAYS;
	return modes_exits_under(main ? l->sub->profile : l->main->profile, &i->e);
}

/* The two differ: is one of them an exit that the other side does not have? */
static bool lay_difference(struct laying *l)
{
	if (same_event(&l->main->items[l->i], &l->sub->items[l->k]))
		return push(l, true, true, MODES_DIFFER);
	for (size_t ahead = 1; ahead <= WINDOW; ahead++) {
		bool missing = meet(l, l->i + ahead, l->k), extra = !missing && meet(l, l->i, l->k + ahead);
		if (!missing && !extra)
			continue;
		for (; ahead > 0; ahead--) {
			const struct modes_item *one = missing ? &l->main->items[l->i] : &l->sub->items[l->k];
			bool must = expected(l, missing, one) == MODES_ALWAYS;
			if (!push(l, missing, extra, !must ? MODES_DESIGN : missing ? MODES_MISSING : MODES_EXTRA))
				return false;
		}
		return true;
	}
	return push(l, true, true, MODES_DIFFER);
}

/* One row; false: nothing more can be said now. */
static bool lay(struct laying *l)
{
	bool have_main = l->i < l->main->n, have_sub = l->k < l->sub->n;
	const struct modes_item *a = have_main ? &l->main->items[l->i] : NULL;
	const struct modes_item *b = have_sub ? &l->sub->items[l->k] : NULL;
	enum modes_exits there = a ? expected(l, true, a) : MODES_ALWAYS;
	enum modes_exits here = b ? expected(l, false, b) : MODES_ALWAYS;

	if (a && b && items_same(l, l->i, l->k))
		return push(l, true, true, MODES_EQUAL);
	if (a && (there == MODES_NEVER || (there == MODES_MAYBE && b && a->e.reason != b->e.reason)))
		return push(l, true, false, MODES_DESIGN);
	if (b && (here == MODES_NEVER || (here == MODES_MAYBE && a && a->e.reason != b->e.reason)))
		return push(l, false, true, MODES_DESIGN);
	if (a && b)
		return lay_difference(l);
	if (a && l->sub->ended && !l->sub->full)
		return push(l, true, false, MODES_MISSING);
	if (b && l->main->ended && !l->main->full)
		return push(l, false, true, MODES_EXTRA);
	return false;
}

static void restart(struct modes_pair *p, const struct modes_track *main, const struct modes_track *sub)
{
	p->n = p->settled = p->settled_main = p->settled_sub = p->equal = 0;
	p->first = -1;
	p->generations[0] = main->generation;
	p->generations[1] = sub->generation;
}

void modes_pair_update(struct modes_pair *p, const struct modes_track *main, const struct modes_track *sub)
{
	struct laying l = {p, main, sub, 0, 0};

	if (p->generations[0] != main->generation || p->generations[1] != sub->generation || p->room == 0)
		restart(p, main, sub);
	/* Behind the first difference rows are laid anew each time: with more to look at, they may fall otherwise. */
	p->n = p->settled;
	p->first = -1;
	l.i = p->settled_main;
	l.k = p->settled_sub;
	p->cut = false;
	while (!p->cut && lay(&l)) {
		if (p->first < 0) {
			p->settled = p->n;
			p->settled_main = l.i;
			p->settled_sub = l.k;
		}
		p->cut = p->first >= 0 && p->n - (size_t)p->first >= MODES_AFTER;
	}
	p->behind = p->cut ? 0 : main->n - l.i;
}

void modes_pair_free(struct modes_pair *p)
{
	free(p->rows);
	*p = (struct modes_pair){.first = -1};
}
