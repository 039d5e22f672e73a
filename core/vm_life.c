/*
 * Birth and death of a virtual machine: what is made in which order, taken down in the reverse order, and how a run
 * ends. The first reason for an end wins; everything after it is a consequence.
 */
#include "core/vm.h"

#include "core/dev/lapic.h"
#include "core/env.h"
#include "core/handlers.h"
#include "core/lib.h"
#include "core/machine.h"

#define MIB (1ull << 20)
#define RESET_VECTOR_PAGE 0xfffff000ull

/* --- How a run ends ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int status;
} ends[END_COUNT] = {
#define END(name, text, status) [END_##name] = {text, status},
#include "core/ends.def"
#undef END
};

const char *end_name(enum end_kind k)
{
	return (unsigned)k < END_COUNT ? ends[k].name : "unknown";
}

int end_status(enum end_kind k, uint32_t code)
{
	if (k == END_DEBUG_EXIT && code != 0)
		return 1;
	return (unsigned)k < END_COUNT ? ends[k].status : 5;
}

void vm_kill(struct vm *vm, enum end_kind kind, uint32_t code, const char *fmt, ...)
{
	va_list ap;

	if (vm->ended)
		return;
	vm->ended = true;
	vm->end.kind = kind;
	vm->end.code = code;
	va_start(ap, fmt);
	fmt_vsnprintf(vm->end.detail, sizeof(vm->end.detail), fmt, ap);
	va_end(ap);
}

static void stop_with(struct vm *vm, enum end_kind kind)
{
	vm->stop = (int)kind;
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		vm->cfg.mode->kick(&vm->vcpus[i]);
}

void vm_stop(struct vm *vm)
{
	stop_with(vm, END_STOPPED);
}

void vm_timeout(struct vm *vm)
{
	stop_with(vm, END_TIMEOUT);
}

static void dump_history(struct vm *vm, const struct vcpu *v)
{
	char line[160];
	uint64_t n = v->counts.exits < VM_HISTORY ? v->counts.exits : VM_HISTORY;

	for (uint64_t i = v->counts.exits - n; i < v->counts.exits; i++) {
		const struct vm_exit *h = i == v->exit.index ? &v->exit : &v->history[i % VM_HISTORY];
		fmt_snprintf(line, sizeof(line), "vcpu %u exit %llu: %s rip %#llx len %u qual %#llx gpa %#llx", v->id,
		    (unsigned long long)h->index, exit_name(h->reason), (unsigned long long)h->rip, h->insn_len,
		    (unsigned long long)h->qual, (unsigned long long)h->gpa);
		vm->cfg.host->log(LOG_ERROR, line);
	}
}

/* An exit that nobody handles is a bug of the VMM: never swallow it, there are millions of exits to hide it in. */
void vm_fail_stop(struct vm *vm, struct vcpu *v, const struct vm_exit *e)
{
	dump_history(vm, v);
	vm_kill(vm, END_BUG, e->reason, "no handler for exit %u %s: rip %#llx, qualification %#llx, gpa %#llx",
	    e->reason, exit_name(e->reason), (unsigned long long)e->rip, (unsigned long long)e->qual,
	    (unsigned long long)e->gpa);
}

/* --- Reset ------------------------------------------------------------------------------------------------------- */

void vm_without_pcid(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		vm->vcpus[i].cpu.no_pcid = true;
}

static void vcpu_reset(struct vcpu *v)
{
	x86_reset(&v->cpu);
	v->cpu.apic_id = v->id;
	v->cpu.n_cpus = v->vm->n_vcpus;
	v->cpu.env = &vcpu_env_ops;
	v->cpu.env_arg = v;
	v->cpu.exit = &v->exit;
	v->cpu.s.tsc_offset = 0 - clock_tsc(&v->vm->clock);
	x86_set_controls(&v->cpu, &v->vm->controls);
	x86_state_changed(&v->cpu);
	v->state_valid = true;
	v->dirty = DIRTY_ALL;
	v->halted = v->frozen = false;
	v->wait_startup = v->id != 0;
	if (v->id != 0)
		v->cpu.s.apic_base &= ~APIC_BASE_BSP;
	v->redelivered = false;
}

void vm_reset(struct vm *vm)
{
	vm->want_reset = false;
	/* A kernel that was loaded directly is not there a second time: only firmware knows how to start again. */
	if (mem_find(&vm->mem, RESET_VECTOR_PAGE) < 0) {
		vm_kill(vm, END_KILLED, 0, "the guest reset the machine, and there is no firmware to start again from");
		return;
	}
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		vcpu_reset(&vm->vcpus[i]);
	machine_reset(vm);
	vm->turn = 0;
	vm->turn_end = 0;
}

