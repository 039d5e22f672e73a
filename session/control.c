/*
 * Run control: one goal at a time, forward. Every call of control.h is a goal (an instruction, an exit, a time) for one
 * of three drivers; what stops a run beside its goal is looked at in one place (control_settle()).
 *
 * Read after control.h; then control_break.c, and control_back.c for the past.
 */
#include "session/control_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lib.h"

#define CHUNK_MIN 1000u
#define CHUNK_MAX 4000000u
#define CHUNK_NS 4000000u /* of host time: how soon a request is heard */
#define SLICE_NS 50000000u

const char *control_stop_name(enum control_stop s)
{
	static const char *const names[] = {"done", "breakpoint", "end", "interrupted", "limit", "beginning"};

	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "unknown";
}

/* --- What the run passes ------------------------------------------------------------------------------------------ */

static void look_at_exit(struct control *c, const struct vm_exit *e)
{
	if (c->vm->passed.exits >= c->goal.exits || e->reason == c->goal.reason)
		c->met = true;
	if (c->exit_breaks && !c->goal.no_breaks)
		breaks_exit(c, e);
	if (c->met || c->hit)
		c->vm->pause = 1;
}

/* A guest may exit millions of times a second: called only when somebody asked for exits. */
static void on_done_exact(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	(void)v;
	look_at_exit(arg, e);
}

static void on_done(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	vm_note_passed(v->vm, e);
	look_at_exit(arg, e);
}

/* The registers at the lockstep point of a remote guest may not come. */
static void on_verdict(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	(void)verdict;
	vm_note_passed(v->vm, e);
	look_at_exit(arg, e);
}

/* Virtual time: of the lockstep point of the last exit. */
uint64_t control_exit_ns(const struct control *c)
{
	const struct vm_passed *p = &c->vm->passed;

	return p->exits ? p->insns * CLOCK_NS_PER_INSN + p->skipped_ns : 0;
}

/* What the past writes again was written before. */
static void on_console(void *arg, const char *port, uint8_t byte)
{
	struct control *c = arg;

	c->console_bytes++;
	if (c->console && !c->silent)
		c->console(c->console_arg, port, byte);
}

static const struct probe_ops probes[] = {
    [DRIVER_EXACT] = {.name = "control", .on_done = on_done_exact},
    [DRIVER_SLICES] = {.name = "control", .on_done = on_done},
    [DRIVER_REMOTE] = {.name = "control", .on_verdict = on_verdict},
};

/* --- Open and close ----------------------------------------------------------------------------------------------- */

static enum control_driver driver_of(const struct vm *vm)
{
	unsigned caps = vm->cfg.mode->caps;

	if (caps & MODE_CAP_REMOTE)
		return DRIVER_REMOTE;
	return caps & MODE_CAP_COUNTS_INSNS ? DRIVER_EXACT : DRIVER_SLICES;
}

/* Going back: what it needs, or why it cannot be. */
static enum err open_history(struct control *c, struct errmsg *why)
{
	const struct vm_config *cfg = &c->vm->cfg;
	const char *no = NULL;

	if (cfg->mode->caps & MODE_CAP_MODEL)
		no = "a behaviour model's place in its program cannot be saved: use --mode emulate";
	else if (c->driver == DRIVER_REMOTE)
		no = "the guest runs on another machine, whose state is not kept here: use --mode emulate --type 2";
	else if (c->driver != DRIVER_EXACT || cfg->clock != CLOCK_VIRTUAL)
		no = "a run on the host's time is another one each time: use --mode emulate with --clock virtual";
	c->where.can_back = !no;
	if (no) {
		snprintf(c->where.why_not_back, sizeof(c->where.why_not_back), "%s", no);
		return ERR_OK;
	}
	return history_open(c->vm, c->cfg.history_bytes, c->cfg.spacing_ns, &c->history, why);
}

static void take_console(struct control *c)
{
	struct vm_config *cfg = &c->vm->cfg;

	c->console = cfg->console;
	c->console_arg = cfg->console_arg;
	cfg->console = on_console;
	cfg->console_arg = c;
}

enum err control_open(struct session *s, const struct control_config *cfg, struct control **out, struct errmsg *why)
{
	struct vm *vm = s->vm ? s->vm : s->mirror;
	struct control *c = vm ? calloc(1, sizeof(*c)) : NULL;
	enum err e;

	*out = NULL;
	if (!c)
		return err_set(
		    why, vm ? ERR_NOMEM : ERR_BUG, vm ? "no memory for run control" : "a session without a VM");
	c->s = s;
	c->vm = vm;
	if (cfg)
		c->cfg = *cfg;
	c->driver = driver_of(vm);
	c->goal = control_no_goal();
	c->chunk = CHUNK_MIN;
	c->next_id = 1;
	e = vm_add_probe(vm, &probes[c->driver], c);
	if (e != ERR_OK) {
		free(c);
		return err_set(why, e, "run control: this VM has %u observers already", vm->n_probes);
	}
	vm->exact = c->driver == DRIVER_EXACT;
	vm->passed = (struct vm_passed){0};
	take_console(c);
	e = open_history(c, why);
	if (e != ERR_OK) {
		control_close(c);
		return e;
	}
	*out = c;
	return ERR_OK;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	vm_remove_probe(c->vm, c);
	history_close(c->history);
	c->vm->cfg.console = c->console;
	c->vm->cfg.console_arg = c->console_arg;
	c->vm->exact = false;
	c->vm->breaks = NULL;
	free(c);
}

