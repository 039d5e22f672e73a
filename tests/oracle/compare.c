/*
 * What differs, and which differences are right. A difference is a set of bits (ORC_D_*); a rule of explained.def
 * takes away the bits that it explains. What is left is a bug: ours, or the oracle's.
 */
#include <inttypes.h>
#include <string.h>

#include "tests/oracle/oracle.h"

#define FLAGS_COMPARED                                                                                                \
	(FLAGS_STATUS | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_VIF | FLAG_VIP | \
	    FLAG_ID)

static uint64_t compare_fx(const uint8_t *a, const uint8_t *b)
{
	uint64_t d = 0;

	d |= memcmp(a, b, 2) ? ORC_D_FCW : 0;
	d |= memcmp(a + 2, b + 2, 2) ? ORC_D_FSW : 0;
	d |= a[4] != b[4] ? ORC_D_FTW : 0;
	d |= memcmp(a + 6, b + 6, 18) ? ORC_D_FPTR : 0;
	d |= memcmp(a + 24, b + 24, 4) ? ORC_D_MXCSR : 0;
	for (unsigned k = 0; k < 8; k++)
		d |= memcmp(a + 32 + 16 * k, b + 32 + 16 * k, 10) ? ORC_D_ST : 0;
	d |= memcmp(a + 160, b + 160, 256) ? ORC_D_XMM : 0;
	return d;
}

/* What CPUID and RDTSC say is the machine's word; that the upper halves are 0 is the instruction's. */
uint64_t orc_answer_mask(const struct orc_gen *g, const struct orc_result *r, unsigned reg)
{
	unsigned regs = 0;

	if (!g->valid || r->s.rip == g->c->in.rip) /* it has not been executed */
		return 0;
	if (g->i.id == INSN_CPUID)
		regs = 1u << X86_RAX | 1u << X86_RBX | 1u << X86_RCX | 1u << X86_RDX;
	else if (g->i.id == INSN_RDTSC || g->i.id == INSN_RDTSCP)
		regs = 1u << X86_RAX | 1u << X86_RDX | (g->i.id == INSN_RDTSCP ? 1u << X86_RCX : 0);
	return regs >> reg & 1 ? 0xffffffff : 0;
}

uint64_t orc_compare(const struct orc_gen *g, const struct orc_result *ours)
{
	const struct orc_case *c = g->c;
	const struct orc_state *a = &c->nat.s, *b = &ours->s;
	uint64_t d = 0, mask = c->mode == ORC_64 ? ~0ull : 0xffffffff;
	unsigned vector = c->nat.vector;

	if (c->nat.status != ours->status)
		return ORC_D_STATUS;
	d |= vector != ours->vector ? ORC_D_VECTOR : 0;
	d |= c->nat.error != ours->error ? ORC_D_ERROR : 0;
	d |= vector == VEC_PF + 1 && c->nat.cr2 != ours->cr2 ? ORC_D_CR2 : 0;
	/* Outside 64-bit mode the upper halves and R8 to R15 are out of the instruction's reach. A far transfer may
	 * have changed the mode: then what is above is undefined. */
	for (unsigned r = 0; r < (c->mode == ORC_64 ? 16u : 8u); r++)
		d |= (a->gpr[r] ^ b->gpr[r]) & mask & ~orc_answer_mask(g, &c->nat, r) ? ORC_D_GPR(r) : 0;
	d |= a->rip != b->rip ? ORC_D_RIP : 0;
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		d |= a->sel[n] != b->sel[n] ? ORC_D_SEL(n) : 0;
	d |= a->fs_base != b->fs_base ? ORC_D_FSBASE : 0;
	d |= a->gs_base != b->gs_base ? ORC_D_GSBASE : 0;
	d |= ORC_D_FLAG((a->flags ^ b->flags) & FLAGS_COMPARED);
	d |= c->nat.mem_hash != ours->mem_hash ? ORC_D_MEM : 0;
	if (c->use_fx)
		d |= compare_fx(a->fx, b->fx);
	return d;
}

/* --- the rules --- */

/* Data selectors that are null on both sides, and 0 for the processor. */
static uint64_t null_selectors(const struct orc_gen *g, const struct orc_result *ours)
{
	static const uint8_t data[] = {X86_DS, X86_ES, X86_FS, X86_GS};
	uint64_t d = 0;

	for (unsigned k = 0; k < sizeof(data); k++)
		if (g->c->nat.s.sel[data[k]] == 0 && ours->s.sel[data[k]] < 4)
			d |= ORC_D_SEL(data[k]);
	return d;
}

