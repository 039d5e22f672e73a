/*
 * The opcode maps of x87 (D8-DF), MMX and SSE. SSE comes from sse.def. [SDM 2D "Escape Opcode Instructions"]
 */
#include "core/x86/decode_tables.h"

#include "core/x86/sse.h"

static const struct sse_entry sse_map[3][4][256] = {
#define SSE(map, prefix, op, id, attr) [(map)-1][SSE_##prefix][op] = {INSN_##id, attr, &x86_sse_##prefix##_##id},
#include "core/x86/sse.def"
#undef SSE
};

const struct sse_entry *x86_map_sse(unsigned map, unsigned opcode, unsigned prefix, bool *known)
{
	const struct sse_entry(*t)[256] = sse_map[map - 1];

	*known = t[SSE_NP][opcode].id || t[SSE_66][opcode].id || t[SSE_F3][opcode].id || t[SSE_F2][opcode].id;
	return &t[prefix][opcode];
}

#define SHIFT(prefix, id) [SSE_##prefix] = {INSN_##id, 0, &x86_sse_i_##prefix##_##id}
#define SHIFTS(id)                           \
	{                                    \
		SHIFT(NP, id), SHIFT(66, id) \
	}

/* [opcode - 71][ModRM.reg][prefix] */
static const struct sse_entry sse_shifts[3][8][4] = {
    {[2] = SHIFTS(PSRLW), [4] = SHIFTS(PSRAW), [6] = SHIFTS(PSLLW)},
    {[2] = SHIFTS(PSRLD), [4] = SHIFTS(PSRAD), [6] = SHIFTS(PSLLD)},
    {[2] = SHIFTS(PSRLQ), [3] = {SHIFT(66, PSRLDQ)}, [6] = SHIFTS(PSLLQ), [7] = {SHIFT(66, PSLLDQ)}},
};

const struct sse_entry *x86_sse_shift(unsigned opcode, unsigned reg, unsigned prefix)
{
	return &sse_shifts[opcode - 0x71][reg][prefix];
}

/* With a memory operand: [opcode - D8][ModRM.reg]. */
static const uint16_t x87_mem[8][8] = {
    {INSN_FADD, INSN_FMUL, INSN_FCOM, INSN_FCOMP, INSN_FSUB, INSN_FSUBR, INSN_FDIV, INSN_FDIVR},
    {INSN_FLD, 0, INSN_FST, INSN_FSTP, INSN_FLDENV, INSN_FLDCW, INSN_FNSTENV, INSN_FNSTCW},
    {INSN_FIADD, INSN_FIMUL, INSN_FICOM, INSN_FICOMP, INSN_FISUB, INSN_FISUBR, INSN_FIDIV, INSN_FIDIVR},
    {INSN_FILD, INSN_FISTTP, INSN_FIST, INSN_FISTP, 0, INSN_FLD, 0, INSN_FSTP},
    {INSN_FADD, INSN_FMUL, INSN_FCOM, INSN_FCOMP, INSN_FSUB, INSN_FSUBR, INSN_FDIV, INSN_FDIVR},
    {INSN_FLD, INSN_FISTTP, INSN_FST, INSN_FSTP, INSN_FRSTOR, 0, INSN_FNSAVE, INSN_FNSTSW},
    {INSN_FIADD, INSN_FIMUL, INSN_FICOM, INSN_FICOMP, INSN_FISUB, INSN_FISUBR, INSN_FIDIV, INSN_FIDIVR},
    {INSN_FILD, INSN_FISTTP, INSN_FIST, INSN_FISTP, INSN_FBLD, INSN_FILD, INSN_FBSTP, INSN_FISTP},
};

/* With registers, where ModRM.rm is a stack register. The aliases that the manual leaves out (DC D0 is FCOM, DF C8 is
 * FXCH, ...) exist in all processors. 0: see x87_one. */
