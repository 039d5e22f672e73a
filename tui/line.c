/*
 * Editing of one line, with history and completion. See line.h.
 */
#include "tui/line.h"

#include <stdlib.h>
#include <string.h>

void line_open(struct line *l, enum line_kind kind, const char *text)
{
	size_t n = strnlen(text, LINE_MAX_BYTES - 1);

	l->kind = kind;
	memcpy(l->text, text, n);
	l->text[n] = '\0';
	l->n = l->at = n;
	l->back = 0;
	l->words.n = l->words.more = 0;
	l->cycle = 0;
}

void line_close(struct line *l)
{
	l->kind = LINE_NONE;
	l->words.n = l->words.more = 0;
}

void line_free(struct line *l)
{
	for (unsigned k = 0; k < LINE_KINDS; k++)
		for (unsigned i = 0; i < l->history[k].n; i++)
			free(l->history[k].item[i]);
	memset(l->history, 0, sizeof(l->history));
}

/* --- editing ---------------------------------------------------------------------------------------------------- */
static void cut(struct line *l, size_t from, size_t to)
{
	memmove(l->text + from, l->text + to, l->n - to + 1);
	l->n -= to - from;
	l->at = from;
}

static void insert(struct line *l, const char *bytes, size_t n)
{
	if (l->n + n >= sizeof(l->text))
		return;
	memmove(l->text + l->at + n, l->text + l->at, l->n - l->at + 1);
	memcpy(l->text + l->at, bytes, n);
	l->n += n;
	l->at += n;
}

static size_t before(const struct line *l, size_t at)
{
	size_t p = 0, next;

	while (p < at && (next = screen_next(l->text, l->n, p)) < at)
		p = next;
	return p;
}

static size_t word_before(const struct line *l)
{
	size_t p = l->at;

	while (p && l->text[p - 1] == ' ')
		p--;
	while (p && l->text[p - 1] != ' ')
		p--;
	return p;
}

/* --- history ---------------------------------------------------------------------------------------------------- */
void line_remember(struct line *l, enum line_kind kind, const char *text)
{
	struct line_history *h = &l->history[kind];
	char *copy;

	if (!*text || (h->n && !strcmp(h->item[h->n - 1], text)) || !(copy = strdup(text)))
		return;
	if (h->n == LINE_HISTORY) {
		free(h->item[0]);
		memmove(h->item, h->item + 1, (LINE_HISTORY - 1) * sizeof(h->item[0]));
		h->n--;
	}
	h->item[h->n++] = copy;
}

static void walk(struct line *l, int dir)
{
	const struct line_history *h = &l->history[l->kind];
	unsigned back = l->back;

	if ((dir < 0 && back == h->n) || (dir > 0 && !back))
		return;
	if (!back)
		memcpy(l->typed, l->text, sizeof(l->typed));
	back = dir < 0 ? back + 1 : back - 1;
	line_open(l, l->kind, back ? h->item[h->n - back] : l->typed);
	l->back = back;
}

/* --- completion ------------------------------------------------------------------------------------------------- */
void line_words_add(struct line_words *out, const char *text, const char *word)
{
	const char *begun = text + out->from;

	if (strncmp(word, begun, strlen(begun)) != 0 || strlen(word) >= LINE_WORD)
		return;
	for (unsigned i = 0; i < out->n; i++)
		if (!strcmp(out->word[i], word))
			return;
	if (out->n == LINE_CANDIDATES) {
		out->more++;
		return;
	}
	strcpy(out->word[out->n++], word);
}

static size_t common_prefix(const struct line_words *w)
{
	size_t n = strlen(w->word[0]);

	for (unsigned i = 1; i < w->n; i++) {
		size_t k = 0;

		while (k < n && w->word[i][k] == w->word[0][k])
			k++;
		n = k;
	}
	return n;
}

static void replace_word(struct line *l, const char *word, size_t n)
{
	cut(l, l->words.from, l->at);
	insert(l, word, n);
}

