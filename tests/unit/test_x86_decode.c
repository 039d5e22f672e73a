/*
 * The decoder against Zydis: the same random bytes through both, in 16-, 32- and 64-bit mode. Zydis is the oracle.
 * Every kind of difference that is right is in a table below with its reason; any other difference fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "core/x86/insn.h"
#include "tests/foreign.h"
#include "tests/x86_values.h"

/* In each mode; VMSCOPE_ROUNDS=N says more. */
#define ROUNDS 800000ul

static unsigned long rounds(void)
{
	const char *n = getenv("VMSCOPE_ROUNDS");

	return n ? strtoul(n, NULL, 0) : ROUNDS;
}

/* The same instruction under another name. */
static const struct {
	const char *ours, *zydis;
} aliases[] = {
    {"jcxz", "jecxz"},
    {"jcxz", "jrcxz"},
    {"prefetch", "nop"}, /* with a register operand */
    {"fneni", "feni8087_nop"},
    {"fndisi", "fdisi8087_nop"},
    {"fnsetpm", "fsetpm287_nop"},
};

struct mode {
	const char *name;
	unsigned code_size;
	enum x86_mode mode;
	ZydisMachineMode machine;
	ZydisStackWidth stack;
};
static const struct mode modes[] = {
    {"16-bit", 2, X86_MODE_PROT, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
    {"32-bit", 4, X86_MODE_PROT, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
    {"64-bit", 8, X86_MODE_LONG64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
};

/* Random bytes; half of the time with likely prefixes and an escape in front, so that all maps are reached evenly. */
static void random_bytes(uint8_t buf[16])
{
	static const uint8_t prefix[] = {
	    0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x48, 0x41, 0x4f};
	unsigned k = 0;

	for (unsigned j = 0; j < 16; j++)
		buf[j] = (uint8_t)(rng() >> 24);
	if (rng() >> 33 & 1)
		return;
	while ((rng() >> 20 & 3) == 0 && k < 6)
		buf[k++] = prefix[(rng() >> 30) % sizeof(prefix)];
	switch (rng() >> 40 & 7) {
	case 0:
	case 1:
	case 2:
		buf[k] = 0x0f;
		break;
	case 3:
		buf[k++] = 0x0f;
		buf[k++] = rng() >> 50 & 1 ? 0x38 : 0x3a;
		break;
	default:
		break;
	}
}

static void dump(
    const char *what, const struct mode *m, const uint8_t *buf, const char *z, unsigned zlen, const struct x86_insn *i)
{
	char hex[64];

	for (unsigned k = 0; k < 16; k++)
		snprintf(hex + 3 * k, 4, "%02x ", buf[k]);
	print_error("%s %s: %s zydis %s/%u ours %s/%u\n", what, m->name, hex, z, zlen, x86_insn_name(i->id), i->len);
}

static bool same_name(const char *ours, const char *zydis)
{
	size_t n = strcspn(ours, " ");

	if (strncmp(ours, zydis, n) == 0)
		return true;
	for (unsigned k = 0; k < sizeof(aliases) / sizeof(aliases[0]); k++)
		if (strcmp(aliases[k].ours, ours) == 0 && strcmp(aliases[k].zydis, zydis) == 0)
			return true;
	return false;
}

static unsigned gpr_number(ZydisRegister r)
{
	return r == ZYDIS_REGISTER_NONE ? INSN_NO_REG : (unsigned)ZydisRegisterGetId(r);
}

/* Segment, base, index, scale, displacement of an explicit memory operand. */
static bool same_memory(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *o, const struct x86_insn *i)
{
	static const ZydisRegister seg[] = {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS, ZYDIS_REGISTER_DS,
	    ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS};
	bool rip = o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP;

	if (o->mem.type == ZYDIS_MEMOP_TYPE_MEM && o->mem.segment != seg[i->seg])
		return false;
	if (rip != !!(i->flags & INSN_RIP_REL))
		return false;
	/* SIB base 101 with mod 00 is "no base" whatever REX.B says; Zydis 4.0 names R13D when the address size is 32.
	 */
	if (i->base == INSN_NO_REG && i->addrsize == 4 && o->mem.base == ZYDIS_REGISTER_R13D)
		return z->raw.sib.base == 5 && z->raw.modrm.mod == 0;
	if (!rip && gpr_number(o->mem.base) != i->base)
		return false;
	if (gpr_number(o->mem.index) != i->index)
		return false;
	if (i->index != INSN_NO_REG && o->mem.scale != 1u << i->scale)
		return false;
	return (o->mem.disp.has_displacement ? (int32_t)o->mem.disp.value : 0) == i->disp;
}

struct tally {
	unsigned valid, foreign, invalid, memory, bad;
};

static void compare(const ZydisDecoder *dec, const struct mode *m, struct tally *t)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	struct x86_insn i;
	uint8_t buf[16];
	enum x86_decode_rc rc;
	bool ours, theirs;
	const char *name;

	random_bytes(buf);
	theirs = ZYAN_SUCCESS(ZydisDecoderDecodeFull(dec, buf, sizeof(buf), &z, ops));
	rc = x86_decode(buf, sizeof(buf), m->code_size, m->mode, &i);
	assert_int_not_equal(rc, DECODE_MORE);
	ours = rc == DECODE_OK && i.id != INSN_UD_INVALID;
	name = theirs ? ZydisMnemonicGetString(z.mnemonic) : "invalid";
	if (!theirs && !ours) {
		t->invalid++;
		return;
	}
	if (theirs && !ours && foreign_instruction(&z)) {
		t->foreign++;
		return;
	}
	if (theirs != ours || z.length != i.len || !same_name(x86_insn_name(i.id), name)) {
		if (t->bad++ < 400)
			dump(theirs != ours ? "VALID" : "INSN", m, buf, name, theirs ? z.length : 0, &i);
		return;
	}
	t->valid++;
	for (unsigned k = 0; k < z.operand_count; k++) {
		if (ops[k].type != ZYDIS_OPERAND_TYPE_MEMORY || !(i.flags & INSN_MEM) ||
		    ops[k].visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
			continue;
		t->memory++;
		if (!same_memory(&z, &ops[k], &i) && t->bad++ < 400)
			dump("MEMORY", m, buf, name, z.length, &i);
	}
}

static void run(const struct mode *m, uint64_t seed)
{
	ZydisDecoder dec;
	struct tally t = {0};

	assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&dec, m->machine, m->stack)));
	for (unsigned k = ZYDIS_DECODER_MODE_AMD_BRANCHES; k <= ZYDIS_DECODER_MODE_MAX_VALUE; k++)
		ZydisDecoderEnableMode(&dec, (ZydisDecoderMode)k, ZYAN_FALSE);
	rng_seed(seed);
	for (unsigned long k = 0; k < rounds(); k++)
		compare(&dec, m, &t);
	print_message("%s: %u valid, %u of other CPUs, %u undefined, %u memory operands, %u differences\n", m->name,
	    t.valid, t.foreign, t.invalid, t.memory, t.bad);
	assert_true(t.valid > rounds() / 3 && t.memory > rounds() / 6);
	assert_int_equal(t.bad, 0);
}

