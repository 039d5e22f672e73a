/*
 * The engine of the terminal UI with the command line's runs: real guests in emulate, driven with and without a thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/tui_source.h"
#include "core/vm.h"
#include "tracer/symbols.h"

struct fix {
	struct tui_source *source;
	struct engine *engine;
	struct errmsg why;
};

static void open_engine(struct fix *f, const char *guest, const char *also, bool threaded)
{
	struct run_options o;
	struct engine_source src;

	options_init(&o);
	o.guest = guest;
	o.mem = 16u << 20;
	if (also)
		o.also[o.n_also++] = also;
	if (tui_source_new(&o, &f->source, &f->why) != ERR_OK)
		fail_msg("%s", f->why.text);
	tui_source_fill(f->source, &src);
	if (engine_open(&src, threaded, &f->engine, &f->why) != ERR_OK)
		fail_msg("%s", f->why.text);
}

static void close_engine(struct fix *f)
{
	engine_close(f->engine);
	tui_source_free(f->source);
}

static void do_it(struct fix *f, enum engine_verb verb, uint64_t n)
{
	if (engine_do(f->engine, verb, n, &f->why) != ERR_OK)
		fail_msg("%s", f->why.text);
}

static void wait_until_done(struct fix *f)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	enum err err;

	while (engine_busy(f->engine))
		nanosleep(&ms, NULL);
	assert_true(engine_result(f->engine, &err, &f->why));
	if (err != ERR_OK)
		fail_msg("%s", f->why.text);
}

static struct view_now now_of(struct fix *f)
{
	struct view_model *m = engine_model(f->engine);

	view_model_lock(m);
	struct view_now now = *view_now(m);
	view_model_unlock(m);
	return now;
}

static void console_of(struct fix *f, char buf[4096])
{
	struct view_model *m = engine_model(f->engine);
	uint64_t total;

	view_model_lock(m);
	buf[view_console(m, buf, 4095, &total)] = '\0';
	view_model_unlock(m);
}

static void a_guest_runs_to_its_end(void **state)
{
	struct fix f;
	char text[4096];

	(void)state;
	open_engine(&f, "hello", NULL, false);
	assert_int_equal(now_of(&f).run, VIEW_STOPPED);
	assert_int_equal(now_of(&f).exits, 0);
	do_it(&f, ENGINE_RUN, 0);
	struct view_now now = now_of(&f);
	assert_int_equal(now.run, VIEW_ENDED);
	assert_true(now.exits > 10 && now.insns > 10 && now.guest_ns > 0);
	console_of(&f, text);
	assert_non_null(strstr(text, "ello"));
	struct view_model *m = engine_model(f.engine);
	view_model_lock(m);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, now.exits);
	assert_int_equal(view_verdicts(m)->safety.state, PG_HOLDS);
	assert_int_equal(view_verdicts(m)->equivalence.state, PG_NA);
	assert_int_equal(view_verdicts(m)->efficiency.state, PG_VIOLATED);
	view_model_unlock(m);
	close_engine(&f);
}

static void steps_are_seen_in_the_model(void **state)
{
	struct fix f;
	struct errmsg why;

	(void)state;
	open_engine(&f, "hello", NULL, false);
	do_it(&f, ENGINE_STEP_EXIT, 3);
	assert_int_equal(now_of(&f).exits, 3);
	uint64_t insns = now_of(&f).insns;
	do_it(&f, ENGINE_STEP_INSN, 1);
	assert_int_equal(now_of(&f).insns, insns + 1);
	struct view_model *m = engine_model(f.engine);
	const struct x86_state *s = view_cpu_state(m, 0, &why), *before = view_cpu_before(m, 0);
	assert_non_null(s);
	assert_non_null(before);
	assert_int_not_equal(s->rip, before->rip);
	uint8_t code[4];
	size_t done;
	assert_int_equal(view_read_linear(m, 0, s->seg[X86_CS].base + s->rip, code, 4, &done, &why), ERR_OK);
	do_it(&f, ENGINE_TO_REASON, EXIT_HLT);
	do_it(&f, ENGINE_RESTART, 0);
	assert_int_equal(now_of(&f).exits, 0);
	close_engine(&f);
}

static void a_thread_lets_others_look_and_pause(void **state)
{
	struct fix f;
	struct timespec ms = {.tv_nsec = 2000000};

	(void)state;
	open_engine(&f, "modes", NULL, true);
	do_it(&f, ENGINE_SLOW, 1000);
	/* On a machine that is busy, the thread may get its first turn late. */
	for (int i = 0; i < 20 || (now_of(&f).insns == 0 && i < 5000); i++) {
		if (engine_hold(f.engine)) {
			struct errmsg why;

			assert_non_null(view_cpu_state(engine_model(f.engine), 0, &why));
			engine_release(f.engine);
		}
		nanosleep(&ms, NULL);
	}
	assert_int_equal(engine_do(f.engine, ENGINE_RUN, 0, &f.why), ERR_BUSY);
	engine_pause(f.engine);
	wait_until_done(&f);
	assert_true(now_of(&f).insns > 0);
	assert_int_equal(now_of(&f).run, VIEW_STOPPED);
	do_it(&f, ENGINE_RUN, 0);
	wait_until_done(&f);
	assert_int_equal(now_of(&f).run, VIEW_ENDED);
	close_engine(&f);
}

