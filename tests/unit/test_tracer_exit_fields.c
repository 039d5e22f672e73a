/* tracer/exit_fields.c: which fields of an exit are compared, and that a difference in one of them is seen. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "core/x86/state.h"
#include "tracer/exit_fields.h"

static struct vm_exit a, b;

static void both(struct vm_exit e)
{
	a = b = e;
}

static void differs_by(const char *field)
{
	const char *said = exit_fields_differ(&a, &b);

	assert_non_null(said);
	assert_string_equal(said, field);
	assert_string_equal(exit_fields_differ(&b, &a), field);
}

static void equal(void)
{
	assert_null(exit_fields_differ(&a, &b));
	assert_null(exit_fields_differ(&b, &a));
}

static void equal_exits_do_not_differ(void **state)
{
	(void)state;
	both((struct vm_exit){.reason = EXIT_IO_INSTRUCTION, .qual = 0x3f80001, .insn_len = 1});
	equal();
}

static void the_port_in_the_qualification_counts_and_reserved_bits_do_not(void **state)
{
	(void)state;
	both((struct vm_exit){.reason = EXIT_IO_INSTRUCTION, .qual = 0x3f80001, .insn_len = 1});
	b.qual ^= 1u << 16;
	differs_by("qualification");
	b.qual = a.qual ^ 1u << 9;
	equal();
}

static void the_length_counts_where_an_instruction_caused_the_exit(void **state)
{
	(void)state;
	both((struct vm_exit){.reason = EXIT_CPUID, .insn_len = 2});
	b.insn_len = 3;
	differs_by("instruction length");
	static const uint32_t without[] = {EXIT_EPT_VIOLATION, EXIT_INTERRUPT_WINDOW, EXIT_NMI_WINDOW,
	    EXIT_TPR_BELOW_THRESHOLD, EXIT_PREEMPTION_TIMER};

	for (unsigned i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
		both((struct vm_exit){.reason = without[i], .insn_len = 2});
		b.insn_len = 7;
		equal();
	}
}

static void an_exception_is_compared_with_its_vector_error_code_and_address(void **state)
{
	(void)state;
	both((struct vm_exit){.reason = EXIT_EXCEPTION_NMI,
	    .intr_info = INTR_INFO_VALID | INTR_INFO_ERROR | INTR_TYPE_HW_EXCEPTION << 8 | VEC_PF,
	    .intr_error = 2,
	    .qual = 0x5000});
	b.intr_error = 3;
	differs_by("interruption information");
	b = a;
	b.qual = 0x6000;
	differs_by("qualification");
	b = a;
	b.intr_info |= 1u << 12; /* NMI unblocking due to IRET */
	equal();
	b.insn_len = 9;
	equal();
}

static void the_event_that_was_being_delivered_counts(void **state)
{
	(void)state;
	both((struct vm_exit){.reason = EXIT_EPT_VIOLATION, .idt_info = INTR_INFO_VALID | 0x20});
	b.idt_info = 0;
	differs_by("IDT-vectoring information");
}

static void of_an_ept_violation_five_bits_and_the_linear_address_count(void **state)
{
	(void)state;
	both((struct vm_exit){.reason = EXIT_EPT_VIOLATION,
	    .qual = QUAL_EPT_WRITE | QUAL_EPT_GLA_VALID | QUAL_EPT_TRANSLATED,
	    .gla = 0xb8000});
	b.qual |= 7u << 3; /* what the entry allowed */
	equal();
	b.gla++;
	differs_by("guest linear address");
	b = a;
	b.qual ^= QUAL_EPT_READ;
	differs_by("qualification");
}

static void the_operand_of_a_descriptor_table_instruction_counts(void **state)
{
	(void)state;
	both((struct vm_exit){.reason = EXIT_GDTR_IDTR, .insn_info = 1u << 27 | 1u << 22 | 3u << 15, .insn_len = 7});
	b.insn_info ^= 1u << 15;
	differs_by("instruction information");
	b = a;
	b.insn_info |= 5u << 18; /* an index register that is not valid */
	equal();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_exits_do_not_differ),
	    cmocka_unit_test(the_port_in_the_qualification_counts_and_reserved_bits_do_not),
	    cmocka_unit_test(the_length_counts_where_an_instruction_caused_the_exit),
	    cmocka_unit_test(an_exception_is_compared_with_its_vector_error_code_and_address),
	    cmocka_unit_test(the_event_that_was_being_delivered_counts),
	    cmocka_unit_test(of_an_ept_violation_five_bits_and_the_linear_address_count),
	    cmocka_unit_test(the_operand_of_a_descriptor_table_instruction_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
