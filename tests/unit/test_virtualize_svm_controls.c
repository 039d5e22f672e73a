/*
 * The audit of a VMCB: whatever single bit of what was programmed is changed, the comparison finds it, and what a
 * running VMM changes itself is no finding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "modes/virtualize/svm_priv.h"

static struct vmcb want, have;
static uint8_t maps[2][SVM_IOPM_SIZE + SVM_MSRPM_SIZE];
static struct vm_controls ctl;
static char text[160];

static void program(struct vmcb *b, uint8_t *map)
{
	static const struct svm_features f = {.n_asids = 16, .invpcid = true};

	memset(b, 0, sizeof(*b));
	svm_program_controls(&ctl, &f, b, map, map + SVM_IOPM_SIZE);
	b->c.asid = 3;
	b->c.n_cr3 = 0x5000;
}

static int setup(void **state)
{
	struct errmsg why;

	(void)state;
	if (controls_set(&ctl, "vtx-ept", &why) != ERR_OK)
		return 1;
	program(&want, maps[0]);
	program(&have, maps[1]);
	return 0;
}

static bool same(void)
{
	return svm_same_program(&have, &want, text, sizeof(text));
}

static void every_profile_is_the_same_as_itself(void **state)
{
	static const char *const profiles[] = {"vtx-ept", "vtx-shadow", "all"};
	struct errmsg why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		assert_int_equal(controls_set(&ctl, profiles[i], &why), ERR_OK);
		program(&want, maps[0]);
		program(&have, maps[1]);
		assert_true(same());
	}
}

struct member {
	size_t at, size;
	uint64_t free; /* bits that may change */
	const char *names;
};
#define MEMBER(m, free, names)                                                           \
	{                                                                                \
		offsetof(struct vmcb, c.m), sizeof(((struct vmcb *)0)->c.m), free, names \
	}
static const struct member members[] = {
    MEMBER(cr_read, 0, "CR reads"),
    MEMBER(cr_write, 0, "CR writes"),
    MEMBER(dr_read, 0, "DR reads"),
    MEMBER(dr_write, 0, "DR writes"),
    MEMBER(exceptions, 0, "exceptions"),
    MEMBER(icpt[0], SVM_ICPT_VINTR, "first intercept vector"),
    MEMBER(icpt[1], 0, "second intercept vector"),
    MEMBER(icpt[2], 0, "third intercept vector"),
    MEMBER(int_ctl, SVM_V_TPR_MASK | SVM_V_IRQ | SVM_V_INTR_PRIO | SVM_V_IGN_TPR, "virtual interrupt control"),
    MEMBER(np_enable, 0, "nested paging control"),
    MEMBER(n_cr3, 0, "N_CR3"),
    MEMBER(asid, 0, "ASID"),
    MEMBER(avic_bar, 0, "AVIC_APIC_BAR"),
    MEMBER(virt_ext, 0, "virtualization extensions"),
};

static void every_bit_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		for (unsigned bit = 0; bit < members[i].size * 8; bit++) {
			uint8_t *byte = (uint8_t *)&have + members[i].at + bit / 8;

			*byte ^= (uint8_t)(1u << bit % 8);
			if (same() != (members[i].free >> bit & 1))
				fail_msg("%s, bit %u", members[i].names, bit);
			if (!(members[i].free >> bit & 1) && !strstr(text, members[i].names))
				fail_msg("'%s' does not name %s", text, members[i].names);
			*byte ^= (uint8_t)(1u << bit % 8);
		}
	assert_true(same());
}

static void every_bit_of_the_maps_counts(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof(maps[0]); at += 61) {
		maps[1][at] ^= 0x10;
		assert_false(same());
		assert_non_null(strstr(text, at < SVM_IOPM_SIZE ? "the I/O permission map" : "the MSR permission map"));
		maps[1][at] ^= 0x10;
	}
	assert_true(same());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(every_profile_is_the_same_as_itself, setup),
	    cmocka_unit_test_setup(every_bit_counts, setup),
	    cmocka_unit_test_setup(every_bit_of_the_maps_counts, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
