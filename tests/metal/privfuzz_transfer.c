/* Far and near transfers, interrupts and returns, with the pointers and frames that they read. */
#include "tests/metal/privfuzz_encode.h"

/* m16:16, m16:32, m16:64 */
static void far_pointer(struct pf_case *k, uint64_t la, unsigned osize, uint64_t off, uint16_t sel)
{
	pf_put(k, la, osize, off);
	pf_put(k, la + osize, 2, sel);
}

void pf_lds_family(struct pf_case *k)
{
	static const uint16_t ops[] = {0xc5, 0xc4, 0xb20f, 0xb40f, 0xb50f};
	struct form f = prefixes(k);
	unsigned op = ops[pf_below(k, ARRAY_LEN(ops))];
	uint64_t la = pf_address(k);

	if (k->size == 8 && op < 0x100)
		op = 0xb20f;
	bytes(k, op > 0xff ? 2 : 1, op);
	memory(k, f, pf_below(k, 8), la);
	far_pointer(k, la, f.osize, pf_u64(k), data_selector(k));
}

static uint16_t far_selector(struct pf_case *k)
{
	static const uint8_t slots[] = {PF_S_CODE0, PF_S_CODE0, PF_S_CODE3, PF_S_CODE3, PF_S_OTHER0, PF_S_OTHER3,
	    PF_S_CONFORM0, PF_S_CODE1, PF_S_CODE2, PF_S_GATE0, PF_S_GATE0, PF_S_GATE1, PF_S_GATE1, PF_S_TASK_GATE,
	    PF_S_TSS_B, PF_S_TSS_C, PF_S_TSS_BUSY, PF_S_DATA0, PF_S_EXEC_ONLY};

	if (k->mode == PF_REAL || k->mode == PF_V86 || pf_percent(k, 8))
		return pf_selector(k);
	return pf_selector_of(k, slots, ARRAY_LEN(slots));
}

static uint64_t far_offset(struct pf_case *k, uint16_t sel)
{
	if (k->mode == PF_REAL || k->mode == PF_V86)
		return pf_code_target(k, (uint64_t)sel << 4);
	return pf_code_target(k, !k->lma && k->size == 2 ? PF_BASE : 0);
}

void pf_far_jump_call(struct pf_case *k)
{
	struct form f = prefixes(k);
	uint16_t sel = far_selector(k);
	uint64_t off = far_offset(k, sel), la = pf_address(k);
	bool call = pf_percent(k, 60);

	if (k->size != 8 && pf_percent(k, 50)) {
		byte(k, call ? 0x9a : 0xea);
		bytes(k, f.osize, off);
		bytes(k, 2, sel);
		return;
	}
	byte(k, 0xff);
	memory(k, f, call ? 3 : 5, la);
	far_pointer(k, la, f.osize, off, sel);
}

static uint64_t push_value(struct pf_case *k, uint64_t at, unsigned size, uint64_t v)
{
	pf_put(k, at, size, v);
	return at + size;
}

static uint16_t return_stack(struct pf_case *k, unsigned cpl)
{
	static const uint8_t stacks[] = {PF_S_DATA0, PF_S_DATA1, PF_S_DATA2, PF_S_DATA3};

	if (pf_percent(k, 8))
		return pf_selector(k);
	if (k->lma && pf_percent(k, 15))
		return (uint16_t)cpl;
	return (uint16_t)(stacks[cpl] * 8u + cpl);
}

/* What a far return or IRET finds on the stack, for a return to the same ring or to an outer one. */
static uint64_t return_frame(struct pf_case *k, uint64_t at, unsigned size, bool flags, unsigned skip)
{
	static const uint8_t code[] = {PF_S_CODE0, PF_S_CODE1, PF_S_CODE2, PF_S_CODE3};
	unsigned cpl = pf_percent(k, 50) ? k->cpl : pf_percent(k, 70) ? 3 : pf_below(k, 4);
	uint16_t sel = (uint16_t)(code[cpl] * 8u + cpl);
	bool prot = k->mode >= PF_PROT16;

	if (pf_percent(k, 20))
		sel = far_selector(k);
	else if (pf_percent(k, 12))
		pf_spoil(k, sel);
	else if (pf_percent(k, 15))
		sel = (uint16_t)((cpl == 3 ? PF_S_OTHER3 : cpl == 0 ? PF_S_OTHER0 : PF_S_CONFORM0) * 8u + cpl);
	if (!prot)
		sel = pf_selector(k);
	at = push_value(k, at, size, far_offset(k, sel));
	at = push_value(k, at, size, sel | (size > 2 && pf_percent(k, 20) ? pf_u64(k) << 16 : 0));
	if (flags)
		at = push_value(k, at, size,
		    pf_percent(k, 20) ? pf_u64(k) : 2 | (pf_u64(k) & (k->mode == PF_PROT32 ? 0x277fd5 : 0x257fd5)));
	at += skip;
	at = push_value(k, at, size, pf_stack_target(k, !k->lma && k->size == 2 ? PF_BASE : 0));
	return push_value(k, at, size, return_stack(k, sel & 3));
}

void pf_ret_far(struct pf_case *k)
{
	struct form f = prefixes(k);
	unsigned skip = pf_percent(k, 60) ? 0 : pf_below(k, 32);

	return_frame(k, stack_top(k), f.osize, false, skip);
	byte(k, skip ? 0xca : 0xcb);
	if (skip)
		bytes(k, 2, skip);
}

void pf_iret(struct pf_case *k)
{
	struct form f = prefixes(k);
	uint64_t at = return_frame(k, stack_top(k), f.osize, true, 0);

	for (unsigned n = 0; n < 4; n++) /* back to virtual-8086 mode: ES, DS, FS, GS */
		at = push_value(k, at, f.osize, 0x1000 + 0x100 * pf_below(k, 8));
	if (pf_percent(k, 70))
		k->s.rflags &= ~(uint64_t)FLAG_NT;
	byte(k, 0xcf);
}

void pf_int_n(struct pf_case *k)
{
	if (pf_percent(k, 8))
		(void)prefixes(k);
	byte(k, 0xcd);
	byte(k, pf_percent(k, 95) ? pf_below(k, PF_IDT_GATES) : pf_below(k, 256));
}

void pf_int_short(struct pf_case *k)
{
	static const uint8_t ops[] = {0xcc, 0xf1, 0xce};

	byte(k, ops[pf_below(k, k->size == 8 ? 2 : 3)]);
}

void pf_near_transfer(struct pf_case *k)
{
	struct form f = prefixes(k);
	uint64_t la = pf_address(k);

	switch (pf_below(k, 3)) {
	case 0:
		byte(k, 0xe8 + pf_below(k, 2));
		bytes(k, f.osize == 2 ? 2 : 4, pf_percent(k, 80) ? pf_below(k, 0x1000) : pf_u64(k));
		break;
	case 1:
		byte(k, 0xff);
		memory(k, f, pf_percent(k, 50) ? 2 : 4, la);
		pf_put(k, la, f.osize, pf_code_target(k, base_of(k, X86_CS)));
		break;
	default:
		byte(k, 0x70 + pf_below(k, 16));
		byte(k, pf_below(k, 256));
		break;
	}
}
