/*
 * The six backends by name. Included by modes.c, by each backend for its own definition, and by tests; never by core.
 */
#ifndef VMSCOPE_MODES_MODES_H
#define VMSCOPE_MODES_MODES_H

#include "core/mode.h"

extern const struct mode_ops mode_simulate_type1_ops, mode_simulate_type2_ops;
extern const struct mode_ops mode_emulate_type1_ops, mode_emulate_type2_ops;
extern const struct mode_ops mode_virtualize_type1_ops, mode_virtualize_type2_ops;

#endif
