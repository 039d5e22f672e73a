/*
 * Commands: who runs a line, and the general ones. Keys, the ':' line, scripts and the mouse all come through
 * app_command(). See view.h for what a command is.
 */
#include "tui/app_impl.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/exit.h"
#include "tui/table.h"

const struct command *const app_command_tables[] = {
    app_commands_run,
    app_commands_break,
    app_commands_select,
    app_commands_general,
    app_commands_script,
    NULL,
};

/* --- words and numbers ------------------------------------------------------------------------------------------ */
const char *app_word(const char **args, char *buf, size_t n)
{
	const char *p = *args;
	size_t k = 0;

	while (p[k] && p[k] != ' ' && p[k] != '\t')
		k++;
	if (!k || k >= n)
		return NULL;
	memcpy(buf, p, k);
	buf[k] = '\0';
	for (p += k; *p == ' ' || *p == '\t';)
		p++;
	*args = p;
	return buf;
}

bool app_parse_u64(const char *text, uint64_t *out)
{
	char *end;
	int base = text[0] == '0' && (text[1] | 0x20) == 'x' ? 16 : 10;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, base);
	return !*end && !errno;
}

enum err app_number(const char *args, uint64_t none, uint64_t *out, struct errmsg *why)
{
	if (!*args) {
		*out = none;
		return ERR_OK;
	}
	if (!app_parse_u64(args, out))
		return err_set(why, ERR_INVAL, "'%s' is not a number (12, 0x1000)", args);
	return ERR_OK;
}

enum err app_no_args(const char *args, struct errmsg *why)
{
	return *args ? err_set(why, ERR_INVAL, "'%s' is one word too many here", args) : ERR_OK;
}

const char *app_reason_word(unsigned i)
{
	for (uint32_t r = 0; r < EXIT_SDM_COUNT; r++)
		if (exit_desc(r) && !i--)
			return exit_name(r);
	return NULL;
}

enum err app_reason(const char *args, uint64_t *out, struct errmsg *why)
{
	char upper[64];
	size_t n = strlen(args);
	int reason;

	if (app_parse_u64(args, out) && *out < EXIT_SDM_COUNT)
		return ERR_OK;
	for (size_t i = 0; i <= n && i < sizeof(upper); i++)
		upper[i] = args[i] >= 'a' && args[i] <= 'z' ? (char)(args[i] - 'a' + 'A')
			   : args[i] == '-'		    ? '_'
							    : args[i];
	reason = n && n < sizeof(upper) ? exit_reason_by_name(upper) : -1;
	if (reason < 0 && !n)
		return err_set(why, ERR_INVAL, "which exit reason? a number or a name (10, CPUID); Tab lists them");
	if (reason < 0)
		return err_set(
		    why, ERR_NOENT, "no exit reason '%s': a number or a name (10, CPUID); Tab lists them", args);
	*out = (uint64_t)reason;
	return ERR_OK;
}

enum err app_needs_engine(struct app *a, struct errmsg *why)
{
	if (!a->cfg.engine)
		return err_set(
		    why, ERR_UNSUPPORTED, "this is a recorded trace: nothing runs here; [ and ] go through its exits");
	return ERR_OK;
}

/* --- who runs a line -------------------------------------------------------------------------------------------- */
/* The command of the longest name that begins the line. */
static const struct command *longest(const struct command *t, const char *line, size_t *len, const struct command *best)
{
	for (; t && t->name; t++) {
		size_t n = strlen(t->name);

		if (n > *len && !strncmp(line, t->name, n) && (!line[n] || line[n] == ' ' || line[n] == '\t')) {
			*len = n;
			best = t;
		}
	}
	return best;
}

static const struct command *find(struct view *v, const char *line, const char **args)
{
	const struct command *best = NULL;
	size_t n = 0;

	if (v)
		best = longest(v->ops->commands, line, &n, best);
	for (unsigned i = 0; app_command_tables[i]; i++)
		best = longest(app_command_tables[i], line, &n, best);
	for (*args = line + n; **args == ' ' || **args == '\t';)
		(*args)++;
	return best;
}