static void complete(struct line *l)
{
	struct line_words *w = &l->words;
	char head[LINE_MAX_BYTES];
	size_t n;

	if (w->n > 1) { /* Tab again: one after the other */
		const char *word = w->word[l->cycle];

		replace_word(l, word, strlen(word));
		l->cycle = (l->cycle + 1) % w->n;
		return;
	}
	if (!l->complete)
		return;
	*w = (struct line_words){0};
	memcpy(head, l->text, l->at);
	head[l->at] = '\0';
	l->complete(l->arg, head, w);
	l->cycle = 0;
	if (!w->n)
		return;
	n = w->more ? 0 : common_prefix(w);
	if (w->n == 1) {
		replace_word(l, w->word[0], n);
		if (l->text[l->at] != ' ')
			insert(l, " ", 1);
		w->n = 0;
	} else if (n > l->at - w->from) {
		replace_word(l, w->word[0], n);
	}
}

/* --- keys ------------------------------------------------------------------------------------------------------- */
static enum line_result edit(struct line *l, uint32_t key)
{
	switch (key) {
	case KEY_N_LEFT:
	case 'b' | KEY_CTRL:
		l->at = before(l, l->at);
		break;
	case KEY_N_RIGHT:
	case 'f' | KEY_CTRL:
		l->at = screen_next(l->text, l->n, l->at);
		break;
	case KEY_N_HOME:
	case 'a' | KEY_CTRL:
		l->at = 0;
		break;
	case KEY_N_END:
	case 'e' | KEY_CTRL:
		l->at = l->n;
		break;
	case KEY_N_BACKSPACE:
		if (!l->n)
			return LINE_CANCELLED;
		cut(l, before(l, l->at), l->at);
		break;
	case KEY_N_DELETE:
	case 'd' | KEY_CTRL:
		cut(l, l->at, screen_next(l->text, l->n, l->at));
		break;
	case 'u' | KEY_CTRL:
		cut(l, 0, l->at);
		break;
	case 'k' | KEY_CTRL:
		cut(l, l->at, l->n);
		break;
	case 'w' | KEY_CTRL:
		cut(l, word_before(l), l->at);
		break;
	default:
		return LINE_IGNORED;
	}
	return LINE_EDITED;
}

enum line_result line_key(struct line *l, uint32_t key)
{
	char utf8[4];

	if (key == KEY_N_TAB) {
		complete(l);
		return LINE_EDITED;
	}
	l->words.n = l->words.more = 0;
	switch (key) {
	case KEY_N_ENTER:
		return LINE_DONE;
	case KEY_N_ESC:
	case 'c' | KEY_CTRL:
	case 'g' | KEY_CTRL:
		return LINE_CANCELLED;
	case KEY_N_UP:
	case 'p' | KEY_CTRL:
		walk(l, -1);
		return LINE_EDITED;
	case KEY_N_DOWN:
	case 'n' | KEY_CTRL:
		walk(l, 1);
		return LINE_EDITED;
	default:
		break;
	}
	if (key >= ' ' && key < KEY_NAMED && key != 0x7f) {
		insert(l, utf8, screen_utf8(key, utf8));
		return LINE_EDITED;
	}
	return edit(l, key);
}

void line_draw(const struct line *l, struct screen *s, int x, int y, int w)
{
	static const char prompt[LINE_KINDS] = {[LINE_COMMAND] = ':', [LINE_SEARCH] = '/', [LINE_FILTER] = '\\'};
	int caret = 0, skip = 0;
	size_t from = 0;

	if (w < 3)
		return;
	for (size_t p = 0; p < l->at; p = screen_next(l->text, l->n, p))
		caret++;
	/* A long line scrolls by half the width, so that the caret does not run along the edge. */
	while (caret - skip > w - 3)
		skip += w / 2;
	for (int i = 0; i < skip; i++)
		from = screen_next(l->text, l->n, from);
	screen_put(s, x, y, (unsigned char)prompt[l->kind], STYLE_STRONG);
	screen_textn(s, x + 1, y, w - 1, STYLE_NORMAL, l->text + from, l->n - from);
	s->cursor_x = x + 1 + caret - skip;
	s->cursor_y = y;
}
