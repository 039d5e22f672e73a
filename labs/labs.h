/*
 * Labs: the VMM in the hands of a Lua script. A script makes virtual machines, drives them, looks at everything that
 * VMM and guest have, and answers exits itself; core, tracer and run control stay underneath. docs/lua.md is the
 * reference of what a script finds.
 *
 * A script's error is collected, never thrown through the core: a handler runs in a protected call, and when it fails
 * the VM is stopped and the error goes on where the script had called vm:run().
 *
 * Read first: lab_impl.h, then script.c (the state), vm.c (a VM and its run), handlers.c (exits).
 */
#ifndef VMSCOPE_LABS_LABS_H
#define VMSCOPE_LABS_LABS_H

#include <stdio.h>

#include "core/session.h"
#include "tracer/view_model.h"

struct tracer;
struct symbols;

/* A VM as its maker made it: loaded, at its first instruction, with a tracer whose sink is the model. */
struct lab_machine {
	struct session *session;
	struct tracer *tracer;
	const struct symbols *symbols; /* NULL: none */
	void *priv;
};

/* A guest in one backend, beside the others. */
struct lab_compared {
	char backend[32]; /* "emulate/II" */
	bool reference, ran;
	char why[200]; /* it did not run */
	char end[32];
	uint64_t exits;
	struct pg_verdict equivalence, safety, efficiency;
};
#define LAB_COMPARED_MAX 6

/* Who makes VMs: the command line (cli/lab_source.c), or a test. All on the script's thread. */
struct lab_maker {
	/* argv: as of "vmscope run", argv[0] is not looked at; copied. image: bytes of a guest of the script's own
	 * (then argv names none); NULL: none. */
	enum err (*make)(void *arg, int argc, char **argv, const void *image, size_t n, struct view_model *model,
	    struct lab_machine *out, struct errmsg *why);
	void (*close)(void *arg, struct lab_machine *m);
	/* At this moment; the guest stands still. */
	void (*verdicts)(void *arg, struct lab_machine *m, struct view_verdicts *out);
	/* The tracer's part of it is done: the maker's console, and the like, begin and end to see the past again. */
	void (*silent)(void *arg, struct lab_machine *m, bool on);
	/* Runs a guest in every backend of this machine; argv as for make. */
	enum err (*compare)(void *arg, int argc, char **argv, struct lab_compared out[LAB_COMPARED_MAX], unsigned *n,
	    struct errmsg *why);
	void *arg;
};

struct lab_config {
	const struct lab_maker *maker;
	const char *path; /* of the script */
	int argc;	  /* the script's arguments: arg[1] .. */
	char **argv;
	uint64_t seed;	    /* of math.random */
	size_t bytes_max;   /* memory of the script; 0: 256 MiB */
	uint64_t insns_max; /* Lua instructions of the script; 0: 2000 million */
	FILE *out;	    /* what it prints */
	uint64_t guest_insns_max,
	    guest_exits_max;	/* of each VM (instructions: where they are counted); 0: as it says */
	bool virtual_time;	/* VMs of the script have no other clock */
	uint64_t guest_mem_max; /* bytes of memory of all VMs that are open; 0: as much as the host has */
};

/* Runs the script. ERR_OK; ERR_FORMAT: the script is wrong, or raised an error: why is file, line and what. */
enum err lab_run(const struct lab_config *cfg, struct errmsg *why) MUST_CHECK;

#endif
