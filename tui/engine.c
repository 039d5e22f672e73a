/*
 * The engine: one thread, one request at a time, slices in between so that others can look. See engine.h.
 */
#include "tui/engine_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/vm.h"
#include "tracer/tracer.h"

#define SLICE_NS 8000000u /* of the current guest; the model is told where it is, twice a frame */
#define OTHER_NS 5000000u /* of each of the others */
#define SLOW_TICK_NS 50000000u

/* --- doing --- */

static enum err run_slice(struct slot *s, uint64_t ns)
{
	uint64_t cpu = engine_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	enum err err = control_run_for(s->control, ns);

	s->cpu_ns += engine_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	engine_tell_position(s);
	return err;
}

/* The other guests get their turn whenever the current one runs. */
static void run_others(struct engine *e)
{
	for (unsigned i = 0; i < e->n; i++) {
		struct slot *s = &e->slots[i];

		if (i == e->current || !engine_slot_runs(s))
			continue;
		view_model_set_run(s->model, VIEW_RUNNING, NULL, NULL);
		if (run_slice(s, OTHER_NS) != ERR_OK)
			engine_slot_failed(s);
		if (engine_slot_ended(s))
			engine_tell_stopped(e, s);
	}
}

static bool goes_on(struct engine *e, const struct slot *s)
{
	return control_where(s->control)->stop == CONTROL_INTERRUPTED && !e->pause && !engine_slot_ended(s);
}

static bool others_run(struct engine *e)
{
	for (unsigned i = 0; i < e->n; i++)
		if (i != e->current && engine_slot_runs(&e->slots[i]))
			return true;
	return false;
}

/* True: not done yet. */
static bool run_step(struct engine *e, struct slot *s, enum err *err)
{
	if (!s->paused && !s->dead) {
		view_model_set_run(s->model, VIEW_RUNNING, NULL, NULL); /* it may have been paused until now */
		*err = run_slice(s, SLICE_NS);
	}
	run_others(e);
	if (*err != ERR_OK || e->pause)
		return false;
	return engine_slot_runs(s) ? goes_on(e, s) : others_run(e);
}

/* Until a time, or until somebody wants something; false: it is not time yet. */
static bool slow_wait(struct engine *e)
{
	for (;;) {
		uint64_t now = engine_clock_ns(CLOCK_MONOTONIC), left = e->slow_due_ns > now ? e->slow_due_ns - now : 0;
		const struct timespec t = {.tv_nsec = (long)(left < 10000000u ? left : 10000000u)};

		if (!left)
			return true;
		if (e->pause || e->quit || e->holds)
			return false;
		nanosleep(&t, NULL);
	}
}

/* A part of a second's instructions, then a pause of the same part. Who looks in between (each frame does) cuts the
 * pause in two, and does not shorten it. */
static bool slow_step(struct engine *e, struct slot *s, enum err *err, struct errmsg *why)
{
	uint64_t per_s = e->arg ? e->arg : 1, n = per_s * (SLOW_TICK_NS / 1000) / 1000000, wait = SLOW_TICK_NS;

	if (e->threaded && !slow_wait(e))
		return !e->pause && !e->quit;
	if (n == 0) {
		n = 1;
		wait = 1000000000u / per_s;
	}
	*err = control_step_insn(s->control, n, why);
	engine_tell_position(s);
	e->slow_due_ns = engine_clock_ns(CLOCK_MONOTONIC) + wait;
	return *err == ERR_OK && (control_where(s->control)->stop == CONTROL_DONE || goes_on(e, s)) && !e->pause &&
	       !engine_slot_ended(s);
}

/* The run is another one from here on: what was seen beyond this place is forgotten. */
static void forget_future(struct slot *s)
{
	tracer_sync(s->guest.tracer);
	engine_tell_position(s);
	tracer_forget(s->guest.tracer, view_model_forget_future(s->model), control_where(s->control)->exits);
}

static enum err restart(struct engine *e, struct slot *s, struct errmsg *why)
{
	if (e->open && control_where(s->control)->can_back && control_restart(s->control, why) == ERR_OK) {
		/* Inputs are not given again, so that other exits may come. */
		s->dead = false;
		forget_future(s);
		return ERR_OK;
	}
	engine_close_guests(e);
	return engine_open_guests(e, why);
}

