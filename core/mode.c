/*
 * Names of the modes, and what the backends that are not built yet have in common: they refuse, in one place, before
 * anything else of theirs can be reached.
 */
#include "core/mode.h"

const char *mode_name(enum vmm_mode m)
{
	switch (m) {
	case MODE_SIMULATE:
		return "simulate";
	case MODE_EMULATE:
		return "emulate";
	case MODE_VIRTUALIZE:
		return "virtualize";
	default:
		return "unknown";
	}
}

enum err mode_absent_init(struct vm *vm, struct errmsg *why)
{
	(void)vm;
	return err_set(why, ERR_NODEV, "this backend is not built yet");
}

void mode_absent_fini(struct vm *vm)
{
	(void)vm;
}

enum err mode_absent_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	(void)vm;
	(void)slot;
	return err_set(why, ERR_NODEV, "this backend is not built yet");
}

enum err mode_absent_vcpu(struct vcpu *v)
{
	(void)v;
	return ERR_NODEV;
}

bool mode_absent_interruptible(struct vcpu *v)
{
	(void)v;
	return false;
}

enum err mode_absent_inject(struct vcpu *v, const struct x86_event *ev)
{
	(void)v;
	(void)ev;
	return ERR_NODEV;
}

enum err mode_absent_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	(void)v;
	(void)b;
	(void)e;
	return ERR_NODEV;
}

enum err mode_absent_complete(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return ERR_NODEV;
}

void mode_absent_kick(struct vcpu *v)
{
	(void)v;
}

size_t mode_absent_mappings(struct vm *vm, struct mode_mapping *out, size_t max)
{
	(void)vm;
	(void)out;
	(void)max;
	return 0;
}
