/*
 * See x86_values.h.
 */
#include "tests/x86_values.h"

#include <string.h>

static struct rng own;

uint64_t rng_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void rng_at(struct rng *r, uint64_t seed, uint64_t index)
{
	r->s = rng_mix(rng_mix(seed + 0x9e3779b97f4a7c15u) ^ index);
}

uint64_t rng_next(struct rng *r)
{
	return rng_mix(r->s += 0x9e3779b97f4a7c15u);
}

unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)(((rng_next(r) >> 32) * n) >> 32);
}

/* bits: a power of 2. */
static uint64_t value(struct rng *r, unsigned bits)
{
	uint64_t v = rng_next(r);
	unsigned bit = (unsigned)v & (bits - 1);

	switch (rng_below(r, 9)) {
	case 0:
		return v & 3;
	case 1:
		return 0 - (v & 3);
	case 2:
		return 1ull << bit;
	case 3:
		return (1ull << bit) - 1;
	case 4:
		return v & 0xff;
	case 5:
		return v & 0xffff;
	case 6:
		return v & 0xffffffff;
	case 7:
		return (uint64_t)(int64_t)(int32_t)v;
	default:
		return v;
	}
}

uint64_t rng_value(struct rng *r)
{
	return value(r, 64);
}

void rng_seed(uint64_t seed)
{
	rng_at(&own, seed, 0);
}

uint64_t rng(void)
{
	return rng_next(&own);
}

unsigned below(unsigned n)
{
	return rng_below(&own, n);
}

uint64_t integer(unsigned bits)
{
	return value(&own, bits) & (~0ull >> (64 - bits));
}

/* A number of a format with the given widths: special, or with an exponent at which something happens. */
uint64_t number(unsigned exp_bits, unsigned frac_bits)
{
	uint64_t all = (1ull << exp_bits) - 1, bias = all >> 1, frac = rng() & ((1ull << frac_bits) - 1), exp;
	uint64_t sign = (uint64_t)below(2) << (exp_bits + frac_bits);

	switch (below(12)) {
	case 0:
		return sign;
	case 1:
		return sign | all << frac_bits;
	case 2: /* NaNs, quiet or signaling */
		return sign | all << frac_bits | (frac ? frac : 1);
	case 3:
		exp = 0;
		break;
	case 4:
		exp = below(3) + below(2) * frac_bits;
		break;
	case 5:
		exp = all - 1 - below(3);
		break;
	case 6:
		exp = bias / 2 + below(6);
		break;
	case 7:
		exp = bias + bias / 2 + below(6);
		break;
	case 8:
		exp = bias + below(70);
		break;
	default:
		exp = bias - 4 + below(8);
		break;
	}
	switch (below(4)) {
	case 0:
		frac = below(4);
		break;
	case 1:
		frac = (1ull << frac_bits) - 1 - below(4);
		break;
	case 2: /* few bits: exact results */
		frac &= ~0ull << (frac_bits - below(frac_bits));
		break;
	default:
		break;
	}
	return sign | (exp & all) << frac_bits | (frac & ((1ull << frac_bits) - 1));
}

void vector(uint8_t *p)
{
	unsigned kind = below(7), size = kind == 0 ? 4 : kind == 1 ? 8 : 1u << below(4);

	if (kind == 6 && below(2)) {
		memset(p, 0, 16);
		return;
	}
	for (unsigned k = 0; k < 16; k += size) {
		uint64_t v = kind == 0	 ? number(8, 23)
			     : kind == 1 ? number(11, 52)
			     : kind == 2 ? rng()
			     : kind == 3 ? (uint64_t) "abcab"[below(5)] /* strings */
					 : integer(8 * size);

		if (kind == 3 && below(16) == 0)
			v = 0;
		memcpy(p + k, &v, size);
	}
}

uint32_t random_mxcsr(void)
{
	uint32_t v = (uint32_t)rng() & 0xe07fu; /* FTZ, RC, DAZ, flags */

	if (below(2))
		v &= ~0x8040u;
	if (below(2))
		v &= ~0x3fu;
	v |= below(3) ? 0x1f80u : (uint32_t)rng() & 0x1f80u;
	return v;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

void random_fx(unsigned xmm, uint8_t *fx)
{
	uint32_t m = random_mxcsr();
	uint64_t ip = rng() >> 17;

	memset(fx, 0, 512);
	put16(fx + AT_FCW, 0x037f);
	if (below(4) == 0) {
		put16(fx + AT_FCW, ((unsigned)rng() & 0x0f3f) | 0x40);
		put16(fx + AT_FSW, (unsigned)rng() & 0x7f7f);
		/* the summary bits as they follow */
		if (fx[AT_FSW] & ~fx[AT_FCW] & 0x3f) {
			if (below(4))
				fx[AT_FSW] &= 0x40;
			else
				put16(fx + AT_FSW, fx[AT_FSW] | fx[AT_FSW + 1] << 8 | 0x8080);
		}
	} else if (below(2)) {
		put16(fx + AT_FSW, below(8) << 11);
	}
	fx[AT_FTW] = below(2) ? 0 : (uint8_t)rng();
	memcpy(fx + AT_MXCSR, &m, 4);
	put16(fx + AT_FOP, below(2) ? 0 : below(2048));
	memcpy(fx + AT_FIP, &ip, 8);
	ip = rng() >> 17;
	memcpy(fx + AT_FIP + 8, &ip, 8);
	for (unsigned r = 0; r < 8; r++) {
		vector(fx + AT_ST + 16 * r);
		memset(fx + AT_ST + 16 * r + 10, 0, 6);
	}
	for (unsigned r = 0; r < xmm; r++)
		vector(fx + AT_XMM + 16 * r);
	if (below(8) == 0)
		memset(fx + AT_XMM, 0, 256);
	if (below(8) == 0) {
		memset(fx, 0, AT_MXCSR);
		memset(fx + AT_ST, 0, 128);
		put16(fx, 0x37f);
	}
}
