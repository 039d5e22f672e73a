/*
 * The oracle: random instructions on the processor of this machine and on our CPU, everything compared.
 *
 *   rows.c      what there is: one row for each form of each opcode, found by asking the decoder
 *   gen.c       an instruction of a row: prefixes, ModRM, immediate
 *   place.c     registers, flags, segments and memory that make it do something
 *   native.c    runs it on the processor, in a sandboxed child
 *   ours.c      runs it on our CPU; kernel.c is what stands around it there
 *   blocks.c    and once more by decoded blocks, as guests run
 *   compare.c   finds what differs; explained.def says which differences are right, and why
 *   main.c      workers, report
 *
 * A case is made from the seed and its number alone, so that any case can be had again: --at NUMBER.
 *
 * Both sides see the same user memory: two pages of data at ORC_SCRATCH, three pages of code at ORC_CODE that cannot be
 * written, nothing around them. The code is filled with INT3; the instruction stands somewhere in it. It ends at the
 * instruction after it, or, when it may go elsewhere, at the first exception: INT3 says where it went.
 */
#ifndef VMSCOPE_TESTS_ORACLE_ORACLE_H
#define VMSCOPE_TESTS_ORACLE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/x86/insn.h"
#include "tests/x86_values.h"

#define ORC_SCRATCH 0x10000000u
#define ORC_SCRATCH_SIZE 8192u
#define ORC_CODE 0x10010000u
#define ORC_CODE_SIZE 0x3000u
#define ORC_PAD 0x5a5d0000u /* native: the code around an instruction; ours: the same address, unmapped */
#define ORC_BATCH 512u
#define ORC_PATCHES 24u
#define ORC_SLOT 32u /* bytes: an instruction (up to 16) and the jump after it */

enum orc_mode { ORC_64, ORC_32, ORC_16, ORC_MODES };

struct orc_state {
	uint8_t fx[512]; /* FXSAVE64 image */
	uint64_t gpr[16], rip, flags, fs_base, gs_base;
	uint16_t sel[X86_SREG_COUNT]; /* by enum x86_sreg */
	uint16_t pad[2];
} __attribute__((aligned(16)));

struct orc_result {
	struct orc_state s;
	uint64_t mem_hash, cr2;
	uint32_t error;
	uint16_t vector; /* exception + 1, 0: none */
	uint16_t status; /* enum orc_status */
};
enum orc_status {
	ORC_DONE,
	ORC_FRAME_FAULT, /* native: outside of the instruction */
	ORC_LOOPS,	 /* ours: a branch that is not seen to end: left out */
	ORC_STOPPED	 /* ours: the CPU gave up, or exited where nothing may: never right */
};

struct orc_patch {
	uint64_t v;
	uint32_t off;
};

/* A case: what both sides begin with. */
struct orc_case {
	struct orc_state in;
	struct orc_result nat;
	struct orc_patch patch[ORC_PATCHES];
	uint64_t index;
	uint32_t slot; /* linear address of the instruction; its cs:rip is in.rip */
	uint8_t code[ORC_SLOT];
	uint8_t n, insn_len; /* bytes in the slot; of the instruction */
	uint8_t mode;
	uint8_t n_patch;
	uint16_t f2_for_f3; /* bit n: byte n of the code is F3, and F2 for the processor */
	bool ends_by_trap, use_fx, disturbed;
};

/* Shared with the child. */
struct orc_shared {
	uint8_t base[ORC_SCRATCH_SIZE]; /* the data pages before each case, but for its patches */
	uint8_t dump[ORC_SCRATCH_SIZE]; /* and after the last one */
	uint32_t n;
	volatile uint32_t progress;
	struct orc_case c[ORC_BATCH];
};

/* --- hash.c --- */
uint64_t orc_hash(const uint8_t *p, const uint8_t *base); /* of the data pages: of what differs from base */

/* --- rows.c --- */
struct orc_row {
	uint16_t id;
	uint8_t map, opcode, prefix; /* prefix: 0, 66, F3, F2 */
	bool has_modrm, mem;
	int8_t reg, rm; /* -1: any */
	uint8_t modes;	/* bit n: legal in enum orc_mode n */
	uint64_t count[ORC_MODES], faults, excluded, loops;
};
extern struct orc_row *orc_rows;
extern unsigned orc_n_rows;
void orc_rows_find(void);
void orc_rows_only(const char *name); /* forgets all others; orc_n_rows may become 0 */
/* Moves the rows to memory that all workers share. */
void orc_rows_share(struct orc_row *to);

/* --- ldt.c: descriptors that both sides have --- */
#define ORC_LDT_ENTRIES 24u
struct orc_desc {
	uint32_t base, limit; /* limit as in the descriptor */
	uint32_t attr;	      /* as in struct x86_seg */
};
extern const struct orc_desc orc_ldt[ORC_LDT_ENTRIES];
#define ORC_LDT_SEL(n) ((uint16_t)((n) << 3 | 7))
/* What is in the register after a successful load of one of the user segments; false: no such. */
bool orc_segment(uint16_t sel, struct x86_seg *s);
bool orc_ldt_install(void); /* native */
#define ORC_GDT_CPU 0x7b
struct orc_desc orc_gdt_of_cpu(void); /* base 0; zeroes where there is none */

