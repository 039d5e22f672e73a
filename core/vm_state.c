/*
 * The architectural state of a vCPU: v->cpu.s while the VMM holds it, the mode's own copy while the guest runs. See
 * core/vm_state.h.
 */
#include "core/vm_state.h"

bool vm_mode_failed(struct vm *vm, enum err e, const char *what)
{
	if (e == ERR_OK)
		return false;
	vm_kill(vm, END_HOST_ERROR, (uint32_t)e, "%s: cannot %s: %s", vm->cfg.mode->name, what, err_sentence(e));
	return true;
}

bool vcpu_hand_over(struct vcpu *v)
{
	if (v->dirty & DIRTY_SREGS)
		x86_state_changed(&v->cpu);
	enum err e = v->vm->cfg.mode->set_state(v);
	v->dirty = 0;
	return !vm_mode_failed(v->vm, e, "set the CPU state");
}

struct x86_state *vcpu_state(struct vcpu *v)
{
	if (!v->state_valid) {
		/* What was changed in the part that is there must not be read back as it was. */
		if (v->regs_valid && !vcpu_flush_state(v))
			return NULL;
		if (vm_mode_failed(v->vm, v->vm->cfg.mode->get_state(v), "read the CPU state"))
			return NULL;
		v->state_valid = v->regs_valid = true;
		x86_state_changed(&v->cpu);
	}
	x86_flags_sync(&v->cpu);
	return &v->cpu.s;
}

struct x86_state *vcpu_state_for_write(struct vcpu *v, uint32_t what)
{
	struct x86_state *s = vcpu_state(v);

	if (s)
		v->dirty |= what;
	return s;
}

struct x86_state *vcpu_regs(struct vcpu *v)
{
	const struct mode_ops *mode = v->vm->cfg.mode;

	if (v->state_valid || !mode->get_regs)
		return vcpu_state(v);
	if (!v->regs_valid) {
		if (vm_mode_failed(v->vm, mode->get_regs(v), "read the CPU's registers"))
			return NULL;
		v->regs_valid = true;
	}
	return &v->cpu.s;
}

struct x86_state *vcpu_regs_for_write(struct vcpu *v, uint32_t what)
{
	struct x86_state *s = vcpu_regs(v);

	if (s)
		v->dirty |= what;
	return s;
}
