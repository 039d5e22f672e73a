/*
 * Execution in the modes that test_x86_native.c cannot reach, real mode, 32-bit protected mode and 64-bit supervisor
 * mode: addresses, the stack, branches, faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/x86_exec_fixture.h"

/* --- addresses and operand sizes --- */

static void a_16_bit_address_wraps_at_64k(void **state)
{
	(void)state;
	start_real();
	c->s.gpr[X86_RBX] = 0xabcdffff;
	c->s.gpr[X86_RSI] = 0x12340003;
	x86_fix_poke(fix, 0x10002, 1, 0x5a);
	assert_int_equal(STEP("\x8a\x00"), X86_OK); /* mov al, [bx+si] */
	assert_int_equal(c->s.gpr[X86_RAX] & 0xff, 0x5a);
	assert_int_equal(c->s.rip, 0x1002);
}

static void bp_addresses_the_stack_segment(void **state)
{
	(void)state;
	start_real();
	c->s.gpr[X86_RBP] = 0x40;
	x86_fix_poke(fix, 0x48, 2, 0x1111);
	x86_fix_poke(fix, 0x10048, 2, 0x2222);
	assert_int_equal(STEP("\x8b\x46\x08"), X86_OK); /* mov ax, [bp+8] */
	assert_int_equal(c->s.gpr[X86_RAX], 0x1111);
	assert_int_equal(STEP("\x3e\x8b\x46\x08"), X86_OK); /* mov ax, ds:[bp+8] */
	assert_int_equal(c->s.gpr[X86_RAX], 0x2222);
}

static void an_access_beyond_the_segment_limit_is_gp_and_changes_nothing(void **state)
{
	(void)state;
	start_real();
	c->s.gpr[X86_RBX] = 0xffff;
	c->s.gpr[X86_RAX] = 0x1234;
	assert_fault(STEP("\x03\x07"), VEC_GP, 0x1000); /* add ax, [bx] */
	assert_int_equal(c->s.gpr[X86_RAX], 0x1234);
	assert_int_equal(flags(), FLAG_R1);
}

static void address_size_prefix_uses_32_bit_forms_in_real_mode(void **state)
{
	(void)state;
	start_real();
	c->s.gpr[X86_RCX] = 0x100;
	c->s.gpr[X86_RDX] = 4;
	x86_fix_poke(fix, 0x10000 + 0x100 + 16 + 8, 2, 0xcafe);
	assert_int_equal(STEP("\x67\x8b\x44\x91\x08"), X86_OK); /* mov ax, [ecx+edx*4+8] */
	assert_int_equal(c->s.gpr[X86_RAX], 0xcafe);
}

static void xlat_takes_a_segment_override(void **state)
{
	(void)state;
	start_real();
	c->s.gpr[X86_RBX] = 0xfff0;
	c->s.gpr[X86_RAX] = 0x20;
	x86_fix_poke(fix, 0x20010, 1, 0x77);
	assert_int_equal(STEP("\x26\xd7"), X86_OK); /* es xlat: 16-bit wrap as well */
	assert_int_equal(c->s.gpr[X86_RAX], 0x77);
}

static void moffs_has_the_address_size(void **state)
{
	(void)state;
	start_64();
	x86_fix_poke(fix, 0x2345, 8, 0x1122334455667788);
	assert_int_equal(STEP("\x48\xa1\x45\x23\x00\x00\x00\x00\x00\x00"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RAX], 0x1122334455667788);
	assert_int_equal(STEP("\x67\xa0\x46\x23\x00\x00"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RAX] & 0xff, 0x77);
	assert_int_equal(c->s.rip, 0x1000 + 10 + 6);
}

/* --- stack --- */

static void push_sp_pushes_the_old_value(void **state)
{
	(void)state;
	start_real();
	assert_int_equal(STEP("\x54"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RSP], 0x7ffe);
	assert_int_equal(x86_fix_peek(fix, 0x7ffe, 2), 0x8000);
	assert_int_equal(STEP("\x5c"), X86_OK); /* pop sp */
	assert_int_equal(c->s.gpr[X86_RSP], 0x8000);
}

static void pusha_and_popa_skip_sp(void **state)
{
	(void)state;
	start_real();
	for (unsigned r = 0; r < 8; r++)
		if (r != X86_RSP)
			c->s.gpr[r] = 0xffff0000 | (0x1110 + r);
	assert_int_equal(STEP("\x60"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RSP], 0x8000 - 16);
	assert_int_equal(x86_fix_peek(fix, 0x7ffe, 2), 0x1110);
	assert_int_equal(x86_fix_peek(fix, 0x7ff6, 2), 0x8000);
	x86_fix_poke(fix, 0x7ff6, 2, 0xdead);
	for (unsigned r = 0; r < 8; r++)
		if (r != X86_RSP)
			c->s.gpr[r] = 0xffff0000;
	assert_int_equal(STEP("\x61"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RSP], 0x8000);
	assert_int_equal(c->s.gpr[X86_RDI], 0xffff1117);
	assert_int_equal(c->s.gpr[X86_RAX], 0xffff1110);
}

