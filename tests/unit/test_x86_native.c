/*
 * The interpreter against the processor of this machine: random integer instructions in user mode, in 64-bit and in
 * compatibility mode, with register and memory operands, are executed natively and by us; registers, defined flags,
 * memory and faults must agree.
 *
 * Both sides see two pages at the same linear address, with unmapped pages around them (tests/x86_native.h). Everything
 * happens in a child process, so that a wild instruction cannot hurt the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "core/x86/exec.h"
#include "tests/x86_int_instance.h"
#include "tests/x86_native.h"
#include "tests/x86_values.h"

#define ROUNDS 400000u
#define LINEAR NATIVE_SCRATCH
#define SCRATCH NATIVE_SCRATCH_SIZE

#define FRAME native_frame()

/* 8: 64-bit mode. 4: compatibility mode. Set before anything else. */
static unsigned code_size;
static uintptr_t insn_address;

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
	cpu.s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	cpu.s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	cpu.s.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	cpu.s.cr3 = 0x1000;
	x86_state_changed(&cpu);
}

/* The flags that the manual defines after this instruction. */
static uint32_t defined_flags(const struct int_instance *t, bool *result_defined)
{
	const struct x86_insn *i = &t->i;
	bool by_cl = i->map == 0 ? i->opcode >= 0xd2 : i->opcode == 0xa5 || i->opcode == 0xad;
	bool by_one = i->map == 0 && (i->opcode == 0xd0 || i->opcode == 0xd1);
	unsigned n = (unsigned)(by_one ? 1 : by_cl ? t->gpr[X86_RCX] : i->imm) & (i->opsize == 8 ? 63 : 31);
	uint32_t all = FLAGS_STATUS | FLAG_DF;

	switch (i->id) {
	case INSN_AND:
	case INSN_OR:
	case INSN_XOR:
	case INSN_TEST:
		return all & ~FLAG_AF;
	case INSN_ROL:
	case INSN_ROR:
	case INSN_RCL:
	case INSN_RCR:
		return n > 1 ? all & ~FLAG_OF : all;
	case INSN_SHL:
	case INSN_SHR:
	case INSN_SAR:
		if (n == 0)
			return all;
		return all &
		       ~(FLAG_AF | (n > 1 ? FLAG_OF : 0) | (n >= 8u * i->opsize && i->id != INSN_SAR ? FLAG_CF : 0));
	case INSN_SHLD:
	case INSN_SHRD:
		if (n == 0)
			return all;
		*result_defined = n <= 8u * i->opsize;
		return all & ~(FLAG_AF | (n > 1 ? FLAG_OF : 0));
	case INSN_MUL:
	case INSN_IMUL:
		return FLAG_CF | FLAG_OF | FLAG_DF;
	case INSN_DIV:
	case INSN_IDIV:
		return FLAG_DF;
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
		return FLAG_CF | FLAG_ZF | FLAG_DF;
	case INSN_BSF:
	case INSN_BSR:
		return FLAG_ZF | FLAG_DF;
	case INSN_AAA:
	case INSN_AAS:
		return FLAG_CF | FLAG_AF | FLAG_DF;
	case INSN_AAM:
	case INSN_AAD:
		return FLAG_SF | FLAG_ZF | FLAG_PF | FLAG_DF;
	case INSN_DAA:
	case INSN_DAS:
		return all & ~FLAG_OF;
	default:
		return all;
	}
}

static const uint8_t class_of[INSN_COUNT] = {
#define INSN(id, mnemonic, class) INSN_CLASS_##class,
#include "core/x86/insns.def"
#undef INSN
};

/*
 * Where a repetition stops by a fault, processors differ in two things. With 32-bit addresses in 64-bit mode some have
 * cleared the upper halves of the registers that they count with, also when nothing was done yet. And the flags of CMPS
 * and SCAS are those from before, or those of the last comparison [SDM 2B "REP/REPE/REPZ/REPNE/REPNZ - Repeat String
 * Operation Prefix"].
 */
