/* Delivery of interrupts and exceptions: every gate, stack switches, merging, exits, debug traps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/event.h"
#include "tests/x86_fixture.h"

static struct x86_event exception(unsigned vector, unsigned error)
{
	bool has = vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;

	return (struct x86_event){
	    .vector = (uint8_t)vector, .type = INTR_TYPE_HW_EXCEPTION, .has_error = has, .error = error, .cr2 = 0xc0de};
}

static struct x86_event external(unsigned vector)
{
	return (struct x86_event){.vector = (uint8_t)vector, .type = INTR_TYPE_EXTERNAL};
}

/* --- The double fault table, by hand from the manual ------------------------------------------------------------ */

static char class_by_hand(unsigned v)
{
	switch (v) {
	case 0:
	case 10:
	case 11:
	case 12:
	case 13:
		return 'c';
	case 14:
		return 'p';
	case 8:
		return 'd';
	default:
		return 'b';
	}
}

static void faults_merge_as_in_the_double_fault_table(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 20; a++) {
		for (unsigned b = 0; b < 20; b++) {
			struct x86_event first = exception(a, 0), second = exception(b, 0);
			char ca = class_by_hand(a), cb = class_by_hand(b);
			enum x86_merge want = X86_MERGE_SECOND;

			if (ca == 'd' && cb != 'b')
				want = X86_MERGE_SHUTDOWN;
			else if ((ca == 'c' && cb == 'c') || (ca == 'p' && (cb == 'c' || cb == 'p')))
				want = X86_MERGE_DOUBLE;
			assert_int_equal(x86_merge_faults(&first, &second), want);
			first.type = INTR_TYPE_EXTERNAL; /* an interrupt is benign whatever its number */
			assert_int_equal(x86_merge_faults(&first, &second), X86_MERGE_SECOND);
		}
	}
}

/* --- Gates ----------------------------------------------------------------------------------------------------- */

static void real_mode_uses_the_vector_table(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = external(0x21);

	x86_fix_real(f);
	f->c->s.rflags |= FLAG_IF | FLAG_TF;
	x86_fix_poke(f, 0x84, 4, 0x12345678);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0x5678);
	assert_int_equal(f->c->s.seg[X86_CS].base, 0x12340);
	assert_int_equal(x86_fix_peek(f, 0x8ffa, 2), 0x7c00);
	assert_int_equal(x86_fix_peek(f, 0x8ffe, 2), FLAG_IF | FLAG_TF | FLAG_R1);
	assert_int_equal(f->c->s.rflags, FLAG_R1);
	f->c->s.idtr.limit = 0x80; /* vector 21H lies beyond: #GP instead */
	f->c->s.idtr.base = 0;
	ev = external(0x21);
	x86_fix_poke(f, 13 * 4, 4, 0x00001111);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0x1111);
}

static void a_gate_in_the_same_ring_pushes_three_words_and_the_error_code(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = exception(VEC_GP, 0x1234);

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	f->c->s.rip = 0x7000;
	f->c->s.rflags |= FLAG_IF;
	x86_fix_idt(f, VEC_GP, SEL_CODE0, 0xb000, 0x8f); /* trap gate: IF stays */
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	const uint32_t want[] = {0x1234, 0x7000, 0x08, FLAG_IF | FLAG_R1 | FLAG_RF};
	assert_memory_equal(f->ram + 0x9000 - 16, want, sizeof want);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x9000 - 16);
	assert_true(f->c->s.rflags & FLAG_IF);
	assert_false(f->c->s.rflags & FLAG_RF);
}

static void a_16_bit_gate_pushes_words(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = external(0x30);

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	f->c->s.rip = 0x7000;
	f->c->s.rflags |= FLAG_IF;
	x86_fix_idt(f, 0x30, SEL_CODE0, 0xffffb000, 0x86);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0xb000);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x9000 - 6);
	assert_int_equal(x86_fix_peek(f, 0x8ffa, 2), 0x7000);
	assert_false(f->c->s.rflags & FLAG_IF);
}

static void an_inner_gate_switches_stacks_and_a_conforming_one_does_not(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = external(0x30);

	x86_fix_prot(f, 4, 3);
	x86_fix_tables(f);
	f->c->s.rip = 0x7000;
	x86_fix_idt(f, 0x30, SEL_CODE0, 0xb000, 0x8e);
	x86_fix_idt(f, 0x31, SEL_CONFORMING0, 0xb100, 0x8e);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	const uint32_t want[] = {0x7000, SEL_CODE3 | 3, FLAG_R1, 0x9000, SEL_DATA3 | 3};
	assert_memory_equal(f->ram + X86_FIX_STACK0 - 20, want, sizeof want);
	assert_int_equal(f->c->cpl, 0);
	x86_fix_reset(f);
	x86_fix_prot(f, 4, 3);
	x86_fix_tables(f);
	x86_fix_idt(f, 0x31, SEL_CONFORMING0, 0xb100, 0x8e);
	ev.vector = 0x31;
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->cpl, 3);
	assert_int_equal(f->c->s.seg[X86_CS].sel, SEL_CONFORMING0 | 3);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x9000 - 12);
}

