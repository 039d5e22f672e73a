/* The tracer on a VM that does not run: what the probe records, live and on disk, under both policies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/trace_fixture.h"
#include "tracer/events.h"
#include "tracer/reader.h"

static struct tracer *open_tracer(struct vm *vm, const struct tracer_config *c)
{
	struct tracer *t;
	struct errmsg why = {""};

	if (tracer_open(vm, c, &t, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return t;
}

static struct exit_stats *stats_of_file(const char *path, enum stats_by by)
{
	struct exit_stats *s = stats_new(by);
	struct trace_reader *r;
	struct errmsg why = {""};

	if (reader_open(path, &r, &why) != ERR_OK)
		fail_msg("%s", why.text);
	reader_stats(r, s);
	assert_null(reader_damage(r));
	reader_close(r);
	return s;
}

static void live_statistics_equal_those_of_the_file(void **state)
{
	const char *path = trace_tmp("live.dat");
	struct vm *vm = trace_fake_vm(3, CLOCK_VIRTUAL);
	struct tracer_config c = {.path = path, .stats = true, .ring_records = 64};
	struct tracer *t = open_tracer(vm, &c);
	const struct exit_stats *live;
	struct exit_stats *file;

	(void)state;
	trace_fake_run(vm, 30000);
	assert_int_equal(tracer_finish(t, NULL), ERR_OK);
	live = tracer_stats(t);
	file = stats_of_file(path, STATS_BY_REASON);
	assert_int_equal(live->total, 27000);
	assert_int_equal(live->total, file->total);
	assert_int_equal(live->total_ns, file->total_ns);
	assert_int_equal(live->lost, 0);
	assert_int_equal(file->lost, 0);
	assert_int_equal(live->n_rows, file->n_rows);
	for (size_t i = 0; i < live->n_rows; i++) {
		const struct stats_row *a = &live->rows[i], *b = &file->rows[i];

		assert_string_equal(a->name, b->name);
		assert_int_equal(a->samples, b->samples);
		assert_int_equal(a->sum_ns, b->sum_ns);
		assert_int_equal(a->modelled, b->modelled);
		assert_int_equal(a->modelled, a->samples);
		assert_int_equal(a->direct_sum, b->direct_sum);
		assert_int_equal(a->direct_n, b->direct_n);
		assert_int_equal(a->child, b->child);
		assert_int_equal(a->observed, b->observed);
		assert_int_equal(hist_percentile(&a->hist, 95), hist_percentile(&b->hist, 95));
	}
	stats_free(file);
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	trace_fake_vm_free(vm);
}

static void the_session_and_the_end_are_in_the_file(void **state)
{
	const char *path = trace_tmp("session.dat");
	struct vm *vm = trace_fake_vm(2, CLOCK_VIRTUAL);
	struct tracer_config c = {.path = path};
	struct tracer *t = open_tracer(vm, &c);
	struct trace_reader *r;
	struct trace_event e;
	const struct event_session *s;
	uint64_t kind = 99, n = 0, value;

	(void)state;
	vm->cfg.seed = 42;
	trace_fake_run(vm, 10);
	vm->end = (struct vm_end){.kind = END_TRIPLE_FAULT, .code = 7};
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	assert_int_equal(reader_open(path, &r, NULL), ERR_OK);
	while (reader_next(r, &e)) {
		n++;
		if (trace_event_number(&e, "kind", &value))
			kind = value;
	}
	s = reader_session(r);
	assert_non_null(s);
	assert_string_equal(s->guest, "hello"); /* the name, not the path */
	assert_string_equal(s->mode, "emulate");
	assert_string_equal(s->backend, "fake");
	assert_string_equal(s->controls, "vtx-ept");
	assert_string_equal(s->clock, "virtual");
	assert_int_equal(s->vcpus, 2);
	assert_int_equal(s->type, 2);
	assert_int_equal(kind, END_TRIPLE_FAULT);
	assert_string_equal(reader_clock(r), "mono_virtual");
	assert_true(n > 30);
	reader_close(r);
	trace_fake_vm_free(vm);
}

