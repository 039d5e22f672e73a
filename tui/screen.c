/*
 * The cell buffer: what is put into it, and text of any origin made harmless. See screen.h; shapes (boxes, bars,
 * sparklines) are in screen_shapes.c, numbers in screen_fmt.c.
 */
#include "tui/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBSTITUTE 0xfffdu
#define SCREEN_MAX 4096 /* columns, rows: a terminal that claims more is not believed */

static const char *const style_names[STYLE_COUNT] = {
    [STYLE_NORMAL] = "normal",
    [STYLE_DIM] = "dim",
    [STYLE_STRONG] = "strong",
    [STYLE_TITLE] = "title",
    [STYLE_BAR] = "bar",
    [STYLE_BAR_KEY] = "bar_key",
    [STYLE_BORDER] = "border",
    [STYLE_SELECTED] = "selected",
    [STYLE_MARKED] = "marked",
    [STYLE_MATCH] = "match",
    [STYLE_CHANGED] = "changed",
    [STYLE_HOLDS] = "holds",
    [STYLE_VIOLATED] = "violated",
    [STYLE_UNKNOWN] = "unknown",
    [STYLE_ERROR] = "error",
    [STYLE_LINK] = "link",
    [STYLE_GUEST] = "guest",
    [STYLE_CODE] = "code",
    [STYLE_ADDRESS] = "address",
    [STYLE_A] = "a",
    [STYLE_B] = "b",
    [STYLE_C] = "c",
    [STYLE_D] = "d",
};

const char *style_name(enum style s)
{
	return (unsigned)s < STYLE_COUNT ? style_names[s] : "normal";
}

bool style_by_name(const char *name, enum style *out)
{
	for (unsigned i = 0; i < STYLE_COUNT; i++)
		if (!strcmp(style_names[i], name)) {
			*out = (enum style)i;
			return true;
		}
	return false;
}

/* --- the buffer ------------------------------------------------------------------------------------------------- */
bool screen_init(struct screen *s, int w, int h, bool ascii)
{
	*s = (struct screen){.ascii = ascii, .cursor_x = -1, .cursor_y = -1};
	return screen_resize(s, w, h);
}

void screen_fini(struct screen *s)
{
	free(s->cells);
	s->cells = NULL;
	s->w = s->h = 0;
}

bool screen_resize(struct screen *s, int w, int h)
{
	w = w < 1 ? 1 : w > SCREEN_MAX ? SCREEN_MAX : w;
	h = h < 1 ? 1 : h > SCREEN_MAX ? SCREEN_MAX : h;
	if (w != s->w || h != s->h || !s->cells) {
		struct cell *cells = malloc((size_t)w * (size_t)h * sizeof(*cells));

		if (!cells)
			return false;
		free(s->cells);
		s->cells = cells;
		s->w = w;
		s->h = h;
	}
	screen_clear(s);
	return true;
}

void screen_clear(struct screen *s)
{
	size_t n = (size_t)s->w * (size_t)s->h;

	for (size_t i = 0; i < n; i++)
		s->cells[i] = (struct cell){.ch = ' ', .style = STYLE_NORMAL};
	s->cursor_x = s->cursor_y = -1;
	screen_clip(s, NULL);
}

void screen_clip(struct screen *s, const struct rect *r)
{
	int x0 = 0, y0 = 0, x1 = s->w, y1 = s->h;

	if (r) {
		x0 = r->x > 0 ? r->x : 0;
		y0 = r->y > 0 ? r->y : 0;
		x1 = r->x + r->w < s->w ? r->x + r->w : s->w;
		y1 = r->y + r->h < s->h ? r->y + r->h : s->h;
	}
	s->clip = (struct rect){x0, y0, x1 > x0 ? x1 - x0 : 0, y1 > y0 ? y1 - y0 : 0};
}

static bool inside(const struct rect *r, int x, int y)
{
	return x >= r->x && x < r->x + r->w && y >= r->y && y < r->y + r->h;
}

