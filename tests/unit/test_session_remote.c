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
#include "session/remote_impl.h"
#include "tests/fake_metal.h"

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

struct side {
	struct vm *vm;
	struct session *session;
	uint8_t console[8192];
	size_t n_console;
	uint64_t exits, dones;
};

static struct fake_metal metal;
static struct side side[2];
static struct remote *remote;
static struct errmsg why;
static struct remote_request request;
static unsigned asked;

static void console(void *arg, const char *port, uint8_t byte)
{
	struct side *s = arg;
	(void)port;
	if (s->n_console < sizeof s->console)
		s->console[s->n_console++] = byte;
}

static void on_exit_(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	struct side *s = arg;
	(void)v;
	assert_int_equal(e->index, s->exits);
	s->exits++;
}

static void on_done(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	struct side *s = arg;
	(void)v;
	(void)e;
	s->dones++;
}

static const struct probe_ops probe = {.name = "count", .on_exit = on_exit_, .on_done = on_done};

/* A guest whose input EBX says 0x41 at its first CPUID, by the session's word. */
static enum verdict answer(void *arg, struct vcpu *v, struct vm_exit *e)
{
	(void)arg;
	asked++;
	assert_int_equal(e->reason, EXIT_CPUID);
	assert_int_equal(v->cpu.s.rip, LOAD_AT + 3);
	if (asked > 1)
		return VERDICT_USER; /* do what you would have done */
	struct x86_state *s = vcpu_state_for_write(v, DIRTY_GPR);
	s->gpr[X86_RBX] = 0x41;
	s->gpr[X86_RSI] = 0x1234;
	return VERDICT_NEXT;
}

static void add_guest(unsigned i, const uint8_t *image, size_t n)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_I),
	    .guest = "test",
	    .mem_size = 2 * MIB,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL,
	    .console = console,
	    .console_arg = &side[i],
	    .user = answer};
	side[i] = (struct side){0};
	assert_int_equal(vm_create(&cfg, &side[i].vm, &why), ERR_OK);
	struct remote_guest *g = &request.guests[i];
	*g = (struct remote_guest){.vm = side[i].vm, .load = {.image = image, .len = n, .name = "test"}};
	assert_int_equal(image_load(side[i].vm, &g->load, &why), ERR_OK);
	assert_int_equal(vm_add_probe(side[i].vm, &probe, &side[i]), ERR_OK);
	request.n = i + 1;
}

static void connect_kind(enum fake_metal_kind kind, unsigned noise, uint64_t seed)
{
	assert_true(fake_metal_start(&metal, kind, noise, seed));
	request.machine = metal.device;
}

static void open_all(void)
{
	enum err e = remote_open(&request, &remote, &why);
	if (e)
		fail_msg("remote_open: %s", why.text);
	for (unsigned i = 0; i < request.n; i++)
		assert_int_equal(session_open_remote(remote, i, &side[i].session, &why), ERR_OK);
}

static int setup(void **state)
{
	(void)state;
	request = (struct remote_request){0};
	asked = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		if (side[i].session)
			side[i].session->ops->close(side[i].session);
		else
			vm_destroy(side[i].vm);
		side[i] = (struct side){0};
	}
	remote_close(remote);
	remote = NULL;
	fake_metal_stop(&metal);
	return 0;
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
	    .console = console,
	    .console_arg = &here};
	const struct load_request load = {.image = image, .len = n, .name = "test"};
	assert_int_equal(vm_create(&cfg, &here.vm, &why), ERR_OK);
	assert_int_equal(image_load(here.vm, &load, &why), ERR_OK);
	assert_int_equal(vm_run(here.vm), ERR_OK);
	uint64_t exits = here.vm->vcpus[0].counts.exits;
	vm_destroy(here.vm);
	return exits;
}