/* An exit with every field that an event can hold, and where these go. */
static const struct vm_exit every_field = {.reason = EXIT_IO_INSTRUCTION,
    .rip = 0x1234,
    .qual = 0x3f80008,
    .idt_info = 0x55,
    .intr_info = 0x80000b0e,
    .intr_error = 3,
    .index = 9,
    .insns = 77,
    .time_ns = 1000,
    .cost_ns = 640,
    .cost_modelled = 1,
    .insn_len = 2,
    .observed = OBSERVED_METAL,
    .io = {.port = 0x3f8, .size = 2, .in = 1, .count = 3, .value = 0xabcd}};

static const struct {
	const char *event, *field;
	uint64_t value;
} event_fields[] = {
    {"kvm_exit", "exit_reason", 30},
    {"kvm_exit", "guest_rip", 0x1234},
    {"kvm_exit", "isa", 1},
    {"kvm_exit", "info1", 0x3f80008},
    {"kvm_exit", "info2", 0x55},
    {"kvm_exit", "intr_info", 0x80000b0e},
    {"kvm_exit", "error_code", 3},
    {"kvm_exit", "vcpu_id", 0},
    {"kvm_pio", "rw", 0},
    {"kvm_pio", "port", 0x3f8},
    {"kvm_pio", "size", 2},
    {"kvm_pio", "count", 3},
    {"kvm_pio", "val", 0xabcd},
    {"verdict", "index", 9},
    {"verdict", "insns", 77},
    {"verdict", "cost_ns", 640},
    {"verdict", "modelled", 1},
    {"verdict", "observed", OBSERVED_METAL},
    {"verdict", "verdict", VERDICT_AGAIN},
    {"verdict", "insn_len", 2},
};

static void fields_of_an_exit_reach_the_events(void **state)
{
	const char *path = trace_tmp("fields.dat");
	struct vm *vm = trace_fake_vm(1, CLOCK_VIRTUAL);
	struct tracer_config c = {.path = path};
	struct tracer *t = open_tracer(vm, &c);
	static const char *const order[] = {"session", "kvm_exit", "kvm_pio", "verdict", "end"};
	struct trace_reader *r;
	struct trace_event e;
	size_t found = 0, at = 0;

	(void)state;
	vm->probes[0]->on_verdict(vm->probe_args[0], &vm->vcpus[0], &every_field, VERDICT_AGAIN);
	vm->clock.insns = 200; /* the end comes later */
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	assert_int_equal(reader_open(path, &r, NULL), ERR_OK);
	while (reader_next(r, &e)) {
		const struct event_desc *d = event_desc(((const struct event_common *)e.data)->type);

		assert_true(at < ARRAY_LEN(order));
		assert_string_equal(d->name, order[at++]);
		for (size_t i = 0; i < ARRAY_LEN(event_fields); i++) {
			uint64_t v;

			if (strcmp(d->name, event_fields[i].event) != 0)
				continue;
			assert_true(trace_event_number(&e, event_fields[i].field, &v));
			assert_int_equal(v, event_fields[i].value);
			found++;
		}
		if (at == 2)
			assert_int_equal(e.ts, 1000);
	}
	assert_int_equal(at, ARRAY_LEN(order));
	assert_int_equal(found, ARRAY_LEN(event_fields));
	reader_close(r);
	trace_fake_vm_free(vm);
}

static void on_host_time_stamps_are_the_hosts_monotonic_clock(void **state)
{
	const char *path = trace_tmp("host.dat");
	struct vm *vm = trace_fake_vm(1, CLOCK_HOST);
	struct tracer_config c = {.path = path};
	struct tracer *t = open_tracer(vm, &c);
	struct trace_reader *r;
	struct trace_event e;

	(void)state;
	trace_fake_run(vm, 5);
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	assert_int_equal(reader_open(path, &r, NULL), ERR_OK);
	assert_string_equal(reader_clock(r), "mono");
	while (reader_next(r, &e))
		assert_true(e.ts >= vm->clock.start_ns);
	reader_close(r);
	trace_fake_vm_free(vm);
}

