/*
 * The mode's side of core/mode.h: run a model until its next exit. Simulate knows the time exactly: it counts the
 * instructions of the model, divides compute() where a timer is due, and takes interrupts where the real CPU would.
 *
 * Type I and Type II are the same engine here. They differ in the path that an exit takes through the modelled stack,
 * and that is the cost profile's matter (costs.h).
 */
#include "modes/simulate/simulate.h"

#include "core/lib.h"
#include "modes/modes.h"

static enum err simulate_probe(const struct host_ops *host, struct errmsg *why)
{
	(void)host;
	(void)why;
	return ERR_OK;
}

static void simulate_vm_fini(struct vm *vm)
{
	struct sim_vcpu *m = vm->mode_priv;
	if (!m)
		return;
	sim_sandbox_close(m);
	vm->cfg.host->page_free(m, sizeof(*m));
	vm->mode_priv = NULL;
	vm->vcpus[0].mode_priv = NULL;
}

static enum err simulate_vm_init(struct vm *vm, struct errmsg *why)
{
	if (!vm->cfg.model)
		return err_set(why, ERR_NOENT,
		    "simulate: %s has no behaviour model: give one with --model FILE, or use --mode emulate",
		    vm->cfg.guest ? vm->cfg.guest : "this guest");
	if (vm->n_vcpus != 1)
		return err_set(why, ERR_UNSUPPORTED, "simulate: a model describes one CPU: run it with one");
	struct sim_vcpu *m = vm->cfg.host->page_alloc(sizeof(*m));
	if (!m)
		return err_set(why, ERR_NOMEM, "simulate: no memory for the model: free memory on the host");
	vm->mode_priv = m;
	vm->vcpus[0].mode_priv = m;
	m->v = &vm->vcpus[0];
	return sim_sandbox_open(m, vm->cfg.model, why);
}

static enum err simulate_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	(void)vm;
	(void)slot;
	(void)why;
	return ERR_OK; /* nothing executes from memory */
}

static enum err simulate_get_state(struct vcpu *v)
{
	(void)v;
	return ERR_OK; /* v->cpu.s is the modelled CPU */
}

static enum err simulate_set_state(struct vcpu *v)
{
	if (v->dirty & ~(DIRTY_FPU | DIRTY_MSRS))
		x86_state_changed(&v->cpu);
	return ERR_OK;
}

static bool could_take_irq(const struct sim_vcpu *m)
{
	const struct x86_state *s = &m->v->cpu.s;
	return (s->rflags & FLAG_IF) && !(s->intr_shadow & (INTR_SHADOW_STI | INTR_SHADOW_MOVSS));
}

static bool simulate_interruptible(struct vcpu *v)
{
	const struct sim_vcpu *m = v->mode_priv;
	return !m->event_valid && could_take_irq(m);
}

static enum err simulate_inject(struct vcpu *v, const struct x86_event *ev)
{
	struct sim_vcpu *m = v->mode_priv;
	if (ev->type == INTR_TYPE_HW_EXCEPTION && m->depth && sim_top(m)->busy) {
		sim_step_faulted(m, sim_top(m), ev);
		return ERR_OK;
	}
	m->event = *ev;
	m->event_valid = true;
	return ERR_OK;
}

/* The guest's handler runs on top of what it interrupts, with interrupts off, as through an interrupt gate. */
static bool deliver(struct sim_vcpu *m)
{
	struct x86_state *s = &m->v->cpu.s;
	m->event_valid = false;
	if (!sim_push_handler(m, m->event.vector))
		return false;
	s->rflags &= ~(uint64_t)(FLAG_IF | FLAG_TF);
	s->intr_shadow = 0;
	if (sim_top(m)->saved_cpl)
		sim_set_cpl(&m->v->cpu, 0);
	return true;
}

