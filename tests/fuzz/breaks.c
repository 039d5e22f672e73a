/*
 * Faults on purpose: FUZZ_BREAK=page|handler|hidden|engine|hang. The fuzzer is worth something only if it finds them.
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/env.h"
#include "core/handlers.h"

static exit_handler broken[EXIT_SDM_COUNT];
static struct x86_env broken_env;

/* A page that is not looked up in the slots: past the end of RAM as well. */
static uint8_t *page_without_bound(void *arg, gpa_t gpa, bool write)
{
	const struct guest_mem *m = &((struct vcpu *)arg)->vm->mem;

	if (gpa >= m->ram_size && gpa < m->ram_size + 0x8000)
		return m->ram + (gpa & ~(gpa_t)0xfff);
	return vcpu_env_ops.page(arg, gpa, write);
}

static enum verdict writes_past_ram(struct vcpu *v, struct vm_exit *e)
{
	v->vm->mem.ram[v->vm->mem.ram_size + (uint8_t)v->cpu.s.gpr[X86_RAX]] = 1;
	return handlers_default()[EXIT_IO_INSTRUCTION](v, e);
}

static enum verdict writes_hidden(struct vcpu *v, struct vm_exit *e)
{
	v->vm->mem.ram[0xa0000 + (uint8_t)e->rip] = 1;
	return handlers_default()[EXIT_IO_INSTRUCTION](v, e);
}

/* Something that only one of the engines does. */
static enum verdict counts_wrong(struct vcpu *v, struct vm_exit *e)
{
	v->cpu.s.gpr[X86_RBX] ^= 0x100;
	return handlers_default()[EXIT_IO_INSTRUCTION](v, e);
}

static enum verdict hangs(struct vcpu *v, struct vm_exit *e)
{
	volatile bool forever = true;

	while (forever)
		;
	return handlers_default()[EXIT_IO_INSTRUCTION](v, e);
}

void fuzz_break(struct vm *vm, bool reference)
{
	const char *what = getenv("FUZZ_BREAK");

	if (!what)
		return;
	memcpy(broken, handlers_default(), sizeof(broken));
	broken_env = vcpu_env_ops;
	if (strcmp(what, "page") == 0)
		broken_env.page = page_without_bound;
	else if (strcmp(what, "handler") == 0)
		broken[EXIT_IO_INSTRUCTION] = writes_past_ram;
	else if (strcmp(what, "hidden") == 0)
		broken[EXIT_IO_INSTRUCTION] = writes_hidden;
	else if (strcmp(what, "engine") == 0 && !reference)
		broken[EXIT_IO_INSTRUCTION] = counts_wrong;
	else if (strcmp(what, "hang") == 0)
		broken[EXIT_IO_INSTRUCTION] = hangs;
	else if (strcmp(what, "engine") != 0)
		fuzz_fail("FUZZ_BREAK=%s: page, handler, hidden, engine or hang", what);
	vm->handlers = broken;
	for (unsigned k = 0; k < vm->n_vcpus; k++)
		vm->vcpus[k].cpu.env = &broken_env;
}
