/*
 * Control, debug and extended control registers: the writes with all their checks (used by the instructions and by the
 * VMM's exit handlers alike), then MOV CR, MOV DR, CLTS, LMSW, SMSW, XGETBV, XSETBV [SDM 3A "Control Registers"].
 * Concept: a masked bit belongs to the VMM: writing the value that its shadow has costs nothing, any other value exits.
 */
#include "core/x86/exec.h"
#include "core/x86/intercept.h"
#include "core/x86/paging.h"
#include "core/x86/sys.h"

#define CR0_KNOWN (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
/* Changing any of these under PAE paging loads the PDPTEs [SDM 3A "PDPTE Registers"]. */
#define CR0_LOADS_PDPTES (CR0_CD | CR0_NW | CR0_PG)
#define CR4_LOADS_PDPTES (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PCIDE | CR4_PKE)
#define XCR0_KNOWN 3u /* x87, SSE */
#define DR6_FIXED 0xffff0ff0u
#define DR6_KNOWN 0xe00fu
#define DR7_FIXED 0x400u
#define DR7_KNOWN 0xffff23ffu

static enum x86_rc gp(struct x86_cpu *c)
{
	return x86_fault_ec(c, VEC_GP, 0);
}

/* The PDPTEs of the PAE paging that is to be, at cr3. */
static enum x86_rc load_pdptes(struct x86_cpu *c, uint64_t cr3)
{
	uint64_t pdpte[4];
	enum x86_rc rc = x86_read_pdptes(c, cr3, pdpte);

	if (rc == X86_OK)
		memcpy(c->s.pdpte, pdpte, sizeof pdpte);
	return rc == X86_FAULT ? gp(c) : rc;
}

