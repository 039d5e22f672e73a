/*
 * Code that changes under the emulate engine, in flat 64-bit mode, where blocks hop to each other: written by the code
 * itself, from another page, across granules and pages, by REP, from outside, and by a new mapping. And the property
 * behind all of it: a program runs to the same state, whatever is cached and however it is cut into runs, as it does
 * one instruction at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "core/env.h"
#include "modes/emulate/emulate.h"

#define TOP 0x10000u /* page tables: top, pdpt, pd, pt, and a second top with a pt of its own */
#define PT (TOP + 0x3000u)
#define TOP2 (TOP + 0x4000u)
#define CODE 0x20000u
#define CODE_PAGES 4u
#define STACK_TOP 0x38000u
#define MEM (4u << 20)

static void put64(struct vm *vm, gpa_t gpa, uint64_t v)
{
	assert_int_equal(mem_write(&vm->mem, gpa, &v, 8), ERR_OK);
}

/* 2 MiB mapped to themselves by 4 KiB pages. */
static void map(struct vm *vm, gpa_t top)
{
	for (unsigned k = 0; k < 3; k++)
		put64(vm, top + k * 0x1000, (top + (k + 1) * 0x1000) | 7);
	for (unsigned k = 0; k < 512; k++)
		put64(vm, top + 0x3000 + k * 8, k * PAGE_SIZE_4K | 7);
}

static struct vm *make_vm(void)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = "vtx-ept",
	    .mem_size = MEM,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};
	struct vm *vm = NULL;

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	map(vm, TOP);
	map(vm, TOP2);
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	s->cr4 = CR4_PAE;
	s->cr3 = TOP;
	s->efer = EFER_LME | EFER_LMA;
	s->seg[X86_CS] = (struct x86_seg){.limit = UINT32_MAX, .attr = 0xa09b, .sel = 8};
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		if (n != X86_CS)
			s->seg[n] = (struct x86_seg){.limit = UINT32_MAX, .attr = 0xc093, .sel = 16};
	s->idtr.limit = 0; /* any exception ends in a triple fault */
	s->rip = CODE;
	s->gpr[X86_RSP] = STACK_TOP;
	s->gpr[X86_RBX] = CODE;
	s->gpr[X86_RDX] = 0; /* not the signature of a reset */
	return vm;
}

static void place(struct vm *vm, gpa_t gpa, const void *code, size_t n)
{
	assert_int_equal(mem_write(&vm->mem, gpa, code, n), ERR_OK);
}
#define PLACE(vm, gpa, ...)                                    \
	do {                                                   \
		static const uint8_t bytes_[] = {__VA_ARGS__}; \
		place(vm, gpa, bytes_, sizeof(bytes_));        \
	} while (0)

static void run(struct vm *vm, const struct run_bounds *b, struct vm_exit *e)
{
	struct vcpu *v = &vm->vcpus[0];

	memset(e, 0, sizeof(*e));
	if (v->dirty) {
		assert_int_equal(vm->cfg.mode->set_state(v), ERR_OK);
		v->dirty = 0;
	}
	assert_int_equal(vm->cfg.mode->run(v, b, e), ERR_OK);
}

/* To the HLT at the end; its rip is returned. */
static uint64_t run_to_hlt(struct vm *vm)
{
	const struct run_bounds b = {.max_insns = 1000000, .deadline_ns = CLOCK_NEVER};
	struct vm_exit e;

	run(vm, &b, &e);
	assert_int_equal(e.reason, EXIT_HLT);
	return e.rip;
}

static uint64_t reg(struct vm *vm, unsigned r)
{
	return vm->vcpus[0].cpu.s.gpr[r];
}

static struct block_cache *cache(struct vm *vm)
{
	return &((struct emulate_vm *)vm->mode_priv)->blocks;
}

/* Writes everything a second time, so that it runs once decoded before and once fresh. */
static void again(struct vm *vm)
{
	vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL)->rip = CODE;
}