/* --- characters ------------------------------------------------------------------------------------------------- */
uint32_t screen_glyph(const struct screen *s, enum glyph g)
{
	static const struct {
		uint16_t utf, ascii;
	} glyphs[GLYPH_COUNT] = {
	    [GLYPH_HLINE] = {0x2500, '-'},
	    [GLYPH_VLINE] = {0x2502, '|'},
	    [GLYPH_UL] = {0x250c, '+'},
	    [GLYPH_UR] = {0x2510, '+'},
	    [GLYPH_LL] = {0x2514, '+'},
	    [GLYPH_LR] = {0x2518, '+'},
	    [GLYPH_TEE_L] = {0x251c, '+'},
	    [GLYPH_TEE_R] = {0x2524, '+'},
	    [GLYPH_TEE_D] = {0x252c, '+'},
	    [GLYPH_TEE_U] = {0x2534, '+'},
	    [GLYPH_CROSS] = {0x253c, '+'},
	    [GLYPH_HOLDS] = {0x2713, '+'},
	    [GLYPH_VIOLATED] = {0x2717, 'x'},
	    [GLYPH_UNKNOWN] = {'?', '?'},
	    [GLYPH_NA] = {0x2013, '-'},
	    [GLYPH_RUNNING] = {0x25b6, '>'},
	    [GLYPH_STOPPED] = {0x2016, '='},
	    [GLYPH_ENDED] = {0x25a0, '#'},
	    [GLYPH_BULLET] = {0x2022, '*'},
	    [GLYPH_ARROW] = {0x2192, '>'},
	    [GLYPH_UP] = {0x2191, '^'},
	    [GLYPH_DOWN] = {0x2193, 'v'},
	    [GLYPH_SORT] = {0x25bc, 'v'},
	    [GLYPH_MARK] = {0x25cf, '*'},
	    [GLYPH_BREAK] = {0x25c9, 'B'},
	    [GLYPH_ELLIPSIS] = {0x2026, '~'},
	    [GLYPH_SPARK_0] = {0x2581, '_'},
	    [GLYPH_SPARK_0 + 1] = {0x2582, '.'},
	    [GLYPH_SPARK_0 + 2] = {0x2583, ':'},
	    [GLYPH_SPARK_0 + 3] = {0x2584, '-'},
	    [GLYPH_SPARK_0 + 4] = {0x2585, '='},
	    [GLYPH_SPARK_0 + 5] = {0x2586, '+'},
	    [GLYPH_SPARK_0 + 6] = {0x2587, '*'},
	    [GLYPH_SPARK_7] = {0x2588, '#'},
	    [GLYPH_FULL] = {0x2588, '#'},
	    [GLYPH_SHADE_3] = {0x2593, '='},
	    [GLYPH_SHADE_2] = {0x2592, '-'},
	    [GLYPH_SHADE_1] = {0x2591, '.'},
	};

	return s->ascii ? glyphs[g].ascii : glyphs[g].utf;
}

/* Characters that every terminal shows in one column and writes from left to right. What is not listed (wide,
 * combining, right to left, invisible) is shown as a substitute: a cell buffer that disagrees with the terminal about a
 * width shows everything behind it at the wrong place. */
static bool one_column(uint32_t ch)
{
	static const struct {
		uint16_t lo, hi;
	} ok[] = {
	    {0x20, 0x7e},
	    {0xa0, 0xac},
	    {0xae, 0x2ff}, /* Latin; without the soft hyphen */
	    {0x370, 0x377},
	    {0x37a, 0x37f},
	    {0x384, 0x482},
	    {0x48a, 0x52f}, /* Greek, Cyrillic */
	    {0x2010, 0x2027},
	    {0x2030, 0x205e},
	    {0x2070, 0x209c},
	    {0x20a0, 0x20bf}, /* punctuation, digits, currencies */
	    {0x2100, 0x2319},
	    {0x231c, 0x2328},
	    {0x232b, 0x23e8},
	    {0x2400, 0x2426}, /* letterlike, arrows, mathematics, technical, pictures of control characters */
	    {0x2500, 0x25fc},
	    {0x25ff, 0x2613}, /* boxes, blocks, shapes */
	    {0x2616, 0x2647},
	    {0x2654, 0x267e},
	    {0x2701, 0x2704},
	    {0x2706, 0x2709},
	    {0x270c, 0x2727},
	    {0x2729, 0x274b}, /* symbols */
	    {0x2800, 0x28ff}, /* Braille */
	    {0xfffd, 0xfffd},
	};
	size_t lo = 0, hi = ARRAY_LEN(ok);

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (ch > ok[mid].hi)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < ARRAY_LEN(ok) && ch >= ok[lo].lo;
}

static uint32_t shown(const struct screen *s, uint32_t ch)
{
	if (ch >= 0x20 && ch < 0x7f)
		return ch;
	if (ch == '\t')
		return ' ';
	if (s->ascii)
		return ch == 0xa0 ? ' ' : '?';
	if (ch < 0x20)
		return 0x2400 + ch;
	if (ch == 0x7f)
		return 0x2421;
	return one_column(ch) ? ch : SUBSTITUTE;
}

/* The next character of [p, end); a byte that begins none is the substitute, and one long. */
static uint32_t next_char(const char **p, const char *end)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *b = (const unsigned char *)*p;
	unsigned n = b[0] < 0x80	     ? 1
		     : (b[0] & 0xe0) == 0xc0 ? 2
		     : (b[0] & 0xf0) == 0xe0 ? 3
		     : (b[0] & 0xf8) == 0xf0 ? 4
					     : 0;
	uint32_t ch = n < 2 ? b[0] : b[0] & (0x7fu >> n);

	if (n == 1) {
		(*p)++;
		return ch;
	}
	for (unsigned i = 1; i < n; i++) {
		if ((size_t)(end - *p) <= i || (b[i] & 0xc0) != 0x80)
			n = 0;
		else
			ch = ch << 6 | (b[i] & 0x3fu);
	}
	if (!n || ch < least[n] || ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000)) {
		(*p)++;
		return SUBSTITUTE;
	}
	*p += n;
	return ch;
}

