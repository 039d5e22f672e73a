/* Far transfers, IRET, fast system calls, task switches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/segment.h"
#include "core/x86/sys.h"
#include "tests/x86_fixture.h"

#define NO_FAULT 0x100u

/* --- Far transfers --------------------------------------------------------------------------------------------- */

/* ljmp/lcall sel:off in 32-bit code; off is a byte address below 64 KiB. */
static enum x86_rc far_insn(struct x86_fix *f, uint8_t opcode, uint16_t sel, uint32_t off)
{
	uint8_t code[7] = {opcode, (uint8_t)off, (uint8_t)(off >> 8), (uint8_t)(off >> 16), (uint8_t)(off >> 24),
	    (uint8_t)sel, (uint8_t)(sel >> 8)};

	x86_fix_code(f, 0x7000, code, sizeof code);
	return x86_step(f->c);
}

#define JMP_FAR 0xea
#define CALL_FAR 0x9a

static void far_jumps_check_the_code_segment(void **state)
{
	static const struct {
		unsigned cpl;
		uint16_t sel;
		unsigned vector, error;
	} rows[] = {
	    {0, SEL_CODE0, NO_FAULT, 0}, {0, SEL_CODE0 | 3, VEC_GP, SEL_CODE0}, {0, SEL_CODE3, VEC_GP, SEL_CODE3},
	    {0, SEL_CONFORMING0 | 3, NO_FAULT, 0}, {3, SEL_CONFORMING0, NO_FAULT, 0}, {3, SEL_CODE3, NO_FAULT, 0},
	    {3, SEL_CODE0, VEC_GP, SEL_CODE0}, {0, SEL_DATA0, VEC_GP, SEL_DATA0}, {0, 0, VEC_GP, 0},
	    {0, SEL_NOT_PRESENT0, VEC_GP, SEL_NOT_PRESENT0}, /* data: type before presence */
	};
	struct x86_fix *f = *state;

	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		enum x86_rc rc;

		x86_fix_reset(f);
		x86_fix_prot(f, 4, rows[n].cpl);
		x86_fix_tables(f);
		rc = far_insn(f, JMP_FAR, rows[n].sel, 0x6000);
		if (rows[n].vector == NO_FAULT) {
			assert_int_equal(rc, X86_OK);
			assert_int_equal(f->c->s.rip, 0x6000);
			assert_int_equal(f->c->s.seg[X86_CS].sel, (rows[n].sel & ~3u) | rows[n].cpl);
			assert_int_equal(f->c->cpl, rows[n].cpl);
		} else {
			assert_int_equal(rc, X86_FAULT);
			assert_int_equal(f->c->fault.vector, rows[n].vector);
			assert_int_equal(f->c->fault.error, rows[n].error);
			assert_int_equal(f->c->s.rip, 0x7000);
		}
	}
}

static void a_call_gate_changes_ring_and_stack_and_copies_parameters(void **state)
{
	struct x86_fix *f = *state;
	uint8_t lret8[] = {0xca, 8, 0};

	x86_fix_prot(f, 4, 3);
	x86_fix_tables(f);
	x86_fix_gate(f, X86_FIX_GDT + SEL_FREE, SEL_CODE0, 0x6000, 0xec, 2);
	x86_fix_poke(f, 0x9000, 4, 0x11111111);
	x86_fix_poke(f, 0x9004, 4, 0x22222222);
	assert_int_equal(far_insn(f, CALL_FAR, SEL_FREE | 3, 0xdead), X86_OK);
	assert_int_equal(f->c->cpl, 0);
	assert_int_equal(f->c->s.rip, 0x6000);
	assert_int_equal(f->c->s.seg[X86_SS].sel, SEL_DATA0);
	assert_int_equal(f->c->s.gpr[X86_RSP], X86_FIX_STACK0 - 24);
	const uint32_t want[] = {0x7007, SEL_CODE3 | 3, 0x11111111, 0x22222222, 0x9000, SEL_DATA3 | 3};
	assert_memory_equal(f->ram + X86_FIX_STACK0 - 24, want, sizeof want);
	assert_int_equal(x86_load_sreg(f->c, X86_ES, SEL_DATA0), X86_OK);
	x86_fix_code(f, 0x6000, lret8, sizeof lret8);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->cpl, 3);
	assert_int_equal(f->c->s.rip, 0x7007);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x9008); /* parameters are gone on this stack too */
	assert_true(f->c->s.seg[X86_ES].attr & SEG_UNUSABLE);
	assert_false(f->c->s.seg[X86_DS].attr & SEG_UNUSABLE);
}

