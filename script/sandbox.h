/*
 * A Lua state for text that nobody has checked: behaviour models (modes/simulate) and lab scripts (labs). Enough
 * language to compute, and nothing that reaches the host or makes two runs differ: no io, os, debug, load, require;
 * pairs() has a defined order, math.random comes from a seed, tables print without their address, memory and
 * instructions are limited, there are no finalizers.
 *
 * What cannot be limited here: time inside one call of a library function (a pattern that backtracks), and what Lua
 * does between two instructions (each error that pcall catches costs a walk over the whole stack, so that deep
 * recursion around pcall takes for ever). Who runs text of an enemy limits the process, too.
 */
#ifndef VMSCOPE_SCRIPT_SANDBOX_H
#define VMSCOPE_SCRIPT_SANDBOX_H

#include <lua.h>

#include "core/err.h"

struct sandbox {
	/* filled by the owner before sandbox_open() */
	void *owner;
	size_t bytes_max;
	uint64_t insns_max;	/* Lua instructions since the owner last set insns to 0 */
	const char *over_words; /* what the script is told then; %d: millions of instructions */
	uint64_t seed;
	bool catches;	    /* the script has pcall, and coroutines */
	const char *label;  /* what errors call the script; NULL: its path */
	const char *beside; /* include() looks beside this path, too; may be NULL */
	/* A line that the script prints; n bytes, no end of line. */
	void (*print)(void *owner, const char *line, size_t n);
	/* NULL, or: true makes a coroutine yield at once, and go on later. */
	bool (*pause)(void *owner);
	/* the sandbox's own */
	lua_State *L;
	size_t bytes;
	uint64_t insns;
	uint64_t rng;
	unsigned refused; /* requests for memory */
	bool over;	  /* a limit was passed for good: no pcall holds that up */
};

static inline struct sandbox *sandbox_of(lua_State *L)
{
	return *(struct sandbox **)lua_getextraspace(L);
}

/* Makes the state and calls prepare in it, protected, with path as light userdata: it opens the libraries, adds the
 * owner's own, and loads the script. ERR_FORMAT: why has file, line and what is wrong. */
enum err sandbox_open(struct sandbox *b, lua_CFunction prepare, const char *path, struct errmsg *why) MUST_CHECK;
void sandbox_close(struct sandbox *b);
/* In prepare: what every script has. */
void sandbox_libraries(lua_State *L);
/* In prepare: globals that the script gets no more, ended by NULL. */
void sandbox_forget(lua_State *L, const char *const *names);
/* In prepare, last: limits begin; pushes the script's chunk; kind ("model") and option are for the error. */
void sandbox_load(lua_State *L, const char *path, const char *hint);
/* The same of a text that is in memory; name is what errors call it ("scenes.lua"). There is no include(). */
void sandbox_load_text(lua_State *L, const char *text, size_t n, const char *name);
/* The error on top of the stack as one line. */
void sandbox_error_line(lua_State *L, char *buf, size_t n);

#endif
