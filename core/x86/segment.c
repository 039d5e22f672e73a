/*
 * Descriptors: read, check, load. Concept: a segment register has a visible selector and a hidden copy of the
 * descriptor; protection is checked when the copy is made, not at each access.
 *
 * Read before: access.h. Read after: far.c.
 */
#include "core/x86/segment.h"

enum x86_rc x86_fault_sel(struct x86_cpu *c, uint8_t vector, uint16_t sel)
{
	return x86_fault_ec(c, vector, sel & 0xfffcu);
}

void x86_desc_parse(uint64_t lo8, uint64_t hi8, bool wide, struct x86_desc *d)
{
	uint32_t lo = (uint32_t)lo8, hi = (uint32_t)(lo8 >> 32);

	d->attr = hi >> 8 & 0xf0ff;
	d->limit = (lo & 0xffff) | (hi & 0xf0000);
	if (hi & 1u << 23)
		d->limit = d->limit << 12 | 0xfff;
	d->base = lo >> 16 | (hi & 0xff) << 16 | (hi & 0xff000000u);
	d->gate_sel = (uint16_t)(lo >> 16);
	d->offset = (lo & 0xffff) | (hi & 0xffff0000u);
	d->count = hi & 0x1f;
	d->malformed = false;
	if (wide && !(d->attr & SEG_S)) {
		d->base |= hi8 << 32;
		d->offset |= hi8 << 32;
		d->malformed = (hi8 >> 40 & 0x1f) != 0;
	}
}

enum x86_rc x86_desc_read(struct x86_cpu *c, uint16_t sel, uint8_t vector, struct x86_desc *d)
{
	bool in_ldt = sel & 4;
	uint64_t base = in_ldt ? c->s.ldtr.base : c->s.gdtr.base, lo, hi = 0;
	uint32_t limit = in_ldt ? c->s.ldtr.limit : c->s.gdtr.limit, at = sel & 0xfff8u;
	enum x86_rc rc;

	if ((in_ldt && (c->s.ldtr.attr & SEG_UNUSABLE)) || at + 7 > limit)
		return x86_fault_sel(c, vector, sel);
	d->sel = sel;
	d->at = base + at;
	if (!x86_lma(c))
		d->at = (uint32_t)d->at;
	rc = x86_load_sys(c, d->at, 8, &lo);
	if (rc != X86_OK)
		return rc;
	if (x86_lma(c) && !(lo >> 44 & 1)) {
		if (at + 15 > limit)
			return x86_fault_sel(c, vector, sel);
		rc = x86_load_sys(c, d->at + 8, 8, &hi);
		if (rc != X86_OK)
			return rc;
	}
	x86_desc_parse(lo, hi, x86_lma(c), d);
	return X86_OK;
}

static enum x86_rc set_type_bit(struct x86_cpu *c, const struct x86_desc *d, unsigned bit, bool on)
{
	uint64_t access;
	enum x86_rc rc = x86_load_sys(c, d->at + 5, 1, &access);

	if (rc != X86_OK)
		return rc;
	return x86_store_sys(c, d->at + 5, 1, on ? access | bit : access & ~(uint64_t)bit);
}

enum x86_rc x86_desc_accessed(struct x86_cpu *c, struct x86_desc *d)
{
	enum x86_rc rc;

	if (d->attr & 1)
		return X86_OK;
	rc = set_type_bit(c, d, 1, true);
	if (rc == X86_OK)
		d->attr |= 1;
	return rc;
}

enum x86_rc x86_seg_accessed(struct x86_cpu *c, const struct x86_seg *s)
{
	struct x86_desc d = {.at = (s->sel & 4 ? c->s.ldtr.base : c->s.gdtr.base) + (s->sel & 0xfff8u)};
	uint64_t access;
	enum x86_rc rc;

	if (s->attr & SEG_UNUSABLE)
		return X86_OK;
	if (!x86_lma(c))
		d.at = (uint32_t)d.at;
	rc = x86_load_sys(c, d.at + 5, 1, &access);
	if (rc != X86_OK)
		return rc;
	d.attr = (uint32_t)access;
	return x86_desc_accessed(c, &d);
}

enum x86_rc x86_desc_busy(struct x86_cpu *c, const struct x86_desc *d, bool busy)
{
	return set_type_bit(c, d, 2, busy);
}

struct x86_seg x86_desc_seg(const struct x86_desc *d, uint16_t sel)
{
	return (struct x86_seg){.base = d->base, .limit = d->limit, .attr = d->attr, .sel = sel};
}

struct x86_seg x86_null_seg(uint16_t sel, unsigned dpl)
{
	return (struct x86_seg){.attr = SEG_UNUSABLE | dpl << SEG_DPL_SHIFT, .sel = sel};
}

struct x86_seg x86_real_seg(const struct x86_cpu *c, const struct x86_seg *old, uint16_t sel, bool is_cs)
{
	struct x86_seg s = {.base = (uint64_t)sel << 4, .limit = 0xffff, .attr = 0xf3, .sel = sel};

	/* Real mode only replaces base and selector: a limit loaded in protected mode stays ("unreal mode"). */
	if (c->mode == X86_MODE_REAL) {
		s.limit = old->limit;
		s.attr = (old->attr & (SEG_DB | SEG_G)) | (is_cs ? 0x93u : (old->attr & SEG_TYPE) | 0x90u);
		if (old->attr & SEG_UNUSABLE) {
			s.limit = 0xffff;
			s.attr = 0x93;
		}
	}
	return s;
}

