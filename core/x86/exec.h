/*
 * What every instruction handler shares: the calling convention, registers by size, the effective address, branches.
 *
 * THE CONVENTION between a runner (x86_step(), the block runner of emulate) and a handler:
 *
 *  - Before the call the runner sets s.rip to the address of the NEXT instruction, (rip + i->len) & ip_mask. A handler
 *    that does not branch leaves it alone; a branch overwrites it. A handler that needs the instruction's own address
 *    (faults of type "trap", exits, far calls) asks x86_insn_rip(c, i).
 *  - X86_OK: everything is committed. The runner adds 1 to c->insns and takes 1 from c->budget.
 *  - Anything else: no register or flag has changed, s.rip is still the next instruction, and the RUNNER puts it back
 *    to the start. x86_fault() and x86_exit() do not touch s.rip.
 *  - A REP string handler runs as many iterations as c->budget allows. Each counts as one instruction: it adds all but
 *    the last to c->insns and takes them from c->budget (the runner adds the last one). If iterations remain it sets
 *    s.rip back to the instruction itself and returns X86_OK. When it faults, completed iterations stay and are
 * counted.
 *  - i->flags & INSN_ENDS_BLOCK marks everything after which s.rip, the mode or the code may be something else than the
 *    next instruction in line, statically; c->block_end says it dynamically.
 *
 * Byte registers are numbered by the decoder so that no handler has to look at REX: 0-15 are the low bytes (AL .. R15B,
 * with SPL BPL SIL DIL), 16-19 are AH CH DH BH. This holds for i->reg and i->rm where the operand is a byte.
 */
#ifndef VMSCOPE_CORE_X86_EXEC_H
#define VMSCOPE_CORE_X86_EXEC_H

#include "core/x86/access.h"
#include "core/x86/flags.h"
#include "core/x86/insn.h"

/* The handlers of one instruction by operand form: [log2(opsize)] with a register, [4 + log2(opsize)] with memory. */
struct x86_family {
	x86_handler fn[8];
};

/*
 * Instantiates body(c, i, size, mem, ...) for every size and for register and memory forms, as x86_fam_NAME. size and
 * mem are constants there, so each of the eight functions contains only its own case.
 */
#define X86_HANDLER(name, body, ...)                                         \
	static enum x86_rc name(struct x86_cpu *c, const struct x86_insn *i) \
	{                                                                    \
		return body(c, i, __VA_ARGS__);                              \
	}
#define X86_FAMILY_P(p, fam, body, ...)                                                                           \
	X86_HANDLER(p##_##fam##_r1, body, 1, false, ##__VA_ARGS__)                                                \
	X86_HANDLER(p##_##fam##_r2, body, 2, false, ##__VA_ARGS__)                                                \
	X86_HANDLER(p##_##fam##_r4, body, 4, false, ##__VA_ARGS__)                                                \
	X86_HANDLER(p##_##fam##_r8, body, 8, false, ##__VA_ARGS__)                                                \
	X86_HANDLER(p##_##fam##_m1, body, 1, true, ##__VA_ARGS__)                                                 \
	X86_HANDLER(p##_##fam##_m2, body, 2, true, ##__VA_ARGS__)                                                 \
	X86_HANDLER(p##_##fam##_m4, body, 4, true, ##__VA_ARGS__)                                                 \
	X86_HANDLER(p##_##fam##_m8, body, 8, true, ##__VA_ARGS__)                                                 \
	const struct x86_family x86_fam_##fam = {{p##_##fam##_r1, p##_##fam##_r2, p##_##fam##_r4, p##_##fam##_r8, \
	    p##_##fam##_m1, p##_##fam##_m2, p##_##fam##_m4, p##_##fam##_m8}};
#define X86_FAMILY(fam, body, ...) X86_FAMILY_P(op, fam, body, ##__VA_ARGS__)
/* The same without memory forms: sizes only. */
#define X86_FAMILY_REG(fam, body, ...)                                                                    \
	X86_HANDLER(op_##fam##_1, body, 1, ##__VA_ARGS__)                                                 \
	X86_HANDLER(op_##fam##_2, body, 2, ##__VA_ARGS__)                                                 \
	X86_HANDLER(op_##fam##_4, body, 4, ##__VA_ARGS__)                                                 \
	X86_HANDLER(op_##fam##_8, body, 8, ##__VA_ARGS__)                                                 \
	const struct x86_family x86_fam_##fam = {{op_##fam##_1, op_##fam##_2, op_##fam##_4, op_##fam##_8, \
	    op_##fam##_1, op_##fam##_2, op_##fam##_4, op_##fam##_8}};
/* One handler for every form. */
#define X86_FAMILY_ONE(fam, fn_) const struct x86_family x86_fam_##fam = {{fn_, fn_, fn_, fn_, fn_, fn_, fn_, fn_}};

#define FAM(name) extern const struct x86_family x86_fam_##name;
#include "core/x86/families.def"
#undef FAM

/* Address of the instruction being executed (as an offset in CS). */
X86_INLINE uint64_t x86_insn_rip(const struct x86_cpu *c, const struct x86_insn *i)
{
	return (c->s.rip - i->len) & c->ip_mask;
}

X86_INLINE uint64_t x86_reg(const struct x86_cpu *c, unsigned size, unsigned r)
{
	switch (size) {
	case 1:
		return ((const uint8_t *)&c->s.gpr[r & 15])[r >> 4];
	case 2:
		return (uint16_t)c->s.gpr[r];
	case 4:
		return (uint32_t)c->s.gpr[r];
	default:
		return c->s.gpr[r];
	}
}

/* 8- and 16-bit writes keep the rest of the register, 32-bit writes clear the upper half. */
X86_INLINE void x86_reg_set(struct x86_cpu *c, unsigned size, unsigned r, uint64_t v)
{
	switch (size) {
	case 1:
		((uint8_t *)&c->s.gpr[r & 15])[r >> 4] = (uint8_t)v;
		break;
	case 2:
		c->s.gpr[r] = (c->s.gpr[r] & ~0xffffull) | (v & 0xffff);
		break;
	case 4:
		c->s.gpr[r] = (uint32_t)v;
		break;
	default:
		c->s.gpr[r] = v;
		break;
	}
}

X86_INLINE uint64_t x86_addr_mask(unsigned addrsize, uint64_t a)
{
	if (addrsize == 8)
		return a;
	return addrsize == 4 ? (uint32_t)a : (uint16_t)a;
}

/* Offset of the memory operand in its segment i->seg, cut to the address size. */
X86_INLINE uint64_t x86_ea(const struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t a = (uint64_t)(int64_t)i->disp;

	if (i->base != INSN_NO_REG)
		a += c->s.gpr[i->base];
	else if (i->flags & INSN_RIP_REL)
		a += c->s.rip;
	if (i->index != INSN_NO_REG)
		a += c->s.gpr[i->index] << i->scale;
	return x86_addr_mask(i->addrsize, a);
}

/* A near jump: #GP(0) when the target is outside CS or not canonical. target is already cut to the operand size. */
X86_INLINE enum x86_rc x86_branch(struct x86_cpu *c, uint64_t target)
{
	bool bad = c->code_size == 8 ? !x86_canonical(target) : target > c->s.seg[X86_CS].limit;

	if (UNLIKELY(bad))
		return x86_fault_ec(c, VEC_GP, 0);
	c->s.rip = target;
	return X86_OK;
}

#endif