static void a_guest_runs_to_its_end_and_its_probes_see_every_exit(void **state)
{
	struct remote_facts f;
	(void)state;
	add_guest(0, talking_guest, sizeof talking_guest);
	connect_kind(FAKE_METAL_AGENT, 0, 1);
	request.regs = request.pages = true;
	request.checkpoint_every = 100;
	open_all();
	assert_int_equal(side[0].session->ops->run(side[0].session), ERR_OK);
	assert_int_equal(side[0].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(side[0].exits, exits_in_process(talking_guest, sizeof talking_guest));
	assert_int_equal(side[0].dones, side[0].exits);
	assert_int_equal(side[0].n_console, 3000);
	for (unsigned i = 0; i < 3000; i++)
		assert_int_equal(side[0].console[i], (uint8_t)(3000 - i));
	assert_false(side[0].vm->mem_stale);
	remote_facts(remote, &f);
	assert_int_equal(f.lost_frames + f.noise_bytes + f.bad_frames + f.lost_record_bytes + f.lost_console_bytes, 0);
	assert_int_equal(f.record_bytes, remote_end(remote, 0)->record_bytes);
	assert_string_equal(f.engine, "interpreter");
}

static void noise_is_counted_and_commands_come_through(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct remote_facts f;
		uint8_t byte;
		setup(state);
		add_guest(0, talking_guest, sizeof talking_guest);
		connect_kind(FAKE_METAL_AGENT, 150, seed);
		open_all();
		for (unsigned i = 0; i < 40; i++) {
			uint8_t to = (uint8_t)(i * 7), from = 0;
			const struct session_ops *o = side[0].session->ops;
			assert_int_equal(o->write_mem(side[0].session, 0x9000 + i, &to, 1), ERR_OK);
			assert_int_equal(o->read_mem(side[0].session, 0x9000 + i, &from, 1), ERR_OK);
			assert_int_equal(from, to);
		}
		/* Nothing that the probes see may be wrong, though records are missing: so only here, not by them. */
		side[0].vm->n_probes = 0;
		assert_int_equal(side[0].session->ops->run(side[0].session), ERR_OK);
		assert_int_equal(side[0].vm->end.kind, END_DEBUG_EXIT);
		remote_facts(remote, &f);
		const struct msg_end *end = remote_end(remote, 0);
		assert_int_equal(end->record_bytes, f.record_bytes + f.lost_record_bytes);
		assert_int_equal(end->console_bytes, side[0].n_console + f.lost_console_bytes);
		assert_true(f.noise_bytes > 0);
		assert_true(f.lost_frames > 0);
		assert_int_equal(side[0].session->ops->read_mem(side[0].session, LOAD_AT, &byte, 1), ERR_OK);
		assert_int_equal(byte, talking_guest[0]);
		teardown(state);
	}
}

static void a_handler_here_answers_an_exit_there(void **state)
{
	struct x86_state s;
	(void)state;
	add_guest(0, cpuid_guest, sizeof cpuid_guest);
	side[0].vm->user_reasons[0] = 1ull << EXIT_CPUID;
	connect_kind(FAKE_METAL_AGENT, 0, 1);
	open_all();
	const struct session_ops *o = side[0].session->ops;
	assert_int_equal(o->step_exit(side[0].session), ERR_OK);
	assert_int_equal(asked, 1);
	assert_int_equal(o->get_state(side[0].session, 0, &s), ERR_OK);
	assert_int_equal(s.gpr[X86_RSI], 0x1234);
	assert_int_equal(s.rip, LOAD_AT + 5);
	/* From now on the VMM handles it itself. */
	side[0].vm->user_reasons[0] = 0;
	assert_int_equal(o->run(side[0].session), ERR_OK);
	assert_int_equal(side[0].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(asked, 1);
	assert_int_equal(side[0].n_console, 2);
	assert_int_equal(side[0].console[0], 0x41);
	assert_int_not_equal(side[0].console[1], 0x41);
}

/* --- Under a question --- */

/* in al, 0x50; out 0xe9, al; xor eax, eax; cpuid; mov al, bl; out 0xe9, al; out 0x50, al; mov al, 0; out 0xf4, al */
static const uint8_t device_guest[] = {0xe4, 0x50, 0xe6, 0xe9, 0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x88, 0xd8, 0xe6, 0xe9,
    0xe6, 0x50, 0xb0, 0x00, 0xe6, 0xf4};

static uint64_t written;
static enum verdict own;

static uint64_t device_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	const struct session_ops *o = side[0].session->ops;
	uint8_t code = 0, mark = 0x5a;
	(void)d;
	(void)region;
	assert_int_equal(off, 0);
	assert_int_equal(len, 1);
	/* The guest stands still there, and can be looked at and changed. */
	assert_int_equal(o->read_mem(side[0].session, LOAD_AT, &code, 1), ERR_OK);
	assert_int_equal(code, 0xe4);
	assert_int_equal(o->write_mem(side[0].session, 0x9000, &mark, 1), ERR_OK);
	return 'D';
}