static void a_16_bit_stack_keeps_the_upper_half_of_esp(void **state)
{
	(void)state;
	start_32();
	c->s.seg[X86_SS].attr = 0x93;
	c->s.seg[X86_SS].limit = 0xffff;
	c->s.gpr[X86_RSP] = 0xabcd0002;
	x86_state_changed(c);
	assert_int_equal(STEP("\x66\x50"), X86_OK); /* push ax */
	assert_int_equal(c->s.gpr[X86_RSP], 0xabcd0000);
	c->s.gpr[X86_RAX] = 0x12345678;
	assert_int_equal(STEP("\x50"), X86_OK); /* push eax wraps to the top of the 64 KiB */
	assert_int_equal(c->s.gpr[X86_RSP], 0xabcdfffc);
	assert_int_equal(x86_fix_peek(fix, 0xfffc, 4), 0x12345678);
}

static void pop_to_memory_addresses_with_the_incremented_pointer(void **state)
{
	(void)state;
	start_32();
	x86_fix_poke(fix, 0x8000, 4, 0xfeedface);
	assert_int_equal(STEP("\x8f\x44\x24\x10"), X86_OK); /* pop dword [esp+16] */
	assert_int_equal(c->s.gpr[X86_RSP], 0x8004);
	assert_int_equal(x86_fix_peek(fix, 0x8014, 4), 0xfeedface);
}

static void pop_to_memory_restarts_when_the_store_faults(void **state)
{
	(void)state;
	start_32();
	set_seg(X86_DS, 0, 0xfff, 0x4093);
	x86_state_changed(c);
	assert_fault(STEP("\x8f\x05\x00\x20\x00\x00"), VEC_GP, 0x1000); /* pop dword [2000h] */
	assert_int_equal(c->s.gpr[X86_RSP], 0x8000);
}

static void enter_copies_the_display(void **state)
{
	(void)state;
	start_32();
	c->s.gpr[X86_RBP] = 0x9000;
	x86_fix_poke(fix, 0x8ffc, 4, 0x11111111);
	x86_fix_poke(fix, 0x8ff8, 4, 0x22222222);
	assert_int_equal(STEP("\xc8\x20\x00\x03"), X86_OK); /* enter 32, 3 */
	assert_int_equal(x86_fix_peek(fix, 0x7ffc, 4), 0x9000);
	assert_int_equal(x86_fix_peek(fix, 0x7ff8, 4), 0x11111111);
	assert_int_equal(x86_fix_peek(fix, 0x7ff4, 4), 0x22222222);
	assert_int_equal(x86_fix_peek(fix, 0x7ff0, 4), 0x7ffc);
	assert_int_equal(c->s.gpr[X86_RBP], 0x7ffc);
	assert_int_equal(c->s.gpr[X86_RSP], 0x7ff0 - 32);
	assert_int_equal(STEP("\xc9"), X86_OK); /* leave */
	assert_int_equal(c->s.gpr[X86_RSP], 0x8000);
	assert_int_equal(c->s.gpr[X86_RBP], 0x9000);
}

/* Compared with an Intel processor: with a 16-bit stack, a 32-bit ENTER saves and loads all 32 bits of ESP. */
static void enter_on_a_16_bit_stack_keeps_the_upper_half(void **state)
{
	(void)state;
	start_32();
	set_seg(X86_SS, 0x10000, 0xffff, 0x93);
	x86_state_changed(c);
	c->s.gpr[X86_RSP] = 0x5555a000;
	c->s.gpr[X86_RBP] = 0x1234b000;
	assert_int_equal(STEP("\xc8\x10\x00\x01"), X86_OK); /* enter 16, 1 */
	assert_int_equal(x86_fix_peek(fix, 0x19ffc, 4), 0x1234b000);
	assert_int_equal(x86_fix_peek(fix, 0x19ff8, 4), 0x55559ffc);
	assert_int_equal(c->s.gpr[X86_RBP], 0x55559ffc);
	assert_int_equal(c->s.gpr[X86_RSP], 0x55559fe8);
	c->s.gpr[X86_RSP] = 0x5555a000;
	c->s.gpr[X86_RBP] = 0x1234b000;
	assert_int_equal(STEP("\x66\xc8\x10\x00\x01"), X86_OK);
	assert_int_equal(x86_fix_peek(fix, 0x19ffc, 4), 0xb0009ffe);
	assert_int_equal(c->s.gpr[X86_RBP], 0x12349ffe);
	assert_int_equal(c->s.gpr[X86_RSP], 0x55559fec);
}