static void a_store_ahead_in_the_same_block_is_seen(void **state)
{
	(void)state;
	struct vm *vm = make_vm();

	/* mov byte [rip+1], 7; mov al, 5; hlt */
	PLACE(vm, CODE, 0xc6, 0x05, 0x01, 0, 0, 0, 7, 0xb0, 5, 0xf4);
	run_to_hlt(vm);
	assert_int_equal((uint8_t)reg(vm, X86_RAX), 7);
	assert_int_equal(vm->clock.insns, 2);
	vm_destroy(vm);
}

/* l: call f; add rdx, rax; inc byte [f+1]; dec ecx; jnz l; hlt, with f on another page or across the edge of one. */
static void function_elsewhere(gpa_t f)
{
	struct vm *vm = make_vm();
	uint8_t code[] = {0xb9, 10, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x48, 0x01, 0xc2, 0xfe, 0x83, 0, 0, 0, 0, 0xff, 0xc9,
	    0x75, 0xee, 0xf4};
	uint32_t to = (uint32_t)(f - CODE - 10), at = (uint32_t)(f + 1 - CODE);

	memcpy(code + 6, &to, 4);
	memcpy(code + 15, &at, 4);
	place(vm, CODE, code, sizeof(code));
	PLACE(vm, f, 0xb8, 1, 0, 0, 0, 0xc3); /* mov eax, 1; ret */
	run_to_hlt(vm);
	assert_int_equal(reg(vm, X86_RDX), 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10);
	assert_int_equal(vm->clock.insns, 1 + 10 * 7);
	vm_destroy(vm);
}

static void a_function_that_is_patched_before_each_call_runs_as_it_is(void **state)
{
	(void)state;
	function_elsewhere(CODE + 0x40);
	function_elsewhere(CODE + 0x1000);
	function_elsewhere(CODE + 0x1fff); /* the opcode on one page, the operand on the next */
	function_elsewhere(CODE + 0x1ffc);
	function_elsewhere(CODE + 0x103f); /* and on both sides of a granule */
}

static void a_store_across_a_granule_or_a_page_reaches_the_code_behind_it(void **state)
{
	(void)state;
	static const uint32_t edges[] = {0x1040, 0x1000, 0x2000};

	for (unsigned k = 0; k < ARRAY_LEN(edges); k++) {
		struct vm *vm = make_vm();
		uint32_t target = edges[k], call = target - 5, call2, at = target - 2;
		uint8_t code[] = {
		    0xe8, 0, 0, 0, 0, 0x89, 0xc2, 0xc7, 0x83, 0, 0, 0, 0, 0x90, 0x90, 0xb0, 9, 0xe8, 0, 0, 0, 0, 0xf4};

		call2 = target - 22;
		memcpy(code + 1, &call, 4);
		memcpy(code + 9, &at, 4);
		memcpy(code + 18, &call2, 4);
		place(vm, CODE, code, sizeof(code));	 /* call f; mov edx, eax; mov [f-2], 09b09090h; call f; hlt */
		PLACE(vm, CODE + target, 0xb0, 4, 0xc3); /* f: mov al, 4; ret */
		run_to_hlt(vm);
		assert_int_equal((uint8_t)reg(vm, X86_RDX), 4);
		assert_int_equal((uint8_t)reg(vm, X86_RAX), 9);
		vm_destroy(vm);
	}
}

static void data_beside_code_drops_nothing(void **state)
{
	(void)state;
	struct vm *vm = make_vm();

	/* mov ecx, 1000; l: add [rbx+800h], ecx; mov [rbx+rcx+400h], cl; dec ecx; jnz l; hlt */
	PLACE(vm, CODE, 0xb9, 0xe8, 3, 0, 0, 0x01, 0x8b, 0, 8, 0, 0, 0x88, 0x8c, 0x0b, 0, 4, 0, 0, 0xff, 0xc9, 0x75,
	    0xef, 0xf4);
	run_to_hlt(vm);
	assert_int_equal(cache(vm)->dropped, 0);
	assert_int_equal(cache(vm)->built, 3);
	vm_destroy(vm);
}

