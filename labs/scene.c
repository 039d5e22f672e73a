/*
 * A scene: the lab's part (scenes.lua) and the submission's in one Lua state. The two share no table: each file of the
 * submission gets copies of the libraries, made before anything of either ran. Whose an error is follows from the
 * stack at the time it is raised.
 */
#include "labs/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "labs/lab_impl.h"
#include "labs/plain.h"

#define PRINTED_MAX (16u << 10)
#define SCENE_CLASS "vmscope.scene"
#define SCENES "scenes.lua"
#define PREDICTIONS "predictions.lua"
#define GUEST_INSNS_MAX 200000000ull
#define GUEST_EXITS_MAX 4000000ull
#define GUEST_MEM_MAX (1ull << 30)
#define BRIEF 20 /* so many times less */

struct scene {
	struct lab lab;
	const json_t *job;
	json_t *runs, *hashes;
	bool submission;  /* the error is the submission's, */
	char error[1024]; /* this one */
	size_t printed;
};

static struct scene *scene_of(lua_State *L)
{
	return lab_of(L)->scene;
}

static const json_t *file_of(const struct scene *s, const char *name)
{
	return json_object_get(json_object_get(s->job, "files"), name);
}

/* --- Whose an error is -------------------------------------------------------------------------------------------- */

static bool is_submission(const struct scene *s, const char *source)
{
	return source[0] == '@' && (file_of(s, source + 1) || strcmp(source + 1, PREDICTIONS) == 0);
}

/* "cpuid.lua:12: " at the beginning: which file is it, if it is one of the submission's? */
static bool names_file(const struct scene *s, const char *text)
{
	const char *colon = strchr(text, ':');
	char name[64];

	if (!colon || (size_t)(colon - text) >= sizeof name || colon[1] < '0' || colon[1] > '9')
		return false;
	snprintf(name, sizeof name, "%.*s", (int)(colon - text), text);
	return file_of(s, name);
}

static void keep_error(struct scene *s, bool submission, const char *where, const char *text)
{
	s->submission = submission;
	snprintf(s->error, sizeof s->error, "%s%s", where, text);
}

/* The handler of uncaught errors: the stack is still there. */
static int on_error(lua_State *L)
{
	struct scene *s = scene_of(L);
	const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1)
							 : "an error that is no text: error(\"...\") takes a string";
	char where[80] = "";
	lua_Debug ar;
	bool submission = names_file(s, text);

	if (s->submission && strcmp(s->error, text) == 0)
		return 1; /* blamed already */
	for (int level = 0; !submission && lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (!is_submission(s, ar.source))
			continue;
		submission = true;
		snprintf(where, sizeof where, "%s:%d: ", ar.short_src, ar.currentline);
	}
	keep_error(s, submission, where, text);
	return 1;
}

/* Raises an error that is the submission's whoever is on the stack. */
static int blame(lua_State *L, const char *text)
{
	keep_error(scene_of(L), true, "", text);
	lua_pushstring(L, text);
	return lua_error(L);
}

/* --- The submission's own world ----------------------------------------------------------------------------------- */

/* The table at index, and the tables in it, but nothing of their metatables; pushes. */
static void copy_table(lua_State *L, int index, int depth)
{
	index = lua_absindex(L, index);
	luaL_checkstack(L, 6, "environment");
	lua_newtable(L);
	lua_pushnil(L);
	while (lua_next(L, index)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		if (lua_istable(L, -1) && depth > 0) {
			copy_table(L, -1, depth - 1);
			lua_remove(L, -2);
		}
		lua_rawset(L, -4);
	}
}

/* What a submission finds, kept before anything else has run; and strings find their methods in a place of their own,
 * that nobody reaches. */
static void keep_pristine(lua_State *L)
{
	lua_pushglobaltable(L);
	lua_pushnil(L);
	lua_setfield(L, -2, "_G");
	copy_table(L, -1, 2);
	lua_setfield(L, LUA_REGISTRYINDEX, SCENE_CLASS ".pristine");
	lua_pop(L, 1);
	lua_pushliteral(L, "");
	lua_getmetatable(L, -1);
	lua_getfield(L, -1, "__index");
	copy_table(L, -1, 0);
	lua_setfield(L, -3, "__index");
	lua_pop(L, 1);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
}

static int include(lua_State *L);

/* As when a file is loaded, which "lab run" does: nothing of a byte order mark, which some editors put first, and of a
 * first line "#!...", but for its end. */
