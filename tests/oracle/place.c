/*
 * Where a case happens: segments, registers, flags and memory, chosen so that the instruction does something: its
 * operand lies in the data pages (now and then at their edges, or where it must not write), its branch lands in the
 * code, its selector exists, its comparison succeeds as often as not.
 */
#include <string.h>

#include "core/x86/exec.h"
#include "tests/oracle/oracle.h"

static bool chance(struct orc_gen *g, unsigned n)
{
	return rng_below(&g->r, n) == 0;
}

uint32_t orc_target(struct rng *r)
{
	switch (rng_below(r, 60)) {
	case 0: /* across the middle */
	case 1:
		return ORC_SCRATCH + 4096 - rng_below(r, 20);
	case 2: /* across the end, into the unmapped page */
		return ORC_SCRATCH + ORC_SCRATCH_SIZE - rng_below(r, 20);
	case 3: /* from the unmapped page before */
		return ORC_SCRATCH - 1 - rng_below(r, 20);
	case 4: /* code: cannot be written */
		return ORC_CODE + rng_below(r, ORC_CODE_SIZE);
	default:
		return ORC_SCRATCH + (rng_below(r, ORC_SCRATCH_SIZE - 64) & (rng_below(r, 3) ? ~15u : ~0u));
	}
}

/* --- segments --- */

#define L(n) ORC_LDT_SEL(n)
static const uint16_t code32[] = {0x23, 0x23, 0x23, L(0), L(2), L(10), L(22)};
static const uint16_t code16[] = {L(1), L(1), L(1), L(13), L(14), L(23)};
static const uint16_t data32[] = {0x2b, L(4), L(5), L(11), L(12), L(16), L(17), L(19), L(7), L(21), L(3), L(2), 0};
static const uint16_t data16[] = {L(3), L(3), L(3), L(18), L(6), L(4), L(17), L(7), L(12), L(1), 0x2b, 0};
static const uint16_t stack32[] = {0x2b, L(4), L(16), L(17), L(11), L(5), L(12), L(3)};
static const uint16_t stack16[] = {L(3), L(18), L(6), L(4), 0x2b};
/* For instructions that load one: also what must fail. */
static const uint16_t loadable[] = {0, 1, 2, 3, 0x0b, 0x13, 0x1b, 0x20, 0x23, 0x28, 0x29, 0x2b, 0x33, L(0), L(1), L(2),
    L(3), L(4), L(5), L(6), L(7), L(8), L(9), L(10), L(11), L(12), L(13), L(15), L(16), L(17), L(18), L(19), L(20),
    L(21), L(22), L(23), L(24), 0xfff7, 0x4, 0x1d};
#define PICK(g, a) (a)[rng_below(&(g)->r, sizeof(a) / sizeof((a)[0]))]

static uint64_t random_base(struct orc_gen *g)
{
	switch (rng_below(&g->r, 4)) {
	case 0:
		return 0;
	case 1:
		return (uint64_t)((int64_t)(rng_next(&g->r) << 16) >> 16);
	default:
		return ORC_SCRATCH + rng_below(&g->r, 4096);
	}
}

void orc_place_segments(struct orc_gen *g)
{
	struct orc_state *s = &g->c->in;
	struct x86_seg seg;

	for (unsigned n = 0; n < X86_SREG_COUNT; n++) {
		if (g->c->mode == ORC_16)
			s->sel[n] = PICK(g, data16);
		else
			s->sel[n] = rng_below(&g->r, 2) ? 0x2b : PICK(g, data32);
	}
	if (g->c->mode == ORC_64) {
		s->sel[X86_CS] = 0x33;
		s->sel[X86_SS] = chance(g, 8) ? PICK(g, stack32) : 0x2b;
		s->fs_base = random_base(g);
		s->gs_base = random_base(g);
		return;
	}
	if (g->c->mode == ORC_32) {
		s->sel[X86_CS] = PICK(g, code32);
		s->sel[X86_SS] = rng_below(&g->r, 2) ? 0x2b : PICK(g, stack32);
	} else {
		s->sel[X86_CS] = PICK(g, code16);
		s->sel[X86_SS] = PICK(g, stack16);
	}
	/* A null selector clears the base on this processor. */
	s->fs_base = orc_segment(s->sel[X86_FS], &seg) ? seg.base : 0;
	s->gs_base = orc_segment(s->sel[X86_GS], &seg) ? seg.base : 0;
}

