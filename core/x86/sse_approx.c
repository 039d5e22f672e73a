/*
 * RCPPS, RCPSS, RSQRTPS, RSQRTSS: the manual bounds their error (1.5 * 2^-12) and leaves the result to the processor.
 * Ours is one definition, the same on every host: the exact value, rounded to twelve fraction bits, to nearest, halves
 * up. See docs/FLOAT.md for the difference to real ones. They raise no exception and do not look at MXCSR: a denormal
 * source is a zero, a denormal result becomes one. [SDM 2B "RCPPS - Compute Reciprocals of Packed Single Precision
 * Floating-Point Values"]
 */
#include "core/x86/sse_float.h"

#define SIGN 0x80000000u
#define INFINITY_ 0x7f800000u
#define QUIET_BIT 0x00400000u
#define FRACTION 0x007fffffu
#define HIDDEN 0x00800000u

/* A quotient or root q with a leading one at bit 13 (12 fraction bits and one to round by), at exponent exp. */
static uint32_t pack(uint32_t sign, int32_t exp, uint32_t q)
{
	q = (q + 1) >> 1;
	if (q >> 13) { /* rounded up to a power of two */
		q >>= 1;
		exp++;
	}
	return sign | (uint32_t)exp << 23 | (q & 0xfff) << 11;
}

static uint32_t reciprocal(uint32_t a)
{
	uint32_t sign = a & SIGN, m = (a & FRACTION) | HIDDEN;
	int32_t exp = a >> 23 & 0xff;

	if (exp == 0xff)
		return a & FRACTION ? a | QUIET_BIT : sign;
	if (exp == 0)
		return sign | INFINITY_;
	if (exp >= 253) /* from 2^126 on, where the result is not above the least normal number */
		return sign;
	if (m == HIDDEN)
		return pack(sign, 254 - exp, 1u << 13);
	/* 1 < m / 2^23 < 2: the quotient is one binary place lower. */
	return pack(sign, 253 - exp, (uint32_t)((1ull << 37) / m));
}

static uint32_t root(uint64_t v)
{
	uint32_t r = 0;

	for (uint32_t bit = 1u << 15; bit; bit >>= 1)
		if ((uint64_t)(r | bit) * (r | bit) <= v)
			r |= bit;
	return r;
}

static uint32_t reciprocal_root(uint32_t a)
{
	uint64_t m = (a & FRACTION) | HIDDEN;
	int32_t exp = a >> 23 & 0xff;

	if (exp == 0xff && (a & FRACTION))
		return a | QUIET_BIT;
	if (exp == 0)
		return (a & SIGN) | INFINITY_;
	if (a & SIGN)
		return SF_F32_NAN;
	if (exp == 0xff)
		return 0;
	/* a = m / 2^23 * 2^(exp - 127), made m' * 2^(2h) with 1 <= m' < 4; then 1/2 < the root of 1/m' <= 1. */
	if (!(exp & 1)) {
		m <<= 1;
		exp--;
	}
	exp = (exp - 127) / 2;
	if (m == HIDDEN)
		return pack(0, 127 - exp, 1u << 13);
	return pack(0, 126 - exp, root((1ull << 51) / m));
}

X86_INLINE void rcp(VEC_ARGS)
{
	for (unsigned k = 0; k < 4; k++)
		d->u32[k] = reciprocal(s->u32[k]);
}

X86_INLINE void rsqrt(VEC_ARGS)
{
	for (unsigned k = 0; k < 4; k++)
		d->u32[k] = reciprocal_root(s->u32[k]);
}

X86_INLINE void rcpss(VEC_ARGS)
{
	d->u32[0] = reciprocal(s->u32[0]);
}

X86_INLINE void rsqrtss(VEC_ARGS)
{
	d->u32[0] = reciprocal_root(s->u32[0]);
}

SSE_XMM(NP_RCPPS, rcp)
SSE_XMM(NP_RSQRTPS, rsqrt)
SSE_BINARY(F3_RCPSS, 16, 4, false, rcpss)
SSE_BINARY(F3_RSQRTSS, 16, 4, false, rsqrtss)
