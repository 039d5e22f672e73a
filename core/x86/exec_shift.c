/*
 * Shifts and rotates [SDM 2B "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", SDM 2B "SHLD", "SHRD"].
 *
 * The count is first masked to 5 bits (6 with a 64-bit operand). A masked count of 0 changes no flag. Where the manual
 * leaves a flag undefined, we do as Intel's processors do (tests/oracle): OF is what a shift by 1 of the same operand
 * would give, whatever the count is, and AF is 0. Only ROL and ROR of a register by an
 * immediate count other than 1 leave OF alone.
 */
#include "core/x86/exec.h"

enum shift_op { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAR };
enum shift_count { COUNT_1, COUNT_CL, COUNT_IMM };

struct shift_result {
	uint64_t res;
	bool cf, of;
};

X86_INLINE unsigned count_of(const struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum shift_count from)
{
	uint64_t n = from == COUNT_1 ? 1 : from == COUNT_CL ? c->s.gpr[X86_RCX] : i->imm;

	return (unsigned)n & (size == 8 ? 63 : 31);
}

X86_INLINE struct shift_result rotate(unsigned size, uint64_t a, unsigned n, bool left)
{
	unsigned bits = 8 * size, k = n & (bits - 1);
	struct shift_result s;
	uint64_t l, r;

	if (!left)
		k = (bits - k) & (bits - 1);
	l = a << k;
	r = k ? a >> (bits - k) : 0;
	s.res = (l | r) & x86_mask(size);
	s.cf = left ? s.res & 1 : s.res >> (bits - 1) & 1;
	s.of = ((a >> (bits - 1)) ^ (left ? a >> (bits - 2) : a)) & 1;
	return s;
}

/* Rotation through CF: a register of bits + 1 bits. n is 1 .. bits here. */
X86_INLINE struct shift_result rotate_carry(unsigned size, uint64_t a, unsigned n, bool left, bool cf)
{
	unsigned bits = 8 * size;
	struct shift_result s;

	if (left) {
		s.res = (n < 64 ? a << n : 0) | (uint64_t)cf << (n - 1) | (n > 1 ? a >> (bits + 1 - n) : 0);
		s.cf = a >> (bits - n) & 1;
	} else {
		s.res = (n < 64 ? a >> n : 0) | (uint64_t)cf << (bits - n) | (n > 1 ? a << (bits + 1 - n) : 0);
		s.cf = a >> (n - 1) & 1;
	}
	s.res &= x86_mask(size);
	s.of = ((a >> (bits - 1)) ^ (left ? a >> (bits - 2) : cf)) & 1;
	return s;
}

/* n is 1 .. 31 (63); it may exceed the width of 8- and 16-bit operands. */
X86_INLINE struct shift_result shift(unsigned size, uint64_t a, unsigned n, enum shift_op op)
{
	unsigned bits = 8 * size;
	struct shift_result s;

	if (op == SH_SHL) {
		s.res = (a << n) & x86_mask(size);
		s.cf = n <= bits && (a >> (bits - n) & 1);
		s.of = ((a >> (bits - 1)) ^ (a >> (bits - 2))) & 1;
	} else if (op == SH_SHR) {
		s.res = a >> n;
		s.cf = a >> (n - 1) & 1;
		s.of = a >> (bits - 1) & 1;
	} else {
		int64_t v = (int64_t)x86_sext(size, a);

		s.res = (uint64_t)(v >> n) & x86_mask(size);
		s.cf = v >> (n - 1) & 1;
		s.of = false;
	}
	return s;
}

/* False: nothing happens to the flags (the count is 0). */
X86_INLINE bool shift_do(
    const struct x86_cpu *c, unsigned size, enum shift_op op, uint64_t a, unsigned n, struct shift_result *s)
{
	s->res = a;
	s->cf = s->of = false;
	if (n == 0)
		return false;
	switch (op) {
	case SH_ROL:
	case SH_ROR:
		*s = rotate(size, a, n, op == SH_ROL);
		return true;
	case SH_RCL:
	case SH_RCR:
		if (size < 4)
			n %= 8 * size + 1;
		if (n == 0)
			return false;
		*s = rotate_carry(size, a, n, op == SH_RCL, x86_cf(c));
		return true;
	case SH_SHL:
	case SH_SHR:
	case SH_SAR:
	default:
		*s = shift(size, a, n, op);
		return true;
	}
}

