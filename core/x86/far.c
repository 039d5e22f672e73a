/*
 * Far calls, jumps and returns, in all modes [SDM 2A "CALL", "JMP", "RET"; SDM 3A "Privilege Levels"]. Concept: a
 * program reaches more privilege only through a gate that the kernel made, and on a stack that the kernel chose; on the
 * way back everything that only the inner ring may use is taken away.
 *
 * Read before: segment.c, event.c. Read after: iret.c, task.c.
 */
#include "core/x86/far.h"

#include "core/x86/event.h"
#include "core/x86/exec.h"
#include "core/x86/sys.h"

struct far_target {
	uint16_t sel;
	uint64_t off;
};

/* Code that is not 64-bit code is entered with 32 bits of the offset, as processors show. */
static bool target_valid(const struct x86_cpu *c, const struct x86_desc *cs, uint64_t *rip)
{
	if (x86_lma(c) && (cs->attr & SEG_L))
		return x86_canonical(*rip);
	*rip = (uint32_t)*rip;
	return *rip <= cs->limit;
}

/* IA-32e mode: L and D together mean nothing. */
static bool size_valid(const struct x86_cpu *c, const struct x86_desc *cs)
{
	return !x86_lma(c) || (cs->attr & (SEG_L | SEG_DB)) != (SEG_L | SEG_DB);
}

static void set_cs(struct x86_cpu *c, const struct x86_desc *cs, unsigned cpl, uint64_t rip)
{
	c->s.seg[X86_CS] = x86_desc_seg(cs, (uint16_t)((cs->sel & 0xfffc) | cpl));
	c->s.rip = rip;
	x86_mode_changed(c);
}

/* The CS that a far call leaves on the stack: under trap-and-emulate the real one, which shows RPL 3. */
static uint16_t pushed_cs(const struct x86_cpu *c)
{
	return (uint16_t)(c->s.seg[X86_CS].sel | (x86_depriv(c) && c->mode >= X86_MODE_PROT ? 3 : 0));
}

static enum x86_rc push_return(struct x86_cpu *c, unsigned size, uint64_t *sp)
{
	enum x86_rc rc = x86_push_tmp(c, sp, size, pushed_cs(c));

	return rc == X86_OK ? x86_push_tmp(c, sp, size, c->s.rip) : rc;
}

static enum x86_rc far_real(struct x86_cpu *c, const struct x86_insn *i, struct far_target to, bool call)
{
	uint64_t sp = x86_sp(c);
	enum x86_rc rc = X86_OK;

	if (to.off > c->s.seg[X86_CS].limit)
		return x86_fault_ec(c, VEC_GP, 0);
	if (call)
		rc = push_return(c, i->opsize, &sp);
	if (rc != X86_OK)
		return rc;
	x86_set_sp(c, sp);
	c->s.seg[X86_CS] = x86_real_seg(c, &c->s.seg[X86_CS], to.sel, true);
	c->s.rip = to.off;
	x86_mode_changed(c);
	return X86_OK;
}

/*
 * The pushes of a far call come after the new code segment has decided on the mode: between compatibility and 64-bit
 * mode they are made by the new mode's rules for SS, and before the offset is checked (tests/oracle).
 */
static enum x86_rc push_in_new_mode(struct x86_cpu *c, const struct x86_desc *cs, unsigned size, uint64_t *sp)
{
	struct x86_seg old = c->s.seg[X86_CS];
	uint16_t sel = pushed_cs(c);
	enum x86_rc rc;

	c->s.seg[X86_CS] = x86_desc_seg(cs, (uint16_t)((cs->sel & 0xfffc) | c->cpl));
	x86_mode_changed(c);
	*sp = x86_sp(c);
	rc = x86_push_tmp(c, sp, size, sel);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, sp, size, c->s.rip);
	c->s.seg[X86_CS] = old;
	x86_mode_changed(c);
	return rc;
}