static void rep_stos_over_code_and_over_itself_stops_at_the_new_code(void **state)
{
	(void)state;
	struct vm *vm = make_vm();

	/* call f; lea rdi, [rbx+1000h]; mov ecx, 16; mov al, 90h; rep stosb; mov eax, 0; call f; hlt */
	PLACE(vm, CODE, 0xe8, 0xfb, 0x0f, 0, 0, 0x48, 0x8d, 0xbb, 0, 0x10, 0, 0, 0xb9, 16, 0, 0, 0, 0xb0, 0x90, 0xf3,
	    0xaa, 0xb8, 0, 0, 0, 0, 0xe8, 0xe1, 0x0f, 0, 0, 0xf4);
	PLACE(vm, CODE + 0x1000, 0xb0, 4, 0xb0, 4, 0xb0, 4, 0xb0, 4, 0xb0, 4, 0xb0, 4, 0xb0, 4, 0xb0, 4, 0xc3);
	run_to_hlt(vm);
	assert_int_equal(reg(vm, X86_RAX), 0);
	vm_destroy(vm);
	vm = make_vm();
	/* lea rdi, [rip+6]; mov ecx, 8; mov al, f4h; rep stosb: it becomes HLTs after the first iterations */
	PLACE(vm, CODE, 0x48, 0x8d, 0x3d, 0x06, 0, 0, 0, 0xb0, 0xf4, 0xb1, 8, 0x90, 0x90, 0xf3, 0xaa, 0x90, 0x90);
	assert_int_equal(run_to_hlt(vm), CODE + 13);
	assert_in_range(reg(vm, X86_RCX), 1, 7);
	vm_destroy(vm);
}

static void a_write_from_outside_is_seen_when_it_is_told(void **state)
{
	(void)state;
	struct vm *vm = make_vm();

	PLACE(vm, CODE, 0xb0, 1, 0xeb, 0x0c); /* mov al, 1; jmp +12 */
	PLACE(vm, CODE + 16, 0xb1, 1, 0xf4);  /* mov cl, 1; hlt */
	run_to_hlt(vm);
	again(vm);
	PLACE(vm, CODE + 17, 2);
	vm->code_written(&vm->vcpus[0], CODE + 17, 1);
	assert_int_equal(cache(vm)->dropped, 1);
	run_to_hlt(vm);
	assert_int_equal((uint8_t)reg(vm, X86_RAX), 1);
	assert_int_equal((uint8_t)reg(vm, X86_RCX), 2);
	vm_destroy(vm);
}

/* Two pages of code change places under one address: by INVLPG after a change of the table, and by CR3. */
static void a_new_mapping_is_new_code(void **state)
{
	(void)state;
	struct vm *vm = make_vm();

	PLACE(vm, CODE + 0x1000, 0xb0, 1, 0xeb, 0x02, 0x90, 0x90, 0xc3); /* mov al, 1; jmp; ret */
	PLACE(vm, CODE + 0x2000, 0xb0, 2, 0xeb, 0x02, 0x90, 0x90, 0xc3);
	put64(vm, TOP2 + 0x3000 + (CODE / PAGE_SIZE_4K + 1) * 8, (CODE + 0x3000) | 7);
	PLACE(vm, CODE + 0x3000, 0xb0, 3, 0xeb, 0x02, 0x90, 0x90, 0xc3);
	/* call f; mov dl, al; mov [13108h], 22007h; invlpg [rbx+1000h]; call f; mov dh, al; mov cr3, rsi; call f; hlt
	 */
	PLACE(vm, CODE, 0xe8, 0xfb, 0x0f, 0, 0, 0x88, 0xc2, 0x48, 0xc7, 0x04, 0x25, 0x08, 0x31, 0x01, 0, 0x07, 0x20,
	    0x02, 0, 0x0f, 0x01, 0xbb, 0, 0x10, 0, 0, 0xe8, 0xe1, 0x0f, 0, 0, 0x88, 0xc6, 0x0f, 0x22, 0xde, 0xe8, 0xd7,
	    0x0f, 0, 0, 0xf4);
	vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL)->gpr[X86_RSI] = TOP2;
	run_to_hlt(vm);
	assert_int_equal((uint16_t)reg(vm, X86_RDX), 0x0201);
	assert_int_equal((uint8_t)reg(vm, X86_RAX), 3);
	vm_destroy(vm);
}

