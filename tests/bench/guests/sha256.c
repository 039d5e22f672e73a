/*
 * sha256: the hash, block after block [FIPS 180-4]. Long straight-line code with rotates and a table.
 */
#include "bench.h"

static uint32_t k[64];

static uint32_t ror(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

/* The constants are the fractions of cube roots of primes; ours need not be those of the standard to cost the same. */
static void constants(void)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 64; i++)
		k[i] = next_random(&seed);
}

static void block(uint32_t h[8], const uint32_t in[16])
{
	uint32_t w[64], s[8];

	for (unsigned i = 0; i < 16; i++)
		w[i] = __builtin_bswap32(in[i]);
	for (unsigned i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + (ror(a, 7) ^ ror(a, 18) ^ a >> 3) + w[i - 7] + (ror(b, 17) ^ ror(b, 19) ^ b >> 10);
	}
	for (unsigned i = 0; i < 8; i++)
		s[i] = h[i];
	for (unsigned i = 0; i < 64; i++) {
		uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
			      k[i] + w[i];
		uint32_t t2 =
		    (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		for (unsigned j = 7; j > 0; j--)
			s[j] = s[j - 1];
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += s[i];
}

void guest_main(void)
{
	uint32_t n = arg("n", 20000), h[8] = {1, 2, 3, 4, 5, 6, 7, 8}, in[16];

	constants();
	for (unsigned i = 0; i < 16; i++)
		in[i] = i;
	for (uint32_t round = 0; round < n; round++) {
		in[round & 15] ^= h[round & 7];
		block(h, in);
	}
	result(h[0] ^ h[1] ^ h[2] ^ h[3] ^ h[4] ^ h[5] ^ h[6] ^ h[7]);
}
