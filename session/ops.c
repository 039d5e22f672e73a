/*
 * struct session of a guest on bare metal: the table that the command line, the TUI and the labs use for guests in
 * their own process as well.
 */
#include <stdlib.h>
#include <string.h>

#include "session/remote_impl.h"

#define MEM_PIECE 4096u

struct remote_session {
	struct session base;
	struct mirror *m;
};

static struct mirror *mirror_of(const struct session *s)
{
	return ((const struct remote_session *)(const void *)s)->m;
}

static enum err ops_run(struct session *s)
{
	return vm_run(mirror_of(s)->vm);
}

/* One exit, and the guest stands still: unlike vm_step_exit(), which takes the next exit of a guest that runs on. */
static enum err ops_step_exit(struct session *s)
{
	struct mirror *m = mirror_of(s);
	struct vcpu *v = &m->vm->vcpus[0];
	enum err e = remote_pause(m);
	if (e)
		return e;
	m->step = true;
	m->stepped = false;
	e = vm_step_exit(m->vm, v);
	if (!e)
		e = remote_pause(m);		 /* the reply, and what came with it */
	if (!e && m->end_waits && !m->vm->ended) /* the exit was the last one */
		e = vm_step_exit(m->vm, v);
	m->step = false;
	v->state_valid = false;
	return e;
}

static enum err ops_step_insn(struct session *s)
{
	(void)s;
	return ERR_UNSUPPORTED;
}

static void ops_stop(struct session *s)
{
	vm_stop(mirror_of(s)->vm);
}

static enum err ops_get_state(struct session *s, unsigned vcpu, struct x86_state *out)
{
	struct mirror *m = mirror_of(s);
	struct command c = {.head.op = CMD_GET_STATE, .vm = (uint8_t)m->index, .out = out, .out_max = sizeof *out};
	if (vcpu != 0)
		return ERR_RANGE;
	enum err e = line_call(m->r, &c);
	return e ? e : c.out_len == sizeof *out ? ERR_OK : ERR_FORMAT;
}

static enum err ops_set_state(struct session *s, unsigned vcpu, const struct x86_state *in)
{
	struct mirror *m = mirror_of(s);
	struct command c = {.head.op = CMD_SET_STATE, .vm = (uint8_t)m->index, .data = in, .n = sizeof *in};
	if (vcpu != 0)
		return ERR_RANGE;
	m->vm->vcpus[0].state_valid = false;
	return line_call(m->r, &c);
}

static enum err ops_read_mem(struct session *s, gpa_t gpa, void *buf, size_t n)
{
	struct mirror *m = mirror_of(s);
	for (size_t at = 0; at < n; at += MEM_PIECE) {
		uint32_t k = n - at < MEM_PIECE ? (uint32_t)(n - at) : MEM_PIECE;
		struct command c = {.head = {.op = CMD_READ_MEM, .arg = {gpa + at, k}},
		    .vm = (uint8_t)m->index,
		    .out = (uint8_t *)buf + at,
		    .out_max = k};
		enum err e = line_call(m->r, &c);
		if (e)
			return e;
		if (c.out_len != k)
			return ERR_FORMAT;
	}
	return ERR_OK;
}

static enum err ops_write_mem(struct session *s, gpa_t gpa, const void *buf, size_t n)
{
	struct mirror *m = mirror_of(s);
	for (size_t at = 0; at < n; at += MEM_PIECE) {
		uint32_t k = n - at < MEM_PIECE ? (uint32_t)(n - at) : MEM_PIECE;
		struct command c = {.head = {.op = CMD_WRITE_MEM, .arg = {gpa + at}},
		    .vm = (uint8_t)m->index,
		    .data = (const uint8_t *)buf + at,
		    .n = k};
		enum err e = line_call(m->r, &c);
		if (e)
			return e;
	}
	return ERR_OK;
}

/* One that a question's answer carries along; true: it is known, or not to be asked for there. */
static bool msr_in_answer(struct mirror *m, uint32_t msr, uint64_t *value)
{
	return m->in_handler && x86_rdmsr(&m->vm->vcpus[0].cpu, msr, value);
}

static enum err ops_rdmsr(struct session *s, unsigned vcpu, uint32_t msr, uint64_t *value)
{
	struct mirror *m = mirror_of(s);
	struct command c = {.head = {.op = CMD_RDMSR, .arg = {msr}}, .vm = (uint8_t)m->index};
	if (vcpu != 0)
		return ERR_RANGE;
	if (msr_in_answer(m, msr, value))
		return ERR_OK;
	enum err e = line_call(m->r, &c);
	*value = c.value;
	return e;
}

