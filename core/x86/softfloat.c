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

static struct sf_num special_add(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	if (a->class == SF_INF && b->class == SF_INF && a->sign != b->sign)
		return sf_invalid(st);
	sf_operands(st, a, b);
	if (a->class == SF_INF || b->class == SF_INF)
		return sf_infinity(a->class == SF_INF ? a->sign : b->sign);
	if (a->class == SF_ZERO && b->class == SF_ZERO)
		return sf_zero(a->sign == b->sign ? a->sign : st->round == SF_DOWN);
	return a->class == SF_ZERO ? *b : *a;
}

static struct sf_num special_mul(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	bool sign = a->sign != b->sign;

	if ((a->class == SF_INF && b->class == SF_ZERO) || (a->class == SF_ZERO && b->class == SF_INF))
		return sf_invalid(st);
	sf_operands(st, a, b);
	return a->class == SF_INF || b->class == SF_INF ? sf_infinity(sign) : sf_zero(sign);
}

static struct sf_num special_div(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	bool sign = a->sign != b->sign;

	if (a->class == b->class)
		return sf_invalid(st);
	if (b->class == SF_ZERO && a->class == SF_FINITE) {
		st->flags |= SF_ZE;
		return sf_infinity(sign);
	}
	sf_operands(st, a, b);
	return a->class == SF_INF || b->class == SF_ZERO ? sf_infinity(sign) : sf_zero(sign);
}

struct sf_num sf_special(enum sf_op op, struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num y = *b;

	if (sf_is_nan(a) || sf_is_nan(b))
		return sf_propagate_nan(st, a, b);
	switch (op) {
	case SF_MUL:
		return special_mul(st, a, b);
	case SF_DIV:
		return special_div(st, a, b);
	case SF_SUB:
		y.sign = !y.sign;
		return special_add(st, a, &y);
	case SF_ADD:
	default:
		return special_add(st, a, &y);
	}
}

/*
 * Integer square roots by Zimmermann's method: from the root of the upper half, *rem left over, one division gives the
 * root of the whole. a >= 2^62.
 */
SF_INLINE uint64_t root_step(uint64_t root, uint64_t *rem, uint64_t low, unsigned half)
{
	uint64_t n = *rem << half | low >> half, q = n / (2 * root);
	int64_t rest = (int64_t)((n - 2 * root * q) << half | (low & ((1ull << half) - 1))) - (int64_t)(q * q);

	root = (root << half) + q;
	if (rest < 0) {
		rest += (int64_t)(2 * root - 1);
		root--;
	}
	*rem = (uint64_t)rest;
	return root;
}

static uint64_t sqrt64(uint64_t a, uint64_t *rem)
{
	unsigned top = (unsigned)(a >> 48), root = 0;

	for (unsigned bit = 0x80; bit; bit >>= 1)
		root += (root + bit) * (root + bit) <= top ? bit : 0;
	*rem = top - root * root;
	return root_step(root_step(root, rem, a >> 32 & 0xffff, 8), rem, a & 0xffffffff, 16);
}

/* Of hi:lo >= 2^126. *more: 0 the root is exact, 1 the rest is below one half, 2 above. */
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

struct sf_num sf_calculate(enum sf_op op, struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	switch (op) {
	case SF_MUL:
		return sf_compute(SF_MUL, st, a, b);
	case SF_DIV:
		return sf_compute(SF_DIV, st, a, b);
	case SF_SUB:
		return sf_compute(SF_SUB, st, a, b);
	case SF_ADD:
	default:
		return sf_compute(SF_ADD, st, a, b);
	}
}

struct f80 sf_f80_pack(struct sf *st, const struct sf_num *n)
{
	return sf_pack80(st, n, 64);
}

#define BINARY(width, type, name, op)                                                   \
	type sf_f##width##_##name(struct sf *st, type a, type b)                        \
	{                                                                               \
		struct sf_num x = sf_unpack##width(st, a), y = sf_unpack##width(st, b); \
		struct sf_num r = sf_compute(op, st, &x, &y);                           \
                                                                                        \
		return sf_pack##width(st, &r);                                          \
	}
#define IEEE(width, type)                                                           \
	BINARY(width, type, add, SF_ADD)                                            \
	BINARY(width, type, sub, SF_SUB)                                            \
	BINARY(width, type, mul, SF_MUL)                                            \
	BINARY(width, type, div, SF_DIV)                                            \
	type sf_f##width##_sqrt(struct sf *st, type a)                              \
	{                                                                           \
		struct sf_num x = sf_unpack##width(st, a), r = square_root(st, &x); \
                                                                                    \
		return sf_pack##width(st, &r);                                      \
	}

IEEE(32, uint32_t)
IEEE(64, uint64_t)

#define BINARY_80(name, op)                                                                           \
	struct f80 sf_f80_##name(struct sf *st, struct f80 a, struct f80 b)                           \
	{                                                                                             \
		struct sf_num x = sf_unpack80(a), y = sf_unpack80(b), r = sf_compute(op, st, &x, &y); \
                                                                                                      \
		return sf_pack80(st, &r, sf_precision(st));                                           \
	}
BINARY_80(add, SF_ADD)
BINARY_80(sub, SF_SUB)
BINARY_80(mul, SF_MUL)
BINARY_80(div, SF_DIV)

struct f80 sf_f80_sqrt(struct sf *st, struct f80 a)
{
	struct sf_num x = sf_unpack80(a), r = square_root(st, &x);

	return sf_pack80(st, &r, sf_precision(st));
}
