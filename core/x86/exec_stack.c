/*
 * The stack: PUSH, POP, PUSHA, POPA, ENTER, LEAVE. The operand size says what is moved, the stack segment (its B bit)
 * says how wide SP is; access.h does the latter. Instructions of several steps work on a copy of SP and commit it last.
 */
#include "core/x86/exec.h"

X86_INLINE enum x86_rc push_r(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	return x86_push(c, size, x86_reg(c, size, i->rm)); /* PUSH rSP pushes the old value */
}

X86_INLINE enum x86_rc push_i(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	return x86_push(c, size, i->imm & x86_mask(size));
}

X86_INLINE enum x86_rc push_m(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t v;
	enum x86_rc rc = x86_load(c, i->seg, x86_ea(c, i), size, &v);

	return rc == X86_OK ? x86_push(c, size, v) : rc;
}

/* POP rSP leaves the value popped, not the incremented pointer. */
X86_INLINE enum x86_rc pop_r(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t v;
	enum x86_rc rc = x86_pop(c, size, &v);

	if (rc == X86_OK)
		x86_reg_set(c, size, i->rm, v);
	return rc;
}

/* POP m: an address that uses rSP is computed after the increment. */
X86_INLINE enum x86_rc pop_m(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t old = c->s.gpr[X86_RSP], v;
	enum x86_rc rc = x86_pop(c, size, &v);

	if (rc != X86_OK)
		return rc;
	rc = x86_store(c, i->seg, x86_ea(c, i), size, v);
	if (rc != X86_OK)
		c->s.gpr[X86_RSP] = old;
	return rc;
}

X86_INLINE enum x86_rc push_rm(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	return mem ? push_m(c, i, size) : push_r(c, i, size);
}

X86_INLINE enum x86_rc pop_rm(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	return mem ? pop_m(c, i, size) : pop_r(c, i, size);
}

X86_FAMILY_STACK(push_rm, push_rm)
X86_FAMILY_STACK(pop_rm, pop_rm)
X86_FAMILY_REG_STACK(push_i, push_i)

X86_INLINE enum x86_rc pusha(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t sp = x86_sp(c);

	(void)i;
	for (unsigned r = 0; r < 8; r++) {
		enum x86_rc rc = x86_push_tmp(c, &sp, size, x86_reg(c, size, r));

		if (rc != X86_OK)
			return rc;
	}
	x86_set_sp(c, sp);
	return X86_OK;
}

/* The image of rSP is read and thrown away. What was popped before a fault stays: executing it again pops it again. */
X86_INLINE enum x86_rc popa(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t sp = x86_sp(c), v;

	(void)i;
	for (unsigned r = 8; r-- > 0;) {
		enum x86_rc rc = x86_pop_tmp(c, &sp, size, &v);

		if (rc != X86_OK)
			return rc;
		if (r != X86_RSP)
			x86_reg_set(c, size, r, v);
	}
	x86_set_sp(c, sp);
	return X86_OK;
}

X86_FAMILY_REG_STACK(pusha, pusha)
X86_FAMILY_REG_STACK(popa, popa)

X86_INLINE uint64_t sp_mask(const struct x86_cpu *c, uint64_t sp)
{
	return x86_addr_mask(c->stack_size, sp);
}

/*
 * ENTER: a stack frame with copies of the frame pointers of the enclosing procedures (the "display"); imm is the size
 * of the local variables, imm2 the nesting level modulo 32. [SDM 1 "Procedure Calls for Block-Structured Languages"]
 */
X86_INLINE enum x86_rc enter(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	unsigned level = i->imm2 & 31;
	uint64_t sp = x86_sp(c), bp = c->s.gpr[X86_RBP], frame, v;
	struct x86_rmw w;
	enum x86_rc rc = x86_push_tmp(c, &sp, size, x86_reg(c, size, X86_RBP));

	if (rc != X86_OK)
		return rc;
	/* The new frame pointer is the stack pointer, in the operand size: above a narrower SP stand RSP's upper bits.
	 */
	frame = c->stack_size < size ? (c->s.gpr[X86_RSP] & ~x86_mask(c->stack_size)) | sp : sp;
	for (unsigned k = 1; k < level; k++) {
		bp -= size;
		rc = x86_load(c, X86_SS, sp_mask(c, bp), size, &v);
		if (rc == X86_OK)
			rc = x86_push_tmp(c, &sp, size, v);
		if (rc != X86_OK)
			return rc;
	}
	if (level) {
		rc = x86_push_tmp(c, &sp, size, frame & x86_mask(size));
		if (rc != X86_OK)
			return rc;
	}
	sp -= i->imm;
	/* The final stack pointer must be writable, though nothing is written there. */
	rc = x86_rmw_load(c, X86_SS, sp_mask(c, sp), size, &v, &w);
	if (rc != X86_OK)
		return rc;
	x86_set_sp(c, sp);
	x86_reg_set(c, size, X86_RBP, frame);
	return X86_OK;
}

X86_INLINE enum x86_rc leave(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t sp = sp_mask(c, c->s.gpr[X86_RBP]), v;
	enum x86_rc rc = x86_pop_tmp(c, &sp, size, &v);

	(void)i;
	if (rc != X86_OK)
		return rc;
	x86_set_sp(c, sp);
	x86_reg_set(c, size, X86_RBP, v);
	return X86_OK;
}

X86_FAMILY_REG_STACK(enter, enter)
X86_FAMILY_REG_STACK(leave, leave)
