/*
 * The sequence of exits as data: reason and values, in order, without time or rip. A behaviour model has no rip and no
 * memory, so this is what it is compared by [docs/exit-contract.md, "What is compared"]; any two backends under the
 * same profile can be compared by it too. A recorder is a probe; it belongs to one VM's thread.
 */
#ifndef VMSCOPE_TRACER_SEQUENCE_H
#define VMSCOPE_TRACER_SEQUENCE_H

#include "core/probe.h"
#include "tracer/verdict.h"

/* One exit. value[] is what the reason makes of it: see sequence_values(). */
struct sequence_item {
	uint32_t reason;
	uint32_t n;
	uint64_t value[4];
};

struct sequence {
	struct sequence_item *items; /* owned */
	size_t n, room;
	uint64_t dropped; /* exits that did not fit any more: memory was short, or SEQUENCE_MAX was reached */
};

#define SEQUENCE_MAX (8u << 20)

extern const struct probe_ops sequence_probe; /* arg is a struct sequence, zeroed before use */
void sequence_free(struct sequence *s);

/* The compared values of an exit whose effect is done; returns how many (at most 4). */
unsigned sequence_values(const struct vm_exit *e, uint64_t v[4]);

/* Where two sequences differ first; both lengths when they are equal (NULL items are the end of the shorter one). */
struct sequence_diff {
	uint64_t compared; /* exits that are equal */
	bool differ;
	const struct sequence_item *reference, *subject;
};
/*
 * Timer slices and windows (reasons 1, 7, 8, 43, 52) are not predicted: they are left out on both sides and counted as
 * exemptions.
 */
struct sequence_diff sequence_compare(
    const struct sequence *reference, const struct sequence *subject, uint64_t *exempt);
/* "IO_INSTRUCTION port 0x3f8 size 1 out value 0x41" */
void sequence_describe(const struct sequence_item *item, char *buf, size_t n);
void sequence_verdict(const struct sequence *reference, const struct sequence *subject, struct pg_verdict *out,
    struct sequence_diff *diff);

#endif
