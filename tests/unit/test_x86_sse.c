/*
 * MMX and SSE against the processor of this machine: every row of core/x86/sse.def, and the instructions that save and
 * restore the state, with random registers, memory and MXCSR, in 64-bit and in compatibility mode, are executed
 * natively and by us. General, MMX and XMM registers, flags, x87 state, MXCSR, memory and faults must agree.
 *
 * VMSCOPE_SSE_ROUNDS=n makes n rounds instead of a second or so of them, VMSCOPE_SSE_SEED=n another sequence,
 * VMSCOPE_SSE_ROW=mnemonic one instruction only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cpuid.h>
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/x86/decode_tables.h"
#include "tests/x86_native.h"
#include "tests/x86_values.h"

#define ROUNDS 200000u
#define LINEAR NATIVE_SCRATCH
#define SCRATCH NATIVE_SCRATCH_SIZE
#define FRAME native_frame()
#define REPORTS 3 /* of each row */

static unsigned code_size; /* 8: 64-bit mode, 4: compatibility mode */
static uintptr_t insn_address;
/* ---- what is executed ---- */

static const struct row {
	const char *name;
	uint8_t map, prefix, opcode;
	uint16_t id, attr;
	uint8_t ext; /* ModRM.reg + 1 where it is part of the opcode */
} rows[] = {
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

static unsigned seen[ARRAY_LEN(rows)], wrong[ARRAY_LEN(rows)];

struct instance {
	unsigned row;
	uint8_t code[16];
	unsigned n;
	struct x86_insn i;
	uint64_t gpr[16], flags;
	uint8_t fx[512];
};

/* ---- our side: user mode in long mode, page tables at 4 KiB, scratch pages at 32 KiB ---- */

static uint8_t ram[65536] __attribute__((aligned(4096)));
static struct x86_cpu cpu;
#define OUR_SCRATCH (ram + 0x8000)

static uint8_t *env_page(void *arg, gpa_t gpa, bool write)
{
	(void)arg;
	(void)write;
	return gpa < sizeof(ram) ? ram + (gpa & ~0xfffull) : NULL;
}

static uint64_t env_read(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
	abort();
}

static void env_write(void *arg, gpa_t gpa, unsigned n, uint64_t v)
{
	(void)v;
	env_read(arg, gpa, n);
}

static void env_code_written(void *arg, gpa_t gpa, unsigned n)
{
	(void)arg;
	(void)gpa;
	(void)n;
}

static const struct x86_env env = {
    .page = env_page, .mmio_read = env_read, .mmio_write = env_write, .code_written = env_code_written};

static void entry(unsigned table, unsigned index, uint64_t v)
{
	memcpy(ram + table + 8 * index, &v, 8);
}

static void our_setup(void)
{
	cpu.env = &env;
	x86_reset(&cpu);
	entry(0x1000, 0, 0x2007);
	entry(0x2000, 0, 0x3007);
	entry(0x3000, LINEAR >> 21, 0x4007);
	entry(0x4000, 0, 0x8067);
	entry(0x4000, 1, 0x9067);
	for (unsigned s = 0; s < X86_SREG_COUNT; s++)
		cpu.s.seg[s] = (struct x86_seg){.sel = 0x2b, .limit = 0xffffffff, .attr = 0xc0f3};
	cpu.s.seg[X86_CS].sel = code_size == 8 ? 0x33 : 0x23;
	cpu.s.seg[X86_CS].attr = code_size == 8 ? 0xa0fb : 0xc0fb;
	cpu.s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	cpu.s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	cpu.s.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	cpu.s.cr3 = 0x1000;
	cpu.s.xcr0 = 3;
	x86_state_changed(&cpu);
}

/* ---- instances ---- */

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

static bool is_memory(const struct row *w)
{
	return !(w->attr & SSE_REG) && ((w->attr & SSE_MEM) || below(2));
}

static void random_modrm(struct instance *t)
{
	const struct row *w = &rows[t->row];
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
	const struct row *w = &rows[t->row];

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
	if (rows[t->row].ext > 4)
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
	const struct row *w;

	random_code(t);
	if (!decode(t))
		return false;
	w = &rows[t->row];
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

/* The native side has its code behind the scratch pages. */
static bool is_apart(const struct instance *t)
{
	memcpy(cpu.s.gpr, t->gpr, sizeof(cpu.s.gpr));
	cpu.s.rip = insn_address + t->i.len;
	return !(t->i.flags & INSN_MEM) || x86_ea(&cpu, &t->i) - (LINEAR + SCRATCH + 0x4000) > 0x20000;
}

static bool generate(struct instance *t)
{
	if (!choose(t))
		return false;
	for (unsigned r = 0; r < 16 && code_size == 4; r++)
		t->gpr[r] = r < 8 ? (uint32_t)t->gpr[r] : 0;
	return is_apart(t);
}

/* The image that FXRSTOR and XRSTOR read. */
static void fill_image(const struct instance *t, uint8_t *p)
{
	const struct row *w = &rows[t->row];
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

static void fill_memory(const struct instance *t)
{
	uint8_t *mem = (uint8_t *)(uintptr_t)LINEAR;
	uint64_t ea;

	cpu.s.rip = insn_address + t->i.len;
	memcpy(cpu.s.gpr, t->gpr, sizeof(cpu.s.gpr));
	ea = x86_ea(&cpu, &t->i) - LINEAR;
	if ((t->i.flags & INSN_MEM) && ea < SCRATCH - 16) {
		vector(mem + ea);
		if (rows[t->row].ext == 3) {
			uint32_t v = random_mxcsr() | (below(4) ? 0 : 1u << below(32));

			memcpy(mem + ea, &v, 4);
		}
	}
	if ((rows[t->row].id == INSN_FXRSTOR && ea <= SCRATCH - 512) ||
	    (rows[t->row].id == INSN_XRSTOR && ea <= SCRATCH - 576))
		fill_image(t, mem + ea);
	if (rows[t->row].ext == 5 && ea < SCRATCH - 576) { /* XSTATE_BV: read and written */
		uint64_t v = rng();

		memcpy(mem + ea + 512, &v, 8);
	}
	memcpy(OUR_SCRATCH, mem, SCRATCH);
}

/* ---- comparison ---- */

static bool is_approximate(unsigned id)
{
	return id == INSN_RCPPS || id == INSN_RCPSS || id == INSN_RSQRTPS || id == INSN_RSQRTSS;
}

static float as_float(const uint8_t *p)
{
	float f;

	memcpy(&f, p, 4);
	return f;
}

/* Both are within 1.5 * 2^-12 of the same exact value; what is no normal number must be the same. */
static bool is_near(const uint8_t *a, const uint8_t *b)
{
	double x = as_float(a), y = as_float(b);

	if (!isnormal(x) || !isnormal(y))
		return memcmp(a, b, 4) == 0;
	return fabs(x / y - 1) < 3.0 / 4096;
}

/* Accepts our approximations: afterwards they count as the native ones. */
static void accept_approximations(const struct instance *t)
{
	unsigned lanes = t->i.id == INSN_RCPPS || t->i.id == INSN_RSQRTPS ? 4 : 1;

	for (unsigned k = 0; k < lanes; k++) {
		uint8_t *ours = cpu.s.fxsave + AT_XMM + 16 * t->i.reg + 4 * k;
		const uint8_t *native = FRAME->fx_out + AT_XMM + 16 * t->i.reg + 4 * k;

		if (is_near(ours, native))
			memcpy(ours, native, 4);
	}
}

/* A processor may find a component in use that is in its initial state: then its bit in XSTATE_BV is set, and XSAVEOPT
 * writes it. [SDM 1 "Processor Tracking of XSAVE-Managed State"] */
static void accept_in_use(const struct instance *t)
{
	uint64_t ea, bv, ours;
	const uint8_t *native;

	memcpy(cpu.s.gpr, t->gpr, sizeof(cpu.s.gpr));
	ea = x86_ea(&cpu, &t->i) - LINEAR;
	native = (const uint8_t *)(uintptr_t)LINEAR + ea;
	memcpy(&bv, native + 512, 8);
	memcpy(&ours, OUR_SCRATCH + ea + 512, 8);
	if ((bv & ~ours & 1) && (t->gpr[X86_RAX] & 1)) {
		OUR_SCRATCH[ea + 512] |= 1;
		if (t->i.id == INSN_XSAVEOPT) {
			memcpy(OUR_SCRATCH + ea, cpu.s.fxsave, AT_MXCSR);
			memcpy(OUR_SCRATCH + ea + AT_ST, cpu.s.fxsave + AT_ST, AT_XMM - AT_ST);
		}
	}
	if ((bv & ~ours & 2) && (t->gpr[X86_RAX] & 2)) {
		OUR_SCRATCH[ea + 512] |= 2;
		if (t->i.id == INSN_XSAVEOPT)
			memset(OUR_SCRATCH + ea + AT_XMM, 0, 32 * code_size);
	}
}

static const char *fx_differs(void)
{
	const uint8_t *a = cpu.s.fxsave, *b = FRAME->fx_out;

	if (memcmp(a, b, 2))
		return "FCW";
	if (memcmp(a + AT_FSW, b + AT_FSW, 2))
		return "FSW";
	if (a[AT_FTW] != b[AT_FTW])
		return "tags";
	if (memcmp(a + AT_FOP, b + AT_FOP, code_size == 8 ? 18 : 6) || memcmp(a + AT_FDP, b + AT_FDP, 4))
		return "x87 pointers";
	if (memcmp(a + AT_MXCSR, b + AT_MXCSR, 4))
		return "MXCSR";
	for (unsigned r = 0; r < 8; r++)
		if (memcmp(a + AT_ST + 16 * r, b + AT_ST + 16 * r, 10))
			return "x87 or MMX register";
	if (memcmp(a + AT_XMM, b + AT_XMM, 32 * code_size))
		return "XMM register";
	return NULL;
}

/* XSAVEOPT meets the missing page in front of its area only if it finds the component there in use. */
static bool is_tracking(const struct instance *t, enum x86_rc rc)
{
	return t->i.id == INSN_XSAVEOPT && FRAME->fault == VEC_PF + 1 && FRAME->cr2 < LINEAR &&
	       (rc == X86_OK || (cpu.fault.vector == VEC_PF && cpu.fault.cr2 < LINEAR));
}

static const char *differs(const struct instance *t, enum x86_rc rc)
{
	if (is_tracking(t, rc))
		return NULL;
	if (rc != X86_OK && rc != X86_FAULT)
		return "stop";
	if ((rc == X86_FAULT ? cpu.fault.vector + 1u : 0u) != FRAME->fault)
		return "fault";
	if (FRAME->fault == VEC_PF + 1 && (cpu.fault.cr2 != FRAME->cr2 || cpu.fault.error != FRAME->error))
		return "page fault address or error code";
	for (unsigned r = 0; r < 2 * code_size; r++)
		if (cpu.s.gpr[r] != (code_size == 8 ? FRAME->out[r] : (uint32_t)FRAME->out[r]))
			return "register";
	if ((x86_flags_get(&cpu) ^ FRAME->out_flags) & (FLAGS_STATUS | FLAG_DF))
		return "flags";
	if (is_approximate(t->i.id) && rc == X86_OK)
		accept_approximations(t);
	if ((t->i.id == INSN_XSAVE || t->i.id == INSN_XSAVEOPT) && rc == X86_OK)
		accept_in_use(t);
	if (memcmp(OUR_SCRATCH, (void *)(uintptr_t)LINEAR, SCRATCH))
		return "memory";
	return fx_differs();
}

static void dump(const char *what, const uint8_t *before, const uint8_t *native, const uint8_t *ours, unsigned n)
{
	if (!memcmp(native, ours, n))
		return;
	fprintf(stderr, "  %-6s before", what);
	for (unsigned k = n; k-- > 0;)
		fprintf(stderr, "%s%02x", k % 4 == 3 ? " " : "", before[k]);
	fprintf(stderr, "\n         native");
	for (unsigned k = n; k-- > 0;)
		fprintf(stderr, "%s%02x", k % 4 == 3 ? " " : "", native[k]);
	fprintf(stderr, "\n         ours  ");
	for (unsigned k = n; k-- > 0;)
		fprintf(stderr, "%s%02x", k % 4 == 3 ? " " : "", ours[k]);
	fprintf(stderr, "\n");
}

static void report(const struct instance *t, const char *what, const uint8_t *before)
{
	const uint8_t *native = (const uint8_t *)(uintptr_t)LINEAR;
	char name[16];

	fprintf(stderr, "%s differs: %s, bytes", what, rows[t->row].name);
	for (unsigned k = 0; k < t->i.len; k++)
		fprintf(stderr, " %02x", t->code[k]);
	fprintf(
	    stderr, "; rdi %llx rax %llx", (unsigned long long)t->gpr[X86_RDI], (unsigned long long)t->gpr[X86_RAX]);
	fprintf(stderr,
	    "\n  fault native %d ours %d; cr2 %llx %llx error %llx %x; flags %llx -> %llx %llx; fsw %02x%02x\n",
	    (int)FRAME->fault - 1, cpu.fault.vector, (unsigned long long)FRAME->cr2, (unsigned long long)cpu.fault.cr2,
	    (unsigned long long)FRAME->error, cpu.fault.error, (unsigned long long)t->flags,
	    (unsigned long long)FRAME->out_flags, (unsigned long long)x86_flags_get(&cpu), t->fx[3], t->fx[2]);
	if (t->i.flags & INSN_MEM) {
		memcpy(cpu.s.gpr, t->gpr, sizeof(cpu.s.gpr));
		cpu.s.rip = insn_address + t->i.len;
		fprintf(stderr, "  operand at %llx\n", (unsigned long long)x86_ea(&cpu, &t->i));
		if (rows[t->row].ext >= 5 && x86_ea(&cpu, &t->i) - LINEAR + 512 < SCRATCH - 64)
			dump("header", before + x86_ea(&cpu, &t->i) - LINEAR + 512,
			    before + x86_ea(&cpu, &t->i) - LINEAR + 512, (const uint8_t *)t->gpr, 24);
	} else if (t->i.rm < 2 * code_size) {
		dump("source", t->fx + AT_XMM + 16 * t->i.rm, t->fx + AT_XMM + 16 * t->i.rm, (const uint8_t *)t->gpr,
		    16);
	}
	for (unsigned r = 0; r < 2 * code_size; r++) {
		snprintf(name, sizeof(name), "r%u", r);
		dump(name, (const uint8_t *)&t->gpr[r], (const uint8_t *)&FRAME->out[r], (const uint8_t *)&cpu.s.gpr[r],
		    8);
	}
	dump("ctl", t->fx, FRAME->fx_out, cpu.s.fxsave, 8);
	dump("ptrs", t->fx + AT_FIP, FRAME->fx_out + AT_FIP, cpu.s.fxsave + AT_FIP, 16);
	dump("mxcsr", t->fx + AT_MXCSR, FRAME->fx_out + AT_MXCSR, cpu.s.fxsave + AT_MXCSR, 4);
	for (unsigned r = 0; r < 8 + 2 * code_size; r++) {
		unsigned at = AT_ST + 16 * r;

		snprintf(name, sizeof(name), r < 8 ? "st%u" : "xmm%u", r < 8 ? r : r - 8);
		dump(name, t->fx + at, FRAME->fx_out + at, cpu.s.fxsave + at, r < 8 ? 10 : 16);
	}
	for (unsigned k = 0, n = 0; k < SCRATCH && n < 4; k += 16) {
		if (!memcmp(native + k, OUR_SCRATCH + k, 16))
			continue;
		snprintf(name, sizeof(name), "m%x", k);
		dump(name, before + k, native + k, OUR_SCRATCH + k, 16);
		n++;
	}
}

static enum x86_rc our_run(const struct instance *t)
{
	memcpy(cpu.s.gpr, t->gpr, sizeof(cpu.s.gpr));
	memcpy(cpu.s.fxsave, t->fx, sizeof(cpu.s.fxsave));
	x86_flags_write(&cpu, t->flags);
	x86_mode_changed(&cpu);
	cpu.s.rip = insn_address + t->i.len;
	cpu.fault.vector = 0;
	return t->i.fn(&cpu, &t->i);
}

static void native_side(const struct instance *t)
{
	memcpy(FRAME->in, t->gpr, sizeof(t->gpr));
	memcpy(FRAME->fx_in, t->fx, sizeof(t->fx));
	FRAME->in_flags = t->flags;
	native_run(t->code, t->i.len);
}

static void run_one(unsigned row)
{
	static uint8_t before[SCRATCH];
	struct instance t = {.row = row};
	enum x86_rc rc;
	const char *what;

	if (!generate(&t))
		return;
	random_fx(2 * code_size, t.fx);
	fill_memory(&t);
	memcpy(before, OUR_SCRATCH, SCRATCH);
	native_side(&t);
	if (FRAME->repeat) {
		memcpy((void *)(uintptr_t)LINEAR, before, SCRATCH);
		native_side(&t);
	}
	rc = our_run(&t);
	seen[row]++;
	what = differs(&t, rc);
	if (what && wrong[row]++ < REPORTS)
		report(&t, what, before);
}

static bool is_selected(unsigned row)
{
	const char *want = getenv("VMSCOPE_SSE_ROW"), *name = strrchr(rows[row].name, ' ');

	return !want || !strcmp(want, name ? name + 1 : rows[row].name);
}

static unsigned number_from(const char *variable, unsigned otherwise)
{
	const char *s = getenv(variable);

	return s ? (unsigned)strtoul(s, NULL, 0) : otherwise;
}

/* What this processor lacks. */
static bool is_here(unsigned row)
{
	uint32_t a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_SSE4_2) || !(c & bit_SSSE3))
		return false;
	if (rows[row].id >= INSN_AESIMC && rows[row].id <= INSN_AESKEYGENASSIST)
		return c & bit_AES;
	if (rows[row].id == INSN_PCLMULQDQ)
		return c & bit_PCLMUL;
	if (rows[row].ext < 5)
		return true;
	if (!(c & bit_OSXSAVE))
		return false;
	__cpuid_count(0xd, 1, a, b, c, d);
	return rows[row].ext != 7 || (a & 1);
}

/* Exit status of the child: the number of rows that differ, 99 if nothing can be compared here. */
static int compare(void)
{
	unsigned rounds = number_from("VMSCOPE_SSE_ROUNDS", ROUNDS), bad = 0, total = 0, list[ARRAY_LEN(rows)], n = 0;
	const char *why;

	if (!native_setup_fx(code_size, &why)) {
		fprintf(stderr, "not compared: %s\n", why);
		return 99;
	}
	insn_address = native_insn_address();
	our_setup();
	rng_seed(number_from("VMSCOPE_SSE_SEED", 1) * 0x9e3779b97f4a7c15u + code_size);
	for (unsigned k = 0; k < ARRAY_LEN(rows); k++)
		if (is_here(k) && is_selected(k))
			list[n++] = k;
	for (unsigned k = 0; k < rounds && n; k++)
		run_one(list[k % n]);
	for (unsigned k = 0; k < ARRAY_LEN(rows); k++) {
		total += seen[k];
		bad += wrong[k] != 0;
		if (wrong[k])
			fprintf(stderr, "%s: %u of %u differ\n", rows[k].name, wrong[k], seen[k]);
	}
	for (unsigned k = 0; k < n; k++)
		if (!seen[list[k]])
			fprintf(stderr, "%s: never executed\n", rows[list[k]].name), bad++;
	fprintf(stderr, "%u instances of %u rows, %u rows differ\n", total, n, bad);
	return bad > 98 ? 98 : (int)bad;
}

static void in_child(unsigned size)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		code_size = size;
		_exit(compare());
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 99)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void sse_agrees_with_this_processor_in_64_bit_mode(void **state)
{
	(void)state;
	in_child(8);
}

static void sse_agrees_with_this_processor_in_compatibility_mode(void **state)
{
	(void)state;
	in_child(4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sse_agrees_with_this_processor_in_64_bit_mode),
	    cmocka_unit_test(sse_agrees_with_this_processor_in_compatibility_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
