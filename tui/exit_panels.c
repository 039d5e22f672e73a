/*
 * The picture of one exit. Narrow (80x24): a head of two lines, the explanation as labelled paragraphs, a foot with the
 * exits before and after. Wide: the list of exits around it, the explanation, and the bits and fields, side by side.
 */
#include <stdio.h>
#include <string.h>

#include "tui/exit_view.h"

#define LABEL_W 9 /* "VMM did", and a gap */
#define WIDE_W 150
#define WIDE_H 30
#define LIST_W 46
#define SIDE_W 62
#define TAB_W 12 /* what stands side by side begins at multiples of it */

/* Where the next line goes; lines above and below r are clipped, which is how it scrolls. */
struct pen {
	struct screen *s;
	struct rect r;
	int y;
	bool airy; /* room for blank lines */
};

static int pen_y(const struct pen *p)
{
	return p->r.y + p->y;
}

/* A paragraph with a label before its first line. */
static void paragraph(struct pen *p, const char *label, enum style style, const char *text)
{
	struct rect at = {p->r.x + LABEL_W, pen_y(p), p->r.w - LABEL_W, 1000};
	int n;

	screen_text(p->s, p->r.x, pen_y(p), LABEL_W - 1, STYLE_STRONG, label);
	n = screen_wrap(p->s, &at, 0, style, text);
	p->y += n > 0 ? n : 1;
}

static void gap(struct pen *p)
{
	p->y += p->airy;
}

/* --- Parts -------------------------------------------------------------------------------------------------------- */

static void draw_code(struct pen *p, const struct exit_state *st)
{
	const struct view_exit *e = &st->e;
	const struct explain *x = &st->x;
	char text[400] = "";
	size_t at = 0;
	int n;

	if (e->has & VIEW_HAS_RIP)
		at += (size_t)snprintf(text, sizeof(text), "%#llx%s%s%s  ", (unsigned long long)e->rip,
		    st->where[0] ? " <" : "", st->where, st->where[0] ? ">" : "");
	if (!x->insn[0]) {
		snprintf(text + at, sizeof(text) - at, "(%s)", x->insn_why);
		paragraph(p, "Code", STYLE_NORMAL, text);
		return;
	}
	screen_text(p->s, p->r.x, pen_y(p), LABEL_W - 1, STYLE_STRONG, "Code");
	n = LABEL_W + screen_text(p->s, p->r.x + LABEL_W, pen_y(p), p->r.w - LABEL_W, STYLE_ADDRESS, text);
	for (unsigned i = 0; i < x->insn_len && i < st->n_bytes; i++)
		n += screen_printf(p->s, p->r.x + n, pen_y(p), p->r.w - n, STYLE_DIM, "%02x ", st->bytes[i]);
	n++;
	n += screen_text(p->s, p->r.x + n, pen_y(p), p->r.w - n, STYLE_CODE, x->insn);
	snprintf(text, sizeof(text), "(%s)", st->bytes_when);
	if (st->bytes_when[0] && n + 2 + screen_columns(text) <= p->r.w)
		screen_text(p->s, p->r.x + n + 2, pen_y(p), -1, STYLE_DIM, text);
	p->y++;
	if (st->bytes_when[0] && n + 2 + screen_columns(text) > p->r.w)
		paragraph(p, "", STYLE_DIM, text);
}

/* "[31:16]=0x3f8 port number: COM1"; that a 1 means yes goes without saying. */
static void bits_text(const struct explain_bits *b, char *text, size_t n)
{
	bool plain = !strcmp(b->meaning, "yes") || !strcmp(b->meaning, "no") || !b->meaning[0];
	char place[12];

	if (b->lo == b->hi)
		snprintf(place, sizeof(place), "[%u]", b->lo);
	else
		snprintf(place, sizeof(place), "[%u:%u]", b->hi, b->lo);
	snprintf(text, n, b->value < 10 ? "%s=%llu %s%s%s" : "%s=%#llx %s%s%s", place, (unsigned long long)b->value,
	    b->name, plain ? "" : ": ", plain ? "" : b->meaning);
}

/* Side by side as far as they fit. */
static void draw_bits(struct pen *p, const char *label, const struct explain_bits *bits, unsigned n)
{
	int room = p->r.w - LABEL_W, x = 0;
	char text[160];

	screen_text(p->s, p->r.x, pen_y(p), LABEL_W - 1, STYLE_STRONG, label);
	for (unsigned i = 0; i < n; i++) {
		bits_text(&bits[i], text, sizeof(text));
		int w = screen_columns(text);
		if (x && x + w > room) {
			p->y++;
			x = 0;
		}
		screen_text(p->s, p->r.x + LABEL_W + x, pen_y(p), room - x, STYLE_NORMAL, text);
		x += (w + 1 + TAB_W) / TAB_W * TAB_W;
	}
	p->y++;
}

