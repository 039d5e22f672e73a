/*
 * What the emulate engine keeps beside the guest's state, and what that may not change: TLB entries are audited, links
 * between blocks are mended, and a run goes on from a snapshot as it would have gone on. In flat 64-bit mode.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include "core/env.h"
#include "core/snapshot.h"
#include "core/x86/access.h"
#include "modes/emulate/emulate.h"

#define TOP 0x10000u /* page tables: top, pdpt, pd, pt */
#define PT (TOP + 0x3000u)
#define CODE 0x20000u
#define STACK_TOP 0x38000u
#define DATA 0x30000u
#define PTE_OF_DATA (PT + DATA / 4096 * 8)
#define KEY (blocks_key(8, X86_MODE_LONG64) | BLOCK_FLAT)

static void put64(struct vm *vm, gpa_t gpa, uint64_t v)
{
	assert_int_equal(mem_write(&vm->mem, gpa, &v, 8), ERR_OK);
}

/* 2 MiB mapped to themselves by 4 KiB pages. */
static struct vm *make_vm(void)
{
	struct vm_config cfg = {.host = &host_posix_ops,
	    .mode = modes_find(MODE_EMULATE, VMM_TYPE_II),
	    .guest = "test",
	    .controls = "vtx-ept",
	    .mem_size = 4u << 20,
	    .n_vcpus = 1,
	    .clock = CLOCK_VIRTUAL};
	struct errmsg why = {""};
	struct vm *vm = NULL;

	assert_int_equal(vm_create(&cfg, &vm, &why), ERR_OK);
	for (unsigned k = 0; k < 3; k++)
		put64(vm, TOP + k * 0x1000, (TOP + (k + 1) * 0x1000) | 7);
	for (unsigned k = 0; k < 512; k++)
		put64(vm, PT + k * 8, k * PAGE_SIZE_4K | 7);
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	s->cr4 = CR4_PAE | CR4_PGE;
	s->cr3 = TOP;
	s->efer = EFER_LME | EFER_LMA;
	s->seg[X86_CS] = (struct x86_seg){.limit = UINT32_MAX, .attr = 0xa09b, .sel = 8};
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		if (n != X86_CS)
			s->seg[n] = (struct x86_seg){.limit = UINT32_MAX, .attr = 0xc093, .sel = 16};
	s->rip = CODE;
	s->gpr[X86_RSP] = STACK_TOP;
	s->gpr[X86_RDX] = 0;
	x86_state_changed(&vm->vcpus[0].cpu);
	return vm;
}

#define PLACE(vm, gpa, ...)                                                                     \
	do {                                                                                    \
		static const uint8_t bytes_[] = {__VA_ARGS__};                                  \
		assert_int_equal(mem_write(&(vm)->mem, (gpa), bytes_, sizeof(bytes_)), ERR_OK); \
	} while (0)

/* --- The audit of mappings --------------------------------------------------------------------------------------- */

static bool is_listed(struct vm *vm, gpa_t gpa)
{
	struct mode_mapping m[64];
	size_t n = vm->cfg.mode->mappings(vm, m, ARRAY_LEN(m));

	assert_true(n <= ARRAY_LEN(m));
	for (size_t k = 0; k < n; k++)
		if (m[k].gpa == gpa)
			return true;
	return false;
}

/* A global entry outlives MOV CR3: the guest still reaches the page by it, so the audit has to see it. */
static void global_entries_are_audited_after_mov_cr3(void **state)
{
	(void)state;
	struct vm *vm = make_vm();
	struct x86_cpu *c = &vm->vcpus[0].cpu;
	uint64_t v;

	put64(vm, PTE_OF_DATA, DATA | 0x167); /* global */
	assert_int_equal(x86_lin_load(c, DATA, 8, X86_PRIV_SUPER, &v), X86_OK);
	assert_int_equal(x86_lin_load(c, DATA + 0x1000, 8, X86_PRIV_SUPER, &v), X86_OK);
	assert_true(is_listed(vm, DATA));
	assert_true(is_listed(vm, DATA + 0x1000));
	assert_int_equal(x86_set_cr3(c, TOP), X86_OK);
	assert_true(is_listed(vm, DATA));
	assert_false(is_listed(vm, DATA + 0x1000));
	put64(vm, PTE_OF_DATA, 0);
	assert_int_equal(x86_lin_load(c, DATA, 8, X86_PRIV_SUPER, &v), X86_OK);
	x86_tlb_flush(c);
	assert_false(is_listed(vm, DATA));
	assert_int_equal(x86_lin_load(c, DATA, 8, X86_PRIV_SUPER, &v), X86_FAULT);
	vm_destroy(vm);
}