static void code_that_was_decoded_flat_is_decoded_anew_for_another_mode(void **state)
{
	(void)state;
	struct vm *vm = make_vm();

	/* 64-bit: inc-like REX.W mov; in compatibility mode 48 is DEC EAX. dec eax / mov rax, rcx; hlt */
	PLACE(vm, CODE, 0x48, 0x89, 0xc8, 0xf4);
	vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL)->gpr[X86_RCX] = 0x123456789a;
	run_to_hlt(vm);
	assert_true(reg(vm, X86_RAX) == 0x123456789a);
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->rip = CODE;
	s->seg[X86_CS].attr = 0xc09b;
	run_to_hlt(vm);
	assert_true(reg(vm, X86_RAX) == 0x3456789a);
	assert_int_equal(vm->clock.insns, 1 + 2);
	vm_destroy(vm);
}

/* With a look at every instruction there are no blocks. */
static void look(void *arg, struct vcpu *v, const struct x86_insn *i)
{
	(void)v, (void)i;
	++*(unsigned *)arg;
}

/* rdi = 1 MiB + CODE + n: std or cld, mov cl, 8; rep stosb over itself, through another address of the same page, too.
 */
static uint64_t stos_over_itself(bool step, uint8_t flag, uint32_t to)
{
	static const struct probe_ops probe = {.name = "look", .on_insn = look};
	struct vm *vm = make_vm();
	unsigned seen = 0;

	PLACE(vm, CODE, 0x90, 0xb0, 0xf4, 0xb1, 8, 0x90, 0xf3, 0xaa, 0x90, 0x90);
	place(vm, CODE, &flag, 1);
	put64(vm, PT + 0x100 * 8, CODE | 7);
	if (step)
		assert_int_equal(vm_add_probe(vm, &probe, &seen), ERR_OK);
	vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL)->gpr[X86_RDI] = to;
	uint64_t end = run_to_hlt(vm) << 8 | reg(vm, X86_RCX);

	assert_int_equal(seen != 0, step);
	vm_destroy(vm);
	return end;
}

static void rep_stos_over_itself_ends_alike_with_and_without_blocks(void **state)
{
	static const uint32_t to[] = {CODE + 3, CODE + 6, CODE + 7, CODE + 10, 0x100000 + 3, 0x100000 + 6};

	(void)state;
	for (unsigned k = 0; k < 2 * ARRAY_LEN(to); k++) {
		uint8_t flag = k & 1 ? 0xfd : 0xfc;
		uint32_t at = to[k / 2] + (k & 1) * 8;

		assert_int_equal(stos_over_itself(true, flag, at), stos_over_itself(false, flag, at));
	}
	assert_int_equal(stos_over_itself(false, 0xfc, CODE + 3) >> 8, CODE + 6);
	assert_int_equal(stos_over_itself(false, 0xfc, 0x100003) >> 8, CODE + 6);
}

static bool accessed(struct vm *vm, gpa_t page)
{
	uint64_t e;

	assert_int_equal(mem_read(&vm->mem, PT + page / PAGE_SIZE_4K * 8, &e, 8), ERR_OK);
	return e & 0x20;
}

static void a_page_of_code_is_accessed_when_an_instruction_of_it_runs_and_not_before(void **state)
{
	struct run_bounds b = {.max_insns = 2, .deadline_ns = CLOCK_NEVER};
	struct vm *vm = make_vm();
	struct vm_exit e;

	(void)state;
	PLACE(vm, CODE, 0x90, 0xe9, 0xfa, 0x0f, 0, 0); /* nop; jmp CODE+1000h */
	PLACE(vm, CODE + 0x1000, 0xf4);
	run(vm, &b, &e);
	assert_int_equal(e.reason, EXIT_PREEMPTION_TIMER);
	assert_true(accessed(vm, CODE));
	assert_false(accessed(vm, CODE + 0x1000));
	run(vm, &b, &e);
	assert_int_equal(e.reason, EXIT_HLT);
	assert_true(accessed(vm, CODE + 0x1000));
	vm_destroy(vm);
	/* Beyond the limit of CS: #GP, and from there a triple fault. */
	vm = make_vm();
	PLACE(vm, CODE, 0x90, 0xe9, 0xfa, 0x0f, 0, 0);
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->seg[X86_CS] = (struct x86_seg){.limit = CODE + 0xfff, .attr = 0x409b, .sel = 8};
	b.max_insns = 100;
	run(vm, &b, &e);
	assert_int_equal(e.reason, EXIT_TRIPLE_FAULT);
	assert_false(accessed(vm, CODE + 0x1000));
	vm_destroy(vm);
}

