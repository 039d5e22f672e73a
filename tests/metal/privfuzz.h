/*
 * Random state fuzzing of privileged instructions: one image, two processors. Each case is a random machine state that
 * VM entry accepts, with random descriptor tables, page tables and stack, and one instruction; the rest of the code is
 * filled with INT3, which exits. The case runs in VMX non-root operation on the processor (Bochs), and in core/x86
 * under the same controls; everything is compared: the exit, all registers, all memory that the guest has.
 *
 * Read first: privfuzz.c (the loop), then privfuzz_state.c and privfuzz_insn.c and privfuzz_transfer.c (what is
 * random), privfuzz_cmp.c, privfuzz_explain.h.
 */
#ifndef VMSCOPE_TESTS_METAL_PRIVFUZZ_H
#define VMSCOPE_TESTS_METAL_PRIVFUZZ_H

#include "core/lib.h"
#include "core/vm.h"

/* What the host asks for: the "bundle" of the boot disk. */
#define PF_MAGIC 0x5a55465652505356ull /* "VSPRVFUZ" */
struct pf_request {
	uint64_t magic, seed, first, count;
	uint64_t max_reports; /* differences told in full */
	uint64_t verbose;     /* 1: tell every case */
	char broken[16]; /* not empty: an instruction of which our CPU turns ZF over, to see whether it is noticed */
};

/* The guest's memory; linear and physical addresses are the same where paging maps them. Everything else is an EPT
 * violation. */
#define PF_BASE 0x10000u
#define PF_SIZE 0xc000u
#define PF_PML4 0x10000u
#define PF_PDPT 0x11000u
#define PF_PD 0x12000u
#define PF_PT 0x13000u
#define PF_GDT 0x14000u
#define PF_LDT 0x14400u
#define PF_TSS_A 0x14800u /* of the current task */
#define PF_TSS_B 0x14a00u
#define PF_TSS_C 0x14c00u /* 16-bit */
#define PF_IDT 0x15000u
#define PF_STACK 0x16000u
#define PF_DATA 0x17000u
#define PF_CODE 0x18000u
#define PF_CODE_END 0x1c000u
#define PF_CODE_FILL 0xccccccccccccccccull

#define PF_GDT_SLOTS 40u
#define PF_LDT_SLOTS 16u
#define PF_IDT_GATES 64u

/* Slots of the GDT. A system descriptor takes two of them in IA-32e mode, and always has two. */
enum pf_slot {
	PF_S_NULL,
	PF_S_CODE0,
	PF_S_DATA0,
	PF_S_CODE3,
	PF_S_DATA3,
	PF_S_OTHER3, /* code of the other size, DPL 3 */
	PF_S_OTHER0,
	PF_S_DATA16,
	PF_S_CONFORM0,
	PF_S_CODE1,
	PF_S_DATA1,
	PF_S_CODE2,
	PF_S_DATA2,
	PF_S_READ_ONLY,
	PF_S_EXEC_ONLY,
	PF_S_DOWN,
	PF_S_TSS_A,
	PF_S_TSS_B = 18,
	PF_S_TSS_C = 20,
	PF_S_LDT = 22,
	PF_S_GATE0 = 24, /* call gates */
	PF_S_GATE1 = 26,
	PF_S_TASK_GATE = 28,
	PF_S_TSS_BUSY = 30,
	PF_S_RANDOM = 32, /* to the end */
};

enum pf_mode { PF_REAL, PF_V86, PF_PROT16, PF_PROT32, PF_COMPAT16, PF_COMPAT32, PF_LONG64, PF_MODES };

struct pf_case {
	uint64_t index;
	uint64_t rng;
	enum pf_mode mode;
	unsigned cpl;
	unsigned size; /* of code: 2, 4, 8 */
	bool lma;
	uint8_t *area; /* PF_SIZE bytes: guest-physical PF_BASE, as the case begins; what runs works on a copy */
	struct x86_state s;
	uint32_t exceptions; /* that exit, as in the exception bitmap */
	uint64_t cr4_may;    /* bits that both processors have */
	uint64_t at;	     /* linear address of the instruction */
	uint8_t code[32];
	unsigned len;
	const char *what;
	unsigned sel;  /* the selector that r/m16 holds */
	unsigned kind; /* row of the table of instructions */
};

