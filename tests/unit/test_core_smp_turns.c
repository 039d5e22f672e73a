/*
 * The turns of several CPUs follow from the count of instructions alone: a run that is cut, by a limit or by single
 * steps, anywhere and often, ends in the state and at the count of the run that was not.
 *
 * The guest: the first CPU works alone, starts the second one, and then both race for a counter in memory; the second
 * one sleeps now and then until the first sends it an interrupt. The order of instructions decides what they see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/dev/lapic.h"
#include "core/env.h"
#include "core/vm.h"

#define CODE 0x7c00u
#define AP_CODE 0x8000u
#define HANDLER 0x7d00u
#define NEVER 4000000u

/* x2APIC on; vectors of 41H to the handler; 2000 rounds alone; INIT, SIPI 08; then until [5002]: inc [5000], and every
 * 256th time an interrupt to the other one. */
static const uint8_t bsp[] = {0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, /* ds = ss = 0, sp = 7000 */
    0x66, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x80, 0xcc, 0x0c, 0x0f, 0x30,	    /* EN, EXTD */
    0xb9, 0xd0, 0x07, 0xe2, 0xfe,						    /* cx = 2000; loop $ */
    0x66, 0xba, 1, 0, 0, 0, 0x66, 0xb9, 0x30, 0x08, 0, 0,			    /* edx = 1, ecx = 830 */
    0x66, 0xb8, 0, 0x45, 0, 0, 0x0f, 0x30,					    /* INIT */
    0x66, 0xb8, 0x08, 0x46, 0, 0, 0x0f, 0x30,					    /* start-up at 08000 */
    0xff, 0x06, 0x00, 0x50, 0xa0, 0x00, 0x50, 0x84, 0xc0, 0x75, 0x08,		    /* L: inc [5000]; low byte 0? */
    0x66, 0xb8, 0x41, 0x40, 0, 0, 0x0f, 0x30,					    /* then vector 41 */
    0xa1, 0x02, 0x50, 0x85, 0xc0, 0x74, 0xe6,					    /* until [5002] */
    0xfa, 0xb0, 0x00, 0xe6, 0xf4};						    /* debug exit */

/* x2APIC on, enabled; 20 times: 700 rounds, note [5000], sleep until an interrupt; then [5002] = 1. */
static const uint8_t ap[] = {0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x60, /* ds = ss = 0, sp = 6000 */
    0x66, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x80, 0xcc, 0x0c, 0x0f, 0x30,	   /* EN, EXTD */
    0x66, 0xb9, 0x0f, 0x08, 0, 0, 0x66, 0xb8, 0xff, 0x01, 0, 0, 0x66, 0x31, 0xd2, 0x0f, 0x30, /* SVR */
    0xbf, 0x00, 0x51, 0xbe, 20, 0,							      /* di = 5100, si = 20 */
    0xb9, 0xbc, 0x02, 0xe2, 0xfe,							      /* M: cx = 700; loop $ */
    0xa1, 0x00, 0x50, 0x89, 0x05, 0x83, 0xc7, 0x02, /* [di] = [5000]; di += 2 */
    0xfb, 0xf4, 0x4e, 0x75, 0xee,		    /* sti; hlt; 20 times */
    0xc7, 0x06, 0x02, 0x50, 1, 0, 0xfa, 0xf4};	    /* [5002] = 1; cli; hlt */

/* EOI */
static const uint8_t handler[] = {0x66, 0xb9, 0x0b, 0x08, 0, 0, 0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2, 0x0f, 0x30, 0xcf};

static struct vm *make(void)
{
	static const uint8_t vector[] = {HANDLER & 0xff, HANDLER >> 8, 0, 0};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = "vtx-ept",
	    .mem_size = 1u << 20,
	    .n_vcpus = 2,
	    .clock = CLOCK_VIRTUAL,
	    .max_insns = NEVER};
	struct errmsg why = {""};
	struct vm *vm;

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, CODE, bsp, sizeof(bsp)), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, AP_CODE, ap, sizeof(ap)), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, HANDLER, handler, sizeof(handler)), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, 4 * 0x41, vector, sizeof(vector)), ERR_OK);
	for (unsigned i = 0; i < 2; i++)
		assert_true(vcpu_wrmsr(&vm->vcpus[i], 0x1b, vm->vcpus[i].cpu.s.apic_base | APIC_BASE_EN));
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->seg[X86_CS].sel = 0;
	s->seg[X86_CS].base = 0;
	s->rip = CODE;
	x86_state_changed(&vm->vcpus[0].cpu);
	return vm;
}

static void same_end(struct vm *a, struct vm *b)
{
	static uint8_t ma[0x8000], mb[0x8000];

	assert_int_equal(a->end.kind, END_DEBUG_EXIT);
	assert_int_equal(b->end.kind, a->end.kind);
	assert_int_equal(b->clock.insns, a->clock.insns);
	assert_int_equal(clock_now_ns(&b->clock), clock_now_ns(&a->clock));
	assert_int_equal(mem_read(&a->mem, 0, ma, sizeof(ma)), ERR_OK);
	assert_int_equal(mem_read(&b->mem, 0, mb, sizeof(mb)), ERR_OK);
	assert_memory_equal(ma, mb, sizeof(ma));
	for (unsigned i = 0; i < 2; i++)
		assert_memory_equal(vcpu_state(&a->vcpus[i]), vcpu_state(&b->vcpus[i]), sizeof(struct x86_state));
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* steps: what part, in 8, of the cuts are single steps. */
static void run_in_pieces(struct vm *vm, uint32_t seed, unsigned steps)
{
	while (vm_may_resume(vm)) {
		if (next_random(&seed) % 8 < steps) {
			for (uint32_t n = next_random(&seed) % 50; n > 0 && vm_may_resume(vm); n--)
				assert_int_equal(vm_step_insn(vm, NULL), ERR_OK);
		} else {
			vm->cfg.max_insns = vm->clock.insns + 1 + next_random(&seed) % 3000;
			assert_int_equal(vm_run(vm), ERR_OK);
			vm->cfg.max_insns = NEVER;
		}
	}
}

static void a_run_in_pieces_is_the_run(void **state)
{
	struct vm *whole = make();

	(void)state;
	assert_int_equal(vm_run(whole), ERR_OK);
	for (uint32_t seed = 1; seed <= 24; seed++) {
		struct vm *cut = make();

		run_in_pieces(cut, seed, seed % 3 * 3);
		same_end(whole, cut);
		vm_destroy(cut);
	}
	vm_destroy(whole);
}

static void a_run_of_single_steps_is_the_run(void **state)
{
	struct vm *whole = make(), *cut = make();

	(void)state;
	assert_int_equal(vm_run(whole), ERR_OK);
	while (vm_may_resume(cut))
		assert_int_equal(vm_step_insn(cut, NULL), ERR_OK);
	same_end(whole, cut);
	vm_destroy(cut);
	vm_destroy(whole);
}

/* The second CPU was awake, slept and was woken: otherwise the tests above say little. */
static void both_worked(void **state)
{
	struct vm *vm = make();
	uint16_t seen[20];

	(void)state;
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(mem_read(&vm->mem, 0x5100, seen, sizeof(seen)), ERR_OK);
	for (unsigned i = 1; i < 20; i++)
		assert_true(seen[i] > seen[i - 1]);
	vm_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(both_worked),
	    cmocka_unit_test(a_run_in_pieces_is_the_run),
	    cmocka_unit_test(a_run_of_single_steps_is_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
