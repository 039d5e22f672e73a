/*
 * Lua text as a list of tokens: enough to change a program in one place, and to know its line.
 */
#ifndef VMSCOPE_LABS_LUA_TOKENS_H
#define VMSCOPE_LABS_LUA_TOKENS_H

#include <stddef.h>

#include "core/err.h"

enum lua_token_kind {
	LUA_TOKEN_NAME, /* and words of the language */
	LUA_TOKEN_NUMBER,
	LUA_TOKEN_STRING, /* with its quotes or brackets */
	LUA_TOKEN_OP
};

struct lua_token {
	enum lua_token_kind kind;
	size_t at, n;  /* in the text */
	unsigned line; /* from 1 */
};

/* The caller frees the list. ERR_FORMAT: the text does not consist of tokens. Comments are left out. */
enum err lua_tokens(const char *text, size_t n, struct lua_token **out, size_t *count) MUST_CHECK;

#endif
