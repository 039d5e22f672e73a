/*
 * Colour schemes. See theme.h.
 */
#include "tui/theme.h"

#include <stdlib.h>
#include <string.h>

/* What a terminal makes of a colour: its number among 256, among 16, and among 8. The last may need an attribute:
 * "grey" of 8 colours is dim white. */
static const struct {
	const char *name;
	short c256, c16, c8;
	uint8_t attrs8;
} colors[COLOR_NAMES] = {
    [COLOR_DEFAULT] = {"default", -1, -1, -1, 0},
    [COLOR_BLACK_] = {"black", 16, 0, 0, 0},
    [COLOR_RED_] = {"red", 160, 1, 1, 0},
    [COLOR_GREEN_] = {"green", 34, 2, 2, 0},
    [COLOR_YELLOW_] = {"yellow", 178, 3, 3, 0},
    [COLOR_BLUE_] = {"blue", 26, 4, 4, 0},
    [COLOR_MAGENTA_] = {"magenta", 127, 5, 5, 0},
    [COLOR_CYAN_] = {"cyan", 37, 6, 6, 0},
    [COLOR_WHITE_] = {"white", 252, 7, 7, 0},
    [COLOR_GREY_] = {"grey", 245, 8, 7, LOOK_DIM},
    [COLOR_BRIGHT_RED] = {"bright-red", 203, 9, 1, LOOK_BOLD},
    [COLOR_BRIGHT_GREEN] = {"bright-green", 83, 10, 2, LOOK_BOLD},
    [COLOR_BRIGHT_YELLOW] = {"bright-yellow", 227, 11, 3, LOOK_BOLD},
    [COLOR_BRIGHT_BLUE] = {"bright-blue", 75, 12, 6, 0},
    [COLOR_BRIGHT_MAGENTA] = {"bright-magenta", 213, 13, 5, LOOK_BOLD},
    [COLOR_BRIGHT_CYAN] = {"bright-cyan", 87, 14, 6, LOOK_BOLD},
    [COLOR_BRIGHT_WHITE] = {"bright-white", 231, 15, 7, LOOK_BOLD},
    [COLOR_ORANGE] = {"orange", 214, 11, 3, 0},
    [COLOR_SKY] = {"sky", 74, 12, 6, 0},
    [COLOR_TEAL] = {"teal", 36, 6, 6, 0},
    [COLOR_LEMON] = {"lemon", 227, 11, 3, LOOK_BOLD},
    [COLOR_VERMILION] = {"vermilion", 202, 9, 1, 0},
    [COLOR_PINK] = {"pink", 175, 13, 5, 0},
};

#define L(style, fg_, bg_, attrs_) [STYLE_##style] = {COLOR_##fg_, COLOR_##bg_, attrs_}

static const struct look dark[STYLE_COUNT] = {
    L(NORMAL, DEFAULT, DEFAULT, 0),
    L(DIM, GREY_, DEFAULT, 0),
    L(STRONG, BRIGHT_WHITE, DEFAULT, LOOK_BOLD),
    L(TITLE, BLACK_, CYAN_, 0),
    L(BAR, BLACK_, CYAN_, 0),
    L(BAR_KEY, BRIGHT_WHITE, BLACK_, LOOK_BOLD),
    L(BORDER, GREY_, DEFAULT, 0),
    L(SELECTED, BLACK_, WHITE_, 0),
    L(MARKED, BRIGHT_YELLOW, DEFAULT, LOOK_BOLD),
    L(MATCH, BLACK_, BRIGHT_YELLOW, 0),
    L(CHANGED, BRIGHT_YELLOW, DEFAULT, LOOK_BOLD),
    L(HOLDS, BRIGHT_GREEN, DEFAULT, 0),
    L(VIOLATED, BRIGHT_RED, DEFAULT, LOOK_BOLD),
    L(UNKNOWN, YELLOW_, DEFAULT, 0),
    L(ERROR, BRIGHT_WHITE, RED_, LOOK_BOLD),
    L(LINK, BRIGHT_CYAN, DEFAULT, LOOK_UNDERLINE),
    L(GUEST, WHITE_, DEFAULT, 0),
    L(CODE, BRIGHT_CYAN, DEFAULT, 0),
    L(ADDRESS, GREY_, DEFAULT, 0),
    L(A, BRIGHT_CYAN, DEFAULT, 0),
    L(B, BRIGHT_YELLOW, DEFAULT, 0),
    L(C, BRIGHT_MAGENTA, DEFAULT, 0),
    L(D, BRIGHT_GREEN, DEFAULT, 0),
};

