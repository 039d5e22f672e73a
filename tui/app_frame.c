/*
 * What is around a view: title, message, function-key bar. See app.h for the rows.
 */
#include "tui/app_impl.h"

#include <stdio.h>
#include <string.h>

/* --- title ------------------------------------------------------------------------------------------------------ */
/* What the title says of the run, from the left. Where not all of it fits, whole parts are left out: a number that is
 * cut in two would be another number. */
enum title_part {
	PART_GUEST,
	PART_BACKEND,
	PART_CONTROLS,
	PART_RUN,
	PART_PAST,
	PART_EXITS,
	PART_INSNS,
	PART_CPU,
	PART_COUNT
};

struct title {
	char text[PART_COUNT][96]; /* "": not said */
	bool marked;		   /* the glyph of the state stands before PART_RUN */
	enum glyph glyph;
};

static void say_run(struct app *a, struct title *t)
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

	t->marked = a->info.source != VIEW_TRACE;
	t->glyph = states[run].glyph;
	snprintf(t->text[PART_RUN], sizeof(t->text[0]), "%s%s", t->marked ? states[run].word : "recorded",
	    t->marked && a->turbo ? " (turbo)" : "");
}

static void say_where(const struct app *a, struct title *t)
{
	const struct view_now *n = &a->now;
	const size_t room = sizeof(t->text[0]);
	char b[16];

	if (n->exits < n->seen_exits || n->insns < n->seen_insns)
		snprintf(t->text[PART_PAST], room, "in the past");
	snprintf(t->text[PART_EXITS], room, "%s exit%s", fmt_count(n->exits, b), n->exits == 1 ? "" : "s");
	if (a->info.counts_insns)
		snprintf(t->text[PART_INSNS], room, "%s insn%s", fmt_count(n->insns, b), n->insns == 1 ? "" : "s");
	if (a->info.n_vcpus > 1)
		snprintf(t->text[PART_CPU], room, "cpu %u", a->vcpu);
}

static int title_columns(const struct title *t)
{
	int n = t->marked ? 2 : 0;

	for (unsigned i = 0; i < PART_COUNT; i++)
		n += t->text[i][0] ? screen_columns(t->text[i]) + 2 : 0;
	return n;
}

static void put_title(struct screen *s, struct title *t, int end)
{
	/* The first to go: it does not change while the guest runs. */
	static const enum title_part drop[] = {PART_CONTROLS, PART_BACKEND, PART_CPU, PART_GUEST, PART_INSNS};
	int x = 1;

	for (unsigned i = 0; i < ARRAY_LEN(drop) && x + title_columns(t) > end; i++)
		t->text[drop[i]][0] = '\0';
	for (unsigned i = 0; i < PART_COUNT && x < end; i++) {
		if (!t->text[i][0])
			continue;
		if (i == PART_RUN && t->marked) {
			screen_put(s, x, 0, screen_glyph(s, t->glyph), STYLE_TITLE);
			x += 2;
		}
		x += screen_text(s, x, 0, end - x, STYLE_TITLE, t->text[i]) + 2;
	}
}

void app_draw_title(struct app *a, struct screen *s)
{
	static const char *const types[] = {"", "/I", "/II"};
	struct view *v = app_top(a);
	const struct view_info *i = &a->info;
	struct title t = {0};
	char text[64] = "";
	int n;

	screen_fill(s, &(struct rect){0, 0, s->w, 1}, ' ', STYLE_TITLE);
	if (v)
		snprintf(text, sizeof(text), "%s%s ", a->frozen ? "FROZEN  " : "", v->ops->title);
	n = screen_columns(text);
	if (!a->have_model) {
		snprintf(t.text[PART_GUEST], sizeof(t.text[0]), "vmscope");
	} else {
		snprintf(t.text[PART_GUEST], sizeof(t.text[0]), "%s", i->guest[0] ? i->guest : "(no name)");
		if (i->mode[0])
			snprintf(t.text[PART_BACKEND], sizeof(t.text[0]), "%s%s", i->mode,
			    i->type < 3 ? types[i->type] : "");
		snprintf(t.text[PART_CONTROLS], sizeof(t.text[0]), "%s", i->mode[0] ? i->controls : "");
		say_run(a, &t);
		say_where(a, &t);
	}
	put_title(s, &t, s->w - n);
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
	else if (a->have_model && !app_running(a) && a->now.run == VIEW_ENDED && a->info.source == VIEW_LIVE &&
		 !a->now.stop[0])
		snprintf(text, n, "the guest has ended   %sR: again from the first instruction",
		    a->now.can_back ? "U: back an exit   " : "");
	else if (a->have_model && !app_running(a))
		snprintf(text, n, "%s", a->now.stop);
}

/* What is too long for its row goes on in the next one, where the function keys are, until the next key. */
static void put_message(struct app *a, struct screen *s, int y)
{
	if (screen_columns(a->message) > s->w - 1) {
		screen_fill(s, &(struct rect){0, y + 1, s->w, 1}, ' ', STYLE_NORMAL);
		a->n_slots = 0;
	}
	screen_wrap(s, &(struct rect){1, y, s->w - 1, 2}, 0, a->message_error ? STYLE_ERROR : STYLE_NORMAL, a->message);
}

void app_draw_message(struct app *a, struct screen *s)
{
	int y = s->h - 2;
	char text[400];

	if (a->line.kind != LINE_NONE) {
		line_draw(&a->line, s, 0, y, s->w);
	} else if (a->message[0]) {
		put_message(a, s, y);
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

/* Whole words; an ellipsis when there are more. */
static void words_row(struct app *a, struct screen *s)
{
	const struct line_words *w = &a->line.words;
	unsigned i;
	int x = 1;

	for (i = 0; i < w->n; i++) {
		int n = screen_columns(w->word[i]);

		if (x + n + (i + 1 < w->n || w->more ? 5 : 0) > s->w)
			break;
		x += screen_text(s, x, s->h - 1, n, STYLE_BAR, w->word[i]) + 2;
	}
	if (i < w->n || w->more)
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
