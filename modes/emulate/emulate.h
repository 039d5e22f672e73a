/*
 * Emulate: our own x86 CPU in software. core/x86 knows what one instruction means; this folder runs many of them fast.
 * Read in order: blocks.h (the cache), run.c (the loop), type2.c (the mode_ops).
 */
#ifndef VMSCOPE_MODES_EMULATE_EMULATE_H
#define VMSCOPE_MODES_EMULATE_EMULATE_H

#include "core/vm.h"
#include "modes/emulate/blocks.h"

struct emulate_vm {
	struct block_cache blocks;
	uint64_t mem_generation; /* of the slots that blocks and TLB were filled from */
	volatile int kicked;	 /* set by kick(), cleared by the run() that it ended */
};

/* One run() of mode_ops: see core/mode.h. */
enum err emulate_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e);

#endif
