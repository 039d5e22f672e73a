/*
 * The theory view: the built-in book (tui/book.h). An index, pages that scroll, and under each page "show me": Enter
 * opens the guest and the view in which that page can be seen happening. Where there is room, index and page stand side
 * by side.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sensitive.h"
#include "tui/app.h"
#include "tui/book.h"

#define TEXT_MAX_W 96 /* longer lines are hard to read */
#define INDEX_W 54    /* beside a page */
#define WIDE (INDEX_W + 2 + 80)

struct theory {
	int page, top, line; /* line: where a search stands */
	int index_top;
	bool reading; /* false: the cursor is in the index */
	int show;
	struct book_lines lines;
	int laid_page, laid_w; /* what lines is for */
	int h;		       /* lines of text that were drawn last */
	struct book_facts facts;
	struct cost_model cost[2];
	bool cost_tried;
};

static const struct book_page *page_at(int i)
{
	unsigned n;
	return &book_pages(&n)[i];
}

static int page_count(void)
{
	unsigned n;
	(void)book_pages(&n);
	return (int)n;
}

static int show_count(const struct book_page *p)
{
	int n = 0;
	while (n < BOOK_SHOWS_MAX && p->show[n].open)
		n++;
	return n;
}

/* --- what the pages need of the run ------------------------------------------------------------------------------ */

static void keep_cost(struct theory *t, const struct view_info *info, unsigned type)
{
	if (!info->cost || type < 1 || type > 2 || t->facts.cost[type - 1])
		return;
	t->cost[type - 1] = *info->cost;
	t->facts.cost[type - 1] = &t->cost[type - 1];
	t->laid_page = -1;
}

/* The cost profile of a type is known to a run of that type: the cheapest one is a model, which need not run. */
static void ask_cost(struct app *a, struct theory *t, enum vmm_type type)
{
	const struct app_config *cfg = app_config(a);
	struct engine_source src = {0};
	struct engine *e = NULL;
	struct errmsg why = {{0}};

	if (!cfg || !cfg->backend || t->facts.cost[type - 1])
		return;
	if (cfg->backend(cfg->arg, MODE_SIMULATE, type, &src, &why)) {
		snprintf(t->facts.cost_why, sizeof t->facts.cost_why, "%.150s", why.text);
		return;
	}
	if (engine_open(&src, false, &e, &why) == ERR_OK) {
		struct view_model *m = engine_model(e);
		view_model_lock(m);
		keep_cost(t, view_info(m), type);
		view_model_unlock(m);
		engine_close(e);
	} else
		snprintf(t->facts.cost_why, sizeof t->facts.cost_why, "%.150s", why.text);
	if (cfg->backend_done)
		cfg->backend_done(cfg->arg, &src);
}

static void go(struct app *a, struct theory *t, int page)
{
	t->page = page;
	t->top = 0;
	t->line = -1;
	t->show = 0;
	if (!t->cost_tried && strstr(page_at(page)->text, "@cost")) {
		t->cost_tried = true;
		ask_cost(a, t, VMM_TYPE_I);
		ask_cost(a, t, VMM_TYPE_II);
	}
}

static void layout(struct theory *t, int w)
{
	if (w > TEXT_MAX_W)
		w = TEXT_MAX_W;
	if (t->laid_page == t->page && t->laid_w == w)
		return;
	book_lines_free(&t->lines);
	book_layout(page_at(t->page), &t->facts, w, &t->lines);
	t->laid_page = t->page;
	t->laid_w = w;
}

static int text_width(int w)
{
	return w >= WIDE ? w - INDEX_W - 2 : w;
}

static bool same_verdict(const struct pg_verdict *a, const struct pg_verdict *b)
{
	return a->state == b->state && strcmp(a->evidence, b->evidence) == 0;
}

static bool same_verdicts(const struct view_verdicts *a, const struct view_verdicts *b)
{
	return same_verdict(&a->equivalence, &b->equivalence) && same_verdict(&a->safety, &b->safety) &&
	       same_verdict(&a->efficiency, &b->efficiency);
}