/* Known by the screen already, or a guest's: put as it is, or as its substitute. */
void screen_put(struct screen *s, int x, int y, uint32_t ch, enum style style)
{
	if (inside(&s->clip, x, y))
		s->cells[(size_t)y * (size_t)s->w + (size_t)x] =
		    (struct cell){.ch = shown(s, ch), .style = (uint8_t)style};
}

/* --- text ------------------------------------------------------------------------------------------------------- */
int screen_textn(struct screen *s, int x, int y, int max, enum style style, const char *text, size_t n)
{
	const char *end = text + n;
	int used = 0, room = s->clip.x + s->clip.w - x;

	if (max < 0 || max > room)
		max = room;
	while (used < max && text < end && *text != '\n') {
		uint32_t ch = next_char(&text, end);

		screen_put(s, x + used, y, ch, style);
		used++;
	}
	return used;
}

int screen_text(struct screen *s, int x, int y, int max, enum style style, const char *text)
{
	return screen_textn(s, x, y, max, style, text, strlen(text));
}

int screen_printf(struct screen *s, int x, int y, int max, enum style style, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return screen_text(s, x, y, max, style, text);
}

int screen_columns(const char *text)
{
	const char *end = text + strlen(text);
	int n = 0;

	while (text < end && *text != '\n') {
		next_char(&text, end);
		n++;
	}
	return n;
}

size_t screen_next(const char *text, size_t n, size_t at)
{
	const char *p = text + at;

	if (at >= n)
		return n;
	next_char(&p, text + n);
	return (size_t)(p - text);
}

int screen_right(struct screen *s, int x, int y, int max, enum style style, const char *text)
{
	int n = screen_columns(text);

	if (n > max)
		n = max;
	return screen_text(s, x + max - n, y, n, style, text);
}

/* One line of a wrapped text: how many bytes fit into w columns, cut at a blank where there is one; *next: where the
 * line after it begins. */
static size_t wrap_line(const char *text, int w, const char **next)
{
	const char *end = text + strlen(text), *p = text, *blank = NULL;
	int col = 0;

	while (p < end && *p != '\n' && col < w) {
		if (*p == ' ')
			blank = p;
		next_char(&p, end);
		col++;
	}
	if (p < end && *p == ' ')
		blank = p;
	if (p >= end || *p == '\n') {
		*next = p < end ? p + 1 : end;
		return (size_t)(p - text);
	}
	if (blank && blank > text) {
		*next = blank + 1;
		return (size_t)(blank - text);
	}
	*next = p;
	return (size_t)(p - text);
}

int screen_wrap(struct screen *s, const struct rect *r, int skip, enum style style, const char *text)
{
	int line = 0;

	if (r->w < 1)
		return 0;
	while (*text) {
		const char *next;
		size_t n = wrap_line(text, r->w, &next);

		if (line >= skip && line - skip < r->h)
			screen_textn(s, r->x, r->y + line - skip, r->w, style, text, n);
		text = next;
		line++;
	}
	return line;
}

/* --- the screen as text ----------------------------------------------------------------------------------------- */
static void put_utf8(FILE *f, uint32_t ch)
{
	char buf[4];
	size_t n = screen_utf8(ch, buf);

	fwrite(buf, 1, n, f);
}

size_t screen_utf8(uint32_t ch, char buf[4])
{
	unsigned n = ch < 0x80 ? 1 : ch < 0x800 ? 2 : ch < 0x10000 ? 3 : 4;

	if (n == 1) {
		buf[0] = (char)ch;
		return 1;
	}
	for (unsigned i = n - 1; i; i--, ch >>= 6)
		buf[i] = (char)(0x80 | (ch & 0x3f));
	buf[0] = (char)((0xf00u >> n) | ch);
	return n;
}

static void dump_styles(FILE *f, const struct screen *s)
{
	for (int y = 0; y < s->h; y++) {
		const struct cell *c = s->cells + (size_t)y * (size_t)s->w;
		bool any = false;

		for (int x = 0, end; x < s->w; x = end) {
			for (end = x + 1; end < s->w && c[end].style == c[x].style && c[end].reverse == c[x].reverse;)
				end++;
			if (c[x].style == STYLE_NORMAL && !c[x].reverse)
				continue;
			fprintf(f, any ? ", " : "%d: ", y);
			fprintf(f, "%d-%d %s%s", x, end - 1, style_name((enum style)c[x].style),
			    c[x].reverse ? " reversed" : "");
			any = true;
		}
		if (any)
			fputc('\n', f);
	}
}

char *screen_dump(const struct screen *s, bool styles)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (int y = 0; y < s->h; y++) {
		const struct cell *c = s->cells + (size_t)y * (size_t)s->w;
		int n = s->w;

		while (n && c[n - 1].ch == ' ')
			n--;
		for (int x = 0; x < n; x++)
			put_utf8(f, c[x].ch);
		fputc('\n', f);
	}
	if (styles) {
		fputs("--- styles\n", f);
		dump_styles(f, s);
	}
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