/* Going in or out of IA-32e mode with PG [SDM 3A "Initializing IA-32e Mode"]. */
static bool cr0_allowed(const struct x86_cpu *c, uint64_t v)
{
	bool was = c->s.cr0 & CR0_PG, is = v & CR0_PG;

	if (v >> 32 || (is && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
		return false;
	if (!was && is && (c->s.efer & EFER_LME))
		return (c->s.cr4 & CR4_PAE) && !(c->s.seg[X86_CS].attr & SEG_L) &&
		       (c->s.tr.attr & SEG_TYPE) != DESC_TSS16_BUSY;
	if (was && !is && (c->s.efer & EFER_LMA))
		return c->mode != X86_MODE_LONG64 && !(c->s.cr4 & CR4_PCIDE);
	return true;
}

enum x86_rc x86_set_cr0(struct x86_cpu *c, uint64_t v)
{
	bool loads = (v ^ c->s.cr0) & CR0_LOADS_PDPTES;
	enum x86_rc rc = X86_OK;

	if (!cr0_allowed(c, v))
		return gp(c);
	if (loads && (v & CR0_PG) && (c->s.cr4 & CR4_PAE) && !(c->s.efer & EFER_LME))
		rc = load_pdptes(c, c->s.cr3);
	if (rc != X86_OK)
		return rc;
	c->s.cr0 = (v & CR0_KNOWN) | CR0_ET;
	if ((v & CR0_PG) && (c->s.efer & EFER_LME))
		c->s.efer |= EFER_LMA;
	else
		c->s.efer &= ~(uint64_t)EFER_LMA;
	x86_state_changed(c);
	return X86_OK;
}

/* Bit 63 asks to keep what is cached for the new PCID: nothing is, see tlb.c. */
enum x86_rc x86_set_cr3(struct x86_cpu *c, uint64_t v)
{
	enum x86_rc rc = X86_OK;

	if (c->s.cr4 & CR4_PCIDE)
		v &= ~CR3_NO_FLUSH;
	if (v & ~X86_PHYS_MASK)
		return gp(c);
	if (c->paging == X86_PAGING_PAE)
		rc = load_pdptes(c, v);
	if (rc != X86_OK)
		return rc;
	c->s.cr3 = v;
	x86_tlb_flush_local(c);
	x86_paging_settled(c);
	c->block_end = true;
	return X86_OK;
}

/* PCIDs are for IA-32e mode, and are switched on with PCID 0 [SDM 3A "Process-Context Identifiers (PCIDs)"]. */
static bool cr4_allowed(const struct x86_cpu *c, uint64_t v)
{
	if (v & ~(uint64_t)CR4_MODEL || (c->no_pcid && (v & CR4_PCIDE)) || (!(v & CR4_PAE) && (c->s.efer & EFER_LMA)))
		return false;
	return !(v & ~c->s.cr4 & CR4_PCIDE) || ((c->s.efer & EFER_LMA) && !(c->s.cr3 & CR3_PCID));
}

enum x86_rc x86_set_cr4(struct x86_cpu *c, uint64_t v)
{
	uint64_t changed = v ^ c->s.cr4;
	enum x86_rc rc = X86_OK;

	if (!cr4_allowed(c, v))
		return gp(c);
	if ((c->s.cr0 & CR0_PG) && (v & CR4_PAE) && !(c->s.efer & EFER_LMA) && (changed & CR4_LOADS_PDPTES))
		rc = load_pdptes(c, c->s.cr3);
	if (rc != X86_OK)
		return rc;
	c->s.cr4 = v;
	if (changed & CR4_PAGING)
		x86_tlb_flush(c);
	x86_paging_settled(c);
	x86_mode_changed(c);
	return X86_OK;
}

enum x86_rc x86_set_cr8(struct x86_cpu *c, uint64_t v)
{
	if (v & ~0xfull)
		return gp(c);
	c->s.cr8 = v;
	if (c->env && c->env->cr8_written)
		c->env->cr8_written(c->env_arg);
	c->block_end = true;
	return X86_OK;
}

enum x86_rc x86_set_efer(struct x86_cpu *c, uint64_t v)
{
	uint64_t known = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

	if (v & ~known || (((v ^ c->s.efer) & EFER_LME) && (c->s.cr0 & CR0_PG)))
		return gp(c);
	c->s.efer = (v & ~(uint64_t)EFER_LMA) | (c->s.efer & EFER_LMA);
	x86_state_changed(c);
	return X86_OK;
}

enum x86_rc x86_set_xcr(struct x86_cpu *c, uint32_t n, uint64_t v)
{
	if (n != 0 || v & ~(uint64_t)XCR0_KNOWN || !(v & 1))
		return gp(c);
	c->s.xcr0 = v;
	return X86_OK;
}

/* DR4 and DR5 are DR6 and DR7, unless CR4.DE says that they do not exist. */
static bool dr_number(const struct x86_cpu *c, unsigned *n)
{
	if (*n != 4 && *n != 5)
		return *n < 8;
	*n += 2;
	return !(c->s.cr4 & CR4_DE);
}

enum x86_rc x86_set_dr(struct x86_cpu *c, unsigned n, uint64_t v)
{
	if (!dr_number(c, &n))
		return x86_fault(c, VEC_UD);
	if (n >= 6 && v >> 32)
		return gp(c);
	if (n < 4)
		c->s.dr[n] = v;
	else if (n == 6)
		c->s.dr6 = (v & DR6_KNOWN) | DR6_FIXED;
	else
		c->s.dr7 = (v & DR7_KNOWN) | DR7_FIXED;
	x86_state_changed(c);
	return X86_OK;
}

enum x86_rc x86_get_dr(struct x86_cpu *c, unsigned n, uint64_t *v)
{
	if (!dr_number(c, &n))
		return x86_fault(c, VEC_UD);
	*v = n < 4 ? c->s.dr[n] : n == 6 ? c->s.dr6 : c->s.dr7;
	return X86_OK;
}

void x86_invlpg(struct x86_cpu *c, gva_t gva)
{
	x86_tlb_flush_page(c, gva);
}

/* --- The instructions ------------------------------------------------------------------------------------------ */

static unsigned native_size(const struct x86_cpu *c)
{
	return c->mode == X86_MODE_LONG64 ? 8 : 4;
}

enum cr_type { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

static enum x86_rc cr_exit(
    struct x86_cpu *c, const struct x86_insn *i, enum cr_type type, unsigned cr, uint64_t value, uint64_t extra)
{
	bool has_gpr = type == CR_MOV_TO || type == CR_MOV_FROM;
	unsigned gpr = has_gpr ? i->rm : 0;
	uint64_t qual = cr | (uint64_t)type << QUAL_CR_TYPE_SHIFT | (uint64_t)gpr << QUAL_CR_GPR_SHIFT | extra;

	x86_intercept_exit(c, i, X86_ICPT_MOV_CR, qual);
	c->exit->cr.cr = (uint8_t)cr;
	c->exit->cr.type = (uint8_t)type;
	c->exit->cr.gpr = (uint8_t)gpr;
	c->exit->cr.value = value;
	return X86_EXIT;
}

static bool mov_to_cr_exits(const struct x86_cpu *c, unsigned cr, uint64_t v)
{
	if (!x86_intercept_on(c, X86_ICPT_MOV_CR))
		return false;
	switch (cr) {
	case 0:
		return (v ^ c->s.cr0) & c->ctl->cr0_mask;
	case 3:
		return c->ctl->proc & PROC_CR3_LOAD_EXIT;
	case 4:
		return (v ^ c->s.cr4) & c->ctl->cr4_mask;
	case 8:
		return c->ctl->proc & PROC_CR8_LOAD_EXIT;
	default:
		return false;
	}
}

enum x86_rc x86_op_mov_to_cr(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t v = x86_reg(c, native_size(c), i->rm);
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_MOV_CR, 0);

	if (rc != X86_OK)
		return rc;
	if (mov_to_cr_exits(c, i->reg, v))
		return cr_exit(c, i, CR_MOV_TO, i->reg, v, 0);
	switch (i->reg) {
	case 0:
		return x86_set_cr0(c, v);
	case 2:
		c->s.cr2 = v;
		return X86_OK;
	case 3:
		return x86_set_cr3(c, v);
	case 4:
		return x86_set_cr4(c, v);
	case 8:
		return x86_set_cr8(c, v);
	default:
		return x86_fault(c, VEC_UD);
	}
}

enum x86_rc x86_op_mov_from_cr(struct x86_cpu *c, const struct x86_insn *i)
{
	const uint64_t crs[9] = {[0] = c->s.cr0, [2] = c->s.cr2, [3] = c->s.cr3, [4] = c->s.cr4, [8] = c->s.cr8};
	bool exits;
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_MOV_CR, 0);

	if (rc != X86_OK)
		return rc;
	exits = x86_intercept_on(c, X86_ICPT_MOV_CR) && ((i->reg == 3 && (c->ctl->proc & PROC_CR3_STORE_EXIT)) ||
							    (i->reg == 8 && (c->ctl->proc & PROC_CR8_STORE_EXIT)));
	if (exits)
		return cr_exit(c, i, CR_MOV_FROM, i->reg, crs[i->reg], 0);
	x86_reg_set(c, native_size(c), i->rm, crs[i->reg]);
	return X86_OK;
}

enum x86_rc x86_op_clts(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_CLTS, 0);

	if (rc != X86_OK)
		return rc;
	if (x86_intercept_on(c, X86_ICPT_CLTS) && (c->s.cr0 & c->ctl->cr0_mask & CR0_TS))
		return cr_exit(c, i, CR_CLTS, 0, c->s.cr0 & ~(uint64_t)CR0_TS, 0);
	c->s.cr0 &= ~(uint64_t)CR0_TS;
	c->block_end = true;
	return X86_OK;
}

