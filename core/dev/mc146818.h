/*
 * The state of the real-time clock, for mc146818.c and for who shows it.
 */
#ifndef VMSCOPE_CORE_DEV_MC146818_H
#define VMSCOPE_CORE_DEV_MC146818_H

#include "core/types.h"

struct mc146818_state {
	uint8_t cmos[128];
	uint8_t index;
	uint8_t powered; /* the battery was connected: time and memory outlive a reset */
	uint8_t pad[6];
	uint64_t second_ns; /* when the running second began */
	uint64_t chain_ns;  /* when the divider chain was started */
	uint64_t periods;   /* periodic events since then that PF has seen */
};

#endif
