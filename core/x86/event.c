/*
 * Interrupts and exceptions: from a vector to the first instruction of the handler [SDM 3A "Interrupt and Exception
 * Handling"]. Concept: delivery is itself made of memory accesses and descriptor loads that can fault; the second fault
 * is merged with the first one, and a fault while #DF is delivered shuts the processor down.
 *
 * Read before: segment.c. Read after: far.c (the way back: IRET).
 */
#include "core/x86/event.h"

#include "core/x86/sys.h"

#define DR7_GD (1u << 13)

static bool is_software(const struct x86_event *ev)
{
	return ev->type == INTR_TYPE_SW_INT || ev->type == INTR_TYPE_SW_EXCEPTION ||
	       ev->type == INTR_TYPE_PRIV_SW_EXCEPTION;
}

/* INT n, INT3 and INTO obey the gate's DPL; INT1 and everything else does not. */
static bool checks_dpl(const struct x86_event *ev)
{
	return ev->type == INTR_TYPE_SW_INT || ev->type == INTR_TYPE_SW_EXCEPTION;
}

/* Fault-class exceptions save RF = 1, so that an instruction breakpoint does not hit twice. #DB is left alone: if it
 * is an instruction breakpoint the debugger sets RF itself. */
static uint64_t saved_flags(const struct x86_cpu *c, const struct x86_event *ev)
{
	bool fault =
	    ev->type == INTR_TYPE_HW_EXCEPTION && ev->vector != VEC_DB && ev->vector != VEC_DF && ev->vector != VEC_MC;

	return c->s.rflags | (fault ? FLAG_RF : 0);
}

static uint32_t idt_error(const struct x86_event *ev)
{
	return ev->vector * 8u + 2u;
}

static enum x86_rc deliver_real(struct x86_cpu *c, const struct x86_event *ev, uint64_t ret)
{
	uint64_t sp = x86_sp(c), entry;
	enum x86_rc rc;

	if (ev->vector * 4u + 3 > c->s.idtr.limit)
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_load_sys(c, (uint32_t)(c->s.idtr.base + ev->vector * 4u), 4, &entry);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, &sp, 2, saved_flags(c, ev));
	if (rc == X86_OK)
		rc = x86_push_tmp(c, &sp, 2, c->s.seg[X86_CS].sel);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, &sp, 2, ret);
	if (rc != X86_OK)
		return rc;
	if ((uint16_t)entry > c->s.seg[X86_CS].limit)
		return x86_fault_ec(c, VEC_GP, 0);
	x86_set_sp(c, sp);
	c->s.rflags &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
	c->s.seg[X86_CS] = x86_real_seg(c, &c->s.seg[X86_CS], (uint16_t)(entry >> 16), true);
	c->s.rip = (uint16_t)entry;
	return X86_OK;
}

static enum x86_rc read_gate(struct x86_cpu *c, const struct x86_event *ev, struct x86_desc *g)
{
	bool lma = x86_lma(c);
	uint32_t size = lma ? 16 : 8, at = ev->vector * size;
	gva_t la = c->s.idtr.base + at;
	uint64_t lo, hi = 0;
	unsigned type;
	enum x86_rc rc;

	if (at + size - 1 > c->s.idtr.limit)
		return x86_fault_ec(c, VEC_GP, idt_error(ev));
	rc = x86_load_sys(c, lma ? la : (uint32_t)la, 8, &lo);
	if (rc == X86_OK && lma)
		rc = x86_load_sys(c, la + 8, 8, &hi);
	if (rc != X86_OK)
		return rc;
	x86_desc_parse(lo, hi, lma, g);
	type = x86_systype(g->attr);
	if (type != DESC_INT32 && type != DESC_TRAP32 &&
	    (lma || (type != DESC_INT16 && type != DESC_TRAP16 && type != DESC_TASK)))
		return x86_fault_ec(c, VEC_GP, idt_error(ev));
	if (checks_dpl(ev) && x86_dpl(g->attr) < c->cpl)
		return x86_fault_ec(c, VEC_GP, idt_error(ev));
	if (!(g->attr & SEG_P))
		return x86_fault_ec(c, VEC_NP, idt_error(ev));
	return X86_OK;
}

