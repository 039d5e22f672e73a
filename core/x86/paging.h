/*
 * Page walks: linear to guest-physical, by the tables in guest RAM. Pure mechanism: x86_walk() finds out, tlb.c and
 * access.c cache and raise.
 */
#ifndef VMSCOPE_CORE_X86_PAGING_H
#define VMSCOPE_CORE_X86_PAGING_H

#include "core/x86/access.h"

/* Width of a guest-physical address, as CPUID leaf 0x80000008 says: higher bits are reserved in table entries. */
#define X86_PHYS_BITS 40u
#define X86_PHYS_MASK ((1ull << X86_PHYS_BITS) - 1)

enum x86_paging { X86_PAGING_NONE, X86_PAGING_32, X86_PAGING_PAE, X86_PAGING_4LEVEL };

#define PTE_P (1u << 0)
#define PTE_W (1u << 1)
#define PTE_U (1u << 2)
#define PTE_A (1u << 5)
#define PTE_D (1u << 6)
#define PTE_PS (1u << 7)
#define PTE_G (1u << 8)
#define PTE_NX (1ull << 63)

/* Page-fault error code [SDM 3A "Page-Fault Exceptions"] */
#define PF_P (1u << 0)
#define PF_W (1u << 1)
#define PF_U (1u << 2)
#define PF_RSVD (1u << 3)
#define PF_ID (1u << 4)
#define PF_PK (1u << 5)

enum x86_walk_rc {
	X86_WALK_OK,
	X86_WALK_FAULT, /* error says why */
	X86_WALK_TABLE, /* a table entry lies outside RAM (gpa says where) and intercepts are on: an EPT violation */
};

struct x86_walk {
	gpa_t gpa; /* of the byte; for X86_WALK_TABLE of the table entry */
	uint32_t error;
	unsigned shift;	  /* log2 of the page size */
	bool user, write; /* what the tables permit, all levels together */
	bool nx, global;
	uint8_t key;	  /* protection key, where 4-level paging and CR4.PKE make it count */
	bool dirty;	  /* a write would not have to set the dirty bit */
	bool table_write; /* X86_WALK_TABLE: setting A or D failed, not reading */
};

/*
 * how: X86_ACCESS_*; 0 asks for the translation only: no permission check, no A/D update, and an entry outside RAM
 * reads as all ones (as it does for how != 0 when intercepts are off). A and D bits are set once all checks have
 * passed.
 */
enum x86_walk_rc x86_walk(struct x86_cpu *c, gva_t la, unsigned how, enum x86_priv priv, struct x86_walk *w);

enum x86_paging x86_paging_mode(const struct x86_state *s);
/* PAE: reads the four PDPTEs at cr3. X86_FAULT: a reserved bit is set in a present one, and the caller says which fault
 * that is; X86_EXIT: outside RAM, an EPT violation. *out is undefined then. */
enum x86_rc x86_read_pdptes(struct x86_cpu *c, uint64_t cr3, uint64_t out[4]);

/* The page of an access: host pointer (NULL: device, only with intercepts off) and guest-physical address of la. Fills
 * the TLB where allowed. code: writing must tell env->code_written. */
enum x86_rc x86_tlb_lookup(struct x86_cpu *c, gva_t la, unsigned how, enum x86_priv priv, unsigned size, uint8_t **host,
    gpa_t *gpa, bool *code);
/* Notes an enabled data breakpoint that [la, la + size) touches, in s.pending_dbg. */
void x86_debug_data(struct x86_cpu *c, gva_t la, unsigned size, unsigned how);
/* The same for I/O breakpoints, which CR4.DE enables, and the size ports from port on. */
void x86_debug_io(struct x86_cpu *c, uint16_t port, unsigned size);
/* Does any enabled data breakpoint lie in this linear page? */
bool x86_debug_page(const struct x86_cpu *c, gva_t la);

/* The same for run control: notes an access to what is watched; does any of that lie in this linear page? */
void x86_watch_data(struct x86_cpu *c, gva_t la, unsigned size, unsigned how);
bool x86_watch_page(const struct x86_cpu *c, gva_t la);

/* After the TLB was flushed for a change of paging: recomputes the paging mode. */
void x86_paging_settled(struct x86_cpu *c);

static inline bool x86_tlb_is_code(const struct x86_cpu *c, gpa_t gpa)
{
	return c->tlb.code[(gpa >> PAGE_SHIFT_4K) & (X86_TLB_CODE_COUNTS - 1)] != 0;
}

#endif
