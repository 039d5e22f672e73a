/*
 * x87 data transfer: loads, stores, integers, decimals, constants, and the register stack.
 */
#include "core/x86/x87.h"

/* ---- loads ---- */

/* The push of a value whose conversion may have raised flags, which a stack fault replaces. A denormal is loaded even
 * if DE is unmasked. */
X86_INLINE enum x86_rc push_result(struct x87 *x, struct f80 v)
{
	enum x86_rc rc;

	if (UNLIKELY(x87_is_full(x) && !x->stack_fault))
		v = x87_stack_fault(x, true);
	rc = x87_end(x);
	if (!(x->st.flags & ~x->st.masks & SF_IE))
		x87_push(x->c, v);
	return rc;
}

X86_INLINE enum x86_rc load_mem(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool integer)
{
	struct x87 x;
	struct f80 v;
	uint64_t m;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_ea(c, i), size, &m);
	if (rc != X86_OK)
		return rc;
	if (integer && size == 8)
		v = sf_int_to_f80((int64_t)m);
	else if (UNLIKELY(!x87_widen(m, size, integer, &v)))
		v = size == 4 ? sf_f32_to_f80(&x.st, (uint32_t)m) : sf_f64_to_f80(&x.st, m);
	return push_result(&x, v);
}

X86_INLINE enum x86_rc load_reg(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	v = UNLIKELY(x87_empty(c, i->rm & 7)) ? x87_stack_fault(&x, false) : x87_get(c, i->rm & 7);
	return push_result(&x, v);
}

enum x86_rc x87_load80(struct x86_cpu *c, const struct x86_insn *i, struct f80 *v)
{
	uint64_t ea = x86_ea(c, i), se;
	enum x86_rc rc = x86_load(c, i->seg, ea, 8, &v->sig);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_addr_mask(i->addrsize, ea + 8), 2, &se);
	if (rc == X86_OK)
		v->se = (uint16_t)se;
	return rc;
}

/* Any pattern is loaded as it is. */
static enum x86_rc op_fld_m80(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc == X86_OK)
		rc = x87_load80(c, i, &v);
	if (rc != X86_OK)
		return rc;
	return push_result(&x, v);
}

X86_HANDLER(fld_m32, load_mem, 4, false)
X86_HANDLER(fld_m64, load_mem, 8, false)
X86_HANDLER(fild_m16, load_mem, 2, true)
X86_HANDLER(fild_m32, load_mem, 4, true)
X86_HANDLER(fild_m64, load_mem, 8, true)
X87_FAMILY(fld, load_reg, NULL, fld_m32, fld_m64)
X87_FAMILY(fild, NULL, fild_m16, fild_m32, fild_m64)
X86_FAMILY_ONE(fld_m80, op_fld_m80)

/* 18 decimal digits, two in a byte, and a sign. What a digit above 9 means is not defined: its value counts, as in the
 * processors. [SDM 1 "BCD and Packed BCD Integers"] */
static enum x86_rc op_fbld(struct x86_cpu *c, const struct x86_insn *i)
{
	struct f80 bcd, v;
	uint64_t n = 0;
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc == X86_OK)
		rc = x87_load80(c, i, &bcd);
	if (rc != X86_OK)
		return rc;
	for (unsigned k = 0; k < 18; k++) {
		uint64_t digit = k < 2 ? bcd.se >> (4 - 4 * k) & 15 : bcd.sig >> (4 * (17 - k)) & 15;

		n = 10 * n + digit;
	}
	v = sf_int_to_f80((int64_t)n);
	v.se |= bcd.se & 0x8000;
	return push_result(&x, v);
}

X86_FAMILY_ONE(fbld, op_fbld)

/* 64 more bits than a register has: the constants are rounded as the control word says, without an exception. */
static enum x86_rc op_fld_constant(struct x86_cpu *c, const struct x86_insn *i)
{
	/* By ModRM.rm: 1, log2(10), log2(e), pi, log10(2), ln(2), 0. */
	static const struct sf_num constants[] = {
	    {.class = SF_FINITE, .hi = SF_TOP, .exp = 0},
	    {.class = SF_FINITE, .hi = 0xd49a784bcd1b8afe, .lo = 0x492bf6ff4dafdb4d, .exp = 1},
	    {.class = SF_FINITE, .hi = 0xb8aa3b295c17f0bb, .lo = 0xbe87fed0691d3e89, .exp = 0},
	    {.class = SF_FINITE, .hi = 0xc90fdaa22168c234, .lo = 0xc4c6628b80dc1cd1, .exp = 1},
	    {.class = SF_FINITE, .hi = 0x9a209a84fbcff798, .lo = 0x8f8959ac0b7c9179, .exp = -2},
	    {.class = SF_FINITE, .hi = 0xb17217f7d1cf79ab, .lo = 0xc9e3b39803f2f6af, .exp = -1},
	    {.class = SF_ZERO},
	};
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	v = sf_f80_pack(&x.st, &constants[i->rm & 7]);
	x.st.flags = 0;
	x.st.c1 = false;
	return push_result(&x, v);
}

