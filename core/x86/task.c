/*
 * Task switches [SDM 3A "Task Management"]: JMP, CALL and IRET to a TSS, and task gates. Concept: the one place where
 * the processor itself does what every kernel does in software: save all registers here, load all registers there. VMX
 * does not do it either: every task switch exits, and the VMM performs it, with this very function.
 *
 * There is a point of no return. Up to it, faults belong to the old task and nothing has changed; after it, they belong
 * to the new one, whose registers are loaded, and are delivered in it at once.
 */
#include "core/x86/event.h"
#include "core/x86/flags.h"
#include "core/x86/paging.h"
#include "core/x86/sys.h"

enum { TSS_REGS = 8, TSS_SEGS = 6 };

/* In the order of the TSS. */
static const uint8_t seg_order[TSS_SEGS] = {X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS};

struct layout {
	uint8_t size, cr3, ip, flags, regs, segs, n_segs, seg_stride, ldt, trap;
	uint32_t min_limit;
};

static const struct layout layout16 = {.size = 2,
    .ip = 0x0e,
    .flags = 0x10,
    .regs = 0x12,
    .segs = 0x22,
    .n_segs = 4,
    .seg_stride = 2,
    .ldt = 0x2a,
    .min_limit = 0x2b};
static const struct layout layout32 = {.size = 4,
    .cr3 = 0x1c,
    .ip = 0x20,
    .flags = 0x24,
    .regs = 0x28,
    .segs = 0x48,
    .n_segs = 6,
    .seg_stride = 4,
    .ldt = 0x60,
    .trap = 0x64,
    .min_limit = 0x67};

struct image {
	uint64_t cr3, ip, flags, regs[TSS_REGS], segs[TSS_SEGS], ldt, trap;
};

static const struct layout *layout_of(uint32_t attr)
{
	return (attr & SEG_TYPE) >= DESC_TSS32 ? &layout32 : &layout16;
}

static enum x86_rc read_image(struct x86_cpu *c, uint32_t base, const struct layout *l, struct image *m)
{
	enum x86_rc rc = X86_OK;

	*m = (struct image){0};
	if (l->cr3)
		rc = x86_load_sys(c, base + l->cr3, 4, &m->cr3);
	if (rc == X86_OK)
		rc = x86_load_sys(c, base + l->ip, l->size, &m->ip);
	if (rc == X86_OK)
		rc = x86_load_sys(c, base + l->flags, l->size, &m->flags);
	for (unsigned n = 0; n < TSS_REGS && rc == X86_OK; n++)
		rc = x86_load_sys(c, base + l->regs + n * l->size, l->size, &m->regs[n]);
	for (unsigned n = 0; n < l->n_segs && rc == X86_OK; n++)
		rc = x86_load_sys(c, base + l->segs + n * l->seg_stride, 2, &m->segs[n]);
	if (rc == X86_OK)
		rc = x86_load_sys(c, base + l->ldt, 2, &m->ldt);
	if (rc == X86_OK && l->trap)
		rc = x86_load_sys(c, base + l->trap, 2, &m->trap);
	m->trap &= 1;
	return rc;
}

/* Only the dynamic fields; both pages were probed before, so this cannot fault. */
static enum x86_rc save_image(struct x86_cpu *c, uint32_t base, const struct layout *l, uint64_t ip, uint64_t flags)
{
	enum x86_rc rc = x86_store_sys(c, base + l->ip, l->size, ip);

	if (rc == X86_OK)
		rc = x86_store_sys(c, base + l->flags, l->size, flags);
	for (unsigned n = 0; n < TSS_REGS && rc == X86_OK; n++)
		rc = x86_store_sys(c, base + l->regs + n * l->size, l->size, c->s.gpr[n]);
	for (unsigned n = 0; n < l->n_segs && rc == X86_OK; n++)
		rc = x86_store_sys(c, base + l->segs + n * l->seg_stride, 2, c->s.seg[seg_order[n]].sel);
	return rc;
}

enum x86_rc x86_check_tss_limit(struct x86_cpu *c, const struct x86_desc *d)
{
	return d->limit < layout_of(d->attr)->min_limit ? x86_fault_sel(c, VEC_TS, d->sel) : X86_OK;
}

static enum x86_rc check_new_tss(
    struct x86_cpu *c, uint16_t sel, enum x86_task_source source, struct x86_desc *d, const struct layout **l)
{
	uint8_t bad = source == X86_TASK_IRET ? VEC_TS : VEC_GP;
	unsigned type;
	enum x86_rc rc;