static enum err ops_wrmsr(struct session *s, unsigned vcpu, uint32_t msr, uint64_t value)
{
	struct mirror *m = mirror_of(s);
	struct vcpu *v = &m->vm->vcpus[0];
	struct command c = {.head = {.op = CMD_WRMSR, .arg = {msr, value}}, .vm = (uint8_t)m->index};
	uint64_t old;
	if (vcpu != 0)
		return ERR_RANGE;
	if (msr_in_answer(m, msr, &old))
		return x86_wrmsr(&v->cpu, msr, value) ? ERR_OK : ERR_NOENT;
	if (m->in_handler)
		return ERR_UNSUPPORTED;
	v->state_valid = false;
	return line_call(m->r, &c);
}

static enum err ops_set_irq(struct session *s, unsigned line, bool level)
{
	struct mirror *m = mirror_of(s);
	struct command c = {.head = {.op = CMD_IRQ, .arg = {line, level}}, .vm = (uint8_t)m->index};
	return line_call(m->r, &c);
}

static enum err ops_claim(struct session *s, bool is_mmio, uint64_t base, uint64_t len)
{
	struct mirror *m = mirror_of(s);
	struct command c = {.head = {.op = CMD_CLAIM, .arg = {is_mmio, base, len}}, .vm = (uint8_t)m->index};
	return line_call(m->r, &c);
}

static enum err ops_handle(struct session *s, struct vcpu *v, struct vm_exit *e, enum verdict *said)
{
	(void)v; /* both are the mirror's */
	(void)e;
	return question_handle(mirror_of(s), said);
}

static size_t ops_type(struct session *s, const uint8_t *text, size_t n)
{
	struct mirror *m = mirror_of(s);
	size_t taken = 0;
	while (taken < n) {
		uint32_t k = n - taken < 256 ? (uint32_t)(n - taken) : 256;
		struct command c = {.head.op = CMD_TYPE, .vm = (uint8_t)m->index, .data = text + taken, .n = k};
		if (line_call(m->r, &c) || c.value == 0)
			break;
		taken += c.value < k ? (size_t)c.value : k;
		if (c.value < k)
			break;
	}
	return taken;
}

static const struct vm_end *ops_end(const struct session *s)
{
	const struct vm *vm = mirror_of(s)->vm;
	return vm->ended && !vm_may_resume(vm) ? &vm->end : NULL;
}

static void ops_close(struct session *s)
{
	struct mirror *m = mirror_of(s);
	vm_destroy(m->vm); /* and its mode forgets the mirror: type1.c */
	free(s);
}

static const struct session_ops remote_ops = {
    .run = ops_run,
    .step_exit = ops_step_exit,
    .step_insn = ops_step_insn,
    .stop = ops_stop,
    .get_state = ops_get_state,
    .set_state = ops_set_state,
    .read_mem = ops_read_mem,
    .write_mem = ops_write_mem,
    .rdmsr = ops_rdmsr,
    .wrmsr = ops_wrmsr,
    .set_irq = ops_set_irq,
    .claim = ops_claim,
    .handle = ops_handle,
    .type = ops_type,
    .end = ops_end,
    .close = ops_close,
};

enum err session_open_remote(struct remote *r, unsigned vm, struct session **out, struct errmsg *why)
{
	struct remote_session *s = vm < r->n ? calloc(1, sizeof *s) : NULL;
	*out = NULL;
	if (!s)
		return err_set(why, vm < r->n ? ERR_NOMEM : ERR_RANGE, "guest %u of %u: no session", vm, r->n);
	s->base.ops = &remote_ops;
	s->m = &r->mirrors[vm];
	s->base.mirror = s->m->vm;
	*out = &s->base;
	return ERR_OK;
}

/* Pages that lie at the head of the queue; behind an exit that was not shown yet they wait for it. */
static void apply_what_is_first(struct mirror *m)
{
	_Alignas(8) uint8_t rec[REC_LEN_MAX];
	struct rec_head h;
	while (m->q_head != m->q_tail) {
		memcpy(&h, m->queue + m->q_head, sizeof h);
		if (h.type != REC_PAGE && h.type != REC_CHECKPOINT)
			return;
		(void)stream_pop(m, rec);
		run_apply(m, rec);
	}
}

enum err remote_checkpoint(struct remote *r, unsigned vm)
{
	if (vm >= r->n)
		return ERR_RANGE;
	struct mirror *m = &r->mirrors[vm];
	struct command c = {.head.op = CMD_CHECKPOINT, .vm = (uint8_t)vm};
	enum err e = remote_pause(m);
	if (!e)
		e = line_call(r, &c);
	while (!e && stream_pump(r))
		;
	if (!e)
		apply_what_is_first(m);
	return e;
}
