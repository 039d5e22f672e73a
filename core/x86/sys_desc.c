/*
 * Segment registers and descriptor tables as instructions see them: MOV, PUSH, POP, LDS; LGDT ... STR; LAR, LSL, VERR,
 * VERW, ARPL [SDM 2A, 2B]. Concept: many of these are sensitive and not privileged: they show where the kernel keeps
 * its tables, or at which CPL it really runs. That is why x86 was not virtualizable by trapping alone.
 */
#include "core/x86/exec.h"
#include "core/x86/intercept.h"
#include "core/x86/sys.h"

/* What the tables of a VMM look like to a guest kernel that really runs at CPL 3: those of a 64-bit Linux host. */
#define HOST_GDT_BASE 0xfffffe0000001000ull
#define HOST_GDT_LIMIT 0x7fu
#define HOST_IDT_BASE 0xfffffe0000000000ull
#define HOST_IDT_LIMIT 0xfffu
#define HOST_TR 0x40u
#define HOST_LDTR 0u

/* --- Segment registers ----------------------------------------------------------------------------------------- */

/* CS and SS show the RPL of the ring that the CPU is really in. */
static uint16_t visible_selector(const struct x86_cpu *c, unsigned sreg)
{
	uint16_t sel = c->s.seg[sreg].sel;

	if ((sreg == X86_CS || sreg == X86_SS) && c->mode >= X86_MODE_PROT && x86_depriv(c))
		sel |= 3;
	return sel;
}

static void stack_shadow(struct x86_cpu *c, unsigned sreg)
{
	if (sreg == X86_SS)
		c->s.intr_shadow |= INTR_SHADOW_MOVSS;
}

enum x86_rc x86_op_mov_to_sreg(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t sel;
	enum x86_rc rc = X86_OK;

	if (i->flags & INSN_MEM)
		rc = x86_load(c, i->seg, x86_ea(c, i), 2, &sel);
	else
		sel = x86_reg(c, 2, i->rm);
	if (rc == X86_OK)
		rc = x86_load_sreg(c, i->reg, (uint16_t)sel);
	if (rc == X86_OK)
		stack_shadow(c, i->reg);
	return rc;
}

enum x86_rc x86_op_mov_from_sreg(struct x86_cpu *c, const struct x86_insn *i)
{
	uint16_t sel = visible_selector(c, i->reg);

	if (i->flags & INSN_MEM)
		return x86_store(c, i->seg, x86_ea(c, i), 2, sel);
	x86_reg_set(c, i->opsize, i->rm, sel);
	return X86_OK;
}

enum x86_rc x86_op_push_sreg(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t sp = x86_sp_add(c, x86_sp(c), -(int64_t)i->opsize);
	/* "All recent Intel Core and Intel Atom processors perform a 16-bit move, leaving the upper portion of the
	 * stack location unmodified" when the operand size is 32 bits [SDM 2B "PUSH - Push Word, Doubleword, or
	 * Quadword Onto the Stack"]. */
	enum x86_rc rc = x86_store(c, X86_SS, sp, i->opsize == 4 ? 2 : i->opsize, visible_selector(c, i->reg));

	if (rc == X86_OK)
		x86_set_sp(c, sp);
	return rc;
}

enum x86_rc x86_op_pop_sreg(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t sp = x86_sp(c), sel;
	/* Only the selector is read, whatever the operand size: so do the processors, as a page's end shows. */
	enum x86_rc rc = x86_load(c, X86_SS, sp, 2, &sel);

	if (rc != X86_OK)
		return rc;
	sp = x86_sp_add(c, sp, i->opsize);
	if (i->reg == X86_SS) { /* SP moves by the old stack's width */
		uint64_t old = c->s.gpr[X86_RSP];

		x86_set_sp(c, sp);
		rc = x86_load_sreg(c, X86_SS, (uint16_t)sel);
		if (rc != X86_OK)
			c->s.gpr[X86_RSP] = old;
		else
			stack_shadow(c, X86_SS);
		return rc;
	}
	rc = x86_load_sreg(c, i->reg, (uint16_t)sel);
	if (rc == X86_OK)
		x86_set_sp(c, sp);
	return rc;
}