/* First words that begin with the first word of line, each once. */
static void first_words(struct view *v, const char *line, struct line_words *out)
{
	char want[LINE_WORD], word[LINE_WORD];
	const char *rest = line;

	*out = (struct line_words){0};
	if (!app_word(&rest, want, sizeof(want)))
		return;
	for (int i = v ? -1 : 0; i < 0 || app_command_tables[i]; i++)
		for (const struct command *c = i < 0 ? v->ops->commands : app_command_tables[i]; c && c->name; c++) {
			rest = c->name;
			if (app_word(&rest, word, sizeof(word)))
				line_words_add(out, want, word);
		}
}

/* The view that would take the line; NULL: none. */
static const struct view *taker(const struct app *a, const char *line, const struct command **c)
{
	for (unsigned i = 0; i < a->n_views; i++) {
		size_t n = 0;

		*c = longest(a->view[i].ops->commands, line, &n, NULL);
		if (*c)
			return &a->view[i];
	}
	return NULL;
}

static enum err unknown(struct app *a, const char *line, struct errmsg *why)
{
	const struct command *c;
	const struct view *other = taker(a, line, &c);
	struct line_words w;
	char list[160];
	size_t n = 0;

	if (other)
		return err_set(why, ERR_NOENT, "'%s' is a command of the view %s: 'view %s' first", c->name,
		    other->ops->name, other->ops->name);
	first_words(app_top(a), line, &w);
	if (!w.n)
		return err_set(why, ERR_NOENT, "no command '%.60s' (F1 lists them)", line);
	list[0] = '\0';
	for (unsigned i = 0; i < w.n && n + LINE_WORD + 4 < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", w.word[i]);
	return err_set(why, ERR_NOENT, "'%.60s' may be: %s", line, list);
}

/* The beginning of a first word will do when there is only one such word, and no view has the whole of it: "vm stop 2"
 * is not meant as "vmexit stop 2". */
static const struct command *abbreviated(struct app *a, const char *line, char *whole, size_t room, const char **args)
{
	struct view *v = app_top(a);
	const struct command *c;
	struct line_words w;
	char word[LINE_WORD];
	const char *rest = line;

	if (taker(a, line, &c))
		return NULL;
	first_words(v, line, &w);
	if (w.n != 1 || !app_word(&rest, word, sizeof(word)) ||
	    (size_t)snprintf(whole, room, "%s%s%s", w.word[0], *rest ? " " : "", rest) >= room)
		return NULL;
	return find(v, whole, args);
}

enum err app_command(struct app *a, const char *line, struct errmsg *why)
{
	struct view *v = app_top(a);
	const struct command *c;
	char whole[LINE_MAX_BYTES], text[LINE_MAX_BYTES];
	const char *args;
	size_t n;

	while (*line == ' ' || *line == '\t')
		line++;
	n = strlen(line);
	while (n && strchr(" \t\r\n", line[n - 1]))
		n--;
	if (n >= sizeof(text))
		return err_set(why, ERR_RANGE, "this line is longer than %d bytes", LINE_MAX_BYTES - 1);
	if (!n)
		return ERR_OK;
	memcpy(text, line, n);
	text[n] = '\0';
	c = find(v, text, &args);
	if (!c)
		c = abbreviated(a, text, whole, sizeof(whole), &args);
	if (!c)
		return unknown(a, text, why);
	app_touch(a);
	return c->run(a, v, args, why);
}

/* Names of commands that go on as the text does, from its byte `from` on. */
static void complete_names(struct view *v, const char *text, struct line_words *out)
{
	for (int i = v ? -1 : 0; i < 0 || app_command_tables[i]; i++)
		for (const struct command *c = i < 0 ? v->ops->commands : app_command_tables[i]; c && c->name; c++)
			if (!strncmp(c->name, text, out->from))
				line_words_add(out, text, c->name + out->from);
}

void app_complete(void *arg, const char *text, struct line_words *out)
{
	struct app *a = arg;
	struct view *v = app_top(a);
	const struct command *c;
	const char *args, *space = strrchr(text, ' '), *word;

	if (a->line.kind != LINE_COMMAND)
		return;
	c = find(v, text, &args);
	/* Names of commands have one or two words. What may follow a name of one word may be a second one, too. */
	out->from = c && c->complete && space ? (size_t)(space + 1 - text) : 0;
	complete_names(v, text, out);
	for (unsigned i = 0; out->from && (word = c->complete(a, v, i)); i++)
		line_words_add(out, text, word);
}

/* --- views ------------------------------------------------------------------------------------------------------ */
static const char *view_word(struct app *a, struct view *v, unsigned i)
{
	(void)v;
	return i < a->n_views ? a->view[i].ops->name : NULL;
}

static enum err view_step(struct app *a, int dir, struct errmsg *why)
{
	struct view *now = app_below_pager(a);
	unsigned i = 0;

