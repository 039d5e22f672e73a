/*
 * Two-operand arithmetic and logic, and the one-operand INC DEC NEG NOT.
 *
 * Each operation is written once, for "some size, register or memory"; X86_FAMILY instantiates it. The order inside is
 * always the same and is the rule of restart: read (may fault), compute, write (may fault), and only then the flags.
 */
#include "core/x86/exec.h"

enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST };
enum alu_src { SRC_REG, SRC_IMM };

X86_INLINE uint64_t alu_result(const struct x86_cpu *c, enum alu_op op, uint64_t a, uint64_t b)
{
	switch (op) {
	case ALU_ADD:
		return a + b;
	case ALU_OR:
		return a | b;
	case ALU_ADC:
		return a + b + x86_cf(c);
	case ALU_SBB:
		return a - b - x86_cf(c);
	case ALU_AND:
	case ALU_TEST:
		return a & b;
	case ALU_XOR:
		return a ^ b;
	case ALU_SUB:
	case ALU_CMP:
	default:
		return a - b;
	}
}

X86_INLINE void alu_flags(struct x86_cpu *c, enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t r)
{
	switch (op) {
	case ALU_ADD:
		x86_lazy_add(c, size, a, b, r);
		break;
	case ALU_ADC:
		x86_lazy_adc(c, size, a, b, r);
		break;
	case ALU_SBB:
		x86_lazy_sbb(c, size, a, b, r);
		break;
	case ALU_SUB:
	case ALU_CMP:
		x86_lazy_sub(c, size, a, b, r);
		break;
	case ALU_OR:
	case ALU_AND:
	case ALU_XOR:
	case ALU_TEST:
	default:
		x86_lazy_logic(c, size, r);
		break;
	}
}

X86_INLINE bool alu_writes(enum alu_op op)
{
	return op != ALU_CMP && op != ALU_TEST;
}

/* op r/m, reg and op r/m, imm */
X86_INLINE enum x86_rc alu_rm(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, enum alu_op op, enum alu_src src)
{
	uint64_t b = src == SRC_IMM ? i->imm & x86_mask(size) : x86_reg(c, size, i->reg);
	uint64_t a, r;
	enum x86_rc rc;

	if (!mem) {
		a = x86_reg(c, size, i->rm);
		r = alu_result(c, op, a, b);
		if (alu_writes(op))
			x86_reg_set(c, size, i->rm, r);
	} else if (alu_writes(op)) {
		struct x86_rmw w;

		rc = x86_rmw_load(c, i->seg, x86_ea(c, i), size, &a, &w);
		if (UNLIKELY(rc != X86_OK))
			return rc;
		r = alu_result(c, op, a, b);
		x86_rmw_store(c, &w, r);
	} else {
		rc = x86_load(c, i->seg, x86_ea(c, i), size, &a);
		if (UNLIKELY(rc != X86_OK))
			return rc;
		r = alu_result(c, op, a, b);
	}
	alu_flags(c, op, size, a, b, r);
	return X86_OK;
}

/* op reg, r/m */
X86_INLINE enum x86_rc alu_r(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, enum alu_op op)
{
	uint64_t a, b, r;

	if (mem) {
		enum x86_rc rc = x86_load(c, i->seg, x86_ea(c, i), size, &b);

		if (UNLIKELY(rc != X86_OK))
			return rc;
	} else {
		b = x86_reg(c, size, i->rm);
	}
	a = x86_reg(c, size, i->reg);
	r = alu_result(c, op, a, b);
	if (alu_writes(op))
		x86_reg_set(c, size, i->reg, r);
	alu_flags(c, op, size, a, b, r);
	return X86_OK;
}

#define ALU(name, OP)                                      \
	X86_FAMILY_STORE(name##_rm_r, alu_rm, OP, SRC_REG) \
	X86_FAMILY_STORE(name##_rm_i, alu_rm, OP, SRC_IMM) \
	X86_FAMILY_LOAD(0, name##_r_rm, alu_r, OP)

ALU(add, ALU_ADD)
ALU(or, ALU_OR)
ALU(adc, ALU_ADC)
ALU(sbb, ALU_SBB)
ALU(and, ALU_AND)
ALU(sub, ALU_SUB)
ALU(xor, ALU_XOR)
X86_FAMILY_LOAD(0, cmp_rm_r, alu_rm, ALU_CMP, SRC_REG)
X86_FAMILY_LOAD(0, cmp_rm_i, alu_rm, ALU_CMP, SRC_IMM)
X86_FAMILY_LOAD(0, cmp_r_rm, alu_r, ALU_CMP)
X86_FAMILY_LOAD(0, test_rm_r, alu_rm, ALU_TEST, SRC_REG)
X86_FAMILY_LOAD(0, test_rm_i, alu_rm, ALU_TEST, SRC_IMM)

enum unary_op { UNARY_INC, UNARY_DEC, UNARY_NEG, UNARY_NOT };

X86_INLINE uint64_t unary_result(enum unary_op op, uint64_t a)
{
	switch (op) {
	case UNARY_INC:
		return a + 1;
	case UNARY_DEC:
		return a - 1;
	case UNARY_NEG:
		return 0 - a;
	case UNARY_NOT:
	default:
		return ~a;
	}
}

/* INC and DEC leave CF alone and overflow only into or out of the most negative value; NOT leaves all flags alone. */
X86_INLINE void unary_flags(struct x86_cpu *c, enum unary_op op, unsigned size, uint64_t a, uint64_t r)
{
	uint64_t min = 1ull << (8 * size - 1);

	switch (op) {
	case UNARY_INC:
		x86_lazy_raw(c, size, r, x86_cf(c), (r & x86_mask(size)) == min, (r & 15) == 0);
		break;
	case UNARY_DEC:
		x86_lazy_raw(c, size, r, x86_cf(c), (a & x86_mask(size)) == min, (r & 15) == 15);
		break;
	case UNARY_NEG:
		x86_lazy_sub(c, size, 0, a, r);
		break;
	case UNARY_NOT:
	default:
		break;
	}
}

X86_INLINE enum x86_rc unary(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, enum unary_op op)
{
	uint64_t a, r;

	if (mem) {
		struct x86_rmw w;
		enum x86_rc rc = x86_rmw_load(c, i->seg, x86_ea(c, i), size, &a, &w);

		if (UNLIKELY(rc != X86_OK))
			return rc;
		r = unary_result(op, a);
		x86_rmw_store(c, &w, r);
	} else {
		a = x86_reg(c, size, i->rm);
		r = unary_result(op, a);
		x86_reg_set(c, size, i->rm, r);
	}
	unary_flags(c, op, size, a, r);
	return X86_OK;
}

X86_FAMILY_STORE(inc, unary, UNARY_INC)
X86_FAMILY_STORE(dec, unary, UNARY_DEC)
X86_FAMILY_STORE(neg, unary, UNARY_NEG)
X86_FAMILY_STORE(not, unary, UNARY_NOT)
