/*
 * Steps by instructions: one, over a call, out of a function. Where the engine counts instructions a step is a goal
 * like any other; elsewhere the processor is asked to trap after each one.
 */
#include <string.h>

#include "core/lib.h"
#include "core/x86/insn.h"
#include "session/control_impl.h"

#define CODE_MAX 15u

static enum err cannot_step(struct control *c, const char *what, struct errmsg *why)
{
	const struct mode_ops *m = c->vm->cfg.mode;
	const char *reason;

	if (m->caps & MODE_CAP_MODEL)
		reason = "a behaviour model has no instructions: step by exits (e)";
	else if (c->driver == DRIVER_REMOTE)
		reason = "the guest runs on another machine, which stops at exits only: step by exits (e), or use "
			 "--type 2";
	else
		reason = "this backend stops at exits only: step by exits (e)";
	return err_set(why, ERR_UNSUPPORTED, "%s: not in %s/%s: %s", what, mode_name(m->mode),
	    m->type == VMM_TYPE_I ? "I" : "II", reason);
}

static bool can_step(const struct control *c)
{
	unsigned caps = c->vm->cfg.mode->caps;

	return caps & MODE_CAP_STEP_INSN && !(caps & MODE_CAP_MODEL) && c->driver != DRIVER_REMOTE;
}

enum err control_step_insn(struct control *c, uint64_t n, struct errmsg *why)
{
	struct control_goal g = control_no_goal();

	if (!can_step(c))
		return cannot_step(c, "step by instructions", why);
	if (c->driver == DRIVER_EXACT)
		g.insns = c->vm->clock.insns + n;
	else
		g.steps = n;
	return control_go_why(c, &g, why);
}

/* --- Calls and returns -------------------------------------------------------------------------------------------- */

enum insn_kind { KIND_OTHER, KIND_CALL, KIND_REPEATED, KIND_RETURN };

static bool is_prefix(uint8_t b, bool long64)
{
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x26 || b == 0x2e || b == 0x36 ||
	       b == 0x3e || b == 0x64 || b == 0x65 || (long64 && (b & 0xf0) == 0x40);
}

static bool is_string(uint8_t op)
{
	return (op >= 0x6c && op <= 0x6f) || (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf);
}

/* By opcode [SDM 2A, "Opcode Map"]: what comes back to the instruction after it, and what goes back itself. */
static enum insn_kind kind_of(const uint8_t *p, unsigned n, bool long64)
{
	bool rep = false;
	unsigned i = 0;

	for (; i < n && is_prefix(p[i], long64); i++)
		rep = rep || p[i] == 0xf2 || p[i] == 0xf3;
	if (i == n)
		return KIND_OTHER;
	switch (p[i]) {
	case 0xe8: /* CALL */
	case 0x9a:
	case 0xcc: /* INT3, INT n, INT1 */
	case 0xcd:
	case 0xf1:
		return KIND_CALL;
	case 0xc2: /* RET, far RET, IRET */
	case 0xc3:
	case 0xca:
	case 0xcb:
	case 0xcf:
		return KIND_RETURN;
	case 0xff: /* CALL r/m, far CALL m */
		return i + 1 < n && (p[i + 1] >> 3 & 7) - 2u < 2 ? KIND_CALL : KIND_OTHER;
	default:
		return rep && is_string(p[i]) ? KIND_REPEATED : KIND_OTHER;
	}
}

/* The instruction that comes now. */
static enum insn_kind look(struct control *c, struct vcpu *v, gva_t *after)
{
	uint8_t code[CODE_MAX];
	struct x86_insn i;
	size_t n;

	if (!vcpu_state(v))
		return KIND_OTHER;
	(void)c;
	n = x86_peek(&v->cpu, x86_linear_ip(&v->cpu), code, sizeof(code));
	if (x86_decode(code, n, v->cpu.code_size, (enum x86_mode)v->cpu.mode, &i) != DECODE_OK)
		return KIND_OTHER;
	*after = x86_linear_ip(&v->cpu) + i.len;
	return kind_of(code, i.len, v->cpu.mode == X86_MODE_LONG64);
}

static struct vcpu *current(struct control *c)
{
	return &c->vm->vcpus[c->vm->turn];
}

static uint64_t sp_of(struct vcpu *v)
{
	const struct x86_state *s = vcpu_state(v);

	return s ? s->gpr[X86_RSP] : 0;
}

/* A call as one step: until its next instruction comes with the stack where it is now, or higher (a callee that pops
 * its arguments). */
static enum err step_one_over(struct control *c, struct errmsg *why)
{
	struct vcpu *v = current(c);
	struct control_goal g = control_no_goal();
	gva_t after = 0;
	enum insn_kind kind = look(c, v, &after);

	if (kind != KIND_CALL && kind != KIND_REPEATED)
		return control_step_insn(c, 1, why);
	g.at_set = true;
	g.at = after;
	g.sp = sp_of(v);
	g.vcpu = v->id;
	return control_go_why(c, &g, why);
}

enum err control_step_over(struct control *c, struct errmsg *why)
{
	if (!can_step(c))
		return cannot_step(c, "step over a call", why);
	return step_one_over(c, why);
}

/* Over everything that this function calls, until it returns. */
enum err control_finish(struct control *c, struct errmsg *why)
{
	struct vcpu *v = current(c);
	uint64_t sp;
	gva_t after;
	bool returns;
	enum err e;

	if (!can_step(c))
		return cannot_step(c, "finish a function", why);
	sp = sp_of(v);
	do {
		returns = look(c, current(c), &after) == KIND_RETURN && sp_of(current(c)) >= sp && current(c) == v;
		e = step_one_over(c, why);
	} while (e == ERR_OK && c->where.stop == CONTROL_DONE && !returns);
	return e;
}