const struct control_where *control_where(struct control *c)
{
	struct control_where *w = &c->where;

	w->insns = c->vm->cfg.mode->caps & MODE_CAP_COUNTS_INSNS ? c->vm->clock.insns : 0;
	w->exits = c->vm->passed.exits;
	w->console_bytes = c->console_bytes;
	w->failure = c->failure.text;
	if (c->history) {
		struct history_facts f;

		history_facts(c->history, &f);
		w->checkpoints = f.checkpoints;
		w->history_bytes = f.bytes;
	}
	if (w->insns > w->last_insns)
		w->last_insns = w->insns;
	if (w->exits > w->last_exits)
		w->last_exits = w->exits;
	return w;
}

/* --- Interrupts --------------------------------------------------------------------------------------------------- */

/* The request is the flag; the stop only wakes a run that is in progress. */
void control_interrupt(struct control *c)
{
	atomic_store(&c->interrupt, 1);
	c->s->ops->stop(c->s);
}

static bool take_interrupt(struct control *c)
{
	if (!atomic_exchange(&c->interrupt, 0))
		return false;
	if (c->vm->stop == END_STOPPED)
		c->vm->stop = 0;
	return true;
}

void control_no_interrupt(struct control *c)
{
	(void)take_interrupt(c);
}

/* --- Forward ------------------------------------------------------------------------------------------------------ */

static uint64_t now(const struct control *c)
{
	return c->vm->cfg.host->now_ns();
}

static enum control_stop stop_of_end(enum end_kind kind)
{
	if (kind == END_STOPPED)
		return CONTROL_INTERRUPTED;
	return kind == END_TIMEOUT || kind == END_LIMIT_EXITS || kind == END_LIMIT_INSNS ? CONTROL_LIMIT : CONTROL_END;
}

static bool at_position(const struct control *c)
{
	struct vm_position p;

	if (!c->goal.to_set)
		return false;
	vm_position(c->vm, &p);
	return !position_before(&p, &c->goal.to);
}

/* The guest stands still: is it time to say so? */
bool control_settle(struct control *c)
{
	struct control_where *w = &c->where;

	if (c->vm->breaks && (c->watch.hit || c->watch.mem.hits))
		breaks_engine(c);
	if (c->vm->ended) {
		w->stop = stop_of_end(c->vm->end.kind);
		if (w->stop == CONTROL_INTERRUPTED)
			(void)take_interrupt(c);
	} else if (c->hit) {
		w->stop = CONTROL_BREAK;
		w->breakpoint = c->hit;
	} else if (c->met || c->vm->clock.insns >= c->goal.insns || at_position(c)) {
		w->stop = CONTROL_DONE;
	} else if (take_interrupt(c) || (c->goal.until_ns != CLOCK_NEVER && now(c) >= c->goal.until_ns)) {
		w->stop = CONTROL_INTERRUPTED;
	} else {
		return false;
	}
	return true;
}

/* The chunk that takes CHUNK_NS, or what is left of the time. */
static void adapt_chunk(struct control *c, uint64_t took_ns)
{
	uint64_t want = CHUNK_NS;

	if (c->goal.until_ns != CLOCK_NEVER) {
		uint64_t at = now(c), left = c->goal.until_ns > at ? c->goal.until_ns - at : 0;

		want = left < want ? left : want;
	}
	if (took_ns > want && c->chunk > CHUNK_MIN)
		c->chunk /= 2;
	else if (took_ns < want / 2 && c->chunk < CHUNK_MAX)
		c->chunk *= 2;
}

/* Nothing to do before the next timer: wait for it, but not deaf. */
static void wait_idle(struct control *c, uint64_t until)
{
	const struct clock *clock = &c->vm->clock;
	uint64_t due = clock_next_deadline(clock);

	if (due != CLOCK_NEVER && due + clock->start_ns < until)
		until = due + clock->start_ns;
	if (until > now(c))
		c->vm->cfg.host->idle_until(until);
}

/* How far to go in one piece: a chunk, the goal, or the next thing that happens again. */
static struct vm_position next_stop(const struct control *c)
{
	struct vm_position to = {.insns = c->vm->clock.insns + c->chunk}, event;

	if (to.insns > c->goal.insns)
		to.insns = c->goal.insns;
	if (c->goal.to_set && c->goal.to.insns <= to.insns)
		to = c->goal.to;
	if (c->history && history_next(c->history, &event) && position_before(&event, &to))
		to = event;
	return to;
}

static enum err checkpoint_if_due(struct control *c, uint64_t ran_ns)
{
	const struct vm_passed *p = &c->vm->passed;
	const struct history_mark m = {p->exits, p->insns, control_exit_ns(c), p->ended, c->console_bytes};

