/*
 * What fuzzing privileged state against another processor taught (docs/PRIVILEGED.md): orders, last checks, single-step
 * and NMI corners.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/event.h"
#include "core/x86/paging.h"
#include "tests/x86_fixture.h"

#define CODE_AT 0x7000u
#define HIGH 0x200000u /* the second 2 MiB page, which tests take away */
#define DR7_GD (1u << 13)
#define DR6_BS (1u << 14)

#define STEP(f, ...) step((f), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static enum x86_rc step(struct x86_fix *f, const uint8_t *code, size_t n)
{
	x86_fix_code(f, CODE_AT, code, n);
	return x86_step(f->c);
}

static void assert_fault(const struct x86_fix *f, enum x86_rc rc, unsigned vector, unsigned error)
{
	assert_int_equal(rc, X86_FAULT);
	assert_int_equal(f->c->fault.vector, vector);
	assert_int_equal(f->c->fault.error, error);
}

static void assert_page_fault(const struct x86_fix *f, enum x86_rc rc, uint64_t at, unsigned error)
{
	assert_fault(f, rc, VEC_PF, error);
	assert_int_equal(f->c->fault.cr2, at);
}

static void long_mode(struct x86_fix *f, unsigned cpl)
{
	x86_fix_reset(f);
	x86_fix_long(f, cpl);
	x86_fix_tables(f);
}

static void take_high_page_away(struct x86_fix *f)
{
	x86_fix_poke(f, 0x102008, 8, 0);
	x86_tlb_flush(f->c);
}

static void put_frame(struct x86_fix *f, uint64_t rip, uint64_t cs, uint64_t flags, uint64_t rsp, uint64_t ss)
{
	const uint64_t v[] = {rip, cs, flags, rsp, ss};

	for (unsigned n = 0; n < 5; n++)
		x86_fix_poke(f, 0x9000 + 8 * n, 8, v[n]);
	f->c->s.gpr[X86_RSP] = 0x9000;
}

static unsigned access_byte(const struct x86_fix *f, unsigned sel)
{
	return (unsigned)x86_fix_peek(f, X86_FIX_GDT + sel + 5, 1);
}

/* --- Orders: as a processor shows them by the address of its page faults ------------------------------------------ */

static void returns_read_the_stack_from_above(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	take_high_page_away(f);
	f->c->s.gpr[X86_RSP] = HIGH + 8;
	assert_page_fault(f, STEP(f, 0x48, 0xcb), HIGH + 16, 0); /* far return: CS */
	assert_page_fault(f, STEP(f, 0x48, 0xcf), HIGH + 24, 0); /* IRETQ: RFLAGS */
	f->c->s.gpr[X86_RSP] = HIGH - 24;
	x86_fix_poke(f, HIGH - 16, 8, SEL_CODE0);
	assert_page_fault(f, STEP(f, 0x48, 0xcf), HIGH + 8, 0); /* then SS, when CS is good */
	x86_fix_poke(f, HIGH - 16, 8, 0x1000);
	assert_fault(f, STEP(f, 0x48, 0xcf), VEC_GP, 0x1000);
}

static void iret_looks_at_ss_before_the_target(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	put_frame(f, 0x1234567890abcdefull, SEL_CODE0, 2, 0x9000, 0x120);
	assert_fault(f, STEP(f, 0x48, 0xcf), VEC_GP, 0x120);
	put_frame(f, 0x1234567890abcdefull, SEL_CODE0, 2, 0x9000, SEL_DATA0);
	assert_fault(f, STEP(f, 0x48, 0xcf), VEC_GP, 0);
}

static void code_that_is_not_64_bit_code_is_entered_with_32_bits(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0, 0xffffffffu, 0xc09b);
	put_frame(f, 0x500001234ull, SEL_FREE, 2, 0x9000, SEL_DATA0);
	assert_int_equal(STEP(f, 0x48, 0xcf), X86_OK);
	assert_int_equal(f->c->s.rip, 0x1234);
	long_mode(f, 0);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0, 0xffffffffu, 0xc09b);
	put_frame(f, 0x500001234ull, SEL_FREE, 2, 0x9000, SEL_DATA0);
	assert_int_equal(STEP(f, 0x48, 0xcb), X86_OK);
	assert_int_equal(f->c->s.rip, 0x1234);
}

