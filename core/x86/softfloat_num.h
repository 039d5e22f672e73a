/*
 * Inside the floating-point arithmetic: one unpacked form for all formats, and the one place where results are rounded.
 *
 * A finite number is sign * (hi:lo) * 2^(exp - 127), hi:lo a 128-bit significand whose highest bit is set: a value in
 * [1, 2) times 2^exp. Operands have lo = 0; results may have any lo, whose lowest bit stands for everything that was
 * shifted out (sticky). A NaN has its significand in hi as the 80-bit format has it: bit 63 set, bit 62 quiet.
 */
#ifndef VMSCOPE_CORE_X86_SOFTFLOAT_NUM_H
#define VMSCOPE_CORE_X86_SOFTFLOAT_NUM_H

#include "core/x86/softfloat.h"

#define SF_INLINE static inline __attribute__((always_inline))
#define SF_TOP 0x8000000000000000ull
#define SF_QUIET 0x4000000000000000ull

enum sf_class { SF_ZERO, SF_FINITE, SF_INF, SF_NAN, SF_UNSUPPORTED };

struct sf_num {
	uint64_t hi, lo;
	int32_t exp;
	bool sign;
	uint8_t class;	/* enum sf_class */
	bool denormal;	/* as an operand: raises DE */
	bool signaling; /* a NaN that is not quiet */
};

/* A format: bits of the significand with the integer bit, largest exponent (= bias). */
struct sf_format {
	unsigned precision;
	int emax;
	bool adjusts; /* x87 registers; for the others an unmasked overflow or underflow gives no result */
};
#define SF_FORMAT_32 ((struct sf_format){24, 127, false})
#define SF_FORMAT_64 ((struct sf_format){53, 1023, false})
#define SF_BIAS_ADJUST 24576

/* hi:lo >> n; bits that are lost stay visible in the lowest one. */
SF_INLINE void sf_shift_right_jam(uint64_t *hi, uint64_t *lo, unsigned n)
{
	if (n == 0)
		return;
	if (n < 64) {
		uint64_t lost = *lo << (64 - n);

		*lo = *hi << (64 - n) | *lo >> n | (lost != 0);
		*hi >>= n;
	} else if (n < 128) {
		uint64_t lost = n == 64 ? *lo : *lo | *hi << (128 - n);

		*lo = *hi >> (n - 64) | (lost != 0);
		*hi = 0;
	} else {
		*lo = (*hi | *lo) != 0;
		*hi = 0;
	}
}

/* Highest bit of hi:lo (not 0) to bit 127. */
SF_INLINE void sf_normalize(struct sf_num *n)
{
	unsigned s;

	if (!n->hi) {
		n->hi = n->lo;
		n->lo = 0;
		n->exp -= 64;
	}
	s = (unsigned)__builtin_clzll(n->hi);
	if (s) {
		n->hi = n->hi << s | n->lo >> (64 - s);
		n->lo <<= s;
		n->exp -= (int)s;
	}
}

/* binary32 and binary64, given as fields. daz: denormals are zeros of their sign. */
SF_INLINE struct sf_num sf_unpack_ieee(
    bool sign, unsigned biased, uint64_t frac, unsigned precision, int emax, bool daz)
{
	struct sf_num n = {.sign = sign, .class = SF_FINITE, .exp = (int)biased - emax};

	n.hi = frac << (64 - precision);
	if (biased == 0) {
		if (frac == 0 || daz) {
			n.class = SF_ZERO;
			n.hi = 0;
			return n;
		}
		n.denormal = true;
		n.exp = 1 - emax;
		sf_normalize(&n);
	} else if ((int)biased == 2 * emax + 1) {
		n.class = frac ? SF_NAN : SF_INF;
		n.hi |= SF_TOP;
		n.signaling = frac && !(n.hi & SF_QUIET);
	} else {
		n.hi |= SF_TOP;
	}
	return n;
}

