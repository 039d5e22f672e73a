/*
 * The picture of the modes view, and its JSON twin. The main run is the left column; what the others have is to the
 * right of it, each line one exit.
 */
#include <stdio.h>
#include <string.h>

#include "tui/view_modes.h"
#include "tui/stats_rows.h"

#define LEFT_W 26    /* number and reason */
#define NUMBER_W 8   /* of it: the mark, six digits, a blank */
#define NARROW_W 23  /* the same, with a third column on a narrow screen */
#define COMPACT_W 22 /* cells below this leave out what can be guessed */
#define DETAIL_H 5
#define JSON_LINES 4096

/* --- sentences --------------------------------------------------------------------------------------------------- */

bool modes_line_differs(const struct modes *t, const struct modes_line *l)
{
	for (unsigned c = 0; c < t->n; c++)
		if (l->state[c] == MODES_DIFFER || l->state[c] == MODES_MISSING || l->state[c] == MODES_EXTRA)
			return true;
	return false;
}

static const struct modes_item *sub_item(const struct modes *t, const struct modes_line *l, unsigned c)
{
	return l->sub[c] >= 0 ? &t->column[c].track.items[l->sub[c]] : NULL;
}

const struct modes_item *modes_line_item(const struct modes *t, const struct modes_line *l)
{
	if (l->main >= 0)
		return &t->main.items[l->main];
	for (unsigned c = 0; c < t->n; c++)
		if (l->sub[c] >= 0)
			return sub_item(t, l, c);
	return NULL;
}

int64_t modes_first_line(const struct modes *t, unsigned c)
{
	const struct modes_pair *p = &t->column[c].pair;

	if (p->first < 0)
		return -1;
	for (size_t i = (size_t)p->first; i < t->n_lines; i++) /* lines are at least as many as rows */
		if (t->lines[i].state[c] == MODES_DIFFER || t->lines[i].state[c] == MODES_MISSING ||
		    t->lines[i].state[c] == MODES_EXTRA)
			return (int64_t)i;
	return -1;
}

bool modes_sentence(const struct modes *t, const struct modes_line *l, unsigned c, char *buf, size_t n)
{
	const struct modes_column *col = &t->column[c];
	const struct modes_item *a = l->main >= 0 ? &t->main.items[l->main] : NULL, *b = sub_item(t, l, c);
	struct modes_difference d;

	switch (l->state[c]) {
	case MODES_DIFFER:
		if (!a || !b || !modes_differ(&t->main, a, &col->track, b, &d))
			return false;
		snprintf(buf, n, "%s differs: %s in %s, %s in %s", d.field, d.main, t->label, d.sub, col->label);
		return true;
	case MODES_MISSING:
		snprintf(buf, n, "%s lacks this exit", col->label);
		return true;
	case MODES_EXTRA:
		snprintf(buf, n, "%s has an exit here that %s does not have", col->label, t->label);
		return true;
	case MODES_DESIGN:
		snprintf(buf, n, "no difference: the profile %s has no such exit",
		    a ? col->track.profile_name : t->main.profile_name);
		return true;
	default:
		return false;
	}
}

static void column_status(const struct modes *t, unsigned c, char *buf, size_t n)
{
	const struct modes_column *col = &t->column[c];
	int64_t first = modes_first_line(t, c);

	if (!col->e || col->why[0])
		snprintf(buf, n, "not here");
	else if (first >= 0) {
		const struct modes_item *i = modes_line_item(t, &t->lines[first]);
		snprintf(buf, n, "differs from #%llu", i ? (unsigned long long)i->number : 0ull);
	} else
		snprintf(buf, n, "%zu equal%s", col->pair.equal,
		    col->track.ended	? ", ended"
		    : col->track.full	? ", no more kept"
		    : col->out_of_time	? ", time over"
		    : column_works(col) ? ", runs"
					: "");
}

/* --- columns ----------------------------------------------------------------------------------------------------- */

/* Where things stand on this screen. */
struct layout {
	int left, cell; /* number and reason; each column */
};

static struct layout layout_of(const struct modes *t, int w)
{
	int left = w < 100 && t->n > 1 ? NARROW_W : LEFT_W;
	return (struct layout){left, (w - left) / (int)(t->n + 1)};
}

