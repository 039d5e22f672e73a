/*
 * sieve: byte stores at a growing stride, over the odd numbers below 2 million.
 */
#include "bench.h"

#define HALF 1000000u

static uint8_t composite[HALF]; /* index i stands for 2i + 1 */

void guest_main(void)
{
	uint32_t n = arg("n", 20), sum = 0;

	for (uint32_t round = 0; round < n; round++) {
		for (uint32_t i = 0; i < HALF; i++)
			composite[i] = 0;
		for (uint32_t i = 1; (2 * i + 1) * (2 * i + 1) < 2 * HALF; i++)
			if (!composite[i])
				for (uint32_t j = 2 * i * (i + 1); j < HALF; j += 2 * i + 1)
					composite[j] = 1;
		for (uint32_t i = 1; i < HALF; i++)
			sum += !composite[i];
	}
	result(sum);
}
