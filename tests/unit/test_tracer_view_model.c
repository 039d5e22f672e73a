/*
 * The view model: what becomes of the tracer's records, and of a run that goes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "core/session.h"
#include "core/vm.h"
#include "tracer/view_model.h"

static uint64_t fake_now;

static uint64_t now_ns(void *arg)
{
	(void)arg;
	return fake_now;
}

static struct view_model *new_model(size_t log)
{
	const struct view_config cfg = {.log_exits = log, .now_ns = now_ns};
	const struct view_info info = {.clock = CLOCK_VIRTUAL, .counts_insns = true, .n_vcpus = 2};
	struct view_model *m;
	struct errmsg why;

	assert_int_equal(view_model_new(&cfg, &m, &why), ERR_OK);
	view_model_attach(m, NULL, &info);
	return m;
}

struct fed {
	uint64_t seq, number, insns;
};

static void feed(struct view_model *m, struct fed *f, unsigned vcpu, uint32_t reason, uint64_t rip)
{
	struct trace_rec r = {.kind = TRACE_REC_EXIT, .reason = reason, .rip = rip, .observed = OBSERVED_VMM};

	f->insns += 10;
	r.ts = f->insns * 10;
	r.verdict = VERDICT_NEXT;
	r.insn_len = 2;
	r.exit = (struct trace_rec_exit){.info1 = 7,
	    .raw = {1, 2, 3, 4},
	    .index = f->seq,
	    .insns = f->insns,
	    .number = f->number,
	    .own = (uint32_t)(f->seq - f->number)};
	view_model_feed(m, vcpu, &r, 1);
	f->number += exit_is_hw(reason);
	f->seq++;
}

static void an_exit_and_its_verdict_are_one_entry(void **state)
{
	struct view_model *m = new_model(16);
	struct fed f = {0};
	struct trace_rec inject = {.kind = TRACE_REC_INJECT};

	(void)state;
	feed(m, &f, 0, EXIT_CPUID, 0x1000);
	inject.inject = (struct trace_rec_inject){.vector = 32, .type = INTR_TYPE_EXTERNAL};
	view_model_feed(m, 0, &inject, 1);
	view_model_lock(m);
	assert_int_equal(view_log_n(m), 1);
	const struct view_exit *e = view_log_at(m, 0);
	assert_int_equal(e->number, 0);
	assert_int_equal(e->reason, EXIT_CPUID);
	assert_int_equal(e->qual, 7);
	assert_int_equal(e->raw[3], 4);
	assert_int_equal(e->verdict, VERDICT_NEXT);
	assert_int_equal(e->insn_len, 2);
	assert_int_equal(e->direct, 10);
	assert_true(e->has & VIEW_INJECTED);
	assert_int_equal(e->inject_vector, 32);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 1);
	assert_null(view_log_at(m, 1));
	view_model_unlock(m);
	view_model_free(m);
}

static void a_stretch_of_records_is_fed_at_once(void **state)
{
	struct view_model *m = new_model(6); /* no power of two */
	struct trace_rec r[10] = {0};

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		r[i] = (struct trace_rec){
		    .kind = TRACE_REC_EXIT, .reason = EXIT_CPUID, .ts = 100 * i, .rip = i, .verdict = VERDICT_NEXT};
		r[i].exit = (struct trace_rec_exit){.index = i, .insns = 10 * i, .number = i, .raw = {i}};
	}
	view_model_feed(m, 0, r, 9);
	view_model_lock(m);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 9);
	assert_null(view_log_at(m, 9));
	view_model_feed(m, 0, r + 9, 1);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 10);
	assert_int_equal(view_log_first(m), 4);
	assert_int_equal(view_log_n(m), 6);
	for (uint64_t pos = 4; pos < 10; pos++) {
		assert_int_equal(view_log_at(m, pos)->number, pos);
		assert_int_equal(view_log_at(m, pos)->rip, pos);
		assert_int_equal(view_log_at(m, pos)->raw[0], pos);
		assert_int_equal(view_log_at(m, pos)->verdict, VERDICT_NEXT);
	}
	view_model_unlock(m);
	view_model_free(m);
}

static void codes_of_the_vmm_have_no_number(void **state)
{
	struct view_model *m = new_model(16);
	struct fed f = {0};
	uint64_t pos;

	(void)state;
	feed(m, &f, 0, EXIT_CPUID, 0);
	feed(m, &f, 0, EXIT_VMM_KICK, 0);
	feed(m, &f, 0, EXIT_HLT, 0);
	view_model_lock(m);
	assert_int_equal(view_log_at(m, 1)->number, UINT64_MAX);
	assert_true(view_log_at(m, 1)->has & VIEW_CHILD);
	assert_true(view_log_find(m, 1, &pos));
	assert_int_equal(pos, 2);
	assert_false(view_log_find(m, 2, &pos));
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 2);
	view_model_unlock(m);
	view_model_free(m);
}

