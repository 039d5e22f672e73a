/* session/control*.c, forward: what ends a run that nothing else stops: errors, limits, time, a request. */
#include "tests/control_one.h"

/* --- Words -------------------------------------------------------------------------------------------------------- */

static uint64_t rnd_state;

static uint64_t rnd(uint64_t n)
{
	rnd_state ^= rnd_state << 13, rnd_state ^= rnd_state >> 7, rnd_state ^= rnd_state << 17;
	return rnd_state % n;
}

/* An error of one of them has words, and they do not end where a reason should begin. */
static enum err said(enum err e, const char *text)
{
	size_t n = strlen(text);

	if (e != ERR_OK && (n < 10 || text[n - 1] == ' ' || text[n - 1] == ':'))
		fail_msg("error %d says '%s'", e, text);
	why.text[0] = 0;
	return e;
}

static enum err any_call(unsigned k)
{
	struct breakpoint b = {
	    .kind = (enum break_kind)rnd(BREAK_KINDS + 1), .lo = rnd(70), .hi = rnd(300), .text = "b"};
	struct x86_state s = {.version = rnd(2) ? X86_STATE_VERSION : 0, .size = sizeof s};

	switch (k) {
	case 0:
		return said(control_step_insn(f.c, 1 + rnd(50), &why), why.text);
	case 1:
		return said(control_step_over(f.c, &why), why.text);
	case 2:
		return said(control_back_insn(f.c, rnd(60), &why), why.text);
	case 3:
		return said(control_back_exit(f.c, rnd(9), &why), why.text);
	case 4:
		return said(control_back_to_break(f.c, &why), why.text);
	case 5:
		return said(control_goto_exit(f.c, rnd(40), &why), why.text);
	case 6:
		return said(control_goto_insn(f.c, rnd(400), &why), why.text);
	case 7:
		return said(control_restart(f.c, &why), why.text);
	case 8:
		return said(control_break_add(f.c, &b, &why), why.text);
	case 9:
		return said(control_step_exit(f.c, 1 + rnd(9)), control_where(f.c)->failure);
	case 10:
		return said(control_run_for(f.c, 200000), control_where(f.c)->failure);
	case 12:
		return said(control_set_msr(f.c, (unsigned)rnd(3), (uint32_t)(0xc0000080 + rnd(5)), rnd(100)),
		    control_where(f.c)->failure);
	case 11:
		return said(control_write_mem(f.c, rnd(1u << 26), &s, 8), control_where(f.c)->failure);
	default:
		return rnd(30) ? ERR_OK
			       : said(control_set_state(f.c, (unsigned)rnd(3), &s), control_where(f.c)->failure);
	}
}

static unsigned wander(const char *guest, const struct mode_ops *mode, enum clock_kind clock, unsigned calls_to_make)
{
	const struct control_fix_options o = {.mode = mode, .clock = clock, .mem_size = 4 << 20};
	unsigned errors = 0;

	if (!control_fix_open(&f, guest, &o))
		return 1;
	rnd_state = 88172645463325252ull;
	for (unsigned i = 0; i < calls_to_make; i++)
		errors += any_call((unsigned)rnd(14)) != ERR_OK;
	control_fix_close(&f);
	f.c = NULL;
	return errors;
}

static void every_error_has_words(void **state)
{
	(void)state;
	assert_true(wander("timer", NULL, CLOCK_VIRTUAL, 600));
	assert_true(wander("timer", NULL, CLOCK_HOST, 300));
	assert_true(wander("exits", NULL, CLOCK_VIRTUAL, 600));
	assert_true(wander("hello", modes_find(MODE_VIRTUALIZE, VMM_TYPE_II), CLOCK_HOST, 200));
}

/* --- Time and requests -------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	return host_posix_ops.now_ns() / 1000000;
}

static void limits(void **state)
{
	const struct control_fix_options o = {.max_insns = 300};

	(void)state;
	assert_true(control_fix_open(&f, "hello", &o));
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_LIMIT);
	assert_int_equal(control_where(f.c)->insns, 300);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_LIMIT);
}

static const uint8_t forever[] = {0xeb, 0xfe};
/* A timer ticks (the PIT, IRQ 0, masked by the PIC): time goes on, and nobody wakes. */
static const uint8_t asleep[] = {0xb0, 0xff, 0xe6, 0x21, 0xb0, 0x34, 0xe6, 0x43, 0xb0, 0x00, 0xe6, 0x40, 0xb0, 0x10,
    0xe6, 0x40, 0xfb, 0xf4, 0xeb, 0xfd};

static void check_run_for(const struct mode_ops *mode, enum clock_kind clock, const void *code, size_t n)
{
	const struct control_fix_options o = {.mode = mode, .clock = clock, .code = code, .code_len = n};
	uint64_t start;

	if (!control_fix_open(&f, "code", &o))
		return;
	assert_int_equal(control_run_for(f.c, 1000000), ERR_OK);
	start = now_ms();
	assert_int_equal(control_run_for(f.c, 60000000), ERR_OK);
	assert_in_range(now_ms() - start, clock == CLOCK_VIRTUAL && code == asleep ? 0 : 55, 1000);
	if (stop() != CONTROL_END)
		assert_int_equal(stop(), CONTROL_INTERRUPTED);
	control_interrupt(f.c);
	start = now_ms();
	assert_int_equal(control_run(f.c), ERR_OK);
	if (stop() != CONTROL_END)
		assert_int_equal(stop(), CONTROL_INTERRUPTED);
	assert_in_range(now_ms() - start, 0, 50);
	control_fix_close(&f);
	f.c = NULL;
}

static void comes_back_in_time(void **state)
{
	const struct mode_ops *kvm = modes_find(MODE_VIRTUALIZE, VMM_TYPE_II);

	(void)state;
	check_run_for(NULL, CLOCK_VIRTUAL, forever, sizeof forever);
	check_run_for(NULL, CLOCK_VIRTUAL, asleep, sizeof asleep);
	check_run_for(NULL, CLOCK_HOST, forever, sizeof forever);
	check_run_for(NULL, CLOCK_HOST, asleep, sizeof asleep);
	check_run_for(kvm, CLOCK_HOST, forever, sizeof forever);
	check_run_for(kvm, CLOCK_HOST, asleep, sizeof asleep);
}

static void *interrupt_soon(void *arg)
{
	const struct timespec t = {.tv_nsec = 50000000};

	nanosleep(&t, NULL);
	control_interrupt(arg);
	return NULL;
}

static void check_interrupt(const struct mode_ops *mode, const void *code, size_t n)
{
	const struct control_fix_options o = {.mode = mode, .code = code, .code_len = n};
	pthread_t thread;

	if (!control_fix_open(&f, "code", &o))
		return;
	assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, f.c), 0);
	assert_int_equal(control_run(f.c), ERR_OK);
	pthread_join(thread, NULL);
	assert_int_equal(stop(), CONTROL_INTERRUPTED);
	/* One request is one stop. */
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_DONE);
	control_fix_close(&f);
	f.c = NULL;
}

static void a_request_stops_it(void **state)
{
	(void)state;
	check_interrupt(NULL, forever, sizeof forever);
	check_interrupt(modes_find(MODE_VIRTUALIZE, VMM_TYPE_II), forever, sizeof forever);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(every_error_has_words, teardown),
	    cmocka_unit_test_teardown(limits, teardown),
	    cmocka_unit_test_teardown(comes_back_in_time, teardown),
	    cmocka_unit_test_teardown(a_request_stops_it, teardown),
	};

	return cmocka_run_group_tests_name("session_control_ends", tests, NULL, NULL);
}