SF_INLINE struct sf_num sf_unpack32(const struct sf *st, uint32_t a)
{
	return sf_unpack_ieee(a >> 31, a >> 23 & 0xff, a & 0x7fffff, 24, 127, st->daz);
}

SF_INLINE struct sf_num sf_unpack64(const struct sf *st, uint64_t a)
{
	return sf_unpack_ieee(a >> 63, a >> 52 & 0x7ff, a & 0xfffffffffffffull, 53, 1023, st->daz);
}

/* Unnormals, pseudo-infinities and pseudo-NaNs are invalid operands; pseudo-denormals are denormals
 * [SDM 1 "Unsupported Double Extended-Precision Floating-Point Encodings and Pseudo-Denormals"]. */
SF_INLINE struct sf_num sf_unpack80(struct f80 a)
{
	unsigned biased = a.se & 0x7fff;
	struct sf_num n = {.sign = a.se >> 15, .class = SF_FINITE, .exp = (int)biased - 16383, .hi = a.sig};

	if (biased == 0) {
		if (!a.sig) {
			n.class = SF_ZERO;
			return n;
		}
		n.denormal = true;
		n.exp = 1 - 16383;
		sf_normalize(&n);
	} else if (!(a.sig & SF_TOP)) {
		n.class = SF_UNSUPPORTED;
	} else if (biased == 0x7fff) {
		n.class = a.sig == SF_TOP ? SF_INF : SF_NAN;
		n.signaling = n.class == SF_NAN && !(a.sig & SF_QUIET);
	}
	return n;
}

SF_INLINE struct sf_num sf_zero(bool sign)
{
	return (struct sf_num){.class = SF_ZERO, .sign = sign};
}

SF_INLINE struct sf_num sf_infinity(bool sign)
{
	return (struct sf_num){.class = SF_INF, .sign = sign, .hi = SF_TOP};
}

SF_INLINE struct sf_num sf_default_nan(void)
{
	return (struct sf_num){.class = SF_NAN, .sign = true, .hi = SF_TOP | SF_QUIET};
}

/* An invalid operation: IE and the default NaN. */
SF_INLINE struct sf_num sf_invalid(struct sf *st)
{
	st->flags |= SF_IE;
	return sf_default_nan();
}

/* A result that is one of two operands, of which at least one is a NaN or unsupported. */
struct sf_num sf_propagate_nan(struct sf *st, const struct sf_num *a, const struct sf_num *b);

SF_INLINE bool sf_is_nan(const struct sf_num *a)
{
	return a->class >= SF_NAN;
}

SF_INLINE void sf_operands(struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	if (a->denormal || b->denormal)
		st->flags |= SF_DE;
}

/* Does the part of the significand below the unit (bit 64 - precision of hi) round up in magnitude? */
SF_INLINE bool sf_rounds_up(unsigned round, bool sign, uint64_t hi, uint64_t lo, unsigned precision)
{
	uint64_t unit = 1ull << (64 - precision); /* precision 64: bit 0 */
	uint64_t rest = precision == 64 ? 0 : hi & (unit - 1);
	bool half;

	switch (round) {
	case SF_NEAREST:
		half = precision == 64 ? lo >> 63 : (rest & unit >> 1) != 0;
		if (!half)
			return false;
		if (precision == 64 ? lo << 1 != 0 : (rest & ((unit >> 1) - 1)) || lo)
			return true;
		return (hi & unit) != 0;
	case SF_DOWN:
		return sign && (rest || lo);
	case SF_UP:
		return !sign && (rest || lo);
	default:
		return false;
	}
}

/* A rounded finite number as a format stores it: biased exponent (0: denormal or zero), significand at bit 63. */
struct sf_packed {
	uint64_t sig;
	int biased;
	bool sign;
};

