/*
 * Runs files of the SingleStepTests project (80286, real mode, MOO format) on the CPU of core/x86: registers and memory
 * before and after one instruction, as a processor of 1986 did it. What later processors do otherwise is explained by
 * rule (rules[] below): the test is run again as the old processor would have done it, and all of it must then be
 * equal. Everything else is a failure and is printed.
 *
 *     single_step_tests FILE.MOO.gz...             exit status 0: no unexplained difference
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/x86/exec.h"
#include "tests/moo.h"
#include "tests/x86_fixture.h"

#define RAM_SIZE MOO_RAM /* of X86_FIX_RAM */
#define PAGES (RAM_SIZE >> PAGE_SHIFT_4K)
#define FLAGS_286 0x0fffu /* bits 12-15 cannot be set on an 80286 in real mode */
#define SHOWN 3		  /* failures a file that are printed */

static const char *const reg_names[MOO_REGS] = {
    "ax", "bx", "cx", "dx", "cs", "ss", "ds", "es", "sp", "bp", "si", "di", "ip", "fl"};
/* Where a register of the file is: a GPR, or a segment register. */
static const uint8_t gprs[MOO_REGS] = {[AX] = X86_RAX,
    [BX] = X86_RBX,
    [CX] = X86_RCX,
    [DX] = X86_RDX,
    [SP] = X86_RSP,
    [BP] = X86_RBP,
    [SI] = X86_RSI,
    [DI] = X86_RDI};
static const uint8_t sregs[MOO_REGS] = {[CS] = X86_CS, [SS] = X86_SS, [DS] = X86_DS, [ES] = X86_ES};

static struct x86_fix *fix; /* ports answer with ones */
static struct x86_cpu *cpu;
static uint8_t want[RAM_SIZE];

static void load(const struct moo_test *t)
{
	x86_fix_reset_cpu(fix);
	for (unsigned r = 0; r < MOO_REGS; r++) {
		uint16_t v = t->before.reg[r];

		if (r >= CS && r <= ES)
			cpu->s.seg[sregs[r]] =
			    (struct x86_seg){.base = (uint32_t)v << 4, .limit = 0xffff, .attr = 0x93, .sel = v};
		else if (r == IP)
			cpu->s.rip = v;
		else if (r == FL)
			x86_flags_write(cpu, (v & FLAGS_286) | FLAG_R1);
		else
			cpu->s.gpr[gprs[r]] = v;
	}
	for (unsigned k = 0; k < t->before.cells; k++)
		fix->ram[t->before.cell[k].addr] = want[t->before.cell[k].addr] = t->before.cell[k].value;
	for (unsigned k = 0; k < t->after.cells; k++)
		want[t->after.cell[k].addr] = t->after.cell[k].value;
	x86_state_changed(cpu);
}

static void unload(const struct moo_test *t)
{
	for (unsigned k = 0; k < t->before.cells; k++)
		fix->ram[t->before.cell[k].addr] = want[t->before.cell[k].addr] = 0;
	for (unsigned k = 0; k < t->after.cells; k++)
		want[t->after.cell[k].addr] = 0;
	for (unsigned p = 0; p < PAGES; p++) {
		if (fix->dirty[p])
			memset(fix->ram + ((size_t)p << PAGE_SHIFT_4K), 0, PAGE_SIZE_4K);
		fix->dirty[p] = false;
	}
}

/* How a test is run: the old processor's way is said by what differs from {0}. */
struct way {
	uint8_t force;	/* raise this instead of executing the instruction */
	uint8_t prefix; /* stands where a LOCK prefix was, if no other prefix comes before it */
	bool ss_is_gp;	/* #SS is delivered as #GP */
	bool skip;	/* the instruction does nothing */
	bool partial;	/* a fault left SP, SI, DI and CX as they were then */
};

