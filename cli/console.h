/*
 * The guest's console as the command line has it: bytes out are kept (and copied to stdout when it runs live), text in
 * is typed at guest time, so that a run with --keys is as reproducible as one without.
 */
#ifndef VMSCOPE_CLI_CONSOLE_H
#define VMSCOPE_CLI_CONSOLE_H

#include "core/typist.h"

struct console {
	uint8_t *bytes; /* owned */
	size_t n, room;
	bool live;     /* copy to stdout */
	bool failed;   /* memory or stdout gave out */
	uint8_t *keys; /* owned */
	size_t n_keys;
	struct typist typist;
};

/* For vm_config.console; arg is the struct console. */
void console_byte(void *arg, const char *port, uint8_t byte);
/* Arms the typing of text (with its escapes) into vm; the first bytes go in at once, the rest each millisecond of guest
 * time. */
enum err console_type(struct console *c, struct vm *vm, const char *text, struct errmsg *why) MUST_CHECK;
void console_free(struct console *c);

/* Expands \n \r \t \e \\ \xHH in place of text into buf (at least strlen(text) bytes); returns the length. */
size_t console_unescape(const char *text, uint8_t *buf);
/* The first \x in text without two hexadecimal digits after it; NULL when there is none. */
const char *console_bad_escape(const char *text);

#endif
