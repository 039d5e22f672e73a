/*
 * The transcendental instructions: special operands, flags and the stack; x87_math.c has the functions. Precision
 * control does not count for them, rounding control does. [SDM 1 "Transcendental Instructions"]
 */
#include "core/x86/x87.h"
#include "core/x86/x87_math.h"

static const struct sf_num one = {.class = SF_FINITE, .hi = SF_TOP};

/* ---- F2XM1 ---- */

static struct sf_num exp2m1(struct x87 *x, const struct sf_num *a)
{
	struct sf_num r = *a;

	if (sf_is_nan(a))
		return sf_propagate_nan(&x->st, a, a);
	sf_operands(&x->st, a, a);
	if (a->class == SF_INF && a->sign) {
		r = one;
		r.sign = true;
	}
	if (a->class != SF_FINITE)
		return r;
	x->st.flags |= SF_PE; /* even for 1 */
	if (a->exp >= 0 && !(a->exp == 0 && a->hi == SF_TOP))
		return r; /* undefined above 1: as it is */
	return x87_exp2m1(a);
}

static struct f80 do_f2xm1(struct x87 *x, struct f80 v)
{
	struct sf_num a = sf_unpack80(v), r = exp2m1(x, &a);

	return sf_f80_pack(&x->st, &r);
}

X86_HANDLER(op_f2xm1, x87_replace_top, do_f2xm1)
X86_FAMILY_ONE(f2xm1, op_f2xm1)

/* ---- of ST(0) and ST(1), into ST(1), and pop ---- */

typedef struct sf_num (*x87_function)(struct x87 *x, const struct sf_num *a, const struct sf_num *b);

X86_INLINE enum x86_rc binary_pop(struct x86_cpu *c, const struct x86_insn *i, x87_function fn)
{
	struct sf_num a, b, r;
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (x87_empty(c, 0) || x87_empty(c, 1)) {
		v = x87_stack_fault(&x, false);
	} else {
		a = sf_unpack80(x87_get(c, 0));
		b = sf_unpack80(x87_get(c, 1));
		r = sf_is_nan(&a) || sf_is_nan(&b) ? sf_propagate_nan(&x.st, &b, &a) : fn(&x, &a, &b);
		v = sf_f80_pack(&x.st, &r);
		if ((x.st.flags & SF_PE) && !(v.se & 0x7fff) && v.sig)
			x.st.flags |= SF_UE; /* a logarithm that is an integer counts as inexact, too */
	}
	rc = x87_end(&x);
	if (x87_writes(&x)) {
		x87_set(c, 1, v);
		x87_pop(c);
	}
	return rc;
}

/* b * l for a logarithm l, which may be 0 (of its sign) or infinite, too. */
static struct sf_num times_log(struct x87 *x, const struct sf_num *b, struct sf_num l)
{
	if ((b->class == SF_INF && l.class == SF_ZERO) || (b->class == SF_ZERO && l.class == SF_INF))
		return sf_invalid(&x->st);
	if (b->class == SF_INF || l.class == SF_INF)
		return sf_infinity(b->sign != l.sign);
	return x87_wide_mul(b, &l);
}

static struct sf_num fyl2x(struct x87 *x, const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num l;

	if (a->class == SF_ZERO) {
		if (b->class == SF_ZERO)
			return sf_invalid(&x->st);
		if (b->class == SF_FINITE)
			x->st.flags |= SF_ZE;
		return sf_infinity(!b->sign);
	}
	if (a->sign)
		return sf_invalid(&x->st);
	l = a->class == SF_INF ? sf_infinity(false) : x87_log2(a);
	if ((b->class == SF_INF && l.class == SF_ZERO) || (b->class == SF_ZERO && l.class == SF_INF))
		return sf_invalid(&x->st);
	sf_operands(&x->st, a, b);
	if (a->class == SF_FINITE && b->class == SF_FINITE && l.class == SF_FINITE)
		x->st.flags |= SF_PE; /* even for a power of 2 */
	return times_log(x, b, l);
}

static struct sf_num fyl2xp1(struct x87 *x, const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num l = *a;

	if (a->sign && a->class == SF_INF)
		return sf_invalid(&x->st);
	if (a->sign && a->class == SF_FINITE && a->exp >= 0) { /* undefined */
		sf_operands(&x->st, a, b);
		if (b->class == SF_INF)
			return sf_infinity(!b->sign);
		if (b->class == SF_ZERO)
			return sf_zero(!b->sign);
		x->st.flags |= SF_PE;
		return *a;
	}
	if (a->class == SF_FINITE)
		l = x87_log2p1(a);
	if ((b->class == SF_INF && l.class == SF_ZERO) || (b->class == SF_ZERO && l.class == SF_INF))
		return sf_invalid(&x->st);
	sf_operands(&x->st, a, b);
	if (a->class == SF_FINITE && b->class == SF_FINITE)
		x->st.flags |= SF_PE;
	return times_log(x, b, l);
}

