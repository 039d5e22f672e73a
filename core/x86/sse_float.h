/*
 * What SSE floating point shares: MXCSR before and after an operation, and the handler around one.
 *
 * Every lane is computed as if all exceptions were masked, with the flags of all lanes together; then either the result
 * is written, or an unmasked exception is raised and nothing is but the flags. Exceptions that are found before the
 * computation (invalid, denormal, divide by zero) and are unmasked in any lane keep the others from being looked for in
 * all of them [SDM 1 "Generating SIMD Floating-Point Exceptions"].
 */
#ifndef VMSCOPE_CORE_X86_SSE_FLOAT_H
#define VMSCOPE_CORE_X86_SSE_FLOAT_H

#include "core/x86/softfloat.h"
#include "core/x86/sse.h"

#define MXCSR_DAZ 0x40u
#define MXCSR_FTZ 0x8000u
#define MXCSR_MASKS_AT 7
#define MXCSR_RC_AT 13

X86_INLINE struct sf x86_sse_begin(const struct x86_cpu *c)
{
	uint32_t mxcsr = (uint32_t)x86_get(c->s.fxsave + SSE_FX_MXCSR, 4);

	return (struct sf){.round = mxcsr >> MXCSR_RC_AT & 3,
	    .daz = mxcsr & MXCSR_DAZ,
	    .ftz = mxcsr & MXCSR_FTZ,
	    .masks = mxcsr >> MXCSR_MASKS_AT & 0x3f};
}

/* #XM, or #UD where the operating system has not said that it handles #XM. */
enum x86_rc x86_sse_unmasked(struct x86_cpu *c, const struct sf *st);

/* X86_OK: write the result. */
X86_INLINE enum x86_rc x86_sse_end(struct x86_cpu *c, const struct sf *st)
{
	if (UNLIKELY(st->flags & ~st->masks))
		return x86_sse_unmasked(c, st);
	c->s.fxsave[SSE_FX_MXCSR] |= st->flags;
	return X86_OK;
}

/* The first lanes of d and s, as many as lanes says. */
typedef void x86_float_op(struct sf *st, union x86_vec *d, const union x86_vec *s, unsigned lanes, unsigned imm);

#define FLOAT_ARGS                                                                       \
	__attribute__((unused)) struct sf *st, union x86_vec *d, const union x86_vec *s, \
	    __attribute__((unused)) unsigned lanes, __attribute__((unused)) unsigned imm

/* XMM register = register op register or memory of size bytes (aligned when 16). */
X86_INLINE enum x86_rc x86_float_binary(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, unsigned lanes, bool mem, x86_float_op *op)
{
	struct sf st = x86_sse_begin(c);
	union x86_vec d, s = {0};
	enum x86_rc rc = x86_sse_check(c);

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, 16, size, true, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, 16, i->reg, &d);
	op(&st, &d, &s, lanes, (unsigned)i->imm);
	rc = x86_sse_end(c, &st);
	if (LIKELY(rc == X86_OK))
		x86_vec_set(c, 16, i->reg, &d);
	return rc;
}

#define SSE_FLOAT(name, size, lanes, fn)                                \
	X86_HANDLER(r_##name, x86_float_binary, size, lanes, false, fn) \
	X86_HANDLER(m_##name, x86_float_binary, size, lanes, true, fn)  \
	SSE_FAMILY(name, r_##name, m_##name)
/* The four forms of most operations: fn##32 and fn##64 work on lanes of that width. */
#define SSE_FLOAT4(id, fn)                    \
	SSE_FLOAT(NP_##id##PS, 16, 4, fn##32) \
	SSE_FLOAT(66_##id##PD, 16, 2, fn##64) \
	SSE_FLOAT(F3_##id##SS, 4, 1, fn##32)  \
	SSE_FLOAT(F2_##id##SD, 8, 1, fn##64)

#endif
