/*
 * Which exception x87, MMX and SSE instructions raise by CR0, CR4 and a pending x87 exception: one instruction of each
 * class in every combination of CR0.EM, TS and MP, CR4.OSFXSR, OSXSAVE and OSXMMEXCPT, and FSW.ES (CR0.NE is 1),
 * against what the manual says of the class.
 *
 * [SDM 3A "Control Registers"] has the table for x87 and WAIT, [SDM 3A "Emulation of the MMX Instruction Set"] that for
 * MMX, [SDM 3A "Providing Operating System Support for SSE Extensions"] those for SSE, and for what is no part of it
 * (PREFETCHh, MOVNTI, CRC32, ...). FXSAVE, XSAVE and XGETBV are in none of them: their pages say it. (FXSAVE and
 * FXRSTOR with CR0.EM: #UD in editions of 2007, before and after that #NM.) Where several apply #UD comes before #NM,
 * and that before #MF and #XM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/sse.h"
#include "core/x86/x87.h"
#include "tests/x86_fixture.h"

#define CODE_AT 0x10000u
#define DATA_AT 0x20000u

enum { EM = 1, TS = 2, MP = 4, OSFXSR = 8, OSXSAVE = 16, OSXMMEXCPT = 32, ES = 64, COMBINATIONS = 128 };

/* What decides about the instructions of one class. */
struct class
{
	unsigned ud_with, ud_without; /* #UD: one of these is set, one of those is clear */
	unsigned nm_with, nm_with_all;
	bool mf; /* waits for x87 exceptions */
	bool xm; /* the instruction here divides by zero, which is unmasked: #XM, or #UD without OSXMMEXCPT */
};

static const struct class x87_waiting_class = {.nm_with = EM | TS, .mf = true};
static const struct class x87_control = {.nm_with = EM | TS};
static const struct class wait = {.nm_with_all = TS | MP, .mf = true};
static const struct class mmx = {.ud_with = EM, .nm_with = TS, .mf = true};
static const struct class sse = {.ud_with = EM, .ud_without = OSFXSR, .nm_with = TS};
static const struct class sse_float = {.ud_with = EM, .ud_without = OSFXSR, .nm_with = TS, .xm = true};
/* Between MMX and XMM registers. */
static const struct class sse_and_mmx = {.ud_with = EM, .ud_without = OSFXSR, .nm_with = TS, .mf = true};
static const struct class fxsave = {.nm_with = EM | TS};
static const struct class xsave = {.ud_without = OSXSAVE, .nm_with = TS};
static const struct class xgetbv = {.ud_without = OSXSAVE};
static const struct class always = {0};

/* RBX is the address of 576 zeros. */
#define I(name, code, class)                        \
	{                                           \
		name, code, sizeof(code) - 1, class \
	}
static const struct {
	const char *name, *code;
	unsigned n;
	const struct class *class;
} instructions[] = {
    I("FADD", "\xd8\xc1", &x87_waiting_class),
    I("FLD m64", "\xdd\x03", &x87_waiting_class),
    I("FLDCW", "\xd9\x2b", &x87_waiting_class),
    I("FRSTOR", "\xdd\x23", &x87_waiting_class),
    I("FNOP", "\xd9\xd0", &x87_waiting_class),
    I("FINCSTP", "\xd9\xf7", &x87_waiting_class),
    I("FSIN", "\xd9\xfe", &x87_waiting_class),
    I("FCMOVE", "\xda\xc9", &x87_waiting_class),
    I("WAIT", "\x9b", &wait),
    I("FNINIT", "\xdb\xe3", &x87_control),
    I("FNCLEX", "\xdb\xe2", &x87_control),
    I("FNSTSW AX", "\xdf\xe0", &x87_control),
    I("FNSTCW", "\xd9\x3b", &x87_control),
    I("FNSTENV", "\xd9\x33", &x87_control),
    I("FNSAVE", "\xdd\x33", &x87_control),
    I("PADDB mm", "\x0f\xfc\xc1", &mmx),
    I("MOVD mm", "\x0f\x6e\xc0", &mmx),
    I("EMMS", "\x0f\x77", &mmx),
    I("PADDB xmm", "\x66\x0f\xfc\xc1", &sse),
    I("MOVUPS", "\x0f\x10\x03", &sse),
    I("ANDPS", "\x0f\x54\xc1", &sse),
    I("RCPPS", "\x0f\x53\xc1", &sse),
    I("PCMPESTRI", "\x66\x0f\x3a\x61\xc1\x00", &sse),
    I("AESENC", "\x66\x0f\x38\xdc\xc1", &sse),
    I("DIVPS", "\x0f\x5e\xc1", &sse_float),
    I("CVTPI2PS", "\x0f\x2a\xc1", &sse_and_mmx),
    I("MOVQ2DQ", "\xf3\x0f\xd6\xc1", &sse_and_mmx),
    I("MOVDQ2Q", "\xf2\x0f\xd6\xc1", &sse_and_mmx),
    I("STMXCSR", "\x0f\xae\x1b", &sse),
    I("LDMXCSR", "\x0f\xae\x13", &sse),
    I("FXSAVE", "\x0f\xae\x03", &fxsave),
    I("FXRSTOR", "\x0f\xae\x0b", &fxsave),
    I("XSAVE", "\x0f\xae\x23", &xsave),
    I("XSAVEOPT", "\x0f\xae\x33", &xsave),
    I("XRSTOR", "\x0f\xae\x2b", &xsave),
    I("XGETBV", "\x0f\x01\xd0", &xgetbv),
    I("PREFETCHT0", "\x0f\x18\x0b", &always),
    I("LFENCE", "\x0f\xae\xe8", &always),
    I("MFENCE", "\x0f\xae\xf0", &always),
    I("SFENCE", "\x0f\xae\xf8", &always),
    I("CLFLUSH", "\x0f\xae\x3b", &always),
    I("PAUSE", "\xf3\x90", &always),
    I("CRC32", "\xf2\x0f\x38\xf1\xc1", &always),
    I("POPCNT", "\xf3\x0f\xb8\xc1", &always),
    I("MOVNTI", "\x0f\xc3\x03", &always),
    I("MOVBE", "\x0f\x38\xf0\x03", &always),
};
#undef I

