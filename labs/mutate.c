/*
 * Making mutants. See mutate.h. Each kind of change is a function that looks at one token, and says what to replace.
 */
#include "labs/mutate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "labs/lua_tokens.h"

struct source {
	struct mutants *out;
	const char *file, *text;
	size_t n;
	const struct lua_token *t;
	size_t count;
	lua_State *L; /* for its parser alone */
	bool failed;  /* no memory */
};

/* --- Tokens ------------------------------------------------------------------------------------------------------- */

static bool is(const struct source *s, size_t i, const char *word)
{
	size_t n = strlen(word);

	return i < s->count && s->t[i].kind != LUA_TOKEN_STRING && s->t[i].n == n &&
	       memcmp(s->text + s->t[i].at, word, n) == 0;
}

static bool is_one_of(const struct source *s, size_t i, const char *const *words)
{
	for (; *words; words++)
		if (is(s, i, *words))
			return true;
	return false;
}

/* The word that closes the block opened at i (an "end" or "until"); count: none. */
static size_t block_end(const struct source *s, size_t i)
{
	static const char *const opens[] = {"function", "if", "do", "repeat", NULL}, *const closes[] = {
											 "end", "until", NULL};
	unsigned depth = 0;

	for (; i < s->count; i++) {
		if (is_one_of(s, i, opens))
			depth++;
		else if (is_one_of(s, i, closes) && --depth == 0)
			return i;
	}
	return s->count;
}

/* The ")" to the "(" at i. */
static size_t paren_end(const struct source *s, size_t i)
{
	unsigned depth = 0;

	for (; i < s->count; i++) {
		if (is(s, i, "("))
			depth++;
		else if (is(s, i, ")") && --depth == 0)
			return i;
	}
	return s->count;
}

/* --- Adding one --------------------------------------------------------------------------------------------------- */

static bool parses(const struct source *s, const char *text, size_t n)
{
	bool good = luaL_loadbufferx(s->L, text, n, "=mutant", "t") == LUA_OK;

	lua_pop(s->L, 1);
	return good;
}

static bool name_taken(const struct mutants *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->list[i].name, name) == 0)
			return true;
	return false;
}

static char *make_name(const struct source *s, unsigned line, const char *what)
{
	char name[300];
	int n = snprintf(name, sizeof name, "%s:%u: %s", s->file, line, what);

	for (unsigned k = 2; n < 280 && name_taken(s->out, name) && k < 1000; k++)
		snprintf(name + n, sizeof name - (size_t)n, " (%u)", k);
	return strdup(name);
}

/* Tokens first to last, both included, become to. */
static void change(struct source *s, size_t first, size_t last, const char *to, const char *what)
{
	size_t from = s->t[first].at, until = s->t[last].at + s->t[last].n, len = strlen(to);
	struct mutant m = {.n = s->n - (until - from) + len + 2};

	m.text = malloc(m.n + 1);
	if (!m.text) {
		s->failed = true;
		return;
	}
	/* Spaces: it may stand beside a word. */
	m.n = (size_t)snprintf(m.text, m.n + 1, "%.*s %s %s", (int)from, s->text, to, s->text + until);
	if (!parses(s, m.text, m.n)) {
		free(m.text);
		return;
	}
	m.name = make_name(s, s->t[first].line, what);
	if (s->out->n == s->out->room) {
		size_t room = s->out->room ? 2 * s->out->room : 64;
		void *p = realloc(s->out->list, room * sizeof m);
		if (p) {
			s->out->list = p;
			s->out->room = room;
		}
	}
	if (!m.name || s->out->n == s->out->room) {
		free(m.name);
		free(m.text);
		s->failed = true;
		return;
	}
	s->out->list[s->out->n++] = m;
}

static void exchange(struct source *s, size_t i, const char *to)
{
	char what[200];

	snprintf(what, sizeof what, "%.*s -> %s", (int)s->t[i].n, s->text + s->t[i].at, to);
	change(s, i, i, to, what);
}

/* --- Kinds of change ---------------------------------------------------------------------------------------------- */

struct pair {
	const char *from, *to;
};

static bool exchange_by(struct source *s, size_t i, const struct pair *pairs, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (is(s, i, pairs[k].from)) {
			exchange(s, i, pairs[k].to);
			return true;
		}
	return false;
}

static void words(struct source *s, size_t i)
{
	static const struct pair pairs[] = {{"and", "or"}, {"or", "and"}, {"true", "false"}, {"false", "true"},
	    {"==", "~="}, {"~=", "=="}, {"<", "<="}, {"<=", "<"}, {">", ">="}, {">=", ">"}, {"+", "-"}, {"-", "+"},
	    {"<<", ">>"}, {">>", "<<"}, {"&", "|"}, {"|", "&"}};

	exchange_by(s, i, pairs, ARRAY_LEN(pairs));
}