/* The rings of two vCPUs are drained one after the other; the log has the order in which things happened. */
static void records_of_two_vcpus_find_their_places(void **state)
{
	struct view_model *m = new_model(16);
	struct fed second = {.seq = 1, .number = 1, .insns = 100}, first = {0};
	uint64_t pos;

	(void)state;
	feed(m, &second, 1, EXIT_HLT, 0);
	feed(m, &first, 0, EXIT_CPUID, 0);
	view_model_lock(m);
	assert_int_equal(view_log_n(m), 2);
	assert_int_equal(view_log_at(m, 0)->reason, EXIT_CPUID);
	assert_int_equal(view_log_at(m, 1)->reason, EXIT_HLT);
	assert_int_equal(view_log_at(m, 1)->vcpu, 1);
	assert_true(view_log_find(m, 1, &pos));
	view_model_unlock(m);
	view_model_free(m);
}

static void a_full_log_keeps_the_newest(void **state)
{
	struct view_model *m = new_model(16);
	struct fed f = {0};
	uint64_t pos;

	(void)state;
	for (int i = 0; i < 100; i++)
		feed(m, &f, 0, i & 1 ? EXIT_CPUID : EXIT_HLT, (uint64_t)i);
	view_model_lock(m);
	assert_int_equal(view_log_n(m), 16);
	assert_int_equal(view_log_first(m), 84);
	assert_null(view_log_at(m, 83));
	assert_int_equal(view_log_at(m, 99)->rip, 99);
	assert_false(view_log_find(m, 83, &pos));
	assert_true(view_log_find(m, 84, &pos));
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 100);
	assert_int_equal(view_stats(m, STATS_BY_RIP)->total, 16); /* of what is kept */
	view_model_unlock(m);
	view_model_free(m);
}

static void a_new_future_takes_the_place_of_the_old(void **state)
{
	struct view_model *m = new_model(16);
	struct fed f = {0};
	uint64_t pos;

	(void)state;
	for (int i = 0; i < 5; i++)
		feed(m, &f, 0, EXIT_CPUID, 0);
	view_model_position(m, 50, 5);
	view_model_position(m, 20, 2);
	view_model_lock(m);
	assert_int_equal(view_now(m)->seen_exits, 5);
	view_model_unlock(m);
	f.seq = view_model_forget_future(m);
	assert_int_equal(f.seq, 2);
	f.number = 2;
	f.insns = 20;
	feed(m, &f, 0, EXIT_HLT, 0);
	view_model_lock(m);
	assert_int_equal(view_log_n(m), 3);
	assert_true(view_log_find(m, 2, &pos));
	assert_int_equal(view_log_at(m, pos)->reason, EXIT_HLT);
	assert_int_equal(view_now(m)->seen_exits, 2);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 3); /* what was forgotten is not counted */
	view_model_unlock(m);
	view_model_free(m);
}

/* What the run has told, and nobody has looked at yet, is no future. */
static void the_log_says_which_numbers_it_has(void **state)
{
	struct view_model *m = new_model(16);
	struct fed f = {0};
	uint64_t first, last;

	(void)state;
	view_model_lock(m);
	assert_false(view_log_numbers(m, &first, &last));
	view_model_unlock(m);
	feed(m, &f, 0, EXIT_VMM_DEBUG, 0); /* it has no number */
	view_model_lock(m);
	assert_false(view_log_numbers(m, &first, &last));
	view_model_unlock(m);
	for (int i = 0; i < 20; i++)
		feed(m, &f, 0, EXIT_CPUID, 0);
	feed(m, &f, 0, EXIT_VMM_DEBUG, 0);
	view_model_lock(m);
	assert_true(view_log_numbers(m, &first, &last));
	assert_int_equal(first, 5);
	assert_int_equal(last, 19);
	view_model_unlock(m);
	view_model_free(m);
}

/* A guest on another machine: 4096 bytes of memory, each its address; what is asked is counted. */
static unsigned asked;
static uint8_t first_byte;

static enum err far_state(struct session *s, unsigned vcpu, struct x86_state *out)
{
	(void)s;
	(void)vcpu;
	memset(out, 0, sizeof(*out));
	out->rip = ++asked;
	return ERR_OK;
}

