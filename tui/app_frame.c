/*
 * What is around a view: title, message, function-key bar. See app.h for the rows.
 */
#include "tui/app_impl.h"

#include <stdio.h>
#include <string.h>

/* --- title ------------------------------------------------------------------------------------------------------ */
static int put(struct screen *s, int x, const char *text)
{
	int max = s->w - x;

	return max > 0 ? x + screen_text(s, x, 0, max, STYLE_TITLE, text) : x;
}

static int put_run(struct app *a, struct screen *s, int x)
{
	static const struct {
		enum glyph glyph;
		const char *word;
	} states[] = {
	    [VIEW_STOPPED] = {GLYPH_STOPPED, "stopped"},
	    [VIEW_RUNNING] = {GLYPH_RUNNING, "running"},
	    [VIEW_ENDED] = {GLYPH_ENDED, "ended"},
	};
	enum view_run run = app_running(a) ? VIEW_RUNNING : a->now.run;

	if (a->info.source == VIEW_TRACE)
		return put(s, x, "recorded");
	screen_put(s, x, 0, screen_glyph(s, states[run].glyph), STYLE_TITLE);
	x = put(s, x + 2, states[run].word);
	return a->turbo ? put(s, x, " (turbo)") : x;
}

static int put_where(struct app *a, struct screen *s, int x)
{
	char text[96], exits[16], insns[16];

	if (a->now.exits < a->now.seen_exits || a->now.insns < a->now.seen_insns)
		x = put(s, x, "  in the past");
	snprintf(text, sizeof(text), "  %s exit%s", fmt_count(a->now.exits, exits), a->now.exits == 1 ? "" : "s");
	x = put(s, x, text);
	if (!a->info.counts_insns)
		return x;
	snprintf(text, sizeof(text), "  %s insn%s", fmt_count(a->now.insns, insns), a->now.insns == 1 ? "" : "s");
	return put(s, x, text);
}

void app_draw_title(struct app *a, struct screen *s)
{
	static const char *const types[] = {"", "/I", "/II"};
	struct view *v = app_top(a);
	const struct view_info *i = &a->info;
	char text[160];
	int x = 1, n;

	screen_fill(s, &(struct rect){0, 0, s->w, 1}, ' ', STYLE_TITLE);
	if (!a->have_model) {
		put(s, x, "vmscope");
	} else {
		x = put(s, x, i->guest[0] ? i->guest : "(no name)");
		if (i->mode[0]) {
			snprintf(
			    text, sizeof(text), "  %s%s  %s", i->mode, i->type < 3 ? types[i->type] : "", i->controls);
			x = put(s, x, text);
		}
		x = put_run(a, s, x + 2);
		x = put_where(a, s, x);
		if (i->n_vcpus > 1) {
			snprintf(text, sizeof(text), "  cpu %u", a->vcpu);
			put(s, x, text);
		}
	}
	if (!v)
		return;
	snprintf(text, sizeof(text), "  %s%s ", a->frozen ? "FROZEN  " : "", v->ops->title);
	n = screen_columns(text);
	screen_right(s, s->w - n, 0, n, STYLE_TITLE, text);
}

/* --- message ---------------------------------------------------------------------------------------------------- */
/* What there is to say when nobody said anything: search and filter that are on, why it stands still. */
static void standing(struct app *a, char *text, size_t n)
{
	text[0] = '\0';
	if (a->filter || a->search)
		snprintf(text, n, "%s%s%s%s%s", a->filter ? "filter: " : "", a->filter ? a->filter : "",
		    a->filter && a->search ? "   " : "", a->search ? "search: " : "", a->search ? a->search : "");
	else if (a->have_model && !app_running(a))
		snprintf(text, n, "%s", a->now.stop);
}

void app_draw_message(struct app *a, struct screen *s)
{
	int y = s->h - 2;
	char text[400];

	if (a->line.kind != LINE_NONE) {
		line_draw(&a->line, s, 0, y, s->w);
	} else if (a->message[0]) {
		screen_text(s, 1, y, s->w - 1, a->message_error ? STYLE_ERROR : STYLE_NORMAL, a->message);
	} else {
		standing(a, text, sizeof(text));
		screen_text(s, 1, y, s->w - 1, STYLE_DIM, text);
	}
}