static void a_call_gate_in_long_mode_pushes_eight_bytes_and_no_parameters(void **state)
{
	struct x86_fix *f = *state;
	uint8_t call[] = {0xff, 0x1c, 0x25, 0x00, 0x50, 0, 0}; /* lcall *0x5000 */

	x86_fix_long(f, 3);
	x86_fix_tables(f);
	x86_fix_gate(f, X86_FIX_GDT + SEL_FREE, SEL_CODE0, 0x6000, 0xec, 3);
	x86_fix_poke(f, 0x5004, 2, SEL_FREE | 3);
	x86_fix_code(f, 0x7000, call, sizeof call);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->cpl, 0);
	assert_int_equal(f->c->s.seg[X86_SS].sel, 0);
	const uint64_t want[] = {0x7007, SEL_CODE3 | 3, 0x9000, SEL_DATA3 | 3};
	assert_memory_equal(f->ram + X86_FIX_STACK0 - 32, want, sizeof want);
}

static void a_gate_is_refused_by_its_dpl_its_presence_and_its_target(void **state)
{
	static const struct {
		uint16_t target;
		unsigned access, vector, error;
	} rows[] = {
	    {SEL_CODE0, 0x8c, VEC_GP, SEL_FREE}, /* DPL 0 */
	    {SEL_CODE0, 0x6c, VEC_NP, SEL_FREE},
	    {0, 0xec, VEC_GP, 0},
	    {SEL_DATA0, 0xec, VEC_GP, SEL_DATA0},
	    {0x200, 0xec, VEC_GP, 0x200},
	};
	struct x86_fix *f = *state;

	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		x86_fix_reset(f);
		x86_fix_prot(f, 4, 3);
		x86_fix_tables(f);
		x86_fix_gate(f, X86_FIX_GDT + SEL_FREE, rows[n].target, 0x6000, rows[n].access, 0);
		assert_int_equal(far_insn(f, CALL_FAR, SEL_FREE | 3, 0), X86_FAULT);
		assert_int_equal(f->c->fault.vector, rows[n].vector);
		assert_int_equal(f->c->fault.error, rows[n].error);
		assert_int_equal(f->c->cpl, 3);
		assert_int_equal(f->c->s.gpr[X86_RSP], 0x9000);
	}
}

static void a_bad_inner_stack_is_ts_and_a_full_one_is_ss_with_its_selector(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 3);
	x86_fix_tables(f);
	x86_fix_gate(f, X86_FIX_GDT + SEL_FREE, SEL_CODE0, 0x6000, 0xec, 0);
	x86_fix_poke(f, X86_FIX_TSS + 8, 2, SEL_DATA3 | 3);
	assert_int_equal(far_insn(f, CALL_FAR, SEL_FREE | 3, 0), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_TS);
	assert_int_equal(f->c->fault.error, SEL_DATA3);
	x86_fix_poke(f, X86_FIX_TSS + 8, 2, SEL_FREE + 8);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE + 8, 0, 0xfff, 0x4093);
	assert_int_equal(far_insn(f, CALL_FAR, SEL_FREE | 3, 0), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_SS);
	assert_int_equal(f->c->fault.error, SEL_FREE + 8);
	assert_int_equal(f->c->cpl, 3);
	assert_int_equal(f->c->s.seg[X86_SS].sel, SEL_DATA3 | 3);
	f->c->s.tr.limit = 8;
	assert_int_equal(far_insn(f, CALL_FAR, SEL_FREE | 3, 0), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_TS);
	assert_int_equal(f->c->fault.error, SEL_TSS);
}

static void real_mode_far_call_pushes_and_keeps_the_limit(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t code[] = {0x9a, 0x34, 0x12, 0x00, 0x20, /* at 2000:1234 */ 0};
	const uint8_t ret[] = {0xcb};

	x86_fix_real(f);
	x86_fix_code(f, 0x7c00, code, 5);
	memcpy(f->ram + 0x21234, ret, 1);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.seg[X86_CS].base, 0x20000);
	assert_int_equal(x86_fix_peek(f, 0x8ffc, 4), 0x7c05);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.rip, 0x7c05);
	assert_int_equal(f->c->s.seg[X86_CS].sel, 0);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x9000);
}

/* --- IRET ------------------------------------------------------------------------------------------------------ */

static enum x86_rc iret32(struct x86_fix *f, const uint32_t *image, unsigned n)
{
	const uint8_t code[] = {0xcf};

