/* session/control*.c, forward: where a run stops, and that cutting it changes nothing. */
#include "tests/control_one.h"

/* --- Cutting ------------------------------------------------------------------------------------------------------ */

/* Everything that the exits of a run say, and the whole machine at its end. */
struct account {
	uint64_t exits, hash, console, machine;
	struct vm_position end;
};

static void add_exit(void *arg, struct vcpu *v, const struct vm_exit *e)
{
	struct account *a = arg;

	a->exits++;
	a->hash = fnv64(a->hash, e, sizeof *e);
	a->hash = fnv64(a->hash, &v->cpu.s, sizeof v->cpu.s);
}

static void add_inject(void *arg, struct vcpu *v, const struct x86_event *ev)
{
	struct account *a = arg;
	const uint64_t at[2] = {v->vm->clock.insns, ev->vector};

	a->hash = fnv64(a->hash, at, sizeof at);
}

static const struct probe_ops accountant = {.name = "account", .on_done = add_exit, .on_inject = add_inject};

static uint64_t machine_hash(struct vm *vm)
{
	size_t n = snapshot_size(vm), used;
	uint8_t *buf = malloc(n);

	assert_int_equal(snapshot_save(vm, buf, n, &used, &why), ERR_OK);
	uint64_t h = fnv64(FNV64_INIT, buf, used);
	free(buf);
	return h;
}

static void finish_account(struct account *a)
{
	vm_position(f.vm, &a->end);
	a->console = fnv64(FNV64_INIT, f.console, f.n_console);
	a->machine = machine_hash(f.vm);
	control_fix_close(&f);
	f.c = NULL;
}

static void whole(const char *guest, unsigned cpus, struct account *a)
{
	const struct control_fix_options o = {.n_vcpus = cpus, .max_insns = 3000000};

	assert_true(control_fix_open(&f, guest, &o));
	*a = (struct account){.hash = FNV64_INIT};
	assert_int_equal(vm_add_probe(f.vm, &accountant, a), ERR_OK);
	assert_int_equal(vm_run(f.vm), ERR_OK);
	finish_account(a);
}

/* Steps of random length, with a stop from outside now and then. */
static void in_pieces(const char *guest, unsigned cpus, uint64_t longest, struct account *a)
{
	const struct control_fix_options o = {.n_vcpus = cpus, .max_insns = 3000000};
	uint64_t x = 88172645463325252ull;

	assert_true(control_fix_open(&f, guest, &o));
	*a = (struct account){.hash = FNV64_INIT};
	assert_int_equal(vm_add_probe(f.vm, &accountant, a), ERR_OK);
	do {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		if (x % 7 == 0)
			control_interrupt(f.c);
		assert_int_equal(control_step_insn(f.c, 1 + x % longest, &why), ERR_OK);
	} while (stop() == CONTROL_DONE || stop() == CONTROL_INTERRUPTED);
	finish_account(a);
}

static void check_cut(const char *guest, unsigned cpus, uint64_t longest)
{
	struct account one, many;

	whole(guest, cpus, &one);
	in_pieces(guest, cpus, longest, &many);
	assert_true(one.exits > 10);
	assert_int_equal(one.exits, many.exits);
	assert_int_equal(one.end.insns, many.end.insns);
	assert_int_equal(one.end.ns, many.end.ns);
	assert_int_equal(one.console, many.console);
	assert_int_equal(one.hash, many.hash);
	assert_int_equal(one.machine, many.machine);
}

