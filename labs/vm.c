/*
 * A virtual machine as a Lua object: vmscope.vm{...} makes it, its fields say what it is and where it stands. The
 * methods that drive it are in run.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/lib.h"
#include "labs/lab_impl.h"
#include "tracer/tracer.h"

#define VM_CLASS "vmscope.vm"
#define WORDS_MAX 64
#define DEFAULT_MEM (64u << 20)
#define HISTORY_BYTES (128u << 20) /* a script may have many VMs */

struct lab_vm *lab_check_vm(lua_State *L, int arg)
{
	struct lab_vm *lv = luaL_checkudata(L, arg, VM_CLASS);

	if (!lv->control)
		luaL_error(L, "this VM is closed");
	return lv;
}

struct lab_vm *lab_still_vm(lua_State *L, int arg)
{
	struct lab_vm *lv = lab_check_vm(L, arg);

	if (lv->running)
		luaL_error(L, "the VM runs: a handler or a device cannot drive it; return a verdict instead");
	return lv;
}

/* --- The console -------------------------------------------------------------------------------------------------- */

/* After going back the guest writes again what it wrote before: it goes where it belongs. */
static void on_console(void *arg, const char *port, uint8_t byte)
{
	struct lab_vm *lv = arg;

	if (lv->old_console)
		lv->old_console(lv->old_console_arg, port, byte);
	if (lv->n_console == lv->room_console) {
		size_t room = lv->room_console ? 2 * lv->room_console : 4096;
		char *p = room <= lv->lab->box.bytes_max ? realloc(lv->console, room) : NULL;
		if (!p) {
			lv->console_lost = true;
			return;
		}
		lv->console = p;
		lv->room_console = room;
	}
	lv->console[lv->n_console++] = (char)byte;
}

/* --- The past ----------------------------------------------------------------------------------------------------- */

static void on_replay(void *arg, bool silent, uint64_t insns, uint64_t exits)
{
	struct lab_vm *lv = arg;
	const struct lab_maker *maker = lv->lab->cfg.maker;

	(void)insns;
	lv->replaying = silent;
	if (silent)
		tracer_silence(lv->machine.tracer);
	else
		tracer_resume(lv->machine.tracer, exits);
	if (maker->silent)
		maker->silent(maker->arg, &lv->machine, silent);
	if (!silent && lv->control) {
		uint64_t at = control_where(lv->control)->console_bytes;
		if (at < lv->n_console)
			lv->n_console = at;
	}
}

static void on_verdict(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	struct lab_vm *lv = arg;

	(void)e;
	lv->last_vcpu = v->id;
	lv->last_verdict = verdict;
	lv->has_exit = true;
}

static const struct probe_ops probe = {.name = "lab", .on_verdict = on_verdict};

void lab_sync(struct lab_vm *lv)
{
	const struct control_where *w = control_where(lv->control);

	if (lv->traced)
		return;
	tracer_sync(lv->machine.tracer);
	/* The last exit of a run that is over for good, and whose cost nobody will settle any more. */
	struct errmsg ignore;
	if (!w->can_back && lv->machine.session->ops->end(lv->machine.session))
		(void)!tracer_finish(lv->machine.tracer, &ignore);
	view_model_position(lv->model, w->insns, w->exits);
	view_model_stopped(lv->model);
	lv->traced = true;
}

/* --- Making one --------------------------------------------------------------------------------------------------- */

/* Fields of vmscope.vm{} that are options of "vmscope run" by (nearly) the same name. */
static const struct {
	const char *field, *option;
} options[] = {{"mode", "--mode"}, {"type", "--type"}, {"controls", "--controls"}, {"mem", "--mem"}, {"cpus", "--cpus"},
    {"clock", "--clock"}, {"seed", "--seed"}, {"append", "--append"}, {"keys", "--keys"}, {"model", "--model"},
    {"kernel", "--kernel"}, {"initrd", "--initrd"}, {"firmware", "--firmware"}, {"machine", "--machine"},
    {"engine", "--engine"}, {"max_exits", "--max-exits"}, {"max_insns", "--max-insns"}};

static bool known_field(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(name, options[i].field) == 0)
			return true;
	return strcmp(name, "guest") == 0 || strcmp(name, "image") == 0 || strcmp(name, "devices") == 0 ||
	       strcmp(name, "model_text") == 0;
}