static void random_bytes_in_16_bit_mode_decode_as_zydis_does(void **state)
{
	(void)state;
	run(&modes[0], 0x9e3779b97f4a7c15u);
}

static void random_bytes_in_32_bit_mode_decode_as_zydis_does(void **state)
{
	(void)state;
	run(&modes[1], 0xbf58476d1ce4e5b9u);
}

static void random_bytes_in_64_bit_mode_decode_as_zydis_does(void **state)
{
	(void)state;
	run(&modes[2], 0x94d049bb133111ebu);
}

/* MORE for every proper prefix of an instruction, OK for all of it: what a fetch across a page needs. */
static void every_truncation_asks_for_more(void **state)
{
	static const uint8_t code[] = {0x66, 0x48, 0xc7, 0x84, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8};
	struct x86_insn i;

	(void)state;
	for (size_t n = 0; n < sizeof(code); n++)
		assert_int_equal(x86_decode(code, n, 8, X86_MODE_LONG64, &i), DECODE_MORE);
	assert_int_equal(x86_decode(code, sizeof(code), 8, X86_MODE_LONG64, &i), DECODE_OK);
	assert_int_equal(i.len, sizeof(code));
}

static void an_instruction_of_16_bytes_is_too_long(void **state)
{
	uint8_t code[16];
	struct x86_insn i;

	(void)state;
	memset(code, 0x66, sizeof(code));
	code[14] = 0x90;
	assert_int_equal(x86_decode(code, 16, 4, X86_MODE_PROT, &i), DECODE_OK);
	assert_int_equal(i.len, 15);
	code[14] = 0x66;
	code[15] = 0x90;
	assert_int_equal(x86_decode(code, 16, 4, X86_MODE_PROT, &i), DECODE_TOO_LONG);
	assert_int_equal(x86_decode(code, 15, 4, X86_MODE_PROT, &i), DECODE_TOO_LONG);
}

static void every_entry_has_a_handler(void **state)
{
	struct x86_insn i;
	uint8_t code[16] = {0};

	(void)state;
	for (unsigned m = 0; m < 3; m++) {
		for (unsigned b = 0; b < 0x10000; b++) {
			code[0] = (uint8_t)b;
			code[1] = (uint8_t)(b >> 8);
			if (x86_decode(code, sizeof(code), modes[m].code_size, modes[m].mode, &i) == DECODE_OK)
				assert_non_null(i.fn);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(random_bytes_in_16_bit_mode_decode_as_zydis_does),
	    cmocka_unit_test(random_bytes_in_32_bit_mode_decode_as_zydis_does),
	    cmocka_unit_test(random_bytes_in_64_bit_mode_decode_as_zydis_does),
	    cmocka_unit_test(every_truncation_asks_for_more),
	    cmocka_unit_test(an_instruction_of_16_bytes_is_too_long),
	    cmocka_unit_test(every_entry_has_a_handler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