static void registers(struct source *s, size_t i)
{
	static const struct pair pairs[] = {{"eax", "ebx"}, {"ebx", "eax"}, {"ecx", "edx"}, {"edx", "ecx"},
	    {"rax", "rbx"}, {"rbx", "rax"}, {"rcx", "rdx"}, {"rdx", "rcx"}, {"rsi", "rdi"}, {"rdi", "rsi"},
	    {"esi", "edi"}, {"edi", "esi"}, {"rsp", "rbp"}, {"rbp", "rsp"}, {"r8", "r9"}, {"r9", "r8"}, {"ax", "bx"},
	    {"bx", "ax"}, {"cx", "dx"}, {"dx", "cx"}, {"cr0", "cr4"}, {"cr2", "cr3"}, {"cr3", "cr2"}, {"cr4", "cr0"}};

	if (i > 0 && is(s, i - 1, "."))
		exchange_by(s, i, pairs, ARRAY_LEN(pairs));
}

/* One more: in the way in which it is written. */
static void numbers(struct source *s, size_t i)
{
	const char *at = s->text + s->t[i].at;
	char was[64], to[80], *end;
	bool hex = at[0] == '0' && (at[1] | 32) == 'x';

	if (s->t[i].kind != LUA_TOKEN_NUMBER || s->t[i].n >= sizeof was)
		return;
	snprintf(was, sizeof was, "%.*s", (int)s->t[i].n, at);
	unsigned long long v = strtoull(was, &end, hex ? 16 : 10);
	if (!*end)
		snprintf(to, sizeof to, hex ? "%#llx" : "%llu", v + 1);
	else if (!hex)
		snprintf(to, sizeof to, "%.10g", strtod(was, NULL) + 1);
	else
		return;
	exchange(s, i, to);
}

static void verdicts(struct source *s, size_t i)
{
	static const struct pair pairs[] = {{"next", "again"}, {"again", "next"}, {"default", "next"}, {"halt", "next"},
	    {"kill", "next"}, {"reset", "next"}};
	const char *at = s->text + s->t[i].at;
	size_t n = s->t[i].n;
	char to[20];

	if (s->t[i].kind != LUA_TOKEN_STRING || n < 3 || (at[0] != '"' && at[0] != '\''))
		return;
	if (n > 9 && strncmp(at + 1, "reflect ", 8) == 0) {
		exchange(s, i, "\"next\"");
		return;
	}
	for (size_t k = 0; k < ARRAY_LEN(pairs); k++)
		if (n - 2 == strlen(pairs[k].from) && strncmp(at + 1, pairs[k].from, n - 2) == 0) {
			snprintf(to, sizeof to, "\"%s\"", pairs[k].to);
			exchange(s, i, to);
			return;
		}
}

/* return X: return nil */
static void returns(struct source *s, size_t i)
{
	static const char *const ends[] = {"end", "else", "elseif", "until", ";", NULL};
	size_t last = i;

	if (!is(s, i, "return"))
		return;
	while (last + 1 < s->count && !is_one_of(s, last + 1, ends)) {
		last++;
		if (is(s, last, "function"))
			last = block_end(s, last);
	}
	if (last == i || last >= s->count || (last == i + 1 && is(s, last, "nil")))
		return;
	change(s, i, last, "return nil", "return ... -> return nil");
}

/* function (...) body end: without its body. */
static void bodies(struct source *s, size_t i)
{
	size_t k = i;

	if (!is(s, i, "function"))
		return;
	while (k < s->count && !is(s, k, "("))
		k++;
	size_t close = paren_end(s, k), end = block_end(s, i);
	if (end >= s->count || close + 1 >= end)
		return;
	change(s, close + 1, end, "end", "a function without its body");
}

/* A call of X:on_exit(...), as a statement or as a value. */
static void handlers(struct source *s, size_t i)
{
	size_t first = i;

	if (!is(s, i, ":") || !is(s, i + 1, "on_exit") || !is(s, i + 2, "(") || i == 0)
		return;
	for (first = i - 1; first >= 2 && is(s, first - 1, "."); first -= 2)
		;
	size_t last = paren_end(s, i + 2);
	if (last >= s->count || s->t[first].kind != LUA_TOKEN_NAME)
		return;
	bool value = first > 0 && (is(s, first - 1, "=") || is(s, first - 1, "return") || is(s, first - 1, ","));
	change(s, first, last, value ? "nil" : "", "a handler dropped");
}

enum err mutants_add(struct mutants *m, const char *file, const char *text, size_t n, struct errmsg *why)
{
	static void (*const kinds[])(struct source *, size_t) = {
	    words, registers, numbers, verdicts, returns, bodies, handlers};
	struct source s = {.out = m, .file = file, .text = text, .n = n};
	struct lua_token *tokens;

	enum err e = lua_tokens(text, n, &tokens, &s.count);
	if (e)
		return err_set(why, e, "%s: it is no Lua that could be read", file);
	s.t = tokens;
	s.L = luaL_newstate();
	if (!s.L || !parses(&s, text, n))
		e = s.L ? err_set(why, ERR_FORMAT, "%s: it is no Lua", file) : err_set(why, ERR_NOMEM, "no memory");
	for (size_t i = 0; !e && i < s.count; i++)
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
			kinds[k](&s, i);
	if (s.L)
		lua_close(s.L);
	free(tokens);
	return e ? e : s.failed ? err_set(why, ERR_NOMEM, "no memory for mutants") : ERR_OK;
}

void mutants_free(struct mutants *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->list[i].name);
		free(m->list[i].text);
	}
	free(m->list);
	*m = (struct mutants){0};
}