static enum x86_rc read_handler_cs(struct x86_cpu *c, const struct x86_desc *g, struct x86_desc *cs)
{
	enum x86_rc rc;

	if (x86_is_null(g->gate_sel))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_desc_read(c, g->gate_sel, VEC_GP, cs);
	if (rc != X86_OK)
		return rc;
	if (!x86_is_code(cs->attr) || x86_dpl(cs->attr) > c->cpl)
		return x86_fault_sel(c, VEC_GP, g->gate_sel);
	if (x86_lma(c) && (cs->attr & (SEG_L | SEG_DB)) != SEG_L)
		return x86_fault_sel(c, VEC_GP, g->gate_sel);
	if (!(cs->attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, g->gate_sel);
	return X86_OK;
}

/* The stack of an inner ring from the TSS, 16- or 32-bit. */
static enum x86_rc stack_from_tss(struct x86_cpu *c, unsigned cpl, struct x86_seg *ss, uint64_t *sp)
{
	const struct x86_seg *tr = &c->s.tr;
	bool wide = (tr->attr & SEG_TYPE) >= DESC_TSS32;
	unsigned n = wide ? 4 : 2, at = wide ? 4 + cpl * 8 : 2 + cpl * 4;
	uint64_t sel;
	enum x86_rc rc;

	if (at + n + 1 > tr->limit)
		return x86_fault_sel(c, VEC_TS, tr->sel);
	rc = x86_load_sys(c, (uint32_t)(tr->base + at), n, sp);
	if (rc == X86_OK)
		rc = x86_load_sys(c, (uint32_t)(tr->base + at + n), 2, &sel);
	if (rc == X86_OK)
		rc = x86_check_ss(c, (uint16_t)sel, cpl, VEC_TS, ss);
	return rc;
}

/* IA-32e: RSP0-2 or IST1-7. */
static enum x86_rc rsp_from_tss(struct x86_cpu *c, unsigned slot, uint64_t *sp)
{
	if (slot * 8 + 4 + 7 > c->s.tr.limit)
		return x86_fault_sel(c, VEC_TS, c->s.tr.sel);
	return x86_load_sys(c, c->s.tr.base + slot * 8 + 4, 8, sp);
}

enum x86_rc x86_inner_stack(struct x86_cpu *c, unsigned cpl, struct x86_seg *ss, uint64_t *sp)
{
	if (!x86_lma(c))
		return stack_from_tss(c, cpl, ss, sp);
	*ss = x86_null_seg((uint16_t)cpl, cpl);
	return rsp_from_tss(c, cpl, sp);
}

struct frame {
	unsigned size; /* of one push */
	bool stack;    /* SS:SP is pushed */
	bool v86;      /* data segments too */
	uint64_t flags, ret;
};

static enum x86_rc push_frame(
    struct x86_cpu *c, const struct x86_transfer *t, const struct frame *f, const struct x86_event *ev, uint64_t *sp)
{
	static const uint8_t v86_segs[] = {X86_GS, X86_FS, X86_DS, X86_ES};
	enum x86_rc rc = X86_OK;

	for (unsigned n = 0; f->v86 && n < ARRAY_LEN(v86_segs) && rc == X86_OK; n++)
		rc = x86_push_tmp(c, sp, f->size, c->s.seg[v86_segs[n]].sel);
	if (f->stack && rc == X86_OK)
		rc = x86_push_tmp(c, sp, f->size, t->ss.sel);
	if (f->stack && rc == X86_OK)
		rc = x86_push_tmp(c, sp, f->size, t->rsp);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, sp, f->size, f->flags);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, sp, f->size, t->cs.sel);
	if (rc == X86_OK)
		rc = x86_push_tmp(c, sp, f->size, f->ret);
	if (rc == X86_OK && ev->has_error)
		rc = x86_push_tmp(c, sp, f->size, ev->error);
	return rc;
}

