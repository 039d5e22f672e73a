/*
 * The lockstep finds what is planted, at the very place. The subject is the emulate engine behind a thin wrapper that
 * plants one fault: a register, a memory byte, or a dropped exit. No /dev/kvm is needed; where it is there, the last
 * test holds it against the reference, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/vm.h"
#include "modes/modes.h"
#include "tracer/equivalence.h"

#define CODE_BASE 0x7c00u

enum fault { FAULT_NONE, FAULT_REGISTER, FAULT_FLAG, FAULT_MEMORY, FAULT_DROP, FAULT_VALUE };

static struct {
	enum fault kind;
	uint64_t at, exits; /* plant it at this hardware exit, counted from 0 */
} plant;

static struct mode_ops faulty_ops;

static enum err faulty_run(struct vcpu *v, const struct run_bounds *b, struct vm_exit *e)
{
	enum err err = mode_emulate_type2_ops.run(v, b, e);

	if (err != ERR_OK || !exit_is_hw(e->reason))
		return err;
	if (plant.exits++ != plant.at)
		return ERR_OK;
	switch (plant.kind) {
	case FAULT_REGISTER:
		v->cpu.s.gpr[X86_RSI] ^= 1;
		break;
	case FAULT_FLAG:
		v->cpu.s.rflags ^= FLAG_DF;
		break;
	case FAULT_MEMORY:
		v->vm->mem.ram[0x5005] ^= 0x40;
		break;
	case FAULT_VALUE:
		e->io.value ^= 1;
		break;
	case FAULT_DROP: /* as if KVM had done the OUT itself */
		v->cpu.s.rip += e->insn_len;
		memset(e, 0, sizeof *e);
		return mode_emulate_type2_ops.run(v, b, e);
	case FAULT_NONE:
		break;
	}
	return ERR_OK;
}

static bool on_host_time; /* both machines: then a time stamp is whatever the host says */

static struct vm *machine(const struct mode_ops *ops, const void *code, size_t n)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = ops,
	    .guest = "bytes",
	    .controls = "kvm-user",
	    .mem_size = 1 << 20,
	    .n_vcpus = 1,
	    .clock = ops->caps & MODE_CAP_VIRTUAL_TIME && !on_host_time ? CLOCK_VIRTUAL : CLOCK_HOST};
	struct errmsg why = {""};
	struct x86_state *s;
	struct vm *vm;

	if (vm_create(&cfg, &vm, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(mem_write(&vm->mem, CODE_BASE, code, n), ERR_OK);
	s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);
	assert_non_null(s);
	for (unsigned i = 0; i < X86_SREG_COUNT; i++) {
		s->seg[i].sel = 0;
		s->seg[i].base = 0;
	}
	s->gpr[X86_RSP] = 0x7000;
	s->rip = CODE_BASE;
	return vm;
}

/* mov cx,6; again: in al,0x71; inc bx; out 0xe0,al; mov [0x5000],bx; loop again; xor al,al; out 0xf4,al */
static const uint8_t loop_code[] = {
    0xb9, 6, 0, 0xe4, 0x71, 0x43, 0xe6, 0xe0, 0x89, 0x1e, 0x00, 0x50, 0xe2, 0xf5, 0x30, 0xc0, 0xe6, 0xf4};

static struct equivalence_report lockstep(const struct mode_ops *subject_ops, const void *code, size_t n,
    enum equivalence_step step, enum fault kind, uint64_t at)
{
	struct vm *subject = machine(subject_ops, code, n), *reference = machine(&mode_emulate_type2_ops, code, n);
	struct equivalence_options opt = {.step = step, .checkpoint_every = 1};
	struct equivalence_report report;

	plant.kind = kind;
	plant.at = at;
	plant.exits = 0;
	equivalence_run(subject, reference, &opt, &report);
	vm_destroy(subject);
	vm_destroy(reference);
	return report;
}

static int set_up(void **state)
{
	(void)state;
	faulty_ops = mode_emulate_type2_ops;
	faulty_ops.run = faulty_run;
	return 0;
}

static void equal_machines_hold_with_every_exit_counted(void **state)
{
	struct equivalence_report r =
	    lockstep(&faulty_ops, loop_code, sizeof loop_code, EQUIVALENCE_EXITS, FAULT_NONE, 0);
	(void)state;

	assert_int_equal(r.verdict.state, PG_HOLDS);
	assert_int_equal(r.exits_compared, 13); /* 6 IN, 6 OUT, 1 debug exit */
	assert_false(r.first.found);
	assert_int_equal(r.subject_end.kind, END_DEBUG_EXIT);
	assert_true(r.checkpoints > 13);
}