enum x86_rc x86_op_lds_family(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t ea = x86_ea(c, i), off, sel;
	enum x86_rc rc = x86_load(c, i->seg, ea, i->opsize, &off);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_addr_mask(i->addrsize, ea + i->opsize), 2, &sel);
	if (rc == X86_OK)
		rc = x86_load_sreg(c, i->imm2, (uint16_t)sel);
	if (rc == X86_OK)
		x86_reg_set(c, i->opsize, i->reg, off);
	return rc;
}

/* --- GDTR and IDTR --------------------------------------------------------------------------------------------- */

static enum x86_rc table_intercept(
    struct x86_cpu *c, const struct x86_insn *i, enum x86_intercept_id id, uint32_t identity)
{
	uint32_t os = (i->opsize >= 4 ? 1u << 11 : 0);
	enum x86_rc rc = x86_intercept(c, i, id, x86_insn_displacement(c, i));

	if (rc == X86_EXIT)
		c->exit->insn_info = x86_insn_info(i, identity << 28 | os);
	return rc;
}

static enum x86_rc store_table(struct x86_cpu *c, const struct x86_insn *i, const struct x86_dtable *t)
{
	unsigned size = c->mode == X86_MODE_LONG64 ? 8 : 4;
	uint64_t ea = x86_ea(c, i), base_at = x86_addr_mask(i->addrsize, ea + 2);
	gva_t la[2];
	enum x86_rc rc = x86_linear(c, i->seg, ea, 2, X86_ACCESS_WRITE, &la[0]);

	if (rc == X86_OK)
		rc = x86_lin_probe(c, la[0], 2, c->user, X86_ACCESS_WRITE);
	if (rc == X86_OK)
		rc = x86_linear(c, i->seg, base_at, size, X86_ACCESS_WRITE, &la[1]);
	if (rc == X86_OK)
		rc = x86_lin_probe(c, la[1], size, c->user, X86_ACCESS_WRITE);
	if (rc == X86_OK)
		rc = x86_lin_store(c, la[0], 2, c->user, t->limit);
	return rc == X86_OK ? x86_lin_store(c, la[1], size, c->user, t->base) : rc;
}

static enum x86_rc load_table(struct x86_cpu *c, const struct x86_insn *i, struct x86_dtable *t)
{
	bool wide = c->mode == X86_MODE_LONG64;
	uint64_t ea = x86_ea(c, i), limit, base;
	enum x86_rc rc = x86_load(c, i->seg, ea, 2, &limit);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_addr_mask(i->addrsize, ea + 2), wide ? 8 : 4, &base);
	if (rc != X86_OK)
		return rc;
	if (wide && !x86_canonical(base))
		return x86_fault_ec(c, VEC_GP, 0);
	t->limit = (uint32_t)limit;
	t->base = i->opsize == 2 && !wide ? base & 0xffffff : base;
	return X86_OK;
}

enum x86_rc x86_op_lgdt(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = table_intercept(c, i, X86_ICPT_LGDT, 2);

	return rc == X86_OK ? load_table(c, i, &c->s.gdtr) : rc;
}

enum x86_rc x86_op_lidt(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = table_intercept(c, i, X86_ICPT_LIDT, 3);

	return rc == X86_OK ? load_table(c, i, &c->s.idtr) : rc;
}

enum x86_rc x86_op_sgdt(struct x86_cpu *c, const struct x86_insn *i)
{
	static const struct x86_dtable host = {.base = HOST_GDT_BASE, .limit = HOST_GDT_LIMIT};
	enum x86_rc rc = table_intercept(c, i, X86_ICPT_SGDT, 0);

	return rc == X86_OK ? store_table(c, i, x86_depriv(c) ? &host : &c->s.gdtr) : rc;
}

enum x86_rc x86_op_sidt(struct x86_cpu *c, const struct x86_insn *i)
{
	static const struct x86_dtable host = {.base = HOST_IDT_BASE, .limit = HOST_IDT_LIMIT};
	enum x86_rc rc = table_intercept(c, i, X86_ICPT_SIDT, 1);

	return rc == X86_OK ? store_table(c, i, x86_depriv(c) ? &host : &c->s.idtr) : rc;
}

/* --- LDTR and TR ----------------------------------------------------------------------------------------------- */

static enum x86_rc read_rm16(struct x86_cpu *c, const struct x86_insn *i, uint16_t *v)
{
	uint64_t wide;
	enum x86_rc rc = X86_OK;