static void long_mode_aligns_the_stack_and_uses_ist(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = exception(VEC_PF, 6);

	x86_fix_long(f, 0);
	x86_fix_tables(f);
	f->c->s.rip = 0x7000;
	f->c->s.gpr[X86_RSP] = 0x8ff9;
	x86_fix_idt(f, VEC_PF, SEL_CODE0, 0xb000, 0x8e);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.cr2, 0xc0de);
	const uint64_t want[] = {6, 0x7000, SEL_CODE0, FLAG_R1 | FLAG_RF, 0x8ff9, SEL_DATA0};
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x8ff0 - 48);
	assert_memory_equal(f->ram + 0x8ff0 - 48, want, sizeof want);
	x86_fix_poke(f, X86_FIX_TSS + 0x24, 8, 0xa008); /* IST1 */
	x86_fix_poke(f, X86_FIX_IDT + 0x21 * 16 + 4, 1, 1);
	x86_fix_idt(f, 0x21, SEL_CODE0, 0xb100, 0x8e);
	x86_fix_poke(f, X86_FIX_IDT + 0x21 * 16 + 4, 1, 1);
	ev = external(0x21);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0xa000 - 40);
}

static void virtual_8086_mode_leaves_with_nine_words(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = external(0x30);

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	f->c->s.rflags |= FLAG_VM;
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		f->c->s.seg[n] = (struct x86_seg){
		    .sel = (uint16_t)(0x100 + n), .base = 0x1000 + 0x10 * n, .limit = 0xffff, .attr = 0xf3};
	f->c->s.rip = 0x77;
	x86_state_changed(f->c);
	x86_fix_idt(f, 0x30, SEL_CODE0, 0xb000, 0x8e);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	const uint32_t want[] = {0x77, 0x100 + X86_CS, FLAG_VM | FLAG_R1, 0x9000, 0x100 + X86_SS, 0x100 + X86_ES,
	    0x100 + X86_DS, 0x100 + X86_FS, 0x100 + X86_GS};
	assert_memory_equal(f->ram + X86_FIX_STACK0 - 36, want, sizeof want);
	assert_int_equal(f->c->mode, X86_MODE_PROT);
	assert_true(f->c->s.seg[X86_DS].attr & SEG_UNUSABLE);
}

static void gates_are_checked_with_idt_and_ext_bits(void **state)
{
	static const struct {
		unsigned type, access, limit;
		uint16_t sel;
		unsigned vector, error;
	} rows[] = {
	    {INTR_TYPE_EXTERNAL, 0x0e, 0x7ff, SEL_CODE0, VEC_NP, 0x30 * 8 + 3},
	    {INTR_TYPE_EXTERNAL, 0x8c, 0x7ff, SEL_CODE0, VEC_GP, 0x30 * 8 + 3}, /* a call gate */
	    {INTR_TYPE_EXTERNAL, 0x8e, 0x187 - 1, SEL_CODE0, VEC_GP, 0x30 * 8 + 3},
	    {INTR_TYPE_EXTERNAL, 0x8e, 0x7ff, 0, VEC_GP, 1},
	    {INTR_TYPE_EXTERNAL, 0x8e, 0x7ff, SEL_DATA0, VEC_GP, SEL_DATA0 | 1},
	    {INTR_TYPE_SW_INT, 0x8e, 0x7ff, SEL_CODE0, VEC_GP, 0x30 * 8 + 2}, /* DPL 0 from ring 3 */
	    {INTR_TYPE_SW_INT, 0xee, 0x7ff, SEL_CODE0, 0x30, 0},
	    {INTR_TYPE_EXTERNAL, 0x8e, 0x7ff, SEL_CODE0, 0x30, 0}, /* DPL does not count */
	    {INTR_TYPE_SW_INT, 0xee, 0x7ff, SEL_DATA0, VEC_GP, SEL_DATA0},
	};
	struct x86_fix *f = *state;
	const uint8_t int30[] = {0xcd, 0x30};

	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct x86_event ev = {.vector = 0x30, .type = (uint8_t)rows[n].type};
		enum x86_rc rc;
		uint64_t error;

		x86_fix_reset(f);
		x86_fix_prot(f, 4, 3);
		x86_fix_tables(f);
		x86_fix_code(f, 0x7000, int30, 2);
		x86_fix_idt(f, 0x30, rows[n].sel, 0xb030, rows[n].access);
		x86_fix_idt(f, VEC_GP, SEL_CODE0, 0xb000 + VEC_GP, 0x8e);
		x86_fix_idt(f, VEC_NP, SEL_CODE0, 0xb000 + VEC_NP, 0x8e);
		f->c->s.idtr.limit = rows[n].limit;
		if (rows[n].type == INTR_TYPE_SW_INT) {
			rc = x86_step(f->c);
			if (rc == X86_FAULT) {
				assert_int_equal(f->c->s.rip, 0x7000);
				rc = x86_deliver(f->c, &f->c->fault);
			}
		} else {
			rc = x86_deliver(f->c, &ev);
		}
		assert_int_equal(rc, X86_OK);
		assert_int_equal(f->c->s.rip, 0xb000 + rows[n].vector);
		error = x86_fix_peek(f, f->c->s.gpr[X86_RSP], 4);
		if (rows[n].vector != 0x30)
			assert_int_equal(error, rows[n].error);
		else
			assert_int_equal(error, rows[n].type == INTR_TYPE_SW_INT ? 0x7002 : 0x7000);
	}
}