/* Argument 1 becomes a copy that nobody else has, and that has no metatable: it says the same whenever it is asked. */
static void check_fields(lua_State *L)
{
	lua_newtable(L); /* 2 */
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, 2);
		const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "a number";
		if (lua_type(L, -1) == LUA_TSTRING && known_field(name))
			continue;
		luaL_Buffer known;
		luaL_buffinit(L, &known);
		luaL_addstring(&known, "guest, image, devices, model_text");
		for (size_t i = 0; i < ARRAY_LEN(options); i++) {
			luaL_addstring(&known, ", ");
			luaL_addstring(&known, options[i].field);
		}
		luaL_pushresult(&known);
		luaL_error(L, "vmscope.vm: no field %s: there are %s", name, lua_tostring(L, -1));
	}
	lua_replace(L, 1);
}

static void check_word(lua_State *L, const char *field)
{
	if (lua_type(L, -1) != LUA_TSTRING && !lua_isinteger(L, -1))
		luaL_error(
		    L, "vmscope.vm: %s: a text or a whole number is needed, not a %s", field, luaL_typename(L, -1));
}

static char *keep_word(lua_State *L, int words)
{
	union {
		const char *in;
		char *out;
	} word = {lua_tostring(L, -1)};

	lua_rawseti(L, words, (lua_Integer)lua_rawlen(L, words) + 1);
	return word.out;
}

/* The words of "vmscope run"; their texts stay in the table that is left on top of the stack. */
static int make_words(lua_State *L, char *argv[WORDS_MAX])
{
	static char dashes[] = "--";
	int argc = 0;

	lua_newtable(L);
	int words = lua_gettop(L);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (lua_getfield(L, 1, options[i].field) != LUA_TNIL) {
			check_word(L, options[i].field);
			const char *text = lua_tostring(L, -1);
			if (strncmp(text, "fd:", 3) == 0)
				luaL_error(L, "vmscope.vm: %s: %s is no file", options[i].field, text);
			if (strcmp(options[i].field, "type") == 0)
				text = strcmp(text, "I") == 0 ? "1" : strcmp(text, "II") == 0 ? "2" : text;
			lua_pushfstring(L, "%s=%s", options[i].option, text);
			argv[argc++] = keep_word(L, words);
		}
		lua_settop(L, words);
	}
	if (lua_getfield(L, 1, "guest") != LUA_TNIL) {
		check_word(L, "guest");
		lua_tostring(L, -1);
		argv[argc++] = dashes;
		argv[argc++] = keep_word(L, words);
	}
	lua_settop(L, words);
	return argc;
}

static void bound(uint64_t *n, uint64_t max)
{
	if (max && (!*n || *n > max))
		*n = max;
}

/* A grader bounds what says no bound, or a greater one. */
static void bound_run(struct lab_vm *lv)
{
	const struct lab_config *lab = &lv->lab->cfg;
	struct vm_config *cfg = &lv->vm->cfg;

	bound(&cfg->max_exits, lab->guest_exits_max);
	if (cfg->mode->caps & MODE_CAP_COUNTS_INSNS)
		bound(&cfg->max_insns, lab->guest_insns_max);
}

/* The text of a behaviour model, for those who open files: one that leaves nothing behind, or -1. Leaves the table of
 * its word. */
static int add_model_text(lua_State *L, char **argv, int *argc)
{
	int fd = -1;
	size_t n;

	lua_newtable(L);
	int words = lua_gettop(L);

	if (lua_getfield(L, 1, "model_text") != LUA_TNIL) {
		luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "model_text is the text of a behaviour model");
		const char *text = lua_tolstring(L, -1, &n);
		fd = memfd_create("model", MFD_CLOEXEC);
		if (fd < 0 || write(fd, text, n) != (ssize_t)n)
			luaL_error(L, "model_text cannot be kept: %s", strerror(errno));
		lua_pushfstring(L, "--model=fd:%d", fd);
		argv[(*argc)++] = keep_word(L, words);
	}
	lua_settop(L, words);
	return fd;
}

static enum err open_machine(struct lab_vm *lv, int argc, char **argv, const char *image, size_t n, struct errmsg *why)
{
	const struct lab_maker *maker = lv->lab->cfg.maker;
	const struct control_config cfg = {.history_bytes = HISTORY_BYTES, .replaying = on_replay, .arg = lv};
	enum err e = view_model_new(NULL, &lv->model, why);

