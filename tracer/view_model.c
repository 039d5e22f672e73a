/*
 * The view model: life, position, console, and the questions to a guest that stands still. The log is view_log.c.
 */
#include "tracer/view_model.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/machine.h"
#include "tracer/view_impl.h"

static uint64_t monotonic_ns(void *arg)
{
	struct timespec t;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

enum err view_model_new(const struct view_config *cfg, struct view_model **out, struct errmsg *why)
{
	struct view_model *m = calloc(1, sizeof(*m));
	pthread_mutexattr_t attr;

	*out = NULL;
	if (!m)
		return err_set(why, ERR_NOMEM, "no memory for the view model");
	if (cfg)
		m->cfg = *cfg;
	if (!m->cfg.now_ns)
		m->cfg.now_ns = monotonic_ns;
	m->cap = m->cfg.log_exits ? m->cfg.log_exits : VIEW_LOG_DEFAULT;
	m->mask = (m->cap & (m->cap - 1)) == 0 ? m->cap - 1 : 0;
	m->bucket_ns = VIEW_BUCKET_MIN_NS;
	m->verdicts.direct_fraction = m->verdicts.guest_time_fraction = -1;
	m->log = calloc(m->cap, sizeof(*m->log));
	m->open = calloc(VIEW_VCPUS_MAX, sizeof(*m->open));
	m->by_reason = stats_new(STATS_BY_REASON);
	m->console = calloc(VIEW_CONSOLE_MAX, sizeof(*m->console));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&m->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&m->told_lock, NULL);
	if (!m->log || !m->open || !m->by_reason || !m->console) {
		unsigned long long cap = m->cap;

		view_model_free(m);
		return err_set(why, ERR_NOMEM, "no memory for a log of %llu exits", cap);
	}
	*out = m;
	return ERR_OK;
}

