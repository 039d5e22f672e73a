/* The reader on what others made: kernel traces, report text, and files that are cut off or damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <traceevent/event-parse.h>

#include "tests/trace_fixture.h"
#include "tracer/events.h"
#include "tracer/reader.h"

/* --- a kernel's trace, built with the writer ---------------------------------------------------------------------- */

#define COMMON                                                                         \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"         \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"         \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"

/* As Linux 6.18 has it: the trailing field "requests", and reasons of both vendors in the print format. */
static const struct trace_dat_format formats[] = {
    {"kvm",
	"name: kvm_exit\nID: 103\nformat:\n" COMMON "\tfield:unsigned int exit_reason;\toffset:8;\tsize:4;\tsigned:0;\n"
	"\tfield:unsigned long guest_rip;\toffset:16;\tsize:8;\tsigned:0;\n"
	"\tfield:u32 isa;\toffset:24;\tsize:4;\tsigned:0;\n"
	"\tfield:u64 info1;\toffset:32;\tsize:8;\tsigned:0;\n"
	"\tfield:u64 info2;\toffset:40;\tsize:8;\tsigned:0;\n"
	"\tfield:u32 intr_info;\toffset:48;\tsize:4;\tsigned:0;\n"
	"\tfield:u32 error_code;\toffset:52;\tsize:4;\tsigned:0;\n"
	"\tfield:unsigned int vcpu_id;\toffset:56;\tsize:4;\tsigned:0;\n"
	"\tfield:u64 requests;\toffset:64;\tsize:8;\tsigned:0;\n\n"
	"print fmt: \"vcpu %u reason %s%s%s rip 0x%lx info1 0x%016llx requests 0x%016llx\", REC->vcpu_id, (REC->isa == "
	"1) ? __print_symbolic(REC->exit_reason & 0xffff, { 0, \"EXCEPTION_NMI\" }, { 12, \"HLT\" }) : "
	"__print_symbolic(REC->exit_reason, { 0x040 + 14, \"PF excp\" }, { 0x078, \"hlt\" }, { 0x400, \"npf\" }), "
	"(REC->isa == 1 && REC->exit_reason & ~0xffff) ? \" \" : \"\", (REC->isa == 1) ? "
	"__print_flags(REC->exit_reason & ~0xffff, \" \", { 0x80000000, \"FAILED_VMENTRY\" }) : \"\", REC->guest_rip, "
	"REC->info1, REC->requests\n"},
    {"kvm",
	"name: kvm_entry\nID: 115\nformat:\n" COMMON "\tfield:unsigned int vcpu_id;\toffset:8;\tsize:4;\tsigned:0;\n"
	"\tfield:unsigned long rip;\toffset:16;\tsize:8;\tsigned:0;\n\n"
	"print fmt: \"vcpu %u, rip 0x%lx\", REC->vcpu_id, REC->rip\n"},
    {"kvm",
	"name: kvm_userspace_exit\nID: 42\nformat:\n" COMMON "\tfield:__u32 reason;\toffset:8;\tsize:4;\tsigned:0;\n"
	"\tfield:int errno;\toffset:12;\tsize:4;\tsigned:1;\n\n"
	"print fmt: \"reason %u\", REC->reason\n"},
    {"kvm", "name: kvm_pio\nID: 110\nformat:\n" COMMON "\tfield:unsigned int rw;\toffset:8;\tsize:4;\tsigned:0;\n"
	    "\tfield:unsigned int port;\toffset:12;\tsize:4;\tsigned:0;\n\nprint fmt: \"port 0x%x\", REC->port\n"},
    {"kvm", "name: kvm_emulate_insn\nID: 90\nformat:\n" COMMON "\tfield:__u64 rip;\toffset:8;\tsize:8;\tsigned:0;\n\n"
	    "print fmt: \"%llx\", REC->rip\n"},
    {"sched", "name: sched_switch\nID: 300\nformat:\n" COMMON
	      "\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\nprint fmt: \"%s\", REC->prev_comm\n"},
};

struct linux_exit {
	struct event_common common;
	uint32_t reason, pad;
	uint64_t rip;
	uint32_t isa, pad2;
	uint64_t info1, info2;
	uint32_t intr_info, error_code, vcpu_id, pad3;
	uint64_t requests;
};
struct linux_words {
	struct event_common common;
	uint32_t a, b;
	uint64_t c;
};

