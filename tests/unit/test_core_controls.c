/* core/controls.c: the profiles against docs/exit-contract.md, written down here a second time, by bit number. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/controls.h"

static struct vm_controls ctl;

static void use(const char *profile)
{
	struct errmsg why = {""};

	assert_int_equal(controls_set(&ctl, profile, &why), ERR_OK);
	assert_string_equal(ctl.name, profile);
}

static uint32_t bits(const int *list)
{
	uint32_t v = 0;

	for (; *list >= 0; list++)
		v |= 1u << *list;
	return v;
}
#define BITS(...) bits((const int[]){__VA_ARGS__, -1})

static void vtx_ept_is_the_contracts_table(void **state)
{
	(void)state;
	use("vtx-ept");
	/* external interrupts, NMI, virtual NMIs, preemption timer */
	assert_int_equal(ctl.pin, BITS(0, 3, 5, 6));
	/* HLT MWAIT RDPMC CR8-load CR8-store MOV-DR uncond-IO MSR-bitmaps MONITOR secondary; not INVLPG (9), RDTSC
	 * (12), CR3 (15, 16), PAUSE (30) */
	assert_int_equal(ctl.proc, BITS(7, 10, 11, 19, 20, 23, 24, 28, 29, 31));
	/* EPT RDTSCP VPID unrestricted INVPCID; not descriptor tables (2), WBINVD (6), RDRAND (11), RDSEED (16) */
	assert_int_equal(ctl.proc2, BITS(1, 3, 5, 7, 12));
	assert_int_equal(ctl.exceptions, BITS(1, 17, 18));
	assert_true(ctl.cr0_mask == (1ull << 0 | 1ull << 5 | 1ull << 29 | 1ull << 30 | 1ull << 31));
	/* PAE, UMIP, VMXE, PCIDE, SMEP, SMAP; and what the model reserves: VME, PVI, 12, 14, 15, 19, 22 and above */
	assert_true(ctl.cr4_mask == (1ull << 5 | 1ull << 11 | 1ull << 13 | 1ull << 17 | 1ull << 20 | 1ull << 21 | 3ull |
					0xdull << 12 | 1ull << 19 | ~0ull << 22));
	assert_int_equal(ctl.kernel, 0);
	assert_int_equal(ctl.ring, RING_HW);
}

static void vtx_shadow_adds_cr3_invlpg_and_page_faults(void **state)
{
	(void)state;
	use("vtx-ept");
	struct vm_controls ept = ctl;
	use("vtx-shadow");
	assert_int_equal(ctl.proc, ept.proc | BITS(9, 15, 16));
	assert_int_equal(ctl.exceptions, BITS(1, 14, 17, 18));
	assert_int_equal(ctl.pf_mask, 0);
	assert_int_equal(ctl.pf_match, 0);
	assert_int_equal(ctl.pin, ept.pin);
	assert_int_equal(ctl.proc2, ept.proc2);
	assert_true(ctl.cr0_mask == ept.cr0_mask && ctl.cr4_mask == ept.cr4_mask);
	assert_memory_equal(ctl.msr_bitmap, ept.msr_bitmap, sizeof(ctl.msr_bitmap));
}

static void deprivileged_traps_by_exceptions_not_by_controls(void **state)
{
	(void)state;
	use("deprivileged");
	assert_int_equal(ctl.ring, RING_DEPRIVILEGED);
	assert_int_equal(ctl.exceptions, BITS(6, 13, 18));
	assert_int_equal(ctl.proc, BITS(31));
	assert_true(ctl.cr0_mask == 0 && ctl.cr4_mask == 0);
	assert_true(ctl.kernel & CTL_KERNEL_CPUID);
	use("umip");
	assert_int_equal(ctl.ring, RING_UMIP);
	assert_int_equal(ctl.exceptions, BITS(6, 13, 18));
}

static void all_has_every_control_that_can_exit(void **state)
{
	(void)state;
	use("all");
	assert_int_equal(ctl.pin, BITS(0, 3, 5, 6));
	assert_int_equal(ctl.proc, BITS(7, 9, 10, 11, 12, 15, 16, 19, 20, 23, 24, 29, 30, 31));
	assert_int_equal(ctl.proc2, BITS(1, 2, 3, 5, 6, 7, 11, 12, 16));
	assert_true(ctl.exceptions == 0xffffffffu);
	assert_true(ctl.cr0_mask == UINT64_MAX && ctl.cr4_mask == UINT64_MAX);
	assert_true(controls_msr_exits(&ctl, 0xc0000100, false)); /* no bitmap: every MSR */
}

static void kvm_user_leaves_everything_else_to_the_kernel(void **state)
{
	(void)state;
	use("kvm-user");
	assert_int_equal(ctl.pin, 0);
	assert_int_equal(ctl.proc, BITS(7, 24, 28, 31));
	assert_int_equal(ctl.exceptions, 0);
	assert_true(ctl.cr0_mask == 0 && ctl.cr4_mask == 0);
	assert_int_equal(ctl.kernel, CTL_KERNEL_CPUID | CTL_KERNEL_CR | CTL_KERNEL_MISC | CTL_KERNEL_TIMER);
}

static const uint32_t never[] = {
    0xc0000100, 0xc0000101, 0xc0000102, 0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0x277};

