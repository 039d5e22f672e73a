/*
 * A host for tests: the clock moves only when told to, the n-th allocation can fail, and everything that was allocated
 * must come back with the size it had. One per process; fake_host_reset() first.
 */
#ifndef VMSCOPE_TESTS_FAKE_HOST_H
#define VMSCOPE_TESTS_FAKE_HOST_H

#include "core/host.h"

extern const struct host_ops fake_host_ops;

struct fake_host {
	uint64_t now_ns;	    /* what now_ns() and cycles() return */
	uint64_t step_ns;	    /* added at each look at the clock */
	uint64_t waited_ns;	    /* of now_ns, not in ran_ns(): somebody else had the processor */
	uint64_t limit;		    /* mem_limit() */
	unsigned fail_at;	    /* the allocation with this number (from 1) fails; 0: none */
	unsigned allocations, live; /* asked for so far; not freed yet */
	unsigned bad_frees;	    /* pointers that were not allocated, or with another size */
	unsigned idles, logs;
	char last_log[200];
};
extern struct fake_host fake_host;

void fake_host_reset(void);

#endif
