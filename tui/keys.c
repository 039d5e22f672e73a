/*
 * Keys by name. See keys.h.
 */
#include "tui/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen.h"

static const struct {
	uint32_t key;
	const char *name;
} named[] = {
    {KEY_N_UP, "Up"},
    {KEY_N_DOWN, "Down"},
    {KEY_N_LEFT, "Left"},
    {KEY_N_RIGHT, "Right"},
    {KEY_N_HOME, "Home"},
    {KEY_N_END, "End"},
    {KEY_N_PGUP, "PgUp"},
    {KEY_N_PGDN, "PgDn"},
    {KEY_N_INSERT, "Insert"},
    {KEY_N_DELETE, "Delete"},
    {KEY_N_BACKSPACE, "Backspace"},
    {KEY_N_ENTER, "Enter"},
    {KEY_N_ESC, "Esc"},
    {KEY_N_TAB, "Tab"},
    {KEY_N_RESIZE, "Resize"},
    {KEY_N_MOUSE, "Mouse"},
    {' ', "Space"},
};

static const char *base_name(uint32_t key, char buf[8])
{
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (named[i].key == key)
			return named[i].name;
	if (key >= KEY_N_F1 && key <= KEY_N_F12) {
		snprintf(buf, 8, "F%u", key - KEY_N_F1 + 1);
		return buf;
	}
	if (key <= ' ' || key >= KEY_NAMED || key == 0x7f)
		return "None";
	n = screen_utf8(key, buf);
	buf[n] = '\0';
	return buf;
}

const char *key_to_name(uint32_t key, char buf[16])
{
	char base[8];

	snprintf(buf, 16, "%s%s%s%s", key & KEY_CTRL ? "C-" : "", key & KEY_META ? "M-" : "",
	    key & KEY_SHIFT ? "S-" : "", base_name(key & ~(KEY_CTRL | KEY_META | KEY_SHIFT), base));
	return buf;
}

/* One character, or nothing. */
static uint32_t one_char(const char *s)
{
	size_t n = strlen(s);
	char again[4];
	uint32_t ch = (unsigned char)s[0];

	if (n == 1)
		return ch > ' ' && ch < 0x7f ? ch : KEY_NONE;
	if (n > 4)
		return KEY_NONE;
	ch &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++)
		ch = ch << 6 | ((unsigned char)s[i] & 0x3f);
	/* Only what is written back as the same bytes was UTF-8. */
	if (ch < 0xa0 || ch >= KEY_NAMED || screen_utf8(ch, again) != n || memcmp(again, s, n) != 0)
		return KEY_NONE;
	return ch;
}

static uint32_t base_by_name(const char *name)
{
	if (!*name)
		return KEY_NONE;
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (!strcmp(named[i].name, name))
			return named[i].key;
	if (name[0] == 'F' && name[1] >= '1' && name[1] <= '9') {
		char *end;
		unsigned long n = strtoul(name + 1, &end, 10);

		return *end || n < 1 || n > 12 ? KEY_NONE : KEY_N_F1 + (uint32_t)n - 1;
	}
	return one_char(name);
}

uint32_t key_by_name(const char *name)
{
	uint32_t mods = 0, base;

	while (name[0] && name[1] == '-' && name[2]) {
		uint32_t mod = name[0] == 'C' ? KEY_CTRL : name[0] == 'M' ? KEY_META : name[0] == 'S' ? KEY_SHIFT : 0;

		if (!mod || (mods & mod))
			return KEY_NONE;
		mods |= mod;
		name += 2;
	}
	base = base_by_name(name);
	if (base == KEY_NONE || ((mods & KEY_SHIFT) && base < KEY_NAMED))
		return KEY_NONE;
	/* Terminals send one code for C-a and C-A. */
	if ((mods & KEY_CTRL) && base >= 'A' && base <= 'Z')
		base += 'a' - 'A';
	return base | mods;
}
