/*
 * A view of a text: help, lists of breakpoints. Lines that begin in the first column are headings. The lines are
 * cut at the width.
 */
#include "tui/app_impl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct pager {
	char *text;
	char **line;	   /* into text */
	int n, top, found; /* found: the line of the last search; -1: none */
};

static void pager_free(struct pager *p)
{
	free(p->text);
	free(p->line);
	p->text = NULL;
	p->line = NULL;
	p->n = p->top = 0;
	p->found = -1;
}

static bool pager_set(struct pager *p, char *text)
{
	int n = 0;

	pager_free(p);
	for (const char *c = text; *c; c++)
		n += *c == '\n';
	p->line = malloc(((size_t)n + 1) * sizeof(*p->line));
	if (!p->line)
		return false;
	p->text = text;
	for (char *c = text, *end; *c; c = end) {
		p->line[p->n++] = c;
		end = c + strcspn(c, "\n");
		if (*end)
			*end++ = '\0';
	}
	return true;
}

static void pager_close(struct app *a, struct view *v)
{
	(void)a;
	pager_free(v->state);
}

static void pager_move(struct app *a, struct view *v, int lines)
{
	struct pager *p = v->state;
	int last = p->n > v->at.h ? p->n - v->at.h : 0;

	(void)a;
	if (lines == INT_MIN || lines < -p->top)
		p->top = 0;
	else if (lines == INT_MAX || lines > last - p->top)
		p->top = last;
	else
		p->top += lines;
}

static void pager_draw(struct app *a, struct view *v, struct screen *s, const struct rect *r)
{
	struct pager *p = v->state;

	pager_move(a, v, 0);
	for (int i = 0; i < r->h && p->top + i < p->n; i++) {
		const char *line = p->line[p->top + i];

		screen_text(s, r->x + 1, r->y + i, r->w - 1, *line == ' ' ? STYLE_NORMAL : STYLE_STRONG, line);
		if (p->top + i == p->found)
			screen_restyle(s, &(struct rect){r->x, r->y + i, r->w, 1}, STYLE_MATCH);
	}
	if (p->n > r->h)
		screen_printf(s, r->x + r->w - 6, r->y + r->h - 1, 5, STYLE_DIM, "%3d%%",
		    p->top + r->h >= p->n ? 100 : (p->top + r->h) * 100 / p->n);
}

static bool pager_search(struct app *a, struct view *v, const char *text, int dir)
{
	struct pager *p = v->state;
	int from = p->found >= p->top && p->found < p->top + v->at.h ? p->found : dir > 0 ? p->top - 1 : p->top + 1;

	(void)a;
	for (int i = from + dir; i >= 0 && i < p->n; i += dir)
		if (strcasestr(p->line[i], text)) {
			p->found = i;
			if (i < p->top || i >= p->top + v->at.h)
				p->top = i > 2 ? i - 2 : 0;
			return true;
		}
	return false;
}

static json_t *pager_json(struct app *a, struct view *v)
{
	struct pager *p = v->state;
	json_t *lines = json_array();

	(void)a;
	for (int i = 0; i < p->n; i++)
		json_array_append_new(lines, json_string(p->line[i]));
	return json_pack("{s:o}", "lines", lines);
}

const struct view_ops app_pager_ops = {
    .name = "text",
    .title = "Help",
    .about = "A text.",
    .state_size = sizeof(struct pager),
    .close = pager_close,
    .draw = pager_draw,
    .json = pager_json,
    .move = pager_move,
    .search = pager_search,
};

enum err app_pager_show(struct app *a, char *text, struct errmsg *why)
{
	enum err e = ERR_NOMEM;

	if (text)
		e = app_start(a, &a->pager, why);
	if (e == ERR_OK && pager_set(a->pager.state, text))
		return app_show(a, &a->pager, true, why);
	free(text);
	return e == ERR_OK || e == ERR_NOMEM ? err_set(why, ERR_NOMEM, "no memory for this text") : e;
}