static void on_host_time_the_cost_comes_with_the_entry(void **state)
{
	const char *path = trace_tmp("hostcost.dat");
	struct vm *vm = trace_fake_vm(2, CLOCK_HOST);
	struct tracer_config c = {.path = path, .stats = true, .policy = TRACER_BLOCK};
	struct tracer *t = open_tracer(vm, &c);
	const struct exit_stats *live;
	struct exit_stats *file;

	(void)state;
	trace_fake_run(vm, 1000);
	assert_int_equal(tracer_finish(t, NULL), ERR_OK);
	live = tracer_stats(t);
	file = stats_of_file(path, STATS_BY_REASON);
	assert_int_equal(live->total, 900);
	assert_int_equal(live->timed, 900);
	assert_int_equal(live->modelled, 0);
	assert_true(live->total_ns >= 900 * 1000);
	assert_int_equal(file->total, 900);
	assert_int_equal(file->timed, 900);
	assert_int_equal(file->total_ns, live->total_ns);
	stats_free(file);
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	trace_fake_vm_free(vm);
}

static void a_full_ring_on_host_time_drops_and_every_count_agrees(void **state)
{
	const char *path = trace_tmp("drop.dat");
	struct vm *vm = trace_fake_vm(1, CLOCK_HOST);
	struct tracer_config c = {.path = path, .stats = true, .ring_records = 2};
	struct tracer *t = open_tracer(vm, &c);
	const struct exit_stats *live;
	struct exit_stats *file;

	(void)state;
	trace_fake_run(vm, 20000);
	assert_int_equal(tracer_finish(t, NULL), ERR_OK);
	live = tracer_stats(t);
	file = stats_of_file(path, STATS_BY_REASON);
	assert_true(tracer_lost(t) > 0);
	assert_int_equal(live->lost, tracer_lost(t));
	assert_int_equal(file->lost, tracer_lost(t));
	assert_true(live->total < 18000);
	assert_int_equal(live->total, file->total);
	stats_free(file);
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	trace_fake_vm_free(vm);
}

static void on_virtual_time_the_smallest_ring_loses_nothing(void **state)
{
	struct vm *vm = trace_fake_vm(2, CLOCK_VIRTUAL);
	struct tracer_config c = {.stats = true, .ring_records = 2};
	struct tracer *t = open_tracer(vm, &c);

	(void)state;
	trace_fake_run(vm, 1000);
	assert_int_equal(tracer_finish(t, NULL), ERR_OK);
	assert_int_equal(tracer_lost(t), 0);
	assert_int_equal(tracer_stats(t)->total, 900);
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	trace_fake_vm_free(vm);
}

static void sync_makes_the_statistics_current(void **state)
{
	struct vm *vm = trace_fake_vm(1, CLOCK_VIRTUAL);
	struct tracer_config c = {.stats = true};
	struct tracer *t = open_tracer(vm, &c);

	(void)state;
	for (unsigned i = 1; i <= 50; i++) {
		trace_fake_run(vm, 10);
		tracer_sync(t);
		assert_int_equal(tracer_stats(t)->total, 9 * i);
	}
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	trace_fake_vm_free(vm);
}

static void without_a_cost_model_virtual_costs_are_unknown(void **state)
{
	const char *path = trace_tmp("nocost.dat");
	struct vm *vm = trace_fake_vm(1, CLOCK_VIRTUAL);
	struct tracer_config c = {.path = path, .stats = true};
	struct exit_stats *file;
	struct tracer *t;

	(void)state;
	vm->cfg.cost = NULL;
	t = open_tracer(vm, &c);
	trace_fake_run(vm, 10);
	assert_int_equal(tracer_finish(t, NULL), ERR_OK);
	assert_int_equal(tracer_stats(t)->timed, 0);
	file = stats_of_file(path, STATS_BY_REASON);
	assert_int_equal(file->timed, 0);
	assert_int_equal(file->total, 9);
	stats_free(file);
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	trace_fake_vm_free(vm);
}