/* A request to stop that came when nothing ran any more says nothing about the way back that follows. */
static void a_pause_too_late_does_not_lead_astray(void **state)
{
	struct fix f;

	(void)state;
	open_engine(&f, "hello", NULL, false);
	do_it(&f, ENGINE_STEP_EXIT, 20);
	uint64_t insns = now_of(&f).insns;
	engine_pause(f.engine);
	do_it(&f, ENGINE_BACK_INSN, 2);
	assert_int_equal(now_of(&f).insns, insns - 2);
	engine_pause(f.engine);
	do_it(&f, ENGINE_GOTO_EXIT, 9);
	assert_int_equal(now_of(&f).exits, 10);
	close_engine(&f);
}

/* A screen looks 60 times a second: it neither hurries the guest nor holds it up. */
static void slow_motion_keeps_its_pace_while_others_look(void **state)
{
	const struct timespec frame = {.tv_nsec = 10000000};
	struct fix f;

	(void)state;
	open_engine(&f, "modes", NULL, true);
	do_it(&f, ENGINE_SLOW, 20);
	for (int i = 0; i < 60; i++) {
		if (engine_hold(f.engine))
			engine_release(f.engine);
		nanosleep(&frame, NULL);
	}
	engine_pause(f.engine);
	wait_until_done(&f);
	uint64_t insns = now_of(&f).insns;
	assert_in_range(insns, 4, 20);
	assert_string_equal(now_of(&f).stop, "paused");
	do_it(&f, ENGINE_BACK_INSN, 1);
	wait_until_done(&f);
	assert_int_equal(now_of(&f).insns, insns - 1);
	close_engine(&f);
}

/* One instruction before a character is printed it is not there. */
static void the_console_goes_back_too(void **state)
{
	struct fix f;
	char text[4096];

	(void)state;
	open_engine(&f, "hello", NULL, false);
	do_it(&f, ENGINE_RUN, 0);
	do_it(&f, ENGINE_GOTO_EXIT, 20);
	console_of(&f, text);
	assert_string_equal(text, "Hello");
	do_it(&f, ENGINE_BACK_INSN, 1);
	console_of(&f, text);
	assert_string_equal(text, "Hell");
	do_it(&f, ENGINE_STEP_INSN, 1);
	console_of(&f, text);
	assert_string_equal(text, "Hello");
	do_it(&f, ENGINE_RUN, 0);
	console_of(&f, text);
	assert_string_equal(text, "Hello from a guest: long mode, CPL 0, one UART.\n");
	close_engine(&f);
}

static void a_restart_has_no_future(void **state)
{
	struct fix f;

	(void)state;
	open_engine(&f, "hello", NULL, false);
	do_it(&f, ENGINE_RUN, 0);
	uint64_t exits = now_of(&f).exits;
	do_it(&f, ENGINE_RESTART, 0);
	struct view_now now = now_of(&f);
	struct view_model *m = engine_model(f.engine);
	view_model_lock(m);
	assert_int_equal(view_log_n(m), 0);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, 0);
	view_model_unlock(m);
	assert_int_equal(now.seen_exits, 0);
	do_it(&f, ENGINE_RUN, 0);
	view_model_lock(m);
	assert_int_equal(view_stats(m, STATS_BY_REASON)->total, exits);
	assert_false(view_now(m)->counts_forgotten);
	view_model_unlock(m);
	close_engine(&f);
}

