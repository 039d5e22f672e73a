/*
 * Statistics over exits, as users of "perf kvm stat" know them: one row a reason (or a place, a vCPU, a guest) with
 * samples, share of samples and of time, minimum, maximum, mean and its error, and percentiles.
 *
 * Totals count every hardware exit once. Rows of user-space exits and of the VMM's own codes are "child" rows: shown by
 * reason, never added. Not thread-safe: one owner at a time.
 */
#ifndef VMSCOPE_TRACER_STATS_H
#define VMSCOPE_TRACER_STATS_H

#include <stdio.h>

#include "core/err.h"
#include "tracer/row.h"

enum stats_by { STATS_BY_REASON, STATS_BY_RIP, STATS_BY_VCPU, STATS_BY_GUEST };

/*
 * Histogram in the manner of HDR: exact below 64, then 32 steps an octave. A percentile is off by at most 1/64 of its
 * value (1.6 %), and never outside minimum and maximum. An octave costs memory only when it is used.
 */
#define HIST_SUB_BITS 5
#define HIST_SLOTS (2u << HIST_SUB_BITS)
#define HIST_BLOCKS (64 - HIST_SUB_BITS)
struct hist {
	uint64_t n;
	uint64_t *blocks[HIST_BLOCKS];
};
#define HIST_ERROR_INV 64 /* the error bound is 1 / this */

enum err hist_add(struct hist *h, uint64_t v);
/* Nearest rank: the smallest value that at least percent % of all are not above; 0 when empty. percent: 1 .. 100. */
uint64_t hist_percentile(const struct hist *h, unsigned percent);
void hist_free(struct hist *h);

struct stats_row {
	uint64_t key;	  /* rip, vCPU or reason, by the grouping */
	char name[48];	  /* as it is shown */
	uint32_t reason;  /* grouping by reason only */
	uint8_t isa;	  /* the same */
	uint8_t observed; /* bits: 1 << enum exit_observed */
	bool child;
	uint64_t samples;
	uint64_t timed;	   /* of them, with a known cost */
	uint64_t modelled; /* of them, with a modelled one */
	uint64_t sum_ns, min_ns, max_ns;
	double mean, m2;	       /* Welford */
	uint64_t direct_n, direct_sum; /* instructions between exits, where they are counted */
	struct hist hist;
};

struct exit_stats {
	enum stats_by by;
	struct stats_row *rows;
	size_t n_rows, cap_rows;
	uint32_t *index; /* hash of keys into rows */
	size_t n_index;
	uint64_t total, total_ns, timed, modelled; /* hardware exits only */
	uint64_t lost;				   /* events dropped before they could be counted */
	bool lost_unknown;			   /* and some more, of unknown number */
	uint64_t emulated;			   /* instructions that the host's kernel emulated (kvm_emulate_insn) */
	uint64_t uncertain_cpuid; /* CPUID exits that may be look-ups of the kernel's emulator for itself */
	bool nomem;		  /* some exits could not be counted */
};

struct exit_stats *stats_new(enum stats_by by);
void stats_free(struct exit_stats *s);
void stats_add(struct exit_stats *s, const struct exit_row *r);
/* Somebody closer to the hardware has counted the exits of this reason: what was counted so far becomes a child row. */
void stats_demote(struct exit_stats *s, uint32_t reason);
/* The reverse, for all hardware reasons: nobody else has counted the exits that the VMM's process saw. */
void stats_promote(struct exit_stats *s);
/* Sorts the rows: most samples first, child rows last. Rows may be added afterwards. */
void stats_sort(struct exit_stats *s);

double stats_stddev(const struct stats_row *r);	   /* of the samples, ns */
double stats_rel_error(const struct stats_row *r); /* perf's "+-": error of the mean, percent of the mean */
double stats_share(const struct exit_stats *s, const struct stats_row *r);	/* of the samples, 0..1 */
double stats_time_share(const struct exit_stats *s, const struct stats_row *r); /* of the time, 0..1 */
/* "vmm", "kernel", "vmm, kernel". */
const char *stats_observed(const struct stats_row *r, char *buf, size_t n);
/* "modelled", "measured", "modelled and measured", "unknown". */
const char *stats_cost_source(uint64_t timed, uint64_t modelled);

/* The table. Rows should be sorted. Where it does not fit into so many columns (0: any number), it is a narrow one,
 * which says what it leaves out. */
void stats_print(const struct exit_stats *s, FILE *f, unsigned columns);

/* {total, lost, by_reason: [...], ...}: "exits" of the JSON contract (by_rip, by_vcpu, by_guest by the grouping). NULL
 * when out of memory. A new reference. */
struct json_t *stats_json(const struct exit_stats *s);

#endif