static const struct look light[STYLE_COUNT] = {
    L(NORMAL, BLACK_, DEFAULT, 0),
    L(DIM, GREY_, DEFAULT, 0),
    L(STRONG, BLACK_, DEFAULT, LOOK_BOLD),
    L(TITLE, WHITE_, BLUE_, LOOK_BOLD),
    L(BAR, WHITE_, BLUE_, 0),
    L(BAR_KEY, BLACK_, WHITE_, LOOK_BOLD),
    L(BORDER, GREY_, DEFAULT, 0),
    L(SELECTED, WHITE_, BLACK_, 0),
    L(MARKED, MAGENTA_, DEFAULT, LOOK_BOLD),
    L(MATCH, BLACK_, YELLOW_, 0),
    L(CHANGED, RED_, DEFAULT, LOOK_BOLD),
    L(HOLDS, GREEN_, DEFAULT, 0),
    L(VIOLATED, RED_, DEFAULT, LOOK_BOLD),
    L(UNKNOWN, MAGENTA_, DEFAULT, 0),
    L(ERROR, WHITE_, RED_, LOOK_BOLD),
    L(LINK, BLUE_, DEFAULT, LOOK_UNDERLINE),
    L(GUEST, BLACK_, DEFAULT, 0),
    L(CODE, BLUE_, DEFAULT, 0),
    L(ADDRESS, GREY_, DEFAULT, 0),
    L(A, BLUE_, DEFAULT, 0),
    L(B, RED_, DEFAULT, 0),
    L(C, MAGENTA_, DEFAULT, 0),
    L(D, GREEN_, DEFAULT, 0),
};

/* Sky blue against orange: the pair that every kind of colour vision tells apart; brightness differs as well. */
static const struct look safe[STYLE_COUNT] = {
    L(NORMAL, BRIGHT_WHITE, BLACK_, 0),
    L(DIM, WHITE_, BLACK_, 0),
    L(STRONG, BRIGHT_WHITE, BLACK_, LOOK_BOLD | LOOK_UNDERLINE),
    L(TITLE, BLACK_, BRIGHT_WHITE, LOOK_BOLD),
    L(BAR, BLACK_, BRIGHT_WHITE, 0),
    L(BAR_KEY, BRIGHT_WHITE, BLACK_, LOOK_BOLD),
    L(BORDER, WHITE_, BLACK_, 0),
    L(SELECTED, BLACK_, LEMON, LOOK_BOLD),
    L(MARKED, LEMON, BLACK_, LOOK_BOLD),
    L(MATCH, BLACK_, SKY, LOOK_BOLD),
    L(CHANGED, ORANGE, BLACK_, LOOK_BOLD | LOOK_UNDERLINE),
    L(HOLDS, SKY, BLACK_, LOOK_BOLD),
    L(VIOLATED, ORANGE, BLACK_, LOOK_BOLD | LOOK_REVERSE),
    L(UNKNOWN, LEMON, BLACK_, 0),
    L(ERROR, BLACK_, ORANGE, LOOK_BOLD),
    L(LINK, SKY, BLACK_, LOOK_UNDERLINE),
    L(GUEST, BRIGHT_WHITE, BLACK_, 0),
    L(CODE, LEMON, BLACK_, 0),
    L(ADDRESS, WHITE_, BLACK_, 0),
    L(A, SKY, BLACK_, 0),
    L(B, ORANGE, BLACK_, 0),
    L(C, LEMON, BLACK_, 0),
    L(D, PINK, BLACK_, 0),
};

static const struct look mono[STYLE_COUNT] = {
    L(DIM, DEFAULT, DEFAULT, LOOK_DIM),
    L(STRONG, DEFAULT, DEFAULT, LOOK_BOLD),
    L(TITLE, DEFAULT, DEFAULT, LOOK_REVERSE),
    L(BAR, DEFAULT, DEFAULT, LOOK_REVERSE),
    L(BAR_KEY, DEFAULT, DEFAULT, LOOK_BOLD),
    L(BORDER, DEFAULT, DEFAULT, LOOK_DIM),
    L(SELECTED, DEFAULT, DEFAULT, LOOK_REVERSE),
    L(MARKED, DEFAULT, DEFAULT, LOOK_BOLD),
    L(MATCH, DEFAULT, DEFAULT, LOOK_UNDERLINE | LOOK_BOLD),
    L(CHANGED, DEFAULT, DEFAULT, LOOK_BOLD | LOOK_UNDERLINE),
    L(HOLDS, DEFAULT, DEFAULT, LOOK_BOLD),
    L(VIOLATED, DEFAULT, DEFAULT, LOOK_BOLD | LOOK_REVERSE),
    L(UNKNOWN, DEFAULT, DEFAULT, 0),
    L(ERROR, DEFAULT, DEFAULT, LOOK_BOLD | LOOK_REVERSE),
    L(LINK, DEFAULT, DEFAULT, LOOK_UNDERLINE),
    L(CODE, DEFAULT, DEFAULT, LOOK_BOLD),
    L(ADDRESS, DEFAULT, DEFAULT, LOOK_DIM),
};

