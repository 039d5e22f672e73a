/* What each system instruction does at each CPL under each profile: a table by hand from the manual, and the operands
 * of exits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/intercept.h"
#include "tests/x86_fixture.h"

#define OK 0x1000u
#define F(vec) (0x2000u | VEC_##vec)
#define E(reason) (0x4000u | EXIT_##reason)

/* The columns: CPL 0 with nothing intercepted, CPL 3 with nothing intercepted, then CPL 0 and CPL 3 under the profiles.
 * All in 64-bit mode; ports and MSRs are chosen by registers: RDX = 80H, RCX = C0000080H (EFER), RAX = a harmless
 * value. CR4 has UMIP, FSGSBASE, OSXSAVE and TSD set. */
static const struct row {
	const char *name;
	uint8_t bytes[8];
	unsigned len;
	unsigned none0, none3, ept0, ept3, all0, all3, kvm0, kvm3, dep0;
} rows[] = {
    {"cpuid", {0x0f, 0xa2}, 2, OK, OK, E(CPUID), E(CPUID), E(CPUID), E(CPUID), OK, OK, OK},
    {"hlt", {0xf4}, 1, E(HLT), F(GP), E(HLT), F(GP), E(HLT), F(GP), E(HLT), F(GP), F(GP)},
    {"invd", {0x0f, 0x08}, 2, OK, F(GP), E(INVD), F(GP), E(INVD), F(GP), OK, F(GP), F(GP)},
    {"wbinvd", {0x0f, 0x09}, 2, OK, F(GP), OK, F(GP), E(WBINVD), F(GP), OK, F(GP), F(GP)},
    {"invlpg", {0x0f, 0x01, 0x38}, 3, OK, F(GP), OK, F(GP), E(INVLPG), F(GP), OK, F(GP), F(GP)},
    {"invpcid", {0x66, 0x0f, 0x38, 0x82, 0x00}, 5, OK, F(GP), OK, F(GP), E(INVPCID), F(GP), OK, F(GP), F(GP)},
    {"rdtsc", {0x0f, 0x31}, 2, OK, F(GP), OK, F(GP), E(RDTSC), F(GP), OK, F(GP), OK},
    {"rdtscp", {0x0f, 0x01, 0xf9}, 3, OK, F(GP), OK, F(GP), E(RDTSCP), F(GP), OK, F(GP), OK},
    {"rdpmc", {0x0f, 0x33}, 2, F(GP), F(GP), E(RDPMC), F(GP), E(RDPMC), F(GP), F(GP), F(GP), F(GP)},
    {"monitor", {0x0f, 0x01, 0xc8}, 3, F(UD), F(UD), E(MONITOR_INSTRUCTION), F(UD), E(MONITOR_INSTRUCTION), F(UD),
	F(UD), F(UD), F(UD)},
    {"mwait", {0x0f, 0x01, 0xc9}, 3, F(UD), F(UD), E(MWAIT_INSTRUCTION), F(UD), E(MWAIT_INSTRUCTION), F(UD), F(UD),
	F(UD), F(UD)},
    {"pause", {0xf3, 0x90}, 2, OK, OK, OK, OK, E(PAUSE_INSTRUCTION), E(PAUSE_INSTRUCTION), OK, OK, OK},
    {"xsetbv", {0x0f, 0x01, 0xd1}, 3, F(GP), F(GP), E(XSETBV), F(GP), E(XSETBV), F(GP), F(GP), F(GP), F(GP)},
    {"rdmsr efer", {0x0f, 0x32}, 2, OK, F(GP), E(MSR_READ), F(GP), E(MSR_READ), F(GP), OK, F(GP), F(GP)},
    {"wrmsr efer", {0x0f, 0x30}, 2, OK, F(GP), E(MSR_WRITE), F(GP), E(MSR_WRITE), F(GP), OK, F(GP), F(GP)},
    {"mov cr0 same", {0x0f, 0x22, 0xc3}, 3, OK, F(GP), OK, F(GP), OK, F(GP), OK, F(GP), F(GP)},
    {"mov cr3", {0x0f, 0x22, 0xde}, 3, OK, F(GP), OK, F(GP), E(CR_ACCESS), F(GP), OK, F(GP), F(GP)},
    {"read cr3", {0x0f, 0x20, 0xd8}, 3, OK, F(GP), OK, F(GP), E(CR_ACCESS), F(GP), OK, F(GP), F(GP)},
    {"read cr0", {0x0f, 0x20, 0xc0}, 3, OK, F(GP), OK, F(GP), OK, F(GP), OK, F(GP), F(GP)},
    {"mov cr8", {0x44, 0x0f, 0x22, 0xc0}, 4, OK, F(GP), E(CR_ACCESS), F(GP), E(CR_ACCESS), F(GP), OK, F(GP), F(GP)},
    {"read cr8", {0x44, 0x0f, 0x20, 0xc0}, 4, OK, F(GP), E(CR_ACCESS), F(GP), E(CR_ACCESS), F(GP), OK, F(GP), F(GP)},
    {"clts", {0x0f, 0x06}, 2, OK, F(GP), OK, F(GP), E(CR_ACCESS), F(GP), OK, F(GP), F(GP)},
    {"mov dr0", {0x0f, 0x23, 0xc0}, 3, OK, F(GP), E(DR_ACCESS), E(DR_ACCESS), E(DR_ACCESS), E(DR_ACCESS), OK, F(GP),
	F(GP)},
    {"read dr4", {0x0f, 0x21, 0xe0}, 3, F(UD), F(GP), E(DR_ACCESS), E(DR_ACCESS), E(DR_ACCESS), E(DR_ACCESS), F(UD),
	F(GP), F(GP)},
    {"in dx", {0xec}, 1, OK, F(GP), E(IO_INSTRUCTION), F(GP), E(IO_INSTRUCTION), F(GP), E(IO_INSTRUCTION), F(GP),
	F(GP)},
    {"out imm", {0xe6, 0x80}, 2, OK, F(GP), E(IO_INSTRUCTION), F(GP), E(IO_INSTRUCTION), F(GP), E(IO_INSTRUCTION),
	F(GP), F(GP)},
    {"insb", {0x6c}, 1, OK, F(GP), E(IO_INSTRUCTION), F(GP), E(IO_INSTRUCTION), F(GP), E(IO_INSTRUCTION), F(GP), F(GP)},
    {"sgdt", {0x0f, 0x01, 0x03}, 3, OK, F(GP), OK, F(GP), E(GDTR_IDTR), F(GP), OK, F(GP), OK},
    {"sidt", {0x0f, 0x01, 0x0b}, 3, OK, F(GP), OK, F(GP), E(GDTR_IDTR), F(GP), OK, F(GP), OK},
    {"lgdt", {0x0f, 0x01, 0x13}, 3, OK, F(GP), OK, F(GP), E(GDTR_IDTR), F(GP), OK, F(GP), F(GP)},
    {"sldt", {0x0f, 0x00, 0xc0}, 3, OK, F(GP), OK, F(GP), E(LDTR_TR), F(GP), OK, F(GP), OK},
    {"str", {0x0f, 0x00, 0xc8}, 3, OK, F(GP), OK, F(GP), E(LDTR_TR), F(GP), OK, F(GP), OK},
    {"lldt", {0x0f, 0x00, 0xd7}, 3, OK, F(GP), OK, F(GP), E(LDTR_TR), F(GP), OK, F(GP), F(GP)},
    {"smsw", {0x0f, 0x01, 0xe0}, 3, OK, F(GP), OK, F(GP), OK, F(GP), OK, F(GP), OK},
    {"swapgs", {0x0f, 0x01, 0xf8}, 3, OK, F(GP), OK, F(GP), OK, F(GP), OK, F(GP), F(GP)},
    {"rdfsbase", {0xf3, 0x0f, 0xae, 0xc0}, 4, OK, OK, OK, OK, OK, OK, OK, OK, OK},
    {"xgetbv", {0x0f, 0x01, 0xd0}, 3, F(GP), F(GP), F(GP), F(GP), F(GP), F(GP), F(GP), F(GP), F(GP)},
    {"stac", {0x0f, 0x01, 0xcb}, 3, OK, F(UD), OK, F(UD), OK, F(UD), OK, F(UD), F(UD)},
    {"cli", {0xfa}, 1, OK, F(GP), OK, F(GP), OK, F(GP), OK, F(GP), F(GP)},
    {"vmcall", {0x0f, 0x01, 0xc1}, 3, F(UD), F(UD), E(VMCALL), E(VMCALL), E(VMCALL), E(VMCALL), OK, OK, F(UD)},
    {"vmmcall", {0x0f, 0x01, 0xd9}, 3, F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), OK, OK, F(UD)},
    {"vmlaunch", {0x0f, 0x01, 0xc2}, 3, F(UD), F(UD), E(VMLAUNCH), E(VMLAUNCH), E(VMLAUNCH), E(VMLAUNCH), F(UD), F(UD),
	F(UD)},
    {"vmxon", {0xf3, 0x0f, 0xc7, 0x33}, 4, F(UD), F(UD), E(VMXON), E(VMXON), E(VMXON), E(VMXON), F(UD), F(UD), F(UD)},
    {"vmrun", {0x0f, 0x01, 0xd8}, 3, F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD)},
    {"getsec", {0x0f, 0x37}, 2, F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD)},
    {"rsm", {0x0f, 0xaa}, 2, F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD)},
    {"rdrand", {0x0f, 0xc7, 0xf0}, 3, F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD)},
    {"rdseed", {0x0f, 0xc7, 0xf8}, 3, F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD), F(UD)},
};

