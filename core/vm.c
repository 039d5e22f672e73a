/*
 * The loop: run the guest until it exits, let a handler decide, apply the decision. Everything else in this project is
 * a way to make run() true (modes), a handler's partner (devices), or an observer (tracer). The order of belief is the
 * whole theory of VMMs: was it handled by the VMM? Otherwise it goes to the guest.
 *
 * Read after core/vm.h; next core/vm_state.h (whose is the state?), core/handlers.c.
 */
#include "core/vm.h"

#include "core/dev/lapic.h"
#include "core/ferr.h"
#include "core/handlers.h"
#include "core/irq.h"
#include "core/lib.h"
#include "core/machine.h"
#include "core/remote.h"
#include "core/vm_smp.h"
#include "core/vm_state.h"
#include "core/x86/event.h"

/* Host time and a software engine: look at the clock at least every so many instructions. */
#define HOST_SLICE_INSNS 50000u
#define DBG_SINGLE_STEP (1u << 14) /* DR6.BS */

/* --- Probes ------------------------------------------------------------------------------------------------------ */

#define EACH_PROBE(i, with) \
	for (unsigned left_ = (with), i; left_ && (i = (unsigned)__builtin_ctz(left_), true); left_ &= left_ - 1)

static void probe_entry(struct vm *vm, struct vcpu *v)
{
	EACH_PROBE(i, vm->with_entry)
	vm->probes[i]->on_entry(vm->probe_args[i], v);
}

static void probe_exit(struct vm *vm, struct vcpu *v, const struct vm_exit *e)
{
	EACH_PROBE(i, vm->with_exit)
	vm->probes[i]->on_exit(vm->probe_args[i], v, e);
}

static void probe_verdict(struct vm *vm, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	EACH_PROBE(i, vm->with_verdict)
	vm->probes[i]->on_verdict(vm->probe_args[i], v, e, verdict);
}

static void probe_done(struct vm *vm, struct vcpu *v, const struct vm_exit *e)
{
	EACH_PROBE(i, vm->with_done)
	vm->probes[i]->on_done(vm->probe_args[i], v, e);
}

/* --- Events ------------------------------------------------------------------------------------------------------ */

enum err vcpu_inject(struct vcpu *v, const struct x86_event *ev)
{
	struct vm *vm = v->vm;

	/* The shadow of STI and MOV SS is over when the VMM injects [SDM 3C "Checks on Guest Non-Register State"]. */
	if (vm_mode_has(vm, MODE_CAP_STATE_LIVE) || !vm_mode_has(vm, MODE_CAP_COMPLETES)) {
		struct x86_state *s = vcpu_state(v);
		if (s && s->intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS)) {
			s->intr_shadow &= ~(INTR_SHADOW_STI | INTR_SHADOW_MOVSS);
			v->dirty |= DIRTY_EVENTS;
		}
	}
	if (!vcpu_flush_state(v))
		return ERR_IO;
	enum err e = vm->cfg.mode->inject(v, ev);
	vcpu_leave_state(v);
	if (e != ERR_OK)
		return e;
	v->counts.injected++;
	for (unsigned i = 0; i < vm->n_probes; i++)
		if (vm->probes[i]->on_inject)
			vm->probes[i]->on_inject(vm->probe_args[i], v, ev);
	return ERR_OK;
}

static void inject_or_kill(struct vcpu *v, const struct x86_event *ev)
{
	(void)vm_mode_failed(v->vm, vcpu_inject(v, ev), "inject an event");
}

/* An interrupt waits: the guest gets it now, or the mode is told to come back as soon as it could. */
static void offer_interrupt(struct vm *vm, struct vcpu *v, struct run_bounds *b)
{
	if (!irq_vcpu_pending(v)) {
		b->tpr_threshold = vm->machine ? lapic_tpr_threshold(v) : 0;
		return;
	}
	if (!vm->cfg.mode->interruptible(v)) {
		b->irq_window = true;
		return;
	}
	const struct x86_event ev = {.vector = irq_vcpu_ack(v), .type = INTR_TYPE_EXTERNAL};
	inject_or_kill(v, &ev);
}