	if (!a->n_views)
		return ERR_OK;
	while (i < a->n_views && &a->view[i] != now)
		i++;
	i = i == a->n_views ? 0 : (i + a->n_views + (unsigned)dir) % a->n_views;
	return app_show(a, &a->view[i], false, why);
}

enum err app_no_view(struct app *a, const char *name, struct errmsg *why)
{
	char list[160] = "";
	size_t n = 0;

	for (unsigned i = 0; i < a->n_views && n < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", a->view[i].ops->name);
	return err_set(why, ERR_NOENT, "no view '%.60s': %s", name, list);
}

static enum err cmd_view(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	uint64_t n;

	(void)v;
	if (!strcmp(args, "next") || !strcmp(args, "prev"))
		return view_step(a, args[0] == 'n' ? 1 : -1, why);
	if (app_parse_u64(args, &n)) {
		if (n < 1 || n > a->n_views)
			return err_set(why, ERR_RANGE, "there is no view %s: they are 1 to %u", args, a->n_views);
		return app_show(a, &a->view[n - 1], a->drilling, why);
	}
	for (unsigned i = 0; i < a->n_views; i++)
		if (!strcmp(a->view[i].ops->name, args))
			return app_show(a, &a->view[i], a->drilling, why);
	return app_no_view(a, args, why);
}

static enum err cmd_enter(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	bool before = a->drilling;
	enum err e;

	(void)args;
	if (!v || !v->ops->enter)
		return err_set(why, ERR_UNSUPPORTED, "Enter goes nowhere from here");
	a->drilling = true;
	e = v->ops->enter(a, v, why);
	a->drilling = before;
	return e;
}

/* Esc: first what is on top of the view, then the view. It never quits. */
static enum err cmd_leave(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	(void)args;
	(void)why;
	if (a->search) {
		free(a->search);
		a->search = NULL;
		return ERR_OK;
	}
	if (!app_pop(a))
		app_message(a, "this is the first view; q quits");
	return ERR_OK;
}

static enum err cmd_close(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	(void)args;
	(void)why;
	if (!app_pop(a))
		a->quit = true;
	return ERR_OK;
}

static enum err cmd_move(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	static const char *const words[] = {"up", "down", "pgup", "pgdn", "home", "end"};
	int page = app_view_rect(a->w, a->h).h - 1;
	const int lines[] = {-1, 1, -page, page, INT_MIN, INT_MAX};

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(args, words[i])) {
			if (v && v->ops->move)
				v->ops->move(a, v, lines[i]);
			return ERR_OK;
		}
	return err_set(why, ERR_INVAL, "move up, down, pgup, pgdn, home or end, not '%s'", args);
}

static enum err cmd_sort(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)a;
	if (!v || !v->ops->table)
		return err_set(why, ERR_UNSUPPORTED, "the view %s has nothing to sort", v ? v->ops->name : "");
	return table_sort(v->ops->table(v), args, why);
}

static const char *sort_word(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	return v && v->ops->table ? table_sort_name(v->ops->table(v), i) : NULL;
}

/* --- the program ------------------------------------------------------------------------------------------------ */
static enum err cmd_help(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)args;
	if (v == &a->pager && app_pop(a))
		return ERR_OK;
	return app_pager_show(a, app_help_text(a), why);
}

static enum err cmd_quit(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	(void)args;
	(void)why;
	a->quit = true;
	return ERR_OK;
}

static enum err cmd_interrupted(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	(void)args;
	(void)why;
	app_message(a, "nothing is running; q quits");
	return ERR_OK;
}