	if (sel & 4 || x86_is_null(sel))
		return x86_fault_sel(c, bad, sel);
	rc = x86_desc_read(c, sel, bad, d);
	if (rc != X86_OK)
		return rc;
	type = x86_systype(d->attr);
	if (source == X86_TASK_IRET ? type != DESC_TSS16_BUSY && type != DESC_TSS32_BUSY
				    : type != DESC_TSS16 && type != DESC_TSS32)
		return x86_fault_sel(c, bad, sel);
	if (!(d->attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, sel);
	*l = layout_of(d->attr);
	return x86_check_tss_limit(c, d);
}

/* --- In the new task ------------------------------------------------------------------------------------------- */

static enum x86_rc load_new_ldt(struct x86_cpu *c, uint16_t sel)
{
	struct x86_desc d = {0};
	enum x86_rc rc;

	c->s.ldtr = x86_null_seg(sel, 0);
	if (x86_is_null(sel))
		return X86_OK;
	if (sel & 4)
		return x86_fault_sel(c, VEC_TS, sel);
	rc = x86_desc_read(c, sel, VEC_TS, &d);
	if (rc != X86_OK)
		return rc;
	if (x86_systype(d.attr) != DESC_LDT || !(d.attr & SEG_P))
		return x86_fault_sel(c, VEC_TS, sel);
	c->s.ldtr = x86_desc_seg(&d, sel);
	return X86_OK;
}

static enum x86_rc load_new_cs(struct x86_cpu *c, uint16_t sel)
{
	unsigned rpl = sel & 3;
	struct x86_desc d = {0};
	enum x86_rc rc;

	if (x86_is_null(sel))
		return x86_fault_sel(c, VEC_TS, sel);
	rc = x86_desc_read(c, sel, VEC_TS, &d);
	if (rc != X86_OK)
		return rc;
	if (!x86_is_code(d.attr) || (x86_is_conforming(d.attr) ? x86_dpl(d.attr) > rpl : x86_dpl(d.attr) != rpl))
		return x86_fault_sel(c, VEC_TS, sel);
	if (!(d.attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, sel);
	rc = x86_desc_accessed(c, &d);
	if (rc == X86_OK)
		c->s.seg[X86_CS] = x86_desc_seg(&d, sel);
	return rc;
}

static enum x86_rc load_new_data(struct x86_cpu *c, unsigned sreg, uint16_t sel)
{
	enum x86_rc rc = x86_load_sreg(c, sreg, sel);

	if (rc == X86_FAULT && c->fault.vector == VEC_GP)
		c->fault.vector = VEC_TS;
	return rc;
}

static enum x86_rc load_new_segments(struct x86_cpu *c, const struct image *m)
{
	unsigned cpl = m->segs[1] & 3;
	struct x86_seg ss;
	enum x86_rc rc = load_new_ldt(c, (uint16_t)m->ldt);

	if (rc != X86_OK)
		return rc;
	if (c->s.rflags & FLAG_VM) {
		c->mode = X86_MODE_V86;
		for (unsigned n = 0; n < TSS_SEGS; n++)
			c->s.seg[seg_order[n]] = x86_real_seg(c, NULL, (uint16_t)m->segs[n], seg_order[n] == X86_CS);
		x86_mode_changed(c);
		return X86_OK;
	}
	rc = load_new_cs(c, (uint16_t)m->segs[1]);
	if (rc == X86_OK)
		rc = x86_check_ss(c, (uint16_t)m->segs[2], cpl, VEC_TS, &ss);
	if (rc == X86_OK)
		rc = x86_seg_accessed(c, &ss);
	if (rc != X86_OK)
		return rc;
	c->s.seg[X86_SS] = ss;
	x86_mode_changed(c);
	for (unsigned n = 3; n < TSS_SEGS + 1 && rc == X86_OK; n++) {
		unsigned k = n == TSS_SEGS ? 0 : n; /* DS, FS, GS, then ES */

		rc = load_new_data(c, seg_order[k], (uint16_t)m->segs[k]);
	}
	return rc;
}

static void load_registers(struct x86_cpu *c, const struct image *m, const struct layout *l, uint64_t flags)
{
	for (unsigned n = 0; n < TSS_REGS; n++)
		c->s.gpr[n] = l->size == 4 ? (uint32_t)m->regs[n] : m->regs[n] | 0xffff0000u;
	for (unsigned n = 0; n < TSS_SEGS; n++)
		c->s.seg[seg_order[n]] = x86_null_seg((uint16_t)m->segs[n], 0);
	c->s.seg[X86_SS].attr |= (m->segs[1] & 3u) << SEG_DPL_SHIFT;
	c->s.seg[X86_CS].attr |= l->size == 4 ? SEG_DB : 0;
	c->s.rip = m->ip;
	x86_flags_write(c, (flags & 0x3f7fd5u) | FLAG_R1);
	c->dbg.keep_rf = true;
}

static enum x86_rc switch_page_tables(struct x86_cpu *c, uint64_t cr3)
{
	uint64_t pdptes[4];