/* The angle of (a, b) = (x, y). */
static struct sf_num fpatan(struct x87 *x, const struct sf_num *a, const struct sf_num *b)
{
	sf_operands(&x->st, a, b);
	if (a->class == SF_FINITE && b->class == SF_FINITE)
		return x87_atan2(b, a);
	if (a->class == SF_INF && b->class == SF_INF)
		return x87_constant(a->sign ? X87_THREE_QUARTERS_PI : X87_QUARTER_PI, b->sign);
	if (b->class == SF_ZERO || a->class == SF_INF)
		return a->sign ? x87_constant(X87_PI, b->sign) : sf_zero(b->sign);
	return x87_constant(X87_HALF_PI, b->sign);
}

X86_HANDLER(op_fyl2x, binary_pop, fyl2x)
X86_HANDLER(op_fyl2xp1, binary_pop, fyl2xp1)
X86_HANDLER(op_fpatan, binary_pop, fpatan)
X86_FAMILY_ONE(fyl2x, op_fyl2x)
X86_FAMILY_ONE(fyl2xp1, op_fyl2xp1)
X86_FAMILY_ONE(fpatan, op_fpatan)

/* ---- FSIN, FCOS, FSINCOS, FPTAN ---- */

enum { WANT_SIN = 1, WANT_COS = 2, WANT_TAN = 4 };

/* Where r^2 is not seen in 128 bits, the sine is below r, and the tangent, which is to become a quotient, above it:
 * with r itself and a cosine below 1 it does. */
static struct sf_num sine(const struct sf_num *r, unsigned want)
{
	return (want & WANT_TAN) && r->exp < -60 ? *r : x87_sin(r);
}

/* Sine and cosine of a finite number that is not 0. */
static void sin_cos(const struct sf_num *a, unsigned want, struct sf_num *s, struct sf_num *c)
{
	struct sf_num r;
	unsigned quarter = x87_reduce(a, &r);
	bool swap = quarter & 1;

	if (want & WANT_SIN) {
		*s = swap ? x87_cos(&r) : sine(&r, want);
		s->sign ^= quarter >> 1;
	}
	if (want & WANT_COS) {
		*c = swap ? sine(&r, want) : x87_cos(&r);
		c->sign ^= quarter == 1 || quarter == 2;
	}
}

/* False: the operand is out of range (2^63 and more): C2 is set and nothing happens. */
static bool trigonometric(struct x87 *x, unsigned want, struct sf_num *s, struct sf_num *c)
{
	struct sf_num a = sf_unpack80(x87_get(x->c, 0));

	x->cc &= ~X87_C2;
	if (sf_is_nan(&a)) {
		*s = *c = sf_propagate_nan(&x->st, &a, &a);
	} else if (a.class == SF_INF) {
		*s = *c = sf_invalid(&x->st);
	} else if (a.class == SF_ZERO) {
		*s = a;
		*c = one;
	} else if (a.exp >= 63) {
		x->cc |= X87_C2;
		return false;
	} else {
		sf_operands(&x->st, &a, &a);
		sin_cos(&a, want, s, c);
	}
	return true;
}

X86_INLINE enum x86_rc one_result(struct x86_cpu *c, const struct x86_insn *i, unsigned want)
{
	struct sf_num s, k;
	bool write = true;
	struct x87 x;
	struct f80 v = {0};
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (x87_empty(c, 0)) {
		x.cc &= ~X87_C2;
		v = x87_stack_fault(&x, false);
	} else {
		write = trigonometric(&x, want, &s, &k);
		if (write)
			v = sf_f80_pack(&x.st, want == WANT_SIN ? &s : &k);
	}
	rc = x87_end(&x);
	if (write && x87_writes(&x))
		x87_set(c, 0, v);
	return rc;
}

/* FSINCOS leaves the sine and pushes the cosine; FPTAN leaves the tangent and pushes 1. */
X86_INLINE enum x86_rc two_results(struct x86_cpu *c, const struct x86_insn *i, bool tangent)
{
	struct sf_num s, k;
	bool write = true;
	struct x87 x;
	struct f80 v = {0}, pushed = {0};
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (x87_empty(c, 0) || x87_is_full(&x)) {
		x.cc &= ~X87_C2;
		v = pushed = x87_stack_fault(&x, !x87_empty(c, 0));
	} else {
		write = trigonometric(&x, WANT_SIN | WANT_COS | (tangent ? WANT_TAN : 0), &s, &k);
		if (write && tangent && !sf_is_nan(&s)) {
			s = x87_wide_div(&s, &k);
			s.lo |= s.class == SF_FINITE;
			k = one;
		}
		if (write) {
			pushed = sf_f80_pack(&x.st, &k);
			v = sf_f80_pack(&x.st, &s);
		}
	}
	rc = x87_end(&x);
	if (write && x87_writes(&x)) {
		x87_set(c, 0, v);
		x87_push(c, pushed);
	}
	return rc;
}

X86_HANDLER(op_fsin, one_result, WANT_SIN)
X86_HANDLER(op_fcos, one_result, WANT_COS)
X86_HANDLER(op_fsincos, two_results, false)
X86_HANDLER(op_fptan, two_results, true)
X86_FAMILY_ONE(fsin, op_fsin)
X86_FAMILY_ONE(fcos, op_fcos)
X86_FAMILY_ONE(fsincos, op_fsincos)
X86_FAMILY_ONE(fptan, op_fptan)