	if (c->silent || !history_ran(c->history, ran_ns) || c->vm->ended)
		return ERR_OK;
	return history_checkpoint(c->history, &m, &c->failure);
}

static enum err run_piece(struct control *c)
{
	struct vm *vm = c->vm;
	struct vm_position to;
	bool host = vm->clock.kind == CLOCK_HOST;
	uint64_t start = now(c), slice = start + SLICE_NS, ran = c->history ? c->vm->cfg.host->ran_ns() : 0;
	enum err e = c->history ? history_pass(c->history, &c->failure) : ERR_OK;

	if (e != ERR_OK)
		return e;
	to = next_stop(c);
	if (host)
		vm->slice_end_ns = slice < c->goal.until_ns ? slice : c->goal.until_ns;
	e = vm_run_to(vm, &to);
	vm->slice_end_ns = CLOCK_NEVER;
	if (host && vm->idle) {
		uint64_t soon = now(c) + CHUNK_NS;

		wait_idle(c, soon < c->goal.until_ns ? soon : c->goal.until_ns);
	}
	adapt_chunk(c, now(c) - start);
	return e == ERR_OK && c->history ? checkpoint_if_due(c, c->vm->cfg.host->ran_ns() - ran) : e;
}

static enum err exact_go(struct control *c)
{
	enum err e;

	do {
		e = run_piece(c);
	} while (e == ERR_OK && !control_settle(c));
	if (c->history)
		history_reached(c->history);
	return e;
}

/* An instruction trapped after it was executed, or exited; not the host's timer before it. */
static bool was_step(const struct control *c)
{
	uint32_t reason = c->vm->vcpus[c->vm->turn].exit.reason;

	return reason == EXIT_VMM_DEBUG || exit_is_hw(reason);
}

/* The processor traps after each instruction. */
static enum err steps_go(struct control *c)
{
	enum err e;

	do {
		e = vm_step_insn(c->vm, NULL);
		c->goal.steps -= was_step(c);
		c->met = c->goal.steps == 0;
	} while (e == ERR_OK && !control_settle(c));
	return e;
}

static enum err slices_go(struct control *c)
{
	if (c->goal.steps)
		return steps_go(c);
	do {
		uint64_t until = now(c) + SLICE_NS;

		if (until > c->goal.until_ns)
			until = c->goal.until_ns;
		if (vm_run_slice(c->vm, until) == SLICE_IDLE)
			wait_idle(c, until < now(c) + CHUNK_NS ? until : now(c) + CHUNK_NS);
	} while (!control_settle(c));
	return ERR_OK;
}

enum err control_go(struct control *c, const struct control_goal *goal)
{
	enum err e;

	c->goal = *goal;
	c->met = c->vm->passed.exits >= goal->exits || at_position(c);
	c->hit = 0;
	c->failure.text[0] = 0;
	c->where.breakpoint = 0;
	c->where.stop = CONTROL_DONE;
	if (c->vm->ended && !vm_may_resume(c->vm)) {
		c->where.stop = CONTROL_END;
		return ERR_OK;
	}
	if (c->met || c->vm->clock.insns >= goal->insns)
		return ERR_OK;
	if (take_interrupt(c)) {
		c->where.stop = CONTROL_INTERRUPTED;
		return ERR_OK;
	}
	breaks_arm(c);
	if (c->driver == DRIVER_EXACT)
		vm_probe_done(c->vm, c,
		    goal->exits != NO_GOAL || goal->reason != NO_GOAL || (c->exit_breaks && !goal->no_breaks));
	e = c->driver == DRIVER_EXACT ? exact_go(c) : c->driver == DRIVER_SLICES ? slices_go(c) : remote_go(c);
	breaks_disarm(c);
	if (e != ERR_OK && !c->failure.text[0])
		err_set(
		    &c->failure, e, "%s", c->vm->ended && c->vm->end.detail[0] ? c->vm->end.detail : err_sentence(e));
	c->goal = control_no_goal();
	(void)control_where(c); /* what is known now */
	return e;
}

enum err control_go_why(struct control *c, const struct control_goal *goal, struct errmsg *why)
{
	enum err e = control_go(c, goal);

	return e == ERR_OK ? e : err_set(why, e, "%s", c->failure.text);
}

enum err control_run(struct control *c)
{
	struct control_goal g = control_no_goal();

	return control_go(c, &g);
}

enum err control_run_for(struct control *c, uint64_t ns)
{
	struct control_goal g = control_no_goal();

	g.until_ns = now(c) + ns;
	return control_go(c, &g);
}

enum err control_step_exit(struct control *c, uint64_t n)
{
	struct control_goal g = control_no_goal();

	g.exits = c->vm->passed.exits + n;
	return control_go(c, &g);
}

enum err control_run_within(struct control *c, uint64_t exits, uint64_t insns)
{
	struct control_goal g = control_no_goal();

	if (exits)
		g.exits = c->vm->passed.exits + exits;
	if (insns)
		g.insns = c->vm->clock.insns + insns;
	return control_go(c, &g);
}

enum err control_run_to_exit(struct control *c, uint32_t reason)
{
	struct control_goal g = control_no_goal();

	g.reason = reason;
	return control_go(c, &g);
}