/* Host formats in the file: kernel events keep their own bytes, and our exits are children. */
static const char host_exit[] = "name: kvm_exit\nID: 103\nformat:\n"
				"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
				"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"
				"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"
				"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
				"\tfield:unsigned int exit_reason;\toffset:8;\tsize:4;\tsigned:0;\n"
				"\tfield:unsigned long guest_rip;\toffset:16;\tsize:8;\tsigned:0;\n"
				"\tfield:u32 isa;\toffset:24;\tsize:4;\tsigned:0;\n\n"
				"print fmt: \"reason %u rip 0x%lx\", REC->exit_reason, REC->guest_rip\n";

struct host_event {
	struct event_common common;
	uint32_t reason, pad;
	uint64_t rip;
	uint32_t isa, pad2;
};

static void kernel_events_merge_and_ours_become_children(void **state)
{
	const char *path = trace_tmp("merged.dat");
	struct vm *vm = trace_fake_vm(1, CLOCK_HOST);
	struct trace_dat_format f = {.system = "kvm", .text = host_exit};
	struct tracer_config c = {.path = path,
	    .stats = true,
	    .policy = TRACER_BLOCK,
	    .formats = &f,
	    .n_formats = 1,
	    .host_lanes = 2,
	    .cmdlines = "4711 vmscope\n"};
	struct tracer *t = open_tracer(vm, &c);
	struct exit_stats *s;
	bool child_ept = false;

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		struct host_event e = {.common = {.type = 103, .pid = 4711}, .reason = 48, .rip = i, .isa = 1};

		tracer_raw(t, (unsigned)i % 2, vm->clock.start_ns + i * 10, &e, sizeof(e), 0);
		tracer_count(t, &(struct exit_row){.reason = 48, .isa = ISA_VMX, .observed = OBSERVED_KERNEL});
	}
	trace_fake_run(vm, 10);
	assert_int_equal(tracer_finish(t, NULL), ERR_OK);
	assert_int_equal(tracer_stats(t)->total, 100);
	s = stats_of_file(path, STATS_BY_REASON);
	assert_int_equal(s->total, 108); /* 8 of ours are of reasons that the kernel did not show */
	assert_string_equal(s->rows[0].name, "EPT_VIOLATION");
	assert_int_equal(s->rows[0].observed, 1 << OBSERVED_KERNEL);
	for (size_t i = 0; i < s->n_rows; i++)
		child_ept |=
		    s->rows[i].child && s->rows[i].samples == 1 && strcmp(s->rows[i].name, "EPT_VIOLATION") == 0;
	assert_true(child_ept);
	assert_int_equal(s->n_rows, tracer_stats(t)->n_rows);
	stats_free(s);
	assert_int_equal(tracer_close(t, NULL), ERR_OK);
	if (trace_have_command("trace-cmd")) {
		char command[200];
		int status;
		char *out;

		snprintf(command, sizeof(command), "trace-cmd report %s", path);
		out = trace_command(command, &status);
		assert_int_equal(status, 0);
		assert_non_null(strstr(out, "vmscope-4711  [001]"));
		assert_non_null(strstr(out, "kvm_userspace_exit:"));
		free(out);
	}
	trace_fake_vm_free(vm);
}

static enum err refuse_after_open(struct vm *vm, const struct tracer_config *c, struct errmsg *why)
{
	struct tracer *t;
	enum err e = tracer_open(vm, c, &t, why);

	return e == ERR_OK ? tracer_close(t, why) : e;
}

static void a_trace_that_cannot_be_opened_is_one_line(void **state)
{
	struct vm *vm = trace_fake_vm(1, CLOCK_VIRTUAL);
	struct tracer_config c = {.path = "/nonexistent/x.dat"};
	struct errmsg why = {""};

	(void)state;
	assert_int_equal(refuse_after_open(vm, &c, &why), ERR_NOENT);
	assert_non_null(strstr(why.text, "/nonexistent/x.dat"));
	c = (struct tracer_config){.ring_records = 100};
	assert_int_equal(refuse_after_open(vm, &c, &why), ERR_INVAL);
	assert_int_equal(vm->n_probes, 0);
	trace_fake_vm_free(vm);
}

