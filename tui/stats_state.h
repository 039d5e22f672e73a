/*
 * What the statistics view (tui/view_stats.c) copies of the model.
 */
#ifndef VMSCOPE_TUI_STATS_STATE_H
#define VMSCOPE_TUI_STATS_STATE_H

#include "tui/stats_panels.h"
#include "tui/stats_rows.h"

enum stats_pane { PANE_TABLE, PANE_COST, PANE_TIME, PANE_PLACES, PANE_COUNT };

struct stats_state {
	struct view_info info;
	struct view_now now;
	enum rows_by by;
	struct stats_rows rows[ROWS_BY_COUNT];
	struct stats_log log;
	struct hist_copy hist; /* cost of the selected row */
	struct stats_line row; /* the selected row */
	bool has_row;
	/* Rows that rest on the log are made again when it or the order has changed. */
	bool made[ROWS_BY_COUNT];
	struct stats_order {
		unsigned sort, invert;
	} order[ROWS_BY_COUNT];
	enum rows_by hist_by; /* what `hist` is of */
	uint64_t hist_key;
	enum stats_pane focus, panel;  /* panel: the chart that is shown where there is room for one */
	struct rect panes[PANE_COUNT]; /* where each was drawn last; h 0: it was not */
	/* What of the log's time is shown: centre and share of it; zoom 1 is all. */
	double zoom, centre;
	struct place_at root, cursor;
};

/* tui/stats_select.c: the newest exit, as far as the run has come, of the selected row or place; false: the log holds
 * none. The model is locked. */
bool stats_newest(struct stats_state *st, struct view_model *m, uint64_t *number);
/* Cursor and root of the places after a key; dx: to a sister, dy: to a child (1) or the parent (-1). */
void stats_place_move(struct stats_state *st, int dx, int dy);
void stats_place_zoom(struct stats_state *st, bool in);
/* After the tree has changed: the cursor stays at what has the same name. */
void stats_place_keep(struct stats_state *st, const struct places *before);
/* The stretch of time that is shown. */
struct timeline stats_timeline(const struct stats_state *st);
json_t *stats_view_json(struct stats_state *st, struct view_model *m, const struct symbols *syms);

#endif
