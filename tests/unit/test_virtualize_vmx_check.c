/*
 * Why a VM entry fails: one good state that no rule objects to, and a table of changes to it, each of which must be
 * found by name. No processor is asked: fields come from an array.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "modes/virtualize/vmx_check.h"

#include "core/controls.h"
#include "core/exit.h"
#include "core/x86/state.h"

#define FIELDS_MAX 220

static struct {
	uint32_t field;
	uint64_t value;
} vmcs[FIELDS_MAX];
static unsigned n_fields;

static uint64_t read_field(void *arg, uint32_t field)
{
	(void)arg;
	for (unsigned i = 0; i < n_fields; i++)
		if (vmcs[i].field == field)
			return vmcs[i].value;
	return 0;
}

static void put(uint32_t field, uint64_t value)
{
	for (unsigned i = 0; i < n_fields; i++)
		if (vmcs[i].field == field) {
			vmcs[i].value = value;
			return;
		}
	assert_true(n_fields < FIELDS_MAX);
	vmcs[n_fields].field = field;
	vmcs[n_fields++].value = value;
}

/* As a processor of 2017 reports it. */
static const struct vmx_caps caps = {
    .ctl = {[VMX_CTL_PIN] = {0x16, 0x7f},
	[VMX_CTL_PROC] = {0x04006172, 0xf7f9fffe},
	[VMX_CTL_PROC2] = {0, 0x02177fff},
	[VMX_CTL_EXIT] = {0x00036dfb, 0x007fffff},
	[VMX_CTL_ENTRY] = {0x000011fb, 0x0000ffff}},
    .cr0_must = 0x80000021,
    .cr0_may = 0xffffffff,
    .cr4_must = 0x2000,
    .cr4_may = 0x3727ff,
    .phys_bits = 40,
};
static const struct vmx_check check = {.read = read_field, .caps = &caps};

static void put_segment(uint32_t n, uint16_t sel, uint64_t base, uint32_t limit, uint32_t ar)
{
	put(VMCS_GUEST_ES_SEL + 2 * n, sel);
	put(VMCS_GUEST_ES_BASE + 2 * n, base);
	put(VMCS_GUEST_ES_LIMIT + 2 * n, limit);
	put(VMCS_GUEST_ES_AR + 2 * n, ar);
}

static void put_host(void)
{
	put(VMCS_HOST_CR0, 0x80010031);
	put(VMCS_HOST_CR3, 0x100000);
	put(VMCS_HOST_CR4, 0x2620);
	put(VMCS_HOST_CS_SEL, 8);
	put(VMCS_HOST_SS_SEL, 16);
	put(VMCS_HOST_TR_SEL, 24);
	put(VMCS_HOST_PAT, 0x0007040600070406ull);
	put(VMCS_HOST_EFER, EFER_LMA | EFER_LME);
	put(VMCS_HOST_RIP, 0x100000);
}

/* A 64-bit guest under nested paging. */
static void good_state(void)
{
	n_fields = 0;
	put(VMCS_PIN_CONTROLS, 0x16 | 0x49);
	put(VMCS_PROC_CONTROLS, 0x04006172 | PROC_SECONDARY | PROC_MSR_BITMAPS);
	put(VMCS_PROC2_CONTROLS, PROC2_EPT | PROC2_UNRESTRICTED | PROC2_VPID);
	put(VMCS_EXIT_CONTROLS, 0x00036dfb | EXIT_HOST_64 | EXIT_LOAD_PAT | EXIT_LOAD_EFER);
	put(VMCS_ENTRY_CONTROLS, 0x000011fb | ENTRY_LOAD_DEBUG | ENTRY_IA32E | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER);
	put(VMCS_EPTP, 0x20000000 | 3u << 3 | 6);
	put(VMCS_VPID, 1);
	put(VMCS_MSR_BITMAP, 0x3000);
	put_host();
	put(VMCS_GUEST_CR0, 0x80000031);
	put(VMCS_GUEST_CR3, 0x1000);
	put(VMCS_GUEST_CR4, 0x2020);
	put(VMCS_GUEST_DR7, 0x400);
	put(VMCS_GUEST_PAT, 0x0007040600070406ull);
	put(VMCS_GUEST_EFER, EFER_LMA | EFER_LME);
	for (uint32_t n = 0; n < X86_SREG_COUNT; n++)
		put_segment(n, 0x10, 0, 0xffffffff, 0xc093);
	put_segment(X86_CS, 8, 0, 0xffffffff, 0xa09b);
	put_segment(6, 0, 0, 0, SEG_UNUSABLE);
	put_segment(7, 0x18, 0x5000, 0x67, 0x8b);
	put(VMCS_GUEST_RIP, 0x200000);
	put(VMCS_GUEST_RFLAGS, 2);
	put(VMCS_VMCS_LINK, UINT64_MAX);
}

