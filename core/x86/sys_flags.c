/*
 * PUSHF, POPF, CLI, STI, CLAC, STAC: the flags that decide who may be interrupted [SDM 2B "POPF/POPFD/POPFQ"].
 * Concept: POPF is the textbook case of a sensitive instruction that does not trap: without privilege it changes IF and
 * IOPL not at all, and says nothing.
 */
#include "core/x86/exec.h"
#include "core/x86/far.h"
#include "core/x86/intercept.h"
#include "core/x86/sys.h"

static unsigned iopl(const struct x86_cpu *c)
{
	return c->s.rflags >> 12 & 3;
}

/* Virtual-8086 mode with IOPL below 3; under trap-and-emulate real mode runs that way too. */
static bool v86_traps(const struct x86_cpu *c)
{
	if (c->mode >= X86_MODE_PROT)
		return false;
	return x86_depriv(c) || (c->mode == X86_MODE_V86 && iopl(c) < 3);
}

enum x86_rc x86_op_pushf(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t image = x86_flags_get(c) & ~(uint64_t)(FLAG_VM | FLAG_RF);

	if (v86_traps(c))
		return x86_fault_ec(c, VEC_GP, 0);
	if (x86_depriv(c)) /* the real flags: interrupts on, IOPL 0 */
		image = (image & ~(uint64_t)FLAG_IOPL) | FLAG_IF;
	return x86_push(c, i->opsize, image);
}

enum x86_rc x86_op_popf(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t sp = x86_sp(c), image;
	enum x86_rc rc;

	if (v86_traps(c))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_pop_tmp(c, &sp, i->opsize, &image);
	if (rc != X86_OK)
		return rc;
	x86_set_sp(c, sp);
	x86_flags_load(c, x86_flags_merge(c, image, i->opsize, c->cpl, false));
	return X86_OK;
}

/* CLI and STI: IOPL decides, in real mode nothing does. */
static bool if_permitted(const struct x86_cpu *c)
{
	if (x86_depriv(c))
		return false;
	if (c->mode == X86_MODE_REAL)
		return true;
	return c->mode == X86_MODE_V86 ? iopl(c) == 3 : c->cpl <= iopl(c);
}

enum x86_rc x86_op_cli(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	if (!if_permitted(c))
		return x86_fault_ec(c, VEC_GP, 0);
	c->s.rflags &= ~(uint64_t)FLAG_IF;
	return X86_OK;
}

enum x86_rc x86_op_sti(struct x86_cpu *c, const struct x86_insn *i)
{
	(void)i;
	if (!if_permitted(c))
		return x86_fault_ec(c, VEC_GP, 0);
	if (!(c->s.rflags & FLAG_IF))
		c->s.intr_shadow |= INTR_SHADOW_STI;
	c->s.rflags |= FLAG_IF;
	c->block_end = true;
	return X86_OK;
}

enum x86_rc x86_op_clac(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_CLAC, 0);

	if (rc != X86_OK)
		return rc;
	c->s.rflags &= ~(uint64_t)FLAG_AC;
	x86_mode_changed(c);
	return X86_OK;
}

enum x86_rc x86_op_stac(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_STAC, 0);

	if (rc != X86_OK)
		return rc;
	c->s.rflags |= FLAG_AC;
	x86_mode_changed(c);
	return X86_OK;
}