static void device_write(struct device *d, unsigned region, uint32_t off, unsigned len, uint64_t value)
{
	(void)d;
	(void)region;
	(void)off;
	(void)len;
	written = value;
}

/* Lets the VMM's own handler work, looks at what it made of it, and changes that. */
static enum verdict after_the_vmm(void *arg, struct vcpu *v, struct vm_exit *e)
{
	const struct session_ops *o = side[0].session->ops;
	uint64_t efer = 1;
	(void)arg;
	asked++;
	assert_int_equal(o->handle(side[0].session, v, e, &own), ERR_OK);
	if (e->reason != EXIT_CPUID)
		return own;
	assert_int_equal(e->cpuid.ebx, 0x756e6547); /* "Genu" */
	assert_int_equal(v->cpu.s.rip, LOAD_AT + 7);
	assert_int_equal(o->rdmsr(side[0].session, 0, 0xc0000080, &efer), ERR_OK);
	assert_int_equal(efer, 0);
	assert_int_equal(o->wrmsr(side[0].session, 0, 0xc0000082, 0x4321), ERR_OK);
	assert_int_equal(o->wrmsr(side[0].session, 0, 0x10, 0), ERR_UNSUPPORTED); /* the TSC is not in the answer */
	assert_int_equal(o->rdmsr(side[0].session, 0, 0x99999, &efer), ERR_NOENT);
	e->cpuid.ebx = 0x41;
	vcpu_state_for_write(v, DIRTY_GPR)->gpr[X86_RBX] = 0x41;
	return VERDICT_NEXT;
}

static void run_under_questions(unsigned noise, uint64_t seed, bool by_steps)
{
	static const struct device_ops ops = {
	    .name = "test", .read = device_read, .write = device_write, .max_access = 1, .stays = true};
	static struct device dev = {.ops = &ops};
	uint64_t star = 0, lstar = 0;
	uint8_t mark = 0;
	add_guest(0, device_guest, sizeof device_guest);
	struct vm *vm = side[0].vm;
	if (noise)
		vm->n_probes = 0;
	vm->cfg.user = after_the_vmm;
	vm->user_reasons[0] = 1ull << EXIT_CPUID | 1ull << EXIT_IO_INSTRUCTION;
	assert_int_equal(bus_add_pio(&vm->bus, 0x50, 1, &dev, 0, &why), ERR_OK);
	written = asked = 0;
	own = VERDICT_KILL;
	connect_kind(FAKE_METAL_AGENT, noise, seed);
	open_all();
	const struct session_ops *o = side[0].session->ops;
	assert_int_equal(o->claim(side[0].session, false, 0x50, 1), ERR_OK);
	assert_int_equal(o->claim(side[0].session, false, 0x50, 1), ERR_BUSY);
	assert_int_equal(o->claim(side[0].session, false, 0xffff, 2), ERR_RANGE);
	assert_int_equal(o->wrmsr(side[0].session, 0, 0xc0000081, 0x77), ERR_OK);
	assert_int_equal(o->wrmsr(side[0].session, 0, 0x99999, 1), ERR_NOENT);
	while (!o->end(side[0].session))
		assert_int_equal(by_steps ? o->step_exit(side[0].session) : o->run(side[0].session), ERR_OK);
	assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(asked, 6);
	assert_int_equal(own, VERDICT_NEXT);
	assert_int_equal(written, 0x41);
	assert_int_equal(o->read_mem(side[0].session, 0x9000, &mark, 1), ERR_OK);
	assert_int_equal(mark, 0x5a);
	assert_int_equal(o->rdmsr(side[0].session, 0, 0xc0000081, &star), ERR_OK);
	assert_int_equal(o->rdmsr(side[0].session, 0, 0xc0000082, &lstar), ERR_OK);
	assert_int_equal(star, 0x77);
	assert_int_equal(lstar, 0x4321);
	if (noise)
		return; /* bytes of the console may be lost */
	assert_int_equal(side[0].n_console, 2);
	assert_int_equal(side[0].console[0], 'D');
	assert_int_equal(side[0].console[1], 0x41);
}

