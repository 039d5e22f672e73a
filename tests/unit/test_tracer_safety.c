/* Resource control: each audit finds the one thing that is wrong, and names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/vm.h"
#include "tracer/safety.h"

static struct mode_mapping map;
static size_t n_maps;

static size_t report_map(struct vm *vm, struct mode_mapping *out, size_t max)
{
	(void)vm;
	if (n_maps && max)
		out[0] = map;
	return n_maps;
}

static struct mode_ops ops = {.name = "fake", .mappings = report_map};

static struct vm *vm;
static struct vcpu vcpu;
static uint8_t ram[4 * PAGE_SIZE_4K], rom[PAGE_SIZE_4K];

/* 12 KiB of RAM at 0, a page of ROM at 1 MiB. */
static int setup(void **state)
{
	(void)state;
	struct errmsg why;
	vm = calloc(1, sizeof *vm);
	if (!vm || controls_set(&vm->controls, "kvm-user", &why))
		return 1;
	vcpu = (struct vcpu){.vm = vm};
	ops.mode = MODE_VIRTUALIZE;
	ops.type = VMM_TYPE_II;
	vm->cfg.host = &host_posix_ops;
	vm->cfg.mode = &ops;
	vm->cfg.controls = "kvm-user";
	vm->vcpus = &vcpu;
	vm->n_vcpus = 1;
	vm->mem.ram = ram;
	vm->mem.n_slots = 2;
	vm->mem.slots[0] = (struct mem_slot){0, 3 * PAGE_SIZE_4K, ram, ram, "ram"};
	vm->mem.slots[1] = (struct mem_slot){0x100000, PAGE_SIZE_4K, rom, NULL, "rom"};
	map = (struct mode_mapping){0, 3 * PAGE_SIZE_4K, ram, true};
	n_maps = 1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(vm);
	return 0;
}

static bool other_program(struct vcpu *v, char *buf, size_t n)
{
	assert_ptr_equal(v, &vcpu);
	strncpy(buf, "the EPTP leads elsewhere", n - 1);
	buf[n - 1] = 0;
	return false;
}

static bool same_program(struct vcpu *v, char *buf, size_t n)
{
	(void)v;
	(void)buf;
	(void)n;
	return true;
}

static void violated_by(const char *what)
{
	struct safety s;
	safety_audit(vm, 0, &s);
	assert_int_equal(s.verdict.state, PG_VIOLATED);
	if (!strstr(s.verdict.evidence, what))
		fail_msg("\"%s\" does not say \"%s\"", s.verdict.evidence, what);
}

static void a_clean_machine_holds(void **state)
{
	(void)state;
	struct safety s;
	vcpu.counts.longest_guest_ns = 7000000;
	safety_audit(vm, 0, &s);
	assert_string_equal(pg_state_name(s.verdict.state), "holds");
	assert_int_equal(s.mappings, 1);
	assert_int_equal(s.bytes, 3 * PAGE_SIZE_4K);
	assert_int_equal(s.longest_ns, 7000000);
}

static void the_evidence_claims_no_more_than_was_audited(void **state)
{
	(void)state;
	struct safety s;
	safety_audit(vm, 0, &s);
	assert_non_null(strstr(s.verdict.evidence, "1 mappings (12 KiB) lie inside the guest's memory; KVM"));
	assert_non_null(strstr(s.verdict.evidence, "KVM accepted an MSR filter equal to profile kvm-user; longest"));
	n_maps = 0;
	safety_audit(vm, 0, &s);
	assert_int_equal(s.verdict.state, PG_HOLDS);
	assert_non_null(strstr(s.verdict.evidence, "nothing is mapped yet: no memory can be reached; KVM accepted"));
	ops.mode = MODE_SIMULATE;
	n_maps = 0;
	safety_audit(vm, 0, &s);
	assert_int_equal(s.verdict.state, PG_HOLDS);
	assert_non_null(strstr(s.verdict.evidence, "no guest memory is mapped: nothing to audit; longest"));
}

static void a_mapping_past_the_end_of_memory_is_found(void **state)
{
	(void)state;
	map.len += PAGE_SIZE_4K;
	violated_by("gpa 0x3000");
}

static void a_mapping_to_other_host_memory_is_found(void **state)
{
	(void)state;
	map.host = ram + PAGE_SIZE_4K;
	violated_by("other host memory");
}

static void a_writable_rom_is_found(void **state)
{
	(void)state;
	map = (struct mode_mapping){0x100000, PAGE_SIZE_4K, rom, true};
	violated_by("slot rom is not");
	map.write = false;
	struct safety s;
	safety_audit(vm, 0, &s);
	assert_int_equal(s.verdict.state, PG_HOLDS);
}

static void a_changed_control_is_found_by_name(void **state)
{
	(void)state;
	vm->controls.io_bitmap[0x3f8 / 8] ^= 1;
	violated_by("io_bitmap");
	vm->controls.io_bitmap[0x3f8 / 8] ^= 1;
	vm->controls.exceptions ^= 1u << 14;
	violated_by("exceptions");
	vm->controls.exceptions ^= 1u << 14;
	vm->controls.msr_bitmap[5] ^= 1; /* as a backend reads it back */
	violated_by("msr_bitmap");
}

static void another_profile_than_asked_for_is_found(void **state)
{
	(void)state;
	vm->cfg.controls = "all";
	violated_by("all was asked for");
}

static void too_long_without_an_exit_is_found(void **state)
{
	(void)state;
	vcpu.counts.longest_guest_ns = SAFETY_INTERVAL_NS + 1;
	violated_by("without an exit");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void what_else_was_programmed_counts(void **state)
{
	struct safety s;
	(void)state;
	ops.type = VMM_TYPE_I;
	ops.programmed = same_program;
	safety_audit(vm, 0, &s);
	assert_int_equal(s.verdict.state, PG_HOLDS);
	assert_non_null(strstr(s.verdict.evidence, "controls, tables and host state read back"));
	ops.programmed = other_program;
	violated_by("controls: the EPTP leads elsewhere");
	ops.programmed = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_clean_machine_holds),
	    TEST(the_evidence_claims_no_more_than_was_audited),
	    TEST(a_mapping_past_the_end_of_memory_is_found),
	    TEST(a_mapping_to_other_host_memory_is_found),
	    TEST(a_writable_rom_is_found),
	    TEST(a_changed_control_is_found_by_name),
	    TEST(another_profile_than_asked_for_is_found),
	    TEST(what_else_was_programmed_counts),
	    TEST(too_long_without_an_exit_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