/* Registers whose lower halves agree. */
static uint64_t upper_halves(const struct orc_gen *g, const struct orc_result *ours)
{
	uint64_t d = 0;

	for (unsigned r = 0; r < 16; r++)
		if ((uint32_t)g->c->nat.s.gpr[r] == (uint32_t)ours->s.gpr[r])
			d |= ORC_D_GPR(r);
	return d;
}

/* RSP, when its low 16 bits agree. */
static uint64_t same_sp(const struct orc_gen *g, const struct orc_result *ours)
{
	return (uint16_t)g->c->nat.s.gpr[X86_RSP] == (uint16_t)ours->s.gpr[X86_RSP] ? ORC_D_GPR(X86_RSP) : 0;
}

/* ORC_D_XMM when the lanes of the result are as near as two approximations of one value may be, all others equal. */
static uint64_t close_singles(const struct orc_gen *g, const struct orc_result *ours)
{
	bool scalar = g->i.id == INSN_RCPSS || g->i.id == INSN_RSQRTSS;
	unsigned from = 160u + 16u * (g->i.reg & 15), to = from + (scalar ? 4u : 16u);

	for (unsigned k = 160; k < 416; k += 4) {
		uint32_t a, b;

		memcpy(&a, g->c->nat.s.fx + k, 4);
		memcpy(&b, ours->s.fx + k, 4);
		if (a == b)
			continue;
		/* Both are within 1.5 * 2^-12 of the value: 6144 units of the last of 24 bits together. */
		if (k < from || k >= to || (a ^ b) >> 31 || (a > b ? a - b : b - a) > 6144)
			return 0;
	}
	return ORC_D_XMM;
}

static bool is_transcendental(const struct orc_gen *g)
{
	static const uint16_t ids[] = {
	    INSN_F2XM1, INSN_FYL2X, INSN_FYL2XP1, INSN_FSIN, INSN_FCOS, INSN_FSINCOS, INSN_FPTAN, INSN_FPATAN};

	for (unsigned k = 0; k < sizeof(ids) / sizeof(ids[0]); k++)
		if (g->i.id == ids[k])
			return true;
	return false;
}

/* Neighbours among the 80-bit numbers are neighbours here, also across powers of two. */
static __int128 extended_order(const uint8_t *p)
{
	uint64_t m;
	uint16_t se;

	memcpy(&m, p, 8);
	memcpy(&se, p + 8, 2);
	return (__int128)se << 63 | (m & ~(1ull << 63));
}

/* The results are within one unit in the last place, all else is equal; of the status only C1 (rounded up) differs. */
static bool close_extended(const struct orc_gen *g, const struct orc_result *ours)
{
	bool st0 = g->i.id != INSN_FPTAN, st1 = g->i.id == INSN_FPTAN || g->i.id == INSN_FSINCOS;
	uint16_t fa, fb;

	memcpy(&fa, g->c->nat.s.fx + 2, 2);
	memcpy(&fb, ours->s.fx + 2, 2);
	if ((fa ^ fb) & ~0x0200)
		return false;
	for (unsigned n = 0; n < 8; n++) {
		const uint8_t *a = g->c->nat.s.fx + 32 + 16 * n, *b = ours->s.fx + 32 + 16 * n;
		bool result = (n == 0 && st0) || (n == 1 && st1);
		__int128 apart = extended_order(a) - extended_order(b);

		if (memcmp(a, b, 10) != 0 && (!result || (apart != 1 && apart != -1)))
			return false;
	}
	return true;
}

/* FIP and FDP, when their low 48 bits agree. */
static uint64_t pointers_but_high(const struct orc_gen *g, const struct orc_result *ours)
{
	const uint8_t *a = g->c->nat.s.fx, *b = ours->s.fx;

	return memcmp(a + 6, b + 6, 8) == 0 && memcmp(a + 16, b + 16, 6) == 0 ? ORC_D_FPTR : 0;
}

static bool is_fx_area(const struct orc_gen *g)
{
	return g->i.id == INSN_FXSAVE || g->i.id == INSN_FXRSTOR;
}

static bool is_area(const struct orc_gen *g)
{
	return is_fx_area(g) || g->i.id == INSN_XSAVE || g->i.id == INSN_XRSTOR || g->i.id == INSN_XSAVEOPT;
}

/* Its operand does not stand where it has to. */
static bool is_misaligned(const struct orc_gen *g)
{
	return is_area(g) && orc_operand(g) & (is_fx_area(g) ? 15 : 63);
}

/* Its area goes across the end of its segment. */
static bool is_across_limit(const struct orc_gen *g)
{
	uint64_t offset = (uint32_t)(orc_operand(g) - orc_seg_base(g->c, g->i.seg));
	struct x86_seg s;

	return is_area(g) && g->c->mode != ORC_64 && orc_segment(g->c->in.sel[g->i.seg], &s) && offset <= s.limit &&
	       offset + (is_fx_area(g) ? 511 : 575) > s.limit;
}