/* The same for an NMI, which RFLAGS.IF does not hold back but an NMI in progress does. It comes before interrupts. */
static void offer_nmi(struct vm *vm, struct vcpu *v, struct run_bounds *b)
{
	static const uint32_t blocking = INTR_SHADOW_STI | INTR_SHADOW_MOVSS | INTR_SHADOW_NMI;
	const struct x86_event ev = {.vector = VEC_NMI, .type = INTR_TYPE_NMI};

	if (LIKELY(!vm->machine || !lapic_signals(v).nmi))
		return;
	const struct x86_state *s = vcpu_state(v);
	if (!s)
		return;
	if (s->intr_shadow & blocking || s->pending_event || s->pending_dbg) {
		b->nmi_window = true;
		return;
	}
	lapic_nmi_taken(v);
	inject_or_kill(v, &ev);
}

static struct x86_event interrupted_event(struct vcpu *v, const struct vm_exit *e)
{
	struct x86_event ev = event_of_info(e->idt_info, e->idt_error, e->insn_len);

	if (ev.vector == VEC_PF && ev.type == INTR_TYPE_HW_EXCEPTION) {
		const struct x86_state *s = vcpu_state(v);
		ev.cr2 = s ? s->cr2 : 0;
	}
	return ev;
}

static void reflect(struct vm *vm, struct vcpu *v, struct vm_exit *e)
{
	struct x86_event ev = v->reflect;

	if (e->idt_info & INTR_INFO_VALID) {
		const struct x86_event first = interrupted_event(v, e);
		enum x86_merge merge = x86_merge_faults(&first, &ev);
		if (merge == X86_MERGE_DOUBLE)
			ev = (struct x86_event){.vector = VEC_DF, .type = INTR_TYPE_HW_EXCEPTION, .has_error = 1};
		if (merge == X86_MERGE_SHUTDOWN) {
			vm_kill(vm, END_TRIPLE_FAULT, 0,
			    "a fault while a double fault was being delivered, at rip %#llx",
			    (unsigned long long)e->rip);
			return;
		}
	}
	if (vm_mode_has(vm, MODE_CAP_COMPLETES) && !vm_mode_has(vm, MODE_CAP_MODEL) &&
	    (e->reason == EXIT_MSR_READ || e->reason == EXIT_MSR_WRITE)) {
		e->msr.fault = 1;
		(void)vm_mode_failed(vm, vm->cfg.mode->complete(v, e), "complete an instruction");
		vcpu_leave_state(v);
		return;
	}
	inject_or_kill(v, &ev);
}

/* --- Applying a verdict ------------------------------------------------------------------------------------------ */

/* The one place where rip moves over an instruction that the VMM handled. */
static void advance_rip(struct vm *vm, struct vcpu *v, const struct vm_exit *e)
{
	struct x86_state *s = vcpu_regs_for_write(v, DIRTY_GPR | DIRTY_EVENTS);

	if (!s)
		return;
	s->rip = (s->rip + e->insn_len) & v->cpu.ip_mask;
	s->rflags &= ~(uint64_t)FLAG_RF;
	s->intr_shadow &= ~(INTR_SHADOW_STI | INTR_SHADOW_MOVSS);
	if (s->rflags & FLAG_TF)
		s->pending_dbg |= DBG_SINGLE_STEP;
	v->cpu.insns++;
	vm->clock.insns++;
}

static void complete_insn(struct vm *vm, struct vcpu *v, struct vm_exit *e)
{
	v->counts.insns_vmm++;
	if (!vm_mode_has(vm, MODE_CAP_COMPLETES)) {
		advance_rip(vm, v, e);
		return;
	}
	(void)vm_mode_failed(vm, vm->cfg.mode->complete(v, e), "complete an instruction");
	vcpu_leave_state(v);
}

