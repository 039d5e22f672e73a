/*
 * The MP configuration table: how an operating system of before ACPI finds the CPUs and the interrupt controllers.
 */
#ifndef VMSCOPE_CORE_MPTABLE_H
#define VMSCOPE_CORE_MPTABLE_H

#include "core/types.h"

struct vm;

#define MPTABLE_MAX 512u

/* The floating pointer and the table behind it, as they are at guest-physical address base, a multiple of 16 in the
 * first MiB's ROM. Returns the length. */
unsigned mptable_build(const struct vm *vm, uint64_t base, uint8_t out[MPTABLE_MAX]);

#endif
