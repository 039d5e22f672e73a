/* Panels that are lists: one way to fill, draw, and turn into JSON. */
#include "tui/machine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "tui/stats_rows.h"

struct machine_row *machine_row_add(struct machine_rows *rows, const char *name, uint64_t value, unsigned digits)
{
	static struct machine_row spare; /* for what does not fit */
	struct machine_row *row = &spare;

	if (rows->n < MACHINE_ROWS_MAX)
		row = &rows->row[rows->n++];
	else
		rows->cut = true;
	*row = (struct machine_row){.value = value, .digits = (uint8_t)digits};
	snprintf(row->name, sizeof row->name, "%s", name);
	return row;
}

void machine_row_text(struct machine_row *row, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(row->text, sizeof row->text, fmt, ap);
	va_end(ap);
}

void machine_row_heading(struct machine_rows *rows, const char *fmt, ...)
{
	struct machine_row *row = machine_row_add(rows, "", 0, 0);
	va_list ap;

	row->heading = true;
	va_start(ap, fmt);
	vsnprintf(row->text, sizeof row->text, fmt, ap);
	va_end(ap);
}

void machine_bit_names(uint64_t v, const char *const names[], unsigned n, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < 64 && at < len; i++) {
		if (!(v >> i & 1))
			continue;
		if (i < n && names[i])
			at += (size_t)snprintf(buf + at, len - at, "%s%s", at ? " " : "", names[i]);
		else
			at += (size_t)snprintf(buf + at, len - at, "%sbit%u", at ? " " : "", i);
	}
}

/* One row: name, value, words. '*' marks what changed. */
static void draw_row(struct screen *s, const struct machine_row *row, int x, int y, int w, int name_w, int value_w)
{
	char value[24] = "";

	if (row->heading) {
		screen_text(s, x, y, w, STYLE_STRONG, row->text);
		return;
	}
	screen_text(s, x, y, name_w, STYLE_DIM, row->name);
	if (row->digits)
		snprintf(value, sizeof value, "%0*" PRIx64, row->digits, row->value);
	screen_text(s, x + name_w + 1, y, w - name_w - 1,
	    row->changed		    ? STYLE_CHANGED
	    : row->address || row->physical ? STYLE_LINK
					    : STYLE_NORMAL,
	    value);
	if (row->changed)
		screen_put(s, x + name_w, y, '*', STYLE_CHANGED);
	screen_text(s, x + name_w + 2 + value_w, y, w - name_w - 2 - value_w, STYLE_NORMAL, row->text);
}

static void widths(const struct machine_rows *rows, int *name, int *value)
{
	*name = *value = 0;
	for (unsigned i = 0; i < rows->n; i++) {
		int n = (int)strlen(rows->row[i].name);

		*name = n > *name ? n : *name;
		*value = rows->row[i].digits > *value ? rows->row[i].digits : *value;
	}
}

void machine_rows_draw(
    struct machine_state *m, enum machine_panel_id id, struct screen *s, const struct rect *r, bool focus)
{
	const struct machine_rows *rows = m->rows[id];
	struct machine_scroll *at = &m->scroll[id];
	int name_w, value_w;

	if (!rows || r->h < 1)
		return;
	if (at->cursor >= rows->n)
		at->cursor = rows->n ? rows->n - 1 : 0;
	if (at->cursor < at->top)
		at->top = at->cursor;
	if (at->cursor >= at->top + (unsigned)r->h)
		at->top = at->cursor - (unsigned)r->h + 1;
	if (at->top + (unsigned)r->h > rows->n)
		at->top = rows->n > (unsigned)r->h ? rows->n - (unsigned)r->h : 0;
	widths(rows, &name_w, &value_w);
	for (int y = 0; y < r->h && at->top + (unsigned)y < rows->n; y++) {
		unsigned i = at->top + (unsigned)y;

		draw_row(s, &rows->row[i], r->x, r->y + y, r->w, name_w, value_w);
		if (focus && i == at->cursor)
			screen_restyle(s, &(struct rect){r->x, r->y + y, r->w, 1}, STYLE_SELECTED);
	}
	if (!rows->n)
		screen_text(s, r->x, r->y, r->w, STYLE_DIM, "nothing");
}

json_t *machine_hex(uint64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "0x%" PRIx64, v);
	return json_string(text);
}

json_t *machine_rows_json(const struct machine_rows *rows)
{
	json_t *list = json_array();

	for (unsigned i = 0; rows && i < rows->n; i++) {
		const struct machine_row *row = &rows->row[i];
		json_t *o = json_object();

		if (row->heading) {
			json_object_set_new(o, "heading", text_json(row->text));
		} else {
			json_object_set_new(o, "name", text_json(row->name));
			if (row->digits)
				json_object_set_new(o, "value", machine_hex(row->value));
			if (row->changed)
				json_object_set_new(o, "changed", json_true());
			json_object_set_new(o, "text", text_json(row->text));
		}
		json_array_append_new(list, o);
	}
	return list;
}
