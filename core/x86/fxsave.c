/*
 * MXCSR, and saving and restoring of x87 and SSE state: FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XRSTOR. The state is kept as
 * the image that FXSAVE64 writes, so saving is copying, with the pointers in the form that the operand size asks for.
 *
 * Concept: state components. XCR0 says what the operating system manages, a mask in EDX:EAX what is asked for, and
 * XSTATE_BV in the header what the image really holds: a component in its initial state need not be there.
 * [SDM 1 "Managing State Using the XSAVE Feature Set"]
 */
#include "core/lib.h"
#include "core/x86/sse.h"
#include "core/x86/x87.h"

/* Parts of the legacy area, which is the FXSAVE image; the XSAVE header follows it. */
enum {
	FX_MXCSR = SSE_FX_MXCSR,
	FX_MXCSR_MASK = SSE_FX_MXCSR_MASK,
	FX_ST = SSE_FX_ST,
	FX_XMM = SSE_FX_XMM,
	FX_XMM_8_END = 288,
	FX_XMM_16_END = 416,
	FX_SIZE = 512,
	XS_BV = 512,
	XS_COMP_BV = 520,
	XS_SIZE = 576
};
#define MXCSR_DEFINED 0xffffu
/* State components: bits of XCR0, of the mask and of XSTATE_BV. */
#define COMP_X87 1u
#define COMP_SSE 2u

/* --- MXCSR ----------------------------------------------------------------------------------------------------- */

static enum x86_rc op_ldmxcsr(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t v;
	enum x86_rc rc = x86_sse_check(c);

	if (rc == X86_OK)
		rc = x86_load(c, i->seg, x86_ea(c, i), 4, &v);
	if (rc != X86_OK)
		return rc;
	if (v & ~(uint64_t)MXCSR_DEFINED)
		return x86_fault_ec(c, VEC_GP, 0);
	x86_put(c->s.fxsave + FX_MXCSR, 4, v);
	return X86_OK;
}

static enum x86_rc op_stmxcsr(struct x86_cpu *c, const struct x86_insn *i)
{
	enum x86_rc rc = x86_sse_check(c);

	return rc == X86_OK ? x86_store(c, i->seg, x86_ea(c, i), 4, x86_get(c->s.fxsave + FX_MXCSR, 4)) : rc;
}

/* --- The area in memory ---------------------------------------------------------------------------------------- */

/* Linear address of a byte of the area at the operand. Like every address it wraps at the address size. */
static gva_t area_at(const struct x86_cpu *c, const struct x86_insn *i, unsigned at)
{
	gva_t la = c->eff_base[i->seg] + x86_addr_mask(i->addrsize, x86_ea(c, i) + at);

	return c->mode == X86_MODE_LONG64 ? la : (uint32_t)la;
}

/* Address checks of an area of size bytes, in the order of Intel's processors: its first byte in the segment, #AC where
 * alignment is checked and the address is no multiple of 4, alignment, all of it in the segment. */
static enum x86_rc find_area(
    struct x86_cpu *c, const struct x86_insn *i, unsigned size, unsigned align, enum x86_access how)
{
	gva_t la = area_at(c, i, 0);
	enum x86_rc rc;

	rc = x86_linear(c, i->seg, x86_ea(c, i), 1, X86_ACCESS_READ, &la);
	if (rc != X86_OK)
		return rc;
	if ((la & 3) && c->cpl == 3 && (c->s.rflags & FLAG_AC) && (c->s.cr0 & CR0_AM))
		return x86_fault_ec(c, VEC_AC, 0);
	if (la & (align - 1))
		return x86_fault_ec(c, VEC_GP, 0);
	rc = x86_linear(c, i->seg, x86_ea(c, i), size, how, &la);
	return rc == X86_FAULT && c->fault.vector == VEC_AC ? X86_OK : rc;
}

/* Are the pages of a part there? Of a whole area the last byte is asked for first. */
static enum x86_rc probe(struct x86_cpu *c, const struct x86_insn *i, unsigned from, unsigned to, enum x86_access how)
{
	enum x86_rc rc = x86_lin_probe(c, area_at(c, i, from), 1, c->user, how);

