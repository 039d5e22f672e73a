/*
 * x87 control: initialise, control and status words, the environment and the whole state in their four formats.
 */
#include "core/x86/x87.h"

unsigned x87_pend(struct x87 *x, unsigned flags)
{
	struct x86_cpu *c = x->c;

	if (flags & ~x->st.masks & SF_PRE) {
		flags &= SF_PRE;
		x->st.c1 = (x->stack_fault || x->keep_c1) && x->st.c1;
	}
	x87_word_set(c, X87_FOP, ((x->i->opcode & 7u) << 8) | x->i->imm2);
	if (x->i->flags & INSN_MEM)
		x86_put(c->s.fxsave + X87_FDP, 8, x86_ea(c, x->i));
	return flags | X87_ES | X87_BUSY;
}

static void set_control(struct x86_cpu *c, unsigned cw)
{
	x87_word_set(c, X87_FCW, (cw & 0x1f3f) | 0x40);
}

static void init(struct x86_cpu *c)
{
	x87_set_top(c, 0);
	x87_word_set(c, X87_FCW, X87_FCW_INIT);
	x87_word_set(c, X87_FSW, 0);
	memset(c->s.fxsave + X87_FTW, 0, X87_FDP + 8 - X87_FTW); /* tags: all empty; opcode and both pointers */
}

static enum x86_rc op_fninit(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x87_available(c);

	(void)i;
	if (rc == X86_OK)
		init(c);
	return rc;
}

static enum x86_rc op_fnclex(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x87_available(c);

	(void)i;
	if (rc == X86_OK)
		x87_word_set(c, X87_FSW, x87_word(c, X87_FSW) & 0x7f00);
	return rc;
}

/* No operation (8087 and 80287 control instructions that later units ignore). */
static enum x86_rc op_fpu_nop(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	return x87_available(c);
}

/* FNSTCW m16, FNSTSW m16. */
X86_INLINE enum x86_rc store_word(struct x86_cpu *c, const struct x86_insn *i, unsigned at)
{
	enum x86_rc rc = x87_available(c);

	return rc == X86_OK ? x86_store(c, i->seg, x86_ea(c, i), 2, x87_word(c, at)) : rc;
}

static enum x86_rc op_fnstsw_ax(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x87_available(c);

	(void)i;
	if (rc == X86_OK)
		x86_reg_set(c, 2, X86_RAX, x87_word(c, X87_FSW));
	return rc;
}

/* Unmasking an exception whose flag is set makes it pending; masking the last one withdraws it. */
static enum x86_rc op_fldcw(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t cw;
	enum x86_rc rc = x87_waiting(c);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_ea(c, i), 2, &cw);
	if (rc != X86_OK)
		return rc;
	set_control(c, (unsigned)cw);
	x87_word_set(c, X87_FSW, x87_summary(x87_word(c, X87_FSW), (unsigned)cw));
	return X86_OK;
}

/*
 * With CR0.NE clear it is not the processor's to say how this goes on, but the hardware's outside [SDM 1 "MS-DOS*
 * Compatibility Sub-mode"]: it exits to whoever plays that. The VMM itself executes the instruction because IGNNE# is
 * asserted.
 */
enum x86_rc x86_x87_error(struct x86_cpu *c)
{
	if (c->s.cr0 & CR0_NE)
		return x86_fault(c, VEC_MF);
	if (!c->ctl)
		return X86_OK;
	x86_exit(c, EXIT_EXCEPTION_NMI, 0, 0);
	c->exit->intr_info = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | VEC_MF;
	return X86_EXIT;
}

/* FWAIT obeys CR0.MP, which every other x87 instruction does not need. */
static enum x86_rc op_fwait(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	if ((c->s.cr0 & CR0_MP) && (c->s.cr0 & CR0_TS))
		return x86_fault(c, VEC_NM);
	return x87_word(c, X87_FSW) & X87_ES ? x86_x87_error(c) : X86_OK;
}