static void draw_did(struct pen *p, const struct explain *x)
{
	char text[160];

	for (unsigned i = 0; i < x->n_did; i++) {
		snprintf(text, sizeof(text), "%u %s", i + 1, x->did[i]);
		paragraph(p, i ? "" : "VMM did", STYLE_NORMAL, text);
	}
}

static enum style part_style(unsigned i)
{
	static const enum style styles[] = {STYLE_A, STYLE_B, STYLE_C, STYLE_D};

	return styles[i % ARRAY_LEN(styles)];
}

/* One bar, cut into the parts; each begins with its letter, so that it needs no colour. */
static void stacked_bar(struct pen *p, const struct explain *x, int at, int w)
{
	static const enum glyph fill[] = {GLYPH_FULL, GLYPH_SHADE_2, GLYPH_SHADE_3, GLYPH_SHADE_1};
	uint64_t sum = 0, before = 0;

	for (unsigned i = 0; i < x->n_cost; i++)
		sum += x->cost[i].ns;
	for (unsigned i = 0; sum && i < x->n_cost; i++) {
		int from = (int)(before * (uint64_t)w / sum), to;
		before += x->cost[i].ns;
		to = (int)(before * (uint64_t)w / sum);
		for (int k = from; k < to; k++)
			screen_put(p->s, at + k, pen_y(p),
			    k == from ? 'a' + i : screen_glyph(p->s, fill[i % ARRAY_LEN(fill)]), part_style(i));
	}
}

/* "world switch: guest to VMM": where there is little room, what comes after it will do. */
static const char *short_name(const char *name)
{
	static const char prefix[] = "world switch: ";

	return strncmp(name, prefix, sizeof(prefix) - 1) == 0 ? name + sizeof(prefix) - 1 : name;
}

static void draw_legend(struct pen *p, const struct explain *x)
{
	int room = p->r.w - LABEL_W, at = 0;
	char text[80], ns[16];

	for (unsigned i = 0; i < x->n_cost; i++) {
		snprintf(
		    text, sizeof(text), "%c %s %s", 'a' + i, short_name(x->cost[i].name), fmt_ns(x->cost[i].ns, ns));
		int w = screen_columns(text);
		if (at && at + w > room) {
			p->y++;
			at = 0;
		}
		screen_text(p->s, p->r.x + LABEL_W + at, pen_y(p), room - at, part_style(i), text);
		at += (w + 1 + TAB_W) / TAB_W * TAB_W;
	}
	p->y++;
}

/* Every part with a bar of its own. */
static void draw_parts(struct pen *p, const struct explain *x)
{
	int bar = p->r.w - LABEL_W - 46;
	char ns[16];

	for (unsigned i = 0; i < x->n_cost; i++, p->y++) {
		screen_printf(p->s, p->r.x + LABEL_W, pen_y(p), 36, STYLE_NORMAL, "%c %s", 'a' + i, x->cost[i].name);
		screen_right(p->s, p->r.x + LABEL_W + 36, pen_y(p), 8, STYLE_NORMAL, fmt_ns(x->cost[i].ns, ns));
		if (x->cost_ns)
			screen_bar(p->s, p->r.x + LABEL_W + 46, pen_y(p), bar,
			    (double)x->cost[i].ns / (double)x->cost_ns, part_style(i));
	}
}

static void draw_cost(struct pen *p, const struct exit_state *st)
{
	const struct explain *x = &st->x;
	char text[200], ns[16], mean[16];
	int n;

	if (!x->n_cost) {
		paragraph(p, "Cost", STYLE_NORMAL, x->cost_source);
		return;
	}
	screen_text(p->s, p->r.x, pen_y(p), LABEL_W - 1, STYLE_STRONG, "Cost");
	n = LABEL_W + screen_text(p->s, p->r.x + LABEL_W, pen_y(p), 10, STYLE_STRONG, fmt_ns(x->cost_ns, ns)) + 2;
	if (x->n_cost > 1) {
		stacked_bar(p, x, p->r.x + n, p->r.w - n);
		p->y++;
		if (p->airy)
			draw_parts(p, x);
		else
			draw_legend(p, x);
		paragraph(p, "", STYLE_DIM, x->cost_source);
		return;
	}
	snprintf(text, sizeof(text), "%s%s%s", x->cost_source,
	    st->mean_ns && st->same > 1 ? "; mean of this reason " : "",
	    st->mean_ns && st->same > 1 ? fmt_ns(st->mean_ns, mean) : "");
	struct rect at = {p->r.x + n, pen_y(p), p->r.w - n, 1000};
	n = screen_wrap(p->s, &at, 0, STYLE_NORMAL, text);
	p->y += n > 0 ? n : 1;
}

