/*
 * x87 exceptions with CR0.NE clear. Concept: outside the processor there is hardware that decides how an exception goes
 * on, so it cannot go on by itself: a waiting instruction that finds one pending exits (EXCEPTION, #MF), in every mode
 * that can make it exit, and the VMM plays the hardware [SDM 1 "MS-DOS* Compatibility Sub-mode"]:
 *
 *   FERR# is asserted, which raises IRQ 13. While IGNNE# is asserted the VMM executes the instruction as if nothing
 * were pending; otherwise the processor freezes before it until an interrupt comes, and meets it again after the
 * handler.
 *
 * FERR# drops when nothing unmasked is pending any more, or CR0.NE is set: our own CPU looks after each instruction
 * (core/x86/step.c). Where the guest runs on a real one, the VMM can look at exits only; an exception that was cleared
 * and a new one without an exit between them are told apart by the address of the instruction, if it is another one.
 *
 * Read core/dev/coprocessor.c next.
 */
#include "core/ferr.h"

#include "core/dev/dev.h"
#include "core/handlers.h"
#include "core/x86/access.h"

#define FSW_AT 2u /* in the FXSAVE image */
#define FIP_AT 8u
#define FSW_ES 0x80u

static uint64_t exception_at(const struct x86_state *s)
{
	return x86_get(s->fxsave + FIP_AT, 8);
}

static void drop(struct vcpu *v)
{
	v->cpu.ferr = false;
	coprocessor_set_ferr(dev_get(v->vm, DEV_COPROCESSOR), v->id, false);
}

void vcpu_ferr_dropped(struct vcpu *v)
{
	if (v->vm->machine)
		drop(v);
}

void vcpu_ferr_look(struct vcpu *v)
{
	const struct x86_state *s = vcpu_state(v);

	if (s && v->vm->machine && (!(x86_get(s->fxsave + FSW_AT, 2) & FSW_ES) || (s->cr0 & CR0_NE)))
		drop(v);
}

bool vcpu_is_ferr(struct vcpu *v, const struct vm_exit *e)
{
	const uint32_t mf = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | VEC_MF;
	const struct x86_state *s;

	if (LIKELY(e->intr_info != mf) || vcpu_completes(v) || v->vm->cfg.mode->caps & MODE_CAP_MODEL)
		return false;
	s = vcpu_state(v);
	return s && !(s->cr0 & CR0_NE);
}

/* Not HLT, but as good as: nothing happens until an interrupt does. An interrupt shadow would keep it away for ever. */
static enum verdict freeze(struct vcpu *v)
{
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_EVENTS);

	if (!s)
		return VERDICT_KILL;
	s->intr_shadow &= ~(INTR_SHADOW_STI | INTR_SHADOW_MOVSS);
	v->halted = v->frozen = true;
	v->halt_ns = clock_now_ns(&v->vm->clock);
	return VERDICT_AGAIN;
}

enum verdict vcpu_ferr(struct vcpu *v, struct vm_exit *e)
{
	struct device *d = dev_get(v->vm, DEV_COPROCESSOR);
	const struct x86_state *s = vcpu_state(v);

	if (!s)
		return VERDICT_KILL;
	if (v->cpu.ferr && v->ferr_at != exception_at(s) && !(v->vm->cfg.mode->caps & MODE_CAP_STATE_LIVE))
		drop(v);
	v->cpu.ferr = true;
	v->ferr_at = exception_at(s);
	coprocessor_set_ferr(d, v->id, true);
	if (!coprocessor_ignne(d))
		return freeze(v);
	enum verdict verdict = vcpu_execute(v, e);
	v->ferr_at = exception_at(&v->cpu.s);
	return verdict;
}

void vcpu_thaw(struct vcpu *v)
{
	if (v->frozen)
		v->halted = v->frozen = false;
}
