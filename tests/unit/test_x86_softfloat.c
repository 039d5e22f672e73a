/*
 * The integer floating point against the processor of this machine: results and flags of scalar SSE and x87
 * instructions, in every rounding mode, with DAZ and FTZ, on random operands of which many are special.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <ucontext.h>

#include "core/x86/softfloat.h"
#include "tests/x86_native.h"
#include "tests/x86_values.h"

#define ROUNDS 60000u
#define UNMASKED_ROUNDS 4000u

/* A significand field of n bits: dense, sparse, runs of ones, near the ends. */
static uint64_t fraction(unsigned n)
{
	uint64_t mask = n == 64 ? ~0ull : (1ull << n) - 1;

	switch (below(7)) {
	case 0:
		return 0;
	case 1:
		return mask;
	case 2:
		return (1ull << below(n) | 1ull << below(n)) & mask;
	case 3:
		return (mask << below(n)) & mask;
	case 4:
		return mask >> below(n);
	case 5:
		return (below(2) ? mask - below(4) : below(4)) & mask;
	default:
		return rng() & mask;
	}
}

/* A biased exponent: the special ones, the ends, the middle, or any. */
static unsigned exponent(unsigned emax)
{
	unsigned top = 2 * emax + 1;

	switch (below(8)) {
	case 0:
		return 0;
	case 1:
		return below(8) ? top - 1 - below(3) : top;
	case 2:
		return 1 + below(70) % top;
	case 3:
		return below(top + 1);
	default:
		return emax - 70 + below(140);
	}
}

static uint32_t value32(void)
{
	return (uint32_t)(below(2) << 31 | exponent(127) % 256 << 23) | (uint32_t)fraction(23);
}

static uint64_t value64(void)
{
	return (uint64_t)below(2) << 63 | (uint64_t)exponent(1023) << 52 | fraction(52);
}

static struct f80 value80(void)
{
	unsigned e = below(4) ? exponent(16383) : 16383 - 1100 + below(2200);
	struct f80 v = {fraction(63), (uint16_t)(below(2) << 15 | e)};

	if ((e && below(16)) || below(16) == 0)
		v.sig |= 1ull << 63;
	return v;
}

static int64_t value_int(void)
{
	int64_t v = (int64_t)fraction(64) >> below(64);

	return below(2) ? v : (int64_t)(0 - (uint64_t)v);
}

/* ---- one instance ---- */

struct instance {
	uint64_t a, b;
	struct f80 a80, b80;
	unsigned imm;
	struct sf st;
};

struct outcome {
	uint64_t v;
	uint16_t se;
	unsigned flags;
	bool c1;
};

typedef uint64_t (*ours_fn)(struct instance *t);
typedef uint64_t (*native_fn)(const struct instance *t);

static uint32_t mxcsr_of(const struct sf *st)
{
	return (uint32_t)st->masks << 7 | (uint32_t)st->round << 13 | (uint32_t)st->daz << 6 | (uint32_t)st->ftz << 15;
}

static void set_mxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v));
}