static struct trace_dat *new_kernel_trace(const char *path)
{
	struct trace_dat_config c = {.path = path,
	    .lanes = 2,
	    .clock = "mono",
	    .writer = "Linux",
	    .comm = "x",
	    .cmdlines = "1234 qemu-system-x86\n1235 CPU 1/KVM\n",
	    .formats = formats,
	    .n_formats = ARRAY_LEN(formats)};
	struct trace_dat *td;
	struct errmsg why = {""};

	if (trace_dat_create(&c, &td, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return td;
}

static void put_exit(struct trace_dat *td, unsigned cpu, uint64_t ts, int pid, uint32_t isa, uint32_t reason)
{
	struct linux_exit e = {.common = {.type = 103, .pid = pid},
	    .reason = reason,
	    .rip = 0xffffffff81000000ull + reason,
	    .isa = isa,
	    .info1 = 5,
	    .vcpu_id = (uint32_t)pid - 1234,
	    .requests = 0x20};

	assert_int_equal(trace_dat_write(td, cpu, ts, &e, sizeof(e), 0), ERR_OK);
}

static void put_words(struct trace_dat *td, unsigned cpu, uint64_t ts, int pid, unsigned type, uint32_t a, uint32_t b)
{
	struct linux_words e = {.common = {.type = (uint16_t)type, .pid = pid}, .a = a, .b = b};

	assert_int_equal(trace_dat_write(td, cpu, ts, &e, sizeof(e), 0), ERR_OK);
}

static struct trace_reader *open_reader(const char *path)
{
	struct trace_reader *r;
	struct errmsg why = {""};

	if (reader_open(path, &r, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return r;
}

static struct exit_stats *stats_of(const char *path, enum stats_by by)
{
	struct exit_stats *s = stats_new(by);
	struct trace_reader *r = open_reader(path);

	reader_stats(r, s);
	reader_close(r);
	return s;
}

static const struct stats_row *row_named(const struct exit_stats *s, const char *name)
{
	for (size_t i = 0; i < s->n_rows; i++)
		if (strcmp(s->rows[i].name, name) == 0)
			return &s->rows[i];
	fail_msg("no row %s", name);
	return NULL;
}

static void a_kernel_trace_pairs_exits_with_entries(void **state)
{
	const char *path = trace_tmp("kernel.dat");
	struct trace_dat *td = new_kernel_trace(path);
	struct exit_stats *s;
	const struct stats_row *r;

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		/* Two vCPUs, which move between the CPUs. */
		put_exit(td, (unsigned)i & 1, i * 10000, 1234, 1, EXIT_HLT);
		put_exit(td, (unsigned)~i & 1, i * 10000 + 5, 1235, 1, EXIT_EPT_VIOLATION);
		put_words(td, (unsigned)~i & 1, i * 10000 + 305, 1235, 115, 1, 0);
		put_words(td, (unsigned)i & 1, i * 10000 + 2000, 1234, 115, 0, 0);
	}
	put_exit(td, 0, 2000000, 1234, 1, EXIT_HLT); /* no entry follows */
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);

	s = stats_of(path, STATS_BY_REASON);
	assert_int_equal(s->total, 201);
	r = row_named(s, "HLT");
	assert_int_equal(r->samples, 101);
	assert_int_equal(r->timed, 100);
	assert_int_equal(r->min_ns, 2000);
	assert_int_equal(r->max_ns, 2000);
	assert_int_equal(r->modelled, 0);
	assert_int_equal(r->observed, 1 << OBSERVED_KERNEL);
	assert_int_equal(row_named(s, "EPT_VIOLATION")->sum_ns, 30000);
	stats_free(s);

	s = stats_of(path, STATS_BY_VCPU);
	assert_int_equal(s->n_rows, 2);
	assert_int_equal(row_named(s, "vcpu 1")->samples, 100);
	stats_free(s);
	s = stats_of(path, STATS_BY_GUEST);
	assert_int_equal(row_named(s, "qemu-system-x86")->samples, 101);
	assert_int_equal(row_named(s, "CPU 1/KVM")->samples, 100);
	stats_free(s);
	s = stats_of(path, STATS_BY_RIP);
	assert_int_equal(row_named(s, "0xffffffff8100000c")->samples, 101);
	stats_free(s);
}

static void exits_of_an_amd_cpu_keep_their_names(void **state)
{
	const char *path = trace_tmp("svm.dat");
	struct trace_dat *td = new_kernel_trace(path);
	struct trace_seq seq;
	struct trace_reader *r;
	struct trace_event e;
	struct exit_stats *s;

	(void)state;
	put_exit(td, 0, 10, 1234, 2, 0x400);
	put_exit(td, 0, 20, 1234, 2, 0x78);
	put_exit(td, 0, 30, 1234, 2, 0x4e);
	put_exit(td, 0, 40, 1234, 2, 12); /* no SVM code: certainly not HLT */
	put_exit(td, 0, 50, 1234, 1, 1u << 31 | 33);
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);
	s = stats_of(path, STATS_BY_REASON);
	assert_int_equal(row_named(s, "npf")->isa, ISA_SVM);
	row_named(s, "hlt");
	row_named(s, "PF excp");
	row_named(s, "0xc");
	row_named(s, "INVALID_STATE FAILED_VMENTRY");
	assert_int_equal(s->total, 5);
	stats_free(s);

	/* libtraceevent prints the foreign format, the trailing field included */
	r = open_reader(path);
	assert_true(reader_next(r, &e));
	trace_seq_init(&seq);
	tep_print_event(reader_tep(r), &seq,
	    &(struct tep_record){.data = (void *)(uintptr_t)e.data, .size = (int)e.size}, "%s", TEP_PRINT_INFO);
	trace_seq_terminate(&seq);
	assert_string_equal(seq.buffer, "vcpu 0 reason npf rip 0xffffffff81000400 info1 0x0000000000000005 requests "
					"0x0000000000000020");
	trace_seq_destroy(&seq);
	reader_close(r);
}

static void user_space_exits_are_children(void **state)
{
	const char *path = trace_tmp("user.dat");
	struct trace_dat *td = new_kernel_trace(path);
	struct exit_stats *s;

	(void)state;
	for (uint64_t i = 0; i < 10; i++) {
		put_exit(td, 0, i * 1000, 1234, 1, EXIT_IO_INSTRUCTION);
		put_words(td, 0, i * 1000 + 10, 1234, 110, 1, 0x3f8); /* inside an exit: no row of its own */
		put_words(td, 0, i * 1000 + 100, 1234, 42, 2, 0);
		put_words(td, 0, i * 1000 + 500, 1234, 115, 0, 0);
	}
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);
	s = stats_of(path, STATS_BY_REASON);
	assert_int_equal(s->total, 10);
	assert_int_equal(s->n_rows, 2);
	assert_int_equal(row_named(s, "IO_INSTRUCTION")->sum_ns, 5000);
	assert_true(row_named(s, "KVM_EXIT_IO")->child);
	assert_int_equal(row_named(s, "KVM_EXIT_IO")->samples, 10);
	stats_free(s);
}

