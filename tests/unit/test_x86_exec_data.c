/* Execution as in test_x86_exec.c: decimal arithmetic, strings, x87 and SSE state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/x86_exec_fixture.h"

/* --- decimal arithmetic --- */

static unsigned bcd(unsigned n)
{
	return (n / 10 % 10) << 4 | n % 10;
}

static void packed_decimal_sums_and_differences_are_right(void **state)
{
	(void)state;
	start_32();
	for (unsigned a = 0; a < 100; a++) {
		for (unsigned b = 0; b < 100; b++) {
			c->s.rip = 0x1000;
			c->s.gpr[X86_RAX] = bcd(a);
			c->s.gpr[X86_RCX] = bcd(b);
			assert_int_equal(STEP("\x00\xc8"), X86_OK); /* add al, cl */
			assert_int_equal(STEP("\x27"), X86_OK);	    /* daa */
			assert_int_equal(c->s.gpr[X86_RAX], bcd((a + b) % 100));
			assert_int_equal(!!(flags() & FLAG_CF), a + b >= 100);
			assert_int_equal(!!(flags() & FLAG_ZF), (a + b) % 100 == 0);
			c->s.gpr[X86_RAX] = bcd(a);
			assert_int_equal(STEP("\x28\xc8"), X86_OK); /* sub al, cl */
			assert_int_equal(STEP("\x2f"), X86_OK);	    /* das */
			assert_int_equal(c->s.gpr[X86_RAX], bcd((100 + a - b) % 100));
			assert_int_equal(!!(flags() & FLAG_CF), a < b);
		}
	}
}

static void unpacked_decimal_digits_are_right(void **state)
{
	(void)state;
	start_32();
	for (unsigned a = 0; a < 10; a++) {
		for (unsigned b = 0; b < 10; b++) {
			unsigned sum = a + b, diff = 10 + a - b;

			c->s.rip = 0x1000;
			c->s.gpr[X86_RAX] = 0x300 | a;
			c->s.gpr[X86_RCX] = b;
			STEP("\x00\xc8");			/* add al, cl */
			assert_int_equal(STEP("\x37"), X86_OK); /* aaa */
			assert_int_equal(c->s.gpr[X86_RAX], (3 + sum / 10) << 8 | sum % 10);
			assert_int_equal(flags() & (FLAG_CF | FLAG_AF), sum > 9 ? FLAG_CF | FLAG_AF : 0);
			c->s.gpr[X86_RAX] = 0x300 | a;
			STEP("\x28\xc8");			/* sub al, cl */
			assert_int_equal(STEP("\x3f"), X86_OK); /* aas */
			assert_int_equal(c->s.gpr[X86_RAX], (a < b ? 2 : 3) << 8 | diff % 10);
			assert_int_equal(flags() & (FLAG_CF | FLAG_AF), a < b ? FLAG_CF | FLAG_AF : 0);
			c->s.gpr[X86_RAX] = a * b;
			assert_int_equal(STEP("\xd4\x0a"), X86_OK); /* aam */
			assert_int_equal(c->s.gpr[X86_RAX], (a * b / 10) << 8 | a * b % 10);
			assert_int_equal(STEP("\xd5\x0a"), X86_OK); /* aad */
			assert_int_equal(c->s.gpr[X86_RAX], a * b);
		}
	}
	assert_fault(STEP("\xd4\x00"), VEC_DE, c->s.rip); /* aam 0 */
}

static void salc_copies_carry_to_al(void **state)
{
	(void)state;
	start_real();
	x86_flags_write(c, FLAG_R1 | FLAG_CF);
	c->s.gpr[X86_RAX] = 0x1200;
	assert_int_equal(STEP("\xd6"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RAX], 0x12ff);
	assert_int_equal(flags(), FLAG_R1 | FLAG_CF);
}

/* --- strings --- */

