/*
 * When the page-directory-pointer-table entries are loaded under PAE paging [SDM 3A "PDPTE Registers"]: MOV CR3, and a
 * MOV to CR0 or CR4 that changes one of certain bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/x86_fixture.h"

#define TABLE 0x1000u
#define OLD 0x2001u
#define NEW 0x3001u
#define RESERVED 0x3003u /* bit 1 */

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

/* PAE paging, caches off, with OLD loaded and first in the table now. */
static void pae(struct x86_fix *f, uint64_t first)
{
	x86_fix_reset(f);
	x86_fix_prot(f, 4, 0);
	x86_fix_poke(f, TABLE, 8, OLD);
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE), X86_OK);
	assert_int_equal(x86_set_cr3(f->c, TABLE), X86_OK);
	assert_int_equal(x86_set_cr0(f->c, CR0_PG | CR0_PE | CR0_NE | CR0_ET | CR0_CD), X86_OK);
	assert_int_equal(f->c->s.pdpte[0], OLD);
	x86_fix_poke(f, TABLE, 8, first);
}

static void the_cache_bits_of_cr0_load_them(void **state)
{
	static const uint64_t changes[] = {CR0_CD, CR0_NW};
	struct x86_fix *f = *state;

	for (unsigned k = 0; k < 2; k++) {
		pae(f, NEW);
		assert_int_equal(x86_set_cr0(f->c, f->c->s.cr0 ^ changes[k]), X86_OK);
		assert_int_equal(f->c->s.pdpte[0], NEW);
	}
}

static void other_bits_of_cr0_do_not(void **state)
{
	static const uint64_t changes[] = {CR0_WP, CR0_MP, CR0_EM, CR0_TS, CR0_NE, CR0_AM};
	struct x86_fix *f = *state;

	pae(f, NEW);
	for (unsigned k = 0; k < ARRAY_LEN(changes); k++) {
		assert_int_equal(x86_set_cr0(f->c, f->c->s.cr0 ^ changes[k]), X86_OK);
		assert_int_equal(f->c->s.pdpte[0], OLD);
	}
}

static void a_bad_one_is_gp_and_nothing_changes(void **state)
{
	struct x86_fix *f = *state;

	pae(f, RESERVED);
	uint64_t cr0 = f->c->s.cr0;

	assert_int_equal(x86_set_cr0(f->c, cr0 & ~(uint64_t)CR0_CD), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_GP);
	assert_int_equal(f->c->fault.error, 0);
	assert_int_equal(f->c->s.cr0, cr0);
	assert_int_equal(f->c->s.pdpte[0], OLD);
}

/* With paging off, or in IA-32e mode, there are none to load. */
static void without_pae_paging_the_table_is_not_looked_at(void **state)
{
	struct x86_fix *f = *state;

	pae(f, RESERVED);
	f->c->s.cr0 &= ~(uint64_t)CR0_PG;
	x86_state_changed(f->c);
	assert_int_equal(x86_set_cr0(f->c, f->c->s.cr0 ^ CR0_CD), X86_OK);
	x86_fix_reset(f);
	x86_fix_long(f, 0);
	x86_fix_poke(f, f->c->s.cr3, 8, x86_fix_peek(f, f->c->s.cr3, 8) | RESERVED);
	f->c->s.cr0 &= ~(uint64_t)(CR0_CD | CR0_NW);
	assert_int_equal(x86_set_cr0(f->c, f->c->s.cr0 | CR0_CD), X86_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_cache_bits_of_cr0_load_them),
	    cmocka_unit_test(other_bits_of_cr0_do_not),
	    cmocka_unit_test(a_bad_one_is_gp_and_nothing_changes),
	    cmocka_unit_test(without_pae_paging_the_table_is_not_looked_at),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