SF_INLINE struct sf_packed sf_overflow(struct sf *st, const struct sf_format *f, bool sign)
{
	bool up = st->round == SF_NEAREST || st->round == (sign ? SF_DOWN : SF_UP);

	st->flags |= SF_OE | SF_PE;
	st->c1 = up;
	if (up)
		return (struct sf_packed){SF_TOP, 2 * f->emax + 1, sign};
	return (struct sf_packed){~0ull << (64 - f->precision), 2 * f->emax, sign};
}

/*
 * The one rounding. Tininess is detected after rounding, as x86 does; masked underflow needs inexactness, unmasked
 * underflow only tininess. Whether an unmasked overflow or underflow is inexact, too, is a question to the significand
 * alone: the exponent counts as unbounded. [SDM 1 "Numeric Underflow Exception (#U)"]
 */
SF_INLINE struct sf_packed sf_round(struct sf *st, const struct sf_format *f, const struct sf_num *n)
{
	uint64_t hi = n->hi, lo = n->lo, unit = 1ull << (64 - f->precision), below = unit - 1;
	int biased = n->exp + f->emax;
	bool tiny = false, up;

	st->c1 = false;
	if (UNLIKELY(biased <= 0)) {
		/* Not tiny if rounding with an unbounded exponent reaches the smallest normal number. */
		tiny = biased < 0 || !(sf_rounds_up(st->round, n->sign, hi, lo, f->precision) && (hi | below) == ~0ull);
		if (tiny && !(st->masks & SF_UE)) {
			st->flags |= SF_UE;
			biased = f->adjusts ? biased + SF_BIAS_ADJUST : 1;
			if (biased <= 0) { /* FSCALE: too small even so */
				st->flags |= SF_PE;
				return (struct sf_packed){0, 0, n->sign};
			}
		} else if (tiny && st->ftz) {
			st->flags |= SF_UE | SF_PE;
			return (struct sf_packed){0, 0, n->sign};
		}
		if (biased <= 0) {
			sf_shift_right_jam(&hi, &lo, (unsigned)(1 - biased));
			biased = 0;
		}
	}
	if ((hi & below) || lo) {
		up = sf_rounds_up(st->round, n->sign, hi, lo, f->precision);
		st->flags |= tiny ? SF_PE | SF_UE : SF_PE;
		hi &= ~below;
		if (up) {
			st->c1 = true;
			hi += unit;
			if (hi == 0) {
				hi = SF_TOP;
				biased++;
			}
		}
	}
	if (biased == 0 && (hi & SF_TOP))
		biased = 1;
	if (UNLIKELY(biased > 2 * f->emax)) {
		if (st->masks & SF_OE)
			return sf_overflow(st, f, n->sign);
		st->flags |= SF_OE;
		biased = f->adjusts ? biased - SF_BIAS_ADJUST : 1;
		if (biased > 2 * f->emax) { /* FSCALE: too large even so */
			st->flags |= SF_PE;
			st->c1 = true;
			return (struct sf_packed){SF_TOP, 2 * f->emax + 1, n->sign};
		}
	}
	return (struct sf_packed){hi, biased, n->sign};
}

SF_INLINE struct sf_packed sf_pack(struct sf *st, const struct sf_format *f, const struct sf_num *n)
{
	switch (n->class) {
	case SF_ZERO:
		st->c1 = false;
		return (struct sf_packed){0, 0, n->sign};
	case SF_FINITE:
		return sf_round(st, f, n);
	default:
		st->c1 = false;
		return (struct sf_packed){n->hi, 2 * f->emax + 1, n->sign};
	}
}

SF_INLINE uint32_t sf_pack32(struct sf *st, const struct sf_num *n)
{
	struct sf_packed p = sf_pack(st, &SF_FORMAT_32, n);

	return (uint32_t)p.sign << 31 | (uint32_t)p.biased << 23 | ((uint32_t)(p.sig >> 40) & 0x7fffff);
}

SF_INLINE uint64_t sf_pack64(struct sf *st, const struct sf_num *n)
{
	struct sf_packed p = sf_pack(st, &SF_FORMAT_64, n);

	return (uint64_t)p.sign << 63 | (uint64_t)p.biased << 52 | (p.sig >> 11 & 0xfffffffffffffull);
}

