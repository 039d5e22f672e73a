/* The one out-of-line piece of flags.h: making s.rflags complete for whoever reads the state from outside. */
#include "core/x86/flags.h"

void x86_flags_sync(struct x86_cpu *c)
{
	c->s.rflags = x86_flags_get(c);
	c->lazy.op = 0;
}
