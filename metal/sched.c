/*
 * Whose turn it is. One processor, several guests: each runs for a slice, in turn; a guest that is halted until a timer
 * gives its slice to the others. The preemption timer (AMD-V: a timer interrupt) brings the VMM back, whatever the
 * guest does. Between two slices the VMM does its housekeeping: records out, console out, commands in.
 */
#include "core/lib.h"
#include "metal/agent_impl.h"

#define SLICE_NS 10000000ull
/* Where the records go over the line: at 115200 baud a slice's own record takes 16 ms. The session wakes us up by one
 * byte and lets this time pass before it speaks (WIRE_WAKE_NS). */
#define LINE_SLICE_NS (WIRE_WAKE_NS * 4 / 5)
#define LINE_IDLE_NS 1000000ull
#define QUIET_LOOKS 2000u
#define REST_NS 50000000ull
/* The end of the records is told that often while guests run; when one stops or ends, at once. A line of 11 KB a second
 * is slow, and so is a disk that is asked for a part of a sector. */
#define FLUSH_NS 100000000ull

/* Records and commands share a line that nobody else looks after. */
static bool line_only(const struct agent *a)
{
	return a->session && !a->bulk_buf;
}

static uint64_t slice_ns(const struct agent *a)
{
	uint64_t asked = a->bundle ? a->bundle->slice_ns : 0;

	if (line_only(a))
		return asked && asked < LINE_SLICE_NS ? asked : LINE_SLICE_NS;
	return asked ? asked : SLICE_NS;
}

static void run_slice(struct agent_guest *g)
{
	struct agent *a = g->agent;
	const struct host_ops *host = a->boot->host;

	if (a->last_run != g)
		g->end.world_switches += a->last_run != NULL;
	a->last_run = g;
	enum slice_result r = vm_run_slice(g->vm, host->now_ns() + slice_ns(a));
	g->idle = r == SLICE_IDLE;
	if (r == SLICE_ENDED) {
		g->running = false;
		g->ended = true;
	}
}

static void housekeeping(struct agent *a, bool all_idle)
{
	uint64_t now = a->boot->host->now_ns();

	for (unsigned i = 0; i < a->n_guests; i++) {
		/* Several guests that share one line as text take turns by the line, not by the slice. */
		if (a->session || a->n_guests == 1)
			console_flush(&a->guests[i]);
		if (a->guests[i].ended && !a->guests[i].end_sent)
			guest_send_end(&a->guests[i]);
	}
	if (now < a->next_flush_ns && !all_idle && !a->flush_wanted)
		return;
	a->next_flush_ns = now + FLUSH_NS;
	a->flush_wanted = false;
	stream_flush(a);
}

/* The next one that may run; NULL: none. */
static struct agent_guest *next_guest(struct agent *a)
{
	for (unsigned k = 1; k <= a->n_guests; k++) {
		struct agent_guest *g = &a->guests[(a->current + k) % a->n_guests];

		if (g->running && !g->ended) {
			a->current = g->index;
			return g;
		}
	}
	return NULL;
}

/* Everybody who may run is halted: until the first timer of any of them. */
static void wait_for_timers(struct agent *a)
{
	const struct host_ops *host = a->boot->host;
	uint64_t first = host->now_ns() + (line_only(a) ? LINE_IDLE_NS : slice_ns(a));

	for (unsigned i = 0; i < a->n_guests; i++) {
		const struct agent_guest *g = &a->guests[i];
		if (!g->running || g->ended)
			continue;
		if (!g->idle)
			return;
		uint64_t due = clock_next_deadline(&g->vm->clock);
		if (due != CLOCK_NEVER && due + g->vm->clock.start_ns < first)
			first = due + g->vm->clock.start_ns;
	}
	host->idle_until(first);
}

static bool all_ended(const struct agent *a)
{
	for (unsigned i = 0; i < a->n_guests; i++)
		if (!a->guests[i].ended)
			return false;
	return true;
}

/* No guest runs: somebody looks at one that stands still, or thinks. Once the line has been quiet for some looks, the
 * processor rests until there is something on it. */
static void rest(struct agent *a)
{
	if (a->heard)
		a->quiet = 0;
	else if (++a->quiet > QUIET_LOOKS && a->boot->line_wakes)
		a->boot->host->idle_until(a->boot->host->now_ns() + REST_NS);
}

void sched_run(struct agent *a)
{
	while (!a->stop) {
		struct agent_guest *g = a->started ? next_guest(a) : NULL;

		if (g)
			run_slice(g);
		if (a->started)
			housekeeping(a, g == NULL || g->idle);
		agent_poll(a);
		if (!a->session && a->started && all_ended(a))
			return;
		if (g)
			wait_for_timers(a);
		else
			rest(a);
	}
}
