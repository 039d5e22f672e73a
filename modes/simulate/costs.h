/*
 * Cost profiles: Lua files in modes/simulate/costs that name a CPU, a year and a source for every figure, and say which
 * steps an exit takes under a Type I and under a Type II VMM. Used by the hosted programs for every run on virtual
 * time.
 */
#ifndef VMSCOPE_MODES_SIMULATE_COSTS_H
#define VMSCOPE_MODES_SIMULATE_COSTS_H

#include "core/cost.h"
#include "core/err.h"
#include "core/mode.h"

#define COST_DEFAULT "nehalem-2011"

/* A path, or the name of a profile: then NAME.lua is looked for in $VMSCOPE_COSTS, beside the program (costs/) and in
 * its installation (../lib/vmscope/costs). *out is untouched on failure. */
enum err cost_load(const char *path_or_name, enum vmm_type type, struct cost_model *out, struct errmsg *why) MUST_CHECK;

#endif