/* From memory of a device the executor runs the guest, and HLT is no bug of the VMM. */
static void hlt_in_device_memory_halts(void **state)
{
	struct vm *vm = make_vm();

	(void)state;
	bus_mmio_write(&vm->bus, 0xb8000, 1, 0x90);
	bus_mmio_write(&vm->bus, 0xb8001, 1, 0xf4);
	vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL)->rip = 0xb8000;
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(vm->end.kind, END_HALT);
	assert_int_equal(vm->vcpus[0].cpu.s.rip, 0xb8002);
	assert_int_equal(vm->clock.insns, 2);
	vm_destroy(vm);
}

/* The local APIC's timer, periodic, every other nanosecond, with an interrupt that the task priority holds back. */
static void hlt_with_a_fast_timer_that_nobody_hears_ends(void **state)
{
	struct vm *vm = make_vm();

	(void)state;
	PLACE(vm, CODE, 0xfb, 0xf4); /* sti; hlt */
	vcpu_mmio_write(&vm->vcpus[0], 0xfee000f0, 4, 0x1ff);
	vcpu_mmio_write(&vm->vcpus[0], 0xfee00080, 4, 0xf0);
	vcpu_mmio_write(&vm->vcpus[0], 0xfee00320, 4, 0x20040);
	vcpu_mmio_write(&vm->vcpus[0], 0xfee00380, 4, 1);
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(vm->end.kind, END_HALT);
	assert_non_null(strstr(vm->end.detail, "timer events"));
	vm_destroy(vm);
}

/* #PF whose handler is not mapped, on a stack of its own: no instruction is ever executed, and no time passes. */
static void a_handler_that_cannot_begin_does_not_keep_the_vmm_out(void **state)
{
	struct vm *vm = make_vm();
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	(void)state;
	put64(vm, STACK_TOP + VEC_PF * 16, 0x00008e0100080000ull | 0x40ull << 48); /* 400000h, stack 1 */
	put64(vm, STACK_TOP + 0x1000 + 36, STACK_TOP);
	put64(vm, STACK_TOP + 0x2000 + 8, 0x00af9b000000ffffull);
	s->idtr = (struct x86_dtable){.base = STACK_TOP, .limit = 0xfff};
	s->gdtr = (struct x86_dtable){.base = STACK_TOP + 0x2000, .limit = 0xff};
	s->tr = (struct x86_seg){.base = STACK_TOP + 0x1000, .limit = 0x67, .attr = 0x8b, .sel = 0x10};
	s->rip = 0x400000;
	vm->cfg.max_exits = 5;
	assert_int_equal(vm_run(vm), ERR_OK);
	assert_int_equal(vm->end.kind, END_LIMIT_EXITS);
	assert_int_equal(vm->clock.insns, 0);
	assert_true(vm->vcpus[0].cpu.s.cr2 == 0x400000);
	vm_destroy(vm);
}

/* --- Random programs ---------------------------------------------------------------------------------------------- */

static uint32_t seed;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

static unsigned emit(uint8_t *p, const uint8_t *bytes, unsigned n, unsigned n_disp, uint32_t disp)
{
	memcpy(p, bytes, n);
	memcpy(p + n, &disp, n_disp);
	return n + n_disp;
}
#define EMIT(p, n_disp, disp, ...) \
	emit(p, (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), n_disp, disp)

