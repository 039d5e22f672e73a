/*
 * Keys: one table, from which keys are dispatched, the function-key bar is drawn and help is written. A key is looked
 * for in the user's tui.lua (this view's part first), in the view's table, and here.
 */
#include "tui/app_impl.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

const struct app_binding app_bindings[] = {
    {{"F1", "help", "Help"}, WHEN_ALWAYS, "The program", NULL},
    {{"?", "help", NULL}, WHEN_ALWAYS, "The program", NULL},
    {{"h", "help", NULL}, WHEN_ALWAYS, "The program", NULL},
    {{"s", "step", "Insn"}, WHEN_STOPPED, "Run control", NULL},
    {{"e", "step exit", "Exit"}, WHEN_STOPPED, "Run control", NULL},
    {{"c", "continue", "Cont"}, WHEN_STOPPED, "Run control", NULL},
    {{"p", "pause", "Pause"}, WHEN_RUNNING, "Run control", NULL},
    {{"C-c", "pause", NULL}, WHEN_RUNNING, "Run control", NULL},
    {{"n", "search next", "Next"}, WHEN_SEARCH, "Search and filter", NULL},
    {{"n", "over", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"o", "over", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"f", "finish", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"u", "back", "Back"}, WHEN_STOPPED, "Run control", NULL},
    {{"U", "back exit", "BackEx"}, WHEN_STOPPED, "Run control", NULL},
    {{"C-u", "back break", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"b", "line break ", "Break"}, WHEN_STOPPED, "Run control",
	"Sets a breakpoint: address, symbol, exit, port, msr, mem."},
    {{"B", "break list", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"v", "line vmexit ", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"g", "line goto exit ", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"t", "turbo", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"R", "restart", NULL}, WHEN_ENGINE, "Run control", NULL},
    {{"e", "select next", "NextEx"}, WHEN_TRACE, "Exits", "The next exit."},
    {{"U", "select prev", "PrevEx"}, WHEN_TRACE, "Exits", "The exit before."},
    {{"v", "line vmexit ", NULL}, WHEN_TRACE, "Exits", "The next exit of a reason, by number or name."},
    {{"g", "line goto exit ", NULL}, WHEN_TRACE, "Exits", "Exit K."},
    {{"]", "select next", NULL}, WHEN_ALWAYS, "Exits", "The next exit."},
    {{"[", "select prev", NULL}, WHEN_ALWAYS, "Exits", "The exit before."},
    {{"}", "select next same", NULL}, WHEN_ALWAYS, "Exits", "The next exit of the same reason."},
    {{"{", "select prev same", NULL}, WHEN_ALWAYS, "Exits", "The one before of the same reason."},
    {{"F", "follow", NULL}, WHEN_ALWAYS, "Exits", NULL},
    {{"Space", "mark", NULL}, WHEN_ALWAYS, "Exits", NULL},
    {{"/", "line search", "Search"}, WHEN_FIND, "Search and filter", "Searches in this view."},
    {{"N", "search prev", NULL}, WHEN_SEARCH, "Search and filter", NULL},
    {{"\\", "line filter", "Filter"}, WHEN_ALWAYS, "Search and filter", "Shows only exits that pass a filter."},
    {{"<", "sort prev", NULL}, WHEN_ALWAYS, "Search and filter", "Sorts by the column before."},
    {{">", "sort next", NULL}, WHEN_ALWAYS, "Search and filter", "Sorts by the next column."},
    {{"I", "sort invert", NULL}, WHEN_ALWAYS, "Search and filter", "Sorts the other way."},
    {{"Z", "freeze", NULL}, WHEN_ALWAYS, "The program", NULL},
    {{"Tab", "view next", "View"}, WHEN_ALWAYS, "Views", "The next view."},
    {{"S-Tab", "view prev", NULL}, WHEN_ALWAYS, "Views", "The view before."},
    {{"1", "view 1", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"2", "view 2", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"3", "view 3", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"4", "view 4", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"5", "view 5", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"6", "view 6", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"7", "view 7", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"8", "view 8", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"9", "view 9", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"Enter", "enter", NULL}, WHEN_ALWAYS, "Views", "Drills in: from the line of the cursor to what it is about."},
    {{"Esc", "leave", NULL}, WHEN_ALWAYS, "Views", NULL},
    {{"Up", "move up", NULL}, WHEN_ALWAYS, "Moving", "A line up."},
    {{"Down", "move down", NULL}, WHEN_ALWAYS, "Moving", "A line down."},
    {{"k", "move up", NULL}, WHEN_ALWAYS, "Moving", "A line up."},
    {{"j", "move down", NULL}, WHEN_ALWAYS, "Moving", "A line down."},
    {{"PgUp", "move pgup", NULL}, WHEN_ALWAYS, "Moving", "A page up."},
    {{"PgDn", "move pgdn", NULL}, WHEN_ALWAYS, "Moving", "A page down."},
    {{"Home", "move home", NULL}, WHEN_ALWAYS, "Moving", "The beginning."},
    {{"End", "move end", NULL}, WHEN_ALWAYS, "Moving", "The end."},
    {{":", "line", "Cmd"}, WHEN_ALWAYS, "The program", "A command."},
    {{"P", "dump", NULL}, WHEN_ALWAYS, "The program", "Writes the screen to a file."},
    {{"M", "mouse", NULL}, WHEN_ALWAYS, "The program", "The mouse for the terminal, to copy text; and back."},
    {{"T", "theme", NULL}, WHEN_ALWAYS, "The program", "The next colour scheme: dark, light, safe, mono."},
    {{"C-l", "redraw", NULL}, WHEN_ALWAYS, "The program", NULL},
    {{"q", "close", "Quit"}, WHEN_ALWAYS, "The program", NULL},
    {{"C-c", "interrupted", NULL}, WHEN_ALWAYS, NULL, NULL},
    {{"F10", "quit", NULL}, WHEN_ALWAYS, "The program", NULL},
    {{NULL, NULL, NULL}, WHEN_ALWAYS, NULL, NULL},
};

