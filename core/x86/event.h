/*
 * Events inside core/x86: one delivery without merging, for INT n; and whether an exception exits.
 */
#ifndef VMSCOPE_CORE_X86_EVENT_H
#define VMSCOPE_CORE_X86_EVENT_H

#include "core/x86/segment.h"

/* INT n, INT3, INTO, INT1 as executed by the guest: s.rip is the next instruction's, len the instruction's length. */
enum x86_rc x86_software_event(struct x86_cpu *c, uint8_t vector, uint8_t type, unsigned len);

/* How two exceptions combine [SDM 3A "Double Fault Exception"]. */
enum x86_merge { X86_MERGE_SECOND, X86_MERGE_DOUBLE, X86_MERGE_SHUTDOWN };
enum x86_merge x86_merge_faults(const struct x86_event *first, const struct x86_event *second);

/* The stack for an inner ring as the TSS has it; in IA-32e mode ss is null. */
enum x86_rc x86_inner_stack(struct x86_cpu *c, unsigned cpl, struct x86_seg *ss, uint64_t *sp);

/* Injects s.pending_event, which must be valid, and clears it: what a VM entry does with the event that it was given.
 */
enum x86_rc x86_inject_pending(struct x86_cpu *c);
/* The guest gets the fault of an IRET: NMIs are unblocked all the same. Where the fault exits they stay blocked, since
 * the IRET will be executed again [SDM 3C "Resuming Guest Software after Handling an Exception"]. In iret.c. */
void x86_iret_faulted(struct x86_cpu *c);
/* DR6 when a debug exception with these conditions is delivered: B0 to B3 are those of this one, the rest stays until
 * software clears it [SDM 3B "Debug Status Register (DR6)"]. */
static inline uint64_t x86_dr6_with(uint64_t dr6, uint64_t conditions)
{
	return (dr6 & ~0xfull) | conditions;
}

#endif