static void theory_collect(struct app *a, struct view *v, struct view_model *m, int w, int h)
{
	struct theory *t = v->state;
	const struct view_info *info = view_info(m);
	const struct view_verdicts *verdicts = view_verdicts(m);

	(void)a;
	(void)h;
	keep_cost(t, info, info->type);
	if (verdicts && !same_verdicts(verdicts, &t->facts.verdicts)) {
		t->facts.verdicts = *verdicts;
		t->laid_page = -1;
	}
	char run[sizeof t->facts.run] = "";
	if (info->guest[0])
		snprintf(run, sizeof run, "%.36s, %.12s/%s, %.14s", info->guest, info->mode,
		    info->type == 1 ? "I" : "II", info->controls);
	if (strcmp(run, t->facts.run) != 0) {
		memcpy(t->facts.run, run, sizeof run);
		t->laid_page = -1;
	}
	layout(t, text_width(w));
}

/* --- the picture ------------------------------------------------------------------------------------------------- */

/* The line of page i in the index: each chapter has a heading, and a blank line before it. */
static int index_line(int page)
{
	int line = -1;

	for (int i = 0; i <= page; i++) {
		if (i == 0 || strcmp(page_at(i)->chapter, page_at(i - 1)->chapter) != 0)
			line += i == 0 ? 1 : 2;
		line++;
	}
	return line;
}

static void draw_index(struct theory *t, struct screen *s, const struct rect *r)
{
	int at = index_line(t->page), n = index_line(page_count() - 1) + 1;

	if (at == 1)
		t->index_top = 0;
	else if (at < t->index_top + 1)
		t->index_top = at - 1;
	if (at >= t->index_top + r->h)
		t->index_top = at - r->h + 1;
	if (t->index_top > n - r->h)
		t->index_top = n > r->h ? n - r->h : 0;
	for (int i = 0; i < page_count(); i++) {
		const struct book_page *p = page_at(i);
		int y = index_line(i) - t->index_top;
		bool first = i == 0 || strcmp(p->chapter, page_at(i - 1)->chapter) != 0;
		if (first && y > 0 && y <= r->h)
			screen_text(s, r->x, r->y + y - 1, r->w, STYLE_STRONG, p->chapter);
		if (y < 0 || y >= r->h)
			continue;
		bool here = i == t->page;
		screen_printf(s, r->x, r->y + y, r->w, here && t->reading ? STYLE_STRONG : STYLE_LINK, "%s %2d  %s",
		    here ? ">" : " ", i + 1, p->title);
		if (here && !t->reading)
			screen_restyle(s, &(struct rect){r->x, r->y + y, r->w, 1}, STYLE_SELECTED);
	}
}

static void draw_matches(struct screen *s, int x, int y, int w, const char *text, const char *what)
{
	size_t n = what ? strlen(what) : 0;

	for (const char *hit = text; n && (hit = strcasestr(hit, what)); hit += n)
		if (hit - text < w)
			screen_restyle(s, &(struct rect){x + (int)(hit - text), y, (int)n, 1}, STYLE_MATCH);
}

static void draw_shows(const struct theory *t, struct screen *s, const struct rect *r)
{
	const struct book_page *p = page_at(t->page);
	struct rect in =
	    screen_section(s, r, show_count(p) > 1 ? "Show me (Enter; x: the other one)" : "Show me (Enter)");

	for (int i = 0; i < show_count(p); i++) {
		screen_printf(s, in.x, in.y + i, in.w, i == t->show ? STYLE_LINK : STYLE_NORMAL, "%s %s",
		    i == t->show ? ">" : " ", p->show[i].text);
		if (i == t->show && t->reading)
			screen_restyle(s, &(struct rect){in.x, in.y + i, in.w, 1}, STYLE_SELECTED);
	}
	screen_printf(s, in.x, in.y + show_count(p), in.w, STYLE_DIM, "  :%s  :%s  :%s", p->show[t->show].open,
	    p->show[t->show].run, p->show[t->show].view);
}

