/*
 * Instructions that move data and set no flags (and CMPXCHG and XADD, which do), [SDM 1 "Data Transfer Instructions"].
 */
#include "core/x86/exec.h"

X86_INLINE enum x86_rc mov_rm(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, bool imm)
{
	uint64_t v = imm ? i->imm & x86_mask(size) : x86_reg(c, size, i->reg);

	if (mem)
		return x86_store(c, i->seg, x86_ea(c, i), size, v);
	x86_reg_set(c, size, i->rm, v);
	return X86_OK;
}

X86_FAMILY_STORE(mov_rm_r, mov_rm, false)
X86_FAMILY_STORE(mov_rm_i, mov_rm, true)

/* MOV, MOVZX, MOVSX, MOVSXD reg, r/m: from is the size of the source (0: the same). */
X86_INLINE enum x86_rc mov_r(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, unsigned from, bool sign)
{
	unsigned n = from && from < size ? from : size;
	uint64_t v;

	if (mem) {
		enum x86_rc rc = x86_load(c, i->seg, x86_ea(c, i), n, &v);

		if (UNLIKELY(rc != X86_OK))
			return rc;
	} else {
		v = x86_reg(c, n, i->rm);
	}
	x86_reg_set(c, size, i->reg, sign ? x86_sext(n, v) : v);
	return X86_OK;
}

X86_FAMILY_LOAD(0, mov_r_rm, mov_r, 0, false)
X86_FAMILY_LOAD(1, movzx1, mov_r, 1, false)
X86_FAMILY_LOAD(2, movzx2, mov_r, 2, false)
X86_FAMILY_LOAD(1, movsx1, mov_r, 1, true)
X86_FAMILY_LOAD(2, movsx2, mov_r, 2, true)
X86_FAMILY_LOAD(4, movsxd, mov_r, 4, true)

/* Accumulator and an absolute offset (moffs), which is up to 64 bits wide and therefore in imm. */
X86_INLINE enum x86_rc mov_moffs(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool store)
{
	uint64_t v;
	enum x86_rc rc;

	if (store)
		return x86_store(c, i->seg, i->imm, size, x86_reg(c, size, X86_RAX));
	rc = x86_load(c, i->seg, i->imm, size, &v);
	if (rc == X86_OK)
		x86_reg_set(c, size, X86_RAX, v);
	return rc;
}

X86_FAMILY_REG_GO(mov_acc_moffs, mov_moffs, false)
X86_FAMILY_REG_GO(mov_moffs_acc, mov_moffs, true)

X86_INLINE enum x86_rc lea(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	x86_reg_set(c, size, i->reg, x86_ea(c, i));
	return X86_OK;
}

X86_SIZES(X86_HANDLER, op_lea, lea)
X86_SIZES(X86_HANDLER_GO, go_lea, lea)
X86_SIZES(X86_HANDLER_GO_FM, flat_lea, lea)
X86_SIZES(X86_HANDLER_GO_B, based_lea, lea)
const struct x86_family x86_fam_lea = {{X86_SIZE_LIST(op_lea), X86_SIZE_LIST(op_lea), X86_SIZE_LIST(go_lea),
    X86_SIZE_LIST(go_lea), X86_SIZE_LIST(flat_lea), X86_SIZE_LIST(flat_lea), X86_SIZE_LIST(based_lea)}};

X86_INLINE enum x86_rc xchg(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t a, b = x86_reg(c, size, i->reg);

	if (mem) {
		struct x86_rmw w;
		enum x86_rc rc = x86_rmw_load(c, i->seg, x86_ea(c, i), size, &a, &w);

		if (UNLIKELY(rc != X86_OK))
			return rc;
		x86_rmw_store(c, &w, b);
	} else {
		a = x86_reg(c, size, i->rm);
		x86_reg_set(c, size, i->rm, b);
	}
	x86_reg_set(c, size, i->reg, a);
	return X86_OK;
}

X86_FAMILY_STORE(xchg, xchg)

/* The destination is written in either case, with its own value when the comparison fails. */
X86_INLINE enum x86_rc cmpxchg(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t acc = x86_reg(c, size, X86_RAX), src = x86_reg(c, size, i->reg), dst;
	enum x86_rc rc;

	if (mem) {
		struct x86_rmw w;

		rc = x86_rmw_load(c, i->seg, x86_ea(c, i), size, &dst, &w);
		if (UNLIKELY(rc != X86_OK))
			return rc;
		x86_rmw_store(c, &w, dst == acc ? src : dst);
	} else {
		dst = x86_reg(c, size, i->rm);
		if (dst == acc)
			x86_reg_set(c, size, i->rm, src);
	}
	if (dst != acc)
		x86_reg_set(c, size, X86_RAX, dst);
	x86_lazy_sub(c, size, acc, dst, acc - dst);
	return X86_OK;
}

X86_FAMILY_STORE(cmpxchg, cmpxchg)