static void draw_class(struct pen *p, const struct explain *x)
{
	char text[512];

	paragraph(p, "Class", STYLE_NORMAL, x->class_text);
	if (!x->row)
		return;
	snprintf(text, sizeof(text), "%s: %s", x->row->form, x->row->sentence);
	paragraph(p, "", STYLE_NORMAL, text);
}

static void draw_read_on(struct pen *p, const struct explain *x)
{
	char text[400];
	size_t at = 0;

	if (strcmp(x->sdm, "none") != 0)
		at = (size_t)snprintf(text, sizeof(text), "%s%s", x->sdm[0] == 'A' ? "" : "SDM ", x->sdm);
	if (x->row)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? "; " : "", x->row->source);
	if (x->qual_title && strcmp(x->qual_title, x->sdm) != 0)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s%s", at ? "; " : "",
		    x->qual_title[0] == 'A' ? "" : "SDM ", x->qual_title);
	if (at)
		paragraph(p, "Read on", STYLE_DIM, text);
}

/* The explanation, without the bits where these have a panel of their own. */
static void draw_story(struct pen *p, const struct exit_state *st, bool bits)
{
	const struct explain *x = &st->x;

	paragraph(p, "What", STYLE_NORMAL, x->sentence);
	gap(p);
	draw_code(p, st);
	gap(p);
	paragraph(p, "Why", STYLE_NORMAL, x->why);
	gap(p);
	draw_did(p, x);
	gap(p);
	draw_cost(p, st);
	gap(p);
	draw_class(p, x);
	gap(p);
	if (bits && x->n_qual)
		draw_bits(p, "Bits", x->qual, x->n_qual);
	if (bits && x->n_intr)
		draw_bits(p, "Event", x->intr, x->n_intr);
	paragraph(p, "Avoid", STYLE_NORMAL, x->avoid);
	gap(p);
	draw_read_on(p, x);
}

static void draw_raw(struct pen *p, const struct exit_state *st)
{
	struct exit_field f;

	for (unsigned i = 0; exit_raw_field(st, i, &f); i++, p->y++) {
		screen_text(p->s, p->r.x, pen_y(p), 24, STYLE_DIM, f.name);
		screen_text(p->s, p->r.x + 25, pen_y(p), p->r.w - 25, STYLE_NORMAL, f.value);
	}
}

/* --- Head and foot --------------------------------------------------------------------------------------------------
 */

static void draw_head(const struct exit_state *st, struct screen *s, const struct rect *r)
{
	const struct view_exit *e = &st->e;
	const struct explain *x = &st->x;
	char text[240], a[16], b[16], c[16], cpu[24] = "", rest[80] = "";
	int n = r->x;

	n += screen_printf(s, n, r->y, 24, STYLE_STRONG, "#%llu", (unsigned long long)e->number);
	n += screen_printf(s, n, r->y, 24, STYLE_DIM, " of %s", fmt_count(st->exits, a)) + 2;
	n += screen_text(s, n, r->y, r->x + r->w - n, STYLE_STRONG, x->title) + 2;
	if (x->aliases[0])
		n += screen_printf(s, n, r->y, r->x + r->w - n, STYLE_DIM, "also called %s", x->aliases) + 2;
	if (st->marked) {
		screen_put(s, n, r->y, screen_glyph(s, GLYPH_MARK), STYLE_MARKED);
		n += 2 + screen_text(s, n + 2, r->y, r->x + r->w - n - 2, STYLE_MARKED, "marked");
	}
	snprintf(text, sizeof(text), "  %s of this reason", fmt_count(st->same, a));
	if (n + screen_columns(text) <= r->x + r->w)
		screen_right(s, n, r->y, r->x + r->w - n, STYLE_DIM, text);
	if (st->info.counts_insns && e->has & VIEW_HAS_DIRECT)
		snprintf(rest, sizeof(rest), "; after %s instructions, %s since the exit before",
		    fmt_count(e->insns, b), fmt_count(e->direct, c));
	if (st->info.n_vcpus > 1)
		snprintf(cpu, sizeof(cpu), "vCPU %u, ", e->vcpu);
	snprintf(text, sizeof(text), "%sat %s%s; seen by %s", cpu, fmt_ns(e->ts_ns, a), rest,
	    exit_observed_name((enum exit_observed)e->observed));
	screen_text(s, r->x, r->y + 1, r->w, STYLE_DIM, text);
}