static void prepare(const struct moo_test *t, const struct way *w)
{
	uint32_t at = ((uint32_t)t->before.reg[CS] << 4) + t->before.reg[IP];

	load(t);
	for (uint8_t last = w->prefix; last && memchr("\x26\x2e\x36\x3e\xf0\xf2\xf3", fix->ram[at], 7); at++) {
		if (fix->ram[at] == 0xf0)
			fix->ram[at] = want[at] = last;
		last = fix->ram[at];
	}
	if (w->partial)
		cpu->s.gpr[X86_RSP] = (uint16_t)(t->after.reg[SP] + 6);
}

/* A string instruction with iterations left. */
static bool repeats(const struct x86_insn *i)
{
	return i->class == INSN_CLASS_STRING || (i->opcode >= 0x6c && i->opcode <= 0x6f && !i->map);
}

/* One instruction, or the delivery of what it raises: the vector, or -1. Every test ends with a HLT that stands after
 * the instruction or at the start of a handler: it only counts in IP. */
static int run(const struct way *w)
{
	uint64_t start = cpu->s.rip;
	enum x86_rc rc = X86_OK;
	struct x86_insn i;
	int vector = -1;

	if (w->force) {
		rc = x86_fault(cpu, w->force);
	} else {
		rc = x86_fetch_insn(cpu, &i);
		if (w->skip)
			cpu->s.rip += i.len;
		do {
			if (rc == X86_OK && !w->skip)
				rc = x86_step(cpu);
		} while (rc == X86_OK && cpu->s.rip == start && repeats(&i));
	}
	if (rc == X86_FAULT) {
		struct x86_event ev = cpu->fault;

		if (w->ss_is_gp && ev.vector == VEC_SS)
			ev.vector = VEC_GP;
		vector = ev.vector;
		rc = x86_deliver(cpu, &ev);
	}
	if (rc == X86_EXIT && fix->exit.reason == EXIT_HLT)
		cpu->s.rip += i.len - 1u;
	cpu->s.rip = (cpu->s.rip + 1) & 0xffff;
	x86_flags_sync(cpu);
	return rc == X86_STOP ? 0x100 : vector;
}

static uint16_t result(unsigned r)
{
	if (r >= CS && r <= ES)
		return cpu->s.seg[sregs[r]].sel;
	if (r == IP)
		return (uint16_t)cpu->s.rip;
	return r == FL ? (uint16_t)cpu->s.rflags : (uint16_t)cpu->s.gpr[gprs[r]];
}

/* --- comparison ------------------------------------------------------------------------------------------------ */

/* Flags that the manual leaves undefined, by the instruction [SDM 1 "EFLAGS Cross-Reference"]. */
static uint16_t undefined_flags(const struct x86_insn *i)
{
	const uint16_t all = FLAGS_STATUS, af = FLAG_AF;
	unsigned op = i->opcode, alu = op < 0x40 ? op >> 3 : i->reg & 7;
	unsigned count = op < 0xc2 ? (unsigned)i->imm & 31 : op < 0xd2 ? 1 : cpu->s.gpr[X86_RCX] & 31;

	if ((op < 0x40 && (op & 7) < 6) || (op >= 0x80 && op < 0x84))
		return alu == 1 || alu == 4 || alu == 6 ? af : 0;
	switch (op) {
	case 0x84:
	case 0x85:
	case 0xa8:
	case 0xa9:
		return af;
	case 0x27:
	case 0x2f:
		return FLAG_OF;
	case 0x37:
	case 0x3f:
		return FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF;
	case 0x69:
	case 0x6b:
		return FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF;
	case 0xd4:
		return i->imm ? FLAG_OF | FLAG_AF | FLAG_CF : all;
	case 0xd5:
		return FLAG_OF | FLAG_AF | FLAG_CF;
	case 0xc0:
	case 0xc1:
	case 0xd0 ... 0xd3:
		return (uint16_t)((count > 1 ? FLAG_OF : 0) | ((i->reg & 7) >= 4 ? FLAG_AF : 0) |
				  ((i->reg & 4) && count >= 8u * i->opsize ? FLAG_CF : 0));
	case 0xf6:
	case 0xf7:
		if ((i->reg & 7) < 2)
			return af;
		return (i->reg & 7) < 4 ? 0 : (i->reg & 7) < 6 ? FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF : all;
	default:
		return 0;
	}
}