static void rep_movs_propagates_when_it_overlaps_upward(void **state)
{
	(void)state;
	start_32();
	x86_fix_poke(fix, 0x3000, 2, 0x0201);
	c->s.gpr[X86_RSI] = 0x3000;
	c->s.gpr[X86_RDI] = 0x3002;
	c->s.gpr[X86_RCX] = 5000;
	assert_int_equal(STEP("\xf3\xa4"), X86_OK);
	while (c->s.gpr[X86_RCX])
		assert_int_equal(x86_step(c), X86_OK);
	assert_int_equal(c->s.rip, 0x1002);
	for (unsigned k = 0; k < 5002; k++)
		assert_int_equal(fix->ram[0x3000 + k], 1 + (k & 1));
	assert_int_equal(fix->ram[0x3000 + 5002], 0);
	assert_int_equal(c->s.gpr[X86_RSI], 0x3000 + 5000);
	assert_int_equal(c->insns, 5000);
}

static void rep_stops_at_the_budget_with_rip_on_itself(void **state)
{
	(void)state;
	start_32();
	c->s.gpr[X86_RDI] = 0x3000;
	c->s.gpr[X86_RCX] = 100;
	c->s.gpr[X86_RAX] = 0xa5a5a5a5;
	c->budget = 40;
	assert_int_equal(STEP("\xf3\xab"), X86_OK);
	assert_int_equal(c->s.rip, 0x1000);
	assert_int_equal(c->s.gpr[X86_RCX], 60);
	assert_int_equal(c->s.gpr[X86_RDI], 0x3000 + 160);
	assert_int_equal(c->insns, 40);
	assert_int_equal(c->budget, 0);
	c->budget = 1000;
	assert_int_equal(x86_step(c), X86_OK);
	assert_int_equal(c->s.rip, 0x1002);
	assert_int_equal(c->insns, 100);
	assert_int_equal(c->budget, 940);
	assert_int_equal(x86_fix_peek(fix, 0x3000 + 396, 8), 0xa5a5a5a5);
}

static void rep_with_count_zero_is_one_instruction(void **state)
{
	(void)state;
	start_32();
	assert_int_equal(STEP("\xf3\xa4"), X86_OK);
	assert_int_equal(c->s.rip, 0x1002);
	assert_int_equal(c->insns, 1);
}

static void rep_that_faults_keeps_what_is_done(void **state)
{
	(void)state;
	start_32();
	set_seg(X86_ES, 0, 0x300f, 0x4093);
	x86_state_changed(c);
	c->s.gpr[X86_RDI] = 0x3000;
	c->s.gpr[X86_RCX] = 10;
	assert_fault(STEP("\xf3\xab"), VEC_GP, 0x1000);
	assert_int_equal(c->s.gpr[X86_RCX], 6);
	assert_int_equal(c->s.gpr[X86_RDI], 0x3010);
	assert_int_equal(c->insns, 4);
}

static void string_addresses_wrap_at_64k_in_real_mode(void **state)
{
	(void)state;
	start_real();
	c->s.gpr[X86_RDI] = 0x5555fffc;
	c->s.gpr[X86_RCX] = 8;
	c->s.gpr[X86_RAX] = 0x99;
	assert_int_equal(STEP("\xf3\xaa"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RDI], 0x55550004);
	assert_int_equal(x86_fix_peek(fix, 0x2fffc, 4), 0x99999999);
	assert_int_equal(x86_fix_peek(fix, 0x20000, 4), 0x99999999);
	assert_int_equal(x86_fix_peek(fix, 0x30000, 4), 0);
}

