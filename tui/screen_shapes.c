/*
 * Shapes on the screen: lines, boxes, bars, sparklines. See screen.h.
 */
#include "tui/screen.h"

void screen_fill(struct screen *s, const struct rect *r, uint32_t ch, enum style style)
{
	for (int y = r->y; y < r->y + r->h; y++)
		for (int x = r->x; x < r->x + r->w; x++)
			screen_put(s, x, y, ch, style);
}

void screen_hline(struct screen *s, int x, int y, int n)
{
	uint32_t ch = screen_glyph(s, GLYPH_HLINE);

	for (int i = 0; i < n; i++)
		screen_put(s, x + i, y, ch, STYLE_BORDER);
}

void screen_vline(struct screen *s, int x, int y, int n)
{
	uint32_t ch = screen_glyph(s, GLYPH_VLINE);

	for (int i = 0; i < n; i++)
		screen_put(s, x, y + i, ch, STYLE_BORDER);
}

/* " title " on a line of n columns from x, two columns from its beginning. */
static void line_title(struct screen *s, int x, int y, int n, const char *title)
{
	int used;

	if (!title || !*title || n < 6)
		return;
	screen_put(s, x + 2, y, ' ', STYLE_BORDER);
	used = screen_text(s, x + 3, y, n - 6, STYLE_STRONG, title);
	screen_put(s, x + 3 + used, y, ' ', STYLE_BORDER);
}

struct rect screen_box(struct screen *s, const struct rect *r, const char *title)
{
	int x1 = r->x + r->w - 1, y1 = r->y + r->h - 1;

	if (r->w < 2 || r->h < 2)
		return (struct rect){r->x, r->y, 0, 0};
	screen_hline(s, r->x + 1, r->y, r->w - 2);
	screen_hline(s, r->x + 1, y1, r->w - 2);
	screen_vline(s, r->x, r->y + 1, r->h - 2);
	screen_vline(s, x1, r->y + 1, r->h - 2);
	screen_put(s, r->x, r->y, screen_glyph(s, GLYPH_UL), STYLE_BORDER);
	screen_put(s, x1, r->y, screen_glyph(s, GLYPH_UR), STYLE_BORDER);
	screen_put(s, r->x, y1, screen_glyph(s, GLYPH_LL), STYLE_BORDER);
	screen_put(s, x1, y1, screen_glyph(s, GLYPH_LR), STYLE_BORDER);
	line_title(s, r->x, r->y, r->w, title);
	return (struct rect){r->x + 1, r->y + 1, r->w - 2, r->h - 2};
}

struct rect screen_section(struct screen *s, const struct rect *r, const char *title)
{
	if (r->w < 1 || r->h < 1)
		return (struct rect){r->x, r->y, 0, 0};
	screen_hline(s, r->x, r->y, r->w);
	line_title(s, r->x, r->y, r->w, title);
	return (struct rect){r->x, r->y + 1, r->w, r->h - 1};
}

void screen_bar(struct screen *s, int x, int y, int w, double fraction, enum style style)
{
	static const enum glyph part[] = {GLYPH_SHADE_1, GLYPH_SHADE_1, GLYPH_SHADE_2, GLYPH_SHADE_3};
	double cells = !(fraction > 0) ? 0 : fraction >= 1 ? w : fraction * w;
	int full = (int)cells, quarters = (int)((cells - full) * 4);

	/* What is not nothing is seen. */
	if (fraction > 0 && !full && !quarters)
		quarters = 1;
	for (int i = 0; i < w; i++) {
		uint32_t ch = ' ';

		if (i < full)
			ch = screen_glyph(s, GLYPH_FULL);
		else if (i == full && quarters)
			ch = screen_glyph(s, part[quarters]);
		screen_put(s, x + i, y, ch, style);
	}
}

void screen_spark(struct screen *s, int x, int y, int w, const uint32_t *values, int n, enum style style)
{
	uint32_t max = 0;
	int shift;

	if (n > w) {
		values += n - w;
		n = w;
	}
	for (int i = 0; i < n; i++)
		if (values[i] > max)
			max = values[i];
	shift = w - n;
	for (int i = 0; i < w; i++) {
		uint32_t v = i < shift ? 0 : values[i - shift];
		unsigned level = v ? (unsigned)(((uint64_t)v * 8 - 1) / max) : 0;

		screen_put(s, x + i, y, v ? screen_glyph(s, (enum glyph)(GLYPH_SPARK_0 + level)) : ' ', style);
	}
}

void screen_restyle(struct screen *s, const struct rect *r, enum style style)
{
	const struct rect *c = &s->clip;

	for (int y = r->y > c->y ? r->y : c->y; y < r->y + r->h && y < c->y + c->h; y++)
		for (int x = r->x > c->x ? r->x : c->x; x < r->x + r->w && x < c->x + c->w; x++)
			s->cells[(size_t)y * (size_t)s->w + (size_t)x].style = (uint8_t)style;
}
