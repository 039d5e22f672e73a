/*
 * The application: view stack, keys, command line, what is shown around a view. It draws into a struct screen and gets
 * keys as struct key_event, so that a terminal, a script and a test drive it alike; only tui/term.c knows curses.
 *
 *   row 0            title: guest, mode/type, controls, run state, position
 *   rows 1 .. h-3    the view
 *   row h-2          message, or the ':' '/' '\' line
 *   row h-1          function-key bar
 */
#ifndef VMSCOPE_TUI_APP_H
#define VMSCOPE_TUI_APP_H

#include <signal.h>
#include <stdio.h>

#include "tui/engine.h"
#include "tui/theme.h"
#include "tui/view.h"

#define APP_MIN_W 80
#define APP_MIN_H 24

struct app_config {
	struct engine *engine;	  /* NULL: a trace */
	struct view_model *model; /* of a trace; NULL with an engine */
	const struct symbols *symbols;
	/* A source for the same guest in another backend (the modes view opens engines of its own with it);
	 * ERR_NODEV: why says why this machine cannot. NULL member: there is no guest, only a trace. */
	enum err (*backend)(
	    void *arg, enum vmm_mode mode, enum vmm_type type, struct engine_source *out, struct errmsg *why);
	void (*backend_done)(void *arg, struct engine_source *src); /* after engine_close() */
	/* Symbols of the guest that VM runs now: asked again after :open. May be NULL. */
	const struct symbols *(*symbols_now)(void *arg, unsigned vm);
	void *arg;
	const char *config_file; /* tui.lua; NULL: none */
	bool ascii, no_color;
	uint64_t (*now_ns)(void *arg); /* host time; NULL: the monotonic clock */
	void *now_arg;
	FILE *out;			    /* what "echo" and "dump -" print to; NULL: echo is a message */
	const volatile sig_atomic_t *ended; /* not 0: scripts run no further line; a signal handler's. May be NULL */
};

enum err app_open(const struct app_config *cfg, struct app **out, struct errmsg *why) MUST_CHECK;
void app_close(struct app *a);

/* Draws one frame (collects first, holding the engine for as short as it can). */
void app_draw(struct app *a, struct screen *s);
void app_key(struct app *a, const struct key_event *k);
/* Is there anything to draw: a key, news, a run under way? */
bool app_dirty(struct app *a);
bool app_quit(const struct app *a);
bool app_take_redraw(struct app *a); /* once: the terminal's content is not to be trusted (C-l) */
/* How long who drives the application may wait for a key before app_dirty() has to be asked again; -1: for ever. */
int app_wait_ms(struct app *a);
const char *app_theme(const struct app *a); /* name of the colour scheme */
const struct theme_override *app_colors(const struct app *a);
bool app_ascii(const struct app *a);
bool app_wants_mouse(const struct app *a);
bool app_turbo(const struct app *a); /* runs without drawing */
const char *app_last_message(const struct app *a);
/* Runs the lines of a file ("-": standard input), one command a line; '#' begins a comment. Ends at the first error
 * with "FILE:LINE: message". */
enum err app_script(struct app *a, const char *path, struct errmsg *why) MUST_CHECK;
/* Text and JSON twins. name: of a view; NULL: the current one. */
char *app_view_text(struct app *a, const char *name, int w, struct errmsg *why); /* malloc()ed */
json_t *app_view_json(struct app *a, const char *name, struct errmsg *why);

#endif
