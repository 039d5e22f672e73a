/*
 * The x87 unit inside core/x86: registers, stack faults, and how an instruction begins and ends. All state is the
 * FXSAVE image in s.fxsave. Its registers are in stack order, ST(0) first, so a push or pop moves them all; its tags
 * are by physical register, one bit each.
 *
 * Pointers are those of processors that set CPUID.7.EBX bits 6 and 13: FIP is written by every instruction that is not
 * a control instruction; FOP and FDP only by one that meets an unmasked exception; FCS and FDS do not exist and are
 * stored as 0. [SDM 1 "x87 FPU Instruction and Data (Operand) Pointers"]
 */
#ifndef VMSCOPE_CORE_X86_X87_H
#define VMSCOPE_CORE_X86_X87_H

#include "core/x86/exec.h"
#include "core/x86/softfloat_num.h"

/* Offsets in the FXSAVE image [SDM 2A "FXSAVE - Save x87 FPU, MMX Technology, and SSE State"]. */
enum { X87_FCW = 0, X87_FSW = 2, X87_FTW = 4, X87_FOP = 6, X87_FIP = 8, X87_FDP = 16, X87_ST = 32 };

#define X87_FCW_INIT 0x37fu
#define X87_SF 0x40u
#define X87_ES 0x80u
#define X87_C0 0x100u
#define X87_C1 0x200u
#define X87_C2 0x400u
#define X87_C3 0x4000u
#define X87_CC (X87_C0 | X87_C1 | X87_C2 | X87_C3)
#define X87_BUSY 0x8000u
#define X87_EXCEPTIONS 0x3fu

X86_INLINE unsigned x87_word(const struct x86_cpu *c, unsigned at)
{
	return (unsigned)x86_get(c->s.fxsave + at, 2);
}

X86_INLINE void x87_word_set(struct x86_cpu *c, unsigned at, unsigned v)
{
	x86_put(c->s.fxsave + at, 2, v);
}

X86_INLINE unsigned x87_top(const struct x86_cpu *c)
{
	return x87_word(c, X87_FSW) >> 11 & 7;
}

X86_INLINE bool x87_empty(const struct x86_cpu *c, unsigned n)
{
	return !(c->s.fxsave[X87_FTW] >> ((x87_top(c) + n) & 7) & 1);
}

X86_INLINE struct f80 x87_get(const struct x86_cpu *c, unsigned n)
{
	const uint8_t *r = c->s.fxsave + X87_ST + 16 * n;

	return (struct f80){x86_get(r, 8), (uint16_t)x86_get(r + 8, 2)};
}

/* The register becomes non-empty. */
X86_INLINE void x87_set(struct x86_cpu *c, unsigned n, struct f80 v)
{
	uint8_t *r = c->s.fxsave + X87_ST + 16 * n;

	x86_put(r, 8, v.sig);
	x86_put(r + 8, 8, v.se);
	c->s.fxsave[X87_FTW] |= (uint8_t)(1u << ((x87_top(c) + n) & 7));
}

X86_INLINE void x87_free(struct x86_cpu *c, unsigned n)
{
	c->s.fxsave[X87_FTW] &= (uint8_t) ~(1u << ((x87_top(c) + n) & 7));
}

/* Halves by themselves: a 16-byte load behind two 8-byte stores would wait for them. */
X86_INLINE void x87_copy(uint8_t *to, const uint8_t *from)
{
	uint64_t lo = x86_get(from, 8), hi = x86_get(from + 8, 8);

	__asm__("" : "+r"(lo), "+r"(hi));
	x86_put(to, 8, lo);
	x86_put(to + 8, 8, hi);
}

X86_INLINE void x87_move_top(struct x86_cpu *c, unsigned n)
{
	unsigned sw = x87_word(c, X87_FSW);

	x87_word_set(c, X87_FSW, (sw & ~0x3800u) | ((sw + (n << 11)) & 0x3800));
}

/* Moves TOP up or down by one. The registers stay, and with them the tags: so the image turns. */
X86_INLINE void x87_top_up(struct x86_cpu *c)
{
	uint8_t first[16], *st = c->s.fxsave + X87_ST;

	x87_copy(first, st);
	for (unsigned k = 0; k < 7; k++)
		x87_copy(st + 16 * k, st + 16 * k + 16);
	x87_copy(st + 112, first);
	x87_move_top(c, 1);
}

X86_INLINE void x87_top_down(struct x86_cpu *c)
{
	uint8_t last[16], *st = c->s.fxsave + X87_ST;

	x87_copy(last, st + 112);
	for (unsigned k = 7; k; k--)
		x87_copy(st + 16 * k, st + 16 * k - 16);
	x87_copy(st, last);
	x87_move_top(c, 7);
}

/* What FNINIT, FLDENV and the first MMX instruction do, too. */
X86_INLINE void x87_set_top(struct x86_cpu *c, unsigned top)
{
	while (x87_top(c) != top)
		x87_top_up(c);
}

X86_INLINE void x87_push(struct x86_cpu *c, struct f80 v)
{
	x87_top_down(c);
	x87_set(c, 0, v);
}

X86_INLINE void x87_pop(struct x86_cpu *c)
{
	x87_free(c, 0);
	x87_top_up(c);
}

/* An exception that is both flagged and unmasked makes ES and B, nothing else does. */
X86_INLINE unsigned x87_summary(unsigned sw, unsigned cw)
{
	sw &= ~(X87_ES | X87_BUSY);
	return sw & ~cw & X87_EXCEPTIONS ? sw | X87_ES | X87_BUSY : sw;
}

/* One instruction in execution. */
struct x87 {
	struct x86_cpu *c;
	const struct x86_insn *i;
	struct sf st;
	unsigned cc;	  /* new C0, C2, C3; C1 is st.c1 */
	bool stack_fault; /* SF; st.flags has IE, st.c1 tells overflow */
	bool keep_c1;	  /* C1 stays, unless the stack faults */
};

