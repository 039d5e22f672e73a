/*
 * The options that say which machine runs which guest: shared by run, compare and audit. Parsed once, checked before
 * anything is created; pointers point into argv.
 */
#ifndef VMSCOPE_CLI_OPTIONS_H
#define VMSCOPE_CLI_OPTIONS_H

#include <argp.h>

#include "core/bundle.h"
#include "core/clock.h"
#include "core/mode.h"

#define OPTIONS_ALSO_MAX (BUNDLE_VMS_MAX - 1)

struct run_options {
	const char *guest; /* as the user wrote it; NULL with --firmware or --kernel alone */
	const char *engine, *machine, *model, *kernel, *initrd, *append, *firmware, *controls, *trace, *keys, *output;
	enum vmm_mode mode;
	enum vmm_type type;
	bool mode_set, clock_set, json, vga;
	enum clock_kind clock;
	uint64_t mem;
	uint64_t max_exits, max_insns;
	uint64_t timeout_ms; /* wall time; 0: none */
	double dominant;     /* the share that efficiency asks for */
	unsigned cpus;
	bool lockstep_insn; /* compare: single-step both sides */
	uint64_t seed;
	const char *also[OPTIONS_ALSO_MAX]; /* type I: more guests under the same VMM */
	unsigned n_also;
	enum bundle_fault fault; /* type I: a hole that is made on purpose */
};

void options_init(struct run_options *o);

/* Which options a subcommand takes. */
extern const struct argp_option options_run[], options_compare[], options_audit[], options_iso[];

/* An argp parser; input is a struct run_options. */
int options_parse(int key, char *arg, struct argp_state *state);

#endif
