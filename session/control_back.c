/*
 * The past, and what comes from outside.
 */
#include "core/lib.h"
#include "session/control_impl.h"

static enum err cannot_go_back(struct control *c, struct errmsg *why)
{
	return err_set(why, ERR_UNSUPPORTED, "go back: %s", c->where.why_not_back);
}

enum err control_back_insn(struct control *c, uint64_t n, struct errmsg *why)
{
	(void)n;
	return cannot_go_back(c, why);
}

enum err control_back_exit(struct control *c, uint64_t n, struct errmsg *why)
{
	(void)n;
	return cannot_go_back(c, why);
}

enum err control_back_to_break(struct control *c, struct errmsg *why)
{
	return cannot_go_back(c, why);
}

enum err control_restart(struct control *c, struct errmsg *why)
{
	return cannot_go_back(c, why);
}

/* The point after exit k: k + 1 exits have happened then. */
enum err control_goto_exit(struct control *c, uint64_t k, struct errmsg *why)
{
	struct control_goal g = control_no_goal();

	if (c->exits > k + 1)
		return cannot_go_back(c, why);
	g.exits = k + 1;
	g.no_breaks = true;
	return control_go(c, &g);
}

enum err control_goto_insn(struct control *c, uint64_t insns, struct errmsg *why)
{
	struct control_goal g = control_no_goal();

	if (c->driver != DRIVER_EXACT)
		return err_set(why, ERR_UNSUPPORTED, "go to an instruction: nobody counts them in %s: go to an exit",
		    mode_name(c->vm->cfg.mode->mode));
	if (insns < c->vm->clock.insns)
		return cannot_go_back(c, why);
	g.insns = insns;
	g.no_breaks = true;
	return control_go(c, &g);
}

size_t control_type(struct control *c, const uint8_t *text, size_t n)
{
	return c->s->ops->type(c->s, text, n);
}

enum err control_set_state(struct control *c, unsigned vcpu, const struct x86_state *in)
{
	return c->s->ops->set_state(c->s, vcpu, in);
}

enum err control_write_mem(struct control *c, gpa_t gpa, const void *buf, size_t n)
{
	return c->s->ops->write_mem(c->s, gpa, buf, n);
}
