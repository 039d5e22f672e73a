/*
 * The guest's console in the scope: the end of what it printed, or its screen. Bytes are shown, never obeyed: the
 * screen (tui/screen.h) puts a visible substitute for what is no printable character.
 */
#include <stdio.h>
#include <string.h>

#include "tui/scope_state.h"

#define VGA_LINES 25

/* Lines of the VGA screen up to the last one that is not blank. */
static int vga_used(const struct scope_state *st)
{
	int n = st->has_vga ? VGA_LINES : 0;

	while (n > 0 && st->vga[n - 1][strspn(st->vga[n - 1], " ")] == '\0')
		n--;
	return n;
}

static bool shows_vga(const struct scope_state *st)
{
	if (st->which != CONSOLE_AUTO)
		return st->which == CONSOLE_VGA;
	return st->console_total == 0 && vga_used(st) > 0;
}

/* The beginning of the line before p (which is a beginning itself), at most w bytes long; lines that are longer are
 * folded. */
static size_t line_before(const struct scope_state *st, size_t p, size_t w)
{
	size_t end = p > 0 && st->console[p - 1] == '\n' ? p - 1 : p, b = end;

	while (b > 0 && st->console[b - 1] != '\n')
		b--;
	return end > b ? b + (end - b - 1) / w * w : b;
}

static size_t line_length(const struct scope_state *st, size_t p, size_t w)
{
	size_t n = 0;

	while (n < w && p + n < st->console_n && st->console[p + n] != '\n')
		n++;
	/* \r\n is one end of a line */
	if (n > 0 && p + n < st->console_n && st->console[p + n] == '\n' && st->console[p + n - 1] == '\r')
		n--;
	return n;
}

static void draw_uart(const struct scope_state *st, struct screen *s, const struct rect *r)
{
	size_t w = r->w > 0 ? (size_t)r->w : 1, start[64];
	size_t p = st->console_n;
	int n = 0, room = r->h < 64 ? r->h : 64;

	/* A last line that is empty shows nothing. */
	if (p > 0 && st->console[p - 1] == '\n')
		p--;
	if (p > 0 && st->console[p - 1] == '\r')
		p--;
	if (p > 0 && p == st->console_n)
		p = st->console_n;
	for (bool more = p > 0; more && n < room; n++) {
		p = line_before(st, p, w);
		start[n] = p;
		more = p > 0;
	}
	for (int i = 0; i < n; i++)
		screen_textn(s, r->x, r->y + i, r->w, STYLE_GUEST, st->console + start[n - 1 - i],
		    line_length(st, start[n - 1 - i], w));
	if (n == 0)
		screen_text(s, r->x, r->y, r->w, STYLE_DIM, "the guest has printed nothing yet");
}

void scope_console_draw(const struct scope_state *st, struct screen *s, const struct rect *r)
{
	bool vga = shows_vga(st);
	char title[80], b[16];
	int used = vga_used(st);

	if (vga)
		snprintf(title, sizeof(title), "guest's screen, VGA text");
	else
		snprintf(title, sizeof(title), "guest's console, %s bytes", fmt_count(st->console_total, b));
	struct rect in = screen_section(s, r, title);

	if (!vga) {
		draw_uart(st, s, &in);
		return;
	}
	if (used == 0)
		screen_text(s, in.x, in.y, in.w, STYLE_DIM,
		    st->has_vga ? "the screen is blank" : "there is no screen to be read here");
	for (int i = 0, first = used > in.h ? used - in.h : 0; first + i < used; i++)
		screen_text(s, in.x, in.y + i, in.w, STYLE_GUEST, st->vga[first + i]);
}

/* Text of bytes that may be anything: one character a byte. */
static json_t *bytes_json(const char *p, size_t n)
{
	char utf8[2 * SCOPE_CONSOLE_BYTES];
	size_t used = 0;

	for (size_t i = 0; i < n && used + 2 <= sizeof(utf8); i++) {
		unsigned char c = (unsigned char)p[i];

		if (c >= 0x80) {
			utf8[used++] = (char)(0xc0 | c >> 6);
			c = 0x80 | (c & 0x3f);
		}
		utf8[used++] = (char)c;
	}
	return json_stringn(utf8, used);
}

json_t *scope_console_json(const struct scope_state *st)
{
	json_t *o = json_object(), *lines = json_array();

	json_object_set_new(o, "bytes", json_integer((json_int_t)st->console_total));
	json_object_set_new(o, "tail", bytes_json(st->console, st->console_n));
	for (int i = 0; i < vga_used(st); i++)
		json_array_append_new(lines, bytes_json(st->vga[i], strnlen(st->vga[i], 80)));
	if (!st->has_vga) {
		json_decref(lines);
		lines = json_null();
	}
	json_object_set_new(o, "screen", lines);
	return o;
}
