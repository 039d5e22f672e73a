/* Protection keys: what they deny to data accesses, RDPKRU and WRPKRU. CPUID does not offer them; the CPU knows them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/paging.h"
#include "tests/x86_fixture.h"

#define CODE_AT 0x7000u
#define HIGH 0x200000u /* the second 2 MiB page, which has key 5 */

#define STEP(f, ...) step((f), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static enum x86_rc step(struct x86_fix *f, const uint8_t *code, size_t n)
{
	x86_fix_code(f, CODE_AT, code, n);
	return x86_step(f->c);
}

static void assert_fault(const struct x86_fix *f, enum x86_rc rc, unsigned vector, unsigned error)
{
	assert_int_equal(rc, X86_FAULT);
	assert_int_equal(f->c->fault.vector, vector);
	assert_int_equal(f->c->fault.error, error);
}

static void assert_page_fault(const struct x86_fix *f, enum x86_rc rc, uint64_t at, unsigned error)
{
	assert_fault(f, rc, VEC_PF, error);
	assert_int_equal(f->c->fault.cr2, at);
}

static void with_keys(struct x86_fix *f, unsigned cpl, uint32_t pkru)
{
	x86_fix_reset(f);
	x86_fix_long(f, cpl);
	x86_fix_tables(f);
	x86_fix_poke(f, 0x102008, 8, HIGH | 0x87 | 5ull << 59);
	f->c->s.cr4 |= CR4_PKE;
	f->c->s.pkru = pkru;
	x86_state_changed(f->c);
}

static enum x86_rc load_high(struct x86_fix *f)
{
	uint64_t v;

	return x86_load(f->c, X86_DS, HIGH, 4, &v);
}

static void protection_keys_deny_data_accesses_to_user_pages(void **state)
{
	const uint32_t access = 1u << 10, write = 2u << 10;
	struct x86_fix *f = *state;

	with_keys(f, 3, access);
	assert_page_fault(f, load_high(f), HIGH, PF_P | PF_U | PF_PK);
	assert_page_fault(f, x86_store(f->c, X86_DS, HIGH, 4, 0), HIGH, PF_P | PF_U | PF_W | PF_PK);
	f->c->s.rip = HIGH;
	x86_fix_poke(f, HIGH, 1, 0x90);
	assert_int_equal(x86_step(f->c), X86_OK); /* fetches are free */
	with_keys(f, 3, write);
	assert_int_equal(load_high(f), X86_OK);
	assert_page_fault(f, x86_store(f->c, X86_DS, HIGH, 4, 0), HIGH, PF_P | PF_U | PF_W | PF_PK);
	with_keys(f, 0, write);
	assert_int_equal(x86_store(f->c, X86_DS, HIGH, 4, 0), X86_OK); /* CR0.WP = 0 */
	f->c->s.cr0 |= CR0_WP;
	x86_state_changed(f->c);
	assert_page_fault(f, x86_store(f->c, X86_DS, HIGH, 4, 0), HIGH, PF_P | PF_W | PF_PK);
	with_keys(f, 0, access);
	x86_fix_poke(f, 0x102008, 8, HIGH | 0x83 | 5ull << 59); /* a supervisor page has no key that counts */
	assert_int_equal(load_high(f), X86_OK);
	with_keys(f, 3, access);
	f->c->s.cr4 &= ~(uint64_t)CR4_PKE;
	x86_state_changed(f->c);
	assert_int_equal(load_high(f), X86_OK);
}

static void wrpkru_takes_effect_at_once_and_has_its_rules(void **state)
{
	struct x86_fix *f = *state;

	with_keys(f, 3, 0);
	assert_int_equal(load_high(f), X86_OK);
	f->c->s.gpr[X86_RAX] = 0xffffffff00000400ull;
	f->c->s.gpr[X86_RCX] = f->c->s.gpr[X86_RDX] = 0;
	assert_int_equal(STEP(f, 0x0f, 0x01, 0xef), X86_OK);
	assert_page_fault(f, load_high(f), HIGH, PF_P | PF_U | PF_PK);
	f->c->s.gpr[X86_RAX] = f->c->s.gpr[X86_RDX] = ~0ull;
	f->c->s.gpr[X86_RCX] = 1ull << 32;
	assert_int_equal(STEP(f, 0x0f, 0x01, 0xee), X86_OK);
	assert_int_equal(f->c->s.gpr[X86_RAX], 0x400);
	assert_int_equal(f->c->s.gpr[X86_RDX], 0);
	f->c->s.gpr[X86_RDX] = 1;
	assert_fault(f, STEP(f, 0x0f, 0x01, 0xef), VEC_GP, 0);
	f->c->s.gpr[X86_RCX] = 1;
	assert_fault(f, STEP(f, 0x0f, 0x01, 0xee), VEC_GP, 0);
	assert_fault(f, STEP(f, 0x66, 0x0f, 0x01, 0xee), VEC_UD, 0);
	f->c->s.cr4 &= ~(uint64_t)CR4_PKE;
	assert_fault(f, STEP(f, 0x0f, 0x01, 0xee), VEC_UD, 0);
	assert_fault(f, STEP(f, 0x0f, 0x01, 0xef), VEC_UD, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, x86_fix_setup, x86_fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(protection_keys_deny_data_accesses_to_user_pages), T(wrpkru_takes_effect_at_once_and_has_its_rules)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
