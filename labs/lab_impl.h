/*
 * Private to the labs folder: a script, its VMs, and what they lend to Lua.
 */
#ifndef VMSCOPE_LABS_LAB_IMPL_H
#define VMSCOPE_LABS_LAB_IMPL_H

#include <lauxlib.h>
#include <lua.h>

#include "core/remote.h"
#include "labs/labs.h"
#include "script/sandbox.h"
#include "session/control.h"

#define LAB_VMS_MAX 32
#define LAB_HANDLERS_MAX 64
#define LAB_DEVICES_MAX SESSION_DEVICES_MAX
#define LAB_BYTES_MAX (256ull << 20)
#define LAB_INSNS_MAX 2000000000ull
#define LAB_OVER_WORDS "the script has used its %d million Lua instructions, an endless loop?"

struct scene;

struct lab {
	struct lab_config cfg;
	struct sandbox box;
	unsigned n_vms;	     /* that are open */
	uint64_t mem;	     /* bytes of memory of these */
	struct scene *scene; /* NULL: a script that nobody judges */
};

static inline struct lab *lab_of(lua_State *L)
{
	return sandbox_of(L)->owner;
}

struct lab_vm;
struct lab_device;

/* An exit handler of the script. */
struct lab_handler {
	int fn; /* in the registry; LUA_NOREF: removed */
	unsigned id;
	uint32_t reason;
	enum { LAB_ANY, LAB_PORT, LAB_MSR, LAB_GPA } what;
	uint64_t lo, hi;
};

/* A Lua userdata. */
struct lab_vm {
	struct lab *lab;
	struct lab_machine machine;
	int model_text;		 /* a file without a name; -1: none */
	struct control *control; /* NULL: closed */
	struct view_model *model;
	struct vm *vm; /* the VM, or the mirror of one on another machine */
	uint64_t mem;  /* bytes */
	bool remote, traced;
	/* The console: what the guest has written up to control_where()->console_bytes. */
	char *console;
	size_t n_console, room_console;
	bool console_lost;
	void (*old_console)(void *arg, const char *port, uint8_t byte);
	void *old_console_arg;
	/* While the guest runs: */
	lua_State *L;	    /* who called, and whose handlers answer; the registry has the VM at its address */
	bool running;	    /* inside a call of control.h */
	bool replaying;	    /* and it goes through what was seen already */
	struct vcpu *at;    /* a handler or a device of the script is at work for this vCPU */
	bool in_device;	    /* it is a device */
	bool error;	    /* a handler raised one: the registry has it, at this address */
	unsigned last_vcpu; /* of the newest exit */
	enum verdict last_verdict;
	bool has_exit;
	struct lab_handler handlers[LAB_HANDLERS_MAX];
	unsigned n_handlers, next_handler;
	struct lab_device *devices[LAB_DEVICES_MAX];
	unsigned n_devices;
};

/* --- script.c --- */
/* The global "vmscope". */
void lab_open_api(lua_State *L);
/* For sandbox.print; owner is the struct lab. */
void lab_print_line(void *owner, const char *line, size_t n);
/* Raises what a function of the project reported, "what: why". */
int lab_raise(lua_State *L, const char *what, enum err e, const struct errmsg *why);
/* Raises text with the place where the function fn of the registry is. */
int lab_blame(lua_State *L, int fn, const char *text);
/* The field of the table at index (absolute), or raises; absent: fallback. Raw: no function of the script is called. */
uint64_t lab_field_u64(lua_State *L, int table, const char *name, uint64_t fallback);
/* An unsigned number of 64 bits, given as an integer or a whole float. */
uint64_t lab_check_u64(lua_State *L, int arg);
/* The same of what is assigned to the field "of.name"; an error says so. */
uint64_t lab_check_value(lua_State *L, int arg, const char *of, const char *name);
/* A metatable by name, with these methods as __index when index is NULL. Leaves the stack. */
void lab_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta);

