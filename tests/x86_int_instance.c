/*
 * See x86_int_instance.h.
 */
#include "tests/x86_int_instance.h"

#include <cpuid.h>
#include <string.h>

#include "core/x86/exec.h"
#include "tests/x86_native.h"
#include "tests/x86_values.h"

#define LINEAR NATIVE_SCRATCH
#define SCRATCH NATIVE_SCRATCH_SIZE
#define FLAGS_RANDOM (FLAGS_STATUS | FLAG_DF)

static unsigned code_size; /* 8: 64-bit mode, 4: compatibility mode */
static uint64_t insn_address;

void int_instances_for(unsigned size, uint64_t address)
{
	code_size = size;
	insn_address = address;
}

static uint32_t target(void)
{
	unsigned off;

	switch (below(40)) {
	case 0: /* across the middle */
		off = 4096 - below(16);
		break;
	case 1: /* across the end, into the unmapped page */
		off = SCRATCH - below(16);
		break;
	case 2: /* from the unmapped page before */
		off = 0u - 1 - below(16);
		break;
	default:
		off = below(SCRATCH - 64) & (below(2) ? ~15u : ~0u);
		break;
	}
	return LINEAR + off;
}

static void put32(struct int_instance *t, uint32_t v)
{
	memcpy(t->code + t->n, &v, 4);
	t->n += 4;
}

/* A ModRM byte and what follows; memory operands with a base register get their address when it is known. */
static void random_modrm(struct int_instance *t)
{
	unsigned reg = below(8) << 3, r = below(10);
	unsigned at = t->n++;

	if (r < 4) {
		t->code[at] = (uint8_t)(0xc0 | reg | below(8));
	} else if (r < 7) { /* base, displacement */
		unsigned mod = below(3), rm = below(8);

		if (rm == 4)
			rm = 3;
		if (mod == 0 && rm == 5)
			mod = 1;
		t->code[at] = (uint8_t)(mod << 6 | reg | rm);
		if (mod == 1)
			t->code[t->n++] = (uint8_t)rng();
		else if (mod == 2)
			put32(t, (uint32_t)rng());
	} else if (r < 9) { /* SIB */
		unsigned mod = 1 + below(2);

		t->code[at] = (uint8_t)(mod << 6 | reg | 4);
		t->code[t->n++] = (uint8_t)rng();
		if (mod == 1)
			t->code[t->n++] = (uint8_t)rng();
		else
			put32(t, (uint32_t)rng());
	} else if (below(2)) { /* absolute */
		t->code[at] = (uint8_t)(reg | 4);
		t->code[t->n++] = 0x25;
		put32(t, target());
	} else { /* absolute; in 64-bit mode relative to rip, and right when no immediate follows */
		t->code[at] = (uint8_t)(reg | 5);
		if (code_size == 8)
			put32(t, LINEAR + below(SCRATCH - 64) - (uint32_t)(insn_address + t->n + 4));
		else
			put32(t, target());
	}
}

static bool has_modrm(unsigned map, unsigned op)
{
	if (map == 0)
		return (op < 0x40 && (op & 7) < 4) || (op | 1) == 0x63 || op == 0x69 || op == 0x6b ||
		       (op >= 0x80 && op <= 0x8f) || op == 0xc0 || op == 0xc1 || op == 0xc6 || op == 0xc7 ||
		       (op >= 0xd0 && op <= 0xd3) || op == 0xf6 || op == 0xf7 || op == 0xfe || op == 0xff;
	return !(map == 1 && (op == 0x0b || (op >= 0xc8 && op <= 0xcf)));
}

static void random_code(struct int_instance *t)
{
	unsigned map = below(5), op = below(256);

	t->n = 0;
	if (below(3) == 0)
		t->code[t->n++] = 0x66;
	if (below(8) == 0)
		t->code[t->n++] = 0x67;
	if (below(8) == 0)
		t->code[t->n++] = below(2) ? 0xf2 : 0xf3;
	if (below(16) == 0)
		t->code[t->n++] = 0xf0;
	if (below(8) == 0)
		t->code[t->n++] = "\x26\x2e\x36\x3e"[below(4)];
	if (code_size == 8 && below(2))
		t->code[t->n++] = (uint8_t)(0x40 | below(16));
	if (map >= 3)
		map = map == 3 ? 1 : 0;
	if (map) {
		t->code[t->n++] = 0x0f;
		if (map == 2) {
			t->code[t->n++] = 0x38;
			op = 0xf0 | (op & 1);
		}
	}
	t->code[t->n++] = (uint8_t)op;
	if (has_modrm(map, op))
		random_modrm(t);
	while (t->n < 16)
		t->code[t->n++] = (uint8_t)integer(64);
}