/* --- Links between blocks ---------------------------------------------------------------------------------------- */

static void run_to_hlt(struct vm *vm)
{
	const struct run_bounds b = {.max_insns = 1000000, .deadline_ns = CLOCK_NEVER};
	struct vcpu *v = &vm->vcpus[0];
	struct vm_exit e = {0};

	vcpu_state_for_write(v, DIRTY_ALL)->rip = CODE;
	assert_int_equal(vm->cfg.mode->set_state(v), ERR_OK);
	v->dirty = 0;
	assert_int_equal(vm->cfg.mode->run(v, &b, &e), ERR_OK);
	assert_int_equal(e.reason, EXIT_HLT);
}

static struct block *block_at(struct vm *vm, gpa_t gpa)
{
	struct emulate_vm *em = vm->mode_priv;
	struct block *b = blocks_find(&em->blocks, gpa, KEY);

	assert_non_null(b);
	return b;
}

static void a_link_to_a_dropped_block_is_renewed(void **state)
{
	(void)state;
	struct vm *vm = make_vm();
	static const uint8_t two = 2;

	/* mov ecx, 1000; again: call f; dec ecx; jnz again; hlt */
	PLACE(vm, CODE, 0xb9, 0xe8, 0x03, 0, 0, 0xe8, 0x36, 0, 0, 0, 0xff, 0xc9, 0x75, 0xf7, 0xf4);
	PLACE(vm, CODE + 0x40, 0xb0, 1, 0xc3); /* f: mov al, 1; ret */
	run_to_hlt(vm);
	const struct block *caller = block_at(vm, CODE + 5), *old = block_at(vm, CODE + 0x40);

	assert_ptr_equal(caller->x.link[1], &old->x);
	assert_int_equal(vm_write_mem(vm, CODE + 0x41, &two, 1), ERR_OK);
	run_to_hlt(vm);
	const struct block *now = block_at(vm, CODE + 0x40);

	assert_ptr_not_equal(now, old);
	assert_ptr_equal(block_at(vm, CODE + 5), caller);
	assert_ptr_equal(caller->x.link[1], &now->x);
	assert_int_equal(vm->vcpus[0].cpu.s.gpr[X86_RAX] & 0xff, 2);
	vm_destroy(vm);
}

static void a_jump_to_the_next_address_hops(void **state)
{
	(void)state;
	struct vm *vm = make_vm();

	/* mov ecx, 16; again: jmp $+2; dec ecx; jnz again; hlt */
	PLACE(vm, CODE, 0xb9, 0x10, 0, 0, 0, 0xeb, 0x00, 0xff, 0xc9, 0x75, 0xfa, 0xf4);
	run_to_hlt(vm);
	struct block *jump = block_at(vm, CODE + 5), *loop = block_at(vm, CODE + 7);

	assert_ptr_equal(jump->x.link[1], &loop->x);
	assert_ptr_equal(loop->x.link[1], &jump->x); /* not where the loop went when it was over */
	assert_ptr_equal(loop->x.link[0], &block_at(vm, CODE + 0xb)->x);
	vm_destroy(vm);
}

/* --- Snapshots --------------------------------------------------------------------------------------------------- */

/*
 * Eight times: touch DATA, note its accessed bit in RDX, clear it without INVLPG, leave by a port. Whether the
 * processor sets the bit again depends on what its TLB holds.
 */
static struct vm *make_toucher(void)
{
	struct vm *vm = make_vm();