static void a_task_gate_switches_with_the_error_code_on_the_new_stack(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = exception(VEC_DF, 0);

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0x5000, 0x67, 0x89);
	x86_fix_poke(f, 0x5020, 4, 0x6000);
	x86_fix_poke(f, 0x5024, 4, FLAG_R1);
	x86_fix_poke(f, 0x5038, 4, 0x9800); /* ESP */
	for (unsigned n = 0; n < 6; n++)
		x86_fix_poke(f, 0x5048 + 4 * n, 2, n == 1 ? SEL_CODE0 : SEL_DATA0);
	x86_fix_idt(f, VEC_DF, SEL_FREE, 0, 0x85);
	f->c->s.rip = 0x7000;
	x86_fix_poke(f, 0x97fc, 4, 0xffffffff);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0x6000);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x97fc);
	assert_int_equal(x86_fix_peek(f, 0x97fc, 4), 0);
	assert_int_equal(x86_fix_peek(f, X86_FIX_TSS + 0x20, 4), 0x7000);
	assert_true(f->c->s.rflags & FLAG_NT);
}

/* --- Merging in delivery --------------------------------------------------------------------------------------- */

static void a_missing_gate_for_a_fault_is_a_double_fault_and_then_shutdown(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = exception(VEC_GP, 0);

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	f->c->s.rip = 0x7000;
	x86_fix_idt(f, VEC_DF, SEL_CODE0, 0xb000, 0x8e);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0xb000);
	assert_int_equal(x86_fix_peek(f, f->c->s.gpr[X86_RSP], 4), 0);
	f->c->s.rip = 0x7000;
	f->c->s.idtr.limit = 0;
	assert_int_equal(x86_deliver(f->c, &ev), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_TRIPLE_FAULT);
	assert_int_equal(f->exit.rip, 0x7000);
	assert_int_equal(f->exit.idt_info, 0);
	assert_int_equal(f->c->s.rip, 0x7000);
}

static void a_page_fault_while_an_interrupt_is_delivered_is_just_a_page_fault(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = external(0x30);

	x86_fix_long(f, 3);
	x86_fix_tables(f);
	f->c->s.rip = 0x7000;
	x86_fix_idt(f, 0x30, SEL_CODE0, 0xb000, 0x8e);
	x86_fix_idt(f, VEC_PF, SEL_CODE0, 0xb00e, 0x8e);
	x86_fix_poke(f, X86_FIX_IDT + 14 * 16 + 4, 1, 1); /* #PF on IST1, a good stack */
	x86_fix_poke(f, X86_FIX_TSS + 0x24, 8, 0xa000);
	x86_fix_poke(f, X86_FIX_TSS + 4, 8, 0x7fff00000000); /* RSP0: not mapped */
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0xb00e);
	assert_int_equal(f->c->s.cr2, 0x7ffefffffff8);
	const uint64_t want[] = {2, 0x7000, SEL_CODE3 | 3};
	assert_memory_equal(f->ram + 0xa000 - 48, want, sizeof want);
}

/* --- Exits ----------------------------------------------------------------------------------------------------- */

