/*
 * The charts of the statistics view: each draws a copy of numbers into a rectangle.
 */
#ifndef VMSCOPE_TUI_STATS_PANELS_H
#define VMSCOPE_TUI_STATS_PANELS_H

#include "tui/screen.h"
#include "tui/stats_log.h"

/* A histogram's steps in one row, from the smallest value on (struct hist keeps them in blocks). */
#define HIST_FLAT (HIST_SLOTS + (HIST_BLOCKS - 1) * (HIST_SLOTS / 2))
struct hist_copy {
	uint64_t slots[HIST_FLAT];
	uint64_t n;
};
void hist_copy_of(struct hist_copy *out, const struct hist *h); /* h may be NULL */
/* The smallest value of step i; that of HIST_FLAT is UINT64_MAX. */
uint64_t hist_step_low(unsigned i);

#define HIST_BINS_MAX 64u
/* Steps that are shown as one, so that all fit. */
struct hist_bin {
	uint64_t low, high; /* high: the smallest value of the next one */
	uint64_t count;
};
/* At most max bins from the first to the last value; returns how many. *per: steps in one bin (a power of two). */
unsigned hist_bins(const struct hist_copy *h, unsigned max, struct hist_bin *out, unsigned *per);
void panel_histogram(struct screen *s, const struct rect *r, const struct hist_copy *h, const char *name,
    const char *source, bool focus);

struct timeline {
	uint64_t from, to; /* what is shown; to is exclusive */
	uint32_t reason;   /* of the second line; UINT32_MAX: none */
	uint8_t isa;
	char name[64];
};
void panel_timeline(struct screen *s, const struct rect *r, struct stats_log *l, const struct timeline *t, bool focus);

/* level, index: the node of the cursor; root: what fills the width. */
struct place_at {
	unsigned level;
	uint32_t index;
};
void panel_places(struct screen *s, const struct rect *r, const struct places *p, struct place_at root,
    struct place_at cursor, bool focus);
/* The node that panel_places() draws at this place of the screen; false: none. */
bool panel_places_at(
    const struct rect *r, const struct places *p, struct place_at root, int x, int y, struct place_at *out);

#endif
