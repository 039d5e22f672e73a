/* The trace.dat writer: what goes in comes out, by our reader and by trace-cmd, on a good disk and on a full one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/trace_fixture.h"
#include "tracer/events.h"
#include "tracer/reader.h"

static struct trace_dat_config config(const char *path, unsigned lanes)
{
	return (struct trace_dat_config){.path = path,
	    .lanes = lanes,
	    .clock = "mono",
	    .writer = "vmscope test",
	    .comm = "hello world",
	    .pids = lanes};
}

static struct trace_dat *create(const struct trace_dat_config *c)
{
	struct trace_dat *td;
	struct errmsg why = {""};

	if (trace_dat_create(c, &td, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return td;
}

/* A kvm_pio whose fields are made from i: to be recognised. */
static struct event_kvm_pio pio(unsigned lane, uint32_t i)
{
	return (struct event_kvm_pio){.common = {.type = EVENT_ID_kvm_pio, .pid = (int32_t)lane + 1},
	    .port = i & 0xffff,
	    .size = 1,
	    .count = 1,
	    .val = i};
}

static enum err put(struct trace_dat *td, unsigned lane, uint64_t ts, uint32_t i, uint64_t lost)
{
	struct event_kvm_pio e = pio(lane, i);

	return trace_dat_write(td, lane, ts, &e, sizeof(e), lost);
}

static struct trace_reader *open_reader(const char *path)
{
	struct trace_reader *r;
	struct errmsg why = {""};

	if (reader_open(path, &r, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return r;
}

static uint64_t val_of(const struct trace_event *e)
{
	uint64_t v;

	assert_true(trace_event_number(e, "val", &v));
	return v;
}

static void events_come_back_with_time_and_content(void **state)
{
	enum { N = 20000, LANES = 3 };
	const char *path = trace_tmp("round.dat");
	struct trace_dat_config c = config(path, LANES);
	struct trace_dat *td = create(&c);
	uint32_t next[LANES] = {0};
	uint64_t last = 0, total = 0;
	struct trace_reader *r;
	struct trace_event e;

	(void)state;
	/* Event i of lane l is at i * (l + 1) * 1000 + l: never two at one time in one lane, and pages end anywhere. */
	for (uint32_t i = 0; i < N; i++)
		for (unsigned l = 0; l < LANES; l++)
			assert_int_equal(put(td, l, (uint64_t)i * (l + 1) * 1000 + l, i, 0), ERR_OK);
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);

	r = open_reader(path);
	assert_string_equal(reader_clock(r), "mono");
	assert_int_equal(reader_cpus(r), LANES);
	for (; reader_next(r, &e); last = e.ts, total++) {
		assert_true(e.ts >= last);
		assert_true(e.cpu < LANES);
		uint32_t i = next[e.cpu]++;

		assert_int_equal(val_of(&e), i);
		assert_int_equal(e.ts, (uint64_t)i * (e.cpu + 1) * 1000 + e.cpu);
		assert_int_equal(e.pid, e.cpu + 1);
	}
	assert_null(reader_damage(r));
	assert_int_equal(total, LANES * N);
	reader_close(r);
}

static void distances_of_every_size_survive(void **state)
{
	const char *path = trace_tmp("far.dat");
	struct trace_dat_config c = config(path, 1);
	struct trace_dat *td = create(&c);
	struct trace_reader *r;
	struct trace_event e;
	uint64_t ts = 0;

	(void)state;
	for (unsigned bit = 0; bit < 63; bit++)
		assert_int_equal(put(td, 0, ts += 1ull << bit, bit, 0), ERR_OK);
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);
	r = open_reader(path);
	ts = 0;
	for (unsigned bit = 0; bit < 63; bit++) {
		assert_true(reader_next(r, &e));
		assert_int_equal(e.ts, ts += 1ull << bit);
	}
	assert_false(reader_next(r, &e));
	reader_close(r);
}

static void time_that_goes_back_is_held(void **state)
{
	const char *path = trace_tmp("back.dat");
	struct trace_dat_config c = config(path, 1);
	struct trace_dat *td = create(&c);
	struct trace_reader *r;
	struct trace_event e;

	(void)state;
	assert_int_equal(put(td, 0, 1000, 1, 0), ERR_OK);
	assert_int_equal(put(td, 0, 10, 2, 0), ERR_OK);
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);
	r = open_reader(path);
	assert_true(reader_next(r, &e) && e.ts == 1000);
	assert_true(reader_next(r, &e) && e.ts == 1000 && val_of(&e) == 2);
	reader_close(r);
}