static void real_mode_state(void)
{
	good_state();
	put(VMCS_ENTRY_CONTROLS, 0x000011fb | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER);
	put(VMCS_GUEST_CR0, 0x30);
	put(VMCS_GUEST_CR4, 0x2000);
	put(VMCS_GUEST_EFER, 0);
	for (uint32_t n = 0; n < X86_SREG_COUNT; n++)
		put_segment(n, 0, 0, 0xffff, 0x93);
	put_segment(7, 0, 0, 0xffff, 0x8b);
	put(VMCS_GUEST_RIP, 0x7c00);
}

/* Fields that are right each by itself: virtual NMIs, an NMI to inject, and NMIs blocked. */
static void a_blocked_virtual_nmi_is_not_injected(void **state)
{
	struct vmx_finding f = {0};

	(void)state;
	good_state();
	put(VMCS_GUEST_INTERRUPTIBILITY, INTR_SHADOW_NMI);
	put(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | INTR_TYPE_NMI << INTR_INFO_TYPE_SHIFT | VEC_NMI);
	assert_false(vmx_check_guest(&check, &f));
	put(VMCS_PIN_CONTROLS, PIN_NMI_EXIT | PIN_VIRTUAL_NMIS);
	assert_true(vmx_check_guest(&check, &f));
	assert_int_equal(f.field, VMCS_GUEST_INTERRUPTIBILITY);
	assert_non_null(strstr(f.rule, "virtual NMIs"));
}

static void good_states_pass(void **state)
{
	struct vmx_finding f = {0};

	(void)state;
	good_state();
	if (vmx_check_entry(&check, &f))
		fail_msg("%s: %s = %llx", f.rule, vmcs_field_name(f.field), (unsigned long long)f.value);
	real_mode_state();
	if (vmx_check_entry(&check, &f))
		fail_msg("%s: %s = %llx", f.rule, vmcs_field_name(f.field), (unsigned long long)f.value);
}

struct broken {
	uint32_t field;
	uint64_t value;
	uint32_t blamed;  /* 0: the field itself */
	const char *rule; /* part of it */
};

#define INJECT(vector, type) (INTR_INFO_VALID | (unsigned)(type) << INTR_INFO_TYPE_SHIFT | (vector))

