/*
 * Kernel records: decoded by whatever format files the "host" has, here ones made up with fields at odd places, and a
 * page of the ring buffer built by hand. The last test records a real VM where the host permits it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/vm.h"
#include "modes/modes.h"
#include "tracer/kernel_decode.h"

#define COMMON                                                                         \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"         \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"         \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"

static const char header_page[] = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
				  "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
				  "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
				  "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n";

/* info1 comes before exit_reason, as on no real kernel. */
static const char fmt_exit[] =
    "name: kvm_exit\nID: 301\nformat:\n" COMMON "\tfield:u64 info1;\toffset:8;\tsize:8;\tsigned:0;\n"
    "\tfield:u32 isa;\toffset:16;\tsize:4;\tsigned:0;\n"
    "\tfield:unsigned int exit_reason;\toffset:20;\tsize:4;\tsigned:0;\n\n"
    "print fmt: \"%u\", REC->exit_reason\n";
static const char fmt_cpuid[] =
    "name: kvm_cpuid\nID: 302\nformat:\n" COMMON "\tfield:unsigned int function;\toffset:8;\tsize:4;\tsigned:0;\n"
    "\tfield:unsigned int index;\toffset:12;\tsize:4;\tsigned:0;\n\n"
    "print fmt: \"%x\", REC->function\n";
static const char fmt_mmio[] =
    "name: kvm_mmio\nID: 303\nformat:\n" COMMON "\tfield:u32 type;\toffset:8;\tsize:4;\tsigned:0;\n\n"
    "print fmt: \"%u\", REC->type\n";
static const char fmt_emulate[] =
    "name: kvm_emulate_insn\nID: 304\nformat:\n" COMMON "\tfield:__u64 rip;\toffset:8;\tsize:8;\tsigned:0;\n"
    "\tfield:__u32 csbase;\toffset:16;\tsize:4;\tsigned:0;\n"
    "\tfield:__u8 len;\toffset:20;\tsize:1;\tsigned:0;\n"
    "\tfield:__u8 insn[15];\toffset:21;\tsize:15;\tsigned:0;\n"
    "\tfield:__u8 flags;\toffset:36;\tsize:1;\tsigned:0;\n"
    "\tfield:__u8 failed;\toffset:37;\tsize:1;\tsigned:0;\n\n"
    "print fmt: \"%llx\", REC->rip\n";
static const char fmt_exception[] =
    "name: kvm_inj_exception\nID: 305\nformat:\n" COMMON "\tfield:u8 exception;\toffset:8;\tsize:1;\tsigned:0;\n\n"
    "print fmt: \"%u\", REC->exception\n";

struct bed {
	char root[64];
	uint8_t page[4096];
	size_t used;
	struct kernel_decoder *d;
};

static void put_file(const char *root, const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof full, "%s/%s", root, path);
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_event(const char *root, const char *name, const char *text)
{
	char dir[256];

	snprintf(dir, sizeof dir, "%s/events/kvm/%s", root, name);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(dir, sizeof dir, "events/kvm/%s/format", name);
	put_file(root, dir, text);
}

static int set_up(void **state)
{
	struct bed *b = test_calloc(1, sizeof *b);
	char dir[128];
	struct errmsg why = {""};

	snprintf(b->root, sizeof b->root, "/tmp/vmscope-kernel.XXXXXX");
	assert_non_null(mkdtemp(b->root));
	snprintf(dir, sizeof dir, "%s/events", b->root);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(dir, sizeof dir, "%s/events/kvm", b->root);
	assert_int_equal(mkdir(dir, 0700), 0);
	put_file(b->root, "events/header_page", header_page);
	put_event(b->root, "kvm_exit", fmt_exit);
	put_event(b->root, "kvm_cpuid", fmt_cpuid);
	put_event(b->root, "kvm_mmio", fmt_mmio);
	put_event(b->root, "kvm_emulate_insn", fmt_emulate);
	put_event(b->root, "kvm_inj_exception", fmt_exception);
	if (kernel_decoder_open(b->root, 77, &b->d, &why) != ERR_OK)
		fail_msg("%s", why.text);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *b = *state;
	char cmd[128];

	kernel_decoder_close(b->d);
	snprintf(cmd, sizeof cmd, "rm -rf %s", b->root);
	assert_int_equal(system(cmd), 0);
	test_free(b);
	return 0;
}

/* One record: length and delta word, the common fields, then what the event has. */
static void add(struct bed *b, uint16_t id, int pid, const void *fields, size_t n)
{
	uint8_t *p = b->page + 16 + b->used;
	uint32_t words = (uint32_t)(8 + n + 3) / 4, head = words | 10u << 5;

	memset(p, 0, 4 + words * 4);
	memcpy(p, &head, 4);
	memcpy(p + 4, &id, 2);
	memcpy(p + 8, &pid, 4);
	memcpy(p + 12, fields, n);
	b->used += 4 + words * 4;
}

