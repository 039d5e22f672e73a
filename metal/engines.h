/*
 * The backends that the bare-metal image links, as modes/modes.c has those of the hosted program.
 */
#ifndef VMSCOPE_METAL_ENGINES_H
#define VMSCOPE_METAL_ENGINES_H

#include "core/bundle.h"
#include "core/mode.h"

/* engine as in struct bundle. NULL: this machine has none, why says what is missing. */
const struct mode_ops *engine_find(enum vmm_mode mode, uint32_t engine, struct errmsg *why);
void engine_seed_fault(struct vm *vm, enum bundle_fault fault);

#endif