/* One instruction or a few that belong together; RBX is the start of the code. */
static unsigned piece(uint8_t *p, uint32_t at)
{
	uint8_t r = (uint8_t)(rnd(2) ? rnd(3) : 6 + rnd(2)), m = (uint8_t)(0xc0 | r << 3 | rnd(3));
	uint32_t where = rnd(CODE_PAGES * PAGE_SIZE_4K - 16), near = (at & ~0xfffu) + rnd(4000);

	switch (rnd(20)) {
	case 0:
	case 1:
		return EMIT(p, 0, 0, 0x48, (uint8_t)(0x01 | rnd(8) << 3), m); /* add or adc sbb and sub xor cmp */
	case 2:
		return EMIT(p, 4, rnd(UINT32_MAX), (uint8_t)(0xb8 | r));
	case 3:
		return EMIT(p, 1, rnd(256), 0x83, (uint8_t)(0xc0 | rnd(8) << 3 | r));
	case 4:
		return EMIT(p, 1, rnd(64), 0xc1, (uint8_t)(0xc0 | rnd(8) << 3 | r));
	case 5: /* mov [rbx+disp32], reg: anywhere in the code */
		return EMIT(p, 4, where, (uint8_t)(0x88 | rnd(2)), (uint8_t)(0x83 | r << 3));
	case 6: /* mov byte [rbx+disp32], NOP or INC or another opcode */
		p[7 - 1] = (uint8_t[]){0x90, 0x40, 0xf8, 0xf9, 0xc3}[rnd(5)];
		return EMIT(p, 4, rnd(2) ? near : where, 0xc6, 0x83) + 1;
	case 7:
		return EMIT(p, 4, where, 0x8b, (uint8_t)(0x83 | r << 3));
	case 8: /* the same, RIP-relative */
		return EMIT(p, 4, where - at - 6, rnd(4) ? 0x8b : 0x89, (uint8_t)(0x05 | r << 3));
	case 9:
		return EMIT(p, 4, near, 0xff, (uint8_t)(0x83 | rnd(2) << 3));
	case 10:
	case 11:
		return EMIT(p, 1, rnd(40), (uint8_t)(0x70 | rnd(16)));
	case 12:
		return EMIT(p, 4, near - at - 6, 0x0f, (uint8_t)(0x80 | rnd(16)));
	case 13:
		return EMIT(p, 4, (rnd(2) ? near : where) - at - 5, (uint8_t)(0xe8 | rnd(2)));
	case 14:
		return EMIT(p, 0, 0, (uint8_t)(0x50 | rnd(2) << 3 | r));
	case 15: /* lea rdi, [rbx+disp32]; mov cl, n; rep stosb, movsb, cmpsb or scasb */
		emit(p, (const uint8_t[]){0x48, 0x8d, 0xbb}, 3, 4, rnd(4) ? 0x4000 + rnd(4000) : where);
		return 7 + EMIT(p + 7, 0, 0, 0x31, 0xc9, 0xb1, (uint8_t)rnd(24), 0xf3,
			       (uint8_t[]){0xaa, 0xa4, 0xa6, 0xae}[rnd(4)]);
	case 16:
		return EMIT(p, 0, 0, 0x0f, (uint8_t)(0x40 | rnd(16)), m);
	case 17: /* rdtsc: sees the exact count */
		return EMIT(p, 0, 0, 0x0f, 0x31);
	case 18:
		return EMIT(p, 0, 0, 0x48, 0x0f, 0xaf, m);
	default: /* lea rsi, [rbx+disp32] */
		return EMIT(p, 4, where, 0x48, 0x8d, 0xb3);
	}
}

static void random_program(struct vm *vm, uint32_t program)
{
	static uint8_t code[CODE_PAGES * PAGE_SIZE_4K];

	seed = program;
	for (unsigned at = 0; at < sizeof(code) - 32;)
		at += piece(code + at, at);
	place(vm, CODE, code, sizeof(code));
}

/* Begins somewhere in the code and runs up to `total` instructions in runs of at most `slice`. */
static void run_from(struct vm *vm, gva_t rip, uint64_t total, uint64_t slice, bool single_step, struct vm_exit *e)
{
	uint64_t end = vm->clock.insns + total;
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->rip = rip;
	s->gpr[X86_RSP] = STACK_TOP;
	s->gpr[X86_RBX] = CODE;
	do {
		uint64_t left = end - vm->clock.insns;
		struct run_bounds b = {
		    .max_insns = left < slice ? left : slice, .deadline_ns = CLOCK_NEVER, .single_step = single_step};

		run(vm, &b, e);
	} while ((e->reason == EXIT_PREEMPTION_TIMER || e->reason == EXIT_VMM_DEBUG) && vm->clock.insns < end);
}