X86_INLINE enum x86_rc shift_rm(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, enum shift_op op, enum shift_count from)
{
	unsigned n = count_of(c, i, size, from);
	struct shift_result s;
	uint64_t a;
	bool flags;

	if (mem) {
		struct x86_rmw w;
		enum x86_rc rc = x86_rmw_load(c, i->seg, x86_ea(c, i), size, &a, &w);

		if (UNLIKELY(rc != X86_OK))
			return rc;
		flags = shift_do(c, size, op, a, n, &s);
		x86_rmw_store(c, &w, s.res);
	} else {
		a = x86_reg(c, size, i->rm);
		flags = shift_do(c, size, op, a, n, &s);
		x86_reg_set(c, size, i->rm, s.res);
	}
	if (!flags)
		return X86_OK;
	if (op >= SH_SHL)
		x86_lazy_cf_of(c, size, s.res, s.cf, s.of);
	else if (op <= SH_ROR && from == COUNT_IMM && !mem && n != 1)
		x86_flags_set_cf(c, s.cf);
	else
		x86_flags_set_cf_of(c, s.cf, s.of);
	return X86_OK;
}

#define SHIFT(name, OP)                                     \
	X86_FAMILY_STORE(name##_1, shift_rm, OP, COUNT_1)   \
	X86_FAMILY_STORE(name##_cl, shift_rm, OP, COUNT_CL) \
	X86_FAMILY_STORE(name##_i, shift_rm, OP, COUNT_IMM)

SHIFT(rol, SH_ROL)
SHIFT(ror, SH_ROR)
SHIFT(rcl, SH_RCL)
SHIFT(rcr, SH_RCR)
SHIFT(shl, SH_SHL)
SHIFT(shr, SH_SHR)
SHIFT(sar, SH_SAR)

/*
 * SHLD, SHRD. With 16-bit operands and a count above 16 the result is undefined; processors shift through
 * destination:source:destination, and so do we.
 */
X86_INLINE struct shift_result shift_double(unsigned size, uint64_t a, uint64_t b, unsigned n, bool left)
{
	unsigned bits = 8 * size;
	struct shift_result s;

	if (size == 2) {
		uint64_t v = a << 32 | b << 16 | a;

		s.res = (left ? v >> (32 - n) : v >> n) & 0xffff;
		s.cf = left ? v << 16 >> (64 - n) & 1 : v >> (n - 1) & 1;
	} else if (left) {
		s.res = (a << n | b >> (bits - n)) & x86_mask(size);
		s.cf = a >> (bits - n) & 1;
	} else {
		s.res = (a >> n | b << (bits - n)) & x86_mask(size);
		s.cf = a >> (n - 1) & 1;
	}
	s.of = ((a >> (bits - 1)) ^ (left ? a >> (bits - 2) : b)) & 1;
	return s;
}

X86_INLINE enum x86_rc shift_double_rm(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, bool left, enum shift_count from)
{
	unsigned n = count_of(c, i, size, from);
	uint64_t a, b = x86_reg(c, size, i->reg);
	struct shift_result s = {0};
	enum x86_rc rc;

	if (mem) {
		struct x86_rmw w;

		rc = x86_rmw_load(c, i->seg, x86_ea(c, i), size, &a, &w);
		if (UNLIKELY(rc != X86_OK))
			return rc;
		if (n)
			s = shift_double(size, a, b, n, left);
		x86_rmw_store(c, &w, n ? s.res : a);
	} else {
		a = x86_reg(c, size, i->rm);
		if (n)
			s = shift_double(size, a, b, n, left);
		x86_reg_set(c, size, i->rm, n ? s.res : a);
	}
	if (n)
		x86_lazy_cf_of(c, size, s.res, s.cf, s.of);
	return X86_OK;
}

X86_FAMILY_GO(shld_cl, shift_double_rm, true, COUNT_CL)
X86_FAMILY_GO(shld_i, shift_double_rm, true, COUNT_IMM)
X86_FAMILY_GO(shrd_cl, shift_double_rm, false, COUNT_CL)
X86_FAMILY_GO(shrd_i, shift_double_rm, false, COUNT_IMM)