static bool stopped_repetition(const struct int_instance *t)
{
	return FRAME->fault && (t->i.flags & (INSN_REP | INSN_REPNE)) && class_of[t->i.id] == INSN_CLASS_STRING;
}

static bool same_register(const struct int_instance *t, unsigned r)
{
	uint64_t ours = cpu.s.gpr[r], native = FRAME->out[r];
	bool counts = r == X86_RCX || r == X86_RSI || r == X86_RDI;

	if (code_size != 8)
		native = (uint32_t)native;
	return ours == native || (stopped_repetition(t) && counts && t->i.addrsize == 4 && (uint32_t)ours == native);
}

static const char *differs(const struct int_instance *t, enum x86_rc rc)
{
	bool result = true;
	uint32_t mask = defined_flags(t, &result);

	/* The lower bound may be checked before the upper one is read. */
	if (t->i.id == INSN_BOUND && FRAME->fault == VEC_BR + 1 && rc == X86_FAULT && cpu.fault.vector == VEC_PF)
		return NULL;
	if ((rc == X86_FAULT ? cpu.fault.vector + 1u : 0u) != FRAME->fault)
		return "fault";
	/* Which operand of CMPS is read first is not specified, and processors differ. */
	if (FRAME->fault == VEC_PF + 1 && t->i.id != INSN_CMPS &&
	    (cpu.fault.cr2 != FRAME->cr2 || cpu.fault.error != FRAME->error))
		return "page fault address or error code";
	if (!result)
		return NULL;
	if (FRAME->fault)
		mask = FLAGS_STATUS | FLAG_DF; /* nothing may have changed, except by completed iterations */
	if (stopped_repetition(t) && (t->i.id == INSN_CMPS || t->i.id == INSN_SCAS))
		mask = FLAG_DF;
	for (unsigned r = 0; r < 2 * code_size; r++)
		if (!same_register(t, r))
			return "register";
	if ((x86_flags_get(&cpu) ^ FRAME->out_flags) & mask)
		return "flags";
	if (memcmp(OUR_SCRATCH, (void *)(uintptr_t)LINEAR, SCRATCH))
		return "memory";
	return NULL;
}

static void report(const struct int_instance *t, const char *what)
{
	fprintf(stderr, "%s differs: %s, bytes", what, x86_insn_name(t->i.id));
	for (unsigned k = 0; k < t->i.len; k++)
		fprintf(stderr, " %02x", t->code[k]);
	fprintf(stderr,
	    "\n  fault native %d ours %d; cr2 %llx %llx error %llx %x; flags before %llx native %llx ours %llx\n",
	    (int)FRAME->fault - 1, cpu.fault.vector, (unsigned long long)FRAME->cr2, (unsigned long long)cpu.fault.cr2,
	    (unsigned long long)FRAME->error, cpu.fault.error, (unsigned long long)t->flags,
	    (unsigned long long)FRAME->out_flags, (unsigned long long)x86_flags_get(&cpu));
	for (unsigned r = 0; r < 16; r++)
		fprintf(stderr, "  r%-2u before %016llx native %016llx ours %016llx%s\n", r,
		    (unsigned long long)t->gpr[r], (unsigned long long)FRAME->out[r], (unsigned long long)cpu.s.gpr[r],
		    FRAME->out[r] != cpu.s.gpr[r] ? " <<" : "");
}

static enum x86_rc our_run(const struct int_instance *t)
{
	memcpy(cpu.s.gpr, t->gpr, sizeof(cpu.s.gpr));
	x86_flags_write(&cpu, t->flags);
	cpu.s.rip = insn_address + t->i.len;
	cpu.budget = 1u << 20;
	cpu.fault.vector = 0;
	return t->i.fn(&cpu, &t->i);
}

static unsigned seen[INSN_COUNT];

