/*
 * One backend beside the main run: an engine of its own, and what was read of it. It goes as far as the main run has
 * gone. It has a thread of its own; where the application has none, it is waited for.
 */
#ifndef VMSCOPE_TUI_MODES_COLUMN_H
#define VMSCOPE_TUI_MODES_COLUMN_H

#include "tui/app.h"
#include "tui/modes_align.h"

/* What one call may take when nothing runs in the background, and all of a "run all". */
#define COLUMN_HOST_NS 10000000000ull

struct modes_column {
	enum vmm_mode mode;
	enum vmm_type type;
	char label[24]; /* "simulate/I" */
	struct engine_source src;
	bool has_src;
	struct engine *e; /* NULL: why says why there is none */
	char why[320];
	char engine[24];
	bool host_time;
	bool to_end;	   /* run all */
	uint64_t until_ns; /* host time at which run all is over */
	bool out_of_time;
	struct modes_track track;
	struct modes_pair pair; /* against the main run */
};

const char *modes_label(enum vmm_mode mode, unsigned type, char *buf, size_t n);
void column_init(struct modes_column *c, enum vmm_mode mode, enum vmm_type type);
/* Opens its engine; on failure c->why says why not. */
void column_open(struct app *a, struct modes_column *c);
void column_close(struct app *a, struct modes_column *c);
/* Reads what it did, lays it beside main, and sets it going if it is behind. */
void column_follow(struct app *a, struct modes_column *c, const struct modes_track *main);
/* Is there something under way that will bring news? */
bool column_works(const struct modes_column *c);
uint64_t modes_now_ns(void);
/* Up to n more exits, or what fits before the time is over (not threaded); ERR_BUSY while it runs. */
enum err column_step(struct app *a, struct modes_column *c, uint64_t n, struct errmsg *why);
void column_read(struct modes_column *c);

#endif
