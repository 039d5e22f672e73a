/*
 * The in-process session: a Type II VMM is reached by the same table that will reach a Type I one over a serial line,
 * so that everything above it has one code path.
 */
#include "core/session.h"

#include "core/env.h"
#include "core/irq.h"
#include "core/lib.h"
#include "core/machine.h"

static enum err local_run(struct session *s)
{
	return vm_run(s->vm);
}

static enum err local_step_exit(struct session *s)
{
	return vm_step_exit(s->vm, NULL);
}

static enum err local_step_insn(struct session *s)
{
	return vm_step_insn(s->vm, NULL);
}

static void local_stop(struct session *s)
{
	vm_stop(s->vm);
}

static enum err local_get_state(struct session *s, unsigned vcpu, struct x86_state *out)
{
	if (vcpu >= s->vm->n_vcpus)
		return ERR_RANGE;
	const struct x86_state *state = vcpu_state(&s->vm->vcpus[vcpu]);
	if (!state)
		return ERR_IO;
	*out = *state;
	return ERR_OK;
}

static enum err local_set_state(struct session *s, unsigned vcpu, const struct x86_state *in)
{
	if (vcpu >= s->vm->n_vcpus)
		return ERR_RANGE;
	if (in->version != X86_STATE_VERSION || in->size != sizeof(*in))
		return ERR_FORMAT;
	struct x86_state *state = vcpu_state_for_write(&s->vm->vcpus[vcpu], DIRTY_ALL);
	if (!state)
		return ERR_IO;
	*state = *in;
	x86_state_changed(&s->vm->vcpus[vcpu].cpu);
	return ERR_OK;
}

static enum err local_read_mem(struct session *s, gpa_t gpa, void *buf, size_t n)
{
	return mem_read(&s->vm->mem, gpa, buf, n);
}

static enum err local_write_mem(struct session *s, gpa_t gpa, const void *buf, size_t n)
{
	return vm_write_mem(s->vm, gpa, buf, n);
}

static enum err local_rdmsr(struct session *s, unsigned vcpu, uint32_t msr, uint64_t *value)
{
	if (vcpu >= s->vm->n_vcpus)
		return ERR_RANGE;
	struct vcpu *v = &s->vm->vcpus[vcpu];
	if (!vcpu_state(v))
		return ERR_IO;
	return vcpu_get_msr(v, msr, value) ? ERR_OK : ERR_NOENT;
}

static enum err local_wrmsr(struct session *s, unsigned vcpu, uint32_t msr, uint64_t value)
{
	if (vcpu >= s->vm->n_vcpus)
		return ERR_RANGE;
	struct vcpu *v = &s->vm->vcpus[vcpu];
	if (!vcpu_state_for_write(v, DIRTY_ALL))
		return ERR_IO;
	return vcpu_set_msr(v, msr, value) ? ERR_OK : ERR_NOENT;
}

static enum err local_set_irq(struct session *s, unsigned line, bool level)
{
	irq_set_line(s->vm, line, level);
	return ERR_OK;
}

/* The bus is the one that the guest has. */
static enum err local_claim(struct session *s, bool is_mmio, uint64_t base, uint64_t len)
{
	(void)s;
	(void)is_mmio;
	(void)base;
	(void)len;
	return ERR_OK;
}

static enum err local_handle(struct session *s, struct vcpu *v, struct vm_exit *e, enum verdict *said)
{
	(void)s;
	*said = vm_handle_exit(v, e);
	return ERR_OK;
}

static size_t local_type(struct session *s, const uint8_t *text, size_t n)
{
	return machine_type(s->vm, text, n);
}

static const struct vm_end *local_end(const struct session *s)
{
	return s->vm->ended && !vm_may_resume(s->vm) ? &s->vm->end : NULL;
}

static void local_close(struct session *s)
{
	const struct host_ops *host = s->vm->cfg.host;

	vm_destroy(s->vm);
	host->page_free(s, sizeof(*s));
}

static const struct session_ops local_ops = {
    .run = local_run,
    .step_exit = local_step_exit,
    .step_insn = local_step_insn,
    .stop = local_stop,
    .get_state = local_get_state,
    .set_state = local_set_state,
    .read_mem = local_read_mem,
    .write_mem = local_write_mem,
    .rdmsr = local_rdmsr,
    .wrmsr = local_wrmsr,
    .set_irq = local_set_irq,
    .claim = local_claim,
    .handle = local_handle,
    .type = local_type,
    .end = local_end,
    .close = local_close,
};

enum err session_open_local(struct vm *vm, struct session **out, struct errmsg *why)
{
	struct session *s = vm->cfg.host->page_alloc(sizeof(*s));

	*out = NULL;
	if (!s)
		return err_set(why, ERR_NOMEM, "no memory for a session");
	s->ops = &local_ops;
	s->vm = vm;
	s->mirror = NULL;
	*out = s;
	return ERR_OK;
}
