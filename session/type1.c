/*
 * The rows emulate / I and virtualize / I of the table of backends, as the hosted program has them: the loop, the
 * handlers and the devices are in the bare-metal image (metal/), and next() brings what happened there. A mirror that
 * no session has taken cannot run.
 */
#include <stdio.h>

#include "core/controls.h"
#include "modes/modes.h"
#include "session/remote_impl.h"

static enum err probe(enum vmm_mode mode, struct errmsg *why)
{
	struct machine_facts f;
	return remote_probe(mode, NULL, ENGINE_ANY, &f, why);
}

static enum err emulate_probe(const struct host_ops *host, struct errmsg *why)
{
	(void)host;
	return probe(MODE_EMULATE, why);
}

static enum err virtualize_probe(const struct host_ops *host, struct errmsg *why)
{
	(void)host;
	return probe(MODE_VIRTUALIZE, why);
}

static enum err type1_init(struct vm *vm, struct errmsg *why)
{
	(void)why;
	vm->mode_priv = NULL; /* remote_open() gives it its mirror */
	return ERR_OK;
}

static void type1_fini(struct vm *vm)
{
	struct mirror *m = vm->mode_priv;
	if (m) { /* the line's thread looks at it */
		pthread_mutex_lock(&m->r->lock);
		m->vm = NULL;
		pthread_mutex_unlock(&m->r->lock);
	}
	vm->mode_priv = NULL;
}

static enum err type1_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	(void)vm;
	(void)slot;
	(void)why;
	return ERR_OK; /* mapped there, by the engine that runs it */
}

static enum err type1_get_state(struct vcpu *v)
{
	struct mirror *m = v->vm->mode_priv;
	if (!m)
		return ERR_OK; /* what the loader made of it */
	if (m->running)
		return ERR_BUSY;
	static _Thread_local struct x86_state s;
	struct command c = {.head.op = CMD_GET_STATE, .vm = (uint8_t)m->index, .out = &s, .out_max = sizeof s};
	enum err e = line_call(m->r, &c);
	if (!e && c.out_len != sizeof s)
		e = ERR_FORMAT;
	if (!e)
		v->cpu.s = s;
	return e;
}

static enum err type1_set_state(struct vcpu *v)
{
	struct mirror *m = v->vm->mode_priv;
	if (!m || m->running)
		return m ? ERR_BUSY : ERR_OK;
	x86_flags_sync(&v->cpu);
	struct command c = {.head.op = CMD_SET_STATE, .vm = (uint8_t)m->index, .data = &v->cpu.s, .n = sizeof v->cpu.s};
	return line_call(m->r, &c);
}

static bool type1_interruptible(struct vcpu *v)
{
	(void)v;
	return false;
}

static enum err type1_inject(struct vcpu *v, const struct x86_event *ev)
{
	(void)v;
	(void)ev;
	return ERR_UNSUPPORTED; /* the VMM there injects */
}

static enum err type1_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	(void)v;
	(void)b;
	(void)e;
	return ERR_UNSUPPORTED; /* next() instead */
}

static enum err type1_complete(struct vcpu *v, struct vm_exit *e)
{
	(void)v;
	(void)e;
	return ERR_OK;
}

static void type1_kick(struct vcpu *v)
{
	struct mirror *m = v->vm->mode_priv;
	if (m)
		line_kick(m->r);
}

/* The audit is made in the image, with what the CPU was programmed with (msg_end.safety). */
static size_t type1_mappings(struct vm *vm, struct mode_mapping *out, size_t max)
{
	(void)vm;
	(void)out;
	(void)max;
	return 0;
}

#define TYPE1_OPS                                                                                         \
	.type = VMM_TYPE_I, .vm_init = type1_init, .vm_fini = type1_fini, .map = type1_map,               \
	.get_state = type1_get_state, .set_state = type1_set_state, .interruptible = type1_interruptible, \
	.inject = type1_inject, .run = type1_run, .complete = type1_complete, .kick = type1_kick,         \
	.mappings = type1_mappings, .next = remote_next, .default_profile = "vtx-ept"

const struct mode_ops mode_emulate_type1_ops = {
    .name = "emulate",
    .engine = "interpreter",
    .mode = MODE_EMULATE,
    .caps = MODE_CAP_VIRTUAL_TIME | MODE_CAP_HOST_TIME | MODE_CAP_COUNTS_INSNS | MODE_CAP_REMOTE,
    .profiles = PROFILE_EMULATE,
    .probe = emulate_probe,
    TYPE1_OPS,
};

const struct mode_ops mode_virtualize_type1_ops = {
    .name = "virtualize",
    .engine = "vmx",
    .mode = MODE_VIRTUALIZE,
    .caps = MODE_CAP_HOST_TIME | MODE_CAP_REMOTE,
    .profiles = PROFILE_METAL,
    .probe = virtualize_probe,
    TYPE1_OPS,
};
