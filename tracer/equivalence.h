/*
 * Equivalence, checked while it happens [docs/exit-contract.md, "What is compared"]: a subject (any mode) and a
 * reference (a software CPU under the same profile) run the same guest side by side. After each exit of the subject the
 * reference runs up to its next exit, and the two are compared at the lockstep point: reason, rip, general registers,
 * defined flags, values; memory at checkpoints.
 *
 * The reference has its own memory and CPU, and no devices: whatever the subject read from the outside (ports, MMIO,
 * MSRs) is fed to it, whatever the subject wrote is compared, and interrupts are delivered to it at the very point
 * where the subject took them. So nothing but the CPU and the VMM's work on registers and memory is compared.
 *
 * Both VMs are created and loaded by the caller, identically, and not run yet; the reference must count as an engine
 * with MODE_CAP_INSN_PROBE and MODE_CAP_STATE_LIVE. After the call both are the caller's to destroy; the reference is
 * of no other use then. One thread.
 */
#ifndef VMSCOPE_TRACER_EQUIVALENCE_H
#define VMSCOPE_TRACER_EQUIVALENCE_H

#include "core/vm.h"
#include "tracer/sequence.h"
#include "tracer/verdict.h"

enum equivalence_step { EQUIVALENCE_EXITS, EQUIVALENCE_INSNS };

/* What was met and is not held against the subject; each is named in the report. */
enum equivalence_exempt {
#define EXEMPT(name, text) EXEMPT_##name,
#include "tracer/exemptions.def"
#undef EXEMPT
	EXEMPT_COUNT
};

struct equivalence_options {
	enum equivalence_step step;
	uint64_t max_exits;	   /* of the subject; 0: until it ends */
	uint64_t until_ns;	   /* host time at which it is enough; 0: never */
	uint64_t checkpoint_every; /* compare memory after so many exits; 0: 256. Also at the end and at a divergence */
};

struct equivalence_divergence {
	bool found;
	uint64_t index; /* number of the subject's hardware exit (instruction mode: of the instruction), from 0 */
	char field[32]; /* "rax", "reason", "memory", "value", ... */
	uint64_t rip;	/* of the exit, or of the instruction */
	char exit[96];	/* the subject's exit in words */
	char reference_exit[96];
	char disassembly[96];
	char subject_regs[1200], reference_regs[1200];
	bool memory_differs;
	gpa_t memory_gpa; /* the first byte that differs */
	uint8_t memory_subject, memory_reference;
};

struct equivalence_report {
	struct pg_verdict verdict;
	uint64_t exits_compared, insns_compared, checkpoints, injected;
	struct equivalence_divergence first;
	uint64_t exempt[EXEMPT_COUNT]; /* how often each was met */
	struct {		       /* an input that cannot be fed */
		uint64_t count, rip;
		char mnemonic[16];
	} unfed;
	struct vm_end subject_end;
};

void equivalence_run(
    struct vm *subject, struct vm *reference, const struct equivalence_options *opt, struct equivalence_report *out);

/* One line for a person: "TSC read without an exit" */
const char *equivalence_exempt_text(enum equivalence_exempt e);

/* Models: reason, order and values only; consoles must be equal too. */
void equivalence_sequence(const struct sequence *reference, const struct sequence *subject,
    const void *console_reference, size_t n_reference, const void *console_subject, size_t n_subject,
    struct pg_verdict *out, struct sequence_diff *diff);

#endif
