/* Instructions of processors that are later than our CPU model, or of other vendors. */
#ifndef VMSCOPE_TESTS_FOREIGN_H
#define VMSCOPE_TESTS_FOREIGN_H

#include <stdbool.h>

#include <Zydis/Zydis.h>

/* Valid for Zydis, undefined for the CPU that we model. */
bool foreign_instruction(const ZydisDecodedInstruction *z);

#endif