static const char *without_head(const char *code, size_t *n)
{
	const char *at = code;

	if (strncmp(at, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	if (*at == '#')
		at += strcspn(at, "\n");
	*n -= (size_t)(at - code);
	return at;
}

/* Runs a text in the environment on top of the stack, which it takes; pushes what it gives. blames: an error of its
 * grammar is the submission's. */
static void run_text(lua_State *L, const json_t *file, const char *chunk, bool blames)
{
	size_t n;

	plain_to_lua(L, file);
	const char *code = without_head(lua_tolstring(L, -1, &n), &n);
	if (luaL_loadbufferx(L, code, n, chunk, "t") != LUA_OK) {
		if (blames)
			blame(L, lua_tostring(L, -1));
		lua_error(L);
	}
	lua_remove(L, -2);
	lua_pushvalue(L, -2);
	if (!lua_setupvalue(L, -2, 1))
		lua_pop(L, 1);
	lua_remove(L, -2);
	lua_call(L, 0, 1);
}

/* A file of the submission. */
static void run_file(lua_State *L, const char *name)
{
	char text[160];
	const json_t *file = file_of(scene_of(L), name);

	if (!json_is_string(file)) {
		const char *why =
		    json_string_value(json_object_get(json_object_get(scene_of(L)->job, "problems"), name));
		snprintf(text, sizeof text, "%s: %s", name, why ? why : "it is missing: hand it in");
		blame(L, text);
	}
	snprintf(text, sizeof text, "@%.100s", name);
	run_text(L, file, text, true);
}

/* The functions of a script, with an include() of its own, which finds the environment as its upvalue. */
static void push_environment(lua_State *L, lua_CFunction including)
{
	lua_getfield(L, LUA_REGISTRYINDEX, SCENE_CLASS ".pristine");
	copy_table(L, -1, 2);
	lua_remove(L, -2);
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, including, 1);
	lua_setfield(L, -2, "include");
}

/* include("name") of a submission: the value of its file NAME.lua, in the same environment. */
static int include(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	lua_pushfstring(L, "%s.lua", name);
	const char *file = lua_tostring(L, -1);
	if (!file_of(scene_of(L), file))
		return luaL_error(L, "include: %s is none of the files that are handed in", file);
	lua_pushvalue(L, lua_upvalueindex(1));
	run_file(L, file);
	return 1;
}

/* --- What the lab hands out --------------------------------------------------------------------------------------- */

static int include_beside(lua_State *L);

/* The lab's own starter/NAME.lua, as it was handed out. */
static int run_starter(lua_State *L, const char *name)
{
	char file[100], chunk[120];

	snprintf(file, sizeof file, "%.80s.lua", name);
	const json_t *text = json_object_get(json_object_get(scene_of(L)->job, "starter"), file);
	if (!text)
		return luaL_error(L, "include: the lab's folder has no starter/%s", file);
	snprintf(chunk, sizeof chunk, "@starter/%s", file); /* not a name of the submission's */
	push_environment(L, include_beside);
	run_text(L, text, chunk, false);
	return 1;
}

/* include("name") of a file of the starter: another one. */
static int include_beside(lua_State *L)
{
	return run_starter(L, luaL_checkstring(L, 1));
}

/* include("starter/name") of scenes.lua: what a student tries things with, and the grader, too. */
static int include_starter(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	if (strncmp(name, "starter/", 8) != 0)
		return luaL_error(L, "include: %s: scenes include files of the starter: \"starter/NAME\"", name);
	return run_starter(L, name + 8);
}

/* --- The object s ------------------------------------------------------------------------------------------------- */

static int not_there(lua_State *L)
{
	const char *name = lua_tostring(L, 2);

	return luaL_error(L,
	    "there is no vmscope.%s in a file that is handed in (README.md says what it has): it works with what it "
	    "is given; your own scripts have all of vmscope",
	    name ? name : luaL_typename(L, 2));
}

/* Reading another field of the table on top is an error that says so. */
static void explain_others(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, not_there);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}

/* Of vmscope, the environment on top gets what the list at index names. */
static void keep_only(lua_State *L, int list)
{
	int env = lua_gettop(L);

	lua_getfield(L, env, "vmscope");
	lua_newtable(L);
	for (lua_Integer i = 1; lua_rawgeti(L, list, i) == LUA_TSTRING; i++) {
		lua_pushvalue(L, -1);
		if (lua_rawget(L, env + 1) == LUA_TNIL)
			luaL_error(L, "s:load: vmscope has no %s", lua_tostring(L, -2));
		lua_rawset(L, env + 2);
	}
	lua_settop(L, env + 2);
	explain_others(L);
	lua_setfield(L, env, "vmscope");
	lua_settop(L, env);
}

