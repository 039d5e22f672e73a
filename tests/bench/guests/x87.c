/*
 * x87: extended-precision arithmetic on the register stack: polynomial, square root, division, comparison, conversion.
 */
#include "bench.h"

static void fpu_on(void)
{
	uint64_t cr0;
	__asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("movq %0, %%cr0" : : "r"((cr0 & ~0xcul) | 0x22)); /* EM and TS off, MP and NE on */
	__asm__ volatile("fninit");
}

static __attribute__((noinline)) uint32_t work(uint32_t n)
{
	long double s = 0.5L, v[16];
	uint32_t sum = 0;

	for (unsigned i = 0; i < 16; i++)
		v[i] = 1.0L + i / 16.0L;
	for (uint32_t round = 0; round < n; round++) {
		for (unsigned i = 0; i < 16; i++) {
			long double t = v[i];

			s = ((s * t + 0.25L) * t - 1.5L) * 0.125L;
			__asm__("fsqrt" : "+t"(t));
			v[i] = t + 1.0L / (2.0L + s * s);
			if (s > 4.0L)
				s -= 8.0L;
		}
		sum = sum * 31 + (uint32_t)(int64_t)(s * 1000.0L);
	}
	return sum;
}

void guest_main(void)
{
	need(FEATURE_FPU, "x87");
	fpu_on();
	result(work(arg("n", 20000)));
}
