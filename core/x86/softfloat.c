/*
 * Add, multiply, divide, square root on unpacked numbers, and their binary32, binary64 and 80-bit forms.
 */
#include "core/x86/softfloat_num.h"

/*
 * SSE: the first operand if it is a NaN, else the second. x87: a quiet NaN before a signaling one, else the larger
 * significand, else the positive one [SDM 1 "Operating on SNaNs and QNaNs"]. The result is quiet.
 */
struct sf_num sf_propagate_nan(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num n = *a;

	if (a->class == SF_UNSUPPORTED || b->class == SF_UNSUPPORTED)
		return sf_invalid(st);
	if (a->signaling || b->signaling)
		st->flags |= SF_IE;
	if (a->class != SF_NAN)
		n = *b;
	else if (b->class == SF_NAN && st->x87) {
		if (a->signaling != b->signaling)
			n = a->signaling ? *b : *a;
		else if (a->hi != b->hi)
			n = a->hi < b->hi ? *b : *a;
		else
			n = a->sign ? *b : *a;
	}
	n.hi |= SF_QUIET;
	n.signaling = false;
	return n;
}

/* a + b of different signs, both finite and not 0. */
static struct sf_num subtract_magnitudes(const struct sf *st, struct sf_num a, struct sf_num b)
{
	unsigned __int128 x, y;

	if (a.exp < b.exp || (a.exp == b.exp && a.hi < b.hi)) {
		struct sf_num t = a;

		a = b;
		b = t;
	}
	if (a.exp == b.exp && a.hi == b.hi && a.lo == b.lo)
		return sf_zero(st->round == SF_DOWN);
	sf_shift_right_jam(&b.hi, &b.lo, (unsigned)(a.exp - b.exp));
	x = (unsigned __int128)a.hi << 64 | a.lo;
	y = (unsigned __int128)b.hi << 64 | b.lo;
	x -= y;
	a.hi = (uint64_t)(x >> 64);
	a.lo = (uint64_t)x;
	sf_normalize(&a);
	return a;
}

static struct sf_num add_magnitudes(struct sf_num a, struct sf_num b)
{
	unsigned __int128 x, sum;

	if (a.exp < b.exp) {
		struct sf_num t = a;

		a = b;
		b = t;
	}
	sf_shift_right_jam(&b.hi, &b.lo, (unsigned)(a.exp - b.exp));
	x = (unsigned __int128)a.hi << 64 | a.lo;
	sum = x + ((unsigned __int128)b.hi << 64 | b.lo);
	a.hi = (uint64_t)(sum >> 64);
	a.lo = (uint64_t)sum;
	if (sum < x) {
		sf_shift_right_jam(&a.hi, &a.lo, 1);
		a.hi |= SF_TOP;
		a.exp++;
	}
	return a;
}

struct sf_num sf_add(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	if (UNLIKELY(sf_is_nan(a) || sf_is_nan(b)))
		return sf_propagate_nan(st, a, b);
	if (UNLIKELY(a->class == SF_INF && b->class == SF_INF && a->sign != b->sign))
		return sf_invalid(st);
	sf_operands(st, a, b);
	if (a->class == SF_INF || b->class == SF_INF)
		return a->class == SF_INF ? *a : *b;
	if (a->class == SF_ZERO && b->class == SF_ZERO)
		return sf_zero(a->sign == b->sign ? a->sign : st->round == SF_DOWN);
	if (a->class == SF_ZERO || b->class == SF_ZERO)
		return a->class == SF_ZERO ? *b : *a;
	return a->sign == b->sign ? add_magnitudes(*a, *b) : subtract_magnitudes(st, *a, *b);
}

struct sf_num sf_mul(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num n = {.class = SF_FINITE, .sign = a->sign != b->sign, .exp = a->exp + b->exp};
	unsigned __int128 p;

	if (UNLIKELY(sf_is_nan(a) || sf_is_nan(b)))
		return sf_propagate_nan(st, a, b);
	if ((a->class == SF_INF && b->class == SF_ZERO) || (a->class == SF_ZERO && b->class == SF_INF))
		return sf_invalid(st);
	sf_operands(st, a, b);
	if (a->class == SF_INF || b->class == SF_INF)
		return sf_infinity(n.sign);
	if (a->class == SF_ZERO || b->class == SF_ZERO)
		return sf_zero(n.sign);
	p = (unsigned __int128)a->hi * b->hi;
	if (p >> 127)
		n.exp++;
	else
		p <<= 1;
	n.hi = (uint64_t)(p >> 64);
	n.lo = (uint64_t)p;
	return n;
}