void view_model_free(struct view_model *m)
{
	if (!m)
		return;
	view_filter_free(m->filter);
	stats_free(m->by_reason);
	stats_free(m->derived[0]);
	stats_free(m->derived[1]);
	free(m->console);
	free(m->open);
	free(m->log);
	pthread_mutex_destroy(&m->told_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static void forget_counts(struct view_model *m)
{
	memset(m->open, 0, VIEW_VCPUS_MAX * sizeof(*m->open));
	stats_free(m->by_reason);
	m->by_reason = stats_new(STATS_BY_REASON);
	m->bucket_ns = VIEW_BUCKET_MIN_NS;
	m->last_bucket = 0;
	m->n_series = 0;
	memset(&m->total, 0, sizeof(m->total));
	memset(m->bucket_insns, 0, sizeof(m->bucket_insns));
	memset(m->bucket_ts, 0, sizeof(m->bucket_ts));
	m->newest_ns = 0;
	m->derived_end[0] = m->derived_end[1] = UINT64_MAX;
}

static void forget_everything(struct view_model *m)
{
	m->end = m->first = m->next_number = 0;
	forget_counts(m);
	pthread_mutex_lock(&m->told_lock);
	m->told = (struct view_told){0};
	m->n_console = m->shown_console = 0;
	m->lost_console = 0;
	pthread_mutex_unlock(&m->told_lock);
	m->now = (struct view_now){0};
	m->verdicts = (struct view_verdicts){.direct_fraction = -1, .guest_time_fraction = -1};
	m->has_before = m->has_state = m->has_screen = false;
	view_guest_moves(m);
	m->tick_ns = m->tick_insns = m->tick_exits = 0;
}

void view_model_attach(struct view_model *m, struct session *s, const struct view_info *info)
{
	view_model_lock(m);
	forget_everything(m);
	m->session = s;
	m->vm = info->vm ? info->vm : s ? s->vm : NULL;
	m->info = *info;
	m->host_time = info->clock == CLOCK_HOST;
	if (m->vm) {
		m->knows_cost = m->host_time || m->vm->cfg.cost;
		m->has_rip = !(m->vm->cfg.mode->caps & MODE_CAP_MODEL);
		m->start_ns = m->host_time ? m->vm->clock.start_ns : 0;
	}
	view_model_unlock(m);
}

static void host_rates(struct view_model *m, uint64_t now)
{
	uint64_t dt = now - m->tick_ns;

	if (m->tick_ns && dt < 250000000u)
		return;
	if (m->tick_ns && m->now.insns >= m->tick_insns && m->now.exits >= m->tick_exits) {
		m->now.host_insns_per_s = (double)(m->now.insns - m->tick_insns) * 1e9 / (double)dt;
		m->now.host_exits_per_s = (double)(m->now.exits - m->tick_exits) * 1e9 / (double)dt;
	}
	m->tick_ns = now;
	m->tick_insns = m->now.insns;
	m->tick_exits = m->now.exits;
}

/* What the run has told becomes what is seen. */
static void hear(struct view_model *m)
{
	struct view_told *t = &m->told;

	pthread_mutex_lock(&m->told_lock);
	bool fresh = t->fresh;
	uint64_t host_ns = t->host_ns;
	t->fresh = false;
	if (fresh) {
		if (t->seen_insns > m->now.seen_insns)
			m->now.seen_insns = t->seen_insns;
		if (t->seen_exits > m->now.seen_exits)
			m->now.seen_exits = t->seen_exits;
		t->seen_insns = t->seen_exits = 0;
		m->now.insns = t->insns;
		m->now.exits = t->exits;
		m->now.guest_ns = t->guest_ns;
		m->has_screen = t->has_screen;
		if (t->has_screen)
			memcpy(m->screen, t->screen, sizeof(m->screen));
	}
	pthread_mutex_unlock(&m->told_lock);
	if (!fresh)
		return;
	host_rates(m, host_ns);
	view_rates(m);
}

/* Whoever looks sees the run at one place for as long as the lock is held (the console goes on). */
void view_model_lock(struct view_model *m)
{
	pthread_mutex_lock(&m->lock);
	if (m->depth++ == 0)
		hear(m);
}

void view_model_unlock(struct view_model *m)
{
	m->depth--;
	pthread_mutex_unlock(&m->lock);
}

const struct view_info *view_info(struct view_model *m)
{
	return &m->info;
}

const struct view_now *view_now(struct view_model *m)
{
	return &m->now;
}

const struct view_verdicts *view_verdicts(struct view_model *m)
{
	return &m->verdicts;
}

void view_model_select(struct view_model *m, uint64_t number)
{
	view_model_lock(m);
	m->now.selected = number;
	view_model_unlock(m);
}

/* --- position and pace ------------------------------------------------------------------------------------------- */

static bool read_screen(const struct view_model *m, char lines[25][81])
{
	return m->vm && !(m->vm->cfg.mode->caps & (MODE_CAP_MODEL | MODE_CAP_REMOTE)) && machine_screen(m->vm, lines);
}

void view_model_position(struct view_model *m, uint64_t insns, uint64_t exits)
{
	struct view_told *t = &m->told;

	pthread_mutex_lock(&m->told_lock);
	t->insns = insns;
	t->exits = exits;
	t->seen_insns = insns > t->seen_insns ? insns : t->seen_insns;
	t->seen_exits = exits > t->seen_exits ? exits : t->seen_exits;
	t->guest_ns = m->vm ? clock_now_ns(&m->vm->clock) : 0;
	t->host_ns = m->cfg.now_ns(m->cfg.now_arg);
	t->has_screen = read_screen(m, t->screen);
	t->fresh = true;
	pthread_mutex_unlock(&m->told_lock);
}

uint64_t view_model_forget_future(struct view_model *m)
{
	uint64_t pos;

	view_model_lock(m);
	bool forgets = m->now.seen_exits > m->now.exits;
	m->now.seen_insns = m->now.insns;
	m->now.seen_exits = m->now.exits;
	/* What is not kept any more cannot be cut off: then the log begins anew. */
	if (view_log_find(m, m->now.exits, &pos))
		m->end = pos;
	else if (m->now.exits == 0)
		m->first = m->end = 0;
	else if (m->next_number > m->now.exits)
		m->first = m->end;
	m->derived_end[0] = m->derived_end[1] = UINT64_MAX;
	/* What is counted of the past alone can be said only while the log has all of it. */
	m->now.counts_forgotten |= forgets && m->first > 0;
	if (forgets && m->first == 0) {
		forget_counts(m);
		for (uint64_t i = 0; i < m->end; i++)
			view_count(m, view_slot(m, i));
	}
	memset(m->open, 0, VIEW_VCPUS_MAX * sizeof(*m->open));
	for (uint64_t i = m->first; i < m->end; i++)
		if (!(view_slot(m, i)->has & VIEW_CHILD))
			m->open[view_slot(m, i)->vcpu % VIEW_VCPUS_MAX].prev_insns = view_slot(m, i)->insns;
	pos = m->end;
	m->next_number = m->now.exits;
	pthread_mutex_lock(&m->told_lock);
	m->n_console = m->shown_console;
	pthread_mutex_unlock(&m->told_lock);
	view_model_unlock(m);
	return pos;
}

void view_model_set_run(struct view_model *m, enum view_run run, const struct vm_end *end, const char *stop)
{
	view_model_lock(m);
	m->now.run = run;
	view_guest_moves(m);
	if (end)
		m->now.end = *end;
	snprintf(m->now.stop, sizeof(m->now.stop), "%s", stop ? stop : "");
	if (run != VIEW_RUNNING)
		m->now.host_insns_per_s = m->now.host_exits_per_s = 0, m->tick_ns = 0;
	view_model_unlock(m);
}

void view_model_set_verdicts(struct view_model *m, const struct view_verdicts *v)
{
	view_model_lock(m);
	m->verdicts = *v;
	view_model_unlock(m);
}

/* --- console ----------------------------------------------------------------------------------------------------- */

void view_model_console(struct view_model *m, const char *port, uint8_t byte)
{
	(void)port;
	pthread_mutex_lock(&m->told_lock);
	if (m->shown_console < m->n_console) { /* the past again: the byte is there */
		m->shown_console++;
	} else {
		if (m->n_console == VIEW_CONSOLE_MAX) {
			m->lost_console += VIEW_CONSOLE_MAX / 2;
			m->n_console = VIEW_CONSOLE_MAX / 2;
			memmove(m->console, m->console + m->n_console, m->n_console * sizeof(*m->console));
		}
		m->console[m->n_console++] = (char)byte;
		m->shown_console = m->n_console;
	}
	pthread_mutex_unlock(&m->told_lock);
}

void view_model_can_back(struct view_model *m, bool can)
{
	view_model_lock(m);
	m->now.can_back = can;
	view_model_unlock(m);
}

void view_model_console_at(struct view_model *m, uint64_t bytes)
{
	pthread_mutex_lock(&m->told_lock);
	bytes = bytes > m->lost_console ? bytes - m->lost_console : 0;
	m->shown_console = bytes < m->n_console ? (size_t)bytes : m->n_console;
	pthread_mutex_unlock(&m->told_lock);
}

size_t view_console(struct view_model *m, char *buf, size_t n, uint64_t *total)
{
	pthread_mutex_lock(&m->told_lock);
	size_t have = m->shown_console < n ? m->shown_console : n;

	memcpy(buf, m->console + m->shown_console - have, have);
	*total = m->lost_console + m->shown_console;
	pthread_mutex_unlock(&m->told_lock);
	return have;
}

/* --- the screen --------------------------------------------------------------------------------------------------- */

bool view_screen(struct view_model *m, char lines[25][81])
{
	if (m->now.run != VIEW_RUNNING)
		return read_screen(m, lines);
	memcpy(lines, m->screen, sizeof(m->screen));
	return m->has_screen;
}
