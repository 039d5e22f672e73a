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

/* Counts that were asked for: a screen asks for the same again and again. */
#define LOG_BUCKETS_MAX 512
struct log_buckets {
	uint64_t from, to;
	uint32_t reason;
	uint8_t isa;
	int n; /* 0: nothing kept */
	uint32_t counts[LOG_BUCKETS_MAX];
};

struct stats_log {
	bool made, nomem;
	uint64_t first, end;	   /* log positions */
	uint64_t made_ns, cost_ns; /* host time: when it was made, and how long that (and what follows from it) took */
	uint64_t counted;	   /* hardware exits in it */
	uint64_t run_exits;	   /* of the whole run, then */
	struct exit_stats *ports;  /* keys are ROWS_PORT_KEY; owned */
	struct log_time *times;	   /* in the order of the log; owned */
	size_t n_times, cap_times;
	uint64_t from_ns, to_ns; /* guest time of the first and the last */
	struct places places;
	struct log_buckets kept[2]; /* of all exits, and of one reason */
};

/* Looks at the log again when it has changed; lazy, while the guest runs: so seldom that it stands still for at most 2
 * % of the time. False: nothing new. */
bool stats_log_collect(struct stats_log *l, struct view_model *m, const struct symbols *syms, bool lazy);
void stats_log_fini(struct stats_log *l);
uint64_t stats_host_ns(void);
/* Counts exits of [from, to) in n <= LOG_BUCKETS_MAX buckets of equal length; reason: UINT32_MAX for all. The counts
 * stay valid until the next call for one reason, or for all. */
const uint32_t *stats_log_buckets(struct stats_log *l, uint64_t from, uint64_t to, uint32_t reason, uint8_t isa, int n);
/* tui/stats_places.c */
bool places_build(struct places *p, struct view_model *m, uint64_t first, uint64_t end, const struct symbols *syms);
void places_free(struct places *p);
json_t *places_json(const struct places *p);

#endif
