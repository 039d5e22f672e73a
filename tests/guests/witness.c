/*
 * witness: a quiet guest that runs beside a hostile one (hostile.c). It fills a MiB with a pattern, computes without
 * any exit, and looks again and again whether its memory, and the result of the computation, are what they must be. If
 * another guest can write here, or the VMM mixes up two guests' registers, this one says so and ends with 1.
 *
 * Parameters:  rounds=8    how often it computes and looks
 *              steps=100000   length of one computation
 */
#include "lib/rt.h"

#define WORDS (1u << 17) /* a MiB */

static uint64_t memory[WORDS];

/* One step of a full-period linear congruential generator; the constants are Knuth's (MMIX). */
static uint64_t step(uint64_t v)
{
	return v * 6364136223846793005ul + 1442695040888963407ul;
}

static uint64_t compute(uint64_t seed, uint32_t steps)
{
	while (steps--)
		seed = step(seed);
	return seed;
}

static void fill(void)
{
	uint64_t v = 1;

	for (uint32_t i = 0; i < WORDS; i++)
		memory[i] = v = step(v);
}

static void fail(const char *what, uint32_t where)
{
	put("witness: ");
	put(what);
	put_char(' ');
	put_hex(where);
	put_char('\n');
	guest_exit(1);
}

static void verify(void)
{
	uint64_t v = 1;

	for (uint32_t i = 0; i < WORDS; i++) {
		v = step(v);
		if (*(volatile uint64_t *)&memory[i] != v)
			fail("memory changed at", (uint32_t)(uintptr_t)&memory[i]);
	}
}

void guest_main(void)
{
	uint32_t rounds = arg("rounds", 8);
	uint32_t steps = arg("steps", 100000);
	uint64_t first = 0;

	fill();
	for (uint32_t r = 0; r < rounds; r++) {
		uint64_t seed = 1;

		__asm__("" : "+r"(seed)); /* computed anew each time */
		uint64_t v = compute(seed, steps);

		verify();
		if (r && v != first)
			fail("another result in round", r);
		first = v;
	}
	put("witness: intact, ");
	put_dec(rounds);
	put(" rounds, result ");
	put_hex((uint32_t)(first >> 32));
	put_hex((uint32_t)first);
	put_char('\n');
}
