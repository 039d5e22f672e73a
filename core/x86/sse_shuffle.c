/*
 * Lanes that change their place or width: unpack, pack, shuffle, blend, extend, align.
 */
#include "core/x86/sse.h"

/* --- Unpack and pack ------------------------------------------------------------------------------------------- */

/* The low or high halves, lane by lane in turn. high: 0 or 1. */
#define UNPACK(name, lane, high)                                                \
	X86_INLINE void name(VEC_ARGS)                                          \
	{                                                                       \
		unsigned half = n / sizeof(d->lane[0]) / 2, from = (high)*half; \
		union x86_vec in = *d;                                          \
                                                                                \
		for (unsigned k = 0; k < half; k++) {                           \
			d->lane[2 * k] = in.lane[from + k];                     \
			d->lane[2 * k + 1] = s->lane[from + k];                 \
		}                                                               \
	}
UNPACK(unpackl_b, u8, 0)
UNPACK(unpackl_w, u16, 0)
UNPACK(unpackl_d, u32, 0)
UNPACK(unpackl_q, u64, 0)
UNPACK(unpackh_b, u8, 1)
UNPACK(unpackh_w, u16, 1)
UNPACK(unpackh_d, u32, 1)
UNPACK(unpackh_q, u64, 1)

/* From MMX memory operands the low unpacks read half a register. */
#define UNPACK_LOW(id, fn) SSE_BINARY(NP_##id, 8, 4, false, fn) SSE_XMM(66_##id, fn)
UNPACK_LOW(PUNPCKLBW, unpackl_b)
UNPACK_LOW(PUNPCKLWD, unpackl_w)
UNPACK_LOW(PUNPCKLDQ, unpackl_d)
SSE_BOTH(PUNPCKHBW, unpackh_b)
SSE_BOTH(PUNPCKHWD, unpackh_w)
SSE_BOTH(PUNPCKHDQ, unpackh_d)
SSE_XMM(66_PUNPCKLQDQ, unpackl_q)
SSE_XMM(66_PUNPCKHQDQ, unpackh_q)
SSE_XMM(NP_UNPCKLPS, unpackl_d)
SSE_XMM(66_UNPCKLPD, unpackl_q)
SSE_XMM(NP_UNPCKHPS, unpackh_d)
SSE_XMM(66_UNPCKHPD, unpackh_q)

/* Signed lanes to half their width, saturated: the destination's, then the source's. */
#define PACK(name, from, to, lo, hi)                                                              \
	X86_INLINE void name(VEC_ARGS)                                                            \
	{                                                                                         \
		unsigned half = n / sizeof(d->from[0]);                                           \
		union x86_vec in[2] = {*d, *s};                                                   \
                                                                                                  \
		for (unsigned k = 0; k < 2 * half; k++) {                                         \
			int32_t v = in[k >= half].from[k & (half - 1)];                           \
                                                                                                  \
			d->to[k] = (__typeof__(d->to[0]))(v < (lo) ? (lo) : v > (hi) ? (hi) : v); \
		}                                                                                 \
	}
PACK(packss_wb, i16, i8, INT8_MIN, INT8_MAX)
PACK(packus_wb, i16, u8, 0, UINT8_MAX)
PACK(packss_dw, i32, i16, INT16_MIN, INT16_MAX)
PACK(packus_dw, i32, u16, 0, UINT16_MAX)
SSE_BOTH(PACKSSWB, packss_wb)
SSE_BOTH(PACKUSWB, packus_wb)
SSE_BOTH(PACKSSDW, packss_dw)
SSE_XMM(66_PACKUSDW, packus_dw)

/* --- Extend ---------------------------------------------------------------------------------------------------- */

