/*
 * Charts of characters.
 */
#include "tui/stats_panels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- histogram -----------------------------------------------------------------------------------------------------
 */

void hist_copy_of(struct hist_copy *out, const struct hist *h)
{
	unsigned k = 0;

	memset(out, 0, sizeof(*out));
	if (!h)
		return;
	out->n = h->n;
	for (unsigned b = 0; b < HIST_BLOCKS; b++)
		for (unsigned i = 0; i < (b ? HIST_SLOTS / 2 : HIST_SLOTS); i++, k++)
			out->slots[k] = h->blocks[b] ? h->blocks[b][i] : 0;
}

uint64_t hist_step_low(unsigned i)
{
	unsigned half = HIST_SLOTS / 2, block = i < HIST_SLOTS ? 0 : (i - HIST_SLOTS) / half + 1;

	if (i >= HIST_FLAT)
		return UINT64_MAX;
	return block == 0 ? i : (uint64_t)(half + (i - HIST_SLOTS) % half) << block;
}

unsigned hist_bins(const struct hist_copy *h, unsigned max, struct hist_bin *out, unsigned *per)
{
	unsigned first = 0, last = HIST_FLAT, n;

	*per = 1;
	while (first < HIST_FLAT && !h->slots[first])
		first++;
	if (first == HIST_FLAT || max == 0)
		return 0;
	while (!h->slots[last - 1])
		last--;
	while ((last - 1) / *per - first / *per + 1 > max)
		*per *= 2;
	n = (last - 1) / *per - first / *per + 1;
	for (unsigned i = 0; i < n; i++) {
		unsigned from = (first / *per + i) * *per;

		out[i] = (struct hist_bin){.low = hist_step_low(from), .high = hist_step_low(from + *per)};
		for (unsigned k = from; k < from + *per && k < HIST_FLAT; k++)
			out[i].count += h->slots[k];
	}
	return n;
}

static void draw_bin(struct screen *s, int x, int y, int w, const struct hist_bin *b, uint64_t most, uint64_t n)
{
	char low[16], high[16], count[16], text[64];
	int bar = w - 36;

	snprintf(text, sizeof(text), "%6s ..%7s %6s %5.1f%%", fmt_ns(b->low, low), fmt_ns(b->high, high),
	    fmt_count(b->count, count), 100 * (double)b->count / (double)n);
	screen_text(s, x, y, w, b->count ? STYLE_NORMAL : STYLE_DIM, text);
	if (bar > 0 && b->count)
		screen_bar(s, x + 36, y, bar, (double)b->count / (double)most, STYLE_A);
}

void panel_histogram(
    struct screen *s, const struct rect *r, const struct hist_copy *h, const char *name, const char *source, bool focus)
{
	struct hist_bin bins[HIST_BINS_MAX];
	unsigned per, room = r->h > 1 ? (unsigned)r->h - 1 : 0, n;
	uint64_t most = 1;
	char title[160], b[16];

	n = hist_bins(h, room < HIST_BINS_MAX ? room : HIST_BINS_MAX, bins, &per);
	if (h->n)
		snprintf(title, sizeof(title), "%scost of %.60s: %s exit%s, %s, log scale", focus ? "> " : "", name,
		    fmt_count(h->n, b), h->n == 1 ? "" : "s", source);
	else
		snprintf(title, sizeof(title), "%scost", focus ? "> " : "");
	struct rect in = screen_section(s, r, title);

	for (unsigned i = 0; i < n; i++)
		most = bins[i].count > most ? bins[i].count : most;
	for (unsigned i = 0; i < n; i++)
		draw_bin(s, in.x, in.y + (int)i, in.w, &bins[i], most, h->n);
	if (n == 0)
		screen_text(s, in.x, in.y, in.w, STYLE_DIM, "no exit whose cost is known");
}

/* --- timeline ------------------------------------------------------------------------------------------------------
 */

/* One bar, from the bottom line y upwards. */
static void column(struct screen *s, int x, int y, int h, uint32_t v, uint32_t most, enum style style)
{
	uint64_t eighths = most ? ((uint64_t)v * (uint64_t)h * 8 + most - 1) / most : 0;

	for (int i = 0; i < h && eighths > 0; i++) {
		unsigned part = eighths < 8 ? (unsigned)eighths : 8;

		screen_put(s, x, y - i, screen_glyph(s, (enum glyph)(GLYPH_SPARK_0 + part - 1)), style);
		eighths -= part;
	}
}

