/*
 * The guests of an engine: opening and closing them, what their view models are told, and the rows of the VMs view.
 */
#include <stdio.h>

#include "core/exit.h"
#include "core/vm.h"
#include "tracer/tracer.h"
#include "tui/engine_impl.h"

/* --- guests --- */

static void on_replay(void *arg, bool silent, uint64_t insns, uint64_t exits)
{
	struct slot *s = arg;
	struct engine *e = s->engine;

	(void)insns;
	if (silent)
		tracer_silence(s->guest.tracer);
	else
		tracer_resume(s->guest.tracer, exits);
	if (e->src.silent)
		e->src.silent(e->src.arg, s->index, silent);
}

/* Nobody who wants to stop it finds it any more. */
static struct control *take_control(struct engine *e, struct slot *s)
{
	struct control *c;

	if (e->threaded)
		pthread_mutex_lock(&e->lock);
	c = s->control;
	s->control = NULL;
	if (e->threaded)
		pthread_mutex_unlock(&e->lock);
	return c;
}

void engine_close_guests(struct engine *e)
{
	if (!e->open)
		return;
	for (unsigned i = 0; i < e->n; i++) {
		struct slot *s = &e->slots[i];
		const struct view_info none = {0};

		control_close(take_control(e, s));
		view_model_attach(s->model, NULL, &none);
	}
	struct engine_guest guests[ENGINE_VMS_MAX];
	for (unsigned i = 0; i < e->n; i++)
		guests[i] = e->slots[i].guest;
	e->src.close(e->src.arg, guests, e->n);
	e->open = false;
	e->n = 0;
}

static enum err open_slot(struct engine *e, unsigned i, const struct engine_guest *g, struct errmsg *why)
{
	struct slot *s = &e->slots[i];
	struct control_config cfg = {.replaying = on_replay, .arg = s};

	s->engine = e;
	s->index = i;
	s->guest = *g;
	s->paused = s->dead = false;
	s->cpu_ns = s->rate_ns = s->rate_exits = 0;
	s->exits_per_s = 0;
	return control_open(g->session, &cfg, &s->control, why);
}

enum err engine_open_guests(struct engine *e, struct errmsg *why)
{
	struct view_model *models[ENGINE_VMS_MAX];
	struct engine_guest guests[ENGINE_VMS_MAX] = {0};
	unsigned n = 0;
	enum err err;

	for (unsigned i = 0; i < ENGINE_VMS_MAX; i++)
		models[i] = e->slots[i].model;
	err = e->src.open(e->src.arg, models, guests, &n, why);
	if (err != ERR_OK)
		return err;
	e->open = true;
	e->n = n;
	e->current = e->current < n ? e->current : 0;
	for (unsigned i = 0; i < n; i++)
		e->slots[i].guest = guests[i];
	for (unsigned i = 0; i < n && err == ERR_OK; i++)
		err = open_slot(e, i, &guests[i], why);
	if (err != ERR_OK)
		engine_close_guests(e);
	return err;
}

/* --- what the models are told --- */

static void stop_text(const struct engine *e, const struct slot *s, char *buf, size_t n)
{
	const struct control_where *w = control_where(s->control);

	buf[0] = '\0';
	if (w->stop == CONTROL_BREAK) {
		const struct breakpoint *b = NULL;

		for (unsigned i = 0; (b = control_break_at(s->control, i)); i++)
			if (b->id == w->breakpoint)
				break;
		snprintf(buf, n, "breakpoint %u%s%s", w->breakpoint, b ? ": " : "", b ? b->text : "");
	} else if (w->stop == CONTROL_BEGIN) {
		snprintf(buf, n, "at the first instruction");
	} else if (w->stop == CONTROL_END && e->verb == ENGINE_TO_REASON && s->index == e->current) {
		snprintf(buf, n, "no %s came before the guest's end", exit_name((uint32_t)e->arg));
	} else if (w->stop == CONTROL_LIMIT) {
		snprintf(buf, n, "a limit was reached");
	} else if (e->pause && w->stop != CONTROL_END) {
		snprintf(buf, n, "paused");
	}
}

void engine_tell_position(struct slot *s)
{
	const struct control_where *w = control_where(s->control);

	view_model_position(s->model, w->insns, w->exits);
	view_model_can_back(s->model, w->can_back);
	if (w->can_back)
		view_model_console_at(s->model, w->console_bytes);
}