static enum err far_memory(struct session *s, gpa_t gpa, void *buf, size_t n)
{
	(void)s;
	asked++;
	if (gpa + n > 4096 + 100)
		return ERR_RANGE;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)buf)[i] = (uint8_t)(gpa + i ? gpa + i : first_byte);
	return ERR_OK;
}

static void what_another_machine_answered_is_not_asked_again_while_it_stands_still(void **state)
{
	static const struct session_ops ops = {.get_state = far_state, .read_mem = far_memory};
	static const struct mode_ops far = {.name = "far", .caps = MODE_CAP_REMOTE};
	struct session session = {.ops = &ops};
	struct view_model *m = new_model(16);
	struct vm *vm = calloc(1, sizeof(*vm));
	struct view_info info = {.clock = CLOCK_HOST, .n_vcpus = 1, .vm = vm};
	struct errmsg why;
	uint8_t buf[600];

	(void)state;
	vm->n_vcpus = 1;
	vm->cfg.mode = &far;
	view_model_attach(m, &session, &info);
	assert_true(view_remote(m));
	asked = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(view_cpu_state(m, 0, &why)->rip, 1);
		assert_int_equal(view_read_phys(m, 500, buf, sizeof(buf), &why), ERR_OK);
		assert_int_equal(buf[0], 500 & 0xff);
		assert_int_equal(buf[599], 1099 & 0xff);
	}
	assert_int_equal(asked, 1 + 3); /* three blocks */
	/* The last block is not whole: its bytes are asked for as they are wanted. */
	assert_int_equal(view_read_phys(m, 4096, buf, 100, &why), ERR_OK);
	assert_int_equal(view_read_phys(m, 4096, buf, 101, &why), ERR_RANGE);
	/* It goes on, and stands still somewhere else. */
	assert_int_equal(view_read_phys(m, 0, buf, 1, &why), ERR_OK);
	first_byte = 77;
	assert_int_equal(view_read_phys(m, 0, buf, 1, &why), ERR_OK);
	assert_int_equal(buf[0], 0);
	view_model_set_run(m, VIEW_RUNNING, NULL, NULL);
	assert_int_equal(view_read_phys(m, 0, buf, 1, &why), ERR_OK);
	assert_int_equal(buf[0], 77);
	view_model_set_run(m, VIEW_STOPPED, NULL, NULL);
	asked = 10;
	view_model_stopped(m);
	assert_int_equal(view_cpu_state(m, 0, &why)->rip, 11);
	view_model_free(m);
	free(vm);
}

static void a_place_that_nobody_saw_is_forgotten_too(void **state)
{
	struct view_model *m = new_model(16);
	struct fed f = {0};

	(void)state;
	for (int i = 0; i < 5; i++)
		feed(m, &f, 0, EXIT_CPUID, 0);
	view_model_position(m, 50, 5);
	view_model_position(m, 20, 2);
	assert_int_equal(view_model_forget_future(m), 2);
	view_model_lock(m);
	assert_int_equal(view_now(m)->exits, 2);
	assert_int_equal(view_now(m)->seen_exits, 2);
	view_model_unlock(m);
	view_model_position(m, 30, 3);
	const struct view_info info = {.source = VIEW_LIVE, .clock = CLOCK_VIRTUAL};
	view_model_attach(m, NULL, &info);
	view_model_lock(m);
	assert_int_equal(view_now(m)->exits, 0);
	view_model_unlock(m);
	view_model_free(m);
}

/* The cost comes with the entry: then it is counted, once; without one, with nothing. */
static void on_host_time_an_exit_is_counted_at_the_entry(void **state)
{
	const struct view_info info = {.source = VIEW_LIVE, .clock = CLOCK_HOST};
	struct trace_rec entry = {.kind = TRACE_REC_ENTRY, .entry = {.index = 0, .cost_ns = 700}};
	struct view_model *m = new_model(16);
	struct fed f = {0};

	(void)state;
	view_model_attach(m, NULL, &info);
	feed(m, &f, 0, EXIT_CPUID, 0);
	view_model_lock(m);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 0);
	view_model_unlock(m);
	for (int i = 0; i < 2; i++)
		view_model_feed(m, 0, &entry, 1);
	feed(m, &f, 0, EXIT_CPUID, 0); /* its entry was dropped */
	feed(m, &f, 0, EXIT_CPUID, 0);
	view_model_lock(m);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 1);
	assert_int_equal(view_log_at(m, 0)->cost_ns, 700);
	assert_int_equal(view_log_n(m), 3);
	view_model_unlock(m);
	view_model_free(m);
}