/* #SS, #GP, #PF, #AC; of a struct orc_result. */
static bool is_address_fault(unsigned vector)
{
	return vector == VEC_SS + 1 || vector == VEC_GP + 1 || vector == VEC_PF + 1 || vector == VEC_AC + 1;
}

/* What an undefined opcode may end with: #UD, or what fetching more of it meets. */
static bool is_fetch_fault(unsigned vector)
{
	return vector == VEC_UD + 1 || vector == VEC_GP + 1 || vector == VEC_PF + 1;
}

/* Bytes from the start up to and with ModRM, which may be part of the opcode. */
static unsigned opcode_length(const struct orc_gen *g)
{
	const uint8_t *b = g->c->code;
	unsigned n = 0;

	while (n < 15 && (memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", b[n], 11) ||
			     (g->c->mode == ORC_64 && (b[n] & 0xf0) == 0x40)))
		n++;
	if (n < 15 && (b[n] == 0x9a || b[n] == 0xea)) /* with the far pointer of other modes, which is fetched first */
		return n + 7;
	if (n == 15 || b[n] != 0x0f)
		return n + 2;
	return n + (b[n + 1] == 0x38 || b[n + 1] == 0x3a ? 4 : 3);
}

/* Fetching 15 bytes leads out of the code pages or of the code segment, or the opcode ends at byte 14 or later. */
static bool is_near_end(const struct orc_gen *g)
{
	const struct orc_case *c = g->c;
	struct x86_seg cs;

	return opcode_length(g) >= 14 || c->slot + 15 > ORC_CODE + ORC_CODE_SIZE ||
	       (c->mode != ORC_64 && orc_segment(c->in.sel[X86_CS], &cs) && c->in.rip + 14 > cs.limit);
}

#define IS(x) (g->i.id == INSN_##x)
#define FAULT(v) (g->c->nat.vector == VEC_##v + 1)
#define NAT (&g->c->nat)
#define F_(x) ORC_D_FLAG(FLAG_##x)

enum {
#define EXPLAINED(name, condition, bits, reason) RULE_##name,
#include "tests/oracle/explained.def"
#undef EXPLAINED
	RULES
};

static const char *const rule_name[] = {
#define EXPLAINED(name, condition, bits, reason) #name,
#include "tests/oracle/explained.def"
#undef EXPLAINED
    NULL};

static const char *const rule_reason[] = {
#define EXPLAINED(name, condition, bits, reason) reason,
#include "tests/oracle/explained.def"
#undef EXPLAINED
    NULL};

uint64_t *orc_explained_count;

size_t orc_explained_size(void)
{
	return (RULES + 1) * sizeof(uint64_t);
}

static uint64_t apply(uint64_t diff, unsigned rule, bool condition, uint64_t bits)
{
	if (!condition || !(diff & bits))
		return diff;
	__atomic_fetch_add(&orc_explained_count[rule], 1, __ATOMIC_RELAXED);
	return diff & ~bits;
}

uint64_t orc_explain(const struct orc_gen *g, const struct orc_result *ours, uint64_t diff)
{
#define EXPLAINED(name, condition, bits, reason) diff = apply(diff, RULE_##name, (condition), (bits));
#include "tests/oracle/explained.def"
#undef EXPLAINED
	return diff;
}

void orc_explained_report(FILE *f)
{
	for (unsigned k = 0; k < RULES; k++)
		fprintf(f, "  %-28s %9" PRIu64 "  %s\n", rule_name[k], orc_explained_count[k], rule_reason[k]);
}

/* --- for people --- */

void orc_print_diff(FILE *f, uint64_t diff)
{
	static const char *const names[64] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10",
	    "r11", "r12", "r13", "r14", "r15", "rip", "vector", "error", "cr2", "memory", "es", "cs", "ss", "ds", "fs",
	    "gs", "fsbase", "gsbase", [32] = "cf", [34] = "pf", [36] = "af", [38] = "zf", [39] = "sf", [40] = "tf",
	    [41] = "if", [42] = "df", [43] = "of", [44] = "iopl", [45] = "iopl", [46] = "nt", [48] = "rf", [49] = "vm",
	    [50] = "ac", [51] = "vif", [52] = "vip", [53] = "id", [54] = "fcw", [55] = "fsw", [56] = "ftw",
	    [57] = "fptr", [58] = "st", [59] = "xmm", [60] = "mxcsr", [61] = "status"};

	for (unsigned k = 0; k < 64; k++)
		if (diff >> k & 1)
			fprintf(f, " %s", names[k] ? names[k] : "?");
}

