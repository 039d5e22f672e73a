/*
 * Several virtual CPUs: a start-up message starts one, LOCK is atomic between them, a spin lock holds, interrupts and
 * NMIs go from one to the other, code that one changes is new for the other, and two runs are the same run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/env.h"
#include "core/snapshot.h"
#include "core/vm.h"

#define BSP_AT 0x7c00u
#define AP_AT 0x8000u
#define MSR_APIC_BASE 0x1bu
#define APIC_BASE_EN 0x800u
#define COUNTER 0x5000u /* of the programs below */
#define PLAIN 0x5004u
#define INSN_LIMIT 20000000u

/*
 * Both CPUs turn x2APIC mode on and do a thousand times: lock xadd [5000],1; take a lock at 5008 with xchg; increment
 * the word at 5004; give the lock back. The first CPU starts the second with INIT and SIPI 08. Then it sends vector 40,
 * sleeps until the handler's answer (vector 41) wakes it, sends an NMI, waits for its mark, and writes 0 to port f4.
 */
static const uint8_t work_bsp[] = {0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, 0xc7, 0x06, 0x04, 0x01,
    0xd3, 0x7c, 0xc7, 0x06, 0x00, 0x01, 0xda, 0x7c, 0xc7, 0x06, 0x08, 0x00, 0x02, 0x7d, 0xe8, 0x67, 0x00, 0x66, 0xba,
    0x01, 0x00, 0x00, 0x00, 0x66, 0xb9, 0x30, 0x08, 0x00, 0x00, 0x66, 0xb8, 0x00, 0x45, 0x00, 0x00, 0x0f, 0x30, 0x66,
    0xb8, 0x08, 0x46, 0x00, 0x00, 0x0f, 0x30, 0xe8, 0x6c, 0x00, 0xf3, 0x90, 0x80, 0x3e, 0x09, 0x50, 0x01, 0x75, 0xf7,
    0x66, 0xba, 0x01, 0x00, 0x00, 0x00, 0x66, 0xb9, 0x30, 0x08, 0x00, 0x00, 0x66, 0xb8, 0x40, 0x40, 0x00, 0x00, 0x0f,
    0x30, 0xfb, 0xf4, 0x80, 0x3e, 0x0a, 0x50, 0x01, 0x75, 0xf8, 0xfa, 0x66, 0xba, 0x01, 0x00, 0x00, 0x00, 0x66, 0xb9,
    0x30, 0x08, 0x00, 0x00, 0x66, 0xb8, 0x00, 0x44, 0x00, 0x00, 0x0f, 0x30, 0xf3, 0x90, 0x80, 0x3e, 0x0c, 0x50, 0x01,
    0x75, 0xf7, 0xb0, 0x00, 0xe6, 0xf4, 0x66, 0xb9, 0x1b, 0x00, 0x00, 0x00, 0x0f, 0x32, 0x80, 0xcc, 0x08, 0x0f, 0x30,
    0x80, 0xcc, 0x04, 0x0f, 0x30, 0x66, 0xb9, 0x0f, 0x08, 0x00, 0x00, 0x66, 0xb8, 0xff, 0x01, 0x00, 0x00, 0x66, 0x31,
    0xd2, 0x0f, 0x30, 0xc3, 0xb9, 0xe8, 0x03, 0x66, 0xb8, 0x01, 0x00, 0x00, 0x00, 0xf0, 0x66, 0x0f, 0xc1, 0x06, 0x00,
    0x50, 0xb0, 0x01, 0x86, 0x06, 0x08, 0x50, 0x84, 0xc0, 0x75, 0xf6, 0xa1, 0x04, 0x50, 0x40, 0xa3, 0x04, 0x50, 0xc6,
    0x06, 0x08, 0x50, 0x00, 0xe2, 0xdb, 0xc3, 0xc6, 0x06, 0x0a, 0x50, 0x01, 0xeb, 0x19, 0xc6, 0x06, 0x0b, 0x50, 0x01,
    0x66, 0xba, 0x00, 0x00, 0x00, 0x00, 0x66, 0xb9, 0x30, 0x08, 0x00, 0x00, 0x66, 0xb8, 0x41, 0x40, 0x00, 0x00, 0x0f,
    0x30, 0x66, 0xb9, 0x0b, 0x08, 0x00, 0x00, 0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2, 0x0f, 0x30, 0xcf, 0xc6, 0x06, 0x0c,
    0x50, 0x01, 0xcf};