bool app_when(struct app *a, enum app_when w)
{
	struct view *v = app_top(a);

	switch (w) {
	case WHEN_ENGINE:
		return a->cfg.engine != NULL;
	case WHEN_STOPPED:
		return a->cfg.engine && !app_running(a);
	case WHEN_RUNNING:
		return app_running(a);
	case WHEN_TRACE:
		return !a->cfg.engine;
	case WHEN_SEARCH:
		return a->search && v && v->ops->search;
	case WHEN_FIND:
		return v && v->ops->search;
	case WHEN_ALWAYS:
		break;
	}
	return true;
}

/* Tables say keys as names; the same key may have more than one spelling ("Space", "S-Tab"). */
static const char *find(struct app *a, uint32_t key)
{
	struct view *v = app_top(a);
	const char *own = config_key(&a->config, v ? v->ops->name : "", key);
	char name[16];

	if (own)
		return own;
	key_to_name(key, name);
	for (const struct binding *b = v ? v->ops->bindings : NULL; b && b->key; b++)
		if (!strcmp(b->key, name))
			return b->command;
	for (const struct app_binding *b = app_bindings; b->b.key; b++)
		if (!strcmp(b->b.key, name) && app_when(a, b->when))
			return b->b.command;
	/* What works only while the guest stands still says so itself. */
	for (const struct app_binding *b = app_bindings; b->b.key; b++)
		if (!strcmp(b->b.key, name) && b->when == WHEN_STOPPED)
			return b->b.command;
	return NULL;
}

const char *app_key_command(struct app *a, const char *key)
{
	uint32_t k = key_by_name(key);

	return k == KEY_NONE ? NULL : find(a, k);
}

