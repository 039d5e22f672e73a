/*
 * What the comparison with this processor cannot reach: the x87 unit in real-address and 16-bit protected mode, the
 * formats of the environment there, and faults that only the system can cause.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/x87.h"
#include "tests/x86_fixture.h"

static struct x86_fix *fix;

#define CODE(addr, bytes) x86_fix_code(fix, addr, bytes, sizeof(bytes) - 1)

static uint64_t peek(uint64_t at, unsigned n)
{
	return x86_fix_peek(fix, at, n);
}

/* fninit; fldcw [3000H]; fld1; three nops; fidiv word [3010H] at 600bH: 1/0 with ZE unmasked and an operand in memory,
 * so that all three pointers are written. */
static void unmasked_division(void)
{
	x86_fix_poke(fix, 0x3000, 2, 0x37b);
	x86_fix_poke(fix, 0x3010, 2, 0);
	CODE(0x6000, "\xdb\xe3\xd9\x2e\x00\x30\xd9\xe8\x90\x90\x90\xde\x36\x10\x30");
	assert_int_equal(x86_fix_run(fix, 7), X86_OK);
}

static void real_mode_has_linear_pointers_and_the_opcode_between(void **state)
{
	(void)state;
	x86_fix_reset(fix);
	x86_fix_real(fix);
	unmasked_division();
	CODE(0x7000, "\xd9\x36\x00\x40\x66\xd9\x36\x00\x50"); /* fnstenv [4000H] in 16-bit, [5000H] in 32-bit form */
	assert_int_equal(x86_fix_run(fix, 2), X86_OK);
	assert_int_equal(peek(0x4000, 2), 0x37b);
	assert_int_equal(peek(0x4002, 2), 0xb884); /* B, TOP = 7, ES, ZE */
	assert_int_equal(peek(0x4004, 2), 0x3fff); /* 1 in R7 */
	assert_int_equal(peek(0x4006, 2), 0x600b);
	assert_int_equal(peek(0x4008, 2), 0x636);
	assert_int_equal(peek(0x400a, 2), 0x3010);
	assert_int_equal(peek(0x400c, 2), 0);
	assert_int_equal(peek(0x5000, 4), 0xffff037f); /* the first one has masked everything */
	assert_int_equal(peek(0x5004, 4), 0xffff3804);
	assert_int_equal(peek(0x5008, 4), 0xffff3fff);
	assert_int_equal(peek(0x500c, 4), 0xffff600b);
	assert_int_equal(peek(0x5010, 4), 0x636);
	assert_int_equal(peek(0x5014, 4), 0xffff3010);
	assert_int_equal(peek(0x5018, 4), 0);
}

static void protected_16_bit_has_no_opcode(void **state)
{
	(void)state;
	x86_fix_reset(fix);
	x86_fix_prot(fix, 2, 0);
	fix->c->s.cr0 |= CR0_NE;
	unmasked_division();
	CODE(0x7000, "\xd9\x36\x00\x40\x66\xd9\x36\x00\x50");
	assert_int_equal(x86_fix_run(fix, 2), X86_OK);
	assert_int_equal(peek(0x4006, 2), 0x600b);
	assert_int_equal(peek(0x4008, 4), 0x30100000); /* no selector; data pointer */
	assert_int_equal(peek(0x400c, 2), 0);
	assert_int_equal(peek(0x500c, 4), 0x600b);
	assert_int_equal(peek(0x5010, 4), 0x6360000);
	assert_int_equal(peek(0x5014, 4), 0x3010);
	assert_int_equal(peek(0x5018, 4), 0xffff0000);
}

/* FNSAVE, then FRSTOR: the same state again, in every form. */
static void state_survives_a_round_trip(void **state)
{
	static const unsigned sizes[] = {2, 4};
	uint8_t before[512];

	(void)state;
	for (unsigned real = 0; real < 2; real++) {
		for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
			x86_fix_reset(fix);
			if (real)
				x86_fix_real(fix);
			else
				x86_fix_prot(fix, 2, 0);
			unmasked_division();
			CODE(0x6100, "\xdb\xe2\xd9\xeb\xd9\xee\xd9\xf7"); /* fnclex; fldpi; fldz; fincstp */
			assert_int_equal(x86_fix_run(fix, 4), X86_OK);
			memcpy(before, fix->c->s.fxsave, sizeof(before));
			if (sizes[k] == 2)
				CODE(0x7000, "\xdd\x36\x00\x40\xdd\x26\x00\x40");
			else
				CODE(0x7000, "\x66\xdd\x36\x00\x40\x66\xdd\x26\x00\x40");
			assert_int_equal(x86_fix_run(fix, 1), X86_OK);
			assert_int_equal(x87_word(fix->c, X87_FCW), 0x37f);
			assert_int_equal(x87_word(fix->c, X87_FSW), 0);
			assert_int_equal(fix->c->s.fxsave[X87_FTW], 0);
			assert_int_equal(x86_fix_run(fix, 1), X86_OK);
			if (!real && sizes[k] == 2)
				x87_word_set(fix->c, X87_FOP, x86_get(before + X87_FOP, 2) & 0x7ff);
			assert_memory_equal(fix->c->s.fxsave, before, 160);
		}
	}
}