enum x86_rc x86_check_ss(struct x86_cpu *c, uint16_t sel, unsigned cpl, uint8_t bad, struct x86_seg *out)
{
	struct x86_desc d = {0};
	enum x86_rc rc;

	if (x86_is_null(sel))
		return x86_fault_ec(c, bad, bad == VEC_TS ? sel & 0xfffcu : 0);
	rc = x86_desc_read(c, sel, bad, &d);
	if (rc != X86_OK)
		return rc;
	if ((sel & 3u) != cpl || x86_dpl(d.attr) != cpl || (d.attr & (SEG_S | 0xa)) != (SEG_S | 0x2))
		return x86_fault_sel(c, bad, sel);
	if (!(d.attr & SEG_P))
		return x86_fault_sel(c, VEC_SS, sel);
	*out = x86_desc_seg(&d, sel);
	out->attr |= 1;
	return X86_OK;
}

static enum x86_rc load_ss(struct x86_cpu *c, uint16_t sel)
{
	struct x86_seg ss;
	enum x86_rc rc = X86_OK;

	if (x86_depriv(c)) { /* the shadow descriptor of this ring has DPL 3: another RPL faults into the VMM */
		if ((sel & 3) != 3 && !x86_is_null(sel))
			return x86_fault_sel(c, VEC_GP, sel);
		sel = (uint16_t)((sel & 0xfffc) | c->cpl);
	}
	if (x86_is_null(sel) && c->mode == X86_MODE_LONG64 && c->cpl != 3 && (sel & 3) == c->cpl)
		ss = x86_null_seg(sel, c->cpl);
	else
		rc = x86_check_ss(c, sel, c->cpl, VEC_GP, &ss);
	if (rc == X86_OK)
		rc = x86_seg_accessed(c, &ss);
	if (rc == X86_OK)
		c->s.seg[X86_SS] = ss;
	return rc;
}

static enum x86_rc load_data(struct x86_cpu *c, unsigned sreg, uint16_t sel)
{
	struct x86_desc d = {0};
	unsigned dpl, rpl = sel & 3;
	enum x86_rc rc;

	if (x86_is_null(sel)) {
		c->s.seg[sreg] = x86_null_seg(sel, 0);
		return X86_OK;
	}
	rc = x86_desc_read(c, sel, VEC_GP, &d);
	if (rc != X86_OK)
		return rc;
	dpl = x86_dpl(d.attr);
	if (!(d.attr & SEG_S) || (d.attr & 0xa) == 0x8)
		return x86_fault_sel(c, VEC_GP, sel);
	if (!x86_is_conforming(d.attr)) {
		if (x86_depriv(c) && c->cpl < 3) {
			rpl = c->cpl; /* as the shadow descriptor of this ring: DPL 3 */
		}
		if (rpl > dpl || c->cpl > dpl)
			return x86_fault_sel(c, VEC_GP, sel);
	}
	if (!(d.attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, sel);
	rc = x86_desc_accessed(c, &d);
	if (rc == X86_OK)
		c->s.seg[sreg] = x86_desc_seg(&d, sel);
	return rc;
}

enum x86_rc x86_load_sreg(struct x86_cpu *c, unsigned sreg, uint16_t sel)
{
	enum x86_rc rc = X86_OK;

	if (c->mode < X86_MODE_PROT)
		c->s.seg[sreg] = x86_real_seg(c, &c->s.seg[sreg], sel, false);
	else if (sreg == X86_SS)
		rc = load_ss(c, sel);
	else
		rc = load_data(c, sreg, sel);
	if (rc == X86_OK)
		x86_mode_changed(c);
	return rc;
}

void x86_drop_inner_segs(struct x86_cpu *c, unsigned cpl)
{
	static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned n = 0; n < ARRAY_LEN(data); n++) {
		struct x86_seg *s = &c->s.seg[data[n]];
		uint64_t base = data[n] == X86_FS || data[n] == X86_GS ? s->base : 0;

		/* A null selector loses its RPL, too: "SegmentSelector := 0" [SDM 2B "RET - Return From Procedure"]. The
		 * bases of FS and GS, which 64-bit code uses with null selectors, stay. */
		if ((s->attr & SEG_UNUSABLE) || (!x86_is_conforming(s->attr) && x86_dpl(s->attr) < cpl)) {
			*s = x86_null_seg(0, 0);
			s->base = base;
		}
	}
}

void x86_transfer_begin(struct x86_cpu *c, struct x86_transfer *t)
{
	x86_flags_sync(c);
	t->cpl = c->cpl;
	t->cs = c->s.seg[X86_CS];
	t->ss = c->s.seg[X86_SS];
	t->rsp = c->s.gpr[X86_RSP];
	t->rflags = c->s.rflags;
}

enum x86_rc x86_transfer_abort(struct x86_cpu *c, const struct x86_transfer *t, enum x86_rc rc, uint16_t new_ss)
{
	c->s.seg[X86_CS] = t->cs;
	c->s.seg[X86_SS] = t->ss;
	c->s.gpr[X86_RSP] = t->rsp;
	c->s.rflags = t->rflags;
	x86_mode_changed(c);
	if (rc == X86_FAULT && c->fault.vector == VEC_SS && !(c->fault.error & 0xfffc))
		c->fault.error |= new_ss & 0xfffcu;
	return rc;
}