	if (!e)
		e = maker->make(maker->arg, argc, argv, image, n, lv->model, &lv->machine, why);
	if (e)
		return e;
	lv->lab->n_vms++;
	lv->lab->mem += lv->mem;
	struct session *s = lv->machine.session;
	lv->vm = s->vm ? s->vm : s->mirror;
	lv->remote = !s->vm;
	lv->old_console = lv->vm->cfg.console;
	lv->old_console_arg = lv->vm->cfg.console_arg;
	lv->vm->cfg.console = on_console;
	lv->vm->cfg.console_arg = lv;
	lv->vm->cfg.user = lab_user;
	lv->vm->cfg.user_arg = lv;
	bound_run(lv);
	e = vm_add_probe(lv->vm, &probe, lv);
	if (e)
		return err_set(why, e, "this VM has too many observers");
	return control_open(s, &cfg, &lv->control, why);
}

static void close_vm(lua_State *L, struct lab_vm *lv)
{
	const struct lab_maker *maker = lv->lab->cfg.maker;
	const struct view_info none = {0};

	if (lv->control)
		control_close(lv->control);
	lv->control = NULL;
	if (lv->machine.session) {
		view_model_attach(lv->model, NULL, &none);
		maker->close(maker->arg, &lv->machine);
		lv->machine.session = NULL;
		lv->lab->n_vms--;
		lv->lab->mem -= lv->mem;
	}
	if (lv->model)
		view_model_free(lv->model);
	lv->model = NULL;
	if (lv->model_text >= 0)
		close(lv->model_text);
	lv->model_text = -1;
	free(lv->console);
	lv->console = NULL;
	lab_free_devices(L, lv);
	for (unsigned i = 0; i < lv->n_handlers; i++)
		luaL_unref(L, LUA_REGISTRYINDEX, lv->handlers[i].fn);
	lv->n_handlers = 0;
}

/* The field "mem" as "--mem" reads it. What is no size is 0: the options will say so. */
static uint64_t wanted_mem(lua_State *L)
{
	static const char suffixes[] = "KMG";
	uint64_t bytes = DEFAULT_MEM;
	const char *text;
	char *end;

	if (lua_getfield(L, 1, "mem") != LUA_TNIL) {
		check_word(L, "mem");
		text = lua_tostring(L, -1);
		unsigned long long n = strtoull(text, &end, 0);
		const char *at = *end ? strchr(suffixes, *end & ~0x20) : NULL;
		unsigned shift = at ? 10 * (unsigned)(at - suffixes + 1) : 0;
		bytes = end == text ? 0 : n > UINT64_MAX >> shift ? UINT64_MAX : (uint64_t)n << shift;
	}
	lua_pop(L, 1);
	return bytes;
}

/* A grader's results are the same on every machine. */
static void check_clock(lua_State *L)
{
	if (lua_getfield(L, 1, "clock") != LUA_TNIL && lab_of(L)->cfg.virtual_time &&
	    (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "virtual") != 0))
		luaL_error(L, "vmscope.vm: clock: here it is \"virtual\": no result depends on how fast the host is");
	lua_pop(L, 1);
}

/* Where a grader bounds memory nothing depends on how much of it the host has. */
static uint64_t bound_mem(lua_State *L)
{
	struct lab *lab = lab_of(L);
	uint64_t max = lab->cfg.guest_mem_max, mem = max ? wanted_mem(L) : 0;

	if (mem <= max && lab->mem > max - mem)
		lua_gc(L, LUA_GCCOLLECT);
	if (mem > max || lab->mem > max - mem)
		luaL_error(L,
		    "vmscope.vm: mem: all VMs together have %I MiB here: ask for less, or end some with vm:close()",
		    (LUAI_UACINT)(max >> 20));
	return mem;
}

