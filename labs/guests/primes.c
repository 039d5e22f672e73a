/*
 * primes: compute-bound. A sieve over the odd numbers below n, rounds times; prints the count and a checksum at the
 * end. Between its first and last line no instruction gives the VMM a reason to intervene: the guest for the efficiency
 * verdict.  Parameters: n=100000 rounds=1
 */
#include "lib/rt.h"

#define LIMIT 8000000u

static uint8_t composite[LIMIT / 2]; /* index i stands for 2i + 1 */

static void sieve(uint32_t n)
{
	uint32_t half = n / 2;
	for (uint32_t i = 0; i < half; i++)
		composite[i] = 0;
	for (uint32_t i = 1; (2 * i + 1) * (2 * i + 1) < n; i++)
		if (!composite[i])
			for (uint32_t j = 2 * i * (i + 1); j < half; j += 2 * i + 1)
				composite[j] = 1;
}

void guest_main(void)
{
	uint32_t n = arg("n", 100000);
	uint32_t rounds = arg("rounds", 1);
	if (n < 3 || n > LIMIT) {
		put("primes: n must be 3 to 8000000\n");
		guest_exit(1);
	}
	for (uint32_t r = 0; r < rounds; r++)
		sieve(n);
	uint32_t count = 1;
	uint32_t sum = 2; /* checksum: h = h * 31 + p over the primes in order, modulo 2^32 */
	for (uint32_t i = 1; i < n / 2; i++)
		if (!composite[i]) {
			count++;
			sum = sum * 31 + 2 * i + 1;
		}
	put("primes below ");
	put_dec(n);
	put(": ");
	put_dec(count);
	put(", checksum ");
	put_hex(sum);
	put_char('\n');
}
