/*
 * The guest itself, which stands still: registers, memory, and what of a vCPU is neither. Whatever a view wants to know
 * of it, it asks here.
 */
#include <string.h>

#include "core/dev/lapic_priv.h"
#include "tracer/pagewalk.h"
#include "tracer/view_impl.h"

struct vm *view_vm(struct view_model *m)
{
	return m->session ? m->session->vm : NULL;
}

bool view_remote(struct view_model *m)
{
	return m->vm && m->vm->cfg.mode->caps & MODE_CAP_REMOTE;
}

bool view_cpu(struct view_model *m, unsigned vcpu, struct view_cpu *out)
{
	struct vm *vm = view_vm(m);

	*out = (struct view_cpu){0};
	if (!vm || vcpu >= vm->n_vcpus)
		return false;
	const struct vcpu *v = &vm->vcpus[vcpu];

	out->halted = v->halted;
	out->wait_startup = v->wait_startup;
	out->tlb = vm->cfg.mode->mode == MODE_EMULATE ? &v->cpu : NULL;
	if (vm->machine) {
		out->lapic_on = lapic_is_on(v);
		out->lapic_x2 = lapic_is_x2(v);
		out->lapic_count = lapic_timer_count(v);
	}
	return true;
}

static enum err no_guest(const struct view_model *m, struct errmsg *why)
{
	return err_set(why, ERR_UNSUPPORTED, "%s",
	    m->info.source == VIEW_TRACE ? "a trace holds no registers and no memory" : "no guest is loaded");
}

static const char *state_missing(const struct view_model *m)
{
	unsigned caps = m->vm->cfg.mode->caps;

	return caps & MODE_CAP_MODEL ? "a behaviour model has no registers: it says what a guest does, not how" : NULL;
}

/* A question to another machine takes milliseconds, and a screen asks hundreds of them: while the guest stands still,
 * an answer stays true. */
static bool may_keep(struct view_model *m)
{
	return m->now.run != VIEW_RUNNING && view_remote(m);
}

void view_guest_moves(struct view_model *m)
{
	memset(m->kept.state, 0, sizeof(m->kept.state));
	for (unsigned i = 0; i < VIEW_BLOCKS; i++)
		m->kept.blocks[i].valid = false;
}

const struct x86_state *view_cpu_state(struct view_model *m, unsigned vcpu, struct errmsg *why)
{
	if (!m->vm || vcpu >= m->vm->n_vcpus || vcpu >= VM_VCPUS_MAX)
		return no_guest(m, why), NULL;
	if (state_missing(m))
		return err_set(why, ERR_UNSUPPORTED, "%s", state_missing(m)), NULL;
	if (may_keep(m) && m->kept.state[vcpu])
		return &m->state[vcpu];
	if (m->session->ops->get_state(m->session, vcpu, &m->state[vcpu]) != ERR_OK)
		return err_set(why, ERR_IO, "the backend cannot give the registers now"), NULL;
	m->kept.state[vcpu] = may_keep(m);
	return &m->state[vcpu];
}

const struct x86_state *view_cpu_before(struct view_model *m, unsigned vcpu)
{
	return m->has_before && vcpu < VM_VCPUS_MAX ? &m->before[vcpu] : NULL;
}

void view_model_stopped(struct view_model *m)
{
	struct errmsg ignore;

	view_model_lock(m);
	view_count_open(m);
	view_guest_moves(m);
	view_model_unlock(m);
	if (!m->vm || state_missing(m))
		return;
	if (m->has_state)
		memcpy(m->before, m->state, sizeof(m->before));
	m->has_before = m->has_state;
	m->has_state = true;
	for (unsigned i = 0; i < m->vm->n_vcpus && i < VM_VCPUS_MAX; i++)
		if (!view_cpu_state(m, i, &ignore))
			m->has_state = false;
}

/* The block of memory at gpa, which is a multiple of its size; NULL: not all of it is memory. */
static const uint8_t *block_at(struct view_model *m, gpa_t gpa)
{
	struct view_block *b = &m->kept.blocks[gpa / VIEW_BLOCK % VIEW_BLOCKS];

	if (b->valid && b->gpa == gpa)
		return b->data;
	b->gpa = gpa;
	b->valid = m->session->ops->read_mem(m->session, gpa, b->data, VIEW_BLOCK) == ERR_OK;
	return b->valid ? b->data : NULL;
}

static enum err read_kept(struct view_model *m, gpa_t gpa, void *buf, size_t n)
{
	if (!may_keep(m))
		return m->session->ops->read_mem(m->session, gpa, buf, n);
	while (n > 0) {
		size_t at = gpa % VIEW_BLOCK, part = n < VIEW_BLOCK - at ? n : VIEW_BLOCK - at;
		const uint8_t *block = block_at(m, gpa - at);

		if (!block)
			return m->session->ops->read_mem(m->session, gpa, buf, n);
		memcpy(buf, block + at, part);
		buf = (uint8_t *)buf + part;
		gpa += part;
		n -= part;
	}
	return ERR_OK;
}

enum err view_read_phys(struct view_model *m, gpa_t gpa, void *buf, size_t n, struct errmsg *why)
{
	if (!m->session)
		return no_guest(m, why);
	if (m->vm && m->vm->cfg.mode->caps & MODE_CAP_MODEL)
		return err_set(why, ERR_UNSUPPORTED, "a behaviour model has no memory");
	if (read_kept(m, gpa, buf, n) != ERR_OK)
		return err_set(
		    why, ERR_RANGE, "no memory at guest-physical 0x%llx: a device or a hole", (unsigned long long)gpa);
	return ERR_OK;
}

static bool read_table(void *arg, gpa_t gpa, void *buf, size_t n)
{
	struct errmsg ignore;

	return view_read_phys(arg, gpa, buf, n, &ignore) == ERR_OK;
}

enum err view_read_linear(
    struct view_model *m, unsigned vcpu, gva_t gva, void *buf, size_t n, size_t *done, struct errmsg *why)
{
	const struct x86_state *s = view_cpu_state(m, vcpu, why);

	*done = 0;
	if (!s)
		return ERR_UNSUPPORTED;
	while (*done < n) {
		const struct pagewalk_query q = {.gva = gva + *done, .priv = X86_PRIV_SUPER};
		uint64_t part = PAGE_SIZE_4K - q.gva % PAGE_SIZE_4K;
		struct pagewalk w;

		part = part < n - *done ? part : n - *done;
		pagewalk(s, &q, read_table, m, &w);
		if (w.result != PAGEWALK_OK)
			return err_set(why, ERR_RANGE, "0x%llx is not mapped", (unsigned long long)q.gva);
		enum err e = view_read_phys(m, w.gpa, (uint8_t *)buf + *done, (size_t)part, why);
		if (e != ERR_OK)
			return e;
		*done += (size_t)part;
	}
	return ERR_OK;
}
