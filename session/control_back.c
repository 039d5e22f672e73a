/*
 * The past, and what comes from outside. Going back is a checkpoint and a replay: the run from there to the place that
 * was asked for is the run that was, because everything that came from outside happens again at its position.
 *
 * Read first: history.h.
 */
#include <string.h>

#include "core/lib.h"
#include "session/control_impl.h"

static enum err cannot_go_back(struct control *c, struct errmsg *why)
{
	return err_set(why, ERR_UNSUPPORTED, "go back: %s", c->where.why_not_back);
}

/* --- Entering the past -------------------------------------------------------------------------------------------- */

/* The other observers of the VM, who have seen all this. */
struct audience {
	const struct probe_ops *probes[VM_PROBES_MAX];
	void *args[VM_PROBES_MAX];
	unsigned n;
	void (*on_insn[VM_VCPUS_MAX])(void *arg, const struct x86_insn *i);
	struct breakpoint breaks[CONTROL_BREAKS_MAX]; /* nor do hits count a second time */
};

static void send_out(struct control *c, struct audience *a)
{
	struct vm *vm = c->vm;

	if (c->cfg.replaying)
		c->cfg.replaying(c->cfg.arg, true, vm->clock.insns, c->vm->passed.exits);
	memcpy(a->probes, vm->probes, sizeof(a->probes));
	memcpy(a->args, vm->probe_args, sizeof(a->args));
	memcpy(a->breaks, c->breaks, sizeof(a->breaks));
	a->n = vm->n_probes;
	for (unsigned i = 0; i < a->n; i++)
		if (a->args[i] == c) {
			vm->probes[0] = a->probes[i];
			vm->probe_args[0] = c;
		}
	vm->n_probes = 1;
	vm_probes_changed(vm);
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		a->on_insn[i] = vm->vcpus[i].cpu.on_insn;
		vm->vcpus[i].cpu.on_insn = NULL;
	}
	c->silent = true;
}

static void let_in(struct control *c, const struct audience *a)
{
	struct vm *vm = c->vm;

	c->silent = false;
	memcpy(vm->probes, a->probes, sizeof(a->probes));
	memcpy(vm->probe_args, a->args, sizeof(a->args));
	memcpy(c->breaks, a->breaks, sizeof(a->breaks));
	vm->n_probes = a->n;
	vm_probes_changed(vm);
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		vm->vcpus[i].cpu.on_insn = a->on_insn[i];
	if (c->cfg.replaying)
		c->cfg.replaying(c->cfg.arg, false, vm->clock.insns, c->vm->passed.exits);
}

/* From checkpoint k to the goal. Without an audience. */
static enum err replay(struct control *c, unsigned k, const struct control_goal *g, struct errmsg *why)
{
	struct history_mark m;
	enum err e = history_restore(c->history, k, &m, why);

	if (e != ERR_OK)
		return e;
	c->vm->passed =
	    (struct vm_passed){m.exits, m.exit_insns, m.exit_ns - m.exit_insns * CLOCK_NS_PER_INSN, m.exit_ended != 0};
	c->console_bytes = m.console_bytes;
	return control_go_why(c, g, why);
}

static enum err go_back(struct control *c, unsigned k, struct control_goal *g, struct errmsg *why)
{
	struct audience a;

	g->no_breaks = true;
	send_out(c, &a);
	enum err e = replay(c, k, g, why);
	let_in(c, &a);
	return e;
}

static enum err to_begin(struct control *c, struct errmsg *why)
{
	struct control_goal g = control_no_goal();
	enum err e;

	g.insns = 0;
	e = go_back(c, 0, &g, why);
	if (e == ERR_OK)
		c->where.stop = CONTROL_BEGIN;
	return e;
}

/* --- Steps back --------------------------------------------------------------------------------------------------- */

static enum err back_to_insn(struct control *c, uint64_t insns, struct errmsg *why)
{
	struct control_goal g = control_no_goal();

	g.insns = insns;
	return go_back(c, history_before_insns(c->history, insns), &g, why);
}

static enum err back_to_exits(struct control *c, uint64_t exits, struct errmsg *why)
{
	struct control_goal g = control_no_goal();

	g.exits = exits;
	return go_back(c, history_before_exits(c->history, exits), &g, why);
}

