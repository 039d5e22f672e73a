/*
 * Statistics that need the exits themselves, and so rest on the log, which holds only the newest ones: by port, over
 * guest time, and by place (symbol, instruction, reason). Made in one pass over the log.
 */
#ifndef VMSCOPE_TUI_STATS_LOG_H
#define VMSCOPE_TUI_STATS_LOG_H

#include <jansson.h>

#include "tracer/symbols.h"
#include "tracer/view_model.h"

/* Where exits come from, as levels: all, symbol (or page), instruction, reason. The children of a node are neighbours
 * in the next level, most exits first. */
enum { PLACES_ALL, PLACES_SYMBOL, PLACES_RIP, PLACES_REASON, PLACES_LEVELS };
struct place {
	char label[64];
	uint64_t count, rip;
	uint32_t reason;
	uint8_t isa;
	bool has_rip;
	uint32_t first, n; /* its children in the next level */
	uint32_t parent;
};
struct places {
	struct place *at[PLACES_LEVELS]; /* owned */
	size_t n[PLACES_LEVELS];
	uint64_t left_out; /* exits at more places than are kept */
};

struct log_time {
	uint64_t ts;
	uint32_t reason;
	uint8_t isa;
};

struct stats_log {
	bool made, nomem;
	uint64_t first, end, made_ns; /* log positions; host time */
	uint64_t counted;	      /* hardware exits in it */
	uint64_t run_exits;	      /* of the whole run, then */
	struct exit_stats *ports;     /* keys are ROWS_PORT_KEY; owned */
	struct log_time *times;	      /* in the order of the log; owned */
	size_t n_times, cap_times;
	uint64_t from_ns, to_ns; /* guest time of the first and the last */
	struct places places;
};

/* Looks at the log again when it has changed; while the guest runs (and lazy), at most once a second. False: nothing
 * new. */
bool stats_log_collect(struct stats_log *l, struct view_model *m, const struct symbols *syms, bool lazy);
void stats_log_fini(struct stats_log *l);
/* Counts exits of [from, to) in n buckets of equal length; reason: UINT32_MAX for all. */
void stats_log_buckets(
    const struct stats_log *l, uint64_t from, uint64_t to, uint32_t reason, uint8_t isa, uint32_t *out, int n);
/* tui/stats_places.c */
bool places_build(struct places *p, struct view_model *m, uint64_t first, uint64_t end, const struct symbols *syms);
void places_free(struct places *p);
json_t *places_json(const struct places *p);

#endif
