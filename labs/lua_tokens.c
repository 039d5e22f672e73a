/*
 * The lexical part of Lua 5.4 [Lua 5.4 Reference Manual, 3.1].
 */
#include "labs/lua_tokens.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct lexer {
	const char *s;
	size_t n, at;
	unsigned line;
};

static char peek(const struct lexer *x, size_t ahead)
{
	return x->at + ahead < x->n ? x->s[x->at + ahead] : 0;
}

static void advance(struct lexer *x, size_t n)
{
	while (n-- && x->at < x->n)
		x->line += x->s[x->at++] == '\n';
}

/* [[, [=[, ...: the number of '='; -1: no long bracket. */
static int long_level(const struct lexer *x)
{
	size_t i = 1;

	if (peek(x, 0) != '[')
		return -1;
	while (peek(x, i) == '=')
		i++;
	return peek(x, i) == '[' ? (int)i - 1 : -1;
}

static bool skip_long(struct lexer *x, int level)
{
	advance(x, (size_t)level + 2);
	while (x->at < x->n) {
		int i = 0;
		if (peek(x, 0) == ']')
			for (i = 1; i <= level && peek(x, (size_t)i) == '='; i++)
				;
		if (i == level + 1 && peek(x, (size_t)i) == ']') {
			advance(x, (size_t)level + 2);
			return true;
		}
		advance(x, 1);
	}
	return false;
}

static bool skip_comment(struct lexer *x)
{
	advance(x, 2);
	int level = long_level(x);
	if (level >= 0)
		return skip_long(x, level);
	while (x->at < x->n && peek(x, 0) != '\n')
		advance(x, 1);
	return true;
}

static bool skip_space(struct lexer *x)
{
	for (;;) {
		if (x->at < x->n && isspace((unsigned char)peek(x, 0)))
			advance(x, 1);
		else if (peek(x, 0) == '-' && peek(x, 1) == '-') {
			if (!skip_comment(x))
				return false;
		} else {
			return true;
		}
	}
}

static bool skip_quoted(struct lexer *x)
{
	char quote = peek(x, 0);

	advance(x, 1);
	while (x->at < x->n && peek(x, 0) != quote) {
		if (peek(x, 0) == '\n')
			return false;
		if (peek(x, 0) == '\\' && peek(x, 1) == 'z') {
			advance(x, 2);
			while (isspace((unsigned char)peek(x, 0)))
				advance(x, 1);
			continue;
		}
		advance(x, peek(x, 0) == '\\' ? 2 : 1);
	}
	if (x->at >= x->n)
		return false;
	advance(x, 1);
	return true;
}

static void skip_number(struct lexer *x)
{
	bool hex = peek(x, 0) == '0' && (peek(x, 1) | 32) == 'x';

	if (hex)
		advance(x, 2);
	for (;;) {
		char c = peek(x, 0), low = (char)(c | 32);
		if (low == (hex ? 'p' : 'e') && (peek(x, 1) == '+' || peek(x, 1) == '-'))
			advance(x, 2);
		else if (isalnum((unsigned char)c) || c == '.')
			advance(x, 1);
		else
			return;
	}
}

static size_t operator_length(const struct lexer *x)
{
	static const char *const ops[] = {"...", "..", "==", "~=", "<=", ">=", "//", "::", "<<", ">>"};

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		size_t n = strlen(ops[i]);
		if (x->at + n <= x->n && memcmp(x->s + x->at, ops[i], n) == 0)
			return n;
	}
	return strchr("+-*/%^#&~|<>=(){}[];:,.", peek(x, 0)) && peek(x, 0) ? 1 : 0;
}

static bool next_token(struct lexer *x, struct lua_token *t)
{
	char c = peek(x, 0);
	bool good = true;

	*t = (struct lua_token){.at = x->at, .line = x->line};
	if (isalpha((unsigned char)c) || c == '_') {
		t->kind = LUA_TOKEN_NAME;
		while (isalnum((unsigned char)peek(x, 0)) || peek(x, 0) == '_')
			advance(x, 1);
	} else if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)peek(x, 1)))) {
		t->kind = LUA_TOKEN_NUMBER;
		skip_number(x);
	} else if (c == '"' || c == '\'') {
		t->kind = LUA_TOKEN_STRING;
		good = skip_quoted(x);
	} else if (long_level(x) >= 0) {
		t->kind = LUA_TOKEN_STRING;
		good = skip_long(x, long_level(x));
	} else {
		size_t n = operator_length(x);
		t->kind = LUA_TOKEN_OP;
		good = n > 0;
		advance(x, n);
	}
	t->n = x->at - t->at;
	return good;
}

enum err lua_tokens(const char *text, size_t n, struct lua_token **out, size_t *count)
{
	struct lexer x = {.s = text, .n = n, .line = 1};
	struct lua_token *list = NULL;
	size_t room = 0;
	enum err e = ERR_FORMAT;

	*out = NULL;
	*count = 0;
	if (peek(&x, 0) == '#')
		while (x.at < n && peek(&x, 0) != '\n')
			advance(&x, 1);
	while (skip_space(&x)) {
		if (x.at >= n) {
			*out = list;
			return ERR_OK;
		}
		if (*count == room) {
			room = room ? 2 * room : 256;
			void *p = realloc(list, room * sizeof *list);
			if (!p) {
				e = ERR_NOMEM;
				break;
			}
			list = p;
		}
		if (!next_token(&x, &list[*count]))
			break;
		++*count;
	}
	free(list);
	*count = 0;
	return e;
}