/* --- Create and destroy ------------------------------------------------------------------------------------------ */

/* A slot moved: no TLB of ours may keep the old page, and the mode follows. */
static enum err slot_changed(void *arg, unsigned slot, struct errmsg *why)
{
	struct vm *vm = arg;

	for (unsigned i = 0; i < vm->n_vcpus; i++)
		x86_tlb_flush(&vm->vcpus[i].cpu);
	return vm->cfg.mode->map(vm, slot, why);
}

static enum err check_config(const struct vm_config *cfg, struct errmsg *why)
{
	const struct mode_ops *mode = cfg->mode;

	if (cfg->mem_size < MIB || cfg->mem_size % MIB)
		return err_set(why, ERR_RANGE, "guest memory of %llu bytes: give whole MiB, at least 1",
		    (unsigned long long)cfg->mem_size);
	if (cfg->n_vcpus == 0 || cfg->n_vcpus > VM_VCPUS_MAX)
		return err_set(why, ERR_RANGE, "%u CPUs: give 1 to %u", cfg->n_vcpus, VM_VCPUS_MAX);
	if (cfg->n_vcpus > 1 && !(mode->caps & MODE_CAP_SMP))
		return err_set(why, ERR_UNSUPPORTED,
		    "%u CPUs: %s type %s takes one CPU in this version; emulate type II takes 8", cfg->n_vcpus,
		    mode_name(mode->mode), mode->type == VMM_TYPE_I ? "I" : "II");
	if (cfg->n_vcpus > 1 && cfg->clock != CLOCK_VIRTUAL)
		return err_set(
		    why, ERR_UNSUPPORTED, "%u CPUs take turns by virtual time: use the virtual clock", cfg->n_vcpus);
	if (cfg->clock == CLOCK_VIRTUAL && !(mode->caps & MODE_CAP_VIRTUAL_TIME))
		return err_set(why, ERR_UNSUPPORTED,
		    "%s runs on host time only: the CPU does not count instructions for us", mode->name);
	if (cfg->clock == CLOCK_HOST && !(mode->caps & MODE_CAP_HOST_TIME))
		return err_set(why, ERR_UNSUPPORTED, "%s runs on virtual time only", mode->name);
	return ERR_OK;
}

static enum err set_controls(struct vm *vm, struct errmsg *why)
{
	const struct mode_ops *mode = vm->cfg.mode;
	const char *name = vm->cfg.controls ? vm->cfg.controls : mode->default_profile;
	enum err e = controls_set(&vm->controls, name, why);
	size_t n;
	const struct controls_profile *p = controls_profiles(&n);

	for (size_t i = 0; e == ERR_OK && i < n; i++)
		if (strcmp(p[i].name, name) == 0 && !(p[i].backends & mode->profiles))
			return err_set(why, ERR_UNSUPPORTED,
			    "%s type %s cannot run under controls %s: its controls are %s", mode_name(mode->mode),
			    mode->type == VMM_TYPE_I ? "I" : "II", name, mode->default_profile);
	return e;
}

static enum err create_vcpus(struct vm *vm, struct errmsg *why)
{
	vm->vcpus = vm->cfg.host->page_alloc(vm->cfg.n_vcpus * sizeof(struct vcpu));
	if (!vm->vcpus)
		return err_set(why, ERR_NOMEM, "no memory for %u virtual CPUs", vm->cfg.n_vcpus);
	vm->n_vcpus = vm->cfg.n_vcpus;
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		vm->vcpus[i].vm = vm;
		vm->vcpus[i].id = i;
		vcpu_reset(&vm->vcpus[i]);
	}
	return ERR_OK;
}

static enum err start_mode(struct vm *vm, struct errmsg *why)
{
	enum err e = vm->cfg.mode->vm_init(vm, why);

	for (unsigned i = 0; e == ERR_OK && i < vm->mem.n_slots; i++)
		e = vm->cfg.mode->map(vm, i, why);
	if (e != ERR_OK) {
		vm->cfg.mode->vm_fini(vm);
		return e;
	}
	vm->mem.on_change = slot_changed;
	vm->mem.on_change_arg = vm;
	return ERR_OK;
}

static void free_vm(struct vm *vm)
{
	vm->cfg.host->page_free(vm, sizeof(*vm));
}

