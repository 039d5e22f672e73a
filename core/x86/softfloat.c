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

/*
 * a + b, both finite and not 0, a.exp >= b.exp. Scalars rather than structures from here on: they stay in registers.
 */
SF_INLINE struct sf_num add_finite(const struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	uint64_t bhi = b->hi, blo = b->lo;
	struct sf_num n = {.class = SF_FINITE, .sign = a->sign, .exp = a->exp};
	unsigned __int128 x = (unsigned __int128)a->hi << 64 | a->lo, y, sum;

	sf_shift_right_jam(&bhi, &blo, (unsigned)(a->exp - b->exp));
	y = (unsigned __int128)bhi << 64 | blo;
	if (a->sign == b->sign) {
		sum = x + y;
		if (sum < x) {
			sum = sum >> 1 | (sum & 1) | (unsigned __int128)1 << 127;
			n.exp++;
		}
		n.hi = (uint64_t)(sum >> 64);
		n.lo = (uint64_t)sum;
		return n;
	}
	if (x == y)
		return sf_zero(st->round == SF_DOWN);
	sum = x - y;
	if (x < y) { /* of the same exponent */
		sum = y - x;
		n.sign = b->sign;
	}
	n.hi = (uint64_t)(sum >> 64);
	n.lo = (uint64_t)sum;
	sf_normalize(&n);
	return n;
}

SF_INLINE struct sf_num add_(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	if (UNLIKELY(sf_is_nan(a) || sf_is_nan(b)))
		return sf_propagate_nan(st, a, b);
	if (UNLIKELY(a->class == SF_INF && b->class == SF_INF && a->sign != b->sign))
		return sf_invalid(st);
	sf_operands(st, a, b);
	if (LIKELY(a->class == SF_FINITE && b->class == SF_FINITE))
		return a->exp >= b->exp ? add_finite(st, a, b) : add_finite(st, b, a);
	if (a->class == SF_INF || b->class == SF_INF)
		return sf_infinity(a->class == SF_INF ? a->sign : b->sign);
	if (a->class == SF_ZERO && b->class == SF_ZERO)
		return sf_zero(a->sign == b->sign ? a->sign : st->round == SF_DOWN);
	return a->class == SF_ZERO ? *b : *a;
}

SF_INLINE struct sf_num sub_(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num y = *b;

	y.sign ^= !sf_is_nan(&y);
	return add_(st, a, &y);
}

SF_INLINE struct sf_num mul_(struct sf *st, const struct sf_num *a, const struct sf_num *b)
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

SF_INLINE struct sf_num div_(struct sf *st, const struct sf_num *a, const struct sf_num *b)
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

SF_INLINE struct sf_num square_root(struct sf *st, const struct sf_num *a)
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

struct sf_num sf_add(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	return add_(st, a, b);
}

struct sf_num sf_sub(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	return sub_(st, a, b);
}

struct sf_num sf_mul(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	return mul_(st, a, b);
}

struct sf_num sf_div(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	return div_(st, a, b);
}

#define BINARY(width, type, op)                                                         \
	type sf_f##width##_##op(struct sf *st, type a, type b)                          \
	{                                                                               \
		struct sf_num x = sf_unpack##width(st, a), y = sf_unpack##width(st, b); \
		struct sf_num r = op##_(st, &x, &y);                                    \
                                                                                        \
		return sf_pack##width(st, &r);                                          \
	}
#define IEEE(width, type)                                                           \
	BINARY(width, type, add)                                                    \
	BINARY(width, type, sub)                                                    \
	BINARY(width, type, mul)                                                    \
	BINARY(width, type, div)                                                    \
	type sf_f##width##_sqrt(struct sf *st, type a)                              \
	{                                                                           \
		struct sf_num x = sf_unpack##width(st, a), r = square_root(st, &x); \
                                                                                    \
		return sf_pack##width(st, &r);                                      \
	}

IEEE(32, uint32_t)
IEEE(64, uint64_t)

#define BINARY_80(op)                                                                        \
	struct f80 sf_f80_##op(struct sf *st, struct f80 a, struct f80 b)                    \
	{                                                                                    \
		struct sf_num x = sf_unpack80(a), y = sf_unpack80(b), r = op##_(st, &x, &y); \
                                                                                             \
		return sf_pack80(st, &r, sf_precision(st));                                  \
	}
BINARY_80(add)
BINARY_80(sub)
BINARY_80(mul)
BINARY_80(div)

struct f80 sf_f80_sqrt(struct sf *st, struct f80 a)
{
	struct sf_num x = sf_unpack80(a), r = square_root(st, &x);

	return sf_pack80(st, &r, sf_precision(st));
}
