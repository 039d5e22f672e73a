/*
 * mode_ops for tests: a script instead of a guest.
 */
#include "tests/fake_mode.h"

#include <string.h>

#define CAPS \
	(MODE_CAP_VIRTUAL_TIME | MODE_CAP_HOST_TIME | MODE_CAP_STEP_INSN | MODE_CAP_COUNTS_INSNS | MODE_CAP_STATE_LIVE)

struct fake_mode fake_mode;

void fake_mode_reset(void)
{
	memset(&fake_mode, 0, sizeof(fake_mode));
	fake_mode_ops.caps = CAPS;
}

void fake_mode_script(const struct fake_step *steps, size_t n)
{
	fake_mode.steps = steps;
	fake_mode.n_steps = n;
	fake_mode.at = 0;
}

static enum err fake_probe(const struct host_ops *host, struct errmsg *why)
{
	(void)host;
	(void)why;
	return ERR_OK;
}

static enum err fake_vm_init(struct vm *vm, struct errmsg *why)
{
	fake_mode.inits++;
	if (fake_mode.init_err != ERR_OK)
		return err_set(why, fake_mode.init_err, "the fake mode was told to fail");
	vm->mode_priv = vm->cfg.host->page_alloc(100);
	return vm->mode_priv ? ERR_OK : err_set(why, ERR_NOMEM, "no memory for the fake mode");
}

static void fake_vm_fini(struct vm *vm)
{
	fake_mode.finis++;
	if (vm->mode_priv)
		vm->cfg.host->page_free(vm->mode_priv, 100);
	vm->mode_priv = NULL;
}

static enum err fake_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	(void)vm;
	(void)slot;
	fake_mode.maps++;
	return fake_mode.map_err == ERR_OK ? ERR_OK : err_set(why, fake_mode.map_err, "the fake mode does not map");
}

static enum err fake_get_state(struct vcpu *v)
{
	fake_mode.get_states++;
	if (fake_mode.stale)
		v->cpu.s = fake_mode.elsewhere;
	return ERR_OK;
}

static enum err fake_set_state(struct vcpu *v)
{
	fake_mode.set_states++;
	fake_mode.dirty_seen |= v->dirty;
	if (fake_mode.stale)
		fake_mode.elsewhere = v->cpu.s;
	return ERR_OK;
}

static bool fake_interruptible(struct vcpu *v)
{
	(void)v;
	return !fake_mode.not_interruptible;
}

static enum err fake_inject(struct vcpu *v, const struct x86_event *ev)
{
	(void)v;
	if (fake_mode.inject_err != ERR_OK)
		return fake_mode.inject_err;
	fake_mode.injected[fake_mode.n_injected++ % FAKE_RECORDS] = *ev;
	return ERR_OK;
}

static enum err fake_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	fake_mode.bounds[fake_mode.runs++ % FAKE_RECORDS] = *b;
	if (fake_mode.at == fake_mode.n_steps) {
		e->reason = EXIT_VMM_MODEL_END;
		return ERR_OK;
	}
	const struct fake_step *s = &fake_mode.steps[fake_mode.at++];
	if (s->during)
		s->during(v);
	v->vm->clock.insns += s->insns;
	v->cpu.insns += s->insns;
	*e = s->exit;
	return s->err;
}

static enum err fake_complete(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	fake_mode.completes++;
	fake_mode.completed = *e;
	return ERR_OK;
}

static void fake_kick(struct vcpu *v)
{
	(void)v;
	fake_mode.kicks++;
}

static size_t fake_mappings(struct vm *vm, struct mode_mapping *out, size_t max)
{
	(void)vm;
	(void)out;
	(void)max;
	return 0;
}

struct mode_ops fake_mode_ops = {
    .name = "fake",
    .engine = "script",
    .mode = MODE_EMULATE,
    .type = VMM_TYPE_II,
    .caps = CAPS,
    .profiles = PROFILE_EMULATE,
    .default_profile = "vtx-ept",
    .probe = fake_probe,
    .vm_init = fake_vm_init,
    .vm_fini = fake_vm_fini,
    .map = fake_map,
    .get_state = fake_get_state,
    .set_state = fake_set_state,
    .interruptible = fake_interruptible,
    .inject = fake_inject,
    .run = fake_run,
    .complete = fake_complete,
    .kick = fake_kick,
    .mappings = fake_mappings,
};