static void add_exit(struct bed *b, int pid, uint32_t isa, uint32_t reason, uint64_t info1)
{
	uint8_t f[16];

	memcpy(f, &info1, 8);
	memcpy(f + 8, &isa, 4);
	memcpy(f + 12, &reason, 4);
	add(b, 301, pid, f, sizeof f);
}

static void add_emulated(struct bed *b, uint64_t rip, const void *insn, uint8_t len, uint8_t flags, uint8_t failed)
{
	uint8_t f[30] = {0};

	memcpy(f, &rip, 8);
	f[12] = len;
	memcpy(f + 13, insn, len);
	f[28] = flags;
	f[29] = failed;
	add(b, 304, 77, f, sizeof f);
}

static void add_exception(struct bed *b, uint8_t vector)
{
	add(b, 305, 77, &vector, 1);
}

static void decode(struct bed *b)
{
	uint64_t ts = 1000, commit = b->used;

	memcpy(b->page, &ts, 8);
	memcpy(b->page + 8, &commit, 8);
	kernel_decoder_page(b->d, b->page);
	b->used = 0;
}

static uint64_t count_of(struct bed *b, const char *event, uint32_t reason)
{
	struct kernel_count c[32];
	size_t n = kernel_decoder_counts(b->d, c, ARRAY_LEN(c));
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		if (strcmp(c[i].event, event) == 0 && c[i].reason == reason)
			sum += c[i].count;
	return sum;
}

static void fields_are_found_where_the_format_file_says(void **state)
{
	struct bed *b = *state;

	add_exit(b, 77, 1, 30, 0);
	add_exit(b, 77, 1, 30, 0);
	add_exit(b, 77, 1, 10, 0);
	decode(b);
	assert_int_equal(count_of(b, "kvm_exit", EXIT_IO_INSTRUCTION), 2);
	assert_int_equal(count_of(b, "kvm_exit", EXIT_CPUID), 1);
}

static void svm_codes_become_sdm_reasons(void **state)
{
	struct bed *b = *state;

	add_exit(b, 77, 2, 0x07b, 0);
	add_exit(b, 77, 2, 0x400, 0);
	add_exit(b, 77, 2, 0x07c, 0);
	add_exit(b, 77, 2, 0x07c, 1);
	add_exit(b, 77, 2, 0x010, 0);
	add_exit(b, 77, 2, 0xfff, 0);
	decode(b);
	assert_int_equal(count_of(b, "kvm_exit", EXIT_IO_INSTRUCTION), 1);
	assert_int_equal(count_of(b, "kvm_exit", EXIT_EPT_VIOLATION), 1);
	assert_int_equal(count_of(b, "kvm_exit", EXIT_MSR_READ), 1);
	assert_int_equal(count_of(b, "kvm_exit", EXIT_MSR_WRITE), 1);
	assert_int_equal(count_of(b, "kvm_exit", EXIT_CR_ACCESS), 1);
	assert_int_equal(count_of(b, "kvm_exit", UINT32_MAX), 1);
}

static void a_failed_entry_keeps_its_basic_reason(void **state)
{
	(void)state;
	assert_int_equal(kernel_exit_reason(1, 0x80000021u, 0), EXIT_INVALID_STATE);
	assert_int_equal(kernel_exit_reason(1, 35, 0), UINT32_MAX); /* reserved */
	assert_int_equal(kernel_exit_reason(3, 30, 0), UINT32_MAX);
}

static void other_threads_do_not_count(void **state)
{
	struct bed *b = *state;
	uint32_t leaf = 1;

	add(b, 302, 78, &leaf, 4);
	add(b, 302, 77, &leaf, 4);
	decode(b);
	assert_int_equal(count_of(b, "kvm_cpuid", EXIT_CPUID), 1);
}

static void a_read_that_waits_for_user_space_is_not_counted_twice(void **state)
{
	struct bed *b = *state;
	const uint32_t unsatisfied = 0, done = 1, write = 2;

	add(b, 303, 77, &unsatisfied, 4);
	add(b, 303, 77, &done, 4);
	add(b, 303, 77, &write, 4);
	decode(b);
	assert_int_equal(count_of(b, "kvm_mmio", EXIT_EPT_VIOLATION), 2);
}

/* The emulator looks the vendor up for itself, by the same event. */
static void only_the_guests_cpuid_counts_where_instructions_are_recorded(void **state)
{
	static const uint8_t cpuid[] = {0x0f, 0xa2}, far_ret[] = {0x48, 0xcb}, prefixed[] = {0x66, 0x48, 0x0f, 0xa2};
	static const uint32_t leaf0[2] = {0, 0};
	struct bed *b = *state;

	add(b, 302, 77, leaf0, 8); /* nothing is known yet: at most */
	decode(b);
	assert_int_equal(count_of(b, "kvm_cpuid", EXIT_CPUID), 1);
	assert_int_equal(kernel_decoder_uncertain_cpuid(b->d), 1);
	add_emulated(b, 0x1000, far_ret, 2, 9, 0);
	add(b, 302, 77, leaf0, 8);
	add_emulated(b, 0x1002, cpuid, 2, 9, 0);
	add(b, 302, 77, leaf0, 8);
	add(b, 302, 77, leaf0, 8); /* one CPUID, one exit */
	add_emulated(b, 0x1004, prefixed, 4, 9, 0);
	add(b, 302, 77, leaf0, 8);
	decode(b);
	assert_int_equal(count_of(b, "kvm_cpuid", EXIT_CPUID), 3);
	assert_int_equal(count_of(b, "kvm_cpuid", UINT32_MAX), 2);
	assert_int_equal(kernel_decoder_uncertain_cpuid(b->d), 1);
}