/* kvm_pvm: the kernel's emulator runs everything; kvm_exit never fires. */
static void a_host_that_emulates_everything_is_labelled_so(void **state)
{
	const char *path = trace_tmp("pvm.dat");
	struct trace_dat *td = new_kernel_trace(path);
	struct exit_stats *s;

	(void)state;
	for (uint64_t i = 0; i < 30; i++) {
		put_words(td, 0, i * 100, 1234, 90, 0, 0);
		if (i % 3 == 0)
			put_words(td, 0, i * 100 + 1, 1234, 110, 1, 0x3f8);
	}
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);
	s = stats_of(path, STATS_BY_REASON);
	assert_int_equal(s->emulated, 30);
	assert_int_equal(s->total, 10);
	assert_int_equal(row_named(s, "IO_INSTRUCTION")->observed, 1 << OBSERVED_KERNEL_EMULATOR);
	assert_int_equal(s->timed, 0);
	stats_free(s);
}

/* What only the VMM's process saw (HLT on such a host) is that exit; what the kernel traced too is counted once. */
static void an_exit_that_no_kernel_event_shows_counts_once(void **state)
{
	const char *path = trace_tmp("own-pvm.dat");
	struct vm *vm = trace_fake_vm(1, CLOCK_HOST);
	struct tracer_config c = {.path = path,
	    .stats = true,
	    .policy = TRACER_BLOCK,
	    .formats = formats,
	    .n_formats = ARRAY_LEN(formats),
	    .host_lanes = 2,
	    .cmdlines = "4711 vmscope\n"};
	struct exit_stats *s;
	struct tracer *t;
	unsigned hlt = 0;

	(void)state;
	assert_int_equal(tracer_open(vm, &c, &t, NULL), ERR_OK);
	for (unsigned i = 0; i < 30; i++) {
		struct linux_words e = {.common = {.type = 110, .pid = 4711}, .a = 1, .b = 0x3f8};

		tracer_raw(t, i % 2, vm->clock.start_ns + i * 10, &e, sizeof(e), 0);
	}
	trace_fake_run(vm, 100); /* 30 IO, 10 each of CPUID, EPT, RDMSR, HLT, CR, WRMSR, and 10 of the VMM's own */
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	trace_fake_vm_free(vm);
	s = stats_of(path, STATS_BY_REASON);
	assert_int_equal(s->total, 90);
	for (size_t i = 0; i < s->n_rows; i++) {
		const struct stats_row *r = &s->rows[i];

		if (strcmp(r->name, "HLT") == 0 && !r->child)
			hlt += (unsigned)r->samples;
		if (strcmp(r->name, "IO_INSTRUCTION") == 0)
			assert_int_equal(r->child, r->observed == 1 << OBSERVED_VMM);
	}
	assert_int_equal(hlt, 10);
	stats_free(s);
	s = stats_of(path, STATS_BY_GUEST);
	assert_int_equal(s->total, 90);
	stats_free(s);
}