static const struct {
	const char *name;
	const struct look *looks;
} schemes[] = {{"dark", dark}, {"light", light}, {"safe", safe}, {"mono", mono}};

const char *theme_at(unsigned i)
{
	return i < ARRAY_LEN(schemes) ? schemes[i].name : NULL;
}

static unsigned index_of(const char *name)
{
	unsigned i = 0;

	while (i < ARRAY_LEN(schemes) && strcmp(schemes[i].name, name) != 0)
		i++;
	return i;
}

bool theme_known(const char *name)
{
	return index_of(name) < ARRAY_LEN(schemes);
}

const char *theme_next(const char *name)
{
	return schemes[(index_of(name) + 1) % ARRAY_LEN(schemes)].name;
}

/* --- what a user writes ----------------------------------------------------------------------------------------- */
static bool color_by_name(const char *name, uint8_t *out)
{
	for (unsigned i = 0; i < COLOR_NAMES; i++)
		if (!strcmp(colors[i].name, name)) {
			*out = (uint8_t)i;
			return true;
		}
	return false;
}

static bool one_part(const char *part, struct look *out)
{
	static const struct {
		const char *name;
		uint8_t bit;
	} attrs[] = {{"bold", LOOK_BOLD}, {"dim", LOOK_DIM}, {"underline", LOOK_UNDERLINE}, {"reverse", LOOK_REVERSE}};

	for (unsigned i = 0; i < ARRAY_LEN(attrs); i++)
		if (!strcmp(attrs[i].name, part)) {
			out->attrs |= attrs[i].bit;
			return true;
		}
	if (!strncmp(part, "on ", 3))
		return color_by_name(part + 3, &out->bg);
	return color_by_name(part, &out->fg);
}

enum err theme_parse_look(const char *text, struct look *out, struct errmsg *why)
{
	*out = (struct look){0};
	while (*text) {
		char part[32];
		size_t n = strcspn(text, ","), k = n;

		while (k && text[k - 1] == ' ')
			k--;
		if (k >= sizeof(part))
			k = sizeof(part) - 1;
		memcpy(part, text, k);
		part[k] = '\0';
		if (!one_part(part, out))
			return err_set(
			    why, ERR_INVAL, "'%s' is no colour and no attribute (as in \"green,on black,bold\")", part);
		text += n;
		while (*text == ',' || *text == ' ')
			text++;
	}
	return ERR_OK;
}

/* --- what a terminal is told ------------------------------------------------------------------------------------ */
struct look theme_look(const char *name, const struct theme_override *o, enum style s)
{
	unsigned i = index_of(name);

	if (o && o->set[s])
		return o->look[s];
	return i < ARRAY_LEN(schemes) ? schemes[i].looks[s] : mono[s];
}

static bool is_mono(const char *name)
{
	return !strcmp(name, "mono");
}

struct paint theme_paint(const char *name, const struct theme_override *o, enum style s, int n)
{
	struct look l = theme_look(name, o, s);
	struct paint p = {-1, -1, l.attrs};

	/* Without colours, the scheme that needs none. */
	if (n < 8 || is_mono(name)) {
		p.attrs = n < 8 && !is_mono(name) ? mono[s].attrs : l.attrs;
		return p;
	}
	/* Dark blue on black, or on a background that may be black, cannot be read. */
	if (l.fg == COLOR_BLUE_ && (l.bg == COLOR_BLACK_ || (l.bg == COLOR_DEFAULT && strcmp(name, "light") != 0)))
		l.fg = COLOR_BRIGHT_BLUE;
	p.fg = n >= 256 ? colors[l.fg].c256 : n >= 16 ? colors[l.fg].c16 : colors[l.fg].c8;
	p.bg = n >= 256 ? colors[l.bg].c256 : n >= 16 ? colors[l.bg].c16 : colors[l.bg].c8;
	if (n < 16)
		p.attrs |= colors[l.fg].attrs8;
	/* "grey" of 16 colours on black is colour 8, which some terminals show as black. */
	if (p.fg == p.bg)
		p.fg = -1;
	return p;
}

bool theme_no_color(void)
{
	const char *v = getenv("NO_COLOR");

	return v && *v;
}
