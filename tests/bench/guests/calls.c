/*
 * calls: recursion. Two calls, two returns and a few pushes for each number of Fibonacci and Ackermann.
 */
#include "bench.h"

static __attribute__((noinline)) uint32_t fib(uint32_t n)
{
	uint32_t a, b;

	if (n < 2)
		return n;
	a = fib(n - 1);
	__asm__ volatile("" : "+r"(a)); /* keeps the compiler from turning one of them into a loop */
	b = fib(n - 2);
	__asm__ volatile("" : "+r"(b));
	return a + b;
}

static __attribute__((noinline)) uint32_t ackermann(uint32_t m, uint32_t n)
{
	if (m == 0)
		return n + 1;
	uint32_t k = n == 0 ? 1 : ackermann(m, n - 1);
	__asm__ volatile("" : "+r"(k));
	uint32_t r = ackermann(m - 1, k);
	__asm__ volatile("" : "+r"(r));
	return r;
}

void guest_main(void)
{
	uint32_t n = arg("n", 200), sum = 0;

	for (uint32_t round = 0; round < n; round++)
		sum = sum * 31 + fib(22) + ackermann(2, 40);
	result(sum);
}