static void repe_cmps_and_repne_scas_stop_at_the_difference(void **state)
{
	(void)state;
	start_32();
	memcpy(fix->ram + 0x3000, "virtual machine", 16);
	memcpy(fix->ram + 0x4000, "virtual monitor", 16);
	c->s.gpr[X86_RSI] = 0x3000;
	c->s.gpr[X86_RDI] = 0x4000;
	c->s.gpr[X86_RCX] = 15;
	assert_int_equal(STEP("\xf3\xa6"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RCX], 5);
	assert_int_equal(flags() & (FLAG_ZF | FLAG_CF), FLAG_CF); /* 'a' < 'o' */
	c->s.gpr[X86_RAX] = ' ';
	c->s.gpr[X86_RDI] = 0x4000;
	c->s.gpr[X86_RCX] = (uint32_t)-1;
	assert_int_equal(STEP("\xf2\xae"), X86_OK);
	assert_int_equal(c->s.gpr[X86_RDI], 0x4008);
	assert_int_equal(flags() & FLAG_ZF, FLAG_ZF);
	assert_int_equal(c->s.gpr[X86_RCX], (uint32_t)-9);
}

static void strings_go_down_when_df_is_set(void **state)
{
	(void)state;
	start_32();
	assert_int_equal(STEP("\xfd"), X86_OK);
	x86_fix_poke(fix, 0x3000, 8, 0x1111111122222222);
	c->s.gpr[X86_RSI] = 0x3004;
	c->s.gpr[X86_RDI] = 0x3008;
	c->s.gpr[X86_RCX] = 2;
	assert_int_equal(STEP("\xf3\xa5"), X86_OK);
	assert_int_equal(x86_fix_peek(fix, 0x3008, 4), 0x11111111);
	assert_int_equal(x86_fix_peek(fix, 0x3004, 4), 0x22222222);
	assert_int_equal(c->s.gpr[X86_RSI], 0x2ffc);
	assert_int_equal(c->s.gpr[X86_RDI], 0x3000);
}

/* --- x87 and SSE --- */

static void fninit_and_the_control_word_work(void **state)
{
	(void)state;
	start_32();
	memset(c->s.fxsave, 0xff, 24);
	assert_int_equal(STEP("\xdb\xe3"), X86_OK); /* fninit */
	assert_int_equal(STEP("\xd9\x3d\x00\x30\x00\x00"), X86_OK);
	assert_int_equal(x86_fix_peek(fix, 0x3000, 2), 0x37f);
	x86_fix_poke(fix, 0x3000, 2, 0x27f);
	assert_int_equal(STEP("\xd9\x2d\x00\x30\x00\x00"), X86_OK); /* fldcw */
	c->s.gpr[X86_RAX] = 0xffffffff;
	assert_int_equal(STEP("\xdf\xe0"), X86_OK); /* fnstsw ax */
	assert_int_equal(c->s.gpr[X86_RAX], 0xffff0000);
	assert_int_equal(STEP("\xd9\x3d\x04\x30\x00\x00"), X86_OK);
	assert_int_equal(x86_fix_peek(fix, 0x3004, 2), 0x27f | 0x40);
}

static void cr0_and_cr4_decide_who_may_compute(void **state)
{
	static const char addps[] = "\x0f\x58\xc1", fadd[] = "\xd8\xc1", paddb[] = "\x0f\xfc\xc1";

	(void)state;
	start_32();
	assert_int_equal(STEP("\xd8\xc1"), X86_OK);
	c->s.rip = 0x1000;
	assert_fault(step_bytes(addps, 3), VEC_UD, 0x1000); /* CR4.OSFXSR clear */
	c->s.cr4 |= CR4_OSFXSR;
	assert_int_equal(step_bytes(addps, 3), X86_OK);
	c->s.cr0 |= CR0_TS;
	assert_fault(step_bytes(addps, 3), VEC_NM, 0x1003);
	assert_fault(step_bytes(paddb, 3), VEC_NM, 0x1003);
	assert_fault(step_bytes(fadd, 2), VEC_NM, 0x1003);
	assert_int_equal(STEP("\x9b"), X86_OK); /* fwait: CR0.MP is clear */
	c->s.cr0 |= CR0_MP;
	assert_fault(STEP("\x9b"), VEC_NM, 0x1004);
	c->s.cr0 |= CR0_EM;
	assert_fault(step_bytes(addps, 3), VEC_UD, 0x1004);
	assert_fault(step_bytes(paddb, 3), VEC_UD, 0x1004);
	assert_fault(step_bytes(fadd, 2), VEC_NM, 0x1004);
}