uint64_t orc_seg_base(const struct orc_case *c, unsigned seg)
{
	struct x86_seg s;

	if (seg == X86_FS)
		return c->in.fs_base;
	if (seg == X86_GS)
		return c->in.gs_base;
	if (c->mode == ORC_64)
		return 0;
	orc_segment(c->in.sel[seg], &s);
	return s.base;
}

/* --- memory --- */

/* Puts n bytes at a linear address, if that is data. */
static void poke(struct orc_gen *g, uint64_t la, uint64_t v, unsigned n)
{
	struct orc_case *c = g->c;
	uint64_t off = (c->mode == ORC_64 ? la : (uint32_t)la) - ORC_SCRATCH;
	unsigned k;

	if (off > ORC_SCRATCH_SIZE - n || c->n_patch == ORC_PATCHES)
		return;
	k = c->n_patch++;
	c->patch[k].off = (uint32_t)off | n << 16;
	c->patch[k].v = v;
}

static uint64_t stack_linear(const struct orc_gen *g)
{
	const struct orc_case *c = g->c;
	struct x86_seg ss;
	uint64_t sp = c->in.gpr[X86_RSP];

	if (c->mode == ORC_64)
		return sp;
	orc_segment(c->in.sel[X86_SS], &ss);
	return (uint32_t)(ss.base + (ss.attr & SEG_DB ? (uint32_t)sp : (uint16_t)sp));
}

uint64_t orc_operand(const struct orc_gen *g)
{
	static struct x86_cpu cpu; /* x86_ea() reads registers and rip only */

	memcpy(cpu.s.gpr, g->c->in.gpr, sizeof(cpu.s.gpr));
	cpu.s.rip = g->c->in.rip + g->i.len;
	return orc_seg_base(g->c, g->i.seg) + x86_ea(&cpu, &g->i);
}

/* A linear address in the code, as an offset in CS. */
static uint64_t code_target(struct orc_gen *g)
{
	uint64_t la = chance(g, 16) ? orc_target(&g->r) : ORC_CODE + rng_below(&g->r, ORC_CODE_SIZE);

	if (chance(g, 64))
		return rng_value(&g->r);
	return la - orc_seg_base(g->c, X86_CS);
}

/* Sets register n so that an address comes out at off, in the address size, with anything above. */
static void solve(struct orc_gen *g, unsigned n, uint64_t off, unsigned addrsize)
{
	uint64_t *r = &g->c->in.gpr[n];

	if (addrsize == 8)
		*r = off;
	else if (addrsize == 4)
		*r = (uint32_t)off | (chance(g, 4) ? 0 : rng_next(&g->r) << 32);
	else
		*r = (off & 0xffff) | (rng_next(&g->r) << 16);
}

/* An address in which no register can be chosen: its displacement is. */
static void patch_disp(struct orc_gen *g, uint64_t off)
{
	struct orc_case *c = g->c;

	if (g->i.index != INSN_NO_REG)
		off -= c->in.gpr[g->i.index] << g->i.scale;
	if (g->i.flags & INSN_RIP_REL)
		off -= c->in.rip + g->i.len;
	if (g->disp_at + g->disp_n <= 16)
		memcpy(c->code + g->disp_at, &off, g->disp_n);
	orc_decode(g);
}

static bool is_locked(const struct x86_insn *i)
{
	return (i->flags & INSN_LOCK) || i->id == INSN_XCHG;
}

static unsigned locked_size(const struct x86_insn *i)
{
	return i->id == INSN_CMPXCHG16B ? 16 : i->id == INSN_CMPXCHG8B ? 8 : i->opsize;
}

