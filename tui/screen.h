/*
 * The screen: a buffer of cells that views draw into and that a terminal (tui/term.h) or a file (text twin, golden
 * screens, P) prints. Nothing here knows curses. A cell is one column wide; text is cut at the clip rectangle; control
 * characters and bytes that are not UTF-8 are shown as a visible substitute, so nothing that a guest wrote is obeyed.
 */
#ifndef VMSCOPE_TUI_SCREEN_H
#define VMSCOPE_TUI_SCREEN_H

#include "core/types.h"

/* What a cell means; a theme (tui/theme.h) says how it looks. Meaning is never by colour alone: a glyph or a word goes
 * with it. */
enum style {
	STYLE_NORMAL,
	STYLE_DIM,     /* labels, units, what is past or not known */
	STYLE_STRONG,  /* headings, values that matter */
	STYLE_TITLE,   /* the line at the top */
	STYLE_BAR,     /* function-key bar: the word */
	STYLE_BAR_KEY, /* function-key bar: the key */
	STYLE_BORDER,
	STYLE_SELECTED, /* the line of the cursor */
	STYLE_MARKED,	/* Space */
	STYLE_MATCH,	/* what / found */
	STYLE_CHANGED,	/* a value that is not what it was */
	STYLE_HOLDS,
	STYLE_VIOLATED,
	STYLE_UNKNOWN,
	STYLE_ERROR,
	STYLE_LINK,  /* Enter goes somewhere */
	STYLE_GUEST, /* bytes that the guest wrote */
	STYLE_CODE,  /* mnemonics */
	STYLE_ADDRESS,
	STYLE_A, /* series of a chart */
	STYLE_B,
	STYLE_C,
	STYLE_D,
	STYLE_COUNT
};

/* "holds", as tui.lua and golden screens write it. */
const char *style_name(enum style s);
bool style_by_name(const char *name, enum style *out);

struct cell {
	uint32_t ch;	 /* Unicode; one column */
	uint8_t style;	 /* enum style */
	uint8_t reverse; /* shown reversed, on top of the style */
};

struct rect {
	int x, y, w, h;
};

/* Symbols that exist twice: UTF-8 and ASCII. */
enum glyph {
	GLYPH_HLINE,
	GLYPH_VLINE,
	GLYPH_UL,
	GLYPH_UR,
	GLYPH_LL,
	GLYPH_LR,
	GLYPH_TEE_L, /* |- */
	GLYPH_TEE_R,
	GLYPH_TEE_D,
	GLYPH_TEE_U,
	GLYPH_CROSS,
	GLYPH_HOLDS,	/* check mark, + */
	GLYPH_VIOLATED, /* x */
	GLYPH_UNKNOWN,	/* ? */
	GLYPH_NA,	/* - */
	GLYPH_RUNNING,	/* triangle, > */
	GLYPH_STOPPED,	/* two bars, = */
	GLYPH_ENDED,	/* square, # */
	GLYPH_BULLET,
	GLYPH_ARROW, /* -> */
	GLYPH_UP,
	GLYPH_DOWN,
	GLYPH_SORT,  /* mark of the sort column */
	GLYPH_MARK,  /* Space */
	GLYPH_BREAK, /* a breakpoint stands here */
	GLYPH_ELLIPSIS,
	GLYPH_SPARK_0, /* eight levels of a sparkline: "_.:-=+*#" in ASCII */
	GLYPH_SPARK_7 = GLYPH_SPARK_0 + 7,
	GLYPH_FULL, /* a bar's full cell: #, and its shades */
	GLYPH_SHADE_3,
	GLYPH_SHADE_2,
	GLYPH_SHADE_1,
	GLYPH_COUNT
};

struct screen {
	int w, h;
	struct cell *cells;	/* w * h, owned */
	bool ascii;		/* glyphs in ASCII, other characters outside ASCII as '?' */
	struct rect clip;	/* drawing outside it is left out */
	int cursor_x, cursor_y; /* where the terminal's cursor stands; -1: hidden */
};

bool screen_init(struct screen *s, int w, int h, bool ascii); /* false: out of memory */
void screen_fini(struct screen *s);
bool screen_resize(struct screen *s, int w, int h);
void screen_clear(struct screen *s);
void screen_clip(struct screen *s, const struct rect *r); /* NULL: all */
uint32_t screen_glyph(const struct screen *s, enum glyph g);

void screen_put(struct screen *s, int x, int y, uint32_t ch, enum style style);
/* UTF-8; at most max columns (max < 0: to the clip's edge); returns the columns used. Newlines end it. */
int screen_text(struct screen *s, int x, int y, int max, enum style style, const char *text);
int screen_textn(struct screen *s, int x, int y, int max, enum style style, const char *text, size_t n);
int screen_printf(struct screen *s, int x, int y, int max, enum style style, const char *fmt, ...) PRINTF_LIKE(6, 7);
/* Right-aligned in the max columns from x. */
int screen_right(struct screen *s, int x, int y, int max, enum style style, const char *text);
int screen_columns(const char *text); /* that it takes, to its end or first newline */
/* Bytes of UTF-8 text: where the character at offset `at` ends; and a character as UTF-8, returning its length. */
size_t screen_next(const char *text, size_t n, size_t at);
size_t screen_utf8(uint32_t ch, char buf[4]);
/* Wrapped at words into r from its line `skip` on (negative lines are scrolled out); returns the lines that the whole
 * text needs. */
int screen_wrap(struct screen *s, const struct rect *r, int skip, enum style style, const char *text);
void screen_fill(struct screen *s, const struct rect *r, uint32_t ch, enum style style);
void screen_hline(struct screen *s, int x, int y, int n);
void screen_vline(struct screen *s, int x, int y, int n);
/* A frame with a title in its upper edge (may be NULL); returns what is inside. */
struct rect screen_box(struct screen *s, const struct rect *r, const char *title);
/* A divider line "-- title ------"; returns the rest of r below it. */
struct rect screen_section(struct screen *s, const struct rect *r, const char *title);
/* fraction 0..1 of w columns. */
void screen_bar(struct screen *s, int x, int y, int w, double fraction, enum style style);
void screen_spark(struct screen *s, int x, int y, int w, const uint32_t *values, int n, enum style style);
/* Changes the look of cells that are there: the cursor's line. */
void screen_restyle(struct screen *s, const struct rect *r, enum style style);

/* The screen as UTF-8 lines without trailing blanks, malloc()ed; styles: with a second block that names the style of
 * each run of cells (golden screens). NULL: out of memory. */
char *screen_dump(const struct screen *s, bool styles);

/* Numbers as people read them, in at most 7 columns: "1234", "12.3k", "4.56M"; "1.23us"; "64M". */
const char *fmt_count(uint64_t n, char buf[16]);
const char *fmt_rate(double n, char buf[16]);
const char *fmt_ns(uint64_t ns, char buf[16]);
const char *fmt_bytes(uint64_t n, char buf[16]);

#endif