/* s:load(name[, list]): with a list, the file has those functions of vmscope only. */
static int s_load(lua_State *L)
{
	const char *name = (luaL_checkudata(L, 1, SCENE_CLASS), luaL_checkstring(L, 2));

	lua_settop(L, 3);
	if (!lua_isnil(L, 3))
		luaL_checktype(L, 3, LUA_TTABLE);
	if (!file_of(scene_of(L), name))
		return luaL_error(L, "s:load: %s is not in the lab's files", name);
	push_environment(L, include);
	if (lua_istable(L, 3))
		keep_only(L, 3);
	run_file(L, name);
	return 1;
}

/* Of what is on top. */
static const char *what_it_is(lua_State *L)
{
	return lua_isnil(L, -1) ? "nothing" : lua_pushfstring(L, "a %s", luaL_typename(L, -1));
}

static int no_table(lua_State *L, const char *name)
{
	char text[200];

	snprintf(text, sizeof text, "%.64s has to return a table, and returns %s: is its last line a \"return\"?", name,
	    what_it_is(L));
	return blame(L, text);
}

/* s:load_table(name, list): the file has to return a table. */
static int s_load_table(lua_State *L)
{
	s_load(L);
	return lua_istable(L, -1) ? 1 : no_table(L, lua_tostring(L, 2));
}

/* s:load_function(name, list[, member]): the file has to return a function, or a table with this one. */
static int s_load_function(lua_State *L)
{
	const char *member = (lua_settop(L, 4), luaL_optstring(L, 4, NULL));
	const char *name = luaL_checkstring(L, 2);
	char text[200];

	lua_remove(L, 4);
	s_load(L);
	if (member && !lua_istable(L, -1))
		return no_table(L, name);
	if (member)
		lua_getfield(L, -1, member);
	if (!lua_isfunction(L, -1)) {
		snprintf(text, sizeof text, "%.64s%s%.64s has to %s a function, and %s %s", name, member ? ": " : "",
		    member ? member : "", member ? "be" : "return", member ? "is" : "returns", what_it_is(L));
		return blame(L, text);
	}
	return 1;
}

static int s_call(lua_State *L)
{
	char text[100];

	luaL_checkudata(L, 1, SCENE_CLASS);
	luaL_checkany(L, 2);
	if (lua_type(L, 2) != LUA_TFUNCTION) {
		snprintf(text, sizeof text, "a function of the submission is needed, and there is a %s",
		    luaL_typename(L, 2));
		return blame(L, text);
	}
	lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
	return lua_gettop(L) - 1;
}

static int s_observe(lua_State *L)
{
	struct scene *s = scene_of(L);
	char hash[65], run[64];

	luaL_checkudata(L, 1, SCENE_CLASS);
	lab_push_observed(L, 2, hash, run);
	json_array_append_new(s->hashes, json_string(hash));
	json_array_append_new(s->runs, json_string(run));
	return 1;
}

/* s:guest(name): the bytes of guests/NAME of the lab. */
static int s_guest(lua_State *L)
{
	const char *name = (luaL_checkudata(L, 1, SCENE_CLASS), luaL_checkstring(L, 2));
	const json_t *guest = json_object_get(json_object_get(scene_of(L)->job, "guests"), name);

	if (!guest)
		return luaL_error(L, "s:guest: the lab's folder has no guests/%s.S and no guests/%s.bin", name, name);
	plain_to_lua(L, guest);
	return 1;
}

static void push_scene_object(lua_State *L)
{
	static const luaL_Reg methods[] = {{"load", s_load}, {"load_table", s_load_table},
	    {"load_function", s_load_function}, {"call", s_call}, {"observe", s_observe}, {"guest", s_guest},
	    {NULL, NULL}};

	lab_class(L, SCENE_CLASS, methods, NULL);
	lua_newuserdatauv(L, 0, 0);
	luaL_setmetatable(L, SCENE_CLASS);
}

/* --- Running ------------------------------------------------------------------------------------------------------ */

static void print_bounded(void *owner, const char *line, size_t n)
{
	struct scene *s = ((struct lab *)owner)->scene;

	if (s->printed >= PRINTED_MAX)
		return;
	size_t room = PRINTED_MAX - s->printed;
	s->printed += n + 1;
	lab_print_line(owner, line, n < room ? n : room);
	if (s->printed >= PRINTED_MAX)
		lab_print_line(owner, "... (more was printed)", 22);
}

