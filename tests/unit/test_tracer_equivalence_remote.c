/*
 * Lockstep of a subject whose loop runs elsewhere (bare metal): what is planted in the stream of events is found, by
 * name. The machine elsewhere is an emulate VM of this process, whose exits a probe turns into the events of
 * core/remote.h; no Bochs and no QEMU is needed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/remote.h"
#include "modes/modes.h"
#include "tracer/equivalence.h"

#define CODE_BASE 0x7c00u
#define EVENTS_MAX 64

enum fault {
	FAULT_NONE,
	FAULT_REGISTER,
	FAULT_RIP,
	FAULT_MEMORY,
	FAULT_MISSING,
	FAULT_EXTRA,
	FAULT_QUAL,
	FAULT_LENGTH,
	FAULT_VALUE,
	FAULT_REASON
};

static struct {
	enum fault kind;
	uint64_t at; /* the exit with this number */
} plant;

static struct vm *inner, *mirror;
static struct remote_event events[EVENTS_MAX];
static unsigned n_events, at_event;

static struct remote_event *push(enum remote_event_kind kind)
{
	struct remote_event *ev = &events[n_events++];

	assert_true(n_events <= EVENTS_MAX);
	memset(ev, 0, sizeof *ev);
	ev->kind = kind;
	return ev;
}

static bool planted(const struct vm_exit *e, enum fault kind)
{
	return plant.kind == kind && e->index == plant.at;
}

static void inner_verdict(void *arg, struct vcpu *v, const struct vm_exit *e, enum verdict verdict)
{
	(void)arg;
	(void)v;
	if (planted(e, FAULT_MISSING))
		return;
	struct remote_event *ev = push(REMOTE_EXIT);
	ev->exit.exit = *e;
	ev->exit.verdict = verdict;
	ev->exit.has_done = 1;
	ev->exit.entered_ns = v->entered_ns;
	if (planted(e, FAULT_QUAL))
		ev->exit.exit.qual ^= 1u << 16;
	if (planted(e, FAULT_LENGTH))
		ev->exit.exit.insn_len++;
	if (planted(e, FAULT_VALUE))
		ev->exit.exit.io.value ^= 1;
	if (planted(e, FAULT_REASON))
		ev->exit.exit.reason = EXIT_CPUID;
}

static void inner_done(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	(void)arg;
	if (planted(e, FAULT_MISSING))
		return;
	struct remote_event *ev = push(REMOTE_DONE);
	rec_regs_from(&ev->done.regs, vcpu_state(v));
	if (planted(e, FAULT_REGISTER))
		ev->done.regs.gpr[X86_RBX] ^= 0x100;
	if (planted(e, FAULT_RIP))
		ev->done.regs.rip++;
	if (planted(e, FAULT_EXTRA)) {
		events[n_events] = events[n_events - 2];
		events[n_events + 1] = events[n_events - 1];
		n_events += 2;
	}
}

static const struct probe_ops inner_probe = {.name = "elsewhere", .on_verdict = inner_verdict, .on_done = inner_done};

/* A checkpoint with each exit: all of memory, as the machine elsewhere has it. */
static void take_memory(void)
{
	memcpy(mirror->mem.ram, inner->mem.ram, mirror->mem.ram_size);
	if (plant.kind == FAULT_MEMORY && mirror->vcpus[0].exit.index >= plant.at)
		mirror->mem.ram[0x5005] ^= 0x40;
	mirror->mem_stale = false;
}

static enum err remote_next(struct vcpu *v, struct remote_event *ev)
{
	while (at_event == n_events) {
		at_event = n_events = 0;
		if (inner->ended) {
			struct remote_event *end = push(REMOTE_END);
			end->end.end = inner->end;
			end->end.counts = v->counts;
		} else {
			assert_int_equal(vm_step_exit(inner, &inner->vcpus[0]), ERR_OK);
		}
	}
	*ev = events[at_event++];
	if (ev->kind == REMOTE_DONE)
		take_memory();
	return ERR_OK;
}

static enum err nothing_vm(struct vm *vm, struct errmsg *why)
{
	(void)vm;
	(void)why;
	return ERR_OK;
}
static void nothing_fini(struct vm *vm)
{
	(void)vm;
}
static enum err nothing_map(struct vm *vm, unsigned slot, struct errmsg *why)
{
	(void)vm;
	(void)slot;
	(void)why;
	return ERR_OK;
}
static enum err nothing_vcpu(struct vcpu *v)
{
	(void)v;
	return ERR_OK;
}