static void an_instruction_that_the_kernel_answers_with_ud_is_named(void **state)
{
	static const uint8_t int_2f[] = {0xcd, 0x2f}, ud2[] = {0x0f, 0x0b}, iretq[] = {0x48, 0xcf};
	struct bed *b = *state;
	struct kernel_refused r;

	add_emulated(b, 0x1000, ud2, 2, 9, 1); /* #UD is right */
	add_exception(b, 6);
	add_emulated(b, 0x2000, iretq, 2, 9, 1);  /* the host finds another way */
	add_emulated(b, 0x3000, int_2f, 2, 9, 0); /* not failed */
	add_exception(b, 6);
	decode(b);
	kernel_decoder_refused(b->d, &r);
	assert_int_equal(r.count, 0);
	add_emulated(b, 0x4000, int_2f, 2, 9, 1);
	add_exception(b, 6);
	add_emulated(b, 0x5000, iretq, 2, 9, 1);
	add_exception(b, 6);
	decode(b);
	kernel_decoder_refused(b->d, &r);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.rip, 0x4000);
	assert_int_equal(r.n_bytes, 2);
	assert_int_equal(r.bytes[0], 0xcd);
	assert_string_equal(r.mnemonic, "int");
}

static void no_formats_give_one_precise_line(void **state)
{
	struct kernel_decoder *d;
	struct errmsg why = {""};
	(void)state;

	assert_int_not_equal(kernel_decoder_open("/nonexistent", 1, &d, &why), ERR_OK);
	assert_non_null(strstr(why.text, "kernel events: "));
	assert_null(d);
}

static void a_real_vm_leaves_its_mark_and_the_instance_is_removed(void **state)
{
	/* out 0xe0,al x 3; hlt */
	static const uint8_t code[] = {0xe6, 0xe0, 0xe6, 0xe0, 0xe6, 0xe0, 0xf4};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = &mode_virtualize_type2_ops,
	    .guest = "out",
	    .mem_size = 1 << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_HOST};
	struct kernel_trace_config kc = {.tid = 0};
	struct kernel_row rows[EXIT_SDM_COUNT];
	struct kernel_totals totals;
	struct kernel_trace *t = NULL;
	struct errmsg why = {""};
	struct x86_state *s;
	char dir[128];
	struct vm *vm;
	uint64_t io = 0;
	(void)state;

	if (cfg.mode->probe(cfg.host, &why) != ERR_OK || kernel_trace_open(&kc, &t, &why) != ERR_OK) {
		print_message("%s\n", why.text);
		skip();
	}
	snprintf(dir, sizeof dir, "%s", kernel_trace_dir(t));
	assert_int_equal(access(dir, F_OK), 0);
	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	assert_int_equal(mem_write(&vm->mem, 0x7c00, code, sizeof code), ERR_OK);
	s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);
	s->seg[X86_CS].base = 0;
	s->seg[X86_CS].sel = 0;
	s->rip = 0x7c00;
	assert_int_equal(kernel_trace_start(t, &why), ERR_OK);
	assert_int_equal(vm_run(vm), ERR_OK);
	kernel_trace_stop(t);
	kernel_trace_totals(t, &totals);
	for (size_t i = 0, n = kernel_trace_rows(t, rows, ARRAY_LEN(rows)); i < n; i++)
		if (rows[i].reason == EXIT_IO_INSTRUCTION)
			io = rows[i].count;
	assert_int_equal(io, 3);
	assert_int_equal(totals.lost, 0);
	assert_true(totals.userspace_exits >= 4);
	assert_true(totals.hardware_exits || totals.emulated_insns);
	assert_int_equal(totals.emulates, !totals.hardware_exits);
	kernel_trace_close(t);
	assert_int_not_equal(access(dir, F_OK), 0);
	vm_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(fields_are_found_where_the_format_file_says, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(svm_codes_become_sdm_reasons, set_up, tear_down),
	    cmocka_unit_test(a_failed_entry_keeps_its_basic_reason),
	    cmocka_unit_test_setup_teardown(other_threads_do_not_count, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_read_that_waits_for_user_space_is_not_counted_twice, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		only_the_guests_cpuid_counts_where_instructions_are_recorded, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(an_instruction_that_the_kernel_answers_with_ud_is_named, set_up, tear_down),
	    cmocka_unit_test(no_formats_give_one_precise_line),
	    cmocka_unit_test(a_real_vm_leaves_its_mark_and_the_instance_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
