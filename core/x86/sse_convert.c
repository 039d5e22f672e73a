/*
 * Conversions of SSE: between single, double and integers in XMM, MMX and general registers.
 */
#include "core/x86/sse_float.h"

/* An integer that does not fit is the smallest one, with IE. CVTT truncates, CVT rounds as MXCSR says. */
#define TO_INT32(fmt, v, trunc) (uint32_t) sf_##fmt##_to_int(st, v, 32, (trunc) ? SF_TO_ZERO : st->round)

/* --- XMM to XMM ------------------------------------------------------------------------------------------------ */

X86_INLINE void ps2dq(FLOAT_ARGS)
{
	for (unsigned k = 0; k < 4; k++)
		d->u32[k] = TO_INT32(f32, s->u32[k], false);
}

X86_INLINE void tps2dq(FLOAT_ARGS)
{
	for (unsigned k = 0; k < 4; k++)
		d->u32[k] = TO_INT32(f32, s->u32[k], true);
}

X86_INLINE void pd2dq(FLOAT_ARGS)
{
	for (unsigned k = 0; k < 2; k++)
		d->u32[k] = TO_INT32(f64, s->u64[k], false);
	d->u64[1] = 0;
}

X86_INLINE void tpd2dq(FLOAT_ARGS)
{
	for (unsigned k = 0; k < 2; k++)
		d->u32[k] = TO_INT32(f64, s->u64[k], true);
	d->u64[1] = 0;
}

X86_INLINE void dq2ps(FLOAT_ARGS)
{
	for (unsigned k = 0; k < 4; k++)
		d->u32[k] = sf_int_to_f32(st, s->i32[k]);
}

X86_INLINE void dq2pd(FLOAT_ARGS)
{
	for (unsigned k = 0; k < 2; k++)
		d->u64[k] = sf_int_to_f64(st, s->i32[k]);
}

X86_INLINE void ps2pd(FLOAT_ARGS)
{
	for (unsigned k = 0; k < lanes; k++)
		d->u64[k] = sf_f32_to_f64(st, s->u32[k]);
}

X86_INLINE void pd2ps(FLOAT_ARGS)
{
	for (unsigned k = 0; k < 2; k++)
		d->u32[k] = sf_f64_to_f32(st, s->u64[k]);
	d->u64[1] = 0;
}

X86_INLINE void sd2ss(FLOAT_ARGS)
{
	d->u32[0] = sf_f64_to_f32(st, s->u64[0]);
}

SSE_FLOAT(66_CVTPS2DQ, 16, 4, ps2dq)
SSE_FLOAT(F3_CVTTPS2DQ, 16, 4, tps2dq)
SSE_FLOAT(F2_CVTPD2DQ, 16, 2, pd2dq)
SSE_FLOAT(66_CVTTPD2DQ, 16, 2, tpd2dq)
SSE_FLOAT(NP_CVTDQ2PS, 16, 4, dq2ps)
SSE_FLOAT(F3_CVTDQ2PD, 8, 2, dq2pd)
SSE_FLOAT(NP_CVTPS2PD, 8, 2, ps2pd)
SSE_FLOAT(66_CVTPD2PS, 16, 2, pd2ps)
SSE_FLOAT(F3_CVTSS2SD, 4, 1, ps2pd)
SSE_FLOAT(F2_CVTSD2SS, 8, 1, sd2ss)

/* --- General registers ----------------------------------------------------------------------------------------- */

/* size: of the integer. */
X86_INLINE enum x86_rc from_gpr(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool is_double, bool mem)
{
	struct sf st = x86_sse_begin(c);
	enum x86_rc rc = x86_sse_check(c);
	uint64_t v = 0, r;
	int64_t n;

	if (LIKELY(rc == X86_OK) && mem)
		rc = x86_load(c, i->seg, x86_ea(c, i), size, &v);
	else if (rc == X86_OK)
		v = c->s.gpr[i->rm];
	if (UNLIKELY(rc != X86_OK))
		return rc;
	n = (int64_t)x86_sext(size, v);
	r = is_double ? sf_int_to_f64(&st, n) : sf_int_to_f32(&st, n);
	rc = x86_sse_end(c, &st);
	if (LIKELY(rc == X86_OK))
		x86_put(x86_xmm(c, i->reg), is_double ? 8 : 4, r);
	return rc;
}