/* Near off, but within a cache line: across one it would lock the bus, which the kernel and the hypervisor watch. Where
 * such an access faults, too: it can be met again for ever. */
static uint64_t locked_target(struct orc_gen *g, uint64_t off)
{
	return (off & ~63ull) | (chance(g, 3) ? rng_below(&g->r, 65 - locked_size(&g->i)) : off & 48);
}

static bool is_area(const struct x86_insn *i)
{
	return i->id == INSN_FXSAVE || i->id == INSN_FXRSTOR || i->id == INSN_XSAVE || i->id == INSN_XRSTOR ||
	       i->id == INSN_XSAVEOPT;
}

static bool place_operand(struct orc_gen *g)
{
	const struct x86_insn *i = &g->i;
	uint64_t off, rest;

	if (!(i->flags & INSN_MEM) || chance(g, 200))
		return true;
	off = orc_target(&g->r);
	if (is_locked(i))
		off = locked_target(g, off);
	if (is_area(i) && rng_below(&g->r, 8)) /* mostly where FXSAVE and XSAVE want it */
		off = ORC_SCRATCH + 64 * rng_below(&g->r, 118);
	off -= orc_seg_base(g->c, i->seg);
	if (i->base == INSN_NO_REG) {
		if (g->disp_n)
			patch_disp(g, off);
	} else if (i->base != i->index || i->scale == 0) {
		rest = (uint64_t)(int64_t)i->disp;
		if (i->base == i->index) { /* twice the same register */
			off = (off - rest) >> 1;
			solve(g, i->base, off, i->addrsize);
			return true;
		}
		rest += i->index == INSN_NO_REG ? 0 : g->c->in.gpr[i->index] << i->scale;
		solve(g, i->base, off - rest, i->addrsize);
	}
	return true;
}

/* --- what instructions need beside their operand --- */

static void place_string(struct orc_gen *g)
{
	const struct x86_insn *i = &g->i;
	uint64_t src = orc_target(&g->r), dst = chance(g, 4) ? src + rng_below(&g->r, 16) - 8 : orc_target(&g->r);

	solve(g, X86_RSI, src - orc_seg_base(g->c, i->seg), i->addrsize);
	solve(g, X86_RDI, dst - orc_seg_base(g->c, X86_ES), i->addrsize);
	solve(g, X86_RCX, rng_below(&g->r, chance(g, 8) ? 600 : 24), i->addrsize);
}

/* The immediate is the last of the instruction. */
static void patch_imm(struct orc_gen *g, unsigned from_end, const void *v, unsigned n)
{
	if (g->i.len >= from_end && g->i.len <= 15)
		memcpy(g->c->code + g->i.len - from_end, v, n);
}

static void place_relative(struct orc_gen *g)
{
	unsigned z = g->i.opsize < 4 ? g->i.opsize : 4;
	uint64_t rel;

	if (g->i.map == 0 && g->i.opcode != 0xe8 && g->i.opcode != 0xe9)
		return; /* a byte: never far away */
	rel = code_target(g) - (g->c->in.rip + g->i.len);
	patch_imm(g, z, &rel, z);
}

/* A selector for an operand of 16 bits in the register or memory operand. */
static void place_selector(struct orc_gen *g)
{
	uint16_t sel = PICK(g, loadable);

	if (g->i.flags & INSN_MEM)
		poke(g, orc_operand(g), sel | rng_next(&g->r) << 16, 2);
	else if (g->i.rm != X86_RSP)
		g->c->in.gpr[g->i.rm & 15] = sel | (rng_next(&g->r) << 16);
}

static uint16_t code_selector(struct orc_gen *g)
{
	static const uint16_t sels[] = {0x33, 0x23, 0x33, 0x23, L(0), L(1), L(2), L(10), L(13), L(14), L(22), L(23)};

	return chance(g, 4) ? PICK(g, loadable) : PICK(g, sels);
}