/* --- branches --- */

static void a_call_pushes_the_next_instruction_and_ret_n_drops_arguments(void **state)
{
	(void)state;
	start_real();
	assert_int_equal(STEP("\xe8\x00\x02"), X86_OK);
	assert_int_equal(c->s.rip, 0x1203);
	assert_int_equal(x86_fix_peek(fix, 0x7ffe, 2), 0x1003);
	assert_int_equal(STEP("\xc2\x06\x00"), X86_OK); /* ret 6 */
	assert_int_equal(c->s.rip, 0x1003);
	assert_int_equal(c->s.gpr[X86_RSP], 0x8006);
}

static void a_jump_beyond_the_limit_is_gp_at_the_jump(void **state)
{
	(void)state;
	start_32();
	c->s.seg[X86_CS].limit = 0x1fff;
	c->s.seg[X86_CS].attr = 0x409b;
	x86_state_changed(c);
	assert_fault(STEP("\xe9\x00\x10\x00\x00"), VEC_GP, 0x1000);
	assert_fault(STEP("\xe8\x00\x10\x00\x00"), VEC_GP, 0x1000);
	assert_int_equal(c->s.gpr[X86_RSP], 0x8000);
}

/* A runner subtracts the length from s.rip, so a handler that fails must leave it at the next instruction. */
static void a_call_whose_push_faults_does_not_move_rip(void **state)
{
	static const uint8_t code[] = {0xe8, 0x00, 0x01, 0x00, 0x00};
	struct x86_insn i;

	(void)state;
	start_32();
	set_seg(X86_SS, 0, 0xfff, 0x4093);
	x86_state_changed(c);
	assert_int_equal(x86_decode(code, sizeof(code), 4, X86_MODE_PROT, &i), DECODE_OK);
	c->s.rip = 0x1005;
	assert_int_equal(i.fn(c, &i), X86_FAULT);
	assert_int_equal(c->fault.vector, VEC_SS);
	assert_int_equal(c->s.rip, 0x1005);
	assert_int_equal(c->s.gpr[X86_RSP], 0x8000);
}

static void operand_size_16_cuts_the_target(void **state)
{
	(void)state;
	start_32();
	c->s.rip = 0x11000;
	assert_int_equal(STEP("\x66\xeb\x10"), X86_OK);
	assert_int_equal(c->s.rip, 0x1013);
}

static void a_non_canonical_return_is_gp(void **state)
{
	(void)state;
	start_64();
	x86_fix_poke(fix, 0x8000, 8, 0x800000000000);
	assert_fault(STEP("\xc3"), VEC_GP, 0x1000);
	assert_int_equal(c->s.gpr[X86_RSP], 0x8000);
}

static void loop_counts_in_the_address_size(void **state)
{
	(void)state;
	start_real();
	c->s.gpr[X86_RCX] = 0x10000;
	assert_int_equal(STEP("\xe2\x10"), X86_OK); /* cx 0 -> ffff: taken */
	assert_int_equal(c->s.rip, 0x1012);
	assert_int_equal(c->s.gpr[X86_RCX], 0x1ffff);
	c->s.gpr[X86_RCX] = 0x10000;
	assert_int_equal(STEP("\xe3\x10"), X86_OK); /* jcxz: taken */
	assert_int_equal(c->s.rip, 0x1024);
	assert_int_equal(STEP("\x67\xe3\x10"), X86_OK); /* jecxz: not */
	assert_int_equal(c->s.rip, 0x1027);
}

static void loopz_looks_at_zf_and_leaves_it(void **state)
{
	(void)state;
	start_32();
	c->s.gpr[X86_RCX] = 5;
	x86_flags_write(c, FLAG_R1 | FLAG_ZF);
	assert_int_equal(STEP("\xe1\x10"), X86_OK);
	assert_int_equal(c->s.rip, 0x1012);
	assert_int_equal(STEP("\xe0\x10"), X86_OK); /* loopne: not taken, counted */
	assert_int_equal(c->s.rip, 0x1014);
	assert_int_equal(c->s.gpr[X86_RCX], 3);
	assert_int_equal(flags(), FLAG_R1 | FLAG_ZF);
}

