/*
 * Why VMRUN would refuse: one broken control block a rule, and one that breaks none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/state.h"
#include "modes/virtualize/svm_priv.h"

#define EFER_SVME (1ull << 12)
#define N_ASIDS 16u
#define CS_L (1u << 9)
#define CS_D (1u << 10)

/* A 64-bit guest with nested paging. */
static struct vmcb sound(void)
{
	struct vmcb b;

	memset(&b, 0, sizeof(b));
	b.c.icpt[1] = SVM_ICPT2_VMRUN;
	b.c.asid = 1;
	b.c.np_enable = SVM_NP_ENABLE;
	b.c.n_cr3 = 0x5000;
	b.s.efer = EFER_SVME | EFER_LME | EFER_LMA;
	b.s.cr0 = CR0_PG | CR0_PE;
	b.s.cr4 = CR4_PAE;
	b.s.cs.attr = CS_L;
	b.s.g_pat = 0x0007040600070406ull;
	return b;
}

static void found(const struct vmcb *b, const char *word)
{
	char text[160] = "";

	assert_true(svm_check_vmcb(b, N_ASIDS, text, sizeof(text)));
	if (!strstr(text, word))
		fail_msg("'%s' does not name %s", text, word);
}

static void a_sound_block_breaks_no_rule(void **state)
{
	struct vmcb b = sound();
	char text[160];

	(void)state;
	assert_false(svm_check_vmcb(&b, N_ASIDS, text, sizeof(text)));
	b.c.event_inj = SVM_EVENT_VALID | SVM_EVENT_ERROR | SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT | VEC_GP;
	assert_false(svm_check_vmcb(&b, N_ASIDS, text, sizeof(text)));
}

static void a_guest_in_real_mode_breaks_no_rule(void **state)
{
	struct vmcb b = sound();
	char text[160];

	(void)state;
	b.s.efer = EFER_SVME;
	b.s.cr0 = CR0_CD | CR0_NW | CR0_ET;
	b.s.cr4 = 0;
	b.s.cs.attr = 0x9b;
	assert_false(svm_check_vmcb(&b, N_ASIDS, text, sizeof(text)));
}

/* One member, one value, and what the sentence has to name. */
struct broken {
	size_t at, size;
	uint64_t value;
	const char *names;
};
#define BREAK(member, value, names)                                                             \
	{                                                                                       \
		offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member), value, names \
	}

static const struct broken rules[] = {
    BREAK(s.efer, EFER_LME | EFER_LMA, "SVME"),
    BREAK(s.efer, EFER_SVME | 1ull << 40, "EFER"),
    BREAK(s.cr0, CR0_PG | CR0_PE | CR0_NW, "CR0.CD"),
    BREAK(s.cr0, CR0_PG | CR0_PE | 1ull << 32, "CR0"),
    BREAK(s.cr0, CR0_PG, "CR0.PE"),
    BREAK(s.cr3, 1ull << 63, "CR3"),
    BREAK(s.cr4, CR4_PAE | CR4_VMXE, "CR4"),
    BREAK(s.cr4, 0, "CR4.PAE"),
    BREAK(s.dr6, 1ull << 32, "DR6"),
    BREAK(s.dr7, 1ull << 32, "DR7"),
    BREAK(s.cs.attr, CS_L | CS_D, "CS.L"),
    BREAK(s.g_pat, 2, "G_PAT"),
    BREAK(c.icpt[1], 0, "VMRUN"),
    BREAK(c.asid, 0, "ASID"),
    BREAK(c.asid, N_ASIDS, "address spaces"),
    BREAK(c.iopm, 1ull << 52, "IOPM_BASE_PA"),
    BREAK(c.msrpm, (1ull << 52) - PAGE_SIZE_4K, "MSRPM_BASE_PA"),
    BREAK(c.n_cr3, 1ull << 52, "N_CR3"),
    BREAK(c.event_inj, SVM_EVENT_VALID | 1u << SVM_EVENT_TYPE_SHIFT, "type"),
    BREAK(c.event_inj, SVM_EVENT_VALID | 5u << SVM_EVENT_TYPE_SHIFT, "type"),
    BREAK(c.event_inj, SVM_EVENT_VALID | SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT | 2u, "vector"),
    BREAK(c.event_inj, SVM_EVENT_VALID | SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT | 32u, "vector"),
    BREAK(c.event_inj, SVM_EVENT_VALID | SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT | VEC_OF, "64-bit"),
};

static void each_broken_rule_is_named(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rules); n++) {
		struct vmcb b = sound();

		memcpy((uint8_t *)&b + rules[n].at, &rules[n].value, rules[n].size);
		found(&b, rules[n].names);
	}
}

static void the_sentence_has_the_value(void **state)
{
	struct vmcb b = sound();

	(void)state;
	b.s.cr3 = 0x8000000000001000ull;
	found(&b, "0x8000000000001000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_sound_block_breaks_no_rule),
	    cmocka_unit_test(a_guest_in_real_mode_breaks_no_rule),
	    cmocka_unit_test(each_broken_rule_is_named),
	    cmocka_unit_test(the_sentence_has_the_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
