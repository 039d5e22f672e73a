/* What the two halves of the engine share: engine.c has the thread, engine_guests.c the guests. */
#ifndef VMSCOPE_TUI_ENGINE_IMPL_H
#define VMSCOPE_TUI_ENGINE_IMPL_H

#include <pthread.h>
#include <time.h>

#include "tui/engine.h"

struct slot {
	struct view_model *model;
	struct engine *engine;
	unsigned index;
	struct engine_guest guest;
	struct control *control;
	bool paused, dead;
	uint64_t cpu_ns;
	uint64_t rate_ns, rate_exits; /* the last look at its rate */
	double exits_per_s;
};

struct engine {
	struct engine_source src;
	bool threaded, open;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int fd;
	struct slot slots[ENGINE_VMS_MAX];
	unsigned n, current;
	/* lock */
	enum engine_verb verb;
	uint64_t arg;
	bool busy, news;
	volatile bool pause, quit; /* written by anyone, looked at between slices */
	bool standing;		   /* no guest runs */
	bool settling;		   /* what was asked for is over, and the verdicts are being made */
	volatile unsigned holds;
	enum err err;
	struct errmsg why;
	uint64_t slow_due_ns; /* ENGINE_SLOW: host time of its next step; the engine's thread */
};

static inline uint64_t engine_clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct slot *engine_current(struct engine *e)
{
	return &e->slots[e->current];
}

static inline bool engine_slot_ended(const struct slot *s)
{
	return s->guest.session->ops->end(s->guest.session) != NULL;
}

/* Does it get a turn? */
static inline bool engine_slot_runs(const struct slot *s)
{
	return !s->paused && !s->dead && !engine_slot_ended(s);
}

/* The guests of the source, each with its run control. */
enum err engine_open_guests(struct engine *e, struct errmsg *why) MUST_CHECK;
void engine_close_guests(struct engine *e);
/* The model learns where its guest is; the guest stands still. */
void engine_tell_position(struct slot *s);
void engine_tell_stopped(struct engine *e, struct slot *s);
void engine_tell_all(struct engine *e);
void engine_slot_failed(struct slot *s); /* it cannot run any more, and says so */

#endif