/* precision: bits of the significand, 24, 53 or 64. */
SF_INLINE struct f80 sf_pack80(struct sf *st, const struct sf_num *n, unsigned precision)
{
	struct sf_packed p = sf_pack(st, &(struct sf_format){precision, 16383, true}, n);

	return (struct f80){p.sig, (uint16_t)((unsigned)p.sign << 15 | (unsigned)p.biased)};
}

SF_INLINE unsigned sf_precision(const struct sf *st)
{
	return st->precision == SF_PC_SINGLE ? 24 : st->precision == SF_PC_DOUBLE ? 53 : 64;
}

/* (hi:lo) / d for hi < d. */
SF_INLINE uint64_t sf_div128(uint64_t hi, uint64_t lo, uint64_t d, uint64_t *rem)
{
	uint64_t q;

	__asm__("divq %4" : "=a"(q), "=d"(*rem) : "a"(lo), "d"(hi), "r"(d) : "cc");
	return q;
}

/*
 * a + b, both finite and not 0, a.exp >= b.exp.
 */
SF_INLINE struct sf_num sf_add_ordered(const struct sf *st, const struct sf_num *a, const struct sf_num *b)
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

SF_INLINE struct sf_num sf_mul_finite(const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num n = {.class = SF_FINITE, .sign = a->sign != b->sign, .exp = a->exp + b->exp};
	unsigned __int128 p = (unsigned __int128)a->hi * b->hi;

	if (p >> 127)
		n.exp++;
	else
		p <<= 1;
	n.hi = (uint64_t)(p >> 64);
	n.lo = (uint64_t)p;
	return n;
}

SF_INLINE struct sf_num sf_div_finite(const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num n = {.class = SF_FINITE, .sign = a->sign != b->sign, .exp = a->exp - b->exp};
	uint64_t rem;

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

enum sf_op { SF_ADD, SF_SUB, SF_MUL, SF_DIV };
/* sf_compute() when an operand is not finite or 0. */
struct sf_num sf_special(enum sf_op op, struct sf *st, const struct sf_num *a, const struct sf_num *b);

/* Unrounded; raises the flags of the operands. op is a constant, so this is code for one operation. mul and div look at
 * 64 bits of their operands, add at 128. */
SF_INLINE struct sf_num sf_compute(enum sf_op op, struct sf *st, const struct sf_num *a, const struct sf_num *b)
{
	struct sf_num x = *a, y = *b;

	if (UNLIKELY(x.class != SF_FINITE || y.class != SF_FINITE)) {
		struct sf_num p = x, q = y; /* copies: x and y may then stay in registers */

		return sf_special(op, st, &p, &q);
	}
	sf_operands(st, &x, &y);
	if (op == SF_MUL)
		return sf_mul_finite(&x, &y);
	if (op == SF_DIV)
		return sf_div_finite(&x, &y);
	y.sign ^= op == SF_SUB;
	return x.exp >= y.exp ? sf_add_ordered(st, &x, &y) : sf_add_ordered(st, &y, &x);
}

/* The same, out of line and for any op. */
struct sf_num sf_calculate(enum sf_op op, struct sf *st, const struct sf_num *a, const struct sf_num *b);
/* sf_pack80() to 64 bits, out of line. */
struct f80 sf_f80_pack(struct sf *st, const struct sf_num *n);
/* a and b may be anything; raises DE and IE as the comparisons do. */
enum sf_order sf_compare(struct sf *st, const struct sf_num *a, const struct sf_num *b, bool quiet);
struct sf_num sf_from_int(int64_t v);
/* A finite number to an integer of at most 64 bits in magnitude; *inexact and *up say what rounding did. False: too
 * large. */
bool sf_to_magnitude(const struct sf_num *a, unsigned round, uint64_t *v, bool *inexact, bool *up);

#endif
