/*
 * What the handlers of MMX and SSE share: registers as lanes, operands, and the order of checks.
 *
 * One mechanism serves 64 and 128 bits: an operation is a function on two vectors of n bytes, and a handler is the
 * operation between the loads and the store of its form. Registers live in the FXSAVE image of the state, which keeps
 * x87 registers in stack order: MMX register r is the significand of physical register r, which is ST(r - TOP). Each
 * MMX instruction sets TOP to 0 and (all but EMMS) marks all registers valid, so the image is turned once when x87 code
 * is followed by MMX code [SDM 3A "The MMX State and MMX Register Aliasing"].
 */
#ifndef VMSCOPE_CORE_X86_SSE_H
#define VMSCOPE_CORE_X86_SSE_H

#include "core/lib.h"
#include "core/x86/exec.h"

/* Offsets in the FXSAVE image. */
enum {
	SSE_FX_FSW = 2,
	SSE_FX_FTW = 4, /* one bit a physical register: 1 = not empty */
	SSE_FX_MXCSR = 24,
	SSE_FX_MXCSR_MASK = 28,
	SSE_FX_ST = 32,
	SSE_FX_XMM = 160,
};
#define SSE_FSW_ES 0x80u

union x86_vec {
	uint8_t u8[16];
	int8_t i8[16];
	uint16_t u16[8];
	int16_t i16[8];
	uint32_t u32[4];
	int32_t i32[4];
	uint64_t u64[2];
	int64_t i64[2];
};

/* d = d op s, on the first n bytes (8 or 16). Inlined into each handler, where n is a constant. */
typedef void x86_vec_op(union x86_vec *d, const union x86_vec *s, unsigned n, unsigned imm);

/* A parameter of every operation that need not use it. */
#define VEC_ARGS                                                                                  \
	__attribute__((unused)) union x86_vec *d, __attribute__((unused)) const union x86_vec *s, \
	    __attribute__((unused)) unsigned n, __attribute__((unused)) unsigned imm

/* Turns the register stack so that TOP is 0. */
void x86_mmx_turn(struct x86_cpu *c);

/* --- Checks ---------------------------------------------------------------------------------------------------- */

/* #UD, then #NM [SDM 3A "Control Registers"]. */
X86_INLINE enum x86_rc x86_sse_check(struct x86_cpu *c)
{
	if (UNLIKELY(!(c->s.cr4 & CR4_OSFXSR) || (c->s.cr0 & CR0_EM)))
		return x86_fault(c, VEC_UD);
	return UNLIKELY(c->s.cr0 & CR0_TS) ? x86_fault(c, VEC_NM) : X86_OK;
}

/* An unmasked x87 exception that is pending is reported first. */
X86_INLINE enum x86_rc x86_mmx_pending(struct x86_cpu *c)
{
	return UNLIKELY(c->s.fxsave[SSE_FX_FSW] & SSE_FSW_ES) ? x86_x87_error(c) : X86_OK;
}

X86_INLINE enum x86_rc x86_mmx_check(struct x86_cpu *c)
{
	if (UNLIKELY(c->s.cr0 & CR0_EM))
		return x86_fault(c, VEC_UD);
	if (UNLIKELY(c->s.cr0 & CR0_TS))
		return x86_fault(c, VEC_NM);
	return x86_mmx_pending(c);
}

/* n: 8 for instructions on MMX registers, 16 for those on XMM registers. */
X86_INLINE enum x86_rc x86_vec_check(struct x86_cpu *c, unsigned n)
{
	return n == 8 ? x86_mmx_check(c) : x86_sse_check(c);
}

/* --- Registers ------------------------------------------------------------------------------------------------- */

X86_INLINE uint8_t *x86_xmm(struct x86_cpu *c, unsigned r)
{
	return c->s.fxsave + SSE_FX_XMM + 16 * (r & 15);
}

X86_INLINE unsigned x86_mmx_top(const struct x86_cpu *c)
{
	return c->s.fxsave[SSE_FX_FSW + 1] >> 3 & 7;
}

X86_INLINE uint64_t x86_mmx_get(const struct x86_cpu *c, unsigned r)
{
	return x86_get(c->s.fxsave + SSE_FX_ST + 16 * ((r - x86_mmx_top(c)) & 7), 8);
}

/* What every MMX instruction but EMMS does to the x87 state, after everything that can fault but #XM. */
X86_INLINE void x86_mmx_touch(struct x86_cpu *c)
{
	if (UNLIKELY(x86_mmx_top(c)))
		x86_mmx_turn(c);
	c->s.fxsave[SSE_FX_FTW] = 0xff;
}

X86_INLINE void x86_mmx_set(struct x86_cpu *c, unsigned r, uint64_t v)
{
	uint8_t *p = c->s.fxsave + SSE_FX_ST + 16 * (r & 7);

	x86_mmx_touch(c);
	x86_put(p, 8, v);
	x86_put(p + 8, 2, 0xffff);
}

/* Reads register r of n bytes. */
X86_INLINE void x86_vec_get(struct x86_cpu *c, unsigned n, unsigned r, union x86_vec *v)
{
	if (n == 8)
		v->u64[0] = x86_mmx_get(c, r);
	else
		memcpy(v, x86_xmm(c, r), 16);
}