X86_INLINE enum x86_rc to_gpr(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool is_double, bool trunc, bool mem)
{
	struct sf st = x86_sse_begin(c);
	unsigned round = trunc ? SF_TO_ZERO : st.round;
	union x86_vec s = {0};
	enum x86_rc rc = x86_sse_check(c);
	int64_t v;

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, is_double ? 8 : 4, false, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	v = is_double ? sf_f64_to_int(&st, s.u64[0], 8 * size, round) : sf_f32_to_int(&st, s.u32[0], 8 * size, round);
	rc = x86_sse_end(c, &st);
	if (LIKELY(rc == X86_OK))
		x86_reg_set(c, size, i->reg, (uint64_t)v);
	return rc;
}

#define GPR_FAMILY(name, body, ...)                         \
	X86_HANDLER(r4_##name, body, 4, __VA_ARGS__, false) \
	X86_HANDLER(r8_##name, body, 8, __VA_ARGS__, false) \
	X86_HANDLER(m4_##name, body, 4, __VA_ARGS__, true)  \
	X86_HANDLER(m8_##name, body, 8, __VA_ARGS__, true)  \
	const struct x86_family x86_sse_##name = {          \
	    {r4_##name, r4_##name, r4_##name, r8_##name, m4_##name, m4_##name, m4_##name, m8_##name}};
GPR_FAMILY(F3_CVTSI2SS, from_gpr, false)
GPR_FAMILY(F2_CVTSI2SD, from_gpr, true)
GPR_FAMILY(F3_CVTSS2SI, to_gpr, false, false)
GPR_FAMILY(F2_CVTSD2SI, to_gpr, true, false)
GPR_FAMILY(F3_CVTTSS2SI, to_gpr, false, true)
GPR_FAMILY(F2_CVTTSD2SI, to_gpr, true, true)

/* --- MMX registers --------------------------------------------------------------------------------------------- */

static enum x86_rc check_both(struct x86_cpu *c)
{
	enum x86_rc rc = x86_sse_check(c);

	return rc == X86_OK ? x86_mmx_pending(c) : rc;
}

/* Two integers to the low half of an XMM register, or to all of it. From memory this is no MMX instruction. */
X86_INLINE enum x86_rc from_mmx(struct x86_cpu *c, const struct x86_insn *i, bool is_double, bool mem)
{
	struct sf st = x86_sse_begin(c);
	union x86_vec d, s;
	enum x86_rc rc = mem ? x86_sse_check(c) : check_both(c);

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 8, 8, false, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (!mem)
		x86_mmx_touch(c);
	x86_vec_get(c, 16, i->reg, &d);
	for (unsigned k = 0; k < 2; k++) {
		if (is_double)
			d.u64[k] = sf_int_to_f64(&st, s.i32[k]);
		else
			d.u32[k] = sf_int_to_f32(&st, s.i32[k]);
	}
	rc = x86_sse_end(c, &st);
	if (LIKELY(rc == X86_OK))
		x86_vec_set(c, 16, i->reg, &d);
	return rc;
}

/* The x87 state becomes MMX state before #XM is found, and stays so. */
X86_INLINE enum x86_rc to_mmx(struct x86_cpu *c, const struct x86_insn *i, bool is_double, bool trunc, bool mem)
{
	struct sf state = x86_sse_begin(c), *st = &state;
	union x86_vec d = {0}, s;
	enum x86_rc rc = check_both(c);

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, is_double ? 16 : 8, true, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_mmx_touch(c);
	for (unsigned k = 0; k < 2; k++)
		d.u32[k] = is_double ? TO_INT32(f64, s.u64[k], trunc) : TO_INT32(f32, s.u32[k], trunc);
	rc = x86_sse_end(c, st);
	if (LIKELY(rc == X86_OK))
		x86_vec_set(c, 8, i->reg, &d);
	return rc;
}

#define MMX_FAMILY(name, body, ...)                     \
	X86_HANDLER(r_##name, body, __VA_ARGS__, false) \
	X86_HANDLER(m_##name, body, __VA_ARGS__, true)  \
	SSE_FAMILY(name, r_##name, m_##name)
MMX_FAMILY(NP_CVTPI2PS, from_mmx, false)
MMX_FAMILY(66_CVTPI2PD, from_mmx, true)
MMX_FAMILY(NP_CVTPS2PI, to_mmx, false, false)
MMX_FAMILY(66_CVTPD2PI, to_mmx, true, false)
MMX_FAMILY(NP_CVTTPS2PI, to_mmx, false, true)
MMX_FAMILY(66_CVTTPD2PI, to_mmx, true, true)