static int no_space(void *arg, int fd, off_t off, off_t len)
{
	int *left = arg;

	(void)fd;
	(void)off;
	(void)len;
	return (*left)-- > 0 ? 0 : 28; /* ENOSPC */
}

static ssize_t plain_pwrite(void *arg, int fd, const void *buf, size_t n, off_t off)
{
	(void)arg;
	return pwrite(fd, buf, n, off);
}

static void a_disk_that_fills_does_not_stop_the_run(void **state)
{
	static const struct trace_dat_io io = {.pwrite = plain_pwrite, .reserve = no_space};
	const char *path = trace_tmp("fills.dat");
	struct vm *vm = trace_fake_vm(1, CLOCK_VIRTUAL);
	int left = 3;
	struct tracer_config c = {.path = path, .stats = true, .io = &io, .io_arg = &left};
	struct tracer *t = open_tracer(vm, &c);
	struct errmsg why = {""};
	struct exit_stats *file;

	(void)state;
	trace_fake_run(vm, 30000);
	assert_int_equal(tracer_finish(t, &why), ERR_NOSPC);
	assert_non_null(strstr(why.text, "disk full after"));
	assert_non_null(strstr(why.text, "what was recorded is readable"));
	/* the statistics are whole; the file has its part of them */
	assert_int_equal(tracer_stats(t)->total, 27000);
	file = stats_of_file(path, STATS_BY_REASON);
	assert_true(file->total > 1000 && file->total < 27000);
	stats_free(file);
	assert_int_equal(tracer_close(t, &why), ERR_NOSPC);
	trace_fake_vm_free(vm);
}

/* The limit sends SIGXFSZ, whose default is death. */
static void a_file_size_limit_is_an_error_not_a_signal(void **state)
{
	static const rlim_t limits[] = {100000, 1000};
	static const enum err at_open[] = {ERR_OK, ERR_NOSPC};
	struct rlimit old, small;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct vm *vm = trace_fake_vm(1, CLOCK_VIRTUAL);
		struct tracer_config c = {.path = trace_tmp("small.dat")};
		struct errmsg why = {""};
		struct tracer *t;

		small = (struct rlimit){.rlim_cur = limits[i], .rlim_max = old.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		enum err e = tracer_open(vm, &c, &t, &why);

		if (e == ERR_OK) {
			trace_fake_run(vm, 3000);
			assert_int_equal(tracer_close(t, &why), ERR_NOSPC);
		}
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
		assert_int_equal(e, at_open[i]);
		assert_non_null(strstr(why.text, "small.dat"));
		trace_fake_vm_free(vm);
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
	    cmocka_unit_test(fields_of_an_exit_reach_the_events),
	    cmocka_unit_test(the_session_and_the_end_are_in_the_file),
	    cmocka_unit_test(live_statistics_equal_those_of_the_file),
	    cmocka_unit_test(on_host_time_stamps_are_the_hosts_monotonic_clock),
	    cmocka_unit_test(on_host_time_the_cost_comes_with_the_entry),
	    cmocka_unit_test(a_full_ring_on_host_time_drops_and_every_count_agrees),
	    cmocka_unit_test(on_virtual_time_the_smallest_ring_loses_nothing),
	    cmocka_unit_test(sync_makes_the_statistics_current),
	    cmocka_unit_test(without_a_cost_model_virtual_costs_are_unknown),
	    cmocka_unit_test(kernel_events_merge_and_ours_become_children),
	    cmocka_unit_test(a_trace_that_cannot_be_opened_is_one_line),
	    cmocka_unit_test(a_disk_that_fills_does_not_stop_the_run),
	    cmocka_unit_test(a_file_size_limit_is_an_error_not_a_signal),
	};

	return cmocka_run_group_tests(tests, NULL, cleanup);
}
