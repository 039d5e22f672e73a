/* Descriptor loads, segment limits and types, alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/segment.h"
#include "tests/x86_fixture.h"

#define NO_FAULT 0x100u

/* What loading sel into sreg raises. */
static void check_load(struct x86_fix *f, unsigned sreg, uint16_t sel, unsigned vector, unsigned error)
{
	struct x86_state before = f->c->s;
	enum x86_rc rc = x86_load_sreg(f->c, sreg, sel);

	if (vector == NO_FAULT) {
		assert_int_equal(rc, X86_OK);
		assert_int_equal(f->c->s.seg[sreg].sel, sel);
		return;
	}
	assert_int_equal(rc, X86_FAULT);
	assert_int_equal(f->c->fault.vector, vector);
	assert_int_equal(f->c->fault.error, error);
	assert_memory_equal(&before, &f->c->s, sizeof before);
}

static void data_segments_are_checked_as_the_manual_says(void **state)
{
	static const struct {
		unsigned cpl, sreg;
		uint16_t sel;
		unsigned vector, error;
	} rows[] = {
	    {0, X86_DS, SEL_DATA0, NO_FAULT, 0},
	    {0, X86_DS, 0, NO_FAULT, 0},
	    {0, X86_DS, 3, NO_FAULT, 0},
	    {0, X86_ES, SEL_DATA3 | 3, NO_FAULT, 0},
	    {0, X86_ES, SEL_DATA0 | 3, VEC_GP, SEL_DATA0}, /* RPL > DPL */
	    {0, X86_ES, SEL_CODE0, NO_FAULT, 0},
	    {0, X86_ES, SEL_EXEC_ONLY0, VEC_GP, SEL_EXEC_ONLY0},
	    {0, X86_FS, SEL_CONFORMING0 | 3, NO_FAULT, 0},
	    {0, X86_FS, SEL_TSS, VEC_GP, SEL_TSS},
	    {0, X86_GS, SEL_NOT_PRESENT0, VEC_NP, SEL_NOT_PRESENT0},
	    {0, X86_GS, 0x100, VEC_GP, 0x100},
	    {0, X86_GS, 0x0c, VEC_GP, 0x0c}, /* no LDT */
	    {3, X86_DS, SEL_DATA0, VEC_GP, SEL_DATA0},
	    {3, X86_DS, SEL_DATA3, NO_FAULT, 0},
	    {3, X86_DS, SEL_CONFORMING0 | 3, NO_FAULT, 0},
	    {0, X86_SS, SEL_DATA0, NO_FAULT, 0},
	    {0, X86_SS, 0, VEC_GP, 0},
	    {0, X86_SS, SEL_DATA0 | 3, VEC_GP, SEL_DATA0},
	    {0, X86_SS, SEL_DATA3 | 3, VEC_GP, SEL_DATA3},
	    {0, X86_SS, SEL_READ_ONLY0, VEC_GP, SEL_READ_ONLY0},
	    {0, X86_SS, SEL_CODE0, VEC_GP, SEL_CODE0},
	    {0, X86_SS, SEL_NOT_PRESENT0, VEC_SS, SEL_NOT_PRESENT0},
	    {3, X86_SS, SEL_DATA3 | 3, NO_FAULT, 0},
	};
	struct x86_fix *f = *state;

	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		x86_fix_reset(f);
		x86_fix_prot(f, 4, rows[n].cpl);
		x86_fix_tables(f);
		check_load(f, rows[n].sreg, rows[n].sel, rows[n].vector, rows[n].error);
	}
}

static void null_ss_is_for_64_bit_kernels_only(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_long(f, 0);
	x86_fix_tables(f);
	check_load(f, X86_SS, 0, NO_FAULT, 0);
	assert_int_equal(f->c->cpl, 0);
	check_load(f, X86_SS, 3, VEC_GP, 0);
	x86_fix_reset(f);
	x86_fix_long(f, 3);
	x86_fix_tables(f);
	check_load(f, X86_SS, 3, VEC_GP, 0);
}

static void loading_sets_the_accessed_bit(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0x12345678, 0xabcde, 0x4092);
	check_load(f, X86_ES, SEL_FREE, NO_FAULT, 0);
	assert_int_equal(x86_fix_peek(f, X86_FIX_GDT + SEL_FREE + 5, 1), 0x93);
	assert_int_equal(f->c->s.seg[X86_ES].base, 0x12345678);
	assert_int_equal(f->c->s.seg[X86_ES].limit, 0xabcde);
	assert_int_equal(f->c->s.seg[X86_ES].attr, 0x4093);
}

