/*
 * The random instruction of a case: everything privileged or sensitive, everything that loads a segment, gates, tasks,
 * interrupts, and a few plain accesses that meet segments, pages and breakpoints. Operands are prepared so that most
 * cases get beyond the first check.
 */
#include "tests/metal/privfuzz_encode.h"

static uint64_t cr_value(struct pf_case *k, unsigned cr)
{
	uint64_t r = pf_u64(k), one = 1ull << (r >> 40 & 31);

	switch (cr) {
	case 0:
		return pf_percent(k, 80) ? k->s.cr0 ^ (pf_percent(k, 50) ? one : 0) ^ (r & (CR0_TS | CR0_WP)) : r;
	case 3:
		return pf_percent(k, 50) ? k->s.cr3 ^ (pf_percent(k, 50) ? r & 0xfff : 0) : pf_value(k);
	case 4:
		return pf_percent(k, 80) ? k->s.cr4 ^ one ^ (pf_percent(k, 30) ? CR4_PGE : 0) : (uint32_t)r;
	case 8:
		return r & (pf_percent(k, 80) ? 15 : 0xfff);
	default:
		return pf_value(k);
	}
}

/* --- One function a group ---------------------------------------------------------------------------------------- */

static void mov_cr(struct pf_case *k)
{
	static const uint8_t crs[] = {0, 0, 0, 3, 3, 3, 4, 4, 4, 2, 8, 1, 5, 6, 7, 15};
	unsigned cr = crs[pf_below(k, ARRAY_LEN(crs))], rm = pf_below(k, 8);
	bool to = pf_percent(k, 75);

	if (pf_percent(k, 5))
		byte(k, 0x66);
	if (cr >= 8 && k->size == 8)
		byte(k, 0x44);
	else if (cr == 8 && pf_percent(k, 60))
		byte(k, 0xf0);
	if (to && rm != X86_RSP)
		k->s.gpr[rm] = cr_value(k, cr);
	byte(k, 0x0f);
	byte(k, to ? 0x22 : 0x20);
	reg_reg(k, cr, rm);
}

static void mov_dr(struct pf_case *k)
{
	unsigned dr = pf_below(k, 8), rm = pf_below(k, 8);

	if (k->size == 8 && pf_percent(k, 5))
		byte(k, 0x44);
	if ((dr & 5) == 5 && rm == X86_RSP)
		rm = X86_RAX;
	if (rm != X86_RSP)
		k->s.gpr[rm] =
		    pf_percent(k, 60) ? (uint32_t)pf_u64(k) & ~0x10800u : pf_value(k) & ~0x10800ull; /* no RTM */
	if ((dr & 5) == 5)
		k->s.gpr[rm] = pf_defined_dr7(k, k->s.gpr[rm]);
	byte(k, 0x0f);
	byte(k, pf_percent(k, 60) ? 0x23 : 0x21);
	reg_reg(k, dr, rm);
}

static void lmsw(struct pf_case *k)
{
	struct form f = prefixes(k);

	byte(k, 0x0f);
	byte(k, 1);
	rm16(k, f, 6, (uint16_t)(pf_percent(k, 50) ? k->s.cr0 ^ pf_below(k, 16) : pf_u64(k)));
}

static void smsw(struct pf_case *k)
{
	struct form f = prefixes(k);

	byte(k, 0x0f);
	byte(k, 1);
	rm16(k, f, 4, 0);
}

static void clts(struct pf_case *k)
{
	bytes(k, 2, 0x060f);
}

static void table_register(struct pf_case *k)
{
	struct form f = prefixes(k);
	uint64_t la = pf_address(k);

	byte(k, 0x0f);
	byte(k, 1);
	memory(k, f, pf_below(k, 4), la);
	pf_put(k, la, 2, pf_u64(k));
	pf_put(k, la + 2, 8, pf_percent(k, 60) ? PF_GDT : pf_value(k));
}

static void lldt(struct pf_case *k)
{
	static const uint8_t slots[] = {PF_S_LDT, PF_S_LDT, PF_S_LDT, PF_S_DATA0, PF_S_TSS_B, PF_S_NULL};
	struct form f = prefixes(k);

	bytes(k, 2, 0x000f);
	rm16(k, f, 2, pf_selector_of(k, slots, ARRAY_LEN(slots)));
}

static void ltr(struct pf_case *k)
{
	static const uint8_t slots[] = {PF_S_TSS_B, PF_S_TSS_B, PF_S_TSS_C, PF_S_TSS_A, PF_S_LDT, PF_S_CODE0};
	struct form f = prefixes(k);

	bytes(k, 2, 0x000f);
	rm16(k, f, 3, pf_selector_of(k, slots, ARRAY_LEN(slots)));
}

