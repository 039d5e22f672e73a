/*
 * Moves of MMX and SSE: between registers and memory, between the kinds of registers, lanes in and out. A load and its
 * store have one id and differ in one bit of the opcode, which is each handler's last parameter.
 */
#include "core/x86/sse.h"
#include "core/x86/x87.h"

/* After a store from an MMX register. One that faults has set TOP to 0 but has not marked the registers: so Intel's
 * processors do, and the manual does not say. */
X86_INLINE void mmx_stored(struct x86_cpu *c, enum x86_rc rc)
{
	if (LIKELY(rc == X86_OK))
		x86_mmx_touch(c);
	else if (rc == X86_FAULT)
		x86_mmx_turn(c);
}

/* The whole register; a store to a register is a move the other way. */
X86_INLINE enum x86_rc move(
    struct x86_cpu *c, const struct x86_insn *i, unsigned n, bool aligned, unsigned store_bit, bool mem)
{
	bool store = i->opcode & store_bit;
	union x86_vec v;
	enum x86_rc rc = x86_vec_check(c, n);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (!store) {
		rc = x86_vec_source(c, i, n, n, aligned, mem, &v);
		if (LIKELY(rc == X86_OK))
			x86_vec_set(c, n, i->reg, &v);
		return rc;
	}
	x86_vec_get(c, n, i->reg, &v);
	if (!mem) {
		x86_vec_set(c, n, i->rm, &v);
		return X86_OK;
	}
	rc = x86_vec_store(c, i, n, aligned, &v);
	if (n == 8)
		mmx_stored(c, rc);
	return rc;
}