static void run(struct app *a, const char *command)
{
	struct errmsg why = {""};

	if (app_command(a, command, &why) != ERR_OK)
		app_error(a, &why);
}

/* --- the line --------------------------------------------------------------------------------------------------- */
static void line_is_done(struct app *a)
{
	enum line_kind kind = a->line.kind;
	struct errmsg why = {""};
	char text[LINE_MAX_BYTES];
	enum err e = ERR_OK;
	size_t at = 0;

	memcpy(text, a->line.text, a->line.n + 1);
	line_remember(&a->line, kind, text);
	if (kind == LINE_FILTER) {
		e = app_filter(a, text, &at, &why);
		if (e != ERR_OK) {
			/* The line stays, with the caret where the error is. */
			a->line.at = at < a->line.n ? at : a->line.n;
			snprintf(a->line_error, sizeof(a->line_error), "%s", why.text);
			return;
		}
		line_close(&a->line);
		return;
	}
	line_close(&a->line);
	e = kind == LINE_SEARCH ? app_search(a, text, &why) : app_command(a, text, &why);
	if (e != ERR_OK)
		app_error(a, &why);
}

static void line_gets(struct app *a, uint32_t key)
{
	a->line_error[0] = '\0';
	switch (line_key(&a->line, key)) {
	case LINE_DONE:
		line_is_done(a);
		break;
	case LINE_CANCELLED:
		line_close(&a->line);
		break;
	case LINE_EDITED:
	case LINE_IGNORED:
		break;
	}
}

/* --- the mouse -------------------------------------------------------------------------------------------------- */
static void move(struct app *a, struct view *v, int lines)
{
	if (v->ops->move)
		v->ops->move(a, v, lines);
	app_touch(a);
}

static bool hit(const struct rect *r, int x, int y)
{
	return x >= r->x && x < r->x + r->w && y >= r->y && y < r->y + r->h;
}

static void bar_click(struct app *a, int x)
{
	for (unsigned i = 0; i < a->n_slots; i++)
		if (x >= a->slot[i].x && x < a->slot[i].x + a->slot[i].w) {
			run(a, a->slot[i].command);
			return;
		}
}

static void mouse(struct app *a, const struct key_event *k)
{
	struct view *v = app_top(a);

	if (!v || !a->mouse)
		return;
	if (k->mouse == MOUSE_WHEEL_UP || k->mouse == MOUSE_WHEEL_DOWN) {
		move(a, v, k->mouse == MOUSE_WHEEL_UP ? -3 : 3);
	} else if (a->line.kind != LINE_NONE) {
		return;
	} else if (k->y == a->h - 1) {
		bar_click(a, k->x);
	} else if (hit(&v->at, k->x, k->y)) {
		if (v->ops->click)
			v->ops->click(a, v, k->x - v->at.x, k->y - v->at.y);
		app_touch(a);
		if (k->mouse == MOUSE_DOUBLE)
			run(a, "enter");
	}
}

/* --- a key ------------------------------------------------------------------------------------------------------ */
void app_key(struct app *a, const struct key_event *k)
{
	char name[16];
	const char *command;

	a->dirty = true;
	a->next_hold_ns = 0; /* who presses a key sees what there is now */
	if (k->key == KEY_N_RESIZE || k->key == KEY_NONE)
		return;
	/* Nothing can be seen then, so only the way out works. */
	if (a->w < APP_MIN_W || a->h < APP_MIN_H) {
		if (k->key == 'q' || k->key == KEY_N_F1 + 9)
			a->quit = true;
		return;
	}
	if (k->key == KEY_N_MOUSE) {
		mouse(a, k);
		return;
	}
	if (a->line.kind != LINE_NONE) {
		line_gets(a, k->key);
		return;
	}
	a->message[0] = '\0';
	command = find(a, k->key);
	if (!command || !*command) {
		app_message(a, "%s does nothing here. F1: help", key_to_name(k->key, name));
		return;
	}
	run(a, command);
}