X86_INLINE void x86_vec_set(struct x86_cpu *c, unsigned n, unsigned r, const union x86_vec *v)
{
	if (n == 8)
		x86_mmx_set(c, r, v->u64[0]);
	else
		memcpy(x86_xmm(c, r), v, 16);
}

/* --- Memory ---------------------------------------------------------------------------------------------------- */

/* size bytes (2, 4, 8, 16) at the memory operand into the low end of *v; what is above stays. aligned: #GP unless a
 * multiple of 16. */
X86_INLINE enum x86_rc x86_vec_load(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool aligned, union x86_vec *v)
{
	uint64_t ea = x86_ea(c, i), q = 0;
	enum x86_rc rc;

	if (size == 16) {
		if (LIKELY((c->flat_read >> i->seg) & 1)) {
			gva_t la = c->eff_base[i->seg] + ea;
			const uint8_t *p = x86_tlb_hit(c, c->tlb.read[c->user], la, 16);

			if (LIKELY(p != NULL && !(aligned && (la & 15)))) {
				memcpy(v, p, 16);
				return X86_OK;
			}
		}
		return x86_load128(c, i->seg, ea, aligned, v->u64);
	}
	rc = x86_load(c, i->seg, ea, size, &q);
	if (LIKELY(rc == X86_OK))
		x86_put(v->u8, size, q);
	return rc;
}

X86_INLINE enum x86_rc x86_vec_store(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool aligned, const union x86_vec *v)
{
	uint64_t ea = x86_ea(c, i);

	if (size == 16) {
		if (LIKELY((c->flat_write >> i->seg) & 1)) {
			gva_t la = c->eff_base[i->seg] + ea;
			uint8_t *p = x86_tlb_hit(c, c->tlb.write[c->user], la, 16);

			if (LIKELY(p != NULL && !(aligned && (la & 15)))) {
				memcpy(p, v, 16);
				return X86_OK;
			}
		}
		return x86_store128(c, i->seg, ea, aligned, v->u64);
	}
	return x86_store(c, i->seg, ea, size, x86_get(v->u8, size));
}

/* --- Handlers -------------------------------------------------------------------------------------------------- */

/* The source operand of n bytes, size of them when it is memory. */
X86_INLINE enum x86_rc x86_vec_source(
    struct x86_cpu *c, const struct x86_insn *i, unsigned n, unsigned size, bool aligned, bool mem, union x86_vec *s)
{
	if (mem)
		return x86_vec_load(c, i, size, aligned, s);
	x86_vec_get(c, n, i->rm, s);
	return X86_OK;
}

/* register = register op register or memory. size: bytes of a memory operand; aligned only counts when it is 16. */
X86_INLINE enum x86_rc x86_vec_binary(
    struct x86_cpu *c, const struct x86_insn *i, unsigned n, unsigned size, bool aligned, bool mem, x86_vec_op *op)
{
	union x86_vec d, s = {0};
	enum x86_rc rc = x86_vec_check(c, n);

	if (LIKELY(rc == X86_OK))
		rc = x86_vec_source(c, i, n, size, aligned, mem, &s);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, n, i->reg, &d);
	op(&d, &s, n, (unsigned)i->imm);
	x86_vec_set(c, n, i->reg, &d);
	return X86_OK;
}

/* The families of sse.def: x86_sse_PREFIX_ID, with a handler for registers and one for memory. */
#define SSE_FAMILY(name, r, m) const struct x86_family x86_sse_##name = {{r, r, r, r, m, m, m, m}};
#define SSE_BINARY(name, n, size, aligned, fn)                             \
	X86_HANDLER(r_##name, x86_vec_binary, n, size, aligned, false, fn) \
	X86_HANDLER(m_##name, x86_vec_binary, n, size, aligned, true, fn)  \
	SSE_FAMILY(name, r_##name, m_##name)
/* Full width, on XMM registers; on both kinds of registers. */
#define SSE_XMM(name, fn) SSE_BINARY(name, 16, 16, true, fn)
#define SSE_BOTH(id, fn) SSE_BINARY(NP_##id, 8, 8, false, fn) SSE_BINARY(66_##id, 16, 16, true, fn)

#define SSE(map, prefix, op, id, attr) extern const struct x86_family x86_sse_##prefix##_##id;
#include "core/x86/sse.def"
#undef SSE
/* Shifts by an immediate: x86_sse_i_PREFIX_ID. */
/* clang-format off */
#define SSE_SHIFTS(X)                                                                                                  \
	X(NP_PSRLW) X(NP_PSRAW) X(NP_PSLLW) X(NP_PSRLD) X(NP_PSRAD) X(NP_PSLLD) X(NP_PSRLQ) X(NP_PSLLQ)                \
	X(66_PSRLW) X(66_PSRAW) X(66_PSLLW) X(66_PSRLD) X(66_PSRAD) X(66_PSLLD) X(66_PSRLQ) X(66_PSLLQ)                \
	X(66_PSRLDQ) X(66_PSLLDQ)
/* clang-format on */
#define SSE_SHIFT_DECL(name) extern const struct x86_family x86_sse_i_##name;
SSE_SHIFTS(SSE_SHIFT_DECL)

#endif