static uint32_t get_mxcsr(void)
{
	uint32_t v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

/* In XMM0 and XMM1, which the compiler is told about; the result of every instruction is in XMM0. */
#define SSE_OP2(name, insn)                                                                                   \
	static uint64_t name(const struct instance *t)                                                        \
	{                                                                                                     \
		uint64_t r;                                                                                   \
		__asm__ volatile("movq %1, %%xmm0; movq %2, %%xmm1; " insn " %%xmm1, %%xmm0; movq %%xmm0, %0" \
				 : "=r"(r)                                                                    \
				 : "r"(t->a), "r"(t->b)                                                       \
				 : "xmm0", "xmm1");                                                           \
		return r;                                                                                     \
	}
#define SSE_OP1(name, insn)                                                                        \
	static uint64_t name(const struct instance *t)                                             \
	{                                                                                          \
		uint64_t r;                                                                        \
		__asm__ volatile("pxor %%xmm0, %%xmm0; movq %1, %%xmm1; " insn "; movq %%xmm0, %0" \
				 : "=r"(r)                                                         \
				 : "r"(t->a)                                                       \
				 : "xmm0", "xmm1");                                                \
		return r;                                                                          \
	}
/* Comparisons give ZF, PF, CF as an order. */
#define SSE_CMP(name, insn)                                                                                   \
	static uint64_t name(const struct instance *t)                                                        \
	{                                                                                                     \
		uint64_t f;                                                                                   \
		__asm__ volatile("movq %1, %%xmm0; movq %2, %%xmm1; " insn " %%xmm1, %%xmm0; pushfq; popq %0" \
				 : "=r"(f)                                                                    \
				 : "r"(t->a), "r"(t->b)                                                       \
				 : "xmm0", "xmm1", "cc", "memory");                                           \
		return f & 4 ? SF_UNORDERED : f & 0x40 ? SF_EQUAL : f & 1 ? (uint64_t)SF_LESS : SF_GREATER;   \
	}
#define SSE_TO_INT(name, insn, reg, type)                                                                       \
	static uint64_t name(const struct instance *t)                                                          \
	{                                                                                                       \
		uint64_t r;                                                                                     \
		__asm__ volatile("movq %1, %%xmm1; " insn " %%xmm1, %" reg "0" : "=r"(r) : "r"(t->a) : "xmm1"); \
		return (uint64_t)(int64_t)(type)r;                                                              \
	}
#define SSE_FROM_INT(name, insn, reg)                                                               \
	static uint64_t name(const struct instance *t)                                              \
	{                                                                                           \
		uint64_t r;                                                                         \
		__asm__ volatile("pxor %%xmm0, %%xmm0; " insn " %" reg "1, %%xmm0; movq %%xmm0, %0" \
				 : "=r"(r)                                                          \
				 : "r"(t->a)                                                        \
				 : "xmm0");                                                         \
		return r;                                                                           \
	}

SSE_OP2(n_addss, "addss")
SSE_OP2(n_subss, "subss")
SSE_OP2(n_mulss, "mulss")
SSE_OP2(n_divss, "divss")
SSE_OP2(n_minss, "minss")
SSE_OP2(n_maxss, "maxss")
SSE_OP1(n_sqrtss, "sqrtss %%xmm1, %%xmm0")
SSE_OP2(n_addsd, "addsd")
SSE_OP2(n_subsd, "subsd")
SSE_OP2(n_mulsd, "mulsd")
SSE_OP2(n_divsd, "divsd")
SSE_OP2(n_minsd, "minsd")
SSE_OP2(n_maxsd, "maxsd")
SSE_OP1(n_sqrtsd, "sqrtsd %%xmm1, %%xmm0")
SSE_CMP(n_comiss, "comiss")
SSE_CMP(n_ucomiss, "ucomiss")
SSE_CMP(n_comisd, "comisd")
SSE_CMP(n_ucomisd, "ucomisd")
SSE_OP1(n_cvtss2sd, "cvtss2sd %%xmm1, %%xmm0")
SSE_OP1(n_cvtsd2ss, "cvtsd2ss %%xmm1, %%xmm0")
SSE_TO_INT(n_cvtss2si, "cvtss2si", "k", int32_t)
SSE_TO_INT(n_cvtss2siq, "cvtss2si", "q", int64_t)
SSE_TO_INT(n_cvttss2si, "cvttss2si", "k", int32_t)
SSE_TO_INT(n_cvttss2siq, "cvttss2si", "q", int64_t)
SSE_TO_INT(n_cvtsd2si, "cvtsd2si", "k", int32_t)
SSE_TO_INT(n_cvtsd2siq, "cvtsd2si", "q", int64_t)
SSE_TO_INT(n_cvttsd2si, "cvttsd2si", "k", int32_t)
SSE_TO_INT(n_cvttsd2siq, "cvttsd2si", "q", int64_t)
SSE_FROM_INT(n_cvtsi2ss, "cvtsi2ssl", "k")
SSE_FROM_INT(n_cvtsi2ssq, "cvtsi2ssq", "q")
SSE_FROM_INT(n_cvtsi2sd, "cvtsi2sdl", "k")
SSE_FROM_INT(n_cvtsi2sdq, "cvtsi2sdq", "q")

/* The immediate is part of the instruction: all sixteen of them. */
#define SSE_ROUND(name, insn)                                                                                  \
	static uint64_t name(const struct instance *t)                                                         \
	{                                                                                                      \
		uint64_t r;                                                                                    \
		__asm__ volatile("pxor %%xmm0, %%xmm0; movq %1, %%xmm1\n"                                      \
				 "leaq 1f(%%rip), %%rax; imulq $8, %2, %%rcx; addq %%rcx, %%rax; jmp *%%rax\n" \
				 ".balign 8\n"                                                                 \
				 "1: .set k, 0\n"                                                              \
				 ".rept 16\n" insn " $k, %%xmm1, %%xmm0; jmp 2f\n"                             \
				 ".balign 8\n.set k, k + 1\n.endr\n"                                           \
				 "2: movq %%xmm0, %0"                                                          \
				 : "=r"(r)                                                                     \
				 : "r"(t->a), "r"((uint64_t)t->imm)                                            \
				 : "xmm0", "xmm1", "rax", "rcx", "cc");                                        \
		return r;                                                                                      \
	}
SSE_ROUND(n_roundss, "roundss")
SSE_ROUND(n_roundsd, "roundsd")

#define OURS2(width, type, op)                                             \
	static uint64_t o_f##width##_##op(struct instance *t)              \
	{                                                                  \
		return sf_f##width##_##op(&t->st, (type)t->a, (type)t->b); \
	}
#define OURS(name, expression)                   \
	static uint64_t name(struct instance *t) \
	{                                        \
		return (uint64_t)(expression);   \
	}
OURS2(32, uint32_t, add)
OURS2(32, uint32_t, sub)
OURS2(32, uint32_t, mul)
OURS2(32, uint32_t, div)
OURS2(32, uint32_t, min)
OURS2(32, uint32_t, max)
OURS2(64, uint64_t, add)
OURS2(64, uint64_t, sub)
OURS2(64, uint64_t, mul)
OURS2(64, uint64_t, div)
OURS2(64, uint64_t, min)
OURS2(64, uint64_t, max)
#define A32 (uint32_t) t->a
#define B32 (uint32_t) t->b
#define IMM_ROUND (t->imm & 4 ? t->st.round : t->imm & 3)
OURS(o_sqrtss, sf_f32_sqrt(&t->st, A32))
OURS(o_sqrtsd, sf_f64_sqrt(&t->st, t->a))
OURS(o_comiss, (int64_t)sf_f32_compare(&t->st, A32, B32, false))
OURS(o_ucomiss, (int64_t)sf_f32_compare(&t->st, A32, B32, true))
OURS(o_comisd, (int64_t)sf_f64_compare(&t->st, t->a, t->b, false))
OURS(o_ucomisd, (int64_t)sf_f64_compare(&t->st, t->a, t->b, true))
OURS(o_cvtss2sd, sf_f32_to_f64(&t->st, A32))
OURS(o_cvtsd2ss, sf_f64_to_f32(&t->st, t->a))
OURS(o_cvtss2si, sf_f32_to_int(&t->st, A32, 32, t->st.round))
OURS(o_cvtss2siq, sf_f32_to_int(&t->st, A32, 64, t->st.round))
OURS(o_cvttss2si, sf_f32_to_int(&t->st, A32, 32, SF_TO_ZERO))
OURS(o_cvttss2siq, sf_f32_to_int(&t->st, A32, 64, SF_TO_ZERO))
OURS(o_cvtsd2si, sf_f64_to_int(&t->st, t->a, 32, t->st.round))
OURS(o_cvtsd2siq, sf_f64_to_int(&t->st, t->a, 64, t->st.round))
OURS(o_cvttsd2si, sf_f64_to_int(&t->st, t->a, 32, SF_TO_ZERO))
OURS(o_cvttsd2siq, sf_f64_to_int(&t->st, t->a, 64, SF_TO_ZERO))
OURS(o_cvtsi2ss, sf_int_to_f32(&t->st, (int32_t)t->a))
OURS(o_cvtsi2ssq, sf_int_to_f32(&t->st, (int64_t)t->a))
OURS(o_cvtsi2sd, sf_int_to_f64(&t->st, (int32_t)t->a))
OURS(o_cvtsi2sdq, sf_int_to_f64(&t->st, (int64_t)t->a))
OURS(o_roundss, sf_f32_round_to_int(&t->st, A32, IMM_ROUND, t->imm & 8))
OURS(o_roundsd, sf_f64_round_to_int(&t->st, t->a, IMM_ROUND, t->imm & 8))

enum kind { K32, K64, KINT, K80 };
struct operation {
	const char *name;
	ours_fn ours;
	native_fn native;
	enum kind kind;
};

static const struct operation sse[] = {{"addss", o_f32_add, n_addss, K32}, {"subss", o_f32_sub, n_subss, K32},
    {"mulss", o_f32_mul, n_mulss, K32}, {"divss", o_f32_div, n_divss, K32}, {"minss", o_f32_min, n_minss, K32},
    {"maxss", o_f32_max, n_maxss, K32}, {"sqrtss", o_sqrtss, n_sqrtss, K32}, {"addsd", o_f64_add, n_addsd, K64},
    {"subsd", o_f64_sub, n_subsd, K64}, {"mulsd", o_f64_mul, n_mulsd, K64}, {"divsd", o_f64_div, n_divsd, K64},
    {"minsd", o_f64_min, n_minsd, K64}, {"maxsd", o_f64_max, n_maxsd, K64}, {"sqrtsd", o_sqrtsd, n_sqrtsd, K64},
    {"comiss", o_comiss, n_comiss, K32}, {"ucomiss", o_ucomiss, n_ucomiss, K32}, {"comisd", o_comisd, n_comisd, K64},
    {"ucomisd", o_ucomisd, n_ucomisd, K64}, {"cvtss2sd", o_cvtss2sd, n_cvtss2sd, K32},
    {"cvtsd2ss", o_cvtsd2ss, n_cvtsd2ss, K64}, {"cvtss2si 32", o_cvtss2si, n_cvtss2si, K32},
    {"cvtss2si 64", o_cvtss2siq, n_cvtss2siq, K32}, {"cvttss2si 32", o_cvttss2si, n_cvttss2si, K32},
    {"cvttss2si 64", o_cvttss2siq, n_cvttss2siq, K32}, {"cvtsd2si 32", o_cvtsd2si, n_cvtsd2si, K64},
    {"cvtsd2si 64", o_cvtsd2siq, n_cvtsd2siq, K64}, {"cvttsd2si 32", o_cvttsd2si, n_cvttsd2si, K64},
    {"cvttsd2si 64", o_cvttsd2siq, n_cvttsd2siq, K64}, {"cvtsi2ss 32", o_cvtsi2ss, n_cvtsi2ss, KINT},
    {"cvtsi2ss 64", o_cvtsi2ssq, n_cvtsi2ssq, KINT}, {"cvtsi2sd 32", o_cvtsi2sd, n_cvtsi2sd, KINT},
    {"cvtsi2sd 64", o_cvtsi2sdq, n_cvtsi2sdq, KINT}, {"roundss", o_roundss, n_roundss, K32},
    {"roundsd", o_roundsd, n_roundsd, K64}};

/* Half of the time the second operand is close to the first: cancellation, comparison, quotients near 1. */
static void random_operands(struct instance *t, enum kind kind)
{
	t->a = kind == K32 ? value32() : kind == K64 ? value64() : (uint64_t)value_int();
	t->b = kind == K32 ? value32() : value64();
	if (below(4) == 0)
		t->b = t->a + below(5) - 2;
	if (kind == K32) {
		t->a &= 0xffffffff;
		t->b = (t->b ^ (below(8) ? 0 : 1u << 31)) & 0xffffffff;
	}
	t->a80 = value80();
	t->b80 = below(4) ? value80() : (struct f80){t->a80.sig + below(5) - 2, t->a80.se ^ (uint16_t)(below(2) << 15)};
	t->imm = below(16);
}

/* ROUNDSS came with SSE4.1. */
static bool host_has(const struct operation *o)
{
	return strncmp(o->name, "round", 5) != 0 || __builtin_cpu_supports("sse4.1");
}

static unsigned differences;

static void report(const struct operation *o, const struct instance *t, const struct sf *before,
    const struct outcome *native, const struct outcome *ours)
{
	if (differences++ >= 40)
		return;
	printf("%s: a %016llx b %016llx imm %x, a80 %04x:%016llx b80 %04x:%016llx, round %u pc %u daz %u ftz %u masks "
	       "%02x\n"
	       "  native %04x:%016llx flags %02x c1 %u\n  ours   %04x:%016llx flags %02x c1 %u\n",
	    o->name, (unsigned long long)t->a, (unsigned long long)t->b, t->imm, t->a80.se,
	    (unsigned long long)t->a80.sig, t->b80.se, (unsigned long long)t->b80.sig, before->round, before->precision,
	    before->daz, before->ftz, before->masks, native->se, (unsigned long long)native->v, native->flags,
	    native->c1, ours->se, (unsigned long long)ours->v, ours->flags, ours->c1);
}

static void only_on_known_processors(void)
{
	const char *why;

	if (native_known(&why))
		return;
	print_message("%s\n", why);
	skip();
}

static void sse_masked(void **state)
{
	(void)state;
	only_on_known_processors();
	for (size_t k = 0; k < ARRAY_LEN(sse); k++) {
		const struct operation *o = &sse[k];

		for (unsigned n = 0; host_has(o) && n < ROUNDS; n++) {
			struct instance t = {
			    .st = {.round = (uint8_t)below(4), .daz = !below(4), .ftz = !below(4), .masks = 0x3f}};
			struct outcome native = {0}, ours = {0};
			struct sf before = t.st;

			random_operands(&t, o->kind);
			set_mxcsr(mxcsr_of(&t.st));
			native.v = o->native(&t);
			native.flags = get_mxcsr() & 0x3f;
			set_mxcsr(0x1f80);
			ours.v = o->ours(&t);
			ours.flags = t.st.flags;
			if (native.v != ours.v || native.flags != ours.flags)
				report(o, &t, &before, &native, &ours);
		}
	}
	assert_int_equal(differences, 0);
}

/* ---- unmasked SSE exceptions: only the flags count ---- */

static sigjmp_buf trap;
static volatile uint32_t trap_mxcsr;

static void on_fpe(int sig, siginfo_t *si, void *arg)
{
	ucontext_t *uc = arg;

	(void)sig;
	(void)si;
	trap_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
	siglongjmp(trap, 1);
}

/* What an unmasked exception leaves: when it is found before the operation, nothing that comes after is looked for. */
static unsigned visible_flags(const struct sf *st)
{
	unsigned f = st->flags;

	return f & SF_PRE & ~st->masks ? f & SF_PRE : f;
}

static uint32_t mxcsr_after(const struct operation *o, const struct instance *t)
{
	if (sigsetjmp(trap, 0) == 0) {
		set_mxcsr(mxcsr_of(&t->st));
		o->native(t);
		trap_mxcsr = get_mxcsr();
	}
	set_mxcsr(0x1f80);
	return trap_mxcsr;
}

static void sse_unmasked(void **state)
{
	struct sigaction sa = {.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO | SA_NODEFER}, old;

	(void)state;
	only_on_known_processors();
	sigaction(SIGFPE, &sa, &old);
	for (size_t k = 0; k < ARRAY_LEN(sse); k++) {
		const struct operation *o = &sse[k];

		for (unsigned n = 0; host_has(o) && n < UNMASKED_ROUNDS; n++) {
			struct instance t = {.st = {.round = (uint8_t)below(4),
						 .daz = !below(4),
						 .ftz = !below(4),
						 .masks = (uint8_t)below(64)}};
			struct outcome native = {0}, ours = {0};
			struct sf before = t.st;

			random_operands(&t, o->kind);
			native.flags = mxcsr_after(o, &t) & 0x3f;
			ours.v = o->ours(&t);
			ours.flags = visible_flags(&t.st);
			if (native.flags != ours.flags)
				report(o, &t, &before, &native, &ours);
		}
	}
	sigaction(SIGFPE, &old, NULL);
	assert_int_equal(differences, 0);
}

/* ---- x87 ---- */

struct x87_operation {
	const char *name;
	void (*native)(const struct instance *t, void *result, uint16_t *sw);
	void (*ours)(struct instance *t, struct outcome *r);
	unsigned result; /* bytes */
	bool stores;	 /* to memory: nothing is written when an unmasked exception occurs */
};

static uint16_t control_of(const struct sf *st)
{
	return (uint16_t)(st->masks | 0x40 | (unsigned)st->precision << 8 | (unsigned)st->round << 10);
}

/* The operation between loading its operands and reading the status; exceptions are never reported, for nothing waits.
 */
#define X87(name, operands, insn, after)                                                                           \
	static void name(const struct instance *t, void *result, uint16_t *sw)                                     \
	{                                                                                                          \
		uint16_t cw = control_of(&t->st), safe = 0x37f;                                                    \
		__asm__ volatile("fninit; " operands "; fnclex; fldcw %2; " insn                                   \
				 "; fnstsw %0; fnclex; fldcw %3; " after "; fninit"                                \
				 : "=m"(*sw)                                                                       \
				 : "r"(result), "m"(cw), "m"(safe), "m"(t->a80), "m"(t->b80), "m"(t->a)            \
				 : "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"); \
	}
#define LOAD2 "fldt %5; fldt %4"
#define STORE "fstpt (%1)"
X87(x_fadd, LOAD2, "fadd %%st(1), %%st", STORE)
X87(x_fsub, LOAD2, "fsub %%st(1), %%st", STORE)
X87(x_fmul, LOAD2, "fmul %%st(1), %%st", STORE)
X87(x_fdiv, LOAD2, "fdiv %%st(1), %%st", STORE)
X87(x_fsqrt, "fldt %4", "fsqrt", STORE)
X87(x_frndint, "fldt %4", "frndint", STORE)
X87(x_fcom, LOAD2, "fcom", "")
X87(x_fucom, LOAD2, "fucom", "")
X87(x_fld32, "", "flds %6", STORE)
X87(x_fld64, "", "fldl %6", STORE)
X87(x_fild64, "", "fildll %6", STORE)
X87(x_fst32, "fldt %4", "fsts (%1)", "")
X87(x_fst64, "fldt %4", "fstl (%1)", "")
X87(x_fist16, "fldt %4", "fists (%1)", "")
X87(x_fist32, "fldt %4", "fistl (%1)", "")
X87(x_fistp64, "fldt %4", "fistpll (%1)", "")
X87(x_fisttp64, "fldt %4", "fisttpll (%1)", "")

#define OURS80(name, expression)                                \
	static void name(struct instance *t, struct outcome *r) \
	{                                                       \
		struct f80 v = expression;                      \
		r->v = v.sig;                                   \
		r->se = v.se;                                   \
	}
#define OURS_M(name, expression)                                \
	static void name(struct instance *t, struct outcome *r) \
	{                                                       \
		r->v = (uint64_t)(expression);                  \
	}
OURS80(y_fadd, sf_f80_add(&t->st, t->a80, t->b80))
OURS80(y_fsub, sf_f80_sub(&t->st, t->a80, t->b80))
OURS80(y_fmul, sf_f80_mul(&t->st, t->a80, t->b80))
OURS80(y_fdiv, sf_f80_div(&t->st, t->a80, t->b80))
OURS80(y_fsqrt, sf_f80_sqrt(&t->st, t->a80))
OURS80(y_frndint, sf_f80_round_to_int(&t->st, t->a80, t->st.round))
OURS80(y_fld32, sf_f32_to_f80(&t->st, A32))
OURS80(y_fld64, sf_f64_to_f80(&t->st, t->a))
OURS80(y_fild64, sf_int_to_f80((int64_t)t->a))
OURS_M(y_fcom, (int64_t)sf_f80_compare(&t->st, t->a80, t->b80, false))
OURS_M(y_fucom, (int64_t)sf_f80_compare(&t->st, t->a80, t->b80, true))
OURS_M(y_fst32, sf_f80_to_f32(&t->st, t->a80))
OURS_M(y_fst64, sf_f80_to_f64(&t->st, t->a80))
OURS_M(y_fist16, (uint16_t)sf_f80_to_int(&t->st, t->a80, 16, t->st.round))
OURS_M(y_fist32, (uint32_t)sf_f80_to_int(&t->st, t->a80, 32, t->st.round))
OURS_M(y_fistp64, sf_f80_to_int(&t->st, t->a80, 64, t->st.round))
OURS_M(y_fisttp64, sf_f80_to_int(&t->st, t->a80, 64, SF_TO_ZERO))

static const struct x87_operation x87[] = {{"fadd", x_fadd, y_fadd, 10, false}, {"fsub", x_fsub, y_fsub, 10, false},
    {"fmul", x_fmul, y_fmul, 10, false}, {"fdiv", x_fdiv, y_fdiv, 10, false}, {"fsqrt", x_fsqrt, y_fsqrt, 10, false},
    {"frndint", x_frndint, y_frndint, 10, false}, {"fcom", x_fcom, y_fcom, 0, false},
    {"fucom", x_fucom, y_fucom, 0, false}, {"fld m32", x_fld32, y_fld32, 10, false},
    {"fld m64", x_fld64, y_fld64, 10, false}, {"fild m64", x_fild64, y_fild64, 10, false},
    {"fst m32", x_fst32, y_fst32, 4, true}, {"fst m64", x_fst64, y_fst64, 8, true},
    {"fist m16", x_fist16, y_fist16, 2, true}, {"fist m32", x_fist32, y_fist32, 4, true},
    {"fistp m64", x_fistp64, y_fistp64, 8, true}, {"fisttp m64", x_fisttp64, y_fisttp64, 8, true}};

static uint64_t order_of(unsigned sw)
{
	switch (sw & 0x4500) {
	case 0x4500:
		return SF_UNORDERED;
	case 0x4000:
		return SF_EQUAL;
	case 0x100:
		return (uint64_t)SF_LESS;
	default:
		return SF_GREATER;
	}
}

static void x87_instance(const struct x87_operation *o, bool unmasked)
{
	struct instance t = {
	    .st = {.round = (uint8_t)below(4), .masks = unmasked ? (uint8_t)below(64) : 0x3f, .x87 = true}};
	uint8_t result[16] = {0};
	struct outcome native = {0}, ours = {0};
	struct sf before;
	uint16_t sw;
	bool stored;

	t.st.precision = below(2) ? SF_PC_EXTENDED : below(2) ? SF_PC_DOUBLE : SF_PC_SINGLE;
	before = t.st;
	random_operands(&t, below(2) ? K64 : K32);
	o->native(&t, result, &sw);
	memcpy(&native.v, result, o->result < 8 ? o->result : 8);
	memcpy(&native.se, result + 8, o->result == 10 ? 2 : 0);
	if (!o->result)
		native.v = order_of(sw);
	native.flags = sw & 0x3f;
	native.c1 = sw >> 9 & 1;
	o->ours(&t, &ours);
	ours.flags = visible_flags(&t.st);
	ours.c1 = t.st.c1 && !(ours.flags & SF_PRE & ~t.st.masks);
	/* Nothing is stored: what the rest says is no result. */
	stored = !(ours.flags & ~t.st.masks & (o->stores ? SF_PRE | SF_OE | SF_UE : SF_PRE));
	if (!stored) {
		ours.v = native.v;
		ours.se = native.se;
	}
	if (native.v != ours.v || native.se != ours.se || native.flags != ours.flags || native.c1 != ours.c1)
		report(&(struct operation){.name = o->name}, &t, &before, &native, &ours);
}

static void x87_arithmetic(void **state)
{
	(void)state;
	only_on_known_processors();
	for (size_t k = 0; k < ARRAY_LEN(x87); k++)
		for (unsigned n = 0; n < ROUNDS; n++)
			x87_instance(&x87[k], n & 1);
	assert_int_equal(differences, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sse_masked),
	    cmocka_unit_test(sse_unmasked),
	    cmocka_unit_test(x87_arithmetic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