	return rc == X86_OK ? x86_lin_probe(c, area_at(c, i, to - 1), 1, c->user, how) : rc;
}

static enum x86_rc area_read(struct x86_cpu *c, const struct x86_insn *i, uint8_t *image, unsigned from, unsigned to)
{
	enum x86_rc rc = X86_OK;
	uint64_t v;

	for (; from < to && rc == X86_OK; from += 8) {
		rc = x86_lin_load(c, area_at(c, i, from), 8, c->user, &v);
		if (rc == X86_OK)
			x86_put(image + from, 8, v);
	}
	return rc;
}

static enum x86_rc area_write(
    struct x86_cpu *c, const struct x86_insn *i, const uint8_t *image, unsigned from, unsigned to)
{
	enum x86_rc rc = X86_OK;

	for (; from < to && rc == X86_OK; from += 8)
		rc = x86_lin_store(c, area_at(c, i, from), 8, c->user, x86_get(image + from, 8));
	return rc;
}

/* --- Images ---------------------------------------------------------------------------------------------------- */

/* XMM8-15 exist in 64-bit mode only; elsewhere their places are neither written nor read. */
static unsigned xmm_end(const struct x86_cpu *c)
{
	return c->code_size == 8 ? FX_XMM_16_END : FX_XMM_8_END;
}

/* The pointers are 64 bits wide with REX.W, else 32 bits and a selector, which newer processors store as 0. */
static void short_pointers(uint8_t *image)
{
	memset(image + X87_FIP + 4, 0, 4);
	memset(image + X87_FDP + 4, 0, 4);
}

static void make_image(const struct x86_cpu *c, const struct x86_insn *i, uint8_t *image)
{
	memcpy(image, c->s.fxsave, FX_SIZE);
	x86_put(image + FX_MXCSR_MASK, 4, MXCSR_DEFINED);
	if (i->opsize != 8)
		short_pointers(image);
}

/* The pointers are kept canonical, of 48 bits. */
static void canonical_pointer(uint8_t *p)
{
	x86_put(p, 8, (uint64_t)((int64_t)(x86_get(p, 8) << 16) >> 16));
}

/* x87 state from an image: bits that do not exist are dropped, and the summary bits follow from the exceptions. */
static void take_x87(struct x86_cpu *c, const struct x86_insn *i, uint8_t *image)
{
	unsigned cw = ((unsigned)x86_get(image + X87_FCW, 2) & 0x1f3f) | 0x40;

	x86_put(image + X87_FCW, 2, cw);
	x86_put(image + X87_FSW, 2, x87_summary((unsigned)x86_get(image + X87_FSW, 2), cw));
	image[X87_FTW + 1] = 0;
	image[X87_FOP + 1] &= 7;
	if (i->opsize != 8)
		short_pointers(image);
	canonical_pointer(image + X87_FIP);
	canonical_pointer(image + X87_FDP);
	for (unsigned r = 0; r < 8; r++)
		memset(image + FX_ST + 16 * r + 10, 0, 6);
	memcpy(c->s.fxsave, image, FX_MXCSR);
	memcpy(c->s.fxsave + FX_ST, image + FX_ST, FX_XMM - FX_ST);
}

static void init_x87(struct x86_cpu *c)
{
	memset(c->s.fxsave, 0, FX_MXCSR);
	memset(c->s.fxsave + FX_ST, 0, FX_XMM - FX_ST);
	x86_put(c->s.fxsave + X87_FCW, 2, X87_FCW_INIT);
}

static enum x86_rc find_image(struct x86_cpu *c, const struct x86_insn *i, enum x86_access how)
{
	enum x86_rc rc = x87_available(c);

	if (rc == X86_OK)
		rc = find_area(c, i, FX_SIZE, 16, how);
	if (rc == X86_OK)
		rc = probe(c, i, FX_SIZE - 1, FX_SIZE, how);
	return rc == X86_OK ? probe(c, i, 0, 1, how) : rc;
}

static enum x86_rc op_fxsave(struct x86_cpu *c, const struct x86_insn *i)
{
	uint8_t image[FX_SIZE];
	enum x86_rc rc = find_image(c, i, X86_ACCESS_WRITE);

