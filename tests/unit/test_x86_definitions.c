/*
 * The instructions that processors only approximate have one definition here, the same on every host (docs/FLOAT.md).
 * This pins it: a hash over the results of a fixed sequence of operands, for each instruction and each rounding mode.
 * No native code takes part, so the hashes are the same on every machine. That the definition is a good one is said
 * elsewhere: by test_x86_x87 and test_x86_sse, against this processor, and by tests/long/x87_functions.sh, against
 * exact arithmetic. Who changes the definition on purpose puts the hashes here that the failing test prints.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/x86/sse.h"
#include "core/x86/x87.h"
#include "tests/x86_fixture.h"

#define OPERANDS 3000u

static struct x86_fix *fix;

/* A sequence of this test's own, for the hashes are those of these operands. */
static uint64_t next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t hash(uint64_t h, uint64_t v)
{
	for (unsigned k = 0; k < 64; k += 8)
		h = (h ^ (v >> k & 0xff)) * 0x100000001b3u;
	return h;
}

/* ---- x87 ---- */

/* Exponents: near 1 as a rule, a quarter of them anywhere. Every eighth significand has few bits. */
static struct f80 operand(uint64_t *seed)
{
	uint64_t r = next(seed), exponent = r & 3 ? 16383 - 12 + (r >> 8) % 18 : r >> 8 & 0x7fff;
	struct f80 v = {next(seed) | SF_TOP, (uint16_t)((r >> 2 & 1) << 15 | exponent)};

	if ((r >> 3 & 7) == 0)
		v.sig &= ~0ull << (40 + (r >> 32) % 24);
	return v;
}

/* Where nothing is random, and what the tables of constants begin and end with. */
static const struct f80 special[] = {{0, 0}, {0, 0x8000}, {1, 0}, {SF_TOP, 0x7fff}, {SF_TOP, 0xffff}, {SF_TOP, 1},
    {0xc000000000000001, 0x7fff}, {0xa000000000000001, 0x7fff}, {SF_TOP, 16383}, {SF_TOP, 16383 | 0x8000},
    {SF_TOP, 16382}, {SF_TOP, 16384}, {0xc90fdaa22168c235, 16382}, {0xc90fdaa22168c235, 16383},
    {0xc90fdaa22168c234, 16384}, {~0ull, 16382}, {SF_TOP, 16383 + 63}};

static void x87_operands(struct x86_cpu *c, unsigned n, uint64_t *seed)
{
	struct f80 a = operand(seed), b = operand(seed);

	if (n < ARRAY_LEN(special) * ARRAY_LEN(special)) {
		a = special[n % ARRAY_LEN(special)];
		b = special[n / ARRAY_LEN(special)];
	}
	memset(c->s.fxsave, 0, sizeof(c->s.fxsave));
	x87_set(c, 0, a);
	x87_set(c, 1, b);
}

static uint64_t x87_results(const struct x86_cpu *c, uint64_t h)
{
	h = hash(h, x87_word(c, X87_FSW));
	for (unsigned k = 0; k < 8; k++) {
		h = hash(h, x87_get(c, k).sig);
		h = hash(h, x87_get(c, k).se);
	}
	return h;
}

static enum x86_rc x87_hash(const struct x86_insn *i, unsigned round, uint64_t *h)
{
	uint64_t seed = 1;

	for (unsigned n = 0; n < OPERANDS; n++) {
		enum x86_rc rc;

		x87_operands(fix->c, n, &seed);
		x87_word_set(fix->c, X87_FCW, X87_FCW_INIT | round << 10);
		rc = i->fn(fix->c, i);
		if (rc != X86_OK)
			return rc;
		*h = x87_results(fix->c, *h);
	}
	return X86_OK;
}

/* ---- SSE: the operand is XMM1, the result XMM0; half of them have an exponent between -8 and 7. ---- */

static enum x86_rc sse_hash(const struct x86_insn *i, unsigned round, uint64_t *h)
{
	uint64_t seed = 3;