	PLACE(vm, CODE, 0x8a, 0x04, 0x25, 0x00, 0x00, 0x03, 0x00, /* again: mov al, [DATA] */
	    0x48, 0x8b, 0x0c, 0x25, 0x80, 0x31, 0x01, 0x00,	  /* mov rcx, [PTE_OF_DATA] */
	    0x48, 0xc1, 0xe9, 0x05,				  /* shr rcx, 5 */
	    0x83, 0xe1, 0x01,					  /* and ecx, 1 */
	    0x48, 0x01, 0xd2,					  /* add rdx, rdx */
	    0x48, 0x09, 0xca,					  /* or rdx, rcx */
	    0x80, 0x24, 0x25, 0x80, 0x31, 0x01, 0x00, 0xdf,	  /* and byte [PTE_OF_DATA], ~20h */
	    0xe6, 0x80,						  /* out 80h, al */
	    0xff, 0xce, 0x75, 0xd6, 0xfa, 0xf4);		  /* dec esi; jnz again; cli; hlt */
	vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL)->gpr[X86_RSI] = 8;
	return vm;
}

struct saved {
	uint8_t *bytes;
	size_t n;
};

static struct saved save(struct vm *vm)
{
	struct errmsg why = {""};
	size_t size = snapshot_size(vm);
	struct saved s = {malloc(size), 0};

	assert_non_null(s.bytes);
	assert_int_equal(snapshot_save(vm, s.bytes, size, &s.n, &why), ERR_OK);
	return s;
}

static void exits(struct vm *vm, unsigned n)
{
	while (n--)
		assert_int_equal(vm_step_exit(vm, NULL), ERR_OK);
}

static void assert_same_end(struct vm *a, struct vm *b)
{
	assert_int_equal(vm_run(a), ERR_OK);
	assert_int_equal(vm_run(b), ERR_OK);
	assert_int_equal(a->end.kind, END_HALT);
	assert_int_equal(b->end.kind, END_HALT);
	assert_int_equal(a->vcpus[0].cpu.s.gpr[X86_RDX], b->vcpus[0].cpu.s.gpr[X86_RDX]);
	assert_memory_equal(&a->vcpus[0].cpu.s, &b->vcpus[0].cpu.s, sizeof(struct x86_state));
	assert_int_equal(a->clock.insns, b->clock.insns);
	assert_int_equal(mem_hash(&a->mem), mem_hash(&b->mem));
}

static void what_was_saved_and_what_is_restored_go_on_alike(void **state)
{
	(void)state;
	struct vm *a = make_toucher(), *b = make_toucher();
	struct errmsg why = {""};

	exits(a, 2);
	struct saved s = save(a);

	assert_int_equal(snapshot_restore(b, s.bytes, s.n, &why), ERR_OK);
	assert_same_end(a, b);
	assert_int_equal(a->vcpus[0].cpu.s.gpr[X86_RDX], 0xa0); /* set at first, and after the snapshot */
	free(s.bytes);
	vm_destroy(a);
	vm_destroy(b);
}

/* A run with checkpoints, and a replay of it from the first one that makes the second one again: to the last byte. */
static void a_replay_makes_the_same_checkpoints(void **state)
{
	(void)state;
	struct vm *a = make_toucher(), *b = make_toucher();
	struct errmsg why = {""};

	exits(a, 2);
	struct saved first = save(a);

	exits(a, 3);
	struct saved second = save(a);

	assert_int_equal(snapshot_restore(b, first.bytes, first.n, &why), ERR_OK);
	exits(b, 3);
	struct saved again = save(b);

	assert_int_equal(again.n, second.n);
	assert_memory_equal(again.bytes, second.bytes, again.n);
	assert_same_end(a, b);
	free(first.bytes);
	free(second.bytes);
	free(again.bytes);
	vm_destroy(a);
	vm_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(global_entries_are_audited_after_mov_cr3),
	    cmocka_unit_test(a_link_to_a_dropped_block_is_renewed),
	    cmocka_unit_test(a_jump_to_the_next_address_hops),
	    cmocka_unit_test(what_was_saved_and_what_is_restored_go_on_alike),
	    cmocka_unit_test(a_replay_makes_the_same_checkpoints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