/* The handler's function returned: IRET. */
static void handler_return(struct sim_vcpu *m)
{
	m->v->cpu.s.rflags = sim_top(m)->saved_flags;
	if (sim_top(m)->saved_cpl)
		sim_set_cpl(&m->v->cpu, sim_top(m)->saved_cpl);
	sim_pop(m);
	sim_retire(m, 1);
}

/* Why the run must end before the next instruction; 0 when it need not. */
static uint32_t must_stop(struct sim_vcpu *m, const struct run_bounds *b, uint64_t ran)
{
	bool kernel = m->v->vm->controls.kernel & CTL_KERNEL_TIMER;
	if (m->kicked || m->v->vm->stop) {
		m->kicked = 0;
		return EXIT_VMM_KICK;
	}
	if (b->single_step && ran)
		return EXIT_VMM_DEBUG;
	if (b->irq_window && could_take_irq(m))
		return kernel ? EXIT_VMM_IRQ_WINDOW : EXIT_INTERRUPT_WINDOW;
	if (m->budget == 0)
		return kernel ? EXIT_VMM_TIMER : EXIT_PREEMPTION_TIMER;
	return 0;
}

static enum err simulate_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	struct sim_vcpu *m = v->mode_priv;
	uint64_t first = v->cpu.insns;
	uint32_t stop;
	m->budget = b->single_step && b->max_insns ? 1 : b->max_insns;
	v->cpu.exit = e;
	if (m->event_valid && !deliver(m))
		goto ended;
	if (!m->depth && !sim_push_main(m))
		goto ended;
	for (;;) {
		struct sim_frame *f = sim_top(m);
		stop = must_stop(m, b, v->cpu.insns - first);
		if (stop) {
			x86_exit(&v->cpu, stop, 0, 0);
			return ERR_OK;
		}
		if (f->busy) {
			if (sim_step(m, f, e) == SIM_STEP_EXIT)
				return ERR_OK;
		} else if (f->finished && m->depth > 1) {
			handler_return(m);
		} else if (f->finished || !sim_resume(m)) {
			goto ended;
		}
	}
ended:
	x86_exit(&v->cpu, EXIT_VMM_MODEL_END, 0, 0);
	return ERR_OK;
}

static enum err simulate_complete(struct vcpu *v, struct vm_exit *e)
{
	struct sim_vcpu *m = v->mode_priv;
	if (m->depth && sim_top(m)->busy)
		sim_step_complete(m, sim_top(m), e);
	return ERR_OK;
}

static void simulate_kick(struct vcpu *v)
{
	struct sim_vcpu *m = v->mode_priv;
	if (m)
		m->kicked = 1;
}

static size_t simulate_mappings(struct vm *vm, struct mode_mapping *out, size_t max)
{
	(void)vm;
	(void)out;
	(void)max;
	return 0; /* no guest code, hence nothing that it could reach */
}

#define SIMULATE_OPS(t)                                                                                       \
	{                                                                                                     \
		.name = "simulate", .engine = "model", .mode = MODE_SIMULATE, .type = (t),                    \
		.caps = MODE_CAP_COMPLETES | MODE_CAP_MODEL | MODE_CAP_VIRTUAL_TIME | MODE_CAP_COUNTS_INSNS | \
			MODE_CAP_STEP_INSN | MODE_CAP_STATE_LIVE,                                             \
		.profiles = PROFILE_SIMULATE, .default_profile = "vtx-ept", .probe = simulate_probe,          \
		.vm_init = simulate_vm_init, .vm_fini = simulate_vm_fini, .map = simulate_map,                \
		.get_state = simulate_get_state, .set_state = simulate_set_state,                             \
		.interruptible = simulate_interruptible, .inject = simulate_inject, .run = simulate_run,      \
		.complete = simulate_complete, .kick = simulate_kick, .mappings = simulate_mappings           \
	}

const struct mode_ops mode_simulate_type1_ops = SIMULATE_OPS(VMM_TYPE_I);
const struct mode_ops mode_simulate_type2_ops = SIMULATE_OPS(VMM_TYPE_II);
