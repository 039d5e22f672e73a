/*
 * One exit explained, as data: what it is, why it happened under these controls, what its class is, what the VMM did,
 * what it cost, where to read on. Made from the tables that the core itself works by (exits.def, sensitive.def,
 * controls), so that an explanation cannot disagree with what happens. Used by the exit view, by its JSON twin and by
 * labs.
 */
#ifndef VMSCOPE_TRACER_EXPLAIN_H
#define VMSCOPE_TRACER_EXPLAIN_H

#include "core/controls.h"
#include "core/cost.h"
#include "core/sensitive.h"
#include "tracer/disasm.h"
#include "tracer/view_model.h"

/* One field of a qualification (or of interruption information): bits lo .. hi. */
struct explain_bits {
	uint8_t lo, hi;
	uint64_t value;
	char name[40];	  /* "size of access" */
	char meaning[72]; /* "1 byte"; "" when the number says it */
};
#define EXPLAIN_BITS_MAX 16
#define EXPLAIN_STEPS_MAX COST_STEPS_MAX

struct explain {
	char title[80];	      /* "10 CPUID" */
	const char *sentence; /* exits.def */
	const char *sdm;      /* "3C, Instructions That Cause VM Exits Unconditionally" */
	char aliases[80];     /* other names of the number; "" */
	struct explain_bits qual[EXPLAIN_BITS_MAX];
	unsigned n_qual;
	const char *qual_title; /* SDM section of the qualification; NULL: it is not defined for this reason */
	struct explain_bits intr[EXPLAIN_BITS_MAX]; /* interruption information; n_intr 0: not valid */
	unsigned n_intr;
	char insn[120]; /* the instruction at RIP; "" with insn_why when it is not known */
	char insn_why[96];
	uint8_t insn_len; /* bytes of insn; 0: not known */
	char why[240];	  /* which control made it exit: "primary controls bit 7, HLT exiting, is 1 in vtx-ept" */
	const struct sensitive_row *row; /* NULL: innocuous, or no instruction */
	enum pg_class class;
	char class_text[200]; /* in words, with the consequence */
	char did[6]
		[120]; /* what the VMM did, step by step: "answered leaf 0 from the CPU model: EAX=...", "RIP += 2" */
	unsigned n_did;
	char avoid[280]; /* how to avoid it, or why that cannot be */
	/* anatomy: the parts of the cost; parts are modelled, or there is one part that was measured */
	struct {
		char name[40];
		uint64_t ns;
	} cost[EXPLAIN_STEPS_MAX];
	unsigned n_cost;
	uint64_t cost_ns;
	char cost_source[120]; /* "modelled: nehalem-2011, ..." or "measured: ...", or why it is not known */
};

/* bytes (n may be 0): the instruction at RIP, where they can be read now; code_bits of the CPU; NULL info members are
 * said to be unknown. */
void explain_exit(const struct view_exit *e, const struct view_info *info, const uint8_t *bytes, size_t n,
    unsigned code_bits, const struct symbols *syms, struct explain *out);
/* The bits of a qualification alone; returns how many. info: the interruption information (what reason 0 is about). */
unsigned explain_qualification(
    uint32_t reason, uint64_t qual, uint32_t info, struct explain_bits out[EXPLAIN_BITS_MAX]);
unsigned explain_intr_info(uint32_t info, struct explain_bits out[EXPLAIN_BITS_MAX]);

#endif