static void two_guests_run_beside_each_other(void **state)
{
	struct fix f;
	struct engine_vm a, b;

	(void)state;
	open_engine(&f, "hello", "timer", false);
	assert_int_equal(engine_n_vms(f.engine), 2);
	do_it(&f, ENGINE_RUN, 0);
	engine_vm(f.engine, 0, &a);
	engine_vm(f.engine, 1, &b);
	assert_string_equal(a.guest, "hello");
	assert_string_equal(b.guest, "timer");
	assert_int_equal(a.run, VIEW_ENDED);
	assert_int_equal(b.run, VIEW_ENDED);
	assert_true(b.exits > 0 && b.cpu_ns > 0);
	assert_true(a.current && !b.current);
	assert_int_equal(engine_vm_select(f.engine, 1, &f.why), ERR_OK);
	assert_int_equal(now_of(&f).exits, b.exits);
	/* Each has its own symbols. */
	uint64_t first, second;
	assert_int_equal(engine_vm_current(f.engine), 1);
	assert_true(symbols_by_name(tui_source_symbols(f.source, 0), "guest_exit", &first));
	assert_true(symbols_by_name(tui_source_symbols(f.source, 1), "guest_exit", &second));
	assert_int_not_equal(first, second);
	assert_null(tui_source_symbols(f.source, 2));
	assert_int_equal(engine_vm_select(f.engine, 2, &f.why), ERR_RANGE);
	assert_string_equal(f.why.text, "there is no virtual machine 3: this session has 2");
	close_engine(&f);
}

static void a_paused_guest_stands_still(void **state)
{
	struct fix f;
	struct engine_vm b;

	(void)state;
	open_engine(&f, "hello", "timer", false);
	assert_int_equal(engine_vm_pause(f.engine, 1, true, &f.why), ERR_OK);
	do_it(&f, ENGINE_RUN, 0);
	engine_vm(f.engine, 1, &b);
	assert_true(b.paused);
	assert_int_equal(b.exits, 0);
	assert_int_equal(engine_vm_pause(f.engine, 1, false, &f.why), ERR_OK);
	do_it(&f, ENGINE_RUN, 0);
	engine_vm(f.engine, 1, &b);
	assert_int_equal(b.run, VIEW_ENDED);
	close_engine(&f);
}

/* Nothing is left that could run: that is said, and waited for by nobody. */
static void what_cannot_run_says_so(void **state)
{
	struct fix f;
	struct engine_vm vm;

	(void)state;
	open_engine(&f, "modes", NULL, true);
	assert_int_equal(engine_vm_pause(f.engine, 0, true, &f.why), ERR_OK);
	assert_int_equal(engine_do(f.engine, ENGINE_RUN, 0, &f.why), ERR_BUSY);
	assert_non_null(strstr(f.why.text, "VM 1 is paused"));
	assert_int_equal(engine_vm_pause(f.engine, 0, false, &f.why), ERR_OK);
	do_it(&f, ENGINE_SLOW, 1000);
	engine_pause(f.engine);
	wait_until_done(&f);
	assert_int_equal(engine_vm_stop(f.engine, 0, &f.why), ERR_OK);
	for (enum engine_verb v = ENGINE_RUN; v < ENGINE_RESTART; v++) {
		assert_int_equal(engine_do(f.engine, v, 1, &f.why), ERR_UNSUPPORTED);
		assert_non_null(strstr(f.why.text, "VM 1 is switched off"));
	}
	assert_int_equal(engine_vm_pause(f.engine, 0, true, &f.why), ERR_UNSUPPORTED);
	engine_vm(f.engine, 0, &vm);
	assert_int_equal(vm.run, VIEW_ENDED);
	assert_string_equal(vm.end.detail, "switched off by the user");
	do_it(&f, ENGINE_RESTART, 0);
	wait_until_done(&f);
	assert_int_equal(now_of(&f).run, VIEW_STOPPED);
	do_it(&f, ENGINE_RUN, 0);
	wait_until_done(&f);
	assert_int_equal(now_of(&f).run, VIEW_ENDED);
	assert_int_equal(now_of(&f).end.kind, END_DEBUG_EXIT);
	close_engine(&f);
}

/* Input that nobody takes is not lost in silence. */
static void input_of_an_ended_guest_is_refused(void **state)
{
	struct fix f;

	(void)state;
	open_engine(&f, "hello", NULL, false);
	assert_int_equal(engine_type(f.engine, "x", 1, &f.why), ERR_OK);
	do_it(&f, ENGINE_RUN, 0);
	assert_int_equal(engine_type(f.engine, "x", 1, &f.why), ERR_BUSY);
	assert_string_equal(f.why.text, "the guest took 0 of 1 bytes: it has ended");
	close_engine(&f);
}