static void prepare(struct x86_fix *f, unsigned cpl, const char *profile)
{
	struct x86_state *s = &f->c->s;

	x86_fix_reset(f);
	x86_fix_long(f, cpl);
	x86_fix_tables(f);
	if (profile)
		x86_fix_controls(f, profile);
	s->cr4 |= CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE | CR4_TSD | CR4_DE;
	s->cr0 |= CR0_TS | CR0_NE;
	s->gpr[X86_RCX] = 0xc0000080u;
	s->gpr[X86_RDX] = 0x80;
	s->gpr[X86_RAX] = 1;
	s->gpr[X86_RBX] = s->cr0;
	s->gpr[X86_RSI] = s->cr3;
	s->gpr[X86_RDI] = 0x5000;
	x86_state_changed(f->c);
}

static unsigned outcome(struct x86_fix *f, const struct row *r)
{
	struct x86_state before;
	enum x86_rc rc;

	if (r->bytes[0] == 0x0f && r->bytes[1] == 0x30) { /* WRMSR: EFER as it is */
		f->c->s.gpr[X86_RAX] = (uint32_t)f->c->s.efer;
		f->c->s.gpr[X86_RDX] = 0;
	}
	if (strcmp(r->name, "lgdt") == 0 || strcmp(r->name, "sgdt") == 0 || strcmp(r->name, "sidt") == 0 ||
	    strcmp(r->name, "vmxon") == 0)
		f->c->s.gpr[X86_RBX] = 0x5000;
	if (strcmp(r->name, "lldt") == 0)
		f->c->s.gpr[X86_RDI] = 0;
	x86_fix_code(f, 0x7000, r->bytes, r->len);
	before = f->c->s;
	rc = x86_step(f->c);
	if (rc == X86_OK)
		return OK;
	assert_memory_equal(&before, &f->c->s, sizeof before); /* nothing changed */
	if (rc == X86_FAULT)
		return 0x2000u | f->c->fault.vector;
	assert_int_equal(rc, X86_EXIT);
	assert_int_equal(f->exit.rip, 0x7000);
	assert_int_equal(f->exit.insn_len, r->len);
	return 0x4000u | f->exit.reason;
}

