/* session/history*.c and control_back.c: the past is the past, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/lib.h"
#include "core/snapshot.h"
#include "session/control_impl.h"
#include "tests/control_fixture.h"

#define SEEN_MAX 4096

/* What was there when a position was first passed. */
struct seen {
	struct vm_position at;
	uint64_t exits, console, state;
};

static struct control_fix f;
static struct errmsg why;
static struct seen seen[SEEN_MAX];
static size_t n_seen;
static uint64_t rnd_state;
static unsigned revisits;
static uint64_t shown; /* bytes that the owner's console holds */

static uint64_t rnd(uint64_t n)
{
	rnd_state ^= rnd_state << 13, rnd_state ^= rnd_state >> 7, rnd_state ^= rnd_state << 17;
	return rnd_state % n;
}

static int teardown(void **state)
{
	(void)state;
	if (f.c)
		control_fix_close(&f);
	memset(&f, 0, sizeof f);
	return 0;
}

static void replaying(void *arg, bool silent, uint64_t insns, uint64_t exits)
{
	(void)arg;
	(void)insns;
	(void)exits;
	if (!silent) { /* as an owner of the console should */
		f.n_console = (size_t)control_where(f.c)->console_bytes;
		shown++;
	}
}

static void open_it(const char *guest, struct control_fix_options o)
{
	o.control.replaying = replaying;
	assert_true(control_fix_open(&f, guest, &o));
	n_seen = 0;
	revisits = 0;
}

/* --- The whole state ---------------------------------------------------------------------------------------------- */

static uint64_t state_hash(struct vm *vm)
{
	size_t n = snapshot_machine_size(vm), used;
	uint8_t *buf = malloc(n);
	uint64_t h;

	assert_int_equal(snapshot_machine_save(vm, buf, n, &used, &why), ERR_OK);
	h = fnv64(mem_hash(&vm->mem), buf, used);
	free(buf);
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		const struct vcpu *v = &vm->vcpus[i];
		const uint64_t between[3] = {v->inside, v->inside ? v->leave_at : 0, v->inside ? v->entered_ns : 0};

		h = fnv64(h, &v->exit, sizeof v->exit);
		h = fnv64(h, v->history, sizeof v->history);
		h = fnv64(h, between, sizeof between);
	}
	return fnv64(h, &vm->end, vm->ended ? sizeof vm->end : 0);
}

static struct seen look(void)
{
	struct seen s = {.exits = control_where(f.c)->exits};

	vm_position(f.vm, &s.at);
	s.console = fnv64(FNV64_INIT, f.console, f.n_console);
	s.state = state_hash(f.vm);
	assert_int_equal(f.n_console, control_where(f.c)->console_bytes);
	return s;
}

/* The position is known: it must be what it was. Else it is known from now on. */
static void check_here(void)
{
	struct seen now = look();

	for (size_t i = 0; i < n_seen; i++)
		if (position_same(&seen[i].at, &now.at)) {
			assert_int_equal(seen[i].exits, now.exits);
			assert_int_equal(seen[i].console, now.console);
			if (seen[i].state != now.state)
				fail_msg("insns %llu exits %llu: another state", (unsigned long long)now.at.insns,
				    (unsigned long long)now.at.exits);
			revisits++;
			return;
		}
	if (n_seen < SEEN_MAX)
		seen[n_seen++] = now;
}

static void forget_beyond(void)
{
	struct vm_position p;
	size_t n = 0;

	vm_position(f.vm, &p);
	for (size_t i = 0; i < n_seen; i++)
		if (!position_before(&p, &seen[i].at))
			seen[n++] = seen[i];
	n_seen = n;
}

/* --- A walk ------------------------------------------------------------------------------------------------------- */

static void ok(enum err e)
{
	if (e != ERR_OK)
		fail_msg("%s", why.text);
}

/* Something from outside. True: it made a new future, and this place is no longer what it was. */
static bool disturb(void)
{
	struct x86_state s;
	uint8_t byte = (uint8_t)rnd(256);

	if (f.vm->ended && !vm_may_resume(f.vm))
		return false;
	forget_beyond();
	switch (rnd(4)) {
	case 0:
		(void)control_type(f.c, &byte, 1);
		break;
	case 1:
		assert_int_equal(f.s->ops->get_state(f.s, 0, &s), ERR_OK);
		s.gpr[X86_R9] ^= byte;
		ok(control_set_state(f.c, 0, &s));
		break;
	case 2: /* IA32_LSTAR; and one that there is not: it is in the log, too */
		ok(control_set_msr(f.c, 0, 0xc0000082, byte));
		assert_int_equal(control_set_msr(f.c, 0, 0x99999, byte), ERR_NOENT);
		break;
	default:
		ok(control_write_mem(f.c, 0x500 + byte, &byte, 1));
	}
	return true;
}