#define MOVE(name, n, aligned, store_bit)                         \
	X86_HANDLER(r_##name, move, n, aligned, store_bit, false) \
	X86_HANDLER(m_##name, move, n, aligned, store_bit, true)  \
	SSE_FAMILY(name, r_##name, m_##name)
#define ALWAYS 0xffu
#define NEVER 0u
MOVE(NP_MOVUPS, 16, false, 1)
MOVE(66_MOVUPD, 16, false, 1)
MOVE(NP_MOVAPS, 16, true, 1)
MOVE(66_MOVAPD, 16, true, 1)
MOVE(66_MOVDQA, 16, true, 0x10)
MOVE(F3_MOVDQU, 16, false, 0x10)
MOVE(NP_MOVQ, 8, false, 0x10)
MOVE(NP_MOVNTPS, 16, true, ALWAYS)
MOVE(66_MOVNTPD, 16, true, ALWAYS)
MOVE(66_MOVNTDQ, 16, true, ALWAYS)
MOVE(NP_MOVNTQ, 8, false, ALWAYS)
MOVE(66_MOVNTDQA, 16, true, NEVER)
MOVE(F2_LDDQU, 16, false, NEVER)

/* A scalar of size bytes: a load from memory clears the rest of the register, a move between registers keeps it.
 * MOVQ clears it in both cases. */
X86_INLINE enum x86_rc move_scalar(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool clear, unsigned store_bit, bool mem)
{
	bool store = i->opcode & store_bit;
	union x86_vec v = {0};
	enum x86_rc rc = x86_sse_check(c);
	uint8_t *to;

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (mem && store) {
		memcpy(&v, x86_xmm(c, i->reg), 16);
		return x86_vec_store(c, i, size, false, &v);
	}
	if (mem) {
		rc = x86_vec_load(c, i, size, false, &v);
		if (LIKELY(rc == X86_OK))
			memcpy(x86_xmm(c, i->reg), &v, 16);
		return rc;
	}
	to = x86_xmm(c, store ? i->rm : i->reg);
	memcpy(&v, x86_xmm(c, store ? i->reg : i->rm), size);
	memcpy(to, &v, clear ? 16 : size);
	return X86_OK;
}

#define MOVE_SCALAR(name, size, clear, store_bit)                         \
	X86_HANDLER(r_##name, move_scalar, size, clear, store_bit, false) \
	X86_HANDLER(m_##name, move_scalar, size, clear, store_bit, true)  \
	SSE_FAMILY(name, r_##name, m_##name)
MOVE_SCALAR(F3_MOVSS, 4, false, 1)
MOVE_SCALAR(F2_MOVSD_XMM, 8, false, 1)
MOVE_SCALAR(F3_MOVQ, 8, true, NEVER)
MOVE_SCALAR(66_MOVQ, 8, true, ALWAYS)

/* One half of a register and memory, the other half stays. Between registers the opcodes of MOVLPS and MOVHPS are
 * MOVHLPS and MOVLHPS: the halves cross. */
X86_INLINE enum x86_rc move_half(struct x86_cpu *c, const struct x86_insn *i, unsigned half, bool mem)
{
	uint8_t *p = x86_xmm(c, i->reg) + 8 * half;
	enum x86_rc rc = x86_sse_check(c);
	uint64_t v;

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (!mem)
		v = x86_get(x86_xmm(c, i->rm) + 8 * (1 - half), 8);
	else if (i->opcode & 1)
		return x86_store(c, i->seg, x86_ea(c, i), 8, x86_get(p, 8));
	else
		rc = x86_load(c, i->seg, x86_ea(c, i), 8, &v);
	if (LIKELY(rc == X86_OK))
		x86_put(p, 8, v);
	return rc;
}

#define MOVE_HALF(name, half)                         \
	X86_HANDLER(r_##name, move_half, half, false) \
	X86_HANDLER(m_##name, move_half, half, true)  \
	SSE_FAMILY(name, r_##name, m_##name)
MOVE_HALF(NP_MOVLPS, 0)
MOVE_HALF(66_MOVLPD, 0)
MOVE_HALF(NP_MOVHPS, 1)
MOVE_HALF(66_MOVHPD, 1)

/* --- General registers ----------------------------------------------------------------------------------------- */

/* MOVD and, with REX.W, MOVQ. n: which registers. */
X86_INLINE enum x86_rc movd(struct x86_cpu *c, const struct x86_insn *i, unsigned n, unsigned size, bool mem)
{
	union x86_vec v = {0};
	enum x86_rc rc = x86_vec_check(c, n);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (i->opcode & 0x10) {
		x86_vec_get(c, n, i->reg, &v);
		if (mem)
			rc = x86_vec_store(c, i, size, false, &v);
		else
			x86_reg_set(c, size, i->rm, v.u64[0]);
		if (n == 8)
			mmx_stored(c, rc);
		return rc;
	}
	if (mem)
		rc = x86_vec_load(c, i, size, false, &v);
	else
		v.u64[0] = x86_reg(c, size, i->rm);
	if (LIKELY(rc == X86_OK))
		x86_vec_set(c, n, i->reg, &v);
	return rc;
}

#define MOVD(name, n)                              \
	X86_HANDLER(r4_##name, movd, n, 4, false)  \
	X86_HANDLER(r8_##name, movd, n, 8, false)  \
	X86_HANDLER(m4_##name, movd, n, 4, true)   \
	X86_HANDLER(m8_##name, movd, n, 8, true)   \
	const struct x86_family x86_sse_##name = { \
	    {r4_##name, r4_##name, r4_##name, r8_##name, m4_##name, m4_##name, m4_##name, m8_##name}};
MOVD(NP_MOVD, 8)
MOVD(66_MOVD, 16)

/* Lane imm of size bytes, from a register or memory. n: which registers. */
X86_INLINE enum x86_rc insert(struct x86_cpu *c, const struct x86_insn *i, unsigned n, unsigned size, bool mem)
{
	union x86_vec v;
	enum x86_rc rc = x86_vec_check(c, n);
	uint64_t lane = 0;

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (mem)
		rc = x86_load(c, i->seg, x86_ea(c, i), size, &lane);
	else
		lane = c->s.gpr[i->rm];
	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, n, i->reg, &v);
	x86_put(v.u8 + (i->imm * size & (n - 1)), size, lane);
	x86_vec_set(c, n, i->reg, &v);
	return X86_OK;
}

/* To ModRM.rm, zero-extended to the register. */
X86_INLINE enum x86_rc extract(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool mem)
{
	const uint8_t *p = x86_xmm(c, i->reg) + (i->imm * size & 15);
	enum x86_rc rc = x86_sse_check(c);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (mem)
		return x86_store(c, i->seg, x86_ea(c, i), size, x86_get(p, size));
	c->s.gpr[i->rm] = x86_get(p, size);
	return X86_OK;
}

/* The older PEXTRW: from ModRM.rm, a register, to ModRM.reg. */
X86_INLINE enum x86_rc pextrw_to_reg(struct x86_cpu *c, const struct x86_insn *i, unsigned n)
{
	union x86_vec v;
	enum x86_rc rc = x86_vec_check(c, n);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, n, i->rm, &v);
	c->s.gpr[i->reg] = v.u16[i->imm & (n / 2 - 1)];
	if (n == 8)
		x86_mmx_touch(c);
	return X86_OK;
}

X86_INLINE enum x86_rc pextrw(struct x86_cpu *c, const struct x86_insn *i, bool mem)
{
	return i->map == 1 ? pextrw_to_reg(c, i, 16) : extract(c, i, 2, mem);
}

#define LANE_FAMILY(name, body, ...)                    \
	X86_HANDLER(r_##name, body, __VA_ARGS__, false) \
	X86_HANDLER(m_##name, body, __VA_ARGS__, true)  \
	SSE_FAMILY(name, r_##name, m_##name)
LANE_FAMILY(NP_PINSRW, insert, 8, 2)
LANE_FAMILY(66_PINSRW, insert, 16, 2)
LANE_FAMILY(66_PINSRB, insert, 16, 1)
LANE_FAMILY(66_PEXTRB, extract, 1)
LANE_FAMILY(66_EXTRACTPS, extract, 4)
X86_HANDLER(r_NP_PEXTRW, pextrw_to_reg, 8)
SSE_FAMILY(NP_PEXTRW, r_NP_PEXTRW, r_NP_PEXTRW)
X86_HANDLER(r_66_PEXTRW, pextrw, false)
X86_HANDLER(m_66_PEXTRW, pextrw, true)
SSE_FAMILY(66_PEXTRW, r_66_PEXTRW, m_66_PEXTRW)

/* With REX.W: quadwords. */
X86_HANDLER(r4_pinsr, insert, 16, 4, false)
X86_HANDLER(r8_pinsr, insert, 16, 8, false)
X86_HANDLER(m4_pinsr, insert, 16, 4, true)
X86_HANDLER(m8_pinsr, insert, 16, 8, true)
const struct x86_family x86_sse_66_PINSRD = {
    {r4_pinsr, r4_pinsr, r4_pinsr, r8_pinsr, m4_pinsr, m4_pinsr, m4_pinsr, m8_pinsr}};
X86_HANDLER(r4_pextr, extract, 4, false)
X86_HANDLER(r8_pextr, extract, 8, false)
X86_HANDLER(m4_pextr, extract, 4, true)
X86_HANDLER(m8_pextr, extract, 8, true)
const struct x86_family x86_sse_66_PEXTRD = {
    {r4_pextr, r4_pextr, r4_pextr, r8_pextr, m4_pextr, m4_pextr, m4_pextr, m8_pextr}};

/* The sign bits of all lanes of size bytes. */
X86_INLINE enum x86_rc movmsk(struct x86_cpu *c, const struct x86_insn *i, unsigned n, unsigned size)
{
	union x86_vec v;
	uint64_t mask = 0;
	enum x86_rc rc = x86_vec_check(c, n);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	x86_vec_get(c, n, i->rm, &v);
	for (unsigned k = 0; k < n / size; k++)
		mask |= (uint64_t)(v.u8[size * k + size - 1] >> 7) << k;
	c->s.gpr[i->reg] = mask;
	if (n == 8)
		x86_mmx_touch(c);
	return X86_OK;
}

#define MOVMSK(name, n, size)                  \
	X86_HANDLER(r_##name, movmsk, n, size) \
	SSE_FAMILY(name, r_##name, r_##name)
MOVMSK(NP_MOVMSKPS, 16, 4)
MOVMSK(66_MOVMSKPD, 16, 8)
MOVMSK(NP_PMOVMSKB, 8, 1)
MOVMSK(66_PMOVMSKB, 16, 1)

/* --- Between MMX and XMM --------------------------------------------------------------------------------------- */

static enum x86_rc movq2dq(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_sse_check(c);
	union x86_vec v = {0};

	if (rc == X86_OK)
		rc = x86_mmx_pending(c);
	if (UNLIKELY(rc != X86_OK))
		return rc;
	v.u64[0] = x86_mmx_get(c, i->rm);
	x86_mmx_touch(c);
	x86_vec_set(c, 16, i->reg, &v);
	return X86_OK;
}

static enum x86_rc movdq2q(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_sse_check(c);

	if (rc == X86_OK)
		rc = x86_mmx_pending(c);
	if (LIKELY(rc == X86_OK))
		x86_mmx_set(c, i->reg, x86_get(x86_xmm(c, i->rm), 8));
	return rc;
}

static enum x86_rc emms(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_mmx_check(c);

	(void)i;
	if (rc != X86_OK)
		return rc;
	x86_mmx_turn(c);
	c->s.fxsave[SSE_FX_FTW] = 0;
	return X86_OK;
}

SSE_FAMILY(F3_MOVQ2DQ, movq2dq, movq2dq)
SSE_FAMILY(F2_MOVDQ2Q, movdq2q, movdq2q)
SSE_FAMILY(NP_EMMS, emms, emms)

void x86_mmx_turn(struct x86_cpu *c)
{
	x87_set_top(c, 0);
}

/* --- Masked stores --------------------------------------------------------------------------------------------- */

/* Would a store of the quadword be possible? Asked whatever the mask says, as Intel's processors do. */
static enum x86_rc probe_quad(struct x86_cpu *c, unsigned seg, uint64_t ea, gva_t *la)
{
	enum x86_rc rc = x86_linear(c, seg, ea, 8, X86_ACCESS_WRITE, la);

	return rc == X86_OK ? x86_lin_probe(c, *la, 8, c->user, X86_ACCESS_WRITE) : rc;
}

/* Bytes whose mask has its sign set, to DS:rDI. All is checked before the first is written, the high half first. */
X86_INLINE enum x86_rc maskmov(struct x86_cpu *c, const struct x86_insn *i, unsigned n)
{
	uint64_t ea = x86_addr_mask(i->addrsize, c->s.gpr[X86_RDI]);
	union x86_vec v, mask;
	gva_t la[2];
	enum x86_rc rc = x86_vec_check(c, n);

	if (UNLIKELY(rc != X86_OK))
		return rc;
	if (n == 8)
		x86_mmx_touch(c); /* and stays so when the store faults */
	for (unsigned half = n / 8; half-- > 0 && rc == X86_OK;)
		rc = probe_quad(c, i->seg, x86_addr_mask(i->addrsize, ea + 8 * half), &la[half]);
	x86_vec_get(c, n, i->reg, &v);
	x86_vec_get(c, n, i->rm, &mask);
	for (unsigned k = 0; k < n && rc == X86_OK; k++)
		if (mask.u8[k] & 0x80)
			rc = x86_lin_store(c, la[k / 8] + k % 8, 1, c->user, v.u8[k]);
	return rc;
}

X86_HANDLER(maskmovq, maskmov, 8)
X86_HANDLER(maskmovdqu, maskmov, 16)
SSE_FAMILY(NP_MASKMOVQ, maskmovq, maskmovq)
SSE_FAMILY(66_MASKMOVDQU, maskmovdqu, maskmovdqu)