/* "out 0x3f8 <- 0x41" as "out 3f8<-41". */
static void squeeze(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (p[0] == '0' && p[1] == 'x') {
			p++;
			continue;
		}
		if (p[0] == ' ' && (p[1] == '<' || p[1] == '='))
			continue;
		*to++ = *p;
		if ((p[0] == '=' || p[0] == '-') && p[1] == ' ')
			p++;
	}
	*to = 0;
}

static void cell_text(const struct modes_item *i, int w, char *buf, size_t n)
{
	modes_item_text(i, buf, n);
	if (w < COMPACT_W)
		squeeze(buf);
}

static void draw_cell(
    const struct modes *t, const struct modes_line *l, unsigned c, struct screen *s, int x, int y, int w)
{
	static const struct {
		enum glyph glyph;
		enum style style;
		const char *word; /* instead of the exit's text */
	} looks[] = {
	    [MODES_EQUAL] = {GLYPH_HOLDS, STYLE_NORMAL, NULL},
	    [MODES_DIFFER] = {GLYPH_VIOLATED, STYLE_VIOLATED, NULL},
	    [MODES_MISSING] = {GLYPH_VIOLATED, STYLE_VIOLATED, "missing"},
	    [MODES_EXTRA] = {GLYPH_VIOLATED, STYLE_VIOLATED, NULL},
	    [MODES_DESIGN] = {GLYPH_NA, STYLE_DIM, "no exit here"},
	};
	const struct modes_item *i = sub_item(t, l, c);
	char text[96];

	if (l->state[c] == LINE_PENDING) {
		/* An exit that only another column has is nothing to wait for. */
		if (l->main >= 0)
			screen_text(
			    s, x + 2, y, w - 3, STYLE_DIM, t->column[c].pair.cut ? "not compared" : "not there yet");
		return;
	}
	if (i)
		cell_text(i, w, text, sizeof text);
	screen_put(s, x, y, screen_glyph(s, looks[l->state[c]].glyph), looks[l->state[c]].style);
	screen_text(s, x + 2, y, w - 3, looks[l->state[c]].style, i ? text : looks[l->state[c]].word);
}

static void draw_line(const struct modes *t, size_t k, struct screen *s, int x, int y, const struct layout *at)
{
	const struct modes_line *l = &t->lines[k];
	const struct modes_item *i = modes_line_item(t, l), *a = l->main >= 0 ? i : NULL;
	bool first = false;
	char text[96];

	for (unsigned c = 0; c < t->n; c++)
		first |= modes_first_line(t, c) == (int64_t)k;
	if (!i)
		return;
	screen_printf(s, x, y, NUMBER_W - 1, first ? STYLE_VIOLATED : STYLE_DIM, "%s%llu", first ? "!" : " ",
	    (unsigned long long)i->number);
	/* Behind where the run stands now, after going back. */
	enum style style = a && a->number < t->position ? STYLE_NORMAL : STYLE_DIM;
	screen_text(s, x + NUMBER_W, y, at->left - NUMBER_W - 1, style, exit_name(i->e.reason));
	if (a)
		cell_text(a, at->cell + 2, text, sizeof text);
	screen_text(s, x + at->left, y, at->cell - 1, style, a ? text : "no exit here");
	for (unsigned c = 0; c < t->n; c++)
		draw_cell(t, l, c, s, x + at->left + (int)(c + 1) * at->cell, y, at->cell);
}

/* "emulate/II vtx-ept", as far as there is room. */
static void draw_head(struct screen *s, int x, int y, int w, const char *label, const char *profile)
{
	bool both = (int)(strlen(label) + 1 + strlen(profile)) <= w;
	screen_printf(s, x, y, w, STYLE_STRONG, both ? "%s %s" : "%s", label, profile);
}

static void draw_heads(const struct modes *t, struct screen *s, const struct rect *r, const struct layout *at)
{
	char text[64];

	screen_text(s, r->x, r->y, at->left - 1, STYLE_STRONG, " exit   reason");
	draw_head(s, r->x + at->left, r->y, at->cell - 1, t->label, t->controls);
	bool past = t->main.n && t->position <= t->main.items[t->main.n - 1].number;
	screen_printf(s, r->x + at->left, r->y + 1, at->cell - 1, STYLE_DIM,
	    past ? "this run: at #%llu" : "this run: %llu",
	    past ? (unsigned long long)t->position : (unsigned long long)t->main.n);
	for (unsigned c = 0; c < t->n; c++) {
		const struct modes_column *col = &t->column[c];
		int x = r->x + at->left + (int)(c + 1) * at->cell;
		bool differs = modes_first_line(t, c) >= 0;
		draw_head(s, x, r->y, at->cell - 1, col->label, col->track.profile_name);
		column_status(t, c, text, sizeof text);
		screen_put(s, x, r->y + 1,
		    screen_glyph(s, differs	      ? GLYPH_VIOLATED
				    : col->pair.equal ? GLYPH_HOLDS
						      : GLYPH_UNKNOWN),
		    differs ? STYLE_VIOLATED : STYLE_DIM);
		screen_text(s, x + 2, r->y + 1, at->cell - 3, differs ? STYLE_VIOLATED : STYLE_DIM, text);
	}
}

