/* tracer/classes.c: equivalence of an AMD-V run, by counts in each class of exits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "core/exit.h"
#include "tracer/classes.h"

static struct exit_stats *reference, *subject;
static const char *exempt[8];
static size_t n_exempt;
static uint64_t compared;

static void add(struct exit_stats *s, uint32_t reason, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct exit_row row = {.reason = reason, .observed = OBSERVED_METAL};
		stats_add(s, &row);
	}
}

static void both(uint32_t reason, unsigned n)
{
	add(reference, reason, n);
	add(subject, reason, n);
}

static int setup(void **state)
{
	(void)state;
	reference = stats_new(STATS_BY_REASON);
	subject = stats_new(STATS_BY_REASON);
	return reference && subject ? 0 : 1;
}

static int teardown(void **state)
{
	(void)state;
	stats_free(reference);
	stats_free(subject);
	return 0;
}

static struct pg_verdict decide(void)
{
	struct pg_verdict v;

	classes_verdict(reference, subject, &v, exempt, 8, &n_exempt, &compared);
	return v;
}

static void equal_counts_hold(void **state)
{
	(void)state;
	both(EXIT_IO_INSTRUCTION, 5);
	both(EXIT_CPUID, 2);
	both(EXIT_EPT_VIOLATION, 1);
	assert_int_equal(decide().state, PG_HOLDS);
	assert_int_equal(compared, 8);
	assert_int_equal(n_exempt, 0);
}

static void one_port_access_less_is_violated_and_named(void **state)
{
	(void)state;
	both(EXIT_IO_INSTRUCTION, 5);
	add(reference, EXIT_IO_INSTRUCTION, 1);
	struct pg_verdict v = decide();
	assert_int_equal(v.state, PG_VIOLATED);
	assert_non_null(strstr(v.evidence, "class io: 5 exits, the reference has 6"));
}

static void control_registers_and_slices_are_exempt_and_listed(void **state)
{
	(void)state;
	both(EXIT_CPUID, 1);
	add(subject, EXIT_CR_ACCESS, 3);
	add(subject, EXIT_EXTERNAL_INTERRUPT, 7);
	assert_int_equal(decide().state, PG_HOLDS);
	assert_int_equal(n_exempt, 2);
	assert_int_equal(compared, 1);
}

static void a_processor_without_the_xsetbv_intercept_is_named(void **state)
{
	(void)state;
	both(EXIT_CPUID, 1);
	add(reference, EXIT_XSETBV, 2);
	assert_int_equal(decide().state, PG_HOLDS);
	assert_int_equal(n_exempt, 1);
	add(subject, EXIT_XSETBV, 1); /* it has it, and one is missing */
	assert_int_equal(decide().state, PG_VIOLATED);
}

static void nothing_compared_is_unknown(void **state)
{
	(void)state;
	add(subject, EXIT_EXTERNAL_INTERRUPT, 7);
	assert_int_equal(decide().state, PG_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(equal_counts_hold, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_port_access_less_is_violated_and_named, setup, teardown),
	    cmocka_unit_test_setup_teardown(control_registers_and_slices_are_exempt_and_listed, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_processor_without_the_xsetbv_intercept_is_named, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_compared_is_unknown, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