static const uint16_t x87_reg[8][8] = {
    {INSN_FADD, INSN_FMUL, INSN_FCOM, INSN_FCOMP, INSN_FSUB, INSN_FSUBR, INSN_FDIV, INSN_FDIVR},
    {INSN_FLD, INSN_FXCH, 0, INSN_FSTP, 0, 0, 0, 0},
    {INSN_FCMOVB, INSN_FCMOVE, INSN_FCMOVBE, INSN_FCMOVU, 0, 0, 0, 0},
    {INSN_FCMOVNB, INSN_FCMOVNE, INSN_FCMOVNBE, INSN_FCMOVNU, 0, INSN_FUCOMI, INSN_FCOMI, 0},
    {INSN_FADD, INSN_FMUL, INSN_FCOM, INSN_FCOMP, INSN_FSUBR, INSN_FSUB, INSN_FDIVR, INSN_FDIV},
    {INSN_FFREE, INSN_FXCH, INSN_FST, INSN_FSTP, INSN_FUCOM, INSN_FUCOMP, 0, 0},
    {INSN_FADDP, INSN_FMULP, INSN_FCOMP, 0, INSN_FSUBRP, INSN_FSUBP, INSN_FDIVRP, INSN_FDIVP},
    {INSN_FFREEP, INSN_FXCH, INSN_FSTP, INSN_FSTP, 0, INSN_FUCOMIP, INSN_FCOMIP, 0},
};

/* The instructions that are one ModRM byte each. */
static const struct {
	uint8_t opcode, modrm;
	uint16_t id;
} x87_one[] = {
    {0xd9, 0xd0, INSN_FNOP},
    {0xd9, 0xe0, INSN_FCHS},
    {0xd9, 0xe1, INSN_FABS},
    {0xd9, 0xe4, INSN_FTST},
    {0xd9, 0xe5, INSN_FXAM},
    {0xd9, 0xe8, INSN_FLD1},
    {0xd9, 0xe9, INSN_FLDL2T},
    {0xd9, 0xea, INSN_FLDL2E},
    {0xd9, 0xeb, INSN_FLDPI},
    {0xd9, 0xec, INSN_FLDLG2},
    {0xd9, 0xed, INSN_FLDLN2},
    {0xd9, 0xee, INSN_FLDZ},
    {0xd9, 0xf0, INSN_F2XM1},
    {0xd9, 0xf1, INSN_FYL2X},
    {0xd9, 0xf2, INSN_FPTAN},
    {0xd9, 0xf3, INSN_FPATAN},
    {0xd9, 0xf4, INSN_FXTRACT},
    {0xd9, 0xf5, INSN_FPREM1},
    {0xd9, 0xf6, INSN_FDECSTP},
    {0xd9, 0xf7, INSN_FINCSTP},
    {0xd9, 0xf8, INSN_FPREM},
    {0xd9, 0xf9, INSN_FYL2XP1},
    {0xd9, 0xfa, INSN_FSQRT},
    {0xd9, 0xfb, INSN_FSINCOS},
    {0xd9, 0xfc, INSN_FRNDINT},
    {0xd9, 0xfd, INSN_FSCALE},
    {0xd9, 0xfe, INSN_FSIN},
    {0xd9, 0xff, INSN_FCOS},
    {0xda, 0xe9, INSN_FUCOMPP},
    {0xdb, 0xe0, INSN_FNENI},
    {0xdb, 0xe1, INSN_FNDISI},
    {0xdb, 0xe2, INSN_FNCLEX},
    {0xdb, 0xe3, INSN_FNINIT},
    {0xdb, 0xe4, INSN_FNSETPM},
    {0xde, 0xd9, INSN_FCOMPP},
    {0xdf, 0xe0, INSN_FNSTSW},
};

uint16_t x86_x87_id(unsigned opcode, unsigned modrm)
{
	unsigned reg = modrm >> 3 & 7;

	if (modrm < 0xc0)
		return x87_mem[opcode - 0xd8][reg];
	if (x87_reg[opcode - 0xd8][reg])
		return x87_reg[opcode - 0xd8][reg];
	for (unsigned k = 0; k < ARRAY_LEN(x87_one); k++)
		if (x87_one[k].opcode == opcode && x87_one[k].modrm == modrm)
			return x87_one[k].id;
	return 0;
}

