/*
 * Breakpoints. Those on exits are answered by the exits themselves, in every backend; those on addresses by the engine,
 * which is told where to stop (struct vm_breaks) while a run is under way.
 */
#include <stdio.h>
#include <string.h>

#include "core/lib.h"
#include "core/x86/access.h"
#include "session/control_impl.h"

/* --- The list ----------------------------------------------------------------------------------------------------- */

static struct breakpoint *find(struct control *c, unsigned id)
{
	for (unsigned i = 0; i < c->n_breaks; i++)
		if (c->breaks[i].id == id)
			return &c->breaks[i];
	return NULL;
}

static bool engine_answers(enum break_kind k)
{
	return k == BREAK_INSN || k == BREAK_MEM;
}

/* Can this backend stop there? */
static enum err check_kind(struct control *c, enum break_kind kind, struct errmsg *why)
{
	static const char *const what[] = {
	    [BREAK_INSN] = "a breakpoint on an address", [BREAK_MEM] = "a breakpoint on memory"};
	const struct mode_ops *m = c->vm->cfg.mode;
	const char *reason = NULL;

	if (!engine_answers(kind) || m->caps & MODE_CAP_BREAK || (kind == BREAK_INSN && m->caps & MODE_CAP_BREAK_DR))
		return ERR_OK;
	if (m->caps & MODE_CAP_MODEL)
		reason = "a behaviour model has no instructions and no memory";
	else if (m->caps & MODE_CAP_REMOTE)
		reason = "the guest runs on another machine, which stops at exits only";
	else
		reason = "the processor runs the guest by itself and does not report its accesses";
	return err_set(why, ERR_UNSUPPORTED, "%s: not in %s/%s: %s; use --mode emulate%s, or a breakpoint on an exit",
	    what[kind], mode_name(m->mode), m->type == VMM_TYPE_I ? "I" : "II", reason,
	    m->caps & MODE_CAP_REMOTE ? " --type 2" : "");
}

/* Debug registers are few, and one is kept for steps over calls. */
static enum err check_dr(struct control *c, const struct breakpoint *b, struct errmsg *why)
{
	unsigned caps = c->vm->cfg.mode->caps, used = 0;

	if (b->kind != BREAK_INSN || caps & MODE_CAP_BREAK)
		return ERR_OK;
	if (b->lo != b->hi)
		return err_set(why, ERR_UNSUPPORTED,
		    "breakpoint %s: the processor's debug registers hold single addresses; a range needs --mode "
		    "emulate",
		    b->text);
	for (unsigned i = 0; i < c->n_breaks; i++)
		used += c->breaks[i].kind == BREAK_INSN;
	if (used < VM_BREAKS_DR - 1)
		return ERR_OK;
	return err_set(why, ERR_NOMEM,
	    "breakpoint %s: all %u debug registers for breakpoints are in use: remove one, or use --mode emulate",
	    b->text, VM_BREAKS_DR - 1);
}

static enum err check(struct control *c, const struct breakpoint *b, struct errmsg *why)
{
	if ((unsigned)b->kind >= BREAK_KINDS)
		return err_set(why, ERR_RANGE, "a breakpoint of kind %u: there is none", (unsigned)b->kind);
	if (b->kind != BREAK_EXIT && b->hi < b->lo)
		return err_set(why, ERR_RANGE, "breakpoint %s: its end, %#llx, lies before its start, %#llx", b->text,
		    (unsigned long long)b->hi, (unsigned long long)b->lo);
	if (b->kind == BREAK_EXIT && !exit_desc((uint32_t)b->lo))
		return err_set(
		    why, ERR_NOENT, "breakpoint %s: no exit has the number %llu", b->text, (unsigned long long)b->lo);
	if (c->n_breaks == CONTROL_BREAKS_MAX)
		return err_set(
		    why, ERR_NOMEM, "breakpoint %s: all %u are in use: remove one", b->text, CONTROL_BREAKS_MAX);
	enum err e = check_kind(c, b->kind, why);
	return e == ERR_OK ? check_dr(c, b, why) : e;
}

static void list_changed(struct control *c)
{
	c->exit_breaks = false;
	for (unsigned i = 0; i < c->n_breaks; i++)
		if (!c->breaks[i].disabled && !engine_answers(c->breaks[i].kind))
			c->exit_breaks = true;
}