static void limits_are_inclusive_and_expand_down_is_the_complement(void **state)
{
	static const struct {
		uint32_t limit, attr;
		uint64_t off;
		unsigned size;
		bool ok;
	} rows[] = {
	    {0x0fff, 0x4093, 0x0ffc, 4, true},
	    {0x0fff, 0x4093, 0x0ffd, 4, false},
	    {0x0fff, 0x4093, 0x0fff, 1, true},
	    {0x0fff, 0x4093, 0xffffffff, 2, false},
	    {0x0fff, 0x4097, 0x0fff, 1, false}, /* expand-down, 32-bit */
	    {0x0fff, 0x4097, 0x1000, 1, true},
	    {0x0fff, 0x4097, 0xfffffffc, 4, true},
	    {0x0fff, 0x4097, 0xfffffffd, 4, false},
	    {0x0fff, 0x0097, 0xfffe, 2, true}, /* 16-bit: up to FFFFH */
	    {0x0fff, 0x0097, 0xffff, 2, false},
	    {0x0fff, 0x0097, 0x10000, 1, false},
	};
	struct x86_fix *f = *state;
	gva_t la;

	x86_fix_prot(f, 4, 0);
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		f->c->s.seg[X86_ES].limit = rows[n].limit;
		f->c->s.seg[X86_ES].attr = rows[n].attr;
		x86_state_changed(f->c);
		assert_int_equal(x86_linear(f->c, X86_ES, rows[n].off, rows[n].size, X86_ACCESS_READ, &la),
		    rows[n].ok ? X86_OK : X86_FAULT);
	}
	assert_int_equal(f->c->fault.vector, VEC_GP);
	f->c->s.seg[X86_SS].limit = 0xfff;
	x86_state_changed(f->c);
	assert_int_equal(x86_linear(f->c, X86_SS, 0x1000, 1, X86_ACCESS_READ, &la), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_SS);
}

static void types_forbid_writing_code_and_reading_execute_only(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	assert_int_equal(x86_store(f->c, X86_CS, 0x5000, 1, 0), X86_FAULT);
	assert_int_equal(x86_load(f->c, X86_CS, 0x5000, 1, &v), X86_OK);
	check_load(f, X86_DS, SEL_READ_ONLY0, NO_FAULT, 0);
	assert_int_equal(x86_store(f->c, X86_DS, 0x5000, 1, 0), X86_FAULT);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 1, &v), X86_OK);
	check_load(f, X86_DS, 0, NO_FAULT, 0);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 1, &v), X86_FAULT);
	f->c->s.seg[X86_CS].attr &= ~2u;
	x86_state_changed(f->c);
	assert_int_equal(x86_load(f->c, X86_CS, 0x5000, 1, &v), X86_FAULT);
}

static void alignment_is_checked_at_cpl_3_with_am_and_ac_only(void **state)
{
	struct x86_fix *f = *state;

	for (unsigned n = 0; n < 8; n++) {
		uint64_t v;

		x86_fix_reset(f);
		x86_fix_prot(f, 4, n & 1 ? 3 : 0);
		f->c->s.cr0 |= n & 2 ? CR0_AM : 0;
		f->c->s.rflags |= n & 4 ? FLAG_AC : 0;
		x86_state_changed(f->c);
		assert_int_equal(x86_load(f->c, X86_DS, 0x5001, 4, &v), n == 7 ? X86_FAULT : X86_OK);
		assert_int_equal(x86_load(f->c, X86_DS, 0x5004, 4, &v), X86_OK);
	}
	assert_int_equal(f->c->fault.vector, VEC_AC);
	assert_true(f->c->fault.has_error);
}

#define T(name) cmocka_unit_test_setup_teardown(name, x86_fix_setup, x86_fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(data_segments_are_checked_as_the_manual_says),
	    T(null_ss_is_for_64_bit_kernels_only),
	    T(loading_sets_the_accessed_bit),
	    T(limits_are_inclusive_and_expand_down_is_the_complement),
	    T(types_forbid_writing_code_and_reading_execute_only),
	    T(alignment_is_checked_at_cpl_3_with_am_and_ac_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
