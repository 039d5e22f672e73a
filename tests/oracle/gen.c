/*
 * An instruction of a row: its mandatory prefix, more legacy prefixes in any order, REX, opcode, ModRM with any address
 * form, and an immediate. Now and then something illegal: LOCK where it is not allowed, a form that the mode does not
 * have, more than 15 bytes, an opcode that is undefined.
 */
#include <string.h>

#include "tests/oracle/oracle.h"

static void put(struct orc_gen *g, unsigned byte)
{
	if (g->c->n < 16)
		g->c->code[g->c->n++] = (uint8_t)byte;
}

static void put_random(struct orc_gen *g, unsigned n)
{
	uint64_t v = rng_value(&g->r);

	for (unsigned k = 0; k < n; k++)
		put(g, (unsigned)(v >> 8 * k));
}

static bool chance(struct orc_gen *g, unsigned n)
{
	return rng_below(&g->r, n) == 0;
}

/* Legacy prefixes in random order, then REX. Returns whether 67 is among them. */
static bool put_prefixes(struct orc_gen *g)
{
	const struct orc_row *row = g->row;
	uint8_t p[16];
	unsigned n = 0;
	bool p67 = false;

	if (row && row->prefix)
		p[n++] = row->prefix;
	if (row && row->prefix >= 0xf2 && chance(g, 4))
		p[n++] = 0x66;
	if (chance(g, 8)) {
		p67 = true;
		p[n++] = 0x67;
	}
	if (chance(g, 8))
		p[n++] = (uint8_t) "\x26\x2e\x36\x3e\x64\x65"[rng_below(&g->r, 6)];
	if (row ? row->mem && chance(g, 10) : chance(g, 16))
		p[n++] = 0xf0;
	if (!row)
		while (n < 5 && chance(g, 3))
			p[n++] = (uint8_t) "\x66\xf2\xf3"[rng_below(&g->r, 3)];
	if (chance(g, 200))
		while (n < 12 && !chance(g, 8))
			p[n++] = (uint8_t) "\x26\x2e\x36\x3e"[rng_below(&g->r, 4)];
	for (unsigned k = n; k > 1; k--) {
		unsigned j = rng_below(&g->r, k);
		uint8_t b = p[j];

		p[j] = p[k - 1];
		p[k - 1] = b;
	}
	for (unsigned k = 0; k < n; k++)
		put(g, p[k]);
	if (g->c->mode == ORC_64 && rng_below(&g->r, 2))
		put(g, 0x40 | rng_below(&g->r, 16));
	return p67;
}

static void put_disp(struct orc_gen *g, unsigned n, bool no_registers)
{
	if (no_registers) {
		g->disp_at = g->c->n;
		g->disp_n = n;
	}
	put_random(g, n);
}

static void put_memory16(struct orc_gen *g, unsigned reg)
{
	unsigned mod = rng_below(&g->r, 3), rm = rng_below(&g->r, 8);

	put(g, mod << 6 | reg << 3 | rm);
	if (mod == 0 && rm == 6)
		put_disp(g, 2, true);
	else if (mod)
		put_disp(g, mod, false);
}

static void put_memory32(struct orc_gen *g, unsigned reg)
{
	unsigned mod = rng_below(&g->r, 3), rm = rng_below(&g->r, 8), base = rm;

	if (rm == 4 || chance(g, 8)) {
		unsigned sib = rng_below(&g->r, 256);

		put(g, mod << 6 | reg << 3 | 4);
		put(g, sib);
		base = sib & 7;
	} else {
		put(g, mod << 6 | reg << 3 | rm);
	}
	if (mod == 0 && base == 5)
		put_disp(g, 4, true);
	else if (mod)
		put_disp(g, mod == 1 ? 1 : 4, false);
}

static void put_modrm(struct orc_gen *g, bool p67)
{
	const struct orc_row *row = g->row;
	unsigned reg = row->reg >= 0 ? (unsigned)row->reg : rng_below(&g->r, 8);
	unsigned rm = row->rm >= 0 ? (unsigned)row->rm : rng_below(&g->r, 8);

	if (!row->mem)
		put(g, 0xc0 | reg << 3 | rm);
	else if (g->c->mode == ORC_16 ? !p67 : g->c->mode == ORC_32 && p67)
		put_memory16(g, reg);
	else
		put_memory32(g, reg);
}

static void put_opcode(struct orc_gen *g, unsigned map, unsigned op)
{
	if (map)
		put(g, 0x0f);
	if (map > 1)
		put(g, map == 2 ? 0x38 : 0x3a);
	put(g, op);
}

void orc_decode(struct orc_gen *g)
{
	static const enum x86_mode modes[ORC_MODES] = {X86_MODE_LONG64, X86_MODE_COMPAT, X86_MODE_COMPAT};
	enum x86_decode_rc rc = x86_decode(g->c->code, 16, orc_code_size(g->c->mode), modes[g->c->mode], &g->i);

	g->valid = rc == DECODE_OK && g->i.id != INSN_UD_INVALID;
	g->c->insn_len = rc == DECODE_OK ? g->i.len : 16;
}