static bool target_valid(const struct x86_cpu *c, const struct x86_desc *cs, uint64_t rip)
{
	return x86_lma(c) && (cs->attr & SEG_L) ? x86_canonical(rip) : rip <= cs->limit;
}

static enum x86_rc through_gate(struct x86_cpu *c, const struct x86_event *ev, const struct x86_desc *g, uint64_t ret)
{
	unsigned type = x86_systype(g->attr), new_cpl;
	bool lma = x86_lma(c), v86 = c->mode == X86_MODE_V86, wide = type >= DESC_TSS32;
	struct x86_transfer t;
	struct x86_desc cs = {0};
	struct x86_seg ss = c->s.seg[X86_SS];
	struct frame f = {.size = lma ? 8 : wide ? 4 : 2, .flags = saved_flags(c, ev), .ret = ret};
	uint64_t sp = c->s.gpr[X86_RSP], target = wide ? g->offset : (uint16_t)g->offset;
	enum x86_rc rc = read_handler_cs(c, g, &cs);

	if (rc != X86_OK)
		return rc;
	new_cpl = x86_is_conforming(cs.attr) ? c->cpl : x86_dpl(cs.attr);
	if (v86 && new_cpl != 0)
		return x86_fault_sel(c, VEC_GP, cs.sel);
	f.stack = new_cpl < c->cpl || lma;
	f.v86 = v86;
	if (lma && g->count & 7)
		rc = rsp_from_tss(c, (g->count & 7u) + 3, &sp);
	else if (new_cpl < c->cpl)
		rc = x86_inner_stack(c, new_cpl, &ss, &sp);
	if (rc != X86_OK)
		return rc;
	if (lma) {
		if (new_cpl < c->cpl)
			ss = x86_null_seg((uint16_t)new_cpl, new_cpl);
		sp &= ~15ull;
	}
	if (!target_valid(c, &cs, target))
		return x86_fault_ec(c, VEC_GP, 0);
	x86_transfer_begin(c, &t);
	c->s.seg[X86_CS] = x86_desc_seg(&cs, (uint16_t)((cs.sel & 0xfffc) | new_cpl));
	c->s.seg[X86_CS].attr |= 1; /* accessed: in the table once the frame is pushed */
	c->s.seg[X86_SS] = ss;
	c->s.rflags &= ~(uint64_t)FLAG_VM;
	x86_mode_changed(c);
	c->s.gpr[X86_RSP] = sp;
	sp = x86_sp(c);
	rc = push_frame(c, &t, &f, ev, &sp);
	if (rc == X86_OK)
		rc = x86_desc_accessed(c, &cs);
	if (rc == X86_OK && new_cpl < t.cpl)
		rc = x86_seg_accessed(c, &ss);
	if (rc != X86_OK)
		return x86_transfer_abort(c, &t, rc, new_cpl < t.cpl ? ss.sel : 0);
	x86_set_sp(c, sp);
	c->s.rflags &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
	if (type == DESC_INT16 || type == DESC_INT32)
		c->s.rflags &= ~(uint64_t)FLAG_IF;
	for (unsigned n = 0; v86 && n < X86_SREG_COUNT; n++)
		if (n != X86_CS && n != X86_SS)
			c->s.seg[n] = x86_null_seg(0, 0);
	c->s.rip = target;
	return X86_OK;
}

static enum x86_rc through_task_gate(
    struct x86_cpu *c, const struct x86_event *ev, const struct x86_desc *g, uint64_t ret)
{
	struct x86_desc tss;
	enum x86_rc rc;

