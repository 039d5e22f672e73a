/*
 * The one-byte and two-byte opcode maps [SDM 2D "Opcode Map"]. Read this file beside that appendix: row by row it is
 * the same table. See decode_tables.h for the columns.
 */
#include "core/x86/decode_tables.h"

#include "core/x86/sys.h"

/* clang-format off */
#define SYS_FAMILY(name)                                                                                               \
	static const struct x86_family sys_##name = {{x86_op_##name, x86_op_##name, x86_op_##name, x86_op_##name,      \
	    x86_op_##name, x86_op_##name, x86_op_##name, x86_op_##name}};
X86_SYS_OPS(SYS_FAMILY)

#define E(fam, id, enc, attr) {&x86_fam_##fam, NULL, attr, INSN_##id, ENC_##enc, 0}
#define S(op, id, enc, attr) {&sys_##op, NULL, attr, INSN_##id, ENC_##enc, 0}
#define SEG(id, n, attr) {&sys_lds_family, NULL, A_MEM | (attr), INSN_##id, ENC_M, n}
#define ALT(fam, id, enc, attr, alt) {&x86_fam_##fam, alt, attr, INSN_##id, ENC_##enc, 0}
#define GRP(group, attr) {NULL, group, A_GROUP | (attr), 0, ENC_M, 0}