static const struct exit_neighbour *beside(const struct exit_state *st, int dir)
{
	int at = -1, n = (int)st->n_list;

	for (int i = 0; i < n; i++)
		if (st->list[i].selected)
			at = i;
	if (at < 0)
		return NULL;
	for (int i = at + dir; i >= 0 && i < n; i += dir)
		if (st->list[i].shown && st->list[i].number != UINT64_MAX)
			return &st->list[i];
	return NULL;
}

static void draw_foot(const struct exit_state *st, struct screen *s, const struct rect *r)
{
	const struct exit_neighbour *before = beside(st, -1), *after = beside(st, 1);
	char text[80];
	int n;

	screen_hline(s, r->x, r->y, r->w);
	snprintf(text, sizeof(text), " [ before: #%llu %s ", before ? (unsigned long long)before->number : 0ull,
	    before ? before->name : "");
	screen_text(s, r->x + 1, r->y, 36, STYLE_DIM, before ? text : " [ the first exit ");
	snprintf(text, sizeof(text), " ] after: #%llu %s ", after ? (unsigned long long)after->number : 0ull,
	    after ? after->name : "");
	screen_text(s, r->x + 39, r->y, 32, STYLE_DIM, after ? text : " ] the newest exit ");
	n = st->lines - st->room - st->skip;
	if (n <= 0 && st->skip <= 0)
		return;
	snprintf(text, sizeof(text), n > 0 ? " %d more " : " end ", n);
	screen_right(s, r->x + r->w - 12, r->y, 10, STYLE_STRONG, text);
	screen_put(s, r->x + r->w - 2, r->y, screen_glyph(s, n > 0 ? GLYPH_DOWN : GLYPH_UP), STYLE_STRONG);
}

/* --- The list --------------------------------------------------------------------------------------------------------
 */

static void list_line(const struct exit_neighbour *n, char *text, size_t size)
{
	char cost[16] = "", number[24] = "";

	if (n->has & VIEW_HAS_COST)
		fmt_ns(n->cost_ns, cost);
	if (n->number != UINT64_MAX)
		snprintf(number, sizeof(number), "#%llu", (unsigned long long)n->number);
	snprintf(text, size, "%9s %-22.22s %8s", number, n->name, cost);
}

static void draw_list(struct exit_state *st, struct screen *s, const struct rect *r)
{
	struct rect in = screen_box(s, r, "Exits around it");
	unsigned at = 0, from = 0;
	char text[80];

	for (unsigned i = 0; i < st->n_list; i++)
		if (st->list[i].selected)
			at = i;
	if (at > (unsigned)in.h / 2)
		from = at - (unsigned)in.h / 2;
	if (from + (unsigned)in.h > st->n_list)
		from = st->n_list > (unsigned)in.h ? st->n_list - (unsigned)in.h : 0;
	st->list_at = in;
	st->list_first = from;
	for (unsigned i = from; i < st->n_list && i - from < (unsigned)in.h; i++) {
		const struct exit_neighbour *n = &st->list[i];
		int y = in.y + (int)(i - from);
		enum style style = n->selected ? STYLE_SELECTED : n->shown ? STYLE_NORMAL : STYLE_DIM;

		list_line(n, text, sizeof(text));
		if (n->selected)
			screen_fill(s, &(struct rect){in.x, y, in.w, 1}, ' ', STYLE_SELECTED);
		screen_put(s, in.x, y,
		    n->marked	  ? screen_glyph(s, GLYPH_MARK)
		    : n->selected ? screen_glyph(s, GLYPH_RUNNING)
				  : ' ',
		    n->marked ? STYLE_MARKED : style);
		screen_text(s, in.x + 2, y, in.w - 2, style, text);
	}
}

/* --- Whole -----------------------------------------------------------------------------------------------------------
 */

