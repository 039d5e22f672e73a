/*
 * The six status flags, computed late. Nearly every instruction sets all six and nearly none is read, so an arithmetic
 * instruction only notes what the flags could be made of (struct x86_lazy), and whoever needs one works it out:
 *
 *   lazy.op    LAZY_NONE: s.rflags is complete. Else the fields below are the truth and the status bits of s.rflags are
 *              stale.
 *   lazy.res   the result, sign-extended to 64 bits: ZF, SF, and PF from its low byte
 *   LAZY_SUB   src1 - src2 = res, LAZY_ADD src1 + src2 = res, all sign-extended to 64 bits. Sign extension keeps the
 *              unsigned order too, so that one comparison of 64 bits gives CF for every size. A logic operation is the
 *              subtraction res - 0: no carry, no overflow.
 *   LAZY_RAW   everything else. src1: CF is bit 63, OF is bit 63 xor bit 62 (a carry out of the top position differs
 *              from the carry into it); aux: bit 4 is AF
 *
 * lazy.size is not used.
 */
#ifndef VMSCOPE_CORE_X86_FLAGS_H
#define VMSCOPE_CORE_X86_FLAGS_H

#include "core/x86/cpu.h"

#define X86_INLINE static inline __attribute__((always_inline))

X86_INLINE uint64_t x86_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

X86_INLINE uint64_t x86_sext(unsigned size, uint64_t v)
{
	unsigned sh = 64 - 8 * size;
	return (uint64_t)((int64_t)(v << sh) >> sh);
}

enum x86_lazy_op { LAZY_NONE, LAZY_RAW, LAZY_SUB, LAZY_ADD };

X86_INLINE void x86_lazy_operands(
    struct x86_cpu *c, enum x86_lazy_op op, unsigned size, uint64_t a, uint64_t b, uint64_t res)
{
	c->lazy.op = op;
	c->lazy.res = x86_sext(size, res);
	c->lazy.src1 = x86_sext(size, a);
	c->lazy.src2 = x86_sext(size, b);
}

/* res = a + b */
X86_INLINE void x86_lazy_add(struct x86_cpu *c, unsigned size, uint64_t a, uint64_t b, uint64_t res)
{
	x86_lazy_operands(c, LAZY_ADD, size, a, b, res);
}

/* res = a - b */
X86_INLINE void x86_lazy_sub(struct x86_cpu *c, unsigned size, uint64_t a, uint64_t b, uint64_t res)
{
	x86_lazy_operands(c, LAZY_SUB, size, a, b, res);
}

/* CF, OF and AF clear; ZF, SF, PF by the result. */
X86_INLINE void x86_lazy_logic(struct x86_cpu *c, unsigned size, uint64_t res)
{
	x86_lazy_operands(c, LAZY_SUB, size, res, 0, res);
}

/* ZF, SF, PF by the result; CF, OF and AF as given. */
X86_INLINE void x86_lazy_raw(struct x86_cpu *c, unsigned size, uint64_t res, bool cf, bool of, bool af)
{
	c->lazy.op = LAZY_RAW;
	c->lazy.res = x86_sext(size, res);
	c->lazy.src1 = (cf ? 1ull << 63 : 0) | (cf != of ? 1ull << 62 : 0);
	c->lazy.aux = af ? FLAG_AF : 0;
}

/* AF clear (shifts, multiplications). */
X86_INLINE void x86_lazy_cf_of(struct x86_cpu *c, unsigned size, uint64_t res, bool cf, bool of)
{
	x86_lazy_raw(c, size, res, cf, of, false);
}

/* With a carry or borrow coming in the operands do not tell CF: note the carry out of every bit position, moved up so
 * that the operand's top bit is bit 63. */
X86_INLINE void x86_lazy_carries(
    struct x86_cpu *c, unsigned size, uint64_t a, uint64_t b, uint64_t res, uint64_t carries)
{
	c->lazy.op = LAZY_RAW;
	c->lazy.res = x86_sext(size, res);
	c->lazy.src1 = carries << (64 - 8 * size);
	c->lazy.aux = (uint32_t)(a ^ b ^ res) & FLAG_AF;
}

/* res = a + b + CF: where both, or one without a result bit, a carry left the position. */
X86_INLINE void x86_lazy_adc(struct x86_cpu *c, unsigned size, uint64_t a, uint64_t b, uint64_t res)
{
	x86_lazy_carries(c, size, a, b, res, (a & b) | ((a | b) & ~res));
}

/* res = a - b - CF: the same for borrows. */
X86_INLINE void x86_lazy_sbb(struct x86_cpu *c, unsigned size, uint64_t a, uint64_t b, uint64_t res)
{
	x86_lazy_carries(c, size, a, b, res, (~a & b) | ((~a | b) & res));
}

X86_INLINE bool x86_cf(const struct x86_cpu *c)
{
	if (LIKELY(c->lazy.op == LAZY_SUB))
		return c->lazy.src1 < c->lazy.src2;
	switch (c->lazy.op) {
	case LAZY_ADD:
		return c->lazy.res < c->lazy.src1;
	case LAZY_RAW:
		return c->lazy.src1 >> 63;
	default:
		return c->s.rflags & FLAG_CF;
	}
}

