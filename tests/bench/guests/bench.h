/*
 * What the guests of "make bench" share. Each does one kind of work n times over and prints a checksum of it, so that
 * two emulators can be seen to have done the same. Nothing depends on time.
 */
#ifndef VMSCOPE_BENCH_H
#define VMSCOPE_BENCH_H

#include "lib/rt.h"

/* Pseudo-random numbers that are the same everywhere (xorshift32). */
static inline uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static inline void result(uint32_t sum)
{
	put("checksum ");
	put_hex(sum);
	put_char('\n');
}

/* CPUID.1: EDX in the low half, ECX in the high half. */
static inline uint64_t cpu_features(void)
{
	uint32_t a = 1, b, c = 0, d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return d | (uint64_t)c << 32;
}
#define FEATURE_FPU (1ull << 0)
#define FEATURE_SSE2 (1ull << 26)

/* Ends the guest with a line that the bench knows: no ratio, and no error either. */
static inline void need(uint64_t feature, const char *name)
{
	if ((cpu_features() & feature) || arg("force", 0))
		return;
	put("this CPU has no ");
	put(name);
	put_char('\n');
	guest_exit(0);
}

static inline void write_cr3(const void *top)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(top) : "memory");
}
static inline void invlpg(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

#define PAGE 4096ul
#define PTE_PRESENT 1ul
#define PTE_WRITE 2ul
#define PTE_USER 4ul
#define AREA 0x8000000000ul /* the second entry of the top table: a guest's own mappings */

#endif
