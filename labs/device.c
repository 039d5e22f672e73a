/*
 * Devices of the script, on the same bus as those of the core. Each call into Lua is protected: below it stands the
 * VM's loop. Where a device of the core sits on one of the ports, it leaves them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/lib.h"
#include "labs/lab_impl.h"

#define DEVICE_CLASS "vmscope.device"

struct lab_device {
	struct device dev; /* dev.state is this struct */
	struct device_ops ops;
	struct lab_vm *lv;
	int read, write; /* in the registry; LUA_NOREF: none */
	bool is_mmio;
	uint64_t base, len;
};

struct access {
	struct lab_device *d;
	uint32_t off;
	unsigned len;
	bool is_write;
	uint64_t value;
};

/* Protected; argument 1 is the access. */
static int call_device(lua_State *L)
{
	struct access *a = lua_touserdata(L, 1);
	int fn = a->is_write ? a->d->write : a->d->read;

	luaL_checkstack(L, 8, NULL);
	lua_rawgeti(L, LUA_REGISTRYINDEX, fn);
	lua_pushinteger(L, a->off);
	lua_pushinteger(L, a->len);
	if (a->is_write)
		lua_pushinteger(L, (lua_Integer)a->value);
	lua_rawgetp(L, LUA_REGISTRYINDEX, a->d->lv);
	lua_call(L, a->is_write ? 4 : 3, 1);
	if (a->is_write)
		return 0;
	int is_number;
	a->value = (uint64_t)lua_tointegerx(L, -1, &is_number);
	if (!is_number)
		return lab_blame(L, fn, "the read function of a device gives a whole number, and nothing else");
	return 0;
}

static void do_access(struct access *a)
{
	struct lab_vm *lv = a->d->lv;
	lua_State *L = lv->L;

	if ((a->is_write ? a->d->write : a->d->read) == LUA_NOREF || lv->error || !L || !lua_checkstack(L, 3))
		return;
	struct vcpu *before = lv->at;
	bool was = lv->in_device;
	lv->at = &lv->vm->vcpus[lv->vm->turn];
	lv->in_device = true;
	lua_pushcfunction(L, call_device);
	lua_pushlightuserdata(L, a);
	int bad = lua_pcall(L, 1, 0, 0);
	lv->at = before;
	lv->in_device = was;
	if (bad != LUA_OK)
		lab_keep_error(lv, L);
}

static uint64_t device_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	struct access a = {.d = d->state, .off = off, .len = len, .value = UINT64_MAX};

	(void)region;
	do_access(&a);
	return a.value;
}

static void device_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	struct access a = {.d = d->state, .off = off, .len = len, .is_write = true, .value = value};

	(void)region;
	do_access(&a);
}

/* --- From the table of the script --------------------------------------------------------------------------------- */

/* Fields are read raw: what is checked here is what the bus will see. */
static int raw_field(lua_State *L, int table, const char *name)
{
	lua_pushstring(L, name);
	return lua_rawget(L, table);
}

static int take_function(lua_State *L, int table, const char *name)
{
	int type = raw_field(L, table, name);

	if (type == LUA_TNIL) {
		lua_pop(L, 1);
		return LUA_NOREF;
	}
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void check_function(lua_State *L, int table, const char *name)
{
	int type = raw_field(L, table, name);

	if (type != LUA_TNIL && type != LUA_TFUNCTION)
		luaL_error(L, "vmscope.device: %s: a function is needed, not a %s", name, lua_typename(L, type));
	lua_pop(L, 1);
}

static void read_range(lua_State *L, int table, const char *name, uint64_t max, uint64_t *base, uint64_t *len)
{
	lua_Integer first, last;

	if (raw_field(L, table, name) == LUA_TTABLE) {
		lua_rawgeti(L, -1, 1);
		lua_rawgeti(L, -2, 2);
		if (!lua_isinteger(L, -1) || !lua_isinteger(L, -2))
			luaL_error(L, "vmscope.device: %s: {FIRST, LAST}, two whole numbers", name);
		first = lua_tointeger(L, -2);
		last = lua_tointeger(L, -1);
		lua_pop(L, 2);
	} else {
		if (!lua_isinteger(L, -1))
			luaL_error(L, "vmscope.device: %s: a number, or {FIRST, LAST}", name);
		first = last = lua_tointeger(L, -1);
	}
	lua_pop(L, 1);
	if (last < first)
		luaL_error(L, "vmscope.device: %s: {FIRST, LAST}, two whole numbers", name);
	if (first < 0 || (uint64_t)last > max)
		luaL_error(L, "vmscope.device: %s: no address is above %I", name, (LUAI_UACINT)max);
	if ((uint64_t)(last - first) > UINT32_MAX)
		luaL_error(L, "vmscope.device: %s: a device has at most 4 GiB of addresses", name);
	*base = (uint64_t)first;
	*len = (uint64_t)(last - first) + 1;
}

/* The table's fields, or an error. A script may change them afterwards: they are read again for each VM. */
static void read_device(lua_State *L, int table, bool *is_mmio, uint64_t *base, uint64_t *len)
{
	bool ports = raw_field(L, table, "ports") != LUA_TNIL;

	*is_mmio = raw_field(L, table, "mmio") != LUA_TNIL;
	lua_pop(L, 2);
	if (ports == *is_mmio)
		luaL_error(L, "vmscope.device: give either ports or mmio, a number or {FIRST, LAST}");
	read_range(L, table, ports ? "ports" : "mmio", ports ? 0xffff : INT64_MAX, base, len);
	check_function(L, table, "read");
	check_function(L, table, "write");
}

/* A name that is mistyped would be a device that does not answer. Of several the first by name, in each process. */
static void check_names(lua_State *L)
{
	static const char *const known[] = {"ports", "mmio", "read", "write"};
	const char *unknown = NULL; /* held by the table */

	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
		const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "(a number)";
		bool good = false;
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			good = good || strcmp(name, known[i]) == 0;
		if (!good && (!unknown || strcmp(name, unknown) < 0))
			unknown = name;
	}
	if (unknown)
		luaL_error(L, "vmscope.device: no field %s: there are ports, mmio, read, write", unknown);
}

