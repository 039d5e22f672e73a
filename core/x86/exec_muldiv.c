/*
 * Multiplication and division, sign extension of the accumulator, decimal arithmetic.
 *
 * A division has one way to fail, #DE: the divisor is zero or the quotient does not fit. It is a fault: nothing has
 * changed. [SDM 2A "DIV", "IDIV", "IMUL"; SDM 2B "MUL"; SDM 1 "Decimal Arithmetic Instructions"]
 */
#include "core/x86/exec.h"

struct u128 {
	uint64_t lo, hi;
};

X86_INLINE enum x86_rc operand_rm(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, uint64_t *v)
{
	if (mem)
		return x86_load(c, i->seg, x86_ea(c, i), size, v);
	*v = x86_reg(c, size, i->rm);
	return X86_OK;
}

X86_INLINE struct u128 mul_wide(uint64_t a, uint64_t b, bool is_signed)
{
	unsigned __int128 p =
	    is_signed ? (unsigned __int128)((__int128)(int64_t)a * (int64_t)b) : (unsigned __int128)a * b;

	return (struct u128){(uint64_t)p, (uint64_t)(p >> 64)};
}

/* The double-width accumulator: AX for bytes, else rDX:rAX. */
X86_INLINE void wide_set(struct x86_cpu *c, unsigned size, uint64_t lo, uint64_t hi)
{
	if (size == 1) {
		x86_reg_set(c, 2, X86_RAX, (lo & 0xff) | (hi & 0xff) << 8);
	} else {
		x86_reg_set(c, size, X86_RAX, lo);
		x86_reg_set(c, size, X86_RDX, hi);
	}
}

/* CF = OF = the upper half counts. The manual leaves the others undefined; Intel's processors set SF and PF by the
 * lower half and clear ZF and AF (tests/oracle). ZF is made of a whole result, so a result of 0 becomes another one
 * that has the same sign and low byte. */
X86_INLINE void product_flags(struct x86_cpu *c, unsigned size, uint64_t lo, bool over)
{
	uint64_t res = x86_sext(size, lo);

	x86_lazy_cf_of(c, 8, res ? res : 0x100, over, over);
}

X86_INLINE enum x86_rc mul(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, bool is_signed)
{
	uint64_t a = x86_reg(c, size, X86_RAX), b;
	enum x86_rc rc = operand_rm(c, i, size, mem, &b);
	struct u128 p;
	bool over;

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (is_signed)
		p = mul_wide(x86_sext(size, a), x86_sext(size, b), true);
	else
		p = mul_wide(a, b, false);
	if (size < 8)
		p.hi = p.lo >> (8 * size & 63);
	if (is_signed)
		over = ((p.hi ^ (x86_sext(size, p.lo) >> 63 ? ~0ull : 0)) & x86_mask(size)) != 0;
	else
		over = (p.hi & x86_mask(size)) != 0;
	wide_set(c, size, p.lo, p.hi);
	product_flags(c, size, p.lo, over);
	return X86_OK;
}

X86_FAMILY_LOAD(0, mul, mul, false)
X86_FAMILY_LOAD(0, imul1, mul, true)

/* IMUL reg, r/m and IMUL reg, r/m, imm: the product is cut; CF = OF = something was lost. */
X86_INLINE enum x86_rc imul_r(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, bool imm)
{
	uint64_t b;
	enum x86_rc rc = operand_rm(c, i, size, mem, &b);
	struct u128 p;
	uint64_t wide;
	bool over;

	if (UNLIKELY(rc != X86_OK))
		return rc;
	p = mul_wide(x86_sext(size, b), x86_sext(size, imm ? i->imm : x86_reg(c, size, i->reg)), true);
	wide = x86_sext(size, p.lo);
	over = wide != p.lo || p.hi != (wide >> 63 ? ~0ull : 0);
	x86_reg_set(c, size, i->reg, p.lo);
	product_flags(c, size, p.lo, over);
	return X86_OK;
}

X86_FAMILY_LOAD(0, imul2, imul_r, false)
X86_FAMILY_LOAD(0, imul3, imul_r, true)

/* hi:lo / d for hi < d. The compiler has no such operation that needs no library; the processor has. */
X86_INLINE void div_wide(uint64_t hi, uint64_t lo, uint64_t d, uint64_t *q, uint64_t *r)
{
	__asm__("divq %4" : "=a"(*q), "=d"(*r) : "a"(lo), "d"(hi), "r"(d) : "cc");
}

X86_INLINE void wide_get(const struct x86_cpu *c, unsigned size, uint64_t *lo, uint64_t *hi)
{
	if (size == 1) {
		*lo = (uint8_t)c->s.gpr[X86_RAX];
		*hi = (uint8_t)(c->s.gpr[X86_RAX] >> 8);
	} else {
		*lo = x86_reg(c, size, X86_RAX);
		*hi = x86_reg(c, size, X86_RDX);
	}
}

X86_INLINE void quotient_set(struct x86_cpu *c, unsigned size, uint64_t q, uint64_t r)
{
	wide_set(c, size, q, r); /* the same places: AL and AH, else rAX and rDX */
}

X86_INLINE enum x86_rc divide(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t lo, hi, d, q, r;
	enum x86_rc rc = operand_rm(c, i, size, mem, &d);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	wide_get(c, size, &lo, &hi);
	if (hi >= d) /* covers d == 0 */
		return x86_fault(c, VEC_DE);
	if (size == 8) {
		div_wide(hi, lo, d, &q, &r);
	} else {
		uint64_t n = hi << (8 * size & 63) | lo;

		q = n / d;
		r = n % d;
	}
	quotient_set(c, size, q, r);
	return X86_OK;
}

