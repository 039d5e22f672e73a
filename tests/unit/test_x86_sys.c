/* Control registers and their rules, flags instructions, selector questions, trap-and-emulate, reset, CPUID. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/segment.h"
#include "tests/x86_fixture.h"

#define STEP(f, ...) step((f), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static enum x86_rc step(struct x86_fix *f, const uint8_t *code, size_t n)
{
	x86_fix_code(f, 0x7000, code, n);
	return x86_step(f->c);
}

static void assert_fault(const struct x86_fix *f, enum x86_rc rc, unsigned vector, unsigned error)
{
	assert_int_equal(rc, X86_FAULT);
	assert_int_equal(f->c->fault.vector, vector);
	assert_int_equal(f->c->fault.error, error);
}

/* --- Registers ------------------------------------------------------------------------------------------------- */

static void reset_is_as_the_manual_has_it(void **state)
{
	struct x86_fix *f = *state;
	const struct x86_state *s = &f->c->s;

	assert_int_equal(x86_linear_ip(f->c), 0xfffffff0u);
	assert_int_equal(s->rflags, 2);
	assert_int_equal(s->cr0, 0x60000010);
	assert_int_equal(s->dr6, 0xffff0ff0u);
	assert_int_equal(s->dr7, 0x400);
	assert_int_equal(s->idtr.limit, 0xffff);
	assert_int_equal(f->c->mode, X86_MODE_REAL);
	f->c->s.pat = 1;
	f->c->s.efer = EFER_NXE;
	f->c->s.cr0 = CR0_PE | CR0_CD;
	x86_init_signal(f->c);
	assert_int_equal(s->pat, 1); /* INIT keeps the MSRs and the cache bits */
	assert_int_equal(s->cr0, CR0_ET | CR0_CD);
	assert_int_equal(s->efer, 0);
	assert_int_equal(f->c->mode, X86_MODE_REAL);
}

static void cr0_refuses_impossible_combinations(void **state)
{
	static const uint64_t bad[] = {CR0_PG, CR0_NW, CR0_PE | CR0_NW, 1ull << 32};
	struct x86_fix *f = *state;

	for (size_t n = 0; n < ARRAY_LEN(bad); n++)
		assert_fault(f, x86_set_cr0(f->c, bad[n]), VEC_GP, 0);
	assert_int_equal(x86_set_cr0(f->c, CR0_NW | CR0_CD), X86_OK);
	assert_int_equal(x86_set_cr0(f->c, 0), X86_OK);
	assert_int_equal(f->c->s.cr0, CR0_ET); /* ET is always 1 */
}

static void the_way_into_and_out_of_long_mode_has_its_order(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	assert_int_equal(x86_set_efer(f->c, EFER_LME), X86_OK);
	assert_fault(f, x86_set_cr0(f->c, CR0_PE | CR0_PG), VEC_GP, 0); /* PAE is missing */
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE), X86_OK);
	assert_int_equal(x86_set_cr0(f->c, CR0_PE | CR0_PG), X86_OK);
	assert_int_equal(f->c->s.efer, EFER_LME | EFER_LMA);
	assert_int_equal(f->c->mode, X86_MODE_COMPAT);
	assert_fault(f, x86_set_efer(f->c, 0), VEC_GP, 0);
	assert_fault(f, x86_set_cr4(f->c, 0), VEC_GP, 0);
	assert_int_equal(x86_set_cr0(f->c, CR0_PE), X86_OK);
	assert_int_equal(f->c->s.efer, EFER_LME);
	assert_int_equal(f->c->mode, X86_MODE_PROT);
	x86_fix_long(f, 0);
	assert_fault(f, x86_set_cr0(f->c, CR0_PE), VEC_GP, 0); /* not from 64-bit code */
}