/* Every x87 instruction is an id from FADD to FNSETPM; so is FWAIT, which is not decoded here. */
#define X87(id, family) [INSN_##id - INSN_FADD] = &x86_fam_##family
static const struct x86_family *const x87_families[INSN_FNSETPM - INSN_FADD + 1] = {
    X87(FADD, fadd),
    X87(FADDP, fadd),
    X87(FIADD, ifadd),
    X87(FMUL, fmul),
    X87(FMULP, fmul),
    X87(FIMUL, ifmul),
    X87(FSUB, fsub),
    X87(FSUBP, fsub),
    X87(FISUB, ifsub),
    X87(FSUBR, fsubr),
    X87(FSUBRP, fsubr),
    X87(FISUBR, ifsubr),
    X87(FDIV, fdiv),
    X87(FDIVP, fdiv),
    X87(FIDIV, ifdiv),
    X87(FDIVR, fdivr),
    X87(FDIVRP, fdivr),
    X87(FIDIVR, ifdivr),
    X87(FCOM, fcom),
    X87(FCOMP, fcomp),
    X87(FICOM, ifcom),
    X87(FICOMP, ifcomp),
    X87(FCOMPP, fcompp),
    X87(FUCOM, fucom),
    X87(FUCOMP, fucomp),
    X87(FUCOMPP, fucompp),
    X87(FCOMI, fcomi),
    X87(FCOMIP, fcomip),
    X87(FUCOMI, fucomi),
    X87(FUCOMIP, fucomip),
    X87(FTST, ftst),
    X87(FXAM, fxam),
    X87(FCHS, fchs),
    X87(FABS, fabs),
    X87(FSQRT, fsqrt),
    X87(FRNDINT, frndint),
    X87(FSCALE, fscale),
    X87(FPREM, fprem),
    X87(FPREM1, fprem1),
    X87(FXTRACT, fxtract),
    X87(F2XM1, f2xm1),
    X87(FYL2X, fyl2x),
    X87(FYL2XP1, fyl2xp1),
    X87(FPATAN, fpatan),
    X87(FSIN, fsin),
    X87(FCOS, fcos),
    X87(FSINCOS, fsincos),
    X87(FPTAN, fptan),
    X87(FLD, fld),
    X87(FILD, fild),
    X87(FBLD, fbld),
    X87(FST, fst),
    X87(FSTP, fstp),
    X87(FIST, fist),
    X87(FISTP, fistp),
    X87(FISTTP, fisttp),
    X87(FBSTP, fbstp),
    X87(FXCH, fxch),
    X87(FINCSTP, fincstp),
    X87(FDECSTP, fdecstp),
    X87(FFREE, ffree),
    X87(FFREEP, ffreep),
    X87(FNOP, fnop),
    X87(FNSTENV, fnstenv),
    X87(FLDENV, fldenv),
    X87(FNSAVE, fnsave),
    X87(FRSTOR, frstor),
    X87(FNINIT, fninit),
    X87(FNCLEX, fnclex),
    X87(FNSTCW, fnstcw),
    X87(FLDCW, fldcw),
    X87(FNSTSW, fnstsw),
    X87(FCMOVB, fcmov),
    X87(FCMOVE, fcmov),
    X87(FCMOVBE, fcmov),
    X87(FCMOVU, fcmov),
    X87(FCMOVNB, fcmov),
    X87(FCMOVNE, fcmov),
    X87(FCMOVNBE, fcmov),
    X87(FCMOVNU, fcmov),
    X87(FLD1, fld_constant),
    X87(FLDL2T, fld_constant),
    X87(FLDL2E, fld_constant),
    X87(FLDPI, fld_constant),
    X87(FLDLG2, fld_constant),
    X87(FLDLN2, fld_constant),
    X87(FLDZ, fld_constant),
    X87(FNENI, fpu_nop),
    X87(FNDISI, fpu_nop),
    X87(FNSETPM, fpu_nop),
};
#undef X87
/* Whoever adds one to insns.def adds its family here. */
_Static_assert(ARRAY_LEN(x87_families) == 91, "a family for each x87 instruction");

const struct x86_family *x86_x87_family(uint16_t id, unsigned opcode, bool mem)
{
	const struct x86_family *f = x87_families[id - INSN_FADD];

	if (mem && opcode == 0xdb && (id == INSN_FLD || id == INSN_FSTP))
		return id == INSN_FLD ? &x86_fam_fld_m80 : &x86_fam_fstp_m80;
	if (!mem && id == INSN_FNSTSW)
		return &x86_fam_fnstsw_ax;
	return f;
}

/* The size of numbers in memory goes by the opcode (D8 and D9: binary32, ...), but for 64-bit integers in DF; 80-bit
 * operands have handlers of their own. */
unsigned x86_x87_opsize(uint16_t id, unsigned opcode, unsigned modrm, unsigned opsize)
{
	static const uint8_t sizes[8] = {4, 4, 4, 4, 8, 8, 2, 2};

	switch (id) {
	case INSN_FNSTENV:
	case INSN_FLDENV:
	case INSN_FNSAVE:
	case INSN_FRSTOR:
		return opsize;
	case INSN_FILD:
	case INSN_FISTP:
		return opcode == 0xdf && (modrm >> 3 & 7) >= 5 ? 8 : sizes[opcode - 0xd8];
	default:
		return modrm < 0xc0 ? sizes[opcode - 0xd8] : 4;
	}
}
