/*
 * Comparison, minimum and maximum, rounding to integral values, and conversions.
 */
#include "core/x86/softfloat_num.h"

/* ---- order ---- */

static enum sf_order order(const struct sf_num *a, const struct sf_num *b)
{
	int m;

	if (a->class == SF_ZERO && b->class == SF_ZERO)
		return SF_EQUAL;
	if (a->class == SF_ZERO)
		return b->sign ? SF_GREATER : SF_LESS;
	if (b->class == SF_ZERO || a->sign != b->sign)
		return a->sign ? SF_LESS : SF_GREATER;
	if (a->class != b->class) /* one is infinite */
		m = a->class == SF_INF ? 1 : -1;
	else if (a->class == SF_INF)
		m = 0;
	else if (a->exp != b->exp)
		m = a->exp < b->exp ? -1 : 1;
	else
		m = a->hi < b->hi ? -1 : a->hi > b->hi;
	return (enum sf_order)(a->sign ? -m : m);
}

enum sf_order sf_compare(struct sf *st, const struct sf_num *a, const struct sf_num *b, bool quiet)
{
	st->c1 = false;
	if (UNLIKELY(sf_is_nan(a) || sf_is_nan(b))) {
		if (!quiet || a->signaling || b->signaling || a->class == SF_UNSUPPORTED || b->class == SF_UNSUPPORTED)
			st->flags |= SF_IE;
		return SF_UNORDERED;
	}
	sf_operands(st, a, b);
	return order(a, b);
}

enum sf_order sf_f32_compare(struct sf *st, uint32_t a, uint32_t b, bool quiet)
{
	struct sf_num x = sf_unpack32(st, a), y = sf_unpack32(st, b);

	return sf_compare(st, &x, &y, quiet);
}

enum sf_order sf_f64_compare(struct sf *st, uint64_t a, uint64_t b, bool quiet)
{
	struct sf_num x = sf_unpack64(st, a), y = sf_unpack64(st, b);

	return sf_compare(st, &x, &y, quiet);
}

enum sf_order sf_f80_compare(struct sf *st, struct f80 a, struct f80 b, bool quiet)
{
	struct sf_num x = sf_unpack80(a), y = sf_unpack80(b);

	return sf_compare(st, &x, &y, quiet);
}

/* A chosen operand is delivered as it is, a denormal one as 0 under DAZ. */
static uint32_t choose32(const struct sf *st, uint32_t a)
{
	return st->daz && !(a & 0x7f800000) ? a & 0x80000000 : a;
}

static uint64_t choose64(const struct sf *st, uint64_t a)
{
	return st->daz && !(a & 0x7ff0000000000000ull) ? a & SF_TOP : a;
}

uint32_t sf_f32_min(struct sf *st, uint32_t a, uint32_t b)
{
	return choose32(st, sf_f32_compare(st, a, b, false) == SF_LESS ? a : b);
}

uint32_t sf_f32_max(struct sf *st, uint32_t a, uint32_t b)
{
	return choose32(st, sf_f32_compare(st, a, b, false) == SF_GREATER ? a : b);
}

uint64_t sf_f64_min(struct sf *st, uint64_t a, uint64_t b)
{
	return choose64(st, sf_f64_compare(st, a, b, false) == SF_LESS ? a : b);
}

uint64_t sf_f64_max(struct sf *st, uint64_t a, uint64_t b)
{
	return choose64(st, sf_f64_compare(st, a, b, false) == SF_GREATER ? a : b);
}

/* ---- integers ---- */

bool sf_to_magnitude(const struct sf_num *a, unsigned round, uint64_t *v, bool *inexact, bool *up)
{
	uint64_t hi = a->hi, lo = a->lo;

	*v = 0;
	*inexact = *up = false;
	if (a->class == SF_ZERO)
		return true;
	if (a->exp > 63)
		return false;
	/* The integer in hi, the fraction in lo. */
	sf_shift_right_jam(&hi, &lo, (unsigned)(63 - a->exp));
	*inexact = lo != 0;
	*up = sf_rounds_up(round, a->sign, hi, lo, 64);
	*v = hi + *up;
	return !(*up && *v == 0);
}

static int64_t to_int(struct sf *st, const struct sf_num *a, unsigned bits, unsigned round)
{
	uint64_t indefinite = 1ull << (bits - 1), v;
	bool inexact, up;

	st->c1 = false;
	if (a->class >= SF_INF || !sf_to_magnitude(a, round, &v, &inexact, &up) || v > indefinite - !a->sign) {
		st->flags |= SF_IE;
		return (int64_t)(0 - indefinite);
	}
	if (inexact)
		st->flags |= SF_PE;
	st->c1 = up;
	return (int64_t)(a->sign ? 0 - v : v);
}

int64_t sf_f32_to_int(struct sf *st, uint32_t a, unsigned bits, unsigned round)
{
	struct sf_num x = sf_unpack32(st, a);

	return to_int(st, &x, bits, round);
}

int64_t sf_f64_to_int(struct sf *st, uint64_t a, unsigned bits, unsigned round)
{
	struct sf_num x = sf_unpack64(st, a);

	return to_int(st, &x, bits, round);
}

