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
#include "core/x86/sse.h"
#include "tests/x86_native.h"
#include "tests/x86_sse_instance.h"
#include "tests/x86_values.h"

#define ROUNDS 200000u
#define LINEAR NATIVE_SCRATCH
#define SCRATCH NATIVE_SCRATCH_SIZE
#define FRAME native_frame()
#define REPORTS 3 /* of each row */

static unsigned code_size; /* 8: 64-bit mode, 4: compatibility mode */
static uintptr_t insn_address;
static unsigned seen[SSE_ROWS], wrong[SSE_ROWS];

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
	uint64_t ea = instance_ea(t) - LINEAR, bv, ours;
	const uint8_t *native = (const uint8_t *)(uintptr_t)LINEAR + ea;

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

	fprintf(stderr, "%s differs: %s, bytes", what, sse_rows[t->row].name);
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
		uint64_t ea = instance_ea(t), header = ea - LINEAR + 512;

		fprintf(stderr, "  operand at %llx\n", (unsigned long long)ea);
		if (sse_rows[t->row].ext >= 5 && header < SCRATCH - 64)
			dump("header", before + header, native + header, OUR_SCRATCH + header, 24);
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

	if (!instance_make(&t))
		return;
	instance_fill_memory(&t);
	memcpy(before, (void *)(uintptr_t)LINEAR, SCRATCH);
	memcpy(OUR_SCRATCH, before, SCRATCH);
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
	const char *want = getenv("VMSCOPE_SSE_ROW"), *name = strrchr(sse_rows[row].name, ' ');

	return !want || !strcmp(want, name ? name + 1 : sse_rows[row].name);
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
	if (sse_rows[row].id >= INSN_AESIMC && sse_rows[row].id <= INSN_AESKEYGENASSIST)
		return c & bit_AES;
	if (sse_rows[row].id == INSN_PCLMULQDQ)
		return c & bit_PCLMUL;
	if (sse_rows[row].ext < 5)
		return true;
	if (!(c & bit_OSXSAVE))
		return false;
	__cpuid_count(0xd, 1, a, b, c, d);
	return sse_rows[row].ext != 7 || (a & 1);
}

/* Exit status of the child: the number of rows that differ, 99 if nothing can be compared here. */
static int compare(void)
{
	unsigned rounds = number_from("VMSCOPE_SSE_ROUNDS", ROUNDS), bad = 0, total = 0, list[SSE_ROWS], n = 0;
	const char *why;

	if (!native_setup_fx(code_size, &why)) {
		fprintf(stderr, "not compared: %s\n", why);
		return 99;
	}
	insn_address = native_insn_address();
	instances_for(code_size, insn_address);
	our_setup();
	rng_seed(number_from("VMSCOPE_SSE_SEED", 1) * 0x9e3779b97f4a7c15u + code_size);
	for (unsigned k = 0; k < sse_row_count(); k++)
		if (is_here(k) && is_selected(k))
			list[n++] = k;
	for (unsigned k = 0; k < rounds && n; k++)
		run_one(list[k % n]);
	for (unsigned k = 0; k < sse_row_count(); k++) {
		total += seen[k];
		bad += wrong[k] != 0;
		if (wrong[k])
			fprintf(stderr, "%s: %u of %u differ\n", sse_rows[k].name, wrong[k], seen[k]);
	}
	for (unsigned k = 0; k < n; k++)
		if (!seen[list[k]])
			fprintf(stderr, "%s: never executed\n", sse_rows[list[k]].name), bad++;
	fprintf(stderr, "%u instances of %u rows, %u rows differ\n", total, n, bad);
	return bad > 98 ? 98 : (int)bad;
}

static void only_on_known_processors(void)
{
	const char *why;

	if (native_known(&why))
		return;
	print_message("%s\n", why);
	skip();
}

static void in_child(unsigned size)
{
	pid_t pid;
	int status;

	only_on_known_processors();
	pid = fork();
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

/* ---- How far approximations are from this processor's (the numbers in docs/FLOAT.md) ---- */

#define LANES 4u
struct approximation {
	const char *name, *code;
	bool root;
	uint64_t lanes, differ;
	uint32_t ulps;	     /* the largest difference, in units of the last place of binary32 */
	double ours, native; /* the largest relative errors */
};

static union x86_vec native_approximation(bool root, union x86_vec in)
{
	union x86_vec out;

	if (root)
		__asm__("movups %1, %%xmm1; rsqrtps %%xmm1, %%xmm0; movups %%xmm0, %0"
			: "=m"(out)
			: "m"(in)
			: "xmm0", "xmm1");
	else
		__asm__("movups %1, %%xmm1; rcpps %%xmm1, %%xmm0; movups %%xmm0, %0"
			: "=m"(out)
			: "m"(in)
			: "xmm0", "xmm1");
	return out;
}

static double relative_error(const struct approximation *a, uint32_t in, uint32_t out)
{
	double x = as_float((const uint8_t *)&in), y = as_float((const uint8_t *)&out);

	return fabs(y * (a->root ? sqrt(x) : x) - 1);
}

static void measure(struct approximation *a, const struct x86_insn *i, uint32_t from)
{
	union x86_vec in, native, ours;

	for (unsigned k = 0; k < LANES; k++)
		in.u32[k] = from + k;
	native = native_approximation(a->root, in);
	x86_vec_set(&cpu, 16, 1, &in);
	assert_int_equal(i->fn(&cpu, i), X86_OK);
	x86_vec_get(&cpu, 16, 0, &ours);
	for (unsigned k = 0; k < LANES; k++) {
		uint32_t ulps = (uint32_t)abs(ours.i32[k] - native.i32[k]);

		a->lanes++;
		a->differ += ulps != 0;
		a->ulps = ulps > a->ulps ? ulps : a->ulps;
		a->ours = fmax(a->ours, relative_error(a, in.u32[k], ours.u32[k]));
		a->native = fmax(a->native, relative_error(a, in.u32[k], native.u32[k]));
	}
}

/* Every significand, of RSQRTPS with an even and with an odd exponent: other exponents give the same bits. */
static void approximations_are_near_to_this_processors(void **state)
{
	struct approximation a[] = {
	    {.name = "RCPPS", .code = "\x0f\x53\xc1"}, {.name = "RSQRTPS", .code = "\x0f\x52\xc1", .root = true}};

	(void)state;
	only_on_known_processors();
	code_size = 8;
	our_setup();
	for (unsigned n = 0; n < ARRAY_LEN(a); n++) {
		struct x86_insn i;

		assert_int_equal(x86_decode((const uint8_t *)a[n].code, 3, 8, X86_MODE_LONG64, &i), DECODE_OK);
		for (uint32_t v = 0x3f800000; v < (a[n].root ? 0x40800000 : 0x40000000); v += LANES)
			measure(&a[n], &i, v);
		print_message("%s: %llu operands, %.2f %% with other bits, at most %u ulp; largest relative errors: "
			      "2^%.2f here, 2^%.2f of this processor\n",
		    a[n].name, (unsigned long long)a[n].lanes, 100.0 * (double)a[n].differ / (double)a[n].lanes,
		    a[n].ulps, log2(a[n].ours), log2(a[n].native));
		assert_true(a[n].ours <= 1.0 / 8192 && a[n].native <= 1.5 / 4096);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sse_agrees_with_this_processor_in_64_bit_mode),
	    cmocka_unit_test(sse_agrees_with_this_processor_in_compatibility_mode),
	    cmocka_unit_test(approximations_are_near_to_this_processors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