/* Before the n-th instruction that is begun: also one that an exception or an interrupt has just led to. */
static void run_to_a_begin(unsigned n)
{
	struct breakpoint b = {.kind = BREAK_INSN, .hi = UINT64_MAX, .skip = n};

	ok(control_break_add(f.c, &b, &why));
	assert_int_equal(control_run(f.c), ERR_OK);
	ok(control_break_remove(f.c, b.id));
}

static void one_step(uint64_t longest)
{
	switch (rnd(10)) {
	case 9:
		run_to_a_begin((unsigned)rnd(longest / 4));
		break;
	case 0:
		ok(control_step_insn(f.c, 1, &why));
		break;
	case 1:
		ok(control_step_insn(f.c, 1 + rnd(longest), &why));
		break;
	case 2:
		ok(control_step_exit(f.c, 1 + rnd(20)));
		break;
	case 3:
		ok(control_back_insn(f.c, 1, &why));
		break;
	case 4:
		ok(control_back_insn(f.c, 1 + rnd(longest), &why));
		break;
	case 5:
		ok(control_back_exit(f.c, 1, &why));
		break;
	case 6:
		ok(control_back_exit(f.c, 1 + rnd(30), &why));
		break;
	case 7:
		ok(control_goto_exit(f.c, rnd(f.c->vm->passed.exits + 5), &why));
		break;
	default:
		ok(control_goto_insn(f.c, rnd(f.vm->clock.insns + longest), &why));
	}
}

static void walk_on(unsigned steps, uint64_t longest, bool disturbed)
{
	rnd_state = 88172645463325252ull + steps + longest;
	check_here();
	for (unsigned i = 0; i < steps; i++) {
		one_step(longest);
		check_here();
		if (disturbed && rnd(12) == 0 && disturb())
			ok(control_step_insn(f.c, 1, &why)), check_here();
	}
	/* Nothing that was ever there is lost. */
	for (size_t i = 0; i < n_seen; i += 1 + n_seen / 16) {
		if (seen[i].at.ended)
			continue;
		ok(control_goto_insn(f.c, seen[i].at.insns, &why));
		check_here();
	}
	assert_true(revisits > steps / 10);
	assert_true(disturbed || control_where(f.c)->checkpoints > 2);
	control_fix_close(&f);
	f.c = NULL;
}

static void walk(const char *guest, struct control_fix_options o, unsigned steps, uint64_t longest, bool disturbed)
{
	open_it(guest, o);
	walk_on(steps, longest, disturbed);
}

static void the_past_is_what_it_was(void **state)
{
	const struct control_fix_options dense = {.control.spacing_ns = 1, .mem_size = 4 << 20};
	const struct control_fix_options sparse = {.control.spacing_ns = 20000, .mem_size = 4 << 20};
	const struct control_fix_options two = {.control.spacing_ns = 20000, .n_vcpus = 2, .mem_size = 4 << 20};

	(void)state;
	walk("hello", dense, 150, 60, false);
	walk("timer", sparse, 150, 3000, false);
	walk("modes", dense, 150, 100, false);
	walk("exits", sparse, 150, 400, false);
	walk("paging", sparse, 150, 500, false);
	walk("timer", two, 100, 2000, false);
}

static void inputs_happen_again(void **state)
{
	const struct control_fix_options dense = {.control.spacing_ns = 1, .mem_size = 4 << 20};
	const struct control_fix_options keys = {
	    .control.spacing_ns = 20000, .mem_size = 4 << 20, .keys = "a\nbcd\nefgh\n"};

	(void)state;
	walk("hello", dense, 150, 60, true);
	walk("exits", keys, 200, 400, true);
	walk("timer", keys, 200, 3000, true);
}

/* --- Single cases ------------------------------------------------------------------------------------------------- */