/* The end of a JMP or CALL, by a gate or not, whose code segment has been found to be good. */
static enum x86_rc far_same_ring(struct x86_cpu *c, struct x86_desc *cs, bool call, unsigned size, uint64_t target)
{
	uint64_t sp = x86_sp(c);
	enum x86_rc rc = call ? push_in_new_mode(c, cs, size, &sp) : X86_OK;

	if (rc == X86_OK && !target_valid(c, cs, &target))
		rc = x86_fault_ec(c, VEC_GP, 0);
	if (rc == X86_OK)
		rc = x86_desc_accessed(c, cs);
	if (rc != X86_OK)
		return rc;
	set_cs(c, cs, c->cpl, target);
	if (call)
		x86_set_sp(c, sp);
	return X86_OK;
}

/* JMP and CALL straight to a code segment: never a change of ring. */
static enum x86_rc far_direct(
    struct x86_cpu *c, const struct x86_insn *i, struct far_target to, bool call, struct x86_desc *cs)
{
	unsigned dpl = x86_dpl(cs->attr), rpl = to.sel & 3;

	if (x86_depriv(c))
		rpl = 0; /* the shadow descriptor of this ring has DPL 3, and so has the CPU */
	if (x86_is_conforming(cs->attr) ? dpl > c->cpl : (rpl > c->cpl || dpl != c->cpl))
		return x86_fault_sel(c, VEC_GP, to.sel);
	if (!size_valid(c, cs))
		return x86_fault_sel(c, VEC_GP, to.sel);
	if (!(cs->attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, to.sel);
	return far_same_ring(c, cs, call, i->opsize, to.off);
}

/* Parameters of a call gate: read from the old stack before it is left. */
static enum x86_rc read_params(struct x86_cpu *c, unsigned count, unsigned size, uint64_t *params)
{
	uint64_t sp = x86_sp(c);
	enum x86_rc rc = X86_OK;

	for (unsigned n = 0; n < count && rc == X86_OK; n++)
		rc = x86_pop_tmp(c, &sp, size, &params[n]);
	return rc;
}

static enum x86_rc call_inner(
    struct x86_cpu *c, const struct x86_desc *g, struct x86_desc *cs, unsigned size, uint64_t target)
{
	unsigned cpl = x86_dpl(cs->attr), count = size == 8 ? 0 : g->count;
	uint64_t params[32], sp, old_sp = c->s.gpr[X86_RSP];
	struct x86_transfer t;
	struct x86_seg ss;
	enum x86_rc rc = x86_inner_stack(c, cpl, &ss, &sp);

	if (rc == X86_OK)
		rc = read_params(c, count, size, params);
	if (rc != X86_OK)
		return rc;
	x86_transfer_begin(c, &t);
	c->s.seg[X86_SS] = ss;
	c->s.seg[X86_CS] = x86_desc_seg(cs, (uint16_t)((cs->sel & 0xfffc) | cpl));
	c->s.seg[X86_CS].attr |= 1; /* accessed: in the table once everything is pushed */
	x86_mode_changed(c);
	c->s.gpr[X86_RSP] = sp;
	sp = x86_sp(c);
	rc = x86_push_tmp(c, &sp, size, t.ss.sel);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, &sp, size, old_sp);
	while (rc == X86_OK && count)
		rc = x86_push_tmp(c, &sp, size, params[--count]);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, &sp, size, t.cs.sel);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, &sp, size, c->s.rip);
	if (rc == X86_OK && !target_valid(c, cs, &target))
		rc = x86_fault_ec(c, VEC_GP, 0);
	if (rc == X86_OK)
		rc = x86_desc_accessed(c, cs);
	if (rc == X86_OK)
		rc = x86_seg_accessed(c, &ss);
	if (rc != X86_OK)
		return x86_transfer_abort(c, &t, rc, ss.sel);
	x86_set_sp(c, sp);
	c->s.rip = target;
	return X86_OK;
}