static void check(struct x86_fix *f, const struct row *r, unsigned cpl, const char *profile, unsigned want)
{
	unsigned got;

	prepare(f, cpl, profile);
	got = outcome(f, r);
	if (got != want)
		fail_msg(
		    "%s at CPL %u under %s: %#x, want %#x", r->name, cpl, profile ? profile : "nothing", got, want);
}

static void each_instruction_faults_exits_or_runs_as_the_manual_orders(void **state)
{
	struct x86_fix *f = *state;

	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		const struct row *r = &rows[n];

		check(f, r, 0, NULL, r->none0);
		check(f, r, 3, NULL, r->none3);
		check(f, r, 0, "vtx-ept", r->ept0);
		check(f, r, 3, "vtx-ept", r->ept3);
		check(f, r, 0, "all", r->all0);
		check(f, r, 3, "all", r->all3);
		check(f, r, 0, "kvm-user", r->kvm0);
		check(f, r, 3, "kvm-user", r->kvm3);
		check(f, r, 0, "deprivileged", r->dep0);
	}
}

static void umip_makes_the_leaks_trap(void **state)
{
	static const char *const leaks[] = {"sgdt", "sidt", "sldt", "str", "smsw"};
	struct x86_fix *f = *state;

	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		for (size_t k = 0; k < ARRAY_LEN(leaks); k++)
			if (strcmp(rows[n].name, leaks[k]) == 0)
				check(f, &rows[n], 0, "umip", F(GP));
}