/* Every plain and string instruction must have had its turn, except what does not exist here. */
static bool is_expected(unsigned id)
{
	if (class_of[id] != INSN_CLASS_PLAIN && class_of[id] != INSN_CLASS_STRING)
		return false;
	switch (id) {
	case INSN_AAA:
	case INSN_AAS:
	case INSN_AAM:
	case INSN_AAD:
	case INSN_DAA:
	case INSN_DAS:
	case INSN_PUSHA:
	case INSN_POPA:
	case INSN_BOUND:
	case INSN_SALC:
		return code_size == 4;
	case INSN_CDQE:
	case INSN_CQO:
	case INSN_MOVSXD:
	case INSN_CMPXCHG16B:
		return code_size == 8;
	case INSN_PAUSE:
	case INSN_PREFETCH:
	case INSN_CLFLUSH:
	case INSN_LFENCE:
	case INSN_MFENCE:
	case INSN_SFENCE:
		return false; /* no effect to compare */
	default:
		return int_insn_exists(id);
	}
}

/* Our copy of the scratch pages is still as int_instance_fill_memory() left it: a repetition begins with the same
 * memory. */
static void run_natively(const struct int_instance *t)
{
	for (unsigned attempt = 0; attempt < 4; attempt++) {
		if (attempt)
			memcpy((void *)(uintptr_t)LINEAR, OUR_SCRATCH, SCRATCH);
		memcpy(FRAME->in, t->gpr, sizeof(t->gpr));
		FRAME->in_flags = t->flags;
		native_run(t->code, t->i.len);
		if (!FRAME->repeat)
			return;
	}
}

/* In the child: the number of differences, at most 100; 101 when it could not start. */
static int compare_all(void)
{
	unsigned bad = 0, done = 0;
	struct int_instance t;
	const char *why;

	if (!native_setup(code_size, &why)) {
		printf("skipped: %s\n", why);
		fflush(stdout);
		return 101;
	}
	insn_address = native_insn_address();
	int_instances_for(code_size, insn_address);
	our_setup();
	rng_seed(0x123456789abcdefu);
	for (uint8_t *p = (uint8_t *)(uintptr_t)LINEAR; p < (uint8_t *)(uintptr_t)LINEAR + SCRATCH; p++)
		*p = (uint8_t)rng();
	while (done < ROUNDS && bad < 100) {
		const char *what;
		enum x86_rc rc;

		if (!int_instance_make(&t))
			continue;
		int_instance_fill_memory(&t);
		memcpy(OUR_SCRATCH, (void *)(uintptr_t)LINEAR, SCRATCH);
		run_natively(&t);
		rc = our_run(&t);
		what = differs(&t, rc);
		if (what && bad++ < 20)
			report(&t, what);
		seen[t.i.id]++;
		done++;
	}
	for (unsigned id = 0; id < INSN_COUNT; id++) {
		if (seen[id] >= 20 || !is_expected(id))
			continue;
		fprintf(stderr, "only %u instances of %s\n", seen[id], x86_insn_name((uint16_t)id));
		bad++;
	}
	printf("%u instances, %u differences\n", done, bad);
	fflush(stdout);
	return (int)bad;
}

static void compare_in_child(unsigned size)
{
	int status;
	pid_t pid;

	code_size = size;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(compare_all());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fail_msg("the child was killed by signal %d: outside of the instruction under test", WTERMSIG(status));
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 101)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void only_on_known_processors(void)
{
	const char *why;

	if (native_known(&why))
		return;
	print_message("%s\n", why);
	skip();
}

static void integer_instructions_agree_with_this_processor_in_64_bit_mode(void **state)
{
	(void)state;
	only_on_known_processors();
	compare_in_child(8);
}

static void integer_instructions_agree_with_this_processor_in_compatibility_mode(void **state)
{
	(void)state;
	only_on_known_processors();
	compare_in_child(4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(integer_instructions_agree_with_this_processor_in_64_bit_mode),
	    cmocka_unit_test(integer_instructions_agree_with_this_processor_in_compatibility_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