/* --- function-key bar ------------------------------------------------------------------------------------------- */
/* Columns that a binding takes: "F1 Help ". */
static int slot_width(const struct binding *b)
{
	return screen_columns(b->key) + 1 + screen_columns(b->label) + 1;
}

/* False: no room before `end`. */
static bool put_slot(struct app *a, struct screen *s, int *x, int end, const struct binding *b)
{
	int n = slot_width(b), at = *x;

	if (at + n > end || a->n_slots == APP_SLOTS_MAX)
		return false;
	a->slot[a->n_slots++] = (struct app_slot){at, n - 1, b->command};
	at += screen_text(s, at, s->h - 1, -1, STYLE_BAR_KEY, b->key);
	screen_put(s, at, s->h - 1, ' ', STYLE_BAR);
	screen_text(s, at + 1, s->h - 1, -1, STYLE_BAR, b->label);
	*x += n;
	return true;
}

/* A key whose command here is another one (the view's, the user's) is not announced. */
static bool announced(struct app *a, const struct binding *b)
{
	const char *command = b->label ? app_key_command(a, b->key) : NULL;

	return command && !strcmp(command, b->command);
}

static void words_row(struct app *a, struct screen *s)
{
	const struct line_words *w = &a->line.words;
	int x = 1;

	for (unsigned i = 0; i < w->n && x < s->w; i++)
		x += screen_text(s, x, s->h - 1, -1, STYLE_BAR, w->word[i]) + 2;
	if (w->more)
		screen_text(s, x, s->h - 1, -1, STYLE_BAR, "...");
}

static void line_row(struct app *a, struct screen *s)
{
	static const char *const hints[LINE_KINDS] = {
	    [LINE_COMMAND] = "Tab completes  Up earlier lines  Enter runs  Esc leaves",
	    [LINE_SEARCH] = "Enter searches  n next  N previous  Esc leaves",
	    [LINE_FILTER] = "libtraceevent's syntax: exit_reason == CPUID   empty: all exits   Esc leaves",
	};

	if (a->line_error[0])
		screen_text(s, 1, s->h - 1, s->w - 1, STYLE_ERROR, a->line_error);
	else if (a->line.words.n)
		words_row(a, s);
	else
		screen_text(s, 1, s->h - 1, s->w - 1, STYLE_BAR, hints[a->line.kind]);
}

void app_draw_bar(struct app *a, struct screen *s)
{
	struct view *v = app_top(a);
	const struct app_binding *quit = NULL;
	int x = 1, end = s->w;

	screen_fill(s, &(struct rect){0, s->h - 1, s->w, 1}, ' ', STYLE_BAR);
	a->n_slots = 0;
	if (a->line.kind != LINE_NONE) {
		line_row(a, s);
		return;
	}
	/* Help comes first and the way out last, whatever there is no room for. */
	for (const struct app_binding *b = app_bindings; b->b.key; b++)
		if (!strcmp(b->b.command, "close") && b->b.label)
			quit = b;
	if (quit)
		end -= slot_width(&quit->b);
	for (const struct app_binding *b = app_bindings; b->b.key; b++)
		if (!strcmp(b->b.command, "help") && announced(a, &b->b))
			put_slot(a, s, &x, end, &b->b);
	for (const struct binding *b = v ? v->ops->bindings : NULL; b && b->key; b++)
		if (announced(a, b))
			put_slot(a, s, &x, end, b);
	for (const struct app_binding *b = app_bindings; b->b.key; b++)
		if (b != quit && strcmp(b->b.command, "help") != 0 && app_when(a, b->when) && announced(a, &b->b))
			put_slot(a, s, &x, end, &b->b);
	if (quit && announced(a, &quit->b))
		put_slot(a, s, &x, s->w + 1, &quit->b);
}

void app_draw_too_small(struct app *a, struct screen *s)
{
	char text[160];
	struct rect r = {0, 0, s->w, s->h};

	a->n_slots = 0;
	snprintf(text, sizeof(text),
	    "vmscope needs %dx%d.\nThis terminal is %dx%d.\nMake it larger, or press q to quit.", APP_MIN_W, APP_MIN_H,
	    s->w, s->h);
	screen_wrap(s, &r, 0, STYLE_STRONG, text);
}