static void large_events_and_odd_sizes_survive(void **state)
{
	const char *path = trace_tmp("large.dat");
	struct trace_dat_config c = config(path, 1);
	struct trace_dat *td = create(&c);
	struct trace_reader *r;
	struct trace_event e;
	uint8_t bytes[TRACE_DAT_EVENT_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + 7);
	for (size_t n = 8; n <= TRACE_DAT_EVENT_MAX; n += 13)
		assert_int_equal(trace_dat_write(td, 0, n, bytes, n, 0), ERR_OK);
	assert_int_equal(trace_dat_write(td, 0, 1, bytes, sizeof(bytes), 0), ERR_INVAL);
	assert_int_equal(trace_dat_write(td, 0, 1, bytes, 0, 0), ERR_INVAL);
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);
	r = open_reader(path);
	for (size_t n = 8; n <= TRACE_DAT_EVENT_MAX; n += 13) {
		assert_true(reader_next(r, &e));
		assert_int_equal(e.ts, n);
		assert_int_equal(e.size, (n + 3) / 4 * 4);
		assert_memory_equal(e.data, bytes, n);
	}
	assert_false(reader_next(r, &e));
	reader_close(r);
}

static void lost_events_are_marked_where_they_were_lost(void **state)
{
	const char *path = trace_tmp("lost.dat");
	struct trace_dat_config c = config(path, 2);
	struct trace_dat *td = create(&c);
	struct trace_reader *r;
	struct trace_event e;
	unsigned marks = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(put(td, i % 2, i, i, i == 500 ? 123 : i == 777 ? 4567890123ull : 0), ERR_OK);
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);
	r = open_reader(path);
	while (reader_next(r, &e)) {
		uint64_t want = val_of(&e) == 500 ? 123 : val_of(&e) == 777 ? 4567890123ull : 0;

		assert_int_equal(e.lost_before, want);
		assert_false(e.lost_unknown);
		marks += want != 0;
	}
	assert_int_equal(marks, 2);
	reader_close(r);
}

/* --- trace-cmd --------------------------------------------------------------------------------------------------- */

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

static char *trace_cmd_report(const char *path)
{
	char command[256];
	int status = -1;
	char *out;

	if (!trace_have_command("trace-cmd")) {
		print_message("skipped: trace-cmd is not installed\n");
		skip();
	}
	snprintf(command, sizeof(command), "trace-cmd report %s", path);
	out = trace_command(command, &status);
	assert_int_equal(status, 0);
	assert_non_null(out);
	return out;
}

static void write_fake_trace(const char *path, unsigned vcpus, unsigned exits, enum clock_kind clock)
{
	struct vm *vm = trace_fake_vm(vcpus, clock);
	struct tracer_config c = {.path = path, .policy = TRACER_BLOCK};
	struct errmsg why = {""};
	struct tracer *t;

	if (tracer_open(vm, &c, &t, &why) != ERR_OK)
		fail_msg("%s", why.text);
	trace_fake_run(vm, exits);
	if (tracer_close(t, &why) != ERR_OK)
		fail_msg("%s", why.text);
	trace_fake_vm_free(vm);
}

static void trace_cmd_prints_every_event_without_a_complaint(void **state)
{
	const char *path = trace_tmp("cmd.dat");
	char *out;

	(void)state;
	write_fake_trace(path, 3, 5000, CLOCK_VIRTUAL);
	out = trace_cmd_report(path);
	assert_int_equal(strncmp(out, "cpus=3\n", 7), 0);
	assert_int_equal(count_of(out, " kvm_exit:"), 4500);
	assert_int_equal(count_of(out, " vmm_exit:"), 500);
	assert_int_equal(count_of(out, " verdict:"), 5000);
	assert_int_equal(count_of(out, " kvm_entry:"), 5000);
	assert_int_equal(count_of(out, " kvm_pio:"), 1500);
	assert_int_equal(count_of(out, " kvm_mmio:"), 500);
	assert_int_equal(count_of(out, " kvm_cpuid:"), 500);
	assert_int_equal(count_of(out, " kvm_msr:"), 1000);
	assert_int_equal(count_of(out, " kvm_cr:"), 500);
	assert_int_equal(count_of(out, "reason IO_INSTRUCTION rip"), 1500);
	assert_int_equal(count_of(out, " session:"), 1);
	assert_int_equal(count_of(out, " end:"), 1);
	/* nothing but events: each line has its CPU */
	assert_int_equal(count_of(out, "\n") - 1, count_of(out, "     [00"));
	assert_null(strstr(out, "FAILED"));
	assert_null(strstr(out, "UNKNOWN"));
	assert_null(strstr(out, "EVENTS DROPPED"));
	free(out);
}

