/*
 * The table of tui/table.h.
 */
#include "tui/table.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GAP 1 /* columns between two columns */

void table_init(struct table *t, const struct table_ops *ops, const void *arg, unsigned sort)
{
	memset(t, 0, sizeof(*t));
	t->ops = ops;
	t->arg = arg;
	t->sort = sort;
}

static const void *row_at(const struct table *t, const void *rows, size_t i)
{
	return (const char *)rows + i * t->ops->row_size;
}

const void *table_row(const struct table *t, const void *rows)
{
	return t->cursor < t->n ? row_at(t, rows, t->cursor) : NULL;
}

/* --- order ---------------------------------------------------------------------------------------------------------
 */

static bool upwards(const struct table *t)
{
	return t->ops->columns[t->sort].ascending != t->invert;
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct table *t = arg;
	int d = 0;

	if (t->ops->group && (d = t->ops->group(a) - t->ops->group(b)) != 0)
		return d;
	d = t->ops->compare(a, b, t->sort);
	if (d != 0)
		return upwards(t) ? d : d < 0 ? 1 : -1; /* -INT_MIN does not exist */
	uint64_t x = t->ops->id(a), y = t->ops->id(b);

	return x < y ? -1 : x > y;
}

static void keep_id(struct table *t, const void *rows)
{
	t->stays = t->cursor < t->n;
	if (t->stays)
		t->id = t->ops->id(row_at(t, rows, t->cursor));
}

void table_arrange(struct table *t, void *rows, size_t n)
{
	t->n = n;
	if (t->ops->compare && n > 1)
		qsort_r(rows, n, t->ops->row_size, compare, t);
	if (t->stays)
		for (size_t i = 0; i < n; i++)
			if (t->ops->id(row_at(t, rows, i)) == t->id) {
				t->cursor = i;
				return;
			}
	if (t->cursor >= n)
		t->cursor = n ? n - 1 : 0;
}

static void set_sort(struct table *t, unsigned column)
{
	t->sort = column;
	t->invert = false;
}

void table_sort_step(struct table *t, int dir)
{
	unsigned n = t->ops->n_columns, c = t->sort;

	do
		c = (c + n + (dir < 0 ? -1u : 1u)) % n;
	while (t->ops->columns[c].fixed && c != t->sort);
	set_sort(t, c);
}

const char *table_sort_name(const struct table *t, unsigned i)
{
	static const char *const words[] = {"next", "prev", "invert"};

	if (i < ARRAY_LEN(words))
		return words[i];
	i -= (unsigned)ARRAY_LEN(words);
	for (unsigned c = 0; c < t->ops->n_columns; c++)
		if (!t->ops->columns[c].fixed && i-- == 0)
			return t->ops->columns[c].name;
	return NULL;
}

static enum err sort_by(struct table *t, const char *name, struct errmsg *why)
{
	char names[240] = "";
	size_t used = 0;

	for (unsigned c = 0; c < t->ops->n_columns; c++) {
		if (t->ops->columns[c].fixed)
			continue;
		if (strcasecmp(t->ops->columns[c].name, name) == 0) {
			set_sort(t, c);
			return ERR_OK;
		}
		if (used < sizeof(names))
			used += (size_t)snprintf(
			    names + used, sizeof(names) - used, "%s%s", used ? ", " : "", t->ops->columns[c].name);
	}
	return err_set(why, ERR_NOENT, "sort: no column \"%.40s\": one of %s", name, names);
}

enum err table_sort(struct table *t, const char *word, struct errmsg *why)
{
	if (!*word || !strcmp(word, "next"))
		table_sort_step(t, 1);
	else if (!strcmp(word, "prev"))
		table_sort_step(t, -1);
	else if (!strcmp(word, "invert"))
		t->invert = !t->invert;
	else
		return sort_by(t, word, why);
	return ERR_OK;
}

const char *table_sort_text(const struct table *t, char *buf, size_t n)
{
	const struct table_column *c = &t->ops->columns[t->sort];

	snprintf(buf, n, "sort: %s, %s", c->name, upwards(t) ? "smallest first" : "largest first");
	return buf;
}

/* --- moving --------------------------------------------------------------------------------------------------------
 */

void table_move(struct table *t, const void *rows, int lines)
{
	size_t n = t->n;

	if (n == 0)
		return;
	if (lines < 0) {
		size_t up = (size_t)(-(long)lines);

		t->cursor = up > t->cursor ? 0 : t->cursor - up;
	} else {
		t->cursor = (size_t)lines >= n - t->cursor ? n - 1 : t->cursor + (size_t)lines;
	}
	keep_id(t, rows);
}

static bool row_has(const struct table *t, const void *row, const char *text)
{
	char buf[256];

	for (unsigned c = 0; c < t->ops->n_columns; c++) {
		buf[0] = '\0';
		t->ops->text(t->arg, row, c, buf, sizeof(buf));
		if (strcasestr(buf, text))
			return true;
	}
	return false;
}

bool table_search(struct table *t, const void *rows, const char *text, int dir)
{
	for (size_t i = t->cursor; dir < 0 ? i > 0 : i + 1 < t->n;) {
		i = dir < 0 ? i - 1 : i + 1;
		if (!row_has(t, row_at(t, rows, i), text))
			continue;
		t->cursor = i;
		keep_id(t, rows);
		return true;
	}
	return false;
}

static size_t head_lines(const struct table *t)
{
	return t->no_head ? 0 : 1;
}