/* --- text --------------------------------------------------------------------------------------------------------- */

static void both_styles_of_report_text_are_read(void **state)
{
	static const char text[] =
	    "version = 6\ncpus=2\nCPU 1 is empty\n"
	    " qemu-system-x86-1234  [000] 12345.000001: kvm_exit:             reason HLT rip 0xffffffff81000000 info 0 "
	    "0\n"
	    " qemu-system-x86-1234  [000] 12345.000003: kvm_entry:            vcpu 0 rip 0xffffffff81000001\n"
	    " CPU 1/KVM [x]-99    [001] d..2 12345.000010500: kvm_exit: vcpu 3 reason EPT_VIOLATION rip 0x10 info1 "
	    "0x0000000000000181 info2 0x0000000000000007 intr_info 0x00000000 error_code 0x00000000\n"
	    " CPU 1/KVM [x]-99    [001] d..2 12345.000011750: kvm_entry: vcpu 3, rip 0x10\n"
	    "CPU:1 [77 EVENTS DROPPED]\n"
	    "      qemu-99    [001] 12345.000020: kvm_exit:             reason npf rip 0x20 info 100000006 fee00000\n"
	    "      qemu-99    [001] 12345.000021: kvm_exit:             reason PF excp rip 0x20 info 0 0\n"
	    "      qemu-99    [001] 12345.000022: kvm_exit:             reason PENDING_INTERRUPT rip 0x20 info 0 0\n"
	    "      qemu-99    [001] 12345.000023: kvm_pio:              pio_write at 0x3f8 size 1 count 1 val 0x41\n";
	const char *path = trace_tmp("report.txt");
	struct exit_stats *s;

	(void)state;
	assert_true(trace_file_write(path, text, sizeof(text) - 1));
	s = stats_of(path, STATS_BY_REASON);
	assert_int_equal(s->total, 5);
	assert_int_equal(s->lost, 77);
	assert_int_equal(row_named(s, "HLT")->sum_ns, 2000);
	assert_int_equal(row_named(s, "EPT_VIOLATION")->sum_ns, 1250);
	assert_int_equal(row_named(s, "npf")->isa, ISA_SVM);
	assert_int_equal(row_named(s, "PF excp")->samples, 1);
	assert_int_equal(row_named(s, "INTERRUPT_WINDOW")->samples, 1);
	stats_free(s);
	s = stats_of(path, STATS_BY_VCPU);
	assert_int_equal(row_named(s, "vcpu 3")->samples, 1);
	stats_free(s);
	s = stats_of(path, STATS_BY_RIP);
	assert_int_equal(row_named(s, "0xffffffff81000000")->samples, 1);
	assert_int_equal(row_named(s, "0x20")->samples, 3);
	stats_free(s);
}

