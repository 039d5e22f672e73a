/*
 * A decoded instruction, as the executor, the block cache, audit and lockstep use it. 48 bytes, pointer to its handler
 * first. Decoding is pure: bytes and mode in, struct out; it never touches guest state.
 */
#ifndef VMSCOPE_CORE_X86_INSN_H
#define VMSCOPE_CORE_X86_INSN_H

#include "core/x86/cpu.h"

typedef enum x86_rc (*x86_handler)(struct x86_cpu *c, const struct x86_insn *i);

enum x86_insn_id {
#define INSN(id, mnemonic, class) INSN_##id,
#include "core/x86/insns.def"
#undef INSN
	INSN_COUNT
};

/* Popek-Goldberg classes live in core/sensitive.def; this is only what the executor needs. */
enum x86_insn_class {
	INSN_CLASS_PLAIN,
	INSN_CLASS_BRANCH,
	INSN_CLASS_SYSTEM,
	INSN_CLASS_IO,
	INSN_CLASS_STRING,
	INSN_CLASS_FPU,
	INSN_CLASS_INVALID
};

#define INSN_LOCK (1u << 0)
#define INSN_REP (1u << 1)   /* F3 */
#define INSN_REPNE (1u << 2) /* F2 */
#define INSN_MEM (1u << 3)   /* r/m operand is memory */
#define INSN_REX (1u << 4)   /* any REX prefix: SPL..DIL instead of AH..BH */
#define INSN_SEG_OVERRIDE (1u << 5)
#define INSN_RIP_REL (1u << 6)
#define INSN_ENDS_BLOCK (1u << 7) /* control flow or state change: last of its block */
#define INSN_OPSIZE66 (1u << 8)	  /* 66 prefix was there (mandatory-prefix decoding) */
#define INSN_IMM (1u << 9)

#define INSN_NO_REG 0xffu

struct x86_insn {
	x86_handler fn;
	union {
		const x86_handler *forms; /* as decoded: where fn stands in its struct x86_family (exec.h) */
		x86_handler go;		  /* in a block: executes this instruction and the rest of the block */
	};
	uint64_t imm; /* sign-extended as the instruction needs; far pointers: offset, selector in imm2 */
	int32_t disp;
	uint16_t id; /* enum x86_insn_id */
	uint16_t flags;
	uint16_t imm2; /* x87: the ModRM byte */
	uint8_t len;
	uint8_t opsize;	  /* 1, 2, 4, 8 */
	uint8_t addrsize; /* 2, 4, 8 */
	uint8_t seg;	  /* enum x86_sreg of the memory operand, override applied */
	uint8_t reg;	  /* ModRM.reg with REX.R (register number or opcode extension); bytes: see exec.h */
	uint8_t rm;	  /* ModRM.rm with REX.B (when not memory), or the register in the opcode; bytes: see exec.h */
	uint8_t base;	  /* INSN_NO_REG: none */
	uint8_t index;	  /* INSN_NO_REG: none */
	uint8_t scale;	  /* shift: 0..3 */
	uint8_t cond;	  /* Jcc, SETcc, CMOVcc */
	uint8_t opcode;	  /* last opcode byte */
	uint8_t map;	  /* 0 one-byte, 1 0F, 2 0F38, 3 0F3A */
	uint8_t class;	  /* enum x86_insn_class */
	uint8_t ahead;	  /* in a block: bytes from the block's start to the next instruction */
};

enum x86_decode_rc {
	DECODE_OK,
	DECODE_MORE /* bytes end inside the instruction */,
	DECODE_TOO_LONG /* > 15 bytes: #GP */
};

/* n bytes at p, default size code_size (2, 4, 8), mode for mode-dependent opcodes. An undefined opcode is DECODE_OK
 * with id INSN_UD_INVALID, whose handler raises #UD. */
enum x86_decode_rc x86_decode(const uint8_t *p, size_t n, unsigned code_size, enum x86_mode mode, struct x86_insn *out);
const char *x86_insn_name(uint16_t id);

/* Fetches and decodes the instruction at cs:rip: limit of CS, pages, length. X86_FAULT (#GP, #PF) or X86_EXIT when it
 * cannot be fetched. Changes no state. */
enum x86_rc x86_fetch_insn(struct x86_cpu *c, struct x86_insn *i);

#endif
