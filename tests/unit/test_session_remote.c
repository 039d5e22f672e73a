/* session/: a session with the agent of the bare-metal image, over a pseudo-terminal, with and without noise. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/machine.h"
#include "modes/modes.h"
#include "tests/remote_side.h"

#define MIB 0x100000u
#define LOAD_AT 0x7c00

/* xor eax, eax; cpuid; mov al, bl; out 0xe9, al; ...; the end */
static const uint8_t cpuid_guest[] = {0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x88, 0xd8, 0xe6, 0xe9, /* low byte of EBX */
    0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x88, 0xd8, 0xe6, 0xe9,				    /* the same again */
    0xb0, 0x00, 0xe6, 0xf4};
/* Copies the UART's input to port e9 until a 'q' comes. */
static const uint8_t echo_guest[] = {0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0xba, 0xf8, 0x03, 0xec, 0xe6, 0xe9,
    0x3c, 0x71, 0x75, 0xee, 0xb0, 0x00, 0xe6, 0xf4};
/* mov cx, 3000; l: mov al, cl; out 0xe9, al; loop l; the end */
static const uint8_t talking_guest[] = {0xb9, 0xb8, 0x0b, 0x88, 0xc8, 0xe6, 0xe9, 0xe2, 0xfa, 0xb0, 0x00, 0xe6, 0xf4};

static void nobody_listens(void *arg, const char *port, uint8_t byte)
{
	(void)arg;
	(void)port;
	(void)byte;
}

static uint64_t exits_in_process(const uint8_t *image, size_t n)
{
	struct side here = {0};
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .mem_size = 2 * MIB,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL,
	    .controls = "vtx-ept",
	    .console = nobody_listens};
	const struct load_request load = {.image = image, .len = n, .name = "test"};
	assert_int_equal(vm_create(&cfg, &here.vm, &rs.why), ERR_OK);
	assert_int_equal(image_load(here.vm, &load, &rs.why), ERR_OK);
	assert_int_equal(vm_run(here.vm), ERR_OK);
	uint64_t exits = here.vm->vcpus[0].counts.exits;
	vm_destroy(here.vm);
	return exits;
}

static void a_guest_runs_to_its_end_and_its_probes_see_every_exit(void **state)
{
	struct remote_facts f;
	(void)state;
	rs_add_guest(0, talking_guest, sizeof talking_guest);
	rs_connect(FAKE_METAL_AGENT, 0, 1);
	rs.request.regs = rs.request.pages = true;
	rs.request.checkpoint_every = 100;
	rs_open();
	assert_int_equal(rs.side[0].session->ops->run(rs.side[0].session), ERR_OK);
	assert_int_equal(rs.side[0].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(rs.side[0].exits, exits_in_process(talking_guest, sizeof talking_guest));
	assert_int_equal(rs.side[0].dones, rs.side[0].exits);
	assert_int_equal(rs.side[0].n_console, 3000);
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(rs.side[0].console[i], (uint8_t)(3000 - i));
	assert_false(rs.side[0].vm->mem_stale);
	remote_facts(rs.remote, &f);
	assert_int_equal(f.lost_frames + f.noise_bytes + f.bad_frames + f.lost_record_bytes + f.lost_console_bytes, 0);
	assert_int_equal(f.record_bytes, remote_end(rs.remote, 0)->record_bytes);
	assert_string_equal(f.engine, "interpreter");
}

static void noise_is_counted_and_commands_come_through(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct remote_facts f;
		uint8_t byte;
		rs_setup(state);
		rs_add_guest(0, talking_guest, sizeof talking_guest);
		rs_connect(FAKE_METAL_AGENT, 150, seed);
		rs_open();
		for (unsigned i = 0; i < 40; i++) {
			uint8_t to = (uint8_t)(i * 7), from = 0;
			const struct session_ops *o = rs.side[0].session->ops;
			assert_int_equal(o->write_mem(rs.side[0].session, 0x9000 + i, &to, 1), ERR_OK);
			assert_int_equal(o->read_mem(rs.side[0].session, 0x9000 + i, &from, 1), ERR_OK);
			assert_int_equal(from, to);
		}
		/* Nothing that the probes see may be wrong, though records are missing: so only here, not by them. */
		rs.side[0].vm->n_probes = 0;
		assert_int_equal(rs.side[0].session->ops->run(rs.side[0].session), ERR_OK);
		assert_int_equal(rs.side[0].vm->end.kind, END_DEBUG_EXIT);
		remote_facts(rs.remote, &f);
		const struct msg_end *end = remote_end(rs.remote, 0);
		assert_int_equal(end->record_bytes, f.record_bytes + f.lost_record_bytes);
		assert_int_equal(end->console_bytes, rs.side[0].n_console + f.lost_console_bytes);
		assert_true(f.noise_bytes > 0);
		assert_true(f.lost_frames > 0);
		assert_int_equal(rs.side[0].session->ops->read_mem(rs.side[0].session, LOAD_AT, &byte, 1), ERR_OK);
		assert_int_equal(byte, talking_guest[0]);
		rs_teardown(state);
	}
}