X86_HANDLER(op_fnstcw, store_word, X87_FCW)
X86_HANDLER(op_fnstsw, store_word, X87_FSW)
X86_FAMILY_ONE(fpu_nop, op_fpu_nop)
X86_FAMILY_ONE(fninit, op_fninit)
X86_FAMILY_ONE(fnclex, op_fnclex)
X86_FAMILY_ONE(fnstcw, op_fnstcw)
X86_FAMILY_ONE(fnstsw, op_fnstsw)
X86_FAMILY_ONE(fnstsw_ax, op_fnstsw_ax)
X86_FAMILY_ONE(fldcw, op_fldcw)
X86_FAMILY_ONE(fwait, op_fwait)

/* ---- environment: control, status, full tags, pointers, opcode ---- */

#define ENV_FIELDS 7u

/* Two bits a physical register: 0 valid, 1 zero, 2 special, 3 empty. */
static unsigned full_tags(const struct x86_cpu *c)
{
	unsigned top = x87_top(c), tags = 0;

	for (unsigned n = 0; n < 8; n++) {
		struct sf_num v = sf_unpack80(x87_get(c, n));
		unsigned tag = x87_empty(c, n)			     ? 3
			       : v.class == SF_ZERO		     ? 1
			       : v.class == SF_FINITE && !v.denormal ? 0
								     : 2;

		tags |= tag << 2 * ((top + n) & 7);
	}
	return tags;
}

static uint8_t short_tags(unsigned full)
{
	uint8_t tags = 0;

	for (unsigned r = 0; r < 8; r++)
		if ((full >> 2 * r & 3) != 3)
			tags |= (uint8_t)(1u << r);
	return tags;
}

/* Real-address and virtual-8086 mode have linear pointers with the opcode between; selectors there are none. */
static bool real_format(const struct x86_cpu *c)
{
	return c->mode == X86_MODE_REAL || c->mode == X86_MODE_V86;
}

/* In fields of size 2 or 4 bytes [SDM 1 "Saving the x87 FPU's State with FSTENV/FNSTENV and FSAVE/FNSAVE"]. */
static void env_out(const struct x86_cpu *c, unsigned size, uint8_t *bytes)
{
	uint32_t fip = (uint32_t)x86_get(c->s.fxsave + X87_FIP, 8), fdp = (uint32_t)x86_get(c->s.fxsave + X87_FDP, 8);
	uint32_t fop = x87_word(c, X87_FOP), high = size == 4 ? 0xffff0000 : 0;
	uint32_t f[ENV_FIELDS] = {x87_word(c, X87_FCW) | high, x87_word(c, X87_FSW) | high, full_tags(c) | high};

	if (real_format(c)) {
		f[3] = (fip & 0xffff) | high;
		f[4] = (fip & 0xffff0000) >> 4 | fop;
		f[5] = (fdp & 0xffff) | high;
		f[6] = (fdp & 0xffff0000) >> 4;
	} else {
		f[3] = fip;
		f[4] = size == 4 ? fop << 16 : 0;
		f[5] = fdp;
		f[6] = high;
	}
	for (unsigned k = 0; k < ENV_FIELDS; k++)
		x86_put(bytes + size * k, size, f[k]);
}

static void env_in(struct x86_cpu *c, unsigned size, const uint32_t f[ENV_FIELDS])
{
	uint32_t fip = f[3], fdp = f[5], fop = size == 4 ? f[4] >> 16 : 0;

	if (real_format(c)) {
		uint32_t top = size == 4 ? 0xffff0000 : 0xf0000;

		fip = (fip & 0xffff) | (f[4] << 4 & top);
		fdp = (fdp & 0xffff) | (f[6] << 4 & top);
		fop = f[4];
	}
	set_control(c, f[0]);
	x87_set_top(c, f[1] >> 11 & 7);
	x87_word_set(c, X87_FSW, x87_summary(f[1] & 0xffff, f[0]));
	c->s.fxsave[X87_FTW] = short_tags(f[2]);
	x87_word_set(c, X87_FOP, fop & 0x7ff);
	x86_put(c->s.fxsave + X87_FIP, 8, fip);
	x86_put(c->s.fxsave + X87_FDP, 8, fdp);
}

