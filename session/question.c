/*
 * Questions of the VMM: an exit that a handler of this side decides (vm_config.user of the mirror), and accesses to
 * devices that sit on the bus of the mirror. It asks until it has the answer, so that the answer itself is sent once
 * each time.
 *
 * A handler may let the VMM's own handler work first: then the answer is "do it, and ask again", and what comes next is
 * waited for here, in the middle of the handler.
 *
 * Read run.c before; the other side is metal/ask.c.
 */
#include <string.h>

#include "core/lib.h"
#include "session/remote_impl.h"

#define SILENT_MS 1000

static void send_answer(struct mirror *m)
{
	const uint64_t arg[3] = {m->question, m->verdict, m->answer_again};
	m->answered = true;
	line_post_once(m->r, (uint8_t)m->index, CMD_ANSWER, arg, &m->answer, sizeof m->answer);
}

/* What the handler made of exit and registers so far. */
static void answer_exit(struct mirror *m, enum verdict said, bool again)
{
	struct vcpu *v = &m->vm->vcpus[0];
	x86_flags_sync(&v->cpu);
	m->verdict = said;
	m->answer_again = again;
	m->answer = (struct msg_user_answer){.exit = v->exit, .reflect = v->reflect, .state = v->cpu.s};
	m->answer.changed = v->dirty || memcmp(&v->cpu.s, &m->asked, sizeof m->asked) != 0;
	v->dirty = 0;
	send_answer(m);
}

static void take_machine(struct mirror *m, const struct msg_user *q)
{
	struct vcpu *v = &m->vm->vcpus[0];
	m->asked = q->state;
	v->exit = q->exit;
	v->cpu.s = q->state;
	v->state_valid = true;
	v->dirty = 0;
	x86_state_changed(&v->cpu);
	v->reflect = q->reflect;
}

static void ask_handler(struct mirror *m)
{
	struct vm *vm = m->vm;
	struct vcpu *v = &vm->vcpus[0];
	m->in_handler = true;
	m->own_works = false;
	v->reflect = (struct x86_event){0};
	enum verdict said = vm->cfg.user ? vm->cfg.user(vm->cfg.user_arg, v, &v->exit) : VERDICT_USER;
	m->in_handler = false;
	answer_exit(m, said, false);
}

static void ask_device(struct mirror *m, const struct msg_user *q)
{
	struct bus *b = &m->vm->bus;
	uint64_t value = 0;
	if (q->len != 1 && q->len != 2 && q->len != 4 && q->len != 8)
		value = UINT64_MAX;
	else if (q->is_mmio && q->is_write)
		bus_mmio_write(b, q->at, q->len, q->value);
	else if (q->is_mmio)
		value = bus_mmio_read(b, q->at, q->len);
	else if (q->is_write)
		bus_pio_write(b, (uint16_t)q->at, q->len, q->value);
	else
		value = bus_pio_read(b, (uint16_t)q->at, q->len);
	m->verdict =
	    m->vm->ended ? VERDICT_KILL : VERDICT_NEXT; /* an error of the device's ends the guest, there too */
	m->answer_again = false;
	m->answer = (struct msg_user_answer){.value = value};
	send_answer(m);
}

void question_take(struct mirror *m, const struct msg_user *q)
{
	if (q->number == m->question && m->answered)
		send_answer(m);
	if (q->number <= m->question)
		return;
	m->question = q->number;
	m->answered = false;
	take_machine(m, q);
	if (q->what == ASK_DONE && m->in_handler) {
		m->own = q->verdict < VERDICT_COUNT ? (enum verdict)q->verdict : VERDICT_KILL;
		m->own_done = true;
		return; /* the handler goes on, and answers */
	}
	line_under_question(m->r);
	if (q->what == ASK_DEVICE)
		ask_device(m, q);
	else
		ask_handler(m);
	line_question_over(m->r);
}

enum err question_handle(struct mirror *m, enum verdict *said)
{
	struct remote *r = m->r;
	if (!m->in_handler)
		return ERR_INVAL;
	if (m->own_works) /* a device that it came to asks for it */
		return ERR_BUSY;
	m->own_works = true;
	m->own_done = false;
	answer_exit(m, VERDICT_USER, true);
	while (!m->own_done) {
		if (stream_pump(r))
			continue;
		if (line_is_dead(r) || r->broken)
			return run_dead(m);
		uint64_t t = session_now_ns();
		line_wait_news(r, SILENT_MS);
		struct command c = {.head.op = CMD_SYNC};
		if (session_now_ns() - t > SILENT_MS * 900000ull && line_call(r, &c) && line_is_dead(r))
			return run_dead(m);
	}
	m->own_works = false;
	*said = m->own;
	return ERR_OK;
}
