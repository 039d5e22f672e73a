/*
 * Transcendental functions in 128-bit arithmetic. All have the same shape: reduce the argument by a table of 128-bit
 * constants, sum a power series in fixed point, put the parts together. docs/FLOAT.md says how exact that is.
 */
#include "core/x86/x87_math.h"
#include "core/x86/x87_tables.h"

#define ONE ((u128)1 << 127) /* 1.0 in fixed point with 127 fraction bits */

static u128 bits_of(const struct sf_num *n)
{
	return (u128)n->hi << 64 | n->lo;
}

/* bits * 2^(exp - 127); bits may be anything. */
static struct sf_num wide(u128 bits, int exp, bool sign)
{
	struct sf_num n = {
	    .class = SF_FINITE, .sign = sign, .exp = exp, .hi = (uint64_t)(bits >> 64), .lo = (uint64_t)bits};

	if (!bits)
		return sf_zero(sign);
	sf_normalize(&n);
	return n;
}

/* The upper half of the product. */
static u128 mul_high(u128 a, u128 b)
{
	uint64_t ah = (uint64_t)(a >> 64), al = (uint64_t)a, bh = (uint64_t)(b >> 64), bl = (uint64_t)b;
	u128 low = (u128)al * bl, m1 = (u128)ah * bl, m2 = (u128)al * bh;
	u128 mid = (low >> 64) + (uint64_t)m1 + (uint64_t)m2;

	return (u128)ah * bh + (m1 >> 64) + (m2 >> 64) + (mid >> 64);
}

/* |n| in fixed point with fraction bits, for |n| < 2^(128 - fraction). */
static u128 fixed(const struct sf_num *n, int fraction)
{
	int shift = 127 - n->exp - fraction;

	if (n->class == SF_ZERO || shift >= 128)
		return 0;
	return bits_of(n) >> shift;
}

struct sf_num x87_wide_mul(const struct sf_num *a, const struct sf_num *b)
{
	if (a->class == SF_ZERO || b->class == SF_ZERO)
		return sf_zero(a->sign != b->sign);
	return wide(mul_high(bits_of(a), bits_of(b)), a->exp + b->exp + 1, a->sign != b->sign);
}

struct sf_num x87_wide_div(const struct sf_num *a, const struct sf_num *b)
{
	u128 n = bits_of(a), d = bits_of(b), q = 0;
	int exp = a->exp - b->exp;

	if (a->class == SF_ZERO)
		return sf_zero(a->sign != b->sign);
	if (n >= d) {
		n -= d;
		q = 1;
	}
	for (unsigned k = q ? 127 : 128; k; k--) {
		bool carry = n >> 127;

		n <<= 1;
		q <<= 1;
		if (carry || n >= d) {
			n -= d;
			q |= 1;
		}
	}
	return wide(q, bits_of(a) >= d ? exp : exp - 1, a->sign != b->sign);
}

static struct sf_num wide_add(const struct sf_num *a, const struct sf_num *b)
{
	struct sf st = {0};

	return sf_calculate(SF_ADD, &st, a, b);
}

/* Not exact, whatever its bits look like. */
static struct sf_num inexact(struct sf_num n)
{
	n.lo |= 1;
	return n;
}

/* c[0] -+ c[1] z + c[2] z^2 -+ ..., z in fixed point with 128 fraction bits. */
static u128 series(const u128 *c, unsigned n, u128 z, bool alternate)
{
	u128 sum = c[n - 1];

	for (unsigned k = n - 1; k-- > 0;)
		sum = alternate ? c[k] - mul_high(sum, z) : c[k] + mul_high(sum, z);
	return sum;
}

static u128 square(const struct sf_num *a)
{
	struct sf_num z = x87_wide_mul(a, a);

	return fixed(&z, 128);
}

struct sf_num x87_constant(enum x87_constant which, bool sign)
{
	static const struct sf_num *const constants[] = {[X87_PI] = &num_pi,
	    [X87_HALF_PI] = &num_half_pi,
	    [X87_QUARTER_PI] = &num_quarter_pi,
	    [X87_THREE_QUARTERS_PI] = &num_three_quarters_pi};
	struct sf_num n = *constants[which];

	n.sign = sign;
	return inexact(n);
}

/* ---- sine and cosine ---- */

/* pi rounded down to 66 bits, as the processors have it [SDM 1 "Approximation of Pi"]: units of 2^-64. */
#define PI_66 ((u128)3 << 64 | 0x243f6a8885a308d3ull)

unsigned x87_reduce(const struct sf_num *a, struct sf_num *r)
{
	/* Long division by pi/2, in units of 2^-66; the rest is exact. |a| >= 1/4 has no bits below 2^-66. */
	u128 rest = a->hi, d = 2 * PI_66;
	unsigned quarter = 0;
	bool sign = a->sign;

	*r = *a;
	if (a->exp < -2)
		return 0;
	for (int k = a->exp + 3; k > 0; k--) {
		rest <<= 1;
		quarter <<= 1;
		if (rest >= d) {
			rest -= d;
			quarter++;
		}
	}
	if (rest > d / 2) {
		rest = d - rest;
		sign = !sign;
		quarter++;
	}
	*r = wide(rest, 127 - 66, sign);
	return (a->sign ? 0 - quarter : quarter) & 3;
}

/* A series that starts with 1 and goes down: below 1 even where the difference is too small to be seen. */
static u128 below_one(u128 sum)
{
	return sum >= ONE ? ONE - 1 : sum;
}