struct sf_num sf_div(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num n = {.class = SF_FINITE, .sign = a->sign != b->sign, .exp = a->exp - b->exp};
	uint64_t rem;

	if (UNLIKELY(sf_is_nan(a) || sf_is_nan(b)))
		return sf_propagate_nan(st, a, b);
	if (a->class == b->class && a->class != SF_FINITE)
		return sf_invalid(st);
	if (b->class == SF_ZERO && a->class == SF_FINITE) {
		st->flags |= SF_ZE;
		return sf_infinity(n.sign);
	}
	sf_operands(st, a, b);
	if (a->class == SF_INF)
		return sf_infinity(n.sign);
	if (a->class == SF_ZERO || b->class == SF_INF)
		return sf_zero(n.sign);
	if (a->hi >= b->hi) {
		n.hi = sf_div128(a->hi >> 1, a->hi << 63, b->hi, &rem);
	} else {
		n.hi = sf_div128(a->hi, 0, b->hi, &rem);
		n.exp--;
	}
	/* The next bit, and whether anything follows. */
	if (rem)
		n.lo = rem > b->hi - rem ? SF_TOP | 1 : rem == b->hi - rem ? SF_TOP : 1;
	return n;
}

/* Integer square root of a, *rem = a - root^2. */
static uint32_t sqrt64(uint64_t a, uint64_t *rem)
{
	uint64_t root = 0, bit = 1ull << 62;

	for (; bit; bit >>= 2) {
		if (a >= root + bit) {
			a -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	*rem = a;
	return (uint32_t)root;
}

/*
 * Square root of hi:lo >= 2^126 by Zimmermann's method: the root of the high half gives the high half of the root, one
 * division the low half. *more: 0 the root is exact, 1 the rest is below one half, 2 above.
 */
static uint64_t sqrt128(uint64_t hi, uint64_t lo, unsigned *more)
{
	uint64_t rem, s = sqrt64(hi, &rem), r;
	/* rem * 2^32 + the next 32 bits has up to 65 bits; q at most 2^32. */
	uint64_t q = sf_div128(rem >> 32, rem << 32 | lo >> 32, 2 * s, &r);
	__int128 rest = (__int128)r << 32 | (lo & 0xffffffff);
	unsigned __int128 root = ((unsigned __int128)s << 32) + q;

	rest -= (__int128)((unsigned __int128)q * q);
	if (rest < 0) {
		rest += (__int128)(2 * root - 1);
		root--;
	}
	*more = rest == 0 ? 0 : rest > (__int128)root ? 2 : 1;
	return (uint64_t)root;
}

struct sf_num sf_sqrt(struct sf *st, const struct sf_num *a)
{
	struct sf_num n = *a;
	unsigned more;

	if (UNLIKELY(sf_is_nan(a)))
		return sf_propagate_nan(st, a, a);
	if (a->class == SF_ZERO)
		return n;
	if (a->sign)
		return sf_invalid(st);
	sf_operands(st, a, a);
	if (a->class == SF_INF)
		return n;
	n.exp = a->exp >> 1; /* rounds down */
	n.denormal = false;
	if (a->exp & 1)
		n.hi = sqrt128(a->hi, 0, &more);
	else
		n.hi = sqrt128(a->hi >> 1, a->hi << 63, &more);
	n.lo = more == 0 ? 0 : more == 1 ? 1 : SF_TOP | 1;
	return n;
}

#define BINARY(width, type, op)                                                     \
	type sf_f##width##_##op(struct sf *st, type a, type b)                      \
	{                                                                           \
		struct sf_num x = sf_unpack##width(st, a);                          \
		struct sf_num y = sf_unpack##width(st, b), r = sf_##op(st, &x, &y); \
                                                                                    \
		return sf_pack##width(st, &r);                                      \
	}
#define IEEE(width, type)                                                                  \
	BINARY(width, type, add)                                                           \
	BINARY(width, type, mul)                                                           \
	BINARY(width, type, div)                                                           \
	type sf_f##width##_sub(struct sf *st, type a, type b)                              \
	{                                                                                  \
		struct sf_num x = sf_unpack##width(st, a), y = sf_unpack##width(st, b), r; \
                                                                                           \
		y.sign ^= !sf_is_nan(&y);                                                  \
		r = sf_add(st, &x, &y);                                                    \
		return sf_pack##width(st, &r);                                             \
	}                                                                                  \
	type sf_f##width##_sqrt(struct sf *st, type a)                                     \
	{                                                                                  \
		struct sf_num x = sf_unpack##width(st, a), r = sf_sqrt(st, &x);            \
                                                                                           \
		return sf_pack##width(st, &r);                                             \
	}

IEEE(32, uint32_t)
IEEE(64, uint64_t)

#define BINARY_80(op)                                                                          \
	struct f80 sf_f80_##op(struct sf *st, struct f80 a, struct f80 b)                      \
	{                                                                                      \
		struct sf_num x = sf_unpack80(a), y = sf_unpack80(b), r = sf_##op(st, &x, &y); \
                                                                                               \
		return sf_pack80(st, &r, sf_precision(st));                                    \
	}
BINARY_80(add)
BINARY_80(mul)
BINARY_80(div)

struct f80 sf_f80_sub(struct sf *st, struct f80 a, struct f80 b)
{
	struct sf_num x = sf_unpack80(a), y = sf_unpack80(b), r;

	y.sign ^= !sf_is_nan(&y);
	r = sf_add(st, &x, &y);
	return sf_pack80(st, &r, sf_precision(st));
}

struct f80 sf_f80_sqrt(struct sf *st, struct f80 a)
{
	struct sf_num x = sf_unpack80(a), r = sf_sqrt(st, &x);

	return sf_pack80(st, &r, sf_precision(st));
}
