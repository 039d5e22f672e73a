/*
 * Modelled cost of an exit, for virtual time: what the VMM's part would take on a named CPU. The VMM's work never
 * advances guest time; this figure is shown as modelled. Profiles are read from modes/simulate/costs/ by the hosted
 * programs.
 */
#ifndef VMSCOPE_CORE_COST_H
#define VMSCOPE_CORE_COST_H

#include "core/exit.h"

#define COST_STEPS_MAX 12

struct cost_step {
	char name[40];
	uint32_t ns;
};

struct cost_path {
	struct cost_step steps[COST_STEPS_MAX];
	uint32_t n_steps;
	uint32_t total_ns;
};

struct cost_model {
	char name[48];	/* profile name */
	char cpu[64];	/* CPU and year */
	char stack[32]; /* "type1" or "type2" */
	struct cost_path by_reason[EXIT_SDM_COUNT];
};

/* 0 when the model has no path for it. */
static inline uint64_t cost_of(const struct cost_model *m, uint32_t reason)
{
	return m && reason < EXIT_SDM_COUNT ? m->by_reason[reason].total_ns : 0;
}

#endif
