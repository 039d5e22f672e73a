/*
 * Memory operands, explicit ones and those that an instruction implies (stack, strings). The address is computed as the
 * processor would, with the segment base where one counts; checks of limits and rights are not made here.
 */
#include "tracer/operands.h"

#include <Zydis/Zydis.h>

/* Registers that an address can be made of. false: one that has no value here (a vector register of a gather). */
static bool value_of(const struct x86_state *s, ZydisRegister r, uint64_t rip, uint64_t *v)
{
	ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
	ZyanI16 width = ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, r);

	if (r == ZYDIS_REGISTER_NONE) {
		*v = 0;
		return true;
	}
	if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP || r == ZYDIS_REGISTER_IP)
		*v = rip;
	else if (wide >= ZYDIS_REGISTER_RAX && wide <= ZYDIS_REGISTER_R15)
		*v = s->gpr[wide - ZYDIS_REGISTER_RAX];
	else
		return false;
	if (width < 64)
		*v &= (1ull << width) - 1;
	return true;
}

static uint64_t base_of(const struct x86_state *s, unsigned code_bits, ZydisRegister seg)
{
	static const uint8_t ours[] = {X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS};
	unsigned n = (unsigned)(seg - ZYDIS_REGISTER_ES);

	if (seg < ZYDIS_REGISTER_ES || seg > ZYDIS_REGISTER_GS)
		return 0;
	if (code_bits == 64 && ours[n] != X86_FS && ours[n] != X86_GS)
		return 0;
	return s->seg[ours[n]].base;
}

static bool describe(const struct x86_state *s, unsigned code_bits, const ZydisDecodedInstruction *insn,
    const ZydisDecodedOperand *op, struct operand_memory *out)
{
	uint64_t base, index, off, mask = insn->address_width == 64 ? UINT64_MAX : (1ull << insn->address_width) - 1;
	bool stack = op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && op->mem.segment == ZYDIS_REGISTER_SS;

	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type == ZYDIS_MEMOP_TYPE_AGEN ||
	    !value_of(s, op->mem.base, s->rip + insn->length, &base) || !value_of(s, op->mem.index, 0, &index))
		return false;
	off = base + index * op->mem.scale + (op->mem.disp.has_displacement ? (uint64_t)op->mem.disp.value : 0);
	*out = (struct operand_memory){.size = (unsigned)op->size / 8,
	    .read = (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0,
	    .write = (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0,
	    .stack = stack};
	if (stack) { /* a push goes below the stack pointer */
		unsigned width = code_bits == 64 ? 64 : s->seg[X86_SS].attr & SEG_DB ? 32 : 16;

		mask = width == 64 ? UINT64_MAX : (1ull << width) - 1;
		if (out->write && !out->read && !op->mem.disp.has_displacement)
			off -= out->size;
	}
	out->gva = base_of(s, code_bits, op->mem.segment) + (off & mask);
	if (code_bits != 64)
		out->gva = (uint32_t)out->gva;
	return out->read || out->write;
}

unsigned operands_memory(const struct x86_state *s, unsigned code_bits, const uint8_t *bytes, size_t n,
    struct operand_memory out[OPERANDS_MAX])
{
	ZydisDecoder d;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	unsigned found = 0;

	if (code_bits == 64)
		ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (code_bits == 32)
		ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&d, bytes, n, &insn, ops)))
		return 0;
	for (unsigned i = 0; i < insn.operand_count && found < OPERANDS_MAX; i++)
		found += describe(s, code_bits, &insn, &ops[i], &out[found]);
	return found;
}