/* Two vCPUs may take their two numbers in different orders; and the difference of the two wraps. */
static void places_are_found_across_the_wrap(void **state)
{
	struct view_model *m = new_model(16);
	struct trace_rec r = {.kind = TRACE_REC_EXIT, .reason = EXIT_CPUID, .verdict = VERDICT_NEXT};

	(void)state;
	r.exit.number = 1;
	r.exit.own = UINT32_MAX; /* place 0 */
	view_model_feed(m, 0, &r, 1);
	r.exit.number = 0;
	r.exit.own = 1; /* place 1 */
	view_model_feed(m, 1, &r, 1);
	view_model_lock(m);
	assert_int_equal(view_log_n(m), 2);
	assert_int_equal(view_log_at(m, 0)->number, 1);
	assert_int_equal(view_log_at(m, 1)->number, 0);
	view_model_unlock(m);
	view_model_free(m);
}

static void *tells(void *arg)
{
	for (uint64_t i = 1; i <= 20000; i++)
		view_model_position(arg, i * 10, i);
	return NULL;
}

/* Instructions and exits of one place, whoever looks when. */
static void a_place_is_seen_whole(void **state)
{
	struct view_model *m = new_model(16);
	pthread_t run;
	uint64_t exits = 0;

	(void)state;
	assert_int_equal(pthread_create(&run, NULL, tells, m), 0);
	while (exits < 20000) {
		view_model_lock(m);
		assert_true(view_now(m)->exits >= exits);
		exits = view_now(m)->exits;
		assert_int_equal(view_now(m)->insns, exits * 10);
		view_model_unlock(m);
	}
	pthread_join(run, NULL);
	view_model_free(m);
}

static bool is_hlt(void *arg, const struct view_exit *e)
{
	(void)arg;
	return e->reason == EXIT_HLT;
}

static void a_search_goes_both_ways(void **state)
{
	struct view_model *m = new_model(16);
	struct fed f = {0};
	uint64_t pos;

	(void)state;
	feed(m, &f, 0, EXIT_HLT, 0);
	feed(m, &f, 0, EXIT_CPUID, 0);
	feed(m, &f, 0, EXIT_HLT, 0);
	view_model_lock(m);
	assert_true(view_log_search(m, 1, -1, is_hlt, NULL, &pos));
	assert_int_equal(pos, 0);
	assert_true(view_log_search(m, 0, 1, is_hlt, NULL, &pos));
	assert_int_equal(pos, 2);
	assert_false(view_log_search(m, 0, -1, is_hlt, NULL, &pos));
	assert_false(view_log_search(m, 2, 1, is_hlt, NULL, &pos));
	view_model_unlock(m);
	view_model_free(m);
}

static void a_filter_is_libtraceevents(void **state)
{
	struct view_model *m = new_model(16);
	struct fed f = {0};
	struct errmsg why;
	size_t at;

	(void)state;
	feed(m, &f, 0, EXIT_CPUID, 0x1000);
	feed(m, &f, 0, EXIT_HLT, 0x2000);
	view_model_lock(m);
	assert_int_equal(view_filter_set(m, "exit_reason == 12 && guest_rip > 0x1fff", &at, &why), ERR_OK);
	assert_false(view_log_shown(m, view_log_at(m, 0)));
	assert_true(view_log_shown(m, view_log_at(m, 1)));
	assert_int_equal(view_filter_set(m, "kvm_exit:exit_reason==10", &at, &why), ERR_OK);
	assert_true(view_log_shown(m, view_log_at(m, 0)));
	/* A reason by its name, as a word or a string; columns are those of what was written. */
	assert_int_equal(view_filter_set(m, "exit_reason == CPUID", &at, &why), ERR_OK);
	assert_true(view_log_shown(m, &(struct view_exit){.reason = 10}));
	assert_false(view_log_shown(m, &(struct view_exit){.reason = 12}));
	assert_int_equal(view_filter_set(m, "exit_reason == \"HLT\" || exit_reason==CPUID", &at, &why), ERR_OK);
	assert_true(view_log_shown(m, &(struct view_exit){.reason = 12}));
	assert_string_equal(view_filter_text(m), "exit_reason == \"HLT\" || exit_reason==CPUID");
	assert_int_equal(view_filter_set(m, "exit_reason == CPUID && gest_rip > 1", &at, &why), ERR_INVAL);
	assert_int_equal(at, 24);
	assert_int_equal(view_filter_set(m, "exit_reason == CPUIDS", &at, &why), ERR_INVAL);
	assert_int_equal(at, 15);
	assert_int_equal(view_filter_set(m, "kvm_exit:exit_reason==10", &at, &why), ERR_OK);
	/* An error says where, and the filter that there was stays. */
	assert_int_equal(view_filter_set(m, "exit_reason == 12 && gest_rip > 1", &at, &why), ERR_INVAL);
	assert_int_equal(at, 21);
	assert_string_equal(why.text, "column 22: the event has no such field");
	assert_string_equal(view_filter_text(m), "kvm_exit:exit_reason==10");
	assert_int_equal(view_filter_set(m, "exit_reason ==", &at, &why), ERR_INVAL);
	assert_int_equal(at, 14);
	assert_int_equal(view_filter_set(m, NULL, &at, &why), ERR_OK);
	assert_null(view_filter_text(m));
	assert_true(view_log_shown(m, view_log_at(m, 1)));
	view_model_unlock(m);
	view_model_free(m);
}