/* An offset that is code in the segment. */
static uint64_t far_offset(struct orc_gen *g, uint16_t sel)
{
	struct x86_seg s;
	uint64_t la = ORC_CODE + rng_below(&g->r, ORC_CODE_SIZE);

	if (chance(g, 16))
		return rng_value(&g->r);
	return orc_segment(sel, &s) ? la - s.base : la;
}

static void place_far(struct orc_gen *g)
{
	uint16_t sel = code_selector(g);
	uint64_t off = far_offset(g, sel), at;
	unsigned n = g->i.opsize;

	if (g->i.flags & INSN_MEM) {
		at = orc_operand(g);
		poke(g, at, off, n);
		poke(g, at + n, sel, 2);
	} else if (n == 2 || n == 4) {
		patch_imm(g, n + 2, &off, n);
		patch_imm(g, 2, &sel, 2);
	}
}

/* What far returns pop: offset, selector, for IRET flags, and in 64-bit mode (or to an outer level: never) the stack.
 */
static void place_far_return(struct orc_gen *g)
{
	unsigned n = g->i.opsize, k = 2;
	uint64_t sp = stack_linear(g);
	uint16_t sel = code_selector(g), ss = chance(g, 4) ? PICK(g, loadable) : 0x2b;
	uint64_t flags =
	    FLAG_R1 | FLAG_IF | (rng_next(&g->r) & (FLAGS_STATUS | FLAG_DF | FLAG_ID | FLAG_NT | FLAG_IOPL));

	poke(g, sp, far_offset(g, sel), n);
	poke(g, sp + n, sel, n);
	if (g->i.id != INSN_IRET)
		return;
	/* When IRET loads AC and the stack is not aligned, the processor raises #AC with AC clear in the image, which
	 * Linux takes for a split lock, ignores and meets again, for ever. */
	if (chance(g, 16) && !(sp & (n - 1)))
		flags |= FLAG_AC;
	poke(g, sp + k++ * n, flags, n);
	if (g->c->mode != ORC_64)
		return;
	poke(g, sp + k++ * n, ORC_SCRATCH + rng_below(&g->r, 4096), n);
	poke(g, sp + k * n, ss, n);
}

static void place_popf(struct orc_gen *g)
{
	uint64_t v = rng_next(&g->r) & ~(uint64_t)FLAG_TF;

	poke(g, stack_linear(g), v, g->i.opsize);
}

static void place_enter(struct orc_gen *g)
{
	uint8_t high = chance(g, 8) ? (uint8_t)rng_below(&g->r, 32) : 0;

	patch_imm(g, 2, &high, 1);
	solve(g, X86_RBP, stack_linear(g) + rng_below(&g->r, 256) - orc_seg_base(g->c, X86_SS), 8);
}

static void place_cmpxchg(struct orc_gen *g)
{
	uint64_t *r = g->c->in.gpr, at;
	unsigned half = g->i.id == INSN_CMPXCHG8B ? 4 : 8;

	if (!(g->i.flags & INSN_MEM)) {
		if (g->i.rm < 16 && g->i.rm != X86_RSP && rng_below(&g->r, 2))
			r[g->i.rm] = r[X86_RAX];
		return;
	}
	at = orc_operand(g);
	if (rng_below(&g->r, 2))
		return;
	poke(g, at, r[X86_RAX], g->i.id == INSN_CMPXCHG ? 8 : half);
	if (g->i.id != INSN_CMPXCHG)
		poke(g, at + half, r[X86_RDX], half);
}

static bool bit_by_register(const struct x86_insn *i)
{
	return i->map == 1 && i->id >= INSN_BT && i->id <= INSN_BTC && i->opcode != 0xba;
}

bool orc_locks_bus(const struct orc_gen *g)
{
	uint64_t at;

	if (!(g->i.flags & INSN_MEM) || !is_locked(&g->i))
		return false;
	at = orc_operand(g);
	if (bit_by_register(&g->i)) {
		int64_t n = (int64_t)x86_sext(g->i.opsize, g->c->in.gpr[g->i.reg]) >> 3;

		at = x86_addr_mask(g->i.addrsize, at + (uint64_t)(n & -(int64_t)g->i.opsize));
	}
	return (at & 63) + locked_size(&g->i) > 64;
}

