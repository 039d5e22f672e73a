/*
 * A bare-metal VMM without a machine: a child process that serves a pseudo-terminal. It is the agent of the image
 * itself (metal/agent.c) with the emulate engine, behind a bad cable if that is wanted, or a VMM that misbehaves in one
 * way.
 */
#ifndef VMSCOPE_TESTS_FAKE_METAL_H
#define VMSCOPE_TESTS_FAKE_METAL_H

#include "core/types.h"

enum fake_metal_kind {
	FAKE_METAL_AGENT,
	FAKE_METAL_OTHER_VERSION, /* says hello in a later version of the protocol */
	FAKE_METAL_OTHER_STATE,	  /* the same version, another struct x86_state */
	FAKE_METAL_DIES,	  /* the agent, until the first CMD_CONTINUE */
	FAKE_METAL_PANICS,	  /* says why, then */
	FAKE_METAL_BAD_RECORDS,	  /* sends records that make no sense, then */
	FAKE_METAL_SLOW,	  /* the agent; each guest takes it a second to make */
};

struct fake_metal {
	int pid;
	char device[64]; /* for --machine */
};

/* noise: bytes in a million that are lost, changed, or followed by another one, in each direction. */
bool fake_metal_start(struct fake_metal *f, enum fake_metal_kind kind, unsigned noise, uint64_t seed);
void fake_metal_stop(struct fake_metal *f);		     /* ends it if it still runs */
bool fake_metal_went_off(struct fake_metal *f, unsigned ms); /* by itself, within so long */

#endif
