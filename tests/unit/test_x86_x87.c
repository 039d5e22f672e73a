/*
 * The x87 unit against the processor of this machine: random instructions (every opcode D8 to DF) on a random state of
 * the unit, executed natively between FXRSTOR and FXSAVE and by us. Registers, tags, control, status, pointers, memory,
 * RAX, flags and faults must agree; of the transcendental functions everything but the value, which may differ a
 * little.
 *
 * x87 instructions reach nothing but the operand that RBX points to, so they run in this process.
 *
 * VMSCOPE_X87_ROUNDS=n makes n rounds instead of a second or so of them (a quarter of them of transcendental
 * functions), VMSCOPE_X87_SEED=n another sequence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "core/x86/x87.h"
#include "tests/x86_fixture.h"
#include "tests/x86_native.h"
#include "tests/x86_values.h"

#define ROUNDS 800000u
#define CODE 0x210000u
#define DATA 0x220000u
#define DATA_SIZE 128u
#define PAGE_END (DATA + 4096)
#define ULP_LIMIT 1u

static unsigned number_from(const char *variable, unsigned otherwise)
{
	const char *s = getenv(variable);

	return s ? (unsigned)strtoul(s, NULL, 0) : otherwise;
}

/* ---- native side ---- */

struct context {
	uint64_t rax, flags;
	uint64_t fault; /* vector + 1 */
};
static uint8_t image_in[512] __attribute__((aligned(64))), image_out[512] __attribute__((aligned(64)));
static struct context native_context;
static uint8_t *slot;
static uint32_t operand; /* its address, the same on both sides */
static uint64_t recover;

static void on_signal(int sig, siginfo_t *si, void *arg)
{
	ucontext_t *uc = arg;

	(void)si;
	if ((uint64_t)uc->uc_mcontext.gregs[REG_RIP] - (uint64_t)(uintptr_t)slot > 15) {
		signal(sig, SIG_DFL);
		return;
	}
	memcpy(image_out, uc->uc_mcontext.fpregs, sizeof(image_out));
	native_context.fault = (uint64_t)uc->uc_mcontext.gregs[REG_TRAPNO] + 1;
	native_context.rax = (uint64_t)uc->uc_mcontext.gregs[REG_RAX];
	native_context.flags = (uint64_t)uc->uc_mcontext.gregs[REG_EFL];
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)recover;
}

/* void f(rdi: image in, rsi: image out, rdx: operand, rcx: struct context *) */
static const uint8_t before[] = {0x53, 0x41, 0x54,	/* push rbx; push r12 */
    0x48, 0x89, 0xd3, 0x49, 0x89, 0xf4,			/* mov rbx, rdx; mov r12, rsi */
    0x48, 0x8b, 0x01, 0xff, 0x71, 0x08,			/* mov rax, [rcx]; push [rcx + 8] */
    0x48, 0x0f, 0xae, 0x0f, 0x9d};			/* fxrstor64 [rdi]; popf */
static const uint8_t after[] = {0x9c, 0x8f, 0x41, 0x08, /* pushf; pop [rcx + 8] */
    0x48, 0x89, 0x01, 0x49, 0x0f, 0xae, 0x04, 0x24,	/* mov [rcx], rax; fxsave64 [r12] */
    0xdb, 0xe3, 0xfc, 0x41, 0x5c, 0x5b, 0xc3};		/* recover: fninit; cld; pop r12; pop rbx; ret */
#define RECOVER_AT 12u