static void print_fx(FILE *f, const char *who, const uint8_t *x)
{
	fprintf(f, "  %s fcw %02x%02x fsw %02x%02x ftw %02x fop %02x%02x mxcsr %02x%02x\n", who, x[1], x[0], x[3], x[2],
	    x[4], x[7], x[6], x[25], x[24]);
}

static void print_bytes(FILE *f, const char *what, unsigned n, const uint8_t *p, unsigned len)
{
	fprintf(f, "    %s%u ", what, n);
	while (len-- > 0)
		fprintf(f, "%02x", p[len]);
	fprintf(f, "\n");
}

static void print_fx_regs(FILE *f, const uint8_t *in, const uint8_t *a, const uint8_t *b)
{
	print_fx(f, "before", in);
	print_fx(f, "native", a);
	print_fx(f, "ours  ", b);
	if (memcmp(a + 8, b + 8, 16) != 0) {
		print_bytes(f, "native fip fdp", 0, a + 8, 16);
		print_bytes(f, "ours   fip fdp", 0, b + 8, 16);
	}
	for (unsigned k = 0; k < 8; k++) {
		if (memcmp(a + 32 + 16 * k, b + 32 + 16 * k, 10) == 0)
			continue;
		print_bytes(f, "before st", k, in + 32 + 16 * k, 10);
		print_bytes(f, "native st", k, a + 32 + 16 * k, 10);
		print_bytes(f, "ours   st", k, b + 32 + 16 * k, 10);
	}
	for (unsigned k = 0; k < 16; k++) {
		if (memcmp(a + 160 + 16 * k, b + 160 + 16 * k, 16) == 0)
			continue;
		print_bytes(f, "before xmm", k, in + 160 + 16 * k, 16);
		print_bytes(f, "native xmm", k, a + 160 + 16 * k, 16);
		print_bytes(f, "ours   xmm", k, b + 160 + 16 * k, 16);
	}
}

void orc_print_case(FILE *f, const struct orc_gen *g, const struct orc_result *ours, uint64_t diff, bool brief)
{
	static const char *const mode[] = {"64", "32", "16"};
	const struct orc_case *c = g->c;
	const struct orc_state *in = &c->in, *a = &c->nat.s, *b = &ours->s;

	fprintf(
	    f, "case %" PRIu64 ": %s-bit %s:", c->index, mode[c->mode], g->valid ? x86_insn_name(g->i.id) : "(bad)");
	for (unsigned k = 0; k < c->insn_len; k++)
		fprintf(f, " %02x", c->code[k]);
	fprintf(f, " differs:");
	orc_print_diff(f, diff);
	if (brief) {
		fprintf(f, " vector %d %d\n", c->nat.vector - 1, ours->vector - 1);
		return;
	}
	fprintf(f, "\n  vector native %d ours %d, error %x %x, cr2 %" PRIx64 " %" PRIx64 ", status %u %u\n",
	    c->nat.vector - 1, ours->vector - 1, c->nat.error, ours->error, c->nat.cr2, ours->cr2, c->nat.status,
	    ours->status);
	fprintf(f, "  rip  %016" PRIx64 " native %016" PRIx64 " ours %016" PRIx64 "\n", in->rip, a->rip, b->rip);
	fprintf(f, "  flag %016" PRIx64 " native %016" PRIx64 " ours %016" PRIx64 "\n", in->flags, a->flags, b->flags);
	for (unsigned r = 0; r < 16; r++)
		fprintf(f, "  r%-3u %016" PRIx64 " native %016" PRIx64 " ours %016" PRIx64 "%s\n", r, in->gpr[r],
		    a->gpr[r], b->gpr[r], diff >> r & 1 ? " <<" : "");
	for (unsigned n = 0; n < X86_SREG_COUNT; n++)
		fprintf(f, "  %cs %04x %04x %04x", "ecsdfg"[n], in -> sel[n], a -> sel[n], b -> sel[n]);
	fprintf(f, "\n  fsbase %" PRIx64 " %" PRIx64 " %" PRIx64 " gsbase %" PRIx64 " %" PRIx64 " %" PRIx64 "\n",
	    in->fs_base, a->fs_base, b->fs_base, in->gs_base, a->gs_base, b->gs_base);
	for (unsigned k = 0; k < c->n_patch; k++)
		fprintf(f, "  memory %x: %0*" PRIx64 "\n", ORC_SCRATCH + (c->patch[k].off & 0xffff),
		    (int)(c->patch[k].off >> 16) * 2, c->patch[k].v);
	if (c->use_fx)
		print_fx_regs(f, in->fx, a->fx, b->fx);
}