static void selectors_move_16_bits(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	f->c->s.seg[X86_FS].sel = 0x1234;
	x86_fix_poke(f, 0x8ffc, 4, 0xaabbccdd);
	assert_int_equal(STEP(f, 0x0f, 0xa0), X86_OK); /* PUSH FS */
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x8ffc);
	assert_int_equal(x86_fix_peek(f, 0x8ffc, 4), 0xaabb1234);
	long_mode(f, 0);
	x86_fix_poke(f, 0x8ff8, 8, ~0ull);
	f->c->s.seg[X86_FS].sel = 0x1234;
	assert_int_equal(STEP(f, 0x0f, 0xa0), X86_OK); /* 64 bits: zero-extended */
	assert_int_equal(x86_fix_peek(f, 0x8ff8, 8), 0x1234);
	take_high_page_away(f);
	f->c->s.gpr[X86_RSP] = HIGH - 2;
	x86_fix_poke(f, HIGH - 2, 2, 0);
	assert_int_equal(STEP(f, 0x0f, 0xa1), X86_OK); /* POP FS reads no more than the selector */
	assert_int_equal(f->c->s.gpr[X86_RSP], HIGH + 6);
}

static void sgdt_writes_both_parts_or_neither(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	take_high_page_away(f);
	f->c->s.gpr[X86_RBX] = HIGH - 2;
	x86_fix_poke(f, HIGH - 2, 2, 0x5555);
	assert_page_fault(f, STEP(f, 0x0f, 0x01, 0x03), HIGH, 2);
	assert_int_equal(x86_fix_peek(f, HIGH - 2, 2), 0x5555);
	f->c->s.gpr[X86_RBX] = HIGH;
	assert_page_fault(f, STEP(f, 0x0f, 0x01, 0x03), HIGH, 2); /* the limit first */
}

/* --- Accessed bits, selectors ------------------------------------------------------------------------------------- */

static void a_descriptor_is_accessed_when_nothing_can_fail_any_more(void **state)
{
	static const uint8_t far_call[] = {0x48, 0xff, 0x1b};
	struct x86_fix *f = *state;

	long_mode(f, 0);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0, 0xffffffffu, 0xa09a);
	take_high_page_away(f);
	f->c->s.gpr[X86_RBX] = 0x6000;
	x86_fix_poke(f, 0x6000, 8, 0x7100);
	x86_fix_poke(f, 0x6008, 2, SEL_FREE);
	f->c->s.gpr[X86_RSP] = HIGH + 0x100;
	assert_fault(f, step(f, far_call, sizeof far_call), VEC_PF, 2);
	assert_int_equal(access_byte(f, SEL_FREE), 0x9a);
	put_frame(f, 0x7100, SEL_FREE, 2, 0x9000, 0x120);
	assert_fault(f, STEP(f, 0x48, 0xcf), VEC_GP, 0x120);
	assert_int_equal(access_byte(f, SEL_FREE), 0x9a);
	f->c->s.gpr[X86_RSP] = 0x9000;
	assert_int_equal(step(f, far_call, sizeof far_call), X86_OK);
	assert_int_equal(access_byte(f, SEL_FREE), 0x9b);
}

