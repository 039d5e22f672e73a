/*
 * WRMSR to what describes memory types, and to IA32_MISC_ENABLE: reserved bits and undefined types are refused [SDM 3A
 * "IA32_MTRR_DEF_TYPE MSR"; SDM 3A "Variable Range MTRRs"; SDM 3A "IA32_PAT MSR"].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/x86_fixture.h"

#define PHYS_BASE 0x200u
#define FIX_64K 0x250u
#define PAT 0x277u
#define DEF_TYPE 0x2ffu
#define MISC_ENABLE 0x1a0u

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

/* A value that is taken can be read; one that is not leaves the old one. */
static bool takes(struct x86_fix *f, uint32_t msr, uint64_t v)
{
	uint64_t before, after;

	assert_true(x86_rdmsr(f->c, msr, &before));
	bool ok = x86_wrmsr(f->c, msr, v);

	assert_true(x86_rdmsr(f->c, msr, &after));
	assert_int_equal(after, ok ? v : before);
	return ok;
}

static bool mtrr_type(unsigned type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

static void only_memory_types_that_exist(void **state)
{
	static const uint32_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	struct x86_fix *f = *state;

	for (unsigned type = 0; type < 256; type++) {
		for (unsigned k = 0; k < ARRAY_LEN(fixed); k++)
			for (unsigned at = 0; at < 64; at += 8)
				assert_int_equal(takes(f, fixed[k], (uint64_t)type << at), mtrr_type(type));
		for (unsigned k = 0; k < 8; k++)
			assert_int_equal(takes(f, PHYS_BASE + 2 * k, 0xc0000000u | type), mtrr_type(type));
		assert_int_equal(takes(f, DEF_TYPE, 0xc00 | type), mtrr_type(type));
		assert_int_equal(takes(f, PAT, (uint64_t)type << 56), mtrr_type(type) || type == 7);
	}
}

/* Which single bits may be written. */
static uint64_t bits_of(struct x86_fix *f, uint32_t msr)
{
	uint64_t all = 0;

	for (unsigned n = 0; n < 64; n++)
		all |= takes(f, msr, 1ull << n) ? 1ull << n : 0;
	return all;
}

static void only_bits_that_are_not_reserved(void **state)
{
	const uint64_t page = 0xfffffff000ull; /* of a physical address of 40 bits */
	struct x86_fix *f = *state;

	for (unsigned k = 0; k < 8; k++) {
		assert_int_equal(bits_of(f, PHYS_BASE + 2 * k), page | 0x5);
		assert_int_equal(bits_of(f, PHYS_BASE + 2 * k + 1), page | 1u << 11);
	}
	assert_int_equal(bits_of(f, DEF_TYPE), 0xc05);
	assert_int_equal(bits_of(f, MISC_ENABLE), 0x400c50009ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_memory_types_that_exist),
	    cmocka_unit_test(only_bits_that_are_not_reserved),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