static bool native_ready(void)
{
	uint8_t *code = mmap((void *)(uintptr_t)CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	uint8_t *data = mmap((void *)(uintptr_t)DATA, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (code != (void *)(uintptr_t)CODE || data != (void *)(uintptr_t)DATA)
		return false;
	memcpy(code, before, sizeof(before));
	slot = code + sizeof(before);
	memset(slot, 0x90, 16);
	memcpy(slot + 16, after, sizeof(after));
	recover = (uintptr_t)slot + 16 + RECOVER_AT;
	return true;
}

/* For each test again: cmocka has handlers of its own. */
static void catch_signals(void)
{
	static const int sigs[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	for (size_t k = 0; k < ARRAY_LEN(sigs); k++)
		sigaction(sigs[k], &sa, NULL);
}

static void run_native(const uint8_t *insn, unsigned len)
{
	memset(slot, 0x90, 16);
	memcpy(slot, insn, len);
	native_context.fault = 0;
	((void (*)(uint8_t *, uint8_t *, void *, struct context *))(uintptr_t)CODE)(
	    image_in, image_out, (void *)(uintptr_t)operand, &native_context);
}

/* ---- random state ---- */

static uint64_t fraction(void)
{
	switch (below(6)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 1ull << below(64) | 1ull << below(64);
	case 3:
		return ~0ull << below(64);
	case 4:
		return ~0ull - below(4);
	default:
		return rng();
	}
}

static struct f80 value80(void)
{
	unsigned e;
	struct f80 v = {fraction(), (uint16_t)(below(2) << 15)};

	switch (below(10)) {
	case 0:
		e = 0;
		break;
	case 1:
		e = 0x7fff;
		break;
	case 2:
		e = below(2) ? 1 + below(70) : 0x7ffe - below(70);
		break;
	case 3:
		e = below(0x8000);
		break;
	case 4:
		e = 16383 - 1100 + below(2200);
		break;
	default:
		e = 16383 - 70 + below(140);
		break;
	}
	if ((e && below(16)) || below(16) == 0)
		v.sig |= SF_TOP;
	else if (e == 0)
		v.sig &= ~SF_TOP;
	if (below(12) == 0)
		v.sig = e ? SF_TOP : 0;
	v.se |= (uint16_t)e;
	return v;
}

static uint16_t control_word(void)
{
	unsigned cw = below(4) << 10 | below(4) << 8 | 0x40;

	if (below(2))
		return (uint16_t)(cw | 0x300 | 0x3f);
	return (uint16_t)(cw | (below(2) ? 0x3f : below(64)));
}

static void random_state(void)
{
	uint16_t cw = control_word(), sw = (uint16_t)rng() & 0x7f7f;

	memset(image_in, 0, sizeof(image_in));
	if (below(4))
		sw &= (uint16_t) ~(0x7f & ~(cw & 0x3f)); /* nothing is pending */
	sw = (uint16_t)x87_summary(sw, cw);
	x86_put(image_in + X87_FCW, 2, cw);
	x86_put(image_in + X87_FSW, 2, sw);
	x86_put(image_in + X87_FTW, 1, below(4) ? ~(1u << below(8) | 1u << below(8)) : rng());
	x86_put(image_in + X87_FOP, 2, rng() & 0x7ff);
	x86_put(image_in + X87_FIP, 8, rng() >> 17);
	x86_put(image_in + X87_FDP, 8, rng() >> 17);
	x86_put(image_in + 24, 4, 0x1f80);
	for (unsigned n = 0; n < 8; n++) {
		struct f80 v = value80();

		if (n == 1 && below(8) == 0)
			v = (struct f80){
			    x86_get(image_in + X87_ST, 8) + below(3) - 1, (uint16_t)x86_get(image_in + X87_ST + 8, 2)};
		x86_put(image_in + X87_ST + 16 * n, 8, v.sig);
		x86_put(image_in + X87_ST + 16 * n + 8, 8, v.se);
	}
}

/* ST(0) and ST(1) where the function is defined. */
static void ordinary_operands(unsigned id)
{
	uint8_t *st = image_in + X87_ST;

	x86_put(st, 8, rng() | SF_TOP);
	x86_put(st + 8, 2, 16383 - below(id == INSN_FYL2XP1 ? 20 : 4) + below(2));
	if (id == INSN_FYL2XP1)
		x86_put(st + 8, 2, 16383 - 3 - below(20));
	else if (id == INSN_F2XM1)
		x86_put(st + 8, 2, 16383 - 1 - below(20));
	if (id != INSN_FYL2X)
		st[9] |= (uint8_t)(below(2) << 7);
	x86_put(st + 16, 8, rng() | SF_TOP);
	x86_put(st + 24, 2, (below(2) << 15) | (16383 - 4 + below(8)));
	image_in[X87_FTW] = (uint8_t)rng();
	image_in[X87_FTW] |= (uint8_t)(1u << (image_in[X87_FSW + 1] >> 3 & 7));
	image_in[X87_FTW] |= (uint8_t)(1u << (((image_in[X87_FSW + 1] >> 3) + 1) & 7));
}

/* An operand: binary32, binary64, 80 bits, an integer, decimals or an environment, with something behind it. */
static void random_memory(uint8_t *m, unsigned opcode)
{
	struct f80 v = value80();
	struct sf st = {.masks = 0x3f};

	for (unsigned k = 0; k < DATA_SIZE; k += 8)
		x86_put(m + k, 8, rng());
	switch (below(4)) {
	case 0:
		return;
	case 1:
		x86_put(m, 8, (uint64_t)((int64_t)rng() >> below(64)));
		return;
	default:
		if (opcode == 0xd8 || opcode == 0xd9) {
			x86_put(m, 4,
			    below(4) ? sf_f80_to_f32(&st, v)
				     : (uint64_t)below(8) << 29 | (below(2) ? 0 : below(1 << 23)));
		} else if (opcode == 0xdc || opcode == 0xdd) {
			x86_put(m, 8,
			    below(4) ? sf_f80_to_f64(&st, v) : (uint64_t)below(8) << 61 | (below(2) ? 0 : rng() >> 12));
		} else if (opcode == 0xdf && below(2)) {
			for (unsigned k = 0; k < 9; k++)
				m[k] = (uint8_t)(below(10) << 4 | below(10));
		} else {
			x86_put(m, 8, v.sig);
			x86_put(m + 8, 2, v.se);
		}
		return;
	}
}

/* ---- comparison ---- */

static struct x86_fix *fix;
static unsigned differences, mismatches_of[INSN_COUNT], instances_of[INSN_COUNT];

static void dump(const char *who, const uint8_t *image, const struct context *x)
{
	printf("  %-7s fault %2d cw %04x sw %04x tw %02x fop %03x fip %llx fdp %llx flags %llx rax %llx\n", who,
	    (int)x->fault - 1, (unsigned)x86_get(image, 2), (unsigned)x86_get(image + 2, 2), image[4],
	    (unsigned)x86_get(image + 6, 2), (unsigned long long)x86_get(image + 8, 8),
	    (unsigned long long)x86_get(image + 16, 8), (unsigned long long)x->flags, (unsigned long long)x->rax);
	for (unsigned n = 0; n < 8; n++)
		printf("%s%04x:%016llx", n % 4 ? " " : "    ", (unsigned)x86_get(image + X87_ST + 16 * n + 8, 2),
		    (unsigned long long)x86_get(image + X87_ST + 16 * n, 8)),
		    n % 4 == 3 ? puts("") : 0;
}

static bool same_image(const uint8_t *a, const uint8_t *b)
{
	if (memcmp(a, b, 5) != 0 || memcmp(a + 6, b + 6, 18) != 0)
		return false;
	for (unsigned n = 0; n < 8; n++)
		if (memcmp(a + X87_ST + 16 * n, b + X87_ST + 16 * n, 10) != 0)
			return false;
	return true;
}

/* Units in the last place between two results of the same sign, at most INT_MAX. */
static unsigned ulps(const uint8_t *a, const uint8_t *b)
{
	__int128 x = ((__int128)(x86_get(a + 8, 2) & 0x7fff) << 63) + (int64_t)(x86_get(a, 8) & ~SF_TOP);
	__int128 y = ((__int128)(x86_get(b + 8, 2) & 0x7fff) << 63) + (int64_t)(x86_get(b, 8) & ~SF_TOP);
	__int128 d = x > y ? x - y : y - x;

	if ((a[9] ^ b[9]) & 0x80 || ((x > y ? x : y) >> 63) == 0x7fff)
		return d || (a[9] ^ b[9]) & 0x80 ? INT32_MAX : 0;
	return d < INT32_MAX ? (unsigned)d : INT32_MAX;
}

static unsigned worst_of[INSN_COUNT];
/* Of results that are rounded to nearest, of operands for which the function is defined: all, and those with other bits
 * than the processor's. */
static unsigned rounded_of[INSN_COUNT], other_of[INSN_COUNT];

static bool is_rounded_to_nearest(const uint8_t *ours)
{
	return (ours[X87_FSW] & ~image_in[X87_FSW] & SF_PE) && !(x86_get(image_in + X87_FCW, 2) & 0xc00);
}

/* Takes over the native results that are close to ours, with C1, which says how they were rounded. */
static void forgive(unsigned id, bool ordinary, uint8_t *native, const uint8_t *ours)
{
	bool differs = false;

	for (unsigned n = 0; n < 8; n++) {
		unsigned u = ulps(native + X87_ST + 16 * n, ours + X87_ST + 16 * n);

		if (!u || u > ULP_LIMIT)
			continue;
		differs = true;
		if (u > worst_of[id])
			worst_of[id] = u;
		memcpy(native + X87_ST + 16 * n, ours + X87_ST + 16 * n, 10);
	}
	if (ordinary && is_rounded_to_nearest(ours)) {
		rounded_of[id]++;
		other_of[id] += differs;
	}
	if (differs || (ours[X87_FSW] & SF_PE))
		native[X87_FSW + 1] = (uint8_t)((native[X87_FSW + 1] & ~2) | (ours[X87_FSW + 1] & 2));
}

/* Near the smallest normal number one ulp decides about underflow. */
static bool at_the_edge(const uint8_t *image)
{
	for (unsigned n = 0; n < 2; n++) {
		uint64_t sig = x86_get(image + X87_ST + 16 * n, 8);

		if (((image[X87_ST + 16 * n + 9] & 0x7f) << 8 | image[X87_ST + 16 * n + 8]) <= 1 &&
		    sig - (SF_TOP - 2) < 4)
			return true;
	}
	return false;
}

static bool is_transcendental(unsigned id)
{
	switch (id) {
	case INSN_F2XM1:
	case INSN_FYL2X:
	case INSN_FYL2XP1:
	case INSN_FPTAN:
	case INSN_FPATAN:
	case INSN_FSIN:
	case INSN_FCOS:
	case INSN_FSINCOS:
		return true;
	default:
		return false;
	}
}

static enum x86_rc run_ours(const struct x86_insn *i, const struct context *in, struct context *out)
{
	struct x86_cpu *c = fix->c;
	enum x86_rc rc;

	memcpy(c->s.fxsave, image_in, sizeof(image_in));
	c->s.gpr[X86_RAX] = in->rax;
	c->s.gpr[X86_RBX] = operand;
	x86_flags_write(c, in->flags);
	c->s.rip = (uint64_t)(uintptr_t)slot + i->len;
	rc = i->fn(c, i);
	out->fault = rc == X86_FAULT ? c->fault.vector + 1u : 0;
	out->rax = c->s.gpr[X86_RAX];
	out->flags = x86_flags_get(c);
	return rc;
}

static void tell(const struct x86_insn *i, const uint8_t *code, unsigned n, const uint8_t *memory,
    const struct context *in, const struct context *ours)
{
	const uint8_t *native_memory = (const uint8_t *)(uintptr_t)(PAGE_END - DATA_SIZE);

	printf("%s, bytes", x86_insn_name(i->id));
	for (unsigned k = 0; k < n; k++)
		printf(" %02x", code[k]);
	printf("\n  operand");
	for (unsigned k = 0; k < 16; k++)
		printf(" %02x", memory[k]);
	printf("\n  at end - %u native ", PAGE_END - operand);
	for (unsigned k = 0; k < 32; k++)
		printf(" %02x", native_memory[k]);
	printf("\n  ours   ");
	for (unsigned k = 0; k < 32; k++)
		printf(" %02x", fix->ram[PAGE_END - DATA_SIZE + k]);
	puts("");
	dump("before", image_in, in);
	dump("native", image_out, &native_context);
	dump("ours", fix->c->s.fxsave, ours);
}

static void instance(bool transcendental)
{
	uint8_t code[8], memory[DATA_SIZE], *native_memory = (uint8_t *)(uintptr_t)(PAGE_END - DATA_SIZE);
	unsigned n = 0, modrm = below(256);
	struct context in = {rng(), (rng() & FLAGS_STATUS) | FLAG_R1 | FLAG_IF, 0}, ours;
	struct x86_insn i;
	enum x86_rc rc;
	bool ordinary;

	if (below(8) == 0)
		code[n++] = 0x66;
	if (below(16) == 0)
		code[n++] = below(2) ? 0xf2 : 0xf3;
	if (below(8) == 0)
		code[n++] = 0x48;
	code[n++] = (uint8_t)(0xd8 + below(8));
	if (transcendental) {
		code[n - 1] = 0xd9;
		modrm = (uint8_t) "\xf0\xf1\xf2\xf3\xf9\xfb\xfe\xff"[below(8)];
	} else if (below(4) == 0) { /* what has one code only comes as often as the rest */
		code[n - 1] = 0xd9;
		modrm = 0xe0 + below(32);
	}
	code[n++] = (uint8_t)(modrm < 0xc0 ? (modrm & 0x38) | 3 : modrm);
	if (x86_decode(code, n, 8, X86_MODE_LONG64, &i) != DECODE_OK || is_transcendental(i.id) != transcendental)
		return;
	random_state();
	ordinary = transcendental && below(4);
	if (ordinary)
		ordinary_operands(i.id);
	random_memory(memory, i.opcode);
	memcpy(native_memory, memory, DATA_SIZE);
	memcpy(fix->ram + PAGE_END - DATA_SIZE, memory, DATA_SIZE);
	operand = below(32) ? PAGE_END - DATA_SIZE : PAGE_END - below(DATA_SIZE); /* may cross into the missing page */
	native_context = in;
	run_native(code, n);
	rc = run_ours(&i, &in, &ours);
	instances_of[i.id]++;
	if (transcendental)
		forgive(i.id, ordinary, image_out, fix->c->s.fxsave);
	native_context.flags &= FLAGS_STATUS;
	ours.flags &= FLAGS_STATUS;
	if (rc != X86_STOP && native_context.fault == ours.fault && native_context.rax == ours.rax &&
	    native_context.flags == ours.flags && same_image(image_out, fix->c->s.fxsave) &&
	    memcmp(native_memory, fix->ram + PAGE_END - DATA_SIZE, DATA_SIZE) == 0)
		return;
	if (transcendental && (at_the_edge(image_out) || at_the_edge(fix->c->s.fxsave)))
		return;
	differences++;
	if (mismatches_of[i.id]++ >= 2)
		return;
	tell(&i, code, n, memory, &in, &ours);
}

static int setup(void **state)
{
	(void)state;
	rng_seed(number_from("VMSCOPE_X87_SEED", 1) * 0x9e3779b97f4a7c15u);
	fix = x86_fix_new();
	x86_fix_long(fix, 3);
	/* 4 KiB pages around the operand; the one behind it is not present, as on the native side. */
	x86_fix_poke(fix, 0x102008, 8, 0x110007);
	for (unsigned n = 0; n < 512; n++)
		x86_fix_poke(fix, 0x110000 + 8 * n, 8, n == ((DATA >> 12) & 0x1ff) + 1 ? 0 : 0x200067 + 4096 * n);
	fix->c->s.cr0 |= CR0_NE | CR0_MP;
	fix->c->s.cr0 &= ~(uint64_t)(CR0_EM | CR0_TS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	x86_fix_free(fix);
	return 0;
}

static void only_on_known_processors(void)
{
	const char *why;

	if (native_known(&why))
		return;
	print_message("%s\n", why);
	skip();
}

static void instructions_agree_with_this_processor(void **state)
{
	unsigned rounds = number_from("VMSCOPE_X87_ROUNDS", ROUNDS);

	(void)state;
	only_on_known_processors();
	if (!native_ready()) {
		print_message("no executable memory at a fixed address here\n");
		skip();
	}
	catch_signals();
	for (unsigned n = 0; n < rounds; n++)
		instance(false);
	for (unsigned id = 0; id < INSN_COUNT; id++)
		if (mismatches_of[id])
			print_message(
			    "%s: %u of %u differ\n", x86_insn_name((uint16_t)id), mismatches_of[id], instances_of[id]);
	assert_int_equal(differences, 0);
}

static void transcendental_functions_are_close_to_this_processors(void **state)
{
	unsigned rounds = number_from("VMSCOPE_X87_ROUNDS", ROUNDS);

	(void)state;
	only_on_known_processors();
	if (!slot)
		skip();
	catch_signals();
	for (unsigned n = 0; n < rounds / 4; n++)
		instance(true);
	for (unsigned id = 0; id < INSN_COUNT; id++)
		if (is_transcendental(id))
			print_message("%s: %u instances, at most %u ulp, %u differ; %.1f %% of %u results rounded to "
				      "nearest have other bits\n",
			    x86_insn_name((uint16_t)id), instances_of[id], worst_of[id], mismatches_of[id],
			    100.0 * other_of[id] / (rounded_of[id] ? rounded_of[id] : 1), rounded_of[id]);
	assert_int_equal(differences, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(instructions_agree_with_this_processor),
	    cmocka_unit_test(transcendental_functions_are_close_to_this_processors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
