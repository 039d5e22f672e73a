/*
 * What the parts of the explanation share. Private to tracer/explain*.c and their test.
 */
#ifndef VMSCOPE_TRACER_EXPLAIN_IMPL_H
#define VMSCOPE_TRACER_EXPLAIN_IMPL_H

#include "tracer/explain.h"

/* One exit in the making. */
struct explain_ctx {
	const struct view_exit *e;
	const struct view_info *info;
	const struct vm_controls *ctl; /* NULL: not known */
	struct vm_exit x;	       /* operands and results, by name */
	bool values;		       /* x's are there */
	bool native;		       /* reason, qualification and controls are those of VT-x, or a code of the VMM */
	bool failed;		       /* the VM entry failed */
	uint32_t reason;	       /* by the SDM; UINT32_MAX: none corresponds */
	struct explain *out;
};

/* explain_qual.c; info: the interruption information, which tells #PF and #DB apart. */
unsigned explain_qual_of(uint32_t reason, uint64_t qual, uint32_t info, struct explain_bits *out, const char **title);
unsigned explain_svm_info(uint32_t code, uint64_t info1, struct explain_bits *out, const char **title);
unsigned explain_error_code(uint32_t info, uint32_t error, struct explain_bits *out, unsigned room);

/* explain_names.c: never NULL; "" for one that has no name here. */
const char *explain_vector_name(unsigned vector); /* "#PF" */
const char *explain_gpr_name(unsigned n);	  /* "RAX" */
const char *explain_port_name(uint16_t port);	  /* "COM1 (UART 16550)" */
const char *explain_msr_name(uint32_t msr);	  /* "IA32_EFER" */
const char *explain_cpuid_name(uint32_t leaf);	  /* "vendor and highest leaf" */
const char *explain_memory_name(uint64_t gpa);	  /* "local APIC" */
/* "PE PG" of a mask of CR0 or CR4 */
const char *explain_cr_bits(unsigned cr, uint64_t mask, char *buf, size_t n);

/* explain_why.c: which control made it exit. */
void explain_why(struct explain_ctx *c);
/* explain_did.c: what the VMM did. */
void explain_did(struct explain_ctx *c);

#endif