static enum x86_rc env_load(struct x86_cpu *c, const struct x86_insn *i, uint32_t f[ENV_FIELDS])
{
	uint64_t ea = x86_ea(c, i);

	for (unsigned k = 0; k < ENV_FIELDS; k++) {
		uint64_t v;
		enum x86_rc rc = x86_load(c, i->seg, x86_addr_mask(i->addrsize, ea + i->opsize * k), i->opsize, &v);

		if (rc != X86_OK)
			return rc;
		f[k] = (uint32_t)v;
	}
	return X86_OK;
}

/* All exceptions are masked after it; a pending one is withdrawn from the unit, not from the image. */
static enum x86_rc op_fnstenv(struct x86_cpu *c, const struct x86_insn *i)
{
	uint8_t bytes[4 * ENV_FIELDS];
	unsigned cw = x87_word(c, X87_FCW) | X87_EXCEPTIONS;
	enum x86_rc rc = x87_available(c);

	if (rc != X86_OK)
		return rc;
	env_out(c, i->opsize, bytes);
	rc = x87_store_bytes(c, i, bytes, i->opsize * ENV_FIELDS, i->opsize);
	if (rc != X86_OK)
		return rc;
	x87_word_set(c, X87_FCW, cw);
	x87_word_set(c, X87_FSW, x87_summary(x87_word(c, X87_FSW), cw));
	return X86_OK;
}

static enum x86_rc op_fldenv(struct x86_cpu *c, const struct x86_insn *i)
{
	uint32_t f[ENV_FIELDS];
	enum x86_rc rc = x87_waiting(c);

	if (rc == X86_OK)
		rc = x87_probe_ends(c, i, i->opsize * ENV_FIELDS, X86_ACCESS_READ);
	if (rc == X86_OK)
		rc = env_load(c, i, f);
	if (rc == X86_OK)
		env_in(c, i->opsize, f);
	return rc;
}

/* Environment, then ST(0) to ST(7) in 10 bytes each. */
static enum x86_rc op_fnsave(struct x86_cpu *c, const struct x86_insn *i)
{
	uint8_t bytes[4 * ENV_FIELDS + 80];
	unsigned env = i->opsize * ENV_FIELDS;
	enum x86_rc rc = x87_available(c);

	if (rc != X86_OK)
		return rc;
	env_out(c, i->opsize, bytes);
	for (unsigned n = 0; n < 8; n++)
		memcpy(bytes + env + 10 * n, c->s.fxsave + X87_ST + 16 * n, 10);
	rc = x87_store_bytes(c, i, bytes, env + 80, 2);
	if (rc == X86_OK)
		init(c);
	return rc;
}

static enum x86_rc op_frstor(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t ea = x86_ea(c, i) + i->opsize * ENV_FIELDS, word;
	uint8_t regs[80];
	uint32_t f[ENV_FIELDS];
	enum x86_rc rc = x87_waiting(c);

	if (rc == X86_OK)
		rc = x87_probe_ends(c, i, i->opsize * ENV_FIELDS + 80, X86_ACCESS_READ);
	if (rc == X86_OK)
		rc = env_load(c, i, f);
	/* By words: the registers need no more alignment than that. */
	for (unsigned n = 0; n < 80 && rc == X86_OK; n += 2) {
		rc = x86_load(c, i->seg, x86_addr_mask(i->addrsize, ea + n), 2, &word);
		x86_put(regs + n, 2, rc == X86_OK ? word : 0);
	}
	if (rc != X86_OK)
		return rc;
	env_in(c, i->opsize, f);
	for (unsigned n = 0; n < 8; n++)
		memcpy(c->s.fxsave + X87_ST + 16 * n, regs + 10 * n, 10);
	return X86_OK;
}

X86_FAMILY_ONE(fnstenv, op_fnstenv)
X86_FAMILY_ONE(fldenv, op_fldenv)
X86_FAMILY_ONE(fnsave, op_fnsave)
X86_FAMILY_ONE(frstor, op_frstor)