static void pending_exceptions_are_reported_by_waiting_instructions(void **state)
{
	static const char *const waiting[] = {"\xd9\xe8", "\x9b\x90", "\xdd\xd8", "\xd9\xd0"};
	static const char *const silent[] = {"\xdf\xe0", "\xdb\xe1"};

	(void)state;
	x86_fix_reset(fix);
	x86_fix_prot(fix, 2, 0);
	fix->c->s.cr0 |= CR0_NE;
	unmasked_division();
	for (unsigned k = 0; k < ARRAY_LEN(waiting); k++) {
		x86_fix_code(fix, 0x7000, waiting[k], 2);
		assert_int_equal(x86_fix_run(fix, 1), X86_FAULT);
		assert_int_equal(fix->c->fault.vector, VEC_MF);
		assert_int_equal(fix->c->fault.has_error, 0);
		assert_int_equal(fix->c->s.rip, 0x7000);
	}
	for (unsigned k = 0; k < ARRAY_LEN(silent); k++) {
		x86_fix_code(fix, 0x7000, silent[k], 2);
		assert_int_equal(x86_fix_run(fix, 1), X86_OK);
	}
	assert_int_equal(fix->c->s.gpr[X86_RAX] & 0xffff, 0xb884);
	fix->c->s.cr0 &= ~(uint64_t)CR0_NE; /* as if IGNNE# were asserted */
	CODE(0x7000, "\xd9\xe8");
	assert_int_equal(x86_fix_run(fix, 1), X86_OK);
}

static void em_and_ts_are_device_not_available(void **state)
{
	static const uint32_t bits[] = {CR0_EM, CR0_TS, CR0_EM | CR0_TS};
	static const char *const codes[] = {
	    "\xd9\xe8", "\xdb\xe3", "\xdf\xe0", "\xd9\xd0", "\xdb\xe1", "\xd9\x37", "\xdd\x37", "\xd9\x2f"};

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(codes); k++) {
		for (unsigned b = 0; b < ARRAY_LEN(bits); b++) {
			x86_fix_reset(fix);
			x86_fix_prot(fix, 2, 0);
			fix->c->s.cr0 |= bits[b] | CR0_NE;
			x86_fix_code(fix, 0x7000, codes[k], 2);
			assert_int_equal(x86_fix_run(fix, 1), X86_FAULT);
			assert_int_equal(fix->c->fault.vector, VEC_NM);
		}
	}
}

/* FNINIT moves TOP to 0 and leaves the registers: what was ST(0) with TOP = 7 is in R7, now ST(7). */
static void fninit_keeps_the_registers(void **state)
{
	(void)state;
	x86_fix_reset(fix);
	x86_fix_prot(fix, 2, 0);
	CODE(0x7000, "\xdb\xe3\xd9\xe8\xdb\xe3");
	assert_int_equal(x86_fix_run(fix, 3), X86_OK);
	assert_int_equal(x87_get(fix->c, 7).se, 0x3fff);
	assert_int_equal(fix->c->s.fxsave[X87_FTW], 0);
}

/* An FNSAVE whose last byte lies beyond the segment writes nothing. */
static void a_store_beyond_the_limit_writes_nothing(void **state)
{
	uint8_t before[108];

	(void)state;
	x86_fix_reset(fix);
	x86_fix_prot(fix, 2, 0);
	fix->c->s.seg[X86_DS].limit = 0x4000 + 92;
	x86_state_changed(fix->c);
	memset(fix->ram + 0x4000, 0xee, sizeof(before));
	memcpy(before, fix->ram + 0x4000, sizeof(before));
	CODE(0x7000, "\xdd\x36\x00\x40");
	assert_int_equal(x86_fix_run(fix, 1), X86_FAULT);
	assert_int_equal(fix->c->fault.vector, VEC_GP);
	assert_memory_equal(fix->ram + 0x4000, before, sizeof(before));
	fix->c->s.seg[X86_DS].limit = 0x4000 + 93;
	x86_state_changed(fix->c);
	assert_int_equal(x86_fix_run(fix, 1), X86_OK);
}

static int setup(void **state)
{
	(void)state;
	fix = x86_fix_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	x86_fix_free(fix);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(real_mode_has_linear_pointers_and_the_opcode_between),
	    cmocka_unit_test(protected_16_bit_has_no_opcode),
	    cmocka_unit_test(state_survives_a_round_trip),
	    cmocka_unit_test(pending_exceptions_are_reported_by_waiting_instructions),
	    cmocka_unit_test(em_and_ts_are_device_not_available),
	    cmocka_unit_test(fninit_keeps_the_registers),
	    cmocka_unit_test(a_store_beyond_the_limit_writes_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
