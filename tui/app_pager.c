/*
 * A view of a text: help, lists of breakpoints. Lines that begin in the first column are headings. What is wider than
 * the screen goes on in the next row, below the last column of the line (as its blanks show it).
 */
#include "tui/app_impl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct row {
	const char *text; /* into the pager's */
	size_t n;
	int indent; /* of a row that goes on */
};

struct pager {
	char *text;
	struct row *row;
	int n, room, w; /* w: the width that the rows are for */
	int top, found; /* found: the row of the last search; -1: none */
};

static void pager_close(struct app *a, struct view *v)
{
	struct pager *p = v->state;

	(void)a;
	free(p->text);
	free(p->row);
	*p = (struct pager){.found = -1};
}

/* --- rows --------------------------------------------------------------------------------------------------------- */
static bool add(struct pager *p, struct row r)
{
	if (p->n == p->room) {
		int room = p->room ? 2 * p->room : 128;
		struct row *more = realloc(p->row, (size_t)room * sizeof(*more));

		if (!more)
			return false;
		p->row = more;
		p->room = room;
	}
	p->row[p->n++] = r;
	return true;
}

/* Where the last column of a line begins: behind its last two blanks. */
static int last_column(const char *text, size_t n, int w)
{
	size_t at = 0;

	for (size_t i = 2; i < n; i++)
		if (text[i] != ' ' && text[i - 1] == ' ' && text[i - 2] == ' ')
			at = i;
	return (int)at < w * 2 / 3 ? (int)at : 2;
}

/* How much of the text fits into w columns, cut at a blank where there is one. */
static size_t fitting(const char *text, size_t n, int w)
{
	size_t at = 0, blank = 0;

	for (int col = 0; at < n && (col < w || !at); col++) {
		if (text[at] == ' ')
			blank = at;
		at = screen_next(text, n, at);
	}
	return at == n || text[at] == ' ' || !blank ? at : blank;
}

static void lay_out(struct pager *p, int w)
{
	const char *line = p->text;

	p->n = 0;
	p->w = w;
	while (*line) {
		size_t n = strcspn(line, "\n");
		struct row r = {line, n, 0};
		int indent = last_column(line, n, w);

		/* A row at a time; blanks where it was cut are not shown. */
		do {
			r.n = fitting(r.text, n, w - r.indent);
			if (!add(p, r))
				return;
			n -= r.n;
			r.text += r.n;
			for (; n && *r.text == ' '; n--)
				r.text++;
			r.indent = indent;
		} while (n);
		line = r.text + (*r.text == '\n');
	}
}

/* --- the view ----------------------------------------------------------------------------------------------------- */
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
	bool heading = false;

	if (p->w != r->w - 2) {
		lay_out(p, r->w - 2);
		p->found = -1;
	}
	pager_move(a, v, 0);
	for (int i = 0; i < r->h && p->top + i < p->n; i++) {
		const struct row *row = &p->row[p->top + i];

		if (!row->indent)
			heading = row->n && *row->text != ' ';
		screen_textn(s, r->x + 1 + row->indent, r->y + i, r->w - 2 - row->indent,
		    heading ? STYLE_STRONG : STYLE_NORMAL, row->text, row->n);
		if (p->top + i == p->found)
			screen_restyle(s, &(struct rect){r->x, r->y + i, r->w, 1}, STYLE_MATCH);
	}
	if (p->n > r->h)
		screen_printf(s, r->x + r->w - 6, r->y + r->h - 1, 5, STYLE_DIM, "%3d%%",
		    p->top + r->h >= p->n ? 100 : (p->top + r->h) * 100 / p->n);
}

static bool contains(const struct row *row, const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i + n <= row->n; i++)
		if (!strncasecmp(row->text + i, text, n))
			return true;
	return false;
}

static bool pager_search(struct app *a, struct view *v, const char *text, int dir)
{
	struct pager *p = v->state;
	bool seen = p->found >= p->top && p->found < p->top + v->at.h;
	int from = seen ? p->found : dir > 0 ? p->top - 1 : p->top + 1;

	(void)a;
	for (int i = from + dir; i >= 0 && i < p->n; i += dir)
		if (contains(&p->row[i], text)) {
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
	for (const char *line = p->text; line && *line;) {
		size_t n = strcspn(line, "\n");

		json_array_append_new(lines, json_stringn(line, n));
		line += n + (line[n] == '\n');
	}
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
	enum err e = text ? app_start(a, &a->pager, why) : err_set(why, ERR_NOMEM, "no memory for this text");

	if (e != ERR_OK) {
		free(text);
		return e;
	}
	pager_close(a, &a->pager);
	((struct pager *)a->pager.state)->text = text;
	return app_show(a, &a->pager, true, why);
}