static const struct broken broken[] = {
    {VMCS_PIN_CONTROLS, 0, 0, "pin-based"},
    {VMCS_PROC_CONTROLS, 0xffffffff, 0, "primary"},
    {VMCS_PROC2_CONTROLS, 0x80000000, 0, "secondary"},
    {VMCS_PROC2_CONTROLS, PROC2_UNRESTRICTED, 0, "needs \"enable EPT\""},
    {VMCS_CR3_TARGET_COUNT, 5, 0, "CR3 targets"},
    {VMCS_MSR_BITMAP, 0x3008, 0, "a page"},
    {VMCS_VPID, 0, 0, "must not be 0"},
    {VMCS_EPTP, 0x20000000 | 3u << 3 | 1, 0, "memory type"},
    {VMCS_EPTP, 0x20000000 | 6, 0, "page-walk length"},
    {VMCS_EXIT_CONTROLS, 0, 0, "VM-exit controls"},
    {VMCS_ENTRY_CONTROLS, 0, 0, "VM-entry controls"},
    {VMCS_ENTRY_INTR_INFO, INJECT(3, 1), 0, "type 1"},
    {VMCS_ENTRY_INTR_INFO, INJECT(3, INTR_TYPE_NMI), 0, "vector 2"},
    {VMCS_ENTRY_INTR_INFO, INJECT(40, INTR_TYPE_HW_EXCEPTION), 0, "below 32"},
    {VMCS_ENTRY_INTR_INFO, INJECT(VEC_GP, INTR_TYPE_HW_EXCEPTION), 0, "error code"},
    {VMCS_ENTRY_INTR_INFO, INJECT(VEC_UD, INTR_TYPE_HW_EXCEPTION) | INTR_INFO_ERROR, 0, "error code"},
    {VMCS_ENTRY_INTR_INFO, INJECT(0x80, INTR_TYPE_SW_INT), VMCS_ENTRY_INSN_LEN, "instruction length"},
    {VMCS_ENTRY_INTR_INFO, INJECT(0x20, INTR_TYPE_EXTERNAL), VMCS_GUEST_RFLAGS, "RFLAGS.IF = 1"},
    {VMCS_HOST_CR0, 0x31, 0, "host's CR0"},
    {VMCS_HOST_CR4, 0x620, 0, "host's CR4"},
    {VMCS_HOST_CR4, 0x2600, 0, "CR4.PAE"},
    {VMCS_HOST_CR3, 1ull << 41, 0, "host's CR3"},
    {VMCS_HOST_RIP, 1ull << 50, 0, "canonical"},
    {VMCS_HOST_CS_SEL, 0, 0, "must not be null"},
    {VMCS_HOST_TR_SEL, 0, 0, "must not be null"},
    {VMCS_HOST_SS_SEL, 0x13, 0, "RPL"},
    {VMCS_HOST_EFER, 0, 0, "64-bit host"},
    {VMCS_HOST_PAT, 2, 0, "reserved memory type"},
    {VMCS_GUEST_CR0, 0x80000011, 0, "guest's CR0"},
    {VMCS_GUEST_CR0, 0x80000030, 0, "needs protected mode"},
    {VMCS_GUEST_CR0, 0x31, VMCS_GUEST_CR4, "PG and PAE"},
    {VMCS_GUEST_CR4, 0x20, 0, "guest's CR4"},
    {VMCS_GUEST_CR4, 0x2000, 0, "PG and PAE"},
    {VMCS_GUEST_CR4, 0x2020 | CR4_UMIP, 0, "guest's CR4"}, /* a bit that this processor lacks */
    {VMCS_GUEST_CR3, 1ull << 45, 0, "guest's CR3"},
    {VMCS_GUEST_DR7, 1ull << 40, 0, "DR7"},
    {VMCS_GUEST_SYSENTER_EIP, 1ull << 47, 0, "canonical"},
    {VMCS_GUEST_PAT, 0xff, 0, "IA32_PAT"},
    {VMCS_GUEST_EFER, 0, 0, "LMA must equal"},
    {VMCS_GUEST_EFER, EFER_LMA, 0, "LME must equal"},
    {VMCS_GUEST_EFER, EFER_LMA | EFER_LME | 1u << 12, 0, "reserved bits"},
    {VMCS_GUEST_TR_AR, SEG_UNUSABLE, 0, "TR is usable"},
    {VMCS_GUEST_TR_AR, 0x83, 0, "busy TSS"},
    {VMCS_GUEST_TR_SEL, 0x1c, 0, "in the GDT"},
    {VMCS_GUEST_LDTR_AR, 0x8b, 0, "type of an LDT"},
    {VMCS_GUEST_CS_AR, 0xa092, 0, "CS is"},
    {VMCS_GUEST_CS_AR, 0xe09b, 0, "D = 0"},
    {VMCS_GUEST_CS_AR, 0xa0fb, 0, "equals that of SS"},
    {VMCS_GUEST_CS_AR, 0xa01b, 0, "present"},
    {VMCS_GUEST_CS_BASE, 1ull << 33, 0, "bits 63:32"},
    {VMCS_GUEST_SS_AR, 0xc091, 0, "writable data"},
    {VMCS_GUEST_DS_AR, 0xc092, 0, "accessed"},
    {VMCS_GUEST_DS_AR, 0x4093, 0, "granularity"},
    {VMCS_GUEST_DS_AR, 0x1c093 | 1u << 20, 0, NULL}, /* unusable: nothing else matters */
    {VMCS_GUEST_FS_BASE, 1ull << 47, 0, "canonical"},
    {VMCS_GUEST_GDTR_LIMIT, 0x10000, 0, "16 bits"},
    {VMCS_GUEST_IDTR_BASE, 1ull << 47, 0, "canonical"},
    {VMCS_GUEST_RIP, 1ull << 47, 0, "canonical"},
    {VMCS_GUEST_RFLAGS, 0, 0, "bit 1"},
    {VMCS_GUEST_RFLAGS, 2 | 1u << 3, 0, "reserved bits"},
    {VMCS_GUEST_ACTIVITY, 4, 0, "activity"},
    {VMCS_GUEST_INTERRUPTIBILITY, 3, 0, "together"},
    {VMCS_GUEST_INTERRUPTIBILITY, 1, 0, "RFLAGS.IF = 1"},
    {VMCS_GUEST_INTERRUPTIBILITY, 0x100, 0, "reserved bits"},
    {VMCS_GUEST_PENDING_DBG, 1u << 4, 0, "reserved bits"},
    {VMCS_VMCS_LINK, 8, 0, "link pointer"},
};

