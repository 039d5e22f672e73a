/*
 * A page walk as data: every entry that the processor would read for a linear address, what each bit says, what the
 * tables permit together, and where the guest-physical address lies in the VMM. For people; x86_walk() of
 * core/x86/paging.h is the one that runs guests, and a test holds the two together. Reads only: no accessed or dirty
 * bit is set, no TLB is filled.
 */
#ifndef VMSCOPE_TRACER_PAGEWALK_H
#define VMSCOPE_TRACER_PAGEWALK_H

#include "core/vm.h"
#include "core/x86/paging.h"

struct pagewalk_query {
	gva_t gva;
	unsigned how; /* X86_ACCESS_*; 0: the translation only, no check of permissions */
	enum x86_priv priv;
	bool intercepts; /* a table outside RAM exits (EPT violation); else it reads as all ones */
};

enum pagewalk_result {
	PAGEWALK_OK,
	PAGEWALK_FAULT,	       /* #PF; error and culprit say why */
	PAGEWALK_TABLE,	       /* a table lies outside RAM: an EPT violation */
	PAGEWALK_NOT_CANONICAL /* #GP(0) or #SS(0); no table is read */
};

struct pagewalk_entry {
	const char *name; /* "PML4E", "PDPTE", "PDE", "PTE" */
	unsigned level;	  /* 4 .. 1; 3 also for a PAE pointer, which is held in a register */
	unsigned size;	  /* bytes: 4 or 8 */
	unsigned index;	  /* in its table */
	gpa_t gpa;	  /* where it is; of a PAE pointer: where MOV CR3 found it */
	uint64_t value;
	uint64_t reserved;	       /* bits that are set and must not be */
	bool held;		       /* in the processor, loaded by MOV CR3: memory may say something else by now */
	bool outside;		       /* not in RAM: value is what the processor sees then */
	bool leaf;		       /* maps a page */
	bool present, write, user, nx; /* what this entry alone says */
};

enum pagewalk_place { PAGEWALK_RAM, PAGEWALK_ROM, PAGEWALK_SHADOW, PAGEWALK_DEVICE, PAGEWALK_HOLE };

struct pagewalk {
	struct pagewalk_query q; /* gva as the mode cuts it */
	enum x86_paging mode;
	enum pagewalk_result result;
	struct pagewalk_entry entry[4];
	unsigned n;
	int culprit;	/* the entry that ended it; -1: none */
	uint32_t error; /* PAGEWALK_FAULT */
	char why[160];	/* what happened, for people */
	/* PAGEWALK_OK, and of a fault of permission, which has found its page */
	gpa_t gpa;
	unsigned shift; /* log2 of the page's size */
	bool user, write, nx, global;
	uint8_t key;
	/* pagewalk_locate() */
	enum pagewalk_place place;
	int slot;	  /* of struct guest_mem; -1: none */
	uint64_t offset;  /* in the slot */
	const void *host; /* NULL: not in memory */
	char name[32];	  /* of the slot or the device */
};

/* read: n bytes of guest-physical memory without side effects; false: not RAM. */
void pagewalk(const struct x86_state *s, const struct pagewalk_query *q,
    bool (*read)(void *arg, gpa_t gpa, void *buf, size_t n), void *arg, struct pagewalk *out);
/* For pagewalk(): arg is a struct guest_mem. */
bool pagewalk_read_mem(void *arg, gpa_t gpa, void *buf, size_t n);
/* Where w->gpa lies: slot or device. */
void pagewalk_locate(struct pagewalk *w, const struct vm *vm);
const char *pagewalk_mode_name(enum x86_paging mode);

/* One field of an entry. */
struct pagewalk_bit {
	const char *name; /* "P", "R/W", "address" */
	unsigned hi, lo;
	uint64_t value;	     /* of the field, shifted down; of an address: in place */
	const char *meaning; /* of this value; "" when there is nothing to add */
};
#define PAGEWALK_BITS_MAX 20
/* All fields of an entry, from bit 0 up; together they cover each of its bits once. Returns how many. */
unsigned pagewalk_bits(const struct pagewalk *w, unsigned entry, struct pagewalk_bit out[PAGEWALK_BITS_MAX]);
/* "P W U A D G XD": in capitals what is set; r, s: read only, supervisor; '-': not accessed, not dirty. */
const char *pagewalk_letters(const struct pagewalk *w, unsigned entry, char *buf, size_t n);

#endif