static enum err cmd_line(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	char text[LINE_MAX_BYTES];
	bool space = *args && strcmp(args, "search") != 0 && strcmp(args, "filter") != 0;

	(void)v;
	(void)why;
	a->line_error[0] = '\0';
	/* "line break" begins a line with "break "; trailing blanks of a command are cut before it runs. */
	snprintf(text, sizeof(text) - 1, "%s", args);
	if (space)
		strcat(text, " ");
	if (!strcmp(args, "search"))
		line_open(&a->line, LINE_SEARCH, "");
	else if (!strcmp(args, "filter"))
		line_open(&a->line, LINE_FILTER, a->filter ? a->filter : "");
	else
		line_open(&a->line, LINE_COMMAND, text);
	return ERR_OK;
}

static enum err toggle(bool *what, const char *args, struct errmsg *why)
{
	if (!strcmp(args, "on"))
		*what = true;
	else if (!strcmp(args, "off"))
		*what = false;
	else if (!*args)
		*what = !*what;
	else
		return err_set(why, ERR_INVAL, "'on' or 'off', not '%s'", args);
	return ERR_OK;
}

static enum err cmd_freeze(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	enum err e = toggle(&a->frozen, args, why);

	(void)v;
	if (e == ERR_OK)
		app_message(a, "%s",
		    a->frozen ? "frozen: the picture stays, the guest goes on; Z again lets it move"
			      : "the picture moves again");
	return e;
}

static enum err cmd_mouse(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	enum err e = toggle(&a->mouse, args, why);

	(void)v;
	if (e == ERR_OK)
		app_message(
		    a, "%s", a->mouse ? "the mouse is vmscope's" : "the mouse is the terminal's: text can be copied");
	return e;
}

static const char *theme_word(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return theme_at(i);
}

static enum err cmd_theme(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	if (*args && !theme_known(args))
		return err_set(why, ERR_NOENT, "no colour scheme '%s': dark, light, safe, mono", args);
	a->theme = theme_next(a->theme);
	for (unsigned i = 0; *args && theme_at(i); i++)
		if (!strcmp(theme_at(i), args))
			a->theme = theme_at(i);
	app_message(a, "colour scheme: %s", a->theme);
	return ERR_OK;
}

static enum err cmd_redraw(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)v;
	(void)args;
	(void)why;
	a->redraw = true;
	return ERR_OK;
}

static enum err cmd_cpu(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct view_model *m = app_model(a);
	uint64_t n;
	unsigned have = 1;
	enum err e;

	(void)v;
	if (m) {
		view_model_lock(m);
		have = view_info(m)->n_vcpus > 1 ? view_info(m)->n_vcpus : 1;
		view_model_unlock(m);
	}
	e = app_number(args, a->vcpu + 1u < have ? a->vcpu + 1u : 0, &n, why);
	if (e != ERR_OK)
		return e;
	if (n >= have)
		return err_set(why, ERR_RANGE, "there is no CPU %s: this guest has 0 to %u", args, have - 1);
	a->vcpu = (unsigned)n;
	return ERR_OK;
}

const struct command app_commands_general[] = {
    {"view", "NAME|N|next|prev", "Goes to a view.", cmd_view, view_word},
    {"enter", "", "Drills in: from the line of the cursor to what it is about.", cmd_enter, NULL},
    {"leave", "", "Ends a search, or goes back one view.", cmd_leave, NULL},
    {"close", "", "Goes back one view; from the first one, quits.", cmd_close, NULL},
    {"move", "up|down|pgup|pgdn|home|end", "Moves the cursor, or scrolls.", cmd_move, NULL},
    {"sort", "[next|prev|invert|COLUMN]", "Sorts by another column, or the other way, where a view has columns.",
	cmd_sort, sort_word},
    {"freeze", "[on|off]", "Keeps the picture as it is while the guest goes on.", cmd_freeze, NULL},
    {"theme", "[NAME]", "Changes the colour scheme: dark, light, safe, mono.", cmd_theme, theme_word},
    {"mouse", "[on|off]", "Off: the terminal has the mouse, for copying text.", cmd_mouse, NULL},
    {"cpu", "[N]", "Chooses the CPU that the views are about.", cmd_cpu, NULL},
    {"redraw", "", "Draws the whole screen again.", cmd_redraw, NULL},
    {"line", "[TEXT]", "Opens the command line, with a beginning.", cmd_line, NULL},
    {"help", "", "Keys and commands of this view, and of all.", cmd_help, NULL},
    {"interrupted", "", "What C-c does while nothing runs.", cmd_interrupted, NULL},
    {"quit", "", "Ends vmscope.", cmd_quit, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
