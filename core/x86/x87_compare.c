/*
 * x87 comparisons: FCOM, FUCOM, FICOM, FTST, FXAM, FCOMI, and FCMOVcc.
 */
#include "core/x86/x87.h"

static const uint16_t cc_of[4] = {X87_C0, X87_C3, 0, X87_C0 | X87_C2 | X87_C3}; /* by order + 1 */

/* The end of a comparison that sets C0, C2, C3 and pops 0 to 2 registers. */
X86_INLINE enum x86_rc compared(struct x87 *x, enum sf_order order, unsigned pops)
{
	enum x86_rc rc;

	x->cc = cc_of[order + 1];
	rc = x87_end(x);
	for (; pops && x87_writes(x); pops--)
		x87_pop(x->c);
	return rc;
}

X86_INLINE enum sf_order registers(struct x87 *x, unsigned n, bool quiet)
{
	if (UNLIKELY(x87_empty(x->c, 0) || x87_empty(x->c, n))) {
		x87_stack_fault(x, false);
		return SF_UNORDERED;
	}
	return sf_f80_compare(&x->st, x87_get(x->c, 0), x87_get(x->c, n), quiet);
}

X86_INLINE enum x86_rc compare_reg(struct x86_cpu *c, const struct x86_insn *i, bool quiet, unsigned pops)
{
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	return rc == X86_OK ? compared(&x, registers(&x, i->rm & 7, quiet), pops) : rc;
}

X86_INLINE enum x86_rc compare_mem(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, bool integer, unsigned pops)
{
	enum sf_order order = SF_UNORDERED;
	struct x87 x;
	uint64_t m;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_ea(c, i), size, &m);
	if (rc != X86_OK)
		return rc;
	if (UNLIKELY(x87_empty(c, 0))) {
		x87_stack_fault(&x, false);
	} else {
		struct sf_num a = sf_unpack80(x87_get(c, 0));
		struct sf_num b = integer     ? sf_from_int(size == 2 ? (int16_t)m : (int32_t)m)
				  : size == 4 ? sf_unpack32(&x.st, (uint32_t)m)
					      : sf_unpack64(&x.st, m);

		order = sf_compare(&x.st, &a, &b, false);
	}
	return compared(&x, order, pops);
}

#define COMPARE(name, pops)                                        \
	X86_HANDLER(name##_reg, compare_reg, false, pops)          \
	X86_HANDLER(name##_m32, compare_mem, 4, false, pops)       \
	X86_HANDLER(name##_m64, compare_mem, 8, false, pops)       \
	X86_HANDLER(name##_i16, compare_mem, 2, true, pops)        \
	X86_HANDLER(name##_i32, compare_mem, 4, true, pops)        \
	X87_FAMILY(name, name##_reg, NULL, name##_m32, name##_m64) \
	X87_FAMILY(i##name, NULL, name##_i16, name##_i32, NULL)
COMPARE(fcom, 0)
COMPARE(fcomp, 1)
X86_HANDLER(op_fcompp, compare_reg, false, 2)
X86_HANDLER(op_fucom, compare_reg, true, 0)
X86_HANDLER(op_fucomp, compare_reg, true, 1)
X86_HANDLER(op_fucompp, compare_reg, true, 2)
X86_FAMILY_ONE(fcompp, op_fcompp)
X86_FAMILY_ONE(fucom, op_fucom)
X86_FAMILY_ONE(fucomp, op_fucomp)
X86_FAMILY_ONE(fucompp, op_fucompp)

/* The order goes to ZF, PF, CF; OF, SF, AF are cleared. */
X86_INLINE enum x86_rc compare_flags(struct x86_cpu *c, const struct x86_insn *i, bool quiet, bool pop)
{
	static const uint8_t flags_of[4] = {FLAG_CF, FLAG_ZF, 0, FLAG_ZF | FLAG_PF | FLAG_CF};
	enum sf_order order;
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	order = registers(&x, i->rm & 7, quiet);
	x.keep_c1 = true;
	rc = x87_end(&x);
	x86_flags_update(c, FLAGS_STATUS, flags_of[order + 1]);
	if (pop && x87_writes(&x))
		x87_pop(c);
	return rc;
}

X86_HANDLER(op_fcomi, compare_flags, false, false)
X86_HANDLER(op_fcomip, compare_flags, false, true)
X86_HANDLER(op_fucomi, compare_flags, true, false)
X86_HANDLER(op_fucomip, compare_flags, true, true)
X86_FAMILY_ONE(fcomi, op_fcomi)
X86_FAMILY_ONE(fcomip, op_fcomip)
X86_FAMILY_ONE(fucomi, op_fucomi)
X86_FAMILY_ONE(fucomip, op_fucomip)

static enum x86_rc op_ftst(struct x86_cpu *c, const struct x86_insn *i)
{
	enum sf_order order = SF_UNORDERED;
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (x87_empty(c, 0))
		x87_stack_fault(&x, false);
	else
		order = sf_f80_compare(&x.st, x87_get(c, 0), (struct f80){0, 0}, false);
	return compared(&x, order, 0);
}

static enum x86_rc op_fxam(struct x86_cpu *c, const struct x86_insn *i)
{
	static const uint16_t by_class[] = {[SF_ZERO] = X87_C3,
	    [SF_FINITE] = X87_C2,
	    [SF_INF] = X87_C2 | X87_C0,
	    [SF_NAN] = X87_C0,
	    [SF_UNSUPPORTED] = 0};
	struct sf_num n;
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	n = sf_unpack80(x87_get(c, 0));
	x.cc = by_class[n.class];
	if (x87_empty(c, 0))
		x.cc = X87_C3 | X87_C0;
	else if (n.denormal)
		x.cc = X87_C3 | X87_C2;
	x.st.c1 = n.sign;
	return x87_end(&x);
}

X86_FAMILY_ONE(ftst, op_ftst)
X86_FAMILY_ONE(fxam, op_fxam)

/* An empty register is a fault whether the move happens or not. */
static enum x86_rc op_fcmov(struct x86_cpu *c, const struct x86_insn *i)
{
	static const uint8_t conds[4] = {2, 4, 6, 10}; /* B, E, BE, U (parity); DB: the opposite */
	unsigned cond = conds[i->reg & 3] | (i->opcode & 1);
	struct x87 x;
	struct f80 v;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	if (x87_empty(c, 0) || x87_empty(c, i->rm & 7))
		v = x87_stack_fault(&x, false);
	else
		v = x87_get(c, x86_cond(c, cond) ? i->rm & 7 : 0);
	x.keep_c1 = true;
	rc = x87_end(&x);
	if (x87_writes(&x))
		x87_set(c, 0, v);
	return rc;
}

X86_FAMILY_ONE(fcmov, op_fcmov)
