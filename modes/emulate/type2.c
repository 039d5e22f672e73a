/*
 * emulate / II: the engine in a Linux process. It is here on every machine.
 */
#include "modes/emulate/emulate.h"
#include "modes/modes.h"

const struct mode_ops mode_emulate_type2_ops = {.type = VMM_TYPE_II, EMULATE_OPS(MODE_CAP_SMP)};