	if (g->gate_sel & 4)
		return x86_fault_sel(c, VEC_GP, g->gate_sel);
	rc = x86_desc_read(c, g->gate_sel, VEC_GP, &tss);
	if (rc != X86_OK)
		return rc;
	if (x86_systype(tss.attr) != DESC_TSS16 && x86_systype(tss.attr) != DESC_TSS32)
		return x86_fault_sel(c, VEC_GP, g->gate_sel);
	if (!(tss.attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, g->gate_sel);
	rc = x86_check_tss_limit(c, &tss);
	if (rc != X86_OK)
		return rc;
	if (c->ctl && !(c->ctl->kernel & CTL_KERNEL_MISC))
		return x86_exit(c, EXIT_TASK_SWITCH, g->gate_sel | (uint64_t)X86_TASK_GATE << 30, 0);
	return x86_task_switch(c, g->gate_sel, X86_TASK_GATE, ret, ev->has_error, ev->error);
}

/* One delivery. s.rip must be at the interrupted or causing instruction; ret is what the handler returns to. */
static enum x86_rc deliver_once(struct x86_cpu *c, const struct x86_event *ev, uint64_t ret)
{
	struct x86_desc g = {0};
	enum x86_rc rc;

	x86_flags_sync(c);
	c->ext = ev->type != INTR_TYPE_SW_INT && ev->type != INTR_TYPE_SW_EXCEPTION;
	/* What MOV SS held back comes before the first instruction of the handler of INT n or INT3; other events drop
	 * it. What the pushes of the delivery meet comes there in any case. */
	if (c->ext)
		c->s.pending_dbg = 0;
	if (ev->type == INTR_TYPE_SW_INT && c->mode == X86_MODE_V86 && (c->s.rflags & FLAG_IOPL) != FLAG_IOPL &&
	    !x86_depriv(c)) {
		rc = x86_fault_ec(c, VEC_GP, 0); /* one that a VMM injects is checked as well */
	} else if (c->mode == X86_MODE_REAL) {
		rc = deliver_real(c, ev, ret);
	} else {
		rc = read_gate(c, ev, &g);
		if (rc == X86_OK)
			rc = x86_systype(g.attr) == DESC_TASK ? through_task_gate(c, ev, &g, ret)
							      : through_gate(c, ev, &g, ret);
	}
	c->ext = 0;
	if (ev->type == INTR_TYPE_NMI) /* also when its delivery meets a fault */
		c->s.intr_shadow |= INTR_SHADOW_NMI;
	if (rc == X86_OK) {
		c->s.intr_shadow &= ~(INTR_SHADOW_STI | INTR_SHADOW_MOVSS);
		c->dbg.no_trap = true;
		x86_mode_changed(c);
	}
	return rc;
}

/* --- Merging --------------------------------------------------------------------------------------------------- */

enum fault_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE };

static enum fault_class class_of(const struct x86_event *ev)
{
	if (ev->type != INTR_TYPE_HW_EXCEPTION)
		return CLASS_BENIGN;
	switch (ev->vector) {
	case VEC_DE:
	case VEC_TS:
	case VEC_NP:
	case VEC_SS:
	case VEC_GP:
		return CLASS_CONTRIBUTORY;
	case VEC_PF:
		return CLASS_PAGE_FAULT;
	case VEC_DF:
		return CLASS_DOUBLE;
	default:
		return CLASS_BENIGN;
	}
}

enum x86_merge x86_merge_faults(const struct x86_event *first, const struct x86_event *second)
{
	enum fault_class a = class_of(first), b = class_of(second);

	if (a == CLASS_DOUBLE && b != CLASS_BENIGN)
		return X86_MERGE_SHUTDOWN;
	if ((a == CLASS_CONTRIBUTORY && b == CLASS_CONTRIBUTORY) ||
	    (a == CLASS_PAGE_FAULT && (b == CLASS_CONTRIBUTORY || b == CLASS_PAGE_FAULT)))
		return X86_MERGE_DOUBLE;
	return X86_MERGE_SECOND;
}

/* --- Exits ----------------------------------------------------------------------------------------------------- */

static uint32_t info_of(const struct x86_event *ev)
{
	return INTR_INFO_VALID | ev->vector | (uint32_t)ev->type << INTR_INFO_TYPE_SHIFT |
	       (ev->has_error ? INTR_INFO_ERROR : 0);
}

