/*
 * Typing at guest time. The timer runs on the VM's clock: on virtual time the n-th byte arrives at the same instruction
 * in every run, in every backend.
 */
#include "core/typist.h"

#include "core/machine.h"

#define KEY_INTERVAL_NS 1000000u

static void type_more(void *arg, uint64_t deadline_ns)
{
	struct typist *t = arg;

	t->typed += machine_type(t->vm, t->keys + t->typed, t->n - t->typed);
	if (t->typed < t->n)
		clock_arm(&t->vm->clock, t->timer, deadline_ns + KEY_INTERVAL_NS);
}

enum err typist_start(struct typist *t, struct vm *vm, const uint8_t *keys, size_t n, struct errmsg *why)
{
	*t = (struct typist){.vm = vm, .keys = keys, .n = n};
	enum err e = clock_add_timer(&vm->clock, type_more, t, &t->timer);

	if (e != ERR_OK)
		return err_set(why, e, "keys to type: %s", err_sentence(e));
	vm->typist = t;
	if (n)
		type_more(t, clock_now_ns(&vm->clock));
	return ERR_OK;
}