X86_FAMILY_ONE(fld_constant, op_fld_constant)

/* ---- stores ---- */

/* Processors ask for the first field and for the last byte before all others: that is where a fault is reported. The
 * first decides on alignment, too. */
enum x86_rc x87_probe_ends(struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum x86_access how)
{
	enum x86_priv priv = c->user ? X86_PRIV_USER : X86_PRIV_SUPER;
	gva_t la;
	enum x86_rc rc = x86_linear(c, i->seg, x86_ea(c, i), i->opsize, how, &la);

	if (rc == X86_OK)
		rc = x86_lin_probe(c, la, i->opsize, priv, how);
	if (rc == X86_OK)
		rc = x86_linear(c, i->seg, x86_addr_mask(i->addrsize, x86_ea(c, i) + size - 1), 1, how, &la);
	return rc == X86_OK ? x86_lin_probe(c, la, 1, priv, how) : rc;
}

enum x86_rc x87_store_bytes(
    struct x86_cpu *c, const struct x86_insn *i, const uint8_t *bytes, unsigned size, unsigned piece)
{
	uint64_t ea = x86_ea(c, i);
	bool one_page = (c->flat_write >> i->seg & 1) && ((c->eff_base[i->seg] + ea) & 0xfff) + size <= 0x1000;
	enum x86_rc end = one_page ? X86_OK : x87_probe_ends(c, i, size, X86_ACCESS_WRITE);

	if (end != X86_OK)
		return end;
	/* Only a store that meets more than one page or a segment limit can fail in its middle. */
	for (unsigned at = 0; at < size && !one_page; at += piece) {
		gva_t la;
		enum x86_rc rc =
		    x86_linear(c, i->seg, x86_addr_mask(i->addrsize, ea + at), piece, X86_ACCESS_WRITE, &la);

		if (rc == X86_OK)
			rc = x86_lin_probe(c, la, piece, c->user ? X86_PRIV_USER : X86_PRIV_SUPER, X86_ACCESS_WRITE);
		if (rc != X86_OK)
			return rc;
	}
	for (unsigned at = 0; at < size; at += piece) {
		enum x86_rc rc =
		    x86_store(c, i->seg, x86_addr_mask(i->addrsize, ea + at), piece, x86_get(bytes + at, piece));

		if (rc != X86_OK)
			return rc;
	}
	return X86_OK;
}

/* Two accesses, as in the processors: when the second faults, the first has been made. */
enum x86_rc x87_store80(struct x86_cpu *c, const struct x86_insn *i, struct f80 v)
{
	uint64_t ea = x86_ea(c, i);
	enum x86_rc rc = x86_store(c, i->seg, ea, 8, v.sig);

	return rc == X86_OK ? x86_store(c, i->seg, x86_addr_mask(i->addrsize, ea + 8), 2, v.se) : rc;
}

/* The end of a store; the value is written first, for that may fault. */
X86_INLINE enum x86_rc store_result(struct x87 *x, unsigned size, uint64_t v, bool pop)
{
	bool stores = x87_stores(x);

	if (stores) {
		enum x86_rc rc = x86_store(x->c, x->i->seg, x86_ea(x->c, x->i), size, v);

		if (rc != X86_OK)
			return rc;
	}
	x87_end(x);
	if (stores && pop)
		x87_pop(x->c);
	return X86_OK;
}

/* The same for 10 bytes, and pop. */
static enum x86_rc store80_result(struct x87 *x, struct f80 v)
{
	bool stores = x87_stores(x);

	if (stores) {
		enum x86_rc rc = x87_store80(x->c, x->i, v);

		if (rc != X86_OK)
			return rc;
	}
	x87_end(x);
	if (stores)
		x87_pop(x->c);
	return X86_OK;
}

X86_INLINE enum x86_rc store_mem(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool pop)
{
	struct x87 x;
	uint64_t v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (UNLIKELY(x87_empty(c, 0))) {
		x87_stack_fault(&x, false);
		v = size == 4 ? SF_F32_NAN : SF_F64_NAN;
	} else {
		v = size == 4 ? sf_f80_to_f32(&x.st, x87_get(c, 0)) : sf_f80_to_f64(&x.st, x87_get(c, 0));
	}
	return store_result(&x, size, v, pop);
}

X86_INLINE enum x86_rc store_int(struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool pop, bool truncate)
{
	int64_t v = INT64_MIN >> (64 - 8 * size);
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (UNLIKELY(x87_empty(c, 0)))
		x87_stack_fault(&x, false);
	else
		v = sf_f80_to_int(&x.st, x87_get(c, 0), 8 * size, truncate ? SF_TO_ZERO : x.st.round);
	return store_result(&x, size, (uint64_t)v, pop);
}