#define NONE (-1)

static int expected(const struct class *k, unsigned s)
{
	if ((k->ud_with & s) || (k->ud_without & ~s))
		return VEC_UD;
	if ((k->nm_with & s) || (k->nm_with_all && (k->nm_with_all & s) == k->nm_with_all))
		return VEC_NM;
	if (k->mf && (s & ES))
		return VEC_MF;
	if (k->xm)
		return s & OSXMMEXCPT ? VEC_XM : VEC_UD;
	return NONE;
}

static struct x86_fix *f;
static struct x86_state initial;

/* XMM0 is four ones, XMM1 zero, division by zero unmasked in MXCSR; invalid operations unmasked in the control word. */
static void prepare(unsigned s)
{
	struct x86_state *st = &f->c->s;

	*st = initial;
	st->cr0 &= ~(uint64_t)(CR0_EM | CR0_TS | CR0_MP);
	st->cr0 |= CR0_NE | (s & EM ? CR0_EM : 0) | (s & TS ? CR0_TS : 0) | (s & MP ? CR0_MP : 0);
	st->cr4 &= ~(uint64_t)(CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT);
	st->cr4 |=
	    (s & OSFXSR ? CR4_OSFXSR : 0) | (s & OSXSAVE ? CR4_OSXSAVE : 0) | (s & OSXMMEXCPT ? CR4_OSXMMEXCPT : 0);
	st->xcr0 = 3;
	st->gpr[X86_RBX] = DATA_AT;
	st->gpr[X86_RAX] = 3;
	st->gpr[X86_RCX] = st->gpr[X86_RDX] = 0;
	memset(st->fxsave, 0, sizeof(st->fxsave));
	x86_put(st->fxsave + X87_FCW, 2, 0x37e);
	x86_put(st->fxsave + X87_FSW, 2, s & ES ? SF_IE | X87_ES | X87_BUSY : 0);
	x86_put(st->fxsave + SSE_FX_MXCSR, 4, 0x1d80);
	for (unsigned k = 0; k < 4; k++)
		x86_put(st->fxsave + SSE_FX_XMM + 4 * k, 4, 0x3f800000);
	/* So that what x87 instructions find is no reason for an exception. */
	st->fxsave[X87_FTW] = 3;
	x86_state_changed(f->c);
	memset(f->ram + DATA_AT, 0, 1024);
}

static int run(const char *code, unsigned n, unsigned s)
{
	uint8_t before[512];
	enum x86_rc rc;

	prepare(s);
	memcpy(before, f->c->s.fxsave, sizeof(before));
	x86_fix_code(f, CODE_AT, code, n);
	rc = x86_fix_run(f, 1);
	assert_true(rc == X86_OK || rc == X86_FAULT);
	assert_int_equal(f->c->s.rip, rc == X86_OK ? CODE_AT + n : CODE_AT);
	if (rc == X86_OK)
		return NONE;
	/* Nothing has changed, but for the flag in MXCSR that tells which exception it was. */
	if (f->c->s.fxsave[SSE_FX_MXCSR] != before[SSE_FX_MXCSR])
		before[SSE_FX_MXCSR] |= SF_ZE;
	assert_memory_equal(f->c->s.fxsave, before, sizeof(before));
	return f->c->fault.vector;
}

static void exceptions_are_those_of_the_manual(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(instructions); k++) {
		for (unsigned s = 0; s < COMBINATIONS; s++) {
			int want = expected(instructions[k].class, s), got;

			got = run(instructions[k].code, instructions[k].n, s);
			if (got == want)
				continue;
			if (wrong++ < 20)
				print_message("%s with%s%s%s%s%s%s%s: vector %d, the manual says %d\n",
				    instructions[k].name, s & EM ? " EM" : "", s & TS ? " TS" : "", s & MP ? " MP" : "",
				    s & OSFXSR ? " OSFXSR" : "", s & OSXSAVE ? " OSXSAVE" : "",
				    s & OSXMMEXCPT ? " OSXMMEXCPT" : "", s & ES ? " ES" : "", got, want);
		}
	}
	assert_int_equal(wrong, 0);
}

static int setup(void **state)
{
	(void)state;
	f = x86_fix_new();
	x86_fix_long(f, 0);
	initial = f->c->s;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	x86_fix_free(f);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(exceptions_are_those_of_the_manual),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
