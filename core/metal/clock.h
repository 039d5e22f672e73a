/*
 * Ticks and nanoseconds: products of 128 bits, so that a rate of gigahertz does not overflow after some seconds.
 */
#ifndef VMSCOPE_CORE_METAL_CLOCK_H
#define VMSCOPE_CORE_METAL_CLOCK_H

#include "core/types.h"

/* a * b / c, rounded down; UINT64_MAX when that has more than 64 bits. c is not 0. (The compiler would call a library
 * function for a 128-bit division.) */
static inline uint64_t muldiv64(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	uint64_t q, r, hi = (uint64_t)(product >> 64);

	if (hi >= c)
		return UINT64_MAX;
	__asm__("divq %4" : "=a"(q), "=d"(r) : "a"((uint64_t)product), "d"(hi), "r"(c) : "cc");
	return q;
}

uint64_t metal_now_ns(void); /* since boot */

#endif
