/*
 * Between two iterations of a repeated instruction RF is set: whoever comes in between saves it, and a breakpoint on
 * the instruction is not hit again [SDM 3B "Instruction-Breakpoint Exception Condition"].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/x86_fixture.h"

#define CODE_AT 0x7000u
#define DATA 0x20000u
#define GATE 0x40u
#define ALL 100u
#define SOME 10u

static int setup(void **state)
{
	*state = x86_fix_new();
	return 0;
}

static int teardown(void **state)
{
	x86_fix_free(*state);
	return 0;
}

/* Places a repeated instruction, ALL times, and lets it do SOME iterations. */
static void begin(struct x86_fix *f, uint8_t opcode, uint64_t budget)
{
	const uint8_t code[] = {0xf3, opcode};

	x86_fix_reset(f);
	x86_fix_long(f, 0);
	x86_fix_tables(f);
	x86_fix_code(f, CODE_AT, code, sizeof(code));
	f->c->s.gpr[X86_RSI] = DATA;
	f->c->s.gpr[X86_RDI] = DATA + 0x1000;
	f->c->s.gpr[X86_RCX] = ALL;
	f->c->insns = 0;
	f->c->budget = budget;
	assert_int_equal(x86_step(f->c), X86_OK);
}

static void assert_between(const struct x86_fix *f, uint64_t done)
{
	assert_int_equal(f->c->s.gpr[X86_RCX], ALL - done);
	assert_int_equal(f->c->s.rip, CODE_AT);
	assert_int_equal(f->c->insns, done);
	assert_int_equal(f->c->s.rflags & FLAG_RF, FLAG_RF);
}

static void rf_is_set_until_the_last_iteration(void **state)
{
	static const uint8_t opcodes[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae}; /* MOVSB CMPSB STOSB LODSB SCASB */
	struct x86_fix *f = *state;

	for (unsigned k = 0; k < sizeof(opcodes); k++) {
		begin(f, opcodes[k], SOME);
		assert_between(f, SOME);
		f->c->budget = 1000;
		assert_int_equal(x86_step(f->c), X86_OK); /* and RF does not cut the rest into pieces */
		assert_int_equal(f->c->insns, ALL);
		assert_int_equal(f->c->budget, 1000 - (ALL - SOME));
		assert_int_equal(f->c->s.rip, CODE_AT + 2);
		assert_int_equal(f->c->s.rflags & FLAG_RF, 0);
	}
}

static void rf_is_set_between_two_ports(void **state)
{
	static const uint8_t opcodes[] = {0x6c, 0x6e}; /* INSB OUTSB */
	struct x86_fix *f = *state;

	for (unsigned k = 0; k < sizeof(opcodes); k++) {
		begin(f, opcodes[k], 1000);
		assert_between(f, 1);
		for (unsigned n = 2; n < ALL; n++) {
			assert_int_equal(x86_step(f->c), X86_OK);
			assert_between(f, n);
		}
		assert_int_equal(x86_step(f->c), X86_OK);
		assert_int_equal(f->c->s.rip, CODE_AT + 2);
		assert_int_equal(f->c->s.rflags & FLAG_RF, 0);
	}
}

/* CMPS and SCAS, cut in the middle, show the status flags of before: RF comes to these. */
static void a_comparison_keeps_its_flags(void **state)
{
	struct x86_fix *f = *state;

	begin(f, 0xa6, SOME);
	x86_flags_sync(f->c);
	assert_int_equal(f->c->s.rflags, FLAG_R1 | FLAG_RF);
}

static void an_interrupt_in_between_pushes_it(void **state)
{
	const struct x86_event ev = {.vector = GATE, .type = INTR_TYPE_EXTERNAL};
	struct x86_fix *f = *state;

	begin(f, 0xaa, SOME);
	x86_fix_idt(f, GATE, SEL_CODE0, 0x7800, 0x8e);
	assert_int_equal(x86_inject(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0x7800);
	assert_int_equal(f->c->s.rflags & FLAG_RF, 0);
	assert_int_equal(x86_fix_peek(f, f->c->s.gpr[X86_RSP], 8), CODE_AT);
	assert_int_equal(x86_fix_peek(f, f->c->s.gpr[X86_RSP] + 16, 8) & FLAG_RF, FLAG_RF);
}

static void a_breakpoint_is_hit_once(void **state)
{
	struct x86_fix *f = *state;

	begin(f, 0xaa, SOME);
	f->c->s.dr[0] = CODE_AT;
	f->c->s.dr7 |= 1;
	x86_state_changed(f->c);
	for (unsigned n = SOME + 1; n <= ALL; n++) {
		assert_int_equal(x86_step(f->c), X86_OK);
		assert_int_equal(f->c->insns, n);
	}
	f->c->s.rip = CODE_AT;
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_DB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rf_is_set_until_the_last_iteration),
	    cmocka_unit_test(rf_is_set_between_two_ports),
	    cmocka_unit_test(a_comparison_keeps_its_flags),
	    cmocka_unit_test(an_interrupt_in_between_pushes_it),
	    cmocka_unit_test(a_breakpoint_is_hit_once),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