static void note_vectoring(struct x86_cpu *c, const struct x86_event *first)
{
	c->exit->idt_info = info_of(first);
	c->exit->idt_error = first->has_error ? first->error : 0;
	if (is_software(first))
		c->exit->insn_len = first->insn_len;
}

/* The exception bitmap; for #PF with mask and match [SDM 3C "Exception Bitmap"]. Under trap-and-emulate the VMM owns
 * the IDT: everything that the guest raises comes to it first. */
static bool event_exits(const struct x86_cpu *c, const struct x86_event *ev)
{
	bool bit, match;

	if (!c->ctl || ev->type == INTR_TYPE_EXTERNAL || ev->type == INTR_TYPE_NMI)
		return false;
	if (c->ctl->ring != RING_HW)
		return true;
	if (ev->type == INTR_TYPE_SW_INT)
		return false;
	bit = c->ctl->exceptions >> (ev->vector & 31) & 1;
	if (ev->vector != VEC_PF)
		return bit;
	match = (ev->error & c->ctl->pf_mask) == c->ctl->pf_match;
	return match == bit;
}

static enum x86_rc event_exit(struct x86_cpu *c, const struct x86_event *ev, const struct x86_event *first)
{
	uint64_t qual = ev->vector == VEC_PF ? ev->cr2 : ev->vector == VEC_DB ? ev->dr6 : 0;

	if (ev->type != INTR_TYPE_HW_EXCEPTION)
		qual = 0;
	x86_exit(c, EXIT_EXCEPTION_NMI, qual, 0);
	if (is_software(ev))
		c->exit->insn_len = ev->insn_len;
	c->exit->intr_info = info_of(ev);
	c->exit->intr_error = ev->has_error ? ev->error : 0;
	if (first)
		note_vectoring(c, first);
	return X86_EXIT;
}

/* What an exception changes before its handler runs: CR2, DR6, DR7.GD. Not done when it exits. */
static void note_fault_registers(struct x86_cpu *c, const struct x86_event *ev, bool injected)
{
	if (ev->type != INTR_TYPE_HW_EXCEPTION && ev->type != INTR_TYPE_PRIV_SW_EXCEPTION)
		return;
	if (ev->vector == VEC_PF && !injected)
		c->s.cr2 = ev->cr2;
	if (ev->vector == VEC_DB) {
		if (injected)
			return; /* DR6 and DR7 are the VMM's to set */
		c->s.dr6 = x86_dr6_with(c->s.dr6, ev->dr6);
		c->s.dr7 &= ~(uint64_t)DR7_GD;
	}
}

static uint64_t return_address(const struct x86_cpu *c, const struct x86_event *ev)
{
	return is_software(ev) ? (c->s.rip + ev->insn_len) & c->ip_mask : c->s.rip;
}

static enum x86_rc shutdown(struct x86_cpu *c)
{
	return x86_exit(c, EXIT_TRIPLE_FAULT, 0, 0);
}

/*
 * A delivery may raise a fault whose delivery raises the same one, #AC on a user stack for instance: benign exceptions
 * never become a double fault, and a processor goes on with them for ever. No instruction retires meanwhile, so the VMM
 * gets control, as at the end of its time slice, and the next entry goes on with the event.
 */
#define CHAIN_MAX 64u

static enum x86_rc leave_chain(struct x86_cpu *c, const struct x86_event *ev)
{
	c->s.pending_event = info_of(ev);
	c->s.pending_error = ev->has_error ? ev->error : 0;
	c->s.pending_len = ev->insn_len;
	return x86_exit(
	    c, c->ctl && (c->ctl->kernel & CTL_KERNEL_TIMER) ? EXIT_VMM_TIMER : EXIT_PREEMPTION_TIMER, 0, 0);
}

/* Delivers ev and whatever its delivery leads to. injected: ev itself may not exit. first: ev was met while this was
 * being delivered (NULL: nothing was). */