static int say(struct screen *s, const struct rect *r, int y, enum style style, const char *text)
{
	if (y >= r->h || !text[0])
		return y;
	return y + screen_wrap(s, &(struct rect){r->x, r->y + y, r->w, r->h - y}, 0, style, text);
}

static void say_here(const struct modes *t, const struct modes_line *l, char *buf, size_t n)
{
	const struct modes_item *i = modes_line_item(t, l);
	char text[96], rip[40] = "a model has no rip";
	unsigned equal = 0;

	if (!i)
		return;
	for (unsigned c = 0; c < t->n; c++)
		equal += l->state[c] == MODES_EQUAL;
	modes_item_text(i, text, sizeof text);
	if (i->has_rip)
		snprintf(rip, sizeof rip, "rip 0x%llx", (unsigned long long)i->e.rip);
	snprintf(buf, n, "#%llu  %s  %s  (%s)%s", (unsigned long long)i->number, exit_name(i->e.reason), text, rip,
	    t->n && equal == t->n ? ": equal" : "");
}

/* What the cursor is on, and the sum of it. */
static void draw_detail(const struct modes *t, struct screen *s, const struct rect *r)
{
	struct rect in = screen_section(s, r, "Here");
	char text[400] = "";
	int y = 0;

	if (t->cursor < (int64_t)t->n_lines) {
		const struct modes_line *l = &t->lines[t->cursor];
		say_here(t, l, text, sizeof text);
		y = say(s, &in, y, STYLE_NORMAL, text);
		for (unsigned c = 0; c < t->n; c++)
			if (modes_sentence(t, l, c, text, sizeof text))
				y = say(s, &in, y, l->state[c] == MODES_DESIGN ? STYLE_DIM : STYLE_VIOLATED, text);
	}
	y = say(s, &in, y, STYLE_DIM, t->note);
	if (t->main.others) {
		snprintf(text, sizeof text,
		    "%llu timer and interrupt exit%s left out: the guest's instructions do not decide them",
		    (unsigned long long)t->main.others, t->main.others == 1 ? " is" : "s are");
		(void)say(s, &in, y, STYLE_DIM, text);
	}
}

static void draw_empty(const struct modes *t, struct screen *s, const struct rect *r)
{
	const char *text =
	    t->main.late ? "The log of this run does not hold its first exits any more, so nothing can be "
			   "laid beside it from the beginning. Restart the run with this view open."
	    : t->recorded
		? "This trace holds no exit that the guest's own instructions decide: there is nothing to lay "
		  "beside another backend."
	    : t->has_run ? "Nothing has exited yet: step, or run. Each exit of this run will stand here, with the "
			   "exit of each other backend beside it."
			 : "No guest is loaded.";

	(void)screen_wrap(s, r, 0, STYLE_NORMAL, text);
}

static void draw_columns(struct modes *t, struct screen *s, const struct rect *r)
{
	struct layout at = layout_of(t, r->w);
	int body = r->h - 2 - DETAIL_H;

	draw_heads(t, s, r, &at);
	t->page = body;
	if (t->cursor < t->top)
		t->top = t->cursor;
	if (t->cursor >= t->top + body)
		t->top = t->cursor - body + 1;
	if (t->top > (int64_t)t->n_lines - body)
		t->top = (int64_t)t->n_lines > body ? (int64_t)t->n_lines - body : 0;
	for (int y = 0; y < body && t->top + y < (int64_t)t->n_lines; y++) {
		draw_line(t, (size_t)(t->top + y), s, r->x, r->y + 2 + y, &at);
		if (t->top + y == t->cursor)
			screen_restyle(s, &(struct rect){r->x, r->y + 2 + y, at.left - 1, 1}, STYLE_SELECTED);
	}
	if (!t->n_lines)
		draw_empty(t, s, &(struct rect){r->x + 1, r->y + 3, at.left + at.cell - 2, body - 1});
	for (unsigned c = 0; c < t->n; c++)
		if (t->column[c].why[0]) {
			struct rect in = {r->x + at.left + (int)(c + 1) * at.cell, r->y + 2, at.cell - 1, body};
			screen_fill(s, &in, ' ', STYLE_NORMAL);
			(void)screen_wrap(s, &in, 0, STYLE_UNKNOWN, t->column[c].why);
		}
	draw_detail(t, s, &(struct rect){r->x, r->y + r->h - DETAIL_H, r->w, DETAIL_H});
}