static void every_condition_agrees_with_setcc_and_with_its_definition(void **state)
{
	(void)state;
	start_32();
	for (unsigned f = 0; f < 32; f++) {
		bool cf = f & 1, pf = f & 2, zf = f & 4, sf = f & 8, of = f & 16;
		const bool want[8] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};

		for (unsigned cc = 0; cc < 16; cc++) {
			char jcc[2] = {(char)(0x70 + cc), 0x20}, setcc[3] = {0x0f, (char)(0x90 + cc), (char)0xc0};
			bool taken = want[cc >> 1] != (cc & 1);

			c->s.rip = 0x1000;
			x86_flags_write(c, FLAG_R1 | (cf ? FLAG_CF : 0) | (pf ? FLAG_PF : 0) | (zf ? FLAG_ZF : 0) |
					       (sf ? FLAG_SF : 0) | (of ? FLAG_OF : 0));
			assert_int_equal(step_bytes(jcc, 2), X86_OK);
			assert_int_equal(c->s.rip, taken ? 0x1022 : 0x1002);
			assert_int_equal(step_bytes(setcc, 3), X86_OK);
			assert_int_equal(c->s.gpr[X86_RAX] & 0xff, taken);
		}
	}
}

/* --- faults --- */

static void a_division_that_overflows_is_de_and_changes_nothing(void **state)
{
	(void)state;
	start_32();
	c->s.gpr[X86_RAX] = 0x80000000;
	c->s.gpr[X86_RDX] = 0xffffffff;
	c->s.gpr[X86_RCX] = 0xffffffff;
	assert_fault(STEP("\xf7\xf9"), VEC_DE, 0x1000); /* idiv ecx: 2^31 does not fit */
	assert_int_equal(c->s.gpr[X86_RAX], 0x80000000);
	assert_int_equal(c->s.gpr[X86_RDX], 0xffffffff);
	c->s.gpr[X86_RCX] = 1;
	assert_int_equal(STEP("\xf7\xf9"), X86_OK); /* -2^31 does */
	assert_int_equal(c->s.gpr[X86_RAX], 0x80000000);
	assert_int_equal(c->s.gpr[X86_RDX], 0);
}

static void bound_is_br_outside_the_range(void **state)
{
	(void)state;
	start_32();
	x86_fix_poke(fix, 0x3000, 4, (uint32_t)-5);
	x86_fix_poke(fix, 0x3004, 4, 7);
	c->s.gpr[X86_RAX] = (uint32_t)-5;
	assert_int_equal(STEP("\x62\x05\x00\x30\x00\x00"), X86_OK);
	c->s.gpr[X86_RAX] = 8;
	assert_fault(STEP("\x62\x05\x00\x30\x00\x00"), VEC_BR, 0x1006);
	c->s.gpr[X86_RAX] = (uint32_t)-6;
	assert_fault(STEP("\x62\x05\x00\x30\x00\x00"), VEC_BR, 0x1006);
}

static void lock_is_ud_where_it_is_not_allowed(void **state)
{
	(void)state;
	start_32();
	c->s.gpr[X86_RBX] = 0x3000;
	assert_int_equal(STEP("\xf0\x01\x03"), X86_OK);	    /* lock add [ebx], eax */
	assert_fault(STEP("\xf0\x01\xc3"), VEC_UD, 0x1003); /* register destination */
	assert_fault(STEP("\xf0\x03\x03"), VEC_UD, 0x1003); /* memory is the source */
	assert_fault(STEP("\xf0\x39\x03"), VEC_UD, 0x1003); /* cmp */
	assert_fault(STEP("\xf0\x90"), VEC_UD, 0x1003);
}

static void opcodes_that_left_64_bit_mode_are_ud_there_only(void **state)
{
	static const char gone[][2] = {
	    "\x06", "\x27", "\x2f", "\x37", "\x3f", "\x60", "\x61", "\x82", "\x9a", "\xce", "\xd4", "\xd6", "\xea"};

	(void)state;
	start_64();
	for (unsigned k = 0; k < ARRAY_LEN(gone); k++)
		assert_fault(step_bytes(gone[k], 1), VEC_UD, 0x1000);
	start_32();
	assert_int_equal(STEP("\x37"), X86_OK);
	assert_int_equal(STEP("\x40"), X86_OK); /* inc eax, a REX prefix there */
	assert_int_equal(c->s.rip, 0x1002);
}

