/* Process-context identifiers: CR4.PCIDE and its rules, bit 63 of MOV CR3, INVPCID. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/paging.h"
#include "tests/x86_fixture.h"

#define CODE_AT 0x7000u
#define DESCRIPTOR 0x6000u
#define PAGE 0x400000u /* linear; its page table entry is at ENTRY */
#define ENTRY 0x103000u

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

static enum x86_rc step(struct x86_fix *f, const uint8_t *code, size_t n)
{
	x86_fix_code(f, CODE_AT, code, n);
	return x86_step(f->c);
}

/* INVPCID RAX, [RBX] */
static enum x86_rc invpcid(struct x86_fix *f, uint64_t type, uint64_t pcid, uint64_t la)
{
	static const uint8_t code[] = {0x66, 0x0f, 0x38, 0x82, 0x03};

	f->c->s.gpr[X86_RAX] = type;
	f->c->s.gpr[X86_RBX] = DESCRIPTOR;
	x86_fix_poke(f, DESCRIPTOR, 8, pcid);
	x86_fix_poke(f, DESCRIPTOR + 8, 8, la);
	return step(f, code, sizeof code);
}

static void assert_gp(const struct x86_fix *f, enum x86_rc rc)
{
	assert_int_equal(rc, X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_GP);
	assert_int_equal(f->c->fault.error, 0);
}

/* PCID 5 in use, and a page whose first word says where it is mapped: 1 now, 2 after remap(). */
static void with_pcid(struct x86_fix *f, uint32_t flags)
{
	uint64_t v;

	x86_fix_reset(f);
	x86_fix_long(f, 0);
	x86_fix_poke(f, 0x102010, 8, ENTRY | 7);
	x86_fix_poke(f, ENTRY, 8, 0x8000 | 7 | flags);
	x86_fix_poke(f, 0x8000, 4, 1);
	x86_fix_poke(f, 0xa000, 4, 2);
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE | CR4_PGE | CR4_PCIDE), X86_OK);
	assert_int_equal(x86_set_cr3(f->c, f->c->s.cr3 | 5), X86_OK);
	assert_int_equal(x86_load(f->c, X86_DS, PAGE, 4, &v), X86_OK);
	assert_int_equal(v, 1);
	x86_fix_poke(f, ENTRY, 8, 0xa000 | 7 | flags);
}

static uint64_t seen(struct x86_fix *f)
{
	uint64_t v;

	assert_int_equal(x86_load(f->c, X86_DS, PAGE, 4, &v), X86_OK);
	return v;
}

static void pcide_needs_long_mode_and_pcid_0(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	assert_gp(f, x86_set_cr4(f->c, CR4_PAE | CR4_PCIDE));
	x86_fix_long(f, 0);
	f->c->s.cr3 |= 8; /* PWT; bits of a PCID once PCIDE is set */
	assert_gp(f, x86_set_cr4(f->c, CR4_PAE | CR4_PCIDE));
	f->c->s.cr3 &= ~8ull;
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE | CR4_PCIDE), X86_OK);
	f->c->s.cr3 |= 8;
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE | CR4_PCIDE | CR4_PGE), X86_OK); /* it was set before */
	f->c->s.seg[X86_CS].attr = 0xc09b;
	x86_state_changed(f->c);
	assert_gp(f, x86_set_cr0(f->c, CR0_PE)); /* paging stays on with PCIDs */
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE), X86_OK);
	assert_int_equal(x86_set_cr0(f->c, CR0_PE), X86_OK);
}

static void bit_63_is_for_mov_cr3_with_pcids_and_is_not_kept(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_long(f, 0);
	assert_gp(f, x86_set_cr3(f->c, 0x100000 | CR3_NO_FLUSH));
	with_pcid(f, 0);
	assert_int_equal(x86_set_cr3(f->c, 0x100007 | CR3_NO_FLUSH), X86_OK);
	assert_int_equal(f->c->s.cr3, 0x100007);
	assert_gp(f, x86_set_cr3(f->c, 0x100007 | 1ull << 62));
}

