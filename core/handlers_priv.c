/*
 * Exit 0: an exception of the guest reached the VMM first. Under the VMX profiles it is the guest's own business and
 * goes back to it. Under trap-and-emulate (profiles deprivileged and umip) it is how privileged instructions arrive:
 * the guest's kernel believes to be at CPL 0, really runs at CPL 3, and each privileged instruction raises #GP or #UD
 * here. If the instruction succeeds when it is executed at the CPL that the guest believes in, the VMM has emulated it;
 * if it faults even there, the fault is the guest's own.
 */
#include "core/handlers.h"

#include "core/ferr.h"
#include "core/x86/insn.h"

static bool is_software(uint32_t type)
{
	return type == INTR_TYPE_SW_INT || type == INTR_TYPE_SW_EXCEPTION || type == INTR_TYPE_PRIV_SW_EXCEPTION;
}

static enum verdict reflect_exit(struct vcpu *v, const struct vm_exit *e)
{
	v->reflect = event_of_info(e->intr_info, e->intr_error, e->insn_len);
	if (v->reflect.vector == VEC_PF)
		v->reflect.cr2 = e->qual;
	else if (v->reflect.vector == VEC_DB)
		v->reflect.dr6 = e->qual;
	return VERDICT_REFLECT;
}

static bool is_privileged_trap(const struct vcpu *v, const struct vm_exit *e)
{
	uint8_t vector = (uint8_t)e->intr_info;

	return v->vm->controls.ring != RING_HW && !vcpu_completes(v) && !(e->idt_info & INTR_INFO_VALID) &&
	       !is_software(e->intr_info >> INTR_INFO_TYPE_SHIFT & 7) && (vector == VEC_GP || vector == VEC_UD);
}

/* A behaviour model has no bytes to look at. Where a privileged instruction raised the exception, its exit names the
 * instruction (value) and the mode executes it when it completes. */
static bool is_modelled_trap(const struct vcpu *v, const struct vm_exit *e)
{
	return v->vm->cfg.mode->caps & MODE_CAP_MODEL && v->vm->controls.ring != RING_HW && e->insn_len != 0;
}

enum verdict handle_exception(struct vcpu *v, struct vm_exit *e)
{
	if (is_modelled_trap(v, e))
		return e->value == INSN_HLT ? VERDICT_HALT : VERDICT_NEXT;
	if (v->vm->machine && vcpu_is_ferr(v, e))
		return vcpu_ferr(v, e);
	if (!is_privileged_trap(v, e))
		return reflect_exit(v, e);
	if (!vcpu_state(v))
		return VERDICT_KILL;
	return vcpu_execute(v, e);
}
