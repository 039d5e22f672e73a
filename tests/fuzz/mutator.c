/*
 * libFuzzer's door: its own mutations for a third of the inputs, ours for the others.
 */
#include "tests/fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed)
{
	static struct fuzz_input in;
	struct fuzz_rng r = {seed};

	if (fuzz_rnd(&r, 3) == 0)
		return LLVMFuzzerMutate(data, n, max);
	if (fuzz_rnd(&r, 40) == 0 || !fuzz_parse(&in, data, n))
		fuzz_random_input(&r, &in);
	else
		fuzz_mutate(&r, &in);
	n = fuzz_pack(&in, data, max);
	return n ? n : LLVMFuzzerMutate(data, 1, max);
}