/* What is not cut into slices. */
static enum err act_whole(struct engine *e, struct control *c, struct errmsg *why)
{
	switch (e->verb) {
	case ENGINE_STEP_INSN:
		return control_step_insn(c, e->arg, why);
	case ENGINE_STEP_EXIT:
		return control_step_exit(c, e->arg);
	case ENGINE_STEP_OVER:
		return control_step_over(c, why);
	case ENGINE_FINISH:
		return control_finish(c, why);
	case ENGINE_BACK_INSN:
		return control_back_insn(c, e->arg, why);
	case ENGINE_BACK_EXIT:
		return control_back_exit(c, e->arg, why);
	case ENGINE_BACK_BREAK:
		return control_back_to_break(c, why);
	case ENGINE_GOTO_EXIT:
		return control_goto_exit(c, e->arg, why);
	case ENGINE_GOTO_INSN:
		return control_goto_insn(c, e->arg, why);
	case ENGINE_RUN:
	case ENGINE_SLOW:
	case ENGINE_TO_REASON:
	case ENGINE_RESTART:
		break;
	}
	return ERR_OK;
}

/* One slice of the request; *done: it is complete. */
static enum err act(struct engine *e, bool *done, struct errmsg *why)
{
	struct slot *s = engine_current(e);
	enum err err = ERR_OK;

	*done = true;
	switch (e->verb) {
	case ENGINE_RUN:
		*done = !run_step(e, s, &err);
		break;
	case ENGINE_SLOW:
		*done = !slow_step(e, s, &err, why);
		break;
	case ENGINE_TO_REASON:
		err = control_run_to_exit(s->control, (uint32_t)e->arg);
		engine_tell_position(s);
		*done = !goes_on(e, s);
		break;
	case ENGINE_RESTART:
		err = restart(e, s, why);
		break;
	case ENGINE_STEP_INSN:
	case ENGINE_STEP_EXIT:
	case ENGINE_STEP_OVER:
	case ENGINE_FINISH:
	case ENGINE_BACK_INSN:
	case ENGINE_BACK_EXIT:
	case ENGINE_BACK_BREAK:
	case ENGINE_GOTO_EXIT:
	case ENGINE_GOTO_INSN:
		err = act_whole(e, s->control, why);
		break;
	}
	*done |= err != ERR_OK;
	return err;
}

/* What may be cut at any place, and is begun again where it was left. */
static bool sliced(enum engine_verb v)
{
	return v == ENGINE_RUN || v == ENGINE_SLOW || v == ENGINE_TO_REASON;
}

/* The models learn how it ended; an error has words then. The verdicts may take seconds. */
static void settle(struct engine *e, enum err err, struct errmsg *why)
{
	if (e->open)
		engine_tell_all(e);
	if (err != ERR_OK && !why->text[0])
		err_set(why, err, "%s",
		    e->open && engine_current(e)->guest.session->vm->ended &&
			    engine_current(e)->guest.session->vm->end.detail[0]
			? engine_current(e)->guest.session->vm->end.detail
			: err_sentence(err));
}

/* Lock held: the caller's thread is the engine's. */
static void finish(struct engine *e, enum err err, const struct errmsg *why)
{
	e->err = err;
	e->why = *why;
	e->busy = false;
	e->news = true;
	if (e->fd >= 0) {
		const uint64_t one = 1;

		(void)!write(e->fd, &one, sizeof(one));
	}
	pthread_cond_broadcast(&e->changed);
}

/* Lock held (or no thread), and nobody waits: requests to stop that were for a look, or a run, that is over. A way back
 * that began with one would end somewhere on its way. */
static void take_back_interrupts(struct engine *e)
{
	for (unsigned i = 0; i < e->n; i++)
		if (e->slots[i].control)
			control_no_interrupt(e->slots[i].control);
}

