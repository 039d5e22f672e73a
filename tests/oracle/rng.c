/* Random numbers of a case: by seed and number. */
#include <string.h>

#include "tests/oracle/oracle.h"

#define HASH_BLOCK 512u

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void orc_rng_init(struct orc_rng *r, uint64_t seed, uint64_t index)
{
	r->s = mix(mix(seed + 0x9e3779b97f4a7c15u) ^ index);
}

uint64_t orc_rand(struct orc_rng *r)
{
	return mix(r->s += 0x9e3779b97f4a7c15u);
}

unsigned orc_below(struct orc_rng *r, unsigned n)
{
	return (unsigned)(((orc_rand(r) >> 32) * n) >> 32);
}

uint64_t orc_value(struct orc_rng *r)
{
	uint64_t v = orc_rand(r);

	switch (orc_below(r, 9)) {
	case 0:
		return v & 3;
	case 1:
		return 0 - (v & 3);
	case 2:
		return 1ull << (v & 63);
	case 3:
		return (1ull << (v & 63)) - 1;
	case 4:
		return v & 0xff;
	case 5:
		return v & 0xffff;
	case 6:
		return v & 0xffffffff;
	case 7:
		return (uint64_t)(int64_t)(int32_t)v;
	default:
		return v;
	}
}

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
	return mix(h[0]) ^ mix(h[1] + 1) ^ mix(h[2] + 2) ^ mix(h[3] + 3);
}

uint64_t orc_hash(const uint8_t *p, const uint8_t *base)
{
	uint64_t h = 0;

	for (unsigned k = 0; k < ORC_SCRATCH_SIZE; k += HASH_BLOCK)
		if (memcmp(p + k, base + k, HASH_BLOCK) != 0)
			h += hash_block(p + k, k);
	return h;
}
