/*
 * Flag instructions, BOUND, no-operations, fences, and the opcodes that are undefined.
 */
#include "core/x86/exec.h"

static enum x86_rc op_clc(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	x86_flags_set_cf(c, false);
	return X86_OK;
}

static enum x86_rc op_stc(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	x86_flags_set_cf(c, true);
	return X86_OK;
}

static enum x86_rc op_cmc(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	x86_flags_set_cf(c, !x86_cf(c));
	return X86_OK;
}

static enum x86_rc op_cld(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	c->s.rflags &= ~(uint64_t)FLAG_DF; /* not a status flag: never lazy */
	return X86_OK;
}

static enum x86_rc op_std(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	c->s.rflags |= FLAG_DF;
	return X86_OK;
}

static enum x86_rc op_lahf(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	x86_reg_set(c, 1, 16, x86_flags_get(c) & 0xff); /* 16: AH */
	return X86_OK;
}

static enum x86_rc op_sahf(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	x86_flags_update(c, FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF, x86_reg(c, 1, 16));
	return X86_OK;
}

/* Not in the manual, in every processor: AL = CF ? FFh : 0. */
static enum x86_rc op_salc(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	x86_reg_set(c, 1, X86_RAX, x86_cf(c) ? 0xff : 0);
	return X86_OK;
}

static enum x86_rc op_nop(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)c;
	(void)i;
	return X86_OK;
}

static enum x86_rc op_ud(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	return x86_fault(c, VEC_UD);
}

/* Caches are not modelled, but the address is translated as for a load and may fault. Execute-only segments can be
 * flushed. [SDM 2A "CLFLUSH - Flush Cache Line"] */
static enum x86_rc op_clflush(struct x86_cpu *c, const struct x86_insn *i)
{
	gva_t la;
	enum x86_rc rc = x86_linear(c, i->seg, x86_ea(c, i), 1, X86_ACCESS_FETCH, &la);

	return rc == X86_OK ? x86_lin_probe(c, la, 1, c->user, X86_ACCESS_READ) : rc;
}

X86_INLINE enum x86_rc bound(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	uint64_t ea = x86_ea(c, i), lo, hi;
	int64_t v = (int64_t)x86_sext(size, c->s.gpr[i->reg]);
	enum x86_rc rc = x86_load(c, i->seg, ea, size, &lo);

	if (rc == X86_OK && v < (int64_t)x86_sext(size, lo)) /* the upper bound is not even read */
		return x86_fault(c, VEC_BR);
	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_addr_mask(i->addrsize, ea + size), size, &hi);
	if (rc == X86_OK && v > (int64_t)x86_sext(size, hi))
		return x86_fault(c, VEC_BR);
	return rc;
}

X86_FAMILY_ONE(clc, op_clc)
X86_FAMILY_ONE(stc, op_stc)
X86_FAMILY_ONE(cmc, op_cmc)
X86_FAMILY_ONE(cld, op_cld)
X86_FAMILY_ONE(std, op_std)
X86_FAMILY_ONE(lahf, op_lahf)
X86_FAMILY_ONE(sahf, op_sahf)
X86_FAMILY_ONE(salc, op_salc)
static enum x86_rc go_nop(struct x86_cpu *c, const struct x86_insn *i)
{
	return i[1].go(c, i + 1);
}

const struct x86_family x86_fam_nop = {{op_nop, op_nop, op_nop, op_nop, op_nop, op_nop, op_nop, op_nop, go_nop, go_nop,
    go_nop, go_nop, go_nop, go_nop, go_nop, go_nop}};
X86_FAMILY_ONE(ud, op_ud)
X86_FAMILY_ONE(clflush, op_clflush)
X86_FAMILY_REG(bound, bound)