/* PE can be set but not cleared. A masked bit exits when it would change. */
enum x86_rc x86_op_lmsw(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t v, low = CR0_MP | CR0_EM | CR0_TS, change;
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_LMSW, 0);

	if (rc != X86_OK)
		return rc;
	if (i->flags & INSN_MEM) {
		rc = x86_load(c, i->seg, x86_ea(c, i), 2, &v);
		if (rc != X86_OK)
			return rc;
	} else {
		v = x86_reg(c, 2, i->rm);
	}
	change = ((v ^ c->s.cr0) & low) | (v & ~c->s.cr0 & CR0_PE);
	if (x86_intercept_on(c, X86_ICPT_LMSW) && (change & c->ctl->cr0_mask)) {
		gva_t gla = 0;

		if (i->flags & INSN_MEM)
			gla = c->eff_base[i->seg] + x86_ea(c, i);
		cr_exit(c, i, CR_LMSW, 0, c->s.cr0 ^ change,
		    (v & 0xffff) << QUAL_CR_LMSW_SHIFT | (i->flags & INSN_MEM ? QUAL_CR_LMSW_MEM : 0));
		c->exit->gla = gla;
		return X86_EXIT;
	}
	return x86_set_cr0(c, c->s.cr0 ^ change);
}

/* What a host's CR0 looks like to a guest kernel that really runs at CPL 3. */
#define HOST_CR0 0x80050033u