static void invpcid_drops_what_its_type_says(void **state)
{
	struct x86_fix *f = *state;

	for (unsigned type = 0; type < 4; type++) {
		with_pcid(f, 0);
		assert_int_equal(seen(f), 1); /* cached */
		assert_int_equal(invpcid(f, type, 5, PAGE + 0x123), X86_OK);
		assert_int_equal(seen(f), 2);
	}
	for (unsigned type = 0; type < 4; type++) {
		with_pcid(f, PTE_G);
		assert_int_equal(invpcid(f, type, 5, PAGE + 0x10000), X86_OK);
		assert_int_equal(seen(f), type == 2 ? 2 : 1); /* global pages go with type 2 only */
	}
	for (unsigned type = 0; type < 2; type++) {
		with_pcid(f, 0);
		assert_int_equal(invpcid(f, type, 6, PAGE), X86_OK);
		assert_int_equal(seen(f), 1); /* another context */
	}
}

static void invpcid_refuses_what_the_manual_says(void **state)
{
	static const uint8_t with_register[] = {0x66, 0x0f, 0x38, 0x82, 0xc3}, plain[] = {0x0f, 0x38, 0x82, 0x03};
	struct x86_fix *f = *state;

	with_pcid(f, 0);
	assert_gp(f, invpcid(f, 4, 0, 0));
	assert_gp(f, invpcid(f, 1ull << 32, 0, 0)); /* all of the register counts */
	for (unsigned type = 0; type < 4; type++)
		assert_gp(f, invpcid(f, type, 0x1000, 0));
	assert_gp(f, invpcid(f, 0, 5, 1ull << 47));
	assert_int_equal(invpcid(f, 1, 5, 1ull << 47), X86_OK); /* no address is looked at */
	assert_int_equal(x86_set_cr3(f->c, 0x100000), X86_OK);
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE), X86_OK);
	assert_gp(f, invpcid(f, 0, 1, 0)); /* without PCIDE there is PCID 0 only */
	assert_gp(f, invpcid(f, 1, 1, 0));
	assert_int_equal(invpcid(f, 1, 0, 0), X86_OK);
	assert_int_equal(invpcid(f, 3, 1, 0), X86_OK);
	assert_int_equal(step(f, with_register, sizeof with_register), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_UD);
	assert_int_equal(step(f, plain, sizeof plain), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_UD);
	x86_fix_long(f, 3);
	assert_gp(f, invpcid(f, 9, 0x1000, 0));
}

static void invpcid_exits_with_invlpg_and_before_its_operand(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_long(f, 0);
	x86_fix_controls(f, "all");
	assert_int_equal(invpcid(f, 9, 0, 0), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_INVPCID);
	x86_fix_controls(f, "vtx-ept");
	assert_int_equal(invpcid(f, 2, 0, 0), X86_OK);
	f->ctl.proc2 &= ~PROC2_INVPCID;
	assert_int_equal(invpcid(f, 2, 0, 0), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_UD);
}

static void a_cpu_that_lacks_pcids_says_so_and_has_no_invpcid(void **state)
{
	struct x86_fix *f = *state;
	uint32_t one[4], seven[4];

	for (unsigned lacks = 0; lacks < 2; lacks++) {
		x86_fix_long(f, 0);
		f->c->no_pcid = lacks;
		x86_cpuid(f->c, 1, 0, one);
		x86_cpuid(f->c, 7, 0, seven);
		assert_int_equal(one[2] >> 17 & 1, !lacks);
		assert_int_equal(seven[1] >> 10 & 1, !lacks);
		assert_int_equal(x86_cpuid_lacks(f->c, 1), lacks);
		assert_int_equal(invpcid(f, 2, 0, 0), lacks ? X86_FAULT : X86_OK);
		if (lacks)
			assert_int_equal(f->c->fault.vector, VEC_UD);
		assert_int_equal(x86_set_cr4(f->c, CR4_PAE | CR4_PCIDE), lacks ? X86_FAULT : X86_OK);
	}
	f->c->no_pcid = false;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(pcide_needs_long_mode_and_pcid_0),
	    T(bit_63_is_for_mov_cr3_with_pcids_and_is_not_kept), T(invpcid_drops_what_its_type_says),
	    T(invpcid_refuses_what_the_manual_says), T(invpcid_exits_with_invlpg_and_before_its_operand),
	    T(a_cpu_that_lacks_pcids_says_so_and_has_no_invpcid)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
