/*
 * The six status flags, computed late. Nearly every instruction sets all six and nearly none is read, so an arithmetic
 * instruction only notes what the flags could be made of (struct x86_lazy), and whoever needs one works it out:
 *
 *   lazy.op    0: s.rflags is complete. Else the fields below are the truth and the status bits of s.rflags are stale.
 *   lazy.res   the result, sign-extended to 64 bits: ZF, SF, and PF from its low byte
 *   lazy.src1  the carry out of every bit position, moved up so that the operand's top bit is bit 63:
 *              CF is bit 63, and OF is bit 63 xor bit 62 (the carry into the top bit differs from the carry out of it)
 *   lazy.aux   bit 4 is AF
 *
 * One representation for additions, subtractions, logic and shifts of every size: no dispatch on the kind of operation
 * when a flag is read. lazy.size and lazy.src2 are not used by it.
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

X86_INLINE void x86_lazy_set(struct x86_cpu *c, unsigned size, uint64_t res, uint64_t carries, uint64_t af)
{
	c->lazy.op = 1;
	c->lazy.res = x86_sext(size, res);
	c->lazy.src1 = carries << (64 - 8 * size);
	c->lazy.aux = (uint32_t)(af & FLAG_AF);
}

/* res = a + b (+ carry in): where both, or one without a result bit, a carry left the position. */
X86_INLINE void x86_lazy_add(struct x86_cpu *c, unsigned size, uint64_t a, uint64_t b, uint64_t res)
{
	x86_lazy_set(c, size, res, (a & b) | ((a | b) & ~res), a ^ b ^ res);
}

/* res = a - b (- borrow in): the same for borrows. */
X86_INLINE void x86_lazy_sub(struct x86_cpu *c, unsigned size, uint64_t a, uint64_t b, uint64_t res)
{
	x86_lazy_set(c, size, res, (~a & b) | ((~a | b) & res), a ^ b ^ res);
}

/* CF, OF and AF clear; ZF, SF, PF by the result. */
X86_INLINE void x86_lazy_logic(struct x86_cpu *c, unsigned size, uint64_t res)
{
	x86_lazy_set(c, size, res, 0, 0);
}

/* ZF, SF, PF by the result, CF and OF as given, AF clear (shifts, multiplications). */
X86_INLINE void x86_lazy_cf_of(struct x86_cpu *c, unsigned size, uint64_t res, bool cf, bool of)
{
	c->lazy.op = 1;
	c->lazy.res = x86_sext(size, res);
	c->lazy.src1 = (uint64_t)cf << 63 | (uint64_t)(cf != of) << 62;
	c->lazy.aux = 0;
}

X86_INLINE bool x86_cf(const struct x86_cpu *c)
{
	return c->lazy.op ? c->lazy.src1 >> 63 : c->s.rflags & FLAG_CF;
}

X86_INLINE bool x86_of(const struct x86_cpu *c)
{
	return c->lazy.op ? (c->lazy.src1 ^ c->lazy.src1 << 1) >> 63 : c->s.rflags & FLAG_OF;
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
	return c->lazy.op ? c->lazy.aux & FLAG_AF : c->s.rflags & FLAG_AF;
}

/* The complete RFLAGS, without storing it. */
X86_INLINE uint64_t x86_flags_get(const struct x86_cpu *c)
{
	if (!c->lazy.op)
		return c->s.rflags;
	return (c->s.rflags & ~(uint64_t)FLAGS_STATUS) | (x86_cf(c) ? FLAG_CF : 0) | (x86_pf(c) ? FLAG_PF : 0) |
	       c->lazy.aux | (x86_zf(c) ? FLAG_ZF : 0) | (x86_sf(c) ? FLAG_SF : 0) | (x86_of(c) ? FLAG_OF : 0);
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
	if (c->lazy.op)
		c->lazy.src1 = (uint64_t)cf << 63 | (uint64_t)(cf != of) << 62;
	else
		c->s.rflags = (c->s.rflags & ~(uint64_t)(FLAG_CF | FLAG_OF)) | (cf ? FLAG_CF : 0) | (of ? FLAG_OF : 0);
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
		v = x86_cf(c) || x86_zf(c);
		break;
	case 4:
		v = x86_sf(c);
		break;
	case 5:
		v = x86_pf(c);
		break;
	case 6:
		v = x86_sf(c) != x86_of(c);
		break;
	default:
		v = x86_zf(c) || x86_sf(c) != x86_of(c);
		break;
	}
	return v != (cond & 1);
}

#endif
