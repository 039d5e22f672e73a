/*
 * Efficiency, as Popek and Goldberg mean it: a statistically dominant share of the guest's instructions runs on the
 * processor without any intervention by the VMM. It is decided by measurements, never by the name of the mode: a
 * /dev/kvm whose kernel emulates every instruction fails it like any interpreter.
 */
#ifndef VMSCOPE_TRACER_EFFICIENCY_H
#define VMSCOPE_TRACER_EFFICIENCY_H

#include "core/mode.h"
#include "tracer/verdict.h"

/* A number with its source; source NULL: nobody measured it. */
struct measured {
	uint64_t value;
	const char *source;
};

struct efficiency_input {
	enum vmm_mode mode;
	struct measured instructions;	  /* guest instructions in all */
	struct measured interventions;	  /* hardware exits: instructions that did not run to their end directly */
	struct measured kernel_emulated;  /* instructions that the host kernel emulated (kvm:kvm_emulate_insn) */
	struct measured innocuous;	  /* innocuous instructions that were emulated */
	struct measured guest_ns, vmm_ns; /* time in the guest, time in the VMM */
	const char *missing;		  /* why a source is missing, in words; NULL or empty: not known */
	double dominant;		  /* 0.9 in the contract */
};

struct efficiency {
	struct pg_verdict verdict;
	double direct_fraction, guest_time_fraction; /* 0..1; negative: not known */
};

void efficiency_decide(const struct efficiency_input *in, struct efficiency *out);

#endif
