/*
 * The application: views and their stack, what they may ask, and one frame. See app.h, and app_impl.h for who does
 * what.
 */
#include "tui/app_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- what views ask for ----------------------------------------------------------------------------------------- */
struct view_model *app_model(struct app *a)
{
	return a->cfg.engine ? engine_model(a->cfg.engine) : a->cfg.model;
}

struct engine *app_engine(struct app *a)
{
	return a->cfg.engine;
}

unsigned app_vcpu(const struct app *a)
{
	return a->vcpu;
}

bool app_following(const struct app *a)
{
	return a->following;
}

const char *app_search_text(const struct app *a)
{
	return a->search;
}

const struct symbols *app_symbols(const struct app *a)
{
	return a->cfg.symbols_now ? a->cfg.symbols_now(a->cfg.arg, engine_vm_current(a->cfg.engine)) : a->cfg.symbols;
}

const struct app_config *app_config(const struct app *a)
{
	return &a->cfg;
}

bool app_threaded(const struct app *a)
{
	return a->cfg.engine && engine_fd(a->cfg.engine) >= 0;
}

uint64_t app_now_ns(struct app *a)
{
	struct timespec t;

	if (a->cfg.now_ns)
		return a->cfg.now_ns(a->cfg.now_arg);
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void app_message(struct app *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->message, sizeof(a->message), fmt, ap);
	va_end(ap);
	a->message_error = false;
	a->dirty = true;
}

void app_error(struct app *a, const struct errmsg *why)
{
	app_message(a, "%s", why->text[0] ? why->text : "an error that says nothing");
	a->message_error = true;
}

const char *app_last_message(const struct app *a)
{
	return a->message;
}

/* --- for who drives the application ----------------------------------------------------------------------------- */
bool app_quit(const struct app *a)
{
	return a->quit;
}

bool app_take_redraw(struct app *a)
{
	bool redraw = a->redraw;

	a->redraw = false;
	return redraw;
}

const char *app_theme(const struct app *a)
{
	return a->theme;
}

const struct theme_override *app_colors(const struct app *a)
{
	return &a->config.colors;
}

bool app_ascii(const struct app *a)
{
	return a->cfg.ascii;
}

bool app_wants_mouse(const struct app *a)
{
	return a->mouse;
}

bool app_running(struct app *a)
{
	return a->cfg.engine && engine_busy(a->cfg.engine);
}

bool app_turbo(const struct app *a)
{
	return a->turbo;
}

void app_touch(struct app *a)
{
	a->dirty = a->stale = true;
}

static void take_result(struct app *a)
{
	struct errmsg why = {""};
	enum err e;

	while (engine_result(a->cfg.engine, &e, &why)) {
		a->turbo = false;
		app_touch(a);
		if (e != ERR_OK)
			app_error(a, &why);
	}
}

/* What the view that is seen does by itself. */
static bool view_works(struct app *a)
{
	struct view *v = app_top(a);

	return v && v->state && v->ops->works && !a->frozen && v->ops->works(a, v);
}

bool app_dirty(struct app *a)
{
	struct errmsg why = {""};
	bool busy;

	if (a->cfg.engine)
		take_result(a);
	busy = app_running(a);
	if (a->was_busy && !busy) {
		a->turbo = false;
		app_touch(a);
	}
	a->was_busy = busy;
	if (app_pump(a, &why) != ERR_OK)
		app_error(a, &why);
	return a->dirty || (busy && !a->turbo && !a->frozen) || view_works(a);
}

int app_wait_ms(struct app *a)
{
	if (a->n_scripts || (app_running(a) && !a->turbo && !a->frozen) || view_works(a))
		return 16;
	return -1;
}

/* --- views ------------------------------------------------------------------------------------------------------ */
struct view *app_top(struct app *a)
{
	return a->depth ? a->stack[a->depth - 1] : NULL;
}

struct view *app_below_pager(struct app *a)
{
	for (unsigned i = a->depth; i; i--)
		if (a->stack[i - 1] != &a->pager)
			return a->stack[i - 1];
	return NULL;
}

enum err app_start(struct app *a, struct view *v, struct errmsg *why)
{
	enum err e = ERR_OK;

	if (v->state)
		return ERR_OK;
	v->state = calloc(1, v->ops->state_size ? v->ops->state_size : 1);
	if (!v->state)
		return err_set(why, ERR_NOMEM, "no memory for the view %s", v->ops->name);
	v->at = app_view_rect(a->w, a->h);
	if (v->ops->open)
		e = v->ops->open(a, v, why);
	if (e != ERR_OK) {
		free(v->state);
		v->state = NULL;
	}
	return e;
}

static void view_end(struct app *a, struct view *v)
{
	if (!v->state)
		return;
	if (v->ops->close)
		v->ops->close(a, v);
	free(v->state);
	v->state = NULL;
}

enum err app_show(struct app *a, struct view *v, bool push, struct errmsg *why)
{
	unsigned i;
	enum err e = app_start(a, v, why);

	if (e != ERR_OK)
		return e;
	for (i = 0; i < a->depth && a->stack[i] != v; i++)
		;
	/* What lies on the stack already is gone back to; a view has one place. */
	if (i < a->depth && push)
		a->depth = i + 1;
	else if (push && a->depth < APP_STACK_MAX)
		a->stack[a->depth++] = v;
	else
		a->stack[0] = v, a->depth = 1;
	app_touch(a);
	return ERR_OK;
}

bool app_pop(struct app *a)
{
	if (a->depth < 2)
		return false;
	a->depth--;
	app_touch(a);
	return true;
}

/* --- one frame -------------------------------------------------------------------------------------------------- */
struct rect app_view_rect(int w, int h)
{
	return (struct rect){0, 1, w, h > 3 ? h - 3 : 1};
}