static uint64_t first_insns(const struct control *c)
{
	struct vm_position p = {0};

	(void)history_at(c->history, 0, &p);
	return p.insns;
}

enum err control_back_insn(struct control *c, uint64_t n, struct errmsg *why)
{
	uint64_t insns = c->vm->clock.insns;

	if (!c->history)
		return cannot_go_back(c, why);
	if (n > insns - first_insns(c))
		return to_begin(c, why);
	return back_to_insn(c, insns - n, why);
}

/* Between two lockstep points the nearest one counts as the first. */
enum err control_back_exit(struct control *c, uint64_t n, struct errmsg *why)
{
	struct vm_position p;
	uint64_t ago = n;

	if (!c->history)
		return cannot_go_back(c, why);
	vm_position(c->vm, &p);
	if (ago && (p.insns != c->vm->passed.insns || p.ns != control_exit_ns(c) || p.ended != c->vm->passed.ended))
		ago--;
	if (ago >= c->vm->passed.exits)
		return to_begin(c, why);
	return back_to_exits(c, c->vm->passed.exits - ago, why);
}

/* Through what is known, and seen, a checkpoint may be nearer than this place, forward as well. */
static bool is_ahead(const struct control *c, unsigned k)
{
	struct vm_position at = {0}, p;

	vm_position(c->vm, &p);
	return history_at(c->history, k, &at) && position_before(&p, &at);
}

/* The point after exit k: k + 1 exits have happened then. */
enum err control_goto_exit(struct control *c, uint64_t k, struct errmsg *why)
{
	struct control_goal g = control_no_goal();

	g.exits = k + 1;
	g.no_breaks = true;
	bool known = c->history && k < control_where(c)->last_exits;

	if (c->vm->passed.exits <= k && !(known && is_ahead(c, history_before_exits(c->history, k + 1))))
		return control_go_why(c, &g, why);
	return c->history ? back_to_exits(c, k + 1, why) : cannot_go_back(c, why);
}

enum err control_goto_insn(struct control *c, uint64_t insns, struct errmsg *why)
{
	struct control_goal g = control_no_goal();

	const struct mode_ops *m = c->vm->cfg.mode;
	bool model = m->caps & MODE_CAP_MODEL;

	if (c->driver != DRIVER_EXACT || model)
		return err_set(why, ERR_UNSUPPORTED, "go to an instruction: not in %s/%s: %s: go to an exit",
		    mode_name(m->mode), m->type == VMM_TYPE_I ? "I" : "II",
		    model ? "a behaviour model has none" : "nothing stops the guest at a count of them");
	g.insns = insns;
	g.no_breaks = true;
	bool known = c->history && insns <= control_where(c)->last_insns;

	if (insns > c->vm->clock.insns && !(known && is_ahead(c, history_before_insns(c->history, insns))))
		return control_go_why(c, &g, why);
	return c->history ? back_to_insn(c, insns, why) : cannot_go_back(c, why);
}

/* --- To a breakpoint ---------------------------------------------------------------------------------------------- */

/* From checkpoint k up to end (last: and at it, by an exit that led there): how often would a breakpoint have stopped?
 * stop_at: and stop there. */
static enum err note_hits(
    struct control *c, unsigned k, const struct vm_position *end, bool last, uint64_t stop_at, struct errmsg *why)
{
	struct control_goal g = control_no_goal();

	g.to_set = true;
	g.to = *end;
	c->noting = true;
	c->note_end = *end;
	c->note_last = last;
	c->notes = 0;
	c->stop_at_note = stop_at;
	enum err e = replay(c, k, &g, why);
	c->noting = false;
	return e;
}

/* Segment by segment, the newest first. */
static enum err find_hit(struct control *c, struct errmsg *why)
{
	struct vm_position end, start;
	unsigned k;
	bool last = false;
	enum err e;

	vm_position(c->vm, &end);
	k = history_before(c->history, &end);
	for (;;) {
		(void)history_at(c->history, k, &start);
		e = note_hits(c, k, &end, last, NO_GOAL, why);
		if (e != ERR_OK || c->where.stop == CONTROL_INTERRUPTED || c->where.stop == CONTROL_LIMIT)
			return e;
		if (c->notes)
			return note_hits(c, k, &end, last, c->notes, why);
		if (k == 0)
			break;
		end = start;
		last = true;
		k--;
	}
	struct control_goal g = control_no_goal();

