/*
 * Near control flow. A handler here overwrites s.rip, which the runner has set to the next instruction. The target is
 * checked before anything is pushed. [SDM 2A "CALL", "JMP", "LOOP/LOOPcc"; SDM 2B "RET"]
 */
#include "core/x86/exec.h"

/* Target of a relative branch: cut to the operand size. */
X86_INLINE uint64_t rel_target(const struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	return (c->s.rip + i->imm) & x86_mask(size);
}

X86_INLINE enum x86_rc jcc(struct x86_cpu *c, const struct x86_insn *i, unsigned size, unsigned cond)
{
	if (!x86_cond(c, cond))
		return X86_OK;
	return x86_branch(c, rel_target(c, i, size));
}

X86_FAMILY_REG_END(jo, jcc, 0)
X86_FAMILY_REG_END(jno, jcc, 1)
X86_FAMILY_REG_END(jb, jcc, 2)
X86_FAMILY_REG_END(jnb, jcc, 3)
X86_FAMILY_REG_END(jz, jcc, 4)
X86_FAMILY_REG_END(jnz, jcc, 5)
X86_FAMILY_REG_END(jbe, jcc, 6)
X86_FAMILY_REG_END(jnbe, jcc, 7)
X86_FAMILY_REG_END(js, jcc, 8)
X86_FAMILY_REG_END(jns, jcc, 9)
X86_FAMILY_REG_END(jp, jcc, 10)
X86_FAMILY_REG_END(jnp, jcc, 11)
X86_FAMILY_REG_END(jl, jcc, 12)
X86_FAMILY_REG_END(jnl, jcc, 13)
X86_FAMILY_REG_END(jle, jcc, 14)
X86_FAMILY_REG_END(jnle, jcc, 15)

X86_INLINE enum x86_rc jmp_rel(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	return x86_branch(c, rel_target(c, i, size));
}

X86_INLINE enum x86_rc target_rm(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, uint64_t *v)
{
	if (mem)
		return x86_load(c, i->seg, x86_ea(c, i), size, v);
	*v = x86_reg(c, size, i->rm);
	return X86_OK;
}

X86_INLINE enum x86_rc jmp_rm(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t t;
	enum x86_rc rc = target_rm(c, i, size, mem, &t);

	return rc == X86_OK ? x86_branch(c, t) : rc;
}

/* The return address is the next instruction, which s.rip is; when the push faults s.rip must still be that. */
X86_INLINE enum x86_rc call(struct x86_cpu *c, unsigned size, uint64_t target)
{
	uint64_t ret = c->s.rip;
	enum x86_rc rc = x86_branch(c, target);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	rc = x86_push(c, size, ret & x86_mask(size));
	if (UNLIKELY(rc != X86_OK))
		c->s.rip = ret;
	return rc;
}

X86_INLINE enum x86_rc call_rel(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	return call(c, size, rel_target(c, i, size));
}

X86_INLINE enum x86_rc call_rm(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t t;
	enum x86_rc rc = target_rm(c, i, size, mem, &t);

	return rc == X86_OK ? call(c, size, t) : rc;
}

/* imm: bytes of arguments to drop (0 for the plain form). */
X86_INLINE enum x86_rc ret(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t sp = x86_sp(c), t;
	enum x86_rc rc = x86_pop_tmp(c, &sp, size, &t);

	if (rc == X86_OK)
		rc = x86_branch(c, t);
	if (rc == X86_OK)
		x86_set_sp(c, sp + i->imm);
	return rc;
}

X86_FAMILY_REG_END(jmp_rel, jmp_rel)
X86_FAMILY_END(jmp_rm, jmp_rm)
X86_FAMILY_REG_END(call_rel, call_rel)
X86_FAMILY_END(call_rm, call_rm)
X86_FAMILY_REG_END(ret, ret)

/* JCXZ, LOOPcc: the counter is as wide as the address size, the target as the operand size. */
X86_INLINE enum x86_rc jcxz(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	if (x86_addr_mask(i->addrsize, c->s.gpr[X86_RCX]) != 0)
		return X86_OK;
	return x86_branch(c, rel_target(c, i, size));
}

enum loop_kind { LOOP_ALWAYS, LOOP_ZF, LOOP_NOT_ZF };

X86_INLINE enum x86_rc loop(struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum loop_kind kind)
{
	uint64_t n = x86_addr_mask(i->addrsize, c->s.gpr[X86_RCX] - 1);
	bool go = n != 0 && (kind == LOOP_ALWAYS || x86_zf(c) == (kind == LOOP_ZF));

	if (go) {
		enum x86_rc rc = x86_branch(c, rel_target(c, i, size));

		if (rc != X86_OK)
			return rc;
	}
	x86_reg_set(c, i->addrsize, X86_RCX, n);
	return X86_OK;
}

X86_FAMILY_REG_END(jcxz, jcxz)
X86_FAMILY_REG_END(loop, loop, LOOP_ALWAYS)
X86_FAMILY_REG_END(loopz, loop, LOOP_ZF)
X86_FAMILY_REG_END(loopnz, loop, LOOP_NOT_ZF)