/* --- gen.c --- */
struct orc_gen {
	struct orc_case *c;
	struct rng r;
	struct x86_insn i;
	struct orc_row *row;	  /* NULL: an undefined opcode */
	unsigned disp_at, disp_n; /* of an address without registers */
	bool valid;		  /* the decoder knows it */
};
/* Makes case number index. False: this number gives none (*why names the exclusion, or NULL). */
bool orc_generate(struct orc_gen *g, struct orc_case *c, uint64_t seed, uint64_t index, const char **why);
void orc_decode(struct orc_gen *g);
bool orc_is_bit_scan(const struct orc_gen *g); /* BSF, BSR */
unsigned orc_code_size(unsigned mode);

/* --- place.c --- */
void orc_place_segments(struct orc_gen *g);
bool orc_place(struct orc_gen *g);
bool orc_locks_bus(const struct orc_gen *g); /* a locked access across a cache line */
void orc_place_fx(struct orc_gen *g);
uint32_t orc_target(struct rng *r);
uint64_t orc_operand(const struct orc_gen *g); /* linear address of the memory operand; wider than it may be */
uint64_t orc_seg_base(const struct orc_case *c, unsigned seg);

/* --- exclude.c --- */
const char *orc_excluded(const struct orc_gen *g);

/* --- native.c --- */
/* Starts the child. NULL: it runs; else why it cannot (to be skipped). */
const char *orc_native_start(struct orc_shared *sh);
void orc_native_go(void); /* the cases of the shared batch; orc_native_wait() ends it */
/* False: the child is gone or hung at sh->progress; it has been started again. */
bool orc_native_wait(void);
void orc_native_stop(void);

/* --- ours.c --- */
void orc_ours_setup(void);
void orc_ours_run(const struct orc_gen *g, const uint8_t *base, struct orc_result *out);
const uint8_t *orc_ours_memory(void);  /* the data pages after the last run */
const char *orc_ours_stopped(void);    /* why the last run did, if ORC_STOPPED */
bool orc_ours_break(const char *what); /* "add:of", "add:stop": breaks a handler; false: no such */

/* --- blocks.c --- */
bool orc_blocks_setup(void);
/* Like orc_ours_run(), whose result it has to be. False: an exit of the virtual machine came first, out is the state.
 */
bool orc_blocks_run(const struct orc_case *c, const uint8_t *base, struct orc_result *out, uint32_t *reason);
/* The contract has this exit for this instruction, and out is as the case begins. */
bool orc_exit_is_right(const struct orc_gen *g, const uint8_t *base, const struct orc_result *out, uint32_t reason);
void orc_blocks_break(void); /* forgets to drop blocks whose code has changed */

/* --- compare.c --- */
#define ORC_D_GPR(n) (1ull << (n))
#define ORC_D_RIP (1ull << 16)
#define ORC_D_VECTOR (1ull << 17)
#define ORC_D_ERROR (1ull << 18)
#define ORC_D_CR2 (1ull << 19)
#define ORC_D_MEM (1ull << 20)
#define ORC_D_SEL(n) (1ull << (21 + (n)))
#define ORC_D_FSBASE (1ull << 27)
#define ORC_D_GSBASE (1ull << 28)
#define ORC_D_FLAG(bit) ((uint64_t)(bit) << 32) /* FLAG_*, below bit 22 */
#define ORC_D_FCW (1ull << 54)
#define ORC_D_FSW (1ull << 55)
#define ORC_D_FTW (1ull << 56)
#define ORC_D_FPTR (1ull << 57) /* opcode, instruction and data pointer */
#define ORC_D_ST (1ull << 58)
#define ORC_D_XMM (1ull << 59)
#define ORC_D_MXCSR (1ull << 60)
#define ORC_D_STATUS (1ull << 61)
/* Bits of a general register of the result r that are not compared. */
uint64_t orc_answer_mask(const struct orc_gen *g, const struct orc_result *r, unsigned reg);
uint64_t orc_compare(const struct orc_gen *g, const struct orc_result *ours);
/* The rest of diff that no rule explains. Counts the rules that were used. */
uint64_t orc_explain(const struct orc_gen *g, const struct orc_result *ours, uint64_t diff);
void orc_explained_report(FILE *f);
void orc_print_diff(FILE *f, uint64_t diff);
/* brief: one line. */
void orc_print_case(FILE *f, const struct orc_gen *g, const struct orc_result *ours, uint64_t diff, bool brief);
size_t orc_explained_size(void); /* the counters, for sharing */
extern uint64_t *orc_explained_count;

#endif
