/*
 * lab.lua. See lab_file.h. Everything that can be wrong in it is found here, before anything is graded.
 */
#include "labs/lab_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#define BYTES_MAX (64ull << 20)
#define INSNS_MAX 500000000ull

/* Where the reader is: "tasks[2]." */
struct reader {
	struct lab_file *f;
	char at[80];
};

/* --- Fields ------------------------------------------------------------------------------------------------------- */

static int wrong(lua_State *L, const struct reader *r, const char *field, const char *what)
{
	return luaL_error(L, "lab.lua: %s%s: %s", r->at, field, what);
}

static char *keep(lua_State *L, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		luaL_error(L, "lab.lua: no memory");
	return copy;
}

static void *room(lua_State *L, size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		luaL_error(L, "lab.lua: no memory");
	return p;
}

static char *text_field(lua_State *L, const struct reader *r, const char *field)
{
	lua_getfield(L, -1, field);
	if (lua_type(L, -1) != LUA_TSTRING || !lua_rawlen(L, -1))
		wrong(L, r, field, "a text is needed");
	char *text = keep(L, lua_tostring(L, -1));
	lua_pop(L, 1);
	for (char *p = text; p && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	return text;
}

static double number_field(lua_State *L, const struct reader *r, const char *field, double fallback)
{
	double d = fallback;

	if (lua_getfield(L, -1, field) != LUA_TNIL) {
		if (lua_type(L, -1) != LUA_TNUMBER)
			wrong(L, r, field, "a number is needed");
		d = lua_tonumber(L, -1);
	}
	lua_pop(L, 1);
	return d;
}

static int64_t points_field(lua_State *L, const struct reader *r)
{
	double d = number_field(L, r, "points", 0);

	if (!(d > 0) || d > 10000)
		wrong(L, r, "points", "a number above 0 is needed: say how many points it is worth");
	if (fabs(d * 100 - round(d * 100)) > 1e-6)
		wrong(L, r, "points", "at most two places behind the point");
	return (int64_t)llround(d * 100);
}

/* The list of texts in a field, or none. */
static void text_list(lua_State *L, const struct reader *r, const char *field, char ***out, size_t *n)
{
	int type = lua_getfield(L, -1, field);

	if (type != LUA_TNIL) {
		if (type != LUA_TTABLE)
			wrong(L, r, field, "a list of texts is needed, { \"...\" }");
		size_t len = lua_rawlen(L, -1);
		*out = room(L, len, sizeof **out);
		for (size_t i = 1; i <= len; i++) {
			if (lua_rawgeti(L, -1, (lua_Integer)i) != LUA_TSTRING)
				wrong(L, r, field, "a list of texts is needed, { \"...\" }");
			(*out)[(*n)++] = keep(L, lua_tostring(L, -1));
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
}

static void only(lua_State *L, const struct reader *r, const char *const *names)
{
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		bool known = false;
		lua_pop(L, 1);
		const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(a number)";
		for (const char *const *p = names; *p; p++)
			known = known || strcmp(*p, name) == 0;
		if (!known)
			wrong(L, r, name, "no such field: docs/labs.md lists them");
	}
}

static bool plain_name(const char *s)
{
	return s && *s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")];
}

static char *id_field(lua_State *L, const struct reader *r)
{
	char *id = text_field(L, r, "id");

	if (plain_name(id))
		return id;
	free(id);
	wrong(L, r, "id", "small letters, digits and _ are needed");
	return NULL;
}

/* --- Tasks and predictions ---------------------------------------------------------------------------------------- */

static void read_task(lua_State *L, struct reader *r, struct lab_task *t)
{
	static const char *const names[] = {"id", "title", "points", "after", "hidden", "check", NULL};

	if (!lua_istable(L, -1))
		wrong(L, r, "",
		    "a table is needed, { id = ..., title = ..., points = ..., check = function(t) ... end }");
	only(L, r, names);
	t->id = id_field(L, r);
	t->title = text_field(L, r, "title");
	t->max = points_field(L, r);
	text_list(L, r, "after", &t->after, &t->n_after);
	int type = lua_getfield(L, -1, "hidden");
	if (type != LUA_TNIL && type != LUA_TBOOLEAN)
		wrong(L, r, "hidden", "it is true or false");
	t->hidden = lua_toboolean(L, -1);
	lua_pop(L, 1);
	if (lua_getfield(L, -1, "check") != LUA_TFUNCTION)
		wrong(L, r, "check", "a function(t) is needed");
	lua_pop(L, 1);
}

static void read_prediction(lua_State *L, struct reader *r, struct lab_prediction *p)
{
	static const char *const names[] = {"id", "ask", "points", "answer", "within", NULL};

	if (!lua_istable(L, -1))
		wrong(L, r, "", "a table is needed, { id = ..., ask = ..., points = ..., answer = ... }");
	only(L, r, names);
	p->id = id_field(L, r);
	p->ask = text_field(L, r, "ask");
	p->max = points_field(L, r);
	p->within = number_field(L, r, "within", 0);
	if (!(p->within >= 0))
		wrong(L, r, "within", "a number of 0 or more is needed");
	if (lua_getfield(L, -1, "answer") == LUA_TNIL)
		wrong(L, r, "answer", "a value or a function(t) is needed");
	lua_pop(L, 1);
}

/* Only tasks that come before: so there is no circle. */
static void check_after(lua_State *L, struct reader *r, const struct lab_info *info, size_t task)
{
	const struct lab_task *t = &info->tasks[task];

	for (size_t i = 0; i < t->n_after; i++) {
		bool found = false;
		for (size_t k = 0; k < task; k++)
			found = found || strcmp(info->tasks[k].id, t->after[i]) == 0;
		if (!found)
			wrong(L, r, "after", "no task before this one has this id");
	}
}

static void read_tasks(lua_State *L, struct reader *r)
{
	struct lab_info *info = &r->f->info;

	if (lua_getfield(L, -1, "tasks") != LUA_TTABLE || !lua_rawlen(L, -1))
		wrong(L, r, "tasks", "a list of at least one task is needed");
	size_t n = lua_rawlen(L, -1);
	info->tasks = room(L, n, sizeof *info->tasks);
	for (size_t i = 0; i < n; i++) {
		snprintf(r->at, sizeof r->at, "tasks[%zu].", i + 1);
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		info->n_tasks++;
		read_task(L, r, &info->tasks[i]);
		for (size_t k = 0; k < i; k++)
			if (strcmp(info->tasks[k].id, info->tasks[i].id) == 0)
				wrong(L, r, "id", "another task has it");
		check_after(L, r, info, i);
		lua_pop(L, 1);
	}
	r->at[0] = 0;
	lua_pop(L, 1);
}

static void read_predictions(lua_State *L, struct reader *r)
{
	struct lab_info *info = &r->f->info;
	int type = lua_getfield(L, -1, "predictions");

	if (type != LUA_TNIL && type != LUA_TTABLE)
		wrong(L, r, "predictions", "a list is needed");
	size_t n = type == LUA_TTABLE ? lua_rawlen(L, -1) : 0;
	info->predictions = room(L, n, sizeof *info->predictions);
	for (size_t i = 0; i < n; i++) {
		snprintf(r->at, sizeof r->at, "predictions[%zu].", i + 1);
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		info->n_predictions++;
		read_prediction(L, r, &info->predictions[i]);
		for (size_t k = 0; k < i; k++)
			if (strcmp(info->predictions[k].id, info->predictions[i].id) == 0)
				wrong(L, r, "id", "another prediction has it");
		lua_pop(L, 1);
	}
	r->at[0] = 0;
	lua_pop(L, 1);
}

/* --- The file ----------------------------------------------------------------------------------------------------- */

static void read_minutes(lua_State *L, struct reader *r)
{
	if (lua_getfield(L, -1, "minutes") != LUA_TNIL) {
		for (int i = 0; i < 2; i++) {
			int whole = 0;
			if (lua_istable(L, -1))
				lua_rawgeti(L, -1, i + 1);
			else
				lua_pushnil(L);
			r->f->info.minutes[i] = (int)lua_tointegerx(L, -1, &whole);
			if (!whole)
				wrong(L, r, "minutes", "two whole numbers are needed, { FROM, TO }");
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
}

static void check_files(lua_State *L, struct reader *r)
{
	const struct lab_info *info = &r->f->info;

	for (size_t i = 0; i < info->n_files; i++) {
		const char *name = info->files[i];
		size_t n = strlen(name);
		if (n > 60 || !n || name[0] == '.' || strchr(name, '/') ||
		    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")])
			wrong(L, r, "files", "plain names of files are needed, without a folder");
	}
}

static int read_lab(lua_State *L)
{
	static const char *const names[] = {
	    "id", "title", "minutes", "files", "predictions", "tasks", "equivalent", NULL};
	struct reader r = {.f = lua_touserdata(L, 1)};
	struct lab_info *info = &r.f->info;

	lua_rawgetp(L, LUA_REGISTRYINDEX, r.f);
	lua_call(L, 0, 1);
	if (!lua_istable(L, -1))
		return luaL_error(
		    L, "lab.lua: it returns a %s: a table is needed, return { id = ... }", luaL_typename(L, -1));
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, r.f);
	only(L, &r, names);
	info->id = id_field(L, &r);
	info->title = text_field(L, &r, "title");
	read_minutes(L, &r);
	text_list(L, &r, "files", &info->files, &info->n_files);
	check_files(L, &r);
	text_list(L, &r, "equivalent", &info->equivalent, &info->n_equivalent);
	read_predictions(L, &r);
	read_tasks(L, &r);
	return 0;
}

/* What a lab prints goes to the teacher. */
static void print_line(void *owner, const char *line, size_t n)
{
	(void)owner;
	fprintf(stderr, "lab.lua: %.*s\n", (int)n, line);
}

static int prepare(lua_State *L)
{
	const char *path = lua_touserdata(L, 1);

	sandbox_libraries(L);
	sandbox_load(L, path, "the folder of a lab has a lab.lua");
	lua_setfield(L, LUA_REGISTRYINDEX, "vmscope.lab");
	return 0;
}

enum err lab_file_open(struct lab_file *f, const char *dir, void *owner, uint64_t seed, struct errmsg *why)
{
	char line[sizeof why->text];

	memset(&f->info, 0, sizeof f->info);
	snprintf(f->path, sizeof f->path, "%s/lab.lua", dir);
	f->box = (struct sandbox){.owner = owner,
	    .bytes_max = BYTES_MAX,
	    .insns_max = INSNS_MAX,
	    .over_words = "lab.lua has used its %d million Lua instructions, an endless loop?",
	    .seed = seed,
	    .label = "lab.lua",
	    .print = print_line};
	enum err e = sandbox_open(&f->box, prepare, f->path, why);
	if (e)
		return e;
	lua_State *L = f->box.L;
	lua_getfield(L, LUA_REGISTRYINDEX, "vmscope.lab");
	lua_rawsetp(L, LUA_REGISTRYINDEX, f);
	lua_pushcfunction(L, read_lab);
	lua_pushlightuserdata(L, f);
	if (lua_pcall(L, 1, 0, 0) == LUA_OK)
		return ERR_OK;
	sandbox_error_line(L, line, sizeof line);
	return err_set(why, ERR_FORMAT, "%s", line);
}

static void free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void lab_file_close(struct lab_file *f)
{
	struct lab_info *info = &f->info;

	sandbox_close(&f->box);
	for (size_t i = 0; i < info->n_tasks; i++) {
		free(info->tasks[i].id);
		free(info->tasks[i].title);
		free_list(info->tasks[i].after, info->tasks[i].n_after);
	}
	for (size_t i = 0; i < info->n_predictions; i++) {
		free(info->predictions[i].id);
		free(info->predictions[i].ask);
	}
	free(info->tasks);
	free(info->predictions);
	free_list(info->files, info->n_files);
	free_list(info->equivalent, info->n_equivalent);
	free(info->id);
	free(info->title);
	memset(info, 0, sizeof *info);
}

static void push_item(struct lab_file *f, const char *list, size_t i, const char *field)
{
	lua_State *L = f->box.L;

	lua_rawgetp(L, LUA_REGISTRYINDEX, f);
	lua_getfield(L, -1, list);
	lua_rawgeti(L, -1, (lua_Integer)i + 1);
	lua_getfield(L, -1, field);
	lua_replace(L, -4);
	lua_pop(L, 2);
}

void lab_file_check(struct lab_file *f, size_t task)
{
	push_item(f, "tasks", task, "check");
}

void lab_file_answer(struct lab_file *f, size_t prediction)
{
	push_item(f, "predictions", prediction, "answer");
}