static void run(struct x86_fix *f, const char *profile, const uint8_t *code, unsigned len, enum x86_rc want)
{
	prepare(f, 0, profile);
	x86_fix_code(f, 0x7000, code, len);
	assert_int_equal(x86_step(f->c), want);
}

static void io_exits_describe_the_access(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t outl[] = {0xe7, 0x84}, rep_outsw[] = {0x66, 0xf3, 0x6f}, rep_insb[] = {0xf3, 0x6c};

	run(f, "vtx-ept", outl, 2, X86_EXIT);
	assert_int_equal(f->exit.qual, 0x00840043);
	assert_int_equal(f->exit.io.port, 0x84);
	assert_int_equal(f->exit.io.size, 4);
	assert_int_equal(f->exit.io.value, 1);
	assert_int_equal(f->exit.io.in, 0);
	run(f, "vtx-ept", rep_outsw, 3, X86_EXIT);
	assert_int_equal(f->exit.qual, 0x00800031);
	assert_int_equal(f->exit.io.count, 0xc0000080u);
	assert_int_equal(f->exit.gla, f->c->s.gpr[X86_RSI]);
	assert_int_equal(f->exit.insn_info, 2u << 7 | X86_DS << 15);
	prepare(f, 0, "vtx-ept");
	f->c->s.gpr[X86_RCX] = 0;
	x86_fix_code(f, 0x7000, rep_insb, 2);
	assert_int_equal(x86_step(f->c), X86_EXIT); /* no iteration, and yet an exit: nobody has looked at RCX yet */
	assert_int_equal(f->exit.io.count, 0);
	assert_int_equal(f->c->s.rip, 0x7000);
}

static void a_rep_ins_executes_one_iteration_at_a_time_without_controls(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t rep_insb[] = {0xf3, 0x6c};

	prepare(f, 0, NULL);
	f->c->s.gpr[X86_RCX] = 2;
	x86_fix_code(f, 0x7000, rep_insb, 2);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.rip, 0x7000);
	assert_int_equal(f->c->s.gpr[X86_RCX], 1);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.rip, 0x7002);
	assert_int_equal(f->c->s.gpr[X86_RDI], 0x5002);
	assert_int_equal(x86_fix_peek(f, 0x5000, 3), 0x4444);
	assert_int_equal(f->n_log, 2);
}

