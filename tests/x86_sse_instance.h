/*
 * Random instances of MMX and SSE instructions for tests against the processor: the code, the registers that it begins
 * with, and memory that makes its operands interesting. Memory is the two scratch pages of tests/x86_native.h, which
 * exist in this process.
 */
#ifndef VMSCOPE_TESTS_X86_SSE_INSTANCE_H
#define VMSCOPE_TESTS_X86_SSE_INSTANCE_H

#include "core/x86/insn.h"

/* The rows of core/x86/sse.def, then what loads and stores the state. */
struct sse_row {
	const char *name; /* mandatory prefix and id */
	uint8_t map, prefix, opcode;
	uint16_t id, attr;
	uint8_t ext; /* ModRM.reg + 1 where it is part of the opcode */
};
extern const struct sse_row sse_rows[];
#define SSE_ROWS 400u /* at most */
unsigned sse_row_count(void);

struct instance {
	unsigned row;
	uint8_t code[16];
	unsigned n;
	struct x86_insn i;
	uint64_t gpr[16], flags;
	uint8_t fx[512];
};

/* code_size is 8 or 4; the address is where the instruction will be executed. Before everything else. */
void instances_for(unsigned code_size, uint64_t insn_address);
/* False: no luck, this one cannot be used. t->row is given; everything else is filled in. */
bool instance_make(struct instance *t);
/* Address of the memory operand. */
uint64_t instance_ea(const struct instance *t);
/* Puts values where the operand is. */
void instance_fill_memory(const struct instance *t);

#endif
