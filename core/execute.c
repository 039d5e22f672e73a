/*
 * One instruction on the guest's behalf. A VMM cannot always tell from an exit alone what the guest wanted (which
 * register takes the byte that was read from a device?), so it fetches the instruction and executes it in software,
 * with no intercepts and with devices reachable. bhyve, KVM and Xen all have such an emulator; ours is the same
 * core/x86 that runs whole guests in emulate.
 */
#include "core/env.h"
#include "core/handlers.h"
#include "core/lib.h"
#include "core/x86/event.h"
#include "core/x86/insn.h"

/* The CPU as the guest's own machine: no intercepts, no audit, the exit record kept safe. */
struct saved_cpu {
	const struct vm_controls *ctl;
	struct vm_exit *exit;
	void (*on_insn)(void *arg, const struct x86_insn *i);
	uint64_t budget, insns;
};

/* Registers of x87, MMX and SSE go back to where the guest runs only when an instruction may have changed them. */
static void note_unit(void *vcpu, const struct x86_insn *i)
{
	if (i->class == INSN_CLASS_FPU)
		((struct vcpu *)vcpu)->dirty |= DIRTY_FPU;
}

static void executor_begin(struct vcpu *v, struct saved_cpu *saved, struct vm_exit *scratch)
{
	struct x86_cpu *c = &v->cpu;

	*saved = (struct saved_cpu){c->ctl, c->exit, c->on_insn, c->budget, c->insns};
	/* Where the guest runs elsewhere, our TLB has not seen its changes to the page tables. */
	if (!(v->vm->cfg.mode->caps & MODE_CAP_STATE_LIVE))
		x86_tlb_flush(c);
	x86_set_controls(c, NULL);
	c->exit = scratch;
	c->on_insn = note_unit;
	c->budget = 1;
	c->mmio_count = 0;
	memset(&c->mmio_last, 0, sizeof(c->mmio_last));
	v->executing = true;
}

static void executor_end(struct vcpu *v, const struct saved_cpu *saved)
{
	struct x86_cpu *c = &v->cpu;
	uint64_t retired = c->insns - saved->insns;

	x86_set_controls(c, saved->ctl);
	c->exit = saved->exit;
	c->on_insn = saved->on_insn;
	c->budget = saved->budget;
	v->executing = false;
	v->vm->clock.insns += retired;
	v->counts.insns_vmm += retired;
}

static enum verdict executor_verdict(struct vcpu *v, struct vm_exit *e, enum x86_rc rc, const struct vm_exit *scratch)
{
	struct x86_cpu *c = &v->cpu;

	if (c->mmio_count) {
		e->mmio = c->mmio_last;
		e->mmio.n_accesses = (uint8_t)(c->mmio_count > 255 ? 255 : c->mmio_count);
	}
	switch (rc) {
	case X86_OK:
		return v->vm->want_reset ? VERDICT_RESET : VERDICT_AGAIN;
	case X86_FAULT:
		if (c->iret_faulted)
			x86_iret_faulted(c);
		v->reflect = c->fault;
		return VERDICT_REFLECT;
	case X86_EXIT:
		/* HLT is the one instruction whose effect is not on the CPU: it asks the VMM for the CPU's time. It is
		 * met where HLT traps as a privileged instruction, and where the guest runs from device memory. */
		if (scratch->reason == EXIT_HLT) {
			e->insn_len = scratch->insn_len;
			return VERDICT_HALT;
		}
		/* A chain of exceptions that raise themselves (core/x86/event.c): the event is pending, the guest goes
		 * on. */
		if (scratch->reason == EXIT_PREEMPTION_TIMER || scratch->reason == EXIT_VMM_TIMER)
			return VERDICT_AGAIN;
		if (scratch->reason == EXIT_TRIPLE_FAULT)
			vm_kill(v->vm, END_TRIPLE_FAULT, 0, "triple fault at rip %#llx", (unsigned long long)e->rip);
		else
			vm_kill(v->vm, END_BUG, scratch->reason,
			    "the executor exited with %s, and nothing may exit in it", exit_name(scratch->reason));
		return VERDICT_KILL;
	case X86_STOP:
	case X86_RETRY:
	default:
		vm_kill(v->vm, END_UNIMPLEMENTED, 0, "not executed yet: %s, at rip %#llx", c->stop_reason,
		    (unsigned long long)e->rip);
		return VERDICT_KILL;
	}
}

enum verdict vcpu_execute(struct vcpu *v, struct vm_exit *e)
{
	struct vm_exit scratch = {0};
	struct saved_cpu saved;

	if (!vcpu_state_for_write(v, DIRTY_ALL & ~DIRTY_FPU))
		return VERDICT_KILL;
	executor_begin(v, &saved, &scratch);
	enum x86_rc rc = x86_step(&v->cpu);
	executor_end(v, &saved);
	return executor_verdict(v, e, rc, &scratch);
}

struct x86_event event_of_info(uint32_t info, uint32_t error, uint32_t insn_len)
{
	struct x86_event ev = {.vector = (uint8_t)info, .type = info >> INTR_INFO_TYPE_SHIFT & 7};

	if (info & INTR_INFO_ERROR) {
		ev.has_error = 1;
		ev.error = error;
	}
	if (ev.type == INTR_TYPE_SW_INT || ev.type == INTR_TYPE_SW_EXCEPTION || ev.type == INTR_TYPE_PRIV_SW_EXCEPTION)
		ev.insn_len = (uint8_t)insn_len;
	return ev;
}

enum verdict vcpu_redeliver(struct vcpu *v, struct vm_exit *e)
{
	struct x86_event ev = event_of_info(e->idt_info, e->idt_error, e->insn_len);
	struct vm_exit scratch = {0};
	struct saved_cpu saved;

	if (!vcpu_state_for_write(v, DIRTY_ALL & ~DIRTY_FPU))
		return VERDICT_KILL;
	ev.cr2 = v->cpu.s.cr2;
	executor_begin(v, &saved, &scratch);
	enum x86_rc rc = x86_inject(&v->cpu, &ev);
	executor_end(v, &saved);
	v->redelivered = true;
	return executor_verdict(v, e, rc, &scratch);
}