static void the_tss_bitmap_decides_port_by_port(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t inw[] = {0x66, 0xed};

	for (unsigned denied = 0; denied < 3; denied++) {
		prepare(f, 3, "vtx-ept");
		x86_fix_poke(f, X86_FIX_TSS + 0x66, 2, 0x68);
		x86_fix_poke(f, X86_FIX_TSS + 0x68 + 0x10, 2, 1u << denied); /* ports 80H.. */
		x86_fix_code(f, 0x7000, inw, 2);
		assert_int_equal(x86_step(f->c), denied < 2 ? X86_FAULT : X86_EXIT);
	}
	prepare(f, 3, "vtx-ept");
	f->c->s.rflags |= FLAG_IOPL;
	x86_fix_code(f, 0x7000, inw, 2);
	assert_int_equal(x86_step(f->c), X86_EXIT);
}

static void cr_exits_come_for_masked_bits_that_change(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t mov_cr0_rbx[] = {0x0f, 0x22, 0xc3}, mov_cr4_rbx[] = {0x0f, 0x22, 0xe3};
	const uint8_t lmsw[] = {0x0f, 0x01, 0xf3}, clts[] = {0x0f, 0x06};

	prepare(f, 0, "vtx-ept");
	f->c->s.gpr[X86_RBX] ^= CR0_TS | CR0_WP; /* neither is masked */
	x86_fix_code(f, 0x7000, mov_cr0_rbx, 3);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.cr0, f->c->s.gpr[X86_RBX]);
	prepare(f, 0, "vtx-ept");
	f->c->s.gpr[X86_RBX] ^= CR0_NE;
	x86_fix_code(f, 0x7000, mov_cr0_rbx, 3);
	assert_int_equal(x86_step(f->c), X86_EXIT);
	assert_int_equal(f->exit.qual, 0x300); /* CR0, MOV to, RBX */
	assert_int_equal(f->exit.cr.value, f->c->s.gpr[X86_RBX]);
	prepare(f, 0, "vtx-ept");
	f->c->s.gpr[X86_RBX] = f->c->s.cr4 ^ CR4_PGE;
	x86_fix_code(f, 0x7000, mov_cr4_rbx, 3);
	assert_int_equal(x86_step(f->c), X86_OK);
	prepare(f, 0, "vtx-ept");
	f->c->s.gpr[X86_RBX] = f->c->s.cr4 ^ CR4_SMEP;
	x86_fix_code(f, 0x7000, mov_cr4_rbx, 3);
	assert_int_equal(x86_step(f->c), X86_EXIT);
	assert_int_equal(f->exit.qual, 0x304);
	prepare(f, 0, "vtx-ept");
	f->c->s.gpr[X86_RBX] = CR0_MP | CR0_PE;
	x86_fix_code(f, 0x7000, lmsw, 3);
	assert_int_equal(x86_step(f->c), X86_OK); /* TS, MP are not masked, PE is set already */
	assert_int_equal(f->c->s.cr0 & 0xf, CR0_MP | CR0_PE);
	prepare(f, 0, "all");
	f->c->s.gpr[X86_RBX] = CR0_MP;
	x86_fix_code(f, 0x7000, lmsw, 3);
	assert_int_equal(x86_step(f->c), X86_EXIT);
	assert_int_equal(f->exit.qual, 0x20030);
	prepare(f, 0, "all");
	f->c->s.cr0 &= ~(uint64_t)CR0_TS;
	x86_fix_code(f, 0x7000, clts, 2);
	assert_int_equal(x86_step(f->c), X86_OK); /* clear already: nothing to trap */
}