static void place_near_target(struct orc_gen *g)
{
	uint64_t v = code_target(g);

	if (g->i.flags & INSN_MEM)
		poke(g, orc_operand(g), v, 8);
	else if (g->i.rm != X86_RSP)
		g->c->in.gpr[g->i.rm] = v;
}

/* One bit that no XCR0 has yet, now and then. */
static uint64_t reserved_bit(struct orc_gen *g)
{
	return chance(g, 16) ? 1ull << (20 + rng_below(&g->r, 43)) : 0;
}

/*
 * An area that FXRSTOR and XRSTOR accept, mostly. XCR0 is the kernel's, and the processor has the compacted format: the
 * header never names a component that our CPU does not have and XCR0 may, nor that format. Last of all that is placed.
 */
static void place_area(struct orc_gen *g)
{
	uint64_t at;

	if (!is_area(&g->i))
		return;
	g->c->in.gpr[X86_RAX] &= 3; /* also where the address is made of it */
	g->c->in.gpr[X86_RDX] = 0;
	at = orc_operand(g);
	if (!chance(g, 8))
		poke(g, at + 24, rng_next(&g->r) & 0xffff, 4);
	poke(g, at + 512, (rng_next(&g->r) & 3) | reserved_bit(g), 8);
	poke(g, at + 520, reserved_bit(g), 8);
	for (unsigned k = 528; k < 576; k += 8)
		poke(g, at + k, chance(g, 32) ? rng_value(&g->r) : 0, 8);
}

/* Where branches, calls and returns lead. */
static void place_transfer(struct orc_gen *g)
{
	switch (g->i.id) {
	case INSN_CALL:
	case INSN_JMP:
		if (g->i.opcode == 0xff)
			place_near_target(g);
		else
			place_relative(g);
		break;
	case INSN_RET:
		poke(g, stack_linear(g), code_target(g), g->i.opsize);
		break;
	case INSN_CALL_FAR:
	case INSN_JMP_FAR:
		place_far(g);
		break;
	case INSN_RET_FAR:
	case INSN_IRET:
		place_far_return(g);
		break;
	case INSN_POPF:
		place_popf(g);
		break;
	default:
		if (g->i.class == INSN_CLASS_BRANCH)
			place_relative(g);
		break;
	}
}

/* Operands by what the instruction means. */
static void place_by_id(struct orc_gen *g)
{
	uint64_t *r = g->c->in.gpr;

	switch (g->i.id) {
	case INSN_XLAT:
		solve(
		    g, X86_RBX, orc_target(&g->r) - (r[X86_RAX] & 0xff) - orc_seg_base(g->c, g->i.seg), g->i.addrsize);
		break;
	case INSN_MASKMOVQ:
	case INSN_MASKMOVDQU:
		solve(g, X86_RDI, orc_target(&g->r) - orc_seg_base(g->c, g->i.seg), g->i.addrsize);
		break;
	case INSN_LEAVE:
		solve(g, X86_RBP, stack_linear(g) + 8 * rng_below(&g->r, 64) - orc_seg_base(g->c, X86_SS), 8);
		break;
	case INSN_ENTER:
		place_enter(g);
		break;
	case INSN_DIV:
	case INSN_IDIV:
		if (rng_below(&g->r, 3))
			r[X86_RDX] = rng_below(&g->r, 3) - 1ull;
		break;
	case INSN_CMPXCHG:
	case INSN_CMPXCHG8B:
	case INSN_CMPXCHG16B:
		place_cmpxchg(g);
		break;
	case INSN_MOV_SREG:
	case INSN_LAR:
	case INSN_LSL:
	case INSN_VERR:
	case INSN_VERW:
	case INSN_ARPL:
		place_selector(g);
		break;
	case INSN_POP_SREG:
		poke(g, stack_linear(g), PICK(g, loadable), 2);
		break;
	case INSN_LDS:
	case INSN_LES:
	case INSN_LFS:
	case INSN_LGS:
	case INSN_LSS:
		poke(g, orc_operand(g) + g->i.opsize, PICK(g, loadable), 2);
		break;
	case INSN_WRFSBASE:
	case INSN_WRGSBASE:
		if (rng_below(&g->r, 4) && g->i.rm != X86_RSP)
			r[g->i.rm] = random_base(g);
		break;
	default:
		place_transfer(g);
		break;
	}
}

