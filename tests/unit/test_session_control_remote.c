/* session/control_remote.c: run control of a guest under the agent of the bare-metal image, over a pseudo-terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "modes/modes.h"
#include "session/control_impl.h"
#include "session/remote_impl.h"
#include "tests/remote_side.h"

#define MIB 0x100000u

/* mov cx, 300; l: mov al, cl; out 0xe9, al; loop l; xor eax, eax; cpuid; the end */
static const uint8_t talking[] = {
    0xb9, 0x2c, 0x01, 0x88, 0xc8, 0xe6, 0xe9, 0xe2, 0xfa, 0x66, 0x31, 0xc0, 0x0f, 0xa2, 0xb0, 0x00, 0xe6, 0xf4};
/* Waits at the UART until a key comes: many exits, and no end. */
static const uint8_t waiting[] = {0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0xb0, 0x00, 0xe6, 0xf4};
static const uint8_t forever[] = {0xeb, 0xfe}; /* no exit of its own */

static struct vm *vm;
static struct session *session;
static struct control *c;
static struct errmsg why;

static void open_guest(const uint8_t *image, size_t n)
{
	(void)rs_setup(NULL);
	rs_add_guest(0, image, n);
	rs_connect(FAKE_METAL_AGENT, 0, 1);
	rs_open();
	vm = rs.side[0].vm;
	session = rs.side[0].session;
	assert_int_equal(control_open(session, NULL, &c, &why), ERR_OK);
	assert_int_equal(c->driver, DRIVER_REMOTE);
}

static int teardown(void **state)
{
	control_close(c);
	return rs_teardown(state);
}

static const struct control_where *where(void)
{
	return control_where(c);
}

static const struct vm_exit *last(void)
{
	return &vm->vcpus[0].exit;
}

static void steps_and_runs_to_a_reason(void **state)
{
	(void)state;
	open_guest(talking, sizeof talking);
	assert_int_equal(control_step_exit(c, 1), ERR_OK);
	assert_int_equal(where()->stop, CONTROL_DONE);
	assert_int_equal(where()->exits, 1);
	assert_int_equal(control_step_exit(c, 4), ERR_OK);
	assert_int_equal(where()->exits, 5);
	assert_int_equal(control_goto_exit(c, 9, &why), ERR_OK); /* forward */
	assert_int_equal(where()->exits, 10);
	assert_int_equal(rs.side[0].n_console, 10);
	assert_int_equal(control_run_to_exit(c, EXIT_CPUID), ERR_OK);
	assert_int_equal(where()->stop, CONTROL_DONE);
	assert_int_equal(last()->reason, EXIT_CPUID);
	assert_int_equal(where()->exits, 301);
	assert_int_equal(control_run(c), ERR_OK);
	assert_int_equal(where()->stop, CONTROL_END);
	assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(where()->exits, 302);
	assert_int_equal(control_step_exit(c, 1), ERR_OK);
	assert_int_equal(where()->stop, CONTROL_END);
}

static void breaks_on_exits_and_ports(void **state)
{
	struct breakpoint port = {.kind = BREAK_PORT, .lo = 0xe9, .hi = 0xe9, .access = BREAK_WRITE, .skip = 100};
	struct breakpoint cpuid = {.kind = BREAK_EXIT, .lo = EXIT_CPUID};

	(void)state;
	open_guest(talking, sizeof talking);
	assert_int_equal(control_break_add(c, &port, &why), ERR_OK);
	assert_int_equal(control_break_add(c, &cpuid, &why), ERR_OK);
	assert_int_equal(control_run(c), ERR_OK);
	assert_int_equal(where()->stop, CONTROL_BREAK);
	assert_int_equal(where()->breakpoint, port.id);
	assert_int_equal(where()->exits, 101);
	assert_int_equal(control_run(c), ERR_OK);
	assert_int_equal(where()->exits, 102);
	assert_int_equal(control_break_remove(c, port.id), ERR_OK);
	assert_int_equal(control_run(c), ERR_OK);
	assert_int_equal(where()->stop, CONTROL_BREAK);
	assert_int_equal(where()->breakpoint, cpuid.id);
	assert_int_equal(last()->reason, EXIT_CPUID);
	assert_int_equal(control_break_enable(c, cpuid.id, false), ERR_OK);
	assert_int_equal(control_run(c), ERR_OK);
	assert_int_equal(where()->stop, CONTROL_END);
	assert_int_equal(rs.side[0].n_console, 300);
}

