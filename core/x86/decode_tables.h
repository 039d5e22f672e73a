/*
 * The opcode maps as data: what follows an opcode, how its operands are formed, and which family of handlers serves it.
 * Internal to the decoder.
 */
#ifndef VMSCOPE_CORE_X86_DECODE_TABLES_H
#define VMSCOPE_CORE_X86_DECODE_TABLES_H

#include "core/x86/exec.h"

/* What follows the opcode. */
enum decode_enc {
	ENC_NONE,
	ENC_M,	  /* ModRM (and SIB, displacement) */
	ENC_M_IB, /* ModRM, sign-extended byte */
	ENC_M_IZ, /* ModRM, immediate of the operand size (at most 4 bytes) */
	ENC_IB,	  /* sign-extended byte */
	ENC_IBU,  /* zero-extended byte */
	ENC_IZ,
	ENC_IV, /* immediate of the operand size, 8 bytes included */
	ENC_IW,
	ENC_IW_IB, /* ENTER */
	ENC_REL8,
	ENC_RELZ,
	ENC_MOFFS, /* offset of the address size */
	ENC_FAR	   /* offset of the operand size, selector */
};

/* Attributes of an opcode. */
#define A_BYTE (1u << 0)      /* operand size 1 */
#define A_RM8 (1u << 1)	      /* r/m is a byte, the other operand is not */
#define A_LOCK (1u << 2)      /* LOCK allowed when the destination is memory */
#define A_NO64 (1u << 3)      /* undefined in 64-bit mode */
#define A_ONLY64 (1u << 4)    /* undefined outside it */
#define A_D64 (1u << 5)	      /* operand size is 64 by default in 64-bit mode */
#define A_F64 (1u << 6)	      /* and cannot be changed there */
#define A_MEM (1u << 7)	      /* memory operand only */
#define A_REG (1u << 8)	      /* register operand only */
#define A_END (1u << 9)	      /* ends a block of straight-line code */
#define A_OREG (1u << 10)     /* register in the low three bits of the opcode */
#define A_MAX4 (1u << 11)     /* REX.W does not make it 8 */
#define A_NP (1u << 12)	      /* undefined with 66, F2 or F3 */
#define A_F3 (1u << 13)	      /* defined with F3 only */
#define A_MODX (1u << 14)     /* mod is ignored: always a register */
#define A_NATIVE (1u << 15)   /* operand size 8 in 64-bit mode, 4 elsewhere, whatever the prefixes */
#define A_ALT64 (1u << 16)    /* in 64-bit mode alt is used instead */
#define A_GROUP (1u << 17)    /* alt[ModRM.reg] continues */
#define A_REPALT (1u << 18)   /* with F2 or F3 alt is used instead */
#define A_IDSIZE (1u << 19)   /* three ids, for operand sizes 2, 4, 8 */
#define A_SREG (1u << 20)     /* segment register in bits 3-5 of the opcode */
#define A_REG_FULL (1u << 21) /* with A_BYTE: ModRM.reg is not a byte register */
#define A_CR (1u << 22)	      /* ModRM.reg is a control register that must exist */
#define A_DR (1u << 23)
#define A_TO_SREG (1u << 24) /* ModRM.reg is a segment register, not CS */
#define A_FROM_SREG (1u << 25)

struct decode_entry {
	const struct x86_family *fam; /* NULL and no group: undefined */
	const struct decode_entry *alt;
	uint32_t attr;
	uint16_t id;
	uint8_t enc;  /* enum decode_enc */
	uint8_t imm2; /* initial i->imm2 (segment register of LDS and its kin) */
};

extern const struct decode_entry x86_map_one[256], x86_map_0f[256];
/* Opcodes whose meaning depends on more than ModRM.reg: mandatory prefix, register or memory, ModRM.rm. NULL:
 * undefined. prefix is enum sse_prefix. */
const struct decode_entry *x86_map_0f01(unsigned modrm);
const struct decode_entry *x86_map_0fae(unsigned modrm, unsigned prefix);
const struct decode_entry *x86_map_0fc7(unsigned modrm, unsigned prefix, bool w);
const struct decode_entry *x86_map_0f38(unsigned opcode, unsigned prefix);
const struct decode_entry *x86_entry_pause(void);
const struct decode_entry *x86_entry_nop(void);

/* SSE: attributes beside the id. */
#define SSE_IMM (1u << 0)
#define SSE_MEM (1u << 1)
#define SSE_REG (1u << 2)
#define SSE_MMX (1u << 3)   /* works on MMX registers: other checks */
#define SSE_W (1u << 4)	    /* REX.W: the next id */
#define SSE_GROUP (1u << 5) /* shift by immediate: operation in ModRM.reg */
#define SSE_NOMODRM (1u << 6)

enum sse_prefix { SSE_NP, SSE_66, SSE_F3, SSE_F2 };

struct sse_entry {
	uint16_t id; /* 0: undefined */
	uint16_t attr;
	const struct x86_family *fam;
};

/* The entry of an SSE or MMX opcode; map is 1 to 3. *known is set when the opcode is one under any prefix. */
const struct sse_entry *x86_map_sse(unsigned map, unsigned opcode, unsigned prefix, bool *known);
/* A shift by immediate; id 0 if undefined. */
const struct sse_entry *x86_sse_shift(unsigned opcode, unsigned reg, unsigned prefix);
/* The id of an x87 instruction, 0 if undefined; its handlers. */
uint16_t x86_x87_id(unsigned opcode, unsigned modrm);
const struct x86_family *x86_x87_family(uint16_t id, unsigned opcode, bool mem);
unsigned x86_x87_opsize(uint16_t id, unsigned opcode, unsigned modrm, unsigned opsize);

#endif