static void cutting_leaves_no_trace(void **state)
{
	(void)state;
	check_cut("hello", 1, 7);
	check_cut("timer", 1, 1000);
	check_cut("modes", 1, 3);
	check_cut("exits", 1, 50);
	check_cut("paging", 1, 100);
	check_cut("timer", 2, 500);
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

/*
 * 7c00 call 7c08; 7c03 rep stosb; 7c05 cli; hlt; nop  7c08 call 7c0c; ret  7c0c ret
 */
static const uint8_t calls[] = {0xe8, 0x05, 0x00, 0xf3, 0xaa, 0xfa, 0xf4, 0x90, 0xe8, 0x01, 0x00, 0xc3, 0xc3};

static uint64_t rip(void)
{
	return f.vm->vcpus[0].cpu.s.rip;
}

static void steps(void **state)
{
	(void)state;
	open_code(calls, sizeof calls);
	f.vm->vcpus[0].cpu.s.gpr[X86_RCX] = 5;
	f.vm->vcpus[0].cpu.s.gpr[X86_RDI] = 0x500;
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_DONE);
	assert_int_equal(rip(), 0x7c08);
	assert_int_equal(control_step_over(f.c, &why), ERR_OK);
	assert_int_equal(rip(), 0x7c0b);
	assert_int_equal(control_where(f.c)->insns, 3);
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(rip(), 0x7c03);
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK); /* one iteration */
	assert_int_equal(rip(), 0x7c03);
	assert_int_equal(control_step_over(f.c, &why), ERR_OK); /* the others */
	assert_int_equal(rip(), 0x7c05);
	assert_int_equal(control_where(f.c)->insns, 9);
	assert_int_equal(control_step_insn(f.c, 5, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
	assert_int_equal(f.vm->end.kind, END_HALT);
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
}

static void finishes_a_function(void **state)
{
	(void)state;
	open_code(calls, sizeof calls);
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(control_finish(f.c, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_DONE);
	assert_int_equal(rip(), 0x7c03);
}

/* 7c00 call 7c05; 7c03 cli; hlt; 7c05: a function that calls itself: dec cx; jz 7c0b; call 7c05; 7c0b ret */
static const uint8_t recursion[] = {0xe8, 0x02, 0x00, 0xfa, 0xf4, 0x49, 0x74, 0x03, 0xe8, 0xfa, 0xff, 0xc3};

static void steps_over_recursion(void **state)
{
	(void)state;
	open_code(recursion, sizeof recursion);
	f.vm->vcpus[0].cpu.s.gpr[X86_RCX] = 4;
	assert_int_equal(control_step_insn(f.c, 3, &why), ERR_OK);
	assert_int_equal(rip(), 0x7c08); /* the inner call: its next instruction is that of the deeper ones, too */
	assert_int_equal(control_step_over(f.c, &why), ERR_OK);
	assert_int_equal(rip(), 0x7c0b);
	assert_int_equal(f.vm->vcpus[0].cpu.s.gpr[X86_RCX], 0);
	assert_int_equal(f.vm->vcpus[0].cpu.s.gpr[X86_RSP], 0x7bfe);
}

static void steps_by_exits(void **state)
{
	(void)state;
	open_guest("hello");
	assert_int_equal(control_step_exit(f.c, 3), ERR_OK);
	assert_int_equal(stop(), CONTROL_DONE);
	assert_int_equal(control_where(f.c)->exits, 3);
	assert_int_equal(control_run_to_exit(f.c, EXIT_IO_INSTRUCTION), ERR_OK);
	assert_int_equal(f.vm->vcpus[0].exit.reason, EXIT_IO_INSTRUCTION);
	uint64_t k = control_where(f.c)->exits;
	assert_int_equal(control_goto_exit(f.c, k + 9, &why), ERR_OK);
	assert_int_equal(control_where(f.c)->exits, k + 10);
	assert_int_equal(control_goto_insn(f.c, control_where(f.c)->insns + 5, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_DONE);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
	assert_int_equal(control_where(f.c)->last_exits, control_where(f.c)->exits);
}

/* --- Breakpoints -------------------------------------------------------------------------------------------------- */

static unsigned add(struct breakpoint b)
{
	if (control_break_add(f.c, &b, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return b.id;
}

static void run_to(unsigned id)
{
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_BREAK);
	assert_int_equal(control_where(f.c)->breakpoint, id);
}

/* 7c00 mov cx,3; 7c03 nop; 7c04 loop 7c03; 7c06 cli; hlt */
static const uint8_t loop[] = {0xb9, 0x03, 0x00, 0x90, 0xe2, 0xfd, 0xfa, 0xf4};

static void breaks_on_an_address(void **state)
{
	(void)state;
	open_code(loop, sizeof loop);
	unsigned id = add((struct breakpoint){.kind = BREAK_INSN, .lo = 0x7c03, .hi = 0x7c03});
	for (unsigned left = 3; left; left--) {
		run_to(id);
		assert_int_equal(rip(), 0x7c03);
		assert_int_equal(f.vm->vcpus[0].cpu.s.gpr[X86_RCX], left);
	}
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
	assert_int_equal(control_break_at(f.c, 0)->hits, 3);
	assert_int_equal(control_where(f.c)->insns, 9);
}

static void skips_once_and_disabled(void **state)
{
	static const uint8_t five[] = {0xb9, 0x05, 0x00, 0x90, 0xe2, 0xfd, 0xfa, 0xf4};

	(void)state;
	open_code(five, sizeof five);
	unsigned off = add((struct breakpoint){.kind = BREAK_INSN, .lo = 0, .hi = UINT64_MAX, .disabled = true});
	unsigned id = add((struct breakpoint){.kind = BREAK_INSN, .lo = 0x7c03, .hi = 0x7c03, .skip = 2, .once = true});
	run_to(id);
	assert_int_equal(f.vm->vcpus[0].cpu.s.gpr[X86_RCX], 3);
	assert_int_equal(control_break_at(f.c, 0)->id, off);
	assert_null(control_break_at(f.c, 1));
	assert_int_equal(control_break_remove(f.c, id), ERR_NOENT);
	assert_int_equal(control_break_enable(f.c, off, true), ERR_OK);
	run_to(off);
	assert_int_equal(rip(), 0x7c04);
	assert_int_equal(control_break_remove(f.c, off), ERR_OK);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
}

/* Of a repeated instruction one stop is enough. */
static void stops_once_at_a_repeated_one(void **state)
{
	(void)state;
	open_code(calls, sizeof calls);
	f.vm->vcpus[0].cpu.s.gpr[X86_RCX] = 2000;
	unsigned id = add((struct breakpoint){.kind = BREAK_INSN, .lo = 0x7c03, .hi = 0x7c03});
	run_to(id);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
}

/* 7c00 mov cx,3; 7c03 mov [600h],cx; 7c07 mov ax,[602h]; 7c0a push ax; 7c0b pop ax; 7c0c loop 7c03; 7c0e cli; hlt */
static const uint8_t memory[] = {
    0xb9, 0x03, 0x00, 0x89, 0x0e, 0x00, 0x06, 0xa1, 0x02, 0x06, 0x50, 0x58, 0xe2, 0xf5, 0xfa, 0xf4};

static void breaks_on_memory(void **state)
{
	(void)state;
	open_code(memory, sizeof memory);
	f.vm->vcpus[0].cpu.s.gpr[X86_RSP] = 0x604;
	/* The TLB knows the page before it is watched. */
	assert_int_equal(control_step_insn(f.c, 3, &why), ERR_OK);
	unsigned wr = add((struct breakpoint){.kind = BREAK_MEM, .lo = 0x600, .hi = 0x601, .access = BREAK_WRITE});
	unsigned rd = add((struct breakpoint){.kind = BREAK_MEM, .lo = 0x602, .hi = 0x602, .access = BREAK_READ});
	run_to(rd); /* POP */
	assert_int_equal(rip(), 0x7c0c);
	for (unsigned left = 2; left; left--) {
		run_to(wr);
		assert_int_equal(rip(), 0x7c07);
		assert_int_equal(f.vm->vcpus[0].cpu.s.gpr[X86_RCX], left);
		run_to(rd);
		assert_int_equal(rip(), 0x7c0a);
		run_to(rd);
		assert_int_equal(rip(), 0x7c0c);
	}
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
	assert_null(f.vm->vcpus[0].cpu.watch);
}

static void look_on(void *arg, const struct x86_insn *i)
{
	(void)arg;
	(void)i;
}

/* Where a run stops: of each stop, the instruction count and where it is. by_step: one instruction at a time, which is
 * what somebody who looks at each of them gets. */
static uint64_t stops(const char *guest, struct breakpoint b, bool by_step, unsigned *n)
{
	const struct control_fix_options o = {.max_insns = 400000};
	uint64_t hash = FNV64_INIT;

	assert_true(control_fix_open(&f, guest, &o));
	if (by_step)
		f.vm->vcpus[0].cpu.on_insn = look_on;
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_OK);
	for (*n = 0; control_run(f.c) == ERR_OK && stop() == CONTROL_BREAK && *n < 3000; ++*n) {
		const uint64_t at[2] = {f.vm->clock.insns, rip()};

		hash = fnv64(hash, at, sizeof at);
	}
	assert_int_equal(f.vm->vcpus[0].cpu.on_insn != NULL, by_step);
	control_fix_close(&f);
	f.c = NULL;
	return hash;
}

static unsigned check_stops(const char *guest, struct breakpoint b)
{
	unsigned fast, slow;
	uint64_t hash = stops(guest, b, false, &fast);

	assert_int_equal(stops(guest, b, true, &slow), hash);
	assert_int_equal(fast, slow);
	return fast;
}

/* Breakpoints cut blocks: a run stops where it does when it goes by single instructions. */
static void blocks_stop_where_steps_do(void **state)
{
	static const char *const names[] = {"hello", "exits", "modes", "timer", "paging", "primes"};
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		for (uint64_t at = 40; at < 40000; at = at * 7 / 2) {
			struct breakpoint insn = {.kind = BREAK_INSN}, mem = {.kind = BREAK_MEM};

			open_guest(names[i]);
			assert_int_equal(control_step_insn(f.c, at, &why), ERR_OK);
			insn.lo = insn.hi = x86_linear_ip(&f.vm->vcpus[0].cpu);
			mem.lo = f.vm->vcpus[0].cpu.s.seg[X86_SS].base + f.vm->vcpus[0].cpu.s.gpr[X86_RSP] - 16;
			mem.hi = mem.lo + 7;
			bool ended = stop() == CONTROL_END;
			control_fix_close(&f);
			f.c = NULL;
			if (ended)
				break;
			seen += check_stops(names[i], insn);
			insn.hi += 5;
			seen += check_stops(names[i], insn);
			seen += check_stops(names[i], mem);
		}
	assert_true(seen > 1000);
}

static void breaks_on_exits(void **state)
{
	(void)state;
	open_guest("exits");
	unsigned cpuid = add((struct breakpoint){.kind = BREAK_EXIT, .lo = EXIT_CPUID});
	unsigned wr = add((struct breakpoint){.kind = BREAK_MSR, .lo = 0, .hi = UINT32_MAX, .access = BREAK_WRITE});
	unsigned seen[2] = {0, 0};
	while (control_run(f.c) == ERR_OK && stop() == CONTROL_BREAK) {
		const struct vm_exit *e = &f.vm->vcpus[0].exit;
		if (control_where(f.c)->breakpoint == cpuid) {
			assert_int_equal(e->reason, EXIT_CPUID);
			seen[0]++;
		} else {
			assert_int_equal(control_where(f.c)->breakpoint, wr);
			assert_int_equal(e->reason, EXIT_MSR_WRITE);
			seen[1]++;
		}
	}
	assert_int_equal(stop(), CONTROL_END);
	assert_int_equal(seen[0], 11); /* guests.def */
	assert_int_equal(seen[1], 5);
}

static void breaks_on_a_port(void **state)
{
	(void)state;
	open_guest("hello");
	unsigned id = add((struct breakpoint){.kind = BREAK_PORT, .lo = 0x3f8, .hi = 0x3f8, .access = BREAK_WRITE});
	for (unsigned k = 0; k < 5; k++) {
		run_to(id);
		assert_int_equal(f.vm->vcpus[0].exit.io.port, 0x3f8);
		assert_false(f.vm->vcpus[0].exit.io.in);
	}
	assert_int_equal(control_break_enable(f.c, id, false), ERR_OK);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
}

static void refuses_what_is_wrong(void **state)
{
	struct breakpoint b = {.kind = BREAK_INSN, .lo = 5, .hi = 4, .text = "5..4"};

	(void)state;
	open_guest("hello");
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_RANGE);
	assert_non_null(strstr(why.text, "5..4"));
	b = (struct breakpoint){.kind = BREAK_EXIT, .lo = 9999};
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_NOENT);
	b = (struct breakpoint){.kind = BREAK_EXIT, .lo = EXIT_CPUID, .disabled = true};
	for (unsigned i = 0; i < CONTROL_BREAKS_MAX; i++)
		assert_int_equal(control_break_add(f.c, &b, &why), ERR_OK);
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_NOMEM);
	assert_int_equal(control_break_enable(f.c, 77, true), ERR_NOENT);
}

