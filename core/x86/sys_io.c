/*
 * IN, OUT, INS, OUTS [SDM 1 "Input/Output"]. Concept: a port access is checked against IOPL and the TSS bitmap before
 * anything exits, and exits before its memory operand is looked at; both also when a repeat count is 0. One iteration
 * of a string instruction an exit.
 */
#include "core/x86/exec.h"
#include "core/x86/intercept.h"
#include "core/x86/paging.h"
#include "core/x86/sys.h"

#define TSS_IO_BASE 0x66u

static enum x86_rc gp(struct x86_cpu *c)
{
	return x86_fault_ec(c, VEC_GP, 0);
}

/* All bits of the ports in the bitmap must be clear. The processor always reads two bytes. */
static enum x86_rc bitmap_permits(struct x86_cpu *c, uint16_t port, unsigned size)
{
	const struct x86_seg *tr = &c->s.tr;
	uint64_t base, bits;
	uint32_t at;
	enum x86_rc rc;

	if ((tr->attr & SEG_UNUSABLE) || (tr->attr & SEG_TYPE) < DESC_TSS32 || tr->limit < TSS_IO_BASE + 1)
		return gp(c);
	rc = x86_load_sys(c, tr->base + TSS_IO_BASE, 2, &base);
	if (rc != X86_OK)
		return rc;
	at = (uint32_t)base + port / 8;
	if (at + 1 > tr->limit)
		return gp(c);
	rc = x86_load_sys(c, tr->base + at, 2, &bits);
	if (rc != X86_OK)
		return rc;
	return bits >> (port & 7) & ((1u << size) - 1) ? gp(c) : X86_OK;
}

static enum x86_rc io_permitted(struct x86_cpu *c, uint16_t port, unsigned size)
{
	unsigned iopl = c->s.rflags >> 12 & 3;

	if (x86_depriv(c))
		return gp(c);
	if (c->mode == X86_MODE_REAL || (c->mode != X86_MODE_V86 && c->cpl <= iopl))
		return X86_OK;
	return bitmap_permits(c, port, size);
}

static bool io_exits(const struct x86_cpu *c, uint16_t port, unsigned size)
{
	return x86_intercept_on(c, X86_ICPT_IO) && controls_io_exits(c->ctl, port, size);
}

static enum x86_rc io_exit(struct x86_cpu *c, const struct x86_insn *i, uint16_t port, bool in, bool string)
{
	bool rep = string && (i->flags & (INSN_REP | INSN_REPNE)), imm = !string && (i->flags & INSN_IMM);
	uint64_t qual = (i->opsize - 1u) | (in ? QUAL_IO_IN : 0) | (string ? QUAL_IO_STRING : 0) |
			(rep ? QUAL_IO_REP : 0) | (imm ? QUAL_IO_IMM : 0) | (uint64_t)port << QUAL_IO_PORT_SHIFT;
	struct exit_io *io = &c->exit->io;

	x86_intercept_exit(c, i, X86_ICPT_IO, qual);
	io->port = port;
	io->size = i->opsize;
	io->in = in;
	io->string = string;
	io->rep = rep;
	io->imm = imm;
	io->addr_size = i->addrsize;
	io->count = 1;
	if (!in && !string)
		io->value = x86_reg(c, i->opsize, X86_RAX);
	return X86_EXIT;
}

static uint16_t port_of(const struct x86_cpu *c, const struct x86_insn *i)
{
	return i->flags & INSN_IMM ? (uint16_t)(i->imm & 0xff) : (uint16_t)c->s.gpr[X86_RDX];
}

enum x86_rc x86_op_in(struct x86_cpu *c, const struct x86_insn *i)
{
	uint16_t port = port_of(c, i);
	enum x86_rc rc = io_permitted(c, port, i->opsize);

	if (rc != X86_OK)
		return rc;
	if (io_exits(c, port, i->opsize))
		return io_exit(c, i, port, true, false);
	x86_reg_set(c, i->opsize, X86_RAX, c->env->io_read(c->env_arg, port, i->opsize));
	x86_debug_io(c, port, i->opsize);
	return X86_OK;
}

enum x86_rc x86_op_out(struct x86_cpu *c, const struct x86_insn *i)
{
	uint16_t port = port_of(c, i);
	enum x86_rc rc = io_permitted(c, port, i->opsize);

