/*
 * Resource control: the VMM owns the machine. Three audits, each of which names what it finds:
 *  - mapping: everything that guest code reaches without the VMM belongs to this guest's memory, at the guest-physical
 *    address that the memory map gives it, and is writable only where the map says so;
 *  - controls: what is programmed equals the profile that was asked for;
 *  - interval: the VMM regained control within a bound of guest time.
 */
#ifndef VMSCOPE_TRACER_SAFETY_H
#define VMSCOPE_TRACER_SAFETY_H

#include "core/mode.h"
#include "tracer/verdict.h"

struct vm;

#define SAFETY_INTERVAL_NS 100000000ull /* 100 ms */

struct safety {
	struct pg_verdict verdict;
	uint64_t mappings, bytes; /* audited */
	uint64_t longest_ns;	  /* longest stretch of guest time between two exits */
};

/* After a run, on its thread. bound_ns 0: the default. */
void safety_audit(struct vm *vm, uint64_t bound_ns, struct safety *out);
/* The first fault of one mapping as text; false when it has none. */
bool safety_mapping_fault(const struct vm *vm, const struct mode_mapping *m, char *buf, size_t n);

#endif