static void reserved_bits_of_cr4_efer_xcr0_and_dr_fault(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_long(f, 0);
	assert_fault(f, x86_set_cr4(f->c, CR4_PAE | CR4_VMXE), VEC_GP, 0);
	assert_fault(f, x86_set_cr4(f->c, CR4_PAE | CR4_PKE), VEC_GP, 0);
	assert_fault(f, x86_set_cr4(f->c, CR4_PAE | 1ull << 31), VEC_GP, 0);
	assert_fault(f, x86_set_efer(f->c, f->c->s.efer | 1u << 12), VEC_GP, 0);
	assert_fault(f, x86_set_xcr(f->c, 0, 2), VEC_GP, 0);
	assert_fault(f, x86_set_xcr(f->c, 0, 7), VEC_GP, 0);
	assert_fault(f, x86_set_xcr(f->c, 1, 1), VEC_GP, 0);
	assert_int_equal(x86_set_xcr(f->c, 0, 3), X86_OK);
	assert_fault(f, x86_set_dr(f->c, 7, 1ull << 32), VEC_GP, 0);
	assert_int_equal(x86_set_dr(f->c, 6, 0), X86_OK);
	assert_int_equal(f->c->s.dr6, 0xffff0ff0u);
	assert_int_equal(x86_set_dr(f->c, 5, 0), X86_OK); /* DR7 by its other name */
	assert_int_equal(f->c->s.dr7, 0x400);
	assert_fault(f, x86_set_cr8(f->c, 16), VEC_GP, 0);
	assert_fault(f, x86_set_cr3(f->c, 1ull << 40), VEC_GP, 0);
}

/* A kernel that asks for KVM's features without looking at the signature finds none; beyond that there is the highest
 * basic leaf, as with every leaf that is above its maximum [SDM 2A "CPUID"]. */
static void cpuid_of_a_hypervisors_leaf_has_no_features_of_the_cpu(void **state)
{
	static const uint32_t beyond[] = {0x3fffffff, 0x40000002, 0x40000100, 0x4fffffff, 0x50000000};
	static const uint32_t zero[4];
	struct x86_fix *f = *state;
	uint32_t out[4], highest[4];

	x86_cpuid(f->c, 0x40000000, 0, out);
	assert_int_equal(out[0], 0x40000001);
	x86_cpuid(f->c, 0x40000001, 0, out);
	assert_memory_equal(out, zero, sizeof(zero));
	x86_cpuid(f->c, 0xd, 1, highest);
	for (size_t n = 0; n < ARRAY_LEN(beyond); n++) {
		x86_cpuid(f->c, beyond[n], 1, out);
		assert_memory_equal(out, highest, sizeof(highest));
	}
}

static void cpuid_promises_only_what_the_registers_accept(void **state)
{
	static const struct {
		uint32_t leaf;
		unsigned reg, bit;
		uint64_t cr4;
	} rows[] = {{1, 3, 3, CR4_PSE}, {1, 3, 13, CR4_PGE}, {1, 3, 1, CR4_VME}, {1, 3, 2, CR4_DE}, {1, 3, 6, CR4_PAE},
	    {1, 2, 17, CR4_PCIDE}, {1, 2, 5, CR4_VMXE}, {1, 2, 26, CR4_OSXSAVE}, {7, 1, 0, CR4_FSGSBASE},
	    {7, 1, 7, CR4_SMEP}, {7, 1, 20, CR4_SMAP}, {7, 2, 2, CR4_UMIP}, {7, 2, 3, CR4_PKE}};
	struct x86_fix *f = *state;
	uint32_t out[4];

	x86_fix_long(f, 0); /* PCIDs exist nowhere else */
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		bool offered;

		x86_cpuid(f->c, rows[n].leaf, 0, out);
		offered = out[rows[n].reg] >> rows[n].bit & 1;
		assert_int_equal(x86_set_cr4(f->c, CR4_PAE | rows[n].cr4), offered ? X86_OK : X86_FAULT);
	}
	x86_cpuid(f->c, 0x80000008, 0, out);
	assert_int_equal(out[0] & 0xff, 40);
}

/* --- Flags ----------------------------------------------------------------------------------------------------- */

