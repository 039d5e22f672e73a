/*
 * Keys by name: "a", "Space", "Enter", "Esc", "Tab", "S-Tab", "Up", "PgDn", "Home", "F1" .. "F12", "C-l" (control),
 * "M-x" (escape or alt before a key), "Backspace", "Delete", "Mouse". The name is what key tables, help, scripts
 * (":key NAME"), tui.lua and golden tests use.
 */
#ifndef VMSCOPE_TUI_KEYS_H
#define VMSCOPE_TUI_KEYS_H

#include "core/types.h"

#define KEY_CTRL (1u << 24)
#define KEY_META (1u << 25)
#define KEY_SHIFT (1u << 26) /* with named keys only */

enum {
	KEY_NONE = 0, /* otherwise below 0x110000: a Unicode character */
	KEY_NAMED = 0x110000,
	KEY_N_UP = KEY_NAMED,
	KEY_N_DOWN,
	KEY_N_LEFT,
	KEY_N_RIGHT,
	KEY_N_HOME,
	KEY_N_END,
	KEY_N_PGUP,
	KEY_N_PGDN,
	KEY_N_INSERT,
	KEY_N_DELETE,
	KEY_N_BACKSPACE,
	KEY_N_ENTER,
	KEY_N_ESC,
	KEY_N_TAB,
	KEY_N_RESIZE,
	KEY_N_MOUSE,
	KEY_N_F1, /* .. F12 */
	KEY_N_F12 = KEY_N_F1 + 11,
	KEY_N_END_
};

struct key_event {
	uint32_t key; /* with KEY_CTRL etc. */
	/* KEY_N_MOUSE */
	int x, y;
	enum { MOUSE_CLICK, MOUSE_DOUBLE, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN } mouse;
};

/* "C-l"; buf of 16. */
const char *key_to_name(uint32_t key, char buf[16]);
uint32_t key_by_name(const char *name); /* KEY_NONE: unknown */

#endif