	if (i->flags & INSN_MEM)
		rc = x86_load(c, i->seg, x86_ea(c, i), 2, &wide);
	else
		wide = x86_reg(c, 2, i->rm);
	if (rc == X86_OK)
		*v = (uint16_t)wide;
	return rc;
}

static enum x86_rc store_selector(struct x86_cpu *c, const struct x86_insn *i, uint16_t sel)
{
	if (i->flags & INSN_MEM)
		return x86_store(c, i->seg, x86_ea(c, i), 2, sel);
	x86_reg_set(c, i->opsize, i->rm, sel);
	return X86_OK;
}

enum x86_rc x86_op_sldt(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = table_intercept(c, i, X86_ICPT_SLDT, 0);

	return rc == X86_OK ? store_selector(c, i, x86_depriv(c) ? HOST_LDTR : c->s.ldtr.sel) : rc;
}

enum x86_rc x86_op_str(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = table_intercept(c, i, X86_ICPT_STR, 1);

	return rc == X86_OK ? store_selector(c, i, x86_depriv(c) ? HOST_TR : c->s.tr.sel) : rc;
}

/* A descriptor of LDT or TSS in the GDT: of 16 bytes in IA-32e mode, which all have to be in the table before it is
 * read. */
static enum x86_rc read_system_desc(struct x86_cpu *c, uint16_t sel, struct x86_desc *d)
{
	if (sel & 4 || (x86_lma(c) && (sel & 0xfff8u) + 15 > c->s.gdtr.limit))
		return x86_fault_sel(c, VEC_GP, sel);
	return x86_desc_read(c, sel, VEC_GP, d);
}