static const uint8_t work_ap[] = {0xea, 0x05, 0x80, 0x00, 0x00, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x60,
    0xe8, 0x75, 0xfc, 0xe8, 0x96, 0xfc, 0xc6, 0x06, 0x09, 0x50, 0x01, 0xfb, 0xf4, 0xeb, 0xfd};

/*
 * The second CPU calls a function (mov ax,imm16; ret) and stores what it gave at 5000, for ever. The first one waits
 * for the value, changes the immediate to the next one, and ends when it has seen 50.
 */
static const uint8_t modify_bsp[] = {0x31, 0xc0, 0x8e, 0xd8, 0x66, 0xb9, 0x1b, 0x00, 0x00, 0x00, 0x0f, 0x32, 0x80, 0xcc,
    0x08, 0x0f, 0x30, 0x80, 0xcc, 0x04, 0x0f, 0x30, 0x66, 0xba, 0x01, 0x00, 0x00, 0x00, 0x66, 0xb9, 0x30, 0x08, 0x00,
    0x00, 0x66, 0xb8, 0x00, 0x45, 0x00, 0x00, 0x0f, 0x30, 0x66, 0xb8, 0x08, 0x46, 0x00, 0x00, 0x0f, 0x30, 0xbb, 0x01,
    0x00, 0xf3, 0x90, 0x39, 0x1e, 0x00, 0x50, 0x75, 0xf8, 0x43, 0x89, 0x1e, 0x21, 0x80, 0x83, 0xfb, 0x32, 0x75, 0xee,
    0xb0, 0x00, 0xe6, 0xf4};
static const uint8_t modify_ap[] = {0x31, 0xc0, 0x8e, 0xd8, 0xbc, 0x00, 0x60, 0x8e, 0xd0, 0xe8, 0x14, 0x00, 0xa3, 0x00,
    0x50, 0xeb, 0xf8, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb8,
    0x01, 0x00, 0xc3};

/*
 * Sends itself an NMI (self shorthand). The handler counts at 5000; the first one sends another NMI and stores the
 * count at 5001, with NMIs blocked. The program waits for a count of 2 and writes the stored one less 1 to port f4.
 */
static const uint8_t nmi_in_nmi[] = {0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x70, 0xc7, 0x06, 0x08, 0x00, 0x47,
    0x7c, 0xa3, 0x0a, 0x00, 0x66, 0xb9, 0x1b, 0x00, 0x00, 0x00, 0x0f, 0x32, 0x80, 0xcc, 0x08, 0x0f, 0x30, 0x80, 0xcc,
    0x04, 0x0f, 0x30, 0xe8, 0x0e, 0x00, 0x80, 0x3e, 0x00, 0x50, 0x02, 0x75, 0xf9, 0xa0, 0x01, 0x50, 0xfe, 0xc8, 0xe6,
    0xf4, 0x66, 0xb9, 0x30, 0x08, 0x00, 0x00, 0x66, 0x31, 0xd2, 0x66, 0xb8, 0x00, 0x44, 0x04, 0x00, 0x0f, 0x30, 0xc3,
    0xfe, 0x06, 0x00, 0x50, 0x80, 0x3e, 0x00, 0x50, 0x01, 0x75, 0x0b, 0xe8, 0xe0, 0xff, 0x90, 0x90, 0xa0, 0x00, 0x50,
    0xa2, 0x01, 0x50, 0xcf};