#define EXTEND(id, from, to)                                                                                     \
	X86_INLINE void extend_##id(VEC_ARGS)                                                                    \
	{                                                                                                        \
		for (unsigned k = 0; k < 16 / sizeof(d->to[0]); k++)                                             \
			d->to[k] = (__typeof__(d->to[0]))s->from[k];                                             \
	}                                                                                                        \
	SSE_BINARY(66_##id, 16,                                                                                  \
	    (unsigned)(16 / sizeof(((union x86_vec *)0)->to[0]) * sizeof(((union x86_vec *)0)->from[0])), false, \
	    extend_##id)
EXTEND(PMOVSXBW, i8, i16)
EXTEND(PMOVSXBD, i8, i32)
EXTEND(PMOVSXBQ, i8, i64)
EXTEND(PMOVSXWD, i16, i32)
EXTEND(PMOVSXWQ, i16, i64)
EXTEND(PMOVSXDQ, i32, i64)
EXTEND(PMOVZXBW, u8, u16)
EXTEND(PMOVZXBD, u8, u32)
EXTEND(PMOVZXBQ, u8, u64)
EXTEND(PMOVZXWD, u16, u32)
EXTEND(PMOVZXWQ, u16, u64)
EXTEND(PMOVZXDQ, u32, u64)

/* --- Shuffle --------------------------------------------------------------------------------------------------- */

/* Two bits of the immediate choose each of four lanes. */
X86_INLINE void pshufd(VEC_ARGS)
{
	for (unsigned k = 0; k < 4; k++)
		d->u32[k] = s->u32[imm >> 2 * k & 3];
}

X86_INLINE void pshufw(VEC_ARGS)
{
	for (unsigned k = 0; k < 4; k++)
		d->u16[k] = s->u16[imm >> 2 * k & 3];
}

X86_INLINE void pshuflw(VEC_ARGS)
{
	pshufw(d, s, 8, imm);
	d->u64[1] = s->u64[1];
}

X86_INLINE void pshufhw(VEC_ARGS)
{
	d->u64[0] = s->u64[0];
	for (unsigned k = 0; k < 4; k++)
		d->u16[4 + k] = s->u16[4 + (imm >> 2 * k & 3)];
}

X86_INLINE void shufps(VEC_ARGS)
{
	union x86_vec in = *d;

	for (unsigned k = 0; k < 4; k++)
		d->u32[k] = (k < 2 ? &in : s)->u32[imm >> 2 * k & 3];
}

X86_INLINE void shufpd(VEC_ARGS)
{
	d->u64[0] = d->u64[imm & 1];
	d->u64[1] = s->u64[imm >> 1 & 1];
}

X86_INLINE void pshufb(VEC_ARGS)
{
	union x86_vec in = *d;

	for (unsigned k = 0; k < n; k++)
		d->u8[k] = s->u8[k] & 0x80 ? 0 : in.u8[s->u8[k] & (n - 1)];
}

/* The destination above the source, shifted right by imm bytes. */
X86_INLINE void palignr(VEC_ARGS)
{
	union x86_vec in = *d;

	for (unsigned k = 0; k < n; k++) {
		unsigned at = k + imm;

		d->u8[k] = at < n ? s->u8[at] : at < 2 * n ? in.u8[at - n] : 0;
	}
}

X86_INLINE void movsldup(VEC_ARGS)
{
	pshufd(d, s, 16, 0xa0);
}

X86_INLINE void movshdup(VEC_ARGS)
{
	pshufd(d, s, 16, 0xf5);
}

X86_INLINE void movddup(VEC_ARGS)
{
	d->u64[0] = d->u64[1] = s->u64[0];
}

SSE_XMM(66_PSHUFD, pshufd)
SSE_BINARY(NP_PSHUFW, 8, 8, false, pshufw)
SSE_XMM(F2_PSHUFLW, pshuflw)
SSE_XMM(F3_PSHUFHW, pshufhw)
SSE_XMM(NP_SHUFPS, shufps)
SSE_XMM(66_SHUFPD, shufpd)
SSE_BOTH(PSHUFB, pshufb)
SSE_BOTH(PALIGNR, palignr)
SSE_XMM(F3_MOVSLDUP, movsldup)
SSE_XMM(F3_MOVSHDUP, movshdup)
SSE_BINARY(F2_MOVDDUP, 16, 8, false, movddup)

/* --- Blend ----------------------------------------------------------------------------------------------------- */

#define BLEND(name, lane)                                                    \
	X86_INLINE void name(VEC_ARGS)                                       \
	{                                                                    \
		for (unsigned k = 0; k < 16 / sizeof(d->lane[0]); k++)       \
			d->lane[k] = imm >> k & 1 ? s->lane[k] : d->lane[k]; \
	}
BLEND(blendps, u32)
BLEND(blendpd, u64)
BLEND(pblendw, u16)
SSE_XMM(66_BLENDPS, blendps)
SSE_XMM(66_BLENDPD, blendpd)
SSE_XMM(66_PBLENDW, pblendw)

/* The sign of each lane of XMM0 chooses. lane: bytes. */
X86_INLINE enum x86_rc blendv(struct x86_cpu *c, const struct x86_insn *i, unsigned lane, bool mem)
{
	union x86_vec d, s, mask;
	enum x86_rc rc = x86_sse_check(c);

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, 16, true, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, 16, i->reg, &d);
	x86_vec_get(c, 16, 0, &mask);
	for (unsigned k = 0; k < 16; k++)
		if (mask.u8[k | (lane - 1)] & 0x80)
			d.u8[k] = s.u8[k];
	x86_vec_set(c, 16, i->reg, &d);
	return X86_OK;
}

#define BLENDV(id, lane)                         \
	X86_HANDLER(r_##id, blendv, lane, false) \
	X86_HANDLER(m_##id, blendv, lane, true)  \
	SSE_FAMILY(66_##id, r_##id, m_##id)
BLENDV(PBLENDVB, 1)
BLENDV(BLENDVPS, 4)
BLENDV(BLENDVPD, 8)

/* Bits 7-6: lane of a register source; 5-4: lane written; 3-0: lanes cleared. */
X86_INLINE enum x86_rc insertps(struct x86_cpu *c, const struct x86_insn *i, bool mem)
{
	union x86_vec d, s;
	enum x86_rc rc = x86_sse_check(c);
	unsigned imm = (unsigned)i->imm;

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, 4, false, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, 16, i->reg, &d);
	d.u32[imm >> 4 & 3] = s.u32[mem ? 0 : imm >> 6 & 3];
	for (unsigned k = 0; k < 4; k++)
		if (imm >> k & 1)
			d.u32[k] = 0;
	x86_vec_set(c, 16, i->reg, &d);
	return X86_OK;
}

X86_HANDLER(r_insertps, insertps, false)
X86_HANDLER(m_insertps, insertps, true)
SSE_FAMILY(66_INSERTPS, r_insertps, m_insertps)