enum x86_rc x86_op_lldt(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x86_desc d = {0};
	uint16_t sel;
	enum x86_rc rc = table_intercept(c, i, X86_ICPT_LLDT, 2);

	if (rc == X86_OK)
		rc = read_rm16(c, i, &sel);
	if (rc != X86_OK)
		return rc;
	if (x86_is_null(sel)) {
		c->s.ldtr = x86_null_seg(sel, 0);
		return X86_OK;
	}
	rc = read_system_desc(c, sel, &d);
	if (rc != X86_OK)
		return rc;
	if (x86_systype(d.attr) != DESC_LDT || d.malformed)
		return x86_fault_sel(c, VEC_GP, sel);
	if (!(d.attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, sel);
	if (x86_lma(c) && !x86_canonical(d.base))
		return x86_fault_sel(c, VEC_GP, sel);
	c->s.ldtr = x86_desc_seg(&d, sel);
	return X86_OK;
}

enum x86_rc x86_op_ltr(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x86_desc d = {0};
	uint16_t sel;
	unsigned type;
	enum x86_rc rc = table_intercept(c, i, X86_ICPT_LTR, 3);

	if (rc == X86_OK)
		rc = read_rm16(c, i, &sel);
	if (rc != X86_OK)
		return rc;
	if (x86_is_null(sel))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = read_system_desc(c, sel, &d);
	if (rc != X86_OK)
		return rc;
	type = x86_systype(d.attr);
	if ((type != DESC_TSS32 && (type != DESC_TSS16 || x86_lma(c))) || d.malformed)
		return x86_fault_sel(c, VEC_GP, sel);
	if (!(d.attr & SEG_P))
		return x86_fault_sel(c, VEC_NP, sel);
	if (x86_lma(c) && !x86_canonical(d.base))
		return x86_fault_sel(c, VEC_GP, sel);
	rc = x86_desc_busy(c, &d, true);
	if (rc != X86_OK)
		return rc;
	d.attr |= 2;
	c->s.tr = x86_desc_seg(&d, sel);
	return X86_OK;
}

/* --- Questions about a selector -------------------------------------------------------------------------------- */

#define TYPES_LAR_LEGACY 0x1a3eu /* 1-5, 9, 11, 12 */
#define TYPES_LAR_LMA 0x1a04u	 /* 2, 9, 11, 12 */
#define TYPES_LSL_LEGACY 0x0a0eu /* 1-3, 9, 11 */
#define TYPES_LSL_LMA 0x0a04u	 /* 2, 9, 11 */

/* Reads the descriptor of r/m16 and says whether it may be seen: null, beyond the table, wrong type or too privileged
 * gives *ok = false, no fault. types: bit n, system type n is one that the instruction knows. */
static enum x86_rc visible(struct x86_cpu *c, const struct x86_insn *i, uint32_t types, struct x86_desc *d, bool *ok)
{
	uint16_t sel;
	enum x86_rc rc;

	*ok = false;
	if (c->mode < X86_MODE_PROT)
		return x86_fault(c, VEC_UD);
	rc = read_rm16(c, i, &sel);
	if (rc != X86_OK || x86_is_null(sel))
		return rc;
	rc = x86_desc_read(c, sel, VEC_GP, d);
	if (rc == X86_FAULT && c->fault.vector == VEC_GP)
		return X86_OK;
	if (rc != X86_OK)
		return rc;
	if (d->attr & SEG_S)
		*ok = true;
	else
		*ok = (types >> (d->attr & SEG_TYPE) & 1) && !d->malformed;
	if (!x86_is_conforming(d->attr) && (x86_hw_cpl(c) > x86_dpl(d->attr) || (sel & 3u) > x86_dpl(d->attr)))
		*ok = false;
	return X86_OK;
}

static void set_zf(struct x86_cpu *c, bool on)
{
	x86_flags_update(c, FLAG_ZF, on ? FLAG_ZF : 0);
}

/* The second doubleword of the descriptor, without its base. Bits 19:16 are undefined [SDM 2A "LAR - Load Access Rights
 * Byte"]; processors leave the limit's bits 19:16 there. */
static uint64_t lar_value(const struct x86_desc *d, unsigned opsize)
{
	uint64_t rights = (uint64_t)(d->attr & 0xff) << 8;

	if (opsize == 2)
		return rights;
	return rights | (uint64_t)(d->attr & 0xf000) << 8 |
	       (uint64_t)(d->limit >> (d->attr & SEG_G ? 28 : 16) & 0xf) << 16;
}

enum x86_rc x86_op_lar(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x86_desc d = {0};
	bool ok;
	enum x86_rc rc = visible(c, i, x86_lma(c) ? TYPES_LAR_LMA : TYPES_LAR_LEGACY, &d, &ok);

	if (rc != X86_OK)
		return rc;
	if (ok)
		x86_reg_set(c, i->opsize, i->reg, lar_value(&d, i->opsize));
	set_zf(c, ok);
	return X86_OK;
}

enum x86_rc x86_op_lsl(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x86_desc d = {0};
	bool ok;
	enum x86_rc rc = visible(c, i, x86_lma(c) ? TYPES_LSL_LMA : TYPES_LSL_LEGACY, &d, &ok);

	if (rc != X86_OK)
		return rc;
	if (ok)
		x86_reg_set(c, i->opsize, i->reg, d.limit);
	set_zf(c, ok);
	return X86_OK;
}

enum x86_rc x86_op_verr(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x86_desc d = {0};
	bool ok;
	enum x86_rc rc = visible(c, i, 0, &d, &ok);

	if (rc == X86_OK)
		set_zf(c, ok && (!x86_is_code(d.attr) || (d.attr & 2)));
	return rc;
}

enum x86_rc x86_op_verw(struct x86_cpu *c, const struct x86_insn *i)
{
	struct x86_desc d = {0};
	bool ok;
	enum x86_rc rc = visible(c, i, 0, &d, &ok);

	if (rc == X86_OK)
		set_zf(c, ok && !x86_is_code(d.attr) && (d.attr & 2));
	return rc;
}

enum x86_rc x86_op_arpl(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t dst, src = x86_reg(c, 2, i->reg) & 3;
	bool raise;
	enum x86_rc rc = X86_OK;

	if (c->mode < X86_MODE_PROT)
		return x86_fault(c, VEC_UD);
	if (i->flags & INSN_MEM)
		rc = x86_load(c, i->seg, x86_ea(c, i), 2, &dst);
	else
		dst = x86_reg(c, 2, i->rm);
	if (rc != X86_OK)
		return rc;
	raise = (dst & 3) < src;
	dst = (dst & 0xfffc) | src;
	/* Memory is written, and must be writable, only when it changes. */
	if (raise && (i->flags & INSN_MEM))
		rc = x86_store(c, i->seg, x86_ea(c, i), 2, dst);
	else if (raise)
		x86_reg_set(c, 2, i->rm, dst);
	if (rc != X86_OK)
		return rc;
	set_zf(c, raise);
	return X86_OK;
}