/* --- matrix ------------------------------------------------------------------------------------------------------ */

static void draw_verdict(
    struct screen *s, int x, int y, int w, const struct modes_cell *cell, const struct pg_verdict *v)
{
	static const enum glyph glyphs[] = {GLYPH_UNKNOWN, GLYPH_HOLDS, GLYPH_VIOLATED, GLYPH_NA};
	static const enum style styles[] = {STYLE_UNKNOWN, STYLE_HOLDS, STYLE_VIOLATED, STYLE_DIM};

	if (cell->state != CELL_DONE) {
		screen_text(s, x, y, w, STYLE_DIM, cell_state_name(cell->state));
		return;
	}
	screen_put(s, x, y, screen_glyph(s, glyphs[v->state]), styles[v->state]);
	screen_text(s, x + 2, y, w - 2, styles[v->state], pg_state_name(v->state));
}

static int draw_evidence(struct screen *s, const struct rect *r, int y, const char *what, const char *text)
{
	char line[600];

	if (!text[0] || y >= r->h)
		return y;
	snprintf(line, sizeof line, "%s: %s", what, text);
	return y + screen_wrap(s, &(struct rect){r->x, r->y + y, r->w, r->h - y}, 0, STYLE_NORMAL, line);
}

static void draw_cell_evidence(struct screen *s, const struct rect *r, const struct modes_cell *cell)
{
	int y = 0;

	if (cell->state == CELL_NONE) {
		(void)draw_evidence(s, r, 0, "not on this machine", cell->note);
		return;
	}
	if (cell->state != CELL_DONE)
		return;
	y = draw_evidence(s, r, y, "equivalence", cell->equivalence.evidence);
	y = draw_evidence(s, r, y, "resource control", cell->safety.evidence);
	y = draw_evidence(s, r, y, "efficiency", cell->efficiency.evidence);
	(void)draw_evidence(s, r, y, "limit", cell->note);
}

static void draw_matrix(struct modes *t, struct screen *s, const struct rect *r)
{
	static const char *const heads[] = {"equivalence", "resource control", "efficiency"};
	bool tall = r->h >= 40;
	int rows = tall ? (r->h - 2) / MATRIX_CELLS : 1, w = 18;

	screen_text(s, r->x + 1, r->y, 15, STYLE_STRONG, "backend");
	for (int k = 0; k < 3; k++)
		screen_text(s, r->x + 16 + k * w, r->y, w - 1, STYLE_STRONG, heads[k]);
	screen_text(s, r->x + 16 + 3 * w, r->y, 10, STYLE_STRONG, "exits");
	for (int i = 0; i < MATRIX_CELLS; i++) {
		const struct modes_cell *cell = matrix_shown_cell(t, i);
		const struct pg_verdict *v[] = {&cell->equivalence, &cell->safety, &cell->efficiency};
		int y = r->y + 1 + i * rows;
		screen_text(s, r->x + 1, y, 14, STYLE_NORMAL, cell->label);
		for (int k = 0; k < 3; k++)
			draw_verdict(s, r->x + 16 + k * w, y, w - 1, cell, v[k]);
		if (cell->state == CELL_DONE)
			screen_printf(
			    s, r->x + 16 + 3 * w, y, 10, STYLE_NORMAL, "%llu", (unsigned long long)cell->exits);
		if (i == t->matrix_cursor)
			screen_restyle(s, &(struct rect){r->x, y, 15, 1}, STYLE_SELECTED);
		if (tall)
			draw_cell_evidence(s, &(struct rect){r->x + 16, y + 1, r->w - 17, rows - 1}, cell);
	}
	if (tall)
		return;
	const struct modes_cell *cell = matrix_shown_cell(t, t->matrix_cursor);
	struct rect in = screen_section(s, &(struct rect){r->x, r->y + 8, r->w, r->h - 8}, cell->label);
	draw_cell_evidence(s, &in, cell);
}

