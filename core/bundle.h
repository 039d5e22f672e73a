/*
 * A bundle: everything that a bare-metal VMM needs to run its guests, in one piece of memory without pointers. The
 * hosted program makes it; the image finds it behind itself on its boot disk, as the first multiboot module, or gets it
 * over the serial line (CMD_LOAD). All offsets are from the start of the bundle. Little-endian, freestanding.
 */
#ifndef VMSCOPE_CORE_BUNDLE_H
#define VMSCOPE_CORE_BUNDLE_H

#include "core/err.h"

#define BUNDLE_MAGIC "VMSCBNDL"
#define BUNDLE_VERSION 2u
#define BUNDLE_VMS_MAX 8u
#define BUNDLE_MODULES_MAX 8u

struct bundle_part {
	uint64_t off, len; /* len 0: not there. Texts end with a zero byte that len counts. */
};

enum bundle_flags {
	BUNDLE_SESSION = 1u << 0,   /* somebody is at the other end of the line: wait for CMD_START, stay at the end */
	BUNDLE_BULK = 1u << 1,	    /* the second ATA disk (slave of the first channel) takes the records */
	BUNDLE_BLOCK = 1u << 2,	    /* records are never dropped: wait for room */
	BUNDLE_REGS = 1u << 3,	    /* records carry registers (lockstep) */
	BUNDLE_PAGES = 1u << 4,	    /* changed pages of guest memory at checkpoints (lockstep) */
	BUNDLE_POWEROFF = 1u << 5,  /* no session: switch the machine off at the end, by every way that is known */
	BUNDLE_TICK_INSN = 1u << 6, /* Bochs: the TSC counts instructions, of guest and VMM alike */
	/* The machine is a program, and its clock goes on while it waits for a processor of the host. */
	BUNDLE_CLOCK_RUNS_ON = 1u << 7,
};

/* Holes made on purpose, to see the verdict on resource control find them. */
enum bundle_fault { FAULT_NONE, FAULT_EPT, FAULT_MSR, FAULT_CR8, FAULT_ROOT, FAULT_OWN, FAULT_IDT, FAULT_COUNT };
const char *bundle_fault_name(enum bundle_fault f); /* "none", "ept", "msr", "cr8", "root", "own", "idt" */

struct bundle_vm {
	char name[64];	   /* the guest, for people and traces */
	char controls[16]; /* profile */
	uint32_t mode;	   /* enum vmm_mode: emulate or virtualize */
	uint32_t clock;	   /* enum clock_kind */
	uint64_t mem_size, max_exits, max_insns, seed;
	struct bundle_part image, firmware, cmdline, keys; /* keys: bytes to type, escapes expanded */
	struct bundle_part cost;			   /* a struct cost_model */
	struct bundle_part modules[BUNDLE_MODULES_MAX], module_args[BUNDLE_MODULES_MAX];
	uint32_t n_modules;
	uint32_t fault;		  /* enum bundle_fault */
	uint64_t user_reasons[2]; /* bit n: exit reason n is handed to the session */
	char image_name[64];	  /* file name of the image: it is part of a multiboot command line */
};

struct bundle {
	char magic[8];
	uint32_t version;
	uint32_t crc; /* CRC-32 of everything behind this field, len bytes in all */
	uint64_t len;
	uint32_t flags; /* enum bundle_flags */
	uint32_t n_vms;
	uint64_t tsc_hz; /* ticks of the TSC in one second of guest time: the session's word; 0: ask the CPU */
	uint32_t checkpoint_every; /* exits between two checkpoints; 0: only at the end */
	uint32_t engine;	   /* virtualize: 0 what the CPU has, 1 VMX, 2 SVM */
	uint64_t bulk_size;	   /* bytes of the second disk that may be used; a multiple of 512 */
	uint64_t slice_ns;	   /* with several guests: time slice; 0: 10 ms */
	struct bundle_vm vms[BUNDLE_VMS_MAX];
};

/* Is this a whole bundle whose parts all lie inside it? why says what is wrong. */
enum err bundle_check(const void *p, uint64_t len, struct errmsg *why) MUST_CHECK;
/* NULL when the part is not there. */
const void *bundle_part(const struct bundle *b, const struct bundle_part *p);

#endif