static void every_instruction_is_compared_in_instruction_mode(void **state)
{
	struct equivalence_report r =
	    lockstep(&faulty_ops, loop_code, sizeof loop_code, EQUIVALENCE_INSNS, FAULT_NONE, 0);
	(void)state;

	assert_int_equal(r.verdict.state, PG_HOLDS);
	assert_int_equal(r.insns_compared, 1 + 6 * 5 + 2);
	assert_int_equal(r.exits_compared, 13);
}

static void an_altered_register_is_found_at_its_exit(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < 12; at += 3) {
		struct equivalence_report r =
		    lockstep(&faulty_ops, loop_code, sizeof loop_code, EQUIVALENCE_EXITS, FAULT_REGISTER, at);

		assert_int_equal(r.verdict.state, PG_VIOLATED);
		assert_true(r.first.found);
		assert_int_equal(r.first.index, at);
		assert_string_equal(r.first.field, "rsi");
		assert_int_equal(r.first.rip, at % 2 ? 0x7c06 : 0x7c03);
		assert_non_null(strstr(r.first.disassembly, at % 2 ? "out" : "in"));
		assert_non_null(strstr(r.first.subject_regs, "0000000000000001"));
		assert_int_equal(r.exits_compared, at);
	}
}

static void an_altered_flag_is_found(void **state)
{
	struct equivalence_report r =
	    lockstep(&faulty_ops, loop_code, sizeof loop_code, EQUIVALENCE_EXITS, FAULT_FLAG, 5);
	(void)state;

	assert_int_equal(r.verdict.state, PG_VIOLATED);
	assert_string_equal(r.first.field, "rflags");
	assert_int_equal(r.first.index, 5);
}

static void an_altered_byte_of_memory_is_found_with_its_address(void **state)
{
	struct equivalence_report r =
	    lockstep(&faulty_ops, loop_code, sizeof loop_code, EQUIVALENCE_EXITS, FAULT_MEMORY, 7);
	(void)state;

	assert_int_equal(r.verdict.state, PG_VIOLATED);
	assert_string_equal(r.first.field, "memory");
	assert_int_equal(r.first.index, 7);
	assert_int_equal(r.first.memory_gpa, 0x5005);
	assert_int_equal(r.first.memory_subject, 0x40);
	assert_int_equal(r.first.memory_reference, 0);
}

static void a_dropped_exit_is_found(void **state)
{
	struct equivalence_report r =
	    lockstep(&faulty_ops, loop_code, sizeof loop_code, EQUIVALENCE_EXITS, FAULT_DROP, 3);
	(void)state;

	assert_int_equal(r.verdict.state, PG_VIOLATED);
	assert_int_equal(r.first.index, 3);
	assert_string_equal(r.first.field, "rip");
	assert_int_equal(r.exits_compared, 3);
}

static void a_wrong_value_is_found(void **state)
{
	struct equivalence_report r =
	    lockstep(&faulty_ops, loop_code, sizeof loop_code, EQUIVALENCE_EXITS, FAULT_VALUE, 9);
	(void)state;

	assert_int_equal(r.verdict.state, PG_VIOLATED);
	assert_int_equal(r.first.index, 9);
	assert_string_equal(r.first.field, "value");
}

static void a_read_of_the_time_stamp_counter_makes_exit_lockstep_unknown(void **state)
{
	/* nop; rdtsc; out 0xe0,al; mov eax,0; out 0xf4,al */
	static const uint8_t code[] = {0x90, 0x0f, 0x31, 0xe6, 0xe0, 0xb0, 0x00, 0xe6, 0xf4};
	(void)state;

	/* On virtual time both count instructions: the stamps are equal, and are compared. */
	struct equivalence_report r = lockstep(&faulty_ops, code, sizeof code, EQUIVALENCE_EXITS, FAULT_NONE, 0);
	assert_int_equal(r.verdict.state, PG_HOLDS);
	on_host_time = true;
	r = lockstep(&faulty_ops, code, sizeof code, EQUIVALENCE_EXITS, FAULT_NONE, 0);
	assert_int_equal(r.verdict.state, PG_UNKNOWN);
	assert_string_equal(r.unfed.mnemonic, "rdtsc");
	assert_int_equal(r.unfed.rip, 0x7c01);
	r = lockstep(&faulty_ops, code, sizeof code, EQUIVALENCE_INSNS, FAULT_NONE, 0);
	on_host_time = false;
	assert_int_equal(r.verdict.state, PG_HOLDS);
	assert_int_equal(r.exempt[EXEMPT_PATCHED], 1);
}