struct sf_num x87_sin(const struct sf_num *a)
{
	u128 p = below_one(series(sin_series, ARRAY_LEN(sin_series), square(a), true));
	struct sf_num f = wide(p, 0, false);

	return inexact(x87_wide_mul(a, &f));
}

struct sf_num x87_cos(const struct sf_num *a)
{
	return inexact(wide(below_one(series(cos_series, ARRAY_LEN(cos_series), square(a), true)), 0, false));
}

/* ---- arc tangent ---- */

/* 0 < t <= 1: the nearest k/16 has its angle in a table, the rest is atan((t - k/16) / (1 + t k/16)). */
static struct sf_num atan_of_ratio(const struct sf_num *t)
{
	u128 f = fixed(t, 127), c;
	unsigned k = (unsigned)((f + (ONE >> 5)) >> 123);
	struct sf_num u = *t, num, den, p;

	c = (u128)k << 123;
	if (k) {
		num = wide(f >= c ? f - c : c - f, 0, f < c);
		den = wide((ONE >> 1) + (f >> 5) * k, 1, false);
		u = x87_wide_div(&num, &den);
	}
	p = wide(below_one(series(atan_series, ARRAY_LEN(atan_series), square(&u), true)), 0, false);
	u = x87_wide_mul(&u, &p);
	return k ? wide_add(&atan_of[k], &u) : u;
}

struct sf_num x87_atan2(const struct sf_num *y, const struct sf_num *x)
{
	struct sf_num ay = *y, ax = *x, r, t;
	bool steep;

	ay.sign = ax.sign = false;
	steep = ay.exp > ax.exp || (ay.exp == ax.exp && bits_of(&ay) > bits_of(&ax));
	t = steep ? x87_wide_div(&ax, &ay) : x87_wide_div(&ay, &ax);
	r = atan_of_ratio(&t);
	if (steep || x->sign) { /* pi/2 - r, pi - r, pi/2 + r */
		const struct sf_num *from = steep ? &num_half_pi : &num_pi;

		r.sign = !(steep && x->sign);
		r = wide_add(from, &r);
	}
	r.sign = y->sign;
	return inexact(r);
}

/* ---- powers of 2 ---- */

/* a = k/32 + f: 2^a - 1 = (2^(k/32) - 1) + 2^(k/32) (e^(f ln 2) - 1). */
struct sf_num x87_exp2m1(const struct sf_num *a)
{
	static const struct sf_num minus_one = {.class = SF_FINITE, .sign = true, .hi = SF_TOP};
	u128 x = fixed(a, 127), c;
	unsigned k = (unsigned)((x + (ONE >> 6)) >> 122);
	struct sf_num f = *a, y, p, e, t;

	c = (u128)k << 122;
	if (k)
		f = wide(x >= c ? x - c : c - x, 0, a->sign != (x < c));
	y = x87_wide_mul(&f, &num_ln_2);
	p = wide(series(exp_series, ARRAY_LEN(exp_series), fixed(&y, 128), y.sign), 0, false);
	e = x87_wide_mul(&y, &p);
	if (!k)
		return inexact(e);
	t = exp2_of[(a->sign ? 32 - k : k) & 31];
	t.exp += a->sign ? -1 : k == 32;
	e = x87_wide_mul(&e, &t);
	t = wide_add(&t, &minus_one);
	if (f.class == SF_ZERO && k == 32)
		return t; /* 2^1 - 1, 2^-1 - 1 */
	t = wide_add(&t, &e);
	return inexact(t);
}

/* ---- logarithms ---- */

/* log2((1 + s) / (1 - s)) = 2 atanh(s) log2(e), |s| <= 1/64. */
static struct sf_num log2_of_ratio(const struct sf_num *s)
{
	struct sf_num p = wide(series(atan_series, ARRAY_LEN(atan_series), square(s), false), 0, false), r;

	r = x87_wide_mul(s, &p);
	r = x87_wide_mul(&r, &num_log2_e);
	r.exp++;
	return r;
}

struct sf_num x87_log2(const struct sf_num *a)
{
	/* The significand m between 22/32 and 46/32, and the nearest c = k/32: log2(m) = log2(c) + log2(m/c), with
	 * s = (m - c) / (m + c). Close to 1 c is 1, and nothing is lost. */
	bool half = bits_of(a) > ONE + (ONE >> 1) - (ONE >> 4);
	u128 m = half ? bits_of(a) >> 1 : bits_of(a), c;
	int e = half ? a->exp + 1 : a->exp;
	unsigned k = (unsigned)((m + (ONE >> 6)) >> 122);
	struct sf_num num, den, s, r, whole = sf_from_int(e);

	c = (u128)k << 122;
	num = wide(m >= c ? m - c : c - m, 0, m < c);
	den = wide((m >> 1) + (c >> 1), 1, false);
	s = x87_wide_div(&num, &den);
	r = log2_of_ratio(&s);
	if (k != 32)
		r = wide_add(&log2_of[k - 22], &r);
	else if (s.class == SF_ZERO)
		return whole; /* a power of 2 */
	return inexact(wide_add(&whole, &r));
}

struct sf_num x87_log2p1(const struct sf_num *a)
{
	static const struct sf_num one = {.class = SF_FINITE, .hi = SF_TOP},
				   two = {.class = SF_FINITE, .hi = SF_TOP, .exp = 1};
	struct sf_num d;

	if (a->exp >= -6) {
		d = wide_add(&one, a);
		return x87_log2(&d);
	}
	d = wide_add(&two, a);
	d = x87_wide_div(a, &d);
	return inexact(log2_of_ratio(&d));
}