/* --- The other backends ------------------------------------------------------------------------------------------- */

static bool open_kvm(const void *code, size_t n)
{
	const struct control_fix_options o = {
	    .mode = modes_find(MODE_VIRTUALIZE, VMM_TYPE_II), .clock = CLOCK_HOST, .code = code, .code_len = n};

	if (control_fix_open(&f, "code", &o))
		return true;
	print_message("not here: /dev/kvm\n");
	return false;
}

static uint64_t reg(unsigned r)
{
	return r == 16 ? vcpu_state(&f.vm->vcpus[0])->rip : vcpu_state(&f.vm->vcpus[0])->gpr[r];
}
#define RIP 16u

/* By the processor's debug registers; finish and step over by the same. */
static void kvm_steps_over_and_out(void **state)
{
	(void)state;
	if (!open_kvm(calls, sizeof calls))
		return;
	struct x86_state *s = vcpu_state_for_write(&f.vm->vcpus[0], DIRTY_ALL);
	s->gpr[X86_RCX] = 5;
	s->gpr[X86_RDI] = 0x500;
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(reg(RIP), 0x7c08);
	assert_int_equal(control_step_over(f.c, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_DONE);
	assert_int_equal(reg(RIP), 0x7c0b);
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(reg(RIP), 0x7c03);
	assert_int_equal(control_step_over(f.c, &why), ERR_OK);
	assert_int_equal(reg(RIP), 0x7c05);
	assert_int_equal(reg(X86_RCX), 0);
	control_fix_close(&f);
	assert_true(open_kvm(calls, sizeof calls));
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(control_finish(f.c, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_DONE);
	assert_int_equal(reg(RIP), 0x7c03);
}

static void kvm_steps_over_recursion(void **state)
{
	(void)state;
	if (!open_kvm(recursion, sizeof recursion))
		return;
	vcpu_state_for_write(&f.vm->vcpus[0], DIRTY_ALL)->gpr[X86_RCX] = 4;
	assert_int_equal(control_step_insn(f.c, 3, &why), ERR_OK);
	assert_int_equal(reg(RIP), 0x7c08);
	assert_int_equal(control_step_over(f.c, &why), ERR_OK);
	assert_int_equal(reg(RIP), 0x7c0b);
	assert_int_equal(reg(X86_RCX), 0);
	assert_int_equal(reg(X86_RSP), 0x7bfe);
}

static void kvm_breaks_on_an_address(void **state)
{
	struct breakpoint b = {.kind = BREAK_INSN, .lo = 0x7c03, .hi = 0x7c05, .text = "7c03-7c05"};

	(void)state;
	if (!open_kvm(loop, sizeof loop))
		return;
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "single addresses"));
	b.kind = BREAK_MEM;
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_UNSUPPORTED);
	unsigned id = add((struct breakpoint){.kind = BREAK_INSN, .lo = 0x7c03, .hi = 0x7c03});
	for (unsigned left = 3; left; left--) {
		run_to(id);
		assert_int_equal(reg(RIP), 0x7c03);
		assert_int_equal(reg(X86_RCX), left);
	}
	/* A step is not held up by the breakpoint that it begins at. */
	assert_int_equal(control_step_insn(f.c, 1, &why), ERR_OK);
	assert_int_equal(stop(), CONTROL_DONE);
	assert_int_equal(reg(RIP), 0x7c04);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
	assert_int_equal(f.vm->end.kind, END_HALT);
	assert_int_equal(control_break_at(f.c, 0)->hits, 3);
	b = (struct breakpoint){.kind = BREAK_INSN, .lo = 1, .hi = 1};
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_OK);
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_OK);
	assert_int_equal(control_break_add(f.c, &b, &why), ERR_NOMEM);
}

