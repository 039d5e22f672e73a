/*
 * sensitive.def: complete, without doubles, and in agreement with what the profiles say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/sensitive.h"

static const struct sensitive_row *row(enum sensitive_id id)
{
	return &sensitive_rows()[id];
}

static enum sensitive_traps traps(enum sensitive_id id, const char *profile)
{
	struct vm_controls *ctl = malloc(sizeof *ctl);
	struct errmsg why;
	assert_non_null(ctl);
	assert_int_equal(controls_set(ctl, profile, &why), ERR_OK);
	enum sensitive_traps t = sensitive_traps(row(id), ctl);
	free(ctl);
	return t;
}

static void every_row_says_what_it_is_and_where_that_stands(void **state)
{
	(void)state;
	for (unsigned k = 0; k < SENSITIVE_COUNT; k++) {
		const struct sensitive_row *r = &sensitive_rows()[k];
		assert_non_null(r->name);
		assert_true(strlen(r->form) > 1);
		assert_true(r->sens == SENS_CONTROL || r->sens == SENS_BEHAVIOUR || r->sens == 3);
		assert_true(strlen(r->sentence) > 20 && r->sentence[strlen(r->sentence) - 1] == '.');
		assert_memory_equal(r->source, "SDM 2", 5);
		assert_non_null(strchr(r->source, '"'));
		assert_true(r->ids[0] != 0);
		assert_true(strlen(sensitive_control_name(r)) > 3);
		assert_null(strstr(sensitive_control_name(r), "without a name"));
	}
}

static void no_form_of_an_instruction_has_two_rows(void **state)
{
	(void)state;
	for (unsigned a = 0; a < SENSITIVE_COUNT; a++)
		for (unsigned b = a + 1; b < SENSITIVE_COUNT; b++) {
			const struct sensitive_row *x = row((enum sensitive_id)a), *y = row((enum sensitive_id)b);
			assert_string_not_equal(x->name, y->name);
			for (unsigned i = 0; i < ARRAY_LEN(x->ids) && x->ids[i]; i++)
				for (unsigned j = 0; j < ARRAY_LEN(y->ids) && y->ids[j]; j++)
					assert_false(x->ids[i] == y->ids[j] && x->sub == y->sub);
		}
}

static void the_two_lists_of_robin_and_irvine_are_groups_of_six_and_twelve(void **state)
{
	(void)state;
	unsigned n[4] = {0};
	for (unsigned k = 0; k < SENSITIVE_COUNT; k++)
		n[sensitive_rows()[k].group]++;
	assert_int_equal(n[GROUP_REGISTERS], 6);
	assert_int_equal(n[GROUP_PROTECTION], 12);
	assert_true(n[GROUP_OTHER] >= 1);
	for (unsigned k = 0; k < SENSITIVE_COUNT; k++)
		assert_int_equal(sensitive_class(&sensitive_rows()[k]),
		    sensitive_rows()[k].group == GROUP_PRIVILEGED ? PG_PRIVILEGED : PG_SENSITIVE);
}

static void umip_changes_exactly_its_five(void **state)
{
	(void)state;
	unsigned changed = 0;
	for (unsigned k = 0; k < SENSITIVE_COUNT; k++) {
		enum sensitive_id id = (enum sensitive_id)k;
		bool differs = traps(id, "umip") != traps(id, "deprivileged");
		assert_int_equal(differs, row(id)->umip);
		changed += differs;
	}
	assert_int_equal(changed, 5);
	assert_true(row(SENSITIVE_SGDT)->umip && row(SENSITIVE_SIDT)->umip && row(SENSITIVE_SLDT)->umip &&
		    row(SENSITIVE_SMSW)->umip && row(SENSITIVE_STR)->umip);
}

static void trap_and_emulate_sees_what_is_privileged_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned k = 0; k < SENSITIVE_COUNT; k++)
		assert_int_equal(traps((enum sensitive_id)k, "deprivileged"),
		    sensitive_class(&sensitive_rows()[k]) == PG_PRIVILEGED ? TRAPS_ALWAYS : TRAPS_NEVER);
}

static void the_controls_decide_what_exits(void **state)
{
	(void)state;
	assert_int_equal(traps(SENSITIVE_HLT, "vtx-ept"), TRAPS_ALWAYS);
	assert_int_equal(traps(SENSITIVE_CPUID, "vtx-ept"), TRAPS_ALWAYS);
	assert_int_equal(traps(SENSITIVE_CPUID, "kvm-user"), TRAPS_NEVER);
	assert_int_equal(traps(SENSITIVE_CPUID, "deprivileged"), TRAPS_NEVER);
	assert_int_equal(traps(SENSITIVE_INVLPG, "vtx-ept"), TRAPS_NEVER);
	assert_int_equal(traps(SENSITIVE_INVLPG, "vtx-shadow"), TRAPS_ALWAYS);
	assert_int_equal(traps(SENSITIVE_MOV_TO_CR3, "vtx-ept"), TRAPS_NEVER);
	assert_int_equal(traps(SENSITIVE_MOV_TO_CR3, "vtx-shadow"), TRAPS_ALWAYS);
	assert_int_equal(traps(SENSITIVE_MOV_TO_CR0, "vtx-ept"), TRAPS_SOMETIMES);
	assert_int_equal(traps(SENSITIVE_MOV_TO_CR0, "kvm-user"), TRAPS_NEVER);
	assert_int_equal(traps(SENSITIVE_CLTS, "vtx-ept"), TRAPS_NEVER);
	assert_int_equal(traps(SENSITIVE_CLTS, "all"), TRAPS_SOMETIMES);
	assert_int_equal(traps(SENSITIVE_RDMSR, "vtx-ept"), TRAPS_SOMETIMES);
	assert_int_equal(traps(SENSITIVE_RDMSR, "all"), TRAPS_ALWAYS);
	assert_int_equal(traps(SENSITIVE_OUT, "kvm-user"), TRAPS_ALWAYS);
	assert_int_equal(traps(SENSITIVE_SGDT, "all"), TRAPS_ALWAYS);
	assert_int_equal(traps(SENSITIVE_SMSW, "all"), TRAPS_NEVER); /* VT-x has no control for it */
	assert_int_equal(traps(SENSITIVE_POPF, "all"), TRAPS_NEVER);
}