static const struct mode_ops remote_ops = {.name = "virtualize",
    .engine = "vmx",
    .mode = MODE_VIRTUALIZE,
    .type = VMM_TYPE_I,
    .caps = MODE_CAP_REMOTE | MODE_CAP_HOST_TIME,
    .profiles = ~0u,
    .default_profile = "vtx-ept",
    .vm_init = nothing_vm,
    .vm_fini = nothing_fini,
    .map = nothing_map,
    .get_state = nothing_vcpu,
    .set_state = nothing_vcpu,
    .next = remote_next};

/* mov cx,6; again: in al,0x71; inc bx; out 0xe0,al; mov [0x5000],bx; loop again; xor al,al; out 0xf4,al */
static const uint8_t code[] = {
    0xb9, 6, 0, 0xe4, 0x71, 0x43, 0xe6, 0xe0, 0x89, 0x1e, 0x00, 0x50, 0xe2, 0xf5, 0x30, 0xc0, 0xe6, 0xf4};

static struct vm *machine(const struct mode_ops *ops, enum clock_kind clock)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = ops,
	    .guest = "bytes",
	    .controls = "vtx-ept",
	    .mem_size = 1 << 20,
	    .n_vcpus = 1,
	    .clock = clock};
	struct errmsg why = {""};
	struct vm *vm;

	if (vm_create(&cfg, &vm, &why) != ERR_OK)
		fail_msg("%s", why.text);
	assert_int_equal(mem_write(&vm->mem, CODE_BASE, code, sizeof code), ERR_OK);
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);
	for (unsigned i = 0; i < X86_SREG_COUNT; i++) {
		s->seg[i].sel = 0;
		s->seg[i].base = 0;
	}
	s->gpr[X86_RSP] = 0x7000;
	s->rip = CODE_BASE;
	return vm;
}

static struct equivalence_report lockstep(enum fault kind, uint64_t at)
{
	struct vm *reference = machine(&mode_emulate_type2_ops, CLOCK_VIRTUAL);
	struct equivalence_options opt = {.step = EQUIVALENCE_EXITS};
	struct equivalence_report report;

	inner = machine(&mode_emulate_type2_ops, CLOCK_VIRTUAL);
	mirror = machine(&remote_ops, CLOCK_HOST);
	assert_int_equal(vm_add_probe(inner, &inner_probe, NULL), ERR_OK);
	plant.kind = kind;
	plant.at = at;
	at_event = n_events = 0;
	equivalence_run(mirror, reference, &opt, &report);
	vm_destroy(mirror);
	vm_destroy(inner);
	vm_destroy(reference);
	return report;
}

static void an_unchanged_stream_holds(void **state)
{
	(void)state;
	struct equivalence_report r = lockstep(FAULT_NONE, 0);
	if (r.verdict.state != PG_HOLDS)
		fail_msg("%s", r.verdict.evidence);
	assert_int_equal(r.exits_compared, 13);
	assert_true(r.checkpoints >= 13);
	assert_int_equal(r.subject_end.kind, END_DEBUG_EXIT);
}

static void is_found(enum fault kind, uint64_t at, const char *field, uint64_t index)
{
	struct equivalence_report r = lockstep(kind, at);

	assert_int_equal(r.verdict.state, PG_VIOLATED);
	assert_string_equal(r.first.field, field);
	assert_int_equal(r.first.index, index);
}

static void a_register_is_found(void **state)
{
	(void)state;
	is_found(FAULT_REGISTER, 5, "rbx", 5);
	is_found(FAULT_RIP, 7, "rip", 7);
}

static void a_byte_of_memory_is_found_at_its_checkpoint(void **state)
{
	(void)state;
	struct equivalence_report r = lockstep(FAULT_MEMORY, 4);
	assert_int_equal(r.verdict.state, PG_VIOLATED);
	assert_int_equal(r.first.index, 4);
	assert_true(r.first.memory_differs);
	assert_int_equal(r.first.memory_gpa, 0x5005);
}

static void a_missing_and_an_extra_exit_are_found(void **state)
{
	(void)state;
	/* In place of the IN comes the OUT behind it, or the other way round. */
	is_found(FAULT_MISSING, 2, "rip", 2);
	is_found(FAULT_EXTRA, 2, "rip", 3);
}

static void a_field_of_an_exit_is_found(void **state)
{
	(void)state;
	is_found(FAULT_QUAL, 3, "qualification", 3);
	is_found(FAULT_LENGTH, 6, "instruction length", 6);
	is_found(FAULT_REASON, 6, "reason", 6);
	is_found(FAULT_VALUE, 3, "value", 3); /* of an OUT */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_unchanged_stream_holds),
	    cmocka_unit_test(a_register_is_found),
	    cmocka_unit_test(a_byte_of_memory_is_found_at_its_checkpoint),
	    cmocka_unit_test(a_missing_and_an_extra_exit_are_found),
	    cmocka_unit_test(a_field_of_an_exit_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
