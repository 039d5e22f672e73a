/* Sequences of exits: what is compared, what is exempt, and how a difference is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tracer/sequence.h"

static void push(struct sequence *s, struct vm_exit e)
{
	sequence_probe.on_verdict(s, NULL, &e, VERDICT_NEXT);
}

static struct vm_exit out(uint16_t port, uint8_t size, uint64_t value)
{
	return (struct vm_exit){.reason = EXIT_IO_INSTRUCTION, .io = {.port = port, .size = size, .value = value}};
}

static struct vm_exit plain(uint32_t reason)
{
	return (struct vm_exit){.reason = reason};
}

static void equal_sequences_hold_and_are_counted(void **state)
{
	(void)state;
	struct sequence a = {0}, b = {0};
	struct sequence_diff d;
	struct pg_verdict v;
	for (unsigned i = 0; i < 5000; i++) {
		push(&a, out(0x3f8, 1, i & 0xff));
		push(&b, out(0x3f8, 1, i & 0xff));
	}
	sequence_verdict(&a, &b, &v, &d);
	assert_int_equal(v.state, PG_HOLDS);
	assert_int_equal(d.compared, 5000);
	assert_non_null(strstr(v.evidence, "5000 exits equal"));
	sequence_free(&a);
	sequence_free(&b);
}

static void a_value_that_differs_is_named_with_its_place(void **state)
{
	(void)state;
	struct sequence a = {0}, b = {0};
	struct sequence_diff d;
	struct pg_verdict v;
	push(&a, plain(EXIT_CPUID));
	push(&b, plain(EXIT_CPUID));
	push(&a, out(0x3f8, 1, 0x41));
	push(&b, out(0x3f8, 1, 0x42));
	sequence_verdict(&a, &b, &v, &d);
	assert_int_equal(v.state, PG_VIOLATED);
	assert_int_equal(d.compared, 1);
	assert_non_null(strstr(v.evidence, "exit 1 differs"));
	assert_non_null(strstr(v.evidence, "value 0x41"));
	assert_non_null(strstr(v.evidence, "value 0x42"));
	sequence_free(&a);
	sequence_free(&b);
}

static void bits_beyond_the_size_of_a_port_access_are_not_compared(void **state)
{
	(void)state;
	struct sequence a = {0}, b = {0};
	uint64_t exempt;
	push(&a, out(0x3f8, 1, 0x141));
	push(&b, out(0x3f8, 1, 0x41));
	assert_false(sequence_compare(&a, &b, &exempt).differ);
	push(&a, out(0x3f8, 2, 0x141));
	push(&b, out(0x3f8, 2, 0x41));
	assert_true(sequence_compare(&a, &b, &exempt).differ);
	sequence_free(&a);
	sequence_free(&b);
}

static void timer_exits_are_exempt_wherever_they_fall(void **state)
{
	(void)state;
	struct sequence a = {0}, b = {0};
	uint64_t exempt;
	push(&a, plain(EXIT_PREEMPTION_TIMER));
	push(&a, plain(EXIT_NMI_WINDOW));
	push(&a, plain(EXIT_HLT));
	push(&b, plain(EXIT_HLT));
	push(&b, plain(EXIT_INTERRUPT_WINDOW));
	push(&b, plain(EXIT_TPR_BELOW_THRESHOLD));
	struct sequence_diff d = sequence_compare(&a, &b, &exempt);
	assert_false(d.differ);
	assert_int_equal(d.compared, 1);
	assert_int_equal(exempt, 4);
	sequence_free(&a);
	sequence_free(&b);
}

static void an_early_end_is_a_difference(void **state)
{
	(void)state;
	struct sequence a = {0}, b = {0};
	struct sequence_diff d;
	struct pg_verdict v;
	push(&a, plain(EXIT_HLT));
	push(&a, plain(EXIT_HLT));
	push(&b, plain(EXIT_HLT));
	sequence_verdict(&a, &b, &v, &d);
	assert_int_equal(v.state, PG_VIOLATED);
	assert_null(d.subject);
	assert_non_null(strstr(v.evidence, "subject the end"));
	sequence_free(&a);
	sequence_free(&b);
}

static void two_empty_sequences_prove_nothing(void **state)
{
	(void)state;
	struct sequence a = {0}, b = {0};
	struct sequence_diff d;
	struct pg_verdict v;
	push(&a, plain(EXIT_VMM_KICK)); /* no hardware exit: not kept */
	sequence_verdict(&a, &b, &v, &d);
	assert_int_equal(a.n, 0);
	assert_int_equal(v.state, PG_UNKNOWN);
	sequence_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_sequences_hold_and_are_counted),
	    cmocka_unit_test(a_value_that_differs_is_named_with_its_place),
	    cmocka_unit_test(bits_beyond_the_size_of_a_port_access_are_not_compared),
	    cmocka_unit_test(timer_exits_are_exempt_wherever_they_fall),
	    cmocka_unit_test(an_early_end_is_a_difference),
	    cmocka_unit_test(two_empty_sequences_prove_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
