/*
 * The TLB of the executor: direct-mapped, one array for reads, one for writes, one for fetches; an entry holds the host
 * page. Index 0 is for supervisor accesses, 1 for user accesses, so that a hit needs no permission check. Only RAM that
 * may be accessed directly is in it: devices never are, and the write array never holds a page that has a clean dirty
 * bit or a data breakpoint. A page that has decoded code is in the write array under a tag that the inline lookup never
 * asks for: only x86_tlb_lookup() finds it. The same holds for pages that run control watches, in both arrays.
 *
 * A tag is the linear page number (52 bits) under an 11-bit generation and a mark for code. A flush is one new
 * generation, not a memset; global entries survive a CR3 load because they are moved to the new generation when they
 * are next missed (tlb.c). Pages of non-canonical addresses are never inserted: a hit implies canonical.
 */
#ifndef VMSCOPE_CORE_X86_TLB_H
#define VMSCOPE_CORE_X86_TLB_H

#include "core/types.h"

#define X86_TLB_ENTRIES 1024u
#define X86_TLB_CODE_COUNTS 65536u
#define X86_TLB_GEN_SHIFT 52
#define X86_TLB_CODE_PAGE (1ull << 63) /* in a tag */

#define X86_TLB_GLOBAL (1u << 0)
#define X86_TLB_SHIFT_AT 8 /* flags: log2 of the size of the page that this is a part of */

struct x86_cpu;

struct x86_tlb_entry {
	uint64_t tag;	     /* (gva >> 12) | generation << X86_TLB_GEN_SHIFT; 0 = empty */
	uint8_t *host;	     /* start of the host page */
	gpa_t gpa;	     /* guest-physical page */
	uint32_t flags;	     /* X86_TLB_GLOBAL, and from X86_TLB_SHIFT_AT on the page's size */
	uint32_t global_gen; /* of the last flush of everything, when this was filled */
};

struct x86_tlb {
	struct x86_tlb_entry read[2][X86_TLB_ENTRIES], write[2][X86_TLB_ENTRIES], fetch[2][X86_TLB_ENTRIES];
	uint64_t gen_tag; /* current generation, shifted: what a hit must have */
	uint32_t global_gen;
	/* Paging state that the entries were made under: x86_state_changed() flushes when it moved. */
	uint64_t cr0, cr3, cr4, efer, pdpte[4], dr[4], dr7;
	uint64_t misses, flushes;
	/* Parts of large pages may be in it, between these addresses: there INVLPG looks for all of them. */
	gva_t large_first, large_last;	   /* both 0: nowhere */
	uint8_t code[X86_TLB_CODE_COUNTS]; /* decoded-code marks by page number modulo the size; 255 is sticky */
};

/* Everything, global pages too. Also after the memory map changed (PAM, ROM shadow). */
void x86_tlb_flush(struct x86_cpu *c);
/* All but global pages: MOV CR3. */
void x86_tlb_flush_local(struct x86_cpu *c);
/* One page: INVLPG. */
void x86_tlb_flush_page(struct x86_cpu *c, gva_t gva);
/* May a lookup still find the entry: is it a current one, or a global one that no full flush came after? */
struct x86_watch;
/* From now on accesses to what is watched are noted in it; NULL: no more. What the TLB holds stays. */
void x86_watch_set(struct x86_cpu *c, struct x86_watch *w);
bool x86_tlb_can_hit(const struct x86_cpu *c, const struct x86_tlb_entry *e);
/* The block cache decoded code of this guest-physical page (call once a page, on every vCPU): writes to it take the
 * slow path and reach env->code_written, until as many unmarks as marks were made. */
void x86_tlb_mark_code(struct x86_cpu *c, gpa_t gpa);
void x86_tlb_unmark_code(struct x86_cpu *c, gpa_t gpa);

#endif