static void draw_page(struct app *a, struct theory *t, struct screen *s, const struct rect *r)
{
	const struct book_page *p = page_at(t->page);
	int shows = show_count(p) + 2, body = r->h - 1 - shows;
	char where[48];

	screen_printf(s, r->x, r->y, r->w - 18, STYLE_STRONG, "%d  %s", t->page + 1, p->title);
	t->h = body;
	if (t->top > (int)t->lines.n - body)
		t->top = (int)t->lines.n - body;
	if (t->top < 0)
		t->top = 0;
	int last = t->top + body < (int)t->lines.n ? t->top + body : (int)t->lines.n;
	if (body >= (int)t->lines.n)
		snprintf(where, sizeof where, "page %d of %d", t->page + 1, page_count());
	else
		snprintf(where, sizeof where, "lines %d-%d of %u", t->top + 1, last, t->lines.n);
	screen_right(s, r->x + r->w - 24, r->y, 24, STYLE_DIM, where);
	for (int i = t->top; i < last; i++) {
		const struct book_line *l = &t->lines.line[i];
		screen_text(s, r->x, r->y + 1 + i - t->top, r->w, l->style, l->text);
		draw_matches(s, r->x, r->y + 1 + i - t->top, r->w, l->text, app_search_text(a));
	}
	draw_shows(t, s, &(struct rect){r->x, r->y + r->h - shows, r->w, shows});
}

static void theory_draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	struct theory *t = v->state;

	if (r->w >= WIDE) {
		draw_index(t, s, &(struct rect){r->x, r->y, INDEX_W, r->h});
		screen_vline(s, r->x + INDEX_W, r->y, r->h);
		draw_page(a, t, s, &(struct rect){r->x + INDEX_W + 2, r->y, r->w - INDEX_W - 2, r->h});
	} else if (t->reading)
		draw_page(a, t, s, r);
	else
		draw_index(t, s, r);
}

/* --- the same as data -------------------------------------------------------------------------------------------- */

static json_t *table_json(void)
{
	json_t *rows = json_array();
	size_t n;
	const struct controls_profile *profiles = controls_profiles(&n);
	struct vm_controls *ctl = calloc(n, sizeof *ctl);
	struct errmsg why;

	for (size_t k = 0; ctl && k < n; k++)
		if (controls_set(&ctl[k], profiles[k].name, &why))
			n = k;
	for (unsigned i = 0; ctl && i < SENSITIVE_COUNT; i++) {
		const struct sensitive_row *row = &sensitive_rows()[i];
		json_t *traps = json_object();
		for (size_t k = 0; k < n; k++)
			json_object_set_new(
			    traps, profiles[k].name, json_string(sensitive_traps_name(sensitive_traps(row, &ctl[k]))));
		json_array_append_new(
		    rows, json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o}", "name", row->name, "form", row->form,
			      "group", sensitive_group_name((enum sensitive_group)row->group), "control",
			      sensitive_control_name(row), "control_sensitive", (row->sens & SENS_CONTROL) != 0,
			      "behaviour_sensitive", (row->sens & SENS_BEHAVIOUR) != 0, "traps", traps));
	}
	free(ctl);
	return rows;
}

static json_t *pages_json(void)
{
	json_t *all = json_array();

	for (int i = 0; i < page_count(); i++)
		json_array_append_new(all, json_pack("{s:i, s:s, s:s, s:s}", "number", i + 1, "name", page_at(i)->name,
					       "chapter", page_at(i)->chapter, "title", page_at(i)->title));
	return all;
}