static void halt(struct vm *vm, struct vcpu *v)
{
	/* A debug trap after HLT wakes it at once. */
	if (vm_mode_has(vm, MODE_CAP_STATE_LIVE) && v->cpu.s.pending_dbg)
		return;
	v->halted = true;
	v->frozen = false;
	v->halt_ns = clock_now_ns(&vm->clock);
	vm->slept = 0;
}

static void apply(struct vm *vm, struct vcpu *v, struct vm_exit *e, enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_NEXT:
		complete_insn(vm, v, e);
		break;
	case VERDICT_HALT:
		complete_insn(vm, v, e);
		halt(vm, v);
		break;
	case VERDICT_AGAIN:
		if (e->idt_info & INTR_INFO_VALID && !v->redelivered) {
			const struct x86_event ev = interrupted_event(v, e);
			inject_or_kill(v, &ev);
		}
		break;
	case VERDICT_REFLECT:
		reflect(vm, v, e);
		vm_note_reflected(vm, v);
		break;
	case VERDICT_RESET:
		vm_reset(vm);
		break;
	case VERDICT_KILL:
		if (!vm->ended)
			vm_kill(
			    vm, END_BUG, e->reason, "a handler of %s gave up without a reason", exit_name(e->reason));
		break;
	case VERDICT_USER:
	case VERDICT_COUNT:
	default:
		vm_kill(vm, END_KILLED, e->reason, "exit %s at rip %#llx was left to the user, and nobody answered",
		    exit_name(e->reason), (unsigned long long)e->rip);
	}
}

/* --- Time and accounts ------------------------------------------------------------------------------------------- */

