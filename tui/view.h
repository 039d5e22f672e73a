/*
 * A view: one screenful about the run, as a module with one ops table (tui/views.c has the table of all). A view sees
 * the view model (tracer/view_model.h) and the application's shared state, never a vCPU.
 *
 *   collect()  model locked and guest standing still: copies what the picture needs into the view's own state
 *   draw()     from that copy into the screen; no lock, no model
 *   json()     the same picture as data: the twin of the screen
 *
 * All other calls come without the lock and while the guest may run: what they need of the
 * model beyond the view's copy, they lock it for; what they need of the guest, collect() brings with the next frame.
 * Each of them is followed by a frame with a collect().
 *
 * Commands: everything that a key does is a command line ("sort time", "goto exit 12"), so that keys, the ':' line,
 * --script files and mouse all go one way. A view lists its keys and commands; help and the function-key bar are made
 * from these tables.
 */
#ifndef VMSCOPE_TUI_VIEW_H
#define VMSCOPE_TUI_VIEW_H

#include <jansson.h>

#include "core/err.h"
#include "tui/keys.h"
#include "tui/screen.h"
#include "tracer/view_model.h"

struct app;
struct table;
struct view;

/* A command of a view or of the application. args is what follows the name, without leading blanks ("" when nothing).
 * ERR_OK, or an error with one line for the user. */
struct command {
	const char *name; /* one or two words: "sort", "next same" */
	const char *args; /* for help: "[COLUMN]"; "" when none */
	const char *help; /* a short sentence */
	enum err (*run)(struct app *a, struct view *v, const char *args, struct errmsg *why);
	/* Completion: the i-th word that may follow; NULL: no more. May be NULL. */
	const char *(*complete)(struct app *a, struct view *v, unsigned i);
};

/* A key of a view: the command line that it stands for. */
struct binding {
	const char *key;     /* as keys.h names it: "s", "F7", "Enter", "S-Tab", "C-l" */
	const char *command; /* a command line */
	const char *label;   /* at most 6 characters: shown in the function-key bar; NULL: only in help */
};

struct view_ops {
	const char *name;		/* as :view and --batch take it: "scope" */
	const char *title;		/* "Scope" */
	const char *about;		/* one sentence, for help */
	const struct command *commands; /* ends with name NULL; may be NULL */
	const struct binding *bindings; /* ends with key NULL; may be NULL */
	size_t state_size;		/* of the view's own state, zeroed: view->state */
	enum err (*open)(struct app *a, struct view *v, struct errmsg *why); /* may be NULL */
	void (*close)(struct app *a, struct view *v);			     /* may be NULL */
	/* Copies what draw() shows. The guest stands still for it (tui/engine.h), unless from_log is set. */
	void (*collect)(struct app *a, struct view *v, struct view_model *m, int w, int h);
	/* collect() asks only for what the model has been told (no view_vm(), view_cpu_, view_read_, no engine): a
	 * guest that runs need not stop for it. */
	bool from_log;
	void (*draw)(struct app *a, struct view *v, struct screen *s, const struct rect *r);
	json_t *(*json)(struct app *a, struct view *v); /* a new reference; after collect() */
	/* Moves the cursor or scrolls: lines (negative: up); pages as lines of the view's height; INT_MIN, INT_MAX: to
	 * the beginning, the end. May be NULL: nothing scrolls. */
	void (*move)(struct app *a, struct view *v, int lines);
	/* '/': from the cursor (exclusive) in direction dir, the next line that contains text (case does not count);
	 * moves the cursor there; false: none. May be NULL. */
	bool (*search)(struct app *a, struct view *v, const char *text, int dir);
	/* Enter, double click: drills in, usually by app_command(a, "view exit"). May be NULL. */
	enum err (*enter)(struct app *a, struct view *v, struct errmsg *why);
	/* A click at a place inside the view (0, 0 is its upper left): moves the cursor there. May be NULL. */
	void (*click)(struct app *a, struct view *v, int x, int y);
	/* What "sort" sorts. May be NULL: nothing. */
	struct table *(*table)(struct view *v);
	/* Has the view something under way by itself, so that it wants to be drawn again soon? May be NULL: no. */
	bool (*works)(struct app *a, struct view *v);
};

struct view {
	const struct view_ops *ops;
	void *state;
	struct rect at; /* where it was drawn last */
};

/* tui/views.c: the views in the order of their digits (1 ..); ends with NULL. */
extern const struct view_ops *const views[];

/* --- what the application offers to views (tui/app.c) --------------------------------------------------------------
 */

struct engine;
struct view_model *app_model(struct app *a);
struct engine *app_engine(struct app *a); /* tui/engine.h; NULL: a trace, nothing runs */
unsigned app_vcpu(const struct app *a);	  /* the vCPU that views are about; :cpu N */
/* Runs a command line as if it was typed; the error is shown to the user by the caller of the outermost one. */
enum err app_command(struct app *a, const char *line, struct errmsg *why) MUST_CHECK;
/* The selected exit (view_now()->selected, follows the newest while app_following()). */
bool app_following(const struct app *a);
/* Marks (Space): by exit number. */
bool app_marked(const struct app *a, uint64_t number);
/* What '/' looks for now, for highlighting; NULL: nothing. */
const char *app_search_text(const struct app *a);
/* One line at the bottom, until the next key. */
void app_message(struct app *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Symbols of the guest (tracer/symbols.h); NULL: none. */
struct symbols;
const struct symbols *app_symbols(const struct app *a);
/* struct app_config (tui/app.h): for views that open engines of their own. */
struct app_config;
const struct app_config *app_config(const struct app *a);
/* In --batch, --script and tests: nothing runs in the background; what a view starts, it finishes. */
bool app_threaded(const struct app *a);

#endif