static void goes_back_from_the_end(void **state)
{
	const struct control_fix_options o = {0};

	(void)state;
	open_it("hello", o);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(control_where(f.c)->stop, CONTROL_END);
	struct seen end = look();
	uint64_t exits = f.c->vm->passed.exits;
	ok(control_back_exit(f.c, 1, &why));
	assert_int_equal(control_where(f.c)->stop, CONTROL_DONE);
	assert_int_equal(f.vm->vcpus[0].exit.reason, EXIT_IO_INSTRUCTION);
	assert_false(f.vm->ended);
	ok(control_back_insn(f.c, 1000000, &why));
	assert_int_equal(control_where(f.c)->stop, CONTROL_BEGIN);
	assert_int_equal(f.vm->clock.insns, 0);
	assert_int_equal(f.n_console, 0);
	assert_int_equal(control_where(f.c)->last_exits, exits);
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(control_where(f.c)->stop, CONTROL_END);
	struct seen again = look();
	assert_memory_equal(&end, &again, sizeof end);
	ok(control_restart(f.c, &why));
	assert_int_equal(control_where(f.c)->last_exits, 0);
	assert_int_equal(f.n_console, 0);
}

static unsigned add(struct breakpoint b)
{
	ok(control_break_add(f.c, &b, &why));
	return b.id;
}

static void goes_back_to_breakpoints(void **state)
{
	const struct control_fix_options o = {.control.spacing_ns = 1};
	struct vm_position at[8], p;
	unsigned n = 0;

	(void)state;
	open_it("exits", o);
	unsigned cpuid = add((struct breakpoint){.kind = BREAK_EXIT, .lo = EXIT_CPUID});
	ok(control_step_insn(f.c, 1, &why));
	while (n < 8 && control_run(f.c) == ERR_OK && control_where(f.c)->stop == CONTROL_BREAK)
		vm_position(f.vm, &at[n++]);
	assert_int_equal(n, 8);
	ok(control_step_insn(f.c, 3, &why));
	uint64_t hits = control_break_at(f.c, 0)->hits;
	while (n) {
		ok(control_back_to_break(f.c, &why));
		assert_int_equal(control_where(f.c)->stop, CONTROL_BREAK);
		assert_int_equal(control_where(f.c)->breakpoint, cpuid);
		vm_position(f.vm, &p);
		assert_true(position_same(&p, &at[--n]));
	}
	assert_int_equal(control_break_at(f.c, 0)->hits, hits);
	ok(control_back_to_break(f.c, &why));
	assert_int_equal(control_where(f.c)->stop, CONTROL_BEGIN);
	assert_int_equal(f.vm->clock.insns, 0);
}

/* 7c00 mov cx,9; 7c03 nop; 7c04 loop 7c03; 7c06 cli; hlt */
static void goes_back_to_an_address(void **state)
{
	static const uint8_t loop[] = {0xb9, 0x09, 0x00, 0x90, 0xe2, 0xfd, 0xfa, 0xf4};
	const struct control_fix_options o = {.control.spacing_ns = 1, .code = loop, .code_len = sizeof loop};

	(void)state;
	open_it("loop", o);
	(void)add((struct breakpoint){.kind = BREAK_INSN, .lo = 0x7c03, .hi = 0x7c03});
	for (unsigned left = 9; left > 3; left--)
		assert_int_equal(control_run(f.c), ERR_OK);
	for (unsigned left = 5; left <= 9; left++) {
		ok(control_back_to_break(f.c, &why));
		assert_int_equal(f.vm->vcpus[0].cpu.s.rip, 0x7c03);
		assert_int_equal(f.vm->vcpus[0].cpu.s.gpr[X86_RCX], left);
	}
	assert_int_equal(control_run(f.c), ERR_OK);
	assert_int_equal(f.vm->vcpus[0].cpu.s.gpr[X86_RCX], 8);
}

/*
 * A bug that loses an input, or a flush, must not go unnoticed: the checkpoint that was made after it finds another
 * machine.
 */
static void a_lost_input_is_noticed(void **state)
{
	static const uint8_t loop[] = {0xeb, 0xfe};
	const struct control_fix_options o = {.control.spacing_ns = 1, .code = loop, .code_len = sizeof loop};
	const uint8_t key = 'k';

	(void)state;
	open_it("loop", o);
	ok(control_step_insn(f.c, 10, &why));
	assert_int_equal(control_type(f.c, &key, 1), 1);
	ok(control_step_insn(f.c, 10, &why));
	ok(control_step_insn(f.c, 10, &why));
	ok(control_goto_insn(f.c, 5, &why));
	ok(control_step_insn(f.c, 25, &why)); /* all is well */
	struct history_facts facts;
	history_facts(f.c->history, &facts);
	history_lose(f.c->history, 2); /* start, checkpoint at 10, the key */
	ok(control_goto_insn(f.c, 5, &why));
	assert_int_equal(control_step_insn(f.c, 25, &why), ERR_BUG);
	assert_non_null(strstr(f.c->failure.text, "left the recorded run"));
}

