/*
 * sse2: double-precision products and sums, scalar and packed, packed integers, conversions. Compiled with SSE2.
 */
#include "bench.h"

#define N 256

typedef double v2d __attribute__((vector_size(16)));
typedef uint32_t v4u __attribute__((vector_size(16)));

static v2d x[N], y[N];
static v4u p[N];

static void sse_on(void)
{
	uint64_t cr0, cr4;
	__asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("movq %0, %%cr0" : : "r"((cr0 & ~4ul) | 2)); /* EM off, MP on */
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 | 0x600)); /* OSFXSR, OSXMMEXCPT */
}

static __attribute__((noinline)) uint32_t work(uint32_t n)
{
	uint32_t sum = 0;
	double acc = 1.0;

	for (uint32_t i = 0; i < N; i++) {
		x[i] = (v2d){i + 0.5, 3.0 - i};
		y[i] = (v2d){1.0 / (i + 1), i * 0.25};
		p[i] = (v4u){i, i * 3, i * 5, i * 7};
	}
	for (uint32_t round = 0; round < n; round++)
		for (uint32_t i = 0; i < N; i++) {
			x[i] = x[i] * 0.999 + y[i] * 0.5;
			acc = acc * 0.75 + x[i][0] - x[i][1] / 3.0;
			p[i] = (p[i] + p[(i + 1) % N]) ^ (p[i] >> 3);
			if (acc > 1e6 || acc < -1e6)
				acc = (double)(int32_t)round;
		}
	for (uint32_t i = 0; i < N; i++)
		sum = sum * 31 + p[i][0] + p[i][1] + p[i][2] + p[i][3] + (uint32_t)(int64_t)(x[i][0] * 1000.0);
	return sum + (uint32_t)(int64_t)(acc * 1000.0);
}

void guest_main(void)
{
	need(FEATURE_SSE2, "SSE2");
	sse_on();
	result(work(arg("n", 2000)));
}
