/*
 * The emulate engine: the block cache drops exactly what a write touches, and a run stops after exactly as many
 * instructions whether code is cached or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "modes/emulate/emulate.h"

#define ORG 0x7c00u

static struct vm *make_vm(const uint8_t *code, size_t n)
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
	assert_int_equal(mem_write(&vm->mem, ORG, code, n), ERR_OK);
	struct x86_state *s = vcpu_state_for_write(&vm->vcpus[0], DIRTY_ALL);

	s->seg[X86_CS].sel = 0;
	s->seg[X86_CS].base = 0;
	s->rip = ORG;
	s->gpr[X86_RSP] = 0x7000;
	return vm;
}

static enum err run(struct vm *vm, uint64_t insns, struct vm_exit *e)
{
	struct run_bounds b = {.max_insns = insns, .deadline_ns = CLOCK_NEVER};
	struct vcpu *v = &vm->vcpus[0];

	memset(e, 0, sizeof(*e));
	if (v->dirty) {
		assert_int_equal(vm->cfg.mode->set_state(v), ERR_OK);
		v->dirty = 0;
	}
	return vm->cfg.mode->run(v, &b, e);
}

/* mov cx,1000; l: add ax,3; push ax; pop bx; xor dx,bx; loop l; mov di,0x2000; mov cx,300; rep stosb; hlt */
static const uint8_t mixed[] = {0xb9, 0xe8, 0x03, 0x05, 0x03, 0x00, 0x50, 0x5b, 0x31, 0xda, 0xe2, 0xf7, 0xbf, 0x00,
    0x20, 0xb9, 0x2c, 0x01, 0xf3, 0xaa, 0xf4};

static void a_run_stops_after_exactly_the_bound_cached_or_not(void **state)
{
	(void)state;
	struct vm *a = make_vm(mixed, sizeof(mixed)), *b = make_vm(mixed, sizeof(mixed));
	struct vm_exit ea, eb;
	unsigned steps = 0;

	for (;;) {
		unsigned n = 1 + steps * 7 % 61;

		assert_int_equal(run(a, n, &ea), ERR_OK);
		for (unsigned k = 0; k < n; k++) {
			assert_int_equal(run(b, 1, &eb), ERR_OK);
			if (eb.reason == EXIT_HLT)
				break;
		}
		assert_int_equal(ea.reason, eb.reason);
		assert_int_equal(a->clock.insns, b->clock.insns);
		assert_memory_equal(a->vcpus[0].cpu.s.gpr, b->vcpus[0].cpu.s.gpr, sizeof(a->vcpus[0].cpu.s.gpr));
		assert_int_equal(a->vcpus[0].cpu.s.rip, b->vcpus[0].cpu.s.rip);
		assert_int_equal(a->vcpus[0].cpu.s.rflags, b->vcpus[0].cpu.s.rflags);
		if (ea.reason == EXIT_HLT)
			break;
		assert_int_equal(ea.reason, EXIT_PREEMPTION_TIMER);
		steps++;
	}
	/* 1 + 1000 * 5 + 2 + 300 retired; HLT itself exits first */
	assert_int_equal(a->clock.insns, 5303);
	assert_true(mem_hash(&a->mem) == mem_hash(&b->mem));
	vm_destroy(a);
	vm_destroy(b);
}

static void code_that_writes_over_its_next_instruction_runs_the_new_one(void **state)
{
	(void)state;
	/* mov byte [0x7c07],0x43; nop; nop; inc ax (40, becomes 43: inc bx); hlt; run twice by jumping back */
	static const uint8_t code[] = {0xc6, 0x06, 0x07, 0x7c, 0x43, 0x90, 0x90, 0x40, 0xf4};
	struct vm *vm = make_vm(code, sizeof(code));
	struct vm_exit e;

	assert_int_equal(run(vm, UINT64_MAX, &e), ERR_OK);
	assert_int_equal(e.reason, EXIT_HLT);
	assert_int_equal((uint16_t)vm->vcpus[0].cpu.s.gpr[X86_RBX], 1);
	assert_int_equal((uint16_t)vm->vcpus[0].cpu.s.gpr[X86_RAX], 0);
	vm_destroy(vm);
}