/* #NM for every x87 instruction. */
X86_INLINE enum x86_rc x87_available(struct x86_cpu *c)
{
	return UNLIKELY(c->s.cr0 & (CR0_EM | CR0_TS)) ? x86_fault(c, VEC_NM) : X86_OK;
}

/* A waiting instruction also reports what is pending. */
X86_INLINE enum x86_rc x87_waiting(struct x86_cpu *c)
{
	enum x86_rc rc = x87_available(c);

	return rc == X86_OK && UNLIKELY(x87_word(c, X87_FSW) & X87_ES) ? x86_x87_error(c) : rc;
}

X86_INLINE enum x86_rc x87_begin(struct x87 *x, struct x86_cpu *c, const struct x86_insn *i)
{
	unsigned cw = x87_word(c, X87_FCW);

	*x = (struct x87){.c = c,
	    .i = i,
	    .cc = x87_word(c, X87_FSW) & (X87_C0 | X87_C2 | X87_C3),
	    .st = {.round = cw >> 10 & 3, .precision = cw >> 8 & 3, .x87 = true, .masks = cw & X87_EXCEPTIONS}};
	return x87_waiting(c);
}

/* Stack underflow or overflow; the masked response is an indefinite value, which is returned. */
X86_INLINE struct f80 x87_stack_fault(struct x87 *x, bool overflow)
{
	x->stack_fault = true;
	x->st.flags = SF_IE;
	x->st.c1 = overflow;
	return SF_F80_NAN;
}

/* The push of an instruction needs ST(7) to be empty. */
X86_INLINE bool x87_is_full(const struct x87 *x)
{
	return !x87_empty(x->c, 7);
}

/* May the result go to a register? Not when an exception that comes before the operation is unmasked. */
X86_INLINE bool x87_writes(const struct x87 *x)
{
	return !(x->st.flags & ~x->st.masks & SF_PRE);
}

/* To memory? An unmasked overflow or underflow is reported first, too. */
X86_INLINE bool x87_stores(const struct x87 *x)
{
	return !(x->st.flags & ~x->st.masks & (SF_PRE | SF_OE | SF_UE));
}

/* The rare part of x87_end(): an exception becomes pending, with the opcode and the address of the operand. */
unsigned x87_pend(struct x87 *x, unsigned flags);

/* Status and pointers; nothing can go wrong any more. */
X86_INLINE enum x86_rc x87_end(struct x87 *x)
{
	struct x86_cpu *c = x->c;
	unsigned flags = x->st.flags, old = x87_word(c, X87_FSW);

	if (x->keep_c1 && !x->stack_fault)
		x->st.c1 = old & X87_C1;
	if (UNLIKELY(flags & ~x->st.masks))
		flags = x87_pend(x, flags);
	x87_word_set(
	    c, X87_FSW, (old & ~X87_CC) | flags | x->cc | (x->st.c1 ? X87_C1 : 0) | (x->stack_fault ? X87_SF : 0));
	x86_put(c->s.fxsave + X87_FIP, 8, x86_insn_rip(c, x->i));
	return X86_OK;
}

/* The same for a result that goes to ST(0). */
X86_INLINE enum x86_rc x87_end_top(struct x87 *x, struct f80 v)
{
	enum x86_rc rc = x87_end(x);

	if (x87_writes(x))
		x87_set(x->c, 0, v);
	return rc;
}

/* A whole instruction: ST(0) becomes fn(ST(0)). */
typedef struct f80 (*x87_unary)(struct x87 *x, struct f80 a);
X86_INLINE enum x86_rc x87_replace_top(struct x86_cpu *c, const struct x86_insn *i, x87_unary fn)
{
	struct x87 x;
	enum x86_rc rc = x87_begin(&x, c, i);

	if (rc != X86_OK)
		return rc;
	return x87_end_top(&x, x87_empty(c, 0) ? x87_stack_fault(&x, false) : fn(&x, x87_get(c, 0)));
}

/* Operands in memory: the value in the 80-bit format where that is the same thing. It is not for denormals and NaNs. */
X86_INLINE bool x87_widen(uint64_t m, unsigned size, bool integer, struct f80 *v)
{
	unsigned fraction = size == 4 ? 23 : 52, top = size == 4 ? 0xff : 0x7ff, bias = top >> 1;
	unsigned e = (unsigned)(m >> fraction) & top;

	if (integer) {
		*v = sf_int_to_f80(size == 2 ? (int16_t)m : (int32_t)m);
		return true;
	}
	v->sig = SF_TOP | m << (63 - fraction);
	v->se = (uint16_t)((m >> (8 * size - 1) & 1) << 15 | (e + 16383 - bias));
	return e != 0 && e != top;
}

/* Register and memory forms; memory by operand size. */
#define X87_FAMILY(fam, reg, m2, m4, m8) const struct x86_family x86_fam_##fam = {{reg, reg, reg, reg, m2, m2, m4, m8}};

/* 10 bytes of memory. */
enum x86_rc x87_load80(struct x86_cpu *c, const struct x86_insn *i, struct f80 *v);
enum x86_rc x87_store80(struct x86_cpu *c, const struct x86_insn *i, struct f80 v);
/* Can the first field and the last of size bytes at the operand be accessed? */
enum x86_rc x87_probe_ends(struct x86_cpu *c, const struct x86_insn *i, unsigned size, enum x86_access how);
/* size bytes in pieces of piece bytes, all or nothing; at most 108. */
enum x86_rc x87_store_bytes(
    struct x86_cpu *c, const struct x86_insn *i, const uint8_t *bytes, unsigned size, unsigned piece);

#endif
