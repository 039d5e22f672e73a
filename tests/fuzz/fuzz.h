/*
 * Random bytes as code. One input is a header (struct fuzz_head: mode, privilege, control registers, number of CPUs,
 * profile of controls, how it is run), patches of the tables in memory, and code. It is run through the whole VMM, on
 * emulate/II with virtual time, in two or three ways that must end in the same machine, bit by bit:
 *
 *   step     every instruction by x86_step(), the reference
 *   blocks   the block runner, its cache whole or nearly nothing
 *   cut      the block runner, stopped in the middle by a snapshot that another machine takes over
 *
 * Every allocation of the machine, the guest's RAM first, has inaccessible pages before and behind it, so an access
 * outside what belongs to the guest is seen in any build; under AddressSanitizer to the byte. Two drivers share the
 * target: libFuzzer ("make fuzz") and tests/fuzz/main.c, which needs no more than a compiler ("make check").
 */
#ifndef VMSCOPE_TESTS_FUZZ_FUZZ_H
#define VMSCOPE_TESTS_FUZZ_FUZZ_H

#include "core/vm.h"

enum fuzz_mode {
	FUZZ_REAL,
	FUZZ_V86,
	FUZZ_PROT16,
	FUZZ_PROT32,
	FUZZ_COMPAT16,
	FUZZ_COMPAT32,
	FUZZ_LONG64,
	FUZZ_RESET, /* the code is a firmware that starts at the reset vector */
	FUZZ_MODEL, /* the bytes are a behaviour model of simulate */
	FUZZ_MODES
};

/* fuzz_head.style */
#define FUZZ_FIRMWARE (1u << 0)	   /* there is a ROM, so that a reset starts again */
#define FUZZ_APS_RUN (1u << 1)	   /* the other CPUs run the same code; else they wait for a start-up message */
#define FUZZ_TYPED (1u << 2)	   /* somebody types */
#define FUZZ_SMALL_PAGES (1u << 3) /* 4 KiB pages, else as large as the mode has them */
#define FUZZ_SUPERVISOR (1u << 4)  /* no page is the user's */
#define FUZZ_GATES16 (1u << 5)	   /* interrupt gates are of 16 bits, some are task gates */
#define FUZZ_LIMITS (1u << 6)	   /* data segments with narrow limits */
#define FUZZ_EOI (1u << 7)	   /* handlers end the interrupt at the 8259s and the local APIC */
/* fuzz_head.ways */
#define FUZZ_WAY_CUT (1u << 0)
#define FUZZ_WAY_TRACER (1u << 1)    /* blocks, with the tracer at work */
#define FUZZ_WAY_STEP_EXIT (1u << 2) /* blocks, exit by exit through the session */
#define FUZZ_CACHE_SHIFT 4	     /* what the block cache holds: fuzz_cache_limits[] */

struct fuzz_head {
	uint8_t mode, cpl, n_cpus, profile; /* cpl: bits 2-3 are IOPL */
	uint8_t paging, mem, ways, style;
	uint32_t cr0, cr4, efer, rflags, dr7, seed;
	uint16_t entry, max_insns, max_exits, selectors;
	uint8_t gpr[16];
	uint8_t dr[4];
	uint8_t n_patches, pad[3];
};
_Static_assert(sizeof(struct fuzz_head) == 64, "the header is part of the format of corpora");

enum fuzz_area {
	AREA_GDT,
	AREA_LDT,
	AREA_IDT,
	AREA_TSS,
	AREA_TOP,
	AREA_PD,
	AREA_PT,
	AREA_DATA,
	AREA_STACK,
	AREA_COUNT
};
struct fuzz_patch {
	uint8_t area, size; /* size: the low bits choose 1, 2, 4 or 8 bytes */
	uint16_t index;	    /* in units of size */
	uint32_t low, high;
};
#define FUZZ_PATCHES_MAX 24u
#define FUZZ_CODE_MAX 4096u
#define FUZZ_INPUT_MAX (sizeof(struct fuzz_head) + FUZZ_PATCHES_MAX * sizeof(struct fuzz_patch) + FUZZ_CODE_MAX)

struct fuzz_input {
	struct fuzz_head h;
	struct fuzz_patch patch[FUZZ_PATCHES_MAX];
	unsigned n_patches;
	uint8_t code[FUZZ_CODE_MAX];
	size_t n_code;
};

/* False: too short to mean anything. Fields are brought into their range. */
bool fuzz_parse(struct fuzz_input *in, const uint8_t *data, size_t n);
size_t fuzz_pack(const struct fuzz_input *in, uint8_t *out, size_t max);
unsigned fuzz_code_size(const struct fuzz_head *h); /* 2, 4, 8 */
enum x86_mode fuzz_x86_mode(const struct fuzz_head *h);

/* place.c: the machine that an input describes; ERR_OK or the program stops. */
void fuzz_place(struct vm *vm, const struct fuzz_input *in);
const uint8_t *fuzz_firmware(const struct fuzz_input *in, size_t *n);

/* run.c: runs one input in all its ways; abort() with a line that says what is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
void fuzz_fail(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
void fuzz_model(const struct fuzz_input *in);
struct fuzz_totals {
	uint64_t runs, insns, exits, built;
	uint64_t ends[END_COUNT], reasons[EXIT_SDM_COUNT];
};
extern struct fuzz_totals fuzz_totals;

/* host.c */
extern const struct host_ops fuzz_host_ops;

/* breaks.c: faults on purpose, by the environment variable FUZZ_BREAK; which proves that they would be noticed. */
void fuzz_break(struct vm *vm, bool reference);

/* gen.c: random numbers, random instructions that decode, random inputs, mutations. */
struct fuzz_rng {
	uint64_t s;
};
uint32_t fuzz_rnd(struct fuzz_rng *r, uint32_t n); /* 0 .. n - 1 */
size_t fuzz_insns(struct fuzz_rng *r, const struct fuzz_head *h, uint8_t *p, size_t max);
void fuzz_random_input(struct fuzz_rng *r, struct fuzz_input *in);
void fuzz_mutate(struct fuzz_rng *r, struct fuzz_input *in);

#endif
