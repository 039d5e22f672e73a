/*
 * x87 exceptions of software that leaves CR0.NE clear: FERR#, IRQ 13, port F0 and IGNNE#, in a machine and as a device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/dev/dev.h"
#include "core/snapshot.h"
#include "tests/dev_fixture.h"

#define ORG 0x7c00u
#define WAITING 0x7c65u /* the instruction of the program that finds the exception */
#define FSW_ZE_PENDING 0x8084u
#define STEPS_MAX 100000u

/*
 * Sets the interrupt controllers up (vectors 08 and 70), with byte 5010 as the mask of the second one, loads 5012 as
 * control word, STI if byte 5016 is not 0, and does word 5014 times: 1 / 0 (byte 5018 = 1 then), FILD, FNINIT, FLDCW.
 * Then it writes 0 to port f4.
 * Vector 75 counts at 5000, stores FSW at 5002 and where it interrupted at 5004, writes port F0, does FLDPI and FISTP
 * to 5006, stores FSW at 5008, FNCLEX, EOIs. Vector 10 counts at 500a and does FNCLEX.
 */
static const uint8_t program[] = {0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, 0xb0, 0x11, 0xe6, 0x20,
    0xe6, 0xa0, 0xb0, 0x08, 0xe6, 0x21, 0xb0, 0x70, 0xe6, 0xa1, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x02, 0xe6, 0xa1, 0xb0,
    0x01, 0xe6, 0x21, 0xe6, 0xa1, 0xb0, 0xfb, 0xe6, 0x21, 0xa0, 0x10, 0x50, 0xe6, 0xa1, 0xc7, 0x06, 0xd4, 0x01, 0x75,
    0x7c, 0xc7, 0x06, 0xd6, 0x01, 0x00, 0x00, 0xc7, 0x06, 0x40, 0x00, 0x9e, 0x7c, 0xc7, 0x06, 0x42, 0x00, 0x00, 0x00,
    0xdb, 0xe3, 0xd9, 0x2e, 0x12, 0x50, 0x8b, 0x0e, 0x14, 0x50, 0xa0, 0x16, 0x50, 0x84, 0xc0, 0x74, 0x01, 0xfb, 0xd9,
    0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x90, 0xc6, 0x06, 0x18, 0x50, 0x01, 0xdf, 0x06, 0x12, 0x50, 0xdb, 0xe3, 0xd9, 0x2e,
    0x12, 0x50, 0xe2, 0xe8, 0xb0, 0x00, 0xe6, 0xf4, 0x50, 0xff, 0x06, 0x00, 0x50, 0xdd, 0x3e, 0x02, 0x50, 0x89, 0xe5,
    0x8b, 0x46, 0x02, 0xa3, 0x04, 0x50, 0xb0, 0x00, 0xe6, 0xf0, 0xd9, 0xeb, 0xdf, 0x1e, 0x06, 0x50, 0xdd, 0x3e, 0x08,
    0x50, 0xdb, 0xe2, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf, 0xff, 0x06, 0x0a, 0x50, 0xdb, 0xe2, 0xcf};

static uint16_t word_at(struct vm *vm, gpa_t gpa)
{
	uint16_t v = 0;

	assert_int_equal(mem_read(&vm->mem, gpa, &v, sizeof(v)), ERR_OK);
	return v;
}

static void put_word(struct vm *vm, gpa_t gpa, uint16_t v)
{
	assert_int_equal(mem_write(&vm->mem, gpa, &v, sizeof(v)), ERR_OK);
}

static struct vm *make_vm(const char *profile, uint64_t ne, uint8_t mask, uint16_t times, bool sti)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = profile,
	    .mem_size = 4u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};
	struct vm *vm = NULL;

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, ORG, program, sizeof(program)), ERR_OK);
	put_word(vm, 0x5010, mask);
	put_word(vm, 0x5012, 0x37b); /* everything masked but ZE */
	put_word(vm, 0x5014, times);
	put_word(vm, 0x5016, sti);
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->cr0 |= ne;
	s->seg[X86_CS].sel = 0;
	s->seg[X86_CS].base = 0;
	s->rip = ORG;
	return vm;
}

static void ended_well(struct vm *vm)
{
	if (vm->end.kind != END_DEBUG_EXIT || vm->end.code != 0)
		fail_msg("%s: %s", end_name(vm->end.kind), vm->end.detail);
}

static void handled(struct vm *vm, unsigned times)
{
	ended_well(vm);
	assert_int_equal(word_at(vm, 0x5000), times);
	assert_int_equal(word_at(vm, 0x5002) & FSW_ZE_PENDING, FSW_ZE_PENDING);
	assert_int_equal(word_at(vm, 0x5004), WAITING);
	assert_int_equal(word_at(vm, 0x5006), 3);
	assert_int_equal(word_at(vm, 0x5008) & FSW_ZE_PENDING, FSW_ZE_PENDING);
	assert_int_equal(word_at(vm, 0x500a), 0);
	assert_false(vm->vcpus[0].cpu.ferr);
	assert_false(coprocessor_ignne(dev_get(vm, DEV_COPROCESSOR)));
}

static void an_exception_is_irq_13_before_the_next_waiting_instruction(void **state)
{
	static const char *const profiles[] = {"vtx-ept", "all", "deprivileged"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(profiles); i++) {
		struct vm *vm = make_vm(profiles[i], 0, 0xdf, 3, true);

		assert_int_equal(vm_run(vm), ERR_OK);
		handled(vm, 3); /* each time: FNCLEX has let FERR# drop, and IGNNE# with it */
		vm_destroy(vm);
	}
}