static void sldt_str(struct pf_case *k)
{
	struct form f = prefixes(k);

	bytes(k, 2, 0x000f);
	rm16(k, f, pf_below(k, 2), 0);
}

static void lar_lsl(struct pf_case *k)
{
	struct form f = prefixes(k);

	byte(k, 0x0f);
	byte(k, 2 + pf_below(k, 2));
	rm16(k, f, pf_below(k, 8), pf_selector(k));
}

static void verr_verw(struct pf_case *k)
{
	struct form f = prefixes(k);

	bytes(k, 2, 0x000f);
	rm16(k, f, 4 + pf_below(k, 2), pf_selector(k));
}

static void arpl(struct pf_case *k)
{
	struct form f = prefixes(k);

	if (k->size == 8)
		return clts(k);
	byte(k, 0x63);
	rm16(k, f, pf_below(k, 8), pf_selector(k));
}

static void mov_sreg(struct pf_case *k)
{
	struct form f = prefixes(k);

	byte(k, 0x8e);
	rm16(
	    k, f, pf_percent(k, 95) ? (pf_percent(k, 40) ? X86_SS : pf_below(k, 6)) : pf_below(k, 8), data_selector(k));
}

static void mov_from_sreg(struct pf_case *k)
{
	struct form f = prefixes(k);

	byte(k, 0x8c);
	rm16(k, f, pf_below(k, 8), 0);
}

static void push_pop_sreg(struct pf_case *k)
{
	static const uint16_t ops[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x17, 0x1e, 0x1f};

	(void)prefixes(k);
	pf_put(k, stack_top(k), 2, data_selector(k));
	if (k->size != 8 && pf_percent(k, 70)) {
		byte(k, ops[pf_below(k, ARRAY_LEN(ops))]);
		return;
	}
	byte(k, 0x0f);
	byte(k, 0xa0 + pf_below(k, 2) * 8 + pf_percent(k, 70));
}

static void bound(struct pf_case *k)
{
	struct form f;
	uint64_t la = pf_address(k);

	if (k->size == 8)
		return pf_int_n(k);
	f = prefixes(k);
	byte(k, 0x62);
	memory(k, f, pf_below(k, 8), la);
	pf_put(k, la, f.osize, pf_value(k));
	pf_put(k, la + f.osize, f.osize, pf_value(k));
}

static void fast_call(struct pf_case *k)
{
	static const uint16_t ops[] = {0x050f, 0x070f, 0x340f, 0x350f};
	unsigned op = pf_below(k, 4);

	if (k->size == 8 && pf_percent(k, 50))
		byte(k, 0x48);
	if (op == 1) {
		k->s.gpr[X86_RCX] = pf_code_target(k, 0);
		k->s.gpr[X86_R11] = pf_percent(k, 50) ? pf_u64(k) : 0x202;
	}
	if (op == 3) {
		k->s.gpr[X86_RDX] = pf_code_target(k, 0);
		k->s.gpr[X86_RCX] = pf_stack_target(k, 0);
	}
	bytes(k, 2, ops[op]);
}

static void bases(struct pf_case *k)
{
	unsigned rm = pf_below(k, 8);

	if (pf_percent(k, 50)) {
		bytes(k, 3, 0xf8010f); /* SWAPGS */
		return;
	}
	if (rm != X86_RSP)
		k->s.gpr[rm] = pf_value(k);
	byte(k, 0xf3);
	if (k->size == 8 && pf_percent(k, 60))
		byte(k, 0x48);
	bytes(k, 2, 0xae0f);
	reg_reg(k, pf_below(k, 4), rm);
}

static void msr(struct pf_case *k)
{
	static const uint32_t list[] = {0x174, 0x175, 0x176, 0x277, 0xc0000080, 0xc0000080, 0xc0000081, 0xc0000082,
	    0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0x1b, 0x10, 0x12345};
	unsigned n = pf_below(k, ARRAY_LEN(list));
	uint64_t v = pf_value(k);

	if (list[n] == 0xc0000080 && pf_percent(k, 85))
		v = k->s.efer ^ (pf_percent(k, 50) ? 1ull << pf_below(k, 16) : 0);
	if (list[n] == 0x277 && pf_percent(k, 60))
		v = pf_u64(k) & 0x0404040404040404ull;
	k->s.gpr[X86_RCX] = list[n] | (pf_percent(k, 30) ? pf_u64(k) << 32 : 0);
	k->s.gpr[X86_RAX] = (uint32_t)v | (pf_percent(k, 30) ? pf_u64(k) << 32 : 0);
	k->s.gpr[X86_RDX] = v >> 32;
	bytes(k, 2, pf_percent(k, 65) ? 0x300f : 0x320f);
}