X86_FAMILY_GO(div, divide)

/* Signed division on magnitudes; the remainder has the sign of the dividend. */
X86_INLINE enum x86_rc divide_signed(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t lo, hi, d, q, r, limit;
	enum x86_rc rc = operand_rm(c, i, size, mem, &d);
	bool neg_n, neg_d;

	if (UNLIKELY(rc != X86_OK))
		return rc;
	wide_get(c, size, &lo, &hi);
	neg_n = hi >> (8 * size - 1) & 1;
	neg_d = d >> (8 * size - 1) & 1;
	if (neg_d)
		d = (0 - d) & x86_mask(size);
	if (neg_n) {
		lo = (0 - lo) & x86_mask(size);
		hi = (~hi + (lo == 0)) & x86_mask(size);
	}
	if (hi >= d)
		return x86_fault(c, VEC_DE);
	if (size == 8) {
		div_wide(hi, lo, d, &q, &r);
	} else {
		uint64_t n = hi << (8 * size & 63) | lo;

		q = n / d;
		r = n % d;
	}
	limit = x86_mask(size) >> 1; /* the largest positive quotient; a negative one may be one larger */
	if (q > limit + (neg_n != neg_d))
		return x86_fault(c, VEC_DE);
	quotient_set(c, size, neg_n != neg_d ? 0 - q : q, neg_n ? 0 - r : r);
	return X86_OK;
}

X86_FAMILY_GO(idiv, divide_signed)

/* CBW CWDE CDQE: rAX from its lower half. */
X86_INLINE enum x86_rc extend_acc(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	(void)i;
	x86_reg_set(c, size, X86_RAX, x86_sext(size > 1 ? size / 2 : 1, c->s.gpr[X86_RAX]));
	return X86_OK;
}

/* CWD CDQ CQO: the sign of rAX over all of rDX. */
X86_INLINE enum x86_rc extend_dx(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	(void)i;
	x86_reg_set(c, size, X86_RDX, x86_sext(size, c->s.gpr[X86_RAX]) >> 63 ? ~0ull : 0);
	return X86_OK;
}

X86_FAMILY_REG_GO(cbw, extend_acc)
X86_FAMILY_REG_GO(cwd, extend_dx)

/* Status flags by an 8-bit result, with AF and CF as given (the decimal instructions). */
static void decimal_flags(struct x86_cpu *c, uint64_t al, bool af, bool cf)
{
	x86_lazy_raw(c, 1, al, cf, false, af);
}

static enum x86_rc aaa_aas(struct x86_cpu *c, bool subtract)
{
	uint64_t ax = x86_reg(c, 2, X86_RAX);
	bool adjust = (ax & 0xf) > 9 || x86_af(c);

	if (adjust)
		ax = subtract ? ((ax - 6) & 0xffff) - 0x100 : ax + 0x106;
	x86_reg_set(c, 2, X86_RAX, ax & 0xff0f);
	decimal_flags(c, ax & 0xf, adjust, adjust);
	return X86_OK;
}

static enum x86_rc op_aaa(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	return aaa_aas(c, false);
}

static enum x86_rc op_aas(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	return aaa_aas(c, true);
}

static enum x86_rc daa_das(struct x86_cpu *c, bool subtract)
{
	uint64_t old = x86_reg(c, 1, X86_RAX), al = old;
	bool old_cf = x86_cf(c), cf = false, af = false;

	if ((old & 0xf) > 9 || x86_af(c)) {
		cf = old_cf || (subtract ? al < 6 : al > 0xff - 6);
		al = subtract ? al - 6 : al + 6;
		af = true;
	}
	if (old > 0x99 || old_cf) {
		al = subtract ? al - 0x60 : al + 0x60;
		cf = true;
	} else if (!subtract) {
		cf = false;
	}
	x86_reg_set(c, 1, X86_RAX, al);
	decimal_flags(c, al & 0xff, af, cf);
	return X86_OK;
}

static enum x86_rc op_daa(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	return daa_das(c, false);
}

static enum x86_rc op_das(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	return daa_das(c, true);
}

static enum x86_rc op_aam(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t base = i->imm & 0xff, al = x86_reg(c, 1, X86_RAX);

	if (base == 0)
		return x86_fault(c, VEC_DE);
	x86_reg_set(c, 2, X86_RAX, al / base << 8 | al % base);
	x86_lazy_logic(c, 1, al % base);
	return X86_OK;
}

static enum x86_rc op_aad(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t ax = x86_reg(c, 2, X86_RAX);
	uint64_t tens = (ax >> 8) * (i->imm & 0xff) & 0xff, al = (ax + tens) & 0xff;

	x86_reg_set(c, 2, X86_RAX, al);
	x86_lazy_add(c, 1, ax & 0xff, tens, al); /* CF, OF, AF: undefined; the addition's on Intel's processors */
	return X86_OK;
}

X86_FAMILY_ONE(aaa, op_aaa)
X86_FAMILY_ONE(aas, op_aas)
X86_FAMILY_ONE(daa, op_daa)
X86_FAMILY_ONE(das, op_das)
X86_FAMILY_ONE(aam, op_aam)
X86_FAMILY_ONE(aad, op_aad)