static void an_outer_return_clears_null_selectors_and_keeps_the_base_of_fs(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	f->c->s.seg[X86_ES] = x86_null_seg(3, 0);
	f->c->s.seg[X86_FS] = x86_null_seg(0, 0);
	f->c->s.seg[X86_FS].base = 0x1234000;
	put_frame(f, 0x7100, SEL_CODE3 | 3, 2, 0x9000, SEL_DATA3 | 3);
	assert_int_equal(STEP(f, 0x48, 0xcf), X86_OK);
	assert_int_equal(f->c->cpl, 3);
	assert_int_equal(f->c->s.seg[X86_ES].sel, 0);
	assert_int_equal(f->c->s.seg[X86_FS].base, 0x1234000);
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

static void int_n_pushes_rf_as_0(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	x86_fix_idt(f, 0x30, SEL_CODE0, 0x7800, 0x8e);
	f->c->s.rflags |= FLAG_RF;
	assert_int_equal(STEP(f, 0xcd, 0x30), X86_OK);
	assert_int_equal(x86_fix_peek(f, f->c->s.gpr[X86_RSP] + 16, 8), FLAG_R1);
}

static void a_stack_fault_without_a_new_stack_has_no_selector(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	x86_fix_idt(f, 0x30, SEL_CODE0, 0x7800, 0x8e);
	f->c->s.gpr[X86_RSP] = 0x1234567800000000ull;
	assert_fault(f, STEP(f, 0xcd, 0x30), VEC_SS, 0);
}

static void nmis_are_blocked_from_the_start_of_their_delivery(void **state)
{
	const struct x86_event nmi = {.vector = VEC_NMI, .type = INTR_TYPE_NMI};
	struct x86_fix *f = *state;

	long_mode(f, 0);
	x86_fix_controls(f, "vtx-ept");
	f->ctl.pin &= ~PIN_VIRTUAL_NMIS;
	f->ctl.exceptions = UINT32_MAX;
	x86_fix_idt(f, VEC_NMI, 0x1000, 0x7800, 0x8e);
	assert_int_equal(x86_inject(f->c, &nmi), X86_EXIT); /* #GP of the gate */
	assert_int_equal(f->c->s.intr_shadow, INTR_SHADOW_NMI);
	f->ctl.pin &= ~PIN_VIRTUAL_NMIS;
	put_frame(f, 0x7100, SEL_CODE0, 2, 0x9000, SEL_DATA0);
	assert_int_equal(STEP(f, 0x48, 0xcf), X86_OK);
	assert_int_equal(f->c->s.intr_shadow, INTR_SHADOW_NMI); /* "NMI exiting" alone: IRET leaves them to the VMM */
	f->ctl.pin |= PIN_VIRTUAL_NMIS;
	put_frame(f, 0x7100, SEL_CODE0, 2, 0x9000, SEL_DATA0);
	assert_int_equal(STEP(f, 0x48, 0xcf), X86_OK);
	assert_int_equal(f->c->s.intr_shadow, 0); /* virtual ones are the guest's */
	f->c->s.intr_shadow = INTR_SHADOW_NMI;
	x86_set_controls(f->c, NULL);
	put_frame(f, 0x7100, SEL_CODE0, 2, 0x9000, SEL_DATA0);
	assert_int_equal(STEP(f, 0x48, 0xcf), X86_OK);
	assert_int_equal(f->c->s.intr_shadow, 0);
}

/* IRET with a bad selector while NMIs are blocked: its #GP handler hears them, unless the #GP exits. */
static void an_iret_that_faults_unblocks_nmis_too(void **state)
{
	struct x86_fix *f = *state;

	for (unsigned k = 0; k < 2; k++) {
		long_mode(f, 0);
		x86_fix_controls(f, "vtx-ept");
		f->ctl.exceptions = k ? 1u << VEC_GP : 0;
		x86_fix_idt(f, VEC_GP, SEL_CODE0, 0x7800, 0x8e);
		f->c->s.intr_shadow = INTR_SHADOW_NMI;
		put_frame(f, 0x7100, 0, 2, 0x9000, SEL_DATA0);
		assert_fault(f, STEP(f, 0x48, 0xcf), VEC_GP, 0);
		assert_int_equal(x86_deliver(f->c, &f->c->fault), k ? X86_EXIT : X86_OK);
		assert_int_equal(f->c->s.intr_shadow & INTR_SHADOW_NMI, k ? INTR_SHADOW_NMI : 0);
	}
}

static void general_detect_ends_with_the_handler_unless_a_vmm_injects(void **state)
{
	struct x86_event db = {.vector = VEC_DB, .type = INTR_TYPE_HW_EXCEPTION};
	struct x86_fix *f = *state;

	long_mode(f, 0);
	x86_fix_idt(f, VEC_DB, SEL_CODE0, 0x7800, 0x8e);
	f->c->s.dr7 |= DR7_GD;
	assert_int_equal(x86_inject(f->c, &db), X86_OK);
	assert_int_equal(f->c->s.dr7, 0x400 | DR7_GD);
	assert_int_equal(x86_deliver(f->c, &db), X86_OK);
	assert_int_equal(f->c->s.dr7, 0x400);
}

static void data_breakpoints_of_what_fails_are_forgotten(void **state)
{
	const struct x86_event ev = {.vector = 0x30, .type = INTR_TYPE_EXTERNAL};
	struct x86_fix *f = *state;

	long_mode(f, 0);
	take_high_page_away(f);
	f->c->s.dr[0] = 0x6000;
	f->c->s.dr7 |= 1u | 0xfu << 16; /* four bytes, reads and writes */
	x86_state_changed(f->c);
	f->c->s.gpr[X86_RBX] = 0x6000;
	f->c->s.gpr[X86_RSP] = HIGH + 0x100;
	assert_page_fault(f, STEP(f, 0xff, 0x33), HIGH + 0xf8, 2); /* PUSH [RBX] */
	assert_int_equal(f->c->s.pending_dbg, 0);
	x86_fix_controls(f, "vtx-ept");
	f->ctl.exceptions = UINT32_MAX;
	f->c->s.dr[0] = X86_FIX_IDT + 0x300;
	x86_state_changed(f->c);
	assert_int_equal(x86_inject(f->c, &ev), X86_EXIT); /* the gate is empty */
	assert_int_equal(f->c->s.pending_dbg, 0);
}

static void a_data_breakpoint_on_the_frame_comes_before_the_handler(void **state)
{
	const struct x86_event ev = {.vector = 0x30, .type = INTR_TYPE_EXTERNAL};
	struct x86_fix *f = *state;

	long_mode(f, 0);
	x86_fix_idt(f, 0x30, SEL_CODE0, 0x6000, 0x8e);
	f->c->s.gpr[X86_RSP] = 0x9000;
	f->c->s.dr[0] = 0x9000 - 8;
	f->c->s.dr7 |= 1u | 0xdu << 16; /* four bytes, writes */
	x86_state_changed(f->c);
	f->c->s.pending_dbg = DR6_BS; /* held back by MOV SS: forgotten */
	assert_int_equal(x86_inject(f->c, &ev), X86_OK);
	assert_int_equal(f->c->s.rip, 0x6000);
	assert_int_equal(f->c->s.pending_dbg, 1);
}

static void an_injected_int_n_obeys_iopl_in_virtual_8086_mode(void **state)
{
	const struct x86_event ev = {.vector = 0x30, .type = INTR_TYPE_SW_INT, .insn_len = 2};
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_controls(f, "vtx-ept");
	f->ctl.exceptions = 1u << VEC_GP;
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		f->c->s.seg[n] = (struct x86_seg){.limit = 0xffff, .attr = 0xf3};
	f->c->s.rflags |= FLAG_VM;
	x86_state_changed(f->c);
	assert_int_equal(x86_inject(f->c, &ev), X86_EXIT);
	assert_int_equal(f->exit.intr_info, INTR_INFO_VALID | INTR_INFO_ERROR | 3u << 8 | VEC_GP);
	assert_int_equal(f->exit.intr_error, 0);
	assert_int_equal(f->exit.idt_info & 0xff, 0x30);
}

static void system_calls_trap_by_tf_at_their_end(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 3);
	f->c->s.sysenter_cs = SEL_CODE0;
	f->c->s.sysenter_eip = 0x7800;
	f->c->s.sysenter_esp = 0x9000;
	f->c->s.rflags |= FLAG_TF;
	assert_fault(f, STEP(f, 0x0f, 0x34), VEC_DB, 0); /* SYSENTER keeps TF */
	assert_int_equal(f->c->fault.dr6, DR6_BS);
	assert_int_equal(f->c->s.rip, 0x7800);
	long_mode(f, 3);
	f->c->s.efer |= EFER_SCE;
	f->c->s.star = (uint64_t)SEL_CODE0 << 32 | (uint64_t)SEL_DATA0 << 48;
	f->c->s.lstar = 0x7800;
	f->c->s.fmask = FLAG_TF;
	f->c->s.rflags |= FLAG_TF;
	assert_int_equal(STEP(f, 0x0f, 0x05), X86_OK); /* SYSCALL has cleared it */
	f->c->s.gpr[X86_R11] = FLAG_TF | FLAG_R1;
	f->c->s.gpr[X86_RCX] = 0x7100;
	assert_fault(f, STEP(f, 0x48, 0x0f, 0x07), VEC_DB, 0); /* SYSRET has set it */
	assert_int_equal(f->c->s.rip, 0x7100);
	assert_int_equal(f->c->s.pending_dbg, 0);
}