static void pick_row(struct orc_gen *g)
{
	unsigned modes;

	g->row = &orc_rows[rng_below(&g->r, orc_n_rows)];
	modes = chance(g, 64) ? 7 : g->row->modes;
	do
		g->c->mode = (uint8_t)rng_below(&g->r, ORC_MODES);
	while (!(modes >> g->c->mode & 1));
}

static void make_code(struct orc_gen *g)
{
	if (chance(g, 64)) {
		g->row = NULL;
		g->c->mode = (uint8_t)rng_below(&g->r, ORC_MODES);
		put_prefixes(g);
		put_opcode(g, rng_below(&g->r, 4), rng_below(&g->r, 256));
	} else {
		bool p67;

		pick_row(g);
		p67 = put_prefixes(g);
		put_opcode(g, g->row->map, g->row->opcode);
		if (g->row->has_modrm)
			put_modrm(g, p67);
	}
	while (g->c->n < 16)
		put_random(g, 8);
	orc_decode(g);
}

/* Where the instruction stands: mostly in the middle of the code, also across its pages and at its very end. */
static void choose_slot(struct orc_gen *g)
{
	struct orc_case *c = g->c;
	struct x86_seg cs;
	unsigned off;

	if (chance(g, 32))
		off = ORC_CODE_SIZE - rng_below(&g->r, c->insn_len + 2u);
	else if (chance(g, 4))
		off = 0x2000 - rng_below(&g->r, 20);
	else
		off = 0x1000 + rng_below(&g->r, 0xf00);
	if (off == ORC_CODE_SIZE)
		off -= c->insn_len;
	/* Not beyond the segment: one cannot jump there. Across its end, one can run. */
	if (orc_segment(c->in.sel[X86_CS], &cs) && cs.base == ORC_CODE && off > cs.limit)
		off = cs.limit - rng_below(&g->r, 20);
	c->slot = ORC_CODE + off;
	c->in.rip = c->slot - cs.base;
}

/* After the instruction: a jump out, or nothing where it may go somewhere itself or has no room for the jump. */
static void finish_slot(struct orc_gen *g)
{
	struct orc_case *c = g->c;
	unsigned room = ORC_CODE + ORC_CODE_SIZE - c->slot, n = c->insn_len;
	struct x86_seg cs;
	bool jumps = g->i.class == INSN_CLASS_BRANCH || g->i.class == INSN_CLASS_SYSTEM;

	if (orc_segment(c->in.sel[X86_CS], &cs) && c->mode != ORC_64 && cs.limit - c->in.rip + 1 < room)
		room = (unsigned)(cs.limit - c->in.rip + 1);
	if (!g->valid || jumps || n + 10 > room) {
		c->ends_by_trap = true;
		room = ORC_CODE + ORC_CODE_SIZE - c->slot;
		c->n = (uint8_t)(n < room ? n : room);
		if (n > 15 && c->n > 15)
			c->n = 15;
		return;
	}
	if (c->mode == ORC_64) {
		uint32_t rel = ORC_PAD - (c->slot + n + 5);

		c->code[n++] = 0xe9;
		memcpy(c->code + n, &rel, 4);
		n += 4;
	} else {
		uint32_t to = ORC_PAD;

		if (c->mode == ORC_16)
			c->code[n++] = 0x66;
		c->code[n++] = 0xea;
		memcpy(c->code + n, &to, 4);
		c->code[n + 4] = 0x33;
		c->code[n + 5] = 0;
		n += 6;
	}
	c->n = (uint8_t)n;
}

bool orc_is_bit_scan(const struct orc_gen *g)
{
	return g->i.id == INSN_BSF || g->i.id == INSN_BSR;
}

/* BSF and BSR with F3 have become TZCNT and LZCNT. F2 is as long, and ignored as our CPU ignores F3. */
static void replace_f3(struct orc_gen *g)
{
	for (unsigned k = 0; g->valid && orc_is_bit_scan(g) && g->c->code[k] != 0x0f; k++)
		if (g->c->code[k] == 0xf3)
			g->c->f2_for_f3 |= (uint16_t)(1u << k);
}

bool orc_generate(struct orc_gen *g, struct orc_case *c, uint64_t seed, uint64_t index, const char **why)
{
	memset(c, 0, sizeof(*c));
	memset(g, 0, sizeof(*g));
	*why = NULL;
	g->c = c;
	c->index = index;
	rng_at(&g->r, seed, index);
	make_code(g);
	/* LOCK where it is not allowed is #UD: not every time. */
	if (g->row && !g->valid && !chance(g, 8))
		return false;
	orc_place_segments(g);
	choose_slot(g);
	if (!orc_place(g))
		return false;
	orc_decode(g);
	*why = orc_excluded(g);
	if (*why)
		return false;
	replace_f3(g);
	finish_slot(g);
	return true;
}