static int l_vm(lua_State *L)
{
	static char name[] = "vm";
	char *argv[WORDS_MAX + 2] = {name};
	struct errmsg why = {""};
	size_t n = 0;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	check_fields(L);
	/* The collector does not know how big a VM is. */
	if (lab_of(L)->n_vms >= LAB_VMS_MAX / 2)
		lua_gc(L, LUA_GCCOLLECT);
	if (lab_of(L)->n_vms >= LAB_VMS_MAX)
		return luaL_error(L, "vmscope.vm: %d are open: end some with vm:close()", LAB_VMS_MAX);
	check_clock(L);
	uint64_t mem = bound_mem(L);
	struct lab_vm *lv = lua_newuserdatauv(L, sizeof *lv, 1); /* 2 */
	memset(lv, 0, sizeof *lv);
	lv->lab = lab_of(L);
	lv->mem = mem;
	lv->model_text = -1;
	lv->next_handler = 1;
	luaL_setmetatable(L, VM_CLASS);
	/* Places that can be written to later without an allocation. */
	lua_pushboolean(L, 0);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &lv->error);
	lua_pushboolean(L, 0);
	lua_rawsetp(L, LUA_REGISTRYINDEX, lv);
	lua_getfield(L, 1, "image"); /* 3 */
	if (!lua_isnil(L, 3) && lua_type(L, 3) != LUA_TSTRING)
		return luaL_error(L, "vmscope.vm: image: a string of bytes is needed, such as vmscope.asm gives");
	const char *image = lua_tolstring(L, 3, &n);
	int argc = 1;
	lv->model_text = add_model_text(L, argv, &argc); /* 4 */
	argc += make_words(L, argv + argc);		 /* 5 */
	argv[argc] = NULL;
	enum err e = open_machine(lv, argc, argv, image, n, &why);
	if (e) {
		close_vm(L, lv);
		return lab_raise(L, "vmscope.vm", e, &why);
	}
	if (lua_getfield(L, 1, "devices") != LUA_TNIL)
		lab_add_devices(L, lv, lua_gettop(L));
	lua_settop(L, 2);
	return 1;
}

/* vmscope.compare{}: the options of a VM, but what compare itself chooses. */
static int l_compare(lua_State *L)
{
	static const char *const chosen[] = {"mode", "type", "image", "devices", "engine"};
	static char name[] = "compare";
	char *argv[WORDS_MAX + 2] = {name};
	const struct lab_maker *maker = lab_of(L)->cfg.maker;
	struct lab_compared rows[LAB_COMPARED_MAX];
	struct errmsg why = {""};
	unsigned n = 0;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	check_fields(L);
	for (size_t i = 0; i < ARRAY_LEN(chosen); i++) {
		if (lua_getfield(L, 1, chosen[i]) != LUA_TNIL)
			return luaL_error(
			    L, "vmscope.compare: it takes no %s: it runs a guest in every backend", chosen[i]);
		lua_pop(L, 1);
	}
	check_clock(L);
	(void)bound_mem(L);
	int argc = 1, model_text = add_model_text(L, argv, &argc);
	argc += make_words(L, argv + argc);
	argv[argc] = NULL;
	enum err e = maker->compare(maker->arg, argc, argv, rows, &n, &why);
	if (model_text >= 0)
		close(model_text);
	if (e)
		return lab_raise(L, "vmscope.compare", e, &why);
	lab_push_compared(L, rows, n);
	return 1;
}

/* --- Its fields --------------------------------------------------------------------------------------------------- */

static int push_end(lua_State *L, struct lab_vm *lv)
{
	const struct vm_end *end = lv->machine.session->ops->end(lv->machine.session);

	if (!end) {
		lua_pushnil(L);
		return 1;
	}
	lua_newtable(L);
	lua_pushstring(L, end_name(end->kind));
	lua_setfield(L, -2, "kind");
	lua_pushinteger(L, end->code);
	lua_setfield(L, -2, "code");
	lua_pushstring(L, end->detail);
	lua_setfield(L, -2, "detail");
	lua_pushinteger(L, end_status(end->kind, end->code));
	lua_setfield(L, -2, "status");
	return 1;
}

static int push_console(lua_State *L, struct lab_vm *lv)
{
	if (lv->console_lost)
		return luaL_error(L, "vm.console: the guest has written more than the script may keep");
	lua_pushlstring(L, lv->n_console ? lv->console : "", lv->n_console);
	return 1;
}

static int push_exit(lua_State *L, struct lab_vm *lv)
{
	if (!lv->has_exit || lv->running)
		lua_pushnil(L);
	else
		lab_push_exit_table(L, &lv->vm->vcpus[lv->last_vcpu].exit);
	return 1;
}

static bool push_number(lua_State *L, struct lab_vm *lv, const char *name)
{
	const struct control_where *w = control_where(lv->control);

	if (strcmp(name, "exits") == 0)
		lua_pushinteger(L, (lua_Integer)w->exits);
	else if (strcmp(name, "insns") == 0)
		lua_pushinteger(L, (lua_Integer)w->insns);
	else if (strcmp(name, "time_ns") == 0)
		lua_pushinteger(L, (lua_Integer)clock_now_ns(&lv->vm->clock));
	else if (strcmp(name, "can_back") == 0)
		lua_pushboolean(L, w->can_back && lv->n_devices == 0);
	else
		return false;
	return true;
}

