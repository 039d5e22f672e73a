/*
 * emulate on bare metal: the same engine inside the image, on a CPU that needs no virtualization at all.
 */
#include "modes/emulate/emulate.h"

const struct mode_ops mode_metal_emulate_ops = {.type = VMM_TYPE_I, EMULATE_OPS(0)};