/* vmscope.device{}: checks the table, and gives it back as a device. */
static int l_device(lua_State *L)
{
	uint64_t base, len;
	bool is_mmio;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	check_names(L);
	read_device(L, 1, &is_mmio, &base, &len);
	luaL_setmetatable(L, DEVICE_CLASS);
	return 1;
}

static bool is_device(lua_State *L)
{
	if (!lua_istable(L, -1) || !lua_getmetatable(L, -1))
		return false;
	luaL_getmetatable(L, DEVICE_CLASS);
	bool same = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return same;
}

/* --- On the bus --------------------------------------------------------------------------------------------------- */

static enum err put_on_bus(struct lab_vm *lv, struct lab_device *d, struct errmsg *why)
{
	struct bus *b = &lv->vm->bus;

	if (d->is_mmio) {
		if (mem_find(&lv->vm->mem, d->base) >= 0)
			return err_set(
			    why, ERR_BUSY, "%#llx is memory: a device sits above it", (unsigned long long)d->base);
		return bus_add_mmio(b, d->base, d->len, &d->dev, 0, why);
	}
	return bus_take_pio(b, (uint16_t)d->base, (uint32_t)d->len, &d->dev, 0, why);
}

static void add_device(lua_State *L, struct lab_vm *lv, int table)
{
	struct session *s = lv->machine.session;
	struct errmsg why = {""};
	uint64_t base, len;
	bool is_mmio;

	if (lv->n_devices == LAB_DEVICES_MAX)
		luaL_error(L, "vmscope.vm: devices: at most %d", LAB_DEVICES_MAX);
	read_device(L, table, &is_mmio, &base, &len);
	struct lab_device *d = calloc(1, sizeof *d);
	if (!d) {
		luaL_error(L, "vmscope.vm: devices: no memory");
		return; /* not reached, which the compiler cannot know */
	}
	lv->devices[lv->n_devices++] = d;
	d->lv = lv;
	d->read = d->write = LUA_NOREF;
	d->ops = (struct device_ops){.name = "a device of the script",
	    .read = device_read,
	    .write = device_write,
	    .max_access = 8,
	    .stays = true};
	d->dev = (struct device){.ops = &d->ops, .vm = lv->vm, .state = d};
	d->is_mmio = is_mmio;
	d->base = base;
	d->len = len;
	d->read = take_function(L, table, "read");
	d->write = take_function(L, table, "write");
	enum err e = put_on_bus(lv, d, &why);
	if (!e)
		e = s->ops->claim(s, d->is_mmio, d->base, d->len);
	if (e)
		lab_raise(L, "vmscope.vm: devices", e, &why);
}

void lab_add_devices(lua_State *L, struct lab_vm *lv, int table)
{
	luaL_argexpected(L, lua_istable(L, table), 1, "a table of devices");
	for (lua_Integer i = 1; lua_rawgeti(L, table, i) != LUA_TNIL; i++) {
		if (!is_device(L))
			luaL_error(L, "vmscope.vm: devices[%d]: make it with vmscope.device{}", (int)i);
		add_device(L, lv, lua_gettop(L));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

void lab_free_devices(lua_State *L, struct lab_vm *lv)
{
	for (unsigned i = 0; i < lv->n_devices; i++) {
		luaL_unref(L, LUA_REGISTRYINDEX, lv->devices[i]->read);
		luaL_unref(L, LUA_REGISTRYINDEX, lv->devices[i]->write);
		free(lv->devices[i]);
	}
	lv->n_devices = 0;
}

/* vm:irq(line, level): for a device's functions and exit handlers. */
int lab_irq(lua_State *L)
{
	struct lab_vm *lv = lab_check_vm(L, 1);
	lua_Integer line = luaL_checkinteger(L, 2);

	luaL_argcheck(L, line >= 0 && line < 16, 2, "interrupt lines are 0 to 15");
	luaL_checkany(L, 3);
	if (!lv->at)
		return luaL_error(L, "vm:irq: for functions of a device and exit handlers, while the guest runs");
	enum err e = lv->machine.session->ops->set_irq(lv->machine.session, (unsigned)line, lua_toboolean(L, 3));
	if (e)
		lab_raise(L, "vm:irq", e, NULL);
	return 0;
}

/* vm:emit(text): as if a UART had sent it. */
int lab_emit(lua_State *L)
{
	struct lab_vm *lv = lab_check_vm(L, 1);
	size_t n;
	const char *bytes = luaL_checklstring(L, 2, &n);

	if (!lv->at)
		return luaL_error(L, "vm:emit: for functions of a device and exit handlers, while the guest runs");
	for (size_t i = 0; i < n; i++)
		lv->vm->cfg.console(lv->vm->cfg.console_arg, "uart", (uint8_t)bytes[i]);
	return 0;
}

void lab_open_device(lua_State *L)
{
	lab_class(L, DEVICE_CLASS, NULL, NULL);
	lua_pushcfunction(L, l_device);
	lua_setfield(L, -2, "device");
}