static void instructions_of_protection_are_ud_in_real_mode(void **state)
{
	static const char code[][4] = {"\x0f\x00\xc0", "\x0f\x00\xc8", "\x0f\x00\xd0", "\x0f\x00\xd8", "\x0f\x00\xe0",
	    "\x0f\x00\xe8", "\x0f\x02\xc0", "\x0f\x03\xc0", "\x63\xc0"};

	(void)state;
	start_real();
	for (unsigned k = 0; k < ARRAY_LEN(code); k++)
		assert_fault(step_bytes(code[k], 3), VEC_UD, 0x1000);
}

static void an_instruction_longer_than_15_bytes_is_gp(void **state)
{
	(void)state;
	start_32();
	assert_int_equal(STEP("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), X86_OK);
	assert_int_equal(c->s.rip, 0x100f);
	assert_fault(STEP("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), VEC_GP, 0x100f);
}

static void code_runs_across_a_page_and_not_across_the_limit(void **state)
{
	(void)state;
	start_32();
	c->s.rip = 0x1ffd;
	assert_int_equal(STEP("\xb8\x78\x56\x34\x12"), X86_OK); /* mov eax, imm32 */
	assert_int_equal(c->s.gpr[X86_RAX], 0x12345678);
	c->s.rip = 0x1ffd;
	c->s.seg[X86_CS].limit = 0x2000;
	c->s.seg[X86_CS].attr = 0x409b;
	x86_state_changed(c);
	assert_fault(x86_step(c), VEC_GP, 0x1ffd);
	c->s.rip = 0x2001;
	assert_fault(x86_step(c), VEC_GP, 0x2001);
}

/* --- single step --- */

static void tf_traps_after_the_instruction_and_after_each_iteration(void **state)
{
	(void)state;
	start_32();
	x86_flags_write(c, FLAG_R1 | FLAG_TF);
	assert_fault(STEP("\x90"), VEC_DB, 0x1001);
	assert_int_equal(c->insns, 1);
	c->s.gpr[X86_RDI] = 0x3000;
	c->s.gpr[X86_RCX] = 2;
	assert_fault(STEP("\xf3\xaa"), VEC_DB, 0x1001);
	assert_int_equal(c->s.gpr[X86_RCX], 1);
	assert_fault(STEP("\xf3\xaa"), VEC_DB, 0x1003);
	assert_int_equal(c->s.gpr[X86_RCX], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_16_bit_address_wraps_at_64k),
	    cmocka_unit_test(bp_addresses_the_stack_segment),
	    cmocka_unit_test(an_access_beyond_the_segment_limit_is_gp_and_changes_nothing),
	    cmocka_unit_test(address_size_prefix_uses_32_bit_forms_in_real_mode),
	    cmocka_unit_test(xlat_takes_a_segment_override),
	    cmocka_unit_test(moffs_has_the_address_size),
	    cmocka_unit_test(push_sp_pushes_the_old_value),
	    cmocka_unit_test(pusha_and_popa_skip_sp),
	    cmocka_unit_test(a_16_bit_stack_keeps_the_upper_half_of_esp),
	    cmocka_unit_test(pop_to_memory_addresses_with_the_incremented_pointer),
	    cmocka_unit_test(pop_to_memory_restarts_when_the_store_faults),
	    cmocka_unit_test(enter_copies_the_display),
	    cmocka_unit_test(enter_on_a_16_bit_stack_keeps_the_upper_half),
	    cmocka_unit_test(a_call_pushes_the_next_instruction_and_ret_n_drops_arguments),
	    cmocka_unit_test(a_jump_beyond_the_limit_is_gp_at_the_jump),
	    cmocka_unit_test(a_call_whose_push_faults_does_not_move_rip),
	    cmocka_unit_test(operand_size_16_cuts_the_target),
	    cmocka_unit_test(a_non_canonical_return_is_gp),
	    cmocka_unit_test(loop_counts_in_the_address_size),
	    cmocka_unit_test(loopz_looks_at_zf_and_leaves_it),
	    cmocka_unit_test(every_condition_agrees_with_setcc_and_with_its_definition),
	    cmocka_unit_test(a_division_that_overflows_is_de_and_changes_nothing),
	    cmocka_unit_test(bound_is_br_outside_the_range),
	    cmocka_unit_test(lock_is_ud_where_it_is_not_allowed),
	    cmocka_unit_test(opcodes_that_left_64_bit_mode_are_ud_there_only),
	    cmocka_unit_test(instructions_of_protection_are_ud_in_real_mode),
	    cmocka_unit_test(an_instruction_longer_than_15_bytes_is_gp),
	    cmocka_unit_test(code_runs_across_a_page_and_not_across_the_limit),
	    cmocka_unit_test(tf_traps_after_the_instruction_and_after_each_iteration),
	};

	return cmocka_run_group_tests(tests, exec_setup, exec_teardown);
}
