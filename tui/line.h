/*
 * The line that a person types: editing, history, completion. It knows no command: what may be completed, it asks.
 */
#ifndef VMSCOPE_TUI_LINE_H
#define VMSCOPE_TUI_LINE_H

#include "tui/keys.h"
#include "tui/screen.h"

#define LINE_MAX_BYTES 512
#define LINE_HISTORY 64
#define LINE_CANDIDATES 64
#define LINE_WORD 64

enum line_kind { LINE_NONE, LINE_COMMAND, LINE_SEARCH, LINE_FILTER, LINE_KINDS };
enum line_result { LINE_EDITED, LINE_DONE, LINE_CANCELLED, LINE_IGNORED };

struct line_history {
	char *item[LINE_HISTORY]; /* oldest first */
	unsigned n;
};

/* What may stand at the end of a text: words, and where the word that they would replace begins. */
struct line_words {
	char word[LINE_CANDIDATES][LINE_WORD];
	unsigned n, more; /* more: that were found but not kept */
	size_t from;
};

struct line {
	enum line_kind kind; /* LINE_NONE: closed */
	char text[LINE_MAX_BYTES];
	size_t n, at; /* bytes; at: of the caret */
	struct line_history history[LINE_KINDS];
	unsigned back;		    /* how far in the history; 0: what is being typed */
	char typed[LINE_MAX_BYTES]; /* kept while in the history */
	struct line_words words;    /* of the last Tab, shown until the next key */
	unsigned cycle;		    /* the next Tab takes this word; 0: the first */
	void (*complete)(void *arg, const char *text, struct line_words *out); /* may be NULL */
	void *arg;
};

void line_open(struct line *l, enum line_kind kind, const char *text);
void line_close(struct line *l);
void line_free(struct line *l); /* history */
enum line_result line_key(struct line *l, uint32_t key);
/* What was typed becomes the newest of its history (once, not twice in a row). */
void line_remember(struct line *l, enum line_kind kind, const char *text);
/* With the caret as the cursor. */
void line_draw(const struct line *l, struct screen *s, int x, int y, int w);
/* One more word, when it begins with the text behind out->from. */
void line_words_add(struct line_words *out, const char *text, const char *word);

#endif