static struct vm *make_vm(unsigned cpus, const uint8_t *bsp, size_t bsp_n, const uint8_t *ap, size_t ap_n)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = "vtx-ept",
	    .mem_size = 4u << 20,
	    .n_vcpus = cpus,
	    .clock = CLOCK_VIRTUAL,
	    .max_insns = INSN_LIMIT};
	struct errmsg why = {""};
	struct vm *vm = NULL;

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, BSP_AT, bsp, bsp_n), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, AP_AT, ap, ap_n), ERR_OK);
	for (unsigned i = 0; i < cpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		assert_true(vcpu_wrmsr(v, MSR_APIC_BASE, v->cpu.s.apic_base | APIC_BASE_EN));
	}
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->seg[X86_CS].sel = 0;
	s->seg[X86_CS].base = 0;
	s->rip = BSP_AT;
	return vm;
}

static struct vm *make_worker(void)
{
	return make_vm(2, work_bsp, sizeof(work_bsp), work_ap, sizeof(work_ap));
}

static uint32_t word_at(struct vm *vm, gpa_t gpa, unsigned n)
{
	uint32_t v = 0;

	assert_int_equal(mem_read(&vm->mem, gpa, &v, n), ERR_OK);
	return v;
}

static void ended_well(struct vm *vm)
{
	if (vm->end.kind != END_DEBUG_EXIT || vm->end.code != 0)
		fail_msg("%s: %s", end_name(vm->end.kind), vm->end.detail);
}

static void *state_of(struct vm *vm, size_t *n)
{
	struct errmsg why = {""};
	size_t size = snapshot_size(vm);
	void *buf = malloc(size);

	assert_non_null(buf);
	assert_int_equal(snapshot_save(vm, buf, size, n, &why), ERR_OK);
	return buf;
}

static void same_state(struct vm *a, struct vm *b)
{
	size_t na, nb;
	void *sa = state_of(a, &na), *sb = state_of(b, &nb);

	assert_int_equal(na, nb);
	assert_memory_equal(sa, sb, na);
	free(sa);
	free(sb);
}

static void two_cpus_share_locks_and_interrupt_each_other(void **state)
{
	struct vm *vm = make_worker();

	(void)state;
	assert_int_equal(vm_run(vm), ERR_OK);
	ended_well(vm);
	assert_int_equal(word_at(vm, COUNTER, 4), 2000);
	assert_int_equal(word_at(vm, PLAIN, 2), 2000);
	for (unsigned i = 0; i < 2; i++)
		assert_true(vm->vcpus[i].counts.exits > 5);
	/* They really took turns while they worked. */
	assert_true(vm->vcpus[1].counts.entries > 5);
	vm_destroy(vm);
}

static void two_runs_are_the_same_run(void **state)
{
	struct vm *a = make_worker(), *b = make_worker();

	(void)state;
	vm_run(a);
	vm_run(b);
	ended_well(a);
	same_state(a, b);
	vm_destroy(a);
	vm_destroy(b);
}

/* Stopped at any exit, saved, restored elsewhere: both go on alike. */
static void a_snapshot_has_all_cpus_and_whose_turn_it_is(void **state)
{
	struct errmsg why = {""};

	(void)state;
	for (unsigned exits = 1; exits < 40; exits += 6) {
		struct vm *a = make_worker(), *b = make_worker();
		size_t n;

		for (unsigned i = 0; i < exits; i++)
			assert_int_equal(vm_step_exit(a, NULL), ERR_OK);
		void *buf = state_of(a, &n);

		assert_int_equal(snapshot_restore(b, buf, n, &why), ERR_OK);
		free(buf);
		vm_run(a);
		vm_run(b);
		ended_well(a);
		ended_well(b);
		same_state(a, b);
		vm_destroy(a);
		vm_destroy(b);
	}
}

static void code_that_one_cpu_changes_is_new_for_the_other(void **state)
{
	struct vm *vm = make_vm(2, modify_bsp, sizeof(modify_bsp), modify_ap, sizeof(modify_ap));

	(void)state;
	vm_run(vm);
	ended_well(vm);
	vm_destroy(vm);
}