	memcpy(f->ram + 0x8800, image, n * 4);
	f->c->s.gpr[X86_RSP] = 0x8800;
	x86_fix_code(f, 0x7000, code, 1);
	return x86_step(f->c);
}

static void iret_restores_flags_only_as_privilege_allows(void **state)
{
	struct x86_fix *f = *state;
	const uint32_t all = FLAG_IF | FLAG_IOPL | FLAG_CF | FLAG_AC | FLAG_ID | FLAG_R1;
	const uint32_t to0[] = {0x6000, SEL_CODE0, all}, to3[] = {0x6000, SEL_CODE3 | 3, all};

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	assert_int_equal(iret32(f, to0, 3), X86_OK);
	assert_int_equal(f->c->s.rflags, all);
	x86_fix_reset(f);
	x86_fix_prot(f, 4, 3);
	x86_fix_tables(f);
	assert_int_equal(iret32(f, to3, 3), X86_OK);
	assert_int_equal(f->c->s.rflags, FLAG_CF | FLAG_AC | FLAG_ID | FLAG_R1);
}

static void iret_to_ring_3_takes_the_stack_and_drops_kernel_segments(void **state)
{
	struct x86_fix *f = *state;
	const uint32_t image[] = {0x6000, SEL_CODE3 | 3, FLAG_R1, 0x5550, SEL_DATA3 | 3};
	const uint32_t bad_ss[] = {0x6000, SEL_CODE3 | 3, FLAG_R1, 0x5550, SEL_DATA0};

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	assert_int_equal(iret32(f, bad_ss, 5), X86_FAULT);
	assert_int_equal(f->c->fault.error, SEL_DATA0);
	assert_int_equal(f->c->cpl, 0);
	assert_int_equal(iret32(f, image, 5), X86_OK);
	assert_int_equal(f->c->cpl, 3);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x5550);
	assert_true(f->c->s.seg[X86_DS].attr & SEG_UNUSABLE);
	const uint32_t to_kernel[] = {0x6000, SEL_CODE0, FLAG_R1};
	assert_int_equal(iret32(f, to_kernel, 3), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_GP);
	assert_int_equal(f->c->fault.error, SEL_CODE0);
}

static void iret_enters_virtual_8086_mode(void **state)
{
	struct x86_fix *f = *state;
	const uint32_t image[] = {0x10, 0x700, FLAG_VM | FLAG_R1, 0x100, 0x900, 0x111, 0x222, 0x333, 0x444};
	const uint8_t hlt[] = {0xf4};

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	assert_int_equal(iret32(f, image, 9), X86_OK);
	assert_int_equal(f->c->mode, X86_MODE_V86);
	assert_int_equal(f->c->cpl, 3);
	assert_int_equal(f->c->s.seg[X86_ES].base, 0x1110);
	assert_int_equal(f->c->s.seg[X86_DS].base, 0x2220);
	assert_int_equal(f->c->s.seg[X86_FS].base, 0x3330);
	assert_int_equal(f->c->s.seg[X86_GS].base, 0x4440);
	assert_int_equal(f->c->s.seg[X86_SS].base, 0x9000);
	assert_int_equal(f->c->s.seg[X86_SS].attr, 0xf3);
	assert_int_equal(x86_linear_ip(f->c), 0x7010);
	memcpy(f->ram + 0x7010, hlt, 1);
	assert_int_equal(x86_step(f->c), X86_FAULT); /* HLT is privileged here */
	assert_int_equal(f->c->fault.vector, VEC_GP);
}

static void iretq_always_pops_the_stack(void **state)
{
	struct x86_fix *f = *state;
	const uint64_t image[] = {0x6000, SEL_CODE0, FLAG_R1, 0x5558, 0};
	const uint8_t code[] = {0x48, 0xcf};

	x86_fix_long(f, 0);
	x86_fix_tables(f);
	memcpy(f->ram + 0x8800, image, sizeof image);
	f->c->s.gpr[X86_RSP] = 0x8800;
	x86_fix_code(f, 0x7000, code, 2);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x5558);
	assert_int_equal(f->c->s.seg[X86_SS].sel, 0);
	assert_int_equal(f->c->cpl, 0);
}

/* --- SYSCALL, SYSENTER ----------------------------------------------------------------------------------------- */

