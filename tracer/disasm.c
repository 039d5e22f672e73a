/*
 * Disassembly for people: Intel syntax by Zydis, small numbers, and names where an address has one. Nothing here
 * decides anything: what the guest does is decoded by core/x86; this is a second opinion for the reader.
 */
#include "tracer/disasm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#define NAME_MAX_SHOWN 48 /* of a symbol: C++ names would fill the line */
#define BEFORE_MAX 256	  /* bytes that disasm_before() looks at */

static void decoder_init(ZydisDecoder *d, unsigned code_bits)
{
	if (code_bits == 64)
		ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (code_bits == 32)
		ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
}

static void formatter_init(ZydisFormatter *f)
{
	ZydisFormatterInit(f, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED);
	ZydisFormatterSetProperty(f, ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
}

/* Token by token: an absolute address is shown by its name when it has one. False: Zydis cannot print it. */
static bool print_insn(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *ops, const struct symbols *syms,
    struct disasm_line *out)
{
	ZydisFormatter formatter;
	ZydisFormatterTokenConst *token;
	ZyanConstCharPointer word;
	ZydisTokenType type;
	char tokens[512], name[NAME_MAX_SHOWN];
	size_t at = 0;

	formatter_init(&formatter);
	if (ZYAN_FAILED(ZydisFormatterTokenizeInstruction(
		&formatter, insn, ops, insn->operand_count_visible, tokens, sizeof(tokens), out->addr, &token, NULL)))
		return false;
	do {
		if (ZYAN_FAILED(ZydisFormatterTokenGetValue(token, &type, &word)))
			return false;
		if (type == ZYDIS_TOKEN_ADDRESS_ABS &&
		    *symbols_format(syms, strtoull(word, NULL, 16), name, sizeof(name)))
			word = name;
		at += (size_t)snprintf(out->text + at, sizeof(out->text) - at, "%s", word);
	} while (at < sizeof(out->text) && ZYAN_SUCCESS(ZydisFormatterTokenNext(&token)));
	return true;
}

static void bad_byte(struct disasm_line *out)
{
	out->len = 1;
	snprintf(out->text, sizeof(out->text), "(bad)");
}

static void classify(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *ops, struct disasm_line *out)
{
	ZyanU64 target;

	out->call = insn->meta.category == ZYDIS_CATEGORY_CALL;
	out->ret = insn->meta.category == ZYDIS_CATEGORY_RET;
	out->branch = insn->meta.category == ZYDIS_CATEGORY_COND_BR || insn->meta.category == ZYDIS_CATEGORY_UNCOND_BR;
	if (insn->operand_count_visible && ops[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && ops[0].imm.is_relative &&
	    ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(insn, &ops[0], out->addr, &target)))
		out->target = target;
}

bool disasm_one(unsigned code_bits, uint64_t addr, const uint8_t *bytes, size_t n, const struct symbols *syms,
    struct disasm_line *out)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];

	memset(out, 0, sizeof(*out));
	out->addr = addr;
	if (!n)
		return false;
	out->bytes[0] = bytes[0];
	decoder_init(&decoder, code_bits);
	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes, n, &insn, ops)) || !print_insn(&insn, ops, syms, out)) {
		bad_byte(out);
		return false;
	}
	out->len = insn.length;
	memcpy(out->bytes, bytes, insn.length);
	classify(&insn, ops, out);
	return true;
}

unsigned disasm_code_bits(const struct x86_state *s)
{
	const struct x86_seg *cs = &s->seg[X86_CS];

	if (s->efer & EFER_LMA && cs->attr & SEG_L)
		return 64;
	if (s->rflags & FLAG_VM)
		return 16;
	return cs->attr & SEG_DB ? 32 : 16;
}

/*
 * x86 code read from a wrong byte on comes back into step after a few instructions, so nearly every start gives the
 * same last ones. Each start votes for the boundaries that its chain meets; the way back from addr follows the votes.
 */
size_t disasm_before(unsigned code_bits, uint64_t addr, const uint8_t *before, size_t n, uint64_t *out, size_t max)
{
	ZydisDecoder decoder;
	ZydisDecodedInstruction insn;
	uint8_t len[BEFORE_MAX] = {0};
	uint16_t votes[BEFORE_MAX + 1] = {0};
	size_t found = 0, at;

	if (n > BEFORE_MAX) {
		before += n - BEFORE_MAX;
		n = BEFORE_MAX;
	}
	decoder_init(&decoder, code_bits);
	for (size_t i = 0; i < n; i++) {
		bool ok = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, before + i, n - i, &insn));
		len[i] = ok ? insn.length : 0;
		votes[i]++;
		if (ok)
			votes[i + len[i]] = (uint16_t)(votes[i + len[i]] + votes[i]);
	}
	for (at = n; found < max; found++) {
		size_t best = n;
		for (size_t i = at > 15 ? at - 15 : 0; i < at; i++)
			if (len[i] && i + len[i] == at && (best == n || votes[i] > votes[best]))
				best = i;
		if (best == n)
			break;
		at = best;
		out[max - 1 - found] = addr - (n - at);
	}
	memmove(out, out + (max - found), found * sizeof(*out));
	return found;
}
