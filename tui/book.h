/*
 * The built-in book: short pages about virtualization, each with its sources and a demonstration that one key opens.
 * The words are in tui/book/ (one file a chapter); what a page says about this program and its tables is made when the
 * page is laid out, from the tables that the program works by, so that the book cannot disagree with it.
 *
 * Markup of a page's text, by line: "= heading"; "* item" (wrapped with an indent); "| text" (not wrapped); "@name" (a
 * block that is made at run time, see book_blocks.c); an empty line ends a paragraph, everything else is wrapped.
 */
#ifndef VMSCOPE_TUI_BOOK_H
#define VMSCOPE_TUI_BOOK_H

#include "core/cost.h"
#include "tracer/view_model.h"
#include "tui/screen.h"

#define BOOK_SHOWS_MAX 2

/* "Show me": three command lines of the application. */
struct book_show {
	const char *text; /* what is to be seen there */
	const char *open; /* "open hello --controls all"; NULL ends the list */
	const char *run;  /* how far it goes: "vmexit CPUID" */
	const char *view; /* "view exit" */
};

struct book_page {
	const char *chapter, *name, *title, *text;
	const char *sources; /* one a line */
	struct book_show show[BOOK_SHOWS_MAX];
};

const struct book_page *book_pages(unsigned *n);
int book_find(const char *name); /* number of the page; -1: none */

/* What pages say about the present run. */
struct book_facts {
	char run[80]; /* "hello, emulate/II, vtx-ept"; "" when nothing is loaded */
	struct view_verdicts verdicts;
	struct cost_model *cost[2]; /* by type; NULL: not known, then cost_why. The reader's. */
	char cost_why[160];
};

struct book_line {
	char *text;
	enum style style;
};

struct book_lines {
	struct book_line *line; /* owned, as their texts */
	unsigned n, room;
	bool failed; /* out of memory: something is missing */
};

/* The page at this width, without its title and its "show me"; book_lines_free() before it is laid out anew. */
void book_layout(const struct book_page *p, const struct book_facts *f, int w, struct book_lines *out);
void book_lines_free(struct book_lines *l);

/* For the blocks. */
void book_add(struct book_lines *l, enum style style, const char *fmt, ...) PRINTF_LIKE(3, 4);
void book_wrap(struct book_lines *l, enum style style, const char *first, const char *rest, const char *text, int w);
/* "@name": false when there is no such block. */
bool book_block(const char *name, const struct book_facts *f, int w, struct book_lines *out);

#endif