bool int_insn_exists(unsigned id)
{
	unsigned a = 0, b = 0, c = 0, d = 0;

	__get_cpuid(1, &a, &b, &c, &d);
	switch (id) {
	case INSN_MOVBE:
		return c & bit_MOVBE;
	case INSN_POPCNT:
		return c & bit_POPCNT;
	case INSN_CRC32:
		return c & bit_SSE4_2;
	default:
		return true;
	}
}

/* What can be compared: integer instructions that are the same on every CPU and stay in the frame. */
static bool is_wanted(const struct x86_insn *i)
{
	if (i->seg >= X86_FS)
		return false; /* their bases belong to the C library */
	if (i->class == INSN_CLASS_STRING)
		return true;
	if (i->class != INSN_CLASS_PLAIN)
		return i->id == INSN_UD2;
	switch (i->id) {
	case INSN_BSF:
	case INSN_BSR:
		return !(i->flags & INSN_REP); /* TZCNT and LZCNT here, BSF and BSR on our CPU */
	case INSN_NOP:
		return i->map == 0; /* 0F 1A to 0F 1E have had other meanings since */
	case INSN_PREFETCH:
	case INSN_CLFLUSH:
	case INSN_PAUSE:
		return false;
	case INSN_BSWAP:
		return i->opsize != 2; /* undefined */
	default:
		return int_insn_exists(i->id);
	}
}

static bool bit_by_register(const struct x86_insn *i)
{
	return i->map == 1 && i->id >= INSN_BT && i->id <= INSN_BTC && i->opcode != 0xba;
}

uint64_t int_instance_ea(const struct int_instance *t)
{
	static struct x86_cpu cpu; /* x86_ea() reads registers only */

	memcpy(cpu.s.gpr, t->gpr, sizeof(cpu.s.gpr));
	cpu.s.rip = insn_address + t->i.len;
	return x86_ea(&cpu, &t->i);
}

/* Makes the address of the memory operand come out at a place of our choice, by its base register. */
static bool place_operand(struct int_instance *t)
{
	const struct x86_insn *i = &t->i;
	uint64_t rest;

	if (!(i->flags & INSN_MEM) || i->id == INSN_LEA || i->addrsize == 2)
		return true; /* nothing is mapped in the first 64 KiB: 16-bit addresses must fault */
	if (i->base == INSN_NO_REG) {
		return int_instance_ea(t) - (LINEAR - 4096) < SCRATCH + 8192;
	}
	if (i->base == i->index || (i->base == X86_RSP && (i->id == INSN_PUSH || i->id == INSN_POP)))
		return false;
	rest = (uint64_t)(int64_t)i->disp + (i->index == INSN_NO_REG ? 0 : t->gpr[i->index] << i->scale);
	t->gpr[i->base] = target() - rest;
	if (i->addrsize == 4)
		t->gpr[i->base] = (uint32_t)t->gpr[i->base] | (rng() << 32);
	return true;
}

