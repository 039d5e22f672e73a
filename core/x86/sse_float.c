/*
 * SSE floating point: arithmetic, comparison, rounding. What a number is, softfloat.h knows; here lanes are fed to it.
 */
#include "core/x86/sse_float.h"

enum x86_rc x86_sse_unmasked(struct x86_cpu *c, const struct sf *st)
{
	unsigned flags = st->flags;

	if (flags & SF_PRE & ~(unsigned)st->masks)
		flags &= SF_PRE;
	c->s.fxsave[SSE_FX_MXCSR] |= (uint8_t)flags;
	return x86_fault(c, c->s.cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD);
}

/* Lane by lane: d = expr of a (destination) and b (source). */
#define FLOAT_LANES(name, lane, expr)                                          \
	X86_INLINE void name(FLOAT_ARGS)                                       \
	{                                                                      \
		for (unsigned k = 0; k < lanes; k++) {                         \
			__typeof__(d->lane[0]) a = d->lane[k], b = s->lane[k]; \
                                                                               \
			(void)a;                                               \
			d->lane[k] = expr;                                     \
		}                                                              \
	}
#define FLOAT_LANES2(name, fn)                            \
	FLOAT_LANES(name##32, u32, sf_f32_##fn(st, a, b)) \
	FLOAT_LANES(name##64, u64, sf_f64_##fn(st, a, b))
FLOAT_LANES2(add, add)
FLOAT_LANES2(sub, sub)
FLOAT_LANES2(mul, mul)
FLOAT_LANES2(div, div)
FLOAT_LANES2(min, min)
FLOAT_LANES2(max, max)
FLOAT_LANES(sqrt32, u32, sf_f32_sqrt(st, b))
FLOAT_LANES(sqrt64, u64, sf_f64_sqrt(st, b))
SSE_FLOAT4(ADD, add)
SSE_FLOAT4(SUB, sub)
SSE_FLOAT4(MUL, mul)
SSE_FLOAT4(DIV, div)
SSE_FLOAT4(MIN, min)
SSE_FLOAT4(MAX, max)
SSE_FLOAT4(SQRT, sqrt)

/* --- Comparison ------------------------------------------------------------------------------------------------ */

/* Equal, less, less or equal, unordered, and the opposites of these: bits 1-0 and 2 of the immediate. Those that order
 * their operands do not accept a quiet NaN. */
static bool holds(enum sf_order o, unsigned predicate)
{
	bool r;

	switch (predicate & 3) {
	case 0:
		r = o == SF_EQUAL;
		break;
	case 1:
		r = o == SF_LESS;
		break;
	case 2:
		r = o == SF_LESS || o == SF_EQUAL;
		break;
	default:
		r = o == SF_UNORDERED;
		break;
	}
	return r != (predicate >> 2 & 1);
}

#define QUIET(predicate) (((predicate)&3) == 0 || ((predicate)&3) == 3)
FLOAT_LANES(cmp32, u32, holds(sf_f32_compare(st, a, b, QUIET(imm)), imm) ? UINT32_MAX : 0)
FLOAT_LANES(cmp64, u64, holds(sf_f64_compare(st, a, b, QUIET(imm)), imm) ? UINT64_MAX : 0)
SSE_FLOAT(NP_CMPPS, 16, 4, cmp32)
SSE_FLOAT(66_CMPPD, 16, 2, cmp64)
SSE_FLOAT(F3_CMPSS, 4, 1, cmp32)
SSE_FLOAT(F2_CMPSD_XMM, 8, 1, cmp64)

X86_INLINE enum x86_rc comis(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool quiet, bool mem)
{
	static const uint8_t flags[] = {[SF_LESS + 1] = FLAG_CF,
	    [SF_EQUAL + 1] = FLAG_ZF,
	    [SF_GREATER + 1] = 0,
	    [SF_UNORDERED + 1] = FLAG_ZF | FLAG_PF | FLAG_CF};
	struct sf st = x86_sse_begin(c);
	union x86_vec d, s = {0};
	enum x86_rc rc = x86_sse_check(c);
	enum sf_order o;

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, size, false, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, 16, i->reg, &d);
	o = size == 4 ? sf_f32_compare(&st, d.u32[0], s.u32[0], quiet) : sf_f64_compare(&st, d.u64[0], s.u64[0], quiet);
	rc = x86_sse_end(c, &st);
	if (LIKELY(rc == X86_OK))
		x86_flags_update(c, FLAGS_STATUS, flags[o + 1]);
	return rc;
}

#define COMIS(name, size, quiet)                         \
	X86_HANDLER(r_##name, comis, size, quiet, false) \
	X86_HANDLER(m_##name, comis, size, quiet, true)  \
	SSE_FAMILY(name, r_##name, m_##name)
COMIS(NP_COMISS, 4, false)
COMIS(66_COMISD, 8, false)
COMIS(NP_UCOMISS, 4, true)
COMIS(66_UCOMISD, 8, true)

/* --- Neighbours and products ----------------------------------------------------------------------------------- */

#define FLOAT_PAIRS(name, lane, fn)                                        \
	X86_INLINE void name(FLOAT_ARGS)                                   \
	{                                                                  \
		union x86_vec in[2] = {*d, *s};                            \
                                                                           \
		for (unsigned k = 0; k < lanes; k++) {                     \
			const union x86_vec *v = &in[2 * k >= lanes];      \
			unsigned at = 2 * k & (lanes - 1);                 \
                                                                           \
			d->lane[k] = fn(st, v->lane[at], v->lane[at + 1]); \
		}                                                          \
	}
FLOAT_PAIRS(hadd32, u32, sf_f32_add)
FLOAT_PAIRS(hadd64, u64, sf_f64_add)
FLOAT_PAIRS(hsub32, u32, sf_f32_sub)
FLOAT_PAIRS(hsub64, u64, sf_f64_sub)
SSE_FLOAT(F2_HADDPS, 16, 4, hadd32)
SSE_FLOAT(66_HADDPD, 16, 2, hadd64)
SSE_FLOAT(F2_HSUBPS, 16, 4, hsub32)
SSE_FLOAT(66_HSUBPD, 16, 2, hsub64)

FLOAT_LANES(addsub32, u32, k & 1 ? sf_f32_add(st, a, b) : sf_f32_sub(st, a, b))
FLOAT_LANES(addsub64, u64, k & 1 ? sf_f64_add(st, a, b) : sf_f64_sub(st, a, b))
SSE_FLOAT(F2_ADDSUBPS, 16, 4, addsub32)
SSE_FLOAT(66_ADDSUBPD, 16, 2, addsub64)

/* An unmasked exception so far: later steps of the instruction are not reached. */
static bool stopped(const struct sf *st)
{
	return st->flags & ~st->masks;
}

/* Dot product: bits 7-4 choose the products, bits 3-0 the lanes that get the sum. Products and each level of sums are
 * rounded, and a level is not begun when the one before raised an unmasked exception. */
X86_INLINE void dpps(FLOAT_ARGS)
{
	uint32_t p[4], sum[2], v;

	for (unsigned k = 0; k < 4; k++)
		p[k] = imm >> (4 + k) & 1 ? sf_f32_mul(st, d->u32[k], s->u32[k]) : 0;
	if (stopped(st))
		return;
	sum[0] = sf_f32_add(st, p[0], p[1]);
	sum[1] = sf_f32_add(st, p[2], p[3]);
	if (stopped(st))
		return;
	v = sf_f32_add(st, sum[0], sum[1]);
	for (unsigned k = 0; k < 4; k++)
		d->u32[k] = imm >> k & 1 ? v : 0;
}

X86_INLINE void dppd(FLOAT_ARGS)
{
	uint64_t p[2], v;

	for (unsigned k = 0; k < 2; k++)
		p[k] = imm >> (4 + k) & 1 ? sf_f64_mul(st, d->u64[k], s->u64[k]) : 0;
	if (stopped(st))
		return;
	v = sf_f64_add(st, p[0], p[1]);
	for (unsigned k = 0; k < 2; k++)
		d->u64[k] = imm >> k & 1 ? v : 0;
}

SSE_FLOAT(66_DPPS, 16, 4, dpps)
SSE_FLOAT(66_DPPD, 16, 2, dppd)

/* --- To an integral value -------------------------------------------------------------------------------------- */

/* Bit 2: by MXCSR instead of bits 1-0; bit 3: inexact is no exception. */
#define ROUNDING(imm) ((imm)&4 ? st->round : (imm)&3)
FLOAT_LANES(round32, u32, sf_f32_round_to_int(st, b, ROUNDING(imm), imm & 8))
FLOAT_LANES(round64, u64, sf_f64_round_to_int(st, b, ROUNDING(imm), imm & 8))
SSE_FLOAT(66_ROUNDPS, 16, 4, round32)
SSE_FLOAT(66_ROUNDPD, 16, 2, round64)
SSE_FLOAT(66_ROUNDSS, 4, 1, round32)
SSE_FLOAT(66_ROUNDSD, 8, 1, round64)
