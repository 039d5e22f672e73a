/*
 * A comparison: the runs of all backends, and what was held against what. Filled by compare.c, printed by
 * compare_print.c.
 */
#ifndef VMSCOPE_CLI_COMPARE_H
#define VMSCOPE_CLI_COMPARE_H

#include "cli/result.h"
#include "tracer/sequence.h"

#define COMPARE_MAX 6

struct equivalence_row {
	size_t subject; /* index of the run that was held against the reference */
	struct pg_verdict verdict;
	uint64_t exits_compared;
	char first_divergence[200]; /* empty: none */
	const char *exempt[EXEMPT_COUNT + 1];
	size_t n_exempt;
	char detail[2800]; /* at a divergence: the instruction and both register files, in lines */
};

struct comparison {
	const struct run_options *o;
	const struct mode_ops *const *backends;
	size_t n, reference;
	struct run_result runs[COMPARE_MAX];
	struct sequence sequence; /* of the reference */
	struct equivalence_row rows[COMPARE_MAX];
	size_t n_rows;
};

/* Runs the guest of o in every backend and holds them against the reference; *c is zeroed. False: it did not run even
 * there, and that result says why. Either way compare_free(). */
bool compare_runs(const struct run_options *o, struct comparison *c);
void compare_free(struct comparison *c);
/* A verdict that holds becomes violated when the two consoles differ. */
void compare_consoles(
    const struct run_result *reference, const struct run_result *subject, struct equivalence_row *row);
/* The host's KVM gave up on the guest, and what it had printed until then is equal. */
bool console_cut(const struct run_result *reference, const struct run_result *r);
/* A limit, a timeout or the user ended it before the guest did. */
bool run_was_cut(const struct run_result *r);
/* The table, at most 80 columns wide, then the evidence. */
void compare_print(const struct comparison *c, FILE *f);

#endif
