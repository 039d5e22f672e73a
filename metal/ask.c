/*
 * Questions to the session: what becomes of an exit, and what a device of the session says to an access. The guest
 * stands still until the answer has come; meanwhile the session may look at it and change it.
 *
 * Read agent.c before, and "enum remote_question" in core/remote.h.
 */
#include "core/env.h"
#include "core/lib.h"
#include "metal/agent_impl.h"

#define ASK_AGAIN_NS 250000000ull /* a question without an answer is asked again */

/* Until a->answer* has it; false: the session is over. v's state and exit go along. */
static bool ask(struct agent_guest *g, struct vcpu *v, struct msg_user *m)
{
	struct agent *a = g->agent;
	const struct host_ops *host = a->boot->host;
	const struct x86_state *s = vcpu_state(v);
	bool was_asking = a->asking;

	if (!s)
		return false;
	m->number = ++a->question;
	m->exit = v->exit;
	m->state = *s;
	m->reflect = v->reflect;
	a->answered = false;
	a->asking = true;
	stream_flush(a);
	console_flush(g);
	while (!a->answered && !a->stop) {
		wire_send(&a->tx, MSG_USER, (uint8_t)g->index, m, sizeof(*m));
		for (uint64_t until = host->now_ns() + ASK_AGAIN_NS;
		     !a->answered && !a->stop && host->now_ns() < until;)
			agent_poll(a);
	}
	a->asking = was_asking;
	return !a->stop;
}

/* --- Exits ------------------------------------------------------------------------------------------------------- */

static enum verdict gone(struct vcpu *v, const struct vm_exit *e)
{
	vm_kill(v->vm, END_STOPPED, 0, "the session ended while it was asked about %s", exit_name(e->reason));
	return VERDICT_KILL;
}

/* The results that the session has set. */
static bool take_results(struct vcpu *v, struct vm_exit *e, const struct msg_user_answer *said)
{
	e->insn_len = said->exit.insn_len;
	memcpy(e->raw, said->exit.raw, sizeof(e->raw));
	v->reflect = said->reflect;
	return !said->changed || agent_take_state(v, &said->state) == ERR_OK;
}

enum verdict agent_ask(void *arg, struct vcpu *v, struct vm_exit *e)
{
	struct agent_guest *g = arg;
	struct agent *a = g->agent;
	static struct msg_user m; /* on its way is one at a time */
	enum verdict own = VERDICT_USER;

	m = (struct msg_user){.what = ASK_EXIT};
	for (;;) {
		if (!ask(g, v, &m))
			return gone(v, e);
		if (!take_results(v, e, &a->answer_data))
			return VERDICT_KILL;
		if (!a->answer_again || own != VERDICT_USER)
			break;
		own = vm_handle_exit(v, e);
		if (own == VERDICT_USER) /* it has nothing to say of its own */
			own = VERDICT_NEXT;
		m = (struct msg_user){.what = ASK_DONE, .verdict = own};
	}
	if (a->answer == VERDICT_KILL)
		vm_kill(v->vm, END_KILLED, e->reason, "the session stopped the guest at %s", exit_name(e->reason));
	return a->answer == VERDICT_USER ? own : a->answer;
}

/* --- Devices ----------------------------------------------------------------------------------------------------- */

static uint64_t ask_device(struct device *d, uint32_t off, unsigned len, bool is_write, uint64_t value)
{
	struct agent_device *ad = d->state;
	struct agent *a = ad->g->agent;
	struct vcpu *v = &d->vm->vcpus[0];
	static struct msg_user m;

	m = (struct msg_user){.what = ASK_DEVICE,
	    .at = ad->base + off,
	    .is_mmio = ad->is_mmio,
	    .is_write = is_write,
	    .len = (uint8_t)len,
	    .value = value};
	if (!ask(ad->g, v, &m)) {
		(void)gone(v, &v->exit);
		return UINT64_MAX;
	}
	if (a->answer == VERDICT_KILL)
		vm_kill(d->vm, END_KILLED, 0, "a device of the session stopped the guest");
	return a->answer_data.value;
}

static uint64_t claim_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	(void)region;
	return ask_device(d, off, len, false, 0);
}

static void claim_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	(void)region;
	(void)ask_device(d, off, len, true, value);
}

static const struct device_ops claim_ops = {
    .name = "a device of the session", .read = claim_read, .write = claim_write, .max_access = 8, .stays = true};

enum err agent_claim(struct agent_guest *g, bool is_mmio, uint64_t base, uint64_t len)
{
	struct bus *b = &g->vm->bus;
	struct errmsg why = {{0}};

	if (g->n_devices == CLAIMS_MAX)
		return ERR_NOMEM;
	if (len == 0 || base + len < base || (!is_mmio && base + len > 0x10000))
		return ERR_RANGE;
	struct agent_device *ad = &g->devices[g->n_devices];
	*ad = (struct agent_device){.g = g, .base = base, .is_mmio = is_mmio};
	ad->dev = (struct device){.ops = &claim_ops, .vm = g->vm, .state = ad};
	enum err e = is_mmio ? bus_add_mmio(b, base, len, &ad->dev, 0, &why)
			     : bus_take_pio(b, (uint16_t)base, (uint32_t)len, &ad->dev, 0, &why);
	if (e == ERR_OK)
		g->n_devices++;
	return e;
}