static void same_state(struct vm *a, struct vm *b, const struct vm_exit *ea, const struct vm_exit *eb, uint32_t program)
{
	const struct x86_state *x = &a->vcpus[0].cpu.s, *y = &b->vcpus[0].cpu.s;

	if (ea->reason != eb->reason && !(a->clock.insns == b->clock.insns && eb->reason == EXIT_VMM_DEBUG))
		fail_msg("program %u: exits %u and %u", program, ea->reason, eb->reason);
	if (a->clock.insns != b->clock.insns || x->rip != y->rip || x->rflags != y->rflags ||
	    memcmp(x->gpr, y->gpr, sizeof(x->gpr)) || memcmp(a->mem.ram, b->mem.ram, STACK_TOP))
		fail_msg("program %u: after %llu and %llu instructions, rip %llx and %llx, flags %llx and %llx",
		    program, (unsigned long long)a->clock.insns, (unsigned long long)b->clock.insns,
		    (unsigned long long)x->rip, (unsigned long long)y->rip, (unsigned long long)x->rflags,
		    (unsigned long long)y->rflags);
}

/* The ways to run a program; the first is the reference. */
static const struct way {
	uint32_t limit; /* blocks that the cache holds; 0: as it is */
	uint64_t slice;
	bool single_step;
} ways[] = {{0, UINT64_MAX, true}, {0, UINT64_MAX, false}, {1, UINT64_MAX, false}, {5, 1000, false}, {0, 37, false}};

static void what_is_cached_and_where_runs_are_cut_changes_nothing(void **state)
{
	(void)state;
	uint64_t retired = 0, dropped = 0;

	for (uint32_t program = 1; program <= 40; program++) {
		struct vm *vm[ARRAY_LEN(ways)];
		struct vm_exit e[ARRAY_LEN(ways)];

		for (unsigned k = 0; k < ARRAY_LEN(ways); k++) {
			vm[k] = make_vm();
			random_program(vm[k], program);
			if (ways[k].limit)
				cache(vm[k])->limit = ways[k].limit;
		}
		for (unsigned start = 0; start < 20; start++) {
			gva_t rip = CODE + rnd(CODE_PAGES * PAGE_SIZE_4K - 256);

			for (unsigned k = 0; k < ARRAY_LEN(ways); k++) {
				run_from(vm[k], rip, 2000, ways[k].slice, ways[k].single_step, &e[k]);
				same_state(vm[k], vm[0], &e[k], &e[0], program);
			}
		}
		retired += vm[0]->clock.insns;
		for (unsigned k = 0; k < ARRAY_LEN(ways); k++) {
			dropped += cache(vm[k])->dropped;
			vm_destroy(vm[k]);
		}
	}
	/* The programs do what they are for. */
	assert_true(retired > 30000);
	assert_true(dropped > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_store_ahead_in_the_same_block_is_seen),
	    cmocka_unit_test(a_function_that_is_patched_before_each_call_runs_as_it_is),
	    cmocka_unit_test(a_store_across_a_granule_or_a_page_reaches_the_code_behind_it),
	    cmocka_unit_test(data_beside_code_drops_nothing),
	    cmocka_unit_test(rep_stos_over_code_and_over_itself_stops_at_the_new_code),
	    cmocka_unit_test(a_write_from_outside_is_seen_when_it_is_told),
	    cmocka_unit_test(a_new_mapping_is_new_code),
	    cmocka_unit_test(code_that_was_decoded_flat_is_decoded_anew_for_another_mode),
	    cmocka_unit_test(hlt_in_device_memory_halts),
	    cmocka_unit_test(hlt_with_a_fast_timer_that_nobody_hears_ends),
	    cmocka_unit_test(a_handler_that_cannot_begin_does_not_keep_the_vmm_out),
	    cmocka_unit_test(rep_stos_over_itself_ends_alike_with_and_without_blocks),
	    cmocka_unit_test(a_page_of_code_is_accessed_when_an_instruction_of_it_runs_and_not_before),
	    cmocka_unit_test(what_is_cached_and_where_runs_are_cut_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