static void real_mode_iret_leaves_vif_and_vip_alone(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_real(f);
	x86_fix_poke(f, 0x9000, 4, 0x7100);
	x86_fix_poke(f, 0x9004, 4, 0);
	x86_fix_poke(f, 0x9008, 4, FLAG_VIF | FLAG_VIP | FLAG_ID | FLAG_R1);
	assert_int_equal(STEP(f, 0x66, 0xcf), X86_OK);
	assert_int_equal(f->c->s.rflags, FLAG_ID | FLAG_R1);
}

static void rep_ins_asks_for_permission_with_a_count_of_0_too(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 3);
	f->c->s.gpr[X86_RCX] = 0;
	assert_fault(f, STEP(f, 0xf3, 0x6c), VEC_GP, 0);
	assert_fault(f, STEP(f, 0xf3, 0x6e), VEC_GP, 0);
	f->c->s.rflags |= FLAG_IOPL;
	assert_int_equal(STEP(f, 0xf3, 0x6c), X86_OK);
	assert_int_equal(f->n_log, 0);
}

static void sysenter_cs_keeps_32_bits(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	assert_true(x86_wrmsr(f->c, 0x174, 0x1234567800000008ull));
	assert_true(x86_rdmsr(f->c, 0x174, &v));
	assert_int_equal(v, 8);
}