static void another_guest_can_be_opened(void **state)
{
	struct fix f;

	(void)state;
	open_engine(&f, "hello", NULL, false);
	do_it(&f, ENGINE_RUN, 0);
	assert_int_equal(engine_load(f.engine, "nosuchguest", &f.why), ERR_NOENT);
	assert_non_null(strstr(f.why.text, "nosuchguest"));
	assert_int_equal(engine_load(f.engine, "timer --mdoe x", &f.why), ERR_INVAL);
	assert_int_equal(strncmp(f.why.text, "open: ", 6), 0);
	assert_int_equal(engine_load(f.engine, "timer --controls all --mem 16M", &f.why), ERR_OK);
	struct view_model *m = engine_model(f.engine);
	view_model_lock(m);
	assert_string_equal(view_info(m)->guest, "timer");
	assert_string_equal(view_info(m)->controls, "all");
	assert_int_equal(view_log_n(m), 0);
	view_model_unlock(m);
	do_it(&f, ENGINE_RUN, 0);
	assert_int_equal(now_of(&f).run, VIEW_ENDED);
	close_engine(&f);
}

static void the_same_guest_in_another_backend(void **state)
{
	struct fix f;
	struct tui_source *other;
	struct engine_source src;
	struct engine *e;

	(void)state;
	open_engine(&f, "hello", NULL, false);
	assert_int_equal(tui_source_backend(f.source, MODE_SIMULATE, VMM_TYPE_II, &other, &f.why), ERR_OK);
	tui_source_fill(other, &src);
	assert_int_equal(engine_open(&src, false, &e, &f.why), ERR_OK);
	assert_int_equal(engine_do(e, ENGINE_RUN, 0, &f.why), ERR_OK);
	do_it(&f, ENGINE_RUN, 0);
	struct view_model *m = engine_model(e);
	view_model_lock(m);
	assert_string_equal(view_info(m)->mode, "simulate");
	assert_int_equal(view_now(m)->exits, now_of(&f).exits);
	view_model_unlock(m);
	engine_close(e);
	tui_source_free(other);
	close_engine(&f);
}

/* A backend of the guest that was open before goes on being that guest. */
static void another_backend_keeps_its_guest(void **state)
{
	struct fix f;
	struct tui_source *other;
	struct engine_source src;
	struct engine *e;

	(void)state;
	open_engine(&f, "hello", NULL, false);
	assert_int_equal(engine_load(f.engine, "primes --append \"n=100\"", &f.why), ERR_OK);
	assert_int_equal(tui_source_backend(f.source, MODE_SIMULATE, VMM_TYPE_II, &other, &f.why), ERR_OK);
	assert_int_equal(engine_load(f.engine, "timer --controls all --append \"halted=1\"", &f.why), ERR_OK);
	assert_int_equal(engine_load(f.engine, "exits --controls all --append \"only=1\"", &f.why), ERR_OK);
	tui_source_fill(other, &src);
	assert_int_equal(engine_open(&src, false, &e, &f.why), ERR_OK);
	struct view_model *m = engine_model(e);
	view_model_lock(m);
	assert_string_equal(view_info(m)->guest, "primes");
	view_model_unlock(m);
	engine_close(e);
	tui_source_free(other);
	close_engine(&f);
}

/* The guests that were built with this test. */
static void find_guests(void)
{
	char exe[512], dir[600];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	exe[n > 0 ? n : 0] = '\0';
	*strrchr(exe, '/') = '\0';
	snprintf(dir, sizeof dir, "%s/../../guests", exe);
	setenv("VMSCOPE_GUESTS", dir, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_guest_runs_to_its_end),
	    cmocka_unit_test(steps_are_seen_in_the_model),
	    cmocka_unit_test(a_thread_lets_others_look_and_pause),
	    cmocka_unit_test(a_pause_too_late_does_not_lead_astray),
	    cmocka_unit_test(slow_motion_keeps_its_pace_while_others_look),
	    cmocka_unit_test(the_console_goes_back_too),
	    cmocka_unit_test(a_restart_has_no_future),
	    cmocka_unit_test(two_guests_run_beside_each_other),
	    cmocka_unit_test(a_paused_guest_stands_still),
	    cmocka_unit_test(what_cannot_run_says_so),
	    cmocka_unit_test(input_of_an_ended_guest_is_refused),
	    cmocka_unit_test(another_guest_can_be_opened),
	    cmocka_unit_test(the_same_guest_in_another_backend),
	    cmocka_unit_test(another_backend_keeps_its_guest),
	};

	find_guests();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