static void *engine_main(void *arg)
{
	struct engine *e = arg;
	bool done;

	pthread_mutex_lock(&e->lock);
	while (!e->quit) {
		if (!e->busy || e->holds) {
			e->standing = true;
			pthread_cond_broadcast(&e->changed);
			pthread_cond_wait(&e->changed, &e->lock);
			continue;
		}
		struct errmsg why = {""};
		e->standing = false;
		if (!e->pause)
			take_back_interrupts(e);
		pthread_mutex_unlock(&e->lock);
		enum err err = act(e, &done, &why);
		pthread_mutex_lock(&e->lock);
		if (!done && !e->pause)
			continue;
		/* Not under the lock: whoever asks whether the guest runs must not wait for the verdicts. */
		e->settling = true;
		pthread_cond_broadcast(&e->changed);
		pthread_mutex_unlock(&e->lock);
		settle(e, err, &why);
		pthread_mutex_lock(&e->lock);
		e->settling = false;
		finish(e, err, &why);
	}
	e->standing = true;
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* Lock held. What would do nothing, without a word, is refused in words. */
static enum err check_verb(struct engine *e, enum engine_verb verb, struct errmsg *why)
{
	const struct slot *s = engine_current(e);

	if (e->busy)
		return err_set(why, ERR_BUSY, "the guest runs: pause it first");
	if (verb == ENGINE_RESTART)
		return ERR_OK;
	if (!e->open)
		return err_set(why, ERR_NOENT, "no guest is loaded: open one");
	if (verb == ENGINE_RUN && others_run(e))
		return ERR_OK;
	if (s->dead)
		return err_set(why, ERR_UNSUPPORTED, "VM %u is switched off: restart runs it again", e->current + 1);
	if (verb == ENGINE_RUN && s->paused)
		return err_set(
		    why, ERR_BUSY, "VM %u is paused: vm start, in the view of the VMs, lets it run", e->current + 1);
	return ERR_OK;
}

enum err engine_do(struct engine *e, enum engine_verb verb, uint64_t n, struct errmsg *why)
{
	bool done = false;

	pthread_mutex_lock(&e->lock);
	enum err refused = check_verb(e, verb, why);
	if (refused != ERR_OK) {
		pthread_mutex_unlock(&e->lock);
		return refused;
	}
	e->verb = verb;
	e->arg = n;
	e->pause = false;
	e->busy = true;
	e->news = false;
	e->slow_due_ns = 0;
	take_back_interrupts(e);
	if (e->open && verb != ENGINE_RESTART)
		view_model_set_run(engine_current(e)->model, VIEW_RUNNING, NULL, NULL);
	pthread_cond_broadcast(&e->changed);
	if (!e->threaded) {
		struct errmsg text = {""};
		enum err err = ERR_OK;

		while (!done && !e->pause)
			err = act(e, &done, &text);
		settle(e, err, &text);
		finish(e, err, &text);
		e->news = false;
		if (err != ERR_OK)
			*why = e->why;
		pthread_mutex_unlock(&e->lock);
		return err;
	}
	pthread_mutex_unlock(&e->lock);
	return ERR_OK;
}

void engine_pause(struct engine *e)
{
	/* Not under the lock when there is no thread: then it comes from a signal handler inside engine_do(). With one,
	 * a restart may be closing the guests. */
	if (e->threaded)
		pthread_mutex_lock(&e->lock);
	e->pause = true;
	for (unsigned i = 0; i < e->n; i++)
		if (e->slots[i].control)
			control_interrupt(e->slots[i].control);
	if (e->threaded)
		pthread_mutex_unlock(&e->lock);
}

bool engine_busy(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	bool busy = e->busy;
	pthread_mutex_unlock(&e->lock);
	return busy;
}

bool engine_wait(struct engine *e, unsigned ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&e->lock);
	while (e->busy && pthread_cond_timedwait(&e->changed, &e->lock, &until) == 0)
		;
	bool idle = !e->busy;
	pthread_mutex_unlock(&e->lock);
	return idle;
}

bool engine_result(struct engine *e, enum err *err, struct errmsg *why)
{
	uint64_t n;

	pthread_mutex_lock(&e->lock);
	bool news = e->news;
	e->news = false;
	*err = e->err;
	*why = e->why;
	if (news && e->fd >= 0)
		(void)!read(e->fd, &n, sizeof(n));
	pthread_mutex_unlock(&e->lock);
	return news;
}

int engine_fd(const struct engine *e)
{
	return e->fd;
}

/* --- looking --- */

bool engine_runs(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	bool runs = e->busy && (e->verb == ENGINE_RUN || e->verb == ENGINE_SLOW);
	pthread_mutex_unlock(&e->lock);
	return runs;
}

bool engine_hold(struct engine *e)
{
	if (!e->threaded)
		return true;
	pthread_mutex_lock(&e->lock);
	if (e->busy && !e->standing && !sliced(e->verb)) {
		pthread_mutex_unlock(&e->lock);
		return false;
	}
	e->holds++;
	while (!e->standing) {
		if (e->settling) {
			e->holds--;
			pthread_mutex_unlock(&e->lock);
			return false;
		}
		for (unsigned i = 0; i < e->n; i++)
			if (e->slots[i].control)
				control_interrupt(e->slots[i].control);
		pthread_cond_wait(&e->changed, &e->lock);
	}
	pthread_mutex_unlock(&e->lock);
	return true;
}

