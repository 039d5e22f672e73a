/* A hash of what a case left in memory. */
#include <string.h>

#include "tests/oracle/oracle.h"

#define HASH_BLOCK 512u

static uint64_t hash_block(const uint8_t *b, uint64_t seed)
{
	uint64_t h[4] = {seed, seed + 1, seed + 2, seed + 3};

	for (size_t k = 0; k < HASH_BLOCK; k += 32) {
		uint64_t v[4];

		memcpy(v, b + k, 32);
		for (unsigned j = 0; j < 4; j++) {
			h[j] = (h[j] ^ v[j]) * 0x9e3779b97f4a7c15u;
			h[j] ^= h[j] >> 29;
		}
	}
	return rng_mix(h[0]) ^ rng_mix(h[1] + 1) ^ rng_mix(h[2] + 2) ^ rng_mix(h[3] + 3);
}

uint64_t orc_hash(const uint8_t *p, const uint8_t *base)
{
	uint64_t h = 0;

	for (unsigned k = 0; k < ORC_SCRATCH_SIZE; k += HASH_BLOCK)
		if (memcmp(p + k, base + k, HASH_BLOCK) != 0)
			h += hash_block(p + k, k);
	return h;
}