/* Bytes of 64-bit code, and the row they belong to; -1: innocuous. */
static const struct {
	uint8_t bytes[4];
	int row;
} codes[] = {{{0x0f, 0x01, 0xe0}, SENSITIVE_SMSW}, {{0x0f, 0x22, 0xd8}, SENSITIVE_MOV_TO_CR3},
    {{0x0f, 0x20, 0xd8}, SENSITIVE_MOV_FROM_CR3}, {{0x0f, 0x22, 0xc0}, SENSITIVE_MOV_TO_CR0},
    {{0x0f, 0x20, 0xe0}, SENSITIVE_MOV_FROM_CR0}, {{0x0f, 0x20, 0xc0}, SENSITIVE_MOV_FROM_CR0},
    {{0x44, 0x0f, 0x22, 0xc0}, SENSITIVE_MOV_TO_CR8}, {{0x0f, 0x22, 0xd0}, SENSITIVE_MOV_TO_CR2},
    {{0x0f, 0x21, 0xf8}, SENSITIVE_MOV_DR}, {{0xf4}, SENSITIVE_HLT}, {{0x9d}, SENSITIVE_POPF},
    {{0x0f, 0xa0}, SENSITIVE_PUSH_SREG}, {{0x50}, -1}, {{0x8c, 0xc8}, SENSITIVE_MOV_SREG}, {{0x89, 0xc8}, -1},
    {{0xcc}, SENSITIVE_INT_N}, {{0xcd, 0x80}, SENSITIVE_INT_N}, {{0xc3}, -1}, {{0xcb}, SENSITIVE_RET_FAR},
    {{0x48, 0xcf}, SENSITIVE_IRET}, {{0x0f, 0x30}, SENSITIVE_WRMSR}, {{0x0f, 0xa2}, SENSITIVE_CPUID}, {{0x90}, -1}};

static void a_decoded_instruction_finds_its_row(void **state)
{
	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(codes); k++) {
		struct x86_insn i;
		uint8_t bytes[15] = {0};
		memcpy(bytes, codes[k].bytes, sizeof codes[k].bytes);
		assert_int_equal(x86_decode(bytes, sizeof bytes, 8, X86_MODE_LONG64, &i), DECODE_OK);
		const struct sensitive_row *found = sensitive_find(&i);
		const struct sensitive_row *wanted = codes[k].row < 0 ? NULL : row((enum sensitive_id)codes[k].row);
		if (found != wanted)
			fail_msg("%s gave %s, wanted %s", x86_insn_name(i.id), found ? found->name : "innocuous",
			    wanted ? wanted->name : "innocuous");
	}
}

/* All that the executor calls a system or I/O instruction is in the table, or is known not to be sensitive. */
static void no_system_instruction_was_forgotten(void **state)
{
	static const char *const innocuous[] = {"arpl", "rdpkru", "wrpkru", "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase", "rdrand",
	    "rdseed", "rsm", "getsec", "vmcall", "vmlaunch", "vmresume", "vmxoff", "vmxon", "vmptrld", "vmptrst",
	    "vmclear", "vmread", "vmwrite", "vmfunc", "invept", "invvpid", "vmrun", "vmmcall", "vmload", "vmsave",
	    "stgi", "clgi", "skinit", "invlpga"};
	static const char *const classes[] = {
#define INSN(id, mnemonic, class) #class,
#include "core/x86/insns.def"
#undef INSN
	};
	(void)state;
	for (uint16_t id = 1; id < INSN_COUNT; id++) {
		bool known = strcmp(classes[id], "SYSTEM") != 0 && strcmp(classes[id], "IO") != 0;
		for (unsigned k = 0; k < ARRAY_LEN(innocuous); k++)
			known |= strcmp(x86_insn_name(id), innocuous[k]) == 0;
		for (unsigned k = 0; k < SENSITIVE_COUNT; k++)
			for (unsigned j = 0; j < ARRAY_LEN(row(0)->ids); j++)
				known |= sensitive_rows()[k].ids[j] == id;
		if (!known)
			fail_msg("%s has no row", x86_insn_name(id));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_row_says_what_it_is_and_where_that_stands),
	    cmocka_unit_test(no_form_of_an_instruction_has_two_rows),
	    cmocka_unit_test(the_two_lists_of_robin_and_irvine_are_groups_of_six_and_twelve),
	    cmocka_unit_test(umip_changes_exactly_its_five),
	    cmocka_unit_test(trap_and_emulate_sees_what_is_privileged_and_nothing_else),
	    cmocka_unit_test(the_controls_decide_what_exits),
	    cmocka_unit_test(a_decoded_instruction_finds_its_row),
	    cmocka_unit_test(no_system_instruction_was_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