static void msr_dr_and_cpuid_exits_carry_their_operands(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t wrmsr[] = {0x0f, 0x30}, mov_dr7[] = {0x0f, 0x23, 0xfb}, cpuid[] = {0x0f, 0xa2};
	const uint8_t rdmsr[] = {0x0f, 0x32};

	run(f, "vtx-ept", wrmsr, 2, X86_EXIT);
	assert_int_equal(f->exit.msr.index, 0xc0000080u);
	assert_int_equal(f->exit.msr.write, 1);
	assert_int_equal(f->exit.msr.value, 0x8000000001);
	prepare(f, 0, "vtx-ept");
	f->c->s.gpr[X86_RCX] = 0xc0000100u; /* FS_BASE: the guest's own */
	x86_fix_code(f, 0x7000, rdmsr, 2);
	assert_int_equal(x86_step(f->c), X86_OK);
	prepare(f, 0, "vtx-ept");
	f->c->s.gpr[X86_RCX] = 0x12345; /* outside the bitmap: exits although no such MSR exists */
	x86_fix_code(f, 0x7000, rdmsr, 2);
	assert_int_equal(x86_step(f->c), X86_EXIT);
	f->c->ctl = NULL;
	assert_int_equal(x86_step(f->c), X86_FAULT);
	run(f, "vtx-ept", mov_dr7, 3, X86_EXIT);
	assert_int_equal(f->exit.qual, 0x307);
	assert_int_equal(f->exit.dr.value, f->c->s.gpr[X86_RBX]);
	run(f, "vtx-ept", cpuid, 2, X86_EXIT);
	assert_int_equal(f->exit.cpuid.leaf, 1);
	assert_int_equal(f->exit.cpuid.subleaf, 0xc0000080u);
}

static void descriptor_table_exits_have_instruction_information(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t sgdt[] = {0x0f, 0x01, 0x44, 0x8b, 0x10}; /* sgdt 0x10(%rbx,%rcx,4) */
	const uint8_t str[] = {0x0f, 0x00, 0xcb};	       /* str %ebx */

	run(f, "all", sgdt, 5, X86_EXIT);
	assert_int_equal(f->exit.qual, 0x10);
	assert_int_equal(f->exit.insn_info, 2u | 2u << 7 | 1u << 11 | 3u << 15 | 1u << 18 | 3u << 23);
	run(f, "all", str, 3, X86_EXIT);
	assert_int_equal(f->exit.insn_info & ~(7u << 7 | 1u << 11), 3u << 3 | 1u << 10 | 1u << 28);
}

static void invlpg_exits_with_the_linear_address(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t invlpg[] = {0x65, 0x0f, 0x01, 0x38}; /* invlpg %gs:(%rax) */

	prepare(f, 0, "all");
	f->c->s.seg[X86_GS].base = 0x123000;
	x86_state_changed(f->c);
	x86_fix_code(f, 0x7000, invlpg, 4);
	assert_int_equal(x86_step(f->c), X86_EXIT);
	assert_int_equal(f->exit.qual, 0x123001);
}

static void kvm_answers_hypercalls_itself(void **state)
{
	struct x86_fix *f = *state;
	const uint8_t vmcall[] = {0x0f, 0x01, 0xc1};

	prepare(f, 0, "kvm-user");
	f->c->s.gpr[X86_RAX] = 77;
	x86_fix_code(f, 0x7000, vmcall, 3);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.gpr[X86_RAX], (uint64_t)-1000);
	prepare(f, 3, "kvm-user");
	x86_fix_code(f, 0x7000, vmcall, 3);
	assert_int_equal(x86_step(f->c), X86_OK);
	assert_int_equal(f->c->s.gpr[X86_RAX], (uint64_t)-1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, x86_fix_setup, x86_fix_teardown)
	const struct CMUnitTest tests[] = {T(each_instruction_faults_exits_or_runs_as_the_manual_orders),
	    T(umip_makes_the_leaks_trap), T(io_exits_describe_the_access),
	    T(a_rep_ins_executes_one_iteration_at_a_time_without_controls), T(the_tss_bitmap_decides_port_by_port),
	    T(cr_exits_come_for_masked_bits_that_change), T(msr_dr_and_cpuid_exits_carry_their_operands),
	    T(descriptor_table_exits_have_instruction_information), T(invlpg_exits_with_the_linear_address),
	    T(kvm_answers_hypercalls_itself)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