static void fxsave_and_fxrstor_carry_the_state(void **state)
{
	(void)state;
	start_64();
	c->s.cr4 |= CR4_OSFXSR;
	for (unsigned k = 0; k < sizeof(c->s.fxsave); k++)
		c->s.fxsave[k] = (uint8_t)(k * 7);
	memset(c->s.fxsave + 24, 0, 8);
	for (unsigned r = 0; r < 8; r++) /* what is no part of a register */
		memset(c->s.fxsave + 32 + 16 * r + 10, 0, 6);
	memset(fix->ram + 0x3000, 0xee, 512);
	assert_int_equal(STEP("\x48\x0f\xae\x04\x25\x00\x30\x00\x00"), X86_OK);
	assert_memory_equal(fix->ram + 0x3000, c->s.fxsave, 24);
	assert_memory_equal(fix->ram + 0x3000 + 32, c->s.fxsave + 32, 416 - 32);
	assert_int_equal(x86_fix_peek(fix, 0x3000 + 28, 4), 0xffff); /* MXCSR_MASK */
	assert_int_equal(fix->ram[0x3000 + 464], 0xee);		     /* for software */
	memset(c->s.fxsave, 0, sizeof(c->s.fxsave));
	assert_int_equal(STEP("\x48\x0f\xae\x0c\x25\x00\x30\x00\x00"), X86_OK);
	assert_memory_equal(fix->ram + 0x3000 + 32, c->s.fxsave + 32, 416 - 32);
	assert_fault(STEP("\x0f\xae\x04\x25\x08\x30\x00\x00"), VEC_GP, 0x1012); /* not on 16 bytes */
	x86_fix_poke(fix, 0x3000 + 24, 4, 0x10000);
	assert_fault(STEP("\x0f\xae\x0c\x25\x00\x30\x00\x00"), VEC_GP, 0x1012); /* reserved MXCSR bit */
}

static void ldmxcsr_refuses_reserved_bits(void **state)
{
	(void)state;
	start_32();
	c->s.cr4 |= CR4_OSFXSR;
	x86_fix_poke(fix, 0x3000, 4, 0x1fa0);
	assert_int_equal(STEP("\x0f\xae\x15\x00\x30\x00\x00"), X86_OK);
	assert_int_equal(STEP("\x0f\xae\x1d\x04\x30\x00\x00"), X86_OK);
	assert_int_equal(x86_fix_peek(fix, 0x3004, 4), 0x1fa0);
	x86_fix_poke(fix, 0x3000, 4, 0x80001f80);
	assert_fault(STEP("\x0f\xae\x15\x00\x30\x00\x00"), VEC_GP, 0x100e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(packed_decimal_sums_and_differences_are_right),
	    cmocka_unit_test(unpacked_decimal_digits_are_right),
	    cmocka_unit_test(salc_copies_carry_to_al),
	    cmocka_unit_test(rep_movs_propagates_when_it_overlaps_upward),
	    cmocka_unit_test(rep_stops_at_the_budget_with_rip_on_itself),
	    cmocka_unit_test(rep_with_count_zero_is_one_instruction),
	    cmocka_unit_test(rep_that_faults_keeps_what_is_done),
	    cmocka_unit_test(string_addresses_wrap_at_64k_in_real_mode),
	    cmocka_unit_test(repe_cmps_and_repne_scas_stop_at_the_difference),
	    cmocka_unit_test(strings_go_down_when_df_is_set),
	    cmocka_unit_test(fninit_and_the_control_word_work),
	    cmocka_unit_test(cr0_and_cr4_decide_who_may_compute),
	    cmocka_unit_test(fxsave_and_fxrstor_carry_the_state),
	    cmocka_unit_test(ldmxcsr_refuses_reserved_bits),
	};

	return cmocka_run_group_tests(tests, exec_setup, exec_teardown);
}
