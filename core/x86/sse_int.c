/*
 * Packed integers: arithmetic, comparison, logic, shifts. Each operation is a line or a short loop over lanes and knows
 * nothing of registers and memory; sse.h makes the handlers of both register widths from it.
 */
#include "core/x86/sse.h"

X86_INLINE int32_t clamp(int32_t v, int32_t lo, int32_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

#define SAT_I8(v) clamp(v, INT8_MIN, INT8_MAX)
#define SAT_U8(v) clamp(v, 0, UINT8_MAX)
#define SAT_I16(v) clamp(v, INT16_MIN, INT16_MAX)
#define SAT_U16(v) clamp(v, 0, UINT16_MAX)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* d.lane = expr of a (destination) and b (source), lane by lane. */
#define LANES(name, lane, expr)                                                \
	X86_INLINE void name(VEC_ARGS)                                         \
	{                                                                      \
		for (unsigned k = 0; k < n / sizeof(d->lane[0]); k++) {        \
			__typeof__(d->lane[0]) a = d->lane[k], b = s->lane[k]; \
                                                                               \
			(void)a;                                               \
			d->lane[k] = (__typeof__(d->lane[0]))(expr);           \
		}                                                              \
	}

LANES(padd_b, u8, a + b)
LANES(padd_w, u16, a + b)
LANES(padd_d, u32, a + b)
LANES(padd_q, u64, a + b)
LANES(psub_b, u8, a - b)
LANES(psub_w, u16, a - b)
LANES(psub_d, u32, a - b)
LANES(psub_q, u64, a - b)
LANES(padds_b, i8, SAT_I8(a + b))
LANES(padds_w, i16, SAT_I16(a + b))
LANES(paddus_b, u8, SAT_U8(a + b))
LANES(paddus_w, u16, SAT_U16(a + b))
LANES(psubs_b, i8, SAT_I8(a - b))
LANES(psubs_w, i16, SAT_I16(a - b))
LANES(psubus_b, u8, SAT_U8(a - b))
LANES(psubus_w, u16, SAT_U16(a - b))
LANES(pavg_b, u8, (a + b + 1) >> 1)
LANES(pavg_w, u16, (a + b + 1) >> 1)
LANES(pmin_ub, u8, MIN(a, b))
LANES(pmin_sb, i8, MIN(a, b))
LANES(pmin_uw, u16, MIN(a, b))
LANES(pmin_sw, i16, MIN(a, b))
LANES(pmin_ud, u32, MIN(a, b))
LANES(pmin_sd, i32, MIN(a, b))
LANES(pmax_ub, u8, MAX(a, b))
LANES(pmax_sb, i8, MAX(a, b))
LANES(pmax_uw, u16, MAX(a, b))
LANES(pmax_sw, i16, MAX(a, b))
LANES(pmax_ud, u32, MAX(a, b))
LANES(pmax_sd, i32, MAX(a, b))
LANES(pcmpeq_b, u8, a == b ? -1 : 0)
LANES(pcmpeq_w, u16, a == b ? -1 : 0)
LANES(pcmpeq_d, u32, a == b ? -1 : 0)
LANES(pcmpeq_q, u64, a == b ? -1 : 0)
LANES(pcmpgt_b, i8, a > b ? -1 : 0)
LANES(pcmpgt_w, i16, a > b ? -1 : 0)
LANES(pcmpgt_d, i32, a > b ? -1 : 0)
LANES(pcmpgt_q, i64, a > b ? -1 : 0)
LANES(pmullw, u16, (uint32_t)a *b)
LANES(pmulhw, i16, a *b >> 16)
LANES(pmulhuw, u16, (uint32_t)a *b >> 16)
LANES(pmulhrsw, i16, ((a * b >> 14) + 1) >> 1)
LANES(pmulld, u32, a *b)
LANES(pmuludq, u64, (a & UINT32_MAX) * (b & UINT32_MAX))
LANES(pmuldq, i64, (int64_t)(int32_t)a *(int32_t)b)
LANES(pabs_b, u8, b & 0x80 ? 0 - b : b)
LANES(pabs_w, u16, b & 0x8000 ? 0 - b : b)
LANES(pabs_d, u32, b & 0x80000000 ? 0 - b : b)
LANES(psign_b, i8, b < 0 ? 0 - a : b ? a : 0)
LANES(psign_w, i16, b < 0 ? 0 - a : b ? a : 0)
LANES(psign_d, i32, b < 0 ? 0 - (uint32_t)a : b ? (uint32_t)a : 0)
LANES(pand, u64, a &b)
LANES(pandn, u64, ~a &b)
LANES(por, u64, a | b)
LANES(pxor, u64, a ^ b)

SSE_BOTH(PADDB, padd_b)
SSE_BOTH(PADDW, padd_w)
SSE_BOTH(PADDD, padd_d)
SSE_BOTH(PADDQ, padd_q)
SSE_BOTH(PSUBB, psub_b)
SSE_BOTH(PSUBW, psub_w)
SSE_BOTH(PSUBD, psub_d)
SSE_BOTH(PSUBQ, psub_q)
SSE_BOTH(PADDSB, padds_b)
SSE_BOTH(PADDSW, padds_w)
SSE_BOTH(PADDUSB, paddus_b)
SSE_BOTH(PADDUSW, paddus_w)
SSE_BOTH(PSUBSB, psubs_b)
SSE_BOTH(PSUBSW, psubs_w)
SSE_BOTH(PSUBUSB, psubus_b)
SSE_BOTH(PSUBUSW, psubus_w)
SSE_BOTH(PAVGB, pavg_b)
SSE_BOTH(PAVGW, pavg_w)
SSE_BOTH(PMINUB, pmin_ub)
SSE_BOTH(PMINSW, pmin_sw)
SSE_BOTH(PMAXUB, pmax_ub)
SSE_BOTH(PMAXSW, pmax_sw)
SSE_XMM(66_PMINSB, pmin_sb)
SSE_XMM(66_PMINUW, pmin_uw)
SSE_XMM(66_PMINSD, pmin_sd)
SSE_XMM(66_PMINUD, pmin_ud)
SSE_XMM(66_PMAXSB, pmax_sb)
SSE_XMM(66_PMAXUW, pmax_uw)
SSE_XMM(66_PMAXSD, pmax_sd)
SSE_XMM(66_PMAXUD, pmax_ud)
SSE_BOTH(PCMPEQB, pcmpeq_b)
SSE_BOTH(PCMPEQW, pcmpeq_w)
SSE_BOTH(PCMPEQD, pcmpeq_d)
SSE_XMM(66_PCMPEQQ, pcmpeq_q)
SSE_BOTH(PCMPGTB, pcmpgt_b)
SSE_BOTH(PCMPGTW, pcmpgt_w)
SSE_BOTH(PCMPGTD, pcmpgt_d)
SSE_XMM(66_PCMPGTQ, pcmpgt_q)
SSE_BOTH(PMULLW, pmullw)
SSE_BOTH(PMULHW, pmulhw)
SSE_BOTH(PMULHUW, pmulhuw)
SSE_BOTH(PMULHRSW, pmulhrsw)
SSE_XMM(66_PMULLD, pmulld)
SSE_BOTH(PMULUDQ, pmuludq)
SSE_XMM(66_PMULDQ, pmuldq)
SSE_BOTH(PABSB, pabs_b)
SSE_BOTH(PABSW, pabs_w)
SSE_BOTH(PABSD, pabs_d)
SSE_BOTH(PSIGNB, psign_b)
SSE_BOTH(PSIGNW, psign_w)
SSE_BOTH(PSIGND, psign_d)
SSE_BOTH(PAND, pand)
SSE_BOTH(PANDN, pandn)
SSE_BOTH(POR, por)
SSE_BOTH(PXOR, pxor)
SSE_XMM(NP_ANDPS, pand)
SSE_XMM(66_ANDPD, pand)
SSE_XMM(NP_ANDNPS, pandn)
SSE_XMM(66_ANDNPD, pandn)
SSE_XMM(NP_ORPS, por)
SSE_XMM(66_ORPD, por)
SSE_XMM(NP_XORPS, pxor)
SSE_XMM(66_XORPD, pxor)

/* --- Neighbours: lanes of a pair give one lane ----------------------------------------------------------------- */

X86_INLINE void pmaddwd(VEC_ARGS)
{
	for (unsigned k = 0; k < n / 4; k++)
		d->u32[k] =
		    (uint32_t)(d->i16[2 * k] * s->i16[2 * k]) + (uint32_t)(d->i16[2 * k + 1] * s->i16[2 * k + 1]);
}

X86_INLINE void pmaddubsw(VEC_ARGS)
{
	for (unsigned k = 0; k < n / 2; k++)
		d->i16[k] = (int16_t)SAT_I16(d->u8[2 * k] * s->i8[2 * k] + d->u8[2 * k + 1] * s->i8[2 * k + 1]);
}

X86_INLINE void psadbw(VEC_ARGS)
{
	for (unsigned q = 0; q < n / 8; q++) {
		unsigned sum = 0;

		for (unsigned k = 8 * q; k < 8 * q + 8; k++)
			sum += d->u8[k] > s->u8[k] ? d->u8[k] - s->u8[k] : s->u8[k] - d->u8[k];
		d->u64[q] = sum;
	}
}

/* Lane k of the destination's pairs, then of the source's. */
#define PAIRS(name, lane, expr)                                                      \
	X86_INLINE void name(VEC_ARGS)                                               \
	{                                                                            \
		unsigned half = n / sizeof(d->lane[0]) / 2;                          \
		union x86_vec in[2] = {*d, *s};                                      \
                                                                                     \
		for (unsigned k = 0; k < 2 * half; k++) {                            \
			const union x86_vec *v = &in[k >= half];                     \
			unsigned at = 2 * (k & (half - 1));                          \
			__typeof__(d->lane[0]) a = v->lane[at], b = v->lane[at + 1]; \
                                                                                     \
			d->lane[k] = (__typeof__(d->lane[0]))(expr);                 \
		}                                                                    \
	}
PAIRS(phadd_w, u16, a + b)
PAIRS(phadd_d, u32, a + b)
PAIRS(phadd_sw, i16, SAT_I16(a + b))
PAIRS(phsub_w, u16, a - b)
PAIRS(phsub_d, u32, a - b)
PAIRS(phsub_sw, i16, SAT_I16(a - b))

SSE_BOTH(PMADDWD, pmaddwd)
SSE_BOTH(PMADDUBSW, pmaddubsw)
SSE_BOTH(PSADBW, psadbw)
SSE_BOTH(PHADDW, phadd_w)
SSE_BOTH(PHADDD, phadd_d)
SSE_BOTH(PHADDSW, phadd_sw)
SSE_BOTH(PHSUBW, phsub_w)
SSE_BOTH(PHSUBD, phsub_d)
SSE_BOTH(PHSUBSW, phsub_sw)

/* Eight sums of four absolute differences: a window that slides over the destination against four bytes of the
 * source. */
X86_INLINE void mpsadbw(VEC_ARGS)
{
	const uint8_t *window = d->u8 + (imm & 4), *block = s->u8 + 4 * (imm & 3);
	union x86_vec out;

	for (unsigned k = 0; k < 8; k++) {
		unsigned sum = 0;

		for (unsigned j = 0; j < 4; j++)
			sum += window[k + j] > block[j] ? window[k + j] - block[j] : block[j] - window[k + j];
		out.u16[k] = (uint16_t)sum;
	}
	*d = out;
}

X86_INLINE void phminposuw(VEC_ARGS)
{
	unsigned at = 0;

	for (unsigned k = 1; k < 8; k++)
		if (s->u16[k] < s->u16[at])
			at = k;
	d->u64[0] = s->u16[at] | (uint64_t)at << 16;
	d->u64[1] = 0;
}

SSE_XMM(66_MPSADBW, mpsadbw)
SSE_XMM(66_PHMINPOSUW, phminposuw)

/* --- Shifts ---------------------------------------------------------------------------------------------------- */

/* The count is the low quadword of the source; one that is not below the width gives zeros, or signs. */
#define SHIFT(name, lane, bits, too_far, expr)                                             \
	X86_INLINE void name(VEC_ARGS)                                                     \
	{                                                                                  \
		uint64_t count = s->u64[0];                                                \
                                                                                           \
		for (unsigned k = 0; k < n / sizeof(d->lane[0]); k++) {                    \
			__typeof__(d->lane[0]) a = d->lane[k];                             \
                                                                                           \
			d->lane[k] = (__typeof__(a))(count < (bits) ? (expr) : (too_far)); \
		}                                                                          \
	}
SHIFT(psrl_w, u16, 16, 0, a >> count)
SHIFT(psrl_d, u32, 32, 0, a >> count)
SHIFT(psrl_q, u64, 64, 0, a >> count)
SHIFT(psll_w, u16, 16, 0, (uint32_t)a << count)
SHIFT(psll_d, u32, 32, 0, a << count)
SHIFT(psll_q, u64, 64, 0, a << count)
SHIFT(psra_w, i16, 16, a >> 15, a >> count)
SHIFT(psra_d, i32, 32, a >> 31, a >> count)

/* Bytes of the whole register. */
X86_INLINE void psrldq(VEC_ARGS)
{
	uint64_t count = s->u64[0];
	union x86_vec in = *d;

	for (unsigned k = 0; k < 16; k++)
		d->u8[k] = k + count < 16 ? in.u8[k + count] : 0;
}

X86_INLINE void pslldq(VEC_ARGS)
{
	uint64_t count = s->u64[0];
	union x86_vec in = *d;

	for (unsigned k = 0; k < 16; k++)
		d->u8[k] = k >= count ? in.u8[k - count] : 0;
}

/* By an immediate: the destination is ModRM.rm. */
X86_INLINE enum x86_rc shift_imm(struct x86_cpu *c, const struct x86_insn *i, unsigned n, x86_vec_op *op)
{
	union x86_vec d, s = {.u64 = {i->imm}};
	enum x86_rc rc = x86_vec_check(c, n);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, n, i->rm, &d);
	op(&d, &s, n, 0);
	x86_vec_set(c, n, i->rm, &d);
	return X86_OK;
}

