/*
 * Which memory an instruction reads and writes: linear addresses from its operands and the registers before it. For
 * people, by Zydis; nothing is accessed.
 */
#ifndef VMSCOPE_TRACER_OPERANDS_H
#define VMSCOPE_TRACER_OPERANDS_H

#include "core/x86/state.h"

struct operand_memory {
	gva_t gva;
	unsigned size; /* bytes; 0: not known (REP, XSAVE) */
	bool read, write;
	bool stack; /* by PUSH, POP, CALL, RET and the like */
};
#define OPERANDS_MAX 4

/* bytes: at the instruction that s stands at. Returns how many there are; 0 also for what is no instruction. */
unsigned operands_memory(const struct x86_state *s, unsigned code_bits, const uint8_t *bytes, size_t n,
    struct operand_memory out[OPERANDS_MAX]);

#endif
