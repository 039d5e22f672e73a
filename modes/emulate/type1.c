/*
 * emulate / I: the same engine inside the bare-metal image. The engine is freestanding already; what is missing is the
 * image that it would run in, so this row of the table says so and can do nothing else.
 */
#include "core/controls.h"
#include "modes/modes.h"

static enum err emulate_type1_probe(const struct host_ops *host, struct errmsg *why)
{
	(void)host;
	return err_set(why, ERR_NODEV, "not built yet: the bare-metal VMM that would run the emulate engine");
}

const struct mode_ops mode_emulate_type1_ops = {
    .name = "emulate",
    .engine = "interpreter",
    .mode = MODE_EMULATE,
    .type = VMM_TYPE_I,
    .profiles = PROFILE_EMULATE,
    .default_profile = "vtx-ept",
    .probe = emulate_type1_probe,
    MODE_ABSENT_OPS,
};
