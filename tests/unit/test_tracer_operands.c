/* Which memory an instruction touches: addresses worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tracer/operands.h"

static struct x86_state s;
static struct operand_memory m[OPERANDS_MAX];

static unsigned look(unsigned bits, const char *code, size_t n)
{
	memset(m, 0, sizeof m);
	return operands_memory(&s, bits, (const uint8_t *)code, n, m);
}
#define LOOK(bits, code) look(bits, code, sizeof(code) - 1)

static void registers(void)
{
	memset(&s, 0, sizeof s);
	s.rip = 0x100000;
	for (unsigned i = 0; i < 16; i++)
		s.gpr[i] = 0x1000u * (i + 1);
	s.gpr[X86_RSP] = 0x9000;
	s.seg[X86_FS].base = 0x700000;
	s.seg[X86_DS].base = 0x50000;
	s.seg[X86_SS].base = 0x60000;
}

static void an_address_is_made_of_base_index_displacement_and_segment(void **state)
{
	(void)state;
	registers();
	/* mov rax, [rbx+rsi*4+8] */
	assert_int_equal(LOOK(64, "\x48\x8b\x44\xb3\x08"), 1);
	assert_int_equal(m[0].gva, 0x4000 + 0x7000 * 4 + 8);
	assert_int_equal(m[0].size, 8);
	assert_true(m[0].read && !m[0].write && !m[0].stack);
	/* mov fs:[rdi], eax; rip-relative: add [rip+0x10], cl */
	assert_int_equal(LOOK(64, "\x64\x89\x07"), 1);
	assert_int_equal(m[0].gva, 0x708000);
	assert_true(m[0].write && !m[0].read);
	assert_int_equal(LOOK(64, "\x00\x0d\x10\x00\x00\x00"), 1);
	assert_int_equal(m[0].gva, 0x100016);
	assert_true(m[0].read && m[0].write);
	/* 16 bits, segment bases count: mov [bx+si-2], al wraps at 64 KiB */
	s.gpr[X86_RBX] = 0xfffe;
	s.gpr[X86_RSI] = 5;
	assert_int_equal(LOOK(16, "\x88\x40\xfe"), 1);
	assert_int_equal(m[0].gva, 0x50001);
}

static void pushes_pops_and_strings_have_implied_operands(void **state)
{
	(void)state;
	registers();
	assert_int_equal(LOOK(64, "\x50"), 1); /* push rax */
	assert_true(m[0].write && m[0].stack);
	assert_int_equal(m[0].gva, 0x8ff8);
	assert_int_equal(LOOK(64, "\xc3"), 1); /* ret */
	assert_true(m[0].read && m[0].stack);
	assert_int_equal(m[0].gva, 0x9000);
	assert_int_equal(LOOK(16, "\x50"), 1); /* push ax */
	assert_int_equal(m[0].gva, 0x68ffe);
	assert_int_equal(LOOK(64, "\xa4"), 2); /* movsb */
	assert_true(m[0].write != m[1].write);
	assert_int_equal(m[m[0].write ? 0 : 1].gva, 0x8000);
	assert_int_equal(m[m[0].write ? 1 : 0].gva, 0x7000);
}

static void what_touches_no_memory_has_no_operands(void **state)
{
	(void)state;
	registers();
	assert_int_equal(LOOK(64, "\x48\x8d\x03"), 0); /* lea */
	assert_int_equal(LOOK(64, "\x90"), 0);
	assert_int_equal(LOOK(64, "\x06"), 0); /* no instruction */
	assert_int_equal(LOOK(64, ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_is_made_of_base_index_displacement_and_segment),
	    cmocka_unit_test(pushes_pops_and_strings_have_implied_operands),
	    cmocka_unit_test(what_touches_no_memory_has_no_operands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