static void each_broken_state_is_explained(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		const struct broken *b = &broken[i];
		struct vmx_finding f = {0};
		uint32_t blamed = b->blamed ? b->blamed : b->field;

		good_state();
		put(b->field, b->value);
		bool found = vmx_check_entry(&check, &f);
		if (!b->rule) {
			assert_false(found);
			continue;
		}
		if (!found)
			fail_msg("row %zu: %s: nothing found", i, vmcs_field_name(b->field));
		if (f.field != blamed || !strstr(f.rule, b->rule))
			fail_msg("row %zu: found \"%s\" in %s", i, f.rule, vmcs_field_name(f.field));
		assert_int_equal(f.value, read_field(NULL, f.field));
	}
}

static void modes_have_rules_of_their_own(void **state)
{
	struct vmx_finding f = {0};

	(void)state;
	real_mode_state();
	put(VMCS_GUEST_RFLAGS, 2 | FLAG_VM); /* virtual-8086 mode without protected mode */
	assert_true(vmx_check_entry(&check, &f));
	real_mode_state();
	put(VMCS_GUEST_SS_AR, 0xf3);
	assert_true(vmx_check_entry(&check, &f));
	assert_non_null(strstr(f.rule, "DPL"));
	real_mode_state();
	put(VMCS_GUEST_CR0, 0x31);
	put(VMCS_GUEST_RFLAGS, 2 | FLAG_VM);
	for (uint32_t n = 0; n < X86_SREG_COUNT; n++)
		put_segment(n, 0x1000, 0x10000, 0xffff, 0xf3);
	assert_false(vmx_check_entry(&check, &f));
	put(VMCS_GUEST_DS_BASE, 0x10010);
	assert_true(vmx_check_entry(&check, &f));
	assert_int_equal(f.field, VMCS_GUEST_DS_BASE);
}

static void pae_paging_wants_good_pdptes(void **state)
{
	struct vmx_finding f = {0};

	(void)state;
	good_state();
	put(VMCS_ENTRY_CONTROLS, 0x000011fb | ENTRY_LOAD_EFER);
	put(VMCS_GUEST_EFER, 0);
	put_segment(X86_CS, 8, 0, 0xffffffff, 0xc09b);
	put(VMCS_GUEST_PDPTE1, 0x1001);
	assert_false(vmx_check_entry(&check, &f));
	put(VMCS_GUEST_PDPTE1, 0x1003);
	assert_true(vmx_check_entry(&check, &f));
	assert_int_equal(f.field, VMCS_GUEST_PDPTE1);
}

static void a_missing_control_is_named(void **state)
{
	struct errmsg why = {""};
	uint32_t out = 0, dropped = 0;

	(void)state;
	assert_int_equal(vmx_fit_controls(&caps, VMX_CTL_PROC, PROC_HLT_EXIT, 0, &out, NULL, &why), ERR_OK);
	assert_int_equal(out, 0x04006172 | PROC_HLT_EXIT);
	assert_int_equal(
	    vmx_fit_controls(&caps, VMX_CTL_PROC, PROC_MONITOR_TRAP, 0, &out, NULL, &why), ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "monitor trap flag"));
	assert_int_equal(
	    vmx_fit_controls(&caps, VMX_CTL_PROC, 0, PROC_MONITOR_TRAP | PROC_PAUSE_EXIT, &out, &dropped, &why),
	    ERR_OK);
	assert_int_equal(dropped, PROC_MONITOR_TRAP);
	assert_int_equal(out, 0x04006172 | PROC_PAUSE_EXIT);
}

/* Encodings say width, group and index [SDM 3D "VMCS Field Encodings"]: the table has no typing mistake. */
static void encodings_agree_with_the_table(void **state)
{
	static const struct {
		uint32_t encoding;
		enum vmcs_group group;
		unsigned width;
	} rows[] = {
#define VMCS(id, encoding, name, group, width, remark) {encoding, VMCS_IS_##group, width},
#include "modes/virtualize/vmcs.def"
#undef VMCS
	};
	static const enum vmcs_group groups[] = {VMCS_IS_CONTROL, VMCS_IS_DATA, VMCS_IS_GUEST, VMCS_IS_HOST};
	static const unsigned widths[] = {16, 64, 32, 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(groups[rows[i].encoding >> 10 & 3], rows[i].group);
		assert_int_equal(widths[rows[i].encoding >> 13 & 3], rows[i].width);
		assert_int_equal(rows[i].encoding & 0xffff9001u, 0);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(rows[i].encoding, rows[k].encoding);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_states_pass),
	    cmocka_unit_test(a_blocked_virtual_nmi_is_not_injected),
	    cmocka_unit_test(each_broken_state_is_explained),
	    cmocka_unit_test(modes_have_rules_of_their_own),
	    cmocka_unit_test(pae_paging_wants_good_pdptes),
	    cmocka_unit_test(a_missing_control_is_named),
	    cmocka_unit_test(encodings_agree_with_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
