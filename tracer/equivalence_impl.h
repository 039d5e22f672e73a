/*
 * Private to tracer/equivalence*.c: the state of one comparison.
 */
#ifndef VMSCOPE_TRACER_EQUIVALENCE_IMPL_H
#define VMSCOPE_TRACER_EQUIVALENCE_IMPL_H

#include "tracer/equivalence.h"

#define INJECTIONS_MAX 8
#define ROOTS_MAX 256

/* An interrupt that the subject took, and its registers right before it. */
struct injection {
	struct x86_event event;
	uint64_t gpr[16], rip, rflags;
};

struct slot_image {
	uint8_t *read, *write;
	uint64_t len;
};

struct equivalence {
	struct vm *subject, *reference;
	struct vcpu *s, *r;
	const struct equivalence_options *opt;
	struct equivalence_report *out;
	uint64_t index; /* of the exit or instruction under comparison */
	/* what the subject did since the last comparison */
	struct injection injections[INJECTIONS_MAX];
	unsigned n_injections;
	bool subject_reset, lost_injection;
	bool rep_tail; /* the subject stands at a REP whose count is used up; the reference behind it */
	bool aligned;  /* both stand behind the same exit or instruction */
	/* feeding */
	const struct vm_exit *feed; /* the exit that the reference is to meet */
	bool fed, unfed_access, wrong_write;
	struct device feed_device;
	struct device_ops feed_ops;
	exit_handler handlers[EXIT_SDM_COUNT];
	struct x86_env env;
	/* instructions of the reference */
	uint32_t undefined; /* status flags that are undefined at this point */
	uint64_t last_rip;  /* instruction mode: where the step began */
	bool last_rep, last_unfed;
	/* memory */
	struct slot_image subject_slots[MEM_SLOTS_MAX], reference_slots[MEM_SLOTS_MAX];
	unsigned n_slots;
	uint64_t slots_generation;
	struct {
		uint64_t cr3, cr0, cr4, efer;
	} roots[ROOTS_MAX]; /* page tables that were in use */
	unsigned n_roots, next_root;
};

/* equivalence_feed.c: makes the reference a listener. */
enum err feed_init(struct equivalence *q, struct errmsg *why);
void feed_mirror_slots(struct equivalence *q);
void feed_resync(struct equivalence *q); /* after a reset */

/* equivalence_compare.c: each returns true when equal; otherwise the divergence is filled. */
bool compare_exit(struct equivalence *q, const struct vm_exit *s, const struct vm_exit *r);
bool compare_registers(struct equivalence *q, const struct vm_exit *s, uint64_t rip);
/* Undefined status flags of the reference become what the subject has: guests save flags to memory. */
void adopt_undefined_flags(struct equivalence *q, uint64_t rflags);
bool compare_memory(struct equivalence *q);
bool registers_equal(const struct equivalence *q, const struct x86_state *a, const struct x86_state *b);
void diverge(struct equivalence *q, const char *field, uint64_t rip);
void note_root(struct equivalence *q, const struct x86_state *s);

/* flags_defined.c */
/* Status flags that are undefined after i, given those that were before it. */
uint32_t flags_undefined_after(const struct x86_insn *i, uint32_t before);

#endif