static void steps_registers_and_memory(void **state)
{
	struct x86_state s;
	uint8_t byte = 0;
	(void)state;
	rs_add_guest(0, cpuid_guest, sizeof cpuid_guest);
	rs_connect(FAKE_METAL_AGENT, 0, 1);
	rs_open();
	const struct session_ops *o = rs.side[0].session->ops;
	assert_int_equal(o->get_state(rs.side[0].session, 0, &s), ERR_OK);
	assert_int_equal(s.rip + s.seg[X86_CS].base, LOAD_AT);
	assert_int_equal(o->step_exit(rs.side[0].session), ERR_OK);
	assert_int_equal(rs.side[0].exits, 1);
	assert_int_equal(rs.side[0].vm->vcpus[0].exit.reason, EXIT_CPUID);
	assert_int_equal(o->get_state(rs.side[0].session, 0, &s), ERR_OK);
	assert_int_equal(s.rip, LOAD_AT + 5);
	s.gpr[X86_RBX] = 'Z';
	assert_int_equal(o->set_state(rs.side[0].session, 0, &s), ERR_OK);
	byte = '!';
	assert_int_equal(o->write_mem(rs.side[0].session, 0x8fff, "ab", 2), ERR_OK);
	assert_int_equal(o->read_mem(rs.side[0].session, 0x9000, &byte, 1), ERR_OK);
	assert_int_equal(byte, 'b');
	assert_int_equal(o->step_exit(rs.side[0].session), ERR_OK); /* OUT */
	assert_int_equal(rs.side[0].exits, 2);
	assert_int_equal(rs.side[0].n_console, 1);
	assert_int_equal(rs.side[0].console[0], 'Z');
	while (!o->end(rs.side[0].session))
		assert_int_equal(o->step_exit(rs.side[0].session), ERR_OK);
	assert_int_equal(rs.side[0].exits, 5);
	assert_int_equal(rs.side[0].vm->end.kind, END_DEBUG_EXIT);
}

static void *stop_later(void *arg)
{
	struct session *s = arg;
	usleep(100000);
	s->ops->stop(s);
	return NULL;
}

static void *type_later(void *arg)
{
	struct session *s = arg;
	for (const char *p = "hi q"; *p;) {
		usleep(20000);
		p += s->ops->type(s, (const uint8_t *)p, 1);
	}
	return NULL;
}

