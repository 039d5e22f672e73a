/*
 * struct exit_row: one exit as statistics see it, whatever it was read from: our own ring, our trace.dat, a kernel's
 * trace, or the text that trace-cmd prints.
 */
#ifndef VMSCOPE_TRACER_ROW_H
#define VMSCOPE_TRACER_ROW_H

#include "core/exit.h"

/* Whose numbering the reason follows: as in the field "isa" of kvm_exit, and one more for KVM_EXIT_* rows. */
enum exit_isa { ISA_VMX = 1, ISA_SVM = 2, ISA_KVM_USER = 3 };

struct exit_row {
	uint64_t ts; /* ns */
	uint64_t rip, info1, info2;
	uint64_t cost_ns; /* the VMM's time for it: from the exit to the next entry */
	uint64_t direct;  /* guest instructions since the exit before it on this vCPU */
	uint32_t reason, intr_info;
	uint32_t vcpu;
	int32_t pid;
	uint8_t isa;	  /* enum exit_isa */
	uint8_t observed; /* enum exit_observed */
	bool child;	  /* seen a second time (user-space exit) or no hardware exit: never added to totals */
	bool has_rip, has_cost, has_direct;
	bool modelled;	   /* the cost comes from a cost profile, not from a clock */
	const char *guest; /* lives as long as the source of the row */
};

/* Reason by name: "HLT", "npf", "KVM_EXIT_IO"; "0x<code>" in buf for an unknown one. */
const char *exit_row_name(const struct exit_row *r, char *buf, size_t n);
/* Name of an SVM exit code as Linux prints it ("npf"); NULL when unknown. */
const char *svm_exit_name(uint32_t code);
/* The code for such a name; -1 when there is none. */
int64_t svm_exit_by_name(const char *name);

#endif
