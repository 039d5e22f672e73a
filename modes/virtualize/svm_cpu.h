/*
 * The instructions that only the SVM backend needs: registers that VMRUN does not switch. core/metal/cpu.h has the
 * rest.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_SVM_CPU_H
#define VMSCOPE_MODES_VIRTUALIZE_SVM_CPU_H

#include "core/metal/cpu.h"

static inline uint64_t svm_xgetbv(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo | (uint64_t)hi << 32;
}

static inline void svm_xsetbv(uint64_t v)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline void svm_fxsave(void *p)
{
	__asm__ volatile("fxsaveq (%0)" : : "r"(p) : "memory");
}

static inline void svm_fxrstor(const void *p)
{
	__asm__ volatile("fxrstorq (%0)" : : "r"(p) : "memory");
}

static inline void svm_load_dr(unsigned n, uint64_t v)
{
	switch (n) {
	case 0:
		__asm__ volatile("mov %0, %%db0" : : "r"(v));
		break;
	case 1:
		__asm__ volatile("mov %0, %%db1" : : "r"(v));
		break;
	case 2:
		__asm__ volatile("mov %0, %%db2" : : "r"(v));
		break;
	default:
		__asm__ volatile("mov %0, %%db3" : : "r"(v));
	}
}

static inline uint64_t svm_store_dr(unsigned n)
{
	uint64_t v;

	switch (n) {
	case 0:
		__asm__ volatile("mov %%db0, %0" : "=r"(v));
		break;
	case 1:
		__asm__ volatile("mov %%db1, %0" : "=r"(v));
		break;
	case 2:
		__asm__ volatile("mov %%db2, %0" : "=r"(v));
		break;
	default:
		__asm__ volatile("mov %%db3, %0" : "=r"(v));
	}
	return v;
}

/* An interrupt that waits is taken here, by the VMM's own handler. STI takes effect after the instruction behind it. */
static inline void svm_take_interrupt(void)
{
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
}

#endif