enum x86_rc x86_op_smsw(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t v = x86_depriv(c) ? HOST_CR0 : c->s.cr0;
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_SMSW, 0);

	if (rc != X86_OK)
		return rc;
	if (i->flags & INSN_MEM)
		return x86_store(c, i->seg, x86_ea(c, i), 2, v);
	x86_reg_set(c, i->opsize, i->rm, v);
	return X86_OK;
}

static enum x86_rc dr_access(struct x86_cpu *c, const struct x86_insn *i, bool read)
{
	uint64_t v = x86_reg(c, native_size(c), i->rm), qual;
	enum x86_rc rc;

	qual = i->reg | (read ? QUAL_DR_READ : 0) | (uint64_t)i->rm << QUAL_DR_GPR_SHIFT;
	rc = x86_intercept(c, i, X86_ICPT_MOV_DR, qual);
	if (rc == X86_EXIT) {
		c->exit->dr.dr = i->reg;
		c->exit->dr.read = read;
		c->exit->dr.gpr = i->rm;
		c->exit->dr.value = read ? 0 : v;
	}
	if (rc != X86_OK)
		return rc;
	if ((i->reg == 4 || i->reg == 5) && (c->s.cr4 & CR4_DE))
		return x86_fault(c, VEC_UD);
	if (c->s.dr7 & 1u << 13) { /* general detect: the debugger's debugger */
		x86_fault(c, VEC_DB);
		c->fault.dr6 = 1u << 13;
		return X86_FAULT;
	}
	if (!read)
		return x86_set_dr(c, i->reg, v);
	rc = x86_get_dr(c, i->reg, &v);
	if (rc == X86_OK)
		x86_reg_set(c, native_size(c), i->rm, v);
	return rc;
}

enum x86_rc x86_op_mov_from_dr(struct x86_cpu *c, const struct x86_insn *i)
{
	return dr_access(c, i, true);
}

enum x86_rc x86_op_mov_to_dr(struct x86_cpu *c, const struct x86_insn *i)
{
	return dr_access(c, i, false);
}

enum x86_rc x86_op_xgetbv(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_XGETBV, 0);

	if (rc != X86_OK)
		return rc;
	if ((uint32_t)c->s.gpr[X86_RCX] != 0)
		return gp(c);
	c->s.gpr[X86_RAX] = (uint32_t)c->s.xcr0;
	c->s.gpr[X86_RDX] = c->s.xcr0 >> 32;
	return X86_OK;
}

enum x86_rc x86_op_xsetbv(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t v = (uint32_t)c->s.gpr[X86_RAX] | c->s.gpr[X86_RDX] << 32;
	uint32_t n = (uint32_t)c->s.gpr[X86_RCX];
	enum x86_rc rc = x86_intercept(c, i, X86_ICPT_XSETBV, 0);

	if (rc == X86_EXIT) {
		c->exit->value = v;
		c->exit->raw[1] = n;
	}
	return rc == X86_OK ? x86_set_xcr(c, n, v) : rc;
}