/* --- vm_options.c: the table of vmscope.vm{}, argument 1 --- */
#define LAB_WORDS_MAX 64
/* Becomes a copy of it, with known fields alone; or raises. */
void lab_check_fields(lua_State *L);
/* Where a grader says so: no other clock than the virtual one, and no more memory than it bounds; or raises. The bytes
 * that the VM will have; 0 where nobody bounds them. */
void lab_check_clock(lua_State *L);
uint64_t lab_bound_mem(lua_State *L);
/* The words of "vmscope run", how many; their texts stay in the table that is left on top of the stack. */
int lab_make_words(lua_State *L, char *argv[LAB_WORDS_MAX]);
/* The text of a behaviour model, for those who open files, and its word: a file that leaves nothing behind, or -1.
 * Leaves the table of its word. */
int lab_add_model_text(lua_State *L, char **argv, int *argc);

/* --- vm.c --- */
void lab_open_vm(lua_State *L); /* with the table vmscope on top of the stack */
struct lab_vm *lab_check_vm(lua_State *L, int arg);
/* The same, of a VM that stands still. */
struct lab_vm *lab_still_vm(lua_State *L, int arg);
/* What is known goes to the model: counts, log. */
void lab_sync(struct lab_vm *lv);

/* --- run.c: the methods that drive a VM --- */
extern const luaL_Reg lab_run_methods[];
/* Before something comes from outside: at a point in the past it makes a new future. */
void lab_begin_future(struct lab_vm *lv);

/* --- state.c: processors and memory --- */
void lab_open_state(lua_State *L);
/* Pushes; vm is at the stack index. */
void lab_push_cpus(lua_State *L, int vm);
void lab_push_cpu(lua_State *L, int vm, unsigned vcpu);
void lab_push_mem(lua_State *L, int vm);
int lab_translate(lua_State *L);

/* --- exits.c: an exit as Lua sees it --- */
/* Pushes the field, or returns false. */
bool lab_exit_field(lua_State *L, const struct vm_exit *e, const char *name);
void lab_push_exit_table(lua_State *L, const struct vm_exit *e);
const char *lab_verdict_name(enum verdict v);

/* --- handlers.c --- */
void lab_open_handlers(lua_State *L);
int lab_on_exit(lua_State *L);
int lab_off_exit(lua_State *L);
/* For vm_config.user; arg is the struct lab_vm. */
enum verdict lab_user(void *arg, struct vcpu *v, struct vm_exit *e);
/* Keeps the error on top of L's stack, pops it, and stops the VM. */
void lab_keep_error(struct lab_vm *lv, lua_State *L);
/* Raises it, where the script can hear it. */
void lab_raise_kept(struct lab_vm *lv, lua_State *L);

/* --- observe.c: stats, verdicts, trace, symbols --- */
int lab_push_stats(lua_State *L, struct lab_vm *lv);
int lab_push_verdicts(lua_State *L, struct lab_vm *lv);
void lab_push_compared(lua_State *L, const struct lab_compared *rows, unsigned n);
void lab_push_trace(lua_State *L, int vm);
int lab_push_symbols(lua_State *L, struct lab_vm *lv);
int lab_symbol(lua_State *L);
void lab_open_observe(lua_State *L);

/* --- judge.c: what a grader looks at --- */
/* Pushes a table of plain data about the VM at the stack index; hash gets that of its exits, as hexadecimal digits. */
void lab_push_observed(lua_State *L, int vm, char hash[65], char run[64]);

/* --- device.c --- */
void lab_open_device(lua_State *L); /* with the table vmscope on top */
/* Puts the devices in the table at index on the bus of lv, which has not run. */
void lab_add_devices(lua_State *L, struct lab_vm *lv, int table);
void lab_free_devices(lua_State *L, struct lab_vm *lv);
int lab_irq(lua_State *L);
int lab_emit(lua_State *L);

/* --- asm.c --- */
int lab_asm(lua_State *L);

#endif