/* The selected exit is the newest one before this position that the log has: what a guest that runs did last may not be
 * in it yet. */
static void follow(struct view_model *m)
{
	uint64_t first, last, newest, selected;

	view_model_lock(m);
	newest = view_now(m)->exits;
	selected = view_now(m)->selected;
	if (newest && view_now(m)->run == VIEW_RUNNING && view_log_numbers(m, &first, &last) && last < newest)
		newest = last + 1;
	view_model_unlock(m);
	if (newest && selected != newest - 1)
		view_model_select(m, newest - 1);
}

/* A guest that runs waits while it is held: at most so much of its time. What is on the screen is then a little older,
 * unless somebody has pressed a key. */
#define HOLD_SHARE 50

static bool hold(struct app *a, bool runs)
{
	uint64_t begun = app_now_ns(a);

	if ((runs && !a->stale && begun < a->next_hold_ns) || !engine_hold(a->cfg.engine))
		return false;
	a->held_ns = begun;
	return true;
}

static void release(struct app *a, bool runs)
{
	uint64_t now = app_now_ns(a);

	engine_release(a->cfg.engine);
	a->next_hold_ns = runs ? now + HOLD_SHARE * (now - a->held_ns) : 0;
}

/* Each guest has a model of its own, and the filter is the user's. Model locked. */
static void keep_filter(struct app *a, struct view_model *m)
{
	const char *has = view_filter_text(m);
	struct errmsg ignore;
	size_t at;

	if (has != a->filter && (!has || !a->filter || strcmp(has, a->filter) != 0))
		(void)!view_filter_set(m, a->filter, &at, &ignore);
}

void app_collect(struct app *a, struct view *v, int w, int h)
{
	struct view_model *m = app_model(a);
	bool runs = a->cfg.engine && engine_runs(a->cfg.engine), free = !a->cfg.engine || (runs && v->ops->from_log);
	bool held = !free && m && hold(a, runs);

	if (!m || (!held && !free && !runs)) /* what cannot be cut in two is under way: the picture stays what it was */
		return;
	if (a->following)
		follow(m);
	view_model_lock(m);
	keep_filter(a, m);
	a->now = *view_now(m);
	a->info = *view_info(m);
	a->have_model = true;
	if (a->info.n_vcpus && a->vcpu >= a->info.n_vcpus)
		a->vcpu = 0;
	if (v->ops->collect && (held || free))
		v->ops->collect(a, v, m, w, h);
	view_model_unlock(m);
	if (held)
		release(a, runs);
}

void app_collect_all(struct app *a)
{
	for (unsigned i = 0; i < a->n_views; i++)
		if (a->view[i].state)
			app_collect(a, &a->view[i], a->view[i].at.w, a->view[i].at.h);
}

void app_draw(struct app *a, struct screen *s)
{
	struct view *v = app_top(a);
	struct rect r = app_view_rect(s->w, s->h);

	screen_clear(s);
	if (s->w != a->w || s->h != a->h)
		a->stale = true;
	a->w = s->w;
	a->h = s->h;
	a->dirty = false;
	if (s->w < APP_MIN_W || s->h < APP_MIN_H) {
		app_draw_too_small(a, s);
		return;
	}
	if (v) {
		v->at = r;
		if (!a->frozen || a->stale)
			app_collect(a, v, r.w, r.h);
		a->stale = false;
		screen_clip(s, &r);
		v->ops->draw(a, v, s, &r);
		screen_clip(s, NULL);
	}
	app_draw_title(a, s);
	app_draw_bar(a, s);
	app_draw_message(a, s);
}

/* --- begin and end ---------------------------------------------------------------------------------------------- */
static void read_config(struct app *a, struct errmsg *why)
{
	enum err e;

	config_init(&a->config);
	if (!a->cfg.config_file)
		return;
	e = config_load(&a->config, a->cfg.config_file, why);
	if (e != ERR_OK && e != ERR_NOENT)
		app_error(a, why);
}

enum err app_open(const struct app_config *cfg, struct app **out, struct errmsg *why)
{
	struct app *a = calloc(1, sizeof(*a));
	enum err e;

	if (!a)
		return err_set(why, ERR_NOMEM, "no memory for the user interface");
	a->cfg = *cfg;
	a->w = APP_MIN_W;
	a->h = APP_MIN_H;
	a->following = true;
	read_config(a, why);
	a->theme = theme_at(0);
	if (cfg->no_color)
		a->theme = "mono";
	else if (a->config.theme[0])
		a->theme = a->config.theme;
	if (a->config.ascii == 1)
		a->cfg.ascii = true;
	a->mouse = a->config.mouse != 0;
	a->line.complete = app_complete;
	a->line.arg = a;
	a->pager.ops = &app_pager_ops;
	for (; a->n_views < APP_VIEWS_MAX && views[a->n_views]; a->n_views++)
		a->view[a->n_views].ops = views[a->n_views];
	if (!screen_init(&a->own, a->w, a->h, a->cfg.ascii)) {
		app_close(a);
		return err_set(why, ERR_NOMEM, "no memory for the screen");
	}
	e = a->n_views ? app_show(a, &a->view[0], false, why) : ERR_OK;
	if (e != ERR_OK) {
		app_close(a);
		return e;
	}
	*out = a;
	return ERR_OK;
}

void app_close(struct app *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->n_views; i++)
		view_end(a, &a->view[i]);
	view_end(a, &a->pager);
	app_scripts_drop(a);
	line_free(&a->line);
	config_free(&a->config);
	screen_fini(&a->own);
	free(a->search);
	free(a->filter);
	free(a->marks);
	free(a);
}