/*
 * The first CPU's handler of #UD is UD2 itself, the second one ends the guest. Behind a NOP no instruction of the
 * first ever retires, whether its exceptions exit or not: the second gets its turn all the same, and guest time goes
 * on.
 */
static void a_cpu_of_exceptions_only_does_not_keep_the_turn(void **state)
{
	static const uint8_t stuck[] = {0x90, 0x0f, 0x0b}, other[] = {0xb0, 0x00, 0xe6, 0xf4};
	static const uint8_t vector[] = {(BSP_AT + 1) & 0xff, BSP_AT >> 8, 0, 0};

	(void)state;
	for (unsigned exits = 0; exits < 2; exits++) {
		struct vm *vm = make_vm(2, stuck, sizeof(stuck), other, sizeof(other));
		struct vcpu *second = &vm->vcpus[1];
		struct x86_state *s = vcpu_state_for_write(second, DIRTY_ALL);

		if (exits)
			vm->controls.exceptions |= 1u << VEC_UD;
		assert_int_equal(mem_write(&vm->mem, 4 * VEC_UD, vector, sizeof(vector)), ERR_OK);
		second->wait_startup = false;
		s->seg[X86_CS].sel = 0;
		s->seg[X86_CS].base = 0;
		s->rip = AP_AT;
		vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL)->seg[X86_SS].base = 0x20000; /* frames, for ever */
		vm->cfg.max_exits = 5000;
		assert_int_equal(vm_run(vm), ERR_OK);
		ended_well(vm);
		assert_true(vm->clock.skipped_ns > 0);
		vm_destroy(vm);
	}
}

/* Only the bootstrap CPU runs after power-on; when it halts for good, nobody is left. */
static void cpus_that_nobody_starts_wait(void **state)
{
	static const uint8_t cli_hlt[] = {0xfa, 0xf4};
	struct vm *vm = make_vm(8, cli_hlt, sizeof(cli_hlt), cli_hlt, sizeof(cli_hlt));

	(void)state;
	vm_run(vm);
	assert_int_equal(vm->end.kind, END_HALT);
	assert_non_null(strstr(vm->end.detail, "every CPU"));
	for (unsigned i = 1; i < 8; i++) {
		assert_true(vm->vcpus[i].wait_startup);
		assert_int_equal(vm->vcpus[i].counts.entries, 0);
	}
	vm_destroy(vm);
}

static void other_engines_and_clocks_take_one_cpu(void **state)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_SIMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .mem_size = 4u << 20,
	    .n_vcpus = 2,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};
	struct vm *vm;

	(void)state;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "takes one CPU"));
	cfg.mode = modes_find(MODE_EMULATE, VMM_TYPE_II);
	cfg.clock = CLOCK_HOST;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "virtual"));
	cfg.clock = CLOCK_VIRTUAL;
	cfg.n_vcpus = 9;
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_RANGE);
}

static void an_nmi_in_an_nmi_handler_waits_for_its_iret(void **state)
{
	struct vm *vm = make_vm(1, nmi_in_nmi, sizeof(nmi_in_nmi), work_ap, sizeof(work_ap));

	(void)state;
	assert_int_equal(vm_run(vm), ERR_OK);
	ended_well(vm);
	vm_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_cpus_share_locks_and_interrupt_each_other),
	    cmocka_unit_test(two_runs_are_the_same_run),
	    cmocka_unit_test(a_snapshot_has_all_cpus_and_whose_turn_it_is),
	    cmocka_unit_test(code_that_one_cpu_changes_is_new_for_the_other),
	    cmocka_unit_test(an_nmi_in_an_nmi_handler_waits_for_its_iret),
	    cmocka_unit_test(a_cpu_of_exceptions_only_does_not_keep_the_turn),
	    cmocka_unit_test(cpus_that_nobody_starts_wait),
	    cmocka_unit_test(other_engines_and_clocks_take_one_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