static void free_vcpus(struct vm *vm)
{
	vm->cfg.host->page_free(vm->vcpus, vm->n_vcpus * sizeof(struct vcpu));
}

enum err vm_create(const struct vm_config *cfg, struct vm **out, struct errmsg *why)
{
	*out = NULL;
	enum err e = check_config(cfg, why);
	if (e != ERR_OK)
		return e;
	struct vm *vm = cfg->host->page_alloc(sizeof(*vm));
	if (!vm)
		return err_set(why, ERR_NOMEM, "no memory for a virtual machine");
	vm->cfg = *cfg;
	vm->handlers = handlers_default();
	bus_init(&vm->bus);
	clock_init(&vm->clock, cfg->host, cfg->clock);
	vm->clock.told = cfg->mode->caps & MODE_CAP_REMOTE;
	vm->slice_end_ns = CLOCK_NEVER;
	e = set_controls(vm, why);
	if (e != ERR_OK)
		goto no_memory;
	e = mem_init(&vm->mem, cfg->host, cfg->mem_size, why);
	if (e != ERR_OK)
		goto no_memory;
	e = create_vcpus(vm, why);
	if (e != ERR_OK)
		goto no_vcpus;
	e = machine_create(vm, why);
	if (e != ERR_OK)
		goto no_machine;
	e = start_mode(vm, why);
	if (e != ERR_OK)
		goto no_mode;
	*out = vm;
	return ERR_OK;

no_mode:
	machine_destroy(vm);
no_machine:
	free_vcpus(vm);
no_vcpus:
	mem_fini(&vm->mem);
no_memory:
	free_vm(vm);
	return e;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	vm->mem.on_change = NULL;
	vm->cfg.mode->vm_fini(vm);
	machine_destroy(vm);
	free_vcpus(vm);
	mem_fini(&vm->mem);
	free_vm(vm);
}

/* What the executor calls before each instruction, when some probe wants to see them. */
static void probe_insn(void *arg, const struct x86_insn *insn)
{
	struct vcpu *v = arg;

	for (unsigned i = 0; i < v->vm->n_probes; i++)
		if (v->vm->probes[i]->on_insn)
			v->vm->probes[i]->on_insn(v->vm->probe_args[i], v, insn);
}

void vm_probes_changed(struct vm *vm)
{
	vm->with_entry = vm->with_exit = vm->with_verdict = vm->with_done = 0;
	for (unsigned i = 0; i < vm->n_probes; i++) {
		const struct probe_ops *p = vm->probes[i];

		vm->with_entry |= (uint8_t)((p->on_entry != NULL) << i);
		vm->with_exit |= (uint8_t)((p->on_exit != NULL) << i);
		vm->with_verdict |= (uint8_t)((p->on_verdict != NULL) << i);
		vm->with_done |= (uint8_t)((p->on_done != NULL) << i);
	}
}

void vm_probe_done(struct vm *vm, const void *arg, bool on)
{
	vm_probes_changed(vm);
	for (unsigned i = 0; i < vm->n_probes && !on; i++)
		if (vm->probe_args[i] == arg)
			vm->with_done &= (uint8_t) ~(1u << i);
}

enum err vm_add_probe(struct vm *vm, const struct probe_ops *ops, void *arg)
{
	if (vm->n_probes == VM_PROBES_MAX)
		return ERR_NOMEM;
	if (ops->on_insn && !(vm->cfg.mode->caps & MODE_CAP_INSN_PROBE))
		return ERR_UNSUPPORTED;
	vm->probes[vm->n_probes] = ops;
	vm->probe_args[vm->n_probes++] = arg;
	vm_probes_changed(vm);
	for (unsigned i = 0; ops->on_insn && i < vm->n_vcpus; i++)
		vm->vcpus[i].cpu.on_insn = probe_insn;
	return ERR_OK;
}

void vm_remove_probe(struct vm *vm, const void *arg)
{
	unsigned n = 0;
	bool insns = false;

	for (unsigned i = 0; i < vm->n_probes; i++) {
		if (vm->probe_args[i] == arg)
			continue;
		vm->probes[n] = vm->probes[i];
		vm->probe_args[n++] = vm->probe_args[i];
		insns = insns || vm->probes[i]->on_insn;
	}
	vm->n_probes = n;
	vm_probes_changed(vm);
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		vm->vcpus[i].cpu.on_insn = insns ? probe_insn : NULL;
}
