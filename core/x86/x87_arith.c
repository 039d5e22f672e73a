/*
 * x87 arithmetic: add, subtract, multiply, divide, square root, remainder, scale, extract, round, change sign.
 */
#include "core/x86/x87.h"

typedef struct f80 (*x87_op)(struct sf *st, struct f80 a, struct f80 b);

/* D8: ST(0) with ST(i) into ST(0). DC: into ST(i). DE: the same and pop. */
X86_INLINE enum x86_rc arith_reg(struct x86_cpu *c, const struct x86_insn *i, x87_op op, bool reverse)
{
	unsigned r = i->rm & 7, d = i->opcode == 0xd8 ? 0 : r, s = r - d;
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (UNLIKELY(x87_empty(c, d) || x87_empty(c, s)))
		v = x87_stack_fault(&x, false);
	else if (reverse)
		v = op(&x.st, x87_get(c, s), x87_get(c, d));
	else
		v = op(&x.st, x87_get(c, d), x87_get(c, s));
	rc = x87_end(&x);
	if (x87_writes(&x)) {
		x87_set(c, d, v);
		if (i->opcode == 0xde)
			x87_pop(c);
	}
	return rc;
}

/* Such an operand is used as it is: a denormal raises DE, and of two NaNs, a signaling one still is one. */
static __attribute__((noinline)) struct f80 calculate_unusual(
    struct x87 *x, enum sf_op op, bool reverse, uint64_t m, unsigned size)
{
	struct sf_num a = sf_unpack80(x87_get(x->c, 0)), r;
	struct sf_num b = size == 4 ? sf_unpack32(&x->st, (uint32_t)m) : sf_unpack64(&x->st, m);

	r = reverse ? sf_calculate(op, &x->st, &b, &a) : sf_calculate(op, &x->st, &a, &b);
	return sf_pack80(&x->st, &r, sf_precision(&x->st));
}

X86_INLINE enum x86_rc arith_mem(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool integer, x87_op op,
    enum sf_op unusual, bool reverse)
{
	struct x87 x;
	struct f80 v;
	uint64_t m;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_ea(c, i), size, &m);
	if (rc != X86_OK)
		return rc;
	if (UNLIKELY(x87_empty(c, 0)))
		v = x87_stack_fault(&x, false);
	else if (UNLIKELY(!x87_widen(m, size, integer, &v)))
		v = calculate_unusual(&x, unusual, reverse, m, size);
	else
		v = reverse ? op(&x.st, v, x87_get(c, 0)) : op(&x.st, x87_get(c, 0), v);
	return x87_end_top(&x, v);
}

