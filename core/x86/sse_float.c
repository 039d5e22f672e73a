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

/*
 * Dot product: bits 7-4 of the immediate choose the products, bits 3-0 the lanes that get the sum. Products and each
 * level of sums are rounded. A level is an operation of its own: its flags go to MXCSR, and an unmasked exception keeps
 * the next from being begun. The order of summands shows when there are two NaNs; it is that of Intel's processors.
 */
static enum x86_rc end_level(struct x86_cpu *c, struct sf *st)
{
	enum x86_rc rc = x86_sse_end(c, st);

	st->flags = 0;
	return rc;
}

static enum x86_rc dpps(struct x86_cpu *c, unsigned imm, union x86_vec *d, const union x86_vec *s)
{
	struct sf st = x86_sse_begin(c);
	uint32_t p[4], sum[4], v[4];
	enum x86_rc rc;

	for (unsigned k = 0; k < 4; k++)
		p[k] = imm >> (4 + k) & 1 ? sf_f32_mul(&st, d->u32[k], s->u32[k]) : 0;
	rc = end_level(c, &st);
	if (rc != X86_OK)
		return rc;
	for (unsigned k = 0; k < 4; k++)
		sum[k] = sf_f32_add(&st, p[k ^ 1], p[k]);
	rc = end_level(c, &st);
	if (rc != X86_OK)
		return rc;
	for (unsigned k = 0; k < 4; k++) {
		v[k] = sf_f32_add(&st, sum[k], sum[k ^ 2]);
		d->u32[k] = imm >> k & 1 ? v[k] : 0;
	}
	return end_level(c, &st);
}

static enum x86_rc dppd(struct x86_cpu *c, unsigned imm, union x86_vec *d, const union x86_vec *s)
{
	struct sf st = x86_sse_begin(c);
	uint64_t p[2], v;
	enum x86_rc rc;

	for (unsigned k = 0; k < 2; k++)
		p[k] = imm >> (4 + k) & 1 ? sf_f64_mul(&st, d->u64[k], s->u64[k]) : 0;
	rc = end_level(c, &st);
	if (rc != X86_OK)
		return rc;
	for (unsigned k = 0; k < 2; k++) {
		v = sf_f64_add(&st, p[k], p[k ^ 1]);
		d->u64[k] = imm >> k & 1 ? v : 0;
	}
	return end_level(c, &st);
}

X86_INLINE enum x86_rc dot(struct x86_cpu *c, const struct x86_insn *i, bool is_double, bool mem)
{
	union x86_vec d, s;
	enum x86_rc rc = x86_sse_check(c);

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, 16, true, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, 16, i->reg, &d);
	rc = (is_double ? dppd : dpps)(c, (unsigned)i->imm, &d, &s);
	if (LIKELY(rc == X86_OK))
		x86_vec_set(c, 16, i->reg, &d);
	return rc;
}

X86_HANDLER(r_dpps, dot, false, false)
X86_HANDLER(m_dpps, dot, false, true)
X86_HANDLER(r_dppd, dot, true, false)
X86_HANDLER(m_dppd, dot, true, true)
SSE_FAMILY(66_DPPS, r_dpps, m_dpps)
SSE_FAMILY(66_DPPD, r_dppd, m_dppd)

/* --- To an integral value -------------------------------------------------------------------------------------- */

/* Bit 2: by MXCSR instead of bits 1-0; bit 3: inexact is no exception. */
#define ROUNDING(imm) ((imm)&4 ? st->round : (imm)&3)
FLOAT_LANES(round32, u32, sf_f32_round_to_int(st, b, ROUNDING(imm), imm & 8))
FLOAT_LANES(round64, u64, sf_f64_round_to_int(st, b, ROUNDING(imm), imm & 8))
SSE_FLOAT(66_ROUNDPS, 16, 4, round32)
SSE_FLOAT(66_ROUNDPD, 16, 2, round64)
SSE_FLOAT(66_ROUNDSS, 4, 1, round32)
SSE_FLOAT(66_ROUNDSD, 8, 1, round64)