static uint64_t run_for_ms(uint64_t ms)
{
	uint64_t start = host_posix_ops.now_ns();

	assert_int_equal(control_run_for(c, ms * 1000000), ERR_OK);
	return (host_posix_ops.now_ns() - start) / 1000000;
}

/* The thread that stops it in time, with a guest that exits all the time and with one that never does. */
static void comes_back_in_time(void **state)
{
	(void)state;
	open_guest(waiting, sizeof waiting);
	for (unsigned i = 0; i < 3; i++) {
		assert_in_range(run_for_ms(40), 40, 2000);
		assert_int_equal(where()->stop, CONTROL_INTERRUPTED);
	}
	assert_true(where()->exits > 10);
	assert_int_equal(control_type(c, (const uint8_t *)"x", 1), 1);
	/* It ends long before its time is over, and nothing of the alarm is left. */
	assert_in_range(run_for_ms(60000), 0, 20000);
	assert_int_equal(where()->stop, CONTROL_END);
	assert_int_equal(vm->stop, 0);
}

static void *interrupt_soon(void *arg)
{
	usleep(50000);
	control_interrupt(arg);
	return NULL;
}

static void a_request_stops_it(void **state)
{
	pthread_t thread;

	(void)state;
	open_guest(forever, sizeof forever);
	assert_in_range(run_for_ms(30), 30, 2000);
	assert_int_equal(where()->stop, CONTROL_INTERRUPTED);
	assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, c), 0);
	assert_int_equal(control_run(c), ERR_OK);
	pthread_join(thread, NULL);
	assert_int_equal(where()->stop, CONTROL_INTERRUPTED);
	/* One request is one stop. */
	assert_in_range(run_for_ms(30), 30, 2000);
	control_interrupt(c);
	assert_int_equal(control_step_exit(c, 1), ERR_OK);
	assert_int_equal(where()->stop, CONTROL_INTERRUPTED);
}

/* Each refusal says what, where and why. */
static void refused(enum err e)
{
	assert_int_equal(e, ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "another machine"));
	why.text[0] = 0;
}

static void refuses_what_it_cannot(void **state)
{
	struct breakpoint insn = {.kind = BREAK_INSN}, mem = {.kind = BREAK_MEM};

	(void)state;
	open_guest(talking, sizeof talking);
	assert_int_equal(control_step_exit(c, 3), ERR_OK);
	assert_false(where()->can_back);
	refused(control_step_insn(c, 1, &why));
	refused(control_step_over(c, &why));
	refused(control_finish(c, &why));
	refused(control_back_insn(c, 1, &why));
	refused(control_back_exit(c, 1, &why));
	refused(control_back_to_break(c, &why));
	refused(control_goto_exit(c, 0, &why));
	refused(control_restart(c, &why));
	refused(control_break_add(c, &insn, &why));
	refused(control_break_add(c, &mem, &why));
	assert_int_equal(control_goto_insn(c, 5, &why), ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "emulate/I"));
	assert_int_equal(where()->exits, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(steps_and_runs_to_a_reason, teardown),
	    cmocka_unit_test_teardown(breaks_on_exits_and_ports, teardown),
	    cmocka_unit_test_teardown(comes_back_in_time, teardown),
	    cmocka_unit_test_teardown(a_request_stops_it, teardown),
	    cmocka_unit_test_teardown(refuses_what_it_cannot, teardown),
	};

	return cmocka_run_group_tests_name("session_control_remote", tests, NULL, NULL);
}