X86_INLINE enum x86_rc xadd(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t a, b = x86_reg(c, size, i->reg);

	if (mem) {
		struct x86_rmw w;
		enum x86_rc rc = x86_rmw_load(c, i->seg, x86_ea(c, i), size, &a, &w);

		if (UNLIKELY(rc != X86_OK))
			return rc;
		x86_rmw_store(c, &w, (a + b));
		x86_reg_set(c, size, i->reg, a);
	} else {
		a = x86_reg(c, size, i->rm);
		x86_reg_set(c, size, i->reg, a); /* first: XADD of a register with itself leaves the sum */
		x86_reg_set(c, size, i->rm, a + b);
	}
	x86_lazy_add(c, size, a, b, a + b);
	return X86_OK;
}

X86_FAMILY_STORE(xadd, xadd)

static void zf_set(struct x86_cpu *c, bool zf)
{
	x86_flags_update(c, FLAG_ZF, zf ? FLAG_ZF : 0);
}

static enum x86_rc op_cmpxchg8b(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t want = (uint32_t)c->s.gpr[X86_RAX] | c->s.gpr[X86_RDX] << 32, dst;
	uint64_t src = (uint32_t)c->s.gpr[X86_RBX] | c->s.gpr[X86_RCX] << 32;
	struct x86_rmw w;
	enum x86_rc rc = x86_rmw_load(c, i->seg, x86_ea(c, i), 8, &dst, &w);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_rmw_store(c, &w, dst == want ? src : dst);
	if (dst != want) {
		x86_reg_set(c, 4, X86_RAX, dst);
		x86_reg_set(c, 4, X86_RDX, dst >> 32);
	}
	zf_set(c, dst == want);
	return X86_OK;
}

/* The store happens (and is checked) in either case. */
static enum x86_rc op_cmpxchg16b(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t v[2], out[2];
	struct x86_rmw w;
	enum x86_rc rc = x86_rmw_load128(c, i->seg, x86_ea(c, i), v, &w);
	bool same;

	if (rc != X86_OK)
		return rc;
	same = v[0] == c->s.gpr[X86_RAX] && v[1] == c->s.gpr[X86_RDX];
	out[0] = same ? c->s.gpr[X86_RBX] : v[0];
	out[1] = same ? c->s.gpr[X86_RCX] : v[1];
	x86_rmw_store128(c, &w, out);
	if (!same) {
		c->s.gpr[X86_RAX] = v[0];
		c->s.gpr[X86_RDX] = v[1];
	}
	zf_set(c, same);
	return X86_OK;
}

X86_FAMILY_ONE(cmpxchg8b, op_cmpxchg8b)
X86_FAMILY_ONE(cmpxchg16b, op_cmpxchg16b)

X86_INLINE uint64_t swap_bytes(unsigned size, uint64_t v)
{
	return __builtin_bswap64(v) >> (64 - 8 * size);
}

/* BSWAP of a 16-bit register is undefined; processors clear it. */
X86_INLINE enum x86_rc bswap(struct x86_cpu *c, const struct x86_insn *i, unsigned size)
{
	x86_reg_set(c, size, i->rm, size <= 2 ? 0 : swap_bytes(size, c->s.gpr[i->rm]));
	return X86_OK;
}

X86_INLINE enum x86_rc movbe(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool store)
{
	uint64_t v;
	enum x86_rc rc;

	if (store)
		return x86_store(c, i->seg, x86_ea(c, i), size, swap_bytes(size, c->s.gpr[i->reg]));
	rc = x86_load(c, i->seg, x86_ea(c, i), size, &v);
	if (rc == X86_OK)
		x86_reg_set(c, size, i->reg, swap_bytes(size, v));
	return rc;
}

X86_FAMILY_REG_GO(bswap, bswap)
X86_FAMILY_REG_GO(movbe_load, movbe, false)
X86_FAMILY_REG_GO(movbe_store, movbe, true)

/* AL = [rBX + AL]; DS unless overridden. */
static enum x86_rc op_xlat(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t v, off = c->s.gpr[X86_RBX] + (uint8_t)c->s.gpr[X86_RAX];
	enum x86_rc rc = x86_load(c, i->seg, x86_addr_mask(i->addrsize, off), 1, &v);

	if (rc == X86_OK)
		x86_reg_set(c, 1, X86_RAX, v);
	return rc;
}

X86_FAMILY_ONE(xlat, op_xlat)

/* CMOVcc reads its source, and clears the upper half of a 32-bit destination, whether or not it moves. */
X86_INLINE enum x86_rc cmov(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t v;

	if (mem) {
		enum x86_rc rc = x86_load(c, i->seg, x86_ea(c, i), size, &v);

		if (UNLIKELY(rc != X86_OK))
			return rc;
	} else {
		v = x86_reg(c, size, i->rm);
	}
	x86_reg_set(c, size, i->reg, x86_cond(c, i->cond) ? v : x86_reg(c, size, i->reg));
	return X86_OK;
}

X86_FAMILY_LOAD(0, cmov, cmov)

X86_INLINE enum x86_rc setcc(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t v = x86_cond(c, i->cond);

	(void)size; /* always a byte */
	if (mem)
		return x86_store(c, i->seg, x86_ea(c, i), 1, v);
	x86_reg_set(c, 1, i->rm, v);
	return X86_OK;
}

X86_FAMILY_GO(setcc, setcc)
