/*
 * tui.lua: what a user changes about keys and colours. It is a Lua chunk in a sandbox of its own (no io, no os, no
 * require, a limit on instructions and memory); what counts is which globals it leaves behind:
 *
 *   keys = { ["C-n"] = "step", ["F9"] = "" }     key -> command line; "" takes a key away
 *   keys_exit = { ... }                          only in the view of that name
 *   theme = "light"                              dark, light, safe, mono
 *   colors = { holds = "green,bold" }            style -> colour[,on colour][,bold|dim|underline|reverse]
 *   ascii = true, mouse = false
 */
#ifndef VMSCOPE_TUI_CONFIG_H
#define VMSCOPE_TUI_CONFIG_H

#include "core/err.h"
#include "tui/keys.h"
#include "tui/theme.h"

struct tui_key {
	char view[16]; /* "": everywhere */
	uint32_t key;
	char *command; /* owned */
};

struct tui_config {
	struct tui_key *keys;
	size_t n_keys;
	char theme[16]; /* "": not said */
	struct theme_override colors;
	int ascii, mouse; /* 1, 0; -1: not said */
};

void config_init(struct tui_config *c); /* nothing said */
/* On an error c is as config_init() leaves it, and why is one line with file and line. ERR_NOENT: there is no file. */
enum err config_load(struct tui_config *c, const char *path, struct errmsg *why) MUST_CHECK;
void config_free(struct tui_config *c);
/* $XDG_CONFIG_HOME/vmscope/tui.lua, or ~/.config/vmscope/tui.lua; NULL: neither variable is set. */
const char *config_path(char *buf, size_t n);
/* The command line that the user gave this key in this view (first), or everywhere; NULL: none. */
const char *config_key(const struct tui_config *c, const char *view, uint32_t key);

#endif
