/*
 * See x86_sse_instance.h.
 */
#include "tests/x86_sse_instance.h"

#include <string.h>

#include "core/x86/decode_tables.h"
#include "tests/x86_native.h"
#include "tests/x86_values.h"

#define LINEAR NATIVE_SCRATCH
#define SCRATCH NATIVE_SCRATCH_SIZE

static unsigned code_size; /* 8: 64-bit mode, 4: compatibility mode */
static uint64_t insn_address;

const struct sse_row sse_rows[] = {
#define SSE(map, prefix, op, id, attr) {#prefix " " #id, map, SSE_##prefix, op, INSN_##id, attr, 0},
#include "core/x86/sse.def"
#undef SSE
    {"FXSAVE", 1, SSE_NP, 0xae, INSN_FXSAVE, SSE_MEM, 1},
    {"FXRSTOR", 1, SSE_NP, 0xae, INSN_FXRSTOR, SSE_MEM, 2},
    {"LDMXCSR", 1, SSE_NP, 0xae, INSN_LDMXCSR, SSE_MEM, 3},
    {"STMXCSR", 1, SSE_NP, 0xae, INSN_STMXCSR, SSE_MEM, 4},
    {"XSAVE", 1, SSE_NP, 0xae, INSN_XSAVE, SSE_MEM, 5},
    {"XRSTOR", 1, SSE_NP, 0xae, INSN_XRSTOR, SSE_MEM, 6},
    {"XSAVEOPT", 1, SSE_NP, 0xae, INSN_XSAVEOPT, SSE_MEM, 7},
};

_Static_assert(ARRAY_LEN(sse_rows) <= SSE_ROWS, "raise SSE_ROWS");

unsigned sse_row_count(void)
{
	return ARRAY_LEN(sse_rows);
}

void instances_for(unsigned size, uint64_t address)
{
	code_size = size;
	insn_address = address;
}

static uint32_t target(unsigned align)
{
	unsigned off;

	switch (below(32)) {
	case 0: /* across the middle */
		off = 4096 - below(16);
		break;
	case 1: /* across the end, into the unmapped page */
		off = SCRATCH - below(600);
		break;
	case 2: /* from the unmapped page before */
		off = 0u - 1 - below(16);
		break;
	case 3:
	case 4:
		off = below(SCRATCH - 640);
		break;
	case 5: /* aligned, and still outside */
		off = below(2) ? SCRATCH - (below(600) & ~(align - 1)) : 0u - align;
		break;
	default:
		off = below(SCRATCH - 640) & ~(align - 1);
		break;
	}
	return LINEAR + off;
}

static void put32(struct instance *t, uint32_t v)
{
	memcpy(t->code + t->n, &v, 4);
	t->n += 4;
}

static bool is_memory(const struct sse_row *w)
{
	return !(w->attr & SSE_REG) && ((w->attr & SSE_MEM) || below(2));
}

static void random_modrm(struct instance *t)
{
	const struct sse_row *w = &sse_rows[t->row];
	unsigned reg = (w->ext ? w->ext - 1u : below(8)) << 3, at = t->n++, mod = below(3), rm = below(8);

	if (!is_memory(w)) {
		t->code[at] = (uint8_t)(0xc0 | reg | below(8));
	} else if (below(4) == 0) { /* absolute */
		t->code[at] = (uint8_t)(reg | 4);
		t->code[t->n++] = 0x25;
		put32(t, target(64));
	} else {
		if (mod == 0 && rm == 5)
			mod = 1;
		t->code[at] = (uint8_t)(mod << 6 | reg | rm);
		if (rm == 4) {
			t->code[t->n] = (uint8_t)rng();
			if ((t->code[t->n] & 7) == 5)
				t->code[t->n] ^= 1;
			t->n++;
		}
		if (mod == 1)
			t->code[t->n++] = (uint8_t)rng();
		else if (mod == 2)
			put32(t, (uint32_t)rng());
	}
}

static void random_code(struct instance *t)
{
	static const uint8_t prefix[] = {[SSE_66] = 0x66, [SSE_F3] = 0xf3, [SSE_F2] = 0xf2};
	const struct sse_row *w = &sse_rows[t->row];

	t->n = 0;
	if (below(16) == 0)
		t->code[t->n++] = 0x67;
	if (below(16) == 0)
		t->code[t->n++] = "\x26\x2e\x36\x3e"[below(4)];
	if ((w->prefix == SSE_F3 || w->prefix == SSE_F2) && below(16) == 0)
		t->code[t->n++] = 0x66; /* means nothing beside them */
	if (w->prefix != SSE_NP)
		t->code[t->n++] = prefix[w->prefix];
	if (code_size == 8 && below(2))
		t->code[t->n++] = (uint8_t)(0x40 | below(16));
	t->code[t->n++] = 0x0f;
	if (w->map > 1)
		t->code[t->n++] = w->map == 2 ? 0x38 : 0x3a;
	t->code[t->n++] = w->opcode;
	if (!(w->attr & SSE_NOMODRM))
		random_modrm(t);
	while (t->n < 16)
		t->code[t->n++] = (uint8_t)rng();
}

static bool decode(struct instance *t)
{
	return x86_decode(t->code, 15, code_size, code_size == 8 ? X86_MODE_LONG64 : X86_MODE_COMPAT, &t->i) ==
	       DECODE_OK;
}