/* Bits one below the other: place, value, name, meaning. */
static int draw_bit_table(struct screen *s, const struct rect *r, const struct explain_bits *bits, unsigned n)
{
	char text[32];

	for (unsigned i = 0; i < n && (int)i < r->h; i++) {
		int y = r->y + (int)i;

		snprintf(text, sizeof(text), bits[i].lo == bits[i].hi ? "%u" : "%u:%u", bits[i].hi, bits[i].lo);
		screen_right(s, r->x, y, 5, STYLE_DIM, text);
		screen_printf(s, r->x + 6, y, r->w - 6, STYLE_STRONG, "%#llx", (unsigned long long)bits[i].value);
		screen_text(s, r->x + 13, y, bits[i].value < 0x1000000 ? 26 : 0, STYLE_NORMAL, bits[i].name);
		screen_text(s, r->x + 40, y, r->w - 40, STYLE_NORMAL, bits[i].meaning);
	}
	return (int)n;
}

static struct rect take(struct rect *r, int h)
{
	struct rect top = *r;

	top.h = h < r->h ? h : r->h;
	r->y += top.h;
	r->h -= top.h;
	return top;
}

static void draw_side(const struct exit_state *st, struct screen *s, struct rect r)
{
	const struct explain *x = &st->x;
	struct rect box, in;
	char title[80];

	box = take(&r, (x->n_qual ? (int)x->n_qual : 1) + 2);
	snprintf(title, sizeof(title), "Qualification %#llx, bit by bit", (unsigned long long)st->e.qual);
	in = screen_box(s, &box, title);
	if (x->n_qual)
		draw_bit_table(s, &in, x->qual, x->n_qual);
	else
		screen_text(s, in.x + 1, in.y, in.w - 1, STYLE_DIM, "this reason defines no qualification");
	if (x->n_intr) {
		box = take(&r, (int)x->n_intr + 2);
		snprintf(title, sizeof(title), "Interruption information %#x", st->e.intr_info);
		in = screen_box(s, &box, title);
		draw_bit_table(s, &in, x->intr, x->n_intr);
	}
	in = screen_box(s, &r, "As it was recorded");
	struct pen p = {.s = s, .r = {in.x + 1, in.y, in.w - 1, in.h}};
	struct rect old = s->clip;

	screen_clip(s, &in);
	draw_raw(&p, st);
	s->clip = old;
}

/* Scrolls: st->lines and st->room are what move() needs. */
static void draw_scrolled(struct exit_state *st, struct screen *s, const struct rect *r, bool airy, bool bits)
{
	struct pen p = {.s = s, .r = *r, .y = -st->skip, .airy = airy};
	struct rect old = s->clip;

	screen_clip(s, r);
	if (st->raw && bits)
		draw_raw(&p, st);
	else
		draw_story(&p, st, bits);
	s->clip = old;
	st->lines = p.y + st->skip;
	st->room = r->h;
}

static void draw_wide(struct exit_state *st, struct screen *s, const struct rect *r)
{
	struct rect list = {r->x, r->y + 2, LIST_W, r->h - 2};
	struct rect main = {r->x + LIST_W, r->y + 2, r->w - LIST_W - SIDE_W, r->h - 2};
	struct rect side = {r->x + r->w - SIDE_W, r->y + 2, SIDE_W, r->h - 2};
	struct rect in;

	draw_head(st, s, &(struct rect){r->x + 1, r->y, r->w - 2, 2});
	draw_list(st, s, &list);
	in = screen_box(s, &main, "What happened");
	draw_scrolled(st, s, &(struct rect){in.x + 1, in.y, in.w - 2, in.h}, true, false);
	draw_side(st, s, side);
}

void exit_draw(const struct app *a, struct exit_state *st, struct screen *s, const struct rect *r)
{
	(void)a;
	st->list_at = (struct rect){0};
	if (!st->have) {
		st->lines = st->room = 0;
		screen_wrap(s, &(struct rect){r->x + 2, r->y + 1, r->w - 4, r->h - 1}, 0, STYLE_NORMAL,
		    st->missing[0] ? st->missing : "No exit yet.");
		return;
	}
	if (r->w >= WIDE_W && r->h >= WIDE_H) {
		draw_wide(st, s, r);
		return;
	}
	draw_head(st, s, &(struct rect){r->x + 1, r->y, r->w - 2, 2});
	draw_scrolled(st, s, &(struct rect){r->x + 1, r->y + 2, r->w - 2, r->h - 3}, false, true);
	draw_foot(st, s, &(struct rect){r->x, r->y + r->h - 1, r->w, 1});
}
