/*
 * The pages of the book, and their layout into lines. The markup is in tui/book.h, the words are in tui/book/.
 */
#include "tui/book.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOW(text, open, run, view)   \
	{                             \
		text, open, run, view \
	}
#define PAGE(chapter_, name_, title_, text_, sources_, ...) \
	{.chapter = chapter_,                               \
	    .name = name_,                                  \
	    .title = title_,                                \
	    .text = text_,                                  \
	    .sources = sources_,                            \
	    .show = {__VA_ARGS__}},

static const struct book_page pages[] = {
#include "tui/book/1_theory.def"
#include "tui/book/2_x86.def"
#include "tui/book/3_kinds.def"
#include "tui/book/4_resources.def"
};

const struct book_page *book_pages(unsigned *n)
{
	*n = ARRAY_LEN(pages);
	return pages;
}

int book_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
		if (strcmp(pages[i].name, name) == 0)
			return (int)i;
	return -1;
}

void book_lines_free(struct book_lines *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->line[i].text);
	free(l->line);
	*l = (struct book_lines){0};
}

static void add_text(struct book_lines *l, enum style style, char *text)
{
	if (text && l->n == l->room) {
		unsigned room = l->room ? l->room * 2 : 64;
		struct book_line *more = realloc(l->line, room * sizeof *more);
		if (more) {
			l->line = more;
			l->room = room;
		}
	}
	if (!text || l->n == l->room) {
		l->failed = true;
		free(text);
		return;
	}
	l->line[l->n++] = (struct book_line){text, style};
}

void book_add(struct book_lines *l, enum style style, const char *fmt, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	add_text(l, style, text);
}

/* How many bytes of text go into room columns, cut at a blank where there is one. The book is ASCII. */
static size_t fit(const char *text, size_t n, size_t room)
{
	if (n <= room)
		return n;
	for (size_t k = room; k > 0; k--)
		if (text[k] == ' ')
			return k;
	return room;
}

static void wrap(
    struct book_lines *l, enum style style, const char *first, const char *rest, const char *text, size_t n, int w)
{
	const char *lead = first;

	do {
		size_t room = w > (int)strlen(lead) + 10 ? (size_t)w - strlen(lead) : 10;
		size_t k = fit(text, n, room);
		book_add(l, style, "%s%.*s", lead, (int)k, text);
		while (k < n && text[k] == ' ')
			k++;
		text += k;
		n -= k;
		lead = rest;
	} while (n > 0);
}

void book_wrap(struct book_lines *l, enum style style, const char *first, const char *rest, const char *text, int w)
{
	wrap(l, style, first, rest, text, strlen(text), w);
}

static void layout_line(const char *text, size_t n, const struct book_facts *f, int w, struct book_lines *out)
{
	char name[32];

	if (n >= 2 && text[0] == '=')
		book_add(out, STYLE_STRONG, "== %.*s", (int)n - 2, text + 2);
	else if (n >= 2 && text[0] == '*')
		wrap(out, STYLE_NORMAL, "  - ", "    ", text + 2, n - 2, w);
	else if (n >= 2 && text[0] == '|')
		book_add(out, STYLE_CODE, "  %.*s", (int)n - 2, text + 2);
	else if (n >= 2 && text[0] == '@' && n < sizeof name) {
		snprintf(name, sizeof name, "%.*s", (int)n - 1, text + 1);
		if (!book_block(name, f, w, out))
			book_add(out, STYLE_ERROR, "no block %s", name);
	} else
		wrap(out, STYLE_NORMAL, "", "", text, n, w);
}

static void each_line(const char *text,
    void (*line)(const char *, size_t, const struct book_facts *, int, struct book_lines *), const struct book_facts *f,
    int w, struct book_lines *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		line(text, n, f, w, out);
		text += n + (text[n] == '\n');
	}
}

static void layout_source(const char *text, size_t n, const struct book_facts *f, int w, struct book_lines *out)
{
	(void)f;
	wrap(out, STYLE_DIM, "  ", "    ", text, n, w);
}

void book_layout(const struct book_page *p, const struct book_facts *f, int w, struct book_lines *out)
{
	each_line(p->text, layout_line, f, w, out);
	book_add(out, STYLE_NORMAL, "%s", "");
	book_add(out, STYLE_DIM, "Sources");
	each_line(p->sources, layout_source, f, w, out);
}