/* Makes the address of the memory operand come out at a place of our choice, by its base register. */
static bool place_operand(struct instance *t)
{
	const struct x86_insn *i = &t->i;
	unsigned align = 1u << below(7);
	uint64_t rest;

	if (align < 16 && below(4))
		align = 16;
	if (sse_rows[t->row].ext > 4)
		align = 64;
	if (!(i->flags & INSN_MEM) || i->addrsize == 2 || i->base == INSN_NO_REG)
		return true;
	if (i->base == i->index)
		return false;
	rest = (uint64_t)(int64_t)i->disp + (i->index == INSN_NO_REG ? 0 : t->gpr[i->index] << i->scale);
	t->gpr[i->base] = target(align) - rest;
	if (i->addrsize == 4)
		t->gpr[i->base] = (uint32_t)t->gpr[i->base] | (rng() << 32);
	return true;
}

static uint64_t small_or_any(void)
{
	uint64_t v = below(20);

	if (below(2))
		v = 0 - v;
	return below(8) ? v : integer(64);
}

static bool choose(struct instance *t)
{
	const struct sse_row *w;

	random_code(t);
	if (!decode(t))
		return false;
	w = &sse_rows[t->row];
	for (unsigned r = 0; r < 16; r++)
		t->gpr[r] = integer(64);
	if (w->id == INSN_PCMPESTRI || w->id == INSN_PCMPESTRM) {
		t->gpr[X86_RAX] = small_or_any();
		t->gpr[X86_RDX] = small_or_any();
	}
	if (w->ext >= 5) {
		t->gpr[X86_RAX] = below(4);
		t->gpr[X86_RDX] = 0;
	}
	t->gpr[X86_RSP] = LINEAR + 2048;
	t->flags = (rng() & (FLAGS_STATUS | FLAG_DF)) | FLAG_R1 | FLAG_IF | (below(8) ? 0 : FLAG_AC);
	if (w->id == INSN_MASKMOVQ || w->id == INSN_MASKMOVDQU)
		t->gpr[X86_RDI] = target(1);
	if (!place_operand(t))
		return false;
	if (w->ext >= 5 && (t->i.base == X86_RAX || t->i.base == X86_RDX))
		return false;
	return true;
}

uint64_t instance_ea(const struct instance *t)
{
	static struct x86_cpu cpu; /* x86_ea() reads registers only */

	memcpy(cpu.s.gpr, t->gpr, sizeof(cpu.s.gpr));
	cpu.s.rip = insn_address + t->i.len;
	return x86_ea(&cpu, &t->i);
}

/* An operand lies in or beside the scratch pages, or where nothing can be: the process has other memory. */
static bool is_apart(const struct instance *t)
{
	uint64_t ea = instance_ea(t);

	return !(t->i.flags & INSN_MEM) || ea - (LINEAR - 4096) < SCRATCH + 8192 || ea < 0x11000 || !x86_canonical(ea);
}

bool instance_make(struct instance *t)
{
	if (!choose(t))
		return false;
	for (unsigned r = 0; r < 16 && code_size == 4; r++)
		t->gpr[r] = r < 8 ? (uint32_t)t->gpr[r] : 0;
	if (!is_apart(t))
		return false;
	random_fx(2 * code_size, t->fx);
	return true;
}

/* The image that FXRSTOR and XRSTOR read. */
static void fill_image(const struct instance *t, uint8_t *p)
{
	const struct sse_row *w = &sse_rows[t->row];
	uint64_t header[3] = {below(4), 0, 0};

	random_fx(16, p);
	if (below(8) == 0)
		p[AT_MXCSR + 1 + below(3)] = (uint8_t)rng();
	if (below(8) == 0)
		p[below(160)] = (uint8_t)rng();
	for (unsigned at = AT_FIP; at <= AT_FDP; at += 8) { /* canonical, however many bits addresses have */
		p[at + 5] &= 0x7f;
		p[at + 6] = p[at + 7] = 0;
	}
	if (w->id != INSN_XRSTOR)
		return;
	/* Bits that our XCR0 does not have and that of this machine may are left out, and so is the compacted form. */
	if (below(16) == 0)
		header[0] |= 1ull << (20 + below(44));
	if (below(16) == 0)
		header[1 + below(2)] = 1ull << below(63);
	memcpy(p + 512, header, sizeof(header));
	memset(p + 536, 0, 40);
}

void instance_fill_memory(const struct instance *t)
{
	uint8_t *mem = (uint8_t *)(uintptr_t)LINEAR;
	uint64_t ea = instance_ea(t) - LINEAR;

	if ((t->i.flags & INSN_MEM) && ea < SCRATCH - 16) {
		vector(mem + ea);
		if (sse_rows[t->row].ext == 3) {
			uint32_t v = random_mxcsr() | (below(4) ? 0 : 1u << below(32));

			memcpy(mem + ea, &v, 4);
		}
	}
	if ((sse_rows[t->row].id == INSN_FXRSTOR && ea <= SCRATCH - 512) ||
	    (sse_rows[t->row].id == INSN_XRSTOR && ea <= SCRATCH - 576))
		fill_image(t, mem + ea);
	if (sse_rows[t->row].ext == 5 && ea < SCRATCH - 576) { /* XSTATE_BV: read and written */
		uint64_t v = rng();

		memcpy(mem + ea + 512, &v, 8);
	}
}
