/*
 * alu: arithmetic, logic, shifts and multiplications in registers, 32 and 64 bits wide.
 */
#include "bench.h"

void guest_main(void)
{
	uint32_t n = arg("n", 10000000);
	uint64_t a = 0x0123456789abcdef, b = 0xfedcba9876543210;
	uint32_t x = 1, y = 2;

	for (uint32_t i = 0; i < n; i++) {
		a += b ^ i;
		b = (b << 7 | b >> 57) - a;
		x = x * 1664525 + 1013904223;
		y ^= x >> 11;
		y += y << 3;
		a ^= (uint64_t)y * x;
		if (x & 0x10000)
			b += y & -y;
	}
	result((uint32_t)(a ^ b ^ a >> 32 ^ b >> 32) ^ x ^ y);
}