#define ARITH(name, fn, op, reverse)                                  \
	X86_HANDLER(name##_reg, arith_reg, fn, reverse)               \
	X86_HANDLER(name##_m32, arith_mem, 4, false, fn, op, reverse) \
	X86_HANDLER(name##_m64, arith_mem, 8, false, fn, op, reverse) \
	X86_HANDLER(name##_i16, arith_mem, 2, true, fn, op, reverse)  \
	X86_HANDLER(name##_i32, arith_mem, 4, true, fn, op, reverse)  \
	X87_FAMILY(name, name##_reg, NULL, name##_m32, name##_m64)    \
	X87_FAMILY(i##name, NULL, name##_i16, name##_i32, NULL)

ARITH(fadd, sf_f80_add, SF_ADD, false)
ARITH(fmul, sf_f80_mul, SF_MUL, false)
ARITH(fsub, sf_f80_sub, SF_SUB, false)
ARITH(fsubr, sf_f80_sub, SF_SUB, true)
ARITH(fdiv, sf_f80_div, SF_DIV, false)
ARITH(fdivr, sf_f80_div, SF_DIV, true)

/* ---- instructions on ST(0), some with ST(1) ---- */

typedef struct f80 (*x87_binary)(struct x87 *x, struct f80 a, struct f80 b);

X86_INLINE enum x86_rc binary(struct x86_cpu *c, const struct x86_insn *i, x87_binary fn)
{
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (i->id == INSN_FPREM || i->id == INSN_FPREM1)
		x.cc &= ~X87_C2; /* even if nothing is reduced */
	v = x87_empty(c, 0) || x87_empty(c, 1) ? x87_stack_fault(&x, false) : fn(&x, x87_get(c, 0), x87_get(c, 1));
	return x87_end_top(&x, v);
}

static struct f80 do_fchs(struct x87 *x, struct f80 a)
{
	(void)x;
	a.se ^= 0x8000;
	return a;
}

static struct f80 do_fabs(struct x87 *x, struct f80 a)
{
	(void)x;
	a.se &= 0x7fff;
	return a;
}

static struct f80 do_fsqrt(struct x87 *x, struct f80 a)
{
	return sf_f80_sqrt(&x->st, a);
}

static struct f80 do_frndint(struct x87 *x, struct f80 a)
{
	return sf_f80_round_to_int(&x->st, a, x->st.round);
}

/* ST(0) * 2^trunc(ST(1)). */
static struct f80 do_fscale(struct x87 *x, struct f80 a, struct f80 b)
{
	struct sf_num n = sf_unpack80(a), by = sf_unpack80(b);
	uint8_t masks = x->st.masks;
	bool inexact, up;
	struct f80 r;
	uint64_t m;

	if (sf_is_nan(&n) || sf_is_nan(&by)) {
		n = sf_propagate_nan(&x->st, &n, &by);
	} else if (by.class == SF_INF && n.class == (by.sign ? SF_INF : SF_ZERO)) {
		n = sf_invalid(&x->st);
	} else {
		sf_operands(&x->st, &n, &by);
		if (by.class == SF_INF) {
			n = by.sign ? sf_zero(n.sign) : sf_infinity(n.sign);
		} else if (n.class == SF_FINITE) {
			if (!sf_to_magnitude(&by, SF_TO_ZERO, &m, &inexact, &up) || m > 0x10000)
				m = 0x10000;
			n.exp += by.sign ? -(int)m : (int)m;
		}
		if (by.class == SF_ZERO)
			x->st.masks |= SF_UE; /* as it is */
	}
	r = sf_f80_pack(&x->st, &n);
	x->st.masks = masks;
	return r;
}

/*
 * The remainder of finite numbers. At most 63 bits of the quotient are developed at once: with a larger difference of
 * the exponents the instruction reduces it by n = 32 + (difference mod 32) and says so in C2; software repeats it.
 * [SDM 2A "FPREM - Partial Remainder"]
 */
static struct sf_num remainder_of(struct x87 *x, struct sf_num a, const struct sf_num *b, bool nearest)
{
	int diff = a.exp - b->exp;
	unsigned n = diff < 64 ? (unsigned)diff : ((unsigned)diff & 31) | 32;
	uint64_t q, r;

	if (diff < -1 || (diff < 0 && (!nearest || a.hi <= b->hi)))
		return a;
	if (diff < 0) { /* above one half of b: one more, and the rest is negative; in units of a */
		q = 1;
		r = 2 * b->hi - a.hi; /* modulo 2^64: it is below 2^64 */
		a.sign = !a.sign;
	} else {
		if (n == 0) {
			q = a.hi >= b->hi;
			r = q ? a.hi - b->hi : a.hi;
		} else {
			q = sf_div128(a.hi >> (64 - n), a.hi << n, b->hi, &r);
		}
		a.exp = diff < 64 ? b->exp : a.exp - (int)n;
		if (diff < 64 && nearest && (r > b->hi - r || (r == b->hi - r && (q & 1)))) {
			q++;
			r = b->hi - r;
			a.sign = !a.sign;
		}
	}
	if (diff < 64) {
		x->cc = (q & 4 ? X87_C0 : 0) | (q & 2 ? X87_C3 : 0);
		x->st.c1 = q & 1;
	} else {
		x->cc = X87_C2;
	}
	if (r == 0)
		return sf_zero(a.sign);
	a.hi = r;
	sf_normalize(&a);
	return a;
}

X86_INLINE struct f80 partial_remainder(struct x87 *x, struct f80 a, struct f80 b, bool nearest)
{
	struct sf_num n = sf_unpack80(a), d = sf_unpack80(b);
	uint8_t masks = x->st.masks;
	struct f80 r;
	bool c1;

	if (sf_is_nan(&n) || sf_is_nan(&d)) {
		n = sf_propagate_nan(&x->st, &n, &d);
	} else if (n.class == SF_INF || d.class == SF_ZERO) {
		n = sf_invalid(&x->st);
	} else {
		sf_operands(&x->st, &n, &d);
		if (!x87_writes(x))
			return a;
		x->cc = 0;
		if (n.class == SF_FINITE && d.class == SF_FINITE)
			n = remainder_of(x, n, &d, nearest);
	}
	c1 = x->st.c1;
	if (d.class == SF_INF)
		x->st.masks |= SF_UE; /* the dividend comes back as it is */
	r = sf_f80_pack(&x->st, &n);
	x->st.masks = masks;
	x->st.c1 = c1; /* a bit of the quotient; the remainder is exact */
	return r;
}

static struct f80 do_fprem(struct x87 *x, struct f80 a, struct f80 b)
{
	return partial_remainder(x, a, b, false);
}

static struct f80 do_fprem1(struct x87 *x, struct f80 a, struct f80 b)
{
	return partial_remainder(x, a, b, true);
}

/* ST(0) becomes the exponent, the significand is pushed. */
static enum x86_rc op_fxtract(struct x86_cpu *c, const struct x86_insn *i)
{
	struct f80 exponent, significand;
	struct sf_num n;
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	n = sf_unpack80(x87_get(c, 0));
	if (x87_empty(c, 0) || x87_is_full(&x)) {
		significand = exponent = x87_stack_fault(&x, !x87_empty(c, 0));
	} else if (sf_is_nan(&n)) {
		n = sf_propagate_nan(&x.st, &n, &n);
		significand = exponent = sf_f80_pack(&x.st, &n);
	} else {
		struct sf_num e = n.class == SF_INF ? sf_infinity(false) : sf_infinity(true);

		sf_operands(&x.st, &n, &n);
		if (n.class == SF_ZERO)
			x.st.flags |= SF_ZE;
		if (n.class == SF_FINITE) {
			e = sf_from_int(n.exp);
			n.exp = 0;
		}
		exponent = sf_f80_pack(&x.st, &e);
		significand = sf_f80_pack(&x.st, &n);
	}
	rc = x87_end(&x);
	if (x87_writes(&x)) {
		x87_set(c, 0, exponent);
		x87_push(c, significand);
	}
	return rc;
}

X86_HANDLER(op_fchs, x87_replace_top, do_fchs)
X86_HANDLER(op_fabs, x87_replace_top, do_fabs)
X86_HANDLER(op_fsqrt, x87_replace_top, do_fsqrt)
X86_HANDLER(op_frndint, x87_replace_top, do_frndint)
X86_HANDLER(op_fscale, binary, do_fscale)
X86_HANDLER(op_fprem, binary, do_fprem)
X86_HANDLER(op_fprem1, binary, do_fprem1)
X86_FAMILY_ONE(fchs, op_fchs)
X86_FAMILY_ONE(fabs, op_fabs)
X86_FAMILY_ONE(fsqrt, op_fsqrt)
X86_FAMILY_ONE(frndint, op_frndint)
X86_FAMILY_ONE(fscale, op_fscale)
X86_FAMILY_ONE(fprem, op_fprem)
X86_FAMILY_ONE(fprem1, op_fprem1)
X86_FAMILY_ONE(fxtract, op_fxtract)
