/*
 * Random instances of integer instructions for tests against the processor: the code, the registers that it begins
 * with, and memory that makes its operands interesting. Memory is the two scratch pages of tests/x86_native.h, which
 * exist in this process.
 */
#ifndef VMSCOPE_TESTS_X86_INT_INSTANCE_H
#define VMSCOPE_TESTS_X86_INT_INSTANCE_H

#include "core/x86/insn.h"

struct int_instance {
	uint8_t code[16];
	unsigned n;
	struct x86_insn i;
	uint64_t gpr[16], flags;
};

/* code_size is 8 or 4; the address is where the instruction will be executed. Before everything else. */
void int_instances_for(unsigned code_size, uint64_t insn_address);
/* False: no luck, this one cannot be used. */
bool int_instance_make(struct int_instance *t);
/* Address of the memory operand. */
uint64_t int_instance_ea(const struct int_instance *t);
/* Puts values into the scratch pages. */
void int_instance_fill_memory(const struct int_instance *t);
/* The processor of this machine has it. */
bool int_insn_exists(unsigned id);

#endif