static void kvm_stops_once_at_a_repeated_one(void **state)
{
	(void)state;
	if (!open_kvm(calls, sizeof calls))
		return;
	vcpu_state_for_write(&f.vm->vcpus[0], DIRTY_ALL)->gpr[X86_RCX] = 40;
	vcpu_state_for_write(&f.vm->vcpus[0], DIRTY_ALL)->gpr[X86_RDI] = 0x500;
	unsigned id = add((struct breakpoint){.kind = BREAK_INSN, .lo = 0x7c03, .hi = 0x7c03});
	run_to(id);
	assert_int_equal(reg(X86_RCX), 40);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(stop(), CONTROL_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(cutting_leaves_no_trace, teardown),
	    cmocka_unit_test_teardown(steps, teardown),
	    cmocka_unit_test_teardown(finishes_a_function, teardown),
	    cmocka_unit_test_teardown(steps_over_recursion, teardown),
	    cmocka_unit_test_teardown(steps_by_exits, teardown),
	    cmocka_unit_test_teardown(breaks_on_an_address, teardown),
	    cmocka_unit_test_teardown(skips_once_and_disabled, teardown),
	    cmocka_unit_test_teardown(stops_once_at_a_repeated_one, teardown),
	    cmocka_unit_test_teardown(breaks_on_memory, teardown),
	    cmocka_unit_test_teardown(blocks_stop_where_steps_do, teardown),
	    cmocka_unit_test_teardown(breaks_on_exits, teardown),
	    cmocka_unit_test_teardown(breaks_on_a_port, teardown),
	    cmocka_unit_test_teardown(refuses_what_is_wrong, teardown),
	    cmocka_unit_test_teardown(kvm_steps_over_and_out, teardown),
	    cmocka_unit_test_teardown(kvm_steps_over_recursion, teardown),
	    cmocka_unit_test_teardown(kvm_breaks_on_an_address, teardown),
	    cmocka_unit_test_teardown(kvm_stops_once_at_a_repeated_one, teardown),
	};

	return cmocka_run_group_tests_name("session_control", tests, NULL, NULL);
}
