/*
 * The TLB of the executor: direct-mapped, one array for reads, one for writes, one for fetches, entries hold the host
 * page. An entry is valid for the current privilege class only: index 0 supervisor, 1 user. addend turns a linear
 * address into a host pointer. Only RAM that may be accessed directly is in it; devices never are.
 */
#ifndef VMSCOPE_CORE_X86_TLB_H
#define VMSCOPE_CORE_X86_TLB_H

#include "core/types.h"

#define X86_TLB_ENTRIES 1024u

struct x86_tlb_entry {
	uint64_t tag;	/* linear page (gva >> 12) | generation bits; see tlb.c */
	uint8_t *host;	/* start of the host page */
	gpa_t gpa;	/* guest-physical page */
	uint32_t flags; /* global, dirty known, page holds decoded code */
	uint32_t pad;
};

struct x86_tlb {
	struct x86_tlb_entry read[2][X86_TLB_ENTRIES], write[2][X86_TLB_ENTRIES], fetch[2][X86_TLB_ENTRIES];
	uint64_t generation;
	uint64_t hits, misses, flushes;
};

#endif
