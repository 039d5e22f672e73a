/* x87 and SSE state: numbers of every kind, control words with exceptions masked and not. */
#include <string.h>

#include "tests/oracle/oracle.h"

static uint32_t f32(struct rng *r)
{
	uint32_t v = (uint32_t)rng_next(r);

	switch (rng_below(r, 12)) {
	case 0:
		return v & 0x80000000; /* 0 */
	case 1:
		return (v & 0x80000000) | 0x7f800000; /* infinity */
	case 2:
		return v | 0x7fc00000; /* QNaN */
	case 3:
		return ((v & 0x803fffff) | 0x7f800000) | 1; /* SNaN */
	case 4:
		return v & 0x807fffff; /* denormal */
	case 5:
		return (v & 0x80000000) | 0x3f800000; /* 1 */
	case 6:
	case 7:
	case 8:
		return (v & 0x80ffffff) | ((0x3f + rng_below(r, 3) - 1) << 24); /* near 1 */
	case 9:
		return (v & 0x80000007) | ((0x7f - 20 + rng_below(r, 60)) << 23); /* few bits */
	default:
		return v;
	}
}

static uint64_t f64(struct rng *r)
{
	uint64_t v = rng_next(r), sign = v & 1ull << 63;

	switch (rng_below(r, 12)) {
	case 0:
		return sign;
	case 1:
		return sign | 0x7ffull << 52;
	case 2:
		return v | 0xfffull << 51;
	case 3:
		return (v & 0x8007ffffffffffffull) | 0x7ffull << 52 | 1;
	case 4:
		return v & 0x800fffffffffffffull;
	case 5:
		return sign | 0x3ffull << 52;
	case 6:
	case 7:
	case 8:
		return (v & 0x800fffffffffffffull) | ((uint64_t)(0x3ff - 12 + rng_below(r, 24)) << 52);
	case 9:
		return (v & 0x8007000000000000ull) | ((uint64_t)(0x3ff - 30 + rng_below(r, 90)) << 52);
	default:
		return v;
	}
}

/* 80 bits: also pseudo-denormals, unnormals, pseudo-infinities. */
static void f80(struct rng *r, uint8_t *p)
{
	uint64_t m = rng_next(r);
	uint16_t se = (uint16_t)rng_next(r), sign = se & 0x8000;

	switch (rng_below(r, 14)) {
	case 0:
		m = 0;
		se = sign;
		break;
	case 1:
		m = 1ull << 63;
		se = sign | 0x7fff;
		break;
	case 2:
		m |= 3ull << 62;
		se |= 0x7fff;
		break;
	case 3:
		m = (m >> 2) | 1ull << 63 | 1;
		se |= 0x7fff;
		break;
	case 4:
		m >>= 1 + rng_below(r, 63);
		se = sign;
		break;
	case 5:
		m = 1ull << 63;
		se = (uint16_t)(sign | 0x3fff);
		break;
	case 6: /* whatever it is */
		break;
	case 7: /* an integer, or half of one */
		m = (m | 1ull << 63) & ~0ull << rng_below(r, 64);
		se = (uint16_t)(sign | (0x3fff - 2 + rng_below(r, 68)));
		break;
	default:
		m |= 1ull << 63;
		se = (uint16_t)(sign | (0x3fff - 40 + rng_below(r, 80)));
		break;
	}
	memcpy(p, &m, 8);
	memcpy(p + 8, &se, 2);
}

static void xmm(struct rng *r, uint8_t *p)
{
	unsigned kind = rng_below(r, 4);

	for (unsigned k = 0; k < 16; k += 4) {
		uint32_t v = kind == 0 ? f32(r) : (uint32_t)rng_value(r);

		memcpy(p + k, &v, 4);
	}
	for (unsigned k = 0; k < 16 && kind == 1; k += 8) {
		uint64_t v = f64(r);

		memcpy(p + k, &v, 8);
	}
	for (unsigned k = 0; k < 16 && kind == 2; k += 8) {
		uint64_t v = rng_next(r);

		memcpy(p + k, &v, 8);
	}
}

static void put(uint8_t *p, unsigned off, uint64_t v, unsigned n)
{
	memcpy(p + off, &v, n);
}

/* Numbers for the memory operand of an x87 or SSE instruction. */
static void fx_operand(struct orc_gen *g)
{
	uint8_t b[16];

	for (unsigned k = 0; k < g->c->n_patch && k < 2; k++) {
		switch (rng_below(&g->r, 3)) {
		case 0:
			g->c->patch[k].v = f32(&g->r) | (uint64_t)f32(&g->r) << 32;
			break;
		case 1:
			g->c->patch[k].v = f64(&g->r);
			break;
		default:
			f80(&g->r, b);
			memcpy(&g->c->patch[k].v, b + 8 * (k & 1), 8);
			break;
		}
	}
}

void orc_place_fx(struct orc_gen *g)
{
	struct rng *r = &g->r;
	uint8_t *f = g->c->in.fx;
	bool plain = rng_below(r, 4) != 0;
	unsigned fcw = 0x0040 | (rng_below(r, 16) << 8) | (plain ? 0x3f : rng_below(r, 64));
	unsigned fsw = (rng_below(r, 8) << 11) | ((unsigned)rng_next(r) & 0x4700);
	unsigned ftw = rng_below(r, 4) ? 0xff : (unsigned)rng_next(r) & 0xff;

	if (rng_below(r, 4) == 0) { /* exceptions from before; ES follows when they are not masked */
		fsw |= (unsigned)rng_next(r) & 0x7f;
		if (fsw & 0x3f & ~fcw)
			fsw = rng_below(r, 8) ? fsw & ~(0x3fu & ~fcw) : fsw | 0x8080;
	}
	put(f, 0, fcw, 2);
	put(f, 2, fsw, 2);
	put(f, 4, ftw, 1);
	put(f, 6, rng_next(r) & 0x7ff, 2);
	put(f, 8, rng_next(r) & 0x7fffffffffff, 8);
	put(f, 16, rng_next(r) & 0x7fffffffffff, 8);
	put(f, 24, (rng_next(r) & 0xe07f) | (plain ? 0x1f80 : rng_next(r) & 0x1f80), 4);
	put(f, 28, 0xffff, 4);
	for (unsigned k = 0; k < 8; k++)
		f80(r, f + 32 + 16 * k);
	for (unsigned k = 0; k < 16; k++)
		xmm(r, f + 160 + 16 * k);
	if (g->i.class == INSN_CLASS_FPU && rng_below(r, 8))
		fx_operand(g);
}