static void ports(struct pf_case *k)
{
	static const uint8_t ops[] = {0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f};
	unsigned op = ops[pf_below(k, ARRAY_LEN(ops))];
	uint64_t la = pf_address(k);

	if (op < 0x70 && pf_percent(k, 40))
		byte(k, 0xf3);
	(void)prefixes(k);
	k->s.gpr[X86_RDX] =
	    (k->s.gpr[X86_RDX] & ~0xffffull) | (pf_percent(k, 85) ? pf_below(k, 0x400) : (uint16_t)pf_u64(k));
	k->s.gpr[X86_RCX] = pf_percent(k, 80) ? pf_below(k, 5) : k->s.gpr[X86_RCX];
	k->s.gpr[X86_RSI] = la - base_of(k, X86_DS);
	k->s.gpr[X86_RDI] = la - base_of(k, X86_ES);
	byte(k, op);
	if (op >= 0xe4 && op < 0xe8)
		byte(k, pf_below(k, 256));
}

static void invalidate(struct pf_case *k)
{
	struct form f = prefixes(k);
	uint64_t la = pf_address(k);

	switch (pf_below(k, 5)) {
	case 0:
		bytes(k, 2, 0x080f); /* INVD */
		break;
	case 1:
		bytes(k, 2, 0x090f); /* WBINVD */
		break;
	default:
		bytes(k, 2, 0x010f);
		memory(k, f, 7, la);
		break;
	}
}

static void interrupt_flag(struct pf_case *k)
{
	byte(k, 0xfa + pf_below(k, 2));
}

static void push_pop_flags(struct pf_case *k)
{
	(void)prefixes(k);
	if (pf_percent(k, 70))
		pf_put(k, stack_top(k), 8, pf_percent(k, 50) ? pf_u64(k) : k->s.rflags ^ 1ull << pf_below(k, 22));
	byte(k, pf_percent(k, 70) ? 0x9d : 0x9c);
}

static void unprivileged(struct pf_case *k)
{
	static const uint32_t ops[] = {0xa20f, 0xd0010f, 0xd1010f, 0x330f, 0x310f, 0xc8010f, 0xc9010f, 0xca010f,
	    0xcb010f, 0xf9010f, 0x90f3, 0xf4, 0xaa0f, 0x370f, 0xc1010f, 0xc2010f, 0xd4010f, 0xd9010f, 0xdf010f};
	uint32_t op = ops[pf_below(k, ARRAY_LEN(ops))];

	k->s.gpr[X86_RCX] = pf_percent(k, 70) ? 2u * pf_below(k, 2) : k->s.gpr[X86_RCX] & ~1u; /* no XGETBV of 1 */
	bytes(k, op > 0xffff ? 3 : op > 0xff ? 2 : 1, op);
}

static void stack_frame(struct pf_case *k)
{
	static const uint8_t ops[] = {0xc9, 0x50, 0x58, 0x54, 0x5c, 0x60, 0x61, 0xc3};
	unsigned op = ops[pf_below(k, ARRAY_LEN(ops))];

	if (k->size < 8)
		(void)prefixes(k); /* Bochs: ENTER and LEAVE with 66 in 64-bit mode move 64 bits; the oracle has them */
	k->s.gpr[X86_RBP] = pf_stack_target(k, k->mode == PF_LONG64 ? 0 : k->s.seg[X86_SS].base);
	if (k->size == 8 && (op == 0x60 || op == 0x61))
		op = 0xc9;
	if (op == 0xc3)
		pf_put(k, stack_top(k), 8, pf_code_target(k, base_of(k, X86_CS)));
	if (pf_percent(k, 30)) {
		byte(k, 0xc8); /* ENTER */
		bytes(k, 2, pf_below(k, 0x80));
		byte(k, pf_percent(k, 60) ? 0 : pf_below(k, 40));
		return;
	}
	byte(k, op);
}

static void access(struct pf_case *k)
{
	static const uint8_t ops[] = {0x88, 0x89, 0x8a, 0x8b, 0x01, 0x87, 0x03, 0x86};
	struct form f = prefixes(k);
	uint64_t la = pf_address(k);

	byte(k, ops[pf_below(k, ARRAY_LEN(ops))]);
	memory(k, f, pf_below(k, 8), la);
}

static void strings(struct pf_case *k)
{
	static const uint8_t ops[] = {0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xa6, 0xa7};

	if (pf_percent(k, 50))
		byte(k, pf_percent(k, 70) ? 0xf3 : 0xf2);
	(void)prefixes(k);
	k->s.gpr[X86_RCX] = pf_below(k, 4);
	k->s.gpr[X86_RSI] = pf_address(k) - base_of(k, X86_DS);
	k->s.gpr[X86_RDI] = pf_address(k) - base_of(k, X86_ES);
	byte(k, ops[pf_below(k, ARRAY_LEN(ops))]);
}