	if (rc != X86_OK)
		return rc;
	make_image(c, i, image);
	return area_write(c, i, image, 0, xmm_end(c));
}

static enum x86_rc op_fxrstor(struct x86_cpu *c, const struct x86_insn *i)
{
	uint8_t image[FX_SIZE];
	enum x86_rc rc = find_image(c, i, X86_ACCESS_READ);

	if (rc == X86_OK)
		rc = area_read(c, i, image, 0, xmm_end(c));
	if (rc != X86_OK)
		return rc;
	if (x86_get(image + FX_MXCSR, 4) & ~(uint64_t)MXCSR_DEFINED)
		return x86_fault_ec(c, VEC_GP, 0);
	take_x87(c, i, image);
	memcpy(c->s.fxsave + FX_MXCSR, image + FX_MXCSR, 4);
	memcpy(c->s.fxsave + FX_XMM, image + FX_XMM, xmm_end(c) - FX_XMM);
	return X86_OK;
}

/* --- XSAVE ----------------------------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *p, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		if (p[k])
			return false;
	return true;
}

/* XINUSE: the components that are not in their initial state. MXCSR does not count. */
static unsigned in_use(const struct x86_cpu *c)
{
	const uint8_t *f = c->s.fxsave;
	bool x87_init = x87_word(c, X87_FCW) == X87_FCW_INIT && is_zero(f + X87_FSW, FX_MXCSR - X87_FSW) &&
			is_zero(f + FX_ST, FX_XMM - FX_ST);

	return (x87_init ? 0 : COMP_X87) | (is_zero(f + FX_XMM, xmm_end(c) - FX_XMM) ? 0 : COMP_SSE);
}

static enum x86_rc check_xsave(struct x86_cpu *c)
{
	if (!(c->s.cr4 & CR4_OSXSAVE))
		return x86_fault(c, VEC_UD);
	return c->s.cr0 & CR0_TS ? x86_fault(c, VEC_NM) : X86_OK;
}

/* The requested-feature bitmap. */
static uint64_t requested(const struct x86_cpu *c)
{
	return ((uint32_t)c->s.gpr[X86_RAX] | c->s.gpr[X86_RDX] << 32) & c->s.xcr0;
}

/* One part of an XSAVE area, which is written when all are known to be writable. */
struct part {
	bool on;
	unsigned from, to;
};

/* optimized: components in their initial state are not written. That a component was not modified since XRSTOR, which
 * XSAVEOPT may use as well, is not tracked. */
static enum x86_rc xsave(struct x86_cpu *c, const struct x86_insn *i, bool optimized)
{
	uint64_t rfbm = requested(c), used = in_use(c), write = optimized ? rfbm & used : rfbm, bv;
	const struct part parts[] = {{write & COMP_X87, 0, FX_MXCSR}, {rfbm & COMP_SSE, FX_MXCSR, FX_ST},
	    {write & COMP_X87, FX_ST, FX_XMM}, {write & COMP_SSE, FX_XMM, xmm_end(c)}};
	uint8_t image[FX_SIZE];
	enum x86_rc rc = check_xsave(c);

	if (rc == X86_OK)
		rc = find_area(c, i, XS_SIZE, 64, X86_ACCESS_WRITE);
	if (rc == X86_OK)
		rc = probe(c, i, XS_SIZE - 1, XS_SIZE, X86_ACCESS_WRITE);
	for (unsigned k = 0; k < ARRAY_LEN(parts) && rc == X86_OK; k++)
		if (parts[k].on)
			rc = probe(c, i, parts[k].from, parts[k].to, X86_ACCESS_WRITE);
	if (rc == X86_OK) /* read and written */
		rc = probe(c, i, XS_BV, XS_BV + 8, X86_ACCESS_WRITE);
	if (rc == X86_OK)
		rc = x86_lin_load(c, area_at(c, i, XS_BV), 8, c->user, &bv);
	if (rc != X86_OK)
		return rc;
	make_image(c, i, image);
	for (unsigned k = 0; k < ARRAY_LEN(parts) && rc == X86_OK; k++)
		if (parts[k].on)
			rc = area_write(c, i, image, parts[k].from, parts[k].to);
	if (rc != X86_OK)
		return rc;
	return x86_lin_store(c, area_at(c, i, XS_BV), 8, c->user, (bv & ~rfbm) | (used & rfbm));
}

