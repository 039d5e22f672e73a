/*
 * tui.lua, read. See config.h. The chunk runs in a Lua state that is thrown away; what it left behind is read with raw
 * accesses inside one protected call.
 */
#include "tui/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#define CONFIG_BYTES_MAX (8u << 20)
#define CONFIG_INSNS_MAX 10000000 /* a fraction of a second */
#define CONFIG_KEYS_MAX 1000

struct reading {
	struct tui_config *c;
	const char *path;
	size_t bytes;
};

void config_init(struct tui_config *c)
{
	*c = (struct tui_config){.ascii = -1, .mouse = -1};
}

void config_free(struct tui_config *c)
{
	for (size_t i = 0; i < c->n_keys; i++)
		free(c->keys[i].command);
	free(c->keys);
	config_init(c);
}

const char *config_path(char *buf, size_t n)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	/* Relative paths in XDG_CONFIG_HOME are to be ignored [XDG Base Directory Specification]. */
	if (xdg && xdg[0] == '/')
		snprintf(buf, n, "%s/vmscope/tui.lua", xdg);
	else if (home && home[0])
		snprintf(buf, n, "%s/.config/vmscope/tui.lua", home);
	else
		return NULL;
	return buf;
}

const char *config_key(const struct tui_config *c, const char *view, uint32_t key)
{
	const char *everywhere = NULL;

	for (size_t i = 0; i < c->n_keys; i++) {
		if (c->keys[i].key != key)
			continue;
		if (c->keys[i].view[0] && !strcmp(c->keys[i].view, view))
			return c->keys[i].command;
		if (!c->keys[i].view[0])
			everywhere = c->keys[i].command;
	}
	return everywhere;
}

/* --- the sandbox ------------------------------------------------------------------------------------------------ */
static void *bounded_alloc(void *arg, void *p, size_t old, size_t n)
{
	struct reading *r = arg;
	void *q;

	if (!p)
		old = 0; /* Lua passes the kind of object there */
	if (!n) {
		free(p);
		r->bytes -= old;
		return NULL;
	}
	if (n > old && r->bytes + (n - old) > CONFIG_BYTES_MAX)
		return NULL;
	q = realloc(p, n);
	if (q)
		r->bytes += n - old;
	return q;
}

static void too_long(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	luaL_where(L, 0); /* in a hook, level 0 is the function that it interrupts */
	lua_pushliteral(L, "takes too long, an endless loop?");
	lua_concat(L, 2);
	lua_error(L);
}

static void open_sandbox(lua_State *L)
{
	static const luaL_Reg libs[] = {{LUA_GNAME, luaopen_base}, {LUA_STRLIBNAME, luaopen_string},
	    {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math}};
	/* What reads files, what could hide the limit's error, what prints to the screen, what runs later. */
	static const char *const hidden[] = {"dofile", "load", "loadfile", "collectgarbage", "pcall", "xpcall", "warn",
	    "print", "setmetatable", "require", "package", NULL};

	for (size_t i = 0; i < ARRAY_LEN(libs); i++) {
		luaL_requiref(L, libs[i].name, libs[i].func, 1);
		lua_pop(L, 1);
	}
	for (const char *const *h = hidden; *h; h++) {
		lua_pushnil(L);
		lua_setglobal(L, *h);
	}
	lua_getglobal(L, LUA_STRLIBNAME);
	lua_pushnil(L);
	lua_setfield(L, -2, "dump");
	lua_pop(L, 1);
	lua_sethook(L, too_long, LUA_MASKCOUNT, CONFIG_INSNS_MAX);
}