void engine_release(struct engine *e)
{
	if (!e->threaded)
		return;
	pthread_mutex_lock(&e->lock);
	if (--e->holds == 0)
		pthread_cond_broadcast(&e->changed);
	pthread_mutex_unlock(&e->lock);
}

struct control *engine_control(struct engine *e)
{
	return e->open ? engine_current(e)->control : NULL;
}

const struct control_where *engine_where(struct engine *e)
{
	static const struct control_where nowhere;

	return e->open ? control_where(engine_current(e)->control) : &nowhere;
}

struct view_model *engine_model(struct engine *e)
{
	return engine_current(e)->model;
}

/* What comes from outside at a point in the past makes a new future. */
static void begin_future(struct slot *s)
{
	const struct control_where *w = control_where(s->control);

	if (w->exits < w->last_exits || w->insns < w->last_insns)
		forget_future(s);
}

enum err engine_type(struct engine *e, const char *text, size_t n, struct errmsg *why)
{
	enum err err = ERR_OK;
	size_t taken = 0;

	if (!engine_hold(e))
		return err_set(
		    why, ERR_BUSY, "the guest is under way to somewhere: it takes no input before it is there");
	if (!e->open)
		err = err_set(why, ERR_NOENT, "no guest is loaded: open one");
	else if (!engine_slot_ended(engine_current(e)))
		begin_future(engine_current(e));
	if (e->open)
		taken = control_type(engine_current(e)->control, (const uint8_t *)text, n);
	if (e->open && taken < n)
		err = err_set(why, ERR_BUSY, "the guest took %zu of %zu bytes: %s", taken, n,
		    engine_slot_ended(engine_current(e)) ? "it has ended"
							 : "it has not read yet what was typed before");
	engine_release(e);
	return err;
}

/* --- life --- */

static enum err start_thread(struct engine *e, struct errmsg *why)
{
	sigset_t all, old;
	int err;

	e->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (e->fd < 0)
		return err_set(why, ERR_NOMEM, "no event descriptor for the engine: %s", strerror(errno));
	/* Signals are the application's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&e->thread, NULL, engine_main, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return err_set(why, ERR_NOMEM, "cannot start the engine's thread: %s", strerror(err));
	return ERR_OK;
}

enum err engine_open(const struct engine_source *src, bool threaded, struct engine **out, struct errmsg *why)
{
	struct engine *e = calloc(1, sizeof(*e));
	enum err err = ERR_OK;

	*out = NULL;
	if (!e)
		return err_set(why, ERR_NOMEM, "no memory for the engine");
	e->src = *src;
	e->fd = -1;
	e->standing = true;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->changed, NULL);
	for (unsigned i = 0; i < ENGINE_VMS_MAX && err == ERR_OK; i++)
		err = view_model_new(NULL, &e->slots[i].model, why);
	if (err == ERR_OK)
		err = engine_open_guests(e, why);
	if (err == ERR_OK)
		engine_tell_all(e);
	if (err == ERR_OK && threaded)
		err = start_thread(e, why);
	e->threaded = threaded && err == ERR_OK;
	if (err != ERR_OK) {
		engine_close(e);
		return err;
	}
	*out = e;
	return ERR_OK;
}

enum err engine_load(struct engine *e, const char *words, struct errmsg *why)
{
	enum err err;

	if (!e->src.choose)
		return err_set(why, ERR_UNSUPPORTED, "another guest cannot be opened here");
	if (engine_busy(e))
		return err_set(why, ERR_BUSY, "the guest runs: pause it first");
	err = e->src.choose(e->src.arg, words, why);
	if (err != ERR_OK)
		return err;
	if (!engine_hold(e))
		return err_set(why, ERR_BUSY, "the guest runs: pause it first");
	engine_close_guests(e);
	e->current = 0;
	err = engine_open_guests(e, why);
	if (err == ERR_OK)
		engine_tell_all(e);
	engine_release(e);
	return err;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	if (e->threaded) {
		engine_pause(e);
		pthread_mutex_lock(&e->lock);
		e->quit = true;
		pthread_cond_broadcast(&e->changed);
		pthread_mutex_unlock(&e->lock);
		engine_pause(e);
		pthread_join(e->thread, NULL);
	}
	engine_close_guests(e);
	for (unsigned i = 0; i < ENGINE_VMS_MAX; i++)
		view_model_free(e->slots[i].model);
	if (e->fd >= 0)
		close(e->fd);
	pthread_cond_destroy(&e->changed);
	pthread_mutex_destroy(&e->lock);
	free(e);
}
