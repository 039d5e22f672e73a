/*
 * What the files of rules share: privfuzz_explain.c (system instructions, tables), privfuzz_stack.c (events, transfers)
 * and privfuzz_operand.c (operands in memory, strings). "a" is ours, "b" the processor.
 */
#ifndef VMSCOPE_TESTS_METAL_PRIVFUZZ_EXPLAIN_H
#define VMSCOPE_TESTS_METAL_PRIVFUZZ_EXPLAIN_H

#include "core/x86/insn.h"
#include "tests/metal/privfuzz.h"

enum pf_known {
	DIFFERENT,
	BOCHS_SMAP_AC,
	BOCHS_SHADOW,
	BOCHS_IRET64,
	BOCHS_IRET_V86,
	BOCHS_SYSCALL_TF,
	BOCHS_SYSCALL_SS,
	BOCHS_PENDING_BS,
	BOCHS_INT_V86,
	BOCHS_PUSHED,
	BOCHS_ORDER,
	BOCHS_MOV_DR,
	BOCHS_GD_BS,
	BOCHS_SS_DPL,
	BOCHS_FMASK,
	BOCHS_AC_V86,
	BOCHS_SS_ERROR,
	BOCHS_SYSRET_SS,
	BOCHS_XSETBV,
	BOCHS_LAR_COMPAT,
	BOCHS_CONFORMING,
	BOCHS_POP_SREG,
	BOCHS_DB_MERGED,
	BOCHS_POPF_V86,
	BOCHS_ESP16,
	BOCHS_IRET_NP,
	BOCHS_SP0,
	BOCHS_LD_ORDER,
	LEFT_LONG64,
	NO_PSE36,
	EPT_RMW,
	BOCHS_ARPL,
	BOCHS_CMPS,
	BOCHS_REP_FLAGS,
	BOCHS_INT_SHADOW,
	LIMIT_4G,
	BOCHS_TSS_LIMIT,
	BOCHS_BOUND,
	BOCHS_V86_DPL,
	BOCHS_NULL_SS,
	BOCHS_GATE_TYPE,
	BOCHS_AC_FIRST,
	BOCHS_DF_RF,
	BOCHS_BUSY,
	BOCHS_PARAMS,
	BOCHS_DF_AC,
	FRAME_OVER_TABLE,
	WANDERED,
	GLOBAL_KEPT,
	BOCHS_RSP_EDGE,
	BOCHS_ACCESSED,
};

static inline bool pf_is(const struct pf_result *r, unsigned vector)
{
	return r->e.reason == EXIT_EXCEPTION_NMI && (uint8_t)r->e.intr_info == vector;
}

static inline bool pf_ept(const struct pf_result *r)
{
	return r->e.reason == EXIT_EPT_VIOLATION;
}

/* Where a page fault or an EPT violation was met. */
static inline bool pf_met_at(const struct pf_result *r, uint64_t la, unsigned n)
{
	return (pf_is(r, VEC_PF) ? r->e.qual : r->e.gla) - la < n && (pf_is(r, VEC_PF) || pf_ept(r));
}

static inline bool pf_same_state(const struct pf_result *a, const struct pf_result *b)
{
	return !pf_state_differs(&a->s, &b->s);
}

static inline bool pf_same_end(const struct pf_result *a, const struct pf_result *b)
{
	return pf_same_state(a, b) && pf_equal(a->area, b->area, PF_SIZE);
}

/* Got away from its instruction, to where there are no INT3s. */
bool pf_is_away(const struct pf_case *k, const struct pf_result *r);
/* Two accesses of one instruction that both fail: which one is told differs. */
bool pf_other_address(const struct pf_result *a, const struct pf_result *b);
bool pf_decode(const struct pf_case *k, struct x86_insn *i);
/* Linear address of the memory operand, and of a string's. */
uint64_t pf_operand(const struct pf_case *k, const struct x86_insn *i);
uint64_t pf_string_operand(const struct pf_case *k, const struct x86_insn *i, unsigned sreg, unsigned reg);
bool pf_has_prefix(const struct pf_case *k, unsigned op, unsigned prefix); /* op: pf_opcode_at() */
bool pf_has_rex_w(const struct pf_case *k, unsigned op);
/* A descriptor as it was before, and the eight bytes after it; false: beyond its table. */
bool pf_desc_at(const struct pf_case *k, unsigned sel, uint64_t d[2]);
bool pf_same_fault(const struct pf_result *a, const struct pf_result *b);
/* privfuzz_stack.c */
bool pf_only_accessed(
    const struct pf_result *a, const struct pf_result *b); /* bits in the page table, no other memory */
int pf_explain_stack(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned op);
/* privfuzz_operand.c: ARPL, BOUND, strings, far pointers. */
int pf_explain_operand(const struct pf_case *k, const struct pf_result *a, struct pf_result *b, unsigned opcode);

#endif