X86_INLINE enum x86_rc store_reg(struct x86_cpu *c, const struct x86_insn *i, bool pop)
{
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	v = x87_get(c, 0);
	if (x87_empty(c, 0)) {
		if (i->opcode == 0xd9) { /* FSTPNCE: no check of emptiness */
			x87_end(&x);
			x87_pop(c);
			return X86_OK;
		}
		v = x87_stack_fault(&x, false);
	}
	rc = x87_end(&x);
	if (x87_writes(&x)) {
		x87_set(c, i->rm & 7, v);
		if (pop)
			x87_pop(c);
	}
	return rc;
}

static enum x86_rc op_fstp_m80(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	v = x87_empty(c, 0) ? x87_stack_fault(&x, false) : x87_get(c, 0);
	return store80_result(&x, v);
}

X86_HANDLER(fst_reg, store_reg, false)
X86_HANDLER(fst_m32, store_mem, 4, false)
X86_HANDLER(fst_m64, store_mem, 8, false)
X86_HANDLER(fstp_reg, store_reg, true)
X86_HANDLER(fstp_m32, store_mem, 4, true)
X86_HANDLER(fstp_m64, store_mem, 8, true)
X86_HANDLER(fist_m16, store_int, 2, false, false)
X86_HANDLER(fist_m32, store_int, 4, false, false)
X86_HANDLER(fistp_m16, store_int, 2, true, false)
X86_HANDLER(fistp_m32, store_int, 4, true, false)
X86_HANDLER(fistp_m64, store_int, 8, true, false)
X86_HANDLER(fisttp_m16, store_int, 2, true, true)
X86_HANDLER(fisttp_m32, store_int, 4, true, true)
X86_HANDLER(fisttp_m64, store_int, 8, true, true)
X87_FAMILY(fst, fst_reg, NULL, fst_m32, fst_m64)
X87_FAMILY(fstp, fstp_reg, NULL, fstp_m32, fstp_m64)
X87_FAMILY(fist, NULL, fist_m16, fist_m32, NULL)
X87_FAMILY(fistp, NULL, fistp_m16, fistp_m32, fistp_m64)
X87_FAMILY(fisttp, NULL, fisttp_m16, fisttp_m32, fisttp_m64)
X86_FAMILY_ONE(fstp_m80, op_fstp_m80)

#define BCD_LIMIT 1000000000000000000ull

static struct f80 to_bcd(uint64_t v, bool sign)
{
	struct f80 r = {0, (uint16_t)(sign << 15)};

	for (unsigned k = 0; k < 16; k++, v /= 10)
		r.sig |= v % 10 << (4 * k);
	r.se |= (uint16_t)(v % 10 | v / 10 << 4);
	return r;
}

static enum x86_rc op_fbstp(struct x86_cpu *c, const struct x86_insn *i)
{
	struct f80 r = SF_F80_NAN; /* the packed BCD indefinite has the same bytes */
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (x87_empty(c, 0)) {
		x87_stack_fault(&x, false);
	} else {
		int64_t v = sf_f80_to_int(&x.st, x87_get(c, 0), 64, x.st.round);
		bool sign = x87_get(c, 0).se >> 15;
		uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

		if (m < BCD_LIMIT) {
			r = to_bcd(m, sign);
		} else {
			x.st.flags = SF_IE;
			x.st.c1 = false;
		}
	}
	return store80_result(&x, r);
}

X86_FAMILY_ONE(fbstp, op_fbstp)

/* ---- the stack ---- */

/* Masked, an empty register counts as an indefinite value that is exchanged. */
static enum x86_rc op_fxch(struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned r = i->rm & 7;
	struct f80 a = x87_get(c, 0), b = x87_get(c, r);
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (x87_empty(c, 0))
		a = x87_stack_fault(&x, false);
	if (x87_empty(c, r))
		b = x87_stack_fault(&x, false);
	rc = x87_end(&x);
	if (x87_writes(&x)) {
		x87_set(c, 0, b);
		x87_set(c, r, a);
	}
	return rc;
}

/* FFREEP frees ST(i) and pops. */
X86_INLINE enum x86_rc stack_op(struct x86_cpu *c, const struct x86_insn *i, int turn, bool free, bool keep_c1)
{
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	x.keep_c1 = keep_c1;
	rc = x87_end(&x);
	if (free)
		x87_free(c, i->rm & 7);
	if (free && turn)
		x87_free(c, 0);
	if (turn > 0)
		x87_top_up(c);
	else if (turn < 0)
		x87_top_down(c);
	return rc;
}

X86_HANDLER(op_fincstp, stack_op, 1, false, false)
X86_HANDLER(op_fdecstp, stack_op, -1, false, false)
X86_HANDLER(op_ffree, stack_op, 0, true, false)
X86_HANDLER(op_ffreep, stack_op, 1, true, false)
X86_HANDLER(op_fnop, stack_op, 0, false, true)
X86_FAMILY_ONE(fxch, op_fxch)
X86_FAMILY_ONE(fincstp, op_fincstp)
X86_FAMILY_ONE(fdecstp, op_fdecstp)
X86_FAMILY_ONE(ffree, op_ffree)
X86_FAMILY_ONE(ffreep, op_ffreep)
X86_FAMILY_ONE(fnop, op_fnop)