static void draw_axis(struct screen *s, const struct rect *r, int y, const struct timeline *t)
{
	char b[16];

	screen_text(s, r->x, y, r->w, STYLE_DIM, fmt_ns(t->from, b));
	screen_text(s, r->x + r->w / 2 - 3, y, 7, STYLE_DIM, fmt_ns(t->from + (t->to - t->from) / 2, b));
	screen_right(s, r->x, y, r->w, STYLE_DIM, fmt_ns(t->to, b));
}

void panel_timeline(struct screen *s, const struct rect *r, struct stats_log *l, const struct timeline *t, bool focus)
{
	const uint32_t *all, *part;
	uint32_t most = 0, shown = 0;
	char title[160], count[16], step[16];
	int label = 7, n = r->w - label < LOG_BUCKETS_MAX ? r->w - label : LOG_BUCKETS_MAX, h;
	bool second = t->reason != UINT32_MAX && r->h >= 5;

	if (n < 1)
		return;
	snprintf(title, sizeof(title), "%sexits over guest time, %s a column%s%s", focus ? "> " : "",
	    fmt_ns((t->to - t->from) / (uint64_t)n, step), second ? "; below: " : "", second ? t->name : "");
	struct rect in = screen_section(s, r, title);
	struct rect chart = {.x = in.x + label, .y = in.y, .w = n, .h = in.h};

	all = stats_log_buckets(l, t->from, t->to, UINT32_MAX, 0, n);
	for (int i = 0; i < n; i++) {
		most = all[i] > most ? all[i] : most;
		shown += all[i];
	}
	h = in.h - 1 - second;
	for (int i = 0; i < n; i++)
		column(s, chart.x + i, in.y + h - 1, h, all[i], most, STYLE_A);
	screen_right(s, in.x, in.y, label - 1, STYLE_DIM, fmt_count(most, count));
	draw_axis(s, &chart, in.y + h, t);
	if (shown == 0)
		screen_text(s, chart.x, in.y, n, STYLE_DIM, "no exit in this stretch of time");
	if (!second)
		return;
	part = stats_log_buckets(l, t->from, t->to, t->reason, t->isa, n);
	screen_spark(s, chart.x, in.y + h + 1, n, part, n, STYLE_B);
}

/* --- places --------------------------------------------------------------------------------------------------------
 */

struct icicle {
	struct screen *s;
	struct rect r;
	const struct places *p;
	unsigned root; /* its level */
	struct place_at cursor;
	bool focus;
	uint64_t total; /* of the root */
	int line;	/* height of a level */
};

static void draw_place(const struct icicle *ic, unsigned level, uint32_t i, int x, int w)
{
	const struct place *n = &ic->p->at[level][i];
	int y = ic->r.y + (int)(level - ic->root) * ic->line;
	enum style style = (enum style)(STYLE_A + (i & 1) + 2 * (level & 1));
	char text[96], b[16];
	double part = 100 * (double)n->count / (double)ic->total;

	if (ic->line > 1)
		snprintf(text, sizeof(text), "%s", n->label);
	else
		snprintf(text, sizeof(text), "%s %.0f%%", n->label, part);
	screen_put(ic->s, x, y, screen_glyph(ic->s, GLYPH_VLINE), STYLE_BORDER);
	int used = screen_text(ic->s, x + 1, y, w - 1, style, text);

	for (int k = used + 1; k < w; k++)
		screen_put(ic->s, x + k, y, screen_glyph(ic->s, GLYPH_HLINE), STYLE_BORDER);
	if (ic->line > 1) {
		snprintf(text, sizeof(text), "%.1f%% %s", part, fmt_count(n->count, b));
		screen_put(ic->s, x, y + 1, screen_glyph(ic->s, GLYPH_VLINE), STYLE_BORDER);
		screen_text(ic->s, x + 1, y + 1, w - 1, STYLE_DIM, text);
	}
	if (ic->focus && level == ic->cursor.level && i == ic->cursor.index) {
		struct rect at = {.x = x, .y = y, .w = w, .h = ic->line > 1 ? 2 : 1};

		screen_restyle(ic->s, &at, STYLE_SELECTED);
	}
}

/* Columns of the next child of a node that is w columns wide. Widths are whole columns: each child ends where the exits
 * up to it end, so that they fill their parent; the ones that get no column are seen in the table. seen: exits of the
 * children before it. Returns the width; *x is from the parent's left. */