static void write_own_trace(const char *path, unsigned exits)
{
	struct vm *vm = trace_fake_vm(2, CLOCK_VIRTUAL);
	struct tracer_config c = {.path = path};
	struct tracer *t;

	assert_int_equal(tracer_open(vm, &c, &t, NULL), ERR_OK);
	trace_fake_run(vm, exits);
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	trace_fake_vm_free(vm);
}

static void the_text_of_a_trace_gives_the_same_statistics(void **state)
{
	const char *path = trace_tmp("own.dat"), *text = trace_tmp("own.txt");
	struct exit_stats *a, *b;
	char command[300], *out;
	int status;

	(void)state;
	if (!trace_have_command("trace-cmd")) {
		print_message("skipped: trace-cmd is not installed\n");
		skip();
	}
	write_own_trace(path, 5000);
	snprintf(command, sizeof(command), "trace-cmd report -t %s", path);
	out = trace_command(command, &status);
	assert_true(trace_file_write(text, out, strlen(out)));
	free(out);
	a = stats_of(path, STATS_BY_REASON);
	b = stats_of(text, STATS_BY_REASON);
	assert_int_equal(a->total, 4500);
	assert_int_equal(a->total, b->total);
	assert_int_equal(a->total_ns, b->total_ns);
	assert_int_equal(a->modelled, b->modelled);
	stats_free(a);
	stats_free(b);
}

/* --- bad input ---------------------------------------------------------------------------------------------------- */

static void refused(const char *path, enum err want, const char *words)
{
	struct trace_reader *r = NULL;
	struct errmsg why = {""};

	assert_int_equal(reader_open(path, &r, &why), want);
	assert_null(r);
	assert_null(strchr(why.text, '\n'));
	if (!strstr(why.text, words))
		fail_msg("'%s' does not say '%s'", why.text, words);
}

static void bad_files_are_one_line_that_says_what_to_do(void **state)
{
	const char *path = trace_tmp("bad");

	(void)state;
	refused("/nonexistent/file", ERR_NOENT, "/nonexistent/file");
	refused("/tmp", ERR_INVAL, "directory");
	refused("/dev/null", ERR_INVAL, "regular file");
	assert_true(trace_file_write(path, "", 0));
	refused(path, ERR_FORMAT, "empty");
	assert_true(trace_file_write(path, "hello", 5));
	refused(path, ERR_FORMAT, "neither a trace.dat nor the text");
	assert_true(trace_file_write(path, "\x17\x08\x44tracing7\0\0\x08", 14));
	refused(path, ERR_UNSUPPORTED, "trace-cmd convert --file-version 6");
	assert_true(trace_file_write(path, "\x17\x08\x44tracing6\0\1\x08", 14));
	refused(path, ERR_UNSUPPORTED, "big-endian");
	assert_true(trace_file_write(path, "\x17\x08\x44tracing6\0\0\x08", 14));
	refused(path, ERR_FORMAT, "cut off");
}

/* Reads everything there is; how many events came. */
static uint64_t exhaust(const char *path, bool *damaged)
{
	struct exit_stats *s = stats_new(STATS_BY_REASON);
	struct errmsg why = {""};
	struct trace_reader *r;
	struct trace_event e;
	struct trace_seq seq;
	uint64_t n = 0;

	*damaged = true;
	if (reader_open(path, &r, &why) == ERR_OK) {
		reader_stats(r, s);
		reader_close(r);
	} else {
		assert_true(why.text[0] != '\0');
		stats_free(s);
		return 0;
	}
	stats_free(s);
	assert_int_equal(reader_open(path, &r, &why), ERR_OK);
	trace_seq_init(&seq);
	for (; reader_next(r, &e); n++)
		if (e.format && n < 200) {
			trace_seq_reset(&seq);
			tep_print_event(reader_tep(r), &seq,
			    &(struct tep_record){.data = (void *)(uintptr_t)e.data, .size = (int)e.size}, "%s",
			    TEP_PRINT_INFO);
		}
	*damaged = reader_damage(r) != NULL;
	trace_seq_destroy(&seq);
	reader_close(r);
	return n;
}