enum err control_break_add(struct control *c, struct breakpoint *b, struct errmsg *why)
{
	enum err e = check(c, b, why);

	if (e != ERR_OK)
		return e;
	b->id = c->next_id++;
	b->hits = 0;
	c->breaks[c->n_breaks++] = *b;
	list_changed(c);
	return ERR_OK;
}

enum err control_break_remove(struct control *c, unsigned id)
{
	struct breakpoint *b = find(c, id);

	if (!b)
		return ERR_NOENT;
	c->n_breaks--;
	memmove(b, b + 1, (size_t)(&c->breaks[c->n_breaks] - b) * sizeof(*b));
	list_changed(c);
	return ERR_OK;
}

enum err control_break_enable(struct control *c, unsigned id, bool on)
{
	struct breakpoint *b = find(c, id);

	if (!b)
		return ERR_NOENT;
	b->disabled = !on;
	list_changed(c);
	return ERR_OK;
}

const struct breakpoint *control_break_at(struct control *c, unsigned i)
{
	return i < c->n_breaks ? &c->breaks[i] : NULL;
}

/* --- Hits --------------------------------------------------------------------------------------------------------- */

/* The breakpoint was met. It stops the run unless it is to be passed over, or another one has stopped it already. */
static void met(struct control *c, struct breakpoint *b)
{
	if (c->noting) {
		c->noted = b->id;
		return;
	}
	b->hits++;
	if (b->skip) {
		b->skip--;
		return;
	}
	if (!c->hit)
		c->hit = b->id;
}

static bool wants(const struct breakpoint *b, bool write)
{
	return !b->access || b->access & (write ? BREAK_WRITE : BREAK_READ);
}

static bool port_matches(const struct breakpoint *b, const struct vm_exit *e)
{
	return e->reason == EXIT_IO_INSTRUCTION && wants(b, !e->io.in) && e->io.port <= b->hi &&
	       e->io.port + (e->io.size ? e->io.size : 1u) > b->lo;
}

static bool msr_matches(const struct breakpoint *b, const struct vm_exit *e)
{
	bool write = e->reason == EXIT_MSR_WRITE;

	return (write || e->reason == EXIT_MSR_READ) && wants(b, write) && e->msr.index >= b->lo &&
	       e->msr.index <= b->hi;
}

static bool exit_matches(const struct breakpoint *b, const struct vm_exit *e)
{
	switch (b->kind) {
	case BREAK_EXIT:
		return e->reason == b->lo;
	case BREAK_PORT:
		return port_matches(b, e);
	case BREAK_MSR:
		return msr_matches(b, e);
	case BREAK_INSN:
	case BREAK_MEM:
	case BREAK_KINDS:
	default:
		return false;
	}
}

/* On the way to the newest hit: this place is one. */
static void note(struct control *c)
{
	struct vm_position p;

	vm_position(c->vm, &p);
	if (c->noted && (position_before(&p, &c->note_end) || (c->note_last && position_same(&p, &c->note_end))) &&
	    ++c->notes == c->stop_at_note)
		c->hit = c->noted;
	c->noted = 0;
}

void breaks_exit(struct control *c, const struct vm_exit *e)
{
	for (unsigned i = 0; i < c->n_breaks; i++)
		if (!c->breaks[i].disabled && exit_matches(&c->breaks[i], e))
			met(c, &c->breaks[i]);
	if (c->noting)
		note(c);
}

/* A call is over when the stack is where it was; deeper, it is another call of the same function. */
static bool at_goal(struct control *c)
{
	const struct control_goal *g = &c->goal;
	struct vcpu *v = &c->vm->vcpus[c->vm->turn];

	if (!g->at_set || !c->watch.hit || c->watch.hit_at != g->at || v->id != g->vcpu)
		return false;
	const struct x86_state *s = vcpu_regs(v);
	return s && s->gpr[X86_RSP] >= g->sp;
}

