/* core/exit.c, exits.def: the vocabulary of exits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/exit.h"
#include "core/probe.h"

static const uint32_t numbers[] = {
#define EXIT(num, name, class, sentence, sdm) num,
#include "core/exits.def"
#undef EXIT
};

static void numbers_and_names_are_unique_and_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		if (i)
			assert_true(numbers[i] > numbers[i - 1]);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(exit_name(numbers[i]), exit_name(numbers[j]));
	}
}

static void every_row_teaches_in_one_sentence_and_names_its_section(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		const struct exit_desc *d = exit_desc(numbers[i]);
		assert_non_null(d);
		assert_int_equal(d->num, numbers[i]);
		assert_true(strlen(d->sentence) > 40);
		assert_int_equal(d->sentence[strlen(d->sentence) - 1], '.');
		if (exit_is_hw(d->num))
			assert_true(strncmp(d->sdm, "3C, ", 4) == 0 && strlen(d->sdm) > 6);
		assert_int_equal(exit_is_hw(d->num), d->class != EXIT_CLASS_VMM);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(d->sentence, exit_desc(numbers[j])->sentence);
	}
}

/* The SDM's numbers for the reasons that everybody meets, written here a second time. */
static void the_numbers_are_the_sdms(void **state)
{
	static const struct {
		int num;
		const char *name;
	} known[] = {{0, "EXCEPTION_NMI"}, {1, "EXTERNAL_INTERRUPT"}, {2, "TRIPLE_FAULT"}, {7, "INTERRUPT_WINDOW"},
	    {9, "TASK_SWITCH"}, {10, "CPUID"}, {12, "HLT"}, {14, "INVLPG"}, {16, "RDTSC"}, {18, "VMCALL"},
	    {28, "CR_ACCESS"}, {29, "DR_ACCESS"}, {30, "IO_INSTRUCTION"}, {31, "MSR_READ"}, {32, "MSR_WRITE"},
	    {36, "MWAIT_INSTRUCTION"}, {37, "MONITOR_TRAP_FLAG"}, {40, "PAUSE_INSTRUCTION"}, {46, "GDTR_IDTR"},
	    {47, "LDTR_TR"}, {48, "EPT_VIOLATION"}, {49, "EPT_MISCONFIG"}, {51, "RDTSCP"}, {52, "PREEMPTION_TIMER"},
	    {54, "WBINVD"}, {55, "XSETBV"}, {58, "INVPCID"}, {74, "BUS_LOCK"}, {75, "NOTIFY"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		assert_string_equal(exit_name((uint32_t)known[i].num), known[i].name);
		assert_int_equal(exit_reason_by_name(known[i].name), known[i].num);
	}
}

static void every_sdm_number_up_to_79_is_there_but_the_reserved_ones(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < EXIT_SDM_COUNT; n++) {
		bool reserved = n == 35 || n == 38 || n == 42 || n == 71;
		assert_int_equal(exit_desc(n) == NULL, reserved);
	}
	assert_null(exit_desc(EXIT_SDM_COUNT));
	assert_null(exit_desc(0xffff));
	assert_null(exit_desc(0xffffffff));
	assert_string_equal(exit_name(35), "UNKNOWN");
}

static void old_and_foreign_names_are_understood(void **state)
{
	(void)state;
	assert_int_equal(exit_reason_by_name("PENDING_INTERRUPT"), 7);
	assert_int_equal(exit_reason_by_name("VMON"), 27);
	assert_int_equal(exit_reason_by_name("PAUSE"), 40);
	assert_int_equal(exit_reason_by_name("hlt"), -1);
	assert_int_equal(exit_reason_by_name(""), -1);
}

static void aliases_of_a_reason_lead_back_to_it(void **state)
{
	unsigned n = 0;

	(void)state;
	for (uint32_t reason = 0; reason < EXIT_SDM_COUNT; reason++)
		for (unsigned i = 0; exit_alias(reason, i); i++, n++) {
			assert_int_equal(exit_reason_by_name(exit_alias(reason, i)), reason);
			assert_string_not_equal(exit_alias(reason, i), exit_name(reason));
		}
	assert_true(n > 20);
	assert_null(exit_alias(EXIT_CPUID, 0));
	assert_string_equal(exit_alias(EXIT_INTERRUPT_WINDOW, 0), "PENDING_INTERRUPT");
	assert_string_equal(exit_alias(EXIT_INTERRUPT_WINDOW, 1), "IRQ_WINDOW");
}

static void classes_places_and_verdicts_have_names(void **state)
{
	(void)state;
	assert_string_equal(exit_class_name(EXIT_CLASS_MMIO), "mmio");
	assert_string_equal(exit_class_name((enum exit_class)99), "unknown");
	assert_string_equal(exit_observed_name(OBSERVED_KERNEL_EMULATOR), "kernel (emulator)");
	assert_string_equal(exit_observed_name(OBSERVED_COUNT), "unknown");
	for (int v = 0; v < VERDICT_COUNT; v++)
		assert_string_not_equal(verdict_name((enum verdict)v), "unknown");
	assert_string_equal(verdict_name(VERDICT_COUNT), "unknown");
}

static void the_record_has_no_holes_that_differ_between_builds(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct vm_exit, raw) % 8, 0);
	assert_int_equal(sizeof(struct vm_exit), offsetof(struct vm_exit, raw) + 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_and_names_are_unique_and_in_order),
	    cmocka_unit_test(every_row_teaches_in_one_sentence_and_names_its_section),
	    cmocka_unit_test(the_numbers_are_the_sdms),
	    cmocka_unit_test(every_sdm_number_up_to_79_is_there_but_the_reserved_ones),
	    cmocka_unit_test(old_and_foreign_names_are_understood),
	    cmocka_unit_test(aliases_of_a_reason_lead_back_to_it),
	    cmocka_unit_test(classes_places_and_verdicts_have_names),
	    cmocka_unit_test(the_record_has_no_holes_that_differ_between_builds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
