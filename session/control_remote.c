/*
 * A guest on another machine: it runs there until it is stopped, and what it did arrives as exits. Where every exit may
 * be the one that is waited for it goes exit by exit; else it runs freely, and a thread stops it in time.
 */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "session/control_impl.h"

#define NS_PER_S 1000000000ull

/* Stops the guest at a point of host time, unless it is called off before. */
struct alarm {
	struct control *c;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t at_ns;
	bool off, rang;
};

static void *wait_and_ring(void *arg)
{
	struct alarm *a = arg;
	const struct timespec t = {.tv_sec = (time_t)(a->at_ns / NS_PER_S), .tv_nsec = (long)(a->at_ns % NS_PER_S)};
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	while (!a->off && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&a->cond, &a->lock, &t);
	if (!a->off) {
		a->rang = true;
		a->c->s->ops->stop(a->c->s);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static enum err alarm_start(struct alarm *a, struct control *c, uint64_t at_ns)
{
	pthread_condattr_t attr;

	*a = (struct alarm){.c = c, .at_ns = at_ns};
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, &attr);
	pthread_condattr_destroy(&attr);
	return pthread_create(&a->thread, NULL, wait_and_ring, a) ? ERR_NOMEM : ERR_OK;
}

static void alarm_end(struct alarm *a)
{
	pthread_mutex_lock(&a->lock);
	a->off = true;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->cond);
	pthread_mutex_destroy(&a->lock);
	/* It rang when the guest stood still already: that stop is nobody's. */
	if (a->rang && a->c->vm->stop == END_STOPPED)
		a->c->vm->stop = 0;
}

static bool exit_by_exit(const struct control *c)
{
	return c->exit_breaks || c->goal.exits != NO_GOAL || c->goal.reason != NO_GOAL;
}

enum err remote_go(struct control *c)
{
	struct alarm a;
	bool timed = c->goal.until_ns != CLOCK_NEVER;
	enum err e = timed ? alarm_start(&a, c, c->goal.until_ns) : ERR_OK;

	if (e != ERR_OK)
		return e;
	do {
		e = exit_by_exit(c) ? c->s->ops->step_exit(c->s) : c->s->ops->run(c->s);
	} while (e == ERR_OK && !control_settle(c));
	if (timed)
		alarm_end(&a);
	return e;
}