static int child_columns(const struct place *n, const struct place *child, uint64_t *seen, int w, int *x)
{
	*x = (int)((double)*seen / (double)n->count * w);
	*seen += child->count;
	return (int)((double)*seen / (double)n->count * w) - *x;
}

/* Draws a node in columns x .. x + w - 1, and its children below it. */
static void draw_subtree(const struct icicle *ic, unsigned level, uint32_t i, int x, int w)
{
	const struct place *n = &ic->p->at[level][i];
	uint64_t seen = 0;

	draw_place(ic, level, i, x, w);
	if (level + 1 >= PLACES_LEVELS || (int)(level + 2 - ic->root) * ic->line > ic->r.h)
		return;
	for (uint32_t k = 0; k < n->n; k++) {
		int a, wide = child_columns(n, &ic->p->at[level + 1][n->first + k], &seen, w, &a);

		if (wide > 0)
			draw_subtree(ic, level + 1, n->first + k, x + a, wide);
	}
}

/* The child of *at that has column *x of its *w; both become the child's. */
static bool child_at(const struct places *p, struct place_at *at, int *x, int *w)
{
	const struct place *n = &p->at[at->level][at->index];
	uint64_t seen = 0;

	for (uint32_t k = 0; at->level + 1 < PLACES_LEVELS && k < n->n; k++) {
		int a, wide = child_columns(n, &p->at[at->level + 1][n->first + k], &seen, *w, &a);

		if (*x < a || *x >= a + wide)
			continue;
		*at = (struct place_at){.level = at->level + 1, .index = n->first + k};
		*x -= a;
		*w = wide;
		return true;
	}
	return false;
}

static int line_height(int h)
{
	return h >= 9 ? 2 : 1;
}

bool panel_places_at(
    const struct rect *r, const struct places *p, struct place_at root, int x, int y, struct place_at *out)
{
	int h = r->h - 1, row = (y - r->y - 1) / line_height(h), w = r->w; /* below the title */

	x -= r->x;
	if (p->n[PLACES_ALL] == 0 || y <= r->y || y >= r->y + h || x < 0 || x >= w)
		return false;
	*out = root;
	for (; row > 0; row--)
		if (!child_at(p, out, &x, &w))
			return false;
	return true;
}

static void describe(const struct icicle *ic, int y)
{
	const struct places *p = ic->p;
	struct place_at at = ic->cursor;
	const struct place *n = &p->at[at.level][at.index];
	char text[320] = "", b[16];
	uint32_t up[PLACES_LEVELS] = {0};
	size_t used = 0;

	up[at.level] = at.index;
	for (unsigned l = at.level; l > 0; l--)
		up[l - 1] = p->at[l][up[l]].parent;
	for (unsigned l = at.level ? 1 : 0; l <= at.level && used < sizeof(text); l++)
		used += (size_t)snprintf(
		    text + used, sizeof(text) - used, "%s%s", used ? " / " : "", p->at[l][up[l]].label);
	if (used < sizeof(text))
		snprintf(text + used, sizeof(text) - used, ": %s exit%s, %.1f%%", fmt_count(n->count, b),
		    n->count == 1 ? "" : "s", 100 * (double)n->count / (double)p->at[PLACES_ALL][0].count);
	screen_text(ic->s, ic->r.x, y, ic->r.w, STYLE_STRONG, text);
}

void panel_places(struct screen *s, const struct rect *r, const struct places *p, struct place_at root,
    struct place_at cursor, bool focus)
{
	struct rect in = screen_section(s, r,
	    focus ? "> where exits come from: width is their number" : "where exits come from: width is their number");
	struct icicle ic = {
	    .s = s, .r = in, .p = p, .root = root.level, .cursor = cursor, .focus = focus, .line = line_height(in.h)};

	if (p->n[PLACES_ALL] == 0 || p->at[PLACES_ALL][0].count == 0) {
		screen_text(s, in.x, in.y, in.w, STYLE_DIM, "no exit yet");
		return;
	}
	if (in.h < 2)
		return;
	ic.r.h--; /* the last line is the description */
	ic.total = p->at[PLACES_ALL][0].count;
	draw_subtree(&ic, root.level, root.index, in.x, in.w);
	describe(&ic, in.y + in.h - 1);
}