static void trace_cmd_shows_what_was_lost(void **state)
{
	const char *path = trace_tmp("cmdlost.dat");
	struct trace_dat_config c = config(path, 1);
	struct trace_dat *td = create(&c);
	char *out;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(put(td, 0, i, i, i == 500 ? 123 : 0), ERR_OK);
	assert_int_equal(trace_dat_close(td, NULL), ERR_OK);
	out = trace_cmd_report(path);
	assert_non_null(strstr(out, "[123 EVENTS DROPPED]"));
	assert_int_equal(count_of(out, " kvm_pio:"), 1000);
	assert_non_null(strstr(out, "hello_world-1 "));
	free(out);
}

/* --- reproducible ------------------------------------------------------------------------------------------------ */

static void two_runs_on_virtual_time_give_the_same_bytes(void **state)
{
	const char *a = trace_tmp("a.dat"), *b = trace_tmp("another-name.dat");
	size_t na, nb;
	uint8_t *pa, *pb;

	(void)state;
	write_fake_trace(a, 2, 20000, CLOCK_VIRTUAL);
	usleep(2000);
	write_fake_trace(b, 2, 20000, CLOCK_VIRTUAL);
	pa = trace_file_bytes(a, &na);
	pb = trace_file_bytes(b, &nb);
	assert_int_equal(na, nb);
	assert_true(na > 100000);
	assert_memory_equal(pa, pb, na);
	free(pa);
	free(pb);
}

static void no_spool_file_stays_behind(void **state)
{
	const char *path = trace_tmp("spool.dat");

	(void)state;
	write_fake_trace(path, 4, 3000, CLOCK_VIRTUAL);
	for (unsigned i = 0; i < 4; i++) {
		char spool[160];

		snprintf(spool, sizeof(spool), "%s.cpu%u", path, i);
		assert_int_equal(access(spool, F_OK), -1);
	}
}

/* --- full disks -------------------------------------------------------------------------------------------------- */

/* A disk with so many bytes left for reserving, and a pwrite that fails at the n-th call with some errno. */
struct small_disk {
	off_t left;
	int writes_left; /* -1: all succeed */
	int write_error;
};

static int small_reserve(void *arg, int fd, off_t off, off_t len)
{
	struct small_disk *d = arg;
	struct stat st;
	off_t more;

	assert_int_equal(fstat(fd, &st), 0);
	more = off + len - st.st_size;
	if (more > d->left)
		return ENOSPC;
	if (more > 0)
		d->left -= more;
	return posix_fallocate(fd, off, len);
}

static ssize_t small_pwrite(void *arg, int fd, const void *buf, size_t n, off_t off)
{
	struct small_disk *d = arg;

	if (d->writes_left == 0) {
		errno = d->write_error;
		return -1;
	}
	if (d->writes_left > 0)
		d->writes_left--;
	return pwrite(fd, buf, n, off);
}

static const struct trace_dat_io small_io = {.pwrite = small_pwrite, .reserve = small_reserve};

/* Writes until refused; returns how many were accepted. */
static uint64_t write_until_refused(struct trace_dat *td, unsigned lanes)
{
	uint64_t n = 0;

	while (n < 1000000 && put(td, (unsigned)(n % lanes), n, (uint32_t)n, 0) == ERR_OK)
		n++;
	assert_true(n < 1000000);
	/* and it stays so */
	assert_int_not_equal(put(td, 0, n, 0, 0), ERR_OK);
	return n;
}

static uint64_t count_events(const char *path)
{
	struct trace_reader *r = open_reader(path);
	struct trace_event e;
	uint64_t n = 0;

	for (; reader_next(r, &e); n++)
		assert_int_equal(val_of(&e), n);
	assert_null(reader_damage(r));
	reader_close(r);
	return n;
}

static void on_a_full_disk_every_accepted_event_is_readable(void **state)
{
	static const off_t sizes[] = {60000, 100000, 300000, 1000000, 3000000};

	(void)state;
	for (unsigned lanes = 1; lanes <= 3; lanes++)
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			const char *path = trace_tmp("full.dat");
			struct small_disk disk = {.left = sizes[i], .writes_left = -1};
			struct trace_dat_config c = config(path, lanes);
			struct errmsg why = {""};
			struct trace_dat *td;
			char want[64];
			uint64_t n;

			c.io = &small_io;
			c.io_arg = &disk;
			td = create(&c);
			n = write_until_refused(td, lanes);
			assert_int_equal(trace_dat_events(td), n);
			assert_int_equal(trace_dat_close(td, &why), ERR_NOSPC);
			snprintf(want, sizeof(want), "disk full after %llu events;", (unsigned long long)n);
			assert_non_null(strstr(why.text, want));
			assert_non_null(strstr(why.text, path));
			assert_true(n > 0);
			assert_int_equal(count_events(path), n);
		}
}