static void popf_without_privilege_changes_neither_if_nor_iopl_and_says_nothing(void **state)
{
	static const struct {
		unsigned cpl, iopl;
		uint64_t want;
	} rows[] = {{0, 0, FLAG_IF | FLAG_IOPL | FLAG_CF}, {3, 0, FLAG_CF}, {3, 3, FLAG_IF | FLAG_IOPL | FLAG_CF}};
	struct x86_fix *f = *state;

	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		x86_fix_reset(f);
		x86_fix_prot(f, 4, rows[n].cpl);
		f->c->s.rflags |= rows[n].iopl << 12;
		x86_fix_poke(f, 0x9000, 4, FLAG_IF | FLAG_IOPL | FLAG_CF | FLAG_VM | FLAG_RF);
		assert_int_equal(STEP(f, 0x9d), X86_OK);
		assert_int_equal(f->c->s.rflags, rows[n].want | FLAG_R1);
	}
}

static void cli_and_sti_obey_iopl(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 3);
	assert_fault(f, STEP(f, 0xfa), VEC_GP, 0);
	f->c->s.rflags |= FLAG_IOPL;
	assert_int_equal(STEP(f, 0xfb), X86_OK);
	assert_true(f->c->s.rflags & FLAG_IF);
	assert_int_equal(f->c->s.intr_shadow, INTR_SHADOW_STI);
	assert_int_equal(STEP(f, 0xfb), X86_OK); /* IF was set: no new shadow */
	assert_int_equal(f->c->s.intr_shadow, 0);
}

static void virtual_8086_mode_traps_its_flags_instructions_below_iopl_3(void **state)
{
	static const uint8_t ops[] = {0x9c, 0x9d, 0xcf, 0xfa, 0xfb};
	struct x86_fix *f = *state;

	for (size_t n = 0; n < ARRAY_LEN(ops); n++) {
		x86_fix_reset(f);
		x86_fix_real(f);
		f->c->s.cr0 |= CR0_PE;
		f->c->s.rflags |= FLAG_VM;
		for (unsigned k = 0; k < X86_SREG_COUNT; k++)
			f->c->s.seg[k].attr = 0xf3;
		x86_state_changed(f->c);
		assert_int_equal(f->c->mode, X86_MODE_V86);
		assert_fault(f, step(f, &ops[n], 1), VEC_GP, 0);
		f->c->s.rflags |= FLAG_IOPL;
		assert_int_equal(step(f, &ops[n], 1), X86_OK);
	}
}

static void smap_opens_user_pages_to_the_kernel_only_with_ac(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	x86_fix_long(f, 0);
	x86_fix_poke(f, 0x102000 + 8 * 1, 8, 0x200083); /* code and this test's page 2M: supervisor */
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(x86_set_cr4(f->c, CR4_PAE | CR4_SMAP), X86_OK);
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_FAULT);
	assert_int_equal(f->c->fault.error, 1);
	assert_int_equal(STEP(f, 0x0f, 0x01, 0xcb), X86_OK); /* STAC */
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_OK);
	assert_int_equal(x86_load_sys(f->c, 0x5000, 4, &v), X86_FAULT); /* implicit accesses: never */
	assert_int_equal(STEP(f, 0x0f, 0x01, 0xca), X86_OK);		/* CLAC */
	assert_int_equal(x86_load(f->c, X86_DS, 0x5000, 4, &v), X86_FAULT);
	assert_int_equal(x86_load(f->c, X86_DS, 0x200000, 4, &v), X86_OK);
}

/* --- Selectors ------------------------------------------------------------------------------------------------- */

/* lar %ax,%ecx etc. with the selector in AX: ZF and the result. */
static bool ask(struct x86_fix *f, uint8_t op, uint16_t sel, uint64_t *result)
{
	f->c->s.gpr[X86_RAX] = sel;
	f->c->s.gpr[X86_RCX] = 0xdead;
	assert_int_equal(STEP(f, 0x0f, op, 0xc8), X86_OK);
	x86_flags_sync(f->c);
	*result = f->c->s.gpr[X86_RCX];
	return f->c->s.rflags & FLAG_ZF;
}