static void the_reference_takes_interrupts_where_the_subject_took_them(void **state)
{
	/* PIC: vectors from 0x20, all but IRQ 0 masked; PIT: a tick about every 1193 counts; IVT[0x20] -> 7c40;
	 * sti; again: inc eax; cmp byte [0x5000],5; jb again; mov al,0; out 0xf4,al
	 * 7c40: push ax; inc byte [0x5000]; mov al,0x20; out 0x20,al; pop ax; iret */
	static const uint8_t code[0x50] = {0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21, 0xb0,
	    0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21, 0xb0, 0x34, 0xe6, 0x43, 0xb0, 0xa9, 0xe6, 0x40, 0xb0, 0x04, 0xe6,
	    0x40, 0xc7, 0x06, 0x80, 0x00, 0x40, 0x7c, 0xfb, 0x66, 0x40, 0x80, 0x3e, 0x00, 0x50, 0x05, 0x72, 0xf7, 0xb0,
	    0x00, 0xe6, 0xf4, [0x40] = 0x50, 0xfe, 0x06, 0x00, 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf};
	struct equivalence_report r = lockstep(&faulty_ops, code, sizeof code, EQUIVALENCE_EXITS, FAULT_NONE, 0);
	(void)state;

	if (r.verdict.state != PG_HOLDS)
		fail_msg("%s", r.verdict.evidence);
	assert_int_equal(r.injected, 5);
	assert_int_equal(r.exempt[EXEMPT_INTERRUPT_POINT], 5);
}

static void different_memory_sizes_are_refused(void **state)
{
	struct vm *a = machine(&mode_emulate_type2_ops, loop_code, sizeof loop_code);
	struct vm_config cfg = a->cfg;
	struct equivalence_report report;
	struct errmsg why;
	struct vm *b;
	(void)state;

	cfg.mem_size = 2 << 20;
	assert_int_equal(vm_create(&cfg, &b, &why), ERR_OK);
	equivalence_run(a, b, NULL, &report);
	assert_int_equal(report.verdict.state, PG_UNKNOWN);
	vm_destroy(a);
	vm_destroy(b);
}

static void kvm_holds_against_the_reference(void **state)
{
	struct errmsg why = {""};
	(void)state;

	if (mode_virtualize_type2_ops.probe(&host_posix_ops, &why) != ERR_OK) {
		print_message("%s\n", why.text);
		skip();
	}
	struct equivalence_report r =
	    lockstep(&mode_virtualize_type2_ops, loop_code, sizeof loop_code, EQUIVALENCE_EXITS, FAULT_NONE, 0);
	if (r.verdict.state != PG_HOLDS)
		fail_msg("%s", r.verdict.evidence);
	assert_int_equal(r.exits_compared, 13);
}

static void consoles_decide_when_sequences_agree(void **state)
{
	struct sequence a = {0}, b = {0};
	struct sequence_item items[2] = {{.reason = EXIT_HLT}, {.reason = EXIT_CPUID}};
	struct sequence_diff diff;
	struct pg_verdict v;
	(void)state;

	a.items = b.items = items;
	a.n = b.n = 2;
	equivalence_sequence(&a, &b, "abc", 3, "abc", 3, &v, &diff);
	assert_int_equal(v.state, PG_HOLDS);
	equivalence_sequence(&a, &b, "abc", 3, "abd", 3, &v, &diff);
	assert_int_equal(v.state, PG_VIOLATED);
	assert_non_null(strstr(v.evidence, "byte 2"));
	equivalence_sequence(&a, &b, "abc", 3, "ab", 2, &v, &diff);
	assert_int_equal(v.state, PG_VIOLATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_machines_hold_with_every_exit_counted),
	    cmocka_unit_test(every_instruction_is_compared_in_instruction_mode),
	    cmocka_unit_test(an_altered_register_is_found_at_its_exit),
	    cmocka_unit_test(an_altered_flag_is_found),
	    cmocka_unit_test(an_altered_byte_of_memory_is_found_with_its_address),
	    cmocka_unit_test(a_dropped_exit_is_found),
	    cmocka_unit_test(a_wrong_value_is_found),
	    cmocka_unit_test(a_read_of_the_time_stamp_counter_makes_exit_lockstep_unknown),
	    cmocka_unit_test(the_reference_takes_interrupts_where_the_subject_took_them),
	    cmocka_unit_test(different_memory_sizes_are_refused),
	    cmocka_unit_test(kvm_holds_against_the_reference),
	    cmocka_unit_test(consoles_decide_when_sequences_agree),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