static enum x86_rc op_xsave(struct x86_cpu *c, const struct x86_insn *i)
{
	return xsave(c, i, false);
}

static enum x86_rc op_xsaveopt(struct x86_cpu *c, const struct x86_insn *i)
{
	return xsave(c, i, true);
}

#define COMPACTED (1ull << 63)

/* The compacted form is not offered: XCOMP_BV and the eight bytes after it must be 0. */
static bool header_is_valid(const struct x86_cpu *c, const uint8_t *image)
{
	return !(x86_get(image + XS_BV, 8) & ~c->s.xcr0) && is_zero(image + XS_COMP_BV, 16);
}

/* The header is read first; but for the compacted form it is judged after the parts that are asked for have been found
 * to be there. */
static enum x86_rc read_xsave_area(struct x86_cpu *c, const struct x86_insn *i, uint64_t rfbm, uint8_t *image)
{
	const struct part parts[] = {{true, XS_COMP_BV, XS_SIZE}, {true, XS_BV, XS_COMP_BV},
	    {rfbm & COMP_X87, 0, FX_MXCSR}, {rfbm & COMP_SSE, FX_MXCSR, FX_ST}, {rfbm & COMP_X87, FX_ST, FX_XMM},
	    {rfbm & COMP_SSE, FX_XMM, xmm_end(c)}};
	enum x86_rc rc = find_area(c, i, XS_SIZE, 64, X86_ACCESS_READ);

	for (unsigned k = 0; k < ARRAY_LEN(parts) && rc == X86_OK; k++) {
		if (parts[k].on)
			rc = area_read(c, i, image, parts[k].from, parts[k].to);
		if (k == 0 && rc == X86_OK && (x86_get(image + XS_COMP_BV, 8) & COMPACTED))
			rc = x86_fault_ec(c, VEC_GP, 0);
	}
	if (rc == X86_OK && !header_is_valid(c, image))
		rc = x86_fault_ec(c, VEC_GP, 0);
	if (rc == X86_OK && (rfbm & COMP_SSE) && (x86_get(image + FX_MXCSR, 4) & ~(uint64_t)MXCSR_DEFINED))
		rc = x86_fault_ec(c, VEC_GP, 0);
	return rc;
}

static enum x86_rc op_xrstor(struct x86_cpu *c, const struct x86_insn *i)
{
	uint64_t rfbm = requested(c), bv;
	uint8_t image[XS_SIZE];
	enum x86_rc rc = check_xsave(c);

	if (rc == X86_OK)
		rc = read_xsave_area(c, i, rfbm, image);
	if (rc != X86_OK)
		return rc;
	bv = x86_get(image + XS_BV, 8);
	if ((rfbm & COMP_X87) && (bv & COMP_X87))
		take_x87(c, i, image);
	else if (rfbm & COMP_X87)
		init_x87(c);
	if (rfbm & COMP_SSE) { /* MXCSR comes from the image even where the registers are initialized */
		memcpy(c->s.fxsave + FX_MXCSR, image + FX_MXCSR, 4);
		if (!(bv & COMP_SSE))
			memset(image + FX_XMM, 0, FX_XMM_16_END - FX_XMM);
		memcpy(c->s.fxsave + FX_XMM, image + FX_XMM, xmm_end(c) - FX_XMM);
	}
	return X86_OK;
}

X86_FAMILY_ONE(ldmxcsr, op_ldmxcsr)
X86_FAMILY_ONE(stmxcsr, op_stmxcsr)
X86_FAMILY_ONE(fxsave, op_fxsave)
X86_FAMILY_ONE(fxrstor, op_fxrstor)
X86_FAMILY_ONE(xsave, op_xsave)
X86_FAMILY_ONE(xsaveopt, op_xsaveopt)
X86_FAMILY_ONE(xrstor, op_xrstor)