static enum x86_rc deliver_all(
    struct x86_cpu *c, const struct x86_event *ev, bool injected, const struct x86_event *first)
{
	struct x86_event cur = *ev, prior;
	bool have_prior = first != NULL;
	uint64_t held = c->s.pending_dbg;
	bool of_iret = c->iret_faulted;
	unsigned rounds = 0;

	c->iret_faulted = false;

	if (have_prior)
		prior = *first;
	for (;;) {
		enum x86_rc rc;

		if (!injected && event_exits(c, &cur))
			return event_exit(c, &cur, have_prior ? &prior : NULL);
		if (of_iret)
			x86_iret_faulted(c);
		of_iret = false;
		note_fault_registers(c, &cur, injected);
		injected = false;
		if (have_prior) {
			switch (x86_merge_faults(&prior, &cur)) {
			case X86_MERGE_SHUTDOWN:
				return shutdown(c);
			case X86_MERGE_DOUBLE:
				cur = (struct x86_event){
				    .vector = VEC_DF, .type = INTR_TYPE_HW_EXCEPTION, .has_error = 1};
				if (event_exits(c, &cur)) /* not reported as met during a delivery */
					return event_exit(c, &cur, NULL);
				break;
			case X86_MERGE_SECOND:
				break;
			}
		}
		if (++rounds > CHAIN_MAX)
			return leave_chain(c, &cur);
		rc = deliver_once(c, &cur, return_address(c, &cur));
		if (rc != X86_OK) /* data breakpoints that a delivery met which did not complete */
			c->s.pending_dbg = held;
		if (rc == X86_EXIT)
			note_vectoring(c, &cur);
		if (rc != X86_FAULT)
			return rc;
		prior = cur;
		have_prior = true;
		cur = c->fault;
	}
}

enum x86_rc x86_deliver(struct x86_cpu *c, const struct x86_event *ev)
{
	struct x86_event first = c->vectoring;
	bool have_first = c->vectoring_valid;

	c->vectoring_valid = false;
	return deliver_all(c, ev, false, have_first ? &first : NULL);
}

enum x86_rc x86_inject(struct x86_cpu *c, const struct x86_event *ev)
{
	c->vectoring_valid = false;
	return deliver_all(c, ev, true, NULL);
}

enum x86_rc x86_inject_pending(struct x86_cpu *c)
{
	uint32_t info = c->s.pending_event;
	struct x86_event ev = {.vector = (uint8_t)info,
	    .type = (uint8_t)(info >> INTR_INFO_TYPE_SHIFT & 7),
	    .has_error = (info & INTR_INFO_ERROR) != 0,
	    .error = c->s.pending_error,
	    .insn_len = (uint8_t)c->s.pending_len,
	    .cr2 = c->s.cr2};

	c->s.pending_event = 0;
	return x86_inject(c, &ev);
}

enum x86_rc x86_software_event(struct x86_cpu *c, uint8_t vector, uint8_t type, unsigned len)
{
	struct x86_event ev = {.vector = vector, .type = type, .insn_len = (uint8_t)len};
	uint64_t next = c->s.rip;
	enum x86_rc rc;

	c->s.rip = (next - len) & c->ip_mask;
	if (event_exits(c, &ev)) {
		rc = event_exit(c, &ev, NULL);
	} else {
		if (type == INTR_TYPE_PRIV_SW_EXCEPTION)
			note_fault_registers(c, &ev, false);
		uint64_t rf = c->s.rflags & FLAG_RF;

		c->s.rflags &= ~(uint64_t)FLAG_RF; /* it has served: the instruction is about to be complete */
		rc = deliver_once(c, &ev, next);
		if (rc != X86_OK)
			c->s.rflags |= rf;
		if (rc == X86_EXIT)
			note_vectoring(c, &ev);
	}
	if (rc == X86_FAULT) {
		c->vectoring = ev;
		c->vectoring_valid = true;
	}
	if (rc != X86_OK)
		c->s.rip = next; /* as the runner's convention wants it */
	return rc;
}