static bool listed(uint32_t msr)
{
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (never[i] == msr)
			return true;
	return false;
}

static void under_vtx_ept_all_msrs_exit_but_eleven(void **state)
{
	unsigned quiet = 0;

	(void)state;
	use("vtx-ept");
	for (uint32_t base = 0; base == 0 || base == 0xc0000000; base += 0xc0000000)
		for (uint32_t m = base; m < base + 0x2000; m++)
			for (int write = 0; write < 2; write++) {
				assert_int_equal(controls_msr_exits(&ctl, m, write), !listed(m));
				quiet += !controls_msr_exits(&ctl, m, write);
			}
	assert_int_equal(quiet, 22);
	assert_true(controls_msr_exits(&ctl, 0x2000, false)); /* outside the bitmap */
	assert_true(controls_msr_exits(&ctl, 0x40000000, true));
	assert_true(controls_msr_exits(&ctl, 0xffffffff, true));
}

static void the_msr_bitmap_has_the_hardwares_layout(void **state)
{
	(void)state;
	use("vtx-ept");
	/* SYSENTER_CS = 174: byte 2e, bit 4; reads low at 0, writes low at 800h, high parts at 400h and c00h */
	assert_int_equal(ctl.msr_bitmap[0x2e], 0x8f);
	assert_int_equal(ctl.msr_bitmap[0x800 + 0x2e], 0x8f);
	assert_int_equal(ctl.msr_bitmap[0x400 + 0x20], 0xf8);
	assert_int_equal(ctl.msr_bitmap[0xc00 + 0x20], 0xf8);
	assert_int_equal(ctl.msr_bitmap[0x400], 0xff);
}

static void kvm_keeps_efer_tsc_apic_base_and_mtrrs(void **state)
{
	static const uint32_t kept[] = {
	    0xc0000080, 0x10, 0x1b, 0xc0000103, 0x1a0, 0xfe, 0x2ff, 0x200, 0x20f, 0x250, 0x258, 0x259, 0x268, 0x26f};
	static const uint32_t exits[] = {0x8b, 0x17, 0x3a, 0x179, 0x210, 0x1d9, 0xc0010015};

	(void)state;
	use("kvm-user");
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		assert_false(controls_msr_exits(&ctl, kept[i], true));
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		assert_false(controls_msr_exits(&ctl, never[i], false));
	for (size_t i = 0; i < ARRAY_LEN(exits); i++)
		assert_true(controls_msr_exits(&ctl, exits[i], false));
}

static void io_exits_always_by_bitmap_or_never(void **state)
{
	(void)state;
	use("vtx-ept");
	assert_true(controls_io_exits(&ctl, 0xf4, 1));
	ctl.proc &= ~PROC_UNCOND_IO_EXIT;
	assert_false(controls_io_exits(&ctl, 0xf4, 1));
	ctl.proc |= PROC_IO_BITMAPS;
	memset(ctl.io_bitmap, 0, sizeof(ctl.io_bitmap));
	ctl.io_bitmap[0x3fb / 8] = 1u << (0x3fb % 8);
	assert_true(controls_io_exits(&ctl, 0x3fb, 1));
	assert_true(controls_io_exits(&ctl, 0x3f8, 4)); /* any byte of the access */
	assert_false(controls_io_exits(&ctl, 0x3f8, 2));
	assert_false(controls_io_exits(&ctl, 0xfffe, 2));
	assert_true(controls_io_exits(&ctl, 0xffff, 2)); /* wraps around */
}

static void an_unknown_profile_names_all_that_there_are(void **state)
{
	struct errmsg why = {""};
	size_t n;
	const struct controls_profile *p = controls_profiles(&n);

	(void)state;
	assert_int_equal(n, 6);
	assert_int_equal(controls_set(&ctl, "vtx", &why), ERR_NOENT);
	for (size_t i = 0; i < n; i++)
		assert_non_null(strstr(why.text, p[i].name));
}

static void profiles_name_the_backends_of_the_contract(void **state)
{
	static const struct {
		const char *name;
		unsigned backends;
	} want[] = {{"vtx-ept", 7}, {"vtx-shadow", 7}, {"deprivileged", 3}, {"umip", 3}, {"all", 7}, {"kvm-user", 11}};
	size_t n;
	const struct controls_profile *p = controls_profiles(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(p[i].name, want[i].name);
		assert_int_equal(p[i].backends, want[i].backends);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vtx_ept_is_the_contracts_table),
	    cmocka_unit_test(vtx_shadow_adds_cr3_invlpg_and_page_faults),
	    cmocka_unit_test(deprivileged_traps_by_exceptions_not_by_controls),
	    cmocka_unit_test(all_has_every_control_that_can_exit),
	    cmocka_unit_test(kvm_user_leaves_everything_else_to_the_kernel),
	    cmocka_unit_test(under_vtx_ept_all_msrs_exit_but_eleven),
	    cmocka_unit_test(the_msr_bitmap_has_the_hardwares_layout),
	    cmocka_unit_test(kvm_keeps_efer_tsc_apic_base_and_mtrrs),
	    cmocka_unit_test(io_exits_always_by_bitmap_or_never),
	    cmocka_unit_test(an_unknown_profile_names_all_that_there_are),
	    cmocka_unit_test(profiles_name_the_backends_of_the_contract),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