static void the_exception_bitmap_exits_before_anything_changes(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = exception(VEC_PF, 7);

	x86_fix_long(f, 0);
	x86_fix_tables(f);
	x86_fix_controls(f, "vtx-shadow");
	f->c->s.rip = 0x7000;
	assert_int_equal(x86_deliver(f->c, &ev), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_EXCEPTION_NMI);
	assert_int_equal(f->exit.qual, 0xc0de);
	assert_int_equal(f->exit.intr_info, 0x80000b0eu);
	assert_int_equal(f->exit.intr_error, 7);
	assert_int_equal(f->c->s.cr2, 0);
	f->ctl.pf_mask = 1; /* exit only on error codes with (ec & mask) == match */
	f->ctl.pf_match = 0;
	x86_fix_idt(f, VEC_PF, SEL_CODE0, 0xb000, 0x8e);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.cr2, 0xc0de);
}

static void a_fault_in_a_delivery_exits_with_vectoring_information(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = external(0x30);

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_controls(f, "vtx-ept");
	f->ctl.exceptions |= 1u << VEC_NP;
	f->c->s.rip = 0x7000;
	x86_fix_idt(f, 0x30, SEL_CODE0, 0xb000, 0x0e);
	assert_int_equal(x86_inject(f->c, &ev), X86_EXIT);
	assert_int_equal(f->exit.intr_info, 0x80000b00u | VEC_NP);
	assert_int_equal(f->exit.intr_error, 0x30 * 8 + 3);
	assert_int_equal(f->exit.idt_info, 0x80000030u);
	const uint8_t int30[] = {0xcd, 0x30};
	x86_fix_code(f, 0x7000, int30, 2);
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(x86_deliver(f->c, &f->c->fault), X86_EXIT);
	assert_int_equal(f->exit.idt_info, 0x80000430u);
	assert_int_equal(f->exit.insn_len, 2);
	assert_int_equal(f->exit.rip, 0x7000);
}

static void an_injected_exception_does_not_exit_again(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = exception(VEC_PF, 2);

	x86_fix_long(f, 0);
	x86_fix_tables(f);
	x86_fix_controls(f, "all");
	x86_fix_idt(f, VEC_PF, SEL_CODE0, 0xb000, 0x8e);
	assert_int_equal(x86_inject(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0xb000);
	const uint8_t int3[] = {0xcc};
	x86_fix_code(f, 0x7000, int3, 1);
	assert_int_equal(x86_step(f->c), X86_EXIT);
	assert_int_equal(f->exit.intr_info, 0x80000603u);
	assert_int_equal(f->exit.insn_len, 1);
}

static void nmi_blocks_nmi_until_iret(void **state)
{
	struct x86_fix *f = *state;
	struct x86_event ev = {.vector = VEC_NMI, .type = INTR_TYPE_NMI};
	const uint8_t iret[] = {0xcf};

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_idt(f, VEC_NMI, SEL_CODE0, 0xb000, 0x8e);
	assert_int_equal(x86_inject(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.intr_shadow, INTR_SHADOW_NMI);
	memcpy(f->ram + 0xb000, iret, 1);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.intr_shadow, 0);
}

/* --- Debug ----------------------------------------------------------------------------------------------------- */

/* A data breakpoint that MOV SS holds back over INT n comes before the first instruction of its handler. */
static void what_mov_ss_holds_back_is_not_lost_in_int(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t code[] = {0xcd, 0x30};

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_idt(f, 0x30, SEL_CODE0, 0xb000, 0x8e);
	x86_fix_code(f, 0x7000, code, sizeof code);
	f->c->s.intr_shadow = INTR_SHADOW_MOVSS;
	f->c->s.pending_dbg = 1;
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_DB);
	assert_int_equal(f->c->fault.dr6, 1);
	assert_int_equal(f->c->s.rip, 0xb000);
	assert_int_equal(f->c->s.pending_dbg, 0);
}

static void single_step_traps_after_each_instruction_and_not_into_int(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t code[] = {0x90, 0xcd, 0x30};

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_idt(f, 0x30, SEL_CODE0, 0xb000, 0x8e);
	x86_fix_code(f, 0x7000, code, sizeof code);
	f->c->s.rflags |= FLAG_TF;
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(f->c->fault.vector, VEC_DB);
	assert_int_equal(f->c->fault.dr6, 1u << 14);
	assert_int_equal(f->c->s.rip, 0x7001);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.rip, 0xb000);
	assert_false(f->c->s.rflags & FLAG_TF);
	assert_true(x86_fix_peek(f, f->c->s.gpr[X86_RSP] + 8, 4) & FLAG_TF);
}

