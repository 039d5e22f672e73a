/*
 * Plain data between Lua and JSON. See plain.h.
 */
#include "labs/plain.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#define ESCAPED 0x10ff00u /* + byte */

/* --- Strings ------------------------------------------------------------------------------------------------------ */

size_t plain_utf8(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

	if (len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

/* U+10FF80 .. U+10FFFF */
static bool is_escape(const unsigned char *p, size_t len)
{
	return len == 4 && p[0] == 0xf4 && p[1] == 0x8f && p[2] >= 0xbe;
}

json_t *plain_string(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	char *to = malloc(4 * n + 1);
	size_t k = 0;

	if (!to)
		return NULL;
	for (size_t i = 0, len; i < n; i += len) {
		len = plain_utf8(p + i, n - i);
		if (len && !is_escape(p + i, len)) {
			memcpy(to + k, p + i, len);
			k += len;
			continue;
		}
		len = 1; /* the byte is 0x80 or more */
		to[k++] = (char)0xf4;
		to[k++] = (char)0x8f;
		to[k++] = (char)(0x80 | (((ESCAPED + p[i]) >> 6) & 0x3f));
		to[k++] = (char)(0x80 | (p[i] & 0x3f));
	}
	json_t *j = json_stringn(to, k);
	free(to);
	return j;
}

static void push_string(lua_State *L, const json_t *j)
{
	const unsigned char *p = (const unsigned char *)json_string_value(j);
	size_t n = json_string_length(j);
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (size_t i = 0, len; i < n; i += len) {
		len = plain_utf8(p + i, n - i);
		len = len ? len : 1;
		if (is_escape(p + i, len))
			luaL_addchar(&b, (char)((p[i + 2] & 3) << 6 | (p[i + 3] & 0x3f)));
		else
			luaL_addlstring(&b, (const char *)p + i, len);
	}
	luaL_pushresult(&b);
}

/* --- From Lua ----------------------------------------------------------------------------------------------------- */

struct walk {
	lua_State *L;
	size_t bytes;
	unsigned depth;
	char path[160];
	struct errmsg *why;
};

static json_t *refuse(struct walk *w, const char *what)
{
	err_set(w->why, ERR_FORMAT, "%s: %s", w->path, what);
	return NULL;
}

static json_t *take(struct walk *w, int index);

struct key {
	bool text;
	lua_Integer i;
	const char *s; /* held by the table */
	size_t n;
};

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	if (x->text != y->text)
		return x->text ? 1 : -1;
	if (!x->text)
		return x->i < y->i ? -1 : x->i > y->i;
	int order = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
	return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

static bool take_keys(struct walk *w, int index, struct key **keys, size_t *n)
{
	size_t room = 0;

	*keys = NULL;
	*n = 0;
	lua_pushnil(w->L);
	while (lua_next(w->L, index)) {
		lua_pop(w->L, 1);
		struct key k = {.text = lua_type(w->L, -1) == LUA_TSTRING};
		if (!k.text && !lua_isinteger(w->L, -1)) {
			lua_pop(w->L, 1);
			refuse(w, "a key is no text and no whole number");
			return false;
		}
		if (k.text)
			k.s = lua_tolstring(w->L, -1, &k.n);
		else
			k.i = lua_tointeger(w->L, -1);
		if (*n == room) {
			room = room ? 2 * room : 16;
			void *p = room < PLAIN_BYTES_MAX ? realloc(*keys, room * sizeof k) : NULL;
			if (!p) {
				lua_pop(w->L, 1);
				refuse(w, "it has too many fields");
				return false;
			}
			*keys = p;
		}
		(*keys)[(*n)++] = k;
	}
	if (*n)
		qsort(*keys, *n, sizeof **keys, compare_keys);
	return true;
}

static json_t *take_field(struct walk *w, int index, const struct key *k)
{
	size_t at = strlen(w->path);

	if (k->text) {
		snprintf(w->path + at, sizeof w->path - at, ".%s", k->s);
		lua_pushlstring(w->L, k->s, k->n);
		lua_rawget(w->L, index);
	} else {
		snprintf(w->path + at, sizeof w->path - at, "[%lld]", (long long)k->i);
		lua_rawgeti(w->L, index, k->i);
	}
	json_t *value = take(w, lua_gettop(w->L));
	lua_pop(w->L, 1);
	w->path[at] = 0;
	return value;
}

/* Arrays and pairs: a list; objects: by name. */
static bool add(json_t *to, const struct key *k, json_t *value, bool object, bool pairs)
{
	if (object) {
		json_t *name = plain_string(k->s, k->n);
		bool good =
		    name && json_object_setn_new(to, json_string_value(name), json_string_length(name), value) == 0;
		json_decref(name);
		return good;
	}
	if (!pairs)
		return json_array_append_new(to, value) == 0;
	json_t *key = k->text ? plain_string(k->s, k->n) : json_integer(k->i);
	return json_array_append_new(to, json_pack("[o, o]", key, value)) == 0;
}

static json_t *take_table(struct walk *w, int index)
{
	struct key *keys;
	size_t n;
	json_t *out = NULL;

	if (++w->depth > PLAIN_DEPTH_MAX || !lua_checkstack(w->L, 8))
		return refuse(w, "tables in tables, too deep (one that holds itself?)");
	if (take_keys(w, index, &keys, &n)) {
		bool array = n == 0 || (!keys[n - 1].text && keys[0].i == 1 && keys[n - 1].i == (lua_Integer)n);
		bool object = n && keys[0].text;
		for (size_t i = 0; object && i < n; i++)
			object = strcmp(keys[i].s, "%pairs") != 0 && strlen(keys[i].s) == keys[i].n;
		out = object ? json_object() : json_array();
		for (size_t i = 0; out && i < n; i++) {
			w->bytes += 8 + keys[i].n;
			json_t *value = take_field(w, index, &keys[i]);
			if (!value || !add(out, &keys[i], value, object, !array && !object)) {
				json_decref(out);
				out = NULL;
			}
		}
		if (out && !array && !object)
			out = json_pack("{s:o}", "%pairs", out);
	}
	free(keys);
	w->depth--;
	return out;
}

static json_t *take_number(struct walk *w, int index)
{
	if (lua_isinteger(w->L, index))
		return json_integer(lua_tointeger(w->L, index));
	double d = lua_tonumber(w->L, index);
	return isfinite(d) ? json_real(d) : refuse(w, "it is no number (infinite, or 0/0)");
}

static json_t *take(struct walk *w, int index)
{
	char words[80];
	const char *s;
	size_t n;

	w->bytes += 8;
	if (w->bytes > PLAIN_BYTES_MAX)
		return refuse(w, "more than 1 MiB: keep less");
	switch (lua_type(w->L, index)) {
	case LUA_TNIL:
		return json_null();
	case LUA_TBOOLEAN:
		return json_boolean(lua_toboolean(w->L, index));
	case LUA_TNUMBER:
		return take_number(w, index);
	case LUA_TSTRING:
		s = lua_tolstring(w->L, index, &n);
		w->bytes += n;
		return w->bytes > PLAIN_BYTES_MAX ? refuse(w, "more than 1 MiB: keep less") : plain_string(s, n);
	case LUA_TTABLE:
		return take_table(w, index);
	default:
		snprintf(words, sizeof words, "a %s is no plain data: numbers, texts, booleans and tables are",
		    lua_typename(w->L, lua_type(w->L, index)));
		return refuse(w, words);
	}
}

enum err plain_from_lua(lua_State *L, int index, const char *name, json_t **out, struct errmsg *why)
{
	struct walk w = {.L = L, .why = why};

	why->text[0] = 0;
	snprintf(w.path, sizeof w.path, "%s", name);
	if (!lua_checkstack(L, 8))
		return err_set(why, ERR_NOMEM, "%s: no room on the stack", name);
	*out = take(&w, lua_absindex(L, index));
	if (*out)
		return ERR_OK;
	return why->text[0] ? ERR_FORMAT : err_set(why, ERR_NOMEM, "%s: no memory", name);
}

/* --- To Lua ------------------------------------------------------------------------------------------------------- */

static void push_array(lua_State *L, const json_t *j)
{
	size_t n = json_array_size(j);

	lua_createtable(L, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		plain_to_lua(L, json_array_get(j, i));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void push_pairs(lua_State *L, const json_t *pairs)
{
	lua_newtable(L);
	for (size_t i = 0; i < json_array_size(pairs); i++) {
		const json_t *pair = json_array_get(pairs, i), *key = json_array_get(pair, 0);
		if (!json_is_string(key) && !json_is_integer(key))
			continue;
		plain_to_lua(L, key);
		plain_to_lua(L, json_array_get(pair, 1));
		lua_rawset(L, -3);
	}
}

static void push_object(lua_State *L, const json_t *j)
{
	union {
		const json_t *in;
		json_t *out;
	} object = {j};
	const json_t *pairs = json_object_get(j, "%pairs");
	const char *key;
	json_t *value;
	size_t n;

	if (json_is_array(pairs)) {
		push_pairs(L, pairs);
		return;
	}
	lua_newtable(L);
	json_object_keylen_foreach(object.out, key, n, value)
	{
		json_t *name = json_stringn(key, n);
		push_string(L, name);
		json_decref(name);
		plain_to_lua(L, value);
		lua_rawset(L, -3);
	}
}

void plain_to_lua(lua_State *L, const json_t *j)
{
	luaL_checkstack(L, 8, "plain data");
	if (json_is_object(j))
		push_object(L, j);
	else if (json_is_array(j))
		push_array(L, j);
	else if (json_is_string(j))
		push_string(L, j);
	else if (json_is_integer(j))
		lua_pushinteger(L, json_integer_value(j));
	else if (json_is_real(j))
		lua_pushnumber(L, json_real_value(j));
	else if (json_is_boolean(j))
		lua_pushboolean(L, json_is_true(j));
	else
		lua_pushnil(L);
}

/* --- For people --------------------------------------------------------------------------------------------------- */

struct show {
	char *buf;
	size_t n, used;
	bool full;
};

static void put(struct show *s, const char *text, size_t n)
{
	if (s->full || s->used + n + 4 > s->n) {
		if (!s->full)
			memcpy(s->buf + s->used, "...", 4);
		s->full = true;
		return;
	}
	memcpy(s->buf + s->used, text, n);
	s->used += n;
	s->buf[s->used] = 0;
}

static void put_text(struct show *s, const char *text, size_t n, bool lines)
{
	const unsigned char *p = (const unsigned char *)text;
	char code[8];

	for (size_t i = 0, len; i < n && !s->full; i += len) {
		len = plain_utf8(p + i, n - i);
		bool control = len == 1 ? p[i] < ' ' || p[i] == 0x7f : len == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0;
		if (lines && len == 1 && (p[i] == '\n' || p[i] == '\t'))
			control = false;
		if (len && !control && !is_escape(p + i, len)) {
			put(s, text + i, len);
			continue;
		}
		unsigned byte = len && is_escape(p + i, len) ? (p[i + 2] & 3u) << 6 | (p[i + 3] & 0x3fu) : p[i];
		len = len && is_escape(p + i, len) ? 4 : 1;
		if (byte == '\n')
			put(s, "\\n", 2);
		else
			put(s, code, (size_t)snprintf(code, sizeof code, "\\x%02x", byte));
	}
}

static void show(struct show *s, const json_t *j, bool quoted);

static void show_table(struct show *s, const json_t *j)
{
	union {
		const json_t *in;
		json_t *out;
	} object = {j};
	const json_t *pairs = json_object_get(j, "%pairs"), *list = pairs ? pairs : j;
	const char *key;
	json_t *value;
	bool first = true;

	put(s, "{", 1);
	for (size_t i = 0; i < json_array_size(list) && !s->full; i++) {
		const json_t *item = json_array_get(list, i);
		put(s, i ? ", " : " ", i ? 2 : 1);
		if (pairs) {
			put(s, "[", 1);
			show(s, json_array_get(item, 0), true);
			put(s, "] = ", 4);
		}
		show(s, pairs ? json_array_get(item, 1) : item, true);
		first = false;
	}
	/* In the order in which plain_from_lua() has put them: sorted. */
	json_object_foreach(object.out, key, value)
	{
		if (pairs || s->full)
			break;
		put(s, first ? " " : ", ", first ? 1 : 2);
		put_text(s, key, strlen(key), false);
		put(s, " = ", 3);
		show(s, value, true);
		first = false;
	}
	put(s, first ? "}" : " }", first ? 1 : 2);
}

static void show(struct show *s, const json_t *j, bool quoted)
{
	char text[64];

	if (json_is_string(j)) {
		put(s, "\"", quoted);
		put_text(s, json_string_value(j), json_string_length(j), false);
		put(s, "\"", quoted);
	} else if (json_is_integer(j)) {
		int64_t i = json_integer_value(j);
		bool big = i >= 4096 || i <= -4096;
		int n = snprintf(text, sizeof text, big ? "%" PRId64 " (%#" PRIx64 ")" : "%" PRId64, i, (uint64_t)i);
		put(s, text, (size_t)n);
	} else if (json_is_real(j)) {
		put(s, text, (size_t)snprintf(text, sizeof text, "%.10g", json_real_value(j)));
	} else if (json_is_boolean(j)) {
		put(s, json_is_true(j) ? "true" : "false", json_is_true(j) ? 4 : 5);
	} else if (json_is_array(j) || json_is_object(j)) {
		show_table(s, j);
	} else {
		put(s, "nil", 3);
	}
}

void plain_show(const json_t *j, bool quoted, char *buf, size_t n)
{
	struct show s = {.buf = buf, .n = n};

	buf[0] = 0;
	show(&s, j, quoted);
}

char *plain_clean(const char *text, size_t n)
{
	struct show s = {.n = 4 * n + 8};

	s.buf = malloc(s.n);
	if (!s.buf)
		return NULL;
	s.buf[0] = 0;
	put_text(&s, text, n, true);
	return s.buf;
}
