/*
 * What cannot be compared on a processor that belongs to somebody else, by name: instructions whose answer is the
 * kernel's or the hypervisor's, and opcodes to which later processors gave a meaning that our CPU model does not have.
 */
#include <Zydis/Zydis.h>

#include "tests/foreign.h"
#include "tests/oracle/oracle.h"

#define KERNEL "SYSCALL, SYSENTER: enter the kernel"
#define UMIP "SGDT, SIDT, SLDT, STR, SMSW: Linux answers under UMIP with values of its own"

static const char *by_id(const struct orc_gen *g)
{
	switch (g->i.id) {
	case INSN_RDPMC:
		return "RDPMC: never the same twice, and the kernel decides who may";
	case INSN_RDRAND:
	case INSN_RDSEED:
		return "RDRAND, RDSEED: random";
	case INSN_SGDT:
	case INSN_SIDT:
	case INSN_SLDT:
	case INSN_STR:
	case INSN_SMSW:
		return UMIP;
	case INSN_SYSCALL: /* outside 64-bit mode it is undefined on Intel's processors */
		return g->c->mode == ORC_64 ? KERNEL : NULL;
	case INSN_SYSENTER:
		return KERNEL;
	case INSN_VMCALL:
	case INSN_VMMCALL:
	case INSN_VMFUNC:
		return "VMCALL, VMMCALL, VMFUNC: the hypervisor's";
	case INSN_XGETBV:
		return (uint32_t)g->c->in.gpr[X86_RCX] <= 1 ? "XGETBV of 0 and 1: XCR0 is the kernel's" : NULL;
	case INSN_LSL: /* in memory there is a selector of ours */
		if (!(g->i.flags & INSN_MEM) && (g->c->in.gpr[g->i.rm & 15] & 0xfffc) == (ORC_GDT_CPU & ~3u))
			return "LSL of selectors 78H to 7BH: the number of the CPU";
		return NULL;
	case INSN_INT_N:
		return (g->i.imm & 0xff) == 0x80 ? "INT 80H: a system call" : NULL;
	default:
		return NULL;
	}
}

static ZydisDecoder decoders[ORC_MODES];

static void setup(void)
{
	ZydisDecoderInit(&decoders[ORC_64], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(&decoders[ORC_32], ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoders[ORC_16], ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16);
}

#define MEANING "the opcode has a meaning on this processor that our CPU model does not have"

/* LZCNT is BSR in our model, TZCNT is BSF (these run without F3 if nothing else is wrong with them), MPX is NOP. */
static const ZydisMnemonic other_meaning[] = {ZYDIS_MNEMONIC_LZCNT, ZYDIS_MNEMONIC_TZCNT, ZYDIS_MNEMONIC_VMCALL,
    ZYDIS_MNEMONIC_VMMCALL, ZYDIS_MNEMONIC_VMFUNC, ZYDIS_MNEMONIC_SYSENTER, ZYDIS_MNEMONIC_BNDLDX,
    ZYDIS_MNEMONIC_BNDSTX, ZYDIS_MNEMONIC_BNDMOV, ZYDIS_MNEMONIC_BNDCL, ZYDIS_MNEMONIC_BNDCU, ZYDIS_MNEMONIC_BNDCN,
    ZYDIS_MNEMONIC_BNDMK};

static bool reads_itself(const struct orc_gen *g)
{
	uint32_t at = (uint32_t)orc_operand(g) + 8 - g->c->slot;

	return (g->i.flags & INSN_MEM) && at < 8u + g->c->insn_len;
}

static const char *by_meaning(const struct orc_gen *g)
{
	static bool ready;
	ZydisDecodedInstruction z;

	if (!ready)
		setup();
	ready = true;
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoders[g->c->mode], NULL, g->c->code, 16, &z)))
		return NULL;
	if (z.mnemonic == ZYDIS_MNEMONIC_SYSCALL)
		return g->c->mode == ORC_64 ? KERNEL : NULL;
	if (g->valid && orc_is_bit_scan(g))
		return reads_itself(g) ? "BSF, BSR that read their own code: the processor's has other prefixes" : NULL;
	if (foreign_instruction(&z))
		return MEANING;
	for (unsigned k = 0; k < sizeof(other_meaning) / sizeof(other_meaning[0]); k++)
		if (z.mnemonic == other_meaning[k])
			return MEANING;
	return NULL;
}

const char *orc_excluded(const struct orc_gen *g)
{
	const char *why = g->valid ? by_id(g) : NULL;

	/* Also with LOCK: Linux answers the #GP of UMIP, which comes before #UD. */
	if (!g->valid && g->i.map == 1 && g->i.opcode <= 1)
		return UMIP;

	if (!why && g->valid && orc_locks_bus(g))
		return "LOCK across a cache line: Linux traps and throttles it (bus lock detection)";
	return why ? why : by_meaning(g);
}