/* --- Randomness: splitmix64, one stream a case ------------------------------------------------------------------- */

static inline uint64_t pf_u64(struct pf_case *k)
{
	uint64_t z = (k->rng += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline unsigned pf_below(struct pf_case *k, unsigned n)
{
	return (unsigned)((pf_u64(k) >> 32) * n >> 32);
}

static inline bool pf_percent(struct pf_case *k, unsigned p)
{
	return pf_below(k, 100) < p;
}

/* Eight bytes a step: Bochs takes as long for one. n is a multiple of 8. */
static inline void pf_copy(void *to, const void *from, size_t n)
{
	n /= 8;
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static inline void pf_fill(void *to, uint64_t v, size_t n)
{
	n /= 8;
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(v) : "memory");
}

static inline bool pf_equal(const void *a, const void *b, size_t n)
{
	bool equal;

	n /= 8;
	__asm__ volatile("repe cmpsq" : "=@cce"(equal), "+D"(a), "+S"(b), "+c"(n) : : "memory");
	return equal;
}

static inline void pf_put(struct pf_case *k, uint64_t addr, unsigned n, uint64_t v)
{
	uint64_t at = addr - PF_BASE;

	if (at < PF_SIZE && at + n <= PF_SIZE)
		memcpy(k->area + at, &v, n);
}

/* privfuzz_state.c */
void pf_make_state(struct pf_case *k);
uint16_t pf_selector(struct pf_case *k); /* of any descriptor there is, RPL plausible */
uint16_t pf_selector_of(struct pf_case *k, const uint8_t *slots, unsigned n); /* of one of these; then perhaps spoilt */
void pf_spoil(struct pf_case *k, uint16_t sel);				      /* changes something in its descriptor */
uint64_t pf_code_target(struct pf_case *k, uint64_t base); /* an offset that lies in the INT3s, mostly */
uint64_t pf_stack_target(struct pf_case *k, uint64_t base);
uint64_t pf_defined_dr7(const struct pf_case *k, uint64_t dr7); /* without what the manual leaves undefined */
uint64_t pf_value(struct pf_case *k);
uint64_t pf_address(struct pf_case *k); /* linear, in some interesting place */

/* privfuzz_insn.c */
void pf_make_insn(struct pf_case *k);
size_t pf_kinds(void);
const char *pf_kind_name(size_t n);

/* What a case left behind, on one of the two. */
struct pf_result {
	struct x86_state s;
	struct vm_exit e;
	uint8_t *area;
};

/* privfuzz.c: the case once more in our CPU, with a state that a rule has changed; for rules. False: no end. */
bool pf_run_again(const struct pf_case *k, struct pf_result *r);

/* privfuzz_cmp.c: NULL: equal. Else what differs first; *explained is not 0 when the difference is known (then it is
 * one of pf_explanations()). What means nothing is cleared in both. */
const char *pf_compare(const struct pf_case *k, struct pf_result *ours, struct pf_result *theirs, int *explained);
void pf_normalise(const struct pf_case *k, struct pf_result *r); /* clears what is not compared */
const char *pf_first_difference(const struct pf_result *a, const struct pf_result *b);
const char *pf_reduce(const struct pf_case *k, struct pf_result *ours, struct pf_result *theirs, int *why);
const char *pf_state_differs(const struct x86_state *a, const struct x86_state *b); /* its name; NULL: equal */

/* privfuzz_explain.c */
unsigned pf_opcode_at(const struct pf_case *k); /* where in k->code, behind the prefixes */
/* What is known to differ in fields that the comparison would stop at: made equal. */
int pf_explain_away(const struct pf_case *k, struct pf_result *ours, struct pf_result *theirs);
/* The rule that explains the first difference; 0: none. Negative: b has been made equal in it, and more may differ. */
int pf_explain(const struct pf_case *k, const struct pf_result *a, struct pf_result *b);
size_t pf_explanations(void);
const char *pf_explanation(size_t n);
void pf_tell(const struct pf_case *k, const struct pf_result *ours, const struct pf_result *theirs, const char *what);
void pf_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