static unsigned compare_registers(const struct moo_test *t, const struct way *w, uint16_t flags, bool print)
{
	unsigned n = 0;

	for (unsigned r = 0; r < MOO_REGS; r++) {
		uint16_t m = r == FL ? flags : 0xffff, ours = result(r);

		if (!((ours ^ t->after.reg[r]) & m) || (w->partial && (r == SI || r == DI || r == CX)))
			continue;
		n++;
		if (print)
			printf("    %s %04x, expected %04x, before %04x\n", reg_names[r], ours, t->after.reg[r],
			    t->before.reg[r]);
	}
	return n;
}

/* Both the pages that were written and the bytes that should have been; the flags in a frame by their mask. */
static unsigned compare_memory(const struct moo_test *t, uint16_t flags, bool print)
{
	uint32_t pushed = ((uint32_t)t->after.reg[SS] << 4) + (uint16_t)(t->after.reg[SP] + 4);
	unsigned n = 0;

	for (unsigned k = 0; k < t->after.cells; k++)
		fix->dirty[t->after.cell[k].addr >> PAGE_SHIFT_4K] = true;
	for (unsigned p = 0; p < PAGES; p++) {
		for (uint32_t a = p << PAGE_SHIFT_4K; fix->dirty[p] && a < (p + 1) << PAGE_SHIFT_4K; a++) {
			uint8_t m = 0xff;

			if (t->vector >= 0 && (a == pushed || a == pushed + 1))
				m = (uint8_t)(flags >> (a == pushed ? 0 : 8));
			if (!((fix->ram[a] ^ want[a]) & m))
				continue;
			n++;
			if (print)
				printf("    memory %05" PRIx32 ": %02x, expected %02x\n", a, fix->ram[a], want[a]);
		}
	}
	return n;
}

/* --- rules ----------------------------------------------------------------------------------------------------- */

struct facts {
	const struct moo_test *t;
	const struct x86_insn *i;
	int vector; /* what our CPU raised */
};

static bool has_lock(const struct facts *f)
{
	return f->vector == VEC_UD && memchr(f->t->bytes, 0xf0, f->t->n_bytes);
}
static bool is_long(const struct facts *f)
{
	unsigned n = f->i->id == INSN_UD_INVALID ? f->t->n_bytes + 4 : f->i->len;

	return n > 10 && f->t->vector == VEC_GP;
}
static bool is_fs_gs(const struct facts *f)
{
	return (f->i->opcode == 0x8c || f->i->opcode == 0x8e) && f->t->vector == VEC_UD;
}
static bool is_x87(const struct facts *f)
{
	return (f->i->opcode & 0xf8) == 0xd8 && f->t->vector < 0;
}
static bool is_pusha(const struct facts *f)
{
	return (f->i->opcode == 0x60 || f->i->opcode == 0x61) && f->vector == VEC_SS && f->t->vector == VEC_GP;
}
static bool is_stack_limit(const struct facts *f)
{
	return f->vector == VEC_SS && f->t->vector == VEC_GP;
}
static bool is_restart(const struct facts *f)
{
	return (f->vector == VEC_GP || f->vector == VEC_SS) && f->t->vector == VEC_GP;
}

/* Where an 80286 and later processors differ. */
static const struct rule {
	const char *what;
	bool (*applies)(const struct facts *f);
	struct way way;
} rules[] = {
    {"LOCK where later processors raise #UD", has_lock, {.prefix = 0x3e}},
    {"LOCK where later processors raise #UD", has_lock, {.prefix = 0x36}},
    {"LOCK where later processors raise #UD", has_lock, {.prefix = 0x3e, .ss_is_gp = true, .partial = true}},
    {"LOCK where later processors raise #UD", has_lock, {.prefix = 0x36, .ss_is_gp = true, .partial = true}},
    {"more than 10 bytes: #GP then, 15 later", is_long, {.force = VEC_GP}},
    {"FS and GS are not there", is_fs_gs, {.force = VEC_UD}},
    {"PUSHA and POPA check SP before they begin: #GP then, #SS later", is_pusha, {.force = VEC_GP}},
    {"no 80287 is there to read an operand", is_x87, {.skip = true}},
    {"limit of the stack segment: #GP in real mode, #SS later", is_stack_limit, {.ss_is_gp = true}},
    {"a fault leaves SP, SI, DI, CX and flags half-way", is_restart, {.ss_is_gp = true, .partial = true}},
};
#define RULES (sizeof rules / sizeof rules[0])

