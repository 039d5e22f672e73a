/*
 * The rows: every form of every opcode that our decode tables have, found by decoding. A form is told apart by map,
 * opcode, mandatory prefix, register or memory operand, and as much of ModRM as the meaning depends on. Each opcode of
 * each map is asked with each of no prefix, 66, F3, F2, so that no table has to be repeated here.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/oracle/oracle.h"

#define MAX_ROWS 8192u

static struct orc_row found[MAX_ROWS];
struct orc_row *orc_rows = found;
unsigned orc_n_rows;

static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};

unsigned orc_code_size(unsigned mode)
{
	return 8u >> mode;
}

static bool is_escape(unsigned map, unsigned op, unsigned mode)
{
	static const uint8_t p[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};

	if (map == 1)
		return op == 0x38 || op == 0x3a;
	if (map != 0)
		return false;
	return op == 0x0f || memchr(p, (int)op, sizeof(p)) || (mode == ORC_64 && (op & 0xf0) == 0x40);
}

struct probe {
	uint16_t id[2]; /* 64-bit, 32-bit */
	uint8_t len[2];
};

static struct probe ask(unsigned map, unsigned op, unsigned prefix, unsigned modrm)
{
	uint8_t b[16] = {0};
	struct probe p;
	unsigned n = 0;

	if (prefix)
		b[n++] = (uint8_t)prefix;
	if (map)
		b[n++] = 0x0f;
	if (map > 1)
		b[n++] = map == 2 ? 0x38 : 0x3a;
	b[n++] = (uint8_t)op;
	b[n++] = (uint8_t)modrm;
	b[n] = 0x24;
	for (unsigned m = 0; m < 2; m++) {
		struct x86_insn i;

		p.id[m] = INSN_UD_INVALID;
		p.len[m] = 0;
		if (!is_escape(map, op, m) &&
		    x86_decode(b, 15, m ? 4 : 8, m ? X86_MODE_COMPAT : X86_MODE_LONG64, &i) == DECODE_OK) {
			p.id[m] = i.id;
			p.len[m] = i.len;
		}
	}
	return p;
}

static void add_row(unsigned map, unsigned op, unsigned prefix, bool modrm, bool mem, int reg, int rm, struct probe p)
{
	struct orc_row *r = &orc_rows[orc_n_rows];
	bool ok64 = p.id[0] != INSN_UD_INVALID, ok32 = p.id[1] != INSN_UD_INVALID;

	if (!ok64 && !ok32)
		return;
	if (++orc_n_rows == MAX_ROWS)
		abort();
	*r = (struct orc_row){.id = ok64 ? p.id[0] : p.id[1],
	    .map = (uint8_t)map,
	    .opcode = (uint8_t)op,
	    .prefix = (uint8_t)prefix,
	    .has_modrm = modrm,
	    .mem = mem,
	    .reg = (int8_t)reg,
	    .rm = (int8_t)rm,
	    .modes = (uint8_t)((ok64 ? 1 : 0) | (ok32 ? 6 : 0))};
}

static bool same(const struct probe *a, const struct probe *b)
{
	return a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

/* ModRM in one of its two halves: how much of it matters? */
static void add_modrm_rows(unsigned map, unsigned op, unsigned prefix, bool mem, const struct probe p[256])
{
	unsigned base = mem ? 0x80 : 0xc0; /* 0x80: with displacement, never an address form of its own */
	bool all = true, by_reg = true;

	for (unsigned k = 0; k < 64; k++) {
		all = all && same(&p[base + k], &p[base]);
		by_reg = by_reg && same(&p[base + k], &p[base + (k & 0x38)]);
	}
	if (all) {
		add_row(map, op, prefix, true, mem, -1, -1, p[base]);
		return;
	}
	for (unsigned k = 0; k < 64; k += by_reg ? 8 : 1)
		add_row(map, op, prefix, true, mem, (int)(k >> 3), by_reg ? -1 : (int)(k & 7), p[base + k]);
}

static void add_opcode(unsigned map, unsigned op, unsigned prefix)
{
	struct probe p[256];
	bool modrm = false;

	for (unsigned m = 0; m < 256; m++) {
		p[m] = ask(map, op, prefix, m);
		modrm = modrm || !same(&p[m], &p[0]) || p[m].len[0] != p[0].len[0] || p[m].len[1] != p[0].len[1];
	}
	if (!modrm) {
		add_row(map, op, prefix, false, false, -1, -1, p[0]);
		return;
	}
	add_modrm_rows(map, op, prefix, true, p);
	add_modrm_rows(map, op, prefix, false, p);
}

void orc_rows_find(void)
{
	for (unsigned map = 0; map < 4; map++)
		for (unsigned op = 0; op < 256; op++)
			for (unsigned k = 0; k < 4; k++)
				add_opcode(map, op, prefixes[k]);
}

void orc_rows_share(struct orc_row *to)
{
	memcpy(to, found, orc_n_rows * sizeof(*to));
	orc_rows = to;
}

void orc_rows_only(const char *name)
{
	unsigned n = 0;

	for (unsigned k = 0; k < orc_n_rows; k++)
		if (strcmp(x86_insn_name(found[k].id), name) == 0)
			found[n++] = found[k];
	orc_n_rows = n;
}
