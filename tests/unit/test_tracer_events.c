/* The format texts of events.def: libtraceevent must parse them, and print what a struct holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <traceevent/event-parse.h>

#include "core/vm.h"
#include "tracer/encode.h"
#include "tracer/events.h"
#include "tracer/row.h"

static struct tep_handle *new_handle(void)
{
	struct tep_handle *tep = tep_alloc();

	assert_non_null(tep);
	tep_set_long_size(tep, 8);
	tep_set_page_size(tep, 4096);
	tep_set_file_bigendian(tep, TEP_LITTLE_ENDIAN);
	tep_set_local_bigendian(tep, TEP_LITTLE_ENDIAN);
	for (size_t i = 0; i < EVENT_COUNT; i++) {
		const struct event_desc *d = event_at(i);
		char *text = event_format_text(d);

		assert_non_null(text);
		if (tep_parse_event(tep, text, strlen(text), d->system) != 0)
			fail_msg("%s:%s does not parse:\n%s", d->system, d->name, text);
		free(text);
	}
	return tep;
}

static void print(struct tep_handle *tep, void *event, size_t n, int id, char *out, size_t max)
{
	struct tep_record rec = {.data = event, .size = (int)n};
	struct event_common common = {.type = (uint16_t)id, .pid = 1};
	struct trace_seq s;

	memcpy(event, &common, sizeof(common));
	trace_seq_init(&s);
	tep_print_event(tep, &s, &rec, "%s", TEP_PRINT_INFO);
	trace_seq_terminate(&s);
	assert_true(strlen(s.buffer) < max);
	strcpy(out, s.buffer);
	trace_seq_destroy(&s);
}
#define PRINTED(name, ...)                      \
	struct event_##name e_ = {__VA_ARGS__}; \
	char text[1024];                        \
	print(*state, &e_, sizeof(e_), EVENT_ID_##name, text, sizeof(text))

static int setup(void **state)
{
	*state = new_handle();
	return 0;
}

static int teardown(void **state)
{
	tep_free(*state);
	return 0;
}

static void every_field_lies_where_the_struct_has_it(void **state)
{
	for (size_t i = 0; i < EVENT_COUNT; i++) {
		const struct event_desc *d = event_at(i);
		struct tep_event *ev = tep_find_event(*state, d->id);
		struct tep_format_field *f;
		uint32_t k = 0;

		assert_non_null(ev);
		assert_string_equal(ev->name, d->name);
		assert_string_equal(ev->system, d->system);
		assert_int_equal(ev->format.nr_common, 4);
		assert_int_equal(ev->format.nr_fields, d->n_fields);
		assert_false(ev->flags & (int)TEP_EVENT_FL_FAILED);
		for (f = ev->format.fields; f; f = f->next, k++) {
			assert_int_equal(f->offset, d->fields[k].offset);
			assert_int_equal(f->size, d->fields[k].size);
			assert_int_equal(!!(f->flags & TEP_FIELD_IS_SIGNED), d->fields[k].is_signed);
			assert_true(f->offset + f->size <= (int)d->size);
		}
	}
}

/* The layout that the design froze; a kernel of 6.x has the same, with more behind it. */
static void kvm_exit_has_the_frozen_layout(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct event_kvm_exit, exit_reason), 8);
	assert_int_equal(offsetof(struct event_kvm_exit, guest_rip), 16);
	assert_int_equal(offsetof(struct event_kvm_exit, isa), 24);
	assert_int_equal(offsetof(struct event_kvm_exit, info1), 32);
	assert_int_equal(offsetof(struct event_kvm_exit, info2), 40);
	assert_int_equal(offsetof(struct event_kvm_exit, intr_info), 48);
	assert_int_equal(offsetof(struct event_kvm_exit, error_code), 52);
	assert_int_equal(offsetof(struct event_kvm_exit, vcpu_id), 56);
	assert_int_equal(sizeof(struct event_kvm_exit), 64);
}