static struct {
	unsigned tests, equal, flags, failed, rule[RULES];
} sum;

static bool equal(const struct moo_test *t, const struct way *w, uint16_t undefined, bool print)
{
	uint16_t flags = FLAGS_286 & (uint16_t)~undefined;

	return compare_registers(t, w, flags, print) + compare_memory(t, flags, print) == 0;
}

static bool explained(const struct facts *f, uint16_t undefined)
{
	for (unsigned k = 0; k < RULES; k++) {
		/* Later processors set the flags of REP CMPS and SCAS when all is done. */
		bool compares = (f->i->opcode & 0xf6) == 0xa6;
		uint16_t but = undefined | (rules[k].way.partial && compares ? FLAGS_STATUS : 0);
		bool same;

		if (!rules[k].applies(f))
			continue;
		prepare(f->t, &rules[k].way);
		run(&rules[k].way);
		same = equal(f->t, &rules[k].way, but, false);
		unload(f->t);
		if (same) {
			sum.rule[k]++;
			return true;
		}
	}
	return false;
}

static void print_failure(const struct facts *f, uint16_t undefined)
{
	static const struct way plain;

	printf("  %s:", f->t->name);
	for (unsigned k = 0; k < f->t->n_bytes; k++)
		printf(" %02x", f->t->bytes[k]);
	printf("; vector %d, expected %d %s\n", f->vector, f->t->vector, cpu->stop_reason);
	prepare(f->t, &plain);
	run(&plain);
	equal(f->t, &plain, undefined, true);
	unload(f->t);
}

static void run_test(const struct moo_test *t)
{
	static const struct way plain;
	struct x86_insn i = {0};
	struct facts f = {t, &i, 0};
	uint16_t undefined = 0;
	bool same, but_flags;

	prepare(t, &plain);
	if (x86_fetch_insn(cpu, &i) == X86_OK)
		undefined = undefined_flags(&i);
	f.vector = run(&plain);
	same = equal(t, &plain, 0, false);
	but_flags = same || equal(t, &plain, undefined, false);
	unload(t);
	sum.tests++;
	sum.equal += same;
	sum.flags += but_flags && !same;
	if (but_flags || explained(&f, undefined))
		return;
	if (sum.failed++ < SHOWN)
		print_failure(&f, undefined);
}

/* --- the command ----------------------------------------------------------------------------------------------- */

static bool run_file(const char *path)
{
	static struct moo_test t;
	struct moo *m = moo_open(path);
	enum moo_rc rc = MOO_BAD;

	while (m && (rc = moo_next(m, &t)) == MOO_TEST)
		run_test(&t);
	moo_close(m);
	if (rc == MOO_BAD)
		fprintf(stderr, "%s: not a file of tests that this program can read\n", path);
	return rc == MOO_END;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;

	fix = x86_fix_new();
	fix->io_value = ~0ull;
	cpu = fix->c;

	for (int a = 1; a < argc; a++) {
		failed = sum.failed;
		sum.failed = 0;
		if (!run_file(argv[a]))
			return 2;
		if (sum.failed)
			printf("%s: %u tests failed\n", argv[a], sum.failed);
		sum.failed += failed;
	}
	printf(
	    "%u tests: %u equal, %u but for undefined flags, %u failed\n", sum.tests, sum.equal, sum.flags, sum.failed);
	for (unsigned k = 0, n = 0; k < RULES; k++) {
		n += sum.rule[k];
		if (k + 1 < RULES && !strcmp(rules[k].what, rules[k + 1].what))
			continue;
		if (n)
			printf("%8u explained: %s\n", n, rules[k].what);
		n = 0;
	}
	x86_fix_free(fix);
	return sum.failed != 0;
}