static bool verify(struct x86_fix *f, bool write, uint16_t sel)
{
	f->c->s.gpr[X86_RAX] = sel;
	assert_int_equal(STEP(f, 0x0f, 0x00, write ? 0xe8 : 0xe0), X86_OK);
	x86_flags_sync(f->c);
	return f->c->s.rflags & FLAG_ZF;
}

static void lar_lsl_verr_and_verw_answer_by_zf(void **state)
{
	struct x86_fix *f = *state;
	uint64_t v;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	assert_true(ask(f, 0x02, SEL_DATA0, &v));
	assert_int_equal(v, 0x00cf9300); /* with the limit's bits, as processors give them */
	assert_true(ask(f, 0x03, SEL_DATA0, &v));
	assert_int_equal(v, 0xffffffffu);
	assert_true(ask(f, 0x03, SEL_TSS, &v));
	assert_int_equal(v, 0xff);
	assert_false(ask(f, 0x02, 0, &v));
	assert_int_equal(v, 0xdead); /* the destination stays */
	assert_false(ask(f, 0x02, 0x100, &v));
	assert_false(ask(f, 0x02, SEL_DATA0 | 3, &v)); /* RPL counts */
	x86_fix_gate(f, X86_FIX_GDT + SEL_FREE, SEL_CODE0, 0, 0x8c, 0);
	assert_true(ask(f, 0x02, SEL_FREE, &v));  /* LAR knows call gates */
	assert_false(ask(f, 0x03, SEL_FREE, &v)); /* they have no limit */
	x86_fix_gate(f, X86_FIX_GDT + SEL_FREE, SEL_CODE0, 0, 0x8e, 0);
	assert_false(ask(f, 0x02, SEL_FREE, &v)); /* nobody asks for interrupt gates */
	assert_true(verify(f, false, SEL_CODE0));
	assert_false(verify(f, true, SEL_CODE0));
	assert_false(verify(f, false, SEL_EXEC_ONLY0));
	assert_true(verify(f, true, SEL_DATA0));
	assert_false(verify(f, true, SEL_READ_ONLY0));
	assert_false(verify(f, false, SEL_TSS));
	x86_fix_real(f);
	f->c->s.cr0 &= ~(uint64_t)CR0_PE;
	x86_state_changed(f->c);
	assert_fault(f, STEP(f, 0x0f, 0x02, 0xc8), VEC_UD, 0);
}

static void arpl_raises_the_rpl_and_says_so(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	f->c->s.gpr[X86_RAX] = 0x1230;
	f->c->s.gpr[X86_RCX] = 2;
	assert_int_equal(STEP(f, 0x63, 0xc8), X86_OK); /* arpl %cx,%ax */
	x86_flags_sync(f->c);
	assert_int_equal(f->c->s.gpr[X86_RAX], 0x1232);
	assert_true(f->c->s.rflags & FLAG_ZF);
	f->c->s.gpr[X86_RCX] = 1;
	assert_int_equal(STEP(f, 0x63, 0xc8), X86_OK);
	x86_flags_sync(f->c);
	assert_int_equal(f->c->s.gpr[X86_RAX], 0x1232);
	assert_false(f->c->s.rflags & FLAG_ZF);
}

static void arpl_writes_only_when_the_rpl_rises(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	f->c->s.seg[X86_DS].attr = 0xc091; /* read-only */
	x86_state_changed(f->c);
	x86_fix_poke(f, 0x5000, 2, 0x1233);
	f->c->s.gpr[X86_RAX] = 0x5000;
	f->c->s.gpr[X86_RCX] = 2;
	assert_int_equal(STEP(f, 0x63, 0x08), X86_OK); /* arpl %cx,(%eax) */
	x86_fix_poke(f, 0x5000, 2, 0x1231);
	assert_fault(f, STEP(f, 0x63, 0x08), VEC_GP, 0);
	f->c->s.seg[X86_DS].attr = 0xc093;
	x86_state_changed(f->c);
	assert_int_equal(STEP(f, 0x63, 0x08), X86_OK);
	assert_int_equal(x86_fix_peek(f, 0x5000, 2), 0x1232);
}

