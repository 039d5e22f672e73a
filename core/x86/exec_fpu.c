/*
 * x87, MMX and SSE: the instructions are decoded and their availability is checked as the processor does it, in this
 * order: #UD (CR0.EM, CR4.OSFXSR), then #NM (CR0.TS). The few that firmware and kernels use to set the unit up and to
 * save it are executed on the FXSAVE image in s.fxsave. Arithmetic stops the machine and names itself.
 * [SDM 3A "Control Registers"; SDM 2A "FXSAVE"]
 */
#include "core/lib.h"
#include "core/x86/exec.h"

/* Offsets in the FXSAVE image. */
enum {
	FX_FSW = 2,
	FX_FTW = 4, /* one bit a register: 1 = not empty */
	FX_FOP = 6,
	FX_MXCSR = 24,
	FX_MXCSR_MASK = 28,
	FX_XMM = 160,
	FX_XMM_8_END = 288,
	FX_XMM_16_END = 416
};
#define MXCSR_DEFINED 0xffffu
#define FSW_ES 0x80u

static enum x86_rc check_x87(struct x86_cpu *c)
{
	return c->s.cr0 & (CR0_EM | CR0_TS) ? x86_fault(c, VEC_NM) : X86_OK;
}

static enum x86_rc check_mmx(struct x86_cpu *c)
{
	if (c->s.cr0 & CR0_EM)
		return x86_fault(c, VEC_UD);
	return c->s.cr0 & CR0_TS ? x86_fault(c, VEC_NM) : X86_OK;
}

static enum x86_rc check_sse(struct x86_cpu *c)
{
	if (!(c->s.cr4 & CR4_OSFXSR))
		return x86_fault(c, VEC_UD);
	return check_mmx(c);
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

static enum x86_rc op_mmx(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = check_mmx(c);

	return rc == X86_OK ? not_executed(c, i, "MMX") : rc;
}

static enum x86_rc op_sse(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = check_sse(c);

	return rc == X86_OK ? not_executed(c, i, "SSE") : rc;
}

static enum x86_rc op_xsave(struct x86_cpu *c, const struct x86_insn *i)
{
	if (!(c->s.cr4 & CR4_OSXSAVE))
		return x86_fault(c, VEC_UD);
	if (c->s.cr0 & CR0_TS)
		return x86_fault(c, VEC_NM);
	return not_executed(c, i, "XSAVE");
}

static enum x86_rc op_emms(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = check_mmx(c);

	(void)i;
	if (rc == X86_OK)
		rc = check_pending(c);
	if (rc == X86_OK)
		c->s.fxsave[FX_FTW] = 0;
	return rc;
}

static enum x86_rc op_ldmxcsr(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t v;
	enum x86_rc rc = check_sse(c);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_ea(c, i), 4, &v);
	if (rc != X86_OK)
		return rc;
	if (v & ~(uint64_t)MXCSR_DEFINED)
		return x86_fault_ec(c, VEC_GP, 0);
	x86_put(c->s.fxsave + FX_MXCSR, 4, v);
	return X86_OK;
}

static enum x86_rc op_stmxcsr(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = check_sse(c);

	return rc == X86_OK ? x86_store(c, i->seg, x86_ea(c, i), 4, x86_get(c->s.fxsave + FX_MXCSR, 4)) : rc;
}

/* XMM8-15 exist in 64-bit mode only; the rest of the 512 bytes is neither written nor read. */
static unsigned fx_end(const struct x86_cpu *c)
{
	return c->code_size == 8 ? FX_XMM_16_END : FX_XMM_8_END;
}

/* The pointers are 64 bits wide with REX.W, else 32 bits and a selector, which newer processors store as 0. */
static void fx_short_pointers(uint8_t *image)
{
	memset(image + 12, 0, 4);
	memset(image + 20, 0, 4);
}

static enum x86_rc op_fxsave(struct x86_cpu *c, const struct x86_insn *i)
{
	uint8_t image[512];
	uint64_t ea = x86_ea(c, i);
	enum x86_rc rc = check_x87(c);

	if (rc != X86_OK)
		return rc;
	memcpy(image, c->s.fxsave, sizeof(image));
	x86_put(image + FX_MXCSR_MASK, 4, MXCSR_DEFINED);
	if (i->opsize != 8)
		fx_short_pointers(image);
	for (unsigned at = 0; at < fx_end(c); at += 16) {
		uint64_t v[2] = {x86_get(image + at, 8), x86_get(image + at + 8, 8)};

		rc = x86_store128(c, i->seg, x86_addr_mask(i->addrsize, ea + at), true, v);
		if (rc != X86_OK)
			return rc;
	}
	return X86_OK;
}

static enum x86_rc op_fxrstor(struct x86_cpu *c, const struct x86_insn *i)
{
	uint8_t image[512];
	uint64_t ea = x86_ea(c, i);
	enum x86_rc rc = check_x87(c);

	if (rc != X86_OK)
		return rc;
	memcpy(image, c->s.fxsave, sizeof(image));
	for (unsigned at = 0; at < fx_end(c); at += 16) {
		uint64_t v[2];

		rc = x86_load128(c, i->seg, x86_addr_mask(i->addrsize, ea + at), true, v);
		if (rc != X86_OK)
			return rc;
		x86_put(image + at, 8, v[0]);
		x86_put(image + at + 8, 8, v[1]);
	}
	if (x86_get(image + FX_MXCSR, 4) & ~(uint64_t)MXCSR_DEFINED)
		return x86_fault_ec(c, VEC_GP, 0);
	if (i->opsize != 8)
		fx_short_pointers(image);
	memcpy(c->s.fxsave, image, sizeof(image));
	return X86_OK;
}

X86_FAMILY_ONE(mmx, op_mmx)
X86_FAMILY_ONE(sse, op_sse)
X86_FAMILY_ONE(xsave, op_xsave)
X86_FAMILY_ONE(emms, op_emms)
X86_FAMILY_ONE(ldmxcsr, op_ldmxcsr)
X86_FAMILY_ONE(stmxcsr, op_stmxcsr)
X86_FAMILY_ONE(fxsave, op_fxsave)
X86_FAMILY_ONE(fxrstor, op_fxrstor)
