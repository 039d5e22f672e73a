/*
 * A virtual machine whose loop runs on another machine: the hosted program's side of a Type I run. What happened there
 * arrives as events, and the probes of this VM (tracer, sequence, lockstep) see them as if the loop had run here. So
 * everything above the core has one code path for both types.
 *
 * Read after core/vm.c; core/remote.h has the events.
 */
#include "core/remote.h"

#include "core/lib.h"

void rec_regs_from(struct rec_regs *r, const struct x86_state *s)
{
	memcpy(r->gpr, s->gpr, sizeof(r->gpr));
	r->rip = s->rip;
	r->rflags = s->rflags;
	r->cr0 = s->cr0;
	r->cr2 = s->cr2;
	r->cr3 = s->cr3;
	r->cr4 = s->cr4;
	r->cr8 = s->cr8;
	r->efer = s->efer;
	r->cs_base = s->seg[X86_CS].base;
	r->ss_base = s->seg[X86_SS].base;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		r->sel[i] = s->seg[i].sel;
	r->sel[X86_SREG_COUNT] = s->ldtr.sel;
	r->sel[X86_SREG_COUNT + 1] = s->tr.sel;
}

void rec_regs_to(const struct rec_regs *r, struct x86_state *s)
{
	memcpy(s->gpr, r->gpr, sizeof(r->gpr));
	s->rip = r->rip;
	s->rflags = r->rflags;
	s->cr0 = r->cr0;
	s->cr2 = r->cr2;
	s->cr3 = r->cr3;
	s->cr4 = r->cr4;
	s->cr8 = r->cr8;
	s->efer = r->efer;
	s->seg[X86_CS].base = r->cs_base;
	s->seg[X86_SS].base = r->ss_base;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i].sel = r->sel[i];
	s->ldtr.sel = r->sel[X86_SREG_COUNT];
	s->tr.sel = r->sel[X86_SREG_COUNT + 1];
}

#define FOR_PROBES(vm, member, ...)                      \
	for (unsigned i_ = 0; i_ < (vm)->n_probes; i_++) \
		if ((vm)->probes[i_]->member)            \
	(vm)->probes[i_]->member((vm)->probe_args[i_], __VA_ARGS__)

#define PCI_ADDRESS 0xcf8u
#define PCI_DATA 0xcfcu /* four ports */

/* The devices are on the other machine. But what the guest writes to the host bridge decides which memory it sees (ROM
 * shadow), and the lockstep compares with a reference that has the same map: so this one device of the mirror follows.
 */
static void follow_memory_map(struct vm *vm, const struct vm_exit *e)
{
	bool out = e->reason == EXIT_IO_INSTRUCTION && !e->io.in && e->io.size;

	if (!out || (e->io.port != PCI_ADDRESS && (e->io.port & ~3u) != PCI_DATA))
		return;
	const struct device *d = bus_pio_owner(&vm->bus, e->io.port);
	if (d && !d->ops->stays) /* one of this side was asked */
		bus_pio_write(&vm->bus, e->io.port, e->io.size, e->io.value);
}

static void remote_exit(struct vm *vm, struct vcpu *v, const struct rec_exit *r)
{
	struct vm_exit *e = &v->exit;

	vm->clock.told_ns = r->entered_ns;
	v->entered_ns = r->entered_ns;
	v->cpu.s.rip = r->entry_rip;
	v->cpu.s.pending_event = r->entry_intr;
	v->cpu.s.pending_error = r->entry_error;
	v->counts.entries++;
	if (vm->clock.kind == CLOCK_HOST)
		v->exit.cost_ns = r->last_cost_ns;
	FOR_PROBES(vm, on_entry, v);
	*e = r->exit;
	vm->clock.told_ns = e->time_ns;
	vm->clock.insns = e->insns;
	vm->mem_stale = true;
	follow_memory_map(vm, e);
	v->cpu.s.pending_event = 0;
	v->counts.exits++;
	FOR_PROBES(vm, on_exit, v, e);
	v->history[e->index % VM_HISTORY] = *e;
	FOR_PROBES(vm, on_verdict, v, e, (enum verdict)r->verdict);
}

static void remote_inject(struct vm *vm, struct vcpu *v, const struct rec_inject *r)
{
	vm->clock.told_ns = r->time_ns;
	if (r->has_regs)
		rec_regs_to(&r->regs, &v->cpu.s);
	v->applying = r->applying;
	v->counts.injected++;
	FOR_PROBES(vm, on_inject, v, &r->event);
	v->applying = false;
}

static void remote_end(struct vm *vm, struct vcpu *v, const struct msg_end *m)
{
	vm->end = m->end;
	vm->ended = true;
	v->counts = m->counts;
	vm->clock.insns = m->insns;
	vm->clock.told_ns = m->now_ns;
}

bool vm_remote_turn(struct vm *vm, struct vcpu *v)
{
	struct remote_event ev;
	bool exited = false;

	for (;;) {
		enum err e = vm->cfg.mode->next(v, &ev);

		if (e == ERR_AGAIN && !vm->stop) /* it did a step, whose record is lost */
			return exited;
		if (e == ERR_AGAIN) {
			enum end_kind kind = (enum end_kind)vm->stop;
			vm->stop = 0;
			vm_kill(
			    vm, kind, 0, kind == END_TIMEOUT ? "the time limit was reached" : "stopped by the user");
			return exited;
		}
		if (e != ERR_OK) {
			vm_kill(vm, END_HOST_ERROR, (uint32_t)e, "%s", err_sentence(e)); /* next() said more, first */
			return exited;
		}
		switch (ev.kind) {
		case REMOTE_EXIT:
			remote_exit(vm, v, &ev.exit);
			exited = true;
			if (!ev.exit.has_done)
				return true;
			break;
		case REMOTE_DONE:
			rec_regs_to(&ev.done.regs, &v->cpu.s);
			if (ev.done.insns)
				vm->clock.insns = ev.done.insns;
			v->state_valid = true;
			FOR_PROBES(vm, on_done, v, &v->exit);
			return exited;
		case REMOTE_INJECT:
			remote_inject(vm, v, &ev.inject);
			break;
		case REMOTE_END:
		default:
			remote_end(vm, v, &ev.end);
			return exited;
		}
	}
}
