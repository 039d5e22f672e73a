/*
 * Rows of statistics for the screen: a copy of struct exit_stats that needs no lock, with the columns that views show
 * of it (the table of "perf kvm stat", with percentiles). Used by the scope and the statistics view.
 */
#ifndef VMSCOPE_TUI_STATS_ROWS_H
#define VMSCOPE_TUI_STATS_ROWS_H

#include <jansson.h>

#include "tracer/symbols.h"
#include "tracer/view_model.h"
#include "tui/table.h"

/* STATS_BY_REASON .. are those of the tracer, over all exits; by port: over the exits of the log. */
enum rows_by { ROWS_BY_REASON, ROWS_BY_RIP, ROWS_BY_VCPU, ROWS_BY_PORT, ROWS_BY_COUNT };
const char *rows_by_name(enum rows_by by); /* "reason", "rip", "vcpu", "port" */

struct stats_line {
	uint64_t key;	/* as in struct stats_row; by port: ROWS_PORT_KEY */
	char name[96];	/* with the symbol, or the port's device */
	char where[96]; /* by RIP: source file and line; "" */
	uint32_t reason;
	uint8_t isa, observed;
	bool child;
	uint64_t samples, timed, modelled, sum_ns, min_ns, max_ns, p5_ns, p50_ns, p95_ns;
	double share, time_share, mean_ns, stddev_ns, rel_error;
	double insns_before; /* mean; negative: not counted */
	double rate;	     /* per second, as in view_now; by reason only, otherwise negative */
	uint32_t spark[VIEW_SPARK];
};
#define ROWS_PORT_KEY(port, in) ((uint64_t)(port) << 1 | ((in) ? 1 : 0))

#define STATS_ROWS_MAX 1024
struct stats_rows {
	enum rows_by by;
	struct stats_line *lines; /* owned */
	size_t n, cap;
	size_t left_out; /* more than STATS_ROWS_MAX: the rest, those that come last in the order of the table */
	uint64_t total, total_ns, lost, timed, modelled;
	bool lost_unknown;
	bool rates; /* the first number column is the rate */
	struct table table;
};

void stats_rows_init(struct stats_rows *r, enum rows_by by);
void stats_rows_fini(struct stats_rows *r);
/* From statistics (the model's, locked, or the caller's own): rates and sparklines are asked of m, which may be NULL.
 * The rows come in the table's order. */
void stats_rows_collect(
    struct stats_rows *r, const struct exit_stats *s, struct view_model *m, const struct symbols *syms);
/* An array with every number of every row. A new reference. */
json_t *stats_rows_json(const struct stats_rows *r);
/* What a port belongs to on a PC: "COM1"; "" when unknown. */
const char *port_device(unsigned port);
/* A JSON string of bytes that may be no UTF-8: those become '?'. */
json_t *text_json(const char *text);

#endif
