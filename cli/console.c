/*
 * Console bytes out, keys in. See console.h.
 */
#include "cli/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void console_byte(void *arg, const char *port, uint8_t byte)
{
	struct console *c = arg;
	(void)port;
	if (c->n == c->room) {
		size_t room = c->room ? c->room * 2 : 4096;
		uint8_t *more = realloc(c->bytes, room);
		if (!more) {
			c->failed = true;
			return;
		}
		c->bytes = more;
		c->room = room;
	}
	c->bytes[c->n++] = byte;
	if (c->live && (putchar(byte) == EOF || (byte == '\n' && fflush(stdout))))
		c->failed = true;
}

static int hex_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch = (char)(ch | 0x20);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

size_t console_unescape(const char *t, uint8_t *buf)
{
	static const char from[] = "nrte\\", to[] = "\n\r\t\x1b\\";
	size_t n = 0;
	for (; *t; t++) {
		const char *p;
		if (t[0] == '\\' && t[1] && (p = strchr(from, t[1]))) {
			buf[n++] = (uint8_t)to[p - from];
			t++;
		} else if (t[0] == '\\' && t[1] == 'x' && hex_digit(t[2]) >= 0 && hex_digit(t[3]) >= 0) {
			buf[n++] = (uint8_t)(hex_digit(t[2]) << 4 | hex_digit(t[3]));
			t += 3;
		} else {
			buf[n++] = (uint8_t)*t;
		}
	}
	return n;
}

const char *console_bad_escape(const char *t)
{
	for (; *t; t++) {
		if (t[0] != '\\' || !t[1])
			continue;
		if (t[1] == 'x' && (hex_digit(t[2]) < 0 || hex_digit(t[3]) < 0))
			return t;
		t++;
	}
	return NULL;
}

enum err console_type(struct console *c, struct vm *vm, const char *text, struct errmsg *why)
{
	c->keys = malloc(strlen(text) + 1);
	if (!c->keys)
		return err_set(why, ERR_NOMEM, "--keys: no memory");
	c->n_keys = console_unescape(text, c->keys);
	/* A machine elsewhere types for itself: the keys go there with the guest. */
	if (vm->cfg.mode->caps & MODE_CAP_REMOTE)
		return ERR_OK;
	return typist_start(&c->typist, vm, c->keys, c->n_keys, why);
}

void console_free(struct console *c)
{
	free(c->bytes);
	free(c->keys);
	*c = (struct console){0};
}