static enum x86_rc far_call_gate(struct x86_cpu *c, const struct x86_desc *g, bool call)
{
	unsigned type = x86_systype(g->attr), size = x86_lma(c) ? 8 : type == DESC_CALL32 ? 4 : 2;
	uint64_t target = size == 2 ? (uint16_t)g->offset : g->offset;
	struct x86_desc cs = {0};
	enum x86_rc rc;

	if (x86_dpl(g->attr) < c->cpl || (g->sel & 3u) > x86_dpl(g->attr) || g->malformed)
		return x86_fault_sel(c, VEC_GP, g->sel);
	if (!(g->attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, g->sel);
	if (x86_is_null(g->gate_sel))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_desc_read(c, g->gate_sel, VEC_GP, &cs);
	if (rc != X86_OK)
		return rc;
	if (!x86_is_code(cs.attr) || x86_dpl(cs.attr) > c->cpl ||
	    (!call && !x86_is_conforming(cs.attr) && x86_dpl(cs.attr) != c->cpl))
		return x86_fault_sel(c, VEC_GP, g->gate_sel);
	if (x86_lma(c) && (cs.attr & (SEG_L | SEG_DB)) != SEG_L)
		return x86_fault_sel(c, VEC_GP, g->gate_sel);
	if (!(cs.attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, g->gate_sel);
	if (call && !x86_is_conforming(cs.attr) && x86_dpl(cs.attr) < c->cpl)
		return call_inner(c, g, &cs, size, target); /* the stack is looked at before the target */
	return far_same_ring(c, &cs, call, size, target);
}

/* JMP or CALL to a TSS or a task gate. */
static enum x86_rc far_task(struct x86_cpu *c, const struct x86_insn *i, const struct x86_desc *d, bool call)
{
	enum x86_task_source source = call ? X86_TASK_CALL : X86_TASK_JMP;
	struct x86_desc tss = *d;
	unsigned type;
	enum x86_rc rc;

	if (x86_dpl(d->attr) < c->cpl || (d->sel & 3u) > x86_dpl(d->attr))
		return x86_fault_sel(c, VEC_GP, d->sel);
	if (x86_systype(d->attr) == DESC_TASK) {
		if (!(d->attr & SEG_P))
			return x86_fault_sel(c, VEC_NP, d->sel);
		if (d->gate_sel & 4)
			return x86_fault_sel(c, VEC_GP, d->gate_sel);
		rc = x86_desc_read(c, d->gate_sel, VEC_GP, &tss);
		if (rc != X86_OK)
			return rc;
	}
	type = x86_systype(tss.attr);
	if ((type != DESC_TSS16 && type != DESC_TSS32) || (tss.sel & 4))
		return x86_fault_sel(c, VEC_GP, tss.sel);
	if (!(tss.attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, tss.sel);
	rc = x86_check_tss_limit(c, &tss);
	if (rc != X86_OK)
		return rc;
	if (c->ctl && !(c->ctl->kernel & CTL_KERNEL_MISC))
		return x86_exit(c, EXIT_TASK_SWITCH, tss.sel | (uint64_t)source << 30, i->len);
	return x86_task_switch(c, tss.sel, source, c->s.rip, false, 0);
}

static enum x86_rc far_transfer(struct x86_cpu *c, const struct x86_insn *i, struct far_target to, bool call)
{
	struct x86_desc d = {0};
	enum x86_rc rc;

	if (c->mode < X86_MODE_PROT)
		return far_real(c, i, to, call);
	if (x86_is_null(to.sel))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_desc_read(c, to.sel, VEC_GP, &d);
	if (rc != X86_OK)
		return rc;
	if (x86_is_code(d.attr))
		return far_direct(c, i, to, call, &d);
	if (x86_depriv(c)) /* gates and tasks change rings: the VMM's descriptors do not offer them */
		return x86_fault_sel(c, VEC_GP, to.sel);
	switch (x86_systype(d.attr)) {
	case DESC_CALL32:
		return far_call_gate(c, &d, call);
	case DESC_CALL16:
		if (!x86_lma(c))
			return far_call_gate(c, &d, call);
		break;
	case DESC_TASK:
	case DESC_TSS16:
	case DESC_TSS32:
		if (!x86_lma(c))
			return far_task(c, i, &d, call);
		break;
	default:
		break;
	}
	return x86_fault_sel(c, VEC_GP, to.sel);
}

static enum x86_rc far_by_memory(struct x86_cpu *c, const struct x86_insn *i, bool call)
{
	uint64_t ea = x86_ea(c, i), off, sel;
	enum x86_rc rc = x86_load(c, i->seg, ea, i->opsize, &off);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_addr_mask(i->addrsize, ea + i->opsize), 2, &sel);
	if (rc != X86_OK)
		return rc;
	return far_transfer(c, i, (struct far_target){(uint16_t)sel, off}, call);
}

static enum x86_rc far_by_pointer(struct x86_cpu *c, const struct x86_insn *i, bool call)
{
	return far_transfer(c, i, (struct far_target){i->imm2, x86_addr_mask(i->opsize, i->imm)}, call);
}

enum x86_rc x86_op_call_far_ptr(struct x86_cpu *c, const struct x86_insn *i)
{
	return far_by_pointer(c, i, true);
}

enum x86_rc x86_op_call_far_mem(struct x86_cpu *c, const struct x86_insn *i)
{
	return far_by_memory(c, i, true);
}

enum x86_rc x86_op_jmp_far_ptr(struct x86_cpu *c, const struct x86_insn *i)
{
	return far_by_pointer(c, i, false);
}

enum x86_rc x86_op_jmp_far_mem(struct x86_cpu *c, const struct x86_insn *i)
{
	return far_by_memory(c, i, false);
}

/* --- RET ------------------------------------------------------------------------------------------------------- */

/* The upper one is read first: the order shows in the address of a page fault, and this is the processors'. */
enum x86_rc x86_pop_two(struct x86_cpu *c, uint64_t *sp, unsigned size, uint64_t *low, uint64_t *high)
{
	enum x86_rc rc = x86_load(c, X86_SS, x86_sp_add(c, *sp, size), size, high);

	if (rc == X86_OK)
		rc = x86_load(c, X86_SS, *sp, size, low);
	if (rc == X86_OK)
		*sp = x86_sp_add(c, *sp, 2 * (int64_t)size);
	return rc;
}

enum x86_rc x86_check_return_cs(struct x86_cpu *c, uint16_t *sel, struct x86_desc *cs)
{
	unsigned rpl;
	enum x86_rc rc;

	if (x86_is_null(*sel))
		return x86_fault_ec(c, VEC_GP, 0);
	if (x86_depriv(c)) { /* a return to another ring, or with the RPL of one, faults into the VMM */
		if ((*sel & 3) != 3)
			return x86_fault_sel(c, VEC_GP, *sel);
		*sel = (uint16_t)((*sel & 0xfffc) | c->cpl);
	}
	rpl = *sel & 3;
	rc = x86_desc_read(c, *sel, VEC_GP, cs);
	if (rc != X86_OK)
		return rc;
	if (!x86_is_code(cs->attr) || rpl < c->cpl || !size_valid(c, cs) ||
	    (x86_is_conforming(cs->attr) ? x86_dpl(cs->attr) > rpl : x86_dpl(cs->attr) != rpl))
		return x86_fault_sel(c, VEC_GP, *sel);
	return cs->attr & SEG_P ? X86_OK : x86_fault_sel(c, VEC_NP, *sel);
}

enum x86_rc x86_finish_return(struct x86_cpu *c, struct x86_desc *cs, const struct x86_seg *ss, uint64_t *off)
{
	enum x86_rc rc = target_valid(c, cs, off) ? X86_OK : x86_fault_ec(c, VEC_GP, 0);

	if (rc == X86_OK)
		rc = x86_desc_accessed(c, cs);
	return rc == X86_OK && ss ? x86_seg_accessed(c, ss) : rc;
}

/* SS of an outer ring (or of the same, IRET in 64-bit mode); null is allowed for 64-bit code below ring 3. */
enum x86_rc x86_check_return_ss(
    struct x86_cpu *c, uint16_t sel, unsigned cpl, const struct x86_desc *cs, struct x86_seg *ss)
{
	if (x86_is_null(sel) && x86_lma(c) && (cs->attr & SEG_L) && cpl != 3 && (sel & 3u) == cpl) {
		*ss = x86_null_seg(sel, cpl);
		return X86_OK;
	}
	return x86_check_ss(c, sel, cpl, VEC_GP, ss);
}

static enum x86_rc ret_real(struct x86_cpu *c, uint16_t sel, uint64_t off, uint64_t sp)
{
	if (off > c->s.seg[X86_CS].limit)
		return x86_fault_ec(c, VEC_GP, 0);
	x86_set_sp(c, sp);
	c->s.seg[X86_CS] = x86_real_seg(c, &c->s.seg[X86_CS], sel, true);
	c->s.rip = off;
	x86_mode_changed(c);
	return X86_OK;
}

static enum x86_rc ret_outer(
    struct x86_cpu *c, const struct x86_insn *i, struct x86_desc *cs, uint64_t off, uint64_t sp, uint16_t sel)
{
	unsigned cpl = sel & 3;
	uint64_t new_sp, new_ss;
	struct x86_seg ss;
	enum x86_rc rc;

	sp = x86_sp_add(c, sp, (int64_t)(uint16_t)i->imm);
	rc = x86_pop_two(c, &sp, i->opsize, &new_sp, &new_ss);
	if (rc == X86_OK)
		rc = x86_check_return_ss(c, (uint16_t)new_ss, cpl, cs, &ss);
	if (rc == X86_OK)
		rc = x86_finish_return(c, cs, &ss, &off);
	if (rc != X86_OK)
		return rc;
	c->s.seg[X86_SS] = ss;
	set_cs(c, cs, cpl, off);
	x86_set_sp(c, new_sp);
	x86_set_sp(c, x86_sp_add(c, x86_sp(c), (int64_t)(uint16_t)i->imm));
	x86_drop_inner_segs(c, cpl);
	x86_mode_changed(c);
	return X86_OK;
}

enum x86_rc x86_op_ret_far(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t at = x86_sp(c), sp = x86_sp_add(c, at, 2 * i->opsize), off, sel64;
	struct x86_desc cs = {0};
	uint16_t sel;
	/* The selector first, and of it only two bytes: what a fault reports (tests/oracle). */
	enum x86_rc rc = x86_load(c, X86_SS, x86_sp_add(c, at, i->opsize), 2, &sel64);

	if (rc == X86_OK)
		rc = x86_load(c, X86_SS, at, i->opsize, &off);
	if (rc != X86_OK)
		return rc;
	sel = (uint16_t)sel64;
	if (c->mode < X86_MODE_PROT)
		return ret_real(c, sel, off, x86_sp_add(c, sp, (int64_t)(uint16_t)i->imm));
	rc = x86_check_return_cs(c, &sel, &cs);
	if (rc != X86_OK)
		return rc;
	if ((sel & 3) > c->cpl)
		return ret_outer(c, i, &cs, off, sp, sel);
	rc = x86_finish_return(c, &cs, NULL, &off);
	if (rc != X86_OK)
		return rc;
	/* The parameters are dropped in the mode that is returned to. */
	x86_set_sp(c, sp);
	set_cs(c, &cs, c->cpl, off);
	x86_set_sp(c, x86_sp_add(c, x86_sp(c), (int64_t)(uint16_t)i->imm));
	return X86_OK;
}