/* Registers that address memory without ModRM, and operands that make both outcomes likely. */
static bool place_implicit(struct int_instance *t)
{
	struct x86_insn *i = &t->i;

	if (i->class == INSN_CLASS_STRING) {
		t->gpr[X86_RSI] = target();
		t->gpr[X86_RDI] = below(4) ? target() : t->gpr[X86_RSI] + below(16) - 8;
		t->gpr[X86_RCX] = below(4) ? below(24) : below(300);
		if (i->addrsize == 4) {
			t->gpr[X86_RSI] |= rng() << 32;
			t->gpr[X86_RDI] |= rng() << 32;
			t->gpr[X86_RCX] |= rng() << 32;
		}
	}
	if (code_size == 8 && i->addrsize == 4 && (i->flags & (INSN_REP | INSN_REPNE)) && !(uint32_t)t->gpr[X86_RCX])
		return false; /* vendors differ: Intel's clear the upper halves even so */
	if (i->id == INSN_XLAT)
		t->gpr[X86_RBX] = target();
	if (i->id == INSN_LEAVE || i->id == INSN_ENTER)
		t->gpr[X86_RBP] = LINEAR + 4096 + 8 * below(64);
	if (bit_by_register(i) && (i->flags & INSN_MEM)) {
		if (i->reg == i->base || i->reg == i->index)
			return false;
		t->gpr[i->reg] = (uint64_t)(int64_t)((int)below(4000) - 2000);
	}
	if (i->id == INSN_DIV || i->id == INSN_IDIV)
		t->gpr[X86_RDX] = below(3) ? below(3) - 1ull : t->gpr[X86_RDX];
	return true;
}

/* Immediates that decide where memory is touched: patched in the code. */
static void patch_code(struct int_instance *t)
{
	if (t->i.id == INSN_ENTER)
		t->code[t->i.len - 2] = 0; /* at most 255 bytes of locals */
	if (t->i.map == 0 && t->i.opcode >= 0xa0 && t->i.opcode <= 0xa3) {
		uint64_t a = target();

		memcpy(t->code + t->i.len - t->i.addrsize, &a, t->i.addrsize);
	}
}

static enum x86_decode_rc decode(struct int_instance *t)
{
	return x86_decode(t->code, 15, code_size, code_size == 8 ? X86_MODE_LONG64 : X86_MODE_COMPAT, &t->i);
}

/* A locked access across a cache line: the kernel watches for these, and under some hypervisors they never complete. */
static bool locks_bus(const struct int_instance *t)
{
	const struct x86_insn *i = &t->i;
	uint64_t ea;

	if (!(i->flags & INSN_MEM) || !((i->flags & INSN_LOCK) || i->id == INSN_XCHG))
		return false;
	ea = int_instance_ea(t);
	if (bit_by_register(i))
		ea += (uint64_t)(((int64_t)x86_sext(i->opsize, t->gpr[i->reg]) >> 3) & -(int64_t)i->opsize);
	return (ea & 63) > 64u - (i->id == INSN_CMPXCHG16B ? 16 : 8);
}

bool int_instance_make(struct int_instance *t)
{
	random_code(t);
	if (decode(t) != DECODE_OK || !is_wanted(&t->i))
		return false;
	patch_code(t);
	decode(t);
	for (unsigned r = 0; r < 16; r++)
		t->gpr[r] = integer(64);
	t->gpr[X86_RSP] = LINEAR + 2048 + 8 * below(128) + (below(8) == 0 ? below(8) : 0);
	t->flags = (rng() & FLAGS_RANDOM) | FLAG_R1 | FLAG_IF;
	if (!place_implicit(t) || !place_operand(t))
		return false;
	for (unsigned r = 0; r < 16 && code_size == 4; r++)
		t->gpr[r] = r < 8 ? (uint32_t)t->gpr[r] : 0;
	return !locks_bus(t);
}

void int_instance_fill_memory(const struct int_instance *t)
{
	uint8_t *mem = (uint8_t *)(uintptr_t)LINEAR;
	uint64_t ea;

	for (unsigned k = 0; k < 16; k++) {
		uint64_t v = integer(64);

		memcpy(mem + 8 * below(SCRATCH / 8), &v, 8);
	}
	/* A comparison that succeeds, half of the time. */
	ea = int_instance_ea(t) - LINEAR;
	if ((t->i.flags & INSN_MEM) && t->i.id >= INSN_CMPXCHG && t->i.id <= INSN_CMPXCHG16B && below(2) &&
	    ea < SCRATCH - 16) {
		unsigned half = t->i.id == INSN_CMPXCHG8B ? 4 : 8;

		memcpy(mem + ea, &t->gpr[X86_RAX], half);
		if (t->i.id != INSN_CMPXCHG)
			memcpy(mem + ea + half, &t->gpr[X86_RDX], half);
	}
}
