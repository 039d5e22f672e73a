/* Efficiency as a predicate: states, fractions, and the source of each number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tracer/efficiency.h"

static struct efficiency decide(struct efficiency_input in)
{
	struct efficiency out;
	in.dominant = in.dominant > 0 ? in.dominant : 0.9;
	efficiency_decide(&in, &out);
	return out;
}

static int permille(double x)
{
	return (int)(x * 1000 + 0.5);
}

static void a_model_is_not_asked(void **state)
{
	(void)state;
	struct efficiency e = decide((struct efficiency_input){.mode = MODE_SIMULATE});
	assert_int_equal(e.verdict.state, PG_NA);
	assert_true(e.direct_fraction < 0);
}

static void an_interpreter_violates_it_with_zero(void **state)
{
	(void)state;
	struct efficiency e =
	    decide((struct efficiency_input){.mode = MODE_EMULATE, .instructions = {1000, "counted by the engine"}});
	assert_int_equal(e.verdict.state, PG_VIOLATED);
	assert_int_equal(permille(e.direct_fraction), 0);
	assert_non_null(strstr(e.verdict.evidence, "0 %"));
	assert_non_null(strstr(e.verdict.evidence, "1000 instructions"));
	/* Before the first instruction there is nothing to judge. */
	e = decide((struct efficiency_input){.mode = MODE_EMULATE, .instructions = {0, "counted by the engine"}});
	assert_int_equal(e.verdict.state, PG_UNKNOWN);
}

static void before_the_first_instruction_it_is_unknown(void **state)
{
	static const enum vmm_mode modes[] = {MODE_EMULATE, MODE_VIRTUALIZE};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct efficiency e =
		    decide((struct efficiency_input){.mode = modes[i], .instructions = {0, "counted by the engine"}});
		assert_int_equal(e.verdict.state, PG_UNKNOWN);
		assert_true(e.direct_fraction < 0);
		assert_non_null(strstr(e.verdict.evidence, "nothing has run yet"));
	}
}

static void without_a_source_it_is_unknown(void **state)
{
	(void)state;
	struct efficiency e =
	    decide((struct efficiency_input){.mode = MODE_VIRTUALIZE, .instructions = {1000, "reference run"}});
	assert_int_equal(e.verdict.state, PG_UNKNOWN);
	assert_true(e.direct_fraction < 0);
	e = decide((struct efficiency_input){.mode = MODE_VIRTUALIZE, .interventions = {5, "kvm_exit"}});
	assert_int_equal(e.verdict.state, PG_UNKNOWN);
}

static void few_exits_of_many_instructions_hold(void **state)
{
	(void)state;
	struct efficiency e = decide((struct efficiency_input){
	    .mode = MODE_VIRTUALIZE, .instructions = {10000, "reference run"}, .interventions = {100, "kvm_exit"}});
	assert_int_equal(e.verdict.state, PG_HOLDS);
	assert_int_equal(permille(e.direct_fraction), 990);
	assert_non_null(strstr(e.verdict.evidence, "kvm_exit"));
	assert_non_null(strstr(e.verdict.evidence, "reference run"));
}

static void the_bound_is_the_one_that_was_asked_for(void **state)
{
	(void)state;
	struct efficiency_input in = {
	    .mode = MODE_VIRTUALIZE, .instructions = {10000, "reference run"}, .interventions = {2000, "kvm_exit"}};
	assert_int_equal(decide(in).verdict.state, PG_VIOLATED);
	in.dominant = 0.75;
	assert_int_equal(decide(in).verdict.state, PG_HOLDS);
}

static void a_kernel_that_emulates_everything_violates_it_whatever_the_mode_is_called(void **state)
{
	(void)state;
	struct efficiency e = decide((struct efficiency_input){.mode = MODE_VIRTUALIZE,
	    .instructions = {10000, "reference run"},
	    .interventions = {100, "user-space exits"},
	    .kernel_emulated = {10004, "kvm_emulate_insn"}});
	assert_int_equal(e.verdict.state, PG_VIOLATED);
	assert_int_equal(permille(e.direct_fraction), 0);
	assert_non_null(strstr(e.verdict.evidence, "kvm_emulate_insn"));
}

static void the_share_of_time_needs_both_times(void **state)
{
	(void)state;
	struct efficiency_input in = {.mode = MODE_VIRTUALIZE,
	    .instructions = {10000, "reference run"},
	    .interventions = {100, "kvm_exit"},
	    .guest_ns = {3000, "measured"}};
	assert_true(decide(in).guest_time_fraction < 0);
	in.vmm_ns = (struct measured){1000, "measured"};
	assert_int_equal(permille(decide(in).guest_time_fraction), 750);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_model_is_not_asked),
	    cmocka_unit_test(an_interpreter_violates_it_with_zero),
	    cmocka_unit_test(before_the_first_instruction_it_is_unknown),
	    cmocka_unit_test(without_a_source_it_is_unknown),
	    cmocka_unit_test(few_exits_of_many_instructions_hold),
	    cmocka_unit_test(the_bound_is_the_one_that_was_asked_for),
	    cmocka_unit_test(a_kernel_that_emulates_everything_violates_it_whatever_the_mode_is_called),
	    cmocka_unit_test(the_share_of_time_needs_both_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
