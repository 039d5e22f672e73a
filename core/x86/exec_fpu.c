/*
 * x87: the instructions are decoded and their availability is checked. The few that firmware and kernels use to set the
 * unit up are executed on the FXSAVE image in s.fxsave. Arithmetic stops the machine and names itself.
 * [SDM 3A "Control Registers"]
 */
#include "core/lib.h"
#include "core/x86/exec.h"

/* Offsets in the FXSAVE image. */
enum { FX_FCW = 0, FX_FSW = 2, FX_MXCSR = 24 };
#define FSW_ES 0x80u

static enum x86_rc check_x87(struct x86_cpu *c)
{
	return c->s.cr0 & (CR0_EM | CR0_TS) ? x86_fault(c, VEC_NM) : X86_OK;
}

/* An unmasked x87 exception that is still pending is reported by the next waiting instruction. With CR0.NE clear it
 * would be reported through the interrupt controller (FERR#), which this machine does not have. */
static enum x86_rc check_pending(struct x86_cpu *c)
{
	if ((x86_get(c->s.fxsave + FX_FSW, 2) & FSW_ES) && (c->s.cr0 & CR0_NE))
		return x86_fault(c, VEC_MF);
	return X86_OK;
}

static enum x86_rc not_executed(struct x86_cpu *c, const struct x86_insn *i, const char *unit)
{
	fmt_snprintf(c->stop_reason, sizeof(c->stop_reason), "%s instruction %s is decoded but not executed yet", unit,
	    x86_insn_name(i->id));
	return X86_STOP;
}

static enum x86_rc op_x87(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = check_x87(c);

	return rc == X86_OK ? not_executed(c, i, "x87") : rc;
}

/* No operation (8087 and 80287 control instructions that later units ignore). */
static enum x86_rc op_fpu_nop(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	return check_x87(c);
}

static enum x86_rc op_fninit(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = check_x87(c);

	(void)i;
	if (rc != X86_OK)
		return rc;
	memset(c->s.fxsave, 0, FX_MXCSR); /* status, tags (all empty), opcode and both pointers */
	x86_put(c->s.fxsave + FX_FCW, 2, 0x37f);
	return X86_OK;
}

static enum x86_rc op_fnclex(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = check_x87(c);

	(void)i;
	if (rc != X86_OK)
		return rc;
	x86_put(c->s.fxsave + FX_FSW, 2, x86_get(c->s.fxsave + FX_FSW, 2) & 0x7f00);
	return X86_OK;
}

/* FNSTCW m16, FNSTSW m16. */
static enum x86_rc store_word(struct x86_cpu *c, const struct x86_insn *i, unsigned at)
{
	enum x86_rc rc = check_x87(c);

	return rc == X86_OK ? x86_store(c, i->seg, x86_ea(c, i), 2, x86_get(c->s.fxsave + at, 2)) : rc;
}

static enum x86_rc op_fnstcw(struct x86_cpu *c, const struct x86_insn *i)
{
	return store_word(c, i, FX_FCW);
}

static enum x86_rc op_fnstsw(struct x86_cpu *c, const struct x86_insn *i)
{
	return store_word(c, i, FX_FSW);
}

static enum x86_rc op_fnstsw_ax(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = check_x87(c);

	(void)i;
	if (rc == X86_OK)
		x86_reg_set(c, 2, X86_RAX, x86_get(c->s.fxsave + FX_FSW, 2));
	return rc;
}

/* Unmasking an exception whose flag is set makes it pending; masking the last one withdraws it. */
static enum x86_rc op_fldcw(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t cw, sw;
	enum x86_rc rc = check_x87(c);

	if (rc == X86_OK)
		rc = check_pending(c);
	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_ea(c, i), 2, &cw);
	if (rc != X86_OK)
		return rc;
	x86_put(c->s.fxsave + FX_FCW, 2, (cw & 0x1f3f) | 0x40);
	sw = x86_get(c->s.fxsave + FX_FSW, 2) & 0x7f7f;
	if (sw & ~cw & 0x3f)
		sw |= 0x8000 | FSW_ES;
	x86_put(c->s.fxsave + FX_FSW, 2, sw);
	return X86_OK;
}

/* FWAIT obeys CR0.MP, which every other x87 instruction does not need. */
static enum x86_rc op_fwait(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	if ((c->s.cr0 & CR0_MP) && (c->s.cr0 & CR0_TS))
		return x86_fault(c, VEC_NM);
	return check_pending(c);
}

X86_FAMILY_ONE(x87, op_x87)
X86_FAMILY_ONE(fpu_nop, op_fpu_nop)
X86_FAMILY_ONE(fninit, op_fninit)
X86_FAMILY_ONE(fnclex, op_fnclex)
X86_FAMILY_ONE(fnstcw, op_fnstcw)
X86_FAMILY_ONE(fnstsw, op_fnstsw)
X86_FAMILY_ONE(fnstsw_ax, op_fnstsw_ax)
X86_FAMILY_ONE(fldcw, op_fldcw)
X86_FAMILY_ONE(fwait, op_fwait)