static void a_rep_is_cut_at_the_bound_and_goes_on(void **state)
{
	(void)state;
	/* mov di,0x2000; mov cx,100; mov al,7; rep stosb; hlt */
	static const uint8_t code[] = {0xbf, 0x00, 0x20, 0xb9, 0x64, 0x00, 0xb0, 0x07, 0xf3, 0xaa, 0xf4};
	struct vm *vm = make_vm(code, sizeof(code));
	struct vm_exit e;

	assert_int_equal(run(vm, 3 + 40, &e), ERR_OK);
	assert_int_equal(e.reason, EXIT_PREEMPTION_TIMER);
	assert_int_equal((uint16_t)vm->vcpus[0].cpu.s.gpr[X86_RCX], 60);
	assert_int_equal(vm->vcpus[0].cpu.s.rip, ORG + 8);
	assert_int_equal(run(vm, UINT64_MAX, &e), ERR_OK);
	assert_int_equal(e.reason, EXIT_HLT);
	assert_int_equal(vm->clock.insns, 103);
	vm_destroy(vm);
}

static void a_kick_ends_an_endless_loop(void **state)
{
	(void)state;
	static const uint8_t code[] = {0xeb, 0xfe};
	struct vm *vm = make_vm(code, sizeof(code));
	struct vm_exit e;

	vm->cfg.mode->kick(&vm->vcpus[0]);
	assert_int_equal(run(vm, UINT64_MAX, &e), ERR_OK);
	assert_int_equal(e.reason, EXIT_VMM_KICK);
	vm_destroy(vm);
}

static struct block_cache *make_cache(void)
{
	struct block_cache *bc = host_posix_ops.page_alloc(sizeof(*bc));

	assert_non_null(bc);
	assert_int_equal(blocks_init(bc, &host_posix_ops, 1u << 20, NULL), ERR_OK);
	return bc;
}

static void a_write_drops_exactly_the_blocks_it_touches(void **state)
{
	(void)state;
	static uint8_t page[PAGE_SIZE_4K];
	struct block_cache *bc = make_cache();

	memset(page, 0x90, sizeof(page));
	page[0x10] = page[0x20] = page[0x30] = 0xf4; /* each block ends at its HLT */
	struct block *a = blocks_build(bc, 0x5008, page, blocks_key(2, X86_MODE_REAL));
	struct block *b = blocks_build(bc, 0x5018, page, blocks_key(2, X86_MODE_REAL));
	struct block *c = blocks_build(bc, 0x5028, page, blocks_key(4, X86_MODE_PROT));

	assert_int_equal(a->x.n, 9);
	assert_int_equal(a->bytes, 9);
	assert_ptr_equal(blocks_find(bc, 0x5018, blocks_key(2, X86_MODE_REAL)), b);
	assert_null(blocks_find(bc, 0x5018, blocks_key(4, X86_MODE_PROT)));
	assert_int_equal(blocks_written(bc, 0x5021, 7), BLOCKS_UNTOUCHED); /* the gap between b and c */
	assert_ptr_equal(blocks_find(bc, 0x5018, blocks_key(2, X86_MODE_REAL)), b);
	assert_int_equal(blocks_written(bc, 0x5020, 1), BLOCKS_DROPPED); /* b's HLT */
	assert_null(blocks_find(bc, 0x5018, blocks_key(2, X86_MODE_REAL)));
	assert_ptr_equal(blocks_find(bc, 0x5008, blocks_key(2, X86_MODE_REAL)), a);
	assert_ptr_equal(blocks_find(bc, 0x5028, blocks_key(4, X86_MODE_PROT)), c);
	assert_int_equal(blocks_written(bc, 0x5000, 4096), BLOCKS_DROPPED);
	assert_int_equal(bc->dropped, 3);
	blocks_fini(bc);
	host_posix_ops.page_free(bc, sizeof(*bc));
}

static void an_instruction_that_crosses_the_page_is_in_no_block(void **state)
{
	(void)state;
	static uint8_t page[PAGE_SIZE_4K];
	struct block_cache *bc = make_cache();

	memset(page, 0x90, sizeof(page));
	page[0xffe] = 0xb8; /* mov ax, imm16: one byte is on the next page */
	struct block *b = blocks_build(bc, 0x5ffc, page, blocks_key(2, X86_MODE_REAL));

	assert_int_equal(b->x.n, 2);
	assert_null(blocks_build(bc, 0x5ffe, page, blocks_key(2, X86_MODE_REAL)));
	blocks_fini(bc);
	host_posix_ops.page_free(bc, sizeof(*bc));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_run_stops_after_exactly_the_bound_cached_or_not),
	    cmocka_unit_test(code_that_writes_over_its_next_instruction_runs_the_new_one),
	    cmocka_unit_test(a_rep_is_cut_at_the_bound_and_goes_on),
	    cmocka_unit_test(a_kick_ends_an_endless_loop),
	    cmocka_unit_test(a_write_drops_exactly_the_blocks_it_touches),
	    cmocka_unit_test(an_instruction_that_crosses_the_page_is_in_no_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
