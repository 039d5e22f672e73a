/*
 * virtualize / I: the bare-metal image in VMX root mode (VMXON, a VMCS of our own, EPT), with SVM as a sibling. It
 * comes with the Type I issue; until then this row of the table says so and can do nothing else.
 */
#include "core/controls.h"
#include "modes/modes.h"

static enum err virtualize_type1_probe(const struct host_ops *host, struct errmsg *why)
{
	(void)host;
	return err_set(why, ERR_NODEV, "not built yet: the bare-metal VMM with VT-x (VMXON, VMCS, EPT)");
}

const struct mode_ops mode_virtualize_type1_ops = {
    .name = "virtualize",
    .engine = "vmx",
    .mode = MODE_VIRTUALIZE,
    .type = VMM_TYPE_I,
    .profiles = PROFILE_METAL,
    .default_profile = "vtx-ept",
    .probe = virtualize_type1_probe,
    MODE_ABSENT_OPS,
};