/* Overflow: the operands' signs (equal for an addition, different for a subtraction) do not explain the result's. */
X86_INLINE bool x86_of(const struct x86_cpu *c)
{
	const struct x86_lazy *l = &c->lazy;

	switch (l->op) {
	case LAZY_SUB:
		return ((l->src1 ^ l->src2) & (l->src1 ^ l->res)) >> 63;
	case LAZY_ADD:
		return (~(l->src1 ^ l->src2) & (l->src1 ^ l->res)) >> 63;
	case LAZY_RAW:
		return (l->src1 ^ l->src1 << 1) >> 63;
	default:
		return c->s.rflags & FLAG_OF;
	}
}

X86_INLINE bool x86_zf(const struct x86_cpu *c)
{
	return c->lazy.op ? c->lazy.res == 0 : c->s.rflags & FLAG_ZF;
}

X86_INLINE bool x86_sf(const struct x86_cpu *c)
{
	return c->lazy.op ? c->lazy.res >> 63 : c->s.rflags & FLAG_SF;
}

X86_INLINE bool x86_pf(const struct x86_cpu *c)
{
	return c->lazy.op ? !__builtin_parity((uint8_t)c->lazy.res) : c->s.rflags & FLAG_PF;
}

X86_INLINE bool x86_af(const struct x86_cpu *c)
{
	const struct x86_lazy *l = &c->lazy;

	if (l->op >= LAZY_SUB)
		return (l->src1 ^ l->src2 ^ l->res) & FLAG_AF;
	return (l->op ? l->aux : c->s.rflags) & FLAG_AF;
}

/* The complete RFLAGS, without storing it. */
X86_INLINE uint64_t x86_flags_get(const struct x86_cpu *c)
{
	if (!c->lazy.op)
		return c->s.rflags;
	return (c->s.rflags & ~(uint64_t)FLAGS_STATUS) | (x86_cf(c) ? FLAG_CF : 0) | (x86_pf(c) ? FLAG_PF : 0) |
	       (x86_af(c) ? FLAG_AF : 0) | (x86_zf(c) ? FLAG_ZF : 0) | (x86_sf(c) ? FLAG_SF : 0) |
	       (x86_of(c) ? FLAG_OF : 0);
}

/* Writes all of RFLAGS. Whoever stores s.rflags by hand must also clear lazy.op: use this. */
X86_INLINE void x86_flags_write(struct x86_cpu *c, uint64_t v)
{
	c->s.rflags = v;
	c->lazy.op = 0;
}

/* Replaces the status bits of mask by those of v and keeps the others. */
X86_INLINE void x86_flags_update(struct x86_cpu *c, uint64_t mask, uint64_t v)
{
	x86_flags_write(c, (x86_flags_get(c) & ~mask) | (v & mask));
}

/* CF and OF only (rotates). */
X86_INLINE void x86_flags_set_cf_of(struct x86_cpu *c, bool cf, bool of)
{
	if (c->lazy.op) {
		c->lazy.aux = x86_af(c) ? FLAG_AF : 0;
		c->lazy.op = LAZY_RAW;
		c->lazy.src1 = (cf ? 1ull << 63 : 0) | (cf != of ? 1ull << 62 : 0);
	} else {
		c->s.rflags = (c->s.rflags & ~(uint64_t)(FLAG_CF | FLAG_OF)) | (cf ? FLAG_CF : 0) | (of ? FLAG_OF : 0);
	}
}

/* CF only. */
X86_INLINE void x86_flags_set_cf(struct x86_cpu *c, bool cf)
{
	x86_flags_set_cf_of(c, cf, x86_of(c));
}

/* The condition of Jcc, SETcc, CMOVcc: tttn as in the opcode [SDM 2D "Condition Test (tttn) Field"]. */
X86_INLINE bool x86_cond(const struct x86_cpu *c, unsigned cond)
{
	bool v;

	switch (cond >> 1) {
	case 0:
		v = x86_of(c);
		break;
	case 1:
		v = x86_cf(c);
		break;
	case 2:
		v = x86_zf(c);
		break;
	case 3:
		v = LIKELY(c->lazy.op == LAZY_SUB) ? c->lazy.src1 <= c->lazy.src2 : x86_cf(c) || x86_zf(c);
		break;
	case 4:
		v = x86_sf(c);
		break;
	case 5:
		v = x86_pf(c);
		break;
	case 6: /* after a comparison: simply "less" */
		v = LIKELY(c->lazy.op == LAZY_SUB) ? (int64_t)c->lazy.src1 < (int64_t)c->lazy.src2
						   : x86_sf(c) != x86_of(c);
		break;
	default:
		v = LIKELY(c->lazy.op == LAZY_SUB) ? (int64_t)c->lazy.src1 <= (int64_t)c->lazy.src2
						   : x86_zf(c) || x86_sf(c) != x86_of(c);
		break;
	}
	return v != (cond & 1);
}

#endif