static void place_moffs(struct orc_gen *g)
{
	uint64_t off;

	if (g->i.map != 0 || g->i.opcode < 0xa0 || g->i.opcode > 0xa3)
		return;
	off = orc_target(&g->r) - orc_seg_base(g->c, g->i.seg);
	patch_imm(g, g->i.addrsize, &off, g->i.addrsize);
}

/* Also what tests read through the operand: a value at which arithmetic is interesting. */
static void place_value(struct orc_gen *g)
{
	if (!(g->i.flags & INSN_MEM) || chance(g, 4))
		return;
	poke(g, orc_operand(g), rng_value(&g->r), 8);
	if (g->i.class != INSN_CLASS_FPU)
		return;
	poke(g, orc_operand(g) + 8, rng_value(&g->r), 8);
}

static void place_registers(struct orc_gen *g)
{
	struct orc_state *s = &g->c->in;
	uint64_t sp = ORC_SCRATCH + 2048 + 8 * rng_below(&g->r, 256);

	for (unsigned n = 0; n < 16; n++)
		s->gpr[n] = rng_value(&g->r);
	if (chance(g, 8))
		sp += rng_below(&g->r, 8);
	if (chance(g, 100))
		sp = orc_target(&g->r);
	s->gpr[X86_RSP] = sp - orc_seg_base(g->c, X86_SS);
	if (g->c->mode == ORC_16)
		s->gpr[X86_RSP] |= (uint64_t)(rng_below(&g->r, 0x7fff)) << 16;
	if (s->gpr[X86_RSP] >> 16 == ORC_PAD >> 16) /* with a flat SS that would be the frame's own page */
		s->gpr[X86_RSP] ^= 0x10000;
	s->flags = FLAG_R1 | FLAG_IF | (rng_next(&g->r) & (FLAGS_STATUS | FLAG_DF | FLAG_ID));
	if (chance(g, 16))
		s->flags |= FLAG_AC;
	if (chance(g, 32))
		s->flags |= FLAG_NT;
}

static bool loads_ss(const struct x86_insn *i)
{
	return i->id == INSN_LSS || ((i->id == INSN_MOV_SREG || i->id == INSN_POP_SREG) && i->reg == X86_SS);
}

bool orc_place(struct orc_gen *g)
{
	struct orc_case *c = g->c;
	struct x86_seg ss;

	place_registers(g);
	if (!g->valid)
		return true;
	/* Trap flag: not where the trap would be delayed into the code around the instruction. */
	orc_segment(c->in.sel[X86_SS], &ss);
	if (chance(g, 40) && !loads_ss(&g->i) && (ss.attr & SEG_DB) && c->in.sel[X86_SS])
		c->in.flags |= FLAG_TF;
	if (g->i.class == INSN_CLASS_STRING || g->i.id == INSN_INS || g->i.id == INSN_OUTS)
		place_string(g);
	if (!place_operand(g))
		return false;
	if (bit_by_register(&g->i) && (g->i.flags & INSN_MEM) && g->i.reg != g->i.base && g->i.reg != g->i.index)
		c->in.gpr[g->i.reg] = (uint64_t)(int64_t)((int)rng_below(&g->r, 4000) - 2000);
	place_moffs(g);
	place_value(g);
	place_by_id(g);
	for (unsigned n = 0; n < 16 && c->mode != ORC_64; n++)
		c->in.gpr[n] = n < 8 ? (uint32_t)c->in.gpr[n] : 0;
	if (g->i.class == INSN_CLASS_FPU || chance(g, 64)) {
		c->use_fx = true;
		orc_place_fx(g);
	}
	place_area(g);
	return true;
}
