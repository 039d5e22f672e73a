/*
 * x87_functions COUNT SEED: the transcendental instructions on random operands, by our CPU, one line each:
 *
 *   INSTRUCTION RC ST(0) ST(1) -> ST(0) ST(1)
 *
 * RC is the rounding control; a register is sign and exponent, colon, significand, in hexadecimal. For
 * tests/long/x87_functions.sh, which compares them with exact results.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/x86/x87.h"
#include "tests/x86_fixture.h"
#include "tests/x86_values.h"

/* Half of them near 1, where most of the tables is used, the others up to 2^62 and down to 2^-64. */
static struct f80 operand(bool positive)
{
	unsigned exponent = below(2) ? 16383 - 8 + below(12) : 16383 - 64 + below(127);
	struct f80 v = {rng() | SF_TOP, (uint16_t)exponent};

	if (below(8) == 0)
		v.sig &= ~0ull << below(64);
	v.sig |= SF_TOP;
	if (!positive)
		v.se |= (uint16_t)(below(2) << 15);
	return v;
}

/* Is the function defined there? */
static bool is_defined(unsigned id, struct f80 a)
{
	unsigned exponent = a.se & 0x7fff;

	if (id == INSN_F2XM1)
		return exponent < 16383 || (exponent == 16383 && a.sig == SF_TOP);
	return id != INSN_FYL2XP1 || exponent < 16383 - 2;
}

static void print(struct x86_fix *f, const struct x86_insn *i, unsigned round)
{
	struct x86_cpu *c = f->c;
	struct f80 a, b = operand(false);

	do
		a = operand(i->id == INSN_FYL2X);
	while (!is_defined(i->id, a));
	memset(c->s.fxsave, 0, sizeof(c->s.fxsave));
	x87_word_set(c, X87_FCW, X87_FCW_INIT | round << 10);
	x87_set(c, 0, a);
	x87_set(c, 1, b);
	if (i->fn(c, i) != X86_OK)
		exit(1);
	printf("%s %u %04x:%016llx %04x:%016llx ->", x86_insn_name(i->id), round, a.se, (unsigned long long)a.sig, b.se,
	    (unsigned long long)b.sig);
	for (unsigned n = 0; n < 2; n++)
		printf(" %04x:%016llx", x87_get(c, n).se, (unsigned long long)x87_get(c, n).sig);
	puts("");
}

int main(int argc, char **argv)
{
	static const uint8_t modrm[] = {0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff};
	struct x86_fix *f;

	if (argc != 3) {
		fprintf(stderr, "x87_functions COUNT SEED\n");
		return 2;
	}
	f = x86_fix_new();
	x86_fix_long(f, 0);
	rng_seed(strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15u);
	for (unsigned k = 0; k < ARRAY_LEN(modrm); k++) {
		uint8_t code[2] = {0xd9, modrm[k]};
		struct x86_insn i;

		if (x86_decode(code, 2, 8, X86_MODE_LONG64, &i) != DECODE_OK)
			return 1;
		for (unsigned long n = strtoul(argv[1], NULL, 0); n; n--)
			for (unsigned round = 0; round < 4; round++)
				print(f, &i, round);
	}
	x86_fix_free(f);
	return 0;
}