static void with_ne_it_is_an_exception_and_no_interrupt(void **state)
{
	struct vm *vm = make_vm("vtx-ept", CR0_NE, 0xdf, 3, true);

	(void)state;
	assert_int_equal(vm_run(vm), ERR_OK);
	ended_well(vm);
	assert_int_equal(word_at(vm, 0x5000), 0);
	assert_int_equal(word_at(vm, 0x500a), 3);
	vm_destroy(vm);
}

static void without_an_interrupt_the_processor_is_frozen(void **state)
{
	(void)state;
	for (unsigned sti = 0; sti < 2; sti++) {
		struct vm *vm = make_vm("vtx-ept", 0, 0xff, 1, sti); /* IRQ 13 is masked */

		assert_int_equal(vm_run(vm), ERR_OK);
		assert_int_equal(vm->end.kind, END_HALT);
		assert_non_null(strstr(vm->end.detail, "x87 exception"));
		assert_non_null(strstr(vm->end.detail, sti ? "no timer" : "interrupts off"));
		assert_int_equal(word_at(vm, 0x5018), 1);
		assert_int_equal(vcpu_state(&vm->vcpus[0])->rip, WAITING);
		vm_destroy(vm);
	}
}

static void step_until_frozen(struct vm *vm)
{
	struct vcpu *v = &vm->vcpus[0];

	for (unsigned n = 0; !v->frozen && n < STEPS_MAX; n++)
		assert_int_equal(vm_step_exit(vm, v), ERR_OK);
	assert_true(v->frozen && v->halted && v->cpu.ferr);
}

/* As another processor might do it. */
static void port_f0_lets_a_frozen_processor_go_on(void **state)
{
	struct vm *vm = make_vm("vtx-ept", 0, 0xff, 1, false);

	(void)state;
	step_until_frozen(vm);
	bus_pio_write(&vm->bus, 0xf0, 1, 0);
	assert_false(vm->vcpus[0].frozen || vm->vcpus[0].halted);
	assert_int_equal(vm_run(vm), ERR_OK);
	ended_well(vm);
	assert_int_equal(word_at(vm, 0x5000), 0);
	assert_false(vm->vcpus[0].cpu.ferr); /* FNINIT */
	vm_destroy(vm);
}

static struct vm *copy_of(struct vm *vm)
{
	struct vm *copy = make_vm("vtx-ept", 0, 0, 0, false);
	struct errmsg why = {""};
	size_t used, size = snapshot_size(vm);
	void *buf = malloc(size);

	assert_non_null(buf);
	assert_int_equal(snapshot_save(vm, buf, size, &used, &why), ERR_OK);
	assert_int_equal(snapshot_restore(copy, buf, used, &why), ERR_OK);
	free(buf);
	return copy;
}

/* Taken while the processor is frozen, and again while IGNNE# is asserted. */
static void a_snapshot_keeps_the_wires(void **state)
{
	struct vm *vm = make_vm("vtx-ept", 0, 0xdf, 2, true);
	struct vm *copy;

	(void)state;
	step_until_frozen(vm);
	copy = copy_of(vm);
	assert_true(copy->vcpus[0].frozen && copy->vcpus[0].halted && copy->vcpus[0].cpu.ferr);
	vm_destroy(vm);
	for (unsigned n = 0; !coprocessor_ignne(dev_get(copy, DEV_COPROCESSOR)) && n < STEPS_MAX; n++)
		assert_int_equal(vm_step_insn(copy, NULL), ERR_OK);
	vm = copy_of(copy);
	assert_true(coprocessor_ignne(dev_get(vm, DEV_COPROCESSOR)));
	assert_int_equal(vm_run(copy), ERR_OK);
	assert_int_equal(vm_run(vm), ERR_OK);
	handled(copy, 2);
	handled(vm, 2);
	assert_true(vm->clock.insns == copy->clock.insns);
	vm_destroy(copy);
	vm_destroy(vm);
}

static void the_latch_is_set_by_ferr_and_cleared_by_port_f0(void **state)
{
	static struct dev_fixture f;
	struct device *d;

	(void)state;
	fake_host_reset();
	dev_open(&f, 2 << 20);
	dev_init_pic(&f);
	d = dev_get(&f.vm, DEV_COPROCESSOR);
	dev_out(&f, 0xf0, 0); /* nothing is asserted: nothing to ignore */
	assert_false(coprocessor_ignne(d));
	assert_int_equal(dev_take_irq(&f), -1);
	for (unsigned round = 0; round < 2; round++) {
		coprocessor_set_ferr(d, 0, true);
		assert_int_equal(dev_take_irq(&f), 0x75);
		assert_false(coprocessor_ignne(d));
		coprocessor_set_ferr(d, 0, true); /* it is asserted already */
		coprocessor_set_ferr(d, 1, true);
		assert_int_equal(dev_take_irq(&f), -1);
		dev_out(&f, 0xf0, 0xff);
		assert_true(coprocessor_ignne(d));
		assert_int_equal(dev_in(&f, 0xf0), 0xff);
		coprocessor_set_ferr(d, 0, false);
		assert_true(coprocessor_ignne(d));
		coprocessor_set_ferr(d, 1, false);
		assert_false(coprocessor_ignne(d));
	}
	dev_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_exception_is_irq_13_before_the_next_waiting_instruction),
	    cmocka_unit_test(with_ne_it_is_an_exception_and_no_interrupt),
	    cmocka_unit_test(without_an_interrupt_the_processor_is_frozen),
	    cmocka_unit_test(port_f0_lets_a_frozen_processor_go_on),
	    cmocka_unit_test(a_snapshot_keeps_the_wires),
	    cmocka_unit_test(the_latch_is_set_by_ferr_and_cleared_by_port_f0),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