static void syscall_and_sysret_are_inverse(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t syscall[] = {0x0f, 0x05}, sysret[] = {0x48, 0x0f, 0x07};

	x86_fix_long(f, 3);
	x86_fix_tables(f);
	x86_fix_code(f, 0x7000, syscall, 2);
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_UD); /* EFER.SCE */
	f->c->s.efer |= EFER_SCE;
	f->c->s.star = 0x0013000800000000ull;
	f->c->s.lstar = 0x6000;
	f->c->s.fmask = FLAG_IF | FLAG_DF;
	f->c->s.rflags |= FLAG_IF | FLAG_DF | FLAG_CF;
	x86_state_changed(f->c);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->cpl, 0);
	assert_int_equal(f->c->s.seg[X86_CS].sel, 0x08);
	assert_int_equal(f->c->s.seg[X86_SS].sel, 0x10);
	assert_int_equal(f->c->s.gpr[X86_RCX], 0x7002);
	assert_int_equal(f->c->s.gpr[X86_R11], FLAG_IF | FLAG_DF | FLAG_CF | FLAG_R1);
	assert_int_equal(f->c->s.rflags, FLAG_CF | FLAG_R1);
	memcpy(f->ram + 0x6000, sysret, 3);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->cpl, 3);
	assert_int_equal(f->c->s.rip, 0x7002);
	assert_int_equal(f->c->s.seg[X86_CS].sel, 0x23);
	assert_int_equal(f->c->s.seg[X86_SS].sel, 0x1b);
	assert_int_equal(f->c->s.rflags, FLAG_IF | FLAG_DF | FLAG_CF | FLAG_R1);
}

static void sysenter_needs_a_selector_and_clears_if(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t sysenter[] = {0x0f, 0x34}, sysexit[] = {0x0f, 0x35};

	x86_fix_prot(f, 4, 3);
	x86_fix_code(f, 0x7000, sysenter, 2);
	assert_int_equal(x86_step(f->c), X86_FAULT);
	f->c->s.sysenter_cs = 0x08;
	f->c->s.sysenter_eip = 0x6000;
	f->c->s.sysenter_esp = 0x8000;
	f->c->s.rflags |= FLAG_IF;
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->cpl, 0);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x8000);
	assert_false(f->c->s.rflags & FLAG_IF);
	memcpy(f->ram + 0x6000, sysexit, 2);
	f->c->s.gpr[X86_RDX] = 0x7002;
	f->c->s.gpr[X86_RCX] = 0x9000;
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->cpl, 3);
	assert_int_equal(f->c->s.seg[X86_CS].sel, 0x1b);
	assert_int_equal(f->c->s.seg[X86_SS].sel, 0x23);
}

/* --- Tasks ----------------------------------------------------------------------------------------------------- */

#define NEW_TSS 0x5000u

static void make_task(struct x86_fix *f)
{
	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, NEW_TSS, 0x67, 0x89);
	x86_fix_poke(f, NEW_TSS + 0x20, 4, 0x6000); /* EIP */
	x86_fix_poke(f, NEW_TSS + 0x24, 4, FLAG_R1 | FLAG_CF);
	for (unsigned n = 0; n < 8; n++)
		x86_fix_poke(f, NEW_TSS + 0x28 + 4 * n, 4, 0x1000 + n);
	for (unsigned n = 0; n < 6; n++)
		x86_fix_poke(f, NEW_TSS + 0x48 + 4 * n, 2, n == 1 ? SEL_CODE0 : SEL_DATA0);
}

static void a_call_to_a_tss_nests_and_iret_comes_back(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t iret[] = {0xcf};

	make_task(f);
	f->c->s.gpr[X86_RBX] = 0xbbbb;
	assert_int_equal(far_insn(f, CALL_FAR, SEL_FREE, 0), X86_OK);
	assert_int_equal(f->c->s.tr.sel, SEL_FREE);
	assert_int_equal(f->c->s.rip, 0x6000);
	assert_int_equal(f->c->s.gpr[X86_RDI], 0x1007);
	assert_int_equal(f->c->s.rflags, FLAG_R1 | FLAG_CF | FLAG_NT);
	assert_true(f->c->s.cr0 & CR0_TS);
	assert_int_equal(x86_fix_peek(f, NEW_TSS, 2), SEL_TSS);
	assert_int_equal(x86_fix_peek(f, X86_FIX_GDT + SEL_FREE + 5, 1), 0x8b);
	assert_int_equal(x86_fix_peek(f, X86_FIX_GDT + SEL_TSS + 5, 1), 0x8b); /* both busy */
	assert_int_equal(x86_fix_peek(f, X86_FIX_TSS + 0x20, 4), 0x7007);
	assert_int_equal(x86_fix_peek(f, X86_FIX_TSS + 0x34, 4), 0xbbbb);
	x86_fix_poke(f, X86_FIX_TSS + 0x60, 2, 0);
	memcpy(f->ram + 0x6000, iret, 1);
	f->c->s.gpr[X86_RBX] = 1;
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.tr.sel, SEL_TSS);
	assert_int_equal(f->c->s.rip, 0x7007);
	assert_int_equal(f->c->s.gpr[X86_RBX], 0xbbbb);
	assert_int_equal(x86_fix_peek(f, X86_FIX_GDT + SEL_FREE + 5, 1), 0x89);
	assert_false(f->c->s.rflags & FLAG_NT);
}