static void ltr_marks_the_task_busy_once(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_desc(f, X86_FIX_GDT + SEL_FREE, 0x5000, 0x67, 0x89);
	f->c->s.gpr[X86_RAX] = SEL_FREE;
	assert_int_equal(STEP(f, 0x0f, 0x00, 0xd8), X86_OK);
	assert_int_equal(x86_fix_peek(f, X86_FIX_GDT + SEL_FREE + 5, 1), 0x8b);
	assert_int_equal(f->c->s.tr.base, 0x5000);
	assert_fault(f, STEP(f, 0x0f, 0x00, 0xd8), VEC_GP, SEL_FREE);
	f->c->s.gpr[X86_RAX] = 0;
	assert_fault(f, STEP(f, 0x0f, 0x00, 0xd8), VEC_GP, 0);
	assert_int_equal(STEP(f, 0x0f, 0x00, 0xd0), X86_OK); /* LLDT null */
	assert_true(f->c->s.ldtr.attr & SEG_UNUSABLE);
}

static void table_registers_store_what_was_loaded_by_operand_size(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_poke(f, 0x5000, 2, 0x1234);
	x86_fix_poke(f, 0x5002, 4, 0xaabbccdd);
	assert_int_equal(STEP(f, 0x0f, 0x01, 0x15, 0, 0x50, 0, 0), X86_OK); /* lgdt 0x5000 */
	assert_int_equal(f->c->s.gdtr.base, 0xaabbccddu);
	assert_int_equal(STEP(f, 0x66, 0x0f, 0x01, 0x1d, 0, 0x50, 0, 0), X86_OK); /* lidt, 16-bit: 24 bits of base */
	assert_int_equal(f->c->s.idtr.base, 0xbbccdd);
	assert_int_equal(STEP(f, 0x0f, 0x01, 0x0d, 0, 0x60, 0, 0), X86_OK); /* sidt 0x6000 */
	assert_int_equal(x86_fix_peek(f, 0x6000, 8), 0x0000bbccdd1234);
	x86_fix_long(f, 0);
	x86_fix_poke(f, 0x5002, 8, 0x0000800000000000ull);
	assert_fault(f, STEP(f, 0x0f, 0x01, 0x14, 0x25, 0, 0x50, 0, 0), VEC_GP, 0); /* not canonical */
}

/* --- Trap-and-emulate ------------------------------------------------------------------------------------------ */

static void sensitive_instructions_leak_the_real_machine(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_controls(f, "deprivileged");
	assert_int_equal(STEP(f, 0x9c), X86_OK); /* PUSHF: the real IF is on, IOPL 0 */
	assert_int_equal(x86_fix_peek(f, 0x8ffc, 4), FLAG_IF | FLAG_R1);
	assert_false(f->c->s.rflags & FLAG_IF);
	x86_fix_poke(f, 0x8ffc, 4, FLAG_IF | FLAG_IOPL | FLAG_R1);
	assert_int_equal(STEP(f, 0x9d), X86_OK); /* POPF: silently nothing */
	assert_int_equal(f->c->s.rflags, FLAG_R1);
	assert_int_equal(STEP(f, 0x8c, 0xc8), X86_OK); /* mov %cs,%eax */
	assert_int_equal(f->c->s.gpr[X86_RAX], SEL_CODE0 | 3);
	assert_int_equal(STEP(f, 0x0e), X86_OK); /* push %cs */
	assert_int_equal(x86_fix_peek(f, f->c->s.gpr[X86_RSP], 4), SEL_CODE0 | 3);
	assert_int_equal(f->c->cpl, 0); /* as the VMM sees the guest */
	f->c->s.gpr[X86_RAX] = SEL_DATA0;
	assert_int_equal(STEP(f, 0x0f, 0x00, 0xe0), X86_OK); /* VERR asks for CPL 3 */
	x86_flags_sync(f->c);
	assert_false(f->c->s.rflags & FLAG_ZF);
	assert_int_equal(STEP(f, 0x0f, 0x01, 0xe0), X86_OK); /* SMSW: the host's CR0 */
	assert_int_equal(f->c->s.gpr[X86_RAX], 0x80050033u);
	assert_fault(f, STEP(f, 0x8e, 0xd0), VEC_GP, 0x30); /* mov %eax,%ss: selector 33H with a wrong descriptor */
	f->c->s.gpr[X86_RAX] = SEL_DATA0;
	assert_fault(f, STEP(f, 0x8e, 0xd0), VEC_GP, SEL_DATA0); /* RPL 0 at CPL 3 */
	f->c->s.gpr[X86_RAX] = SEL_DATA0 | 3;
	assert_int_equal(STEP(f, 0x8e, 0xd0), X86_OK);
	assert_int_equal(f->c->cpl, 0);
}

