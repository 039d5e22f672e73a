/*
 * Several virtual CPUs on one thread, on virtual time.
 *
 * Concept: one global order of instructions makes every machine with several CPUs a machine with one. The CPUs take
 * turns of a fixed number of instructions, so an access with LOCK is atomic because nothing is between its load and its
 * store, and a run is the same run every time: whose turn it is follows from the count of instructions alone. A turn
 * also ends when its CPU halts. Guest time is the count of all instructions: eight busy CPUs share the stated speed.
 *
 * A CPU that is not the bootstrap processor waits for a start-up message (INIT, then SIPI) and starts in real mode at
 * the page that the message names [SDM 3A "Multiple-Processor (MP) Initialization"].
 */
#include "core/vm_smp.h"

#include "core/dev/lapic.h"
#include "core/irq.h"

/* Short enough that a CPU that spins for another one does not spin for long, long enough that the switch, an exit of
 * the preemption timer, is a small part of it. A prime: a loop that gives a lock back for one instruction of its round
 * must not be stopped at the same instruction each time, with the lock taken (SeaBIOS waits for its CPUs like that). */
#define TURN_INSNS 1999u

/* No NMI is being handled: one that came is taken. */
static bool nmi_free(struct vcpu *v)
{
	const struct x86_state *s = vcpu_regs(v);

	return s && !(s->intr_shadow & INTR_SHADOW_NMI);
}

bool vcpu_wakes(struct vcpu *v)
{
	if (v->wait_startup || !v->vm->machine)
		return false;
	if (lapic_signals(v).nmi && nmi_free(v))
		return true;
	return irq_vcpu_pending(v) && v->vm->cfg.mode->interruptible(v);
}

static bool is_ready(struct vcpu *v)
{
	struct lapic_signals s = lapic_signals(v);

	return vcpu_runs(v) || s.init || (s.startup && v->wait_startup) || vcpu_wakes(v);
}

bool vm_any_runs(struct vm *vm)
{
	for (unsigned i = 0; vm->n_vcpus > 1 && i < vm->n_vcpus; i++)
		if (is_ready(&vm->vcpus[i]))
			return true;
	return false;
}

bool vm_any_listens(struct vm *vm)
{
	bool nmi = vm->machine && irq_makes(vm, APIC_NMI), init = vm->machine && irq_makes(vm, APIC_INIT);

	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (init || (!v->wait_startup && (vm->cfg.mode->interruptible(v) || (nmi && nmi_free(v)))))
			return true;
	}
	return false;
}

/* The next one after vm->turn that is ready, that one itself last; NULL: none is. */
static struct vcpu *next_ready(struct vm *vm)
{
	for (unsigned i = 1; i <= vm->n_vcpus; i++) {
		struct vcpu *v = &vm->vcpus[(vm->turn + i) % vm->n_vcpus];

		if (is_ready(v))
			return v;
	}
	return NULL;
}

/* A turn begins when a second CPU is ready, and there is none (turn_end is 0) while one is alone. Readiness changes by
 * exits and timers only, and the loop asks after each of them: asking in between, where a run is cut by a limit or by
 * single steps, changes nothing. */
static void begin_or_end_turn(struct vm *vm, const struct vcpu *next)
{
	if (!next || next->id == vm->turn)
		vm->turn_end = 0;
	else if (!vm->turn_end)
		vm->turn_end = vm->clock.insns + TURN_INSNS;
}

struct vcpu *vm_whose_turn(struct vm *vm)
{
	struct vcpu *v = &vm->vcpus[vm->turn], *next;

	if (vm->n_vcpus == 1)
		return v;
	next = next_ready(vm);
	begin_or_end_turn(vm, next);
	if (!vm->turn_end || (vm->clock.insns < vm->turn_end && is_ready(v)))
		return v;
	vm->turn = next->id;
	vm->turn_end = 0;
	begin_or_end_turn(vm, next_ready(vm));
	return next;
}

/* Nobody else comes to be ready by itself while this one runs: by a timer, which ends the run, or by its exit. */
uint64_t vm_turn_left(struct vm *vm)
{
	if (vm->n_vcpus == 1)
		return UINT64_MAX;
	begin_or_end_turn(vm, next_ready(vm)); /* a timer may have come */
	if (!vm->turn_end)
		return UINT64_MAX;
	return vm->turn_end > vm->clock.insns ? vm->turn_end - vm->clock.insns : 1;
}

#define STALL_NS 20000u /* as many instructions' time as there were deliveries, and more */

void vm_pass_stall(struct vm *vm)
{
	vm->clock.skipped_ns += STALL_NS;
	if (vm->turn_end)
		vm->turn_end = vm->clock.insns ? vm->clock.insns : 1; /* 0: no turn */
}

void vm_note_reflected(struct vm *vm, struct vcpu *v)
{
	const uint32_t caps = vm->cfg.mode->caps & (MODE_CAP_COUNTS_INSNS | MODE_CAP_MODEL);

	if (vm->clock.kind != CLOCK_VIRTUAL || caps != MODE_CAP_COUNTS_INSNS)
		return;
	v->reflected = vm->clock.insns == v->reflected_at ? v->reflected + 1 : 1;
	v->reflected_at = vm->clock.insns;
	if (v->reflected <= VM_BARREN_MAX)
		return;
	v->reflected = 0;
	vm_pass_stall(vm);
}

uint64_t vm_total_exits(const struct vm *vm)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < vm->n_vcpus; i++)
		n += vm->vcpus[i].counts.exits;
	return n;
}

/* --- Signals ----------------------------------------------------------------------------------------------------- */

/* The bootstrap processor starts again at the reset vector; the others wait for a start-up message. */
static void take_init(struct vcpu *v)
{
	if (!vcpu_state_for_write(v, DIRTY_ALL))
		return;
	x86_init_signal(&v->cpu);
	lapic_init_taken(v);
	v->halted = v->frozen = false;
	v->halt_ns = clock_now_ns(&v->vm->clock);
	v->wait_startup = !(v->cpu.s.apic_base & APIC_BASE_BSP);
	if (!v->wait_startup) /* a start-up message that came meanwhile was for one that waits */
		lapic_startup_taken(v);
}

static void take_startup(struct vcpu *v, uint8_t vector)
{
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_ALL);

	lapic_startup_taken(v);
	if (!s)
		return;
	s->seg[X86_CS].sel = (uint16_t)(vector << 8);
	s->seg[X86_CS].base = (uint64_t)vector << 12;
	s->rip = 0;
	x86_state_changed(&v->cpu);
	v->wait_startup = false;
}

void vcpu_take_signals(struct vcpu *v)
{
	if (!v->vm->machine)
		return;
	if (lapic_signals(v).init)
		take_init(v);
	if (v->wait_startup && lapic_signals(v).startup)
		take_startup(v, lapic_signals(v).vector);
}