	if (rc != X86_OK)
		return rc;
	if (io_exits(c, port, i->opsize))
		return io_exit(c, i, port, false, false);
	c->env->io_write(c->env_arg, port, i->opsize, x86_reg(c, i->opsize, X86_RAX));
	x86_debug_io(c, port, i->opsize);
	return X86_OK;
}

/* --- Strings --------------------------------------------------------------------------------------------------- */

static bool is_rep(const struct x86_insn *i)
{
	return i->flags & (INSN_REP | INSN_REPNE);
}

static uint64_t counter(const struct x86_cpu *c, const struct x86_insn *i)
{
	return x86_addr_mask(i->addrsize, c->s.gpr[X86_RCX]);
}

static enum x86_rc string_exit(
    struct x86_cpu *c, const struct x86_insn *i, uint16_t port, bool in, unsigned seg, uint64_t off)
{
	uint64_t count = is_rep(i) ? counter(c, i) : 1;

	io_exit(c, i, port, in, true);
	c->exit->io.count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
	c->exit->gla = c->eff_base[seg] + off;
	if (c->mode != X86_MODE_LONG64)
		c->exit->gla = (uint32_t)c->exit->gla;
	c->exit->insn_info = (uint32_t)(i->addrsize >> 2 & 3) << 7 | (in ? 0 : (uint32_t)seg << 15);
	return X86_EXIT;
}

/* After one iteration: move the index, count, and stay on the instruction while iterations remain. */
static void advance(struct x86_cpu *c, const struct x86_insn *i, unsigned index)
{
	int64_t step = c->s.rflags & FLAG_DF ? -(int64_t)i->opsize : (int64_t)i->opsize;

	x86_reg_set(c, i->addrsize, index, c->s.gpr[index] + (uint64_t)step);
	if (!is_rep(i))
		return;
	x86_reg_set(c, i->addrsize, X86_RCX, c->s.gpr[X86_RCX] - 1);
	if (counter(c, i))
		x86_repeat(c, i);
}

enum x86_rc x86_op_ins(struct x86_cpu *c, const struct x86_insn *i)
{
	uint16_t port = (uint16_t)c->s.gpr[X86_RDX];
	uint64_t off = x86_addr_mask(i->addrsize, c->s.gpr[X86_RDI]);
	gva_t la;
	enum x86_rc rc;

	rc = io_permitted(c, port, i->opsize);
	if (rc != X86_OK)
		return rc;
	if (io_exits(c, port, i->opsize))
		return string_exit(c, i, port, true, X86_ES, off);
	if (is_rep(i) && counter(c, i) == 0)
		return X86_OK;
	rc = x86_linear(c, X86_ES, off, i->opsize, X86_ACCESS_WRITE, &la);
	if (rc == X86_OK)
		rc = x86_lin_probe(c, la, i->opsize, c->user, X86_ACCESS_WRITE);
	if (rc != X86_OK)
		return rc;
	rc = x86_lin_store(c, la, i->opsize, c->user, c->env->io_read(c->env_arg, port, i->opsize));
	if (rc != X86_OK)
		return rc;
	x86_debug_io(c, port, i->opsize);
	advance(c, i, X86_RDI);
	return X86_OK;
}

enum x86_rc x86_op_outs(struct x86_cpu *c, const struct x86_insn *i)
{
	uint16_t port = (uint16_t)c->s.gpr[X86_RDX];
	uint64_t off = x86_addr_mask(i->addrsize, c->s.gpr[X86_RSI]), v;
	enum x86_rc rc;

	rc = io_permitted(c, port, i->opsize);
	if (rc != X86_OK)
		return rc;
	if (io_exits(c, port, i->opsize))
		return string_exit(c, i, port, false, i->seg, off);
	if (is_rep(i) && counter(c, i) == 0)
		return X86_OK;
	rc = x86_load(c, i->seg, off, i->opsize, &v);
	if (rc != X86_OK)
		return rc;
	c->env->io_write(c->env_arg, port, i->opsize, v);
	x86_debug_io(c, port, i->opsize);
	advance(c, i, X86_RSI);
	return X86_OK;
}
