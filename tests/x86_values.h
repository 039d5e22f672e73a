/*
 * Random values for CPU tests, at which arithmetic is interesting: integers at their limits, numbers of every class and
 * at exponents where something happens, vectors of them, and whole FXSAVE images.
 */
#ifndef VMSCOPE_TESTS_X86_VALUES_H
#define VMSCOPE_TESTS_X86_VALUES_H

#include <stdint.h>

/* Offsets in the FXSAVE image. */
enum {
	AT_FCW = 0,
	AT_FSW = 2,
	AT_FTW = 4,
	AT_FOP = 6,
	AT_FIP = 8,
	AT_FDP = 16,
	AT_MXCSR = 24,
	AT_ST = 32,
	AT_XMM = 160
};

/* Every bit of z decides about every bit of the result, one to one. */
uint64_t rng_mix(uint64_t z);

/* A sequence of random numbers. Any two seeds and any two indices give unrelated ones. */
struct rng {
	uint64_t s;
};
void rng_at(struct rng *r, uint64_t seed, uint64_t index);
uint64_t rng_next(struct rng *r);
unsigned rng_below(struct rng *r, unsigned n);
/* An integer at which arithmetic is interesting, of 64 bits. */
uint64_t rng_value(struct rng *r);

/* What follows draws from the one sequence of this process. */
void rng_seed(uint64_t seed);
uint64_t rng(void);
unsigned below(unsigned n);
/* As rng_value(), zero-extended from 8, 16, 32 or 64 bits. */
uint64_t integer(unsigned bits);
/* A number of a format with these widths. */
uint64_t number(unsigned exp_bits, unsigned frac_bits);
/* 16 bytes: lanes of one kind. */
void vector(uint8_t *p);
uint32_t random_mxcsr(void);
/* xmm: how many registers are not left 0. */
void random_fx(unsigned xmm, uint8_t *fx);

#endif