static void pause_continue_and_typing(void **state)
{
	struct x86_state s;
	pthread_t t;
	(void)state;
	rs_add_guest(0, echo_guest, sizeof echo_guest);
	rs_connect(FAKE_METAL_AGENT, 0, 1);
	rs_open();
	const struct session_ops *o = rs.side[0].session->ops;
	assert_int_equal(pthread_create(&t, NULL, stop_later, rs.side[0].session), 0);
	assert_int_equal(o->run(rs.side[0].session), ERR_OK);
	pthread_join(t, NULL);
	assert_int_equal(rs.side[0].vm->end.kind, END_STOPPED);
	assert_null(o->end(rs.side[0].session));
	assert_int_equal(o->get_state(rs.side[0].session, 0, &s), ERR_OK);
	assert_in_range(s.rip, LOAD_AT, LOAD_AT + 8);
	uint64_t exits = rs.side[0].exits;
	assert_int_equal(o->step_exit(rs.side[0].session), ERR_OK); /* a pause loses nothing, and a step is one */
	assert_int_equal(rs.side[0].exits, exits + 1);
	assert_int_equal(pthread_create(&t, NULL, type_later, rs.side[0].session), 0);
	assert_int_equal(o->run(rs.side[0].session), ERR_OK);
	pthread_join(t, NULL);
	assert_int_equal(rs.side[0].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(rs.side[0].n_console, 4);
	assert_memory_equal(rs.side[0].console, "hi q", 4);
}

static void two_guests_have_their_own_exits_and_consoles(void **state)
{
	int k;
	(void)state;
	rs_add_guest(0, talking_guest, sizeof talking_guest);
	rs_add_guest(1, cpuid_guest, sizeof cpuid_guest);
	rs_connect(FAKE_METAL_AGENT, 0, 1);
	rs.request.slice_ns = 100000;
	rs_open();
	while ((k = remote_ready(rs.remote)) >= 0)
		assert_int_equal(vm_step_exit(rs.side[k].vm, &rs.side[k].vm->vcpus[0]), ERR_OK);
	assert_int_equal(rs.side[0].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(rs.side[1].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(rs.side[0].n_console, 3000);
	assert_int_equal(rs.side[1].n_console, 2);
	assert_int_equal(rs.side[1].exits, 5);
	assert_int_equal(rs.side[0].exits, exits_in_process(talking_guest, sizeof talking_guest));
}

static void open_fails(enum fake_metal_kind kind, const char *words)
{
	rs_add_guest(0, cpuid_guest, sizeof cpuid_guest);
	rs_connect(kind, 0, 1);
	assert_int_not_equal(remote_open(&rs.request, &rs.remote, &rs.why), ERR_OK);
	assert_null(rs.remote);
	assert_non_null(strstr(rs.why.text, words));
}

static void another_version_is_refused_in_words(void **state)
{
	(void)state;
	char words[80];
	snprintf(words, sizeof words, "speaks version %u of the protocol, this program version %u", REMOTE_VERSION + 1,
	    REMOTE_VERSION);
	open_fails(FAKE_METAL_OTHER_VERSION, words);
}

static void another_cpu_state_is_refused_in_words(void **state)
{
	(void)state;
	open_fails(FAKE_METAL_OTHER_STATE, "another CPU state");
}

static void run_fails(enum fake_metal_kind kind, const char *words)
{
	rs_add_guest(0, cpuid_guest, sizeof cpuid_guest);
	rs_connect(kind, 0, 1);
	rs_open();
	(void)!rs.side[0].session->ops->run(rs.side[0].session);
	assert_int_equal(rs.side[0].vm->end.kind, END_HOST_ERROR);
	assert_non_null(strstr(rs.side[0].vm->end.detail, words));
}

static void the_death_of_the_machine_is_said(void **state)
{
	(void)state;
	run_fails(FAKE_METAL_DIES, "ended in the middle of the session");
}

static void a_panic_is_said_with_its_first_line(void **state)
{
	struct remote_facts f;
	(void)state;
	run_fails(FAKE_METAL_PANICS, "the bare-metal VMM stopped: panic: a test of panics");
	assert_null(strstr(rs.side[0].vm->end.detail, "rip"));
	remote_facts(rs.remote, &f);
	assert_non_null(strstr(f.panic, "rip 0000000000001234"));
	assert_string_equal(f.log, "warning: a first line\ninfo: a second one\n");
	assert_int_equal(f.noise_bytes, 0);
}

static void records_that_make_no_sense_end_the_run(void **state)
{
	(void)state;
	run_fails(FAKE_METAL_BAD_RECORDS, "a record of an unknown kind, at byte 64");
}

static void a_device_that_is_not_there(void **state)
{
	(void)state;
	rs_add_guest(0, cpuid_guest, sizeof cpuid_guest);
	rs.request.machine = "/nowhere/tty";
	assert_int_equal(remote_open(&rs.request, &rs.remote, &rs.why), ERR_NODEV);
	assert_non_null(strstr(rs.why.text, "/nowhere/tty: cannot be opened"));
	rs.request.machine = "vax";
	assert_int_equal(remote_open(&rs.request, &rs.remote, &rs.why), ERR_NOENT);
}

/* A pty that nobody answers on; the second one would wait for 20 seconds. */
static void who_gives_up_need_not_wait_for_a_silent_line(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	(void)state;
	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	rs_add_guest(0, cpuid_guest, sizeof cpuid_guest);
	rs.request.machine = ptsname(master);
	vm_timeout(rs.side[0].vm);
	assert_int_equal(remote_open(&rs.request, &rs.remote, &rs.why), ERR_AGAIN);
	assert_string_equal(rs.why.text, "the time limit was over before the guests ran");
	vm_stop(rs.side[0].vm);
	assert_int_equal(remote_open(&rs.request, &rs.remote, &rs.why), ERR_AGAIN);
	assert_string_equal(rs.why.text, "stopped before the guests ran");
	close(master);
}

static void *stop_soon(void *arg)
{
	usleep(300000);
	vm_stop(arg);
	return NULL;
}

/* It has made its guests when it hears of it, and still goes off. */
static void a_vmm_that_is_given_up_while_it_starts_goes_off(void **state)
{
	pthread_t t;
	(void)state;
	rs_add_guest(0, cpuid_guest, sizeof cpuid_guest);
	rs_connect(FAKE_METAL_SLOW, 0, 1);
	assert_int_equal(pthread_create(&t, NULL, stop_soon, rs.side[0].vm), 0);
	assert_int_equal(remote_open(&rs.request, &rs.remote, &rs.why), ERR_AGAIN);
	pthread_join(t, NULL);
	assert_true(fake_metal_went_off(&rs.metal, 5000));
}

static void a_bundle_is_what_the_vmm_checks(void **state)
{
	const struct machine_facts f = {.tsc_hz = 12345};
	static const struct load_module module = {"module", 6, "its words"};
	uint8_t *b;
	size_t n;
	(void)state;
	rs_add_guest(0, echo_guest, sizeof echo_guest);
	rs.request.guests[0].load.cmdline = "a b";
	rs.request.guests[0].load.modules = &module;
	rs.request.guests[0].load.n_modules = 1;
	rs.request.guests[0].keys = (const uint8_t *)"xyz";
	rs.request.guests[0].n_keys = 3;
	assert_int_equal(bundle_build(&rs.request, &f, BUNDLE_SESSION, 0, &b, &n, &rs.why), ERR_OK);
	assert_int_equal(bundle_check(b, n, &rs.why), ERR_OK);
	const struct bundle *h = (const void *)b;
	const struct bundle_vm *v = &h->vms[0];
	assert_int_equal(h->n_vms, 1);
	assert_int_equal(h->tsc_hz, 12345);
	assert_memory_equal(bundle_part(h, &v->image), echo_guest, sizeof echo_guest);
	assert_string_equal(bundle_part(h, &v->cmdline), "a b");
	assert_string_equal(bundle_part(h, &v->module_args[0]), "its words");
	assert_memory_equal(bundle_part(h, &v->keys), "xyz", 3);
	assert_null(bundle_part(h, &v->firmware));
	b[n - 1] ^= 1;
	assert_int_not_equal(bundle_check(b, n, &rs.why), ERR_OK);
	free(b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rs_setup, rs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_guest_runs_to_its_end_and_its_probes_see_every_exit),
	    T(noise_is_counted_and_commands_come_through),
	    T(steps_registers_and_memory),
	    T(pause_continue_and_typing),
	    T(two_guests_have_their_own_exits_and_consoles),
	    T(another_version_is_refused_in_words),
	    T(another_cpu_state_is_refused_in_words),
	    T(the_death_of_the_machine_is_said),
	    T(a_panic_is_said_with_its_first_line),
	    T(records_that_make_no_sense_end_the_run),
	    T(a_device_that_is_not_there),
	    T(who_gives_up_need_not_wait_for_a_silent_line),
	    T(a_vmm_that_is_given_up_while_it_starts_goes_off),
	    T(a_bundle_is_what_the_vmm_checks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