static void handlers_and_devices_here_of_a_guest_there(void **state)
{
	(void)state;
	run_under_questions(0, 1, false);
}

static void and_exit_by_exit(void **state)
{
	(void)state;
	run_under_questions(0, 1, true);
}

static void and_through_noise(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		setup(state);
		run_under_questions(60, seed, seed % 2);
		teardown(state);
	}
	setup(state);
}

static void an_answer_comes_through_noise(void **state)
{
	(void)state;
	add_guest(0, cpuid_guest, sizeof cpuid_guest);
	side[0].vm->n_probes = 0;
	side[0].vm->user_reasons[0] = 1ull << EXIT_CPUID;
	connect_kind(FAKE_METAL_AGENT, 300, 11);
	open_all();
	asked = 0;
	assert_int_equal(side[0].session->ops->step_exit(side[0].session), ERR_OK);
	assert_int_equal(asked, 1);
	side[0].vm->user_reasons[0] = 0;
	assert_int_equal(side[0].session->ops->run(side[0].session), ERR_OK);
	assert_int_equal(side[0].vm->end.kind, END_DEBUG_EXIT);
}

static void steps_registers_and_memory(void **state)
{
	struct x86_state s;
	uint8_t byte = 0;
	(void)state;
	add_guest(0, cpuid_guest, sizeof cpuid_guest);
	connect_kind(FAKE_METAL_AGENT, 0, 1);
	open_all();
	const struct session_ops *o = side[0].session->ops;
	assert_int_equal(o->get_state(side[0].session, 0, &s), ERR_OK);
	assert_int_equal(s.rip + s.seg[X86_CS].base, LOAD_AT);
	assert_int_equal(o->step_exit(side[0].session), ERR_OK);
	assert_int_equal(side[0].exits, 1);
	assert_int_equal(side[0].vm->vcpus[0].exit.reason, EXIT_CPUID);
	assert_int_equal(o->get_state(side[0].session, 0, &s), ERR_OK);
	assert_int_equal(s.rip, LOAD_AT + 5);
	s.gpr[X86_RBX] = 'Z';
	assert_int_equal(o->set_state(side[0].session, 0, &s), ERR_OK);
	byte = '!';
	assert_int_equal(o->write_mem(side[0].session, 0x8fff, "ab", 2), ERR_OK);
	assert_int_equal(o->read_mem(side[0].session, 0x9000, &byte, 1), ERR_OK);
	assert_int_equal(byte, 'b');
	assert_int_equal(o->step_exit(side[0].session), ERR_OK); /* OUT */
	assert_int_equal(side[0].exits, 2);
	assert_int_equal(side[0].n_console, 1);
	assert_int_equal(side[0].console[0], 'Z');
	while (!o->end(side[0].session))
		assert_int_equal(o->step_exit(side[0].session), ERR_OK);
	assert_int_equal(side[0].exits, 5);
	assert_int_equal(side[0].vm->end.kind, END_DEBUG_EXIT);
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
	add_guest(0, echo_guest, sizeof echo_guest);
	connect_kind(FAKE_METAL_AGENT, 0, 1);
	open_all();
	const struct session_ops *o = side[0].session->ops;
	assert_int_equal(pthread_create(&t, NULL, stop_later, side[0].session), 0);
	assert_int_equal(o->run(side[0].session), ERR_OK);
	pthread_join(t, NULL);
	assert_int_equal(side[0].vm->end.kind, END_STOPPED);
	assert_null(o->end(side[0].session));
	assert_int_equal(o->get_state(side[0].session, 0, &s), ERR_OK);
	assert_in_range(s.rip, LOAD_AT, LOAD_AT + 8);
	uint64_t exits = side[0].exits;
	assert_int_equal(o->step_exit(side[0].session), ERR_OK); /* a pause loses nothing, and a step is one */
	assert_int_equal(side[0].exits, exits + 1);
	assert_int_equal(pthread_create(&t, NULL, type_later, side[0].session), 0);
	assert_int_equal(o->run(side[0].session), ERR_OK);
	pthread_join(t, NULL);
	assert_int_equal(side[0].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(side[0].n_console, 4);
	assert_memory_equal(side[0].console, "hi q", 4);
}

static void two_guests_have_their_own_exits_and_consoles(void **state)
{
	int k;
	(void)state;
	add_guest(0, talking_guest, sizeof talking_guest);
	add_guest(1, cpuid_guest, sizeof cpuid_guest);
	connect_kind(FAKE_METAL_AGENT, 0, 1);
	request.slice_ns = 100000;
	open_all();
	while ((k = remote_ready(remote)) >= 0)
		assert_int_equal(vm_step_exit(side[k].vm, &side[k].vm->vcpus[0]), ERR_OK);
	assert_int_equal(side[0].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(side[1].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(side[0].n_console, 3000);
	assert_int_equal(side[1].n_console, 2);
	assert_int_equal(side[1].exits, 5);
	assert_int_equal(side[0].exits, exits_in_process(talking_guest, sizeof talking_guest));
}

static void open_fails(enum fake_metal_kind kind, const char *words)
{
	add_guest(0, cpuid_guest, sizeof cpuid_guest);
	connect_kind(kind, 0, 1);
	assert_int_not_equal(remote_open(&request, &remote, &why), ERR_OK);
	assert_null(remote);
	assert_non_null(strstr(why.text, words));
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
	add_guest(0, cpuid_guest, sizeof cpuid_guest);
	connect_kind(kind, 0, 1);
	open_all();
	(void)!side[0].session->ops->run(side[0].session);
	assert_int_equal(side[0].vm->end.kind, END_HOST_ERROR);
	assert_non_null(strstr(side[0].vm->end.detail, words));
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
	assert_null(strstr(side[0].vm->end.detail, "rip"));
	remote_facts(remote, &f);
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
	add_guest(0, cpuid_guest, sizeof cpuid_guest);
	request.machine = "/nowhere/tty";
	assert_int_equal(remote_open(&request, &remote, &why), ERR_NODEV);
	assert_non_null(strstr(why.text, "/nowhere/tty: cannot be opened"));
	request.machine = "vax";
	assert_int_equal(remote_open(&request, &remote, &why), ERR_NOENT);
}

/* A pty that nobody answers on; the second one would wait for 20 seconds. */
static void who_gives_up_need_not_wait_for_a_silent_line(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	(void)state;
	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	add_guest(0, cpuid_guest, sizeof cpuid_guest);
	request.machine = ptsname(master);
	vm_timeout(side[0].vm);
	assert_int_equal(remote_open(&request, &remote, &why), ERR_AGAIN);
	assert_string_equal(why.text, "the time limit was over before the guests ran");
	vm_stop(side[0].vm);
	assert_int_equal(remote_open(&request, &remote, &why), ERR_AGAIN);
	assert_string_equal(why.text, "stopped before the guests ran");
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
	add_guest(0, cpuid_guest, sizeof cpuid_guest);
	connect_kind(FAKE_METAL_SLOW, 0, 1);
	assert_int_equal(pthread_create(&t, NULL, stop_soon, side[0].vm), 0);
	assert_int_equal(remote_open(&request, &remote, &why), ERR_AGAIN);
	pthread_join(t, NULL);
	assert_true(fake_metal_went_off(&metal, 5000));
}

static void a_bundle_is_what_the_vmm_checks(void **state)
{
	const struct machine_facts f = {.tsc_hz = 12345};
	static const struct load_module module = {"module", 6, "its words"};
	uint8_t *b;
	size_t n;
	(void)state;
	add_guest(0, echo_guest, sizeof echo_guest);
	request.guests[0].load.cmdline = "a b";
	request.guests[0].load.modules = &module;
	request.guests[0].load.n_modules = 1;
	request.guests[0].keys = (const uint8_t *)"xyz";
	request.guests[0].n_keys = 3;
	assert_int_equal(bundle_build(&request, &f, BUNDLE_SESSION, 0, &b, &n, &why), ERR_OK);
	assert_int_equal(bundle_check(b, n, &why), ERR_OK);
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
	assert_int_not_equal(bundle_check(b, n, &why), ERR_OK);
	free(b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_guest_runs_to_its_end_and_its_probes_see_every_exit),
	    T(noise_is_counted_and_commands_come_through),
	    T(a_handler_here_answers_an_exit_there),
	    T(an_answer_comes_through_noise),
	    T(handlers_and_devices_here_of_a_guest_there),
	    T(and_exit_by_exit),
	    T(and_through_noise),
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