/* --- A guest whose run depends on the TLB ------------------------------------------------------------------------- */

/*
 * It reads a page, and points the page's entry to another one, without INVLPG: what it reads next is what the TLB says,
 * so each flush of the TLB is an event of its run.
 *
 * 7c00 mov eax,[20000h]; add ebx,eax; rol ebx,1; xor dword [11080h],1000h; inc ecx; jmp 7c00
 */
static const uint8_t stale[] = {0xa1, 0x00, 0x00, 0x02, 0x00, 0x01, 0xc3, 0xd1, 0xc3, 0x81, 0x35, 0x80, 0x10, 0x01,
    0x00, 0x00, 0x10, 0x00, 0x00, 0x41, 0xeb, 0xea};

static void open_stale(void)
{
	const struct control_fix_options o = {
	    .control.spacing_ns = 1, .mem_size = 4 << 20, .code = stale, .code_len = sizeof stale};
	static const uint32_t pd = 0x11003, values[2] = {1, 2};
	uint32_t pt[1024];
	struct x86_state s;

	open_it("stale", o);
	for (uint32_t i = 0; i < 1024; i++)
		pt[i] = i << 12 | 3;
	ok(control_write_mem(f.c, 0x10000, &pd, sizeof pd));
	ok(control_write_mem(f.c, 0x11000, pt, sizeof pt));
	ok(control_write_mem(f.c, 0x20000, &values[0], 4));
	ok(control_write_mem(f.c, 0x21000, &values[1], 4));
	assert_int_equal(f.s->ops->get_state(f.s, 0, &s), ERR_OK);
	s.cr0 |= 0x80000001u;
	s.cr3 = 0x10000;
	s.seg[X86_CS] = (struct x86_seg){.sel = 8, .limit = UINT32_MAX, .attr = 0xc09b};
	s.seg[X86_DS] = s.seg[X86_SS] = (struct x86_seg){.sel = 16, .limit = UINT32_MAX, .attr = 0xc093};
	ok(control_set_state(f.c, 0, &s));
	ok(control_step_insn(f.c, 1, &why));
}

static void flushes_happen_again(void **state)
{
	(void)state;
	open_stale();
	walk_on(200, 60, false);
}

static uint64_t ebx(void)
{
	return f.vm->vcpus[0].cpu.s.gpr[X86_RBX];
}

/* Seeded faults: a flush that is not replayed gives another run, and it is noticed. */
static void a_lost_flush_is_noticed(void **state)
{
	struct history_facts facts;
	uint64_t was;

	(void)state;
	open_stale();
	for (unsigned i = 0; i < 4; i++) /* 10 times round, and a half: a checkpoint after each */
		ok(control_step_insn(f.c, 63, &why));
	history_facts(f.c->history, &facts);
	ok(control_step_insn(f.c, 30, &why));
	was = ebx();
	ok(control_goto_insn(f.c, 20, &why));
	ok(control_goto_insn(f.c, facts.last.insns + 30, &why));
	assert_int_equal(ebx(), was); /* all is well */
	/* The last one: nothing comes after it but the state itself. */
	ok(control_goto_insn(f.c, 20, &why));
	history_lose(f.c->history, (unsigned)facts.events - 1);
	ok(control_step_insn(f.c, facts.last.insns + 30 - 20, &why));
	assert_int_not_equal(ebx(), was);
	/* One in the middle: the next checkpoint finds another machine. */
	ok(control_goto_insn(f.c, 20, &why));
	history_lose(f.c->history, (unsigned)facts.events - 3);
	assert_int_equal(control_step_insn(f.c, facts.last.insns + 30 - 20, &why), ERR_BUG);
	assert_non_null(strstr(f.c->failure.text, "left the recorded run"));
}

static void says_why_not(void **state)
{
	const struct control_fix_options host = {.clock = CLOCK_HOST};

	(void)state;
	open_it("hello", host);
	assert_false(control_where(f.c)->can_back);
	assert_int_equal(control_back_insn(f.c, 1, &why), ERR_UNSUPPORTED);
	assert_non_null(strstr(why.text, "--clock virtual"));
}