/* Host time: the VMM's part of the last exit is over. now: the host's clock. */
static void settle_cost(struct vcpu *v, uint64_t now)
{
	if (!v->left_host_ns)
		return;
	v->exit.cost_ns = now - v->left_host_ns;
	v->history[v->exit.index % VM_HISTORY].cost_ns = v->exit.cost_ns;
	v->counts.vmm_ns += v->exit.cost_ns;
	v->left_host_ns = 0;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A stretch of the guest begins, unless it goes on after a pause. */
static void note_entry(struct vm *vm, struct vcpu *v)
{
	struct clock *c = &vm->clock;

	if (c->kind == CLOCK_HOST) {
		v->entered_ns = c->host->now_ns();
		settle_cost(v, v->entered_ns);
	}
	if (UNLIKELY(v->inside))
		return;
	v->counts.entries++;
	vm->moves++;
	v->fault_at = UINT64_MAX;
	v->barren = 0;
	if (c->kind == CLOCK_VIRTUAL) {
		v->entered_ns = clock_now_ns(c);
		v->leave_at = c->insns + VM_CONTROL_INTERVAL_NS / CLOCK_NS_PER_INSN;
	}
}

/* True: the nearest bound is the place where vm_run_to() wants to pause. */
static bool bound_by_pause(const struct vm *vm, struct run_bounds *b)
{
	if (LIKELY(!vm->pausing) || vm->until.insns <= vm->clock.insns ||
	    vm->until.insns - vm->clock.insns >= b->max_insns)
		return false;
	b->max_insns = vm->until.insns - vm->clock.insns;
	return true;
}

static bool before_entry(struct vm *vm, struct vcpu *v, struct run_bounds *b)
{
	struct clock *c = &vm->clock;

	b->max_insns = UINT64_MAX;
	b->deadline_ns = CLOCK_NEVER;
	b->single_step = vm->single_step;
	if (vm->cfg.max_insns && vm_mode_has(vm, MODE_CAP_COUNTS_INSNS))
		b->max_insns = vm->cfg.max_insns - c->insns;
	note_entry(vm, v);
	if (c->kind == CLOCK_VIRTUAL) {
		b->max_insns = min_u64(b->max_insns, clock_insns_until_deadline(c));
		b->max_insns = min_u64(b->max_insns, v->leave_at > c->insns ? v->leave_at - c->insns : 0);
		b->max_insns = min_u64(b->max_insns, vm_turn_left(vm));
	} else {
		b->deadline_ns = min_u64(c->next_ns, v->entered_ns - c->start_ns + VM_CONTROL_INTERVAL_NS);
		if (vm->slice_end_ns != CLOCK_NEVER)
			b->deadline_ns = min_u64(b->deadline_ns, vm->slice_end_ns - c->start_ns);
		if (vm_mode_has(vm, MODE_CAP_COUNTS_INSNS))
			b->max_insns = min_u64(b->max_insns, HOST_SLICE_INSNS);
	}
	return bound_by_pause(vm, b);
}

/* Did run() come back because somebody else than the guest, its devices and the VMM wanted it to? */
static bool is_pause(const struct vm *vm, const struct vm_exit *e, bool may_pause)
{
	if (e->reason != EXIT_PREEMPTION_TIMER && e->reason != EXIT_VMM_TIMER)
		return UNLIKELY(e->reason == EXIT_VMM_KICK);
	return may_pause && vm->clock.insns >= vm->until.insns;
}

#define RAN_SAMPLE_NS 10000000ull

/* Host time passes, too, while the host runs somebody else: a guest that waits has no control. Asking costs a system
 * call, so it is done now and then, and what counts is then at most so much too long. */
static uint64_t really_ran(struct vcpu *v, uint64_t guest_ns)
{
	uint64_t ran, since;

	if (LIKELY(v->left_host_ns - v->ran_at_ns < RAN_SAMPLE_NS))
		return guest_ns;
	ran = v->vm->cfg.host->ran_ns();
	since = ran - v->ran_ns;
	v->ran_ns = ran;
	v->ran_at_ns = v->left_host_ns;
	return min_u64(guest_ns, since);
}

static void after_exit(struct vm *vm, struct vcpu *v, struct vm_exit *e)
{
	struct clock *c = &vm->clock;
	const unsigned caps = vm->cfg.mode->caps;
	uint64_t guest_ns, stretch;

	if (c->kind == CLOCK_VIRTUAL) {
		e->time_ns = clock_now_ns(c);
		stretch = guest_ns = e->time_ns - v->entered_ns;
		e->cost_ns = cost_of(vm->cfg.cost, e->reason);
		e->cost_modelled = vm->cfg.cost != NULL;
		v->counts.vmm_ns += e->cost_ns;
	} else {
		v->left_host_ns = c->host->now_ns();
		e->time_ns = v->left_host_ns - c->start_ns;
		guest_ns = v->left_host_ns - v->entered_ns;
		stretch = really_ran(v, guest_ns);
	}
	v->counts.guest_ns += guest_ns;
	if (stretch > v->counts.longest_guest_ns)
		v->counts.longest_guest_ns = stretch;
	e->vcpu = v->id;
	e->index = v->counts.exits++;
	e->insns = caps & MODE_CAP_COUNTS_INSNS ? c->insns : 0;
	if (e->observed == OBSERVED_VMM && caps & MODE_CAP_MODEL)
		e->observed = OBSERVED_MODEL;
	else if (e->observed == OBSERVED_VMM && vm->cfg.mode->type == VMM_TYPE_I)
		e->observed = OBSERVED_METAL;
	vcpu_leave_state(v);
}

/* --- The loop ---------------------------------------------------------------------------------------------------- */

static bool may_go_on(struct vm *vm)
{
	const struct vm_config *cfg = &vm->cfg;

	if (vm->stop) {
		enum end_kind kind = (enum end_kind)vm->stop;
		vm->stop = 0;
		vm_kill(vm, kind, 0, kind == END_TIMEOUT ? "the time limit was reached" : "stopped by the user");
	} else if (cfg->max_exits && vm_total_exits(vm) >= cfg->max_exits) {
		vm_kill(
		    vm, END_LIMIT_EXITS, 0, "the limit of %llu exits was reached", (unsigned long long)cfg->max_exits);
	} else if (cfg->max_insns && vm->clock.insns >= cfg->max_insns) {
		vm_kill(vm, END_LIMIT_INSNS, 0, "the limit of %llu instructions was reached",
		    (unsigned long long)cfg->max_insns);
	}
	return !vm->ended;
}

static bool wants_user(const struct vm *vm, uint32_t reason)
{
	return reason < EXIT_SDM_COUNT && vm->user_reasons[reason / 64] >> reason % 64 & 1 && vm->cfg.user;
}

enum verdict vm_handle_exit(struct vcpu *v, struct vm_exit *e)
{
	exit_handler h = handler_find(v->vm, e->reason);

	if (h)
		return h(v, e);
	vm_fail_stop(v->vm, v, e);
	return VERDICT_KILL;
}

static enum verdict handle(struct vm *vm, struct vcpu *v, struct vm_exit *e)
{
	v->redelivered = false;
	if (UNLIKELY(wants_user(vm, e->reason))) {
		enum verdict said = vm->cfg.user(vm->cfg.user_arg, v, e);

		if (said != VERDICT_USER)
			return said;
	}
	enum verdict verdict = vm_handle_exit(v, e);
	if (verdict == VERDICT_USER && vm->cfg.user)
		verdict = vm->cfg.user(vm->cfg.user_arg, v, e);
	return verdict;
}

/* One turn of the loop: at most one exit, up to the lockstep point. True when there was one. */
static bool turn(struct vm *vm, struct vcpu *v)
{
	struct run_bounds bounds = {0};
	struct vm_exit *e = &v->exit;

	if (UNLIKELY(vm_mode_has(vm, MODE_CAP_REMOTE)))
		return vm_remote_turn(vm, v);
	if (!may_go_on(vm))
		return false;
	clock_run_due(&vm->clock);
	if (vm->want_reset)
		vm_reset(vm);
	bool quiet = !vm->machine || lapic_idle(v);
	if (UNLIKELY(!quiet))
		vcpu_take_signals(v);
	if (UNLIKELY(v->cpu.ferr) && !vm_mode_has(vm, MODE_CAP_STATE_LIVE))
		vcpu_ferr_look(v);
	if (!vcpu_runs(v)) {
		if (vm->clock.kind == CLOCK_HOST)
			settle_cost(v, vm->clock.host->now_ns());
		if (!vm_wake(vm, v))
			return false;
		quiet = false; /* a timer may have come */
	}
	if (UNLIKELY(!quiet || irq_pending(vm)) && !vm->fed) {
		offer_nmi(vm, v, &bounds);
		offer_interrupt(vm, v, &bounds);
	}
	if (!vcpu_flush_state(v) || vm->ended)
		return false;

	bool may_pause = before_entry(vm, v, &bounds);
	if (LIKELY(!v->inside))
		probe_entry(vm, v);
	const struct vm_exit *last = &v->history[e->index % VM_HISTORY];
	memset(e, 0, sizeof(*e));
	enum err err = vm->cfg.mode->run(v, &bounds, e);
	if (vm->exact) {
		v->inside = err == ERR_AGAIN || (err == ERR_OK && is_pause(vm, e, may_pause));
		if (UNLIKELY(v->inside)) {
			*e = *last;
			err = ERR_AGAIN;
		}
	}
	if (err == ERR_AGAIN || vm_mode_failed(vm, err, "run the guest")) {
		vcpu_leave_state(v);
		return false;
	}
	after_exit(vm, v, e);
	probe_exit(vm, v, e);
	enum verdict verdict = handle(vm, v, e);
	probe_verdict(vm, v, e, verdict);
	v->applying = true;
	apply(vm, v, e, verdict);
	v->applying = false;
	v->history[e->index % VM_HISTORY] = *e; /* a pause before the next one gives it back */
	if (vm->exact)
		vm_note_passed(vm, e);
	probe_done(vm, v, e);
	return true;
}

bool vm_may_resume(const struct vm *vm)
{
	int kind = (int)vm->end.kind;

	return !vm->ended || kind == END_STOPPED || kind == END_TIMEOUT || kind == END_LIMIT_EXITS ||
	       kind == END_LIMIT_INSNS;
}

/* The guest stands still: what its user does now is no cost of an exit. */
static void stand_still(struct vm *vm)
{
	if (vm->clock.kind != CLOCK_HOST)
		return;
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		settle_cost(&vm->vcpus[i], vm->clock.host->now_ns());
}

static bool resume(struct vm *vm)
{
	if (!vm_may_resume(vm))
		return false;
	vm->ended = false;
	return true;
}

enum err vm_run(struct vm *vm)
{
	if (!resume(vm))
		return ERR_OK;
	while (!vm->ended)
		(void)turn(vm, LIKELY(vm->n_vcpus == 1) ? vm->vcpus : vm_whose_turn(vm));
	stand_still(vm);
	return ERR_OK;
}

enum slice_result vm_run_slice(struct vm *vm, uint64_t until_ns)
{
	const struct host_ops *host = vm->cfg.host;

	if (!resume(vm))
		return SLICE_ENDED;
	vm->slice_end_ns = until_ns;
	vm->idle = false;
	vm->pause = 0;
	uint64_t now = host->now_ns();
	while (!vm->ended && !vm->idle && !vm->pause && now < until_ns) {
		struct vcpu *v = LIKELY(vm->n_vcpus == 1) ? vm->vcpus : vm_whose_turn(vm);
		bool exited = turn(vm, v);

		now = exited && vm->clock.kind == CLOCK_HOST ? v->left_host_ns : host->now_ns();
	}
	vm->slice_end_ns = CLOCK_NEVER;
	stand_still(vm);
	return vm->ended ? SLICE_ENDED : vm->idle ? SLICE_IDLE : SLICE_OVER;
}

void vm_position(const struct vm *vm, struct vm_position *out)
{
	*out = (struct vm_position){vm->clock.insns, vm_total_exits(vm), vm->moves,
	    vm->clock.kind == CLOCK_VIRTUAL ? clock_now_ns(&vm->clock) : 0, vm->ended && !vm_may_resume(vm)};
}

static bool slice_over(const struct vm *vm)
{
	return UNLIKELY(vm->slice_end_ns != CLOCK_NEVER) && vm->cfg.host->now_ns() >= vm->slice_end_ns;
}

static inline bool pause_reached(const struct vm *vm)
{
	const struct vm_position *to = &vm->until;

	return UNLIKELY(vm->clock.insns >= to->insns) && !to->ended && vm_total_exits(vm) >= to->exits &&
	       vm->moves >= to->moves && (!to->ns || clock_now_ns(&vm->clock) >= to->ns);
}

bool vm_pause_reached(const struct vm *vm)
{
	return pause_reached(vm);
}

enum err vm_run_to(struct vm *vm, const struct vm_position *to)
{
	if (!resume(vm))
		return ERR_OK;
	vm->until = *to;
	vm->pausing = true;
	vm->idle = false;
	vm->pause = 0;
	while (!vm->ended && !vm->idle && !vm->pause && !pause_reached(vm) && !slice_over(vm))
		(void)turn(vm, LIKELY(vm->n_vcpus == 1) ? vm->vcpus : vm_whose_turn(vm));
	vm->pausing = false;
	stand_still(vm);
	return ERR_OK;
}

enum err vm_step_exit(struct vm *vm, struct vcpu *v)
{
	if (!resume(vm))
		return ERR_OK;
	while (!vm->ended && !turn(vm, v ? v : vm_whose_turn(vm)))
		;
	stand_still(vm);
	return ERR_OK;
}

enum err vm_step_insn(struct vm *vm, struct vcpu *v)
{
	if (!vm_mode_has(vm, MODE_CAP_STEP_INSN))
		return ERR_UNSUPPORTED;
	vm->single_step = true;
	enum err e = vm_step_exit(vm, v);
	vm->single_step = false;
	return e;
}