#define ALU(base, fam, id, lock)                                                                                       \
	[base] = E(fam##_rm_r, id, M, A_BYTE | (lock)), [(base) + 1] = E(fam##_rm_r, id, M, lock),                     \
	[(base) + 2] = E(fam##_r_rm, id, M, A_BYTE), [(base) + 3] = E(fam##_r_rm, id, M, 0),                           \
	[(base) + 4] = E(fam##_rm_i, id, IZ, A_BYTE), [(base) + 5] = E(fam##_rm_i, id, IZ, 0)

#define EIGHT(base, entry) [base] = entry, [(base) + 1] = entry, [(base) + 2] = entry, [(base) + 3] = entry,           \
	[(base) + 4] = entry, [(base) + 5] = entry, [(base) + 6] = entry, [(base) + 7] = entry

#define GROUP1(name, enc)                                                                                              \
static const struct decode_entry name[8] = {                                                                           \
	E(add_rm_i, ADD, enc, A_LOCK), E(or_rm_i, OR, enc, A_LOCK), E(adc_rm_i, ADC, enc, A_LOCK),                     \
	E(sbb_rm_i, SBB, enc, A_LOCK), E(and_rm_i, AND, enc, A_LOCK), E(sub_rm_i, SUB, enc, A_LOCK),                   \
	E(xor_rm_i, XOR, enc, A_LOCK), E(cmp_rm_i, CMP, enc, 0)}
GROUP1(group1_iz, M_IZ);
GROUP1(group1_ib, M_IB);
#define GROUP2(name, form, enc)                                                                                        \
static const struct decode_entry name[8] = {                                                                           \
	E(rol_##form, ROL, enc, 0), E(ror_##form, ROR, enc, 0), E(rcl_##form, RCL, enc, 0), E(rcr_##form, RCR, enc, 0),\
	E(shl_##form, SHL, enc, 0), E(shr_##form, SHR, enc, 0), E(shl_##form, SHL, enc, 0), E(sar_##form, SAR, enc, 0)}
GROUP2(group2_i, i, M_IB);
GROUP2(group2_1, 1, M);
GROUP2(group2_cl, cl, M);
static const struct decode_entry group1a[8] = {E(pop_rm, POP, M, A_D64)};
static const struct decode_entry group3[8] = {
	E(test_rm_i, TEST, M_IZ, 0), E(test_rm_i, TEST, M_IZ, 0), E(not, NOT, M, A_LOCK), E(neg, NEG, M, A_LOCK),
	E(mul, MUL, M, 0), E(imul1, IMUL, M, 0), E(div, DIV, M, 0), E(idiv, IDIV, M, 0)};
static const struct decode_entry group4[8] = {E(inc, INC, M, A_LOCK), E(dec, DEC, M, A_LOCK)};
static const struct decode_entry group5[8] = {
	E(inc, INC, M, A_LOCK), E(dec, DEC, M, A_LOCK), E(call_rm, CALL, M, A_F64 | A_END),
	S(call_far_mem, CALL_FAR, M, A_MEM | A_END), E(jmp_rm, JMP, M, A_F64 | A_END),
	S(jmp_far_mem, JMP_FAR, M, A_MEM | A_END), E(push_rm, PUSH, M, A_D64)};
static const struct decode_entry group6[8] = {
	S(sldt, SLDT, M, 0), S(str, STR, M, 0), S(lldt, LLDT, M, 0), S(ltr, LTR, M, 0),
	S(verr, VERR, M, 0), S(verw, VERW, M, 0)};
static const struct decode_entry group8[8] = {
	[4] = E(bt_i, BT, M_IB, 0), E(bts_i, BTS, M_IB, A_LOCK), E(btr_i, BTR, M_IB, A_LOCK), E(btc_i, BTC, M_IB, A_LOCK)};
static const struct decode_entry group11[8] = {E(mov_rm_i, MOV, M_IZ, 0)};
static const struct decode_entry movsxd = E(movsxd, MOVSXD, M, 0);
static const struct decode_entry rep_str[] = {
	E(rep_movs, MOVS, NONE, A_END), E(rep_cmps, CMPS, NONE, A_END), E(rep_stos, STOS, NONE, A_END),
	E(rep_lods, LODS, NONE, A_END), E(rep_scas, SCAS, NONE, A_END)};
#define STRING(base, fam, id, n)                                                                                       \
	[base] = ALT(fam, id, NONE, A_BYTE | A_REPALT, &rep_str[n]), [(base) + 1] = ALT(fam, id, NONE, A_REPALT, &rep_str[n])
#define COND(T, base) T(base, 0, o, O), T(base, 1, no, NO), T(base, 2, b, B), T(base, 3, nb, NB), T(base, 4, z, Z),    \
	T(base, 5, nz, NZ), T(base, 6, be, BE), T(base, 7, nbe, NBE), T(base, 8, s, S), T(base, 9, ns, NS),            \
	T(base, 10, p, P), T(base, 11, np, NP), T(base, 12, l, L), T(base, 13, nl, NL), T(base, 14, le, LE),           \
	T(base, 15, nle, NLE)
#define J8(base, n, lower, upper) [(base) + n] = E(j##lower, J##upper, REL8, A_F64 | A_END)
#define JZ(base, n, lower, upper) [(base) + n] = E(j##lower, J##upper, RELZ, A_F64 | A_END)
#define SETCC(base, n, lower, upper) [(base) + n] = E(setcc, SET##upper, M, A_BYTE)
#define CMOVCC(base, n, lower, upper) [(base) + n] = E(cmov, CMOV##upper, M, 0)

/* 26 2E 36 3E 64 65 66 67 F0 F2 F3, and 40-4F in 64-bit mode, are prefixes: the decoder has taken them. */
const struct decode_entry x86_map_one[256] = {
	ALU(0x00, add, ADD, A_LOCK), [0x06] = S(push_sreg, PUSH_SREG, NONE, A_NO64 | A_SREG), S(pop_sreg, POP_SREG, NONE, A_NO64 | A_SREG),
	ALU(0x08, or, OR, A_LOCK), [0x0e] = S(push_sreg, PUSH_SREG, NONE, A_NO64 | A_SREG),
	ALU(0x10, adc, ADC, A_LOCK), [0x16] = S(push_sreg, PUSH_SREG, NONE, A_NO64 | A_SREG), S(pop_sreg, POP_SREG, NONE, A_NO64 | A_SREG | A_END),
	ALU(0x18, sbb, SBB, A_LOCK), [0x1e] = S(push_sreg, PUSH_SREG, NONE, A_NO64 | A_SREG), S(pop_sreg, POP_SREG, NONE, A_NO64 | A_SREG),
	ALU(0x20, and, AND, A_LOCK), [0x27] = E(daa, DAA, NONE, A_NO64),
	ALU(0x28, sub, SUB, A_LOCK), [0x2f] = E(das, DAS, NONE, A_NO64),
	ALU(0x30, xor, XOR, A_LOCK), [0x37] = E(aaa, AAA, NONE, A_NO64),
	ALU(0x38, cmp, CMP, 0), [0x3f] = E(aas, AAS, NONE, A_NO64),
	EIGHT(0x40, E(inc, INC, NONE, A_NO64 | A_OREG)),
	EIGHT(0x48, E(dec, DEC, NONE, A_NO64 | A_OREG)),
	EIGHT(0x50, E(push_rm, PUSH, NONE, A_D64 | A_OREG)),
	EIGHT(0x58, E(pop_rm, POP, NONE, A_D64 | A_OREG)),
	[0x60] = E(pusha, PUSHA, NONE, A_NO64), E(popa, POPA, NONE, A_NO64), E(bound, BOUND, M, A_NO64 | A_MEM),
	{&sys_arpl, &movsxd, A_ALT64, INSN_ARPL, ENC_M, 0},
	[0x68] = E(push_i, PUSH, IZ, A_D64), E(imul3, IMUL, M_IZ, 0), E(push_i, PUSH, IB, A_D64), E(imul3, IMUL, M_IB, 0),
	[0x6c] = S(ins, INS, NONE, A_BYTE), S(ins, INS, NONE, A_MAX4), S(outs, OUTS, NONE, A_BYTE), S(outs, OUTS, NONE, A_MAX4),
	COND(J8, 0x70),
	[0x80] = GRP(group1_iz, A_BYTE), GRP(group1_iz, 0), GRP(group1_iz, A_BYTE | A_NO64), GRP(group1_ib, 0),
	[0x84] = E(test_rm_r, TEST, M, A_BYTE), E(test_rm_r, TEST, M, 0), E(xchg, XCHG, M, A_BYTE | A_LOCK), E(xchg, XCHG, M, A_LOCK),
	[0x88] = E(mov_rm_r, MOV, M, A_BYTE), E(mov_rm_r, MOV, M, 0), E(mov_r_rm, MOV, M, A_BYTE), E(mov_r_rm, MOV, M, 0),
	[0x8c] = S(mov_from_sreg, MOV_SREG, M, A_FROM_SREG), E(lea, LEA, M, A_MEM), S(mov_to_sreg, MOV_SREG, M, A_TO_SREG), GRP(group1a, 0),
	EIGHT(0x90, E(xchg, XCHG, NONE, A_OREG)),
	[0x98] = E(cbw, CBW, NONE, A_IDSIZE), E(cwd, CWD, NONE, A_IDSIZE), S(call_far_ptr, CALL_FAR, FAR, A_NO64 | A_END), E(fwait, FWAIT, NONE, 0),
	[0x9c] = S(pushf, PUSHF, NONE, A_D64), S(popf, POPF, NONE, A_D64 | A_END), E(sahf, SAHF, NONE, 0), E(lahf, LAHF, NONE, 0),
	[0xa0] = E(mov_acc_moffs, MOV, MOFFS, A_BYTE), E(mov_acc_moffs, MOV, MOFFS, 0), E(mov_moffs_acc, MOV, MOFFS, A_BYTE), E(mov_moffs_acc, MOV, MOFFS, 0),
	STRING(0xa4, movs, MOVS, 0), STRING(0xa6, cmps, CMPS, 1),
	[0xa8] = E(test_rm_i, TEST, IZ, A_BYTE), E(test_rm_i, TEST, IZ, 0),
	STRING(0xaa, stos, STOS, 2), STRING(0xac, lods, LODS, 3), STRING(0xae, scas, SCAS, 4),
	EIGHT(0xb0, E(mov_rm_i, MOV, IV, A_BYTE | A_OREG)),
	EIGHT(0xb8, E(mov_rm_i, MOV, IV, A_OREG)),
	[0xc0] = GRP(group2_i, A_BYTE), GRP(group2_i, 0), E(ret, RET, IW, A_F64 | A_END), E(ret, RET, NONE, A_F64 | A_END),
	[0xc4] = SEG(LES, X86_ES, A_NO64), SEG(LDS, X86_DS, A_NO64), GRP(group11, A_BYTE), GRP(group11, 0),
	[0xc8] = E(enter, ENTER, IW_IB, A_D64), E(leave, LEAVE, NONE, A_D64), S(ret_far, RET_FAR, IW, A_END), S(ret_far, RET_FAR, NONE, A_END),
	[0xcc] = S(int3, INT3, NONE, A_END), S(int_n, INT_N, IBU, A_END), S(into, INTO, NONE, A_NO64 | A_END), S(iret, IRET, NONE, A_END),
	[0xd0] = GRP(group2_1, A_BYTE), GRP(group2_1, 0), GRP(group2_cl, A_BYTE), GRP(group2_cl, 0),
	[0xd4] = E(aam, AAM, IBU, A_NO64), E(aad, AAD, IBU, A_NO64), E(salc, SALC, NONE, A_NO64), E(xlat, XLAT, NONE, A_BYTE),
	/* D8 to DF: decode_fpu.c */
	[0xe0] = E(loopnz, LOOPNZ, REL8, A_F64 | A_END), E(loopz, LOOPZ, REL8, A_F64 | A_END), E(loop, LOOP, REL8, A_F64 | A_END), E(jcxz, JCXZ, REL8, A_F64 | A_END),
	[0xe4] = S(in, IN, IBU, A_BYTE), S(in, IN, IBU, A_MAX4), S(out, OUT, IBU, A_BYTE), S(out, OUT, IBU, A_MAX4),
	[0xe8] = E(call_rel, CALL, RELZ, A_F64 | A_END), E(jmp_rel, JMP, RELZ, A_F64 | A_END), S(jmp_far_ptr, JMP_FAR, FAR, A_NO64 | A_END), E(jmp_rel, JMP, REL8, A_F64 | A_END),
	[0xec] = S(in, IN, NONE, A_BYTE), S(in, IN, NONE, A_MAX4), S(out, OUT, NONE, A_BYTE), S(out, OUT, NONE, A_MAX4),
	[0xf1] = S(int1, INT1, NONE, A_END),
	[0xf4] = S(hlt, HLT, NONE, A_END), E(cmc, CMC, NONE, 0), GRP(group3, A_BYTE), GRP(group3, 0),
	[0xf8] = E(clc, CLC, NONE, 0), E(stc, STC, NONE, 0), S(cli, CLI, NONE, 0), S(sti, STI, NONE, A_END),
	[0xfc] = E(cld, CLD, NONE, 0), E(std, STD, NONE, 0), GRP(group4, A_BYTE), GRP(group5, 0),
};

static const struct decode_entry group_prefetch[8] = {
	E(nop, PREFETCH, M, 0), E(nop, PREFETCH, M, 0), E(nop, PREFETCH, M, 0), E(nop, PREFETCH, M, 0),
	E(nop, NOP, M, 0), E(nop, NOP, M, 0), E(nop, NOP, M, 0), E(nop, NOP, M, 0)};

/* Opcodes of MMX and SSE are in sse.def; 01 AE C7 in the functions below. */
const struct decode_entry x86_map_0f[256] = {
	[0x00] = GRP(group6, 0), [0x02] = S(lar, LAR, M, 0), S(lsl, LSL, M, 0),
	[0x05] = S(syscall, SYSCALL, NONE, A_END), S(clts, CLTS, NONE, A_END), S(sysret, SYSRET, NONE, A_END),
	[0x08] = S(invd, INVD, NONE, 0), S(wbinvd, WBINVD, NONE, 0), [0x0b] = E(ud, UD2, NONE, A_END), [0x0d] = E(nop, PREFETCH, M, 0),
	[0x18] = GRP(group_prefetch, 0), E(nop, NOP, M, 0), E(nop, NOP, M, 0), E(nop, NOP, M, 0), E(nop, NOP, M, 0), E(nop, NOP, M, 0), E(nop, NOP, M, 0), E(nop, NOP, M, 0),
	[0x20] = S(mov_from_cr, MOV_CR, M, A_NATIVE | A_MODX | A_CR), S(mov_from_dr, MOV_DR, M, A_NATIVE | A_MODX | A_DR),
	[0x22] = S(mov_to_cr, MOV_CR, M, A_NATIVE | A_MODX | A_CR | A_END), S(mov_to_dr, MOV_DR, M, A_NATIVE | A_MODX | A_DR | A_END),
	[0x30] = S(wrmsr, WRMSR, NONE, A_END), S(rdtsc, RDTSC, NONE, 0), S(rdmsr, RDMSR, NONE, 0), S(rdpmc, RDPMC, NONE, 0),
	[0x34] = S(sysenter, SYSENTER, NONE, A_END), S(sysexit, SYSEXIT, NONE, A_END), [0x37] = S(getsec, GETSEC, NONE, A_NP | A_END),
	COND(CMOVCC, 0x40),
	[0x78] = S(vmx, VMREAD, M, A_NATIVE | A_NP | A_END), S(vmx, VMWRITE, M, A_NATIVE | A_NP | A_END),
	COND(JZ, 0x80),
	COND(SETCC, 0x90),
	[0xa0] = S(push_sreg, PUSH_SREG, NONE, A_D64 | A_SREG), S(pop_sreg, POP_SREG, NONE, A_D64 | A_SREG), S(cpuid, CPUID, NONE, 0), E(bt_r, BT, M, 0),
	[0xa4] = E(shld_i, SHLD, M_IB, 0), E(shld_cl, SHLD, M, 0),
	[0xa8] = S(push_sreg, PUSH_SREG, NONE, A_D64 | A_SREG), S(pop_sreg, POP_SREG, NONE, A_D64 | A_SREG), S(rsm, RSM, NONE, A_END), E(bts_r, BTS, M, A_LOCK),
	[0xac] = E(shrd_i, SHRD, M_IB, 0), E(shrd_cl, SHRD, M, 0), [0xaf] = E(imul2, IMUL, M, 0),
	[0xb0] = E(cmpxchg, CMPXCHG, M, A_BYTE | A_LOCK), E(cmpxchg, CMPXCHG, M, A_LOCK), SEG(LSS, X86_SS, A_END), E(btr_r, BTR, M, A_LOCK),
	[0xb4] = SEG(LFS, X86_FS, 0), SEG(LGS, X86_GS, 0), E(movzx1, MOVZX, M, A_RM8), E(movzx2, MOVZX, M, 0),
	[0xb8] = E(popcnt, POPCNT, M, A_F3), E(ud, UD1, M, A_END), GRP(group8, 0), E(btc_r, BTC, M, A_LOCK),
	[0xbc] = E(bsf, BSF, M, 0), E(bsr, BSR, M, 0), E(movsx1, MOVSX, M, A_RM8), E(movsx2, MOVSX, M, 0),
	[0xc0] = E(xadd, XADD, M, A_BYTE | A_LOCK), E(xadd, XADD, M, A_LOCK), [0xc3] = E(mov_rm_r, MOVNTI, M, A_MEM | A_NP | A_MIN4),
	EIGHT(0xc8, E(bswap, BSWAP, NONE, A_OREG)),
	[0xff] = E(ud, UD0, M, A_END),
};

static const struct decode_entry group7_mem[8] = {
	S(sgdt, SGDT, M, 0), S(sidt, SIDT, M, 0), S(lgdt, LGDT, M, 0), S(lidt, LIDT, M, 0),
	S(smsw, SMSW, M, 0), {0}, S(lmsw, LMSW, M, A_END), S(invlpg, INVLPG, M, A_END)};
static const struct decode_entry group7_reg[64] = {
	[0x01] = S(vmx, VMCALL, M, A_NP | A_END), S(vmx, VMLAUNCH, M, A_NP | A_END), S(vmx, VMRESUME, M, A_NP | A_END), S(vmx, VMXOFF, M, A_NP | A_END),
	[0x08] = S(monitor, MONITOR, M, A_NP), S(mwait, MWAIT, M, A_NP | A_END), S(clac, CLAC, M, A_NP), S(stac, STAC, M, A_NP),
	[0x10] = S(xgetbv, XGETBV, M, A_NP), S(xsetbv, XSETBV, M, A_NP | A_END), [0x14] = S(vmx, VMFUNC, M, A_NP | A_END),
	[0x18] = S(vmx, VMRUN, M, A_END), S(vmx, VMMCALL, M, A_END), S(vmx, VMLOAD, M, A_END), S(vmx, VMSAVE, M, A_END),
	S(vmx, STGI, M, A_END), S(vmx, CLGI, M, A_END), S(vmx, SKINIT, M, A_END), S(vmx, INVLPGA, M, A_END),
	EIGHT(0x20, S(smsw, SMSW, M, 0)), [0x2e] = S(rdpkru, RDPKRU, M, A_NP), S(wrpkru, WRPKRU, M, A_NP), EIGHT(0x30, S(lmsw, LMSW, M, A_END)),
	[0x38] = S(swapgs, SWAPGS, M, A_ONLY64), S(rdtscp, RDTSCP, M, 0),
};

const struct decode_entry *x86_map_0f01(unsigned modrm)
{
	return modrm < 0xc0 ? &group7_mem[modrm >> 3 & 7] : &group7_reg[modrm & 63];
}

static const struct decode_entry group15_mem[8] = {
	E(fxsave, FXSAVE, M, A_NP), E(fxrstor, FXRSTOR, M, A_NP), E(ldmxcsr, LDMXCSR, M, A_NP), E(stmxcsr, STMXCSR, M, A_NP),
	E(xsave, XSAVE, M, A_NP), E(xrstor, XRSTOR, M, A_NP), E(xsaveopt, XSAVEOPT, M, A_NP), E(clflush, CLFLUSH, M, A_NP)};
static const struct decode_entry group15_reg[8] = {
	[5] = E(nop, LFENCE, M, A_NP), E(nop, MFENCE, M, A_NP), E(nop, SFENCE, M, A_NP)};
static const struct decode_entry group15_f3[8] = {
	S(rdfsbase, RDFSBASE, M, A_ONLY64 | A_MIN4), S(rdgsbase, RDGSBASE, M, A_ONLY64 | A_MIN4), S(wrfsbase, WRFSBASE, M, A_ONLY64 | A_MIN4), S(wrgsbase, WRGSBASE, M, A_ONLY64 | A_MIN4)};

const struct decode_entry *x86_map_0fae(unsigned modrm, unsigned prefix)
{
	unsigned reg = modrm >> 3 & 7;

	if (modrm < 0xc0)
		return &group15_mem[reg];
	return prefix == SSE_F3 ? &group15_f3[reg] : &group15_reg[reg];
}

static const struct decode_entry group9_cmpxchg8b = E(cmpxchg8b, CMPXCHG8B, M, A_LOCK);
static const struct decode_entry group9_cmpxchg16b = E(cmpxchg16b, CMPXCHG16B, M, A_LOCK);
static const struct decode_entry group9_vm[4] = {
	S(vmx, VMPTRLD, M, A_NATIVE | A_END), S(vmx, VMCLEAR, M, A_NATIVE | A_END), S(vmx, VMXON, M, A_NATIVE | A_END), {0}};
static const struct decode_entry group9_vmptrst = S(vmx, VMPTRST, M, A_NATIVE | A_NP | A_END);
static const struct decode_entry group9_rdrand = S(rdrand, RDRAND, M, 0);
static const struct decode_entry group9_rdseed = S(rdseed, RDSEED, M, 0);

const struct decode_entry *x86_map_0fc7(unsigned modrm, unsigned prefix, bool w)
{
	unsigned reg = modrm >> 3 & 7;

	if (modrm < 0xc0) {
		if (reg == 1)
			return w ? &group9_cmpxchg16b : &group9_cmpxchg8b;
		return reg == 6 ? &group9_vm[prefix] : reg == 7 ? &group9_vmptrst : NULL;
	}
	if (prefix == SSE_F3 || prefix == SSE_F2)
		return NULL;
	return reg == 6 ? &group9_rdrand : reg == 7 ? &group9_rdseed : NULL;
}

static const struct decode_entry map38_vmx[3] = {
	S(vmx, INVEPT, M, A_MEM | A_NATIVE | A_END), S(vmx, INVVPID, M, A_MEM | A_NATIVE | A_END), S(invpcid, INVPCID, M, A_MEM | A_NATIVE | A_END)};
static const struct decode_entry map38_movbe[2] = {E(movbe_load, MOVBE, M, A_MEM), E(movbe_store, MOVBE, M, A_MEM)};
static const struct decode_entry map38_crc32[2] = {E(crc32, CRC32, M, A_BYTE | A_REG_FULL), E(crc32, CRC32, M, 0)};

/* The part of 0F38 that is no SSE. */
const struct decode_entry *x86_map_0f38(unsigned opcode, unsigned prefix)
{
	if (opcode >= 0x80 && opcode <= 0x82)
		return prefix == SSE_66 ? &map38_vmx[opcode & 3] : NULL;
	if (opcode != 0xf0 && opcode != 0xf1)
		return NULL;
	if (prefix == SSE_F2)
		return &map38_crc32[opcode & 1];
	return prefix == SSE_F3 ? NULL : &map38_movbe[opcode & 1];
}

static const struct decode_entry entry_pause = S(pause, PAUSE, NONE, 0), entry_nop = E(nop, NOP, NONE, 0);

const struct decode_entry *x86_entry_pause(void)
{
	return &entry_pause;
}

const struct decode_entry *x86_entry_nop(void)
{
	return &entry_nop;
}