static void a_file_cut_off_anywhere_gives_what_it_holds(void **state)
{
	const char *path = trace_tmp("whole.dat"), *cut = trace_tmp("cut.dat");
	size_t n;
	uint8_t *bytes;
	uint64_t whole, last = 0, some = 0;
	bool damaged;

	(void)state;
	write_own_trace(path, 1500);
	bytes = trace_file_bytes(path, &n);
	whole = exhaust(path, &damaged);
	assert_false(damaged);
	for (size_t len = 0; len < n; len += len < 200 ? 1 : 2999) {
		assert_true(trace_file_write(cut, bytes, len));
		uint64_t got = exhaust(cut, &damaged);

		assert_true(damaged);
		assert_true(got < whole);
		assert_true(got >= last); /* more file, not fewer events */
		last = got;
		some += got > 0;
	}
	assert_true(some > 10);
	free(bytes);
}

static uint64_t random_state = 1;

static uint32_t next_random(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 33) % below;
}

static void a_damaged_file_never_crashes_the_reader(void **state)
{
	const char *path = trace_tmp("good.dat"), *bad = trace_tmp("damaged.dat");
	size_t n;
	uint8_t *bytes, *copy;
	uint64_t readable = 0;
	bool damaged;

	(void)state;
	write_own_trace(path, 300);
	bytes = trace_file_bytes(path, &n);
	copy = malloc(n);
	for (unsigned round = 0; round < 240; round++) {
		/* a third in the header, a third in the pages, a third anywhere; from one bit to a burst */
		size_t from = round % 3 == 1 ? n - 40960 : 0, span = round % 3 == 0 ? n - 40960 : n - from;
		unsigned flips = 1u << next_random(6);

		memcpy(copy, bytes, n);
		for (unsigned i = 0; i < flips; i++)
			copy[from + next_random((uint32_t)span)] ^= (uint8_t)(1u << next_random(8));
		if (round % 7 == 0)
			memset(copy + next_random((uint32_t)(n - 64)), (int)next_random(256), 1 + next_random(64));
		assert_true(trace_file_write(bad, copy, n));
		readable += exhaust(bad, &damaged) > 0;
	}
	assert_true(readable > 40); /* or the test would prove little */
	free(copy);
	free(bytes);
}

static void damaged_text_never_crashes_the_reader(void **state)
{
	static const char line[] = " qemu-1234  [000] 1.000001: kvm_exit: reason HLT rip 0xffffffff81000000 info 0 0\n";
	const char *path = trace_tmp("damaged.txt");
	char text[40 * sizeof(line)];
	bool damaged;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		size_t n = 0;

		for (unsigned i = 0; i < 40; i++, n += sizeof(line) - 1)
			memcpy(text + n, line, sizeof(line));
		for (unsigned i = 0; i < 20; i++)
			text[next_random((uint32_t)n)] = (char)(1 + next_random(255));
		assert_true(trace_file_write(path, text, n));
		exhaust(path, &damaged);
	}
}

static int cleanup(void **state)
{
	(void)state;
	trace_tmp_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_kernel_trace_pairs_exits_with_entries),
	    cmocka_unit_test(exits_of_an_amd_cpu_keep_their_names),
	    cmocka_unit_test(user_space_exits_are_children),
	    cmocka_unit_test(a_host_that_emulates_everything_is_labelled_so),
	    cmocka_unit_test(an_exit_that_no_kernel_event_shows_counts_once),
	    cmocka_unit_test(both_styles_of_report_text_are_read),
	    cmocka_unit_test(the_text_of_a_trace_gives_the_same_statistics),
	    cmocka_unit_test(bad_files_are_one_line_that_says_what_to_do),
	    cmocka_unit_test(a_file_cut_off_anywhere_gives_what_it_holds),
	    cmocka_unit_test(a_damaged_file_never_crashes_the_reader),
	    cmocka_unit_test(damaged_text_never_crashes_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, cleanup);
}