#define SHIFT_IMM(name, n, fn)                  \
	X86_HANDLER(i_##name, shift_imm, n, fn) \
	SSE_FAMILY(i_##name, i_##name, i_##name)
#define SHIFT_BOTH(id, fn) SSE_BOTH(id, fn) SHIFT_IMM(NP_##id, 8, fn) SHIFT_IMM(66_##id, 16, fn)
SHIFT_BOTH(PSRLW, psrl_w)
SHIFT_BOTH(PSRLD, psrl_d)
SHIFT_BOTH(PSRLQ, psrl_q)
SHIFT_BOTH(PSLLW, psll_w)
SHIFT_BOTH(PSLLD, psll_d)
SHIFT_BOTH(PSLLQ, psll_q)
SHIFT_BOTH(PSRAW, psra_w)
SHIFT_BOTH(PSRAD, psra_d)
SHIFT_IMM(66_PSRLDQ, 16, psrldq)
SHIFT_IMM(66_PSLLDQ, 16, pslldq)

X86_INLINE enum x86_rc ptest(struct x86_cpu *c, const struct x86_insn *i, bool mem)
{
	union x86_vec d, s;
	enum x86_rc rc = x86_sse_check(c);
	uint64_t both, other;

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, 16, true, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, 16, i->reg, &d);
	both = (d.u64[0] & s.u64[0]) | (d.u64[1] & s.u64[1]);
	other = (~d.u64[0] & s.u64[0]) | (~d.u64[1] & s.u64[1]);
	x86_flags_update(c, FLAGS_STATUS, (both ? 0 : FLAG_ZF) | (other ? 0 : FLAG_CF));
	return X86_OK;
}

X86_HANDLER(r_ptest, ptest, false)
X86_HANDLER(m_ptest, ptest, true)
SSE_FAMILY(66_PTEST, r_ptest, m_ptest)