bool table_click(struct table *t, const void *rows, int x, int y)
{
	if (y == t->at.y && !t->no_head) {
		for (unsigned c = 0; c < t->ops->n_columns; c++) {
			if (t->w[c] == 0 || x < t->x[c] || x >= t->x[c] + t->w[c] || t->ops->columns[c].fixed)
				continue;
			if (c == t->sort)
				t->invert = !t->invert;
			else
				set_sort(t, c);
		}
		return false;
	}
	if (y < t->at.y || y >= t->at.y + t->at.h || t->top + (size_t)(y - t->at.y) - head_lines(t) >= t->n)
		return false;
	t->cursor = t->top + (size_t)(y - t->at.y) - head_lines(t);
	keep_id(t, rows);
	return true;
}

/* --- drawing -------------------------------------------------------------------------------------------------------
 */

static bool shown(const struct table *t, unsigned c, unsigned level)
{
	if (t->ops->columns[c].width == 0)
		return false;
	/* What it is sorted by must be seen. */
	return t->ops->columns[c].drop <= level || (c == t->sort && !t->ops->columns[c].fixed && t->ops->compare);
}

static int total_width(const struct table *t, unsigned level)
{
	int w = 0;

	for (unsigned c = 0; c < t->ops->n_columns; c++)
		if (shown(t, c, level))
			w += t->ops->columns[c].width + GAP;
	return w - GAP;
}

/* Which columns there is room for, and where they stand. */
static void lay_out(struct table *t, const struct rect *r)
{
	unsigned level = UINT8_MAX;
	int x = r->x;

	while (level > 0 && total_width(t, level) > r->w)
		level--;
	int spare = r->w - total_width(t, level);

	for (unsigned c = 0; c < t->ops->n_columns; c++) {
		const struct table_column *col = &t->ops->columns[c];

		t->w[c] = 0;
		if (!shown(t, c, level))
			continue;
		t->x[c] = x;
		t->w[c] = col->width;
		if (col->flex && spare != 0) {
			int w = col->width + spare;

			t->w[c] = w < 1 ? 1 : col->flex_max && w > col->flex_max ? col->flex_max : w;
		}
		x += t->w[c] + GAP;
	}
	t->at = *r;
}

static void draw_head(const struct table *t, struct screen *s)
{
	for (unsigned c = 0; c < t->ops->n_columns; c++) {
		const struct table_column *col = &t->ops->columns[c];
		const char *head = t->ops->head ? t->ops->head(t->arg, c) : NULL;
		bool sorted = t->ops->compare && c == t->sort && !col->fixed;

		if (t->w[c] == 0)
			continue;
		if (!head)
			head = col->head;
		int n = (int)strlen(head), room = t->w[c] - (sorted ? 1 : 0);
		int x = col->left || n > room ? t->x[c] : t->x[c] + room - n;

		screen_text(s, x, t->at.y, room, STYLE_STRONG, head);
		if (sorted)
			screen_put(s, x + (n < room ? n : room), t->at.y,
			    screen_glyph(s, upwards(t) ? GLYPH_UP : GLYPH_SORT), STYLE_STRONG);
	}
}

/* Columns of UTF-8 text. */
static int columns_of(const char *p, size_t n)
{
	int w = 0;

	for (; n > 0 && *p; p++, n--)
		w += ((unsigned char)*p & 0xc0) != 0x80;
	return w;
}

/* The places in a drawn cell that contain what was looked for. */
static void highlight(struct screen *s, int x, int y, int w, const char *text, const char *find)
{
	size_t n = strlen(find);

	for (const char *p = text; n && (p = strcasestr(p, find)); p += n) {
		struct rect at = {
		    .x = x + columns_of(text, (size_t)(p - text)), .y = y, .w = columns_of(find, n), .h = 1};

		if (at.x + at.w > x + w)
			at.w = x + w - at.x;
		if (at.w > 0)
			screen_restyle(s, &at, STYLE_MATCH);
	}
}

static void draw_row(const struct table *t, struct screen *s, const void *row, int y, const char *find)
{
	char buf[256];

	for (unsigned c = 0; c < t->ops->n_columns; c++) {
		int w = t->w[c], x = t->x[c];

		if (w == 0 || (t->ops->draw && t->ops->draw(t->arg, row, c, s, x, y, w)))
			continue;
		buf[0] = '\0';
		enum style style = t->ops->text(t->arg, row, c, buf, sizeof(buf));

		int used = columns_of(buf, SIZE_MAX);

		if (!t->ops->columns[c].left && used < w)
			x += w - used;
		screen_text(s, x, y, t->x[c] + w - x, style, buf);
		if (used > w)
			screen_put(s, x + w - 1, y, screen_glyph(s, GLYPH_ELLIPSIS), style);
		if (find)
			highlight(s, x, y, t->x[c] + w - x, buf, find);
	}
}

void table_draw(struct table *t, struct screen *s, const struct rect *r, const void *rows, bool focus, const char *find)
{
	size_t head = head_lines(t), h = r->h > (int)head ? (size_t)r->h - head : 0;

	lay_out(t, r);
	if (r->h < 1)
		return;
	if (!t->no_head)
		draw_head(t, s);
	if (t->cursor < t->top)
		t->top = t->cursor;
	if (h > 0 && t->cursor >= t->top + h)
		t->top = t->cursor - h + 1;
	if (t->top > 0 && t->top + h > t->n)
		t->top = t->n > h ? t->n - h : 0;
	for (size_t i = 0; i < h && t->top + i < t->n; i++) {
		struct rect line = {.x = r->x, .y = r->y + (int)(head + i), .w = r->w, .h = 1};

		draw_row(t, s, row_at(t, rows, t->top + i), line.y, find);
		if (focus && t->top + i == t->cursor)
			screen_restyle(s, &line, STYLE_SELECTED);
	}
}