	if (!(c->s.cr0 & CR0_PG))
		return X86_OK;
	if (c->s.cr4 & CR4_PAE) {
		enum x86_rc rc = x86_read_pdptes(c, cr3, pdptes);

		if (rc != X86_OK)
			return rc == X86_FAULT ? x86_fault_ec(c, VEC_TS, c->s.tr.sel & 0xfffcu) : rc;
		memcpy(c->s.pdpte, pdptes, sizeof pdptes);
	}
	c->s.cr3 = cr3;
	x86_tlb_flush_local(c);
	x86_paging_settled(c);
	return X86_OK;
}

static enum x86_rc enter(
    struct x86_cpu *c, const struct image *m, const struct layout *l, bool has_error, uint32_t error)
{
	enum x86_rc rc = l->cr3 ? switch_page_tables(c, m->cr3) : X86_OK;

	if (rc == X86_OK)
		rc = load_new_segments(c, m);
	if (rc == X86_OK && c->s.rip > c->s.seg[X86_CS].limit)
		rc = x86_fault_ec(c, VEC_GP, 0);
	if (rc == X86_OK && has_error)
		rc = x86_push(c, l->size, error);
	if (rc == X86_OK && m->trap) {
		x86_fault(c, VEC_DB);
		c->fault.dr6 = 1u << 15;
		rc = X86_FAULT;
	}
	return rc;
}

enum x86_rc x86_task_switch(struct x86_cpu *c, uint16_t selector, enum x86_task_source source, uint64_t next_rip,
    bool has_error, uint32_t error)
{
	bool nests = source == X86_TASK_CALL || source == X86_TASK_GATE;
	const struct layout *old_l = layout_of(c->s.tr.attr), *new_l = old_l;
	uint32_t old_base = (uint32_t)c->s.tr.base;
	uint64_t flags, new_flags;
	struct x86_desc d = {0}, old = {.sel = c->s.tr.sel, .at = c->s.gdtr.base + (c->s.tr.sel & 0xfff8u)};
	struct image m;
	enum x86_rc rc = check_new_tss(c, selector, source, &d, &new_l);

	if (rc == X86_OK)
		rc = read_image(c, (uint32_t)d.base, new_l, &m);
	if (rc == X86_OK && c->s.tr.limit < old_l->min_limit)
		rc = x86_fault_sel(c, VEC_TS, c->s.tr.sel);
	if (rc == X86_OK)
		rc = x86_lin_probe(c, old_base, old_l->min_limit, X86_PRIV_IMPLICIT, X86_ACCESS_WRITE);
	if (rc == X86_OK && nests)
		rc = x86_lin_probe(c, (uint32_t)d.base, 2, X86_PRIV_IMPLICIT, X86_ACCESS_WRITE);
	if (rc == X86_OK)
		rc = x86_lin_probe(c, (uint32_t)d.at, 8, X86_PRIV_IMPLICIT, X86_ACCESS_WRITE);
	if (rc != X86_OK)
		return rc;

	x86_flags_sync(c);
	flags = c->s.rflags & (source == X86_TASK_IRET ? ~(uint64_t)FLAG_NT : ~0ull);
	rc = save_image(c, old_base, old_l, next_rip, flags);
	if (rc == X86_OK && !nests)
		rc = x86_desc_busy(c, &old, false);
	if (rc == X86_OK && nests)
		rc = x86_store_sys(c, (uint32_t)d.base, 2, c->s.tr.sel);
	if (rc == X86_OK && source != X86_TASK_IRET)
		rc = x86_desc_busy(c, &d, true);
	if (rc != X86_OK)
		return rc;

	/* The point of no return. */
	new_flags = m.flags | (nests ? FLAG_NT : 0);
	c->s.tr = x86_desc_seg(&d, selector);
	c->s.tr.attr |= 2;
	c->s.cr0 |= CR0_TS;
	c->s.dr7 &= ~0x155ull;
	load_registers(c, &m, new_l, new_flags);
	x86_state_changed(c);
	rc = enter(c, &m, new_l, has_error, error);
	c->block_end = true;
	c->dbg.no_trap = true;
	return rc == X86_FAULT ? x86_deliver(c, &c->fault) : rc;
}