void breaks_engine(struct control *c)
{
	struct vm_breaks *w = &c->watch;

	for (unsigned i = 0; i < c->n_breaks; i++) {
		struct breakpoint *b = &c->breaks[i];

		if (c->goal.no_breaks || b->disabled)
			continue;
		if ((b->kind == BREAK_INSN && w->hit && w->hit_at >= b->lo && w->hit_at <= b->hi) ||
		    (b->kind == BREAK_MEM && w->mem.hits >> i & 1))
			met(c, b);
	}
	if (c->noting)
		note(c);
	if (at_goal(c))
		c->met = true;
	/* Passed over: the instruction that was about to come comes; where memory stopped it, it may be another stop.
	 */
	if (w->hit) {
		w->skip_at = w->hit_at;
		w->skip_insns = c->vm->clock.insns;
	}
	w->hit = false;
	w->mem.hits = 0;
}

static uint8_t memory_access(const struct breakpoint *b)
{
	return (uint8_t)((wants(b, false) ? X86_ACCESS_READ : 0) | (wants(b, true) ? X86_ACCESS_WRITE : 0));
}

/* --- The engine --------------------------------------------------------------------------------------------------- */

static void arm_insns(struct control *c)
{
	struct vm_breaks *w = &c->watch;
	struct vcpu *v = &c->vm->vcpus[c->vm->turn];

	w->n = 0;
	if (c->goal.at_set) {
		w->insn[0].lo = w->insn[0].hi = c->goal.at;
		w->n = 1;
	}
	for (unsigned i = 0; i < c->n_breaks && !c->goal.no_breaks; i++)
		if (!c->breaks[i].disabled && c->breaks[i].kind == BREAK_INSN) {
			w->insn[w->n].lo = c->breaks[i].lo;
			w->insn[w->n++].hi = c->breaks[i].hi;
		}
	w->hit = false;
	w->last_insns = UINT64_MAX;
	w->skip_insns = c->noting ? UINT64_MAX : c->vm->clock.insns; /* where a way back begins, too, is a place */
	w->skip_at = w->n && vcpu_state(v) ? x86_linear_ip(&v->cpu) : 0;
}

/* Range i of the watch is breakpoint i; the others are empty. */
static void arm_memory(struct control *c)
{
	struct x86_watch *m = &c->watch.mem;
	bool any = false;

	m->hits = 0;
	for (unsigned i = 0; i < c->n_breaks; i++) {
		const struct breakpoint *b = &c->breaks[i];
		bool on = !c->goal.no_breaks && !b->disabled && b->kind == BREAK_MEM;

		any = any || on;
		m->range[i].lo = on ? b->lo : UINT64_MAX;
		m->range[i].hi = on ? b->hi : 0;
		m->range[i].how = on ? memory_access(b) : 0;
	}
	m->n = any ? c->n_breaks : 0;
	for (unsigned i = 0; any && i < c->vm->n_vcpus; i++)
		x86_watch_set(&c->vm->vcpus[i].cpu, m);
}

/* An engine that has prepared for what is armed need not do so again when it is the same. */
static void note_change(struct control *c, const struct vm_breaks *old)
{
	struct vm_breaks *w = &c->watch;
	bool same = w->serial && w->n == old->n && (w->mem.n != 0) == (old->mem.n != 0);

	for (unsigned i = 0; same && i < w->n; i++)
		same = w->insn[i].lo == old->insn[i].lo && w->insn[i].hi == old->insn[i].hi;
	if (!same)
		w->serial = ++c->vm->break_serial;
}

void breaks_arm(struct control *c)
{
	unsigned caps = c->vm->cfg.mode->caps;

	if (!(caps & (MODE_CAP_BREAK | MODE_CAP_BREAK_DR)))
		return;
	const struct vm_breaks old = c->watch;
	arm_insns(c);
	if (caps & MODE_CAP_BREAK)
		arm_memory(c);
	if (!c->watch.n && !c->watch.mem.n)
		return;
	note_change(c, &old);
	c->vm->breaks = &c->watch;
}

void breaks_disarm(struct control *c)
{
	struct breakpoint *b = c->hit ? find(c, c->hit) : NULL;

	if (c->watch.mem.n)
		for (unsigned i = 0; i < c->vm->n_vcpus; i++)
			x86_watch_set(&c->vm->vcpus[i].cpu, NULL);
	c->vm->breaks = NULL;
	if (b && b->once && !c->noting)
		(void)!control_break_remove(c, b->id);
}