/* --- Paging ------------------------------------------------------------------------------------------------------- */

static void invlpg_drops_every_part_of_a_large_page(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	long_mode(f, 0);
	x86_fix_poke(f, 0x5000, 4, 1);
	x86_fix_poke(f, HIGH + 0x5000, 4, 2);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(v, 1);
	x86_fix_poke(f, 0x102000, 8, HIGH | 0x87);
	x86_invlpg(f->c, 0x1ff000); /* another 4 KiB of the same page */
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(v, 2);
}

static void pdptes_outside_ram_are_an_ept_violation(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	f->c->s.cr4 |= CR4_PAE;
	f->c->s.cr0 |= CR0_PG;
	x86_state_changed(f->c);
	assert_fault(f, x86_set_cr3(f->c, 0x80000000u), VEC_GP, 0); /* for the VMM: all ones */
	x86_fix_controls(f, "vtx-ept");
	assert_int_equal(x86_set_cr3(f->c, 0x80000000u), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_EPT_VIOLATION);
	assert_int_equal(f->exit.gpa, 0x80000000u);
	assert_int_equal(f->exit.qual, QUAL_EPT_READ);
}

/* Key 5 on the second 2 MiB page. */
/* CALL by a gate to a stack that is bad and a target beyond its segment: #TS, then #GP(0). */
static void a_call_gate_looks_at_the_stack_before_the_target(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 3);
	x86_fix_tables(f);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE + 8, 0, 0xffff, 0x409b);
	x86_fix_gate(f, X86_FIX_GDT + SEL_FREE, SEL_FREE + 8, 0x20000, 0xec, 0);
	x86_fix_poke(f, X86_FIX_TSS + 8, 2, SEL_READ_ONLY0);
	assert_fault(f, STEP(f, 0x9a, 0, 0, 0, 0, SEL_FREE | 3, 0), VEC_TS, SEL_READ_ONLY0);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE + 16, 0, 0xff, 0x4093);
	x86_fix_poke(f, X86_FIX_TSS + 8, 2, SEL_FREE + 16);
	assert_fault(f, STEP(f, 0x9a, 0, 0, 0, 0, SEL_FREE | 3, 0), VEC_SS, SEL_FREE + 16); /* no room for the frame */
	x86_fix_poke(f, X86_FIX_TSS + 8, 2, SEL_DATA0);
	assert_fault(f, STEP(f, 0x9a, 0, 0, 0, 0, SEL_FREE | 3, 0), VEC_GP, 0);
}