void modes_draw(struct app *a, struct modes *t, struct screen *s, const struct rect *r)
{
	(void)a;
	if (t->matrix_shown)
		draw_matrix(t, s, r);
	else
		draw_columns(t, s, r);
}

/* --- the same as data -------------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	return text[0] ? text_json(text) : json_null();
}

static json_t *column_json(const struct modes *t, unsigned c)
{
	const struct modes_column *col = &t->column[c];
	int64_t first = modes_first_line(t, c);
	char text[400] = "";
	const struct modes_item *i = first >= 0 ? modes_line_item(t, &t->lines[first]) : NULL;

	if (first >= 0)
		(void)modes_sentence(t, &t->lines[first], c, text, sizeof text);
	return json_pack("{s:s, s:b, s:o, s:s, s:I, s:I, s:b, s:b, s:o, s:o}", "backend", col->label, "available",
	    col->e && !col->why[0], "why_not", text_or_null(col->why), "controls", col->track.profile_name, "exits",
	    (json_int_t)col->track.n, "equal", (json_int_t)col->pair.equal, "ended", col->track.ended, "limit",
	    col->out_of_time || col->track.full, "first_difference",
	    i ? json_integer((json_int_t)i->number) : json_null(), "difference", text_or_null(text));
}

static json_t *line_json(const struct modes *t, const struct modes_line *l)
{
	const struct modes_item *i = modes_line_item(t, l);
	json_t *columns = json_array();
	char text[96] = "";

	for (unsigned c = 0; c < t->n; c++) {
		const struct modes_item *b = sub_item(t, l, c);
		if (b)
			modes_item_text(b, text, sizeof text);
		json_array_append_new(columns,
		    json_pack("{s:s, s:o}", "state",
			l->state[c] == LINE_PENDING ? "not compared" : modes_state_name((enum modes_state)l->state[c]),
			"text", b ? text_json(text) : json_null()));
	}
	if (l->main >= 0)
		modes_item_text(&t->main.items[l->main], text, sizeof text);
	return json_pack("{s:I, s:I, s:s, s:o, s:o}", "exit", i ? (json_int_t)i->number : -1, "reason",
	    i ? (json_int_t)i->e.reason : -1, "name", i ? exit_name(i->e.reason) : "", "text",
	    l->main >= 0 ? text_json(text) : json_null(), "columns", columns);
}

static json_t *verdict_json(const struct modes_cell *cell, const struct pg_verdict *v)
{
	if (cell->state != CELL_DONE)
		return json_null();
	return json_pack("{s:s, s:o}", "state", pg_state_name(v->state), "evidence", text_or_null(v->evidence));
}

static json_t *matrix_json(const struct modes *t)
{
	json_t *cells = json_array();

	for (int i = 0; i < MATRIX_CELLS; i++) {
		const struct modes_cell *cell = matrix_shown_cell(t, i);
		json_array_append_new(
		    cells, json_pack("{s:s, s:s, s:o, s:I, s:o, s:o, s:o}", "backend", cell->label, "state",
			       cell_state_name(cell->state), "note", text_or_null(cell->note), "exits",
			       (json_int_t)cell->exits, "equivalence", verdict_json(cell, &cell->equivalence), "safety",
			       verdict_json(cell, &cell->safety), "efficiency", verdict_json(cell, &cell->efficiency)));
	}
	return cells;
}

json_t *modes_json(struct modes *t)
{
	json_t *columns = json_array(), *lines = json_array();
	size_t n = t->n_lines < JSON_LINES ? t->n_lines : JSON_LINES;

	for (unsigned c = 0; c < t->n; c++)
		json_array_append_new(columns, column_json(t, c));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(lines, line_json(t, &t->lines[i]));
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:b, s:o}", "backend", t->label, "controls", t->controls,
	    "exits", (json_int_t)t->main.n, "left_out", (json_int_t)t->main.others, "rows_in_all",
	    (json_int_t)t->n_lines, "columns", columns, "rows", lines, "matrix_begun", t->matrix.begun, "matrix",
	    matrix_json(t));
}