/* The last bucket of time has only begun: what it is long is not what it will be. */
static void rates_are_exact_from_the_beginning(void **state)
{
	struct view_model *m = new_model(4096);
	struct fed f = {0};

	(void)state;
	for (int i = 0; i < 9000; i++) {
		feed(m, &f, 0, EXIT_CPUID, 0);
		view_model_position(m, f.insns, f.number);
		view_model_lock(m);
		if (i > 10) {
			assert_true(view_now(m)->exits_per_s > 0.9e7 && view_now(m)->exits_per_s < 1.1e7);
			assert_true(view_now(m)->insns_per_s > 0.99e8 && view_now(m)->insns_per_s < 1.01e8);
		}
		view_model_unlock(m);
	}
	view_model_free(m);
}

static void sparklines_and_rates_are_of_guest_time(void **state)
{
	struct view_model *m = new_model(4096);
	struct fed f = {0};
	uint32_t spark[VIEW_SPARK], sum = 0;
	double rate;

	(void)state;
	for (int i = 0; i < 3000; i++) /* one each 100 ns of guest time */
		feed(m, &f, 0, EXIT_CPUID, 0);
	view_model_position(m, f.insns, f.number);
	view_model_lock(m);
	view_spark(m, EXIT_CPUID, ISA_VMX, spark, &rate);
	for (unsigned i = 0; i < VIEW_SPARK; i++)
		sum += spark[i];
	assert_in_range(sum, 1000, 3000);
	assert_true(rate > 8e6 && rate < 1.1e7);
	assert_true(view_now(m)->exits_per_s > 8e6 && view_now(m)->exits_per_s < 1.1e7);
	assert_true(view_now(m)->insns_per_s > 8e7 && view_now(m)->insns_per_s < 1.1e8);
	view_spark(m, EXIT_HLT, ISA_VMX, spark, &rate);
	assert_true(rate == 0);
	view_model_unlock(m);
	view_model_free(m);
}

static void a_model_without_a_guest_says_so(void **state)
{
	struct view_model *m = new_model(16);
	struct errmsg why;
	uint8_t byte;
	size_t done;

	(void)state;
	assert_null(view_cpu_state(m, 0, &why));
	assert_string_equal(why.text, "no guest is loaded");
	assert_int_equal(view_read_phys(m, 0, &byte, 1, &why), ERR_UNSUPPORTED);
	assert_int_equal(view_read_linear(m, 0, 0, &byte, 1, &done, &why), ERR_UNSUPPORTED);
	assert_int_equal(view_model_open_trace(m, "/nonexistent/trace.dat", &why), ERR_NOENT);
	view_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_exit_and_its_verdict_are_one_entry),
	    cmocka_unit_test(a_stretch_of_records_is_fed_at_once),
	    cmocka_unit_test(codes_of_the_vmm_have_no_number),
	    cmocka_unit_test(records_of_two_vcpus_find_their_places),
	    cmocka_unit_test(a_full_log_keeps_the_newest),
	    cmocka_unit_test(a_new_future_takes_the_place_of_the_old),
	    cmocka_unit_test(the_log_says_which_numbers_it_has),
	    cmocka_unit_test(what_another_machine_answered_is_not_asked_again_while_it_stands_still),
	    cmocka_unit_test(a_place_that_nobody_saw_is_forgotten_too),
	    cmocka_unit_test(on_host_time_an_exit_is_counted_at_the_entry),
	    cmocka_unit_test(places_are_found_across_the_wrap),
	    cmocka_unit_test(a_place_is_seen_whole),
	    cmocka_unit_test(a_search_goes_both_ways),
	    cmocka_unit_test(a_filter_is_libtraceevents),
	    cmocka_unit_test(rates_are_exact_from_the_beginning),
	    cmocka_unit_test(sparklines_and_rates_are_of_guest_time),
	    cmocka_unit_test(a_model_without_a_guest_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