/* From compatibility mode by a 64-bit gate in the same ring: pushed in 64-bit mode, where SS has no base. */
static void a_64_bit_gate_pushes_by_the_rules_of_64_bit_mode(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	x86_fix_gate(f, X86_FIX_GDT + SEL_FREE, SEL_CODE0, 0x6000, 0x8c, 0);
	f->c->s.seg[X86_CS].attr = 0xc09b;
	f->c->s.seg[X86_SS].base = 0x10000;
	f->c->s.gpr[X86_RSP] = 0x9000;
	x86_state_changed(f->c);
	assert_int_equal(STEP(f, 0x9a, 0, 0, 0, 0, SEL_FREE, 0), X86_OK);
	assert_int_equal(f->c->s.rip, 0x6000);
	assert_int_equal(f->c->s.gpr[X86_RSP], 0x9000 - 16);
	assert_int_equal(x86_fix_peek(f, 0x9000 - 16, 8), CODE_AT + 7);
	assert_int_equal(x86_fix_peek(f, 0x9000 - 8, 8), SEL_CODE0);
}

static void a_busy_tss_is_gp_before_it_is_not_present(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0x5000, 0x67, 0x0b);
	assert_fault(f, STEP(f, 0xea, 0, 0, 0, 0, SEL_FREE, 0), VEC_GP, SEL_FREE);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0x5000, 0x67, 0x09);
	assert_fault(f, STEP(f, 0xea, 0, 0, 0, 0, SEL_FREE, 0), VEC_NP, SEL_FREE);
}

static void a_tss_that_is_too_short_is_ts_before_the_switch_exits(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_controls(f, "vtx-ept");
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0x5000, 0x66, 0x89);
	assert_fault(f, STEP(f, 0xea, 0, 0, 0, 0, SEL_FREE, 0), VEC_TS, SEL_FREE);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0x5000, 0x67, 0x89);
	assert_int_equal(STEP(f, 0xea, 0, 0, 0, 0, SEL_FREE, 0), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_TASK_SWITCH);
}

static void ltr_has_16_bytes_in_the_table_before_they_are_read(void **state)
{
	struct x86_fix *f = *state;

	long_mode(f, 0);
	take_high_page_away(f);
	f->c->s.gdtr = (struct x86_dtable){.base = HIGH, .limit = 0x97};
	f->c->s.gpr[X86_RAX] = 0x90;
	assert_fault(f, STEP(f, 0x0f, 0x00, 0xd8), VEC_GP, 0x90);
	f->c->s.gdtr.limit = 0x9f;
	assert_page_fault(f, STEP(f, 0x0f, 0x00, 0xd8), HIGH + 0x90, 0);
}

