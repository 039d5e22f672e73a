/*
 * Private to tui/app*.c: the application's state.
 *
 *   app.c           views and their stack, what views ask for, one frame
 *   app_frame.c     title, message, function-key bar
 *   app_keys.c      the table of keys, and who gets a key
 *   app_commands.c  the table of commands, and who runs a line; app_run.c (run control), app_break.c (breakpoints),
 *                   app_select.c (exits, marks, search, filter) and app_script.c have the longer ones
 *   app_help.c      help, as text that is made of these tables, in the pager (app_pager.c)
 *   app_twin.c      text and JSON of a view
 */
#ifndef VMSCOPE_TUI_APP_IMPL_H
#define VMSCOPE_TUI_APP_IMPL_H

#include "tui/app.h"
#include "tui/config.h"
#include "tui/line.h"

#define APP_STACK_MAX 12
#define APP_VIEWS_MAX 16
#define APP_SLOTS_MAX 48
#define APP_SCRIPTS_MAX 8

struct app_script {
	char *path, *text, *next;
	unsigned line;
};

/* A place of the function-key bar that can be clicked. */
struct app_slot {
	int x, w;
	const char *command;
};

struct app {
	struct app_config cfg;
	struct tui_config config;
	const char *theme;

	struct view view[APP_VIEWS_MAX]; /* as views[]; state NULL: not opened yet */
	unsigned n_views;
	struct view pager;
	struct view *stack[APP_STACK_MAX]; /* the top is seen */
	unsigned depth;
	bool drilling; /* inside ops->enter(): a view goes on top instead of instead */

	int w, h;	   /* of the last frame */
	bool dirty, stale; /* stale: the picture has to be collected anew, even when frozen */
	bool quit, frozen, following, mouse, turbo, redraw;
	bool was_busy;
	unsigned vcpu;
	struct view_now now; /* copies, as of the last collect */
	struct view_info info;
	bool have_model;

	char message[320];
	bool message_error;
	struct line line;
	char line_error[320]; /* shown below the line until the next key */
	char *search, *filter;
	uint64_t *marks; /* sorted */
	size_t n_marks, marks_room;

	struct app_slot slot[APP_SLOTS_MAX];
	unsigned n_slots;
	struct app_script script[APP_SCRIPTS_MAX];
	unsigned n_scripts;
	bool pumping, waiting;
	uint64_t sleep_until;
	uint64_t held_ns, next_hold_ns; /* of a guest that runs: when, and not again before */
	struct screen own;		/* for dump and expect */
};

/* app.c */
struct view *app_top(struct app *a);
struct view *app_below_pager(struct app *a);			       /* the view that help is about */
enum err app_start(struct app *a, struct view *v, struct errmsg *why); /* opens it, once */
enum err app_show(struct app *a, struct view *v, bool push, struct errmsg *why);
bool app_pop(struct app *a); /* false: it is the last */
void app_collect(struct app *a, struct view *v, int w, int h);
void app_collect_all(struct app *a); /* every view that was opened, seen or not */
uint64_t app_now_ns(struct app *a);
void app_error(struct app *a, const struct errmsg *why);
void app_touch(struct app *a); /* something changed: collect and draw */
bool app_running(struct app *a);
struct rect app_view_rect(int w, int h);

/* app_frame.c */
void app_draw_title(struct app *a, struct screen *s);
void app_draw_message(struct app *a, struct screen *s);
void app_draw_bar(struct app *a, struct screen *s);
void app_draw_too_small(struct app *a, struct screen *s);

/* app_keys.c */
enum app_when { WHEN_ALWAYS, WHEN_ENGINE, WHEN_STOPPED, WHEN_RUNNING, WHEN_SEARCH, WHEN_TRACE, WHEN_FIND };
struct app_binding {
	struct binding b;
	enum app_when when; /* it works and is shown only then */
	const char *group;  /* heading in help */
	const char *help;   /* NULL: the sentence of the command */
};
extern const struct app_binding app_bindings[];
bool app_when(struct app *a, enum app_when w);
/* The command line of a key here, or NULL; *label: for the bar. */
const char *app_key_command(struct app *a, const char *key);

/* The error for a view that there is not; says which there are. */
enum err app_no_view(struct app *a, const char *name, struct errmsg *why);

/* app_commands.c: tables end with name NULL; NULL ends the list of tables. */
extern const struct command *const app_command_tables[];
extern const struct command app_commands_general[], app_commands_run[], app_commands_break[], app_commands_select[],
    app_commands_script[];
void app_complete(void *arg, const char *text, struct line_words *out);
const char *app_word(const char **args, char *buf, size_t n); /* the next word of args; NULL: none, or too long */
enum err app_number(const char *args, uint64_t none, uint64_t *out, struct errmsg *why); /* "" gives none */
bool app_parse_u64(const char *text, uint64_t *out);
enum err app_no_args(const char *args, struct errmsg *why);
const char *app_reason_word(unsigned i); /* for completion: the names of all exit reasons */
enum err app_reason(const char *args, uint64_t *out, struct errmsg *why);
enum err app_needs_engine(struct app *a, struct errmsg *why);

/* app_select.c */
enum err app_select_number(struct app *a, uint64_t number, struct errmsg *why);
enum err app_select_dir(struct app *a, int dir, struct errmsg *why);
enum err app_select_reason(struct app *a, uint32_t reason, struct errmsg *why);
/* at: where in text the error is. */
enum err app_filter(struct app *a, const char *text, size_t *at, struct errmsg *why);
enum err app_search(struct app *a, const char *text, struct errmsg *why);

/* app_pager.c: text is taken (malloc()ed). */
extern const struct view_ops app_pager_ops;
enum err app_pager_show(struct app *a, char *text, struct errmsg *why);
/* app_help.c */
char *app_help_text(struct app *a);
/* app_script.c */
enum err app_pump(struct app *a, struct errmsg *why);
void app_scripts_drop(struct app *a);
/* app_twin.c */
char *app_screen_text(struct app *a, bool styles); /* as drawn at a->w x a->h */

#endif