static bool push_text(lua_State *L, struct lab_vm *lv, const char *name)
{
	const struct mode_ops *mode = lv->vm->cfg.mode;

	if (strcmp(name, "mode") == 0)
		lua_pushstring(L, mode_name(mode->mode));
	else if (strcmp(name, "type") == 0)
		lua_pushstring(L, mode->type == VMM_TYPE_I ? "I" : "II");
	else if (strcmp(name, "controls") == 0)
		lua_pushstring(L, lv->vm->controls.name);
	else
		return false;
	return true;
}

static int l_close(lua_State *L)
{
	close_vm(L, lab_still_vm(L, 1));
	return 0;
}

static const luaL_Reg own_methods[] = {{"close", l_close}, {"on_exit", lab_on_exit}, {"off_exit", lab_off_exit},
    {"translate", lab_translate}, {"symbol", lab_symbol}, {"irq", lab_irq}, {"emit", lab_emit}, {NULL, NULL}};

static int no_field(lua_State *L, const char *name)
{
	const luaL_Reg *const lists[] = {lab_run_methods, own_methods};
	luaL_Buffer known;

	luaL_buffinit(L, &known);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const luaL_Reg *m = lists[i]; m->name; m++) {
			luaL_addstring(&known, m == lists[0] ? "" : ", ");
			luaL_addstring(&known, m->name);
		}
	luaL_pushresult(&known);
	return luaL_error(L,
	    "a VM has no %s: its fields are cpu, mem, console, symbols, exit, ended, exits, insns, time_ns, "
	    "mode, type, controls, can_back, stats, verdicts, trace; its methods are %s",
	    name, lua_tostring(L, -1));
}

static int l_index(lua_State *L)
{
	struct lab_vm *lv = lab_check_vm(L, 1);
	const char *name = luaL_checkstring(L, 2);

	lua_pushvalue(L, 2);
	if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
		return 1;
	if (push_number(L, lv, name) || push_text(L, lv, name))
		return 1;
	if (strcmp(name, "cpu") == 0)
		lab_push_cpus(L, 1);
	else if (strcmp(name, "mem") == 0)
		lab_push_mem(L, 1);
	else if (strcmp(name, "console") == 0)
		return push_console(L, lv);
	else if (strcmp(name, "ended") == 0)
		return push_end(L, lv);
	else if (strcmp(name, "exit") == 0)
		return push_exit(L, lv);
	else if (strcmp(name, "symbols") == 0)
		return lab_push_symbols(L, lv);
	else if (strcmp(name, "stats") == 0)
		return lab_push_stats(L, lab_still_vm(L, 1));
	else if (strcmp(name, "verdicts") == 0)
		return lab_push_verdicts(L, lab_still_vm(L, 1));
	else if (strcmp(name, "trace") == 0)
		lab_push_trace(L, 1);
	else
		return no_field(L, name);
	return 1;
}

static int l_newindex(lua_State *L)
{
	return luaL_error(L, "a VM's fields cannot be set (%s): use its methods, vm.cpu[1].rax or vm.mem[address]",
	    lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?");
}

static int l_gc(lua_State *L)
{
	struct lab_vm *lv = luaL_checkudata(L, 1, VM_CLASS);

	close_vm(L, lv);
	return 0;
}

static int l_tostring(lua_State *L)
{
	const struct lab_vm *lv = luaL_checkudata(L, 1, VM_CLASS);

	if (lv->control)
		lua_pushfstring(L, "vm (%s/%s)", mode_name(lv->vm->cfg.mode->mode),
		    lv->vm->cfg.mode->type == VMM_TYPE_I ? "I" : "II");
	else
		lua_pushliteral(L, "vm (closed)");
	return 1;
}

void lab_open_vm(lua_State *L)
{
	static const luaL_Reg meta[] = {
	    {"__newindex", l_newindex}, {"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};

	lab_class(L, VM_CLASS, NULL, meta);
	luaL_getmetatable(L, VM_CLASS);
	lua_newtable(L);
	luaL_setfuncs(L, own_methods, 0);
	luaL_setfuncs(L, lab_run_methods, 0);
	lua_pushcclosure(L, l_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_pushcfunction(L, l_vm);
	lua_setfield(L, -2, "vm");
	lua_pushcfunction(L, l_compare);
	lua_setfield(L, -2, "compare");
}
