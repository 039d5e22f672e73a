#include "labs/clean.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/types.h"

#define ELLIPSIS "\xe2\x80\xa6"

struct range {
	uint32_t lo, hi;
};

static bool within(uint32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= r[i].lo && c <= r[i].hi)
			return true;
	return false;
}

/* The character at s, and its length in bytes; 0: what is there is no UTF-8. */
static size_t decode(const uint8_t *s, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	*c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (s[i] & 0x3f);
	}
	if (n && (*c < least[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff)))
		return 0;
	return n;
}

/* What must not be shown as it is. */
static bool unfit(uint32_t c)
{
	static const struct range ranges[] = {
	    {0, 0x1f},		 /* C0 */
	    {0x7f, 0x9f},	 /* DEL, C1 */
	    {0xad, 0xad},	 /* soft hyphen */
	    {0x61c, 0x61c},	 /* the direction of text */
	    {0x180e, 0x180e},	 /* invisible */
	    {0x200b, 0x200b},	 /* invisible */
	    {0x200e, 0x200f},	 /* direction */
	    {0x2028, 0x202e},	 /* ends of lines; direction */
	    {0x2060, 0x206f},	 /* invisible; direction */
	    {0xe000, 0xf8ff},	 /* means nothing to anybody else */
	    {0xfeff, 0xfeff},	 /* invisible */
	    {0xfff0, 0xfffb},	 /* annotations */
	    {0xfffe, 0xffff},	 /* no characters; XML forbids them */
	    {0xe0000, 0x10ffff}, /* tags; private */
	};
	return within(c, ranges, ARRAY_LEN(ranges)) || (c & 0xfffe) == 0xfffe;
}

static size_t escape(uint32_t c, char out[16])
{
	if (c == '\n')
		return (size_t)snprintf(out, 16, "\\n");
	if (c == '\t')
		return (size_t)snprintf(out, 16, "\\t");
	if (c == '\r')
		return (size_t)snprintf(out, 16, "\\r");
	return (size_t)snprintf(out, 16, c < 0x80 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\u{%x}", c);
}

/* A buffer that is cut with "…". */
struct cut {
	char *buf;
	size_t max, used, safe; /* safe: up to here, and "…" */
	bool full;
};

static void put(struct cut *c, const void *piece, size_t n)
{
	if (c->full || c->used + n > c->max) {
		c->full = true;
		return;
	}
	memcpy(c->buf + c->used, piece, n);
	c->used += n;
	if (c->used + strlen(ELLIPSIS) <= c->max)
		c->safe = c->used;
}

char *clean_text(const char *text, size_t max)
{
	const uint8_t *s = (const uint8_t *)(text ? text : "");
	struct cut out = {.buf = malloc(max + 1), .max = max};
	char spelled[16];
	uint32_t c;

	if (!out.buf)
		return NULL;
	for (size_t len; *s && !out.full; s += len ? len : 1) {
		len = decode(s, &c);
		if (len && !unfit(c)) {
			put(&out, s, len);
			continue;
		}
		/* What is spelled may be cut anywhere, as it would be the second time. */
		size_t n = len ? escape(c, spelled) : (size_t)snprintf(spelled, sizeof spelled, "\\x%02x", *s);
		for (size_t i = 0; i < n; i++)
			put(&out, spelled + i, 1);
	}
	if (out.full)
		memcpy(out.buf + out.safe, ELLIPSIS, sizeof ELLIPSIS);
	else
		out.buf[out.used] = 0;
	return out.buf;
}

static size_t columns_of(uint32_t c)
{
	/* Combining marks take no column; East Asian characters and pictures take two. */
	static const struct range none[] = {{0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x610, 0x61a},
	    {0x64b, 0x65f}, {0x200c, 0x200d}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
	static const struct range two[] = {{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3},
	    {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f},
	    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
	return within(c, none, ARRAY_LEN(none)) ? 0 : within(c, two, ARRAY_LEN(two)) ? 2 : 1;
}

size_t clean_columns(const char *s)
{
	size_t n = 0;
	uint32_t c;

	for (const uint8_t *p = (const uint8_t *)s; *p;) {
		size_t len = decode(p, &c);
		n += len ? columns_of(c) : 1;
		p += len ? len : 1;
	}
	return n;
}

size_t clean_fit(const char *s, size_t columns)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t c;

	while (*p) {
		size_t len = decode(p, &c), w = len ? columns_of(c) : 1;
		if (w > columns)
			break;
		columns -= w;
		p += len ? len : 1;
	}
	return (size_t)(p - (const uint8_t *)s);
}

void clean_wrap(FILE *out, const char *text, size_t column, size_t hang, size_t width)
{
	bool first = column > hang; /* something stands in this line already */

	while (width && clean_columns(text) > width - column) {
		size_t fit = clean_fit(text, width - column), cut = fit;

		while (cut > 0 && text[cut] != ' ')
			cut--;
		if (cut > 0) {
			fprintf(out, "%.*s", (int)cut, text);
			text += cut + 1;
		} else if (!first) { /* a word that is longer than a line */
			fprintf(out, "%.*s", (int)fit, text);
			text += fit;
		}
		fprintf(out, "\n%*s", (int)hang, "");
		column = hang;
		first = false;
	}
	fprintf(out, "%s\n", text);
}