int64_t sf_f80_to_int(struct sf *st, struct f80 a, unsigned bits, unsigned round)
{
	struct sf_num x = sf_unpack80(a);

	return to_int(st, &x, bits, round);
}

struct sf_num sf_from_int(int64_t v)
{
	struct sf_num n = {.class = v ? SF_FINITE : SF_ZERO, .sign = v < 0, .exp = 63};

	if (!v)
		return n;
	n.hi = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	sf_normalize(&n);
	return n;
}

uint32_t sf_int_to_f32(struct sf *st, int64_t v)
{
	struct sf_num n = sf_from_int(v);

	return sf_pack32(st, &n);
}

uint64_t sf_int_to_f64(struct sf *st, int64_t v)
{
	struct sf_num n = sf_from_int(v);

	return sf_pack64(st, &n);
}

struct f80 sf_int_to_f80(int64_t v)
{
	struct sf n80 = {0};
	struct sf_num n = sf_from_int(v);

	return sf_pack80(&n80, &n, 64);
}

/* Rounds to an integral value; a large one is one already. The sign of a zero stays. */
static struct sf_num integral(struct sf *st, const struct sf_num *a, unsigned round, bool suppress_inexact)
{
	struct sf_num n = *a;
	bool inexact, up;
	uint64_t v;

	st->c1 = false;
	if (UNLIKELY(sf_is_nan(a)))
		return sf_propagate_nan(st, a, a);
	n.denormal = false;
	if (a->class != SF_FINITE || a->exp >= 63)
		return n;
	sf_to_magnitude(a, round, &v, &inexact, &up);
	if (inexact && !suppress_inexact)
		st->flags |= SF_PE;
	if (!v)
		return sf_zero(a->sign);
	n.hi = v;
	n.lo = 0;
	n.exp = 63;
	sf_normalize(&n);
	st->c1 = up;
	return n;
}

uint32_t sf_f32_round_to_int(struct sf *st, uint32_t a, unsigned round, bool suppress_inexact)
{
	struct sf_num x = sf_unpack32(st, a), n = integral(st, &x, round, suppress_inexact);

	return sf_pack32(st, &n);
}

uint64_t sf_f64_round_to_int(struct sf *st, uint64_t a, unsigned round, bool suppress_inexact)
{
	struct sf_num x = sf_unpack64(st, a), n = integral(st, &x, round, suppress_inexact);

	return sf_pack64(st, &n);
}

struct f80 sf_f80_round_to_int(struct sf *st, struct f80 a, unsigned round)
{
	struct sf_num x = sf_unpack80(a), n = integral(st, &x, round, false);
	bool up = st->c1;
	struct f80 r;

	if (x.denormal)
		st->flags |= SF_DE;
	r = sf_pack80(st, &n, 64);
	st->c1 = up;
	return r;
}

/* ---- between formats ---- */

/* A NaN becomes quiet, its significand is cut or extended; everything else is as it is. */
static struct sf_num convert(struct sf *st, const struct sf_num *a, bool denormals)
{
	if (UNLIKELY(sf_is_nan(a)))
		return sf_propagate_nan(st, a, a);
	if (denormals && a->denormal)
		st->flags |= SF_DE;
	return *a;
}

uint64_t sf_f32_to_f64(struct sf *st, uint32_t a)
{
	struct sf_num x = sf_unpack32(st, a), n = convert(st, &x, true);

	return sf_pack64(st, &n);
}

uint32_t sf_f64_to_f32(struct sf *st, uint64_t a)
{
	struct sf_num x = sf_unpack64(st, a), n = convert(st, &x, true);

	return sf_pack32(st, &n);
}

struct f80 sf_f32_to_f80(struct sf *st, uint32_t a)
{
	struct sf_num x = sf_unpack32(st, a), n = convert(st, &x, true);

	return sf_pack80(st, &n, 64);
}

struct f80 sf_f64_to_f80(struct sf *st, uint64_t a)
{
	struct sf_num x = sf_unpack64(st, a), n = convert(st, &x, true);

	return sf_pack80(st, &n, 64);
}

/* FST to memory: an unmasked overflow or underflow stores nothing, and so says nothing about rounding. */
static void forget_rounding(struct sf *st, uint8_t before)
{
	if (st->flags & ~st->masks & (SF_OE | SF_UE)) {
		st->flags &= (uint8_t)~SF_PE;
		st->c1 = false;
	}
	st->flags |= before;
}

uint32_t sf_f80_to_f32(struct sf *st, struct f80 a)
{
	struct sf_num x = sf_unpack80(a), n = convert(st, &x, false);
	uint8_t before = st->flags;
	uint32_t r;

	st->flags = 0;
	r = sf_pack32(st, &n);
	forget_rounding(st, before);
	return r;
}

uint64_t sf_f80_to_f64(struct sf *st, struct f80 a)
{
	struct sf_num x = sf_unpack80(a), n = convert(st, &x, false);
	uint8_t before = st->flags;
	uint64_t r;

	st->flags = 0;
	r = sf_pack64(st, &n);
	forget_rounding(st, before);
	return r;
}