/* VM entry injects an event: delivery without an instruction. */
static void inject(struct pf_case *k)
{
	static const uint8_t with_error[] = {8, 10, 11, 12, 13, 14, 17};
	struct x86_state *s = &k->s;
	unsigned type = (unsigned)"\0\2\3\3\3\4\4\5\6"[pf_below(k, 9)], vector = pf_below(k, PF_IDT_GATES);
	bool error = false;

	if (type == INTR_TYPE_NMI)
		vector = VEC_NMI;
	if (type == INTR_TYPE_HW_EXCEPTION) {
		vector = pf_below(k, 20);
		vector = vector == VEC_NMI || vector == 15 ? VEC_GP : vector;
		for (size_t n = 0; n < ARRAY_LEN(with_error); n++)
			error |= vector == with_error[n] && (s->cr0 & CR0_PE);
	}
	if (type == INTR_TYPE_PRIV_SW_EXCEPTION)
		vector = VEC_DB;
	if (type == INTR_TYPE_SW_EXCEPTION)
		vector = VEC_BP + pf_below(k, 2);
	s->intr_shadow = 0;
	s->pending_dbg = 0;
	if (type == INTR_TYPE_EXTERNAL)
		s->rflags |= FLAG_IF;
	if (type == INTR_TYPE_HW_EXCEPTION) /* our injection sets it for a fault, as the exit before it has done */
		s->rflags |= FLAG_RF;
	s->pending_event = INTR_INFO_VALID | type << INTR_INFO_TYPE_SHIFT | vector | (error ? INTR_INFO_ERROR : 0);
	s->pending_error = error ? (uint16_t)pf_u64(k) & 0x7fffu : 0;
	s->pending_len = type >= INTR_TYPE_SW_INT ? 1 + pf_below(k, 2) : 0;
	byte(k, 0x90);
}

#define ROW(name, weight)           \
	{                           \
#name, name, weight \
	}
#define PF_ROW(name, weight)             \
	{                                \
#name, pf_##name, weight \
	}
static const struct row {
	const char *name;
	void (*make)(struct pf_case *k);
	unsigned weight;
} rows[] = {
    ROW(mov_cr, 60),
    ROW(mov_dr, 30),
    ROW(lmsw, 12),
    ROW(smsw, 8),
    ROW(clts, 5),
    ROW(table_register, 30),
    ROW(lldt, 20),
    ROW(ltr, 25),
    ROW(sldt_str, 10),
    ROW(lar_lsl, 30),
    ROW(verr_verw, 15),
    ROW(arpl, 10),
    ROW(mov_sreg, 60),
    ROW(mov_from_sreg, 8),
    ROW(push_pop_sreg, 40),
    PF_ROW(lds_family, 30),
    PF_ROW(far_jump_call, 130),
    PF_ROW(ret_far, 70),
    PF_ROW(iret, 100),
    PF_ROW(int_n, 60),
    PF_ROW(int_short, 15),
    ROW(bound, 6),
    ROW(fast_call, 40),
    ROW(bases, 15),
    ROW(msr, 40),
    ROW(ports, 40),
    ROW(invalidate, 10),
    ROW(interrupt_flag, 15),
    ROW(push_pop_flags, 25),
    ROW(unprivileged, 25),
    ROW(stack_frame, 25),
    ROW(access, 40),
    ROW(strings, 15),
    PF_ROW(near_transfer, 20),
    ROW(inject, 60),
};

size_t pf_kinds(void)
{
	return ARRAY_LEN(rows);
}

const char *pf_kind_name(size_t n)
{
	return rows[n].name;
}

void pf_make_insn(struct pf_case *k)
{
	unsigned total = 0, n;

	for (size_t r = 0; r < ARRAY_LEN(rows); r++)
		total += rows[r].weight;
	n = pf_below(k, total);
	k->kind = 0;
	while (n >= rows[k->kind].weight)
		n -= rows[k->kind++].weight;
	k->what = rows[k->kind].name;
	k->len = 0;
	memset(k->code, 0, sizeof(k->code));
	rows[k->kind].make(k);
	if (k->size < 8)
		for (unsigned r = 0; r < 8; r++)
			k->s.gpr[r] = pf_percent(k, 90) ? (uint32_t)k->s.gpr[r] : k->s.gpr[r];
	if (k->size < 8) /* registers that this mode cannot see, and upper halves that it cannot set */
		for (unsigned r = 0; r < 16; r++)
			k->s.gpr[r] = r < 8 ? (uint32_t)k->s.gpr[r] : 0;
	for (unsigned b = 0; b < k->len; b++)
		pf_put(k, k->at + b, 1, k->code[b]);
}
