/*
 * Single bits: BT BTS BTR BTC, BSF BSR POPCNT, and CRC32.
 *
 * With a bit offset in a register and the bits in memory, the offset may point anywhere: it is signed and selects an
 * operand-sized word relative to the address. [SDM 1 "Bit and Byte Instructions"; SDM 2A "BT"]
 */
#include "core/x86/exec.h"

enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

X86_INLINE uint64_t bit_result(enum bit_op op, uint64_t v, uint64_t bit)
{
	switch (op) {
	case BIT_SET:
		return v | bit;
	case BIT_RESET:
		return v & ~bit;
	case BIT_COMPLEMENT:
		return v ^ bit;
	case BIT_TEST:
	default:
		return v;
	}
}

X86_INLINE enum x86_rc bit_rm(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, enum bit_op op, bool imm)
{
	uint64_t n = imm ? i->imm : x86_sext(size, c->s.gpr[i->reg]);
	uint64_t bit = 1ull << (n & (8 * size - 1)), v, ea;
	enum x86_rc rc;

	if (!mem) {
		v = x86_reg(c, size, i->rm);
		if (op != BIT_TEST)
			x86_reg_set(c, size, i->rm, bit_result(op, v, bit));
		x86_flags_set_cf(c, v & bit);
		return X86_OK;
	}
	ea = x86_ea(c, i);
	if (!imm)
		ea = x86_addr_mask(i->addrsize, ea + (uint64_t)((int64_t)n >> 3 & -(int64_t)size));
	if (op == BIT_TEST) {
		rc = x86_load(c, i->seg, ea, size, &v);
		if (UNLIKELY(rc != X86_OK))
			return rc;
	} else {
		struct x86_rmw w;

		rc = x86_rmw_load(c, i->seg, ea, size, &v, &w);
		if (UNLIKELY(rc != X86_OK))
			return rc;
		x86_rmw_store(c, &w, bit_result(op, v, bit));
	}
	x86_flags_set_cf(c, v & bit);
	return X86_OK;
}

#define BIT(name, OP)                              \
	X86_FAMILY_GO(name##_r, bit_rm, OP, false) \
	X86_FAMILY_GO(name##_i, bit_rm, OP, true)

BIT(bt, BIT_TEST)
BIT(bts, BIT_SET)
BIT(btr, BIT_RESET)
BIT(btc, BIT_COMPLEMENT)

X86_INLINE enum x86_rc source(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, uint64_t *v)
{
	if (mem)
		return x86_load(c, i->seg, x86_ea(c, i), size, v);
	*v = x86_reg(c, size, i->rm);
	return X86_OK;
}

/*
 * A source of 0 sets ZF and leaves the destination as it was (undefined for Intel, defined so by AMD, done by both).
 * The other flags are undefined; Intel's processors clear them, but for PF, which is the result's (tests/oracle).
 */
X86_INLINE enum x86_rc bit_scan(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem, bool reverse)
{
	uint64_t v;
	enum x86_rc rc = source(c, i, size, mem, &v);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (v) {
		uint64_t n = (uint64_t)(reverse ? 63 - __builtin_clzll(v) : __builtin_ctzll(v));

		x86_reg_set(c, size, i->reg, n);
		x86_lazy_logic(c, 8, n | 0x100); /* not zero, even for bit 0 */
	} else {
		x86_lazy_logic(c, 8, 0);
	}
	return X86_OK;
}

X86_FAMILY_GO(bsf, bit_scan, false)
X86_FAMILY_GO(bsr, bit_scan, true)

/* Written out: the compiler's built-in would need the library or POPCNT itself. */
X86_INLINE uint64_t count_bits(uint64_t v)
{
	v -= v >> 1 & 0x5555555555555555u;
	v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return v * 0x0101010101010101u >> 56;
}

X86_INLINE enum x86_rc popcnt(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t v;
	enum x86_rc rc = source(c, i, size, mem, &v);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_reg_set(c, size, i->reg, count_bits(v));
	x86_flags_update(c, FLAGS_STATUS, v ? 0 : FLAG_ZF);
	return X86_OK;
}

X86_FAMILY_GO(popcnt, popcnt)

/* CRC-32C (polynomial 1EDC6F41h), bits reflected, no inversion at either end. */
X86_INLINE uint32_t crc32c(uint32_t crc, uint64_t v, unsigned size)
{
	for (unsigned k = 0; k < size; k++) {
		crc ^= (uint8_t)(v >> 8 * k);
		for (unsigned b = 0; b < 8; b++)
			crc = crc >> 1 ^ (0x82f63b78u & (0 - (crc & 1)));
	}
	return crc;
}

/* The destination is 32 bits (64 with REX.W, upper half cleared); the source has the size. */
X86_INLINE enum x86_rc crc32(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	uint64_t v;
	enum x86_rc rc = source(c, i, size, mem, &v);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	c->s.gpr[i->reg & 15] = crc32c((uint32_t)c->s.gpr[i->reg & 15], v, size);
	return X86_OK;
}

X86_FAMILY_GO(crc32, crc32)
