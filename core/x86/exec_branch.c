/*
 * Near control flow. A handler here overwrites s.rip, which the runner has set to the next instruction. A call
 * pushes before it checks its target, as Intel's processors do: a bad target leaves the return address below the stack
 * pointer. [SDM 2A "CALL", "JMP", "LOOP/LOOPcc"; SDM 2B "RET"]
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

/* In flat blocks: what cannot fault, and hops. Everything else is left to x86_go_last(). */
X86_INLINE enum x86_rc flat_to(struct x86_cpu *c, const struct x86_insn *i, uint64_t target)
{
	uint64_t start = c->s.rip;

	if (UNLIKELY(!x86_canonical(target)))
		return x86_go_last(c, i);
	c->s.rip = target;
	return x86_hop(c, start, 1);
}

X86_INLINE enum x86_rc flat_jcc(struct x86_cpu *c, const struct x86_insn *i, unsigned cond)
{
	uint64_t start = c->s.rip, next = start + i->ahead;

	if (x86_cond(c, cond))
		return flat_to(c, i, next + i->imm);
	c->s.rip = next;
	return x86_hop(c, start, 0);
}

#define JCC(name, cond)                          \
	X86_HANDLER(flat_##name, flat_jcc, cond) \
	X86_FAMILY_REG_END(name, flat_##name, jcc, cond)
JCC(jo, 0)
JCC(jno, 1)
JCC(jb, 2)
JCC(jnb, 3)
JCC(jz, 4)
JCC(jnz, 5)
JCC(jbe, 6)
JCC(jnbe, 7)
JCC(js, 8)
JCC(jns, 9)
JCC(jp, 10)
JCC(jnp, 11)
JCC(jl, 12)
JCC(jnl, 13)
JCC(jle, 14)
JCC(jnle, 15)

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

/* The return address is the next instruction, which s.rip is. */
X86_INLINE enum x86_rc call(struct x86_cpu *c, unsigned size, uint64_t target)
{
	uint64_t sp = x86_sp(c);
	enum x86_rc rc = x86_push_tmp(c, &sp, size, c->s.rip & x86_mask(size));

	if (LIKELY(rc == X86_OK))
		rc = x86_branch(c, target);
	if (LIKELY(rc == X86_OK))
		x86_set_sp(c, sp);
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

static enum x86_rc flat_jmp_rel(struct x86_cpu *c, const struct x86_insn *i)
{
	return flat_to(c, i, c->s.rip + i->ahead + i->imm);
}

X86_INLINE enum x86_rc flat_call(struct x86_cpu *c, const struct x86_insn *i, uint64_t target)
{
	uint64_t sp = c->s.gpr[X86_RSP] - 8;
	uint8_t *p = x86_tlb_hit(c, c->tlb.write[c->user], sp, 8);

	if (UNLIKELY(!p || !x86_canonical(target)))
		return x86_go_last(c, i);
	x86_put(p, 8, c->s.rip + i->ahead);
	c->s.gpr[X86_RSP] = sp;
	return flat_to(c, i, target);
}

static enum x86_rc flat_call_rel(struct x86_cpu *c, const struct x86_insn *i)
{
	return flat_call(c, i, c->s.rip + i->ahead + i->imm);
}

static enum x86_rc flat_ret(struct x86_cpu *c, const struct x86_insn *i)
{
	const uint8_t *p = x86_tlb_hit(c, c->tlb.read[c->user], c->s.gpr[X86_RSP], 8);
	uint64_t target = p ? x86_get(p, 8) : 0;

	if (UNLIKELY(!p || !x86_canonical(target)))
		return x86_go_last(c, i);
	c->s.gpr[X86_RSP] += 8 + i->imm;
	return flat_to(c, i, target);
}

/* JMP and CALL through a register or memory. */
X86_INLINE enum x86_rc flat_rm(struct x86_cpu *c, const struct x86_insn *i, bool mem, bool is_call)
{
	uint64_t target;

	if (mem) {
		const uint8_t *p = x86_tlb_hit(c, c->tlb.read[c->user], x86_ea(c, i), 8);

		if (UNLIKELY(!p))
			return x86_go_last(c, i);
		target = x86_get(p, 8);
	} else {
		target = c->s.gpr[i->rm];
	}
	return is_call ? flat_call(c, i, target) : flat_to(c, i, target);
}

X86_HANDLER(flat_jmp_r, flat_rm, false, false)
X86_HANDLER(flat_jmp_m, flat_rm, true, false)
X86_HANDLER(flat_call_r, flat_rm, false, true)
X86_HANDLER(flat_call_m, flat_rm, true, true)

X86_FAMILY_REG_END(jmp_rel, flat_jmp_rel, jmp_rel)
X86_FAMILY_END(jmp_rm, flat_jmp_r, flat_jmp_m, jmp_rm)
X86_FAMILY_REG_END(call_rel, flat_call_rel, call_rel)
X86_FAMILY_END(call_rm, flat_call_r, flat_call_m, call_rm)
X86_FAMILY_REG_END(ret, flat_ret, ret)

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

X86_FAMILY_REG_END(jcxz, NULL, jcxz)
X86_FAMILY_REG_END(loop, NULL, loop, LOOP_ALWAYS)
X86_FAMILY_REG_END(loopz, NULL, loop, LOOP_ZF)
X86_FAMILY_REG_END(loopnz, NULL, loop, LOOP_NOT_ZF)
