/*
 * What a block of decoded instructions is made of beside the go handlers of the instructions themselves: the general
 * case, and how a block ends. Read first: exec.h ("BLOCKS").
 */
#include "core/x86/exec.h"

const struct x86_block x86_no_block = {.page_off = X86_BLOCK_NOWHERE};

/* A handler that may look at s.rip, or one of an instruction that is too rare to have two. */
enum x86_rc x86_go_any(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t start = c->s.rip;
	enum x86_rc rc;

	c->s.rip = (start + i->ahead) & c->ip_mask;
	rc = i->fn(c, i);
	c->s.rip = start;
	if (UNLIKELY(rc != X86_OK)) {
		c->at = i;
		return rc;
	}
	return i[1].go(c, i + 1);
}

enum x86_rc x86_go_last(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t start = c->s.rip;

	c->s.rip = (start + i->ahead) & c->ip_mask;
	return x86_ended(c, i, start, i->fn(c, i));
}

enum x86_rc x86_go_end(struct x86_cpu *c, const struct x86_insn *i)
{
	c->s.rip = (c->s.rip + i->ahead) & c->ip_mask;
	c->insns += c->block->n;
	return X86_OK;
}

enum x86_rc x86_go_end_hop(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t start = c->s.rip;

	c->s.rip = start + i->ahead;
	return x86_hop(c, start, 0);
}

enum x86_rc x86_go_stop(struct x86_cpu *c, const struct x86_insn *i)
{
	c->s.rip = (c->s.rip + i->ahead - i->len) & c->ip_mask;
	c->insns += c->block->n - 1u;
	return X86_OK;
}

enum x86_rc x86_go_gone(struct x86_cpu *c, const struct x86_insn *i)
{
	c->at = i;
	return X86_RETRY;
}