static void a_real_size_limit_is_survived_too(void **state)
{
	const char *path = trace_tmp("limit.dat");
	struct trace_dat_config c = config(path, 1);
	struct rlimit old, small;
	struct errmsg why = {""};
	struct trace_dat *td;
	uint64_t n;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){.rlim_cur = 400000, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	td = create(&c);
	n = write_until_refused(td, 1);
	assert_int_equal(trace_dat_close(td, &why), ERR_NOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(why.text, "file size limit reached after"));
	assert_true(n > 5000);
	assert_int_equal(count_events(path), n);
	free(trace_cmd_report(path));
}

static void trace_cmd_reads_the_trace_of_a_full_disk(void **state)
{
	const char *path = trace_tmp("fullcmd.dat");
	struct small_disk disk = {.left = 500000, .writes_left = -1};
	struct trace_dat_config c = config(path, 2);
	struct trace_dat *td;
	uint64_t n;
	char *out;

	(void)state;
	c.io = &small_io;
	c.io_arg = &disk;
	td = create(&c);
	n = write_until_refused(td, 2);
	assert_int_equal(trace_dat_close(td, NULL), ERR_NOSPC);
	out = trace_cmd_report(path);
	assert_int_equal(count_of(out, " kvm_pio:"), n);
	assert_int_equal(count_of(out, "\n"), n + 1);
	free(out);
}

static void a_write_error_leaves_what_was_written_readable(void **state)
{
	(void)state;
	for (int good = 2; good < 40; good += 3) {
		const char *path = trace_tmp("eio.dat");
		struct small_disk disk = {.left = 1 << 30, .writes_left = good, .write_error = EIO};
		struct trace_dat_config c = config(path, 1);
		struct errmsg why = {""};
		struct trace_dat *td;
		uint64_t n, kept;

		c.io = &small_io;
		c.io_arg = &disk;
		td = create(&c);
		while (put(td, 0, 1, (uint32_t)trace_dat_events(td), 0) == ERR_OK)
			;
		n = trace_dat_events(td);
		disk.writes_left = -1; /* the disk recovers: the table can be written */
		assert_int_equal(trace_dat_close(td, &why), ERR_IO);
		assert_non_null(strstr(why.text, "Input/output error"));
		kept = count_events(path);
		assert_int_equal(kept, n);
		assert_true(kept > 0);
	}
}

static void a_trace_needs_a_place_to_be(void **state)
{
	struct trace_dat_config c = config("/nonexistent/dir/x.dat", 1);
	struct small_disk none = {.left = 100, .writes_left = -1};
	struct errmsg why = {""};
	struct trace_dat *td;

	(void)state;
	assert_int_equal(trace_dat_create(&c, &td, &why), ERR_NOENT);
	assert_null(td);
	assert_non_null(strstr(why.text, "/nonexistent/dir/x.dat"));
	c.path = "/tmp";
	assert_int_equal(trace_dat_create(&c, &td, &why), ERR_INVAL);
	c.path = "/dev/null";
	assert_int_equal(trace_dat_create(&c, &td, &why), ERR_INVAL);
	assert_non_null(strstr(why.text, "regular file"));
	c.path = trace_tmp("none.dat");
	c.io = &small_io;
	c.io_arg = &none;
	assert_int_equal(trace_dat_create(&c, &td, &why), ERR_NOSPC);
	assert_int_equal(access(c.path, F_OK), -1);
	c.lanes = 0;
	assert_int_equal(trace_dat_create(&c, &td, &why), ERR_INVAL);
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
	    cmocka_unit_test(events_come_back_with_time_and_content),
	    cmocka_unit_test(distances_of_every_size_survive),
	    cmocka_unit_test(time_that_goes_back_is_held),
	    cmocka_unit_test(large_events_and_odd_sizes_survive),
	    cmocka_unit_test(lost_events_are_marked_where_they_were_lost),
	    cmocka_unit_test(trace_cmd_prints_every_event_without_a_complaint),
	    cmocka_unit_test(trace_cmd_shows_what_was_lost),
	    cmocka_unit_test(two_runs_on_virtual_time_give_the_same_bytes),
	    cmocka_unit_test(no_spool_file_stays_behind),
	    cmocka_unit_test(on_a_full_disk_every_accepted_event_is_readable),
	    cmocka_unit_test(a_real_size_limit_is_survived_too),
	    cmocka_unit_test(trace_cmd_reads_the_trace_of_a_full_disk),
	    cmocka_unit_test(a_write_error_leaves_what_was_written_readable),
	    cmocka_unit_test(a_trace_needs_a_place_to_be),
	};

	return cmocka_run_group_tests(tests, NULL, cleanup);
}
