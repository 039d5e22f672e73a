/* What the parts of the view model share. */
#ifndef VMSCOPE_TRACER_VIEW_IMPL_H
#define VMSCOPE_TRACER_VIEW_IMPL_H

#include <pthread.h>

#include "core/vm.h"
#include "tracer/view_model.h"

#define VIEW_LOG_DEFAULT (1u << 18)
#define VIEW_LOG_TRACE (1u << 20)
#define VIEW_CONSOLE_MAX (1u << 20) /* newest bytes kept: half of it at least */
#define VIEW_SPARKS 64		    /* buckets kept, a ring by time */
#define VIEW_BUCKET_MIN_NS 1000u
#define VIEW_BUCKET_MAX_NS 100000000u
#define VIEW_REASONS_MAX 128
#define VIEW_VCPUS_MAX 512

/* Counts by guest time of one reason. */
struct view_series {
	uint32_t reason;
	uint8_t isa;
	uint32_t count[VIEW_SPARKS]; /* by bucket number modulo VIEW_SPARKS */
};

/* The exit of a vCPU that is not over yet. */
struct view_open {
	uint64_t pos; /* in the log, plus 1; 0: none */
	uint64_t index;
	bool counted;
	uint64_t prev_insns;
};

/* What a guest on another machine has answered since it stands still. */
#define VIEW_BLOCK 512u
#define VIEW_BLOCKS 64u /* a block's place is its number modulo this */
struct view_block {
	bool valid;
	gpa_t gpa;
	uint8_t data[VIEW_BLOCK];
};
struct view_kept {
	bool state[VM_VCPUS_MAX]; /* view_model.state is what it is now */
	struct view_block blocks[VIEW_BLOCKS];
};

struct view_filter;

/* Where the run said that it is. */
struct view_told {
	bool fresh; /* nobody has looked since */
	uint64_t insns, exits, guest_ns, host_ns;
	uint64_t seen_insns, seen_exits; /* the farthest since then */
	char screen[25][81];
	bool has_screen;
};

struct view_model {
	pthread_mutex_t lock;
	unsigned depth; /* of it */
	/* What the run tells as it goes: it must not wait for who draws, or for the writer. Taken after lock. */
	pthread_mutex_t told_lock;
	struct view_told told;
	char *console;
	size_t n_console, shown_console; /* kept; of them, written before now */
	uint64_t lost_console;
	/* -- */

	struct view_config cfg;
	struct session *session; /* live */
	struct vm *vm;
	struct view_info info;
	struct vm_controls trace_profile; /* where info.profile points, for a trace */
	struct view_now now;
	struct view_verdicts verdicts;

	/* the log: a ring by position */
	struct view_exit *log;
	uint64_t cap, end; /* end: one past the newest position */
	uint64_t mask;	   /* cap - 1 when that is a power of two; 0 */
	uint64_t first;	   /* after a future was forgotten, and for what the ring has lost */
	uint64_t next_number;
	struct view_open *open; /* VIEW_VCPUS_MAX */
	bool host_time, knows_cost, has_rip;
	uint64_t start_ns; /* host time: the records' clock when guest time was 0 */

	struct exit_stats *by_reason;
	struct exit_stats *derived[2];		   /* by rip, by vCPU: made from the log when asked for */
	uint64_t derived_end[2], derived_first[2]; /* of the log then */

	uint64_t bucket_ns, last_bucket;
	struct view_series series[VIEW_REASONS_MAX], total;
	unsigned n_series;
	uint64_t bucket_insns[VIEW_SPARKS], bucket_ts[VIEW_SPARKS]; /* of the newest exit in it, or before it */
	uint64_t newest_ns;					    /* guest time up to which all is counted */

	/* rates of host time */
	uint64_t tick_ns, tick_insns, tick_exits;

	/* as it was when the run last told where it is */
	char screen[25][81];
	bool has_screen;

	struct x86_state before[VM_VCPUS_MAX], state[VM_VCPUS_MAX];
	bool has_before, has_state;
	struct view_kept kept;

	struct view_filter *filter;
};

/* view_log.c */
struct view_exit *view_slot(struct view_model *m, uint64_t pos);
/* Counts an exit that is over in statistics and series. */
void view_count(struct view_model *m, const struct view_exit *e);
/* Makes room for one more at the end and returns it, zeroed. */
struct view_exit *view_append(struct view_model *m);
/* Of a guest that has ended: exits that no entry followed. */
void view_count_open(struct view_model *m);
void view_rates(struct view_model *m);
/* view_guest.c: it goes on, so that what it answered may be wrong. */
void view_guest_moves(struct view_model *m);
/* view_filter.c */
void view_filter_free(struct view_filter *f);
bool view_filter_match(struct view_filter *f, const struct view_exit *e);

#endif