static void a_jump_to_a_busy_or_absent_tss_faults_in_the_old_task(void **state)
{
	struct x86_fix *f = *state;

	make_task(f);
	assert_int_equal(far_insn(f, JMP_FAR, SEL_TSS, 0), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_GP);
	assert_int_equal(f->c->fault.error, SEL_TSS);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, NEW_TSS, 0x67, 0x09);
	assert_int_equal(far_insn(f, JMP_FAR, SEL_FREE, 0), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_NP);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, NEW_TSS, 0x66, 0x89);
	assert_int_equal(far_insn(f, JMP_FAR, SEL_FREE, 0), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_TS);
	assert_int_equal(f->c->s.tr.sel, SEL_TSS);
}

static void a_bad_segment_of_the_new_task_faults_in_the_new_task(void **state)
{
	struct x86_fix *f = *state;

	make_task(f);
	x86_fix_poke(f, NEW_TSS + 0x54, 2, SEL_NOT_PRESENT0); /* DS */
	x86_fix_idt(f, VEC_NP, SEL_CODE0, 0xb000, 0x8e);
	assert_int_equal(far_insn(f, JMP_FAR, SEL_FREE, 0), X86_OK);
	assert_int_equal(f->c->s.tr.sel, SEL_FREE);
	assert_int_equal(f->c->s.rip, 0xb000);
	assert_int_equal(x86_fix_peek(f, f->c->s.gpr[X86_RSP], 4), SEL_NOT_PRESENT0);
	assert_int_equal(x86_fix_peek(f, f->c->s.gpr[X86_RSP] + 4, 4), 0x6000);
	assert_int_equal(x86_fix_peek(f, X86_FIX_GDT + SEL_TSS + 5, 1), 0x89);
}

static void a_task_switch_exits_under_vmx_and_the_vmm_performs_it(void **state)
{
	struct x86_fix *f = *state;

	make_task(f);
	x86_fix_controls(f, "vtx-ept");
	assert_int_equal(far_insn(f, CALL_FAR, SEL_FREE, 0), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_TASK_SWITCH);
	assert_int_equal(f->exit.qual, SEL_FREE | (uint64_t)X86_TASK_CALL << 30);
	assert_int_equal(f->exit.insn_len, 7);
	assert_int_equal(f->exit.rip, 0x7000);
	assert_int_equal(f->c->s.tr.sel, SEL_TSS);
	f->c->ctl = NULL;
	assert_int_equal(x86_task_switch(f->c, SEL_FREE, X86_TASK_CALL, 0x7007, false, 0), X86_OK);
	assert_int_equal(f->c->s.rip, 0x6000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, x86_fix_setup, x86_fix_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(far_jumps_check_the_code_segment),
	    T(a_call_gate_changes_ring_and_stack_and_copies_parameters),
	    T(a_call_gate_in_long_mode_pushes_eight_bytes_and_no_parameters),
	    T(a_gate_is_refused_by_its_dpl_its_presence_and_its_target),
	    T(a_bad_inner_stack_is_ts_and_a_full_one_is_ss_with_its_selector),
	    T(real_mode_far_call_pushes_and_keeps_the_limit),
	    T(iret_restores_flags_only_as_privilege_allows),
	    T(iret_to_ring_3_takes_the_stack_and_drops_kernel_segments),
	    T(iret_enters_virtual_8086_mode),
	    T(iretq_always_pops_the_stack),
	    T(syscall_and_sysret_are_inverse),
	    T(sysenter_needs_a_selector_and_clears_if),
	    T(a_call_to_a_tss_nests_and_iret_comes_back),
	    T(a_jump_to_a_busy_or_absent_tss_faults_in_the_old_task),
	    T(a_bad_segment_of_the_new_task_faults_in_the_new_task),
	    T(a_task_switch_exits_under_vmx_and_the_vmm_performs_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