static json_t *theory_json(struct app *a, struct view *v)
{
	struct theory *t = v->state;
	const struct book_page *p = page_at(t->page);
	json_t *lines = json_array(), *shows = json_array();

	(void)a;
	for (unsigned i = 0; i < t->lines.n; i++)
		json_array_append_new(lines, json_string(t->lines.line[i].text));
	for (int i = 0; i < show_count(p); i++)
		json_array_append_new(shows, json_pack("{s:s, s:s, s:s, s:s}", "text", p->show[i].text, "open",
						 p->show[i].open, "run", p->show[i].run, "view", p->show[i].view));
	return json_pack("{s:{s:i, s:s, s:s, s:s, s:s, s:o, s:o}, s:o, s:o}", "page", "number", t->page + 1, "name",
	    p->name, "chapter", p->chapter, "title", p->title, "sources", p->sources, "lines", lines, "show_me", shows,
	    "pages", pages_json(), "sensitive", table_json());
}

/* --- moving about ------------------------------------------------------------------------------------------------ */

static int clamp(int64_t n, int lo, int hi)
{
	return n < lo ? lo : n > hi ? hi : (int)n;
}

static void theory_move(struct app *a, struct view *v, int lines)
{
	struct theory *t = v->state;

	if (t->reading) {
		int last = (int)t->lines.n - t->h;
		t->top = clamp((int64_t)t->top + lines, 0, last > 0 ? last : 0);
	} else
		go(a, t, clamp((int64_t)t->page + lines, 0, page_count() - 1));
}

/* The next line of this page, from line `from` (exclusive) in direction dir, that contains text; -1: none. */
static int find_line(const struct theory *t, const char *text, int from, int dir)
{
	for (int i = from + dir; i >= 0 && i < (int)t->lines.n; i += dir)
		if (strcasestr(t->lines.line[i].text, text))
			return i;
	return -1;
}

static bool theory_search(struct app *a, struct view *v, const char *text, int dir)
{
	struct theory *t = v->state;
	int w = text_width(v->at.w > 0 ? v->at.w : APP_MIN_W), pages = page_count(), first = t->page;
	int from = t->reading && t->line >= 0 ? t->line : dir > 0 ? t->top - 1 : t->top + t->h;

	/* This page from here on, the others, and at last this one from its other end. */
	for (int k = 0; k <= pages; k++) {
		int page = ((first + k * dir) % pages + pages) % pages;
		t->page = page;
		layout(t, w);
		if (k > 0)
			from = dir > 0 ? -1 : (int)t->lines.n;
		bool title = k > 0 && strcasestr(page_at(page)->title, text);
		int line = find_line(t, text, from, dir);
		if (line < 0 && !title)
			continue;
		if (page != first)
			go(a, t, page);
		t->reading = true;
		t->line = line < 0 ? 0 : line;
		if (t->line < t->top || t->line >= t->top + t->h)
			t->top = t->line > t->h / 3 ? t->line - t->h / 3 : 0;
		return true;
	}
	t->page = first;
	return false;
}

static enum err show_me(struct app *a, struct theory *t, struct errmsg *why)
{
	const struct book_show *show = &page_at(t->page)->show[t->show];
	enum err e = app_command(a, show->open, why);

	if (!e)
		e = app_command(a, show->run, why);
	if (!e)
		e = app_command(a, show->view, why);
	if (!e)
		app_message(a, "Esc: back to the book. Page %d: %s", t->page + 1, show->text);
	return e;
}

static enum err theory_enter(struct app *a, struct view *v, struct errmsg *why)
{
	struct theory *t = v->state;

	if (t->reading)
		return show_me(a, t, why);
	t->reading = true;
	return ERR_OK;
}