/* Protected. Leaves the chunk of scenes.lua in the registry, under the scene's address. */
static int prepare(lua_State *L)
{
	struct scene *s = scene_of(L);
	const json_t *text = json_object_get(s->job, "scenes");

	sandbox_libraries(L);
	lab_open_api(L);
	sandbox_load_text(L, "", 0, SCENES); /* the limits begin, and what nobody gets is gone */
	lua_pop(L, 1);
	keep_pristine(L);
	lua_pushcfunction(L, include_starter);
	lua_setglobal(L, "include");
	if (json_object_get(s->job, "scene")) {
		plain_to_lua(L, text);
		size_t n;
		const char *code = lua_tolstring(L, -1, &n);
		if (!code)
			return luaL_error(L, SCENES ": it is missing");
		sandbox_load_text(L, code, n, SCENES);
		lua_rawsetp(L, LUA_REGISTRYINDEX, s);
	}
	return 0;
}

static int run_scene(lua_State *L)
{
	struct scene *s = scene_of(L);
	const char *name = json_string_value(json_object_get(s->job, "scene"));

	lua_rawgetp(L, LUA_REGISTRYINDEX, s);
	lua_call(L, 0, 1);
	if (!lua_istable(L, -1))
		return luaL_error(L, SCENES ": it returns a %s: a table of functions is needed", luaL_typename(L, -1));
	if (lua_getfield(L, -1, name) != LUA_TFUNCTION)
		return luaL_error(L, SCENES ": it has no scene %s", name);
	push_scene_object(L);
	plain_to_lua(L, json_object_get(s->job, "args"));
	lua_call(L, 2, 1);
	return 1;
}

/* Data needs no function: there is none. */
static int run_predictions(lua_State *L)
{
	lua_newtable(L);
	run_file(L, PREDICTIONS);
	if (!lua_istable(L, -1))
		return blame(L, PREDICTIONS ": it does not return a table: { id = value, ... } is needed");
	return 1;
}

static json_t *answer(struct scene *s, int bad)
{
	lua_State *L = s->lab.box.L;
	struct errmsg why = {""};
	json_t *result = NULL;

	if (bad == LUA_ERRMEM) {
		keep_error(s, true, "", "the scene has used its 256 MiB of memory: keep less");
	} else if (bad == LUA_OK && plain_from_lua(L, -1, "result", &result, &why) != ERR_OK) {
		keep_error(s, !json_object_get(s->job, "scene"), "", why.text);
		bad = LUA_ERRRUN;
	}
	if (bad == LUA_OK)
		return json_pack("{s:b, s:o}", "ok", 1, "result", result);
	if (s->lab.box.over)
		s->submission = true;
	return json_pack("{s:b, s:s, s:o}", "ok", 0, "whose", s->submission ? "submission" : "lab", "error",
	    plain_string(s->error, strlen(s->error)));
}

static json_t *run_all(struct scene *s)
{
	struct errmsg why = {""};
	enum err e = sandbox_open(&s->lab.box, prepare, SCENES, &why);
	lua_State *L = s->lab.box.L;

	if (e) {
		keep_error(s, false, "", why.text);
		return answer(s, LUA_ERRRUN);
	}
	lua_pushcfunction(L, on_error);
	lua_pushcfunction(L, json_object_get(s->job, "scene") ? run_scene : run_predictions);
	return answer(s, lua_pcall(L, 0, 1, 1));
}

json_t *scene_run(const struct lab_maker *maker, const json_t *job)
{
	struct scene *s = calloc(1, sizeof *s);
	char *printed = NULL;
	size_t n = 0;
	FILE *out = s ? open_memstream(&printed, &n) : NULL;

	if (!out) {
		free(s);
		return NULL;
	}
	unsigned less = json_is_true(json_object_get(job, "brief")) ? BRIEF : 1;
	*s = (struct scene){.job = job, .runs = json_array(), .hashes = json_array()};
	s->lab = (struct lab){.cfg = {.maker = maker,
				  .path = SCENES,
				  .out = out,
				  .guest_insns_max = GUEST_INSNS_MAX / less,
				  .guest_exits_max = GUEST_EXITS_MAX / less,
				  .guest_mem_max = GUEST_MEM_MAX,
				  .virtual_time = true},
	    .scene = s};
	s->lab.box = (struct sandbox){.owner = &s->lab,
	    .bytes_max = LAB_BYTES_MAX,
	    .insns_max = LAB_INSNS_MAX / less,
	    .over_words = "the scene has used its %d million Lua instructions, an endless loop?",
	    .seed = (uint64_t)json_integer_value(json_object_get(job, "seed")),
	    .catches = true,
	    .print = print_bounded};
	json_t *j = run_all(s);
	sandbox_close(&s->lab.box);
	if (fclose(out) == 0 && j)
		json_object_set_new(j, "printed", plain_string(printed, n));
	free(printed);
	if (j) {
		json_object_set(j, "runs", s->runs);
		json_object_set(j, "hashes", s->hashes);
	}
	json_decref(s->runs);
	json_decref(s->hashes);
	free(s);
	return j;
}