	g.insns = 0;
	e = replay(c, 0, &g, why);
	c->where.stop = CONTROL_BEGIN;
	return e;
}

enum err control_back_to_break(struct control *c, struct errmsg *why)
{
	struct audience a;

	if (!c->history)
		return cannot_go_back(c, why);
	send_out(c, &a);
	enum err e = find_hit(c, why);
	let_in(c, &a);
	return e;
}

enum err control_restart(struct control *c, struct errmsg *why)
{
	enum err e;

	if (!c->history)
		return cannot_go_back(c, why);
	e = to_begin(c, why);
	if (e == ERR_OK) {
		c->where.stop = CONTROL_DONE;
		c->where.last_insns = c->where.last_exits = 0;
		history_forget(c->history);
	}
	return e;
}

/* --- From outside ------------------------------------------------------------------------------------------------- */

/* Notes it before it happens; a machine that has ended takes nothing. */
static enum err note_input(struct control *c, enum history_event kind, uint64_t arg, const void *data, size_t n)
{
	if (c->vm->ended && !vm_may_resume(c->vm))
		return err_set(&c->failure, ERR_BUSY, "the guest has ended: it takes no input any more");
	if (!c->history)
		return ERR_OK;
	if (!history_at_frontier(c->history))
		c->where.last_insns = c->where.last_exits = 0;
	return history_input(c->history, kind, arg, data, n, &c->failure);
}

static enum err has_words(struct control *c, enum err e)
{
	return e == ERR_OK ? e : err_set(&c->failure, e, "%s", err_sentence(e));
}

size_t control_type(struct control *c, const uint8_t *text, size_t n)
{
	return note_input(c, HISTORY_TYPE, 0, text, n) == ERR_OK ? c->s->ops->type(c->s, text, n) : 0;
}

enum err control_set_state(struct control *c, unsigned vcpu, const struct x86_state *in)
{
	enum err e;

	if (vcpu >= c->vm->n_vcpus)
		return err_set(&c->failure, ERR_RANGE, "the guest has no CPU %u", vcpu);
	if (in->version != X86_STATE_VERSION || in->size != sizeof(*in))
		return err_set(&c->failure, ERR_FORMAT, "a CPU state of another version");
	e = note_input(c, HISTORY_STATE, vcpu, in, sizeof(*in));
	return e == ERR_OK ? has_words(c, c->s->ops->set_state(c->s, vcpu, in)) : e;
}

enum err control_set_msr(struct control *c, unsigned vcpu, uint32_t msr, uint64_t value)
{
	const struct history_msr m = {value, msr};

	if (vcpu >= c->vm->n_vcpus)
		return err_set(&c->failure, ERR_RANGE, "the guest has no CPU %u", vcpu);
	enum err e = note_input(c, HISTORY_MSR, vcpu, &m, sizeof(m));
	return e == ERR_OK ? has_words(c, c->s->ops->wrmsr(c->s, vcpu, msr, value)) : e;
}

/* All of it in RAM? What lies elsewhere (ROM) no checkpoint brings back. */
static bool in_ram(struct control *c, gpa_t gpa, size_t n)
{
	for (gpa_t at = gpa; at < gpa + n; at = (at | (PAGE_SIZE_4K - 1)) + 1) {
		const uint8_t *p = mem_page(&c->vm->mem, at, true);

		if (!p || p < c->vm->mem.ram || p >= c->vm->mem.ram + c->vm->mem.ram_size)
			return false;
	}
	return true;
}

enum err control_write_mem(struct control *c, gpa_t gpa, const void *buf, size_t n)
{
	unsigned long long from = gpa, to = gpa + n;
	enum err e;

	if (c->history && !in_ram(c, gpa, n))
		return err_set(&c->failure, ERR_RANGE, "%#llx to %#llx is not all RAM", from, to);
	e = note_input(c, HISTORY_MEM, gpa, buf, n);
	return e == ERR_OK ? has_words(c, c->s->ops->write_mem(c->s, gpa, buf, n)) : e;
}
