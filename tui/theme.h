/*
 * Colour schemes: how each meaning (enum style) looks. A look is attributes and two colours by name; what a terminal
 * with 8, 16 or 256 colours makes of a name is decided here, so that no scheme needs three versions. Dark blue is never
 * written on black.
 */
#ifndef VMSCOPE_TUI_THEME_H
#define VMSCOPE_TUI_THEME_H

#include "core/err.h"
#include "tui/screen.h"

#define LOOK_BOLD (1u << 0)
#define LOOK_DIM (1u << 1)
#define LOOK_UNDERLINE (1u << 2)
#define LOOK_REVERSE (1u << 3)

enum color {
	COLOR_DEFAULT,
	COLOR_BLACK_,
	COLOR_RED_,
	COLOR_GREEN_,
	COLOR_YELLOW_,
	COLOR_BLUE_,
	COLOR_MAGENTA_,
	COLOR_CYAN_,
	COLOR_WHITE_,
	COLOR_GREY_,
	COLOR_BRIGHT_RED,
	COLOR_BRIGHT_GREEN,
	COLOR_BRIGHT_YELLOW,
	COLOR_BRIGHT_BLUE,
	COLOR_BRIGHT_MAGENTA,
	COLOR_BRIGHT_CYAN,
	COLOR_BRIGHT_WHITE,
	COLOR_ORANGE, /* the colour-blind safe set, as in M. Okabe and K. Ito, "Color Universal Design" */
	COLOR_SKY,
	COLOR_TEAL,
	COLOR_LEMON,
	COLOR_VERMILION,
	COLOR_PINK,
	COLOR_NAMES
};

struct look {
	uint8_t fg, bg; /* enum color */
	uint8_t attrs;	/* LOOK_* */
};

/* What a user changed. */
struct theme_override {
	bool set[STYLE_COUNT];
	struct look look[STYLE_COUNT];
};

/* What a terminal is told: colour numbers, -1 the terminal's own. */
struct paint {
	short fg, bg;
	uint8_t attrs;
};

const char *theme_at(unsigned i); /* names; NULL: no more */
bool theme_known(const char *name);
const char *theme_next(const char *name);
/* "green,bold", "white,on red"; ERR_INVAL: what is not known. */
enum err theme_parse_look(const char *text, struct look *out, struct errmsg *why) MUST_CHECK;
struct look theme_look(const char *name, const struct theme_override *o, enum style s);
/* For a terminal with so many colours (0: none). */
struct paint theme_paint(const char *name, const struct theme_override *o, enum style s, int colors);
/* NO_COLOR is set and not empty [https://no-color.org]. */
bool theme_no_color(void);

#endif
