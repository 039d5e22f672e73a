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
	uint64_t stops_serial;	 /* of the breakpoints at which blocks are cut; 0: none */
	volatile int kicked;	 /* set by kick(), cleared by the run() that it ended */
};

/* The operations of core/mode.h: run() in run.c, the others in engine.c. */
enum err emulate_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e);
enum err emulate_probe(const struct host_ops *host, struct errmsg *why);
enum err emulate_vm_init(struct vm *vm, struct errmsg *why);
void emulate_vm_fini(struct vm *vm);
enum err emulate_map(struct vm *vm, unsigned slot, struct errmsg *why);
enum err emulate_get_state(struct vcpu *v);
enum err emulate_set_state(struct vcpu *v);
bool emulate_interruptible(struct vcpu *v);
enum err emulate_inject(struct vcpu *v, const struct x86_event *ev);
enum err emulate_complete(struct vcpu *v, struct vm_exit *e);
void emulate_kick(struct vcpu *v);
size_t emulate_mappings(struct vm *vm, struct mode_mapping *out, size_t max);

/* Everything of the row but the type; more: capabilities of one type only. */
#define EMULATE_OPS(more)                                                                                              \
	.name = "emulate", .engine = "interpreter", .mode = MODE_EMULATE,                                              \
	.caps = MODE_CAP_VIRTUAL_TIME | MODE_CAP_HOST_TIME | MODE_CAP_STEP_INSN | MODE_CAP_INSN_PROBE |                \
		MODE_CAP_COUNTS_INSNS | MODE_CAP_STATE_LIVE | MODE_CAP_BREAK | (more),                                 \
	.profiles = PROFILE_EMULATE, .default_profile = "vtx-ept", .probe = emulate_probe, .vm_init = emulate_vm_init, \
	.vm_fini = emulate_vm_fini, .map = emulate_map, .get_state = emulate_get_state,                                \
	.set_state = emulate_set_state, .interruptible = emulate_interruptible, .inject = emulate_inject,              \
	.run = emulate_run, .complete = emulate_complete, .kick = emulate_kick, .mappings = emulate_mappings

extern const struct mode_ops mode_metal_emulate_ops; /* metal.c */

#endif