/* The guest stands still: everything that it did is in the model, and what the owner knows. */
void engine_tell_stopped(struct engine *e, struct slot *s)
{
	const struct vm_end *end = s->guest.session->ops->end(s->guest.session);
	struct view_verdicts v = {.direct_fraction = -1, .guest_time_fraction = -1};
	char stop[96];

	tracer_sync(s->guest.tracer);
	stop_text(e, s, stop, sizeof(stop));
	engine_tell_position(s);
	/* How a dead one ended was said when it did. */
	view_model_set_run(s->model, end || s->dead ? VIEW_ENDED : VIEW_STOPPED, s->dead ? NULL : end, stop);
	view_model_stopped(s->model);
	if (e->src.verdicts) {
		e->src.verdicts(e->src.arg, s->index, &v);
		view_model_set_verdicts(s->model, &v);
	}
}

static void end_slot(struct slot *s, enum end_kind kind, const char *detail)
{
	struct vm_end end = {.kind = kind};

	snprintf(end.detail, sizeof(end.detail), "%s", detail);
	s->dead = true;
	view_model_set_run(s->model, VIEW_ENDED, &end, detail);
}

void engine_slot_failed(struct slot *s)
{
	const char *words = control_where(s->control)->failure;

	end_slot(s, END_HOST_ERROR, words[0] ? words : "the backend cannot run it on");
}

void engine_tell_all(struct engine *e)
{
	for (unsigned i = 0; i < e->n; i++)
		engine_tell_stopped(e, &e->slots[i]);
}

/* --- several guests --- */

unsigned engine_n_vms(const struct engine *e)
{
	return e->n;
}

unsigned engine_vm_current(const struct engine *e)
{
	return e->current;
}

void engine_vm(struct engine *e, unsigned i, struct engine_vm *out)
{
	struct slot *s = &e->slots[i];
	uint64_t now = engine_clock_ns(CLOCK_MONOTONIC);

	*out = (struct engine_vm){.paused = s->paused, .current = i == e->current, .cpu_ns = s->cpu_ns};
	view_model_lock(s->model);
	const struct view_info *info = view_info(s->model);
	const struct view_now *pos = view_now(s->model);

	snprintf(out->guest, sizeof(out->guest), "%s", info->guest);
	snprintf(out->mode, sizeof(out->mode), "%s", info->mode);
	out->type = info->type;
	out->mem_size = info->mem_size;
	out->run = s->dead ? VIEW_ENDED : pos->run;
	out->end = pos->end;
	out->exits = pos->exits;
	out->counts_insns = info->counts_insns;
	out->insns = pos->insns;
	out->guest_ns = pos->guest_ns;
	view_model_unlock(s->model);
	if (s->rate_ns == 0 || out->exits < s->rate_exits) {
		s->rate_ns = now;
		s->rate_exits = out->exits;
	} else if (now - s->rate_ns >= 500000000u) {
		s->exits_per_s = (double)(out->exits - s->rate_exits) * 1e9 / (double)(now - s->rate_ns);
		s->rate_ns = now;
		s->rate_exits = out->exits;
	}
	out->exits_per_s = out->run == VIEW_RUNNING ? s->exits_per_s : 0;
}

static enum err check_index(const struct engine *e, unsigned i, struct errmsg *why)
{
	if (i < e->n)
		return ERR_OK;
	return err_set(why, ERR_RANGE, "there is no virtual machine %u: this session has %u", i + 1, e->n);
}

enum err engine_vm_select(struct engine *e, unsigned i, struct errmsg *why)
{
	enum err err = check_index(e, i, why);

	if (err != ERR_OK)
		return err;
	if (!engine_hold(e))
		return err_set(why, ERR_BUSY, "the guest runs: pause it first");
	e->current = i;
	engine_release(e);
	return ERR_OK;
}

enum err engine_vm_pause(struct engine *e, unsigned i, bool paused, struct errmsg *why)
{
	enum err err = check_index(e, i, why);

	if (err != ERR_OK)
		return err;
	if (!engine_hold(e))
		return err_set(why, ERR_BUSY, "the guest is under way to somewhere: C-c stops it there");
	if (engine_slot_ended(&e->slots[i]) || e->slots[i].dead) {
		err = err_set(why, ERR_UNSUPPORTED, "VM %u has ended", i + 1);
	} else {
		e->slots[i].paused = paused;
		view_model_set_run(e->slots[i].model, VIEW_STOPPED, NULL, paused ? "paused" : "");
	}
	engine_release(e);
	return err;
}

enum err engine_vm_stop(struct engine *e, unsigned i, struct errmsg *why)
{
	enum err err = check_index(e, i, why);

	if (err != ERR_OK)
		return err;
	if (!engine_hold(e))
		return err_set(why, ERR_BUSY, "the guest runs: pause it first");
	bool ended = engine_slot_ended(&e->slots[i]);

	if (!ended)
		end_slot(&e->slots[i], END_STOPPED, "switched off by the user");
	engine_release(e);
	return ended ? err_set(why, ERR_UNSUPPORTED, "VM %u has ended already", i + 1) : ERR_OK;
}
