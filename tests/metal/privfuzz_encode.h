/*
 * Encoding of a case's instruction, for the two files that make them: privfuzz_insn.c and privfuzz_transfer.c.
 */
#ifndef VMSCOPE_TESTS_METAL_PRIVFUZZ_ENCODE_H
#define VMSCOPE_TESTS_METAL_PRIVFUZZ_ENCODE_H

#include "core/lib.h"
#include "core/x86/segment.h"
#include "tests/metal/privfuzz.h"

static inline void byte(struct pf_case *k, unsigned b)
{
	k->code[k->len++] = (uint8_t)b;
}

static inline void bytes(struct pf_case *k, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++, v >>= 8)
		byte(k, (unsigned)(v & 0xff));
}

/* Prefixes so far decide: operand and address size in bytes. */
struct form {
	unsigned osize, asize;
	unsigned rex;
};

static inline struct form prefixes(struct pf_case *k)
{
	static const uint8_t segs[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	struct form f = {.osize = k->size == 8 ? 4 : k->size, .asize = k->size};

	if (pf_percent(k, 8))
		byte(k, segs[pf_below(k, 6)]);
	if (pf_percent(k, 2))
		byte(k, 0xf0);
	if (pf_percent(k, 25)) {
		byte(k, 0x66);
		f.osize = f.osize == 2 ? 4 : 2;
	}
	if (pf_percent(k, 8)) {
		byte(k, 0x67);
		f.asize = k->size == 4 ? 2 : 4;
	}
	if (k->size == 8 && pf_percent(k, 45)) {
		f.rex = 0x40 | (pf_percent(k, 60) ? 8 : 0);
		byte(k, f.rex);
		if (f.rex & 8)
			f.osize = 8;
	}
	return f;
}

static inline unsigned data_segment(const struct pf_case *k)
{
	switch (k->code[0]) {
	case 0x26:
		return X86_ES;
	case 0x2e:
		return X86_CS;
	case 0x36:
		return X86_SS;
	case 0x64:
		return X86_FS;
	case 0x65:
		return X86_GS;
	default:
		return X86_DS;
	}
}

static inline uint64_t base_of(const struct pf_case *k, unsigned seg)
{
	return k->mode == PF_LONG64 && seg < X86_FS ? 0 : k->s.seg[seg].base;
}

/* ModRM with a memory operand at linear address la: [BX + disp8] or [EBX + disp8]. */
static inline void memory(struct pf_case *k, struct form f, unsigned reg, uint64_t la)
{
	unsigned disp = pf_below(k, 64);
	uint64_t ea = la - base_of(k, data_segment(k)) - disp;

	k->s.gpr[X86_RBX] = f.asize == 2   ? (k->s.gpr[X86_RBX] & ~0xffffull) | (uint16_t)ea
			    : f.asize == 4 ? (uint32_t)ea
					   : ea;
	byte(k, 0x40 | (reg & 7) << 3 | (f.asize == 2 ? 7 : 3));
	byte(k, disp);
}

static inline void reg_reg(struct pf_case *k, unsigned reg, unsigned rm)
{
	byte(k, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* r/m16 with this value, in a register or in memory. */
static inline void rm16(struct pf_case *k, struct form f, unsigned reg, uint16_t v)
{
	unsigned rm = pf_below(k, 8);
	uint64_t la = pf_address(k);

	k->sel = v;
	if (pf_percent(k, 60) && rm != X86_RSP) {
		k->s.gpr[rm] = (k->s.gpr[rm] & ~0xffffull) | v;
		reg_reg(k, reg, rm);
		return;
	}
	memory(k, f, reg, la);
	pf_put(k, la, 2, v);
}

static inline uint64_t stack_top(const struct pf_case *k)
{
	uint64_t sp = k->s.gpr[X86_RSP];

	if (k->mode == PF_LONG64)
		return sp;
	return k->s.seg[X86_SS].base + (k->s.seg[X86_SS].attr & SEG_DB ? (uint32_t)sp : (uint16_t)sp);
}

static inline uint16_t data_selector(struct pf_case *k)
{
	static const uint8_t slots[] = {PF_S_DATA0, PF_S_DATA1, PF_S_DATA2, PF_S_DATA3, PF_S_DATA3, PF_S_DATA16,
	    PF_S_READ_ONLY, PF_S_EXEC_ONLY, PF_S_DOWN, PF_S_CONFORM0, PF_S_CODE3};

	if (k->mode == PF_REAL || k->mode == PF_V86 || pf_percent(k, 30))
		return pf_selector(k);
	return pf_selector_of(k, slots, ARRAY_LEN(slots));
}

/* privfuzz_transfer.c */
void pf_lds_family(struct pf_case *k);
void pf_far_jump_call(struct pf_case *k);
void pf_ret_far(struct pf_case *k);
void pf_iret(struct pf_case *k);
void pf_int_n(struct pf_case *k);
void pf_int_short(struct pf_case *k);
void pf_near_transfer(struct pf_case *k);

#endif
