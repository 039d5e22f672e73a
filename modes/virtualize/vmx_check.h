/*
 * Why does a VM entry fail? The processor answers with one number for some hundred rules; this answers with the rule.
 */
#ifndef VMSCOPE_MODES_VIRTUALIZE_VMX_CHECK_H
#define VMSCOPE_MODES_VIRTUALIZE_VMX_CHECK_H

#include "modes/virtualize/vmx_fields.h"

struct vmx_check {
	uint64_t (*read)(void *arg, uint32_t field); /* a field of the VMCS; 0 for one that this CPU lacks */
	void *arg;
	const struct vmx_caps *caps;
};

struct vmx_finding {
	const char *rule; /* what must hold, in words */
	uint32_t field;	  /* the field that breaks it */
	uint64_t value;
};

/* The groups of rules in the order in which the processor looks. True: a broken rule was found. */
bool vmx_check_controls(const struct vmx_check *k, struct vmx_finding *out);
bool vmx_check_host(const struct vmx_check *k, struct vmx_finding *out);
bool vmx_check_guest(const struct vmx_check *k, struct vmx_finding *out); /* registers, then vmx_check_guest_rest() */
bool vmx_check_segments(const struct vmx_check *k, struct vmx_finding *out);
/* All of them. */
bool vmx_check_entry(const struct vmx_check *k, struct vmx_finding *out);

#endif
