/*
 * What is decoded and not executed yet of the x87: availability is checked, then the machine stops and the instruction
 * names itself.
 */
#include "core/lib.h"
#include "core/x86/x87.h"

static enum x86_rc op_x87(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x87_available(c);

	if (rc != X86_OK)
		return rc;
	fmt_snprintf(c->stop_reason, sizeof(c->stop_reason), "x87 instruction %s is decoded but not executed yet",
	    x86_insn_name(i->id));
	return X86_STOP;
}

X86_FAMILY_ONE(x87, op_x87)