/* --- what it left behind ---------------------------------------------------------------------------------------- */
/* A table has no line numbers: the line is where the word stands first. */
static unsigned line_of(const char *path, const char *word)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	unsigned n = 0, found = 1;

	while (f && getline(&line, &room, f) >= 0) {
		n++;
		if (strstr(line, word)) {
			found = n;
			break;
		}
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static int wrong(lua_State *L, const struct reading *r, const char *word, const char *text)
{
	return luaL_error(L, "%s:%d: %s", r->path, (int)line_of(r->path, word), text);
}

static void add_key(lua_State *L, struct reading *r, const char *view, const char *name, const char *command)
{
	struct tui_config *c = r->c;
	uint32_t key = key_by_name(name);
	struct tui_key *more;

	if (key == KEY_NONE)
		wrong(L, r, name, lua_pushfstring(L, "'%s' is no key (a, F5, C-l, M-x, PgUp)", name));
	if (strlen(view) >= sizeof(more->view))
		wrong(L, r, view, "there is no view of that name");
	if (c->n_keys >= CONFIG_KEYS_MAX)
		wrong(L, r, "keys", "more than 1000 keys");
	more = realloc(c->keys, (c->n_keys + 1) * sizeof(*more));
	if (!more)
		wrong(L, r, "keys", "no memory for the keys");
	c->keys = more;
	more += c->n_keys;
	*more = (struct tui_key){.key = key, .command = strdup(command)};
	strcpy(more->view, view);
	if (!more->command)
		wrong(L, r, "keys", "no memory for the keys");
	c->n_keys++;
}

/* The table on top of the stack, each of whose pairs has to be two strings. */
static void each(lua_State *L, struct reading *r, const char *global, const char *arg,
    void (*take)(lua_State *L, struct reading *r, const char *arg, const char *key, const char *value))
{
	if (!lua_istable(L, -1))
		wrong(L, r, global, lua_pushfstring(L, "%s has to be a table", global));
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
			wrong(L, r, global, lua_pushfstring(L, "%s: each entry is [\"name\"] = \"text\"", global));
		take(L, r, arg, lua_tostring(L, -2), lua_tostring(L, -1));
	}
}

static void add_color(lua_State *L, struct reading *r, const char *arg, const char *name, const char *value)
{
	struct theme_override *o = &r->c->colors;
	struct errmsg why;
	enum style s;

	(void)arg;
	if (!style_by_name(name, &s))
		wrong(L, r, name, lua_pushfstring(L, "colors: there is no '%s'", name));
	if (theme_parse_look(value, &o->look[s], &why) != ERR_OK)
		wrong(L, r, value, lua_pushfstring(L, "colors.%s: %s", name, why.text));
	o->set[s] = true;
}

static int read_bool(lua_State *L, struct reading *r, const char *name)
{
	int value = -1;

	lua_getglobal(L, name);
	if (lua_isboolean(L, -1))
		value = lua_toboolean(L, -1);
	else if (!lua_isnil(L, -1))
		wrong(L, r, name, lua_pushfstring(L, "%s is true or false", name));
	lua_pop(L, 1);
	return value;
}

static void read_theme(lua_State *L, struct reading *r)
{
	lua_getglobal(L, "theme");
	if (!lua_isnil(L, -1)) {
		const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";

		if (!theme_known(name))
			wrong(L, r, "theme", "theme is \"dark\", \"light\", \"safe\" or \"mono\"");
		strcpy(r->c->theme, name);
	}
	lua_pop(L, 1);
}

/* keys, and keys_NAME of each view. */
static void read_keys(lua_State *L, struct reading *r)
{
	lua_pushglobaltable(L);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";

		if (!strcmp(name, "keys"))
			each(L, r, name, "", add_key);
		else if (!strncmp(name, "keys_", 5))
			each(L, r, name, name + 5, add_key);
	}
	lua_pop(L, 1);
}

/* Protected; argument 1 is the struct reading. */
static int run(lua_State *L)
{
	struct reading *r = lua_touserdata(L, 1);

	open_sandbox(L);
	if (luaL_loadfilex(L, r->path, "t") != LUA_OK)
		return lua_error(L);
	lua_call(L, 0, 0);
	lua_sethook(L, NULL, 0, 0);
	read_keys(L, r);
	read_theme(L, r);
	lua_getglobal(L, "colors");
	if (!lua_isnil(L, -1))
		each(L, r, "colors", NULL, add_color);
	r->c->ascii = read_bool(L, r, "ascii");
	r->c->mouse = read_bool(L, r, "mouse");
	return 0;
}

enum err config_load(struct tui_config *c, const char *path, struct errmsg *why)
{
	struct reading r = {.c = c, .path = path};
	FILE *f = fopen(path, "re");
	enum err e = ERR_OK;
	lua_State *L;

	config_init(c);
	if (!f)
		return err_set(
		    why, errno == ENOENT ? ERR_NOENT : ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
	fclose(f);
	L = lua_newstate(bounded_alloc, &r);
	if (!L)
		return err_set(why, ERR_NOMEM, "%s: no memory for a Lua state", path);
	lua_pushcfunction(L, run);
	lua_pushlightuserdata(L, &r);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
		const char *text = lua_tostring(L, -1);

		/* Running out of memory, and errors that are tables, know no place. */
		if (text && strstr(text, path))
			e = err_set(why, ERR_FORMAT, "%s", text);
		else
			e = err_set(why, ERR_FORMAT, "%s: %s", path, text ? text : "an error that is no text");
		why->text[strcspn(why->text, "\n")] = '\0';
		config_free(c);
	}
	lua_close(L);
	return e;
}
