/*
 * Which panels stand where. A page is a row of columns, a column a stack of panels; widths and heights are shares. A
 * small screen has several pages with few panels, a large one has nearly everything on its first.
 */
#include "tui/machine.h"

struct part {
	uint8_t id;
	uint8_t fixed; /* rows with its title line; 0: by share */
	uint8_t share;
};

struct column {
	uint8_t fixed; /* columns; 0: by share */
	uint8_t share;
	struct part part[6]; /* ends with fixed and share 0 */
};

struct page {
	const char *name;
	struct column column[3];
};

static const struct page small_pages[] = {
    {"run", {{0, 1, {{PANEL_CODE, 0, 2}, {PANEL_STACK, 0, 1}}}, {27, 0, {{PANEL_REGISTERS, 0, 1}}}}},
    {"memory", {{0, 1, {{PANEL_BYTES, 0, 1}, {PANEL_READ, 0, 1}, {PANEL_WRITE, 0, 1}, {PANEL_MEMORY, 0, 2}}}}},
    {"paging", {{0, 1, {{PANEL_WALK, 0, 3}, {PANEL_TLB, 0, 1}}}}},
    {"tables", {{0, 1, {{PANEL_SEGMENTS, 11, 0}, {PANEL_TABLES, 0, 1}}}}},
    {"control", {{0, 1, {{PANEL_CONTROL, 0, 3}, {PANEL_MSRS, 0, 2}}}}},
    {"fpu", {{0, 1, {{PANEL_FPU, 0, 1}}}}},
    {"devices", {{0, 1, {{PANEL_DEVICES, 0, 1}}}}},
};

/* 75 columns hold sixteen bytes of memory. */
static const struct page large_pages[] = {
    {"run", {{0, 1, {{PANEL_CODE, 0, 3}, {PANEL_STACK, 0, 2}}},
		{75, 0,
		    {{PANEL_REGISTERS, 16, 0}, {PANEL_SEGMENTS, 11, 0}, {PANEL_BYTES, 4, 0}, {PANEL_READ, 4, 0},
			{PANEL_WRITE, 4, 0}, {PANEL_MEMORY, 0, 1}}},
		{0, 1, {{PANEL_WALK, 0, 2}, {PANEL_DEVICES, 0, 3}}}}},
    {"system", {{0, 1, {{PANEL_CONTROL, 18, 0}, {PANEL_MSRS, 0, 1}}}, {0, 1, {{PANEL_TABLES, 0, 1}, {PANEL_TLB, 0, 1}}},
		   {0, 1, {{PANEL_FPU, 0, 1}}}}},
};

#define LARGE_W 150
#define LARGE_H 40

static const struct page *pages(int w, int h, unsigned *n)
{
	if (w >= LARGE_W && h >= LARGE_H) {
		*n = ARRAY_LEN(large_pages);
		return large_pages;
	}
	*n = ARRAY_LEN(small_pages);
	return small_pages;
}

unsigned machine_pages(int w, int h)
{
	unsigned n;

	pages(w, h, &n);
	return n;
}

const char *machine_page_name(int w, int h, unsigned page)
{
	unsigned n;
	const struct page *p = pages(w, h, &n);

	return p[page % n].name;
}

static bool used(const struct part *p)
{
	return p->fixed || p->share;
}

unsigned machine_page_of(enum machine_panel_id id, int w, int h)
{
	unsigned n;
	const struct page *p = pages(w, h, &n);

	for (unsigned i = 0; i < n; i++)
		for (unsigned c = 0; c < ARRAY_LEN(p->column); c++)
			for (unsigned k = 0; k < ARRAY_LEN(p->column[c].part) && used(&p[i].column[c].part[k]); k++)
				if (p[i].column[c].part[k].id == id)
					return i;
	return 0;
}

/* Panels of a column, top to bottom. */
static unsigned place_column(const struct column *c, int x, int w, int h, struct machine_pane *out)
{
	int fixed = 0, shares = 0, y = 0, rest;
	unsigned n = 0;

	for (; n < ARRAY_LEN(c->part) && used(&c->part[n]); n++) {
		fixed += c->part[n].fixed;
		shares += c->part[n].share;
	}
	rest = h > fixed ? h - fixed : 0;
	for (unsigned i = 0; i < n; i++) {
		int ph = c->part[i].fixed ? c->part[i].fixed : shares ? rest * c->part[i].share / shares : 0;

		if (i == n - 1 || y + ph > h)
			ph = h - y;
		out[i] = (struct machine_pane){(enum machine_panel_id)c->part[i].id, {x, y, w, ph}};
		y += ph;
	}
	return n;
}

unsigned machine_layout(const struct machine_state *m, int w, int h, struct machine_pane out[MACHINE_PANES_MAX])
{
	unsigned n_pages, n = 0;
	const struct page *p = pages(w, h, &n_pages) + m->page % machine_pages(w, h);
	int fixed = 0, shares = 0, columns = 0, x = 0;

	if (m->zoom) {
		out[0] = (struct machine_pane){m->focus, {0, 0, w, h}};
		return 1;
	}
	for (unsigned c = 0; c < ARRAY_LEN(p->column) && (p->column[c].fixed || p->column[c].share); c++, columns++) {
		fixed += p->column[c].fixed;
		shares += p->column[c].share;
	}
	for (int c = 0; c < columns; c++) {
		const struct column *col = &p->column[c];
		int gaps = columns - 1, cw = col->fixed ? col->fixed : (w - fixed - gaps) * col->share / shares;

		if (c == columns - 1)
			cw = w - x;
		n += place_column(col, x, cw, h, out + n);
		x += cw + 1;
	}
	return n;
}
