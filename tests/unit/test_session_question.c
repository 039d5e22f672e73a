/* session/: questions of the agent of the bare-metal image, to handlers and devices of this side. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/remote_side.h"

#define LOAD_AT 0x7c00

/* xor eax, eax; cpuid; mov al, bl; out 0xe9, al; ...; the end */
static const uint8_t cpuid_guest[] = {0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x88, 0xd8, 0xe6, 0xe9, /* low byte of EBX */
    0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x88, 0xd8, 0xe6, 0xe9,				    /* the same again */
    0xb0, 0x00, 0xe6, 0xf4};
static unsigned asked;

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

static void a_handler_here_answers_an_exit_there(void **state)
{
	struct x86_state s;
	(void)state;
	rs_add_guest(0, cpuid_guest, sizeof cpuid_guest);
	rs.side[0].vm->cfg.user = answer;
	asked = 0;
	rs.side[0].vm->user_reasons[0] = 1ull << EXIT_CPUID;
	rs_connect(FAKE_METAL_AGENT, 0, 1);
	rs_open();
	const struct session_ops *o = rs.side[0].session->ops;
	assert_int_equal(o->step_exit(rs.side[0].session), ERR_OK);
	assert_int_equal(asked, 1);
	assert_int_equal(o->get_state(rs.side[0].session, 0, &s), ERR_OK);
	assert_int_equal(s.gpr[X86_RSI], 0x1234);
	assert_int_equal(s.rip, LOAD_AT + 5);
	/* From now on the VMM handles it itself. */
	rs.side[0].vm->user_reasons[0] = 0;
	assert_int_equal(o->run(rs.side[0].session), ERR_OK);
	assert_int_equal(rs.side[0].vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(asked, 1);
	assert_int_equal(rs.side[0].n_console, 2);
	assert_int_equal(rs.side[0].console[0], 0x41);
	assert_int_not_equal(rs.side[0].console[1], 0x41);
}

static void an_answer_comes_through_noise(void **state)
{
	(void)state;
	rs_add_guest(0, cpuid_guest, sizeof cpuid_guest);
	rs.side[0].vm->cfg.user = answer;
	rs.side[0].vm->n_probes = 0;
	rs.side[0].vm->user_reasons[0] = 1ull << EXIT_CPUID;
	rs_connect(FAKE_METAL_AGENT, 300, 11);
	rs_open();
	asked = 0;
	assert_int_equal(rs.side[0].session->ops->step_exit(rs.side[0].session), ERR_OK);
	assert_int_equal(asked, 1);
	rs.side[0].vm->user_reasons[0] = 0;
	assert_int_equal(rs.side[0].session->ops->run(rs.side[0].session), ERR_OK);
	assert_int_equal(rs.side[0].vm->end.kind, END_DEBUG_EXIT);
}

/* in al, 0x50; out 0xe9, al; xor eax, eax; cpuid; mov al, bl; out 0xe9, al; out 0x50, al; mov al, 0; out 0xf4, al */
static const uint8_t device_guest[] = {
    0xe4, 0x50, 0xe6, 0xe9, 0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x88, 0xd8, 0xe6, 0xe9, 0xe6, 0x50, 0xb0, 0x00, 0xe6, 0xf4};

static uint64_t written;
static enum verdict own;

static uint64_t device_read(struct device *d, unsigned region, uint32_t off, unsigned len)
{
	const struct session_ops *o = rs.side[0].session->ops;
	uint8_t code = 0, mark = 0x5a;
	(void)d;
	(void)region;
	assert_int_equal(off, 0);
	assert_int_equal(len, 1);
	/* The guest stands still there, and can be looked at and changed. */
	assert_int_equal(o->read_mem(rs.side[0].session, LOAD_AT, &code, 1), ERR_OK);
	assert_int_equal(code, 0xe4);
	assert_int_equal(o->write_mem(rs.side[0].session, 0x9000, &mark, 1), ERR_OK);
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
	const struct session_ops *o = rs.side[0].session->ops;
	uint64_t efer = 1;
	(void)arg;
	asked++;
	assert_int_equal(o->handle(rs.side[0].session, v, e, &own), ERR_OK);
	if (e->reason != EXIT_CPUID)
		return own;
	assert_int_equal(e->cpuid.ebx, 0x756e6547); /* "Genu" */
	assert_int_equal(v->cpu.s.rip, LOAD_AT + 7);
	assert_int_equal(o->rdmsr(rs.side[0].session, 0, 0xc0000080, &efer), ERR_OK);
	assert_int_equal(efer, 0);
	assert_int_equal(o->wrmsr(rs.side[0].session, 0, 0xc0000082, 0x4321), ERR_OK);
	assert_int_equal(o->wrmsr(rs.side[0].session, 0, 0x10, 0), ERR_UNSUPPORTED); /* the TSC is not in the answer */
	assert_int_equal(o->rdmsr(rs.side[0].session, 0, 0x99999, &efer), ERR_NOENT);
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
	rs_add_guest(0, device_guest, sizeof device_guest);
	struct vm *vm = rs.side[0].vm;
	if (noise)
		vm->n_probes = 0;
	vm->cfg.user = after_the_vmm;
	vm->user_reasons[0] = 1ull << EXIT_CPUID | 1ull << EXIT_IO_INSTRUCTION;
	assert_int_equal(bus_add_pio(&vm->bus, 0x50, 1, &dev, 0, &rs.why), ERR_OK);
	written = asked = 0;
	own = VERDICT_KILL;
	rs_connect(FAKE_METAL_AGENT, noise, seed);
	rs_open();
	const struct session_ops *o = rs.side[0].session->ops;
	assert_int_equal(o->claim(rs.side[0].session, false, 0x50, 1), ERR_OK);
	assert_int_equal(o->claim(rs.side[0].session, false, 0x50, 1), ERR_BUSY);
	assert_int_equal(o->claim(rs.side[0].session, false, 0xffff, 2), ERR_RANGE);
	assert_int_equal(o->wrmsr(rs.side[0].session, 0, 0xc0000081, 0x77), ERR_OK);
	assert_int_equal(o->wrmsr(rs.side[0].session, 0, 0x99999, 1), ERR_NOENT);
	while (!o->end(rs.side[0].session)) {
		uint64_t before = vm->vcpus[0].counts.exits;
		assert_int_equal(by_steps ? o->step_exit(rs.side[0].session) : o->run(rs.side[0].session), ERR_OK);
		assert_false(vm->ended && vm->end.kind == END_STOPPED);
		if (by_steps && !vm->ended) /* of a step whose record is lost nothing is seen: there is another one */
			assert_int_equal(vm->vcpus[0].counts.exits, before + 1);
	}
	assert_int_equal(vm->end.kind, END_DEBUG_EXIT);
	assert_int_equal(asked, 6);
	assert_int_equal(own, VERDICT_NEXT);
	assert_int_equal(written, 0x41);
	assert_int_equal(o->read_mem(rs.side[0].session, 0x9000, &mark, 1), ERR_OK);
	assert_int_equal(mark, 0x5a);
	assert_int_equal(o->rdmsr(rs.side[0].session, 0, 0xc0000081, &star), ERR_OK);
	assert_int_equal(o->rdmsr(rs.side[0].session, 0, 0xc0000082, &lstar), ERR_OK);
	assert_int_equal(star, 0x77);
	assert_int_equal(lstar, 0x4321);
	if (noise)
		return; /* bytes of the console may be lost */
	assert_int_equal(rs.side[0].n_console, 2);
	assert_int_equal(rs.side[0].console[0], 'D');
	assert_int_equal(rs.side[0].console[1], 0x41);
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
	/* Seed 3 loses records of steps, seed 12 the message of the end. */
	static const struct {
		unsigned noise, seed;
		bool by_steps;
	} lines[] = {{60, 2, false}, {60, 4, false}, {20, 1, true}, {20, 3, true}, {20, 12, true}};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		rs_setup(state);
		run_under_questions(lines[i].noise, lines[i].seed, lines[i].by_steps);
		rs_teardown(state);
	}
	rs_setup(state);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rs_setup, rs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_handler_here_answers_an_exit_there),
	    T(an_answer_comes_through_noise),
	    T(handlers_and_devices_here_of_a_guest_there),
	    T(and_exit_by_exit),
	    T(and_through_noise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