static void an_instruction_breakpoint_faults_once_and_rf_passes_it(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t code[] = {0x90, 0x90};

	x86_fix_prot(f, 4, 0);
	x86_fix_code(f, 0x7000, code, sizeof code);
	assert_int_equal(x86_set_dr(f->c, 1, 0x7000), X86_OK);
	assert_int_equal(x86_set_dr(f->c, 7, 0x8), X86_OK); /* G1, execute */
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(f->c->fault.dr6, 2);
	assert_int_equal(f->c->s.rip, 0x7000);
	f->c->s.rflags |= FLAG_RF;
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.rip, 0x7001);
	assert_false(f->c->s.rflags & FLAG_RF);
}

static void a_data_breakpoint_traps_after_the_access(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t code[] = {0xa3, 0x02, 0x50, 0, 0, 0xa1, 0x02, 0x50, 0, 0, 0xa3, 0x04, 0x50, 0, 0};
	struct x86_event ev;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_code(f, 0x7000, code, sizeof code);
	assert_int_equal(x86_store(f->c, X86_DS, 0x5000, 4, 0), X86_OK); /* in the TLB before */
	assert_int_equal(x86_set_dr(f->c, 0, 0x5002), X86_OK);
	assert_int_equal(x86_set_dr(f->c, 7, 0x00050001), X86_OK); /* L0, write, 2 bytes */
	f->c->s.gpr[X86_RAX] = 0x1234;
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(f->c->fault.dr6, 1);
	assert_int_equal(f->c->s.rip, 0x7005);
	assert_int_equal(x86_fix_peek(f, 0x5002, 4), 0x1234);
	ev = f->c->fault;
	assert_int_equal(x86_step(f->c), X86_OK); /* a read does not match */
	assert_int_equal(x86_step(f->c), X86_OK); /* nor its neighbour */
	x86_fix_idt(f, VEC_DB, SEL_CODE0, 0xb000, 0x8e);
	assert_int_equal(x86_deliver(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.dr6, 0xffff0ff1u);
}

static void mov_ss_holds_a_trap_back_over_the_next_instruction(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t code[] = {0x8e, 0xd0, 0x90, 0x90};

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_code(f, 0x7000, code, sizeof code);
	f->c->s.gpr[X86_RAX] = SEL_DATA0;
	f->c->s.rflags |= FLAG_TF;
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.intr_shadow, INTR_SHADOW_MOVSS);
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(f->c->s.rip, 0x7003);
	assert_int_equal(f->c->s.intr_shadow, 0);
}

static void general_detect_guards_the_debug_registers(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t mov_dr0[] = {0x0f, 0x23, 0xc0};

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_idt(f, VEC_DB, SEL_CODE0, 0xb000, 0x8e);
	x86_fix_code(f, 0x7000, mov_dr0, 3);
	assert_int_equal(x86_set_dr(f->c, 7, 1u << 13), X86_OK);
	assert_int_equal(x86_step(f->c), X86_FAULT);
	assert_int_equal(f->c->fault.dr6, 1u << 13);
	assert_int_equal(x86_deliver(f->c, &f->c->fault), X86_OK);
	assert_int_equal(f->c->s.dr7, 0x400); /* GD is cleared for the handler */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, x86_fix_setup, x86_fix_teardown)
	const struct CMUnitTest tests[] = {T(faults_merge_as_in_the_double_fault_table),
	    T(real_mode_uses_the_vector_table), T(a_gate_in_the_same_ring_pushes_three_words_and_the_error_code),
	    T(a_16_bit_gate_pushes_words), T(an_inner_gate_switches_stacks_and_a_conforming_one_does_not),
	    T(long_mode_aligns_the_stack_and_uses_ist), T(virtual_8086_mode_leaves_with_nine_words),
	    T(gates_are_checked_with_idt_and_ext_bits), T(a_task_gate_switches_with_the_error_code_on_the_new_stack),
	    T(a_missing_gate_for_a_fault_is_a_double_fault_and_then_shutdown),
	    T(a_page_fault_while_an_interrupt_is_delivered_is_just_a_page_fault),
	    T(the_exception_bitmap_exits_before_anything_changes),
	    T(a_fault_in_a_delivery_exits_with_vectoring_information), T(an_injected_exception_does_not_exit_again),
	    T(nmi_blocks_nmi_until_iret), T(what_mov_ss_holds_back_is_not_lost_in_int),
	    T(single_step_traps_after_each_instruction_and_not_into_int),
	    T(an_instruction_breakpoint_faults_once_and_rf_passes_it), T(a_data_breakpoint_traps_after_the_access),
	    T(mov_ss_holds_a_trap_back_over_the_next_instruction), T(general_detect_guards_the_debug_registers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
