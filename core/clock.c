/*
 * Guest time. On virtual time the guest's own instructions are the clock: the same run gives the same times on every
 * machine, and the VMM's work takes none. A halted guest retires nothing, so HLT jumps to the next timer.
 */
#include "core/clock.h"

#include "core/lib.h"

#define IDLE_SLICE_NS 20000000u /* host time: look for a stop request at least this often */

void clock_init(struct clock *c, const struct host_ops *host, enum clock_kind kind)
{
	memset(c, 0, sizeof(*c));
	c->host = host;
	c->kind = kind;
	c->next_ns = CLOCK_NEVER;
	if (kind == CLOCK_HOST)
		c->start_ns = host->now_ns();
}

uint64_t clock_now_ns(const struct clock *c)
{
	if (UNLIKELY(c->told))
		return c->told_ns;
	if (c->kind == CLOCK_VIRTUAL)
		return c->insns * CLOCK_NS_PER_INSN + c->skipped_ns;
	return c->host->now_ns() - c->start_ns;
}

uint64_t clock_tsc(const struct clock *c)
{
	return clock_now_ns(c) * CLOCK_TSC_PER_NS;
}

enum err clock_add_timer(struct clock *c, void (*fire)(void *, uint64_t), void *arg, unsigned *handle)
{
	if (c->n_timers == CLOCK_TIMERS_MAX)
		return ERR_NOMEM;
	*handle = c->n_timers++;
	c->timers[*handle] = (struct clock_timer){CLOCK_NEVER, fire, arg};
	return ERR_OK;
}

/* The earliest timer, the lowest handle first; NULL when none is armed. */
static struct clock_timer *earliest(struct clock *c)
{
	struct clock_timer *first = NULL;

	for (unsigned i = 0; i < c->n_timers; i++)
		if (c->timers[i].deadline_ns != CLOCK_NEVER &&
		    (!first || c->timers[i].deadline_ns < first->deadline_ns))
			first = &c->timers[i];
	return first;
}

static void cache_next(struct clock *c)
{
	const struct clock_timer *t = earliest(c);

	c->next_ns = t ? t->deadline_ns : CLOCK_NEVER;
}

void clock_arm(struct clock *c, unsigned handle, uint64_t deadline_ns)
{
	if (handle >= c->n_timers)
		return;
	c->timers[handle].deadline_ns = deadline_ns;
	cache_next(c);
}

uint64_t clock_next_deadline(const struct clock *c)
{
	return c->next_ns;
}

/* One look at the clock, since on host time it goes on while the devices work; and a bound, so that this comes to an
 * end whatever they arm meanwhile. */
void clock_run_due(struct clock *c)
{
	struct clock_timer *t;
	uint64_t now;

	if (LIKELY(c->next_ns == CLOCK_NEVER))
		return;
	now = clock_now_ns(c);
	for (unsigned n = 0; n < CLOCK_FIRES_MAX && c->next_ns <= now && (t = earliest(c)) != NULL; n++) {
		uint64_t deadline = t->deadline_ns;

		t->deadline_ns = CLOCK_NEVER;
		cache_next(c);
		t->fire(t->arg, deadline);
	}
}

uint64_t clock_insns_until_deadline(const struct clock *c)
{
	if (c->next_ns == CLOCK_NEVER)
		return UINT64_MAX;
	uint64_t now = clock_now_ns(c);
	if (c->next_ns <= now)
		return 0;
	uint64_t ns = c->next_ns - now;
	return ns / CLOCK_NS_PER_INSN + (ns % CLOCK_NS_PER_INSN != 0);
}

bool clock_wait(struct clock *c)
{
	if (c->next_ns == CLOCK_NEVER)
		return false;
	uint64_t now = clock_now_ns(c);
	if (c->next_ns <= now)
		return true;
	uint64_t ns = c->next_ns - now;
	if (c->kind == CLOCK_VIRTUAL)
		c->skipped_ns += ns;
	else
		c->host->idle_until(c->start_ns + now + (ns < IDLE_SLICE_NS ? ns : IDLE_SLICE_NS));
	return true;
}