/* Much is changed, little may be kept: old checkpoints are given up, the first one stays, every place can be reached.
 */
static void memory_is_bounded(void **state)
{
	/* 7c00 inc ax; mov [di],ax; add di,2; jmp 7c00: fills a segment again and again */
	static const uint8_t fill[] = {0x40, 0x89, 0x05, 0x83, 0xc7, 0x02, 0xeb, 0xf8};
	const struct control_fix_options o = {
	    .control = {.spacing_ns = 1, .history_bytes = 3 << 20}, .code = fill, .code_len = sizeof fill};

	(void)state;
	open_it("fill", o);
	f.vm->vcpus[0].cpu.s.seg[X86_DS].sel = 0x2000;
	f.vm->vcpus[0].cpu.s.seg[X86_DS].base = 0x20000;
	x86_state_changed(&f.vm->vcpus[0].cpu);
	ok(control_restart(f.c, &why));
	for (unsigned i = 0; i < 200; i++) {
		ok(control_step_insn(f.c, 30000, &why));
		check_here();
		assert_true(control_where(f.c)->history_bytes <= 3 << 20);
	}
	assert_in_range(control_where(f.c)->checkpoints, 3, 100);
	for (unsigned i = 1; i <= 20; i++) {
		ok(control_goto_insn(f.c, 30000 * (1 + rnd(200)), &why));
		check_here();
	}
	assert_int_equal(revisits, 20);
	ok(control_goto_insn(f.c, 0, &why));
}

#define FORMS 8u
#define FORMS_AT 0x100000u

/* Pages that follow a rule, and some that nearly do. */
static void fill_page(unsigned form, uint64_t seed, uint64_t *w)
{
	for (uint64_t i = 0; i < PAGE_SIZE_4K / 8; i++)
		w[i] = form < 2	  ? seed * form
		       : form < 4 ? seed + i * (form == 2 ? 8 : -seed)
		       : form < 6 ? 1ull << ((i + seed) & 63)
				  : fnv64(seed, &i, sizeof i);
	if (form == 3 || form == 5)
		w[PAGE_SIZE_4K / 8 - 1] ^= 1;
}

static void pages_of_every_form_come_back(void **state)
{
	static const uint8_t loop[] = {0xeb, 0xfe};
	const struct control_fix_options o = {.control.spacing_ns = 1, .code = loop, .code_len = sizeof loop};
	uint64_t w[PAGE_SIZE_4K / 8], was[PAGE_SIZE_4K / 8];
	uint64_t at[20];

	(void)state;
	rnd_state = 88172645463325252ull;
	open_it("loop", o);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned k = 0; k < FORMS; k++) {
			fill_page((k + round) % FORMS, round + 1, w);
			ok(control_write_mem(f.c, FORMS_AT + k * PAGE_SIZE_4K, w, sizeof w));
		}
		ok(control_step_insn(f.c, 10, &why));
		at[round] = f.vm->clock.insns;
		ok(control_step_insn(f.c, 10, &why));
	}
	for (unsigned n = 0; n < 60; n++) {
		unsigned round = (unsigned)rnd(20);

		ok(control_goto_insn(f.c, at[round], &why));
		for (unsigned k = 0; k < FORMS; k++) {
			fill_page((k + round) % FORMS, round + 1, w);
			assert_int_equal(mem_read(&f.vm->mem, FORMS_AT + k * PAGE_SIZE_4K, was, sizeof was), ERR_OK);
			assert_memory_equal(w, was, sizeof w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(goes_back_from_the_end, teardown),
	    cmocka_unit_test_teardown(goes_back_to_breakpoints, teardown),
	    cmocka_unit_test_teardown(goes_back_to_an_address, teardown),
	    cmocka_unit_test_teardown(a_lost_input_is_noticed, teardown),
	    cmocka_unit_test_teardown(flushes_happen_again, teardown),
	    cmocka_unit_test_teardown(a_lost_flush_is_noticed, teardown),
	    cmocka_unit_test_teardown(says_why_not, teardown),
	    cmocka_unit_test_teardown(memory_is_bounded, teardown),
	    cmocka_unit_test_teardown(pages_of_every_form_come_back, teardown),
	    cmocka_unit_test_teardown(the_past_is_what_it_was, teardown),
	    cmocka_unit_test_teardown(inputs_happen_again, teardown),
	};

	return cmocka_run_group_tests_name("session_history", tests, NULL, NULL);
}
