/*
 * Laziness must not show: after any instruction, whatever reads or partly changes the flags gives the same result from
 * the lazy form as from a complete RFLAGS. (That the flags of one instruction are right is test_x86_native.c's part.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/exec.h"
#include "tests/x86_values.h"

static uint64_t value(void)
{
	uint64_t v = rng(), pick = rng() >> 60;

	if (pick < 4)
		return pick;
	if (pick < 8)
		return 1ull << (v & 63);
	return pick < 12 ? (uint64_t)(int64_t)(int8_t)v : v;
}

static void run(struct x86_cpu *c, const uint8_t *code, size_t n)
{
	struct x86_insn i;

	assert_int_equal(x86_decode(code, n, 8, X86_MODE_LONG64, &i), DECODE_OK);
	assert_int_equal(i.fn(c, &i), X86_OK);
}

/* Instructions on rax and rcx that set flags, by the last opcode bytes; 66, REX.W or nothing goes in front. */
static const uint8_t setters[][2] = {{0x01, 0xc8}, {0x11, 0xc8}, {0x19, 0xc8}, {0x21, 0xc8}, {0x29, 0xc8}, {0x39, 0xc8},
    {0x85, 0xc8}, {0x00, 0xc8}, {0x10, 0xc8}, {0x18, 0xc8}, {0x28, 0xc8}, {0x38, 0xc8}, {0xff, 0xc0}, {0xff, 0xc8},
    {0xfe, 0xc0}, {0xf7, 0xd8}, {0xd1, 0xe0}, {0xd3, 0xe8}, {0xd3, 0xf8}, {0xd1, 0xd0}, {0xd3, 0xc8}, {0xf7, 0xe1}};

static size_t random_setter(uint8_t code[3])
{
	unsigned k = (unsigned)(rng() >> 40) % ARRAY_LEN(setters), prefix = (unsigned)(rng() >> 50) % 3;
	size_t n = 0;

	if (prefix)
		code[n++] = prefix == 1 ? 0x66 : 0x48;
	code[n] = setters[k][0];
	code[n + 1] = setters[k][1];
	return n + 2;
}

static struct x86_cpu lazy, synced;

static void assert_same(void)
{
	assert_int_equal(x86_flags_get(&lazy), x86_flags_get(&synced));
	assert_memory_equal(lazy.s.gpr, synced.s.gpr, sizeof(lazy.s.gpr));
	for (unsigned cond = 0; cond < 16; cond++)
		assert_int_equal(x86_cond(&lazy, cond), x86_cond(&synced, cond));
	assert_int_equal(x86_cf(&lazy), x86_cf(&synced));
	assert_int_equal(x86_of(&lazy), x86_of(&synced));
	assert_int_equal(x86_zf(&lazy), x86_zf(&synced));
	assert_int_equal(x86_sf(&lazy), x86_sf(&synced));
	assert_int_equal(x86_pf(&lazy), x86_pf(&synced));
	assert_int_equal(x86_af(&lazy), x86_af(&synced));
}

static void chains_of_instructions_leave_the_same_flags_with_and_without_laziness(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		memset(&lazy.s, 0, sizeof(lazy.s));
		x86_flags_write(&lazy, FLAG_R1 | (rng() & (FLAGS_STATUS | FLAG_DF)));
		synced.s = lazy.s;
		x86_flags_write(&synced, lazy.s.rflags);
		for (unsigned step = 0; step < 12; step++) {
			uint8_t code[4];
			size_t n = random_setter(code);

			lazy.s.gpr[X86_RAX] = synced.s.gpr[X86_RAX] = value();
			lazy.s.gpr[X86_RCX] = synced.s.gpr[X86_RCX] = value();
			run(&lazy, code, n);
			run(&synced, code, n);
			x86_flags_sync(&synced);
			assert_int_equal(synced.lazy.op, LAZY_NONE);
			assert_same();
		}
	}
}

/* CMC, STC, CLC, BT, LAHF and SAHF touch some flags and must keep the others. */
static void partial_updates_keep_the_other_flags(void **state)
{
	static const uint8_t partial[][4] = {{0xf5}, {0xf9}, {0xf8}, {0x9f}, {0x9e}, {0x0f, 0xba, 0xe1, 0x05}};
	static const size_t length[] = {1, 1, 1, 1, 1, 4};

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		unsigned k = round % ARRAY_LEN(partial);
		uint8_t code[4];
		size_t n = random_setter(code);

		memset(&lazy.s, 0, sizeof(lazy.s));
		x86_flags_write(&lazy, FLAG_R1);
		lazy.s.gpr[X86_RAX] = value();
		lazy.s.gpr[X86_RCX] = value();
		run(&lazy, code, n);
		synced.s = lazy.s;
		x86_flags_write(&synced, x86_flags_get(&lazy));
		run(&lazy, partial[k], length[k]);
		run(&synced, partial[k], length[k]);
		assert_same();
	}
}

static void writing_rflags_drops_what_was_noted(void **state)
{
	static const uint8_t cmp[] = {0x39, 0xc0};

	(void)state;
	memset(&lazy.s, 0, sizeof(lazy.s));
	x86_flags_write(&lazy, FLAG_R1);
	run(&lazy, cmp, sizeof(cmp));
	assert_int_equal(x86_flags_get(&lazy), FLAG_R1 | FLAG_ZF | FLAG_PF);
	x86_flags_write(&lazy, FLAG_R1 | FLAG_CF);
	assert_int_equal(x86_flags_get(&lazy), FLAG_R1 | FLAG_CF);
	assert_false(x86_zf(&lazy));
	x86_flags_update(&lazy, FLAG_ZF | FLAG_CF, FLAG_ZF);
	assert_int_equal(x86_flags_get(&lazy), FLAG_R1 | FLAG_ZF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chains_of_instructions_leave_the_same_flags_with_and_without_laziness),
	    cmocka_unit_test(partial_updates_keep_the_other_flags),
	    cmocka_unit_test(writing_rflags_drops_what_was_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