/* #AC has an error code of 0, but for EXT: it came of the delivery of an interrupt. */
static void the_error_code_of_an_alignment_check_has_ext(void **state)
{
	const struct x86_event ev = {.vector = 0x30, .type = INTR_TYPE_EXTERNAL};
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 3);
	x86_fix_tables(f);
	x86_fix_controls(f, "vtx-ept");
	x86_fix_idt(f, 0x30, SEL_CODE3 | 3, 0x7800, 0xee);
	f->c->s.cr0 |= CR0_AM;
	f->c->s.gpr[X86_RSP] = 0x9002;
	f->c->s.rflags = FLAG_R1 | FLAG_AC;
	x86_state_changed(f->c);
	assert_int_equal(x86_inject(f->c, &ev), X86_EXIT);
	assert_int_equal(f->exit.intr_info, INTR_INFO_VALID | INTR_INFO_ERROR | 3u << 8 | VEC_AC);
	assert_int_equal(f->exit.intr_error, 1);
	assert_fault(f, STEP(f, 0x8b, 0x05, 0x01, 0x90, 0, 0), VEC_AC, 0); /* MOV EAX, [9001] */
}

/* #AC delivered to user code with a stack that is not aligned: it never ends, and the VMM gets control. */
static void an_exception_that_raises_itself_comes_back_to_the_vmm(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 3);
	x86_fix_tables(f);
	x86_fix_controls(f, "vtx-ept");
	f->ctl.exceptions = 1u << VEC_MC;
	x86_fix_idt(f, VEC_UD, SEL_CODE3 | 3, 0x7800, 0xee);
	x86_fix_idt(f, VEC_AC, SEL_CODE3 | 3, 0x7800, 0xee);
	f->c->s.cr0 |= CR0_AM;
	f->c->s.gpr[X86_RSP] = 0x9002;
	f->c->s.rflags = FLAG_R1 | FLAG_AC;
	x86_state_changed(f->c);
	assert_int_equal(STEP(f, 0x0f, 0x0b), X86_FAULT);
	assert_int_equal(x86_deliver(f->c, &f->c->fault), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_PREEMPTION_TIMER);
	assert_int_equal((uint8_t)f->c->s.pending_event, VEC_AC);
	assert_int_equal(f->c->s.rip, CODE_AT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, x86_fix_setup, x86_fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(returns_read_the_stack_from_above), T(iret_looks_at_ss_before_the_target),
	    T(code_that_is_not_64_bit_code_is_entered_with_32_bits), T(selectors_move_16_bits),
	    T(sgdt_writes_both_parts_or_neither), T(a_descriptor_is_accessed_when_nothing_can_fail_any_more),
	    T(an_outer_return_clears_null_selectors_and_keeps_the_base_of_fs), T(int_n_pushes_rf_as_0),
	    T(a_stack_fault_without_a_new_stack_has_no_selector), T(nmis_are_blocked_from_the_start_of_their_delivery),
	    T(an_iret_that_faults_unblocks_nmis_too), T(general_detect_ends_with_the_handler_unless_a_vmm_injects),
	    T(data_breakpoints_of_what_fails_are_forgotten), T(a_data_breakpoint_on_the_frame_comes_before_the_handler),
	    T(an_injected_int_n_obeys_iopl_in_virtual_8086_mode), T(system_calls_trap_by_tf_at_their_end),
	    T(real_mode_iret_leaves_vif_and_vip_alone), T(rep_ins_asks_for_permission_with_a_count_of_0_too),
	    T(sysenter_cs_keeps_32_bits), T(invlpg_drops_every_part_of_a_large_page),
	    T(pdptes_outside_ram_are_an_ept_violation), T(a_call_gate_looks_at_the_stack_before_the_target),
	    T(a_64_bit_gate_pushes_by_the_rules_of_64_bit_mode), T(a_busy_tss_is_gp_before_it_is_not_present),
	    T(ltr_has_16_bytes_in_the_table_before_they_are_read),
	    T(a_tss_that_is_too_short_is_ts_before_the_switch_exits), T(the_error_code_of_an_alignment_check_has_ext),
	    T(an_exception_that_raises_itself_comes_back_to_the_vmm)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