static void privileged_instructions_and_int_reach_the_vmm_first(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_prot(f, 4, 0);
	x86_fix_tables(f);
	x86_fix_idt(f, 0x80, SEL_CODE0, 0xb000, 0x8e);
	x86_fix_controls(f, "deprivileged");
	assert_fault(f, STEP(f, 0xfa), VEC_GP, 0); /* CLI */
	assert_int_equal(x86_deliver(f->c, &f->c->fault), X86_EXIT);
	assert_int_equal(f->exit.reason, EXIT_EXCEPTION_NMI);
	assert_int_equal(f->exit.intr_info, 0x80000b0du);
	assert_int_equal(f->exit.rip, 0x7000);
	f->c->ctl = NULL; /* the VMM executes it at the CPL that the guest believes in */
	assert_int_equal(x86_step(f->c), X86_OK);
	f->c->ctl = &f->ctl;
	assert_int_equal(STEP(f, 0xcd, 0x80), X86_EXIT);
	assert_int_equal(f->exit.intr_info, 0x80000480u);
	assert_int_equal(f->exit.insn_len, 2);
	assert_int_equal(f->c->s.rip, 0x7000);
	assert_fault(f, STEP(f, 0xcf), VEC_GP, 0); /* IRET: a null CS on this stack */
}

static void real_mode_under_trap_and_emulate_runs_as_virtual_8086(void **state)
{
	struct x86_fix *f = *state;

	x86_fix_real(f);
	x86_fix_controls(f, "deprivileged");
	assert_fault(f, STEP(f, 0xfa), VEC_GP, 0);
	assert_fault(f, STEP(f, 0x9c), VEC_GP, 0);
	assert_fault(f, STEP(f, 0xec), VEC_GP, 0);
	assert_int_equal(STEP(f, 0x8c, 0xc8), X86_OK); /* no RPL in a real-mode selector */
	assert_int_equal(f->c->s.gpr[X86_RAX] & 0xffff, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, x86_fix_setup, x86_fix_teardown)
	const struct CMUnitTest tests[] = {T(reset_is_as_the_manual_has_it), T(cr0_refuses_impossible_combinations),
	    T(the_way_into_and_out_of_long_mode_has_its_order), T(reserved_bits_of_cr4_efer_xcr0_and_dr_fault),
	    T(cpuid_promises_only_what_the_registers_accept), T(cpuid_of_a_hypervisors_leaf_has_no_features_of_the_cpu),
	    T(popf_without_privilege_changes_neither_if_nor_iopl_and_says_nothing), T(cli_and_sti_obey_iopl),
	    T(virtual_8086_mode_traps_its_flags_instructions_below_iopl_3),
	    T(smap_opens_user_pages_to_the_kernel_only_with_ac), T(lar_lsl_verr_and_verw_answer_by_zf),
	    T(arpl_raises_the_rpl_and_says_so), T(arpl_writes_only_when_the_rpl_rises), T(ltr_marks_the_task_busy_once),
	    T(table_registers_store_what_was_loaded_by_operand_size), T(sensitive_instructions_leak_the_real_machine),
	    T(privileged_instructions_and_int_reach_the_vmm_first),
	    T(real_mode_under_trap_and_emulate_runs_as_virtual_8086)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