	for (unsigned n = 0; n < OPERANDS; n++) {
		union x86_vec v;
		enum x86_rc rc;

		for (unsigned k = 0; k < 4; k++) {
			uint64_t r = next(&seed);

			v.u32[k] = (uint32_t)r;
			if (r >> 63)
				v.u32[k] = (v.u32[k] & 0x807fffff) | (uint32_t)(119 + (r >> 40 & 15)) << 23;
		}
		memset(fix->c->s.fxsave, 0, sizeof(fix->c->s.fxsave));
		x86_put(fix->c->s.fxsave + SSE_FX_MXCSR, 4, 0x1f80 | round << 13);
		x86_vec_set(fix->c, 16, 1, &v);
		rc = i->fn(fix->c, i);
		if (rc != X86_OK)
			return rc;
		x86_vec_get(fix->c, 16, 0, &v);
		*h = hash(hash(*h, v.u64[0]), v.u64[1]);
		*h = hash(*h, x86_get(fix->c->s.fxsave + SSE_FX_MXCSR, 1)); /* the flags, DAZ and IM */
	}
	return X86_OK;
}

/* ---- the hashes ---- */

static const struct definition {
	const char *name, *code;
	uint64_t hash[4]; /* by rounding control: to nearest, down, up, to zero; one of SSE, where MXCSR says nothing */
} definitions[] = {
    {"F2XM1", "\xd9\xf0", {0x863ae57dc074055d, 0x090a4c97b562dcb7, 0xca3f7a683688eabb, 0xf2ee157458f67d7f}},
    {"FYL2X", "\xd9\xf1", {0x88f6d675069c38c1, 0xf65d61d0ef72e6eb, 0x2c5f4eb9e2fc6481, 0xd18f949528204ddf}},
    {"FPTAN", "\xd9\xf2", {0x5cacb1dc3e756740, 0x4ff826600916c054, 0x04cdc14dc4e1aece, 0x25b4b256163cbebb}},
    {"FPATAN", "\xd9\xf3", {0x814a171720727713, 0xeee4c499b0becce4, 0x5c0d98c36f9a1b76, 0x984ca8bcc15bfe5b}},
    {"FYL2XP1", "\xd9\xf9", {0xb6cf8a4ac39490b1, 0xd6678e472644227f, 0x9b0dab34d165ace2, 0x0b1caf77997ed6f5}},
    {"FSINCOS", "\xd9\xfb", {0x1913b9d3d9b99d53, 0x7612b8328e29b948, 0x55dd7bf4a46db0f1, 0x031f4416fa4bf57a}},
    {"FSIN", "\xd9\xfe", {0x30de472496951b4a, 0x4e6ad6ac129cb1f9, 0x480fabd6649374cf, 0x270c267131464981}},
    {"FCOS", "\xd9\xff", {0x78c21bb689f029e2, 0xd72088db2ffafce2, 0xe427886d7d72ae29, 0xcbb3f008f4c42aec}},
    {"RCPPS", "\x0f\x53\xc1", {0xc208e75680608567}},
    {"RCPSS", "\xf3\x0f\x53\xc1", {0x1dfe946c6e1aae99}},
    {"RSQRTPS", "\x0f\x52\xc1", {0x1e3e1ed9e5439863}},
    {"RSQRTSS", "\xf3\x0f\x52\xc1", {0x72b8a4c9d2139c0f}},
};

static void results_are_those_of_the_definition(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(definitions); k++) {
		const struct definition *d = &definitions[k];
		bool sse = !d->hash[1];
		struct x86_insn i;
		uint64_t h[4];

		assert_int_equal(
		    x86_decode((const uint8_t *)d->code, strlen(d->code), 8, X86_MODE_LONG64, &i), DECODE_OK);
		for (unsigned round = 0; round < 4; round++) {
			h[round] = 0xcbf29ce484222325u;
			assert_int_equal((sse ? sse_hash : x87_hash)(&i, round, &h[round]), X86_OK);
		}
		if (sse ? h[0] == d->hash[0] && h[1] == h[0] && h[2] == h[0] && h[3] == h[0]
			: memcmp(h, d->hash, sizeof(h)) == 0)
			continue;
		wrong++;
		print_message("%s: 0x%016llx, 0x%016llx, 0x%016llx, 0x%016llx\n", d->name, (unsigned long long)h[0],
		    (unsigned long long)h[1], (unsigned long long)h[2], (unsigned long long)h[3]);
	}
	assert_int_equal(wrong, 0);
}

static int setup(void **state)
{
	(void)state;
	fix = x86_fix_new();
	x86_fix_long(fix, 0);
	fix->c->s.cr0 = (fix->c->s.cr0 | CR0_NE | CR0_MP) & ~(uint64_t)(CR0_EM | CR0_TS);
	fix->c->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
	x86_state_changed(fix->c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	x86_fix_free(fix);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(results_are_those_of_the_definition),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