static void theory_click(struct app *a, struct view *v, int x, int y)
{
	struct theory *t = v->state;
	bool wide = v->at.w >= WIDE;
	int shows = show_count(page_at(t->page));

	if (wide ? x < INDEX_W : !t->reading) {
		for (int i = 0; i < page_count(); i++)
			if (index_line(i) == y + t->index_top)
				go(a, t, i);
		t->reading = false;
	} else {
		int k = y - (v->at.h - shows - 1);
		t->reading = true;
		if (k >= 0 && k < shows)
			t->show = k;
	}
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static enum err cmd_page(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct theory *t = v->state;
	char *end;
	long n = strtol(args, &end, 10) - 1;

	if (end == args || *end)
		n = book_find(args);
	if (n < 0 || n >= page_count())
		return err_set(why, ERR_NOENT,
		    "page %.40s: the book has no such page: a number from 1 to %d, or a name (Tab)", args,
		    page_count());
	go(a, t, (int)n);
	t->reading = true;
	return ERR_OK;
}

static const char *page_name(struct app *a, struct view *v, unsigned i)
{
	(void)a;
	(void)v;
	return i < (unsigned)page_count() ? page_at((int)i)->name : NULL;
}

static enum err step_page(struct app *a, struct theory *t, int dir, struct errmsg *why)
{
	if (t->page + dir < 0 || t->page + dir >= page_count())
		return err_set(why, ERR_RANGE, "this is the %s page", dir < 0 ? "first" : "last");
	go(a, t, t->page + dir);
	t->reading = true;
	return ERR_OK;
}

static enum err cmd_page_next(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)args;
	return step_page(a, v->state, 1, why);
}

static enum err cmd_page_prev(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	(void)args;
	return step_page(a, v->state, -1, why);
}

static enum err cmd_index(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct theory *t = v->state;
	(void)a;
	(void)args;
	(void)why;
	t->reading = !t->reading;
	return ERR_OK;
}

/* Esc: out of the page into the index; from there as everywhere. */
static enum err cmd_contents(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct theory *t = v->state;

	(void)args;
	if (!t->reading || app_search_text(a))
		return app_command(a, "leave", why);
	t->reading = false;
	return ERR_OK;
}

static enum err cmd_show(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct theory *t = v->state;
	int n = show_count(page_at(t->page)), k = args[0] ? atoi(args) : t->show + 1;

	if (k < 1 || k > n)
		return err_set(why, ERR_RANGE, "show me %.20s: this page has %d", args, n);
	t->show = k - 1;
	return show_me(a, t, why);
}

static enum err cmd_show_next(struct app *a, struct view *v, const char *args, struct errmsg *why)
{
	struct theory *t = v->state;
	(void)a;
	(void)args;
	(void)why;
	t->show = (t->show + 1) % show_count(page_at(t->page));
	return ERR_OK;
}

static enum err theory_open(struct app *a, struct view *v, struct errmsg *why)
{
	struct theory *t = v->state;
	(void)a;
	(void)why;
	t->laid_page = -1;
	t->line = -1;
	t->h = 16;
	return ERR_OK;
}

static void theory_close(struct app *a, struct view *v)
{
	struct theory *t = v->state;
	(void)a;
	book_lines_free(&t->lines);
}

static const struct command commands[] = {
    {"page", "NAME|NUMBER", "Opens a page of the book.", cmd_page, page_name},
    {"page next", "", "The next page.", cmd_page_next, NULL},
    {"page prev", "", "The page before.", cmd_page_prev, NULL},
    {"index", "", "Between the index and the page.", cmd_index, NULL},
    {"contents", "", "Ends a search, or goes from a page to the index, or back one view.", cmd_contents, NULL},
    {"show me", "[N]", "Opens guest and view of the page's demonstration, in place of the guest that is loaded.",
	cmd_show, NULL},
    {"show next", "", "Chooses the page's other demonstration.", cmd_show_next, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct binding bindings[] = {
    {"Right", "page next", "Next"},
    {"Left", "page prev", "Prev"},
    {"i", "index", "Index"},
    {"x", "show next", "Other"},
    {"Esc", "contents", NULL},
    {NULL, NULL, NULL},
};

const struct view_ops view_theory_ops = {
    .name = "theory",
    .title = "Theory",
    .about = "A short book about virtualization; Enter shows what a page says on a running guest.",
    .commands = commands,
    .bindings = bindings,
    .state_size = sizeof(struct theory),
    .open = theory_open,
    .close = theory_close,
    .collect = theory_collect,
    .from_log = true,
    .draw = theory_draw,
    .json = theory_json,
    .move = theory_move,
    .search = theory_search,
    .enter = theory_enter,
    .click = theory_click,
};
