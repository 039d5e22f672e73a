/*
 * Which status flags an instruction leaves undefined [SDM 1 "EFLAGS Cross-Reference"]. Two CPUs may then differ and
 * both be right. Where it depends on a count that is not looked at here, a flag counts as undefined: less is compared,
 * never something wrong.
 */
#include "core/x86/insn.h"
#include "tracer/equivalence_impl.h"

#define CF FLAG_CF
#define PF FLAG_PF
#define AF FLAG_AF
#define ZF FLAG_ZF
#define SF FLAG_SF
#define OF FLAG_OF

struct flags_rule {
	uint16_t id;
	uint32_t defined, undefined;
};

static const struct flags_rule rules[] = {
    {INSN_ADD, FLAGS_STATUS, 0},
    {INSN_ADC, FLAGS_STATUS, 0},
    {INSN_SUB, FLAGS_STATUS, 0},
    {INSN_SBB, FLAGS_STATUS, 0},
    {INSN_CMP, FLAGS_STATUS, 0},
    {INSN_NEG, FLAGS_STATUS, 0},
    {INSN_XADD, FLAGS_STATUS, 0},
    {INSN_CMPXCHG, FLAGS_STATUS, 0},
    {INSN_INC, FLAGS_STATUS & ~CF, 0},
    {INSN_DEC, FLAGS_STATUS & ~CF, 0},
    {INSN_AND, FLAGS_STATUS & ~AF, AF},
    {INSN_OR, FLAGS_STATUS & ~AF, AF},
    {INSN_XOR, FLAGS_STATUS & ~AF, AF},
    {INSN_TEST, FLAGS_STATUS & ~AF, AF},
    {INSN_MUL, CF | OF, SF | ZF | AF | PF},
    {INSN_IMUL, CF | OF, SF | ZF | AF | PF},
    {INSN_DIV, 0, FLAGS_STATUS},
    {INSN_IDIV, 0, FLAGS_STATUS},
    /* Shifts by a count of zero change nothing; OF is defined for a count of 1 only, CF not beyond the operand. */
    {INSN_SHL, 0, AF | OF | CF},
    {INSN_SHR, 0, AF | OF | CF},
    {INSN_SAR, 0, AF | OF},
    {INSN_SHLD, 0, AF | OF | CF | SF | ZF | PF},
    {INSN_SHRD, 0, AF | OF | CF | SF | ZF | PF},
    {INSN_ROL, 0, OF},
    {INSN_ROR, 0, OF},
    {INSN_RCL, 0, OF},
    {INSN_RCR, 0, OF},
    {INSN_BT, CF, OF | SF | AF | PF},
    {INSN_BTS, CF, OF | SF | AF | PF},
    {INSN_BTR, CF, OF | SF | AF | PF},
    {INSN_BTC, CF, OF | SF | AF | PF},
    {INSN_BSF, ZF, CF | OF | SF | AF | PF},
    {INSN_BSR, ZF, CF | OF | SF | AF | PF},
    {INSN_POPCNT, FLAGS_STATUS, 0},
    {INSN_AAA, CF | AF, OF | SF | ZF | PF},
    {INSN_AAS, CF | AF, OF | SF | ZF | PF},
    {INSN_AAM, SF | ZF | PF, OF | AF | CF},
    {INSN_AAD, SF | ZF | PF, OF | AF | CF},
    {INSN_DAA, FLAGS_STATUS & ~OF, OF},
    {INSN_DAS, FLAGS_STATUS & ~OF, OF},
    {INSN_SAHF, FLAGS_STATUS & ~OF, 0},
    {INSN_CLC, CF, 0},
    {INSN_STC, CF, 0},
    {INSN_CMC, 0, 0},
    {INSN_POPF, FLAGS_STATUS, 0},
    {INSN_IRET, FLAGS_STATUS, 0},
};

static bool count_is_one(const struct x86_insn *i)
{
	return (i->flags & INSN_IMM) && i->imm == 1;
}

/* Shifts by an immediate that is in range define what the table above, made for any count, leaves open. */
static uint32_t shift_undefined(const struct x86_insn *i, uint32_t undefined)
{
	if ((i->flags & INSN_IMM) && i->imm < 8u * i->opsize)
		undefined &= ~(uint32_t)CF;
	return count_is_one(i) ? undefined & ~(uint32_t)OF : undefined;
}

uint32_t flags_undefined_after(const struct x86_insn *i, uint32_t before)
{
	for (size_t k = 0; k < ARRAY_LEN(rules); k++) {
		uint32_t undefined = rules[k].undefined;

		if (rules[k].id != i->id)
			continue;
		if (i->id == INSN_SHL || i->id == INSN_SHR || i->id == INSN_SAR) {
			bool counts = (i->flags & INSN_IMM) && (i->imm & 31);

			undefined = shift_undefined(i, undefined);
			/* A count that is not zero defines the result flags. */
			if (counts)
				before &= ~(uint32_t)(SF | ZF | PF | CF | OF);
			return before | undefined;
		}
		return (before & ~rules[k].defined) | undefined;
	}
	return before;
}