static void an_exit_prints_its_reason_by_name(void **state)
{
	PRINTED(kvm_exit, .exit_reason = EXIT_IO_INSTRUCTION, .guest_rip = 0x7c05, .isa = 1, .info1 = 0x3f80000,
	    .intr_info = 0x80000b0d, .error_code = 0x18, .vcpu_id = 3);
	assert_string_equal(text, "vcpu 3 reason IO_INSTRUCTION rip 0x7c05 info1 0x0000000003f80000 "
				  "info2 0x0000000000000000 intr_info 0x80000b0d error_code 0x00000018");
}

static void every_reason_of_the_core_has_its_name_in_the_trace(void **state)
{
#define EXIT(num, name, class, sentence, sdm)                          \
	{                                                              \
		PRINTED(kvm_exit, .exit_reason = (num), .isa = 1);     \
		assert_non_null(strstr(text, "reason " #name " rip")); \
	}
#include "core/exits.def"
#undef EXIT
}

static void port_and_memory_accesses_print_direction_and_value(void **state)
{
	{
		PRINTED(kvm_pio, .rw = 1, .port = 0x3f8, .size = 1, .count = 1, .val = 0x41);
		assert_string_equal(text, "pio_write at 0x3f8 size 1 count 1 val 0x41 ");
	}
	{
		PRINTED(kvm_mmio, .type = 1, .len = 4, .gpa = 0xfee00020, .val = 0x1234567890);
		assert_string_equal(text, "mmio read len 4 gpa 0xfee00020 val 0x1234567890");
	}
	{
		PRINTED(kvm_msr, .write = 0, .ecx = 0x10, .data = 7, .exception = 1);
		assert_string_equal(text, "msr_read 10 = 0x7 (#GP)");
	}
	{
		PRINTED(kvm_cr, .rw = 1, .cr = 4, .val = 0x20);
		assert_string_equal(text, "cr_write 4 = 0x20");
	}
	{
		PRINTED(
		    kvm_cpuid, .function = 0x80000000, .index = 1, .rax = 2, .rbx = 3, .rcx = 4, .rdx = 5, .found = 1);
		assert_string_equal(text, "func 80000000 idx 1 rax 2 rbx 3 rcx 4 rdx 5, cpuid entry found");
	}
}

static void injections_and_entries_print(void **state)
{
	{
		PRINTED(kvm_inj_virq, .vector = 0x20);
		assert_string_equal(text, "IRQ 0x20");
	}
	{
		PRINTED(kvm_inj_exception, .exception = 14, .has_error = 1, .error_code = 6);
		assert_string_equal(text, "#PF (0x6)");
	}
	{
		PRINTED(kvm_entry, .vcpu_id = 1, .rip = 0xfff0, .intr_info = 0x80000020);
		assert_string_equal(text, "vcpu 1, rip 0xfff0 intr_info 0x80000020 error_code 0x00000000");
	}
	{
		PRINTED(kvm_page_fault, .vcpu_id = 0, .guest_rip = 0x1000, .fault_address = 0xb8000, .error_code = 2);
		assert_string_equal(text, "vcpu 0 rip 0x1000 address 0x00000000000b8000 error_code 0x2");
	}
	{
		PRINTED(kvm_userspace_exit, .reason = 2);
		assert_string_equal(text, "reason KVM_EXIT_IO (2)");
	}
}

static void our_own_events_print(void **state)
{
	{
		PRINTED(session, .type = 2, .vcpus = 1, .seed = 9, .mem = 1 << 20, .guest = "hello", .mode = "emulate",
		    .backend = "interpreter", .controls = "vtx-ept", .clock = "virtual", .cost = "-");
		assert_string_equal(text, "guest hello mode emulate type 2 backend interpreter controls vtx-ept clock "
					  "virtual vcpus 1 mem 1048576 seed 9 cost -");
	}
	{
		PRINTED(verdict, .vcpu_id = 2, .exit_reason = EXIT_CPUID, .rip = 0x10, .index = 5, .insns = 77,
		    .cost_ns = 1200, .verdict = VERDICT_NEXT, .observed = OBSERVED_MODEL, .modelled = 1, .insn_len = 2);
		char want[256];

		snprintf(want, sizeof(want),
		    "vcpu 2 exit 5 CPUID rip 0x10: %s, observed by model, cost 1200 ns modelled, 77 insns, insn_len 2",
		    verdict_name(VERDICT_NEXT));
		assert_string_equal(text, want);
	}
	{
		PRINTED(end, .kind = END_DEBUG_EXIT, .code = 3, .insns = 1000);
		assert_string_equal(text, "debug_exit code 3 after 1000 insns");
	}
	{
		PRINTED(vmm_exit, .exit_reason = EXIT_VMM_KICK, .rip = 1);
		assert_string_equal(text, "vcpu 0 reason VMM_KICK rip 0x1 code 0 suberror 0");
	}
	{
		PRINTED(lost, .vcpu_id = 1, .count = 12);
		assert_string_equal(text, "vcpu 1 lost 12 events");
	}
}

static void numbers_and_names_of_exits_are_one_to_one(void **state)
{
	(void)state;
	assert_string_equal(svm_exit_name(0x400), "npf");
	assert_string_equal(svm_exit_name(0x18), "write_cr8");
	assert_string_equal(svm_exit_name(0x4e), "PF excp");
	assert_null(svm_exit_name(0x9999));
	for (uint32_t code = 0; code < 0x500; code++)
		if (svm_exit_name(code))
			assert_int_equal(svm_exit_by_name(svm_exit_name(code)), code);
	assert_int_equal(svm_exit_by_name("HLT"), -1);
	assert_string_equal(kvm_user_exit_name(encode_kvm_user_reason(EXIT_HLT)), "HLT");
	assert_string_equal(kvm_user_exit_name(encode_kvm_user_reason(EXIT_VMM_INTERNAL_ERROR)), "INTERNAL_ERROR");
	assert_null(kvm_user_exit_name(1000));
}

static void a_failed_entry_says_so(void **state)
{
	struct exit_row r = {.isa = ISA_VMX, .reason = 1u << 31 | EXIT_INVALID_STATE};
	char buf[48];

	(void)state;
	assert_string_equal(exit_row_name(&r, buf, sizeof(buf)), "INVALID_STATE FAILED_VMENTRY");
	r.reason = 4000;
	assert_string_equal(exit_row_name(&r, buf, sizeof(buf)), "0xfa0");
}

static void the_documentation_has_a_row_for_each_event(void **state)
{
	char *md = events_markdown();
	unsigned lines = 0;

	(void)state;
	assert_non_null(md);
	for (const char *p = md; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, EVENT_COUNT + 2);
	assert_non_null(strstr(md, "| `kvm:kvm_exit` | `unsigned int exit_reason`, `unsigned long guest_rip`"));
	free(md);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_field_lies_where_the_struct_has_it, setup, teardown),
	    cmocka_unit_test(kvm_exit_has_the_frozen_layout),
	    cmocka_unit_test_setup_teardown(an_exit_prints_its_reason_by_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(every_reason_of_the_core_has_its_name_in_the_trace, setup, teardown),
	    cmocka_unit_test_setup_teardown(port_and_memory_accesses_print_direction_and_value, setup, teardown),
	    cmocka_unit_test_setup_teardown(injections_and_entries_print, setup, teardown),
	    cmocka_unit_test_setup_teardown(our_own_events_print, setup, teardown),
	    cmocka_unit_test(numbers_and_names_of_exits_are_one_to_one),
	    cmocka_unit_test(a_failed_entry_says_so),
	    cmocka_unit_test(the_documentation_has_a_row_for_each_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
